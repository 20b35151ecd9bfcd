//! Confirmation codes: six digits for one user and one purpose. The database holds an HMAC that also covers the address that the
//! code went to, so that a code proves that address and no other. A code dies with the user's code epoch, after five wrong
//! guesses, with its successor, and with its lifetime (`cognito-behaviour`, 5.6).

use cenote_interface::types::CodeDeliveryDetailsType;

use crate::ambient::{HOUR, Ms};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::keys;
use crate::notify::{self, Address, Text};
use crate::pool::{Pool, User};
use crate::store::clocks::BornOf;
use crate::store::codes::UserCode;
use crate::store::{Batch, clocks, codes};
use crate::tokens::Birth;

/// Five guesses at a million codes.
const TRIES: i64 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    SignUp,
    Forgot,
    /// A new value of `email` or `phone_number`.
    Attribute(&'static str),
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Purpose::SignUp => "signup",
            Purpose::Forgot => "forgot",
            Purpose::Attribute(name) => name,
        }
    }

    fn lifetime(self) -> Ms {
        match self {
            Purpose::Forgot => HOUR,
            Purpose::SignUp | Purpose::Attribute(_) => 24 * HOUR,
        }
    }

    fn text(self, code: &str) -> Text<'_> {
        match self {
            Purpose::Forgot => Text::Reset { code },
            Purpose::SignUp | Purpose::Attribute(_) => Text::Verification { code },
        }
    }
}

/// Makes a code in place of an earlier one and sends it, in the caller's batch.
pub fn issue(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    user: &User,
    birth: Birth,
    purpose: Purpose,
    to: &Address,
) -> Result<CodeDeliveryDetailsType> {
    let code = ids::confirmation_code(cx.rng());
    clocks::advance_clock(
        batch,
        &pool.id,
        &user.sub,
        birth.ms(),
        BornOf::Code(birth.ms()),
        Error::conflict(),
    );
    let mac = mac(cx, pool, &user.sub, purpose, to, &code);
    codes::put_user_code(
        batch,
        &pool.id,
        &user.sub,
        purpose.as_str(),
        &mac,
        birth.ms(),
        cx.now + purpose.lifetime(),
    );
    notify::send(cx, batch, pool, to, &purpose.text(&code))
}

/// The same work for an invented user, or for one who cannot be sent a code: a code that nobody is told and no guess matches.
pub fn pretend(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    user: Option<&User>,
    sub: &str,
    purpose: Purpose,
    to: &Address,
) -> Result<CodeDeliveryDetailsType> {
    let code = ids::confirmation_code(cx.rng());
    clocks::touch_stranger(batch, &pool.id, sub);
    // Random, so that not even a lucky guess at six digits is right.
    let mut mac = [0; 32];
    cx.rng().fill(&mut mac);
    // Not below an epoch, or it would be known by being dead already.
    let birth_ms = user.map_or(cx.now, |user| user.clock_ms.max(cx.now)).max(pool.epoch_ms);
    codes::put_user_code(
        batch,
        &pool.id,
        sub,
        purpose.as_str(),
        &mac,
        birth_ms,
        cx.now + purpose.lifetime(),
    );
    notify::pretend(cx, batch, pool, to, &purpose.text(&code))
}

/// What a guess came to.
pub enum Guess {
    Right(Proof),
    Wrong(UserCode, Purpose),
    /// No such code, or no longer.
    Expired,
    /// Too many wrong guesses were made at it.
    Exhausted,
}

/// A right guess, not yet committed.
pub struct Proof {
    /// The address that the code went to.
    pub address: Address,
    code: UserCode,
    purpose: Purpose,
}

impl Proof {
    /// Takes the code: of several who present it one wins, and only while nothing has ended the user's codes.
    pub fn consume(&self, cx: &Cx, batch: &mut Batch, pool: &Pool, user: &User, birth: Birth) {
        clocks::advance_clock(
            batch,
            &pool.id,
            &user.sub,
            birth.ms(),
            BornOf::Code(self.code.birth_ms),
            Error::conflict(),
        );
        codes::consume_user_code(
            batch,
            &pool.id,
            &user.sub,
            self.purpose.as_str(),
            &self.code,
            cx.now,
        );
    }
}

