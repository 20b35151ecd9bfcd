//! A provider signs somebody out: SAML's LogoutRequest by Redirect, POST and SOAP, OpenID Connect's back-channel and front-channel
//! logout. Whom it means is in the message alone; what it may end is `federation::sign_out::inward`'s.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use cenote_saml::{Incoming, LogoutStatus};
use serde_json::json;

use super::logout_hop::{self, SAML};
use super::{form, pages};
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::federation::sign_out::browser::Hop;
use crate::federation::sign_out::inward::{self, Message, Named};
use crate::federation::sign_out::request::{self, Asked};
use crate::federation::{Trouble, TroubleKind, oidc};
use crate::http;
use crate::pool::Provider;
use crate::pool::provider::Kind as ProviderKind;
use crate::site::{self, Params, Visit};

/// A logout message has a signature, a certificate and a few names.
const MAX_SOAP: usize = 128 << 10;

/// SAML allows 80 bytes; some providers send more, and want it back.
const MAX_RELAY_STATE: usize = 2 << 10;

/// `/saml2/logout` as a browser brings it: the answer to a request of ours, or a request of a provider.
pub async fn saml(visit: &Visit, form: Option<&Params>) -> Result<Response> {
    let from = form.unwrap_or(&visit.query);
    let relay_state = from.get("RelayState");
    let name = match (from.has("SAMLRequest"), from.has("SAMLResponse")) {
        (true, false) => "SAMLRequest",
        (false, true) => "SAMLResponse",
        _ => {
            return Err(Error::invalid(
                "This address takes one logout message of a SAML provider, as SAMLRequest or SAMLResponse.",
            ));
        }
    };
    let incoming = match form {
        Some(form) => cenote_saml::decode_post(form.get(name).unwrap_or_default()),
        None => cenote_saml::decode_redirect(visit.parts.uri.query().unwrap_or_default()),
    };
    if name == "SAMLResponse" {
        return logout_hop::saml_answer(visit, incoming, relay_state).await;
    }
    let incoming = incoming.map_err(|fault| {
        Error::invalid(format!("SAMLRequest holds no message that can be read: {fault}."))
    })?;
    if relay_state.is_some_and(|text| text.len() > MAX_RELAY_STATE) {
        return Err(Error::invalid(format!(
            "RelayState is longer than the {MAX_RELAY_STATE} bytes that are sent back."
        )));
    }
    let (asked, status) = take(visit, &incoming).await?;
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let binding = incoming.binding();
    let back = request::answer_by_browser(cx, pool, &asked, binding, relay_state, status).await?;
    Ok(match back {
        Some(Hop::Redirect(url)) => pages::see_other(&url),
        Some(Hop::Post { url, fields }) => {
            let name = asked.providers.first().map(|own| own.name.as_str()).unwrap_or_default();
            let text = ("handoff_title", "handoff_lead");
            // Some providers ask all their applications at once, each in a frame of one page.
            pages::handoff(visit, &url, &fields, text, name, true).await?
        }
        None => {
            let text = ("signed_out_title", "signed_out_lead");
            form::message(visit, StatusCode::OK, text, None).await?
        }
    })
}

/// `/saml2/logout` as a provider's server calls it: SOAP is told by its type, everything else is a browser's.
pub fn is_soap(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("text/xml") || kind.eq_ignore_ascii_case("application/soap+xml")
}

pub async fn soap(app: Arc<App>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = http::read(body, MAX_SOAP).await;
    let cx = http::cx(app, &parts);
    let answer = match body {
        Ok(body) => cx.retrying(|cx| run_soap(cx, parts.clone(), body.clone())).await,
        Err(error) => Err(error),
    };
    http::log(&cx, "hosted", "samlLogout", answer.as_ref().err());
    match answer {
        Ok(xml) => finish(&cx, StatusCode::OK, "text/xml; charset=utf-8", xml),
        Err(error) => {
            // Ours is what the caller cannot mend.
            let status = status(&error);
            let code = if status.is_server_error() { "Server" } else { "Client" };
            let fault = soap_fault(code, &said(&error));
            finish(&cx, status, "text/xml; charset=utf-8", fault)
        }
    }
}

