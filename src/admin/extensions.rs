//! What Cenote adds to pools and app clients, for doors and seed files that change it.

use super::clients;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::client::ClientExtensions;
use crate::pool::realm::Extensions;
use crate::pool::{Client, Pool};
use crate::store::{Batch, pools};

/// Writes a pool's extensions, if nobody else changed the pool meanwhile. What is the same already is not written.
pub async fn set_of_pool(cx: &Cx, pool: &Pool, extensions: Extensions) -> Result<()> {
    if pool.doc.extensions == extensions {
        return Ok(());
    }
    let mut changed = pool.clone();
    changed.doc.extensions = extensions;
    let mut batch = Batch::new();
    pools::update(&mut batch, &changed, cx.now)?;
    audit::note(&mut batch, cx, &pool.id, &Actor::Administrator, "PatchPool", &pool.id, "ok", "");
    cx.db().commit(batch).await
}

/// The same for an app client.
pub async fn set_of_client(cx: &Cx, client: &Client, extensions: ClientExtensions) -> Result<()> {
    if client.doc.extensions == extensions {
        return Ok(());
    }
    clients::check_extensions(cx, &extensions)?;
    let mut changed = client.clone();
    changed.doc.extensions = extensions;
    let mut batch = Batch::new();
    pools::update_client(&mut batch, &changed, cx.now)?;
    let (pool, actor) = (&client.pool_id, Actor::Administrator);
    audit::note(&mut batch, cx, pool, &actor, "PatchClient", &client.id, "ok", "");
    cx.db().commit(batch).await
}
