//! Webhooks, event streams and token revocation endpoints: making, changing and deleting them. What they may say is in `pool::target`.

use crate::ambient::DAY;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind as Wrong, Result};
use crate::pool::target::{Doc, Kind, MAX_OF_A_KIND, WebhookSecret};
use crate::pool::{Pool, Target};
use crate::store::{Batch, pools, targets as store};
use crate::{ids, targets};

/// What is to become of a webhook's secret.
pub enum Secret {
    Kept,
    /// Made up here, and shown once.
    Made,
    Given(String),
}

/// A target as it is now, and its secret where that was made up: it is never shown again.
pub struct Changed {
    pub target: Target,
    pub made: Option<String>,
}

/// Makes a target. The id is the caller's where a seed file names it.
pub async fn create(
    cx: &Cx,
    pool: &Pool,
    id: Option<String>,
    doc: Doc,
    secret: Secret,
) -> Result<Changed> {
    check(cx, &doc)?;
    let kind = doc.kind();
    if store::count(cx.db(), &pool.id, kind).await? >= MAX_OF_A_KIND {
        return Err(Error::new(
            Wrong::LimitExceeded,
            format!(
                "A user pool can have at most {MAX_OF_A_KIND} of a kind: each sign-out is told to all of them."
            ),
        ));
    }
    let id = id.unwrap_or_else(|| ids::uuid_v7(cx.now, cx.rng()).to_string());
    let mut made = None;
    let sealed = if kind == Kind::Webhook {
        let text = given_or_made(cx, secret, &mut made)?;
        Some(targets::seal(cx, &pool.id, &id, &WebhookSecret::new(text))?)
    } else {
        None
    };
    let target = Target {
        pool_id: pool.id.clone(),
        id,
        doc,
        secret: sealed,
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    let mut batch = Batch::new();
    // The count holds only while the pool's version does.
    pools::hold(&mut batch, pool);
    store::insert(&mut batch, &target)?;
    note(&mut batch, cx, &target, "Create");
    cx.db().commit(batch).await?;
    Ok(Changed { target, made })
}

/// Writes what changed, if nobody else did meanwhile. A webhook's old secret signs for one more day beside the new one.
pub async fn change(cx: &Cx, target: &Target, doc: Doc, secret: Secret) -> Result<Changed> {
    let mut changed = Target { doc, ..target.clone() };
    check(cx, &changed.doc)?;
    let mut made = None;
    if changed.doc.kind() == Kind::Webhook && !matches!(secret, Secret::Kept) {
        let text = given_or_made(cx, secret, &mut made)?;
        let next = match targets::open::<WebhookSecret>(cx, target)? {
            Some(old) => old.rotated(text, cx.now + DAY),
            None => WebhookSecret::new(text),
        };
        changed.secret = Some(targets::seal(cx, &target.pool_id, &target.id, &next)?);
    }
    if changed.doc == target.doc && changed.secret == target.secret {
        return Ok(Changed { target: changed, made });
    }
    changed.modified_ms = cx.now;
    let mut batch = Batch::new();
    store::update(&mut batch, &changed, cx.now, lost(target))?;
    note(&mut batch, cx, target, "Patch");
    cx.db().commit(batch).await?;
    Ok(Changed { target: changed, made })
}

/// What still waits for it is told to nobody, and says so.
pub async fn delete(cx: &Cx, target: &Target) -> Result<()> {
    let mut batch = Batch::new();
    store::delete(&mut batch, target, lost(target));
    note(&mut batch, cx, target, "Delete");
    cx.db().commit(batch).await
}

/// What it says by itself, and whether this server may ask there at all.
fn check(cx: &Cx, doc: &Doc) -> Result<()> {
    let url = match doc {
        Doc::Webhook(doc) => {
            doc.check()?;
            Some(&doc.url)
        }
        Doc::TokenRevocation(doc) => {
            doc.check()?;
            Some(&doc.url)
        }
        Doc::Stream(_) => None,
    };
    match url.map(|url| cx.app.outgoing.check(url)) {
        Some(Err(failure)) => Err(Error::invalid(format!("Url: {failure}"))),
        _ => Ok(()),
    }
}

fn given_or_made(cx: &Cx, secret: Secret, made: &mut Option<String>) -> Result<String> {
    let Secret::Given(text) = secret else {
        let text = targets::new_webhook_secret(cx.rng());
        *made = Some(text.clone());
        return Ok(text);
    };
    if targets::webhook_key(&text).is_none() {
        return Err(Error::invalid(
            "Secret must be whsec_ and 24 to 64 random bytes in base64, as Standard Webhooks has them. Leave it out to have one made.",
        ));
    }
    Ok(text)
}

fn lost(target: &Target) -> Error {
    Error::conflict().because(&target.id)
}

fn note(batch: &mut Batch, cx: &Cx, target: &Target, verb: &str) {
    let noun = match target.doc.kind() {
        Kind::Webhook => "Webhook",
        Kind::Stream => "Stream",
        Kind::TokenRevocation => "TokenRevocation",
    };
    let (actor, action) = (Actor::Administrator, format!("{verb}{noun}"));
    audit::note(batch, cx, &target.pool_id, &actor, &action, &target.id, "ok", "");
}
