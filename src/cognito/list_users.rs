//! ListUsers.

use cenote_interface::types::*;

use super::admin_users::describe;
use super::{lookup, page};
use crate::account::list::{self, Filter};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::attributes;

const LIST: &str = "ListUsers";

pub async fn list_users(cx: Cx, input: ListUsersRequest) -> Result<ListUsersResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let wanted = input.attributes_to_get.as_deref();
    let is_there = |name: &String| name == "identities" || attributes::find(&pool, name).is_some();
    if !wanted.unwrap_or_default().iter().all(is_there) {
        return Err(Error::invalid("One or more requested attributes do not exist."));
    }
    let filter = input.filter.as_deref().map_or(Ok(None), Filter::parse)?;
    // A token goes on with the list that it was given out for, and so with its filter.
    let scope = format!("{LIST} {}", input.filter.as_deref().unwrap_or_default().trim());
    let cursor = page::decode(&cx, &scope, &pool.id, input.pagination_token.as_deref())?;
    let limit = input
        .limit
        .filter(|limit| *limit > 0)
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(60);

    let (users, next) = list::page(&cx, &pool, filter.as_ref(), &cursor, limit).await?;
    let users = users.iter().map(|user| {
        let mut user = describe(user);
        if let (Some(wanted), Some(attributes)) = (wanted, &mut user.attributes) {
            attributes.retain(|attribute| wanted.contains(&attribute.name));
        }
        user
    });
    Ok(ListUsersResponse {
        users: Some(users.collect()),
        pagination_token: next.map(|cursor| page::encode(&cx, &scope, &pool.id, &cursor)),
    })
}
