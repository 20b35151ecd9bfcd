//! What nobody took: when a delivery becomes a dead letter, who hears of it, how it is sent again, and how long it is kept.

use cenote::ambient::{DAY, HOUR, SECOND};
use cenote::config::Settings;
use cenote::cx::Cx;
use cenote::delivery::outbox::work;
use cenote::error::Error;
use cenote::store::{Batch, deliveries, jobs, purge};
use serde_json::json;

use crate::house::{House, NOW, houses_alone, together};
use crate::receiver::{Does, Receiver, rows, sign_out, states, webhook, works};

async fn given(house: &House) -> (Receiver, String) {
    let receiver = Receiver::start().await;
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    webhook(house, &pool, &receiver.url).await;
    (receiver, pool)
}

async fn replay(house: &House, pool: &str, id: &str) -> Result<(), Error> {
    let mut batch = Batch::new();
    let not_dead = Error::invalid("It is no dead letter.");
    deliveries::replay(&mut batch, pool, id, house.app.clock.now_ms(), not_dead);
    house.app.db.commit(batch).await
}

#[tokio::test]
async fn what_a_repetition_would_not_change_is_dead_at_once_and_the_audit_trail_says_so() {
    for house in houses_alone("dead_at_once").await {
        for (does, words) in [
            (
                Does::Says(400, r#"{"error":"invalid_request"}"#),
                "It answered 400: invalid_request.",
            ),
            (Does::Status(401), "It answered 401."),
            (Does::Status(404), "It answered 404."),
            (Does::Status(410), "It answered 410."),
            (
                Does::Redirect("https://b.example/hooks/s3cret?secret=1"),
                "It redirects to https://b.example, which is not followed: give the final address.",
            ),
        ] {
            let (receiver, pool) = given(&house).await;
            receiver.does(does);
            sign_out(&house, &pool, "ann").await;
            works(&house).await;
            let row = rows(&house, &pool).await.remove(0);
            assert_eq!((row.state.as_str(), row.detail.as_str()), ("dead", words), "{}", house.url);
            assert_eq!((row.attempts, row.done_ms), (1, Some(NOW)));
            let audit = jobs::audit(&house.app.db, NOW, NOW + 1, (0, ""), 10_000).await.unwrap();
            let audit: Vec<_> = audit
                .iter()
                .filter(|entry| entry.pool_id == pool && entry.action == "DeadLetter")
                .collect();
            assert_eq!(audit.len(), 1);
            assert_eq!(
                (audit[0].target.as_str(), audit[0].result.as_str()),
                (row.target.as_str(), "dead")
            );
            assert!(audit[0].detail.contains(words) && audit[0].detail.contains(&row.id));
        }
        let waiting = deliveries::waiting(&house.app.db).await.unwrap();
        assert_eq!((waiting.pending, waiting.oldest_ms, waiting.dead), (0, None, 5));
    }
}

/// A receiver that was away for so long that what waits for it is tried once an hour.
async fn given_away(house: &House) -> (Receiver, String) {
    let (receiver, pool) = given(house).await;
    receiver.does(Does::Status(503));
    for _ in 0..2 {
        sign_out(house, &pool, "ann").await;
    }
    for _ in 0..60 {
        house.advance(30 * SECOND);
        works(house).await;
    }
    assert!(rows(house, &pool).await.iter().all(|row| row.attempts > 16));
    (receiver, pool)
}

#[tokio::test]
async fn one_that_is_back_and_refuses_the_first_thing_is_told_the_rest_at_once() {
    for house in houses_alone("back_refusing").await {
        let (receiver, pool) = given_away(&house).await;
        receiver.does(Does::Status(400));
        for _ in 0..10 {
            house.advance(SECOND);
            works(&house).await;
        }
        assert_eq!(states(&house, &pool).await, ["dead"; 2], "{}", house.url);
    }
}

#[tokio::test]
async fn what_never_had_its_turn_in_a_day_is_given_up_with_the_rest() {
    for house in houses_alone("no_turn").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Status(503));
        for _ in 0..20 {
            sign_out(&house, &pool, "ann").await;
        }
        works(&house).await;
        house.advance(DAY - HOUR);
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["pending"; 20]);
        house.advance(2 * HOUR);
        // One by one it would take twenty rounds; what was tried in between has its own turn.
        for _ in 0..5 {
            works(&house).await;
            house.advance(5 * SECOND);
        }
        let rows = rows(&house, &pool).await;
        assert!(rows.iter().all(|row| row.state.as_str() == "dead"), "{}", house.url);
        assert!(rows.iter().all(|row| row.detail.starts_with("Given up after a day")));
        assert!(receiver.told().len() < 10);
    }
}

#[tokio::test]
async fn an_address_that_the_operator_does_not_allow_is_dead_at_once_and_named() {
    let settings = Settings { outgoing_allow: Vec::new(), ..Settings::default() };
    let house = House::on_sqlite(settings).await;
    let (receiver, pool) = given(&house).await;
    for url in [
        "http://169.254.169.254/latest",
        "https://10.0.0.1/",
        "https://[::1]/",
        "http://a.example/",
    ] {
        webhook(&house, &pool, url).await;
    }
    sign_out(&house, &pool, "ann").await;
    works(&house).await;
    let rows = rows(&house, &pool).await;
    assert_eq!(rows.len(), 5);
    for row in rows {
        assert_eq!(row.state.as_str(), "dead");
        assert!(row.detail.contains("outgoing_allow"), "{}", row.detail);
    }
    assert!(receiver.told().is_empty());
}

