//! The pages of the second factor: a code from an app, a text message or a mail; the choice among several; setting one up.

use axum::response::Response;
use minijinja::context;

use super::challenge::{self, Asked};
use super::fields::{self, Field};
use super::request::AuthorizeRequest;
use super::{form, qr, texts, words};
use crate::auth::second::{self, Reply};
use crate::auth::{Outcome, set_up};
use crate::error::{Error, Kind, Result};
use crate::pool::Factor;
use crate::site::{Params, Visit};

/// What the user has begun to set up, among the parameters that the step remembers.
const SETTING_UP: &str = "SETTING_UP";

/// The challenges that these pages answer.
pub fn is_built(challenge: &str) -> bool {
    matches!(challenge, "SELECT_MFA_TYPE" | "MFA_SETUP") || Factor::parse(challenge).is_some()
}

pub async fn page(
    visit: &Visit,
    request: &AuthorizeRequest,
    name: &str,
    asked: &Asked,
) -> Result<Response> {
    match (name, setting_up(asked)) {
        ("SELECT_MFA_TYPE", _) => choice(visit, request, asked, "MFAS_CAN_CHOOSE", None).await,
        ("MFA_SETUP", None) => choice(visit, request, asked, "MFAS_CAN_SETUP", None).await,
        ("MFA_SETUP", Some(Factor::SoftwareToken)) => {
            app(visit, request, asked, fields::code(&texts::of(visit))).await
        }
        ("MFA_SETUP", Some(_)) => {
            let field = fields::attribute(&texts::of(visit), "email");
            address(visit, request, field).await
        }
        (name, _) => code(visit, request, name, asked, fields::code(&texts::of(visit))).await,
    }
}

pub async fn submit(
    visit: &Visit,
    request: &AuthorizeRequest,
    name: &str,
    asked: &Asked,
    posted: &Params,
) -> Result<Response> {
    match (name, setting_up(asked)) {
        ("SELECT_MFA_TYPE", _) => choose(visit, request, asked, posted).await,
        ("MFA_SETUP", None) => begin(visit, request, asked, posted).await,
        ("MFA_SETUP", Some(Factor::SoftwareToken)) => verify(visit, request, asked, posted).await,
        ("MFA_SETUP", Some(_)) => set_up_address(visit, request, asked, posted).await,
        (name, _) => prove(visit, request, name, asked, posted).await,
    }
}

/// The code of a factor.
async fn prove(
    visit: &Visit,
    request: &AuthorizeRequest,
    name: &str,
    asked: &Asked,
    posted: &Params,
) -> Result<Response> {
    let texts = &texts::of(visit);
    let mut field = fields::code(texts);
    let typed = field.read(texts, posted);
    if !field.error.is_empty() {
        return code(visit, request, name, asked, field).await;
    }
    let factor = Factor::parse(name).ok_or_else(|| Error::internal("no such factor"))?;
    match answer(visit, request, asked, Reply::Code(factor, &typed)).await {
        Err(error) if is_correctable(&error) => {
            field.refuse(words::say(texts, &error));
            code(visit, request, name, asked, field).await
        }
        answer => answer,
    }
}

async fn choose(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    posted: &Params,
) -> Result<Response> {
    let Some(factor) = chosen(asked, "MFAS_CAN_CHOOSE", posted) else {
        return choice(visit, request, asked, "MFAS_CAN_CHOOSE", None).await;
    };
    match answer(visit, request, asked, Reply::Choice(factor)).await {
        // What cannot be sent leaves the choice of another.
        Err(error) if is_correctable(&error) || error.kind == Kind::CodeDeliveryFailure => {
            choice(visit, request, asked, "MFAS_CAN_CHOOSE", Some(error)).await
        }
        answer => answer,
    }
}

/// The user says what to set up.
async fn begin(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    posted: &Params,
) -> Result<Response> {
    match chosen(asked, "MFAS_CAN_SETUP", posted) {
        Some(factor) => begin_with(visit, request, asked, factor).await,
        None => choice(visit, request, asked, "MFAS_CAN_SETUP", None).await,
    }
}

/// The first page of setting up: where there is no choice none is offered.
pub async fn set_up(visit: &Visit, request: &AuthorizeRequest, asked: Asked) -> Result<Response> {
    match factors(&asked, "MFAS_CAN_SETUP").as_slice() {
        [only] => begin_with(visit, request, &asked, *only).await,
        _ => challenge::go(visit, "MFA_SETUP", asked),
    }
}

async fn begin_with(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    factor: Factor,
) -> Result<Response> {
    let mut next = asked.clone();
    next.parameters.insert(SETTING_UP.to_owned(), factor.as_str().to_owned());
    if factor == Factor::SoftwareToken {
        let at = challenge::at(visit, &request.client);
        next.session = set_up::associate(&visit.cx, at, &asked.session).await?.session;
    }
    challenge::go(visit, "MFA_SETUP", next)
}

