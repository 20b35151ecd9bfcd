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
    let mut whole = match serde_json::to_value(current).map_err(Error::internal)? {
        Value::Object(members) => members,
        _ => return Err(Error::internal("a document is no object")),
    };
    let empty = Map::new();
    let patch = match patch {
        None => return Ok(current_again(whole)?),
        // All of it goes back to what it is when nobody says anything.
        Some(Value::Null) => {
            whole.clear();
            &empty
        }
        Some(Value::Object(patch)) => patch,
        Some(_) => return Err(Error::invalid(format!("{at} must be an object."))),
    };
    check_members(patch, schema, at)?;
    for (name, value) in patch {
        if value.is_null() {
            whole.shift_remove(name);
            continue;
        }
        whole.insert(name.clone(), value.clone());
    }
    serde_json::from_value(Value::Object(whole.clone())).map_err(|error| {
        // Which of them it is, serde does not say.
        let wrong = patch.iter().filter(|(_, value)| !value.is_null()).find(|(name, _)| {
            let mut others = whole.clone();
            others.shift_remove(name.as_str());
            serde_json::from_value::<T>(Value::Object(others)).is_ok()
        });
        let name = wrong.map_or(String::new(), |(name, _)| format!(".{name}"));
        Error::invalid(format!("{at}{name}: {error}."))
    })
}

fn current_again<T: DeserializeOwned>(whole: Map<String, Value>) -> Result<T> {
    serde_json::from_value(Value::Object(whole)).map_err(Error::internal)
}
