//! How the server is: alive, ready, and what it has counted. `/healthz`, `/readyz` and `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use crate::ambient::{Ms, SECOND};
use crate::cx::App;

/// Pool and client epochs are set a minute ahead, which covers nodes whose clocks differ by no more than this (DESIGN, section 4).
const MAX_SKEW: Ms = 30 * SECOND;

#[derive(Default)]
pub struct Health {
    draining: AtomicBool,
}

impl Health {
    /// From now on load balancers should send nothing.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", get(ready))
}

/// Whether requests would be answered: the database is there, and its clock and ours agree.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let not = |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"));
    if app.health.draining.load(Ordering::Relaxed) {
        return not("the server is stopping".to_owned());
    }
    if let Err(error) = app.db.ping().await {
        tracing::error!(?error, "not ready");
        return not("the database does not answer".to_owned());
    }
    let now = app.clock.now_ms();
    match app.db.clock_ms().await {
        // SQLite's clock is this machine's.
        Ok(theirs) if !app.db.is_sqlite() && (now - theirs).abs() > MAX_SKEW => {
            not(format!("the clock of this machine differs by {} s from the database's", (now - theirs).abs() / SECOND))
        }
        Ok(_) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => {
            tracing::error!(?error, "not ready");
            not("the database does not answer".to_owned())
        }
    }
}
