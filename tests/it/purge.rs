//! What is forgotten, and when: nothing that could still be asked for.

use cenote::store::purge;
use serde_json::json;

use crate::house::houses_alone;

const DAY: i64 = 86_400_000;

#[tokio::test]
async fn what_is_over_is_forgotten_and_what_lives_is_not() {
    for house in houses_alone("purge").await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let ended = house.signs_in(&client, "ann").await;
        let ended_count =
            house.rows("SELECT COUNT(*) FROM token_sessions WHERE pool_id = ?1", &pool).await;
        house
            .ok("RevokeToken", json!({ "ClientId": client, "Token": ended["RefreshToken"] }))
            .await;
        let alive = house.signs_in(&client, "ann").await;
        assert_eq!(ended_count, 1);
        let now = house.app.clock.now_ms();

        purge::run(&house.app.db, now + 2 * DAY).await.unwrap();
        assert_eq!(
            house.rows("SELECT COUNT(*) FROM token_sessions WHERE pool_id = ?1", &pool).await,
            2
        );
        purge::run(&house.app.db, now + 4 * DAY).await.unwrap();
        assert_eq!(
            house.rows("SELECT COUNT(*) FROM token_sessions WHERE pool_id = ?1", &pool).await,
            1
        );
        assert_eq!(house.rows("SELECT COUNT(*) FROM records WHERE pool_id = ?1", &pool).await, 1);
        // Forgotten, and still refused in the same words.
        let refresh = json!({ "ClientId": client, "RefreshToken": ended["RefreshToken"] });
        let refused = house.refused("GetTokensFromRefreshToken", refresh).await;
        assert_eq!(refused.1, "Refresh Token has been revoked");
        house
            .ok(
                "GetTokensFromRefreshToken",
                json!({ "ClientId": client, "RefreshToken": alive["RefreshToken"] }),
            )
            .await;

        assert!(!purge::run(&house.app.db, now + 40 * DAY).await.unwrap());
        for table in ["token_sessions", "refresh_tokens", "records"] {
            let sql: &'static str = match table {
                "token_sessions" => "SELECT COUNT(*) FROM token_sessions WHERE pool_id = ?1",
                "refresh_tokens" => "SELECT COUNT(*) FROM refresh_tokens WHERE pool_id = ?1",
                _ => "SELECT COUNT(*) FROM records WHERE pool_id = ?1",
            };
            assert_eq!(house.rows(sql, &pool).await, 0, "{table}");
        }
        assert!(house.rows("SELECT COUNT(*) FROM audit WHERE pool_id = ?1", &pool).await > 0);
    }
}
