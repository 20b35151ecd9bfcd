//! An identity provider of a pool: where its users may sign in instead of at the pool itself (`cognito-behaviour`, 2 and 3).

pub mod details;
pub mod rules;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::ambient::Ms;

/// A provider as one read gave it. Every change of the row changes the pool's version, too.
#[derive(Clone, Debug)]
pub struct Provider {
    pub pool_id: String,
    /// As app clients and users name it; the social ones are called as their kind.
    pub name: String,
    pub kind: Kind,
    pub doc: ProviderDoc,
    /// `ProviderSecret`, sealed; `None` where there is nothing to hide.
    pub secret: Option<Vec<u8>>,
    pub ver: i64,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

/// ProviderType.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    #[serde(rename = "SAML")]
    Saml,
    #[serde(rename = "OIDC")]
    Oidc,
    Google,
    Facebook,
    LoginWithAmazon,
    SignInWithApple,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Saml => "SAML",
            Kind::Oidc => "OIDC",
            Kind::Google => "Google",
            Kind::Facebook => "Facebook",
            Kind::LoginWithAmazon => "LoginWithAmazon",
            Kind::SignInWithApple => "SignInWithApple",
        }
    }

    pub fn parse(text: &str) -> Option<Kind> {
        Some(match text {
            "SAML" => Kind::Saml,
            "OIDC" => Kind::Oidc,
            "Google" => Kind::Google,
            "Facebook" => Kind::Facebook,
            "LoginWithAmazon" => Kind::LoginWithAmazon,
            "SignInWithApple" => Kind::SignInWithApple,
            _ => return None,
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderDoc {
    /// ProviderDetails without its secrets.
    pub details: BTreeMap<String, String>,
    /// AttributeMapping: an attribute of the pool, and what the provider calls it.
    pub mapping: BTreeMap<String, String>,
    /// IdpIdentifiers, as they were given.
    pub identifiers: Vec<String>,
    /// AcrMapping.
    pub acr: BTreeMap<String, String>,
}

/// What is sealed of a provider.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProviderSecret {
    pub client_secret: Option<String>,
    /// PKCS#8 in PEM: Apple's key, or that of `private_key_jwt`.
    pub private_key: Option<String>,
}

impl fmt::Debug for ProviderSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Provider {
    pub fn detail(&self, name: &str) -> Option<&str> {
        self.doc.details.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A setting that is "true" or "false", and false where it was not given.
    pub fn is(&self, name: &str) -> bool {
        self.detail(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The group of everybody whose account began with this provider.
    pub fn group(&self) -> String {
        format!("{}_{}", self.pool_id, self.name)
    }
}

/// All providers of a pool, at one version of it.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Provider>);

impl Providers {
    pub fn new(all: Vec<Provider>) -> Providers {
        Providers(all)
    }

    pub fn all(&self) -> &[Provider] {
        &self.0
    }

    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.0.iter().find(|provider| provider.name == name)
    }

    /// By `idp_identifier`, without regard to case: it may be the domain of an e-mail address.
    pub fn by_identifier(&self, identifier: &str) -> Option<&Provider> {
        let wanted = identifier.to_lowercase();
        self.0.iter().find(|provider| {
            provider.doc.identifiers.iter().any(|own| own.to_lowercase() == wanted)
        })
    }
}
