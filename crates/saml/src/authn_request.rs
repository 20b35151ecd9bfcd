//! The request to authenticate somebody: SAML core 3.4.1.

use crate::Credential;
use crate::fault::{Excerpt, Fault};
use crate::names::{ASSERTION, BINDING_POST, PROTOCOL};
use crate::outgoing::{Draft, element};
use crate::{time, xml};

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
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<String, Fault> {
        self.draft()?.redirect(relay_state, credential)
    }

    /// The fields of a form that the browser posts to `destination`; with a credential the message is signed.
    pub fn post(
        &self,
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        self.draft()?.post(relay_state, credential)
    }

    fn draft(&self) -> Result<Draft<'_>, Fault> {
        if !xml::is_http_url(self.acs_url) {
            return Err(Fault::Invalid {
                what: "AssertionConsumerServiceURL",
                found: Excerpt::of(self.acs_url),
            });
        }
        let head = format!(
            r#"<samlp:AuthnRequest xmlns:samlp="{PROTOCOL}" xmlns:saml="{ASSERTION}" ID="{}" Version="2.0" IssueInstant="{}" Destination="{}"{} ProtocolBinding="{BINDING_POST}" AssertionConsumerServiceURL="{}">{}"#,
            xml::escape(self.id),
            time::format(self.issue_instant_ms),
            xml::escape(self.destination),
            if self.force_authn { r#" ForceAuthn="true""# } else { "" },
            xml::escape(self.acs_url),
            element("saml:Issuer", &[], self.issuer),
        );
        let mut tail = String::new();
        if let Some(hint) = self.login_hint {
            tail.push_str("<saml:Subject>");
            tail.push_str(&element("saml:NameID", &[], hint));
            tail.push_str("</saml:Subject>");
        }
        if let Some(format) = self.name_id_format {
            tail.push_str(&format!(
                r#"<samlp:NameIDPolicy Format="{}" AllowCreate="true"/>"#,
                xml::escape(format)
            ));
        }
        if !self.requested_authn_context.is_empty() {
            tail.push_str(r#"<samlp:RequestedAuthnContext Comparison="exact">"#);
            for class in self.requested_authn_context {
                tail.push_str(&element("saml:AuthnContextClassRef", &[], class));
            }
            tail.push_str("</samlp:RequestedAuthnContext>");
        }
        tail.push_str("</samlp:AuthnRequest>");
        Ok(Draft {
            parameter: "SAMLRequest",
            id: self.id,
            destination: self.destination,
            head,
            tail,
        })
    }
}
