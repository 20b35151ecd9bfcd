//! `/confirmUser` and `/resendcode`: the code of a sign-up. Both come after `/signup`, after a login that needs them, or alone: by the
//! address `/confirmUser?client_id=..&user_name=..&confirmation_code=..` of a mail, too, whose GET changes nothing.

use axum::response::Response;
use minijinja::context;

use super::fields::{self, Field};
use super::form::{self, Caller};
use super::step::{self, Done, Lost, Step, What};
use super::{challenge, cookies, login, texts, words};
use crate::account::{address, sign_up};
use crate::auth::signed_up;
use crate::error::{Kind, Result};
use crate::site::{Params, Visit};

pub const PATH: &str = "/confirmUser";

/// Who confirms.
struct Who {
    name: String,
    /// The page before said who it is; else they are asked.
    known: bool,
    sent: Option<String>,
    session: Option<String>,
    again: bool,
}

pub async fn page(visit: &Visit) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    let who = match who(visit) {
        Ok(who) => who,
        Err(lost) => return lost.page_before(visit, PATH).await,
    };
    let mut form = Form::blank(visit);
    form.username.value = who.name.clone();
    let code = visit.query.get("confirmation_code").unwrap_or_default();
    form.code.value = code.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
    form.show(visit, &caller, &who).await
}

pub async fn submit(visit: &Visit, posted: &Params) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(refusal) = cookies::check_csrf(visit, posted) {
        return refusal.page_before(visit, PATH).await;
    }
    let mut who = match who(visit) {
        Ok(who) => who,
        Err(lost) => return lost.page_before(visit, PATH).await,
    };
    let texts = &texts::of(visit);
    let mut form = Form::blank(visit);
    if !who.known {
        who.name = form.username.read(texts, posted);
    }
    let code = form.code.read(texts, posted);
    if form.is_wrong() {
        return form.show(visit, &caller, &who).await;
    }
    match sign_up::confirm(&visit.cx, caller.via(visit), &who.name, &code, false).await {
        Ok(()) => confirmed(visit, &caller, &who).await,
        Err(error) => match error.kind {
            // The form was posted twice, or an administrator was quicker.
            Kind::CodeMismatch | Kind::ExpiredCode if is_over(visit, &caller, &who).await? => {
                login::after(visit, &caller, Done::Confirmed, &who.name).await
            }
            Kind::CodeMismatch | Kind::ExpiredCode => {
                form.code.error = words::say(texts, &error);
                form.show(visit, &caller, &who).await
            }
            kind if is_the_users(kind) => {
                form.alert = words::say(texts, &error);
                form.show(visit, &caller, &who).await
            }
            _ => Err(error),
        },
    }
}

/// Signs in who has just signed up here; everybody else is asked to.
async fn confirmed(visit: &Visit, caller: &Caller, who: &Who) -> Result<Response> {
    if let (Some(session), Some(request)) = (&who.session, &caller.request) {
        let at = challenge::at(visit, &caller.client);
        let signed_in = match signed_up::answer(&visit.cx, at, session).await {
            Ok(outcome) => challenge::go_on(visit, request, outcome, &who.name, None).await,
            Err(error) => Err(error),
        };
        match signed_in {
            Ok(response) => return Ok(response),
            // The confirmation is committed; what is left can be done by hand.
            Err(error) => {
                tracing::info!(request_id = %visit.cx.request.id, ?error, "a confirmed user must sign in by hand");
            }
        }
    }
    login::after(visit, caller, Done::Confirmed, &who.name).await
}

/// Whether the sign-up that this browser began needs no code any more.
async fn is_over(visit: &Visit, caller: &Caller, who: &Who) -> Result<bool> {
    match &who.session {
        Some(session) => {
            let at = challenge::at(visit, &caller.client);
            signed_up::is_confirmed(&visit.cx, at, session).await
        }
        None => Ok(false),
    }
}

pub async fn resend_page(visit: &Visit) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    let who = match who(visit) {
        Ok(who) => who,
        Err(lost) => return lost.page_before(visit, "/resendcode").await,
    };
    let mut username = fields::username(&texts::of(visit), &visit.site.pool);
    username.value = who.name.clone();
    show_resend(visit, &caller, &who, username, String::new()).await
}

