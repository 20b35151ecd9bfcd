//! Tokens whose signature was checked before: to show one again costs a hash. Whether its key is still trusted, whether it has expired
//! and whether anything ended it is asked anew each time.
//!
//! A table of fixed size in which a token has two places, and takes the one that was taken longer ago. Reading it takes no lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use arc_swap::ArcSwapOption;
use aws_lc_rs::digest::{SHA256, digest};

use crate::token::Token;

/// A longer token is checked each time: a few of them would take all the memory.
const MAX_KEPT: usize = 8 * 1024;

pub(crate) type Hash = [u8; 32];

pub(crate) fn hash(token: &str) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hash
}

/// Only tokens with a right signature come in here, so nobody fills it with inventions.
pub(crate) struct Seen(Box<[Place]>);

#[derive(Default)]
struct Place {
    tokens: [ArcSwapOption<(Hash, Token)>; 2],
    next: AtomicU8,
}

impl Seen {
    pub fn new(tokens: usize) -> Seen {
        let places = (tokens / 2).clamp(1, 1 << 20).next_power_of_two();
        Seen((0..places).map(|_| Place::default()).collect())
    }

    pub fn get(&self, hash: &Hash) -> Option<Token> {
        self.place(hash)?.tokens.iter().find_map(|place| {
            let place = place.load();
            place.as_ref().filter(|place| place.0 == *hash).map(|place| place.1.clone())
        })
    }

    pub fn remember(&self, hash: Hash, length: usize, token: &Token) {
        if length <= MAX_KEPT
            && let Some(place) = self.place(&hash)
            && let Some(slot) = place.tokens.get(usize::from(place.next.fetch_add(1, Relaxed) & 1))
        {
            slot.store(Some(Arc::new((hash, token.clone()))));
        }
    }

    fn place(&self, hash: &Hash) -> Option<&Place> {
        let [a, b, c, d, ..] = *hash;
        self.0.get(usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()? & (self.0.len() - 1))
    }
}
