//! The revocation feed's rows: the head of each pool, numbers given to records, what is read of them by number, the keys that sign,
//! and who follows.

use super::records::CLOCKS_MS;
use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::feed::{self, Chain, Entry};

/// How far a pool's feed has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// 22 characters, another after each restore: numbers may come again, but not in one incarnation.
    pub incarnation: String,
    /// The number before this incarnation's first.
    pub base: i64,
    /// The last number that was given.
    pub last: i64,
    /// The chain at `last`.
    pub chain: Chain,
    /// The key that signs; empty before there is one.
    pub kid: String,
}

impl Head {
    /// Of a feed that has no record yet.
    pub fn new(pool_id: &str, incarnation: String) -> Head {
        let chain = feed::genesis(pool_id, &incarnation);
        Head { incarnation, base: 0, last: 0, chain, kid: String::new() }
    }
}

pub async fn head(db: &Db, pool_id: &str) -> Result<Option<Head>> {
    let sql = "SELECT incarnation, base, last, chain, kid FROM feed_heads WHERE pool_id = ?1";
    db.one(sql, &params![pool_id]).await?.map(|row| read_head(&row)).transpose()
}

/// The head and, in the same read, the record that waits longest for a number.
pub async fn look(db: &Db, pool_id: &str) -> Result<Option<(Head, Option<Ms>)>> {
    let sql = "SELECT h.incarnation, h.base, h.last, h.chain, h.kid, \
               (SELECT MIN(r.committed_ms) FROM records r WHERE r.pool_id = h.pool_id AND r.seq IS NULL) \
               FROM feed_heads h WHERE h.pool_id = ?1";
    let Some(row) = db.one(sql, &params![pool_id]).await? else { return Ok(None) };
    Ok(Some((read_head(&row)?, row.opt_i64(5)?)))
}

/// Makes a head; `Conflict` if there is one.
pub fn insert_head(batch: &mut Batch, pool_id: &str, head: &Head, now: Ms) {
    batch.one(
        Rank::Record,
        "INSERT INTO feed_heads (pool_id, incarnation, base, last, chain, kid, created_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        params![
            pool_id,
            head.incarnation.as_str(),
            head.base,
            head.last,
            head.chain.as_slice(),
            head.kid.as_str(),
            now
        ],
        Error::conflict(),
    );
}

/// Moves the head from what was read to `last`; `Conflict` if another server was quicker. Before the records of the same batch: who
/// loses has locked nothing else.
pub fn advance(batch: &mut Batch, pool_id: &str, seen: &Head, last: i64, chain: &Chain) {
    batch.one(
        Rank::Record,
        "UPDATE feed_heads SET last = ?4, chain = ?5 WHERE pool_id = ?1 AND incarnation = ?2 AND last = ?3",
        params![pool_id, seen.incarnation.as_str(), seen.last, last, chain.as_slice()],
        Error::conflict(),
    );
}

/// After a restore, or a failover that lost commits: numbers go on, but nobody who knew the old ones can take the new for theirs.
pub fn new_incarnation(batch: &mut Batch, pool_id: &str, incarnation: &str) {
    let chain = feed::genesis(pool_id, incarnation);
    batch.any(
        Rank::Record,
        "UPDATE feed_heads SET incarnation = ?2, chain = ?3, base = last WHERE pool_id = ?1",
        params![pool_id, incarnation, chain.as_slice()],
    );
}

/// The pools that have a head, after `after`.
pub async fn pools(db: &Db, after: &str, limit: i64) -> Result<Vec<String>> {
    let sql = "SELECT pool_id FROM feed_heads WHERE pool_id > ?1 ORDER BY pool_id LIMIT ?2";
    let rows = db.scan(sql, params![after, limit]).await?;
    rows.iter().map(|row| row.string(0)).collect()
}

fn read_head(row: &Row) -> Result<Head> {
    Ok(Head {
        incarnation: row.string(0)?,
        base: row.i64(1)?,
        last: row.i64(2)?,
        chain: chain(row.blob(3)?)?,
        kid: row.string(4)?,
    })
}

fn chain(bytes: &[u8]) -> Result<Chain> {
    bytes.try_into().map_err(|_| Error::internal("the chain of a feed has not 32 bytes"))
}

// Records that wait for a number

#[derive(Clone, Debug)]
pub struct Unnumbered {
    pub signout_id: String,
    pub n: i64,
    pub kind: String,
    pub subject: String,
    pub not_before_ms: Ms,
    pub drop_after_ms: Ms,
    pub committed_ms: Ms,
}

/// The next pool after `after` with a record that has no number.
pub async fn next_unnumbered(db: &Db, after: &str) -> Result<Option<String>> {
    let sql =
        "SELECT pool_id FROM records WHERE seq IS NULL AND pool_id > ?1 ORDER BY pool_id LIMIT 1";
    db.one(sql, &params![after]).await?.map(|row| row.string(0)).transpose()
}

