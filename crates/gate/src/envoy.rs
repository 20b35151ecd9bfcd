//! Envoy's `ext_authz` v3: what it asks and is answered. The decision is that of `/check`; how messages travel is in `grpc`.

use std::collections::BTreeSet;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use cenote_verifier::{Refusal, Token};

use crate::answers::{Gate, IDENTITY, identity, named};
use crate::grpc::Code;
use crate::messages::{self, CheckRequest, CheckResponse, HttpResponse, Sent};

/// `HeaderValueOption.HeaderAppendAction`.
const OVERWRITE_IF_EXISTS_OR_ADD: i32 = 2;

pub async fn check(gate: &Gate, request: CheckRequest) -> CheckResponse {
    let attributes = request.attributes.unwrap_or_default();
    let http = attributes.request.unwrap_or_default().http.unwrap_or_default();
    let raw = http.header_map.unwrap_or_default().headers;
    let sent: Vec<(HeaderName, Bytes)> =
        http.headers.into_iter().chain(raw).filter_map(own).collect();
    let policy = attributes.context_extensions.get("policy");
    let policy = policy.map_or(gate.policy, |name| named(name));
    let scopes: Vec<&str> = attributes
        .context_extensions
        .get("scope")
        .map_or_else(Vec::new, |scopes| scopes.split_ascii_whitespace().collect());
    match gate.decide(&authorization(&sent), policy, &scopes).await {
        Ok(token) => passed(&token, &sent),
        Err(refusal) => refused(refusal),
    }
}

/// Pseudo-headers such as `:path` are no names of headers, and nothing that the gate reads.
fn own(sent: Sent) -> Option<(HeaderName, Bytes)> {
    let value = if sent.raw_value.is_empty() { sent.value } else { sent.raw_value };
    Some((HeaderName::from_bytes(&sent.key).ok()?, value))
}

fn authorization(sent: &[(HeaderName, Bytes)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in sent.iter().filter(|(name, _)| *name == header::AUTHORIZATION) {
        // One that no header can hold still counts, as a second one or as none that is understood.
        let value = HeaderValue::from_maybe_shared(value.clone());
        headers.append(name, value.unwrap_or(HeaderValue::from_static("")));
    }
    headers
}

fn passed(token: &Token, sent: &[(HeaderName, Bytes)]) -> CheckResponse {
    let told: Vec<(&str, HeaderValue)> = identity(token).collect();
    let told_name = |name: &str| told.iter().any(|(own, _)| *own == name);
    // Those that this token has nothing for, also if Envoy did not show us all that its client sent. And whatever a client made up:
    // many applications read `x_cenote_sub` as the same name.
    let made_up = sent.iter().map(|(name, _)| name.as_str());
    let made_up = made_up.filter(|name| name.replace('_', "-").starts_with("x-cenote-"));
    let remove: BTreeSet<&str> =
        IDENTITY.into_iter().chain(made_up).filter(|name| !told_name(name)).collect();
    let ok = messages::OkHttpResponse {
        headers: told.iter().filter_map(|(name, value)| option(name, value)).collect(),
        headers_to_remove: remove.into_iter().map(str::to_owned).collect(),
    };
    response(Code::Ok, "", HttpResponse::Ok(ok))
}

fn refused(refusal: Refusal) -> CheckResponse {
    let code = match refusal.status() {
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        _ => Code::Unauthenticated,
    };
    denied(code, refusal.description(), refusal.response())
}

/// A denial rather than an error of gRPC: one that is configured to let requests through on errors would let this one through,
/// and its size is the client's choice.
pub fn too_large() -> CheckResponse {
    let words = "the request has more headers or body than the gate reads";
    let body = format!(r#"{{"error":"invalid_request","error_description":"{words}"}}"#);
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    denied(Code::ResourceExhausted, words, response)
}

fn denied(code: Code, words: &str, answer: Response<String>) -> CheckResponse {
    let headers = answer.headers().iter();
    let denied = messages::DeniedHttpResponse {
        status: Some(messages::HttpStatus { code: answer.status().as_u16().into() }),
        headers: headers.filter_map(|(name, value)| option(name.as_str(), value)).collect(),
        body: answer.into_body(),
    };
    response(code, words, HttpResponse::Denied(denied))
}

fn option(name: &str, value: &HeaderValue) -> Option<messages::HeaderValueOption> {
    let value = value.to_str().ok()?.to_owned();
    Some(messages::HeaderValueOption {
        header: Some(messages::HeaderValue { key: name.to_owned(), value }),
        append: Some(false),
        append_action: OVERWRITE_IF_EXISTS_OR_ADD,
    })
}

fn response(code: Code, words: &str, answer: HttpResponse) -> CheckResponse {
    let status = messages::Status { code: code as i32, message: words.to_owned() };
    CheckResponse { status: Some(status), http_response: Some(answer) }
}
