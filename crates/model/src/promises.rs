//! What must hold in every state, and what must be possible in some.

use crate::{FRESH, Record, Session, SignOut, State, UNNUMBERED};

/// A session that was committed before a sign-out.
fn ended(session: &Session, record: &Record) -> bool {
    session.order < record.order
}

pub fn endpoints(_: &SignOut, state: &State) -> bool {
    state.tokens.iter().all(|token| {
        let Some(session) = state.sessions.get(token.session) else { return false };
        let lives = !session.lost && state.row.lives(token.birth);
        !(lives && state.records.iter().any(|record| ended(session, record)))
    })
}

pub fn after(_: &SignOut, state: &State) -> bool {
    let ends = |session: &Session| {
        state.records.iter().any(|record| ended(session, record)) || state.restores > 0
    };
    state.sessions.iter().all(|session| ends(session) || state.row.lives(session.birth))
}

/// What a verifier that is FRESH must know: what was committed before its question could have been answered.
pub fn verifier(_: &SignOut, state: &State) -> bool {
    if !state.verifier.is_fresh(state.now) {
        return true;
    }
    let due = |record: &Record| record.committed + UNNUMBERED + FRESH < state.now;
    state.tokens.iter().all(|token| {
        let Some(session) = state.sessions.get(token.session) else { return false };
        token.birth < state.verifier.not_before
            || !state
                .records
                .iter()
                .any(|record| due(record) && !record.lost && ended(session, record))
    })
}

pub fn refused(_: &SignOut, state: &State) -> bool {
    state.verifier.is_fresh(state.now)
        && state.tokens.iter().any(|token| token.birth < state.verifier.not_before)
}

pub fn accepted(_: &SignOut, state: &State) -> bool {
    state.verifier.is_fresh(state.now)
        && state.verifier.not_before > 0
        && state.tokens.iter().any(|token| token.birth >= state.verifier.not_before)
}
