//! Who learns of a sign-out: workers that read the records of `signout`, and the addresses at which others ask. Nobody calls them: a
//! record is committed with the end that it speaks of, and everything here is a projection of it.

pub mod backchannel;
pub mod feed;
pub mod outbox;
mod receipt;
pub mod sequencer;
pub mod ssf;
pub mod token_revocation;
pub mod webhook;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use crate::cx::App;

/// What is served to verifiers, receivers and those who ask for a receipt.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        // The revocation feed.
        .route("/{pool}/.well-known/revocation-jwks.json", get(feed::jwks))
        .route("/{pool}/revocations/delta", get(feed::delta))
        .route("/{pool}/revocations/snapshot", get(feed::snapshot))
        .route("/{pool}/revocations/stream", get(feed::stream))
        // Event streams, for their receivers.
        .merge(ssf::routes())
        // Receipts.
        .merge(receipts())
}

/// Receipts, where the issuer is and on the pool's domain.
fn receipts() -> Router<Arc<App>> {
    Router::new()
        .route("/sign-outs/{id}", get(receipt::get).options(receipt::preflight))
        .route("/{pool}/sign-outs/{id}", get(receipt::get).options(receipt::preflight))
}
