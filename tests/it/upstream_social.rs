//! The social providers, as far as they differ from OpenID Connect: each has its own way to prove who we are and to say who signed in.

use aws_lc_rs::hmac;
use cenote::federation::TroubleKind;
use cenote::federation::oidc::{self, AskOidc, Callback};
use cenote::pool::Provider;
use cenote::pool::provider::Kind;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::browser::VERIFIER;
use crate::house::{House, NOW, houses, merge};
use crate::provider::{self as upstream, CLIENT_ID, CLIENT_SECRET};
use crate::upstream_oidc::{BACK, NONCE, ask, assertion, cx, p256, plain, put, query, redeem};

/// A social provider whose addresses are those of the tests' own.
async fn social(
    house: &House,
    kind: Kind,
    idp: &upstream::Provider,
    more: Value,
    mapping: &[&str],
) -> Provider {
    let at = |path: &str| format!("{}{path}", idp.url);
    let profile = match kind {
        Kind::Google => "/people?personFields=",
        Kind::Facebook => "/me?fields=",
        _ => "/profile",
    };
    let mut details = json!({
        "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "authorize_scopes": "profile", "authorize_url": at("/authorize"),
        "token_url": at("/token"), "attributes_url": at(profile), "oidc_issuer": idp.url, "jwks_uri": at("/jwks"),
    });
    merge(&mut details, more);
    put(house, kind, details, mapping).await
}

#[tokio::test]
async fn google_says_the_usual_in_the_id_token_and_the_rest_when_asked() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = social(&house, Kind::Google, &idp, json!({}), &["email", "name"]).await;
        let sent = query(&ask(&house, &provider, &AskOidc { forced: true, ..plain() }).await);
        assert_eq!(sent["prompt"], "select_account");
        assert!(sent.contains_key("code_challenge") && !sent.contains_key("max_age"));
        let identity = redeem(&house, &provider, &idp.code_for(&sent, "1087"), None).await.unwrap();
        assert_eq!(identity.subject, "1087");
        assert!(idp.asked("/people").is_empty(), "nothing was mapped that only it knows");
        // No sign-out there needs the ID token.
        assert_eq!(identity.upstream.id_token, None);
        assert!(identity.upstream.refresh_token.is_some());

        let mapping = ["email", "birthdays", "phoneNumbers", "not_googles"];
        let provider = social(&house, Kind::Google, &idp, json!({}), &mapping).await;
        idp.set(|idp| {
            idp.userinfo = json!({
                "birthdays": [{ "date": { "year": 1984, "month": 2, "day": 9 } }],
                "phoneNumbers": [{ "value": "1" }, { "value": "2", "metadata": { "primary": true } }],
            });
        });
        let sent = query(&ask(&house, &provider, &plain()).await);
        let identity = redeem(&house, &provider, &idp.code_for(&sent, "1087"), None).await.unwrap();
        assert_eq!(identity.claim("birthdays"), Some(&["1984-02-09".to_owned()][..]));
        assert_eq!(identity.claim("phoneNumbers"), Some(&["2".to_owned()][..]));
        assert_eq!(idp.asked("/people")[0].query["personFields"], "birthdays,phoneNumbers");

        idp.set(|idp| idp.userinfo = json!({ "resourceName": "people/999" }));
        let sent = query(&ask(&house, &provider, &plain()).await);
        let trouble = redeem(&house, &provider, &idp.code_for(&sent, "1087"), None).await;
        assert!(trouble.unwrap_err().text.contains("resourceName"));
        let trouble = redeem(&house, &provider, "no such code", None).await.unwrap_err();
        assert_eq!(trouble.text, "Google Error - 400 invalid_grant");
    }
}

#[tokio::test]
async fn facebook_is_asked_by_get_for_what_is_mapped_and_with_a_proof() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider =
            social(&house, Kind::Facebook, &idp, json!({ "oidc_issuer": "" }), &["email", "name"])
                .await;
        let sent = query(&ask(&house, &provider, &AskOidc { forced: true, ..plain() }).await);
        assert_eq!(sent["auth_type"], "reauthenticate");
        assert!(!sent.contains_key("nonce") && !sent.contains_key("prompt"));
        let identity = redeem(&house, &provider, &idp.code_for(&sent, "4001"), None).await.unwrap();
        assert_eq!((identity.subject.as_str(), identity.auth_ms), ("4001", None));
        assert_eq!(identity.claim("name"), Some(&["Ann of Facebook".to_owned()][..]));
        // There is no way to revoke it without taking the app from the account, so it is not kept.
        assert_eq!(identity.upstream, Default::default());
        let token = &idp.asked("/token")[0];
        assert_eq!(token.method, "GET");
        assert_eq!(token.query["client_secret"], CLIENT_SECRET);
        let me = &idp.asked("/me")[0];
        assert_eq!(me.query["fields"], "id,email,name");
        let key = hmac::Key::new(hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
        let proof: String = hmac::sign(&key, b"at.4001")
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(me.query["appsecret_proof"], proof);
        for claims in [json!({ "id": null }), json!({ "id": "" }), json!({ "id": 7 })] {
            idp.set(|idp| idp.userinfo = claims);
            let code = idp.code_for(&sent, "4001");
            let trouble = redeem(&house, &provider, &code, None).await.unwrap_err();
            assert!(trouble.text.contains("id is missing"), "{trouble:?}");
        }
    }
}

