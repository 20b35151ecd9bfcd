//! How streams answer: JSON, and errors in the words of RFC 6750 and OAuth 2.0.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::error::{Error, Kind};

/// What was asked and done; `None` has no body.
pub struct Done(pub StatusCode, pub Option<Value>);

/// Why not.
pub enum Refused {
    NoToken,
    BadToken(&'static str),
    NoScope,
    NotFound(&'static str),
    Conflict(&'static str),
    TooOften,
    Other(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Other(error)
    }
}

impl Refused {
    pub fn invalid(why: impl Into<std::borrow::Cow<'static, str>>) -> Refused {
        Refused::Other(Error::invalid(why))
    }
}

pub fn write(outcome: &Result<Done, Refused>) -> Response {
    let refused = match outcome {
        Ok(Done(status, Some(body))) => return respond(*status, Some(body)),
        Ok(Done(status, None)) => return respond(*status, None),
        Err(refused) => refused,
    };
    let (status, error, why): (StatusCode, &str, &str) = match refused {
        Refused::NoToken => (
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "Send Authorization: Bearer and an access token that the app client got for itself (client_credentials).",
        ),
        Refused::BadToken(why) => (StatusCode::UNAUTHORIZED, "invalid_token", why),
        Refused::NoScope => (
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            "The access token must be a client's own and have the scope ssf.manage, or, for reading and polling, ssf.read.",
        ),
        Refused::NotFound(why) => (StatusCode::NOT_FOUND, "not_found", why),
        Refused::Conflict(why) => (StatusCode::CONFLICT, "conflict", why),
        Refused::TooOften => (
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            "A verification may be asked for once in min_verification_interval seconds.",
        ),
        Refused::Other(error) => of(error),
    };
    let mut response = respond(status, Some(&json!({ "error": error, "error_description": why })));
    let headers = response.headers_mut();
    let challenge = match status {
        StatusCode::UNAUTHORIZED if matches!(refused, Refused::NoToken) => Some("Bearer"),
        StatusCode::UNAUTHORIZED => Some("Bearer error=\"invalid_token\""),
        StatusCode::FORBIDDEN => {
            Some("Bearer error=\"insufficient_scope\", scope=\"ssf.manage ssf.read\"")
        }
        _ => None,
    };
    if let Some(challenge) = challenge {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    match refused {
        Refused::TooOften => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("60"));
        }
        _ if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        _ => {}
    }
    response
}

fn of(error: &Error) -> (StatusCode, &'static str, &str) {
    match error.kind {
        Kind::ServiceUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", &error.message)
        }
        Kind::Internal => {
            (StatusCode::INTERNAL_SERVER_ERROR, "server_error", "Something went wrong.")
        }
        Kind::RequestEntityTooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, "invalid_request", &error.message)
        }
        Kind::ResourceNotFound => (StatusCode::NOT_FOUND, "not_found", &error.message),
        Kind::TooManyRequests | Kind::Conflict => {
            (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", &error.message)
        }
        _ => (StatusCode::BAD_REQUEST, "invalid_request", &error.message),
    }
}

/// One member more of an object.
pub fn add(to: &mut Value, name: &str, member: Value) {
    if let Some(members) = to.as_object_mut() {
        members.insert(name.to_owned(), member);
    }
}

pub fn respond(status: StatusCode, body: Option<&Value>) -> Response {
    let text = body.map(Value::to_string).unwrap_or_default();
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if body.is_some() {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The same in the log.
pub fn told(outcome: &Result<Done, Refused>) -> Option<Error> {
    match outcome {
        Ok(_) => None,
        Err(Refused::Other(error)) => Some(error.clone()),
        Err(Refused::NotFound(why)) => Some(Error::not_found(*why)),
        Err(Refused::BadToken(why) | Refused::Conflict(why)) => Some(Error::invalid(*why)),
        Err(Refused::NoToken | Refused::NoScope) => {
            Some(Error::not_authorized("no token or scope"))
        }
        Err(Refused::TooOften) => {
            Some(Error::new(Kind::TooManyRequests, "verifications too often"))
        }
    }
}
