//! Following the feed, whatever comes.

use std::sync::atomic::Ordering::SeqCst;

use cenote_verifier::format::Kind;
use cenote_verifier::{Freshness, Policy, Refusal};
use serde_json::json;

use crate::fake::{Fake, POOL, SUB, wall_ms};
use crate::{is_fresh, moved, ready, setup, started, until};

#[tokio::test]
async fn a_sign_out_is_known_within_milliseconds_and_the_next_sign_in_lives() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let token = fake.signs_in();
    assert_eq!(verifier.verify(&token).await.unwrap().sub(), SUB);
    let began = std::time::Instant::now();
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
    assert!(began.elapsed().as_millis() < 500, "it took {:?}", began.elapsed());
    let again = fake.token(&fake.session(wall_ms() + 2), |_| {});
    assert!(verifier.verify(&again).await.is_ok());
    assert_eq!(verifier.status().entries, 1);
}

#[tokio::test]
async fn the_server_is_told_who_asks_what_is_known_and_what_happens_if_it_falls_silent() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    fake.ends(Kind::User, "somebody", wall_ms());
    until(async || verifier.status().seq == Some(1)).await;
    until(async || fake.inside().asked.get("since").is_some_and(|since| since == "1")).await;
    let asked = fake.inside().asked.clone();
    for (name, value) in
        [("consumer", "orders-1"), ("policy", "introspect"), ("max_staleness", "30")]
    {
        assert_eq!(asked[name], value, "{name}");
    }
    assert!((16..=64).contains(&asked["nonce"].len()));
}

#[tokio::test]
async fn a_token_seen_before_costs_no_second_signature_check_but_is_asked_about_each_time() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let token = fake.signs_in();
    for _ in 0..100 {
        assert!(verifier.verify(&token).await.is_ok());
    }
    assert_eq!(verifier.status().signature_checks, 1);
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
    assert_eq!(verifier.status().signature_checks, 1);
}

/// Whatever is done to frames, none is accepted, the state ages, and when it is over a snapshot brings what was missed.
#[tokio::test]
async fn tampered_frames_are_refused_and_nothing_that_they_hid_is_lost() {
    type Tamper = fn(&mut serde_json::Value);
    let tampering: [(&str, Tamper); 6] = [
        ("a record hidden", |p| {
            p["to"] = p["from"].clone();
            p["h_after"] = p["h_before"].clone();
            p["e"] = json!([]);
            p["nonce"] = json!("cmVwbGF5ZWQtYW5zd2Vy");
        }),
        ("another pool", |p| p["pool"] = json!("eu-west-1_Zz9yXw8Vu")),
        ("another chain", |p| p["h_before"] = json!("A".repeat(43))),
        ("a gap", |p| p["from"] = json!(p["from"].as_u64().unwrap() + 1)),
        ("a repetition", |p| p["from"] = json!(0)),
        ("another version", |p| p["v"] = json!(2)),
    ];
    for (name, tamper) in tampering {
        let fake = Fake::start().await;
        fake.ends(Kind::User, "somebody", wall_ms());
        let verifier = started(&fake).await;
        let token = fake.signs_in();
        assert!(verifier.verify(&token).await.is_ok());
        fake.inside().payload = Some(tamper);
        let refused = verifier.status().refused;
        until(async || verifier.status().refused > refused).await;
        let frames = verifier.status().frames;
        fake.ends(Kind::User, SUB, wall_ms() + 1);
        // The snapshot that follows a refused frame is genuine: it says what the frame hid.
        until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
        assert_eq!(verifier.status().frames, frames, "{name}: a frame was accepted");
        fake.inside().payload = None;
        until(async || verifier.status().frames > frames).await;
    }
}

