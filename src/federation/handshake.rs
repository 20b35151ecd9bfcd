//! One-time handles: what a browser carries to an identity provider and back (RelayState, `state`), and over a cross-site POST. A
//! handle says nothing by itself. What it stands for is a row, sealed, bound to its pool and purpose and good for once; which provider
//! and which browser it belongs to is in the value.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ambient::Ms;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::Place;
use crate::store::{Batch, handshakes};
use crate::{ids, keys};

/// 32 random bytes in base64url: RelayState may have 80 (SAML bindings, 3.4.3).
const LENGTH: usize = 43;

/// What a handle can stand for.
pub trait Handshake: Serialize + DeserializeOwned {
    /// A handle that was made for one purpose is nothing to another.
    const PURPOSE: &'static str;
    /// How long it waits to be taken.
    const LIFETIME: Ms;
}

/// A handle that was made here, with what it stands for. The value of one that is over or was taken may be shown, and nothing more.
pub struct Found<H> {
    pub value: H,
    pub state: State,
    pool_id: String,
    hash: [u8; 32],
    now: Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Open,
    Taken,
    Over,
}

/// Adds what a new handle stands for to the batch. The handle may leave once that is committed.
pub fn begin<H: Handshake>(cx: &Cx, batch: &mut Batch, pool_id: &str, value: &H) -> Result<String> {
    let handle = ids::handle(cx.rng());
    let hash = keys::hash(&handle);
    let plain = serde_json::to_vec(value).map_err(Error::internal)?;
    let sealed = cx.app.vault.seal(cx.rng(), &place(pool_id, &row(&hash), H::PURPOSE), &plain)?;
    let handshake = handshakes::Handshake {
        purpose: H::PURPOSE.to_owned(),
        doc: sealed.0,
        expires_ms: cx.now + H::LIFETIME,
        consumed_ms: None,
    };
    handshakes::insert(batch, pool_id, &hash, &handshake);
    Ok(handle)
}

/// `None`: nothing that was made here, for this pool and purpose, in the last days.
pub async fn find<H: Handshake>(cx: &Cx, pool_id: &str, handle: &str) -> Result<Option<Found<H>>> {
    if handle.len() != LENGTH {
        return Ok(None);
    }
    let hash = keys::hash(handle);
    let found = handshakes::find(cx.db(), pool_id, &hash).await?;
    let Some(found) = found.filter(|found| found.purpose == H::PURPOSE) else { return Ok(None) };
    let plain = cx.app.vault.open(&place(pool_id, &row(&hash), H::PURPOSE), &found.doc)?;
    let state = match found.consumed_ms {
        Some(_) => State::Taken,
        None if found.expires_ms <= cx.now => State::Over,
        None => State::Open,
    };
    Ok(Some(Found {
        value: serde_json::from_slice(&plain).map_err(Error::internal)?,
        state,
        pool_id: pool_id.to_owned(),
        hash,
        now: cx.now,
    }))
}

impl<H> Found<H> {
    /// Consumes the handle with the batch. Somebody who was quicker is a conflict: the next run finds it taken.
    pub fn take(&self, batch: &mut Batch) {
        handshakes::consume(batch, &self.pool_id, &self.hash, self.now);
    }
}

fn place<'a>(pool_id: &'a str, row: &'a str, purpose: &'a str) -> Place<'a> {
    Place { table: "handshakes", pool: pool_id, row, column: purpose }
}

fn row(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
