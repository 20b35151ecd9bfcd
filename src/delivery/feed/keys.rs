//! The keys that sign a pool's feed: made when first needed, sealed at rest, followed by another after a quarter of a year. They are
//! in a key set of their own: no token may be signed by them, and no frame by a token's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use serde_json::json;
use zeroize::Zeroizing;

use super::answer::{self, Refused};
use super::reader;
use crate::ambient::{DAY, Ms};
use crate::cx::{App, Asked, Cx};
use crate::error::{Error, Result};
use crate::feeds::Signer;
use crate::http;
use crate::keys::{FeedKey, Place, ed25519};
use crate::limits::Limit;
use crate::store::Batch;
use crate::store::feed::{self, Head, KeyRow};

const ROTATE_AFTER: Ms = 90 * DAY;
/// How long a key that signs no more stays known: a verifier may begin with a snapshot that it kept.
const RETIRE_AFTER: Ms = 30 * DAY;

/// `revocation-jwks.json`.
pub async fn get(
    State(app): State<Arc<App>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let answer = key_set(&cx, &pool_id).await;
    answer::write(&cx, "revocation-jwks", answer)
}

/// Public, as every key set.
async fn key_set(cx: &Cx, pool_id: &str) -> Result<Response, Refused> {
    let asked =
        Asked { category: Limit::Discovery, pool: "", client: None, user: None, costly: false };
    cx.admit(&asked)?;
    // A deleted pool's feed still says that the pool is gone, to those who are connected.
    let head = match feed::head(cx.db(), pool_id).await? {
        Some(head) => head,
        None => {
            cx.app.directory.pool(cx.db(), pool_id).await?.ok_or(Refused::NoPool)?;
            reader::head(cx, pool_id).await?
        }
    };
    signer(cx, pool_id, &head).await?;
    let rows = feed::keys(cx.db(), pool_id).await?;
    let known = rows.iter().filter(|row| row.retired_ms.is_none_or(|retired| retired > cx.now));
    let keys: Vec<_> = known.map(|row| ed25519::jwk(&row.kid, &row.public_key)).collect();
    let body = Body::from(json!({ "keys": keys }).to_string());
    // A verifier that meets an unknown key asks again after ten seconds.
    Ok(answer::ok("application/json", "public, max-age=5", body))
}

/// The key that signs now; `head` says which. Makes one where there is none, and the next where it is old.
pub async fn signer(cx: &Cx, pool_id: &str, head: &Head) -> Result<Arc<Signer>> {
    if head.kid.is_empty() {
        return make(cx, pool_id, head).await;
    }
    let signer = load(cx, pool_id, &head.kid).await?;
    if signer.created_ms + ROTATE_AFTER > cx.now {
        return Ok(signer);
    }
    match make(cx, pool_id, head).await {
        // It signs as well as before until another can be made.
        Err(error) => {
            tracing::warn!(?error, pool_id, "the key of the revocation feed was not renewed");
            Ok(signer)
        }
        made => made,
    }
}

async fn make(cx: &Cx, pool_id: &str, head: &Head) -> Result<Arc<Signer>> {
    let mut seed = Zeroizing::new([0; 32]);
    cx.rng().fill(seed.as_mut_slice());
    let key = FeedKey::from_seed(seed.as_slice())?;
    let secret = cx.app.vault.seal(cx.rng(), &place(pool_id, key.kid()), seed.as_slice())?.0;
    let row = KeyRow {
        kid: key.kid().to_owned(),
        secret,
        public_key: key.public_key().to_vec(),
        created_ms: cx.now,
        retired_ms: None,
    };
    let mut batch = Batch::new();
    feed::insert_key(&mut batch, pool_id, &row, &head.kid, cx.now + RETIRE_AFTER);
    let kid = match cx.db().commit(batch).await {
        Ok(()) => row.kid,
        // Another server was quicker: what it made signs.
        Err(error) if error.is_conflict() => {
            let head = feed::head(cx.db(), pool_id).await?;
            head.map(|head| head.kid).filter(|kid| !kid.is_empty()).ok_or(error)?
        }
        Err(error) => return Err(error),
    };
    load(cx, pool_id, &kid).await
}

async fn load(cx: &Cx, pool_id: &str, kid: &str) -> Result<Arc<Signer>> {
    let name = (pool_id.to_owned(), kid.to_owned());
    let found = cx.app.feeds.signers.get_or_insert_async(&name, async {
        let rows = feed::keys(cx.db(), pool_id).await?;
        let row = rows.iter().find(|row| row.kid == kid);
        let row =
            row.ok_or_else(|| Error::internal(format!("pool {pool_id} has no feed key {kid}")))?;
        let seed = cx.app.vault.open(&place(pool_id, kid), &row.secret)?;
        let key = FeedKey::from_seed(&seed)?;
        Ok(Arc::new(Signer { key, created_ms: row.created_ms }))
    });
    found.await
}

fn place<'a>(pool_id: &'a str, kid: &'a str) -> Place<'a> {
    Place { table: "feed_keys", pool: pool_id, row: kid, column: "secret" }
}
