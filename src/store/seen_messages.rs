//! Messages of identity providers that were taken once, on whichever node: assertions, logout requests, logout tokens.

use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

/// Whether it was taken before.
pub async fn exists(db: &Db, pool_id: &str, provider: &str, key: &[u8; 32]) -> Result<bool> {
    let sql =
        "SELECT 1 FROM seen_messages WHERE pool_id = ?1 AND provider = ?2 AND message_key = ?3";
    Ok(db.one(sql, &params![pool_id, provider, key.as_slice()]).await?.is_some())
}

/// Remembers a message until it would be refused for its age; `seen` is the answer if it was taken before.
pub fn insert(
    batch: &mut Batch,
    pool_id: &str,
    provider: &str,
    key: &[u8; 32],
    expires_ms: Ms,
    seen: Error,
) {
    batch.one(
        Rank::Code,
        "INSERT INTO seen_messages (pool_id, provider, message_key, expires_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![pool_id, provider, key.as_slice(), expires_ms],
        seen,
    );
}
