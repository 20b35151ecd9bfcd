//! Fixed handshakes, made by clients that nobody here wrote.
//!
//! `data/vectors.txt`: a script of its own, in plain Python integers after the protocol's description, chose the inputs
//! (searching for values with leading zeros and top bits) and computed the server's side. Each challenge was then answered by
//! pycognito 2024.5.1 (`process_challenge`, `process_device_challenge`; they made `claim`) and by
//! amazon-cognito-identity-js 6.3.21 (`getPasswordAuthenticationKey`), both with `a` fixed to the value given; their
//! `SRP_A`, key and claim agreed with the script's in every case, or the script would have stopped.
//!
//! `data/devices.txt`: what pycognito's `generate_hash_device` would register, base64 decoded, one for each length that
//! its verifiers come in. `data/rfc3526_15.txt`: N as pycognito has it, checked against RFC 3526's formula from pi.
#![cfg(test)]

use std::collections::BTreeMap;

use cenote_srp::client::Client;
use cenote_srp::{ClientPublic, Server, Verifier, password_matches, salt_hex, verifier};

type Vector = BTreeMap<&'static str, &'static str>;

#[test]
fn the_server_computes_what_published_clients_compute() {
    for vector in vectors() {
        let [name, pool, user, password] =
            ["name", "pool", "user", "password"].map(|key| vector[key]);
        let salt = bytes(vector["salt"]);
        let stored = verifier(pool, user, password, &salt);
        assert_eq!(stored.as_bytes(), &*bytes(vector["verifier"]), "{name}");
        assert!(password_matches(&stored, pool, user, password, &salt), "{name}");

        let server = Server::new(&stored, bytes(vector["b"]).try_into().unwrap());
        assert_eq!(server.public_hex(), vector["srp_b"], "{name}");

        let a = ClientPublic::parse(vector["srp_a"]).unwrap();
        let (block, timestamp) = (bytes(vector["block"]), vector["timestamp"]);
        let claim = bytes(vector["claim"]);
        let key = server.key(&stored, &a).unwrap();
        assert_eq!(key.claim(pool, user, &block, timestamp), &*claim, "{name}");
        assert!(key.verify(pool, user, &block, timestamp, &claim), "{name}");
    }
}

#[test]
fn our_client_answers_as_published_clients_do() {
    for vector in vectors() {
        let [name, pool, user, password] =
            ["name", "pool", "user", "password"].map(|key| vector[key]);
        let client = Client::new(bytes(vector["a"]).try_into().unwrap());
        assert_eq!(client.public_hex(), vector["srp_a"], "{name}");

        let salt = salt_hex(&bytes(vector["salt"]));
        let key = client.key(pool, user, password, &salt, vector["srp_b"]).unwrap();
        let claim = key.claim(pool, user, &bytes(vector["block"]), vector["timestamp"]);
        assert_eq!(claim, &*bytes(vector["claim"]), "{name}");
    }
}

#[test]
fn a_device_verifier_of_any_length_is_the_one_of_its_password() {
    let registered = records(include_str!("data/devices.txt"));
    let lengths: Vec<_> = registered.iter().map(|device| device["verifier"].len() / 2).collect();
    assert!([383, 384, 385].iter().all(|length| lengths.contains(length)), "{lengths:?}");
    for device in registered {
        let salt = bytes(device["salt"]);
        let stored = Verifier::from_bytes(&bytes(device["verifier"])).unwrap();
        let computed = verifier(device["group"], device["device"], device["password"], &salt);
        assert_eq!(stored.as_bytes(), computed.as_bytes());
    }
}

#[test]
fn the_vectors_hold_the_cases_they_are_named_for() {
    let vectors = vectors();
    assert_eq!(vectors.len(), 18);
    assert!(vectors.iter().any(|vector| vector["salt"].starts_with("0000")));
    assert!(vectors.iter().any(|vector| vector["salt"].starts_with('f')));
    assert!(vectors.iter().any(|vector| vector["srp_a"].len() == 766));
    assert!(vectors.iter().any(|vector| vector["srp_b"].len() == 767));
    assert!(vectors.iter().any(|vector| !vector["password"].is_ascii()));
}

#[test]
fn a_salt_is_sent_without_the_zeros_that_clients_disagree_about() {
    assert_eq!(salt_hex(&[0, 0, 0x12, 0xab]), "12ab");
    assert_eq!(salt_hex(&[0x07, 0xff]), "7ff");
    assert_eq!(salt_hex(&[0; 16]), "0");
}

fn vectors() -> Vec<Vector> {
    records(include_str!("data/vectors.txt"))
}

/// Records stand apart by an empty line; a line is a key, a space and a value. A `#` line is the record's name.
fn records(text: &'static str) -> Vec<Vector> {
    text.trim_end()
        .split("\n\n")
        .map(|record| {
            record
                .lines()
                .filter_map(|line| line.split_once(' '))
                .map(|(key, value)| (if key == "#" { "name" } else { key }, value))
                .collect()
        })
        .collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
