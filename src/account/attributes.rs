//! Changing a user's attributes, by the user or an administrator, and verifying addresses by code.

use cenote_interface::types::CodeDeliveryDetailsType;

use super::address;
use super::admin::{check_verified_flags, write_pairs};
use super::codes::{self, Guess, Purpose};
use crate::audit::{self, Actor};
use crate::auth::claims;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::notify::Address;
use crate::pool::attributes::{self, Writer};
use crate::pool::realm::triggers;
use crate::pool::{Pool, User};
use crate::store::{Batch, users};
use crate::tokens;
use crate::tokens::verify::Access;

/// Who changes attributes.
#[derive(Clone, Copy)]
pub enum By<'a> {
    User(&'a Access),
    Administrator,
}

impl<'a> By<'a> {
    fn writer(self) -> Writer<'a> {
        match self {
            By::User(access) => Writer::Client(&access.client),
            By::Administrator => Writer::Administrator,
        }
    }

    /// The start of every batch: what a token authorises commits only while the token lives.
    pub(super) fn batch(self) -> Batch {
        let mut batch = Batch::new();
        if let By::User(access) = self {
            access.guard(&mut batch);
        }
        batch
    }

    pub(super) fn actor(self) -> Actor<'a> {
        match self {
            By::User(access) => Actor::User(&access.user.sub),
            By::Administrator => Actor::Administrator,
        }
    }
}

/// UpdateUserAttributes and its Admin form: where codes went. A new address is unverified until its code is confirmed; where the pool
/// asks for verification before update, the old one stays until then.
pub async fn update(
    cx: &Cx,
    pool: &Pool,
    user: &User,
    by: By<'_>,
    pairs: &[(String, String)],
) -> Result<Vec<CodeDeliveryDetailsType>> {
    attributes::check(pool, by.writer(), true, pairs)?;
    let change = plan(pool, user, pairs)?;
    if !change.codes.is_empty() {
        pool.refuse_unbuilt_triggers(triggers::SEND)?;
    }
    let mut batch = by.batch();
    claims::claim(cx, &mut batch, pool, Some(user), &change.user, false, claims::alias_exists)
        .await?;
    users::update(&mut batch, pool, user, &change.user, cx.now, &Error::conflict())?;
    if matches!(by, By::User(_)) && !change.codes.is_empty() {
        // Changing an address back and forth is no way around the limit of codes.
        codes::allow(cx, &mut batch, pool, &user.sub, "GetUserAttributeVerificationCode", 5);
    }
    let birth = tokens::tick_for(cx, pool, user);
    let mut details = Vec::new();
    // To a disabled user no code is sent: it could not be used.
    for to in change.codes.iter().filter(|_| user.enabled) {
        let purpose = Purpose::Attribute(to.attribute);
        details.push(codes::issue(cx, &mut batch, pool, user, birth, purpose, to)?);
        if matches!(by, By::User(_)) {
            codes::charge_openly(cx, &mut batch, pool, to).await?;
        }
    }
    let action = match by {
        By::User(_) => "UpdateUserAttributes",
        By::Administrator => "AdminUpdateUserAttributes",
    };
    let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    audit::note(&mut batch, cx, &pool.id, &by.actor(), action, &user.sub, "ok", &names.join(" "));
    cx.db().commit(batch).await?;
    Ok(details)
}

/// The user as it will be, and the addresses that get a code.
struct Change {
    user: User,
    codes: Vec<Address>,
}

fn plan(pool: &Pool, old: &User, pairs: &[(String, String)]) -> Result<Change> {
    let mut user = old.clone();
    let mut codes = Vec::new();
    let mut now = pairs.to_vec();
    for attribute in address::ATTRIBUTES {
        let flag = format!("{attribute}_verified");
        let Some(value) =
            pairs.iter().find(|(name, _)| name == attribute).map(|(_, value)| value.as_str())
        else {
            continue;
        };
        user.doc.pending.retain(|(name, _)| name != attribute);
        if value.is_empty() {
            user.doc.remove(&flag);
            continue;
        }
        // Who vouches for the address in the same request (only administrators can) leaves nothing to verify.
        let vouched =
            pairs.iter().any(|(name, value)| *name == flag && value.eq_ignore_ascii_case("true"));
        if old.doc.get(attribute) == Some(value) || vouched {
            continue;
        }
        let to = Address { attribute, value: value.to_owned() };
        if pool.verifies_before_update(attribute) {
            now.retain(|(name, _)| name != attribute);
            user.doc.pending.push((attribute.to_owned(), value.to_owned()));
            codes.push(to);
        } else {
            user.doc.set(&flag, "false");
            if pool.auto_verifies(attribute) {
                codes.push(to);
            }
        }
    }
    write_pairs(&mut user.doc, &now);
    check_verified_flags(&user.doc)?;
    Ok(Change { user, codes })
}

