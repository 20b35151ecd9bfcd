//! The revocation feed: what a verifier gets at `delta`, and who gets nothing. Frames are verified here by code of the tests' own.

#![allow(clippy::disallowed_methods, reason = "what is promised here is promised in real time")]

use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cenote::app;
use cenote::store::{Batch, feed};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::house::{Answer, House, PASSWORD, houses, houses_alone, pause};
use crate::oauth_machine::{machine, post, token};
use crate::resource_servers::server;
use crate::sequencer::{link, number, sha256};

/// A server whose workers run, as they do in a real one.
pub struct Awake {
    _stop: watch::Sender<bool>,
    _workers: JoinSet<()>,
}

pub fn awake(house: &House) -> Awake {
    let (stop, stopped) = watch::channel(false);
    Awake { _stop: stop, _workers: app::workers(&house.app, stopped) }
}

/// A verifier: its token, and how far it has come.
pub struct Verifier {
    pub pool: String,
    pub token: String,
    pub incarnation: String,
    pub seq: i64,
    pub h: Vec<u8>,
    nonces: u32,
}

pub fn decode(text: &Value) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()
}

/// A token with the feed's scope.
pub async fn feed_token(house: &House, pool: &str) -> String {
    let (id, secret) = machine(house, pool, &["revocations/read"]).await;
    let answer = token(house, pool, (&id, &secret), &[]).await;
    answer.json()["access_token"].as_str().unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
}

pub fn ask(path: &str, token: Option<&str>) -> axum::http::request::Builder {
    let request = Request::get(path).header("host", "localhost:9229");
    match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    }
}

pub async fn get(house: &House, path: &str, token: Option<&str>) -> Answer {
    house.send(ask(path, token).body(Body::empty()).unwrap()).await
}

/// Who is refused, and how: status and code.
pub async fn refused(house: &House, path: &str, token: Option<&str>) -> (u16, String) {
    let answer = get(house, path, token).await;
    let body = answer.json();
    assert!(body["error_description"].as_str().is_some_and(|text| text.len() > 20), "{body}");
    (answer.status.as_u16(), body["error"].as_str().unwrap().to_owned())
}

pub fn gone() -> (u16, String) {
    (410, "snapshot_required".to_owned())
}

/// The payload of a JWS that one of the pool's feed keys signed.
pub async fn verified(house: &House, pool: &str, typ: &str, jws: &str) -> Value {
    let keys = get(house, &format!("/{pool}/.well-known/revocation-jwks.json"), None).await.json();
    let parts: Vec<&str> = jws.split('.').collect();
    let header: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
    assert_eq!((&header["alg"], &header["typ"]), (&json!("EdDSA"), &json!(typ)));
    let key = keys["keys"].as_array().unwrap().iter().find(|key| key["kid"] == header["kid"]);
    let key = key.unwrap_or_else(|| panic!("{} is not in {keys}", header["kid"]));
    assert_eq!((&key["kty"], &key["crv"]), (&json!("OKP"), &json!("Ed25519")));
    let signed = format!("{}.{}", parts[0], parts[1]);
    let signature = BASE64_URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
    UnparsedPublicKey::new(&ED25519, decode(&key["x"]))
        .verify(signed.as_bytes(), &signature)
        .unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
}

impl Verifier {
    /// Begins where the feed is now.
    pub async fn of(house: &House, pool: &str) -> Verifier {
        let token = feed_token(house, pool).await;
        let (sealed, _) = crate::feed_snapshot::snapshot(house, pool, &token).await;
        Verifier {
            pool: pool.to_owned(),
            token,
            incarnation: sealed["incarnation"].as_str().unwrap().to_owned(),
            seq: sealed["seq"].as_i64().unwrap(),
            h: decode(&sealed["h"]),
            nonces: 0,
        }
    }

    pub fn path(&self, more: &str) -> String {
        let Verifier { pool, incarnation, seq, .. } = self;
        format!(
            "/{pool}/revocations/delta?since={seq}&incarnation={incarnation}&consumer=orders-1{more}"
        )
    }

