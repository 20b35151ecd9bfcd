//! `/oauth2/userInfo` (`cognito-behaviour`, 4.3).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use super::wire;
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::limits::Limit;
use crate::site::{self, Place};
use crate::tokens::{claims, verify};

pub async fn get(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let Some(token) = http::bearer(&parts.headers) else {
        http::log(&cx, "oauth", "userInfo", None);
        return challenge(
            &cx,
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Bad OAuth2 request at UserInfo Endpoint",
        );
    };
    let answer = match cx.admit_address(Some(Limit::UserRead)) {
        Ok(()) => answer(&cx.clone().of(Limit::UserRead), token, parts.uri.path()).await,
        Err(refused) => Err(refused),
    };
    http::log(&cx, "oauth", "userInfo", answer.as_ref().err());
    match answer {
        Ok(Some(body)) => wire::ok(&cx, body),
        Err(error) if is_ours(&error) => wire::refuse(&cx, &error),
        Ok(None) | Err(_) => challenge(
            &cx,
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "Access token is expired, disabled, or deleted, or the user has globally signed out.",
        ),
    }
}

/// Not about the token: this server has trouble, or nothing is served at this address.
fn is_ours(error: &Error) -> bool {
    matches!(
        error.kind,
        Kind::ServiceUnavailable | Kind::Internal | Kind::ResourceNotFound | Kind::TooManyRequests
    )
}

/// `None` where the token may not ask: it lacks `openid`, or belongs to another pool than the address.
async fn answer(
    cx: &Cx,
    token: &str,
    path: &str,
) -> Result<Option<serde_json::Map<String, serde_json::Value>>> {
    let place = site::place(cx, path).await?;
    let access = verify::access(cx, token).await?;
    let here = match place {
        Place::Path(pool_id) => pool_id == access.pool.id,
        Place::Domain(domain) => domain.pool_id == access.pool.id,
        Place::Bare => true,
    };
    if !here || !access.has_scope("openid") {
        return Ok(None);
    }
    Ok(Some(claims::user_info(
        &access.client,
        &access.user,
        access.claims.str("scope").unwrap_or_default(),
    )))
}

fn challenge(
    cx: &Cx,
    status: StatusCode,
    error: &'static str,
    description: &'static str,
) -> Response {
    let body = serde_json::json!({ "error": error, "error_description": description }).to_string();
    let mut response = wire::respond(cx, status, body);
    let text = format!("error=\"{error}\", error_description=\"{description}\"");
    if let Ok(value) = HeaderValue::from_str(&text) {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, value);
    }
    response
}
