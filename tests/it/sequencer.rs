//! Records get numbers: each pool's from 1 without a gap, in one chain, whoever does it and whoever dies meanwhile.

use cenote::ambient::{Ms, rfc3339};
use cenote::cx::Cx;
use cenote::delivery::sequencer;
use cenote::params;
use cenote::store::{Batch, Rank, feed};
use serde_json::json;

use crate::house::{House, NOW, houses, houses_alone, together};
use crate::oauth_machine::claims;

/// What the database says of a pool's records, by number.
struct Numbered {
    seq: i64,
    kind: String,
    subject: String,
    key16: Vec<u8>,
    not_before_ms: Ms,
    drop_after_ms: Ms,
    chain: Vec<u8>,
}

async fn numbered(house: &House, pool: &str) -> Vec<Numbered> {
    let sql = "SELECT seq, kind, subject, key16, not_before_ms, drop_after_ms, chain FROM records \
               WHERE pool_id = ?1 AND seq IS NOT NULL ORDER BY seq";
    let rows = house.app.db.query(sql, &params![pool]).await.unwrap();
    rows.iter()
        .map(|row| Numbered {
            seq: row.i64(0).unwrap(),
            kind: row.string(1).unwrap(),
            subject: row.string(2).unwrap(),
            key16: row.blob(3).unwrap().to_vec(),
            not_before_ms: row.i64(4).unwrap(),
            drop_after_ms: row.i64(5).unwrap(),
            chain: row.blob(6).unwrap().to_vec(),
        })
        .collect()
}

async fn waiting(house: &House, pool: &str) -> i64 {
    house.rows("SELECT COUNT(*) FROM records WHERE pool_id = ?1 AND seq IS NULL", pool).await
}

pub async fn number(house: &House) {
    sequencer::run_once(Cx::system(house.app.clone())).await.unwrap();
}

pub fn sha256(bytes: &[u8]) -> Vec<u8> {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref().to_vec()
}

/// The chain as `docs/revocation-feed.md` describes it, composed here from its words.
pub fn link(before: &[u8], kind: &str, key16: &[u8], not_before: u64, drop_after: u64) -> Vec<u8> {
    let mut text = before.to_vec();
    text.extend(kind.as_bytes());
    text.extend(key16);
    text.extend(not_before.to_be_bytes());
    text.extend(drop_after.to_be_bytes());
    sha256(&text)
}

async fn signs_out(house: &House, pool: &str, name: &str) {
    let input = json!({ "UserPoolId": pool, "Username": name });
    house.ok("AdminUserGlobalSignOut", input).await;
}

/// Holds the numbers and the chain of a pool against its head.
async fn check(house: &House, pool: &str, count: usize) {
    let records = numbered(house, pool).await;
    let numbers: Vec<i64> = records.iter().map(|record| record.seq).collect();
    assert_eq!(numbers, (1..=count as i64).collect::<Vec<_>>(), "on {}", house.url);
    let head = feed::head(&house.app.db, pool).await.unwrap().unwrap();
    assert_eq!(head.last, count as i64);
    let genesis = format!("cenote-revocation-feed/1\0{pool}\0{}", head.incarnation);
    let mut chain = sha256(genesis.as_bytes());
    for record in records {
        let times = (record.not_before_ms as u64, record.drop_after_ms as u64);
        chain = link(&chain, &record.kind, &record.key16, times.0, times.1);
        assert_eq!(record.chain, chain, "at {}", record.seq);
    }
    assert_eq!(head.chain.to_vec(), chain);
}

#[tokio::test]
async fn a_validity_that_was_raised_before_a_record_has_its_number_keeps_it_longer() {
    for house in houses_alone("sequencer_longer").await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let input = json!({ "UserPoolId": pool, "Username": "ann" });
        let answer = house.call("AdminUserGlobalSignOut", input).await;
        let signout = answer.header("x-cenote-signout");
        // As one that commits while the sign-out does, of which a refresh made use.
        let longer = json!({ "UserPoolId": pool, "ClientId": client, "AccessTokenValidity": 24 });
        house.ok("UpdateUserPoolClient", longer).await;
        let end = NOW + 24 * 3_600_000 + 120_000;
        let receipt = crate::receipt::reads(&house, &pool, signout).await;
        assert_eq!(receipt["exposure_until"], rfc3339(end));
        number(&house).await;
        assert_eq!(numbered(&house, &pool).await[0].drop_after_ms, end);
        let receipt = crate::receipt::reads(&house, &pool, signout).await;
        assert_eq!(receipt["exposure_until"], rfc3339(end));
    }
}

