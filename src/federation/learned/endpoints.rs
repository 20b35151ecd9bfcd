//! Where a provider that speaks OAuth listens, and what it can do: what ProviderDetails say, then its discovery document, then what is
//! known of the social ones.

use serde::{Deserialize, Deserializer};

use crate::pool::Provider;
use crate::pool::provider::Kind;

/// The members of a discovery document that we use (OpenID Connect Discovery 1.0, 3; RFC 8414; RFC 9207).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Discovery {
    pub issuer: String,
    pub authorization_endpoint: Option<String>,
    pub token_endpoint: Option<String>,
    pub userinfo_endpoint: Option<String>,
    pub jwks_uri: Option<String>,
    pub end_session_endpoint: Option<String>,
    pub revocation_endpoint: Option<String>,
    #[serde(deserialize_with = "or_default")]
    pub code_challenge_methods_supported: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Some providers say `null` where they mean that there is nothing to say.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A provider's addresses and abilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// As `iss` must be, to the letter; `None` where there are no ID tokens.
    pub issuer: Option<String>,
    pub authorize: String,
    pub token: String,
    pub userinfo: Option<String>,
    pub jwks: Option<String>,
    pub end_session: Option<String>,
    pub revocation: Option<String>,
    /// PKCE with S256 is sent.
    pub pkce: bool,
    /// The answer to an authorization request must name the issuer (RFC 9207).
    pub names_itself: bool,
}

/// What the social providers document, where ProviderDetails do not say otherwise.
struct Known {
    issuer: &'static str,
    authorize: &'static str,
    token: &'static str,
    userinfo: &'static str,
    jwks: &'static str,
    revocation: &'static str,
    pkce: bool,
}

const GOOGLE: Known = Known {
    issuer: "https://accounts.google.com",
    authorize: "https://accounts.google.com/o/oauth2/v2/auth",
    token: "https://www.googleapis.com/oauth2/v4/token",
    userinfo: "https://people.googleapis.com/v1/people/me?personFields=",
    jwks: "https://www.googleapis.com/oauth2/v3/certs",
    revocation: "https://oauth2.googleapis.com/revoke",
    pkce: true,
};

const APPLE: Known = Known {
    issuer: "https://appleid.apple.com",
    authorize: "https://appleid.apple.com/auth/authorize",
    token: "https://appleid.apple.com/auth/token",
    userinfo: "",
    jwks: "https://appleid.apple.com/auth/keys",
    revocation: "https://appleid.apple.com/auth/revoke",
    pkce: false,
};

const AMAZON: Known = Known {
    issuer: "",
    authorize: "https://www.amazon.com/ap/oa",
    token: "https://api.amazon.com/auth/o2/token",
    userinfo: "https://api.amazon.com/user/profile",
    jwks: "",
    revocation: "",
    pkce: false,
};

/// `{version}` is ProviderDetails' api_version.
const FACEBOOK: Known = Known {
    issuer: "",
    authorize: "https://www.facebook.com/{version}/dialog/oauth",
    token: "https://graph.facebook.com/{version}/oauth/access_token",
    userinfo: "https://graph.facebook.com/{version}/me?fields=",
    jwks: "",
    revocation: "",
    pkce: false,
};

const NOTHING: Known = Known {
    issuer: "",
    authorize: "",
    token: "",
    userinfo: "",
    jwks: "",
    revocation: "",
    pkce: false,
};

impl Endpoints {
    /// `None` where the address to send people to, or the one to redeem codes at, is known from nowhere.
    pub fn of(provider: &Provider, discovery: Option<&Discovery>) -> Option<Endpoints> {
        let known = match provider.kind {
            Kind::Google => GOOGLE,
            Kind::SignInWithApple => APPLE,
            Kind::LoginWithAmazon => AMAZON,
            Kind::Facebook => FACEBOOK,
            Kind::Oidc | Kind::Saml => NOTHING,
        };
        let version = provider.detail("api_version").unwrap_or("v17.0");
        let pick = |detail: &str, found: Option<&Option<String>>, known: &str| {
            let given = provider.detail(detail).map(str::to_owned);
            let known = || Some(known.replace("{version}", version)).filter(|url| !url.is_empty());
            given.or_else(|| found.cloned().flatten()).or_else(known)
        };
        let found = |get: fn(&Discovery) -> &Option<String>| discovery.map(get);
        let offers_pkce = discovery.is_some_and(|discovery| {
            discovery.code_challenge_methods_supported.iter().any(|method| method == "S256")
        });
        // A document may spell the issuer with the slash at the end that the setting leaves out; tokens are spelled as the document.
        let issuer = match discovery {
            Some(discovery) => Some(discovery.issuer.clone()),
            None => pick("oidc_issuer", None, known.issuer),
        };
        Some(Endpoints {
            issuer,
            authorize: pick(
                "authorize_url",
                found(|d| &d.authorization_endpoint),
                known.authorize,
            )?,
            token: pick("token_url", found(|d| &d.token_endpoint), known.token)?,
            userinfo: pick("attributes_url", found(|d| &d.userinfo_endpoint), known.userinfo),
            jwks: pick("jwks_uri", found(|d| &d.jwks_uri), known.jwks),
            end_session: pick("end_session_url", found(|d| &d.end_session_endpoint), ""),
            revocation: pick("revocation_url", found(|d| &d.revocation_endpoint), known.revocation),
            pkce: match provider.detail("pkce") {
                Some(_) => provider.is("pkce"),
                None => offers_pkce || known.pkce,
            },
            names_itself: discovery
                .is_some_and(|found| found.authorization_response_iss_parameter_supported),
        })
    }
}

/// Whether ProviderDetails alone say everything that a sign-in needs: then discovery may fail.
pub fn is_explicit(provider: &Provider) -> bool {
    ["authorize_url", "token_url", "jwks_uri"].iter().all(|name| provider.detail(name).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_calls_null_is_not_there() {
        let nothing = r#"{"issuer":"https://idp.example","code_challenge_methods_supported":null,
            "authorization_response_iss_parameter_supported":null,"jwks_uri":null}"#;
        let found: Discovery = serde_json::from_str(nothing).unwrap();
        let wanted = Discovery { issuer: "https://idp.example".to_owned(), ..Discovery::default() };
        assert_eq!(found, wanted);
    }
}
