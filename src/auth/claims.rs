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
    let mut losers: Vec<(User, User)> = Vec::new();
    for (kind, login) in names::logins(pool, new) {
        if had.iter().any(|(_, had)| *had == login) {
            continue;
        }
        let Some(owner) =
            users::by_login(cx.db(), pool, &login).await?.filter(|owner| owner.sub != new.sub)
        else {
            continue;
        };
        // Only a verified address that is an alias can be taken away: never a username, nor an address that is one, nor a
        // name that they chose.
        let named = |attribute: &str| {
            owner.doc.get(attribute).is_some_and(|value| names::fold(pool, value) == login)
        };
        let is_alias = matches!(kind, "email" | "phone_number")
            && named(kind)
            && !named("preferred_username")
            && names::fold(pool, &owner.username) != login
            && owner.sub != login
            && !pool.signs_in_with(kind);
        if !(force && is_alias) {
            return Err(refuse(kind));
        }
        // The address is no longer proved to be theirs: a code for them must not go to its new owner.
        let flag = format!("{kind}_verified");
        match losers.iter_mut().find(|(old, _)| old.sub == owner.sub) {
            Some((_, loser)) => loser.doc.set(&flag, "false"),
            None => {
                let mut loser = owner.clone();
                loser.doc.set(&flag, "false");
                losers.push((owner, loser));
            }
        }
    }
    // Everybody locks users in one order; with the flag the login goes.
    losers.sort_by(|(one, _), (other, _)| one.sub.cmp(&other.sub));
    for (owner, loser) in &losers {
        users::update(batch, pool, owner, loser, cx.now, &Error::conflict())?;
    }
    Ok(())
}

/// `An account with the email already exists.`
pub fn alias_exists(kind: &str) -> Error {
    Error::new(Kind::AliasExists, format!("An account with the {kind} already exists."))
}
