//! The attributes that every pool has, and how a pool's creator adds to them.

use cenote_interface::types::{
    NumberAttributeConstraintsType, SchemaAttributeType, StringAttributeConstraintsType,
};

use crate::error::{Error, Result};

const MAX_CUSTOM: usize = 50;

/// Name, type, minimum and maximum length (or value) of the standard attributes, as DescribeUserPool lists them.
const STANDARD: &[(&str, &str, Option<&str>, Option<&str>)] = &[
    ("sub", "String", Some("1"), Some("2048")),
    ("name", "String", Some("0"), Some("2048")),
    ("given_name", "String", Some("0"), Some("2048")),
    ("family_name", "String", Some("0"), Some("2048")),
    ("middle_name", "String", Some("0"), Some("2048")),
    ("nickname", "String", Some("0"), Some("2048")),
    ("preferred_username", "String", Some("0"), Some("2048")),
    ("profile", "String", Some("0"), Some("2048")),
    ("picture", "String", Some("0"), Some("2048")),
    ("website", "String", Some("0"), Some("2048")),
    ("email", "String", Some("0"), Some("2048")),
    ("email_verified", "Boolean", None, None),
    ("gender", "String", Some("0"), Some("2048")),
    ("birthdate", "String", Some("10"), Some("10")),
    ("zoneinfo", "String", Some("0"), Some("2048")),
    ("locale", "String", Some("0"), Some("2048")),
    ("phone_number", "String", Some("0"), Some("2048")),
    ("phone_number_verified", "Boolean", None, None),
    ("address", "String", Some("0"), Some("2048")),
    ("updated_at", "Number", Some("0"), None),
];

pub fn is_standard(name: &str) -> bool {
    STANDARD.iter().any(|(standard, ..)| *standard == name)
}

/// The schema of a new pool: the standard attributes, changed and added to as its creator said.
pub fn build(requested: &[SchemaAttributeType]) -> Result<Vec<SchemaAttributeType>> {
    let mut schema: Vec<SchemaAttributeType> = STANDARD.iter().map(standard).collect();
    for attribute in requested {
        let name = name_of(attribute)?;
        if !is_standard(name) {
            continue;
        }
        let Some(mine) = schema.iter_mut().find(|mine| mine.name.as_deref() == Some(name)) else {
            continue;
        };
        change_standard(mine, name, attribute)?;
    }
    let custom: Vec<SchemaAttributeType> = requested
        .iter()
        .filter(|attribute| !attribute.name.as_deref().is_some_and(is_standard))
        .cloned()
        .collect();
    add(&mut schema, &custom)?;
    Ok(schema)
}

/// Adds custom attributes (AddCustomAttributes). They are always optional, and named `custom:` or `dev:custom:`.
pub fn add(schema: &mut Vec<SchemaAttributeType>, custom: &[SchemaAttributeType]) -> Result<()> {
    for attribute in custom {
        let name = name_of(attribute)?;
        let Some(kind) = attribute.attribute_data_type.clone() else {
            return Err(Error::invalid(
                "Invalid AttributeDataType input, consider using the provided AttributeDataType enum.",
            ));
        };
        if attribute.required.unwrap_or(false) {
            return Err(Error::invalid("Required custom attributes are not supported currently."));
        }
        let developer_only = attribute.developer_only_attribute.unwrap_or(false);
        let bare = name.strip_prefix("custom:").unwrap_or(name);
        let name =
            if developer_only { format!("dev:custom:{bare}") } else { format!("custom:{bare}") };
        let bare_name = |text: &str| text.trim_start_matches("dev:").to_owned();
        let taken = schema
            .iter()
            .filter_map(|mine| mine.name.as_deref())
            .find(|mine| bare_name(mine) == bare_name(&name));
        if let Some(taken) = taken {
            return Err(Error::invalid(format!(
                "custom:{bare}: Existing attribute already has name {taken}."
            )));
        }
        let mut mine = SchemaAttributeType {
            name: Some(name.clone()),
            attribute_data_type: Some(kind.clone()),
            developer_only_attribute: Some(developer_only),
            mutable: Some(attribute.mutable.unwrap_or(true)),
            required: Some(false),
            number_attribute_constraints: None,
            string_attribute_constraints: None,
        };
        match kind.as_str() {
            "String" => {
                mine.string_attribute_constraints =
                    Some(attribute.string_attribute_constraints.clone().unwrap_or_default());
            }
            "Number" => {
                mine.number_attribute_constraints =
                    Some(attribute.number_attribute_constraints.clone().unwrap_or_default());
            }
            _ => {}
        }
        check_constraints(&name, &mine)?;
        schema.push(mine);
    }
    let count = schema
        .iter()
        .filter(|mine| mine.name.as_deref().is_some_and(|name| name.contains("custom:")))
        .count();
    if count > MAX_CUSTOM {
        return Err(Error::invalid(format!(
            "A user pool can have at most {MAX_CUSTOM} custom attributes."
        )));
    }
    Ok(())
}

