//! The Shared Signals transmitter: what a stream is told of a sign-out, and what is pushed.

use cenote::ambient::{MINUTE, SECOND};
use cenote::cx::Cx;
use cenote::delivery::ssf;
use cenote::store::deliveries::{self, Filter};
use cenote::store::{Batch, Rank, purge};
use serde_json::{Map, Value, json};

use crate::house::{NOW, houses_alone, merge};
use crate::provider::{Behaviour, Provider};
use crate::ssf_receiver::{
    CAEP, PUSH, RISC, SSF, events, expands, given, poll_stream, push_stream, pushed, sign_out,
    states, works,
};

#[tokio::test]
async fn each_end_is_told_in_the_words_of_caep_and_risc() {
    for house in houses_alone("ssf_words").await {
        let (pool, receiver) = given(&house).await;
        let client = house.client(&pool, json!({})).await;
        let stream = receiver.creates(poll_stream()).await;
        let read = async || {
            expands(&house).await;
            let found = receiver.reads(&stream).await;
            let ack: Vec<_> = found.iter().map(|(jti, _)| jti.clone()).collect();
            receiver.polls(&stream, json!({ "ack": ack, "maxEvents": 0 })).await;
            found.into_iter().map(|(_, claims)| claims).collect::<Vec<_>>()
        };
        let tokens = house.signs_in(&client, "ann").await;
        let input = json!({ "ClientId": client, "Token": tokens["RefreshToken"] });
        house.ok("RevokeToken", input).await;
        let found = read().await;
        let parsed = tokens["AccessToken"].as_str().unwrap().split('.').nth(1).unwrap();
        let parsed = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, parsed);
        let parsed: Value = serde_json::from_slice(&parsed.unwrap()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(events(&found[0]), [format!("{CAEP}/session-revoked")]);
        assert_eq!(
            found[0]["sub_id"]["session"],
            json!({ "format": "opaque", "id": parsed["origin_jti"] })
        );
        assert_eq!(found[0]["sub_id"]["user"]["sub"], parsed["sub"]);

        let names = |found: &[Map<String, Value>]| {
            let mut names: Vec<String> = found.iter().flat_map(events).map(str::to_owned).collect();
            names.sort_unstable();
            names
        };
        let user = json!({ "UserPoolId": pool, "Username": "ann" });
        let mut password = user.clone();
        merge(&mut password, json!({ "Password": "Another-horse-9", "Permanent": true }));
        house.ok("AdminSetUserPassword", password).await;
        let found = read().await;
        assert_eq!(
            names(&found),
            [format!("{CAEP}/credential-change"), format!("{CAEP}/session-revoked")]
        );
        let changed = found
            .iter()
            .find_map(|claims| claims["events"].get(format!("{CAEP}/credential-change")))
            .unwrap();
        assert_eq!(
            (&changed["credential_type"], &changed["change_type"]),
            (&json!("password"), &json!("update"))
        );
        house.ok("AdminDisableUser", user.clone()).await;
        let found = read().await;
        assert_eq!(
            names(&found),
            [format!("{CAEP}/session-revoked"), format!("{RISC}/account-disabled")]
        );
        assert_eq!(found[0]["txn"], found[1]["txn"]);
        assert_ne!(found[0]["jti"], found[1]["jti"]);
        let gone = json!({ "UserPoolId": pool, "ClientId": client });
        house.ok("DeleteUserPoolClient", gone).await;
        let found = read().await;
        assert_eq!(names(&found), [format!("{CAEP}/session-revoked")]);
        let application = json!({ "format": "opaque", "id": client });
        assert_eq!(found[0]["sub_id"], json!({ "format": "complex", "application": application }));
        house.ok("AdminDeleteUser", user).await;
        assert_eq!(
            names(&read().await),
            [format!("{CAEP}/session-revoked"), format!("{RISC}/account-purged")]
        );
    }
}

