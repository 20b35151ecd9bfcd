//! `/login`: the form, *Sign in as NAME*, and the code that both end in.

use axum::response::Response;
use minijinja::context;

use super::authorize::is_usable;
use super::request::AuthorizeRequest;
use super::{cookies, pages};
use crate::ambient::{MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::auth::{At, Door, Outcome, Proven, password};
use crate::error::{Error, Kind, Result};
use crate::pool::SsoSession;
use crate::signout::{self, End, Why};
use crate::site::{Params, Visit, with_query};
use crate::store::browsers::Browser;
use crate::store::clocks::{self, BornOf};
use crate::store::codes::{AuthorizationCode, CodeDoc};
use crate::store::{Batch, browsers, codes};
use crate::tokens::{self, Birth};
use crate::{ids, keys};

/// `cognito-behaviour`, 4.1.
const CODE_MS: Ms = 5 * MINUTE;

/// Shows the form, or, where a browser session can be used, asks whether to go on as that user.
pub async fn form(visit: &Visit, failed: Option<(&str, &str)>) -> Result<Response> {
    let request = match AuthorizeRequest::check(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    let session =
        cookies::session(visit).await?.filter(|(browser, _)| is_usable(visit, &request, browser));
    let csrf = cookies::csrf(visit);
    let common = context! { csrf => csrf.as_str(), action => action(visit), client => request.client.model().client_name.clone() };
    let mut response = match session {
        Some((browser, _)) if !request.prompt.login && failed.is_none() => {
            let mut other = visit.query.clone();
            other.set("prompt", "login");
            let more = context! { name => shown(&browser.user), other => format!("?{other}") };
            pages::render(
                &visit.cx,
                "continue.html",
                context! { ..more, ..common },
                Some(&request.redirect_uri),
            )
        }
        _ => {
            let (name, error) =
                failed.unwrap_or((request.login_hint.as_deref().unwrap_or_default(), ""));
            let more = context! { name, error, by_email => visit.site.pool.signs_in_with("email") };
            pages::render(
                &visit.cx,
                "login.html",
                context! { ..more, ..common },
                Some(&request.redirect_uri),
            )
        }
    };
    cookies::set_csrf(visit, &mut response, &csrf);
    Ok(response)
}

/// What the form or the question posts.
pub async fn submit(visit: &Visit, form: &Params) -> Result<Response> {
    let request = match AuthorizeRequest::check(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    cookies::check_csrf(visit, form)?;
    if form.get("continue").is_some() {
        return match cookies::session(visit)
            .await?
            .filter(|(browser, _)| is_usable(visit, &request, browser))
        {
            Some((browser, handle)) if !request.prompt.login => {
                renew(visit, &request, &browser, &handle).await
            }
            // The session ended between the question and the answer.
            _ => {
                self::form(visit, Some(("", "Your session has ended. Please sign in again."))).await
            }
        };
    }
    let (name, secret) =
        (form.get("username").unwrap_or_default(), form.get("password").unwrap_or_default());
    if name.is_empty()
        || secret.is_empty()
        || name.chars().count() > 128
        || secret.chars().count() > 256
    {
        return self::form(visit, Some((name, "Enter your username and your password."))).await;
    }
    let at = At { pool: &visit.site.pool, client: &request.client, door: Door::Hosted };
    match password::attempt(&visit.cx, at, name, secret).await {
        Ok(Outcome::Proven(proven)) => sign_in(visit, &request, *proven).await,
        Ok(Outcome::Challenged(challenged)) => Err(Error::new(
            Kind::InvalidUserPoolConfiguration,
            format!(
                "This account must answer {} first, which the hosted pages of this version cannot ask.",
                challenged.name
            ),
        )),
        Err(error) if is_the_users(error.kind) => {
            self::form(visit, Some((name, &error.message))).await
        }
        Err(error) => Err(error),
    }
}

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
async fn renew(
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
async fn sign_in(visit: &Visit, request: &AuthorizeRequest, proven: Proven) -> Result<Response> {
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

/// Where the form posts to: this page's own path with its query.
fn action(visit: &Visit) -> String {
    let path = visit.parts.uri.path();
    match visit.parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}

/// What a user is called to their face: the address they sign in with where the name is a `sub`.
fn shown(user: &crate::pool::User) -> String {
    if user.username == user.sub {
        user.get("email").or_else(|| user.get("phone_number")).unwrap_or(&user.username).to_owned()
    } else {
        user.username.clone()
    }
}

/// Refusals that the user can do something about, or must be told.
fn is_the_users(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::NotAuthorized
            | Kind::UserNotFound
            | Kind::UserNotConfirmed
            | Kind::PasswordResetRequired
            | Kind::TooManyRequests
            | Kind::LimitExceeded
    )
}
