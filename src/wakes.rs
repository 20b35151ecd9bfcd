//! Telling workers of this process that there is something to do now, so that nobody waits for their next round. What is missed here
//! (another server committed it, or this one was killed) they find by themselves.

use std::sync::Arc;

use tokio::sync::{Notify, broadcast};

#[derive(Default)]
pub struct Wakes {
    /// A record is to be numbered.
    pub sequence: Notify,
    /// A record is to be expanded into deliveries.
    pub expand: Notify,
    /// A delivery is due.
    pub deliver: Notify,
    /// A provider is owed something.
    pub providers: Notify,
    /// Something is held for a receiver that may be waiting for it.
    pub held: Held,
}

impl Wakes {
    /// After the commit of a sign-out; `owed`: identity providers may be owed something.
    pub fn signed_out(&self, owed: bool) {
        self.sequence.notify_one();
        self.expand.notify_one();
        if owed {
            self.providers.notify_one();
        }
    }
}

/// By lane: of hundreds who wait, those alone ask the database for whom there is something.
pub struct Held(broadcast::Sender<Arc<str>>);

/// What is told faster than somebody listens makes that one look as well.
const TOLD_AT_ONCE: usize = 1_024;

impl Default for Held {
    fn default() -> Held {
        Held(broadcast::Sender::new(TOLD_AT_ONCE))
    }
}

impl Held {
    /// Something is held in this lane now.
    pub fn tell(&self, lane: &str) {
        // Nobody listens, most of the time.
        let _ = self.0.send(Arc::from(lane));
    }

    /// From here on nothing is missed.
    pub fn listen(&self) -> Listener {
        Listener(self.0.subscribe())
    }
}

pub struct Listener(broadcast::Receiver<Arc<str>>);

impl Listener {
    /// Until something is held in the lane, or may be.
    pub async fn hears(&mut self, lane: &str) {
        loop {
            match self.0.recv().await {
                Ok(told) if *told != *lane => {}
                Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }
}
