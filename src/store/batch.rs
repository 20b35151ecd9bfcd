//! A batch: the statements that an operation commits, all or nothing, each with the number of rows that it must touch
//! and the error that a miss means.

use std::fmt;

use super::value::{self, Val};
use crate::error::{Error, Result};

/// The order in which rows are locked, the same for every operation, so that two of them never wait for each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rank {
    Meta,
    Pool,
    Client,
    Domain,
    Group,
    User,
    Factor,
    Member,
    Login,
    SsoSession,
    TokenSession,
    RefreshToken,
    Code,
    Record,
    Job,
}

/// Modules add their statements in any order: at commit they are sorted by rank, and within a rank they keep the order in
/// which they were added. The first statement in that order that misses decides the answer.
#[derive(Default)]
pub struct Batch {
    entries: Vec<Entry>,
    then: Vec<Box<dyn FnOnce() + Send>>,
}

pub(super) struct Entry {
    rank: Rank,
    pub sql: &'static str,
    pub params: Vec<Val>,
    guard: Option<Guard>,
}

struct Guard {
    rows: u64,
    miss: Error,
}

impl Batch {
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Must touch exactly `rows` rows; otherwise, or if it violates a unique key, the whole batch is undone and `miss` is the answer.
    pub fn exactly(
        &mut self,
        rank: Rank,
        rows: u64,
        sql: &'static str,
        params: Vec<Val>,
        miss: Error,
    ) {
        self.entries.push(Entry { rank, sql, params, guard: Some(Guard { rows, miss }) });
    }

    /// Must touch exactly one row.
    pub fn one(&mut self, rank: Rank, sql: &'static str, params: Vec<Val>, miss: Error) {
        self.exactly(rank, 1, sql, params, miss);
    }

    /// May touch any number of rows, none included.
    pub fn any(&mut self, rank: Rank, sql: &'static str, params: Vec<Val>) {
        self.entries.push(Entry { rank, sql, params, guard: None });
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Runs once the batch is committed, and never if it is not. Not for what must happen: the caller may go away, the process end.
    pub fn then(&mut self, act: impl FnOnce() + Send + 'static) {
        self.then.push(Box::new(act));
    }

    pub fn append(&mut self, mut other: Batch) {
        self.entries.append(&mut other.entries);
        self.then.append(&mut other.then);
    }

    pub(super) fn take_then(&mut self) -> Vec<Box<dyn FnOnce() + Send>> {
        std::mem::take(&mut self.then)
    }

    /// The statements in lock order, checked for values that only one of the databases would take.
    pub(super) fn into_entries(mut self) -> Result<Vec<Entry>> {
        self.entries.sort_by_key(|entry| entry.rank);
        for entry in &self.entries {
            value::check(&entry.params)?;
        }
        Ok(self.entries)
    }
}

impl Entry {
    /// The answer if the statement touched `rows` rows and should not have.
    pub fn miss(&self, rows: u64) -> Option<Error> {
        self.guard.as_ref().filter(|guard| guard.rows != rows).map(|guard| guard.miss.clone())
    }

    /// The answer if the statement violated a unique key: for a guard that is its miss, elsewhere a mistake of ours.
    pub fn duplicate(&self, cause: impl fmt::Display) -> Error {
        match &self.guard {
            Some(guard) => guard.miss.clone(),
            None => Error::internal(cause),
        }
    }
}

/// Parameters stay out of logs; the statements are ours.
impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries.iter().map(|entry| (entry.rank, entry.sql))).finish()
    }
}
