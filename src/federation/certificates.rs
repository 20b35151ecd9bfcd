//! A pool's SAML keys.

use std::sync::Arc;

use cenote_saml::Credential;

use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::Pool;

/// What signs our messages, with the newest certificate.
pub async fn signing(_cx: &Cx, _pool: &Pool) -> Result<Arc<Credential>> {
    Err(Error::internal("not built yet"))
}

/// What decrypts the assertions of one SAML provider of the pool.
pub async fn decryption(_cx: &Cx, _pool: &Pool, _provider: &str) -> Result<Arc<Credential>> {
    Err(Error::internal("not built yet"))
}
