//! The implicit grant, answers in the fragment, and `resource` (RFC 8707).

use cenote::params;
use cenote::store::{Batch, Rank, pools};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::browser::{Browser, CALLBACK, CHALLENGE, VERIFIER, code_client, field, parameter};
use crate::house::{House, PASSWORD, houses, merge};
use crate::oauth_machine::{claims, machine, post, token, with_secret};
use crate::resource_servers::server;

fn implicit_client() -> Value {
    let mut client = code_client();
    client["AllowedOAuthFlows"] = json!(["code", "implicit"]);
    client
}

async fn given(house: &House) -> (String, String) {
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    let client = house.client(&pool, implicit_client()).await;
    (pool, client)
}

/// The pairs of an address's fragment, in order.
fn fragment(uri: &str) -> Vec<(String, String)> {
    let (before, fragment) = uri.split_once('#').unwrap_or_else(|| panic!("no fragment: {uri}"));
    assert_eq!(before, CALLBACK, "nothing in the query");
    form_urlencoded::parse(fragment.as_bytes()).into_owned().collect()
}

fn of<'a>(pairs: &'a [(String, String)], name: &str) -> &'a str {
    pairs.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
}

/// An authorization request for `response_type=token`.
fn asks(client: &str, more: &str) -> String {
    let uri: String = form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect();
    format!("client_id={client}&response_type=token&redirect_uri={uri}{more}")
}

/// Signs ann in at the page of such a request: where the browser is sent.
async fn signs_in(browser: &mut Browser<'_>, client: &str, more: &str) -> String {
    let path = format!("/login?{}", asks(client, more));
    let page = browser.get(&path).await;
    let csrf = field(&page.body, "_csrf");
    let fields = [("_csrf", csrf.as_str()), ("username", "ann"), ("password", PASSWORD)];
    browser.post(&path, &fields).await.header("location").to_owned()
}

#[tokio::test]
async fn the_implicit_grant_answers_with_tokens_in_the_fragment() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let location =
            signs_in(&mut browser, &client, "&scope=openid+email&state=s%20%26&nonce=n-1").await;
        let pairs = fragment(&location);
        let names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["id_token", "access_token", "token_type", "expires_in", "state"]);
        assert_eq!(
            (of(&pairs, "token_type"), of(&pairs, "expires_in"), of(&pairs, "state")),
            ("bearer", "3600", "s &")
        );
        let id = claims(&json!(of(&pairs, "id_token")));
        assert_eq!(
            (&id["nonce"], &id["aud"], &id["email"]),
            (&json!("n-1"), &json!(client), &json!("ann@example.com"))
        );
        assert!(id["at_hash"].is_string(), "OIDC Core, 3.2.2.9");
        let access = claims(&json!(of(&pairs, "access_token")));
        assert_eq!((&access["version"], &access["scope"]), (&json!(2), &json!("openid email")));
        let none = "SELECT COUNT(*) FROM refresh_tokens WHERE pool_id = ?1";
        assert_eq!(house.rows(none, &pool).await, 0);

        let location =
            signs_in(&mut Browser::new(&house, &pool, &client), &client, "&scope=email").await;
        assert_eq!(of(&fragment(&location), "id_token"), "", "only with openid");
    }
}

#[tokio::test]
async fn tokens_of_the_implicit_grant_have_a_session_that_lists_show_and_sign_outs_end() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        house
            .ok(
                "SetUserPoolSessionConfiguration",
                json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED",
                    "TokenSession": { "MaxPerUser": 5 } }),
            )
            .await;
        let mut browser = Browser::new(&house, &pool, &client);
        let more = "&scope=openid+aws.cognito.signin.user.admin";
        let pairs = fragment(&signs_in(&mut browser, &client, more).await);
        let access = json!({ "AccessToken": of(&pairs, "access_token") });
        house.ok("GetUser", access.clone()).await;
        let listed = house
            .ok("AdminListUserSessions", json!({ "UserPoolId": pool, "Username": "ann" }))
            .await;
        assert_eq!(listed.to_string().matches("\"tkn").count(), 1, "{listed}");

        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(house.refused("GetUser", access).await.1, "Access Token has been revoked");

        // A session without a refresh token is over with its last token.
        let pairs =
            fragment(&signs_in(&mut Browser::new(&house, &pool, &client), &client, more).await);
        house.advance(3_600_000);
        let access = json!({ "AccessToken": of(&pairs, "access_token") });
        assert_eq!(house.refused("GetUser", access).await.1, "Access Token has expired");
        let listed = house
            .ok("AdminListUserSessions", json!({ "UserPoolId": pool, "Username": "ann" }))
            .await;
        assert_eq!(listed.to_string().matches("\"tkn").count(), 0, "{listed}");
    }
}

