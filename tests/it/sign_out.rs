//! What ends what: each row of docs/sign-out.md is a test here.

use axum::http::Method;
use cenote::store::records;
use serde_json::{Value, json};

use crate::browser::{BYE, Browser, CALLBACK, CHALLENGE, code_client, parameter};
use crate::house::{Answer, House, PASSWORD, houses, merge, together};

const REVOKED: (&str, &str) = ("NotAuthorizedException", "Access Token has been revoked");

async fn given(house: &House, pool: Value) -> (String, String) {
    let pool = house.pool(pool).await;
    let client = house.client(&pool, code_client()).await;
    house.user(&pool, "ann").await;
    (pool, client)
}

async fn is_alive(house: &House, token: &Value) -> bool {
    let answer = house.call("GetUser", json!({ "AccessToken": token["AccessToken"] })).await;
    if answer.status == 200 {
        return true;
    }
    let body = answer.json();
    assert_eq!((body["__type"].as_str().unwrap(), body["message"].as_str().unwrap()), REVOKED);
    false
}

async fn refreshes(house: &House, client: &str, token: &Value) -> Answer {
    house
        .call(
            "InitiateAuth",
            json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client, "AuthParameters": { "REFRESH_TOKEN": token["RefreshToken"] } }),
        )
        .await
}

/// The kinds and reasons of the pool's records, without those of `House::user`, which sets a password.
async fn records(house: &House, pool: &str) -> Vec<(String, String)> {
    let records = records::all(&house.app.db, pool).await.unwrap().into_iter();
    records
        .filter(|record| record.reason != "password_reset")
        .map(|record| (record.kind, record.reason))
        .collect()
}

fn record(kind: &str, reason: &str) -> (String, String) {
    (kind.to_owned(), reason.to_owned())
}

/// In the form of the JSON door.
fn as_result(tokens: &Value) -> Value {
    json!({ "AccessToken": tokens["access_token"], "RefreshToken": tokens["refresh_token"] })
}

#[tokio::test]
async fn global_sign_out_ends_every_token_of_the_user_and_of_nobody_else() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let other_client = house.client(&pool, json!({})).await;
        house.user(&pool, "bob").await;
        let (here, there) =
            (house.signs_in(&client, "ann").await, house.signs_in(&other_client, "ann").await);
        let bob = house.signs_in(&client, "bob").await;

        let answer =
            house.call("GlobalSignOut", json!({ "AccessToken": here["AccessToken"] })).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "{}"));
        let signout = uuid::Uuid::parse_str(answer.header("x-cenote-signout")).unwrap();
        assert_eq!(signout.get_version_num(), 7);

        assert!(!is_alive(&house, &here).await && !is_alive(&house, &there).await);
        assert!(is_alive(&house, &bob).await);
        let refused = refreshes(&house, &client, &here).await.json();
        assert_eq!(refused["message"], "Refresh Token has been revoked");
        let again =
            house.refused("GlobalSignOut", json!({ "AccessToken": here["AccessToken"] })).await;
        assert_eq!((again.0.as_str(), again.1.as_str()), REVOKED);
        assert_eq!(records(&house, &pool).await, [record("U", "global_sign_out")]);
    }
}

#[tokio::test]
async fn a_sign_in_in_the_same_millisecond_as_the_sign_out_lives_and_the_older_token_does_not() {
    for house in houses().await {
        let (_, client) = given(&house, json!({})).await;
        let old = house.signs_in(&client, "ann").await;
        house.ok("GlobalSignOut", json!({ "AccessToken": old["AccessToken"] })).await;
        let new = house.signs_in(&client, "ann").await;
        assert!(!is_alive(&house, &old).await);
        assert!(is_alive(&house, &new).await);
    }
}

