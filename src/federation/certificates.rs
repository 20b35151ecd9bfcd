//! A pool's SAML keys: one that signs what we send, and one for each provider that may encrypt for us (`cognito-behaviour`, 2.4).
//! Made when first needed, or with the provider. A certificate is valid for ten years and followed every year by a new one of the
//! same key, so that a provider which loaded any of them goes on working.

use std::sync::Arc;

use cenote_saml::Credential;
use zeroize::Zeroizing;

use crate::ambient::{DAY, MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::Place;
use crate::keys::saml::{self, Envelope, Purpose, SamlKey};
use crate::pool::Pool;
use crate::store::certificates::{self as store, CertificateRow};
use crate::store::{Batch, pools};

const LIFE: Ms = 3_650 * DAY;
const RENEW_AFTER: Ms = 365 * DAY;
/// How many one run of the worker renews.
const AT_ONCE: i64 = 100;

const SIGNING: &str = "signing";

/// What signs our messages, with the newest certificate.
pub async fn signing(cx: &Cx, pool: &Pool) -> Result<Arc<Credential>> {
    Ok(key(cx, pool, SIGNING).await?.credential.clone())
}

/// Every certificate (DER) that a provider may still know our signatures by, the newest first.
pub async fn signing_certificates(cx: &Cx, pool: &Pool) -> Result<Vec<Vec<u8>>> {
    Ok(unexpired(cx, &*key(cx, pool, SIGNING).await?))
}

/// What decrypts the assertions of one SAML provider of the pool.
pub async fn decryption(cx: &Cx, pool: &Pool, provider: &str) -> Result<Arc<Credential>> {
    Ok(key(cx, pool, &encryption(provider)).await?.credential.clone())
}

/// Adds the key of a new provider to the batch that makes it and holds the pool.
pub async fn create(cx: &Cx, batch: &mut Batch, pool_id: &str, provider: &str) -> Result<()> {
    // Who described an older provider of this name while it was deleted may have made a key for nobody.
    delete(batch, pool_id, provider);
    insert_new(cx, batch, pool_id, &encryption(provider)).await
}

/// Removes the key of a deleted provider: one of the same name gets another.
pub fn delete(batch: &mut Batch, pool_id: &str, provider: &str) {
    store::delete(batch, pool_id, &encryption(provider));
}

/// Gives every key whose newest certificate is a year old another. A worker; due again the next day.
pub async fn renew(cx: Cx) -> Result<Ms> {
    let due = store::due(cx.db(), cx.now - RENEW_AFTER, AT_ONCE).await?;
    let mut failure = None;
    for (pool_id, use_for) in &due {
        match renew_one(&cx, pool_id, use_for).await {
            // Another server's, or the pool is being changed: if it is still due, the next run finds it.
            Err(error) if !error.is_conflict() => {
                tracing::warn!(?error, pool_id, use_for, "a SAML certificate was not renewed");
                failure = Some(error);
            }
            _ => {}
        }
    }
    match failure {
        Some(failure) => Err(failure),
        None if due.is_empty() => Ok(cx.now + DAY),
        None => Ok(cx.now + MINUTE),
    }
}

async fn renew_one(cx: &Cx, pool_id: &str, use_for: &str) -> Result<()> {
    let Some(pool) = cx.app.directory.pool(cx.db(), pool_id).await? else { return Ok(()) };
    let rows = store::of(cx.db(), pool_id, use_for).await?;
    let Some(newest) = rows.first().filter(|row| row.created_ms < cx.now - RENEW_AFTER) else {
        return Ok(());
    };
    let pkcs8 = cx.app.vault.open(&place(pool_id, &row_name(use_for, newest.n)), &newest.secret)?;
    let mut batch = Batch::new();
    // The provider is still there when this commits, and every server looks again.
    pools::hold(&mut batch, &pool);
    insert(cx, &mut batch, pool_id, use_for, newest.n + 1, pkcs8).await?;
    store::delete_expired(&mut batch, pool_id, use_for, cx.now);
    audit::note(&mut batch, cx, pool_id, &Actor::Operator, "RenewCertificate", use_for, "ok", "");
    cx.db().commit(batch).await
}

/// A key, from memory by the pool's version, which every change of it but the first changes.
async fn key(cx: &Cx, pool: &Pool, use_for: &str) -> Result<Arc<SamlKey>> {
    let name = (format!("{} {use_for}", pool.id), pool.ver);
    let found = cx.app.saml_keys.get_or_insert_async(&name, async {
        if let Some(known) = load(cx, pool, use_for).await? {
            return Ok(known);
        }
        let mut batch = Batch::new();
        pools::keep(&mut batch, pool);
        insert_new(cx, &mut batch, &pool.id, use_for).await?;
        match cx.db().commit(batch).await {
            // Another server was quicker: what it made is there.
            Err(error) if !error.is_conflict() => return Err(error),
            _ => {}
        }
        load(cx, pool, use_for).await?.ok_or_else(Error::conflict)
    });
    found.await
}

async fn load(cx: &Cx, pool: &Pool, use_for: &str) -> Result<Option<Arc<SamlKey>>> {
    let rows = store::of(cx.db(), &pool.id, use_for).await?;
    let Some(newest) = rows.first() else { return Ok(None) };
    let place_of = row_name(use_for, newest.n);
    let pkcs8 = cx.app.vault.open(&place(&pool.id, &place_of), &newest.secret)?;
    let credential = Credential::new(&pkcs8, &newest.certificate)
        .map_err(|fault| Error::internal(format!("the SAML key {place_of}: {fault}")))?;
    Ok(Some(Arc::new(SamlKey {
        credential: Arc::new(credential),
        certificates: rows.into_iter().map(|row| (row.expires_ms, row.certificate)).collect(),
    })))
}

async fn insert_new(cx: &Cx, batch: &mut Batch, pool_id: &str, use_for: &str) -> Result<()> {
    let (source, random) = (cx.app.keygen.clone(), cx.app.random.clone());
    let (_, pkcs8) = cx.app.compute.run(move || source.make(&*random)).await??;
    insert(cx, batch, pool_id, use_for, 1, pkcs8).await
}

async fn insert(
    cx: &Cx,
    batch: &mut Batch,
    pool_id: &str,
    use_for: &str,
    n: i64,
    pkcs8: Zeroizing<Vec<u8>>,
) -> Result<()> {
    let secret = cx.app.vault.seal(cx.rng(), &place(pool_id, &row_name(use_for, n)), &pkcs8)?.0;
    let mut serial = [0; 16];
    cx.rng().fill(&mut serial);
    let expires_ms = cx.now + LIFE;
    let envelope = Envelope {
        name: pool_id.to_owned(),
        serial,
        // A provider whose clock is behind takes it, too.
        from: cx.now - DAY,
        until: expires_ms,
        purpose: if use_for == SIGNING { Purpose::Signing } else { Purpose::Encryption },
    };
    let certificate = cx.app.compute.run(move || saml::self_signed(&pkcs8, &envelope)).await??;
    let row = CertificateRow { n, secret, certificate, created_ms: cx.now, expires_ms };
    store::insert(batch, pool_id, use_for, &row);
    Ok(())
}

fn unexpired(cx: &Cx, key: &SamlKey) -> Vec<Vec<u8>> {
    let living = key.certificates.iter().filter(|(expires_ms, _)| *expires_ms > cx.now);
    living.map(|(_, certificate)| certificate.clone()).collect()
}

fn encryption(provider: &str) -> String {
    format!("encryption:{provider}")
}

fn row_name(use_for: &str, n: i64) -> String {
    format!("{use_for} {n}")
}

fn place<'a>(pool_id: &'a str, row: &'a str) -> Place<'a> {
    Place { table: "saml_certificates", pool: pool_id, row, column: "secret" }
}
