//! Token sessions and refresh tokens. Ends are written by `signout` alone.

use std::sync::Arc;

use super::pools::Directory;
use super::users::{self, WIDTH, columns};
use super::{Batch, Db, Rank, Row, participations};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::session::Flow;
use crate::pool::{Client, Pool, TokenSession, User};

/// A token session with its user, client and pool, as one read gave them.
pub struct Held {
    pub session: TokenSession,
    pub user: User,
    pub client: Arc<Client>,
    pub pool: Arc<Pool>,
}

macro_rules! token_columns {
    () => {
        "t.session_id, t.sub, t.client_id, t.sso_id, t.flow, t.scope, t.nonce, t.birth_ms, t.auth_ms, t.created_ms, \
         t.active_ms, t.expires_ms, t.ended_ms, t.ip, t.device, t.resource, t.sid"
    };
}

/// Everything that decides whether a token of this session is alive. `None`: session, user, client or pool is gone.
pub async fn held(
    db: &Db,
    directory: &Directory,
    pool_id: &str,
    session_id: &str,
) -> Result<Option<Held>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        ", ",
        token_columns!(),
        ", c.ver, p.ver FROM token_sessions t \
         JOIN users u ON u.pool_id = t.pool_id AND u.sub = t.sub JOIN clients c ON c.client_id = t.client_id \
         JOIN pools p ON p.pool_id = t.pool_id WHERE t.pool_id = ?1 AND t.session_id = ?2"
    );
    match db.one(SQL, &params![pool_id, session_id]).await? {
        Some(row) => read_held(db, directory, pool_id, &row).await,
        None => Ok(None),
    }
}

async fn read_held(
    db: &Db,
    directory: &Directory,
    pool_id: &str,
    row: &Row,
) -> Result<Option<Held>> {
    let session = token_session(row, WIDTH)?;
    let client = directory.client_at(db, &session.client_id, row.i64(WIDTH + 17)?).await?;
    let pool = directory.pool_at(db, pool_id, row.i64(WIDTH + 18)?).await?;
    let (Some(client), Some(pool)) = (client, pool) else { return Ok(None) };
    Ok(Some(Held { session, user: users::user(row)?, client, pool }))
}

pub fn insert_token_session(batch: &mut Batch, pool_id: &str, session: &TokenSession) {
    batch.one(
        Rank::TokenSession,
        "INSERT INTO token_sessions (pool_id, session_id, sub, client_id, sso_id, flow, scope, nonce, birth_ms, auth_ms, \
         created_ms, active_ms, expires_ms, ended_ms, ip, device, resource, sid) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?12, NULL, ?13, ?14, ?15, ?16) ON CONFLICT DO NOTHING",
        params![
            pool_id,
            session.id.as_str(),
            session.sub.as_str(),
            session.client_id.as_str(),
            session.sso_id.clone(),
            session.flow.as_str(),
            session.scope.as_str(),
            session.nonce.clone(),
            session.birth_ms,
            session.auth_ms,
            session.created_ms,
            session.expires_ms,
            session.ip.as_str(),
            session.device.as_str(),
            session.resource.clone(),
            session.sid.clone()
        ],
        Error::conflict(),
    );
}

/// The living token sessions of a user, most recently used first.
pub async fn token_sessions_of(db: &Db, user: &User, now: Ms) -> Result<Vec<TokenSession>> {
    const SQL: &str = concat!(
        "SELECT ",
        token_columns!(),
        " FROM token_sessions t JOIN clients c ON c.client_id = t.client_id \
         WHERE t.pool_id = ?1 AND t.sub = ?2 AND t.ended_ms IS NULL AND t.expires_ms > ?3 AND t.birth_ms >= ?4 \
         AND t.birth_ms >= c.epoch_ms ORDER BY t.active_ms DESC, t.session_id DESC LIMIT 10000"
    );
    let rows =
        db.scan(SQL, params![user.pool_id.as_str(), user.sub.as_str(), now, user.epoch_ms]).await?;
    rows.iter().map(|row| token_session(row, 0)).collect()
}

