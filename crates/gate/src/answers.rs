//! What the gate answers: 204 with headers about the token for the application behind the proxy, 401, 403 or 503 without.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri};
use axum::routing::{any, get};
use cenote_verifier::{Freshness, Policy, Refusal, Token, Verifier, bearer};

use crate::metrics::{self, Counts};

pub struct Gate {
    pub verifier: Verifier,
    pub counts: Counts,
    pub policy: Policy,
}

/// A policy with a typing error must not open anything.
pub fn named(policy: &str) -> Policy {
    policy.parse().unwrap_or(Policy::FailClosed)
}

impl Gate {
    pub fn new(verifier: Verifier, policy: Policy) -> Gate {
        Gate { verifier, counts: Counts::default(), policy }
    }

    /// The answer to a question, however it was put: whether the request's token is alive and has these scopes.
    pub async fn decide(
        &self,
        headers: &HeaderMap,
        policy: Policy,
        scopes: &[&str],
    ) -> Result<Token, Refusal> {
        let verdict = self.verdict(headers, policy, scopes).await;
        self.counts.count(verdict.as_ref().err().copied());
        verdict
    }

    async fn verdict(
        &self,
        headers: &HeaderMap,
        policy: Policy,
        scopes: &[&str],
    ) -> Result<Token, Refusal> {
        let text = bearer(headers).ok_or(Refusal::Missing)?;
        let token = self.verifier.verify_by(text, policy).await?;
        match scopes.iter().all(|scope| token.has_scope(scope)) {
            true => Ok(token),
            false => Err(Refusal::Scope),
        }
    }
}

/// What the application is told about a token. The proxy copies these, and must not let a client send them.
pub const IDENTITY: [&str; 5] = [
    "x-cenote-sub",
    "x-cenote-client-id",
    "x-cenote-scope",
    "x-cenote-session",
    "x-cenote-username",
];

pub fn identity(token: &Token) -> impl Iterator<Item = (&'static str, HeaderValue)> {
    let scope: String = token.scopes().collect::<Vec<_>>().join(" ");
    let username = token.claim("username").or_else(|| token.claim("cognito:username"));
    let values = [
        Some(token.sub()),
        Some(token.client_id()),
        Some(scope.as_str()),
        Some(token.session()),
        username,
    ];
    // A name that no header can hold is left out rather than changed into another's.
    let values = values.map(|value| HeaderValue::from_str(value?).ok());
    IDENTITY.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?)))
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
    let (mut policy, mut scopes) = (gate.policy, Vec::new());
    for part in uri.query().unwrap_or_default().split('&') {
        match part.split_once('=') {
            // Only a stricter one than ours: some proxies (Caddy, Envoy) pass on the query of the request, which its client wrote.
            Some(("policy", name)) => policy = policy.min(named(name)),
            Some(("scope", scope)) => scopes.push(scope),
            _ => {}
        }
    }
    match gate.decide(&headers, policy, &scopes).await {
        Ok(token) => passed(&token),
        Err(refusal) => refusal.response(),
    }
}

fn passed(token: &Token) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in identity(token) {
        headers.insert(HeaderName::from_static(name), value);
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
