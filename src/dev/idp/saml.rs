//! The SAML messages that only an identity provider writes or reads: its metadata, AuthnRequest in, Response out. Logout messages are
//! alike on both sides, and are those of `cenote-saml`.

use std::io::Read as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::read::DeflateDecoder;

use super::Idp;
use super::state::Session;
use super::xml::{self, attribute, instant, text};
use crate::ambient::{HOUR, MINUTE, Ms};
use crate::error::Result;
use crate::ids;

const ASSERTION: &str = "urn:oasis:names:tc:SAML:2.0:assertion";
const PROTOCOL: &str = "urn:oasis:names:tc:SAML:2.0:protocol";
const METADATA: &str = "urn:oasis:names:tc:SAML:2.0:metadata";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const BINDINGS: &str = "urn:oasis:names:tc:SAML:2.0:bindings";
pub const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";
const STATUS: &str = "urn:oasis:names:tc:SAML:2.0:status";

/// The longest message that is read, inflated.
const MESSAGE: u64 = 100_000;

/// An AuthnRequest, as far as the demonstration follows it. It is not verified: answers go to addresses of this server only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthnRequest {
    pub id: String,
    /// The service provider.
    pub issuer: String,
    pub acs: String,
    pub force: bool,
    pub passive: bool,
}

/// A message of the Redirect binding.
pub fn inflate(field: &str) -> Option<String> {
    let packed = BASE64_STANDARD.decode(field).ok()?;
    let mut message = String::new();
    DeflateDecoder::new(&*packed).take(MESSAGE).read_to_string(&mut message).ok()?;
    Some(message)
}

/// A message of the POST binding.
pub fn unpack(field: &str) -> Option<String> {
    let compact: String = field.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    String::from_utf8(BASE64_STANDARD.decode(compact).ok()?).ok()
}

impl AuthnRequest {
    pub fn read(message: &str) -> Option<AuthnRequest> {
        let document = xml::parse(message)?;
        let root = document.document_element()?;
        if !xml::is(&document, root, PROTOCOL, "AuthnRequest") {
            return None;
        }
        let said = |name: &str| document.get_attribute(root, name).map(str::to_owned);
        let flag = |name: &str| matches!(said(name).as_deref(), Some("true" | "1"));
        let issuer = xml::child(&document, root, ASSERTION, "Issuer")?;
        Some(AuthnRequest {
            id: said("ID").filter(|id| id.len() <= 200)?,
            issuer: document.text_content_deep(issuer).trim().to_owned(),
            acs: said("AssertionConsumerServiceURL")?,
            force: flag("ForceAuthn"),
            passive: flag("IsPassive"),
        })
    }
}

/// The signing certificates (DER) in a service provider's metadata.
pub fn certificates(metadata: &str) -> Vec<Vec<u8>> {
    let Some(document) = xml::parse(metadata) else { return Vec::new() };
    let Some(root) = document.document_element() else { return Vec::new() };
    let keys = xml::below(&document, root, METADATA, "KeyDescriptor");
    let signing = keys.into_iter().filter(|key| {
        document.get_attribute(*key, "use").is_none_or(|purpose| purpose == "signing")
    });
    signing
        .flat_map(|key| xml::below(&document, key, DSIG, "X509Certificate"))
        .filter_map(|node| unpack_bytes(&document.text_content_deep(node)))
        .collect()
}

fn unpack_bytes(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    BASE64_STANDARD.decode(compact).ok()
}

impl Idp {
    /// The EntityDescriptor, and the entity id: they are one address.
    pub(super) fn entity_id(&self) -> String {
        format!("{}/saml/metadata", self.url())
    }

