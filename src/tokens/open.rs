//! Opening a token session: what every successful sign-in ends in, at whichever door it happened.

use super::{Birth, participation};
use crate::ambient::Ms;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::session::Flow;
use crate::pool::{Client, Pool, TokenSession, User};
use crate::signout::{self, End, Why};
use crate::store::{Batch, clocks, sessions};
use crate::{ids, keys};

/// What the door knows of the new session.
pub struct New<'a> {
    pub pool: &'a Pool,
    pub client: &'a Client,
    pub user: &'a User,
    pub birth: Birth,
    pub auth_ms: Ms,
    pub flow: Flow,
    pub scope: &'a str,
    pub nonce: Option<String>,
    pub resource: Option<String>,
    pub sso_id: Option<String>,
    /// Chosen earlier, where an authorization code already named it.
    pub session_id: Option<String>,
}

/// A session that the batch will open, and its refresh token; the implicit grant gives none.
pub struct Opened {
    pub session: TokenSession,
    pub refresh_token: Option<String>,
}

/// Adds the session to the batch. Where the pool tracks sessions, the least recently used ones beyond MaxPerUser end in
/// the same batch, and the generation on the user row makes the count exact.
pub async fn open(cx: &Cx, batch: &mut Batch, new: New<'_>) -> Result<Opened> {
    let (pool, client) = (new.pool, new.client);
    let implicit = new.flow == Flow::Implicit;
    let lives_ms =
        if implicit { client.access_ms().max(client.id_ms()) } else { client.refresh_ms() };
    let mut session = TokenSession {
        id: new.session_id.unwrap_or_else(|| ids::token_session(new.birth.ms(), cx.rng())),
        sub: new.user.sub.clone(),
        client_id: client.id.clone(),
        sso_id: new.sso_id,
        flow: new.flow,
        scope: new.scope.to_owned(),
        nonce: new.nonce,
        resource: new.resource,
        sid: None,
        birth_ms: new.birth.ms(),
        auth_ms: new.auth_ms,
        created_ms: cx.now,
        active_ms: cx.now,
        expires_ms: cx.now + lives_ms,
        ended_ms: None,
        ip: cx.request.ip.clone(),
        device: cx.request.device.clone(),
    };
    session.sid = participation::sid(cx, pool, client, new.user, &session).await?;
    participation::join(cx, batch, pool, client, &session);
    if pool.doc.sessions.tracking {
        clocks::next_generation(batch, new.user);
        let mut living = sessions::token_sessions_of(cx.db(), new.user, cx.now).await?;
        living.retain(|session| session.birth_ms >= pool.epoch_ms);
        let room = usize::try_from(pool.doc.sessions.max_per_user - 1).unwrap_or(0);
        let evicted = living.len().saturating_sub(room);
        // Most recently used first; rows are locked in one order.
        let mut last = living.split_off(living.len() - evicted);
        last.sort_by(|one, other| one.id.cmp(&other.id));
        for old in &mut last {
            // Where the same browser has signed in again, the relying party's session goes on.
            if old.sid == session.sid || living.iter().any(|other| other.sid == old.sid) {
                old.sid = None;
            }
        }
        let ends: Vec<End<'_>> = last.iter().map(End::Tokens).collect();
        if !ends.is_empty() {
            signout::end(cx, batch, pool, &ends, Why::policy("max_sessions_per_user"));
        }
    }

    sessions::insert_token_session(batch, &pool.id, &session);
    let refresh_token = (!implicit).then(|| keys::refresh_token(cx.rng()));
    if let Some(token) = &refresh_token {
        let (hash, expires_ms) = (keys::hash(token), session.expires_ms);
        sessions::insert_refresh_token(batch, &pool.id, &hash, &session.id, cx.now, expires_ms);
    }
    Ok(Opened { session, refresh_token })
}
