//! What this process knows of a pool's sign-outs, and how fresh that is. One task learns, everybody reads, and readers never wait.

use std::sync::atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::Clock;
use crate::frame::{Frame, MAX_RECORDS, Position, Refused};
use crate::guard::Guards;
use crate::jws::Jwks;
use crate::key::{Entry, Kind};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::token::Token;

/// While the state is no older, no token that was signed out is accepted later than this after the sign-out.
pub(crate) const FRESH_MS: u64 = 4_000;

/// How much longer than any token that it concerns a record lives.
const MARGIN_MS: u64 = 120_000;

/// How much longer a snapshot holds what is over by the server's clock.
const SNAPSHOT_KEEPS_MS: u64 = 600_000;

/// How far what is known of sign-outs can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Freshness {
    /// At most 4 s old.
    Fresh,
    /// Older, but within `max_staleness`: served, and worth an alarm.
    Stale,
    /// Too old, or never known: the policy of the route decides.
    Expired,
}

pub(crate) struct Feed {
    pub pool: String,
    pub table: Table,
    pub guards: Guards,
    pub clock: Arc<dyn Clock>,
    position: Mutex<Option<Position>>,
    /// When the question was sent whose answer was last accepted, by both clocks; 0 for never.
    asked_monotonic: AtomicU64,
    asked_wall: AtomicU64,
    /// The server's clock in the last frame, and when by ours that came.
    told_ms: AtomicU64,
    told_monotonic: AtomicU64,
    /// The server's clock in the last snapshot, which lacks what was long over by it.
    snapshot_ms: AtomicU64,
    /// Records that were over at this moment may be gone here.
    swept_ms: AtomicU64,
}

/// When a question was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    monotonic_ms: u64,
    wall_ms: u64,
}

impl Feed {
    pub fn new(pool: String, clock: Arc<dyn Clock>) -> Feed {
        Feed {
            pool,
            table: Table::new(),
            guards: Guards::default(),
            clock,
            position: Mutex::new(None),
            asked_monotonic: AtomicU64::new(0),
            asked_wall: AtomicU64::new(0),
            told_ms: AtomicU64::new(0),
            told_monotonic: AtomicU64::new(0),
            snapshot_ms: AtomicU64::new(0),
            swept_ms: AtomicU64::new(0),
        }
    }

    pub fn now(&self) -> Moment {
        Moment { monotonic_ms: self.clock.monotonic_ms(), wall_ms: self.clock.wall_ms() }
    }

    pub fn position(&self) -> Option<Position> {
        self.lock().clone()
    }

    /// Takes an answer to the question with this nonce. Returns how many records it brought.
    pub fn take_frame(
        &self,
        text: &str,
        keys: &Jwks,
        nonce: &str,
        asked: Moment,
    ) -> Result<usize, Refused> {
        let frame = Frame::open(text, keys, &self.pool, Some(nonce))?;
        let after = self.position().ok_or(Refused::Gap)?.after(&frame)?;
        if frame.iat_ms + SNAPSHOT_KEEPS_MS < self.snapshot_ms.load(Relaxed) {
            return Err(Refused::Earlier);
        }
        let keys = frame.records.iter().map(|record| record.entry.key);
        self.table.add(frame.records.iter().map(|record| record.entry));
        *self.lock() = Some(after);
        self.guards.wake(keys);
        self.told(frame.iat_ms);
        // Last: what is fresh is known completely. A full frame may leave more behind.
        if frame.records.len() < MAX_RECORDS {
            self.asked_wall.store(asked.wall_ms, Release);
            self.asked_monotonic.store(asked.monotonic_ms.max(1), Release);
        }
        Ok(frame.records.len())
    }

    /// Takes a snapshot. What is known already stays, whatever the snapshot says: it may come from a database that was put back. It
    /// says nothing about how fresh it is.
    pub fn take_snapshot(&self, bytes: &[u8], keys: &Jwks, max: usize) -> Result<usize, Refused> {
        let snapshot = Snapshot::open(bytes, keys, &self.pool, max)?;
        self.table.add_sorted(snapshot.entries());
        let n = snapshot.entries().len();
        self.told(snapshot.iat_ms);
        self.snapshot_ms.store(snapshot.iat_ms, Relaxed);
        *self.lock() = Some(snapshot.position);
        self.guards.wake_all();
        Ok(n)
    }

    /// What an earlier process wrote down.
    pub fn restore(&self, position: Option<Position>, told_ms: u64, entries: &[Entry]) {
        self.table.add_sorted(entries.iter().copied());
        self.told(told_ms);
        self.snapshot_ms.store(told_ms, Relaxed);
        *self.lock() = position;
        self.guards.wake_all();
    }

    pub fn freshness(&self, max_staleness_ms: u64) -> Freshness {
        match self.age_ms() {
            Some(age) if age <= FRESH_MS => Freshness::Fresh,
            Some(age) if age <= max_staleness_ms => Freshness::Stale,
            _ => Freshness::Expired,
        }
    }

