//! Many receivers, many deliveries: dead ones slow nobody, and however much waits for one, the others are told at once.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cenote::ambient::SECOND;
use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::store::deliveries;
use serde_json::json;

use crate::house::{House, houses_alone, pause};
use crate::receiver::{Does, Receiver, rows, sign_out, webhook, works};

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::disallowed_methods, reason = "what is measured is real time")]
async fn fifty_dead_receivers_slow_neither_a_sign_out_nor_a_healthy_receiver() {
    for house in houses_alone("fifty").await {
        let healthy = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let id = webhook(&house, &pool, &healthy.url).await;
        let mut dead = Vec::new();
        for _ in 0..50 {
            let receiver = Receiver::start().await;
            receiver.does(Does::Silence);
            webhook(&house, &pool, &receiver.url).await;
            dead.push(receiver);
        }
        let mut turns = Vec::new();
        let mut slowest = Duration::ZERO;
        for told in 1..=20 {
            let began = Instant::now();
            sign_out(&house, &pool, "ann").await;
            expand::run_once(Cx::system(house.app.clone())).await.unwrap();
            turns.extend(work::begin(&Cx::system(house.app.clone())).await.unwrap());
            while healthy.told().len() < told {
                assert!(
                    began.elapsed() < Duration::from_secs(10),
                    "{} on {}",
                    healthy.told().len(),
                    house.url
                );
                pause().await;
            }
            slowest = slowest.max(began.elapsed());
            // Its turn ends, so that the next sign-out finds it free.
            while rows_of(&house, &pool, &id).await < told {
                pause().await;
            }
        }
        assert!(slowest < Duration::from_secs(3), "{slowest:?} on {}", house.url);
        assert!(dead.iter().all(|receiver| receiver.told().len() == 1));
        turns.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// How many deliveries this webhook took.
async fn rows_of(house: &House, pool: &str, target: &str) -> usize {
    let rows = rows(house, pool).await;
    rows.iter().filter(|row| row.target == target && row.done_ms.is_some()).count()
}

#[tokio::test]
async fn however_much_waits_for_one_receiver_the_others_are_found_at_once() {
    for house in houses_alone("starve").await {
        let (full, free) = (Receiver::start().await, Receiver::start().await);
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let id = webhook(&house, &pool, &full.url).await;
        full.does(Does::Status(503));
        for _ in 0..3 {
            sign_out(&house, &pool, "ann").await;
        }
        works(&house).await;
        let many = "INSERT INTO deliveries (pool_id, delivery_id, signout_id, n, kind, target, lane, sid, sub, doc, state, attempts, due_ms, \
            lease_ms, since_ms, replays, status, detail, created_ms, first_ms, done_ms) \
            WITH RECURSIVE many (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM many WHERE i < 20000) \
            SELECT d.pool_id, d.delivery_id || '.' || CAST(many.i AS TEXT), d.signout_id, 1000 + many.i, d.kind, d.target, d.lane, d.sid, d.sub, \
            d.doc, 'pending', 0, d.created_ms, 0, d.since_ms, 0, NULL, '', d.created_ms, NULL, NULL \
            FROM deliveries d, many WHERE d.pool_id = ?1 AND d.delivery_id = ?2";
        let mut batch = cenote::store::Batch::new();
        let first = rows(&house, &pool).await.remove(0).id;
        batch.any(cenote::store::Rank::Job, many, cenote::params![pool.as_str(), first]);
        house.app.db.commit(batch).await.unwrap();
        webhook(&house, &pool, &free.url).await;
        let lanes = deliveries::lanes(&house.app.db, "", 10).await.unwrap();
        assert_eq!(lanes.len(), 1);
        full.forget();
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!((free.told().len(), full.told().len()), (1, 0), "{}", house.url);
        let waiting = deliveries::waiting(&house.app.db).await.unwrap();
        assert_eq!(waiting.pending, 10_000);
        // It is back: all of it goes out, in hands of sixteen.
        full.does(Does::Status(200));
        house.advance(5_000);
        let turns = work::begin(&Cx::system(house.app.clone())).await.unwrap();
        assert_eq!(turns.len(), 1);
        while full.told().len() < 100 {
            pause().await;
        }
        turns.iter().for_each(tokio::task::JoinHandle::abort);
        assert!(
            rows(&house, &pool).await.iter().any(|row| row.target == id && row.done_ms.is_some())
        );
    }
}

/// A pool with a hundred webhooks at one that never answers, and a sign-out that none of them was told of yet.
async fn hundred_that_hang(house: &House) -> String {
    let hanging = Receiver::start().await;
    hanging.does(Does::Silence);
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    for _ in 0..100 {
        webhook(house, &pool, &hanging.url).await;
    }
    sign_out(house, &pool, "ann").await;
    pool
}

async fn begins(house: &House) -> Vec<tokio::task::JoinHandle<()>> {
    expand::run_once(Cx::system(house.app.clone())).await.unwrap();
    work::begin(&Cx::system(house.app.clone())).await.unwrap()
}

async fn is_told(receiver: &Receiver) {
    for _ in 0..200 {
        if !receiver.told().is_empty() {
            return;
        }
        pause().await;
    }
    panic!("a healthy receiver waits for those who hang");
}

#[tokio::test]
async fn those_who_were_never_heard_of_leave_room_for_those_who_answered() {
    for house in houses_alone("strangers").await {
        let healthy = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        webhook(&house, &pool, &healthy.url).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        healthy.forget();
        for _ in 0..2 {
            hundred_that_hang(&house).await;
        }
        sign_out(&house, &pool, "ann").await;
        let turns = begins(&house).await;
        assert_eq!(turns.len(), 1 + 128, "{}", house.url);
        is_told(&healthy).await;
        turns.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
async fn after_a_restart_those_who_were_away_leave_room_for_those_who_were_not() {
    for house in houses_alone("restarted").await {
        let away = hundred_that_hang(&house).await;
        expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        let mut batch = cenote::store::Batch::new();
        let tried = "UPDATE deliveries SET attempts = 1 WHERE pool_id = ?1";
        batch.any(cenote::store::Rank::Job, tried, cenote::params![away.as_str()]);
        house.app.db.commit(batch).await.unwrap();
        let healthy = Receiver::start().await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        webhook(&house, &pool, &healthy.url).await;
        sign_out(&house, &pool, "ann").await;
        let next = house.another_node(0).await;
        let turns = begins(&next).await;
        assert_eq!(turns.len(), 1 + 64, "{}", house.url);
        is_told(&healthy).await;
        turns.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

#[tokio::test]
async fn of_many_who_are_away_those_are_tried_first_that_wait_for_longest() {
    for house in houses_alone("fair").await {
        let pool = hundred_that_hang(&house).await;
        expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        let lanes = deliveries::lanes(&house.app.db, "", 1_000).await.unwrap();
        assert_eq!(lanes.len(), 100);
        // The last of the alphabet was tried longest ago.
        let now = house.app.clock.now_ms();
        for (n, lane) in (0..).zip(&lanes) {
            house.app.breakers.hung(&lane.text, now - 10 * SECOND - n);
        }
        let turns = begins(&house).await;
        assert_eq!(turns.len(), 64, "{}", house.url);
        let in_hand = "SELECT COUNT(*) FROM deliveries WHERE pool_id = ?1 AND lease_ms > 0";
        while house.rows(in_hand, &pool).await < 64 {
            pause().await;
        }
        let rows = rows(&house, &pool).await;
        let in_hand: BTreeSet<String> =
            rows.iter().filter(|row| row.lease_ms > 0).map(|row| row.lane()).collect();
        let expected: BTreeSet<String> = lanes[36..].iter().map(|lane| lane.text.clone()).collect();
        assert_eq!(in_hand, expected);
        turns.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
