//! What there is at one moment, and what may happen next.

use std::collections::BTreeSet;

use crate::{FRESH, Time};

/// A session whose commit was the `order`-th of the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    pub birth: Time,
    pub order: u8,
    /// Its row was lost by a restore.
    pub lost: bool,
}

/// A token that somebody holds; `birth` is what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token {
    pub session: usize,
    pub birth: Time,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    pub not_before: Time,
    pub committed: Time,
    pub order: u8,
    pub number: Option<u8>,
    /// The database forgot it in a restore; those who learned it remember.
    pub lost: bool,
}

/// What travels. `upto` records beyond `from` are in it, with the largest boundary among them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    pub nonce: u8,
    pub from: u8,
    pub upto: u8,
    pub not_before: Time,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Verifier {
    pub number: u8,
    pub not_before: Time,
    /// The newest proof of freshness.
    pub fresh_since: Option<Time>,
    /// The question that is out: its nonce, when it was sent, and where the verifier stood.
    pub asked: Option<(u8, Time, u8)>,
}

impl Verifier {
    pub fn is_fresh(&self, now: Time) -> bool {
        self.fresh_since.is_some_and(|since| now <= since + FRESH)
    }
}

/// The user's row and the pool's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Row {
    pub clock: Time,
    pub epoch: Time,
    pub pool_epoch: Time,
}

impl Row {
    pub fn lives(&self, birth: Time) -> bool {
        birth >= self.epoch && birth >= self.pool_epoch
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    pub now: Time,
    pub row: Row,
    /// Commits so far.
    pub order: u8,
    pub sessions: Vec<Session>,
    /// Sign-ins that have read the row and are not yet committed.
    pub signing_in: Vec<Time>,
    pub sign_ins: u8,
    /// Refreshes that have found their session alive and have not yet signed: the session, and the server's time.
    pub refreshing: Vec<(usize, Time)>,
    pub refreshes: u8,
    pub tokens: BTreeSet<Token>,
    pub records: Vec<Record>,
    pub last: u8,
    pub verifier: Verifier,
    pub questions: u8,
    /// Everything that was ever sent, and may arrive now, later, twice or never.
    pub network: BTreeSet<Frame>,
    pub backup: Option<Backup>,
    pub restores: u8,
}

/// The database at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Backup {
    pub row: Row,
    pub order: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Tick,
    /// A server reads the row for a sign-in.
    BeginSignIn {
        server: usize,
    },
    CommitSignIn {
        which: usize,
    },
    /// A server finds a session alive.
    BeginRefresh {
        server: usize,
        session: usize,
    },
    /// It signs, however long after.
    FinishRefresh {
        which: usize,
    },
    SignOut {
        server: usize,
    },
    /// The sequencer gives a record the next number.
    Number {
        record: usize,
    },
    /// The verifier asks, with a new nonce; an answer to an older question is no longer expected.
    Ask,
    /// A server answers what it finds in the database now.
    Answer,
    Deliver {
        frame: Frame,
    },
    /// The verifier starts anew, without its memory.
    RestartVerifier,
    Backup,
    Restore {
        server: usize,
    },
}
