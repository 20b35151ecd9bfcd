//! Browsers that come back from an identity provider (`cognito-behaviour`, 2.2, 2.3 and 3). An answer by GET carries our cookie, so the
//! browser that began is known at once. One by cross-site POST (SAML, Apple) does not: it is kept under a one-time handle, and the
//! browser is sent on to a page of ours, where it must be the one that began (login CSRF). What it leads to is in `arrival`.

use axum::http::StatusCode;
use axum::response::Response;
use serde::{Deserialize, Serialize};

use super::to_provider::{self, SignIn};
use super::{arrival, cookies, form, pages, unsolicited};
use crate::ambient::{MINUTE, Ms};
use crate::error::Result;
use crate::federation::handshake::{self, Found, Handshake, State};
use crate::federation::{Trouble, TroubleKind, saml, seen};
use crate::pool::provider::Kind;
use crate::pool::{Identity, Provider};
use crate::site::{Params, Visit};
use crate::store::Batch;

const CONTINUE: &str = "/federation/continue";

/// The longest parameter of an answer that is read.
const MAX_SAID: usize = 8 << 10;

/// What was posted here, until the browser shows that it is the one that began.
#[derive(Serialize, Deserialize)]
pub struct Arrived {
    sign_in: SignIn,
    what: What,
}

impl Handshake for Arrived {
    const PURPOSE: &'static str = "arrived";
    const LIFETIME: Ms = MINUTE;
}

#[derive(Serialize, Deserialize)]
enum What {
    /// Of a verified response.
    Identity(Box<Identity>),
    /// Refused; the app is told once the browser is known.
    Refused { internal: bool, text: String },
    /// It came after the five minutes; the browser that began is offered to start again.
    Late,
    /// A code, which is redeemed once the browser is known.
    Answer(Answer),
}

/// The parameters of an authorization response (RFC 6749, 4.1.2; RFC 9207, 2).
#[derive(Default, Serialize, Deserialize)]
pub struct Answer {
    pub code: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    pub iss: Option<String>,
    /// Apple's first answer about somebody: their name, in JSON.
    pub user: Option<String>,
}

impl Answer {
    fn of(params: &Params) -> Answer {
        let said = |name: &str| {
            params.get(name).filter(|value| value.len() <= MAX_SAID).map(str::to_owned)
        };
        Answer {
            code: said("code"),
            error: said("error"),
            error_description: said("error_description"),
            iss: said("iss"),
            user: said("user"),
        }
    }
}

/// `POST /saml2/idpresponse`.
pub async fn saml(visit: &Visit, posted: &Params) -> Result<Response> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let Some(message) = posted.get("SAMLResponse") else {
        return Err(unsolicited::refusal("the form has no SAMLResponse"));
    };
    let relay_state = posted.get("RelayState").unwrap_or_default();
    let Some(found) = handshake::find::<SignIn>(cx, &pool.id, relay_state).await? else {
        return unsolicited::begin(visit, message, relay_state).await;
    };
    match Lost::by(found.state) {
        Some(Lost::Late) => return late(visit, found.value).await,
        Some(lost) => return lost.page(visit, Some(&found.value)).await,
        None => {}
    }
    let sign_in = found.value.clone();
    let here = to_provider::callback(visit, Kind::Saml);
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let said = match (providers.get(&sign_in.provider), &sign_in.request_id) {
        (Some(provider), Some(request_id)) if sign_in.callback == here => {
            verified(visit, provider, message, Some(request_id)).await
        }
        _ => Err(Trouble::refused(saml::UNRELATED)),
    };
    let mut batch = Batch::new();
    found.take(&mut batch);
    keep(visit, batch, sign_in, said).await
}

/// `GET /saml2/idpresponse`: somebody loaded the address again, which is nothing without its form.
pub async fn nothing_posted(visit: &Visit) -> Result<Response> {
    Lost::Used.page(visit, None).await
}

/// Reads and verifies a posted response. `request_id` is that of our request; `None` where the provider began.
pub(super) async fn verified(
    visit: &Visit,
    provider: &Provider,
    message: &str,
    request_id: Option<&str>,
) -> std::result::Result<(Identity, saml::Seen), Trouble> {
    if provider.kind != Kind::Saml {
        return Err(Trouble::refused(saml::UNRELATED));
    }
    let here = to_provider::callback(visit, Kind::Saml);
    let message = cenote_saml::decode_post(message).map_err(|fault| saml::refused(&fault))?;
    saml::response(&visit.cx, &visit.site.pool, provider, &message, &here, request_id).await
}

/// Keeps what a SAML response said, and sends the browser to where its cookie comes along. An assertion is taken once, on whichever
/// node.
pub(super) async fn keep(
    visit: &Visit,
    mut batch: Batch,
    sign_in: SignIn,
    said: std::result::Result<(Identity, saml::Seen), Trouble>,
) -> Result<Response> {
    let what = match said {
        Ok((identity, assertion)) => {
            // One party may be two providers of the pool, and then either would take what it says.
            let issuer = identity.issuer.as_deref().unwrap_or(&sign_in.provider);
            let by = (visit.site.pool.id.as_str(), issuer);
            let again = unsolicited::refusal("this assertion was used before");
            seen::once(&mut batch, by, "assertion", &assertion.id, assertion.until_ms, again);
            What::Identity(Box::new(identity))
        }
        Err(Trouble { kind, text }) => {
            What::Refused { internal: kind == TroubleKind::Internal, text }
        }
    };
    send_on(visit, batch, Arrived { sign_in, what }).await
}

