//! Pools, app clients and domains: their rows, and the cache of parsed values by (id, version). A request's first
//! read returns the version, so what the cache gives is exact on every node and never expires.

use std::collections::BTreeSet;
use std::sync::Arc;

use quick_cache::sync::Cache;

use super::{Batch, Db, Rank, Row, providers, resource_servers};
use crate::ambient::Ms;
use crate::error::{Error, Kind, Result};
use crate::params;
use crate::pool::provider::Providers;
use crate::pool::{Client, Pool};

pub struct Directory {
    pools: Cache<(String, i64), Arc<Pool>>,
    clients: Cache<(String, i64), Arc<Client>>,
    /// The pools of clients, which never change.
    pools_of: Cache<String, Arc<str>>,
    scopes: Cache<(String, i64), Arc<BTreeSet<String>>>,
    providers: Cache<(String, i64), Arc<Providers>>,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory {
            pools: Cache::new(1_000),
            clients: Cache::new(10_000),
            pools_of: Cache::new(10_000),
            scopes: Cache::new(1_000),
            providers: Cache::new(1_000),
        }
    }
}

impl Directory {
    pub async fn pool(&self, db: &Db, pool_id: &str) -> Result<Option<Arc<Pool>>> {
        let Some(row) =
            db.one("SELECT ver FROM pools WHERE pool_id = ?1", &params![pool_id]).await?
        else {
            return Ok(None);
        };
        self.pool_at(db, pool_id, row.i64(0)?).await
    }

    /// An app client and its pool.
    pub async fn client(
        &self,
        db: &Db,
        client_id: &str,
    ) -> Result<Option<(Arc<Pool>, Arc<Client>)>> {
        let sql = "SELECT c.pool_id, c.ver, p.ver FROM clients c JOIN pools p ON p.pool_id = c.pool_id WHERE c.client_id = ?1";
        let Some(row) = db.one(sql, &params![client_id]).await? else { return Ok(None) };
        let pool = self.pool_at(db, row.text(0)?, row.i64(2)?).await?;
        let client = self.client_at(db, client_id, row.i64(1)?).await?;
        Ok(pool.zip(client))
    }

    /// The pool of a client, from memory where it was asked for before: for counting, and for knowing where to read. The client may have been
    /// deleted since.
    pub async fn pool_of(&self, db: &Db, client_id: &str) -> Result<Option<Arc<str>>> {
        if let Some(pool) = self.pools_of.get(client_id) {
            return Ok(Some(pool));
        }
        let sql = "SELECT pool_id FROM clients WHERE client_id = ?1";
        let Some(row) = db.one(sql, &params![client_id]).await? else { return Ok(None) };
        let pool: Arc<str> = row.text(0)?.into();
        self.pools_of.insert(client_id.to_owned(), pool.clone());
        Ok(Some(pool))
    }

    /// The pool at a version that a read of this request returned. A change in between gives the newer one.
    pub async fn pool_at(&self, db: &Db, pool_id: &str, ver: i64) -> Result<Option<Arc<Pool>>> {
        let key = (pool_id.to_owned(), ver);
        if let Some(pool) = self.pools.get(&key) {
            return Ok(Some(pool));
        }
        let pool = find(db, pool_id).await?.map(Arc::new);
        if let Some(pool) = &pool {
            self.pools.insert((pool_id.to_owned(), pool.ver), pool.clone());
        }
        Ok(pool)
    }

    pub async fn client_at(
        &self,
        db: &Db,
        client_id: &str,
        ver: i64,
    ) -> Result<Option<Arc<Client>>> {
        let key = (client_id.to_owned(), ver);
        if let Some(client) = self.clients.get(&key) {
            return Ok(Some(client));
        }
        let client = find_client(db, client_id).await?.map(Arc::new);
        if let Some(client) = &client {
            self.clients.insert((client_id.to_owned(), client.ver), client.clone());
        }
        Ok(client)
    }

