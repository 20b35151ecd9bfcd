//! `GET /{pool}/sign-outs/{id}`: who has learned of a sign-out, who has not, and until when anyone is still exposed. A receipt is read
//! from the records and their projections each time; it is nowhere kept.

mod exposure;
mod gather;
mod reader;
mod show;

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use uuid::Uuid;

use crate::ambient::{Ms, SECOND};
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::limits::Limit;
use crate::site::{self, Params, Place};
use gather::Gathered;

const MAX_QUERY: usize = 1 << 10;

/// The longest that a caller can wait.
const MAX_WAIT_S: i64 = 30;

/// From one look to the next, while somebody waits: at first soon, then less often.
const FIRST_PAUSE_MS: Ms = 20;
const LAST_PAUSE_MS: Ms = 1_000;

/// How many wait at once, at most. Beyond that a receipt is answered as it stands.
static WAITING: Semaphore = Semaphore::const_new(512);

pub async fn get(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let answer = match cx.admit_address(Some(Limit::UserResourceRead)) {
        Ok(()) => answer(&cx.clone().of(Limit::UserResourceRead), &parts).await,
        Err(refused) => Err(refused),
    };
    http::log(&cx, "delivery", "GetSignOut", answer.as_ref().err());
    // In dev nothing is verified but tokens: without one, pages of other origins must not read the answer.
    let readable = http::bearer(&parts.headers).is_some() || !cx.app.settings.dev;
    write(&cx, answer, readable)
}

/// A page that sends a token asks first. The same for all, so that it tells nothing.
pub async fn preflight() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    readable(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET,OPTIONS"));
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static(
            "authorization,x-amz-date,x-amz-security-token,x-amz-content-sha256",
        ),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("3600"));
    response
}

async fn answer(cx: &Cx, parts: &Parts) -> Result<Value> {
    let asked = Asked::of(cx, parts).await?;
    let reader = reader::of(cx, parts, &asked.pool_id).await?;
    // Read for everybody: whether there is such a sign-out must not be told by the work that a refusal takes.
    let records = gather::records(cx, &asked.pool_id, &asked.signout_id).await?;
    if !reader.may_see(&records) {
        return Err(nothing_here());
    }
    let mut gathered = Gathered::of(cx, &asked, records).await?;
    let mut waited = 0;
    if asked.wait_ms > 0
        && !gathered.is_settled(cx.now)
        && let Ok(_place) = WAITING.try_acquire()
    {
        let mut pause = FIRST_PAUSE_MS;
        // A server that was told to stop does not wait: the caller asks another one.
        while waited < asked.wait_ms
            && !gathered.is_settled(cx.now + waited)
            && !cx.app.meters.is_draining()
        {
            let next = pause.min(asked.wait_ms - waited);
            wait(next).await;
            waited += next;
            pause = (pause * 2).min(LAST_PAUSE_MS);
            let records = gather::records(cx, &asked.pool_id, &asked.signout_id).await?;
            gathered = Gathered::of(cx, &asked, records).await?;
        }
    }
    Ok(show::receipt(&gathered, &reader, cx.now + waited))
}

async fn wait(ms: Ms) {
    let pause = Duration::from_millis(ms.unsigned_abs());
    #[allow(clippy::disallowed_methods, reason = "the caller asked us to wait; no worker does")]
    tokio::time::sleep(pause).await;
}

/// Which sign-out, of which pool.
pub struct Asked {
    pub pool_id: String,
    pub signout_id: String,
    wait_ms: Ms,
}

impl Asked {
    async fn of(cx: &Cx, parts: &Parts) -> Result<Asked> {
        let mut path = parts.uri.path().rsplit('/');
        let id = path.next().unwrap_or_default();
        let pool_id = match path.nth(1) {
            // In front of the path, wherever the issuer is.
            Some(pool_id) if !pool_id.is_empty() => pool_id.to_owned(),
            _ => match site::place(cx, parts.uri.path()).await? {
                Place::Domain(domain) => domain.pool_id,
                Place::Path(_) | Place::Bare => return Err(nothing_here()),
            },
        };
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > MAX_QUERY {
            return Err(Error::invalid("The query is too long: there is one parameter, wait."));
        }
        // What cannot be an id is looked up like any other that there is not.
        let signout_id = Uuid::try_parse(id).unwrap_or_default().to_string();
        let wait_ms = wait_of(&Params::parse(query)?)?;
        Ok(Asked { pool_id, signout_id, wait_ms })
    }
}

fn wait_of(query: &Params) -> Result<Ms> {
    let Some(text) = query.get("wait") else { return Ok(0) };
    let digits = text.len() <= 9 && text.bytes().all(|c| c.is_ascii_digit());
    match text.parse::<i64>() {
        Ok(seconds) if digits => Ok(seconds.min(MAX_WAIT_S) * SECOND),
        _ => Err(Error::invalid(
            "wait must be a whole number of seconds, 0 to 30: how long to wait until everyone has learned of the sign-out.",
        )),
    }
}

/// For everybody who may not see it, and for what there is not.
fn nothing_here() -> Error {
    Error::not_found(
        "There is no such sign-out here, or this caller may not see it. A receipt is read by a request that is signed with an access key \
         which allows cenote:GetSignOut on this pool, or with an access token of the user whom it concerns (Authorization: Bearer) from a \
         sign-in that came after the sign-out.",
    )
}

fn write(cx: &Cx, answer: Result<Value>, is_readable: bool) -> Response {
    let (status, body) = match answer {
        Ok(receipt) => (StatusCode::OK, receipt),
        Err(error) => {
            let (status, code) = match error.kind {
                Kind::ServiceUnavailable => {
                    (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
                }
                Kind::TooManyRequests => (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable"),
                Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
                Kind::InvalidParameter => (StatusCode::BAD_REQUEST, "invalid_request"),
                Kind::Forbidden => (StatusCode::FORBIDDEN, "access_denied"),
                _ => (StatusCode::NOT_FOUND, "not_found"),
            };
            let message = match status {
                StatusCode::NOT_FOUND => nothing_here().message,
                _ => error.message,
            };
            (status, json!({ "error": code, "error_description": message }))
        }
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    http::insert(headers, HeaderName::from_static("x-amzn-requestid"), &cx.request.id);
    if is_readable {
        readable(headers);
    }
    response
}

fn readable(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("x-amzn-requestid,Retry-After"),
    );
}
