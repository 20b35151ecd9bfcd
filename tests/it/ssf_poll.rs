//! Streams that are polled (RFC 8936): acknowledging, waiting, and what becomes of one that nobody reads.

use cenote::ambient::{DAY, HOUR, SECOND};
use cenote::store::deliveries::{self, Filter};
use cenote::store::{Batch, Rank};
use serde_json::{Value, json};

use crate::house::{NOW, houses_alone, pause};
use crate::provider::{Behaviour, Provider};
use crate::ssf_receiver::{
    CAEP, Receiver, SSF, asks, events, expands, given, poll_stream, push_stream, sign_out, states,
    verified, works,
};

#[tokio::test]
async fn an_event_is_told_again_until_it_is_acknowledged_and_is_always_the_same() {
    for house in houses_alone("ssf_ack").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        assert_eq!(receiver.reads(&stream).await, []);
        let signout = sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let sub = house.attribute(&pool, "ann", "sub").await.unwrap();
        let iss = format!("{}/{pool}", house.app.settings.public_url);
        let found = receiver.reads(&stream).await;
        let [(jti, claims)] = found.as_slice() else { panic!("{found:?}") };
        let told = json!({ "event_timestamp": NOW / SECOND, "initiating_entity": "admin",
            "reason_admin": { "en": "admin_global_sign_out" } });
        let user = json!({ "format": "iss_sub", "iss": iss, "sub": sub });
        let wanted = json!({
            "iss": iss, "aud": receiver.client.0, "iat": NOW / SECOND, "jti": jti, "txn": signout,
            "sub_id": { "format": "complex", "user": user },
            "events": { format!("{CAEP}/session-revoked"): told },
        });
        assert_eq!(Value::Object(claims.clone()), wanted);
        let first = receiver.polls(&stream, json!({ "returnImmediately": true })).await;
        house.advance(5 * SECOND);
        let second = receiver.polls(&stream, json!({ "returnImmediately": true })).await;
        assert_eq!(first, second, "to the letter");
        assert_eq!(states(&house, &pool).await, ["held"]);
        // What is not its own is nothing.
        let other = receiver.creates(poll_stream()).await;
        let ack = json!({ "ack": [jti, "nonsense"], "returnImmediately": true });
        assert_eq!(receiver.polls(&other, ack.clone()).await, json!({ "sets": {} }));
        assert_eq!(states(&house, &pool).await, ["held"]);
        assert_eq!(receiver.polls(&stream, ack).await, json!({ "sets": {} }));
        assert_eq!(states(&house, &pool).await, ["done"]);
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let jti = &receiver.reads(&other).await[0].0;
        let refusal = json!({ "err": "invalid_key", "description": "no such key" });
        let refused = json!({ "setErrs": { jti: refusal }, "maxEvents": 0 });
        assert_eq!(receiver.polls(&other, refused).await, json!({ "sets": {} }));
        let all = deliveries::list(&house.app.db, &pool, Filter::default(), None, 9).await.unwrap();
        let dead = all.iter().find(|row| row.state.as_str() == "dead").unwrap();
        assert_eq!(dead.detail, "Its receiver refused it: invalid_key no such key");
    }
}

#[allow(clippy::disallowed_methods, reason = "a request really waits, and that is measured")]
#[tokio::test]
async fn a_poll_waits_until_there_is_something_and_no_longer() {
    for house in houses_alone("ssf_wait").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        let another = house.another_node(0).await;
        for writer in [&house, &another] {
            let began = std::time::Instant::now();
            let wakes = async {
                for _ in 0..20 {
                    pause().await;
                }
                let waited = began.elapsed();
                sign_out(writer, &pool, "ann").await;
                expands(writer).await;
                waited
            };
            let (answer, waited) = tokio::join!(receiver.polls(&stream, json!({})), wakes);
            let took = began.elapsed();
            let sets = answer["sets"].as_object().unwrap();
            assert_eq!(sets.len(), 1, "{answer}");
            assert!(took >= waited && took.as_secs() < 8, "{waited:?} {took:?}");
            let ack: Vec<&String> = sets.keys().collect();
            let done = json!({ "ack": ack, "returnImmediately": true });
            assert_eq!(receiver.polls(&stream, done).await, json!({ "sets": {} }));
        }
        let began = std::time::Instant::now();
        receiver.polls(&stream, json!({ "returnImmediately": true })).await;
        receiver.polls(&stream, json!({ "maxEvents": 0 })).await;
        assert!(began.elapsed().as_secs() < 5);
    }
}

