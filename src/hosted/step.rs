//! A sign-in of several pages: what the page of the next step needs travels in its address, in the parameter `step`, sealed for this
//! browser (its CSRF cookie). So it is opaque, another browser cannot open it, every tab has steps of its own, and all of them end
//! when somebody signs in, which changes that cookie. Five minutes after its first page it is over (`cognito-behaviour`, 1.2).

use std::collections::BTreeMap;

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::{cookies, form, pages};
use crate::ambient::{MINUTE, Ms};
use crate::error::{Error, Result};
use crate::keys::Place;
use crate::site::{Params, Visit};

/// How long somebody may take from the first page of several to the last.
const LIFETIME: Ms = 5 * MINUTE;

/// Far more than any step needs.
const LONGEST: usize = 8 << 10;

/// What a page of several knows from the one before.
#[derive(Serialize, Deserialize)]
pub struct Step {
    pub what: What,
    /// Who this is about, as they typed it.
    pub name: String,
    /// When the first page of these was left.
    pub began_ms: Ms,
}

#[derive(Serialize, Deserialize)]
pub enum What {
    /// A challenge of `auth` that must be answered: Cognito's name of it, the handle, and what the page shows.
    Challenge { name: String, session: String, parameters: BTreeMap<String, String> },
    /// A sign-up that waits for its code. `sent` is where that went, masked unless
    /// it was typed here, `again` whether it is
    /// not the first one; `session` signs the user in who has just signed up here.
    Confirm { sent: Option<String>, session: Option<String>, again: bool },
    /// A new password that waits for its code.
    Reset { sent: Option<String> },
    /// Something that was done; the login page says so.
    Done(Done),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Done {
    Confirmed,
    PasswordReset,
    Waiting,
}

/// Why a step cannot go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// Its five minutes are over.
    Expired,
    /// It belongs to another browser, to a sign-in that is already over, or is nothing that this server made.
    Foreign,
    /// What it stands for was used, or was ended by somebody.
    Ended,
    /// A form that did not come from a page that this browser shows.
    Forged,
    /// A form from a browser that keeps no cookies.
    Cookieless,
}

impl Step {
    pub fn new(visit: &Visit, what: What, name: &str) -> Step {
        Step { what, name: name.to_owned(), began_ms: visit.cx.now }
    }
}

/// Sends the browser to the page of a step, with the whole authorize query.
pub fn go(visit: &Visit, path: &str, step: &Step) -> Result<Response> {
    let csrf = cookies::csrf(visit);
    let plain = serde_json::to_vec(step).map_err(Error::internal)?;
    let sealed = visit.cx.app.vault.seal(visit.cx.rng(), &place(visit, &csrf), &plain)?;
    let mut query = query(visit);
    query.set("step", &BASE64_URL_SAFE_NO_PAD.encode(sealed.0));
    let mut response = pages::see_other(&visit.page(path, &query));
    cookies::set_csrf(visit, &mut response, &csrf);
    Ok(response)
}

/// The step that this page's address carries, if it carries one.
pub fn read(visit: &Visit) -> std::result::Result<Option<Step>, Lost> {
    let Some(text) = visit.query.get("step") else { return Ok(None) };
    let csrf = cookies::known_csrf(visit).ok_or(Lost::Foreign)?;
    let open = || {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(text).ok().filter(|_| text.len() <= LONGEST)?;
        let plain = visit.cx.app.vault.open(&place(visit, csrf), &sealed).ok()?;
        serde_json::from_slice::<Step>(&plain).ok()
    };
    let step = open().ok_or(Lost::Foreign)?;
    if visit.cx.now >= step.began_ms + LIFETIME {
        return Err(Lost::Expired);
    }
    Ok(Some(step))
}

/// The authorize query alone, without what is one page's own: what every link to another page carries.
pub fn query(visit: &Visit) -> Params {
    let mut query = visit.query.clone();
    for own in ["step", "user_name", "confirmation_code"] {
        query.remove(own);
    }
    query
}

impl Lost {
    /// Says what happened, and where to start again.
    pub async fn page(self, visit: &Visit) -> Result<Response> {
        self.page_before(visit, "/login").await
    }

    /// The same where one starts again somewhere else: a code that was sent is good for longer than a page.
    pub async fn page_before(self, visit: &Visit, path: &str) -> Result<Response> {
        let text = match self {
            Lost::Expired if path == "/login" => "expired_time",
            Lost::Expired => "expired_time_code",
            Lost::Foreign | Lost::Forged => "expired_foreign",
            Lost::Ended => "expired_ended",
            Lost::Cookieless => "expired_cookies",
        };
        let title = match self {
            Lost::Cookieless => "cookies_title",
            _ => "expired_title",
        };
        let status = match self {
            Lost::Forged | Lost::Cookieless => StatusCode::FORBIDDEN,
            Lost::Expired | Lost::Foreign | Lost::Ended => StatusCode::BAD_REQUEST,
        };
        // Where the sign-in itself is over, another code helps nobody.
        let alone = visit.query.get("response_type").is_none();
        let path = match self {
            Lost::Foreign | Lost::Ended | Lost::Forged if !alone => "/login",
            _ => path,
        };
        let again = (visit.page(path, &query(visit)), "start_again");
        form::message(visit, status, (title, text), Some(again)).await
    }
}

fn place<'a>(visit: &'a Visit, csrf: &'a str) -> Place<'a> {
    Place { table: "pages", pool: &visit.site.pool.id, row: csrf, column: "step" }
}