    pub async fn asks(&mut self, house: &House, wait: u32) -> Answer {
        self.nonces += 1;
        let path = self.path(&format!("&nonce=nonce-of-the-test-{}&wait={wait}", self.nonces));
        get(house, &path, Some(&self.token)).await
    }

    /// Asks, checks the answer in every way that the format names, and goes on from there. The records.
    pub async fn learns(&mut self, house: &House, wait: u32) -> Vec<Value> {
        let answer = self.asks(house, wait).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/revfeed+jwt");
        assert_eq!(answer.header("cache-control"), "no-store");
        let nonce = format!("nonce-of-the-test-{}", self.nonces);
        self.applies(house, &answer.body, Some(&nonce)).await
    }

    pub async fn applies(&mut self, house: &House, frame: &str, nonce: Option<&str>) -> Vec<Value> {
        let said = verified(house, &self.pool, "revfeed+jwt", frame).await;
        assert_eq!((&said["v"], &said["pool"]), (&json!(1), &json!(self.pool)));
        assert_eq!(said["nonce"].as_str(), nonce);
        assert_eq!(said["incarnation"], json!(self.incarnation));
        assert_eq!((&said["from"], decode(&said["h_before"])), (&json!(self.seq), self.h.clone()));
        let records = said["e"].as_array().unwrap().clone();
        for e in &records {
            let (kind, key) = (e[0].as_str().unwrap(), decode(&e[1]));
            self.h = link(&self.h, kind, &key, e[2].as_u64().unwrap(), e[3].as_u64().unwrap());
            self.seq += 1;
        }
        assert_eq!((&said["to"], decode(&said["h_after"])), (&json!(self.seq), self.h.clone()));
        records
    }
}

pub fn key16(kind: &str, pool: &str, id: &str) -> String {
    let hash = sha256(format!("{kind}\0{pool}\0{id}").as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash[..16])
}

pub async fn signs_out(house: &House, pool: &str, name: &str) {
    house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": name })).await;
}

/// What consumers have acknowledged, once it is written.
async fn consumers(house: &House, pool: &str) -> Vec<feed::Consumer> {
    for _ in 0..40 {
        pause().await;
    }
    feed::consumers(&house.app.db, pool).await.unwrap()
}

/// As after a restore.
pub async fn begins_anew(house: &House, pool: &str) {
    let mut batch = Batch::new();
    feed::new_incarnation(&mut batch, pool, "AAAAAAAAAAAAAAAAAAAAAA");
    house.app.db.commit(batch).await.unwrap();
}

#[tokio::test]
async fn a_sign_out_reaches_a_verifier_that_waits_within_a_moment() {
    for house in houses_alone("feed_latency").await {
        let _awake = awake(&house);
        let pool = house.pool(json!({})).await;
        let sub = house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        let mut took = Vec::new();
        for _ in 0..10 {
            let path = verifier.path("&nonce=nonce-of-the-test&wait=2");
            let request = ask(&path, Some(&verifier.token)).body(Body::empty()).unwrap();
            let (answer, ended) = tokio::join!(
                async {
                    let answer = house.send(request).await;
                    (answer, Instant::now())
                },
                async {
                    // Until it surely waits.
                    pause().await;
                    pause().await;
                    signs_out(&house, &pool, "ann").await;
                    Instant::now()
                }
            );
            let (answer, learned) = answer;
            took.push(learned.saturating_duration_since(ended));
            let records = verifier.applies(&house, &answer.body, Some("nonce-of-the-test")).await;
            assert_eq!(records.len(), 1);
            assert_eq!(records[0][1], key16("U", &pool, &sub));
        }
        took.sort();
        println!("sign-out answered to frame, {}: {took:?}", house.url);
        assert!(took[5] < Duration::from_millis(250), "{took:?}");
    }
}

