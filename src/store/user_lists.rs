//! Lists of users: all, or those that a filter finds, in an order that paging can go on from.

use super::Db;
use super::users::{WIDTH, columns, user};
use crate::error::Result;
use crate::params;
use crate::pool::User;

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

/// Users of exactly this status: the index has them in the order of `sub`.
pub async fn list_of_status(
    db: &Db,
    pool_id: &str,
    status: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM users u WHERE u.pool_id = ?1 AND u.status = ?2 AND u.sub > ?3 ORDER BY u.sub LIMIT ?4"
    );
    db.scan(SQL, params![pool_id, status, after, limit]).await?.iter().map(user).collect()
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
    // Going on from the value of the last page, not from the beginning of the range.
    let from = if after.0 > range.0 { after.0 } else { range.0 };
    let rows = db.scan(SQL, params![pool_id, name, from, range.1, after.0, after.1, limit]).await?;
    rows.iter().map(|row| Ok((row.string(WIDTH)?, user(row)?))).collect()
}

/// The smallest text above every text that starts with `prefix`, for a range that is a prefix search.
pub fn after_prefix(prefix: &str) -> String {
    format!("{prefix}\u{10ffff}\u{10ffff}")
}
