//! The one promise that everything rests on, held under random interleavings on nodes whose clocks differ: what was signed in before a
//! sign-out began is dead on every node once it has returned, and what signs in after it has returned lives.

use cenote::ambient::{HOUR, Ms};
use serde_json::{Value, json};

use crate::house::{House, NOW, houses, together};
use crate::oauth_machine::claims;

struct Held {
    token: Value,
    user: usize,
    /// Must be dead, must live, or either (it raced with a sign-out).
    expected: Option<bool>,
}

#[derive(Clone, Copy)]
enum Act {
    SignIn { node: usize, user: usize },
    Refresh { node: usize, token: usize },
    SignOut { node: usize, user: usize },
}

#[tokio::test]
async fn under_random_interleavings_and_skew_no_token_outlives_its_sign_out() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let users = ["ann", "bob"];
        for user in users {
            house.user(&pool, user).await;
        }
        let nodes = [&house, &house.another_node(-25_000).await, &house.another_node(25_000).await];
        let mut random = Random(0x5eed);
        let mut held: Vec<Held> = Vec::new();
        let (mut lived, mut died) = (0, 0);

        for _ in 0..25 {
            let acts: Vec<Act> = (0..2 + random.below(4))
                .map(|_| {
                    let (node, user) = (random.below(3), random.below(2));
                    match random.below(5) {
                        0 => Act::SignOut { node, user },
                        1 | 2 if !held.is_empty() => {
                            Act::Refresh { node, token: random.below(held.len()) }
                        }
                        _ => Act::SignIn { node, user },
                    }
                })
                .collect();
            let signed_out: Vec<usize> = acts
                .iter()
                .filter_map(
                    |act| if let Act::SignOut { user, .. } = act { Some(*user) } else { None },
                )
                .collect();
            let results = together(
                acts.iter().map(|act| perform(&nodes, &pool, &client, &users, &held, *act)),
            )
            .await;

            for token in held.iter_mut().filter(|token| signed_out.contains(&token.user)) {
                token.expected = Some(false);
            }
            for (act, result) in acts.iter().zip(results) {
                let Some(token) = result else { continue };
                let (user, parent) = match act {
                    Act::SignIn { user, .. } => (*user, None),
                    Act::Refresh { token, .. } => (held[*token].user, Some(held[*token].expected)),
                    Act::SignOut { .. } => continue,
                };
                // A refreshed token shares its session's fate; a sign-in that raced with a sign-out may have either.
                let expected =
                    parent.unwrap_or(if signed_out.contains(&user) { None } else { Some(true) });
                held.push(Held { token, user, expected });
            }
            for house in [0, 1, 2].map(|node| nodes[node]) {
                house.advance(random.below(4) as i64);
            }
            check(&nodes, &mut held).await;
            lived += held.iter().filter(|token| token.expected == Some(true)).count();
            died += held.iter().filter(|token| token.expected == Some(false)).count();
        }
        assert!(lived > 20 && died > 20, "the run proved little: {lived} lived, {died} were dead");
    }
}

async fn perform(
    nodes: &[&House; 3],
    pool: &str,
    client: &str,
    users: &[&str; 2],
    held: &[Held],
    act: Act,
) -> Option<Value> {
    let answer = match act {
        Act::SignIn { node, user } => {
            let parameters = json!({ "USERNAME": users[user], "PASSWORD": crate::house::PASSWORD });
            let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": parameters });
            nodes[node].call("InitiateAuth", input).await
        }
        Act::Refresh { node, token } => {
            let refresh = held[token].token["RefreshToken"].clone();
            let input = json!({ "ClientId": client, "RefreshToken": refresh });
            nodes[node].call("GetTokensFromRefreshToken", input).await
        }
        Act::SignOut { node, user } => {
            let input = json!({ "UserPoolId": pool, "Username": users[user] });
            let answer = nodes[node].call("AdminUserGlobalSignOut", input).await;
            // Losing three races in a row is an answer; then nothing was promised, so ask again.
            assert!(answer.status == 200, "{}", answer.body);
            return None;
        }
    };
    let mut result = answer.json().get("AuthenticationResult")?.clone();
    if let Act::Refresh { token, .. } = act {
        result["RefreshToken"] = held[token].token["RefreshToken"].clone();
    }
    Some(result)
}

/// Every node must agree, and with what was promised. What raced is fixed to what it turned out to be.
async fn check(nodes: &[&House; 3], held: &mut [Held]) {
    for token in held {
        let mut alive = Vec::new();
        for house in nodes {
            let answer =
                house.call("GetUser", json!({ "AccessToken": token.token["AccessToken"] })).await;
            alive.push(answer.status == 200);
        }
        assert!(alive.iter().all(|one| *one == alive[0]), "the nodes disagree: {alive:?}");
        if let Some(expected) = token.expected {
            assert_eq!(
                alive[0],
                expected,
                "a token {} a sign-out",
                if expected { "died without" } else { "survived" }
            );
        }
        token.expected = Some(alive[0]);
    }
}

struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// A verifier forgets a record when no token that it concerns can live: a token that was born by a clock that was ahead expires by it.
#[tokio::test]
async fn a_record_outlasts_the_tokens_that_a_server_made_while_its_clock_was_ahead() {
    const AHEAD: Ms = 5 * HOUR;
    for house in houses().await {
        let ends = ["AdminUserGlobalSignOut", "AdminDeleteUser", "RevokeToken", "everybody"];
        for end in ends {
            let pool = house.pool(json!({})).await;
            let client = house.client(&pool, json!({})).await;
            house.user(&pool, "ann").await;
            house.advance(AHEAD);
            let tokens = house.signs_in(&client, "ann").await;
            house.advance(-AHEAD);
            match end {
                "RevokeToken" => {
                    let input = json!({ "ClientId": client, "Token": tokens["RefreshToken"] });
                    house.ok(end, input).await;
                }
                "everybody" => {
                    let path = format!("/pools/{pool}/sign-out-all");
                    assert_eq!(house.ask("POST", &path, &[], "").await.status, 200);
                }
                _ => {
                    house.ok(end, json!({ "UserPoolId": pool, "Username": "ann" })).await;
                }
            }
            let expires_ms = claims(&tokens["AccessToken"])["exp"].as_i64().unwrap() * 1_000;
            assert!(expires_ms > NOW + AHEAD);
            let sql = "SELECT MIN(drop_after_ms) FROM records WHERE pool_id = ?1";
            let lasts_ms = house.rows(sql, &pool).await;
            assert!(lasts_ms >= expires_ms + 120_000, "{end}: {lasts_ms}, {expires_ms}");
        }
    }
}
