//! Access keys at the extension API of `cenote serve`: the same keys and signatures as at the JSON door, with actions of its own.

use std::fmt::Write as _;

use aws_lc_rs::{digest, hmac};
use axum::body::Body;
use axum::http::Request;
use cenote::access::{self, Grant};
use cenote::config::Settings;
use cenote::cx::Cx;
use cenote::error::Kind;
use serde_json::{Value, json};

use crate::extension::refused;
use crate::house::{Answer, House};
use crate::store::bed;

const HOST: &str = "id.example.com";
/// The house's clock, `house::NOW`.
const STAMP: &str = "20260921T141320Z";

/// A production house on each database, each with a pool.
async fn production(test: &str) -> Vec<House> {
    let settings =
        Settings { dev: false, public_url: format!("https://{HOST}"), ..Settings::default() };
    let mut houses = vec![House::on_sqlite(settings.clone()).await];
    if let Some(bed) = bed::pg(&format!("extension_{test}")).await {
        houses.push(House::open(&bed.url, settings, None).await);
    }
    houses
}

/// One request, signed for a service.
struct Signed<'a> {
    method: &'a str,
    path: &'a str,
    body: &'a str,
    service: &'a str,
}

impl Signed<'_> {
    async fn sent(&self, house: &House, (id, secret): &(String, String)) -> Answer {
        let mut headers = vec![("host", HOST), ("x-amz-date", STAMP)];
        if !self.body.is_empty() {
            headers.insert(0, ("content-type", "application/json"));
        }
        let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let hash = sha256(self.body.as_bytes());
        let canonical = format!("{}\n{}\n\n{lines}\n{names}\n{hash}", self.method, self.path);
        let day = &STAMP[..8];
        let scope = format!("{day}/us-east-1/{}/aws4_request", self.service);
        let text = format!("AWS4-HMAC-SHA256\n{STAMP}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{secret}").into_bytes();
        for part in [day, "us-east-1", self.service, "aws4_request", &text] {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes())
                .as_ref()
                .to_vec();
        }
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={}",
            hex(&key)
        );
        let mut request = Request::builder()
            .method(self.method)
            .uri(self.path)
            .header("authorization", authorization);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        house.send(request.body(Body::from(self.body.to_owned())).unwrap()).await
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

async fn key(house: &House, actions: &[&str], pools: &[&str]) -> (String, String) {
    let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
    let grant = Grant::new(&own(actions), &own(pools), "test").unwrap();
    let cx = Cx::system(house.app.clone());
    let (id, secret) = access::create(&cx, &grant).await.unwrap();
    (id, secret.to_string())
}

/// A pool, made by the code behind the JSON door.
async fn pool(house: &House) -> String {
    let cx = Cx::system(house.app.clone());
    let request = serde_json::from_value(json!({ "PoolName": "test" })).unwrap();
    cenote::admin::pools::create(&cx, &request).await.unwrap().id
}

