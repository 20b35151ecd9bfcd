//! What the gate answers: 204 with headers about the token for the application behind the proxy, 401, 403 or 503 without.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use axum::routing::{any, get};
use cenote_verifier::{Freshness, Policy, Refusal, Token, Verifier, bearer};

use crate::metrics::{self, Counts};

pub struct Gate {
    pub verifier: Verifier,
    pub counts: Counts,
    policy: Policy,
}

impl Gate {
    pub fn new(verifier: Verifier, policy: Policy) -> Gate {
        Gate { verifier, counts: Counts::default(), policy }
    }
}

/// A proxy may ask by any method, and Envoy puts the path of the request behind that of the question.
pub fn routes(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/check", any(check))
        .route("/check/", any(check))
        .route("/check/{*path}", any(check))
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .with_state(gate)
}

async fn check(State(gate): State<Arc<Gate>>, uri: Uri, headers: HeaderMap) -> Response<Body> {
    let verdict = verdict(&gate, &uri, &headers).await;
    gate.counts.count(verdict.as_ref().err().copied());
    match verdict {
        Ok(token) => passed(&token),
        Err(refusal) => refusal.response(),
    }
}

async fn verdict(gate: &Gate, uri: &Uri, headers: &HeaderMap) -> Result<Token, Refusal> {
    let (mut policy, mut scopes) = (gate.policy, Vec::new());
    for part in uri.query().unwrap_or_default().split('&') {
        match part.split_once('=') {
            // Only a stricter one than ours: some proxies (Caddy, Envoy) pass on the query of the request, which its client wrote. And a
            // policy with a typing error must not open anything.
            Some(("policy", name)) => {
                policy = policy.min(name.parse().unwrap_or(Policy::FailClosed));
            }
            Some(("scope", scope)) => scopes.push(scope),
            _ => {}
        }
    }
    let text = bearer(headers).ok_or(Refusal::Missing)?;
    let token = gate.verifier.verify_by(text, policy).await?;
    match scopes.iter().all(|scope| token.has_scope(scope)) {
        true => Ok(token),
        false => Err(Refusal::Scope),
    }
}

/// The proxy copies these to the application, and must not let a client send them.
fn passed(token: &Token) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let scope: String = token.scopes().collect::<Vec<_>>().join(" ");
    let username = token.claim("username").or_else(|| token.claim("cognito:username"));
    let headers = [
        ("x-cenote-sub", Some(token.sub())),
        ("x-cenote-client-id", Some(token.client_id())),
        ("x-cenote-scope", Some(scope.as_str())),
        ("x-cenote-session", Some(token.session())),
        ("x-cenote-username", username),
        ("cache-control", Some("no-store")),
    ];
    for (name, value) in headers {
        // A name that no header can hold is left out rather than changed into another's.
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

/// Well while the feed is not too old to tell. A proxy should go on asking otherwise: the policy decides.
async fn healthz(State(gate): State<Arc<Gate>>) -> (StatusCode, &'static str) {
    match gate.verifier.freshness() {
        Freshness::Fresh => (StatusCode::OK, "fresh\n"),
        Freshness::Stale => (StatusCode::OK, "stale\n"),
        Freshness::Expired => (StatusCode::SERVICE_UNAVAILABLE, "expired\n"),
    }
}

async fn metrics(State(gate): State<Arc<Gate>>) -> Response<Body> {
    let mut response = Response::new(Body::from(metrics::text(&gate)));
    let text = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(axum::http::header::CONTENT_TYPE, text);
    response
}
