//! The transmitter's configuration (SSF 1.0, 7): at the address that its section 7.2 makes of the issuer, and under the issuer.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::answer::{Done, Refused, told, write};
use crate::cx::{App, Asked, Cx};
use crate::http;
use crate::limits::Limit;
use crate::pool::target::stream::Method;
use crate::tokens::claims;

pub async fn configuration(
    State(app): State<Arc<App>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let outcome = document(&cx, &pool_id).await.map(|body| Done(StatusCode::OK, Some(body)));
    http::log(&cx, "ssf", "configuration", told(&outcome).as_ref());
    let mut response = write(&outcome);
    if outcome.is_ok() {
        let cached = HeaderValue::from_static("public, max-age=300");
        response.headers_mut().insert(header::CACHE_CONTROL, cached);
    }
    response
}

async fn document(cx: &Cx, pool_id: &str) -> Result<Value, Refused> {
    cx.admit(&Asked {
        category: Limit::Discovery,
        pool: "",
        client: None,
        user: None,
        costly: false,
    })?;
    let pool = cx.app.directory.pool(cx.db(), pool_id).await?;
    let pool = pool.ok_or(Refused::NotFound("There is no such user pool."))?;
    let here = format!("{}/{}", cx.app.settings.public_url, pool.id);
    Ok(json!({
        "spec_version": "1_0",
        "issuer": claims::issuer(&cx.app.settings, &pool),
        "jwks_uri": format!("{here}/.well-known/jwks.json"),
        "delivery_methods_supported": [Method::Push.urn(), Method::Poll.urn()],
        "configuration_endpoint": format!("{here}/ssf/streams"),
        "status_endpoint": format!("{here}/ssf/status"),
        "add_subject_endpoint": format!("{here}/ssf/subjects/add"),
        "remove_subject_endpoint": format!("{here}/ssf/subjects/remove"),
        "verification_endpoint": format!("{here}/ssf/verify"),
        "authorization_schemes": [{ "spec_urn": "urn:ietf:rfc:6749" }],
        "default_subjects": "ALL",
    }))
}
