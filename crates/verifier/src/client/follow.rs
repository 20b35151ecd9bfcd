//! The work behind a verifier: one task that follows the feed, and one that keeps keys, disk and memory in order. Neither ever ends by
//! itself, and nothing waits for them: while they fail, the state of the feed ages, and that is what requests see.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use reqwest::StatusCode;

use super::keys::Renewal;
use super::{ANSWER_WITHIN, Endpoints, Failure};
use crate::clock::pause;
use crate::feed::Freshness;
use crate::format::{MAX_FRAME, encode};
use crate::frame::Refused;
use crate::shared::Shared;

/// How long the server may hold a question back while nothing happens. An answer is as fresh as its question is old, and the one after it
/// takes as long again: with two seconds the state would be four seconds old, and no longer fresh, before each answer.
const WAIT_SECS: u64 = 1;

/// A server that does not hold questions back would otherwise be asked in a circle.
const BETWEEN_HEARTBEATS_MS: u64 = 250;

const SNAPSHOT_WITHIN: Duration = Duration::from_secs(120);
const RETRY_AT_FIRST_MS: u64 = 50;
const RETRY_AT_MOST_MS: u64 = 5_000;

const SWEEP_EVERY_MS: u64 = 30_000;
const DISK_EVERY_MS: u64 = 10_000;
/// How long a key that was taken out of the set may still be honoured, if no record says that it was revoked.
const TOKEN_KEYS_EVERY_MS: u64 = 300_000;
const FEED_KEYS_EVERY_MS: u64 = 300_000;
const DISCOVERY_EVERY_MS: u64 = 3_600_000;

pub(crate) async fn follow(shared: Arc<Shared>) {
    let (mut needs_snapshot, mut failures) = (shared.feed.position().is_none(), 0);
    loop {
        match turn(&shared, &mut needs_snapshot).await {
            Ok(()) => failures = 0,
            Err(trouble) => {
                needs_snapshot |= !matches!(trouble, Trouble::At(..));
                tracing::warn!(issuer = shared.config.issuer, "the revocation feed: {trouble}");
                shared.meters.failures.fetch_add(1, Relaxed);
                pause(trouble.wait() + backoff(failures)).await;
                failures = failures.saturating_add(1);
            }
        }
    }
}

