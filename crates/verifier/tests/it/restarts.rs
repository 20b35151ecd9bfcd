//! Starting while the server is away, with a disk and without.

use std::path::PathBuf;

use cenote_verifier::format::Kind;
use cenote_verifier::{Freshness, Policy, Refusal, Verifier};

use crate::fake::{Fake, SUB, wall_ms};
use crate::{is_fresh, ready, setup, until};

fn file(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("cenote-verifier-{name}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

#[tokio::test]
async fn one_that_starts_while_the_server_is_away_refuses_and_recovers_by_itself() {
    let fake = Fake::start().await;
    fake.inside().away = true;
    let verifier = setup(&fake).policy(Policy::FailOpen).start().unwrap();
    let token = fake.signs_in();
    assert_eq!(
        verifier.verify(&token).await,
        Err(Refusal::Unavailable),
        "it has no key to check with"
    );
    assert_eq!(verifier.freshness(), Freshness::Expired);
    fake.inside().away = false;
    until(async || verifier.verify(&token).await.is_ok()).await;
    is_fresh(&verifier).await;
}

#[tokio::test]
async fn with_a_disk_it_knows_the_sign_outs_of_before_and_catches_up_from_there() {
    let (fake, path) = (Fake::start().await, file("restart"));
    let dead = fake.signs_in();
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    {
        let verifier = ready(setup(&fake).disk(&path)).await;
        until(async || verifier.status().seq == Some(1)).await;
        verifier.save().await;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let lives = fake.token(&fake.session(wall_ms() + 1_000), |_| {});
    fake.inside().away = true;
    let verifier = setup(&fake).policy(Policy::FailOpen).disk(&path).start().unwrap();
    assert_eq!(
        verifier.freshness(),
        Freshness::Expired,
        "what was written down proves nothing fresh"
    );
    assert_eq!(verifier.verify(&dead).await, Err(Refusal::Revoked));
    assert!(verifier.verify(&lives).await.is_ok());
    assert_eq!(verifier.verify_by(&lives, Policy::FailClosed).await, Err(Refusal::Unavailable));
    fake.inside().away = false;
    let snapshots = fake.count("snapshot");
    is_fresh(&verifier).await;
    assert_eq!(fake.count("snapshot"), snapshots, "a delta was enough");
}

#[tokio::test]
async fn keys_that_changed_while_nobody_signed_out_are_on_the_disk_too() {
    let (fake, path) = (Fake::start().await, file("keys"));
    let verifier = ready(setup(&fake).disk(&path)).await;
    verifier.save().await;
    fake.inside().token_keys.push(("key-2".into(), crate::fake::RSA[1]));
    let token = fake.signs_in();
    // Who just asked for the keys does not ask again at once.
    drop(verifier);
    let verifier = ready(setup(&fake).disk(&path)).await;
    until(async || verifier.verify(&token).await.is_ok()).await;
    verifier.save().await;
    drop(verifier);
    fake.inside().away = true;
    let verifier = setup(&fake).policy(Policy::FailOpen).disk(&path).start().unwrap();
    assert!(verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_lost_a_damaged_and_a_foreign_file_cost_nothing_but_what_they_held() {
    let (fake, path) = (Fake::start().await, file("damaged"));
    let token = fake.signs_in();
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    let check = async |verifier: Verifier| {
        is_fresh(&verifier).await;
        until(async || verifier.verify(&token).await == Err(Refusal::Revoked)).await;
        verifier.save().await;
    };
    check(setup(&fake).disk(&path).start().unwrap()).await;
    let written = std::fs::read(&path).unwrap();
    let flipped = |at: usize| {
        let mut bytes = written.clone();
        bytes[at] ^= 1;
        bytes
    };
    for bytes in [
        vec![],
        flipped(0),
        flipped(9),
        flipped(100),
        flipped(written.len() - 40),
        written[..50].to_vec(),
    ] {
        std::fs::write(&path, bytes).unwrap();
        check(setup(&fake).disk(&path).start().unwrap()).await;
    }
    std::fs::write(&path, &written).unwrap();
    let other = Verifier::builder("http://127.0.0.1:9/eu-west-1_Zz9yXw8Vu", "x")
        .disk(&path)
        .start()
        .unwrap();
    assert_eq!(other.status().entries, 0);
    std::fs::remove_file(&path).unwrap();
    check(setup(&fake).disk(&path).start().unwrap()).await;
    let unwritable = setup(&fake).disk("/nonexistent/file").start().unwrap();
    check(unwritable).await;
}

#[tokio::test]
async fn a_setup_that_cannot_work_is_refused_in_words() {
    for (builder, word) in [
        (Verifier::builder("ftp://x/pool", "a"), "no http address"),
        (Verifier::builder("https://id.example.com", "a"), "name the pool"),
        (Verifier::builder("https://id.example.com/p_1", "a b"), "consumer"),
        (Verifier::builder("https://id.example.com/p_1", ""), "consumer"),
        (
            Verifier::builder("https://id.example.com/p_1", "a")
                .ca("nonsense-----BEGIN CERTIFICATE-----\n!"),
            "certificate",
        ),
        (
            Verifier::builder("https://id.example.com/p_1", "a")
                .max_staleness(std::time::Duration::from_secs(1)),
            "at least 4 s",
        ),
        (
            Verifier::builder("https://id.example.com/p_1", "a")
                .max_staleness(std::time::Duration::from_secs(86_401)),
            "at most a day",
        ),
    ] {
        let Err(refused) = builder.start() else { panic!("{word}") };
        assert!(refused.to_string().contains(word), "{refused}");
    }
}
