//! Signing out at the identity providers that a browser session came from, through the browser, one after the other: our own session
//! is over before. Whatever a provider does or does not do, the browser ends at the address that was checked before it left, or at a
//! page that says what happened and links there. No cookie is needed on the way back: a POST from a provider's site carries none.

use axum::response::Response;
use cenote_saml::{Fault, Incoming};
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::logout::Ended;
use super::logout_told::{self, How, Told, lost};
use super::pages::{Allow, Frames};
use super::{fields, pages, texts};
use crate::ambient::{MINUTE, Ms};
use crate::error::Result;
use crate::federation::handshake::{self, Found, Handshake, State};
use crate::federation::sign_out::browser::{self, Hop, Way};
use crate::federation::sign_out::{self, saml};
use crate::federation::upstream;
use crate::pool::provider::Kind;
use crate::site::{Params, Visit};
use crate::store::Batch;
use crate::store::upstream::{self as rows, Outcome as Settled, State as Debt};

/// Where a SAML provider answers, and asks.
pub const SAML: &str = "/saml2/logout";
/// Where an OpenID provider sends the browser back to.
pub const RETURN: &str = "/oauth2/idplogout";
/// Where a browser goes that a provider keeps waiting, and where it is told what happened.
pub const AFTERWARDS: &str = "/federation/logout";

/// The script of the page on which a browser waits for a provider: it goes there, and after 30 s without an answer it goes on.
const GO: &str = "(function(){var d=document,g=d.getElementById('go'),a=d.getElementById('after');\
    setTimeout(function(){location.replace(a.href)},30000);\
    if(g.tagName==='FORM')g.submit();else location.replace(g.href)})()";

/// The same, once the frames for app clients (`frontchannel_logout`) are loaded, or two seconds are over.
const GO_AFTER_FRAMES: &str = "(function(){var d=document,g=d.getElementById('go'),l=d.getElementById('after'),p=d.getElementById('parties'),\
    a=p.querySelectorAll('a'),n=a.length,gone=0;\
    function on(){if(gone)return;gone=1;setTimeout(function(){location.replace(l.href)},30000);\
    if(g.tagName==='FORM')g.submit();else location.replace(g.href)}\
    setTimeout(on,2000);\
    for(var i=0;i<a.length;i++){var f=d.createElement('iframe');f.hidden=true;f.setAttribute('sandbox','allow-scripts allow-same-origin allow-forms');\
    f.referrerPolicy='no-referrer';f.addEventListener('load',function(){if(!--n)on()});f.src=a[i].href;p.appendChild(f)}})()";

/// A sign-out that is under way: what its one-time handle stands for.
#[derive(Clone, Serialize, Deserialize)]
pub struct SignOut {
    signout_id: String,
    sub: String,
    /// Where the browser is.
    at: Stop,
    left: Vec<Stop>,
    told: Vec<Told>,
    /// Where it ends: an address of the app client's list, or a page of ours.
    to: String,
}

impl Handshake for SignOut {
    const PURPOSE: &'static str = "sign-out";
    const LIFETIME: Ms = 5 * MINUTE;
}

/// A session at a provider, under each row that stands for it.
#[derive(Clone, Serialize, Deserialize)]
struct Stop {
    provider: String,
    rows: Vec<String>,
}

/// Leads a browser whose session has ended through the providers that it came from, and to `to`. What goes wrong from here on cannot
/// undo the sign-out, and must not keep anybody from where they were going: the worker tells those that the browser does not.
pub async fn begin(visit: &Visit, ended: &Ended, to: String) -> Response {
    if !visit.site.pool.doc.has_providers {
        return pages::see(&to);
    }
    match lead_out(visit, ended, &to).await {
        Ok(response) => response,
        Err(error) => {
            tracing::error!(request_id = %visit.cx.request.id, ?error, "a browser could not be led through its providers");
            pages::see(&to)
        }
    }
}

async fn lead_out(visit: &Visit, ended: &Ended, to: &str) -> Result<Response> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let sessions = rows::of_browser(cx.db(), &pool.id, &ended.session.id).await?;
    // Newest first. Several sign-ins may have come from one session there, which is ended once.
    let mut left: Vec<Stop> = Vec::new();
    let mut known = Vec::new();
    for session in sessions {
        let key = (session.provider.clone(), session.subject_key, session.session_key);
        match known.iter().position(|other| *other == key).and_then(|at| left.get_mut(at)) {
            Some(stop) => stop.rows.push(session.id),
            None => {
                known.push(key);
                left.push(Stop { provider: session.provider, rows: vec![session.id] });
            }
        }
    }
    let journey = Journey {
        signout_id: ended.signout_id.clone(),
        sub: ended.session.sub.clone(),
        left,
        told: Vec::new(),
        to: to.to_owned(),
        frames: ended.frames.clone(),
    };
    journey.go_on(visit, Batch::new()).await
}

/// Between two providers.
struct Journey {
    signout_id: String,
    sub: String,
    left: Vec<Stop>,
    told: Vec<Told>,
    to: String,
    /// What the first page is to load besides.
    frames: Vec<String>,
}

