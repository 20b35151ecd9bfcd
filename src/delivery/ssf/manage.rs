//! The management of streams by their receivers (SSF 1.0, 8.1): configuration, status, subjects, verification. A client manages the streams
//! that it made, or that the operator gave it, and sees no others.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{Method as Verb, StatusCode};
use axum::response::Response;
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::access::{self, Caller};
use super::answer::{Done, Refused, add, told, write};
use super::{form, stream};
use crate::ambient::SECOND;
use crate::audit::{self, Actor};
use crate::cx::{App, Cx};
use crate::error::{Error, Result};
use crate::pool::target::stream::{MAX_WITHOUT, Status};
use crate::pool::target::{self, Doc, StreamDoc, StreamSecret};
use crate::pool::{Pool, Target};
use crate::store::{Batch, deliveries, pools, targets, users};
use crate::targets::streams;
use crate::tokens::claims;
use crate::{http, ids};

const MAX_BODY: usize = 64 << 10;

/// Streams of one client.
const MAX_OF_A_CLIENT: usize = 10;

const NO_STREAM: &str = "This client has no stream of that id.";

#[derive(Clone, Copy)]
enum What {
    Streams,
    Status,
    AddSubject,
    RemoveSubject,
    Verify,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Streams => "streams",
            What::Status => "status",
            What::AddSubject => "addSubject",
            What::RemoveSubject => "removeSubject",
            What::Verify => "verify",
        }
    }
}

pub async fn streams(app: State<Arc<App>>, pool: Path<String>, request: Request) -> Response {
    serve(app.0, pool.0, request, What::Streams).await
}

pub async fn status(app: State<Arc<App>>, pool: Path<String>, request: Request) -> Response {
    serve(app.0, pool.0, request, What::Status).await
}

pub async fn add_subject(app: State<Arc<App>>, pool: Path<String>, request: Request) -> Response {
    serve(app.0, pool.0, request, What::AddSubject).await
}

pub async fn remove_subject(
    app: State<Arc<App>>,
    pool: Path<String>,
    request: Request,
) -> Response {
    serve(app.0, pool.0, request, What::RemoveSubject).await
}

pub async fn verify(app: State<Arc<App>>, pool: Path<String>, request: Request) -> Response {
    serve(app.0, pool.0, request, What::Verify).await
}

async fn serve(app: Arc<App>, pool_id: String, request: Request, what: What) -> Response {
    let (parts, body) = request.into_parts();
    let body = http::read(body, MAX_BODY).await;
    let cx = http::cx(app, &parts);
    let outcome = match body {
        Ok(body) => {
            let run = |cx: Cx| {
                let (pool_id, parts, body) = (pool_id.clone(), parts.clone(), body.clone());
                async move {
                    // A lost race is run again, any other refusal is the answer.
                    match run(&cx, &pool_id, &parts, &body, what).await {
                        Err(Refused::Other(error)) => Err(error),
                        outcome => Ok(outcome),
                    }
                }
            };
            cx.retrying(run).await.unwrap_or_else(|error| Err(Refused::Other(error)))
        }
        Err(error) => Err(Refused::Other(error)),
    };
    http::log(&cx, "ssf", what.name(), told(&outcome).as_ref());
    write(&outcome)
}

async fn run(
    cx: &Cx,
    pool_id: &str,
    parts: &Parts,
    body: &Bytes,
    what: What,
) -> Result<Done, Refused> {
    let reads = parts.method == Verb::GET || parts.method == Verb::HEAD;
    let caller = access::admit(cx, pool_id, &parts.headers, !reads).await?;
    let query = query(parts)?;
    match what {
        What::Streams if reads => read(cx, &caller, query.as_deref()).await,
        What::Streams if parts.method == Verb::DELETE => {
            delete(cx, &caller, query.as_deref()).await
        }
        What::Streams if parts.method == Verb::POST => create(cx, &caller, &json_of(body)?).await,
        What::Streams => {
            let whole = parts.method == Verb::PUT;
            change(cx, &caller, &json_of(body)?, whole).await
        }
        What::Status if reads => {
            let (target, about) = own(cx, &caller, query.as_deref()).await?;
            stream::seen(cx, &target).await?;
            Ok(Done(StatusCode::OK, Some(status_of(&target, &about))))
        }
        What::Status => set_status(cx, &caller, &json_of(body)?).await,
        What::AddSubject => subject(cx, &caller, &json_of(body)?, true).await,
        What::RemoveSubject => subject(cx, &caller, &json_of(body)?, false).await,
        What::Verify => ask(cx, &caller, &json_of(body)?).await,
    }
}

