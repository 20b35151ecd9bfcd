//! Members that a shape does not have. The service ignores them; what reads a file of a person's does not.

use serde_json::Value;

use crate::Operation;
use crate::shapes::{Kind, shape};

/// The path of the first member of a request that its shape does not know, whatever its value, as in `Policies.Colour`.
pub fn unknown_member(operation: &Operation, input: &Value) -> Option<String> {
    walk(operation.input, input).map(|path| path.trim_start_matches('.').to_owned())
}

fn walk(name: &str, value: &Value) -> Option<String> {
    match (&shape(name)?.kind, value) {
        (Kind::Structure(members), Value::Object(entries)) => {
            entries.iter().find_map(|(key, value)| {
                let rest = match members.iter().find(|member| member.name == *key) {
                    Some(member) => walk(&member.shape, value)?,
                    None => String::new(),
                };
                Some(format!(".{key}{rest}"))
            })
        }
        (Kind::Map(_, values), Value::Object(entries)) => {
            entries.iter().find_map(|(key, value)| Some(format!(".{key}{}", walk(values, value)?)))
        }
        (Kind::List(element), Value::Array(items)) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| Some(format!("[{at}]{}", walk(element, item)?))),
        _ => None,
    }
}
