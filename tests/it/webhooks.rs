//! Webhooks: what they are told, how it is signed, and that each end of something is told.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cenote::ambient::{DAY, HOUR};
use cenote::pool::target::{Doc, WebhookSecret};
use serde_json::json;

use crate::browser::{BYE, Browser, code_client};
use crate::house::{NOW, PASSWORD, houses_alone};
use crate::receiver::{
    Receiver, SECRET, Told, change, delete, rows, sign_out, states, webhook, works,
};

/// Verifies as the specification of Standard Webhooks tells receivers to.
fn verified(told: &Told, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let (id, at) = (told.header("webhook-id"), told.header("webhook-timestamp"));
    let signed = format!("{id}.{at}.{}", told.text);
    told.header("webhook-signature").split(' ').any(|signature| {
        let tag = BASE64_STANDARD.decode(signature.strip_prefix("v1,").unwrap()).unwrap();
        hmac::verify(&key, signed.as_bytes(), &tag).is_ok()
    })
}

#[tokio::test]
async fn a_sign_out_is_told_with_what_ended_and_a_signature() {
    for house in houses_alone("webhook").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        let sub = house.user(&pool, "ann").await;
        let id = webhook(&house, &pool, &receiver.url).await;
        let user = json!({ "UserPoolId": pool, "Username": "ann" });
        let answer = house.call("AdminUserGlobalSignOut", user).await;
        works(&house).await;

        let told = receiver.told();
        assert_eq!(told.len(), 1, "{}", house.url);
        assert!(verified(&told[0], SECRET));
        assert_eq!(told[0].header("content-type"), "application/json");
        assert_eq!(told[0].header("webhook-timestamp"), (NOW / 1_000).to_string());
        let row = rows(&house, &pool).await.remove(0);
        assert_eq!(told[0].header("webhook-id"), row.id);
        let mut body = told[0].json();
        // Whatever was born before; the moment itself is the user's clock.
        assert!(body["not_before"].as_str().unwrap().starts_with("2026-09-"));
        body["not_before"] = json!(null);
        assert_eq!(
            body,
            json!({ "id": row.id, "type": "sign_out", "pool_id": pool, "signout_id": answer.header("x-cenote-signout"),
                "record": 0, "kind": "U", "sub": sub, "session": null, "client_id": null, "key_id": null,
                "reason": body["reason"], "initiator": "admin", "committed_at": "2026-09-21T14:13:20.000Z", "not_before": null })
        );
        assert_eq!(
            (row.target.as_str(), row.state.as_str(), row.status),
            (id.as_str(), "done", Some(200))
        );
        assert_eq!((row.attempts, row.first_ms, row.done_ms), (1, Some(NOW), Some(NOW)));
        // Another sign-out of another moment is another delivery; nothing is told twice.
        house.advance(5);
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        works(&house).await;
        assert_eq!(receiver.told().len(), 2);
    }
}

#[tokio::test]
async fn every_kind_of_end_is_told() {
    for house in houses_alone("webhook_kinds").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, code_client()).await;
        let plain = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        webhook(&house, &pool, &receiver.url).await;
        let kinds = async || {
            works(&house).await;
            let told: Vec<String> = receiver
                .bodies()
                .iter()
                .map(|body| {
                    format!("{} {}", body["kind"].as_str().unwrap(), body["session"].is_string())
                })
                .collect();
            receiver.forget();
            told
        };
        let tokens = house.signs_in(&plain, "ann").await;
        house
            .ok("RevokeToken", json!({ "ClientId": plain, "Token": tokens["RefreshToken"] }))
            .await;
        assert_eq!(kinds().await, ["S true"], "{}", house.url);
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let bye: String = url::form_urlencoded::byte_serialize(BYE.as_bytes()).collect();
        browser.get(&format!("/logout?client_id={client}&logout_uri={bye}")).await;
        assert_eq!(kinds().await, ["X true"]);
        house.ok("AdminDeleteUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(kinds().await, ["U false"]);
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": plain })).await;
        assert_eq!(kinds().await, ["C false"]);
    }
}

