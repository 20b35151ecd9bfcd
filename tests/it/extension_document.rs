//! The OpenAPI document of the extension API, held against the routes, the schemas and the types behind them.

use std::collections::BTreeSet;

use cenote::access::actions;
use cenote::extension::{ROUTES, Takes, document};
use cenote::pool::client::ClientExtensions;
use cenote::pool::realm::Extensions;
use cenote::pool::target::{StreamDoc, TokenRevocationDoc, WebhookDoc};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::house::houses;

#[tokio::test]
async fn the_document_is_served_to_anybody_and_names_this_server() {
    for house in houses().await {
        let answer = house.shows("/openapi.json").await;
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.json(), document(&house.app.settings.public_url));
        let server = format!("{}/_cenote/v1", house.app.settings.public_url);
        assert_eq!(answer.json()["servers"][0]["url"], server);
        let answer = house.ask("POST", "/openapi.json", &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, "GET"));
    }
}

#[test]
fn every_route_is_documented_and_every_documented_operation_is_a_route() {
    let document = document("https://id.example.com");
    let mut documented = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            documented.insert(format!("{} {path} {id}", method.to_uppercase()));
        }
    }
    let routes: BTreeSet<String> = ROUTES
        .iter()
        .map(|route| format!("{} {} {}", route.verb.as_str(), route.path, route.action))
        .collect();
    assert_eq!(documented, routes);
    assert_eq!(routes.len(), ROUTES.len(), "an operation is there twice");
    for route in ROUTES {
        let operation = &document["paths"][route.path][route.verb.as_str().to_lowercase()];
        let has_body = operation.get("requestBody").is_some();
        assert_eq!(
            has_body,
            matches!(route.takes, Takes::New(_) | Takes::Patch(_)),
            "{}",
            route.action
        );
        assert!(operation["responses"].get(route.gives.status.to_string()).is_some());
        let named = operation["parameters"].as_array().unwrap().iter();
        let named: Vec<&str> = named
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let in_path: Vec<&str> = route
            .path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect();
        assert_eq!(named, in_path, "{}", route.action);
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    let document = document("https://id.example.com");
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 2 * ROUTES.len());
    for reference in references {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                references.push(reference.clone());
            }
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

#[test]
fn access_keys_can_be_given_each_action_of_the_routes_and_no_other() {
    let routes: BTreeSet<String> =
        ROUTES.iter().map(|route| format!("cenote:{}", route.action)).collect();
    let mut known: BTreeSet<String> = actions::OWN.iter().map(|name| (*name).to_owned()).collect();
    // The receipt's, which is not of this door.
    assert!(known.remove("cenote:GetSignOut"));
    assert_eq!(known, routes);
    assert!(actions::OWN.is_sorted());
}

/// What a type answers to a member that it does not have names those that it has.
fn members_of<T: DeserializeOwned>() -> BTreeSet<String> {
    let Err(error) = serde_json::from_value::<T>(json!({ "?": null })) else {
        panic!("unknown members are taken")
    };
    error.to_string().split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

fn documented(pointer: &str) -> BTreeSet<String> {
    let document = document("https://id.example.com");
    let properties = document.pointer(&format!("/components/schemas/{pointer}/properties"));
    properties.unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn the_schemas_have_the_members_of_the_types() {
    assert_eq!(documented("Pool/properties/Extensions"), members_of::<Extensions>());
    assert_eq!(documented("PoolPatch/properties/Extensions"), members_of::<Extensions>());
    assert_eq!(documented("Client/properties/Extensions"), members_of::<ClientExtensions>());
    assert_eq!(documented("ClientPatch/properties/Extensions"), members_of::<ClientExtensions>());
    let with = |mut members: BTreeSet<String>, more: &[&str]| {
        members.extend(more.iter().map(|name| (*name).to_owned()));
        members
    };
    let shown = ["Id", "CreationDate", "LastModifiedDate"];
    let webhook = || with(members_of::<WebhookDoc>(), &["Secret"]);
    assert_eq!(documented("NewWebhook"), webhook());
    assert_eq!(documented("WebhookPatch"), webhook());
    assert_eq!(documented("Webhook"), with(webhook(), &shown));
    let mut stream = members_of::<StreamDoc>();
    for own in cenote::pool::target::stream::OWN {
        assert!(stream.remove(own), "{own} is nobody's to change");
    }
    assert_eq!(documented("Stream"), with(stream.clone(), &shown));
    stream.insert("AuthorizationHeader".to_owned());
    assert_eq!(documented("NewStream"), stream);
    assert_eq!(documented("StreamPatch"), stream);
    assert_eq!(documented("NewTokenRevocation"), members_of::<TokenRevocationDoc>());
    assert_eq!(documented("TokenRevocationPatch"), members_of::<TokenRevocationDoc>());
    assert_eq!(documented("TokenRevocation"), with(members_of::<TokenRevocationDoc>(), &shown));
    let pool = document("https://id.example.com");
    let properties =
        &pool["components"]["schemas"]["Pool"]["properties"]["Extensions"]["properties"];
    let defaults = serde_json::to_value(Extensions::default()).unwrap();
    for (name, value) in defaults.as_object().unwrap() {
        assert_eq!(&properties[name]["default"], value, "{name}");
    }
}
