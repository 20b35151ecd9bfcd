//! The secret of a user's authenticator app: made, sealed, and held against a code. Whether it may be set up is decided where that
//! happens: in `set_up` with a sign-in's Session, in `account::mfa` with an access token.

use super::totp::Secret;
use crate::ambient::HOUR;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::keys::Place;
use crate::pool::{Factor, Pool, User};
use crate::store::Batch;
use crate::store::codes;
use crate::store::factors::{self, SoftwareToken};

/// First codes that a user may try in an hour.
const TRIES: i64 = 15;

pub fn seal(cx: &Cx, pool: &Pool, user: &User, secret: &Secret) -> Result<Vec<u8>> {
    Ok(cx.app.vault.seal(cx.rng(), &place(pool, user), secret.as_bytes())?.0)
}

pub fn open(cx: &Cx, pool: &Pool, user: &User, sealed: &[u8]) -> Result<Secret> {
    Ok(Secret::from_bytes(&cx.app.vault.open(&place(pool, user), sealed)?))
}

/// What a code for the verified secret is worth.
pub enum Code {
    /// Right: `store::factors::use_token` belongs into the batch that it permits.
    Right {
        secret: Vec<u8>,
        step: i64,
    },
    Wrong,
    /// Right, but it or a later one was taken before.
    Used,
}

/// Holds a code against the user's verified secret. `None` where there is none (any more).
pub async fn check(cx: &Cx, pool: &Pool, user: &User, given: &str) -> Result<Option<Code>> {
    let row = factors::software_token(cx.db(), user).await?;
    let Some(SoftwareToken { secret: Some(secret), last_step, .. }) = row else { return Ok(None) };
    Ok(Some(match open(cx, pool, user, &secret)?.step_of(given, cx.now) {
        None => Code::Wrong,
        Some(step) if step <= last_step => Code::Used,
        Some(step) => Code::Right { secret, step },
    }))
}

/// The time step of the first code for a new secret; it is used up by this.
pub async fn first_code(
    cx: &Cx,
    pool: &Pool,
    user: &User,
    secret: &Secret,
    given: &str,
) -> Result<i64> {
    let mut batch = Batch::new();
    let too_many = Error::new(
        Kind::TooManyRequests,
        "Too many codes were tried for a new software token. Try again later.",
    );
    codes::take_allowance(
        &mut batch,
        &pool.id,
        &user.sub,
        "VerifySoftwareToken",
        TRIES,
        HOUR,
        cx.now,
        too_many,
    );
    cx.db().commit(batch).await?;
    secret
        .step_of(given, cx.now)
        .ok_or_else(|| Error::new(Kind::EnableSoftwareTokenMfa, "Code mismatch"))
}

pub fn check_offered(pool: &Pool) -> Result<()> {
    if pool.offers(Factor::SoftwareToken) {
        return Ok(());
    }
    Err(Error::new(
        Kind::SoftwareTokenMfaNotFound,
        "Software Token MFA has not been enabled by the userPool",
    ))
}

/// What a user may call the device of the app.
pub fn check_device_name(name: Option<&str>) -> Result<&str> {
    let name = name.unwrap_or_default();
    if name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Error::invalid(
            "FriendlyDeviceName may have at most 128 characters, none of them control characters.",
        ));
    }
    Ok(name)
}

pub fn missing() -> Error {
    Error::new(Kind::SoftwareTokenMfaNotFound, "Software Token MFA does not exist for the user.")
}

fn place<'a>(pool: &'a Pool, user: &'a User) -> Place<'a> {
    Place { table: "software_tokens", pool: &pool.id, row: &user.sub, column: "secret" }
}
