//! How the server is: `/healthz` (alive), `/readyz` (would answer requests) and `/metrics`. What is counted lives in `meters`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::ambient::{Ms, SECOND};
use crate::cx::App;
use crate::meters;
use crate::store::{deliveries, jobs};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Pool and client epochs are set a minute ahead, which covers nodes whose clocks differ by no more than this.
const MAX_SKEW: Ms = 30 * SECOND;
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
}

/// Everything that is counted, and what is only known when somebody asks. Where the database does not answer, the rest is still told.
async fn metrics(State(app): State<Arc<App>>) -> Response {
    let now = app.clock.now_ms();
    app.db.observe();
    let load = app.compute.load();
    let pending = jobs::pending(&app.db).await.unwrap_or_else(|error| {
        tracing::warn!(?error, "the messages that wait could not be counted");
        jobs::Pending { count: 0, first_due_ms: None }
    });
    let undelivered = deliveries::waiting(&app.db).await.unwrap_or_else(|error| {
        tracing::warn!(?error, "the deliveries that wait could not be counted");
        deliveries::Waiting::default()
    });
    let now = meters::Now {
        signing: load.signing,
        arithmetic: load.arithmetic,
        running: load.running,
        pending: pending.count,
        oldest_ms: pending.first_due_ms.map_or(0, |due| (now - due).max(0)),
        undelivered: undelivered.pending,
        undelivered_ms: undelivered.oldest_ms.map_or(0, |created| (now - created).max(0)),
        dead_letters: undelivered.dead,
    };
    match app.meters.text(&now) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Whether requests would be answered: the database is there, and its clock and ours agree.
async fn ready(State(app): State<Arc<App>>) -> (StatusCode, String) {
    let not = |why: String| (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n"));
    if app.meters.is_draining() {
        return not("the server is stopping".to_owned());
    }
    let theirs = match app.db.ping().await {
        Ok(()) => app.db.clock_ms().await,
        Err(error) => Err(error),
    };
    match theirs {
        // SQLite's clock is this machine's.
        Ok(theirs) if !app.db.is_sqlite() && (app.clock.now_ms() - theirs).abs() > MAX_SKEW => {
            let apart = (app.clock.now_ms() - theirs).abs() / SECOND;
            not(format!("the clock of this machine and that of the database are {apart} s apart"))
        }
        Ok(_) => (StatusCode::OK, "ok\n".to_owned()),
        Err(error) => {
            tracing::error!(?error, "not ready");
            not("the database does not answer".to_owned())
        }
    }
}
