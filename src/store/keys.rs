//! Signing keys and access keys, sealed; and the few values that describe the database itself.

use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

/// One RSA key of a pool. `secret` is the sealed PKCS #8.
#[derive(Clone, Debug)]
pub struct SigningKeyRow {
    pub kid: String,
    /// `access` or `id`.
    pub use_for: String,
    /// `active` signs; `retired` only verifies; `revoked` does neither, and has no secret any more.
    pub state: String,
    pub secret: Vec<u8>,
    pub created_ms: Ms,
    /// When a retired key stops verifying.
    pub retire_ms: Option<Ms>,
}

pub async fn signing_keys(db: &Db, pool_id: &str) -> Result<Vec<SigningKeyRow>> {
    let sql = "SELECT kid, use_for, state, secret, created_ms, retire_ms FROM signing_keys WHERE pool_id = ?1 ORDER BY created_ms DESC, kid";
    let rows = db.query(sql, &params![pool_id]).await?;
    rows.iter()
        .map(|row| {
            Ok(SigningKeyRow {
                kid: row.string(0)?,
                use_for: row.string(1)?,
                state: row.string(2)?,
                secret: row.blob(3)?.to_vec(),
                created_ms: row.i64(4)?,
                retire_ms: row.opt_i64(5)?,
            })
        })
        .collect()
}

pub fn insert_signing_key(batch: &mut Batch, pool_id: &str, key: &SigningKeyRow) {
    batch.one(
        Rank::Job,
        "INSERT INTO signing_keys (pool_id, kid, use_for, state, secret, created_ms, retire_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        params![
            pool_id,
            key.kid.as_str(),
            key.use_for.as_str(),
            key.state.as_str(),
            key.secret.clone(),
            key.created_ms,
            key.retire_ms
        ],
        Error::conflict(),
    );
}

/// The active keys go on verifying until `retire_ms`; those whose time is over are removed.
pub fn retire_signing_keys(batch: &mut Batch, pool_id: &str, now: Ms, retire_ms: Ms) {
    batch.any(
        Rank::Job,
        "DELETE FROM signing_keys WHERE pool_id = ?1 AND state = 'retired' AND retire_ms < ?2",
        params![pool_id, now],
    );
    batch.any(
        Rank::Job,
        "UPDATE signing_keys SET state = 'retired', retire_ms = ?2 WHERE pool_id = ?1 AND state = 'active'",
        params![pool_id, retire_ms],
    );
}

/// The key signs and verifies nothing from now on, and is forgotten but for its name; if it still is in the state that was read.
pub fn revoke_signing_key(batch: &mut Batch, pool_id: &str, key: &SigningKeyRow, now: Ms) {
    batch.one(
        Rank::Job,
        "UPDATE signing_keys SET state = 'revoked', secret = ?4, retire_ms = ?5 WHERE pool_id = ?1 AND kid = ?2 AND state = ?3",
        params![pool_id, key.kid.as_str(), key.state.as_str(), Vec::<u8>::new(), now],
        Error::conflict().because(pool_id),
    );
}

// Access keys

/// What signs requests to the JSON door. `secret` is sealed; `doc` says which actions on which pools it may ask for.
#[derive(Clone, Debug)]
pub struct AccessKeyRow {
    pub id: String,
    pub secret: Vec<u8>,
    pub doc: String,
    pub created_ms: Ms,
}

pub async fn access_key(db: &Db, id: &str) -> Result<Option<AccessKeyRow>> {
    let sql =
        "SELECT access_key_id, secret, doc, created_ms FROM access_keys WHERE access_key_id = ?1";
    let row = db.one(sql, &params![id]).await?;
    row.map(|row| {
        Ok(AccessKeyRow {
            id: row.string(0)?,
            secret: row.blob(1)?.to_vec(),
            doc: row.string(2)?,
            created_ms: row.i64(3)?,
        })
    })
    .transpose()
}

pub async fn access_keys(db: &Db) -> Result<Vec<AccessKeyRow>> {
    let sql = "SELECT access_key_id, secret, doc, created_ms FROM access_keys ORDER BY created_ms, access_key_id LIMIT 10000";
    let rows = db.scan(sql, params![]).await?;
    rows.iter()
        .map(|row| {
            Ok(AccessKeyRow {
                id: row.string(0)?,
                secret: row.blob(1)?.to_vec(),
                doc: row.string(2)?,
                created_ms: row.i64(3)?,
            })
        })
        .collect()
}

pub fn insert_access_key(batch: &mut Batch, key: &AccessKeyRow) {
    batch.one(
        Rank::Meta,
        "INSERT INTO access_keys (access_key_id, secret, doc, created_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![key.id.as_str(), key.secret.clone(), key.doc.as_str(), key.created_ms],
        Error::conflict(),
    );
}

pub fn delete_access_key(batch: &mut Batch, id: &str, missing: Error) {
    batch.one(Rank::Meta, "DELETE FROM access_keys WHERE access_key_id = ?1", params![id], missing);
}

// The database itself: `canary`, `mode`, `dev`.

pub async fn meta(db: &Db, key: &str) -> Result<Option<Vec<u8>>> {
    let row = db.one("SELECT value FROM meta WHERE key = ?1", &params![key]).await?;
    row.map(|row| Ok(row.blob(0)?.to_vec())).transpose()
}

/// Sets a value that must not be there yet; `taken` if it is.
pub fn set_meta_once(batch: &mut Batch, key: &str, value: Vec<u8>, taken: Error) {
    batch.one(
        Rank::Meta,
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![key, value],
        taken,
    );
}

pub fn put_meta(batch: &mut Batch, key: &str, value: Vec<u8>) {
    batch.any(
        Rank::Meta,
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2",
        params![key, value],
    );
}
