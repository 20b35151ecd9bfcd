//! `/_cenote/v1`: what Cognito's API has no words for, as JSON over HTTP, authorised like the signed operations.

use std::sync::Arc;

use axum::Router;

use crate::cx::App;

pub fn routes() -> Router<Arc<App>> {
    Router::new()
}
