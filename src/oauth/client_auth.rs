//! Which client calls the token and revocation endpoints: `client_secret_basic`, `client_secret_post`, or a public client by its id.

use std::sync::Arc;

use axum::http::HeaderMap;

use crate::auth::secret_hash;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::pool::{Client, Pool};
use crate::site::Params;

pub async fn authenticate(
    cx: &Cx,
    pool: &Pool,
    headers: &HeaderMap,
    form: &Params,
) -> Result<Arc<Client>> {
    let basic = http::basic(headers);
    if basic.is_none() && headers.contains_key(axum::http::header::AUTHORIZATION) {
        return Err(refused("The Authorization header is not a Basic one."));
    }
    let (id, secret) = match (&basic, form.get("client_id")) {
        // The same client may be named twice; two clients may not (RFC 6749, 2.3).
        (Some((id, _)), Some(other)) if id != other => {
            return Err(refused("Two clients are named."));
        }
        (Some(_), _) if form.get("client_secret").is_some() => {
            return Err(Error::new(Kind::OauthInvalidRequest, "The client authenticates twice."));
        }
        (Some((id, secret)), _) => {
            (id.as_str(), Some(secret.as_str()).filter(|secret| !secret.is_empty()))
        }
        (None, Some(id)) => (id, form.get("client_secret")),
        (None, None) => return Err(Error::new(Kind::OauthInvalidRequest, "client_id is missing.")),
    };
    let found = cx.app.directory.client(cx.db(), id).await?.filter(|(of, _)| of.id == pool.id);
    let Some((_, client)) = found else { return Err(refused("")) };
    match (client.is_public(), secret) {
        (true, None) => Ok(client),
        (false, Some(secret)) if secret_hash::is_secret(cx, &client, secret)? => Ok(client),
        _ => Err(refused("")),
    }
}

fn refused(message: &'static str) -> Error {
    Error::new(Kind::OauthInvalidClient, message)
}