/// What waits in a pool, longest first. A client may have been given a longer validity, and tokens by it, after a record was written and before
/// that was committed: here it is seen, so the record is kept as long as those live.
pub async fn unnumbered(db: &Db, pool_id: &str, limit: i64) -> Result<Vec<Unnumbered>> {
    let sql = "SELECT r.signout_id, r.n, r.kind, r.subject, r.not_before_ms, r.drop_after_ms, r.committed_ms, \
               COALESCE(p.longest_token_ms, 0) FROM records r LEFT JOIN pools p ON p.pool_id = r.pool_id \
               WHERE r.pool_id = ?1 AND r.seq IS NULL ORDER BY r.committed_ms, r.signout_id, r.n LIMIT ?2";
    let rows = db.query(sql, &params![pool_id, limit]).await?;
    rows.iter()
        .map(|row| {
            let committed_ms = row.i64(6)?;
            Ok(Unnumbered {
                signout_id: row.string(0)?,
                n: row.i64(1)?,
                kind: row.string(2)?,
                subject: row.string(3)?,
                not_before_ms: row.i64(4)?,
                drop_after_ms: row.i64(5)?.max(committed_ms + row.i64(7)? + CLOCKS_MS),
                committed_ms,
            })
        })
        .collect()
}

/// Gives a record its number; `Conflict` if it has one.
pub fn number(
    batch: &mut Batch,
    pool_id: &str,
    record: &Unnumbered,
    seq: i64,
    key16: &[u8; 16],
    chain: &Chain,
) {
    batch.one(
        Rank::Record,
        // By its key: PostgreSQL takes the index of what waits for `seq IS NULL`, and reads all of it for each row.
        "UPDATE records SET seq = ?4, key16 = ?5, chain = ?6, drop_after_ms = ?7 \
         WHERE pool_id = ?1 AND signout_id = ?2 AND n = ?3 AND COALESCE(seq, 0) = 0",
        params![
            pool_id,
            record.signout_id.as_str(),
            record.n,
            seq,
            key16.as_slice(),
            chain.as_slice(),
            record.drop_after_ms
        ],
        Error::conflict(),
    );
}

// Numbered records

/// The records that follow the number `since`, in order: without a gap, but where they are forgotten. Each with its number and the
/// chain at it.
pub async fn after(
    db: &Db,
    pool_id: &str,
    since: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<(i64, Entry, Chain)>> {
    let sql = "SELECT kind, key16, not_before_ms, drop_after_ms, seq, chain FROM records \
               WHERE pool_id = ?1 AND seq > ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4";
    let rows = db.query(sql, &params![pool_id, since, upto, limit]).await?;
    rows.iter().map(|row| Ok((row.i64(4)?, entry(row)?, chain(row.blob(5)?)?))).collect()
}

/// The chain at the number of a record; `None` if that is forgotten.
pub async fn chain_at(db: &Db, pool_id: &str, seq: i64) -> Result<Option<Chain>> {
    let sql = "SELECT chain FROM records WHERE pool_id = ?1 AND seq = ?2";
    let row = db.one(sql, &params![pool_id, seq]).await?;
    row.map(|row| chain(row.blob(0)?)).transpose()
}

/// One page of what a snapshot holds: the records after `since` up to `upto` that are kept beyond `alive_ms`, with the number of the
/// last.
pub async fn alive(
    db: &Db,
    pool_id: &str,
    since: i64,
    upto: i64,
    alive_ms: Ms,
    limit: i64,
) -> Result<Vec<(i64, Entry)>> {
    let sql = "SELECT kind, key16, not_before_ms, drop_after_ms, seq FROM records \
               WHERE pool_id = ?1 AND seq > ?2 AND seq <= ?3 AND drop_after_ms > ?4 ORDER BY seq LIMIT ?5";
    let rows = db.scan(sql, params![pool_id, since, upto, alive_ms, limit]).await?;
    rows.iter().map(|row| Ok((row.i64(4)?, entry(row)?))).collect()
}

fn entry(row: &Row) -> Result<Entry> {
    let kind = row.text(0)?.as_bytes().first().copied();
    let key16 = row.blob(1)?.try_into();
    Ok(Entry {
        kind: kind.ok_or_else(|| Error::internal("a record has no kind"))?,
        key16: key16.map_err(|_| Error::internal("a record's key has not 16 bytes"))?,
        not_before_ms: row.i64(2)?,
        drop_after_ms: row.i64(3)?,
    })
}

// Keys

/// A key that signs a pool's feed, or did. `secret` is the sealed seed.
#[derive(Clone, Debug)]
pub struct KeyRow {
    pub kid: String,
    pub secret: Vec<u8>,
    pub public_key: Vec<u8>,
    pub created_ms: Ms,
    /// When it leaves the key set; `None` for the one that signs.
    pub retired_ms: Option<Ms>,
}

/// Of a pool, the newest first.
pub async fn keys(db: &Db, pool_id: &str) -> Result<Vec<KeyRow>> {
    let sql = "SELECT kid, secret, public_key, created_ms, retired_ms FROM feed_keys WHERE pool_id = ?1 ORDER BY created_ms DESC, kid";
    let rows = db.query(sql, &params![pool_id]).await?;
    rows.iter()
        .map(|row| {
            Ok(KeyRow {
                kid: row.string(0)?,
                secret: row.blob(1)?.to_vec(),
                public_key: row.blob(2)?.to_vec(),
                created_ms: row.i64(3)?,
                retired_ms: row.opt_i64(4)?,
            })
        })
        .collect()
}

/// From now on this key signs, in the place of `old` (empty if there was none); `Conflict` if another server was quicker. The old one
/// stays in the key set until `retire_ms`.
pub fn insert_key(batch: &mut Batch, pool_id: &str, key: &KeyRow, old: &str, retire_ms: Ms) {
    batch.one(
        Rank::Record,
        "UPDATE feed_heads SET kid = ?3 WHERE pool_id = ?1 AND kid = ?2",
        params![pool_id, old, key.kid.as_str()],
        Error::conflict(),
    );
    batch.any(
        Rank::Job,
        "UPDATE feed_keys SET retired_ms = ?3 WHERE pool_id = ?1 AND kid = ?2 AND retired_ms IS NULL",
        params![pool_id, old, retire_ms],
    );
    batch.one(
        Rank::Job,
        "INSERT INTO feed_keys (pool_id, kid, secret, public_key, created_ms, retired_ms) VALUES (?1, ?2, ?3, ?4, ?5, NULL) \
         ON CONFLICT DO NOTHING",
        params![
            pool_id,
            key.kid.as_str(),
            key.secret.clone(),
            key.public_key.clone(),
            key.created_ms
        ],
        Error::conflict(),
    );
}

// Who follows

/// What one consumer last said. It may be up to a second older than what it said to a server that has not written it down yet.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Consumer {
    /// The app client, or the fingerprint of the certificate, that it came with.
    pub owner: String,
    /// The name that it gives itself.
    pub consumer: String,
    pub incarnation: String,
    /// It has everything up to this number.
    pub since: i64,
    /// `introspect`, `closed`, `open`, or empty where it does not say: what it does once it has heard nothing for too long.
    pub policy: String,
    pub max_staleness_ms: Ms,
    pub seen_ms: Ms,
}

