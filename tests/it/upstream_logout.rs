//! Signing out at a provider that speaks OAuth: the way to its end-session endpoint, revoked tokens; and its logout tokens, believed
//! or not.

use cenote::ambient::SECOND;
use cenote::federation::oidc::{self, LogoutToken};
use cenote::federation::{Trouble, TroubleKind};
use cenote::pool::Provider;
use cenote::pool::identity::UpstreamDoc;
use cenote::pool::provider::Kind;
use serde_json::{Value, json};
use url::Url;

use crate::house::{House, NOW, houses, merge};
use crate::provider::{self as upstream, Behaviour, CLIENT_ID, CLIENT_SECRET, Key};
use crate::upstream_oidc::{cx, put, query};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

async fn corp(house: &House, idp: &upstream::Provider, more: Value) -> Provider {
    let mut details = idp.details();
    merge(&mut details, more);
    put(house, Kind::Oidc, details, &[]).await
}

fn tokens() -> UpstreamDoc {
    UpstreamDoc {
        id_token: Some("the.id.token".into()),
        access_token: Some("at.ann".into()),
        refresh_token: Some("rt.ann".into()),
        ..UpstreamDoc::default()
    }
}

#[tokio::test]
async fn the_end_session_endpoint_gets_what_it_needs_to_know_whom_and_where_to() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        let back = "http://localhost:9229/oauth2/idplogout";
        let end = |upstream: UpstreamDoc| {
            let (cx, provider) = (cx(&house), provider.clone());
            async move { oidc::end_session_url(&cx, &provider, &upstream, back, "s 1").await }
        };
        let way = end(tokens()).await.unwrap().unwrap();
        assert_eq!(way.url, format!("{}/end_session", idp.url));
        let sent = query(&Url::parse(&way.redirect()).unwrap());
        assert_eq!(sent["id_token_hint"], "the.id.token");
        assert_eq!(sent["client_id"], CLIENT_ID);
        assert_eq!((&*sent["post_logout_redirect_uri"], &*sent["state"]), (back, "s 1"));
        let without = end(UpstreamDoc::default()).await.unwrap().unwrap();
        assert!(!without.redirect().contains("id_token_hint"));

        // A setting wins; a provider without such an endpoint has none.
        let own = json!({ "end_session_url": "https://idp.example/bye?x=1" });
        let provider = corp(&house, &idp, own).await;
        let way = oidc::end_session_url(&cx(&house), &provider, &tokens(), back, "s").await;
        assert!(
            way.unwrap()
                .unwrap()
                .redirect()
                .starts_with("https://idp.example/bye?x=1&id_token_hint=")
        );
        idp.set(|idp| {
            idp.discovery = json!({ "end_session_endpoint": null, "revocation_endpoint": null })
        });
        let provider = corp(&house, &idp, json!({})).await;
        let way = oidc::end_session_url(&cx(&house), &provider, &tokens(), back, "s").await;
        assert_eq!(way.unwrap(), None);
        assert!(!oidc::revoke(&cx(&house), &provider, &tokens()).await.unwrap());
    }
}

#[tokio::test]
async fn tokens_are_revoked_with_the_proof_that_it_is_us() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        assert!(oidc::revoke(&cx(&house), &provider, &tokens()).await.unwrap());
        let access = UpstreamDoc { refresh_token: None, ..tokens() };
        assert!(oidc::revoke(&cx(&house), &provider, &access).await.unwrap());
        assert!(!oidc::revoke(&cx(&house), &provider, &UpstreamDoc::default()).await.unwrap());
        let asked = idp.asked("/revoke");
        assert_eq!(asked.len(), 2);
        assert_eq!(
            (&*asked[0].form["token"], &*asked[0].form["token_type_hint"]),
            ("rt.ann", "refresh_token")
        );
        assert_eq!(
            (&*asked[1].form["token"], &*asked[1].form["token_type_hint"]),
            ("at.ann", "access_token")
        );
        assert_eq!(asked[0].form["client_secret"], CLIENT_SECRET);
        for (behaviour, kind) in [
            (Behaviour::Status(503), TroubleKind::Unreachable),
            (Behaviour::Status(429), TroubleKind::Unreachable),
            (Behaviour::Status(400), TroubleKind::Refused),
        ] {
            idp.does("/revoke", behaviour);
            let trouble = oidc::revoke(&cx(&house), &provider, &tokens()).await.unwrap_err();
            assert_eq!(trouble.kind, kind, "{trouble:?}");
        }
        let facebook = json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET });
        let facebook = put(&house, Kind::Facebook, facebook, &[]).await;
        assert!(!oidc::revoke(&cx(&house), &facebook, &tokens()).await.unwrap());
    }
}

