//! The token of a request, and what a refusal looks like on the wire (RFC 6750; `max_age` as in RFC 9470).

use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::token::Refusal;

/// Of the one `Authorization` header of a request. Two of them could be read as one here and as the other behind us.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (header, None) = (all.next()?, all.next()) else { return None };
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim_ascii())
}

impl Refusal {
    pub fn status(self) -> StatusCode {
        match self {
            Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Refusal::Scope => StatusCode::FORBIDDEN,
            _ => StatusCode::UNAUTHORIZED,
        }
    }

    /// For a program: RFC 6750, 3.1.
    pub fn error(self) -> &'static str {
        match self {
            Refusal::Unavailable => "temporarily_unavailable",
            Refusal::Scope => "insufficient_scope",
            Refusal::Missing => "invalid_request",
            _ => "invalid_token",
        }
    }

    /// For a person.
    pub fn description(self) -> &'static str {
        match self {
            Refusal::Missing => "a bearer token is needed, and one only",
            Refusal::Malformed => "the token is malformed",
            Refusal::UnknownKey => "the token was signed by an unknown key",
            Refusal::Signature => "the token's signature is wrong",
            Refusal::Issuer => "the token is from another issuer",
            Refusal::TokenUse => "the token is for another use",
            Refusal::Client => "the token is for another client",
            Refusal::Expired => "the token has expired",
            Refusal::Revoked => "session revoked",
            Refusal::Unavailable => "it cannot be told now whether the session was revoked",
            Refusal::Scope => "the token lacks a scope",
        }
    }

    /// The `WWW-Authenticate` header, if the answer has one.
    pub fn challenge(self) -> Option<HeaderValue> {
        let challenge = match self {
            Refusal::Unavailable => return None,
            // RFC 6750, 3: who sent no token learns no error.
            Refusal::Missing => "Bearer".to_owned(),
            // A refresh does not help, signing in again does: without it clients go round in circles.
            Refusal::Revoked => {
                r#"Bearer error="invalid_token", error_description="session revoked", max_age=0"#
                    .to_owned()
            }
            _ => format!(
                r#"Bearer error="{}", error_description="{}""#,
                self.error(),
                self.description()
            ),
        };
        HeaderValue::try_from(challenge).ok()
    }

    pub fn response<B: From<String>>(self) -> Response<B> {
        let (error, description) = (self.error(), self.description());
        let body = format!(r#"{{"error":"{error}","error_description":"{description}"}}"#);
        let mut response = Response::new(B::from(body));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.challenge() {
            Some(challenge) => headers.insert(WWW_AUTHENTICATE, challenge),
            None => headers.insert(RETRY_AFTER, HeaderValue::from_static("1")),
        };
        response
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.description())
    }
}

impl std::error::Error for Refusal {}
