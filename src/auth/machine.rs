//! The rule of signing in, pure: facts and an event in, the next step out. Passkeys and custom challenges will be further events
//! and steps here.

use super::lockout::Lock;
use crate::ambient::Ms;
use crate::error::{Error, Kind};
use crate::pool::factors::{self, Asked};
use crate::pool::realm::triggers;
use crate::pool::{Client, Factor, Pool, Status, User};

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
    /// The user of a NEW_PASSWORD_REQUIRED challenge sent a password.
    NewPassword,
    /// It conforms, and the user is as it will be.
    PasswordChosen,
    /// Of several factors this was chosen.
    Chosen(Factor),
    /// A code was checked; the challenge says whether it was asked to prove a factor that the user has, or to set one up.
    Code { factor: Factor, verdict: Verdict, sets_up: bool },
    /// The user of an MFA_SETUP challenge wants to set up this factor.
    SettingUp(Factor),
    /// The user of an MFA_SETUP challenge has set up this factor.
    SetUp(Factor),
    /// An identity provider says who came. `Check` means that the pool may have its first sight of them.
    Federated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    Wrong,
    /// A right code, but it was taken before. Not a guess: it does not count.
    Used,
}

/// What is next.
#[derive(Debug)]
pub enum Step {
    /// Go on with the evidence, then come back.
    Check,
    /// Ask for a new password.
    AskNewPassword,
    /// Ask for this factor.
    Ask(Factor),
    /// Ask which of these factors to ask for.
    AskWhich(Vec<Factor>),
    /// Ask to set up one of these factors.
    AskToSetUp(Vec<Factor>),
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
        Event::NewPassword => new_password(facts),
        Event::PasswordChosen => second_factor(facts),
        Event::Chosen(factor) => chosen(facts, factor),
        Event::Code { factor, verdict, sets_up } => after_code(facts, factor, verdict, sets_up),
        Event::SettingUp(factor) => setting_up(facts, factor),
        Event::SetUp(factor) => match half_done(facts) {
            Ok(user) if factors::usable(facts.pool, user).contains(&factor) => Step::Proven,
            Ok(_) => deny(invalid_session()),
            Err(error) => deny(error),
        },
        Event::Federated => match federated(facts) {
            Ok(step) => step,
            Err(error) => deny(error),
        },
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
    if verdict != Verdict::Right || user.password.is_none() {
        return Step::Deny { error: incorrect(), counts: true };
    }
    // Only somebody who knows the password learns of the account's state.
    if !user.enabled {
        return deny(Error::not_authorized("User is disabled."));
    }
    match user.status {
        Status::Confirmed => second_factor(facts),
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

fn new_password(facts: &Facts<'_>) -> Step {
    if let Err(error) = may_sign_in(facts) {
        return deny(error);
    }
    match facts.user {
        Some(user) if !user.enabled => deny(Error::not_authorized("User is disabled.")),
        Some(user)
            if user.status == Status::ForceChangePassword
                && !temporary_password_is_over(facts, user) =>
        {
            Step::Check
        }
        _ => deny(invalid_session()),
    }
}

/// The password is proved.
fn second_factor(facts: &Facts<'_>) -> Step {
    let Some(user) = facts.user else { return deny(invalid_session()) };
    match factors::asked(facts.pool, user) {
        Asked::Nothing => Step::Proven,
        Asked::One(factor) => Step::Ask(factor),
        Asked::Which(factors) => Step::AskWhich(factors),
        Asked::SetUp(factors) if !factors.is_empty() => Step::AskToSetUp(factors),
        Asked::SetUp(_) | Asked::Unusable => {
            deny(Error::new(Kind::MfaMethodNotFound, "No MFA mechanism registered in the account."))
        }
    }
}

fn chosen(facts: &Facts<'_>, factor: Factor) -> Step {
    match half_done(facts) {
        Ok(user) if factors::usable(facts.pool, user).contains(&factor) => Step::Ask(factor),
        Ok(_) => deny(invalid_session()),
        Err(error) => deny(error),
    }
}

fn after_code(facts: &Facts<'_>, factor: Factor, verdict: Verdict, sets_up: bool) -> Step {
    let user = match half_done(facts) {
        Ok(user) => user,
        Err(error) => return deny(error),
    };
    // The same lock as for passwords, and before the verdict: a locked-out guesser learns nothing.
    if facts.lock.holds(facts.now) {
        return deny(Error::not_authorized("Code attempts exceeded"));
    }
    // What was asked for may have been switched off meanwhile, as after a theft of the phone.
    let still = match factors::asked(facts.pool, user) {
        Asked::Nothing => true,
        Asked::SetUp(factors) => sets_up && factors.contains(&factor),
        Asked::One(_) | Asked::Which(_) => {
            !sets_up && factors::usable(facts.pool, user).contains(&factor)
        }
        Asked::Unusable => false,
    };
    match verdict {
        _ if !still => deny(invalid_session()),
        Verdict::Right => Step::Proven,
        Verdict::Used => {
            deny(Error::new(Kind::ExpiredCode, "Your software token has already been used once."))
        }
        Verdict::Wrong => Step::Deny { error: wrong_code(factor), counts: true },
    }
}

/// Only who has no factor may set one up with nothing but the password: a sign-in that began before the user set one up must not
/// replace it.
fn setting_up(facts: &Facts<'_>, factor: Factor) -> Step {
    match half_done(facts).map(|user| factors::asked(facts.pool, user)) {
        Ok(Asked::SetUp(factors)) if factors.contains(&factor) => Step::Check,
        Ok(_) => deny(invalid_session()),
        Err(error) => deny(error),
    }
}

/// The provider has asked for what it asks for: no password of the pool, no lock, no second factor of its own (`cognito-behaviour`, 11).
fn federated(facts: &Facts<'_>) -> Result<Step, Error> {
    facts.pool.refuse_unbuilt_risk()?;
    facts.pool.refuse_unbuilt_triggers(triggers::FEDERATED)?;
    match facts.user {
        None => {
            facts.pool.refuse_unbuilt_triggers(triggers::FEDERATED_SIGN_UP)?;
            Ok(Step::Check)
        }
        Some(user) if !user.enabled => Err(Error::not_authorized("User is not enabled")),
        // Whoever signed up may not be whom the administrator meant: a link is no confirmation.
        Some(user) if user.status == Status::Unconfirmed => {
            Err(Error::new(Kind::UserNotConfirmed, "User is not confirmed."))
        }
        Some(_) => Ok(Step::Proven),
    }
}

/// Whoever comes with a challenge has proved the password, and must still be somebody who may sign in.
fn half_done<'a>(facts: &Facts<'a>) -> Result<&'a User, Error> {
    may_sign_in(facts)?;
    match facts.user {
        Some(user) if !user.enabled => Err(Error::not_authorized("User is disabled.")),
        Some(user) if user.status == Status::Confirmed => Ok(user),
        _ => Err(invalid_session()),
    }
}

/// Cognito has a sentence for codes of apps and one for codes that it sent.
pub fn wrong_code(factor: Factor) -> Error {
    let message = match factor {
        Factor::SoftwareToken => "Invalid code received for user",
        Factor::Sms | Factor::Email => "Invalid code or auth state for the user.",
    };
    Error::new(Kind::CodeMismatch, message)
}

pub fn invalid_session() -> Error {
    Error::not_authorized("Invalid session for the user.")
}

/// Settings whose effect is not built must stop a sign-in, not be skipped.
fn may_sign_in(facts: &Facts<'_>) -> Result<(), Error> {
    facts.pool.refuse_unbuilt_risk()?;
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
