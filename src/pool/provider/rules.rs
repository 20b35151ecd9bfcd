//! What a provider may be called and which of its claims become which attributes (CreateIdentityProvider, UpdateIdentityProvider;
//! the limits of single members are in the interface).

use std::collections::BTreeMap;

use super::{Kind, Provider};
use crate::error::{Error, Kind as Fault, Result};
use crate::pool::{Pool, attributes};

/// In SupportedIdentityProviders it is the pool itself.
const OWN: &str = "COGNITO";
const MAX_CLAIM: usize = 2_048;

impl Kind {
    /// The claim that a user is known by; a SAML user is known by the NameID, which is no attribute.
    pub fn subject_claim(self) -> Option<&'static str> {
        match self {
            Kind::Saml => None,
            Kind::Oidc | Kind::Google | Kind::SignInWithApple => Some("sub"),
            Kind::Facebook => Some("id"),
            Kind::LoginWithAmazon => Some("user_id"),
        }
    }

    /// There is one of it in a pool, which is called as its kind.
    pub fn is_social(self) -> bool {
        !matches!(self, Kind::Saml | Kind::Oidc)
    }
}

/// Social providers are called as their kind, and nothing else is. Names that differ only in case would give users of two providers
/// the same name in a pool that ignores case.
pub fn check_name(pool: &Pool, kind: Kind, name: &str, others: &[Provider]) -> Result<()> {
    let another_kind = Kind::parse(name).is_some_and(|named| named != kind);
    if another_kind || (kind.is_social() && name != kind.as_str()) {
        return Err(Error::invalid(format!(
            "Provider {name} cannot be of type {}.",
            kind.as_str()
        )));
    }
    if name.eq_ignore_ascii_case(OWN) {
        return Err(Error::invalid(format!(
            "Provider {name} cannot be created: {OWN} names the user pool itself."
        )));
    }
    let wanted = name.to_lowercase();
    match others.iter().find(|other| other.name.to_lowercase() == wanted) {
        Some(other) => Err(Error::new(
            Fault::DuplicateProvider,
            format!("{} already exists in user pool {}.", other.name, pool.id),
        )),
        None => Ok(()),
    }
}

/// Identifiers are compared without regard to case, since domains of mail addresses are.
pub fn check_identifiers(name: &str, identifiers: &[String], others: &[Provider]) -> Result<()> {
    for (at, identifier) in identifiers.iter().enumerate() {
        let wanted = identifier.to_lowercase();
        if identifiers.iter().take(at).any(|other| other.to_lowercase() == wanted) {
            return Err(Error::invalid(format!(
                "IdpIdentifiers names {identifier} more than once."
            )));
        }
        let owner = others.iter().find(|other| {
            other.name != name
                && other.doc.identifiers.iter().any(|other| other.to_lowercase() == wanted)
        });
        if let Some(owner) = owner {
            return Err(taken(identifier, &owner.name));
        }
    }
    Ok(())
}

fn taken(identifier: &str, owner: &str) -> Error {
    Error::invalid(format!(
        "The identifier {identifier} already belongs to the provider {owner}; an identifier leads to one provider."
    ))
}

/// AttributeMapping, completed: the attribute `username` is always the claim by which the provider knows its user.
pub fn mapping(
    pool: &Pool,
    kind: Kind,
    given: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>> {
    let mut mapping = given.clone();
    for (attribute, claim) in given {
        let refuse = |why: String| {
            Err(Error::invalid(format!(
                "AttributeMapping contains invalid mapping: [{attribute}]. {why}"
            )))
        };
        if claim.trim().is_empty() || claim.chars().count() > MAX_CLAIM {
            return refuse(format!(
                "The provider's attribute must have 1 to {MAX_CLAIM} characters."
            ));
        }
        if attribute == "username" {
            match kind.subject_claim() {
                Some(subject) if subject == claim => continue,
                Some(subject) => {
                    return refuse(format!(
                        "The username of a user of {} is made from {subject}, and from nothing else.",
                        kind.as_str()
                    ));
                }
                None => {
                    return refuse(
                        "The username of a SAML user is made from the NameID, and from nothing else.".to_owned(),
                    );
                }
            }
        }
        match attributes::find(pool, attribute) {
            None => return refuse(format!("User pool {} has no such attribute.", pool.id)),
            // It is written at every sign-in.
            Some(schema) if schema.mutable == Some(false) => {
                return refuse(
                    "The attribute is not mutable, and would be written at every sign-in."
                        .to_owned(),
                );
            }
            Some(_) => {}
        }
    }
    if let Some(subject) = kind.subject_claim() {
        mapping.insert("username".to_owned(), subject.to_owned());
    }
    Ok(mapping)
}

pub fn check_acr(kind: Kind, mapping: &BTreeMap<String, String>) -> Result<()> {
    match kind {
        Kind::Oidc => Ok(()),
        _ if mapping.is_empty() => Ok(()),
        kind => Err(Error::invalid(format!(
            "AcrMapping is only for identity providers of the type OIDC, and this one is of the type {}.",
            kind.as_str()
        ))),
    }
}

/// Sign-in that a SAML provider begins by itself names the app client, so an app client that allows it offers only providers of that
/// kind (`cognito-behaviour`, 2.3). `supported` is its list, `all` are the pool's providers.
pub fn check_together(supported: &[String], all: &[Provider]) -> Result<()> {
    let find = |name: &String| all.iter().find(|provider| provider.name == *name);
    let begins = supported
        .iter()
        .filter_map(find)
        .find(|provider| provider.kind == Kind::Saml && provider.is("IDPInit"));
    let other = supported.iter().find(|name| {
        *name == OWN || find(name).is_some_and(|provider| provider.kind != Kind::Saml)
    });
    match (begins, other) {
        (Some(begins), Some(other)) => Err(Error::invalid(format!(
            "The provider {} has IDPInit true, so an app client that supports it can support only SAML providers, and not {other}.",
            begins.name
        ))),
        _ => Ok(()),
    }
}
