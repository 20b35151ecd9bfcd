//! Single-use things: authorization codes, challenge sessions, confirmation codes; and hourly allowances.

use super::pools::{json, parse};
use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

// Authorization codes

/// An authorization code as it was found by its hash.
pub struct AuthorizationCode {
    pub sub: String,
    pub client_id: String,
    pub sso_id: String,
    /// The token session that it makes: a second redemption ends it.
    pub session_id: String,
    pub birth_ms: Ms,
    pub doc: CodeDoc,
    pub expires_ms: Ms,
    pub consumed_ms: Option<Ms>,
}

/// What was asked for at `/oauth2/authorize`.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct CodeDoc {
    pub redirect_uri: String,
    pub scope: String,
    pub nonce: Option<String>,
    pub code_challenge: Option<String>,
    #[serde(default)]
    pub resource: Option<String>,
    pub auth_ms: Ms,
}

pub fn insert_authorization_code(
    batch: &mut Batch,
    pool_id: &str,
    hash: &[u8; 32],
    code: &AuthorizationCode,
) -> Result<()> {
    batch.one(
        Rank::Code,
        "INSERT INTO authorization_codes (pool_id, hash, sub, client_id, sso_id, session_id, birth_ms, doc, expires_ms, consumed_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, NULL) ON CONFLICT DO NOTHING",
        params![
            pool_id,
            hash.as_slice(),
            code.sub.as_str(),
            code.client_id.as_str(),
            code.sso_id.as_str(),
            code.session_id.as_str(),
            code.birth_ms,
            json(&code.doc)?,
            code.expires_ms
        ],
        Error::conflict(),
    );
    Ok(())
}

pub async fn authorization_code(
    db: &Db,
    pool_id: &str,
    hash: &[u8; 32],
) -> Result<Option<AuthorizationCode>> {
    let sql = "SELECT sub, client_id, sso_id, session_id, birth_ms, doc, expires_ms, consumed_ms \
               FROM authorization_codes WHERE pool_id = ?1 AND hash = ?2";
    let row = db.one(sql, &params![pool_id, hash.as_slice()]).await?;
    row.map(|row| {
        Ok(AuthorizationCode {
            sub: row.string(0)?,
            client_id: row.string(1)?,
            sso_id: row.string(2)?,
            session_id: row.string(3)?,
            birth_ms: row.i64(4)?,
            doc: parse(row.text(5)?)?,
            expires_ms: row.i64(6)?,
            consumed_ms: row.opt_i64(7)?,
        })
    })
    .transpose()
}

pub fn consume_authorization_code(batch: &mut Batch, pool_id: &str, hash: &[u8; 32], now: Ms) {
    batch.one(
        Rank::Code,
        "UPDATE authorization_codes SET consumed_ms = ?3 WHERE pool_id = ?1 AND hash = ?2 AND consumed_ms IS NULL AND expires_ms > ?3",
        params![pool_id, hash.as_slice(), now],
        Error::conflict(),
    );
}

/// Kills the codes that came through a browser session and were not redeemed yet.
pub fn end_codes_through(batch: &mut Batch, pool_id: &str, sso_id: &str, now: Ms) {
    batch.any(
        Rank::Code,
        "UPDATE authorization_codes SET consumed_ms = ?3 WHERE pool_id = ?1 AND sso_id = ?2 AND consumed_ms IS NULL",
        params![pool_id, sso_id, now],
    );
}

// Challenge sessions

/// A half-done sign-in. `doc` is sealed: it may hold the server's SRP secret.
pub struct Challenge {
    /// The user, or an invented one where existence is hidden.
    pub sub: String,
    pub client_id: String,
    pub birth_ms: Ms,
    pub doc: Vec<u8>,
    pub expires_ms: Ms,
    pub consumed_ms: Option<Ms>,
}

pub fn insert_challenge(batch: &mut Batch, pool_id: &str, hash: &[u8; 32], challenge: &Challenge) {
    batch.one(
        Rank::Code,
        "INSERT INTO challenges (pool_id, hash, sub, client_id, birth_ms, doc, expires_ms, consumed_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL) ON CONFLICT DO NOTHING",
        params![
            pool_id,
            hash.as_slice(),
            challenge.sub.as_str(),
            challenge.client_id.as_str(),
            challenge.birth_ms,
            challenge.doc.clone(),
            challenge.expires_ms
        ],
        Error::conflict(),
    );
}

pub async fn challenge(db: &Db, pool_id: &str, hash: &[u8; 32]) -> Result<Option<Challenge>> {
    let sql = "SELECT sub, client_id, birth_ms, doc, expires_ms, consumed_ms FROM challenges WHERE pool_id = ?1 AND hash = ?2";
    let row = db.one(sql, &params![pool_id, hash.as_slice()]).await?;
    row.map(|row| {
        Ok(Challenge {
            sub: row.string(0)?,
            client_id: row.string(1)?,
            birth_ms: row.i64(2)?,
            doc: row.blob(3)?.to_vec(),
            expires_ms: row.i64(4)?,
            consumed_ms: row.opt_i64(5)?,
        })
    })
    .transpose()
}

