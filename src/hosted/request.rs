//! An authorization request, checked: the same for `/oauth2/authorize` and for `/login`, which takes its query
//! (`cognito-behaviour`, 4.1; RFC 6749, 4.1.1; RFC 7636, 4.3; OIDC Core, 3.1.2.1).

use std::sync::Arc;

use axum::response::Response;

use super::pages;
use super::providers::Offered;
use crate::ambient::{Ms, SECOND};
use crate::error::Result;
use crate::pool::realm::triggers;
use crate::pool::scopes::choose;
use crate::pool::{Client, urls};
use crate::site::{Visit, with_fragment, with_query};
use crate::tokens::scopes;

/// The longest resource: it is in every access token of its session.
const MAX_RESOURCE: usize = 1_024;

/// The longest nonce: it is in every ID token of its session.
const MAX_NONCE: usize = 1_024;

pub struct AuthorizeRequest {
    pub client: Arc<Client>,
    pub redirect_uri: String,
    pub grant: Grant,
    /// The answer goes into the fragment, which servers do not see, and not into the query.
    pub fragment: bool,
    pub state: Option<String>,
    pub scope: String,
    pub nonce: Option<String>,
    pub code_challenge: Option<String>,
    /// The API that the access tokens will be for (RFC 8707).
    pub resource: Option<String>,
    pub login_hint: Option<String>,
    pub prompt: Prompt,
    /// A fresh authentication may not be older than this.
    pub max_age_ms: Option<Ms>,
}

/// What `response_type` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grant {
    Code,
    /// `token`: the implicit grant.
    Tokens,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// Answer at once or not at all.
    pub none: bool,
    /// Ask for credentials even with a session.
    pub login: bool,
    /// Offer the session rather than using it silently.
    pub select_account: bool,
}

impl AuthorizeRequest {
    /// `Err` holds the answer: an error page while the redirect URI is not known to be good, a redirect to it afterwards.
    pub async fn check(visit: &Visit) -> Result<std::result::Result<AuthorizeRequest, Response>> {
        let (cx, query) = (&visit.cx, &visit.query);
        // A factor or a trigger that is asked for and not built stops every hosted sign-in, also one by an earlier session.
        visit.site.pool.refuse_unbuilt_risk()?;
        visit.site.pool.refuse_unbuilt_triggers(triggers::SIGN_IN)?;
        let Some(client_id) = query.get("client_id") else {
            return Ok(Err(pages::to_error(visit, "invalid_request", "")));
        };
        let found = cx
            .app
            .directory
            .client(cx.db(), client_id)
            .await?
            .filter(|(pool, _)| pool.id == visit.site.pool.id);
        let Some((_, client)) = found else {
            return Ok(Err(pages::to_error(visit, "invalid_client", client_id)));
        };
        let redirect_uri =
            query.get("redirect_uri").or(client.model().default_redirect_uri.as_deref());
        let Some(redirect_uri) =
            redirect_uri.filter(|uri| client.is_callback(uri)).map(str::to_owned)
        else {
            return Ok(Err(pages::to_error(visit, "redirect_mismatch", client_id)));
        };
        let state = query.get("state").map(str::to_owned);
        let (response_type, mode) = (query.get("response_type"), query.get("response_mode"));
        let fragment = response_type == Some("token") || mode == Some("fragment");
        let refuse = |error: &str, description: &str| {
            let state = state.as_deref();
            let location = error_redirect(&redirect_uri, fragment, error, description, state);
            Ok(Err(pages::see(&location)))
        };

        let grant = match response_type {
            None => return refuse("invalid_request", "response_type is missing"),
            Some("code") if client.allows_oauth("code") => Grant::Code,
            Some("token") if client.allows_oauth("implicit") => Grant::Tokens,
            Some("code" | "token") => return refuse("unauthorized_client", ""),
            Some(_) => {
                return refuse("unsupported_response_type", "response_type must be code or token");
            }
        };
        // Tokens never go into a query, which servers and their logs see.
        if !matches!((grant, mode), (_, None | Some("fragment")) | (Grant::Code, Some("query"))) {
            return refuse(
                "invalid_request",
                "response_mode must be query or fragment, and only fragment with response_type=token",
            );
        }
        let challenge = match (query.get("code_challenge"), query.get("code_challenge_method")) {
            (None, None) => None,
            (Some(challenge), Some("S256")) if is_challenge(challenge) => {
                Some(challenge.to_owned())
            }
            _ => {
                return refuse(
                    "invalid_request",
                    "code_challenge needs code_challenge_method=S256 and must be a SHA-256 in base64url",
                );
            }
        };
        let allowed = scopes::of(cx, &visit.site.pool, &client).await?;
        let scope = match choose(&allowed, query.get("scope")) {
            Ok(scope) => scope,
            Err(wrong) => return refuse("invalid_scope", &wrong.hint()),
        };
        // With a code, Cognito says so at the token endpoint.
        if grant == Grant::Tokens && !scopes::are_readable(&client, &scope) {
            return refuse(
                "invalid_scope",
                "ReadAttributes of this client lacks an attribute of a requested scope",
            );
        }
        let resource = match query.get("resource") {
            Some(uri) if uri.len() > MAX_RESOURCE || urls::check(uri).is_err() => {
                return refuse(
                    "invalid_target",
                    "resource must be one absolute URI without a fragment: https, http on localhost, or a scheme of its own",
                );
            }
            resource => resource.map(str::to_owned),
        };
        // Cut short it would be another one, and the app would refuse the token.
        let nonce = query.get("nonce");
        if nonce.is_some_and(|nonce| nonce.chars().count() > MAX_NONCE) {
            return refuse("invalid_request", "nonce may have at most 1024 characters");
        }
        let mut prompt = Prompt::default();
        for item in
            query.get("prompt").unwrap_or_default().split(' ').filter(|item| !item.is_empty())
        {
            match item {
                "none" => prompt.none = true,
                "login" => prompt.login = true,
                "select_account" => prompt.select_account = true,
                "consent" => {}
                _ => {
                    return refuse(
                        "invalid_request",
                        "prompt must be none, login, select_account or consent",
                    );
                }
            }
        }
        if prompt.none && (prompt.login || prompt.select_account) {
            return refuse("invalid_request", "prompt=none excludes the others");
        }
        let max_age_ms = match query.get("max_age").map(str::parse::<Ms>) {
            None => None,
            Some(Ok(seconds)) if seconds >= 0 => Some(seconds.saturating_mul(SECOND)),
            Some(_) => return refuse("invalid_request", "max_age must be a number of seconds"),
        };
        let offered = Offered::by(visit, &client).await?;
        if !offered.own && offered.providers().next().is_none() {
            return refuse(
                "invalid_request",
                "None of this client's SupportedIdentityProviders exists in this user pool",
            );
        }
        Ok(Ok(AuthorizeRequest {
            redirect_uri,
            grant,
            fragment,
            state,
            scope,
            nonce: nonce.map(str::to_owned),
            code_challenge: challenge,
            resource,
            login_hint: query.get("login_hint").map(|hint| hint.chars().take(128).collect()),
            prompt,
            max_age_ms,
            client,
        }))
    }

