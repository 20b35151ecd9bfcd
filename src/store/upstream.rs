//! Sessions at identity providers: how a browser session came about, and what signing out there needs. They outlive the browser
//! session as long as tokens that came through it may live, because the provider may still end those.

use super::{Batch, Rank};
use crate::ambient::Ms;
use crate::error::Error;
use crate::params;

/// One sign-in through a provider.
pub struct UpstreamSession {
    pub pool_id: String,
    pub id: String,
    pub sso_id: String,
    pub provider: String,
    pub sub: String,
    /// SHA-256 of the subject as the provider names it.
    pub subject_key: [u8; 32],
    /// SHA-256 of SAML's SessionIndex, or OpenID Connect's `sid`.
    pub session_key: Option<[u8; 32]>,
    /// `UpstreamDoc`, sealed.
    pub secret: Vec<u8>,
    pub created_ms: Ms,
    pub expires_ms: Ms,
    pub ended_ms: Option<Ms>,
}

pub fn insert(batch: &mut Batch, session: &UpstreamSession) {
    batch.one(
        Rank::Job,
        "INSERT INTO upstream_sessions (pool_id, upstream_id, sso_id, provider, sub, subject_key, session_key, secret, created_ms, \
         expires_ms, ended_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, NULL) ON CONFLICT DO NOTHING",
        params![
            session.pool_id.as_str(),
            session.id.as_str(),
            session.sso_id.as_str(),
            session.provider.as_str(),
            session.sub.as_str(),
            session.subject_key.as_slice(),
            session.session_key.map(|key| key.to_vec()),
            session.secret.clone(),
            session.created_ms,
            session.expires_ms
        ],
        Error::conflict(),
    );
}
