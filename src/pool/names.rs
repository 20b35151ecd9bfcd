//! What a user may be called, and under which names a user can sign in.

use std::sync::LazyLock;

use regex::Regex;

use crate::error::{Error, Result};
use crate::pool::attributes;
use crate::pool::{Pool, User};

static USERNAME: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^[\p{L}\p{M}\p{S}\p{N}\p{P}]+$").ok());

/// A name as it is compared: as it stands in a case-sensitive pool, lower case otherwise.
pub fn fold(pool: &Pool, name: &str) -> String {
    if pool.case_sensitive() { name.to_owned() } else { name.to_lowercase() }
}

/// What a new user's `Username` means in this pool.
pub enum Chosen<'a> {
    /// The name itself.
    Name(&'a str),
    /// An address: it becomes this attribute, and the user's name is the `sub`.
    Attribute(&'static str, &'a str),
}

/// Letters, marks, symbols, numbers and punctuation, at most 128: UsernameType of the interface. So no name holds spaces, control
/// characters or marks that turn the text around them.
pub fn is_username(name: &str) -> bool {
    let length = name.chars().count();
    (1..=128).contains(&length) && USERNAME.as_ref().is_some_and(|pattern| pattern.is_match(name))
}

/// Refuses a name that the pool's sign-in options do not allow.
pub fn choose<'a>(pool: &Pool, name: &'a str) -> Result<Chosen<'a>> {
    if !is_username(name) {
        return Err(Error::invalid(
            "Username must have 1 to 128 letters, marks, symbols, numbers or punctuation characters, and no spaces.",
        ));
    }
    let (email, phone) = (attributes::is_email(name), attributes::is_phone(name));
    if pool.names_are_attributes() {
        return match (pool.signs_in_with("email"), pool.signs_in_with("phone_number")) {
            (true, _) if email => Ok(Chosen::Attribute("email", name)),
            (_, true) if phone => Ok(Chosen::Attribute("phone_number", name)),
            (true, true) => {
                Err(Error::invalid("Username should be either an email or a phone number."))
            }
            (true, false) => Err(Error::invalid("Username should be an email.")),
            _ => Err(Error::invalid("Username should be a phone number.")),
        };
    }
    if email && pool.aliases("email") {
        return Err(Error::invalid(
            "Username cannot be of email format, since user pool is configured for email alias.",
        ));
    }
    if phone && pool.aliases("phone_number") {
        return Err(Error::invalid(
            "Username cannot be of phone number format, since user pool is configured for phone number alias.",
        ));
    }
    Ok(Chosen::Name(name))
}

/// Whether a name, alias or `sub` means this user.
pub fn is_name_of(pool: &Pool, user: &User, name: &str) -> bool {
    let folded = fold(pool, name);
    name == user.sub || logins(pool, user).iter().any(|(_, login)| *login == folded)
}

/// Everything that this user can sign in with: (kind, folded name), the username first. Addresses that stand in
/// for a username count as soon as they are set; aliases only once they are verified. Of who came from an identity provider
/// only the username counts: no provider's word about an address takes it from somebody, or keeps it from its owner.
pub fn logins(pool: &Pool, user: &User) -> Vec<(&'static str, String)> {
    let mut logins = vec![("username", fold(pool, &user.username))];
    if user.doc.is_federated() {
        return logins;
    }
    for attribute in ["email", "phone_number"] {
        let counts = pool.signs_in_with(attribute)
            || (pool.aliases(attribute) && user.doc.is_verified(attribute));
        if let Some(value) = user.doc.get(attribute).filter(|value| counts && !value.is_empty()) {
            logins.push((attribute, fold(pool, value)));
        }
    }
    let preferred = user.doc.get("preferred_username").filter(|value| !value.is_empty());
    if let Some(value) = preferred.filter(|_| pool.aliases("preferred_username")) {
        logins.push(("preferred_username", fold(pool, value)));
    }
    let mut seen = Vec::new();
    logins.retain(|(_, login)| {
        let fresh = !seen.contains(login);
        seen.push(login.clone());
        fresh
    });
    logins
}
