//! What a record of the feed is, the hashed key under which it is found, and the chain that leaves no gap between records.

use aws_lc_rs::digest::{Context, SHA256, digest};

/// SHA-256(kind 0x00 pool 0x00 id), cut to 16 bytes: it is found by who knows the id, and names nobody to who does not.
pub type Key16 = [u8; 16];

/// A link of the chain.
pub type Link = [u8; 32];

/// What a record ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A user's tokens that were born before a moment; the id is the `sub`.
    User,
    /// One token session; the id is the UUID of `origin_jti`.
    Session,
    /// A browser session. No token names it: for relying parties and consoles.
    Browser,
    /// An app client's tokens that were born before a moment.
    Client,
    /// All tokens of the pool that were born before a moment.
    Pool,
    /// Every token that a key signed; the id is the `kid`.
    SigningKey,
}

impl Kind {
    pub fn letter(self) -> char {
        match self {
            Kind::User => 'U',
            Kind::Session => 'S',
            Kind::Browser => 'X',
            Kind::Client => 'C',
            Kind::Pool => 'P',
            Kind::SigningKey => 'K',
        }
    }

    pub fn key16(self, pool: &str, id: &str) -> Key16 {
        let mut hash = Context::new(&SHA256);
        hash.update(&[self.letter() as u8, 0]);
        hash.update(pool.as_bytes());
        hash.update(&[0]);
        hash.update(id.as_bytes());
        let mut key = [0; 16];
        key.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
        key
    }
}

/// One line of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// The letter of its kind. One that this version does not know is kept: the chain goes through it, and nothing looks it up.
    pub kind: u8,
    pub entry: Entry,
}

/// What a verifier keeps of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Key16,
    /// Dead is what was born before. Of a session or a signing key that there is an entry at all is what counts.
    pub not_before_ms: u64,
    /// From here on no token that it concerns is unexpired, by the server's clock.
    pub drop_after_ms: u64,
}

impl Entry {
    /// Two records of one key: what either of them ends is ended, for as long as either of them lives.
    pub fn join(self, other: Entry) -> Entry {
        Entry {
            key: self.key,
            not_before_ms: self.not_before_ms.max(other.not_before_ms),
            drop_after_ms: self.drop_after_ms.max(other.drop_after_ms),
        }
    }

    /// key16 ‖ not_before_ms ‖ drop_after_ms: a line of the snapshot, and what follows the kind in the chain.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let parts = self.key.into_iter().chain(self.not_before_ms.to_be_bytes());
        let parts = parts.chain(self.drop_after_ms.to_be_bytes());
        bytes.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
        bytes
    }

    pub fn from_bytes(bytes: &[u8; 32]) -> Entry {
        let (key, rest) = bytes.split_at(16);
        let (not_before, drop_after) = rest.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        let mut entry = Entry {
            key: [0; 16],
            not_before_ms: number(not_before),
            drop_after_ms: number(drop_after),
        };
        entry.key.copy_from_slice(key);
        entry
    }
}

/// h_0: where the chain of a pool begins in one life of its database.
pub fn chain_start(pool: &str, incarnation: &str) -> Link {
    let parts = [b"cenote-revocation-feed/1\0", pool.as_bytes(), b"\0", incarnation.as_bytes()];
    link(&parts.concat())
}

/// h_n from h_(n-1) and record n.
pub fn chain(before: &Link, record: &Record) -> Link {
    link(&[before.as_slice(), &[record.kind], &record.entry.to_bytes()].concat())
}

fn link(bytes: &[u8]) -> Link {
    let mut link = [0; 32];
    link.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_has_another_key_in_another_pool_and_as_another_kind() {
        let key = Kind::User.key16("eu-west-1_Ab3dEf9Gh", "a");
        assert_ne!(key, Kind::User.key16("eu-west-1_Ab3dEf9Gi", "a"));
        assert_ne!(key, Kind::Client.key16("eu-west-1_Ab3dEf9Gh", "a"));
        assert_eq!(key, Kind::User.key16("eu-west-1_Ab3dEf9Gh", "a"));
    }

    #[test]
    fn an_entry_is_read_back_as_it_was_written() {
        let entry = Entry { key: *b"0123456789abcdef", not_before_ms: 1 << 40, drop_after_ms: 77 };
        assert_eq!(Entry::from_bytes(&entry.to_bytes()), entry);
    }
}
