//! The cases of the feed: keys, the chain, frames, snapshots. What is in the file, and what each case means, is in its README.

use cenote_verifier::format::{Kind, chain_start, encode};
use serde_json::{Value, json};

use crate::signer::{self, About, FEED, FOREIGN, INCARNATION, NONCE, OLD, POOL, STOLEN, TOKENS};
use crate::tokens::{self, CLIENT, SUB};

/// 2026-11-01T12:00:00.000Z.
pub const T0: u64 = 1_793_534_400_000;
const HOUR: u64 = 3_600_000;

/// All records of the pool, in their order. One of each kind; a user twice; and one whose end has come first.
pub fn records() -> Vec<About> {
    let about = |kind, id, after: u64, drop: u64| {
        let (not_before_ms, drop_after_ms) = (T0 + after, T0 + after + drop + 120_000);
        About { kind, id, not_before_ms, drop_after_ms }
    };
    vec![
        about(Kind::User, SUB, 1_000, HOUR),
        about(Kind::Session, tokens::session().leak(), 2_000, HOUR),
        about(Kind::Browser, "ssoa1b2c3d4e5f6g7h8i9j0k1l2m", 2_000, HOUR),
        about(Kind::Client, CLIENT, 60_000, 24 * HOUR),
        about(Kind::Pool, POOL, 61_000, 24 * HOUR),
        about(Kind::SigningKey, STOLEN.kid, 62_000, 24 * HOUR),
        about(Kind::User, SUB, 63_000, HOUR),
        about(Kind::User, "b3f1c0de-0000-4000-8000-000000000002", 64_000, 5 * 60_000),
    ]
}

pub fn vectors() -> (Value, Vec<u8>) {
    let all = records();
    let key16 = all.iter().map(|about| {
        let key = encode(about.record().entry.key);
        json!({ "kind": about.kind.letter().to_string(), "pool": POOL, "id": about.id, "key16": key })
    });
    let chain = all.iter().enumerate().map(|(n, about)| {
        let bytes =
            [[about.kind.letter() as u8].as_slice(), &about.record().entry.to_bytes()].concat();
        json!({ "e": about.line(), "record": encode(bytes), "h": encode(signer::h(&all, n + 1)) })
    });
    let (snapshots, snapshot) = snapshots(&all);
    let json = json!({
        "version": 1,
        "pool": POOL,
        "issuer": signer::ISSUER,
        "incarnation": INCARNATION,
        "feed_jwks": { "keys": [FEED.jwk()] },
        "feed_seed": encode(FEED.seed),
        "token_jwks": { "keys": [TOKENS.jwk(), STOLEN.jwk()] },
        "key16": key16.collect::<Value>(),
        "chain": { "h0": encode(chain_start(POOL, INCARNATION)), "records": chain.collect::<Value>() },
        "frames": frames(&all),
        "snapshots": snapshots,
        "states": tokens::states(),
        "tokens": tokens::cases(),
    });
    (json, snapshot)
}

