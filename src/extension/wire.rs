//! HTTP at the extension API: who may, what came, and the one writer of answers and errors.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::call::{Call, Given, Reply};
use super::route::{Route, Takes, Verb};
use super::{BASE, ROUTES, openapi as documented};
use crate::audit::{self, Actor};
use crate::cx::{App, Asked, Cx};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::limits::Limit;
use crate::sigv4;
use crate::store::Batch;

const MAX_BODY: usize = 64 << 10;

const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// The methods of one path, each as its route says.
pub(super) fn at(path: &'static str) -> MethodRouter<Arc<App>> {
    let routes = || ROUTES.iter().filter(move |route| route.path == path);
    let mut methods = MethodRouter::new();
    for route in routes() {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Patch => MethodFilter::PATCH,
            Verb::Delete => MethodFilter::DELETE,
        };
        let serve = move |State(app), path, request| serve(app, route, path, request);
        methods = methods.merge(on(filter, serve));
    }
    let allow = routes().map(|route| route.verb.as_str()).collect::<Vec<_>>().join(", ");
    methods.fallback(move |State(app): State<Arc<App>>, request: Request| async move {
        other_method(app, request, &allow)
    })
}

type Found = Result<Path<BTreeMap<String, String>>, PathRejection>;

async fn serve(app: Arc<App>, route: &'static Route, path: Found, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = http::read(body, MAX_BODY).await;
    let cx = http::cx(app, &parts);
    let answer = match body {
        Ok(body) => answer(&cx, route, &parts, path, &body).await,
        Err(error) => Err(error),
    };
    http::log(&cx, "extension", route.action, answer.as_ref().err());
    write(&cx, answer)
}

async fn answer(
    cx: &Cx,
    route: &'static Route,
    parts: &Parts,
    path: Found,
    body: &Bytes,
) -> Result<Reply> {
    cx.admit_address(Some(route.limit))?;
    http::refuse_foreign_origin(cx, &parts.headers)?;
    let caller = http::caller(cx, parts, body, sigv4::CENOTE).await?;
    let cx = match &caller {
        Some(caller) => cx.clone().signed_by(caller.key_id.clone()),
        None => cx.clone(),
    };
    let Ok(Path(path)) = path else {
        return Err(Error::not_found("The path is not UTF-8."));
    };
    let pool = path.get("pool").cloned().unwrap_or_default();
    let asked =
        Asked { category: route.limit, pool: &pool, client: None, user: None, costly: false };
    cx.admit(&asked)?;
    let target = path.iter().rfind(|(name, _)| *name != "pool").map(|(_, value)| value.clone());
    let allowed = match &caller {
        Some(caller) => caller.check(&cx, &format!("cenote:{}", route.action), Some(&pool)),
        None => Ok(()),
    };
    let given = allowed.and_then(|()| read(route, parts, path, body));
    let answer = match given {
        Ok(given) => {
            let given = Arc::new(given);
            cx.retrying(|cx| (route.run)(Call::new(cx, given.clone()))).await
        }
        Err(refused) => Err(refused),
    };
    if let Err(error) = &answer {
        audit_refusal(&cx, route, [pool, target.unwrap_or_default()], error).await;
    }
    answer
}

/// What the request says, as far as its route tells what it may.
fn read(
    route: &Route,
    parts: &Parts,
    path: BTreeMap<String, String>,
    body: &Bytes,
) -> Result<Given> {
    let mut given = Given { path, ..Given::default() };
    let known = if let Takes::Query(known) = route.takes { known } else { &[] };
    let query = parts.uri.query().unwrap_or_default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !known.contains(&&*name) {
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            return Err(Error::invalid(format!(
                "Unknown query parameter {:?}. Known here: {known}.",
                name.chars().take(64).collect::<String>()
            )));
        }
        if given.query.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return Err(Error::invalid(format!("The query parameter {name} is repeated.")));
        }
    }
    let types: &[&str] = match route.takes {
        Takes::New(_) => &[JSON],
        Takes::Patch(_) => &[MERGE_PATCH, JSON],
        _ => &[],
    };
    if types.is_empty() {
        // Some clients send an empty object with every POST.
        if !body.is_empty() && !parse(body).is_ok_and(|members| members.is_empty()) {
            return Err(Error::invalid("This operation takes no body."));
        }
    } else {
        check_type(&parts.headers, types)?;
        given.body = parse(body)?;
    }
    if matches!(route.takes, Takes::Patch(_) | Takes::Condition) {
        given.if_match = tags(&parts.headers)?;
    }
    Ok(given)
}

fn check_type(headers: &HeaderMap, types: &[&str]) -> Result<()> {
    let given = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or_default());
    let essence = given.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if types.iter().any(|known| essence.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    // In this door's table of statuses it is 415.
    Err(Error::new(
        Kind::UnsupportedOperation,
        format!("The Content-Type must be {}.", types.join(" or ")),
    ))
}

fn parse(body: &Bytes) -> Result<Map<String, Value>> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(Error::invalid("The request body must be a JSON object.")),
        Err(error) => Err(Error::invalid(format!(
            "The request body is not valid JSON: line {}, column {}.",
            error.line(),
            error.column()
        ))),
    }
}

