//! The user row as the mutex of sign-in and sign-out: failures, the clocks of revocation, guards. Only `tokens`, `auth`, `account`
//! and `signout` call these; `signout` alone raises epochs.

use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::User;

// Failures: part of the lock-out rule in `auth::lockout`.

/// Records one wrong password, if no other was recorded since `user` was read: racing guesses are counted one by one.
pub fn fail(batch: &mut Batch, user: &User, failures: i64, failed_ms: Ms) {
    batch.one(
        Rank::User,
        "UPDATE users SET failures = ?4, failed_ms = ?5 WHERE pool_id = ?1 AND sub = ?2 AND failures = ?3 AND failed_ms = ?6",
        params![user.pool_id.as_str(), user.sub.as_str(), user.failures, failures, failed_ms, user.failed_ms],
        lost(user),
    );
}

/// The failures of a name that nobody has: it locks like a user's, so that a lock does not tell them apart.
pub async fn stranger(db: &Db, pool_id: &str, login: &str) -> Result<(i64, Ms)> {
    let sql = "SELECT failures, failed_ms FROM strangers WHERE pool_id = ?1 AND login = ?2";
    let row = db.one(sql, &params![pool_id, login]).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.i64(0)?, row.i64(1)?)))
}

/// The same for a name that nobody has; `seen` is what was read.
pub fn fail_stranger(
    batch: &mut Batch,
    pool_id: &str,
    login: &str,
    seen: (i64, Ms),
    next: (i64, Ms),
) {
    batch.one(
        Rank::User,
        "INSERT INTO strangers (pool_id, login, failures, failed_ms) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (pool_id, login) DO UPDATE SET failures = ?3, failed_ms = ?4 \
         WHERE strangers.failures = ?5 AND strangers.failed_ms = ?6",
        params![pool_id, login, next.0, next.1, seen.0, seen.1],
        Error::conflict().because(login),
    );
}

/// The work of `advance_clock` for a user who does not exist.
pub fn touch_stranger(batch: &mut Batch, pool_id: &str, sub: &str) {
    batch.any(
        Rank::User,
        "UPDATE users SET clock_ms = clock_ms WHERE pool_id = ?1 AND sub = ?2",
        params![pool_id, sub],
    );
}

// The clocks of revocation.

/// What a sign-in commits on the user row: the clock moves to its birth, if nothing that ended sessions, disabled the user
/// or changed the password or the factors came in between, and the failures start again. `proved` is the birth of the challenge that was
/// answered, or `birth` itself where there was none.
pub fn sign_in(batch: &mut Batch, user: &User, birth: Ms, proved: Ms) {
    batch.one(
        Rank::User,
        "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms END, failures = 0, failed_ms = 0 \
         WHERE pool_id = ?1 AND sub = ?2 AND epoch_ms <= ?3 AND code_epoch_ms <= ?7 AND enabled = 1 AND password_ver = ?4 \
         AND failures = ?5 AND status = ?6 AND ver = ?8",
        params![
            user.pool_id.as_str(),
            user.sub.as_str(),
            birth,
            user.password_ver,
            user.failures,
            user.status.as_str(),
            proved,
            user.ver
        ],
        lost(user),
    );
}

/// The same for a step that leads to another challenge. The failures stay: they start again when all is proved, or whoever knows
/// the password could guess codes without end.
pub fn go_on(batch: &mut Batch, user: &User, birth: Ms, proved: Ms) {
    batch.one(
        Rank::User,
        "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms END \
         WHERE pool_id = ?1 AND sub = ?2 AND epoch_ms <= ?3 AND code_epoch_ms <= ?6 AND enabled = 1 AND password_ver = ?4 \
         AND status = ?5 AND ver = ?7",
        params![
            user.pool_id.as_str(),
            user.sub.as_str(),
            birth,
            user.password_ver,
            user.status.as_str(),
            proved,
            user.ver
        ],
        lost(user),
    );
}

/// A race on this user's row was lost; the cause names the user, so that re-runs of the same user queue up.
fn lost(user: &User) -> Error {
    Error::conflict().because(&user.sub)
}

/// In a pool that tracks sessions a sign-in also takes the next generation, so that MaxPerUser is exact.
pub fn next_generation(batch: &mut Batch, user: &User) {
    batch.one(
        Rank::User,
        "UPDATE users SET session_gen = session_gen + 1 WHERE pool_id = ?1 AND sub = ?2 AND session_gen = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.session_gen],
        lost(user),
    );
}

/// What everything else that is born commits: a code redeemed, a challenge made, a browser session renewed. `code_birth`
/// and `sso_birth` are the births of what it was made from, where that matters.
pub fn advance_clock(
    batch: &mut Batch,
    pool_id: &str,
    sub: &str,
    birth: Ms,
    born_of: BornOf,
    miss: Error,
) {
    let (token, code, sso, enabled) = match born_of {
        BornOf::Nothing => (birth, birth, Ms::MAX, false),
        BornOf::Code(ms) => (ms, ms, Ms::MAX, true),
        BornOf::Browser(ms) => (birth, birth, ms, true),
    };
    batch.one(
        Rank::User,
        "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms END \
         WHERE pool_id = ?1 AND sub = ?2 AND epoch_ms <= ?4 AND code_epoch_ms <= ?5 AND sso_epoch_ms <= ?6 AND enabled >= ?7",
        params![pool_id, sub, birth, token, code, sso, enabled],
        miss,
    );
}

/// What an act stands on: it commits only while that still lives.
#[derive(Clone, Copy, Debug)]
pub enum BornOf {
    /// Of a request alone: a challenge. Of a disabled user too, who must not be told so before the password.
    Nothing,
    /// Of a code with this birth, which must still live.
    Code(Ms),
    /// Of a browser session with this birth, which must still live; what it gives is above the other epochs.
    Browser(Ms),
}

/// Raises the user's epochs above all that exists: `epoch = clock = max(now, clock + 1)`.
pub fn end_all(batch: &mut Batch, pool_id: &str, sub: &str, now: Ms, reach: Reach, missing: Error) {
    // Each text moves the clock once, and to the same value the epochs that this reach covers.
    let sql = match reach {
        Reach { tokens: true, browsers: true } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             sso_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
        Reach { tokens: true, browsers: false } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
        Reach { tokens: false, browsers: true } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             sso_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
        Reach { tokens: false, browsers: false } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
    };
    batch.one(Rank::User, sql, params![pool_id, sub, now], missing);
}

/// What a user-wide end reaches; codes and challenges always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    pub tokens: bool,
    pub browsers: bool,
}

/// A guard alone: the user still is as it was read, and a token of this birth still lives.
pub fn guard(batch: &mut Batch, user: &User, birth: Ms, miss: Error) {
    batch.one(
        Rank::User,
        "UPDATE users SET ver = ver WHERE pool_id = ?1 AND sub = ?2 AND epoch_ms <= ?3 AND enabled = 1",
        params![user.pool_id.as_str(), user.sub.as_str(), birth],
        miss,
    );
}
