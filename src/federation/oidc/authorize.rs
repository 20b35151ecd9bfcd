//! The address that a browser is sent to, to sign in at a provider (OIDC Core, 3.1.2.1; `cognito-behaviour`, 3 and 4.1).

use std::collections::BTreeMap;

use url::Url;

use crate::cx::Cx;
use crate::error::Result;
use crate::federation::{Trouble, learned, learned::Endpoints};
use crate::pool::provider::Kind;
use crate::pool::{Pool, Provider};

/// What is asked of a provider.
pub struct AskOidc<'a> {
    pub redirect_uri: &'a str,
    pub state: &'a str,
    pub nonce: &'a str,
    /// Of a verifier that is kept; left out where the provider does not know PKCE.
    pub code_challenge: &'a str,
    /// These four as the app gave them.
    pub login_hint: Option<&'a str>,
    pub prompt: Option<&'a str>,
    pub max_age: Option<&'a str>,
    pub acr_values: Option<&'a str>,
    /// A fresh authentication, whatever the app asks for.
    pub forced: bool,
}

pub async fn authorize_url(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    ask: &AskOidc<'_>,
) -> Result<String, Trouble> {
    let endpoints = learned::discovery(cx, provider).await?;
    let levels = |level: &str| {
        let configured = pool.model().acr_configuration.as_ref()?.get(level)?;
        Some(configured.acr_value.clone())
    };
    let acr_values = ask.acr_values.and_then(|asked| acr(&provider.doc.acr, asked, levels));
    compose(provider, &endpoints, ask, acr_values.as_deref())
}

fn compose(
    provider: &Provider,
    endpoints: &Endpoints,
    ask: &AskOidc<'_>,
    acr_values: Option<&str>,
) -> Result<String, Trouble> {
    let mut url = Url::parse(&endpoints.authorize).map_err(|_| {
        Trouble::refused(format!("The authorization endpoint of {} is not a URL.", provider.name))
    })?;
    let kind = provider.kind;
    let scope = scope(provider);
    let mut query = url.query_pairs_mut();
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", provider.detail("client_id").unwrap_or_default())
        .append_pair("redirect_uri", ask.redirect_uri)
        .append_pair("scope", &scope)
        .append_pair("state", ask.state);
    if matches!(kind, Kind::Oidc | Kind::Google | Kind::SignInWithApple) {
        query.append_pair("nonce", ask.nonce);
    }
    if endpoints.pkce {
        query
            .append_pair("code_challenge", ask.code_challenge)
            .append_pair("code_challenge_method", "S256");
    }
    if kind == Kind::SignInWithApple && !scope.is_empty() {
        // Apple tells a name and an address by a form only.
        query.append_pair("response_mode", "form_post");
    }
    if let (Kind::Oidc | Kind::Google, Some(hint)) = (kind, ask.login_hint) {
        query.append_pair("login_hint", hint);
    }
    if let Some(prompt) = prompt(kind, ask.prompt.unwrap_or_default(), ask.forced) {
        query.append_pair("prompt", &prompt);
    }
    match (kind, ask.max_age) {
        (Kind::Oidc, _) if ask.forced => {
            query.append_pair("max_age", "0");
        }
        (Kind::Oidc, Some(max_age)) => {
            query.append_pair("max_age", max_age);
        }
        // The other way round of asking there. Amazon and Apple document none: their sessions are theirs.
        (Kind::Facebook, _) if ask.forced => {
            query.append_pair("auth_type", "reauthenticate");
        }
        _ => {}
    }
    if let (Kind::Oidc, Some(acr_values)) = (kind, acr_values) {
        query.append_pair("acr_values", acr_values);
    }
    drop(query);
    Ok(url.into())
}

/// The provider's scopes; Facebook separates them by commas.
fn scope(provider: &Provider) -> String {
    let scopes = provider.detail("authorize_scopes").unwrap_or_default();
    let separator = if provider.kind == Kind::Facebook { "," } else { " " };
    let scopes: Vec<_> = scopes
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|scope| !scope.is_empty())
        .collect();
    scopes.join(separator)
}

/// What a provider is asked to show. `none` is ours to answer, and never forwarded.
fn prompt(kind: Kind, asked: &str, forced: bool) -> Option<String> {
    let mut values: Vec<&str> = Vec::new();
    let mut add = |value| {
        if !values.contains(&value) {
            values.push(value);
        }
    };
    let fresh = forced || asked.split_whitespace().any(|value| value == "login");
    match kind {
        Kind::Oidc => {
            if forced {
                add("login");
            }
            asked.split_whitespace().filter(|value| *value != "none").for_each(add);
        }
        Kind::Google => {
            // Google knows no `login`; choosing an account is the nearest.
            if fresh {
                add("select_account");
            }
            asked
                .split_whitespace()
                .filter(|value| matches!(*value, "consent" | "select_account"))
                .for_each(add);
        }
        Kind::Saml | Kind::Facebook | Kind::LoginWithAmazon | Kind::SignInWithApple => {}
    }
    (!values.is_empty()).then(|| values.join(" "))
}

