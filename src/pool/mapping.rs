//! Attribute mapping, pure: what a provider said of somebody becomes attributes of a user, at every sign-in (`cognito-behaviour`, 3).

use url::form_urlencoded;

use super::attributes;
use super::identity::Identity;
use super::provider::{Kind, Provider};
use super::{Client, Pool, UserDoc};
use crate::error::{Error, Result};

const ADDRESSES: [&str; 2] = ["email", "phone_number"];

/// The user's document after this sign-in; `old` is that of a user whom the pool knows already. Whatever the provider does not say
/// stays as it is. Everything else is written even if it is the same, so an attribute that may not change refuses the sign-in.
pub fn apply(
    pool: &Pool,
    client: &Client,
    provider: &Provider,
    identity: &Identity,
    old: Option<&UserDoc>,
) -> Result<UserDoc> {
    let given = given(provider, identity);
    let mut doc = old.cloned().unwrap_or_default();
    for (name, value) in given.iter().filter(|(name, _)| address_of(name).is_none()) {
        if value.is_empty() && old.is_none() {
            continue;
        }
        check(pool, client, identity.kind, old.is_some(), name, value)?;
        if value.is_empty() {
            doc.remove(name);
        } else {
            doc.set(name, value);
        }
    }
    for address in ADDRESSES {
        verify(&given, address, old, &mut doc);
    }
    if old.is_none() {
        check_required(pool, identity.kind, &doc)?;
    }
    Ok(doc)
}

/// The value that a provider gives under one of its names: several become `[a,b]`, each form-encoded, so that a comma in one of
/// them does not make two. `None` where it says nothing.
pub fn value(identity: &Identity, claim: &str) -> Option<String> {
    match identity.claim(claim)? {
        [] => None,
        [one] => Some(one.clone()),
        several => {
            let several: Vec<String> = several
                .iter()
                .map(|value| form_urlencoded::byte_serialize(value.as_bytes()).collect())
                .collect();
            Some(format!("[{}]", several.join(",")))
        }
    }
}

/// The mapped attributes that the provider gave. The `username` is not among them: it is always made from the subject.
pub fn given(provider: &Provider, identity: &Identity) -> Vec<(String, String)> {
    let mapping = provider.doc.mapping.iter().filter(|(name, _)| *name != "username");
    mapping.filter_map(|(name, claim)| Some((name.clone(), value(identity, claim)?))).collect()
}

fn check(
    pool: &Pool,
    client: &Client,
    kind: Kind,
    known: bool,
    name: &str,
    value: &str,
) -> Result<()> {
    let Some(schema) = attributes::find(pool, name).filter(|_| name != "sub") else {
        return Err(fault(kind, name, "Attribute does not exist in the schema."));
    };
    if known && schema.mutable == Some(false) {
        return Err(Error::invalid(format!(
            "user.{name}: Attribute cannot be updated. It is mapped, so that every sign-in writes it: it must be mutable."
        )));
    }
    if !client.may_write(name) {
        return Err(Error::not_authorized(format!(
            "A client attempted to write unauthorized attribute: {name} is mapped, and is not among the client's WriteAttributes."
        )));
    }
    if value.is_empty() && schema.required == Some(true) {
        return Err(fault(kind, name, "Required attribute cannot be deleted"));
    }
    attributes::check_value(schema, name, value).map_err(|why| fault(kind, name, &why))
}

/// An address is verified if the provider says so of this very address. One that the provider has not changed stays what it
/// was; any other begins unverified.
fn verify(given: &[(String, String)], address: &str, old: Option<&UserDoc>, doc: &mut UserDoc) {
    let flag = format!("{address}_verified");
    let find = |name: &str| given.iter().find(|(key, _)| key == name);
    let Some((_, value)) = find(address) else { return };
    if value.is_empty() {
        doc.remove(&flag);
        doc.pending.retain(|(name, _)| name != address);
        return;
    }
    let same = old.is_some_and(|old| old.get(address) == Some(value));
    match find(&flag) {
        Some((_, said)) => {
            let said = matches!(said.as_str(), "true" | "True" | "TRUE" | "1");
            doc.set(&flag, if said { "true" } else { "false" });
        }
        None if same => {}
        None => doc.set(&flag, "false"),
    }
    if !same {
        doc.pending.retain(|(name, _)| name != address);
    }
}

/// `email` for `email_verified`.
fn address_of(flag: &str) -> Option<&'static str> {
    ADDRESSES.into_iter().find(|address| flag.strip_suffix("_verified") == Some(address))
}

fn check_required(pool: &Pool, kind: Kind, doc: &UserDoc) -> Result<()> {
    let mut missing: Vec<&str> =
        attributes::required(pool).filter(|name| doc.get(name).is_none_or(str::is_empty)).collect();
    missing.sort_unstable();
    match (missing.first(), kind) {
        (None, _) => Ok(()),
        (Some(first), Kind::Saml) => Err(fault(kind, first, "The attribute is required")),
        (Some(_), _) => {
            Err(Error::invalid(format!("attributes required: [{}]", missing.join(", "))))
        }
    }
}

/// As Cognito words it towards the app (`cognito-behaviour`, 2.7).
fn fault(kind: Kind, name: &str, why: &str) -> Error {
    let begin = if kind == Kind::Saml { "Invalid SAML response received: " } else { "" };
    Error::invalid(format!("{begin}Invalid user attributes: {name}: {why}"))
}
