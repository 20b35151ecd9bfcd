//! gRPC as far as one unary method needs it: a message with five bytes before it in each direction, the status behind it in trailers.
//! Only HTTP/2 without TLS, as a proxy beside us speaks it.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use axum::routing::post;
use bytes::{Buf as _, Bytes};
use http_body_util::{BodyExt as _, Full};
use prost::Message;

use crate::answers::Gate;
use crate::envoy;
use crate::messages::CheckRequest;

/// Envoy's own limit on the headers of a request is 60 KiB; bodies are better not sent to us.
const MAX_MESSAGE: usize = 1 << 20;
/// Until a message is there.
const PATIENCE: Duration = Duration::from_secs(10);
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Those of gRPC's status codes that are used here, and in `google.rpc.Status`.
#[derive(Clone, Copy)]
pub enum Code {
    Ok = 0,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
    Unauthenticated = 16,
}

pub fn routes(gate: Arc<Gate>) -> Router {
    Router::new()
        .route("/envoy.service.auth.v3.Authorization/Check", post(check))
        .fallback(async || {
            failed(
                Code::Unimplemented,
                "only envoy.service.auth.v3.Authorization/Check is served here",
            )
        })
        .with_state(gate)
}

async fn check(State(gate): State<Arc<Gate>>, request: Request) -> Response<Body> {
    if !is_grpc(request.headers()) {
        let mut response =
            Response::new(Body::from("this address speaks gRPC; /check is elsewhere\n"));
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let read = tokio::time::timeout(PATIENCE, read(request.into_body())).await;
    let answer = match read.unwrap_or(Err(Unread::Slow)).and_then(decode) {
        Ok(question) => envoy::check(&gate, question).await,
        Err(Unread::TooLarge) => envoy::too_large(),
        Err(Unread::Slow) => return failed(Code::DeadlineExceeded, "the message did not come"),
        Err(Unread::Compressed) => {
            return failed(Code::Unimplemented, "compressed messages are not read");
        }
        Err(Unread::Wrong) => {
            return failed(Code::InvalidArgument, "the message is no CheckRequest");
        }
    };
    answered(&answer)
}

/// `application/grpc`, perhaps with `+proto`. Not `application/grpc-web`.
fn is_grpc(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let rest = value.strip_prefix("application/grpc");
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("+proto") || rest.starts_with(';'))
}

enum Unread {
    TooLarge,
    Compressed,
    Slow,
    Wrong,
}

/// What is too large is read to its end but not kept: who is answered while it still writes may take that for an error.
async fn read(mut body: Body) -> Result<Bytes, Unread> {
    let (mut kept, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Unread::Wrong)?.into_data() else { continue };
        length = length.saturating_add(data.len());
        match length <= MAX_MESSAGE {
            true => kept.extend_from_slice(&data),
            false => kept.clear(),
        }
    }
    if length <= MAX_MESSAGE { Ok(kept.into()) } else { Err(Unread::TooLarge) }
}

fn decode(mut bytes: Bytes) -> Result<CheckRequest, Unread> {
    let compressed = bytes.try_get_u8().map_err(|_| Unread::Wrong)?;
    let length = bytes.try_get_u32().map_err(|_| Unread::Wrong)?;
    match compressed {
        0 if usize::try_from(length) == Ok(bytes.len()) => {
            CheckRequest::decode(bytes).map_err(|_| Unread::Wrong)
        }
        1 => Err(Unread::Compressed),
        _ => Err(Unread::Wrong),
    }
}

fn answered(message: &impl Message) -> Response<Body> {
    let length = message.encoded_len();
    let mut bytes = Vec::with_capacity(5 + length);
    bytes.push(0);
    // What is answered is far shorter than four gigabytes.
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    bytes.extend_from_slice(&message.encode_to_vec());
    let trailers = HeaderMap::from_iter([(STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(bytes)).with_trailers(async { Some(Ok(trailers)) });
    grpc(Body::new(body))
}

/// An answer that is nothing but its trailers, which then are its headers.
fn failed(code: Code, words: &'static str) -> Response<Body> {
    let mut response = grpc(Body::empty());
    let headers = response.headers_mut();
    headers.insert(STATUS, HeaderValue::from(code as i32));
    headers.insert(HeaderName::from_static("grpc-message"), HeaderValue::from_static(words));
    if matches!(code, Code::Unimplemented) {
        let identity = HeaderValue::from_static("identity");
        headers.insert(HeaderName::from_static("grpc-accept-encoding"), identity);
    }
    response
}

fn grpc(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let content_type = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