pub fn consume_challenge(batch: &mut Batch, pool_id: &str, hash: &[u8; 32], now: Ms) {
    batch.one(
        Rank::Code,
        "UPDATE challenges SET consumed_ms = ?3 WHERE pool_id = ?1 AND hash = ?2 AND consumed_ms IS NULL AND expires_ms > ?3",
        params![pool_id, hash.as_slice(), now],
        Error::conflict(),
    );
}

// Confirmation codes

/// A short code that was sent to a user for one purpose (`signup`, `forgot`, `email`, `phone_number`); at most one each.
pub struct UserCode {
    pub mac: Vec<u8>,
    pub birth_ms: Ms,
    /// Wrong guesses so far.
    pub tries: i64,
    pub expires_ms: Ms,
    pub consumed_ms: Option<Ms>,
}

/// A new code takes the place of the old one.
pub fn put_user_code(
    batch: &mut Batch,
    pool_id: &str,
    sub: &str,
    purpose: &str,
    mac: &[u8; 32],
    birth_ms: Ms,
    expires_ms: Ms,
) {
    batch.one(
        Rank::Code,
        "INSERT INTO user_codes (pool_id, sub, purpose, mac, birth_ms, tries, expires_ms, consumed_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, NULL) ON CONFLICT (pool_id, sub, purpose) \
         DO UPDATE SET mac = ?4, birth_ms = ?5, tries = 0, expires_ms = ?6, consumed_ms = NULL",
        params![pool_id, sub, purpose, mac.as_slice(), birth_ms, expires_ms],
        Error::conflict(),
    );
}

pub async fn user_code(
    db: &Db,
    pool_id: &str,
    sub: &str,
    purpose: &str,
) -> Result<Option<UserCode>> {
    let sql = "SELECT mac, birth_ms, tries, expires_ms, consumed_ms FROM user_codes WHERE pool_id = ?1 AND sub = ?2 AND purpose = ?3";
    let row = db.one(sql, &params![pool_id, sub, purpose]).await?;
    row.map(|row| {
        Ok(UserCode {
            mac: row.blob(0)?.to_vec(),
            birth_ms: row.i64(1)?,
            tries: row.i64(2)?,
            expires_ms: row.i64(3)?,
            consumed_ms: row.opt_i64(4)?,
        })
    })
    .transpose()
}

/// Takes the code, if it still is the one that was read.
pub fn consume_user_code(
    batch: &mut Batch,
    pool_id: &str,
    sub: &str,
    purpose: &str,
    code: &UserCode,
    now: Ms,
) {
    batch.one(
        Rank::Code,
        "UPDATE user_codes SET consumed_ms = ?4 WHERE pool_id = ?1 AND sub = ?2 AND purpose = ?3 AND consumed_ms IS NULL \
         AND expires_ms > ?4 AND mac = ?5 AND tries = ?6",
        params![pool_id, sub, purpose, now, code.mac.as_slice(), code.tries],
        Error::conflict(),
    );
}

/// Counts a wrong guess; racing guesses are counted one by one.
pub fn miss_user_code(batch: &mut Batch, pool_id: &str, sub: &str, purpose: &str, code: &UserCode) {
    batch.one(
        Rank::Code,
        "UPDATE user_codes SET tries = tries + 1 WHERE pool_id = ?1 AND sub = ?2 AND purpose = ?3 AND mac = ?4 AND tries = ?5",
        params![pool_id, sub, purpose, code.mac.as_slice(), code.tries],
        Error::conflict(),
    );
}

// Hourly allowances

/// How many uses the hour that runs has seen.
pub async fn used_allowance(
    db: &Db,
    pool_id: &str,
    subject: &str,
    purpose: &str,
    window_ms: Ms,
    now: Ms,
) -> Result<i64> {
    let sql = "SELECT used, since_ms FROM allowances WHERE pool_id = ?1 AND subject = ?2 AND purpose = ?3";
    let Some(row) = db.one(sql, &params![pool_id, subject, purpose]).await? else { return Ok(0) };
    let over = (now - row.i64(1)?).abs() >= window_ms;
    Ok(if over { 0 } else { row.i64(0)? })
}

/// Takes one of `limit` uses in the hour that began with the first of them; `exhausted` is the answer if none is left.
#[allow(clippy::too_many_arguments, reason = "each is a column or a limit")]
pub fn take_allowance(
    batch: &mut Batch,
    pool_id: &str,
    subject: &str,
    purpose: &str,
    limit: i64,
    window_ms: Ms,
    now: Ms,
    exhausted: Error,
) {
    batch.one(
        Rank::Code,
        "INSERT INTO allowances (pool_id, subject, purpose, used, since_ms) VALUES (?1, ?2, ?3, 1, ?4) \
         ON CONFLICT (pool_id, subject, purpose) DO UPDATE SET \
         used = CASE WHEN allowances.since_ms <= ?5 OR allowances.since_ms > ?7 THEN 1 ELSE allowances.used + 1 END, \
         since_ms = CASE WHEN allowances.since_ms <= ?5 OR allowances.since_ms > ?7 THEN ?4 ELSE allowances.since_ms END \
         WHERE allowances.used < ?6 OR allowances.since_ms <= ?5 OR allowances.since_ms > ?7",
        // An hour that begins in the future was begun before the clock was set back.
        params![pool_id, subject, purpose, now, now - window_ms, limit, now + window_ms],
        exhausted,
    );
}
