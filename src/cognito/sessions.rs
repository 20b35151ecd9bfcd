//! Signing out, revoking, and the session operations with their configuration (`cognito-behaviour`, 1.3 and 1.6).

use cenote_interface::types::*;

use super::{Empty, lookup};
use crate::account::sessions::{self, By, Unrevoked};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::realm::SessionRules;
use crate::pool::{SsoSession, TokenSession};
use crate::store::{Batch, pools};
use crate::tokens::verify;

pub async fn global_sign_out(cx: Cx, input: GlobalSignOutRequest) -> Result<Empty> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    sessions::sign_out_everywhere(&cx, &access).await?;
    Ok(Empty {})
}

pub async fn admin_user_global_sign_out(
    cx: Cx,
    input: AdminUserGlobalSignOutRequest,
) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    sessions::sign_out_user(&cx, &pool, &user).await?;
    Ok(Empty {})
}

pub async fn revoke_token(cx: Cx, input: RevokeTokenRequest) -> Result<Empty> {
    // RevokeToken declares no ResourceNotFound; an unknown client is an unauthorized one.
    let (pool, client) =
        lookup::client(&cx, &input.client_id).await.map_err(|error| match error.kind {
            Kind::ResourceNotFound => unauthorized("Invalid client."),
            _ => error,
        })?;
    lookup::check_client_secret(&cx, &client, input.client_secret.as_deref(), unauthorized)?;
    let linked = input.revoke_associated_sessions.as_deref() == Some("LINKED");
    match sessions::revoke_token(&cx, &pool, &client, &input.token, linked).await {
        Ok(()) => Ok(Empty {}),
        Err(Unrevoked::NotEnabled) => Err(Error::new(
            Kind::UnsupportedOperation,
            "Token revocation is not enabled for this client.",
        )),
        Err(Unrevoked::NotARefreshToken) => {
            Err(Error::new(Kind::UnsupportedTokenType, "Only refresh tokens can be revoked."))
        }
        Err(Unrevoked::OtherClient) => {
            Err(unauthorized("The token was not issued to this client."))
        }
        Err(Unrevoked::Failed(error)) => Err(error),
    }
}

pub async fn list_user_sessions(
    cx: Cx,
    input: ListUserSessionsRequest,
) -> Result<ListUserSessionsResponse> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let (browsers, tokens) = sessions::list(&cx, &access.pool, &access.user).await?;
    Ok(ListUserSessionsResponse {
        sessions: Some(describe(&browsers, &tokens, Some(&access.session.id))),
        next_token: None,
    })
}

pub async fn admin_list_user_sessions(
    cx: Cx,
    input: AdminListUserSessionsRequest,
) -> Result<AdminListUserSessionsResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let (browsers, tokens) = sessions::list(&cx, &pool, &user).await?;
    Ok(AdminListUserSessionsResponse {
        sessions: Some(describe(&browsers, &tokens, None)),
        next_token: None,
    })
}

pub async fn revoke_user_session(cx: Cx, input: RevokeUserSessionRequest) -> Result<Empty> {
    let access = verify::for_user_operations(&cx, &input.access_token).await?;
    let linked = input.revoke_associated_sessions.as_deref() == Some("LINKED");
    sessions::revoke_session(
        &cx,
        &access.pool,
        &access.user,
        &input.session_id,
        linked,
        By::User(&access),
    )
    .await?;
    Ok(Empty {})
}

pub async fn admin_revoke_user_session(
    cx: Cx,
    input: AdminRevokeUserSessionRequest,
) -> Result<Empty> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let user = lookup::user(&cx, &pool, &input.username).await?;
    let linked = input.revoke_associated_sessions.as_deref() == Some("LINKED");
    sessions::revoke_session(&cx, &pool, &user, &input.session_id, linked, By::Administrator)
        .await?;
    Ok(Empty {})
}

pub async fn get_user_pool_session_configuration(
    cx: Cx,
    input: GetUserPoolSessionConfigurationRequest,
) -> Result<GetUserPoolSessionConfigurationResponse> {
    let pool = lookup::pool(&cx, &input.user_pool_id).await?;
    let rules = &pool.doc.sessions;
    Ok(GetUserPoolSessionConfigurationResponse {
        user_pool_id: Some(pool.id.clone()),
        user_session_tracking: Some(tracking(rules)),
        token_session: Some(UserPoolTokenSessionConfigType { max_per_user: rules.max_per_user }),
    })
}

