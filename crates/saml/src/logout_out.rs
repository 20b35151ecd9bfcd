//! Logout messages that we send: SAML core 3.7.

use crate::{Credential, LogoutStatus, NameId, fault::Fault};

/// Tells an identity provider that its user signed out here, and asks it to end its session.
#[derive(Debug, Clone)]
pub struct LogoutRequest<'a> {
    pub id: &'a str,
    /// Our entity id.
    pub issuer: &'a str,
    /// The provider's address, to which the request is sent.
    pub destination: &'a str,
    pub issue_instant_ms: i64,
    pub not_on_or_after_ms: i64,
    /// Whom: exactly as the provider named them to us.
    pub name_id: &'a NameId,
    /// Which session; none means all of that user.
    pub session_index: Option<&'a str>,
    pub reason: Option<LogoutReason>,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutReason {
    User,
    Admin,
}

/// Answers a provider's LogoutRequest.
#[derive(Debug, Clone)]
pub struct LogoutResponse<'a> {
    pub id: &'a str,
    pub in_response_to: &'a str,
    /// Our entity id.
    pub issuer: &'a str,
    /// The provider's address, to which the answer is sent ([`crate::Endpoint::for_responses`]).
    pub destination: &'a str,
    pub issue_instant_ms: i64,
    pub status: LogoutStatus,
}

impl LogoutRequest<'_> {
    /// The URL to send a browser to: DEFLATE, and with a credential `SigAlg` (rsa-sha256) and `Signature` over the query's octets.
    pub fn redirect(
        &self,
        _relay_state: Option<&str>,
        _credential: Option<&Credential>,
    ) -> Result<String, Fault> {
        Err(Fault::Metadata("not built yet"))
    }

    /// The fields of a form that the browser posts to `destination`; with a credential the message is signed.
    pub fn post(
        &self,
        _relay_state: Option<&str>,
        _credential: Option<&Credential>,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        Err(Fault::Metadata("not built yet"))
    }

    /// A signed message in a SOAP envelope, to be sent as `text/xml`.
    pub fn soap(&self, _credential: &Credential) -> Result<String, Fault> {
        Err(Fault::Metadata("not built yet"))
    }
}

impl LogoutResponse<'_> {
    /// The URL to send a browser to: DEFLATE, and with a credential `SigAlg` (rsa-sha256) and `Signature` over the query's octets.
    pub fn redirect(
        &self,
        _relay_state: Option<&str>,
        _credential: Option<&Credential>,
    ) -> Result<String, Fault> {
        Err(Fault::Metadata("not built yet"))
    }

    /// The fields of a form that the browser posts to `destination`; with a credential the message is signed.
    pub fn post(
        &self,
        _relay_state: Option<&str>,
        _credential: Option<&Credential>,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        Err(Fault::Metadata("not built yet"))
    }

    /// A signed message in a SOAP envelope, to be sent as `text/xml`.
    pub fn soap(&self, _credential: &Credential) -> Result<String, Fault> {
        Err(Fault::Metadata("not built yet"))
    }
}
