//! Who is told of which sign-out by a logout token, and what becomes of it (OIDC Back-Channel Logout 1.0).

use axum::http::Method;
use serde_json::{Value, json};

use crate::backchannel::{sid, signs_in_again};
use crate::browser::{BYE, Browser, code_client};
use crate::house::{House, PASSWORD, houses_apart as houses, merge};
use crate::relying_party::{RelyingParty, deliver, deliveries_of, expand, states};

/// A pool with ann, and an app client that is told. What making ann has recorded is over.
pub async fn given(house: &House, client: Value) -> (String, RelyingParty) {
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    let mut more = code_client();
    merge(&mut more, client);
    let client = house.client(&pool, more).await;
    deliver(house, &pool).await;
    let rp = RelyingParty::of(house, &client, json!({})).await;
    (pool, rp)
}

pub async fn sign_out(house: &House, pool: &str) {
    house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
    deliver(house, pool).await;
}

fn logout(client: &str) -> String {
    let uri: String = url::form_urlencoded::byte_serialize(BYE.as_bytes()).collect();
    format!("/logout?client_id={client}&logout_uri={uri}")
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

#[tokio::test]
async fn a_browser_that_signs_out_ends_its_session_at_each_client_and_no_other_browsers() {
    for house in houses().await {
        let (pool, one) = given(&house, json!({})).await;
        let two = house.client(&pool, code_client()).await;
        let two = RelyingParty::of(&house, &two, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &one.client);
        let here = sid(&browser.gets_tokens("ann", PASSWORD).await);
        let mut there = Browser::new(&house, &pool, &two.client);
        there.cookies = browser.cookies.clone();
        let there_sid = sid(&signs_in_again(&mut there).await);
        let mut elsewhere = Browser::new(&house, &pool, &one.client);
        elsewhere.gets_tokens("ann", PASSWORD).await;

        let answer = there.get(&logout(&one.client)).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));
        deliver(&house, &pool).await;
        assert_eq!(one.sids(&house, &pool).await, [here]);
        assert_eq!(two.sids(&house, &pool).await, [there_sid]);
        assert_eq!(states(&house, &pool).await, [("done", Some(200)); 2]);
        let signout = answer.header("x-cenote-signout");
        assert!(one.told(&house, &pool).await.iter().all(|claims| claims["txn"] == signout));
        // And nobody is told again of what is over.
        sign_out(&house, &pool).await;
        assert_eq!((one.asked().len(), two.asked().len()), (2, 1));
    }
}

#[tokio::test]
async fn all_sessions_of_a_user_at_one_client_end_whether_it_finds_them_by_sid_or_by_sub() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let mut sids = Vec::new();
        for _ in 0..2 {
            sids.push(sid(&house.signs_in(&rp.client, "ann").await));
            let mut browser = Browser::new(&house, &pool, &rp.client);
            sids.push(sid(&browser.gets_tokens("ann", PASSWORD).await));
        }
        let bob = house.user(&pool, "bob").await;
        house.signs_in(&rp.client, "bob").await;
        sign_out(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, sorted(sids));
        let told = rp.told(&house, &pool).await;
        assert!(
            told.iter()
                .all(|claims| claims["sub"] == told[0]["sub"] && claims["sub"] != bob.as_str())
        );
        sign_out(&house, &pool).await;
        assert_eq!(rp.asked().len(), 4);
    }
}

#[tokio::test]
async fn a_client_that_needs_no_sid_is_told_once_for_all_sessions_of_a_user() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let required = json!({ "BackchannelLogoutSessionRequired": false });
        let rp = RelyingParty::of(&house, &rp.client, required).await;
        for _ in 0..3 {
            house.signs_in(&rp.client, "ann").await;
        }
        sign_out(&house, &pool).await;
        let told = rp.told(&house, &pool).await;
        assert_eq!(told.len(), 1);
        assert!(told[0].get("sid").is_none());
        // One session is still told by its name.
        let tokens = house.signs_in(&rp.client, "ann").await;
        let revoke = json!({ "ClientId": rp.client, "Token": tokens["RefreshToken"] });
        house.ok("RevokeToken", revoke).await;
        deliver(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, ["".to_owned(), sid(&tokens)]);
    }
}

#[tokio::test]
async fn a_client_that_needs_the_sid_is_told_of_one_session_by_that_alone_and_of_a_user_by_both() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let required = json!({ "BackchannelLogoutSessionRequired": true });
        let rp = RelyingParty::of(&house, &rp.client, required).await;
        let tokens = house.signs_in(&rp.client, "ann").await;
        let revoke = json!({ "ClientId": rp.client, "Token": tokens["RefreshToken"] });
        house.ok("RevokeToken", revoke).await;
        deliver(&house, &pool).await;
        house.signs_in(&rp.client, "ann").await;
        sign_out(&house, &pool).await;
        let told = rp.told(&house, &pool).await;
        assert_eq!(told.len(), 2);
        assert_eq!(
            (told[0]["sid"].as_str(), told[0].get("sub")),
            (Some(sid(&tokens).as_str()), None)
        );
        assert!(told[1]["sid"].is_string() && told[1]["sub"].is_string());
    }
}

