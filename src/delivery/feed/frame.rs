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
