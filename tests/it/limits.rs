//! How many requests are too many, at every door; the messages that an address gets; and that a flood of sign-ins starves nobody.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request};
use cenote::ambient::{HOUR, SECOND};
use cenote::compute::Load;
use cenote::config::{Config, Settings};
use cenote::limits::{Limit, Rates};
use serde_json::{Value, json};

use crate::browser::{Browser, code_client};
use crate::house::{Answer, House, PASSWORD, houses, houses_with, pause, refusal, together};

const EXCEEDED: &str = "Rate exceeded";

pub fn limited(limits: &str) -> Settings {
    Settings { rate_limits: Rates::off().with(&limits.parse().unwrap()), ..Settings::default() }
}

/// A pool, a client of it, and ann.
pub async fn open(house: &House, client: Value) -> (String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, client).await;
    house.user(&pool, "ann").await;
    (pool, client)
}

pub fn sign_in(client: &str, name: &str, password: &str) -> Value {
    json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": name, "PASSWORD": password } })
}

/// A request of the JSON door from this address, with these headers.
pub async fn from(
    house: &House,
    address: &str,
    headers: &[(&str, &str)],
    operation: &str,
    input: Value,
) -> Answer {
    let mut request = Request::post("/")
        .header("host", "localhost:9229")
        .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{operation}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::from(input.to_string())).unwrap();
    let address: SocketAddr = address.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(address));
    house.send(request).await
}

pub fn is_limited(answer: &Answer) -> bool {
    answer.body.contains("TooManyRequestsException")
}

