//! What Cenote adds to pools and app clients: the `Extensions` that a seed file has, too.

use std::sync::Arc;

use serde_json::{Value, json};

use super::call::{Call, Reply, missing};
use super::patch;
use crate::admin::extensions;
use crate::error::Result;
use crate::pool::{Client, Pool};

pub(super) async fn get_pool(call: Call) -> Result<Reply> {
    Ok(Reply::tagged(shown_pool(&*call.pool().await?)))
}

pub(super) async fn patch_pool(call: Call) -> Result<Reply> {
    let pool = call.pool().await?;
    call.if_match(&shown_pool(&pool))?;
    patch::check_members(call.body(), "PoolPatch", "")?;
    let given = call.body().get("Extensions");
    let wanted = patch::merged(&pool.doc.extensions, given, "Pool.Extensions", "Extensions")?;
    let mut changed = (*pool).clone();
    changed.doc.extensions = wanted.clone();
    extensions::set_of_pool(&call.cx, &pool, wanted).await?;
    Ok(Reply::tagged(shown_pool(&changed)))
}

pub(super) async fn get_client(call: Call) -> Result<Reply> {
    let (_, client) = client(&call).await?;
    Ok(Reply::tagged(shown_client(&client)))
}

pub(super) async fn patch_client(call: Call) -> Result<Reply> {
    let (_, client) = client(&call).await?;
    call.if_match(&shown_client(&client))?;
    patch::check_members(call.body(), "ClientPatch", "")?;
    let given = call.body().get("Extensions");
    let wanted = patch::merged(&client.doc.extensions, given, "Client.Extensions", "Extensions")?;
    let mut changed = (*client).clone();
    changed.doc.extensions = wanted.clone();
    extensions::set_of_client(&call.cx, &client, wanted).await?;
    Ok(Reply::tagged(shown_client(&changed)))
}

/// The app client that the path names, of the pool that it names.
pub(super) async fn client(call: &Call) -> Result<(Arc<Pool>, Arc<Client>)> {
    let (pool, id) = (call.pool().await?, call.path("client"));
    let possible = id.len() <= 128 && !id.contains('\0');
    let found = match possible {
        true => call.cx.app.directory.client(call.cx.db(), id).await?,
        false => None,
    };
    match found.filter(|(owner, _)| owner.id == pool.id) {
        Some((pool, client)) => {
            call.cx.is_about(&pool.id, Some(&client.id));
            Ok((pool, client))
        }
        None => Err(missing("app client", id)),
    }
}

fn shown_pool(pool: &Pool) -> Value {
    json!({ "Id": pool.id, "Extensions": pool.doc.extensions })
}

fn shown_client(client: &Client) -> Value {
    json!({ "PoolId": client.pool_id, "ClientId": client.id, "Extensions": client.doc.extensions })
}
