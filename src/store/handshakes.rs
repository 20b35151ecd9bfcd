//! What is remembered while a browser is at an identity provider, found by the hash of a one-time handle. The value is sealed.

use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

pub struct Handshake {
    pub purpose: String,
    pub doc: Vec<u8>,
    pub expires_ms: Ms,
    pub consumed_ms: Option<Ms>,
}

pub fn insert(batch: &mut Batch, pool_id: &str, hash: &[u8; 32], handshake: &Handshake) {
    batch.one(
        Rank::Code,
        "INSERT INTO handshakes (pool_id, hash, purpose, doc, expires_ms, consumed_ms) VALUES (?1, ?2, ?3, ?4, ?5, NULL) \
         ON CONFLICT DO NOTHING",
        params![
            pool_id,
            hash.as_slice(),
            handshake.purpose.as_str(),
            handshake.doc.clone(),
            handshake.expires_ms
        ],
        Error::conflict(),
    );
}

pub async fn find(db: &Db, pool_id: &str, hash: &[u8; 32]) -> Result<Option<Handshake>> {
    let sql = "SELECT purpose, doc, expires_ms, consumed_ms FROM handshakes WHERE pool_id = ?1 AND hash = ?2";
    let row = db.one(sql, &params![pool_id, hash.as_slice()]).await?;
    row.map(|row| {
        Ok(Handshake {
            purpose: row.string(0)?,
            doc: row.blob(1)?.to_vec(),
            expires_ms: row.i64(2)?,
            consumed_ms: row.opt_i64(3)?,
        })
    })
    .transpose()
}

/// Of those who race for it, one wins.
pub fn consume(batch: &mut Batch, pool_id: &str, hash: &[u8; 32], now: Ms) {
    batch.one(
        Rank::Code,
        "UPDATE handshakes SET consumed_ms = ?3 WHERE pool_id = ?1 AND hash = ?2 AND consumed_ms IS NULL AND expires_ms > ?3",
        params![pool_id, hash.as_slice(), now],
        Error::conflict(),
    );
}
