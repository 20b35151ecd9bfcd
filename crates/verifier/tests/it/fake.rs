//! A server that speaks the feed's format, for tests: it can be away, lie, cut off, replay, and forget. Also used by the gate's tests.
#![allow(dead_code, reason = "each of the test binaries uses a part of it")]

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use cenote_verifier::format::{Entry, Kind, Record, chain, chain_start, encode};
use serde_json::{Value, json};
use tokio::sync::Notify;

pub const POOL: &str = "eu-west-1_Ab3dEf9Gh";
pub const SUB: &str = "b3f1c0de-0000-4000-8000-000000000001";
pub const CLIENT: &str = "1h57kf5cpq17m0eml12example";
pub const SECRET: &str = "a secret with : and % and +";
const HOUR: u64 = 3_600_000;

#[derive(Clone)]
pub struct Fake(Arc<Inner>);

struct Inner {
    pub issuer: Mutex<String>,
    state: Mutex<Inside>,
    news: Notify,
    counts: Mutex<HashMap<&'static str, u64>>,
    unique: AtomicU64,
}

pub struct Inside {
    pub incarnation: String,
    pub records: Vec<Record>,
    /// Answers 503 to everything.
    pub away: bool,
    /// Answers 503 to questions about the feed only.
    pub feed_away: bool,
    /// Accepts questions about the feed and never answers.
    pub hangs: bool,
    /// Holds each question back for so long.
    pub holds_ms: u64,
    /// Never answers those who know this many records or more.
    pub hangs_from: usize,
    /// Answers deltas of a position that it has not with 410 instead of a wrong frame.
    pub forgets_before: usize,
    /// What is done to each payload of a delta before it is signed, and to each frame afterwards.
    pub payload: Option<fn(&mut Value)>,
    pub frame: Option<fn(String) -> String>,
    pub feed_key: (String, [u8; 32]),
    /// What the key set shows in its place.
    pub shown_feed_key: Option<(String, [u8; 32])>,
    pub feed_jwks_lies: bool,
    pub token_keys: Vec<(String, &'static [u8])>,
    /// Tokens that introspection calls inactive.
    pub inactive: Vec<String>,
    /// The pool is gone, and with it its app clients; the feed ends with its last record.
    pub gone: bool,
    /// Answers 429 to deltas, and asks for this wait.
    pub retry_after: Option<u64>,
    pub introspects: bool,
    /// The query of the last delta.
    pub asked: HashMap<String, String>,
    pub now_ms: fn() -> u64,
}

pub fn wall_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as u64
}

pub const RSA: [&[u8]; 3] = [
    include_bytes!("../../../../tests/fixtures/rsa-1.pkcs8.der"),
    include_bytes!("../../../../tests/fixtures/rsa-2.pkcs8.der"),
    include_bytes!("../../../../tests/fixtures/rsa-3.pkcs8.der"),
];

impl Fake {
    pub async fn start() -> Fake {
        let fake = Fake::bind("127.0.0.1:0").await;
        let _ = rustls::crypto::aws_lc_rs::default_provider();
        fake
    }

    async fn bind(address: &str) -> Fake {
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let issuer = format!("http://{}/{POOL}", listener.local_addr().unwrap());
        let fake = Fake(Arc::new(Inner {
            issuer: Mutex::new(issuer),
            state: Mutex::new(Inside {
                incarnation: "q80B7y9hS0ugkCxVZ4mKNw".into(),
                records: Vec::new(),
                away: false,
                feed_away: false,
                hangs: false,
                holds_ms: 0,
                hangs_from: usize::MAX,
                forgets_before: 0,
                payload: None,
                frame: None,
                feed_key: ("feed-1".into(), [0x42; 32]),
                shown_feed_key: None,
                feed_jwks_lies: false,
                token_keys: vec![("key-1".into(), RSA[0])],
                inactive: Vec::new(),
                gone: false,
                retry_after: None,
                introspects: true,
                asked: HashMap::new(),
                now_ms: wall_ms,
            }),
            news: Notify::new(),
            counts: Mutex::default(),
            unique: AtomicU64::new(1),
        }));
        let routes = Router::new()
            .route("/{pool}/.well-known/openid-configuration", get(discovery))
            .route("/{pool}/.well-known/jwks.json", get(jwks))
            .route("/{pool}/.well-known/revocation-jwks.json", get(feed_jwks))
            .route("/{pool}/revocations/snapshot", get(snapshot))
            .route("/{pool}/revocations/delta", get(delta))
            .route("/{pool}/oauth2/token", post(token))
            .route("/{pool}/oauth2/introspect", post(introspect))
            .with_state(fake.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        fake
    }

    pub fn issuer(&self) -> String {
        self.0.issuer.lock().unwrap().clone()
    }

    pub fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.state.lock().unwrap()
    }

    /// How often an endpoint was asked.
    pub fn count(&self, of: &str) -> u64 {
        self.0.counts.lock().unwrap().get(of).copied().unwrap_or(0)
    }

    fn counted(&self, of: &'static str) {
        *self.0.counts.lock().unwrap().entry(of).or_default() += 1;
    }