    pub(super) fn metadata(&self) -> String {
        let (url, entity, certificate) = (self.url(), self.entity_id(), self.keys.certificate());
        let (url, entity) = (attribute(&url), attribute(&entity));
        let at = |service: &str, binding: &str, path: &str| {
            format!("<{service} Binding=\"{BINDINGS}:{binding}\" Location=\"{url}{path}\"/>\n    ")
        };
        let attributes: String =
            ["email", "email_verified", "name", "given_name", "family_name", "groups"]
                .map(|name| format!("<saml:Attribute Name=\"{name}\"/>"))
                .concat();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <!-- A demonstration: there are no passwords here. Do not connect anything real to it. -->\n\
             <EntityDescriptor xmlns=\"{METADATA}\" xmlns:saml=\"{ASSERTION}\" entityID=\"{entity}\">\n  \
             <IDPSSODescriptor protocolSupportEnumeration=\"{PROTOCOL}\" WantAuthnRequestsSigned=\"false\">\n    \
             <KeyDescriptor use=\"signing\"><KeyInfo xmlns=\"{DSIG}\"><X509Data><X509Certificate>{certificate}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>\n    \
             {redirect_slo}{post_slo}{soap_slo}\
             <NameIDFormat>{PERSISTENT}</NameIDFormat>\n    \
             {redirect_sso}{post_sso}\
             {attributes}\n  \
             </IDPSSODescriptor>\n  \
             <Organization>\n    \
             <OrganizationName xml:lang=\"en\">Cenote demonstration provider</OrganizationName>\n    \
             <OrganizationDisplayName xml:lang=\"en\">Cenote demonstration provider, not for production</OrganizationDisplayName>\n    \
             <OrganizationURL xml:lang=\"en\">{url}</OrganizationURL>\n  \
             </Organization>\n\
             </EntityDescriptor>\n",
            redirect_slo = at("SingleLogoutService", "HTTP-Redirect", "/saml/slo"),
            post_slo = at("SingleLogoutService", "HTTP-POST", "/saml/slo"),
            soap_slo = at("SingleLogoutService", "SOAP", "/saml/soap"),
            redirect_sso = at("SingleSignOnService", "HTTP-Redirect", "/saml/sso"),
            post_sso = at("SingleSignOnService", "HTTP-POST", "/saml/sso"),
        )
    }

    /// The answer to a request: who it is, signed.
    pub(super) fn response(
        &self,
        now: Ms,
        request: &AuthnRequest,
        session: &Session,
    ) -> Result<String> {
        let id = self.message_id();
        let assertion = self.assertion(now, request, session);
        let status = format!(
            "<samlp:Status><samlp:StatusCode Value=\"{STATUS}:Success\"></samlp:StatusCode></samlp:Status>"
        );
        self.signed_response(now, &id, request, &format!("{status}{assertion}"))
    }

    /// The answer to a request that must not ask anybody anything, where somebody would have to be asked.
    pub(super) fn no_passive(&self, now: Ms, request: &AuthnRequest) -> Result<String> {
        let status = format!(
            "<samlp:Status><samlp:StatusCode Value=\"{STATUS}:Responder\"><samlp:StatusCode Value=\"{STATUS}:NoPassive\"></samlp:StatusCode>\
             </samlp:StatusCode></samlp:Status>"
        );
        self.signed_response(now, &self.message_id(), request, &status)
    }

    fn signed_response(
        &self,
        now: Ms,
        id: &str,
        request: &AuthnRequest,
        content: &str,
    ) -> Result<String> {
        let response = format!(
            "<samlp:Response xmlns:samlp=\"{PROTOCOL}\" Destination=\"{to}\" ID=\"{id}\" InResponseTo=\"{request}\" IssueInstant=\"{at}\" Version=\"2.0\">\
             {issuer}{place}{content}</samlp:Response>",
            to = attribute(&request.acs),
            request = attribute(&request.id),
            at = instant(now),
            issuer = self.issuer(),
            place = xml::SIGNATURE,
        );
        self.keys.sign(&response, id)
    }

    fn assertion(&self, now: Ms, request: &AuthnRequest, session: &Session) -> String {
        let until = attribute(&instant(now + 5 * MINUTE));
        let values = |values: &[String]| -> String {
            let value = |value: &String| {
                format!("<saml:AttributeValue>{}</saml:AttributeValue>", text(value))
            };
            values.iter().map(value).collect()
        };
        let attributes: String = session
            .person
            .attributes()
            .into_iter()
            .map(|(name, all)| {
                format!("<saml:Attribute Name=\"{name}\">{}</saml:Attribute>", values(&all))
            })
            .collect();
        format!(
            "<saml:Assertion xmlns:saml=\"{ASSERTION}\" ID=\"{id}\" IssueInstant=\"{at}\" Version=\"2.0\"><saml:Issuer>{issuer}</saml:Issuer>\
             <saml:Subject><saml:NameID Format=\"{PERSISTENT}\">{name}</saml:NameID>\
             <saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
             <saml:SubjectConfirmationData InResponseTo=\"{request}\" NotOnOrAfter=\"{until}\" Recipient=\"{acs}\"></saml:SubjectConfirmationData>\
             </saml:SubjectConfirmation></saml:Subject>\
             <saml:Conditions NotBefore=\"{from}\" NotOnOrAfter=\"{until}\"><saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience>\
             </saml:AudienceRestriction></saml:Conditions>\
             <saml:AuthnStatement AuthnInstant=\"{auth}\" SessionIndex=\"{index}\" SessionNotOnOrAfter=\"{ends}\"><saml:AuthnContext>\
             <saml:AuthnContextClassRef>urn:oasis:names:tc:SAML:2.0:ac:classes:unspecified</saml:AuthnContextClassRef></saml:AuthnContext>\
             </saml:AuthnStatement><saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>",
            id = self.message_id(),
            at = instant(now),
            issuer = text(&self.entity_id()),
            name = text(&session.person.id),
            request = attribute(&request.id),
            acs = attribute(&request.acs),
            from = instant(now - MINUTE),
            audience = text(&request.issuer),
            auth = instant(session.auth_ms),
            index = attribute(&session.sid),
            ends = instant(now + 8 * HOUR),
        )
    }

    fn issuer(&self) -> String {
        format!("<saml:Issuer xmlns:saml=\"{ASSERTION}\">{}</saml:Issuer>", text(&self.entity_id()))
    }

    pub(super) fn message_id(&self) -> String {
        format!("_{}", ids::uuid_v4(&*self.app.random).simple())
    }
}
