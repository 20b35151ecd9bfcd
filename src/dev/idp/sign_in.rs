//! Who is there? A browser with a session is not asked, unless an application wants it; any other chooses who to be.

use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::response::Response;
use minijinja::context;

use super::oidc::{Authorize, EndSession};
use super::people::{self, Person};
use super::sso::SignOn;
use super::state::{Application, Session};
use super::visit::{self, Visit};
use super::{Idp, oidc, pages, sso};
use crate::ambient::{Ms, SECOND};
use crate::error::{Error, Result};
use crate::ids;

/// What a browser came for.
#[derive(Clone, Debug)]
pub enum Ask {
    /// The provider's own page.
    Home,
    Authorize(Authorize),
    SignOn(SignOn),
    EndSession(EndSession),
}

/// What an application demands of a sign-in.
#[derive(Clone, Debug, Default)]
pub struct Demand {
    /// Ask, session or not.
    pub fresh: bool,
    /// Ask nobody.
    pub passive: bool,
    /// No older than this.
    pub max_age_secs: Option<i64>,
    /// Whom it expects.
    pub hint: Option<String>,
}

/// Answers from the browser's session, or asks who is there.
pub fn arrive(visit: &Visit, ask: Ask, demand: &Demand) -> Result<Response> {
    let young = |auth_ms: Ms| {
        demand
            .max_age_secs
            .is_none_or(|age| auth_ms.saturating_add(age.saturating_mul(SECOND)) >= visit.now())
    };
    let session = visit.session();
    match &session {
        Some(session) if !demand.fresh && young(session.auth_ms) => {
            let session = match ask.application() {
                Some(application) => {
                    visit.idp.state().join(visit.now(), &visit.browser, application)
                }
                None => None,
            }
            .unwrap_or_else(|| session.clone());
            ask.answer(visit, &session)
        }
        _ if demand.passive => ask.nobody(visit),
        session => {
            let again = session.as_ref().map(|session| {
                format!(
                    "{} is signed in here; the application wants to be sure, and asks again.",
                    session.person.name
                )
            });
            form(visit, ask, demand.hint.as_deref(), again.as_deref())
        }
    }
}

/// The provider's own page, where nobody is signed in.
pub fn own_page(visit: &Visit) -> Result<Response> {
    form(visit, Ask::Home, None, None)
}

fn form(visit: &Visit, ask: Ask, hint: Option<&str>, again: Option<&str>) -> Result<Response> {
    let purpose = ask.purpose();
    let handle = ids::handle(visit.cx.rng());
    visit.idp.state().keep_ask(visit.now(), handle.clone(), ask);
    show(visit, &handle, &purpose, Shown { hint, again, ..Shown::default() })
}

#[derive(Default)]
struct Shown<'a> {
    hint: Option<&'a str>,
    again: Option<&'a str>,
    fault: Option<&'a str>,
    name: &'a str,
    email: &'a str,
}

fn show(visit: &Visit, request: &str, purpose: &str, shown: Shown<'_>) -> Result<Response> {
    let Shown { hint, again, fault, name, email } = shown;
    let hinted = |person: &Person| {
        hint.is_some_and(|hint| hint.eq_ignore_ascii_case(&person.email) || hint == person.id)
    };
    let people: Vec<_> = people::all()
        .iter()
        .map(|person| {
            let groups = match person.groups.join(", ") {
                groups if groups.is_empty() => "in no group".to_owned(),
                groups => format!("in {groups}"),
            };
            let (id, name, email) = (&person.id, &person.name, &person.email);
            context! { id, name, email, groups, email_verified => person.email_verified, hinted => hinted(person) }
        })
        .collect();
    // A hint that is nobody of the demonstration fills the field.
    let email = match hint {
        Some(hint)
            if email.is_empty() && hint.contains('@') && !people::all().iter().any(hinted) =>
        {
            hint
        }
        _ => email,
    };
    let values =
        context! { csrf => visit.csrf(), request, purpose, again, fault, name, email, people };
    Ok(visit.remembered(pages::page(&visit.idp, "sign-in.html", values)?))
}

/// Somebody was chosen.
pub async fn post(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::page(idp, request, "sign-in", async |visit: Visit| {
        visit.check_csrf()?;
        let handle = visit.field("request").unwrap_or_default();
        let asked = visit.idp.state().asked.get(visit.now(), handle).cloned();
        let ask = asked.ok_or_else(|| {
            Error::invalid("This page is older than ten minutes, or was used before. Go back to the application and begin again.")
        })?;
        let person = match visit.field("person") {
            Some(id) => people::find(id).ok_or("There is nobody of this name."),
            None => people::other(visit.field("name").unwrap_or_default(), visit.field("email").unwrap_or_default()),
        };
        let person = match person {
            Ok(person) => person,
            Err(fault) => {
                let (name, email) = (visit.field("name").unwrap_or_default(), visit.field("email").unwrap_or_default());
                return show(&visit, handle, &ask.purpose(), Shown { fault: Some(fault), name, email, ..Shown::default() });
            }
        };
        visit.idp.state().asked.take(visit.now(), handle);
        let session = begin(&visit, person, &ask);
        let response = ask.answer(&visit, &session)?;
        Ok(visit.signs_in(response, session))
    })
    .await
}

/// Who was signed in here already only proves it again: the applications of before still belong to the session.
fn begin(visit: &Visit, person: Person, ask: &Ask) -> Session {
    let known = visit.session().filter(|known| known.person == person);
    let mut session = known.unwrap_or_else(|| Session {
        sid: ids::uuid_v4(visit.cx.rng()).to_string(),
        person,
        auth_ms: 0,
        applications: Vec::new(),
    });
    session.auth_ms = visit.now();
    if let Some(application) = ask.application() {
        session.join(application);
    }
    session
}

impl Ask {
    fn answer(&self, visit: &Visit, session: &Session) -> Result<Response> {
        match self {
            Ask::Home | Ask::EndSession(_) => Ok(pages::see(&visit.idp.url())),
            Ask::Authorize(ask) => Ok(oidc::answer(visit, ask, session)),
            Ask::SignOn(ask) => sso::answer(visit, ask, session),
        }
    }

    /// Nobody is signed in, and nobody may be asked.
    fn nobody(&self, visit: &Visit) -> Result<Response> {
        match self {
            Ask::Home | Ask::EndSession(_) => Ok(pages::see(&visit.idp.url())),
            Ask::Authorize(ask) => Ok(oidc::refuse(
                visit,
                ask,
                "login_required",
                "Nobody is signed in at the demonstration provider.",
            )),
            Ask::SignOn(ask) => sso::nobody(visit, ask),
        }
    }

    fn application(&self) -> Option<Application> {
        match self {
            Ask::Home | Ask::EndSession(_) => None,
            Ask::Authorize(ask) => Some(ask.application()),
            Ask::SignOn(ask) => Some(ask.application()),
        }
    }

    fn purpose(&self) -> String {
        match self.application() {
            Some(application) => format!("To go on to {}.", application.label()),
            None => {
                "Nobody is signed in here. Choose somebody, or begin at an application.".to_owned()
            }
        }
    }
}
