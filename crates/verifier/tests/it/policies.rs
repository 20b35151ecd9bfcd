//! What happens while the feed is too old to tell.

use cenote_verifier::format::Kind;
use cenote_verifier::{Freshness, Policy, Refusal, Verifier};

use crate::fake::{Fake, SUB, wall_ms};
use crate::{Moved, moved, ready, setup, until};

/// The feed has been silent for longer than it may. Of two users one is known to be signed out.
async fn silent(policy: Policy) -> (Fake, std::sync::Arc<Moved>, Verifier, String, String) {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).policy(policy).clock(clock.clone())).await;
    let lives = fake.signs_in();
    let dead = fake.token(&fake.session(wall_ms()), |claims| claims["sub"] = "bob".into());
    fake.ends(Kind::User, "bob", wall_ms() + 1);
    until(async || verifier.verify(&dead).await == Err(Refusal::Revoked)).await;
    fake.inside().feed_away = true;
    clock.pass(31_000);
    until(async || verifier.freshness() == Freshness::Expired).await;
    (fake, clock, verifier, lives, dead)
}

#[tokio::test]
async fn closed_refuses_with_503() {
    let (fake, _, verifier, lives, dead) = silent(Policy::FailClosed).await;
    assert_eq!(verifier.verify(&lives).await, Err(Refusal::Unavailable));
    assert_eq!(verifier.verify(&dead).await, Err(Refusal::Revoked), "that is known");
    assert_eq!(fake.count("introspect"), 0);
    fake.inside().feed_away = false;
    until(async || verifier.verify(&lives).await.is_ok()).await;
}

#[tokio::test]
async fn open_goes_on_with_what_is_known() {
    let (fake, _, verifier, lives, dead) = silent(Policy::FailOpen).await;
    assert!(verifier.verify(&lives).await.is_ok());
    assert_eq!(verifier.verify(&dead).await, Err(Refusal::Revoked));
    assert_eq!(fake.count("introspect"), 0);
}

#[tokio::test]
async fn introspection_asks_the_server_at_most_every_five_seconds() {
    let (fake, clock, verifier, lives, _) = silent(Policy::Introspect).await;
    for _ in 0..10 {
        assert!(verifier.verify(&lives).await.is_ok());
    }
    assert_eq!(fake.count("introspect"), 1);
    fake.inside().inactive.push(lives.clone());
    clock.pass(5_000);
    assert_eq!(verifier.verify(&lives).await, Err(Refusal::Revoked));
    assert_eq!(fake.count("introspect"), 2);
}

#[tokio::test]
async fn an_id_token_cannot_be_introspected_so_nobody_says_that_its_session_is_over() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).accept_both().clock(clock.clone())).await;
    let token = fake.token(&fake.session(wall_ms()), |claims| {
        claims["token_use"] = "id".into();
        claims["aud"] = claims["client_id"].take();
    });
    assert!(verifier.verify(&token).await.is_ok());
    fake.inside().feed_away = true;
    clock.pass(31_000);
    assert_eq!(verifier.verify(&token).await, Err(Refusal::Unavailable));
    assert!(verifier.verify_by(&token, Policy::IntrospectElseOpen).await.is_ok());
    assert_eq!(fake.count("introspect"), 0);
}

#[tokio::test]
async fn introspection_that_fails_refuses_or_goes_on_as_the_route_wants() {
    let (fake, _, verifier, lives, dead) = silent(Policy::Introspect).await;
    fake.inside().introspects = false;
    assert_eq!(verifier.verify(&lives).await, Err(Refusal::Unavailable));
    let open = Policy::IntrospectElseOpen;
    assert!(verifier.verify_by(&lives, open).await.is_ok());
    assert_eq!(verifier.verify_by(&dead, open).await, Err(Refusal::Revoked));
    // From now on the server knows that some route may be open.
    fake.inside().feed_away = false;
    until(async || fake.inside().asked.get("policy").is_some_and(|policy| policy == "open")).await;
}

#[tokio::test]
async fn within_the_staleness_that_is_allowed_nobody_is_asked() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).policy(Policy::FailClosed).clock(clock.clone())).await;
    let token = fake.signs_in();
    fake.inside().feed_away = true;
    clock.pass(20_000);
    assert_eq!(verifier.freshness(), Freshness::Stale);
    assert!(verifier.verify(&token).await.is_ok());
    assert_eq!(fake.count("introspect"), 0);
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_server_that_is_away() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).policy(Policy::FailClosed).clock(clock.clone())).await;
    let token = fake.signs_in();
    assert!(verifier.verify(&token).await.is_ok());
    fake.inside().hangs = true;
    let failures = verifier.status().failures;
    until(async || verifier.status().failures > failures).await;
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    fake.inside().hangs = false;
    until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
}