#[tokio::test]
async fn a_category_of_a_pool_lets_through_its_number_and_time_gives_more() {
    for house in houses_with(limited("UserAuthentication=1")).await {
        let (pool, client) = open(&house, json!({})).await;
        let other = house.client(&pool, json!({})).await;
        let (_, elsewhere) = open(&house, json!({})).await;
        for n in 0..5 {
            house.signs_in(if n % 2 == 0 { &client } else { &other }, "ann").await;
        }
        let answer = house.call("InitiateAuth", sign_in(&client, "ann", PASSWORD)).await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.json(),
            json!({ "__type": "TooManyRequestsException", "message": EXCEEDED })
        );
        assert_eq!(answer.header("x-amzn-errortype"), "TooManyRequestsException:");
        assert_eq!(answer.header("retry-after"), "1");
        let admin = json!({ "UserPoolId": pool, "ClientId": client, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH",
            "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
        assert_eq!(
            house.refused("AdminInitiateAuth", admin.clone()).await,
            refusal("TooManyRequests", EXCEEDED)
        );
        // Neither another category nor another pool has anything to do with it.
        house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        house.signs_in(&elsewhere, "ann").await;

        house.advance(SECOND);
        house.ok("AdminInitiateAuth", admin).await;
        assert!(is_limited(&house.call("InitiateAuth", sign_in(&client, "ann", PASSWORD)).await));
    }
}

#[tokio::test]
async fn a_name_that_nobody_has_is_limited_like_any_other() {
    for house in houses_with(limited("per_user=1")).await {
        let (_, client) = open(&house, json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        // Making ann counted, too.
        house.advance(10 * SECOND);
        let mut answers = Vec::new();
        for name in ["ann", "nobody"] {
            let mut seen = Vec::new();
            for _ in 0..7 {
                seen.push(
                    house.refused("InitiateAuth", sign_in(&client, name, "Wrong-horse-9")).await,
                );
            }
            let forgot = json!({ "ClientId": client, "Username": name.to_uppercase() });
            for _ in 0..6 {
                seen.push((
                    house.call("ForgotPassword", forgot.clone()).await.status.to_string(),
                    String::new(),
                ));
            }
            answers.push(seen);
        }
        assert_eq!(answers[0], answers[1]);
        let exceeded =
            answers[0].iter().filter(|seen| **seen == refusal("TooManyRequests", EXCEEDED));
        assert_eq!(exceeded.count(), 2);
        assert_eq!(answers[0].iter().filter(|(status, _)| status.starts_with("400")).count(), 1);
        // A stranger's attempts say nothing about other names.
        assert_eq!(
            house.refused("InitiateAuth", sign_in(&client, "bob", "Wrong-horse-9")).await.0,
            "NotAuthorizedException"
        );
    }
}

#[tokio::test]
async fn an_address_is_limited_at_every_operation_even_one_that_does_not_exist() {
    for house in houses_with(limited("per_address=1")).await {
        let (_, client) = open(&house, json!({})).await;
        let wrong = sign_in(&client, "ann", "Wrong-horse-9");
        for _ in 0..3 {
            assert!(!is_limited(&from(&house, "192.0.2.1:999", &[], "NoSuch", json!({})).await));
        }
        for _ in 0..2 {
            assert!(!is_limited(
                &from(&house, "192.0.2.1:99", &[], "InitiateAuth", wrong.clone()).await
            ));
        }
        for operation in ["InitiateAuth", "NoSuch", "ListUserPools"] {
            assert!(
                is_limited(&from(&house, "192.0.2.1:9", &[], operation, wrong.clone()).await),
                "{operation}"
            );
        }
        assert!(!is_limited(&from(&house, "192.0.2.2:9", &[], "NoSuch", json!({})).await));
        // One customer has a whole network of IPv6.
        for n in 0..5 {
            let address = format!("[2001:db8::{n}]:9");
            assert!(!is_limited(&from(&house, &address, &[], "NoSuch", json!({})).await));
        }
        assert!(is_limited(&from(&house, "[2001:db8::ffff]:9", &[], "NoSuch", json!({})).await));
        assert!(!is_limited(&from(&house, "[2001:db8:0:1::1]:9", &[], "NoSuch", json!({})).await));
        // This machine is the operator, or a proxy.
        for _ in 0..20 {
            assert!(!is_limited(&from(&house, "127.0.0.1:9", &[], "NoSuch", json!({})).await));
        }
    }
}

#[tokio::test]
async fn behind_a_proxy_the_address_is_the_one_that_it_tells() {
    let settings = Settings {
        trusted_proxies: vec!["198.51.100.7".parse().unwrap()],
        ..limited("per_address=1")
    };
    for house in houses_with(settings).await {
        let told = |client: &'static str| [("x-forwarded-for", client)];
        for _ in 0..5 {
            let answer =
                from(&house, "198.51.100.7:9", &told("203.0.113.5"), "NoSuch", json!({})).await;
            assert!(!is_limited(&answer));
        }
        let proxied = |client: &'static str| {
            let house = &house;
            async move { from(house, "198.51.100.7:9", &told(client), "NoSuch", json!({})).await }
        };
        assert!(is_limited(&proxied("203.0.113.5").await));
        assert!(
            is_limited(&proxied("10.9.9.9, 203.0.113.5").await),
            "only the proxy's own word counts"
        );
        assert!(!is_limited(&proxied("203.0.113.6").await));
        // A proxy that says nothing stands for all its clients.
        for _ in 0..20 {
            assert!(!is_limited(&from(&house, "198.51.100.7:9", &[], "NoSuch", json!({})).await));
        }
        // Whoever is no proxy cannot put an address forward.
        for _ in 0..5 {
            from(&house, "203.0.113.9:9", &told("203.0.113.10"), "NoSuch", json!({})).await;
        }
        let more = from(&house, "203.0.113.9:9", &told("203.0.113.11"), "NoSuch", json!({})).await;
        assert!(is_limited(&more));
    }
}

#[tokio::test]
async fn what_costs_arithmetic_has_a_smaller_number_for_an_address_and_refreshes_do_not_count() {
    for house in houses_with(limited("per_address_sign_in=1")).await {
        let (_, client) = open(&house, json!({})).await;
        let tokens = house.signs_in(&client, "ann").await;
        let refresh = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client,
            "AuthParameters": { "REFRESH_TOKEN": tokens["RefreshToken"] } });
        let ask = async |operation: &str, input: Value| {
            from(&house, "192.0.2.1:9", &[], operation, input).await
        };
        let wrong = sign_in(&client, "ann", "Wrong-horse-9");
        for _ in 0..3 {
            assert!(!is_limited(&ask("InitiateAuth", wrong.clone()).await));
        }
        for _ in 0..2 {
            assert!(!is_limited(
                &ask("ForgotPassword", json!({ "ClientId": client, "Username": "ann" })).await
            ));
        }
        assert!(is_limited(&ask("InitiateAuth", wrong).await));
        assert!(is_limited(
            &ask("ForgotPassword", json!({ "ClientId": client, "Username": "bob" })).await
        ));
        for _ in 0..10 {
            assert_eq!(ask("InitiateAuth", refresh.clone()).await.status, 200);
            assert_eq!(
                ask("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await.status,
                200
            );
        }
    }
}

