//! `/login`: the form, and *Sign in as NAME*.

use axum::response::Response;
use minijinja::context;

use super::authorize::is_usable;
use super::request::AuthorizeRequest;
use super::{challenge, cookies, finish, form, texts, words};
use crate::auth::password;
use crate::error::{Kind, Result};
use crate::site::{Params, Visit};

/// Shows the form, or, where a browser session can be used, asks whether to go on as that user.
pub async fn page(visit: &Visit, failed: Option<(&str, &str)>) -> Result<Response> {
    let request = match AuthorizeRequest::check(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    let session =
        cookies::session(visit).await?.filter(|(browser, _)| is_usable(visit, &request, browser));
    match session {
        Some((browser, _)) if !request.prompt.login && failed.is_none() => {
            let mut other = visit.query.clone();
            other.set("prompt", "login");
            let values = context! { name => shown(&browser.user), other => format!("?{other}") };
            form::show(visit, &request, "continue.html", values).await
        }
        _ => {
            let (name, error) =
                failed.unwrap_or((request.login_hint.as_deref().unwrap_or_default(), ""));
            let by_email = visit.site.pool.signs_in_with("email");
            form::show(visit, &request, "login.html", context! { name, error, by_email }).await
        }
    }
}

/// What the form or the question posts.
pub async fn submit(visit: &Visit, posted: &Params) -> Result<Response> {
    let request = match AuthorizeRequest::check(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(refusal) = cookies::check_csrf(visit, posted) {
        return refusal.page(visit).await;
    }
    if posted.get("continue").is_some() {
        return match cookies::session(visit)
            .await?
            .filter(|(browser, _)| is_usable(visit, &request, browser))
        {
            Some((browser, handle)) if !request.prompt.login => {
                finish::renew(visit, &request, &browser, &handle).await
            }
            // The session ended between the question and the answer.
            _ => page(visit, Some(("", "Your session has ended. Please sign in again."))).await,
        };
    }
    let (name, secret) =
        (posted.get("username").unwrap_or_default(), posted.get("password").unwrap_or_default());
    if name.is_empty()
        || secret.is_empty()
        || name.chars().count() > 128
        || secret.chars().count() > 256
    {
        return page(visit, Some((name, "Enter your username and your password."))).await;
    }
    let at = challenge::at(visit, &request.client);
    match password::attempt(&visit.cx, at, name, secret).await {
        Ok(outcome) => challenge::go_on(visit, &request, outcome, name, None).await,
        Err(error) if is_the_users(error.kind) => {
            page(visit, Some((name, &words::say(texts::of(visit), &error)))).await
        }
        Err(error) => Err(error),
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
