//! Logout messages that we send: SAML core 3.7.

use crate::fault::Fault;
use crate::names::{ASSERTION, PROTOCOL};
use crate::outgoing::{Draft, element};
use crate::status::PREFIX;
use crate::{Credential, LogoutStatus, NameId, time, xml};

/// Tells an identity provider that its user signed out here, and asks it to end its session.
#[derive(Debug, Clone)]
pub struct LogoutRequest<'a> {
    /// Unguessable, one time: a letter or `_` first, then letters, digits, `_`, `-`, `.`.
    pub id: &'a str,
    /// Our entity id.
    pub issuer: &'a str,
    /// The provider's address, to which the request is sent.
    pub destination: &'a str,
    pub issue_instant_ms: i64,
    pub not_on_or_after_ms: i64,
    /// Whom: exactly as the provider named them to us.
    pub name_id: &'a NameId,
    /// Which session; none means all of that user.
    pub session_index: Option<&'a str>,
    pub reason: Option<LogoutReason>,
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogoutReason {
    User,
    Admin,
}

/// Answers a provider's LogoutRequest.
#[derive(Debug, Clone)]
pub struct LogoutResponse<'a> {
    pub id: &'a str,
    pub in_response_to: &'a str,
    /// Our entity id.
    pub issuer: &'a str,
    /// The provider's address, to which the answer is sent ([`crate::Endpoint::for_responses`]). Empty by SOAP, where it goes back to
    /// whoever asked.
    pub destination: &'a str,
    pub issue_instant_ms: i64,
    pub status: LogoutStatus,
}

impl LogoutRequest<'_> {
    /// The URL to send a browser to: DEFLATE, and with a credential `SigAlg` (rsa-sha256) and `Signature` over the query's octets.
    pub fn redirect(
        &self,
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<String, Fault> {
        self.draft().redirect(relay_state, credential)
    }

    /// The fields of a form that the browser posts to `destination`; with a credential the message is signed.
    pub fn post(
        &self,
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        self.draft().post(relay_state, credential)
    }

    /// A signed message in a SOAP envelope, to be sent as `text/xml`.
    pub fn soap(&self, credential: &Credential) -> Result<String, Fault> {
        self.draft().soap(credential)
    }

    fn draft(&self) -> Draft<'_> {
        let reason = match self.reason {
            Some(LogoutReason::User) => r#" Reason="urn:oasis:names:tc:SAML:2.0:logout:user""#,
            Some(LogoutReason::Admin) => r#" Reason="urn:oasis:names:tc:SAML:2.0:logout:admin""#,
            None => "",
        };
        let head = format!(
            r#"<samlp:LogoutRequest xmlns:samlp="{PROTOCOL}" xmlns:saml="{ASSERTION}" ID="{}" Version="2.0" IssueInstant="{}" Destination="{}" NotOnOrAfter="{}"{reason}>{}"#,
            xml::escape(self.id),
            time::format(self.issue_instant_ms),
            xml::escape(self.destination),
            time::format(self.not_on_or_after_ms),
            element("saml:Issuer", &[], self.issuer),
        );
        let name = self.name_id;
        let mut tail = element(
            "saml:NameID",
            &[
                ("NameQualifier", name.name_qualifier.as_deref()),
                ("SPNameQualifier", name.sp_name_qualifier.as_deref()),
                ("Format", name.format.as_deref()),
            ],
            &name.value,
        );
        if let Some(index) = self.session_index {
            tail.push_str(&element("samlp:SessionIndex", &[], index));
        }
        tail.push_str("</samlp:LogoutRequest>");
        Draft { parameter: "SAMLRequest", id: self.id, destination: self.destination, head, tail }
    }
}

impl LogoutResponse<'_> {
    /// The URL to send a browser to: DEFLATE, and with a credential `SigAlg` (rsa-sha256) and `Signature` over the query's octets.
    pub fn redirect(
        &self,
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<String, Fault> {
        self.draft().redirect(relay_state, credential)
    }

    /// The fields of a form that the browser posts to `destination`; with a credential the message is signed.
    pub fn post(
        &self,
        relay_state: Option<&str>,
        credential: Option<&Credential>,
    ) -> Result<Vec<(&'static str, String)>, Fault> {
        self.draft().post(relay_state, credential)
    }

    /// A signed message in a SOAP envelope, to be sent as `text/xml`. It may have no destination.
    pub fn soap(&self, credential: &Credential) -> Result<String, Fault> {
        self.draft().soap_answer(credential)
    }

    fn draft(&self) -> Draft<'_> {
        let destination = match self.destination {
            "" => String::new(),
            url => format!(r#" Destination="{}""#, xml::escape(url)),
        };
        let head = format!(
            r#"<samlp:LogoutResponse xmlns:samlp="{PROTOCOL}" xmlns:saml="{ASSERTION}" ID="{}" Version="2.0" IssueInstant="{}"{destination} InResponseTo="{}">{}"#,
            xml::escape(self.id),
            time::format(self.issue_instant_ms),
            xml::escape(self.in_response_to),
            element("saml:Issuer", &[], self.issuer),
        );
        // PartialLogout stands below Success: SAML core 3.7.3.2.
        let code = match self.status {
            LogoutStatus::Success => format!(r#"<samlp:StatusCode Value="{PREFIX}Success"/>"#),
            LogoutStatus::PartialLogout => format!(
                r#"<samlp:StatusCode Value="{PREFIX}Success"><samlp:StatusCode Value="{PREFIX}PartialLogout"/></samlp:StatusCode>"#
            ),
            LogoutStatus::Requester => format!(r#"<samlp:StatusCode Value="{PREFIX}Requester"/>"#),
            LogoutStatus::Responder => format!(r#"<samlp:StatusCode Value="{PREFIX}Responder"/>"#),
        };
        let tail = format!("<samlp:Status>{code}</samlp:Status></samlp:LogoutResponse>");
        Draft { parameter: "SAMLResponse", id: self.id, destination: self.destination, head, tail }
    }
}
