//! What requests and answers are made of, as JSON Schema (2020-12, which OpenAPI 3.1 takes as it is).

#![allow(
    clippy::indexing_slicing,
    reason = "members of JSON objects that are made here: setting one makes it, and the document is tried by tests"
)]

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::pool::urls::{BY_BROWSER, BY_SERVER};
use crate::store::deliveries::{Kind, State};

/// By name. Those of patches follow from what they change: any member may be missing or null.
pub(super) static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut all = Map::new();
    for (name, schema) in [
        ("Client", client()),
        ("Delivery", delivery()),
        ("Deliveries", list("Deliveries", "Delivery")),
        ("Error", error()),
        ("Pool", pool()),
        ("RevokedKey", revoked_key()),
        ("SignOut", sign_out()),
    ] {
        all.insert(name.to_owned(), schema);
    }
    for (name, settings, hidden, required) in [
        ("Stream", stream(), Some("AuthorizationHeader"), "Method"),
        ("TokenRevocation", token_revocation(), None, "Url"),
        ("Webhook", webhook(), None, "Url"),
    ] {
        all.insert(format!("{name}s"), list(&format!("{name}s"), name));
        all.insert(name.to_owned(), target(&settings, hidden));
        let object =
            json!({ "type": "object", "additionalProperties": false, "properties": settings });
        let mut change = patch(&object);
        change["type"] = json!("object");
        // The others may be null, in a patch and in something new.
        change["properties"][required] = object["properties"][required].clone();
        all.insert(format!("{name}Patch"), change.clone());
        let mut new = change;
        new["required"] = json!([required]);
        all.insert(format!("New{name}"), new);
    }
    for (name, of) in [("ClientPatch", "Client"), ("PoolPatch", "Pool")] {
        let extensions = all.get(of).and_then(|schema| schema.pointer("/properties/Extensions"));
        let extensions = patch(extensions.unwrap_or(&Value::Null));
        all.insert(
            name.to_owned(),
            json!({ "type": "object", "additionalProperties": false, "properties": { "Extensions": extensions } }),
        );
    }
    all
});

/// The members of a schema, or, as in `Pool.Extensions`, of one of its members.
pub(super) fn members(path: &str) -> Vec<String> {
    let (name, member) = path.split_once('.').unwrap_or((path, ""));
    let schema = SCHEMAS.get(name).and_then(|schema| match member {
        "" => Some(schema),
        member => schema.get("properties").and_then(|properties| properties.get(member)),
    });
    let properties = schema.and_then(|schema| schema.get("properties")?.as_object());
    properties.map(|properties| properties.keys().cloned().collect()).unwrap_or_default()
}

/// A schema of what may be said instead: anything of it, and null for what it is by default.
pub(super) fn patch(schema: &Value) -> Value {
    let mut schema = schema.clone();
    if let Some(members) = schema.as_object_mut() {
        members.shift_remove("required");
        members.shift_remove("default");
        if let Some(own) = members.get_mut("type") {
            *own = json!([own, "null"]);
        }
        if let Some(choices) = members.get_mut("enum").and_then(Value::as_array_mut) {
            choices.push(Value::Null);
        }
        if let Some(properties) = members.get_mut("properties").and_then(Value::as_object_mut) {
            for (_, property) in properties.iter_mut() {
                *property = patch(property);
            }
        }
    }
    schema
}

fn error() -> Value {
    json!({
        "type": "object",
        "description": "Why a request was refused: a word for programs, a sentence for people.",
        "required": ["error", "message"],
        "properties": { "error": { "type": "string" }, "message": { "type": "string" } }
    })
}

fn pool() -> Value {
    json!({
        "type": "object",
        "required": ["Id", "Extensions"],
        "properties": {
            "Id": { "type": "string" },
            "Extensions": {
                "type": "object",
                "additionalProperties": false,
                "required": ["LogoutEndsTokenSessions", "GlobalSignOutEndsBrowserSessions", "PasswordResetEndsSessions"],
                "properties": {
                    "LogoutEndsTokenSessions": {
                        "type": "boolean",
                        "default": false,
                        "description": "`/logout` also ends the token sessions that came through the browser session."
                    },
                    "GlobalSignOutEndsBrowserSessions": {
                        "type": "boolean",
                        "default": false,
                        "description": "GlobalSignOut and AdminUserGlobalSignOut also end every browser session of the user."
                    },
                    "PasswordResetEndsSessions": {
                        "type": "boolean",
                        "default": true,
                        "description": "A password that is reset, by the user or an administrator, ends every session of the user."
                    }
                }
            }
        }
    })
}

