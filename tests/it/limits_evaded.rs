//! Ways around the limits that do not work: members, fields, paths and Sessions that only serve to be counted elsewhere.

use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use serde_json::{Value, json};

use crate::browser::{CALLBACK, code_client};
use crate::house::{House, houses_with};
use crate::limits::{from, is_limited, limited, open, sign_in};
use crate::mfa;

const STRANGER: &str = "192.0.2.1:9";

/// The status of a form that a stranger posts.
async fn posts(house: &House, host: &str, path: &str, form: &str) -> u16 {
    let request = Request::post(path)
        .header("host", host)
        .header("content-type", "application/x-www-form-urlencoded")
        .extension(ConnectInfo(STRANGER.parse::<SocketAddr>().unwrap()))
        .body(Body::from(form.to_owned()))
        .unwrap();
    house.send(request).await.status.as_u16()
}

#[tokio::test]
async fn a_member_that_the_operation_does_not_have_chooses_no_limit() {
    for limit in ["per_user=1", "per_client=1", "UserAuthentication=1", "per_address_sign_in=1"] {
        for house in houses_with(limited(limit)).await {
            let (_, client) = open(&house, json!({})).await;
            let mut seen = Vec::new();
            for n in 0..6 {
                let mut input = sign_in(&client, "nobody", "Wrong-horse-9");
                input["UserPoolId"] = json!(format!("us-east-1_Invented{n}"));
                input["Username"] = json!(format!("invented{n}"));
                input["RefreshToken"] = json!("x");
                input["AccessToken"] = json!("x");
                seen.push(is_limited(&from(&house, STRANGER, &[], "InitiateAuth", input).await));
            }
            assert_eq!(seen, [false, false, false, false, false, true], "{limit}");
        }
    }
}

#[tokio::test]
async fn a_form_that_names_a_grant_is_a_sign_in_all_the_same() {
    for limit in ["per_address_sign_in=1", "UserAuthentication=1", "per_user=1"] {
        for house in houses_with(limited(limit)).await {
            let (pool, client) = open(&house, code_client()).await;
            let path = format!(
                "/{pool}/login?client_id={client}&response_type=code&redirect_uri={CALLBACK}"
            );
            let mut seen = Vec::new();
            for n in 0..6 {
                let grant = if n % 2 == 0 { "client_credentials" } else { "refresh_token" };
                let form = format!("grant_type={grant}&username=nobody&password=Wrong-horse-9");
                seen.push(posts(&house, "localhost:9230", &path, &form).await == 429);
            }
            assert_eq!(seen, [false, false, false, false, false, true], "{limit}");
        }
    }
}

/// At the token endpoint nobody signs in by name, so nobody can use up the limit of a name there.
#[tokio::test]
async fn a_name_at_the_token_endpoint_is_nobodys() {
    for house in houses_with(limited("per_user=1")).await {
        let (pool, client) = open(&house, code_client()).await;
        let form =
            format!("grant_type=refresh_token&client_id={client}&refresh_token=x&username=ann");
        for _ in 0..10 {
            let status =
                posts(&house, "localhost:9230", &format!("/{pool}/oauth2/token"), &form).await;
            assert_eq!(status, 400);
        }
        house.signs_in(&client, "ann").await;
    }
}

#[tokio::test]
async fn a_path_with_what_is_no_pool_in_front_is_nothing() {
    for house in houses_with(limited("per_address=1")).await {
        let (pool, client) = open(&house, code_client()).await;
        let prefix = format!("p{}", client.get(..12).unwrap());
        house.ok("CreateUserPoolDomain", json!({ "UserPoolId": pool, "Domain": prefix })).await;
        let query = format!("client_id={client}&response_type=code&redirect_uri={CALLBACK}");
        let mut seen = Vec::new();
        for at in ["x", "%5F", "us-east-1%5Fabc", "login", "oauth2", "x"] {
            let path = format!("/{at}/login?{query}");
            let form = "username=ann&password=Wrong-horse-9";
            seen.push(posts(&house, &format!("{prefix}.localhost:9230"), &path, form).await);
        }
        assert_eq!(seen, [404, 404, 404, 404, 404, 429], "and it counts");
    }
}

#[tokio::test]
async fn a_session_that_was_made_up_spends_nobodys_number() {
    for house in houses_with(limited("UserResourceUpdate=1")).await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (_, client) = mfa::given(&house, "ON", only_token).await;
        house.advance(10_000);
        let verify = async |session: &Value| {
            let input = json!({ "Session": session, "UserCode": "123456" });
            from(&house, STRANGER, &[], "VerifySoftwareToken", input).await
        };
        for n in 0..10 {
            let answer = verify(&json!(format!("{client}.made-up-{n}"))).await;
            assert!(!is_limited(&answer), "{}", answer.body);
        }
        let challenge = mfa::begins(&house, &client).await;
        let mut seen = Vec::new();
        for _ in 0..6 {
            seen.push(is_limited(&verify(&challenge["Session"]).await));
        }
        assert_eq!(seen, [false, false, false, false, false, true], "a true one spends its user's");
    }
}
