//! Signing out everybody of a pool, and revoking a signing key: nothing that was born before survives, whatever races with it, and
//! what is born after it lives at once.

use axum::body::Body;
use axum::http::Request;
use cenote::ambient::MINUTE;
use cenote::store::records;
use serde_json::{Value, json};

use crate::extension::refused;
use crate::house::{House, PASSWORD, houses, together};

impl House {
    async fn is_alive(&self, tokens: &Value) -> bool {
        let answer = self.call("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        answer.status == 200
    }

    async fn refreshes(&self, client: &str, tokens: &Value) -> Option<Value> {
        let input = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client,
            "AuthParameters": { "REFRESH_TOKEN": tokens["RefreshToken"] } });
        let answer = self.call("InitiateAuth", input).await;
        (answer.status == 200).then(|| answer.json()["AuthenticationResult"].clone())
    }

    async fn tries_to_sign_in(&self, client: &str, name: &str) -> Option<Value> {
        let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
            "AuthParameters": { "USERNAME": name, "PASSWORD": PASSWORD } });
        let answer = self.call("InitiateAuth", input).await;
        (answer.status == 200).then(|| answer.json()["AuthenticationResult"].clone())
    }

    async fn signs_everybody_out(&self, pool: &str) -> Value {
        let answer = self.ask("POST", &format!("/pools/{pool}/sign-out-all"), &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("x-cenote-signout"), answer.json()["SignOutId"]);
        answer.json()
    }

    async fn kids(&self, pool: &str) -> Vec<String> {
        let request = Request::get(format!("/{pool}/.well-known/jwks.json"))
            .header("host", "localhost:9229")
            .body(Body::empty())
            .unwrap();
        let keys = self.send(request).await.json();
        let keys = keys["keys"].as_array().unwrap().clone();
        keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
    }
}

/// The kid in the header of a token.
pub fn kid(token: &Value) -> String {
    use base64::Engine as _;
    let header = token.as_str().unwrap().split('.').next().unwrap();
    let header = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(header).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

pub fn in_path(kid: &str) -> String {
    kid.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
}

#[tokio::test]
async fn everybody_is_signed_out_by_one_record_and_may_sign_in_again_at_once() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let elsewhere = house.pool(json!({})).await;
        let other_client = house.client(&elsewhere, json!({})).await;
        house.user(&elsewhere, "eve").await;
        let spared = house.signs_in(&other_client, "eve").await;
        let mut before = Vec::new();
        for name in ["ann", "bob", "cleo"] {
            house.user(&pool, name).await;
            before.push(house.signs_in(&client, name).await);
        }
        let answer = house.signs_everybody_out(&pool).await;
        for tokens in &before {
            assert!(!house.is_alive(tokens).await);
            assert!(house.refreshes(&client, tokens).await.is_none());
        }
        assert!(house.is_alive(&spared).await, "another pool is none of its business");
        let id = answer["SignOutId"].as_str().unwrap();
        let written = records::of_signout(&house.app.db, &pool, id).await.unwrap();
        assert_eq!(written.len(), 1);
        let record = &written[0];
        assert_eq!((record.kind.as_str(), &record.subject), ("P", &pool));
        assert_eq!((record.reason.as_str(), record.initiator.as_str()), ("sign_out_all", "admin"));
        let epoch = house.rows("SELECT epoch_ms FROM pools WHERE pool_id = ?1", &pool).await;
        assert_eq!(record.not_before_ms, epoch);
        assert!(epoch >= house.app.clock.now_ms() + MINUTE);

        // At once, though the boundary lies ahead of the clock; and a user's own sign-out still works above it.
        let after = house.signs_in(&client, "ann").await;
        assert!(house.is_alive(&after).await);
        let refreshed = house.refreshes(&client, &after).await.unwrap();
        assert!(house.is_alive(&refreshed).await);
        house.ok("GlobalSignOut", json!({ "AccessToken": after["AccessToken"] })).await;
        assert!(!house.is_alive(&refreshed).await);
        assert!(house.is_alive(&house.signs_in(&client, "ann").await).await);
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'SignOutAll' AND result = 'ok'";
        assert_eq!(house.rows(sql, &pool).await, 1);
    }
}

