//! Users: the row that is the mutex of all that the user owns, the names they sign in with, and the attributes
//! that lists can filter by. The clocks of revocation are moved here and nowhere else; only `tokens::tick` and
//! `signout` call those functions.

use super::pools::{json, parse};
use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::{Pool, Status, User, names};

macro_rules! columns {
    ($prefix:literal) => {
        concat!(
            $prefix,
            "pool_id, ",
            $prefix,
            "sub, ",
            $prefix,
            "username, ",
            $prefix,
            "status, ",
            $prefix,
            "enabled, ",
            $prefix,
            "doc, ",
            $prefix,
            "ver, ",
            $prefix,
            "password, ",
            $prefix,
            "password_ver, ",
            $prefix,
            "clock_ms, ",
            $prefix,
            "epoch_ms, ",
            $prefix,
            "code_epoch_ms, ",
            $prefix,
            "sso_epoch_ms, ",
            $prefix,
            "session_gen, ",
            $prefix,
            "failures, ",
            $prefix,
            "failed_ms, ",
            $prefix,
            "created_ms, ",
            $prefix,
            "modified_ms"
        )
    };
}
pub(super) use columns;

/// How many columns `columns!` names: what a joined read returns comes after them.
pub(super) const WIDTH: usize = 18;

pub async fn find(db: &Db, pool_id: &str, sub: &str) -> Result<Option<User>> {
    const SQL: &str =
        concat!("SELECT ", columns!("u."), " FROM users u WHERE u.pool_id = ?1 AND u.sub = ?2");
    db.one(SQL, &params![pool_id, sub]).await?.map(|row| user(&row)).transpose()
}

/// The user whom this name, alias or `sub` means. The same single read whether or not there is one.
pub async fn by_login(db: &Db, pool: &Pool, name: &str) -> Result<Option<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM users u WHERE u.pool_id = ?1 AND u.sub = \
         COALESCE((SELECT l.sub FROM logins l WHERE l.pool_id = ?1 AND l.login = ?2), ?3)"
    );
    let folded = names::fold(pool, name);
    db.one(SQL, &params![pool.id.as_str(), folded, name]).await?.map(|row| user(&row)).transpose()
}

/// A new user with its names and filters. Its epochs begin with it: nothing of an earlier user with this `sub` lives. `taken` is the answer if one of the names is somebody's already.
pub fn insert(batch: &mut Batch, pool: &Pool, user: &User, taken: &Error) -> Result<()> {
    batch.one(
        Rank::User,
        "INSERT INTO users (pool_id, sub, username, status, enabled, doc, ver, password, password_ver, clock_ms, epoch_ms, \
         code_epoch_ms, sso_epoch_ms, session_gen, failures, failed_ms, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, 1, ?8, ?8, ?8, ?8, 0, 0, 0, ?8, ?8) ON CONFLICT DO NOTHING",
        params![
            user.pool_id.as_str(),
            user.sub.as_str(),
            user.username.as_str(),
            user.status.as_str(),
            user.enabled,
            json(&user.doc)?,
            user.password.clone(),
            user.created_ms
        ],
        taken.clone(),
    );
    insert_names(batch, pool, user, &[], taken);
    insert_filters(batch, pool, user, &[]);
    Ok(())
}

/// Writes status, enabled and document if the row is still at `old.ver`, and moves names and filters along.
/// `taken` is the answer if a new name is somebody's already.
pub fn update(
    batch: &mut Batch,
    pool: &Pool,
    old: &User,
    new: &User,
    now: Ms,
    taken: &Error,
) -> Result<()> {
    batch.one(
        Rank::User,
        "UPDATE users SET status = ?4, enabled = ?5, doc = ?6, ver = ver + 1, modified_ms = ?7 \
         WHERE pool_id = ?1 AND sub = ?2 AND ver = ?3",
        params![
            new.pool_id.as_str(),
            new.sub.as_str(),
            old.ver,
            new.status.as_str(),
            new.enabled,
            json(&new.doc)?,
            now
        ],
        Error::conflict(),
    );
    let (before, after) = (names::logins(pool, old), names::logins(pool, new));
    for (_, login) in
        before.iter().filter(|(_, login)| !after.iter().any(|(_, kept)| kept == login))
    {
        batch.any(
            Rank::Login,
            "DELETE FROM logins WHERE pool_id = ?1 AND login = ?2 AND sub = ?3",
            params![new.pool_id.as_str(), login.as_str(), new.sub.as_str()],
        );
    }
    insert_names(batch, pool, new, &before, taken);

    let kept = filters(pool, old);
    for (name, value) in kept.iter().filter(|pair| !filters(pool, new).contains(pair)) {
        batch.any(
            Rank::Login,
            "DELETE FROM user_attributes WHERE pool_id = ?1 AND name = ?2 AND value = ?3 AND sub = ?4",
            params![new.pool_id.as_str(), *name, value.as_str(), new.sub.as_str()],
        );
    }
    insert_filters(batch, pool, new, &kept);
    Ok(())
}

