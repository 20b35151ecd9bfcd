//! Domains of pools.

use cenote_interface::types::*;

use super::lookup;
use crate::admin::domains as admin;
use crate::cx::Cx;
use crate::error::Result;
use crate::store::pools;

pub async fn create_user_pool_domain(
    cx: Cx,
    input: CreateUserPoolDomainRequest,
) -> Result<CreateUserPoolDomainResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let made = admin::create(&cx, &pool, &input).await?;
    Ok(CreateUserPoolDomainResponse {
        managed_login_version: made.managed_login_version,
        cloud_front_domain: target(&made),
        routing: made.routing,
    })
}

/// An unknown domain is described by nothing; it is no error.
pub async fn describe_user_pool_domain(
    cx: Cx,
    input: DescribeUserPoolDomainRequest,
) -> Result<DescribeUserPoolDomainResponse> {
    let found = pools::find_domain(cx.db(), &input.domain).await?;
    let description = found.map(|domain| admin::describe(&cx, &domain)).transpose()?;
    Ok(DescribeUserPoolDomainResponse { domain_description: Some(description.unwrap_or_default()) })
}

pub async fn update_user_pool_domain(
    cx: Cx,
    input: UpdateUserPoolDomainRequest,
) -> Result<UpdateUserPoolDomainResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let changed = admin::update(&cx, &pool, &input).await?;
    Ok(UpdateUserPoolDomainResponse {
        managed_login_version: changed.managed_login_version,
        cloud_front_domain: target(&changed),
        routing: changed.routing,
    })
}

pub async fn delete_user_pool_domain(
    cx: Cx,
    input: DeleteUserPoolDomainRequest,
) -> Result<DeleteUserPoolDomainResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    admin::delete(&cx, &pool, &input.domain).await?;
    Ok(DeleteUserPoolDomainResponse {})
}

/// Where the DNS of a custom domain must point; a prefix domain needs none.
fn target(domain: &DomainDescriptionType) -> Option<String> {
    domain.custom_domain_config.as_ref().and(domain.cloud_front_distribution.clone())
}