#[derive(Debug)]
enum Trouble {
    At(&'static str, Failure),
    /// What came was not what it should be.
    Refused(&'static str, Refused),
    SnapshotRequired,
}

impl Trouble {
    /// How long the server asks us to wait.
    fn wait(&self) -> Duration {
        match self {
            Trouble::At(_, Failure::Status(.., wait)) => *wait,
            _ => Duration::ZERO,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::At(what, failure) => write!(f, "{what}: {failure}"),
            Trouble::Refused(what, refused) => {
                write!(f, "a {what} was refused ({})", refused.name())
            }
            Trouble::SnapshotRequired => {
                f.write_str("the server asks for a new start from a snapshot")
            }
        }
    }
}

/// One question and its answer, with what has to be there before.
async fn turn(shared: &Shared, needs_snapshot: &mut bool) -> Result<(), Trouble> {
    let endpoints =
        shared.endpoints().await.map_err(|failure| Trouble::At("discovery", failure))?;
    if shared.feed_keys.now().is_empty() {
        shared.feed_keys.renew(&shared.http, &endpoints.feed_jwks, &shared.feed).await;
    }
    if *needs_snapshot {
        snapshot(shared, &endpoints).await?;
        *needs_snapshot = false;
    }
    delta(shared, &endpoints).await
}

async fn snapshot(shared: &Shared, endpoints: &Endpoints) -> Result<(), Trouble> {
    let url = format!("{}/snapshot", endpoints.feed);
    let max = shared.config.max_entries.saturating_mul(32).saturating_add(64 * 1024);
    let bytes = shared.http.get(endpoints, &url, &[], SNAPSHOT_WITHIN, max).await;
    let bytes = bytes.map_err(|failure| Trouble::At("the snapshot", failure))?;
    shared.meters.snapshots.fetch_add(1, Relaxed);
    let take =
        || shared.feed.take_snapshot(&bytes, &shared.feed_keys.now(), shared.config.max_entries);
    let mut taken = take();
    if taken == Err(Refused::UnknownKey) && renew(shared, endpoints).await {
        taken = take();
    }
    taken.map_err(|refused| refuse(shared, "snapshot", refused))?;
    // A snapshot does not say of what kind its records are.
    shared.token_keys.drop_revoked(&shared.feed);
    Ok(())
}

async fn delta(shared: &Shared, endpoints: &Endpoints) -> Result<(), Trouble> {
    let Some(position) = shared.feed.position() else { return Err(Trouble::SnapshotRequired) };
    let url = format!("{}/delta", endpoints.feed);
    let nonce = nonce();
    let config = &shared.config;
    // Who is not up to date does not want to wait for news.
    let is_fresh = shared.feed.freshness(config.max_staleness_ms) == Freshness::Fresh;
    let wait = if is_fresh { WAIT_SECS } else { 0 }.to_string();
    let since = position.seq.to_string();
    let max_staleness = config.max_staleness_ms.div_ceil(1_000).to_string();
    let query = [
        ("since", since.as_str()),
        ("incarnation", &position.incarnation),
        ("consumer", &config.consumer),
        ("nonce", &nonce),
        ("wait", &wait),
        ("policy", shared.weakest_policy()),
        ("max_staleness", &max_staleness),
    ];
    let asked = shared.feed.now();
    let began = shared.feed.clock.monotonic_ms();
    let answer = shared.http.get(endpoints, &url, &query, ANSWER_WITHIN, MAX_FRAME).await;
    let answer = match answer {
        Err(Failure::Status(StatusCode::GONE, ..)) => return Err(Trouble::SnapshotRequired),
        answer => answer.map_err(|failure| Trouble::At("asking for news", failure))?,
    };
    let text = String::from_utf8(answer).unwrap_or_default();
    let take = || shared.feed.take_frame(text.trim_ascii(), &shared.feed_keys.now(), &nonce, asked);
    let mut taken = take();
    if taken == Err(Refused::UnknownKey) && renew(shared, endpoints).await {
        taken = take();
    }
    let records = taken.map_err(|refused| refuse(shared, "frame", refused))?;
    shared.meters.frames.fetch_add(1, Relaxed);
    shared.meters.records.fetch_add(records as u64, Relaxed);
    shared.told.send_modify(|count| *count += 1);
    if records > 0 {
        shared.token_keys.drop_revoked(&shared.feed);
    } else if is_fresh {
        // What was not to be held back came at once, and the next question waits.
        let took = shared.feed.clock.monotonic_ms().saturating_sub(began);
        pause(Duration::from_millis(BETWEEN_HEARTBEATS_MS.saturating_sub(took))).await;
    }
    Ok(())
}

async fn renew(shared: &Shared, endpoints: &Endpoints) -> bool {
    let renewal = shared.feed_keys.renew(&shared.http, &endpoints.feed_jwks, &shared.feed).await;
    renewal == Renewal::Current
}

fn refuse(shared: &Shared, what: &'static str, refused: Refused) -> Trouble {
    shared.meters.refused.fetch_add(1, Relaxed);
    Trouble::Refused(what, refused)
}

pub(crate) async fn keep_house(shared: Arc<Shared>) {
    let mut due = Due::default();
    loop {
        let now = shared.feed.clock.monotonic_ms();
        if shared.endpoints().await.is_ok() {
            if due.is(Task::Discovery, now, DISCOVERY_EVERY_MS) {
                shared.discover_again().await;
            }
            let every = match shared.token_keys.now().is_empty() {
                true => 0,
                false => TOKEN_KEYS_EVERY_MS,
            };
            if due.is(Task::TokenKeys, now, every)
                && let Ok(endpoints) = shared.endpoints().await
            {
                shared.token_keys.renew(&shared.http, &endpoints.jwks, &shared.feed).await;
            }
            // What the server lists no more signs no frame for us either.
            if due.is(Task::FeedKeys, now, FEED_KEYS_EVERY_MS)
                && let Ok(endpoints) = shared.endpoints().await
            {
                renew(&shared, &endpoints).await;
            }
        }
        if due.is(Task::Sweep, now, SWEEP_EVERY_MS) {
            shared.feed.sweep();
        }
        if due.is(Task::Disk, now, DISK_EVERY_MS) {
            shared.write_to_disk().await;
        }
        pause(Duration::from_secs(1)).await;
    }
}

#[derive(Clone, Copy)]
enum Task {
    Discovery,
    TokenKeys,
    FeedKeys,
    Sweep,
    Disk,
}

/// When each was done last.
#[derive(Default)]
struct Due([Option<u64>; 5]);

impl Due {
    fn is(&mut self, task: Task, now: u64, every: u64) -> bool {
        // At the beginning only the keys are due: the rest has just been done, or has nothing to do.
        let Some(last) = self.0.get_mut(task as usize) else { return false };
        let first = last.is_none() && !matches!(task, Task::TokenKeys);
        let is_due = !first && last.is_none_or(|last| now.saturating_sub(last) >= every);
        if first || is_due {
            *last = Some(now);
        }
        is_due
    }
}

/// Twice as long each time, and somewhere in the upper half of that: a thousand verifiers do not come back at once.
fn backoff(failures: u32) -> Duration {
    let longest = RETRY_AT_FIRST_MS.saturating_mul(1 << failures.min(10)).min(RETRY_AT_MOST_MS);
    let mut random = [0; 2];
    fill(&mut random);
    let share = u64::from(u16::from_be_bytes(random));
    Duration::from_millis(longest / 2 + longest * share / (2 * 65_536))
}

fn nonce() -> String {
    let mut random = [0; 24];
    fill(&mut random);
    encode(random)
}

/// The library's generator ends the process rather than to give less than it should, so its answer says nothing.
#[allow(clippy::disallowed_methods, reason = "a library has nobody who hands it randomness")]
fn fill(bytes: &mut [u8]) {
    let _ = aws_lc_rs::rand::fill(bytes);
}