fn query(parts: &Parts) -> Result<Option<String>, Refused> {
    let query = parts.uri.query().unwrap_or_default();
    let mut found = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "stream_id")
        .map(|(_, value)| value.into_owned());
    match (found.next(), found.next()) {
        (_, Some(_)) => Err(Refused::invalid("stream_id is given more than once.")),
        (found, None) => Ok(found),
    }
}

fn json_of(body: &Bytes) -> Result<Map<String, Value>, Refused> {
    serde_json::from_slice(body).map_err(|_| Refused::invalid("The body is not a JSON object."))
}

/// A stream of the caller's own.
async fn own(cx: &Cx, caller: &Caller, id: Option<&str>) -> Result<(Target, StreamDoc), Refused> {
    let id = id.filter(|id| !id.is_empty());
    let id = id.ok_or_else(|| Refused::invalid("stream_id is missing."))?;
    let target = targets::find(cx.db(), &caller.pool.id, id).await?;
    match target {
        Some(target) => match target.doc.clone() {
            Doc::Stream(about) if about.client_id.as_ref() == Some(&caller.client.id) => {
                Ok((target, about))
            }
            _ => Err(Refused::NotFound(NO_STREAM)),
        },
        None => Err(Refused::NotFound(NO_STREAM)),
    }
}

fn named(body: &Map<String, Value>) -> Option<&str> {
    body.get("stream_id").and_then(Value::as_str)
}

async fn all(cx: &Cx, caller: &Caller) -> Result<Vec<(Target, StreamDoc)>> {
    let limit = target::MAX_OF_A_KIND;
    let all = targets::list(cx.db(), &caller.pool.id, target::Kind::Stream, None, limit).await?;
    let own = all.into_iter().filter_map(|target| match target.doc.clone() {
        Doc::Stream(about) if about.client_id.as_ref() == Some(&caller.client.id) => {
            Some((target, about))
        }
        _ => None,
    });
    Ok(own.collect())
}

async fn read(cx: &Cx, caller: &Caller, id: Option<&str>) -> Result<Done, Refused> {
    let body = match id {
        Some(_) => {
            let (target, about) = own(cx, caller, id).await?;
            stream::seen(cx, &target).await?;
            form::shown(cx, &caller.pool, &target, &about)
        }
        None => {
            let all = all(cx, caller).await?;
            let shown =
                all.iter().map(|(target, about)| form::shown(cx, &caller.pool, target, about));
            Value::Array(shown.collect())
        }
    };
    Ok(Done(StatusCode::OK, Some(body)))
}

