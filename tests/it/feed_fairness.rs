//! The revocation feed's limits: what one consumer may take, so that there is something for the others, and what is left of a pool that
//! is gone.

use axum::body::Body;
use cenote::config::Settings;
use cenote::limits::Rates;
use cenote::store::feed;
use serde_json::json;

use crate::feed::{Verifier, ask, get, refused, signs_out};
use crate::house::{House, houses, houses_alone, houses_with, pause};
use crate::sequencer::number;

fn path(verifier: &Verifier, consumer: &str, more: &str) -> String {
    verifier.path(more).replace("consumer=orders-1", &format!("consumer={consumer}"))
}

const NOW: &str = "&nonce=nonce-of-the-test&wait=0";

fn too_many() -> (u16, String) {
    (429, "temporarily_unavailable".to_owned())
}

fn not_found() -> (u16, String) {
    (404, "not_found".to_owned())
}

#[tokio::test]
async fn a_consumer_that_waits_without_end_keeps_nobody_else_from_waiting() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let verifier = Verifier::of(&house, &pool).await;
        let token = Some(verifier.token.as_str());
        let wild = path(&verifier, "wild", "&nonce=nonce-of-the-test&wait=2");
        let waits = async |n: usize| {
            let answer = get(&house, &wild, token).await;
            assert_eq!(answer.status, 200, "{n}: {}", answer.body);
        };
        let others = async {
            while house.app.feeds.crowd().0 < 16 {
                pause().await;
            }
            assert_eq!(refused(&house, &wild, token).await, too_many());
            let other = path(&verifier, "tame", NOW);
            assert_eq!(get(&house, &other, token).await.status, 200);
        };
        tokio::join!(crate::house::together((0..16).map(waits)), others);
        assert_eq!(house.app.feeds.crowd(), (0, 0));
        let stream = |consumer| path(&verifier, consumer, "").replace("/delta?", "/stream?");
        let opens = async |consumer| {
            let request = ask(&stream(consumer), token).body(Body::empty()).unwrap();
            let response = house.respond(request).await;
            (response.status().as_u16(), response)
        };
        let mut streams = Vec::new();
        for _ in 0..32 {
            let (status, stream) = opens("wild").await;
            assert_eq!(status, 200);
            streams.push(stream);
        }
        assert_eq!(refused(&house, &stream("wild"), token).await, too_many());
        assert_eq!(opens("tame").await.0, 200);
    }
}

#[tokio::test]
async fn a_consumer_that_asks_without_end_uses_up_no_more_than_its_own_share() {
    let limits = "Feed=8,per_consumer=2".parse().unwrap();
    let settings = Settings { rate_limits: Rates::off().with(&limits), ..Settings::default() };
    for house in houses_with(settings).await {
        let pool = house.pool(json!({})).await;
        let verifier = Verifier::of(&house, &pool).await;
        let token = Some(verifier.token.as_str());
        let passes = async |consumer: &str| {
            let path = path(&verifier, consumer, NOW);
            let mut passed = 0;
            for _ in 0..60 {
                passed += usize::from(get(&house, &path, token).await.status == 200);
            }
            passed
        };
        // Five seconds' worth each. The feed has forty, and the snapshot took one.
        assert_eq!(passes("wild").await, 10);
        assert_eq!(passes("tame").await, 10);
        assert_eq!(passes("third").await, 10);
        assert_eq!(passes("fourth").await, 9);
        assert_eq!(get(&house, &path(&verifier, "fifth", NOW), token).await.status, 429);
    }
}

async fn names(house: &House, pool: &str) -> Vec<(String, i64)> {
    let all = feed::consumers(&house.app.db, pool).await.unwrap();
    all.into_iter().map(|said| (said.consumer, said.since)).collect()
}

#[tokio::test]
async fn a_new_consumer_stands_written_before_its_first_answer() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let verifier = Verifier::of(&house, &pool).await;
        let token = Some(verifier.token.as_str());
        for name in ["a", "b"] {
            assert_eq!(get(&house, &path(&verifier, name, NOW), token).await.status, 200);
            assert_eq!(names(&house, &pool).await.last(), Some(&(name.to_owned(), 0)));
        }
        let stream = path(&verifier, "c", "").replace("/delta?", "/stream?");
        let request = ask(&stream, token).body(Body::empty()).unwrap();
        assert_eq!(house.respond(request).await.status(), 200);
        assert_eq!(names(&house, &pool).await.len(), 3);
        // Who cannot go on from where it says it is follows nothing yet.
        let lost = path(&verifier, "d", NOW).replace("since=0", "since=9");
        assert_eq!(refused(&house, &lost, token).await.0, 410);
        assert_eq!(names(&house, &pool).await.len(), 3);
    }
}

#[tokio::test]
async fn a_deleted_pools_feed_tells_its_end_to_those_who_followed_it_and_to_nobody_else() {
    for house in houses_alone("feed_farewell").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        let before = verifier.path(NOW);
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        let own = verifier.token.clone();
        let late = get(&house, &before, Some(&own)).await;
        assert_eq!((late.status.as_u16(), late.header("retry-after")), (503, "0"));
        number(&house).await;
        // The token died with its client, so none is asked for.
        for token in [Some(own.as_str()), Some("not-a-token"), None] {
            assert_eq!(get(&house, &before, token).await.status, 200, "{token:?}");
        }
        let records = verifier.learns(&house, 2).await;
        let kinds: Vec<&str> = records.iter().map(|e| e[0].as_str().unwrap()).collect();
        assert_eq!((kinds, verifier.seq), (vec!["U", "P"], 2));
        assert_eq!(records[1][1], crate::feed::key16("P", &pool, &pool));
        let after = verifier.path(NOW);
        assert_eq!(refused(&house, &after, None).await, not_found(), "there is no more to learn");
        for (from, to) in [
            (verifier.incarnation.as_str(), "BBBBBBBBBBBBBBBBBBBBBB"),
            ("since=0", "since=3"),
            (pool.as_str(), "us-east-1_none"),
        ] {
            assert_eq!(refused(&house, &before.replace(from, to), None).await, not_found(), "{to}");
        }
        let stream = before.replace("/delta?", "/stream?");
        assert_eq!(refused(&house, &stream, Some(&own)).await, not_found());
        assert_eq!(names(&house, &pool).await, [], "nobody knows who it was");
    }
}
