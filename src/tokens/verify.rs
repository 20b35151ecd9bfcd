//! Is this access token genuine, and is it alive? Nothing is remembered between calls but parsed keys and which tokens they signed:
//! a token that was signed out a millisecond ago is refused.

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
    pub claims: Arc<Claims>,
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

/// A living access token that its client got for itself: there is neither a session nor a user.
pub struct Machine {
    pub claims: Arc<Claims>,
    pub client: Arc<Client>,
    pub pool: Arc<Pool>,
}

/// Whose token it is.
pub enum Bearer {
    User(Box<Access>),
    Machine(Machine),
}

/// For the JSON door: the token lives and may manage its own user.
pub async fn for_user_operations(cx: &Cx, token: &str) -> Result<Access> {
    let access = access(cx, token).await?;
    if !access.has_scope(ADMIN_SCOPE) {
        return Err(Error::not_authorized("Access Token does not have required scopes"));
    }
    Ok(access)
}

/// A genuine, unexpired, living access token of a user, of any scope.
pub async fn access(cx: &Cx, token: &str) -> Result<Access> {
    match bearer(cx, token).await? {
        Bearer::User(access) => Ok(*access),
        // No user, so no scope over one.
        Bearer::Machine(_) => {
            Err(Error::not_authorized("Access Token does not have required scopes"))
        }
    }
}

/// A genuine, unexpired, living access token.
pub async fn bearer(cx: &Cx, token: &str) -> Result<Bearer> {
    if let Some((claims, held)) = seen(cx, token).await? {
        check_expiry(cx, &claims)?;
        return of_session(cx, claims, held).map(|access| Bearer::User(Box::new(access)));
    }
    let Genuine { claims, pool, client } = genuine(cx, token, "access").await?;
    check_expiry(cx, &claims)?;
    if claims.str("username").is_none() {
        return machine(claims, client, pool).map(Bearer::Machine);
    }
    let session_id = session_id(&claims).ok_or_else(malformed)?;
    match sessions::held(cx.db(), &cx.app.directory, &pool.id, &session_id).await? {
        Some(held) => of_session(cx, claims, held).map(|access| Bearer::User(Box::new(access))),
        None => Err(absent(cx, &pool, &claims).await?),
    }
}

/// The common case in a single read: a user's token that was verified before. Its client is known to belong to a pool, which never
/// changes, and the read that tells whether the session lives also tells the versions of both, and so which keys there are now.
/// Whatever is not as it should be is left to the long way, which says what.
async fn seen(cx: &Cx, token: &str) -> Result<Option<(Arc<Claims>, Held)>> {
    let Some(claims) = cx.app.seen.get(token) else { return Ok(None) };
    let directory = &cx.app.directory;
    let (Some(client_id), Some(session_id)) = (claims.str("client_id"), session_id(&claims)) else {
        return Ok(None);
    };
    let Some(pool_id) = directory.pool_of(cx.db(), client_id).await? else { return Ok(None) };
    let held = sessions::held(cx.db(), directory, &pool_id, &session_id).await?;
    let Some(held) = held.filter(|held| held.client.pool_id == held.pool.id) else {
        return Ok(None);
    };
    let ring = ring::of(cx, &held.pool).await?;
    let genuine = ring.verifying("access", claims.kid(), cx.now).is_some()
        && is_of(cx, &claims, &held.pool, "access");
    Ok(genuine.then_some((claims, held)))
}

fn check_expiry(cx: &Cx, claims: &Claims) -> Result<()> {
    if claims.int("exp").is_none_or(|exp| exp.saturating_mul(SECOND) <= cx.now) {
        return Err(Error::not_authorized("Access Token has expired"));
    }
    Ok(())
}

/// `None` also for what a client got for itself: that has no session.
fn session_id(claims: &Claims) -> Option<String> {
    let uuid = claims.str("origin_jti").or_else(|| claims.str("event_id"))?;
    ids::token_session_of(uuid).filter(|_| claims.str("username").is_some())
}

/// Its own id holds its birth; a client without one never was given such a token.
fn machine(claims: Arc<Claims>, client: Arc<Client>, pool: Arc<Pool>) -> Result<Machine> {
    let id = claims.str("jti").and_then(|jti| uuid::Uuid::try_parse(jti).ok());
    let birth_ms = id.as_ref().and_then(ids::uuid_v7_ms).ok_or_else(malformed)?;
    if claims.str("sub") != Some(&client.id) {
        return Err(malformed());
    }
    if birth_ms < client.epoch_ms.max(pool.epoch_ms) {
        return Err(revoked());
    }
    Ok(Machine { claims, client, pool })
}

fn of_session(cx: &Cx, claims: Arc<Claims>, held: Held) -> Result<Access> {
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

/// A token that one of our pools signed, and for which client.
pub struct Genuine {
    pub claims: Arc<Claims>,
    pub pool: Arc<Pool>,
    pub client: Arc<Client>,
}

/// Holds a token against the keys for this use (`access` or `id`). Says nothing of expiry or life. Of a token that was seen before
/// only the signature is not checked again: its key must still be one of the pool's.
pub async fn genuine(cx: &Cx, token: &str, token_use: &str) -> Result<Genuine> {
    let names_client = if token_use == "id" { "aud" } else { "client_id" };
    let (claims, pool, client) = match cx.app.seen.get(token) {
        Some(claims) => {
            let (pool, client) = owner(cx, claims.str(names_client)).await?;
            let ring = ring::of(cx, &pool).await?;
            ring.verifying(token_use, claims.kid(), cx.now).ok_or_else(malformed)?;
            (claims, pool, client)
        }
        None => {
            let unverified = keys::parse(token).map_err(|_| malformed())?;
            // The client named inside is only a hint where to look for the key.
            let hint = unverified.peek_unverified().map_err(|_| malformed())?;
            let (pool, client) =
                owner(cx, hint.get(names_client).and_then(|it| it.as_str())).await?;
            let ring = ring::of(cx, &pool).await?;
            let key = ring.verifying(token_use, unverified.kid(), cx.now).ok_or_else(malformed)?;
            let claims = unverified.verify(key).map_err(|_| {
                Error::not_authorized("Could not verify signature for Access Token")
            })?;
            let claims = Arc::new(claims);
            cx.app.seen.remember(token, claims.clone());
            (claims, pool, client)
        }
    };
    if !is_of(cx, &claims, &pool, token_use) {
        return Err(malformed());
    }
    Ok(Genuine { claims, pool, client })
}

/// Whether this pool issued it, for this use.
fn is_of(cx: &Cx, claims: &Claims, pool: &Pool, token_use: &str) -> bool {
    claims.str("iss") == Some(&claims::issuer(&cx.app.settings, pool))
        && claims.str("token_use") == Some(token_use)
}

async fn owner(cx: &Cx, client_id: Option<&str>) -> Result<(Arc<Pool>, Arc<Client>)> {
    let client_id = client_id.ok_or_else(malformed)?;
    cx.app.directory.client(cx.db(), client_id).await?.ok_or_else(malformed)
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
