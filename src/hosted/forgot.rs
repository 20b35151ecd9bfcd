//! `/forgotPassword` and `/confirmForgotPassword`: a code, and a new password by it. Who exists is told by neither where the client
//! hides that: the rules are in `account::recovery`.

use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;

use super::fields::{self, Field};
use super::form::{self, Caller};
use super::step::{self, Done, Lost, Step, What};
use super::{cookies, login, texts, words};
use crate::account::{address, recovery};
use crate::error::{Kind, Result};
use crate::site::{Params, Visit};

const RESET: &str = "/confirmForgotPassword";

pub async fn page(visit: &Visit) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(error) = address::recovery_order(&visit.site.pool) {
        let go_on = caller
            .request
            .as_ref()
            .map(|_| (visit.page("/login", &step::query(visit)), "button_sign_in"));
        let texts = ("forgot_title", words::key(&error));
        return form::message(visit, StatusCode::FORBIDDEN, texts, go_on).await;
    }
    let mut username = fields::username(&texts::of(visit), &visit.site.pool);
    let hint = visit.query.get("login_hint").unwrap_or_default();
    username.value = hint.chars().take(128).filter(|c| !fields::is_hidden(*c)).collect();
    show(visit, &caller, username, String::new()).await
}

/// Sends a code. The page of the new password sends another one from here, for the name that it knows.
pub async fn submit(visit: &Visit, posted: &Params) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(refusal) = cookies::check_csrf(visit, posted) {
        return refusal.page_before(visit, "/forgotPassword").await;
    }
    let texts = &texts::of(visit);
    let mut username = fields::username(texts, &visit.site.pool);
    let name = match step::read(visit) {
        Ok(Some(Step { what: What::Reset { .. }, name, .. })) => name,
        Ok(None) => {
            let name = username.read(texts, posted);
            if !username.error.is_empty() {
                return show(visit, &caller, username, String::new()).await;
            }
            name
        }
        Ok(Some(_)) => return Lost::Foreign.page_before(visit, "/forgotPassword").await,
        Err(lost) => return lost.page_before(visit, "/forgotPassword").await,
    };
    match recovery::forgot(&visit.cx, caller.via(visit), &name).await {
        Ok(details) => {
            let what = What::Reset { sent: details.destination };
            step::go(visit, RESET, &Step::new(visit, what, &name))
        }
        Err(error) if is_the_users(error.kind) => {
            username.value = name.chars().filter(|c| !fields::is_hidden(*c)).collect();
            show(visit, &caller, username, words::say(texts, &error)).await
        }
        Err(error) => Err(error),
    }
}

async fn show(
    visit: &Visit,
    caller: &Caller,
    mut username: Field,
    alert: String,
) -> Result<Response> {
    let wrong = fields::focus(&mut [&mut username]);
    let values = context! {
        username,
        alert,
        wrong,
        // Without the step of the page that asked for another code: this form asks for a name.
        action => visit.page("/forgotPassword", &step::query(visit)),
        has_code => visit.page(RESET, &step::query(visit)),
    };
    form::show_for(visit, caller, "forgot.html", values).await
}

/// Whose password it is.
struct Who {
    name: String,
    known: bool,
    sent: Option<String>,
}

pub async fn reset_page(visit: &Visit) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    let who = match who(visit) {
        Ok(who) => who,
        Err(lost) => return lost.page_before(visit, RESET).await,
    };
    let mut form = Reset::blank(visit);
    form.username.value = who.name.clone();
    form.show(visit, &caller, &who).await
}

/// Sets the new password, and leads back to the login page.
pub async fn reset(visit: &Visit, posted: &Params) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(refusal) = cookies::check_csrf(visit, posted) {
        return refusal.page_before(visit, RESET).await;
    }
    let mut who = match who(visit) {
        Ok(who) => who,
        Err(lost) => return lost.page_before(visit, RESET).await,
    };
    let texts = &texts::of(visit);
    let mut form = Reset::blank(visit);
    if !who.known {
        who.name = form.username.read(texts, posted);
    }
    let code = form.code.read(texts, posted);
    let password = fields::read_password(&mut form.password, texts, &visit.site.pool, posted);
    if form.all(&who).iter().any(|field| !field.error.is_empty()) {
        return form.show(visit, &caller, &who).await;
    }
    let error =
        match recovery::confirm(&visit.cx, caller.via(visit), &who.name, &code, &password).await {
            Ok(()) => return login::after(visit, &caller, Done::PasswordReset, &who.name).await,
            Err(error) => error,
        };
    let text = words::say(texts, &error);
    match error.kind {
        Kind::CodeMismatch | Kind::ExpiredCode => form.code.error = text,
        Kind::InvalidPassword | Kind::PasswordHistoryPolicyViolation => {
            if let Some(field) = form.password.first_mut() {
                field.error = text;
            }
        }
        kind if is_the_users(kind) => form.alert = text,
        _ => return Err(error),
    }
    form.show(visit, &caller, &who).await
}

fn who(visit: &Visit) -> std::result::Result<Who, Lost> {
    match step::read(visit)? {
        Some(Step { what: What::Reset { sent }, name, .. }) => Ok(Who { name, known: true, sent }),
        Some(_) => Err(Lost::Foreign),
        None => {
            let hint = visit.query.get("login_hint").unwrap_or_default();
            let name = hint.chars().take(128).filter(|c| !fields::is_hidden(*c)).collect();
            Ok(Who { name, known: false, sent: None })
        }
    }
}

struct Reset {
    username: Field,
    code: Field,
    password: [Field; 2],
    alert: String,
}

impl Reset {
    fn blank(visit: &Visit) -> Reset {
        let texts = &texts::of(visit);
        Reset {
            username: fields::username(texts, &visit.site.pool),
            code: fields::code(texts),
            password: fields::new_password(texts, &visit.site.pool),
            alert: String::new(),
        }
    }

    fn all(&mut self, who: &Who) -> Vec<&mut Field> {
        let username = (!who.known).then_some(&mut self.username);
        username.into_iter().chain([&mut self.code]).chain(&mut self.password).collect()
    }

    async fn show(mut self, visit: &Visit, caller: &Caller, who: &Who) -> Result<Response> {
        let wrong = fields::focus(&mut self.all(who));
        let again = who.known.then(|| visit.page("/forgotPassword", &visit.query));
        let values = context! {
            username => (!who.known).then_some(self.username),
            // For password managers, which keep the new password under this name.
            name => who.name.as_str(),
            code => self.code,
            password => self.password,
            alert => self.alert,
            wrong,
            sent => who.sent.as_deref(),
            known => who.known,
            hides => caller.client.hides_user_existence(),
            again,
        };
        form::show_for(visit, caller, "reset.html", values).await
    }
}

/// Refusals that are said on the page itself.
fn is_the_users(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::NotAuthorized
            | Kind::UserNotFound
            | Kind::InvalidParameter
            | Kind::CodeDeliveryFailure
            | Kind::LimitExceeded
            | Kind::TooManyRequests
    )
}
