//! One-time handles: what a browser carries to an identity provider and back.

use cenote::cx::Cx;
use cenote::error::Error;
use cenote::federation::handshake::{self, Handshake, State};
use cenote::federation::seen;
use cenote::store::Batch;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::house::{House, houses, together};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Journey {
    to: String,
}

impl Handshake for Journey {
    const PURPOSE: &'static str = "journey";
    const LIFETIME: i64 = 60_000;
}

#[derive(Serialize, Deserialize)]
struct Errand {
    to: String,
}

impl Handshake for Errand {
    const PURPOSE: &'static str = "errand";
    const LIFETIME: i64 = 60_000;
}

async fn begun(house: &House, pool: &str) -> String {
    let cx = Cx::system(house.app.clone());
    let mut batch = Batch::new();
    let journey = Journey { to: "the provider".into() };
    let handle = handshake::begin(&cx, &mut batch, pool, &journey).unwrap();
    cx.db().commit(batch).await.unwrap();
    handle
}

#[tokio::test]
async fn a_handle_is_short_says_nothing_and_stands_for_its_value_once() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let handle = begun(&house, &pool).await;
        assert_eq!(handle.len(), 43);
        assert!(handle.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_'));

        let cx = Cx::system(house.app.clone());
        let found = handshake::find::<Journey>(&cx, &pool, &handle).await.unwrap().unwrap();
        assert_eq!((&*found.value.to, found.state), ("the provider", State::Open));
        let mut batch = Batch::new();
        found.take(&mut batch);
        cx.db().commit(batch).await.unwrap();

        let taken = handshake::find::<Journey>(&cx, &pool, &handle).await.unwrap().unwrap();
        assert_eq!(taken.state, State::Taken);
        let mut batch = Batch::new();
        taken.take(&mut batch);
        assert!(cx.db().commit(batch).await.unwrap_err().is_conflict());
    }
}

#[tokio::test]
async fn a_handle_of_another_pool_purpose_or_nobody_is_unknown_and_one_that_is_over_cannot_be_taken()
 {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let other = house.pool(json!({})).await;
        let handle = begun(&house, &pool).await;
        let cx = Cx::system(house.app.clone());
        assert!(handshake::find::<Journey>(&cx, &other, &handle).await.unwrap().is_none());
        assert!(handshake::find::<Errand>(&cx, &pool, &handle).await.unwrap().is_none());
        for nobodys in ["", "x", &"A".repeat(43), &"A".repeat(20_000)] {
            assert!(handshake::find::<Journey>(&cx, &pool, nobodys).await.unwrap().is_none());
        }
        house.advance(60_000);
        let cx = Cx::system(house.app.clone());
        let late = handshake::find::<Journey>(&cx, &pool, &handle).await.unwrap().unwrap();
        assert_eq!(late.state, State::Over);
        let mut batch = Batch::new();
        late.take(&mut batch);
        assert!(cx.db().commit(batch).await.unwrap_err().is_conflict());
    }
}

#[tokio::test]
async fn of_32_who_take_one_handle_exactly_one_wins() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let handle = begun(&house, &pool).await;
        let racers = (0..32).map(|_| {
            let (house, pool, handle) = (&house, &pool, &handle);
            async move {
                let cx = Cx::system(house.app.clone());
                let found = handshake::find::<Journey>(&cx, pool, handle).await.unwrap().unwrap();
                let mut batch = Batch::new();
                found.take(&mut batch);
                cx.db().commit(batch).await.is_ok()
            }
        });
        let won = together(racers).await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "{won:?}");
    }
}

#[tokio::test]
async fn a_message_is_taken_once_on_all_nodes_for_each_provider_and_kind() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let other = house.another_node(5_000).await;
        let take = |house: &House, provider: &str, what: &str, id: &str| {
            let cx = Cx::system(house.app.clone());
            let mut batch = Batch::new();
            let seen = Error::invalid("seen before");
            seen::once(&mut batch, (&pool, provider), what, id, cx.now + 60_000, seen);
            async move { cx.db().commit(batch).await.map_err(|error| error.message.to_string()) }
        };
        assert_eq!(take(&house, "Corp", "assertion", "_1").await, Ok(()));
        for node in [&house, &other] {
            let again = take(node, "Corp", "assertion", "_1").await;
            assert_eq!(again, Err("seen before".to_owned()));
        }
        assert_eq!(take(&other, "Corp", "logout", "_1").await, Ok(()));
        assert_eq!(take(&other, "Other", "assertion", "_1").await, Ok(()));
        let racers = (0..32).map(|_| take(&house, "Corp", "assertion", "_2"));
        let won = together(racers).await;
        assert_eq!(won.iter().filter(|won| won.is_ok()).count(), 1, "{won:?}");
    }
}
