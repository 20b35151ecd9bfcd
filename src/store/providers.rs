//! Identity providers. Every change touches the pool's version, so that what is cached of them is exact.

use super::pools::{json, parse};
use super::{Batch, Db, Rank, Row};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::Provider;
use crate::pool::provider::Kind;

const ALL: &str = "SELECT pool_id, name, kind, doc, secret, ver, created_ms, modified_ms \
                       FROM identity_providers WHERE pool_id = ?1 ORDER BY name";

/// Every provider of a pool, in the order of their names.
pub(super) async fn all(db: &Db, pool_id: &str) -> Result<Vec<Provider>> {
    db.scan(ALL, params![pool_id]).await?.iter().map(provider).collect()
}

/// With its identifiers. `taken` is the answer if the name or an identifier is another provider's.
pub fn insert(batch: &mut Batch, provider: &Provider, exists: Error, taken: &Error) -> Result<()> {
    batch.one(
        Rank::Domain,
        "INSERT INTO identity_providers (pool_id, name, kind, doc, secret, ver, created_ms, modified_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?6) ON CONFLICT DO NOTHING",
        params![
            provider.pool_id.as_str(),
            provider.name.as_str(),
            provider.kind.as_str(),
            json(&provider.doc)?,
            provider.secret.clone(),
            provider.created_ms
        ],
        exists,
    );
    insert_identifiers(batch, provider, taken);
    Ok(())
}

/// Writes `doc` and `secret`, if the row is still at `provider.ver`.
pub fn update(batch: &mut Batch, provider: &Provider, now: Ms, taken: &Error) -> Result<()> {
    batch.one(
        Rank::Domain,
        "UPDATE identity_providers SET doc = ?4, secret = ?5, ver = ver + 1, modified_ms = ?6 \
         WHERE pool_id = ?1 AND name = ?2 AND ver = ?3",
        params![
            provider.pool_id.as_str(),
            provider.name.as_str(),
            provider.ver,
            json(&provider.doc)?,
            provider.secret.clone(),
            now
        ],
        Error::conflict(),
    );
    delete_identifiers(batch, provider);
    insert_identifiers(batch, provider, taken);
    Ok(())
}

pub fn delete(batch: &mut Batch, provider: &Provider) {
    batch.one(
        Rank::Domain,
        "DELETE FROM identity_providers WHERE pool_id = ?1 AND name = ?2 AND ver = ?3",
        params![provider.pool_id.as_str(), provider.name.as_str(), provider.ver],
        Error::conflict(),
    );
    delete_identifiers(batch, provider);
    batch.any(
        Rank::Domain,
        "DELETE FROM provider_learned WHERE pool_id = ?1 AND name = ?2",
        params![provider.pool_id.as_str(), provider.name.as_str()],
    );
}

fn insert_identifiers(batch: &mut Batch, provider: &Provider, taken: &Error) {
    for identifier in &provider.doc.identifiers {
        batch.one(
            Rank::Domain,
            "INSERT INTO provider_identifiers (pool_id, identifier, name) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            params![provider.pool_id.as_str(), identifier.to_lowercase(), provider.name.as_str()],
            taken.clone(),
        );
    }
}

fn delete_identifiers(batch: &mut Batch, provider: &Provider) {
    batch.any(
        Rank::Domain,
        "DELETE FROM provider_identifiers WHERE pool_id = ?1 AND name = ?2",
        params![provider.pool_id.as_str(), provider.name.as_str()],
    );
}

fn provider(row: &Row) -> Result<Provider> {
    let kind = row.text(2)?;
    Ok(Provider {
        pool_id: row.string(0)?,
        name: row.string(1)?,
        kind: Kind::parse(kind)
            .ok_or_else(|| Error::internal(format!("unknown provider type {kind}")))?,
        doc: parse(row.text(3)?)?,
        secret: row.opt_blob(4)?.map(<[u8]>::to_vec),
        ver: row.i64(5)?,
        created_ms: row.i64(6)?,
        modified_ms: row.i64(7)?,
    })
}
