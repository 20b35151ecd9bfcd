//! Each mark without which a provider's security event is not believed, and that one is good once.

use serde_json::{Value, json};

use crate::house::{Answer, NOW, houses, merge};
use crate::inward_says::{
    AUDITED, SESSION_REVOKED, another_party, arrives, claims, given_two, is_alive, is_known,
    pushes, pushes_as, saying, set, typed,
};
use crate::provider::{Behaviour, Key, Provider};
use crate::upstream_sign_out::given_openid;

fn refused(answer: &Answer, err: &str, words: &str) {
    assert_eq!(answer.status, 400, "{words}: {}", answer.body);
    assert_eq!(answer.json()["err"], err, "{words}: {}", answer.body);
    let said = answer.json()["description"].as_str().unwrap().to_owned();
    assert!(said.contains(words), "{words}: {said}");
    assert!(answer.header("cache-control").contains("no-store"));
    assert!(answer.header("content-type").starts_with("application/json"));
}

#[tokio::test]
async fn each_mark_of_an_event_is_checked_and_its_lack_told_in_words() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let now = NOW / 1_000;
        for (more, err, words) in [
            (
                json!({ "iss": "https://other.example.com" }),
                "invalid_issuer",
                "its iss is not the issuer",
            ),
            (json!({ "iss": null }), "invalid_issuer", "its iss is not the issuer"),
            (json!({ "aud": "another app" }), "invalid_audience", "its aud is not the client_id"),
            (json!({ "aud": null }), "invalid_audience", "its aud is not the client_id"),
            (json!({ "aud": [] }), "invalid_audience", "its aud is not the client_id"),
            (json!({ "jti": null }), "invalid_request", "its jti is missing"),
            (json!({ "iat": null }), "invalid_request", "it has no iat"),
            (json!({ "iat": now + 61 }), "invalid_request", "its iat is in the future"),
            (json!({ "iat": now - 31 * 86_400 }), "invalid_request", "older than 30 days"),
            (json!({ "exp": now - 61 }), "invalid_request", "it has expired"),
            (json!({ "events": null }), "invalid_request", "its events are not an object"),
            (json!({ "sub_id": null }), "invalid_request", "sub_id is missing"),
            (json!({ "sub_id": { "sub": null } }), "invalid_request", "its subject has no sub"),
            (
                json!({ "sub_id": { "format": null } }),
                "invalid_request",
                "its subject has no format",
            ),
        ] {
            refused(&pushes(&house, &pool, "Open", &set(&op, more)).await, err, words);
        }
        for events in [json!({}), json!([SESSION_REVOKED]), json!("x")] {
            let token = saying(&op, events, json!({}));
            refused(
                &pushes(&house, &pool, "Open", &token).await,
                "invalid_request",
                "its events are not",
            );
        }
        let token = saying(&op, json!({ SESSION_REVOKED: true }), json!({}));
        refused(&pushes(&house, &pool, "Open", &token).await, "invalid_request", "is no object");
        // Another kind of token of the same issuer for the same audience.
        for typ in [json!("JWT"), json!(null), json!("logout+jwt"), json!("at+jwt"), json!("")] {
            let token = typed(&op, typ, &claims(&op, json!({})));
            refused(
                &pushes(&house, &pool, "Open", &token).await,
                "invalid_request",
                "its typ is not secevent+jwt",
            );
        }
        let good = set(&op, json!({}));
        for (text, words) in [
            (String::new(), "three parts"),
            ("not a token".to_owned(), "three parts"),
            (good[..good.len() - 5].replace('.', ""), "three parts"),
            (format!("{}.", good.rsplit_once('.').unwrap().0), "signature does not verify"),
        ] {
            let answer = pushes(&house, &pool, "Open", &text).await;
            let err = if words.starts_with("sig") { "invalid_key" } else { "invalid_request" };
            refused(&answer, err, words);
        }
        // Unsigned, and signed with what everybody can know.
        let unsigned = {
            let part = |value: Value| {
                base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, value.to_string())
            };
            let header = json!({ "alg": "none", "typ": "secevent+jwt" });
            format!("{}.{}.", part(header), part(claims(&op, json!({}))))
        };
        refused(
            &pushes(&house, &pool, "Open", &unsigned).await,
            "invalid_request",
            "algorithm is not accepted",
        );
        for (signer, words) in [
            (Key::rsa("k1", 2), "signature does not verify"),
            (Key::rsa("unknown", 2), "no key of the provider's key set"),
            (Key::secret("k1", crate::provider::CLIENT_SECRET.as_bytes()), "HMAC"),
            // With what is public of the provider's own key.
            (Key::secret("k1", Key::rsa("k1", 3).jwk.to_string().as_bytes()), "HMAC"),
        ] {
            op.set(|state| state.signer = signer);
            let forged = set(&op, json!({}));
            op.set(|state| state.signer = Key::rsa("k1", 3));
            refused(&pushes(&house, &pool, "Open", &forged).await, "invalid_key", words);
        }
        let form =
            pushes_as(&house, &pool, "Open", &good, "application/x-www-form-urlencoded").await;
        refused(&form, "invalid_request", "application/secevent+jwt");
        let huge = pushes(&house, &pool, "Open", &"x".repeat(70_000)).await;
        assert_eq!(
            (huge.status.as_u16(), huge.json()["err"].as_str()),
            (413, Some("invalid_request"))
        );
        assert_eq!(pushes(&house, &pool, "Nobody", &good).await.status, 404);
        assert_eq!(pushes(&house, "us-east-1_nothing", "Open", &good).await.status, 404);
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        assert_eq!(house.rows(AUDITED, &pool).await, 0, "what is not believed fills no trail");
        assert_eq!(pushes(&house, &pool, "Open", &good).await.status, 202, "it was good");
    }
}

