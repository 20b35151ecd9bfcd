//! The bounded pool for arithmetic that takes milliseconds: one thread for each core and two queues. Signatures go first, because they
//! are what finishes a request, and a refresh is little else: whatever flood of sign-ins there is, it waits for no more than the jobs
//! that are running. But after `STREAK` signatures in a row a password that waits has its turn.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::meters;

/// Signatures that may pass one password that waits.
const STREAK: usize = 8;

/// Passwords that wait at most, for each core: about a second.
const PASSWORDS: usize = 256;

/// From so many waiting signatures on, for each core, no request is let in that would need another: about half a second. Those that
/// are in have changed the database and must get theirs.
const BUSY: usize = 512;

/// Signatures that wait at most, whatever happens.
const SIGNATURES: usize = 16_384;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    Signing,
    Arithmetic,
}

impl Queue {
    pub fn name(self) -> &'static str {
        match self {
            Queue::Signing => "signing",
            Queue::Arithmetic => "arithmetic",
        }
    }
}

pub struct Compute {
    shared: Arc<Shared>,
    cores: usize,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    meters: meters::Compute,
}

#[derive(Default)]
struct State {
    signing: VecDeque<Job>,
    arithmetic: VecDeque<Job>,
    /// Signatures in a row.
    streak: usize,
    running: usize,
    closed: bool,
}

struct Job {
    queue: Queue,
    since: Instant,
    work: Box<dyn FnOnce() + Send>,
}

/// How many wait in each queue, and how many are running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    pub signing: usize,
    pub arithmetic: usize,
    pub running: usize,
}

impl Compute {
    /// As many threads as there are cores.
    pub fn start(cores: usize, meters: meters::Compute) -> Result<Compute> {
        let cores = cores.max(1);
        let shared = Arc::new(Shared { state: Mutex::default(), wake: Condvar::new(), meters });
        // Made first: if a thread cannot be had, dropping this ends the others.
        let compute = Compute { shared: shared.clone(), cores };
        for n in 0..cores {
            let shared = shared.clone();
            std::thread::Builder::new()
                .name(format!("compute-{n}"))
                .spawn(move || work(&shared))
                .map_err(|error| Error::internal(format!("a thread cannot be started: {error}")))?;
        }
        Ok(compute)
    }

    /// Password arithmetic and the making of keys.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.submit(Queue::Arithmetic, work).await
    }

    /// Signatures: all of one answer in one job.
    pub async fn sign<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        self.submit(Queue::Signing, work).await
    }

    /// Whether so many signatures wait that nothing should begin that needs another.
    pub fn is_busy(&self) -> bool {
        self.shared.lock().signing.len() >= BUSY * self.cores
    }

    pub fn load(&self) -> Load {
        let state = self.shared.lock();
        Load {
            signing: state.signing.len(),
            arithmetic: state.arithmetic.len(),
            running: state.running,
        }
    }

    async fn submit<T: Send + 'static>(
        &self,
        queue: Queue,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let (answer, result) = oneshot::channel();
        let work = Box::new(move || {
            // Nobody needs what nobody waits for any more.
            if !answer.is_closed() {
                let _ = answer.send(work());
            }
        });
        self.push(queue, work)?;
        result.await.map_err(|_| Error::internal(format!("a job for {} panicked", queue.name())))
    }

    fn push(&self, queue: Queue, work: Box<dyn FnOnce() + Send>) -> Result<()> {
        #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
        let job = Job { queue, since: Instant::now(), work };
        let mut state = self.shared.lock();
        let (jobs, most) = match queue {
            Queue::Signing => (&mut state.signing, SIGNATURES),
            Queue::Arithmetic => (&mut state.arithmetic, PASSWORDS * self.cores),
        };
        if jobs.len() >= most {
            drop(state);
            self.shared.meters.refuse(queue.name());
            return Err(Error::new(Kind::TooManyRequests, "Rate exceeded")
                .because(format!("the queue for {} is full", queue.name())));
        }
        jobs.push_back(job);
        drop(state);
        self.shared.wake.notify_one();
        Ok(())
    }
}

impl Drop for Compute {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.wake.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next(&mut self) -> Option<Job> {
        let passed_over = self.streak >= STREAK && !self.arithmetic.is_empty();
        if !passed_over && let Some(job) = self.signing.pop_front() {
            self.streak += 1;
            return Some(job);
        }
        self.streak = 0;
        self.arithmetic.pop_front()
    }
}

