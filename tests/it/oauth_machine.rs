//! What programs do at the OAuth door without a user: client credentials, GetClientToken, introspection.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::form_urlencoded;

use crate::browser::{Browser, code_client};
use crate::house::{Answer, House, NOW, PASSWORD, houses, merge, refusal};
use crate::resource_servers::server;

/// Posts a form to a pool's endpoint in path form.
pub async fn post(
    house: &House,
    pool: &str,
    path: &str,
    basic: Option<(&str, &str)>,
    fields: &[(&str, &str)],
) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    let mut request = Request::post(format!("/{pool}{path}"))
        .header("host", "localhost:9230")
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some((id, secret)) = basic {
        let text = BASE64_STANDARD.encode(format!("{id}:{secret}"));
        request = request.header("authorization", format!("Basic {text}"));
    }
    house.send(request.body(Body::from(body)).unwrap()).await
}

/// Asks for a token with client credentials.
pub async fn token(
    house: &House,
    pool: &str,
    basic: (&str, &str),
    more: &[(&str, &str)],
) -> Answer {
    let mut fields = vec![("grant_type", "client_credentials")];
    fields.extend(more);
    post(house, pool, "/oauth2/token", Some(basic), &fields).await
}

async fn introspect(house: &House, pool: &str, basic: (&str, &str), token: &Value) -> Answer {
    let fields = [("token", token.as_str().unwrap())];
    post(house, pool, "/oauth2/introspect", Some(basic), &fields).await
}

/// A client for client credentials with these scopes: its id and secret.
pub async fn machine(house: &House, pool: &str, scopes: &[&str]) -> (String, String) {
    with_secret(
        house,
        pool,
        json!({ "AllowedOAuthFlows": ["client_credentials"], "AllowedOAuthScopes": scopes,
            "AllowedOAuthFlowsUserPoolClient": true }),
    )
    .await
}

/// A client with a secret: its id and secret.
pub async fn with_secret(house: &House, pool: &str, more: Value) -> (String, String) {
    let mut input = json!({ "UserPoolId": pool, "ClientName": "program", "GenerateSecret": true });
    merge(&mut input, more);
    let client = house.ok("CreateUserPoolClient", input).await["UserPoolClient"].clone();
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    (text("ClientId"), text("ClientSecret"))
}

/// The claims of a token, unverified.
pub fn claims(token: &Value) -> Value {
    let part = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

async fn given(house: &House) -> (String, (String, String)) {
    let pool = house.pool(json!({})).await;
    server(house, &pool, "api", &["read", "write"]).await;
    server(house, &pool, "other", &["read"]).await;
    let client = machine(house, &pool, &["api/read", "api/write"]).await;
    (pool, client)
}

#[tokio::test]
async fn a_client_gets_a_token_for_itself_with_all_its_scopes_or_those_it_asks_for() {
    for house in houses().await {
        let (pool, (id, secret)) = given(&house).await;
        let answer = token(&house, &pool, (&id, &secret), &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let body = answer.json();
        let members: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(members, ["access_token", "expires_in", "token_type"]);
        assert_eq!((&body["expires_in"], &body["token_type"]), (&json!(3600), &json!("Bearer")));
        let told = claims(&body["access_token"]);
        let jti: uuid::Uuid = told["jti"].as_str().unwrap().parse().unwrap();
        assert_eq!(cenote::ids::uuid_v7_ms(&jti), Some(NOW), "its id holds its birth");
        assert_eq!(
            told,
            json!({ "sub": id, "token_use": "access", "scope": "api/read api/write", "auth_time": NOW / 1000,
                "iss": format!("http://localhost:9229/{pool}"), "exp": NOW / 1000 + 3600, "iat": NOW / 1000,
                "version": 2, "jti": told["jti"], "client_id": id })
        );

        let by_form = [
            ("grant_type", "client_credentials"),
            ("client_id", &id),
            ("client_secret", &secret),
            ("scope", "api/write"),
            ("aws_client_metadata", "{\"tenant\":\"a\"}"),
        ];
        let answer = post(&house, &pool, "/oauth2/token", None, &by_form).await;
        assert_eq!(claims(&answer.json()["access_token"])["scope"], "api/write");
        let none = "SELECT COUNT(*) FROM token_sessions WHERE pool_id = ?1";
        assert_eq!(house.rows(none, &pool).await, 0, "there is no session");
    }
}

#[tokio::test]
async fn client_credentials_need_the_secret_the_flow_and_scopes_of_ones_own() {
    for house in houses().await {
        let (pool, (id, secret)) = given(&house).await;
        let code = with_secret(&house, &pool, code_client()).await;
        let public = house.client(&pool, code_client()).await;
        let standard = machine(&house, &pool, &["openid"]).await;
        let grant = ("grant_type", "client_credentials");
        let own = Some((id.as_str(), secret.as_str()));
        for (basic, more, error) in [
            (None, vec![("client_id", id.as_str())], "invalid_client"),
            (None, vec![("client_id", &id), ("client_secret", "")], "invalid_client"),
            (None, vec![("client_id", &id), ("client_secret", "wrong")], "invalid_client"),
            (Some((id.as_str(), "wrong")), vec![], "invalid_client"),
            (Some(("nobody", secret.as_str())), vec![], "invalid_client"),
            (own, vec![("client_id", public.as_str())], "invalid_client"),
            (own, vec![("client_secret", secret.as_str())], "invalid_request"),
            (None, vec![("client_id", public.as_str())], "unauthorized_client"),
            (Some((code.0.as_str(), code.1.as_str())), vec![], "unauthorized_client"),
            (Some((standard.0.as_str(), standard.1.as_str())), vec![], "invalid_scope"),
            (own, vec![("scope", "api/delete")], "invalid_scope"),
            (own, vec![("scope", "other/read")], "invalid_scope"),
            (own, vec![("scope", "openid")], "invalid_scope"),
            (own, vec![("scope", "api/read api/read")], "invalid_scope"),
            (own, vec![("scope", "api/read\u{202e}")], "invalid_scope"),
            (own, vec![("aws_client_metadata", "[1]")], "invalid_request"),
            (own, vec![("aws_client_metadata", "{")], "invalid_request"),
        ] {
            let mut fields = vec![grant];
            fields.extend(&more);
            let answer = post(&house, &pool, "/oauth2/token", basic, &fields).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["error"]),
                (400, &json!(error)),
                "{more:?}"
            );
            assert!(!answer.body.contains(&secret));
        }
    }
}

