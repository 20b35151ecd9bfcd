//! Holds a request against the shape of its operation: first the JSON types, then the rules.
//! What passes deserializes into the structure of that name.

use std::fmt;

use serde_json::Value;

use crate::Operation;
use crate::fault::{Fault, Given};
use crate::shapes::{Kind, Member, Rule, Shape, shape};

/// A refusal names at most this many faults. One byte of a hostile list costs a hundred bytes of
/// answer otherwise.
const MAX_FAULTS: usize = 100;

/// Why a request was refused; displays as the message of the error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A JSON value of the wrong type (`SerializationException`).
    Serialization(String),
    /// Missing members and broken rules (`InvalidParameterException`).
    Validation(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Serialization(message) | Self::Validation(message)) = self;
        f.write_str(message)
    }
}

impl std::error::Error for Refusal {}

/// Checks the body of a request. Unknown members are ignored and null means absent, as the
/// service has it.
pub fn check(operation: &Operation, input: &Value) -> Result<(), Refusal> {
    if !input.is_object() {
        return Err(Refusal::Serialization("Unexpected value type in payload".to_owned()));
    }
    types(operation.input, input).map_err(Refusal::Serialization)?;
    let faults = validate(operation.input, input);
    if faults.is_empty() {
        return Ok(());
    }
    let errors = if faults.len() == 1 { "error" } else { "errors" };
    let sentences: Vec<String> = faults.iter().map(Fault::to_string).collect();
    Err(Refusal::Validation(format!(
        "{} validation {errors} detected: {}",
        faults.len(),
        sentences.join("; ")
    )))
}

/// The rules that a value breaks, in the order of the model, the first hundred of them. A value
/// of the wrong JSON type breaks none; `check` looks at types first.
pub fn validate(shape: &str, value: &Value) -> Vec<Fault> {
    let mut faults = Faults(Vec::new());
    faults.walk(shape, value, "");
    faults.0
}

/// The service parses into typed objects and stops at the first token that does not fit, so this
/// follows the order of the request and not of the model.
fn types(name: &str, value: &Value) -> Result<(), String> {
    let Some(shape) = shape(name) else {
        return Err(format!("Unknown shape {name}"));
    };
    match (&shape.kind, value) {
        (_, Value::Null)
        | (Kind::Document, _)
        | (Kind::String, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Timestamp, Value::Number(_)) => Ok(()),
        (Kind::Structure(members), Value::Object(entries)) => {
            entries.iter().try_for_each(|(key, value)| {
                members
                    .iter()
                    .find(|member| member.name == *key)
                    .map_or(Ok(()), |member| types(&member.shape, value))
            })
        }
        (Kind::List(element), Value::Array(elements)) => {
            elements.iter().try_for_each(|value| types(element, value))
        }
        (Kind::Map(_, entry), Value::Object(entries)) => {
            entries.values().try_for_each(|value| types(entry, value))
        }
        (Kind::Integer | Kind::Long, Value::Number(number)) if number.is_i64() => Ok(()),
        (Kind::Blob, Value::String(text)) => base64(text),
        (kind, value) => Err(mismatch(kind, value)),
    }
}

/// The sentences of the service's JSON parser.
fn mismatch(kind: &Kind, value: &Value) -> String {
    let class = match kind {
        Kind::String => "String",
        Kind::Integer => "Integer",
        Kind::Long => "Long",
        Kind::Boolean => "Boolean",
        Kind::Timestamp => "Date",
        _ => "",
    };
    let token = match value {
        Value::Object(_) => return "Start of structure or map found where not expected".to_owned(),
        Value::Array(_) if class.is_empty() => return "Unrecognized collection type".to_owned(),
        Value::Array(_) => return format!("Unrecognized collection type class java.lang.{class}"),
        _ if matches!(kind, Kind::Blob) => return NOT_BASE64.to_owned(),
        _ if class.is_empty() => return "Unexpected field type".to_owned(),
        Value::String(_) if class == "Boolean" => {
            return "Unexpected token received from parser".to_owned();
        }
        Value::String(_) => "STRING_VALUE",
        Value::Number(number) if number.is_f64() => "DECIMAL_VALUE",
        Value::Number(_) => "NUMBER_VALUE",
        Value::Bool(true) => "TRUE_VALUE",
        Value::Bool(false) => "FALSE_VALUE",
        Value::Null => "NULL_VALUE",
    };
    format!("{token} cannot be converted to {class}")
}

const NOT_BASE64: &str = "only base-64-encoded strings are convertible to bytes";

