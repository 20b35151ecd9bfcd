//! The receipt of a sign-out: who may read it, what it says at each stage, and that it can be waited for.

use axum::body::Body;
use axum::http::Request;
use cenote::ambient::rfc3339;
use cenote::cx::Cx;
use cenote::signout::{self, End, Why};
use cenote::store::{Batch, Rank, Val, purge, users};
use serde_json::{Value, json};
use std::time::Duration;

use crate::browser::code_client;
use crate::house::{Answer, House, NOW, houses, houses_alone, merge, pause};
use crate::relying_party::claims;
use crate::signature::{production, signed_get};

const HOUR: i64 = 3_600_000;

/// A pool with Ann, who signs in; and her tokens.
async fn given(house: &House) -> (String, String, Value) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, code_client()).await;
    house.user(&pool, "ann").await;
    let tokens = house.signs_in(&client, "ann").await;
    (pool, client, tokens)
}

async fn signs_out(house: &House, pool: &str, name: &str) -> String {
    let input = json!({ "UserPoolId": pool, "Username": name });
    let answer = house.call("AdminUserGlobalSignOut", input).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("x-cenote-signout").to_owned()
}

async fn gets(house: &House, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path).header("host", "localhost:9229");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(Body::empty()).unwrap()).await
}

pub async fn reads(house: &House, pool: &str, signout: &str) -> Value {
    let answer = gets(house, &format!("/{pool}/sign-outs/{signout}"), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// As the user of these tokens.
async fn reads_as(house: &House, pool: &str, signout: &str, tokens: &Value) -> Answer {
    let bearer = format!("Bearer {}", tokens["AccessToken"].as_str().unwrap());
    gets(house, &format!("/{pool}/sign-outs/{signout}"), &[("authorization", &bearer)]).await
}

/// What a worker would write.
async fn writes(house: &House, sql: &'static str, params: Vec<Val>) {
    let mut batch = Batch::new();
    batch.any(Rank::Job, sql, params);
    house.app.db.commit(batch).await.unwrap();
}

/// The records have their numbers, up to `last`, and their deliveries.
async fn projects(house: &House, pool: &str, signout: &str, last: i64) {
    writes(
        house,
        "UPDATE records SET seq = ?3 + n, expanded_ms = committed_ms WHERE pool_id = ?1 AND signout_id = ?2",
        cenote::params![pool, signout, last],
    )
    .await;
    writes(house, "DELETE FROM feed_heads WHERE pool_id = ?1", cenote::params![pool]).await;
    writes(
        house,
        "INSERT INTO feed_heads (pool_id, incarnation, base, last, chain, kid, created_ms) VALUES (?1, 'one', 0, ?2, ?3, '', 0)",
        cenote::params![pool, last, vec![0_u8; 32]],
    )
    .await;
}

async fn follows(house: &House, pool: &str, id: &str, incarnation: &str, since: i64, policy: &str) {
    writes(
        house,
        "INSERT INTO feed_consumers (pool_id, owner, consumer, incarnation, since, policy, max_staleness_ms, seen_ms, created_ms) \
         VALUES (?1, 'o', ?2, ?3, ?4, ?5, 30000, ?6, ?6)",
        cenote::params![pool, id, incarnation, since, policy, NOW],
    )
    .await;
}

async fn delivers(house: &House, pool: &str, signout: &str, target: &str, state: &str) {
    let done = (state != "pending").then_some(NOW + 41);
    writes(
        house,
        "INSERT INTO deliveries (pool_id, delivery_id, signout_id, n, kind, target, lane, sid, sub, doc, state, attempts, due_ms, lease_ms, \
         since_ms, replays, status, detail, created_ms, first_ms, done_ms) \
         VALUES (?1, ?2, ?3, 0, 'webhook', ?2, ?2, '', '', '{}', ?4, 1, ?7, 0, ?5, 0, 200, 'as it was', ?5, ?5, ?6)",
        // Not due in this test, whoever works meanwhile.
        cenote::params![pool, target, signout, state, NOW, done, i64::MAX / 2],
    )
    .await;
}

#[tokio::test]
async fn a_receipt_says_what_was_ended_and_until_when_anyone_is_exposed() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["signout_id"], signout);
        assert_eq!(receipt["pool_id"], pool);
        assert_eq!(receipt["reason"], "admin_global_sign_out");
        assert_eq!(receipt["initiator"], "admin");
        assert_eq!(receipt["committed_at"], rfc3339(NOW));
        assert_eq!(receipt["records"], json!([{ "kind": "U", "seq": null }]));
        // An hour is the longest that a token of this pool lives; two minutes are for clocks.
        let end = rfc3339(NOW + HOUR + 120_000);
        assert_eq!(receipt["exposure_until"], end);
        assert_eq!(receipt["registered_exposure_until"], end, "nobody knows yet who is to be told");
        assert_eq!(receipt["complete"], false);
        assert_eq!(rfc3339(NOW), "2026-09-21T14:13:20.000Z");
    }
}

