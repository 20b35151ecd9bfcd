//! Rows that workers and operators read: messages to send, the audit trail.

use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

// Messages

/// A mail or text message. `body` is sealed: it holds a code or a password.
#[derive(Clone, Debug)]
pub struct Message {
    pub pool_id: String,
    pub id: String,
    pub channel: String,
    pub address: String,
    pub subject: String,
    pub body: Vec<u8>,
    pub created_ms: Ms,
    pub attempts: i64,
}

const MESSAGE: &str = "pool_id, message_id, channel, address, subject, body, created_ms, attempts";

pub fn insert_message(batch: &mut Batch, message: &Message) {
    batch.one(
        Rank::Job,
        "INSERT INTO messages (pool_id, message_id, channel, address, subject, body, created_ms, state, attempts, due_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'pending', 0, ?7) ON CONFLICT DO NOTHING",
        params![
            message.pool_id.as_str(),
            message.id.as_str(),
            message.channel.as_str(),
            message.address.as_str(),
            message.subject.as_str(),
            message.body.clone(),
            message.created_ms
        ],
        Error::conflict(),
    );
}

/// A message to nobody: the same row, in a state in which nothing sends or shows it.
pub fn insert_decoy(batch: &mut Batch, message: &Message) {
    batch.one(
        Rank::Job,
        "INSERT INTO messages (pool_id, message_id, channel, address, subject, body, created_ms, state, attempts, due_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'decoy', 0, ?7) ON CONFLICT DO NOTHING",
        params![
            message.pool_id.as_str(),
            message.id.as_str(),
            message.channel.as_str(),
            message.address.as_str(),
            message.subject.as_str(),
            message.body.clone(),
            message.created_ms
        ],
        Error::conflict(),
    );
}

/// The newest messages, to one address or to all, of one pool or of all: dev's visible outbox.
pub async fn outbox(
    db: &Db,
    address: Option<&str>,
    pool_id: Option<&str>,
    limit: i64,
) -> Result<Vec<Message>> {
    let sql = match address {
        Some(_) => {
            "SELECT pool_id, message_id, channel, address, subject, body, created_ms, attempts FROM messages \
             WHERE address = ?1 AND (?2 = '' OR pool_id = ?2) AND state <> 'decoy' ORDER BY created_ms DESC, message_id DESC LIMIT ?3"
        }
        None => {
            "SELECT pool_id, message_id, channel, address, subject, body, created_ms, attempts FROM messages \
             WHERE ?1 = '' AND (?2 = '' OR pool_id = ?2) AND state <> 'decoy' ORDER BY created_ms DESC, message_id DESC LIMIT ?3"
        }
    };
    let rows = db
        .scan(sql, params![address.unwrap_or_default(), pool_id.unwrap_or_default(), limit])
        .await?;
    rows.iter().map(message).collect()
}

/// What waits to be sent.
pub struct Pending {
    /// Counted up to 10,000.
    pub count: i64,
    pub first_due_ms: Option<Ms>,
}

pub async fn pending(db: &Db) -> Result<Pending> {
    let sql = "SELECT COUNT(*), MIN(due_ms) FROM (SELECT due_ms FROM messages WHERE state = 'pending' ORDER BY due_ms LIMIT 10000) waiting";
    let rows = db.scan(sql, params![]).await?;
    let row = rows.first().ok_or_else(|| Error::internal("a count has no row"))?;
    Ok(Pending { count: row.i64(0)?, first_due_ms: row.opt_i64(1)? })
}

/// Messages that are due, oldest first.
pub async fn due_messages(db: &Db, now: Ms, limit: i64) -> Result<Vec<Message>> {
    let sql = "SELECT pool_id, message_id, channel, address, subject, body, created_ms, attempts FROM messages \
               WHERE state = 'pending' AND due_ms <= ?1 ORDER BY due_ms LIMIT ?2";
    debug_assert!(sql.contains(MESSAGE));
    db.scan(sql, params![now, limit]).await?.iter().map(message).collect()
}

/// Takes a message for sending until `until_ms`; of several workers one gets it.
pub fn lease_message(batch: &mut Batch, message: &Message, until_ms: Ms) {
    batch.one(
        Rank::Job,
        "UPDATE messages SET attempts = attempts + 1, due_ms = ?4 WHERE pool_id = ?1 AND message_id = ?2 AND state = 'pending' AND attempts = ?3",
        params![message.pool_id.as_str(), message.id.as_str(), message.attempts, until_ms],
        Error::conflict(),
    );
}

/// A message that was handed over, or given up, leaves nothing of its text behind.
pub fn finish_message(batch: &mut Batch, message: &Message, state: &'static str) {
    batch.any(
        Rank::Job,
        "UPDATE messages SET state = ?3, body = ?4 WHERE pool_id = ?1 AND message_id = ?2",
        params![message.pool_id.as_str(), message.id.as_str(), state, Vec::<u8>::new()],
    );
}

fn message(row: &Row) -> Result<Message> {
    Ok(Message {
        pool_id: row.string(0)?,
        id: row.string(1)?,
        channel: row.string(2)?,
        address: row.string(3)?,
        subject: row.string(4)?,
        body: row.blob(5)?.to_vec(),
        created_ms: row.i64(6)?,
        attempts: row.i64(7)?,
    })
}

// The audit trail

#[derive(Clone, Debug)]
pub struct Entry {
    pub pool_id: String,
    pub id: String,
    pub at_ms: Ms,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub ip: String,
    pub request_id: String,
    pub result: String,
    pub detail: String,
}

pub fn insert_audit(batch: &mut Batch, entry: &Entry) {
    batch.one(
        Rank::Job,
        "INSERT INTO audit (pool_id, audit_id, at_ms, actor, action, target, ip, request_id, result, detail) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
        params![
            entry.pool_id.as_str(),
            entry.id.as_str(),
            entry.at_ms,
            entry.actor.as_str(),
            entry.action.as_str(),
            entry.target.as_str(),
            entry.ip.as_str(),
            entry.request_id.as_str(),
            entry.result.as_str(),
            entry.detail.as_str()
        ],
        Error::conflict(),
    );
}

/// Entries of `[from, to)`, oldest first, after (`at_ms`, `id`).
pub async fn audit(db: &Db, from: Ms, to: Ms, after: (Ms, &str), limit: i64) -> Result<Vec<Entry>> {
    let sql = "SELECT pool_id, audit_id, at_ms, actor, action, target, ip, request_id, result, detail FROM audit \
               WHERE at_ms >= ?1 AND at_ms < ?2 AND (at_ms, audit_id) > (?3, ?4) ORDER BY at_ms, audit_id LIMIT ?5";
    let rows = db.scan(sql, params![from, to, after.0, after.1, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Entry {
                pool_id: row.string(0)?,
                id: row.string(1)?,
                at_ms: row.i64(2)?,
                actor: row.string(3)?,
                action: row.string(4)?,
                target: row.string(5)?,
                ip: row.string(6)?,
                request_id: row.string(7)?,
                result: row.string(8)?,
                detail: row.string(9)?,
            })
        })
        .collect()
}
