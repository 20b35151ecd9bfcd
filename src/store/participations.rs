//! Which app client takes part in which session, under which `sid`: what is told of a sign-out is found here, and not among sessions
//! and tokens, because a relying party's own session outlives both. A row is over (`ended_ms`) once a sign-out of it is committed or
//! its deliveries are; no `sid` that is over is ever given to a client again.

use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

pub struct Participation {
    pub sid: String,
    /// The browser session that it came through; `None` for a sign-in by the API, which is a session of its own.
    pub sso_id: Option<String>,
    pub client_id: String,
    pub sub: String,
    /// The birth of the last token session that opened under this `sid`.
    pub birth_ms: Ms,
    pub created_ms: Ms,
    pub expires_ms: Ms,
    pub ended_ms: Option<Ms>,
}

macro_rules! columns {
    () => {
        "SELECT sid, sso_id, client_id, sub, birth_ms, created_ms, expires_ms, ended_ms FROM participations "
    };
}

/// A client takes part in a session, or does so again. One that is over meanwhile makes the sign-in run again, for another `sid`.
pub fn join(batch: &mut Batch, pool_id: &str, party: &Participation) {
    batch.one(
        Rank::Job,
        "INSERT INTO participations (pool_id, sid, sso_id, client_id, sub, birth_ms, created_ms, expires_ms, ended_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL) ON CONFLICT (pool_id, sid) DO UPDATE SET \
         birth_ms = CASE WHEN participations.birth_ms < excluded.birth_ms THEN excluded.birth_ms ELSE participations.birth_ms END, \
         expires_ms = CASE WHEN participations.expires_ms < excluded.expires_ms THEN excluded.expires_ms ELSE participations.expires_ms END \
         WHERE participations.ended_ms IS NULL",
        params![
            pool_id,
            party.sid.as_str(),
            party.sso_id.clone(),
            party.client_id.as_str(),
            party.sub.as_str(),
            party.birth_ms,
            party.created_ms,
            party.expires_ms
        ],
        Error::conflict().because(&party.sub),
    );
}

/// How many times a client's part in a browser session was over since an epoch.
pub async fn rounds(
    db: &Db,
    pool_id: &str,
    sso_id: &str,
    client_id: &str,
    epoch_ms: Ms,
) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM participations WHERE pool_id = ?1 AND sso_id = ?2 AND client_id = ?3 AND birth_ms >= ?4 \
               AND ended_ms IS NOT NULL";
    let row = db.one(sql, &params![pool_id, sso_id, client_id, epoch_ms]).await?;
    row.map_or(Ok(0), |row| row.i64(0))
}

/// It is over, with this token session: only `signout` says so, in the batch of a sign-out.
pub fn end(batch: &mut Batch, pool_id: &str, sid: &str, session_id: &str, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE participations SET ended_ms = ?4, ended_by = ?3 WHERE pool_id = ?1 AND sid = ?2 AND ended_ms IS NULL",
        params![pool_id, sid, session_id, now],
    );
}

/// What was over with a token session. None where another one of the same browser goes on, or those concerned were told before.
pub async fn ended_by(db: &Db, pool_id: &str, session_id: &str) -> Result<Option<Participation>> {
    const SQL: &str = concat!(columns!(), "WHERE pool_id = ?1 AND ended_by = ?2");
    db.one(SQL, &params![pool_id, session_id]).await?.map(|row| party(&row)).transpose()
}

/// Whose participations a sign-out ends.
#[derive(Clone, Copy)]
pub enum Whose<'a> {
    /// All that came through this browser session.
    Browser(&'a str),
    /// All of this user.
    User(&'a str),
    /// All at this client.
    Client(&'a str),
    /// All of the pool.
    Everybody,
}

impl<'a> Whose<'a> {
    fn key(self) -> &'a str {
        match self {
            Whose::Browser(key) | Whose::User(key) | Whose::Client(key) => key,
            Whose::Everybody => "",
        }
    }
}

/// Those that were born below a boundary and are not over, after the `sid` `after`.
pub async fn living(
    db: &Db,
    pool_id: &str,
    whose: Whose<'_>,
    below_ms: Ms,
    after: &str,
    limit: i64,
) -> Result<Vec<Participation>> {
    macro_rules! of {
        ($key:literal) => {
            concat!(
                columns!(),
                "WHERE pool_id = ?1 AND ",
                $key,
                " AND birth_ms < ?3 AND sid > ?4 AND ended_ms IS NULL ORDER BY sid LIMIT ?5"
            )
        };
    }
    let sql = match whose {
        Whose::Browser(_) => of!("sso_id = ?2"),
        Whose::User(_) => of!("sub = ?2"),
        Whose::Client(_) => of!("client_id = ?2"),
        Whose::Everybody => of!("?2 = ''"),
    };
    let rows = db.scan(sql, params![pool_id, whose.key(), below_ms, after, limit]).await?;
    rows.iter().map(party).collect()
}

/// Those of one page are over, after the `sid` `after` and up to `to`: what is to be said of them is committed with this. What lies before
/// is not read again, of which a pool may have a million.
pub fn end_page(
    batch: &mut Batch,
    pool_id: &str,
    whose: Whose<'_>,
    below_ms: Ms,
    (after, to): (&str, &str),
    now: Ms,
) {
    macro_rules! of {
        ($key:literal) => {
            concat!(
                "UPDATE participations SET ended_ms = ?6 WHERE pool_id = ?1 AND ",
                $key,
                " AND birth_ms < ?3 AND sid > ?4 AND sid <= ?5 AND ended_ms IS NULL"
            )
        };
    }
    let sql = match whose {
        Whose::Browser(_) => of!("sso_id = ?2"),
        Whose::User(_) => of!("sub = ?2"),
        Whose::Client(_) => of!("client_id = ?2"),
        Whose::Everybody => of!("?2 = ''"),
    };
    batch.any(Rank::Job, sql, params![pool_id, whose.key(), below_ms, after, to, now]);
}

/// Whether any is of this client and not over.
pub async fn any_of_client(db: &Db, pool_id: &str, client_id: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM participations WHERE pool_id = ?1 AND client_id = ?2 AND ended_ms IS NULL LIMIT 1";
    Ok(db.one(sql, &params![pool_id, client_id]).await?.is_some())
}

fn party(row: &Row) -> Result<Participation> {
    Ok(Participation {
        sid: row.string(0)?,
        sso_id: row.opt_text(1)?.map(str::to_owned),
        client_id: row.string(2)?,
        sub: row.string(3)?,
        birth_ms: row.i64(4)?,
        created_ms: row.i64(5)?,
        expires_ms: row.i64(6)?,
        ended_ms: row.opt_i64(7)?,
    })
}