#[tokio::test]
async fn every_kind_of_sign_out_is_one_record_and_a_heartbeat_has_none() {
    for house in houses_alone("feed_kinds").await {
        let _awake = awake(&house);
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        assert_eq!(verifier.learns(&house, 0).await, Vec::<Value>::new());
        let tokens = house.signs_in(&client, "ann").await;
        house
            .ok("RevokeToken", json!({ "ClientId": client, "Token": tokens["RefreshToken"] }))
            .await;
        let learned = verifier.learns(&house, 2).await;
        let origin = crate::oauth_machine::claims(&tokens["AccessToken"])["origin_jti"].clone();
        assert_eq!(learned[0][0], "S");
        assert_eq!(learned[0][1], key16("S", &pool, origin.as_str().unwrap()));
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client })).await;
        let learned = verifier.learns(&house, 2).await;
        assert_eq!(
            (&learned[0][0], &learned[0][1]),
            (&json!("C"), &json!(key16("C", &pool, &client)))
        );
    }
}

#[tokio::test]
async fn another_server_learns_of_what_this_one_numbered() {
    for house in houses_alone("feed_nodes").await {
        let node = house.another_node(3_000).await;
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&node, &pool).await;
        let path = verifier.path("&nonce=nonce-of-the-test&wait=2");
        let request = ask(&path, Some(&verifier.token)).body(Body::empty()).unwrap();
        let (answer, ()) = tokio::join!(node.send(request), async {
            pause().await;
            signs_out(&house, &pool, "ann").await;
            number(&house).await;
        });
        let records = verifier.applies(&node, &answer.body, Some("nonce-of-the-test")).await;
        assert_eq!(records.len(), 1, "the other server woke nobody here");
    }
}

#[tokio::test]
async fn many_records_come_in_frames_of_a_thousand_in_one_chain() {
    for house in houses_alone("feed_many").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        signs_out(&house, &pool, "ann").await;
        let mut batch = Batch::new();
        for n in 1..2_300 {
            let sql = "INSERT INTO records (pool_id, signout_id, n, kind, subject, key16, not_before_ms, drop_after_ms, reason, \
                       initiator, origin, txn, committed_ms) SELECT pool_id, signout_id, CAST(?2 AS BIGINT), kind, subject, key16, \
                       not_before_ms, drop_after_ms, reason, initiator, origin, txn, committed_ms FROM records WHERE pool_id = ?1 AND n = 0";
            batch.any(cenote::store::Rank::Record, sql, cenote::params![pool.as_str(), n]);
        }
        house.app.db.commit(batch).await.unwrap();
        number(&house).await;
        for expected in [1_000, 1_000, 300, 0] {
            assert_eq!(verifier.learns(&house, 0).await.len(), expected);
        }
        assert_eq!(verifier.seq, 2_300);
    }
}

#[tokio::test]
async fn nothing_is_called_fresh_while_a_record_waits_for_its_number() {
    for house in houses_alone("feed_late").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        signs_out(&house, &pool, "ann").await;
        let answer = verifier.asks(&house, 0).await;
        assert_eq!(answer.status, 200, "a moment is allowed: {}", answer.body);
        // No worker runs here, so the record goes on waiting while the verifier does.
        let answer = verifier.asks(&house, 1).await;
        assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, "0"));
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
        // Also by the clock, at the first look.
        house.advance(300);
        assert_eq!(verifier.asks(&house, 0).await.status, 503);
        number(&house).await;
        assert_eq!(verifier.learns(&house, 0).await.len(), 1);
    }
}