/// More than anybody has; what is beyond is refused when it comes (`delivery::feed`).
pub const MAX_CONSUMERS: i64 = 10_000;

/// Those of a pool, in the order of their names.
pub async fn consumers(db: &Db, pool_id: &str) -> Result<Vec<Consumer>> {
    let sql = "SELECT owner, consumer, incarnation, since, policy, max_staleness_ms, seen_ms FROM feed_consumers \
               WHERE pool_id = ?1 ORDER BY owner, consumer LIMIT ?2";
    let rows = db.scan(sql, params![pool_id, 2 * MAX_CONSUMERS]).await?;
    rows.iter()
        .map(|row| {
            Ok(Consumer {
                owner: row.string(0)?,
                consumer: row.string(1)?,
                incarnation: row.string(2)?,
                since: row.i64(3)?,
                policy: row.string(4)?,
                max_staleness_ms: row.i64(5)?,
                seen_ms: row.i64(6)?,
            })
        })
        .collect()
}

/// What is known of a consumer's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is among those of the pool.
    Yes,
    /// Not yet.
    New,
    /// And it is one too many.
    NoRoom,
}

pub async fn is_known(db: &Db, pool_id: &str, owner: &str, consumer: &str) -> Result<Known> {
    let known = "SELECT 1 FROM feed_consumers WHERE pool_id = ?1 AND owner = ?2 AND consumer = ?3";
    if db.one(known, &params![pool_id, owner, consumer]).await?.is_some() {
        return Ok(Known::Yes);
    }
    let sql =
        "SELECT COUNT(*) FROM (SELECT 1 FROM feed_consumers WHERE pool_id = ?1 LIMIT ?2) counted";
    let row = db.one(sql, &params![pool_id, MAX_CONSUMERS]).await?;
    let all = row.map_or(Ok(0), |row| row.i64(0))?;
    Ok(if all < MAX_CONSUMERS { Known::New } else { Known::NoRoom })
}

/// Writes down what a consumer said. In one incarnation `since` only grows: requests may overtake each other. What came later says
/// the rest.
pub fn acknowledge(batch: &mut Batch, pool_id: &str, said: &Consumer) {
    batch.any(
        Rank::Job,
        "INSERT INTO feed_consumers (pool_id, owner, consumer, incarnation, since, policy, max_staleness_ms, seen_ms, created_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8) ON CONFLICT (pool_id, owner, consumer) DO UPDATE SET \
         since = CASE WHEN feed_consumers.incarnation = excluded.incarnation AND feed_consumers.since > excluded.since \
         THEN feed_consumers.since ELSE excluded.since END, \
         incarnation = excluded.incarnation, policy = excluded.policy, max_staleness_ms = excluded.max_staleness_ms, \
         seen_ms = CASE WHEN feed_consumers.seen_ms > excluded.seen_ms THEN feed_consumers.seen_ms ELSE excluded.seen_ms END",
        params![
            pool_id,
            said.owner.as_str(),
            said.consumer.as_str(),
            said.incarnation.as_str(),
            said.since,
            said.policy.as_str(),
            said.max_staleness_ms,
            said.seen_ms
        ],
    );
}
