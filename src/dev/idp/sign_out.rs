//! Signing out at the provider: from its own page, or because an application asks. Every other application of the session is told.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use cenote_saml::{Incoming, LogoutReason, LogoutRequest, StatusCode, consume_logout_response};
use minijinja::{Value, context};

use super::oidc::EndSession;
use super::sign_in::Ask;
use super::state::{Application, Protocol, Session};
use super::visit::{self, Visit};
use super::xml::instant;
use super::{Idp, pages, sso, tell};
use crate::ambient::MINUTE;
use crate::error::{Error, Result};
use crate::ids;

/// What became of telling one application.
#[derive(Clone, Debug)]
pub struct Told {
    pub application: String,
    pub done: bool,
    pub text: String,
}

/// A sign-out that goes from one SAML application to the next in a browser. The session has ended already.
#[derive(Clone, Debug)]
pub struct Leaving {
    session: Session,
    queue: Vec<Application>,
    /// Whose answer to which request is awaited.
    current: (Application, String),
    told: Vec<Told>,
}

/// The provider's own page, where somebody is signed in.
pub fn own_page(visit: &Visit, session: &Session) -> Result<Response> {
    let has_saml = session.applications.iter().any(|one| one.protocol == Protocol::Saml);
    let applications: Vec<String> = session.applications.iter().map(Application::label).collect();
    let person = context! { name => &session.person.name, email => &session.person.email };
    let since = instant(session.auth_ms).replace('T', " ").replace('Z', " UTC");
    let values = context! { csrf => visit.csrf(), person, since, applications, has_saml };
    Ok(visit.remembered(pages::page(&visit.idp, "home.html", values)?))
}

/// The one button of both pages.
pub async fn post(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::page(idp, request, "sign-out", async |visit: Visit| {
        visit.check_csrf()?;
        let asked = visit
            .field("request")
            .and_then(|handle| visit.idp.state().asked.take(visit.now(), handle));
        let ask = match asked {
            Some(Ask::EndSession(ask)) => ask,
            _ => EndSession { after: None, from: None },
        };
        match visit.field("how") {
            Some("stay") => Ok(pages::see(ask.after.as_deref().unwrap_or(&visit.idp.url()))),
            Some("browser") => through_the_browser(&visit).await,
            _ => {
                let browser = visit.browser.clone();
                ended(&visit, |cookie, _| cookie == browser, &ask).await
            }
        }
    })
    .await
}

/// An application asks, and cannot say whose session it means.
pub fn confirm(visit: &Visit, session: &Session, ask: EndSession) -> Result<Response> {
    let handle = ids::handle(visit.cx.rng());
    visit.idp.state().keep_ask(visit.now(), handle.clone(), Ask::EndSession(ask));
    let person = context! { name => &session.person.name };
    let values = context! { csrf => visit.csrf(), request => handle, person };
    Ok(visit.remembered(pages::page(&visit.idp, "ask.html", values)?))
}

/// Ends a session, tells everybody but who asked, and goes on.
pub async fn ended(
    visit: &Visit,
    which: impl Fn(&str, &Session) -> bool,
    ask: &EndSession,
) -> Result<Response> {
    let session = visit.idp.state().end(visit.now(), which);
    let mut told = Vec::new();
    if let Some(session) = &session {
        told = tell::all(visit, session, |one| ask.from.as_ref() != Some(one)).await;
    }
    leave(visit, ask, session.as_ref(), &told)
}

/// On to the application that asked, or to a page that says what happened.
pub fn leave(
    visit: &Visit,
    ask: &EndSession,
    session: Option<&Session>,
    told: &[Told],
) -> Result<Response> {
    match &ask.after {
        Some(after) => Ok(pages::see(after)),
        None => farewell(visit, session, told),
    }
}

fn farewell(visit: &Visit, session: Option<&Session>, told: &[Told]) -> Result<Response> {
    let (heading, text) = match session {
        Some(session) if told.is_empty() => (
            format!("{} is signed out", session.person.name),
            "This session had gone to no other application.",
        ),
        Some(session) => {
            (format!("{} is signed out", session.person.name), "The session here is over.")
        }
        None => ("Nobody was signed in".to_owned(), "There was no session here to end."),
    };
    let told: Vec<Value> = told
        .iter()
        .map(|Told { application, done, text }| context! { application, done => *done, text })
        .collect();
    pages::page(&visit.idp, "signed-out.html", context! { heading, text, told })
}

/// OpenID Connect applications are told at once; the browser visits those of SAML.
async fn through_the_browser(visit: &Visit) -> Result<Response> {
    let browser = visit.browser.clone();
    let Some(session) = visit.idp.state().end(visit.now(), |cookie, _| cookie == browser) else {
        return farewell(visit, None, &[]);
    };
    let told = tell::all(visit, &session, |one| one.protocol == Protocol::Oidc).await;
    let queue =
        session.applications.iter().filter(|one| one.protocol == Protocol::Saml).cloned().collect();
    next(visit, session, queue, told)
}

fn next(
    visit: &Visit,
    session: Session,
    mut queue: Vec<Application>,
    told: Vec<Told>,
) -> Result<Response> {
    let Some(application) = queue.pop() else { return farewell(visit, Some(&session), &told) };
    let (id, handle) = (visit.idp.message_id(), ids::handle(visit.cx.rng()));
    let destination = sso::slo_of(&application.base);
    let request = LogoutRequest {
        id: &id,
        issuer: &visit.idp.entity_id(),
        destination: &destination,
        issue_instant_ms: visit.now(),
        not_on_or_after_ms: visit.now() + 5 * MINUTE,
        name_id: &sso::name_id(&session.person),
        session_index: Some(&session.sid),
        reason: Some(LogoutReason::User),
    };
    let url = request
        .redirect(Some(&handle), Some(visit.idp.keys.credential()))
        .map_err(Error::internal)?;
    let leaving = Leaving { session, queue, current: (application, id), told };
    visit.idp.state().keep_leaving(visit.now(), handle, leaving);
    Ok(pages::see(&url))
}

/// An application's LogoutResponse, and on to the next.
pub async fn answered(visit: &Visit, message: &Incoming, handle: &str) -> Result<Response> {
    let leaving = visit.idp.state().leaving.take(visit.now(), handle);
    let Leaving { session, queue, current: (application, id), mut told } = leaving.ok_or_else(|| {
        Error::invalid("This answer belongs to no sign-out that was begun here, or to one that is over ten minutes old.")
    })?;
    let expected = sso::Expected::of(visit, application.pool()).await?;
    let answer = consume_logout_response(message, &expected.slo(visit), &id);
    told.push(match answer {
        Ok(answer) => Told {
            application: application.label(),
            done: matches!(answer.status.code, StatusCode::Success),
            text: format!("answered the browser’s LogoutRequest with {}.", answer.status),
        },
        Err(fault) => Told {
            application: application.label(),
            done: false,
            text: format!("its answer is not accepted: {fault}."),
        },
    });
    next(visit, session, queue, told)
}
