//! Every browser endpoint: authorize, login and what follows it, sign-up, recovery, logout, error (`cognito-behaviour`, 1.1, 1.2 and 4). Pages work without JavaScript:
//! plain forms that post to their own path with its query.

mod authorize;
mod challenge;
mod confirm;
mod cookies;
mod error;
mod fields;
mod finish;
mod forgot;
mod form;
mod login;
mod logo;
mod logout;
mod looks;
mod new_password;
mod pages;
mod qr;
mod request;
mod saml_metadata;
mod second;
mod signup;
mod step;
mod texts;
mod words;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;

pub use self::logo::logo;
pub use self::saml_metadata::saml_metadata;
use crate::cx::{App, Cx};
use crate::error::Result;
use crate::http;
use crate::site::{self, Params, Visit};

/// The largest form that a page posts.
const MAX_FORM: usize = 64 << 10;

pub async fn authorize(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "authorize").await
}

pub async fn confirm_user(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "confirmUser").await
}

pub async fn resend_code(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "resendcode").await
}

pub async fn forgot_password(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "forgotPassword").await
}

pub async fn confirm_forgot_password(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "confirmForgotPassword").await
}

pub async fn signup(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "signup").await
}

pub async fn challenge(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "challenge").await
}

pub async fn login(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "login").await
}

pub async fn logout(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "logout").await
}

pub async fn error(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "error").await
}

/// Finds the pool, reads the form, runs the page (again, if a guard lost a race), and turns what went wrong into a page.
async fn visit(app: Arc<App>, request: Request, page: &'static str) -> Response {
    let (cx, parts, form) = site::open(app, request, MAX_FORM).await;
    let post = parts.method == Method::POST;
    let answer = match form {
        Ok(form) => cx.retrying(|cx| run(cx, parts.clone(), form.clone(), post, page)).await,
        Err(error) => Err(error),
    };
    http::log(&cx, "hosted", page, answer.as_ref().err());
    answer.unwrap_or_else(|error| pages::failure(&cx, &parts, &error))
}

async fn run(
    cx: Cx,
    parts: axum::http::request::Parts,
    form: Params,
    post: bool,
    page: &'static str,
) -> Result<Response> {
    let visit = Visit::begin(cx, parts, Some(&form)).await?;
    let Some(visit) = visit else {
        return Err(site::nothing_here());
    };
    if visit.site.bare {
        // The bare public URL only says where the pool's own pages are.
        // A form is not carried on, since its fields would end in an address; only a relying party's sign-out has no secrets.
        let query =
            if page == "logout" { visit.query.clone().and(&form) } else { visit.query.clone() };
        let path = match page {
            "authorize" => "/oauth2/authorize".to_owned(),
            page => format!("/{page}"),
        };
        return Ok(pages::see(&visit.page(&path, &query)));
    }
    match (page, post) {
        ("authorize", _) => authorize::page(&visit).await,
        ("challenge", false) => challenge::page(&visit).await,
        ("challenge", true) => challenge::submit(&visit, &form).await,
        ("confirmForgotPassword", false) => forgot::reset_page(&visit).await,
        ("confirmForgotPassword", true) => forgot::reset(&visit, &form).await,
        ("confirmUser", false) => confirm::page(&visit).await,
        ("confirmUser", true) => confirm::submit(&visit, &form).await,
        ("forgotPassword", false) => forgot::page(&visit).await,
        ("forgotPassword", true) => forgot::submit(&visit, &form).await,
        ("resendcode", false) => confirm::resend_page(&visit).await,
        ("resendcode", true) => confirm::resend(&visit, &form).await,
        ("signup", false) => signup::page(&visit).await,
        ("signup", true) => signup::submit(&visit, &form).await,
        ("login", false) => login::page(&visit).await,
        ("login", true) => login::submit(&visit, &form).await,
        ("logout", false) => logout::page(&visit).await,
        ("logout", true) => Ok(logout::redirect_to_get(&visit, &form)),
        _ => error::page(&visit).await,
    }
}