    /// The scopes of a pool's resource servers, whose every change changes the pool's version.
    pub async fn scopes(&self, db: &Db, pool: &Pool) -> Result<Arc<BTreeSet<String>>> {
        let key = (pool.id.clone(), pool.ver);
        if let Some(scopes) = self.scopes.get(&key) {
            return Ok(scopes);
        }
        let scopes = Arc::new(resource_servers::scopes(db, &pool.id).await?);
        self.scopes.insert(key, scopes.clone());
        Ok(scopes)
    }

    /// A pool's identity providers, whose every change changes the pool's version.
    pub async fn providers(&self, db: &Db, pool: &Pool) -> Result<Arc<Providers>> {
        let key = (pool.id.clone(), pool.ver);
        if let Some(providers) = self.providers.get(&key) {
            return Ok(providers);
        }
        let providers = match pool.doc.has_providers {
            true => Arc::new(Providers::new(providers::all(db, &pool.id).await?)),
            false => Arc::default(),
        };
        self.providers.insert(key, providers.clone());
        Ok(providers)
    }
}

// Pools

const POOL: &str = "SELECT pool_id, doc, ver, epoch_ms, longest_token_ms, created_ms, modified_ms FROM pools WHERE pool_id = ?1";
const POOLS: &str = "SELECT pool_id, doc, ver, epoch_ms, longest_token_ms, created_ms, modified_ms FROM pools WHERE pool_id > ?1 ORDER BY pool_id LIMIT ?2";

async fn find(db: &Db, pool_id: &str) -> Result<Option<Pool>> {
    db.one(POOL, &params![pool_id]).await?.map(|row| pool(&row)).transpose()
}

/// Pools in the order of their ids, after `after`.
pub async fn list(db: &Db, after: &str, limit: i64) -> Result<Vec<Pool>> {
    db.scan(POOLS, params![after, limit]).await?.iter().map(pool).collect()
}

pub async fn count(db: &Db) -> Result<i64> {
    let rows = db.scan("SELECT COUNT(*) FROM pools", params![]).await?;
    rows.first().map_or(Ok(0), |row| row.i64(0))
}

pub async fn count_users(db: &Db, pool_id: &str) -> Result<i64> {
    let rows = db.scan("SELECT COUNT(*) FROM users WHERE pool_id = ?1", params![pool_id]).await?;
    rows.first().map_or(Ok(0), |row| row.i64(0))
}

pub fn insert(batch: &mut Batch, pool: &Pool) -> Result<()> {
    // Takes the place of a grave: neither can come while the other is there.
    batch.one(
        Rank::Pool,
        "INSERT INTO graves (pool_id, deleted_ms) VALUES (?1, 0) ON CONFLICT DO NOTHING",
        params![pool.id.as_str()],
        Error::conflict(),
    );
    batch.any(
        Rank::Pool,
        "DELETE FROM graves WHERE pool_id = ?1 AND deleted_ms = 0",
        params![pool.id.as_str()],
    );
    batch.one(
        Rank::Pool,
        "INSERT INTO pools (pool_id, name, doc, ver, epoch_ms, longest_token_ms, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, ?5, 0, 0, ?4, ?4) ON CONFLICT DO NOTHING",
        params![
            pool.id.as_str(),
            pool.model().name.as_deref().unwrap_or_default(),
            json(&pool.doc)?,
            pool.created_ms,
            pool.ver
        ],
        Error::conflict(),
    );
    Ok(())
}

/// Writes `pool.doc`, if the row is still at `pool.ver`.
pub fn update(batch: &mut Batch, pool: &Pool, now: Ms) -> Result<()> {
    batch.one(
        Rank::Pool,
        "UPDATE pools SET name = ?3, doc = ?4, ver = ver + 1, modified_ms = ?5 WHERE pool_id = ?1 AND ver = ?2",
        params![
            pool.id.as_str(),
            pool.ver,
            pool.model().name.as_deref().unwrap_or_default(),
            json(&pool.doc)?,
            now
        ],
        Error::conflict(),
    );
    Ok(())
}

