//! What the worker does with deliveries: it finds those that are due, has them in hand by a lease, writes what came of them, and sends dead
//! letters again.
//!
//! The *lane* of a row is its kind, pool and target in one text: a worker steps from lane to lane, so that however much waits for one
//! receiver, the others are found at once.
//!
//! A row that is found by its key is compared by `state || ''`: for `state` alone PostgreSQL may take the index of what waits, and read all
//! of it for one row.

use super::{Delivery, State, delivery};
use crate::ambient::{DAY, Ms};
use crate::error::{Error, Result};
use crate::params;
use crate::store::{Batch, Db, Rank};

/// A target for which something waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub text: String,
    /// When the first of it is due.
    pub due_ms: Ms,
    /// The oldest of it was tried and not taken.
    pub failed: bool,
}

/// The lanes in which something waits, in their order, after that one.
pub async fn lanes(db: &Db, after: &str, limit: i64) -> Result<Vec<Lane>> {
    // A step costs one look into an index, however much waits in a lane.
    let sql = "WITH RECURSIVE steps (lane) AS ( \
               SELECT MIN(lane) FROM deliveries WHERE state = 'pending' AND lane > ?1 \
               UNION ALL SELECT (SELECT MIN(d.lane) FROM deliveries d WHERE d.state = 'pending' AND d.lane > steps.lane) \
               FROM steps WHERE steps.lane IS NOT NULL) \
               SELECT lane, (SELECT MIN(d.due_ms) FROM deliveries d WHERE d.state = 'pending' AND d.lane = steps.lane), \
               (SELECT d.attempts FROM deliveries d WHERE d.state = 'pending' AND d.lane = steps.lane ORDER BY d.delivery_id LIMIT 1) \
               FROM steps WHERE lane IS NOT NULL LIMIT ?2";
    let rows = db.scan(sql, params![after, limit]).await?;
    rows.iter()
        .filter_map(|row| {
            // Gone since the step.
            let due_ms = row.opt_i64(1).transpose()?;
            let failed = row.opt_i64(2).map(|attempts| attempts.is_some_and(|n| n > 0));
            Some(row.string(0).and_then(|text| Ok(Lane { text, due_ms: due_ms?, failed: failed? })))
        })
        .collect()
}

/// What is due in a lane and nobody has, in order.
pub async fn due(db: &Db, lane: &str, now: Ms, limit: i64) -> Result<Vec<Delivery>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE state = 'pending' AND lane = ?1 AND due_ms <= ?2 AND lease_ms <= ?2 ORDER BY delivery_id LIMIT ?3"
    );
    db.scan(SQL, params![lane, now, limit]).await?.iter().map(delivery).collect()
}

/// What would be due next in a lane, whenever that is, and nobody has: with it a worker finds out whether the receiver is back.
pub async fn next(db: &Db, lane: &str, now: Ms) -> Result<Option<Delivery>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE state = 'pending' AND lane = ?1 AND lease_ms <= ?2 ORDER BY due_ms LIMIT 1"
    );
    db.one(SQL, &params![lane, now]).await?.map(|row| delivery(&row)).transpose()
}

/// What has waited in a lane since before `since_ms` and was not put off: its turn never came.
pub async fn waited(
    db: &Db,
    lane: &str,
    since_ms: Ms,
    now: Ms,
    limit: i64,
) -> Result<Vec<Delivery>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE state = 'pending' AND lane = ?1 AND due_ms <= ?2 AND since_ms <= ?2 AND lease_ms <= ?3 ORDER BY due_ms LIMIT ?4"
    );
    db.scan(SQL, params![lane, since_ms, now, limit]).await?.iter().map(delivery).collect()
}

/// Takes a delivery until `until_ms`; of several workers one gets it. Whoever dies with it leaves it to the next after that.
pub fn lease(batch: &mut Batch, delivery: &Delivery, now: Ms, until_ms: Ms) {
    batch.one(
        Rank::Job,
        "UPDATE deliveries SET lease_ms = ?4, due_ms = ?4, first_ms = CASE WHEN first_ms IS NULL THEN ?3 ELSE first_ms END \
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state || '' = 'pending' AND lease_ms <= ?3",
        params![delivery.pool_id.as_str(), delivery.id.as_str(), now, until_ms],
        Error::conflict(),
    );
}

