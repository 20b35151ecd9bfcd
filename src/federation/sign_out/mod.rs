//! Telling identity providers that somebody signed out here, and being told by them. A sign-out commits what it owes them
//! (`signout`); the worker below pays it without a browser, `browser` is how a browser does, `inward` is what a provider ends.

pub mod browser;
pub mod inward;
pub mod request;
pub mod saml;

use std::collections::BTreeMap;

use tokio::task::JoinHandle;

use super::{Trouble, TroubleKind, oidc, upstream};
use crate::ambient::{DAY, HOUR, MINUTE, Ms, SECOND};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::pool::Provider;
use crate::pool::provider::Kind;
use crate::store::Batch;
use crate::store::upstream::{self as rows, Outcome, Owed, State};

/// Rows of one turn, and how long one provider may take of it.
const TURN: i64 = 200;
const TURN_MS: Ms = 5 * SECOND;

/// While an attempt is made nobody else makes it: longer than one can take. Whose server dies meanwhile is told after that.
const LEASE_MS: Ms = 30 * SECOND;

/// How long after the nth attempt that failed the next one is made; the last again and again. A provider that restarts is told within
/// seconds.
const RETRIES: [Ms; 8] =
    [SECOND, 5 * SECOND, 15 * SECOND, 30 * SECOND, MINUTE, 5 * MINUTE, 30 * MINUTE, HOUR];

/// The longest that what did not fit into a turn waits for the next.
const AWAY_MS: Ms = 30 * SECOND;

/// Then it is given up.
const GIVE_UP_MS: Ms = DAY;

/// What came of telling a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// For good; a few words for people who ask.
    Settled(State, String),
    /// Another time, and why.
    Later(String),
}

/// Begins to tell every provider what it is owed and due; due again in a second.
pub async fn run_once(cx: Cx) -> Result<Ms> {
    begin(&cx).await?;
    Ok(cx.now + SECOND)
}

/// The turns that this began: one for each provider that is not in the middle of one.
pub async fn begin(cx: &Cx) -> Result<Vec<JoinHandle<()>>> {
    let mut providers: BTreeMap<(String, String), Vec<Owed>> = BTreeMap::new();
    for owed in rows::due(cx.db(), cx.now, TURN).await? {
        let key = (owed.pool_id.clone(), owed.provider.clone());
        providers.entry(key).or_default().push(owed);
    }
    let begun = providers.into_iter().filter_map(|((pool_id, provider), owed)| {
        let target = format!("provider {pool_id} {provider}");
        cx.app.turns.take(target, || reported(cx.clone(), owed))
    });
    Ok(begun.collect())
}

async fn reported(cx: Cx, owed: Vec<Owed>) {
    if let Err(error) = turn(cx, owed).await {
        tracing::error!(?error, worker = "sign_out", "a provider's turn failed");
    }
}

/// One provider's turn. Once it turns out to be away, the others that it is owed wait, too: one attempt finds out when it is back.
async fn turn(cx: Cx, owed: Vec<Owed>) -> Result<()> {
    let mut owed = owed.into_iter();
    while let Some(row) = owed.next() {
        let own = Cx::system(cx.app.clone());
        if own.now > cx.now + TURN_MS {
            return Ok(());
        }
        if !lease(&own, &row).await? {
            continue;
        }
        match tell(&own, &row).await? {
            Told::Settled(state, detail) => settle(&own, &row, state, &detail).await?,
            Told::Later(why) => {
                tracing::warn!(
                    pool = row.pool_id,
                    provider = row.provider,
                    why,
                    "a provider was not told of a sign-out"
                );
                return wait(&own, row, owed, &why).await;
            }
        }
    }
    Ok(())
}

/// An attempt failed, and with it what was due together with it.
async fn wait(cx: &Cx, tried: Owed, others: impl Iterator<Item = Owed>, why: &str) -> Result<()> {
    let failed_ms = cx.app.clock.now_ms();
    let is_over = |owed: &Owed| owed.created_ms + GIVE_UP_MS <= cx.now;
    let why = &short(why);
    let mut batch = Batch::new();
    if is_over(&tried) {
        settle(cx, &tried, State::Failed, why).await?;
    } else {
        rows::defer(&mut batch, &tried, failed_ms + pause(&tried), why);
        cx.app.meters.told_provider("deferred");
    }
    for other in others {
        if is_over(&other) {
            settle(cx, &other, State::Failed, why).await?;
        } else {
            rows::postpone(&mut batch, &other, failed_ms + pause(&other), why);
        }
    }
    cx.db().commit(batch).await?;
    // What did not fit into this turn waits, too, and does not keep it from other providers.
    let mut rest = Batch::new();
    let until_ms = failed_ms + pause(&tried).min(AWAY_MS);
    rows::postpone_rest(&mut rest, &tried, failed_ms, until_ms);
    unless_lost(cx.db().commit(rest).await)
}

