//! Signing out everybody of a pool or of an app client at once: on purpose, or because a key that signs the pool's tokens, or a secret of
//! the client, may be in other hands.

use crate::ambient::Ms;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::Result;
use crate::ids;
use crate::pool::{Client, Pool};
use crate::signout::{self, End, Why};
use crate::store::{Batch, feed, pools};
use crate::tokens::ring;

/// Ends every session, code and token of the pool. The sign-out's id.
pub async fn sign_out(cx: &Cx, pool: &Pool) -> Result<String> {
    let end = End::Everybody { latest_ms: latest(cx, pool).await? };
    let mut batch = Batch::new();
    let signout_id = signout::end(cx, &mut batch, pool, &[end], Why::admin("sign_out_all"));
    let (actor, action) = (Actor::Administrator, "SignOutAll");
    audit::note(&mut batch, cx, &pool.id, &actor, action, &pool.id, "ok", &signout_id);
    cx.db().commit(batch).await?;
    Ok(signout_id)
}

/// Ends every token, code and half-done sign-in that an app client was given. Browser sessions live on. The sign-out's id.
pub async fn revoke_client_tokens(cx: &Cx, pool: &Pool, client: &Client) -> Result<String> {
    let end = End::ClientTokens { client, latest_ms: latest(cx, pool).await? };
    let mut batch = Batch::new();
    let signout_id =
        signout::end(cx, &mut batch, pool, &[end], Why::admin("client_tokens_revoked"));
    let (actor, action) = (Actor::Administrator, "RevokeClientTokens");
    audit::note(&mut batch, cx, &pool.id, &actor, action, &client.id, "ok", &signout_id);
    cx.db().commit(batch).await?;
    Ok(signout_id)
}

/// Refuses all that a signing key of the pool signed, and ends everything else too: what was given to whom under such a key is not known. The
/// sign-out's id; `None` if the key was revoked before.
pub async fn revoke_key(cx: &Cx, pool: &Pool, kid: &str, by: &Actor<'_>) -> Result<Option<String>> {
    let mut batch = Batch::new();
    if !ring::revoke(cx, &mut batch, pool, kid).await? {
        return Ok(None);
    }
    let ends = [End::Key { kid }, End::Everybody { latest_ms: latest(cx, pool).await? }];
    let signout_id = signout::end(cx, &mut batch, pool, &ends, Why::admin("signing_key_revoked"));
    audit::note(&mut batch, cx, &pool.id, by, "RevokeSigningKey", kid, "ok", &signout_id);
    cx.db().commit(batch).await?;
    Ok(Some(signout_id))
}

/// The same for a database that was restored: sign-outs that came after its backup are not in it, so that what it holds for alive may not be,
/// and a key that it trusts may have been revoked. Those who follow its revocation feed learn that it is another one, and keep what they
/// know.
pub async fn restored(cx: &Cx, pool: &Pool) -> Result<()> {
    let mut batch = Batch::new();
    let kids = ring::revoke_all(cx, &mut batch, pool).await?;
    let mut ends: Vec<End<'_>> = kids.iter().map(|kid| End::Key { kid }).collect();
    ends.push(End::Everybody { latest_ms: latest(cx, pool).await? });
    let signout_id = signout::end(cx, &mut batch, pool, &ends, Why::admin("restored"));
    feed::new_incarnation(&mut batch, &pool.id, &ids::incarnation(cx.rng()));
    audit::note(&mut batch, cx, &pool.id, &Actor::Operator, "Restore", &pool.id, "ok", &signout_id);
    cx.db().commit(batch).await
}

/// A boundary must lie above all that exists. Clocks of users may run ahead: a server whose own did once gave them births to come, and a
/// former boundary is itself ahead. Reading them all may take a while, in which others go on being born: so the clock is read
/// once more.
async fn latest(cx: &Cx, pool: &Pool) -> Result<Ms> {
    Ok(pools::latest_clock(cx.db(), &pool.id).await?.max(cx.app.clock.now_ms()))
}