async fn run_soap(cx: Cx, parts: Parts, body: Bytes) -> Result<String> {
    let visit = visit(cx, parts, None).await?;
    let incoming = cenote_saml::decode_soap(&body).map_err(|fault| {
        Error::invalid(format!("The body holds no message that can be read: {fault}."))
    })?;
    let (asked, status) = take(&visit, &incoming).await?;
    request::answer_by_soap(&visit.cx, &visit.site.pool, &asked, status).await
}

/// Verifies a LogoutRequest, and ends what it means: durable before the answer says so.
async fn take(visit: &Visit, incoming: &Incoming) -> Result<(Asked, LogoutStatus)> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let destination = format!("{}{SAML}", visit.site.base);
    let asked = request::verify(cx, pool, incoming, &destination).await.map_err(refused)?;
    let message = Message {
        kind: "LogoutRequest",
        id: &asked.request.id,
        until_ms: asked.request.replay_until_ms,
    };
    let providers: Vec<&Provider> = asked.providers.iter().collect();
    let mut ended = 0;
    let named = asked.named();
    let done =
        inward::end(cx, pool, &providers, &named, Some(&message), "saml_logout", &mut ended).await;
    let status = match done {
        Ok(()) => LogoutStatus::Success,
        Err(error) if error.is_conflict() || inward::is_replay(&error) => return Err(error),
        // The provider's own chain goes on, and says that we failed.
        Err(error) => {
            tracing::error!(request_id = %cx.request.id, ?error, ended, "a logout of a provider was not carried out");
            if ended > 0 { LogoutStatus::PartialLogout } else { LogoutStatus::Responder }
        }
    };
    Ok((asked, status))
}

/// `POST /federation/{provider}/backchannel-logout` (OpenID Connect Back-Channel Logout 1.0).
pub async fn backchannel(
    State(app): State<Arc<App>>,
    Path(path): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let (cx, parts, form) = site::open(app, request, super::MAX_FORM).await;
    let name = provider_in(path);
    let answer = match form {
        Ok(form) => {
            cx.retrying(|cx| run_backchannel(cx, parts.clone(), form.clone(), name.clone())).await
        }
        Err(error) => Err(error),
    };
    http::log(&cx, "hosted", "backchannelLogout", answer.as_ref().err());
    match answer {
        Ok(()) => finish(&cx, StatusCode::OK, "text/plain; charset=utf-8", String::new()),
        Err(error) => {
            let body = json!({ "error": error.kind.oauth(), "error_description": said(&error) });
            finish(&cx, status(&error), "application/json", body.to_string())
        }
    }
}

async fn run_backchannel(cx: Cx, parts: Parts, form: Params, name: String) -> Result<()> {
    let visit = visit(cx, parts, Some(&form)).await?;
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let provider = openid_provider(&visit, &name).await?;
    let token =
        form.get("logout_token").ok_or_else(|| Error::invalid("logout_token is missing."))?;
    let token = oidc::logout_token(cx, &provider, token).await.map_err(refused)?;
    let sessions = token.sid.into_iter().collect();
    let named = Named { subject: token.sub, sessions, ..Named::default() };
    let message = Message { kind: "logout_token", id: &token.jti, until_ms: token.expires_ms };
    inward::end(cx, pool, &[&provider], &named, Some(&message), "backchannel_logout", &mut 0).await
}

