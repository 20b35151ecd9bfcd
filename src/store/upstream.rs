//! Sessions at identity providers: how a browser session came about, and what signing out there needs. They outlive the browser
//! session as long as tokens that came through it may live, because the provider may still end those.

use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

/// One sign-in through a provider.
pub struct UpstreamSession {
    pub pool_id: String,
    pub id: String,
    pub sso_id: String,
    pub provider: String,
    pub sub: String,
    /// SHA-256 of the subject as the provider names it.
    pub subject_key: [u8; 32],
    /// SHA-256 of SAML's SessionIndex, or OpenID Connect's `sid`.
    pub session_key: Option<[u8; 32]>,
    /// `UpstreamDoc`, sealed.
    pub secret: Vec<u8>,
    pub created_ms: Ms,
    pub expires_ms: Ms,
    pub ended_ms: Option<Ms>,
}

pub fn insert(batch: &mut Batch, session: &UpstreamSession) {
    batch.one(
        Rank::Job,
        "INSERT INTO upstream_sessions (pool_id, upstream_id, sso_id, provider, sub, subject_key, session_key, secret, created_ms, \
         expires_ms, ended_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL) ON CONFLICT DO NOTHING",
        params![
            session.pool_id.as_str(),
            session.id.as_str(),
            session.sso_id.as_str(),
            session.provider.as_str(),
            session.sub.as_str(),
            session.subject_key.as_slice(),
            session.session_key.map(|key| key.to_vec()),
            session.secret.clone(),
            session.created_ms,
            session.expires_ms
        ],
        Error::conflict(),
    );
}

macro_rules! columns {
    () => {
        "SELECT pool_id, upstream_id, sso_id, provider, sub, subject_key, session_key, secret, created_ms, expires_ms, ended_ms \
         FROM upstream_sessions "
    };
}

pub async fn by_id(db: &Db, pool_id: &str, id: &str) -> Result<Option<UpstreamSession>> {
    const SQL: &str = concat!(columns!(), "WHERE pool_id = ?1 AND upstream_id = ?2");
    db.one(SQL, &params![pool_id, id]).await?.map(|row| session(&row)).transpose()
}

/// What a browser session came from and is not known to be over, newest first.
pub async fn of_browser(db: &Db, pool_id: &str, sso_id: &str) -> Result<Vec<UpstreamSession>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE pool_id = ?1 AND sso_id = ?2 AND ended_ms IS NULL ORDER BY created_ms DESC, upstream_id DESC LIMIT 100"
    );
    db.query(SQL, &params![pool_id, sso_id]).await?.iter().map(session).collect()
}

/// The providers that a browser session came through, and when, newest first: also where the session there is known to be over.
pub async fn origins(db: &Db, pool_id: &str, sso_id: &str) -> Result<Vec<(String, Ms)>> {
    let sql = "SELECT provider, created_ms FROM upstream_sessions WHERE pool_id = ?1 AND sso_id = ?2 \
               ORDER BY created_ms DESC, upstream_id DESC LIMIT 100";
    let rows = db.query(sql, &params![pool_id, sso_id]).await?;
    rows.iter().map(|row| Ok((row.string(0)?, row.i64(1)?))).collect()
}

/// The sessions of somebody at a provider that are not known to be over, after the id `after`.
pub async fn of_subject(
    db: &Db,
    pool_id: &str,
    provider: &str,
    subject: &[u8; 32],
    after: &str,
    limit: i64,
) -> Result<Vec<UpstreamSession>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE pool_id = ?1 AND provider = ?2 AND subject_key = ?3 AND ended_ms IS NULL AND upstream_id > ?4 \
         ORDER BY upstream_id LIMIT ?5"
    );
    let params = params![pool_id, provider, subject.as_slice(), after, limit];
    db.scan(SQL, params).await?.iter().map(session).collect()
}

/// The same by what the provider calls the session: one sign-in there may have led here more than once.
pub async fn of_session(
    db: &Db,
    pool_id: &str,
    provider: &str,
    key: &[u8; 32],
    after: &str,
    limit: i64,
) -> Result<Vec<UpstreamSession>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE pool_id = ?1 AND provider = ?2 AND session_key = ?3 AND ended_ms IS NULL AND upstream_id > ?4 \
         ORDER BY upstream_id LIMIT ?5"
    );
    let params = params![pool_id, provider, key.as_slice(), after, limit];
    db.scan(SQL, params).await?.iter().map(session).collect()
}

/// The provider's own session is over.
pub fn end(batch: &mut Batch, pool_id: &str, upstream_id: &str, now: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE upstream_sessions SET ended_ms = ?3, expires_ms = ?3 WHERE pool_id = ?1 AND upstream_id = ?2 AND ended_ms IS NULL",
        params![pool_id, upstream_id, now],
    );
}

