//! What a look-up costs, and how much memory a record takes. Measured by hand, with optimisation:
//! `cargo test -p cenote-verifier --release --test lookup -- --ignored --nocapture`

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "it measures")]

use std::hint::black_box;
use std::time::Instant;

use cenote_verifier::format::{Entry, Kind, Table};

fn entries(n: u64) -> impl Iterator<Item = Entry> {
    (0..n).map(|n| Entry {
        key: Kind::User.key16("eu-west-1_Ab3dEf9Gh", &n.to_string()),
        not_before_ms: n,
        drop_after_ms: n,
    })
}

#[test]
#[ignore = "it measures, and takes a while"]
fn a_look_up_takes_less_than_150_ns_at_a_million_records() {
    for n in [1_000, 100_000, 1_000_000, 10_000_000] {
        let table = Table::new();
        let mut all: Vec<Entry> = entries(n).collect();
        let probes: Vec<_> = all
            .iter()
            .step_by((n / 1_000).max(1) as usize * 7 / 5 + 1)
            .map(|entry| entry.key)
            .collect();
        all.sort_by_key(|entry| entry.key);
        table.add_sorted(all.iter().copied());
        let misses: Vec<_> = entries(100_000)
            .map(|entry| Kind::Session.key16("x", &entry.not_before_ms.to_string()))
            .collect();
        let began = Instant::now();
        for key in &misses {
            black_box(table.not_before(black_box(key)));
        }
        let miss = began.elapsed().as_nanos() / misses.len() as u128;
        let began = Instant::now();
        for _ in 0..100 {
            for key in &probes {
                black_box(table.not_before(black_box(key)));
            }
        }
        let hit = began.elapsed().as_nanos() / (probes.len() as u128 * 100);
        let began = Instant::now();
        for entry in entries(1_000) {
            table.add([Entry {
                key: Kind::Pool.key16("y", &entry.not_before_ms.to_string()),
                ..entry
            }]);
        }
        let add = began.elapsed().as_nanos() / 1_000;
        println!("{n:>9} records: miss {miss} ns, hit {hit} ns, add {add} ns");
        if n == 1_000_000 {
            assert!(miss < 150, "a look-up took {miss} ns");
        }
    }
}
