//! A provider sends security events (push, RFC 8935) or asks for Global Token Revocation. What they mean and end is
//! `federation::events`'.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::logout_inward::{finish, openid_provider, provider_in, said, status, visit};
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::federation::events::{self, Asked, Code, Refused};
use crate::federation::sign_out::inward::{self, Message};
use crate::http;
use crate::pool::Provider;
use crate::pool::provider::Kind as ProviderKind;

/// A SET has a few claims and a signature.
const MAX_SET: usize = 64 << 10;
/// `sub_id` and nothing else.
const MAX_REVOCATION: usize = 16 << 10;

const REVOCATION: &str = "/global-token-revocation";

/// What came of a request that reached a pool.
type Outcome = std::result::Result<StatusCode, Refused>;

/// `POST /federation/{provider}/set`.
pub async fn security_event(
    State(app): State<Arc<App>>,
    Path(path): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = http::read(body, MAX_SET).await;
    let cx = http::cx(app, &parts);
    let name = provider_in(path);
    let outcome = match body {
        Ok(body) => cx.retrying(|cx| take(cx, parts.clone(), body.clone(), name.clone())).await,
        Err(error) => Err(error),
    };
    log(&cx, "securityEvent", &outcome);
    let (status, err, why) = match outcome {
        Ok(Ok(status)) => return finish(&cx, status, "text/plain; charset=utf-8", String::new()),
        Ok(Err(refused)) => {
            let status = match refused.code {
                Code::Away => StatusCode::SERVICE_UNAVAILABLE,
                Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, refused.code.as_str(), format!("The event was refused: {}.", refused.why))
        }
        Err(error) => (status(&error), code(&error), said(&error)),
    };
    let body = json!({ "err": err, "description": why });
    let mut response = finish(&cx, status, "application/json", body.to_string());
    response.headers_mut().insert(header::CONTENT_LANGUAGE, HeaderValue::from_static("en"));
    response
}

/// A SET that was taken before is taken again: whoever sends it lost our answer (RFC 8935, 2).
async fn take(cx: Cx, parts: Parts, body: Bytes, name: String) -> Result<Outcome> {
    let kind = content_type(&parts.headers);
    let visit = visit(cx, parts, None).await?;
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let provider = openid_provider(&visit, &name).await?;
    if matches!(provider.kind, ProviderKind::Facebook | ProviderKind::LoginWithAmazon) {
        return Err(Error::not_found(format!("{name} has no keys to sign events with.")));
    }
    let refuse = |why: &'static str| Ok(Err(Refused { code: Code::Request, why: why.into() }));
    if kind != "application/secevent+jwt" {
        return refuse("the Content-Type must be application/secevent+jwt");
    }
    let Ok(token) = std::str::from_utf8(&body) else { return refuse("it is no text") };
    let event = match events::believe(cx, &provider, token.trim()).await {
        Ok(event) => event,
        Err(refused) => {
            tracing::warn!(
                pool = pool.id,
                provider = provider.name,
                request = cx.request.id,
                why = %refused.why,
                "a security event of an identity provider was refused"
            );
            return Ok(Err(refused));
        }
    };
    // The verification of a stream, and what is none of our business.
    if event.is_silent() {
        return Ok(Ok(StatusCode::ACCEPTED));
    }
    let endings = event.endings(cx, pool, &provider).await?;
    let message = Message { kind: "set", id: &event.jti, until_ms: event.until_ms };
    match events::end(cx, pool, &[&provider], &endings, &message, event.reason()).await {
        Err(error) if !inward::is_replay(&error) => Err(error),
        _ => Ok(Ok(StatusCode::ACCEPTED)),
    }
}

/// `POST /global-token-revocation`.
pub async fn global_token_revocation(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = http::read(body, MAX_REVOCATION).await;
    let cx = http::cx(app, &parts);
    let outcome = match body {
        Ok(body) => cx.retrying(|cx| revoke(cx, parts.clone(), body.clone())).await,
        Err(error) => Err(error),
    };
    log(&cx, "globalTokenRevocation", &outcome);
    let (status, error, why) = match outcome {
        Ok(Ok(StatusCode::NOT_FOUND)) => (
            StatusCode::NOT_FOUND,
            "not_found",
            "Nobody who signs in through this provider is called so.".to_owned(),
        ),
        Ok(Ok(status)) => return finish(&cx, status, "text/plain; charset=utf-8", String::new()),
        Ok(Err(Refused { code, why })) => match code {
            Code::Away => (StatusCode::SERVICE_UNAVAILABLE, code.as_str(), why.into_owned()),
            Code::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                code.as_str(),
                "Something went wrong.".to_owned(),
            ),
            Code::Request => (StatusCode::BAD_REQUEST, code.as_str(), why.into_owned()),
            Code::Key | Code::Issuer | Code::Audience => {
                let why = format!("The token in the Authorization header was refused: {why}.");
                (StatusCode::UNAUTHORIZED, "invalid_token", why)
            }
        },
        Err(error) if inward::is_replay(&error) => {
            (StatusCode::UNAUTHORIZED, "invalid_token", said(&error))
        }
        Err(error) => (status(&error), code(&error), said(&error)),
    };
    let body = json!({ "error": error, "error_description": why });
    let mut response = finish(&cx, status, "application/json", body.to_string());
    if status == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

async fn revoke(cx: Cx, parts: Parts, body: Bytes) -> Result<Outcome> {
    let (kind, token) = (content_type(&parts.headers), http::bearer(&parts.headers));
    let token = token.map(str::to_owned);
    let visit = visit(cx, parts, None).await?;
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let Some(token) = token else {
        let why = "it is missing; send Authorization: Bearer and a token that your provider signed";
        return Ok(Err(Refused { code: Code::Key, why: why.into() }));
    };
    let asked =
        match events::verify(cx, pool, &token, &format!("{}{REVOCATION}", visit.site.base)).await {
            Ok(asked) => asked,
            Err(refused) => return Ok(Err(refused)),
        };
    if kind != "application/json" {
        let why = "The Content-Type must be application/json.";
        return Ok(Err(Refused { code: Code::Request, why: why.into() }));
    }
    let subject = match Asked::subject(&body) {
        Ok(subject) => subject,
        Err(refused) => return Ok(Err(refused)),
    };
    let message =
        Message { kind: "global_token_revocation", id: &asked.jti, until_ms: asked.until_ms };
    let mut endings = Vec::new();
    for provider in &asked.providers {
        endings.extend(asked.endings(cx, pool, provider, &subject).await?);
    }
    let providers: Vec<&Provider> = asked.providers.iter().collect();
    events::end(cx, pool, &providers, &endings, &message, message.kind).await?;
    Ok(Ok(if endings.is_empty() { StatusCode::NOT_FOUND } else { StatusCode::NO_CONTENT }))
}

fn log(cx: &Cx, what: &'static str, outcome: &Result<Outcome>) {
    let error = match outcome {
        Ok(Ok(_)) => None,
        Ok(Err(refused)) => Some(match refused.code {
            Code::Away => Error::new(Kind::ServiceUnavailable, refused.why.clone()),
            Code::Internal => Error::internal(refused.why.clone().into_owned()),
            _ => Error::invalid(refused.why.clone()),
        }),
        Err(error) => Some(error.clone()),
    };
    http::log(cx, "hosted", what, error.as_ref());
}

/// Of what is not about the event itself.
fn code(error: &Error) -> &'static str {
    match error.kind {
        Kind::ServiceUnavailable => Code::Away.as_str(),
        Kind::Internal => Code::Internal.as_str(),
        _ => Code::Request.as_str(),
    }
}

/// The media type without its parameters.
fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}
