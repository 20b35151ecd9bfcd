//! Linking users to identities at providers, and undoing it, as Cognito words it.

use cenote_interface::types::*;

use super::lookup;
use crate::account::linking::{self, Named};
use crate::cx::Cx;
use crate::error::{Error, Result};

pub async fn admin_link_provider_for_user(
    cx: Cx,
    input: AdminLinkProviderForUserRequest,
) -> Result<AdminLinkProviderForUserResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let destination = named("DestinationUser", &input.destination_user)?;
    let source = named("SourceUser", &input.source_user)?;
    linking::link(&cx, &pool, destination, source).await?;
    Ok(AdminLinkProviderForUserResponse {})
}

pub async fn admin_disable_provider_for_user(
    cx: Cx,
    input: AdminDisableProviderForUserRequest,
) -> Result<AdminDisableProviderForUserResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    linking::disable(&cx, &pool, named("User", &input.user)?).await?;
    Ok(AdminDisableProviderForUserResponse {})
}

/// The attribute's name is not needed everywhere.
fn named<'a>(member: &str, user: &'a ProviderUserIdentifierType) -> Result<Named<'a>> {
    let given = |name: &str, value: &'a Option<String>| {
        value
            .as_deref()
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Error::invalid(format!("Missing required parameter {member}.{name}")))
    };
    Ok(Named {
        provider: given("ProviderName", &user.provider_name)?,
        attribute: user.provider_attribute_name.as_deref().unwrap_or_default(),
        value: given("ProviderAttributeValue", &user.provider_attribute_value)?,
    })
}