    /// Since the question was sent. Where the clocks disagree the longer time counts: a machine that was stopped, or moved to another
    /// host, may have missed time by one of them, and a wall clock that jumped ahead makes the state look old only until the next answer.
    ///
    /// Look at this before the table: then what it vouches for is there.
    pub fn age_ms(&self) -> Option<u64> {
        let monotonic = match self.asked_monotonic.load(Acquire) {
            0 => return None,
            asked => self.clock.monotonic_ms().saturating_sub(asked),
        };
        Some(monotonic.max(self.clock.wall_ms().saturating_sub(self.asked_wall.load(Relaxed))))
    }

    /// The time that expiry is held against. Our clock may be slow, or be put back: then tokens would come to life again whose records
    /// are gone, at the server (by its clock) or here. A record goes two minutes after the last token that it concerns.
    pub fn now_for_expiry_ms(&self) -> u64 {
        let gone = self.told_ms.load(Relaxed).max(self.swept_ms.load(Relaxed));
        self.clock.wall_ms().max(gone.saturating_sub(MARGIN_MS))
    }

    /// Forgets records that are over, by our clock and by the server's as it must be by now: a clock that jumps ahead on one side
    /// forgets nothing.
    pub fn sweep(&self) {
        let told = self.told_ms.load(Relaxed);
        if told == 0 {
            return;
        }
        let since = self.clock.monotonic_ms().saturating_sub(self.told_monotonic.load(Relaxed));
        let now = self.clock.wall_ms().min(told.saturating_add(since));
        self.swept_ms.fetch_max(now, Release);
        self.table.sweep(now);
    }

    pub fn is_revoked(&self, token: &Token) -> bool {
        token.is_revoked(&self.table)
    }

    pub fn is_revoked_key(&self, kid: &str) -> bool {
        self.table.not_before(&Kind::SigningKey.key16(&self.pool, kid)).is_some()
    }

    /// The server's clock, as it was told last.
    pub fn told_ms(&self) -> u64 {
        self.told_ms.load(Relaxed)
    }

    fn told(&self, iat_ms: u64) {
        self.told_ms.store(iat_ms, Release);
        self.told_monotonic.store(self.clock.monotonic_ms(), Release);
    }

    /// Only the task that follows the feed, and what writes it to disk. Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Option<Position>> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Hands(AtomicU64, AtomicU64);

    impl Clock for Hands {
        fn monotonic_ms(&self) -> u64 {
            self.0.load(Relaxed)
        }

        fn wall_ms(&self) -> u64 {
            self.1.load(Relaxed)
        }
    }

    const T: u64 = 1_793_534_400_000;

    /// One record that is over in an hour, told at `T` by a server whose clock is right.
    fn feed() -> (Feed, Arc<Hands>, crate::key::Key16) {
        let clock = Arc::new(Hands(AtomicU64::new(5_000), AtomicU64::new(T)));
        let feed = Feed::new("p_1".into(), clock.clone());
        let key = Kind::User.key16("p_1", "ann");
        let entry = Entry { key, not_before_ms: T, drop_after_ms: T + 3_600_000 };
        feed.restore(None, T, &[entry]);
        (feed, clock, key)
    }

    #[test]
    fn a_record_goes_when_its_time_is_over_by_all_clocks() {
        let (feed, clock, key) = feed();
        clock.0.fetch_add(3_600_000, Relaxed);
        clock.1.fetch_add(3_600_000, Relaxed);
        feed.sweep();
        assert!(feed.table.not_before(&key).is_some());
        clock.0.fetch_add(1, Relaxed);
        clock.1.fetch_add(1, Relaxed);
        feed.sweep();
        assert_eq!(feed.table.not_before(&key), None);
        assert_eq!(feed.now_for_expiry_ms(), T + 3_600_001);
        // Put back after that: what the record stood against stays expired.
        clock.1.store(T, Relaxed);
        assert_eq!(feed.now_for_expiry_ms(), T + 3_600_001 - MARGIN_MS);
    }

    #[test]
    fn one_clock_that_jumps_ahead_makes_it_forget_nothing() {
        let (feed, clock, key) = feed();
        clock.1.fetch_add(86_400_000, Relaxed);
        feed.sweep();
        assert!(feed.table.not_before(&key).is_some(), "ours");
        clock.1.store(T, Relaxed);
        feed.told(T + 86_400_000);
        feed.sweep();
        assert!(feed.table.not_before(&key).is_some(), "the server's");
    }

    #[test]
    fn nothing_is_swept_before_the_server_has_told_its_time() {
        let clock = Arc::new(Hands(AtomicU64::new(5_000), AtomicU64::new(T + 86_400_000)));
        let feed = Feed::new("p_1".into(), clock);
        feed.table.add([Entry { key: [7; 16], not_before_ms: T, drop_after_ms: T }]);
        feed.sweep();
        assert_eq!(feed.table.len(), 1);
    }

    #[test]
    fn what_was_never_confirmed_is_expired_and_has_no_age() {
        let (feed, ..) = feed();
        assert_eq!(feed.age_ms(), None);
        assert_eq!(feed.freshness(30_000), Freshness::Expired);
    }
}
