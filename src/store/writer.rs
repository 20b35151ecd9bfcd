//! SQLite's one writer: a thread that takes what is queued, runs each batch in a savepoint of one transaction, and
//! answers all of them after its one fsync.

use std::fs::File;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, ffi, params_from_iter};
use tokio::sync::oneshot;

use super::batch::Entry;
use super::sqlite::{failure, lost};
use crate::error::{Error, Result};
use crate::meters;

/// Batches that share one fsync at most. There is no timer: under load the queue fills while the disk syncs.
const GROUP: usize = 64;

/// Batches that wait at most; beyond it a request is refused at once instead of timing out later.
const QUEUE: usize = 1024;

pub struct Writer {
    queue: SyncSender<Message>,
    meters: meters::Store,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Job(Job),
    Stop,
}

struct Job {
    entries: Vec<Entry>,
    answer: oneshot::Sender<Result<()>>,
}

impl Writer {
    /// `lock` is held until the thread has ended.
    pub fn start(
        connection: Connection,
        lock: Option<File>,
        meters: meters::Store,
    ) -> std::io::Result<Writer> {
        let (queue, jobs) = sync_channel(QUEUE);
        let counted = meters.clone();
        let thread =
            std::thread::Builder::new().name("sqlite-writer".to_owned()).spawn(move || {
                run(&connection, &jobs, &counted);
                drop(connection);
                drop(lock);
            })?;
        Ok(Writer { queue, meters, thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn commit(&self, entries: Vec<Entry>) -> Result<()> {
        let (answer, outcome) = oneshot::channel();
        // Before it can be taken out again.
        self.meters.sqlite_queue.inc();
        self.queue.try_send(Message::Job(Job { entries, answer })).map_err(|error| {
            self.meters.sqlite_queue.dec();
            Error::unavailable(match error {
                TrySendError::Full(_) => "the write queue is full",
                TrySendError::Disconnected(_) => "the writer has stopped",
            })
        })?;
        outcome
            .await
            .unwrap_or_else(|_| Err(Error::unavailable("the writer stopped: outcome unknown")))
    }

    /// Waits until what is queued is done; blocks.
    pub fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // If the queue is gone, so is the thread.
            let _ = self.queue.send(Message::Stop);
            if thread.join().is_err() {
                tracing::error!("the SQLite writer panicked");
            }
        }
    }
}

fn run(connection: &Connection, jobs: &Receiver<Message>, meters: &meters::Store) {
    let mut stopping = false;
    while !stopping {
        let Ok(Message::Job(first)) = jobs.recv() else { return };
        let mut group = vec![first];
        while group.len() < GROUP && !stopping {
            match jobs.try_recv() {
                Ok(Message::Job(job)) => group.push(job),
                Ok(Message::Stop) => stopping = true,
                Err(_) => break,
            }
        }
        meters.sqlite_queue.dec_by(i64::try_from(group.len()).unwrap_or(0));
        #[allow(clippy::cast_precision_loss, reason = "64 at most")]
        meters.sqlite_group.observe(group.len() as f64);
        // No answer leaves before COMMIT, a miss neither: it may rest on a row that another batch of the group wrote.
        let outcomes = match commit(connection, &group) {
            Ok(outcomes) => outcomes,
            Err(error) => {
                tracing::error!(%error, batches = group.len(), "SQLite undid a group of batches");
                group.iter().map(|_| Err(Error::unavailable(&error))).collect()
            }
        };
        for (job, outcome) in group.into_iter().zip(outcomes) {
            // A caller that went away does not want its answer.
            let _ = job.answer.send(outcome);
        }
    }
}

/// One transaction. An error means that none of the group is known to be stored.
fn commit(connection: &Connection, group: &[Job]) -> rusqlite::Result<Vec<Result<()>>> {
    let outcomes = (|| {
        step(connection, "BEGIN IMMEDIATE")?;
        let outcomes = group
            .iter()
            .map(|job| batch(connection, &job.entries))
            .collect::<rusqlite::Result<_>>()?;
        step(connection, "COMMIT")?;
        Ok(outcomes)
    })();
    // SQLite undoes the transaction itself after some errors; whatever is left of it must not leak into the next group.
    if !connection.is_autocommit()
        && let Err(error) = step(connection, "ROLLBACK")
    {
        tracing::error!(%error, "SQLite could not roll back");
    }
    outcomes
}

/// One batch in its savepoint. The inner result is its answer; the outer error takes the group with it.
fn batch(connection: &Connection, entries: &[Entry]) -> rusqlite::Result<Result<()>> {
    step(connection, "SAVEPOINT batch")?;
    for entry in entries {
        let changes = connection
            .prepare_cached(entry.sql)
            .and_then(|mut statement| statement.execute(params_from_iter(&entry.params)));
        let answer = match changes {
            Ok(changes) => match entry.miss(changes as u64) {
                None => continue,
                Some(miss) => miss,
            },
            Err(error) if lost(&error) || connection.is_autocommit() => return Err(error),
            Err(error) if duplicate(&error) => entry.duplicate(error),
            Err(error) => failure(&error),
        };
        step(connection, "ROLLBACK TO batch")?;
        step(connection, "RELEASE batch")?;
        return Ok(Err(answer));
    }
    step(connection, "RELEASE batch")?;
    Ok(Ok(()))
}

fn step(connection: &Connection, sql: &'static str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute(()).map(drop)
}

/// Other constraints (NOT NULL, CHECK) are mistakes of ours, as on PostgreSQL.
fn duplicate(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| {
        error.code == ErrorCode::ConstraintViolation
            && matches!(
                error.extended_code,
                ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            )
    })
}
