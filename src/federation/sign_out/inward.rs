//! A provider signed somebody out: ends our sessions that came from there, and nothing else. Whom and which session it means is what
//! it calls them; no cookie says anything.

use crate::ambient::Ms;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::federation::{seen, upstream};
use crate::keys;
use crate::pool::identity::NameId;
use crate::pool::{Pool, Provider, SsoSession, TokenSession};
use crate::signout::{self, End, Why};
use crate::store::upstream::{self as rows, UpstreamSession};
use crate::store::{Batch, browsers, sessions};

/// Sessions at the provider that one batch ends.
const AT_ONCE: usize = 100;
const PAGE: i64 = 100;

/// Whom a provider means. Without a subject the sessions alone say it.
#[derive(Clone, Debug, Default)]
pub struct Named {
    pub subject: Option<String>,
    /// SAML's whole name, of which `subject` is the value.
    pub name_id: Option<NameId>,
    /// SessionIndex or `sid`; none means all of the subject.
    pub sessions: Vec<String>,
    /// Where no session is named: those alone for which the provider signed no ID token later than this.
    pub signed_until_ms: Option<Ms>,
}

/// The message that said it, which is taken once.
pub struct Message<'a> {
    /// What kind of message; a word.
    pub kind: &'static str,
    pub id: &'a str,
    pub until_ms: i64,
}

/// Ends what is named at any of these providers (several where one party is configured under several names), durably. `reason` is for
/// the records. `ended` counts what was ended, also where an error follows.
pub async fn end(
    cx: &Cx,
    pool: &Pool,
    providers: &[&Provider],
    named: &Named,
    message: Option<&Message<'_>>,
    reason: &'static str,
    ended: &mut usize,
) -> Result<()> {
    if let Some(message) = message {
        refuse_replay(cx, pool, providers, message).await?;
    }
    let mut found = Vec::new();
    for provider in providers {
        for session in find(cx, pool, provider, named).await? {
            found.push((*provider, session));
        }
    }
    let mut rest = found.as_slice();
    // The message is taken with the last of it: what fails before can be said again.
    while rest.len() > AT_ONCE {
        let (some, others) = rest.split_at(AT_ONCE);
        let mut batch = Batch::new();
        end_some(cx, &mut batch, pool, some, reason).await?;
        cx.db().commit(batch).await?;
        *ended += some.len();
        rest = others;
    }
    let mut batch = Batch::new();
    end_some(cx, &mut batch, pool, rest, reason).await?;
    for provider in providers {
        if let Some(message) = message {
            let place = (pool.id.as_str(), provider.name.as_str());
            seen::once(&mut batch, place, message.kind, message.id, message.until_ms, replayed());
        }
        let own: Vec<_> = found.iter().filter(|(of, _)| of.name == provider.name).collect();
        // Anybody can say something unsigned that means nobody: that fills no trail.
        if message.is_none() && own.is_empty() {
            continue;
        }
        audit::note(
            &mut batch,
            cx,
            &pool.id,
            &Actor::Provider(&provider.name),
            "SignOutByProvider",
            own.first().map_or("", |(_, session)| session.sub.as_str()),
            "ok",
            &format!("{reason}, sessions: {}", own.len()),
        );
    }
    cx.db().commit(batch).await?;
    *ended += rest.len();
    Ok(())
}

/// Before anything ends: where it takes several batches, the last one alone takes the message, and a replay must not get as far as the
/// ones before.
pub async fn refuse_replay(
    cx: &Cx,
    pool: &Pool,
    providers: &[&Provider],
    message: &Message<'_>,
) -> Result<()> {
    for provider in providers {
        let place = (pool.id.as_str(), provider.name.as_str());
        if seen::is_taken(cx, place, message.kind, message.id).await? {
            return Err(replayed());
        }
    }
    Ok(())
}

/// A message that was taken before.
pub fn is_replay(error: &Error) -> bool {
    error.message == REPLAYED
}

const REPLAYED: &str = "This message was received before, and is not taken twice.";

fn replayed() -> Error {
    Error::invalid(REPLAYED)
}

