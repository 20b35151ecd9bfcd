//! Identity providers, and the certificate that signs what they get from us.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cenote_interface::types::*;

use super::{Empty, lookup, page};
use crate::admin::providers as admin;
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::certificates;
use crate::pool::Provider;

pub async fn create_identity_provider(
    cx: Cx,
    input: CreateIdentityProviderRequest,
) -> Result<CreateIdentityProviderResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let provider = admin::create(&cx, &pool, &input).await?;
    // Read anew: making the provider changed the pool's version.
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    Ok(CreateIdentityProviderResponse {
        identity_provider: admin::describe(&cx, &pool, &provider).await?,
    })
}

pub async fn describe_identity_provider(
    cx: Cx,
    input: DescribeIdentityProviderRequest,
) -> Result<DescribeIdentityProviderResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let provider = admin::find(&cx, &pool, &input.provider_name).await?;
    Ok(DescribeIdentityProviderResponse {
        identity_provider: admin::describe(&cx, &pool, &provider).await?,
    })
}

pub async fn update_identity_provider(
    cx: Cx,
    input: UpdateIdentityProviderRequest,
) -> Result<UpdateIdentityProviderResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let provider = admin::update(&cx, &pool, &input).await?;
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    Ok(UpdateIdentityProviderResponse {
        identity_provider: admin::describe(&cx, &pool, &provider).await?,
    })
}

pub async fn delete_identity_provider(
    cx: Cx,
    input: DeleteIdentityProviderRequest,
) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    admin::delete(&cx, &pool, &input.provider_name).await?;
    Ok(Empty {})
}

pub async fn list_identity_providers(
    cx: Cx,
    input: ListIdentityProvidersRequest,
) -> Result<ListIdentityProvidersResponse> {
    const LIST: &str = "ListIdentityProviders";
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let size = input.max_results.filter(|size| *size > 0).unwrap_or(60);
    let after = page::decode(&cx, LIST, &pool.id, input.next_token.as_deref())?;
    let all = cx.app.directory.providers(cx.db(), &pool).await?;
    let rest = all.all().iter().filter(|provider| provider.name > after).collect();
    let (shown, next_token) =
        page::cut(&cx, LIST, &pool.id, rest, size, |provider| provider.name.clone());
    Ok(ListIdentityProvidersResponse {
        providers: shown.into_iter().map(summary).collect(),
        next_token,
    })
}

pub async fn get_identity_provider_by_identifier(
    cx: Cx,
    input: GetIdentityProviderByIdentifierRequest,
) -> Result<GetIdentityProviderByIdentifierResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let provider = admin::find_by_identifier(&cx, &pool, &input.idp_identifier).await?;
    Ok(GetIdentityProviderByIdentifierResponse {
        identity_provider: admin::describe(&cx, &pool, &provider).await?,
    })
}

pub async fn get_signing_certificate(
    cx: Cx,
    input: GetSigningCertificateRequest,
) -> Result<GetSigningCertificateResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let credential = certificates::signing(&cx, &pool).await?;
    Ok(GetSigningCertificateResponse {
        certificate: Some(BASE64_STANDARD.encode(credential.certificate())),
    })
}

fn summary(provider: &Provider) -> ProviderDescription {
    ProviderDescription {
        provider_name: Some(provider.name.clone()),
        provider_type: Some(provider.kind.as_str().to_owned()),
        last_modified_date: Some(provider.modified_ms as f64 / 1000.0),
        creation_date: Some(provider.created_ms as f64 / 1000.0),
    }
}