fn frames(all: &[About]) -> Value {
    let n = all.len();
    let iat = T0 + 65_000;
    let right = |from, to| signer::frame(all, from, to, iat, Some(NONCE));
    let but = |from, to, change: &dyn Fn(&mut Value)| {
        let mut payload = right(from, to);
        change(&mut payload);
        FEED.sign("revfeed+jwt", &payload)
    };
    let sign = |payload: &Value| FEED.sign("revfeed+jwt", payload);
    let at = |seq: usize| json!({ "incarnation": INCARNATION, "seq": seq, "h": encode(signer::h(all, seq)) });
    let good = |name: &str, from, to, nonce: Option<&str>| {
        let payload = signer::frame(all, from, to, iat, nonce);
        json!({
            "name": name, "state": at(from), "nonce": nonce, "frame": sign(&payload),
            "payload": payload.to_string(), "expect": "accept", "after": at(to),
        })
    };
    let bad = |name: &str, seq: usize, frame: String, reason: &str| json!({ "name": name, "state": at(seq), "nonce": NONCE, "frame": frame, "expect": "refuse", "reason": reason });
    let swapped = |payload: &mut Value| payload["e"].as_array_mut().unwrap().swap(0, 1);
    json!([
        good("a heartbeat at the very beginning", 0, 0, Some(NONCE)),
        good("a heartbeat", n, n, Some(NONCE)),
        good("one record", 0, 1, Some(NONCE)),
        good("all records in one frame", 0, n, Some(NONCE)),
        good("a batch, first half", 0, 3, Some(NONCE)),
        good("a batch, second half", 3, n, Some(NONCE)),
        good("a frame of the stream, without a nonce", 1, 4, None),
        bad("a frame was dropped", 0, sign(&right(1, 2)), "gap"),
        bad("a frame comes twice", 2, sign(&right(1, 2)), "gap"),
        bad("frames come in another order", 1, sign(&right(2, 3)), "gap"),
        bad("a heartbeat from before", 3, sign(&right(2, 2)), "gap"),
        bad(
            "an entry was left out of a frame",
            0,
            but(0, 3, &|p| {
                p["e"].as_array_mut().unwrap().remove(1);
            }),
            "length"
        ),
        bad(
            "an entry was altered",
            0,
            altered(&sign(&right(0, 3)), T0 + 1_000, T0 + 1_001),
            "signature"
        ),
        bad(
            "an entry was altered by who has the key",
            0,
            but(0, 3, &|p| p["e"][0][2] = json!(T0 + 1_001)),
            "chain"
        ),
        bad("two entries changed places", 0, but(0, 3, &swapped), "chain"),
        bad(
            "the kind of an entry was altered",
            0,
            but(0, 3, &|p| p["e"][0][0] = json!("X")),
            "chain"
        ),
        bad(
            "h_before is another",
            0,
            but(0, 3, &|p| p["h_before"] = json!(encode(signer::h(all, 1)))),
            "chain"
        ),
        bad(
            "h_after is another",
            0,
            but(0, 3, &|p| p["h_after"] = json!(encode(signer::h(all, 2)))),
            "chain"
        ),
        bad("the signature was altered", 0, signature_altered(&sign(&right(0, 3))), "signature"),
        bad(
            "a foreign key with the kid of ours",
            0,
            FOREIGN.sign("revfeed+jwt", &right(0, 3)),
            "signature"
        ),
        bad(
            "an old key that is no longer in the set",
            0,
            OLD.sign("revfeed+jwt", &right(0, 3)),
            "unknown_key"
        ),
        bad("alg none", 0, unsigned(&right(0, 3)), "signature"),
        bad("another pool", 0, but(0, 3, &|p| p["pool"] = json!("eu-west-1_Zz9yXw8Vu")), "pool"),
        bad(
            "another nonce: an answer of before",
            0,
            but(0, 3, &|p| p["nonce"] = json!("YW5vdGhlci1xdWVzdGlvbg")),
            "nonce"
        ),
        bad("no nonce where one was sent", 0, sign(&signer::frame(all, 0, 3, iat, None)), "nonce"),
        bad(
            "another incarnation",
            0,
            but(0, 3, &|p| p["incarnation"] = json!("AAAAAAAAAAAAAAAAAAAAAA")),
            "incarnation"
        ),
        bad("from is another", 0, but(0, 3, &|p| p["from"] = json!(1)), "gap"),
        bad("more numbers than entries", 0, but(0, 3, &|p| p["to"] = json!(4)), "length"),
        bad("to is below from", 3, but(3, 3, &|p| p["to"] = json!(2)), "length"),
        bad("an unknown version", 0, but(0, 3, &|p| p["v"] = json!(2)), "version"),
        bad(
            "no version",
            0,
            but(0, 3, &|p| {
                p.as_object_mut().unwrap().shift_remove("v");
            }),
            "malformed"
        ),
        bad("a number that is no integer", 0, but(0, 3, &|p| p["to"] = json!(3.5)), "malformed"),
        bad("a negative time", 0, but(0, 3, &|p| p["e"][0][2] = json!(-1)), "malformed"),
        bad(
            "a key of 15 bytes",
            0,
            but(0, 1, &|p| p["e"][0][1] = json!(encode([7; 15]))),
            "malformed"
        ),
        bad("the typ of a snapshot", 0, FEED.sign("revsnap+jwt", &right(0, 3)), "type"),
        bad("the typ of a token", 0, FEED.sign("JWT", &right(0, 3)), "type"),
        bad("cut off", 0, sign(&right(0, 3))[..200].to_owned(), "malformed"),
        bad("no frame at all", 0, "<html>502 Bad Gateway</html>".to_owned(), "malformed"),
        bad("empty", 0, String::new(), "malformed"),
    ])
}