fn session(row: &Row) -> Result<UpstreamSession> {
    Ok(UpstreamSession {
        pool_id: row.string(0)?,
        id: row.string(1)?,
        sso_id: row.string(2)?,
        provider: row.string(3)?,
        sub: row.string(4)?,
        subject_key: key(row.blob(5)?)?,
        session_key: row.opt_blob(6)?.map(key).transpose()?,
        secret: row.blob(7)?.to_vec(),
        created_ms: row.i64(8)?,
        expires_ms: row.i64(9)?,
        ended_ms: row.opt_i64(10)?,
    })
}

fn key(bytes: &[u8]) -> Result<[u8; 32]> {
    bytes.try_into().map_err(|_| Error::internal("a key is no SHA-256"))
}

// What sign-outs owe the providers

/// How far the provider of one session has been told of one sign-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The worker is to tell it.
    Pending,
    /// The browser that signed out is on its way through it.
    Browser,
    /// Its session is over.
    Done,
    /// It took its tokens back; its own session in the browser may live.
    Revoked,
    /// Nothing could be done.
    Fresh,
    /// Its sessions are its own business: SAML without `IDPSignout`.
    Left,
    /// Given up.
    Failed,
    /// The user has authenticated there again since (`store::fresh`).
    Satisfied,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Browser => "browser",
            State::Done => "done",
            State::Revoked => "revoked",
            State::Fresh => "fresh",
            State::Left => "left",
            State::Failed => "failed",
            State::Satisfied => "satisfied",
        }
    }

    fn parse(text: &str) -> Result<State> {
        use State::{Browser, Done, Failed, Fresh, Left, Pending, Revoked, Satisfied};
        [Pending, Browser, Done, Revoked, Fresh, Left, Failed, Satisfied]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::internal(format!("unknown state of a sign-out: {text}")))
    }
}

/// What one sign-out owes, whoever it is owed to.
pub struct Debt<'a> {
    pub pool_id: &'a str,
    pub signout_id: &'a str,
    pub state: State,
    pub due_ms: Ms,
    /// The provider that said it and need not be told.
    pub not: Option<&'a str>,
}

/// Whose sessions end.
#[derive(Clone, Copy)]
pub enum Whose<'a> {
    /// What came about in one browser session.
    Browser(&'a str),
    /// What came about in any of a user's, but for one that lives on.
    User { sub: &'a str, spare: Option<&'a str> },
    /// All of the pool.
    Everybody,
}

macro_rules! owe_where {
    ($whose:literal) => {
        concat!(
            "INSERT INTO upstream_signouts (pool_id, signout_id, upstream_id, provider, sub, state, detail, attempts, due_ms, created_ms, \
             done_ms) SELECT u.pool_id, CAST(?3 AS TEXT), u.upstream_id, u.provider, u.sub, CAST(?4 AS TEXT), '', 0, CAST(?5 AS BIGINT), \
             CAST(?6 AS BIGINT), NULL FROM upstream_sessions u WHERE u.pool_id = ?1 AND ",
            $whose,
            " AND u.ended_ms IS NULL AND u.provider <> ?7 AND u.sso_id <> ?8 ON CONFLICT DO NOTHING"
        )
    };
}

/// A row for each session at a provider that these browsers came from and that is not known to be over.
pub fn owe(batch: &mut Batch, debt: &Debt<'_>, whose: Whose<'_>, now: Ms) {
    let (sql, subject, spare) = match whose {
        Whose::Browser(sso_id) => (owe_where!("u.sso_id = ?2"), sso_id, None),
        Whose::User { sub, spare } => (owe_where!("u.sub = ?2"), sub, spare),
        Whose::Everybody => (owe_where!("u.sub > ?2"), "", None),
    };
    batch.any(
        Rank::Job,
        sql,
        params![
            debt.pool_id,
            subject,
            debt.signout_id,
            debt.state.as_str(),
            debt.due_ms,
            now,
            // No provider and no session is called nothing.
            debt.not.unwrap_or_default(),
            spare.unwrap_or_default()
        ],
    );
}

/// One row that is not settled yet.
#[derive(Clone, Debug)]
pub struct Owed {
    pub pool_id: String,
    pub signout_id: String,
    pub upstream_id: String,
    pub provider: String,
    pub sub: String,
    pub state: State,
    pub attempts: i64,
    pub created_ms: Ms,
}

/// What is due, longest waiting first: also what a browser was to do and has not done.
pub async fn due(db: &Db, now: Ms, limit: i64) -> Result<Vec<Owed>> {
    let sql = "SELECT pool_id, signout_id, upstream_id, provider, sub, state, attempts, created_ms FROM upstream_signouts \
               WHERE done_ms IS NULL AND due_ms <= ?1 ORDER BY due_ms LIMIT ?2";
    let rows = db.scan(sql, params![now, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Owed {
                pool_id: row.string(0)?,
                signout_id: row.string(1)?,
                upstream_id: row.string(2)?,
                provider: row.string(3)?,
                sub: row.string(4)?,
                state: State::parse(row.text(5)?)?,
                attempts: row.i64(6)?,
                created_ms: row.i64(7)?,
            })
        })
        .collect()
}

