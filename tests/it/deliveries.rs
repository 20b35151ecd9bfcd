//! That everybody who is to be told is told: retries, breakers, leases, several servers. With webhooks, whose rules are those of every kind.

use cenote::ambient::{DAY, HOUR, MINUTE, SECOND};
use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::store::deliveries::{self, Kind};
use cenote::store::{Batch, participations, purge};
use serde_json::json;

use crate::house::{House, NOW, houses_alone, together};
use crate::receiver::{
    Does, Receiver, SECRET, pours, rows, says, sign_out, states, webhook, works,
};

async fn given(house: &House) -> (Receiver, String) {
    let receiver = Receiver::start().await;
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    webhook(house, &pool, &receiver.url).await;
    (receiver, pool)
}

#[tokio::test]
async fn a_receiver_that_was_away_for_ten_minutes_is_told_of_everything_within_ten_seconds() {
    for house in houses_alone("away").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Status(503));
        for _ in 0..20 {
            sign_out(&house, &pool, "ann").await;
        }
        for _ in 0..600 {
            house.advance(SECOND);
            works(&house).await;
        }
        // One attempt every five seconds, besides the first few.
        let tried = receiver.told().len();
        assert!((100..=130).contains(&tried), "{tried} on {}", house.url);
        assert!(states(&house, &pool).await.iter().all(|state| *state == "pending"));
        receiver.does(Does::Status(200));
        receiver.forget();
        for _ in 0..10 {
            house.advance(SECOND);
            works(&house).await;
        }
        assert_eq!(states(&house, &pool).await, ["done"; 20]);
        assert_eq!(receiver.told().len(), 20);
    }
}

#[tokio::test]
async fn a_server_that_was_killed_meanwhile_tells_it_just_as_soon() {
    for house in houses_alone("killed_meanwhile").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Silence);
        sign_out(&house, &pool, "ann").await;
        receiver.does(Does::Status(500));
        for _ in 0..30 {
            house.advance(30 * SECOND);
            works(&house).await;
        }
        // The next attempt of this row by itself would be an hour away.
        assert!(rows(&house, &pool).await[0].attempts > 16);
        let next = house.another_node(15 * MINUTE).await;
        receiver.does(Does::Status(200));
        works(&next).await;
        assert_eq!(states(&house, &pool).await, ["done"], "{}", house.url);
    }
}

#[tokio::test]
async fn what_one_receiver_refuses_again_and_again_keeps_nothing_else_back() {
    for house in houses_alone("poison").await {
        let (receiver, pool) = given(&house).await;
        house.user(&pool, "eve").await;
        // The first user's sign-out makes it fall over.
        let sub = house.attribute(&pool, "ann", "sub").await.unwrap();
        assert_eq!(sub.len(), 36);
        receiver.does(Does::By(|told| {
            if told.text.contains("\"admin\"") && told.text.contains("poison") { 500 } else { 200 }
        }));
        sign_out(&house, &pool, "ann").await;
        expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        let doc =
            "UPDATE deliveries SET doc = REPLACE(doc, 'sign_out\"', 'poison\"') WHERE pool_id = ?1";
        let mut batch = Batch::new();
        batch.any(cenote::store::Rank::Job, doc, cenote::params![pool.as_str()]);
        house.app.db.commit(batch).await.unwrap();
        house.advance(1);
        for _ in 0..10 {
            sign_out(&house, &pool, "eve").await;
        }
        works(&house).await;
        let states = states(&house, &pool).await;
        assert_eq!((states[0], &states[1..]), ("pending", &["done"; 10][..]), "{}", house.url);
        // And what waits alone is tried less and less often, whatever else is delivered.
        receiver.forget();
        for _ in 0..60 {
            house.advance(SECOND);
            sign_out(&house, &pool, "eve").await;
            works(&house).await;
        }
        let poison = receiver.told().iter().filter(|told| told.text.contains("poison")).count();
        assert!((3..=6).contains(&poison), "{poison} on {}", house.url);
    }
}

