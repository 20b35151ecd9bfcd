//! What Cenote adds to pools and app clients, for doors and seed files that change it.

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::client::ClientExtensions;
use crate::pool::realm::Extensions;
use crate::pool::{Client, Pool, urls};
use crate::store::{Batch, pools};

/// Longer than any address that a relying party needs.
const MAX_URI: usize = 2_048;

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
    check_client(cx, &extensions)?;
    let mut changed = client.clone();
    changed.doc.extensions = extensions;
    let mut batch = Batch::new();
    pools::update_client(&mut batch, &changed, cx.now)?;
    let (pool, actor) = (&client.pool_id, Actor::Administrator);
    audit::note(&mut batch, cx, pool, &actor, "PatchClient", &client.id, "ok", "");
    cx.db().commit(batch).await
}

/// Addresses at which a relying party can learn of sign-outs. This server must be able to reach one, a browser the other.
pub fn check_client(cx: &Cx, extensions: &ClientExtensions) -> Result<()> {
    check_form(extensions)?;
    let Some(uri) = &extensions.backchannel_logout_uri else { return Ok(()) };
    cx.app
        .outgoing
        .check(uri)
        .map_err(|failure| Error::invalid(format!("BackchannelLogoutUri: {}", failure.message())))
}

/// The same as far as the text alone tells.
pub fn check_form(extensions: &ClientExtensions) -> Result<()> {
    if let Some(uri) = &extensions.backchannel_logout_uri {
        check_uri("BackchannelLogoutUri", uri)?;
    }
    if let Some(uri) = &extensions.frontchannel_logout_uri {
        check_uri("FrontchannelLogoutUri", uri)?;
        urls::check(uri).map_err(|error| located("FrontchannelLogoutUri", &error))?;
    }
    Ok(())
}

/// Anybody's browser or this server asks there, so it is a plain web address; an app's own scheme is none.
fn check_uri(member: &str, uri: &str) -> Result<()> {
    if uri.len() > MAX_URI {
        return Err(Error::invalid(format!("{member} has more than {MAX_URI} characters.")));
    }
    if !uri.starts_with("https://") && !uri.starts_with("http://") {
        return Err(Error::invalid(format!("{member}: {uri} must be an https address.")));
    }
    // The rules of redirect URIs but for plain http, which is another question at each of the two.
    let secure = uri.replacen("http://", "https://", 1);
    urls::check(&secure).map_err(|error| located(member, &error))
}

fn located(member: &str, error: &Error) -> Error {
    Error::invalid(format!("{member}: {}", error.message))
}