fn change_standard(
    mine: &mut SchemaAttributeType,
    name: &str,
    asked: &SchemaAttributeType,
) -> Result<()> {
    let other_type = asked.attribute_data_type.is_some()
        && asked.attribute_data_type != mine.attribute_data_type;
    if other_type || asked.developer_only_attribute.unwrap_or(false) {
        return Err(Error::invalid(format!(
            "You can not change AttributeDataType or set developerOnlyAttribute for standard schema attribute {name}"
        )));
    }
    if name == "sub" || name == "identities" {
        return Ok(());
    }
    mine.mutable = asked.mutable.or(mine.mutable);
    mine.required = asked.required.or(mine.required);
    if asked.string_attribute_constraints.is_some() && mine.string_attribute_constraints.is_some() {
        mine.string_attribute_constraints = asked.string_attribute_constraints.clone();
    }
    if asked.number_attribute_constraints.is_some() && mine.number_attribute_constraints.is_some() {
        mine.number_attribute_constraints = asked.number_attribute_constraints.clone();
    }
    check_constraints(name, mine)
}

fn check_constraints(name: &str, attribute: &SchemaAttributeType) -> Result<()> {
    let refuse = |text: String| Err(Error::invalid(text));
    let number =
        |constraints: &str, text: Option<&String>| match text.map(|text| text.parse::<f64>()) {
            None => Ok(None),
            Some(Ok(value)) if value.is_finite() => Ok(Some(value)),
            Some(_) => {
                Err(Error::invalid(format!("Invalid {constraints} for schema attribute {name}")))
            }
        };
    if let Some(limits) = &attribute.string_attribute_constraints {
        let min = number("StringAttributeConstraints", limits.min_length.as_ref())?;
        let max = number("StringAttributeConstraints", limits.max_length.as_ref())?;
        if [min, max].into_iter().flatten().any(|value| value < 0.0) {
            return refuse(format!(
                "Invalid StringAttributeConstraints for schema attribute {name}"
            ));
        }
        if [min, max].into_iter().flatten().any(|value| value > 2048.0) {
            return refuse(format!(
                "user.{name}: String attributes cannot have a length of more than 2048"
            ));
        }
        if matches!((min, max), (Some(min), Some(max)) if min > max) {
            return refuse(format!("user.{name}: Max length cannot be less than min length."));
        }
    }
    if let Some(limits) = &attribute.number_attribute_constraints {
        let min = number("NumberAttributeConstraints", limits.min_value.as_ref())?;
        let max = number("NumberAttributeConstraints", limits.max_value.as_ref())?;
        if matches!((min, max), (Some(min), Some(max)) if min > max) {
            return refuse(format!("user.{name}: Max value cannot be less than min value."));
        }
    }
    Ok(())
}

fn name_of(attribute: &SchemaAttributeType) -> Result<&str> {
    match attribute.name.as_deref() {
        Some(name) if !name.is_empty() => Ok(name),
        _ => Err(Error::invalid("Every attribute of the schema needs a Name.")),
    }
}

fn standard(
    &(name, kind, min, max): &(
        &'static str,
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
    ),
) -> SchemaAttributeType {
    let text = |value: Option<&str>| value.map(str::to_owned);
    SchemaAttributeType {
        name: Some(name.to_owned()),
        attribute_data_type: Some(kind.to_owned()),
        developer_only_attribute: Some(false),
        mutable: Some(name != "sub"),
        required: Some(name == "sub"),
        number_attribute_constraints: (kind == "Number")
            .then(|| NumberAttributeConstraintsType { min_value: text(min), max_value: text(max) }),
        string_attribute_constraints: (kind == "String").then(|| StringAttributeConstraintsType {
            min_length: text(min),
            max_length: text(max),
        }),
    }
}
