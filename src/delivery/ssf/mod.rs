//! The Shared Signals Framework 1.0, as transmitter: event streams that receivers subscribe to, pushed (RFC 8935) or polled (RFC 8936).
//! What a record becomes is `event`'s, what a receiver may ask `manage`'s and `poll`'s.

mod access;
mod answer;
mod discovery;
mod event;
mod form;
mod manage;
mod poll;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use serde_json::{Map, Value};

pub use self::stream::tend;
use super::outbox::{Delivery, Kind, NewDelivery, Outcome, State, judge};
use crate::ambient::{HOUR, Ms};
use crate::cx::{App, Cx};
use crate::error::{Error, Result};
use crate::outgoing::Request;
use crate::pool::target::stream::{Method, Status};
use crate::pool::target::{Doc, StreamDoc, StreamSecret};
use crate::pool::{Pool, Target};
use crate::store::deliveries;
use crate::store::records::Recorded;
use crate::tokens::mint;

/// What is held for one stream, and for how long nobody may have come for it. Then it is paused.
const MOST_HELD: i64 = 10_000;
pub const INACTIVE_MS: Ms = 7 * 24 * HOUR;

/// How long one that was just enabled may take to begin with what waits for it.
const GRACE_MS: Ms = HOUR;

/// A stream that has taken nothing for so long is paused before what it was to be told would be given up.
const PAUSE_AFTER_MS: Ms = 20 * HOUR;

/// Where a transmitter's configuration is, where streams are managed, and where they are polled.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/.well-known/ssf-configuration/{pool}", get(discovery::configuration))
        .route("/{pool}/.well-known/ssf-configuration", get(discovery::configuration))
        .route(
            "/{pool}/ssf/streams",
            get(manage::streams)
                .post(manage::streams)
                .patch(manage::streams)
                .put(manage::streams)
                .delete(manage::streams),
        )
        .route("/{pool}/ssf/status", get(manage::status).post(manage::status))
        .route("/{pool}/ssf/subjects/add", post(manage::add_subject))
        .route("/{pool}/ssf/subjects/remove", post(manage::remove_subject))
        .route("/{pool}/ssf/verify", post(manage::verify))
        .route("/{pool}/ssf/poll/{stream}", post(poll::poll))
}

/// A row for each event that a stream is told of this record.
pub async fn expand(
    cx: &Cx,
    pool: &Pool,
    targets: &[Target],
    record: &Recorded,
) -> Result<Vec<NewDelivery>> {
    let is_stream = |target: &&Target| matches!(target.doc, Doc::Stream(_));
    let mut streams = targets.iter().filter(is_stream).peekable();
    if streams.peek().is_none() {
        return Ok(Vec::new());
    }
    let events = event::of(cx, pool, record);
    if events.is_empty() {
        return Ok(Vec::new());
    }
    let mut rows = Vec::new();
    for target in streams {
        let Doc::Stream(about) = &target.doc else { continue };
        let is_left_out = record.sub.as_ref().is_some_and(|sub| about.without.contains(sub));
        if about.status == Status::Disabled
            || is_left_out
            || !stream::has_client(cx, pool, about).await?
        {
            continue;
        }
        let (state, detail) = held_or_sent(cx, pool, target, about).await?;
        for event in events.iter().filter(|event| about.is_told(event.uri)) {
            rows.push(NewDelivery {
                kind: Kind::Ssf,
                target: target.id.clone(),
                // Two events may come of one record.
                sid: event.name.to_owned(),
                sub: record.sub.clone().unwrap_or_default(),
                doc: event.claims(about.audience()).to_string(),
                state,
                detail: detail.to_owned(),
            });
        }
    }
    Ok(rows)
}

