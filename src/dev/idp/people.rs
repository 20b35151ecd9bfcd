//! The people of the demonstration. Whoever else is wanted gives a name and an address.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use crate::keys;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The `sub` of tokens and the NameID of assertions.
    pub id: String,
    pub name: String,
    pub given_name: String,
    pub family_name: String,
    pub email: String,
    pub email_verified: bool,
    pub groups: Vec<String>,
}

/// One of them has letters beyond ASCII, and one an address that nobody has verified.
pub fn all() -> Vec<Person> {
    [
        ("dana", "Dana", "Holt", true, &["staff", "admins"][..]),
        ("emil", "Emil", "Åström", true, &["staff"]),
        ("mei", "Mei", "Lin", false, &[]),
    ]
    .into_iter()
    .map(|(id, given_name, family_name, email_verified, groups)| Person {
        id: id.to_owned(),
        name: format!("{given_name} {family_name}"),
        given_name: given_name.to_owned(),
        family_name: family_name.to_owned(),
        email: format!("{id}@partner.example"),
        email_verified,
        groups: groups.iter().map(|group| (*group).to_owned()).collect(),
    })
    .collect()
}

pub fn find(id: &str) -> Option<Person> {
    all().into_iter().find(|person| person.id == id)
}

/// Somebody with this name and address; the same address is the same person.
pub fn other(name: &str, email: &str) -> Result<Person, &'static str> {
    let (name, email) = (name.trim(), email.trim());
    if name.is_empty() || email.is_empty() {
        return Err("Give a name and an e-mail address.");
    }
    if name.chars().count() > 100 || email.len() > 200 || name.chars().any(char::is_control) {
        return Err("The name or the address is too long.");
    }
    let parts = email.split_once('@');
    let sound = parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
    if !sound || email.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("The e-mail address is not one.");
    }
    if let Some(known) = all().into_iter().find(|person| person.email.eq_ignore_ascii_case(email)) {
        return Ok(known);
    }
    let hash = BASE64_URL_SAFE_NO_PAD.encode(keys::hash(email.to_lowercase()));
    let (given_name, family_name) = name.rsplit_once(' ').unwrap_or((name, ""));
    Ok(Person {
        id: format!("guest-{}", hash.get(..10).unwrap_or(&hash).to_lowercase()),
        name: name.to_owned(),
        given_name: given_name.trim().to_owned(),
        family_name: family_name.to_owned(),
        email: email.to_owned(),
        email_verified: false,
        groups: vec!["guests".to_owned()],
    })
}

impl Person {
    /// OpenID Connect's claims for these scopes.
    pub fn claims(&self, scope: &str) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), json!(self.id));
        let asked = |name: &str| scope.split(' ').any(|scope| scope == name);
        if asked("profile") {
            claims.insert("name".to_owned(), json!(self.name));
            claims.insert("given_name".to_owned(), json!(self.given_name));
            claims.insert("family_name".to_owned(), json!(self.family_name));
            claims.insert("groups".to_owned(), json!(self.groups));
        }
        if asked("email") {
            claims.insert("email".to_owned(), json!(self.email));
            claims.insert("email_verified".to_owned(), json!(self.email_verified));
        }
        claims
    }

    /// The attributes of an assertion.
    pub fn attributes(&self) -> Vec<(&'static str, Vec<String>)> {
        let one = |text: &str| vec![text.to_owned()];
        let all = [
            ("email", one(&self.email)),
            ("email_verified", one(if self.email_verified { "true" } else { "false" })),
            ("name", one(&self.name)),
            ("given_name", one(&self.given_name)),
            ("family_name", one(&self.family_name)),
            ("groups", self.groups.clone()),
        ];
        all.into_iter().filter(|(_, values)| values.iter().any(|value| !value.is_empty())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_address_is_the_same_person_and_the_demo_people_keep_theirs() {
        let guest = other("Nia Park", "Nia@example.com").unwrap();
        assert_eq!(guest.id, other("N. Park", " nia@EXAMPLE.com").unwrap().id);
        assert_ne!(guest.id, other("Nia Park", "nia@example.org").unwrap().id);
        assert_eq!((&*guest.given_name, &*guest.family_name), ("Nia", "Park"));
        assert_eq!(other("Somebody", "DANA@partner.example").unwrap().id, "dana");
        for (name, email) in [("", "a@b"), ("A", ""), ("A", "a"), ("A", "@b"), ("A", "a b@c")] {
            assert!(other(name, email).is_err(), "{name:?} {email:?}");
        }
    }

    #[test]
    fn claims_follow_the_scope() {
        let dana = find("dana").unwrap();
        let names = |scope: &str| dana.claims(scope).keys().cloned().collect::<Vec<_>>();
        assert_eq!(names("openid"), ["sub"]);
        assert_eq!(names("openid email"), ["sub", "email", "email_verified"]);
    }
}