#[tokio::test]
async fn a_client_is_limited_and_its_neighbour_is_not() {
    for house in houses_with(limited("per_client=1")).await {
        let (pool, client) = open(&house, json!({})).await;
        let neighbour = house.client(&pool, json!({})).await;
        for _ in 0..5 {
            house.signs_in(&client, "ann").await;
        }
        assert!(is_limited(&house.call("InitiateAuth", sign_in(&client, "ann", PASSWORD)).await));
        house.signs_in(&neighbour, "ann").await;
        // Whoever signs is no stranger.
        house.ok("DescribeUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client })).await;
    }
}

#[tokio::test]
async fn a_token_spends_its_own_users_number_and_a_forged_one_nobodys() {
    for house in houses_with(limited("per_user=1")).await {
        let (pool, client) = open(&house, json!({})).await;
        house.user(&pool, "bob").await;
        let ann = house.signs_in(&client, "ann").await["AccessToken"].clone();
        let bob = house.signs_in(&client, "bob").await["AccessToken"].clone();
        let forged = format!("{}AAAA", &ann.as_str().unwrap()[..ann.as_str().unwrap().len() - 4]);
        for _ in 0..20 {
            let refused = house.refused("GetUser", json!({ "AccessToken": forged })).await;
            assert_eq!(refused.0, "NotAuthorizedException");
        }
        for _ in 0..5 {
            house.ok("GetUser", json!({ "AccessToken": ann })).await;
        }
        assert_eq!(
            house.refused("GetUser", json!({ "AccessToken": ann })).await,
            refusal("TooManyRequests", EXCEEDED)
        );
        house.ok("GetUser", json!({ "AccessToken": bob })).await;
        // Reading does not use up what changes have.
        let update =
            json!({ "AccessToken": ann, "UserAttributes": [{ "Name": "name", "Value": "Ann" }] });
        house.ok("UpdateUserAttributes", update).await;
    }
}

#[tokio::test]
async fn a_request_that_runs_again_is_counted_once() {
    // Forty at once.
    for house in houses_with(limited("per_user=8")).await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let tracking = json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": 50 } });
        house.ok("SetUserPoolSessionConfiguration", tracking).await;
        let before = count(&house, "cenote_operation_reruns_total", "").await;
        let racers = (0..32).map(|_| house.call("InitiateAuth", sign_in(&client, "ann", PASSWORD)));
        for answer in together(racers).await {
            assert!(!is_limited(&answer) || !answer.body.contains(EXCEEDED), "{}", answer.body);
        }
        assert!(
            count(&house, "cenote_operation_reruns_total", "").await > before,
            "nothing ran again"
        );
    }
}

#[tokio::test]
async fn the_oauth_door_answers_429_with_retry_after() {
    for house in houses_with(limited("UserAuthentication=1,UserRead=1")).await {
        let (pool, client) = open(&house, code_client()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let form = [
            ("grant_type", "refresh_token"),
            ("client_id", client.as_str()),
            ("refresh_token", "x"),
        ];
        for _ in 0..5 {
            assert_eq!(browser.post("/oauth2/token", &form).await.json()["error"], "invalid_grant");
        }
        let answer = browser.post("/oauth2/token", &form).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "1"));
        assert_eq!(
            answer.json(),
            json!({ "error": "temporarily_unavailable", "error_description": EXCEEDED })
        );

        house.advance(5 * SECOND);
        let tokens = browser.gets_tokens("ann", PASSWORD).await;
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let mut answers = Vec::new();
        for _ in 0..6 {
            let info = browser
                .send(Method::GET, "/oauth2/userInfo", None, &[("authorization", &bearer)])
                .await;
            answers.push((info.status.as_u16(), info.header("retry-after").to_owned()));
        }
        assert_eq!(answers[..5], vec![(200, String::new()); 5]);
        assert_eq!(answers[5], (429, "1".to_owned()));
    }
}