/// Somebody else was quicker with the same rows: it is done.
fn unless_lost(committed: Result<()>) -> Result<()> {
    match committed {
        Err(error) if error.is_conflict() => Ok(()),
        committed => committed,
    }
}

fn pause(owed: &Owed) -> Ms {
    let attempt = usize::try_from(owed.attempts).unwrap_or(0);
    RETRIES.get(attempt).copied().unwrap_or(HOUR)
}

/// False: another worker has it, or it is settled.
async fn lease(cx: &Cx, owed: &Owed) -> Result<bool> {
    let mut batch = Batch::new();
    rows::lease(&mut batch, owed, cx.now + LEASE_MS);
    match cx.db().commit(batch).await {
        Ok(()) => Ok(true),
        Err(error) if error.is_conflict() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Errors are the database's. Anything else that is wrong here will be wrong the next time, and is settled.
async fn tell(cx: &Cx, owed: &Owed) -> Result<Told> {
    match try_to_tell(cx, owed).await {
        Err(error) if error.kind == ErrorKind::ServiceUnavailable => Err(error),
        Err(error) => {
            tracing::error!(
                ?error,
                pool = owed.pool_id,
                provider = owed.provider,
                "a provider cannot be told of a sign-out"
            );
            Ok(Told::Settled(State::Failed, "an error of this server; see its log".to_owned()))
        }
        told => told,
    }
}

async fn try_to_tell(cx: &Cx, owed: &Owed) -> Result<Told> {
    let settled = |state, detail: &str| Ok(Told::Settled(state, detail.to_owned()));
    let Some(pool) = cx.app.directory.pool(cx.db(), &owed.pool_id).await? else {
        return settled(State::Failed, "the user pool was deleted");
    };
    let providers = cx.app.directory.providers(cx.db(), &pool).await?;
    let Some(provider) = providers.get(&owed.provider) else {
        return settled(State::Failed, "the provider was deleted");
    };
    let Some(session) = rows::by_id(cx.db(), &pool.id, &owed.upstream_id).await? else {
        return settled(State::Fresh, "its session is not known any more");
    };
    if session.ended_ms.is_some() {
        return settled(State::Done, "its session was over");
    }
    let doc = upstream::open(cx, &session)?;
    match provider.kind {
        Kind::Saml => saml::by_soap(cx, &pool, provider, &doc).await,
        _ => Ok(revoke(cx, provider, &doc).await),
    }
}

async fn revoke(cx: &Cx, provider: &Provider, doc: &crate::pool::identity::UpstreamDoc) -> Told {
    match oidc::revoke(cx, provider, doc).await {
        Ok(true) => Told::Settled(State::Revoked, "its tokens were revoked".to_owned()),
        Ok(false) => {
            Told::Settled(State::Fresh, "it offers no revocation, or gave no tokens".to_owned())
        }
        Err(Trouble { kind: TroubleKind::Refused, text }) => Told::Settled(State::Failed, text),
        Err(trouble) => Told::Later(trouble.text),
    }
}

async fn settle(cx: &Cx, owed: &Owed, state: State, detail: &str) -> Result<()> {
    let mut batch = Batch::new();
    let outcome = Outcome {
        pool_id: &owed.pool_id,
        signout_id: &owed.signout_id,
        upstream_id: &owed.upstream_id,
        state,
        detail,
    };
    let lost = Some(Error::conflict());
    record(cx, &mut batch, &outcome, &owed.provider, &owed.sub, lost);
    // A browser that came back meanwhile knew it better.
    unless_lost(cx.db().commit(batch).await)
}

/// Settles what a sign-out owed for one session, and says so in the audit trail. `settled` is the answer if that was done before.
pub fn record(
    cx: &Cx,
    batch: &mut Batch,
    outcome: &Outcome<'_>,
    provider: &str,
    sub: &str,
    settled: Option<Error>,
) {
    let detail = short(outcome.detail);
    rows::settle(batch, &Outcome { detail: &detail, ..*outcome }, cx.now, settled);
    audit::note(
        batch,
        cx,
        outcome.pool_id,
        &Actor::Operator,
        "SignOutAtProvider",
        sub,
        outcome.state.as_str(),
        &format!("{provider} {}: {detail}", outcome.signout_id),
    );
    let (app, state) = (cx.app.clone(), outcome.state.as_str());
    batch.then(move || app.meters.told_provider(state));
}

/// A provider's words may be long.
fn short(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}