#[tokio::test]
async fn a_receipt_is_complete_once_every_consumer_and_receiver_has_learned() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        projects(&house, &pool, &signout, 7).await;
        follows(&house, &pool, "orders", "one", 7, "closed").await;
        delivers(&house, &pool, &signout, "hook", "done").await;
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(
            receipt["feed"],
            json!({ "seq": 7, "consumers": 1, "caught_up": 1, "behind": [] })
        );
        let delivery = &receipt["deliveries"][0];
        assert_eq!(
            (&delivery["target"], &delivery["state"], &delivery["ms"]),
            (&json!("hook"), &json!("done"), &json!(41))
        );
        assert_eq!(delivery["at"], rfc3339(NOW + 41));
        assert_eq!(receipt["registered_exposure_until"], rfc3339(NOW));
        assert_eq!(receipt["complete"], true);
    }
}

#[tokio::test]
async fn a_receipt_names_who_is_behind_and_how_long_each_may_go_on() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        projects(&house, &pool, &signout, 7).await;
        follows(&house, &pool, "a", "one", 6, "closed").await;
        follows(&house, &pool, "b", "another", 9, "introspect").await;
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(
            (&receipt["feed"]["consumers"], &receipt["feed"]["caught_up"]),
            (&json!(2), &json!(0))
        );
        let stops = rfc3339(NOW + 30_000 + 40_000);
        assert_eq!(
            receipt["feed"]["behind"][0],
            json!({ "id": "a", "since": 6, "state": "FRESH", "seen": rfc3339(NOW), "policy": "closed", "exposure_until": stops })
        );
        assert_eq!(receipt["registered_exposure_until"], stops);

        house.advance(20_000);
        assert_eq!(reads(&house, &pool, &signout).await["feed"]["behind"][0]["state"], "STALE");
        house.advance(20_000);
        assert_eq!(reads(&house, &pool, &signout).await["feed"]["behind"][1]["state"], "EXPIRED");
        // One that goes on without us is exposed as long as anybody.
        follows(&house, &pool, "c", "one", 6, "open").await;
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["registered_exposure_until"], receipt["exposure_until"]);
        assert_eq!(receipt["complete"], false);
    }
}

#[tokio::test]
async fn what_did_not_arrive_is_never_shown_as_if_it_had() {
    for house in houses().await {
        for state in ["pending", "dead", "not_possible"] {
            let (pool, _, _) = given(&house).await;
            let signout = signs_out(&house, &pool, "ann").await;
            projects(&house, &pool, &signout, 1).await;
            delivers(&house, &pool, &signout, "one", "done").await;
            delivers(&house, &pool, &signout, "two", state).await;
            let receipt = reads(&house, &pool, &signout).await;
            assert_eq!(receipt["deliveries"][0]["target"], "two", "what is missing comes first");
            assert_eq!(receipt["deliveries"][0]["state"], state);
            assert_eq!(receipt["deliveries"][0]["detail"], "as it was");
            assert_eq!(receipt["deliveries"][0]["ms"], Value::Null);
            assert_eq!(receipt["delivery_counts"][state], 1);
            assert_eq!(receipt["complete"], false, "{state}");
            assert_eq!(receipt["registered_exposure_until"], receipt["exposure_until"], "{state}");
        }
    }
}

