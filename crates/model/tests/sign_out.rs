//! The whole state space within these limits, with all rules and with each of them broken.

use cenote_model::{Limits, Rules, SignOut};
use stateright::{Checker, Model};

/// Sessions, sign-outs and refreshes on two servers whose clocks are two seconds apart.
const DATABASE: Limits =
    Limits { until: 2, sign_ins: 2, refreshes: 1, sign_outs: 2, questions: 0, restores: 0 };

/// Two sign-outs, the feed and its network.
const FEED: Limits =
    Limits { until: 4, sign_ins: 1, refreshes: 0, sign_outs: 2, questions: 2, restores: 0 };

const RESTORE: Limits =
    Limits { until: 2, sign_ins: 2, refreshes: 1, sign_outs: 1, questions: 0, restores: 1 };

fn model(rules: Rules, limits: Limits, skews: &[u8]) -> SignOut {
    SignOut { rules, limits, skews: skews.to_vec() }
}

/// The promise that is broken first, if one is.
fn broken(model: SignOut) -> Option<&'static str> {
    let checker = model.checker().threads(2).spawn_bfs().join();
    let mut broken: Vec<_> = checker.discoveries().into_keys().collect();
    // Examples of what must be possible are discoveries, too.
    broken.retain(|name| checker.discovery_classification(name).to_string() == "counterexample");
    broken.sort_unstable();
    broken.first().copied()
}

#[test]
fn the_promises_hold_in_every_interleaving_at_our_endpoints() {
    assert_eq!(broken(model(Rules::default(), DATABASE, &[0, 2])), None);
}

#[test]
fn the_promises_hold_in_every_interleaving_at_a_verifier() {
    let checker = model(Rules::default(), FEED, &[0]).checker().threads(2).spawn_bfs().join();
    // With what must be possible: a verifier that refused everything would keep the other promises.
    checker.assert_properties();
}

#[test]
fn the_promises_hold_when_a_database_is_restored() {
    assert_eq!(broken(model(Rules::default(), RESTORE, &[0, 1])), None);
}

#[test]
fn each_rule_of_the_database_is_needed() {
    let ends = "no token outlives a sign-out at our endpoints";
    let lives = "who signs in after a sign-out is signed in";
    let all = Rules::default();
    let cases = [
        (Rules { end_is_after_clock: false, ..all }, ends),
        (Rules { birth_is_after_clock: false, commit_guards_epoch: false, ..all }, lives),
        (Rules { commit_guards_epoch: false, ..all }, lives),
        (Rules { refresh_keeps_birth: false, ..all }, ends),
    ];
    for (rules, promise) in cases {
        assert_eq!(broken(model(rules, DATABASE, &[0, 2])), Some(promise), "{rules:?}");
    }
}

#[test]
fn each_rule_of_the_feed_is_needed() {
    let all = Rules::default();
    let cases = [
        Rules { frame_needs_nonce: false, ..all },
        Rules { silent_while_unnumbered: false, ..all },
        Rules { full_frame_is_not_fresh: false, ..all },
        Rules { fresh_since_asked: false, ..all },
    ];
    for rules in cases {
        let promise = Some("a fresh verifier accepts no token longer than its bound");
        assert_eq!(broken(model(rules, FEED, &[0])), promise, "{rules:?}");
    }
}

#[test]
fn a_restore_that_signs_nobody_out_forgets_sign_outs() {
    let rules = Rules { restore_ends_everything: false, ..Rules::default() };
    let promise = Some("no token outlives a sign-out at our endpoints");
    assert_eq!(broken(model(rules, RESTORE, &[0, 1])), promise);
}