#[tokio::test]
async fn what_one_app_client_was_given_ends_and_nothing_else() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let tracked = json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": 9 } });
        house.ok("SetUserPoolSessionConfiguration", tracked).await;
        let client = house.client(&pool, json!({})).await;
        let other = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let (mine, spared) =
            (house.signs_in(&client, "ann").await, house.signs_in(&other, "ann").await);
        let path = format!("/pools/{pool}/clients/{client}/revoke-tokens");
        let answer = house.ask("POST", &path, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(!house.is_alive(&mine).await);
        assert!(house.refreshes(&client, &mine).await.is_none());
        assert!(house.is_alive(&spared).await, "another client is none of its business");
        assert!(house.refreshes(&other, &spared).await.is_some());
        let id = answer.json()["SignOutId"].as_str().unwrap().to_owned();
        let written = records::of_signout(&house.app.db, &pool, &id).await.unwrap();
        let [record] = written.as_slice() else { panic!("{written:?}") };
        assert_eq!((record.kind.as_str(), &record.subject), ("C", &client));
        let sessions =
            house.ok("AdminListUserSessions", json!({ "UserPoolId": pool, "Username": "ann" }));
        let sessions = sessions.await.to_string();
        assert!(!sessions.contains(&client) && sessions.contains(&other), "{sessions}");

        // At once there is more to end, and it ends, too.
        for _ in 0..3 {
            let after = house.signs_in(&client, "ann").await;
            assert!(house.is_alive(&after).await);
            let refreshed = house.refreshes(&client, &after).await.unwrap();
            assert_eq!(house.ask("POST", &path, &[], "").await.status, 200);
            assert!(!house.is_alive(&after).await && !house.is_alive(&refreshed).await);
        }
        for nobody in [format!("/pools/{pool}/clients/none/revoke-tokens"), {
            let elsewhere = house.pool(json!({})).await;
            format!("/pools/{elsewhere}/clients/{client}/revoke-tokens")
        }] {
            assert_eq!(house.ask("POST", &nobody, &[], "").await.status, 404, "{nobody}");
        }
    }
}

#[tokio::test]
async fn a_second_sign_out_of_everybody_ends_what_the_first_let_in() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        // The clock stands still: births after the first boundary lie on it, and each sign-out of hers is a millisecond later.
        for round in 0..3 {
            house.signs_everybody_out(&pool).await;
            for _ in 0..4 {
                let tokens = house.signs_in(&client, "ann").await;
                assert!(house.is_alive(&tokens).await);
                house.ok("GlobalSignOut", json!({ "AccessToken": tokens["AccessToken"] })).await;
            }
            let last = house.signs_in(&client, "ann").await;
            house.signs_everybody_out(&pool).await;
            assert!(!house.is_alive(&last).await, "round {round}");
        }
    }
}

#[tokio::test]
async fn who_signed_in_at_a_server_whose_clock_was_far_ahead_is_signed_out_too() {
    for house in houses().await {
        let ahead = house.another_node(10 * MINUTE).await;
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let tokens = ahead.signs_in(&client, "ann").await;
        assert!(ahead.is_alive(&tokens).await);
        house.signs_everybody_out(&pool).await;
        for node in [&house, &ahead] {
            assert!(!node.is_alive(&tokens).await);
            assert!(node.refreshes(&client, &tokens).await.is_none());
        }
        let again = house.signs_in(&client, "ann").await;
        assert!(house.is_alive(&again).await && ahead.is_alive(&again).await);
    }
}

#[tokio::test]
async fn a_challenge_that_was_half_answered_is_over() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        house.ok("AdminSetUserPassword", json!({ "UserPoolId": pool, "Username": "ann", "Password": PASSWORD, "Permanent": false })).await;
        let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
        let challenge = house.ok("InitiateAuth", input).await;
        assert_eq!(challenge["ChallengeName"], "NEW_PASSWORD_REQUIRED");
        house.signs_everybody_out(&pool).await;
        let input = json!({ "ChallengeName": "NEW_PASSWORD_REQUIRED", "ClientId": client, "Session": challenge["Session"],
            "ChallengeResponses": { "USERNAME": "ann", "NEW_PASSWORD": "Another-horse-8" } });
        let (kind, _) = house.refused("RespondToAuthChallenge", input).await;
        assert_eq!(kind, "NotAuthorizedException");
    }
}