#[tokio::test]
async fn a_clock_that_steps_backwards_revives_nothing_and_locks_nobody_out() {
    for house in houses().await {
        let (_, client) = given(&house, json!({})).await;
        let old = house.signs_in(&client, "ann").await;
        house.ok("GlobalSignOut", json!({ "AccessToken": old["AccessToken"] })).await;
        house.advance(-600_000);
        assert!(!is_alive(&house, &old).await);
        let new = house.signs_in(&client, "ann").await;
        assert!(is_alive(&house, &new).await);
        house.ok("GlobalSignOut", json!({ "AccessToken": new["AccessToken"] })).await;
        assert!(!is_alive(&house, &new).await);
    }
}

#[tokio::test]
async fn admin_user_global_sign_out_does_the_same_for_a_named_user() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let token = house.signs_in(&client, "ann").await;
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert!(!is_alive(&house, &token).await);
        let refused = house
            .refused("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "nobody" }))
            .await;
        assert_eq!(refused.0, "UserNotFoundException");
        assert_eq!(records(&house, &pool).await, [record("U", "admin_global_sign_out")]);
    }
}

#[tokio::test]
async fn global_sign_out_leaves_the_browser_session_but_kills_its_open_codes() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
        let answer = browser.signs_in("ann", PASSWORD, &pkce).await;
        let code = parameter(answer.header("location"), "code").unwrap();
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(browser.redeems(&code).await.json()["error"], "invalid_grant");
        assert!(browser.opens("").await.body.contains("Sign in as ann"));
        let answer = browser.goes_on(&pkce).await;
        let code = parameter(answer.header("location"), "code").unwrap();
        assert_eq!(browser.redeems(&code).await.status, 200);
    }
}

#[tokio::test]
async fn logout_ends_this_browser_and_its_codes_and_leaves_tokens_and_other_browsers() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let tokens = browser.gets_tokens("ann", PASSWORD).await;
        let mut elsewhere = Browser::new(&house, &pool, &client);
        elsewhere.signs_in("ann", PASSWORD, "").await;
        let pkce = format!("&code_challenge={CHALLENGE}&code_challenge_method=S256");
        let answer = browser.goes_on(&pkce).await;
        let code = parameter(answer.header("location"), "code").unwrap();
        let cookie = browser.cookies["cognito"].clone();

        let uri: String = url::form_urlencoded::byte_serialize(BYE.as_bytes()).collect();
        let answer =
            browser.get(&format!("/logout?client_id={client}&logout_uri={uri}&state=x")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));
        assert_eq!(answer.cookie("cognito").as_deref(), Some(""));
        assert!(!answer.header("x-cenote-signout").is_empty());

        assert!(browser.opens("").await.body.contains("name=\"password\""));
        browser.cookies.insert("cognito".into(), cookie);
        assert!(
            browser.opens("").await.body.contains("name=\"password\""),
            "a replayed cookie is dead"
        );
        assert_eq!(browser.redeems(&code).await.json()["error"], "invalid_grant");
        assert!(elsewhere.opens("").await.body.contains("Sign in as ann"));
        assert!(is_alive(&house, &as_result(&tokens)).await);
        assert_eq!(records(&house, &pool).await, [record("X", "logout")]);
    }
}

