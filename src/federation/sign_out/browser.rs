//! Signing out at a provider through the browser: where it is sent, and whether somebody is there at all.

use std::time::Duration;

use url::Url;

use super::saml;
use crate::cx::Cx;
use crate::federation::{Trouble, oidc};
use crate::outgoing::{Failure, Request};
use crate::pool::identity::UpstreamDoc;
use crate::pool::provider::Kind;
use crate::pool::{Pool, Provider};

/// How long the address of a logout may be before a form carries it.
const LONGEST_URL: usize = 2_048;

/// How long somebody who is there may take to say anything.
const ALIVE_WITHIN: Duration = Duration::from_secs(3);

/// How a browser goes to a provider.
#[derive(Clone, PartialEq, Eq)]
pub enum Hop {
    Redirect(String),
    Post { url: String, fields: Vec<(String, String)> },
}

impl Hop {
    pub fn url(&self) -> &str {
        match self {
            Hop::Redirect(url) | Hop::Post { url, .. } => url,
        }
    }
}

/// What a browser can do to sign somebody out at a provider.
pub enum Way {
    Hop(Hop),
    /// Nothing; the worker may know a way without it.
    Worker,
    /// Nothing is to be done: its sessions are left alone, as in Cognito.
    Leave,
}

/// The way to the provider and back to `return_to` (OpenID Connect) or to our `/saml2/logout`; the handle comes along.
pub async fn way(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    doc: &UpstreamDoc,
    return_to: &str,
    handle: &str,
) -> Result<Way, Trouble> {
    if provider.kind == Kind::Saml {
        if !saml::is_asked(provider) {
            return Ok(Way::Leave);
        }
        let hop = saml::for_browser(cx, pool, provider, doc, handle).await?;
        return Ok(hop.map_or(Way::Worker, Way::Hop));
    }
    let Some(end) = oidc::end_session_url(cx, provider, doc, return_to, handle).await? else {
        return Ok(Way::Worker);
    };
    let url = end.redirect();
    Ok(Way::Hop(if url.len() <= LONGEST_URL {
        Hop::Redirect(url)
    } else {
        Hop::Post { url: end.url, fields: end.fields }
    }))
}

/// Whether nobody is there: a browser that is sent there would be left with an error of its own. `false` where this server cannot know.
pub async fn is_away(cx: &Cx, provider: &Provider, hop: &Hop) -> bool {
    let Ok(url) = Url::parse(hop.url()) else { return false };
    let origin = url.origin().ascii_serialization();
    let ask = Request::get(format!("{origin}/")).timeout(ALIVE_WITHIN).max_bytes(64 << 10);
    match cx.app.outgoing.send(ask).await {
        // A gateway with nobody behind it.
        Ok(answer) => matches!(answer.status, 502..=504),
        Err(failure @ (Failure::Unreachable(_) | Failure::Timeout)) => {
            failure.is_nobody_there() || is_known_here(provider, &url)
        }
        Err(_) => false,
    }
}

/// Whether this server itself talks with that host. A provider whose metadata came as a file may be in a network that only browsers see.
fn is_known_here(provider: &Provider, url: &Url) -> bool {
    if provider.kind != Kind::Saml {
        return true;
    }
    let from = provider.detail("MetadataURL").and_then(|from| Url::parse(from).ok());
    from.is_some_and(|from| from.host_str() == url.host_str())
}