#[tokio::test]
async fn a_living_browser_session_answers_an_implicit_request_too() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        signs_in(&mut browser, &client, "&scope=openid").await;
        let silent =
            format!("/oauth2/authorize?{}", asks(&client, "&scope=openid&prompt=none&state=s"));
        let pairs = fragment(browser.get(&silent).await.header("location"));
        assert!(!of(&pairs, "access_token").is_empty() && !of(&pairs, "id_token").is_empty());

        let path = format!("/login?{}", asks(&client, "&scope=openid"));
        let csrf = field(&browser.get(&path).await.body, "_csrf");
        let answer = browser.post(&path, &[("_csrf", &csrf), ("continue", "1")]).await;
        assert!(
            !of(&fragment(answer.header("location")), "access_token").is_empty(),
            "Sign in as ann"
        );

        let mut stranger = Browser::new(&house, &pool, &client);
        let pairs = fragment(stranger.get(&silent).await.header("location"));
        assert_eq!((of(&pairs, "error"), of(&pairs, "state")), ("login_required", "s"));
    }
}

#[tokio::test]
async fn errors_go_where_the_answer_would_have_gone() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let only_code = house.client(&pool, code_client()).await;
        let mut unreadable = implicit_client();
        merge(&mut unreadable, json!({ "ReadAttributes": ["email"] }));
        let unreadable = house.client(&pool, unreadable).await;
        let mut browser = Browser::new(&house, &pool, &client);
        for (client, more, error) in [
            (&client, "&scope=openid+nonsense", "invalid_scope"),
            (&client, "&scope=openid+openid", "invalid_scope"),
            (&client, "&response_mode=query", "invalid_request"),
            (&client, "&response_mode=form_post", "invalid_request"),
            (&client, "&resource=%2Frelative", "invalid_target"),
            (&client, "&prompt=none", "login_required"),
            (&only_code, "", "unauthorized_client"),
            (&unreadable, "&scope=openid+email", "invalid_scope"),
        ] {
            let path = format!("/oauth2/authorize?{}", asks(client, &format!("{more}&state=s")));
            let answer = browser.get(&path).await;
            let pairs = fragment(answer.header("location"));
            assert_eq!((of(&pairs, "error"), of(&pairs, "state")), (error, "s"), "{more}");
        }
    }
}

#[tokio::test]
async fn a_code_goes_into_the_fragment_where_the_app_asks_for_it() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let more = format!(
            "&response_mode=fragment&state=s&code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        let answer = browser.signs_in("ann", PASSWORD, &more).await;
        let pairs = fragment(answer.header("location"));
        assert_eq!(of(&pairs, "state"), "s");
        assert_eq!(browser.redeems(of(&pairs, "code")).await.status, 200);
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser.signs_in("ann", PASSWORD, "&response_mode=query").await;
        assert!(parameter(answer.header("location"), "code").is_some());
    }
}

#[tokio::test]
async fn a_resource_is_the_audience_of_every_access_token_of_its_session() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let api = "https://api.example.com/v1";
        let mut browser = Browser::new(&house, &pool, &client);
        let more = format!(
            "&scope=openid&resource={api}&code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        let answer = browser.signs_in("ann", PASSWORD, &more).await;
        let code = parameter(answer.header("location"), "code").unwrap();
        let redeem = async |resource: Option<&str>| {
            let mut fields = vec![
                ("grant_type", "authorization_code"),
                ("client_id", client.as_str()),
                ("code", code.as_str()),
                ("redirect_uri", CALLBACK),
                ("code_verifier", VERIFIER),
            ];
            fields.extend(resource.map(|resource| ("resource", resource)));
            post(&house, &pool, "/oauth2/token", None, &fields).await.json()
        };
        let refused = redeem(Some("https://other.example.com/")).await;
        assert_eq!(refused["error"], "invalid_target", "and the code is not used up");
        let tokens = redeem(Some(api)).await;
        assert_eq!(claims(&tokens["access_token"])["aud"], api);
        assert_eq!(claims(&tokens["id_token"])["aud"], client.as_str());

        let refresh = async |resource: Option<&str>| {
            let token = tokens["refresh_token"].as_str().unwrap();
            let mut fields = vec![
                ("grant_type", "refresh_token"),
                ("client_id", client.as_str()),
                ("refresh_token", token),
            ];
            fields.extend(resource.map(|resource| ("resource", resource)));
            post(&house, &pool, "/oauth2/token", None, &fields).await.json()
        };
        for resource in [None, Some(api)] {
            assert_eq!(claims(&refresh(resource).await["access_token"])["aud"], api);
        }
        assert_eq!(refresh(Some("https://other.example.com/")).await["error"], "invalid_target");

        let location =
            signs_in(&mut Browser::new(&house, &pool, &client), &client, "&resource=app:api").await;
        assert_eq!(claims(&json!(of(&fragment(&location), "access_token")))["aud"], "app:api");
    }
}

