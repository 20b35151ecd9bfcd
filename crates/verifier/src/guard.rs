//! What watches a session for as long as a socket or a stream is open. Guards are found by the keys of their token, so a sign-out
//! wakes those whom it may concern and nobody else.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::feed::{Feed, Freshness};
use crate::key::Key16;
use crate::token::Token;

const SHARDS: usize = 64;

type Watchers = HashMap<u64, Arc<Notify>>;

pub(crate) struct Guards {
    shards: Vec<Mutex<HashMap<Key16, Watchers>>>,
    next: AtomicU64,
    hash: RandomState,
}

impl Default for Guards {
    fn default() -> Guards {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Guards { shards, next: AtomicU64::new(0), hash: RandomState::new() }
    }
}

impl Guards {
    pub fn wake(&self, keys: impl Iterator<Item = Key16>) {
        for key in keys {
            if let Some(shard) = self.shard(&key) {
                shard
                    .get(&key)
                    .into_iter()
                    .flat_map(HashMap::values)
                    .for_each(|own| own.notify_one());
            }
        }
    }

    pub fn wake_all(&self) {
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().flat_map(HashMap::values).for_each(|watcher| watcher.notify_one());
        }
    }

    fn add(&self, keys: &[Key16], watcher: &Arc<Notify>) -> u64 {
        let id = self.next.fetch_add(1, Relaxed);
        for key in keys {
            if let Some(mut shard) = self.shard(key) {
                shard.entry(*key).or_default().insert(id, watcher.clone());
            }
        }
        id
    }

    fn remove(&self, keys: &[Key16], id: u64) {
        for key in keys {
            let Some(mut shard) = self.shard(key) else { continue };
            if let Some(watchers) = shard.get_mut(key) {
                watchers.remove(&id);
                if watchers.is_empty() {
                    shard.remove(key);
                }
            }
        }
    }

    pub fn len(&self) -> usize {
        let lock = |shard: &Mutex<HashMap<Key16, Watchers>>| {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            shard.values().map(HashMap::len).sum::<usize>()
        };
        self.shards.iter().map(lock).sum::<usize>() / KEYS
    }

    fn shard(&self, key: &Key16) -> Option<MutexGuard<'_, HashMap<Key16, Watchers>>> {
        let at = usize::try_from(self.hash.hash_one(key)).unwrap_or(0) % SHARDS;
        Some(self.shards.get(at)?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

const KEYS: usize = 5;

/// Why a guard let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The session was signed out.
    Revoked,
    /// The feed is too old to tell whether it was, and the guard was asked to rather close then.
    Blind,
}

/// Watches one session. A refresh does not end it: the new tokens belong to the same session. Nor does a token's expiry: what is
/// open may stay open for as long as the session lives; close it yourself at `exp` if that is what you want.
///
/// ```no_run
/// # async fn socket(verifier: cenote_verifier::Verifier, token: cenote_verifier::Token) {
/// # async fn serve() {}
/// let guard = verifier.guard(&token);
/// tokio::select! {
///     () = serve() => {}
///     _ = guard.revoked() => { /* close the socket with 4001 */ }
/// }
/// # }
/// ```
pub struct SessionGuard {
    feed: Arc<Feed>,
    token: Token,
    watcher: Arc<Notify>,
    id: u64,
    /// Lets go when the feed is older than this.
    blind_after_ms: Option<u64>,
}

impl SessionGuard {
    pub(crate) fn new(feed: Arc<Feed>, token: Token, blind_after_ms: Option<u64>) -> SessionGuard {
        let watcher = Arc::new(Notify::new());
        let id = feed.guards.add(&keys(&token), &watcher);
        SessionGuard { feed, token, watcher, id, blind_after_ms }
    }

    /// Waits until the session is over; at once if it is. May be called again and again.
    pub async fn revoked(&self) -> Ended {
        loop {
            // It is registered already, so an end between this look and the wait has left its notification.
            if self.feed.is_revoked(&self.token) {
                // For whoever else waits on this guard.
                self.watcher.notify_one();
                return Ended::Revoked;
            }
            match self.blind_after_ms {
                None => self.watcher.notified().await,
                Some(limit) => {
                    if self.feed.freshness(limit) == Freshness::Expired {
                        return Ended::Blind;
                    }
                    let age = self.feed.age_ms().unwrap_or(0);
                    let rest = limit.saturating_sub(age).clamp(100, 1_000);
                    tokio::select! {
                        () = self.watcher.notified() => {}
                        () = crate::clock::pause(std::time::Duration::from_millis(rest)) => {}
                    }
                }
            }
        }
    }

    pub fn token(&self) -> &Token {
        &self.token
    }
}

impl Drop for SessionGuard {
    fn drop(&mut self) {
        self.feed.guards.remove(&keys(&self.token), self.id);
    }
}

fn keys(token: &Token) -> [Key16; KEYS] {
    let keys = token.keys();
    [keys.signing_key, keys.pool, keys.client, keys.user, keys.session]
}
