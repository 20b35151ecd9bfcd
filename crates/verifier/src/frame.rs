//! A frame of the feed: some records in their order, or none (a heartbeat), signed, and chained to what came before. Pure: what a
//! frame is held against is given, and whether it moves a position on is the answer.

use serde::Deserialize;

use crate::jws::{self, Jwks};
use crate::key::{self, Entry, Link, Record};

/// The version of the format that this crate speaks.
pub const VERSION: u64 = 1;

/// Of one frame's text. A thousand records take a tenth of a megabyte.
pub const MAX_FRAME: usize = 512 * 1024;

/// Records of one frame. One that has so many may leave more behind, and proves no freshness.
pub(crate) const MAX_RECORDS: usize = 1_000;

/// Milliseconds and numbers stay exact in every language that reads them.
const MAX_INTEGER: u64 = 1 << 53;

/// Why a frame or a snapshot was refused, in the order in which it is looked at. Whatever it is, what helps is a new snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// No JWS, or its payload is not what it should be.
    Malformed,
    /// The header's `typ` is another: a snapshot's signature is no frame, a token is neither.
    Type,
    /// A key that the feed's key set does not have (any more). Perhaps it is new: the set is fetched again.
    UnknownKey,
    Signature,
    Version,
    /// Of another pool.
    Pool,
    /// Not the answer to this question.
    Nonce,
    /// Of another life of the server's database.
    Incarnation,
    /// Signed long before the snapshot that it follows, by the server's clock. That clock was ahead then, and the snapshot may lack
    /// what lives by the right time.
    Earlier,
    /// It begins elsewhere: a frame was lost, came twice, or too early.
    Gap,
    /// It has not as many records as it says.
    Length,
    /// Its records do not follow those that are known.
    Chain,
    /// A snapshot whose bytes are not those that were signed.
    Digest,
    /// A snapshot with more entries than are wanted.
    TooLarge,
}

impl Refused {
    /// As it stands in the vectors and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Refused::Malformed => "malformed",
            Refused::Type => "type",
            Refused::UnknownKey => "unknown_key",
            Refused::Signature => "signature",
            Refused::Version => "version",
            Refused::Pool => "pool",
            Refused::Nonce => "nonce",
            Refused::Incarnation => "incarnation",
            Refused::Earlier => "earlier",
            Refused::Gap => "gap",
            Refused::Length => "length",
            Refused::Chain => "chain",
            Refused::Digest => "digest",
            Refused::TooLarge => "too_large",
        }
    }
}

/// A frame that a key of the feed signed, for this pool and this question.
#[derive(Debug)]
pub struct Frame {
    pub incarnation: String,
    /// The server's clock when it was signed.
    pub iat_ms: u64,
    pub from: u64,
    pub to: u64,
    pub records: Vec<Record>,
    h_before: Link,
    h_after: Link,
}

#[derive(Deserialize)]
struct Payload {
    pool: String,
    incarnation: String,
    iat: u64,
    nonce: Option<String>,
    from: u64,
    to: u64,
    h_before: String,
    h_after: String,
    e: Vec<(String, String, u64, u64)>,
}

impl Frame {
    /// Of the stream, a frame has no nonce, and says nothing about how fresh it is.
    pub fn open(
        text: &str,
        keys: &Jwks,
        pool: &str,
        nonce: Option<&str>,
    ) -> Result<Frame, Refused> {
        if text.len() > MAX_FRAME {
            return Err(Refused::Malformed);
        }
        let payload = verified(text, keys, "revfeed+jwt")?;
        let payload: Payload = versioned(&payload)?;
        if payload.pool != pool {
            return Err(Refused::Pool);
        }
        if payload.nonce.as_deref() != nonce {
            return Err(Refused::Nonce);
        }
        let records = payload.e.iter().map(record).collect::<Option<Vec<_>>>();
        let numbers = [payload.iat, payload.from, payload.to];
        if numbers.iter().any(|number| *number >= MAX_INTEGER) {
            return Err(Refused::Malformed);
        }
        Ok(Frame {
            records: records.ok_or(Refused::Malformed)?,
            h_before: hash(&payload.h_before).ok_or(Refused::Malformed)?,
            h_after: hash(&payload.h_after).ok_or(Refused::Malformed)?,
            incarnation: payload.incarnation,
            iat_ms: payload.iat,
            from: payload.from,
            to: payload.to,
        })
    }
}

/// Up to where a pool's records are known: all of them, and in this chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub incarnation: String,
    pub seq: u64,
    pub h: Link,
}

impl Position {
    /// The position after this frame, if it begins exactly here.
    pub fn after(&self, frame: &Frame) -> Result<Position, Refused> {
        if frame.incarnation != self.incarnation {
            return Err(Refused::Incarnation);
        }
        if frame.from != self.seq {
            return Err(Refused::Gap);
        }
        let length =
            frame.to.checked_sub(frame.from).filter(|length| *length <= MAX_RECORDS as u64);
        if length != u64::try_from(frame.records.len()).ok() {
            return Err(Refused::Length);
        }
        let h = frame.records.iter().fold(self.h, |h, record| key::chain(&h, record));
        if frame.h_before != self.h || frame.h_after != h {
            return Err(Refused::Chain);
        }
        Ok(Position { incarnation: self.incarnation.clone(), seq: frame.to, h })
    }
}

/// The payload of a JWS of this type by one of these keys.
pub(crate) fn verified(text: &str, keys: &Jwks, typ: &str) -> Result<Vec<u8>, Refused> {
    let jws = jws::split(text).ok_or(Refused::Malformed)?;
    if jws.header.typ != typ {
        return Err(Refused::Type);
    }
    let key = keys.find(&jws.header.kid).ok_or(Refused::UnknownKey)?;
    jws.verify(key).ok_or(Refused::Signature)
}

/// The version is looked at before the rest: another version may look quite different.
pub(crate) fn versioned<T: for<'a> Deserialize<'a>>(payload: &[u8]) -> Result<T, Refused> {
    #[derive(Deserialize)]
    struct Version {
        v: u64,
    }
    let version: Version = serde_json::from_slice(payload).map_err(|_| Refused::Malformed)?;
    if version.v != VERSION {
        return Err(Refused::Version);
    }
    serde_json::from_slice(payload).map_err(|_| Refused::Malformed)
}

pub(crate) fn hash(text: &str) -> Option<Link> {
    jws::decode(text)?.try_into().ok()
}

fn record(line: &(String, String, u64, u64)) -> Option<Record> {
    let (kind, key, not_before_ms, drop_after_ms) = line;
    let [kind @ b'A'..=b'Z'] = kind.as_bytes() else { return None };
    let key = jws::decode(key)?.try_into().ok()?;
    if (*not_before_ms).max(*drop_after_ms) >= MAX_INTEGER {
        return None;
    }
    let entry = Entry { key, not_before_ms: *not_before_ms, drop_after_ms: *drop_after_ms };
    Some(Record { kind: *kind, entry })
}
