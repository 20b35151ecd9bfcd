//! Secure remote password as Cognito's clients speak it: verifiers, the server's handshake, the session key
//! and the claim. No I/O, no clock and no randomness of its own: whoever calls brings salts and secrets.
//!
//! This is SRP-6a over the 3072-bit group of RFC 3526 with g = 2, but neither RFC 5054's padding nor its
//! proofs: integers are hashed as Java's `BigInteger.toByteArray()` writes them (see `wire`), and the proof
//! is an HMAC under an HKDF key. In order of use:
//!
//! | step | who | here |
//! |---|---|---|
//! | sign-up: v = g^x | server | [`verifier()`] |
//! | `SRP_A` | client | [`ClientPublic::parse`] |
//! | `SALT`, `SRP_B` | server | [`salt_hex`], [`Server::new`], [`Server::public_hex`] |
//! | `PASSWORD_CLAIM_SIGNATURE` | client | [`Server::key`], [`SessionKey::verify`] |
//!
//! A remembered device runs the same protocol: its group key stands for the pool name, its device key for
//! the user id, and its verifier is not computed here but sent by the client ([`Verifier::from_bytes`]).
//!
//! Powers of secrets run in constant time. Secrets kept in a value are wiped when it is dropped; copies that the
//! arithmetic leaves on the stack are not.

pub mod client;
mod group;
mod public;
mod refused;
mod server;
mod session;
mod verifier;
mod wire;

pub use public::ClientPublic;
pub use refused::Refused;
pub use server::Server;
pub use session::SessionKey;
pub use verifier::{Verifier, password_matches, verifier};
pub use wire::salt_hex;