#[tokio::test]
async fn the_hosted_pages_say_in_words_that_it_was_too_much() {
    for house in houses_with(limited("ManagedLogin=1")).await {
        let (pool, client) = open(&house, code_client()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = format!("/login?{}", browser.query(""));
        for _ in 0..5 {
            assert_eq!(browser.get(&page).await.status, 200);
        }
        let answer = browser.get(&page).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (429, "1"));
        assert!(answer.header("content-type").starts_with("text/html"));
        assert!(answer.body.contains("Too many requests at once"), "{}", answer.body);
        house.advance(SECOND);
        assert_eq!(browser.get(&page).await.status, 200);
    }
}

#[tokio::test]
async fn a_form_counts_its_user_name_and_its_address_like_the_api() {
    for house in houses_with(limited("per_user=1")).await {
        let (pool, client) = open(&house, code_client()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(browser.signs_in("nobody", "Wrong-horse-9", "").await.status.as_u16());
        }
        assert_eq!(seen, [200, 200, 200, 200, 200, 429]);
        assert_eq!(browser.signs_in("ann", PASSWORD, "").await.status, 302);
    }
}

#[tokio::test]
async fn discovery_and_keys_are_for_everybody() {
    for house in houses_with(limited("per_address=1,ManagedLogin=1,UserRead=1,Discovery=10")).await
    {
        let (pool, _) = open(&house, json!({})).await;
        let mut seen = Vec::new();
        for n in 0..51 {
            let document = if n % 2 == 0 { "jwks.json" } else { "openid-configuration" };
            let request = Request::get(format!("/{pool}/.well-known/{document}"))
                .header("host", "localhost:9229")
                .extension(ConnectInfo("192.0.2.1:9".parse::<SocketAddr>().unwrap()))
                .body(Body::empty())
                .unwrap();
            seen.push(house.send(request).await.status.as_u16());
        }
        assert_eq!(seen[..50], [200; 50]);
        assert_eq!(seen[50], 429);
    }
}

