//! The signature of a token is checked once. Nothing else about it is ever taken from memory.

use cenote::ambient::HOUR;
use cenote::params;
use cenote::store::{Batch, Rank, pools};
use serde_json::{Value, json};

use crate::house::{House, houses, refusal};

/// A user's access token that this server has already been shown.
async fn shown(house: &House) -> (String, Value) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, json!({})).await;
    house.user(&pool, "ann").await;
    let input = json!({ "AccessToken": house.signs_in(&client, "ann").await["AccessToken"] });
    house.ok("GetUser", input.clone()).await;
    (pool, input)
}

#[tokio::test]
async fn a_token_that_was_seen_is_refused_when_its_key_is_taken_away() {
    for house in houses().await {
        let (pool, input) = shown(&house).await;
        let mut batch = Batch::new();
        pools::touch(&mut batch, &pool);
        let sql = "UPDATE signing_keys SET retire_ms = ?2 WHERE pool_id = ?1";
        batch.any(Rank::Job, sql, params![pool.as_str(), crate::house::NOW]);
        house.app.db.commit(batch).await.unwrap();
        let refused = house.refused("GetUser", input).await;
        assert_eq!(refused, refusal("NotAuthorized", "Invalid Access Token"));
    }
}

#[tokio::test]
async fn a_token_that_was_seen_expires() {
    for house in houses().await {
        let (_, input) = shown(&house).await;
        house.advance(HOUR);
        let refused = house.refused("GetUser", input).await;
        assert_eq!(refused, refusal("NotAuthorized", "Access Token has expired"));
    }
}

#[tokio::test]
async fn a_token_that_was_seen_dies_with_a_sign_out_on_any_node() {
    for house in houses().await {
        let (_, input) = shown(&house).await;
        let other = house.another_node(0).await;
        other.ok("GetUser", input.clone()).await;
        other.ok("GlobalSignOut", input.clone()).await;
        for node in [&house, &other] {
            let refused = node.refused("GetUser", input.clone()).await;
            assert_eq!(refused, refusal("NotAuthorized", "Access Token has been revoked"));
        }
    }
}

#[tokio::test]
async fn one_changed_letter_makes_a_token_that_was_never_seen() {
    for house in houses().await {
        let (_, input) = shown(&house).await;
        let token = input["AccessToken"].as_str().unwrap();
        let (signed, signature) = token.rsplit_once('.').unwrap();
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{signed}.{first}{}", &signature[1..]);
        let refused = house.refused("GetUser", json!({ "AccessToken": forged })).await;
        let message = "Could not verify signature for Access Token";
        assert_eq!(refused, refusal("NotAuthorized", message));
    }
}
