//! The form of OAuth answers and errors (RFC 6749, 5.1 and 5.2), and CORS.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Map, Value, json};

use crate::cx::Cx;
use crate::error::{Error, Kind};
use crate::http;

/// `OPTIONS` of the endpoints that browser apps call.
pub async fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    cors(headers);
    headers
        .insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,POST,OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("authorization,content-type,x-amz-user-agent,cache-control,amz-sdk-invocation-id,amz-sdk-request"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}

pub fn ok(cx: &Cx, body: Map<String, Value>) -> Response {
    respond(cx, StatusCode::OK, Value::Object(body).to_string())
}

/// 200 without a body.
pub fn empty(cx: &Cx) -> Response {
    let mut response = respond(cx, StatusCode::OK, String::new());
    response.headers_mut().remove(header::CONTENT_TYPE);
    response
}

/// `{"error": ..}`, with a description where `error.message` is for the developer.
pub fn refuse(cx: &Cx, error: &Error) -> Response {
    let (status, code) = match error.kind {
        Kind::ServiceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        Kind::TooManyRequests | Kind::Conflict | Kind::LimitExceeded => {
            (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
        }
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        Kind::ResourceNotFound => (StatusCode::NOT_FOUND, "invalid_request"),
        Kind::RequestEntityTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request"),
        Kind::OauthInvalidClient => (StatusCode::UNAUTHORIZED, "invalid_client"),
        kind => (StatusCode::BAD_REQUEST, kind.oauth()),
    };
    refuse_as(cx, error, status, code)
}

/// The same for a client that authenticates: one that tried by header is told of that scheme (RFC 6749, 5.2).
pub fn refuse_client(cx: &Cx, error: &Error, by_header: bool) -> Response {
    let mut response = refuse(cx, error);
    if by_header && response.status() == StatusCode::UNAUTHORIZED {
        let headers = response.headers_mut();
        headers
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"oauth2\""));
    }
    response
}

/// The same, where an endpoint has a status of its own for it.
pub fn refuse_with(cx: &Cx, error: &Error, status: StatusCode) -> Response {
    refuse_as(cx, error, status, error.kind.oauth())
}

fn refuse_as(cx: &Cx, error: &Error, status: StatusCode, code: &str) -> Response {
    let body = if error.message.is_empty() {
        json!({ "error": code })
    } else {
        json!({ "error": code, "error_description": error.message.trim() })
    };
    let mut response = respond(cx, status, body.to_string());
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

pub fn respond(cx: &Cx, status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json;charset=UTF-8"));
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, max-age=0, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    http::insert(headers, HeaderName::from_static("x-amz-cognito-request-id"), &cx.request.id);
    if let Some(signout) = cx.reply().signout {
        http::insert(headers, HeaderName::from_static("x-cenote-signout"), &signout);
    }
    cors(headers);
    response
}

pub fn cors(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-amz-cognito-request-id,x-cenote-signout,WWW-Authenticate"),
    );
}