/// Makes every node parse the pool and its keys anew.
pub fn touch(batch: &mut Batch, pool_id: &str) {
    batch.one(
        Rank::Pool,
        "UPDATE pools SET ver = ver + 1 WHERE pool_id = ?1",
        params![pool_id],
        Error::conflict(),
    );
}

/// The same, if the row is still at `pool.ver`: what was decided from the pool's clients or domains still holds.
pub fn hold(batch: &mut Batch, pool: &Pool) {
    batch.one(
        Rank::Pool,
        "UPDATE pools SET ver = ver + 1 WHERE pool_id = ?1 AND ver = ?2",
        params![pool.id.as_str(), pool.ver],
        Error::conflict(),
    );
}

/// Changes nothing, if the row is still at `pool.ver`: what hangs on the pool is not left behind by a deletion.
pub fn keep(batch: &mut Batch, pool: &Pool) {
    batch.one(
        Rank::Pool,
        "UPDATE pools SET ver = ver WHERE pool_id = ?1 AND ver = ?2",
        params![pool.id.as_str(), pool.ver],
        Error::conflict(),
    );
}

/// Kills what was born in the pool below `epoch_ms`, if the boundary still is what was read. Only `signout` calls this.
pub fn raise_epoch(batch: &mut Batch, pool: &Pool, epoch_ms: Ms) {
    batch.one(
        Rank::Pool,
        "UPDATE pools SET epoch_ms = ?3, ver = ver + 1 WHERE pool_id = ?1 AND epoch_ms = ?2",
        params![pool.id.as_str(), pool.epoch_ms, epoch_ms],
        Error::conflict().because(&pool.id),
    );
}

/// The same for what an app client was given.
pub fn raise_client_epoch(batch: &mut Batch, client: &Client, epoch_ms: Ms) {
    batch.one(
        Rank::Client,
        "UPDATE clients SET epoch_ms = ?3, ver = ver + 1 WHERE client_id = ?1 AND epoch_ms = ?2",
        params![client.id.as_str(), client.epoch_ms, epoch_ms],
        Error::conflict().because(&client.id),
    );
}

/// The latest moment at which anything in the pool can have been born: births move their user's clock, and those that have no user
/// are not below their client's epoch. It reads every user.
pub async fn latest_clock(db: &Db, pool_id: &str) -> Result<Ms> {
    let mut latest = 0;
    for sql in [
        "SELECT MAX(clock_ms) FROM users WHERE pool_id = ?1",
        "SELECT MAX(epoch_ms) FROM clients WHERE pool_id = ?1",
    ] {
        if let Some(row) = db.scan(sql, params![pool_id]).await?.first() {
            latest = latest.max(row.opt_i64(0)?.unwrap_or(0));
        }
    }
    Ok(latest)
}

/// Removes the pool, its clients, domains, resource servers and keys: with them everything under it is dead. The rest may be millions of rows;
/// its grave makes `purge` remove them in small pieces.
pub fn delete(batch: &mut Batch, pool: &Pool, now: Ms) {
    batch.one(
        Rank::Pool,
        "DELETE FROM pools WHERE pool_id = ?1 AND ver = ?2",
        params![pool.id.as_str(), pool.ver],
        Error::conflict(),
    );
    batch.one(
        Rank::Pool,
        "INSERT INTO graves (pool_id, deleted_ms) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![pool.id.as_str(), now],
        Error::conflict(),
    );
    for (rank, sql) in [
        (Rank::Client, "DELETE FROM clients WHERE pool_id = ?1"),
        (Rank::Domain, "DELETE FROM domains WHERE pool_id = ?1"),
        (Rank::Domain, "DELETE FROM resource_servers WHERE pool_id = ?1"),
        (Rank::Domain, "DELETE FROM identity_providers WHERE pool_id = ?1"),
        (Rank::Job, "DELETE FROM saml_certificates WHERE pool_id = ?1"),
        (Rank::Job, "DELETE FROM signing_keys WHERE pool_id = ?1"),
    ] {
        batch.any(rank, sql, params![pool.id.as_str()]);
    }
}

