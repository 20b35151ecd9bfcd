//! The JSON door's protocol: targets, bodies, errors, headers, CORS.

use axum::body::Body;
use axum::http::{Method, Request};
use serde_json::json;

use crate::house::{Answer, House, houses};

async fn raw(
    house: &House,
    target: &str,
    body: impl Into<Body>,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request =
        Request::post("/").header("host", "localhost:9229").header("x-amz-target", target);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    house.send(request.body(body.into()).unwrap()).await
}

fn target(operation: &str) -> String {
    format!("AWSCognitoIdentityProviderService.{operation}")
}

#[tokio::test]
async fn errors_have_cognitos_body_and_headers() {
    for house in houses().await {
        let answer = house
            .call("InitiateAuth", json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "nobody" }))
            .await;
        assert_eq!(answer.status, 400);
        assert_eq!(
            answer.body,
            r#"{"__type":"ResourceNotFoundException","message":"User pool client nobody does not exist."}"#
        );
        assert_eq!(answer.header("content-type"), "application/x-amz-json-1.1");
        assert_eq!(answer.header("x-amzn-errortype"), "ResourceNotFoundException:");
        assert_eq!(answer.header("x-amzn-errormessage"), "User pool client nobody does not exist.");
        assert!(uuid::Uuid::parse_str(answer.header("x-amzn-requestid")).is_ok());
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert!(answer.header("access-control-expose-headers").contains("x-cenote-signout"));
    }
}

#[tokio::test]
async fn unknown_and_unbuilt_operations_are_named() {
    for house in houses().await {
        for (operation, words) in [
            ("MakeCoffee", "is not an operation"),
            ("CreateUserPoolReplica", "is not built in this version"),
        ] {
            let (kind, message) = house.refused(operation, json!({})).await;
            assert_eq!(kind, "UnknownOperationException");
            assert!(message.contains(operation) && message.contains(words), "{message}");
        }
        for bad in ["", "GetUser", "SomethingElse.GetUser"] {
            assert_eq!(
                raw(&house, bad, "{}", &[]).await.json()["__type"],
                "UnknownOperationException"
            );
        }
    }
}

