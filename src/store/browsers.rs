//! Browser sessions. Ends are written by `signout` alone.

use super::users::{self, WIDTH, columns};
use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::{SsoSession, User};

macro_rules! sso_columns {
    () => {
        "s.session_id, s.sub, s.client_id, s.birth_ms, s.auth_ms, s.created_ms, s.active_ms, s.expires_ms, s.ended_ms, \
         s.ip, s.device"
    };
}

/// A browser session with its user and pool.
pub struct Browser {
    pub session: SsoSession,
    pub user: User,
}

/// The browser session behind a cookie's handle. `None`: it or its user is gone.
pub async fn browser(db: &Db, pool_id: &str, handle: &[u8; 32]) -> Result<Option<Browser>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        ", ",
        sso_columns!(),
        " FROM sso_sessions s \
         JOIN users u ON u.pool_id = s.pool_id AND u.sub = s.sub WHERE s.pool_id = ?1 AND s.handle = ?2"
    );
    let row = db.one(SQL, &params![pool_id, handle.as_slice()]).await?;
    row.map(|row| Ok(Browser { session: sso_session(&row, WIDTH)?, user: users::user(&row)? }))
        .transpose()
}

/// The session that a sign-out means: a renewal in another tab may just have replaced the handle that this one still sends.
pub async fn sso_session_to_end(
    db: &Db,
    pool_id: &str,
    handle: &[u8; 32],
) -> Result<Option<SsoSession>> {
    const SQL: &str = concat!(
        "SELECT ",
        sso_columns!(),
        " FROM sso_sessions s WHERE s.pool_id = ?1 AND (s.handle = ?2 OR s.previous_handle = ?2) \
         AND s.ended_ms IS NULL"
    );
    db.one(SQL, &params![pool_id, handle.as_slice()])
        .await?
        .map(|row| sso_session(&row, 0))
        .transpose()
}

pub async fn sso_session_by_id(
    db: &Db,
    pool_id: &str,
    session_id: &str,
) -> Result<Option<SsoSession>> {
    const SQL: &str = concat!(
        "SELECT ",
        sso_columns!(),
        " FROM sso_sessions s WHERE s.pool_id = ?1 AND s.session_id = ?2"
    );
    db.one(SQL, &params![pool_id, session_id]).await?.map(|row| sso_session(&row, 0)).transpose()
}

/// The living browser sessions of a user, most recently used first.
pub async fn sso_sessions_of(db: &Db, user: &User, now: Ms) -> Result<Vec<SsoSession>> {
    const SQL: &str = concat!(
        "SELECT ",
        sso_columns!(),
        " FROM sso_sessions s WHERE s.pool_id = ?1 AND s.sub = ?2 AND s.ended_ms IS NULL \
         AND s.expires_ms > ?3 AND s.birth_ms >= ?4 ORDER BY s.active_ms DESC, s.session_id DESC LIMIT 10000"
    );
    let rows = db
        .scan(SQL, params![user.pool_id.as_str(), user.sub.as_str(), now, user.sso_epoch_ms])
        .await?;
    rows.iter().map(|row| sso_session(row, 0)).collect()
}

pub fn insert_sso_session(
    batch: &mut Batch,
    pool_id: &str,
    session: &SsoSession,
    handle: &[u8; 32],
) {
    batch.one(
        Rank::SsoSession,
        "INSERT INTO sso_sessions (pool_id, session_id, sub, handle, client_id, birth_ms, auth_ms, created_ms, active_ms, \
         expires_ms, ended_ms, ip, device) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, NULL, ?10, ?11) ON CONFLICT DO NOTHING",
        params![
            pool_id,
            session.id.as_str(),
            session.sub.as_str(),
            handle.as_slice(),
            session.client_id.as_str(),
            session.birth_ms,
            session.auth_ms,
            session.created_ms,
            session.expires_ms,
            session.ip.as_str(),
            session.device.as_str()
        ],
        Error::conflict(),
    );
}