#[tokio::test]
async fn records_that_cannot_be_expanded_keep_no_other_back_and_are_expanded_once_they_can_be() {
    for house in houses_alone("poison_records").await {
        let (receiver, pool) = given(&house).await;
        let writes = async |doc: String| {
            let mut batch = Batch::new();
            let sql = "UPDATE targets SET doc = ?2 WHERE pool_id = ?1";
            batch.any(cenote::store::Rank::Job, sql, cenote::params![pool.as_str(), doc.as_str()]);
            house.app.db.commit(batch).await.unwrap();
        };
        writes("{}".to_owned()).await;
        for _ in 0..70 {
            sign_out(&house, &pool, "ann").await;
        }
        house.advance(1);
        let (_, later) = given(&house).await;
        sign_out(&house, &later, "ann").await;
        works(&house).await;
        assert_eq!(states(&house, &later).await, ["done"], "{}", house.url);
        assert_eq!(states(&house, &pool).await, [""; 0]);
        writes(json!({ "Url": receiver.url }).to_string()).await;
        house.advance(6 * SECOND);
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done"; 70]);
    }
}

#[tokio::test]
async fn a_receiver_that_asks_for_patience_is_left_alone_until_then() {
    for house in houses_alone("patience").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Later("120"));
        sign_out(&house, &pool, "ann").await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        receiver.does(Does::Status(200));
        for _ in 0..119 {
            house.advance(SECOND);
            works(&house).await;
        }
        assert_eq!(receiver.told().len(), 1, "{}", house.url);
        assert_eq!(rows(&house, &pool).await[0].status, Some(429));
        house.advance(SECOND);
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done", "done"]);
    }
}

#[tokio::test]
async fn an_answer_counts_once_its_status_is_there_whatever_follows() {
    for house in houses_alone("status_only").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Gigabytes);
        let slow = says(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nonly this").await;
        webhook(&house, &pool, &slow).await;
        let slow = says(b"HTTP/1.1 404 Not Found\r\ncontent-length: 1000\r\n\r\nnobody").await;
        let none = webhook(&house, &pool, &slow).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        for row in rows(&house, &pool).await {
            let told = (row.state.as_str(), row.detail.as_str());
            let dead = ("dead", "It answered 404.");
            assert_eq!(told, if row.target == none { dead } else { ("done", "") }, "{}", house.url);
        }
    }
}

#[tokio::test]
async fn of_a_refusal_its_code_is_kept_and_nothing_that_it_repeats() {
    for house in houses_alone("refusal").await {
        for (says, detail) in [
            (r#"{"error":"invalid_request"}"#, "It answered 503: invalid_request."),
            (SECRET, "It answered 503."),
            (r#"{"error":"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}"#, "It answered 503."),
        ] {
            let (receiver, pool) = given(&house).await;
            receiver.does(Does::Says(503, says));
            sign_out(&house, &pool, "ann").await;
            works(&house).await;
            assert_eq!(rows(&house, &pool).await[0].detail, detail, "{}", house.url);
        }
    }
}

#[tokio::test]
async fn one_that_answers_slowly_is_done_and_one_that_never_ends_its_answer_is_tried_again() {
    for house in houses_alone("slow").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Slowly);
        let flood = "HTTP/1.1 400 Bad Request\r\ncontent-length: 99999999999\r\n\r\n";
        let refusing = webhook(&house, &pool, &pours(flood, 1 << 20).await).await;
        let drops = "HTTP/1.1 200 OK\r\nx-drop: ";
        let dripping = webhook(&house, &pool, &pours(drops, 1).await).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        for row in rows(&house, &pool).await {
            let expected = match &row.target {
                target if *target == dripping => ("pending", "It did not answer in time."),
                target if *target == refusing => ("dead", "It answered 400."),
                _ => ("done", ""),
            };
            assert_eq!((row.state.as_str(), row.detail.as_str()), expected, "{}", house.url);
        }
    }
}