#[tokio::test]
async fn the_user_reads_it_with_a_token_from_after_the_sign_out_and_with_no_other() {
    for house in houses().await {
        let (pool, client, old) = given(&house).await;
        house.user(&pool, "bob").await;
        let (elsewhere, _, stranger) = given(&house).await;
        let before = house.signs_in(&client, "ann").await;
        let revoked = house
            .call("RevokeToken", json!({ "ClientId": client, "Token": old["RefreshToken"] }))
            .await
            .header("x-cenote-signout")
            .to_owned();
        house.advance(1_000);
        let after = house.signs_in(&client, "ann").await;
        let bob = house.signs_in(&client, "bob").await;
        assert_eq!(reads_as(&house, &pool, &revoked, &after).await.status, 200);
        for tokens in [&old, &before, &bob, &stranger] {
            assert_eq!(reads_as(&house, &pool, &revoked, tokens).await.status, 404);
        }
        // Under the address of another pool there is no such sign-out, whoever asks.
        assert_eq!(reads_as(&house, &elsewhere, &revoked, &after).await.status, 404);
        assert_eq!(reads_as(&house, &elsewhere, &revoked, &stranger).await.status, 404);
        let id_token = json!({ "AccessToken": after["IdToken"] });
        assert_eq!(reads_as(&house, &pool, &revoked, &id_token).await.status, 404);

        let everywhere = signs_out(&house, &pool, "ann").await;
        assert_eq!(reads_as(&house, &pool, &everywhere, &after).await.status, 404);
        // In the same millisecond.
        let again = house.signs_in(&client, "ann").await;
        let answer = reads_as(&house, &pool, &everywhere, &again).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn a_user_is_not_shown_what_receivers_said_nor_what_ended_for_all() {
    for house in houses().await {
        let (pool, client, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        projects(&house, &pool, &signout, 1).await;
        delivers(&house, &pool, &signout, "one", "dead").await;
        let ann = house.signs_in(&client, "ann").await;
        let delivery =
            reads_as(&house, &pool, &signout, &ann).await.json()["deliveries"][0].clone();
        assert_eq!(delivery["state"], "dead");
        assert_eq!((&delivery["status"], &delivery["detail"]), (&Value::Null, &Value::Null));

        let other = house.client(&pool, json!({})).await;
        let gone = house
            .call("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": other }))
            .await
            .header("x-cenote-signout")
            .to_owned();
        house.advance(120_000);
        let ann = house.signs_in(&client, "ann").await;
        assert_eq!(reads(&house, &pool, &gone).await["records"][0]["kind"], "C");
        assert_eq!(reads_as(&house, &pool, &gone, &ann).await.status, 404);
    }
}

#[tokio::test]
async fn in_production_an_access_key_needs_the_action_and_the_pool_and_everyone_else_finds_nothing()
{
    for house in production("receipt").await {
        let (pool, signout) = signed_out(&house).await;
        let path = format!("/{pool}/sign-outs/{signout}");
        let key = house.access_key(&["cenote:GetSignOut"], &[&pool]).await;
        for service in ["cenote", "cognito-idp"] {
            let answer = signed_get(&house, &key, &path, "wait=0", service).await;
            assert_eq!(answer.status, 200, "{service}: {}", answer.body);
            assert_eq!(answer.json()["signout_id"], signout);
        }
        let all = house.access_key(&["cenote:*"], &["*"]).await;
        assert_eq!(signed_get(&house, &all, &path, "", "cenote").await.status, 200);

        let (other_pool, _) = signed_out(&house).await;
        let mut answers = vec![
            gets(&house, &path, &[("host", "id.example.com")]).await,
            gets(&house, &path, &[("authorization", "Bearer rubbish")]).await,
            gets(&house, &path, &[("authorization", "Basic YTpi")]).await,
            gets(&house, &path, &[("authorization", "AWS4-HMAC-SHA256 rubbish")]).await,
            signed_get(&house, &key, &path, "", "s3").await,
            signed_get(&house, &key, &format!("/{other_pool}/sign-outs/{signout}"), "", "cenote")
                .await,
            signed_get(&house, &all, &format!("/{other_pool}/sign-outs/{signout}"), "", "cenote")
                .await,
        ];
        for (actions, pools) in [
            (&["cognito-idp:*"][..], &["*"][..]),
            (&["cenote:GetSignOut"], &[other_pool.as_str()]),
            (&["AdminGetUser"], &[pool.as_str()]),
        ] {
            let key = house.access_key(actions, pools).await;
            answers.push(signed_get(&house, &key, &path, "", "cenote").await);
        }
        for id in ["00000000-0000-7000-8000-000000000000", "x", "%00", "..", "a%2Fb"] {
            let path = format!("/{pool}/sign-outs/{id}");
            answers.push(gets(&house, &path, &[]).await);
        }
        let nothing = answers[0].body.clone();
        assert!(nothing.contains("cenote:GetSignOut"), "{nothing}");
        for answer in answers {
            assert_eq!((answer.status.as_u16(), &answer.body), (404, &nothing));
        }
    }
}

/// A sign-out in a production house.
async fn signed_out(house: &House) -> (String, String) {
    let key = house.access_key(&["*"], &["*"]).await;
    let pool = house
        .signed_call(&key, "CreateUserPool", json!({ "PoolName": "test" }))
        .await
        .json()["UserPool"]["Id"]
        .as_str()
        .unwrap()
        .to_owned();
    let input = json!({ "UserPoolId": pool, "Username": "ann", "MessageAction": "SUPPRESS" });
    assert_eq!(house.signed_call(&key, "AdminCreateUser", input).await.status, 200);
    let input = json!({ "UserPoolId": pool, "Username": "ann" });
    let answer = house.signed_call(&key, "AdminUserGlobalSignOut", input).await;
    (pool, answer.header("x-cenote-signout").to_owned())
}

#[tokio::test]
async fn whoever_waits_is_answered_as_soon_as_all_have_learned() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        let waiting = async {
            let path = format!("/{pool}/sign-outs/{signout}?wait=30");
            gets(&house, &path, &[]).await.json()
        };
        let learning = async {
            pause().await;
            projects(&house, &pool, &signout, 3).await;
        };
        let both = async { tokio::join!(waiting, learning).0 };
        let receipt = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
        assert_eq!(receipt["complete"], true);
    }
}

