//! Software tokens: the sealed secret that a user's codes are checked with, and the one that waits for its first code.

use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::User;

/// A row as it was read. Both secrets are sealed.
pub struct SoftwareToken {
    /// The verified one.
    pub secret: Option<Vec<u8>>,
    /// Given out, and not verified yet.
    pub pending: Option<Vec<u8>>,
    pub device_name: String,
    /// The time step of the last code that was taken; it and those before it are used up.
    pub last_step: i64,
}

pub async fn software_token(db: &Db, user: &User) -> Result<Option<SoftwareToken>> {
    let sql = "SELECT secret, pending, device_name, last_step FROM software_tokens WHERE pool_id = ?1 AND sub = ?2";
    let row = db.one(sql, &params![user.pool_id.as_str(), user.sub.as_str()]).await?;
    row.map(|row| {
        Ok(SoftwareToken {
            secret: row.opt_blob(0)?.map(<[u8]>::to_vec),
            pending: row.opt_blob(1)?.map(<[u8]>::to_vec),
            device_name: row.string(2)?,
            last_step: row.i64(3)?,
        })
    })
    .transpose()
}

/// A new secret that waits, in place of one that waited before. The verified one stays.
pub fn propose_token(batch: &mut Batch, user: &User, pending: Vec<u8>, now: Ms) {
    batch.one(
        Rank::Factor,
        "INSERT INTO software_tokens (pool_id, sub, secret, pending, device_name, last_step, created_ms, verified_ms) \
         VALUES (?1, ?2, NULL, ?3, '', 0, ?4, NULL) ON CONFLICT (pool_id, sub) DO UPDATE SET pending = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), pending, now],
        Error::conflict(),
    );
}

/// The secret that waited becomes the verified one, if it still waits.
pub fn adopt_token(
    batch: &mut Batch,
    user: &User,
    pending: &[u8],
    device_name: &str,
    step: i64,
    now: Ms,
) {
    batch.one(
        Rank::Factor,
        "UPDATE software_tokens SET secret = pending, pending = NULL, device_name = ?4, last_step = ?5, verified_ms = ?6 \
         WHERE pool_id = ?1 AND sub = ?2 AND pending = ?3",
        params![
            user.pool_id.as_str(),
            user.sub.as_str(),
            pending,
            device_name,
            step,
            now
        ],
        Error::conflict().because(&user.sub),
    );
}

/// A secret that was verified in the middle of a sign-in. The caller guards that the user has no token yet.
pub fn put_token(
    batch: &mut Batch,
    user: &User,
    secret: Vec<u8>,
    device_name: &str,
    step: i64,
    now: Ms,
) {
    batch.one(
        Rank::Factor,
        "INSERT INTO software_tokens (pool_id, sub, secret, pending, device_name, last_step, created_ms, verified_ms) \
         VALUES (?1, ?2, ?3, NULL, ?4, ?5, ?6, ?6) ON CONFLICT (pool_id, sub) \
         DO UPDATE SET secret = ?3, pending = NULL, device_name = ?4, last_step = ?5, verified_ms = ?6",
        params![user.pool_id.as_str(), user.sub.as_str(), secret, device_name, step, now],
        Error::conflict(),
    );
}

/// Uses up the code of a time step: of several who send it one wins, and only while the secret is the one that was read.
pub fn use_token(batch: &mut Batch, user: &User, secret: &[u8], step: i64) {
    batch.one(
        Rank::Factor,
        "UPDATE software_tokens SET last_step = ?4 WHERE pool_id = ?1 AND sub = ?2 AND secret = ?3 AND last_step < ?4",
        params![user.pool_id.as_str(), user.sub.as_str(), secret, step],
        Error::conflict().because(&user.sub),
    );
}

pub fn delete_token(batch: &mut Batch, user: &User) {
    batch.any(
        Rank::Factor,
        "DELETE FROM software_tokens WHERE pool_id = ?1 AND sub = ?2",
        params![user.pool_id.as_str(), user.sub.as_str()],
    );
}