/// Gives back what was taken and not tried.
pub fn release(batch: &mut Batch, delivery: &Delivery, lease_ms: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET lease_ms = 0, due_ms = ?4 \
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state || '' = 'pending' AND lease_ms = ?3",
        params![delivery.pool_id.as_str(), delivery.id.as_str(), lease_ms, delivery.due_ms],
    );
}

/// What came of an attempt. Nothing is written if the lease ran out and somebody else has taken it since.
pub struct Tried<'a> {
    pub delivery: &'a Delivery,
    pub lease_ms: Ms,
    pub state: State,
    pub status: Option<u16>,
    pub detail: &'a str,
    /// When the next attempt is made, if there is one.
    pub due_ms: Ms,
}

pub fn tried(batch: &mut Batch, tried: &Tried<'_>, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET state = ?4, attempts = attempts + 1, lease_ms = 0, due_ms = ?5, status = ?6, detail = ?7, done_ms = ?8 \
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state || '' = 'pending' AND lease_ms = ?3",
        params![
            tried.delivery.pool_id.as_str(),
            tried.delivery.id.as_str(),
            tried.lease_ms,
            tried.state.as_str(),
            tried.due_ms,
            tried.status.map(i64::from),
            tried.detail,
            tried.state.is_over().then_some(now)
        ],
    );
}

/// A receiver is back: what was put off in its lane is due, as far as one statement goes.
pub fn hurry(batch: &mut Batch, lane: &str, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET due_ms = ?2 WHERE (pool_id, delivery_id) IN (SELECT pool_id, delivery_id FROM deliveries \
         WHERE state = 'pending' AND lane = ?1 AND due_ms > ?2 AND lease_ms <= ?2 ORDER BY due_ms LIMIT 5000)",
        params![lane, now],
    );
}

/// Makes a dead letter wait again, at once; `not_dead` is the answer where it is none.
pub fn replay(batch: &mut Batch, pool_id: &str, id: &str, now: Ms, not_dead: Error) {
    batch.one(
        Rank::Job,
        "UPDATE deliveries SET state = 'pending', attempts = 0, due_ms = ?3, lease_ms = 0, since_ms = ?3, replays = replays + 1, done_ms = NULL \
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state || '' = 'dead'",
        params![pool_id, id, now],
        not_dead,
    );
}

/// How often a dead letter is replayed by itself: what a receiver refuses for good is not sent again with each success.
const REPLAYS: i64 = 3;

/// Whether a target has dead letters that are replayed by themselves.
pub async fn has_young_dead(db: &Db, delivery: &Delivery, now: Ms) -> Result<bool> {
    let sql = "SELECT 1 FROM deliveries WHERE state = 'dead' AND pool_id = ?1 AND kind = ?2 AND target = ?3 AND done_ms > ?4 \
               AND replays < ?5 LIMIT 1";
    let params = params![
        delivery.pool_id.as_str(),
        delivery.kind.as_str(),
        delivery.target.as_str(),
        now - DAY,
        REPLAYS
    ];
    Ok(db.one(sql, &params).await?.is_some())
}

/// The receiver of this one takes deliveries again: what died of it within a day is sent again, as far as one statement goes.
pub fn replay_young(batch: &mut Batch, delivery: &Delivery, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET state = 'pending', attempts = 0, due_ms = ?4, lease_ms = 0, since_ms = ?4, replays = replays + 1, done_ms = NULL \
         WHERE (pool_id, delivery_id) IN (SELECT pool_id, delivery_id FROM deliveries \
         WHERE state = 'dead' AND pool_id = ?1 AND kind = ?2 AND target = ?3 AND done_ms > ?5 AND replays < ?6 \
         ORDER BY delivery_id LIMIT 1000)",
        params![
            delivery.pool_id.as_str(),
            delivery.kind.as_str(),
            delivery.target.as_str(),
            now,
            now - DAY,
            REPLAYS
        ],
    );
}
