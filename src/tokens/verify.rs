//! Is this access token genuine, and is it alive? Nothing here is remembered between calls but parsed keys: a token that
//! was signed out a millisecond ago is refused.

use std::sync::Arc;

use super::claims::{self, ADMIN_SCOPE};
use super::ring;
use crate::ambient::SECOND;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::keys::{self, Claims};
use crate::pool::{Client, Pool, TokenSession, User};
use crate::store::sessions::{self, Held};
use crate::{ids, store};

/// A living access token and everything it stands on.
pub struct Access {
    pub claims: Claims,
    pub session: TokenSession,
    pub user: User,
    pub client: Arc<Client>,
    pub pool: Arc<Pool>,
}

impl Access {
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.claims.str("scope").unwrap_or_default().split(' ')
    }

    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|item| item == scope)
    }

    /// A guard for every write that this token authorises: it commits only while the token still lives.
    pub fn guard(&self, batch: &mut store::Batch) {
        store::clocks::guard(batch, &self.user, self.session.birth_ms, revoked());
        sessions::guard(batch, &self.pool.id, &self.session.id, revoked());
    }
}

/// For the JSON door: the token lives and may manage its own user.
pub async fn for_user_operations(cx: &Cx, token: &str) -> Result<Access> {
    let access = access(cx, token).await?;
    if !access.has_scope(ADMIN_SCOPE) {
        return Err(Error::not_authorized("Access Token does not have required scopes"));
    }
    Ok(access)
}

/// A genuine, unexpired, living access token of any scope.
pub async fn access(cx: &Cx, token: &str) -> Result<Access> {
    let (claims, pool) = genuine(cx, token, "access").await?;
    if claims.int("exp").is_none_or(|exp| exp.saturating_mul(SECOND) <= cx.now) {
        return Err(Error::not_authorized("Access Token has expired"));
    }
    let uuid = claims.str("origin_jti").or_else(|| claims.str("event_id")).ok_or_else(malformed)?;
    let session_id = ids::token_session_of(uuid).ok_or_else(malformed)?;
    let Some(held) = sessions::held(cx.db(), &cx.app.directory, &pool.id, &session_id).await?
    else {
        return Err(absent(cx, &pool, &claims).await?);
    };
    if claims.str("client_id") != Some(&held.client.id) || claims.str("sub") != Some(&held.user.sub)
    {
        return Err(malformed());
    }
    if !is_alive(&held) {
        return Err(revoked());
    }
    let Held { session, user, client, pool } = held;
    cx.is_by(&pool.id, &user.sub);
    cx.admit_token(&pool.id, &user.sub)?;
    Ok(Access { claims, session, user, client, pool })
}

/// Whether tokens of this session live: it has not ended, its user is enabled, and its birth is not below any epoch.
pub fn is_alive(held: &Held) -> bool {
    let Held { session, user, client, pool } = held;
    session.ended_ms.is_none()
        && user.enabled
        && session.birth_ms >= user.epoch_ms
        && session.birth_ms >= client.epoch_ms
        && session.birth_ms >= pool.epoch_ms
}

/// A token that one of our pools signed for this use (`access` or `id`), and that pool. Says nothing of expiry or life.
pub async fn genuine(cx: &Cx, token: &str, token_use: &str) -> Result<(Claims, Arc<Pool>)> {
    let unverified = keys::parse(token).map_err(|_| malformed())?;
    // The client named inside is only a hint where to look for the key.
    let hint = unverified.peek_unverified().map_err(|_| malformed())?;
    let hint = hint
        .get(if token_use == "id" { "aud" } else { "client_id" })
        .and_then(|value| value.as_str());
    let (pool, _) = cx
        .app
        .directory
        .client(cx.db(), hint.ok_or_else(malformed)?)
        .await?
        .ok_or_else(malformed)?;

    let ring = ring::of(cx, &pool).await?;
    let key = ring.verifying(token_use, unverified.kid(), cx.now).ok_or_else(malformed)?;
    let claims = unverified
        .verify(key)
        .map_err(|_| Error::not_authorized("Could not verify signature for Access Token"))?;
    let issued_here = claims.str("iss") == Some(&claims::issuer(&cx.app.settings, &pool));
    if !issued_here || claims.str("token_use") != Some(token_use) {
        return Err(malformed());
    }
    Ok((claims, pool))
}

/// What is absent is dead; that the user itself is gone is said in Cognito's words.
async fn absent(cx: &Cx, pool: &Pool, claims: &Claims) -> Result<Error> {
    let user = store::users::find(cx.db(), &pool.id, claims.str("sub").unwrap_or_default()).await?;
    Ok(if user.is_some() {
        revoked()
    } else {
        Error::new(Kind::UserNotFound, "User does not exist.")
    })
}

pub fn revoked() -> Error {
    Error::not_authorized("Access Token has been revoked")
}

fn malformed() -> Error {
    Error::not_authorized("Invalid Access Token")
}