/// The payload is changed, the signature stays.
fn altered(frame: &str, from: u64, to: u64) -> String {
    let parts: Vec<&str> = frame.split('.').collect();
    let payload = cenote_verifier::format::decode(parts[1]).unwrap();
    let payload =
        String::from_utf8(payload).unwrap().replacen(&from.to_string(), &to.to_string(), 1);
    format!("{}.{}.{}", parts[0], encode(payload), parts[2])
}

fn signature_altered(frame: &str) -> String {
    let (signed, signature) = frame.rsplit_once('.').unwrap();
    let mut signature = cenote_verifier::format::decode(signature).unwrap();
    signature[10] ^= 1;
    format!("{signed}.{}", encode(signature))
}

fn unsigned(payload: &Value) -> String {
    let header = json!({ "alg": "none", "kid": FEED.kid, "typ": "revfeed+jwt" });
    format!("{}.{}.", encode(header.to_string()), encode(payload.to_string()))
}

fn snapshots(all: &[About]) -> (Value, Vec<u8>) {
    let n = all.len();
    let lines = signer::snapshot_lines(all);
    let told = |payload: &mut Value| {
        payload["iat"] = json!(T0 + 66_000);
        payload["seq"] = json!(n);
        payload["h"] = json!(encode(signer::h(all, n)));
    };
    let right = signer::snapshot(&FEED, &lines, told);
    let with = |change: &dyn Fn(&mut Value)| {
        signer::snapshot(&FEED, &lines, |payload| {
            told(payload);
            change(payload);
        })
    };
    let flipped = |at: usize| {
        let mut bytes = right.clone();
        bytes[at] ^= 1;
        bytes
    };
    let empty = signer::snapshot(&FEED, &[], |payload| {
        payload["iat"] = json!(T0);
        payload["h"] = json!(encode(chain_start(POOL, INCARNATION)));
    });
    let after = |seq: usize| json!({ "incarnation": INCARNATION, "seq": seq, "h": encode(signer::h(all, seq)) });
    let entries = lines.chunks(32).map(|line| {
        let number = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
        json!([encode(&line[..16]), number(&line[16..24]), number(&line[24..])])
    });
    let bad = |name: &str, bytes: Vec<u8>, reason: &str| json!({ "name": name, "snapshot": encode(bytes), "expect": "refuse", "reason": reason });
    let unsorted = [&lines[32..64], &lines[..32], &lines[64..]].concat();
    let twice = [&lines[..32], &lines[..32], &lines[32..]].concat();
    let cases = json!([
        {
            "name": "all records; of a user with two records the later boundary and end", "file": "feed.snapshot.bin",
            "expect": "accept", "after": after(n), "entries": entries.collect::<Value>(),
        },
        { "name": "empty", "snapshot": encode(empty), "expect": "accept", "after": after(0), "entries": [] },
        bad("an entry was altered", flipped(40), "digest"),
        bad("the head was altered", flipped(25), "digest"),
        bad("the signature was altered", flipped(right.len() - 10), "signature"),
        bad("the count was altered", flipped(15), "malformed"),
        bad("cut off", right[..right.len() - 1].to_vec(), "malformed"),
        bad("shorter than its head", right[..31].to_vec(), "malformed"),
        bad("more than it says", [right.as_slice(), b"."].concat(), "malformed"),
        bad("another magic", flipped(0), "malformed"),
        bad("a later version of the bytes", flipped(7), "version"),
        bad("a later version of what is signed", with(&|p| p["v"] = json!(2)), "version"),
        bad("another pool", with(&|p| p["pool"] = json!("eu-west-1_Zz9yXw8Vu")), "pool"),
        bad("another count in what is signed", with(&|p| p["n"] = json!(n)), "length"),
        bad("a foreign key with the kid of ours", signer::snapshot(&FOREIGN, &lines, told), "signature"),
        bad("an old key that is no longer in the set", signer::snapshot(&OLD, &lines, told), "unknown_key"),
        bad("not sorted", signer::snapshot(&FEED, &unsorted, told), "malformed"),
        bad("a key twice", signer::snapshot(&FEED, &twice, told), "malformed"),
    ]);
    (cases, right)
}