/// The pool's levels of assurance that the app asks for, as AcrMapping translates them for the provider.
fn acr(
    mapping: &BTreeMap<String, String>,
    asked: &str,
    configured: impl Fn(&str) -> Option<String>,
) -> Option<String> {
    let mapped = |value: &str| {
        (1..=4).find_map(|n| {
            let level = format!("Level{n}");
            let own = configured(&level).unwrap_or_else(|| format!("urn:cognito:loa:{n}"));
            if own == value { mapping.get(&level).cloned() } else { None }
        })
    };
    let values: Vec<String> = asked.split_whitespace().filter_map(mapped).collect();
    (!values.is_empty()).then(|| values.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::federation::oidc::tests::{endpoints, provider};

    const ASK: AskOidc<'_> = AskOidc {
        redirect_uri: "https://auth.example.com/oauth2/idpresponse",
        state: "s1",
        nonce: "n1",
        code_challenge: "c1",
        login_hint: Some("ann@example.com"),
        prompt: None,
        max_age: None,
        acr_values: None,
        forced: false,
    };

    fn query(kind: Kind, ask: &AskOidc<'_>, acr: Option<&str>) -> BTreeMap<String, String> {
        let scopes = "openid,email  profile";
        let provider = provider(kind, &[("client_id", "app"), ("authorize_scopes", scopes)]);
        let url = compose(&provider, &endpoints(&provider), ask, acr).unwrap();
        Url::parse(&url).unwrap().query_pairs().into_owned().collect()
    }

    #[test]
    fn each_kind_gets_what_it_knows_and_nothing_else() {
        let oidc = query(Kind::Oidc, &ASK, Some("mfa"));
        assert_eq!(oidc["scope"], "openid email profile");
        assert_eq!(oidc["nonce"], "n1");
        assert_eq!(oidc["login_hint"], "ann@example.com");
        assert_eq!(oidc["acr_values"], "mfa");
        assert!(!oidc.contains_key("prompt") && !oidc.contains_key("max_age"));
        let facebook = query(Kind::Facebook, &ASK, Some("mfa"));
        assert_eq!(facebook["scope"], "openid,email,profile");
        for absent in ["nonce", "login_hint", "acr_values", "code_challenge", "auth_type"] {
            assert!(!facebook.contains_key(absent), "{absent}");
        }
        let apple = query(Kind::SignInWithApple, &ASK, None);
        assert_eq!(apple["response_mode"], "form_post");
        assert!(!apple.contains_key("login_hint"));
        let google = query(Kind::Google, &ASK, None);
        assert_eq!(google["code_challenge"], "c1");
        assert_eq!(google["code_challenge_method"], "S256");
    }

    #[test]
    fn none_is_never_forwarded_and_the_rest_is() {
        let ask = |prompt| AskOidc { prompt: Some(prompt), ..ASK };
        assert_eq!(query(Kind::Oidc, &ask("login consent"), None)["prompt"], "login consent");
        assert!(!query(Kind::Oidc, &ask("none"), None).contains_key("prompt"));
        assert_eq!(
            query(Kind::Google, &ask("login consent"), None)["prompt"],
            "select_account consent"
        );
        assert!(!query(Kind::LoginWithAmazon, &ask("login"), None).contains_key("prompt"));
    }

    #[test]
    fn a_forced_authentication_asks_each_provider_in_its_own_way() {
        let forced = AskOidc { forced: true, prompt: Some("consent"), max_age: Some("600"), ..ASK };
        let oidc = query(Kind::Oidc, &forced, None);
        assert_eq!((&*oidc["prompt"], &*oidc["max_age"]), ("login consent", "0"));
        assert_eq!(query(Kind::Google, &forced, None)["prompt"], "select_account consent");
        assert_eq!(query(Kind::Facebook, &forced, None)["auth_type"], "reauthenticate");
    }

    #[test]
    fn levels_of_assurance_are_translated_and_unknown_ones_left_out() {
        let mapping = BTreeMap::from([
            ("Level2".to_owned(), "phr".to_owned()),
            ("Level3".to_owned(), "phrh".to_owned()),
        ]);
        let configured = |level: &str| (level == "Level3").then(|| "gold".to_owned());
        let acr = |asked| acr(&mapping, asked, configured);
        assert_eq!(acr("gold urn:cognito:loa:2").as_deref(), Some("phrh phr"));
        assert_eq!(acr("urn:cognito:loa:3 urn:cognito:loa:1"), None);
    }
}