#[tokio::test]
async fn an_event_that_was_not_taken_is_pushed_again_under_the_same_jti() {
    for house in houses_alone("ssf_push").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        let stream = receiver
            .creates(json!({ "delivery": { "method": PUSH, "endpoint_url": format!("{}/events", there.url),
                "authorization_header": "Bearer s3cret" } }))
            .await;
        assert!(!stream.to_string().contains("s3cret"), "{stream}");
        there.does("/events", Behaviour::Status(503));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        house.advance(10 * SECOND);
        works(&house).await;
        there.does("/events", Behaviour::Status(202));
        house.advance(10 * SECOND);
        works(&house).await;
        let told = there.asked("/events");
        assert!(told.len() >= 3, "{}", told.len());
        assert!(told.iter().all(|asked| asked.body == told[0].body), "to the letter");
        assert_eq!(told[0].headers["content-type"], "application/secevent+jwt");
        assert_eq!(told[0].headers["accept"], "application/json");
        assert_eq!(told[0].headers["authorization"], "Bearer s3cret");
        let claims = pushed(&house, &pool, &told[0]).await;
        assert_eq!(events(&claims), [format!("{CAEP}/session-revoked")]);
        assert_eq!(states(&house, &pool).await, ["done"]);
        // 400 is the receiver's last word.
        there.does("/events", Behaviour::Status(400));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done", "dead"]);
        // A secret is for the address that it was given with.
        let moved = json!({ "stream_id": stream["stream_id"],
            "delivery": { "method": PUSH, "endpoint_url": format!("{}/elsewhere", there.url) } });
        assert_eq!(receiver.asks("PATCH", "/ssf/streams", moved).await.status, 200);
        there.does("/elsewhere", Behaviour::Status(202));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let told = there.asked("/elsewhere");
        assert!(
            !told.is_empty()
                && told.iter().all(|asked| !asked.headers.contains_key("authorization"))
        );
    }
}

#[tokio::test]
async fn a_stream_of_another_pool_is_told_nothing() {
    for house in houses_alone("ssf_pools").await {
        let (pool, receiver) = given(&house).await;
        let (elsewhere, far) = given(&house).await;
        let (here, there) =
            (receiver.creates(poll_stream()).await, far.creates(poll_stream()).await);
        sign_out(&house, &elsewhere, "ann").await;
        expands(&house).await;
        assert_eq!(receiver.reads(&here).await, []);
        assert_eq!(far.reads(&there).await.len(), 1);
        assert_eq!(states(&house, &pool).await, [""; 0]);
    }
}

#[tokio::test]
async fn what_happens_while_a_stream_is_paused_is_told_when_it_goes_on() {
    for house in houses_alone("ssf_pause").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(202));
        let push = push_stream(&format!("{}/events", there.url));
        let (pushed, polled) =
            (receiver.creates(push).await, receiver.creates(poll_stream()).await);
        let set = async |stream: &Value, status: &str| {
            let body =
                json!({ "stream_id": stream["stream_id"], "status": status, "reason": "at night" });
            let answer = receiver.asks("POST", "/ssf/status", body).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.json()["status"], status);
            let path = format!("/ssf/status?stream_id={}", stream["stream_id"].as_str().unwrap());
            assert_eq!(receiver.asks("GET", &path, json!({})).await.json()["reason"], "at night");
        };
        for stream in [&pushed, &polled] {
            set(stream, "paused").await;
        }
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(there.asked("/events").len(), 0);
        assert_eq!(receiver.reads(&polled).await, []);
        assert_eq!(states(&house, &pool).await, ["held", "held"]);
        for stream in [&pushed, &polled] {
            set(stream, "enabled").await;
        }
        works(&house).await;
        assert_eq!(there.asked("/events").len(), 1);
        assert_eq!(receiver.reads(&polled).await.len(), 1);
        // What happens while it is disabled is not told.
        set(&pushed, "disabled").await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        set(&pushed, "enabled").await;
        works(&house).await;
        assert_eq!(there.asked("/events").len(), 1);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_client() {
    for house in houses_alone("ssf_client_gone").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(503));
        let push = push_stream(&format!("{}/events", there.url));
        receiver.creates(push).await;
        receiver.creates(poll_stream()).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let client = json!({ "UserPoolId": pool, "ClientId": receiver.client.0 });
        house.ok("DeleteUserPoolClient", client).await;
        there.does("/events", Behaviour::Status(202));
        let before = there.asked("/events").len();
        sign_out(&house, &pool, "ann").await;
        house.advance(MINUTE);
        works(&house).await;
        assert_eq!(there.asked("/events").len(), before, "{}", house.url);
        assert_eq!(states(&house, &pool).await, ["not_possible"; 2]);
        let left = house.shows(&format!("/pools/{pool}/streams")).await.json();
        assert_eq!(left["Streams"], json!([]), "they take no room from others");
    }
}

