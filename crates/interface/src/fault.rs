//! One fault of a request and its sentence, worded as the service words it.

use std::fmt;

use serde_json::Value;

/// Longest printed value, in characters: an answer must not grow with what it refuses.
const PRINTED_CHARS: usize = 1024;

/// A value that breaks a rule of its shape. Displays as `Value 'x' at 'policies.passwordPolicy'
/// failed to satisfy constraint: ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, in lowerCamel, with `.1.member` for an element of a list.
    pub path: String,
    pub value: Given,
    pub constraint: String,
}

/// What was at the place of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// Nothing, or JSON null.
    Null,
    /// Sensitive, or something that contains sensitive parts.
    Hidden,
    /// As Java prints it, cut after 1,024 characters.
    Value(String),
}

impl Given {
    pub(crate) fn printed(value: &Value) -> Self {
        let mut out = Printed { text: String::new(), room: PRINTED_CHARS };
        out.value(value);
        Self::Value(out.text)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Given::Null => write!(f, "Value null")?,
            Given::Hidden => write!(f, "Value")?,
            Given::Value(value) => write!(f, "Value '{value}'")?,
        }
        write!(f, " at '{}' failed to satisfy constraint: {}", self.path, self.constraint)
    }
}

struct Printed {
    text: String,
    room: usize,
}

impl Printed {
    fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.push("null"),
            Value::Bool(flag) => self.push(if *flag { "true" } else { "false" }),
            Value::Number(number) => self.push(&number.to_string()),
            Value::String(text) => self.push(text),
            Value::Array(elements) => {
                self.push("[");
                for (position, element) in elements.iter().enumerate() {
                    self.separate(position);
                    self.value(element);
                    if self.room == 0 {
                        return;
                    }
                }
                self.push("]");
            }
            Value::Object(entries) => {
                self.push("{");
                for (position, (key, entry)) in entries.iter().enumerate() {
                    self.separate(position);
                    self.push(key);
                    self.push("=");
                    self.value(entry);
                    if self.room == 0 {
                        return;
                    }
                }
                self.push("}");
            }
        }
    }

    fn separate(&mut self, position: usize) {
        if position > 0 {
            self.push(", ");
        }
    }

    fn push(&mut self, text: &str) {
        for letter in text.chars().take(self.room) {
            self.text.push(letter);
            self.room -= 1;
        }
    }
}
