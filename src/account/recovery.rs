//! Getting a password back: ForgotPassword, ConfirmForgotPassword, AdminResetUserPassword.

use cenote_interface::types::CodeDeliveryDetailsType;

use super::codes::{self, Guess, Purpose};
use super::existence::{self, Named};
use super::password::end_by_reset;
use super::{Via, address};
use crate::audit::{self, Actor};
use crate::auth::credential;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::notify::{self, Address};
use crate::pool::realm::triggers;
use crate::pool::{Pool, Status, User, password};
use crate::signout::Why;
use crate::store::{Batch, users};
use crate::tokens;

/// Sends a code to a verified address. Where the client hides who exists, somebody who does not exist, is disabled or cannot
/// be sent a code gets an answer that looks the same.
pub async fn forgot(cx: &Cx, via: Via<'_>, name: &str) -> Result<CodeDeliveryDetailsType> {
    let pool = via.pool;
    pool.refuse_unbuilt_triggers(triggers::FORGOT)?;
    let order = address::recovery_order(pool)?;
    let Named { user, sub } = existence::find(cx, via, name).await?;
    let to = match &user {
        Some(user) => check_state(user)
            .and_then(|()| address::for_recovery(pool, user, |to| notify::can_send(cx, to))),
        None => Err(address::no_address()),
    };
    let mut batch = Batch::new();
    codes::allow(cx, &mut batch, pool, &sub, "ForgotPassword", 5);
    let hides = via.client.hides_user_existence();
    let (to, real) = match to {
        Ok(to) => (to, true),
        Err(error) if !hides => return Err(error),
        Err(_) => (existence::invented_address(cx, via, name, &order), false),
    };
    let room = notify::charge(cx, &mut batch, pool, &to).await?;
    let details = match (&user, room) {
        (Some(user), true) if real => {
            let birth = tokens::tick_for(cx, pool, user);
            codes::issue(cx, &mut batch, pool, user, birth, Purpose::Forgot, &to)?
        }
        (_, false) if !hides => return Err(codes::limit_exceeded()),
        // That an address has had enough messages would tell that there is one.
        _ => codes::pretend(cx, &mut batch, pool, user.as_ref(), &sub, Purpose::Forgot, &to)?,
    };
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Anybody,
        "ForgotPassword",
        &sub,
        "ok",
        &via.client.id,
    );
    cx.db().commit(batch).await?;
    Ok(details)
}

/// Sets a new password by the code, and ends everything that the old one had opened.
pub async fn confirm(
    cx: &Cx,
    via: Via<'_>,
    name: &str,
    code: &str,
    new_password: &str,
) -> Result<()> {
    let pool = via.pool;
    pool.refuse_unbuilt_triggers(triggers::CONFIRM)?;
    password::conforms_at_reset(&pool.password_policy(), new_password)?;
    let Named { user, sub } = existence::find(cx, via, name).await?;
    // Only verified addresses can have got the code, and only while they are still verified does it prove anything.
    let mut addresses = user.as_ref().map(address::all).unwrap_or_default();
    addresses.retain(|to: &Address| {
        user.as_ref().is_some_and(|user| user.doc.is_verified(to.attribute))
    });
    codes::spend(cx, pool, &sub, "ConfirmForgotPassword", 15).await?;
    let guess =
        codes::guess(cx, pool, user.as_ref(), &sub, Purpose::Forgot, &addresses, code).await?;
    let mut batch = Batch::new();
    let (Guess::Right(proof), Some(user)) = (&guess, &user) else {
        return codes::deny(cx, batch, pool, &sub, guess, Actor::Anybody, "ConfirmForgotPassword")
            .await;
    };

    let mut changed = user.clone();
    changed.status = Status::Confirmed;
    changed.doc.temporary_until_ms = None;
    proof.consume(cx, &mut batch, pool, user, tokens::tick_for(cx, pool, user));
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    credential::change(cx, &mut batch, pool, user, new_password).await?;
    end_by_reset(cx, &mut batch, pool, user, Why::user("password_reset"));
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&user.sub),
        "ConfirmForgotPassword",
        &user.sub,
        "ok",
        &via.client.id,
    );
    cx.db().commit(batch).await
}

/// AdminResetUserPassword: the password no longer signs in, and the user gets a code to choose another.
pub async fn reset(cx: &Cx, pool: &Pool, user: &User) -> Result<()> {
    pool.refuse_unbuilt_triggers(triggers::SEND)?;
    check_state(user)?;
    if !user.enabled {
        return Err(Error::not_authorized("User is disabled."));
    }
    if user.status == Status::Unconfirmed {
        return Err(cannot_be_reset());
    }
    let to = address::for_recovery(pool, user, |to| notify::can_send(cx, to))?;
    let mut changed = user.clone();
    changed.status = Status::ResetRequired;
    let mut batch = Batch::new();
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    end_by_reset(cx, &mut batch, pool, user, Why::admin("password_reset"));
    // After the end, which kills every code that was born before it.
    let birth = tokens::tick_after_end(cx, pool, user);
    codes::issue(cx, &mut batch, pool, user, birth, Purpose::Forgot, &to)?;
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Administrator,
        "AdminResetUserPassword",
        &user.sub,
        "ok",
        "",
    );
    cx.db().commit(batch).await
}

/// Who has only a temporary password, or none here at all, has nothing to get back.
fn check_state(user: &User) -> Result<()> {
    match user.status {
        Status::ForceChangePassword | Status::ExternalProvider => Err(cannot_be_reset()),
        Status::Unconfirmed | Status::Confirmed | Status::ResetRequired => Ok(()),
    }
}

fn cannot_be_reset() -> Error {
    Error::not_authorized("User password cannot be reset in the current state.")
}
