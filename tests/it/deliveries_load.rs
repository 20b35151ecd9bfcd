//! Many receivers, many deliveries: dead ones slow nobody, and however much waits for one, the others are told at once.

use std::time::{Duration, Instant};

use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::store::deliveries;
use serde_json::json;

use crate::house::{houses_alone, pause};
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
async fn rows_of(house: &crate::house::House, pool: &str, target: &str) -> usize {
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
