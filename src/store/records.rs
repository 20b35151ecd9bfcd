//! Sign-out records: what `signout` committed, and what its projections (`delivery`) read.

use super::{Batch, Db, Rank, Row};
use crate::ambient::{Ms, SECOND};
use crate::error::{Error, Result};
use crate::params;

/// By how much a record outlives the tokens that it kills: clocks differ.
pub const CLOCKS_MS: Ms = 120 * SECOND;

/// One committed fact of a sign-out; see `signout`.
#[derive(Clone, Debug)]
pub struct Record {
    pub pool_id: String,
    pub signout_id: String,
    pub n: i64,
    pub kind: &'static str,
    /// The user's sub, the session's id, the client's id, or the pool's id.
    pub subject: String,
    pub key16: [u8; 16],
    pub sub: Option<String>,
    pub client_id: Option<String>,
    /// When the last token that it kills has expired, if none lives longer than `longest_ms`.
    pub drop_after_ms: Ms,
    /// The longest validity of a token that was known when this was decided. If a client was given a longer one meanwhile, the record
    /// is kept longer by as much: whoever got such a token did so before the row that this batch has locked said that it is over.
    pub longest_ms: Ms,
    pub reason: &'static str,
    pub initiator: &'static str,
    pub origin: String,
    pub txn: String,
    pub committed_ms: Ms,
}

/// How much longer tokens live now than was known.
macro_rules! longer {
    ($longest:literal) => {
        concat!(
            "COALESCE((SELECT CASE WHEN p.longest_token_ms > CAST(",
            $longest,
            " AS BIGINT) \
             THEN p.longest_token_ms - CAST(",
            $longest,
            " AS BIGINT) ELSE 0 END FROM pools p WHERE p.pool_id = ?1), 0)"
        )
    };
}

/// A record whose boundary is not a user's epoch: the session's own end.
pub fn insert(batch: &mut Batch, record: &Record, not_before_ms: Ms) {
    batch.one(
        Rank::Record,
        concat!(
            "INSERT INTO records (pool_id, signout_id, n, kind, subject, key16, sub, client_id, not_before_ms, drop_after_ms, \
             reason, initiator, origin, txn, committed_ms, seq) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, CAST(?10 AS BIGINT) + ",
            longer!("?16"),
            ", ?11, ?12, ?13, ?14, ?15, NULL) ON CONFLICT DO NOTHING"
        ),
        {
            let mut params = params_of(record);
            params.insert(8, not_before_ms.into());
            params
        },
        Error::conflict(),
    );
}

/// By so much servers' clocks may differ without a record having to last longer for it.
pub const SKEW_MS: Ms = 60_000;

/// A record whose boundary is the epoch that this very batch has just given the user. Where that is ahead, tokens were born by a clock
/// that was, and expire by it.
pub fn insert_for_user(batch: &mut Batch, record: &Record) {
    batch.one(
        Rank::Record,
        concat!(
            "INSERT INTO records (pool_id, signout_id, n, kind, subject, key16, sub, client_id, not_before_ms, drop_after_ms, \
             reason, initiator, origin, txn, committed_ms, seq) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, u.clock_ms, CAST(?9 AS BIGINT) + \
             CASE WHEN u.clock_ms > CAST(?14 AS BIGINT) + 60000 THEN u.clock_ms - CAST(?14 AS BIGINT) ELSE 0 END + ",
            longer!("?15"),
            ", ?10, ?11, ?12, ?13, ?14, NULL FROM users u WHERE u.pool_id = ?1 AND u.sub = ?5"
        ),
        params_of(record),
        Error::conflict(),
    );
}

fn params_of(record: &Record) -> Vec<super::Val> {
    params![
        record.pool_id.as_str(),
        record.signout_id.as_str(),
        record.n,
        record.kind,
        record.subject.as_str(),
        record.key16.as_slice(),
        record.sub.clone(),
        record.client_id.clone(),
        record.drop_after_ms,
        record.reason,
        record.initiator,
        record.origin.as_str(),
        record.txn.as_str(),
        record.committed_ms,
        record.longest_ms
    ]
}

