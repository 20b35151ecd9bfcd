//! The service provider's side of SAML 2.0: what we send (requests, logout messages, our metadata) and what we believe of what arrives.
//!
//! Pure: no I/O, no clock, no randomness. Ids and times are arguments; all times are milliseconds since 1970.
//!
//! What comes in goes through three steps, and a caller cannot leave one out:
//! 1. [`decode_post`], [`decode_redirect`] or [`decode_soap`] unwrap a transport into an [`Incoming`] message. Nothing is believed yet;
//!    [`Incoming::peek`] reads what a caller needs to find the provider that it claims to come from.
//! 2. [`consume_response`], [`consume_logout_request`] or [`consume_logout_response`] verify and read it, in one pass over one tree.
//! 3. The caller refuses what it has seen before: the ids of [`Assertion`] and [`InboundLogout`] must be remembered until their
//!    `replay_until_ms`. This crate keeps no state.

mod assertion;
mod authn_request;
mod certificate;
mod checks;
mod credential;
mod decrypt;
mod fault;
mod idp_metadata;
mod logout_in;
mod logout_out;
mod names;
mod outgoing;
mod response;
mod signature;
mod sp_metadata;
mod status;
mod time;
mod transport;
mod xml;

pub use assertion::{Assertion, Attribute, NameId};
pub use authn_request::AuthnRequest;
pub use credential::{Credential, check_certificate};
pub use fault::{Excerpt, Fault};
pub use idp_metadata::IdpMetadata;
pub use logout_in::{
    ExpectLogout, InboundLogout, LogoutAnswer, consume_logout_request, consume_logout_response,
};
pub use logout_out::{LogoutReason, LogoutRequest, LogoutResponse};
pub use response::{Expect, consume_response};
pub use sp_metadata::SpMetadata;
pub use status::{LogoutStatus, Status, StatusCode};
pub use transport::{
    Binding, Endpoint, Incoming, Kind, Peek, decode_post, decode_redirect, decode_soap,
};
