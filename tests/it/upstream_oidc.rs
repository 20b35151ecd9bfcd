//! Signing in at an OpenID Connect provider, from our side of it: asking, redeeming, believing. Nothing here is a page; the pages are
//! tests of their own.

use std::collections::BTreeMap;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use cenote::ambient::SECOND;
use cenote::cx::Cx;
use cenote::error::Error;
use cenote::federation::oidc::{self, AskOidc, Callback};
use cenote::federation::{self, Trouble, TroubleKind};
use cenote::pool::provider::{Kind, ProviderDoc, ProviderSecret};
use cenote::pool::{Identity, Pool, Provider};
use cenote::store::{Batch, providers};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use url::Url;

use crate::browser::{CHALLENGE, VERIFIER};
use crate::house::{House, NOW, houses, merge};
use crate::provider::{self as upstream, Behaviour, CLIENT_ID, CLIENT_SECRET, Key};

pub const BACK: &str = "http://localhost:9229/oauth2/idpresponse";
pub const NONCE: &str = "n-0S6_WzA2Mj";

/// A provider of a new pool, put there as CreateIdentityProvider would.
pub async fn put(house: &House, kind: Kind, details: Value, mapping: &[&str]) -> Provider {
    let pool = house.pool(json!({})).await;
    let mut doc = ProviderDoc::default();
    let mut secret = ProviderSecret::default();
    for (name, value) in details.as_object().unwrap() {
        let value = value.as_str().unwrap().to_owned();
        match name.as_str() {
            "client_secret" => secret.client_secret = Some(value),
            "private_key" => secret.private_key = Some(value),
            _ => drop(doc.details.insert(name.clone(), value)),
        }
    }
    for claim in mapping {
        doc.mapping.insert(format!("custom:{claim}"), (*claim).to_owned());
    }
    let name = if kind == Kind::Oidc { "Corp" } else { kind.as_str() };
    let cx = Cx::system(house.app.clone());
    let provider = Provider {
        secret: Some(federation::seal(&cx, &pool, name, &secret).unwrap()),
        pool_id: pool,
        name: name.to_owned(),
        kind,
        doc,
        ver: 1,
        created_ms: NOW,
        modified_ms: NOW,
    };
    let mut batch = Batch::new();
    providers::insert(&mut batch, &provider, Error::conflict(), &Error::conflict()).unwrap();
    let mut pool = (*pool_of(house, &provider).await).clone();
    pool.doc.has_providers = true;
    cenote::store::pools::update(&mut batch, &pool, NOW).unwrap();
    house.app.db.commit(batch).await.unwrap();
    provider
}

pub async fn pool_of(house: &House, provider: &Provider) -> std::sync::Arc<Pool> {
    let app = &house.app;
    app.directory.pool(&app.db, &provider.pool_id).await.unwrap().unwrap()
}

pub fn cx(house: &House) -> Cx {
    Cx::system(house.app.clone())
}

/// What the browser is sent away with.
pub async fn ask(house: &House, provider: &Provider, ask: &AskOidc<'_>) -> Url {
    let pool = pool_of(house, provider).await;
    let url = oidc::authorize_url(&cx(house), &pool, provider, ask).await.unwrap();
    Url::parse(&url).unwrap()
}

pub fn plain() -> AskOidc<'static> {
    AskOidc {
        redirect_uri: BACK,
        state: "s1",
        nonce: NONCE,
        code_challenge: CHALLENGE,
        login_hint: None,
        prompt: None,
        max_age: None,
        acr_values: None,
        forced: false,
    }
}

pub fn query(url: &Url) -> BTreeMap<String, String> {
    url.query_pairs().into_owned().collect()
}