#[tokio::test]
async fn a_pool_that_is_deleted_tells_its_webhooks_even_later_and_leaves_none_behind() {
    for house in houses_alone("webhook_pool").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        webhook(&house, &pool, &receiver.url).await;
        receiver.does(crate::receiver::Does::Status(503));
        sign_out(&house, &pool, "ann").await;
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        // The grave may be emptied before anybody was told.
        cenote::store::purge::run(&house.app.db, NOW).await.unwrap();
        works(&house).await;
        let targets = "SELECT COUNT(*) FROM targets WHERE pool_id = ?1";
        cenote::store::purge::run(&house.app.db, NOW).await.unwrap();
        assert_eq!(house.rows(targets, &pool).await, 1, "{}", house.url);
        receiver.does(crate::receiver::Does::Status(200));
        receiver.forget();
        house.advance(10_000);
        works(&house).await;
        let bodies = receiver.bodies();
        let kinds: Vec<&str> = bodies.iter().map(|body| body["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds.iter().filter(|kind| **kind == "U").count(), 1, "{kinds:?}");
        assert_eq!(kinds.iter().filter(|kind| **kind == "P").count(), 1, "{kinds:?}");
        assert!(receiver.told().iter().all(|told| verified(told, SECRET)));
        cenote::store::purge::run(&house.app.db, NOW).await.unwrap();
        assert_eq!(house.rows(targets, &pool).await, 0);
    }
}

#[tokio::test]
async fn one_that_is_not_enabled_is_told_nothing_and_one_that_was_deleted_says_so() {
    for house in houses_alone("webhook_off").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let id = webhook(&house, &pool, &receiver.url).await;
        let enabled = |to: bool| {
            move |target: &mut cenote::pool::Target| {
                if let Doc::Webhook(doc) = &mut target.doc {
                    doc.enabled = to;
                }
            }
        };
        change(&house, &pool, &id, enabled(false)).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert!(rows(&house, &pool).await.is_empty() && receiver.told().is_empty());
        // What waits when it is switched off is a dead letter, which can be replayed.
        change(&house, &pool, &id, enabled(true)).await;
        receiver.does(crate::receiver::Does::Status(503));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        change(&house, &pool, &id, enabled(false)).await;
        house.advance(10_000);
        works(&house).await;
        assert!(rows(&house, &pool).await[0].detail.contains("not enabled"));
        delete(&house, &pool, &id).await;
        let mut batch = cenote::store::Batch::new();
        let row = rows(&house, &pool).await.remove(0);
        let missing = cenote::error::Error::conflict();
        cenote::store::deliveries::replay(
            &mut batch,
            &pool,
            &row.id,
            house.app.clock.now_ms(),
            missing,
        );
        house.app.db.commit(batch).await.unwrap();
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["dead"]);
        assert_eq!(rows(&house, &pool).await[0].detail, "The webhook was deleted.");
    }
}

#[tokio::test]
async fn a_secret_that_was_replaced_signs_for_another_day() {
    for house in houses_alone("webhook_rotated").await {
        let receiver = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let id = webhook(&house, &pool, &receiver.url).await;
        let cx = cenote::cx::Cx::system(house.app.clone());
        let next = cenote::targets::new_webhook_secret(cx.rng());
        let rotated = WebhookSecret::new(SECRET.to_owned()).rotated(next.clone(), NOW + DAY);
        let sealed = cenote::targets::seal(&cx, &pool, &id, &rotated).unwrap();
        change(&house, &pool, &id, |target| target.secret = Some(sealed)).await;
        for (later, old) in [(0, true), (25 * HOUR, false)] {
            house.advance(later);
            receiver.forget();
            sign_out(&house, &pool, "ann").await;
            works(&house).await;
            let told = receiver.told().remove(0);
            assert_eq!((verified(&told, &next), verified(&told, SECRET)), (true, old));
        }
        // Sealed for its own row: elsewhere it does not open, and nothing goes out unsigned.
        let other = webhook(&house, &pool, &receiver.url).await;
        let stolen =
            cenote::store::targets::find(&house.app.db, &pool, &id).await.unwrap().unwrap();
        change(&house, &pool, &other, |target| target.secret = stolen.secret).await;
        receiver.forget();
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(receiver.told().len(), 1);
        let rows = rows(&house, &pool).await;
        let dead = rows.iter().find(|row| row.target == other).unwrap();
        assert_eq!(
            (dead.state.as_str(), dead.detail.as_str()),
            ("dead", "An error of this server; its log says which.")
        );
    }
}
