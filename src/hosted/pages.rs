//! The one home of templates, of the headers of pages, and of redirects.

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::value::Kwargs;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value, context};

use super::texts::{self, Texts};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::pool::urls;
use crate::site::Visit;

static TEMPLATES: LazyLock<std::result::Result<Environment<'static>, minijinja::Error>> =
    LazyLock::new(|| {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.set_formatter(escape);
        // `{{ t.continue_as|fill(name=name) }}`
        templates.add_filter("fill", |text: String, names: Kwargs| {
            let mut pairs = Vec::new();
            for name in names.args() {
                pairs.push((name, names.get::<String>(name)?));
            }
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            Ok::<_, minijinja::Error>(texts::fill(&text, &pairs))
        });
        for (name, text) in [
            ("base.html", include_str!("templates/base.html")),
            ("confirm.html", include_str!("templates/confirm.html")),
            ("forgot.html", include_str!("templates/forgot.html")),
            ("message.html", include_str!("templates/message.html")),
            ("resend.html", include_str!("templates/resend.html")),
            ("reset.html", include_str!("templates/reset.html")),
            ("second-choice.html", include_str!("templates/second-choice.html")),
            ("second-code.html", include_str!("templates/second-code.html")),
            ("second-email.html", include_str!("templates/second-email.html")),
            ("second-setup.html", include_str!("templates/second-setup.html")),
            ("signup.html", include_str!("templates/signup.html")),
            ("field.html", include_str!("templates/field.html")),
            ("new-password.html", include_str!("templates/new-password.html")),
            ("login.html", include_str!("templates/login.html")),
            ("continue.html", include_str!("templates/continue.html")),
            ("error.html", include_str!("templates/error.html")),
        ] {
            templates.add_template(name, text)?;
        }
        Ok(templates)
    });

/// The five characters that mean something in HTML. The library's own formatter also escapes slashes, which scripts that read a form's
/// `action` without a parser stumble over.
fn escape(
    out: &mut minijinja::Output<'_>,
    state: &mut minijinja::State<'_, '_>,
    value: &Value,
) -> std::result::Result<(), minijinja::Error> {
    match value.as_str() {
        Some(text) if !value.is_safe() && matches!(state.auto_escape(), AutoEscape::Html) => {
            for part in text.split_inclusive(['&', '<', '>', '"', '\'']) {
                let end = part.len() - part.chars().next_back().map_or(0, char::len_utf8);
                let (plain, last) = part.split_at_checked(end).unwrap_or((part, ""));
                let escaped = match last {
                    "&" => "&amp;",
                    "<" => "&lt;",
                    ">" => "&gt;",
                    "\"" => "&quot;",
                    "'" => "&#39;",
                    other => other,
                };
                out.write_str(plain)?;
                out.write_str(escaped)?;
            }
            Ok(())
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

const STYLE: &str = include_str!("templates/style.css");

/// A page of a pool, in the visitor's language. `target` is the redirect URI that its form may end at: Chromium applies `form-action`
/// to the redirect after a POST, too.
pub async fn page(
    visit: &Visit,
    name: &str,
    values: Value,
    target: Option<&str>,
) -> Result<Response> {
    Ok(render(&visit.cx, texts::of(visit), name, values, target))
}

fn render(
    cx: &Cx,
    texts: &'static Texts,
    name: &str,
    values: Value,
    target: Option<&str>,
) -> Response {
    let mut bytes = [0; 16];
    cx.rng().fill(&mut bytes);
    let nonce = STANDARD.encode(bytes);
    let rendered = TEMPLATES.as_ref().map_err(Error::internal).and_then(|templates| {
        let template = templates.get_template(name).map_err(Error::internal)?;
        template
            .render(context! { style => STYLE, nonce => nonce.as_str(), lang => texts.tag, t => texts.all(), ..values })
            .map_err(Error::internal)
    });
    let body = match rendered {
        Ok(body) => body,
        Err(error) => {
            http::log(cx, "hosted", name, Some(&error));
            return plain(cx, StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong");
        }
    };
    let mut response = Response::new(Body::from(body));
    harden(cx, &mut response, &nonce, target);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// What went wrong, as a page. Internal causes stay in the log.
pub fn failure(cx: &Cx, error: &Error) -> Response {
    let status = match error.kind {
        Kind::ServiceUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        Kind::ResourceNotFound => StatusCode::NOT_FOUND,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::RequestEntityTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::TooManyRequests | Kind::Conflict => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::BAD_REQUEST,
    };
    let texts = texts::english();
    let values = if status == StatusCode::TOO_MANY_REQUESTS {
        let say = |key| texts.say(key, &[]);
        context! { title => say("busy_title"), hint => say("busy_hint") }
    } else {
        context! { title => texts.say("error_title", &[]), hint => error.message.as_ref() }
    };
    let mut response = render(cx, texts, "error.html", values, None);
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

/// To `/error?<original query>`, as Cognito does for a sign-out that cannot go on. The reason is logged.
pub fn to_logout_error(visit: &Visit, reason: &str) -> Response {
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
    see(&visit.page("/error", &query))
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

fn plain(cx: &Cx, status: StatusCode, text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    harden(cx, &mut response, "none", None);
    response
}

fn harden(cx: &Cx, response: &mut Response, nonce: &str, target: Option<&str>) {
    let target =
        target.and_then(urls::csp_source).map(|source| format!(" {source}")).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; img-src 'self' data:; form-action 'self'{target}; frame-ancestors 'none'; base-uri 'none'"
    );
    let headers = response.headers_mut();
    http::insert(headers, header::CONTENT_SECURITY_POLICY, &policy);
    http::insert(headers, HeaderName::from_static("x-amz-cognito-request-id"), &cx.request.id);
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
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