    /// The same for a page of the pool's own users.
    pub async fn check_own(
        visit: &Visit,
    ) -> Result<std::result::Result<AuthorizeRequest, Response>> {
        let request = match AuthorizeRequest::check(visit).await? {
            Ok(request) => request,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if request.client.supports_cognito() {
            return Ok(Ok(request));
        }
        let why = "SupportedIdentityProviders of this client lacks COGNITO: its users sign in at other identity providers";
        Ok(Err(request.refuse("invalid_request", why)))
    }

    /// The redirect that refuses this request.
    pub fn refuse(&self, error: &str, description: &str) -> Response {
        let state = self.state.as_deref();
        pages::see(&error_redirect(&self.redirect_uri, self.fragment, error, description, state))
    }

    /// The redirect that answers this request.
    pub fn answer<'a>(&'a self, mut pairs: Vec<(&'a str, &'a str)>) -> String {
        pairs.extend(self.state.as_deref().map(|state| ("state", state)));
        with_answer(&self.redirect_uri, self.fragment, &pairs)
    }
}

fn error_redirect(
    redirect_uri: &str,
    fragment: bool,
    error: &str,
    description: &str,
    state: Option<&str>,
) -> String {
    let mut pairs = vec![("error", error)];
    if !description.is_empty() {
        pairs.push(("error_description", description));
    }
    pairs.extend(state.map(|state| ("state", state)));
    with_answer(redirect_uri, fragment, &pairs)
}

fn with_answer(redirect_uri: &str, fragment: bool, pairs: &[(&str, &str)]) -> String {
    match fragment {
        true => with_fragment(redirect_uri, pairs),
        false => with_query(redirect_uri, pairs),
    }
}

/// The base64url form of 32 bytes.
fn is_challenge(text: &str) -> bool {
    text.len() == 43
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}
