//! Sends a browser to an identity provider: the request, and what is remembered of it until the browser comes back
//! (`cognito-behaviour`, 2.2 and 3).

use aws_lc_rs::digest;
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::providers::shown_name;
use super::request::AuthorizeRequest;
use super::{cookies, fields, pages};
use crate::ambient::{MINUTE, Ms};
use crate::auth::Door;
use crate::error::Result;
use crate::federation::handshake::{self, Handshake};
use crate::federation::oidc::{self, AskOidc};
use crate::federation::saml::{self, ToProvider};
use crate::federation::{Trouble, TroubleKind};
use crate::pool::Provider;
use crate::pool::provider::Kind;
use crate::site::{Params, Visit};
use crate::store::Batch;
use crate::{ids, keys};

pub const AUTHORIZE: &str = "/oauth2/authorize";
pub const SAML_CALLBACK: &str = "/saml2/idpresponse";
pub const OAUTH_CALLBACK: &str = "/oauth2/idpresponse";

/// A sign-in that is at a provider, under the handle that is RelayState or `state`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignIn {
    pub provider: String,
    /// The authorize query that it answers.
    pub query: String,
    /// SHA-256 of the cookie that tells the browser that began; `None` where the provider began.
    pub browser: Option<[u8; 32]>,
    /// Where the provider sends the browser back to.
    pub callback: String,
    /// The ID of a SAML request.
    pub request_id: Option<String>,
    /// What an ID token must repeat.
    pub nonce: String,
    /// The PKCE verifier.
    pub verifier: String,
    /// The provider was asked for a fresh authentication.
    pub forced: bool,
    pub began_ms: Ms,
}

impl Handshake for SignIn {
    const PURPOSE: &'static str = "sign-in";
    /// `cognito-behaviour`, 2.2.
    const LIFETIME: Ms = 5 * MINUTE;
}

impl SignIn {
    /// Whether this is the browser that was sent away.
    pub fn is_of(&self, visit: &Visit) -> bool {
        match (self.browser, cookies::known_browser(visit)) {
            (None, _) => true,
            (Some(began), Some(browser)) => keys::same(&began, &keys::hash(browser)),
            (Some(_), None) => false,
        }
    }
}

/// Where a provider of this kind sends the browser back to.
pub fn callback(visit: &Visit, kind: Kind) -> String {
    let path = if kind == Kind::Saml { SAML_CALLBACK } else { OAUTH_CALLBACK };
    visit.page(path, &Params::default())
}

/// Remembers the sign-in and sends the browser away. What goes wrong is the app's to know.
pub async fn go(
    visit: &Visit,
    request: &AuthorizeRequest,
    provider: &Provider,
    forced: bool,
) -> Result<Response> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let browser = cookies::browser(visit);
    let request_id = (provider.kind == Kind::Saml).then(|| format!("_{}", ids::handle(cx.rng())));
    let sign_in = SignIn {
        provider: provider.name.clone(),
        query: visit.query.to_string(),
        browser: Some(keys::hash(&browser)),
        callback: callback(visit, provider.kind),
        request_id,
        nonce: ids::handle(cx.rng()),
        verifier: ids::handle(cx.rng()),
        forced,
        began_ms: cx.now,
    };
    let mut batch = Batch::new();
    let handle = handshake::begin(cx, &mut batch, &pool.id, &sign_in)?;
    let to = match written(visit, request, provider, &sign_in, &handle).await {
        Ok(to) => to,
        Err(trouble) => return Ok(refuse(visit, request, &trouble)),
    };
    cx.db().commit(batch).await?;
    let mut response = match to {
        ToProvider::Redirect(url) => pages::see(&url),
        ToProvider::Post { url, fields } => {
            let texts = ("handoff_title", "handoff_lead");
            pages::handoff(visit, &url, &fields, texts, shown_name(provider), false).await?
        }
    };
    cookies::set_browser(visit, &mut response, &browser);
    Ok(response)
}

async fn written(
    visit: &Visit,
    request: &AuthorizeRequest,
    provider: &Provider,
    sign_in: &SignIn,
    handle: &str,
) -> std::result::Result<ToProvider, Trouble> {
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    if let Some(request_id) = &sign_in.request_id {
        let ask = saml::Ask {
            acs_url: &sign_in.callback,
            request_id,
            relay_state: handle,
            forced: sign_in.forced,
        };
        return saml::authn_request(cx, pool, provider, &ask).await;
    }
    let ask = AskOidc {
        redirect_uri: &sign_in.callback,
        state: handle,
        nonce: &sign_in.nonce,
        code_challenge: &challenge(&sign_in.verifier),
        login_hint: request.login_hint.as_deref(),
        prompt: visit.query.get("prompt"),
        max_age: visit.query.get("max_age"),
        acr_values: visit.query.get("acr_values"),
        forced: sign_in.forced,
    };
    oidc::authorize_url(cx, pool, provider, &ask).await.map(ToProvider::Redirect)
}

/// Tells the app what went wrong with the provider.
pub fn refuse(visit: &Visit, request: &AuthorizeRequest, trouble: &Trouble) -> Response {
    tell(visit, request, trouble.error(), trouble)
}

/// The same under another code.
pub fn tell(visit: &Visit, request: &AuthorizeRequest, error: &str, trouble: &Trouble) -> Response {
    let (request_id, kind) = (&visit.cx.request.id, trouble.kind);
    tracing::info!(%request_id, ?kind, reason = trouble.text, "a sign-in through a provider was refused");
    visit.cx.app.meters.signed_in(Door::Federation.as_str(), trouble.outcome());
    match kind {
        // The log has the cause.
        TroubleKind::Internal => request.refuse(error, ""),
        TroubleKind::Refused | TroubleKind::Unreachable => {
            request.refuse(error, &shortened(&trouble.text))
        }
    }
}

/// A provider's own words may be among them: no longer than an address can bear, and nothing that cannot be seen.
pub fn shortened(text: &str) -> String {
    text.chars().filter(|c| !fields::is_hidden(*c)).take(512).collect()
}

/// RFC 7636, 4.2.
fn challenge(verifier: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, verifier.as_bytes()))
}