#[tokio::test]
async fn a_frame_that_was_altered_or_replaced_on_the_way_is_refused() {
    let alterations: [fn(String) -> String; 4] = [
        |frame| frame.replacen('.', ".e30", 1),
        |frame| frame[..frame.len() - 4].to_owned() + "AAAA",
        |_| "<html>".to_owned(),
        |_| "x".repeat(2 << 20),
    ];
    for alter in alterations {
        let fake = Fake::start().await;
        let verifier = started(&fake).await;
        fake.inside().frame = Some(alter);
        let before = verifier.status();
        until(async || verifier.status().failures >= before.failures + 2).await;
        let frames = verifier.status().frames;
        fake.inside().frame = None;
        until(async || verifier.status().frames > frames).await;
    }
}

#[tokio::test]
async fn an_answer_of_before_is_no_proof_of_anything() {
    use std::sync::Mutex;
    static KEPT: Mutex<Option<String>> = Mutex::new(None);
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    fake.inside().frame = Some(|frame| KEPT.lock().unwrap().get_or_insert(frame).clone());
    let refused = verifier.status().refused;
    until(async || verifier.status().refused > refused + 1).await;
    let frames = verifier.status().frames;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(verifier.status().frames, frames);
}

#[tokio::test]
async fn a_new_life_of_the_database_takes_no_record_away() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let token = fake.signs_in();
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    until(async || verifier.status().seq == Some(1)).await;
    {
        let mut inside = fake.inside();
        inside.incarnation = "AAAAAAAAAAAAAAAAAAAAAA".into();
        inside.records.clear();
    }
    until(async || verifier.status().seq == Some(0)).await;
    is_fresh(&verifier).await;
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Revoked));
}

#[tokio::test]
async fn a_feed_that_forgot_what_came_before_is_begun_anew_from_a_snapshot() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let token = fake.signs_in();
    {
        let mut inside = fake.inside();
        inside.feed_away = true;
        inside.forgets_before = 2;
    }
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    fake.ends(Kind::User, "somebody", wall_ms() + 1);
    let snapshots = verifier.status().snapshots;
    fake.inside().feed_away = false;
    until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
    assert!(verifier.status().snapshots > snapshots);
}

#[tokio::test]
async fn a_thousand_records_and_more_come_in_several_frames() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let token = fake.signs_in();
    for n in 0..2_500 {
        let kind = if n == 2_400 { Kind::Pool } else { Kind::User };
        let id = if n == 2_400 { crate::fake::POOL.to_owned() } else { n.to_string() };
        fake.ends(kind, &id, wall_ms() + 1);
    }
    until(async || verifier.status().seq == Some(2_500)).await;
    assert_eq!(verifier.status().entries, 2_500);
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Revoked));
}

#[tokio::test]
async fn an_hour_of_sleep_ages_the_state_and_one_answer_makes_it_fresh_again() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    fake.inside().feed_away = true;
    clock.pass(3_600_000);
    assert_eq!(verifier.freshness(), Freshness::Expired);
    fake.inside().feed_away = false;
    is_fresh(&verifier).await;
}

#[tokio::test]
async fn time_that_only_one_of_the_clocks_saw_counts() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    fake.inside().hangs = true;
    // A virtual machine that was stopped: its monotonic clock saw nothing.
    clock.wall.fetch_add(31_000, SeqCst);
    assert_eq!(verifier.freshness(), Freshness::Expired);
    // A wall clock that is put back hides no age.
    clock.wall.fetch_sub(3_600_000, SeqCst);
    clock.monotonic.fetch_add(10_000, SeqCst);
    assert_eq!(verifier.freshness(), Freshness::Stale);
    clock.monotonic.fetch_add(21_000, SeqCst);
    assert_eq!(verifier.freshness(), Freshness::Expired);
}

#[tokio::test]
async fn an_answer_is_as_old_as_its_question() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    fake.inside().holds_ms = 1_000;
    let asked = fake.count("delta");
    until(async || fake.count("delta") > asked).await;
    let frames = verifier.status().frames;
    // Ten seconds pass while that question is on its way.
    clock.pass(10_000);
    until(async || verifier.status().frames > frames).await;
    assert_ne!(verifier.freshness(), Freshness::Fresh);
}

