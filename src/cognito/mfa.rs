//! Second factors, as Cognito words them: a pool's, and a user's.

use std::sync::Arc;

use cenote_interface::types::*;

use super::{Empty, lookup};
use crate::account::attributes::By;
use crate::account::mfa::{self as own, Preference};
use crate::admin::mfa as admin;
use crate::auth::{At, Door, challenge, machine, set_up, software_token};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Client, Factor, Pool};
use crate::tokens::verify;

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

/// With an access token, or with the Session of an MFA_SETUP challenge.
pub async fn associate_software_token(
    cx: Cx,
    input: AssociateSoftwareTokenRequest,
) -> Result<AssociateSoftwareTokenResponse> {
    if let Some(token) = &input.access_token {
        let access = verify::for_user_operations(&cx, token).await?;
        let secret = own::associate(&cx, &access).await?;
        return Ok(AssociateSoftwareTokenResponse {
            secret_code: Some(secret.to_string()),
            session: None,
        });
    }
    let session = session(input.session.as_deref())?;
    let (pool, client) = of_session(&cx, session).await?;
    let at = At { pool: &pool, client: &client, door: Door::Api };
    let associated = set_up::associate(&cx, at, session).await?;
    Ok(AssociateSoftwareTokenResponse {
        secret_code: Some(associated.secret.to_string()),
        session: Some(associated.session),
    })
}

pub async fn verify_software_token(
    cx: Cx,
    input: VerifySoftwareTokenRequest,
) -> Result<VerifySoftwareTokenResponse> {
    let device = software_token::check_device_name(input.friendly_device_name.as_deref())?;
    let success =
        |session| VerifySoftwareTokenResponse { status: Some("SUCCESS".to_owned()), session };
    if let Some(token) = &input.access_token {
        let access = verify::for_user_operations(&cx, token).await?;
        own::verify(&cx, &access, &input.user_code, device).await?;
        return Ok(success(None));
    }
    let session = session(input.session.as_deref())?;
    let (pool, client) = of_session(&cx, session).await?;
    let at = At { pool: &pool, client: &client, door: Door::Api };
    let session = set_up::verify(&cx, at, session, &input.user_code, device).await?;
    Ok(success(Some(session)))
}

pub async fn set_user_mfa_preference(
    cx: Cx,
    input: SetUserMFAPreferenceRequest,
) -> Result<SetUserMFAPreferenceResponse> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let preferences = preferences(
        input.sms_mfa_settings.as_ref(),
        input.software_token_mfa_settings.as_ref(),
        input.email_mfa_settings.as_ref(),
        input.web_authn_mfa_settings.as_ref(),
    )?;
    own::prefer(&cx, &access.pool, &access.user, By::User(&access), &preferences).await?;
    Ok(SetUserMFAPreferenceResponse {})
}

pub async fn admin_set_user_mfa_preference(
    cx: Cx,
    input: AdminSetUserMFAPreferenceRequest,
) -> Result<AdminSetUserMFAPreferenceResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let preferences = preferences(
        input.sms_mfa_settings.as_ref(),
        input.software_token_mfa_settings.as_ref(),
        input.email_mfa_settings.as_ref(),
        input.web_authn_mfa_settings.as_ref(),
    )?;
    own::prefer(&cx, &pool, &user, By::Administrator, &preferences).await?;
    Ok(AdminSetUserMFAPreferenceResponse {})
}

pub async fn admin_delete_software_token(
    cx: Cx,
    input: AdminDeleteSoftwareTokenRequest,
) -> Result<AdminDeleteSoftwareTokenResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    own::delete_token(&cx, &pool, &user).await?;
    Ok(AdminDeleteSoftwareTokenResponse {})
}

pub async fn set_user_settings(cx: Cx, input: SetUserSettingsRequest) -> Result<Empty> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let preference = options(&input.mfa_options)?;
    own::prefer(&cx, &access.pool, &access.user, By::User(&access), &[preference]).await?;
    Ok(Empty {})
}

pub async fn admin_set_user_settings(cx: Cx, input: AdminSetUserSettingsRequest) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let preference = options(&input.mfa_options)?;
    own::prefer(&cx, &pool, &user, By::Administrator, &[preference]).await?;
    Ok(Empty {})
}

fn session(given: Option<&str>) -> Result<&str> {
    given.ok_or_else(|| Error::invalid("Either AccessToken or Session must be provided."))
}

/// The pool and the client that a Session names.
async fn of_session(cx: &Cx, session: &str) -> Result<(Arc<Pool>, Arc<Client>)> {
    let client_id = challenge::client_of(session).ok_or_else(machine::invalid_session)?;
    let found = cx.app.directory.client(cx.db(), client_id).await?;
    found.ok_or_else(machine::invalid_session)
}

fn preferences(
    sms: Option<&SMSMfaSettingsType>,
    token: Option<&SoftwareTokenMfaSettingsType>,
    email: Option<&EmailMfaSettingsType>,
    passkey: Option<&WebAuthnMfaSettingsType>,
) -> Result<Vec<Preference>> {
    if passkey.is_some_and(|passkey| passkey.enabled.unwrap_or(false)) {
        return Err(Error::invalid("Passkeys are not built in this version of Cenote."));
    }
    let one = |factor, enabled: Option<bool>, preferred: Option<bool>| Preference {
        factor,
        enabled: enabled.unwrap_or(false),
        preferred: preferred.unwrap_or(false),
    };
    Ok([
        sms.map(|sms| one(Factor::Sms, sms.enabled, sms.preferred_mfa)),
        token.map(|token| one(Factor::SoftwareToken, token.enabled, token.preferred_mfa)),
        email.map(|email| one(Factor::Email, email.enabled, email.preferred_mfa)),
    ]
    .into_iter()
    .flatten()
    .collect())
}

/// The older form knows text messages alone, on or off.
fn options(options: &[MFAOptionType]) -> Result<Preference> {
    let by_sms = |option: &MFAOptionType| {
        option.delivery_medium.as_deref() == Some("SMS")
            && option.attribute_name.as_deref().is_none_or(|name| name == "phone_number")
    };
    if !options.iter().all(by_sms) {
        return Err(Error::invalid(
            "MFAOptions may only hold the DeliveryMedium SMS with the AttributeName phone_number. Use SetUserMFAPreference for other factors.",
        ));
    }
    Ok(Preference { factor: Factor::Sms, enabled: !options.is_empty(), preferred: false })
}
