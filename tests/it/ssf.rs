//! The Shared Signals transmitter: what a stream is told of a sign-out, pushed and polled, and what its receiver may do with it.

use axum::body::Body;
use axum::http::Request;
use cenote::ambient::{DAY, HOUR, MINUTE, SECOND};
use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::delivery::ssf;
use cenote::keys::foreign::{self, Jwks};
use cenote::store::deliveries::{self, Filter};
use cenote::store::{Batch, Rank, purge};
use serde_json::{Map, Value, json};

use crate::house::{Answer, House, NOW, houses, houses_alone, merge, pause};
use crate::oauth_machine::{machine, token};
use crate::provider::{Asked, Behaviour, Provider};

const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type";
const PUSH: &str = "urn:ietf:rfc:8935";
const POLL: &str = "urn:ietf:rfc:8936";

/// A receiver: its client in a pool.
struct Receiver<'a> {
    house: &'a House,
    pool: String,
    client: (String, String),
    token: String,
}

impl<'a> Receiver<'a> {
    async fn with(house: &'a House, pool: &str, scopes: &[&str]) -> Receiver<'a> {
        let client = machine(house, pool, scopes).await;
        let mut receiver = Receiver { house, pool: pool.to_owned(), client, token: String::new() };
        receiver.gets_token().await;
        receiver
    }

    async fn new(house: &'a House, pool: &str) -> Receiver<'a> {
        Receiver::with(house, pool, &["ssf.manage"]).await
    }

    async fn gets_token(&mut self) {
        let basic = (self.client.0.as_str(), self.client.1.as_str());
        let answer = token(self.house, &self.pool, basic, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.token = answer.json()["access_token"].as_str().unwrap().to_owned();
    }

    async fn asks(&self, verb: &str, path: &str, body: Value) -> Answer {
        asks(self.house, &self.pool, &self.token, verb, path, body.to_string()).await
    }

    async fn creates(&self, body: Value) -> Value {
        let answer = self.asks("POST", "/ssf/streams", body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    async fn polls(&self, stream: &Value, body: Value) -> Value {
        let path = format!("/ssf/poll/{}", stream["stream_id"].as_str().unwrap());
        let answer = self.asks("POST", &path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// What there is now: each event with its `jti`.
    async fn reads(&self, stream: &Value) -> Vec<(String, Map<String, Value>)> {
        let answer = self.polls(stream, json!({ "returnImmediately": true })).await;
        let mut found = Vec::new();
        for (jti, set) in answer["sets"].as_object().unwrap() {
            let claims = verified(self.house, &self.pool, set.as_str().unwrap()).await;
            assert_eq!(claims["jti"], **jti);
            found.push((jti.clone(), claims));
        }
        found
    }
}

async fn asks(
    house: &House,
    pool: &str,
    token: &str,
    verb: &str,
    path: &str,
    body: String,
) -> Answer {
    let mut request = Request::builder()
        .method(verb)
        .uri(format!("/{pool}{path}"))
        .header("host", "localhost:9230")
        .header("content-type", "application/json");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    house.send(request.body(Body::from(body)).unwrap()).await
}

/// Verified as a receiver does, by what the transmitter's configuration names.
async fn verified(house: &House, pool: &str, set: &str) -> Map<String, Value> {
    let keys = asks(house, pool, "", "GET", "/.well-known/jwks.json", String::new()).await;
    let parsed = foreign::parse(set).unwrap();
    assert_eq!(parsed.typ.as_deref(), Some("secevent+jwt"));
    parsed.verify(&Jwks::parse(&keys.body).unwrap()).unwrap()
}

async fn sign_out(house: &House, pool: &str, name: &str) -> String {
    let input = json!({ "UserPoolId": pool, "Username": name });
    let answer = house.call("AdminUserGlobalSignOut", input).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("x-cenote-signout").to_owned()
}

async fn expands(house: &House) {
    expand::run_once(Cx::system(house.app.clone())).await.unwrap();
}

/// Everything that is due now.
async fn works(house: &House) {
    for _ in 0..3 {
        expands(house).await;
        for turn in work::begin(&Cx::system(house.app.clone())).await.unwrap() {
            turn.await.unwrap();
        }
    }
}

async fn states(house: &House, pool: &str) -> Vec<&'static str> {
    let all = deliveries::list(&house.app.db, pool, Filter::default(), None, 1_000).await.unwrap();
    all.iter().rev().map(|delivery| delivery.state.as_str()).collect()
}

fn events(claims: &Map<String, Value>) -> Vec<&str> {
    claims["events"].as_object().unwrap().keys().map(String::as_str).collect()
}

async fn pushed(house: &House, pool: &str, asked: &Asked) -> Map<String, Value> {
    verified(house, pool, &asked.body).await
}

/// A pool with ann, and a receiver.
async fn given(house: &House) -> (String, Receiver<'_>) {
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    let receiver = Receiver::new(house, &pool).await;
    (pool, receiver)
}

fn poll_stream() -> Value {
    json!({ "delivery": { "method": POLL } })
}

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
async fn an_event_is_told_again_until_it_is_acknowledged_and_is_always_the_same() {
    for house in houses_alone("ssf_ack").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        assert_eq!(receiver.reads(&stream).await, []);
        let signout = sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let sub = house.attribute(&pool, "ann", "sub").await.unwrap();
        let iss = format!("{}/{pool}", house.app.settings.public_url);
        let found = receiver.reads(&stream).await;
        let [(jti, claims)] = found.as_slice() else { panic!("{found:?}") };
        let told = json!({ "event_timestamp": NOW / SECOND, "initiating_entity": "admin",
            "reason_admin": { "en": "admin_global_sign_out" } });
        let user = json!({ "format": "iss_sub", "iss": iss, "sub": sub });
        let wanted = json!({
            "iss": iss, "aud": receiver.client.0, "iat": NOW / SECOND, "jti": jti, "txn": signout,
            "sub_id": { "format": "complex", "user": user },
            "events": { format!("{CAEP}/session-revoked"): told },
        });
        assert_eq!(Value::Object(claims.clone()), wanted);
        let first = receiver.polls(&stream, json!({ "returnImmediately": true })).await;
        house.advance(5 * SECOND);
        let second = receiver.polls(&stream, json!({ "returnImmediately": true })).await;
        assert_eq!(first, second, "to the letter");
        assert_eq!(states(&house, &pool).await, ["held"]);
        // What is not its own is nothing.
        let other = receiver.creates(poll_stream()).await;
        let ack = json!({ "ack": [jti, "nonsense"], "returnImmediately": true });
        assert_eq!(receiver.polls(&other, ack.clone()).await, json!({ "sets": {} }));
        assert_eq!(states(&house, &pool).await, ["held"]);
        assert_eq!(receiver.polls(&stream, ack).await, json!({ "sets": {} }));
        assert_eq!(states(&house, &pool).await, ["done"]);
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let jti = &receiver.reads(&other).await[0].0;
        let refusal = json!({ "err": "invalid_key", "description": "no such key" });
        let refused = json!({ "setErrs": { jti: refusal }, "maxEvents": 0 });
        assert_eq!(receiver.polls(&other, refused).await, json!({ "sets": {} }));
        let all = deliveries::list(&house.app.db, &pool, Filter::default(), None, 9).await.unwrap();
        let dead = all.iter().find(|row| row.state.as_str() == "dead").unwrap();
        assert_eq!(dead.detail, "Its receiver refused it: invalid_key no such key");
    }
}

#[allow(clippy::disallowed_methods, reason = "a request really waits, and that is measured")]
#[tokio::test]
async fn a_poll_waits_until_there_is_something_and_no_longer() {
    for house in houses_alone("ssf_wait").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        let another = house.another_node(0).await;
        for writer in [&house, &another] {
            let began = std::time::Instant::now();
            let wakes = async {
                for _ in 0..20 {
                    pause().await;
                }
                let waited = began.elapsed();
                sign_out(writer, &pool, "ann").await;
                expands(writer).await;
                waited
            };
            let (answer, waited) = tokio::join!(receiver.polls(&stream, json!({})), wakes);
            let took = began.elapsed();
            let sets = answer["sets"].as_object().unwrap();
            assert_eq!(sets.len(), 1, "{answer}");
            assert!(took >= waited && took.as_secs() < 8, "{waited:?} {took:?}");
            let ack: Vec<&String> = sets.keys().collect();
            let done = json!({ "ack": ack, "returnImmediately": true });
            assert_eq!(receiver.polls(&stream, done).await, json!({ "sets": {} }));
        }
        let began = std::time::Instant::now();
        receiver.polls(&stream, json!({ "returnImmediately": true })).await;
        receiver.polls(&stream, json!({ "maxEvents": 0 })).await;
        assert!(began.elapsed().as_secs() < 5);
    }
}

#[tokio::test]
async fn a_poll_has_as_many_events_as_were_asked_for_and_says_that_there_are_more() {
    for house in houses_alone("ssf_more").await {
        let (pool, receiver) = given(&house).await;
        let stream = receiver.creates(poll_stream()).await;
        for _ in 0..5 {
            sign_out(&house, &pool, "ann").await;
        }
        expands(&house).await;
        let (mut seen, mut ack) = (0, Vec::new());
        for (most, more) in [(2, true), (2, true), (2, false)] {
            let answer = receiver
                .polls(&stream, json!({ "maxEvents": most, "ack": ack, "returnImmediately": true }))
                .await;
            let sets = answer["sets"].as_object().unwrap();
            assert_eq!(answer.get("moreAvailable").is_some(), more, "{answer}");
            ack = sets.keys().cloned().collect();
            seen += sets.len();
        }
        assert_eq!(seen, 5);
    }
}

#[tokio::test]
async fn each_end_is_told_in_the_words_of_caep_and_risc() {
    for house in houses_alone("ssf_words").await {
        let (pool, receiver) = given(&house).await;
        let client = house.client(&pool, json!({})).await;
        let stream = receiver.creates(poll_stream()).await;
        let read = async || {
            expands(&house).await;
            let found = receiver.reads(&stream).await;
            let ack: Vec<_> = found.iter().map(|(jti, _)| jti.clone()).collect();
            receiver.polls(&stream, json!({ "ack": ack, "maxEvents": 0 })).await;
            found.into_iter().map(|(_, claims)| claims).collect::<Vec<_>>()
        };
        let tokens = house.signs_in(&client, "ann").await;
        let input = json!({ "ClientId": client, "Token": tokens["RefreshToken"] });
        house.ok("RevokeToken", input).await;
        let found = read().await;
        let parsed = tokens["AccessToken"].as_str().unwrap().split('.').nth(1).unwrap();
        let parsed = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, parsed);
        let parsed: Value = serde_json::from_slice(&parsed.unwrap()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(events(&found[0]), [format!("{CAEP}/session-revoked")]);
        assert_eq!(
            found[0]["sub_id"]["session"],
            json!({ "format": "opaque", "id": parsed["origin_jti"] })
        );
        assert_eq!(found[0]["sub_id"]["user"]["sub"], parsed["sub"]);

        let names = |found: &[Map<String, Value>]| {
            let mut names: Vec<String> = found.iter().flat_map(events).map(str::to_owned).collect();
            names.sort_unstable();
            names
        };
        let user = json!({ "UserPoolId": pool, "Username": "ann" });
        let mut password = user.clone();
        merge(&mut password, json!({ "Password": "Another-horse-9", "Permanent": true }));
        house.ok("AdminSetUserPassword", password).await;
        let found = read().await;
        assert_eq!(
            names(&found),
            [format!("{CAEP}/credential-change"), format!("{CAEP}/session-revoked")]
        );
        let changed = found
            .iter()
            .find_map(|claims| claims["events"].get(format!("{CAEP}/credential-change")))
            .unwrap();
        assert_eq!(
            (&changed["credential_type"], &changed["change_type"]),
            (&json!("password"), &json!("update"))
        );
        house.ok("AdminDisableUser", user.clone()).await;
        let found = read().await;
        assert_eq!(
            names(&found),
            [format!("{CAEP}/session-revoked"), format!("{RISC}/account-disabled")]
        );
        assert_eq!(found[0]["txn"], found[1]["txn"]);
        assert_ne!(found[0]["jti"], found[1]["jti"]);
        house.ok("AdminDeleteUser", user).await;
        assert_eq!(
            names(&read().await),
            [format!("{CAEP}/session-revoked"), format!("{RISC}/account-purged")]
        );
    }
}

#[tokio::test]
async fn an_event_that_was_not_taken_is_pushed_again_under_the_same_jti() {
    for house in houses_alone("ssf_push").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        let stream = receiver
            .creates(json!({ "delivery": { "method": PUSH, "endpoint_url": format!("{}/events", there.url),
                "authorization_header": "Bearer s3cret" } }))
            .await;
        assert!(!stream.to_string().contains("s3cret"), "{stream}");
        there.does("/events", Behaviour::Status(503));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        house.advance(10 * SECOND);
        works(&house).await;
        there.does("/events", Behaviour::Status(202));
        house.advance(10 * SECOND);
        works(&house).await;
        let told = there.asked("/events");
        assert!(told.len() >= 3, "{}", told.len());
        assert!(told.iter().all(|asked| asked.body == told[0].body), "to the letter");
        assert_eq!(told[0].headers["content-type"], "application/secevent+jwt");
        assert_eq!(told[0].headers["accept"], "application/json");
        assert_eq!(told[0].headers["authorization"], "Bearer s3cret");
        let claims = pushed(&house, &pool, &told[0]).await;
        assert_eq!(events(&claims), [format!("{CAEP}/session-revoked")]);
        assert_eq!(states(&house, &pool).await, ["done"]);
        // 400 is the receiver's last word.
        there.does("/events", Behaviour::Status(400));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done", "dead"]);
        // A secret is for the address that it was given with.
        let moved = json!({ "stream_id": stream["stream_id"],
            "delivery": { "method": PUSH, "endpoint_url": format!("{}/elsewhere", there.url) } });
        assert_eq!(receiver.asks("PATCH", "/ssf/streams", moved).await.status, 200);
        there.does("/elsewhere", Behaviour::Status(202));
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let told = there.asked("/elsewhere");
        assert!(
            !told.is_empty()
                && told.iter().all(|asked| !asked.headers.contains_key("authorization"))
        );
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
async fn a_stream_of_another_pool_is_told_nothing() {
    for house in houses_alone("ssf_pools").await {
        let (pool, receiver) = given(&house).await;
        let (elsewhere, far) = given(&house).await;
        let (here, there) =
            (receiver.creates(poll_stream()).await, far.creates(poll_stream()).await);
        sign_out(&house, &elsewhere, "ann").await;
        expands(&house).await;
        assert_eq!(receiver.reads(&here).await, []);
        assert_eq!(far.reads(&there).await.len(), 1);
        assert_eq!(states(&house, &pool).await, [""; 0]);
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
async fn what_happens_while_a_stream_is_paused_is_told_when_it_goes_on() {
    for house in houses_alone("ssf_pause").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(202));
        let push = json!({ "delivery": { "method": PUSH, "endpoint_url": format!("{}/events", there.url) } });
        let (pushed, polled) =
            (receiver.creates(push).await, receiver.creates(poll_stream()).await);
        let set = async |stream: &Value, status: &str| {
            let body =
                json!({ "stream_id": stream["stream_id"], "status": status, "reason": "at night" });
            let answer = receiver.asks("POST", "/ssf/status", body).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.json()["status"], status);
            let path = format!("/ssf/status?stream_id={}", stream["stream_id"].as_str().unwrap());
            assert_eq!(receiver.asks("GET", &path, json!({})).await.json()["reason"], "at night");
        };
        for stream in [&pushed, &polled] {
            set(stream, "paused").await;
        }
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(there.asked("/events").len(), 0);
        assert_eq!(receiver.reads(&polled).await, []);
        assert_eq!(states(&house, &pool).await, ["held", "held"]);
        for stream in [&pushed, &polled] {
            set(stream, "enabled").await;
        }
        works(&house).await;
        assert_eq!(there.asked("/events").len(), 1);
        assert_eq!(receiver.reads(&polled).await.len(), 1);
        // What happens while it is disabled is not told.
        set(&pushed, "disabled").await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        set(&pushed, "enabled").await;
        works(&house).await;
        assert_eq!(there.asked("/events").len(), 1);
    }
}

#[tokio::test]
async fn a_stream_that_nobody_reads_pauses_says_so_and_loses_nothing() {
    for house in houses_alone("ssf_unread").await {
        let (pool, mut receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(503));
        let push = json!({ "delivery": { "method": PUSH, "endpoint_url": format!("{}/events", there.url) } });
        let (pushed, polled) =
            (receiver.creates(push).await, receiver.creates(poll_stream()).await);
        sign_out(&house, &pool, "ann").await;
        for _ in 0..11 {
            works(&house).await;
            house.advance(2 * HOUR);
        }
        works(&house).await;
        receiver.gets_token().await;
        let status = async |receiver: &Receiver<'_>, stream: &Value| {
            let path = format!("/ssf/status?stream_id={}", stream["stream_id"].as_str().unwrap());
            receiver.asks("GET", &path, json!({})).await.json()
        };
        assert_eq!(status(&receiver, &pushed).await["status"], "paused");
        assert_eq!(status(&receiver, &polled).await["status"], "enabled");
        house.advance(7 * DAY);
        receiver.gets_token().await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let said = status(&receiver, &polled).await;
        assert_eq!(
            (&said["status"], &said["reason"]),
            (&json!("paused"), &json!("Nobody has polled it for seven days."))
        );
        let found = receiver.reads(&polled).await;
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].1["events"][format!("{SSF}/stream-updated")]["status"], "paused");
        there.does("/events", Behaviour::Status(202));
        let before = there.asked("/events").len();
        for stream in [&pushed, &polled] {
            let body = json!({ "stream_id": stream["stream_id"], "status": "enabled" });
            assert_eq!(receiver.asks("POST", "/ssf/status", body).await.status, 200);
        }
        for _ in 0..4 {
            works(&house).await;
            house.advance(10 * SECOND);
        }
        // Two sign-outs each, and what is about the stream itself.
        assert_eq!(receiver.reads(&polled).await.len(), 3);
        let told = &there.asked("/events")[before..];
        let mut told_of = std::collections::BTreeSet::new();
        for asked in told {
            let claims = crate::ssf::pushed(&house, &pool, asked).await;
            if events(&claims) == [format!("{CAEP}/session-revoked")] {
                told_of.insert(claims["txn"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(told_of.len(), 2);
        // What is old does not pause it again before its receiver can have fetched it.
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        assert_eq!(status(&receiver, &polled).await["status"], "enabled");
        assert_eq!(receiver.reads(&polled).await.len(), 4);
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_client() {
    for house in houses_alone("ssf_client_gone").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(503));
        let push = json!({ "delivery": { "method": PUSH, "endpoint_url": format!("{}/events", there.url) } });
        receiver.creates(push).await;
        receiver.creates(poll_stream()).await;
        sign_out(&house, &pool, "ann").await;
        works(&house).await;
        let client = json!({ "UserPoolId": pool, "ClientId": receiver.client.0 });
        house.ok("DeleteUserPoolClient", client).await;
        there.does("/events", Behaviour::Status(202));
        let before = there.asked("/events").len();
        sign_out(&house, &pool, "ann").await;
        house.advance(MINUTE);
        works(&house).await;
        assert_eq!(there.asked("/events").len(), before, "{}", house.url);
        ssf::tend(Cx::system(house.app.clone())).await.unwrap();
        let mut states = states(&house, &pool).await;
        states.sort_unstable();
        assert_eq!(states, ["dead", "not_possible"]);
    }
}

#[tokio::test]
async fn what_was_held_while_its_stream_was_enabled_or_deleted_is_not_forgotten() {
    for house in houses_alone("ssf_tend").await {
        let (pool, receiver) = given(&house).await;
        let there = Provider::start().await;
        there.does("/events", Behaviour::Status(202));
        let push = json!({ "delivery": { "method": PUSH, "endpoint_url": format!("{}/events", there.url) } });
        let (_, polled, gone) = (
            receiver.creates(push).await,
            receiver.creates(poll_stream()).await,
            receiver.creates(poll_stream()).await,
        );
        sign_out(&house, &pool, "ann").await;
        expands(&house).await;
        let delete = format!("/ssf/streams?stream_id={}", gone["stream_id"].as_str().unwrap());
        assert_eq!(receiver.asks("DELETE", &delete, json!({})).await.status, 204);
        // As a worker writes it that read the streams just before.
        let mut batch = Batch::new();
        let sql = "UPDATE deliveries SET state = 'held', done_ms = NULL WHERE pool_id = ?1";
        batch.any(Rank::Job, sql, cenote::params![pool.as_str()]);
        house.app.db.commit(batch).await.unwrap();
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["held"; 3]);
        ssf::tend(Cx::system(house.app.clone())).await.unwrap();
        works(&house).await;
        let mut states = states(&house, &pool).await;
        states.sort_unstable();
        assert_eq!(states, ["done", "held", "not_possible"], "{}", house.url);
        assert_eq!(there.asked("/events").len(), 1);
        assert_eq!(receiver.reads(&polled).await.len(), 1);
    }
}

#[tokio::test]
async fn what_was_held_for_a_stream_of_a_deleted_pool_says_that_the_pool_is_gone() {
    for house in houses_alone("ssf_pool_gone").await {
        for is_purged in [false, true] {
            let (pool, receiver) = given(&house).await;
            receiver.creates(poll_stream()).await;
            sign_out(&house, &pool, "ann").await;
            expands(&house).await;
            house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
            if is_purged {
                expands(&house).await;
                purge::run(&house.app.db, NOW).await.unwrap();
            }
            ssf::tend(Cx::system(house.app.clone())).await.unwrap();
            let all = deliveries::list(&house.app.db, &pool, Filter::default(), None, 10).await;
            let held = &all.unwrap()[0];
            assert_eq!(
                (held.state.as_str(), held.detail.as_str()),
                ("not_possible", "The user pool was deleted, and its keys with it."),
                "{}",
                house.url
            );
        }
    }
}
