//! `/_cenote/v1` in dev: settings of pools and clients, and what each wrong request is told. Access keys are in `extension_access`.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::house::{Answer, House, houses, together};

impl House {
    /// A request to the extension API, with these headers.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("/_cenote/v1{path}"));
        if !headers.iter().any(|(name, _)| *name == "host") {
            request = request.header("host", "localhost:9229");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// What a resource says; it must be there.
    pub async fn shows(&self, path: &str) -> Answer {
        let answer = self.ask("GET", path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer
    }

    pub async fn patches(&self, path: &str, body: Value) -> Answer {
        let headers = [("content-type", "application/merge-patch+json")];
        self.ask("PATCH", path, &headers, &body.to_string()).await
    }

    pub async fn posts(&self, path: &str, body: Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.ask("POST", path, &headers, &body.to_string()).await
    }
}

/// Refused with this status and word, and a message that contains all of these.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, word: &str, parts: &[&str]) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    let body = answer.json();
    assert_eq!(body["error"], word, "{body}");
    let message = body["message"].as_str().unwrap();
    for part in parts {
        assert!(message.contains(part), "{message:?} does not contain {part:?}");
    }
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn a_pools_extensions_are_read_changed_and_put_back() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}");
        let first = house.shows(&path).await;
        assert_eq!(
            first.json(),
            json!({ "Id": pool, "Extensions": { "LogoutEndsTokenSessions": false,
                "GlobalSignOutEndsBrowserSessions": false, "PasswordResetEndsSessions": true } })
        );

        let patch = json!({ "Extensions": { "GlobalSignOutEndsBrowserSessions": true, "PasswordResetEndsSessions": false } });
        let changed = house.patches(&path, patch).await;
        assert_eq!(changed.status, 200, "{}", changed.body);
        let now = house.shows(&path).await;
        assert_eq!(now.json()["Extensions"]["GlobalSignOutEndsBrowserSessions"], true);
        assert_eq!(now.json()["Extensions"]["PasswordResetEndsSessions"], false);
        assert_eq!(changed.json(), now.json());
        assert_eq!(changed.header("etag"), now.header("etag"));
        assert_ne!(first.header("etag"), now.header("etag"));

        // Null brings the default back; what is not named stays.
        let patch = json!({ "Extensions": { "PasswordResetEndsSessions": null } });
        assert_eq!(house.patches(&path, patch).await.status, 200);
        let now = house.shows(&path).await.json();
        assert_eq!(now["Extensions"]["PasswordResetEndsSessions"], true);
        assert_eq!(now["Extensions"]["GlobalSignOutEndsBrowserSessions"], true);
        assert_eq!(house.patches(&path, json!({ "Extensions": null })).await.status, 200);
        let last = house.shows(&path).await;
        assert_eq!(
            (last.body.as_str(), last.header("etag")),
            (first.body.as_str(), first.header("etag"))
        );
        // What DescribeUserPool tells is none of this door's business.
        house.ok("DescribeUserPool", json!({ "UserPoolId": pool })).await;
    }
}

#[tokio::test]
async fn a_clients_addresses_are_set_and_taken_away() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let path = format!("/pools/{pool}/clients/{client}");
        assert_eq!(
            house.shows(&path).await.json(),
            json!({ "PoolId": pool, "ClientId": client, "Extensions": {} })
        );
        let wanted = json!({ "BackchannelLogoutUri": "https://app.example.com/bcl?tenant=1",
            "BackchannelLogoutSessionRequired": true, "FrontchannelLogoutUri": "https://app.example.com/fcl" });
        let answer = house.patches(&path, json!({ "Extensions": wanted })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(house.shows(&path).await.json()["Extensions"], wanted);

        let gone = json!({ "Extensions": { "FrontchannelLogoutUri": null } });
        assert_eq!(house.patches(&path, gone).await.status, 200);
        let now = house.shows(&path).await.json();
        assert!(now["Extensions"].get("FrontchannelLogoutUri").is_none());
        assert_eq!(now["Extensions"]["BackchannelLogoutSessionRequired"], true);
        // An UpdateUserPoolClient, which resets what it does not name, leaves it alone: it is not of Cognito's model.
        house.ok("UpdateUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client })).await;
        assert_eq!(house.shows(&path).await.json(), now);
    }
}

