//! The names that a user signs in with are claimed one by one: who has one already, and when an address may be taken
//! away from whoever had it as an alias.

use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::{Pool, User, names};
use crate::store::{Batch, users};

/// Refuses names of `new` that are somebody else's, or another user's `sub`: an administrator who names that `sub` must not reach
/// the wrong user. `force` (ForceAliasCreation) takes aliases away from their old owners; it comes before `users::insert` or
/// `users::update` in the batch. `refuse` words the refusal by the kind of name. A race for a name is a conflict of the batch.
pub async fn claim(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    old: Option<&User>,
    new: &User,
    force: bool,
    refuse: impl Fn(&str) -> Error,
) -> Result<()> {
    let had = old.map(|old| names::logins(pool, old)).unwrap_or_default();
    for (kind, login) in names::logins(pool, new) {
        if had.iter().any(|(_, had)| *had == login) {
            continue;
        }
        let Some(owner) =
            users::by_login(cx.db(), pool, &login).await?.filter(|owner| owner.sub != new.sub)
        else {
            continue;
        };
        // Only an alias can be taken away: never a username, nor an address that is one.
        let is_alias = names::fold(pool, &owner.username) != login
            && owner.sub != login
            && !pool.signs_in_with(kind);
        if !(force && is_alias && kind != "preferred_username") {
            return Err(refuse(kind));
        }
        // The address is no longer proved to be theirs: a code for them must not go to its new owner.
        let mut loser = owner.clone();
        loser.doc.set(&format!("{kind}_verified"), "false");
        users::update(batch, pool, &owner, &loser, cx.now, &Error::conflict())?;
        users::release_login(batch, &pool.id, &login, &new.sub);
    }
    Ok(())
}

/// `An account with the email already exists.`
pub fn alias_exists(kind: &str) -> Error {
    Error::new(Kind::AliasExists, format!("An account with the {kind} already exists."))
}
