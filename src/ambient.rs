//! The only place that reads the clock and the random generator. Everything else gets them as
//! arguments (`Cx`), so that every test is repeatable.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use aws_lc_rs::digest;

/// Epoch milliseconds.
pub type Ms = i64;

pub const SECOND: Ms = 1_000;
pub const MINUTE: Ms = 60 * SECOND;
pub const HOUR: Ms = 60 * MINUTE;
pub const DAY: Ms = 24 * HOUR;

/// A moment as RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(ms: Ms) -> String {
    let (day, rest) = (ms.div_euclid(DAY), ms.rem_euclid(DAY));
    let (year, month, date) = civil(day);
    let (seconds, millis) = (rest / SECOND, rest % SECOND);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Year, month and date of a day since 1970-01-01. Years begin in March, so that the leap day is their last (Hinnant,
/// "chrono-compatible low-level date algorithms").
pub fn civil(day: i64) -> (i64, i64, i64) {
    let day = day + 719_468;
    let era = day.div_euclid(146_097);
    let of_era = day.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let m = (5 * of_year + 2) / 153;
    let date = of_year - (153 * m + 2) / 5 + 1;
    let month = if m < 10 { m + 3 } else { m - 9 };
    (year + era * 400 + i64::from(month <= 2), month, date)
}

pub trait Clock: Send + Sync {
    fn now_ms(&self) -> Ms;
}

pub trait Random: Send + Sync {
    fn fill(&self, bytes: &mut [u8]);
}

/// The machine's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> Ms {
        #[allow(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        now.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// The system's cryptographic random generator.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        #[allow(clippy::disallowed_methods, reason = "this is the one place that reads randomness")]
        let filled = aws_lc_rs::rand::fill(bytes);
        if filled.is_err() {
            // Without randomness every secret would be guessable; there is no safe way on.
            std::process::abort();
        }
    }
}

/// A clock that tests move by hand.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn new(now: Ms) -> TestClock {
        TestClock(AtomicI64::new(now))
    }

    pub fn advance(&self, by: Ms) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }

    pub fn set(&self, now: Ms) {
        self.0.store(now, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> Ms {
        self.0.load(Ordering::SeqCst)
    }
}

/// A repeatable generator for tests: SHA-256 over a seed and a counter.
pub struct SeededRandom {
    seed: u64,
    counter: AtomicU64,
    rest: Mutex<Vec<u8>>,
}

impl SeededRandom {
    pub fn new(seed: u64) -> SeededRandom {
        SeededRandom { seed, counter: AtomicU64::new(0), rest: Mutex::new(Vec::new()) }
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        let mut rest = match self.rest.lock() {
            Ok(rest) => rest,
            Err(poisoned) => poisoned.into_inner(),
        };
        for byte in bytes {
            if rest.is_empty() {
                let mut block = self.seed.to_be_bytes().to_vec();
                block.extend(self.counter.fetch_add(1, Ordering::SeqCst).to_be_bytes());
                rest.extend(digest::digest(&digest::SHA256, &block).as_ref());
            }
            *byte = rest.pop().unwrap_or_default();
        }
    }
}
