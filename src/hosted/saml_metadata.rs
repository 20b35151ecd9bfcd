//! `GET /saml2/metadata`: what a SAML provider loads to know this pool; with `provider`, what that one needs besides.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::pages;
use crate::cx::{App, Cx};
use crate::error::{Error, Result};
use crate::federation::sp_metadata;
use crate::http;
use crate::pool::provider::Kind;
use crate::site::{self, Visit};

pub async fn saml_metadata(State(app): State<Arc<App>>, request: Request) -> Response {
    let (cx, parts, _) = site::open(app, request, 0).await;
    let answer = cx.retrying(|cx| answer(cx, parts.clone())).await;
    http::log(&cx, "hosted", "saml_metadata", answer.as_ref().err());
    answer.unwrap_or_else(|error| pages::failure(&cx, &parts, &error))
}

async fn answer(cx: Cx, parts: axum::http::request::Parts) -> Result<Response> {
    let visit = Visit::begin(cx, parts, None).await?.ok_or_else(site::nothing_here)?;
    if visit.site.bare {
        return Ok(pages::see(&visit.page("/saml2/metadata", &visit.query)));
    }
    let (cx, pool) = (&visit.cx, &visit.site.pool);
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let provider = match visit.query.get("provider") {
        None => None,
        Some(name) => {
            let found = providers.get(name).filter(|provider| provider.kind == Kind::Saml);
            Some(found.ok_or_else(|| {
                Error::not_found("This user pool has no SAML identity provider of that name.")
            })?)
        }
    };
    // The address under which it was asked for is the one that its reader reaches; and where else the pool is offered.
    let own = visit.site.base.clone();
    let offered = site::base(cx, pool).await?.filter(|base| *base != own);
    let bases: Vec<String> = [own].into_iter().chain(offered).collect();
    let document = sp_metadata::document(cx, pool, &bases, provider).await?;
    let mut response = Response::new(Body::from(document));
    for (name, value) in [
        (header::CONTENT_TYPE, "application/samlmetadata+xml"),
        (header::CACHE_CONTROL, "public, max-age=3600"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}