/// Holds a guess against the stored code. `addresses` are those that it may have gone to. For an invented user there is no right guess.
pub async fn guess(
    cx: &Cx,
    pool: &Pool,
    user: Option<&User>,
    sub: &str,
    purpose: Purpose,
    addresses: &[Address],
    given: &str,
) -> Result<Guess> {
    let epoch = user.map_or(0, |user| user.code_epoch_ms.max(user.epoch_ms)).max(pool.epoch_ms);
    let code = codes::user_code(cx.db(), &pool.id, sub, purpose.as_str()).await?;
    let Some(code) = code.filter(|code| {
        code.consumed_ms.is_none() && code.expires_ms > cx.now && code.birth_ms >= epoch
    }) else {
        return Ok(Guess::Expired);
    };
    if code.tries >= TRIES {
        return Ok(Guess::Exhausted);
    }
    let mut proven = None;
    for address in addresses {
        if keys::same(&mac(cx, pool, sub, purpose, address, given), &code.mac) {
            proven = Some(address.clone());
        }
    }
    Ok(match (proven, user) {
        (Some(address), Some(_)) => Guess::Right(Proof { address, code, purpose }),
        _ => Guess::Wrong(code, purpose),
    })
}

/// Commits a guess that was not right, so that it counts, and gives the answer to it.
pub async fn deny<T>(
    cx: &Cx,
    mut batch: Batch,
    pool: &Pool,
    sub: &str,
    guess: Guess,
    actor: Actor<'_>,
    action: &str,
) -> Result<T> {
    let error = match &guess {
        Guess::Wrong(code, purpose) => {
            codes::miss_user_code(&mut batch, &pool.id, sub, purpose.as_str(), code);
            Error::new(Kind::CodeMismatch, "Invalid verification code provided, please try again.")
        }
        Guess::Expired => {
            Error::new(Kind::ExpiredCode, "Invalid code provided, please request a code again.")
        }
        Guess::Exhausted => limit_exceeded(),
        Guess::Right(_) => Error::internal("a right code was denied"),
    };
    audit::note(&mut batch, cx, &pool.id, &actor, action, sub, error.kind.cognito(), "");
    cx.db().commit(batch).await?;
    cx.note_refusal_audited();
    Err(error)
}

/// One of the uses that a user has in an hour (`cognito-behaviour`, 8.6); the batch fails where none is left.
pub fn allow(cx: &Cx, batch: &mut Batch, pool: &Pool, sub: &str, action: &str, limit: i64) {
    codes::take_allowance(batch, &pool.id, sub, action, limit, HOUR, cx.now, limit_exceeded());
}

/// The same, committed at once: before anything secret is compared, so that what a guess costs does not depend on
/// what it would have come to.
pub async fn spend(cx: &Cx, pool: &Pool, sub: &str, action: &str, limit: i64) -> Result<()> {
    let mut batch = Batch::new();
    allow(cx, &mut batch, pool, sub, action, limit);
    cx.db().commit(batch).await
}

/// One of the messages that an address gets in an hour, where it may be told that none is left.
pub async fn charge_openly(cx: &Cx, batch: &mut Batch, pool: &Pool, to: &Address) -> Result<()> {
    if notify::charge(cx, batch, pool, to).await? { Ok(()) } else { Err(limit_exceeded()) }
}

pub(super) fn limit_exceeded() -> Error {
    Error::new(Kind::LimitExceeded, "Attempt limit exceeded, please try after some time.")
}

fn mac(cx: &Cx, pool: &Pool, sub: &str, purpose: Purpose, to: &Address, code: &str) -> [u8; 32] {
    let data = [sub, to.attribute, &to.value, code].join("\0");
    cx.app.vault.mac(&pool.id, &format!("code {}", purpose.as_str()), data.as_bytes())
}
