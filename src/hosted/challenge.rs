//! What is between the password and the redirect: sends the browser to the page of each challenge, and takes the answers.
//! One arm per challenge in `page` and in `submit`.

use std::collections::BTreeMap;

use axum::response::Response;

use super::request::AuthorizeRequest;
use super::step::{self, Lost, Step, What};
use super::{cookies, finish, new_password, second};
use crate::ambient::Ms;
use crate::auth::{At, Challenged, Door, Outcome};
use crate::error::{Error, Kind, Result};
use crate::pool::Client;
use crate::site::{Params, Visit};

pub const PATH: &str = "/challenge";

/// A challenge that this browser is in the middle of.
#[derive(Clone)]
pub struct Asked {
    /// Who signs in, as they typed it.
    pub username: String,
    pub session: String,
    /// Cognito's ChallengeParameters, without those that no page shows.
    pub parameters: BTreeMap<String, String>,
    pub began_ms: Ms,
}

/// What an attempt led to: the end of the sign-in, or the page of the next challenge. `began_ms` is when the first challenge of this
/// sign-in was asked; `None`: it is this one.
pub async fn go_on(
    visit: &Visit,
    request: &AuthorizeRequest,
    outcome: Outcome,
    username: &str,
    began_ms: Option<Ms>,
) -> Result<Response> {
    let Challenged { name, session, mut parameters } = match outcome {
        Outcome::Proven(proven) => return finish::sign_in(visit, request, *proven, None).await,
        Outcome::Challenged(challenged) => challenged,
    };
    let Some(session) = session.filter(|_| is_built(name)) else { return Err(unbuilt(name)) };
    // Of everybody's interest but the page's, and as long as they like.
    parameters.retain(|key, _| key != "userAttributes" && key != "USER_ID_FOR_SRP");
    let began_ms = began_ms.unwrap_or(visit.cx.now);
    let asked = Asked { username: username.to_owned(), session, parameters, began_ms };
    match name {
        "MFA_SETUP" => second::set_up(visit, request, asked).await,
        name => go(visit, name, asked),
    }
}

/// Sends the browser to the page of a challenge.
pub fn go(visit: &Visit, name: &str, asked: Asked) -> Result<Response> {
    let Asked { username, session, parameters, began_ms } = asked;
    let what = What::Challenge { name: name.to_owned(), session, parameters };
    let mut step = Step::new(visit, what, &username);
    step.began_ms = began_ms;
    step::go(visit, PATH, &step)
}

fn is_built(challenge: &str) -> bool {
    challenge == "NEW_PASSWORD_REQUIRED" || second::is_built(challenge)
}

/// Shows the page of the challenge that the address names.
pub async fn page(visit: &Visit) -> Result<Response> {
    let request = match AuthorizeRequest::check_own(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    let (name, asked) = match asked(visit) {
        Ok(asked) => asked,
        Err(lost) => return lost.page(visit).await,
    };
    let page = match name.as_str() {
        "NEW_PASSWORD_REQUIRED" => new_password::page(visit, &request, &asked).await,
        name if second::is_built(name) => second::page(visit, &request, name, &asked).await,
        name => Err(unbuilt(name)),
    };
    or_ended(visit, page).await
}

/// Takes the answer. One that the user can correct shows the page again; a challenge that is over says so.
pub async fn submit(visit: &Visit, form: &Params) -> Result<Response> {
    let request = match AuthorizeRequest::check_own(visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    if let Err(refusal) = cookies::check_csrf(visit, form) {
        return refusal.page(visit).await;
    }
    let (name, asked) = match asked(visit) {
        Ok(asked) => asked,
        Err(lost) => return lost.page(visit).await,
    };
    let answer = match name.as_str() {
        "NEW_PASSWORD_REQUIRED" => new_password::submit(visit, &request, &asked, form).await,
        name if second::is_built(name) => second::submit(visit, &request, name, &asked, form).await,
        name => Err(unbuilt(name)),
    };
    or_ended(visit, answer).await
}

/// The challenge was answered before, in another tab or by a second press of the button, or something has ended it.
async fn or_ended(visit: &Visit, answer: Result<Response>) -> Result<Response> {
    match answer {
        Err(error) if error.kind == Kind::NotAuthorized => Lost::Ended.page(visit).await,
        answer => answer,
    }
}

/// Where the answer to a challenge is given.
pub fn at<'a>(visit: &'a Visit, client: &'a Client) -> At<'a> {
    At { pool: &visit.site.pool, client, door: Door::Hosted }
}

fn asked(visit: &Visit) -> std::result::Result<(String, Asked), Lost> {
    let step = step::read(visit)?.ok_or(Lost::Foreign)?;
    let Step { what: What::Challenge { name, session, parameters }, name: username, began_ms } =
        step
    else {
        return Err(Lost::Foreign);
    };
    Ok((name, Asked { username, session, parameters, began_ms }))
}

fn unbuilt(challenge: &str) -> Error {
    Error::new(
        Kind::InvalidUserPoolConfiguration,
        format!(
            "This account must answer {challenge} first, which the hosted pages of this version cannot ask."
        ),
    )
}