fn client() -> Value {
    json!({
        "type": "object",
        "required": ["PoolId", "ClientId", "Extensions"],
        "properties": {
            "PoolId": { "type": "string" },
            "ClientId": { "type": "string" },
            "Extensions": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "BackchannelLogoutUri": {
                        "type": "string",
                        "maxLength": 1024,
                        "pattern": BY_SERVER,
                        "description": "Where this server posts a logout token (OpenID Connect Back-Channel Logout 1.0)."
                    },
                    "BackchannelLogoutSessionRequired": {
                        "type": "boolean",
                        "description": "true: where one session ends, its logout token names that and not the user. false: one logout token for all sessions \
                                        of a user who is signed out everywhere; else one for each."
                    },
                    "FrontchannelLogoutUri": {
                        "type": "string",
                        "maxLength": 1024,
                        "pattern": BY_BROWSER,
                        "description": "What the browser of a user who signs out loads in a hidden frame (OpenID Connect Front-Channel Logout 1.0)."
                    }
                }
            }
        }
    })
}

fn sign_out() -> Value {
    json!({
        "type": "object",
        "required": ["PoolId", "SignOutId", "Receipt"],
        "properties": {
            "PoolId": { "type": "string" },
            "SignOutId": { "type": "string", "format": "uuid" },
            "Receipt": { "type": "string", "format": "uri", "description": "Who has learned of it so far." }
        }
    })
}

fn revoked_key() -> Value {
    json!({
        "type": "object",
        "required": ["PoolId", "Kid", "SignOut"],
        "properties": {
            "PoolId": { "type": "string" },
            "Kid": { "type": "string" },
            "SignOut": {
                "description": "null: the key was revoked before, and nothing was changed.",
                "oneOf": [{ "$ref": "#/components/schemas/SignOut" }, { "type": "null" }]
            }
        }
    })
}

/// A target as it is shown: its settings, and what it is by itself.
fn target(settings: &Value, hidden: Option<&str>) -> Value {
    let mut properties = json!({ "Id": { "type": "string" } });
    if let (Some(all), Some(settings)) = (properties.as_object_mut(), settings.as_object()) {
        all.extend(settings.clone());
        all.retain(|name, _| Some(name.as_str()) != hidden);
        all.insert("CreationDate".to_owned(), date());
        all.insert("LastModifiedDate".to_owned(), date());
        if let Some(secret) = all.get_mut("Secret") {
            secret["description"] = json!(
                "Only in the answer to the request that had it made. Keep it: it is never shown again."
            );
        }
    }
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": ["Id", "CreationDate", "LastModifiedDate"],
        "properties": properties
    })
}

fn webhook() -> Value {
    json!({
        "Url": { "type": "string", "pattern": BY_SERVER, "maxLength": 2048, "description": "Where each sign-out of the pool is posted." },
        "Description": description(),
        "Enabled": { "type": "boolean", "default": true, "description": "One that is not is told nothing, and not later either." },
        "Secret": {
            "type": "string",
            "pattern": WEBHOOK_SECRET,
            "description": "What signs its requests (Standard Webhooks): `whsec_` and 24 to 64 random bytes in base64. Without it, or null in a \
                            change, one is made and shown once. After a change the old one signs for one more day beside the new one."
        }
    })
}