#[tokio::test]
async fn an_event_that_comes_again_is_accepted_and_ends_nothing() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut before, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let token = set(&op, json!({}));
        assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
        assert!(!is_known(&mut before).await);
        let (mut after, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let another = house.another_node(0).await;
        for house in [&house, &another] {
            let answer = pushes(house, &pool, "Open", &token).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
            assert!(!answer.headers.contains_key("x-cenote-signout"));
        }
        assert!(is_known(&mut after).await);
        // Nor does one that meant nobody when it came.
        let early = set(&op, json!({ "sub_id": { "sub": "carol" } }));
        assert_eq!(pushes(&house, &pool, "Open", &early).await.status, 202);
        let (mut carol, _) = arrives(&house, &op, (&pool, &client, "Open"), "carol").await;
        assert_eq!(pushes(&house, &pool, "Open", &early).await.status, 202);
        assert!(is_known(&mut carol).await);
    }
}

#[tokio::test]
async fn a_replay_ends_nothing_either_where_an_event_may_mean_several_things() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut before, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        // It may be the name of a person, or of a session.
        let mut claims = claims(&op, json!({}));
        claims["sub_id"] = json!({ "format": "opaque", "id": "ann" });
        let token = typed(&op, json!("secevent+jwt"), &claims);
        assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
        assert!(!is_known(&mut before).await);
        let (mut after, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let answer = pushes(&house, &pool, "Open", &token).await;
        assert_eq!(answer.status, 202);
        assert!(!answer.headers.contains_key("x-cenote-signout"));
        assert!(is_known(&mut after).await && is_alive(&house, &tokens).await, "{}", house.url);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_lose_no_event() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        house.advance(60_000);
        op.set(|state| {
            let key = Key::rsa("k2", 4);
            state.keys = vec![key.clone()];
            state.signer = key;
        });
        op.does("/jwks", Behaviour::Status(500));
        let token = set(&op, json!({}));
        let answer = pushes(&house, &pool, "Open", &token).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "1"),
            "{}",
            answer.body
        );
        assert!(is_known(&mut ann).await);
        op.does("/jwks", None);
        house.advance(11_000);
        assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
        assert!(!is_known(&mut ann).await);
    }
}

