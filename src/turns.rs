//! The turns of workers at those whom they tell something: one at a time for each target, and no target waits for another that hangs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// Turns at once; a target that finds no place has its turn a little later. With `BESIDE` fewer than requests may leave at once
/// (`outgoing`), so that who is signing in through a provider is not kept waiting by those who are told of sign-outs, even if all hang.
const AT_ONCE: usize = 200;

/// Requests of turns that make more than one at a time, besides that one.
const BESIDE: usize = 28;

#[derive(Clone)]
pub struct Turns {
    targets: Arc<Mutex<HashSet<String>>>,
    beside: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Turns {
        Turns { targets: Arc::default(), beside: Arc::new(Semaphore::new(BESIDE)) }
    }
}

impl Turns {
    /// Runs a turn in a task of its own. `None`: this target's last one is still under way, or there are too many.
    pub fn take<F>(&self, target: String, turn: impl FnOnce() -> F) -> Option<JoinHandle<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        {
            let mut targets = self.targets.lock().ok()?;
            if targets.len() >= AT_ONCE || !targets.insert(target.clone()) {
                return None;
            }
        }
        // It lives as long as the turn, however that ends.
        let place = Place { turns: self.clone(), target };
        let turn = turn();
        Some(tokio::spawn(async move {
            let _place = place;
            turn.await
        }))
    }

    /// Places for requests beside the one that a turn has: up to that many, as long as what is returned lives.
    pub fn beside(&self, most: usize) -> Option<OwnedSemaphorePermit> {
        let free = self.beside.available_permits().min(most);
        self.beside.clone().try_acquire_many_owned(u32::try_from(free).ok()?).ok()
    }
}

struct Place {
    turns: Turns,
    target: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut targets) = self.turns.targets.lock() {
            targets.remove(&self.target);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_target_has_one_turn_at_a_time_and_another_once_that_is_over() {
        let turns = Turns::default();
        let first = turns.take("a".into(), std::future::pending::<()>).unwrap();
        assert!(turns.take("a".into(), || async {}).is_none());
        turns.take("b".into(), || async {}).unwrap().await.unwrap();
        first.abort();
        assert!(first.await.is_err());
        turns.take("a".into(), || async {}).unwrap().await.unwrap();
    }

    #[test]
    fn what_goes_beside_is_bounded_over_all_turns() {
        let turns = Turns::default();
        let held: Vec<_> = (0..5).map(|_| turns.beside(7).unwrap()).collect();
        let places: Vec<_> = held.iter().map(OwnedSemaphorePermit::num_permits).collect();
        assert_eq!(places, [7, 7, 7, 7, 0]);
        drop(held);
        assert_eq!(turns.beside(BESIDE + 1).unwrap().num_permits(), BESIDE);
    }

    #[tokio::test]
    async fn a_turn_that_panics_gives_its_place_back() {
        let turns = Turns::default();
        assert!(turns.take("a".into(), || async { panic!("on purpose") }).unwrap().await.is_err());
        assert!(turns.take("a".into(), || async {}).is_some());
    }
}
