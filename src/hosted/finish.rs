//! What a sign-in at the hosted pages ends in: the browser session, and the redirect that carries the answer.

use axum::response::Response;

use super::request::AuthorizeRequest;
use super::{cookies, pages};
use crate::ambient::{MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::auth::Proven;
use crate::error::{Error, Result};
use crate::pool::SsoSession;
use crate::signout::{self, End, Why};
use crate::site::{Visit, with_query};
use crate::store::browsers::Browser;
use crate::store::clocks::{self, BornOf};
use crate::store::codes::{AuthorizationCode, CodeDoc};
use crate::store::{Batch, browsers, codes};
use crate::tokens::{self, Birth};
use crate::{ids, keys};

/// `cognito-behaviour`, 4.1.
const CODE_MS: Ms = 5 * MINUTE;

/// Answers from the browser session without asking; the cookie stays as it is.
pub async fn reuse(
    visit: &Visit,
    request: &AuthorizeRequest,
    browser: &Browser,
) -> Result<Response> {
    let mut batch = Batch::new();
    let birth = tokens::tick(&visit.cx, &visit.site.pool, &request.client, &browser.user);
    go_on(visit, request, browser, birth, &mut batch);
    let ended = || Error::conflict();
    browsers::use_sso_session(
        &mut batch,
        &visit.site.pool.id,
        &browser.session.id,
        visit.cx.now,
        ended(),
    );
    let made = Made {
        sub: &browser.user.sub,
        sso_id: &browser.session.id,
        auth_ms: browser.session.auth_ms,
    };
    let location = code(visit, request, &mut batch, birth, &made)?;
    visit.cx.db().commit(batch).await?;
    Ok(pages::see(&location))
}

/// *Sign in as NAME*: a new handle, and an hour from now, but no longer than a day after the last fresh authentication.
pub async fn renew(
    visit: &Visit,
    request: &AuthorizeRequest,
    browser: &Browser,
    old: &[u8; 32],
) -> Result<Response> {
    let (cx, settings) = (&visit.cx, &visit.cx.app.settings);
    let session = &browser.session;
    let limit = session.auth_ms + settings.browser_session_limit_ms;
    // Never shortened: in version 2 a session may already reach further than an hour.
    let expires_ms = session.expires_ms.max((cx.now + settings.browser_session_ms).min(limit));
    let handle = ids::handle(cx.rng());

    let mut batch = Batch::new();
    let birth = tokens::tick(cx, &visit.site.pool, &request.client, &browser.user);
    go_on(visit, request, browser, birth, &mut batch);
    browsers::renew_sso_session(
        &mut batch,
        &visit.site.pool.id,
        &session.id,
        old,
        &keys::hash(&handle),
        cx.now,
        expires_ms,
    );
    let made = Made { sub: &browser.user.sub, sso_id: &session.id, auth_ms: session.auth_ms };
    let location = code(visit, request, &mut batch, birth, &made)?;
    cx.db().commit(batch).await?;
    let mut response = pages::see(&location);
    cookies::set_session(visit, &mut response, &handle, expires_ms);
    cookies::set_csrf(visit, &mut response, &ids::uuid_v4(cx.rng()).to_string());
    Ok(response)
}

fn go_on(
    visit: &Visit,
    request: &AuthorizeRequest,
    browser: &Browser,
    birth: Birth,
    batch: &mut Batch,
) {
    let (pool, user) = (&visit.site.pool, &browser.user);
    let born_of = BornOf::Browser(browser.session.birth_ms);
    clocks::advance_clock(batch, &pool.id, &user.sub, birth.ms(), born_of, Error::conflict());
    audit::note(
        batch,
        &visit.cx,
        &pool.id,
        &Actor::User(&user.sub),
        "ContinueSession",
        &request.client.id,
        "ok",
        &browser.session.id,
    );
}

/// Credentials were proved: opens (or, for the same user, renews) the browser session and answers with a code, in one commit.
pub async fn sign_in(
    visit: &Visit,
    request: &AuthorizeRequest,
    proven: Proven,
) -> Result<Response> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let Proven { user, birth, mut batch } = proven;
    let handle = ids::handle(cx.rng());
    let expires_ms = cx.now + session_ms(visit);
    let before = cookies::session(visit).await?;

    let sso_id = match before {
        Some((browser, old)) if browser.user.sub == user.sub => {
            browsers::authenticate_sso_session(
                &mut batch,
                &pool.id,
                &browser.session.id,
                &old,
                &keys::hash(&handle),
                birth.ms(),
                cx.now,
                expires_ms,
            );
            browser.session.id
        }
        before => {
            if let Some((browser, _)) = &before {
                // Another user takes this browser over; the one before is signed out of it.
                signout::end(
                    cx,
                    &mut batch,
                    pool,
                    &[End::Browser(&browser.session)],
                    Why::user("browser_taken_over"),
                );
            }
            let session = SsoSession {
                id: ids::sso_session(birth.ms(), cx.rng()),
                sub: user.sub.clone(),
                client_id: request.client.id.clone(),
                birth_ms: birth.ms(),
                auth_ms: cx.now,
                created_ms: cx.now,
                active_ms: cx.now,
                expires_ms,
                ended_ms: None,
                ip: cx.request.ip.clone(),
                device: cx.request.device.clone(),
            };
            browsers::insert_sso_session(&mut batch, &pool.id, &session, &keys::hash(&handle));
            session.id
        }
    };
    let made = Made { sub: &user.sub, sso_id: &sso_id, auth_ms: cx.now };
    let location = code(visit, request, &mut batch, birth, &made)?;
    cx.db().commit(batch).await?;
    let mut response = pages::see(&location);
    cookies::set_session(visit, &mut response, &handle, expires_ms);
    cookies::set_csrf(visit, &mut response, &ids::uuid_v4(cx.rng()).to_string());
    Ok(response)
}

/// In version 2 of a pool that tracks sessions the cookie lives as long as the longest re-use that any client of the pool
/// was given, at least an hour.
fn session_ms(visit: &Visit) -> Ms {
    let hour = visit.cx.app.settings.browser_session_ms;
    if visit.site.managed_login_version == 2 && visit.site.pool.doc.sessions.tracking {
        hour.max(visit.site.pool.doc.sessions.longest_minutes * MINUTE)
    } else {
        hour
    }
}

/// What a code is made from.
struct Made<'a> {
    sub: &'a str,
    sso_id: &'a str,
    auth_ms: Ms,
}

/// Adds a code to the batch: the redirect that carries it.
fn code(
    visit: &Visit,
    request: &AuthorizeRequest,
    batch: &mut Batch,
    birth: Birth,
    made: &Made<'_>,
) -> Result<String> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let code = ids::handle(cx.rng());
    let row = AuthorizationCode {
        sub: made.sub.to_owned(),
        client_id: request.client.id.clone(),
        sso_id: made.sso_id.to_owned(),
        session_id: ids::token_session(birth.ms(), cx.rng()),
        birth_ms: birth.ms(),
        doc: CodeDoc {
            redirect_uri: request.redirect_uri.clone(),
            scope: request.scope.clone(),
            nonce: request.nonce.clone(),
            code_challenge: request.code_challenge.clone(),
            auth_ms: made.auth_ms,
        },
        expires_ms: cx.now + CODE_MS,
        consumed_ms: None,
    };
    codes::insert_authorization_code(batch, &pool.id, &keys::hash(&code), &row)?;
    let mut pairs = vec![("code", code.as_str())];
    pairs.extend(request.state.as_deref().map(|state| ("state", state)));
    Ok(with_query(&request.redirect_uri, &pairs))
}
