//! The committed record is the outbox: `expand` writes a delivery for everybody who is to be told of it, `work` tells them, at least once,
//! until they have taken it or a day is over. Each kind of receiver is a module beside this one, with an `expand` and an `attempt`.

pub mod expand;
mod judge;
pub mod work;

pub use self::judge::{Blame, Outcome, judge};
use super::{backchannel, ssf, token_revocation, webhook};
use crate::cx::Cx;
use crate::pool::Pool;
pub use crate::store::deliveries::{Delivery, Kind, State};

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
