//! What a receipt says besides the records of its sign-out: who follows the pool's feed, what was delivered to whom, what identity
//! providers were told.

use super::{Db, Row};
use crate::ambient::Ms;
use crate::error::Result;
use crate::params;

/// Somebody who follows the pool's feed.
#[derive(Clone, Debug)]
pub struct Consumer {
    pub id: String,
    /// It has everything up to this number.
    pub since: i64,
    /// The number is of the feed's present incarnation.
    pub current: bool,
    /// `introspect`, `closed`, `open`, or empty where it does not say.
    pub policy: String,
    pub max_staleness_ms: Ms,
    pub seen_ms: Ms,
}

/// More than a pool has; who finds so many knows that there may be more.
pub const MANY: usize = 20_000;

/// Those who were heard since then.
pub async fn consumers(db: &Db, pool_id: &str, since: Ms) -> Result<Vec<Consumer>> {
    let sql = "SELECT c.consumer, c.since, CASE WHEN c.incarnation = h.incarnation THEN 1 ELSE 0 END, c.policy, c.max_staleness_ms, \
               c.seen_ms FROM feed_consumers c LEFT JOIN feed_heads h ON h.pool_id = c.pool_id \
               WHERE c.pool_id = ?1 AND c.seen_ms >= ?2 ORDER BY c.owner, c.consumer LIMIT ?3";
    let rows = db.scan(sql, params![pool_id, since, MANY as i64]).await?;
    rows.iter()
        .map(|row| {
            Ok(Consumer {
                id: row.string(0)?,
                since: row.i64(1)?,
                current: row.i64(2)? == 1,
                policy: row.string(3)?,
                max_staleness_ms: row.i64(4)?,
                seen_ms: row.i64(5)?,
            })
        })
        .collect()
}

/// One delivery, as far as it has come.
#[derive(Clone, Debug)]
pub struct Delivered {
    pub id: String,
    pub kind: String,
    pub target: String,
    pub sid: String,
    pub state: String,
    pub attempts: i64,
    pub status: Option<i64>,
    pub detail: String,
    pub done_ms: Option<Ms>,
}

/// The deliveries of a sign-out, those first that have not arrived.
pub async fn deliveries(
    db: &Db,
    pool_id: &str,
    signout_id: &str,
    limit: i64,
) -> Result<Vec<Delivered>> {
    let sql = "SELECT delivery_id, kind, target, sid, state, attempts, status, detail, done_ms FROM deliveries \
               WHERE pool_id = ?1 AND signout_id = ?2 ORDER BY CASE WHEN state = 'done' THEN 1 ELSE 0 END, delivery_id LIMIT ?3";
    let rows = db.scan(sql, params![pool_id, signout_id, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Delivered {
                id: row.string(0)?,
                kind: row.string(1)?,
                target: row.string(2)?,
                sid: row.string(3)?,
                state: row.string(4)?,
                attempts: row.i64(5)?,
                status: row.opt_i64(6)?,
                detail: row.string(7)?,
                done_ms: row.opt_i64(8)?,
            })
        })
        .collect()
}

/// How many deliveries of a sign-out are in each state.
pub async fn counts(db: &Db, pool_id: &str, signout_id: &str) -> Result<Vec<(String, i64)>> {
    let sql = "SELECT state, COUNT(*) FROM deliveries WHERE pool_id = ?1 AND signout_id = ?2 GROUP BY state ORDER BY state";
    let rows = db.scan(sql, params![pool_id, signout_id]).await?;
    rows.iter().map(|row| Ok((row.string(0)?, row.i64(1)?))).collect()
}

/// What an identity provider was told, or not.
#[derive(Clone, Debug)]
pub struct Upstream {
    pub provider: String,
    pub state: String,
    pub detail: String,
    pub done_ms: Option<Ms>,
}

/// What a sign-out owes identity providers, what is not settled first.
pub async fn upstream(
    db: &Db,
    pool_id: &str,
    signout_id: &str,
    limit: i64,
) -> Result<Vec<Upstream>> {
    let sql = "SELECT provider, state, detail, done_ms FROM upstream_signouts WHERE pool_id = ?1 AND signout_id = ?2 \
               ORDER BY CASE WHEN done_ms IS NULL THEN 0 WHEN state IN ('failed', 'fresh') THEN 1 ELSE 2 END, upstream_id LIMIT ?3";
    let rows = db.scan(sql, params![pool_id, signout_id, limit]).await?;
    rows.iter().map(told).collect()
}

fn told(row: &Row) -> Result<Upstream> {
    Ok(Upstream {
        provider: row.string(0)?,
        state: row.string(1)?,
        detail: row.string(2)?,
        done_ms: row.opt_i64(3)?,
    })
}
