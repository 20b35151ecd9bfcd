//! The revocation feed's entries and the chain over them (`docs/revocation-feed.md`): bytes and hashes, nothing else.

use aws_lc_rs::digest;

use crate::ambient::Ms;

/// A SHA-256 of everything that came before.
pub type Chain = [u8; 32];

/// A record as the feed tells it. It names nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One ASCII letter: `U`, `S`, `X`, `C`, `P` or `K`.
    pub kind: u8,
    pub key16: [u8; 16],
    pub not_before_ms: Ms,
    pub drop_after_ms: Ms,
}

impl Entry {
    /// The chain with this entry at its end.
    pub fn after(&self, chain: &Chain) -> Chain {
        let mut bytes = Vec::with_capacity(32 + 33);
        bytes.extend(chain);
        bytes.push(self.kind);
        bytes.extend(self.key16);
        bytes.extend(unsigned(self.not_before_ms).to_be_bytes());
        bytes.extend(unsigned(self.drop_after_ms).to_be_bytes());
        sha256(&bytes)
    }

    /// As a snapshot has it. The kind is in the key.
    pub fn packed(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let times = [unsigned(self.not_before_ms), unsigned(self.drop_after_ms)];
        let all = self.key16.into_iter().chain(times.into_iter().flat_map(u64::to_be_bytes));
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = from);
        bytes
    }
}

/// Where the chain of an incarnation begins.
pub fn genesis(pool_id: &str, incarnation: &str) -> Chain {
    let parts = ["cenote-revocation-feed/1", pool_id, incarnation];
    sha256(parts.join("\0").as_bytes())
}

fn sha256(bytes: &[u8]) -> Chain {
    let mut out = [0; 32];
    let hash = digest::digest(&digest::SHA256, bytes);
    out.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    out
}

/// Times before 1970 are none.
fn unsigned(ms: Ms) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}
