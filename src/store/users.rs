//! Users: the row that is the mutex of all that the user owns, the names they sign in with, and the attributes that lists
//! can filter by. What moves its clocks is in `clocks`, lists are in `user_lists`.

use super::pools::{json, parse};
use super::{Batch, Db, Rank, Row, factors};
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

/// The user whom this `sub`, name or alias means; nobody can call themselves by another's `sub`. The same single read whether
/// or not there is one.
pub async fn by_login(db: &Db, pool: &Pool, name: &str) -> Result<Option<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM users u WHERE u.pool_id = ?1 AND u.sub = \
         COALESCE((SELECT s.sub FROM users s WHERE s.pool_id = ?1 AND s.sub = ?3), \
         (SELECT l.sub FROM logins l WHERE l.pool_id = ?1 AND l.login = ?2))"
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

/// The sealed credentials before the present one, newest first.
pub async fn password_history(db: &Db, user: &User, count: i64) -> Result<Vec<Vec<u8>>> {
    let sql = "SELECT password FROM password_history WHERE pool_id = ?1 AND sub = ?2 ORDER BY password_ver DESC LIMIT ?3";
    let rows = db.query(sql, &params![user.pool_id.as_str(), user.sub.as_str(), count]).await?;
    rows.iter().map(|row| Ok(row.blob(0)?.to_vec())).collect()
}

/// Sets the sealed credential, and keeps the `keep` before it. What was proved under another `password_ver` no longer commits.
pub fn set_password(batch: &mut Batch, user: &User, sealed: Vec<u8>, keep: i64) {
    if let Some(old) = user.password.as_ref().filter(|_| keep > 0) {
        batch.any(
            Rank::User,
            "INSERT INTO password_history (pool_id, sub, password_ver, password) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
            params![user.pool_id.as_str(), user.sub.as_str(), user.password_ver, old.clone()],
        );
    }
    batch.any(
        Rank::User,
        "DELETE FROM password_history WHERE pool_id = ?1 AND sub = ?2 AND password_ver <= ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.password_ver - keep],
    );
    batch.one(
        Rank::User,
        "UPDATE users SET password = ?4, password_ver = password_ver + 1, failures = 0, failed_ms = 0 \
         WHERE pool_id = ?1 AND sub = ?2 AND password_ver = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.password_ver, sealed],
        Error::conflict(),
    );
}

/// Takes the password away, if it is still the one that was read.
pub fn remove_password(batch: &mut Batch, user: &User) {
    batch.one(
        Rank::User,
        "UPDATE users SET password = NULL, password_ver = password_ver + 1, failures = 0, failed_ms = 0 \
         WHERE pool_id = ?1 AND sub = ?2 AND password_ver = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.password_ver],
        Error::conflict(),
    );
}

/// The user is there and as it was read, in what it owns, too: whoever depends on that changes the version, as this does.
pub fn hold(batch: &mut Batch, user: &User) {
    batch.one(
        Rank::User,
        "UPDATE users SET ver = ver + 1 WHERE pool_id = ?1 AND sub = ?2 AND ver = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.ver],
        Error::conflict().because(&user.sub),
    );
}

pub fn delete(batch: &mut Batch, user: &User) {
    batch.one(
        Rank::User,
        "DELETE FROM users WHERE pool_id = ?1 AND sub = ?2 AND ver = ?3",
        params![user.pool_id.as_str(), user.sub.as_str(), user.ver],
        Error::conflict(),
    );
    factors::delete_token(batch, user);
    for sql in [
        "DELETE FROM logins WHERE pool_id = ?1 AND sub = ?2",
        "DELETE FROM user_attributes WHERE pool_id = ?1 AND sub = ?2",
        "DELETE FROM password_history WHERE pool_id = ?1 AND sub = ?2",
        "DELETE FROM identities WHERE pool_id = ?1 AND sub = ?2",
    ] {
        batch.any(Rank::Login, sql, params![user.pool_id.as_str(), user.sub.as_str()]);
    }
    for (rank, sql) in [
        (Rank::Member, "DELETE FROM group_members WHERE pool_id = ?1 AND sub = ?2"),
        (Rank::SsoSession, "DELETE FROM sso_sessions WHERE pool_id = ?1 AND sub = ?2"),
        (Rank::TokenSession, "DELETE FROM token_sessions WHERE pool_id = ?1 AND sub = ?2"),
        (Rank::Code, "DELETE FROM user_codes WHERE pool_id = ?1 AND sub = ?2"),
    ] {
        batch.any(rank, sql, params![user.pool_id.as_str(), user.sub.as_str()]);
    }
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