/// Signs `sub` in at the provider and redeems the code.
async fn arrive(
    house: &House,
    provider: &Provider,
    idp: &upstream::Provider,
    sub: &str,
) -> Result<Identity, Trouble> {
    let asked = ask(house, provider, &plain()).await;
    let back = query(&Url::parse(&idp.authorize(asked.as_str(), sub)).unwrap());
    assert_eq!(back["state"], "s1");
    redeem(house, provider, &back["code"], back.get("iss").map(String::as_str)).await
}

pub async fn redeem(
    house: &House,
    provider: &Provider,
    code: &str,
    iss: Option<&str>,
) -> Result<Identity, Trouble> {
    let callback =
        Callback { code, iss, user: None, redirect_uri: BACK, verifier: VERIFIER, nonce: NONCE };
    oidc::redeem(&cx(house), provider, &callback).await
}

async fn corp(house: &House, idp: &upstream::Provider, more: Value) -> Provider {
    let mut details = idp.details();
    merge(&mut details, more);
    put(house, Kind::Oidc, details, &[]).await
}

/// That the arrival is refused, with a text in which this stands.
async fn refused(house: &House, provider: &Provider, idp: &upstream::Provider, why: &str) {
    let trouble = arrive(house, provider, idp, "ann").await.expect_err(why);
    assert_eq!(trouble.kind, TroubleKind::Refused, "{trouble:?}");
    assert!(trouble.text.contains(why), "{:?} does not say: {why}", trouble.text);
}

#[tokio::test]
async fn somebody_who_signed_in_is_found_out_with_all_that_was_said() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        let asked = ask(&house, &provider, &plain()).await;
        let sent = query(&asked);
        assert_eq!(&asked[..url::Position::AfterPath], format!("{}/authorize", idp.url));
        assert_eq!(sent["response_type"], "code");
        assert_eq!(sent["client_id"], CLIENT_ID);
        assert_eq!(sent["redirect_uri"], BACK);
        assert_eq!(sent["scope"], "openid email profile");
        assert_eq!((&*sent["state"], &*sent["nonce"]), ("s1", NONCE));
        assert_eq!(sent["code_challenge_method"], "S256");

        idp.set(|idp| idp.userinfo = json!({ "name": "Ann Newer", "groups": ["a", "b"] }));
        let identity = arrive(&house, &provider, &idp, "ann").await.unwrap();
        assert_eq!((identity.provider.as_str(), identity.kind), ("Corp", Kind::Oidc));
        assert_eq!(identity.subject, "ann");
        assert_eq!(identity.auth_ms, Some(NOW));
        let claim = |name: &str| identity.claim(name).map(<[String]>::to_vec);
        assert_eq!(claim("email"), Some(vec!["ann@example.com".to_owned()]));
        assert_eq!(claim("email_verified"), Some(vec!["true".to_owned()]));
        assert_eq!(claim("name"), Some(vec!["Ann Newer".to_owned()]));
        assert_eq!(claim("groups"), Some(vec!["a".to_owned(), "b".to_owned()]));
        let upstream = &identity.upstream;
        assert_eq!(upstream.sid.as_deref(), Some("sid-ann"));
        assert_eq!(upstream.refresh_token.as_deref(), Some("rt.ann"));
        assert!(upstream.id_token.is_some() && upstream.access_token.is_some());

        let token = &idp.asked("/token")[0];
        assert_eq!(token.form["client_id"], CLIENT_ID);
        assert_eq!(token.form["client_secret"], CLIENT_SECRET);
        assert_eq!(token.form["code_verifier"], VERIFIER);
        assert!(!token.headers.contains_key("authorization"));
        assert_eq!(idp.asked("/userinfo")[0].method, "GET");
    }
}

#[tokio::test]
async fn discovery_and_keys_are_asked_for_once_and_then_known_on_every_node() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        arrive(&house, &provider, &idp, "ann").await.unwrap();
        let other = house.another_node(SECOND).await;
        for house in [&house, &other] {
            arrive(house, &provider, &idp, "ben").await.unwrap();
        }
        assert_eq!(idp.asked("/.well-known/openid-configuration").len(), 1);
        assert_eq!(idp.asked("/jwks").len(), 1);
    }
}