#[tokio::test]
async fn a_machines_token_opens_no_door_of_a_user() {
    for house in houses().await {
        let (pool, (id, secret)) = given(&house).await;
        let issued = token(&house, &pool, (&id, &secret), &[]).await.json();
        let access = issued["access_token"].as_str().unwrap();
        let scopes = refusal("NotAuthorized", "Access Token does not have required scopes");
        for operation in ["GetUser", "GlobalSignOut", "DeleteUser"] {
            assert_eq!(house.refused(operation, json!({ "AccessToken": access })).await, scopes);
        }
        let request = Request::get(format!("/{pool}/oauth2/userInfo"))
            .header("host", "localhost:9230")
            .header("authorization", format!("Bearer {access}"));
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401);
    }
}

#[tokio::test]
async fn get_client_token_gives_the_same_at_the_json_door() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        server(&house, &pool, "api", &["read", "write"]).await;
        let settings = json!({ "ExplicitAuthFlows": ["ALLOW_CLIENT_TOKEN_AUTH"], "AllowedOAuthScopes": ["api/read", "api/write"] });
        let (id, secret) = with_secret(&house, &pool, settings).await;
        let given = |more: Value| {
            let mut input = json!({ "ClientId": id, "Secret": secret });
            merge(&mut input, more);
            input
        };
        let result = house
            .ok("GetClientToken", given(json!({ "ClientMetadata": { "a": "b" } })))
            .await["ClientAuthenticationResult"]
            .clone();
        assert_eq!((&result["ExpiresIn"], &result["TokenType"]), (&json!(3600), &json!("Bearer")));
        let told = claims(&result["AccessToken"]);
        assert_eq!((&told["scope"], &told["sub"]), (&json!("api/read api/write"), &json!(id)));
        let one = house.ok("GetClientToken", given(json!({ "Scopes": ["api/read"] }))).await;
        assert_eq!(claims(&one["ClientAuthenticationResult"]["AccessToken"])["scope"], "api/read");

        let (other, other_secret) = machine(&house, &pool, &["api/read"]).await;
        for (more, expected) in [
            (
                json!({ "Secret": "wrongwrongwrongwrongwrong" }),
                refusal(
                    "NotAuthorized",
                    &format!("Unable to verify client secret for client {id}"),
                ),
            ),
            (
                json!({ "Scopes": ["openid"] }),
                refusal("InvalidParameter", "Invalid scope requested: openid"),
            ),
            (
                json!({ "Scopes": ["api/read", "api/read"] }),
                refusal("InvalidParameter", "The scope api/read is repeated"),
            ),
            (
                json!({ "ClientId": other, "Secret": other_secret }),
                refusal("InvalidParameter", "CLIENT_TOKEN_AUTH flow not enabled for this client"),
            ),
            (
                json!({ "ClientId": "nobody" }),
                refusal("ResourceNotFound", "User pool client nobody does not exist."),
            ),
        ] {
            assert_eq!(house.refused("GetClientToken", given(more)).await, expected);
        }
        let alone = "ALLOW_CLIENT_TOKEN_AUTH must be the only one of the ExplicitAuthFlows, and needs a client secret.";
        for more in [
            json!({ "ExplicitAuthFlows": ["ALLOW_CLIENT_TOKEN_AUTH"] }),
            json!({ "ExplicitAuthFlows": ["ALLOW_CLIENT_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH"], "GenerateSecret": true }),
        ] {
            let mut input = json!({ "UserPoolId": pool, "ClientName": "x" });
            merge(&mut input, more);
            assert_eq!(
                house.refused("CreateUserPoolClient", input).await,
                refusal("InvalidParameter", alone)
            );
        }
    }
}

