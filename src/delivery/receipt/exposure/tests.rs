//! Whatever happened, a receipt's times are never before the time at which somebody really stops.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::ambient::{HOUR, MINUTE};

const COMMITTED: Ms = 1_790_000_000_000;
/// How far the clock of a server may be from the true time.
const SKEW: Ms = 30 * SECOND;

fn record(kind: &str, seq: Option<i64>, longest_ms: Ms) -> Recorded {
    Recorded {
        pool_id: "us-east-1_a".into(),
        signout_id: "0".into(),
        n: 0,
        kind: kind.into(),
        subject: "s".into(),
        key16: [0; 16],
        sub: None,
        client_id: None,
        not_before_ms: 0,
        drop_after_ms: COMMITTED + longest_ms + 120 * SECOND,
        reason: String::new(),
        initiator: String::new(),
        origin: String::new(),
        txn: String::new(),
        committed_ms: COMMITTED,
        seq,
        expanded_ms: None,
        expand_cursor: None,
    }
}

/// A consumer as it is, and what the database knows of it.
#[derive(Clone, Debug)]
struct Real {
    /// When it last sent a nonce that was answered with a fresh frame, in true time.
    fresh: Ms,
    /// When a server last told it, in true time, that the token is active: until the commit, whatever the clocks say.
    asked: Ms,
    row: Consumer,
}

impl Real {
    /// Until when it honours a token that expires then.
    fn stops(&self, seq: Option<i64>, expires: Ms) -> Ms {
        let knows = self.row.current && seq.is_some_and(|seq| self.row.since >= seq);
        match self.row.policy.as_str() {
            _ if knows => COMMITTED,
            "closed" => expires.min(self.fresh + self.row.max_staleness_ms),
            // An answer from before it went stale may be kept for five seconds.
            "introspect" => {
                expires.min((self.fresh + self.row.max_staleness_ms).max(self.asked) + 5 * SECOND)
            }
            _ => expires,
        }
    }
}

fn reals() -> impl Strategy<Value = Vec<Real>> {
    let policy =
        prop_oneof![Just("closed"), Just("introspect"), Just("open"), Just(""), Just("other")];
    let times = (-HOUR..HOUR, -SKEW..SKEW, 0..SECOND, -SKEW..SKEW + 2 * SECOND);
    let real = (times, 0..10_i64, any::<bool>(), policy, 0..5 * MINUTE);
    let real = real.prop_map(
        |((fresh, skew, unwritten, asked), since, current, policy, max_staleness_ms)| {
            let (fresh, asked) = (COMMITTED + fresh, COMMITTED + asked);
            let seen_ms = fresh + skew - unwritten;
            let policy = policy.to_owned();
            let row =
                Consumer { id: "c".into(), since, current, policy, max_staleness_ms, seen_ms };
            Real { fresh, asked, row }
        },
    );
    vec(real, 0..6)
}

/// What expires no later than a server whose clock is ahead may have written.
fn expiries(longest_ms: Ms) -> impl Strategy<Value = Vec<Ms>> {
    vec(COMMITTED - HOUR..=COMMITTED + longest_ms + SKEW, 1..5)
}

fn reaches(until: Option<Ms>, time: Ms) -> bool {
    until.is_none_or(|until| until >= time)
}

proptest! {
    #[test]
    fn neither_time_is_ever_optimistic(
        (longest_ms, expiries) in (5 * MINUTE..=24 * HOUR).prop_flat_map(|longest| (Just(longest), expiries(longest))),
        kinds in vec(prop_oneof![Just("U"), Just("S"), Just("X"), Just("C"), Just("P"), Just("K")], 1..4),
        numbers in vec(option::weighted(0.8, 0..8_i64), 4),
        reals in reals(),
        expanded in any::<bool>(),
        undelivered in any::<bool>(),
    ) {
        let records: Vec<Recorded> =
            kinds.iter().zip(&numbers).map(|(kind, seq)| record(kind, *seq, longest_ms)).collect();
        let seq = records.iter().map(|record| record.seq).reduce(|a, b| Some(a?.max(b?))).flatten();
        let consumers: Vec<Consumer> = reals.iter().map(|real| real.row.clone()).collect();
        let known = Known { records: &records, seq, expanded, consumers: &consumers, undelivered };
        let (everyone, registered) = (of_everyone(&records), of_registered(&known));

        // A compromised key signs what expires at any time.
        let forged = kinds.contains(&"K").then_some(COMMITTED + 1_000 * 24 * HOUR);
        for expires in expiries.into_iter().chain(forged) {
            prop_assert!(reaches(everyone, expires));
            for real in &reals {
                prop_assert!(reaches(registered, real.stops(seq, expires)), "{real:?}");
            }
            if undelivered || !expanded {
                prop_assert!(reaches(registered, expires), "a receiver that was not told honours it");
            }
        }
        prop_assert!(reaches(registered, COMMITTED));
        prop_assert!(reaches(everyone, registered.unwrap_or(0)), "nobody registered is worse than everybody");
    }
}

#[test]
fn once_all_have_learned_the_time_is_that_of_the_commit() {
    let records = [record("U", Some(7), HOUR)];
    let row = Consumer {
        id: "c".into(),
        since: 7,
        current: true,
        policy: "open".into(),
        max_staleness_ms: 30 * SECOND,
        seen_ms: COMMITTED - HOUR,
    };
    let known = |consumers: &[Consumer], undelivered| {
        let known =
            Known { records: &records, seq: Some(7), expanded: true, consumers, undelivered };
        of_registered(&known)
    };
    let end = Some(COMMITTED + HOUR + 120 * SECOND);
    assert_eq!(of_everyone(&records), end);
    assert_eq!(known(std::slice::from_ref(&row), false), Some(COMMITTED));
    assert_eq!(known(&[], false), Some(COMMITTED));
    assert_eq!(known(&[], true), end);
    let behind = |policy: &str| Consumer {
        since: 6,
        policy: policy.into(),
        seen_ms: COMMITTED,
        ..row.clone()
    };
    assert_eq!(known(&[behind("open")], false), end);
    assert_eq!(known(&[behind("")], false), end);
    let stops = Some(COMMITTED + 30 * SECOND + MARGIN_MS);
    assert_eq!(known(&[behind("closed")], false), stops);
    assert_eq!(known(&[row.clone(), behind("introspect")], false), stops);
    // Away since long before, it asked us a moment before.
    let away = Consumer { seen_ms: COMMITTED - HOUR, ..behind("introspect") };
    assert_eq!(known(&[away], false), Some(COMMITTED + MARGIN_MS));
    // A number of another incarnation says nothing.
    assert_eq!(known(&[Consumer { current: false, ..row }], false), end);
}