#[tokio::test]
async fn what_was_refused_is_counted() {
    for house in houses_with(limited("UserRead=1")).await {
        let (pool, _) = open(&house, json!({})).await;
        for _ in 0..8 {
            house.call("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        }
        let labels = r#"{category="UserRead",by="pool"}"#;
        assert_eq!(count(&house, "cenote_rate_limited_total", labels).await, 3);
    }
}

#[tokio::test]
async fn an_address_gets_so_many_messages_in_an_hour_whoever_asks() {
    for house in houses_with(limited("messages_per_address=3")).await {
        let pool = house.pool(json!({ "AutoVerifiedAttributes": ["email"] })).await;
        let client = house.client(&pool, json!({})).await;
        let sign_up = |name: &str, email: &str| {
            json!({ "ClientId": client, "Username": name, "Password": PASSWORD,
                "UserAttributes": [{ "Name": "email", "Value": email }] })
        };
        house.ok("SignUp", sign_up("one", "ann@example.com")).await;
        house.ok("SignUp", sign_up("two", "Ann+two@example.com")).await;
        house.ok("ResendConfirmationCode", json!({ "ClientId": client, "Username": "one" })).await;
        let limit = refusal("LimitExceeded", "Attempt limit exceeded, please try after some time.");
        assert_eq!(house.refused("SignUp", sign_up("three", "ann@example.com")).await, limit);
        let resend = json!({ "ClientId": client, "Username": "two" });
        assert_eq!(house.refused("ResendConfirmationCode", resend.clone()).await, limit);
        // Nothing was made of the one that was refused, and other addresses are not concerned.
        house.ok("SignUp", sign_up("three", "bob@example.com")).await;
        // Administrators know whom they write to.
        let invite = json!({ "UserPoolId": pool, "Username": "four", "DesiredDeliveryMediums": ["EMAIL"],
            "UserAttributes": [{ "Name": "email", "Value": "ann@example.com" }] });
        house.ok("AdminCreateUser", invite).await;
        house.advance(HOUR);
        house.ok("ResendConfirmationCode", resend).await;
    }
}

#[tokio::test]
async fn whoever_signs_in_cannot_fill_a_strangers_mailbox_with_codes() {
    for house in houses_with(limited("messages_per_address=3")).await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let email = json!({ "SmsMfaConfiguration": null });
        crate::totp::demands(&house, &pool, "ON", email).await;
        for name in ["one", "two"] {
            house.user(&pool, name).await;
            let input =
                json!({ "UserPoolId": pool, "Username": name, "UserAttributeNames": ["email"] });
            house.ok("AdminDeleteUserAttributes", input).await;
        }
        let begins = async |name: &str| {
            let parameters = json!({ "USERNAME": name, "PASSWORD": PASSWORD });
            let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": parameters });
            house.ok("InitiateAuth", input).await
        };
        let names = async |name: &str, address: &str| {
            let session = &begins(name).await["Session"];
            json!({ "ClientId": client, "ChallengeName": "MFA_SETUP", "Session": session,
                "ChallengeResponses": { "USERNAME": name, "EMAIL": address } })
        };
        for name in ["one", "two", "one"] {
            let input = names(name, "victim@example.com").await;
            house.ok("RespondToAuthChallenge", input).await;
        }
        let message = "Too many messages were sent to this address. Try again later.";
        let limit = refusal("TooManyRequests", message);
        let input = names("two", "victim+2@example.com").await;
        assert_eq!(house.refused("RespondToAuthChallenge", input).await, limit);
        house.ok("RespondToAuthChallenge", names("two", "two@example.com").await).await;

        // What is proved to be somebody's own gets their codes, whoever else had messages sent there.
        house.user(&pool, "ann").await;
        for _ in 0..4 {
            assert_eq!(begins("ann").await["ChallengeName"], "EMAIL_OTP");
        }
        house.advance(HOUR);
        house.ok("RespondToAuthChallenge", names("two", "victim@example.com").await).await;
    }
}

#[tokio::test]
async fn that_an_address_had_enough_tells_nothing_about_who_exists() {
    for house in houses_with(limited("messages_per_address=2")).await {
        let pool = house.pool(json!({ "AutoVerifiedAttributes": ["email"] })).await;
        let client = house.client(&pool, json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        house.user(&pool, "ann").await;
        let rows = async || {
            let mut rows = Vec::new();
            for sql in [
                "SELECT COUNT(*) FROM user_codes WHERE pool_id = ?1",
                "SELECT COUNT(*) FROM allowances WHERE pool_id = ?1",
                "SELECT COUNT(*) FROM messages WHERE pool_id = ?1",
            ] {
                rows.push(house.rows(sql, &pool).await);
            }
            rows
        };
        let mut seen = Vec::new();
        for name in ["ann", "nobody@example.com"] {
            for _ in 0..4 {
                let before = rows().await;
                let answer = house
                    .ok("ForgotPassword", json!({ "ClientId": client, "Username": name }))
                    .await;
                let made: Vec<i64> =
                    rows().await.iter().zip(before).map(|(after, before)| after - before).collect();
                let medium = answer["CodeDeliveryDetails"]["DeliveryMedium"].clone();
                seen.push((answer["CodeDeliveryDetails"]["Destination"].clone(), medium, made));
            }
        }
        let (ann, nobody) = seen.split_at(4);
        assert!(ann.iter().all(|(to, ..)| to == "a***@e***"), "{ann:?}");
        assert!(nobody.iter().all(|(to, ..)| to == "n***@e***"), "{nobody:?}");
        let made = |seen: &[(Value, Value, Vec<i64>)]| -> Vec<Vec<i64>> {
            seen.iter().map(|(_, _, made)| made.clone()).collect()
        };
        assert_eq!(made(ann), made(nobody));
        assert_eq!(house.outbox(&pool, "ann@example.com").await.len(), 2);
    }
}

#[tokio::test]
async fn a_flood_of_sign_ins_does_not_hold_up_refreshes() {
    for house in houses().await {
        let (_, client) = open(&house, json!({})).await;
        let tokens = house.signs_in(&client, "ann").await;
        let refresh = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client,
            "AuthParameters": { "REFRESH_TOKEN": tokens["RefreshToken"] } });
        let gate = Gate::close(&house, |load| load.arithmetic == 200 && load.signing == 20).await;

        let flood = (0..200).map(|n| ("sign-in", sign_in(&client, &format!("user {n}"), PASSWORD)));
        // The last to come.
        let all = flood.chain((0..20).map(|_| ("refresh", refresh.clone())));
        let order = Mutex::new(Vec::new());
        let racers = all.map(|(what, input)| {
            let (house, order) = (&house, &order);
            async move {
                let answer = house.call("InitiateAuth", input).await;
                order.lock().unwrap().push(what);
                (what, answer.status.as_u16())
            }
        });
        let answers = together(racers).await;
        gate.opened.await.unwrap();
        assert!(answers.iter().all(|(what, status)| *what != "refresh" || *status == 200));
        let order = order.into_inner().unwrap();
        let last = order.iter().rposition(|what| *what == "refresh").unwrap();
        let before = order[..last].iter().filter(|what| **what == "sign-in").count();
        assert!(before < 40, "{before} of 200 sign-ins came before the last refresh");
    }
}

