//! What happens to a stream: events about itself, pausing and going on.

use serde_json::json;

use super::answer::add;
use super::event::{self, STREAM_UPDATED, VERIFICATION};
use super::{Delivery, Kind, State};
use crate::ambient::{MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::ids;
use crate::pool::target::Doc;
use crate::pool::target::StreamDoc;
use crate::pool::target::stream::{Method, Status};
use crate::pool::{Pool, Target};
use crate::store::{Batch, deliveries, targets};

pub fn lane(target: &Target) -> String {
    deliveries::lane(Kind::Ssf, &target.pool_id, &target.id)
}

/// What was written as held while its stream was enabled, changed or deleted by somebody else is found this soon.
const EVERY_MS: Ms = MINUTE;
const LANES: i64 = 500;

/// Sends what is held for streams that are pushed and enabled, and buries what is held for those that are gone.
pub async fn tend(cx: Cx) -> Result<Ms> {
    let mut after = String::new();
    loop {
        let found = deliveries::held_lanes(cx.db(), &after, LANES).await?;
        let Some(last) = found.last() else { return Ok(cx.now + EVERY_MS) };
        after = last.lane();
        for held in found {
            let lane = held.lane();
            let mut batch = Batch::new();
            match now(&cx, &held).await? {
                Now::Waits => continue,
                Now::Sent => deliveries::send_held(&mut batch, &lane, cx.now),
                Now::Gone(why) => deliveries::bury_held(&mut batch, &lane, why, cx.now),
            }
            cx.db().commit(batch).await?;
        }
    }
}

/// What is to become of what is held for a stream.
enum Now {
    Waits,
    Sent,
    /// Nobody will fetch it, and why.
    Gone(&'static str),
}

async fn now(cx: &Cx, held: &Delivery) -> Result<Now> {
    // With a pool its streams go, sooner or later.
    let Some(pool) = cx.app.directory.pool(cx.db(), &held.pool_id).await? else {
        return Ok(Now::Gone("The user pool was deleted, and its keys with it."));
    };
    let target = targets::find(cx.db(), &held.pool_id, &held.target).await?;
    let Some(Target { doc: Doc::Stream(about), .. }) = target else {
        return Ok(Now::Gone("The stream was deleted."));
    };
    if !has_client(cx, &pool, &about).await? {
        return Ok(Now::Gone("The app client of the stream was deleted."));
    }
    Ok(match (about.status, about.method) {
        (Status::Disabled, _) => Now::Gone("The stream was disabled."),
        (Status::Enabled, Method::Push) => Now::Sent,
        _ => Now::Waits,
    })
}

/// A stream ends with the app client that it is for: whoever that was is told nothing more.
pub async fn has_client(cx: &Cx, pool: &Pool, about: &StreamDoc) -> Result<bool> {
    let Some(client_id) = &about.client_id else { return Ok(true) };
    let found = cx.app.directory.client(cx.db(), client_id).await?;
    Ok(found.is_some_and(|(of, _)| of.id == pool.id))
}

/// Pauses a stream that nobody reads, and says so on it. Of several servers that find it one does; whoever changed it meanwhile is right.
pub async fn pause(cx: &Cx, target: &Target, why: &str) -> Result<()> {
    let Doc::Stream(about) = &target.doc else { return Ok(()) };
    let Some(pool) = cx.app.directory.pool(cx.db(), &target.pool_id).await? else { return Ok(()) };
    let about = StreamDoc { status: Status::Paused, reason: Some(why.to_owned()), ..about.clone() };
    let mut batch = Batch::new();
    updated(cx, &mut batch, &pool, target, &about);
    let paused = Target { doc: Doc::Stream(about), ..target.clone() };
    targets::update(&mut batch, &paused, cx.now, Error::conflict())?;
    audit::note(&mut batch, cx, &pool.id, &Actor::Operator, "PauseStream", &target.id, "ok", why);
    match cx.db().commit(batch).await {
        Err(error) if error.is_conflict() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            tracing::warn!(pool = pool.id, stream = target.id, why, "an event stream was paused");
            Ok(())
        }
    }
}

/// Adds the event that says what the stream's status is now (SSF 1.0, 8.1.5).
pub fn updated(cx: &Cx, batch: &mut Batch, pool: &Pool, target: &Target, about: &StreamDoc) {
    let mut payload = json!({ "status": about.status.as_str() });
    if let Some(reason) = &about.reason {
        add(&mut payload, "reason", json!(reason));
    }
    tell(cx, batch, pool, target, about, STREAM_UPDATED, &payload);
}

/// Adds the event by which a receiver sees that its stream works.
pub fn verification(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    target: &Target,
    about: &StreamDoc,
    state: Option<&str>,
) {
    let payload = match state {
        Some(state) => json!({ "state": state }),
        None => json!({}),
    };
    tell(cx, batch, pool, target, about, VERIFICATION, &payload);
}

fn tell(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    target: &Target,
    about: &StreamDoc,
    uri: &str,
    payload: &serde_json::Value,
) {
    let id = ids::uuid_v7(cx.now, cx.rng()).to_string();
    let doc = event::of_stream(cx, pool, &target.id, about.audience(), uri, payload).to_string();
    let state = if about.method == Method::Push { State::Pending } else { State::Held };
    let delivery = Delivery {
        pool_id: pool.id.clone(),
        // No sign-out: it is about the stream.
        signout_id: String::new(),
        n: 0,
        kind: Kind::Ssf,
        target: target.id.clone(),
        sid: id.clone(),
        id,
        sub: String::new(),
        doc,
        state,
        attempts: 0,
        due_ms: cx.now,
        lease_ms: 0,
        since_ms: cx.now,
        status: None,
        detail: String::new(),
        created_ms: cx.now,
        first_ms: None,
        done_ms: None,
    };
    deliveries::insert(batch, &delivery);
    let app = cx.app.clone();
    batch.then(move || match state {
        State::Pending => app.wakes.deliver.notify_one(),
        _ => app.wakes.held.notify_waiters(),
    });
}

/// After a change: what was held for a stream that is pushed and enabled is sent.
pub fn go_on(cx: &Cx, batch: &mut Batch, target: &Target, about: &StreamDoc) {
    if about.status != Status::Enabled {
        return;
    }
    if about.method == Method::Push {
        deliveries::send_held(batch, &lane(target), cx.now);
    }
    let app = cx.app.clone();
    batch.then(move || {
        app.wakes.deliver.notify_one();
        app.wakes.held.notify_waiters();
    });
}

/// The stream is gone, and what was held for it with it.
pub fn bury(cx: &Cx, batch: &mut Batch, target: &Target) {
    deliveries::bury_held(batch, &lane(target), "The stream was deleted.", cx.now);
}
