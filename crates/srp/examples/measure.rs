//! Prints what each step costs: `cargo run --release -p cenote-srp --example measure`.
#![allow(clippy::print_stdout, reason = "an example prints its result")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]
#![allow(clippy::expect_used, reason = "an example may stop")]

use std::fs;
use std::hint::black_box;
use std::time::Instant;

use cenote_srp::client::Client;
use cenote_srp::{ClientPublic, Server, password_matches, salt_hex, verifier};

const ROUNDS: u32 = 500;

fn main() {
    let (pool, user, password, salt) = ("AbCdEfGhI", "user-id", "correct horse", [0x5a; 16]);
    let start = Instant::now();
    let stored = verifier(pool, user, password, &salt);
    println!("first call, which builds the tables: {:?}", start.elapsed());

    let server = Server::new(&stored, [0xb7; 32]);
    let client = Client::new([0xa3; 128]);
    let a = ClientPublic::parse(&client.public_hex()).expect("a client's own value");
    let (salt_text, b) = (salt_hex(&salt), server.public_hex());
    let key = server.key(&stored, &a).expect("u is not zero");
    let claim = key.claim(pool, user, &[7; 64], "now");

    measure("verifier", || verifier(pool, user, password, &salt));
    measure("password_matches", || password_matches(&stored, pool, user, password, &salt));
    measure("Server::new", || Server::new(&stored, black_box([0xb7; 32])));
    measure("Server::from_parts", || Server::from_parts(*server.secret(), server.public_bytes()));
    measure("ClientPublic::parse", || ClientPublic::parse(&client.public_hex()));
    measure("Server::key", || server.key(&stored, &a));
    measure("SessionKey::verify", || key.verify(pool, user, &[7; 64], "now", &claim));
    measure("Client::new", || Client::new(black_box([0xa3; 128])));
    measure("Client::key", || client.key(pool, user, password, &salt_text, &b));
}

/// Prints wall-clock time and, where the kernel tells it, the CPU time of this thread, which other load does not stretch.
fn measure<T>(name: &str, step: impl Fn() -> T) {
    black_box(step());
    let (cpu, wall) = (cpu_nanos(), Instant::now());
    for _ in 0..ROUNDS {
        black_box(step());
    }
    let wall = wall.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
    match cpu.zip(cpu_nanos()) {
        Some((before, after)) => {
            let cpu = (after - before) as f64 / 1e3 / f64::from(ROUNDS);
            println!("{name:22} {cpu:8.1} µs CPU {wall:8.1} µs wall");
        }
        None => println!("{name:22} {wall:8.1} µs wall"),
    }
}

fn cpu_nanos() -> Option<u64> {
    fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}
