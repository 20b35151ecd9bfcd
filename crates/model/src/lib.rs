//! Births, epochs and the revocation feed as a state machine small enough to be checked exhaustively: one user, servers whose clocks
//! differ, one database that orders their commits, and one verifier behind a network that loses, repeats, delays and reorders.
//!
//! What is promised (ARCHITECTURE.md, "One logical clock per user"; docs/revocation-feed.md):
//! - a token whose session was committed before a sign-out is dead at our endpoints once that sign-out is committed;
//! - a session that is committed after it lives, even in the same millisecond and on a server whose clock is behind;
//! - a verifier that is FRESH accepts no token of a session from before a sign-out that was committed longer ago than its bound.
//!
//! `Rules` can break each rule on purpose: a check that finds nothing then would be worth nothing.

mod promises;
mod state;

use stateright::{Model, Property};

pub use state::{Action, Backup, Frame, Record, Row, Session, State, Token, Verifier};

use promises::{accepted, after, endpoints, refused, verifier};

/// A moment on some clock. The unit is a second, more or less.
pub type Time = u8;

/// How long a verifier counts as FRESH after the nonce of its newest frame was sent.
pub const FRESH: Time = 1;
/// How long a record may wait for its number before frames are no longer signed.
pub const UNNUMBERED: Time = 1;

/// The rules that hold the promises; `Rules::default()` has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// A sign-out moves the user's clock beyond everything that was born.
    pub end_is_after_clock: bool,
    /// What is born takes the user's clock into account, not only the server's.
    pub birth_is_after_clock: bool,
    /// A sign-in is committed only if no epoch has passed its birth.
    pub commit_guards_epoch: bool,
    /// Tokens that a refresh makes keep the birth of their session.
    pub refresh_keeps_birth: bool,
    /// A frame must bear the nonce that was asked with.
    pub frame_needs_nonce: bool,
    /// No frame is signed while a record waits too long for its number.
    pub silent_while_unnumbered: bool,
    /// A full frame may leave more behind, and proves no freshness.
    pub full_frame_is_not_fresh: bool,
    /// Freshness counts from when the nonce was sent, not from when the frame came.
    pub fresh_since_asked: bool,
    /// A database that was restored signs everybody out.
    pub restore_ends_everything: bool,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            end_is_after_clock: true,
            birth_is_after_clock: true,
            commit_guards_epoch: true,
            refresh_keeps_birth: true,
            frame_needs_nonce: true,
            silent_while_unnumbered: true,
            full_frame_is_not_fresh: true,
            fresh_since_asked: true,
            restore_ends_everything: true,
        }
    }
}

/// What may happen, and how often: this bounds the search.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub until: Time,
    pub sign_ins: u8,
    pub refreshes: u8,
    pub sign_outs: u8,
    pub questions: u8,
    pub restores: u8,
}

#[derive(Clone, Debug)]
pub struct SignOut {
    pub rules: Rules,
    pub limits: Limits,
    /// How far the clock of each server is ahead of the true time, plus the largest lag, so that none is negative.
    pub skews: Vec<Time>,
}

/// At most so many records are in one frame.
const FULL: u8 = 1;

impl SignOut {
    /// What the server's clock shows.
    fn clock(&self, state: &State, server: usize) -> Time {
        state.now + self.skews.get(server).copied().unwrap_or(0)
    }

    fn born(&self, state: &State, server: usize) -> Time {
        let now = self.clock(state, server).max(state.row.pool_epoch);
        if self.rules.birth_is_after_clock { now.max(state.row.clock) } else { now }
    }

    fn answer(&self, state: &State) -> Option<Frame> {
        let (nonce, _, from) = state.verifier.asked?;
        let waits_too_long = |record: &Record| {
            record.number.is_none() && !record.lost && record.committed + UNNUMBERED < state.now
        };
        if self.rules.silent_while_unnumbered && state.records.iter().any(waits_too_long) {
            return None;
        }
        let upto = state.last.min(from + FULL);
        let among = state
            .records
            .iter()
            .filter(|record| record.number.is_some_and(|number| number > from && number <= upto));
        let not_before = among.map(|record| record.not_before).max().unwrap_or(0);
        Some(Frame { nonce, from, upto, not_before })
    }

    fn take(&self, state: &mut State, frame: &Frame) -> bool {
        let now = state.now;
        let verifier = &mut state.verifier;
        let Some((nonce, sent, _)) = verifier.asked else { return false };
        if self.rules.frame_needs_nonce && frame.nonce != nonce {
            return false;
        }
        if frame.from != verifier.number {
            return false;
        }
        verifier.number = frame.upto.max(verifier.number);
        verifier.not_before = verifier.not_before.max(frame.not_before);
        let full = frame.upto == frame.from + FULL;
        if !(full && self.rules.full_frame_is_not_fresh) {
            let since = if self.rules.fresh_since_asked { sent } else { now };
            verifier.fresh_since = verifier.fresh_since.max(Some(since));
        }
        verifier.asked = None;
        true
    }

