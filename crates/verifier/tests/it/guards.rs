//! Sockets that close.

use std::time::Duration;

use cenote_verifier::format::Kind;
use cenote_verifier::{Ended, Policy};
use tokio::time::timeout;

use crate::fake::{CLIENT, Fake, POOL, SUB, wall_ms};
use crate::{moved, ready, setup, started, until, within};

#[tokio::test]
async fn a_sign_out_closes_the_socket_and_a_refresh_does_not() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let session = fake.session(wall_ms());
    let token = verifier.verify(&fake.token(&session, |_| {})).await.unwrap();
    let guard = verifier.guard(&token);
    // The refreshed token is another, of the same session; somebody else is signed out meanwhile.
    assert!(verifier.verify(&fake.token(&session, |_| {})).await.is_ok());
    fake.ends(Kind::User, "somebody", wall_ms() + 1);
    fake.ends(Kind::Session, &fake.session(wall_ms()), wall_ms() + 1);
    until(async || verifier.status().seq == Some(2)).await;
    assert!(timeout(Duration::from_millis(100), guard.revoked()).await.is_err());
    let began = std::time::Instant::now();
    fake.ends(Kind::Session, &session, wall_ms() + 1);
    assert_eq!(within(guard.revoked()).await, Ended::Revoked);
    assert!(began.elapsed().as_millis() < 1_000);
    assert_eq!(within(guard.revoked()).await, Ended::Revoked, "and again");
}

#[tokio::test]
async fn each_kind_of_end_closes_it() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let kinds = [
        (Kind::User, SUB),
        (Kind::Client, CLIENT),
        (Kind::Pool, POOL),
        (Kind::SigningKey, "key-1"),
    ];
    for ((kind, id), after) in kinds.into_iter().zip(1..) {
        // After what ended before.
        let born = wall_ms() + 60_000 * after;
        let text = fake.token(&fake.session(born), |_| {});
        let token = verifier.verify(&text).await.unwrap();
        let guards: Vec<_> = (0..100).map(|_| verifier.guard(&token)).collect();
        assert_eq!(verifier.status().guards, 100);
        fake.ends(kind, id, born + 1);
        for guard in &guards {
            assert_eq!(within(guard.revoked()).await, Ended::Revoked);
        }
        drop(guards);
        assert_eq!(verifier.status().guards, 0);
    }
}

#[tokio::test]
async fn a_sign_out_that_comes_by_a_snapshot_closes_it_too() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let guard = verifier.guard(&verifier.verify(&fake.signs_in()).await.unwrap());
    fake.inside().feed_away = true;
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    fake.inside().incarnation = "AAAAAAAAAAAAAAAAAAAAAA".into();
    fake.inside().feed_away = false;
    assert_eq!(within(guard.revoked()).await, Ended::Revoked);
}

#[tokio::test]
async fn only_a_strict_guard_lets_go_of_a_feed_that_fell_silent() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).policy(Policy::FailOpen).clock(clock.clone())).await;
    let token = verifier.verify(&fake.signs_in()).await.unwrap();
    let (guard, strict) = (verifier.guard(&token), verifier.strict_guard(&token));
    fake.inside().feed_away = true;
    clock.pass(31_000);
    assert_eq!(within(strict.revoked()).await, Ended::Blind);
    assert!(timeout(Duration::from_millis(100), guard.revoked()).await.is_err());
}
