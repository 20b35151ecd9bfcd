//! The key that both sides arrive at, and the claim the client proves it with.

use std::fmt;

use aws_lc_rs::{constant_time, hmac};
use zeroize::Zeroizing;

use crate::group::{self, Element};
use crate::wire::{first, pad};

/// The info string of HKDF's expand step, with the counter of its only block.
const INFO: &[u8] = b"Caldera Derived Key\x01";

/// 16 bytes shared by a server and a client that knows the password.
pub struct SessionKey(Zeroizing<[u8; 16]>);

impl SessionKey {
    /// HKDF-SHA256 with pad(u) as salt and pad(S) as key material, written out as its two HMACs.
    pub(crate) fn derive(shared: &Element, u: &[u8; 32]) -> Self {
        let shared = Zeroizing::new(group::to_bytes(shared));
        let extracted = Zeroizing::new(hmac_sha256(&pad(u).concat(), &pad(shared.as_ref())));
        let expanded = Zeroizing::new(hmac_sha256(extracted.as_ref(), &[INFO]));
        Self(Zeroizing::new(first(expanded.as_ref())))
    }

    /// `PASSWORD_CLAIM_SIGNATURE` before base64. `secret_block` is what the server sent, base64 decoded; `timestamp` is the
    /// text the client sent, which the caller must also check against the clock.
    pub fn claim(
        &self,
        pool_name: &str,
        user_id: &str,
        secret_block: &[u8],
        timestamp: &str,
    ) -> [u8; 32] {
        hmac_sha256(
            self.0.as_ref(),
            &[pool_name.as_bytes(), user_id.as_bytes(), secret_block, timestamp.as_bytes()],
        )
    }

    /// Whether `signature` is the claim, compared in constant time.
    pub fn verify(
        &self,
        pool_name: &str,
        user_id: &str,
        secret_block: &[u8],
        timestamp: &str,
        signature: &[u8],
    ) -> bool {
        let expected = self.claim(pool_name, user_id, secret_block, timestamp);
        constant_time::verify_slices_are_equal(&expected, signature).is_ok()
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    first(context.sign().as_ref())
}
