//! Logout messages that arrive, by all three bindings: SAML core 3.7, SAML profiles 4.4.

use crate::{Credential, Incoming, NameId, Status, fault::Fault};

/// What a logout message must be to be believed. It must be signed, whatever its binding.
#[derive(Debug, Clone)]
pub struct ExpectLogout<'a> {
    pub idp_entity_id: &'a str,
    /// The provider's signing certificates (DER), from its metadata. No other key is ever used.
    pub trusted: &'a [Vec<u8>],
    /// The address at which the message arrived. `Destination` must be equal to it; by SOAP it may be absent.
    pub destination: &'a str,
    pub now_ms: i64,
    pub skew_ms: i64,
    /// How old a message may be that does not say when it ends.
    pub max_age_ms: i64,
    /// Our decryption keys, for a name that is encrypted.
    pub decrypt: &'a [&'a Credential],
}

/// A provider ends sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundLogout {
    /// To be remembered until `replay_until_ms`, and to be answered to.
    pub id: String,
    pub issuer: String,
    pub name_id: NameId,
    /// Which sessions; empty means all of that user at this provider.
    pub session_indexes: Vec<String>,
    pub issue_instant_ms: i64,
    pub not_on_or_after_ms: Option<i64>,
    /// After this the request would be refused for its age.
    pub replay_until_ms: i64,
}

/// A provider's answer to our LogoutRequest. Any status is an answer: look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutAnswer {
    pub id: String,
    pub issuer: String,
    pub in_response_to: String,
    pub status: Status,
    pub issue_instant_ms: i64,
}

/// Verifies and reads a LogoutRequest.
pub fn consume_logout_request(
    _message: &Incoming,
    _expect: &ExpectLogout<'_>,
) -> Result<InboundLogout, Fault> {
    Err(Fault::Metadata("not built yet"))
}

/// Verifies and reads the answer to our request `in_response_to`.
pub fn consume_logout_response(
    _message: &Incoming,
    _expect: &ExpectLogout<'_>,
    _in_response_to: &str,
) -> Result<LogoutAnswer, Fault> {
    Err(Fault::Metadata("not built yet"))
}
