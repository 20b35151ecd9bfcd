//! The rule of signing in, pure: facts and an event in, the next step out. MFA, passkeys and custom challenges are
//! further events and steps here.

use super::lockout::Lock;
use crate::ambient::Ms;
use crate::error::{Error, Kind};
use crate::pool::realm::triggers;
use crate::pool::{Client, Pool, Status, User};

/// All that the decision rests on. `user` is `None` for a name that nobody has.
pub struct Facts<'a> {
    pub pool: &'a Pool,
    pub client: &'a Client,
    pub user: Option<&'a User>,
    pub lock: Lock,
    pub now: Ms,
}

/// What happened in the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody named a user and wants to prove a password.
    Begin,
    /// The password, or the SRP claim on it, was checked.
    Password(Verdict),
    /// The user of a NEW_PASSWORD_REQUIRED challenge sent a conforming password.
    NewPassword,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
}

/// What is next.
#[derive(Debug)]
pub enum Step {
    /// Check the evidence, then come back with `Password`.
    Check,
    /// Ask for a new password.
    AskNewPassword,
    /// Refuse; `counts` says whether it is a failure towards the lock.
    Deny {
        error: Error,
        counts: bool,
    },
    Proven,
}

pub fn next(facts: &Facts<'_>, event: Event) -> Step {
    match event {
        Event::Begin => begin(facts),
        Event::Password(verdict) => after_password(facts, verdict),
        Event::NewPassword => after_new_password(facts),
    }
}

fn begin(facts: &Facts<'_>) -> Step {
    if let Err(error) = may_sign_in(facts) {
        return deny(error);
    }
    if facts.lock.holds(facts.now) {
        return deny(Error::not_authorized("Password attempts exceeded"));
    }
    Step::Check
}

fn after_password(facts: &Facts<'_>, verdict: Verdict) -> Step {
    // The facts may have changed since the attempt began: the lock most of all.
    if let step @ Step::Deny { .. } = begin(facts) {
        return step;
    }
    let Some(user) = facts.user else {
        return Step::Deny { error: unknown(facts), counts: true };
    };
    if verdict == Verdict::Wrong || user.password.is_none() {
        return Step::Deny { error: incorrect(), counts: true };
    }
    // Only somebody who knows the password learns of the account's state.
    if !user.enabled {
        return deny(Error::not_authorized("User is disabled."));
    }
    match user.status {
        Status::Confirmed => Step::Proven,
        Status::Unconfirmed => deny(Error::new(Kind::UserNotConfirmed, "User is not confirmed.")),
        Status::ResetRequired => {
            deny(Error::new(Kind::PasswordResetRequired, "Password reset required for the user"))
        }
        Status::ExternalProvider => deny(incorrect()),
        Status::ForceChangePassword if temporary_password_is_over(facts, user) => {
            deny(Error::not_authorized(
                "Temporary password has expired and must be reset by an administrator.",
            ))
        }
        Status::ForceChangePassword => Step::AskNewPassword,
    }
}

fn after_new_password(facts: &Facts<'_>) -> Step {
    if let Err(error) = may_sign_in(facts) {
        return deny(error);
    }
    match facts.user {
        Some(user) if !user.enabled => deny(Error::not_authorized("User is disabled.")),
        Some(user)
            if user.status == Status::ForceChangePassword
                && !temporary_password_is_over(facts, user) =>
        {
            Step::Proven
        }
        _ => deny(Error::not_authorized("Invalid session for the user.")),
    }
}

/// Settings whose effect is not built must stop a sign-in, not be skipped.
fn may_sign_in(facts: &Facts<'_>) -> Result<(), Error> {
    facts.pool.refuse_unbuilt_mfa()?;
    facts.pool.refuse_unbuilt_triggers(triggers::SIGN_IN)
}

/// Whether a name exists is told only where the client asked for that.
fn unknown(facts: &Facts<'_>) -> Error {
    if facts.client.hides_user_existence() {
        incorrect()
    } else {
        Error::new(Kind::UserNotFound, "User does not exist.")
    }
}

fn incorrect() -> Error {
    Error::not_authorized("Incorrect username or password.")
}

fn temporary_password_is_over(facts: &Facts<'_>, user: &User) -> bool {
    user.doc.temporary_until_ms.is_some_and(|until| until <= facts.now)
}

fn deny(error: Error) -> Step {
    Step::Deny { error, counts: false }
}
