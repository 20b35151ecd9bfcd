//! `/logo/{client}/{hash}.png`: the logo that SetUICustomization drew anew. Its address changes with it, so browsers keep it forever.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::cx::App;
use crate::error::{Kind, Result};
use crate::http;
use crate::site::{self, Visit};
use crate::store::ui_customizations;

pub async fn logo(State(app): State<Arc<App>>, request: Request) -> Response {
    let (cx, parts, _) = site::open(app, request, 0).await;
    let found = match Visit::begin(cx.clone(), parts, None).await {
        Ok(Some(visit)) => find(&visit).await,
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    http::log(&cx, "hosted", "logo", found.as_ref().err());
    match found {
        Ok(Some(file)) => {
            let mut response = Response::new(Body::from(file));
            let headers = response.headers_mut();
            for (name, value) in [
                (header::CONTENT_TYPE, "image/png"),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
                (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
            ] {
                headers.insert(name, HeaderValue::from_static(value));
            }
            response
        }
        Ok(None) => no_logo(),
        Err(error) => match error.kind {
            Kind::TooManyRequests => {
                (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, "1")]).into_response()
            }
            Kind::Internal | Kind::ServiceUnavailable | Kind::Conflict => {
                (StatusCode::SERVICE_UNAVAILABLE, "The logo cannot be read now.\n").into_response()
            }
            _ => no_logo(),
        },
    }
}

fn no_logo() -> Response {
    (StatusCode::NOT_FOUND, "There is no such logo.\n").into_response()
}

async fn find(visit: &Visit) -> Result<Option<Vec<u8>>> {
    let mut path = visit.parts.uri.path().rsplit('/');
    let (Some(file), Some(client_id)) = (path.next(), path.next()) else { return Ok(None) };
    let Some(hash) = file.strip_suffix(".png") else { return Ok(None) };
    ui_customizations::logo(visit.cx.db(), &visit.site.pool.id, client_id, hash).await
}