#[tokio::test]
async fn what_was_held_while_its_stream_was_enabled_or_deleted_is_not_forgotten() {
    for house in houses_alone("ssf_tend").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(202));
        let push = push_stream(&format!("{}/events", there.url));
        let (_, polled, gone) = (
            receiver.creates(push).await,
            receiver.creates(poll_stream()).await,
            receiver.creates(poll_stream()).await,
        );
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let delete = format!("/ssf/streams?stream_id={}", gone["stream_id"].as_str().unwrap());
        assert_eq!(receiver.asks("DELETE", &delete, json!({})).await.status, 204);
        // As a worker writes it that read the streams just before.
        let mut batch = Batch::new();
        let sql = "UPDATE deliveries SET state = 'held', done_ms = NULL WHERE pool_id = ?1";
        batch.any(Rank::Job, sql, cenote::params![pool.as_str()]);
        house.app.db.commit(batch).await.unwrap();
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["held"; 3]);
        ssf::tend(Cx::system(house.app.clone())).await.unwrap();
        works(&house).await;
        let mut states = states(&house, &pool).await;
        states.sort_unstable();
        assert_eq!(states, ["done", "held", "not_possible"], "{}", house.url);
        assert_eq!(there.asked("/events").len(), 1);
        assert_eq!(receiver.reads(&polled).await.len(), 1);
    }
}

#[tokio::test]
async fn what_waits_for_a_stream_that_is_disabled_is_not_sent_later_and_its_receiver_is_told() {
    for house in houses_alone("ssf_disabled").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(503));
        let stream = receiver.creates(push_stream(&format!("{}/events", there.url))).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["pending"]);
        there.does("/events", Behaviour::Status(202));
        let before = there.asked("/events").len();
        let path = format!("/pools/{pool}/streams/{}", stream["stream_id"].as_str().unwrap());
        for (status, reason) in [("disabled", json!("at night")), ("enabled", Value::Null)] {
            let body = json!({ "Status": status, "Reason": reason });
            assert_eq!(house.patches(&path, body).await.status, 200);
            house.advance(10 * SECOND);
            works(&house).await;
        }
        let mut told = Vec::new();
        for asked in &there.asked("/events")[before..] {
            told.push(pushed(&house, &pool, asked).await["events"].clone());
        }
        let updated = |payload: Value| json!({ format!("{SSF}/stream-updated"): payload });
        assert_eq!(
            told,
            [
                updated(json!({ "status": "disabled", "reason": "at night" })),
                updated(json!({ "status": "enabled" }))
            ],
            "{}",
            house.url
        );
        let mut states = states(&house, &pool).await;
        states.sort_unstable();
        assert_eq!(states, ["done", "done", "not_possible"]);
    }
}

#[tokio::test]
async fn what_was_held_for_a_stream_of_a_deleted_pool_says_that_the_pool_is_gone() {
    for house in houses_alone("ssf_pool_gone").await {
        for is_purged in [false, true] {
            let (pool, receiver) = given(&house).await;
            receiver.creates(poll_stream()).await;
            sign_out(&house, &pool, "ann").await;
            expands(&house).await;
            house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
            if is_purged {
                expands(&house).await;
                purge::run(&house.app.db, NOW).await.unwrap();
            }
            ssf::tend(Cx::system(house.app.clone())).await.unwrap();
            let all = deliveries::list(&house.app.db, &pool, Filter::default(), None, 10).await;
            let held = &all.unwrap()[0];
            assert_eq!(
                (held.state.as_str(), held.detail.as_str()),
                ("not_possible", "The user pool was deleted, and its keys with it."),
                "{}",
                house.url
            );
        }
    }
}
