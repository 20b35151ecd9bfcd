//! Lock-out after wrong passwords (`cognito-behaviour`, 8.1), pure. From the fifth failure the account is locked for a second,
//! and twice as long after each further one, to about 15 minutes. Attempts during a lock are refused and do not count.

use crate::ambient::{MINUTE, Ms, SECOND};

const FREE_FAILURES: i64 = 5;
const LONGEST_MS: Ms = 15 * MINUTE;

/// Failures in a row, and when the last one was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    pub failures: i64,
    pub failed_ms: Ms,
}

impl Lock {
    pub fn holds(self, now: Ms) -> bool {
        let Some(doublings) =
            self.failures.checked_sub(FREE_FAILURES).filter(|doublings| *doublings >= 0)
        else {
            return false;
        };
        let length = SECOND
            .checked_shl(u32::try_from(doublings.min(20)).unwrap_or(20))
            .unwrap_or(LONGEST_MS)
            .min(LONGEST_MS);
        !self.is_over(now) && now.max(self.failed_ms) < self.failed_ms + length
    }

    /// The state after one more failure. A quarter of an hour without an attempt starts the count again. A request that comes
    /// out of order, or from a node whose clock is behind, counts as if it came when the last failure did.
    pub fn next(self, now: Ms) -> Lock {
        if self.is_over(now) {
            return Lock { failures: 1, failed_ms: now };
        }
        Lock { failures: self.failures + 1, failed_ms: self.failed_ms.max(now) }
    }

    /// Long ago; or so far ahead that the clock must have been set back, which may not prolong a lock for ever.
    fn is_over(self, now: Ms) -> bool {
        (now - self.failed_ms).abs() >= LONGEST_MS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fifth_failure_locks_for_a_second_and_each_further_one_doubles() {
        let lock = |failures| Lock { failures, failed_ms: 1_000_000 };
        assert!(!lock(4).holds(1_000_000));
        assert!(lock(5).holds(1_000_999) && !lock(5).holds(1_001_000));
        assert!(lock(6).holds(1_001_999) && !lock(6).holds(1_002_000));
        assert!(lock(10).holds(1_031_999) && !lock(10).holds(1_032_000));
        assert!(
            lock(60).holds(1_000_000 + LONGEST_MS - 1) && !lock(60).holds(1_000_000 + LONGEST_MS)
        );
    }

    #[test]
    fn a_quiet_quarter_of_an_hour_starts_the_count_again() {
        let lock = Lock { failures: 9, failed_ms: 1_000_000 };
        assert_eq!(lock.next(1_000_000 + LONGEST_MS - 1).failures, 10);
        assert_eq!(lock.next(1_000_000 + LONGEST_MS).failures, 1);
    }

    #[test]
    fn a_request_out_of_order_neither_unlocks_nor_forgets() {
        let lock = Lock { failures: 6, failed_ms: 1_000_000 };
        assert!(lock.holds(999_000), "an earlier request is under the lock as well");
        assert_eq!(lock.next(999_000), Lock { failures: 7, failed_ms: 1_000_000 });
        assert!(
            !lock.holds(1_000_000 - LONGEST_MS),
            "a clock that was set back does not lock for ever"
        );
    }
}
