//! `GET /{pool}/revocations/snapshot`: every record that concerns something alive, sorted and packed, with one signature. Made once for
//! each number of the head, from the one before; it proves nothing fresh.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::access::Credential;
use super::answer::Refused;
use super::{access, answer, frame, keys, reader};
use crate::ambient::{MINUTE, Ms, SECOND};
use crate::cx::{App, Cx};
use crate::error::{Error, Result};
use crate::feeds::{Signer, Snapshot};
use crate::http;
use crate::store::feed::{self, Head};

const MAGIC: &[u8; 8] = b"CNTRVF\0\x01";
/// Magic, count, length of the signature part, and zeros.
const HEAD_LEN: usize = 32;
const RECORD_LEN: usize = 32;
/// Records of one read.
const PAGE: i64 = 10_000;
/// What has ended by this server's clock stays in a little longer: that clock may have jumped ahead.
const GRACE: Ms = 10 * MINUTE;
/// After this long one is made of the records again, without those that have ended.
const WHOLE_EVERY: Ms = 10 * MINUTE;
/// A large one is not made more often than once a second: who starts from an older one learns the rest by the first delta.
const LARGE: usize = 50_000;

pub async fn get(
    State(app): State<Arc<App>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let answer = answer(&cx, &pool_id, &parts).await;
    answer::write(&cx, "snapshot", answer)
}

