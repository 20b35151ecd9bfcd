//! What providers say of themselves (metadata, discovery, key sets): the last good copy of each document, and how its refresh went.

use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

/// A document, ready to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// `saml_metadata`, `discovery` or `jwks`.
    pub what: String,
    pub url: String,
    pub body: String,
    pub fetched_ms: Ms,
    /// When it should be fetched again.
    pub due_ms: Ms,
}

/// Of which document there is a copy, without the copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub url: String,
    /// Which copy: a newer one has a later time, always.
    pub fetched_ms: Ms,
    pub due_ms: Ms,
    /// Since when its refresh fails, and how it failed last.
    pub failed_ms: Option<Ms>,
    pub failure: String,
}

pub async fn known(db: &Db, pool_id: &str, name: &str, what: &str) -> Result<Option<Known>> {
    let sql = "SELECT url, fetched_ms, due_ms, failed_ms, failure FROM provider_learned WHERE pool_id = ?1 AND name = ?2 AND what = ?3";
    let row = db.one(sql, &params![pool_id, name, what]).await?;
    row.map(|row| {
        Ok(Known {
            url: row.string(0)?,
            fetched_ms: row.i64(1)?,
            due_ms: row.i64(2)?,
            failed_ms: row.opt_i64(3)?,
            failure: row.string(4)?,
        })
    })
    .transpose()
}

/// The copy itself.
pub async fn find(db: &Db, pool_id: &str, name: &str, what: &str) -> Result<Option<Document>> {
    let sql = "SELECT what, url, body, fetched_ms, due_ms FROM provider_learned WHERE pool_id = ?1 AND name = ?2 AND what = ?3";
    db.one(sql, &params![pool_id, name, what]).await?.map(|row| document(&row)).transpose()
}

/// What was learned of a provider that is made or changed; whatever else was known of it is forgotten.
pub fn replace(batch: &mut Batch, pool_id: &str, name: &str, documents: &[Document]) {
    let what = |n: usize| documents.get(n).map_or("", |document| document.what.as_str()).to_owned();
    batch.any(
        Rank::Domain,
        "DELETE FROM provider_learned WHERE pool_id = ?1 AND name = ?2 AND what NOT IN (?3, ?4, ?5)",
        params![pool_id, name, what(0), what(1), what(2)],
    );
    for document in documents {
        batch.one(
            Rank::Domain,
            "INSERT INTO provider_learned (pool_id, name, what, url, body, fetched_ms, due_ms, failed_ms, failure) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, '') \
             ON CONFLICT (pool_id, name, what) DO UPDATE SET url = ?4, body = ?5, \
             fetched_ms = CASE WHEN provider_learned.fetched_ms < ?6 THEN ?6 ELSE provider_learned.fetched_ms + 1 END, \
             due_ms = ?7, failed_ms = NULL, failure = ''",
            params![
                pool_id,
                name,
                document.what.as_str(),
                document.url.as_str(),
                document.body.as_str(),
                document.fetched_ms,
                document.due_ms
            ],
            Error::conflict(),
        );
    }
}

/// The first copy of a document that was not fetched when the provider was made. Of several that come at once one stays.
pub fn insert(batch: &mut Batch, pool_id: &str, name: &str, document: &Document) {
    // Depends on the provider: its deletion removes what was learned, and nothing may come after it.
    touch_provider(batch, pool_id, name);
    batch.one(
        Rank::Domain,
        "INSERT INTO provider_learned (pool_id, name, what, url, body, fetched_ms, due_ms, failed_ms, failure) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, NULL, '') ON CONFLICT DO NOTHING",
        params![
            pool_id,
            name,
            document.what.as_str(),
            document.url.as_str(),
            document.body.as_str(),
            document.fetched_ms,
            document.due_ms
        ],
        Error::conflict(),
    );
}

/// A newer copy takes the place of the one that was `seen`, unless somebody was quicker.
pub fn renew(batch: &mut Batch, pool_id: &str, name: &str, seen: &Known, document: &Document) {
    batch.one(
        Rank::Domain,
        "UPDATE provider_learned SET url = ?5, body = ?6, due_ms = ?8, failed_ms = NULL, failure = '', \
         fetched_ms = CASE WHEN fetched_ms < ?7 THEN ?7 ELSE fetched_ms + 1 END \
         WHERE pool_id = ?1 AND name = ?2 AND what = ?3 AND fetched_ms = ?4",
        params![
            pool_id,
            name,
            document.what.as_str(),
            seen.fetched_ms,
            document.url.as_str(),
            document.body.as_str(),
            document.fetched_ms,
            document.due_ms
        ],
        Error::conflict(),
    );
}

/// Remembers that a refresh failed. The copy stays as it is.
pub fn fail(batch: &mut Batch, due: &Due, now: Ms, due_ms: Ms, failure: &str) {
    batch.any(
        Rank::Domain,
        "UPDATE provider_learned SET failed_ms = COALESCE(failed_ms, ?5), failure = ?6, due_ms = ?7 \
         WHERE pool_id = ?1 AND name = ?2 AND what = ?3 AND fetched_ms = ?4",
        params![
            due.pool_id.as_str(),
            due.name.as_str(),
            due.what.as_str(),
            due.fetched_ms,
            now,
            failure,
            due_ms
        ],
    );
}

/// A document whose time has come.
#[derive(Clone, Debug)]
pub struct Due {
    pub pool_id: String,
    pub name: String,
    pub what: String,
    pub fetched_ms: Ms,
    pub due_ms: Ms,
}

/// What is due, longest first.
pub async fn due(db: &Db, now: Ms, limit: i64) -> Result<Vec<Due>> {
    let sql = "SELECT pool_id, name, what, fetched_ms, due_ms FROM provider_learned WHERE due_ms <= ?1 ORDER BY due_ms LIMIT ?2";
    let rows = db.scan(sql, params![now, limit]).await?;
    rows.iter()
        .map(|row| {
            Ok(Due {
                pool_id: row.string(0)?,
                name: row.string(1)?,
                what: row.string(2)?,
                fetched_ms: row.i64(3)?,
                due_ms: row.i64(4)?,
            })
        })
        .collect()
}

/// Takes a refresh until `until_ms`; of several workers one gets it.
pub fn lease(batch: &mut Batch, due: &Due, until_ms: Ms) {
    batch.one(
        Rank::Domain,
        "UPDATE provider_learned SET due_ms = ?5 WHERE pool_id = ?1 AND name = ?2 AND what = ?3 AND due_ms = ?4",
        params![due.pool_id.as_str(), due.name.as_str(), due.what.as_str(), due.due_ms, until_ms],
        Error::conflict(),
    );
}

/// Of a provider that is gone, or that has no such document any more.
pub fn forget(batch: &mut Batch, due: &Due) {
    batch.any(
        Rank::Domain,
        "DELETE FROM provider_learned WHERE pool_id = ?1 AND name = ?2 AND what = ?3 AND fetched_ms = ?4",
        params![due.pool_id.as_str(), due.name.as_str(), due.what.as_str(), due.fetched_ms],
    );
}

fn touch_provider(batch: &mut Batch, pool_id: &str, name: &str) {
    batch.one(
        Rank::Domain,
        "UPDATE identity_providers SET modified_ms = modified_ms WHERE pool_id = ?1 AND name = ?2",
        params![pool_id, name],
        Error::conflict(),
    );
}

fn document(row: &Row) -> Result<Document> {
    Ok(Document {
        what: row.string(0)?,
        url: row.string(1)?,
        body: row.string(2)?,
        fetched_ms: row.i64(3)?,
        due_ms: row.i64(4)?,
    })
}