/// DeleteUserAttributes and its Admin form. An address goes with its `_verified`.
pub async fn delete(cx: &Cx, pool: &Pool, user: &User, by: By<'_>, names: &[String]) -> Result<()> {
    // To delete is to write nothing: the same rules of schema, mutability and requirement hold.
    let pairs: Vec<(String, String)> =
        names.iter().map(|name| (name.clone(), String::new())).collect();
    attributes::check(pool, by.writer(), true, &pairs).map_err(|error| match error.kind {
        Kind::InvalidParameter => {
            Error::invalid(format!("Invalid user attributes: {}", error.message))
        }
        _ => error,
    })?;
    let mut changed = user.clone();
    for name in names {
        changed.doc.remove(name);
        if address::attribute(name).is_some() {
            changed.doc.remove(&format!("{name}_verified"));
            changed.doc.pending.retain(|(pending, _)| pending != name);
        }
    }
    let action = match by {
        By::User(_) => "DeleteUserAttributes",
        By::Administrator => "AdminDeleteUserAttributes",
    };
    let mut batch = by.batch();
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    audit::note(&mut batch, cx, &pool.id, &by.actor(), action, &user.sub, "ok", &names.join(" "));
    cx.db().commit(batch).await
}

/// GetUserAttributeVerificationCode: to the value that waits, or else to the present one.
pub async fn send_code(cx: &Cx, access: &Access, name: &str) -> Result<CodeDeliveryDetailsType> {
    let (pool, user) = (&*access.pool, &access.user);
    pool.refuse_unbuilt_triggers(triggers::SEND)?;
    let attribute = verifiable(name)?;
    let to = candidates(user, attribute).into_iter().next();
    let to =
        to.ok_or_else(|| Error::invalid(format!("User does not have the attribute {attribute}.")))?;
    let mut batch = By::User(access).batch();
    codes::allow(cx, &mut batch, pool, &user.sub, "GetUserAttributeVerificationCode", 5);
    let birth = tokens::tick_for(cx, pool, user);
    let details =
        codes::issue(cx, &mut batch, pool, user, birth, Purpose::Attribute(attribute), &to)?;
    codes::charge_openly(cx, &mut batch, pool, &to).await?;
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&user.sub),
        "GetUserAttributeVerificationCode",
        &user.sub,
        "ok",
        attribute,
    );
    cx.db().commit(batch).await?;
    Ok(details)
}

/// VerifyUserAttribute: the address that the code went to becomes the user's, verified.
pub async fn verify(cx: &Cx, access: &Access, name: &str, code: &str) -> Result<()> {
    let (pool, user) = (&*access.pool, &access.user);
    let attribute = verifiable(name)?;
    let purpose = Purpose::Attribute(attribute);
    codes::spend(cx, pool, &user.sub, "VerifyUserAttribute", 15).await?;
    let guess =
        codes::guess(cx, pool, Some(user), &user.sub, purpose, &candidates(user, attribute), code)
            .await?;
    let mut batch = By::User(access).batch();
    let Guess::Right(proof) = &guess else {
        return codes::deny(
            cx,
            batch,
            pool,
            &user.sub,
            guess,
            Actor::User(&user.sub),
            "VerifyUserAttribute",
        )
        .await;
    };

    let mut changed = user.clone();
    changed.doc.set(attribute, &proof.address.value);
    changed.doc.set(&format!("{attribute}_verified"), "true");
    changed.doc.pending.retain(|(pending, _)| pending != attribute);
    claims::claim(cx, &mut batch, pool, Some(user), &changed, false, claims::alias_exists).await?;
    proof.consume(cx, &mut batch, pool, user, tokens::tick_for(cx, pool, user));
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&user.sub),
        "VerifyUserAttribute",
        &user.sub,
        "ok",
        attribute,
    );
    cx.db().commit(batch).await
}

fn verifiable(name: &str) -> Result<&'static str> {
    address::attribute(name)
        .ok_or_else(|| Error::invalid("Only email and phone_number can be verified by a code."))
}

/// The addresses that a code for this attribute may have gone to: the value that waits first.
fn candidates(user: &User, attribute: &'static str) -> Vec<Address> {
    let pending = user.doc.pending.iter().filter(|(name, _)| name == attribute);
    let pending = pending.map(|(_, value)| Address { attribute, value: value.clone() });
    pending.chain(address::of(user, attribute)).collect()
}
