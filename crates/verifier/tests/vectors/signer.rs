//! The other side, for the vectors: fixed keys, and frames, snapshots and tokens made with them, right ones and wrong ones.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use cenote_verifier::format::{Entry, Kind, Link, Record, chain, chain_start, encode};
use serde_json::{Value, json};

pub const POOL: &str = "eu-west-1_Ab3dEf9Gh";
pub const ISSUER: &str = "https://id.example.com/eu-west-1_Ab3dEf9Gh";
pub const INCARNATION: &str = "q80B7y9hS0ugkCxVZ4mKNw";
pub const NONCE: &str = "c2VudC1ieS10aGUtdmVyaWZpZXI";

pub struct FeedKey {
    pub kid: &'static str,
    pub seed: [u8; 32],
}

/// The feed's key, the one before it, and one of somebody else.
pub const FEED: FeedKey = FeedKey { kid: "feed-2026-11", seed: [0x42; 32] };
pub const OLD: FeedKey = FeedKey { kid: "feed-2026-10", seed: [0x17; 32] };
pub const FOREIGN: FeedKey = FeedKey { kid: "feed-2026-11", seed: [0x99; 32] };

impl FeedKey {
    fn pair(&self) -> Ed25519KeyPair {
        Ed25519KeyPair::from_seed_unchecked(&self.seed).unwrap()
    }

    pub fn jwk(&self) -> Value {
        let x = encode(self.pair().public_key());
        json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": self.kid, "use": "sig", "alg": "EdDSA" })
    }

    pub fn sign(&self, typ: &str, payload: &Value) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid, "typ": typ });
        let signed = format!("{}.{}", encode(header.to_string()), encode(payload.to_string()));
        let signature = encode(self.pair().sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

pub struct TokenKey {
    pub kid: &'static str,
    pkcs8: &'static [u8],
}

pub const TOKENS: TokenKey = TokenKey {
    kid: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
    pkcs8: include_bytes!("../../../../tests/fixtures/rsa-1.pkcs8.der"),
};
pub const STOLEN: TokenKey = TokenKey {
    kid: "Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=",
    pkcs8: include_bytes!("../../../../tests/fixtures/rsa-2.pkcs8.der"),
};
pub const UNKNOWN: TokenKey = TokenKey {
    kid: "unknown",
    pkcs8: include_bytes!("../../../../tests/fixtures/rsa-3.pkcs8.der"),
};
/// The kid of the pool's key, but not its key.
pub const FORGED: TokenKey = TokenKey { kid: TOKENS.kid, pkcs8: UNKNOWN.pkcs8 };

impl TokenKey {
    fn pair(&self) -> RsaKeyPair {
        RsaKeyPair::from_pkcs8(self.pkcs8).unwrap()
    }

    pub fn jwk(&self) -> Value {
        let pair = self.pair();
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        json!({
            "kty": "RSA", "n": encode(n.big_endian_without_leading_zero()),
            "e": encode(e.big_endian_without_leading_zero()), "kid": self.kid, "use": "sig", "alg": "RS256",
        })
    }

    pub fn sign(&self, claims: &Value) -> String {
        let header = json!({ "kid": self.kid, "alg": "RS256" });
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let pair = self.pair();
        let mut signature = vec![0; pair.public_modulus_len()];
        let random = SystemRandom::new();
        pair.sign(&RSA_PKCS1_SHA256, &random, signed.as_bytes(), &mut signature).unwrap();
        format!("{signed}.{}", encode(signature))
    }
}

/// A record by the id that it is about.
#[derive(Clone, Copy)]
pub struct About {
    pub kind: Kind,
    pub id: &'static str,
    pub not_before_ms: u64,
    pub drop_after_ms: u64,
}

impl About {
    pub fn record(&self) -> Record {
        let key = self.kind.key16(POOL, self.id);
        let entry =
            Entry { key, not_before_ms: self.not_before_ms, drop_after_ms: self.drop_after_ms };
        Record { kind: self.kind.letter() as u8, entry }
    }

    pub fn line(&self) -> Value {
        let key = encode(self.record().entry.key);
        json!([self.kind.letter().to_string(), key, self.not_before_ms, self.drop_after_ms])
    }
}

/// h after the first `seq` records.
pub fn h(all: &[About], seq: usize) -> Link {
    let start = chain_start(POOL, INCARNATION);
    all[..seq].iter().fold(start, |h, about| chain(&h, &about.record()))
}

/// The payload of a right frame, in the order of its members.
pub fn frame(all: &[About], from: usize, to: usize, iat_ms: u64, nonce: Option<&str>) -> Value {
    let mut frame = json!({ "v": 1, "pool": POOL, "incarnation": INCARNATION, "iat": iat_ms });
    if let Some(nonce) = nonce {
        frame["nonce"] = json!(nonce);
    }
    frame["from"] = json!(from);
    frame["to"] = json!(to);
    frame["h_before"] = json!(encode(h(all, from)));
    frame["h_after"] = json!(encode(h(all, to)));
    frame["e"] = all[from..to].iter().map(About::line).collect();
    frame
}

pub fn snapshot_lines(abouts: &[About]) -> Vec<u8> {
    let mut entries: Vec<Entry> = Vec::new();
    for about in abouts {
        let entry = about.record().entry;
        match entries.iter_mut().find(|own| own.key == entry.key) {
            Some(own) => *own = own.join(entry),
            None => entries.push(entry),
        }
    }
    entries.sort_by_key(|entry| entry.key);
    entries.iter().flat_map(|entry| entry.to_bytes()).collect()
}

/// From sorted lines, whose count and digest the signature tells.
pub fn snapshot(key: &FeedKey, lines: &[u8], payload: impl FnOnce(&mut Value)) -> Vec<u8> {
    let n = (lines.len() / 32) as u64;
    // The length of the signature is among the signed bytes, so it is made twice: it does not depend on the digest's value.
    let mut told = json!({
        "v": 1, "pool": POOL, "incarnation": INCARNATION, "iat": 0, "seq": 0, "h": "", "n": n, "sha256": encode([0; 32]),
    });
    payload(&mut told);
    let length = key.sign("revsnap+jwt", &told).len() as u32;
    let head =
        [b"CNTRVF\0\x01".as_slice(), &n.to_be_bytes(), &length.to_be_bytes(), &[0; 12], lines]
            .concat();
    told["sha256"] = json!(encode(digest(&SHA256, &head)));
    [head, key.sign("revsnap+jwt", &told).into_bytes()].concat()
}

/// A version 7 UUID of a moment; the rest of it is made from `n`.
pub fn uuid7(ms: u64, n: u8) -> String {
    let [_, _, m @ ..] = ms.to_be_bytes();
    let bytes =
        [m.as_slice(), &[0x70 | (n & 15), n, 0x80 | (n & 15), n, n, n, n, n, n, n]].concat();
    uuid::Uuid::from_slice(&bytes).unwrap().to_string()
}