/// The first code of a new app: then the user has it, and is signed in.
async fn verify(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    posted: &Params,
) -> Result<Response> {
    let texts = &texts::of(visit);
    let mut field = fields::code(texts);
    let typed = field.read(texts, posted);
    if !field.error.is_empty() {
        return app(visit, request, asked, field).await;
    }
    let at = challenge::at(visit, &request.client);
    match set_up::verify(&visit.cx, at, &asked.session, &typed, "").await {
        Ok(session) => {
            let done = Asked { session, ..asked.clone() };
            answer(visit, request, &done, Reply::IsSetUp).await
        }
        Err(error) if is_correctable(&error) => {
            field.refuse(words::say(texts, &error));
            app(visit, request, asked, field).await
        }
        Err(error) => Err(error),
    }
}

async fn set_up_address(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    posted: &Params,
) -> Result<Response> {
    let texts = &texts::of(visit);
    let mut field = fields::attribute(texts, "email");
    let typed = field.read(texts, posted);
    field.check_attribute(texts, &visit.site.pool, &request.client, &typed);
    if !field.error.is_empty() {
        return address(visit, request, field).await;
    }
    match answer(visit, request, asked, Reply::SetUpEmail(&typed)).await {
        Err(error)
            if is_correctable(&error)
                || matches!(error.kind, Kind::InvalidParameter | Kind::CodeDeliveryFailure) =>
        {
            field.refuse(words::say(texts, &error));
            address(visit, request, field).await
        }
        answer => answer,
    }
}

async fn answer(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    reply: Reply<'_>,
) -> Result<Response> {
    let at = challenge::at(visit, &request.client);
    let outcome: Outcome = second::answer(&visit.cx, at, &asked.session, None, reply).await?;
    challenge::go_on(visit, request, outcome, &asked.username, Some(asked.began_ms)).await
}

/// Refusals after which the same page can be answered again.
fn is_correctable(error: &Error) -> bool {
    matches!(
        error.kind,
        Kind::CodeMismatch
            | Kind::EnableSoftwareTokenMfa
            | Kind::ExpiredCode
            | Kind::AliasExists
            | Kind::TooManyRequests
    ) || (error.kind == Kind::NotAuthorized && error.message.contains("attempts exceeded"))
}

fn setting_up(asked: &Asked) -> Option<Factor> {
    asked.parameters.get(SETTING_UP).and_then(|name| Factor::parse(name))
}

fn factors(asked: &Asked, parameter: &str) -> Vec<Factor> {
    let list = asked.parameters.get(parameter);
    list.and_then(|list| serde_json::from_str(list).ok()).unwrap_or_default()
}

fn chosen(asked: &Asked, parameter: &str, posted: &Params) -> Option<Factor> {
    let factor = Factor::parse(posted.get("factor")?)?;
    factors(asked, parameter).contains(&factor).then_some(factor)
}

// What the pages show.

async fn code(
    visit: &Visit,
    request: &AuthorizeRequest,
    name: &str,
    asked: &Asked,
    mut field: Field,
) -> Result<Response> {
    let wrong = fields::focus(&mut [&mut field]);
    // A refused code is never right later.
    field.value.clear();
    field.autofocus = true;
    let parameter = |name: &str| asked.parameters.get(name).map_or("", String::as_str);
    let values = context! {
        wrong,
        field,
        factor => name,
        sent => parameter("CODE_DELIVERY_DESTINATION"),
        device => parameter("FRIENDLY_DEVICE_NAME"),
    };
    form::show(visit, request, "second-code.html", values).await
}

async fn choice(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    parameter: &str,
    error: Option<Error>,
) -> Result<Response> {
    let names: Vec<&str> = factors(asked, parameter).into_iter().map(Factor::as_str).collect();
    let error = error.map_or_else(String::new, |error| words::say(&texts::of(visit), &error));
    let values = context! { names, error, sets_up => parameter == "MFAS_CAN_SETUP" };
    form::show(visit, request, "second-choice.html", values).await
}

async fn app(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    mut field: Field,
) -> Result<Response> {
    let at = challenge::at(visit, &request.client);
    let waiting = set_up::associated(&visit.cx, at, &asked.session).await?;
    let (secret, user) = waiting.ok_or_else(|| Error::internal("no secret waits"))?;
    let wrong = fields::focus(&mut [&mut field]);
    // A phone's keyboard would cover what there is to do first.
    field.autofocus = wrong;
    field.value.clear();
    let issuer = visit.site.pool.model().name.clone().unwrap_or_default();
    // The name that the user knows; where it is a random one, the address they sign in with.
    let name = if user.username == user.sub { asked.username.as_str() } else { &user.username };
    let address = qr::otpauth(&issuer, name, &secret);
    let picture = qr::picture(&address).ok();
    // In groups of four it can be typed.
    let groups: Vec<String> = secret
        .as_bytes()
        .chunks(4)
        .map(|four| String::from_utf8_lossy(four).into_owned())
        .collect();
    let values = context! { wrong, field, picture, secret => groups.join(" "), address };
    form::show(visit, request, "second-setup.html", values).await
}

async fn address(visit: &Visit, request: &AuthorizeRequest, mut field: Field) -> Result<Response> {
    let wrong = fields::focus(&mut [&mut field]);
    form::show(visit, request, "second-email.html", context! { wrong, field }).await
}
