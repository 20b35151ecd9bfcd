//! The hosted door: authorize, login, *Sign in as NAME*, the token endpoint, userInfo.

use axum::http::Method;
use serde_json::json;

use crate::browser::{BYE, Browser, CALLBACK, CHALLENGE, code_client, field, parameter};
use crate::house::{House, PASSWORD, houses};

async fn given(house: &House) -> (String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, code_client()).await;
    house.user(&pool, "ann").await;
    (pool, client)
}

#[tokio::test]
async fn signing_in_gives_a_code_and_the_code_gives_tokens() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let more = format!(
            "&state=a%20b%26c&nonce=n-1&scope=openid+email&code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        let answer = browser.signs_in("ann", PASSWORD, &more).await;
        assert_eq!(answer.status, 302);
        let location = answer.header("location");
        assert!(location.starts_with(&format!("{CALLBACK}?code=")), "{location}");
        assert_eq!(parameter(location, "state").as_deref(), Some("a b&c"));

        let tokens = browser.redeems(&parameter(location, "code").unwrap()).await;
        assert_eq!(tokens.status, 200, "{}", tokens.body);
        assert_eq!(tokens.header("access-control-allow-origin"), "*");
        let tokens = tokens.json();
        assert_eq!(tokens["token_type"], "Bearer");
        assert_eq!(tokens["expires_in"], 3600);
        let id = claims(tokens["id_token"].as_str().unwrap());
        assert_eq!(id["nonce"], "n-1");
        assert_eq!(id["email"], "ann@example.com");
        assert_eq!(id["email_verified"], true);
        assert_eq!(id["aud"], client.as_str());
        assert_eq!(id["token_use"], "id");
        let access = claims(tokens["access_token"].as_str().unwrap());
        assert_eq!(access["version"], 2);
        assert_eq!(access["scope"], "openid email");
        assert_eq!(access["origin_jti"], id["origin_jti"]);

        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let info = browser
            .send(Method::GET, "/oauth2/userInfo", None, &[("authorization", &bearer)])
            .await;
        assert_eq!(info.status, 200, "{}", info.body);
        assert_eq!(info.json()["email_verified"], "true");
        assert_eq!(info.json()["username"], "ann");
    }
}

#[tokio::test]
async fn coming_again_offers_sign_in_as_name_and_another_account() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let before = browser.cookies["cognito"].clone();

        let page = browser.opens("").await;
        assert!(page.body.contains(">Sign in as ann</button>"), "{}", page.body);
        assert!(!page.body.contains("name=\"password\""));
        let other = page
            .body
            .split_once("class=\"redirect-customizable\" href=\"")
            .unwrap()
            .1
            .split('"')
            .next()
            .unwrap()
            .replace("&#x2f;", "/")
            .replace("&amp;", "&");
        let form = browser.get(&format!("/login{other}")).await;
        assert!(form.body.contains("name=\"password\""), "{}", form.body);

        let answer = browser.goes_on("").await;
        assert!(
            answer.header("location").starts_with(&format!("{CALLBACK}?code=")),
            "{}",
            answer.body
        );
        assert_ne!(browser.cookies["cognito"], before, "the handle is replaced");
        let mut thief = Browser::new(&house, &pool, &client);
        thief.cookies.insert("cognito".into(), before);
        assert!(thief.opens("").await.body.contains("name=\"password\""), "the old handle is dead");
    }
}

#[tokio::test]
async fn continuing_renews_the_hour_and_a_day_after_the_last_authentication_it_is_over() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        for _ in 0..28 {
            house.advance(50 * 60_000);
            assert!(browser.opens("").await.body.contains("Sign in as ann"));
            browser.goes_on("").await;
        }
        house.advance(41 * 60_000);
        assert!(browser.opens("").await.body.contains("name=\"password\""), "24 hours are over");

        let mut idle = Browser::new(&house, &pool, &client);
        idle.signs_in("ann", PASSWORD, "").await;
        house.advance(61 * 60_000);
        assert!(idle.opens("").await.body.contains("name=\"password\""), "one hour is over");
    }
}

#[tokio::test]
async fn a_wrong_password_says_so_and_keeps_the_name() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser.signs_in("ann", "Wrong-horse-9", "").await;
        assert_eq!(answer.status, 200);
        assert!(answer.body.contains("Incorrect username or password."));
        assert!(answer.body.contains("value=\"ann\""));
        assert!(!browser.cookies.contains_key("cognito"));
        let nasty = browser.signs_in("\"><script>alert(1)</script>", "x", "").await;
        assert!(!nasty.body.contains("<script>"), "{}", nasty.body);
    }
}

