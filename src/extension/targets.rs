//! Webhooks, event streams and token revocation endpoints: three collections of one kind of thing.

use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::call::{Call, Reply, missing};
use super::patch;
use crate::admin::targets::{self as admin, Changed, Secret};
use crate::ambient::rfc3339;
use crate::cx::page;
use crate::error::{Error, Result};
use crate::pool::Target;
use crate::pool::target::{Doc, Kind, stream};
use crate::store::targets as store;

/// What a kind is called here.
struct Names {
    /// The collection in a path and in a list.
    path: &'static str,
    list: &'static str,
    schema: &'static str,
    people: &'static str,
}

fn names(kind: Kind) -> Names {
    match kind {
        Kind::Webhook => {
            Names { path: "webhooks", list: "Webhooks", schema: "WebhookPatch", people: "webhook" }
        }
        Kind::Stream => {
            Names { path: "streams", list: "Streams", schema: "StreamPatch", people: "stream" }
        }
        Kind::TokenRevocation => Names {
            path: "token-revocations",
            list: "TokenRevocations",
            schema: "TokenRevocationPatch",
            people: "token revocation endpoint",
        },
    }
}

pub(super) async fn list(call: Call, kind: Kind) -> Result<Reply> {
    let pool = call.pool().await?;
    let (Names { list, .. }, limit) = (names(kind), call.limit()?);
    let after = page::decode(&call.cx, list, &pool.id, call.next_token())?;
    let found = store::list(call.cx.db(), &pool.id, kind, Some(&after), limit + 1).await?;
    let (found, next) =
        page::cut(&call.cx, list, &pool.id, found, limit, |target| target.id.clone());
    let shown = found.iter().map(shown).collect::<Result<Vec<_>>>()?;
    Ok(Reply::ok(json!({ list: shown, "NextToken": next })))
}

pub(super) async fn create(call: Call, kind: Kind) -> Result<Reply> {
    let (pool, names) = (call.pool().await?, names(kind));
    let (doc, secret) = read(call.body(), kind, None)?;
    let secret = if matches!(secret, Secret::Kept) { Secret::Fresh } else { secret };
    let changed = admin::create(&call.cx, &pool, None, doc, secret).await?;
    let mut reply = answer(&changed)?;
    reply.status = StatusCode::CREATED;
    reply.location = Some(format!("/pools/{}/{}/{}", pool.id, names.path, changed.target.id));
    Ok(reply)
}

pub(super) async fn get(call: Call, kind: Kind) -> Result<Reply> {
    Ok(Reply::tagged(shown(&find(&call, kind).await?)?))
}

pub(super) async fn change(call: Call, kind: Kind) -> Result<Reply> {
    let (pool, target) = (call.pool().await?, find(&call, kind).await?);
    call.if_match(&shown(&target)?)?;
    let (doc, secret) = read(call.body(), kind, Some(&target.doc))?;
    answer(&admin::change(&call.cx, &pool, &target, doc, secret).await?)
}

pub(super) async fn delete(call: Call, kind: Kind) -> Result<Reply> {
    let target = find(&call, kind).await?;
    call.if_match(&shown(&target)?)?;
    admin::delete(&call.cx, &target).await?;
    Ok(Reply { status: StatusCode::NO_CONTENT, body: None, etag: None, location: None })
}

async fn find(call: &Call, kind: Kind) -> Result<Target> {
    let (pool, id) = (call.pool().await?, call.path("id"));
    let found = match super::call::is_id(id) {
        true => store::find(call.cx.db(), &pool.id, id).await?,
        false => None,
    };
    let target = found.filter(|target| target.doc.kind() == kind);
    let target = target.ok_or_else(|| missing(names(kind).people, id))?;
    call.cx.is_about(&pool.id, Some(&target.id));
    Ok(target)
}

/// The document that a body describes, and what it says of the secret; `of` is what it changes.
fn read(body: &Map<String, Value>, kind: Kind, of: Option<&Doc>) -> Result<(Doc, Secret)> {
    let schema = names(kind).schema;
    patch::check_members(body, schema, "")?;
    let mut members = body.clone();
    let hidden = if kind == Kind::Stream { "AuthorizationHeader" } else { "Secret" };
    let secret = match members.shift_remove(hidden) {
        None => Secret::Kept,
        Some(Value::Null) => Secret::Fresh,
        Some(Value::String(text)) => Secret::Given(text),
        Some(_) => return Err(Error::invalid(format!("{hidden} must be a text."))),
    };
    let doc = match (kind, of) {
        (Kind::Webhook, Some(Doc::Webhook(doc))) => Doc::Webhook(patch::changed(doc, &members)?),
        (Kind::Webhook, _) => Doc::Webhook(patch::made(&members)?),
        (Kind::Stream, Some(Doc::Stream(doc))) => Doc::Stream(patch::changed(doc, &members)?),
        (Kind::Stream, _) => Doc::Stream(patch::made(&members)?),
        (Kind::TokenRevocation, Some(Doc::TokenRevocation(doc))) => {
            Doc::TokenRevocation(patch::changed(doc, &members)?)
        }
        (Kind::TokenRevocation, _) => Doc::TokenRevocation(patch::made(&members)?),
    };
    Ok((doc, secret))
}

/// The answer to a change. Its ETag is of what is shown later: without the secret.
fn answer(changed: &Changed) -> Result<Reply> {
    let mut reply = Reply::tagged(shown(&changed.target)?);
    if let (Some(secret), Some(body)) = (&changed.made, &mut reply.body) {
        body["Secret"] = json!(secret);
    }
    Ok(reply)
}

fn shown(target: &Target) -> Result<Value> {
    let doc = match &target.doc {
        Doc::Webhook(doc) => serde_json::to_value(doc),
        Doc::Stream(doc) => serde_json::to_value(doc),
        Doc::TokenRevocation(doc) => serde_json::to_value(doc),
    };
    let mut shown = Map::from_iter([("Id".to_owned(), json!(target.id))]);
    if let Value::Object(doc) = doc.map_err(Error::internal)? {
        shown.extend(doc);
        stream::OWN.iter().for_each(|own| drop(shown.shift_remove(*own)));
    }
    let dates = [("CreationDate", target.created_ms), ("LastModifiedDate", target.modified_ms)];
    shown.extend(dates.map(|(name, at)| (name.to_owned(), json!(rfc3339(at)))));
    Ok(Value::Object(shown))
}
