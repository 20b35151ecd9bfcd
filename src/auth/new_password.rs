//! NEW_PASSWORD_REQUIRED: a user whom an administrator made, or whose password one set, chooses their own.

use std::collections::BTreeMap;

use super::challenge::{self, Doc};
use super::lockout::Lock;
use super::machine::{Event, Facts, Step, next};
use super::verdict::proven;
use super::{At, Challenged, Outcome, claims, credential, second};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::attributes::{self, Writer};
use crate::pool::{Status, User, factors, names, password};
use crate::store::{Batch, clocks, users};
use crate::tokens;

/// What the client is told: which attributes are still required, and those that the user has.
pub(super) fn challenged(at: At<'_>, user: &User, session: String) -> Challenged {
    let required: Vec<String> = attributes::required(at.pool)
        .filter(|name| user.doc.get(name).is_none_or(str::is_empty))
        .map(|name| format!("userAttributes.{name}"))
        .collect();
    let readable: BTreeMap<&str, &str> = user
        .doc
        .attributes
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .filter(|(name, _)| at.client.may_read(name))
        .collect();
    let json = |value: serde_json::Value| value.to_string();
    let parameters = BTreeMap::from([
        ("USER_ID_FOR_SRP".to_owned(), user.username.clone()),
        ("requiredAttributes".to_owned(), json(serde_json::json!(required))),
        ("userAttributes".to_owned(), json(serde_json::json!(readable))),
    ]);
    Challenged { name: "NEW_PASSWORD_REQUIRED", session: Some(session), parameters }
}

/// Sets the new password and the attributes that came with it. A password that does not conform leaves the challenge open.
pub async fn answer(
    cx: &Cx,
    at: At<'_>,
    session: &str,
    name: &str,
    new_password: &str,
    pairs: &[(String, String)],
) -> Result<Outcome> {
    let open = challenge::find(cx, at, session).await?;
    let invalid = || Error::not_authorized("Invalid session for the user.");
    let Doc::NewPassword { password_ver } = open.doc else { return Err(invalid()) };
    let old = users::find(cx.db(), &at.pool.id, &open.row.sub).await?.ok_or_else(invalid)?;
    open.check_alive(at, &old)?;
    if old.password_ver != password_ver || !names::is_name_of(at.pool, &old, name) {
        return Err(invalid());
    }
    let facts = Facts {
        pool: at.pool,
        client: at.client,
        user: Some(&old),
        lock: Lock::default(),
        now: cx.now,
    };
    match next(&facts, Event::NewPassword) {
        Step::Check => {}
        Step::Deny { error, .. } => return Err(error),
        step => return Err(Error::internal(format!("a new password cannot lead to {step:?}"))),
    }

    password::conforms_at_reset(&at.pool.password_policy(), new_password)?;
    attributes::check(at.pool, Writer::Client(at.client), false, pairs)?;
    let mut new = old.clone();
    for (name, value) in pairs {
        let immutable = attributes::find(at.pool, name)
            .is_some_and(|attribute| attribute.mutable == Some(false));
        if immutable && old.doc.get(name).is_some_and(|had| had != value) {
            return Err(Error::invalid(format!("user.{name}: Attribute cannot be updated.\n")));
        }
        if (name == "email" || name == "phone_number") && old.doc.get(name) != Some(value) {
            new.doc.remove(&format!("{name}_verified"));
        }
        if value.is_empty() { new.doc.remove(name) } else { new.doc.set(name, value) }
    }
    attributes::check_required(at.pool, &new.doc.attributes)?;
    if let Some(name) = factors::moved(at.pool, &old, &new) {
        return Err(Error::invalid(format!(
            "user.{name}: Attribute cannot be updated before the second factor is proved.\n"
        )));
    }
    new.status = Status::Confirmed;
    new.doc.temporary_until_ms = None;
    let step = next(&Facts { user: Some(&new), ..facts }, Event::PasswordChosen);

    let mut batch = Batch::new();
    let birth = tokens::tick(cx, at.pool, at.client, &old);
    match step {
        Step::Proven => clocks::sign_in(&mut batch, &old, birth.ms(), open.row.birth_ms),
        _ => clocks::go_on(&mut batch, &old, birth.ms(), open.row.birth_ms),
    }
    claims::claim(cx, &mut batch, at.pool, Some(&old), &new, false, claims::alias_exists).await?;
    users::update(&mut batch, at.pool, &old, &new, cx.now, &Error::conflict())?;
    credential::change(cx, &mut batch, at.pool, &old, new_password).await?;
    open.consume(cx, &mut batch, at);
    audit::note(
        &mut batch,
        cx,
        &at.pool.id,
        &Actor::User(&old.sub),
        "SetInitialPassword",
        &old.sub,
        "ok",
        at.door.as_str(),
    );
    new.password_ver += 1;
    new.ver += 1;
    match step {
        Step::Proven => Ok(proven(cx, at, new, birth, batch)),
        // The password is chosen, whatever becomes of the factor.
        Step::Deny { error, .. } => {
            cx.db().commit(batch).await?;
            Err(error)
        }
        step => second::ask(cx, at, &new, step, birth, batch).await,
    }
}