#[tokio::test]
async fn logout_takes_every_documented_form() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let id_token =
            browser.gets_tokens("ann", PASSWORD).await["id_token"].as_str().unwrap().to_owned();
        let encode =
            |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let (bye, callback) = (encode(BYE), encode(CALLBACK));
        let error = format!("/{pool}/error?");
        let cases = [
            (
                format!(
                    "client_id={client}&logout_uri={bye}&redirect_uri={callback}&response_type=code"
                ),
                BYE.to_owned(),
            ),
            (
                format!("client_id={client}&post_logout_redirect_uri={bye}&state=a%20b"),
                format!("{BYE}?state=a+b"),
            ),
            (format!("id_token_hint={id_token}&post_logout_redirect_uri={bye}"), BYE.to_owned()),
            (
                format!(
                    "client_id={client}&id_token_hint={id_token}&logout_uri={bye}&post_logout_redirect_uri=https%3A%2F%2Fevil.example"
                ),
                BYE.to_owned(),
            ),
            (
                format!(
                    "client_id={client}&redirect_uri={callback}&response_type=code&state=s&nonce=n"
                ),
                format!("/{pool}/login?client_id={client}"),
            ),
            (format!("client_id={client}"), error.clone()),
            (format!("client_id={client}&logout_uri={bye}%2F"), error.clone()),
            (
                format!("client_id={client}&logout_uri={}", encode("https://evil.example/")),
                error.clone(),
            ),
            (
                format!(
                    "client_id={client}&logout_uri={}",
                    encode("https://app.example.com/bye#x")
                ),
                error.clone(),
            ),
            (
                format!(
                    "client_id={client}&logout_uri={}",
                    encode("https://app.example.com/bye\r\nx: y")
                ),
                error.clone(),
            ),
            (format!("client_id={client}&redirect_uri={callback}"), error.clone()),
            (format!("logout_uri={bye}"), error.clone()),
            (format!("client_id=nobody&logout_uri={bye}"), error.clone()),
            (format!("client_id={client}&id_token_hint=rubbish&logout_uri={bye}"), BYE.to_owned()),
            (
                format!("client_id={client}&id_token_hint=rubbish&post_logout_redirect_uri={bye}"),
                error.clone(),
            ),
            (
                format!("client_id=other&id_token_hint={id_token}&post_logout_redirect_uri={bye}"),
                error.clone(),
            ),
        ];
        for (query, expected) in cases {
            let answer = browser.get(&format!("/logout?{query}")).await;
            assert_eq!(answer.status, 302, "{query}");
            assert!(
                answer.header("location").contains(&expected),
                "{query}: {}",
                answer.header("location")
            );
        }
        // The standard form posts; the browser only shows its cookie to the GET that follows.
        let form = format!("client_id={client}&post_logout_redirect_uri={bye}");
        let answer = browser.send(Method::POST, "/logout", Some(form), &[]).await;
        assert_eq!(answer.status, 303);
        assert!(answer.header("location").contains("/logout?client_id="));
    }
}

#[tokio::test]
async fn a_refused_logout_request_still_signs_out_and_the_page_says_so_and_what_is_missing() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let redirect_uri = "Required String parameter &#39;redirect_uri&#39; is not present";
        let client_id = "Required String parameter &#39;client_id&#39; is not present";
        let other = "https%3A%2F%2Fapp.example.com%2Fother";
        let cases = [
            (format!("client_id={client}&logout_uri={other}"), redirect_uri, "LogoutURLs"),
            (format!("client_id={client}"), redirect_uri, "named no logout_uri"),
            (String::new(), client_id, "must name an app client"),
            (format!("client_id=nobody&logout_uri={other}"), client_id, "must name an app client"),
            (
                format!("client_id={client}&id_token_hint=rubbish"),
                "The sign-out request was not valid",
                "id_token_hint is not an ID token",
            ),
        ];
        for (query, title, hint) in cases {
            browser.signs_in("ann", PASSWORD, "").await;
            let answer = browser.get(&format!("/logout?{query}")).await;
            let location = answer.header("location").to_owned();
            let page = browser.get(&location[location.find("/error").unwrap()..]).await;
            assert_eq!(page.status, 400);
            for said in [title, "The session of this browser has ended.", hint] {
                assert!(page.body.contains(said), "{query}: {}", page.body);
            }
            assert!(browser.opens("").await.body.contains("name=\"password\""));
        }
    }
}