#[tokio::test]
async fn an_address_that_cannot_be_told_is_refused_with_its_member_named() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let path = format!("/pools/{pool}/clients/{client}");
        let long = format!("https://a.example/{}", "x".repeat(2_048));
        for (member, uri) in [
            ("BackchannelLogoutUri", "myapp://logout"),
            ("BackchannelLogoutUri", "/logout"),
            ("BackchannelLogoutUri", ""),
            ("BackchannelLogoutUri", "https://a.example/#top"),
            ("BackchannelLogoutUri", "https://user:pass@a.example/"),
            ("BackchannelLogoutUri", "https://10.0.0.1/bcl"),
            ("BackchannelLogoutUri", "http://169.254.169.254/latest"),
            ("BackchannelLogoutUri", "http://8.8.8.8/bcl"),
            ("BackchannelLogoutUri", long.as_str()),
            ("FrontchannelLogoutUri", "http://a.example/fcl"),
            ("FrontchannelLogoutUri", "javascript:alert(1)"),
            ("FrontchannelLogoutUri", "https://a.example/\"><script>"),
        ] {
            let answer = house.patches(&path, json!({ "Extensions": { member: uri } })).await;
            refused(&answer, 400, "invalid_request", &[member]);
        }
        assert_eq!(house.shows(&path).await.json()["Extensions"], json!({}));
    }
}

#[tokio::test]
async fn what_nobody_knows_is_refused_and_the_known_is_listed() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}");
        for (body, parts) in [
            (json!({ "Name": "x" }), &["Name", "Known members: Extensions."][..]),
            (
                json!({ "Extensions": { "LogoutEndsSessions": true } }),
                &[
                    "LogoutEndsSessions",
                    "LogoutEndsTokenSessions, GlobalSignOutEndsBrowserSessions, PasswordResetEndsSessions",
                ],
            ),
            (json!({ "LogoutEndsTokenSessions": true }), &["Extensions", "belongs into"]),
            (json!({ "Extensions": [] }), &["Extensions must be an object"]),
            (
                json!({ "Extensions": { "LogoutEndsTokenSessions": "yes" } }),
                &["Extensions.LogoutEndsTokenSessions", "boolean"],
            ),
        ] {
            refused(&house.patches(&path, body).await, 400, "invalid_request", parts);
        }
        let merge = [("content-type", "application/merge-patch+json")];
        for (headers, body, status, word) in [
            (&merge[..], "[]", 400, "invalid_request"),
            (&merge, "{\"Extensions\":", 400, "invalid_request"),
            (&merge, "", 400, "invalid_request"),
            (&[("content-type", "text/plain")], "{}", 415, "unsupported_media_type"),
            (&[], "{}", 415, "unsupported_media_type"),
        ] {
            refused(&house.ask("PATCH", &path, headers, body).await, status, word, &[]);
        }
        let large = format!("{{\"Extensions\":{{\"x\":\"{}\"}}}}", "x".repeat(64 << 10));
        let answer = house.ask("PATCH", &path, &merge, &large).await;
        refused(&answer, 413, "request_too_large", &["65536"]);
        let answer = house.ask("GET", &format!("{path}?fields=Id"), &[], "").await;
        refused(&answer, 400, "invalid_request", &["fields"]);
    }
}

