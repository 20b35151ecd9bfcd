//! What requests and answers are made of, as JSON Schema (2020-12, which OpenAPI 3.1 takes as it is).

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

/// By name. Those of patches follow from what they change: any member may be missing or null.
pub(super) static SCHEMAS: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut all = Map::new();
    for (name, schema) in [
        ("Client", client()),
        ("Error", error()),
        ("Pool", pool()),
        ("RevokedKey", revoked_key()),
        ("SignOut", sign_out()),
    ] {
        all.insert(name.to_owned(), schema);
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
                        "pattern": URI,
                        "description": "Where this server posts a logout token (OpenID Connect Back-Channel Logout 1.0)."
                    },
                    "BackchannelLogoutSessionRequired": {
                        "type": "boolean",
                        "description": "Whether each logout token must name one session (`sid`)."
                    },
                    "FrontchannelLogoutUri": {
                        "type": "string",
                        "pattern": URI,
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

/// An https address without user, fragment and what no address may have; plain http where the operator allows it.
pub(super) const URI: &str = r"^https?://[A-Za-z0-9][A-Za-z0-9.\-]{0,200}(:[1-9][0-9]{0,3})?(/[A-Za-z0-9._~!$&'()*+,;=:@%/\-]{0,800})?(\?[A-Za-z0-9._~!$&'()*+,;=:@%/?\-]{0,800})?$";