#[tokio::test]
async fn whoever_waits_does_not_hold_up_a_server_that_stops() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        let path = format!("/{pool}/sign-outs/{signout}?wait=30");
        let stops = async {
            pause().await;
            house.app.meters.drain();
        };
        let both = async { tokio::join!(gets(&house, &path, &[]), stops).0 };
        let answer = tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
        assert_eq!((answer.status.as_u16(), &answer.json()["complete"]), (200, &json!(false)));
    }
}

#[tokio::test]
async fn nobody_waits_for_what_was_given_up_or_for_who_is_away_and_otherwise_as_long_as_was_asked()
{
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        let path = format!("/{pool}/sign-outs/{signout}?wait=1");
        let answer = gets(&house, &path, &[]).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["complete"]), (200, &json!(false)));

        projects(&house, &pool, &signout, 3).await;
        delivers(&house, &pool, &signout, "dead", "dead").await;
        follows(&house, &pool, "away", "one", 1, "closed").await;
        house.advance(HOUR);
        let path = format!("/{pool}/sign-outs/{signout}?wait=600");
        let answer = tokio::time::timeout(Duration::from_secs(10), gets(&house, &path, &[])).await;
        assert_eq!(answer.unwrap().json()["complete"], false);
    }
}

#[tokio::test]
async fn a_wait_that_is_no_number_of_seconds_is_refused_with_what_to_write() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        for query in
            ["wait=x", "wait=-1", "wait=1.5", "wait=9999999999", "wait=1&wait=2", "wait=%2B1"]
        {
            let answer = gets(&house, &format!("/{pool}/sign-outs/{signout}?{query}"), &[]).await;
            assert_eq!(answer.status, 400, "{query}: {}", answer.body);
            assert_eq!(answer.json()["error"], "invalid_request");
        }
    }
}

#[tokio::test]
async fn in_dev_pages_of_other_origins_cannot_read_it_without_a_token() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        let path = format!("/{pool}/sign-outs/{signout}");
        let answer = gets(&house, &path, &[("origin", "https://evil.example")]).await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.header("access-control-allow-origin"), "");
        let answer = gets(&house, &path, &[("origin", "http://localhost:9229")]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "");
        // A token decides, even where everybody is believed.
        let answer = gets(&house, &path, &[("authorization", "Bearer rubbish")]).await;
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn it_is_also_on_the_pools_domain_and_nowhere_where_no_pool_is_meant() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let signout = signs_out(&house, &pool, "ann").await;
        let domain = format!("r{}", &signout[24..]);
        house.ok("CreateUserPoolDomain", json!({ "UserPoolId": pool, "Domain": domain })).await;
        let host = format!("{domain}.localhost:9229");
        let get = async |host: &str, path: String| {
            let request = Request::get(path).header("host", host).body(Body::empty()).unwrap();
            house.send(request).await.status.as_u16()
        };
        assert_eq!(get(&host, format!("/sign-outs/{signout}")).await, 200);
        assert_eq!(get("localhost:9229", format!("/sign-outs/{signout}")).await, 404);
        assert_eq!(
            get("localhost:9229", format!("/us-east-1_nobody/sign-outs/{signout}")).await,
            404
        );
        assert_eq!(get("localhost:9229", format!("/{pool}/sign-outs/")).await, 404);
    }
}

