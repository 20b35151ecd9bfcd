//! `POST /oauth2/token`: the code grant with PKCE, refreshing, and client credentials (`cognito-behaviour`, 4.2).

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::digest;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{client_auth, wire};
use crate::audit::{self, Actor};
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::pool::realm::triggers;
use crate::pool::session::Flow;
use crate::pool::{Client, Pool};
use crate::signout::{self, End, Why};
use crate::site::{self, Params};
use crate::store::clocks::{self, BornOf};
use crate::store::{Batch, browsers, codes, sessions, users};
use crate::tokens::{self, machine, mint, open, refresh, scopes};
use crate::{http, keys};

const MAX_FORM: usize = 64 << 10;

pub async fn post(State(app): State<Arc<App>>, request: Request) -> Response {
    let (cx, parts, form) = site::open(app, request, MAX_FORM).await;
    let form = match form {
        Ok(form) => form,
        Err(error) => return wire::refuse(&cx, &error),
    };
    let answer = cx.retrying(|cx| answer(cx, parts.clone(), form.clone())).await;
    http::log(&cx, "oauth", "token", answer.as_ref().err());
    match answer {
        Ok(body) => wire::ok(&cx, body),
        // Every refusal of this endpoint is a 400 in Cognito (`cognito-behaviour`, 4.2).
        Err(error) if error.kind == Kind::OauthInvalidClient => {
            wire::refuse_with(&cx, &error, StatusCode::BAD_REQUEST)
        }
        Err(error) => wire::refuse(&cx, &error),
    }
}

async fn answer(cx: Cx, parts: Parts, form: Params) -> Result<Map<String, Value>> {
    let grant = form
        .get("grant_type")
        .ok_or_else(|| Error::new(Kind::OauthInvalidRequest, "grant_type is missing."))?
        .to_owned();
    let (pool, client) = client_auth::caller(&cx, parts, &form).await?;
    let issued = match grant.as_str() {
        "authorization_code" => redeem(&cx, &pool, &client, &form).await?,
        "refresh_token" => refreshed(&cx, &pool, &client, &form).await?,
        "client_credentials" => by_itself(&cx, &pool, &client, &form).await?,
        _ => return Err(Error::new(Kind::OauthUnsupportedGrantType, "")),
    };
    let mut body = Map::new();
    if let Some(id_token) = issued.id_token {
        body.insert("id_token".into(), json!(id_token));
    }
    body.insert("access_token".into(), json!(issued.access_token));
    if let Some(refresh_token) = issued.refresh_token {
        body.insert("refresh_token".into(), json!(refresh_token));
    }
    body.insert("expires_in".into(), json!(issued.expires_in_secs));
    body.insert("token_type".into(), json!("Bearer"));
    Ok(body)
}

/// Redeems an authorization code, once. A second redemption by its own client ends the session that the first one made: somebody
/// else has the code (RFC 6749, 4.1.2).
async fn redeem(cx: &Cx, pool: &Pool, client: &Client, form: &Params) -> Result<mint::Issued> {
    pool.refuse_unbuilt_triggers(triggers::TOKENS)?;
    if !client.allows_oauth("code") {
        return Err(Error::new(Kind::OauthUnauthorizedClient, ""));
    }
    let code = form
        .get("code")
        .ok_or_else(|| Error::new(Kind::OauthInvalidRequest, "code is missing."))?;
    let hash = keys::hash(code);
    let row = codes::authorization_code(cx.db(), &pool.id, &hash).await?.ok_or_else(invalid)?;
    if row.client_id != client.id || row.expires_ms <= cx.now {
        return Err(invalid());
    }
    match form.get("redirect_uri") {
        None => return Err(Error::new(Kind::OauthInvalidRequest, "redirect_uri is missing.")),
        Some(uri) if uri != row.doc.redirect_uri => {
            return Err(Error::new(Kind::OauthUnauthorizedClient, "invalid_redirect"));
        }
        Some(_) => {}
    }
    if !proves_challenge(row.doc.code_challenge.as_deref(), form.get("code_verifier")) {
        return Err(invalid());
    }
    check_resource(form, row.doc.resource.as_deref())?;
    if row.consumed_ms.is_some() {
        return replayed(cx, pool, &row.session_id).await;
    }

    if !scopes::are_readable(client, &row.doc.scope) {
        return Err(Error::new(
            Kind::OauthInvalidGrant,
            "ReadAttributes of this client lacks an attribute of a scope: email needs email and email_verified, phone needs \
             phone_number and phone_number_verified.",
        ));
    }
    let user = users::find(cx.db(), &pool.id, &row.sub).await?.ok_or_else(invalid)?;
    if !user.enabled
        || row.birth_ms
            < user.epoch_ms.max(user.code_epoch_ms).max(client.epoch_ms).max(pool.epoch_ms)
    {
        return Err(invalid());
    }
    let mut batch = Batch::new();
    // The session is born with its code: what ended the user's codes meanwhile ends it too.
    let birth = tokens::reborn(row.birth_ms);
    clocks::advance_clock(
        &mut batch,
        &pool.id,
        &user.sub,
        birth.ms(),
        BornOf::Code(row.birth_ms),
        Error::conflict(),
    );
    browsers::use_sso_session(&mut batch, &pool.id, &row.sso_id, cx.now, Error::conflict());
    codes::consume_authorization_code(&mut batch, &pool.id, &hash, cx.now);
    let new = open::New {
        pool,
        client,
        user: &user,
        birth,
        auth_ms: row.doc.auth_ms,
        flow: Flow::Hosted,
        scope: &row.doc.scope,
        nonce: row.doc.nonce.clone(),
        resource: row.doc.resource.clone(),
        sso_id: Some(row.sso_id.clone()),
        session_id: Some(row.session_id.clone()),
    };
    let opened = open::open(cx, &mut batch, new).await?;
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&user.sub),
        "RedeemCode",
        &client.id,
        "ok",
        &opened.session.id,
    );
    cx.db().commit(batch).await?;
    let issued =
        mint::issue(cx, pool, client, &user, &opened.session, opened.refresh_token).await?;
    cx.app.meters.issued("authorization_code");
    Ok(issued)
}