#[tokio::test]
async fn a_poll_has_as_many_events_as_were_asked_for_and_says_that_there_are_more() {
    for house in houses_alone("ssf_more").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        for _ in 0..5 {
            sign_out(&house, &pool, "ann").await;
        }
        expands(&house).await;
        let (mut seen, mut ack) = (0, Vec::new());
        for (most, more) in [(2, true), (2, true), (2, false)] {
            let answer = receiver
                .polls(&stream, json!({ "maxEvents": most, "ack": ack, "returnImmediately": true }))
                .await;
            let sets = answer["sets"].as_object().unwrap();
            assert_eq!(answer.get("moreAvailable").is_some(), more, "{answer}");
            ack = sets.keys().cloned().collect();
            seen += sets.len();
        }
        assert_eq!(seen, 5);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_pauses_says_so_and_loses_nothing() {
    for house in houses_alone("ssf_unread").await {
        let (pool, mut receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(503));
        let push = push_stream(&format!("{}/events", there.url));
        let (pushed, polled) =
            (receiver.creates(push).await, receiver.creates(poll_stream()).await);
        sign_out(&house, &pool, "ann").await;
        for _ in 0..11 {
            works(&house).await;
            house.advance(2 * HOUR);
        }
        works(&house).await;
        receiver.gets_token().await;
        let status = async |receiver: &Receiver<'_>, stream: &Value| {
            let path = format!("/ssf/status?stream_id={}", stream["stream_id"].as_str().unwrap());
            receiver.asks("GET", &path, json!({})).await.json()
        };
        assert_eq!(status(&receiver, &pushed).await["status"], "paused");
        assert_eq!(status(&receiver, &polled).await["status"], "enabled");
        // Asking for it was a sign of life, which is known to the hour.
        house.advance(7 * DAY + HOUR);
        receiver.gets_token().await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let said = status(&receiver, &polled).await;
        assert_eq!(
            (&said["status"], &said["reason"]),
            (&json!("paused"), &json!("Nobody has polled it for seven days."))
        );
        let found = receiver.reads(&polled).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1["events"][format!("{SSF}/stream-updated")]["status"], "paused");
        there.does("/events", Behaviour::Status(202));
        let before = there.asked("/events").len();
        for stream in [&pushed, &polled] {
            let body = json!({ "stream_id": stream["stream_id"], "status": "enabled" });
            assert_eq!(receiver.asks("POST", "/ssf/status", body).await.status, 200);
        }
        for _ in 0..4 {
            works(&house).await;
            house.advance(10 * SECOND);
        }
        // Two sign-outs each, and what is about the stream itself.
        assert_eq!(receiver.reads(&polled).await.len(), 3);
        let told = &there.asked("/events")[before..];
        let mut told_of = std::collections::BTreeSet::new();
        for asked in told {
            let claims = verified(&house, &pool, &asked.body).await;
            if events(&claims) == [format!("{CAEP}/session-revoked")] {
                told_of.insert(claims["txn"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(told_of.len(), 2);
        // What is old does not pause it again before its receiver can have fetched it.
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(status(&receiver, &polled).await["status"], "enabled");
        assert_eq!(receiver.reads(&polled).await.len(), 4);
    }
}

#[tokio::test]
async fn a_stream_that_is_polled_is_not_paused_however_old_what_waits_in_it_is() {
    for house in houses_alone("ssf_polled").await {
        let (pool, mut receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        for days in 1..=4 {
            house.advance(3 * DAY);
            receiver.gets_token().await;
            assert_eq!(receiver.reads(&stream).await.len(), days, "{}", house.url);
            sign_out(&house, &pool, "ann").await;
            expands(&house).await;
        }
        // To the operator its visits are no change.
        let path = format!("/pools/{pool}/streams/{}", stream["stream_id"].as_str().unwrap());
        let shown = house.shows(&path).await.json();
        assert_eq!(shown["CreationDate"], shown["LastModifiedDate"], "{shown}");
        assert_eq!((&shown["Status"], shown.get("SeenMs")), (&json!("enabled"), None));
        house.advance(7 * DAY + HOUR);
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        assert_eq!(house.shows(&path).await.json()["Status"], "paused");
    }
}

#[tokio::test]
async fn two_who_poll_one_stream_are_both_told_and_one_acknowledges() {
    for house in houses_alone("ssf_two").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        let wakes = async {
            for _ in 0..20 {
                pause().await;
            }
            sign_out(&house, &pool, "ann").await;
            expands(&house).await;
        };
        let (one, two, ()) = tokio::join!(
            receiver.polls(&stream, json!({})),
            receiver.polls(&stream, json!({})),
            wakes
        );
        assert_eq!(one, two, "{}", house.url);
        let ack: Vec<&String> = one["sets"].as_object().unwrap().keys().collect();
        assert_eq!(ack.len(), 1);
        // Refusing what the other one has acknowledged changes nothing.
        let refusal = json!({ "err": "invalid_request", "description": "x" });
        let (ack, late) = (
            json!({ "ack": ack, "maxEvents": 0 }),
            json!({ "setErrs": { ack[0]: refusal }, "maxEvents": 0 }),
        );
        receiver.polls(&stream, ack).await;
        receiver.polls(&stream, late).await;
        assert_eq!(states(&house, &pool).await, ["done"]);
    }
}

#[allow(clippy::disallowed_methods, reason = "a request really waits, and that is measured")]
#[tokio::test]
async fn a_server_that_stops_lets_go_of_who_waits_and_another_one_tells() {
    for house in houses_alone("ssf_stops").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        let stopping = house.another_node(0).await;
        let there = Receiver {
            house: &stopping,
            pool: pool.clone(),
            client: receiver.client.clone(),
            token: receiver.token.clone(),
        };
        let began = std::time::Instant::now();
        let stops = async {
            for _ in 0..20 {
                pause().await;
            }
            stopping.app.meters.drain();
        };
        let (answer, ()) = tokio::join!(there.polls(&stream, json!({})), stops);
        assert_eq!(answer, json!({ "sets": {} }));
        assert!(began.elapsed().as_secs() < 8, "{:?}", began.elapsed());
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        assert_eq!(receiver.reads(&stream).await.len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_empties_holds_ten_thousand_events_and_receipts_say_what_it_is_not_told()
 {
    for house in houses_alone("ssf_full").await {
        let (pool, mut receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let mut batch = Batch::new();
        let copies = "WITH RECURSIVE copies (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM copies WHERE i < 9999) \
                      INSERT INTO deliveries (pool_id, delivery_id, signout_id, n, kind, target, lane, sid, sub, doc, state, attempts, due_ms, \
                      lease_ms, since_ms, replays, status, detail, created_ms, first_ms, done_ms) \
                      SELECT pool_id, delivery_id || '-' || CAST(i AS TEXT), signout_id, n, kind, target, lane, CAST(i AS TEXT), sub, doc, state, \
                      attempts, due_ms, lease_ms, since_ms, replays, status, detail, created_ms, first_ms, done_ms \
                      FROM deliveries, copies WHERE pool_id = ?1";
        batch.any(Rank::Job, copies, cenote::params![pool.as_str()]);
        house.app.db.commit(batch).await.unwrap();
        let signout = sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let path = format!("/sign-outs/{signout}");
        let receipt = asks(&house, &pool, "", "GET", &path, String::new()).await.json();
        let told = &receipt["deliveries"][0];
        assert_eq!(told["state"], "not_possible", "{receipt}");
        assert!(told["detail"].as_str().unwrap().starts_with("10000 events wait"), "{receipt}");
        let verify = json!({ "stream_id": stream["stream_id"] });
        let answer = receiver.asks("POST", "/ssf/verify", verify).await;
        assert_eq!(answer.status, 409, "{}", answer.body);
        // One that was just enabled has an hour to begin with what waits.
        let path = format!("/ssf/status?stream_id={}", stream["stream_id"].as_str().unwrap());
        assert_eq!(receiver.asks("GET", &path, json!({})).await.json()["status"], "enabled");
        house.advance(HOUR);
        receiver.gets_token().await;
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let said = receiver.asks("GET", &path, json!({})).await.json();
        let why = "10000 events wait, and nobody acknowledges them.";
        assert_eq!((&said["status"], &said["reason"]), (&json!("paused"), &json!(why)));
    }
}
