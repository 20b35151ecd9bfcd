//! Webhooks, event streams and token revocation endpoints: making, changing and deleting them. What they may say is in `pool::target`.

use std::sync::Arc;

use crate::ambient::DAY;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind as Wrong, Result};
use crate::pool::target::stream::Method;
use crate::pool::target::{Doc, Kind, MAX_OF_A_KIND, StreamDoc, StreamSecret, WebhookSecret};
use crate::pool::{Client, Pool, Target};
use crate::store::{Batch, pools, targets as store};
use crate::targets::streams;
use crate::tokens::claims;
use crate::{ids, targets};

/// What is to become of a secret: of a webhook's, which signs, and of the header that a stream is pushed with.
pub enum Secret {
    Kept,
    /// A webhook's is made up here, and shown once; a stream has none.
    Fresh,
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
    let client = check(cx, pool, &doc).await?;
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
    let sealed = match &doc {
        Doc::Webhook(_) => {
            let text = given_or_made(cx, secret, &mut made)?;
            Some(targets::seal(cx, &pool.id, &id, &WebhookSecret::new(text))?)
        }
        Doc::Stream(doc) => match header(doc, secret)? {
            Some(header) => Some(targets::seal(cx, &pool.id, &id, &header)?),
            None => None,
        },
        Doc::TokenRevocation(_) => None,
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
    if let Some(client) = client {
        pools::touch_client(&mut batch, &client);
    }
    store::insert(&mut batch, &target)?;
    note(&mut batch, cx, &target, "Create");
    cx.db().commit(batch).await?;
    Ok(Changed { target, made })
}

/// Writes what changed, if nobody else did meanwhile. A webhook's old secret signs for one more day beside the new one; a stream's header
/// goes to no other address than the one that it was given for.
pub async fn change(
    cx: &Cx,
    pool: &Pool,
    target: &Target,
    doc: Doc,
    secret: Secret,
) -> Result<Changed> {
    let mut changed = Target { doc, ..target.clone() };
    let client = check(cx, pool, &changed.doc).await?;
    let mut made = None;
    let (pool_id, id) = (&target.pool_id, &target.id);
    match (&target.doc, &changed.doc, secret) {
        (Doc::Webhook(_), _, Secret::Kept) => {}
        (Doc::Webhook(_), _, secret) => {
            let text = given_or_made(cx, secret, &mut made)?;
            let next = match targets::open::<WebhookSecret>(cx, target)? {
                Some(old) => old.rotated(text, cx.now + DAY),
                None => WebhookSecret::new(text),
            };
            changed.secret = Some(targets::seal(cx, pool_id, id, &next)?);
        }
        (Doc::Stream(old), Doc::Stream(new), Secret::Kept)
            if old.endpoint_url == new.endpoint_url && new.method == Method::Push => {}
        (_, Doc::Stream(new), secret) => {
            changed.secret = match header(new, secret)? {
                Some(header) => Some(targets::seal(cx, pool_id, id, &header)?),
                None => None,
            };
        }
        _ => {}
    }
    if changed.doc == target.doc && changed.secret == target.secret {
        return Ok(Changed { target: changed, made });
    }
    changed.modified_ms = cx.now;
    let mut batch = Batch::new();
    let is_same_client = matches!((&target.doc, &changed.doc), (Doc::Stream(old), Doc::Stream(new)) if old.client_id == new.client_id);
    if let Some(client) = client.filter(|_| !is_same_client) {
        pools::touch_client(&mut batch, &client);
    }
    store::update(&mut batch, &changed, cx.now, lost(target))?;
    if let (Doc::Stream(old), Doc::Stream(new)) = (&target.doc, &changed.doc) {
        streams::settle(cx, &mut batch, target, new);
        // Its receiver did not ask for it (SSF 1.0, 8.1.2).
        if old.status != new.status {
            let iss = claims::issuer(&cx.app.settings, pool);
            streams::updated(cx, &mut batch, &iss, target, new);
        }
    }
    note(&mut batch, cx, target, "Patch");
    cx.db().commit(batch).await?;
    Ok(Changed { target: changed, made })
}

/// What still waits for it is told to nobody, and says so.
pub async fn delete(cx: &Cx, target: &Target) -> Result<()> {
    let mut batch = Batch::new();
    store::delete(&mut batch, target, lost(target));
    if matches!(target.doc, Doc::Stream(_)) {
        streams::bury(cx, &mut batch, target, "The stream was deleted.");
    }
    note(&mut batch, cx, target, "Delete");
    cx.db().commit(batch).await
}

/// Adds the end of the event streams of an app client that is deleted. One that is made meanwhile touches the client, so that its
/// deletion is decided anew.
pub async fn delete_streams_of(cx: &Cx, batch: &mut Batch, client: &Client) -> Result<()> {
    let all = store::list(cx.db(), &client.pool_id, Kind::Stream, None, MAX_OF_A_KIND).await?;
    for target in &all {
        let Doc::Stream(about) = &target.doc else { continue };
        if about.client_id.as_ref() == Some(&client.id) {
            store::delete(batch, target, lost(target));
            streams::bury(cx, batch, target, "The app client of the stream was deleted.");
            note(batch, cx, target, "Delete");
        }
    }
    Ok(())
}

/// What a document says by itself, whether this server may ask there at all, and whether its client exists: the answer is that client.
async fn check(cx: &Cx, pool: &Pool, doc: &Doc) -> Result<Option<Arc<Client>>> {
    check_form(doc)?;
    let (member, url) = match doc {
        Doc::Webhook(doc) => ("Url", Some(&doc.url)),
        Doc::TokenRevocation(doc) => ("Url", Some(&doc.url)),
        Doc::Stream(doc) => ("EndpointUrl", doc.endpoint_url.as_ref()),
    };
    if let Some(Err(failure)) = url.map(|url| cx.app.outgoing.check(url)) {
        return Err(Error::invalid(format!("{member}: {}", failure.message())));
    }
    let Doc::Stream(StreamDoc { client_id: Some(client_id), .. }) = doc else { return Ok(None) };
    let known = cx.app.directory.client(cx.db(), client_id).await?;
    match known.filter(|(owner, _)| owner.id == pool.id) {
        Some((_, client)) => Ok(Some(client)),
        None => Err(Error::invalid(format!(
            "ClientId: the user pool {} has no app client {client_id:?}.",
            pool.id
        ))),
    }
}

/// The same as far as the text alone tells.
pub fn check_form(doc: &Doc) -> Result<()> {
    match doc {
        Doc::Webhook(doc) => doc.check(),
        Doc::Stream(doc) => doc.check(),
        Doc::TokenRevocation(doc) => doc.check(),
    }
}

/// The header with which a stream is pushed, if there is to be one.
fn header(doc: &StreamDoc, secret: Secret) -> Result<Option<StreamSecret>> {
    let Secret::Given(authorization_header) = secret else { return Ok(None) };
    if doc.method != Method::Push {
        return Err(Error::invalid("AuthorizationHeader is only for streams that are pushed."));
    }
    let secret = StreamSecret { authorization_header };
    secret.check()?;
    Ok(Some(secret))
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
