//! What this process knows of those whom it tells something: who failed of late, when the next attempt finds out whether they are
//! back, and how much at once is left to those of whom nobody knows whether they answer. It is forgotten with the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ambient::{MINUTE, Ms, SECOND};

/// After so many failures in a row a target is tried only now and then.
const OPENS_AFTER: u32 = 3;

/// How often one is tried that fails.
const PROBE_MS: Ms = 5 * SECOND;

/// Attempts at once to find out whether somebody is back, and attempts at those who were not heard of yet: who hangs leaves room for who
/// answers. Together they are fewer than `turns` has.
const PROBES: usize = 64;
const STRANGERS: usize = 128;

/// What was not heard of for so long is forgotten, once there are many.
const FORGET_MS: Ms = 10 * MINUTE;
const MANY: usize = 10_000;

pub struct Breakers {
    known: Mutex<Known>,
    probes: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

#[derive(Default)]
struct Known {
    targets: HashMap<String, Target>,
    forgot_ms: Ms,
}

#[derive(Clone, Copy, Default)]
struct Target {
    /// In a row.
    failures: u32,
    tried_ms: Ms,
    /// It asked not to be tried before.
    not_before_ms: Ms,
}

/// What may be done at a target now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Everything that is due.
    All,
    /// The same, at one that was not heard of yet. It takes a place among those (`meet`).
    Meet,
    /// One attempt, even with what is not due yet. It takes a place among those (`probe`); who was tried longest ago comes first.
    Probe {
        tried_ms: Ms,
    },
    Nothing,
}

impl Default for Breakers {
    fn default() -> Breakers {
        Breakers {
            known: Mutex::default(),
            probes: Arc::new(Semaphore::new(PROBES)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
        }
    }
}

impl Breakers {
    /// `due`: something is due for it, and not only put off.
    pub fn may(&self, target: &str, due: bool, now: Ms) -> May {
        let known = self.known.lock().ok().and_then(|known| known.targets.get(target).copied());
        let Some(known) = known else {
            return if due { May::Meet } else { May::Probe { tried_ms: 0 } };
        };
        if now < known.not_before_ms {
            return May::Nothing;
        }
        if due && known.failures < OPENS_AFTER {
            return May::All;
        }
        // A clock that was set back must not stop it.
        let waited = (now - known.tried_ms).abs() >= PROBE_MS;
        if known.failures > 0 && waited {
            May::Probe { tried_ms: known.tried_ms }
        } else {
            May::Nothing
        }
    }

    /// A place for a first attempt, for as long as it is held.
    pub fn meet(&self) -> Option<OwnedSemaphorePermit> {
        self.strangers.clone().try_acquire_owned().ok()
    }

    /// The same for an attempt to find out whether somebody is back.
    pub fn probe(&self) -> Option<OwnedSemaphorePermit> {
        self.probes.clone().try_acquire_owned().ok()
    }

    /// An attempt failed in a way that may pass; `not_before_ms` is when it asked to be tried again.
    pub fn failed(&self, target: &str, not_before_ms: Option<Ms>, now: Ms) {
        self.fails(target, 1, not_before_ms, now);
    }

    /// It did not answer at all. What costs that long is not repeated at once.
    pub fn hung(&self, target: &str, now: Ms) {
        self.fails(target, OPENS_AFTER, None, now);
    }

    fn fails(&self, target: &str, failures: u32, not_before_ms: Option<Ms>, now: Ms) {
        let Ok(mut known) = self.known.lock() else { return };
        known.forget(now);
        let known = known.targets.entry(target.to_owned()).or_default();
        known.failures = known.failures.saturating_add(failures);
        known.tried_ms = now;
        known.not_before_ms = not_before_ms.unwrap_or(0);
    }

    /// It answered, whatever it said. True where it is back: it had failed again and again, or was not known.
    pub fn answered(&self, target: &str, now: Ms) -> bool {
        let Ok(mut known) = self.known.lock() else { return false };
        known.forget(now);
        let answered = Target { tried_ms: now, ..Target::default() };
        let before = known.targets.insert(target.to_owned(), answered);
        before.is_none_or(|before| before.failures >= OPENS_AFTER)
    }

    /// What was learned of it may not have been written down: it is as one that was not heard of.
    pub fn forget(&self, target: &str) {
        if let Ok(mut known) = self.known.lock() {
            known.targets.remove(target);
        }
    }
}

impl Known {
    fn forget(&mut self, now: Ms) {
        if self.targets.len() >= MANY && (now - self.forgot_ms).abs() >= MINUTE {
            self.targets.retain(|_, target| (now - target.tried_ms).abs() < FORGET_MS);
            self.forgot_ms = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_fails_again_and_again_is_tried_every_five_seconds_until_it_answers() {
        let breakers = Breakers::default();
        let may = |due, now| breakers.may("a", due, now);
        assert_eq!((may(true, 0), may(false, 0)), (May::Meet, May::Probe { tried_ms: 0 }));
        breakers.failed("a", None, 0);
        assert_eq!((may(true, 0), may(false, 0)), (May::All, May::Nothing));
        breakers.failed("a", None, 1);
        breakers.failed("a", None, 2);
        let probe = May::Probe { tried_ms: 2 };
        assert_eq!(
            (may(true, 5_001), may(true, 5_002), may(false, 5_002)),
            (May::Nothing, probe, probe)
        );
        assert_eq!(breakers.may("b", true, 3), May::Meet);
        assert!(breakers.answered("a", 5_010));
        assert!(!breakers.answered("a", 5_011));
        assert_eq!((may(true, 5_012), may(false, 99_999)), (May::All, May::Nothing));
    }

    #[test]
    fn one_that_does_not_answer_at_all_is_left_alone_at_once() {
        let breakers = Breakers::default();
        breakers.answered("a", 0);
        breakers.hung("a", 1);
        assert_eq!(breakers.may("a", true, 5_000), May::Nothing);
        assert_eq!(breakers.may("a", true, 5_001), May::Probe { tried_ms: 1 });
        assert!(breakers.answered("a", 5_002));
        assert_eq!(breakers.may("a", true, 5_003), May::All);
    }

    #[test]
    fn one_that_asks_for_patience_gets_it() {
        let breakers = Breakers::default();
        breakers.failed("a", Some(60_000), 0);
        assert_eq!(breakers.may("a", true, 59_999), May::Nothing);
        assert_eq!(breakers.may("a", true, 60_000), May::All);
    }

    #[test]
    fn those_who_may_hang_take_only_so_many_attempts_at_once() {
        let breakers = Breakers::default();
        let mut probes: Vec<_> = (0..PROBES).map(|_| breakers.probe().unwrap()).collect();
        let strangers: Vec<_> = (0..STRANGERS).map(|_| breakers.meet().unwrap()).collect();
        assert!(breakers.probe().is_none() && breakers.meet().is_none());
        probes.pop();
        assert!(breakers.probe().is_some() && breakers.meet().is_none());
        drop(strangers);
        assert!(breakers.meet().is_some());
    }

    #[test]
    fn one_that_was_forgotten_is_met_anew_and_back_when_it_answers() {
        let breakers = Breakers::default();
        breakers.answered("a", 0);
        breakers.forget("a");
        assert_eq!(breakers.may("a", true, 1), May::Meet);
        assert!(breakers.answered("a", 2));
    }
}
