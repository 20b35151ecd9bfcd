//! What this process keeps for those who follow revocation feeds: who waits, what the last read said, what they acknowledged, snapshots,
//! keys. Nothing that cannot be read again. How it is used is in `delivery::feed`.

mod crowd;
mod hub;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use axum::body::Bytes;
use quick_cache::sync::Cache;

pub use crowd::{Full, How, Place};
use hub::lock;
pub use hub::{Hub, Reader, Round, Span, Told, What};

use crate::ambient::Ms;
use crate::keys::FeedKey;
use crate::pool::feed::Chain;

/// Pools that are remembered although nobody follows them.
const MAX_IDLE: usize = 1_000;

pub struct Feeds {
    hubs: Mutex<HashMap<String, Arc<Hub>>>,
    /// Pools that somebody follows here: each has a reader.
    followed: Arc<AtomicUsize>,
    /// By pool and key id.
    pub signers: Cache<(String, String), Arc<Signer>>,
    /// The last snapshot of each pool; who makes another holds it.
    pub snapshots: Cache<String, Arc<tokio::sync::Mutex<Option<Arc<Snapshot>>>>>,
}

/// A key that signs, with its age.
pub struct Signer {
    pub key: FeedKey,
    pub created_ms: Ms,
}

pub struct Snapshot {
    pub incarnation: String,
    pub seq: i64,
    /// At `seq`.
    pub chain: Chain,
    pub made_ms: Ms,
    /// How many records it holds.
    pub n: usize,
    pub body: Bytes,
    /// The same, packed, once somebody wants it so.
    pub gzip: OnceLock<Bytes>,
}

impl Default for Feeds {
    fn default() -> Feeds {
        Feeds {
            hubs: Mutex::default(),
            followed: Arc::default(),
            signers: Cache::new(1_000),
            snapshots: Cache::new(100),
        }
    }
}

impl Feeds {
    pub fn hub(&self, pool_id: &str) -> Arc<Hub> {
        let mut hubs = lock(&self.hubs);
        if let Some(hub) = hubs.get(pool_id) {
            return hub.clone();
        }
        if hubs.len() >= MAX_IDLE {
            hubs.retain(|_, hub| Arc::strong_count(hub) > 1);
        }
        let hub = Arc::new(Hub::new(pool_id, self.followed.clone()));
        hubs.insert(pool_id.to_owned(), hub.clone());
        hub
    }

    /// There is something new in a pool's feed: who waits here need not wait for the next look.
    pub fn moved(&self, pool_id: &str) {
        if let Some(hub) = lock(&self.hubs).get(pool_id) {
            hub.look();
        }
    }

    /// How many requests wait and how many streams are open, over all pools.
    pub fn crowd(&self) -> (usize, usize) {
        let hubs = lock(&self.hubs);
        hubs.values()
            .map(|hub| hub.count())
            .fold((0, 0), |(waiting, streaming), own| (waiting + own.0, streaming + own.1))
    }

    /// Pools that somebody follows here.
    pub fn followed(&self) -> usize {
        self.followed.load(Ordering::Relaxed)
    }
}