/// Takes a row until `until_ms`; of several workers one gets it. Whoever dies with it leaves it to the next after that.
pub fn lease(batch: &mut Batch, owed: &Owed, until_ms: Ms) {
    batch.one(
        Rank::Job,
        "UPDATE upstream_signouts SET state = 'pending', attempts = attempts + 1, due_ms = ?4 \
         WHERE pool_id = ?1 AND signout_id = ?2 AND upstream_id = ?3 AND done_ms IS NULL AND attempts = ?5",
        params![
            owed.pool_id.as_str(),
            owed.signout_id.as_str(),
            owed.upstream_id.as_str(),
            until_ms,
            owed.attempts
        ],
        Error::conflict(),
    );
}

/// The outcome, for people who ask: `detail` is a few words.
pub struct Outcome<'a> {
    pub pool_id: &'a str,
    pub signout_id: &'a str,
    pub upstream_id: &'a str,
    pub state: State,
    pub detail: &'a str,
}

/// Settles a row, once; `settled` is the answer if somebody did before. That the session is over outdoes what was less. From here
/// on the session at the provider is kept only as long as something that came from it lives.
pub fn settle(batch: &mut Batch, outcome: &Outcome<'_>, now: Ms, settled: Option<Error>) {
    let sql = match outcome.state {
        State::Done => {
            "UPDATE upstream_signouts SET state = ?4, detail = ?5, done_ms = ?6 \
             WHERE pool_id = ?1 AND signout_id = ?2 AND upstream_id = ?3 \
             AND (done_ms IS NULL OR state IN ('revoked', 'fresh', 'failed'))"
        }
        _ => {
            "UPDATE upstream_signouts SET state = ?4, detail = ?5, done_ms = ?6 \
             WHERE pool_id = ?1 AND signout_id = ?2 AND upstream_id = ?3 AND done_ms IS NULL"
        }
    };
    let params = params![
        outcome.pool_id,
        outcome.signout_id,
        outcome.upstream_id,
        outcome.state.as_str(),
        outcome.detail,
        now
    ];
    match settled {
        Some(settled) => batch.one(Rank::Job, sql, params, settled),
        None => batch.any(Rank::Job, sql, params),
    }
    if outcome.state == State::Done {
        end(batch, outcome.pool_id, outcome.upstream_id, now);
    } else {
        batch.any(
            Rank::Job,
            "UPDATE upstream_sessions SET expires_ms = ?3 WHERE pool_id = ?1 AND upstream_id = ?2 AND expires_ms > ?3",
            params![outcome.pool_id, outcome.upstream_id, now],
        );
    }
}

/// Leaves to the worker what the browser cannot do.
pub fn leave_to_worker(
    batch: &mut Batch,
    pool_id: &str,
    signout_id: &str,
    upstream_id: &str,
    now: Ms,
) {
    batch.any(
        Rank::Job,
        "UPDATE upstream_signouts SET state = 'pending', due_ms = ?4 \
         WHERE pool_id = ?1 AND signout_id = ?2 AND upstream_id = ?3 AND done_ms IS NULL",
        params![pool_id, signout_id, upstream_id, now],
    );
}

/// After an attempt that failed: when the next is due, and why. Unless another worker thought that we were dead, and took it.
pub fn defer(batch: &mut Batch, owed: &Owed, until_ms: Ms, detail: &str) {
    batch.any(
        Rank::Job,
        "UPDATE upstream_signouts SET due_ms = ?4, detail = ?5 \
         WHERE pool_id = ?1 AND signout_id = ?2 AND upstream_id = ?3 AND done_ms IS NULL AND attempts = ?6",
        params![
            owed.pool_id.as_str(),
            owed.signout_id.as_str(),
            owed.upstream_id.as_str(),
            until_ms,
            detail,
            owed.attempts + 1
        ],
    );
}

/// Counts an attempt that was not made, if nobody has taken the row meanwhile.
pub fn postpone(batch: &mut Batch, owed: &Owed, until_ms: Ms, detail: &str) {
    batch.any(
        Rank::Job,
        "UPDATE upstream_signouts SET attempts = attempts + 1, due_ms = ?4, detail = ?5 \
         WHERE pool_id = ?1 AND signout_id = ?2 AND upstream_id = ?3 AND done_ms IS NULL AND attempts = ?6",
        params![
            owed.pool_id.as_str(),
            owed.signout_id.as_str(),
            owed.upstream_id.as_str(),
            until_ms,
            detail,
            owed.attempts
        ],
    );
}

/// Lets everything else that a provider is owed and due wait with it, as far as one statement goes.
pub fn postpone_rest(batch: &mut Batch, owed: &Owed, now: Ms, until_ms: Ms) {
    batch.any(
        Rank::Job,
        "UPDATE upstream_signouts SET due_ms = ?4 WHERE (pool_id, signout_id, upstream_id) IN \
         (SELECT pool_id, signout_id, upstream_id FROM upstream_signouts \
         WHERE pool_id = ?1 AND provider = ?2 AND done_ms IS NULL AND due_ms <= ?3 ORDER BY due_ms LIMIT 5000)",
        params![owed.pool_id.as_str(), owed.provider.as_str(), now, until_ms],
    );
}
