//! This crate held to the file, read as another language would read it.

use cenote_verifier::format::{
    Entry, Frame, Jwks, Position, Snapshot, Table, chain, chain_start, decode, encode,
};
use cenote_verifier::{Refusal, Token};
use serde_json::{Value, json};

fn file() -> Value {
    let text = std::fs::read(crate::directory().join("feed.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

fn keys(file: &Value, name: &str) -> Jwks {
    Jwks::parse(file[name].to_string().as_bytes()).unwrap()
}

fn position(state: &Value) -> Position {
    Position {
        incarnation: state["incarnation"].as_str().unwrap().into(),
        seq: state["seq"].as_u64().unwrap(),
        h: decode(state["h"].as_str().unwrap()).unwrap().try_into().unwrap(),
    }
}

fn entry(line: &[Value]) -> Entry {
    Entry {
        key: decode(line[0].as_str().unwrap()).unwrap().try_into().unwrap(),
        not_before_ms: line[1].as_u64().unwrap(),
        drop_after_ms: line[2].as_u64().unwrap(),
    }
}

fn cases<'a>(file: &'a Value, name: &str) -> &'a [Value] {
    let cases = file[name].as_array().unwrap();
    assert!(cases.len() > 5, "{name}");
    cases
}

#[test]
fn each_record_goes_into_the_chain_as_the_file_says() {
    let file = file();
    let pool = file["pool"].as_str().unwrap();
    let mut h = chain_start(pool, file["incarnation"].as_str().unwrap());
    assert_eq!(encode(h), file["chain"]["h0"]);
    for step in file["chain"]["records"].as_array().unwrap() {
        let line = step["e"].as_array().unwrap();
        let kind = line[0].as_str().unwrap().as_bytes()[0];
        let entry = entry(&line[1..]);
        assert_eq!(encode([[kind].as_slice(), &entry.to_bytes()].concat()), step["record"]);
        h = chain(&h, &cenote_verifier::format::Record { kind, entry });
        assert_eq!(encode(h), step["h"]);
    }
}

#[test]
fn frames_are_accepted_and_refused_as_the_file_says() {
    let file = file();
    let keys = keys(&file, "feed_jwks");
    for case in cases(&file, "frames") {
        let before = position(&case["state"]);
        let frame = case["frame"].as_str().unwrap();
        let frame =
            Frame::open(frame, &keys, file["pool"].as_str().unwrap(), case["nonce"].as_str());
        let after = frame.and_then(|frame| before.after(&frame));
        match case["expect"].as_str().unwrap() {
            "accept" => {
                assert_eq!(after.as_ref(), Ok(&position(&case["after"])), "{}", case["name"])
            }
            _ => assert_eq!(json!(after.unwrap_err().name()), case["reason"], "{}", case["name"]),
        }
    }
}

#[test]
fn snapshots_are_accepted_and_refused_as_the_file_says() {
    let file = file();
    let keys = keys(&file, "feed_jwks");
    for case in cases(&file, "snapshots") {
        let bytes = match case["file"].as_str() {
            Some(name) => std::fs::read(crate::directory().join(name)).unwrap(),
            None => decode(case["snapshot"].as_str().unwrap()).unwrap(),
        };
        let snapshot = Snapshot::open(&bytes, &keys, file["pool"].as_str().unwrap(), 1_000);
        match case["expect"].as_str().unwrap() {
            "accept" => {
                let snapshot = snapshot.unwrap();
                assert_eq!(snapshot.position, position(&case["after"]));
                let lines = case["entries"].as_array().unwrap().iter();
                let entries = lines.map(|line| entry(line.as_array().unwrap()));
                assert_eq!(snapshot.entries().collect::<Vec<_>>(), entries.collect::<Vec<_>>());
            }
            _ => {
                assert_eq!(json!(snapshot.unwrap_err().name()), case["reason"], "{}", case["name"])
            }
        }
    }
}

#[test]
fn tokens_live_and_die_as_the_file_says() {
    let file = file();
    let keys = keys(&file, "token_jwks");
    for case in cases(&file, "tokens") {
        let table = Table::new();
        let records = file["states"][case["state"].as_str().unwrap()].as_array().unwrap();
        table.add(records.iter().map(|line| entry(&line.as_array().unwrap()[1..])));
        let token =
            Token::open(case["token"].as_str().unwrap(), &keys, file["pool"].as_str().unwrap());
        let verdict = token.and_then(|token| {
            assert_eq!(json!(token.claims()), case["claims"]);
            if json!(token.issuer()) != file["issuer"] {
                Err(Refusal::Issuer)
            } else if token.is_expired(case["now_ms"].as_u64().unwrap()) {
                Err(Refusal::Expired)
            } else if token.is_revoked(&table) {
                Err(Refusal::Revoked)
            } else {
                Ok(())
            }
        });
        let (expect, reason) = match verdict {
            Ok(()) => ("alive", Value::Null),
            Err(Refusal::Revoked) => ("revoked", Value::Null),
            Err(refusal) => ("invalid", json!(refusal.name())),
        };
        assert_eq!(
            (&json!(expect), &reason),
            (&case["expect"], &case["reason"]),
            "{}",
            case["name"]
        );
    }
}
