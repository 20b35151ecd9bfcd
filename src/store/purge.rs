//! Forgetting what nothing can refer to any more, a few hundred rows at a time, so that no sign-in waits behind it. The audit trail
//! is never purged: how long it is kept is the operator's to say.

use super::{Batch, Db, Rank};
use crate::ambient::{DAY, HOUR, Ms};
use crate::error::{Error, Result};
use crate::params;

/// What is over stays two days longer, for people who look into what happened.
const KEEP_MS: Ms = 2 * DAY;
/// A session that was ended is kept until the longest token of it (24 hours) has expired, and those two days.
const KEEP_ENDED_MS: Ms = 3 * DAY;
/// A sign-out record outlives the last token that it kills by a month, for receipts.
const KEEP_RECORDS_MS: Ms = 30 * DAY;

/// Whoever followed a feed within the two days before a sign-out stands in its receipt until no token of it can live any more
/// (`delivery::receipt`), also where the feed's pool is gone.
const KEEP_CONSUMERS_MS: Ms = 3 * DAY + HOUR;

/// What was delivered is shown for a week; what could not be, for a month from when it was given up.
const KEEP_DELIVERIES_MS: Ms = 7 * DAY;
const KEEP_DEAD_MS: Ms = 30 * DAY;

/// Rows of one batch, and batches of one run: the rest waits for the next run.
const CHUNK: i64 = 500;
const CHUNKS: usize = 100;

struct Rule {
    rank: Rank,
    keep_ms: Ms,
    any: &'static str,
    delete: &'static str,
}

macro_rules! rule {
    ($rank:ident, $keep:ident, $table:literal, $key:literal, $which:expr) => {
        Rule {
            rank: Rank::$rank,
            keep_ms: $keep,
            any: concat!("SELECT 1 FROM ", $table, " WHERE ", $which, " LIMIT 1"),
            delete: concat!(
                "DELETE FROM ",
                $table,
                " WHERE (",
                $key,
                ") IN (SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE ",
                $which,
                " LIMIT ?2)"
            ),
        }
    };
}

/// Tokens of a provider are not kept for people who look into what happened.
const NOT_KEPT: Ms = 0;

macro_rules! still_used {
    () => {
        "expires_ms < ?1 AND (EXISTS (SELECT 1 FROM sso_sessions s JOIN users x ON x.pool_id = s.pool_id \
         AND x.sub = s.sub WHERE s.pool_id = upstream_sessions.pool_id AND s.session_id = upstream_sessions.sso_id \
         AND s.ended_ms IS NULL AND s.expires_ms > ?1 AND s.birth_ms >= x.sso_epoch_ms) \
         OR ended_ms IS NULL AND EXISTS (SELECT 1 FROM token_sessions t JOIN users x ON x.pool_id = t.pool_id AND x.sub = t.sub \
         WHERE t.pool_id = upstream_sessions.pool_id AND t.sso_id = upstream_sessions.sso_id AND t.ended_ms IS NULL \
         AND t.expires_ms > ?1 AND t.birth_ms >= x.epoch_ms))"
    };
}

/// A session at a provider is kept, a day at a time, while the browser session or a token session that came from it lives: the
/// provider may still end those. One that is over still says what the browser session came through.
const PROLONG_UPSTREAM: Rule = Rule {
    rank: Rank::Job,
    keep_ms: NOT_KEPT,
    any: concat!("SELECT 1 FROM upstream_sessions WHERE ", still_used!(), " LIMIT 1"),
    delete: concat!(
        "UPDATE upstream_sessions SET expires_ms = CAST(?1 AS BIGINT) + 86400000 WHERE (pool_id, upstream_id) IN \
         (SELECT pool_id, upstream_id FROM upstream_sessions WHERE ",
        still_used!(),
        " LIMIT ?2)"
    ),
};

/// While the browser session lives it may still be signed out of, and what is over there still says which `sid` comes next.
macro_rules! no_browser {
    () => {
        "NOT EXISTS (SELECT 1 FROM sso_sessions s WHERE s.pool_id = participations.pool_id AND s.session_id = participations.sso_id \
         AND s.ended_ms IS NULL AND s.expires_ms >= ?1)"
    };
}

