//! Replay: a message of a provider is taken once, whichever node it reaches.

use crate::ambient::Ms;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys;
use crate::store::{Batch, seen_messages};

/// Adds to the batch that a message of a pool is taken; `what` keeps ids of different kinds apart, `by` those of different senders: a
/// provider, or an issuer where two providers may be one party. `seen` is the answer if it was taken before.
pub fn once(
    batch: &mut Batch,
    (pool_id, by): (&str, &str),
    what: &str,
    id: &str,
    until_ms: Ms,
    seen: Error,
) {
    seen_messages::insert(batch, pool_id, by, &key(what, id), until_ms, seen);
}

/// Whether it was taken: for what is done in several batches, of which the last one says `once`.
pub async fn is_taken(cx: &Cx, (pool_id, by): (&str, &str), what: &str, id: &str) -> Result<bool> {
    seen_messages::exists(cx.db(), pool_id, by, &key(what, id)).await
}

fn key(what: &str, id: &str) -> [u8; 32] {
    // A kind has no space.
    keys::hash(format!("{what} {id}"))
}
