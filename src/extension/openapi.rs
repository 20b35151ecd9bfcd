//! The OpenAPI 3.1 document, made of the table of routes and the schemas: it cannot say what is not so.

#![allow(
    clippy::indexing_slicing,
    reason = "members of JSON objects that are made here: setting one makes it, and the document is tried by tests"
)]

use serde_json::{Map, Value, json};

use super::call::MAX_PAGE;
use super::route::{Route, Takes, Verb};
use super::schemas::SCHEMAS;
use super::{BASE, ROUTES};
use crate::store::deliveries::{Kind, State};

/// What `GET /_cenote/v1/openapi.json` answers.
pub fn document(public_url: &str) -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        if let Some(operations) = path.as_object_mut() {
            operations.insert(route.verb.as_str().to_ascii_lowercase(), operation(route));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Cenote extension API",
            "version": "1",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            "description": "What the Amazon Cognito user pools API has no words for. Requests are signed like those of that API: AWS Signature \
                            Version 4, for the service `cenote` or `cognito-idp`, with an access key that allows the action. `cenote dev` \
                            takes any credentials or none."
        },
        "servers": [{ "url": format!("{public_url}{BASE}") }],
        "security": [{ "sigv4": [] }],
        "paths": paths,
        "components": {
            "schemas": *SCHEMAS,
            "securitySchemes": {
                "sigv4": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4.",
                    "x-amazon-apigateway-authtype": "awsSigv4"
                }
            },
            "responses": {
                "Refused": {
                    "description": "It was refused. 401: not signed, or not by a known access key. 403: the access key does not allow this. 404: it does \
                                    not exist. 409: it cannot be done as things stand. 412: If-Match names another state. 413, 415: the body is too large or of another type. 429, 503: \
                                    repeat it later.",
                    "content": { "application/json": { "schema": reference("Error") } }
                }
            }
        }
    })
}

fn operation(route: &Route) -> Value {
    let mut answer = json!({ "description": route.summary });
    if let Some(schema) = route.gives.schema {
        answer["content"] = json!({ "application/json": { "schema": reference(schema) } });
    }
    let mut headers = Map::new();
    if route.gives.tagged {
        headers.insert("ETag".to_owned(), text_header("What If-Match takes."));
    }
    if route.gives.signs_out {
        headers.insert(
            "x-cenote-signout".to_owned(),
            text_header("The sign-out's id, where there was one."),
        );
    }
    if !headers.is_empty() {
        answer["headers"] = Value::Object(headers);
    }
    let mut operation = json!({
        "operationId": route.action,
        "summary": route.summary,
        "tags": [route.path.split('/').rfind(|part| !part.starts_with('{')).unwrap_or_default()],
        "x-cenote-action": format!("cenote:{}", route.action),
        "parameters": parameters(route),
        "responses": { route.gives.status.to_string(): answer, "default": { "$ref": "#/components/responses/Refused" } }
    });
    let body = match route.takes {
        Takes::New(schema) => Some(json!({ "application/json": { "schema": reference(schema) } })),
        Takes::Patch(schema) => Some(json!({
            "application/merge-patch+json": { "schema": reference(schema) },
            "application/json": { "schema": reference(schema) }
        })),
        _ => None,
    };
    if let Some(content) = body {
        operation["requestBody"] = json!({ "required": true, "content": content });
    }
    operation
}

fn parameters(route: &Route) -> Vec<Value> {
    let named = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = named
        .map(|name| {
            let schema = match name {
                "pool" => json!({ "type": "string", "minLength": 1, "maxLength": 55, "examples": ["us-east-1_Ab3dEf9Gh"] }),
                _ => json!({ "type": "string", "minLength": 1, "maxLength": 128 }),
            };
            json!({ "name": name, "in": "path", "required": true, "schema": schema })
        })
        .collect();
    if let Takes::Query(names) = route.takes {
        for name in names {
            let (description, schema) = query(name);
            parameters.push(json!({ "name": name, "in": "query", "description": description, "schema": schema }));
        }
    }
    if matches!(route.takes, Takes::Patch(_) | Takes::Condition) && route.verb != Verb::Get {
        parameters.push(json!({
            "name": "If-Match",
            "in": "header",
            "description": "The ETag of what was read: where it says something else by now, nothing is changed (412).",
            "schema": { "type": "string" }
        }));
    }
    parameters
}

fn query(name: &str) -> (&'static str, Value) {
    let id = json!({ "type": "string", "pattern": "^[A-Za-z0-9_+-]{1,128}$" });
    match name {
        "kind" => {
            ("Only of this kind.", json!({ "type": "string", "enum": Kind::ALL.map(Kind::as_str) }))
        }
        "limit" => (
            "How many at most.",
            json!({ "type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": MAX_PAGE }),
        ),
        "next_token" => ("Where the page before ended.", json!({ "type": "string" })),
        "signout_id" => ("Only of this sign-out.", id),
        "state" => (
            "Only in this state.",
            json!({ "type": "string", "enum": State::ALL.map(State::as_str) }),
        ),
        _ => ("Only to this app client, webhook, stream or endpoint.", id),
    }
}

fn reference(schema: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

fn text_header(description: &str) -> Value {
    json!({ "description": description, "schema": { "type": "string" } })
}