/// Thirty-two who sign in and refresh while everybody is signed out, at three servers whose clocks differ.
#[tokio::test]
async fn nothing_born_before_it_survives_what_races_with_it() {
    for house in houses().await {
        let nodes = [&house, &house.another_node(-25_000).await, &house.another_node(25_000).await];
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let names: Vec<String> = (0..8).map(|n| format!("user{n}")).collect();
        let mut held = Vec::new();
        for name in &names {
            house.user(&pool, name).await;
            held.push(house.signs_in(&client, name).await);
        }
        for round in 0..3_usize {
            let sign_out = async {
                house.signs_everybody_out(&pool).await;
                Vec::new()
            };
            let mut racers: Vec<std::pin::Pin<Box<dyn Future<Output = Vec<Value>> + Send>>> =
                vec![Box::pin(sign_out)];
            for n in 0..32 {
                let (node, name) = (nodes[(n + round) % 3], &names[n % names.len()]);
                let (client, old) = (&client, &held[n % held.len()]);
                racers.push(if n % 2 == 0 {
                    Box::pin(
                        async move { Vec::from_iter(node.tries_to_sign_in(client, name).await) },
                    )
                } else {
                    Box::pin(async move {
                        // Whatever it gave keeps the birth of the session, which is dead.
                        let got = node.refreshes(client, old).await;
                        Vec::from_iter(got.map(
                            |got| json!({ "AccessToken": got["AccessToken"], "refreshed": true }),
                        ))
                    })
                });
            }
            let raced: Vec<Value> = together(racers).await.into_iter().flatten().collect();
            let epoch = house.rows("SELECT epoch_ms FROM pools WHERE pool_id = ?1", &pool).await;
            for (n, node) in nodes.iter().enumerate() {
                for tokens in &held {
                    assert!(!node.is_alive(tokens).await, "round {round}, node {n}");
                    assert!(node.refreshes(&client, tokens).await.is_none());
                }
                // A sign-in that raced lives if it was born at the new boundary, and only then.
                for tokens in &raced {
                    let lives = node.is_alive(tokens).await;
                    let born = birth(&tokens["AccessToken"]);
                    assert_eq!(
                        lives,
                        born >= epoch,
                        "round {round}, node {n}, born {born}, {epoch}"
                    );
                    assert!(!(lives && tokens["refreshed"] == true));
                }
            }
            held.clear();
            for (n, name) in names.iter().enumerate() {
                let tokens = nodes[n % 3].signs_in(&client, name).await;
                assert!(house.is_alive(&tokens).await, "who signs in after it is in at once");
                held.push(tokens);
            }
            house.advance(700);
        }
    }
}

/// The birth that a token carries.
fn birth(token: &Value) -> i64 {
    use base64::Engine as _;
    let claims = token.as_str().unwrap().split('.').nth(1).unwrap();
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    let id = uuid::Uuid::parse_str(claims["origin_jti"].as_str().unwrap()).unwrap();
    cenote::ids::uuid_v7_ms(&id).unwrap()
}

#[tokio::test]
async fn a_revoked_key_verifies_nothing_more_and_another_signs() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let before = house.signs_in(&client, "ann").await;
        let stolen = kid(&before["AccessToken"]);
        assert!(house.kids(&pool).await.contains(&stolen));
        // It is in the memory of both servers.
        let node = house.another_node(0).await;
        assert!(house.is_alive(&before).await && node.is_alive(&before).await);

        let path = format!("/pools/{pool}/keys/{}/revoke", in_path(&stolen));
        let answer = house.ask("POST", &path, &[], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        for server in [&house, &node] {
            let (kind, message) =
                server.refused("GetUser", json!({ "AccessToken": before["AccessToken"] })).await;
            assert_eq!(
                (kind.as_str(), message.as_str()),
                ("NotAuthorizedException", "Invalid Access Token")
            );
            assert!(server.refreshes(&client, &before).await.is_none());
            assert!(!server.kids(&pool).await.contains(&stolen));
        }
        let id = answer.header("x-cenote-signout").to_owned();
        assert_eq!(answer.json()["SignOut"]["SignOutId"], id);
        let written = records::of_signout(&house.app.db, &pool, &id).await.unwrap();
        let kinds: Vec<(&str, &str)> =
            written.iter().map(|record| (record.kind.as_str(), record.subject.as_str())).collect();
        assert_eq!(kinds, [("K", stolen.as_str()), ("P", pool.as_str())]);
        assert_eq!(written[0].key16, cenote::signout::key16("K", &pool, &stolen));
        assert!(written.iter().all(|record| record.reason == "signing_key_revoked"));
        // Whoever has the key chooses when its tokens expire.
        assert!(written[0].drop_after_ms > house.app.clock.now_ms() + 3_000 * 24 * 60 * MINUTE);
        // Nothing is left of the key itself.
        let sql = "SELECT COUNT(*) FROM signing_keys WHERE pool_id = ?1 AND state = 'revoked' AND LENGTH(secret) = 0";
        assert_eq!(house.rows(sql, &pool).await, 1);

        let after = node.signs_in(&client, "ann").await;
        assert_ne!(kid(&after["AccessToken"]), stolen);
        assert!(house.is_alive(&after).await);
        // A client that repeats it after a lost answer signs nobody out again.
        let again = house.ask("POST", &path, &[], "{}").await;
        assert_eq!((again.status.as_u16(), again.json()["SignOut"].clone()), (200, Value::Null));
        assert_eq!(again.header("x-cenote-signout"), "");
        assert!(house.is_alive(&after).await);
        let answer = house.ask("POST", &format!("/pools/{pool}/keys/other/revoke"), &[], "").await;
        refused(&answer, 404, "not_found", &["other"]);
        let answer = house.posts(&path, json!({ "Force": true })).await;
        refused(&answer, 400, "invalid_request", &["no body"]);
    }
}

