//! A pool's signing keys: made with the pool, sealed at rest, rotated with overlap, kept parsed by (pool, version).

use std::sync::Arc;

use crate::ambient::{DAY, Ms};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::{Place, Ring, SigningKey};
use crate::pool::Pool;
use crate::store::keys::{self, SigningKeyRow};
use crate::store::{Batch, pools};

const ACTIVE: &str = "active";
const REVOKED: &str = "revoked";

/// The keys of a pool, parsed.
pub async fn of(cx: &Cx, pool: &Pool) -> Result<Arc<Ring>> {
    let key = (pool.id.clone(), pool.ver);
    if let Some(ring) = cx.app.rings.get(&key) {
        return Ok(ring);
    }
    let mut ring = Ring::default();
    for row in keys::signing_keys(cx.db(), &pool.id).await? {
        if row.state == REVOKED {
            continue;
        }
        let secret = cx.app.vault.open(&place(&pool.id, &row.kid), &row.secret)?;
        let signing = SigningKey::from_pkcs8(row.kid.as_str(), &secret)?;
        ring.add(&row.use_for, row.state == ACTIVE, row.retire_ms, signing)?;
    }
    let ring = Arc::new(ring);
    cx.app.rings.insert(key, ring.clone());
    Ok(ring)
}

/// Makes the two keys of a new pool. Key generation takes a tenth of a second each, on the bounded pool.
pub async fn create(cx: &Cx, batch: &mut Batch, pool_id: &str) -> Result<()> {
    for use_for in ["access", "id"] {
        create_for(cx, batch, pool_id, use_for).await?;
    }
    Ok(())
}

async fn create_for(cx: &Cx, batch: &mut Batch, pool_id: &str, use_for: &str) -> Result<()> {
    let source = cx.app.keygen.clone();
    let random = cx.app.random.clone();
    let (key, pkcs8) = cx.app.compute.run(move || source.make(&*random)).await??;
    let row = SigningKeyRow {
        kid: key.kid().to_owned(),
        use_for: use_for.to_owned(),
        state: ACTIVE.to_owned(),
        secret: cx.app.vault.seal(cx.rng(), &place(pool_id, key.kid()), &pkcs8)?.0,
        created_ms: cx.now,
        retire_ms: None,
    };
    keys::insert_signing_key(batch, pool_id, &row);
    Ok(())
}

/// New keys sign from now on; the old ones verify until the last token that they signed has expired.
pub async fn rotate(cx: &Cx, batch: &mut Batch, pool: &Pool) -> Result<Ms> {
    let retire_ms = cx.now + pool.longest_token_ms.max(DAY);
    pools::touch(batch, &pool.id);
    keys::retire_signing_keys(batch, &pool.id, cx.now, retire_ms);
    create(cx, batch, &pool.id).await?;
    Ok(retire_ms)
}

/// Somebody else may have this key: it neither signs nor verifies any more, and a new one takes its place if it was in use. The caller
/// adds the end (`signout::End::Key`) to the same batch. `false`: it was revoked before, and nothing is to be done.
pub async fn revoke(cx: &Cx, batch: &mut Batch, pool: &Pool, kid: &str) -> Result<bool> {
    let rows = keys::signing_keys(cx.db(), &pool.id).await?;
    let Some(row) = rows.iter().find(|row| row.kid == kid) else {
        let known: Vec<&str> =
            rows.iter().filter(|row| row.state != REVOKED).map(|row| row.kid.as_str()).collect();
        return Err(Error::not_found(format!(
            "The user pool {} has no signing key {kid:?}. It has {}.",
            pool.id,
            known.join(", ")
        )));
    };
    if row.state == REVOKED {
        return Ok(false);
    }
    pools::touch(batch, &pool.id);
    keys::revoke_signing_key(batch, &pool.id, row, cx.now);
    if row.state == ACTIVE {
        create_for(cx, batch, &pool.id, &row.use_for).await?;
    }
    Ok(true)
}

/// The same for every key that is trusted: which ones somebody revoked is not known. The names of those that end here.
pub async fn revoke_all(cx: &Cx, batch: &mut Batch, pool: &Pool) -> Result<Vec<String>> {
    let mut revoked = Vec::new();
    pools::touch(batch, &pool.id);
    for row in keys::signing_keys(cx.db(), &pool.id).await? {
        if row.state == REVOKED {
            continue;
        }
        keys::revoke_signing_key(batch, &pool.id, &row, cx.now);
        if row.state == ACTIVE {
            create_for(cx, batch, &pool.id, &row.use_for).await?;
        }
        revoked.push(row.kid);
    }
    Ok(revoked)
}

fn place<'a>(pool_id: &'a str, kid: &'a str) -> Place<'a> {
    Place { table: "signing_keys", pool: pool_id, row: kid, column: "secret" }
}

/// A pool without keys cannot sign; that is a broken database, not a user's mistake.
pub(super) fn missing(pool_id: &str) -> Error {
    Error::internal(format!("pool {pool_id} has no active signing key"))
}