/// Every thread of the pool for arithmetic held, until so much waits that the test can begin.
struct Gate {
    opened: tokio::task::JoinHandle<()>,
}

impl Gate {
    async fn close(house: &House, full: fn(Load) -> bool) -> Gate {
        let cores = std::thread::available_parallelism().unwrap().get();
        let (gate, closed) = std::sync::mpsc::channel::<()>();
        let closed = Arc::new(Mutex::new(closed));
        for _ in 0..cores {
            let (app, closed) = (house.app.clone(), closed.clone());
            tokio::spawn(async move {
                app.compute.run(move || closed.lock().unwrap().recv().is_err()).await.unwrap()
            });
        }
        while house.app.compute.load().running < cores {
            pause().await;
        }
        let app = house.app.clone();
        let opened = tokio::spawn(async move {
            while !full(app.compute.load()) {
                pause().await;
            }
            drop(gate);
        });
        Gate { opened }
    }
}

#[tokio::test]
async fn while_too_many_signatures_wait_nobody_is_let_in_who_needs_one_and_nothing_is_lost() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({})).await;
        let tokens = house.signs_in(&client, "ann").await;
        let refresh = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client,
            "AuthParameters": { "REFRESH_TOKEN": tokens["RefreshToken"] } });
        let cores = std::thread::available_parallelism().unwrap().get();
        let gate = Gate::close(&house, |load| load.signing == usize::MAX).await;
        // A few more than needed: until the gate holds every thread, some are signed.
        for _ in 0..600 * cores {
            let app = house.app.clone();
            tokio::spawn(async move { app.compute.sign(|| ()).await });
        }
        while !house.app.compute.is_busy() {
            pause().await;
        }
        assert_eq!(
            house.refused("InitiateAuth", refresh.clone()).await,
            refusal("TooManyRequests", EXCEEDED)
        );
        // What needs no signature goes on.
        house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let labels = r#"{category="UserAuthentication",by="queue"}"#;
        assert_eq!(count(&house, "cenote_rate_limited_total", labels).await, 1);
        gate.opened.abort();
        let _ = gate.opened.await;
        while house.app.compute.is_busy() {
            pause().await;
        }
        house.ok("InitiateAuth", refresh).await;
    }
}