/// The entity tags of `If-Match`. A weak one never matches (RFC 9110, 8.8.3.2), so that it is kept as it is.
fn tags(headers: &HeaderMap) -> Result<Vec<String>> {
    let mut tags = Vec::new();
    for line in headers.get_all(header::IF_MATCH) {
        let line = line.to_str().map_err(|_| Error::invalid("If-Match is not text."))?;
        tags.extend(line.split(',').map(|tag| tag.trim().to_owned()));
    }
    Ok(tags)
}

/// Refusals of what would have changed something, as at the JSON door.
async fn audit_refusal(cx: &Cx, route: &Route, named: [String; 2], error: &Error) {
    let ours = matches!(
        error.kind,
        Kind::Internal | Kind::ServiceUnavailable | Kind::TooManyRequests | Kind::Conflict
    );
    let reply = cx.reply();
    if route.verb == Verb::Get || ours || reply.refusal_audited {
        return;
    }
    // Where it was not looked for, what the path says: only text that can be a name.
    let [pool, target] = named.map(|text| {
        let plain = text.len() <= 128 && text.chars().all(|c| c.is_ascii_graphic());
        if plain { text } else { String::new() }
    });
    let about = reply.about;
    let (pool, target) =
        if about.pool_id.is_empty() { (pool, target) } else { (about.pool_id, about.target) };
    let target = if target.is_empty() { "-" } else { &target };
    let (actor, result) = (Actor::Administrator, error.kind.cognito());
    let mut batch = Batch::new();
    audit::note(&mut batch, cx, &pool, &actor, route.action, target, result, "");
    if let Err(error) = cx.db().commit(batch).await {
        tracing::warn!(request_id = %cx.request.id, ?error, "a refusal was not audited");
    }
}

// What is no operation

/// `GET /_cenote/v1/openapi.json`: it names nobody and nothing of this server, so that anybody may read it.
pub(super) async fn openapi(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let allowed = cx
        .admit_address(Some(Limit::Discovery))
        .and_then(|()| http::refuse_foreign_origin(&cx, &parts.headers));
    let answer = allowed.map(|()| Reply::ok(documented::document(&cx.app.settings.public_url)));
    http::log(&cx, "extension", "OpenApi", answer.as_ref().err());
    write(&cx, answer)
}

pub(super) async fn only_get(State(app): State<Arc<App>>, request: Request) -> Response {
    other_method(app, request, "GET")
}

fn other_method(app: Arc<App>, request: Request, allow: &str) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let error = Error::invalid(format!("This address has {allow} only."));
    http::log(&cx, "extension", "unknown", Some(&error));
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &error);
    http::insert(response.headers_mut(), header::ALLOW, allow);
    finish(&cx, response)
}

pub(super) async fn nothing(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let error = Error::not_found(format!(
        "Nothing is at this address; GET {BASE}/openapi.json lists what there is."
    ));
    http::log(&cx, "extension", "unknown", Some(&error));
    write(&cx, Err(error))
}

// Answers

fn write(cx: &Cx, answer: Result<Reply>) -> Response {
    let response = match answer {
        Ok(reply) => {
            let body = reply.body.map(|body| body.to_string());
            let mut response = Response::new(body.clone().map_or_else(Body::empty, Body::from));
            *response.status_mut() = reply.status;
            let headers = response.headers_mut();
            if body.is_some() {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
            }
            if let Some(etag) = reply.etag {
                http::insert(headers, header::ETAG, &etag);
            }
            if let Some(location) = reply.location {
                http::insert(headers, header::LOCATION, &format!("{BASE}{location}"));
            }
            if let Some(signout) = cx.reply().signout {
                http::insert(headers, HeaderName::from_static("x-cenote-signout"), &signout);
            }
            response
        }
        Err(error) => {
            let (status, word) = status_of(error.kind);
            let mut response = refusal(status, word, &error);
            let headers = response.headers_mut();
            match status {
                StatusCode::UNAUTHORIZED => {
                    headers.insert(
                        header::WWW_AUTHENTICATE,
                        HeaderValue::from_static("AWS4-HMAC-SHA256"),
                    );
                }
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                }
                _ => {}
            }
            response
        }
    };
    finish(cx, response)
}

/// No header lets a page of another origin read any of this.
fn finish(cx: &Cx, mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    http::insert(headers, HeaderName::from_static("x-amzn-requestid"), &cx.request.id);
    response
}

fn refusal(status: StatusCode, word: &str, error: &Error) -> Response {
    let body = json!({ "error": word, "message": error.message }).to_string();
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}

/// How each kind of error looks at this door.
fn status_of(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::ResourceNotFound => (StatusCode::NOT_FOUND, "not_found"),
        Kind::MissingAuthenticationToken
        | Kind::IncompleteSignature
        | Kind::InvalidSignature
        | Kind::UnrecognizedClient => (StatusCode::UNAUTHORIZED, "unauthenticated"),
        Kind::AccessDenied | Kind::Forbidden => (StatusCode::FORBIDDEN, "access_denied"),
        Kind::ConcurrentModification => (StatusCode::PRECONDITION_FAILED, "precondition_failed"),
        Kind::LimitExceeded => (StatusCode::CONFLICT, "limit_exceeded"),
        Kind::OperationNotEnabled => (StatusCode::CONFLICT, "conflict"),
        Kind::RequestEntityTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
        Kind::UnsupportedOperation => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
        }
        Kind::TooManyRequests | Kind::Conflict => {
            (StatusCode::TOO_MANY_REQUESTS, "too_many_requests")
        }
        Kind::ServiceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "server_error"),
        _ => (StatusCode::BAD_REQUEST, "invalid_request"),
    }
}
