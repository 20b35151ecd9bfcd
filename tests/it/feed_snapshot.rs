//! Snapshots and keys of the revocation feed.

use std::io::Read as _;

use axum::body::Body;
use axum::http::StatusCode;
use cenote::ambient::DAY;
use cenote::params;
use cenote::store::{Batch, Rank, feed, purge};
use serde_json::{Value, json};

use crate::feed::{Verifier, ask, decode, feed_token, get, key16, signs_out, verified};
use crate::house::{House, NOW, houses, houses_alone};
use crate::sequencer::{number, sha256};

/// The bytes of an answer.
async fn bytes(response: axum::response::Response) -> Vec<u8> {
    axum::body::to_bytes(response.into_body(), 64 << 20).await.unwrap().to_vec()
}

async fn fetch(
    house: &House,
    pool: &str,
    token: &str,
    more: &[(&str, &str)],
) -> axum::response::Response {
    let mut request = ask(&format!("/{pool}/revocations/snapshot"), Some(token));
    for (name, value) in more {
        request = request.header(*name, *value);
    }
    house.respond(request.body(Body::empty()).unwrap()).await
}

/// A snapshot, taken apart and checked: what is signed, and the records.
pub async fn snapshot(house: &House, pool: &str, token: &str) -> (Value, Vec<[u8; 32]>) {
    let response = fetch(house, pool, token, &[]).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/vnd.cenote.revocations");
    let body = bytes(response).await;
    take_apart(house, pool, &body).await
}

async fn take_apart(house: &House, pool: &str, body: &[u8]) -> (Value, Vec<[u8; 32]>) {
    assert_eq!(&body[..8], b"CNTRVF\0\x01");
    let n = u64::from_be_bytes(body[8..16].try_into().unwrap()) as usize;
    let length = u32::from_be_bytes(body[16..20].try_into().unwrap()) as usize;
    assert_eq!(body[20..32], [0; 12]);
    let (signed, jws) = body.split_at(32 + 32 * n);
    assert_eq!(jws.len(), length);
    let said = verified(house, pool, "revsnap+jwt", std::str::from_utf8(jws).unwrap()).await;
    assert_eq!((&said["v"], &said["pool"], &said["n"]), (&json!(1), &json!(pool), &json!(n)));
    assert_eq!(decode(&said["sha256"]), sha256(signed));
    let records: Vec<[u8; 32]> =
        signed[32..].chunks(32).map(|record| record.try_into().unwrap()).collect();
    assert!(records.is_sorted_by(|a, b| a[..16] < b[..16]), "sorted, and no key twice");
    (said, records)
}

fn times(record: &[u8; 32]) -> (i64, i64) {
    let number = |from: usize| i64::from_be_bytes(record[from..from + 8].try_into().unwrap());
    (number(16), number(24))
}

#[tokio::test]
async fn a_snapshot_has_one_record_of_each_key_with_the_largest_times() {
    for house in houses_alone("snapshot_merges").await {
        let pool = house.pool(json!({})).await;
        let token = feed_token(&house, &pool).await;
        let (ann, ben) = (house.user(&pool, "ann").await, house.user(&pool, "ben").await);
        let (said, records) = snapshot(&house, &pool, &token).await;
        assert_eq!((&said["seq"], records.len()), (&json!(0), 0), "an empty feed has one, too");
        for name in ["ann", "ben", "ann"] {
            signs_out(&house, &pool, name).await;
            house.advance(1_000);
        }
        number(&house).await;
        let (said, records) = snapshot(&house, &pool, &token).await;
        assert_eq!((&said["seq"], records.len()), (&json!(3), 2));
        let find = |sub: &str| {
            let key = decode(&json!(key16("U", &pool, sub)));
            *records.iter().find(|record| record[..16] == key).unwrap()
        };
        assert_eq!(times(&find(&ben)).0, NOW + 1_000);
        assert_eq!(times(&find(&ann)).0, NOW + 2_000);
        assert!(times(&find(&ann)).1 >= NOW + 2_000 + 3_600_000);
        // What was made before is gone on with.
        signs_out(&house, &pool, "ben").await;
        number(&house).await;
        let (said, more) = snapshot(&house, &pool, &token).await;
        assert_eq!((&said["seq"], more.len()), (&json!(4), 2));
        assert!(more.iter().any(|record| times(record).0 == NOW + 3_000));
    }
}

