//! `GET /dev/outbox?to=ADDRESS` (and `pool=ID`, to see those of one pool): the mail and text messages that a production server would have sent, with the codes in them.
//! Dev only, for programs as JSON and for people as a page. It shows secrets, so web pages of other origins must not read it: no
//! CORS headers, no foreign origins, only this machine's names.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::notify::{self, escape};
use crate::store::jobs::{self, Message};

/// The look is the sample app's.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The newest of them; a developer looks for the last.
const SHOWN: i64 = 100;

pub async fn get(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let query = parts.uri.query().unwrap_or_default();
    let asked = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let (to, pool) = (asked("to"), asked("pool"));
    let accept =
        parts.headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let as_json = accept.contains("application/json");

    let messages = match allowed(&cx, &parts.headers) {
        Ok(()) => list(&cx, to.as_deref(), pool.as_deref()).await,
        Err(error) => Err(error),
    };
    http::log(&cx, "dev", "outbox", messages.as_ref().err());
    match messages {
        Ok(messages) if as_json => {
            answer(StatusCode::OK, "application/json", json!({ "messages": messages }).to_string())
        }
        Ok(messages) => {
            answer(StatusCode::OK, "text/html; charset=utf-8", page(&cx, &messages, to.as_deref()))
        }
        Err(error) => {
            // The JSON door has its own statuses; this is plain HTTP.
            let status = match error.kind {
                Kind::Forbidden => StatusCode::FORBIDDEN,
                kind => StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::BAD_REQUEST),
            };
            answer(status, "application/json", json!({ "message": error.message }).to_string())
        }
    }
}

fn allowed(cx: &Cx, headers: &axum::http::HeaderMap) -> Result<()> {
    if !cx.app.settings.dev || !http::is_dev_host(cx) {
        return Err(Error::new(
            Kind::Forbidden,
            "The outbox is served by cenote dev, under names of this machine only.",
        ));
    }
    http::refuse_foreign_origin(cx, headers)
}

async fn list(cx: &Cx, to: Option<&str>, pool: Option<&str>) -> Result<Vec<Value>> {
    jobs::outbox(cx.db(), to, pool, SHOWN).await?.iter().map(|message| show(cx, message)).collect()
}

fn show(cx: &Cx, message: &Message) -> Result<Value> {
    let body = notify::body(cx, message)?;
    let (text, code) = body.map(|body| (body.text, body.code)).unwrap_or_default();
    Ok(json!({
        "id": message.id,
        "pool": message.pool_id,
        "channel": message.channel,
        "to": message.address,
        "subject": message.subject,
        "body": text,
        "code": code,
        "created_at": message.created_ms as f64 / 1000.0,
    }))
}

fn page(cx: &Cx, messages: &[Value], to: Option<&str>) -> String {
    let text = |message: &Value, member: &str| {
        escape(message.get(member).and_then(Value::as_str).unwrap_or_default())
    };
    let mut rows = String::new();
    for message in messages {
        let created = message.get("created_at").and_then(Value::as_f64).unwrap_or_default();
        let code = match text(message, "code") {
            code if code.is_empty() => code,
            code => format!("<p>Code: <code class=\"big\">{code}</code></p>"),
        };
        rows.push_str(&format!(
            "<article class=\"card\"><h2>{subject}</h2><p>{channel} to <strong>{to}</strong>, {ago}, pool {pool}</p>{code}<pre>{body}</pre></article>\n",
            subject = text(message, "subject"),
            channel = text(message, "channel"),
            to = text(message, "to"),
            ago = ago(cx.now as f64 / 1000.0 - created),
            pool = text(message, "pool"),
            body = text(message, "body"),
        ));
    }
    if rows.is_empty() {
        rows.push_str("<p>No messages yet.</p>\n");
    }
    let whom = to.map(|to| format!(" to {}", escape(to))).unwrap_or_default();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>Outbox</title><link rel=\"icon\" href=\"/sample/icon.svg\" type=\"image/svg+xml\"><link rel=\"stylesheet\" href=\"/sample/style.css\"></head>\n\
         <body><main id=\"outbox\"><h1>Messages{whom}, newest first</h1>\n\
         <p>What a production server would have sent. <a href=\"\">Look again</a></p>\n{rows}</main></body></html>\n"
    )
}

fn ago(secs: f64) -> String {
    let (number, unit) = match secs.max(0.0) {
        secs if secs < 90.0 => (secs, "s"),
        secs if secs < 5_400.0 => (secs / 60.0, "min"),
        secs if secs < 129_600.0 => (secs / 3_600.0, "h"),
        secs => (secs / 86_400.0, "days"),
    };
    format!("{number:.0} {unit} ago")
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
