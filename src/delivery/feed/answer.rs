//! The form of the feed's answers and refusals.

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use crate::cx::Cx;
use crate::error::{Error, Kind};
use crate::http;

/// Why somebody gets no frame, snapshot or stream.
#[derive(Debug)]
pub enum Refused {
    /// The request is wrong.
    Invalid(String),
    /// No token came along, nor a certificate.
    NoToken,
    /// The token is not genuine, not alive, or another pool's; or the certificate is not alive.
    BadToken(&'static str),
    /// It may not read the feed.
    NoScope,
    NoPool,
    /// What it knows cannot be continued.
    SnapshotRequired(&'static str),
    /// Too many follow this pool here.
    TooMany(&'static str),
    /// Nothing that could be called fresh can be said now.
    Away(&'static str),
    /// The same, but asking again helps.
    Again(&'static str),
    Other(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        match error.kind {
            Kind::InvalidParameter | Kind::OauthInvalidRequest => {
                Refused::Invalid(error.message.into_owned())
            }
            _ => Refused::Other(error),
        }
    }
}

pub fn write(cx: &Cx, what: &'static str, answer: Result<Response, Refused>) -> Response {
    let response = match answer {
        Ok(response) => {
            // Not logged: every verifier asks every second.
            cx.app.meters.count("feed", what, "ok");
            response
        }
        Err(refused) => refuse(cx, what, refused),
    };
    with_id(cx, response)
}

fn refuse(cx: &Cx, what: &'static str, refused: Refused) -> Response {
    let wait = if matches!(refused, Refused::Again(_)) { "0" } else { "1" };
    let (status, code, description) = match refused {
        Refused::Invalid(why) => (StatusCode::BAD_REQUEST, "invalid_request", why),
        Refused::NoToken => (
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "The revocation feed needs an access token: a client gets one with client_credentials and the scope revocations/read. Or a client certificate, where the operator has set feed_client_ca_file.".into(),
        ),
        Refused::BadToken(why) => (StatusCode::UNAUTHORIZED, "invalid_token", why.into()),
        Refused::NoScope => (
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            "The access token must be a client's own (client_credentials) and have the scope revocations/read.".into(),
        ),
        Refused::NoPool => {
            (StatusCode::NOT_FOUND, "not_found", "There is no such user pool.".into())
        }
        Refused::SnapshotRequired(why) => (StatusCode::GONE, "snapshot_required", why.into()),
        Refused::TooMany(why) => {
            (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable", why.into())
        }
        Refused::Away(why) | Refused::Again(why) => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", why.into())
        }
        Refused::Other(error) => {
            let (status, code) = match error.kind {
                Kind::TooManyRequests | Kind::Conflict => {
                    (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
                }
                Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
            };
            http::log(cx, "feed", what, Some(&error));
            return body(status, code, &error.message, wait);
        }
    };
    tracing::info!(request_id = %cx.request.id, door = "feed", what, ip = %cx.request.ip, error = code, reason = %description, "refused");
    cx.app.meters.count("feed", what, code);
    body(status, code, &description, wait)
}

fn body(
    status: StatusCode,
    code: &'static str,
    description: &str,
    wait_secs: &'static str,
) -> Response {
    let text = json!({ "error": code, "error_description": description }).to_string();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static(wait_secs));
    }
    // RFC 6750, 3.
    let challenge = match status {
        StatusCode::UNAUTHORIZED => Some("Bearer error=\"invalid_token\"".to_owned()),
        StatusCode::FORBIDDEN => {
            Some("Bearer error=\"insufficient_scope\", scope=\"revocations/read\"".to_owned())
        }
        _ => None,
    };
    if let Some(challenge) = challenge {
        http::insert(headers, header::WWW_AUTHENTICATE, &challenge);
    }
    response
}

fn with_id(cx: &Cx, mut response: Response) -> Response {
    let name = HeaderName::from_static("x-amz-cognito-request-id");
    http::insert(response.headers_mut(), name, &cx.request.id);
    response
}

/// 200 with a body of this type.
pub fn ok(kind: &'static str, cache: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