/// `GET /oauth2/idpresponse`.
pub async fn oauth(visit: &Visit) -> Result<Response> {
    let Some(found) = sent_away(visit, &visit.query).await? else {
        return Lost::Foreign.page(visit, None).await;
    };
    if let Some(lost) = Lost::by(found.state) {
        return lost.page(visit, Some(&found.value)).await;
    }
    if let Some(lost) = Lost::to(visit, &found.value) {
        return lost.page(visit, None).await;
    }
    take(visit, &found).await?;
    arrival::answered(visit, &found.value, &Answer::of(&visit.query)).await
}

/// `POST /oauth2/idpresponse`: Apple's `form_post`.
pub async fn oauth_posted(visit: &Visit, posted: &Params) -> Result<Response> {
    let Some(found) = sent_away(visit, posted).await? else {
        return Lost::Foreign.page(visit, None).await;
    };
    match Lost::by(found.state) {
        Some(Lost::Late) => return late(visit, found.value).await,
        Some(lost) => return lost.page(visit, Some(&found.value)).await,
        None => {}
    }
    let mut batch = Batch::new();
    found.take(&mut batch);
    let arrived = Arrived { sign_in: found.value, what: What::Answer(Answer::of(posted)) };
    send_on(visit, batch, arrived).await
}

/// The sign-in that `state` stands for.
async fn sent_away(visit: &Visit, answer: &Params) -> Result<Option<Found<SignIn>>> {
    let handle = answer.get("state").unwrap_or_default();
    let here = to_provider::callback(visit, Kind::Oidc);
    let found = handshake::find::<SignIn>(&visit.cx, &visit.site.pool.id, handle).await?;
    Ok(found.filter(|found| found.value.callback == here))
}

/// `GET /federation/continue`.
pub async fn go_on(visit: &Visit) -> Result<Response> {
    let handle = visit.query.get("handle").unwrap_or_default();
    let found = handshake::find::<Arrived>(&visit.cx, &visit.site.pool.id, handle).await?;
    let Some(found) = found else { return Lost::Foreign.page(visit, None).await };
    let sign_in = &found.value.sign_in;
    if let Some(lost) = Lost::by(found.state) {
        return lost.page(visit, Some(sign_in)).await;
    }
    if let Some(lost) = Lost::to(visit, sign_in) {
        return lost.page(visit, None).await;
    }
    take(visit, &found).await?;
    match &found.value.what {
        What::Identity(identity) => arrival::known(visit, sign_in, identity).await,
        What::Answer(answer) => arrival::answered(visit, sign_in, answer).await,
        What::Late => Lost::Late.page(visit, Some(sign_in)).await,
        What::Refused { internal, text } => {
            let kind = if *internal { TroubleKind::Internal } else { TroubleKind::Refused };
            let trouble = Trouble { kind, text: text.clone() };
            arrival::refused(visit, sign_in, &trouble).await
        }
    }
}

/// A POST shows no cookie, and only the browser that began may start again: it is asked on a page of ours.
async fn late(visit: &Visit, sign_in: SignIn) -> Result<Response> {
    send_on(visit, Batch::new(), Arrived { sign_in, what: What::Late }).await
}

async fn send_on(visit: &Visit, mut batch: Batch, arrived: Arrived) -> Result<Response> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let handle = handshake::begin(cx, &mut batch, &pool.id, &arrived)?;
    cx.db().commit(batch).await?;
    let mut query = Params::default();
    query.set("handle", &handle);
    Ok(pages::see_other(&visit.page(CONTINUE, &query)))
}

/// Before the provider is asked anything: a code must not be redeemed twice, whatever is run again afterwards.
async fn take<H>(visit: &Visit, found: &Found<H>) -> Result<()> {
    let mut batch = Batch::new();
    found.take(&mut batch);
    visit.cx.db().commit(batch).await
}

/// Why a browser that comes back cannot go on. Our own page says so: nobody knows whose browser it is.
enum Lost {
    /// The five minutes are over.
    Late,
    /// Taken before: the page was loaded again, or somebody was quicker.
    Used,
    /// Nothing of ours, or another browser's.
    Foreign,
    Cookieless,
}

impl Lost {
    fn by(state: State) -> Option<Lost> {
        match state {
            State::Open => None,
            State::Over => Some(Lost::Late),
            State::Taken => Some(Lost::Used),
        }
    }

    /// Not the browser that began.
    fn to(visit: &Visit, sign_in: &SignIn) -> Option<Lost> {
        match (sign_in.is_of(visit), cookies::known_browser(visit)) {
            (true, _) => None,
            (false, Some(_)) => Some(Lost::Foreign),
            (false, None) => Some(Lost::Cookieless),
        }
    }

    /// Offers to start again only to the browser that began.
    async fn page(self, visit: &Visit, sign_in: Option<&SignIn>) -> Result<Response> {
        let mine = sign_in.filter(|sign_in| sign_in.browser.is_some() && sign_in.is_of(visit));
        let again = mine.map(|sign_in| arrival::returned(visit, sign_in)).transpose()?;
        let visit = again.as_ref().unwrap_or(visit);
        let status = match self {
            Lost::Cookieless => StatusCode::FORBIDDEN,
            Lost::Late | Lost::Used | Lost::Foreign => StatusCode::BAD_REQUEST,
        };
        let texts = match self {
            Lost::Late => ("error_title", "expired_time"),
            Lost::Used => ("expired_title", "expired_ended"),
            Lost::Foreign => ("expired_title", "expired_foreign"),
            Lost::Cookieless => ("cookies_title", "expired_cookies"),
        };
        let link = again.as_ref().map(|again| (again.page("/login", &again.query), "start_again"));
        form::message(visit, status, texts, link).await
    }
}