#[rustfmt::skip] // One table per line.
const RULES: &[Rule] = &[
    rule!(User, KEEP_MS, "strangers", "pool_id, login", "failed_ms < ?1"),
    rule!(SsoSession, KEEP_MS, "sso_sessions", "pool_id, session_id", "expires_ms < ?1"),
    rule!(SsoSession, KEEP_ENDED_MS, "sso_sessions", "pool_id, session_id", "ended_ms < ?1"),
    rule!(TokenSession, KEEP_MS, "token_sessions", "pool_id, session_id", "expires_ms < ?1"),
    rule!(TokenSession, KEEP_ENDED_MS, "token_sessions", "pool_id, session_id", "ended_ms < ?1"),
    rule!(RefreshToken, KEEP_MS, "refresh_tokens", "pool_id, hash", "expires_ms < ?1"),
    rule!(Code, KEEP_MS, "authorization_codes", "pool_id, hash", "expires_ms < ?1"),
    rule!(Code, KEEP_MS, "challenges", "pool_id, hash", "expires_ms < ?1"),
    rule!(Code, KEEP_MS, "user_codes", "pool_id, sub, purpose", "expires_ms < ?1"),
    rule!(Code, KEEP_MS, "allowances", "pool_id, subject, purpose", "since_ms < ?1"),
    rule!(Code, KEEP_MS, "handshakes", "pool_id, hash", "expires_ms < ?1"),
    rule!(Code, KEEP_MS, "seen_messages", "pool_id, provider, message_key", "expires_ms < ?1"),
    PROLONG_UPSTREAM,
    rule!(Job, NOT_KEPT, "upstream_sessions", "pool_id, upstream_id", "expires_ms < ?1 AND NOT EXISTS (SELECT 1 FROM upstream_signouts o \
        WHERE o.pool_id = upstream_sessions.pool_id AND o.sub = upstream_sessions.sub AND o.provider = upstream_sessions.provider \
        AND o.upstream_id = upstream_sessions.upstream_id AND o.done_ms IS NULL)"),
    rule!(Job, KEEP_RECORDS_MS, "upstream_signouts", "pool_id, signout_id, upstream_id", "created_ms < ?1"),
    rule!(Job, NOT_KEPT, "participations", "pool_id, sid", concat!("expires_ms < ?1 AND ", no_browser!())),
    rule!(Job, KEEP_ENDED_MS, "participations", "pool_id, sid", concat!("ended_ms < ?1 AND ", no_browser!())),
    rule!(Record, KEEP_RECORDS_MS, "records", "pool_id, signout_id, n", "drop_after_ms < ?1"),
    rule!(Job, KEEP_DELIVERIES_MS, "deliveries", "pool_id, delivery_id", "done_ms < ?1 AND state <> 'dead'"),
    rule!(Job, KEEP_DEAD_MS, "deliveries", "pool_id, delivery_id", "done_ms < ?1"),
    rule!(Job, NOT_KEPT, "feed_keys", "pool_id, kid", "retired_ms < ?1"),
    rule!(Job, KEEP_CONSUMERS_MS, "feed_consumers", "pool_id, owner, consumer", "seen_ms < ?1"),
    // Of a stream that is gone, or whose pool is.
    rule!(Job, KEEP_MS, "deliveries", "pool_id, delivery_id", "state = 'held' AND created_ms < ?1 AND NOT EXISTS (SELECT 1 FROM targets t \
        WHERE t.pool_id = deliveries.pool_id AND t.target_id = deliveries.target)"),
    rule!(Job, KEEP_MS, "messages", "pool_id, message_id", "created_ms < ?1 AND state <> 'pending'"),
];

macro_rules! of_pool {
    ($rank:ident, $table:literal, $key:literal) => {
        Rule {
            rank: Rank::$rank,
            keep_ms: 0,
            any: concat!("SELECT 1 FROM ", $table, " WHERE pool_id = ?1 LIMIT 1"),
            delete: concat!(
                "DELETE FROM ",
                $table,
                " WHERE pool_id = ?1 AND (",
                $key,
                ") IN (SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE pool_id = ?1 LIMIT ?2)"
            ),
        }
    };
}

macro_rules! nobody_waits {
    () => {
        "pool_id = ?1 AND NOT EXISTS (SELECT 1 FROM records r WHERE r.pool_id = ?1 AND r.expanded_ms IS NULL) \
         AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.pool_id = ?1 AND d.state = 'pending')"
    };
}

/// Webhooks are still told that their pool was deleted, and go after that.
const TARGETS: Rule = Rule {
    rank: Rank::Job,
    keep_ms: 0,
    any: concat!("SELECT 1 FROM targets WHERE ", nobody_waits!(), " LIMIT 1"),
    delete: concat!(
        "DELETE FROM targets WHERE ",
        nobody_waits!(),
        " AND target_id IN (SELECT target_id FROM targets WHERE pool_id = ?1 LIMIT ?2)"
    ),
};

