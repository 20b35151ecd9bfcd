//! Who takes part in which session, and the `sid` that says so.

use serde_json::{Value, json};

use crate::browser::{Browser, code_client};
use crate::house::{House, PASSWORD, houses_apart as houses, together};
use crate::relying_party::{claims, extend, parties};

async fn given(house: &House, pool: Value) -> (String, String) {
    let pool = house.pool(pool).await;
    let client = party(house, &pool).await;
    house.user(&pool, "ann").await;
    (pool, client)
}

/// A client that wants to learn of sign-outs.
async fn party(house: &House, pool: &str) -> String {
    let client = house.client(pool, code_client()).await;
    extend(house, &client, json!({ "BackchannelLogoutUri": "https://rp.example.com/bc" })).await;
    client
}

pub fn sid(tokens: &Value) -> String {
    let token = tokens.get("id_token").unwrap_or(&tokens["IdToken"]);
    claims(token)["sid"]
        .as_str()
        .unwrap_or_else(|| panic!("no sid in {}", claims(token)))
        .to_owned()
}

pub async fn signs_in_again(browser: &mut Browser<'_>) -> Value {
    let pkce = format!(
        "&code_challenge={}&code_challenge_method=S256&scope=openid",
        crate::browser::CHALLENGE
    );
    let answer = browser.goes_on(&pkce).await;
    let code = crate::browser::parameter(answer.header("location"), "code")
        .unwrap_or_else(|| panic!("no code: {} {}", answer.status, answer.body));
    browser.redeems(&code).await.json()
}

#[tokio::test]
async fn a_client_without_such_an_address_has_no_sid_and_no_row() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, code_client()).await;
        house.user(&pool, "ann").await;
        let tokens = Browser::new(&house, &pool, &client).gets_tokens("ann", PASSWORD).await;
        assert!(claims(&tokens["id_token"]).get("sid").is_none());
        let tokens = house.signs_in(&client, "ann").await;
        assert!(claims(&tokens["IdToken"]).get("sid").is_none());
        assert_eq!(parties(&house, &pool).await, []);
    }
}

#[tokio::test]
async fn a_browser_session_has_one_sid_for_each_client_and_another_browser_another() {
    for house in houses().await {
        let (pool, one) = given(&house, json!({})).await;
        let two = party(&house, &pool).await;
        let mut browser = Browser::new(&house, &pool, &one);
        let first = sid(&browser.gets_tokens("ann", PASSWORD).await);
        assert_eq!(first.len(), 22);
        assert_eq!(sid(&signs_in_again(&mut browser).await), first);
        let mut there = Browser::new(&house, &pool, &two);
        there.cookies = browser.cookies.clone();
        let second = sid(&signs_in_again(&mut there).await);
        assert_ne!(second, first);
        let elsewhere = sid(&Browser::new(&house, &pool, &one).gets_tokens("ann", PASSWORD).await);
        assert!(elsewhere != first && elsewhere != second);
        let parties = parties(&house, &pool).await;
        assert_eq!(parties.len(), 3);
        assert!(parties.contains(&(two, second, false)));
    }
}

#[tokio::test]
async fn a_refresh_says_the_same_sid_and_an_access_token_none() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let tokens = house.signs_in(&client, "ann").await;
        assert!(claims(&tokens["AccessToken"]).get("sid").is_none());
        house.advance(7_200_000);
        let refresh = json!({ "ClientId": client, "RefreshToken": tokens["RefreshToken"] });
        let again = house.ok("GetTokensFromRefreshToken", refresh).await;
        assert_eq!(sid(&again["AuthenticationResult"]), sid(&tokens));
        // Signing in by the API again is another session.
        assert_ne!(sid(&house.signs_in(&client, "ann").await), sid(&tokens));
        assert_eq!(parties(&house, &pool).await.len(), 2);
    }
}

