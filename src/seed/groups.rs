//! Groups in a seed file: those that a pool lists, with the members of CreateGroup, and the names that a user lists.

use cenote_interface::types::CreateGroupRequest;
use serde_json::{Value, json};

use super::apply::find;
use super::{Object, object};
use crate::admin::groups;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::Group;

pub struct GroupSeed {
    pub at: String,
    request: CreateGroupRequest,
}

/// One of a pool's `Groups`.
pub fn group(pool_id: &str, mut group: Object) -> Result<GroupSeed> {
    if let Some(name) = group.members.get("GroupName").and_then(Value::as_str) {
        group.at = format!("{} ({name})", group.at);
    }
    group.no_pool_id()?;
    group.members.insert("UserPoolId".to_owned(), json!(pool_id));
    Ok(GroupSeed { at: group.at.clone(), request: group.request("CreateGroup")? })
}

/// A user's `Groups`: names.
pub fn names(pool_id: &str, username: &str, user: &mut Object) -> Result<Vec<String>> {
    let listed = user.list("Groups")?.unwrap_or_default();
    let read = |value| {
        let Value::String(name) = value else {
            return Err(user.wrong("has Groups that are not a list of names"));
        };
        // The limits of the API on names, in its words.
        let members =
            json!({ "UserPoolId": pool_id, "Username": username, "GroupName": name.as_str() });
        Object { at: format!("{}.Groups", user.at), members: object(members) }
            .check("AdminAddUserToGroup")?;
        Ok(name)
    };
    listed.into_iter().map(read).collect()
}

/// A group that exists stays as it is.
pub async fn apply(cx: &Cx, pool_id: &str, seed: &GroupSeed) -> Result<()> {
    make(cx, pool_id, &seed.request).await.map(drop)
}

/// The groups of these names, each once; those that do not exist are made.
pub async fn named(cx: &Cx, pool_id: &str, names: &[String]) -> Result<Vec<Group>> {
    let mut found: Vec<Group> = Vec::new();
    for name in names {
        let request = CreateGroupRequest {
            group_name: name.clone(),
            user_pool_id: pool_id.to_owned(),
            ..CreateGroupRequest::default()
        };
        let group = make(cx, pool_id, &request).await?;
        if !found.iter().any(|other| other.key == group.key) {
            found.push(group);
        }
    }
    Ok(found)
}

async fn make(cx: &Cx, pool_id: &str, request: &CreateGroupRequest) -> Result<Group> {
    // Read anew each time: making a group changes the pool's version.
    let pool = find(cx, pool_id).await?;
    match groups::find(cx, &pool, &request.group_name).await? {
        Some(group) => Ok(group),
        None => groups::create(cx, &pool, request).await,
    }
}