#[tokio::test]
async fn who_cannot_go_on_is_sent_to_the_snapshot() {
    for house in houses_alone("feed_gone").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let verifier = Verifier::of(&house, &pool).await;
        for _ in 0..4 {
            signs_out(&house, &pool, "ann").await;
        }
        number(&house).await;
        let (token, own) = (Some(verifier.token.as_str()), verifier.incarnation.clone());
        let at = |since: i64, incarnation: &str| {
            format!(
                "/{pool}/revocations/delta?since={since}&incarnation={incarnation}&consumer=a&nonce=nonce-of-the-test&wait=0"
            )
        };
        assert_eq!(refused(&house, &at(5, &own), token).await, gone(), "above the head");
        assert_eq!(refused(&house, &at(0, "BBBBBBBBBBBBBBBBBBBBBB"), token).await, gone());
        let sql = "DELETE FROM records WHERE pool_id = ?1 AND seq = 2";
        let mut batch = Batch::new();
        batch.any(cenote::store::Rank::Record, sql, cenote::params![pool.as_str()]);
        house.app.db.commit(batch).await.unwrap();
        for forgotten in [1, 2] {
            assert_eq!(refused(&house, &at(forgotten, &own), token).await, gone(), "{forgotten}");
        }
        assert_eq!(get(&house, &at(3, &own), token).await.status, 200);
        assert_eq!(get(&house, &at(4, &own), token).await.status, 200);
        begins_anew(&house, &pool).await;
        assert_eq!(refused(&house, &at(4, &own), token).await, gone(), "after a restore");
        assert_eq!(refused(&house, &at(3, "AAAAAAAAAAAAAAAAAAAAAA"), token).await, gone());
        let mut verifier = Verifier::of(&house, &pool).await;
        assert_eq!((verifier.seq, verifier.incarnation.as_str()), (4, "AAAAAAAAAAAAAAAAAAAAAA"));
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        assert_eq!(verifier.learns(&house, 0).await.len(), 1);
    }
}

#[tokio::test]
async fn a_request_that_is_wrong_says_what_is_wrong() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let verifier = Verifier::of(&house, &pool).await;
        let own = &verifier.incarnation;
        let right = format!("since=0&incarnation={own}&consumer=a&nonce=nonce-of-the-test&wait=0");
        for (wrong, says) in [
            (right.replace("since=0&", ""), "since is missing"),
            (right.replace("since=0", "since=-1"), "since must be"),
            (right.replace("since=0", "since=%2B1"), "since must be"),
            (right.replace("since=0", "since=9007199254740992"), "since must be"),
            (right.replace(&format!("incarnation={own}"), "incarnation=x"), "incarnation must be"),
            (right.replace(&format!("&incarnation={own}"), ""), "incarnation is missing"),
            (right.replace("consumer=a", "consumer="), "consumer is missing"),
            (right.replace("consumer=a", "consumer=a%20b"), "consumer must be"),
            (
                right.replace("consumer=a", &format!("consumer={}", "a".repeat(65))),
                "consumer must be",
            ),
            (right.replace("&nonce=nonce-of-the-test", ""), "nonce is missing"),
            (right.replace("nonce=nonce-of-the-test", "nonce=short"), "nonce must be"),
            (
                right.replace("nonce=nonce-of-the-test", "nonce=nonce%22of-the-test"),
                "nonce must be",
            ),
            (
                right.replace("nonce=nonce-of-the-test", &format!("nonce={}", "n".repeat(65))),
                "nonce must be",
            ),
            (right.replace("wait=0", "wait=3"), "wait must be"),
            (right.replace("wait=0", "wait=0.5"), "wait must be"),
            (format!("{right}&policy=maybe"), "policy must be"),
            (format!("{right}&max_staleness=0"), "max_staleness must be"),
            (format!("{right}&since=0"), "repeated"),
            (format!("{right}&x={}", "x".repeat(5_000)), "too long"),
        ] {
            let path = format!("/{pool}/revocations/delta?{wrong}");
            let answer = get(&house, &path, Some(&verifier.token)).await;
            assert_eq!(answer.status, 400, "{wrong}: {}", answer.body);
            let body = answer.json();
            assert_eq!(body["error"], "invalid_request");
            assert!(body["error_description"].as_str().unwrap().contains(says), "{wrong}: {body}");
        }
        let path = format!("/{pool}/revocations/delta?{right}");
        assert_eq!(get(&house, &path, Some(&verifier.token)).await.status, 200);
    }
}

