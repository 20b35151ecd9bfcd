//! `/logout` (`cognito-behaviour`, 1.1; OIDC RP-Initiated Logout 1.0): ends this browser's session first, then decides where
//! to go, and leads there past the app clients that want to be told by the browser (`frontchannel_logout`) and through the identity
//! providers that the session came from (`logout_hop`). A refused address still ends the
//! session, and the page says which client's list lacks it.

use std::sync::Arc;

use axum::response::Response;

use super::{cookies, frontchannel_logout, logout_hop, pages};
use crate::audit::{self, Actor};
use crate::error::{Kind, Result};
use crate::pool::{Client, SsoSession};
use crate::signout::{self, End, Why};
use crate::site::{Params, Visit, with_query};
use crate::store::{Batch, sessions};
use crate::tokens::verify;

/// A form post of a relying party becomes a GET: only then does the browser send the cookie (SameSite=Lax).
pub fn redirect_to_get(visit: &Visit, form: &Params) -> Response {
    pages::see_other(&visit.page("/logout", &visit.query.clone().and(form)))
}

pub async fn page(visit: &Visit) -> Result<Response> {
    let ended = end_session(visit).await?;
    let to = match client(visit).await? {
        Ok(client) => destination(visit, &client),
        Err(reason) => pages::logout_error(visit, reason),
    };
    let mut response = match &ended {
        Some(ended) => {
            let response = logout_hop::begin(visit, ended, to).await;
            frontchannel_logout::before(visit, &ended.frames, response).await
        }
        None => pages::see(&to),
    };
    cookies::clear_session(visit, &mut response);
    Ok(response)
}

/// The client that the request comes from: named by `client_id`, or by the audience of `id_token_hint`. The hint may be
/// expired; it identifies, it never authorises. Cognito's own form ignores it.
async fn client(visit: &Visit) -> Result<std::result::Result<Arc<Client>, &'static str>> {
    let (query, pool) = (&visit.query, &visit.site.pool);
    let cognitos_form = query.get("client_id").is_some() && query.get("logout_uri").is_some();
    let hinted = match query.get("id_token_hint").filter(|_| !cognitos_form) {
        None => None,
        Some(hint) => match verify::genuine(&visit.cx, hint, "id").await {
            Ok(hint) if hint.pool.id == pool.id => hint.claims.str("aud").map(str::to_owned),
            Err(error) if matches!(error.kind, Kind::ServiceUnavailable | Kind::Internal) => {
                return Err(error);
            }
            _ => return Ok(Err("id_token_hint is not an ID token of this user pool")),
        },
    };
    let client_id = match (query.get("client_id"), &hinted) {
        (Some(id), Some(aud)) if id != aud => {
            return Ok(Err("client_id and the audience of id_token_hint differ"));
        }
        (Some(id), _) => id,
        (None, Some(aud)) => aud,
        (None, None) => return Ok(Err("Required String parameter 'client_id' is not present")),
    };
    let found = visit
        .cx
        .app
        .directory
        .client(visit.cx.db(), client_id)
        .await?
        .filter(|(of, _)| of.id == pool.id);
    Ok(found.map(|(_, client)| client).ok_or("the client does not exist"))
}

/// Ends the browser session behind the cookie, with the codes that came through it and, where the pool says so, the token
/// sessions. Durable before the browser goes on.
async fn end_session(visit: &Visit) -> Result<Option<Ended>> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let Some(session) = cookies::any_session(visit).await? else { return Ok(None) };
    let frames = frontchannel_logout::addresses(visit, &session).await?;
    let tokens = if pool.doc.extensions.logout_ends_token_sessions {
        sessions::token_sessions_through(cx.db(), &pool.id, &session.id, cx.now).await?
    } else {
        Vec::new()
    };
    let mut ends = vec![End::Browser(&session)];
    if pool.doc.extensions.logout_ends_token_sessions {
        ends.push(End::Through { sso_id: &session.id, tokens: &tokens });
    }
    let mut batch = Batch::new();
    let why = Why::user("logout").by_browser();
    let signout_id = signout::end(cx, &mut batch, pool, &ends, why);
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&session.sub),
        "Logout",
        &session.id,
        "ok",
        visit.query.get("client_id").unwrap_or_default(),
    );
    cx.db().commit(batch).await?;
    Ok(Some(Ended { signout_id, session, frames }))
}

/// What this sign-out has ended, durably.
pub struct Ended {
    pub signout_id: String,
    pub session: SsoSession,
    /// What the browser is to load in frames before it goes on.
    pub frames: Vec<String>,
}

/// The table of `cognito-behaviour` 1.1. `logout_uri` wins over all others.
fn destination(visit: &Visit, client: &Client) -> String {
    let query = &visit.query;
    if let Some(uri) = query.get("logout_uri") {
        if client.is_logout_url(uri) {
            return uri.to_owned();
        }
    } else if let Some(uri) = query.get("post_logout_redirect_uri") {
        if client.is_logout_url(uri) {
            let state: Vec<(&str, &str)> =
                query.get("state").map(|state| ("state", state)).into_iter().collect();
            return with_query(uri, &state);
        }
    } else if query.get("redirect_uri").is_some() && query.get("response_type").is_some() {
        let mut on = query.clone();
        on.remove("id_token_hint");
        on.set("client_id", &client.id);
        if on.get("scope").is_none() {
            on.set("scope", &client.scopes().join(" "));
        }
        return visit.page("/login", &on);
    }
    pages::logout_error(visit, "Required String parameter 'redirect_uri' is not present")
}
