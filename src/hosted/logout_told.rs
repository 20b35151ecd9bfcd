//! What a browser is told of a sign-out that led through identity providers: how it went at each, and where it was going.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use minijinja::{Value, context};
use serde::{Deserialize, Serialize};

use super::logout_hop::AFTERWARDS;
use super::pages::Allow;
use super::{fields, form, pages, texts};
use crate::ambient::{MINUTE, Ms};
use crate::error::{Error, Result};
use crate::keys::Place;
use crate::site::{Params, Visit};

/// How long what happened can be read.
const TOLD_MS: Ms = 10 * MINUTE;

/// How it went at one provider.
#[derive(Clone, Serialize, Deserialize)]
pub struct Told {
    pub provider: String,
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    Done,
    /// It could not sign the user out everywhere else.
    Partly,
    /// Nobody is there.
    Away,
    /// It did not answer in time.
    Late,
    /// It answered that it did not.
    Refused,
    /// Nobody can tell whether the answer is its own, or it is none.
    Unproven,
}

impl How {
    fn text(self) -> &'static str {
        match self {
            How::Done => "signed_out_done",
            How::Partly => "signed_out_partly",
            How::Away => "signed_out_away",
            How::Late => "signed_out_late",
            How::Refused => "signed_out_refused",
            How::Unproven => "signed_out_unproven",
        }
    }
}

/// What happened, for a page that can be reloaded: sealed, since it holds the address that the page links to.
#[derive(Serialize, Deserialize)]
struct Ending {
    told: Vec<Told>,
    to: String,
    made_ms: Ms,
}

/// Where the browser reads it.
pub fn address(visit: &Visit, told: Vec<Told>, to: String) -> Result<String> {
    let ending = Ending { told, to, made_ms: visit.cx.now };
    let plain = serde_json::to_vec(&ending).map_err(Error::internal)?;
    let sealed = visit.cx.app.vault.seal(visit.cx.rng(), &place(visit), &plain)?;
    let mut query = Params::default();
    query.set("told", &BASE64_URL_SAFE_NO_PAD.encode(sealed.0));
    Ok(visit.page(AFTERWARDS, &query))
}

pub async fn page(visit: &Visit, sealed: &str) -> Result<Response> {
    match open(visit, sealed) {
        Some(ending) => show(visit, &ending).await,
        None => lost(visit).await,
    }
}

fn open(visit: &Visit, sealed: &str) -> Option<Ending> {
    let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
    let plain = visit.cx.app.vault.open(&place(visit), &sealed).ok()?;
    let ending: Ending = serde_json::from_slice(&plain).ok()?;
    (visit.cx.now < ending.made_ms + TOLD_MS).then_some(ending)
}

fn place(visit: &Visit) -> Place<'_> {
    Place { table: "pages", pool: &visit.site.pool.id, row: "sign-out", column: "told" }
}

async fn show(visit: &Visit, ending: &Ending) -> Result<Response> {
    let texts = &texts::of(visit);
    let mut seen = BTreeSet::new();
    let lines: Vec<Value> = ending
        .told
        .iter()
        .filter(|told| seen.insert((told.provider.as_str(), told.how.text())))
        .map(|told| {
            let name = fields::isolated(&told.provider);
            context! { text => texts.say(told.how.text(), &[("name", &name)]), good => told.how == How::Done }
        })
        .collect();
    let all = ending.told.iter().all(|told| matches!(told.how, How::Done | How::Partly));
    let values = context! { lines, all, link => ending.to.as_str() };
    pages::page(visit, "signed-out.html", values, &Allow::default()).await
}

/// Nothing that this server began, for this pool, lately.
pub async fn lost(visit: &Visit) -> Result<Response> {
    form::message(
        visit,
        StatusCode::BAD_REQUEST,
        ("signed_out_lost_title", "signed_out_lost"),
        None,
    )
    .await
}
