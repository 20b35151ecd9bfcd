//! A key set of the server: read without a lock, fetched again by one caller at a time and not too often, whoever asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use super::{Failure, Http};
use crate::feed::Feed;
use crate::jws::Jwks;

/// Between two fetches. Anybody can send a token with a key id of their invention; the server must not feel it.
const FLOOR_MS: u64 = 10_000;

/// After a fetch that failed: the first keys, or new ones, are needed soon.
const FLOOR_AFTER_FAILURE_MS: u64 = 1_000;

pub(crate) struct Keys {
    keys: ArcSwap<Jwks>,
    /// As it was fetched, to be written to disk.
    text: ArcSwap<Vec<u8>>,
    last: Mutex<Option<(u64, bool)>>,
    pub fetches: AtomicU64,
    /// How often they became others.
    pub changes: AtomicU64,
}

/// What became of a wish for newer keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// They are as new as they may be.
    Current,
    /// The server could not be asked.
    Failed,
}

impl Keys {
    pub fn new() -> Keys {
        Keys {
            keys: ArcSwap::default(),
            text: ArcSwap::default(),
            last: Mutex::new(None),
            fetches: AtomicU64::new(0),
            changes: AtomicU64::new(0),
        }
    }

    pub fn now(&self) -> arc_swap::Guard<Arc<Jwks>> {
        self.keys.load()
    }

    pub fn text(&self) -> Arc<Vec<u8>> {
        self.text.load_full()
    }

    /// `false` for what is no key set, which changes nothing.
    pub fn set(&self, text: Vec<u8>, feed: &Feed) -> bool {
        let Some(keys) = Jwks::parse(&text).filter(|keys| !keys.is_empty()) else { return false };
        self.keys.store(without_revoked(&keys, feed).into());
        if **self.text.load() != text {
            self.text.store(text.into());
            self.changes.fetch_add(1, Relaxed);
        }
        true
    }

    /// A key that was revoked goes for good: its record leaves the feed one day, and a thief's token may expire later.
    pub fn drop_revoked(&self, feed: &Feed) {
        // A set that comes in between is not overwritten.
        self.keys.rcu(|keys| without_revoked(keys, feed));
    }

    /// Fetches the set, unless that was just done; who comes while it is being done waits for that one. `floor_ms`: how long ago counts
    /// as just.
    pub async fn renew(&self, http: &Http, url: &str, feed: &Feed) -> Renewal {
        let mut last = self.last.lock().await;
        let now = feed.clock.monotonic_ms();
        if let Some((at, well)) = *last {
            let floor = if well { FLOOR_MS } else { FLOOR_AFTER_FAILURE_MS };
            if now.saturating_sub(at) < floor {
                return if well { Renewal::Current } else { Renewal::Failed };
            }
        }
        self.fetches.fetch_add(1, Relaxed);
        let well = match http.document(url).await {
            Ok(text) => match self.set(text, feed) {
                true => Ok(()),
                false => Err(Failure::Malformed("it holds no key of use".into())),
            },
            Err(failure) => Err(failure),
        };
        if let Err(failure) = &well {
            tracing::warn!(url, "a key set could not be fetched: {failure}");
        }
        *last = Some((feed.clock.monotonic_ms(), well.is_ok()));
        if well.is_ok() { Renewal::Current } else { Renewal::Failed }
    }
}

fn without_revoked(keys: &Jwks, feed: &Feed) -> Jwks {
    keys.filter(|kid| !feed.is_revoked_key(kid))
}