/// A record as its projections read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub pool_id: String,
    pub signout_id: String,
    pub n: i64,
    /// `U`, `S`, `X`, `C`, `P` or `K`; see `signout`.
    pub kind: String,
    pub subject: String,
    pub key16: [u8; 16],
    pub sub: Option<String>,
    pub client_id: Option<String>,
    pub not_before_ms: Ms,
    pub drop_after_ms: Ms,
    pub reason: String,
    pub initiator: String,
    pub origin: String,
    pub txn: String,
    pub committed_ms: Ms,
    /// Its number in the pool's feed, once it has one.
    pub seq: Option<i64>,
    /// When its deliveries were written; `None` while they are not all.
    pub expanded_ms: Option<Ms>,
    /// How far that has come.
    pub expand_cursor: Option<String>,
}

macro_rules! columns {
    () => {
        "SELECT pool_id, signout_id, n, kind, subject, key16, sub, client_id, not_before_ms, drop_after_ms, reason, initiator, origin, \
         txn, committed_ms, seq, expanded_ms, expand_cursor FROM records "
    };
}

/// The records of a pool, oldest first.
pub async fn all(db: &Db, pool_id: &str) -> Result<Vec<Recorded>> {
    const SQL: &str = concat!(columns!(), "WHERE pool_id = ?1 ORDER BY signout_id, n LIMIT 10000");
    db.scan(SQL, params![pool_id]).await?.iter().map(recorded).collect()
}

/// The records of one sign-out, in their order.
pub async fn of_signout(db: &Db, pool_id: &str, signout_id: &str) -> Result<Vec<Recorded>> {
    const SQL: &str =
        concat!(columns!(), "WHERE pool_id = ?1 AND signout_id = ?2 ORDER BY n LIMIT 10000");
    db.scan(SQL, params![pool_id, signout_id]).await?.iter().map(recorded).collect()
}

/// Records of which not all deliveries are written, oldest first, after that one.
pub async fn unexpanded(db: &Db, after: Option<&Recorded>, limit: i64) -> Result<Vec<Recorded>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE expanded_ms IS NULL AND (committed_ms, signout_id, n) > (?1, ?2, ?3) ORDER BY committed_ms, signout_id, n LIMIT ?4"
    );
    let after =
        after.map_or((0, "", 0), |last| (last.committed_ms, last.signout_id.as_str(), last.n));
    db.scan(SQL, params![after.0, after.1, after.2, limit]).await?.iter().map(recorded).collect()
}

/// How far the deliveries of a record are written, once this batch is: to `cursor`, or all of them. Of several workers one gets it.
pub fn expanded(batch: &mut Batch, record: &Recorded, cursor: Option<&str>, now: Ms) {
    batch.one(
        Rank::Record,
        // By its key, and not by the index of what waits, as PostgreSQL would for `expanded_ms IS NULL`.
        "UPDATE records SET expand_cursor = ?4, expanded_ms = ?5 WHERE pool_id = ?1 AND signout_id = ?2 AND n = ?3 \
         AND COALESCE(expanded_ms, 0) = 0 AND COALESCE(expand_cursor, '') = ?6",
        params![
            record.pool_id.as_str(),
            record.signout_id.as_str(),
            record.n,
            cursor,
            cursor.is_none().then_some(now),
            record.expand_cursor.as_deref().unwrap_or_default()
        ],
        Error::conflict(),
    );
}

fn recorded(row: &Row) -> Result<Recorded> {
    let key16 = row.blob(5)?.try_into();
    Ok(Recorded {
        pool_id: row.string(0)?,
        signout_id: row.string(1)?,
        n: row.i64(2)?,
        kind: row.string(3)?,
        subject: row.string(4)?,
        key16: key16.map_err(|_| Error::internal("a record's key has not 16 bytes"))?,
        sub: row.opt_string(6)?,
        client_id: row.opt_string(7)?,
        not_before_ms: row.i64(8)?,
        drop_after_ms: row.i64(9)?,
        reason: row.string(10)?,
        initiator: row.string(11)?,
        origin: row.string(12)?,
        txn: row.string(13)?,
        committed_ms: row.i64(14)?,
        seq: row.opt_i64(15)?,
        expanded_ms: row.opt_i64(16)?,
        expand_cursor: row.opt_string(17)?,
    })
}