#[tokio::test]
async fn one_that_hangs_and_one_that_is_not_there_are_tried_again_and_keep_nobody_waiting() {
    for house in houses_alone("hanging").await {
        let (receiver, pool) = given(&house).await;
        let hanging = Receiver::start().await;
        hanging.does(Does::Silence);
        webhook(&house, &pool, &hanging.url).await;
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", nobody.local_addr().unwrap());
        drop(nobody);
        let gone = webhook(&house, &pool, &url).await;
        sign_out(&house, &pool, "ann").await;
        expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        let begun = work::begin(&Cx::system(house.app.clone())).await.unwrap();
        assert_eq!(begun.len(), 3);
        for _ in 0..200 {
            if !receiver.told().is_empty() && !hanging.told().is_empty() {
                break;
            }
            crate::house::pause().await;
        }
        assert_eq!(receiver.told().len(), 1, "{}", house.url);
        // A target that hangs has one turn at a time.
        assert_eq!(hanging.told().len(), 1);
        sign_out(&house, &pool, "ann").await;
        expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        let more = work::begin(&Cx::system(house.app.clone())).await.unwrap();
        assert_eq!(hanging.told().len(), 1);
        hanging.does(Does::Status(200));
        for turn in begun.into_iter().chain(more) {
            turn.await.unwrap();
        }
        works(&house).await;
        let rows = rows(&house, &pool).await;
        let of_gone: Vec<_> = rows.iter().filter(|row| row.target == gone).collect();
        assert!(of_gone.iter().all(|row| row.state.as_str() == "pending"));
        assert!(of_gone[0].detail.contains("cannot be reached"), "{}", of_gone[0].detail);
        assert!(rows.iter().any(|row| row.detail.contains("did not answer in time")));
    }
}

#[tokio::test]
async fn what_a_dead_server_had_in_hand_another_delivers_when_its_lease_is_over() {
    for house in houses_alone("leases").await {
        let (receiver, pool) = given(&house).await;
        for _ in 0..3 {
            sign_out(&house, &pool, "ann").await;
        }
        expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        let mut batch = Batch::new();
        for row in rows(&house, &pool).await {
            deliveries::lease(&mut batch, &row, NOW, NOW + 15 * SECOND);
        }
        house.app.db.commit(batch).await.unwrap();
        let next = house.another_node(14 * SECOND).await;
        works_alone(&next).await;
        assert!(receiver.told().is_empty(), "{}", house.url);
        next.advance(SECOND);
        works(&next).await;
        assert_eq!(receiver.told().len(), 3);
        // Who was only slow finds that others did it, and changes nothing.
        let row = rows(&house, &pool).await.remove(0);
        let mut batch = Batch::new();
        let late = deliveries::Tried {
            delivery: &row,
            lease_ms: NOW + 15 * SECOND,
            state: deliveries::State::Dead,
            status: None,
            detail: "late",
            due_ms: NOW,
        };
        deliveries::tried(&mut batch, &late, NOW + 16 * SECOND);
        house.app.db.commit(batch).await.unwrap();
        assert_eq!(states(&house, &pool).await, ["done"; 3]);
    }
}

/// One round of turns, where something stays that is another's.
async fn works_alone(house: &House) {
    for turn in work::begin(&Cx::system(house.app.clone())).await.unwrap() {
        turn.await.unwrap();
    }
}

#[tokio::test]
async fn several_servers_expand_a_record_once_and_tell_each_receiver_once() {
    for house in houses_alone("nodes").await {
        let (receiver, pool) = given(&house).await;
        let other = Receiver::start().await;
        webhook(&house, &pool, &other.url).await;
        for _ in 0..30 {
            sign_out(&house, &pool, "ann").await;
        }
        let mut nodes = Vec::new();
        for _ in 0..4 {
            nodes.push(house.another_node(0).await);
        }
        together(
            nodes
                .iter()
                .map(async |node| expand::round(&Cx::system(node.app.clone())).await.unwrap()),
        )
        .await;
        for node in &nodes {
            expand::run_once(Cx::system(node.app.clone())).await.unwrap();
        }
        assert_eq!(rows(&house, &pool).await.len(), 60, "{}", house.url);
        for _ in 0..20 {
            let begun = together(
                nodes
                    .iter()
                    .map(async |node| work::begin(&Cx::system(node.app.clone())).await.unwrap()),
            )
            .await;
            for turn in begun.into_iter().flatten() {
                turn.await.unwrap();
            }
        }
        assert_eq!((receiver.told().len(), other.told().len()), (30, 30), "{}", house.url);
        assert_eq!(states(&house, &pool).await, ["done"; 60]);
    }
}

