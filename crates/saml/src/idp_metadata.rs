//! An identity provider's metadata: who it is, where it listens, which keys sign. SAML metadata 2.3, 2.4.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use uppsala::{Document, NodeId};

use crate::fault::{Excerpt, Fault};
use crate::names::{DSIG, METADATA, PROTOCOL};
use crate::{Binding, Endpoint, check_certificate, checks, signature, time, xml};

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
    /// Larger than 2,000,000 bytes, a DOCTYPE, several identity providers and no name, none at all, expired (`validUntil`), without a signing
    /// certificate that can be used, without a SingleSignOnService by Redirect or POST, with an address that is not http(s).
    pub fn parse(
        text: &str,
        now_ms: i64,
        trusted: Option<&[Vec<u8>]>,
        entity_id: Option<&str>,
    ) -> Result<IdpMetadata, Fault> {
        let document = xml::parse(text, xml::METADATA_LIMIT)?;
        let root = xml::root(&document)?;
        if let Some(trusted) = trusted
            && !signature::verify(&document, root, &checks::keys(trusted)?, "the metadata")?
        {
            return Err(Fault::Metadata("is not signed, and this provider's must be"));
        }
        let (entity, role) = the_provider(&document, root, entity_id)?;
        let found_id = xml::required_attribute(&document, entity, "entityID", "EntityDescriptor")?;
        if found_id.is_empty() || found_id.len() > 1024 {
            return Err(Fault::Invalid { what: "entityID", found: Excerpt::of(found_id) });
        }

        // Dates and caches of everything that surrounds the role hold for the role.
        let (mut valid_until_ms, mut cache_ms) = (None, None);
        let mut around = Some(role);
        while let Some(node) = around {
            let until_ms = checks::optional_instant(&document, node, "validUntil")?;
            valid_until_ms = valid_until_ms.into_iter().chain(until_ms).min();
            let cache = xml::attribute(&document, node, "cacheDuration").and_then(time::duration);
            cache_ms = cache_ms.into_iter().chain(cache).min();
            around = document.parent(node);
        }
        if let Some(at_ms) = valid_until_ms.filter(|at_ms| *at_ms <= now_ms) {
            return Err(Fault::Late {
                what: "the end of the metadata's validity (validUntil)",
                at_ms,
                now_ms,
            });
        }

        let sso =
            endpoints(&document, role, "SingleSignOnService", &[Binding::Redirect, Binding::Post])?;
        if sso.is_empty() {
            return Err(Fault::Metadata(
                "has no SingleSignOnService by HTTP-Redirect or HTTP-POST",
            ));
        }
        Ok(IdpMetadata {
            entity_id: found_id.to_owned(),
            valid_until_ms,
            cache_ms,
            wants_signed_requests: xml::flag(&document, role, "WantAuthnRequestsSigned"),
            sso,
            slo: endpoints(
                &document,
                role,
                "SingleLogoutService",
                &[Binding::Redirect, Binding::Post, Binding::Soap],
            )?,
            signing: certificates(&document, role)?,
            name_id_formats: xml::all(&document, role, METADATA, "NameIDFormat")
                .into_iter()
                .map(|format| xml::text(&document, format, "NameIDFormat"))
                .collect::<Result<_, _>>()?,
        })
    }

    /// Where to send a sign-in request by this binding.
    #[must_use]
    pub fn sso(&self, binding: Binding) -> Option<&Endpoint> {
        self.sso.iter().find(|endpoint| endpoint.binding == binding)
    }

    /// Where to send a logout message by this binding.
    #[must_use]
    pub fn slo(&self, binding: Binding) -> Option<&Endpoint> {
        self.slo.iter().find(|endpoint| endpoint.binding == binding)
    }
}