impl Journey {
    /// On to the next provider that a browser can be led through, or to the end. `batch` holds what is settled already.
    async fn go_on(mut self, visit: &Visit, mut batch: Batch) -> Result<Response> {
        let (cx, pool) = (&visit.cx, &visit.site.pool);
        let providers = cx.app.directory.providers(cx.db(), pool).await?;
        while !self.left.is_empty() {
            let stop = self.left.remove(0);
            let session = match stop.rows.first() {
                Some(id) => rows::by_id(cx.db(), &pool.id, id).await?,
                None => None,
            };
            let session = session.filter(|session| session.ended_ms.is_none());
            let (Some(provider), Some(session)) = (providers.get(&stop.provider), session) else {
                self.leave_to_worker(visit, &mut batch, &stop);
                continue;
            };
            let doc = upstream::open(cx, &session)?;
            let under_way = SignOut {
                signout_id: self.signout_id.clone(),
                sub: self.sub.clone(),
                at: stop.clone(),
                left: self.left.clone(),
                told: self.told.clone(),
                to: self.to.clone(),
            };
            let mut own = Batch::new();
            let handle = handshake::begin(cx, &mut own, &pool.id, &under_way)?;
            let return_to = format!("{}{RETURN}", visit.site.base);
            match browser::way(cx, pool, provider, &doc, &return_to, &handle).await {
                Ok(Way::Hop(hop)) if !browser::is_away(cx, provider, &hop).await => {
                    batch.append(own);
                    cx.db().commit(batch).await?;
                    return hop_page(visit, &stop.provider, &hop, &handle, self.frames).await;
                }
                Ok(Way::Hop(_)) => {
                    self.leave_to_worker(visit, &mut batch, &stop);
                    self.told.push(Told { provider: stop.provider, how: How::Away });
                }
                Ok(Way::Worker) => self.leave_to_worker(visit, &mut batch, &stop),
                Ok(Way::Leave) => {
                    self.settle(visit, &mut batch, &stop, Debt::Left, "IDPSignout is not set");
                }
                Err(trouble) => {
                    tracing::warn!(request_id = %cx.request.id, provider = stop.provider, why = trouble.text, "no way to sign out at a provider");
                    self.leave_to_worker(visit, &mut batch, &stop);
                    self.told.push(Told { provider: stop.provider, how: How::Away });
                }
            }
        }
        cx.db().commit(batch).await?;
        if self.told.iter().all(|told| told.how == How::Done) {
            return Ok(see(visit, &self.to));
        }
        Ok(see(visit, &logout_told::address(visit, self.told, self.to)?))
    }

    fn leave_to_worker(&self, visit: &Visit, batch: &mut Batch, stop: &Stop) {
        let (cx, pool) = (&visit.cx, &visit.site.pool);
        for row in &stop.rows {
            rows::leave_to_worker(batch, &pool.id, &self.signout_id, row, cx.now);
        }
    }

    fn settle(&self, visit: &Visit, batch: &mut Batch, stop: &Stop, state: Debt, detail: &str) {
        for row in &stop.rows {
            let outcome = Settled {
                pool_id: &visit.site.pool.id,
                signout_id: &self.signout_id,
                upstream_id: row,
                state,
                detail,
            };
            sign_out::record(&visit.cx, batch, &outcome, &stop.provider, &self.sub, None);
        }
    }
}

/// After a POST the browser goes on by GET.
fn see(visit: &Visit, to: &str) -> Response {
    if visit.parts.method == axum::http::Method::POST {
        pages::see_other(to)
    } else {
        pages::see(to)
    }
}

