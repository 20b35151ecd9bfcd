//! Replay: a message of a provider is taken once, whichever node it reaches.

use crate::ambient::Ms;
use crate::error::Error;
use crate::keys;
use crate::store::{Batch, seen_messages};

/// Adds to the batch that a message is taken; `what` keeps ids of different kinds apart. `seen` is the answer if it was taken before.
pub fn once(
    batch: &mut Batch,
    (pool_id, provider): (&str, &str),
    what: &str,
    id: &str,
    until_ms: Ms,
    seen: Error,
) {
    // A kind has no space.
    let key = keys::hash(format!("{what} {id}"));
    seen_messages::insert(batch, pool_id, provider, &key, until_ms, seen);
}
