//! Our own metadata, for providers to load.

use crate::{Credential, Endpoint, fault::Fault};

/// What an identity provider must know of us. Certificates are DER.
#[derive(Debug, Clone)]
pub struct SpMetadata<'a> {
    /// The document's `ID`, which its signature names: a letter or `_` first, then letters, digits, `_`, `-`, `.`.
    pub id: &'a str,
    pub entity_id: &'a str,
    /// Assertion consumer services (POST); the first is the default.
    pub acs: &'a [&'a str],
    pub slo: &'a [Endpoint],
    /// All that may sign, the newest first.
    pub signing: &'a [&'a [u8]],
    /// What assertions may be encrypted with.
    pub encryption: &'a [&'a [u8]],
    pub authn_requests_signed: bool,
    pub want_assertions_signed: bool,
    pub name_id_formats: &'a [&'a str],
    pub valid_until_ms: Option<i64>,
}

impl SpMetadata<'_> {
    /// The document, signed if a credential is given.
    pub fn xml(&self, _credential: Option<&Credential>) -> Result<String, Fault> {
        Err(Fault::Metadata("not built yet"))
    }
}
