//! Resource servers and their scopes.

use cenote_interface::types::*;

use super::{Empty, lookup, page};
use crate::admin::resource_servers as admin;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::scopes::ResourceServer;
use crate::store::resource_servers as store;

pub async fn create_resource_server(
    cx: Cx,
    input: CreateResourceServerRequest,
) -> Result<CreateResourceServerResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let made = admin::create(&cx, &pool, &input.identifier, &input.name, input.scopes).await?;
    Ok(CreateResourceServerResponse { resource_server: describe(made) })
}

pub async fn describe_resource_server(
    cx: Cx,
    input: DescribeResourceServerRequest,
) -> Result<DescribeResourceServerResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let found = admin::find(&cx, &pool, &input.identifier).await?;
    Ok(DescribeResourceServerResponse { resource_server: describe(found) })
}

pub async fn update_resource_server(
    cx: Cx,
    input: UpdateResourceServerRequest,
) -> Result<UpdateResourceServerResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let changed = admin::update(&cx, &pool, &input.identifier, &input.name, input.scopes).await?;
    Ok(UpdateResourceServerResponse { resource_server: describe(changed) })
}

pub async fn delete_resource_server(cx: Cx, input: DeleteResourceServerRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    admin::delete(&cx, &pool, &input.identifier).await?;
    Ok(Empty {})
}

pub async fn list_resource_servers(
    cx: Cx,
    input: ListResourceServersRequest,
) -> Result<ListResourceServersResponse> {
    const LIST: &str = "ListResourceServers";
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let size = input.max_results.unwrap_or(50);
    let after = page::decode(&cx, LIST, &pool.id, input.next_token.as_deref())?;
    let found = store::list(cx.db(), &pool.id, &after, size + 1).await?;
    let (shown, next_token) =
        page::cut(&cx, LIST, &pool.id, found, size, |server| server.identifier.clone());
    Ok(ListResourceServersResponse {
        resource_servers: shown.into_iter().map(describe).collect(),
        next_token,
    })
}

fn describe(server: ResourceServer) -> ResourceServerType {
    ResourceServerType {
        user_pool_id: Some(server.pool_id),
        identifier: Some(server.identifier),
        name: Some(server.doc.name),
        scopes: Some(server.doc.scopes),
        managed_by: None,
    }
}