    pub fn ends(&self, kind: Kind, id: &str, not_before_ms: u64) {
        self.ends_until(kind, id, not_before_ms, wall_ms() + HOUR);
    }

    pub fn ends_until(&self, kind: Kind, id: &str, not_before_ms: u64, drop_after_ms: u64) {
        let entry = Entry { key: kind.key16(POOL, id), not_before_ms, drop_after_ms };
        self.inside().records.push(Record { kind: kind.letter() as u8, entry });
        self.0.news.notify_waiters();
    }

    /// An access token of a new session, born now.
    pub fn signs_in(&self) -> String {
        let session = self.session(wall_ms());
        self.token(&session, |_| {})
    }

    pub fn session(&self, birth_ms: u64) -> String {
        let n = self.0.unique.fetch_add(1, SeqCst);
        let [_, _, m @ ..] = birth_ms.to_be_bytes();
        let tail = [[0x70, 1, 0x80, 1].as_slice(), &[0; 0], &n.to_be_bytes()[2..]].concat();
        uuid::Uuid::from_slice(&[m.as_slice(), &tail].concat()).unwrap().to_string()
    }

    /// An access token of a session; its claims may be changed.
    pub fn token(&self, session: &str, change: impl FnOnce(&mut Value)) -> String {
        let now = wall_ms() / 1_000;
        let mut claims = json!({
            "sub": SUB, "iss": self.issuer(), "client_id": CLIENT, "origin_jti": session, "event_id": session,
            "token_use": "access", "scope": "openid orders/read", "exp": now + 3_600, "iat": now,
            "jti": format!("5c8d6c1e-4b1f-4f0e-9a55-{:012x}", self.0.unique.fetch_add(1, SeqCst)), "username": "ann",
        });
        change(&mut claims);
        let (kid, pkcs8) = self.inside().token_keys.last().unwrap().clone();
        sign(&kid, pkcs8, &claims)
    }
}

pub fn sign(kid: &str, pkcs8: &[u8], claims: &Value) -> String {
    let header = json!({ "kid": kid, "alg": "RS256" });
    let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let pair = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    format!("{signed}.{}", encode(signature))
}

impl Inside {
    fn sign(&self, typ: &str, payload: &Value) -> String {
        let (kid, seed) = &self.feed_key;
        let header = json!({ "alg": "EdDSA", "kid": kid, "typ": typ });
        let signed = format!("{}.{}", encode(header.to_string()), encode(payload.to_string()));
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).unwrap();
        format!("{signed}.{}", encode(pair.sign(signed.as_bytes())))
    }

    fn h(&self, seq: usize) -> String {
        let start = chain_start(POOL, &self.incarnation);
        encode(self.records[..seq].iter().fold(start, |h, record| chain(&h, record)))
    }

    fn delta(&self, since: usize, nonce: &str) -> String {
        let to = self.records.len().min(since + 1_000);
        let lines = self.records[since..to].iter().map(|record| {
            let Entry { key, not_before_ms, drop_after_ms } = record.entry;
            json!([char::from(record.kind).to_string(), encode(key), not_before_ms, drop_after_ms])
        });
        let mut payload = json!({
            "v": 1, "pool": POOL, "incarnation": self.incarnation, "iat": (self.now_ms)(), "nonce": nonce,
            "from": since, "to": to, "h_before": self.h(since), "h_after": self.h(to), "e": lines.collect::<Value>(),
        });
        if let Some(change) = self.payload {
            change(&mut payload);
        }
        let frame = self.sign("revfeed+jwt", &payload);
        match self.frame {
            Some(change) => change(frame),
            None => frame,
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let table = cenote_verifier::format::Table::new();
        // What is over goes ten minutes later, by this server's clock.
        let lives = |entry: &Entry| entry.drop_after_ms + 600_000 > (self.now_ms)();
        table.add(self.records.iter().map(|record| record.entry).filter(lives));
        let lines = table.entries().iter().flat_map(|entry| entry.to_bytes()).collect::<Vec<_>>();
        let n = (lines.len() / 32) as u64;
        let seq = self.records.len();
        let mut payload = json!({
            "v": 1, "pool": POOL, "incarnation": self.incarnation, "iat": (self.now_ms)(), "seq": seq,
            "h": self.h(seq), "n": n, "sha256": encode([0; 32]),
        });
        let length = self.sign("revsnap+jwt", &payload).len() as u32;
        let head = [b"CNTRVF\0\x01".as_slice(), &n.to_be_bytes(), &length.to_be_bytes(), &[0; 12]]
            .concat();
        let bytes = [head, lines].concat();
        payload["sha256"] = json!(encode(digest(&SHA256, &bytes)));
        [bytes, self.sign("revsnap+jwt", &payload).into_bytes()].concat()
    }
}

fn refused(status: StatusCode, error: &str) -> Response {
    (status, json!({ "error": error, "error_description": "by the fake" }).to_string())
        .into_response()
}