#[tokio::test]
async fn revoking_a_token_tells_as_signing_out_does() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &rp.client);
        let tokens = browser.gets_tokens("ann", PASSWORD).await;
        house.signs_in(&rp.client, "ann").await;
        let token = tokens["refresh_token"].as_str().unwrap();
        let form = format!("token={token}&client_id={}", rp.client);
        let answer = browser.send(Method::POST, "/oauth2/revoke", Some(form), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        deliver(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, [sid(&tokens)]);
    }
}

#[tokio::test]
async fn a_session_is_told_long_after_its_tokens_and_its_browser_session_have_expired() {
    for house in houses().await {
        let short = json!({ "AccessTokenValidity": 5, "IdTokenValidity": 5, "RefreshTokenValidity": 60,
            "TokenValidityUnits": { "AccessToken": "minutes", "IdToken": "minutes", "RefreshToken": "minutes" } });
        let (pool, rp) = given(&house, short).await;
        let mut browser = Browser::new(&house, &pool, &rp.client);
        let mine = sid(&browser.gets_tokens("ann", PASSWORD).await);
        let api = sid(&house.signs_in(&rp.client, "ann").await);
        house.advance(72 * 60_000);
        cenote::store::purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
        sign_out(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, sorted(vec![mine, api]));
    }
}

#[tokio::test]
async fn of_a_user_who_is_deleted_every_client_is_told() {
    for house in houses().await {
        for by_admin in [false, true] {
            let (pool, rp) = given(&house, json!({})).await;
            let tokens = house.signs_in(&rp.client, "ann").await;
            if by_admin {
                let ann = json!({ "UserPoolId": pool, "Username": "ann" });
                house.ok("AdminDeleteUser", ann).await;
            } else {
                house.ok("DeleteUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
            }
            deliver(&house, &pool).await;
            assert_eq!(rp.sids(&house, &pool).await, [sid(&tokens)]);
        }
    }
}

#[tokio::test]
async fn a_session_that_was_revoked_is_told_though_its_user_is_deleted_at_once() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let tokens = house.signs_in(&rp.client, "ann").await;
        let revoke = json!({ "ClientId": rp.client, "Token": tokens["RefreshToken"] });
        house.ok("RevokeToken", revoke).await;
        house.ok("AdminDeleteUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        deliver(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, [sid(&tokens)]);
    }
}

#[tokio::test]
async fn a_password_change_tells_of_all_browsers_but_the_one_that_made_it() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let (mut mine, mut other) =
            (Browser::new(&house, &pool, &rp.client), Browser::new(&house, &pool, &rp.client));
        let tokens = mine.gets_tokens("ann", PASSWORD).await;
        let told = sid(&other.gets_tokens("ann", PASSWORD).await);
        let input = json!({ "AccessToken": tokens["access_token"], "PreviousPassword": PASSWORD, "ProposedPassword": "Another-horse-9" });
        house.ok("ChangePassword", input).await;
        deliver(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, [told]);
    }
}

#[tokio::test]
async fn a_session_that_began_before_the_client_had_an_address_is_told_of_its_user_or_not_at_all() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, code_client()).await;
        house.user(&pool, "ann").await;
        deliver(&house, &pool).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.gets_tokens("ann", PASSWORD).await;
        let token = house.signs_in(&client, "ann").await;
        house.signs_in(&client, "ann").await;
        let rp = RelyingParty::of(&house, &client, json!({})).await;
        let refresh = json!({ "ClientId": client, "RefreshToken": token["RefreshToken"] });
        let again = house.ok("GetTokensFromRefreshToken", refresh).await;
        let claims = crate::relying_party::claims(&again["AuthenticationResult"]["IdToken"]);
        assert!(claims.get("sid").is_none(), "what a session says never changes: {claims}");

        let revoke = json!({ "ClientId": client, "Token": token["RefreshToken"] });
        house.ok("RevokeToken", revoke).await;
        browser.get(&logout(&client)).await;
        deliver(&house, &pool).await;
        let all = deliveries_of(&house, &pool).await;
        assert_eq!(all.len(), 2);
        assert!(
            all.iter()
                .all(|one| one.state.as_str() == "not_possible" && one.detail.contains("no sid"))
        );
        sign_out(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, [""]);
        // And that is said once: who is signed out again has another session, which has a name.
        let later = house.signs_in(&client, "ann").await;
        house.advance(1_000);
        sign_out(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, ["".to_owned(), sid(&later)]);
    }
}

