//! Tokens that were verified before: to show one again costs a hash instead of a signature check. What is remembered is that
//! a key signed these very bytes, which stays true for ever. Whether that key is still one of the pool's, whether the token has expired
//! and whether anything ended it is none of this file's business, and is asked anew at each use.

use std::fmt;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::{Claims, hash};

/// Tokens of several thousand users. The memory is taken as tokens come.
const MAX_BYTES: u64 = 16 << 20;
const USUAL_TOKENS: usize = 4_096;

/// Claims by the hash of the token that holds them. Only tokens with a right signature come in here, so nobody fills it with inventions.
pub struct SeenTokens(Cache<[u8; 32], Arc<Claims>, Bytes>);

impl SeenTokens {
    pub fn get(&self, token: &str) -> Option<Arc<Claims>> {
        self.0.get(&hash(token))
    }

    pub fn remember(&self, token: &str, claims: Arc<Claims>) {
        self.0.insert(hash(token), claims);
    }
}

impl Default for SeenTokens {
    fn default() -> SeenTokens {
        SeenTokens(Cache::with_weighter(USUAL_TOKENS, MAX_BYTES, Bytes))
    }
}

impl fmt::Debug for SeenTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeenTokens({})", self.0.len())
    }
}

#[derive(Clone)]
struct Bytes;

impl Weighter<[u8; 32], Arc<Claims>> for Bytes {
    /// Parsed JSON takes some five times the room of its text.
    fn weight(&self, _: &[u8; 32], claims: &Arc<Claims>) -> u64 {
        256 + 5 * claims.length() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::SeededRandom;
    use crate::keys::{self, SigningKey};
    use serde_json::json;

    #[test]
    fn what_is_remembered_is_bounded_by_its_size() {
        let (key, _) = SigningKey::generate(&SeededRandom::new(1)).unwrap();
        let token = key.sign_jwt(&json!({ "filling": "x".repeat(8_000) })).unwrap();
        let claims = keys::parse(&token).unwrap().verify(&key.verifying_key().unwrap()).unwrap();
        let (seen, claims) = (SeenTokens::default(), Arc::new(claims));
        assert_eq!(claims.kid(), key.kid());
        assert!(seen.get(&token).is_none());
        seen.remember(&token, claims.clone());
        assert!(seen.get(&token).is_some_and(|found| found == claims));
        for n in 0..2_000 {
            seen.remember(&format!("{token}{n}"), claims.clone());
        }
        let most = MAX_BYTES / (256 + 5 * 8_000);
        assert!(seen.0.len() as u64 <= most, "{} of at most {most}", seen.0.len());
    }
}