/// Takes a verified address away from whoever had it as an alias before (ForceAliasCreation).
pub fn release_login(batch: &mut Batch, pool_id: &str, login: &str, keeper: &str) {
    batch.any(
        Rank::Login,
        "DELETE FROM logins WHERE pool_id = ?1 AND login = ?2 AND sub <> ?3 AND kind <> 'username'",
        params![pool_id, login, keeper],
    );
}

/// Sets the sealed credential. What was proved under another `password_ver` no longer commits.
pub fn set_password(batch: &mut Batch, user: &User, sealed: Vec<u8>) {
    batch.one(
        Rank::User,
        "UPDATE users SET password = ?4, password_ver = password_ver + 1, failures = 0, failed_ms = 0 \
         WHERE pool_id = ?1 AND sub = ?2 AND password_ver = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.password_ver, sealed],
        Error::conflict(),
    );
}

pub fn delete(batch: &mut Batch, user: &User) {
    batch.one(
        Rank::User,
        "DELETE FROM users WHERE pool_id = ?1 AND sub = ?2 AND ver = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.ver],
        Error::conflict(),
    );
    for sql in [
        "DELETE FROM logins WHERE pool_id = ?1 AND sub = ?2",
        "DELETE FROM user_attributes WHERE pool_id = ?1 AND sub = ?2",
    ] {
        batch.any(Rank::Login, sql, params![user.pool_id.as_str(), user.sub.as_str()]);
    }
    for (rank, sql) in [
        (Rank::SsoSession, "DELETE FROM sso_sessions WHERE pool_id = ?1 AND sub = ?2"),
        (Rank::TokenSession, "DELETE FROM token_sessions WHERE pool_id = ?1 AND sub = ?2"),
        (Rank::Code, "DELETE FROM user_codes WHERE pool_id = ?1 AND sub = ?2"),
    ] {
        batch.any(rank, sql, params![user.pool_id.as_str(), user.sub.as_str()]);
    }
}

// Failures: part of the lock-out rule in `auth::lockout`.

/// Records one wrong password, if no other was recorded since `user` was read: racing guesses are counted one by one.
pub fn fail(batch: &mut Batch, user: &User, failures: i64, failed_ms: Ms) {
    batch.one(
        Rank::User,
        "UPDATE users SET failures = ?4, failed_ms = ?5 WHERE pool_id = ?1 AND sub = ?2 AND failures = ?3 AND failed_ms = ?6",
        params![user.pool_id.as_str(), user.sub.as_str(), user.failures, failures, failed_ms, user.failed_ms],
        lost(user),
    );
}

/// The failures of a name that nobody has: it locks like a user's, so that a lock does not tell them apart.
pub async fn stranger(db: &Db, pool_id: &str, login: &str) -> Result<(i64, Ms)> {
    let sql = "SELECT failures, failed_ms FROM strangers WHERE pool_id = ?1 AND login = ?2";
    let row = db.one(sql, &params![pool_id, login]).await?;
    row.map_or(Ok((0, 0)), |row| Ok((row.i64(0)?, row.i64(1)?)))
}

/// The same for a name that nobody has; `seen` is what was read.
pub fn fail_stranger(
    batch: &mut Batch,
    pool_id: &str,
    login: &str,
    seen: (i64, Ms),
    next: (i64, Ms),
) {
    batch.one(
        Rank::User,
        "INSERT INTO strangers (pool_id, login, failures, failed_ms) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (pool_id, login) DO UPDATE SET failures = ?3, failed_ms = ?4 \
         WHERE strangers.failures = ?5 AND strangers.failed_ms = ?6",
        params![pool_id, login, next.0, next.1, seen.0, seen.1],
        Error::conflict().because(login),
    );
}

/// The work of `advance_clock` for a user who does not exist.
pub fn touch_stranger(batch: &mut Batch, pool_id: &str, sub: &str) {
    batch.any(
        Rank::User,
        "UPDATE users SET clock_ms = clock_ms WHERE pool_id = ?1 AND sub = ?2",
        params![pool_id, sub],
    );
}

// The clocks of revocation.

/// What a sign-in commits on the user row: the clock moves to its birth, if nothing that ended sessions, disabled the user
/// or changed the password came in between, and the failures start again. `proved` is the birth of the challenge that was
/// answered, or `birth` itself where there was none.
pub fn sign_in(batch: &mut Batch, user: &User, birth: Ms, proved: Ms) {
    batch.one(
        Rank::User,
        "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms END, failures = 0, failed_ms = 0 \
         WHERE pool_id = ?1 AND sub = ?2 AND epoch_ms <= ?3 AND code_epoch_ms <= ?7 AND enabled = 1 AND password_ver = ?4 \
         AND failures = ?5 AND status = ?6",
        params![
            user.pool_id.as_str(),
            user.sub.as_str(),
            birth,
            user.password_ver,
            user.failures,
            user.status.as_str(),
            proved
        ],
        lost(user),
    );
}

