//! Secrets of app clients. Only the answer that made one up shows it.

use cenote_interface::types::*;

use super::{lookup, page};
use crate::admin::clients as admin;
use crate::cx::Cx;
use crate::error::Result;

pub async fn add_user_pool_client_secret(
    cx: Cx,
    input: AddUserPoolClientSecretRequest,
) -> Result<AddUserPoolClientSecretResponse> {
    let (_, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    let added = admin::add_secret(&cx, &client, input.client_secret.as_deref()).await?;
    Ok(AddUserPoolClientSecretResponse {
        client_secret_descriptor: Some(ClientSecretDescriptorType {
            client_secret_id: Some(added.id),
            client_secret_value: added.generated,
            client_secret_create_date: Some(added.created_ms as f64 / 1000.0),
        }),
    })
}

/// There are at most two, so there is never a second page; a token that was not given out is refused all the same.
pub async fn list_user_pool_client_secrets(
    cx: Cx,
    input: ListUserPoolClientSecretsRequest,
) -> Result<ListUserPoolClientSecretsResponse> {
    let (pool, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    page::decode(&cx, "ListUserPoolClientSecrets", &pool.id, input.next_token.as_deref())?;
    let secrets = client.doc.secrets.iter().map(|secret| ClientSecretDescriptorType {
        client_secret_id: Some(secret.id.clone()),
        client_secret_value: None,
        client_secret_create_date: Some(secret.created_ms as f64 / 1000.0),
    });
    Ok(ListUserPoolClientSecretsResponse {
        client_secrets: Some(secrets.collect()),
        next_token: None,
    })
}

pub async fn delete_user_pool_client_secret(
    cx: Cx,
    input: DeleteUserPoolClientSecretRequest,
) -> Result<DeleteUserPoolClientSecretResponse> {
    let (_, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    admin::delete_secret(&cx, &client, &input.client_secret_id).await?;
    Ok(DeleteUserPoolClientSecretResponse {})
}
