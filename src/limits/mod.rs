//! How many requests are too many: what is limited (`kinds`), how the operator says so (`rates`), and the buckets. Each server counts
//! for itself, in memory. Who is asking and which answer that gives is `cx`' and the doors' business.

mod kinds;
mod rates;

use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

pub use kinds::{ENDPOINTS, Limit};
pub use rates::{Given, Rates};

use crate::ambient::{MINUTE, Ms, SECOND};

/// How many seconds' worth may come at once.
pub const BURST_SECS: i64 = 5;

const HORIZON: i64 = BURST_SECS * 1_000_000;

/// Parts of the table with a lock each, and cells in each of a part's two rows.
const SHARDS: usize = 64;
const CELLS: usize = 1_024;

/// Token buckets for any number of keys in one megabyte. A cell says until when (in microseconds) its keys have used up what flows in;
/// a request moves that on by its share of a second, and is refused where it would come to lie more than `BURST_SECS` ahead (the
/// generic cell rate algorithm). Names and addresses are anybody's to invent, so keys have no entries of their own: each hashes to one
/// cell in each of two rows, and the emptier of the two counts. Strangers who share a cell are limited together only if both rows
/// agree, and nobody can push a full bucket out of memory by inventing keys.
pub struct Limits {
    rates: Rates,
    /// Seeded for each process: nobody can choose keys that fall together.
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

struct Shard {
    rows: [Vec<i64>; 2],
}

impl Limits {
    pub fn new(rates: Rates) -> Limits {
        let shard = || Shard { rows: [vec![0; CELLS], vec![0; CELLS]] };
        let shards = (0..SHARDS).map(|_| Mutex::new(shard())).collect();
        Limits { rates, hasher: RandomState::new(), shards }
    }

    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Takes one request from the bucket of this key; `false` where nothing is left. What is not limited is always there.
    pub fn take(&self, limit: Limit, key: &[&str], now: Ms) -> bool {
        let rate = i64::from(self.rates.of(limit));
        if rate == 0 {
            return true;
        }
        let hash = self.hasher.hash_one((limit, key));
        // Different bits of one hash choose the part and the two cells.
        let slice = |shift: u32, size: usize| usize::try_from(hash >> shift).unwrap_or(0) % size;
        let Some(shard) = self.shards.get(slice(0, SHARDS)) else { return true };
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let [one, other] = &mut shard.rows;
        let (Some(one), Some(other)) =
            (one.get_mut(slice(8, CELLS)), other.get_mut(slice(32, CELLS)))
        else {
            return true;
        };

        let now = now * (1_000_000 / SECOND);
        let until = |cell: i64| {
            // Nothing fills a bucket so far ahead but a clock that was set back, which must not refuse for hours.
            let possible = cell <= now + HORIZON + MINUTE * 1_000;
            if possible { cell.max(now) } else { now }
        };
        let next = until(*one).min(until(*other)) + (1_000_000 / rate).max(1);
        if next > now + HORIZON {
            return false;
        }
        *one = until(*one).max(next);
        *other = until(*other).max(next);
        true
    }
}

/// What of an address is one customer: an IPv4 address, or the /64 that each customer of IPv6 has to himself. `None` for this machine
/// and for what is no address: behind a proxy that is not configured as one, that would be everybody.
pub fn network(address: &str) -> Option<String> {
    match address.parse::<IpAddr>().ok()?.to_canonical() {
        ip if ip.is_loopback() || ip.is_unspecified() => None,
        IpAddr::V4(ip) => Some(ip.to_string()),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(format!("{a:x}:{b:x}:{c:x}:{d:x}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Ms = 1_790_000_000_000;

    fn limits(given: &str) -> Limits {
        Limits::new(Rates::off().with(&given.parse().unwrap()))
    }

    fn passes(limits: &Limits, key: &str, now: Ms) -> usize {
        (0..1_000).take_while(|_| limits.take(Limit::PerUser, &[key], now)).count()
    }

    #[test]
    fn five_seconds_worth_may_come_at_once_and_then_the_rate_holds() {
        let limits = limits("per_user=4");
        assert_eq!(passes(&limits, "ann", NOW), 20);
        assert_eq!(passes(&limits, "ann", NOW + 249), 0);
        assert_eq!(passes(&limits, "ann", NOW + 250), 1);
        assert_eq!(passes(&limits, "ann", NOW + 2_250), 8);
        assert_eq!(
            passes(&limits, "ann", NOW + 60_000),
            20,
            "a quiet minute gives no more than a burst"
        );
        assert_eq!(passes(&limits, "bob", NOW), 20, "keys do not share");
    }

    #[test]
    fn what_is_not_limited_is_always_there() {
        let limits = limits("per_client=1");
        assert_eq!(passes(&limits, "ann", NOW), 1_000);
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_refuse_for_hours() {
        let limits = limits("per_user=1");
        assert_eq!(passes(&limits, "ann", NOW), 5);
        assert_eq!(
            passes(&limits, "ann", NOW - 5),
            0,
            "a request out of order finds no new bucket"
        );
        assert_eq!(passes(&limits, "ann", NOW - 2 * MINUTE), 5);
    }

    #[test]
    fn a_full_bucket_stays_full_whatever_other_keys_come() {
        let limits = limits("per_user=1");
        assert_eq!(passes(&limits, "ann", NOW), 5);
        for n in 0..200_000 {
            limits.take(Limit::PerUser, &[&format!("invented {n}")], NOW);
        }
        assert!(!limits.take(Limit::PerUser, &["ann"], NOW));
    }

    #[test]
    fn a_thousand_keys_in_use_do_not_take_from_each_other() {
        let limits = limits("per_user=10");
        for n in 0..1_000 {
            let key = format!("user {n}");
            for _ in 0..20 {
                assert!(limits.take(Limit::PerUser, &[&key], NOW), "{key}");
            }
        }
    }

    #[test]
    fn racers_get_exactly_what_there_is() {
        let limits = limits("per_user=20");
        let taken = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        if limits.take(Limit::PerUser, &["ann"], NOW) {
                            taken.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 100);
    }

    #[test]
    fn an_ipv6_customer_is_one_whatever_address_of_the_64_is_used() {
        assert_eq!(network("2001:db8:1:2:3::4"), network("2001:db8:1:2:ffff::"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        for nobody in ["127.0.0.1", "::1", "", "unknown"] {
            assert_eq!(network(nobody), None, "{nobody}");
        }
    }
}
