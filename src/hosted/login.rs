//! `/login`: the form, the providers beside it, and *Sign in as NAME*.

use axum::response::Response;
use minijinja::{Value, context};

use super::authorize::usable;
use super::fields::{self, Field};
use super::form::{self, Caller};
use super::providers::{self, Named, Offered, UNAVAILABLE};
use super::request::AuthorizeRequest;
use super::step::{self, Done, Step, What};
use super::{challenge, cookies, finish, pages, texts, to_provider, words};
use crate::auth::password;
use crate::error::{Kind, Result};
use crate::pool::{Status, User};
use crate::site::{Params, Visit};

/// Shows the ways to sign in; where a browser session can be used, asks whether to go on as that user; where there is only one way, and
/// that is a provider, goes there.
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
    let offered = Offered::by(visit, &request.client).await?;
    let named = offered.named(&visit.query);
    if let Named::Provider(_) = named {
        return Ok(pages::see(&visit.page(to_provider::AUTHORIZE, &step::query(visit))));
    }
    let session = usable(visit, &request, &offered, named).await?;
    if let (Some((browser, _)), None) = (session.filter(|_| !request.prompt.login), &done) {
        let mut other = visit.query.clone();
        other.set("prompt", "login");
        let values = context! { name => shown(&browser.user), other => format!("?{other}") };
        return form::show(visit, &request, "continue.html", values).await;
    }
    let mut blank = Form::blank(visit, &offered);
    match (named, offered.single()) {
        (Named::Nobody, Some(provider)) if !request.prompt.none => {
            return to_provider::go(visit, &request, provider, request.prompt.login).await;
        }
        (Named::Unknown, _) => blank.alert = texts::of(visit).say("error_no_provider", &[]),
        _ => {}
    }
    let hint = request.login_hint.as_deref().unwrap_or_default();
    let name = done.as_ref().map_or(hint, |(_, name)| name.as_str());
    blank.username.value = name.chars().filter(|c| !fields::is_hidden(*c)).collect();
    if let Some(field) = blank.corporate.as_mut().filter(|_| hint.contains('@')) {
        field.value.clone_from(&blank.username.value);
    }
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
    let offered = Offered::by(visit, &request.client).await?;
    let mut form = Form::blank(visit, &offered);
    if posted.get("continue").is_some() {
        let named = offered.named(&visit.query);
        return match usable(visit, &request, &offered, named).await? {
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
    if let Some(address) = posted.get(providers::EMAIL) {
        return at_work(visit, &request, &offered, form, address).await;
    }
    if !offered.own {
        return Ok(request.refuse("invalid_request", UNAVAILABLE));
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
            form.refused = true;
            form.show(visit, &request).await
        }
        Err(error) => Err(error),
    }
}

/// Somebody typed an address at work: its domain names the provider.
async fn at_work(
    visit: &Visit,
    request: &AuthorizeRequest,
    offered: &Offered,
    mut form: Form<'_>,
    address: &str,
) -> Result<Response> {
    if let Some(provider) = offered.identified(address) {
        let mut query = step::query(visit);
        query.remove("idp_identifier");
        query.set("identity_provider", &provider.name);
        return Ok(pages::see_other(&visit.page(to_provider::AUTHORIZE, &query)));
    }
    if let Some(field) = &mut form.corporate {
        field.value = address.chars().filter(|c| !fields::is_hidden(*c)).take(field.max).collect();
        field.refuse(texts::of(visit).say("error_no_company", &[]));
    }
    form.show(visit, request).await
}

struct Form<'a> {
    offered: &'a Offered,
    username: Field,
    password: Field,
    /// An address at work, where providers go by its domain.
    corporate: Option<Field>,
    /// What is wrong with both, or with how this page was asked for.
    alert: String,
    /// They are not this user's.
    refused: bool,
    /// The key of a text that says what was done before.
    notice: &'static str,
}

impl<'a> Form<'a> {
    fn blank(visit: &Visit, offered: &'a Offered) -> Form<'a> {
        let texts = &texts::of(visit);
        Form {
            offered,
            corporate: offered.email_box(texts),
            username: fields::username(texts, &visit.site.pool),
            password: fields::password(texts),
            alert: String::new(),
            refused: false,
            notice: "",
        }
    }

    async fn show(mut self, visit: &Visit, request: &AuthorizeRequest) -> Result<Response> {
        // Whoever asked for the pool's own form gets that alone.
        let alone = matches!(self.offered.named(&visit.query), Named::Own);
        let own = self.offered.own;
        self.corporate = self.corporate.filter(|_| !alone);
        for field in [&mut self.username, &mut self.password] {
            field.told = self.refused;
        }
        let mut inputs = Vec::new();
        if own {
            inputs.extend([&mut self.username, &mut self.password]);
        }
        inputs.extend(&mut self.corporate);
        let wrong = fields::focus(&mut inputs);
        let links = if alone { Value::from(()) } else { self.offered.links(visit) };
        let ends = if self.corporate.is_some() { self.offered.form_ends() } else { Vec::new() };
        let notice = texts::of(visit).say(self.notice, &[]);
        let values = context! {
            own,
            username => self.username,
            password => self.password,
            corporate => self.corporate.map(Value::from),
            providers => links,
            alert => self.alert,
            wrong,
            notice,
        };
        form::show_ending(visit, request, "login.html", values, ends).await
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

/// What a user is called to their face: their address where the name is a `sub`, or one that we made for who comes from a provider.
fn shown(user: &User) -> String {
    let name = if user.username == user.sub || user.status == Status::ExternalProvider {
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
