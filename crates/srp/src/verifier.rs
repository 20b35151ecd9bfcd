//! What is kept of a password: v = g^x mod N. The salt is kept next to it by the caller.

use std::fmt;

use aws_lc_rs::constant_time;
use zeroize::Zeroizing;

use crate::group::{self, BYTES, Element};
use crate::wire::{pad, sha256};

/// The verifier of a password: v = g^x mod N, x from the salt, the pool's name (its id after the `_`), the user's id
/// (`USER_ID_FOR_SRP`) and the password. Leading zero bytes of the salt do not count: send
/// it as [`salt_hex`](crate::salt_hex) writes it.
pub fn verifier(pool_name: &str, user_id: &str, password: &str, salt: &[u8]) -> Verifier {
    let x = password_exponent(pool_name, user_id, password, salt);
    Verifier::from_element(&group::power_of_g(&x))
}

/// Whether a plain password belongs to a stored verifier (`USER_PASSWORD_AUTH`); compares in constant time.
pub fn password_matches(
    stored: &Verifier,
    pool_name: &str,
    user_id: &str,
    password: &str,
    salt: &[u8],
) -> bool {
    let given = verifier(pool_name, user_id, password, salt);
    constant_time::verify_slices_are_equal(given.as_bytes(), stored.as_bytes()).is_ok()
}

/// v = g^x mod N, an integer of 1 to N - 1. Whoever reads it can test a guessed password for the price of one power, so
/// it is a password hash weaker than Argon2id: store it encrypted.
#[derive(Clone)]
pub struct Verifier(Zeroizing<[u8; BYTES]>);

impl Verifier {
    /// Reads big-endian bytes, with or without leading zeros; `None` for 0 and for N or more.
    ///
    /// A device registers its own verifier, in 383, 384 or (with a sign byte) 385 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self::from_element(&group::element(bytes).ok()?))
    }

    pub fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    pub(crate) fn element(&self) -> Zeroizing<Element> {
        Zeroizing::new(Element::new(&group::integer(self.as_bytes())))
    }

    fn from_element(element: &Element) -> Self {
        Self(Zeroizing::new(group::to_bytes(element)))
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// x = SHA256(pad(salt) | SHA256(pool name | user id | ":" | password)).
pub(crate) fn password_exponent(
    pool_name: &str,
    user_id: &str,
    password: &str,
    salt: &[u8],
) -> Zeroizing<[u8; 32]> {
    let identity = Zeroizing::new(sha256(&[
        pool_name.as_bytes(),
        user_id.as_bytes(),
        b":",
        password.as_bytes(),
    ]));
    let [sign, salt] = pad(salt);
    Zeroizing::new(sha256(&[sign, salt, identity.as_ref()]))
}
