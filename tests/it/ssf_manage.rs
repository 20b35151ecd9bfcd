//! The management of streams (SSF 1.0, 7 and 8.1): by their receivers, and by the operator.

use axum::body::Body;
use axum::http::Request;
use cenote::ambient::MINUTE;
use serde_json::{Value, json};

use crate::house::{houses, houses_alone};
use crate::ssf_receiver::{
    CAEP, POLL, PUSH, RISC, Receiver, SSF, asks, events, expands, given, poll_stream, sign_out,
    states,
};

#[tokio::test]
async fn the_configuration_is_where_the_framework_says_and_under_the_issuer() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let get = async |path: String| {
            let request =
                Request::get(path).header("host", "localhost:9230").body(Body::empty()).unwrap();
            house.send(request).await
        };
        let here = get(format!("/{pool}/.well-known/ssf-configuration")).await;
        let there = get(format!("/.well-known/ssf-configuration/{pool}")).await;
        assert_eq!((here.status, here.json()), (there.status, there.json()));
        let said = here.json();
        assert_eq!(said["spec_version"], "1_0");
        let base = format!("{}/{pool}", house.app.settings.public_url);
        assert_eq!(said["issuer"], base);
        assert_eq!(said["jwks_uri"], format!("{base}/.well-known/jwks.json"));
        assert_eq!(said["delivery_methods_supported"], json!([PUSH, POLL]));
        assert_eq!(said["configuration_endpoint"], format!("{base}/ssf/streams"));
        assert_eq!(get("/.well-known/ssf-configuration/us-east-1_none".into()).await.status, 404);
    }
}

#[tokio::test]
async fn only_a_client_with_the_scope_manages_and_only_its_own_streams() {
    for house in houses().await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        let id = stream["stream_id"].as_str().unwrap();
        let reader = Receiver::with(&house, &pool, &["ssf.read"]).await;
        let rival = Receiver::new(&house, &pool).await;
        let elsewhere = house.pool(json!({})).await;
        let far = Receiver::new(&house, &elsewhere).await;
        let user = house.client(&pool, json!({})).await;
        let user = house.signs_in(&user, "ann").await["AccessToken"].as_str().unwrap().to_owned();
        let verify = json!({ "stream_id": id }).to_string();
        for (token, verb, path, status) in [
            ("", "GET", "/ssf/streams".to_owned(), 401),
            ("nonsense", "GET", "/ssf/streams".to_owned(), 401),
            (&far.token, "GET", "/ssf/streams".to_owned(), 401),
            (&user, "GET", "/ssf/streams".to_owned(), 403),
            (&reader.token, "POST", "/ssf/streams".to_owned(), 403),
            (&reader.token, "POST", "/ssf/verify".to_owned(), 403),
            (&reader.token, "GET", "/ssf/streams".to_owned(), 200),
            (&rival.token, "GET", format!("/ssf/streams?stream_id={id}"), 404),
            (&rival.token, "DELETE", format!("/ssf/streams?stream_id={id}"), 404),
            (&rival.token, "GET", format!("/ssf/status?stream_id={id}"), 404),
            (&rival.token, "POST", "/ssf/verify".to_owned(), 404),
            (&rival.token, "POST", format!("/ssf/poll/{id}"), 404),
            (&reader.token, "POST", format!("/ssf/poll/{id}"), 404),
        ] {
            let answer = asks(&house, &pool, token, verb, &path, verify.clone()).await;
            assert_eq!(answer.status, status, "{verb} {path} {}", answer.body);
            let challenge = answer.header("www-authenticate").to_owned();
            assert_eq!(challenge.starts_with("Bearer"), matches!(status, 401 | 403), "{challenge}");
            if status >= 400 {
                assert!(!answer.json()["error_description"].as_str().unwrap().is_empty());
            }
        }
        let answer = asks(&house, &pool, &rival.token, "GET", "/ssf/streams", String::new()).await;
        assert_eq!(answer.json(), json!([]));
        assert_eq!(receiver.asks("GET", "/ssf/streams", json!({})).await.json(), json!([stream]));
        let none =
            asks(&house, "us-east-1_none", &receiver.token, "GET", "/ssf/streams", String::new())
                .await;
        assert_eq!(none.status, 404);
    }
}