#[tokio::test]
async fn a_form_without_its_csrf_token_is_refused() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.opens("").await;
        let csrf = field(&page.body, "_csrf");
        let path = format!("/login?{}", browser.query(""));
        for fields in [
            vec![("username", "ann"), ("password", PASSWORD)],
            vec![
                ("_csrf", "0b9f5c86-0000-4000-8000-000000000000"),
                ("username", "ann"),
                ("password", PASSWORD),
            ],
            vec![("_csrf", ""), ("username", "ann"), ("password", PASSWORD)],
        ] {
            assert_eq!(browser.post(&path, &fields).await.status, 403);
        }
        let body = format!("_csrf={csrf}&username=ann&password={PASSWORD}");
        let foreign = browser
            .send(Method::POST, &path, Some(body), &[("origin", "https://evil.example")])
            .await;
        assert_eq!(foreign.status, 403);
        assert!(!browser.cookies.contains_key("cognito"));
        browser.cookies.remove("XSRF-TOKEN");
        assert_eq!(
            browser
                .post(&path, &[("_csrf", &csrf), ("username", "ann"), ("password", PASSWORD)])
                .await
                .status,
            403
        );
    }
}

#[tokio::test]
async fn redirects_go_only_where_the_client_allows_to_the_letter() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        for bad in [
            "https://app.example.com/callback/",
            "https://app.example.com/Callback",
            "https://app.example.com:443/callback",
            "https://app.example.com/callback#f",
            "https://app.example.com/callback?x=1",
            "https://app.example.com@evil.example/callback",
            "https://evil.example/callback",
            "//app.example.com/callback",
            "https://app.example.com/callback\r\nset-cookie:x=y",
            "javascript:alert(1)",
            "",
        ] {
            let uri: String = url::form_urlencoded::byte_serialize(bad.as_bytes()).collect();
            let path = format!(
                "/oauth2/authorize?client_id={client}&response_type=code&redirect_uri={uri}"
            );
            let answer = browser.get(&path).await;
            assert_eq!(answer.status, 302, "{bad}");
            let location = answer.header("location");
            assert!(
                location
                    .contains(&format!("/{pool}/error?error=redirect_mismatch&client_id={client}")),
                "{location}"
            );
            let page = browser.get(&location[location.find("/error").unwrap()..]).await;
            assert_eq!(page.status, 400);
            assert!(page.body.contains("An error was encountered with the requested page."));
        }
        for (more, error) in [
            ("&scope=openid+nonsense", "invalid_scope"),
            ("&code_challenge=x", "invalid_request"),
            ("&code_challenge=x&code_challenge_method=plain", "invalid_request"),
            ("&prompt=none", "login_required"),
            ("&prompt=never", "invalid_request"),
        ] {
            let path = format!("/oauth2/authorize?{}&state=s", browser.query(more));
            let answer = browser.get(&path).await;
            let location = answer.header("location");
            assert_eq!(parameter(location, "error").as_deref(), Some(error), "{location}");
            assert_eq!(parameter(location, "state").as_deref(), Some("s"));
        }
        let token = format!(
            "/oauth2/authorize?client_id={client}&response_type=token&redirect_uri={CALLBACK}"
        );
        assert!(browser.get(&token).await.header("location").contains("error=unauthorized_client"));
        let repeated = format!("/oauth2/authorize?{}&client_id={client}", browser.query(""));
        assert_eq!(browser.get(&repeated).await.status, 400);
    }
}

#[tokio::test]
async fn a_code_works_once_for_its_client_its_address_and_its_verifier() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let other = house.client(&pool, code_client()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let pkce = format!(
            "&code_challenge={CHALLENGE}&code_challenge_method=S256&scope=openid+aws.cognito.signin.user.admin"
        );
        let answer = browser.signs_in("ann", PASSWORD, &pkce).await;
        let code = parameter(answer.header("location"), "code").unwrap();

        let verifier = crate::browser::VERIFIER;
        for (fields, error) in [
            (
                vec![
                    ("client_id", other.as_str()),
                    ("redirect_uri", CALLBACK),
                    ("code_verifier", verifier),
                ],
                "invalid_grant",
            ),
            (
                vec![
                    ("client_id", &client),
                    ("redirect_uri", "https://app.example.com/other"),
                    ("code_verifier", verifier),
                ],
                "unauthorized_client",
            ),
            (vec![("client_id", &client), ("redirect_uri", CALLBACK)], "invalid_grant"),
            (
                vec![
                    ("client_id", &client),
                    ("redirect_uri", CALLBACK),
                    ("code_verifier", "wrong"),
                ],
                "invalid_grant",
            ),
            (vec![("client_id", &client), ("code_verifier", verifier)], "invalid_request"),
            (vec![("client_id", "nobody"), ("redirect_uri", CALLBACK)], "invalid_client"),
        ] {
            let mut form = vec![("grant_type", "authorization_code"), ("code", code.as_str())];
            form.extend(fields);
            let refused = browser.token(&form).await;
            assert_eq!(refused.json()["error"], error, "{}", refused.body);
        }
        let tokens = browser.redeems(&code).await.json();
        let access = tokens["access_token"].as_str().unwrap();
        house.ok("GetUser", json!({ "AccessToken": access })).await;

        // Whoever redeems it again is not the client: what the first redemption made ends.
        assert_eq!(browser.redeems(&code).await.json()["error"], "invalid_grant");
        let refused = house.refused("GetUser", json!({ "AccessToken": access })).await;
        assert_eq!(refused.1, "Access Token has been revoked");
        let refresh = [
            ("grant_type", "refresh_token"),
            ("client_id", &client),
            ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
        ];
        assert_eq!(browser.token(&refresh).await.json()["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn a_code_expires_after_five_minutes() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser
            .signs_in(
                "ann",
                PASSWORD,
                &format!("&code_challenge={CHALLENGE}&code_challenge_method=S256"),
            )
            .await;
        let code = parameter(answer.header("location"), "code").unwrap();
        house.advance(5 * 60_000);
        assert_eq!(browser.redeems(&code).await.json()["error"], "invalid_grant");
    }
}

#[tokio::test]
async fn of_32_redeemers_of_one_code_exactly_one_gets_tokens() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser
            .signs_in(
                "ann",
                PASSWORD,
                &format!("&code_challenge={CHALLENGE}&code_challenge_method=S256"),
            )
            .await;
        let code = parameter(answer.header("location"), "code").unwrap();
        let racers = (0..32).map(|_| {
            let (house, pool, client, code) = (&house, &pool, &client, &code);
            async move { Browser::new(house, pool, client).redeems(code).await.status.as_u16() }
        });
        let statuses = crate::house::together(racers).await;
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    }
}