#[tokio::test]
async fn revoking_a_refresh_token_ends_its_family_and_no_other() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let (one, two) =
            (house.signs_in(&client, "ann").await, house.signs_in(&client, "ann").await);
        let refreshed =
            refreshes(&house, &client, &one).await.json()["AuthenticationResult"].clone();
        let revoke = json!({ "ClientId": client, "Token": one["RefreshToken"] });
        assert_eq!(house.ok("RevokeToken", revoke.clone()).await, json!({}));
        assert!(!is_alive(&house, &one).await && !is_alive(&house, &refreshed).await);
        assert!(is_alive(&house, &two).await);
        house.ok("RevokeToken", revoke).await;
        assert_eq!(
            records(&house, &pool).await,
            [record("S", "token_revoked")],
            "revoking twice writes one record"
        );

        let other = house.client(&pool, json!({})).await;
        let (kind, _) = house
            .refused("RevokeToken", json!({ "ClientId": other, "Token": two["RefreshToken"] }))
            .await;
        assert_eq!(kind, "UnauthorizedException");
        let (kind, _) = house
            .refused("RevokeToken", json!({ "ClientId": client, "Token": two["AccessToken"] }))
            .await;
        assert_eq!(kind, "UnsupportedTokenTypeException");
        assert!(is_alive(&house, &two).await);
        let off = house.client(&pool, json!({ "EnableTokenRevocation": false })).await;
        let token = house.signs_in(&off, "ann").await;
        let (kind, _) = house
            .refused("RevokeToken", json!({ "ClientId": off, "Token": token["RefreshToken"] }))
            .await;
        assert_eq!(kind, "UnsupportedOperationException");
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert!(
            !is_alive(&house, &token).await,
            "a client without revocation is signed out like any other"
        );
    }
}

#[tokio::test]
async fn the_revocation_endpoint_does_the_same_and_writes_the_same_record() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let tokens = browser.gets_tokens("ann", PASSWORD).await;
        let refresh = tokens["refresh_token"].as_str().unwrap();
        let post = |fields: Vec<(&str, &str)>| {
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
        };
        let access = tokens["access_token"].as_str().unwrap();
        for (fields, status, error) in [
            (vec![("client_id", client.as_str())], 400, "invalid_request"),
            (vec![("client_id", &client), ("token", access)], 400, "unsupported_token_type"),
            (vec![("client_id", "nobody"), ("token", refresh)], 401, "invalid_client"),
        ] {
            let answer =
                browser.send(Method::POST, "/oauth2/revoke", Some(post(fields)), &[]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["error"].as_str().unwrap()),
                (status, error)
            );
        }
        for token in [refresh, refresh, "never-was-a-token"] {
            let answer = browser
                .send(
                    Method::POST,
                    "/oauth2/revoke",
                    Some(post(vec![("client_id", &client), ("token", token)])),
                    &[],
                )
                .await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
        }
        assert!(!is_alive(&house, &as_result(&tokens)).await);
        assert_eq!(records(&house, &pool).await, [record("S", "token_revoked")]);
    }
}

async fn tracked(house: &House, max: i64) -> (String, String) {
    let (pool, client) = given(house, json!({})).await;
    let input = json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": max } });
    house.ok("SetUserPoolSessionConfiguration", input).await;
    (pool, client)
}

