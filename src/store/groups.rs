//! Groups and who is in them. A membership names the group by its key and the user by the `sub`; it goes with either of them.

use super::pools::{json, parse};
use super::users::{columns, user};
use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::group::GroupDoc;
use crate::pool::{Group, User};

pub async fn find(db: &Db, pool_id: &str, key: &str) -> Result<Option<Group>> {
    let sql = "SELECT g.pool_id, g.name, g.doc, g.ver, g.created_ms, g.modified_ms FROM groups g \
               WHERE g.pool_id = ?1 AND g.name = ?2";
    db.one(sql, &params![pool_id, key]).await?.map(|row| group(&row)).transpose()
}

/// Groups in the order of their keys, after `after`.
pub async fn list(db: &Db, pool_id: &str, after: &str, limit: i64) -> Result<Vec<Group>> {
    let sql = "SELECT g.pool_id, g.name, g.doc, g.ver, g.created_ms, g.modified_ms FROM groups g \
               WHERE g.pool_id = ?1 AND g.name > ?2 ORDER BY g.name LIMIT ?3";
    db.scan(sql, params![pool_id, after, limit]).await?.iter().map(group).collect()
}

pub async fn count(db: &Db, pool_id: &str) -> Result<i64> {
    let rows = db.scan("SELECT COUNT(*) FROM groups WHERE pool_id = ?1", params![pool_id]).await?;
    rows.first().map_or(Ok(0), |row| row.i64(0))
}

/// The groups of a user in the order of their keys, after `after`.
pub async fn of_user(db: &Db, user: &User, after: &str, limit: i64) -> Result<Vec<Group>> {
    let sql = "SELECT g.pool_id, g.name, g.doc, g.ver, g.created_ms, g.modified_ms \
               FROM group_members m JOIN groups g ON g.pool_id = m.pool_id AND g.name = m.name \
               WHERE m.pool_id = ?1 AND m.sub = ?2 AND m.name > ?3 ORDER BY m.name LIMIT ?4";
    let params = params![user.pool_id.as_str(), user.sub.as_str(), after, limit];
    db.query(sql, &params).await?.iter().map(group).collect()
}

/// What tokens say of a user's groups: one read by index, in no order.
pub async fn docs_of_user(db: &Db, user: &User) -> Result<Vec<GroupDoc>> {
    let sql = "SELECT g.doc FROM group_members m JOIN groups g ON g.pool_id = m.pool_id AND g.name = m.name \
               WHERE m.pool_id = ?1 AND m.sub = ?2";
    let rows = db.query(sql, &params![user.pool_id.as_str(), user.sub.as_str()]).await?;
    rows.iter().map(|row| parse(row.text(0)?)).collect()
}

/// The members of a group in the order of `sub`, after `after`.
pub async fn members(db: &Db, group: &Group, after: &str, limit: i64) -> Result<Vec<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM group_members m JOIN users u ON u.pool_id = m.pool_id AND u.sub = m.sub \
         WHERE m.pool_id = ?1 AND m.name = ?2 AND m.sub > ?3 ORDER BY m.sub LIMIT ?4"
    );
    let params = params![group.pool_id.as_str(), group.key.as_str(), after, limit];
    db.scan(SQL, params).await?.iter().map(user).collect()
}

/// Whether a group has more than `count` members.
pub async fn has_more_than(db: &Db, group: &Group, count: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM group_members WHERE pool_id = ?1 AND name = ?2 LIMIT 1 OFFSET ?3";
    let params = params![group.pool_id.as_str(), group.key.as_str(), count];
    Ok(!db.scan(sql, params).await?.is_empty())
}

pub fn insert(batch: &mut Batch, group: &Group, exists: Error) -> Result<()> {
    batch.one(
        Rank::Group,
        "INSERT INTO groups (pool_id, name, doc, ver, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, 1, ?4, ?4) ON CONFLICT DO NOTHING",
        params![group.pool_id.as_str(), group.key.as_str(), json(&group.doc)?, group.created_ms],
        exists,
    );
    Ok(())
}

/// Writes `group.doc`, if the row is still at `group.ver`.
pub fn update(batch: &mut Batch, group: &Group, now: Ms) -> Result<()> {
    batch.one(
        Rank::Group,
        "UPDATE groups SET doc = ?4, ver = ver + 1, modified_ms = ?5 WHERE pool_id = ?1 AND name = ?2 AND ver = ?3",
        params![
            group.pool_id.as_str(),
            group.key.as_str(),
            group.ver,
            json(&group.doc)?,
            now
        ],
        Error::conflict(),
    );
    Ok(())
}

/// Removes a group and its members. Whoever is being added holds the group's row (`hold`), and so comes before or not at all.
pub fn delete(batch: &mut Batch, group: &Group) {
    let key = || params![group.pool_id.as_str(), group.key.as_str()];
    let sql = "DELETE FROM groups WHERE pool_id = ?1 AND name = ?2";
    batch.one(Rank::Group, sql, key(), Error::conflict());
    batch.any(Rank::Member, "DELETE FROM group_members WHERE pool_id = ?1 AND name = ?2", key());
}

/// Removes the first `count` members.
pub fn delete_members(batch: &mut Batch, group: &Group, count: i64) {
    batch.any(
        Rank::Member,
        "DELETE FROM group_members WHERE pool_id = ?1 AND name = ?2 AND sub IN \
         (SELECT sub FROM group_members WHERE pool_id = ?1 AND name = ?2 ORDER BY sub LIMIT ?3)",
        params![group.pool_id.as_str(), group.key.as_str(), count],
    );
}

/// The group is there, and stays until this batch has committed.
pub fn hold(batch: &mut Batch, group: &Group) {
    batch.one(
        Rank::Group,
        "UPDATE groups SET ver = ver WHERE pool_id = ?1 AND name = ?2",
        params![group.pool_id.as_str(), group.key.as_str()],
        Error::conflict(),
    );
}

/// Belongs into a batch that holds both the group and the user.
pub fn insert_member(batch: &mut Batch, group: &Group, sub: &str, now: Ms) {
    batch.one(
        Rank::Member,
        "INSERT INTO group_members (pool_id, name, sub, joined_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![group.pool_id.as_str(), group.key.as_str(), sub, now],
        Error::conflict(),
    );
}

pub fn delete_member(batch: &mut Batch, group: &Group, sub: &str) {
    batch.one(
        Rank::Member,
        "DELETE FROM group_members WHERE pool_id = ?1 AND name = ?2 AND sub = ?3",
        params![group.pool_id.as_str(), group.key.as_str(), sub],
        Error::conflict(),
    );
}

fn group(row: &Row) -> Result<Group> {
    Ok(Group {
        pool_id: row.string(0)?,
        key: row.string(1)?,
        doc: parse(row.text(2)?)?,
        ver: row.i64(3)?,
        created_ms: row.i64(4)?,
        modified_ms: row.i64(5)?,
    })
}
