//! A complete, valid request for every operation, made from the interface description.

use std::sync::LazyLock;

use cenote_interface::validate;
use serde_json::{Map, Value, json};

static MODEL: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../cognito-idp.interface.json")).unwrap()
});

/// One of these satisfies each text shape of the model.
const TEXTS: [&str; 14] = [
    "abcdefgh",
    "eu-west-1_abc",
    "abcdefghijklmnopqrstuvwxyz",
    "arn:aws:cognito-idp:eu-west-1:123456789012:userpool/x",
    "arn:aws:iam:::role/x/",
    "123456",
    "ann@example.com",
    "Your code is {####}",
    "Click {##here##}",
    "cognito:english",
    "terms-of-use",
    "0f9a3b5c-1d2e-4f60-8a7b-0123456789ab",
    "import-abc",
    "Level1",
];

pub fn request(shape: &str) -> Value {
    let raw = &MODEL["shapes"][shape];
    let text = |key: &str| raw[key].as_str().unwrap();
    match text("type") {
        "structure" => {
            let members = raw["members"].as_object().unwrap();
            let member = |(name, member): (&String, &Value)| {
                (name.clone(), request(member["shape"].as_str().unwrap()))
            };
            Value::Object(members.iter().map(member).collect())
        }
        "list" => json!([request(text("member"))]),
        "map" => {
            let key = request(text("key")).as_str().unwrap().to_owned();
            Value::Object(Map::from_iter([(key, request(text("value")))]))
        }
        "boolean" => json!(true),
        "blob" => json!("QUJD"),
        "timestamp" => json!(1606425045.22),
        "integer" | "long" => json!(raw["min"].as_i64().unwrap_or(7)),
        "string" => {
            let values = raw["enum"].as_array().cloned().unwrap_or_default();
            let values = values
                .into_iter()
                .chain(TEXTS.map(Value::from))
                .chain([json!("tkn".to_owned() + &"a1".repeat(12) + "b"), json!("a".repeat(2000))]);
            values
                .into_iter()
                .find(|value| validate(shape, value).is_empty())
                .unwrap_or_else(|| panic!("no {shape}"))
        }
        other => panic!("{shape}: {other}"),
    }
}
