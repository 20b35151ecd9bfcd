//! What an app client gets for itself, without a user: the client-credentials grant (RFC 6749, 4.4), at whichever door.

use super::mint::{self, Issued};
use super::scopes;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::scopes::{Wrong, choose, is_custom};
use crate::pool::{Client, Pool};

/// An access token for the scopes that are asked for, or for all that the client has. Only scopes of resource servers: the standard
/// ones are about a user. The door has checked that the client may.
pub async fn token<'a>(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    asked: Option<&'a str>,
) -> Result<Result<Issued, Wrong<'a>>> {
    // Of the triggers, only version 3 of the one before tokens is called for clients.
    let trigger = pool.model().lambda_config.as_ref();
    let trigger = trigger.and_then(|lambda| lambda.pre_token_generation_config.as_ref());
    if trigger.is_some_and(|trigger| trigger.lambda_version == "V3_0") {
        pool.refuse_unbuilt_triggers(&["PreTokenGenerationConfig"])?;
    }
    let mut allowed = scopes::of(cx, pool, client).await?;
    allowed.retain(|scope| is_custom(scope));
    let scope = match choose(&allowed, asked) {
        Ok(scope) => scope,
        Err(wrong) => return Ok(Err(wrong)),
    };
    let birth = super::tick_machine(cx, pool, client);
    mint::issue_machine(cx, pool, client, &scope, birth).await.map(Ok)
}
