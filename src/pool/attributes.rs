//! What values a user's attributes may have, and who may write them.

use std::sync::LazyLock;

use cenote_interface::types::{AttributeType, SchemaAttributeType};
use regex::Regex;

use crate::error::{Error, Result};
use crate::pool::{Client, Pool};

static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"^[^@\s\p{C}<>(),;:\\\x22\[\]]+@[^@\s\p{C}<>(),;:\\\x22\[\]]+\.[^@\s\p{C}.<>(),;:\\\x22\[\]]+$").ok()
});
static PHONE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^\+[1-9][0-9]{1,14}$").ok());

/// An address that can be mailed to. The characters that would let it become two addresses or a header
/// are refused.
pub fn is_email(text: &str) -> bool {
    text.len() <= 320 && EMAIL.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// E.164.
pub fn is_phone(text: &str) -> bool {
    PHONE.as_ref().is_some_and(|pattern| pattern.is_match(text))
}

/// Attribute names and values of a request, in order, a later one replacing an earlier one.
pub fn pairs(list: &[AttributeType]) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for attribute in list {
        let value = attribute.value.clone().unwrap_or_default();
        pairs.retain(|(name, _)| *name != attribute.name);
        pairs.push((attribute.name.clone(), value));
    }
    pairs
}

/// Who writes: decides which attributes may be touched.
#[derive(Clone, Copy)]
pub enum Writer<'a> {
    /// A user through an app client.
    Client(&'a Client),
    /// An administrator; may also set `*_verified` and developer-only attributes.
    Administrator,
}

/// Refuses attributes that the schema does not have, values it does not allow, and writers that may not.
/// `prefix` stands before the attribute's name in messages: `user.` for updates, nothing for sign-up.
pub fn check(
    pool: &Pool,
    writer: Writer<'_>,
    update: bool,
    pairs: &[(String, String)],
) -> Result<()> {
    for (name, value) in pairs {
        let refuse = |why: &str| {
            let text = if update {
                format!("user.{name}: {why}\n")
            } else {
                format!("Attributes did not conform to the schema: {name}: {why}\n")
            };
            Err(Error::invalid(text))
        };
        let Some(schema) = find(pool, name) else {
            return refuse("Attribute does not exist in the schema.");
        };
        if name == "sub" || name == "identities" || (update && !schema.mutable.unwrap_or(true)) {
            return refuse("Attribute cannot be updated.");
        }
        if let Writer::Client(client) = writer {
            let reserved = schema.developer_only_attribute.unwrap_or(false)
                || name == "email_verified"
                || name == "phone_number_verified";
            if reserved || !client.may_write(name) {
                return Err(Error::not_authorized(
                    "A client attempted to write unauthorized attribute",
                ));
            }
        }
        if update && value.is_empty() && schema.required.unwrap_or(false) {
            return refuse("The attribute is required");
        }
        if let Err(why) = check_value(schema, name, value) {
            return match name.as_str() {
                "email" => Err(Error::invalid("Invalid email address format.")),
                "phone_number" => Err(Error::invalid("Invalid phone number format.")),
                _ => refuse(&why),
            };
        }
    }
    Ok(())
}

/// Refuses a new user who lacks an attribute that the schema requires.
pub fn check_required(pool: &Pool, pairs: &[(String, String)]) -> Result<()> {
    let has = |name: &str| pairs.iter().any(|(key, value)| key == name && !value.is_empty());
    let missing: Vec<String> = required(pool)
        .filter(|name| !has(name))
        .map(|name| format!("{name}: The attribute is required\n"))
        .collect();
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::invalid(format!(
            "Attributes did not conform to the schema: {}",
            missing.concat()
        )))
    }
}

/// The attributes that every user of the pool must have.
pub fn required(pool: &Pool) -> impl Iterator<Item = &str> {
    schema(pool)
        .filter(|attribute| attribute.required.unwrap_or(false))
        .filter_map(|attribute| attribute.name.as_deref())
        .filter(|name| *name != "sub")
}

pub fn find<'a>(pool: &'a Pool, name: &str) -> Option<&'a SchemaAttributeType> {
    schema(pool).find(|attribute| attribute.name.as_deref() == Some(name))
}

fn schema(pool: &Pool) -> impl Iterator<Item = &SchemaAttributeType> {
    pool.model().schema_attributes.iter().flatten()
}

/// Why the schema does not allow a value.
pub(super) fn check_value(
    schema: &SchemaAttributeType,
    name: &str,
    value: &str,
) -> Result<(), String> {
    if value.chars().count() > 2_048 {
        return Err("Attribute value must be no longer than 2048 characters".into());
    }
    if value.contains('\0') {
        return Err("Attribute value must not contain a NUL character".into());
    }
    match schema.attribute_data_type.as_deref() {
        Some("Number") if !value.is_empty() => check_number(schema, value),
        Some("Boolean") => match value {
            "true" | "false" | "True" | "False" | "TRUE" | "FALSE" | "1" | "0" | "" => Ok(()),
            _ => Err("Attribute value must be a boolean".into()),
        },
        Some("DateTime")
            if !value.is_empty() && value.parse::<f64>().is_err() && !looks_like_a_date(value) =>
        {
            Err("Attribute value must be a date and time".into())
        }
        Some("String") => check_string(schema, name, value),
        _ => Ok(()),
    }
}

fn check_number(schema: &SchemaAttributeType, value: &str) -> Result<(), String> {
    let number: f64 = value.parse().map_err(|_| "Attribute value must be a number".to_owned())?;
    if !number.is_finite() {
        return Err("Attribute value must be a number".into());
    }
    let limits = schema.number_attribute_constraints.as_ref();
    let limit = |text: Option<&String>| text.and_then(|text| text.parse::<f64>().ok());
    if limit(limits.and_then(|limits| limits.min_value.as_ref())).is_some_and(|min| number < min) {
        return Err("Number must not be less than its minimum".into());
    }
    if limit(limits.and_then(|limits| limits.max_value.as_ref())).is_some_and(|max| number > max) {
        return Err("Number must not be greater than its maximum".into());
    }
    Ok(())
}

fn check_string(schema: &SchemaAttributeType, name: &str, value: &str) -> Result<(), String> {
    let length = value.chars().count();
    let limits = schema.string_attribute_constraints.as_ref();
    let limit = |text: Option<&String>| text.and_then(|text| text.parse::<usize>().ok());
    if value.is_empty() {
        return Ok(());
    }
    if let Some(min) =
        limit(limits.and_then(|limits| limits.min_length.as_ref())).filter(|min| length < *min)
    {
        return Err(format!("String must be at least {min} characters long"));
    }
    if let Some(max) =
        limit(limits.and_then(|limits| limits.max_length.as_ref())).filter(|max| length > *max)
    {
        return Err(format!("String must be no longer than {max} characters"));
    }
    match name {
        "email" if !is_email(value) => Err("Invalid email address format.".into()),
        "phone_number" if !is_phone(value) => Err("Invalid phone number format.".into()),
        // It may be an alias, and names have 128 characters (`UsernameType`).
        "preferred_username" if length > 128 => {
            Err("String must be no longer than 128 characters".into())
        }
        _ => Ok(()),
    }
}

fn looks_like_a_date(value: &str) -> bool {
    value.len() >= 10 && value.chars().all(|c| c.is_ascii_digit() || "-:+.TZ ".contains(c))
}
