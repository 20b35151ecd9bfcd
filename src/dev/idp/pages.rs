//! The provider's pages: each says on its top that this is a demonstration. And its two files, a style and a script.

use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::Idp;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::http;

/// No `form-action`: Chromium holds every redirect after a form to it, down to the address of the application that one signs in
/// to, which may have any scheme. What is sent where is decided by the server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'";

const TEMPLATES: &[(&str, &str)] = &[
    ("ask.html", include_str!("pages/ask.html")),
    ("base.html", include_str!("pages/base.html")),
    ("home.html", include_str!("pages/home.html")),
    ("post.html", include_str!("pages/post.html")),
    ("problem.html", include_str!("pages/problem.html")),
    ("sign-in.html", include_str!("pages/sign-in.html")),
    ("signed-out.html", include_str!("pages/signed-out.html")),
];

pub struct Pages(Environment<'static>);

impl Pages {
    pub fn new() -> Result<Pages> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        for (name, text) in TEMPLATES {
            templates.add_template(name, text).map_err(Error::internal)?;
        }
        Ok(Pages(templates))
    }
}

/// A page.
pub fn page(idp: &Idp, name: &str, values: Value) -> Result<Response> {
    let template = idp.pages.0.get_template(name).map_err(Error::internal)?;
    let values = context! { home => idp.url(), ..values };
    let body = template.render(values).map_err(Error::internal)?;
    Ok(answer(StatusCode::OK, "text/html; charset=utf-8", body))
}

/// A form that the browser posts elsewhere by itself; without JavaScript a button does.
pub fn post(idp: &Idp, action: &str, fields: &[(&str, &str)]) -> Result<Response> {
    let fields: Vec<Value> =
        fields.iter().map(|(name, value)| context! { name => *name, value => *value }).collect();
    page(idp, "post.html", context! { action, fields })
}

/// What went wrong. Internal causes stay in the log.
pub fn problem(idp: &Idp, cx: &Cx, error: &Error) -> Response {
    let internal = matches!(error.kind, Kind::Internal | Kind::ServiceUnavailable);
    let text = if internal {
        "Something went wrong. The server's log says what."
    } else {
        &*error.message
    };
    let status = match error.kind {
        Kind::Forbidden => StatusCode::FORBIDDEN,
        kind => StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::BAD_REQUEST),
    };
    match page(idp, "problem.html", context! { text }) {
        Ok(mut response) => {
            *response.status_mut() = status;
            response
        }
        Err(error) => {
            http::log(cx, "dev-idp", "problem.html", Some(&error));
            answer(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", text.to_owned())
        }
    }
}

/// 303: what follows is a GET.
pub fn see(location: &str) -> Response {
    let mut response = answer(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", String::new());
    http::insert(response.headers_mut(), header::LOCATION, location);
    response
}

pub fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

pub async fn file(Path(name): Path<String>) -> Response {
    let (kind, body) = match name.as_str() {
        "style.css" => ("text/css; charset=utf-8", include_str!("pages/style.css")),
        "post.js" => ("text/javascript; charset=utf-8", include_str!("pages/post.js")),
        "icon.svg" => ("image/svg+xml", include_str!("pages/icon.svg")),
        _ => {
            let text = "The demonstration provider has nothing at this address.\n".to_owned();
            return answer(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", text);
        }
    };
    answer(StatusCode::OK, kind, body.to_owned())
}
