//! Who may follow a pool's feed: an app client with a token of its own and the scope for it, and any pool's who shows our TLS listener
//! a certificate of the operator's authorities.

use axum::http::request::Parts;

use super::answer::Refused;
use crate::cx::Cx;
use crate::error::Kind;
use crate::http::{self, ClientCertificate};
use crate::limits::Limit;
use crate::pool::scopes::READ_REVOCATIONS;
use crate::tokens::verify::{self, Bearer};

/// What somebody may be let in by.
pub enum Credential {
    Token(String),
    Certificate(ClientCertificate),
}

impl Credential {
    /// A token is what the caller chose for this request, so it counts, good or bad, whatever its connection has shown.
    pub fn of(cx: &Cx, parts: &Parts) -> Option<Credential> {
        match http::bearer(&parts.headers) {
            Some(token) => Some(Credential::Token(token.to_owned())),
            None => http::client_certificate(cx, parts).cloned().map(Credential::Certificate),
        }
    }
}

/// Lets in, and says as whom. A token that was not seen before costs arithmetic, so that is what an address is limited in; who has one
/// is limited by its consumer's name (empty where it has none), and then with all who follow the pool: one that asks without end takes
/// nothing from the others. A certificate cost its arithmetic in the handshake.
pub async fn admit(
    cx: &Cx,
    pool_id: &str,
    credential: Option<&Credential>,
    consumer: &str,
) -> Result<String, Refused> {
    let known = match credential {
        Some(Credential::Token(token)) => cx.app.seen.get(token).is_some(),
        Some(Credential::Certificate(_)) => true,
        None => false,
    };
    if !known {
        cx.admit_address(Some(Limit::Feed))?;
    }
    let owner = check(cx, pool_id, credential).await?;
    cx.admit_consumer(pool_id, &owner, consumer)?;
    Ok(owner)
}

/// The same again, for a stream that goes on.
pub async fn check(
    cx: &Cx,
    pool_id: &str,
    credential: Option<&Credential>,
) -> Result<String, Refused> {
    if cx.app.directory.pool(cx.db(), pool_id).await?.is_none() {
        return Err(Refused::NoPool);
    }
    match credential.ok_or(Refused::NoToken)? {
        Credential::Token(token) => machine(cx, pool_id, token).await,
        // TLS looked at this when the session began.
        Credential::Certificate(shown) if cx.now > shown.not_after => {
            Err(Refused::BadToken("The client certificate has expired. Connect with another."))
        }
        // No app client's id has a colon.
        Credential::Certificate(shown) => Ok(format!("cert:{}", shown.fingerprint)),
    }
}

async fn machine(cx: &Cx, pool_id: &str, token: &str) -> Result<String, Refused> {
    let bearer = match verify::bearer(cx, token).await {
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