/// `GET /federation/{provider}/frontchannel-logout` (OpenID Connect Front-Channel Logout 1.0), in a frame of the provider's page. The
/// browser's cookie does not come along there, and anybody can call this: it is the `sid`, which only the provider and its other apps
/// know, that says whose session ends. The path names the provider, so `iss` may be missing: Entra ID sends none.
pub async fn frontchannel(
    State(app): State<Arc<App>>,
    Path(path): Path<Vec<(String, String)>>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let name = provider_in(path);
    let answer = cx.retrying(|cx| run_frontchannel(cx, parts.clone(), name.clone())).await;
    http::log(&cx, "hosted", "frontchannelLogout", answer.as_ref().err());
    match answer {
        Ok(()) => {
            finish(&cx, StatusCode::OK, "text/plain; charset=utf-8", "Signed out.\n".to_owned())
        }
        Err(error) => {
            finish(&cx, status(&error), "text/plain; charset=utf-8", format!("{}\n", said(&error)))
        }
    }
}

async fn run_frontchannel(cx: Cx, parts: Parts, name: String) -> Result<()> {
    let visit = visit(cx, parts, None).await?;
    let provider = openid_provider(&visit, &name).await?;
    let Some(sid) = visit.query.get("sid") else {
        return Err(Error::invalid(
            "sid must be given: let the provider send it (frontchannel_logout_session_required).",
        ));
    };
    let own = provider.detail("oidc_issuer").unwrap_or_default().trim_end_matches('/');
    if visit.query.get("iss").is_some_and(|iss| iss.trim_end_matches('/') != own) {
        return Err(Error::invalid("iss is not the issuer of this provider."));
    }
    let named = Named { sessions: vec![sid.to_owned()], ..Named::default() };
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    inward::end(cx, pool, &[&provider], &named, None, "frontchannel_logout", &mut 0).await
}

pub(super) async fn visit(cx: Cx, parts: Parts, form: Option<&Params>) -> Result<Visit> {
    let visit = Visit::begin(cx, parts, form).await?.filter(|visit| !visit.site.bare);
    visit.ok_or_else(site::nothing_here)
}

pub(super) async fn openid_provider(visit: &Visit, name: &str) -> Result<Provider> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let provider = providers.get(name).filter(|provider| provider.kind != ProviderKind::Saml);
    provider.cloned().ok_or_else(|| {
        Error::not_found("This user pool has no OpenID Connect provider of that name.")
    })
}

pub(super) fn provider_in(path: Vec<(String, String)>) -> String {
    path.into_iter().find(|(key, _)| key == "provider").map(|(_, name)| name).unwrap_or_default()
}

fn refused(trouble: Trouble) -> Error {
    match trouble.kind {
        TroubleKind::Refused => Error::invalid(trouble.text),
        TroubleKind::Unreachable => Error::new(Kind::ServiceUnavailable, trouble.text),
        TroubleKind::Internal => Error::internal(trouble.text),
    }
}

pub(super) fn status(error: &Error) -> StatusCode {
    match error.kind {
        Kind::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::ResourceNotFound => StatusCode::NOT_FOUND,
        Kind::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TooManyRequests | Kind::Conflict => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    }
}

/// What the caller is told: not what is our own business.
pub(super) fn said(error: &Error) -> String {
    match error.kind {
        Kind::Internal => "Something went wrong.".to_owned(),
        _ => error.message.to_string(),
    }
}

fn soap_fault(code: &str, text: &str) -> String {
    let text: String = text
        .chars()
        .filter(|c| !c.is_control())
        .map(|c| match c {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' => "&gt;".to_owned(),
            other => other.to_string(),
        })
        .collect();
    format!(
        "<soap:Envelope xmlns:soap=\"http://schemas.xmlsoap.org/soap/envelope/\"><soap:Body><soap:Fault><faultcode>soap:{code}</faultcode>\
         <faultstring>{text}</faultstring></soap:Fault></soap:Body></soap:Envelope>"
    )
}

/// Answers for servers, and for frames of a provider's page: no cookie, no cache, nothing to click.
pub(super) fn finish(cx: &Cx, status: StatusCode, kind: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    pages::name_signout(cx, &mut response);
    response
}
