//! A message of ours on its way out: signed, and wrapped for its binding.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::DeflateEncoder;

use crate::Credential;
use crate::certificate::Hash;
use crate::fault::{Excerpt, Fault};
use crate::names::{DSIG, ENVELOPED, EXC_C14N, RSA_SHA256, SHA256, SOAP};
use crate::{signature, xml};

/// A message as two pieces of XML: a signature belongs between them, right after the issuer. The schemas allow it nowhere else.
pub(crate) struct Draft<'a> {
    /// `SAMLRequest` or `SAMLResponse`.
    pub parameter: &'static str,
    pub id: &'a str,
    pub destination: &'a str,
    pub head: String,
    pub tail: String,
}

impl Draft<'_> {
    pub(crate) fn redirect(
        &self,
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<String, Fault> {
        self.check()?;
        let mut deflate = DeflateEncoder::new(Vec::new(), Compression::default());
        let message = self.unsigned();
        let deflated = deflate.write_all(message.as_bytes()).and_then(|()| deflate.finish());
        let deflated = deflated.map_err(|_| Fault::Encoding("the message cannot be compressed"))?;
        let mut query =
            format!("{}={}", self.parameter, percent_encoded(&STANDARD.encode(deflated)));
        if let Some(relay_state) = relay_state {
            query.push_str("&RelayState=");
            query.push_str(&percent_encoded(relay_state));
        }
        if let Some(credential) = credential {
            query.push_str("&SigAlg=");
            query.push_str(&percent_encoded(RSA_SHA256));
            let signature = credential.sign(query.as_bytes())?;
            query.push_str("&Signature=");
            query.push_str(&percent_encoded(&STANDARD.encode(signature)));
        }
        let joint = if self.destination.contains('?') { '&' } else { '?' };
        Ok(format!("{}{joint}{query}", self.destination))
    }

    pub(crate) fn post(
        &self,
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        self.check()?;
        let message = match credential {
            Some(credential) => self.signed(credential)?,
            None => self.unsigned(),
        };
        let mut fields = vec![(self.parameter, STANDARD.encode(message))];
        fields.extend(relay_state.map(|relay_state| ("RelayState", relay_state.to_owned())));
        Ok(fields)
    }

    pub(crate) fn soap(&self, credential: &Credential) -> Result<String, Fault> {
        self.check()?;
        self.enveloped(credential)
    }

    /// An answer goes back by the connection that the request came by, and need not say where to.
    pub(crate) fn soap_answer(&self, credential: &Credential) -> Result<String, Fault> {
        match self.destination {
            "" => check_id(self.id)?,
            _ => self.check()?,
        }
        self.enveloped(credential)
    }

    fn enveloped(&self, credential: &Credential) -> Result<String, Fault> {
        let message = self.signed(credential)?;
        Ok(format!(r#"<S:Envelope xmlns:S="{SOAP}"><S:Body>{message}</S:Body></S:Envelope>"#))
    }

    pub(crate) fn unsigned(&self) -> String {
        [self.head.as_str(), &self.tail].concat()
    }

    /// With an enveloped signature. SignedInfo is written in its canonical form, so that what is signed is what is sent.
    pub(crate) fn signed(&self, credential: &Credential) -> Result<String, Fault> {
        let digest = STANDARD.encode(Hash::Sha256.digest(&signature::canonical(&self.unsigned())?));
        let signed_info = [
            &format!(r#"<ds:SignedInfo xmlns:ds="{DSIG}">"#),
            &format!(
                r#"<ds:CanonicalizationMethod Algorithm="{EXC_C14N}"></ds:CanonicalizationMethod>"#
            ),
            &format!(r#"<ds:SignatureMethod Algorithm="{RSA_SHA256}"></ds:SignatureMethod>"#),
            &format!(r##"<ds:Reference URI="#{}"><ds:Transforms>"##, self.id),
            &format!(r#"<ds:Transform Algorithm="{ENVELOPED}"></ds:Transform>"#),
            &format!(r#"<ds:Transform Algorithm="{EXC_C14N}"></ds:Transform></ds:Transforms>"#),
            &format!(r#"<ds:DigestMethod Algorithm="{SHA256}"></ds:DigestMethod>"#),
            &format!("<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"),
        ]
        .map(String::as_str)
        .concat();
        let value = STANDARD.encode(credential.sign(signed_info.as_bytes())?);
        let certificate = STANDARD.encode(credential.certificate());
        Ok(format!(
            r#"{}<ds:Signature xmlns:ds="{DSIG}">{signed_info}<ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>{}"#,
            self.head, self.tail
        ))
    }

    /// What a caller hands in must not make a message that others read differently.
    fn check(&self) -> Result<(), Fault> {
        check_id(self.id)?;
        if !xml::is_http_url(self.destination) {
            return Err(Fault::Invalid {
                what: "destination",
                found: Excerpt::of(self.destination),
            });
        }
        Ok(())
    }
}

/// An id as XML wants it (NCName), in ASCII.
pub(crate) fn check_id(id: &str) -> Result<(), Fault> {
    let first = id.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    if first && xml::is_id(id) && id.is_ascii() && !id.contains(':') {
        Ok(())
    } else {
        Err(Fault::Invalid { what: "id", found: Excerpt::of(id) })
    }
}

/// An element of text, or nothing.
pub(crate) fn element(name: &str, attributes: &[(&str, Option<&str>)], text: &str) -> String {
    let mut element = format!("<{name}");
    for (attribute, value) in attributes {
        if let Some(value) = value {
            element.push_str(&format!(r#" {attribute}="{}""#, xml::escape(value)));
        }
    }
    element.push_str(&format!(">{}</{name}>", xml::escape(text)));
    element
}

/// Everything but the unreserved characters of RFC 3986, in upper-case digits.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() + text.len() / 4);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