#[tokio::test]
async fn racing_sign_ins_of_one_browser_say_the_same_sid() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let racers = (0..4).map(|_| {
            let mut tab = Browser::new(&house, &pool, &client);
            tab.cookies = browser.cookies.clone();
            async move {
                let pkce = format!(
                    "&code_challenge={}&code_challenge_method=S256&scope=openid&prompt=none",
                    crate::browser::CHALLENGE
                );
                let answer = tab.goes_on(&pkce.replace("&prompt=none", "")).await;
                let code = crate::browser::parameter(answer.header("location"), "code");
                (tab, code)
            }
        });
        // Each renews the browser session, so of racing tabs some may have to ask again; those that have a code say the same.
        let mut sids = std::collections::BTreeSet::new();
        let mut tabs: Vec<_> =
            together(racers).await.into_iter().filter(|(_, code)| code.is_some()).collect();
        assert!(!tabs.is_empty());
        let redeemed = together(tabs.iter_mut().map(|(tab, code)| {
            let code = code.clone().unwrap();
            async move { tab.redeems(&code).await }
        }))
        .await;
        for answer in redeemed {
            assert_eq!(answer.status, 200, "{}", answer.body);
            sids.insert(sid(&answer.json()));
        }
        assert_eq!(sids.len(), 1);
        assert_eq!(parties(&house, &pool).await.len(), 1);
    }
}

#[tokio::test]
async fn a_sid_that_is_signed_out_is_never_given_again_though_the_browser_session_lives() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let tokens = browser.gets_tokens("ann", PASSWORD).await;
        let mut seen = vec![sid(&tokens)];
        let revoke = json!({ "ClientId": client, "Token": tokens["refresh_token"] });
        house.ok("RevokeToken", revoke).await;
        assert_eq!(parties(&house, &pool).await, [(client.clone(), seen[0].clone(), true)]);
        let again = sid(&signs_in_again(&mut browser).await);
        assert!(!seen.contains(&again));
        seen.push(again);
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let again = sid(&signs_in_again(&mut browser).await);
        assert!(!seen.contains(&again), "{seen:?}");
        // And it stays the same for as long as nothing ends.
        assert_eq!(sid(&signs_in_again(&mut browser).await), again);
    }
}

#[tokio::test]
async fn a_session_that_gives_way_to_one_of_the_same_browser_does_not_end_its_sid() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let configuration = json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": 3 } });
        house.ok("SetUserPoolSessionConfiguration", configuration).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let first = sid(&browser.gets_tokens("ann", PASSWORD).await);
        for _ in 0..4 {
            house.advance(1_000);
            assert_eq!(sid(&signs_in_again(&mut browser).await), first);
        }
        assert_eq!(parties(&house, &pool).await, [(client, first, false)]);
        let ended = house
            .rows(
                "SELECT COUNT(*) FROM token_sessions WHERE pool_id = ?1 AND ended_ms IS NOT NULL",
                &pool,
            )
            .await;
        assert!(ended > 0);
    }
}

#[tokio::test]
async fn participations_outlive_sessions_and_are_forgotten_in_the_end() {
    const DAY: i64 = 86_400_000;
    for house in crate::house::houses_alone("participations").await {
        let (pool, client) = given(&house, json!({})).await;
        house.signs_in(&client, "ann").await;
        let now = house.app.clock.now_ms();
        // The refresh token lives for 30 days.
        cenote::store::purge::run(&house.app.db, now + 30 * DAY + 3_600_000).await.unwrap();
        assert_eq!(parties(&house, &pool).await.len(), 1);
        cenote::store::purge::run(&house.app.db, now + 31 * DAY + 1).await.unwrap();
        assert_eq!(parties(&house, &pool).await.len(), 0);

        // Of a deleted user they stay until those who are concerned are told.
        let tokens = house.signs_in(&client, "ann").await;
        house.ok("DeleteUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        assert_eq!(parties(&house, &pool).await.len(), 1);
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        cenote::store::purge::run(&house.app.db, now).await.unwrap();
        assert_eq!(parties(&house, &pool).await.len(), 0);
    }
}
