//! The session at a provider that a browser session came through, as it is stored: found by hashes of what the provider calls it,
//! the rest sealed.

use crate::ambient::MINUTE;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::Place;
use crate::pool::Pool;
use crate::pool::identity::{Identity, UpstreamDoc};
use crate::store::upstream::UpstreamSession;
use crate::{ids, keys};

/// The row of a sign-in through a provider. It lives at least as long as any browser session may.
pub fn seal(
    cx: &Cx,
    pool: &Pool,
    identity: &Identity,
    sso_id: &str,
    sub: &str,
) -> Result<UpstreamSession> {
    let id = ids::uuid_v7(cx.now, cx.rng()).to_string();
    let plain = serde_json::to_vec(&identity.upstream).map_err(Error::internal)?;
    let sealed = cx.app.vault.seal(cx.rng(), &place(&pool.id, &id), &plain)?;
    let settings = &cx.app.settings;
    let longest = settings
        .browser_session_limit_ms
        .max(settings.browser_session_ms)
        .max(pool.doc.sessions.longest_minutes * MINUTE);
    let upstream = &identity.upstream;
    Ok(UpstreamSession {
        pool_id: pool.id.clone(),
        id,
        sso_id: sso_id.to_owned(),
        provider: identity.provider.clone(),
        sub: sub.to_owned(),
        subject_key: keys::hash(&identity.subject),
        session_key: upstream.session_index.as_ref().or(upstream.sid.as_ref()).map(keys::hash),
        secret: sealed.0,
        created_ms: cx.now,
        expires_ms: cx.now + longest,
        ended_ms: None,
    })
}

pub fn open(cx: &Cx, session: &UpstreamSession) -> Result<UpstreamDoc> {
    let plain = cx.app.vault.open(&place(&session.pool_id, &session.id), &session.secret)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}

fn place<'a>(pool_id: &'a str, id: &'a str) -> Place<'a> {
    Place { table: "upstream_sessions", pool: pool_id, row: id, column: "secret" }
}
