//! What users do to their own accounts, as Cognito words it: signing up and getting a password back through an app client, the
//! rest with an access token.

use cenote_interface::types::*;

use super::{Empty, lookup};
use crate::account::attributes::{self as own, By};
use crate::account::{Via, admin, password, recovery, sign_up as signing_up};
use crate::auth::secret_hash;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::attributes::pairs;
use crate::tokens::verify;

pub async fn sign_up(cx: Cx, input: SignUpRequest) -> Result<SignUpResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    secret_hash::check(&cx, &client, &[&input.username], input.secret_hash.as_deref())?;
    let password = input.password.as_deref().filter(|password| !password.is_empty());
    let password = password.ok_or_else(|| {
        Error::invalid(
            "Password is required: signing up without one is not built in this version of Cenote.",
        )
    })?;
    let attributes = pairs(input.user_attributes.as_deref().unwrap_or_default());
    let via = Via { pool: &pool, client: &client };
    let (user, details) =
        signing_up::sign_up(&cx, via, &input.username, password, &attributes).await?;
    Ok(SignUpResponse {
        user_confirmed: false,
        code_delivery_details: details,
        user_sub: user.sub,
        session: None,
    })
}

pub async fn confirm_sign_up(cx: Cx, input: ConfirmSignUpRequest) -> Result<ConfirmSignUpResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    secret_hash::check(&cx, &client, &[&input.username], input.secret_hash.as_deref())?;
    let via = Via { pool: &pool, client: &client };
    let force = input.force_alias_creation.unwrap_or(false);
    signing_up::confirm(&cx, via, &input.username, &input.confirmation_code, force).await?;
    Ok(ConfirmSignUpResponse::default())
}

pub async fn resend_confirmation_code(
    cx: Cx,
    input: ResendConfirmationCodeRequest,
) -> Result<ResendConfirmationCodeResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    secret_hash::check(&cx, &client, &[&input.username], input.secret_hash.as_deref())?;
    let details =
        signing_up::resend(&cx, Via { pool: &pool, client: &client }, &input.username).await?;
    Ok(ResendConfirmationCodeResponse { code_delivery_details: Some(details) })
}

pub async fn forgot_password(
    cx: Cx,
    input: ForgotPasswordRequest,
) -> Result<ForgotPasswordResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    secret_hash::check(&cx, &client, &[&input.username], input.secret_hash.as_deref())?;
    let details =
        recovery::forgot(&cx, Via { pool: &pool, client: &client }, &input.username).await?;
    Ok(ForgotPasswordResponse { code_delivery_details: Some(details) })
}

pub async fn confirm_forgot_password(
    cx: Cx,
    input: ConfirmForgotPasswordRequest,
) -> Result<ConfirmForgotPasswordResponse> {
    let (pool, client) = lookup::client(&cx, &input.client_id).await?;
    secret_hash::check(&cx, &client, &[&input.username], input.secret_hash.as_deref())?;
    let via = Via { pool: &pool, client: &client };
    recovery::confirm(&cx, via, &input.username, &input.confirmation_code, &input.password).await?;
    Ok(ConfirmForgotPasswordResponse {})
}

pub async fn change_password(
    cx: Cx,
    input: ChangePasswordRequest,
) -> Result<ChangePasswordResponse> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    password::change(&cx, &access, input.previous_password.as_deref(), &input.proposed_password)
        .await?;
    Ok(ChangePasswordResponse {})
}

pub async fn get_user(cx: Cx, input: GetUserRequest) -> Result<GetUserResponse> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let mut attributes = access.user.attributes();
    attributes.retain(|attribute| access.client.may_read(&attribute.name));
    Ok(GetUserResponse {
        user_attributes: attributes,
        mfa_options: access.user.mfa_options(),
        preferred_mfa_setting: access.user.preferred_mfa_setting(),
        user_mfa_setting_list: access.user.mfa_setting_list(),
        username: access.user.username,
    })
}

pub async fn update_user_attributes(
    cx: Cx,
    input: UpdateUserAttributesRequest,
) -> Result<UpdateUserAttributesResponse> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let pairs = pairs(&input.user_attributes);
    let details = own::update(&cx, &access.pool, &access.user, By::User(&access), &pairs).await?;
    Ok(UpdateUserAttributesResponse { code_delivery_details_list: Some(details) })
}

pub async fn delete_user_attributes(cx: Cx, input: DeleteUserAttributesRequest) -> Result<Empty> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    own::delete(&cx, &access.pool, &access.user, By::User(&access), &input.user_attribute_names)
        .await?;
    Ok(Empty {})
}

pub async fn get_user_attribute_verification_code(
    cx: Cx,
    input: GetUserAttributeVerificationCodeRequest,
) -> Result<GetUserAttributeVerificationCodeResponse> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let details = own::send_code(&cx, &access, &input.attribute_name).await?;
    Ok(GetUserAttributeVerificationCodeResponse { code_delivery_details: Some(details) })
}

pub async fn verify_user_attribute(cx: Cx, input: VerifyUserAttributeRequest) -> Result<Empty> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    own::verify(&cx, &access, &input.attribute_name, &input.code).await?;
    Ok(Empty {})
}

pub async fn delete_user(cx: Cx, input: DeleteUserRequest) -> Result<Empty> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    admin::delete_self(&cx, &access).await?;
    Ok(Empty {})
}
