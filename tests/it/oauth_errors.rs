//! Every documented refusal of `/oauth2/*` (`cognito-behaviour`, 1.4 and 4.1 to 4.3), and discovery.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::browser::{Browser, CALLBACK, code_client, parameter};
use crate::house::{House, PASSWORD, houses, merge};
use crate::oauth_machine::{confidential_sign_in, post, with_secret};

async fn given(house: &House) -> (String, String) {
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    let client = house.client(&pool, code_client()).await;
    (pool, client)
}

#[tokio::test]
async fn each_refusal_of_the_token_endpoint_is_a_400_with_its_documented_code() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut settings = code_client();
        merge(&mut settings, json!({ "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"] }));
        let unrefreshing = house.client(&pool, settings).await;
        let implicit = house
            .client(
                &pool,
                json!({ "AllowedOAuthFlows": ["implicit"], "AllowedOAuthScopes": ["openid"],
            "AllowedOAuthFlowsUserPoolClient": true, "CallbackURLs": [CALLBACK] }),
            )
            .await;
        let code = "authorization_code";
        let of = |id| ("client_id", id);
        for (fields, error) in [
            (vec![], "invalid_request"),
            (vec![of(client.as_str())], "invalid_request"),
            (vec![("grant_type", ""), of(&client)], "invalid_request"),
            (vec![("grant_type", code)], "invalid_request"),
            (vec![("grant_type", code), of(&client)], "invalid_request"),
            (
                vec![("grant_type", code), of(&client), ("code", "x"), ("code", "x")],
                "invalid_request",
            ),
            (vec![("grant_type", "refresh_token"), of(&client)], "invalid_request"),
            (vec![("grant_type", code), of("nobody"), ("code", "x")], "invalid_client"),
            (vec![("grant_type", code), of(&client), ("client_secret", "x")], "invalid_client"),
            (
                vec![("grant_type", code), of(&client), ("code", "x"), ("redirect_uri", CALLBACK)],
                "invalid_grant",
            ),
            (
                vec![("grant_type", "refresh_token"), of(&client), ("refresh_token", "x")],
                "invalid_grant",
            ),
            (
                vec![
                    ("grant_type", code),
                    of(&implicit),
                    ("code", "x"),
                    ("redirect_uri", CALLBACK),
                ],
                "unauthorized_client",
            ),
            (
                vec![("grant_type", "refresh_token"), of(&unrefreshing), ("refresh_token", "x")],
                "unauthorized_client",
            ),
            (vec![("grant_type", "password"), of(&client)], "unsupported_grant_type"),
            (vec![("grant_type", "Authorization_Code"), of(&client)], "unsupported_grant_type"),
        ] {
            let answer = post(&house, &pool, "/oauth2/token", None, &fields).await;
            assert_eq!(
                (answer.status.as_u16(), &answer.json()["error"]),
                (400, &json!(error)),
                "{fields:?}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), "*");
            assert!(answer.header("cache-control").contains("no-store"));
        }
        let request = Request::post(format!("/{pool}/oauth2/token"))
            .header("host", "localhost:9230")
            .header("content-type", "application/json");
        let body = json!({ "grant_type": code }).to_string();
        let answer = house.send(request.body(Body::from(body)).unwrap()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]),
            (400, &json!("invalid_request")),
            "not a form"
        );
    }
}