/// The canonical form, with padding: exactly what a strict decoder takes later.
fn base64(text: &str) -> Result<(), String> {
    if !text.len().is_multiple_of(4) {
        return Err(format!(
            "Base64 encoded length is expected a multiple of 4 bytes but found: {}",
            text.len()
        ));
    }
    let digits = text.strip_suffix("==").or_else(|| text.strip_suffix('=')).unwrap_or(text);
    let last = digits.bytes().try_fold(0, |_, byte| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    });
    let unused_bits = match text.len() - digits.len() {
        0 => 0,
        1 => 0b11,
        _ => 0b1111,
    };
    match last {
        Some(digit) if digit & unused_bits == 0 => Ok(()),
        _ => Err(NOT_BASE64.to_owned()),
    }
}

struct Faults(Vec<Fault>);

impl Faults {
    fn walk(&mut self, name: &str, value: &Value, path: &str) {
        let Some(shape) = shape(name) else {
            return;
        };
        if self.full() {
            return;
        }
        for rule in shape.rules.iter().filter(|rule| !rule.holds(value)) {
            self.add(shape, value, path, rule.to_string());
        }
        match (&shape.kind, value) {
            (Kind::Structure(members), Value::Object(_)) => {
                for member in members {
                    self.member(member, value, path);
                }
            }
            (Kind::List(element), Value::Array(elements)) => {
                let indexed = (1_usize..).zip(elements);
                self.parts(shape, value, path, "Member", element, indexed);
            }
            (Kind::Map(key, entry), Value::Object(entries)) => {
                let keys: Vec<Value> =
                    entries.keys().map(|key| Value::from(key.as_str())).collect();
                self.parts(shape, value, path, "Map keys", key, entries.keys().zip(&keys));
                self.parts(shape, value, path, "Map value", entry, entries);
            }
            _ => {}
        }
    }

    fn member(&mut self, member: &Member, parent: &Value, path: &str) {
        let path = join(path, &lower_camel(&member.name));
        match parent.get(&member.name) {
            None | Some(Value::Null) if member.required => {
                let value = match shape(&member.shape) {
                    Some(shape) if shape.sensitive => Given::Hidden,
                    _ => Given::Null,
                };
                self.push(Fault { path, value, constraint: NOT_NULL.to_owned() });
            }
            None | Some(Value::Null) => {}
            Some(value) => self.walk(&member.shape, value, &path),
        }
    }

    /// The service walks into structures, and names the element. Anything simpler it judges as a
    /// whole: one fault at the list, which lists all rules of its elements.
    fn parts<'v>(
        &mut self,
        parent: &Shape,
        parent_value: &Value,
        path: &str,
        noun: &str,
        part: &str,
        parts: impl IntoIterator<Item = (impl fmt::Display, &'v Value)>,
    ) {
        let Some(part_shape) = shape(part) else {
            return;
        };
        let (mut broken, mut null) = (false, false);
        for (at, value) in parts {
            let simple =
                !matches!(part_shape.kind, Kind::Structure(_) | Kind::List(_) | Kind::Map(..));
            if simple {
                null |= value.is_null();
                broken |= value.is_null() || part_shape.rules.iter().any(|rule| !rule.holds(value));
                continue;
            }
            if self.full() {
                return;
            }
            let path = join(path, &format!("{at:.64}.member"));
            if value.is_null() {
                self.push(Fault { path, value: Given::Null, constraint: NOT_NULL.to_owned() });
            } else {
                self.walk(part, value, &path);
            }
        }
        if broken {
            let mut rules: Vec<String> = part_shape.rules.iter().map(Rule::to_string).collect();
            rules.extend(null.then(|| NOT_NULL.to_owned()));
            let constraint = format!("{noun} must satisfy constraint: [{}]", rules.join(", "));
            self.add(parent, parent_value, path, constraint);
        }
    }

    fn add(&mut self, shape: &Shape, value: &Value, path: &str, constraint: String) {
        let value = if shape.hides { Given::Hidden } else { Given::printed(value) };
        self.push(Fault { path: path.to_owned(), value, constraint });
    }

    fn push(&mut self, fault: Fault) {
        if !self.full() {
            self.0.push(fault);
        }
    }

    fn full(&self) -> bool {
        self.0.len() >= MAX_FAULTS
    }
}

const NOT_NULL: &str = "Member must not be null";

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Only the first letter changes: `CSS` is reported as `cSS`.
fn lower_camel(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(chars).collect()
}
