//! Keys and what is made with them: the master key and values sealed under it (`seal`), RSA signing keys and JSON Web
//! Tokens (`jws`), those of the revocation feed (`ed25519`), those of others (`foreign`), those that were verified before (`seen`), the keys of one pool (`ring`, and `saml` for
//! federation). No database and no clock; which key is used when is for the callers.

pub mod ed25519;
pub mod foreign;
pub mod jws;
pub mod ring;
pub mod saml;
pub mod seal;
pub mod seen;

pub use ed25519::FeedKey;
pub use jws::{
    BadSignature, Claims, Malformed, SigningKey, Unverified, VerifyingKey, kid, parse,
    refresh_token,
};
pub use ring::{KeySource, Ring};
pub use seal::{MasterKey, Place, Sealed, Vault, hash, same};
pub use seen::SeenTokens;
