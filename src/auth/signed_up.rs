//! Who has just signed up and then confirms the sign-up in the same browser need not type the password again: it was proved by choosing
//! it. A challenge remembers that, and is answered through the machine like any other, so that locks, states and factors hold.

use super::challenge::{self, Doc};
use super::machine::Verdict;
use super::verdict::{Subject, after_password};
use super::{At, Outcome};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Status, User};
use crate::store::clocks::{self, BornOf};
use crate::store::{Batch, users};
use crate::tokens;

/// Makes the challenge for a user who was just made, and commits it: its handle.
pub async fn begin(cx: &Cx, at: At<'_>, user: &User) -> Result<String> {
    let mut batch = Batch::new();
    let birth = tokens::tick(cx, at.pool, at.client, user);
    let born_of = BornOf::Code(birth.ms());
    clocks::advance_clock(
        &mut batch,
        &at.pool.id,
        &user.sub,
        birth.ms(),
        born_of,
        Error::conflict(),
    );
    let doc = Doc::SignedUp { password_ver: user.password_ver };
    let handle = challenge::insert(cx, &mut batch, at, &user.sub, birth, &doc)?;
    cx.db().commit(batch).await?;
    Ok(handle)
}

/// Signs the user in, if nothing has ended the challenge, the password is still the one that was chosen, and the account may sign in.
pub async fn answer(cx: &Cx, at: At<'_>, session: &str) -> Result<Outcome> {
    let invalid = || Error::not_authorized("Invalid session for the user.");
    let open = challenge::find(cx, at, session).await?;
    let Doc::SignedUp { password_ver } = open.doc else { return Err(invalid()) };
    let user = users::find(cx.db(), &at.pool.id, &open.row.sub).await?.ok_or_else(invalid)?;
    open.check_alive(at, &user)?;
    if user.password_ver != password_ver {
        return Err(invalid());
    }
    let name = user.username.clone();
    let subject = Subject::of(cx, at, Some(user), name).await?;
    let mut batch = Batch::new();
    open.consume(cx, &mut batch, at);
    after_password(cx, at, &subject, Verdict::Right, batch, Some(open.row.birth_ms)).await
}

/// Whether the account of such a challenge, answered or not, waits for no code any more. Only the browser that signed up holds it, so
/// it may be told.
pub async fn is_confirmed(cx: &Cx, at: At<'_>, session: &str) -> Result<bool> {
    let Some(sub) = challenge::whose(cx, at, session).await? else { return Ok(false) };
    let user = users::find(cx.db(), &at.pool.id, &sub).await?;
    Ok(user.is_some_and(|user| user.status != Status::Unconfirmed))
}