/// A race on this user's row was lost; the cause names the user, so that re-runs of the same user queue up.
fn lost(user: &User) -> Error {
    Error::conflict().because(&user.sub)
}

/// In a pool that tracks sessions a sign-in also takes the next generation, so that MaxPerUser is exact.
pub fn next_generation(batch: &mut Batch, user: &User) {
    batch.one(
        Rank::User,
        "UPDATE users SET session_gen = session_gen + 1 WHERE pool_id = ?1 AND sub = ?2 AND session_gen = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.session_gen],
        lost(user),
    );
}

/// What everything else that is born commits: a code redeemed, a challenge made, a browser session renewed. `code_birth`
/// and `sso_birth` are the births of what it was made from, where that matters.
pub fn advance_clock(
    batch: &mut Batch,
    pool_id: &str,
    sub: &str,
    birth: Ms,
    born_of: BornOf,
    miss: Error,
) {
    let (token, code, sso, enabled) = match born_of {
        BornOf::Nothing => (birth, birth, Ms::MAX, false),
        BornOf::Code(ms) => (ms, ms, Ms::MAX, true),
        BornOf::Browser(ms) => (birth, birth, ms, true),
    };
    batch.one(
        Rank::User,
        "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms END \
         WHERE pool_id = ?1 AND sub = ?2 AND epoch_ms <= ?4 AND code_epoch_ms <= ?5 AND sso_epoch_ms <= ?6 AND enabled >= ?7",
        params![pool_id, sub, birth, token, code, sso, enabled],
        miss,
    );
}

/// What an act stands on: it commits only while that still lives.
#[derive(Clone, Copy, Debug)]
pub enum BornOf {
    /// Of a request alone: a challenge. Of a disabled user too, who must not be told so before the password.
    Nothing,
    /// Of a code with this birth, which must still live.
    Code(Ms),
    /// Of a browser session with this birth, which must still live; what it gives is above the other epochs.
    Browser(Ms),
}

/// Raises the user's epochs above all that exists: `epoch = clock = max(now, clock + 1)`.
pub fn end_all(batch: &mut Batch, pool_id: &str, sub: &str, now: Ms, reach: Reach, missing: Error) {
    // Each text moves the clock once, and to the same value the epochs that this reach covers.
    let sql = match reach {
        Reach { tokens: true, browsers: true } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             sso_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
        Reach { tokens: true, browsers: false } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
        Reach { tokens: false, browsers: true } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             sso_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
        Reach { tokens: false, browsers: false } => {
            "UPDATE users SET clock_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END, \
             code_epoch_ms = CASE WHEN clock_ms < ?3 THEN ?3 ELSE clock_ms + 1 END WHERE pool_id = ?1 AND sub = ?2"
        }
    };
    batch.one(Rank::User, sql, params![pool_id, sub, now], missing);
}

/// What a user-wide end reaches; codes and challenges always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    pub tokens: bool,
    pub browsers: bool,
}

/// A guard alone: the user still is as it was read, and a token of this birth still lives.
pub fn guard(batch: &mut Batch, user: &User, birth: Ms, miss: Error) {
    batch.one(
        Rank::User,
        "UPDATE users SET ver = ver WHERE pool_id = ?1 AND sub = ?2 AND epoch_ms <= ?3 AND enabled = 1",
        params![user.pool_id.as_str(), user.sub.as_str(), birth],
        miss,
    );
}

// Lists.

/// Users in the order of `sub`, after `after`.
pub async fn list(db: &Db, pool_id: &str, after: &str, limit: i64) -> Result<Vec<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM users u WHERE u.pool_id = ?1 AND u.sub > ?2 ORDER BY u.sub LIMIT ?3"
    );
    db.scan(SQL, params![pool_id, after, limit]).await?.iter().map(user).collect()
}

pub async fn list_by_status(
    db: &Db,
    pool_id: &str,
    status: (&str, &str),
    after: &str,
    limit: i64,
) -> Result<Vec<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM users u WHERE u.pool_id = ?1 AND u.status >= ?2 AND u.status < ?3 AND u.sub > ?4 ORDER BY u.sub LIMIT ?5"
    );
    db.scan(SQL, params![pool_id, status.0, status.1, after, limit])
        .await?
        .iter()
        .map(user)
        .collect()
}

