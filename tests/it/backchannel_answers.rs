//! What a receiver of logout tokens answers, and a client that is changed or deleted before it is told.

use serde_json::json;

use crate::backchannel::sid;
use crate::backchannel_told::{given, sign_out};
use crate::house::houses_apart as houses;
use crate::provider::{Behaviour, Provider};
use crate::relying_party::{RelyingParty, deliver, deliveries_of, extend, states};

#[tokio::test]
async fn each_attempt_brings_a_new_token_and_a_receiver_that_comes_back_is_told_what_it_missed() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        rp.answers(503);
        let tokens = house.signs_in(&rp.client, "ann").await;
        sign_out(&house, &pool).await;
        assert_eq!(states(&house, &pool).await, [("pending", Some(503))]);
        for _ in 0..4 {
            house.advance(6_000);
            deliver(&house, &pool).await;
        }
        house.advance(590_000);
        rp.answers(200);
        deliver(&house, &pool).await;
        assert_eq!(states(&house, &pool).await, [("done", Some(200))]);
        // `told` sees to it that each has a `jti` of its own.
        let told = rp.told(&house, &pool).await;
        assert!(told.len() >= 3, "{}", told.len());
        assert!(told.iter().all(|claims| claims["sid"] == sid(&tokens).as_str()));
        let (first, last) = (&told[0], told.last().unwrap());
        assert!(last["iat"].as_i64().unwrap() >= first["iat"].as_i64().unwrap() + 600);
        assert_eq!(first["txn"], last["txn"]);
    }
}

#[tokio::test]
async fn what_a_receiver_answers_says_what_becomes_of_it() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let cases = [(200, "done"), (204, "done"), (400, "dead"), (404, "dead"), (501, "pending")];
        for (status, state) in cases {
            rp.answers(status);
            // Ids sort by the millisecond.
            house.advance(1_000);
            house.signs_in(&rp.client, "ann").await;
            sign_out(&house, &pool).await;
            let last = states(&house, &pool).await.pop().unwrap();
            assert_eq!(last, (state, Some(i64::from(status))));
        }
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_says_so() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let other = Provider::start().await;
        rp.provider.does("/backchannel-logout", Behaviour::Redirect(format!("{}/trap", other.url)));
        house.signs_in(&rp.client, "ann").await;
        sign_out(&house, &pool).await;
        let delivery = deliveries_of(&house, &pool).await.pop().unwrap();
        assert_eq!(delivery.state.as_str(), "dead");
        assert!(delivery.detail.contains("give the final address"), "{}", delivery.detail);
        assert_eq!(other.asked("/trap").len(), 0);
    }
}

#[tokio::test]
async fn of_a_deleted_client_the_receipt_says_that_it_could_not_be_told() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        house.signs_in(&rp.client, "ann").await;
        let delete = json!({ "UserPoolId": pool, "ClientId": rp.client });
        house.ok("DeleteUserPoolClient", delete).await;
        deliver(&house, &pool).await;
        assert_eq!(states(&house, &pool).await, [("not_possible", None)]);
        sign_out(&house, &pool).await;
        assert_eq!((states(&house, &pool).await.len(), rp.asked().len()), (1, 0));
    }
}

#[tokio::test]
async fn a_client_that_takes_its_address_away_before_it_is_told_is_a_dead_letter() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        rp.answers(503);
        house.signs_in(&rp.client, "ann").await;
        sign_out(&house, &pool).await;
        extend(&house, &rp.client, json!({})).await;
        house.advance(10_000);
        deliver(&house, &pool).await;
        let delivery = deliveries_of(&house, &pool).await.pop().unwrap();
        assert_eq!(delivery.state.as_str(), "dead");
        assert!(delivery.detail.contains("BackchannelLogoutUri"), "{}", delivery.detail);
    }
}

#[tokio::test]
async fn a_client_that_changes_its_address_before_it_is_told_is_told_there() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        rp.answers(503);
        house.signs_in(&rp.client, "ann").await;
        sign_out(&house, &pool).await;
        let before = rp.asked().len();
        let moved = RelyingParty::of(&house, &rp.client, json!({})).await;
        rp.answers(200);
        house.advance(10_000);
        deliver(&house, &pool).await;
        assert_eq!(states(&house, &pool).await, [("done", Some(200))], "{}", house.url);
        assert_eq!((rp.asked().len(), moved.told(&house, &pool).await.len()), (before, 1));
    }
}

#[tokio::test]
async fn a_client_that_is_deleted_before_it_is_told_is_a_dead_letter_that_says_so() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        rp.answers(503);
        house.signs_in(&rp.client, "ann").await;
        sign_out(&house, &pool).await;
        let delete = json!({ "UserPoolId": pool, "ClientId": rp.client });
        house.ok("DeleteUserPoolClient", delete).await;
        let before = rp.asked().len();
        house.advance(10_000);
        deliver(&house, &pool).await;
        let delivery = deliveries_of(&house, &pool).await.remove(0);
        assert_eq!(delivery.state.as_str(), "dead", "{}", house.url);
        assert!(delivery.detail.contains("was deleted"), "{}", delivery.detail);
        assert_eq!(rp.asked().len(), before);
    }
}
