//! What an identity provider said of somebody who signed in there.

use std::fmt;

use serde::{Deserialize, Serialize};

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
