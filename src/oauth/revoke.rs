//! `POST /oauth2/revoke` (RFC 7009; `cognito-behaviour`, 1.4).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::Response;

use super::{client_auth, wire};
use crate::account::sessions::{self, Unrevoked};
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::site::{self, Params};

const MAX_FORM: usize = 64 << 10;

pub async fn post(State(app): State<Arc<App>>, request: Request) -> Response {
    let (cx, parts, form) = site::open(app, request, MAX_FORM).await;
    let by_header = parts.headers.contains_key(header::AUTHORIZATION);
    let form = match form {
        Ok(form) => form,
        Err(error) => return wire::refuse(&cx, &error),
    };
    let answer = cx.retrying(|cx| answer(cx, parts.clone(), form.clone())).await;
    http::log(&cx, "oauth", "revoke", answer.as_ref().err());
    match answer {
        Ok(()) => wire::empty(&cx),
        Err(error) => wire::refuse_client(&cx, &error, by_header),
    }
}

async fn answer(cx: Cx, parts: Parts, form: Params) -> Result<()> {
    let (pool, client) = client_auth::caller(&cx, parts, &form).await?;
    let token = form
        .get("token")
        .ok_or_else(|| Error::new(Kind::OauthInvalidRequest, "token is missing."))?;
    match sessions::revoke_token(&cx, &pool, &client, token, false).await {
        // Another client's token is not valid for this one, and is left alone (RFC 7009, 2.1).
        Ok(()) | Err(Unrevoked::OtherClient) => Ok(()),
        Err(Unrevoked::NotEnabled) => Err(Error::new(
            Kind::OauthInvalidRequest,
            "Token revocation is not enabled for this client.",
        )),
        Err(Unrevoked::NotARefreshToken) => Err(Error::new(Kind::UnsupportedTokenType, "")),
        Err(Unrevoked::Failed(error)) => Err(error),
    }
}