/// Whether an event waits for its receiver, is sent, or is one too many.
async fn held_or_sent(
    cx: &Cx,
    pool: &Pool,
    target: &Target,
    about: &StreamDoc,
) -> Result<(State, &'static str)> {
    if about.method == Method::Push && about.status == Status::Enabled {
        return Ok((State::Pending, ""));
    }
    let lane = deliveries::lane(Kind::Ssf, &pool.id, &target.id);
    if about.status == Status::Enabled {
        let oldest = deliveries::held(cx.db(), &lane, None, 1).await?;
        let unread = oldest.first().is_some_and(|first| first.created_ms + INACTIVE_MS <= cx.now);
        // One that was enabled again has as long to fetch what waited for it.
        if unread && target.modified_ms + INACTIVE_MS <= cx.now {
            stream::pause(cx, target, "Nobody has polled it for seven days.").await?;
        }
    }
    if deliveries::count_held(cx.db(), &lane, MOST_HELD).await? < MOST_HELD {
        return Ok((State::Held, ""));
    }
    if about.status == Status::Enabled && target.modified_ms + GRACE_MS <= cx.now {
        stream::pause(cx, target, "10000 events wait, and nobody polls them.").await?;
    }
    Ok((State::NotPossible, "10000 events wait for the receiver of this stream already."))
}

/// Pushes one event.
pub async fn attempt(cx: &Cx, pool: &Pool, delivery: &Delivery) -> Outcome {
    match push(cx, pool, delivery).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(?error, delivery = delivery.id, "an event cannot be sent");
            Outcome::ours(&error)
        }
    }
}

async fn push(cx: &Cx, pool: &Pool, delivery: &Delivery) -> Result<Outcome> {
    let Some(target) = crate::store::targets::find(cx.db(), &pool.id, &delivery.target).await?
    else {
        return Ok(Outcome::dead("The stream was deleted."));
    };
    let Doc::Stream(about) = &target.doc else {
        return Ok(Outcome::dead("The target is no event stream."));
    };
    if !stream::has_client(cx, pool, about).await? {
        return Ok(Outcome::dead("The app client of the stream was deleted."));
    }
    let own = is_about_stream(delivery);
    let (Method::Push, Some(url)) = (about.method, &about.endpoint_url) else {
        return Ok(Outcome::Held);
    };
    match about.status {
        Status::Disabled => return Ok(Outcome::dead("The stream is disabled.")),
        Status::Paused if !own => return Ok(Outcome::Held),
        Status::Paused | Status::Enabled => {}
    }
    let set = signed(cx, pool, std::slice::from_ref(delivery)).await?.pop();
    let (_, set) = set.ok_or_else(|| Error::internal("an event was not signed"))?;
    let mut request = Request::post(url, "application/secevent+jwt", set)
        .header("accept", "application/json")
        .status_only();
    if let Some(secret) = crate::targets::open::<StreamSecret>(cx, &target)? {
        request = request.header("authorization", secret.authorization_header);
    }
    let outcome = judge(&cx.app.outgoing.send(request).await, cx.now);
    if matches!(outcome, Outcome::Retry { .. })
        && !own
        && delivery.since_ms + PAUSE_AFTER_MS <= cx.now
    {
        stream::pause(cx, &target, "Its receiver has taken nothing for twenty hours.").await?;
        return Ok(Outcome::Held);
    }
    Ok(outcome)
}

/// Of the stream itself, not of a sign-out: told also while it is paused.
fn is_about_stream(delivery: &Delivery) -> bool {
    delivery.signout_id.is_empty()
}

/// The events as they are sent, each with its `jti`: always the same, however often it is sent (RFC 8935, 2).
async fn signed(cx: &Cx, pool: &Pool, events: &[Delivery]) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for delivery in events {
        let mut claims: Map<String, Value> =
            serde_json::from_str(&delivery.doc).map_err(Error::internal)?;
        claims.insert("jti".to_owned(), Value::String(delivery.id.clone()));
        all.push((delivery.id.clone(), Value::Object(claims)));
    }
    if all.is_empty() {
        return Ok(Vec::new());
    }
    mint::sign(cx, pool, move |keys| {
        all.into_iter()
            .map(|(jti, claims)| Ok((jti, keys.id()?.sign_typed("secevent+jwt", &claims)?)))
            .collect()
    })
    .await
}
