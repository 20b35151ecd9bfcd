//! Discovery and JWKS, under the issuer (`cognito-behaviour`, 4.5; OIDC Discovery 1.0; RFC 8414). The same document answers at the
//! addresses of both specifications.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::wire;
use crate::cx::{App, Asked, Cx};
use crate::error::Result;
use crate::http;
use crate::limits::Limit;
use crate::site;
use crate::tokens::{claims, ring};

pub async fn openid_configuration(
    State(app): State<Arc<App>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let document = match admit(&cx) {
        Ok(()) => document(&cx, &pool_id).await,
        Err(refused) => Err(refused),
    };
    write(&cx, document)
}

pub async fn jwks(
    State(app): State<Arc<App>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let keys = match admit(&cx) {
        Ok(()) => key_set(&cx, &pool_id).await,
        Err(refused) => Err(refused),
    };
    write(&cx, keys)
}

/// Public documents that every verifier reads, many from one address: only the server as a whole has a limit.
fn admit(cx: &Cx) -> Result<()> {
    let asked =
        Asked { category: Limit::Discovery, pool: "", client: None, user: None, costly: false };
    cx.admit(&asked)
}

async fn key_set(cx: &Cx, pool_id: &str) -> Result<Option<Value>> {
    let Some(pool) = cx.app.directory.pool(cx.db(), pool_id).await? else { return Ok(None) };
    Ok(Some(ring::of(cx, &pool).await?.jwks(cx.now)))
}

/// What a token of a user can say here; custom attributes come on top.
const CLAIMS: &[&str] = &[
    "sub",
    "iss",
    "aud",
    "exp",
    "iat",
    "auth_time",
    "nonce",
    "at_hash",
    "sid",
    "jti",
    "origin_jti",
    "event_id",
    "token_use",
    "client_id",
    "scope",
    "username",
    "version",
    "cognito:username",
    "cognito:groups",
    "cognito:roles",
    "cognito:preferred_role",
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "email",
    "email_verified",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "phone_number",
    "phone_number_verified",
    "address",
    "updated_at",
];

/// As Cognito lists them. Scopes of resource servers are no public knowledge.
const SCOPES: &[&str] = &["openid", "email", "phone", "profile"];

/// Complete, with keys in alphabetical order as Cognito has them. Without a place for pages, only what the issuer itself serves.
async fn document(cx: &Cx, pool_id: &str) -> Result<Option<Value>> {
    let Some(pool) = cx.app.directory.pool(cx.db(), pool_id).await? else { return Ok(None) };
    let issuer = claims::issuer(&cx.app.settings, &pool);
    // The keys are where this server is reached, whatever issuer a migration makes the tokens name.
    let here = format!("{}/{}", cx.app.settings.public_url, pool.id);
    let mut document = json!({
        "backchannel_logout_session_supported": true,
        "backchannel_logout_supported": true,
        "claim_types_supported": ["normal"],
        "claims_parameter_supported": false,
        "claims_supported": CLAIMS,
        "code_challenge_methods_supported": ["S256"],
        "grant_types_supported": ["authorization_code", "client_credentials", "implicit", "refresh_token"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": issuer,
        "jwks_uri": format!("{here}/.well-known/jwks.json"),
        "prompt_values_supported": ["none", "login", "select_account"],
        "request_parameter_supported": false,
        // Absent would mean true (OIDC Discovery 1.0, 3).
        "request_uri_parameter_supported": false,
        "response_modes_supported": ["query", "fragment"],
        "response_types_supported": ["code", "token"],
        "scopes_supported": SCOPES,
        "subject_types_supported": ["public"],
    });
    if let (Some(base), Some(members)) = (site::base(cx, &pool).await?, document.as_object_mut()) {
        let with_secret = json!(["client_secret_basic", "client_secret_post"]);
        let methods = json!(["client_secret_basic", "client_secret_post", "none"]);
        for (name, value) in [
            ("authorization_endpoint", json!(format!("{base}/oauth2/authorize"))),
            ("frontchannel_logout_session_supported", json!(true)),
            ("frontchannel_logout_supported", json!(true)),
            ("end_session_endpoint", json!(format!("{base}/logout"))),
            ("introspection_endpoint", json!(format!("{base}/oauth2/introspect"))),
            ("introspection_endpoint_auth_methods_supported", with_secret),
            ("revocation_endpoint", json!(format!("{base}/oauth2/revoke"))),
            ("revocation_endpoint_auth_methods_supported", methods.clone()),
            ("token_endpoint", json!(format!("{base}/oauth2/token"))),
            ("token_endpoint_auth_methods_supported", methods),
            ("userinfo_endpoint", json!(format!("{base}/oauth2/userInfo"))),
        ] {
            members.insert(name.to_owned(), value);
        }
        members.sort_keys();
    }
    Ok(Some(document))
}

fn write(cx: &Cx, document: Result<Option<Value>>) -> Response {
    match document {
        Ok(Some(document)) => {
            let mut response = wire::respond(cx, StatusCode::OK, document.to_string());
            // Short: a rotated key must be found, and a compromised one forgotten, within minutes.
            response
                .headers_mut()
                .insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
            response.headers_mut().remove(header::PRAGMA);
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Ok(None) => {
            let mut response = Response::new(Body::from("There is no such user pool.\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            wire::cors(response.headers_mut());
            response
        }
        Err(error) => wire::refuse(cx, &error),
    }
}