#[tokio::test]
async fn sessions_are_listed_and_revoked_with_what_is_linked_to_them() {
    for house in houses().await {
        let (pool, client) = tracked(&house, 100).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let one = as_result(&browser.gets_tokens("ann", PASSWORD).await);
        let pkce = format!(
            "&code_challenge={CHALLENGE}&code_challenge_method=S256&scope=openid+aws.cognito.signin.user.admin"
        );
        let code = parameter(browser.goes_on(&pkce).await.header("location"), "code").unwrap();
        let two = as_result(&browser.redeems(&code).await.json());
        let api = house.signs_in(&client, "ann").await;

        let list = house.ok("ListUserSessions", json!({ "AccessToken": api["AccessToken"] })).await;
        let sessions = list["Sessions"].as_array().unwrap().clone();
        assert_eq!(sessions.len(), 4, "{list}");
        for session in &sessions {
            let id = session["SessionId"].as_str().unwrap();
            assert_eq!(id.len(), 28);
            assert!(id.starts_with(if session["SessionType"] == "TOKEN" { "tkn" } else { "sso" }));
        }
        let current: Vec<&Value> =
            sessions.iter().filter(|session| session["IsCurrentSession"] == true).collect();
        assert_eq!(current.len(), 1);
        assert!(current[0].get("OriginSessionId").is_none_or(Value::is_null));
        let refused = house
            .refused(
                "RevokeUserSession",
                json!({ "AccessToken": api["AccessToken"], "SessionId": current[0]["SessionId"] }),
            )
            .await;
        assert_eq!(refused.0, "InvalidParameterException");

        let sso =
            sessions.iter().find(|session| session["SessionType"] == "SSO").unwrap()["SessionId"]
                .clone();
        let input = json!({ "UserPoolId": pool, "Username": "ann", "SessionId": sso });
        house.ok("AdminRevokeUserSession", input).await;
        assert!(
            browser.opens("").await.body.contains("name=\"password\""),
            "the browser session ended"
        );
        assert!(
            is_alive(&house, &one).await && is_alive(&house, &two).await,
            "NONE leaves the token sessions"
        );

        let mut again = Browser::new(&house, &pool, &client);
        let three = as_result(&again.gets_tokens("ann", PASSWORD).await);
        let list = house
            .ok("AdminListUserSessions", json!({ "UserPoolId": pool, "Username": "ann" }))
            .await;
        let sso = list["Sessions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|session| session["SessionType"] == "SSO")
            .unwrap()["SessionId"]
            .clone();
        let input = json!({ "AccessToken": api["AccessToken"], "SessionId": sso, "RevokeAssociatedSessions": "LINKED" });
        house.ok("RevokeUserSession", input).await;
        assert!(!is_alive(&house, &three).await, "LINKED takes the token sessions along");
        assert!(is_alive(&house, &api).await);
        let (kind, _) = house
            .refused(
                "AdminRevokeUserSession",
                json!({ "UserPoolId": pool, "Username": "ann", "SessionId": sso }),
            )
            .await;
        assert_eq!(kind, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn session_operations_ask_for_tracking() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let token = house.signs_in(&client, "ann").await;
        let (kind, _) =
            house.refused("ListUserSessions", json!({ "AccessToken": token["AccessToken"] })).await;
        assert_eq!(kind, "OperationNotEnabledException");
        let config =
            house.ok("GetUserPoolSessionConfiguration", json!({ "UserPoolId": pool })).await;
        assert_eq!(
            config,
            json!({ "UserPoolId": pool, "UserSessionTracking": "DISABLED", "TokenSession": { "MaxPerUser": 20 } })
        );
        let set = json!({ "UserPoolId": pool, "ClientId": client, "SSOSession": { "MaxValidityMinutes": 5 } });
        assert_eq!(
            house.refused("SetUserPoolClientSessionConfiguration", set.clone()).await.0,
            "OperationNotEnabledException"
        );
        house.ok("SetUserPoolSessionConfiguration", json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": 2 } })).await;
        let got = json!({ "UserPoolId": pool, "ClientId": client });
        assert_eq!(
            house.ok("GetUserPoolClientSessionConfiguration", got.clone()).await["SSOSession"]["MaxValidityMinutes"],
            60
        );
        house.ok("SetUserPoolClientSessionConfiguration", set).await;
        assert_eq!(
            house.ok("GetUserPoolClientSessionConfiguration", got).await["SSOSession"]["MaxValidityMinutes"],
            5
        );
    }
}

#[tokio::test]
async fn beyond_max_per_user_the_least_recently_used_session_ends() {
    for house in houses().await {
        let (pool, client) = tracked(&house, 2).await;
        let one = house.signs_in(&client, "ann").await;
        house.advance(120_000);
        let two = house.signs_in(&client, "ann").await;
        house.advance(120_000);
        refreshes(&house, &client, &one).await;
        // LastActiveDate is noted after the answer.
        for _ in 0..1_000 {
            let list = house
                .ok("AdminListUserSessions", json!({ "UserPoolId": pool, "Username": "ann" }))
                .await;
            let moved = list["Sessions"].as_array().unwrap().iter().any(|session| {
                session["LastActiveDate"].as_f64()
                    > session["CreateDate"].as_f64().map(|at| at + 200.0)
            });
            if moved {
                break;
            }
            crate::house::pause().await;
        }
        house.advance(1_000);
        let three = house.signs_in(&client, "ann").await;
        assert!(is_alive(&house, &one).await && is_alive(&house, &three).await);
        assert!(!is_alive(&house, &two).await);
        assert_eq!(records(&house, &pool).await, [record("S", "max_sessions_per_user")]);
    }
}

#[tokio::test]
async fn max_per_user_is_exact_when_sign_ins_race() {
    for house in houses().await {
        let (pool, client) = tracked(&house, 3).await;
        let racers = (0..8).map(|_| {
            let (house, client) = (&house, &client);
            async move {
                let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
                house.call("InitiateAuth", input).await.status.as_u16()
            }
        });
        let statuses = together(racers).await;
        assert!(statuses.contains(&200), "{statuses:?}");
        let list = house
            .ok("AdminListUserSessions", json!({ "UserPoolId": pool, "Username": "ann" }))
            .await;
        assert!(list["Sessions"].as_array().unwrap().len() <= 3, "{list}");
    }
}

#[tokio::test]
async fn refreshing_races_with_signing_out_and_nothing_escapes() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        for _ in 0..5 {
            let token = house.signs_in(&client, "ann").await;
            let sign_out = async {
                house
                    .ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" }))
                    .await;
                None
            };
            let refreshing = async { Some(refreshes(&house, &client, &token).await) };
            let futures: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Answer>> + Send>>> =
                vec![Box::pin(refreshing), Box::pin(sign_out)];
            for answer in
                together(futures).await.into_iter().flatten().filter(|answer| answer.status == 200)
            {
                assert!(
                    !is_alive(&house, &answer.json()["AuthenticationResult"]).await,
                    "refreshed tokens keep their session's birth"
                );
            }
        }
    }
}

#[tokio::test]
async fn disabling_ends_everything_and_enabling_revives_nothing() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let token = house.signs_in(&client, "ann").await;
        let ann = json!({ "UserPoolId": pool, "Username": "ann" });
        house.ok("AdminDisableUser", ann.clone()).await;
        assert!(!is_alive(&house, &token).await);
        let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
        assert_eq!(house.refused("InitiateAuth", input).await.1, "User is disabled.");
        house.ok("AdminEnableUser", ann).await;
        assert!(!is_alive(&house, &token).await);
        assert!(browser.opens("").await.body.contains("name=\"password\""));
        assert_eq!(records(&house, &pool).await.len(), 1);
    }
}