#[tokio::test]
async fn a_resource_is_one_absolute_uri_and_nothing_that_a_client_asks_for_itself() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let long = format!("https://api.example.com/{}", "a".repeat(1_024));
        for bad in [
            "/v1",
            "api",
            "http://api.example.com/",
            "https://api.example.com/#f",
            "https://u:p@api.example.com/",
            "javascript:alert(1)",
            &long,
        ] {
            let encoded: String = form_urlencoded::byte_serialize(bad.as_bytes()).collect();
            let path =
                format!("/oauth2/authorize?{}", browser.query(&format!("&resource={encoded}")));
            let answer = browser.get(&path).await;
            assert_eq!(
                parameter(answer.header("location"), "error").as_deref(),
                Some("invalid_target"),
                "{bad}"
            );
        }
        for good in ["https://api.example.com/", "http://localhost:8080/api", "urn:example:api"] {
            let path = format!("/oauth2/authorize?{}", browser.query(&format!("&resource={good}")));
            assert!(browser.get(&path).await.header("location").contains("/login?"), "{good}");
        }
        let path = format!("/oauth2/authorize?{}", browser.query("&resource=app:a&resource=app:b"));
        assert_eq!(browser.get(&path).await.status, 400, "a parameter that is repeated");

        server(&house, &pool, "api", &["read"]).await;
        let (id, secret) = machine(&house, &pool, &["api/read"]).await;
        let refused =
            token(&house, &pool, (&id, &secret), &[("resource", "https://api.example.com/")]).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["error"]),
            (400, &json!("invalid_target"))
        );
    }
}

#[tokio::test]
async fn a_refresh_gives_no_scope_that_its_client_has_lost() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        server(&house, &pool, "api", &["read", "write"]).await;
        let mut settings = code_client();
        settings["AllowedOAuthScopes"] = json!(["openid", "api/read", "api/write"]);
        let (id, secret) = with_secret(&house, &pool, settings.clone()).await;
        let mut browser = Browser::new(&house, &pool, &id);
        let answer = browser.signs_in("ann", PASSWORD, "").await;
        let code = parameter(answer.header("location"), "code").unwrap();
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", CALLBACK),
        ];
        let tokens =
            post(&house, &pool, "/oauth2/token", Some((&id, &secret)), &fields).await.json();
        assert_eq!(claims(&tokens["access_token"])["scope"], "openid api/read api/write");

        let scopes = async || {
            let fields = [
                ("grant_type", "refresh_token"),
                ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
            ];
            let tokens =
                post(&house, &pool, "/oauth2/token", Some((&id, &secret)), &fields).await.json();
            claims(&tokens["access_token"])["scope"].clone()
        };
        settings["AllowedOAuthScopes"] = json!(["openid", "api/read"]);
        merge(&mut settings, json!({ "UserPoolId": pool, "ClientId": id }));
        house.ok("UpdateUserPoolClient", settings).await;
        assert_eq!(scopes().await, "openid api/read", "taken from the client");
        house.ok("DeleteResourceServer", json!({ "UserPoolId": pool, "Identifier": "api" })).await;
        assert_eq!(scopes().await, "openid", "deleted");
    }
}

#[tokio::test]
async fn an_app_that_waits_for_a_silent_answer_is_told_of_trouble_on_the_server() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        signs_in(&mut browser, &client, "").await;
        let mut batch = Batch::new();
        pools::touch(&mut batch, &pool);
        let sql = "DELETE FROM signing_keys WHERE pool_id = ?1";
        batch.any(Rank::Job, sql, params![pool.as_str()]);
        house.app.db.commit(batch).await.unwrap();
        let path = format!("/oauth2/authorize?{}", asks(&client, "&prompt=none&state=s"));
        let answer = browser.get(&path).await;
        let pairs = fragment(answer.header("location"));
        assert_eq!((of(&pairs, "error"), of(&pairs, "state")), ("server_error", "s"));
    }
}