#[tokio::test]
async fn a_key_may_do_what_its_actions_and_pools_say_and_nothing_else() {
    for house in production("scope").await {
        let (mine, other) = (pool(&house).await, pool(&house).await);
        let reader = key(&house, &["cenote:GetPool"], &[&mine]).await;
        let admin = key(&house, &["cenote:*"], &[]).await;
        let cognito = key(&house, &["cognito-idp:*"], &[]).await;
        let all = key(&house, &[], &[]).await;
        let path = format!("/_cenote/v1/pools/{mine}");
        let elsewhere = format!("/_cenote/v1/pools/{other}");
        let get = Signed { method: "GET", path: &path, body: "", service: "cenote" };
        let patch = Signed { method: "PATCH", body: "{}", ..get };
        let all_out = format!("{path}/sign-out-all");
        let sign_out = Signed { method: "POST", path: &all_out, ..get };
        for (call, key, allowed) in [
            (&get, &reader, true),
            (&patch, &reader, false),
            (&sign_out, &reader, false),
            (&Signed { path: &elsewhere, ..get }, &reader, false),
            (&get, &admin, true),
            (&patch, &admin, true),
            (&sign_out, &admin, true),
            (&get, &cognito, false),
            (&get, &all, true),
            // SDKs that know no service `cenote` sign for the one that they know.
            (&Signed { service: "cognito-idp", ..get }, &reader, true),
        ] {
            let answer = call.sent(&house, key).await;
            if allowed {
                assert_eq!(answer.status, 200, "{} {}: {}", call.method, call.path, answer.body);
            } else {
                refused(&answer, 403, "access_denied", &["not authorized to perform: cenote:"]);
            }
        }
        // A pool that does not exist is told to whom it may concern, and to nobody else.
        let missing = Signed { path: "/_cenote/v1/pools/us-east-1_Missing99", ..get };
        refused(&missing.sent(&house, &admin).await, 404, "not_found", &[]);
        refused(&missing.sent(&house, &reader).await, 403, "access_denied", &[]);
        let sql =
            "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND result = 'AccessDeniedException'";
        assert_eq!(house.rows(sql, &mine).await, 2, "refused changes are audited");
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'SignOutAll' AND result = 'ok' AND actor <> 'dev'";
        assert_eq!(house.rows(sql, &mine).await, 1);
    }
}

#[tokio::test]
async fn unsigned_and_wrongly_signed_requests_are_401() {
    for house in production("signed").await {
        let pool = pool(&house).await;
        let path = format!("/_cenote/v1/pools/{pool}");
        let request = Request::get(&path).header("host", HOST).body(Body::empty()).unwrap();
        let answer = house.send(request).await;
        refused(&answer, 401, "unauthenticated", &[]);
        assert_eq!(answer.header("www-authenticate"), "AWS4-HMAC-SHA256");
        let (id, secret) = key(&house, &[], &[]).await;
        let get = Signed { method: "GET", path: &path, body: "", service: "cenote" };
        for (call, key) in [
            (&get, (id.clone(), "wrong".to_owned())),
            (&get, ("AKIAIOSFODNN7EXAMPLE".to_owned(), secret.clone())),
            (&Signed { service: "s3", ..get }, (id.clone(), secret.clone())),
        ] {
            refused(&call.sent(&house, &key).await, 401, "unauthenticated", &[]);
        }
        assert_eq!(get.sent(&house, &(id, secret)).await.status, 200);
        // The document names nothing of this server's.
        let request = Request::get("/_cenote/v1/openapi.json").header("host", HOST);
        assert_eq!(house.send(request.body(Body::empty()).unwrap()).await.status, 200);
    }
}

#[test]
fn an_action_that_does_not_exist_is_refused_when_the_key_is_made() {
    for action in ["cenote:GetPools", "cenote:", "cenote:Remove*", "cenot:GetPool"] {
        let error = Grant::new(&[action.to_owned()], &[], "").unwrap_err();
        assert_eq!(error.kind, Kind::InvalidParameter);
        assert!(error.message.contains("cenote:PatchPool"), "{error}");
    }
    for action in ["cenote:GetPool", "cenote:*", "cenote:Patch*", "*"] {
        assert!(Grant::new(&[action.to_owned()], &[], "").is_ok(), "{action}");
    }
}

#[tokio::test]
async fn no_page_of_another_origin_may_read_a_signed_answer() {
    for house in production("origin").await {
        let pool = pool(&house).await;
        let key = key(&house, &[], &[]).await;
        let path = format!("/_cenote/v1/pools/{pool}");
        let get = Signed { method: "GET", path: &path, body: "", service: "cenote" };
        let answer = get.sent(&house, &key).await;
        assert_eq!(answer.header("access-control-allow-origin"), "");
        let shown: Value = answer.json();
        assert_eq!(shown["Id"], pool);
    }
}
