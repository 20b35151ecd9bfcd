//! `POST /oauth2/introspect` (RFC 7662). Cognito has no such endpoint. A client with a secret asks for its own tokens; about everything
//! else, also another client's token, it learns nothing but `{"active":false}`. One that may read the revocation feed, as a verifier
//! may, asks about the access tokens of every client of its pool.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;
use serde_json::{Map, Value, json};

use super::{client_auth, wire};
use crate::ambient::SECOND;
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::keys::{self, Claims};
use crate::pool::scopes::READ_REVOCATIONS;
use crate::pool::{Client, Pool};
use crate::site::{self, Params};
use crate::tokens::claims;
use crate::tokens::refresh::{self, Presented};
use crate::tokens::verify::{self, Bearer};
use crate::{http, ids};

const MAX_FORM: usize = 64 << 10;

/// What an access token says of itself that a resource server may need.
const SHOWN: &[&str] = &[
    "scope",
    "client_id",
    "username",
    "exp",
    "iat",
    "sub",
    "aud",
    "iss",
    "jti",
    "token_use",
    "auth_time",
    "cognito:groups",
];

pub async fn post(State(app): State<Arc<App>>, request: Request) -> Response {
    let (cx, parts, form) = site::open(app, request, MAX_FORM).await;
    let by_header = parts.headers.contains_key(header::AUTHORIZATION);
    let answer = match form {
        Ok(form) => answer(&cx, parts, &form).await,
        Err(error) => Err(error),
    };
    http::log(&cx, "oauth", "introspect", answer.as_ref().err());
    match answer {
        Ok(body) => wire::ok(&cx, body),
        Err(error) => wire::refuse_client(&cx, &error, by_header),
    }
}

async fn answer(cx: &Cx, parts: Parts, form: &Params) -> Result<Map<String, Value>> {
    let (pool, client) = client_auth::caller(cx, parts, form).await?;
    // Anybody can name a public client: to answer it would be to answer everybody (RFC 7662, 2.1).
    if client.is_public() {
        return Err(Error::new(
            Kind::OauthInvalidClient,
            "Only an app client with a secret can introspect tokens.",
        ));
    }
    let token = form
        .get("token")
        .ok_or_else(|| Error::new(Kind::OauthInvalidRequest, "token is missing."))?;
    // `token_type_hint` is not needed: the two kinds look different.
    let told = match keys::parse(token) {
        Ok(_) => access(cx, &client, token).await,
        Err(_) => refresh(cx, &pool, &client, token).await,
    };
    match told {
        Ok(Some(mut members)) => {
            members.shift_insert(0, "active".into(), json!(true));
            Ok(members)
        }
        Ok(None) => Ok(inactive()),
        Err(error) if matches!(error.kind, Kind::NotAuthorized | Kind::UserNotFound) => {
            Ok(inactive())
        }
        Err(error) => Err(error),
    }
}

/// An ID token is not looked at: it is for the client alone, and a resource server that takes one for an access token must be
/// told that it is none.
async fn access(cx: &Cx, client: &Client, token: &str) -> Result<Option<Map<String, Value>>> {
    let (claims, owner): (Arc<Claims>, _) = match verify::bearer(cx, token).await? {
        Bearer::User(access) => (access.claims, access.client),
        Bearer::Machine(machine) => (machine.claims, machine.client),
    };
    let verifies = owner.pool_id == client.pool_id && may_verify(client);
    if owner.id != client.id && !verifies {
        return Ok(None);
    }
    let mut members: Map<String, Value> = SHOWN
        .iter()
        .filter_map(|name| Some(((*name).to_owned(), claims.get(name)?.clone())))
        .collect();
    members.insert("token_type".into(), json!("Bearer"));
    Ok(Some(members))
}

/// Whether this is a verifier's client: it is asked to check the tokens of others, and the feed cannot tell it everything.
fn may_verify(client: &Client) -> bool {
    let flows = client.model().allowed_oauth_flows.as_deref().unwrap_or_default();
    client.scopes().iter().any(|scope| scope == READ_REVOCATIONS)
        && flows.iter().any(|flow| flow == "client_credentials")
}

/// `token_use` tells it from an access token, and `token_type`, which is about those, is absent.
async fn refresh(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    token: &str,
) -> Result<Option<Map<String, Value>>> {
    let presented = refresh::find(cx, pool, client, token).await?;
    if !presented.is_usable(cx) {
        return Ok(None);
    }
    let Presented { held, .. } = &presented;
    let jti = ids::session_uuid(&held.session.id).map(|uuid| uuid.to_string());
    let members = json!({
        "scope": held.session.scope,
        "client_id": client.id,
        "username": held.user.username,
        "exp": presented.expires_ms() / SECOND,
        "iat": presented.created_ms() / SECOND,
        "sub": held.user.sub,
        "iss": claims::issuer(&cx.app.settings, pool),
        "jti": jti,
        "token_use": "refresh",
        "auth_time": held.session.auth_ms / SECOND,
    });
    let mut members = members.as_object().cloned().unwrap_or_default();
    if let Some(resource) = &held.session.resource {
        members.insert("aud".into(), json!(resource));
    }
    Ok(Some(members))
}

fn inactive() -> Map<String, Value> {
    Map::from_iter([("active".to_owned(), json!(false))])
}
