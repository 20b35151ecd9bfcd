//! What a SAML provider must know of a pool, as the metadata that it can load (Cognito has none; administrators write their own).

use cenote_saml::{Binding, Endpoint, SpMetadata};

use super::certificates;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Pool, Provider};

/// What users are best known by, the best first.
const NAME_IDS: [&str; 3] = [
    "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress",
    "urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified",
];

/// The document for a pool whose pages are at `bases`; sign-outs go to the first. A provider that is named is also told what to
/// encrypt with, and what its settings ask for.
pub async fn document(
    cx: &Cx,
    pool: &Pool,
    bases: &[String],
    provider: Option<&Provider>,
) -> Result<String> {
    let acs: Vec<String> = bases.iter().map(|base| format!("{base}/saml2/idpresponse")).collect();
    let slo: Vec<Endpoint> = bases
        .first()
        .into_iter()
        .flat_map(|base| {
            [Binding::Redirect, Binding::Post, Binding::Soap].map(|binding| Endpoint {
                binding,
                location: format!("{base}/saml2/logout"),
                response_location: None,
            })
        })
        .collect();
    let signing = certificates::signing_certificates(cx, pool).await?;
    let encryption = match provider {
        Some(provider) => vec![certificates::decryption(cx, pool, &provider.name).await?],
        None => Vec::new(),
    };
    let wanted = provider.and_then(|provider| provider.detail("NameIDFormat"));
    let metadata = SpMetadata {
        id: &format!("_{}", pool.id),
        entity_id: &super::saml::entity_id(pool),
        acs: &acs.iter().map(String::as_str).collect::<Vec<_>>(),
        slo: &slo,
        signing: &signing.iter().map(Vec::as_slice).collect::<Vec<_>>(),
        encryption: &encryption.iter().map(|key| key.certificate()).collect::<Vec<_>>(),
        authn_requests_signed: provider
            .is_some_and(|provider| provider.detail("RequestSigningAlgorithm").is_some()),
        want_assertions_signed: true,
        name_id_formats: wanted.as_ref().map_or(&NAME_IDS, std::slice::from_ref),
        valid_until_ms: None,
    };
    // Not signed: it comes over TLS from the address that it names, and some providers do not load what is.
    metadata.xml(None).map_err(|fault| Error::internal(format!("our SAML metadata: {fault}")))
}
