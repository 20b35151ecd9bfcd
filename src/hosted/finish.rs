//! What a sign-in at the hosted pages ends in: the browser session, and the redirect that carries the answer.

use axum::response::Response;

use super::request::{AuthorizeRequest, Grant};
use super::{cookies, pages};
use crate::ambient::{MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::auth::Proven;
use crate::error::{Error, Result};
use crate::pool::session::Flow;
use crate::pool::{Identity, SsoSession, TokenSession, User};
use crate::signout::{self, End, Why};
use crate::site::Visit;
use crate::store::browsers::Browser;
use crate::store::clocks::{self, BornOf};
use crate::store::codes::{AuthorizationCode, CodeDoc};
use crate::store::{Batch, browsers, codes, upstream};
use crate::tokens::{self, Birth, mint, open};
use crate::{federation, ids, keys};

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
    let made =
        Made { user: &browser.user, sso_id: &browser.session.id, auth_ms: browser.session.auth_ms };
    let granted = grant(visit, request, &mut batch, birth, &made).await?;
    visit.cx.db().commit(batch).await?;
    Ok(pages::see(&redirect(visit, request, &made, granted).await?))
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
    let made = Made { user: &browser.user, sso_id: &session.id, auth_ms: session.auth_ms };
    let granted = grant(visit, request, &mut batch, birth, &made).await?;
    cx.db().commit(batch).await?;
    let mut response = pages::see(&redirect(visit, request, &made, granted).await?);
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

/// Credentials were proved, or a provider said who it is: opens (or, for the same user, renews) the browser session, remembers that
/// provider's own session with it, and grants what was asked for, in one commit.
pub async fn sign_in(
    visit: &Visit,
    request: &AuthorizeRequest,
    proven: Proven,
    identity: Option<&Identity>,
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
    if let Some(identity) = identity {
        upstream::insert(
            &mut batch,
            &federation::upstream::seal(cx, pool, identity, &sso_id, &user.sub)?,
        );
    }
    let made = Made { user: &user, sso_id: &sso_id, auth_ms: cx.now };
    let granted = grant(visit, request, &mut batch, birth, &made).await?;
    cx.db().commit(batch).await?;
    let mut response = pages::see(&redirect(visit, request, &made, granted).await?);
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

/// What a code, or a session of the implicit grant, is made from.
struct Made<'a> {
    user: &'a User,
    sso_id: &'a str,
    auth_ms: Ms,
}

/// What the app is given once the batch is committed.
enum Granted {
    Code(String),
    /// The implicit grant: signing comes after the commit.
    Tokens(Box<TokenSession>),
}

/// Adds to the batch what the app asked for.
async fn grant(
    visit: &Visit,
    request: &AuthorizeRequest,
    batch: &mut Batch,
    birth: Birth,
    made: &Made<'_>,
) -> Result<Granted> {
    match request.grant {
        Grant::Code => code(visit, request, batch, birth, made).map(Granted::Code),
        Grant::Tokens => {
            implicit(visit, request, batch, birth, made).await.map(Box::new).map(Granted::Tokens)
        }
    }
}

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
        sub: made.user.sub.clone(),
        client_id: request.client.id.clone(),
        sso_id: made.sso_id.to_owned(),
        session_id: ids::token_session(birth.ms(), cx.rng()),
        birth_ms: birth.ms(),
        doc: CodeDoc {
            redirect_uri: request.redirect_uri.clone(),
            scope: request.scope.clone(),
            nonce: request.nonce.clone(),
            code_challenge: request.code_challenge.clone(),
            resource: request.resource.clone(),
            auth_ms: made.auth_ms,
        },
        expires_ms: cx.now + CODE_MS,
        consumed_ms: None,
    };
    codes::insert_authorization_code(batch, &pool.id, &keys::hash(&code), &row)?;
    Ok(code)
}

/// A session without a refresh token, so that sign-outs reach the tokens and lists show them.
async fn implicit(
    visit: &Visit,
    request: &AuthorizeRequest,
    batch: &mut Batch,
    birth: Birth,
    made: &Made<'_>,
) -> Result<TokenSession> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let new = open::New {
        pool,
        client: &request.client,
        user: made.user,
        birth,
        auth_ms: made.auth_ms,
        flow: Flow::Implicit,
        scope: &request.scope,
        nonce: request.nonce.clone(),
        resource: request.resource.clone(),
        sso_id: Some(made.sso_id.to_owned()),
        session_id: None,
    };
    let opened = open::open(cx, batch, new).await?;
    audit::note(
        batch,
        cx,
        &pool.id,
        &Actor::User(&made.user.sub),
        "ImplicitGrant",
        &request.client.id,
        "ok",
        &opened.session.id,
    );
    Ok(opened.session)
}

/// The redirect that carries what was granted (`cognito-behaviour`, 4.1).
async fn redirect(
    visit: &Visit,
    request: &AuthorizeRequest,
    made: &Made<'_>,
    granted: Granted,
) -> Result<String> {
    let session = match &granted {
        Granted::Code(code) => return Ok(request.answer(vec![("code", code)])),
        Granted::Tokens(session) => session,
    };
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let issued = mint::issue(cx, pool, &request.client, made.user, session, None).await?;
    cx.app.meters.issued("implicit");
    let expires_in = issued.expires_in_secs.to_string();
    let mut pairs: Vec<(&str, &str)> =
        issued.id_token.iter().map(|token| ("id_token", token.as_str())).collect();
    pairs.extend([
        ("access_token", issued.access_token.as_str()),
        ("token_type", "bearer"),
        ("expires_in", expires_in.as_str()),
    ]);
    Ok(request.answer(pairs))
}
