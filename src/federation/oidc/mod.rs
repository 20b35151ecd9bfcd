//! Providers that speak OAuth: OpenID Connect, Google, Facebook, Amazon, Apple. Where to send people, what the answer means, and how to
//! sign out there. No routes.

mod authorize;
pub(super) mod id_token;
mod sign_out;
mod token;
mod userinfo;

use serde_json::{Map, Value};

pub use self::authorize::{AskOidc, authorize_url};
pub use self::sign_out::{EndSession, LogoutToken, end_session_url, logout_token, revoke};
use self::token::Tokens;
use super::learned::{self, Endpoints};
use super::{Trouble, secrets};
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::identity::UpstreamDoc;
use crate::pool::provider::Kind;
use crate::pool::{Identity, Provider};

/// What came back to `/oauth2/idpresponse`, and what was remembered of the request that it answers.
pub struct Callback<'a> {
    pub code: &'a str,
    /// The parameter `iss` (RFC 9207).
    pub iss: Option<&'a str>,
    /// Apple's form field `user`, with the name that it tells only once.
    pub user: Option<&'a str>,
    /// As it was in the request.
    pub redirect_uri: &'a str,
    /// PKCE's, whose challenge was offered to `authorize_url`.
    pub verifier: &'a str,
    pub nonce: &'a str,
}

/// Redeems a code and finds out whom it means.
pub async fn redeem(
    cx: &Cx,
    provider: &Provider,
    callback: &Callback<'_>,
) -> Result<Identity, Trouble> {
    check_issuer(cx, provider, callback.iss).await?;
    let endpoints = learned::discovery(cx, provider).await?;
    let secret = secrets(cx, provider)?;
    let tokens = token::redeem(cx, provider, &endpoints, &secret, callback).await?;
    let access_token = tokens.access_token.as_deref();
    let lacks =
        |what: &str| Trouble::refused(format!("{} gave no {what} for the code.", provider.name));

    let (subject, sid, auth_ms, signed_ms, claims) = match provider.kind {
        Kind::Saml => return Err(Trouble::refused("SAML providers give no codes.")),
        Kind::Oidc | Kind::Google | Kind::SignInWithApple => {
            let id_token = tokens
                .id_token
                .as_deref()
                .ok_or_else(|| lacks("ID token (is openid among authorize_scopes?)"))?;
            let (nonce, token) = (callback.nonce, id_token);
            let verified =
                id_token::verify(cx, provider, &endpoints, &secret, token, nonce, access_token)
                    .await?;
            let more = match provider.kind {
                Kind::Google => {
                    userinfo::google(cx, provider, &endpoints, access_token, &verified).await?
                }
                Kind::SignInWithApple => userinfo::apple(callback.user),
                _ => {
                    userinfo::oidc(cx, provider, &endpoints, &secret, access_token, &verified)
                        .await?
                }
            };
            let claims = merged(verified.claims, more);
            (verified.sub, verified.sid, verified.auth_ms, verified.signed_ms, claims)
        }
        Kind::Facebook | Kind::LoginWithAmazon => {
            let access_token = access_token.ok_or_else(|| lacks("access token"))?;
            let (name, claims) = if provider.kind == Kind::Facebook {
                let said = userinfo::facebook(cx, provider, &endpoints, &secret, access_token);
                ("id", said.await?)
            } else {
                ("user_id", userinfo::amazon(cx, provider, &endpoints, access_token).await?)
            };
            let subject = id_token::id(&claims, name).ok_or_else(|| {
                id_token::refused(
                    cx,
                    provider,
                    "profile",
                    &format!("its {name} is missing, empty or too long"),
                )
            })?;
            (subject, None, None, None, claims)
        }
    };
    Ok(Identity {
        provider: provider.name.clone(),
        kind: provider.kind,
        subject,
        // Cognito has one for SAML alone.
        issuer: None,
        claims: mapped_tokens(provider, &tokens).into_iter().chain(flat(claims)).collect(),
        auth_ms,
        upstream: UpstreamDoc { signed_ms, ..kept(provider, &endpoints, tokens, sid) },
    })
}