#[tokio::test]
async fn only_a_clients_own_token_of_this_pool_with_the_scope_reads_the_feed() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        server(&house, &pool, "api", &["read"]).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let user = house.signs_in(&client, "ann").await["AccessToken"].as_str().unwrap().to_owned();
        let (id, secret) = machine(&house, &pool, &["api/read", "revocations/read"]).await;
        let granted = |answer: Answer| answer.json()["access_token"].as_str().unwrap().to_owned();
        let without = granted(token(&house, &pool, (&id, &secret), &[("scope", "api/read")]).await);
        let with = granted(token(&house, &pool, (&id, &secret), &[]).await);
        let foreign = feed_token(&house, &other).await;
        let invalid = (401, "invalid_token".to_owned());
        let scope = (403, "insufficient_scope".to_owned());
        for what in ["delta", "snapshot", "stream"] {
            let path = format!("/{pool}/revocations/{what}");
            assert_eq!(refused(&house, &path, None).await, invalid);
            assert_eq!(refused(&house, &path, Some("nonsense")).await, invalid);
            assert_eq!(refused(&house, &path, Some(&foreign)).await, invalid);
            assert_eq!(refused(&house, &path, Some(&user)).await, scope);
            assert_eq!(refused(&house, &path, Some(&without)).await, scope);
            let path = format!("/us-east-1_Nothing99/revocations/{what}");
            assert_eq!(refused(&house, &path, Some(&with)).await, (404, "not_found".to_owned()));
        }
        let path = format!("/{pool}/revocations/snapshot");
        let answer = get(&house, &path, None).await;
        assert_eq!(answer.header("www-authenticate"), "Bearer error=\"invalid_token\"");
        assert_eq!(get(&house, &path, Some(&with)).await.status, 200);
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": id })).await;
        assert_eq!(refused(&house, &path, Some(&with)).await, invalid, "the client is gone");
    }
}

#[tokio::test]
async fn the_scope_is_there_without_a_resource_server_and_only_for_clients_themselves() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let (id, secret) = machine(&house, &pool, &["revocations/read"]).await;
        let answer = token(&house, &pool, (&id, &secret), &[]).await.json();
        let said = crate::oauth_machine::claims(&answer["access_token"]);
        assert_eq!(said["scope"], "revocations/read");
        let input = json!({ "UserPoolId": pool, "ClientName": "x", "AllowedOAuthScopes": ["revocations/write"] });
        let (kind, _) = house.refused("CreateUserPoolClient", input).await;
        assert_eq!(kind, "ScopeDoesNotExistException");
    }
}

#[tokio::test]
async fn a_verifiers_client_may_introspect_the_access_tokens_of_its_pool_and_no_other() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let access =
            house.signs_in(&client, "ann").await["AccessToken"].as_str().unwrap().to_owned();
        let here = machine(&house, &pool, &["revocations/read"]).await;
        let there = machine(&house, &other, &["revocations/read"]).await;
        let fields = [("token", access.as_str())];
        let asks = async |pool: &str, (id, secret): &(String, String)| {
            let basic = Some((id.as_str(), secret.as_str()));
            post(&house, pool, "/oauth2/introspect", basic, &fields).await.json()
        };
        let told = asks(&pool, &here).await;
        assert_eq!((&told["active"], &told["client_id"]), (&json!(true), &json!(client)));
        assert_eq!(asks(&other, &there).await, json!({ "active": false }));
        signs_out(&house, &pool, "ann").await;
        assert_eq!(asks(&pool, &here).await, json!({ "active": false }));
    }
}