/// The entity and its role as an identity provider of SAML 2.0.
fn the_provider(
    document: &Document<'_>,
    root: NodeId,
    wanted: Option<&str>,
) -> Result<(NodeId, NodeId), Fault> {
    let single = xml::is(document, root, METADATA, "EntityDescriptor");
    if !single && !xml::is(document, root, METADATA, "EntitiesDescriptor") {
        return Err(Fault::Unexpected {
            expected: "EntityDescriptor or EntitiesDescriptor",
            found: Excerpt::of(xml::name(document, root)),
        });
    }
    let mut entities = if single { vec![root] } else { Vec::new() };
    let mut groups = if single { Vec::new() } else { vec![root] };
    while let Some(group) = groups.pop() {
        entities.extend(xml::all(document, group, METADATA, "EntityDescriptor"));
        groups.extend(xml::all(document, group, METADATA, "EntitiesDescriptor"));
    }
    let mut providers = Vec::new();
    for entity in entities {
        for role in xml::all(document, entity, METADATA, "IDPSSODescriptor") {
            let protocols =
                xml::attribute(document, role, "protocolSupportEnumeration").unwrap_or_default();
            if protocols.split(xml::is_space).any(|protocol| protocol == PROTOCOL) {
                providers.push((entity, role));
            }
        }
    }
    let id = |provider: &(NodeId, NodeId)| {
        xml::attribute(document, provider.0, "entityID").unwrap_or_default().to_owned()
    };
    if providers.is_empty() {
        return Err(Fault::Metadata(
            "describes no identity provider of SAML 2.0 (IDPSSODescriptor)",
        ));
    }
    let found = Excerpt::of(&providers.iter().take(5).map(id).collect::<Vec<_>>().join(", "));
    if let Some(wanted) = wanted {
        providers.retain(|provider| id(provider) == wanted);
    }
    match (providers.as_slice(), wanted) {
        ([one], _) => Ok(*one),
        ([], _) | (_, None) => Err(Fault::NoSuchEntity { wanted: wanted.map(Excerpt::of), found }),
        _ => Err(Fault::Metadata("describes the wanted identity provider twice")),
    }
}

/// The addresses of a service, in the document's order, without the bindings that we do not speak.
fn endpoints(
    document: &Document<'_>,
    role: NodeId,
    service: &'static str,
    bindings: &[Binding],
) -> Result<Vec<Endpoint>, Fault> {
    const LIMIT: usize = 50;
    let mut endpoints = Vec::new();
    for node in xml::all(document, role, METADATA, service) {
        let binding = Binding::of(xml::required_attribute(document, node, "Binding", service)?);
        let Some(binding) = binding.filter(|binding| bindings.contains(binding)) else { continue };
        let location = xml::required_attribute(document, node, "Location", service)?
            .trim_matches(xml::is_space);
        let response_location = xml::attribute(document, node, "ResponseLocation")
            .map(|url| url.trim_matches(xml::is_space));
        let response_location = response_location.filter(|url| !url.is_empty());
        for url in [Some(location), response_location].into_iter().flatten() {
            if !xml::is_http_url(url) {
                return Err(Fault::Invalid {
                    what: "the Location of a service",
                    found: Excerpt::of(url),
                });
            }
        }
        if endpoints.len() == LIMIT {
            return Err(Fault::TooLarge { what: "the list of services", limit: LIMIT });
        }
        endpoints.push(Endpoint {
            binding,
            location: location.to_owned(),
            response_location: response_location.map(str::to_owned),
        });
    }
    Ok(endpoints)
}

/// The certificates whose keys sign. Those that cannot be used are left out, as long as one can.
fn certificates(document: &Document<'_>, role: NodeId) -> Result<Vec<Vec<u8>>, Fault> {
    const LIMIT: usize = 20;
    let (mut certificates, mut unusable) = (Vec::new(), None);
    for key in xml::all(document, role, METADATA, "KeyDescriptor") {
        if xml::attribute(document, key, "use").is_some_and(|usage| usage != "signing") {
            continue;
        }
        for info in xml::all(document, key, DSIG, "KeyInfo") {
            for data in xml::all(document, info, DSIG, "X509Data") {
                for node in xml::all(document, data, DSIG, "X509Certificate") {
                    let certificate = certificate(&xml::text(document, node, "X509Certificate")?);
                    match certificate.and_then(|der| check_certificate(&der).map(|()| der)) {
                        Ok(der) if certificates.contains(&der) => {}
                        Ok(_) if certificates.len() == LIMIT => {
                            return Err(Fault::TooLarge {
                                what: "the list of signing certificates",
                                limit: LIMIT,
                            });
                        }
                        Ok(der) => certificates.push(der),
                        Err(why) => unusable = unusable.or(Some(why)),
                    }
                }
            }
        }
    }
    match (certificates.is_empty(), unusable) {
        (false, _) => Ok(certificates),
        (true, Some(why)) => Err(why),
        (true, None) => {
            Err(Fault::Metadata("has no signing certificate (KeyDescriptor with X509Certificate)"))
        }
    }
}

/// Base64 with white space, and with the lines of PEM around it if somebody left them there.
fn certificate(text: &str) -> Result<Vec<u8>, Fault> {
    let text = text
        .trim_start_matches("-----BEGIN CERTIFICATE-----")
        .trim_end_matches("-----END CERTIFICATE-----");
    let compact: String = text.chars().filter(|c| !xml::is_space(*c)).collect();
    STANDARD
        .decode(compact)
        .map_err(|_| Fault::Encoding("a certificate in the metadata is not base64"))
}
