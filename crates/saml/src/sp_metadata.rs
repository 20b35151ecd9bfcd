//! Our own metadata, for providers to load.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fault::{Excerpt, Fault};
use crate::names::{BINDING_POST, DSIG, METADATA, PROTOCOL};
use crate::outgoing::{Draft, check_id, element};
use crate::{Credential, Endpoint, time, xml};

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

/// What assertions may be encrypted with, the best first, so that a provider does not choose what is refused.
const ENCRYPTION_METHODS: [&str; 6] = [
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    "http://www.w3.org/2009/xmlenc11#rsa-oaep",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
];

impl SpMetadata<'_> {
    /// The document, signed if a credential is given.
    pub fn xml(&self, credential: Option<&Credential>) -> Result<String, Fault> {
        check_id(self.id)?;
        let urls = self.acs.iter().copied().chain(
            self.slo
                .iter()
                .flat_map(|endpoint| [endpoint.location.as_str(), endpoint.for_responses()]),
        );
        for url in urls {
            if !xml::is_http_url(url) {
                return Err(Fault::Invalid {
                    what: "an address in our metadata",
                    found: Excerpt::of(url),
                });
            }
        }
        let draft = Draft {
            parameter: "",
            id: self.id,
            destination: "",
            head: self.head(),
            tail: self.role(),
        };
        match credential {
            Some(credential) => draft.signed(credential),
            None => Ok(draft.unsigned()),
        }
    }

    fn head(&self) -> String {
        let until = self
            .valid_until_ms
            .map(|ms| format!(r#" validUntil="{}""#, time::format(ms)))
            .unwrap_or_default();
        format!(
            r#"<md:EntityDescriptor xmlns:md="{METADATA}" xmlns:ds="{DSIG}" ID="{}" entityID="{}"{until}>"#,
            xml::escape(self.id),
            xml::escape(self.entity_id)
        )
    }

    fn role(&self) -> String {
        let mut role = format!(
            r#"<md:SPSSODescriptor AuthnRequestsSigned="{}" WantAssertionsSigned="{}" protocolSupportEnumeration="{PROTOCOL}">"#,
            self.authn_requests_signed, self.want_assertions_signed
        );
        for certificate in self.signing {
            role.push_str(&key("signing", certificate, &[]));
        }
        for certificate in self.encryption {
            role.push_str(&key("encryption", certificate, &ENCRYPTION_METHODS));
        }
        for endpoint in self.slo {
            let response = endpoint
                .response_location
                .as_ref()
                .map(|url| format!(r#" ResponseLocation="{}""#, xml::escape(url)));
            role.push_str(&format!(
                r#"<md:SingleLogoutService Binding="{}" Location="{}"{}/>"#,
                endpoint.binding.uri(),
                xml::escape(&endpoint.location),
                response.unwrap_or_default()
            ));
        }
        for format in self.name_id_formats {
            role.push_str(&element("md:NameIDFormat", &[], format));
        }
        for (index, url) in self.acs.iter().enumerate() {
            let default = if index == 0 { r#" isDefault="true""# } else { "" };
            role.push_str(&format!(
                r#"<md:AssertionConsumerService Binding="{BINDING_POST}" Location="{}" index="{index}"{default}/>"#,
                xml::escape(url)
            ));
        }
        role.push_str("</md:SPSSODescriptor></md:EntityDescriptor>");
        role
    }
}

fn key(usage: &str, certificate: &[u8], methods: &[&str]) -> String {
    let certificate = STANDARD.encode(certificate);
    let methods: String = methods
        .iter()
        .map(|method| format!(r#"<md:EncryptionMethod Algorithm="{method}"/>"#))
        .collect();
    format!(
        r#"<md:KeyDescriptor use="{usage}"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>{methods}</md:KeyDescriptor>"#
    )
}