fn away(fake: &Fake) -> Option<Response> {
    fake.inside().away.then(|| refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"))
}

fn may(fake: &Fake, headers: &HeaderMap) -> Option<Response> {
    let inside = fake.inside();
    if inside.away || inside.feed_away {
        return Some(refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable"));
    }
    let bearer = cenote_verifier::bearer(headers);
    (bearer != Some("for the feed")).then(|| refused(StatusCode::UNAUTHORIZED, "invalid_token"))
}

async fn discovery(State(fake): State<Fake>) -> Response {
    fake.counted("discovery");
    if let Some(away) = away(&fake) {
        return away;
    }
    let issuer = fake.issuer();
    json!({
        "issuer": issuer, "token_endpoint": format!("{issuer}/oauth2/token"),
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "introspection_endpoint": format!("{issuer}/oauth2/introspect"),
        "revocation_feed_endpoint": format!("{issuer}/revocations"),
        "revocation_feed_jwks_uri": format!("{issuer}/.well-known/revocation-jwks.json"),
    })
    .to_string()
    .into_response()
}

async fn jwks(State(fake): State<Fake>) -> Response {
    fake.counted("jwks");
    if let Some(away) = away(&fake) {
        return away;
    }
    let keys = fake.inside().token_keys.clone();
    let keys = keys.iter().map(|(kid, pkcs8)| {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
        let (n, e) = (pair.public_key().modulus(), pair.public_key().exponent());
        let (n, e) = (n.big_endian_without_leading_zero(), e.big_endian_without_leading_zero());
        json!({ "kty": "RSA", "n": encode(n), "e": encode(e), "kid": kid, "use": "sig", "alg": "RS256" })
    });
    json!({ "keys": keys.collect::<Value>() }).to_string().into_response()
}

async fn feed_jwks(State(fake): State<Fake>) -> Response {
    fake.counted("feed_jwks");
    if let Some(away) = away(&fake) {
        return away;
    }
    let inside = fake.inside();
    let (kid, seed) = inside.shown_feed_key.as_ref().unwrap_or(&inside.feed_key);
    let seed = if inside.feed_jwks_lies { [1; 32] } else { *seed };
    let x = encode(Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().public_key());
    json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "use": "sig", "alg": "EdDSA" }] })
        .to_string()
        .into_response()
}

async fn snapshot(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    fake.counted("snapshot");
    if let Some(no) = may(&fake, &headers) {
        return no;
    }
    fake.inside().snapshot().into_response()
}

async fn delta(
    State(fake): State<Fake>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    fake.counted("delta");
    let since: usize = query["since"].parse().unwrap();
    if fake.inside().gone {
        let inside = fake.inside();
        return match since < inside.records.len() {
            true => inside.delta(since, &query["nonce"]).into_response(),
            false => refused(StatusCode::NOT_FOUND, "not_found"),
        };
    }
    if let Some(no) = may(&fake, &headers) {
        return no;
    }
    if let Some(secs) = fake.inside().retry_after {
        let mut response = refused(StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable");
        response.headers_mut().insert("retry-after", secs.into());
        return response;
    }
    let wait: u64 = query["wait"].parse().unwrap();
    let (nonce, incarnation) = (query["nonce"].clone(), query["incarnation"].clone());
    fake.inside().asked = query;
    let hangs = {
        let inside = fake.inside();
        inside.hangs || since >= inside.hangs_from
    };
    if hangs {
        std::future::pending::<()>().await;
    }
    let holds_ms = fake.inside().holds_ms;
    tokio::time::sleep(Duration::from_millis(holds_ms)).await;
    let news = fake.0.news.notified();
    let has_news = || fake.inside().records.len() > since;
    if !has_news() {
        // A fifth of what was asked for: the tests wait for many heartbeats.
        let _ = tokio::time::timeout(Duration::from_millis(wait * 200), news).await;
    }
    if let Some(no) = may(&fake, &headers) {
        return no;
    }
    let inside = fake.inside();
    if inside.incarnation != incarnation
        || since > inside.records.len()
        || since < inside.forgets_before
    {
        return refused(StatusCode::GONE, "snapshot_required");
    }
    inside.delta(since, &nonce).into_response()
}

async fn token(State(fake): State<Fake>, headers: HeaderMap) -> Response {
    fake.counted("token");
    if let Some(away) = away(&fake) {
        return away;
    }
    if !is_client(&headers) || fake.inside().gone {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    json!({ "access_token": "for the feed", "expires_in": 3_600, "token_type": "Bearer" })
        .to_string()
        .into_response()
}

fn is_client(headers: &HeaderMap) -> bool {
    use base64::Engine as _;
    let id_and_secret = format!("{CLIENT}:a+secret+with+%3A+and+%25+and+%2B");
    let basic = format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(id_and_secret));
    headers.get("authorization").is_some_and(|own| *own == basic)
}

async fn introspect(State(fake): State<Fake>, headers: HeaderMap, body: String) -> Response {
    fake.counted("introspect");
    let inside = fake.inside();
    if inside.away || !inside.introspects {
        return refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
    }
    if !is_client(&headers) {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let token = body.strip_prefix("token=").unwrap_or_default();
    json!({ "active": !inside.inactive.iter().any(|own| own == token) }).to_string().into_response()
}
