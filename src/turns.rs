//! The turns of workers at those whom they tell something: one at a time for each target, and no target waits for another that hangs.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use tokio::task::JoinHandle;

/// Turns at once; a target that finds no place has its turn a little later. Fewer than requests may leave at once (`outgoing`), so that
/// who is signing in through a provider is not kept waiting by those who are told of sign-outs, even if all of them hang.
const AT_ONCE: usize = 224;

#[derive(Clone, Default)]
pub struct Turns(Arc<Mutex<HashSet<String>>>);

impl Turns {
    /// Runs a turn in a task of its own. `None`: this target's last one is still under way, or there are too many.
    pub fn take<F>(&self, target: String, turn: impl FnOnce() -> F) -> Option<JoinHandle<F::Output>>
    where
        F: Future<Output: Send> + Send + 'static,
    {
        {
            let mut targets = self.0.lock().ok()?;
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
}

struct Place {
    turns: Turns,
    target: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Ok(mut targets) = self.turns.0.lock() {
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

    #[tokio::test]
    async fn a_turn_that_panics_gives_its_place_back() {
        let turns = Turns::default();
        assert!(turns.take("a".into(), || async { panic!("on purpose") }).unwrap().await.is_err());
        assert!(turns.take("a".into(), || async {}).is_some());
    }
}