#[tokio::test]
async fn eight_servers_that_race_number_every_record_once_without_a_gap() {
    for house in houses_alone("sequencer_race").await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        for pool in [&pool, &other] {
            house.user(pool, "ann").await;
        }
        let mut nodes = Vec::new();
        for n in 0..8 {
            nodes.push(house.another_node((n - 4) * 5_000).await);
        }
        let mut racers: Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for node in &nodes {
            for pool in [&pool, &other] {
                racers.push(Box::pin(async {
                    for _ in 0..6 {
                        signs_out(node, pool, "ann").await;
                        number(node).await;
                    }
                }));
            }
        }
        together(racers).await;
        // Whoever lost the last race comes again.
        while waiting(&house, &pool).await + waiting(&house, &other).await > 0 {
            number(&house).await;
        }
        check(&house, &pool, 48).await;
        check(&house, &other, 48).await;
    }
}

#[tokio::test]
async fn what_a_server_left_that_was_killed_after_the_commit_is_numbered_by_another() {
    for house in houses_alone("sequencer_killed").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        signs_out(&house, &pool, "ann").await;
        assert_eq!(waiting(&house, &pool).await, 1, "a sign-out waits for no number");
        assert!(feed::head(&house.app.db, &pool).await.unwrap().is_none());
        let node = house.another_node(-20_000).await;
        number(&node).await;
        check(&house, &pool, 1).await;
        assert_eq!(waiting(&house, &pool).await, 0);
    }
}

#[tokio::test]
async fn more_than_one_batch_is_numbered_in_one_turn() {
    for house in houses_alone("sequencer_many").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        signs_out(&house, &pool, "ann").await;
        let mut batch = Batch::new();
        for n in 1..1_200 {
            let sql = "INSERT INTO records (pool_id, signout_id, n, kind, subject, key16, not_before_ms, drop_after_ms, reason, \
                       initiator, origin, txn, committed_ms) SELECT pool_id, signout_id, CAST(?2 AS BIGINT), kind, subject, key16, \
                       not_before_ms, drop_after_ms, reason, initiator, origin, txn, committed_ms FROM records WHERE pool_id = ?1 AND n = 0";
            batch.any(Rank::Record, sql, params![pool.as_str(), n]);
        }
        house.app.db.commit(batch).await.unwrap();
        number(&house).await;
        check(&house, &pool, 1_200).await;
    }
}

#[tokio::test]
async fn a_token_session_is_known_by_the_uuid_that_its_tokens_name() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({ "EnableTokenRevocation": true })).await;
        house.user(&pool, "ann").await;
        let tokens = house.signs_in(&client, "ann").await;
        let input = json!({ "ClientId": client, "Token": tokens["RefreshToken"] });
        house.ok("RevokeToken", input).await;
        // As a release did that hashed the session's own id.
        let mut batch = Batch::new();
        let sql = "UPDATE records SET key16 = ?2 WHERE pool_id = ?1";
        batch.one(
            Rank::Record,
            sql,
            params![pool.as_str(), vec![7_u8; 16]],
            cenote::error::Error::conflict(),
        );
        if waiting(&house, &pool).await == 1 {
            house.app.db.commit(batch).await.unwrap();
        }
        while waiting(&house, &pool).await > 0 {
            number(&house).await;
        }
        let records = numbered(&house, &pool).await;
        let origin = claims(&tokens["AccessToken"])["origin_jti"].as_str().unwrap().to_owned();
        let key = sha256(format!("S\0{pool}\0{origin}").as_bytes());
        assert_eq!(records[0].kind, "S");
        assert!(records[0].subject.starts_with("tkn"));
        assert_eq!(records[0].key16, key[..16]);
    }
}

#[tokio::test]
async fn after_a_new_incarnation_numbers_go_on_in_a_chain_of_its_own() {
    for house in houses_alone("sequencer_incarnation").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        let before = feed::head(&house.app.db, &pool).await.unwrap().unwrap();
        assert_eq!(before.incarnation.len(), 22);
        let incarnation = cenote::ids::incarnation(&*house.app.random);
        let mut batch = Batch::new();
        feed::new_incarnation(&mut batch, &pool, &incarnation);
        house.app.db.commit(batch).await.unwrap();
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        let head = feed::head(&house.app.db, &pool).await.unwrap().unwrap();
        assert_eq!((&head.incarnation, head.base, head.last), (&incarnation, 1, 2));
        let records = numbered(&house, &pool).await;
        let last = &records[1];
        let genesis = sha256(format!("cenote-revocation-feed/1\0{pool}\0{incarnation}").as_bytes());
        let times = (last.not_before_ms as u64, last.drop_after_ms as u64);
        assert_eq!(link(&genesis, "U", &last.key16, times.0, times.1), head.chain);
    }
}
