//! `/login`: the form, and *Sign in as NAME*.

use axum::response::Response;
use minijinja::context;

use super::authorize::is_usable;
use super::request::AuthorizeRequest;
use super::{cookies, finish, pages};
use crate::auth::{At, Door, Outcome, password};
use crate::error::{Error, Kind, Result};
use crate::site::{Params, Visit};

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
            let values = context! { ..more, ..common };
            pages::page(visit, "continue.html", values, Some(&request.redirect_uri)).await?
        }
        _ => {
            let (name, error) =
                failed.unwrap_or((request.login_hint.as_deref().unwrap_or_default(), ""));
            let more = context! { name, error, by_email => visit.site.pool.signs_in_with("email") };
            let values = context! { ..more, ..common };
            pages::page(visit, "login.html", values, Some(&request.redirect_uri)).await?
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
                finish::renew(visit, &request, &browser, &handle).await
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
        Ok(Outcome::Proven(proven)) => finish::sign_in(visit, &request, *proven).await,
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
