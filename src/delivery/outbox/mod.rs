//! The committed record is the outbox: `expand` writes a delivery for everybody who is to be told of it, `work` tells them, at least once,
//! until they have taken it or a day is over. Each kind of receiver is a module beside this one, with an `expand` and an `attempt`.

pub mod expand;
mod judge;
pub mod work;

pub use self::judge::{Blame, Outcome, judge};
use super::{backchannel, ssf, token_revocation, webhook};
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::Pool;
pub use crate::store::deliveries::{Delivery, Kind, State};
use crate::store::records::Recorded;

/// A delivery that a record asks for.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    pub kind: Kind,
    pub target: String,
    pub sid: String,
    pub sub: String,
    pub doc: String,
    /// `Pending`, `Held`, or `NotPossible` with the reason in `detail`.
    pub state: State,
    pub detail: String,
}

/// Some of the deliveries that a record asks for, at most 500.
#[derive(Clone, Debug, Default)]
pub struct Page {
    pub rows: Vec<NewDelivery>,
    /// Where this kind goes on; `None`: that was all.
    pub next: Option<String>,
}

/// Who is to be told of a record, of one kind. `pool`: `None` where it was deleted; its webhooks are still told.
async fn page(
    cx: &Cx,
    pool: Option<&Pool>,
    kind: Kind,
    record: &Recorded,
    after: Option<&str>,
) -> Result<Page> {
    match (kind, pool) {
        (Kind::Backchannel, Some(pool)) => backchannel::expand(cx, pool, record, after).await,
        (Kind::Ssf, Some(pool)) => ssf::expand(cx, pool, record, after).await,
        (Kind::TokenRevocation, Some(pool)) => {
            token_revocation::expand(cx, pool, record, after).await
        }
        (Kind::Webhook, _) => webhook::expand(cx, record, after).await,
        // Its keys went with it, so nothing can be signed.
        (_, None) => Ok(Page::default()),
    }
}

/// Tells one receiver, once.
async fn attempt(cx: &Cx, pool: Option<&Pool>, delivery: &Delivery) -> Outcome {
    match (delivery.kind, pool) {
        (Kind::Backchannel, Some(pool)) => backchannel::attempt(cx, pool, delivery).await,
        (Kind::Ssf, Some(pool)) => ssf::attempt(cx, pool, delivery).await,
        (Kind::TokenRevocation, Some(pool)) => token_revocation::attempt(cx, pool, delivery).await,
        (Kind::Webhook, _) => webhook::attempt(cx, delivery).await,
        (_, None) => Outcome::dead("The user pool was deleted, and its keys with it."),
    }
}
