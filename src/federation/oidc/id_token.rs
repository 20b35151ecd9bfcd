//! Believing what a provider signed: ID tokens (OIDC Core, 3.1.3.7), and what ID tokens have in common with logout tokens.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::ambient::{MINUTE, Ms, SECOND};
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::{Trouble, TroubleKind, learned, learned::Endpoints};
use crate::keys::foreign::{self, Alg, Disbelief};
use crate::keys::same;
use crate::pool::Provider;
use crate::pool::provider::{Kind, ProviderSecret};

/// How far the clocks may differ.
pub const SKEW: Ms = MINUTE;

/// The longest `sub`, `sid` and `jti` (OIDC Core, 2).
pub const MAX_ID: usize = 255;

/// Claims that the provider signed for us. Whether they are for this moment and this request is not checked.
pub struct Believed {
    pub claims: Map<String, Value>,
    pub alg: Alg,
    pub typ: Option<String>,
}

/// A verified ID token.
pub struct IdToken {
    pub claims: Map<String, Value>,
    pub sub: String,
    pub sid: Option<String>,
    pub auth_ms: Option<Ms>,
    pub signed_ms: Option<Ms>,
}

/// Verifies the ID token that came for a code.
pub async fn verify(
    cx: &Cx,
    provider: &Provider,
    endpoints: &Endpoints,
    secret: &ProviderSecret,
    token: &str,
    nonce: &str,
    access_token: Option<&str>,
) -> Result<IdToken, Trouble> {
    let believed = believe(cx, provider, secret, token, "ID token").await?;
    addressed(provider, endpoints, &believed.claims)
        .and_then(|()| in_time(&believed.claims, cx.now))
        .and_then(|()| answers(&believed, nonce, access_token))
        .map_err(|why| refused(cx, provider, "ID token", &why))
}

/// The claims of a token that one of the provider's keys signed with an algorithm that is right for it. A signature that no known key
/// explains is reason to fetch the keys anew.
pub async fn believe(
    cx: &Cx,
    provider: &Provider,
    secret: &ProviderSecret,
    token: &str,
    what: &str,
) -> Result<Believed, Trouble> {
    let refuse = |why: &str| refused(cx, provider, what, why);
    let parsed = foreign::parse(token).map_err(|malformed| refuse(&malformed.to_string()))?;
    match provider.detail("id_token_signed_response_alg") {
        // Never by the token's word alone: whoever may choose HMAC signs with a public key.
        None if parsed.alg.is_mac() => {
            return Err(refuse(
                "it is signed with HMAC, which id_token_signed_response_alg does not say",
            ));
        }
        Some(wanted) if Alg::parse(wanted) != Some(parsed.alg) => {
            return Err(refuse(&format!("it is not signed with {wanted}")));
        }
        _ => {}
    }
    let verified = if parsed.alg.is_mac() {
        parsed.verify_mac(secret.client_secret.as_deref().unwrap_or_default().as_bytes())
    } else {
        let keys = learned::jwks(cx, provider).await.map_err(away)?;
        match parsed.verify(&keys) {
            Err(Disbelief::NoKey | Disbelief::Signature) => {
                let anew = learned::jwks_anew(cx, provider).await.map_err(away)?;
                parsed.verify(&anew.unwrap_or(keys))
            }
            verified => verified,
        }
    };
    match verified {
        Ok(claims) => Ok(Believed { claims, alg: parsed.alg, typ: parsed.typ }),
        Err(disbelief) => Err(refuse(&disbelief.to_string())),
    }
}

/// Without the keys nothing can be told of a token. Whatever is wrong with them (an error page in their place, a redirect to one), it is
/// not the token: who sent it may come again.
pub fn away(trouble: Trouble) -> Trouble {
    match trouble.kind {
        TroubleKind::Refused => Trouble::unreachable(trouble.text),
        TroubleKind::Unreachable | TroubleKind::Internal => trouble,
    }
}