#[tokio::test]
async fn a_code_is_refused_where_the_address_differs_or_the_client_cannot_read_what_a_scope_asks_for()
 {
    for house in houses().await {
        let (pool, _) = given(&house).await;
        let mut settings = code_client();
        merge(
            &mut settings,
            json!({ "ReadAttributes": ["email"], "AllowedOAuthScopes": ["openid", "email", "phone"] }),
        );
        let client = house.client(&pool, settings).await;
        let mut browser = Browser::new(&house, &pool, &client);
        for (scope, error) in [
            ("openid", None),
            ("openid+email", Some("invalid_grant")),
            ("openid+phone", Some("invalid_grant")),
        ] {
            let mut browser = Browser::new(&house, &pool, &client);
            let answer = browser.signs_in("ann", PASSWORD, &format!("&scope={scope}")).await;
            let code = parameter(answer.header("location"), "code").unwrap();
            let fields = [
                ("grant_type", "authorization_code"),
                ("client_id", &client),
                ("code", &code),
                ("redirect_uri", CALLBACK),
            ];
            let answer = post(&house, &pool, "/oauth2/token", None, &fields).await;
            assert_eq!(answer.json()["error"].as_str(), error, "{scope}");
        }
        let answer = browser.signs_in("ann", PASSWORD, "&scope=openid").await;
        let code = parameter(answer.header("location"), "code").unwrap();
        let fields = [
            ("grant_type", "authorization_code"),
            ("client_id", &client),
            ("code", &code),
            ("redirect_uri", "https://app.example.com/other"),
        ];
        let answer = post(&house, &pool, "/oauth2/token", None, &fields).await;
        assert_eq!(
            answer.json(),
            json!({ "error": "unauthorized_client", "error_description": "invalid_redirect" })
        );
    }
}

#[tokio::test]
async fn each_refusal_of_revocation_has_its_documented_status_and_code() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut settings = code_client();
        merge(&mut settings, json!({ "EnableTokenRevocation": false }));
        let off = house.client(&pool, settings).await;
        let (id, secret) = with_secret(&house, &pool, code_client()).await;
        let own = Some((id.as_str(), secret.as_str()));
        let tokens = confidential_sign_in(&house, &pool, (&id, &secret)).await;
        let access = tokens["access_token"].as_str().unwrap();
        let refresh = tokens["refresh_token"].as_str().unwrap();
        for (basic, fields, status, error) in [
            (own, vec![], 400, "invalid_request"),
            (None, vec![("client_id", off.as_str()), ("token", refresh)], 400, "invalid_request"),
            (own, vec![("token", access)], 400, "unsupported_token_type"),
            (None, vec![("client_id", &id), ("token", refresh)], 401, "invalid_client"),
            (Some((id.as_str(), "wrong")), vec![("token", refresh)], 401, "invalid_client"),
            (None, vec![("client_id", "nobody"), ("token", refresh)], 401, "invalid_client"),
            (None, vec![("client_id", &client), ("token", "unknown")], 200, ""),
            (None, vec![("client_id", &client), ("token", refresh)], 200, ""),
            (own, vec![("token", refresh)], 200, ""),
            (own, vec![("token", refresh)], 200, ""),
        ] {
            let answer = post(&house, &pool, "/oauth2/revoke", basic, &fields).await;
            assert_eq!(answer.status.as_u16(), status, "{fields:?} {}", answer.body);
            match status {
                200 => assert_eq!(answer.body, ""),
                _ => assert_eq!(answer.json()["error"], error),
            }
        }
    }
}

#[tokio::test]
async fn user_info_says_in_its_header_what_is_wrong() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        house.ok("UpdateUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client, "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"] })).await;
        let api = house.signs_in(&client, "ann").await["AccessToken"].as_str().unwrap().to_owned();
        let bad = "error=\"invalid_request\", error_description=\"Bad OAuth2 request at UserInfo Endpoint\"";
        let dead = "error=\"invalid_token\", error_description=\"Access token is expired, disabled, or deleted, or the user has globally signed out.\"";
        for (authorization, status, challenge) in [
            (None, 400, bad),
            (Some("Basic eDp5".to_owned()), 400, bad),
            (Some("Bearer nonsense".to_owned()), 401, dead),
            (Some(format!("Bearer {api}")), 401, dead),
        ] {
            let mut request =
                Request::get(format!("/{pool}/oauth2/userInfo")).header("host", "localhost:9230");
            if let Some(authorization) = &authorization {
                request = request.header("authorization", authorization);
            }
            let answer = house.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(
                (answer.status.as_u16(), answer.header("www-authenticate")),
                (status, challenge),
                "{authorization:?}"
            );
        }
    }
}

