//! What is signed, composed of records: pure.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::json;

use crate::ambient::Ms;
use crate::feeds::Span;
use crate::pool::feed::{Chain, Entry};

/// Records of one frame.
pub const MOST: i64 = 1_000;

pub const FRAME: &str = "revfeed+jwt";
pub const SNAPSHOT: &str = "revsnap+jwt";

/// Records `from`+1 and on, each with the chain at it, as a frame holds them.
pub fn span(from: i64, h_before: &Chain, records: &[(Entry, Chain)]) -> Span {
    let h_after = records.last().map_or(h_before, |(_, chain)| chain);
    let entries: Vec<_> = records
        .iter()
        .map(|(entry, _)| {
            json!([
                char::from(entry.kind).to_string(),
                text(&entry.key16),
                entry.not_before_ms,
                entry.drop_after_ms
            ])
        })
        .collect();
    Span {
        from,
        to: from + i64::try_from(records.len()).unwrap_or(0),
        h_before: text(h_before),
        h_after: text(h_after),
        e: json!(entries).to_string(),
    }
}

/// A frame's payload. With a nonce it is for one reader, without one for all streams.
pub fn payload(
    pool_id: &str,
    incarnation: &str,
    iat: Ms,
    nonce: Option<&str>,
    span: &Span,
) -> String {
    let (pool, incarnation) = (json!(pool_id), json!(incarnation));
    let nonce = nonce.map(|nonce| format!("\"nonce\":{},", json!(nonce))).unwrap_or_default();
    let Span { from, to, h_before, h_after, e } = span;
    format!(
        r#"{{"v":1,"pool":{pool},"incarnation":{incarnation},"iat":{iat},{nonce}"from":{from},"to":{to},"h_before":"{h_before}","h_after":"{h_after}","e":{e}}}"#
    )
}

/// A snapshot's payload.
pub struct Sealing<'a> {
    pub pool_id: &'a str,
    pub incarnation: &'a str,
    pub iat: Ms,
    pub seq: i64,
    pub chain: &'a Chain,
}

impl Sealing<'_> {
    pub fn payload(&self, n: usize, sha256: &[u8; 32]) -> String {
        let (pool, incarnation) = (json!(self.pool_id), json!(self.incarnation));
        let (iat, seq, h, sha256) = (self.iat, self.seq, text(self.chain), text(sha256));
        format!(
            r#"{{"v":1,"pool":{pool},"incarnation":{incarnation},"iat":{iat},"seq":{seq},"h":"{h}","n":{n},"sha256":"{sha256}"}}"#
        )
    }
}

/// Bytes as the feed writes them.
pub fn text(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;
    use crate::keys::FeedKey;
    use crate::pool::feed::genesis;
    use crate::signout::key16;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../verifiers/vectors/feed.json")).unwrap()
    }

    fn bytes<const N: usize>(text: &Value) -> [u8; N] {
        BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap().try_into().unwrap()
    }

    fn entry(e: &Value) -> Entry {
        Entry {
            kind: e[0].as_str().unwrap().as_bytes()[0],
            key16: bytes(&e[1]),
            not_before_ms: e[2].as_i64().unwrap(),
            drop_after_ms: e[3].as_i64().unwrap(),
        }
    }

    #[test]
    fn ids_and_the_chain_are_those_of_the_vectors() {
        let vectors = vectors();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        for case in vectors["key16"].as_array().unwrap() {
            let (kind, pool, mut id) =
                (text(&case["kind"]), text(&case["pool"]), text(&case["id"]));
            if kind == "S" {
                id = crate::ids::token_session_of(&id).unwrap();
            }
            assert_eq!(key16(&kind, &pool, &id), bytes(&case["key16"]), "{kind} {id}");
        }
        let (pool, incarnation) = (text(&vectors["pool"]), text(&vectors["incarnation"]));
        let mut chain = genesis(&pool, &incarnation);
        assert_eq!(chain, bytes(&vectors["chain"]["h0"]));
        for record in vectors["chain"]["records"].as_array().unwrap() {
            chain = entry(&record["e"]).after(&chain);
            assert_eq!(chain, bytes(&record["h"]));
        }
    }

    #[test]
    fn the_frames_that_a_verifier_accepts_are_what_this_server_makes_of_their_records() {
        let vectors = vectors();
        let seed: [u8; 32] = bytes(&vectors["feed_seed"]);
        let kid = vectors["feed_jwks"]["keys"][0]["kid"].as_str().unwrap();
        let key = FeedKey::from_seed(&seed).unwrap().named(kid);
        let accepted: Vec<&Value> = vectors["frames"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|case| case["expect"] == "accept")
            .collect();
        assert!(accepted.len() >= 3);
        for case in accepted {
            let said: Value = serde_json::from_str(case["payload"].as_str().unwrap()).unwrap();
            let mut chain: Chain = bytes(&said["h_before"]);
            let before = chain;
            let records: Vec<(Entry, Chain)> = said["e"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| {
                    let entry = entry(e);
                    chain = entry.after(&chain);
                    (entry, chain)
                })
                .collect();
            let span = span(said["from"].as_i64().unwrap(), &before, &records);
            let text = |name: &str| said[name].as_str().unwrap();
            let payload = payload(
                text("pool"),
                text("incarnation"),
                said["iat"].as_i64().unwrap(),
                said["nonce"].as_str(),
                &span,
            );
            assert_eq!(payload, case["payload"].as_str().unwrap(), "{}", case["name"]);
            assert_eq!(
                key.sign(FRAME, &payload),
                case["frame"].as_str().unwrap(),
                "{}",
                case["name"]
            );
        }
    }
}
