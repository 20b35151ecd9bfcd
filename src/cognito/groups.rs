//! Groups, and the users in them.

use cenote_interface::types::*;

use super::admin_users::{describe as describe_user, seconds};
use super::{Empty, lookup, page};
use crate::account::groups as members;
use crate::admin::groups as admin;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Group, Pool};
use crate::store::groups;

pub async fn create_group(cx: Cx, input: CreateGroupRequest) -> Result<CreateGroupResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let group = admin::create(&cx, &pool, &input).await?;
    Ok(CreateGroupResponse { group: Some(describe(&group)) })
}

pub async fn get_group(cx: Cx, input: GetGroupRequest) -> Result<GetGroupResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let group = find(&cx, &pool, &input.group_name).await?;
    Ok(GetGroupResponse { group: Some(describe(&group)) })
}

pub async fn update_group(cx: Cx, input: UpdateGroupRequest) -> Result<UpdateGroupResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let group = find(&cx, &pool, &input.group_name).await?;
    let changed = admin::update(&cx, group, &input).await?;
    Ok(UpdateGroupResponse { group: Some(describe(&changed)) })
}

pub async fn delete_group(cx: Cx, input: DeleteGroupRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let group = find(&cx, &pool, &input.group_name).await?;
    admin::delete(&cx, &group).await?;
    Ok(Empty {})
}

pub async fn list_groups(cx: Cx, input: ListGroupsRequest) -> Result<ListGroupsResponse> {
    const LIST: &str = "ListGroups";
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let size = page_size(input.limit);
    let after = page::decode(&cx, LIST, &pool.id, input.next_token.as_deref())?;
    let found = groups::list(cx.db(), &pool.id, &after, size + 1).await?;
    let (shown, next_token) =
        page::cut(&cx, LIST, &pool.id, found, size, |group| group.key.clone());
    Ok(ListGroupsResponse { groups: Some(shown.iter().map(describe).collect()), next_token })
}

pub async fn list_users_in_group(
    cx: Cx,
    input: ListUsersInGroupRequest,
) -> Result<ListUsersInGroupResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let group = find(&cx, &pool, &input.group_name).await?;
    let list = format!("ListUsersInGroup {}", group.key);
    let size = page_size(input.limit);
    let after = page::decode(&cx, &list, &pool.id, input.next_token.as_deref())?;
    let found = groups::members(cx.db(), &group, &after, size + 1).await?;
    let (shown, next_token) = page::cut(&cx, &list, &pool.id, found, size, |user| user.sub.clone());
    Ok(ListUsersInGroupResponse {
        users: Some(shown.iter().map(describe_user).collect()),
        next_token,
    })
}

pub async fn admin_add_user_to_group(cx: Cx, input: AdminAddUserToGroupRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let group = find_for(&cx, &pool, &input.group_name).await?;
    members::add(&cx, &user, &group).await?;
    Ok(Empty {})
}

pub async fn admin_remove_user_from_group(
    cx: Cx,
    input: AdminRemoveUserFromGroupRequest,
) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let group = find_for(&cx, &pool, &input.group_name).await?;
    members::remove(&cx, &user, &group).await?;
    Ok(Empty {})
}

pub async fn admin_list_groups_for_user(
    cx: Cx,
    input: AdminListGroupsForUserRequest,
) -> Result<AdminListGroupsForUserResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let list = format!("AdminListGroupsForUser {}", user.sub);
    let size = page_size(input.limit);
    let after = page::decode(&cx, &list, &pool.id, input.next_token.as_deref())?;
    let found = groups::of_user(cx.db(), &user, &after, size + 1).await?;
    let (shown, next_token) =
        page::cut(&cx, &list, &pool.id, found, size, |group| group.key.clone());
    Ok(AdminListGroupsForUserResponse {
        groups: Some(shown.iter().map(describe).collect()),
        next_token,
    })
}

/// The group that a request is about.
async fn find(cx: &Cx, pool: &Pool, name: &str) -> Result<Group> {
    let group = find_for(cx, pool, name).await?;
    cx.is_about(&pool.id, Some(&group.doc.name));
    Ok(group)
}

/// The group to or from which a request moves a user: it is the user whom the audit trail names.
async fn find_for(cx: &Cx, pool: &Pool, name: &str) -> Result<Group> {
    admin::find(cx, pool, name).await?.ok_or_else(|| Error::not_found("Group not found."))
}

/// No limit and a limit of zero mean as many as a page holds.
fn page_size(limit: Option<i64>) -> i64 {
    limit.filter(|limit| *limit > 0).unwrap_or(60)
}

fn describe(group: &Group) -> GroupType {
    let doc = &group.doc;
    GroupType {
        group_name: Some(doc.name.clone()),
        user_pool_id: Some(group.pool_id.clone()),
        description: doc.description.clone(),
        role_arn: doc.role_arn.clone(),
        precedence: doc.precedence,
        last_modified_date: seconds(group.modified_ms),
        creation_date: seconds(group.created_ms),
    }
}
