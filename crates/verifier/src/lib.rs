//! What a resource server links to verify the tokens of a Cenote pool, and to refuse them within milliseconds of a sign-out.

mod frame;
mod jws;
mod key;
mod snapshot;
mod table;
mod token;

/// The feed's format, for those who write a client or a server of their own.
pub mod format {
    pub use crate::frame::{Frame, MAX_FRAME, Position, Refused, VERSION};
    pub use crate::jws::{Jwks, PublicKey, decode, encode};
    pub use crate::key::{Entry, Key16, Kind, Link, Record, chain, chain_start};
    pub use crate::snapshot::Snapshot;
    pub use crate::table::Table;
}

pub use token::{MAX_TOKEN, Refusal, Token, TokenUse};
