//! App clients.

use cenote_interface::types::*;

use super::{Empty, lookup, page};
use crate::admin::clients as admin;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::Client;
use crate::store::pools;

pub async fn create_user_pool_client(
    cx: Cx,
    input: CreateUserPoolClientRequest,
) -> Result<CreateUserPoolClientResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let client = admin::create(&cx, &pool, &input).await?;
    Ok(CreateUserPoolClientResponse { user_pool_client: Some(admin::describe(&cx, &client)?) })
}

pub async fn describe_user_pool_client(
    cx: Cx,
    input: DescribeUserPoolClientRequest,
) -> Result<DescribeUserPoolClientResponse> {
    let (_, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    Ok(DescribeUserPoolClientResponse { user_pool_client: Some(admin::describe(&cx, &client)?) })
}

pub async fn update_user_pool_client(
    cx: Cx,
    input: UpdateUserPoolClientRequest,
) -> Result<UpdateUserPoolClientResponse> {
    let (pool, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    let changed = admin::update(&cx, &pool, &client, &input).await?;
    Ok(UpdateUserPoolClientResponse { user_pool_client: Some(admin::describe(&cx, &changed)?) })
}

pub async fn delete_user_pool_client(cx: Cx, input: DeleteUserPoolClientRequest) -> Result<Empty> {
    let (pool, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    admin::delete(&cx, &pool, &client).await?;
    Ok(Empty {})
}

pub async fn list_user_pool_clients(
    cx: Cx,
    input: ListUserPoolClientsRequest,
) -> Result<ListUserPoolClientsResponse> {
    const LIST: &str = "ListUserPoolClients";
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let size = input.max_results.unwrap_or(60);
    let after = page::decode(&cx, LIST, &pool.id, input.next_token.as_deref())?;
    // No client registers itself yet, so none is of the type DCR.
    let found = match input.client_type.as_deref() {
        Some("DCR") => Vec::new(),
        _ => pools::list_clients(cx.db(), &pool.id, &after, size + 1).await?,
    };
    let (shown, next_token) =
        page::cut(&cx, LIST, &pool.id, found, size, |client| client.id.clone());
    Ok(ListUserPoolClientsResponse {
        user_pool_clients: Some(shown.iter().map(summary).collect()),
        next_token,
    })
}

fn summary(client: &Client) -> UserPoolClientDescription {
    UserPoolClientDescription {
        client_id: Some(client.id.clone()),
        user_pool_id: Some(client.pool_id.clone()),
        client_name: client.model().client_name.clone(),
    }
}