pub async fn set_user_pool_session_configuration(
    cx: Cx,
    input: SetUserPoolSessionConfigurationRequest,
) -> Result<SetUserPoolSessionConfigurationResponse> {
    let mut pool = (*lookup::pool(&cx, &input.user_pool_id).await?).clone();
    let longest_minutes = pool.doc.sessions.longest_minutes;
    let tracking_on = input.user_session_tracking == "ENABLED";
    pool.doc.sessions = SessionRules {
        tracking: tracking_on,
        max_per_user: input.token_session.max_per_user,
        longest_minutes,
    };
    let mut batch = Batch::new();
    pools::update(&mut batch, &pool, cx.now)?;
    audit::note(
        &mut batch,
        &cx,
        &pool.id,
        &Actor::Administrator,
        "SetUserPoolSessionConfiguration",
        &pool.id,
        "ok",
        "",
    );
    cx.db().commit(batch).await?;
    Ok(SetUserPoolSessionConfigurationResponse {
        user_pool_id: Some(pool.id.clone()),
        user_session_tracking: Some(tracking(&pool.doc.sessions)),
        token_session: Some(input.token_session),
    })
}

pub async fn get_user_pool_client_session_configuration(
    cx: Cx,
    input: GetUserPoolClientSessionConfigurationRequest,
) -> Result<GetUserPoolClientSessionConfigurationResponse> {
    let (pool, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    Ok(GetUserPoolClientSessionConfigurationResponse {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(client.id.clone()),
        sso_session: Some(ClientSSOSessionConfigType {
            max_validity_minutes: client.doc.sso_minutes.unwrap_or(60),
        }),
    })
}

pub async fn set_user_pool_client_session_configuration(
    cx: Cx,
    input: SetUserPoolClientSessionConfigurationRequest,
) -> Result<SetUserPoolClientSessionConfigurationResponse> {
    let (pool, client) = lookup::client_of(&cx, &input.user_pool_id, &input.client_id).await?;
    sessions::require_tracking(&pool)?;
    let mut client = (*client).clone();
    client.doc.sso_minutes = Some(input.sso_session.max_validity_minutes);
    let mut batch = Batch::new();
    let minutes = input.sso_session.max_validity_minutes;
    if minutes > pool.doc.sessions.longest_minutes {
        let mut pool = (*pool).clone();
        pool.doc.sessions.longest_minutes = minutes;
        pools::update(&mut batch, &pool, cx.now)?;
    }
    pools::update_client(&mut batch, &client, cx.now)?;
    audit::note(
        &mut batch,
        &cx,
        &pool.id,
        &Actor::Administrator,
        "SetUserPoolClientSessionConfiguration",
        &client.id,
        "ok",
        "",
    );
    cx.db().commit(batch).await?;
    Ok(SetUserPoolClientSessionConfigurationResponse {
        user_pool_id: Some(pool.id.clone()),
        client_id: Some(client.id.clone()),
        sso_session: Some(input.sso_session),
    })
}

fn tracking(rules: &SessionRules) -> String {
    if rules.tracking { "ENABLED" } else { "DISABLED" }.to_owned()
}

fn describe(
    browsers: &[SsoSession],
    tokens: &[TokenSession],
    current: Option<&str>,
) -> Vec<SessionDescriptionType> {
    let seconds = |ms: i64| Some(ms as f64 / 1000.0);
    let unknown = || Some(SessionLocationType { city: None, country: Some("unknown".to_owned()) });
    let tokens = tokens.iter().map(|session| SessionDescriptionType {
        session_id: Some(session.id.clone()),
        session_type: Some("TOKEN".to_owned()),
        client_id: Some(session.client_id.clone()),
        create_date: seconds(session.created_ms),
        last_active_date: seconds(session.active_ms),
        device_type: Some(session.device.clone()),
        last_ip_address: Some(session.ip.clone()),
        last_location: unknown(),
        origin_session_id: session.sso_id.clone(),
        is_current_session: Some(current == Some(session.id.as_str())),
    });
    let browsers = browsers.iter().map(|session| SessionDescriptionType {
        session_id: Some(session.id.clone()),
        session_type: Some("SSO".to_owned()),
        client_id: Some(session.client_id.clone()),
        create_date: seconds(session.created_ms),
        last_active_date: seconds(session.active_ms),
        device_type: Some(session.device.clone()),
        last_ip_address: Some(session.ip.clone()),
        last_location: unknown(),
        origin_session_id: None,
        is_current_session: Some(false),
    });
    tokens.chain(browsers).collect()
}

fn unauthorized(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(Kind::Unauthorized, message)
}