#[tokio::test]
async fn introspection_tells_a_client_of_its_own_living_tokens() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let sub = house.user(&pool, "ann").await;
        let (id, secret) = with_secret(&house, &pool, code_client()).await;
        let own = (id.as_str(), secret.as_str());
        let tokens = confidential_sign_in(&house, &pool, own).await;

        let access = introspect(&house, &pool, own, &tokens["access_token"]).await;
        assert_eq!(access.status, 200, "{}", access.body);
        assert!(access.header("cache-control").contains("no-store"));
        let told = claims(&tokens["access_token"]);
        assert_eq!(
            access.json(),
            json!({ "active": true, "scope": "openid email", "client_id": id, "username": "ann",
                "exp": told["exp"], "iat": told["iat"], "sub": sub, "iss": told["iss"], "jti": told["jti"],
                "token_use": "access", "auth_time": told["auth_time"], "token_type": "Bearer" })
        );
        let refresh = introspect(&house, &pool, own, &tokens["refresh_token"]).await.json();
        assert_eq!(
            refresh,
            json!({ "active": true, "scope": "openid email", "client_id": id, "username": "ann",
                "exp": NOW / 1000 + 30 * 86_400, "iat": NOW / 1000, "sub": sub, "iss": told["iss"],
                "jti": told["origin_jti"], "token_use": "refresh", "auth_time": told["auth_time"] })
        );
        let inactive = json!({ "active": false });
        let id_token = introspect(&house, &pool, own, &tokens["id_token"]).await.json();
        assert_eq!(id_token, inactive, "an ID token is no access token");

        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        for name in ["access_token", "refresh_token"] {
            let dead = introspect(&house, &pool, own, &tokens[name]).await;
            assert_eq!((dead.status.as_u16(), dead.json()), (200, inactive.clone()), "{name}");
        }
        let again = confidential_sign_in(&house, &pool, own).await;
        house.advance(3_600_000);
        let expired = introspect(&house, &pool, own, &again["access_token"]).await.json();
        assert_eq!(expired, inactive);
        let refresh = introspect(&house, &pool, own, &again["refresh_token"]).await.json();
        assert_eq!(refresh["active"], true);
    }
}

#[tokio::test]
async fn a_foreign_client_learns_only_that_a_token_is_inactive() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        server(&house, &pool, "api", &["read"]).await;
        let owner = with_secret(&house, &pool, code_client()).await;
        let tokens = confidential_sign_in(&house, &pool, (&owner.0, &owner.1)).await;
        let foreign = machine(&house, &pool, &["api/read"]).await;
        let elsewhere = house.pool(json!({})).await;
        let stranger = with_secret(&house, &elsewhere, json!({})).await;
        let machines = token(&house, &pool, (&foreign.0, &foreign.1), &[]).await.json();
        let inactive = json!({ "active": false });
        for name in ["access_token", "refresh_token", "id_token"] {
            let asked = introspect(&house, &pool, (&foreign.0, &foreign.1), &tokens[name]).await;
            assert_eq!((asked.status.as_u16(), asked.json()), (200, inactive.clone()), "{name}");
            let asked =
                introspect(&house, &elsewhere, (&stranger.0, &stranger.1), &tokens[name]).await;
            assert_eq!(asked.json(), inactive, "{name}");
        }
        let asked =
            introspect(&house, &pool, (&owner.0, &owner.1), &machines["access_token"]).await;
        assert_eq!(asked.json(), inactive);
        let own = introspect(&house, &pool, (&foreign.0, &foreign.1), &machines["access_token"])
            .await
            .json();
        assert_eq!(
            (&own["active"], &own["sub"], &own["scope"]),
            (&json!(true), &json!(foreign.0), &json!("api/read"))
        );
        for garbage in
            ["x", "a.b.c", &"é".repeat(9_000), &"x".repeat(70_000), "eyJhbGciOiJub25lIn0.e30."]
        {
            let asked = introspect(&house, &pool, (&foreign.0, &foreign.1), &json!(garbage)).await;
            match asked.status.as_u16() {
                200 => assert_eq!(asked.json(), inactive, "{garbage:.40}"),
                status => assert_eq!((status, garbage.len()), (413, 70_000)),
            }
        }
    }
}

