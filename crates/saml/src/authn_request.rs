//! The request to authenticate somebody: SAML core 3.4.1.

use crate::{Credential, fault::Fault};

/// Asks an identity provider to authenticate whoever the browser belongs to, and to POST the answer to `acs_url`.
#[derive(Debug, Clone)]
pub struct AuthnRequest<'a> {
    /// Unguessable, one time: a letter or `_` first, then letters, digits, `_`, `-`, `.`.
    pub id: &'a str,
    /// Our entity id.
    pub issuer: &'a str,
    /// The provider's address, to which the request is sent.
    pub destination: &'a str,
    pub acs_url: &'a str,
    pub issue_instant_ms: i64,
    /// The provider must ask for the user's credentials even if it has a session.
    pub force_authn: bool,
    /// `NameIDPolicy` with this format, if any.
    pub name_id_format: Option<&'a str>,
    /// `RequestedAuthnContext` with these class references (exact), if any.
    pub requested_authn_context: &'a [&'a str],
    /// A `Subject` that tells the provider whom we expect.
    pub login_hint: Option<&'a str>,
}

impl AuthnRequest<'_> {
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
}