async fn replayed(cx: &Cx, pool: &Pool, session_id: &str) -> Result<mint::Issued> {
    let held = sessions::held(cx.db(), &cx.app.directory, &pool.id, session_id).await?;
    if let Some(held) = held.filter(|held| held.session.ended_ms.is_none()) {
        let mut batch = Batch::new();
        signout::end(
            cx,
            &mut batch,
            pool,
            &[End::Tokens(&held.session)],
            Why::policy("code_redeemed_twice"),
        );
        audit::note(
            &mut batch,
            cx,
            &pool.id,
            &Actor::Anybody,
            "CodeRedeemedTwice",
            session_id,
            "ended",
            &held.user.sub,
        );
        cx.db().commit(batch).await?;
    }
    Err(invalid())
}

async fn refreshed(cx: &Cx, pool: &Pool, client: &Client, form: &Params) -> Result<mint::Issued> {
    if !client.allows_refresh() {
        return Err(Error::new(Kind::OauthUnauthorizedClient, ""));
    }
    let token = form
        .get("refresh_token")
        .ok_or_else(|| Error::new(Kind::OauthInvalidRequest, "refresh_token is missing."))?;
    let presented = refresh::find(cx, pool, client, token).await?;
    check_resource(form, presented.held.session.resource.as_deref())?;
    refresh::refresh(cx, presented).await
}

/// RFC 6749, 4.4: the client has proved its secret, and gets a token without a user. Nothing is written.
async fn by_itself(cx: &Cx, pool: &Pool, client: &Client, form: &Params) -> Result<mint::Issued> {
    if client.is_public() || !client.allows_oauth("client_credentials") {
        return Err(Error::new(
            Kind::OauthUnauthorizedClient,
            "AllowedOAuthFlows of this client does not have client_credentials.",
        ));
    }
    check_resource(form, None)?;
    // Only a trigger would read it, and those are not built; a mistake in it is told all the same.
    if let Some(metadata) = form.get("aws_client_metadata")
        && serde_json::from_str::<BTreeMap<String, String>>(metadata).is_err()
    {
        return Err(Error::new(
            Kind::OauthInvalidRequest,
            "aws_client_metadata must be a JSON object whose values are texts.",
        ));
    }
    let issued = machine::token(cx, pool, client, form.get("scope")).await?;
    issued.map_err(|wrong| Error::new(Kind::OauthInvalidScope, wrong.hint()))
}

/// RFC 8707, 2.2: the token request may name again what was authorised, and nothing else.
fn check_resource(form: &Params, authorised: Option<&str>) -> Result<()> {
    match form.get("resource") {
        Some(asked) if Some(asked) != authorised => Err(Error::new(
            Kind::OauthInvalidTarget,
            "resource must be the one of the authorization request; client_credentials takes none.",
        )),
        _ => Ok(()),
    }
}

/// RFC 7636, 4.6. A verifier without a challenge is an attempt to pass off another flow's code (RFC 9700, 2.1.1).
fn proves_challenge(challenge: Option<&str>, verifier: Option<&str>) -> bool {
    match (challenge, verifier) {
        (None, None) => true,
        (Some(challenge), Some(verifier)) => {
            let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
            keys::same(URL_SAFE_NO_PAD.encode(hash.as_ref()).as_bytes(), challenge.as_bytes())
        }
        _ => false,
    }
}

fn invalid() -> Error {
    Error::new(Kind::OauthInvalidGrant, "")
}