#[tokio::test]
async fn a_clock_that_is_put_back_brings_no_token_back_to_life() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    let token = fake.signs_in();
    assert!(verifier.verify(&token).await.is_ok());
    // An hour and a half later by both clocks, the server's too: the record is gone, and so is the token.
    fake.inside().now_ms = || wall_ms() + 5_400_000;
    clock.pass(5_400_000);
    is_fresh(&verifier).await;
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Expired));
    clock.wall.fetch_sub(5_400_000, SeqCst);
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Expired));
}

#[tokio::test]
async fn a_full_frame_may_leave_more_behind_and_proves_no_freshness() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    fake.inside().feed_away = true;
    clock.pass(31_000);
    for n in 0..1_500 {
        fake.ends(Kind::User, &n.to_string(), wall_ms());
    }
    fake.inside().hangs_from = 1_000;
    fake.inside().feed_away = false;
    until(async || verifier.status().seq == Some(1_000)).await;
    assert_eq!(verifier.freshness(), Freshness::Expired);
    fake.inside().hangs_from = usize::MAX;
    until(async || verifier.status().seq == Some(1_500)).await;
    is_fresh(&verifier).await;
}

/// A snapshot that was made while the server's clock was ahead lacks what lives by the right time.
#[tokio::test]
async fn a_server_whose_clock_was_ahead_and_is_put_back_brings_no_token_back_to_life() {
    let fake = Fake::start().await;
    let token = fake.signs_in();
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    fake.inside().now_ms = || wall_ms() + 86_400_000;
    let verifier = started(&fake).await;
    assert_eq!(verifier.status().entries, 0);
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Expired));
    fake.inside().now_ms = wall_ms;
    until(async || {
        let verdict = verifier.verify(&token).await;
        assert!(verdict.is_err(), "it was accepted");
        verdict == Err(Refusal::Revoked)
    })
    .await;
    is_fresh(&verifier).await;
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Revoked));
}

/// Nobody gives us a token for it any more, and the one that we had has expired meanwhile.
#[tokio::test]
async fn the_end_of_a_pool_that_is_gone_is_learned_by_who_was_asleep_then() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).policy(Policy::FailOpen).clock(clock.clone())).await;
    let token = fake.token(&fake.session(wall_ms()), |claims| {
        claims["exp"] = json!(wall_ms() / 1_000 + 86_400);
    });
    assert!(verifier.verify(&token).await.is_ok());
    {
        let mut inside = fake.inside();
        inside.feed_away = true;
        inside.now_ms = || wall_ms() + 7_200_000;
    }
    clock.pass(7_200_000);
    fake.ends_until(Kind::Pool, POOL, wall_ms() + 1, wall_ms() + 90_000_000);
    assert!(verifier.verify(&token).await.is_ok());
    fake.inside().gone = true;
    until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
    let asked = fake.count("delta");
    until(async || fake.count("delta") > asked + 2).await;
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Revoked), "not found is no news");
}

#[tokio::test]
async fn a_server_that_asks_for_a_wait_is_not_asked_sooner() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    fake.inside().retry_after = Some(1);
    let failures = verifier.status().failures;
    until(async || verifier.status().failures > failures).await;
    let asked = fake.count("delta");
    tokio::time::sleep(std::time::Duration::from_millis(900)).await;
    assert_eq!(fake.count("delta"), asked);
    fake.inside().retry_after = None;
    let frames = verifier.status().frames;
    until(async || verifier.status().frames > frames).await;
}

#[tokio::test]
async fn news_is_waited_for_from_the_first_fresh_moment_on() {
    let mut took = Vec::new();
    for _ in 0..3 {
        let fake = Fake::start().await;
        let verifier = started(&fake).await;
        let token = fake.signs_in();
        let began = std::time::Instant::now();
        fake.ends(Kind::User, SUB, wall_ms() + 1);
        until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
        took.push(began.elapsed());
    }
    // Of three, as this machine may be busy.
    let best = took.into_iter().min().unwrap();
    assert!(best.as_millis() < 150, "it took {best:?}");
}
