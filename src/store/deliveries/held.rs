//! Deliveries that wait until their receiver fetches them: the events of streams that are polled or paused.

use super::{Delivery, State, delivery};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::store::{Batch, Db, Rank};

/// The first of what is held in each lane, in the order of the lanes, after that one.
pub async fn held_lanes(db: &Db, after: &str, limit: i64) -> Result<Vec<Delivery>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE (pool_id, delivery_id) IN (\
         WITH RECURSIVE steps (lane) AS ( \
         SELECT MIN(lane) FROM deliveries WHERE state = 'held' AND lane > ?1 \
         UNION ALL SELECT (SELECT MIN(d.lane) FROM deliveries d WHERE d.state = 'held' AND d.lane > steps.lane) \
         FROM steps WHERE steps.lane IS NOT NULL) \
         SELECT d.pool_id, d.delivery_id FROM steps JOIN deliveries d ON d.state = 'held' AND d.lane = steps.lane \
         AND d.delivery_id = (SELECT MIN(f.delivery_id) FROM deliveries f WHERE f.state = 'held' AND f.lane = steps.lane) \
         ORDER BY d.lane LIMIT ?2) \
         ORDER BY lane"
    );
    db.scan(SQL, params![after, limit]).await?.iter().map(delivery).collect()
}

/// What is held for a receiver, in order, after that one.
pub async fn held(db: &Db, lane: &str, after: Option<&str>, limit: i64) -> Result<Vec<Delivery>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE state = 'held' AND lane = ?1 AND delivery_id > ?2 ORDER BY delivery_id LIMIT ?3"
    );
    db.scan(SQL, params![lane, after.unwrap_or_default(), limit])
        .await?
        .iter()
        .map(delivery)
        .collect()
}

/// Of what is held for a receiver, that of one sign-out, or of none.
pub async fn held_of(db: &Db, lane: &str, signout_id: &str, limit: i64) -> Result<Vec<Delivery>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE state = 'held' AND lane = ?1 AND signout_id = ?2 ORDER BY delivery_id LIMIT ?3"
    );
    db.scan(SQL, params![lane, signout_id, limit]).await?.iter().map(delivery).collect()
}

/// How much is held for a receiver, counted up to `most`.
pub async fn count_held(db: &Db, lane: &str, most: i64) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE state = 'held' AND lane = ?1 LIMIT ?2) held";
    let rows = db.scan(sql, params![lane, most]).await?;
    rows.first().ok_or_else(|| Error::internal("a count has no row"))?.i64(0)
}

/// The receiver has taken what was held for it, or refused it. What is in another lane is not its own.
pub fn settle_held(
    batch: &mut Batch,
    lane: &str,
    (pool_id, id): (&str, &str),
    state: State,
    detail: &str,
    now: Ms,
) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET state = ?4, detail = ?5, attempts = attempts + 1, \
         first_ms = CASE WHEN first_ms IS NULL THEN ?6 ELSE first_ms END, done_ms = ?6 \
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state || '' = 'held' AND lane = ?3",
        params![pool_id, id, lane, state.as_str(), detail, now],
    );
}

/// What was held is told now, at once.
pub fn send_held(batch: &mut Batch, lane: &str, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET state = 'pending', attempts = 0, due_ms = ?2, lease_ms = 0, since_ms = ?2 \
         WHERE state = 'held' AND lane = ?1",
        params![lane, now],
    );
}

/// Its receiver is gone.
pub fn bury_held(batch: &mut Batch, lane: &str, detail: &str, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET state = 'not_possible', detail = ?2, done_ms = ?3 WHERE state = 'held' AND lane = ?1",
        params![lane, detail, now],
    );
}
