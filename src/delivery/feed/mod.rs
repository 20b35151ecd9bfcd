//! The revocation feed (`docs/revocation-feed.md`): what verifiers follow to learn of every sign-out. Its records are numbered by
//! `sequencer`; here they are composed into frames, signed and served.

mod access;
mod acknowledge;
mod answer;
mod asked;
mod delta;
pub mod frame;
mod keys;
mod reader;
mod snapshot;
mod stream;

pub use delta::get as delta;
pub use keys::get as jwks;
pub use snapshot::get as snapshot;
pub use stream::get as stream;