/// Whether rows of a deleted pool of this id are still being removed.
pub async fn is_buried(db: &Db, pool_id: &str) -> Result<bool> {
    Ok(db.one("SELECT 1 FROM graves WHERE pool_id = ?1", &params![pool_id]).await?.is_some())
}

fn pool(row: &Row) -> Result<Pool> {
    Ok(Pool {
        id: row.string(0)?,
        doc: parse(row.text(1)?)?,
        ver: row.i64(2)?,
        epoch_ms: row.i64(3)?,
        longest_token_ms: row.i64(4)?,
        created_ms: row.i64(5)?,
        modified_ms: row.i64(6)?,
    })
}

// App clients

const CLIENT: &str = "SELECT client_id, pool_id, doc, ver, epoch_ms, created_ms, modified_ms FROM clients WHERE client_id = ?1";
const CLIENTS: &str = "SELECT client_id, pool_id, doc, ver, epoch_ms, created_ms, modified_ms FROM clients WHERE pool_id = ?1 AND client_id > ?2 ORDER BY client_id LIMIT ?3";

async fn find_client(db: &Db, client_id: &str) -> Result<Option<Client>> {
    db.one(CLIENT, &params![client_id]).await?.map(|row| client(&row)).transpose()
}

pub async fn list_clients(db: &Db, pool_id: &str, after: &str, limit: i64) -> Result<Vec<Client>> {
    db.scan(CLIENTS, params![pool_id, after, limit]).await?.iter().map(client).collect()
}

pub async fn count_clients(db: &Db, pool_id: &str) -> Result<i64> {
    let rows = db.scan("SELECT COUNT(*) FROM clients WHERE pool_id = ?1", params![pool_id]).await?;
    rows.first().map_or(Ok(0), |row| row.i64(0))
}

/// Adds a client. The pool's row remembers the longest validity that any of its clients ever had: sign-out
/// records must outlive every token. Whatever was born before the client is not of this client: where an operator gives a
/// deleted client's id to a new one, old tokens stay dead.
pub fn insert_client(batch: &mut Batch, client: &Client) -> Result<()> {
    remember_validity(batch, client);
    batch.one(
        Rank::Client,
        "INSERT INTO clients (client_id, pool_id, name, doc, ver, epoch_ms, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, ?4, ?6, ?5, ?5, ?5) ON CONFLICT DO NOTHING",
        params![
            client.id.as_str(),
            client.pool_id.as_str(),
            client.model().client_name.as_deref().unwrap_or_default(),
            json(&client.doc)?,
            client.created_ms,
            client.ver
        ],
        Error::conflict(),
    );
    Ok(())
}

/// Writes `client.doc`, if the row is still at `client.ver`.
pub fn update_client(batch: &mut Batch, client: &Client, now: Ms) -> Result<()> {
    remember_validity(batch, client);
    batch.one(
        Rank::Client,
        "UPDATE clients SET name = ?3, doc = ?4, ver = ver + 1, modified_ms = ?5 WHERE client_id = ?1 AND ver = ?2",
        params![
            client.id.as_str(),
            client.ver,
            client.model().client_name.as_deref().unwrap_or_default(),
            json(&client.doc)?,
            now
        ],
        Error::conflict(),
    );
    Ok(())
}

/// Changes nothing, if the row is still at `client.ver`: what hangs on the client is not left behind by its deletion.
pub fn hold_client(batch: &mut Batch, client: &Client) {
    batch.one(
        Rank::Client,
        "UPDATE clients SET ver = ver WHERE client_id = ?1 AND ver = ?2",
        params![client.id.as_str(), client.ver],
        Error::conflict(),
    );
}

/// The same, and whoever decided something from the client as it was decides anew: something hangs on it now that goes with it.
pub fn touch_client(batch: &mut Batch, client: &Client) {
    batch.one(
        Rank::Client,
        "UPDATE clients SET ver = ver + 1 WHERE client_id = ?1 AND ver = ?2",
        params![client.id.as_str(), client.ver],
        Error::conflict(),
    );
}

