//! What administrators do to users, as Cognito words it.

use cenote_interface::types::*;

use super::{Empty, lookup};
use crate::account::admin::{self, NewUser};
use crate::account::attributes::{self as change, By};
use crate::account::{password, recovery};
use crate::ambient::Ms;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::{User, attributes};

pub async fn admin_create_user(
    cx: Cx,
    input: AdminCreateUserRequest,
) -> Result<AdminCreateUserResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let pairs = attributes::pairs(input.user_attributes.as_deref().unwrap_or_default());
    let new = NewUser {
        name: &input.username,
        attributes: &pairs,
        temporary_password: input
            .temporary_password
            .as_deref()
            .filter(|password| !password.is_empty()),
        mediums: input.desired_delivery_mediums.as_deref(),
        force_alias: input.force_alias_creation.unwrap_or(false),
        silent: input.message_action.as_deref() == Some("SUPPRESS"),
    };
    let user = if input.message_action.as_deref() == Some("RESEND") {
        let user = lookup::user(&cx, &pool, &input.username).await?;
        admin::invite_again(&cx, &pool, user, new).await?
    } else {
        admin::create(&cx, &pool, new).await?
    };
    Ok(AdminCreateUserResponse { user: Some(describe(&user)) })
}

pub async fn admin_get_user(cx: Cx, input: AdminGetUserRequest) -> Result<AdminGetUserResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    Ok(AdminGetUserResponse {
        username: user.username.clone(),
        user_attributes: Some(user.attributes()),
        user_create_date: seconds(user.created_ms),
        user_last_modified_date: seconds(user.modified_ms),
        enabled: Some(user.enabled),
        user_status: Some(user.status.as_str().to_owned()),
        mfa_options: user.mfa_options(),
        preferred_mfa_setting: user.preferred_mfa_setting(),
        user_mfa_setting_list: user.mfa_setting_list(),
    })
}

pub async fn admin_set_user_password(cx: Cx, input: AdminSetUserPasswordRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    password::set(&cx, &pool, &user, &input.password, input.permanent.unwrap_or(false)).await?;
    Ok(Empty {})
}

pub async fn admin_reset_user_password(
    cx: Cx,
    input: AdminResetUserPasswordRequest,
) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    recovery::reset(&cx, &pool, &user).await?;
    Ok(Empty {})
}

pub async fn admin_update_user_attributes(
    cx: Cx,
    input: AdminUpdateUserAttributesRequest,
) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let pairs = attributes::pairs(&input.user_attributes);
    change::update(&cx, &pool, &user, By::Administrator, &pairs).await?;
    Ok(Empty {})
}

pub async fn admin_delete_user_attributes(
    cx: Cx,
    input: AdminDeleteUserAttributesRequest,
) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    change::delete(&cx, &pool, &user, By::Administrator, &input.user_attribute_names).await?;
    Ok(Empty {})
}

pub async fn admin_confirm_sign_up(cx: Cx, input: AdminConfirmSignUpRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    admin::confirm(&cx, &pool, &user).await?;
    Ok(Empty {})
}

pub async fn admin_enable_user(cx: Cx, input: AdminEnableUserRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    admin::enable(&cx, &pool, &user).await?;
    Ok(Empty {})
}

pub async fn admin_disable_user(cx: Cx, input: AdminDisableUserRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    admin::disable(&cx, &pool, &user).await?;
    Ok(Empty {})
}

pub async fn admin_delete_user(cx: Cx, input: AdminDeleteUserRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    admin::delete(&cx, &pool, &user).await?;
    Ok(Empty {})
}

/// A user as lists and AdminCreateUser show one.
pub(super) fn describe(user: &User) -> UserType {
    UserType {
        username: Some(user.username.clone()),
        attributes: Some(user.attributes()),
        user_create_date: seconds(user.created_ms),
        user_last_modified_date: seconds(user.modified_ms),
        enabled: Some(user.enabled),
        user_status: Some(user.status.as_str().to_owned()),
        mfa_options: user.mfa_options(),
    }
}

pub(super) fn seconds(ms: Ms) -> Option<f64> {
    Some(ms as f64 / 1000.0)
}