pub async fn list_by_enabled(
    db: &Db,
    pool_id: &str,
    enabled: bool,
    after: &str,
    limit: i64,
) -> Result<Vec<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM users u WHERE u.pool_id = ?1 AND u.enabled = ?2 AND u.sub > ?3 ORDER BY u.sub LIMIT ?4"
    );
    db.scan(SQL, params![pool_id, enabled, after, limit]).await?.iter().map(user).collect()
}

/// Users whose `sub` starts with a prefix.
pub async fn list_by_sub(
    db: &Db,
    pool_id: &str,
    range: (&str, &str),
    after: &str,
    limit: i64,
) -> Result<Vec<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM users u WHERE u.pool_id = ?1 AND u.sub >= ?2 AND u.sub < ?3 AND u.sub > ?4 ORDER BY u.sub LIMIT ?5"
    );
    db.scan(SQL, params![pool_id, range.0, range.1, after, limit]).await?.iter().map(user).collect()
}

/// Users with an indexed attribute in `[from, to)`, in the order of (value, sub), each with the value it was found by.
pub async fn list_by_attribute(
    db: &Db,
    pool_id: &str,
    name: &str,
    range: (&str, &str),
    after: (&str, &str),
    limit: i64,
) -> Result<Vec<(String, User)>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        ", a.value FROM user_attributes a JOIN users u ON u.pool_id = a.pool_id AND u.sub = a.sub \
         WHERE a.pool_id = ?1 AND a.name = ?2 AND a.value >= ?3 AND a.value < ?4 AND (a.value, a.sub) > (?5, ?6) \
         ORDER BY a.value, a.sub LIMIT ?7"
    );
    let rows =
        db.scan(SQL, params![pool_id, name, range.0, range.1, after.0, after.1, limit]).await?;
    rows.iter().map(|row| Ok((row.string(WIDTH)?, user(row)?))).collect()
}

/// The attributes that ListUsers filters by, besides `sub`, `status` and `cognito:user_status`.
pub const FILTERS: &[&str] = &[
    "username",
    "email",
    "phone_number",
    "name",
    "given_name",
    "family_name",
    "preferred_username",
];

/// How much of a value is indexed; PostgreSQL limits an index entry to a third of a page.
const INDEXED_CHARS: usize = 256;

/// A value as it stands in the index.
pub fn indexed(pool: &Pool, value: &str) -> String {
    names::fold(pool, value).chars().take(INDEXED_CHARS).collect()
}

fn filters(pool: &Pool, user: &User) -> Vec<(&'static str, String)> {
    let value = |name: &str| {
        if name == "username" { Some(user.username.as_str()) } else { user.doc.get(name) }
    };
    FILTERS.iter().filter_map(|name| Some((*name, indexed(pool, value(name)?)))).collect()
}

fn insert_filters(batch: &mut Batch, pool: &Pool, user: &User, kept: &[(&'static str, String)]) {
    for (name, value) in filters(pool, user).iter().filter(|pair| !kept.contains(pair)) {
        batch.any(
            Rank::Login,
            "INSERT INTO user_attributes (pool_id, name, value, sub) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![user.pool_id.as_str(), *name, value.as_str(), user.sub.as_str()],
        );
    }
}

fn insert_names(
    batch: &mut Batch,
    pool: &Pool,
    user: &User,
    kept: &[(&'static str, String)],
    taken: &Error,
) {
    let mut logins = names::logins(pool, user);
    logins.retain(|(_, login)| !kept.iter().any(|(_, old)| old == login));
    // Everybody takes the locks of names in one order.
    logins.sort_by(|(_, one), (_, other)| one.cmp(other));
    for (kind, login) in logins {
        batch.one(
            Rank::Login,
            "INSERT INTO logins (pool_id, login, kind, sub) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![user.pool_id.as_str(), login, kind, user.sub.as_str()],
            taken.clone(),
        );
    }
}

pub(super) fn user(row: &Row) -> Result<User> {
    let status = row.text(3)?;
    Ok(User {
        pool_id: row.string(0)?,
        sub: row.string(1)?,
        username: row.string(2)?,
        status: Status::parse(status)
            .ok_or_else(|| Error::internal(format!("unknown user status {status}")))?,
        enabled: row.bool(4)?,
        doc: parse(row.text(5)?)?,
        ver: row.i64(6)?,
        password: row.opt_blob(7)?.map(<[u8]>::to_vec),
        password_ver: row.i64(8)?,
        clock_ms: row.i64(9)?,
        epoch_ms: row.i64(10)?,
        code_epoch_ms: row.i64(11)?,
        sso_epoch_ms: row.i64(12)?,
        session_gen: row.i64(13)?,
        failures: row.i64(14)?,
        failed_ms: row.i64(15)?,
        created_ms: row.i64(16)?,
        modified_ms: row.i64(17)?,
    })
}

/// The smallest text above every text that starts with `prefix`, for a range that is a prefix search.
pub fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}\u{10ffff}")
}