#[tokio::test]
async fn a_provider_reaches_nobody_of_another_provider_or_pool() {
    for house in houses().await {
        let (op, evil) = (Provider::start().await, another_party().await);
        let (pool, client) = given_two(&house, &op, &evil).await;
        let (elsewhere, their_client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let (mut far, _) = arrives(&house, &op, (&elsewhere, &their_client, "Open"), "ann").await;
        // What the other one says of its own people with the same names, and of those who are not its own.
        for more in [json!({}), json!({ "sub_id": { "iss": op.url } })] {
            assert_eq!(pushes(&house, &pool, "Other", &set(&evil, more)).await.status, 202);
        }
        let opaque =
            json!({ "sub_id": { "format": "opaque", "id": "sid-ann", "iss": null, "sub": null } });
        assert_eq!(pushes(&house, &pool, "Other", &set(&evil, opaque)).await.status, 202);
        // Its own event at the other's address, and under the other's name.
        refused(
            &pushes(&house, &pool, "Open", &set(&evil, json!({}))).await,
            "invalid_key",
            "signature",
        );
        refused(
            &pushes(&house, &pool, "Open", &set(&evil, json!({ "iss": op.url }))).await,
            "invalid_key",
            "signature",
        );
        refused(
            &pushes(&house, &pool, "Other", &set(&evil, json!({ "iss": op.url }))).await,
            "invalid_issuer",
            "its iss",
        );
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        assert_eq!(pushes(&house, &pool, "Open", &set(&op, json!({}))).await.status, 202);
        assert!(!is_known(&mut ann).await);
        assert!(is_known(&mut far).await, "the same provider in another pool");
    }
}

#[tokio::test]
async fn a_transmitter_of_its_own_sends_in_the_providers_stead() {
    for house in houses().await {
        let (op, ssf) = (Provider::start().await, Provider::start().await);
        ssf.set(|state| {
            let key = Key::p256("events");
            state.keys = vec![key.clone()];
            state.signer = key;
        });
        let details = json!({ "ssf_issuer": "https://events.example.com/tenant",
            "ssf_jwks_uri": format!("{}/jwks", ssf.url), "ssf_audience": "urn:our:receiver" });
        let (pool, client) = given_openid(&house, &op, details).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let theirs = json!({ "iss": "https://events.example.com/tenant", "aud": "urn:our:receiver",
            "sub_id": { "iss": op.url } });
        refused(
            &pushes(&house, &pool, "Open", &set(&op, theirs.clone())).await,
            "invalid_key",
            "no key",
        );
        let mut wrong = theirs.clone();
        wrong["iss"] = json!(op.url);
        refused(
            &pushes(&house, &pool, "Open", &set(&ssf, wrong)).await,
            "invalid_issuer",
            "ssf_issuer",
        );
        assert!(is_known(&mut ann).await);
        let answer = pushes(&house, &pool, "Open", &set(&ssf, theirs)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(!is_known(&mut ann).await);
        for (details, words) in [
            (
                json!({ "ssf_jwks_uri": "ftp://events.example.com/keys" }),
                "ssf_jwks_uri must be an absolute https URL",
            ),
            (
                json!({ "ssf_jwks_uri": "https://169.254.169.254/keys" }),
                "ssf_jwks_uri: 169.254.169.254 is not at a public address",
            ),
            (json!({ "ssf_audience": "two words" }), "ssf_audience must not contain spaces"),
            (json!({ "ssf_issuer": "two words" }), "ssf_issuer must not contain spaces"),
        ] {
            let mut all = op.details();
            merge(&mut all, details);
            let input =
                json!({ "UserPoolId": pool, "ProviderName": "Open", "ProviderDetails": all });
            let (_, said) = house.refused("UpdateIdentityProvider", input).await;
            assert!(said.contains(words), "{said}");
        }
    }
}