#[tokio::test]
async fn what_has_ended_leaves_the_snapshot_and_numbers_go_on() {
    for house in houses_alone("snapshot_ended").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        house.advance(2 * DAY);
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        let token = feed_token(&house, &pool).await;
        let (said, records) = snapshot(&house, &pool, &token).await;
        assert_eq!((&said["seq"], records.len()), (&json!(2), 1));
        house.advance(2 * DAY);
        let token = feed_token(&house, &pool).await;
        let (said, records) = snapshot(&house, &pool, &token).await;
        assert_eq!((&said["seq"], records.len()), (&json!(2), 0));
        // Even when all are forgotten, who is at the head goes on.
        house.advance(40 * DAY);
        purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
        let mut verifier = Verifier::of(&house, &pool).await;
        assert_eq!(verifier.seq, 2);
        assert_eq!(verifier.learns(&house, 0).await.len(), 0);
    }
}

#[tokio::test]
async fn what_a_snapshot_lacks_that_was_made_while_the_clock_was_ahead_is_back_when_the_clock_is() {
    for house in houses_alone("snapshot_clock").await {
        let pool = house.pool(json!({})).await;
        let ann = house.user(&pool, "ann").await;
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        house.advance(2 * DAY);
        let token = feed_token(&house, &pool).await;
        assert!(snapshot(&house, &pool, &token).await.1.is_empty());
        house.advance(-2 * DAY);
        let token = feed_token(&house, &pool).await;
        let (said, records) = snapshot(&house, &pool, &token).await;
        assert_eq!((&said["seq"], records.len()), (&json!(1), 1));
        assert_eq!(records[0][..16], decode(&json!(key16("U", &pool, &ann))));
    }
}

/// As after a failover to a database that was a little behind.
#[tokio::test]
async fn nothing_is_kept_of_records_that_the_database_has_lost() {
    for house in houses_alone("snapshot_failover").await {
        let pool = house.pool(json!({})).await;
        for name in ["ann", "ben", "cleo"] {
            house.user(&pool, name).await;
        }
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        let mut batch = Batch::new();
        let before = feed::head(&house.app.db, &pool).await.unwrap().unwrap();
        signs_out(&house, &pool, "ben").await;
        number(&house).await;
        let token = feed_token(&house, &pool).await;
        let mut verifier = Verifier::of(&house, &pool).await;
        assert_eq!((verifier.seq, verifier.learns(&house, 0).await.len()), (2, 0));
        batch.any(
            Rank::Record,
            "DELETE FROM records WHERE pool_id = ?1 AND seq = 2",
            params![pool.as_str()],
        );
        batch.any(
            Rank::Record,
            "UPDATE feed_heads SET last = ?2, chain = ?3 WHERE pool_id = ?1",
            params![pool.as_str(), before.last, before.chain.as_slice()],
        );
        house.app.db.commit(batch).await.unwrap();
        signs_out(&house, &pool, "cleo").await;
        number(&house).await;
        let (said, records) = snapshot(&house, &pool, &token).await;
        assert_eq!((&said["seq"], records.len()), (&json!(2), 2), "ann and cleo");
        let head = feed::head(&house.app.db, &pool).await.unwrap().unwrap();
        assert_eq!(decode(&said["h"]), head.chain);
        // Who has the lost record is not told that all is well.
        let path = format!(
            "/{pool}/revocations/delta?since=2&incarnation={}&consumer=c&nonce=0123456789abcdef&wait=0",
            head.incarnation
        );
        let frame = get(&house, &path, Some(&token)).await;
        let said = verified(&house, &pool, "revfeed+jwt", &frame.body).await;
        assert_eq!(decode(&said["h_before"]), head.chain);
    }
}