#[tokio::test]
async fn a_password_change_spares_the_tokens_and_the_browser_that_made_it() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let (mut mine, mut other) =
            (Browser::new(&house, &pool, &client), Browser::new(&house, &pool, &client));
        let tokens = mine.gets_tokens("ann", PASSWORD).await;
        other.signs_in("ann", PASSWORD, "").await;
        let api = house.signs_in(&client, "ann").await;
        let input = json!({ "AccessToken": tokens["access_token"], "PreviousPassword": PASSWORD, "ProposedPassword": "Another-horse-9" });
        house.ok("ChangePassword", input).await;
        assert!(is_alive(&house, &api).await && is_alive(&house, &as_result(&tokens)).await);
        assert!(mine.opens("").await.body.contains("Sign in as ann"));
        assert!(other.opens("").await.body.contains("name=\"password\""));
        let answer = mine.goes_on("").await;
        assert!(answer.header("location").contains("code="), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_password_that_an_administrator_sets_ends_everything() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let token = house.signs_in(&client, "ann").await;
        let before = records::all(&house.app.db, &pool).await.unwrap().len();
        house.ok("AdminSetUserPassword", json!({ "UserPoolId": pool, "Username": "ann", "Password": PASSWORD, "Permanent": true })).await;
        assert!(!is_alive(&house, &token).await);
        assert!(browser.opens("").await.body.contains("name=\"password\""));
        assert_eq!(records::all(&house.app.db, &pool).await.unwrap().len(), before + 1);
    }
}

