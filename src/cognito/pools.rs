//! User pools and their custom attributes.

use cenote_interface::types::*;

use super::{Empty, lookup, page};
use crate::admin::pools as admin;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::Pool;
use crate::store::pools;

pub async fn create_user_pool(
    cx: Cx,
    input: CreateUserPoolRequest,
) -> Result<CreateUserPoolResponse> {
    let pool = admin::create(&cx, &input).await?;
    Ok(CreateUserPoolResponse { user_pool: Some(admin::describe(&cx, &pool).await?) })
}

pub async fn describe_user_pool(
    cx: Cx,
    input: DescribeUserPoolRequest,
) -> Result<DescribeUserPoolResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    Ok(DescribeUserPoolResponse { user_pool: Some(admin::describe(&cx, &pool).await?) })
}

pub async fn update_user_pool(
    cx: Cx,
    input: UpdateUserPoolRequest,
) -> Result<UpdateUserPoolResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    admin::update(&cx, &pool, &input).await?;
    Ok(UpdateUserPoolResponse {})
}

pub async fn delete_user_pool(cx: Cx, input: DeleteUserPoolRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    admin::delete(&cx, &pool).await?;
    Ok(Empty {})
}

pub async fn list_user_pools(cx: Cx, input: ListUserPoolsRequest) -> Result<ListUserPoolsResponse> {
    const LIST: &str = "ListUserPools";
    let after = page::decode(&cx, LIST, "", input.next_token.as_deref())?;
    let found = pools::list(cx.db(), &after, input.max_results + 1).await?;
    let (shown, next_token) =
        page::cut(&cx, LIST, "", found, input.max_results, |pool| pool.id.clone());
    Ok(ListUserPoolsResponse { user_pools: Some(shown.iter().map(summary).collect()), next_token })
}

pub async fn add_custom_attributes(
    cx: Cx,
    input: AddCustomAttributesRequest,
) -> Result<AddCustomAttributesResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    admin::add_custom_attributes(&cx, &pool, &input.custom_attributes).await?;
    Ok(AddCustomAttributesResponse {})
}

fn summary(pool: &Pool) -> UserPoolDescriptionType {
    UserPoolDescriptionType {
        id: Some(pool.id.clone()),
        name: pool.model().name.clone(),
        lambda_config: pool.model().lambda_config.clone(),
        status: None,
        last_modified_date: Some(pool.modified_ms as f64 / 1000.0),
        creation_date: Some(pool.created_ms as f64 / 1000.0),
        replica_regions: None,
    }
}
