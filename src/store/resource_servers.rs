//! Resource servers. Every change touches the pool's version, so that what is cached of their scopes is exact.

use std::collections::BTreeSet;

use super::pools::{json, parse};
use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::scopes::{BUILT_IN, ResourceServer};

pub async fn find(db: &Db, pool_id: &str, identifier: &str) -> Result<Option<ResourceServer>> {
    let sql = "SELECT pool_id, identifier, doc, ver, created_ms, modified_ms FROM resource_servers \
               WHERE pool_id = ?1 AND identifier = ?2";
    db.one(sql, &params![pool_id, identifier]).await?.map(|row| server(&row)).transpose()
}

/// In the order of their identifiers, after `after`.
pub async fn list(db: &Db, pool_id: &str, after: &str, limit: i64) -> Result<Vec<ResourceServer>> {
    let sql = "SELECT pool_id, identifier, doc, ver, created_ms, modified_ms FROM resource_servers \
               WHERE pool_id = ?1 AND identifier > ?2 ORDER BY identifier LIMIT ?3";
    db.scan(sql, params![pool_id, after, limit]).await?.iter().map(server).collect()
}

pub async fn count(db: &Db, pool_id: &str) -> Result<i64> {
    let sql = "SELECT COUNT(*) FROM resource_servers WHERE pool_id = ?1";
    let rows = db.scan(sql, params![pool_id]).await?;
    rows.first().map_or(Ok(0), |row| row.i64(0))
}

/// Every scope of every resource server of a pool, and those that are built in.
pub(super) async fn scopes(db: &Db, pool_id: &str) -> Result<BTreeSet<String>> {
    let servers = list(db, pool_id, "", i64::MAX).await?;
    let built_in = BUILT_IN.iter().map(|scope| (*scope).to_owned());
    Ok(servers.iter().flat_map(ResourceServer::scopes).chain(built_in).collect())
}

pub fn insert(batch: &mut Batch, server: &ResourceServer, exists: Error) -> Result<()> {
    batch.one(
        Rank::Domain,
        "INSERT INTO resource_servers (pool_id, identifier, doc, ver, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, 1, ?4, ?4) ON CONFLICT DO NOTHING",
        params![
            server.pool_id.as_str(),
            server.identifier.as_str(),
            json(&server.doc)?,
            server.created_ms
        ],
        exists,
    );
    Ok(())
}

/// Writes `server.doc`, if the row is still at `server.ver`.
pub fn update(batch: &mut Batch, server: &ResourceServer, now: Ms) -> Result<()> {
    batch.one(
        Rank::Domain,
        "UPDATE resource_servers SET doc = ?4, ver = ver + 1, modified_ms = ?5 \
         WHERE pool_id = ?1 AND identifier = ?2 AND ver = ?3",
        params![
            server.pool_id.as_str(),
            server.identifier.as_str(),
            server.ver,
            json(&server.doc)?,
            now
        ],
        Error::conflict(),
    );
    Ok(())
}

pub fn delete(batch: &mut Batch, server: &ResourceServer) {
    batch.one(
        Rank::Domain,
        "DELETE FROM resource_servers WHERE pool_id = ?1 AND identifier = ?2 AND ver = ?3",
        params![server.pool_id.as_str(), server.identifier.as_str(), server.ver],
        Error::conflict(),
    );
}

fn server(row: &Row) -> Result<ResourceServer> {
    Ok(ResourceServer {
        pool_id: row.string(0)?,
        identifier: row.string(1)?,
        doc: parse(row.text(2)?)?,
        ver: row.i64(3)?,
        created_ms: row.i64(4)?,
        modified_ms: row.i64(5)?,
    })
}