    fn restore(&self, state: &mut State, server: usize) -> bool {
        let Some(backup) = state.backup.clone() else { return false };
        state.row = backup.row;
        for session in &mut state.sessions {
            session.lost |= session.order >= backup.order;
        }
        for record in &mut state.records {
            record.lost |= record.order >= backup.order;
        }
        if self.rules.restore_ends_everything {
            // Ahead of every clock: of the servers', and of the user's, which took births of other servers.
            let ahead = self.clock(state, server) + self.skews.iter().max().copied().unwrap_or(0);
            state.row.pool_epoch =
                (state.row.pool_epoch + 1).max(ahead + 1).max(state.row.clock + 1);
        }
        state.order += 1;
        state.restores += 1;
        // Those who follow the feed see another incarnation: they keep what they know, and are not fresh before they learn more.
        state.verifier.fresh_since = None;
        state.verifier.asked = None;
        state.network.clear();
        true
    }
}

impl Model for SignOut {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::default()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        let limits = &self.limits;
        if state.now < limits.until {
            actions.push(Action::Tick);
        }
        for server in 0..self.skews.len() {
            if state.sign_ins < limits.sign_ins {
                actions.push(Action::BeginSignIn { server });
            }
            if state.records.len() < usize::from(limits.sign_outs) {
                actions.push(Action::SignOut { server });
            }
            if state.refreshes < limits.refreshes {
                let sessions = 0..state.sessions.len();
                actions.extend(sessions.map(|session| Action::BeginRefresh { server, session }));
            }
            if state.backup.is_some() && state.restores < limits.restores {
                actions.push(Action::Restore { server });
            }
        }
        actions.extend((0..state.signing_in.len()).map(|which| Action::CommitSignIn { which }));
        actions.extend((0..state.refreshing.len()).map(|which| Action::FinishRefresh { which }));
        actions.extend((0..state.records.len()).map(|record| Action::Number { record }));
        if state.questions < limits.questions {
            actions.push(Action::Ask);
            if state.verifier != Verifier::default() {
                actions.push(Action::RestartVerifier);
            }
        }
        actions.push(Action::Answer);
        actions.extend(state.network.iter().map(|frame| Action::Deliver { frame: frame.clone() }));
        if limits.restores > 0 && state.backup.is_none() {
            actions.push(Action::Backup);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Tick => state.now += 1,
            Action::BeginSignIn { server } => {
                state.signing_in.push(self.born(last, server));
                state.signing_in.sort_unstable();
                state.sign_ins += 1;
            }
            Action::CommitSignIn { which } => {
                let birth = state.signing_in.remove(which);
                let passed = self.rules.commit_guards_epoch && !state.row.lives(birth);
                if !passed {
                    state.row.clock = state.row.clock.max(birth);
                    let session = Session { birth, order: state.order, lost: false };
                    state.tokens.insert(Token { session: state.sessions.len(), birth });
                    state.sessions.push(session);
                    state.order += 1;
                }
            }
            Action::BeginRefresh { server, session } => {
                let of = last.sessions.get(session)?;
                if of.lost || !last.row.lives(of.birth) {
                    return None;
                }
                state.refreshing.push((session, self.clock(last, server)));
                state.refreshes += 1;
            }
            Action::FinishRefresh { which } => {
                let (session, at) = state.refreshing.remove(which);
                let birth = last.sessions.get(session)?.birth;
                let birth = if self.rules.refresh_keeps_birth { birth } else { at };
                state.tokens.insert(Token { session, birth });
            }
            Action::SignOut { server } => {
                let now = self.clock(last, server);
                let row = &mut state.row;
                row.clock =
                    if self.rules.end_is_after_clock { now.max(row.clock + 1) } else { now };
                row.epoch = row.clock;
                state.records.push(Record {
                    not_before: row.epoch,
                    committed: last.now,
                    order: state.order,
                    number: None,
                    lost: false,
                });
                state.order += 1;
            }
            Action::Number { record } => {
                let number = state.last + 1;
                let record = state.records.get_mut(record)?;
                if record.number.is_some() || record.lost {
                    return None;
                }
                record.number = Some(number);
                state.last = number;
            }
            Action::Ask => {
                state.questions += 1;
                state.verifier.asked = Some((state.questions, state.now, state.verifier.number));
            }
            Action::Answer => {
                let frame = self.answer(last)?;
                if !state.network.insert(frame) {
                    return None;
                }
            }
            Action::Deliver { frame } => {
                if !self.take(&mut state, &frame) {
                    return None;
                }
            }
            Action::RestartVerifier => state.verifier = Verifier::default(),
            Action::Backup => {
                state.backup = Some(Backup { row: last.row.clone(), order: last.order });
            }
            Action::Restore { server } => {
                if !self.restore(&mut state, server) {
                    return None;
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<SignOut>> {
        vec![
            Property::always("no token outlives a sign-out at our endpoints", endpoints),
            Property::always("who signs in after a sign-out is signed in", after),
            Property::always("a fresh verifier accepts no token longer than its bound", verifier),
            Property::sometimes("a token is refused by a fresh verifier", refused),
            Property::sometimes(
                "a token is accepted by a fresh verifier after a sign-out",
                accepted,
            ),
        ]
    }
}
