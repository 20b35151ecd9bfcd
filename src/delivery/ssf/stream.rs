//! What the workers and its receiver's visits do to a stream: pausing it, remembering when it was seen, looking after what is held.

use crate::ambient::{HOUR, MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::target::Doc;
use crate::pool::target::StreamDoc;
use crate::pool::target::stream::{Method, Status};
use crate::pool::{Pool, Target};
use crate::store::deliveries::{self, Delivery};
use crate::store::{Batch, targets};
use crate::targets::streams;
use crate::tokens::claims;

/// What was written as held while its stream was enabled, changed or deleted by somebody else is found this soon.
const EVERY_MS: Ms = MINUTE;
const LANES: i64 = 500;

/// How exactly it is remembered when a receiver was last seen.
const SEEN_EVERY_MS: Ms = HOUR;

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
                Now::Dropped => {
                    let why = "The stream was disabled.";
                    deliveries::drop_held(&mut batch, &lane, why, cx.now);
                }
                Now::Gone(why) => deliveries::bury_held(&mut batch, &lane, why, cx.now),
            }
            cx.db().commit(batch).await?;
        }
    }
}

pub const CLIENT_GONE: &str = "The app client of the stream was deleted.";

/// What is to become of what is held for a stream.
enum Now {
    Waits,
    Sent,
    /// It was disabled.
    Dropped,
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
        return Ok(Now::Gone(CLIENT_GONE));
    }
    Ok(match (about.status, about.method) {
        (Status::Disabled, _) => Now::Dropped,
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

/// Remembers that its receiver is there, which makes `inactivity_timeout` begin anew (SSF 1.0, 8.1.1). Once an hour is often enough.
pub async fn seen(cx: &Cx, target: &Target) -> Result<()> {
    let Doc::Stream(about) = &target.doc else { return Ok(()) };
    if last_seen_ms(target, about) + SEEN_EVERY_MS > cx.now {
        return Ok(());
    }
    let about = StreamDoc { seen_ms: Some(cx.now), ..about.clone() };
    let mut batch = Batch::new();
    targets::remember(&mut batch, &Target { doc: Doc::Stream(about), ..target.clone() })?;
    cx.db().commit(batch).await
}

fn last_seen_ms(target: &Target, about: &StreamDoc) -> Ms {
    about.seen_ms.unwrap_or_default().max(target.modified_ms)
}

/// Whether nobody has come for what waits in the stream for that long. One that was enabled again has as long to fetch it.
pub fn is_inactive(cx: &Cx, target: &Target, about: &StreamDoc, for_ms: Ms) -> bool {
    last_seen_ms(target, about) + for_ms + SEEN_EVERY_MS <= cx.now
}

/// Pauses a stream that nobody reads, and says so on it. Of several servers that find it one does; whoever changed it meanwhile is right.
pub async fn pause(cx: &Cx, target: &Target, why: &str) -> Result<()> {
    let Doc::Stream(about) = &target.doc else { return Ok(()) };
    let Some(pool) = cx.app.directory.pool(cx.db(), &target.pool_id).await? else { return Ok(()) };
    let about = StreamDoc { status: Status::Paused, reason: Some(why.to_owned()), ..about.clone() };
    let mut batch = Batch::new();
    streams::updated(cx, &mut batch, &claims::issuer(&cx.app.settings, &pool), target, &about);
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