async fn find(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    named: &Named,
) -> Result<Vec<UpstreamSession>> {
    let wanted: Vec<[u8; 32]> = named.sessions.iter().map(keys::hash).collect();
    let mut found = Vec::new();
    let Some(subject) = &named.subject else {
        for key in &wanted {
            let mut after = String::new();
            loop {
                let page =
                    rows::of_session(cx.db(), &pool.id, &provider.name, key, &after, PAGE).await?;
                let Some(last) = page.last() else { break };
                after.clone_from(&last.id);
                found.extend(page);
            }
        }
        return Ok(found);
    };
    let (subject, mut after) = (keys::hash(subject), String::new());
    loop {
        let page =
            rows::of_subject(cx.db(), &pool.id, &provider.name, &subject, &after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after.clone_from(&last.id);
        for session in page {
            let is_meant = match session.session_key {
                Some(key) if !wanted.is_empty() => wanted.contains(&key),
                // One that the provider never gave a name cannot be told from the one that it means.
                _ => !is_later(cx, named, &session)?,
            };
            if is_meant && is_same_name(cx, named, &session)? {
                found.push(session);
            }
        }
    }
}

/// A sign-in of which the provider can have known when it spoke is not what it speaks of. What cannot be told is meant.
fn is_later(cx: &Cx, named: &Named, session: &UpstreamSession) -> Result<bool> {
    let Some(signed_until_ms) = named.signed_until_ms else { return Ok(false) };
    Ok(upstream::open(cx, session)?.signed_ms.is_some_and(|signed_ms| signed_ms > signed_until_ms))
}

/// The values are equal; format and qualifiers must not contradict each other where both say them.
fn is_same_name(cx: &Cx, named: &Named, session: &UpstreamSession) -> Result<bool> {
    let Some(said) = &named.name_id else { return Ok(true) };
    let Some(known) = upstream::open(cx, session)?.name_id else { return Ok(true) };
    let agree = |one: &Option<String>, other: &Option<String>| match (one, other) {
        (Some(one), Some(other)) => one == other,
        _ => true,
    };
    let (said_format, known_format) = (stated(&said.format), stated(&known.format));
    Ok(agree(&said_format, &known_format)
        && agree(&said.name_qualifier, &known.name_qualifier)
        && agree(&said.sp_name_qualifier, &known.sp_name_qualifier))
}

/// "Unspecified" says nothing.
fn stated(format: &Option<String>) -> Option<String> {
    format.clone().filter(|format| !format.ends_with(":nameid-format:unspecified"))
}

/// The browser sessions that came from these, where they live, and every token session that came through them.
async fn end_some(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    some: &[(&Provider, UpstreamSession)],
    reason: &'static str,
) -> Result<()> {
    // First, so that what follows finds nothing here that would have to be told.
    for (_, session) in some {
        rows::end(batch, &pool.id, &session.id, cx.now);
    }
    let mut through: Vec<Through<'_>> = Vec::new();
    for (provider, session) in some {
        if through.iter().any(|known| known.sso_id == session.sso_id) {
            continue;
        }
        let browser = browsers::sso_session_by_id(cx.db(), &pool.id, &session.sso_id).await?;
        let tokens =
            sessions::token_sessions_through(cx.db(), &pool.id, &session.sso_id, cx.now).await?;
        through.push(Through {
            provider: &provider.name,
            sso_id: &session.sso_id,
            browser: browser.filter(|browser| browser.ended_ms.is_none()),
            tokens,
        });
    }
    // One sign-out for each name of the provider.
    let mut names: Vec<&str> = through.iter().map(|through| through.provider).collect();
    names.dedup();
    for name in names {
        let mut ends = Vec::new();
        for own in through.iter().filter(|own| own.provider == name) {
            ends.extend(own.browser.as_ref().map(End::Browser));
            if own.browser.is_some() || !own.tokens.is_empty() {
                ends.push(End::Through { sso_id: own.sso_id, tokens: &own.tokens });
            }
        }
        if !ends.is_empty() {
            signout::end(cx, batch, pool, &ends, Why::upstream(reason, name));
        }
    }
    Ok(())
}

struct Through<'a> {
    provider: &'a str,
    sso_id: &'a str,
    browser: Option<SsoSession>,
    tokens: Vec<TokenSession>,
}
