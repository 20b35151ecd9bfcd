//! What was to be told to whom because of a sign-out, how far that has come, and telling again what nobody took.

use serde_json::{Value, json};

use super::call::{self, Call, Reply, missing};
use crate::ambient::{Ms, rfc3339};
use crate::audit::{self, Actor};
use crate::cx::page;
use crate::error::{Error, Kind as Wrong, Result};
use crate::store::Batch;
use crate::store::deliveries::{self, Delivery, Filter, Kind, State};

const LIST: &str = "Deliveries";

/// The newest first.
pub(super) async fn list(call: Call) -> Result<Reply> {
    let (pool, limit) = (call.pool().await?, call.limit()?);
    let filter = Filter {
        state: chosen(&call, "state", &State::ALL, State::as_str)?,
        kind: chosen(&call, "kind", &Kind::ALL, Kind::as_str)?,
        target: text(&call, "target")?,
        signout_id: text(&call, "signout_id")?,
    };
    let before = page::decode(&call.cx, LIST, &pool.id, call.next_token())?;
    let before = Some(before.as_str()).filter(|before| !before.is_empty());
    let found = deliveries::list(call.cx.db(), &pool.id, filter, before, limit + 1).await?;
    let (found, next) =
        page::cut(&call.cx, LIST, &pool.id, found, limit, |delivery| delivery.id.clone());
    let shown: Vec<Value> = found.iter().map(shown).collect();
    Ok(Reply::ok(json!({ LIST: shown, "NextToken": next })))
}

pub(super) async fn get(call: Call) -> Result<Reply> {
    Ok(Reply::ok(shown(&find(&call).await?)))
}

/// What was given up is told again, at once. What waits anyway stays as it is, so that asking twice does no harm.
pub(super) async fn replay(call: Call) -> Result<Reply> {
    let delivery = find(&call).await?;
    match delivery.state {
        State::Pending | State::Held => return Ok(Reply::ok(shown(&delivery))),
        State::Dead => {}
        State::Done | State::NotPossible => {
            // In this door's table of statuses it is 409.
            return Err(Error::new(
                Wrong::OperationNotEnabled,
                format!(
                    "Only what was given up (state dead) can be told again; this delivery is {}.",
                    delivery.state.as_str()
                ),
            ));
        }
    }
    let cx = &call.cx;
    let mut batch = Batch::new();
    let lost = Error::conflict().because(&delivery.id);
    deliveries::replay(&mut batch, &delivery.pool_id, &delivery.id, cx.now, lost);
    let (pool, actor) = (&delivery.pool_id, Actor::Administrator);
    audit::note(&mut batch, cx, pool, &actor, "ReplayDelivery", &delivery.id, "ok", "");
    let app = cx.app.clone();
    batch.then(move || app.wakes.deliver.notify_one());
    cx.db().commit(batch).await?;
    Ok(Reply::ok(shown(&find(&call).await?)))
}

async fn find(call: &Call) -> Result<Delivery> {
    let (pool, id) = (call.pool().await?, call.path("id"));
    let found = match call::is_id(id) {
        true => deliveries::find(call.cx.db(), &pool.id, id).await?,
        false => None,
    };
    let delivery = found.ok_or_else(|| missing("delivery", id))?;
    call.cx.is_about(&pool.id, Some(&delivery.id));
    Ok(delivery)
}

fn chosen<T: Copy>(
    call: &Call,
    name: &str,
    all: &[T],
    word: fn(T) -> &'static str,
) -> Result<Option<T>> {
    let Some(given) = call.query(name) else { return Ok(None) };
    match all.iter().find(|one| word(**one) == given) {
        Some(one) => Ok(Some(*one)),
        None => Err(Error::invalid(format!(
            "{name} must be one of {}.",
            all.iter().map(|one| word(*one)).collect::<Vec<_>>().join(", ")
        ))),
    }
}

/// An id to look for. Nothing has an empty one.
fn text<'a>(call: &'a Call, name: &str) -> Result<Option<&'a str>> {
    match call.query(name) {
        Some(given) if !call::is_id(given) => Err(Error::invalid(format!(
            "{name} must be an id: 1 to 128 letters, digits, and any of -_+."
        ))),
        given => Ok(given),
    }
}

fn shown(delivery: &Delivery) -> Value {
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let at = |ms: Option<Ms>| ms.map(rfc3339);
    json!({
        "Id": delivery.id,
        // An event stream is also told of itself.
        "SignOutId": named(&delivery.signout_id),
        "Record": delivery.n,
        "Kind": delivery.kind.as_str(),
        "Target": delivery.target,
        "Sid": named(&delivery.sid),
        "Sub": named(&delivery.sub),
        "State": delivery.state.as_str(),
        "Attempts": delivery.attempts,
        "Status": delivery.status,
        "Detail": delivery.detail,
        "CreationDate": rfc3339(delivery.created_ms),
        "FirstAttemptDate": at(delivery.first_ms),
        "NextAttemptDate": (delivery.state == State::Pending).then(|| rfc3339(delivery.due_ms)),
        "DoneDate": at(delivery.done_ms),
    })
}