fn logout(idp: &upstream::Provider, more: Value) -> Value {
    let now = NOW / 1_000;
    let mut claims = json!({
        "iss": idp.url, "aud": CLIENT_ID, "iat": now, "exp": now + 120, "jti": "j1", "sub": "ann", "sid": "s1", "events": { EVENT: {} },
    });
    merge(&mut claims, more);
    claims
}

async fn believed(house: &House, provider: &Provider, token: &str) -> Result<LogoutToken, Trouble> {
    oidc::logout_token(&cx(house), provider, token).await
}

#[tokio::test]
async fn a_logout_token_of_the_provider_is_believed() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        for typ in [json!("logout+jwt"), json!("JWT"), Value::Null] {
            idp.set(|idp| idp.header = json!({ "typ": typ }));
            let token =
                believed(&house, &provider, &idp.sign(&logout(&idp, json!({})))).await.unwrap();
            let expected = LogoutToken {
                sub: Some("ann".into()),
                sid: Some("s1".into()),
                jti: "j1".into(),
                expires_ms: NOW + 180 * SECOND,
            };
            assert_eq!(token, expected);
        }
        for one in ["sub", "sid"] {
            let token = idp.sign(&logout(&idp, json!({ one: null })));
            assert!(believed(&house, &provider, &token).await.is_ok(), "without {one}");
        }
    }
}

#[tokio::test]
async fn what_is_no_logout_token_for_us_is_refused() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = corp(&house, &idp, json!({})).await;
        let now = NOW / 1_000;
        for (claims, why) in [
            (json!({ "iss": "https://evil.example" }), "iss"),
            (json!({ "aud": "another client" }), "aud"),
            (json!({ "aud": null }), "aud"),
            (json!({ "iat": null }), "iat"),
            (json!({ "iat": now + 61 }), "iat"),
            (json!({ "exp": null }), "exp"),
            (json!({ "exp": now - 61 }), "expired"),
            (json!({ "jti": null }), "jti"),
            (json!({ "events": null }), "events"),
            (json!({ "events": { "other": {} } }), "events"),
            (json!({ "events": { EVENT: [] } }), "events"),
            (json!({ "nonce": "n" }), "nonce"),
            (json!({ "sub": null, "sid": null }), "neither"),
            (json!({ "sid": 5 }), "sid"),
        ] {
            let trouble =
                believed(&house, &provider, &idp.sign(&logout(&idp, claims))).await.unwrap_err();
            assert_eq!(trouble.kind, TroubleKind::Refused, "{trouble:?}");
            assert!(trouble.text.contains(why), "{:?} does not say: {why}", trouble.text);
        }
        for header in [
            json!({ "alg": "none" }),
            json!({ "alg": "HS256" }),
            json!({ "typ": "at+jwt" }),
            json!({ "kid": "k9" }),
        ] {
            idp.set(|idp| idp.header = header.clone());
            let trouble = believed(&house, &provider, &idp.sign(&logout(&idp, json!({})))).await;
            assert_eq!(trouble.unwrap_err().kind, TroubleKind::Refused, "{header}");
        }
        idp.set(|idp| (idp.header, idp.signer) = (json!({}), Key::rsa("k1", 4)));
        let trouble = believed(&house, &provider, &idp.sign(&logout(&idp, json!({})))).await;
        assert!(trouble.unwrap_err().text.contains("signature"));
        // Social providers send none, whoever signs.
        let google = json!({ "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET });
        let google = put(&house, Kind::Google, google, &[]).await;
        let trouble = believed(&house, &google, &idp.sign(&logout(&idp, json!({})))).await;
        assert_eq!(trouble.unwrap_err().kind, TroubleKind::Refused);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_make_a_logout_token_wait_and_not_fail() {
    for house in houses().await {
        for away in [
            Behaviour::Status(503),
            // As what stands before a provider says that it is away.
            Behaviour::Body("text/html", "<h1>Back soon</h1>".into()),
            Behaviour::Redirect("https://status.example/".into()),
        ] {
            let idp = upstream::Provider::start().await;
            let provider = corp(&house, &idp, json!({})).await;
            let token = idp.sign(&logout(&idp, json!({})));
            idp.does("/jwks", away.clone());
            assert_eq!(
                believed(&house, &provider, &token).await.unwrap_err().kind,
                TroubleKind::Unreachable
            );
            // It is back, and was left alone for some seconds.
            idp.does("/jwks", None);
            house.advance(11 * SECOND);
            believed(&house, &provider, &token).await.unwrap();
            // A new key that cannot be fetched is no forgery yet.
            idp.does("/jwks", away);
            idp.set(|idp| idp.signer = Key::rsa("k2", 4));
            house.advance(11 * SECOND);
            let token = idp.sign(&logout(&idp, json!({})));
            assert_eq!(
                believed(&house, &provider, &token).await.unwrap_err().kind,
                TroubleKind::Unreachable
            );
        }
    }
}
