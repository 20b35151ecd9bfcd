//! Deliveries: what is to be told to whom because of a record, and how far that has come. Here is the row, and who only reads it; what the
//! worker does is in `in_hand`, what waits for its receiver to fetch it in `held`.

use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

/// Before the modules that read rows, too.
macro_rules! columns {
    () => {
        "SELECT pool_id, delivery_id, signout_id, n, kind, target, sid, sub, doc, state, attempts, due_ms, lease_ms, since_ms, status, detail, \
         created_ms, first_ms, done_ms FROM deliveries "
    };
}

mod held;
mod in_hand;

pub use held::{bury_held, count_held, held, held_lanes, held_of, send_held, settle_held};
pub use in_hand::{
    Lane, Tried, due, has_young_dead, hurry, lanes, lease, next, release, replay, replay_young,
    tried, waited,
};

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