#[tokio::test]
async fn a_backlog_does_not_wait_for_each_answer_of_a_slow_receiver() {
    for house in houses_alone("backlog").await {
        let (receiver, pool) = given(&house).await;
        receiver.does(Does::Slowly);
        for _ in 0..32 {
            let user = json!({ "UserPoolId": pool, "Username": "ann" });
            house.ok("AdminUserGlobalSignOut", user).await;
        }
        #[allow(clippy::disallowed_methods, reason = "what is measured is real time")]
        let began = std::time::Instant::now();
        works(&house).await;
        #[allow(clippy::disallowed_methods, reason = "what is measured is real time")]
        let took = began.elapsed().as_secs();
        assert_eq!((states(&house, &pool).await, receiver.told().len()), (vec!["done"; 32], 32));
        // One alone, then eight at a time: five seconds instead of thirty-two.
        assert!((5..20).contains(&took), "{took} s on {}", house.url);
    }
}

#[tokio::test]
async fn a_receiver_is_told_in_the_order_in_which_things_happened() {
    for house in houses_alone("order").await {
        let (receiver, pool) = given(&house).await;
        let mut signouts = Vec::new();
        for _ in 0..30 {
            let user = json!({ "UserPoolId": pool, "Username": "ann" });
            let answer = house.call("AdminUserGlobalSignOut", user).await;
            signouts.push(answer.header("x-cenote-signout").to_owned());
            house.advance(1);
        }
        works(&house).await;
        let told: Vec<String> = receiver
            .bodies()
            .iter()
            .map(|body| body["signout_id"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told, signouts, "{}", house.url);
    }
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_by_page_and_by_what_is_asked() {
    for house in houses_alone("listed").await {
        let (_, pool) = given(&house).await;
        let other = Receiver::start().await;
        other.does(Does::Status(404));
        let target = webhook(&house, &pool, &other.url).await;
        for _ in 0..3 {
            sign_out(&house, &pool, "ann").await;
            house.advance(1);
            works(&house).await;
        }
        let all = rows(&house, &pool).await;
        let db = &house.app.db;
        let list =
            async |filter, before| deliveries::list(db, &pool, filter, before, 4).await.unwrap();
        use deliveries::Filter;
        let first = list(Filter::default(), None).await;
        let last = first[3].id.clone();
        let rest = deliveries::list(db, &pool, Filter::default(), Some(&last), 4).await.unwrap();
        let mut paged = [first, rest].concat();
        paged.reverse();
        assert_eq!(paged, all);
        let dead =
            list(Filter { state: Some(deliveries::State::Dead), ..Filter::default() }, None).await;
        assert!(dead.len() == 3 && dead.iter().all(|row| row.target == target));
        let of_target = list(
            Filter { kind: Some(Kind::Webhook), target: Some(&target), ..Filter::default() },
            None,
        )
        .await;
        assert_eq!(of_target, dead);
        let of_signout =
            list(Filter { signout_id: Some(&all[0].signout_id), ..Filter::default() }, None).await;
        assert_eq!(of_signout.len(), 2);
        let none = Filter {
            kind: Some(Kind::Ssf),
            state: Some(deliveries::State::Dead),
            ..Filter::default()
        };
        assert!(list(none, None).await.is_empty());
        assert_eq!(
            deliveries::of_signout(db, &pool, &all[0].signout_id, None, 10).await.unwrap().len(),
            2
        );
        assert!(deliveries::find(db, "us-east-1_other", &all[0].id).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn what_was_told_is_shown_for_a_week() {
    for house in houses_alone("week").await {
        let (_, pool) = given(&house).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        purge::run(&house.app.db, NOW + 7 * 24 * HOUR).await.unwrap();
        assert_eq!(rows(&house, &pool).await.len(), 1, "{}", house.url);
        purge::run(&house.app.db, NOW + 7 * 24 * HOUR + 1).await.unwrap();
        assert!(rows(&house, &pool).await.is_empty());
    }
}

#[tokio::test]
async fn what_becomes_of_deliveries_is_counted() {
    for house in houses_alone("counted").await {
        let (receiver, pool) = given(&house).await;
        let gone = Receiver::start().await;
        gone.does(Does::Status(410));
        webhook(&house, &pool, &gone.url).await;
        receiver.does(Does::Status(503));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        house.advance(90 * SECOND);
        let metrics = async || {
            let request = axum::http::Request::get("/metrics").header("host", "localhost:9229");
            house.send(request.body(axum::body::Body::empty()).unwrap()).await.body
        };
        let text = metrics().await;
        for line in [
            "cenote_deliveries_total{kind=\"webhook\",state=\"deferred\"} 1\n",
            "cenote_deliveries_total{kind=\"webhook\",state=\"dead\"} 1\n",
            "cenote_deliveries_pending 1\n",
            "cenote_deliveries_oldest_seconds 90\n",
            "cenote_dead_letters 1\n",
        ] {
            assert!(text.contains(line), "{line} is missing on {}", house.url);
        }
        receiver.does(Does::Status(200));
        works(&house).await;
        let text = metrics().await;
        for line in [
            "cenote_deliveries_total{kind=\"webhook\",state=\"done\"} 1\n",
            "cenote_delivery_duration_seconds_count{kind=\"webhook\"} 1\n",
            "cenote_deliveries_pending 0\n",
            "cenote_deliveries_oldest_seconds 0\n",
        ] {
            assert!(text.contains(line), "{line} is missing on {}", house.url);
        }
    }
}

#[tokio::test]
async fn a_record_with_more_receivers_than_one_commit_takes_is_expanded_whole_and_keeps_no_other_waiting()
 {
    for house in houses_alone("pages").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let sub = house.attribute(&pool, "ann", "sub").await.unwrap();
        let now = house.app.clock.now_ms();
        let mut parties = Batch::new();
        for n in 0..1_010 {
            let party = participations::Participation {
                sid: format!("sid-{n:018}"),
                sso_id: None,
                client_id: "gone".to_owned(),
                sub: sub.clone(),
                birth_ms: now,
                created_ms: now,
                expires_ms: now + DAY,
                ended_ms: None,
            };
            participations::join(&mut parties, &pool, &party);
        }
        house.app.db.commit(parties).await.unwrap();
        webhook(&house, &pool, "http://127.0.0.1:9/").await;
        house.advance(1);
        sign_out(&house, &pool, "ann").await;
        // After one page of the first, the record of a pool that came later has its turn.
        let later = house.pool(json!({})).await;
        house.user(&later, "ann").await;
        webhook(&house, &later, "http://127.0.0.1:9/").await;
        sign_out(&house, &later, "ann").await;
        let living = "SELECT COUNT(*) FROM participations WHERE pool_id = ?1 AND ended_ms IS NULL";
        for left in [510, 10] {
            assert!(expand::round(&Cx::system(house.app.clone())).await.unwrap());
            assert_eq!(rows(&house, &later).await.len(), 1, "{}", house.url);
            assert_eq!(house.rows(living, &pool).await, left);
        }
        expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        assert_eq!(house.rows(living, &pool).await, 0);
        assert_eq!(rows(&house, &pool).await.len(), 1, "the webhook is told once");
        assert!(!expand::round(&Cx::system(house.app.clone())).await.unwrap());
    }
}