pub async fn resend(visit: &Visit, posted: &Params) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(refusal) = cookies::check_csrf(visit, posted) {
        return refusal.page_before(visit, "/resendcode").await;
    }
    let mut who = match who(visit) {
        Ok(who) => who,
        Err(lost) => return lost.page_before(visit, "/resendcode").await,
    };
    let texts = &texts::of(visit);
    let mut username = fields::username(texts, &visit.site.pool);
    if !who.known {
        who.name = username.read(texts, posted);
        if !username.error.is_empty() {
            return show_resend(visit, &caller, &who, username, String::new()).await;
        }
    }
    match sign_up::resend(&visit.cx, caller.via(visit), &who.name).await {
        Ok(details) => {
            let (session, before) = (who.session.take(), who.sent.take());
            let sent = details.destination;
            let same = before.filter(|to| address::is_mask_of(sent.as_deref(), to));
            let what = What::Confirm { sent: same.or(sent), session, again: true };
            step::go(visit, PATH, &Step::new(visit, what, &who.name))
        }
        Err(error) if is_the_users(error.kind) => {
            let alert = words::say(texts, &error);
            show_resend(visit, &caller, &who, username, alert).await
        }
        Err(error) => Err(error),
    }
}

fn who(visit: &Visit) -> std::result::Result<Who, Lost> {
    match step::read(visit)? {
        Some(Step { what: What::Confirm { sent, session, again }, name, .. }) => {
            Ok(Who { name, known: true, sent, session, again })
        }
        Some(_) => Err(Lost::Foreign),
        None => {
            let name = visit.query.get("user_name").or_else(|| visit.query.get("login_hint"));
            let name: String = name.unwrap_or_default().chars().take(128).collect();
            let name = name.chars().filter(|c| !fields::is_hidden(*c)).collect();
            Ok(Who { name, known: false, sent: None, session: None, again: false })
        }
    }
}

struct Form {
    username: Field,
    code: Field,
    alert: String,
}

impl Form {
    fn blank(visit: &Visit) -> Form {
        let texts = &texts::of(visit);
        Form {
            username: fields::username(texts, &visit.site.pool),
            code: fields::code(texts),
            alert: String::new(),
        }
    }

    fn is_wrong(&self) -> bool {
        !self.username.error.is_empty() || !self.code.error.is_empty()
    }

    async fn show(mut self, visit: &Visit, caller: &Caller, who: &Who) -> Result<Response> {
        let mut all = vec![&mut self.code];
        if !who.known {
            all.insert(0, &mut self.username);
        }
        let wrong = fields::focus(&mut all);
        let values = context! {
            username => (!who.known).then_some(self.username),
            code => self.code,
            alert => self.alert,
            wrong,
            sent => who.sent.as_deref(),
            again => who.again,
            known => who.known,
            resend => visit.page("/resendcode", &resend_query(visit, who)),
        };
        form::show_for(visit, caller, "confirm.html", values).await
    }
}

/// A step goes along, so that nobody is asked for their name a second time.
fn resend_query(visit: &Visit, who: &Who) -> Params {
    let mut query = if who.known { visit.query.clone() } else { step::query(visit) };
    query.remove("confirmation_code");
    query
}

async fn show_resend(
    visit: &Visit,
    caller: &Caller,
    who: &Who,
    mut username: Field,
    alert: String,
) -> Result<Response> {
    let wrong = fields::focus(&mut [&mut username]);
    let mut back = resend_query(visit, who);
    back.remove("user_name");
    let values = context! {
        username => (!who.known).then_some(username),
        alert,
        wrong,
        confirm => visit.page(PATH, &back),
    };
    form::show_for(visit, caller, "resend.html", values).await
}

/// Refusals that are said on the page itself.
fn is_the_users(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::NotAuthorized
            | Kind::UserNotFound
            | Kind::AliasExists
            | Kind::InvalidParameter
            | Kind::CodeDeliveryFailure
            | Kind::LimitExceeded
            | Kind::TooManyRequests
    )
}
