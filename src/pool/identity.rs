//! What an identity provider said of somebody who signed in there, and the identities by which a user of the pool does.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::provider::Kind;
use crate::ambient::Ms;

/// A verified answer of a provider.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's name in the pool.
    pub provider: String,
    pub kind: Kind,
    /// Whom it means: SAML's NameID, OpenID Connect's `sub`, Facebook's `id`, Amazon's `user_id`. Compared to the letter.
    pub subject: String,
    /// The `issuer` of the claim `identities`.
    pub issuer: Option<String>,
    /// Attributes or claims under the provider's names, each with all its values.
    pub claims: Vec<(String, Vec<String>)>,
    /// When the person authenticated there (AuthnInstant, `auth_time`), where the provider says so.
    pub auth_ms: Option<Ms>,
    pub upstream: UpstreamDoc,
}

/// What signing out at the provider needs. Sealed with the browser session.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct UpstreamDoc {
    pub name_id: Option<NameId>,
    pub session_index: Option<String>,
    /// OpenID Connect's session id.
    pub sid: Option<String>,
    pub id_token: Option<String>,
    pub access_token: Option<String>,
    pub refresh_token: Option<String>,
    /// SessionNotOnOrAfter.
    pub until_ms: Option<Ms>,
    /// When the person authenticated there, where the provider said so.
    pub auth_ms: Option<Ms>,
    /// When the provider signed the ID token, by its clock.
    pub signed_ms: Option<Ms>,
}

/// Tokens of the provider.
impl fmt::Debug for UpstreamDoc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// SAML's name of a person, whole: a logout request must repeat it exactly.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NameId {
    pub value: String,
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
}

impl Identity {
    /// All values of a claim.
    pub fn claim(&self, name: &str) -> Option<&[String]> {
        self.claims.iter().find(|(own, _)| own == name).map(|(_, values)| values.as_slice())
    }
}

/// An identity at a provider by which a user signs in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Linked {
    pub provider: String,
    pub kind: Kind,
    /// What the link was made by: an attribute, until the first sign-in has told the subject; then, and else, `SUBJECT`.
    pub attribute: String,
    /// The subject, or that attribute's value.
    pub value: String,
    pub issuer: Option<String>,
    /// The account began with this identity.
    pub primary: bool,
    pub created_ms: Ms,
}

/// What Cognito calls the subject where it asks for the name of an attribute.
pub const SUBJECT: &str = "Cognito_Subject";

/// The attribute `identities`: JSON in a string.
pub fn attribute(identities: &[Linked]) -> String {
    let one = |identity: &Linked| {
        json!({
            "userId": identity.value,
            "providerName": identity.provider,
            "providerType": identity.kind.as_str(),
            "issuer": identity.issuer,
            "primary": identity.primary,
            "dateCreated": identity.created_ms,
        })
    };
    Value::Array(identities.iter().map(one).collect()).to_string()
}

/// The claim `identities` of ID tokens, where the truth and the time are strings (`cognito-behaviour`, 3).
pub fn claim(identities: &[Linked]) -> Value {
    let one = |identity: &Linked| {
        json!({
            "userId": identity.value,
            "providerName": identity.provider,
            "providerType": identity.kind.as_str(),
            "issuer": identity.issuer,
            "primary": identity.primary.to_string(),
            "dateCreated": identity.created_ms.to_string(),
        })
    };
    Value::Array(identities.iter().map(one).collect())
}
