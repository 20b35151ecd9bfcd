//! What is counted, in the text that Prometheus reads.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cenote_verifier::{Freshness, Refusal};

use crate::answers::Gate;

const REFUSALS: [Refusal; 11] = [
    Refusal::Missing,
    Refusal::Malformed,
    Refusal::UnknownKey,
    Refusal::Signature,
    Refusal::Issuer,
    Refusal::TokenUse,
    Refusal::Client,
    Refusal::Expired,
    Refusal::Revoked,
    Refusal::Unavailable,
    Refusal::Scope,
];

/// Answers by what they were.
#[derive(Default)]
pub struct Counts {
    passed: AtomicU64,
    refused: [AtomicU64; REFUSALS.len()],
}

impl Counts {
    pub fn count(&self, refusal: Option<Refusal>) {
        let counter = match refusal {
            None => Some(&self.passed),
            Some(refusal) => {
                let at = REFUSALS.iter().position(|own| *own == refusal);
                at.and_then(|at| self.refused.get(at))
            }
        };
        counter.map(|counter| counter.fetch_add(1, Relaxed));
    }
}

pub fn text(gate: &Gate) -> String {
    let status = gate.verifier.status();
    let mut text = String::new();
    let line = |text: &mut String, name: &str, kind: &str, help: &str, value: f64| {
        // Writing to a text cannot fail.
        let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
    };
    let state = match status.freshness {
        Freshness::Fresh => 0.0,
        Freshness::Stale => 1.0,
        Freshness::Expired => 2.0,
    };
    let age = status.age_ms.map_or(-1.0, |age| age as f64 / 1_000.0);
    let gauges = [
        ("cenote_gate_feed_state", "0 fresh, 1 stale, 2 expired.", state),
        (
            "cenote_gate_feed_age_seconds",
            "Since the question whose answer was last accepted; -1 before the first.",
            age,
        ),
        (
            "cenote_gate_feed_sequence",
            "Number of the last record that is known.",
            status.seq.unwrap_or(0) as f64,
        ),
        ("cenote_gate_feed_entries", "Records that are kept.", status.entries as f64),
    ];
    for (name, help, value) in gauges {
        line(&mut text, name, "gauge", help, value);
    }
    let counters = [
        ("cenote_gate_feed_frames_total", "Frames that were accepted.", status.frames),
        ("cenote_gate_feed_records_total", "Records that came in frames.", status.records),
        (
            "cenote_gate_feed_refused_total",
            "Frames and snapshots that were not what they should be.",
            status.refused,
        ),
        ("cenote_gate_feed_snapshots_total", "Snapshots that were fetched.", status.snapshots),
        (
            "cenote_gate_feed_failures_total",
            "Attempts to follow the feed that failed.",
            status.failures,
        ),
        (
            "cenote_gate_signature_checks_total",
            "Tokens whose signature was checked.",
            status.signature_checks,
        ),
        ("cenote_gate_key_fetches_total", "Fetches of the pool's key set.", status.key_fetches),
    ];
    for (name, help, value) in counters {
        line(&mut text, name, "counter", help, value as f64);
    }
    let name = "cenote_gate_checks_total";
    let _ = write!(text, "# HELP {name} Questions by answer.\n# TYPE {name} counter\n");
    let _ = writeln!(text, "{name}{{answer=\"passed\"}} {}", gate.counts.passed.load(Relaxed));
    for (refusal, count) in REFUSALS.iter().zip(&gate.counts.refused) {
        let _ = writeln!(text, "{name}{{answer=\"{}\"}} {}", refusal.name(), count.load(Relaxed));
    }
    text
}