#[tokio::test]
async fn the_receipt_of_a_deleted_pool_is_there_for_the_operator() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let answer = house.call("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        let signout = answer.header("x-cenote-signout").to_owned();
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["reason"], "pool_deleted");
        assert_eq!(receipt["records"][0]["kind"], "P");
    }
}

#[tokio::test]
async fn a_validity_that_was_raised_while_somebody_signed_out_is_not_forgotten() {
    for house in houses().await {
        let (pool, client, _) = given(&house).await;
        // A sign-out that has read the pool, and commits after a client was given tokens of a day.
        let cx = Cx::system(house.app.clone());
        let stale = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let sub = claims(&house.signs_in(&client, "ann").await["AccessToken"])["sub"].clone();
        let user = users::find(&house.app.db, &pool, sub.as_str().unwrap()).await.unwrap().unwrap();
        let mut longer = code_client();
        merge(
            &mut longer,
            json!({ "UserPoolId": pool, "ClientId": client, "AccessTokenValidity": 24 }),
        );
        house.ok("UpdateUserPoolClient", longer).await;
        for end in [End::User { user: &user, browsers: false }, End::Deletion { user: &user }] {
            let mut batch = Batch::new();
            let signout =
                signout::end(&cx, &mut batch, &stale, &[end], Why::user("global_sign_out"));
            house.app.db.commit(batch).await.unwrap();
            let receipt = reads(&house, &pool, &signout).await;
            assert_eq!(receipt["exposure_until"], rfc3339(NOW + 24 * HOUR + 120_000));
        }
    }
}

#[tokio::test]
async fn who_has_not_learned_is_not_forgotten_while_a_token_may_live() {
    for house in houses_alone("receipt").await {
        let (pool, _, _) = given(&house).await;
        follows(&house, &pool, "orders", "one", 6, "open").await;
        house.advance(47 * HOUR);
        let signout = signs_out(&house, &pool, "ann").await;
        projects(&house, &pool, &signout, 7).await;
        house.advance(24 * HOUR);
        purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["feed"]["behind"][0]["id"], "orders");
        assert_eq!(receipt["registered_exposure_until"], receipt["exposure_until"]);
        assert_eq!(receipt["complete"], false);
        // Of a later sign-out it is none of those who follow.
        let later = signs_out(&house, &pool, "ann").await;
        assert_eq!(reads(&house, &pool, &later).await["feed"]["consumers"], 0);
        house.advance(3 * HOUR);
        purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
        let left = "SELECT COUNT(*) FROM feed_consumers WHERE pool_id = ?1";
        assert_eq!(house.rows(left, &pool).await, 0);
        // Nobody is said to have learned because it is forgotten that somebody had not.
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["feed"]["consumers"], 0);
        assert_eq!(receipt["registered_exposure_until"], receipt["exposure_until"]);
        assert_eq!(receipt["complete"], Value::Null);
    }
}

#[tokio::test]
async fn who_has_not_learned_that_a_pool_is_gone_is_not_forgotten_with_it() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        follows(&house, &pool, "orders", "one", 6, "open").await;
        let answer = house.call("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        let signout = answer.header("x-cenote-signout").to_owned();
        projects(&house, &pool, &signout, 7).await;
        assert!(purge::grave(&house.app.db, &pool).await.unwrap());
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["feed"]["behind"][0]["id"], "orders");
        assert_eq!(receipt["registered_exposure_until"], receipt["exposure_until"]);
        assert_eq!(receipt["complete"], false);
    }
}

#[tokio::test]
async fn of_a_compromised_key_nobody_is_said_to_have_learned_once_that_is_forgotten() {
    for house in houses().await {
        let (pool, _, _) = given(&house).await;
        let cx = Cx::system(house.app.clone());
        let of = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let mut batch = Batch::new();
        let ends = [End::Key { kid: "k" }];
        let signout = signout::end(&cx, &mut batch, &of, &ends, Why::admin("signing_key_revoked"));
        house.app.db.commit(batch).await.unwrap();
        projects(&house, &pool, &signout, 7).await;
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["exposure_until"], Value::Null);
        assert_eq!(receipt["registered_exposure_until"], rfc3339(NOW));
        assert_eq!(receipt["complete"], true);
        house.advance(26 * HOUR);
        let receipt = reads(&house, &pool, &signout).await;
        assert_eq!(receipt["registered_exposure_until"], Value::Null);
        assert_eq!(receipt["complete"], Value::Null);
    }
}