pub fn delete_client(batch: &mut Batch, client: &Client) {
    batch.one(
        Rank::Client,
        "DELETE FROM clients WHERE client_id = ?1 AND ver = ?2",
        params![client.id.as_str(), client.ver],
        Error::conflict(),
    );
}

fn remember_validity(batch: &mut Batch, client: &Client) {
    let longest = client.access_ms().max(client.id_ms());
    batch.one(
        Rank::Pool,
        "UPDATE pools SET longest_token_ms = CASE WHEN longest_token_ms < ?2 THEN ?2 ELSE longest_token_ms END, ver = ver + 1 \
         WHERE pool_id = ?1",
        params![client.pool_id.as_str(), longest],
        Error::not_found(format!("User pool {} does not exist.", client.pool_id)),
    );
}

fn client(row: &Row) -> Result<Client> {
    Ok(Client {
        id: row.string(0)?,
        pool_id: row.string(1)?,
        doc: parse(row.text(2)?)?,
        ver: row.i64(3)?,
        epoch_ms: row.i64(4)?,
        created_ms: row.i64(5)?,
        modified_ms: row.i64(6)?,
    })
}

// Domains

/// A domain of a pool; `doc` is the request that made it.
#[derive(Clone, Debug)]
pub struct Domain {
    pub domain: String,
    pub pool_id: String,
    pub doc: serde_json::Value,
}

pub async fn find_domain(db: &Db, domain: &str) -> Result<Option<Domain>> {
    let sql = "SELECT domain, pool_id, doc FROM domains WHERE domain = ?1";
    db.one(sql, &params![domain]).await?.map(|row| read_domain(&row)).transpose()
}

pub async fn domains_of(db: &Db, pool_id: &str) -> Result<Vec<Domain>> {
    let sql = "SELECT domain, pool_id, doc FROM domains WHERE pool_id = ?1 ORDER BY domain";
    db.query(sql, &params![pool_id]).await?.iter().map(read_domain).collect()
}

pub fn insert_domain(batch: &mut Batch, domain: &Domain, now: Ms, taken: Error) -> Result<()> {
    touch(batch, &domain.pool_id);
    batch.one(
        Rank::Domain,
        "INSERT INTO domains (domain, pool_id, doc, created_ms) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        params![domain.domain.as_str(), domain.pool_id.as_str(), json(&domain.doc)?, now],
        taken,
    );
    Ok(())
}

pub fn update_domain(batch: &mut Batch, domain: &Domain, missing: Error) -> Result<()> {
    touch(batch, &domain.pool_id);
    batch.one(
        Rank::Domain,
        "UPDATE domains SET doc = ?3 WHERE domain = ?1 AND pool_id = ?2",
        params![domain.domain.as_str(), domain.pool_id.as_str(), json(&domain.doc)?],
        missing,
    );
    Ok(())
}

pub fn delete_domain(batch: &mut Batch, domain: &str, pool_id: &str, missing: Error) {
    touch(batch, pool_id);
    batch.one(
        Rank::Domain,
        "DELETE FROM domains WHERE domain = ?1 AND pool_id = ?2",
        params![domain, pool_id],
        missing,
    );
}

fn read_domain(row: &Row) -> Result<Domain> {
    Ok(Domain { domain: row.string(0)?, pool_id: row.string(1)?, doc: parse(row.text(2)?)? })
}

/// A document as it is stored. Text with NUL cannot be (PostgreSQL refuses it).
pub(super) fn json(doc: &impl serde::Serialize) -> Result<String> {
    let text = serde_json::to_string(doc).map_err(Error::internal)?;
    if text.contains("\\u0000") {
        return Err(Error::new(Kind::InvalidParameter, "Text must not contain a NUL character."));
    }
    Ok(text)
}

pub(super) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text)
        .map_err(|error| Error::internal(format!("a stored document does not parse: {error}")))
}
