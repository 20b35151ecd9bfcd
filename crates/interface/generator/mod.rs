//! Writes Rust from the interface description: the wire types, the table of operations and the tests' decoder.
//! Shared by `examples/generate.rs` and by the test that holds the checked-in files against it. No I/O here.

use std::error::Error;

use serde_json::{Map, Value};

const MODEL: &str = include_str!("../cognito-idp.interface.json");

/// The model's free-form JSON value (a WebAuthn credential). It is not a structure on the wire.
const DOCUMENT: &str = "Document";

/// Shapes that hold secrets although the model does not mark them: short codes, an identity
/// provider's client secret, SRP values and a pre-signed URL. They stay out of `Debug` as well.
const SECRET: [&str; 5] = [
    "ChallengeParametersType",
    "ConfirmationCodeType",
    "DeviceSecretVerifierConfigType",
    "PreSignedUrlType",
    "ProviderDetailsType",
];

/// Path below the crate and text of every generated file.
pub fn files() -> Result<[(&'static str, String); 3], Box<dyn Error>> {
    let model: Value = serde_json::from_str(MODEL)?;
    let model =
        Model { operations: object(&model, "operations")?, shapes: object(&model, "shapes")? };
    Ok([
        ("src/types.rs", model.types()?),
        ("src/operations.rs", model.operations()?),
        ("tests/it/decodes.rs", model.decodes()?),
    ])
}

struct Model<'a> {
    operations: &'a Map<String, Value>,
    shapes: &'a Map<String, Value>,
}

impl Model<'_> {
    fn types(&self) -> Result<String, Box<dyn Error>> {
        let mut out = String::from(
            "//! The structures of the interface, one per shape, as they are on the wire.\n\
             //! Generated from cognito-idp.interface.json by `cargo run -p cenote-interface --example generate`. Do not edit.\n\n\
             use std::collections::BTreeMap;\n\n\
             use serde::{Deserialize, Serialize};\n\n\
             use crate::redact::redacted_debug;\n",
        );
        for (name, shape) in self.shapes {
            if text(shape, "type")? == "structure"
                && shape.get("exception").is_none()
                && name != DOCUMENT
            {
                self.structure(name, shape, &mut out)?;
            }
        }
        Ok(out)
    }

    fn structure(&self, name: &str, shape: &Value, out: &mut String) -> Result<(), Box<dyn Error>> {
        let required = names(shape, "required");
        let all_secret = is_secret(name, shape);
        let (mut shown, mut hidden, mut fields) = (Vec::new(), Vec::new(), String::new());
        for (wire, member) in object(shape, "members")? {
            let target = text(member, "shape")?;
            let field = field_name(wire);
            if pascal(&field) != *wire {
                fields.push_str(&format!("    #[serde(rename = \"{wire}\")]\n"));
            }
            let rust = self.rust_type(target)?;
            let rust = if required.contains(&wire.as_str()) {
                rust
            } else {
                fields.push_str("    #[serde(skip_serializing_if = \"Option::is_none\")]\n");
                format!("Option<{rust}>")
            };
            fields.push_str(&format!("    pub {field}: {rust},\n"));
            if all_secret || self.holds_secret(target)? {
                hidden.push(field)
            } else {
                shown.push(field)
            }
        }
        let debug = if hidden.is_empty() { "Debug, " } else { "" };
        let rename = if fields.is_empty() { "" } else { "#[serde(rename_all = \"PascalCase\")]\n" };
        let body = if fields.is_empty() { "{}".to_owned() } else { format!("{{\n{fields}}}") };
        out.push_str(&format!(
            "\n#[derive(Clone, {debug}Default, PartialEq, Serialize, Deserialize)]\n{rename}pub struct {name} {body}\n"
        ));
        if !hidden.is_empty() {
            out.push_str(&format!(
                "redacted_debug!({name} {{ {} }} secret {{ {} }});\n",
                shown.join(", "),
                hidden.join(", ")
            ));
        }
        Ok(())
    }

    fn rust_type(&self, name: &str) -> Result<String, Box<dyn Error>> {
        let shape = self.shape(name)?;
        Ok(match text(shape, "type")? {
            "structure" if name == DOCUMENT => "serde_json::Value".to_owned(),
            "structure" => name.to_owned(),
            "string" | "blob" => "String".to_owned(),
            "integer" | "long" => "i64".to_owned(),
            "boolean" => "bool".to_owned(),
            "timestamp" | "double" | "float" => "f64".to_owned(),
            "list" => format!("Vec<{}>", self.rust_type(text(shape, "member")?)?),
            "map" => format!("BTreeMap<String, {}>", self.rust_type(text(shape, "value")?)?),
            other => return Err(format!("{name}: unknown type {other}").into()),
        })
    }

    /// Whether printing a value of this shape would print a secret. A structure prints itself, so
    /// only what has no `Debug` of its own is followed.
    fn holds_secret(&self, name: &str) -> Result<bool, Box<dyn Error>> {
        let shape = self.shape(name)?;
        Ok(is_secret(name, shape)
            || match text(shape, "type")? {
                "list" => self.holds_secret(text(shape, "member")?)?,
                "map" => {
                    self.holds_secret(text(shape, "key")?)?
                        || self.holds_secret(text(shape, "value")?)?
                }
                _ => false,
            })
    }

    fn operations(&self) -> Result<String, Box<dyn Error>> {
        let mut sorted: Vec<_> = self.operations.iter().collect();
        sorted.sort_by_key(|(name, _)| name.as_str());
        let mut out = String::from(
            "//! The operations of the interface, sorted by name.\n\
             //! Generated from cognito-idp.interface.json by `cargo run -p cenote-interface --example generate`. Do not edit.\n\n\
             use crate::Operation;\n\n\
             pub(crate) static OPERATIONS: &[Operation] = &[\n",
        );
        for (name, operation) in sorted {
            let unsigned = operation.get("unsigned").and_then(Value::as_bool).unwrap_or(false);
            let input = text(operation, "input")?;
            let output = operation.get("output").and_then(Value::as_str);
            let errors = names(operation, "errors");
            out.push_str(&format!(
                "    Operation {{ name: {name:?}, unsigned: {unsigned}, input: {input:?}, output: {output:?}, errors: &{errors:?} }},\n"
            ));
        }
        out.push_str("];\n");
        Ok(out)
    }

    fn decodes(&self) -> Result<String, Box<dyn Error>> {
        let mut out = String::from(
            "//! Decodes a request into the typed input of the operation it names.\n\
             //! Generated from cognito-idp.interface.json by `cargo run -p cenote-interface --example generate`. Do not edit.\n\n\
             use cenote_interface::types::*;\n\
             use serde_json::Value;\n\n\
             /// The request encoded again, so that a test can also compare what survived.\n\
             pub fn decodes(operation: &str, input: Value) -> serde_json::Result<Value> {\n    match operation {\n",
        );
        for (name, operation) in self.operations {
            let input = text(operation, "input")?;
            out.push_str(&format!(
                "        {name:?} => serde_json::to_value(serde_json::from_value::<{input}>(input)?),\n"
            ));
        }
        out.push_str("        _ => panic!(\"unknown operation {operation}\"),\n    }\n}\n");
        Ok(out)
    }

    fn shape(&self, name: &str) -> Result<&Value, Box<dyn Error>> {
        self.shapes.get(name).ok_or_else(|| format!("no shape {name}").into())
    }
}

