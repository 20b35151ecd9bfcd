//! `/oauth2/authorize`: refuses, asks at `/login`, sends the browser to the identity provider that the request names, or, with
//! ManagedLoginVersion 2, answers from the browser session silently.

use axum::response::Response;

use super::providers::{Named, Offered, UNAVAILABLE};
use super::request::AuthorizeRequest;
use super::{arrival, cookies, finish, pages, to_provider};
use crate::error::{Kind, Result};
use crate::federation;
use crate::http;
use crate::site::Visit;
use crate::store::browsers::Browser;
use crate::store::upstream;

pub async fn page(visit: &Visit) -> Result<Response> {
    let request = match AuthorizeRequest::check(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    match answer(visit, &request).await {
        // Nobody may be looking, and the app waits (RFC 6749, 4.1.2.1).
        Err(error) if matches!(error.kind, Kind::Internal | Kind::ServiceUnavailable) => {
            http::log(&visit.cx, "hosted", "authorize", Some(&error));
            Ok(request.refuse(error.kind.oauth(), ""))
        }
        answer => answer,
    }
}

async fn answer(visit: &Visit, request: &AuthorizeRequest) -> Result<Response> {
    let offered = Offered::by(visit, &request.client).await?;
    let named = offered.named(&visit.query);
    let session = usable(visit, request, &offered, named).await?;
    let silent = request.prompt.none
        || (visit.site.managed_login_version == 2 && !request.prompt.select_account);
    match session {
        Some((browser, _))
            if silent && !request.prompt.login && is_recent(visit, request, &browser) =>
        {
            finish::reuse(visit, request, &browser).await
        }
        _ => match named {
            Named::Unknown if request.prompt.none => {
                Ok(request.refuse("invalid_request", UNAVAILABLE))
            }
            // A provider may ask for anything: nobody is sent there who must not be asked.
            _ if request.prompt.none => Ok(request.refuse("login_required", "")),
            Named::Provider(provider) => {
                to_provider::go(visit, request, provider, request.prompt.login).await
            }
            Named::Nobody | Named::Own | Named::Unknown => {
                Ok(pages::see(&visit.page("/login", &visit.query)))
            }
        },
    }
}

/// The living browser session of this request, if it may answer it.
pub async fn usable(
    visit: &Visit,
    request: &AuthorizeRequest,
    offered: &Offered,
    named: Named<'_>,
) -> Result<Option<(Browser, [u8; 32])>> {
    let session =
        cookies::session(visit).await?.filter(|(browser, _)| is_usable(visit, request, browser));
    match session {
        Some(session)
            if offered.takes(visit, &session.0, named).await?
                && is_fresh_upstream(visit, request, &session.0).await? =>
        {
            Ok(Some(session))
        }
        _ => Ok(None),
    }
}

/// `max_age` is of the person's authentication: where a provider led to the session, of the one there, if it said when that was.
async fn is_fresh_upstream(
    visit: &Visit,
    request: &AuthorizeRequest,
    browser: &Browser,
) -> Result<bool> {
    let pool = &visit.site.pool;
    let Some(max_age) = request.max_age_ms.filter(|_| pool.doc.has_providers) else {
        return Ok(true);
    };
    let came_from = upstream::of_browser(visit.cx.db(), &pool.id, &browser.session.id).await?;
    let last = came_from.first().filter(|last| last.created_ms >= browser.session.auth_ms);
    let Some(last) = last else { return Ok(true) };
    let auth_ms = federation::upstream::open(&visit.cx, last)?.auth_ms;
    Ok(auth_ms.is_none_or(|auth_ms| arrival::age(visit, auth_ms) <= max_age))
}

/// Whether this client may use the session by its age: MaxValidityMinutes 0 means neither silently nor on offer, and `max_age` is
/// measured from the last fresh authentication.
fn is_usable(visit: &Visit, request: &AuthorizeRequest, browser: &Browser) -> bool {
    let age = visit.cx.now - browser.session.auth_ms;
    let tracked = visit.site.pool.doc.sessions.tracking;
    let never = tracked && request.client.sso_silent_ms() == 0;
    !never && request.max_age_ms.is_none_or(|max_age| age <= max_age)
}

/// Whether the session is young enough to be used without asking.
fn is_recent(visit: &Visit, request: &AuthorizeRequest, browser: &Browser) -> bool {
    let age = visit.cx.now - browser.session.auth_ms;
    let limit = if visit.site.pool.doc.sessions.tracking {
        request.client.sso_silent_ms()
    } else {
        visit.cx.app.settings.browser_session_ms
    };
    age <= limit
}
