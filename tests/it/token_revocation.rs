//! Global Token Revocation, outward: what an endpoint is asked, and by whom.

use cenote::pool::target::{Doc, SubjectFormat, TokenRevocationDoc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use crate::house::{House, NOW, houses_alone};
use crate::receiver::{Does, Receiver, rows, sign_out, states, target, works};

async fn endpoint(
    house: &House,
    pool: &str,
    url: &str,
    subject: SubjectFormat,
    audience: Option<&str>,
) {
    let doc = TokenRevocationDoc {
        url: url.to_owned(),
        description: String::new(),
        enabled: true,
        subject,
        audience: audience.map(str::to_owned),
    };
    target(house, pool, Doc::TokenRevocation(doc), None).await;
}

/// The claims of the request's token, by the pool's published keys.
async fn claims(house: &House, pool: &str, token: &str, audience: &str) -> Value {
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("global-token-revocation+jwt"));
    let request = axum::http::Request::get(format!("/{pool}/.well-known/jwks.json"))
        .header("host", "localhost:9229")
        .body(axum::body::Body::empty())
        .unwrap();
    let keys = house.send(request).await.json();
    let key = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == header.kid.clone().unwrap())
        .unwrap();
    let text = |name: &str| key[name].as_str().unwrap();
    let key = DecodingKey::from_rsa_components(text("n"), text("e")).unwrap();
    let mut rules = Validation::new(Algorithm::RS256);
    rules.set_audience(&[audience]);
    // The house's time is its own.
    rules.validate_exp = false;
    jsonwebtoken::decode::<Value>(token, &key, &rules).unwrap().claims
}

#[tokio::test]
async fn an_endpoint_is_asked_for_a_user_with_a_token_that_is_for_it_alone() {
    for house in houses_alone("gtr").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        let sub = house.user(&pool, "ann").await;
        endpoint(&house, &pool, &receiver.url, SubjectFormat::IssSub, None).await;
        receiver.does(Does::Status(503));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        receiver.does(Does::Status(204));
        house.advance(1_000);
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done"], "{}", house.url);
        let issuer = format!("http://localhost:9229/{pool}");
        let told = receiver.told();
        let mut ids = Vec::new();
        for told in &told {
            assert_eq!(
                told.json(),
                json!({ "sub_id": { "format": "iss_sub", "iss": issuer, "sub": sub } })
            );
            let token = told.header("authorization").strip_prefix("Bearer ").unwrap();
            let claims = claims(&house, &pool, token, &receiver.url).await;
            assert_eq!(
                (claims["iss"].as_str(), claims["sub"].as_str()),
                (Some(issuer.as_str()), Some(issuer.as_str()))
            );
            assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 120);
            assert!(claims["iat"].as_i64().unwrap() >= NOW / 1_000);
            ids.push(claims["jti"].clone());
            // No API takes it for an access or ID token.
            let refused = house.refused("GetUser", json!({ "AccessToken": token })).await;
            assert_eq!(refused.0, "NotAuthorizedException");
        }
        assert!(ids.len() == 2 && ids[0] != ids[1]);
    }
}

#[tokio::test]
async fn by_email_only_who_has_a_verified_one_can_be_named() {
    for house in houses_alone("gtr_email").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        endpoint(&house, &pool, &receiver.url, SubjectFormat::Email, Some("https://as.example/"))
            .await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(
            receiver.bodies(),
            [json!({ "sub_id": { "format": "email", "email": "ann@example.com" } })]
        );
        let token = receiver.told()[0].header("authorization")[7..].to_owned();
        claims(&house, &pool, &token, "https://as.example/").await;
        // The end of one session is not the end of everything that a user has.
        let tokens = house.signs_in(&client, "ann").await;
        house
            .ok("RevokeToken", json!({ "ClientId": client, "Token": tokens["RefreshToken"] }))
            .await;
        works(&house).await;
        assert_eq!(rows(&house, &pool).await.len(), 1);
        house.advance(1);
        house.ok("AdminDeleteUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        works(&house).await;
        let row = rows(&house, &pool).await.remove(1);
        assert_eq!(row.state.as_str(), "not_possible", "{}", house.url);
        assert!(row.detail.contains("no verified email address"), "{}", row.detail);
        assert_eq!(receiver.told().len(), 1);
    }
}

#[tokio::test]
async fn who_is_unknown_there_has_nothing_to_end_there_and_raises_no_alarm() {
    for house in houses_alone("gtr_unknown").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        endpoint(&house, &pool, &receiver.url, SubjectFormat::IssSub, None).await;
        receiver.does(Does::Says(404, "no such user"));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let row = rows(&house, &pool).await.remove(0);
        assert_eq!((row.state.as_str(), row.status), ("not_possible", Some(404)), "{}", house.url);
        assert!(row.detail.contains("it knows no such user"), "{}", row.detail);
        let alarms = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'DeadLetter'";
        assert_eq!(house.rows(alarms, &pool).await, 0);
        // It is not sent again when the next one is taken. Whoever cannot end it says so by another status.
        for (status, state) in [(204, "done"), (422, "dead")] {
            receiver.does(Does::Status(status));
            house.advance(1_000);
            sign_out(&house, &pool, "ann").await;
            works(&house).await;
            assert_eq!(rows(&house, &pool).await.last().unwrap().state.as_str(), state);
        }
        assert_eq!(states(&house, &pool).await, ["not_possible", "done", "dead"]);
        assert_eq!((receiver.told().len(), house.rows(alarms, &pool).await), (3, 1));
    }
}