#[tokio::test]
async fn introspection_needs_a_client_with_its_secret_and_a_token() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let (id, secret) = with_secret(&house, &pool, code_client()).await;
        let public = house.client(&pool, code_client()).await;
        for (basic, fields, status, error) in [
            (None, vec![("token", "x"), ("client_id", id.as_str())], 401, "invalid_client"),
            (None, vec![("token", "x"), ("client_id", public.as_str())], 401, "invalid_client"),
            (Some((id.as_str(), "wrong")), vec![("token", "x")], 401, "invalid_client"),
            (Some((id.as_str(), secret.as_str())), vec![], 400, "invalid_request"),
            (
                Some((id.as_str(), secret.as_str())),
                vec![("token", "x"), ("token", "y")],
                400,
                "invalid_request",
            ),
        ] {
            let answer = post(&house, &pool, "/oauth2/introspect", basic, &fields).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["error"]),
                (status, &json!(error)),
                "{fields:?}"
            );
            let challenged = answer.headers.contains_key("www-authenticate");
            assert_eq!(challenged, status == 401 && basic.is_some());
        }
        let get = Request::get(format!("/{pool}/oauth2/introspect?token=x"))
            .header("host", "localhost:9230");
        assert_eq!(house.send(get.body(Body::empty()).unwrap()).await.status, 405);
    }
}

#[tokio::test]
async fn a_machines_token_dies_with_its_client_also_if_another_takes_its_id() {
    for house in houses().await {
        let (pool, (id, secret)) = given(&house).await;
        let issued = token(&house, &pool, (&id, &secret), &[]).await.json();
        let access = issued["access_token"].as_str().unwrap();
        let alive = || async {
            let cx = cenote::cx::Cx::system(house.app.clone());
            cenote::tokens::verify::bearer(&cx, access).await.is_ok()
        };
        assert!(alive().await);
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": id })).await;
        assert!(!alive().await, "its client is gone");

        house.advance(1);
        let cx = cenote::cx::Cx::system(house.app.clone());
        let row = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let request =
            serde_json::from_value(json!({ "UserPoolId": pool, "ClientName": "again" })).unwrap();
        cenote::admin::clients::create_as(&cx, &row, id.clone(), Default::default(), &request)
            .await
            .unwrap();
        assert!(!alive().await, "a new client of that id is another one");
    }
}

#[tokio::test]
async fn a_rotated_refresh_token_is_active_only_within_its_grace_and_asking_ends_nothing() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut settings = code_client();
        merge(
            &mut settings,
            json!({ "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"],
                "RefreshTokenRotation": { "Feature": "ENABLED", "RetryGracePeriodSeconds": 10 } }),
        );
        let (id, secret) = with_secret(&house, &pool, settings).await;
        let own = (id.as_str(), secret.as_str());
        let first = confidential_sign_in(&house, &pool, own).await["refresh_token"].clone();
        let fields = [("grant_type", "refresh_token"), ("refresh_token", first.as_str().unwrap())];
        let rotated = post(&house, &pool, "/oauth2/token", Some(own), &fields).await.json();
        let active = async |token: &Value| {
            introspect(&house, &pool, own, token).await.json()["active"].clone()
        };
        assert_eq!(active(&first).await, true);
        house.advance(10_000);
        assert_eq!(active(&first).await, false);
        assert_eq!(active(&rotated["refresh_token"]).await, true, "asking is not presenting");
    }
}

/// Signs ann in at the pages for a client with a secret: the tokens.
pub async fn confidential_sign_in(house: &House, pool: &str, own: (&str, &str)) -> Value {
    let mut browser = Browser::new(house, pool, own.0);
    let answer = browser.signs_in("ann", PASSWORD, "&scope=openid+email").await;
    let code = crate::browser::parameter(answer.header("location"), "code")
        .unwrap_or_else(|| panic!("no code: {} {}", answer.status, answer.body));
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", crate::browser::CALLBACK),
    ];
    let answer = post(house, pool, "/oauth2/token", Some(own), &fields).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}