/// Whether a browser's own window asks. Older ones do not say so, but that they show pages.
pub fn is_window(visit: &Visit) -> bool {
    let header = |name| visit.parts.headers.get(name).and_then(|value| value.to_str().ok());
    match header("sec-fetch-dest") {
        Some(destination) => destination == "document",
        None => header("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}

/// A window waits on a page that goes on by itself if the provider says nothing; whatever else asks is redirected.
async fn hop_page(
    visit: &Visit,
    provider: &str,
    hop: &Hop,
    handle: &str,
    frames: Vec<String>,
) -> Result<Response> {
    let (to, form_fields) = match hop {
        Hop::Redirect(url) if !is_window(visit) => return Ok(see(visit, url)),
        Hop::Redirect(url) => (url, None),
        Hop::Post { url, fields } => {
            let fields: Vec<Value> = fields
                .iter()
                .map(|(name, value)| context! { name => name.as_str(), value => value.as_str() })
                .collect();
            (url, Some(fields))
        }
    };
    let texts = &texts::of(visit);
    let name = fields::isolated(provider);
    let mut query = Params::default();
    query.set("state", handle);
    let values = context! {
        title => texts.say("hop_title", &[("name", &name)]),
        text => texts.say("hop_lead", &[("name", &name)]),
        to,
        fields => form_fields,
        after => visit.page(AFTERWARDS, &query),
    };
    let script = if frames.is_empty() { GO } else { GO_AFTER_FRAMES };
    let frames = Frames { addresses: frames, next: None };
    let allow = Allow { script: Some(script), frames, ..Allow::form(Some(to)) };
    pages::page(visit, "hop.html", values, &allow).await
}

/// `/saml2/logout` with a SAMLResponse. RelayState says which sign-out it answers; where the provider has lost it, InResponseTo does.
pub async fn saml_answer(
    visit: &Visit,
    incoming: std::result::Result<Incoming, Fault>,
    relay_state: Option<&str>,
) -> Result<Response> {
    let peek = incoming.as_ref().ok().and_then(|incoming| incoming.peek().ok());
    let named = peek.as_ref().and_then(|peek| saml::handle_of(peek.in_response_to.as_deref()?));
    let mut found = None;
    for handle in [relay_state, named].into_iter().flatten() {
        found = find(visit, handle).await?.map(|found| (handle, found));
        if found.is_some() {
            break;
        }
    }
    let Some((handle, found)) = found else { return lost(visit).await };
    if found.state != State::Open {
        return closed(visit, found);
    }
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let provider = providers.get(&found.value.at.provider);
    let destination = format!("{}{SAML}", visit.site.base);
    let provider = provider.filter(|provider| provider.kind == Kind::Saml);
    let how = match (provider, incoming) {
        (None, _) => How::Unproven,
        (Some(provider), Err(fault)) => unproven(visit, &provider.name, &fault.to_string()),
        (Some(provider), Ok(incoming)) => {
            match saml::answer(cx, provider, &incoming, &destination, handle).await {
                Ok(status) if !saml::is_over(&status) => {
                    tracing::warn!(request_id = %cx.request.id, provider = provider.name, %status, "a provider did not sign somebody out");
                    How::Refused
                }
                Ok(status) if saml::is_partial(&status) => How::Partly,
                Ok(_) => How::Done,
                Err(trouble) => unproven(visit, &provider.name, &trouble.text),
            }
        }
    };
    back(visit, found, how).await
}

/// The reason is the operator's to read.
fn unproven(visit: &Visit, provider: &str, why: &str) -> How {
    tracing::warn!(request_id = %visit.cx.request.id, provider, why, "a logout response was refused");
    How::Unproven
}

/// `/oauth2/idplogout`: an OpenID provider sends the browser back with the `state` that it was given.
pub async fn returned(visit: &Visit) -> Result<Response> {
    let found = match visit.query.get("state") {
        Some(handle) => find(visit, handle).await?,
        None => None,
    };
    let Some(found) = found else { return lost(visit).await };
    if found.state != State::Open {
        return closed(visit, found);
    }
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let provider = providers.get(&found.value.at.provider);
    // A SAML provider has to sign what it says.
    let how = match provider {
        Some(provider) if provider.kind != Kind::Saml => match visit.query.get("error") {
            Some(_) => How::Refused,
            None => How::Done,
        },
        _ => How::Unproven,
    };
    back(visit, found, how).await
}

/// `/federation/logout`: with `state`, the browser has waited long enough; with `told`, what happened.
pub async fn afterwards(visit: &Visit) -> Result<Response> {
    if let Some(sealed) = visit.query.get("told") {
        return logout_told::page(visit, sealed).await;
    }
    let found = match visit.query.get("state") {
        Some(handle) => find(visit, handle).await?,
        None => None,
    };
    match found {
        None => lost(visit).await,
        Some(found) if found.state != State::Open => closed(visit, found),
        Some(found) => back(visit, found, How::Late).await,
    }
}

async fn find(visit: &Visit, handle: &str) -> Result<Option<Found<SignOut>>> {
    handshake::find(&visit.cx, &visit.site.pool.id, handle).await
}

/// The browser is back from a provider, or was called back.
async fn back(visit: &Visit, found: Found<SignOut>, how: How) -> Result<Response> {
    let mut batch = Batch::new();
    found.take(&mut batch);
    let SignOut { signout_id, sub, at, left, told, to } = found.value;
    let mut journey = Journey { signout_id, sub, left, told, to, frames: Vec::new() };
    match how {
        How::Done => {
            journey.settle(visit, &mut batch, &at, Debt::Done, "signed out by the browser")
        }
        How::Partly => {
            let detail = "signed out by the browser, elsewhere in part";
            journey.settle(visit, &mut batch, &at, Debt::Done, detail);
        }
        How::Away | How::Late | How::Refused | How::Unproven => {
            journey.leave_to_worker(visit, &mut batch, &at);
        }
    }
    journey.told.push(Told { provider: at.provider, how });
    journey.go_on(visit, batch).await
}

/// A handle that was taken, or whose time is over: nothing is done a second time, and nobody is stranded.
fn closed(visit: &Visit, found: Found<SignOut>) -> Result<Response> {
    let SignOut { at, mut told, to, .. } = found.value;
    if found.state == State::Over {
        told.push(Told { provider: at.provider, how: How::Late });
    }
    Ok(see(visit, &logout_told::address(visit, told, to)?))
}