#[tokio::test]
async fn what_a_consumer_acknowledged_is_written_down_and_never_becomes_less() {
    for house in houses_alone("feed_acknowledged").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        for _ in 0..3 {
            signs_out(&house, &pool, "ann").await;
        }
        number(&house).await;
        verifier.learns(&house, 0).await;
        let said = consumers(&house, &pool).await;
        assert_eq!((said.len(), said[0].since, said[0].policy.as_str()), (1, 0, ""));
        assert_eq!((said[0].consumer.as_str(), said[0].max_staleness_ms), ("orders-1", 30_000));
        house.advance(1_500);
        let path = verifier.path("&nonce=nonce-of-the-test&wait=0&policy=closed&max_staleness=5");
        assert_eq!(get(&house, &path, Some(&verifier.token)).await.status, 200);
        let said = consumers(&house, &pool).await;
        assert_eq!((said[0].since, said[0].policy.as_str()), (3, "closed"));
        assert_eq!((said[0].max_staleness_ms, said[0].seen_ms), (5_000, crate::house::NOW + 1_500));
        // A request that was overtaken, at a server whose clock is behind.
        let node = house.another_node(-9_000).await;
        verifier.seq = 1;
        let path = verifier.path("&nonce=nonce-of-the-test&wait=0");
        assert_eq!(get(&node, &path, Some(&verifier.token)).await.status, 200);
        let said = consumers(&node, &pool).await;
        assert_eq!((said[0].since, said[0].seen_ms), (3, crate::house::NOW + 1_500));
        // In another incarnation numbers mean something else.
        begins_anew(&house, &pool).await;
        let mut anew = Verifier::of(&house, &pool).await;
        anew.token = verifier.token.clone();
        anew.learns(&house, 0).await;
        let said = consumers(&house, &pool).await;
        assert_eq!((said.len(), said[0].incarnation.as_str()), (1, "AAAAAAAAAAAAAAAAAAAAAA"));
    }
}

#[tokio::test]
async fn no_byte_of_the_feed_names_anybody() {
    for house in houses_alone("feed_nobody").await {
        let _awake = awake(&house);
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        let sub = house.user(&pool, "annabella").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        let tokens = house.signs_in(&client, "annabella").await;
        house
            .ok("RevokeToken", json!({ "ClientId": client, "Token": tokens["RefreshToken"] }))
            .await;
        signs_out(&house, &pool, "annabella").await;
        let uuid = crate::oauth_machine::claims(&tokens["AccessToken"])["origin_jti"]
            .as_str()
            .unwrap()
            .to_owned();
        let session = cenote::ids::token_session_of(&uuid).unwrap();
        let mut texts = Vec::new();
        while verifier.seq < 2 {
            let answer = verifier.asks(&house, 2).await;
            verifier
                .applies(
                    &house,
                    &answer.body,
                    Some(&format!("nonce-of-the-test-{}", verifier.nonces)),
                )
                .await;
            let parts: Vec<&str> = answer.body.split('.').collect();
            for part in &parts[..2] {
                texts.push(BASE64_URL_SAFE_NO_PAD.decode(part).unwrap());
            }
            texts.push(format!("{:?}", answer.headers).into_bytes());
        }
        let path = format!("/{pool}/revocations/snapshot");
        let snapshot =
            house.respond(ask(&path, Some(&verifier.token)).body(Body::empty()).unwrap()).await;
        texts.push(format!("{:?}", snapshot.headers()).into_bytes());
        texts.push(axum::body::to_bytes(snapshot.into_body(), 1 << 20).await.unwrap().to_vec());
        let keys = get(&house, &format!("/{pool}/.well-known/revocation-jwks.json"), None).await;
        texts.push(keys.body.into_bytes());
        let bare = uuid.replace('-', "");
        for text in &texts {
            let text = String::from_utf8_lossy(text).to_lowercase();
            for name in [
                sub.as_str(),
                "annabella",
                &uuid,
                &bare,
                &session,
                &session[3..],
                PASSWORD,
                &client,
            ] {
                assert!(!text.contains(&name.to_lowercase()), "{name} in {text}");
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_stops_sends_those_who_wait_to_another() {
    for house in houses_alone("feed_drain").await {
        let pool = house.pool(json!({})).await;
        let verifier = Verifier::of(&house, &pool).await;
        let path = verifier.path("&nonce=nonce-of-the-test&wait=2");
        let began = Instant::now();
        let (answer, ()) = tokio::join!(refused(&house, &path, Some(&verifier.token)), async {
            pause().await;
            house.app.meters.drain();
        });
        assert_eq!(answer, (503, "temporarily_unavailable".to_owned()));
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}