/// *Sign in as NAME*: a new handle, and an hour from now. The old handle is dead from here on.
pub fn renew_sso_session(
    batch: &mut Batch,
    pool_id: &str,
    session_id: &str,
    old: &[u8; 32],
    new: &[u8; 32],
    now: Ms,
    expires_ms: Ms,
) {
    batch.one(
        Rank::SsoSession,
        "UPDATE sso_sessions SET handle = ?4, previous_handle = ?3, active_ms = ?5, expires_ms = ?6 \
         WHERE pool_id = ?1 AND session_id = ?2 AND handle = ?3 AND ended_ms IS NULL AND expires_ms > ?5",
        params![pool_id, session_id, old.as_slice(), new.as_slice(), now, expires_ms],
        Error::conflict(),
    );
}

/// The same user proved who they are again in the same browser: the session begins anew under a new handle.
#[allow(clippy::too_many_arguments, reason = "each is a column")]
pub fn authenticate_sso_session(
    batch: &mut Batch,
    pool_id: &str,
    session_id: &str,
    old: &[u8; 32],
    new: &[u8; 32],
    birth_ms: Ms,
    now: Ms,
    expires_ms: Ms,
) {
    batch.one(
        Rank::SsoSession,
        "UPDATE sso_sessions SET handle = ?4, previous_handle = ?3, birth_ms = ?5, auth_ms = ?6, active_ms = ?6, expires_ms = ?7 \
         WHERE pool_id = ?1 AND session_id = ?2 AND handle = ?3 AND ended_ms IS NULL",
        params![pool_id, session_id, old.as_slice(), new.as_slice(), birth_ms, now, expires_ms],
        Error::conflict(),
    );
}

/// Locks a living browser session that something is made from.
pub fn use_sso_session(batch: &mut Batch, pool_id: &str, session_id: &str, now: Ms, miss: Error) {
    batch.one(
        Rank::SsoSession,
        "UPDATE sso_sessions SET active_ms = ?3 WHERE pool_id = ?1 AND session_id = ?2 AND ended_ms IS NULL",
        params![pool_id, session_id, now],
        miss,
    );
}

pub fn end_sso_session(batch: &mut Batch, pool_id: &str, session_id: &str, now: Ms) {
    batch.any(
        Rank::SsoSession,
        "UPDATE sso_sessions SET ended_ms = ?3 WHERE pool_id = ?1 AND session_id = ?2 AND ended_ms IS NULL",
        params![pool_id, session_id, now],
    );
}

/// Gives the one browser session that survives an event that ends the others its new birth: the user's clock, which the
/// same batch has just raised to the new epoch.
/// One that was dead already, below the epoch that was read, stays dead.
pub fn spare_sso_session(batch: &mut Batch, pool_id: &str, session_id: &str, epoch_ms: Ms) {
    batch.any(
        Rank::SsoSession,
        "UPDATE sso_sessions SET birth_ms = (SELECT u.clock_ms FROM users u WHERE u.pool_id = sso_sessions.pool_id AND u.sub = sso_sessions.sub) \
         WHERE pool_id = ?1 AND session_id = ?2 AND ended_ms IS NULL AND birth_ms >= ?3",
        params![pool_id, session_id, epoch_ms],
    );
}

fn sso_session(row: &Row, at: usize) -> Result<SsoSession> {
    Ok(SsoSession {
        id: row.string(at)?,
        sub: row.string(at + 1)?,
        client_id: row.string(at + 2)?,
        birth_ms: row.i64(at + 3)?,
        auth_ms: row.i64(at + 4)?,
        created_ms: row.i64(at + 5)?,
        active_ms: row.i64(at + 6)?,
        expires_ms: row.i64(at + 7)?,
        ended_ms: row.opt_i64(at + 8)?,
        ip: row.string(at + 9)?,
        device: row.string(at + 10)?,
    })
}