/// The tokens themselves can be mapped to attributes, as if they were claims. They come first: no claim is taken for one.
fn mapped_tokens(provider: &Provider, tokens: &Tokens) -> Vec<(String, Vec<String>)> {
    [("access_token", &tokens.access_token), ("id_token", &tokens.id_token)]
        .into_iter()
        .filter(|(name, _)| provider.doc.mapping.values().any(|claim| claim == name))
        .filter_map(|(name, token)| Some((name.to_owned(), vec![token.clone()?])))
        .collect()
}

/// What a sign-out can use, and no more: tokens of others are best not had.
fn kept(
    provider: &Provider,
    endpoints: &Endpoints,
    tokens: Tokens,
    sid: Option<String>,
) -> UpstreamDoc {
    let revocable = |token: Option<String>| token.filter(|_| endpoints.revocation.is_some());
    UpstreamDoc {
        sid,
        id_token: tokens.id_token.filter(|_| provider.kind == Kind::Oidc),
        access_token: revocable(tokens.access_token),
        refresh_token: revocable(tokens.refresh_token),
        ..UpstreamDoc::default()
    }
}

/// Whether an answer of the authorization endpoint, good or bad, may come from this provider: against mix-up (RFC 9207, 2.4).
pub async fn check_issuer(cx: &Cx, provider: &Provider, iss: Option<&str>) -> Result<(), Trouble> {
    let endpoints = learned::discovery(cx, provider).await?;
    match (iss, endpoints.issuer.as_deref()) {
        (Some(iss), Some(issuer)) if iss != issuer => {
            Err(id_token::refused(cx, provider, "answer", "its iss is another issuer"))
        }
        (None, _) if endpoints.names_itself => Err(id_token::refused(
            cx,
            provider,
            "answer",
            "it lacks iss, which the provider always sends",
        )),
        _ => Ok(()),
    }
}

/// Both; what userinfo says is newer.
fn merged(mut claims: Map<String, Value>, more: Map<String, Value>) -> Map<String, Value> {
    claims.extend(more);
    claims
}

/// Claims as texts: the members of a list each, objects as JSON. What is null is not said.
fn flat(claims: Map<String, Value>) -> Vec<(String, Vec<String>)> {
    let text = |value: Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    };
    let texts = |value| match value {
        Value::Array(all) => all.into_iter().filter_map(text).collect(),
        one => text(one).into_iter().collect::<Vec<_>>(),
    };
    let all = claims.into_iter().map(|(name, value)| (name, texts(value)));
    all.filter(|(_, texts)| !texts.is_empty()).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;
    use crate::pool::provider::ProviderDoc;

    pub fn provider(kind: Kind, details: &[(&str, &str)]) -> Provider {
        let mut doc = ProviderDoc::default();
        let defaults = match kind {
            Kind::Oidc => &[
                ("authorize_url", "https://idp.example/a"),
                ("token_url", "https://idp.example/t"),
            ][..],
            _ => &[],
        };
        for (name, value) in defaults.iter().chain(details) {
            doc.details.insert((*name).to_owned(), (*value).to_owned());
        }
        Provider {
            pool_id: "us-east-1_AAAAAAAAA".to_owned(),
            name: kind.as_str().to_owned(),
            kind,
            doc,
            secret: None,
            ver: 1,
            created_ms: 0,
            modified_ms: 0,
        }
    }

    pub fn endpoints(provider: &Provider) -> Endpoints {
        Endpoints::of(provider, None).unwrap()
    }

    #[test]
    fn claims_become_texts_and_userinfo_wins() {
        let id_token =
            json!({ "sub": "ann", "name": "Old", "groups": ["a", "b"], "email_verified": true });
        let more = json!({ "name": "New", "age": 7, "address": { "country": "FR" }, "nothing": null, "empty": [], "mixed": [1, null, "x"] });
        let map = |value: Value| value.as_object().unwrap().clone();
        let flat = flat(merged(map(id_token), map(more)));
        let get = |name: &str| {
            flat.iter().find(|(own, _)| own == name).map(|(_, values)| values.join("|"))
        };
        assert_eq!(get("name").as_deref(), Some("New"));
        assert_eq!(get("groups").as_deref(), Some("a|b"));
        assert_eq!(get("email_verified").as_deref(), Some("true"));
        assert_eq!(get("age").as_deref(), Some("7"));
        assert_eq!(get("address").as_deref(), Some(r#"{"country":"FR"}"#));
        assert_eq!(get("mixed").as_deref(), Some("1|x"));
        assert_eq!((get("nothing"), get("empty")), (None, None));
    }
}
