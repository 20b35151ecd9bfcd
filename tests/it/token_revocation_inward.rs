//! Global Token Revocation of a provider: what it ends, and what it must bring along.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::house::{NOW, houses};
use crate::inward_says::{
    another_party, arrives, bearer, by_sub, endpoint, given_two, is_alive, is_known, revokes,
    revokes_as, typed,
};
use crate::provider::{Behaviour, CLIENT_ID, Key, Provider};
use crate::upstream_sign_out::given_openid;

#[tokio::test]
async fn a_provider_revokes_all_of_a_person_by_each_of_her_names() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let update = json!({ "UserPoolId": pool, "ProviderName": "Open", "AttributeMapping": { "email": "email" } });
        house.ok("UpdateIdentityProvider", update).await;
        for body in [
            by_sub(&op, "ann"),
            json!({ "sub_id": { "format": "opaque", "id": "ann" } }),
            json!({ "sub_id": { "format": "email", "email": "ann@example.com" } }),
            json!({ "subject": { "format": "email", "email": "ann@example.com" } }),
        ] {
            let (mut here, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut there, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut bob, _) = arrives(&house, &op, (&pool, &client, "Open"), "bob").await;
            let answer = revokes(&house, &pool, &bearer(&op, &pool, json!({})), &body).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""), "{body}");
            assert!(answer.headers.contains_key("x-cenote-signout"));
            assert!(!is_known(&mut here).await && !is_known(&mut there).await, "{body}");
            assert!(!is_alive(&house, &tokens).await && is_known(&mut bob).await, "{body}");
        }
        let records = cenote::store::records::all(&house.app.db, &pool).await.unwrap();
        assert!(records.iter().all(|record| record.reason == "global_token_revocation"));
        // Known, with nothing left to end; and unknown.
        let answer =
            revokes(&house, &pool, &bearer(&op, &pool, json!({})), &by_sub(&op, "ann")).await;
        assert_eq!(answer.status, 204);
        for body in [
            by_sub(&op, "carol"),
            json!({ "sub_id": { "format": "email", "email": "carol@example.com" } }),
            json!({ "sub_id": { "format": "iss_sub", "iss": "https://other.example.com", "sub": "ann" } }),
        ] {
            let answer = revokes(&house, &pool, &bearer(&op, &pool, json!({})), &body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["error"].as_str()),
                (404, Some("not_found")),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn a_revocation_without_its_marks_is_refused_and_ends_nothing() {
    for house in houses().await {
        let (op, evil) = (Provider::start().await, another_party().await);
        let (pool, client) = given_two(&house, &op, &evil).await;
        let (elsewhere, _) = given_openid(&house, &op, json!({})).await;
        let stranger = another_party().await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let now = NOW / 1_000;
        let good = bearer(&op, &pool, json!({}));
        op.set(|state| state.signer = Key::rsa("k1", 2));
        let forged = bearer(&op, &pool, json!({}));
        op.set(|state| state.signer = Key::rsa("k1", 3));
        let claims = json!({ "iss": op.url, "aud": endpoint(&pool), "iat": now, "exp": now + 300, "jti": "j" });
        for (token, words) in [
            (String::new(), "it is missing"),
            ("nonsense".to_owned(), "three parts"),
            (forged, "signature does not verify"),
            (bearer(&stranger, &pool, json!({})), "not the issuer of a provider"),
            (bearer(&op, &pool, json!({ "iss": null })), "it has no iss"),
            (bearer(&evil, &pool, json!({ "iss": op.url })), "signature does not verify"),
            (bearer(&op, &pool, json!({ "aud": CLIENT_ID })), "its aud is not"),
            (bearer(&op, &elsewhere, json!({})), "its aud is not"),
            (bearer(&op, &pool, json!({ "exp": now - 61 })), "it has expired"),
            (bearer(&op, &pool, json!({ "exp": null })), "it has no exp"),
            (bearer(&op, &pool, json!({ "exp": now + 2 * 86_400 })), "more than a day away"),
            (bearer(&op, &pool, json!({ "iat": now + 61 })), "in the future"),
            (bearer(&op, &pool, json!({ "jti": null })), "its jti is missing"),
            (typed(&op, json!("secevent+jwt"), &claims), "its typ is not"),
            (typed(&op, json!("logout+jwt"), &claims), "its typ is not"),
        ] {
            let answer = revokes(&house, &pool, &token, &by_sub(&op, "ann")).await;
            assert_eq!(answer.status, 401, "{words} {}", answer.body);
            assert_eq!(answer.json()["error"], "invalid_token");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{words}");
            assert!(answer.body.contains(words), "{words}: {}", answer.body);
        }
        for (body, words) in [
            ("".to_owned(), "not a JSON object"),
            ("[]".to_owned(), "no member sub_id"),
            ("{}".to_owned(), "no member sub_id"),
            (json!({ "sub_id": "ann" }).to_string(), "no object"),
            (json!({ "sub_id": { "format": "opaque" } }).to_string(), "has no id"),
            (
                json!({ "sub_id": { "format": "phone_number", "phone_number": "+1" } }).to_string(),
                "none of iss_sub",
            ),
            (
                json!({ "sub_id": { "format": "email", "email": "ann" } }).to_string(),
                "has no email",
            ),
        ] {
            let answer = revokes_as(&house, &pool, &good, body.clone(), "application/json").await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["error"].as_str()),
                (400, Some("invalid_request")),
                "{body}"
            );
            assert!(answer.body.contains(words), "{body}: {}", answer.body);
        }
        let form =
            revokes_as(&house, &pool, &good, by_sub(&op, "ann").to_string(), "text/plain").await;
        assert_eq!(form.status, 400);
        assert_eq!(
            revokes_as(&house, &pool, &good, "x".repeat(20_000), "application/json").await.status,
            413
        );
        // The other provider, for a person of the same name, and one who is not its own.
        for body in [
            by_sub(&evil, "ann"),
            by_sub(&op, "ann"),
            json!({ "sub_id": { "format": "opaque", "id": "ann" } }),
        ] {
            assert_eq!(
                revokes(&house, &pool, &bearer(&evil, &pool, json!({})), &body).await.status,
                404,
                "{body}"
            );
        }
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        // Taken once.
        assert_eq!(revokes(&house, &pool, &good, &by_sub(&op, "ann")).await.status, 204);
        let (mut after, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let another = house.another_node(0).await;
        let again = revokes(&another, &pool, &good, &by_sub(&op, "ann")).await;
        assert_eq!(again.status, 401);
        assert!(again.body.contains("received before"), "{}", again.body);
        assert!(is_known(&mut after).await);
        // Whoever cannot be asked for keys now is asked again.
        house.advance(60_000);
        op.set(|state| state.signer = Key::rsa("k9", 4));
        op.does("/jwks", Behaviour::Status(500));
        let away =
            revokes(&house, &pool, &bearer(&op, &pool, json!({})), &by_sub(&op, "ann")).await;
        assert_eq!((away.status.as_u16(), away.header("retry-after")), (503, "1"), "{}", away.body);
    }
}

#[tokio::test]
async fn one_party_under_two_names_is_reached_under_both() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_two(&house, &op, &op).await;
        let (mut one, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let (mut two, _) = arrives(&house, &op, (&pool, &client, "Other"), "ann").await;
        let answer =
            revokes(&house, &pool, &bearer(&op, &pool, json!({})), &by_sub(&op, "ann")).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        assert!(!is_known(&mut one).await && !is_known(&mut two).await);
        let document = Request::get(format!("/{pool}/.well-known/openid-configuration"))
            .header("host", "localhost:9230")
            .body(Body::empty())
            .unwrap();
        let said = house.send(document).await.json();
        assert!(
            said["global_token_revocation_endpoint"]
                .as_str()
                .unwrap()
                .ends_with("/global-token-revocation")
        );
    }
}
