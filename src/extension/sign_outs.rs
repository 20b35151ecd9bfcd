//! Signing out all of a pool or of an app client, at an operator's word or because a key or a secret was stolen.

use serde_json::{Value, json};

use super::call::{Call, Reply};
use super::settings;
use crate::admin::everybody;
use crate::audit::Actor;
use crate::error::Result;
use crate::pool::Pool;

pub(super) async fn everybody(call: Call) -> Result<Reply> {
    let pool = call.pool().await?;
    let signout_id = everybody::sign_out(&call.cx, &pool).await?;
    Ok(Reply::ok(shown(&call, &pool, &signout_id)))
}

pub(super) async fn client(call: Call) -> Result<Reply> {
    let (pool, client) = settings::client(&call).await?;
    let signout_id = everybody::revoke_client_tokens(&call.cx, &pool, &client).await?;
    Ok(Reply::ok(shown(&call, &pool, &signout_id)))
}

pub(super) async fn revoke_key(call: Call) -> Result<Reply> {
    let (pool, kid) = (call.pool().await?, call.path("kid"));
    call.cx.is_about(&pool.id, Some(kid));
    let done = everybody::revoke_key(&call.cx, &pool, kid, &Actor::Administrator).await?;
    let sign_out = done.map(|signout_id| shown(&call, &pool, &signout_id));
    Ok(Reply::ok(json!({ "PoolId": pool.id, "Kid": kid, "SignOut": sign_out })))
}

fn shown(call: &Call, pool: &Pool, signout_id: &str) -> Value {
    let base = &call.cx.app.settings.public_url;
    json!({
        "PoolId": pool.id,
        "SignOutId": signout_id,
        "Receipt": format!("{base}/{}/sign-outs/{signout_id}", pool.id),
    })
}