#[tokio::test]
async fn tokens_can_be_mapped_and_are_else_not_told() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        // Where tokens cannot be revoked, none is kept for a sign-out.
        idp.set(|idp| idp.discovery = json!({ "revocation_endpoint": null }));
        let details = || idp.details();
        let mapped = put(&house, Kind::Oidc, details(), &["access_token", "id_token"]).await;
        let identity = arrive(&house, &mapped, &idp, "ann").await.unwrap();
        for name in ["access_token", "id_token"] {
            assert!(identity.claim(name).is_some_and(|token| token.len() == 1), "{name}");
        }
        assert_eq!(identity.upstream.access_token, None);
        let plain = put(&house, Kind::Oidc, details(), &[]).await;
        let identity = arrive(&house, &plain, &idp, "ann").await.unwrap();
        assert!(identity.claim("access_token").or(identity.claim("id_token")).is_none());
    }
}

#[tokio::test]
async fn explicit_endpoints_need_no_discovery_and_win_over_it() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        idp.does("/.well-known/openid-configuration", Behaviour::Status(404));
        let at = |path: &str| format!("{}{path}", idp.url);
        let explicit = json!({
            "authorize_url": at("/authorize"), "token_url": at("/token"), "attributes_url": at("/userinfo"), "jwks_uri": at("/jwks"),
            "attributes_request_method": "POST",
        });
        let provider = corp(&house, &idp, explicit).await;
        // Nothing says that it knows PKCE.
        assert!(!query(&ask(&house, &provider, &plain()).await).contains_key("code_challenge"));
        assert_eq!(arrive(&house, &provider, &idp, "ann").await.unwrap().subject, "ann");
        assert_eq!(idp.asked("/userinfo")[0].method, "POST");
        assert!(idp.asked("/.well-known/openid-configuration").is_empty());

        idp.does("/.well-known/openid-configuration", None);
        let elsewhere = json!({ "authorize_url": at("/other"), "pkce": "false" });
        let provider = corp(&house, &idp, elsewhere).await;
        let asked = ask(&house, &provider, &plain()).await;
        assert_eq!(asked.path(), "/other");
        assert!(!query(&asked).contains_key("code_challenge"));
    }
}

#[tokio::test]
async fn basic_authentication_encodes_both_halves() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let basic = json!({ "token_endpoint_auth_method": "client_secret_basic" });
        let provider = corp(&house, &idp, basic).await;
        arrive(&house, &provider, &idp, "ann").await.unwrap();
        let token = &idp.asked("/token")[0];
        let given =
            token.headers["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
        let given = String::from_utf8(BASE64_STANDARD.decode(given).unwrap()).unwrap();
        assert_eq!(given, "cenote%3Aclient:s3cret+of+the+client%2C+%2B%2F%25");
        assert!(!token.form.contains_key("client_secret"));
    }
}

/// The claims of an assertion that this key signed, checked by another implementation.
pub fn assertion(token: &str, kid: &str, alg: Algorithm, key: &jsonwebtoken::DecodingKey) -> Value {
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!((header.kid.as_deref(), header.alg), (Some(kid), alg));
    let (signed, signature) = token.rsplit_once('.').unwrap();
    assert!(jsonwebtoken::crypto::verify(signature, signed.as_bytes(), key, alg).unwrap());
    let payload = signed.split_once('.').unwrap().1;
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}

