//! Who did what to whom, when, from where, with which result. One row in the batch of the act itself; never a secret.
//! Reads are logged, not audited.

use crate::cx::Cx;
use crate::ids;
use crate::store::Batch;
use crate::store::jobs::{self, Entry};

/// Who acted.
#[derive(Clone, Debug)]
pub enum Actor<'a> {
    /// Whoever signed the request; in dev, where nothing is verified, `dev`.
    Administrator,
    /// The user whom this act concerns.
    User(&'a str),
    /// Somebody who has not proved to be anybody.
    Anybody,
    /// An identity provider of the pool.
    Provider(&'a str),
    /// The server itself or its operator's command line.
    Operator,
}

/// Adds one entry. `target` names what was changed (a user's sub, a client's id); `detail` is a few words.
#[allow(
    clippy::too_many_arguments,
    reason = "each is a column; a struct would repeat their names at every call"
)]
pub fn note(
    batch: &mut Batch,
    cx: &Cx,
    pool_id: &str,
    actor: &Actor<'_>,
    action: &str,
    target: &str,
    result: &str,
    detail: &str,
) {
    let actor = match actor {
        Actor::Administrator => match &cx.request.access_key {
            Some(key) => format!("key:{key}"),
            None => "dev".to_owned(),
        },
        Actor::User(sub) => format!("user:{sub}"),
        Actor::Anybody => "anybody".to_owned(),
        Actor::Provider(name) => format!("provider:{name}"),
        Actor::Operator => "operator".to_owned(),
    };
    let entry = Entry {
        pool_id: pool_id.to_owned(),
        id: ids::uuid_v7(cx.now, cx.rng()).to_string(),
        at_ms: cx.now,
        actor,
        action: action.to_owned(),
        target: target.to_owned(),
        ip: cx.request.ip.clone(),
        request_id: cx.request.id.clone(),
        result: result.to_owned(),
        detail: detail.to_owned(),
    };
    jobs::insert_audit(batch, &entry);
}
