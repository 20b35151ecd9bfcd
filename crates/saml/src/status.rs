//! The status of a response: SAML core, 3.2.2.

use std::fmt;

use crate::fault::Excerpt;

/// What a provider answers: the top-level code, the more precise one below it, and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub code: StatusCode,
    /// The code below, as the provider wrote it: `...:status:AuthnFailed` says more than `Responder` above it.
    pub detail: Option<Excerpt>,
    pub message: Option<Excerpt>,
}

/// A top-level code, and `PartialLogout`, which stands below `Success` in some products and alone in others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusCode {
    Success,
    /// Some session of the user at another party could not be ended.
    PartialLogout,
    Requester,
    Responder,
    VersionMismatch,
    Other(Excerpt),
}

impl StatusCode {
    pub(crate) fn of(uri: &str) -> StatusCode {
        match uri.strip_prefix(PREFIX) {
            Some("Success") => StatusCode::Success,
            Some("PartialLogout") => StatusCode::PartialLogout,
            Some("Requester") => StatusCode::Requester,
            Some("Responder") => StatusCode::Responder,
            Some("VersionMismatch") => StatusCode::VersionMismatch,
            _ => StatusCode::Other(Excerpt::of(uri)),
        }
    }
}

pub(crate) const PREFIX: &str = "urn:oasis:names:tc:SAML:2.0:status:";

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.code {
            StatusCode::Other(code) => write!(f, "{code}")?,
            code => write!(f, "{code:?}")?,
        }
        if let Some(detail) = &self.detail {
            write!(f, ", {detail}")?;
        }
        if let Some(message) = &self.message {
            write!(f, ", {message}")?;
        }
        Ok(())
    }
}

/// What we answer to a LogoutRequest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutStatus {
    Success,
    /// Our sessions ended, and something that came after them did not.
    PartialLogout,
    /// The request is at fault: not understood, not signed, not for us.
    Requester,
    /// We are at fault, for now.
    Responder,
}