/// What a deleted pool leaves behind. The audit trail stays, and so do deliveries and records with the feed that tells them and those who
/// follow it.
#[rustfmt::skip] // One table per line.
const REMAINS: &[Rule] = &[
    of_pool!(User, "users", "sub"),
    of_pool!(User, "password_history", "sub, password_ver"),
    of_pool!(Factor, "software_tokens", "sub"),
    of_pool!(Group, "groups", "name"),
    of_pool!(Member, "group_members", "name, sub"),
    of_pool!(Login, "logins", "login"),
    of_pool!(Login, "user_attributes", "name, value, sub"),
    of_pool!(Login, "identities", "provider, attribute, value_key"),
    of_pool!(User, "strangers", "login"),
    of_pool!(SsoSession, "sso_sessions", "session_id"),
    of_pool!(TokenSession, "token_sessions", "session_id"),
    of_pool!(RefreshToken, "refresh_tokens", "hash"),
    of_pool!(Code, "authorization_codes", "hash"),
    of_pool!(Code, "challenges", "hash"),
    of_pool!(Code, "user_codes", "sub, purpose"),
    of_pool!(Code, "allowances", "subject, purpose"),
    of_pool!(Code, "handshakes", "hash"),
    of_pool!(Code, "seen_messages", "provider, message_key"),
    of_pool!(Job, "messages", "message_id"),
    of_pool!(Job, "upstream_sessions", "upstream_id"),
    of_pool!(Job, "upstream_signouts", "signout_id, upstream_id"),
    of_pool!(Domain, "provider_identifiers", "identifier"),
    of_pool!(Domain, "provider_learned", "name, what"),
    of_pool!(Client, "ui_customizations", "client_id"),
    of_pool!(Job, "participations", "sid"),
    TARGETS,
];

/// How long a grave is looked into again: what raced with the deletion may have come after it.
const GRAVE_MS: Ms = DAY;

/// Removes what all deleted pools left behind. Returns whether something was left for the next run.
pub async fn graves(db: &Db, now: Ms) -> Result<bool> {
    let (mut left, mut after) = (false, String::new());
    loop {
        let sql =
            "SELECT pool_id, deleted_ms FROM graves WHERE pool_id > ?1 ORDER BY pool_id LIMIT 100";
        let rows = db.scan(sql, params![after.as_str()]).await?;
        let Some(last) = rows.last() else { return Ok(left) };
        after = last.string(0)?;
        for row in &rows {
            let empty = grave(db, row.text(0)?).await?;
            left |= !empty;
            if empty && row.i64(1)? + GRAVE_MS < now {
                close_grave(db, row.text(0)?).await?;
            }
        }
    }
}

/// Empties one grave as far as one run goes; true where nothing is left. Each piece locks the grave: a pool that takes the id
/// again removes it first, and loses nothing.
pub async fn grave(db: &Db, pool_id: &str) -> Result<bool> {
    for rule in REMAINS {
        let mut chunks = 0;
        while !db.scan(rule.any, params![pool_id]).await?.is_empty() {
            if chunks == CHUNKS {
                return Ok(false);
            }
            chunks += 1;
            let mut batch = Batch::new();
            batch.one(
                Rank::Pool,
                "UPDATE graves SET deleted_ms = deleted_ms WHERE pool_id = ?1",
                params![pool_id],
                Error::conflict(),
            );
            batch.any(rule.rank, rule.delete, params![pool_id, CHUNK]);
            match db.commit(batch).await {
                // Gone meanwhile: somebody else finished, or the id is in use again.
                Err(error) if error.is_conflict() => return Ok(true),
                done => done?,
            }
        }
    }
    Ok(true)
}

/// Forgets a grave: its id can be used again.
pub async fn close_grave(db: &Db, pool_id: &str) -> Result<()> {
    let mut batch = Batch::new();
    batch.any(Rank::Pool, "DELETE FROM graves WHERE pool_id = ?1", params![pool_id]);
    // Those of whom somebody still waits after a day, or where a developer wants the id again now.
    batch.any(Rank::Job, "DELETE FROM targets WHERE pool_id = ?1", params![pool_id]);
    db.commit(batch).await
}

/// One run over all tables. Returns whether something was left for the next run.
pub async fn run(db: &Db, now: Ms) -> Result<bool> {
    let mut left = graves(db, now).await?;
    for rule in RULES {
        let before = now - rule.keep_ms;
        let mut chunks = 0;
        while !db.scan(rule.any, params![before]).await?.is_empty() {
            if chunks == CHUNKS {
                left = true;
                break;
            }
            chunks += 1;
            let mut batch = Batch::new();
            batch.any(rule.rank, rule.delete, params![before, CHUNK]);
            db.commit(batch).await?;
        }
    }
    Ok(left)
}
