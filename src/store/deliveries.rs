//! Deliveries: what is to be told to whom because of a record, how far that has come, and what nobody took (dead letters).
//!
//! The *lane* of a row is its kind, pool and target in one text: a worker steps from lane to lane, so that however much waits for one
//! receiver, the others are found at once.

use super::{Batch, Db, Rank, Row};
use crate::ambient::{DAY, Ms};
use crate::error::{Error, Result};
use crate::params;

/// Who is told, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An app client, by a logout token (OpenID Connect Back-Channel Logout 1.0).
    Backchannel,
    /// An event stream of the Shared Signals Framework.
    Ssf,
    /// A Global Token Revocation endpoint.
    TokenRevocation,
    Webhook,
}

impl Kind {
    /// Those first that have few receivers: a pool's end may be told to a million sessions at app clients.
    pub const ALL: [Kind; 4] = [Kind::Webhook, Kind::Ssf, Kind::TokenRevocation, Kind::Backchannel];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Backchannel => "backchannel",
            Kind::Ssf => "ssf",
            Kind::TokenRevocation => "token_revocation",
            Kind::Webhook => "webhook",
        }
    }

    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// To be told, now or again later.
    Pending,
    /// Waits until its receiver fetches it.
    Held,
    Done,
    /// Given up: a dead letter, kept for 30 days.
    Dead,
    /// Nobody could be told, and `detail` says why.
    NotPossible,
}

impl State {
    pub const ALL: [State; 5] =
        [State::Pending, State::Held, State::Done, State::Dead, State::NotPossible];

    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Held => "held",
            State::Done => "done",
            State::Dead => "dead",
            State::NotPossible => "not_possible",
        }
    }

    pub fn parse(text: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn is_over(self) -> bool {
        matches!(self, State::Done | State::Dead | State::NotPossible)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    pub pool_id: String,
    /// A UUIDv7: ids sort as the rows were made.
    pub id: String,
    pub signout_id: String,
    /// The record of the sign-out.
    pub n: i64,
    pub kind: Kind,
    /// A client's id, or a target's.
    pub target: String,
    /// The session as the receiver knows it; empty where it is told of a user, a client or a pool.
    pub sid: String,
    /// Whom it is about; empty where it is about nobody.
    pub sub: String,
    /// What the kind wants to remember: JSON, or empty.
    pub doc: String,
    pub state: State,
    /// How often it was tried since it was made or replayed.
    pub attempts: i64,
    /// When it is tried next.
    pub due_ms: Ms,
    /// Until when a worker has it; 0 where none has.
    pub lease_ms: Ms,
    /// Since when it is tried: it was made or replayed.
    pub since_ms: Ms,
    /// The last HTTP status.
    pub status: Option<i64>,
    /// A few words for people.
    pub detail: String,
    pub created_ms: Ms,
    /// When it was tried first.
    pub first_ms: Option<Ms>,
    pub done_ms: Option<Ms>,
}

impl Delivery {
    pub fn lane(&self) -> String {
        lane(self.kind, &self.pool_id, &self.target)
    }
}

pub fn lane(kind: Kind, pool_id: &str, target: &str) -> String {
    format!("{} {pool_id} {target}", kind.as_str())
}

macro_rules! columns {
    () => {
        "SELECT pool_id, delivery_id, signout_id, n, kind, target, sid, sub, doc, state, attempts, due_ms, lease_ms, since_ms, status, detail, \
         created_ms, first_ms, done_ms FROM deliveries "
    };
}

// What readers ask.

pub async fn find(db: &Db, pool_id: &str, id: &str) -> Result<Option<Delivery>> {
    const SQL: &str = concat!(columns!(), "WHERE pool_id = ?1 AND delivery_id = ?2");
    db.one(SQL, &params![pool_id, id]).await?.map(|row| delivery(&row)).transpose()
}

/// Those of one sign-out, in the order of their ids.
pub async fn of_signout(
    db: &Db,
    pool_id: &str,
    signout_id: &str,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE pool_id = ?1 AND signout_id = ?2 AND delivery_id > ?3 ORDER BY delivery_id LIMIT ?4"
    );
    let params = params![pool_id, signout_id, after.unwrap_or_default(), limit];
    db.scan(SQL, params).await?.iter().map(delivery).collect()
}

