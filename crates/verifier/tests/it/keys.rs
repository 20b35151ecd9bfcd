//! Keys that come and go.

use cenote_verifier::Refusal;
use cenote_verifier::format::Kind;

use crate::fake::{Fake, RSA, sign, wall_ms};
use crate::{moved, ready, setup, started, until};

#[tokio::test]
async fn a_new_key_is_fetched_once_however_many_tokens_come_with_it() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    clock.pass(10_000);
    fake.inside().token_keys.push(("key-2".into(), RSA[1]));
    let before = fake.count("jwks");
    let checks = (0..32).map(|_| {
        let (verifier, token) = (verifier.clone(), fake.signs_in());
        tokio::spawn(async move { verifier.verify(&token).await })
    });
    for check in checks.collect::<Vec<_>>() {
        assert!(check.await.unwrap().is_ok());
    }
    assert_eq!(fake.count("jwks"), before + 1);
}

#[tokio::test]
async fn invented_key_ids_reach_the_server_at_most_every_ten_seconds() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    let claims = serde_json::json!({ "sub": "x" });
    clock.pass(10_000);
    let before = fake.count("jwks");
    for n in 0..20 {
        let token = sign(&format!("invented-{n}"), RSA[2], &claims);
        assert_eq!(verifier.verify(&token).await, Err(Refusal::UnknownKey));
    }
    assert_eq!(fake.count("jwks"), before + 1);
    clock.pass(10_000);
    assert_eq!(verifier.verify(&sign("invented", RSA[2], &claims)).await, Err(Refusal::UnknownKey));
    assert_eq!(fake.count("jwks"), before + 2);
}

#[tokio::test]
async fn while_keys_cannot_be_fetched_an_unknown_one_is_our_trouble_and_not_the_tokens() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    let known = fake.signs_in();
    clock.pass(10_000);
    fake.inside().token_keys.push(("key-2".into(), RSA[1]));
    let unknown = fake.signs_in();
    fake.inside().away = true;
    assert_eq!(verifier.verify(&unknown).await, Err(Refusal::Unavailable));
    assert!(verifier.verify(&known).await.is_ok());
    fake.inside().away = false;
    until(async || verifier.verify(&unknown).await.is_ok()).await;
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once_and_never_taken_back() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    let token = fake.signs_in();
    assert!(verifier.verify(&token).await.is_ok());
    fake.ends_until(Kind::SigningKey, "key-1", 0, wall_ms() + 60_000);
    until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
    // A thief can make a token that was born after anything, and lasts.
    let minted = fake.token(&fake.session(wall_ms() + 86_400_000), |_| {});
    assert_eq!(verifier.verify(&minted).await, Err(Refusal::Revoked));
    let fetches = fake.count("jwks");
    clock.pass(10_000);
    assert_eq!(verifier.verify(&minted).await, Err(Refusal::Revoked));
    assert_eq!(fake.count("jwks"), fetches, "we know why we do not have it");
}

#[tokio::test]
async fn a_key_that_left_the_set_takes_its_tokens_along() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    let token = fake.signs_in();
    assert!(verifier.verify(&token).await.is_ok());
    fake.inside().token_keys = vec![("key-2".into(), RSA[1])];
    clock.pass(300_000);
    until(async || verifier.verify(&token).await == Err(Refusal::UnknownKey)).await;
    assert!(verifier.verify(&fake.signs_in()).await.is_ok());
}

#[tokio::test]
async fn a_new_feed_key_is_fetched_and_an_old_one_is_not_honoured() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    clock.pass(10_000);
    fake.inside().feed_key = ("feed-2".into(), [0x43; 32]);
    let frames = verifier.status().frames;
    until(async || verifier.status().frames > frames + 1).await;
    clock.pass(10_000);
    // The kid of the new key, but not the key that the set shows.
    fake.inside().feed_key = ("feed-2".into(), [0x42; 32]);
    let refused = verifier.status().refused;
    until(async || verifier.status().refused > refused + 1).await;
}

#[tokio::test]
async fn a_feed_key_that_left_the_set_signs_nothing_more() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).clock(clock.clone())).await;
    fake.inside().shown_feed_key = Some(("feed-2".into(), [0x43; 32]));
    let refused = verifier.status().refused;
    clock.pass(300_000);
    until(async || verifier.status().refused > refused).await;
}

#[tokio::test]
async fn tokens_that_are_not_right_are_refused_each_for_its_own_reason() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let session = fake.session(wall_ms());
    let token = |change: fn(&mut serde_json::Value)| fake.token(&session, change);
    for (token, refusal) in [
        (token(|c| c["iss"] = "https://elsewhere.example.com".into()), Refusal::Issuer),
        (token(|c| c["exp"] = 1_000.into()), Refusal::Expired),
        (
            token(|c| {
                c["token_use"] = "id".into();
                c["aud"] = "x".into();
            }),
            Refusal::TokenUse,
        ),
        (
            token(|c| c["origin_jti"] = "5c8d6c1e-4b1f-4f0e-9a55-3d2f0a6c7b11".into()),
            Refusal::Malformed,
        ),
        (token(|_| {}) + "A", Refusal::Signature),
        (String::new(), Refusal::Malformed),
        ("a.b.c".into(), Refusal::Malformed),
        ("e30.e30.".into(), Refusal::Malformed),
        ("x".repeat(1 << 20), Refusal::Malformed),
        (sign("key-1", RSA[2], &serde_json::json!({})), Refusal::Signature),
    ] {
        assert_eq!(
            verifier.verify(&token).await,
            Err(refusal),
            "{}",
            &token[..token.len().min(80)]
        );
    }
}