#[tokio::test]
async fn the_least_recently_used_session_that_gives_way_is_told() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let configuration = json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": 1 } });
        house.ok("SetUserPoolSessionConfiguration", configuration).await;
        let first = house.signs_in(&rp.client, "ann").await;
        house.advance(1_000);
        house.signs_in(&rp.client, "ann").await;
        deliver(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, [sid(&first)]);
    }
}

#[tokio::test]
async fn tokens_that_end_with_their_browser_are_told_once() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        crate::relying_party::logout_ends_tokens(&house, &pool).await;
        let mut browser = Browser::new(&house, &pool, &rp.client);
        let tokens = browser.gets_tokens("ann", PASSWORD).await;
        signs_in_again(&mut browser).await;
        browser.get(&logout(&rp.client)).await;
        deliver(&house, &pool).await;
        assert_eq!(rp.sids(&house, &pool).await, [sid(&tokens)]);
    }
}

#[tokio::test]
async fn a_logout_token_signs_nobody_in_and_hints_at_nobody() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        house.signs_in(&rp.client, "ann").await;
        sign_out(&house, &pool).await;
        let token = rp.asked()[0].form["logout_token"].clone();
        let refused = house.refused("GetUser", json!({ "AccessToken": token })).await;
        assert_eq!(refused.0, "NotAuthorizedException");
        let mut browser = Browser::new(&house, &pool, &rp.client);
        let answer = browser
            .get(&format!("/logout?id_token_hint={token}&post_logout_redirect_uri={BYE}"))
            .await;
        assert!(answer.header("location").contains("/error?"), "{}", answer.header("location"));
    }
}

#[tokio::test]
async fn more_sessions_of_one_user_than_fit_on_a_page_are_told_and_each_once() {
    // Written as a sign-in writes them; so many sign-ins would take a minute.
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let tokens = house.signs_in(&rp.client, "ann").await;
        let sub =
            crate::relying_party::claims(&tokens["IdToken"])["sub"].as_str().unwrap().to_owned();
        let mut batch = cenote::store::Batch::new();
        for n in 0..520 {
            let party = cenote::store::participations::Participation {
                sid: format!("sid-{n:018}"),
                sso_id: None,
                client_id: rp.client.clone(),
                sub: sub.clone(),
                birth_ms: house.app.clock.now_ms(),
                created_ms: house.app.clock.now_ms(),
                expires_ms: house.app.clock.now_ms() + 86_400_000,
                ended_ms: None,
            };
            cenote::store::participations::join(&mut batch, &pool, &party);
        }
        house.app.db.commit(batch).await.unwrap();
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        expand(&house, &pool).await;
        let sql = "SELECT COUNT(DISTINCT sid) FROM deliveries WHERE pool_id = ?1";
        assert_eq!(house.rows(sql, &pool).await, 521);
        let sql = "SELECT COUNT(*) FROM deliveries WHERE pool_id = ?1";
        assert_eq!(house.rows(sql, &pool).await, 521);
        let sql = "SELECT COUNT(*) FROM participations WHERE pool_id = ?1 AND ended_ms IS NULL";
        assert_eq!(house.rows(sql, &pool).await, 0);
    }
}

#[tokio::test]
async fn one_that_joins_while_a_pool_is_signed_out_page_by_page_is_not_over_before_it_is_told() {
    for house in houses().await {
        let (pool, rp) = given(&house, json!({})).await;
        let now = house.app.clock.now_ms();
        let joins = async |sids: Vec<String>| {
            let mut batch = cenote::store::Batch::new();
            for sid in sids {
                let party = cenote::store::participations::Participation {
                    sid,
                    sso_id: None,
                    client_id: rp.client.clone(),
                    sub: "somebody".to_owned(),
                    birth_ms: now,
                    created_ms: now,
                    expires_ms: now + 86_400_000,
                    ended_ms: None,
                };
                cenote::store::participations::join(&mut batch, &pool, &party);
            }
            house.app.db.commit(batch).await.unwrap();
        };
        joins((0..1_100).map(|n| format!("sid-{n:018}")).collect()).await;
        let cx = cenote::cx::Cx::system(house.app.clone());
        let found = cx.app.directory.pool(cx.db(), &pool).await.unwrap().unwrap();
        cenote::admin::everybody::sign_out(&cx, &found).await.unwrap();
        // One page of three is written, and over.
        cenote::delivery::outbox::expand::round(&cx).await.unwrap();
        let over =
            "SELECT COUNT(*) FROM participations WHERE pool_id = ?1 AND ended_ms IS NOT NULL";
        assert_eq!(house.rows(over, &pool).await, 500, "{}", house.url);
        joins(vec!["sid".to_owned()]).await;
        expand(&house, &pool).await;
        assert_eq!(house.rows(over, &pool).await, 1_100);
        let told = "SELECT COUNT(DISTINCT sid) FROM deliveries WHERE pool_id = ?1";
        assert_eq!(house.rows(told, &pool).await, 1_100);
    }
}
