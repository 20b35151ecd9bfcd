//! OpenID Connect Back-Channel Logout 1.0: app clients that took part in a session are told that it ended. Who that is comes from
//! `participations`; each attempt brings a new logout token, since they live for two minutes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::outbox::{Delivery, Kind, NewDelivery, Outcome, State, judge};
use crate::ambient::{Ms, SECOND};
use crate::cx::Cx;
use crate::error::Result;
use crate::ids;
use crate::outgoing::Request;
use crate::pool::{Client, Pool};
use crate::store::participations::{self, Participation, Whose};
use crate::store::records::Recorded;
use crate::store::{Batch, sessions};
use crate::tokens::{claims, mint};

/// The member of `events` that makes a token a logout token.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What the specification recommends at most (2.4).
const TOKEN_SECS: i64 = 120;

/// Rows of a page. Of a client that is told once for all its sessions there are fewer.
const ROWS: i64 = 500;

/// Some of those who are to be told of a record.
#[derive(Default)]
pub struct Page {
    pub rows: Vec<NewDelivery>,
    /// The last participation among them: up to it they are `over` with the commit of the rows.
    pub last: Option<String>,
    /// More come after `last`.
    pub goes_on: bool,
    /// Some of a user's sessions have no `sid`; they are `over`, too.
    nameless: bool,
}

/// Who is to be told of a record, after the participation that its cursor names.
pub async fn expand(cx: &Cx, pool: &Pool, record: &Recorded) -> Result<Page> {
    match (record.kind.as_str(), whose(record)) {
        ("S", _) => session(cx, pool, record).await,
        ("C", Some(of)) => match client(cx, pool, &record.subject).await? {
            Some(_) => several(cx, pool, record, of).await,
            None => deleted(cx, pool, record).await,
        },
        (_, Some(of)) => several(cx, pool, record, of).await,
        // A key that is not trusted any more ends no session; the sign-out of everybody that follows does.
        _ => Ok(Page::default()),
    }
}

/// Whose participations a record ends, and below which boundary.
fn whose(record: &Recorded) -> Option<(Whose<'_>, Ms)> {
    match record.kind.as_str() {
        "X" => Some((Whose::Browser(&record.subject), Ms::MAX)),
        "C" => Some((Whose::Client(&record.subject), record.not_before_ms)),
        "U" => Some((Whose::User(&record.subject), record.not_before_ms)),
        "P" => Some((Whose::Everybody, record.not_before_ms)),
        _ => None,
    }
}

/// What a page tells of is over, so that no later sign-out says it again.
pub fn over(batch: &mut Batch, record: &Recorded, page: &Page, now: Ms) {
    let Some((whose, below_ms)) = whose(record) else { return };
    if let Some(last) = page.last.as_deref() {
        let from = record.expand_cursor.as_deref().unwrap_or_default();
        participations::end_page(batch, &record.pool_id, whose, below_ms, (from, last), now);
    }
    if let (true, Whose::User(sub)) = (page.nameless, whose) {
        let committed_ms = record.committed_ms;
        sessions::end_without_sid(batch, &record.pool_id, sub, below_ms, committed_ms);
    }
}

/// The client of one token session.
async fn session(cx: &Cx, pool: &Pool, record: &Recorded) -> Result<Page> {
    let Some(client_id) = &record.client_id else { return Ok(Page::default()) };
    let mut telling = Telling::new(cx, pool, false);
    if let Some(party) = participations::ended_by(cx.db(), &pool.id, &record.subject).await? {
        telling.party(&party).await?;
    } else {
        let ended = sessions::token_session_by_id(cx.db(), &pool.id, &record.subject).await?;
        if ended.is_some_and(|session| session.sid.is_none()) {
            telling.nameless(client_id, None).await?;
        }
    }
    Ok(Page { rows: telling.rows, ..Page::default() })
}