/// What is wrong, for the app and the log: the values of a token are personal data and stay out.
pub fn refused(cx: &Cx, provider: &Provider, what: &str, why: &str) -> Trouble {
    tracing::warn!(
        pool = provider.pool_id,
        provider = provider.name,
        request = cx.request.id,
        why,
        "a token of an identity provider was refused"
    );
    Trouble::refused(format!("The {what} of {} was refused: {why}", provider.name))
}

type Why = Cow<'static, str>;

/// `iss`, `aud` and `azp`: from this provider, for us.
pub fn addressed(
    provider: &Provider,
    endpoints: &Endpoints,
    claims: &Map<String, Value>,
) -> Result<(), Why> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let issuer = text("iss").ok_or("it has no iss")?;
    let own = endpoints.issuer.as_deref();
    let google = provider.kind == Kind::Google && own == Some("https://accounts.google.com");
    if own != Some(issuer) && !(google && issuer == "accounts.google.com") {
        return Err("its iss is not the provider's issuer".into());
    }
    let client_id = provider.detail("client_id").filter(|id| !id.is_empty());
    let client_id = client_id.ok_or("the provider has no client_id")?;
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.contains(&client_id) {
        return Err("its aud is not the client_id".into());
    }
    match claims.get("azp") {
        Some(azp) if azp != client_id => Err("its azp is not the client_id".into()),
        None if audiences.len() > 1 => Err("it has several audiences and no azp".into()),
        _ => Ok(()),
    }
}

/// `exp`, `iat`, `nbf`.
pub fn in_time(claims: &Map<String, Value>, now: Ms) -> Result<(), Why> {
    let expires = moment(claims, "exp").ok_or("it has no exp")?;
    let issued = moment(claims, "iat").ok_or("it has no iat")?;
    if expires.saturating_add(SKEW) <= now {
        return Err("it has expired".into());
    }
    if issued > now.saturating_add(SKEW) {
        return Err("its iat is in the future: compare the clocks".into());
    }
    if claims.contains_key("nbf") {
        let from = moment(claims, "nbf").ok_or("its nbf is no time")?;
        if from > now.saturating_add(SKEW) {
            return Err("its nbf is in the future: compare the clocks".into());
        }
    }
    Ok(())
}

/// A NumericDate, which may have a fraction.
pub fn moment(claims: &Map<String, Value>, name: &str) -> Option<Ms> {
    let value = claims.get(name)?;
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e13)?;
        #[allow(clippy::cast_possible_truncation, reason = "it was just bounded")]
        Some(seconds as i64)
    })?;
    seconds.checked_mul(SECOND)
}

/// A non-empty text of bounded length without control characters.
pub fn id(claims: &Map<String, Value>, name: &str) -> Option<String> {
    let text = claims.get(name)?.as_str()?;
    let fine = !text.is_empty() && text.len() <= MAX_ID && !text.chars().any(char::is_control);
    fine.then(|| text.to_owned())
}

