//! `/login`: the form, and *Sign in as NAME*.

use axum::response::Response;
use minijinja::context;

use super::authorize::is_usable;
use super::fields::{self, Field};
use super::form::{self, Caller};
use super::request::AuthorizeRequest;
use super::step::{self, Done, Step, What};
use super::{challenge, cookies, finish, texts, words};
use crate::auth::password;
use crate::error::{Kind, Result};
use crate::pool::User;
use crate::site::{Params, Visit};

/// Shows the form, or, where a browser session can be used, asks whether to go on as that user.
pub async fn page(visit: &Visit) -> Result<Response> {
    let request = match AuthorizeRequest::check(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    // What was just done on another page. A notice that is old, or another browser's, is nobody's loss.
    let done = match step::read(visit) {
        Ok(Some(Step { what: What::Done(done), name, .. })) => Some((done, name)),
        _ => None,
    };
    let session =
        cookies::session(visit).await?.filter(|(browser, _)| is_usable(visit, &request, browser));
    if let (Some((browser, _)), None) = (session.filter(|_| !request.prompt.login), &done) {
        let mut other = visit.query.clone();
        other.set("prompt", "login");
        let values = context! { name => shown(&browser.user), other => format!("?{other}") };
        return form::show(visit, &request, "continue.html", values).await;
    }
    let mut blank = Form::blank(visit);
    let hint = request.login_hint.as_deref().unwrap_or_default();
    let name = done.as_ref().map_or(hint, |(_, name)| name.as_str());
    blank.username.value = name.chars().filter(|c| !fields::is_hidden(*c)).collect();
    blank.notice = done.map_or("", |(done, _)| match done {
        Done::Confirmed => "done_confirmed",
        Done::PasswordReset => "done_password",
        Done::Waiting => "done_waiting",
    });
    blank.show(visit, &request).await
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
    let texts = &texts::of(visit);
    let mut form = Form::blank(visit);
    if posted.get("continue").is_some() {
        return match cookies::session(visit)
            .await?
            .filter(|(browser, _)| is_usable(visit, &request, browser))
        {
            Some((browser, handle)) if !request.prompt.login => {
                finish::renew(visit, &request, &browser, &handle).await
            }
            // The session ended between the question and the answer.
            _ => {
                form.notice = "session_ended";
                form.show(visit, &request).await
            }
        };
    }
    let name = form.username.read(texts, posted);
    let secret = form.password.read(texts, posted);
    if !form.username.error.is_empty() || !form.password.error.is_empty() {
        return form.show(visit, &request).await;
    }
    let at = challenge::at(visit, &request.client);
    match password::attempt(&visit.cx, at, &name, &secret).await {
        Ok(outcome) => challenge::go_on(visit, &request, outcome, &name, None).await,
        // Only who knows the password learns of these.
        Err(error) if error.kind == Kind::UserNotConfirmed => {
            let what = What::Confirm { sent: None, session: None, again: false };
            step::go(visit, "/confirmUser", &Step::new(visit, what, &name))
        }
        Err(error) if error.kind == Kind::PasswordResetRequired => {
            let what = What::Reset { sent: None };
            step::go(visit, "/confirmForgotPassword", &Step::new(visit, what, &name))
        }
        Err(error) if is_the_users(error.kind) => {
            form.alert = words::say(texts, &error);
            form.show(visit, &request).await
        }
        Err(error) => Err(error),
    }
}

struct Form {
    username: Field,
    password: Field,
    /// What is wrong with both.
    alert: String,
    /// The key of a text that says what was done before.
    notice: &'static str,
}

impl Form {
    fn blank(visit: &Visit) -> Form {
        let texts = &texts::of(visit);
        Form {
            username: fields::username(texts, &visit.site.pool),
            password: fields::password(texts),
            alert: String::new(),
            notice: "",
        }
    }

    async fn show(mut self, visit: &Visit, request: &AuthorizeRequest) -> Result<Response> {
        let refused = !self.alert.is_empty();
        for field in [&mut self.username, &mut self.password] {
            field.told = refused;
        }
        let wrong = fields::focus(&mut [&mut self.username, &mut self.password]);
        let notice = texts::of(visit).say(self.notice, &[]);
        let values = context! { username => self.username, password => self.password, alert => self.alert, wrong, notice };
        form::show(visit, request, "login.html", values).await
    }
}

/// Back to the login page, which says what was done; where no app waits for a sign-in, a page that says so.
pub async fn after(visit: &Visit, caller: &Caller, done: Done, name: &str) -> Result<Response> {
    if caller.request.is_some() {
        return step::go(visit, "/login", &Step::new(visit, What::Done(done), name));
    }
    let texts = match done {
        Done::Confirmed => ("confirmed_title", "confirmed_lead"),
        Done::PasswordReset => ("password_reset_title", "password_reset_lead"),
        Done::Waiting => ("waiting_title", "done_waiting"),
    };
    form::message(visit, axum::http::StatusCode::OK, texts, None).await
}

/// What a user is called to their face: the address they sign in with where the name is a `sub`.
fn shown(user: &User) -> String {
    let name = if user.username == user.sub {
        user.get("email").or_else(|| user.get("phone_number")).unwrap_or(&user.username)
    } else {
        &user.username
    };
    fields::isolated(name)
}

/// Refusals that the user can do something about, or must be told.
fn is_the_users(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::NotAuthorized
            | Kind::UserNotFound
            | Kind::TooManyRequests
            | Kind::LimitExceeded
            | Kind::CodeDeliveryFailure
            | Kind::MfaMethodNotFound
    )
}
