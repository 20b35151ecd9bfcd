//! JSON merge patches (RFC 7396) of typed documents: what a patch does not name stays, null brings the default back, and what nobody knows
//! is an error that says what is known.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::schemas;
use crate::error::{Error, Result};

/// The members of a patch or of something new, held against those of a schema.
pub(super) fn check_members(given: &Map<String, Value>, schema: &str, at: &str) -> Result<()> {
    let known = schemas::members(schema);
    match given.keys().find(|name| !known.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let inside = at.is_empty()
                && schemas::members(schema).iter().any(|member| {
                    schemas::members(&format!("{}.{member}", schema.trim_end_matches("Patch")))
                        .contains(name)
                });
            let hint = if inside { " It belongs into \"Extensions\"." } else { "" };
            let shown: String = name.chars().take(64).collect();
            Err(Error::invalid(format!(
                "{}unknown member {shown:?}. Known members: {}.{hint}",
                if at.is_empty() { String::new() } else { format!("{at}: ") },
                known.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            )))
        }
    }
}

/// `current` with a patch applied. `at` says where the patch stands, `schema` what may stand there.
pub(super) fn merged<T>(current: &T, patch: Option<&Value>, schema: &str, at: &str) -> Result<T>
where
    T: Serialize + DeserializeOwned,
{
    match patch {
        None => changed_at(current, &Map::new(), at),
        // All of it goes back to what it is when nobody says anything.
        Some(Value::Null) => typed(Map::new(), &Map::new(), at),
        Some(Value::Object(patch)) => {
            check_members(patch, schema, at)?;
            changed_at(current, patch, at)
        }
        Some(_) => Err(Error::invalid(format!("{at} must be an object."))),
    }
}

/// `current` with a patch applied whose members are known.
pub(super) fn changed<T>(current: &T, patch: &Map<String, Value>) -> Result<T>
where
    T: Serialize + DeserializeOwned,
{
    changed_at(current, patch, "")
}

/// Something new of members that are known; null is what is not said.
pub(super) fn made<T: DeserializeOwned>(members: &Map<String, Value>) -> Result<T> {
    let said = members.iter().filter(|(_, value)| !value.is_null());
    typed(said.map(|(name, value)| (name.clone(), value.clone())).collect(), members, "")
}

fn changed_at<T>(current: &T, patch: &Map<String, Value>, at: &str) -> Result<T>
where
    T: Serialize + DeserializeOwned,
{
    let Value::Object(mut whole) = serde_json::to_value(current).map_err(Error::internal)? else {
        return Err(Error::internal("a document is no object"));
    };
    for (name, value) in patch {
        match value {
            Value::Null => drop(whole.shift_remove(name)),
            value => drop(whole.insert(name.clone(), value.clone())),
        }
    }
    typed(whole, patch, at)
}

fn typed<T: DeserializeOwned>(
    whole: Map<String, Value>,
    given: &Map<String, Value>,
    at: &str,
) -> Result<T> {
    serde_json::from_value(Value::Object(whole.clone())).map_err(|error| {
        // Which of them it is, serde does not say: it is the one of which another type of value is taken no better than none.
        let wrong = given.iter().filter(|(_, value)| !value.is_null()).find(|(name, _)| {
            let mut others = whole.clone();
            others.shift_remove(name.as_str());
            match serde_json::from_value::<T>(Value::Object(others)) {
                Ok(_) => true,
                Err(other) => other.to_string() == format!("missing field `{name}`"),
            }
        });
        let place: Vec<&str> = [at, wrong.map_or("", |(name, _)| name)]
            .into_iter()
            .filter(|p| !p.is_empty())
            .collect();
        let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(".")) };
        Error::invalid(format!("{place}{error}."))
    })
}
