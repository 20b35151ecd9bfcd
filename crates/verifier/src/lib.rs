//! What a resource server links to verify the tokens of a Cenote pool, and to refuse them within milliseconds of a sign-out.
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! use cenote_verifier::Verifier;
//!
//! let verifier = Verifier::builder("https://id.example.com/eu-west-1_Ab3dEf9Gh", "orders-1")
//!     .client("1h57kf5cpq17m0eml12example", std::env::var("CLIENT_SECRET")?)
//!     .start()?;
//! verifier.ready().await;
//! let token = verifier.verify("eyJ..").await?;
//! println!("{} may {:?}", token.sub(), token.scopes().collect::<Vec<_>>());
//! # Ok(())
//! # }
//! ```
//!
//! A token is genuine (RS256 by a key of the pool), unexpired, of this issuer and use, and neither its user, session, client, pool nor
//! key was ended after it was born. The last of these is known from the pool's revocation feed, which a background task follows: while
//! its state is [`Freshness::Fresh`], no token is accepted later than four seconds after its sign-out, and usually some milliseconds.
//! `docs/verifiers.md` says what else there is to know.

mod builder;
mod client;
mod clock;
#[cfg(feature = "axum")]
mod extract;
mod feed;
mod frame;
mod guard;
mod http;
mod jws;
mod key;
#[cfg(feature = "tower")]
mod layer;
mod policy;
mod seen;
mod shared;
mod snapshot;
mod table;
mod token;
mod verifier;

/// The feed's format, for those who write a client or a server of their own.
pub mod format {
    pub use crate::frame::{Frame, MAX_FRAME, Position, Refused, VERSION};
    pub use crate::jws::{Jwks, PublicKey, decode, encode};
    pub use crate::key::{Entry, Key16, Kind, Link, Record, chain, chain_start};
    pub use crate::snapshot::Snapshot;
    pub use crate::table::{Table, View};
}

pub use builder::{BadSetup, Builder};
pub use client::Credentials;
pub use clock::{Clock, SystemClock};
#[cfg(feature = "axum")]
pub use extract::Verified;
pub use feed::Freshness;
pub use guard::{Ended, SessionGuard};
pub use http::bearer;
#[cfg(feature = "tower")]
pub use layer::{Guarded, RequireToken};
pub use policy::Policy;
pub use token::{MAX_TOKEN, Refusal, Token, TokenUse};
pub use verifier::{Status, Verifier};