/// The clients of a browser session, a user or a pool, a page at a time.
async fn several(
    cx: &Cx,
    pool: &Pool,
    record: &Recorded,
    (whose, below_ms): (Whose<'_>, Ms),
) -> Result<Page> {
    let after = record.expand_cursor.as_deref();
    // One token for all of a user's sessions cannot stand for those of several users.
    let mut telling = Telling::new(cx, pool, matches!(whose, Whose::User(_)));
    let mut nameless = false;
    if after.is_none() {
        let since_ms = record.committed_ms;
        let clients =
            sessions::clients_without_sid(cx.db(), &pool.id, whose, below_ms, since_ms).await?;
        for client_id in clients {
            let sub = record.sub.as_deref().filter(|_| record.kind == "U");
            telling.nameless(&client_id, sub).await?;
        }
        nameless = !telling.rows.is_empty();
    }
    let from = after.unwrap_or_default();
    let parties = participations::living(cx.db(), &pool.id, whose, below_ms, from, ROWS).await?;
    for party in &parties {
        telling.party(party).await?;
    }
    let last = parties.last().map(|last| last.sid.clone());
    Ok(Page { rows: telling.rows, last, goes_on: parties.len() as i64 >= ROWS, nameless })
}

/// A client that is gone has no address.
async fn deleted(cx: &Cx, pool: &Pool, record: &Recorded) -> Result<Page> {
    let mut rows = Vec::new();
    if participations::any_of_client(cx.db(), &pool.id, &record.subject).await? {
        let why = "The app client was deleted, and its address with it.";
        rows.push(row(&record.subject, "", "", State::NotPossible, why));
    }
    Ok(Page { rows, ..Page::default() })
}

/// The rows of a page, while they are found.
struct Telling<'a> {
    cx: &'a Cx,
    pool: &'a Pool,
    /// Everything of one user ended.
    all_of_user: bool,
    clients: BTreeMap<String, Option<Arc<Client>>>,
    rows: Vec<NewDelivery>,
}

impl<'a> Telling<'a> {
    fn new(cx: &'a Cx, pool: &'a Pool, all_of_user: bool) -> Telling<'a> {
        Telling { cx, pool, all_of_user, clients: BTreeMap::new(), rows: Vec::new() }
    }

    /// A client that knows the session by its `sid`. One whose client was deleted since is passed by: that sign-out has said so.
    async fn party(&mut self, party: &Participation) -> Result<()> {
        let Some(client) = self.client(&party.client_id).await? else { return Ok(()) };
        let extensions = &client.doc.extensions;
        let required = extensions.backchannel_logout_session_required;
        let all_at_once = self.all_of_user && required == Some(false);
        let by_sid_alone = !self.all_of_user && required == Some(true);
        let by_browser = extensions.frontchannel_logout_uri.is_some();
        let sid = if all_at_once { "" } else { party.sid.as_str() };
        let (state, why) = match &extensions.backchannel_logout_uri {
            Some(_) => (State::Pending, ""),
            None if by_browser => (State::NotPossible, FRONT_CHANNEL_ONLY),
            None => (State::NotPossible, "The app client names no address any more."),
        };
        let doc = if by_sid_alone { BY_SID_ALONE } else { "" };
        let row = row(&client.id, sid, &party.sub, state, why);
        self.push(NewDelivery { doc: doc.to_owned(), ..row });
        Ok(())
    }

    /// A client whose session has no `sid`, because it began before the client named an address. It can be told of its user.
    async fn nameless(&mut self, client_id: &str, sub: Option<&str>) -> Result<()> {
        let Some(client) = self.client(client_id).await? else { return Ok(()) };
        if client.doc.extensions.backchannel_logout_uri.is_none() {
            return Ok(());
        }
        let row = match sub {
            Some(sub) => row(&client.id, "", sub, State::Pending, ""),
            None => row(&client.id, "", "", State::NotPossible, NAMELESS),
        };
        self.push(row);
        Ok(())
    }

    fn push(&mut self, row: NewDelivery) {
        if !self
            .rows
            .iter()
            .any(|known| row.sid.is_empty() && known.target == row.target && known.sid.is_empty())
        {
            self.rows.push(row);
        }
    }

    async fn client(&mut self, client_id: &str) -> Result<Option<Arc<Client>>> {
        if let Some(known) = self.clients.get(client_id) {
            return Ok(known.clone());
        }
        let client = client(self.cx, self.pool, client_id).await?;
        self.clients.insert(client_id.to_owned(), client.clone());
        Ok(client)
    }
}