pub fn pem(der: &[u8]) -> String {
    let body = BASE64_STANDARD.encode(der);
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

/// A new P-256 key in PEM, and its public half.
pub fn p256() -> (String, jsonwebtoken::DecodingKey) {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = jsonwebtoken::DecodingKey::from_ec_der(pair.public_key().as_ref());
    (pem(pair.to_pkcs8v1().unwrap().as_ref()), public)
}

#[tokio::test]
async fn an_assertion_takes_the_place_of_the_secret() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let (key, public) = p256();
        let rsa = include_bytes!("../fixtures/rsa-4.pkcs8.der");
        let jwk = Key::rsa("", 4).jwk;
        let number = |name: &str| jwk[name].as_str().unwrap().to_owned();
        let rsa_public = jsonwebtoken::DecodingKey::from_rsa_components(&number("n"), &number("e"));
        let both =
            [(key, public, Algorithm::ES256), (pem(rsa), rsa_public.unwrap(), Algorithm::RS256)];
        for (n, (key, public, alg)) in both.into_iter().enumerate() {
            let by_key = json!({ "token_endpoint_auth_method": "private_key_jwt", "private_key": key, "key_id": "my-key", "client_secret": null });
            let provider = corp(&house, &idp, by_key).await;
            arrive(&house, &provider, &idp, "ann").await.unwrap();
            let form = &idp.asked("/token")[n].form;
            assert!(!form.contains_key("client_secret"));
            assert_eq!(
                form["client_assertion_type"],
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            );
            let claims = assertion(&form["client_assertion"], "my-key", alg, &public);
            assert_eq!((&claims["iss"], &claims["sub"]), (&json!(CLIENT_ID), &json!(CLIENT_ID)));
            assert_eq!(claims["aud"], format!("{}/token", idp.url));
            assert_eq!(
                (&claims["iat"], &claims["exp"]),
                (&json!(NOW / 1_000), &json!(NOW / 1_000 + 300))
            );
            assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() > 20));
        }
    }
}

#[tokio::test]
async fn every_accepted_algorithm_is_believed_under_a_key_that_fits() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        let rsa = [
            Algorithm::RS256,
            Algorithm::RS384,
            Algorithm::RS512,
            Algorithm::PS256,
            Algorithm::PS384,
            Algorithm::PS512,
        ];
        let mut all: Vec<(Key, Option<Algorithm>)> =
            rsa.map(|alg| (Key::rsa("rsa", 3), Some(alg))).to_vec();
        all.extend(
            [Key::p256("p256"), Key::p384("p384"), Key::ed25519("ed")].map(|key| (key, None)),
        );
        idp.set(|idp| idp.keys = all[5..].iter().map(|(key, _)| key.clone()).collect());
        for (key, alg) in all {
            idp.set(|idp| (idp.signer, idp.alg) = (key, alg));
            assert_eq!(
                arrive(&house, &provider, &idp, "ann").await.unwrap().subject,
                "ann",
                "{alg:?}"
            );
        }
    }
}

#[tokio::test]
async fn hmac_is_believed_only_where_it_is_configured_and_only_by_the_secret() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        idp.set(|idp| idp.signer = Key::secret("k1", CLIENT_SECRET.as_bytes()));
        refused(&house, &provider, &idp, "HMAC").await;
        let hmac = corp(&house, &idp, json!({ "id_token_signed_response_alg": "HS256" })).await;
        arrive(&house, &hmac, &idp, "ann").await.unwrap();
        // The public key as the secret: the oldest confusion.
        let public =
            BASE64_URL_SAFE_NO_PAD.decode(Key::rsa("k1", 3).jwk["n"].as_str().unwrap()).unwrap();
        for secret in [public.as_slice(), b"", b"guess"] {
            idp.set(|idp| idp.signer = Key::secret("k1", secret));
            refused(&house, &hmac, &idp, "signature does not verify").await;
            refused(&house, &provider, &idp, "HMAC").await;
        }
        idp.set(|idp| idp.signer = Key::rsa("k1", 3));
        refused(&house, &hmac, &idp, "not signed with HS256").await;
    }
}

