//! A pool's second factors.

use cenote_interface::types::*;

use super::lookup;
use crate::admin::mfa as admin;
use crate::cx::Cx;
use crate::error::Result;

pub async fn get_user_pool_mfa_config(
    cx: Cx,
    input: GetUserPoolMfaConfigRequest,
) -> Result<GetUserPoolMfaConfigResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let mfa = admin::describe(&pool);
    Ok(GetUserPoolMfaConfigResponse {
        sms_mfa_configuration: mfa.sms_mfa_configuration,
        software_token_mfa_configuration: mfa.software_token_mfa_configuration,
        email_mfa_configuration: mfa.email_mfa_configuration,
        mfa_configuration: mfa.mfa_configuration,
        web_authn_configuration: mfa.web_authn_configuration,
    })
}

pub async fn set_user_pool_mfa_config(
    cx: Cx,
    input: SetUserPoolMfaConfigRequest,
) -> Result<SetUserPoolMfaConfigResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    admin::set(&cx, &pool, &input).await
}
