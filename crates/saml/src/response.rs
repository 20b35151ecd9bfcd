//! A provider's answer to "who is this?": SAML core 2 and 3.2.2, and the rules of the Web Browser SSO profile (SAML profiles 4.1.4).

use crate::{Credential, Incoming, fault::Fault};

/// What a response must be to be believed.
#[derive(Debug, Clone)]
pub struct Expect<'a> {
    /// The provider that must have issued response and assertion.
    pub idp_entity_id: &'a str,
    /// Its signing certificates (DER), from its metadata. No other key is ever used.
    pub trusted: &'a [Vec<u8>],
    /// Our entity id.
    pub audience: &'a str,
    /// The address at which the response arrived: `Destination` and `Recipient` must be equal to it.
    pub acs_url: &'a str,
    pub now_ms: i64,
    /// How much clocks may differ; 60,000 is usual.
    pub skew_ms: i64,
    /// The id of our request. `None`: unsolicited (IdP-initiated), which must name no request.
    pub in_response_to: Option<&'a str>,
    /// How old an unsolicited assertion may be; Cognito allows 360,000.
    pub max_age_ms: i64,
    /// Refuse an assertion that is not encrypted.
    pub require_encrypted: bool,
    /// Our decryption keys; each is tried.
    pub decrypt: &'a [&'a Credential],
}

/// What a provider said of somebody, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// To be remembered until `replay_until_ms`, and refused if it was seen before.
    pub id: String,
    pub response_id: String,
    /// Always [`Expect::idp_entity_id`].
    pub issuer: String,
    pub name_id: NameId,
    /// Of the first AuthnStatement: single logout needs it.
    pub session_index: Option<String>,
    /// When the provider authenticated the user.
    pub authn_instant_ms: i64,
    /// How the provider authenticated the user: a class reference.
    pub authn_context: Option<String>,
    /// When the provider's session ends.
    pub session_not_on_or_after_ms: Option<i64>,
    /// In the document's order; attributes of the same name and format are joined.
    pub attributes: Vec<Attribute>,
    /// After this the assertion would be refused for its age.
    pub replay_until_ms: i64,
}

/// How a provider names somebody. All four together are the name; compare them byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameId {
    pub value: String,
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
}

/// An attribute with its values as text; a value that is null (`xsi:nil`) is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub friendly_name: Option<String>,
    pub values: Vec<String>,
}

/// Verifies a response of the POST binding and reads its one assertion.
pub fn consume_response(_message: &Incoming, _expect: &Expect<'_>) -> Result<Assertion, Fault> {
    Err(Fault::Metadata("not built yet"))
}