#[test]
fn nothing_is_limited_in_dev_and_everything_in_serve() {
    assert_eq!(Settings::default().rate_limits, Rates::off());
    let checked = config("").check().unwrap();
    assert_eq!(checked.settings.rate_limits, Rates::built_in());
    for limit in Limit::ALL {
        assert!(checked.settings.rate_limits.of(limit) > 0, "{}", limit.name());
    }
}

/// A configuration with these lines of the file.
fn config(lines: &str) -> Config {
    let needed = "public_url = \"https://id.example.com\"\ndatabase_url = \"sqlite:///tmp/x.db\"\nmaster_key_file = \"/tmp/key\"\n";
    read(&format!("{needed}{lines}")).unwrap_or_else(|error| panic!("{}", error.message))
}

fn read(text: &str) -> cenote::error::Result<Config> {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!(
        "cenote-limits-{}-{}.toml",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, text).unwrap();
    let config = Config::read(&path);
    std::fs::remove_file(&path).unwrap();
    config
}

#[test]
fn limits_stand_in_a_table_of_the_file_and_a_flag_changes_one_of_them() {
    let rates = |config: Config| config.check().unwrap().settings.rate_limits;
    let file = "[rate_limits]\nUserAuthentication = 40\nper_user = 0\n";
    let found = rates(config(file));
    assert_eq!(found.of(Limit::UserAuthentication), 40);
    assert_eq!(found.of(Limit::ChallengeResponses), 120);
    assert_eq!(found.of(Limit::PerUser), 0);
    assert_eq!(found.of(Limit::PerAddress), Limit::PerAddress.built_in());
    let flag = Config { rate_limits: Some("per_user=7".parse().unwrap()), ..Config::default() };
    let found = rates(flag.or(config(file)));
    assert_eq!((found.of(Limit::PerUser), found.of(Limit::UserAuthentication)), (7, 40));
    assert_eq!(rates(config("rate_limits = \"off\"\n")), Rates::off());
    let flag = Config { rate_limits: Some("off".parse().unwrap()), ..Config::default() };
    assert_eq!(rates(flag.or(config(file))), Rates::off());
}

#[test]
fn a_limit_that_does_not_exist_is_refused_with_the_names_of_those_that_do() {
    for (lines, part) in [
        (
            "[rate_limits]\nUserAuthentification = 4\n",
            "There are: UserAuthentication, UserCreation",
        ),
        ("[rate_limits]\nper_user = -1\n", "must be a number from 0 (none) to 1000000"),
        ("[rate_limits]\nper_user = \"many\"\n", "expected i64"),
        ("rate_limits = 7\n", "expected \"off\" or a table of limits and numbers"),
        ("rate_limits = \"some\"\n", "write off, or limits with their numbers"),
    ] {
        let error = read(lines).unwrap_err();
        assert!(error.message.contains(part), "{lines}: {}", error.message);
    }
}

/// Whoever adds a page or an endpoint says what it counts as.
#[test]
fn every_route_has_a_category() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/app.rs");
    let text = std::fs::read_to_string(file).unwrap();
    let pages = text.split_once("\nfn pages(").unwrap().1.split_once("\n}").unwrap().0;
    let mut paths: Vec<&str> =
        pages.split("at(\"").skip(1).map(|rest| rest.split_once('"').unwrap().0).collect();
    paths.extend(["/.well-known/jwks.json", "/.well-known/openid-configuration"]);
    assert!(paths.len() >= 10, "{paths:?}");
    for path in paths {
        assert!(
            Limit::of_endpoint(path, false).is_some(),
            "{path} has no category: add it to ENDPOINTS in src/limits/kinds.rs"
        );
    }
}

/// The number of a counter in `/metrics`; 0 where it is not there yet.
async fn count(house: &House, name: &str, labels: &str) -> i64 {
    let request =
        Request::get("/metrics").header("host", "localhost:9229").body(Body::empty()).unwrap();
    let text = house.send(request).await.body;
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}{labels} ")));
    line.map_or(0, |number| number.parse().unwrap())
}
