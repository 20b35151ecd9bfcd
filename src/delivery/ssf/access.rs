//! Who may manage and read streams: an app client of the pool with a token of its own and the scope for it.

use std::sync::Arc;

use axum::http::HeaderMap;

use super::answer::Refused;
use crate::cx::{Asked, Cx};
use crate::error::Kind;
use crate::http;
use crate::limits::Limit;
use crate::pool::scopes::{MANAGE_STREAMS, READ_STREAMS};
use crate::pool::{Client, Pool};
use crate::tokens::verify::{self, Bearer};

/// Who asks, and of which pool.
pub struct Caller {
    pub pool: Arc<Pool>,
    pub client: Arc<Client>,
}

/// `manages`: reading is not enough.
pub async fn admit(
    cx: &Cx,
    pool_id: &str,
    headers: &HeaderMap,
    manages: bool,
) -> Result<Caller, Refused> {
    let token = http::bearer(headers);
    if token.is_none_or(|token| cx.app.seen.get(token).is_none()) {
        cx.admit_address(Some(Limit::UserToken))?;
    }
    if cx.app.directory.pool(cx.db(), pool_id).await?.is_none() {
        return Err(Refused::NotFound("There is no such user pool."));
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
    let Bearer::Machine(machine) = bearer else { return Err(Refused::NoScope) };
    if machine.pool.id != pool_id {
        return Err(Refused::BadToken("The access token is another user pool's."));
    }
    let scopes = machine.claims.str("scope").unwrap_or_default();
    let has = |wanted: &str| scopes.split(' ').any(|scope| scope == wanted);
    if !(has(MANAGE_STREAMS) || (!manages && has(READ_STREAMS))) {
        return Err(Refused::NoScope);
    }
    cx.admit(&Asked {
        category: Limit::UserToken,
        pool: pool_id,
        client: Some(&machine.client.id),
        user: None,
        costly: false,
    })?;
    Ok(Caller { pool: machine.pool, client: machine.client })
}
