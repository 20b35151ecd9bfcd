//! Webhooks, event streams and token revocation endpoints of pools. A new one touches the pool, so that none is made in one that is
//! being deleted.

use super::pools::{self, json, parse};
use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::Target;
use crate::pool::target::{Doc, Kind};

macro_rules! columns {
    () => {
        "SELECT pool_id, target_id, kind, doc, secret, ver, created_ms, modified_ms FROM targets "
    };
}

pub async fn find(db: &Db, pool_id: &str, target_id: &str) -> Result<Option<Target>> {
    const SQL: &str = concat!(columns!(), "WHERE pool_id = ?1 AND target_id = ?2");
    db.one(SQL, &params![pool_id, target_id]).await?.map(|row| target(&row)).transpose()
}

/// Those of one kind in the order of their ids, after that one.
pub async fn list(
    db: &Db,
    pool_id: &str,
    kind: Kind,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<Target>> {
    const SQL: &str = concat!(
        columns!(),
        "WHERE pool_id = ?1 AND kind = ?2 AND target_id > ?3 ORDER BY target_id LIMIT ?4"
    );
    let params = params![pool_id, kind.as_str(), after.unwrap_or_default(), limit];
    db.scan(SQL, params).await?.iter().map(target).collect()
}

/// All of a pool, in the order of their ids: as many as `pool::target` allows.
pub async fn all(db: &Db, pool_id: &str) -> Result<Vec<Target>> {
    const SQL: &str = concat!(columns!(), "WHERE pool_id = ?1 ORDER BY target_id");
    db.scan(SQL, params![pool_id]).await?.iter().map(target).collect()
}

/// How many of a kind a pool has.
pub async fn count(db: &Db, pool_id: &str, kind: Kind) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM targets WHERE pool_id = ?1 AND kind = ?2";
    let row = db.one(sql, &params![pool_id, kind.as_str()]).await?;
    row.ok_or_else(|| Error::internal("a count has no row"))?.i64(0)
}

pub fn insert(batch: &mut Batch, target: &Target) -> Result<()> {
    pools::touch(batch, &target.pool_id);
    batch.one(
        Rank::Job,
        "INSERT INTO targets (pool_id, target_id, kind, doc, secret, ver, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6) ON CONFLICT DO NOTHING",
        params![
            target.pool_id.as_str(),
            target.id.as_str(),
            target.doc.kind().as_str(),
            written(&target.doc)?,
            target.secret.clone(),
            target.created_ms
        ],
        Error::conflict(),
    );
    Ok(())
}

/// Writes `doc` and `secret`, if the row is still at `target.ver`; otherwise the answer is `changed`.
pub fn update(batch: &mut Batch, target: &Target, now: Ms, changed: Error) -> Result<()> {
    batch.one(
        Rank::Job,
        "UPDATE targets SET doc = ?4, secret = ?5, ver = ver + 1, modified_ms = ?6 \
         WHERE pool_id = ?1 AND target_id = ?2 AND ver = ?3",
        params![
            target.pool_id.as_str(),
            target.id.as_str(),
            target.ver,
            written(&target.doc)?,
            target.secret.clone(),
            now
        ],
        changed,
    );
    Ok(())
}

/// What still waits to be delivered to it finds nobody, and says so.
pub fn delete(batch: &mut Batch, target: &Target, changed: Error) {
    batch.one(
        Rank::Job,
        "DELETE FROM targets WHERE pool_id = ?1 AND target_id = ?2 AND ver = ?3",
        params![target.pool_id.as_str(), target.id.as_str(), target.ver],
        changed,
    );
}

fn written(doc: &Doc) -> Result<String> {
    match doc {
        Doc::Webhook(doc) => json(doc),
        Doc::Stream(doc) => json(doc),
        Doc::TokenRevocation(doc) => json(doc),
    }
}

fn target(row: &Row) -> Result<Target> {
    let (kind, doc) = (row.text(2)?, row.text(3)?);
    let doc = match Kind::parse(kind) {
        Some(Kind::Webhook) => Doc::Webhook(parse(doc)?),
        Some(Kind::Stream) => Doc::Stream(parse(doc)?),
        Some(Kind::TokenRevocation) => Doc::TokenRevocation(parse(doc)?),
        None => return Err(Error::internal(format!("unknown kind of a target: {kind}"))),
    };
    Ok(Target {
        pool_id: row.string(0)?,
        id: row.string(1)?,
        doc,
        secret: row.opt_blob(4)?.map(<[u8]>::to_vec),
        ver: row.i64(5)?,
        created_ms: row.i64(6)?,
        modified_ms: row.i64(7)?,
    })
}