/// `CallbackURLs` -> `callback_urls`, `UserMFASettingList` -> `user_mfa_setting_list`.
fn field_name(wire: &str) -> String {
    let wire = wire.replace("URLs", "Urls").replace("OAuth", "Oauth");
    let chars: Vec<char> = wire.chars().collect();
    let mut out = String::new();
    let mut before: Option<char> = None;
    for (position, letter) in chars.iter().copied().enumerate() {
        let starts_word = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                !before.is_ascii_uppercase()
                    || chars.get(position + 1).is_some_and(char::is_ascii_lowercase)
            });
        if starts_word {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
        before = Some(letter);
    }
    if matches!(
        out.as_str(),
        "type" | "match" | "use" | "where" | "ref" | "in" | "mod" | "loop" | "move"
    ) {
        out.insert_str(0, "r#");
    }
    out
}

/// What serde's `rename_all = "PascalCase"` makes of a field name.
fn pascal(field: &str) -> String {
    let words = field.trim_start_matches("r#").split('_');
    words
        .flat_map(|word| {
            word.chars().take(1).map(|c| c.to_ascii_uppercase()).chain(word.chars().skip(1))
        })
        .collect()
}

fn is_secret(name: &str, shape: &Value) -> bool {
    SECRET.contains(&name) || shape.get("sensitive").and_then(Value::as_bool) == Some(true)
}

fn object<'a>(value: &'a Value, key: &str) -> Result<&'a Map<String, Value>, Box<dyn Error>> {
    value.get(key).and_then(Value::as_object).ok_or_else(|| format!("no object {key}").into())
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, Box<dyn Error>> {
    value.get(key).and_then(Value::as_str).ok_or_else(|| format!("no string {key}").into())
}

fn names<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect()
}
