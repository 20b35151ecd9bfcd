//! The parsed signing keys of one pool, and where new keys come from.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use zeroize::Zeroizing;

use super::{SigningKey, VerifyingKey};
use crate::ambient::{Ms, Random};
use crate::error::{Error, Result};

/// Access and ID tokens are signed with two different keys (`cognito-behaviour`, 5.1).
#[derive(Default)]
pub struct Ring {
    keys: Vec<Key>,
}

struct Key {
    use_for: String,
    active: bool,
    retire_ms: Option<Ms>,
    signing: SigningKey,
    verifying: VerifyingKey,
}

impl Ring {
    pub fn add(
        &mut self,
        use_for: &str,
        active: bool,
        retire_ms: Option<Ms>,
        signing: SigningKey,
    ) -> Result<()> {
        let verifying = signing.verifying_key()?;
        self.keys.push(Key { use_for: use_for.to_owned(), active, retire_ms, signing, verifying });
        Ok(())
    }

    pub fn access(&self) -> Option<&SigningKey> {
        self.signing("access")
    }

    pub fn id(&self) -> Option<&SigningKey> {
        self.signing("id")
    }

    fn signing(&self, use_for: &str) -> Option<&SigningKey> {
        self.keys.iter().find(|key| key.active && key.use_for == use_for).map(|key| &key.signing)
    }

    /// The key of this id, if it signs this use and its time is not over.
    pub fn verifying(&self, use_for: &str, kid: &str, now: Ms) -> Option<&VerifyingKey> {
        self.living(now)
            .find(|key| key.use_for == use_for && key.signing.kid() == kid)
            .map(|key| &key.verifying)
    }

    /// The JWKS document: RSA signing keys only, because common clients convert every key that they find.
    pub fn jwks(&self, now: Ms) -> Value {
        json!({ "keys": self.living(now).map(|key| key.signing.jwk()).collect::<Vec<_>>() })
    }

    fn living(&self, now: Ms) -> impl Iterator<Item = &Key> {
        self.keys.iter().filter(move |key| key.retire_ms.is_none_or(|retire_ms| retire_ms > now))
    }
}

/// Where new RSA keys come from: fresh ones, or, in tests, fixtures (generation costs a tenth of a second).
#[derive(Clone)]
pub enum KeySource {
    Generate,
    Fixtures(Arc<Vec<Vec<u8>>>, Arc<AtomicUsize>),
}

impl KeySource {
    /// A key under a new id, and its PKCS #8 form. Slow: call it off the event loop.
    pub fn make(&self, random: &dyn Random) -> Result<(SigningKey, Zeroizing<Vec<u8>>)> {
        match self {
            KeySource::Generate => SigningKey::generate(random),
            KeySource::Fixtures(keys, next) => {
                let at = next.fetch_add(1, Ordering::Relaxed) % keys.len().max(1);
                let pkcs8 = keys.get(at).ok_or_else(|| Error::internal("no fixture keys"))?;
                let key = SigningKey::from_pkcs8(super::kid(random), pkcs8)?;
                Ok((key, Zeroizing::new(pkcs8.clone())))
            }
        }
    }
}