#[tokio::test]
async fn a_stream_is_read_changed_replaced_and_deleted() {
    for house in houses_alone("ssf_manage").await {
        let (pool, receiver) = given(&house).await;
        let wanted = format!("{CAEP}/session-revoked");
        let stream = receiver
            .creates(json!({ "events_requested": [wanted, "https://example.com/another"], "description": "for us" }))
            .await;
        let id = stream["stream_id"].as_str().unwrap();
        assert_eq!(stream["events_delivered"], json!([wanted]));
        assert_eq!(stream["delivery"]["method"], POLL);
        assert_eq!(
            stream["delivery"]["endpoint_url"],
            format!("{}/{pool}/ssf/poll/{id}", house.app.settings.public_url)
        );
        let read = receiver.asks("GET", &format!("/ssf/streams?stream_id={id}"), json!({})).await;
        assert_eq!(read.json(), stream);
        // What was read can be sent back.
        assert_eq!(receiver.asks("PUT", "/ssf/streams", stream.clone()).await.json(), stream);
        let disabled = format!("{RISC}/account-disabled");
        let change = json!({ "stream_id": id, "events_requested": [disabled] });
        let all = receiver.creates(poll_stream()).await;
        assert_eq!(all["events_delivered"], all["events_supported"]);
        assert_eq!(receiver.asks("PUT", "/ssf/streams", all.clone()).await.json(), all);
        let mut turned = all.clone();
        turned["events_delivered"].as_array_mut().unwrap().reverse();
        assert_eq!(receiver.asks("PATCH", "/ssf/streams", turned).await.json(), all);
        let gone = format!("/ssf/streams?stream_id={}", all["stream_id"].as_str().unwrap());
        assert_eq!(receiver.asks("DELETE", &gone, json!({})).await.status, 204);
        let changed = receiver.asks("PATCH", "/ssf/streams", change.clone()).await.json();
        assert_eq!(changed["events_delivered"], json!([disabled]));
        assert_eq!(changed["description"], "for us");
        let replaced = receiver.asks("PUT", "/ssf/streams", change).await.json();
        assert_eq!(replaced.get("description"), None);
        sign_out(&house, &pool, "ann").await;
        let user = json!({ "UserPoolId": pool, "Username": "ann" });
        house.ok("AdminDisableUser", user).await;
        expands(&house).await;
        let found = receiver.reads(&stream).await;
        assert_eq!(found.len(), 1);
        assert_eq!(events(&found[0].1), [disabled]);
        let delete = format!("/ssf/streams?stream_id={id}");
        assert_eq!(receiver.asks("DELETE", &delete, json!({})).await.status, 204);
        assert_eq!(receiver.asks("DELETE", &delete, json!({})).await.status, 404);
        assert_eq!(states(&house, &pool).await, ["not_possible"]);
    }
}