#[tokio::test]
async fn bodies_that_are_not_requests_are_refused() {
    for house in houses().await {
        let deep = format!(r#"{{"AccessToken":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
        for (body, kind) in [
            ("{", "SerializationException"),
            ("[]", "SerializationException"),
            ("\"text\"", "SerializationException"),
            (r#"{"AccessToken":1}"#, "SerializationException"),
            (r#"{"AccessToken":["a"]}"#, "SerializationException"),
            (deep.as_str(), "SerializationException"),
            ("{}", "InvalidParameterException"),
            (r#"{"AccessToken":null}"#, "InvalidParameterException"),
            (r#"{"AccessToken":"with space"}"#, "InvalidParameterException"),
        ] {
            let answer = raw(&house, &target("GetUser"), body.to_owned(), &[]).await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["__type"].as_str().unwrap()),
                (400, kind),
                "{}",
                &body[..body.len().min(40)]
            );
        }
        let large = raw(&house, &target("GetUser"), vec![b' '; (1 << 20) + 1], &[]).await;
        assert_eq!(large.status, 413);
        let extra =
            raw(&house, &target("GetUser"), r#"{"AccessToken":"a.b.c","Extra":{"x":[1]}}"#, &[])
                .await;
        assert_eq!(extra.json()["message"], "Invalid Access Token");
    }
}

#[tokio::test]
async fn every_fault_is_counted() {
    for house in houses().await {
        let (_, message) = house.refused("AdminGetUser", json!({ "UserPoolId": "x" })).await;
        assert_eq!(
            message,
            "2 validation errors detected: Value 'x' at 'userPoolId' failed to satisfy constraint: Member must satisfy regular expression pattern: \
             [\\w-]+_[0-9a-zA-Z]+; Value at 'username' failed to satisfy constraint: Member must not be null"
        );
    }
}

#[tokio::test]
async fn a_preflight_is_answered_alike_for_all_and_allows_what_amplify_asks() {
    for house in houses().await {
        let request = Request::builder()
            .method(Method::OPTIONS)
            .uri("/")
            .header("host", "localhost:9229")
            .header("origin", "https://app.example.com");
        let answer = house.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        let allowed = answer.header("access-control-allow-headers").to_owned();
        for name in [
            "amz-sdk-invocation-id",
            "amz-sdk-request",
            "cache-control",
            "content-type",
            "x-amz-target",
            "x-amz-user-agent",
        ] {
            assert!(allowed.split(',').any(|item| item == name), "{name} is not in {allowed}");
        }
    }
}

#[tokio::test]
async fn in_dev_a_foreign_web_page_can_neither_call_nor_read_signed_operations() {
    for house in houses().await {
        let signed = raw(
            &house,
            &target("ListUserPools"),
            r#"{"MaxResults":1}"#,
            &[("origin", "https://evil.example")],
        )
        .await;
        assert_eq!(signed.json()["__type"], "ForbiddenException");
        assert_eq!(signed.header("access-control-allow-origin"), "");
        let own = raw(
            &house,
            &target("ListUserPools"),
            r#"{"MaxResults":1}"#,
            &[("origin", "http://localhost:9229")],
        )
        .await;
        assert_eq!(own.status, 200, "{}", own.body);
        assert_eq!(own.header("access-control-allow-origin"), "");
        let unsigned = raw(
            &house,
            &target("GetUser"),
            r#"{"AccessToken":"a.b.c"}"#,
            &[("origin", "https://app.example.com")],
        )
        .await;
        assert_eq!(unsigned.json()["message"], "Invalid Access Token");
        assert_eq!(unsigned.header("access-control-allow-origin"), "*");
    }
}

#[tokio::test]
async fn a_refusal_is_audited_with_what_was_found_and_nothing_of_what_was_claimed() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let sub = house.user(&pool, "ann").await;
        let token = house.signs_in(&client, "ann").await;
        let forged = json!({ "AccessToken": token["AccessToken"], "UserPoolId": "us-east-1_FORGED", "ClientId": "B".repeat(100_000),
            "PreviousPassword": "Wrong-horse-9", "ProposedPassword": "short" });
        house.refused("ChangePassword", forged).await;
        house.refused("AdminDeleteUserAttributes", json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["custom:x"] })).await;
        let forged =
            json!({ "AccessToken": "x", "UserPoolId": pool, "ClientId": "B".repeat(100_000) });
        house.refused("GlobalSignOut", forged).await;
        let trail =
            cenote::store::jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 100_000).await.unwrap();
        let of = |action: &str| {
            trail
                .iter()
                .filter(|entry| entry.action == action && entry.pool_id == pool)
                .collect::<Vec<_>>()
        };
        let change = of("ChangePassword");
        assert_eq!(change.len(), 1, "{change:?}");
        assert_eq!(
            (change[0].target.as_str(), change[0].actor.clone(), change[0].result.as_str()),
            (sub.as_str(), format!("user:{sub}"), "InvalidPasswordException")
        );
        assert_eq!(of("AdminDeleteUserAttributes")[0].target, sub);
        assert!(of("GlobalSignOut").is_empty(), "a claimed pool is not a fact");
        assert!(trail.iter().all(
            |entry| entry.pool_id != "us-east-1_FORGED" && entry.target.chars().count() <= 300
        ));
    }
}

#[tokio::test]
async fn forwarded_addresses_are_believed_from_proxies_only_and_from_the_right() {
    use axum::extract::ConnectInfo;
    use cenote::config::Settings;
    let proxy = "10.0.0.1";
    let settings = Settings {
        trusted_proxies: vec![proxy.parse().unwrap(), "10.0.0.2".parse().unwrap()],
        ..Settings::default()
    };
    let house = House::on_sqlite(settings).await;
    let seen = |peer: &str, lines: &[&str]| {
        let mut request = Request::post("/").header("host", "localhost:9229");
        for line in lines {
            request = request.header("x-forwarded-for", *line);
        }
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let peer: std::net::SocketAddr = peer.parse().unwrap();
        parts.extensions.insert(ConnectInfo(peer));
        cenote::http::cx(house.app.clone(), &parts).request.ip.clone()
    };
    assert_eq!(seen("203.0.113.5:1", &["6.6.6.6"]), "203.0.113.5");
    assert_eq!(
        seen("10.0.0.1:1", &["6.6.6.6", "203.0.113.9"]),
        "203.0.113.9",
        "the proxy's own line is the last"
    );
    assert_eq!(seen("10.0.0.1:1", &["6.6.6.6, 203.0.113.9, 10.0.0.2"]), "203.0.113.9");
    assert_eq!(seen("[::ffff:10.0.0.1]:1", &["203.0.113.9:4711"]), "203.0.113.9");
    assert_eq!(seen("10.0.0.1:1", &["rubbish"]), "10.0.0.1");
}
