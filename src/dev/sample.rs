//! `GET /sample`: an application that signs in and watches what a sign-out does to its tokens. Dev only. Its files are plain, so that
//! what the browser runs is what one reads; they know the ids of the ready pool, which are the same on every machine.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use serde_json::json;

use crate::cx::{App, Cx};
use crate::error::Result;
use crate::http;
use crate::notify::escape;

/// As in app.js; the same in every `cenote dev`.
const CLIENT: &str = "cenotedevpublicclient00001";

/// Everything is its own: no script in the page, nothing from elsewhere, no form, no frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub async fn page(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    http::log(&cx, "dev", "sample", None);
    // Another name of this machine is another origin, to which no sign-in comes back.
    let public_url = &cx.app.settings.public_url;
    if cx.request.origin != *public_url {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::FOUND;
        http::insert(response.headers_mut(), header::LOCATION, &format!("{public_url}/sample"));
        return response;
    }
    // Where else users of the client may sign in is the one thing that the page cannot know by itself.
    let providers = match providers(&cx).await {
        Ok(providers) => json!(providers).to_string(),
        Err(error) => {
            http::log(&cx, "dev", "sample-providers", Some(&error));
            "[]".to_owned()
        }
    };
    let page = include_str!("sample/index.html");
    answer(
        "text/html; charset=utf-8",
        page.replacen("content=\"[]\"", &format!("content=\"{}\"", escape(&providers)), 1),
    )
}

/// SupportedIdentityProviders of the client in app.js, without the pool itself.
async fn providers(cx: &Cx) -> Result<Vec<String>> {
    let client = cx.app.directory.client(cx.db(), CLIENT).await?;
    let named = client.and_then(|(_, client)| client.model().supported_identity_providers.clone());
    Ok(named.into_iter().flatten().filter(|name| name != "COGNITO").collect())
}

pub async fn file(Path(name): Path<String>) -> Response {
    match name.as_str() {
        "app.js" => answer("text/javascript; charset=utf-8", include_str!("sample/app.js")),
        "view.js" => answer("text/javascript; charset=utf-8", include_str!("sample/view.js")),
        "style.css" => answer("text/css; charset=utf-8", include_str!("sample/style.css")),
        "icon.svg" => answer("image/svg+xml", include_str!("sample/icon.svg")),
        _ => {
            let mut response = Response::new(Body::from("The sample app has no such file.\n"));
            *response.status_mut() = StatusCode::NOT_FOUND;
            response
        }
    }
}

fn answer(content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // Also: the back button shows no tokens of before.
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