fn stream() -> Value {
    let sub = json!({ "type": "string", "maxLength": 128, "pattern": PLAIN });
    json!({
        "Method": {
            "type": "string",
            "enum": ["push", "poll"],
            "default": "poll",
            "description": "`push` (RFC 8935) needs EndpointUrl, `poll` (RFC 8936) needs ClientId."
        },
        "EndpointUrl": { "type": "string", "pattern": BY_SERVER, "maxLength": 2048, "description": "Where events are pushed." },
        "AuthorizationHeader": {
            "type": "string",
            "minLength": 1,
            "maxLength": 4096,
            "pattern": "^[ -~]+$",
            "description": "The header `Authorization` with which events are pushed; never shown. It is forgotten when EndpointUrl changes without it."
        },
        "ClientId": { "type": "string", "maxLength": 128, "description": "The app client that polls the stream and may manage it." },
        "Audience": {
            "type": "string",
            "minLength": 1,
            "maxLength": 2048,
            "pattern": "^[ -~]+$",
            "description": "`aud` of its events. By default the client, or else the address."
        },
        "Events": {
            "type": "array",
            "maxItems": 100,
            "items": { "type": "string", "maxLength": 512, "pattern": PLAIN },
            "default": [],
            "description": "The types of events that it is told, as URIs; none means all."
        },
        "Status": {
            "type": "string",
            "enum": ["enabled", "paused", "disabled"],
            "default": "enabled",
            "description": "`paused` keeps events until it is enabled again; `disabled` tells it nothing, and not later either."
        },
        "Reason": { "type": "string", "maxLength": 256, "pattern": PLAIN, "description": "Why it is not enabled." },
        "Without": { "type": "array", "maxItems": 1000, "items": sub, "default": [], "description": "The users (`sub`) of whom it is not told." },
        "Description": description()
    })
}

fn token_revocation() -> Value {
    json!({
        "Url": { "type": "string", "pattern": BY_SERVER, "maxLength": 2048, "description": "Its `global_token_revocation_endpoint`." },
        "Description": description(),
        "Enabled": { "type": "boolean", "default": true, "description": "One that is not is told nothing, and not later either." },
        "Subject": {
            "type": "string",
            "enum": ["iss_sub", "email"],
            "default": "iss_sub",
            "description": "How it knows users (RFC 9493): by the pool's issuer and `sub`, or by their verified address."
        },
        "Audience": {
            "type": "string",
            "minLength": 1,
            "maxLength": 2048,
            "pattern": "^[ -~]+$",
            "description": "`aud` of the token that authorises each request. By default the address itself."
        }
    })
}

fn description() -> Value {
    json!({ "type": "string", "maxLength": 256, "pattern": PLAIN, "default": "", "description": "For people." })
}

fn date() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn list(member: &str, of: &str) -> Value {
    json!({
        "type": "object",
        "required": [member, "NextToken"],
        "properties": {
            member: { "type": "array", "items": { "$ref": format!("#/components/schemas/{of}") } },
            "NextToken": { "type": ["string", "null"], "description": "What `next_token` takes to go on; null on the last page." }
        }
    })
}

fn delivery() -> Value {
    let maybe_date = json!({ "type": ["string", "null"], "format": "date-time" });
    let words = |all: Vec<&str>| json!({ "type": "string", "enum": all });
    json!({
        "type": "object",
        "required": ["Id", "SignOutId", "Record", "Kind", "Target", "Sid", "Sub", "State", "Attempts", "Status", "Detail", "CreationDate",
                     "FirstAttemptDate", "NextAttemptDate", "DoneDate"],
        "properties": {
            "Id": { "type": "string" },
            "SignOutId": { "type": ["string", "null"], "format": "uuid", "description": "null: a stream is told of itself." },
            "Record": { "type": "integer", "description": "Which record of the sign-out." },
            "Kind": words(Kind::ALL.map(Kind::as_str).to_vec()),
            "Target": { "type": "string", "description": "The id of the app client, webhook, stream or endpoint." },
            "Sid": { "type": ["string", "null"], "description": "The session as the receiver knows it." },
            "Sub": { "type": ["string", "null"], "description": "Whom it is about." },
            "State": words(State::ALL.map(State::as_str).to_vec()),
            "Attempts": { "type": "integer" },
            "Status": { "type": ["integer", "null"], "description": "The last HTTP status." },
            "Detail": { "type": "string", "description": "A few words for people." },
            "CreationDate": date(),
            "FirstAttemptDate": maybe_date,
            "NextAttemptDate": maybe_date,
            "DoneDate": maybe_date
        }
    })
}

/// No control characters.
const PLAIN: &str = r"^[^\x00-\x1f\x7f-\x9f]*$";

/// 24 to 64 bytes in base64.
const WEBHOOK_SECRET: &str = "^whsec_(([A-Za-z0-9+/]{4}){8,20}([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?|([A-Za-z0-9+/]{4}){21}([A-Za-z0-9+/][AQgw]==)?)$";