#[tokio::test]
async fn who_takes_nothing_for_a_day_is_given_up_and_kept_for_thirty() {
    for house in houses_alone("given_up").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Status(500));
        sign_out(&house, &pool, "ann").await;
        for _ in 0..24 {
            works(&house).await;
            assert_eq!(states(&house, &pool).await, ["pending"]);
            house.advance(HOUR);
        }
        works(&house).await;
        let row = rows(&house, &pool).await.remove(0);
        assert_eq!(
            (row.state.as_str(), row.detail.as_str()),
            ("dead", "Given up after a day. It answered 500.")
        );
        let died = row.done_ms.unwrap();
        purge::run(&house.app.db, died + 30 * DAY).await.unwrap();
        assert_eq!(rows(&house, &pool).await.len(), 1, "{}", house.url);
        purge::run(&house.app.db, died + 30 * DAY + 1).await.unwrap();
        assert!(rows(&house, &pool).await.is_empty());
    }
}

#[tokio::test]
async fn a_replayed_dead_letter_is_sent_again_under_its_old_id_and_only_a_dead_one_can_be() {
    for house in houses_alone("replayed").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Status(404));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let id = rows(&house, &pool).await[0].id.clone();
        house.advance(20 * DAY);
        receiver.does(Does::Status(503));
        replay(&house, &pool, &id).await.unwrap();
        assert_eq!(replay(&house, &pool, &id).await.unwrap_err().message, "It is no dead letter.");
        assert!(replay(&house, "us-east-1_other", &id).await.is_err());
        works(&house).await;
        // It has another day.
        assert_eq!(states(&house, &pool).await, ["pending"], "{}", house.url);
        receiver.does(Does::Status(200));
        house.advance(SECOND);
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done"]);
        assert!(receiver.told().iter().all(|told| told.header("webhook-id") == id));
        assert!(replay(&house, &pool, &id).await.is_err());
    }
}

#[tokio::test]
async fn once_a_target_takes_something_what_died_within_a_day_is_sent_again_by_itself() {
    for house in houses_alone("by_itself").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Status(401));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        house.advance(DAY);
        for _ in 0..5 {
            sign_out(&house, &pool, "ann").await;
            works(&house).await;
        }
        assert_eq!(states(&house, &pool).await, ["dead"; 6]);
        receiver.does(Does::Status(200));
        house.advance(HOUR);
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let mut expected = vec!["done"; 7];
        expected[0] = "dead";
        assert_eq!(states(&house, &pool).await, expected, "{}", house.url);
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_sent_again_by_itself_three_times_and_no_more() {
    for house in houses_alone("for_good").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Status(400));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let first = rows(&house, &pool).await[0].signout_id.clone();
        receiver.forget();
        static FIRST: std::sync::Mutex<String> = std::sync::Mutex::new(String::new());
        FIRST.lock().unwrap().clone_from(&first);
        receiver.does(Does::By(|told| {
            if told.text.contains(&*FIRST.lock().unwrap()) { 400 } else { 200 }
        }));
        for _ in 0..10 {
            house.advance(SECOND);
            sign_out(&house, &pool, "ann").await;
            works(&house).await;
        }
        let again = receiver.told().iter().filter(|told| told.text.contains(&first)).count();
        assert_eq!(again, 3, "{}", house.url);
        assert_eq!(
            rows(&house, &pool).await.iter().filter(|row| row.state.as_str() == "done").count(),
            10
        );
    }
}

#[tokio::test]
async fn a_dead_letter_that_several_replay_at_once_is_sent_once_and_who_was_late_changes_nothing() {
    for house in houses_alone("replay_races").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Status(400));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let dead = rows(&house, &pool).await.remove(0);
        receiver.forget();
        receiver.does(Does::Status(200));
        let replays = together((0..8).map(|_| replay(&house, &pool, &dead.id))).await;
        assert_eq!(replays.iter().filter(|replay| replay.is_ok()).count(), 1, "{}", house.url);
        // A server that had it in hand before it died, and comes back only now.
        let mut late = Batch::new();
        let outcome = deliveries::Tried {
            delivery: &dead,
            lease_ms: NOW + 15 * SECOND,
            state: deliveries::State::Dead,
            status: Some(400),
            detail: "late",
            due_ms: NOW,
        };
        deliveries::tried(&mut late, &outcome, NOW);
        house.app.db.commit(late).await.unwrap();
        assert_eq!(states(&house, &pool).await, ["pending"]);
        let nodes = [house.another_node(0).await, house.another_node(0).await];
        together(nodes.iter().map(works)).await;
        assert_eq!((receiver.told().len(), states(&house, &pool).await), (1, vec!["done"]));
    }
}

#[tokio::test]
async fn one_that_is_back_is_told_the_rest_though_the_first_outcome_could_not_be_written() {
    let house = House::on_sqlite(Settings::default()).await;
    let (receiver, pool) = given_away(&house).await;
    receiver.does(Does::Status(200));
    let writes = async |sql: &'static str| {
        let mut batch = Batch::new();
        batch.any(cenote::store::Rank::Job, sql, cenote::params![]);
        house.app.db.commit(batch).await.unwrap();
    };
    writes(
        "CREATE TRIGGER fails BEFORE UPDATE ON deliveries WHEN NEW.state = 'done' BEGIN SELECT RAISE(ABORT, 'on purpose'); END",
    )
    .await;
    house.advance(10 * SECOND);
    for turn in work::begin(&Cx::system(house.app.clone())).await.unwrap() {
        turn.await.unwrap();
    }
    writes("DROP TRIGGER fails").await;
    assert_eq!(states(&house, &pool).await, ["pending"; 2]);
    // When the lease of what was in hand is over.
    house.advance(16 * SECOND);
    works(&house).await;
    assert_eq!(states(&house, &pool).await, ["done"; 2]);
}
