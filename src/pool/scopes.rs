//! OAuth scopes: the standard ones, and those of the pool's resource servers, which are written `identifier/name`.

use std::collections::BTreeSet;

use cenote_interface::types::ResourceServerScopeType;
use serde::{Deserialize, Serialize};

use crate::ambient::Ms;

pub const STANDARD: &[&str] =
    &["openid", "email", "phone", "profile", "aws.cognito.signin.user.admin"];

/// Of every pool without a resource server: following its revocation feed, for clients themselves (client_credentials).
pub const READ_REVOCATIONS: &str = "revocations/read";

/// Managing event streams, and reading them (the names of CAEP's interoperability profile): of every pool without a resource server, for
/// clients themselves (client_credentials).
pub const MANAGE_STREAMS: &str = "ssf.manage";
pub const READ_STREAMS: &str = "ssf.read";
pub const OF_STREAMS: &[&str] = &[MANAGE_STREAMS, READ_STREAMS];

/// Every scope that is built in besides those of OpenID Connect.
pub const BUILT_IN: &[&str] = &[READ_REVOCATIONS, MANAGE_STREAMS, READ_STREAMS];

/// An API that a pool guards, and the scopes that it offers.
#[derive(Clone, Debug)]
pub struct ResourceServer {
    pub pool_id: String,
    /// Any text without spaces, often a URL: it may contain slashes, the names of scopes may not.
    pub identifier: String,
    pub doc: ResourceServerDoc,
    pub ver: i64,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResourceServerDoc {
    pub name: String,
    pub scopes: Vec<ResourceServerScopeType>,
}

impl ResourceServer {
    /// As clients ask for them.
    pub fn scopes(&self) -> impl Iterator<Item = String> {
        self.doc.scopes.iter().map(|scope| format!("{}/{}", self.identifier, scope.scope_name))
    }
}

/// Whether a scope is of a resource server or of what is built in, and not about a user: no standard one has a slash.
pub fn is_custom(scope: &str) -> bool {
    scope.contains('/') || OF_STREAMS.contains(&scope)
}

/// The first item that came before.
pub fn repeated<'a>(items: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = BTreeSet::new();
    items.into_iter().find(|item| !seen.insert(*item))
}

/// Why a `scope` parameter is refused.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrong<'a> {
    NotAllowed(&'a str),
    Repeated(&'a str),
    /// Nothing can be asked for.
    NoneAllowed,
}

/// The scopes that are asked for (RFC 6749, 3.3), each of which must be allowed; all of them where nothing is asked for.
pub fn choose<'a>(allowed: &[&str], asked: Option<&'a str>) -> Result<String, Wrong<'a>> {
    if allowed.is_empty() {
        return Err(Wrong::NoneAllowed);
    }
    let asked: Vec<&str> =
        asked.unwrap_or_default().split(' ').filter(|scope| !scope.is_empty()).collect();
    if asked.is_empty() {
        return Ok(allowed.join(" "));
    }
    if let Some(scope) = asked.iter().find(|scope| !allowed.contains(scope)) {
        return Err(Wrong::NotAllowed(scope));
    }
    match repeated(asked.iter().copied()) {
        Some(scope) => Err(Wrong::Repeated(scope)),
        None => Ok(asked.join(" ")),
    }
}

impl Wrong<'_> {
    /// For the developer. It goes into redirects, so what is not one of our scopes, but whatever a stranger wrote, is not said back.
    pub fn hint(&self) -> String {
        match self {
            Wrong::NotAllowed(_) => {
                "A scope of the request is not among the AllowedOAuthScopes of this client, or does not exist any more"
                    .to_owned()
            }
            Wrong::Repeated(scope) => format!("The scope {scope} is repeated"),
            Wrong::NoneAllowed => {
                "This client has no scope in its AllowedOAuthScopes that this grant can give".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_chosen_from_those_allowed_each_once() {
        let allowed = ["openid", "https://api.example.com/read"];
        assert_eq!(choose(&allowed, None).as_deref(), Ok("openid https://api.example.com/read"));
        assert_eq!(choose(&allowed, Some(" ")), choose(&allowed, None));
        assert_eq!(choose(&allowed, Some(" openid ")).as_deref(), Ok("openid"));
        assert_eq!(choose(&allowed, Some("openid email")), Err(Wrong::NotAllowed("email")));
        assert_eq!(
            choose(&allowed, Some("openid\temail")),
            Err(Wrong::NotAllowed("openid\temail"))
        );
        assert_eq!(choose(&allowed, Some("openid openid")), Err(Wrong::Repeated("openid")));
        assert_eq!(choose(&[], None), Err(Wrong::NoneAllowed));
    }
}
