//! What almost every operation begins with: the pool, the client or the user that it names, or Cognito's sentence that there
//! is none.

use std::sync::Arc;

use crate::auth::secret_hash;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::{Client, Pool, User};
use crate::store::users;

pub async fn pool(cx: &Cx, pool_id: &str) -> Result<Arc<Pool>> {
    let pool = cx.app.directory.pool(cx.db(), pool_id).await?;
    if let Some(pool) = &pool {
        cx.is_about(&pool.id, None);
    }
    pool.ok_or_else(|| Error::not_found(format!("User pool {pool_id} does not exist.")))
}

/// For the unsigned operations: the client alone says which pool is meant.
pub async fn client(cx: &Cx, client_id: &str) -> Result<(Arc<Pool>, Arc<Client>)> {
    let found = cx.app.directory.client(cx.db(), client_id).await?;
    if let Some((pool, client)) = &found {
        cx.is_about(&pool.id, Some(&client.id));
    }
    found.ok_or_else(|| Error::not_found(format!("User pool client {client_id} does not exist.")))
}

/// A client of this pool, and of no other.
pub async fn client_of(
    cx: &Cx,
    pool_id: &str,
    client_id: &str,
) -> Result<(Arc<Pool>, Arc<Client>)> {
    let pool = pool(cx, pool_id).await?;
    let found = cx.app.directory.client(cx.db(), client_id).await?;
    match found.filter(|(pool, _)| pool.id == pool_id) {
        Some((_, client)) => {
            cx.is_about(&pool.id, Some(&client.id));
            Ok((pool, client))
        }
        None => Err(Error::not_found(format!("User pool client {client_id} does not exist."))),
    }
}

/// The user whom an administrator names: by username, alias or `sub`.
pub async fn user(cx: &Cx, pool: &Pool, name: &str) -> Result<User> {
    let user = users::by_login(cx.db(), pool, name).await?;
    if let Some(user) = &user {
        cx.is_about(&pool.id, Some(&user.sub));
    }
    user.ok_or_else(|| Error::new(Kind::UserNotFound, "User does not exist."))
}

/// Checks a ClientSecret that is sent as such (GetTokensFromRefreshToken, RevokeToken).
pub fn check_client_secret(
    cx: &Cx,
    client: &Client,
    given: Option<&str>,
    refuse: fn(String) -> Error,
) -> Result<()> {
    match (client.is_public(), given) {
        (true, None) => Ok(()),
        (false, Some(secret)) if secret_hash::is_secret(cx, client, secret)? => Ok(()),
        (true, Some(_)) => Err(refuse(format!(
            "Client {} is not configured with a secret, but ClientSecret was received.",
            client.id
        ))),
        (false, None) => Err(refuse(format!(
            "Client {} is configured with secret but ClientSecret was not received",
            client.id
        ))),
        (false, Some(_)) => {
            Err(refuse(format!("Unable to verify client secret for client {}", client.id)))
        }
    }
}