#[tokio::test]
async fn tokens_that_claim_another_algorithm_or_none_are_refused() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        for (header, why) in [
            (json!({ "alg": "none" }), "algorithm"),
            (json!({ "alg": "None" }), "algorithm"),
            (json!({ "alg": "RS1" }), "algorithm"),
            (json!({ "alg": null }), "algorithm"),
            (json!({ "alg": "HS256" }), "HMAC"),
            (json!({ "alg": "ES256" }), "no key"),
            (json!({ "alg": "EdDSA" }), "no key"),
            (json!({ "alg": "PS256" }), "signature"),
            (json!({ "crit": ["b64"], "b64": false }), "critical"),
        ] {
            idp.set(|idp| idp.header = header);
            refused(&house, &provider, &idp, why).await;
        }
        // A key in the token is nobody's.
        let own = Key::p256("own");
        let header = json!({ "jwk": own.jwk, "jku": format!("{}/jwks", idp.url) });
        idp.set(|idp| (idp.signer, idp.header) = (own, header));
        refused(&house, &provider, &idp, "no key").await;
        for token in ["", "a.b", "a.b.c.d", "!!.e30.", "eyJhbGciOiJub25lIn0.e30."] {
            idp.set(|idp| idp.token_answer = json!({ "id_token": token }));
            refused(&house, &provider, &idp, "ID token").await;
        }
        idp.set(|idp| idp.token_answer = json!({ "id_token": null }));
        refused(&house, &provider, &idp, "openid").await;
    }
}

#[tokio::test]
async fn a_key_that_is_new_is_fetched_and_one_that_is_unknown_is_refused() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        arrive(&house, &provider, &idp, "ann").await.unwrap();
        // Right after a fetch an unknown key is no reason for another one.
        idp.set(|idp| idp.signer = Key::rsa("k2", 4));
        refused(&house, &provider, &idp, "no key").await;
        assert_eq!(idp.asked("/jwks").len(), 1);
        house.advance(11 * SECOND);
        refused(&house, &provider, &idp, "no key").await;
        refused(&house, &provider, &idp, "no key").await;
        assert_eq!(idp.asked("/jwks").len(), 2);
        // The provider publishes it: rotated.
        house.advance(11 * SECOND);
        idp.set(|idp| idp.keys = vec![Key::rsa("k2", 4)]);
        arrive(&house, &provider, &idp, "ann").await.unwrap();
        assert_eq!(idp.asked("/jwks").len(), 3);
        // The old one is gone with that, on every node.
        idp.set(|idp| idp.signer = Key::rsa("k1", 3));
        refused(&house, &provider, &idp, "no key").await;
        refused(&house.another_node(30 * SECOND).await, &provider, &idp, "no key").await;
        // A new key under an old name.
        house.advance(11 * SECOND);
        idp.set(|idp| (idp.signer, idp.keys) = (Key::rsa("k2", 1), vec![Key::rsa("k2", 1)]));
        arrive(&house, &provider, &idp, "ann").await.unwrap();
    }
}

#[tokio::test]
async fn without_a_key_id_exactly_one_key_must_fit() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        idp.set(|idp| idp.header = json!({ "kid": null }));
        arrive(&house, &provider, &idp, "ann").await.unwrap();
        idp.set(|idp| idp.keys.push(Key::rsa("k2", 4)));
        house.advance(11 * SECOND);
        // Of the two nobody can tell; the copy with one key is still good.
        let wrong = Key::rsa("k2", 4);
        idp.set(|idp| idp.signer = wrong);
        refused(&house, &provider, &idp, "no key").await;
    }
}

