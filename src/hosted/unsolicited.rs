//! SAML sign-ins that the provider began (`cognito-behaviour`, 2.3): off unless its settings allow them. RelayState is then a query that
//! says which app is meant.

use axum::response::Response;

use super::from_provider;
use super::providers::{Named, Offered};
use super::request::AuthorizeRequest;
use super::to_provider::{self, SignIn};
use crate::error::{Error, Result};
use crate::federation::saml::UNRELATED;
use crate::pool::provider::Kind;
use crate::site::{Params, Visit};
use crate::store::Batch;

/// The longest RelayState that is read as a query.
const MAX_RELAY_STATE: usize = 8 << 10;

/// Cognito's words, and what is wrong.
pub fn refusal(why: &str) -> Error {
    Error::invalid(format!("{UNRELATED}: {why}."))
}

/// Takes a response that answers no request of ours.
pub async fn begin(visit: &Visit, message: &str, relay_state: &str) -> Result<Response> {
    let query = match Params::parse(relay_state) {
        Ok(query) if relay_state.len() <= MAX_RELAY_STATE && query.get("client_id").is_some() => {
            query
        }
        _ => {
            return Err(refusal(
                "the RelayState is of no sign-in that was begun here, and is no query with identity_provider, client_id, redirect_uri, \
                 response_type and scope",
            ));
        }
    };
    let visit = Visit { query, ..visit.clone() };
    let request = match AuthorizeRequest::check(&visit).await? {
        Ok(request) => request,
        Err(refusal) => return Ok(refusal),
    };
    let offered = Offered::by(&visit, &request.client).await?;
    let Named::Provider(provider) = offered.named(&visit.query) else {
        return Err(refusal("the RelayState names no identity provider of this app client"));
    };
    if provider.kind != Kind::Saml || !provider.is("IDPInit") {
        return Err(refusal(
            "this identity provider may not begin sign-ins; set IDPInit to true in its ProviderDetails to allow it",
        ));
    }
    // Else somebody who can post such a response could sign a browser in to an app that expects its users to begin.
    if offered.own || offered.providers().any(|other| other.kind != Kind::Saml) {
        return Err(refusal(
            "the app client has identity providers besides SAML, and then none may begin a sign-in",
        ));
    }
    let said = from_provider::verified(&visit, provider, message, None).await;
    let sign_in = SignIn {
        provider: provider.name.clone(),
        query: visit.query.to_string(),
        browser: None,
        callback: to_provider::callback(&visit, Kind::Saml),
        request_id: None,
        nonce: String::new(),
        verifier: String::new(),
        forced: false,
        began_ms: visit.cx.now,
    };
    from_provider::keep(&visit, Batch::new(), sign_in, said).await
}