/// One session ended, at a client that finds sessions by `sid`. Where a token names the user as well, some end all sessions of that user
/// (express-openid-connect 3.4).
const BY_SID_ALONE: &str = r#"{"by_sid_alone":true}"#;

const FRONT_CHANNEL_ONLY: &str = "The app client names only a FrontchannelLogoutUri, which a browser loads when it signs out at /logout; \
                                  whether it did is not known. Give it a BackchannelLogoutUri to be sure.";

const NAMELESS: &str = "This session began before the app client named an address, so it has no sid; a logout token could only name the \
                        user, and would end the user's other sessions there too.";

async fn client(cx: &Cx, pool: &Pool, client_id: &str) -> Result<Option<Arc<Client>>> {
    let found = cx.app.directory.client(cx.db(), client_id).await?;
    Ok(found.filter(|(of, _)| of.id == pool.id).map(|(_, client)| client))
}

fn row(target: &str, sid: &str, sub: &str, state: State, detail: &str) -> NewDelivery {
    NewDelivery {
        kind: Kind::Backchannel,
        target: target.to_owned(),
        sid: sid.to_owned(),
        sub: sub.to_owned(),
        doc: String::new(),
        state,
        detail: detail.to_owned(),
    }
}

/// One POST of a logout token, to where the client wants it now.
pub async fn attempt(cx: &Cx, pool: &Pool, delivery: &Delivery) -> Outcome {
    match request(cx, pool, delivery).await {
        Ok(Some(request)) => judge(&cx.app.outgoing.send(request).await, cx.now),
        Ok(None) => {
            Outcome::dead("The app client was deleted or names no BackchannelLogoutUri any more.")
        }
        Err(error) => {
            tracing::error!(?error, delivery = delivery.id, "a logout token cannot be sent");
            Outcome::ours(&error)
        }
    }
}

async fn request(cx: &Cx, pool: &Pool, delivery: &Delivery) -> Result<Option<Request>> {
    let client = client(cx, pool, &delivery.target).await?;
    let uri = client.and_then(|client| client.doc.extensions.backchannel_logout_uri.clone());
    let Some(uri) = uri else { return Ok(None) };
    let token = logout_token(cx, pool, delivery).await?;
    Ok(Some(Request::form(uri, &[("logout_token", &token)]).status_only()))
}

/// Back-Channel Logout 1.0, 2.4; signed by the key of the ID tokens, under a `typ` that no ID token has.
async fn logout_token(cx: &Cx, pool: &Pool, delivery: &Delivery) -> Result<String> {
    let now = cx.now / SECOND;
    let mut claims = json!({
        "iss": claims::issuer(&cx.app.settings, pool),
        "aud": delivery.target,
        "iat": now,
        "exp": now + TOKEN_SECS,
        "jti": ids::uuid_v4(cx.rng()).to_string(),
        "events": { EVENT: {} },
        "txn": delivery.signout_id,
    });
    if let Some(members) = claims.as_object_mut() {
        if !delivery.sid.is_empty() {
            members.insert("sid".to_owned(), json!(delivery.sid));
        }
        if delivery.doc != BY_SID_ALONE {
            members.insert("sub".to_owned(), json!(delivery.sub));
        }
    }
    mint::sign(cx, pool, move |keys| keys.id()?.sign_typed("logout+jwt", &claims)).await
}
