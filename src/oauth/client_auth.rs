//! Which client calls the token, revocation and introspection endpoints: `client_secret_basic`, `client_secret_post`, or a public client by its id.

use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::auth::secret_hash;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::pool::{Client, Pool};
use crate::site::{Params, Visit};

/// The pool that the address or the client names, and the client, authenticated.
pub async fn caller(cx: &Cx, parts: Parts, form: &Params) -> Result<(Arc<Pool>, Arc<Client>)> {
    let headers = parts.headers.clone();
    let names_client =
        headers.contains_key(header::AUTHORIZATION) || form.get("client_id").is_some();
    let pool = match Visit::begin(cx.clone(), parts, Some(form)).await? {
        Some(visit) => visit.site.pool,
        None if names_client => return Err(refused("")),
        None => return Err(unnamed()),
    };
    let client = authenticate(cx, &pool, &headers, form).await?;
    Ok((pool, client))
}

async fn authenticate(
    cx: &Cx,
    pool: &Pool,
    headers: &HeaderMap,
    form: &Params,
) -> Result<Arc<Client>> {
    let basic = http::basic(headers);
    if basic.is_none() && headers.contains_key(header::AUTHORIZATION) {
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
        (None, None) => return Err(unnamed()),
    };
    let found = cx.app.directory.client(cx.db(), id).await?.filter(|(of, _)| of.id == pool.id);
    let Some((_, client)) = found else { return Err(refused("")) };
    match (client.is_public(), secret) {
        (true, None) => Ok(client),
        (false, Some(secret)) if secret_hash::is_secret(cx, &client, secret)? => Ok(client),
        _ => Err(refused("")),
    }
}

fn unnamed() -> Error {
    Error::new(Kind::OauthInvalidRequest, "client_id is missing.")
}

fn refused(message: &'static str) -> Error {
    Error::new(Kind::OauthInvalidClient, message)
}