fn work(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        if state.closed {
            return;
        }
        let Some(job) = state.next() else {
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            continue;
        };
        state.running += 1;
        drop(state);
        #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
        shared.meters.begin(job.queue.name(), job.since.elapsed());
        // A panic drops the sender of the answer, which tells whoever waits; the thread goes on.
        if catch_unwind(AssertUnwindSafe(job.work)).is_err() {
            tracing::error!(queue = job.queue.name(), "a job panicked");
        }
        state = shared.lock();
        state.running -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A pool of one thread that does nothing until the sender is dropped, and the order in which what is then waiting gets done.
    struct Bench {
        compute: Arc<Compute>,
        gate: Option<mpsc::Sender<()>>,
        done: Arc<Mutex<Vec<&'static str>>>,
        waiting: Vec<tokio::task::JoinHandle<Result<()>>>,
    }

    impl Bench {
        async fn closed() -> Bench {
            let compute = Arc::new(Compute::start(1, meters::Compute::default()).unwrap());
            let (gate, closed) = mpsc::channel::<()>();
            let mut bench =
                Bench { compute, gate: Some(gate), done: Arc::default(), waiting: Vec::new() };
            let compute = bench.compute.clone();
            bench.waiting.push(tokio::spawn(async move {
                compute.run(move || closed.recv().is_err()).await.map(drop)
            }));
            bench.until(|load| load.running == 1).await;
            bench
        }

        async fn until(&self, reached: impl Fn(Load) -> bool) {
            while !reached(self.compute.load()) {
                tokio::task::yield_now().await;
            }
        }

        fn add(&mut self, queue: Queue) {
            let (compute, done) = (self.compute.clone(), self.done.clone());
            self.waiting.push(tokio::spawn(async move {
                compute.submit(queue, move || done.lock().unwrap().push(queue.name())).await
            }));
        }

        async fn order(mut self) -> Vec<&'static str> {
            drop(self.gate.take());
            for job in self.waiting {
                job.await.unwrap().unwrap();
            }
            self.done.lock().unwrap().clone()
        }
    }

    #[tokio::test]
    async fn a_signature_passes_every_password_that_waits() {
        let mut bench = Bench::closed().await;
        for _ in 0..200 {
            bench.add(Queue::Arithmetic);
        }
        bench.until(|load| load.arithmetic == 200).await;
        for _ in 0..5 {
            bench.add(Queue::Signing);
        }
        bench.until(|load| load.signing == 5).await;
        let order = bench.order().await;
        assert_eq!(order.len(), 205);
        assert_eq!(order[..5], ["signing"; 5]);
    }

    #[tokio::test]
    async fn signatures_do_not_starve_passwords() {
        let mut bench = Bench::closed().await;
        for _ in 0..100 {
            bench.add(Queue::Signing);
        }
        for _ in 0..5 {
            bench.add(Queue::Arithmetic);
        }
        bench.until(|load| load.signing == 100 && load.arithmetic == 5).await;
        let order = bench.order().await;
        let at: Vec<usize> = (0..order.len()).filter(|at| order[*at] == "arithmetic").collect();
        assert_eq!(at, [8, 17, 26, 35, 44]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_a_busy_pool_says_so() {
        let mut bench = Bench::closed().await;
        for _ in 0..PASSWORDS {
            bench.add(Queue::Arithmetic);
        }
        bench.until(|load| load.arithmetic == PASSWORDS).await;
        let refused = bench.compute.run(|| ()).await.unwrap_err();
        assert_eq!((refused.kind, &*refused.message), (Kind::TooManyRequests, "Rate exceeded"));
        assert!(!bench.compute.is_busy());
        for _ in 0..BUSY {
            bench.add(Queue::Signing);
        }
        bench.until(|load| load.signing == BUSY).await;
        assert!(bench.compute.is_busy());
        bench.order().await;
    }

    #[tokio::test]
    async fn a_panic_is_an_error_of_its_own_request_and_of_no_other() {
        let compute = Compute::start(1, meters::Compute::default()).unwrap();
        let panicked = compute.run(|| panic!("on purpose")).await;
        assert_eq!(panicked.unwrap_err().kind, Kind::Internal);
        assert_eq!(compute.run(|| 7).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn nothing_is_computed_for_a_caller_who_went_away() {
        let mut bench = Bench::closed().await;
        bench.add(Queue::Arithmetic);
        bench.until(|load| load.arithmetic == 1).await;
        let gone = bench.waiting.pop().unwrap();
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
        bench.add(Queue::Signing);
        assert_eq!(bench.order().await, ["signing"]);
    }
}
