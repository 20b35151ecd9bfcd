//! Which scopes an app client can have at this moment. What was deleted from a resource server, or taken from the client, is in no
//! token that is signed after that.

use std::borrow::Cow;

use crate::cx::Cx;
use crate::error::Result;
use crate::pool::scopes::is_custom;
use crate::pool::{Client, Pool, TokenSession};

/// Those of the client's list that exist.
pub async fn of<'a>(cx: &Cx, pool: &Pool, client: &'a Client) -> Result<Vec<&'a str>> {
    let list = client.scopes().iter().map(String::as_str);
    if !list.clone().any(is_custom) {
        return Ok(list.collect());
    }
    let known = cx.app.directory.scopes(cx.db(), pool).await?;
    Ok(list.filter(|scope| !is_custom(scope) || known.contains(*scope)).collect())
}

/// Whether the client may read the addresses that these scopes ask for: each with the attribute that says whether it was verified.
pub fn are_readable(client: &Client, scope: &str) -> bool {
    scope.split(' ').all(|scope| match scope {
        "email" => client.may_read("email") && client.may_read("email_verified"),
        "phone" => client.may_read("phone_number") && client.may_read("phone_number_verified"),
        _ => true,
    })
}

/// The session without the scopes of resource servers that its client cannot have any more. The standard scopes are the user's own
/// data, and stay as the user granted them.
pub async fn still_granted<'a>(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    session: &'a TokenSession,
) -> Result<Cow<'a, TokenSession>> {
    if !session.scope.split(' ').any(is_custom) {
        return Ok(Cow::Borrowed(session));
    }
    let allowed = of(cx, pool, client).await?;
    let kept =
        session.scope.split(' ').filter(|scope| !is_custom(scope) || allowed.contains(scope));
    let scope = kept.collect::<Vec<_>>().join(" ");
    Ok(Cow::Owned(TokenSession { scope, ..session.clone() }))
}