#[tokio::test]
async fn pages_carry_their_headers_and_cookies_their_flags() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.opens("").await;
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(policy.contains("form-action 'self' https:;"), "{policy}");
        assert!(!policy.contains("unsafe") && !policy.contains('*'));
        assert_eq!(page.header("x-frame-options"), "DENY");
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert!(page.header("cache-control").contains("no-store"));

        let body = format!("_csrf={}&username=ann&password={PASSWORD}", field(&page.body, "_csrf"));
        let path = format!("/login?{}", browser.query(""));
        let answer = browser.send(Method::POST, &path, Some(body), &[]).await;
        let cookie = answer
            .headers
            .get_all("set-cookie")
            .iter()
            .map(|line| line.to_str().unwrap())
            .find(|line| line.starts_with("cognito="))
            .unwrap();
        for flag in [&format!("Path=/{pool}/"), "HttpOnly", "SameSite=Lax", "Max-Age=3600"] {
            assert!(cookie.contains(flag), "{cookie} lacks {flag}");
        }
    }
}

#[tokio::test]
async fn a_cookie_of_another_pool_or_a_forged_one_is_nobody() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let (other, other_client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let mut stranger = Browser::new(&house, &other, &other_client);
        stranger.cookies = browser.cookies.clone();
        assert!(stranger.opens("").await.body.contains("name=\"password\""));
        let mut forger = Browser::new(&house, &pool, &client);
        forger.cookies.insert("cognito".into(), "A".repeat(43));
        assert!(forger.opens("").await.body.contains("name=\"password\""));
        let logout = forger.get(&format!("/logout?client_id={client}&logout_uri={BYE}")).await;
        assert_eq!(logout.header("location"), BYE);
        assert!(browser.opens("").await.body.contains("Sign in as ann"));
    }
}

#[tokio::test]
async fn discovery_names_every_endpoint_and_the_keys_verify() {
    for house in houses().await {
        let (pool, _) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, "x");
        let document = browser.get("/.well-known/openid-configuration").await;
        assert_eq!(document.header("access-control-allow-origin"), "*");
        let document = document.json();
        assert_eq!(document["issuer"], format!("http://localhost:9229/{pool}"));
        assert_eq!(
            document["end_session_endpoint"],
            format!("https://localhost:9230/{pool}/logout")
        );
        assert_eq!(document["code_challenge_methods_supported"], json!(["S256"]));
        let keys: Vec<String> = document.as_object().unwrap().keys().cloned().collect();
        assert!(keys.is_sorted(), "{keys:?}");
        let jwks = browser.get("/.well-known/jwks.json").await.json();
        assert_eq!(jwks["keys"].as_array().unwrap().len(), 2);
        assert!(
            jwks["keys"]
                .as_array()
                .unwrap()
                .iter()
                .all(|key| key["kty"] == "RSA" && key["alg"] == "RS256" && key.get("d").is_none())
        );
        assert_eq!(
            Browser::new(&house, "us-east-1_Nothing99", "x")
                .get("/.well-known/jwks.json")
                .await
                .status,
            404
        );
    }
}

/// The claims of a token, unverified.
pub fn claims(token: &str) -> serde_json::Value {
    use base64::Engine;
    let part = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap())
        .unwrap()
}
