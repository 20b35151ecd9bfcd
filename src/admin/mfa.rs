//! A pool's second factors: which it offers, and whether they are required. What that means for a user is in `pool::factors`.

use cenote_interface::types::{
    SetUserPoolMfaConfigRequest, SetUserPoolMfaConfigResponse, SmsMfaConfigType,
};

use super::{in_common, pools};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::Pool;

/// Replaces the factors. Passkeys are no second factor and stay as they are unless they are named; so does the pool's
/// MfaConfiguration, which DescribeUserPool answers too.
pub async fn set(
    cx: &Cx,
    pool: &Pool,
    request: &SetUserPoolMfaConfigRequest,
) -> Result<SetUserPoolMfaConfigResponse> {
    let mut changed = pool.clone();
    let model = &mut changed.doc.model;
    let mut mfa: SetUserPoolMfaConfigResponse = in_common(request)?;
    let mode = request
        .mfa_configuration
        .clone()
        .or(model.mfa_configuration.take())
        .unwrap_or_else(|| "OFF".to_owned());

    let software = mfa.software_token_mfa_configuration.as_ref();
    let factors = [
        mfa.sms_mfa_configuration.is_some(),
        software.is_some_and(|software| software.enabled.unwrap_or(false)),
        mfa.email_mfa_configuration.is_some(),
    ];
    if mode == "OFF" && (factors.contains(&true) || software.is_some()) {
        return Err(Error::invalid(
            "Invalid MFA configuration given, can't turn off MFA and configure an MFA together.",
        ));
    }
    if mode != "OFF" && !factors.contains(&true) {
        return Err(Error::invalid(
            "Invalid MFA Configuration given. SMS MFA, Email MFA, or Software Token MFA must be enabled.",
        ));
    }

    // Text messages are sent with the pool's settings, which have two doors.
    if let Some(SmsMfaConfigType { sms_authentication_message, sms_configuration }) =
        &mut mfa.sms_mfa_configuration
    {
        match sms_configuration {
            Some(given) => model.sms_configuration = Some(given.clone()),
            None => *sms_configuration = model.sms_configuration.clone(),
        }
        match sms_authentication_message {
            Some(given) => model.sms_authentication_message = Some(given.clone()),
            None => *sms_authentication_message = model.sms_authentication_message.clone(),
        }
        if sms_configuration.is_none() {
            return Err(Error::invalid(
                "SMS configuration is required to enable SMS MFA: set SmsConfiguration.",
            ));
        }
    }
    model.mfa_configuration = Some(mode);
    mfa.mfa_configuration = None;
    mfa.web_authn_configuration =
        mfa.web_authn_configuration.or(pool.doc.mfa.web_authn_configuration.clone());
    changed.doc.mfa = mfa;
    pools::store(cx, &changed, "SetUserPoolMfaConfig").await?;
    Ok(describe(&changed))
}

pub fn describe(pool: &Pool) -> SetUserPoolMfaConfigResponse {
    SetUserPoolMfaConfigResponse {
        mfa_configuration: pool.model().mfa_configuration.clone(),
        ..pool.doc.mfa.clone()
    }
}
