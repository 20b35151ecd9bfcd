//! Polling a stream (RFC 8936): acknowledging, refusing, and a request that waits until there is something.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::answer::{Done, Refused, add, told, write};
use super::{Delivery, access, signed, stream};
use crate::cx::{App, Cx};
use crate::http;
use crate::pool::Target;
use crate::pool::target::Doc;
use crate::pool::target::stream::{Method, Status};
use crate::store::deliveries::{self, State as Told};
use crate::store::{Batch, targets};
use crate::targets::streams;

const MAX_BODY: usize = 256 << 10;

/// Events of one answer, and what one request may settle.
const MOST_EVENTS: i64 = 100;
const MOST_SETTLED: usize = 1_000;

/// How long a request waits, and how soon it finds what another server wrote.
const WAIT: Duration = Duration::from_secs(30);
const LOOK: Duration = Duration::from_secs(1);

/// Requests that wait at once; one more is answered as it stands.
static WAITING: Semaphore = Semaphore::const_new(500);

/// A poll request (RFC 8936, 2.2).
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Poll {
    max_events: Option<i64>,
    return_immediately: bool,
    ack: Vec<String>,
    set_errs: BTreeMap<String, SetErr>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SetErr {
    err: String,
    description: String,
}

pub async fn poll(
    State(app): State<Arc<App>>,
    Path((pool_id, stream_id)): Path<(String, String)>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = http::read(body, MAX_BODY).await;
    let cx = http::cx(app, &parts);
    let outcome = match body {
        Ok(body) => run(&cx, &pool_id, &stream_id, &parts.headers, &body).await,
        Err(error) => Err(Refused::Other(error)),
    };
    http::log(&cx, "ssf", "poll", told(&outcome).as_ref());
    write(&outcome)
}

async fn run(
    cx: &Cx,
    pool_id: &str,
    stream_id: &str,
    headers: &axum::http::HeaderMap,
    body: &[u8],
) -> Result<Done, Refused> {
    let caller = access::admit(cx, pool_id, headers, false).await?;
    let owner = caller.client.id.as_str();
    let (target, _) = find(cx, pool_id, stream_id, owner).await?;
    stream::seen(cx, &target).await?;
    let asked: Poll = serde_json::from_slice(body).map_err(|_| {
        Refused::invalid(
            "The body is not a JSON object with maxEvents, returnImmediately, ack and setErrs (RFC 8936, 2.2).",
        )
    })?;
    if asked.ack.len() + asked.set_errs.len() > MOST_SETTLED {
        return Err(Refused::invalid("ack and setErrs name more than 1000 events."));
    }
    let most = match asked.max_events {
        None => MOST_EVENTS,
        Some(most) if most < 0 => return Err(Refused::invalid("maxEvents must not be negative.")),
        Some(most) => most.min(MOST_EVENTS),
    };
    settle(cx, &target, &asked).await?;
    if most == 0 {
        return Ok(Done(StatusCode::OK, Some(json!({ "sets": {} }))));
    }
    let mut found = look(cx, pool_id, stream_id, owner, most).await?;
    if found.is_empty()
        && !asked.return_immediately
        && let Ok(_place) = WAITING.try_acquire()
    {
        let lane = streams::lane(&target);
        let mut held = cx.app.wakes.held.listen();
        let wait = async {
            loop {
                // What came before somebody listened is seen now.
                let found = look(cx, pool_id, stream_id, owner, most).await?;
                // A server that stops sends its receivers to another one, which has what they wait for.
                if !found.is_empty() || cx.app.meters.is_draining() {
                    return Ok::<_, Refused>(found);
                }
                // Another server may have written it.
                let _ = tokio::time::timeout(LOOK, held.hears(&lane)).await;
            }
        };
        if let Ok(waited) = tokio::time::timeout(WAIT, wait).await {
            found = waited?;
        }
    }
    let more = found.len() as i64 > most;
    found.truncate(usize::try_from(most).unwrap_or_default());
    let sets = signed(cx, &caller.pool, &found).await?;
    let sets: BTreeMap<String, String> = sets.into_iter().collect();
    let mut answer = json!({ "sets": sets });
    if more {
        add(&mut answer, "moreAvailable", Value::Bool(true));
    }
    Ok(Done(StatusCode::OK, Some(answer)))
}

/// The stream, if this client polls it.
async fn find(
    cx: &Cx,
    pool_id: &str,
    stream_id: &str,
    owner: &str,
) -> Result<(Target, Status), Refused> {
    let target = targets::find(cx.db(), pool_id, stream_id).await?;
    let Some(target) = target else {
        return Err(Refused::NotFound("This client has no stream of that id."));
    };
    match &target.doc {
        Doc::Stream(about) if about.client_id.as_deref() == Some(owner) => {
            let status = about.status;
            match about.method {
                Method::Poll => Ok((target, status)),
                Method::Push => Err(Refused::Conflict("The stream is pushed, not polled.")),
            }
        }
        _ => Err(Refused::NotFound("This client has no stream of that id.")),
    }
}

/// What is to be told now, one more than asked for where there is more. Of a stream that is paused only what is about itself.
async fn look(
    cx: &Cx,
    pool_id: &str,
    stream_id: &str,
    owner: &str,
    most: i64,
) -> Result<Vec<Delivery>, Refused> {
    let (target, status) = find(cx, pool_id, stream_id, owner).await?;
    let lane = streams::lane(&target);
    if status == Status::Enabled {
        return Ok(deliveries::held(cx.db(), &lane, None, most + 1).await?);
    }
    Ok(deliveries::held_of(cx.db(), &lane, "", most + 1).await?)
}

/// Whatever it names that is not held for this stream is nothing.
async fn settle(cx: &Cx, target: &Target, asked: &Poll) -> Result<(), Refused> {
    if asked.ack.is_empty() && asked.set_errs.is_empty() {
        return Ok(());
    }
    let (lane, pool) = (streams::lane(target), target.pool_id.as_str());
    let mut batch = Batch::new();
    for jti in &asked.ack {
        deliveries::settle_held(&mut batch, &lane, (pool, jti), Told::Done, "", cx.now);
    }
    for (jti, said) in &asked.set_errs {
        let text = format!("Its receiver refused it: {} {}", said.err, said.description);
        let text: String = text.chars().filter(|c| !c.is_control()).take(250).collect();
        deliveries::settle_held(&mut batch, &lane, (pool, jti), Told::Dead, text.trim(), cx.now);
    }
    Ok(cx.db().commit(batch).await?)
}
