//! A receiver of event streams: it makes and reads them as the Shared Signals Framework says, and verifies what it is told.

use axum::body::Body;
use axum::http::Request;
use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::keys::foreign::{self, Jwks};
use cenote::store::deliveries::{self, Filter};
use serde_json::{Map, Value, json};

use crate::house::{Answer, House};
use crate::oauth_machine::{machine, token};
use crate::provider::Asked;

pub const CAEP: &str = "https://schemas.openid.net/secevent/caep/event-type";
pub const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type";
pub const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type";
pub const PUSH: &str = "urn:ietf:rfc:8935";
pub const POLL: &str = "urn:ietf:rfc:8936";

/// A receiver: its client in a pool.
pub struct Receiver<'a> {
    pub house: &'a House,
    pub pool: String,
    pub client: (String, String),
    pub token: String,
}

impl<'a> Receiver<'a> {
    pub async fn with(house: &'a House, pool: &str, scopes: &[&str]) -> Receiver<'a> {
        let client = machine(house, pool, scopes).await;
        let mut receiver = Receiver { house, pool: pool.to_owned(), client, token: String::new() };
        receiver.gets_token().await;
        receiver
    }

    pub async fn new(house: &'a House, pool: &str) -> Receiver<'a> {
        Receiver::with(house, pool, &["ssf.manage"]).await
    }

    pub async fn gets_token(&mut self) {
        let basic = (self.client.0.as_str(), self.client.1.as_str());
        let answer = token(self.house, &self.pool, basic, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        self.token = answer.json()["access_token"].as_str().unwrap().to_owned();
    }

    pub async fn asks(&self, verb: &str, path: &str, body: Value) -> Answer {
        asks(self.house, &self.pool, &self.token, verb, path, body.to_string()).await
    }

    pub async fn creates(&self, body: Value) -> Value {
        let answer = self.asks("POST", "/ssf/streams", body).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()
    }

    pub async fn polls(&self, stream: &Value, body: Value) -> Value {
        let path = format!("/ssf/poll/{}", stream["stream_id"].as_str().unwrap());
        let answer = self.asks("POST", &path, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// What there is now: each event with its `jti`.
    pub async fn reads(&self, stream: &Value) -> Vec<(String, Map<String, Value>)> {
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

pub async fn asks(
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
pub async fn verified(house: &House, pool: &str, set: &str) -> Map<String, Value> {
    let keys = asks(house, pool, "", "GET", "/.well-known/jwks.json", String::new()).await;
    let parsed = foreign::parse(set).unwrap();
    assert_eq!(parsed.typ.as_deref(), Some("secevent+jwt"));
    parsed.verify(&Jwks::parse(&keys.body).unwrap()).unwrap()
}

pub async fn sign_out(house: &House, pool: &str, name: &str) -> String {
    let input = json!({ "UserPoolId": pool, "Username": name });
    let answer = house.call("AdminUserGlobalSignOut", input).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.header("x-cenote-signout").to_owned()
}

pub async fn expands(house: &House) {
    expand::run_once(Cx::system(house.app.clone())).await.unwrap();
}

/// Everything that is due now.
pub async fn works(house: &House) {
    for _ in 0..3 {
        expands(house).await;
        for turn in work::begin(&Cx::system(house.app.clone())).await.unwrap() {
            turn.await.unwrap();
        }
    }
}

pub async fn states(house: &House, pool: &str) -> Vec<&'static str> {
    let all = deliveries::list(&house.app.db, pool, Filter::default(), None, 1_000).await.unwrap();
    all.iter().rev().map(|delivery| delivery.state.as_str()).collect()
}

pub fn events(claims: &Map<String, Value>) -> Vec<&str> {
    claims["events"].as_object().unwrap().keys().map(String::as_str).collect()
}

pub async fn pushed(house: &House, pool: &str, asked: &Asked) -> Map<String, Value> {
    verified(house, pool, &asked.body).await
}

/// A pool with ann, and a receiver.
pub async fn given(house: &House) -> (String, Receiver<'_>) {
    let pool = house.pool(json!({})).await;
    house.user(&pool, "ann").await;
    let receiver = Receiver::new(house, &pool).await;
    (pool, receiver)
}

pub fn poll_stream() -> Value {
    json!({ "delivery": { "method": POLL } })
}

/// A stream that is pushed to this address.
pub fn push_stream(url: &str) -> Value {
    json!({ "delivery": { "method": PUSH, "endpoint_url": url } })
}