#[tokio::test]
async fn a_snapshot_that_is_known_is_not_sent_again_and_gzip_packs_it() {
    for house in houses_alone("snapshot_etag").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        let token = feed_token(&house, &pool).await;
        let plain = fetch(&house, &pool, &token, &[]).await;
        let etag = plain.headers()["etag"].to_str().unwrap().to_owned();
        assert!(etag.ends_with("-1\"") && etag.len() == 22 + 4, "{etag}");
        let plain = bytes(plain).await;
        for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".into()] {
            let response = fetch(&house, &pool, &token, &[("if-none-match", &known)]).await;
            assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{known}");
            assert_eq!(response.headers()["etag"], etag);
            assert!(bytes(response).await.is_empty());
        }
        let packed = fetch(&house, &pool, &token, &[("accept-encoding", "br, gzip")]).await;
        assert_eq!(packed.headers()["content-encoding"], "gzip");
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(bytes(packed).await.as_slice())
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, plain);
        take_apart(&house, &pool, &unpacked).await;
        signs_out(&house, &pool, "ann").await;
        number(&house).await;
        let response = fetch(&house, &pool, &token, &[("if-none-match", &etag)]).await;
        assert_eq!(response.status(), 200, "there is something new");
    }
}

#[tokio::test]
async fn a_key_signs_for_a_quarter_and_is_known_for_a_month_after_that() {
    for house in houses_alone("feed_keys").await {
        let pool = house.pool(json!({})).await;
        let path = format!("/{pool}/.well-known/revocation-jwks.json");
        let kids = async || {
            let keys = get(&house, &path, None).await;
            assert!(!keys.body.contains("\"d\""), "{}", keys.body);
            let keys = keys.json()["keys"].as_array().unwrap().clone();
            keys.iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let first = kids().await;
        assert_eq!(first.len(), 1);
        assert_eq!(kids().await, first, "it is made once");
        let node = house.another_node(91 * DAY).await;
        let (a, b) = tokio::join!(Verifier::of(&node, &pool), get(&node, &path, None),);
        drop((a, b));
        house.advance(91 * DAY);
        let both = kids().await;
        assert_eq!(both.len(), 2, "{both:?}");
        assert!(both.contains(&first[0]));
        let mut verifier = Verifier::of(&house, &pool).await;
        verifier.learns(&house, 0).await;
        house.advance(31 * DAY);
        let left = kids().await;
        assert_eq!(left.len(), 1);
        assert_ne!(left, first);
        purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
        let sql = "SELECT COUNT(*) FROM feed_keys WHERE pool_id = ?1";
        assert_eq!(house.rows(sql, &pool).await, 1);
    }
}

#[tokio::test]
async fn keys_are_made_once_however_many_servers_are_asked_first_and_are_no_tokens_keys() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let mut nodes = Vec::new();
        for _ in 0..4 {
            nodes.push(house.another_node(0).await);
        }
        let path = format!("/{pool}/.well-known/revocation-jwks.json");
        let answers = crate::house::together(nodes.iter().map(|node| get(node, &path, None))).await;
        for answer in &answers {
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.json()["keys"][0]["kid"], answers[0].json()["keys"][0]["kid"]);
            assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 1);
        }
        let tokens = get(&house, &format!("/{pool}/.well-known/jwks.json"), None).await;
        assert!(!tokens.body.contains("EdDSA"));
        let discovery =
            get(&house, &format!("/{pool}/.well-known/openid-configuration"), None).await.json();
        assert_eq!(
            discovery["revocation_feed_endpoint"],
            format!("http://localhost:9229/{pool}/revocations")
        );
        assert_eq!(discovery["revocation_feed_jwks_uri"], format!("http://localhost:9229{path}"));
        let nobody =
            get(&house, "/us-east-1_Nothing99/.well-known/revocation-jwks.json", None).await;
        assert_eq!(nobody.status, 404);
    }
}