#[tokio::test]
async fn what_cannot_be_a_stream_is_refused_in_words() {
    for house in houses().await {
        let (_, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        let id = &stream["stream_id"];
        let push = |url: &str| json!({ "delivery": { "method": PUSH, "endpoint_url": url } });
        for (verb, path, body, words) in [
            ("POST", "/ssf/streams", json!([]), "not a JSON object"),
            (
                "POST",
                "/ssf/streams",
                json!({ "delivery": { "method": "urn:x" } }),
                "delivery.method must be",
            ),
            (
                "POST",
                "/ssf/streams",
                json!({ "delivery": { "method": PUSH } }),
                "delivery.endpoint_url is required",
            ),
            ("POST", "/ssf/streams", push("file:///etc/passwd"), "must be an https URL"),
            ("POST", "/ssf/streams", push("https://u:p@example.com/"), "user name or password"),
            ("POST", "/ssf/streams", push("http://169.254.169.254/latest"), "cannot be used"),
            ("POST", "/ssf/streams", json!({ "events_requested": "all" }), "must be an array"),
            ("POST", "/ssf/streams", json!({ "events_requested": [] }), "must name an event"),
            ("POST", "/ssf/streams", json!({ "events_requested": [7] }), "must be an array"),
            ("POST", "/ssf/streams", json!({ "description": "x".repeat(300) }), "at most 256"),
            (
                "POST",
                "/ssf/streams",
                json!({ "delivery": { "method": PUSH, "endpoint_url": "https://example.com/", "authorization_header": "a\nb" } }),
                "printable ASCII",
            ),
            ("PATCH", "/ssf/streams", json!({}), "stream_id is missing"),
            (
                "PATCH",
                "/ssf/streams",
                json!({ "stream_id": id, "aud": "another" }),
                "aud is the transmitter's",
            ),
            (
                "PATCH",
                "/ssf/streams",
                json!({ "stream_id": id, "events_delivered": [format!("{CAEP}/session-revoked")] }),
                "events_delivered is the transmitter's",
            ),
            (
                "PUT",
                "/ssf/streams",
                json!({ "stream_id": id, "inactivity_timeout": 1 }),
                "inactivity_timeout is the transmitter's",
            ),
            ("GET", "/ssf/status", json!({}), "stream_id is missing"),
            ("GET", "/ssf/status?stream_id=a&stream_id=b", json!({}), "more than once"),
            (
                "POST",
                "/ssf/status",
                json!({ "stream_id": id, "status": "on" }),
                "enabled, paused or disabled",
            ),
            (
                "POST",
                "/ssf/status",
                json!({ "stream_id": id, "status": "paused", "reason": 7 }),
                "reason must be",
            ),
            ("POST", "/ssf/subjects/add", json!({ "stream_id": id }), "of the format iss_sub"),
            (
                "POST",
                "/ssf/verify",
                json!({ "stream_id": id, "state": "x".repeat(2_000) }),
                "at most 1024",
            ),
        ] {
            let answer = receiver.asks(verb, path, body.clone()).await;
            assert_eq!(answer.status, 400, "{verb} {path} {body} {}", answer.body);
            assert_eq!(answer.json()["error"], "invalid_request");
            assert!(answer.body.contains(words), "{words}: {}", answer.body);
        }
        let path = format!("/ssf/poll/{}", id.as_str().unwrap());
        let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
        for (body, words) in [
            (json!("x"), "not a JSON object"),
            (json!({ "maxEvents": "many" }), "not a JSON object"),
            (json!({ "maxEvents": -1 }), "must not be negative"),
            (json!({ "ack": many }), "more than 1000"),
        ] {
            let answer = receiver.asks("POST", &path, body).await;
            assert_eq!(answer.status, 400, "{}", answer.body);
            assert!(answer.body.contains(words), "{}", answer.body);
        }
        let huge = asks(
            &house,
            &receiver.pool,
            &receiver.token,
            "POST",
            "/ssf/streams",
            "x".repeat(70_000),
        )
        .await;
        assert_eq!(huge.status, 413);
        for _ in 1..10 {
            receiver.creates(poll_stream()).await;
        }
        let answer = receiver.asks("POST", "/ssf/streams", poll_stream()).await;
        assert_eq!(answer.status, 409, "{}", answer.body);
    }
}

#[tokio::test]
async fn a_receiver_proves_its_stream_and_leaves_out_users() {
    for house in houses_alone("ssf_verify").await {
        let (pool, receiver) = given(&house).await;
        house.user(&pool, "bob").await;
        let stream = receiver.creates(poll_stream()).await;
        let id = &stream["stream_id"];
        let verify = json!({ "stream_id": id, "state": "abc" });
        assert_eq!(receiver.asks("POST", "/ssf/verify", verify.clone()).await.status, 204);
        let again = receiver.asks("POST", "/ssf/verify", verify.clone()).await;
        assert_eq!((again.status.as_u16(), again.header("retry-after")), (429, "60"));
        let found = receiver.reads(&stream).await;
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].1["sub_id"], json!({ "format": "opaque", "id": id }));
        assert_eq!(
            found[0].1["events"],
            json!({ format!("{SSF}/verification"): { "state": "abc" } })
        );
        receiver.polls(&stream, json!({ "ack": [found[0].0], "maxEvents": 0 })).await;
        house.advance(MINUTE);
        assert_eq!(receiver.asks("POST", "/ssf/verify", verify).await.status, 204);
        let jti = receiver.reads(&stream).await[0].0.clone();
        receiver.polls(&stream, json!({ "ack": [jti], "maxEvents": 0 })).await;

        let sub = house.attribute(&pool, "ann", "sub").await.unwrap();
        let ann = json!({ "format": "iss_sub", "iss": stream["iss"], "sub": sub });
        let body = |subject: &Value| json!({ "stream_id": id, "subject": subject });
        assert_eq!(receiver.asks("POST", "/ssf/subjects/remove", body(&ann)).await.status, 204);
        sign_out(&house, &pool, "ann").await;
        sign_out(&house, &pool, "bob").await;
        expands(&house).await;
        let found = receiver.reads(&stream).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_ne!(found[0].1["sub_id"]["user"]["sub"], *sub);
        let complex = json!({ "format": "complex", "user": ann });
        assert_eq!(receiver.asks("POST", "/ssf/subjects/add", body(&complex)).await.status, 200);
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        assert_eq!(receiver.reads(&stream).await.len(), 2);
        for subject in [
            json!({ "format": "iss_sub", "iss": stream["iss"], "sub": "nobody" }),
            json!({ "format": "iss_sub", "iss": "https://other.example.com", "sub": sub }),
        ] {
            assert_eq!(
                receiver.asks("POST", "/ssf/subjects/add", body(&subject)).await.status,
                404
            );
        }
    }
}

#[tokio::test]
async fn a_receiver_learns_what_the_operator_does_with_its_stream() {
    for house in houses_alone("ssf_operator").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        let path = format!("/pools/{pool}/streams/{}", stream["stream_id"].as_str().unwrap());
        // Neither is what it asked for itself.
        let own = json!({ "stream_id": stream["stream_id"], "status": "paused" });
        assert_eq!(receiver.asks("POST", "/ssf/status", own).await.status, 200);
        assert_eq!(house.patches(&path, json!({ "Description": "for us" })).await.status, 200);
        assert_eq!(receiver.reads(&stream).await, []);
        for status in ["disabled", "enabled", "paused"] {
            assert_eq!(house.patches(&path, json!({ "Status": status })).await.status, 200);
            cenote::delivery::ssf::tend(cenote::cx::Cx::system(house.app.clone())).await.unwrap();
            let found = receiver.reads(&stream).await;
            assert_eq!(found.len(), 1, "{status} {found:?}");
            let (jti, claims) = &found[0];
            let payload = json!({ format!("{SSF}/stream-updated"): { "status": status } });
            assert_eq!(claims["events"], payload, "{}", house.url);
            assert_eq!(claims["sub_id"]["id"], stream["stream_id"]);
            receiver.polls(&stream, json!({ "ack": [jti], "maxEvents": 0 })).await;
        }
    }
}