/// The living token sessions that came through a browser session.
pub async fn token_sessions_through(
    db: &Db,
    pool_id: &str,
    sso_id: &str,
    now: Ms,
) -> Result<Vec<TokenSession>> {
    const SQL: &str = concat!(
        "SELECT ",
        token_columns!(),
        " FROM token_sessions t WHERE t.pool_id = ?1 AND t.sso_id = ?2 AND t.ended_ms IS NULL AND t.expires_ms > ?3"
    );
    db.scan(SQL, params![pool_id, sso_id, now])
        .await?
        .iter()
        .map(|row| token_session(row, 0))
        .collect()
}

/// The clients of a user's token sessions, or of those that came through a browser session, that say no `sid`: they began before their
/// client named an address for sign-outs. Born below a boundary, and alive until lately.
pub async fn clients_without_sid(
    db: &Db,
    pool_id: &str,
    whose: participations::Whose<'_>,
    below_ms: Ms,
    since_ms: Ms,
) -> Result<Vec<String>> {
    use participations::Whose;
    macro_rules! of {
        ($key:literal) => {
            concat!(
                "SELECT DISTINCT client_id FROM token_sessions WHERE pool_id = ?1 AND ",
                $key,
                " AND sid IS NULL AND birth_ms < ?3 AND expires_ms > ?4 AND (ended_ms IS NULL OR ended_ms >= ?4) ORDER BY client_id LIMIT 1000"
            )
        };
    }
    let (sql, key) = match whose {
        Whose::Browser(id) => (of!("sso_id = ?2"), id),
        Whose::User(sub) => (of!("sub = ?2"), sub),
        // As many as there are sessions: nobody is looked for.
        Whose::Client(_) | Whose::Everybody => return Ok(Vec::new()),
    };
    let rows = db.scan(sql, params![pool_id, key, below_ms, since_ms]).await?;
    rows.iter().map(|row| row.string(0)).collect()
}

/// The same are over by themselves, and not only by their user's epoch: what is to be said of them is committed, and is not said again
/// when the user is next signed out.
pub fn end_without_sid(
    batch: &mut Batch,
    pool_id: &str,
    sub: &str,
    below_ms: Ms,
    committed_ms: Ms,
) {
    batch.any(
        Rank::TokenSession,
        "UPDATE token_sessions SET ended_ms = ?4 WHERE pool_id = ?1 AND sub = ?2 AND sid IS NULL AND birth_ms < ?3 AND ended_ms IS NULL",
        params![pool_id, sub, below_ms, committed_ms],
    );
}

/// A guard alone: the session has not ended.
pub fn guard(batch: &mut Batch, pool_id: &str, session_id: &str, miss: Error) {
    batch.one(
        Rank::TokenSession,
        "UPDATE token_sessions SET active_ms = active_ms WHERE pool_id = ?1 AND session_id = ?2 AND ended_ms IS NULL",
        params![pool_id, session_id],
        miss,
    );
}

/// A token session by its id, with nothing said of its life.
pub async fn token_session_by_id(
    db: &Db,
    pool_id: &str,
    session_id: &str,
) -> Result<Option<TokenSession>> {
    const SQL: &str = concat!(
        "SELECT ",
        token_columns!(),
        " FROM token_sessions t WHERE t.pool_id = ?1 AND t.session_id = ?2"
    );
    db.one(SQL, &params![pool_id, session_id]).await?.map(|row| token_session(&row, 0)).transpose()
}

pub fn end_token_session(batch: &mut Batch, pool_id: &str, session_id: &str, now: Ms) {
    batch.any(
        Rank::TokenSession,
        "UPDATE token_sessions SET ended_ms = ?3 WHERE pool_id = ?1 AND session_id = ?2 AND ended_ms IS NULL",
        params![pool_id, session_id, now],
    );
}

/// Ends what came through a browser session, if that is exactly `count` sessions. The browser session's row, which a
/// redemption locks too, orders the two.
pub fn end_sessions_through(batch: &mut Batch, pool_id: &str, sso_id: &str, now: Ms, count: u64) {
    batch.exactly(
        Rank::TokenSession,
        count,
        "UPDATE token_sessions SET ended_ms = ?3 WHERE pool_id = ?1 AND sso_id = ?2 AND ended_ms IS NULL AND expires_ms > ?3",
        params![pool_id, sso_id, now],
        Error::conflict(),
    );
}