/// Which deliveries of a pool are asked for; `None` means any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    pub state: Option<State>,
    pub kind: Option<Kind>,
    pub target: Option<&'a str>,
    pub signout_id: Option<&'a str>,
}

macro_rules! filtered {
    ($more:literal) => {
        concat!(
            columns!(),
            "WHERE pool_id = ?1 AND delivery_id < ?2 AND (?3 = '' OR state = ?3) AND (?4 = '' OR kind = ?4) \
             AND (?5 = '' OR target = ?5) AND (?6 = '' OR signout_id = ?6)",
            $more,
            " ORDER BY delivery_id DESC LIMIT ?7"
        )
    };
}

/// The newest first, before that one.
pub async fn list(
    db: &Db,
    pool_id: &str,
    filter: Filter<'_>,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<Delivery>> {
    // Each is answered by an index of its own; the conditions that are always there filter what that finds.
    let sql = match filter {
        Filter { signout_id: Some(_), .. } => filtered!(" AND signout_id = ?6"),
        Filter { state: Some(State::Dead), .. } => filtered!(" AND state = 'dead'"),
        Filter { kind: Some(_), target: Some(_), .. } => {
            filtered!(" AND kind = ?4 AND target = ?5")
        }
        _ => filtered!(""),
    };
    let params = params![
        pool_id,
        // Greater than every UUID.
        before.unwrap_or("~"),
        filter.state.map_or("", State::as_str),
        filter.kind.map_or("", Kind::as_str),
        filter.target.unwrap_or_default(),
        filter.signout_id.unwrap_or_default(),
        limit
    ];
    db.scan(sql, params).await?.iter().map(delivery).collect()
}

/// What waits, for the operator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// Counted up to 10,000.
    pub pending: i64,
    pub oldest_ms: Option<Ms>,
    /// Counted up to 10,000.
    pub dead: i64,
}

pub async fn waiting(db: &Db) -> Result<Waiting> {
    let pending = "SELECT COUNT(*), MIN(created_ms) FROM (SELECT created_ms FROM deliveries WHERE state = 'pending' \
                   ORDER BY created_ms LIMIT 10000) waiting";
    let dead =
        "SELECT COUNT(*) FROM (SELECT 1 FROM deliveries WHERE state = 'dead' LIMIT 10000) dead";
    let none = || Error::internal("a count has no row");
    let pending = db.scan(pending, params![]).await?;
    let pending = pending.first().ok_or_else(none)?;
    let dead = db.scan(dead, params![]).await?;
    Ok(Waiting {
        pending: pending.i64(0)?,
        oldest_ms: pending.opt_i64(1)?,
        dead: dead.first().ok_or_else(none)?.i64(0)?,
    })
}

// What expansion writes.

/// A delivery of that record which is there already stays as it is.
pub fn insert(batch: &mut Batch, delivery: &Delivery) {
    batch.any(
        Rank::Job,
        "INSERT INTO deliveries (pool_id, delivery_id, signout_id, n, kind, target, lane, sid, sub, doc, state, attempts, due_ms, lease_ms, \
         since_ms, replays, status, detail, created_ms, first_ms, done_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 0, ?12, 0, ?13, 0, NULL, ?14, ?13, NULL, ?15) ON CONFLICT DO NOTHING",
        params![
            delivery.pool_id.as_str(),
            delivery.id.as_str(),
            delivery.signout_id.as_str(),
            delivery.n,
            delivery.kind.as_str(),
            delivery.target.as_str(),
            delivery.lane(),
            delivery.sid.as_str(),
            delivery.sub.as_str(),
            delivery.doc.as_str(),
            delivery.state.as_str(),
            delivery.due_ms,
            delivery.created_ms,
            delivery.detail.as_str(),
            delivery.done_ms
        ],
    );
}

