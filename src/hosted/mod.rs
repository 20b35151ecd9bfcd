//! Every browser endpoint: authorize, login and what follows it, the way to identity providers and back, sign-up, recovery, logout, error (`cognito-behaviour`, 1.1, 1.2 and 4). Pages work without JavaScript:
//! plain forms that post to their own path with its query.

mod arrival;
mod authorize;
mod challenge;
mod confirm;
mod cookies;
mod error;
mod events_inward;
mod fields;
mod finish;
mod forgot;
mod form;
mod from_provider;
mod frontchannel_logout;
mod login;
mod logo;
mod logout;
mod logout_hop;
mod logout_inward;
mod logout_told;
mod looks;
mod new_password;
mod pages;
mod providers;
mod qr;
mod request;
mod saml_metadata;
mod second;
mod signup;
mod step;
mod texts;
mod to_provider;
mod unsolicited;
mod words;

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::Response;

pub use self::events_inward::{global_token_revocation, security_event};
pub use self::logo::logo;
pub use self::logout_inward::{backchannel, frontchannel};
pub use self::saml_metadata::saml_metadata;
use crate::cx::{App, Cx};
use crate::error::Result;
use crate::http;
use crate::site::{self, Params, Visit};

/// The largest form that a page posts.
const MAX_FORM: usize = 64 << 10;
/// The largest that a SAML provider posts: 100,000 characters of a response in base64, every other of them escaped, and a RelayState.
const MAX_SAML_FORM: usize = 384 << 10;

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

/// A provider's server speaks SOAP here, a browser forms and queries.
pub async fn saml_logout(State(app): State<Arc<App>>, request: Request) -> Response {
    if logout_inward::is_soap(request.headers()) {
        return logout_inward::soap(app, request).await;
    }
    visit_with(app, request, "samlLogout", MAX_SAML_FORM).await
}

pub async fn oauth_logged_out(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "oauthLoggedOut").await
}

pub async fn federation_logout(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "federationLogout").await
}

pub async fn error(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "error").await
}

pub async fn saml_response(State(app): State<Arc<App>>, request: Request) -> Response {
    visit_with(app, request, "samlResponse", MAX_SAML_FORM).await
}

pub async fn oauth_response(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "oauthResponse").await
}

pub async fn federation_continue(State(app): State<Arc<App>>, request: Request) -> Response {
    visit(app, request, "federationContinue").await
}

async fn visit(app: Arc<App>, request: Request, page: &'static str) -> Response {
    visit_with(app, request, page, MAX_FORM).await
}

/// Finds the pool, reads the form, runs the page (again, if a guard lost a race), and turns what went wrong into a page.
async fn visit_with(
    app: Arc<App>,
    request: Request,
    page: &'static str,
    max_form: usize,
) -> Response {
    let (cx, parts, form) = site::open(app, request, max_form).await;
    let post = parts.method == Method::POST;
    let answer = match form {
        Ok(form) => cx.retrying(|cx| run(cx, parts.clone(), form.clone(), post, page)).await,
        Err(error) => Err(error),
    };
    http::log(&cx, "hosted", page, answer.as_ref().err());
    let mut response = answer.unwrap_or_else(|error| pages::failure(&cx, &parts, &error));
    pages::name_signout(&cx, &mut response);
    response
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
            "authorize" => to_provider::AUTHORIZE.to_owned(),
            // A provider was given the address of the pool's own page.
            "samlResponse" | "samlLogout" | "oauthResponse" | "oauthLoggedOut"
            | "federationContinue" | "federationLogout" => {
                return Err(site::nothing_here());
            }
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
        ("federationContinue", _) => from_provider::go_on(&visit).await,
        ("federationLogout", _) => logout_hop::afterwards(&visit).await,
        ("forgotPassword", false) => forgot::page(&visit).await,
        ("forgotPassword", true) => forgot::submit(&visit, &form).await,
        ("oauthLoggedOut", _) => logout_hop::returned(&visit).await,
        ("oauthResponse", false) => from_provider::oauth(&visit).await,
        ("oauthResponse", true) => from_provider::oauth_posted(&visit, &form).await,
        ("resendcode", false) => confirm::resend_page(&visit).await,
        ("resendcode", true) => confirm::resend(&visit, &form).await,
        ("samlLogout", false) => logout_inward::saml(&visit, None).await,
        ("samlLogout", true) => logout_inward::saml(&visit, Some(&form)).await,
        ("samlResponse", false) => from_provider::nothing_posted(&visit).await,
        ("samlResponse", true) => from_provider::saml(&visit, &form).await,
        ("signup", false) => signup::page(&visit).await,
        ("signup", true) => signup::submit(&visit, &form).await,
        ("login", false) => login::page(&visit).await,
        ("login", true) => login::submit(&visit, &form).await,
        ("logout", false) => logout::page(&visit).await,
        ("logout", true) => Ok(logout::redirect_to_get(&visit, &form)),
        _ => error::page(&visit).await,
    }
}