#[tokio::test]
async fn what_is_not_there_is_404_and_other_methods_are_405() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let other = house.pool(json!({})).await;
        let client = house.client(&other, json!({})).await;
        for path in [
            "/pools/us-east-1_Unknown99".to_owned(),
            "/pools/%00".to_owned(),
            "/pools/%ff%fe".to_owned(),
            format!("/pools/{pool}/clients/nobody"),
            format!("/pools/{pool}/clients/%00"),
            // Another pool's client is not there, either.
            format!("/pools/{pool}/clients/{client}"),
            "/nothing".to_owned(),
            "/pools".to_owned(),
            String::new(),
        ] {
            refused(&house.ask("GET", &path, &[], "").await, 404, "not_found", &[]);
        }
        let path = format!("/pools/{pool}");
        for method in ["PUT", "DELETE", "POST", "OPTIONS"] {
            let answer = house.ask(method, &path, &[], "").await;
            refused(&answer, 405, "method_not_allowed", &["GET, PATCH"]);
            assert_eq!(answer.header("allow"), "GET, PATCH");
        }
    }
}

#[tokio::test]
async fn of_two_changes_of_what_both_have_read_one_wins() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}");
        for round in 0..6 {
            let etag = house.shows(&path).await.header("etag").to_owned();
            let changes = [
                json!({ "Extensions": { "LogoutEndsTokenSessions": round % 2 == 0 } }),
                json!({ "Extensions": { "GlobalSignOutEndsBrowserSessions": round % 2 == 0 } }),
            ];
            let racers = changes.iter().map(|change| {
                let (house, path, etag, body) = (&house, &path, &etag, change.to_string());
                async move {
                    let headers =
                        [("content-type", "application/json"), ("if-match", etag.as_str())];
                    house.ask("PATCH", path, &headers, &body).await
                }
            });
            let answers = together(racers).await;
            let mut statuses: Vec<u16> =
                answers.iter().map(|answer| answer.status.as_u16()).collect();
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 412], "round {round}");
            for answer in answers.iter().filter(|answer| answer.status == 412) {
                refused(answer, 412, "precondition_failed", &["If-Match", &etag]);
            }
            // The one that lost is made after reading again.
            for change in changes {
                assert_eq!(house.patches(&path, change).await.status, 200);
            }
        }
        let headers = [("content-type", "application/json"), ("if-match", "*")];
        assert_eq!(house.ask("PATCH", &path, &headers, "{}").await.status, 200);
        let weak = format!("W/{}", house.shows(&path).await.header("etag"));
        let headers = [("content-type", "application/json"), ("if-match", weak.as_str())];
        refused(&house.ask("PATCH", &path, &headers, "{}").await, 412, "precondition_failed", &[]);
    }
}

/// Any web page can reach a developer's loopback, where nothing is verified.
#[tokio::test]
async fn in_dev_pages_of_other_origins_and_names_are_kept_out() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}");
        for origin in ["https://evil.example", "null", "http://localhost:9999"] {
            let headers = [("origin", origin), ("content-type", "application/json")];
            for (method, body) in [("GET", ""), ("PATCH", "{}")] {
                let answer = house.ask(method, &path, &headers, body).await;
                refused(&answer, 403, "access_denied", &["other origins"]);
                assert_eq!(answer.header("access-control-allow-origin"), "");
            }
        }
        let answer = house.ask("GET", &path, &[("host", "evil.example")], "").await;
        assert_eq!(answer.status, 421);
        let answer = house.ask("GET", &path, &[("origin", "http://localhost:9229")], "").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("access-control-allow-origin"), "");
    }
}

#[tokio::test]
async fn changes_and_refusals_are_audited_and_reads_are_not() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let path = format!("/pools/{pool}");
        house.shows(&path).await;
        house.patches(&path, json!({ "Extensions": { "LogoutEndsTokenSessions": true } })).await;
        house.patches(&path, json!({ "Extensions": { "Nonsense": true } })).await;
        // What changes nothing is no change.
        house.patches(&path, json!({ "Extensions": { "LogoutEndsTokenSessions": true } })).await;
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'PatchPool' AND result = 'ok'";
        assert_eq!(house.rows(sql, &pool).await, 1);
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'PatchPool' AND result = 'InvalidParameterException'";
        assert_eq!(house.rows(sql, &pool).await, 1);
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'GetPool'";
        assert_eq!(house.rows(sql, &pool).await, 0);
    }
}