#[tokio::test]
async fn deleting_the_user_ends_everything_and_a_new_user_of_that_name_is_another() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let token = house.signs_in(&client, "ann").await;
        house.ok("AdminDeleteUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_ne!(
            house.call("GetUser", json!({ "AccessToken": token["AccessToken"] })).await.status,
            200
        );
        house.user(&pool, "ann").await;
        assert_ne!(
            house.call("GetUser", json!({ "AccessToken": token["AccessToken"] })).await.status,
            200
        );
        assert!(browser.opens("").await.body.contains("name=\"password\""));
        assert_ne!(refreshes(&house, &client, &token).await.status, 200);
    }
}

#[tokio::test]
async fn deleting_the_client_ends_its_tokens_and_only_those() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let other = house.client(&pool, json!({})).await;
        let (gone, stays) =
            (house.signs_in(&client, "ann").await, house.signs_in(&other, "ann").await);
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client })).await;
        assert_ne!(
            house.call("GetUser", json!({ "AccessToken": gone["AccessToken"] })).await.status,
            200
        );
        assert!(is_alive(&house, &stays).await);
    }
}

#[tokio::test]
async fn rotation_gives_one_successor_and_reuse_ends_the_family() {
    for house in houses().await {
        let (pool, _) = given(&house, json!({})).await;
        let rotating = |grace: i64| {
            let mut input = json!({ "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"] });
            merge(
                &mut input,
                json!({ "RefreshTokenRotation": { "Feature": "ENABLED", "RetryGracePeriodSeconds": grace } }),
            );
            input
        };
        let client = house.client(&pool, rotating(0)).await;
        let refresh =
            |token: &Value| json!({ "ClientId": client, "RefreshToken": token["RefreshToken"] });
        let first = house.signs_in(&client, "ann").await;
        let racers = (0..32).map(|_| {
            let (house, input) = (&house, refresh(&first));
            async move { house.call("GetTokensFromRefreshToken", input).await }
        });
        let answers = together(racers).await;
        let winners: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(winners.len(), 1, "exactly one wins");
        let second = winners[0].json()["AuthenticationResult"].clone();
        assert_ne!(second["RefreshToken"], first["RefreshToken"]);
        assert!(
            is_alive(&house, &second).await,
            "racing with oneself within two seconds ends nothing"
        );

        house.advance(3_000);
        let third =
            house.ok("GetTokensFromRefreshToken", refresh(&second)).await["AuthenticationResult"]
                .clone();
        house.advance(3_000);
        let (kind, _) = house.refused("GetTokensFromRefreshToken", refresh(&first)).await;
        assert_eq!(kind, "RefreshTokenReuseException");
        assert!(!is_alive(&house, &third).await, "reuse ends the family");
        assert_eq!(records(&house, &pool).await, [record("S", "refresh_token_reuse")]);

        let client = house.client(&pool, rotating(30)).await;
        let first = house.signs_in(&client, "ann").await;
        let input = json!({ "ClientId": client, "RefreshToken": first["RefreshToken"] });
        house.ok("GetTokensFromRefreshToken", input.clone()).await;
        house.advance(29_000);
        house.ok("GetTokensFromRefreshToken", input.clone()).await;
        house.advance(2_000);
        assert_eq!(
            house.refused("GetTokensFromRefreshToken", input).await.0,
            "RefreshTokenReuseException"
        );
    }
}