async fn answer(cx: &Cx, pool_id: &str, parts: &Parts) -> Result<Response, Refused> {
    access::admit(cx, pool_id, Credential::of(cx, parts).as_ref(), "").await?;
    let snapshot = current(cx, pool_id).await?;
    let etag = format!("\"{}-{}\"", snapshot.incarnation, snapshot.seq);
    let known = is_known(&parts.headers, &etag);
    let packed = !known && takes_gzip(&parts.headers);
    let body = if known {
        Bytes::new()
    } else if packed {
        gzip(cx, &snapshot).await?
    } else {
        snapshot.body.clone()
    };
    let kind = "application/vnd.cenote.revocations";
    let mut response = answer::ok(kind, "private, no-cache", Body::from(body));
    let headers = response.headers_mut();
    http::insert(headers, header::ETAG, &etag);
    headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding, Authorization"));
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if known {
        headers.remove(header::CONTENT_TYPE);
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    Ok(response)
}

/// The state as it is now, or, where it is large, as it was within the last second.
async fn current(cx: &Cx, pool_id: &str) -> Result<Arc<Snapshot>> {
    let shelf =
        cx.app.feeds.snapshots.get_or_insert_with(pool_id, || Ok::<_, Error>(Arc::default()))?;
    // One makes it, the others wait and take it.
    let mut shelf = shelf.lock().await;
    let head = reader::head(cx, pool_id).await?;
    let before = shelf.clone().filter(|before| before.incarnation == head.incarnation);
    // Made while this server's clock was ahead, it may lack what lives.
    let age_ms = |before: &Snapshot| cx.now - before.made_ms;
    let mut before = before.filter(|before| (0..WHOLE_EVERY).contains(&age_ms(before)));
    if let Some(made) = &before {
        let chain = reader::chain_at(cx, pool_id, &head, made.seq).await?;
        if chain != Some(made.chain) {
            // Of records that the database has lost, as in a failover: what has their numbers now is not in it.
            before = None;
        } else if made.seq == head.last || (made.n > LARGE && age_ms(made) < SECOND) {
            return Ok(made.clone());
        }
    }
    let made = Arc::new(make(cx, pool_id, &head, before).await?);
    *shelf = Some(made.clone());
    Ok(made)
}

async fn make(
    cx: &Cx,
    pool_id: &str,
    head: &Head,
    before: Option<Arc<Snapshot>>,
) -> Result<Snapshot> {
    let signer = keys::signer(cx, pool_id, head).await?;
    let mut since = before.as_ref().map_or(0, |before| before.seq);
    let mut records = Vec::new();
    loop {
        let page = feed::alive(cx.db(), pool_id, since, head.last, cx.now - GRACE, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        since = *last;
        records.extend(page.iter().map(|(_, entry)| entry.packed()));
    }
    // What was read is of this incarnation: numbers of another could be others.
    let still = feed::head(cx.db(), pool_id).await?;
    if still.is_none_or(|still| still.incarnation != head.incarnation) {
        return Err(Error::conflict());
    }
    let (pool_id, head, now) = (pool_id.to_owned(), head.clone(), cx.now);
    cx.app.meters.framed("snapshot");
    let work = move || {
        let records = merged(before.as_deref(), records);
        let body = compose(&signer, &pool_id, &head, now, &records);
        Snapshot {
            incarnation: head.incarnation,
            seq: head.last,
            chain: head.chain,
            made_ms: now,
            n: records.len(),
            body,
            gzip: OnceLock::new(),
        }
    };
    cx.app.compute.run(work).await
}

/// Sorted, each key once with the largest of its times.
fn merged(
    before: Option<&Snapshot>,
    new: Vec<[u8; RECORD_LEN]>,
) -> BTreeMap<[u8; 16], ([u8; 8], [u8; 8])> {
    let old = before.and_then(|before| {
        before.body.get(HEAD_LEN..HEAD_LEN + before.n * RECORD_LEN).map(|all| all.as_chunks().0)
    });
    let mut all: BTreeMap<[u8; 16], ([u8; 8], [u8; 8])> = BTreeMap::new();
    for record in old.unwrap_or_default().iter().chain(&new) {
        let Some((key, rest)) = record.split_first_chunk::<16>() else { continue };
        let Some((not_before, rest)) = rest.split_first_chunk::<8>() else { continue };
        let Some((drop_after, _)) = rest.split_first_chunk::<8>() else { continue };
        // Big endian: the larger text is the larger number.
        let times = all.entry(*key).or_default();
        *times = (times.0.max(*not_before), times.1.max(*drop_after));
    }
    all
}

fn compose(
    signer: &Signer,
    pool_id: &str,
    head: &Head,
    now: Ms,
    records: &BTreeMap<[u8; 16], ([u8; 8], [u8; 8])>,
) -> Bytes {
    let sealing = frame::Sealing {
        pool_id,
        incarnation: &head.incarnation,
        iat: now,
        seq: head.last,
        chain: &head.chain,
    };
    let n = records.len();
    // The hash is as long as any other, and what is signed says how long the signature part is.
    let length = signer.key.signed_len(frame::SNAPSHOT, sealing.payload(n, &[0; 32]).len());
    let mut body = Vec::with_capacity(HEAD_LEN + n * RECORD_LEN + length);
    body.extend(MAGIC);
    body.extend(u64::try_from(n).unwrap_or(u64::MAX).to_be_bytes());
    body.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    body.resize(HEAD_LEN, 0);
    for (key, (not_before, drop_after)) in records {
        body.extend(key);
        body.extend(not_before);
        body.extend(drop_after);
    }
    let mut sha256 = [0; 32];
    let hash = digest::digest(&digest::SHA256, &body);
    sha256.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    body.extend(signer.key.sign(frame::SNAPSHOT, &sealing.payload(n, &sha256)).as_bytes());
    body.into()
}

async fn gzip(cx: &Cx, snapshot: &Arc<Snapshot>) -> Result<Bytes> {
    if let Some(packed) = snapshot.gzip.get() {
        return Ok(packed.clone());
    }
    let snapshot = snapshot.clone();
    let work = move || {
        let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
        packer.write_all(&snapshot.body).map_err(Error::internal)?;
        let packed = Bytes::from(packer.finish().map_err(Error::internal)?);
        Ok(snapshot.gzip.get_or_init(|| packed).clone())
    };
    cx.app.compute.run(work).await?
}

/// RFC 9110, 13.1.2.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let lines = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|line| line.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .any(|item| item == "*" || item.strip_prefix("W/").unwrap_or(item) == etag)
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines =
        headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|item| {
        let (name, weight) = item.split_once(';').unwrap_or((item, ""));
        let weight: String = weight.chars().filter(|c| !c.is_whitespace()).collect();
        let refused = weight.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0));
        name.trim().eq_ignore_ascii_case("gzip") && !refused
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use serde_json::Value;

    use super::*;
    use crate::keys::FeedKey;
    use crate::pool::feed::Entry;

    /// The snapshot of the vectors, byte for byte, from the records of their chain.
    #[test]
    fn the_snapshot_of_the_vectors_is_what_this_server_makes_of_their_records() {
        let vectors: Value =
            serde_json::from_str(include_str!("../../../verifiers/vectors/feed.json")).unwrap();
        let expected = include_bytes!("../../../verifiers/vectors/feed.snapshot.bin");
        let decode = |text: &Value| BASE64_URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap();
        let length = u32::from_be_bytes(expected[16..20].try_into().unwrap()) as usize;
        let jws = std::str::from_utf8(&expected[expected.len() - length..]).unwrap();
        let payload = BASE64_URL_SAFE_NO_PAD.decode(jws.split('.').nth(1).unwrap()).unwrap();
        let said: Value = serde_json::from_slice(&payload).unwrap();

        let records = vectors["chain"]["records"].as_array().unwrap();
        let packed = records.iter().map(|record| {
            let e = &record["e"];
            let entry = Entry {
                kind: e[0].as_str().unwrap().as_bytes()[0],
                key16: decode(&e[1]).try_into().unwrap(),
                not_before_ms: e[2].as_i64().unwrap(),
                drop_after_ms: e[3].as_i64().unwrap(),
            };
            entry.packed()
        });
        let merged = merged(None, packed.collect());
        let head = Head {
            incarnation: said["incarnation"].as_str().unwrap().to_owned(),
            base: 0,
            last: said["seq"].as_i64().unwrap(),
            chain: decode(&said["h"]).try_into().unwrap(),
            kid: String::new(),
        };
        let kid = vectors["feed_jwks"]["keys"][0]["kid"].as_str().unwrap();
        let key = FeedKey::from_seed(&decode(&vectors["feed_seed"])).unwrap().named(kid);
        let signer = Signer { key, created_ms: 0 };
        let pool = said["pool"].as_str().unwrap();
        let body = compose(&signer, pool, &head, said["iat"].as_i64().unwrap(), &merged);
        assert_eq!(body.as_ref(), expected);
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        let takes = |text: &'static str| {
            let value = HeaderValue::from_static(text);
            takes_gzip(&HeaderMap::from_iter([(header::ACCEPT_ENCODING, value)]))
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes("gzip; q=0.0"));
        assert!(!takes_gzip(&HeaderMap::new()));
    }
}