#[tokio::test]
async fn of_many_who_revoke_one_key_at_once_one_does_and_one_new_key_signs() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let stolen = kid(&house.signs_in(&client, "ann").await["IdToken"]);
        let path = format!("/pools/{pool}/keys/{}/revoke", in_path(&stolen));
        let answers = together((0..4).map(|_| house.ask("POST", &path, &[], ""))).await;
        let done = answers.iter().filter(|answer| {
            assert_eq!(answer.status, 200, "{}", answer.body);
            !answer.json()["SignOut"].is_null()
        });
        assert_eq!(done.count(), 1);
        assert_eq!(house.kids(&pool).await.len(), 2);
        let sql = "SELECT COUNT(*) FROM signing_keys WHERE pool_id = ?1 AND state = 'active' AND use_for = 'id'";
        assert_eq!(house.rows(sql, &pool).await, 1);
        assert!(house.is_alive(&house.signs_in(&client, "ann").await).await);
    }
}

/// A token that a client got for itself has no user whose clock could order it.
#[tokio::test]
async fn tokens_of_clients_themselves_end_too() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house
            .ok(
                "CreateResourceServer",
                json!({ "UserPoolId": pool, "Identifier": "api", "Name": "api",
            "Scopes": [{ "ScopeName": "read", "ScopeDescription": "read" }] }),
            )
            .await;
        let input = json!({ "UserPoolId": pool, "ClientName": "machine", "GenerateSecret": true, "AllowedOAuthFlows": ["client_credentials"],
            "AllowedOAuthFlowsUserPoolClient": true, "AllowedOAuthScopes": ["api/read"] });
        let client = house.ok("CreateUserPoolClient", input).await["UserPoolClient"].clone();
        let (id, secret) =
            (client["ClientId"].as_str().unwrap(), client["ClientSecret"].as_str().unwrap());
        let form = |path: &str, body: String| {
            Request::post(format!("/{pool}{path}"))
                .header("host", "localhost:9229")
                .header("content-type", "application/x-www-form-urlencoded")
                .body(Body::from(format!("{body}&client_id={id}&client_secret={secret}")))
                .unwrap()
        };
        let gets = || async {
            let answer =
                house.send(form("/oauth2/token", "grant_type=client_credentials".to_owned())).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.json()["access_token"].as_str().unwrap().to_owned()
        };
        let (house, form) = (&house, &form);
        let active = |token: String| async move {
            house.send(form("/oauth2/introspect", format!("token={token}"))).await.json()["active"]
                == true
        };
        let all = format!("/pools/{pool}/sign-out-all");
        let own = format!("/pools/{pool}/clients/{id}/revoke-tokens");
        for path in [&all, &own, &own, &all, &own] {
            let before = gets().await;
            assert!(active(before.clone()).await);
            let answer = house.ask("POST", path, &[], "").await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(!active(before).await, "{path}");
            assert!(active(gets().await).await);
        }
    }
}