// What the worker does.

/// A target for which something waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lane {
    pub text: String,
    /// When the first of it is due.
    pub due_ms: Ms,
}

/// The lanes in which something waits, in their order, after that one.
pub async fn lanes(db: &Db, after: &str, limit: i64) -> Result<Vec<Lane>> {
    // A step costs one look into an index, however much waits in a lane.
    let sql = "WITH RECURSIVE steps (lane) AS ( \
               SELECT MIN(lane) FROM deliveries WHERE state = 'pending' AND lane > ?1 \
               UNION ALL SELECT (SELECT MIN(d.lane) FROM deliveries d WHERE d.state = 'pending' AND d.lane > steps.lane) \
               FROM steps WHERE steps.lane IS NOT NULL) \
               SELECT lane, (SELECT MIN(d.due_ms) FROM deliveries d WHERE d.state = 'pending' AND d.lane = steps.lane) \
               FROM steps WHERE lane IS NOT NULL LIMIT ?2";
    let rows = db.scan(sql, params![after, limit]).await?;
    rows.iter()
        .filter_map(|row| {
            // Gone since the step.
            let due_ms = row.opt_i64(1).transpose()?;
            Some(row.string(0).and_then(|text| Ok(Lane { text, due_ms: due_ms? })))
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
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state = 'pending' AND lease_ms <= ?3",
        params![delivery.pool_id.as_str(), delivery.id.as_str(), now, until_ms],
        Error::conflict(),
    );
}

/// Gives back what was taken and not tried.
pub fn release(batch: &mut Batch, delivery: &Delivery, lease_ms: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET lease_ms = 0, due_ms = ?4 \
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state = 'pending' AND lease_ms = ?3",
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
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state = 'pending' AND lease_ms = ?3",
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

// Dead letters.

/// Makes a dead letter wait again, at once; `not_dead` is the answer where it is none.
pub fn replay(batch: &mut Batch, pool_id: &str, id: &str, now: Ms, not_dead: Error) {
    batch.one(
        Rank::Job,
        "UPDATE deliveries SET state = 'pending', attempts = 0, due_ms = ?3, lease_ms = 0, since_ms = ?3, replays = replays + 1, done_ms = NULL \
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state = 'dead'",
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

// What waits for its receiver.

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
         WHERE pool_id = ?1 AND delivery_id = ?2 AND state = 'held' AND lane = ?3",
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

/// Of what is held for a receiver, what is of sign-outs will not be told; what is about the receiver itself still is.
pub fn drop_held(batch: &mut Batch, lane: &str, detail: &str, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE deliveries SET state = 'not_possible', detail = ?2, done_ms = ?3 WHERE state = 'held' AND lane = ?1 AND signout_id <> ''",
        params![lane, detail, now],
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

fn delivery(row: &Row) -> Result<Delivery> {
    let unknown =
        |what: &str, text: &str| Error::internal(format!("unknown {what} of a delivery: {text}"));
    let (kind, state) = (row.text(4)?, row.text(9)?);
    Ok(Delivery {
        pool_id: row.string(0)?,
        id: row.string(1)?,
        signout_id: row.string(2)?,
        n: row.i64(3)?,
        kind: Kind::parse(kind).ok_or_else(|| unknown("kind", kind))?,
        target: row.string(5)?,
        sid: row.string(6)?,
        sub: row.string(7)?,
        doc: row.string(8)?,
        state: State::parse(state).ok_or_else(|| unknown("state", state))?,
        attempts: row.i64(10)?,
        due_ms: row.i64(11)?,
        lease_ms: row.i64(12)?,
        since_ms: row.i64(13)?,
        status: row.opt_i64(14)?,
        detail: row.string(15)?,
        created_ms: row.i64(16)?,
        first_ms: row.opt_i64(17)?,
        done_ms: row.opt_i64(18)?,
    })
}
