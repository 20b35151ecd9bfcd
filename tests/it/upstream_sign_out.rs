//! What a sign-out owes the identity providers that sessions came from.

use cenote::ambient::Ms;
use cenote::store::Batch;
use cenote::store::pools;
use cenote::store::upstream::{self, State, UpstreamSession};
use serde_json::json;

use crate::browser::{Browser, code_client};
use crate::house::{House, PASSWORD, houses};

/// A pool that has an identity provider as far as sign-outs care, its client and the user ann.
async fn given(house: &House) -> (String, String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, code_client()).await;
    let sub = house.user(&pool, "ann").await;
    has_providers(house, &pool).await;
    (pool, client, sub)
}

async fn has_providers(house: &House, pool: &str) {
    let found = house.app.directory.pool(&house.app.db, pool).await.unwrap().unwrap();
    let mut pool = (*found).clone();
    pool.doc.has_providers = true;
    let mut batch = Batch::new();
    pools::update(&mut batch, &pool, house.app.clock.now_ms()).unwrap();
    house.app.db.commit(batch).await.unwrap();
}

/// The browser session of a user came through this provider.
async fn came_through(house: &House, pool: &str, sub: &str, provider: &str) -> String {
    let sso = house
        .app
        .db
        .one(
            "SELECT session_id FROM sso_sessions WHERE pool_id = ?1 AND sub = ?2 ORDER BY session_id DESC LIMIT 1",
            &cenote::params![pool, sub],
        )
        .await
        .unwrap()
        .unwrap()
        .string(0)
        .unwrap();
    let now: Ms = house.app.clock.now_ms();
    let id = cenote::ids::uuid_v7(now, &*house.app.random).to_string();
    let mut batch = Batch::new();
    upstream::insert(
        &mut batch,
        &UpstreamSession {
            pool_id: pool.to_owned(),
            id: id.clone(),
            sso_id: sso,
            provider: provider.to_owned(),
            sub: sub.to_owned(),
            subject_key: [1; 32],
            session_key: Some([2; 32]),
            secret: Vec::new(),
            created_ms: now,
            expires_ms: now + 3_600_000,
            ended_ms: None,
        },
    );
    house.app.db.commit(batch).await.unwrap();
    id
}

async fn owed(house: &House, pool: &str) -> Vec<(String, State)> {
    let rows = upstream::due(&house.app.db, i64::MAX, 1_000).await.unwrap();
    let mut rows: Vec<_> = rows
        .into_iter()
        .filter(|row| row.pool_id == pool)
        .map(|row| (row.upstream_id, row.state))
        .collect();
    rows.sort_by(|one, other| one.0.cmp(&other.0));
    rows
}

#[tokio::test]
async fn a_sign_out_of_a_user_owes_every_provider_that_a_session_came_from() {
    for house in houses().await {
        let (pool, client, sub) = given(&house).await;
        let mut here = Browser::new(&house, &pool, &client);
        here.signs_in("ann", PASSWORD, "").await;
        let first = came_through(&house, &pool, &sub, "Okta").await;
        house.advance(5);
        let mut there = Browser::new(&house, &pool, &client);
        there.signs_in("ann", PASSWORD, "").await;
        let second = came_through(&house, &pool, &sub, "Entra").await;
        assert!(owed(&house, &pool).await.is_empty());

        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(owed(&house, &pool).await, [(first, State::Pending), (second, State::Pending)]);
    }
}
