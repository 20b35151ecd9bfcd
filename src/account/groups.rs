//! Who is in which group. Tokens say it from the next one on; those that were given out stay as they are.

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Group, User};
use crate::store::{Batch, groups, users};

/// Each of them is in every token of the user.
const MAX_GROUPS: usize = 100;

/// AdminAddUserToGroup. Whoever is in the group already stays in it.
pub async fn add(cx: &Cx, user: &User, group: &Group) -> Result<()> {
    let mine = of(cx, user).await?;
    if mine.iter().any(|other| other.key == group.key) {
        return Ok(());
    }
    if mine.len() >= MAX_GROUPS {
        return Err(too_many());
    }
    let mut batch = Batch::new();
    // What was counted still holds, and the user is not being deleted.
    users::hold(&mut batch, user);
    enter(cx, &mut batch, &user.sub, group);
    cx.db().commit(batch).await
}

/// Adds a user whom the batch makes to these groups.
pub(super) fn join(cx: &Cx, batch: &mut Batch, sub: &str, groups: &[Group]) -> Result<()> {
    if groups.len() > MAX_GROUPS {
        return Err(too_many());
    }
    for group in groups {
        enter(cx, batch, sub, group);
    }
    Ok(())
}

fn enter(cx: &Cx, batch: &mut Batch, sub: &str, group: &Group) {
    groups::hold(batch, group);
    groups::insert_member(batch, group, sub, cx.now);
    note(batch, cx, sub, group, "AdminAddUserToGroup");
}

/// AdminRemoveUserFromGroup. Whoever is not in the group stays out of it.
pub async fn remove(cx: &Cx, user: &User, group: &Group) -> Result<()> {
    if !of(cx, user).await?.iter().any(|other| other.key == group.key) {
        return Ok(());
    }
    let mut batch = Batch::new();
    groups::delete_member(&mut batch, group, &user.sub);
    note(&mut batch, cx, &user.sub, group, "AdminRemoveUserFromGroup");
    cx.db().commit(batch).await
}

async fn of(cx: &Cx, user: &User) -> Result<Vec<Group>> {
    groups::of_user(cx.db(), user, "", i64::try_from(MAX_GROUPS).unwrap_or(i64::MAX)).await
}

/// Cognito declares no LimitExceeded here.
fn too_many() -> Error {
    Error::invalid(format!("A user can belong to at most {MAX_GROUPS} groups."))
}

fn note(batch: &mut Batch, cx: &Cx, sub: &str, group: &Group, action: &str) {
    audit::note(
        batch,
        cx,
        &group.pool_id,
        &Actor::Administrator,
        action,
        sub,
        "ok",
        &group.doc.name,
    );
}
