//! The one home of pages: rendering them, their headers, and redirects. What they are made of is in `templates`.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Value, context};
use url::Url;

use super::texts::Texts;
use super::{fields, looks, texts, words};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::pool::urls;
use crate::site::Visit;
use crate::templates::Book;

/// What a page may do beyond showing itself.
#[derive(Clone, Debug, Default)]
pub struct Allow {
    /// Where its form may end besides here, as sources of a Content-Security-Policy: Chromium applies `form-action` to the redirects
    /// after a POST, too, and to those of the app after them.
    pub forms: Vec<String>,
    /// The one script that runs, ours. Templates have none.
    pub script: Option<&'static str>,
    /// What the script loads in frames.
    pub frames: Frames,
    /// The origin whose pages may show it in a frame.
    pub framed_by: Option<String>,
}

/// Addresses of others that a page loads, unseen.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    pub addresses: Vec<String>,
    /// Where the script goes on to, if the page itself does not say.
    pub next: Option<String>,
}

impl Frames {
    /// Links, of which the script makes frames, so that it learns when they are loaded. Without scripts they are frames from the beginning.
    fn html(&self) -> String {
        let escape = |text: &str| {
            text.replace('&', "&amp;")
                .replace('"', "&quot;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        let (mut links, mut frames) = (String::new(), String::new());
        for address in self.addresses.iter().map(|address| escape(address)) {
            links += &format!("<a href=\"{address}\"></a>");
            frames += &format!(
                "<iframe hidden sandbox=\"allow-scripts allow-same-origin allow-forms\" referrerpolicy=\"no-referrer\" src=\"{address}\"></iframe>"
            );
        }
        let next = self.next.as_deref().map(escape).unwrap_or_default();
        format!(
            "  <div id=\"parties\" hidden data-next=\"{next}\">{links}</div>\n  <noscript>{frames}</noscript>\n"
        )
    }

    fn policy(&self) -> String {
        let sources: BTreeSet<String> =
            self.addresses.iter().filter_map(|address| urls::csp_address(address)).collect();
        if sources.is_empty() {
            return String::new();
        }
        format!(" frame-src {};", sources.into_iter().collect::<Vec<_>>().join(" "))
    }
}

impl Allow {
    /// A form that may end at this address.
    pub fn form(target: Option<&str>) -> Allow {
        let forms = target.and_then(urls::csp_source).into_iter().collect();
        Allow { forms, ..Allow::default() }
    }
}

/// A page that sends a form to an identity provider, by itself where scripts run, and else by its button. `framed`: the provider's own
/// page may show it in a frame.
pub async fn handoff<N: AsRef<str>>(
    visit: &Visit,
    to: &str,
    fields: &[(N, String)],
    (title, text): (&str, &str),
    name: &str,
    framed: bool,
) -> Result<Response> {
    let texts = &texts::of(visit);
    let name = fields::isolated(name);
    let say = |key| texts.say(key, &[("name", name.as_str())]);
    let fields: Vec<Value> =
        fields.iter().map(|(name, value)| context! { name => name.as_ref(), value }).collect();
    let values = context! { title => say(title), text => say(text), to, fields };
    let allow = Allow {
        script: Some("document.forms[0].submit()"),
        framed_by: Url::parse(to)
            .ok()
            .filter(|_| framed)
            .map(|to| to.origin().ascii_serialization()),
        ..Allow::form(Some(to))
    };
    page(visit, "handoff.html", values, &allow).await
}

/// A page of a pool, in the visitor's language and with the looks of the client.
pub async fn page(visit: &Visit, name: &str, values: Value, allow: &Allow) -> Result<Response> {
    let book = match visit.cx.app.templates.book() {
        Ok(book) => book,
        Err(error) => return Ok(broken(&visit.cx, name, &error)),
    };
    let texts = texts::choose(&book, &visit.parts, &visit.query);
    let looks = looks::of(visit).await?;
    let languages = texts::switch(&book, &visit.query, &texts);
    let style = format!("{}\n{}", book.style(), looks.css);
    let customized = !looks.css.is_empty();
    let values = context! { style, customized, languages, logo => looks.logo, ..values };
    let mut response = render(&visit.cx, &book, &texts, name, values, allow);
    texts::remember(visit, &mut response);
    Ok(response)
}

fn render(
    cx: &Cx,
    book: &Book,
    texts: &Texts,
    name: &str,
    values: Value,
    allow: &Allow,
) -> Response {
    let mut bytes = [0; 16];
    cx.rng().fill(&mut bytes);
    let nonce = STANDARD.encode(bytes);
    let values =
        context! { nonce => nonce.as_str(), lang => texts.tag, t => texts.all(), ..values };
    let mut body = match book.render(name, values) {
        Ok(body) => body,
        Err(error) => return broken(cx, name, &Error::internal(error)),
    };
    if let Some(script) = allow.script {
        let end = body.rfind("</body>").unwrap_or(body.len());
        let frames = match allow.frames.addresses.is_empty() {
            true => String::new(),
            false => allow.frames.html(),
        };
        body.insert_str(end, &format!("{frames}  <script nonce=\"{nonce}\">{script}</script>\n"));
    }
    let mut response = Response::new(Body::from(body));
    harden(cx, &mut response, &nonce, allow);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_LANGUAGE, HeaderValue::from_static(texts.tag));
    response
}

/// A template cannot be shown. A developer who is editing it is told why.
fn broken(cx: &Cx, name: &str, error: &Error) -> Response {
    http::log(cx, "hosted", name, Some(error));
    let text = match error.kind {
        Kind::Internal => "Something went wrong".to_owned(),
        _ => error.message.to_string(),
    };
    plain(cx, StatusCode::INTERNAL_SERVER_ERROR, text)
}

/// What went wrong, as a page. Internal causes stay in the log.
pub fn failure(cx: &Cx, parts: &Parts, error: &Error) -> Response {
    let status = match error.kind {
        Kind::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::ResourceNotFound => StatusCode::NOT_FOUND,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TooManyRequests | Kind::Conflict => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let book = match cx.app.templates.book() {
        Ok(book) => book,
        Err(error) => return broken(cx, "error.html", &error),
    };
    let texts = texts::of_parts(&book, parts);
    let say = |key| texts.say(key, &[]);
    let (title, hint) = if status == StatusCode::TOO_MANY_REQUESTS {
        (say("busy_title"), say("busy_hint"))
    } else {
        // What only a developer or an operator can mend is said in the house's own words, and may repeat the name of a parameter.
        let hint = match error.kind {
            Kind::ServiceUnavailable | Kind::Internal => words::say(&texts, error),
            _ => error.message.chars().filter(|c| !fields::is_hidden(*c)).collect(),
        };
        (say("error_title"), hint)
    };
    let values = context! {
        title,
        hint,
        style => book.style(),
        customized => false,
        languages => (),
        logo => (),
    };
    let mut response = render(cx, &book, &texts, "error.html", values, &Allow::default());
    *response.status_mut() = status;
    if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

/// 302, as Cognito redirects.
pub fn see(location: &str) -> Response {
    redirect(StatusCode::FOUND, location)
}

/// 303: what follows is a GET.
pub fn see_other(location: &str) -> Response {
    redirect(StatusCode::SEE_OTHER, location)
}

/// To `/error?error=..&client_id=..`, where the browser of a Cognito user ends too.
pub fn to_error(visit: &Visit, error: &str, client_id: &str) -> Response {
    let mut query = visit.query.only(&[]);
    query.set("error", error);
    query.set("client_id", &client_id.chars().take(128).collect::<String>());
    see(&visit.page("/error", &query))
}

/// `/error?<original query>`, where Cognito sends a sign-out that cannot go on. The reason is logged.
pub fn logout_error(visit: &Visit, reason: &str) -> String {
    tracing::info!(request_id = %visit.cx.request.id, reason, "a sign-out request was refused");
    let mut query = visit.query.only(&[
        "client_id",
        "logout_uri",
        "post_logout_redirect_uri",
        "redirect_uri",
        "response_type",
        "scope",
    ]);
    if visit.query.get("id_token_hint").is_some() {
        // Not the token itself: it names a user.
        query.set("id_token_hint", "present");
    }
    visit.page("/error", &query)
}

/// Names the sign-out that this answer follows, where something has ended.
pub fn name_signout(cx: &Cx, response: &mut Response) {
    if let Some(signout) = cx.reply().signout {
        let name = HeaderName::from_static("x-cenote-signout");
        http::insert(response.headers_mut(), name, &signout);
    }
}

fn redirect(status: StatusCode, location: &str) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    match HeaderValue::from_str(location) {
        Ok(location) if location.to_str().is_ok() => {
            response.headers_mut().insert(header::LOCATION, location);
        }
        // Never filtered: an address with characters taken out is another address.
        _ => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    no_store(&mut response);
    response
}

fn plain(cx: &Cx, status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    harden(cx, &mut response, "none", &Allow::default());
    response
}

fn harden(cx: &Cx, response: &mut Response, nonce: &str, allow: &Allow) {
    let forms: String = allow.forms.iter().map(|source| format!(" {source}")).collect();
    let script = match allow.script {
        Some(_) => format!(" script-src 'nonce-{nonce}';"),
        None => String::new(),
    };
    let frames = allow.frames.policy();
    let framed_by = allow.framed_by.as_deref().unwrap_or("'none'");
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}';{script}{frames} img-src 'self' data:; form-action 'self'{forms}; frame-ancestors {framed_by}; \
         base-uri 'none'"
    );
    let headers = response.headers_mut();
    http::insert(headers, header::CONTENT_SECURITY_POLICY, &policy);
    http::insert(headers, HeaderName::from_static("x-amz-cognito-request-id"), &cx.request.id);
    if allow.framed_by.is_none() {
        headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(
        HeaderName::from_static("x-xss-protection"),
        HeaderValue::from_static("1; mode=block"),
    );
    if cx.request.origin.starts_with("https://") && !cx.app.settings.dev {
        headers.insert(
            header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000 ; includeSubDomains"),
        );
    }
    no_store(response);
}

fn no_store(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("no-cache, no-store, max-age=0, must-revalidate"),
    );
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::EXPIRES, HeaderValue::from_static("0"));
}