/// `nonce`, `at_hash`, `sub`: the answer to this very request.
fn answers(believed: &Believed, nonce: &str, access_token: Option<&str>) -> Result<IdToken, Why> {
    let claims = &believed.claims;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let own = text("nonce").ok_or("it has no nonce")?;
    if !same(own.as_bytes(), nonce.as_bytes()) {
        return Err("its nonce is not that of the request".into());
    }
    if let (Some(hash), Some(access_token)) = (claims.get("at_hash"), access_token)
        && *hash != foreign::half_hash(believed.alg, access_token)
    {
        return Err("its at_hash is not that of the access token".into());
    }
    let sub = id(claims, "sub").ok_or("its sub is missing, empty or too long")?;
    let sid = id(claims, "sid");
    let (auth_ms, signed_ms) = (moment(claims, "auth_time"), moment(claims, "iat"));
    Ok(IdToken { claims: claims.clone(), sub, sid, auth_ms, signed_ms })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::federation::oidc::tests::{endpoints, provider};

    const NOW: Ms = 1_790_000_000_000;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_token_must_be_from_the_provider_and_for_us() {
        let provider =
            provider(Kind::Oidc, &[("client_id", "app"), ("oidc_issuer", "https://idp.example")]);
        let endpoints = endpoints(&provider);
        let check = |value| addressed(&provider, &endpoints, &map(value));
        let issuer = "https://idp.example";
        assert_eq!(check(json!({ "iss": issuer, "aud": "app" })), Ok(()));
        assert_eq!(check(json!({ "iss": issuer, "aud": ["app", "b"], "azp": "app" })), Ok(()));
        for wrong in [
            json!({ "aud": "app" }),
            json!({ "iss": "https://idp.example/", "aud": "app" }),
            json!({ "iss": "https://IDP.example", "aud": "app" }),
            json!({ "iss": issuer }),
            json!({ "iss": issuer, "aud": "app2" }),
            json!({ "iss": issuer, "aud": [] }),
            json!({ "iss": issuer, "aud": { "app": 1 } }),
            json!({ "iss": issuer, "aud": ["app", "b"] }),
            json!({ "iss": issuer, "aud": "app", "azp": "b" }),
            json!({ "iss": issuer, "aud": "app", "azp": 5 }),
        ] {
            assert!(check(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn google_has_two_names_and_nobody_else_has() {
        let google = provider(Kind::Google, &[("client_id", "app")]);
        let short = map(json!({ "iss": "accounts.google.com", "aud": "app" }));
        assert_eq!(addressed(&google, &endpoints(&google), &short), Ok(()));
        let other = provider(
            Kind::Oidc,
            &[("client_id", "app"), ("oidc_issuer", "https://accounts.google.com")],
        );
        assert!(addressed(&other, &endpoints(&other), &short).is_err());
    }

    #[test]
    fn times_count_with_a_minute_of_skew() {
        let at = |seconds: i64| NOW / SECOND + seconds;
        let check = |value| in_time(&map(value), NOW);
        assert_eq!(check(json!({ "exp": at(-59), "iat": at(60), "nbf": at(60) })), Ok(()));
        assert_eq!(check(json!({ "exp": at(10) as f64 + 0.5, "iat": at(0) })), Ok(()));
        for wrong in [
            json!({ "exp": at(-60), "iat": at(-3600) }),
            json!({ "exp": at(60) }),
            json!({ "iat": at(0) }),
            json!({ "exp": at(3600), "iat": at(61) }),
            json!({ "exp": at(3600), "iat": at(0), "nbf": at(61) }),
            json!({ "exp": at(3600), "iat": at(0), "nbf": "soon" }),
            json!({ "exp": at(3600).to_string(), "iat": at(0) }),
            json!({ "exp": 1e300, "iat": at(0) }),
            json!({ "exp": i64::MAX, "iat": at(0) }),
        ] {
            assert!(check(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_answer_must_be_to_this_request_and_name_somebody() {
        let check = |value| {
            let believed = Believed { claims: map(value), alg: Alg::Rs256, typ: None };
            answers(&believed, "n1", Some("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y"))
                .map(|token| token.sub)
        };
        // The access token and hash of OpenID Connect Core, A.3.
        let hash = "77QmUPtjPfzWtF2AnpK9RQ";
        assert_eq!(check(json!({ "nonce": "n1", "sub": "ann", "at_hash": hash })).unwrap(), "ann");
        for wrong in [
            json!({ "sub": "ann" }),
            json!({ "nonce": "n2", "sub": "ann" }),
            json!({ "nonce": "n1" }),
            json!({ "nonce": "n1", "sub": "" }),
            json!({ "nonce": "n1", "sub": 7 }),
            json!({ "nonce": "n1", "sub": "a".repeat(256) }),
            json!({ "nonce": "n1", "sub": "a\nb" }),
            json!({ "nonce": "n1", "sub": "ann", "at_hash": "77QmUPtjPfzWtF2AnpK9RR" }),
            json!({ "nonce": "n1", "sub": "ann", "at_hash": null }),
        ] {
            assert!(check(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
