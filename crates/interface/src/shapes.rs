//! The shapes of the interface as `check` walks them, read once from the interface description.
//! Each carries its rules in the order in which the service lists them.

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::pattern::Pattern;

#[derive(Debug)]
pub(crate) struct Shape {
    pub kind: Kind,
    /// The model marks values of this shape as not to be printed.
    pub sensitive: bool,
    /// `sensitive`, or printing it would print something that is.
    pub hides: bool,
    pub rules: Vec<Rule>,
}

/// Other shapes are referred to by name. The model has no cycle, so walking a value along its
/// shapes ends however deep the JSON is.
#[derive(Debug)]
pub(crate) enum Kind {
    Structure(Vec<Member>),
    /// Any JSON, never looked into.
    Document,
    List(String),
    Map(String, String),
    String,
    Blob,
    Integer,
    Long,
    Boolean,
    Timestamp,
}

#[derive(Debug)]
pub(crate) struct Member {
    pub name: String,
    pub shape: String,
    pub required: bool,
}

/// What a value of the right type must still satisfy.
#[derive(Debug)]
pub(crate) enum Rule {
    MaxLength(i64),
    MinLength(i64),
    MaxBytes(i64),
    MinBytes(i64),
    MaxValue(i64),
    MinValue(i64),
    Pattern(Pattern),
    Choice(Vec<String>),
}

impl Rule {
    pub(crate) fn holds(&self, value: &Value) -> bool {
        match self {
            Self::MaxLength(max) => length(value) <= *max,
            Self::MinLength(min) => length(value) >= *min,
            Self::MaxBytes(max) => decoded_length(value) <= *max,
            Self::MinBytes(min) => decoded_length(value) >= *min,
            Self::MaxValue(max) => value.as_i64().is_none_or(|number| number <= *max),
            Self::MinValue(min) => value.as_i64().is_none_or(|number| number >= *min),
            Self::Pattern(pattern) => value.as_str().is_none_or(|text| pattern.matches(text)),
            Self::Choice(choices) => {
                value.as_str().is_none_or(|text| choices.iter().any(|choice| choice == text))
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxLength(max) | Self::MaxBytes(max) => {
                write!(f, "Member must have length less than or equal to {max}")
            }
            Self::MinLength(min) | Self::MinBytes(min) => {
                write!(f, "Member must have length greater than or equal to {min}")
            }
            Self::MaxValue(max) => write!(f, "Member must have value less than or equal to {max}"),
            Self::MinValue(min) => {
                write!(f, "Member must have value greater than or equal to {min}")
            }
            Self::Pattern(pattern) => {
                write!(f, "Member must satisfy regular expression pattern: {pattern}")
            }
            Self::Choice(choices) => {
                write!(f, "Member must satisfy enum value set: [{}]", choices.join(", "))
            }
        }
    }
}

/// Characters are counted as Java counts them, in UTF-16 units.
fn length(value: &Value) -> i64 {
    let length = match value {
        Value::String(text) => text.encode_utf16().count(),
        Value::Array(elements) => elements.len(),
        Value::Object(entries) => entries.len(),
        _ => 0,
    };
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Of base64 text whose form has been checked.
fn decoded_length(value: &Value) -> i64 {
    let encoded = value.as_str().unwrap_or_default().trim_end_matches('=').len();
    i64::try_from(encoded / 4 * 3 + (encoded % 4).saturating_sub(1)).unwrap_or(i64::MAX)
}

pub(crate) fn shape(name: &str) -> Option<&'static Shape> {
    SHAPES.get(name)
}

#[cfg(test)]
pub(crate) fn all() -> impl Iterator<Item = &'static Shape> {
    SHAPES.values()
}

static SHAPES: LazyLock<HashMap<String, Shape>> = LazyLock::new(|| {
    let model: Value =
        serde_json::from_str(include_str!("../cognito-idp.interface.json")).unwrap_or_default();
    let Some(shapes) = model.get("shapes").and_then(Value::as_object) else {
        return HashMap::new();
    };
    let compile =
        |(name, raw): (&String, &Value)| Some((name.clone(), compile(shapes, name, raw)?));
    shapes.iter().filter_map(compile).collect()
});

/// `None` for what is not understood: it is then missing, and whatever refers to it is refused.
fn compile(shapes: &Map<String, Value>, name: &str, raw: &Value) -> Option<Shape> {
    let text = |key: &str| raw.get(key).and_then(Value::as_str).map(str::to_owned);
    let kind = match raw.get("type")?.as_str()? {
        "structure" if name == "Document" => Kind::Document,
        "structure" => Kind::Structure(members(raw)?),
        "list" => Kind::List(text("member")?),
        "map" => Kind::Map(text("key")?, text("value")?),
        "string" => Kind::String,
        "blob" => Kind::Blob,
        "integer" => Kind::Integer,
        "long" => Kind::Long,
        "boolean" => Kind::Boolean,
        "timestamp" => Kind::Timestamp,
        _ => return None,
    };
    let bounds: [fn(i64) -> Rule; 2] = match kind {
        Kind::Integer | Kind::Long => [Rule::MaxValue, Rule::MinValue],
        Kind::Blob => [Rule::MaxBytes, Rule::MinBytes],
        _ => [Rule::MaxLength, Rule::MinLength],
    };
    let [max, min] = bounds;
    let number = |key: &str| raw.get(key).and_then(Value::as_i64);
    let mut rules: Vec<Rule> =
        number("max").map(max).into_iter().chain(number("min").map(min)).collect();
    rules.extend(
        raw.get("pattern")
            .and_then(Value::as_str)
            .map(|source| Rule::Pattern(Pattern::new(source))),
    );
    rules.extend(raw.get("enum").map(|choices| Rule::Choice(strings(choices))));
    // The model does not mark it, but client secrets and private keys are in it.
    let hides = name == "ProviderDetailsType" || hides(shapes, raw);
    Some(Shape { kind, sensitive: sensitive(raw), hides, rules })
}

fn members(raw: &Value) -> Option<Vec<Member>> {
    let required = raw.get("required").map(strings).unwrap_or_default();
    let member = |(name, member): (&String, &Value)| {
        let shape = member.get("shape")?.as_str()?.to_owned();
        Some(Member { name: name.clone(), shape, required: required.contains(name) })
    };
    raw.get("members")?.as_object()?.iter().map(member).collect()
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn sensitive(raw: &Value) -> bool {
    raw.get("sensitive").and_then(Value::as_bool) == Some(true)
}

fn hides(shapes: &Map<String, Value>, raw: &Value) -> bool {
    let direct = ["member", "key", "value"].into_iter().filter_map(|key| raw.get(key));
    let members = raw.get("members").and_then(Value::as_object).into_iter().flat_map(Map::values);
    let mut parts =
        direct.chain(members.filter_map(|member| member.get("shape"))).filter_map(Value::as_str);
    sensitive(raw) || parts.any(|part| shapes.get(part).is_none_or(|part| hides(shapes, part)))
}