#[tokio::test]
async fn id_tokens_for_others_of_others_or_of_another_time_are_refused() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        let now = NOW / 1_000;
        for (claims, why) in [
            (json!({ "iss": "https://evil.example" }), "iss"),
            (json!({ "iss": format!("{}/", idp.url) }), "iss"),
            (json!({ "iss": null }), "iss"),
            (json!({ "aud": "another client" }), "aud"),
            (json!({ "aud": [] }), "aud"),
            (json!({ "aud": null }), "aud"),
            (json!({ "aud": [CLIENT_ID, "another client"] }), "azp"),
            (json!({ "azp": "another client" }), "azp"),
            (json!({ "exp": now - 61 }), "expired"),
            (json!({ "exp": null }), "exp"),
            (json!({ "iat": now + 61 }), "iat"),
            (json!({ "iat": null }), "iat"),
            (json!({ "nbf": now + 61 }), "nbf"),
            (json!({ "nonce": "another" }), "nonce"),
            (json!({ "nonce": null }), "nonce"),
            (json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }), "at_hash"),
            (json!({ "sub": null }), "sub"),
            (json!({ "sub": "" }), "sub"),
            (json!({ "sub": 5 }), "sub"),
            (json!({ "sub": "a".repeat(256) }), "sub"),
        ] {
            idp.set(|idp| idp.id_token = claims);
            refused(&house, &provider, &idp, why).await;
        }
        assert!(idp.asked("/userinfo").is_empty());
        idp.set(|idp| idp.id_token = json!({ "aud": [CLIENT_ID, "b"], "azp": CLIENT_ID, "exp": now - 59, "iat": now + 59 }));
        arrive(&house, &provider, &idp, "ann").await.unwrap();
    }
}

#[tokio::test]
async fn userinfo_of_somebody_else_is_refused() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        for claims in [json!({ "sub": "root" }), json!({ "sub": null }), json!({ "sub": ["ann"] })]
        {
            idp.set(|idp| idp.userinfo = claims);
            refused(&house, &provider, &idp, "sub is not that of the ID token").await;
        }
        idp.set(|idp| idp.userinfo = json!({}));
        for (behaviour, why) in [
            (Behaviour::Status(500), "Corp Error - 500 error getting attributes"),
            (
                Behaviour::Redirect("http://169.254.169.254/".into()),
                "redirects to http://169.254.169.254/",
            ),
            (Behaviour::Huge, "larger"),
            (Behaviour::Body("text/html", "<html>".into()), "JSON"),
            (Behaviour::Body("application/json", "[1]".into()), "JSON"),
        ] {
            idp.does("/userinfo", behaviour);
            refused(&house, &provider, &idp, why).await;
        }
        // Signed, as a provider may be set up to do: by its key, for us, of the same person.
        let signed = |claims| Behaviour::Body("application/jwt", idp.sign(&claims));
        let mut claims =
            json!({ "iss": idp.url, "aud": CLIENT_ID, "sub": "ann", "name": "Signed" });
        idp.does("/userinfo", signed(claims.clone()));
        let identity = arrive(&house, &provider, &idp, "ann").await.unwrap();
        assert_eq!(identity.claim("name"), Some(&["Signed".to_owned()][..]));
        claims["aud"] = json!("another client");
        idp.does("/userinfo", signed(claims));
        refused(&house, &provider, &idp, "aud").await;
    }
}

#[tokio::test]
async fn a_token_endpoint_in_trouble_is_told_in_the_words_of_cognito() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        let unknown = redeem(&house, &provider, "no such code", Some(&idp.url)).await;
        assert_eq!(unknown.unwrap_err(), Trouble::refused("Corp Error - 400 error getting token"));
        for (behaviour, text) in [
            (Behaviour::Status(500), "Corp Error - 500 error getting token"),
            (Behaviour::Status(401), "Corp Error - 401 error getting token"),
            (
                Behaviour::Body("text/html", "<p>hello".into()),
                "Corp Error - 200 error getting token",
            ),
            (
                Behaviour::Body("application/json", "{}".into()),
                "Corp Error - 200 error getting token",
            ),
            (
                Behaviour::Redirect("http://10.0.0.1/".into()),
                "The token endpoint of Corp cannot be used.",
            ),
            (Behaviour::Huge, "The token endpoint of Corp cannot be used."),
        ] {
            idp.does("/token", behaviour);
            refused(&house, &provider, &idp, text).await;
        }
        let gone = corp(&house, &idp, json!({ "token_url": "http://127.0.0.1:1/token" })).await;
        let trouble = arrive(&house, &gone, &idp, "ann").await.unwrap_err();
        assert_eq!(trouble, Trouble::unreachable("Corp cannot be reached"));
        assert_eq!(trouble.error(), "invalid_request");
        let inside =
            corp(&house, &idp, json!({ "token_url": "http://169.254.169.254/token" })).await;
        refused(&house, &inside, &idp, "outgoing_allow").await;
        assert_eq!(idp.asked("/userinfo").len(), 0);
    }
}