async fn create(cx: &Cx, caller: &Caller, body: &Map<String, Value>) -> Result<Done, Refused> {
    let mut about = StreamDoc { client_id: Some(caller.client.id.clone()), ..StreamDoc::default() };
    let mut secret = None;
    form::read(cx, body, &mut about, &mut secret, None, true)?;
    if all(cx, caller).await?.len() >= MAX_OF_A_CLIENT {
        return Err(Refused::Conflict("This client has ten streams already; delete one first."));
    }
    let in_pool = targets::count(cx.db(), &caller.pool.id, target::Kind::Stream).await?;
    if in_pool >= target::MAX_OF_A_KIND {
        return Err(Refused::Conflict("This user pool has 100 streams already."));
    }
    let id = ids::uuid_v4(cx.rng()).to_string();
    let target = Target {
        pool_id: caller.pool.id.clone(),
        secret: sealed(cx, &caller.pool, &id, secret.as_ref())?,
        id,
        doc: Doc::Stream(about.clone()),
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    let mut batch = Batch::new();
    // The counts hold only while the pool's version does, and its client is there.
    pools::hold(&mut batch, &caller.pool);
    pools::touch_client(&mut batch, &caller.client);
    targets::insert(&mut batch, &target)?;
    note(cx, &mut batch, caller, "CreateStream", &target);
    cx.db().commit(batch).await?;
    Ok(Done(StatusCode::CREATED, Some(form::shown(cx, &caller.pool, &target, &about))))
}

fn sealed(
    cx: &Cx,
    pool: &Pool,
    id: &str,
    secret: Option<&StreamSecret>,
) -> Result<Option<Vec<u8>>> {
    secret.map(|secret| crate::targets::seal(cx, &pool.id, id, secret)).transpose()
}

async fn change(
    cx: &Cx,
    caller: &Caller,
    body: &Map<String, Value>,
    whole: bool,
) -> Result<Done, Refused> {
    let (mut target, mut about) = own(cx, caller, named(body)).await?;
    let shown = form::shown(cx, &caller.pool, &target, &about);
    let mut secret = crate::targets::open::<StreamSecret>(cx, &target)?;
    form::read(cx, body, &mut about, &mut secret, Some(&shown), whole)?;
    target.secret = sealed(cx, &caller.pool, &target.id, secret.as_ref())?;
    target.doc = Doc::Stream(about.clone());
    let mut batch = Batch::new();
    targets::update(&mut batch, &target, cx.now, Error::conflict())?;
    streams::settle(cx, &mut batch, &target, &about);
    note(cx, &mut batch, caller, "UpdateStream", &target);
    cx.db().commit(batch).await?;
    Ok(Done(StatusCode::OK, Some(form::shown(cx, &caller.pool, &target, &about))))
}

async fn delete(cx: &Cx, caller: &Caller, id: Option<&str>) -> Result<Done, Refused> {
    let (target, _) = own(cx, caller, id).await?;
    let mut batch = Batch::new();
    targets::delete(&mut batch, &target, Error::conflict());
    streams::bury(cx, &mut batch, &target, "The stream was deleted.");
    note(cx, &mut batch, caller, "DeleteStream", &target);
    cx.db().commit(batch).await?;
    Ok(Done(StatusCode::NO_CONTENT, None))
}

fn status_of(target: &Target, about: &StreamDoc) -> Value {
    let mut status = json!({ "stream_id": target.id, "status": about.status.as_str() });
    if let Some(reason) = &about.reason {
        add(&mut status, "reason", json!(reason));
    }
    status
}

async fn set_status(cx: &Cx, caller: &Caller, body: &Map<String, Value>) -> Result<Done, Refused> {
    let (mut target, mut about) = own(cx, caller, named(body)).await?;
    let status = body.get("status").and_then(Value::as_str).and_then(Status::parse);
    about.status =
        status.ok_or_else(|| Refused::invalid("status must be enabled, paused or disabled."))?;
    about.reason = match body.get("reason") {
        Some(Value::String(reason)) => Some(reason.clone()).filter(|reason| !reason.is_empty()),
        Some(_) => return Err(Refused::invalid("reason must be a text.")),
        None => None,
    };
    about.check()?;
    target.doc = Doc::Stream(about.clone());
    let mut batch = Batch::new();
    targets::update(&mut batch, &target, cx.now, Error::conflict())?;
    streams::settle(cx, &mut batch, &target, &about);
    note(cx, &mut batch, caller, "UpdateStreamStatus", &target);
    cx.db().commit(batch).await?;
    Ok(Done(StatusCode::OK, Some(status_of(&target, &about))))
}

/// All users are subjects; one can be left out, and taken back.
async fn subject(
    cx: &Cx,
    caller: &Caller,
    body: &Map<String, Value>,
    adds: bool,
) -> Result<Done, Refused> {
    let (mut target, mut about) = own(cx, caller, named(body)).await?;
    let sub = whose(cx, caller, body.get("subject").unwrap_or(&Value::Null))?;
    if users::find(cx.db(), &caller.pool.id, &sub).await?.is_none() {
        return Err(Refused::NotFound("The subject is no user of this pool."));
    }
    let was_out = about.without.contains(&sub);
    if adds {
        about.without.retain(|out| *out != sub);
    } else if !was_out {
        if about.without.len() >= MAX_WITHOUT {
            return Err(Refused::Conflict(
                "A stream can leave out 1000 users; leave out by your own filter instead.",
            ));
        }
        about.without.push(sub);
    }
    // What is so already is not written again.
    if was_out == adds {
        target.doc = Doc::Stream(about);
        let mut batch = Batch::new();
        targets::update(&mut batch, &target, cx.now, Error::conflict())?;
        note(cx, &mut batch, caller, if adds { "AddSubject" } else { "RemoveSubject" }, &target);
        cx.db().commit(batch).await?;
    }
    Ok(Done(if adds { StatusCode::OK } else { StatusCode::NO_CONTENT }, None))
}

/// The user that a subject names: by our issuer and the `sub`, alone or in a complex subject.
fn whose(cx: &Cx, caller: &Caller, subject: &Value) -> Result<String, Refused> {
    let text = |name: &str| subject.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("format") {
        "complex" => {
            let user = subject.get("user").filter(|user| user.get("user").is_none());
            let user =
                user.ok_or_else(|| Refused::invalid("A complex subject must have a user."))?;
            if user.get("format").and_then(Value::as_str) == Some("complex") {
                return Err(Refused::invalid("A complex subject is not nested."));
            }
            whose(cx, caller, user)
        }
        "iss_sub" if text("iss") == claims::issuer(&cx.app.settings, &caller.pool) => {
            Ok(text("sub").to_owned())
        }
        "iss_sub" => Err(Refused::NotFound("The subject's iss is not this transmitter.")),
        _ => Err(Refused::invalid(
            "subject must be of the format iss_sub, or complex with such a user.",
        )),
    }
}

async fn ask(cx: &Cx, caller: &Caller, body: &Map<String, Value>) -> Result<Done, Refused> {
    let (mut target, mut about) = own(cx, caller, named(body)).await?;
    let state = match body.get("state") {
        Some(Value::String(state)) if state.len() <= 1_024 => Some(state.as_str()),
        Some(_) => {
            return Err(Refused::invalid("state must be a text of at most 1024 characters."));
        }
        None => None,
    };
    if about.verified_ms.is_some_and(|last| cx.now < last + form::VERIFY_SECS * SECOND) {
        return Err(Refused::TooOften);
    }
    if about.status == Status::Disabled {
        return Err(Refused::Conflict("The stream is disabled; enable it first."));
    }
    // Nobody fetches them, so one more would prove nothing.
    let lane = streams::lane(&target);
    if deliveries::count_held(cx.db(), &lane, super::MOST_HELD).await? >= super::MOST_HELD {
        return Err(Refused::Conflict(
            "10000 events wait in the stream already; acknowledge some first.",
        ));
    }
    about.verified_ms = Some(cx.now);
    target.doc = Doc::Stream(about.clone());
    let mut batch = Batch::new();
    targets::update(&mut batch, &target, cx.now, Error::conflict())?;
    let iss = claims::issuer(&cx.app.settings, &caller.pool);
    streams::verification(cx, &mut batch, &iss, &target, &about, state);
    cx.db().commit(batch).await?;
    Ok(Done(StatusCode::NO_CONTENT, None))
}

fn note(cx: &Cx, batch: &mut Batch, caller: &Caller, action: &'static str, target: &Target) {
    let detail = format!("by client {}", caller.client.id);
    audit::note(batch, cx, &caller.pool.id, &Actor::Anybody, action, &target.id, "ok", &detail);
}
