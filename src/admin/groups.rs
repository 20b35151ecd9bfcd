//! Groups of a pool: making, changing and deleting them. Who is in them is in `account::groups`.

use cenote_interface::types::{CreateGroupRequest, UpdateGroupRequest};

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::group::GroupDoc;
use crate::pool::{Group, Pool, names};
use crate::store::{Batch, groups, pools};

const MAX_GROUPS: i64 = 10_000;
/// As Cognito documents it: 2^31 - 1.
const MAX_PRECEDENCE: i64 = i32::MAX as i64;
/// Members that one batch removes, so that no sign-in waits behind a large group.
const CHUNK: i64 = 1_000;

/// The group of this name. Names are compared as the pool compares those of users.
pub async fn find(cx: &Cx, pool: &Pool, name: &str) -> Result<Option<Group>> {
    groups::find(cx.db(), &pool.id, &names::fold(pool, name)).await
}

pub async fn create(cx: &Cx, pool: &Pool, request: &CreateGroupRequest) -> Result<Group> {
    let exists = || Error::new(Kind::GroupExists, "A group with the name already exists.");
    let group = Group {
        pool_id: pool.id.clone(),
        key: names::fold(pool, &request.group_name),
        doc: GroupDoc {
            name: request.group_name.clone(),
            description: request.description.clone().filter(|text| !text.is_empty()),
            role_arn: request.role_arn.clone(),
            precedence: precedence(request.precedence)?,
        },
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    if groups::find(cx.db(), &pool.id, &group.key).await?.is_some() {
        return Err(exists());
    }
    if groups::count(cx.db(), &pool.id).await? >= MAX_GROUPS {
        return Err(Error::new(
            Kind::LimitExceeded,
            format!("A user pool can have at most {MAX_GROUPS} groups."),
        ));
    }
    let mut batch = Batch::new();
    // What was counted still holds, and the pool is not being deleted.
    pools::hold(&mut batch, pool);
    groups::insert(&mut batch, &group, exists())?;
    note(&mut batch, cx, &group, "CreateGroup");
    cx.db().commit(batch).await?;
    Ok(group)
}

/// What is not named stays. An empty description takes it away; a role or a precedence, once set, can only be replaced.
pub async fn update(cx: &Cx, mut group: Group, request: &UpdateGroupRequest) -> Result<Group> {
    let named =
        request.description.is_some() || request.role_arn.is_some() || request.precedence.is_some();
    if !named {
        return Ok(group);
    }
    if let Some(description) = &request.description {
        group.doc.description = Some(description.clone()).filter(|text| !text.is_empty());
    }
    group.doc.role_arn = request.role_arn.clone().or(group.doc.role_arn);
    group.doc.precedence = precedence(request.precedence)?.or(group.doc.precedence);
    group.modified_ms = cx.now;
    let mut batch = Batch::new();
    groups::update(&mut batch, &group, cx.now)?;
    note(&mut batch, cx, &group, "UpdateGroup");
    cx.db().commit(batch).await?;
    Ok(group)
}

/// Deletes a group; its members are in it no longer. A large group is emptied in pieces before it goes.
pub async fn delete(cx: &Cx, group: &Group) -> Result<()> {
    while groups::has_more_than(cx.db(), group, CHUNK).await? {
        let mut batch = Batch::new();
        groups::hold(&mut batch, group);
        groups::delete_members(&mut batch, group, CHUNK);
        cx.db().commit(batch).await?;
    }
    let mut batch = Batch::new();
    groups::delete(&mut batch, group);
    note(&mut batch, cx, group, "DeleteGroup");
    cx.db().commit(batch).await
}

fn precedence(given: Option<i64>) -> Result<Option<i64>> {
    match given {
        Some(given) if given > MAX_PRECEDENCE => {
            Err(Error::invalid(format!("Precedence can be at most {MAX_PRECEDENCE}.")))
        }
        given => Ok(given),
    }
}

fn note(batch: &mut Batch, cx: &Cx, group: &Group, action: &str) {
    audit::note(
        batch,
        cx,
        &group.pool_id,
        &Actor::Administrator,
        action,
        &group.doc.name,
        "ok",
        "",
    );
}
