//! What a verifier and its background work share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, watch};

use crate::client::{Disk, Endpoints, Failure, Http, Introspection, Keys};
use crate::feed::Feed;
use crate::policy::Policy;
use crate::seen::Seen;

/// Between two attempts to learn where the endpoints are.
const DISCOVERY_FLOOR_MS: u64 = 1_000;

pub(crate) struct Config {
    pub issuer: String,
    /// Other names of the same pool, of tokens that still live after a migration.
    pub also: Vec<String>,
    pub consumer: String,
    pub max_staleness_ms: u64,
    pub max_entries: usize,
    pub disk: Option<PathBuf>,
}

pub(crate) struct Shared {
    pub config: Config,
    pub feed: Arc<Feed>,
    pub http: Http,
    pub token_keys: Keys,
    pub feed_keys: Keys,
    pub seen: Seen,
    pub introspection: Introspection,
    pub meters: Meters,
    /// How many frames were accepted: who waits for news waits for it to change.
    pub told: watch::Sender<u64>,
    endpoints: ArcSwapOption<Endpoints>,
    discovered: Mutex<Option<u64>>,
    written: Mutex<u64>,
    policy: AtomicU8,
}

/// Counted since the start.
#[derive(Default)]
pub(crate) struct Meters {
    pub frames: AtomicU64,
    pub records: AtomicU64,
    pub refused: AtomicU64,
    pub snapshots: AtomicU64,
    pub failures: AtomicU64,
    pub signatures: AtomicU64,
}

impl Shared {
    pub fn new(config: Config, feed: Feed, http: Http, seen: usize, policy: Policy) -> Shared {
        let shared = Shared {
            config,
            feed: Arc::new(feed),
            http,
            token_keys: Keys::new(),
            feed_keys: Keys::new(),
            seen: Seen::new(seen),
            introspection: Introspection::default(),
            meters: Meters::default(),
            told: watch::Sender::new(0),
            endpoints: ArcSwapOption::empty(),
            discovered: Mutex::new(None),
            written: Mutex::new(0),
            policy: AtomicU8::new(0),
        };
        shared.may_use(policy);
        shared.read_from_disk();
        shared
    }

    /// Where the endpoints are, as far as that is known.
    pub fn known_endpoints(&self) -> Option<Arc<Endpoints>> {
        self.endpoints.load_full()
    }

    pub async fn endpoints(&self) -> Result<Arc<Endpoints>, Failure> {
        if let Some(endpoints) = self.known_endpoints() {
            return Ok(endpoints);
        }
        let mut last = self.discovered.lock().await;
        if let Some(endpoints) = self.known_endpoints() {
            return Ok(endpoints);
        }
        let now = self.feed.clock.monotonic_ms();
        if last.is_some_and(|last| now.saturating_sub(last) < DISCOVERY_FLOOR_MS) {
            return Err(Failure::Unreachable("it failed just now".into()));
        }
        let found = Endpoints::discover(&self.http, &self.config.issuer).await;
        *last = Some(self.feed.clock.monotonic_ms());
        let found = Arc::new(found?);
        self.endpoints.store(Some(found.clone()));
        Ok(found)
    }

    /// An endpoint may move. While the document cannot be read, what it said stays.
    pub async fn discover_again(&self) {
        match Endpoints::discover(&self.http, &self.config.issuer).await {
            Ok(found) => self.endpoints.store(Some(found.into())),
            Err(failure) => tracing::warn!(issuer = self.config.issuer, "discovery: {failure}"),
        }
    }

    /// Some route uses this policy. The server is told the weakest, so that its receipts promise no more than every route holds.
    pub fn may_use(&self, policy: Policy) {
        // Looked at first: this is on the way of every request of such a route.
        if self.policy.load(Relaxed) < policy as u8 {
            self.policy.fetch_max(policy as u8, Relaxed);
        }
    }

    pub fn weakest_policy(&self) -> &'static str {
        match self.policy.load(Relaxed) {
            policy if policy == Policy::FailClosed as u8 => "closed",
            policy if policy == Policy::Introspect as u8 => "introspect",
            _ => "open",
        }
    }

    fn read_from_disk(&self) {
        let Some(path) = &self.config.disk else { return };
        let disk = match Disk::read(path, &self.feed.pool, self.config.max_entries) {
            Ok(disk) => disk,
            Err(why) => {
                tracing::info!(path = %path.display(), "nothing is known from before: {why}");
                return;
            }
        };
        if disk.endpoints.check(&self.config.issuer).is_err() {
            return;
        }
        self.feed.restore(disk.position, disk.told_ms, &disk.entries);
        self.token_keys.set(disk.token_keys, &self.feed);
        self.feed_keys.set(disk.feed_keys, &self.feed);
        self.endpoints.store(Some(disk.endpoints.into()));
    }

    /// If anything changed.
    pub async fn write_to_disk(&self) {
        let (Some(path), Some(endpoints)) = (self.config.disk.clone(), self.known_endpoints())
        else {
            return;
        };
        let mut written = self.written.lock().await;
        let Meters { records, snapshots, .. } = &self.meters;
        let changes = [records, snapshots, &self.token_keys.changes, &self.feed_keys.changes];
        let changes = changes.into_iter().map(|count| count.load(Relaxed)).sum();
        if *written == changes {
            return;
        }
        // The position first: entries may be newer than it, never older.
        let position = self.feed.position();
        let disk = Disk {
            endpoints: (*endpoints).clone(),
            position,
            told_ms: self.feed.told_ms(),
            token_keys: self.token_keys.text().to_vec(),
            feed_keys: self.feed_keys.text().to_vec(),
            entries: self.feed.table.entries(),
        };
        let pool = self.feed.pool.clone();
        let shown = path.display().to_string();
        match tokio::task::spawn_blocking(move || disk.write(&path, &pool)).await {
            Ok(Ok(())) => *written = changes,
            Ok(Err(error)) => {
                tracing::warn!(path = shown, "what is known could not be written: {error}")
            }
            Err(error) => tracing::warn!(path = shown, "writing what is known failed: {error}"),
        }
    }
}