/// Locks a session that a refresh uses: a family that ends meanwhile gives no new token.
pub fn refresh_session(
    batch: &mut Batch,
    pool_id: &str,
    session_id: &str,
    ip: &str,
    device: &str,
    now: Ms,
    miss: Error,
) {
    batch.one(
        Rank::TokenSession,
        "UPDATE token_sessions SET active_ms = ?3, ip = ?4, device = ?5 \
         WHERE pool_id = ?1 AND session_id = ?2 AND ended_ms IS NULL AND expires_ms > ?3",
        params![pool_id, session_id, now, ip, device],
        miss,
    );
}

// Refresh tokens

/// A refresh token as it was found by its hash.
pub struct RefreshToken {
    pub created_ms: Ms,
    pub expires_ms: Ms,
    /// When it was exchanged for its successor.
    pub rotated_ms: Option<Ms>,
}

/// A refresh token by its hash, and in the same read everything that decides whether it is alive; `None` there: session, user, client
/// or pool is gone.
pub async fn refresh_token(
    db: &Db,
    directory: &Directory,
    pool_id: &str,
    hash: &[u8; 32],
) -> Result<Option<(RefreshToken, Option<Held>)>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        ", ",
        token_columns!(),
        ", c.ver, p.ver, r.created_ms, r.expires_ms, r.rotated_ms FROM refresh_tokens r \
         LEFT JOIN token_sessions t ON t.pool_id = r.pool_id AND t.session_id = r.session_id \
         LEFT JOIN users u ON u.pool_id = t.pool_id AND u.sub = t.sub LEFT JOIN clients c ON c.client_id = t.client_id \
         LEFT JOIN pools p ON p.pool_id = t.pool_id WHERE r.pool_id = ?1 AND r.hash = ?2"
    );
    let Some(row) = db.one(SQL, &params![pool_id, hash.as_slice()]).await? else {
        return Ok(None);
    };
    let token = RefreshToken {
        created_ms: row.i64(WIDTH + 19)?,
        expires_ms: row.i64(WIDTH + 20)?,
        rotated_ms: row.opt_i64(WIDTH + 21)?,
    };
    // The user is joined through the session: without one there is no other.
    let whole = row.opt_text(0)?.is_some()
        && row.opt_i64(WIDTH + 17)?.is_some()
        && row.opt_i64(WIDTH + 18)?.is_some();
    let held = if whole { read_held(db, directory, pool_id, &row).await? } else { None };
    Ok(Some((token, held)))
}

pub fn insert_refresh_token(
    batch: &mut Batch,
    pool_id: &str,
    hash: &[u8; 32],
    session_id: &str,
    now: Ms,
    expires_ms: Ms,
) {
    batch.one(
        Rank::RefreshToken,
        "INSERT INTO refresh_tokens (pool_id, hash, session_id, created_ms, expires_ms, rotated_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, NULL) ON CONFLICT DO NOTHING",
        params![pool_id, hash.as_slice(), session_id, now, expires_ms],
        Error::conflict(),
    );
}

/// Exchanges a refresh token for its successor, once.
pub fn rotate_refresh_token(batch: &mut Batch, pool_id: &str, hash: &[u8; 32], now: Ms) {
    batch.one(
        Rank::RefreshToken,
        "UPDATE refresh_tokens SET rotated_ms = ?3 WHERE pool_id = ?1 AND hash = ?2 AND rotated_ms IS NULL",
        params![pool_id, hash.as_slice(), now],
        Error::conflict(),
    );
}

fn token_session(row: &Row, at: usize) -> Result<TokenSession> {
    Ok(TokenSession {
        id: row.string(at)?,
        sub: row.string(at + 1)?,
        client_id: row.string(at + 2)?,
        sso_id: row.opt_text(at + 3)?.map(str::to_owned),
        flow: Flow::parse(row.text(at + 4)?),
        scope: row.string(at + 5)?,
        nonce: row.opt_text(at + 6)?.map(str::to_owned),
        birth_ms: row.i64(at + 7)?,
        auth_ms: row.i64(at + 8)?,
        created_ms: row.i64(at + 9)?,
        active_ms: row.i64(at + 10)?,
        expires_ms: row.i64(at + 11)?,
        ended_ms: row.opt_i64(at + 12)?,
        ip: row.string(at + 13)?,
        device: row.string(at + 14)?,
        resource: row.opt_text(at + 15)?.map(str::to_owned),
        sid: row.opt_text(at + 16)?.map(str::to_owned),
    })
}
