//! What this process knows of those whom it tells something: who failed of late, and when the next attempt finds out whether they are
//! back. It is forgotten with the process; whoever is unknown is tried.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::ambient::{MINUTE, Ms, SECOND};

/// After so many failures in a row a target is tried only now and then.
const OPENS_AFTER: u32 = 3;

/// How often one is tried that fails.
const PROBE_MS: Ms = 5 * SECOND;

/// Attempts at once to find out whether somebody is back: those who hang leave room for those who do not.
const PROBES: usize = 64;

/// What was not heard of for so long is forgotten, once there are many.
const FORGET_MS: Ms = 10 * MINUTE;
const MANY: usize = 10_000;

pub struct Breakers {
    known: Mutex<Known>,
    probes: Arc<Semaphore>,
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
pub enum May {
    /// Everything that is due.
    All,
    /// One attempt, even with what is not due yet. As long as this lives it counts among the attempts at once.
    Probe(OwnedSemaphorePermit),
    Nothing,
}

impl Default for Breakers {
    fn default() -> Breakers {
        Breakers { known: Mutex::default(), probes: Arc::new(Semaphore::new(PROBES)) }
    }
}

impl Breakers {
    /// `due`: something is due for it, and not only put off.
    pub fn may(&self, target: &str, due: bool, now: Ms) -> May {
        let known = self.known.lock().ok().and_then(|known| known.targets.get(target).copied());
        let Some(known) = known else {
            return if due { May::All } else { self.probe() };
        };
        if now < known.not_before_ms {
            return May::Nothing;
        }
        if due && known.failures < OPENS_AFTER {
            return May::All;
        }
        // A clock that was set back must not stop it.
        let waited = (now - known.tried_ms).abs() >= PROBE_MS;
        if known.failures > 0 && waited { self.probe() } else { May::Nothing }
    }

    fn probe(&self) -> May {
        self.probes.clone().try_acquire_owned().map_or(May::Nothing, May::Probe)
    }

    /// An attempt failed in a way that may pass; `not_before_ms` is when it asked to be tried again.
    pub fn failed(&self, target: &str, not_before_ms: Option<Ms>, now: Ms) {
        let Ok(mut known) = self.known.lock() else { return };
        known.forget(now);
        let known = known.targets.entry(target.to_owned()).or_default();
        known.failures = known.failures.saturating_add(1);
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

    fn told(may: &May) -> &'static str {
        match may {
            May::All => "all",
            May::Probe(_) => "probe",
            May::Nothing => "nothing",
        }
    }

    #[test]
    fn one_that_fails_again_and_again_is_tried_every_five_seconds_until_it_answers() {
        let breakers = Breakers::default();
        let may = |due, now| told(&breakers.may("a", due, now));
        assert_eq!((may(true, 0), may(false, 0)), ("all", "probe"));
        breakers.failed("a", None, 0);
        assert_eq!((may(true, 0), may(false, 0)), ("all", "nothing"));
        breakers.failed("a", None, 1);
        breakers.failed("a", None, 2);
        assert_eq!(
            (may(true, 5_001), may(true, 5_002), may(false, 5_002)),
            ("nothing", "probe", "probe")
        );
        assert_eq!(told(&breakers.may("b", true, 3)), "all");
        assert!(breakers.answered("a", 5_010));
        assert!(!breakers.answered("a", 5_011));
        assert_eq!((may(true, 5_012), may(false, 99_999)), ("all", "nothing"));
    }

    #[test]
    fn one_that_asks_for_patience_gets_it() {
        let breakers = Breakers::default();
        breakers.failed("a", Some(60_000), 0);
        assert_eq!(told(&breakers.may("a", true, 59_999)), "nothing");
        assert_eq!(told(&breakers.may("a", true, 60_000)), "all");
    }

    #[test]
    fn those_who_hang_take_only_so_many_attempts_at_once() {
        let breakers = Breakers::default();
        let mut held: Vec<May> =
            (0..PROBES).map(|n| breakers.may(&n.to_string(), false, 0)).collect();
        assert!(held.iter().all(|may| told(may) == "probe"));
        assert_eq!(told(&breakers.may("one more", false, 0)), "nothing");
        assert_eq!(told(&breakers.may("one that works", true, 0)), "all");
        held.pop();
        assert_eq!(told(&breakers.may("one more", false, 0)), "probe");
    }
}
