//! An identity provider's metadata: who it is, where it listens, which keys sign. SAML metadata 2.3, 2.4.

use crate::{Endpoint, fault::Fault};

/// What we need to know of an identity provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdpMetadata {
    pub entity_id: String,
    /// The earliest `validUntil` from the document's root down to the role.
    pub valid_until_ms: Option<i64>,
    /// The shortest `cacheDuration`: how long until it should be fetched again.
    pub cache_ms: Option<i64>,
    /// `WantAuthnRequestsSigned`.
    pub wants_signed_requests: bool,
    /// Redirect and POST, in the document's order.
    pub sso: Vec<Endpoint>,
    /// Redirect, POST and SOAP, in the document's order.
    pub slo: Vec<Endpoint>,
    /// Certificates (DER) whose keys sign; at least one, without duplicates.
    pub signing: Vec<Vec<u8>>,
    pub name_id_formats: Vec<String>,
}

impl IdpMetadata {
    /// Reads a document of an EntityDescriptor, or of an EntitiesDescriptor with exactly one identity provider or the one that
    /// `entity_id` names. With `trusted` (certificates, DER) the document's root must be signed by one of them.
    ///
    /// # Errors
    /// Larger than 2 MB, a DOCTYPE, several identity providers and no name, none at all, expired (`validUntil`), without a signing
    /// certificate that can be used, without a SingleSignOnService by Redirect or POST, with an address that is not http(s).
    pub fn parse(
        _xml: &str,
        _now_ms: i64,
        _trusted: Option<&[Vec<u8>]>,
        _entity_id: Option<&str>,
    ) -> Result<IdpMetadata, Fault> {
        Err(Fault::Metadata("not built yet"))
    }
}
