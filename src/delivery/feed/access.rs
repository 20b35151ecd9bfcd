//! Who may follow a pool's feed: an app client with a token of its own and the scope for it.

use axum::http::request::Parts;

use super::answer::Refused;
use crate::cx::{Asked, Cx};
use crate::error::Kind;
use crate::http;
use crate::limits::Limit;
use crate::pool::scopes::READ_REVOCATIONS;
use crate::tokens::verify::{self, Bearer};

/// Lets in, and says as whom. A token that was not seen before costs arithmetic, so that is what an address is limited in; who has one
/// is limited with all who follow the pool.
pub async fn admit(cx: &Cx, pool_id: &str, parts: &Parts) -> Result<String, Refused> {
    let token = http::bearer(&parts.headers);
    if token.is_none_or(|token| cx.app.seen.get(token).is_none()) {
        cx.admit_address(Some(Limit::Feed))?;
    }
    let owner = check(cx, pool_id, token).await?;
    let asked =
        Asked { category: Limit::Feed, pool: pool_id, client: None, user: None, costly: false };
    cx.admit(&asked)?;
    Ok(owner)
}

/// The same again, for a stream that goes on.
pub async fn check(cx: &Cx, pool_id: &str, token: Option<&str>) -> Result<String, Refused> {
    if cx.app.directory.pool(cx.db(), pool_id).await?.is_none() {
        return Err(Refused::NoPool);
    }
    let bearer = match verify::bearer(cx, token.ok_or(Refused::NoToken)?).await {
        Ok(bearer) => bearer,
        Err(error) if matches!(error.kind, Kind::NotAuthorized | Kind::UserNotFound) => {
            return Err(Refused::BadToken(
                "The access token is not genuine, has expired, or was revoked.",
            ));
        }
        Err(error) => return Err(Refused::Other(error)),
    };
    let (pool, machine) = match bearer {
        Bearer::Machine(machine) => (machine.pool.clone(), Some(machine)),
        Bearer::User(access) => (access.pool, None),
    };
    if pool.id != pool_id {
        return Err(Refused::BadToken("The access token is another user pool's."));
    }
    let reads = |scope: &str| scope.split(' ').any(|scope| scope == READ_REVOCATIONS);
    match machine {
        Some(machine) if machine.claims.str("scope").is_some_and(reads) => {
            Ok(machine.client.id.clone())
        }
        _ => Err(Refused::NoScope),
    }
}
