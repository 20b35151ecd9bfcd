//! The feed at one moment: all living records in one signed piece of bytes, for a start and after a gap. It proves no freshness: the
//! first frame after it does.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Deserialize;

use crate::frame::{Position, Refused, hash, verified, versioned};
use crate::jws::Jwks;
use crate::key::Entry;

const MAGIC: &[u8; 8] = b"CNTRVF\0\x01";
const HEADER: usize = 32;
const LINE: usize = 32;

/// Of the signature at the end.
const MAX_SIGNATURE: usize = 16 * 1024;

/// Bytes that a key of the feed signed as this pool's.
#[derive(Debug)]
pub struct Snapshot<'a> {
    pub position: Position,
    /// The server's clock when it was signed.
    pub iat_ms: u64,
    lines: &'a [u8],
}

#[derive(Deserialize)]
struct Payload {
    pool: String,
    incarnation: String,
    iat: u64,
    seq: u64,
    h: String,
    n: u64,
    sha256: String,
}

impl<'a> Snapshot<'a> {
    pub fn open(
        bytes: &'a [u8],
        keys: &Jwks,
        pool: &str,
        max_entries: usize,
    ) -> Result<Snapshot<'a>, Refused> {
        let number = |range| {
            let bytes: &[u8] = bytes.get(range).ok_or(Refused::Malformed)?;
            let number = bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            usize::try_from(number).map_err(|_| Refused::TooLarge)
        };
        match bytes.get(..8) {
            Some(magic) if magic == MAGIC => {}
            Some([b'C', b'N', b'T', b'R', b'V', b'F', 0, _]) => return Err(Refused::Version),
            _ => return Err(Refused::Malformed),
        }
        let (n, signature) = (number(8..16)?, number(16..20)?);
        if n > max_entries {
            return Err(Refused::TooLarge);
        }
        let signed = HEADER + n * LINE;
        if signature > MAX_SIGNATURE || bytes.len() != signed + signature {
            return Err(Refused::Malformed);
        }
        let (signed, signature) = bytes.split_at(signed);
        let signature = std::str::from_utf8(signature).map_err(|_| Refused::Malformed)?;
        let payload: Payload = versioned(&verified(signature, keys, "revsnap+jwt")?)?;
        if payload.pool != pool {
            return Err(Refused::Pool);
        }
        if payload.n != n as u64 {
            return Err(Refused::Length);
        }
        if hash(&payload.sha256).is_none_or(|own| own != digest(&SHA256, signed).as_ref()) {
            return Err(Refused::Digest);
        }
        let snapshot = Snapshot {
            position: Position {
                incarnation: payload.incarnation,
                seq: payload.seq,
                h: hash(&payload.h).ok_or(Refused::Malformed)?,
            },
            iat_ms: payload.iat,
            lines: signed.get(HEADER..).unwrap_or_default(),
        };
        // What is signed is right; but what is not sorted would not be found, and nobody would notice.
        let mut keys = snapshot.entries().map(|entry| entry.key);
        let mut last = keys.next();
        for key in keys {
            if last.replace(key).is_some_and(|last| last >= key) {
                return Err(Refused::Malformed);
            }
        }
        Ok(snapshot)
    }

    /// In the order of their keys.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = Entry> + Clone {
        self.lines.as_chunks::<LINE>().0.iter().map(Entry::from_bytes)
    }
}
