//! What a stream is told of itself (SSF 1.0, 8.1.4 and 8.1.5), and what becomes of what waits for it when it is changed or goes. Whoever
//! changes streams uses it: their receivers, the operator, and the workers.

use serde_json::{Value, json};

use crate::ambient::SECOND;
use crate::cx::Cx;
use crate::ids;
use crate::pool::Target;
use crate::pool::target::StreamDoc;
use crate::pool::target::stream::{Method, Status};
use crate::store::Batch;
use crate::store::deliveries::{self, Delivery, Kind, State};

const STREAM_UPDATED: &str = "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

pub fn lane(target: &Target) -> String {
    deliveries::lane(Kind::Ssf, &target.pool_id, &target.id)
}

/// Adds the event that says what the stream's status is now: of a change that its receiver did not ask for. `iss`: the pool's issuer.
pub fn updated(cx: &Cx, batch: &mut Batch, iss: &str, target: &Target, about: &StreamDoc) {
    let mut payload = json!({ "status": about.status.as_str() });
    if let (Some(reason), Some(members)) = (&about.reason, payload.as_object_mut()) {
        members.insert("reason".to_owned(), json!(reason));
    }
    tell(cx, batch, iss, target, about, STREAM_UPDATED, &payload);
}

/// Adds the event by which a receiver sees that its stream works.
pub fn verification(
    cx: &Cx,
    batch: &mut Batch,
    iss: &str,
    target: &Target,
    about: &StreamDoc,
    state: Option<&str>,
) {
    let payload = match state {
        Some(state) => json!({ "state": state }),
        None => json!({}),
    };
    tell(cx, batch, iss, target, about, VERIFICATION, &payload);
}

fn tell(
    cx: &Cx,
    batch: &mut Batch,
    iss: &str,
    target: &Target,
    about: &StreamDoc,
    uri: &str,
    payload: &Value,
) {
    let id = ids::uuid_v7(cx.now, cx.rng()).to_string();
    let doc = json!({
        "iss": iss,
        "aud": about.audience(),
        "iat": cx.now / SECOND,
        "sub_id": { "format": "opaque", "id": target.id },
        "events": { uri: payload },
    });
    let state = if about.method == Method::Push { State::Pending } else { State::Held };
    let delivery = Delivery {
        pool_id: target.pool_id.clone(),
        // No sign-out: it is about the stream.
        signout_id: String::new(),
        n: 0,
        kind: Kind::Ssf,
        target: target.id.clone(),
        sid: id.clone(),
        id,
        sub: String::new(),
        doc: doc.to_string(),
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
    wake(cx, batch, target);
}

/// Of the stream itself, not of a sign-out: told also while it is paused or disabled.
pub fn is_about_stream(delivery: &Delivery) -> bool {
    delivery.signout_id.is_empty()
}

/// After a change: what waited for the stream to be enabled goes on, or finds that it will not be told.
pub fn settle(cx: &Cx, batch: &mut Batch, target: &Target, about: &StreamDoc) {
    match (about.status, about.method) {
        (Status::Enabled, Method::Push) => deliveries::send_held(batch, &lane(target), cx.now),
        (Status::Disabled, _) => {
            deliveries::drop_held(batch, &lane(target), "The stream was disabled.", cx.now);
        }
        (Status::Enabled, Method::Poll) | (Status::Paused, _) => {}
    }
    wake(cx, batch, target);
}

/// The stream is gone, and what was held for it with it.
pub fn bury(cx: &Cx, batch: &mut Batch, target: &Target, why: &str) {
    deliveries::bury_held(batch, &lane(target), why, cx.now);
}

fn wake(cx: &Cx, batch: &mut Batch, target: &Target) {
    let (app, lane) = (cx.app.clone(), lane(target));
    batch.then(move || {
        app.wakes.deliver.notify_one();
        app.wakes.held.tell(&lane);
    });
}
