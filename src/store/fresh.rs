//! The sign-outs that could not, or not yet, end a user's session at a provider: until the user has authenticated there again, what
//! the provider says is not enough.

use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::Result;
use crate::params;
use crate::pool::User;

/// A sign-out that asks for a fresh authentication.
#[derive(Clone, Debug)]
pub struct Owed {
    pub signout_id: String,
    pub upstream_id: String,
    pub created_ms: Ms,
}

/// More than this are satisfied by further sign-ins.
const AT_ONCE: i64 = 100;

/// The latest first. Where the provider's session is known to be over, or is left alone on purpose, nothing is owed.
pub async fn owed(db: &Db, user: &User, provider: &str) -> Result<Vec<Owed>> {
    let sql = "SELECT signout_id, upstream_id, created_ms FROM upstream_signouts \
               WHERE pool_id = ?1 AND sub = ?2 AND provider = ?3 AND satisfied_ms IS NULL \
               AND state IN ('pending', 'browser', 'revoked', 'fresh', 'failed') ORDER BY created_ms DESC LIMIT ?4";
    let params = params![user.pool_id.as_str(), user.sub.as_str(), provider, AT_ONCE];
    db.query(sql, &params)
        .await?
        .iter()
        .map(|row| {
            Ok(Owed {
                signout_id: row.string(0)?,
                upstream_id: row.string(1)?,
                created_ms: row.i64(2)?,
            })
        })
        .collect()
}

/// The user has authenticated since. What a worker still has to tell the provider, it goes on to tell.
pub fn satisfy(batch: &mut Batch, user: &User, owed: &[Owed], now: Ms) {
    for row in owed {
        batch.any(
            Rank::Job,
            "UPDATE upstream_signouts SET satisfied_ms = ?4, \
             state = CASE WHEN done_ms IS NULL THEN state ELSE 'satisfied' END \
             WHERE pool_id = ?1 AND signout_id = ?2 AND upstream_id = ?3 AND satisfied_ms IS NULL",
            params![user.pool_id.as_str(), row.signout_id.as_str(), row.upstream_id.as_str(), now],
        );
    }
}
