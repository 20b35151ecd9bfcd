//! The verifier against a server that behaves, and against one that does not.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "tests measure, wait and sign")]

mod fake;
mod follow;
mod guards;
mod keys;
mod layers;
mod policies;
mod restarts;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use cenote_verifier::{Builder, Clock, Freshness, SystemClock, Verifier};
use fake::{CLIENT, Fake, SECRET};

/// The machine's clocks, moved by hand.
#[derive(Default)]
pub struct Moved {
    pub monotonic: AtomicU64,
    pub wall: AtomicI64,
}

impl Clock for Moved {
    fn monotonic_ms(&self) -> u64 {
        SystemClock.monotonic_ms() + self.monotonic.load(SeqCst)
    }

    fn wall_ms(&self) -> u64 {
        SystemClock.wall_ms().saturating_add_signed(self.wall.load(SeqCst))
    }
}

impl Moved {
    /// Both go on, as in a sleep.
    pub fn pass(&self, ms: u64) {
        self.monotonic.fetch_add(ms, SeqCst);
        self.wall.fetch_add(ms as i64, SeqCst);
    }
}

pub fn setup(fake: &Fake) -> Builder {
    Verifier::builder(fake.issuer(), "orders-1").client(CLIENT, SECRET)
}

pub async fn ready(builder: Builder) -> Verifier {
    let verifier = builder.start().unwrap();
    within(verifier.ready()).await;
    verifier
}

pub async fn started(fake: &Fake) -> Verifier {
    ready(setup(fake)).await
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("ten seconds should do")
}

/// Asks again and again.
pub async fn until(mut is: impl AsyncFnMut() -> bool) {
    within(async {
        while !is().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

pub async fn is_fresh(verifier: &Verifier) {
    until(async || verifier.freshness() == Freshness::Fresh).await;
}

pub fn moved() -> Arc<Moved> {
    Arc::default()
}
