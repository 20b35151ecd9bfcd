//! The one home of cookies: the browser session, the CSRF token (`cognito-behaviour`, 1.2), and which browser went to a provider.

use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::step::Lost;
use crate::ambient::{DAY, Ms, SECOND};
use crate::error::Result;
use crate::pool::SsoSession;
use crate::site::{Params, Visit};
use crate::store::browsers::{self, Browser};
use crate::{ids, keys};

/// The browser session. Its value is a random handle, replaced at every authentication and renewal; the database has the hash.
const SESSION: &str = "cognito";
const CSRF: &str = "XSRF-TOKEN";
const BROWSER: &str = "federation";
const LANG: &str = "lang";
/// A choice of language outlives the browser's session: people keep their language.
const LANG_MS: Ms = 365 * DAY;

/// The living browser session that this request's cookie stands for.
pub async fn session(visit: &Visit) -> Result<Option<(Browser, [u8; 32])>> {
    let Some(handle) = read(visit, SESSION) else { return Ok(None) };
    let hash = keys::hash(handle);
    let pool = &visit.site.pool;
    let browser = browsers::browser(visit.cx.db(), &pool.id, &hash).await?;
    Ok(browser.filter(|browser| is_alive(visit, browser)).map(|browser| (browser, hash)))
}

/// The session of this request's cookie, alive or not, for the sign-out that ends it.
pub async fn any_session(visit: &Visit) -> Result<Option<SsoSession>> {
    let Some(handle) = read(visit, SESSION) else { return Ok(None) };
    browsers::sso_session_to_end(visit.cx.db(), &visit.site.pool.id, &keys::hash(handle)).await
}

fn is_alive(visit: &Visit, Browser { session, user }: &Browser) -> bool {
    session.ended_ms.is_none()
        && session.expires_ms > visit.cx.now
        && user.enabled
        && session.birth_ms >= user.sso_epoch_ms
        && session.birth_ms >= visit.site.pool.epoch_ms
}

pub fn set_session(visit: &Visit, response: &mut Response, handle: &str, expires_ms: Ms) {
    let age = (expires_ms - visit.cx.now).max(0) / SECOND;
    set(visit, response, SESSION, handle, Some(age));
}

pub fn clear_session(visit: &Visit, response: &mut Response) {
    set(visit, response, SESSION, "", Some(0));
}

/// The CSRF token of the page that is about to be shown: the browser's, if it has a plausible one (so that a second tab does not
/// invalidate the first), else a new one.
pub fn csrf(visit: &Visit) -> String {
    known_csrf(visit)
        .map_or_else(|| ids::uuid_v4(visit.cx.rng()).to_string(), |token| token.to_owned())
}

/// The browser's CSRF token, if it sent a plausible one.
pub fn known_csrf(visit: &Visit) -> Option<&str> {
    read(visit, CSRF).filter(|token| is_token(token))
}

pub fn set_csrf(visit: &Visit, response: &mut Response, token: &str) {
    set(visit, response, CSRF, token, None);
}

/// What tells the browser that went to an identity provider from others. A sign-in does not replace it, so that each of two tabs that
/// are at a provider can come back.
pub fn browser(visit: &Visit) -> String {
    known_browser(visit)
        .map_or_else(|| ids::uuid_v4(visit.cx.rng()).to_string(), |token| token.to_owned())
}

/// The same, if this browser was sent to a provider before.
pub fn known_browser(visit: &Visit) -> Option<&str> {
    read(visit, BROWSER).filter(|token| is_token(token))
}

pub fn set_browser(visit: &Visit, response: &mut Response, token: &str) {
    set(visit, response, BROWSER, token, None);
}

/// Refuses a form that did not come from a page of this site: the field must equal the cookie, and an `Origin`, if the
/// browser sent one, must be ours. A sign-in in another tab replaces the cookie, and so ends what was half done here.
pub fn check_csrf(visit: &Visit, form: &Params) -> std::result::Result<(), Lost> {
    let cookie = known_csrf(visit).ok_or(Lost::Cookieless)?;
    let field = form.get("_csrf").unwrap_or_default();
    let origin = visit.parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let foreign = origin.is_some_and(|origin| origin != visit.cx.request.origin);
    if foreign || !is_token(field) || !keys::same(cookie.as_bytes(), field.as_bytes()) {
        return Err(Lost::Forged);
    }
    Ok(())
}

/// The language that this browser chose.
pub fn lang(parts: &Parts) -> Option<&str> {
    read_from(parts, LANG)
}

pub fn set_lang(visit: &Visit, response: &mut Response, tag: &str) {
    set(visit, response, LANG, tag, Some(LANG_MS / SECOND));
}

fn is_token(text: &str) -> bool {
    uuid::Uuid::parse_str(text).is_ok()
}

fn read<'a>(visit: &'a Visit, name: &str) -> Option<&'a str> {
    read_from(&visit.parts, name)
}

fn read_from<'a>(parts: &'a Parts, name: &str) -> Option<&'a str> {
    let lines = parts.headers.get_all(header::COOKIE);
    lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';')).find_map(
        |pair| {
            let (key, value) = pair.trim().split_once('=')?;
            (key == name && value.len() <= 256).then_some(value.trim_matches('"'))
        },
    )
}

fn set(visit: &Visit, response: &mut Response, name: &str, value: &str, max_age_secs: Option<i64>) {
    let mut cookie =
        format!("{name}={value}; Path={}; HttpOnly; SameSite=Lax", visit.site.cookie_path);
    if let Some(age) = max_age_secs {
        cookie.push_str(&format!("; Max-Age={age}"));
        if age == 0 {
            cookie.push_str("; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }
    if visit.is_secure() {
        cookie.push_str("; Secure");
    }
    if let Ok(value) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
}
