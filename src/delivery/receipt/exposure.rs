//! Until when somebody may still honour what a sign-out ended. Pure, and never optimistic: what is not known counts as the worst that
//! it can be. `None` is a time that nobody knows.

use crate::ambient::{Ms, SECOND};
use crate::store::receipts::Consumer;
use crate::store::records::Recorded;

/// What can lie between the last time that a consumer heard something fresh and the time that the database has for it: servers' clocks
/// differ (half a minute at most, `/readyz`), what consumers say is written down within a second, and an answer to an introspection
/// is kept for five seconds.
const MARGIN_MS: Ms = 40 * SECOND;

/// Until when a consumer that says nothing counts as up to date (`docs/revocation-feed.md`).
const FRESH_MS: Ms = 4 * SECOND;

/// The latest `exp` of any token that existed when the records were committed, whoever holds it. Whoever has a compromised key
/// signs what expires when he likes.
pub fn of_everyone(records: &[Recorded]) -> Option<Ms> {
    let ends = records.iter().map(|record| (record.kind != "K").then_some(record.drop_after_ms));
    ends.reduce(later).flatten()
}

/// When the sign-out of these records was committed.
pub fn committed(records: &[Recorded]) -> Option<Ms> {
    records.iter().map(|record| record.committed_ms).max()
}

/// What those who are registered know.
pub struct Known<'a> {
    pub records: &'a [Recorded],
    /// The number of the last record; `None` while one has no number.
    pub seq: Option<i64>,
    /// Every delivery that follows from the records is a row.
    pub expanded: bool,
    pub consumers: &'a [Consumer],
    /// Some delivery has not arrived, for whatever reason, or somebody may be forgotten who had not learned.
    pub undelivered: bool,
}

/// The latest time at which a consumer of the feed or a receiver of deliveries may honour what was ended: the commit itself, once all
/// of them know.
pub fn of_registered(known: &Known<'_>) -> Option<Ms> {
    let everyone = of_everyone(known.records);
    let committed = committed(known.records);
    let receivers = if known.undelivered || !known.expanded { everyone } else { committed };
    known
        .consumers
        .iter()
        .filter(|consumer| !has_learned(consumer, known.seq))
        .map(|consumer| of_consumer(consumer, known.records))
        .fold(later(committed, receivers), later)
}

/// Whether a consumer has said that it has everything up to this number.
pub fn has_learned(consumer: &Consumer, seq: Option<i64>) -> bool {
    consumer.current && seq.is_some_and(|seq| consumer.since >= seq)
}

/// Until when a consumer that has not learned of it may go on: one that fails closed or asks us stops by itself when it has heard nothing
/// for too long. However long that was before the sign-out: it may have asked us in the moment before, and keep the answer, or have been
/// heard when that could not be written down.
pub fn of_consumer(consumer: &Consumer, records: &[Recorded]) -> Option<Ms> {
    let everyone = of_everyone(records);
    if !stops(consumer) {
        return everyone;
    }
    let silent = consumer.seen_ms.saturating_add(consumer.max_staleness_ms.max(0));
    let stops = silent.max(committed(records)?).saturating_add(MARGIN_MS);
    Some(everyone.map_or(stops, |end| end.min(stops)))
}

fn stops(consumer: &Consumer) -> bool {
    matches!(consumer.policy.as_str(), "closed" | "introspect")
}

/// What a consumer that was last seen then takes itself for.
pub fn state(consumer: &Consumer, now: Ms) -> &'static str {
    match now - consumer.seen_ms {
        silent if silent <= FRESH_MS => "FRESH",
        silent if silent <= consumer.max_staleness_ms.max(FRESH_MS) => "STALE",
        _ => "EXPIRED",
    }
}

fn later(a: Option<Ms>, b: Option<Ms>) -> Option<Ms> {
    Some(a?.max(b?))
}

#[cfg(test)]
mod tests;
