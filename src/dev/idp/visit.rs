//! One request to the provider: who asks, with which cookie and form; and the two ways in, for browsers and for programs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::form_urlencoded;

use super::state::Session;
use super::{Idp, PATH, pages};
use crate::ambient::Ms;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::{http, ids, keys};

const COOKIE: &str = "demo-idp";
const MAX_FORM: usize = 256 << 10;

pub struct Visit {
    pub idp: Arc<Idp>,
    pub cx: Cx,
    pub parts: Parts,
    /// The query, or, of a POST, the form.
    pub fields: Vec<(String, String)>,
    /// The browser's cookie, or a new one.
    pub browser: String,
}

/// A page for a browser, under the provider's own name: its cookie knows no other.
pub async fn page(
    idp: Arc<Idp>,
    request: Request,
    what: &'static str,
    answer: impl AsyncFnOnce(Visit) -> Result<Response>,
) -> Response {
    let (visit, form) = match begin(idp, request).await {
        Ok(begun) => begun,
        Err(refusal) => return refusal,
    };
    let (idp, cx) = (visit.idp.clone(), visit.cx.clone());
    if let Some(elsewhere) = visit.elsewhere() {
        return pages::see(&elsewhere);
    }
    let answered = match form {
        Ok(()) => answer(visit).await,
        Err(error) => Err(error),
    };
    http::log(&cx, "dev-idp", what, answered.as_ref().err());
    answered.unwrap_or_else(|error| pages::problem(&idp, &cx, &error))
}

/// An answer for a program. Errors are OAuth's, as JSON.
pub async fn program(
    idp: Arc<Idp>,
    request: Request,
    what: &'static str,
    answer: impl AsyncFnOnce(Visit) -> std::result::Result<Response, Refusal>,
) -> Response {
    let (visit, form) = match begin(idp, request).await {
        Ok(begun) => begun,
        Err(refusal) => return refusal,
    };
    let cx = visit.cx.clone();
    let answered = match form {
        Ok(()) => answer(visit).await,
        Err(error) => Err(error.into()),
    };
    let error = answered.as_ref().err().map(|refusal| Error::invalid(refusal.text.clone()));
    http::log(&cx, "dev-idp", what, error.as_ref());
    answered.unwrap_or_else(|Refusal { status, error, text }| {
        let mut answer = json_answer(&json!({ "error": error, "error_description": text }));
        *answer.status_mut() = status;
        answer
    })
}

/// What a program is told.
pub struct Refusal {
    pub status: StatusCode,
    pub error: &'static str,
    pub text: String,
}

impl Refusal {
    pub fn new(error: &'static str, text: impl Into<String>) -> Refusal {
        let status = match error {
            "invalid_client" | "invalid_token" => StatusCode::UNAUTHORIZED,
            _ => StatusCode::BAD_REQUEST,
        };
        Refusal { status, error, text: text.into() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let status = StatusCode::from_u16(error.kind.status()).unwrap_or(StatusCode::BAD_REQUEST);
        let name = if status.is_server_error() { "server_error" } else { "invalid_request" };
        Refusal { status, error: name, text: error.message.to_string() }
    }
}

pub fn json_answer(value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The form is read before the clock.
async fn begin(
    idp: Arc<Idp>,
    request: Request,
) -> std::result::Result<(Visit, Result<()>), Response> {
    let (parts, body) = request.into_parts();
    let (mut fields, mut read) = (Vec::new(), Ok(()));
    if parts.method == Method::POST {
        match http::form(&parts.headers, body, MAX_FORM).await {
            Ok(form) => fields = pairs(&form),
            Err(error) => read = Err(error),
        }
    } else {
        fields = pairs(parts.uri.query().unwrap_or_default());
    }
    let cx = http::cx(idp.app.clone(), &parts);
    let browser = cookie(&parts).unwrap_or_else(|| ids::handle(cx.rng()));
    Ok((Visit { idp, cx, parts, fields, browser }, read))
}

fn pairs(text: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(text.as_bytes())
        .take(64)
        .map(|(k, v)| (k.into_owned(), v.into_owned()))
        .collect()
}

fn cookie(parts: &Parts) -> Option<String> {
    let lines = parts.headers.get_all(header::COOKIE);
    lines.iter().filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(';')).find_map(
        |pair| {
            let (name, value) = pair.trim().split_once('=')?;
            let plausible = value.len() == 43
                && value.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
            (name == COOKIE && plausible).then(|| value.to_owned())
        },
    )
}

impl Visit {
    pub fn now(&self) -> Ms {
        self.cx.now
    }

    /// A field that is there and says something.
    pub fn field(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|(own, _)| own == name);
        field.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The session of this browser.
    pub fn session(&self) -> Option<Session> {
        self.idp.state().sessions.get(self.now(), &self.browser).cloned()
    }

    /// What a form of ours carries: it cannot be known without the cookie.
    pub fn csrf(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(keys::hash(format!("csrf {}", self.browser)))
    }

    /// Refuses a form that did not come from a page of this provider.
    pub fn check_csrf(&self) -> Result<()> {
        http::refuse_foreign_origin(&self.cx, &self.parts.headers)?;
        let field = self.field("csrf").unwrap_or_default();
        if !keys::same(field.as_bytes(), self.csrf().as_bytes()) {
            return Err(Error::invalid(
                "This form is older than the browser's cookie, or came from elsewhere. Go back, load the page again, and send it from there.",
            ));
        }
        Ok(())
    }

    /// Keeps a new session in this browser. The cookie's old value is worth nothing any more.
    pub fn signs_in(&self, mut response: Response, session: Session) -> Response {
        let cookie = ids::handle(self.cx.rng());
        let mut state = self.idp.state();
        state.sessions.take(self.now(), &self.browser);
        state.keep_session(self.now(), cookie.clone(), session);
        set_cookie(&mut response, &cookie);
        response
    }

    /// The same browser next time, too.
    pub fn remembered(&self, mut response: Response) -> Response {
        set_cookie(&mut response, &self.browser);
        response
    }

    /// The same address under the provider's own name, where the request used another.
    fn elsewhere(&self) -> Option<String> {
        let own = &self.cx.app.settings.public_url;
        if self.cx.request.origin == *own || self.parts.method != Method::GET {
            return None;
        }
        let query = self.parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{own}{}{query}", self.parts.uri.path()))
    }
}

/// Not Secure: the provider's own address is plain HTTP on the loopback.
fn set_cookie(response: &mut Response, value: &str) {
    let cookie = format!("{COOKIE}={value}; Path={PATH}; HttpOnly; SameSite=Lax");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
}
