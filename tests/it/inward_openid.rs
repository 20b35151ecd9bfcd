//! OpenID Connect providers sign their users out, by the back channel and the front channel. What must not be believed ends nothing.

use serde_json::json;

use crate::browser::Browser;
use crate::corp::told;
use crate::house::{House, NOW, houses};
use crate::inward_says::{AUDITED, backchannel, is_known, logout_token};
use crate::provider::{Behaviour, Key, Provider};
use crate::upstream_sign_out::{given_openid, signs_in_at};

async fn open_ann<'a>(
    house: &'a House,
    op: &Provider,
    pool: &str,
    client: &str,
    sub: &str,
) -> Browser<'a> {
    let mut browser = Browser::new(house, pool, client);
    signs_in_at(op, &mut browser, sub).await;
    assert!(is_known(&mut browser).await);
    browser
}

#[tokio::test]
async fn a_logout_token_ends_the_session_or_the_person_that_it_names() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        for (claims, ends) in [
            (json!({ "sid": "sid-ann" }), true),
            (json!({ "sub": "ann" }), true),
            (json!({ "sub": "ann", "sid": "sid-ann" }), true),
            (json!({ "sub": "ann", "sid": "another" }), false),
            (json!({ "sub": "bob", "sid": "sid-ann" }), false),
            (json!({ "sub": "bob" }), false),
        ] {
            let mut browser = open_ann(&house, &op, &pool, &client, "ann").await;
            let answer =
                backchannel(&house, &pool, "Open", &logout_token(&op, claims.clone())).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""), "{claims}");
            assert!(answer.header("cache-control").contains("no-store"));
            assert_eq!(answer.headers.contains_key("x-cenote-signout"), ends, "{claims}");
            assert_eq!(is_known(&mut browser).await, !ends, "{claims}");
        }
        assert!(told(&house, &pool).await.is_empty());
    }
}

#[tokio::test]
async fn a_logout_token_that_must_not_be_believed_is_refused_in_words() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let mut browser = open_ann(&house, &op, &pool, &client, "ann").await;
        let good = json!({ "sub": "ann" });
        for more in [
            json!({ "iss": "https://other.example.com" }),
            json!({ "aud": "another client" }),
            json!({ "exp": NOW / 1_000 - 3_600 }),
            json!({ "iat": NOW / 1_000 + 3_600 }),
            json!({ "events": null }),
            json!({ "nonce": "n" }),
            json!({ "jti": null }),
            json!({ "sub": null }),
        ] {
            let mut claims = good.clone();
            for (name, value) in more.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let answer = backchannel(&house, &pool, "Open", &logout_token(&op, claims)).await;
            assert_eq!(answer.status, 400, "{more} {}", answer.body);
            assert_eq!(answer.json()["error"], "invalid_request", "{more}");
            assert!(!answer.json()["error_description"].as_str().unwrap().is_empty());
            assert!(answer.header("cache-control").contains("no-store"));
        }
        op.set(|state| state.signer = Key::rsa("k1", 2));
        let forged = logout_token(&op, good.clone());
        op.set(|state| state.signer = Key::rsa("k1", 3));
        assert_eq!(backchannel(&house, &pool, "Open", &forged).await.status, 400);
        assert_eq!(backchannel(&house, &pool, "Open", "not a token").await.status, 400);
        assert_eq!(backchannel(&house, &pool, "Open", "").await.status, 400);
        assert_eq!(
            backchannel(&house, &pool, "Nobody", &logout_token(&op, good.clone())).await.status,
            404
        );
        assert!(is_known(&mut browser).await);

        let token = logout_token(&op, good);
        assert_eq!(backchannel(&house, &pool, "Open", &token).await.status, 200);
        let mut browser = open_ann(&house, &op, &pool, &client, "ann").await;
        let another = house.another_node(0).await;
        let answer = backchannel(&another, &pool, "Open", &token).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body.contains("received before"), "{}", answer.body);
        assert!(is_known(&mut browser).await);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_are_a_reason_to_try_again_not_to_give_up() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let mut browser = open_ann(&house, &op, &pool, &client, "ann").await;
        house.advance(60_000);
        op.set(|state| {
            let key = Key::rsa("k2", 4);
            state.keys = vec![key.clone()];
            state.signer = key;
        });
        op.does("/jwks", Behaviour::Status(500));
        let token = logout_token(&op, json!({ "sub": "ann", "iat": NOW / 1_000 + 60 }));
        let answer = backchannel(&house, &pool, "Open", &token).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "1"),
            "{}",
            answer.body
        );
        assert!(is_known(&mut browser).await);
        op.does("/jwks", None);
        house.advance(11_000);
        assert_eq!(backchannel(&house, &pool, "Open", &token).await.status, 200);
        assert!(!is_known(&mut browser).await);
    }
}

#[tokio::test]
async fn the_front_channel_ends_the_named_session_alone_and_may_be_framed() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let mut browser = open_ann(&house, &op, &pool, &client, "ann").await;
        let mut bob = open_ann(&house, &op, &pool, &client, "bob").await;
        let iss: String = url::form_urlencoded::byte_serialize(op.url.as_bytes()).collect();
        let path = |query: &str| format!("/federation/Open/frontchannel-logout{query}");
        // The browser's own cookie says nothing, and a name that is not known ends nothing.
        for (query, status) in [
            ("".to_owned(), 400),
            (format!("?iss={iss}"), 400),
            ("?sid=".to_owned(), 400),
            ("?sid=unknown".to_owned(), 200),
            ("?iss=https%3A%2F%2Fother.example.com&sid=sid-ann".to_owned(), 400),
            (format!("?iss={iss}&sid=unknown"), 200),
        ] {
            let answer = browser.get(&path(&query)).await;
            assert_eq!(answer.status, status, "{query} {}", answer.body);
        }
        assert!(is_known(&mut browser).await);
        assert_eq!(house.rows(AUDITED, &pool).await, 0, "what means nobody fills no trail");
        let mut frame = Browser::new(&house, &pool, &client);
        let answer = frame.get(&path(&format!("?iss={iss}&sid=sid-ann"))).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(!answer.headers.contains_key("x-frame-options"));
        assert!(!answer.header("content-security-policy").contains("frame-ancestors"));
        assert!(answer.header("cache-control").contains("no-store"));
        assert!(!is_known(&mut browser).await && is_known(&mut bob).await);
        // Entra ID sends no iss; the address says whose message it is.
        assert_eq!(frame.get(&path("?sid=sid-bob")).await.status, 200);
        assert!(!is_known(&mut bob).await);
        assert_eq!(house.rows(AUDITED, &pool).await, 2);
    }
}