#[tokio::test]
async fn amazon_says_who_it_is_in_its_profile() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider =
            social(&house, Kind::LoginWithAmazon, &idp, json!({ "oidc_issuer": "" }), &[]).await;
        let sent = query(&ask(&house, &provider, &plain()).await);
        let code = idp.code_for(&sent, "amzn1.account.A");
        let identity = redeem(&house, &provider, &code, None).await.unwrap();
        assert_eq!(identity.subject, "amzn1.account.A");
        assert_eq!(identity.claim("postal_code"), Some(&["1010".to_owned()][..]));
        idp.set(|idp| idp.token_answer = json!({ "access_token": null }));
        let code = idp.code_for(&sent, "amzn1.account.A");
        let trouble = redeem(&house, &provider, &code, None).await.unwrap_err();
        assert_eq!(trouble.kind, TroubleKind::Refused);
        assert!(trouble.text.contains("access token"), "{trouble:?}");
    }
}

#[tokio::test]
async fn apple_gets_a_secret_signed_for_five_minutes_and_tells_names_once() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let (key, public) = p256();
        // As Apple's file is, and as Cognito's console wants it: without the lines around.
        let bare: String = key.lines().filter(|line| !line.contains("-----")).collect();
        for (n, key) in [key, bare].into_iter().enumerate() {
            let more = json!({
                "client_secret": null, "private_key": key, "team_id": "TEAM123456", "key_id": "KEY1234567", "attributes_url": null,
                "authorize_scopes": "email name",
            });
            let provider = social(&house, Kind::SignInWithApple, &idp, more, &["firstName"]).await;
            let sent = query(&ask(&house, &provider, &plain()).await);
            assert_eq!(sent["response_mode"], "form_post");
            assert_eq!(sent["scope"], "email name");
            let code = idp.code_for(&sent, "001.ann");
            let user =
                r#"{"name":{"firstName":"Ann","lastName":"Lee"},"email":"root@example.com"}"#;
            let callback = Callback {
                code: &code,
                iss: None,
                user: Some(user),
                redirect_uri: BACK,
                verifier: VERIFIER,
                nonce: NONCE,
            };
            let identity = oidc::redeem(&cx(&house), &provider, &callback).await.unwrap();
            assert_eq!(identity.claim("firstName"), Some(&["Ann".to_owned()][..]));
            assert_eq!(identity.claim("name"), Some(&["Ann Lee".to_owned()][..]));
            // What Apple signed, and not what came along.
            assert_eq!(identity.claim("email"), Some(&["001.ann@example.com".to_owned()][..]));
            let form = &idp.asked("/token")[n].form;
            let claims = assertion(&form["client_secret"], "KEY1234567", Algorithm::ES256, &public);
            let now = NOW / 1_000;
            let expected = json!({ "iss": "TEAM123456", "sub": CLIENT_ID, "aud": "https://appleid.apple.com", "iat": now, "exp": now + 300 });
            assert_eq!(claims, expected);
        }
    }
}

#[tokio::test]
async fn a_key_of_the_wrong_kind_is_told_before_anything_is_sent() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let rsa = crate::upstream_oidc::pem(include_bytes!("../fixtures/rsa-4.pkcs8.der"));
        for (key, why) in [(rsa.as_str(), "ES256 is wanted"), ("nonsense", "PKCS #8")] {
            let more =
                json!({ "client_secret": null, "private_key": key, "team_id": "T", "key_id": "K" });
            let provider = social(&house, Kind::SignInWithApple, &idp, more, &[]).await;
            let trouble = redeem(&house, &provider, "code", None).await.unwrap_err();
            assert!(trouble.text.contains(why), "{trouble:?}");
        }
        assert!(idp.asked("/token").is_empty());
    }
}