#[tokio::test]
async fn a_token_endpoint_that_is_silent_is_waited_for_some_seconds_only() {
    let house = House::on_sqlite(cenote::config::Settings::default()).await;
    let idp = upstream::Provider::start().await;
    let provider = corp(&house, &idp, json!({})).await;
    idp.does("/token", Behaviour::Silence);
    let trouble = arrive(&house, &provider, &idp, "ann").await.unwrap_err();
    assert_eq!(trouble, Trouble::unreachable("Timeout occurred in calling IdP token endpoint"));
}

#[tokio::test]
async fn an_answer_that_names_another_issuer_or_none_is_refused() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        let code = idp.code_for(&query(&ask(&house, &provider, &plain()).await), "ann");
        for iss in [Some("https://evil.example"), Some(""), None] {
            let trouble = redeem(&house, &provider, &code, iss).await.unwrap_err();
            assert!(trouble.text.contains("iss"), "{trouble:?}");
        }
        // Before the code went anywhere.
        assert!(idp.asked("/token").is_empty());
        idp.set(|idp| {
            idp.discovery = json!({ "authorization_response_iss_parameter_supported": null })
        });
        let silent = corp(&house, &idp, json!({})).await;
        let code = idp.code_for(&query(&ask(&house, &silent, &plain()).await), "ann");
        redeem(&house, &silent, &code, None).await.unwrap();
        oidc::check_issuer(&cx(&house), &silent, Some("https://evil.example")).await.unwrap_err();
    }
}

#[tokio::test]
async fn an_issuer_may_have_the_slash_that_the_setting_leaves_out() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let slashed = format!("{}/", idp.url);
        idp.set(|idp| {
            idp.discovery = json!({ "issuer": slashed });
            idp.id_token = json!({ "iss": slashed });
        });
        let provider = corp(&house, &idp, json!({})).await;
        let code = idp.code_for(&query(&ask(&house, &provider, &plain()).await), "ann");
        redeem(&house, &provider, &code, Some(&slashed)).await.unwrap();
        // Tokens are held to the spelling of the document.
        idp.set(|idp| idp.id_token = json!({}));
        let code = idp.code_for(&query(&ask(&house, &provider, &plain()).await), "ann");
        let trouble = redeem(&house, &provider, &code, Some(&slashed)).await.unwrap_err();
        assert!(trouble.text.contains("iss"), "{trouble:?}");
    }
}

#[tokio::test]
async fn levels_of_the_pool_are_asked_for_in_the_providers_words() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let mut provider = corp(&house, &idp, json!({})).await;
        provider.doc.acr.insert("Level4".to_owned(), "https://idp.example/phr".to_owned());
        let asking = AskOidc { acr_values: Some("urn:cognito:loa:4 urn:cognito:loa:1"), ..plain() };
        let sent = query(&ask(&house, &provider, &asking).await);
        assert_eq!(sent["acr_values"], "https://idp.example/phr");
        let asking = AskOidc { forced: true, max_age: Some("60"), ..plain() };
        let sent = query(&ask(&house, &provider, &asking).await);
        assert_eq!((&*sent["prompt"], &*sent["max_age"]), ("login", "0"));
    }
}
