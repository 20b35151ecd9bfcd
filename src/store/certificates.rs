//! The keys and certificates with which a pool takes part in SAML. `n` counts the certificates of one key, so of two servers that
//! make the same one at once, one wins.

use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;

/// One certificate. `secret` is the sealed PKCS #8 of its key, the same key in every row of a use.
#[derive(Clone, Debug)]
pub struct CertificateRow {
    pub n: i64,
    pub secret: Vec<u8>,
    /// DER.
    pub certificate: Vec<u8>,
    pub created_ms: Ms,
    pub expires_ms: Ms,
}

/// The certificates of one use, the newest first.
pub async fn of(db: &Db, pool_id: &str, use_for: &str) -> Result<Vec<CertificateRow>> {
    let sql = "SELECT n, secret, certificate, created_ms, expires_ms FROM saml_certificates \
               WHERE pool_id = ?1 AND use_for = ?2 ORDER BY n DESC";
    let rows = db.query(sql, &params![pool_id, use_for]).await?;
    rows.iter()
        .map(|row| {
            Ok(CertificateRow {
                n: row.i64(0)?,
                secret: row.blob(1)?.to_vec(),
                certificate: row.blob(2)?.to_vec(),
                created_ms: row.i64(3)?,
                expires_ms: row.i64(4)?,
            })
        })
        .collect()
}

/// Pools and uses whose newest certificate is from before `before`.
pub async fn due(db: &Db, before: Ms, limit: i64) -> Result<Vec<(String, String)>> {
    let sql = "SELECT pool_id, use_for FROM saml_certificates GROUP BY pool_id, use_for \
               HAVING MAX(created_ms) < ?1 ORDER BY pool_id, use_for LIMIT ?2";
    let rows = db.scan(sql, params![before, limit]).await?;
    rows.iter().map(|row| Ok((row.string(0)?, row.string(1)?))).collect()
}

/// Belongs into a batch that holds the pool.
pub fn insert(batch: &mut Batch, pool_id: &str, use_for: &str, row: &CertificateRow) {
    batch.one(
        Rank::Job,
        "INSERT INTO saml_certificates (pool_id, use_for, n, secret, certificate, created_ms, expires_ms) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
        params![
            pool_id,
            use_for,
            row.n,
            row.secret.clone(),
            row.certificate.clone(),
            row.created_ms,
            row.expires_ms
        ],
        Error::conflict(),
    );
}

/// Removes those whose time is over.
pub fn delete_expired(batch: &mut Batch, pool_id: &str, use_for: &str, now: Ms) {
    batch.any(
        Rank::Job,
        "DELETE FROM saml_certificates WHERE pool_id = ?1 AND use_for = ?2 AND expires_ms < ?3",
        params![pool_id, use_for, now],
    );
}

/// Removes all of one use.
pub fn delete(batch: &mut Batch, pool_id: &str, use_for: &str) {
    batch.any(
        Rank::Job,
        "DELETE FROM saml_certificates WHERE pool_id = ?1 AND use_for = ?2",
        params![pool_id, use_for],
    );
}