#[tokio::test]
async fn each_refusal_of_authorize_goes_to_the_app_or_if_that_is_not_known_to_the_error_page() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let implicit = house
            .client(
                &pool,
                json!({ "AllowedOAuthFlows": ["implicit"], "AllowedOAuthScopes": ["openid"],
            "AllowedOAuthFlowsUserPoolClient": true, "CallbackURLs": [CALLBACK] }),
            )
            .await;
        let mut browser = Browser::new(&house, &pool, &client);
        for (query, error) in [
            (format!("client_id={client}"), "invalid_request"),
            (format!("client_id={client}&response_type=id_token"), "unsupported_response_type"),
            (format!("client_id={client}&response_type=code&code_challenge=x"), "invalid_request"),
            (
                format!("client_id={client}&response_type=code&code_challenge_method=S256"),
                "invalid_request",
            ),
            (
                format!(
                    "client_id={client}&response_type=code&code_challenge={}&code_challenge_method=plain",
                    "a".repeat(43)
                ),
                "invalid_request",
            ),
            (format!("client_id={implicit}&response_type=code"), "unauthorized_client"),
            (
                format!("client_id={client}&response_type=code&scope=openid%09email"),
                "invalid_scope",
            ),
            (format!("client_id={client}&response_type=code&scope=api%2Fread"), "invalid_scope"),
            (format!("client_id={client}&response_type=code&scope=openid+openid"), "invalid_scope"),
            (
                format!("client_id={client}&response_type=code&nonce={}", "n".repeat(1_025)),
                "invalid_request",
            ),
            (format!("client_id={client}&response_type=code&prompt=none"), "login_required"),
        ] {
            let path = format!("/oauth2/authorize?{query}&redirect_uri={CALLBACK}&state=s");
            let answer = browser.get(&path).await;
            let location = answer.header("location");
            assert!(location.starts_with(&format!("{CALLBACK}?")), "{location}");
            assert_eq!(parameter(location, "error").as_deref(), Some(error), "{query}");
            assert_eq!(parameter(location, "state").as_deref(), Some("s"));
        }
        for (query, error) in [
            (format!("client_id={client}&response_type=code"), "redirect_mismatch"),
            (
                format!("client_id=nobody&response_type=code&redirect_uri={CALLBACK}"),
                "invalid_client",
            ),
            (format!("response_type=code&redirect_uri={CALLBACK}"), "invalid_request"),
        ] {
            let answer = browser.get(&format!("/oauth2/authorize?{query}")).await;
            let location = answer.header("location");
            assert!(location.contains(&format!("/{pool}/error?error={error}")), "{location}");
        }
    }
}

#[tokio::test]
async fn discovery_answers_at_the_addresses_of_both_specifications() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let document = browser.get("/.well-known/openid-configuration").await.json();
        for (name, value) in [
            (
                "introspection_endpoint",
                json!(format!("https://localhost:9230/{pool}/oauth2/introspect")),
            ),
            (
                "introspection_endpoint_auth_methods_supported",
                json!(["client_secret_basic", "client_secret_post"]),
            ),
            (
                "grant_types_supported",
                json!(["authorization_code", "client_credentials", "implicit", "refresh_token"]),
            ),
            ("response_types_supported", json!(["code", "token"])),
            ("response_modes_supported", json!(["query", "fragment"])),
            ("prompt_values_supported", json!(["none", "login", "select_account"])),
            ("request_uri_parameter_supported", json!(false)),
        ] {
            assert_eq!(document[name], value, "{name}");
        }
        assert!(document.as_object().unwrap().keys().is_sorted());
        let also = browser.get("/.well-known/oauth-authorization-server").await.json();
        assert_eq!(also, document);
        let inserted = Request::get(format!("/.well-known/oauth-authorization-server/{pool}"))
            .header("host", "localhost:9229");
        let inserted = house.send(inserted.body(Body::empty()).unwrap()).await;
        assert_eq!(inserted.json(), document, "RFC 8414, 3.1");
    }
}
