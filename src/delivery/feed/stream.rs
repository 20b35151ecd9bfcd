//! `GET /{pool}/revocations/stream`: the same frames as server-sent events, without a nonce: each is signed once, for all who are up to
//! date. Who is behind gets what it lacks in frames of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use hyper::body::Frame;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::timeout;

use super::access::Credential;
use super::acknowledge::acknowledge;
use super::answer::Refused;
use super::asked::Asked;
use super::{access, answer, reader};
use crate::cx::{App, Cx};
use crate::error::Result;
use crate::feeds::{How, Hub, Place, Told};
use crate::http;

/// Events that wait for a slow reader.
const BUFFERED: usize = 16;
/// A reader that takes nothing for so long is dropped.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// How often it is asked whether the stream's token, or certificate, lives.
const CHECK_EVERY: Duration = Duration::from_secs(15);

pub async fn get(
    State(app): State<Arc<App>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let answer = open(&cx, &pool_id, &parts).await;
    answer::write(&cx, "stream", answer)
}

async fn open(cx: &Cx, pool_id: &str, parts: &Parts) -> Result<Response, Refused> {
    let credential = Credential::of(cx, parts);
    let resume = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let asked = Asked::parse(parts.uri.query().unwrap_or_default(), resume);
    let consumer = asked.as_ref().map_or("", |asked| &asked.consumer);
    let owner = access::admit(cx, pool_id, credential.as_ref(), consumer).await?;
    let asked = asked?;
    let hub = cx.app.feeds.hub(pool_id);
    let is_new = super::acknowledge::admit(cx, &hub, &owner, &asked.consumer).await?;
    let place = reader::follow(&cx.app, &hub, How::Streaming, &owner, &asked.consumer)?;
    // From here on nothing is missed.
    let frames = hub.frames();
    let (head, _) = reader::fresh(&hub).await?;
    reader::check(&head, &asked.incarnation, asked.since)?;
    acknowledge(cx, &hub, asked.said(owner, cx.now), is_new).await?;
    let (out, body) = mpsc::channel(BUFFERED);
    let stream = Stream {
        cx: cx.clone(),
        hub,
        credential,
        incarnation: asked.incarnation,
        at: asked.since,
        out,
        _place: place,
    };
    tokio::spawn(stream.run(frames));
    let mut response = answer::ok("text/event-stream", "no-store", Body::new(Events(body)));
    // nginx would keep events back.
    let name = HeaderName::from_static("x-accel-buffering");
    response.headers_mut().insert(name, HeaderValue::from_static("no"));
    Ok(response)
}

struct Stream {
    cx: Cx,
    hub: Arc<Hub>,
    credential: Option<Credential>,
    incarnation: String,
    /// The number up to which it was sent everything.
    at: i64,
    out: mpsc::Sender<Bytes>,
    _place: Place,
}

/// The stream is over.
struct Over;

impl Stream {
    async fn run(mut self, mut frames: broadcast::Receiver<Told>) {
        // The first event comes at once: the reader knows that it is connected.
        if self.catch_up(true).await.is_err() {
            return;
        }
        #[allow(clippy::disallowed_methods, reason = "how often a stream's token is looked at")]
        let mut checks = tokio::time::interval(CHECK_EVERY);
        checks.tick().await;
        loop {
            let next = tokio::select! {
                told = frames.recv() => self.told(told).await,
                () = self.out.closed() => return,
                _ = checks.tick() => self.check().await,
            };
            if next.is_err() {
                return;
            }
        }
    }

    async fn told(&mut self, told: Result<Told, RecvError>) -> Result<(), Over> {
        match told {
            Ok(Told::Frame { incarnation, .. }) if *incarnation != *self.incarnation => {
                self.snapshot_required().await
            }
            Ok(Told::Frame { from, to, event, .. }) if from == self.at => {
                self.at = to;
                self.send(event).await
            }
            // It has these already.
            Ok(Told::Frame { to, .. }) if to <= self.at => Ok(()),
            Ok(Told::Frame { .. }) | Err(RecvError::Lagged(_)) => self.catch_up(false).await,
            Ok(Told::Stopping) | Err(RecvError::Closed) => Err(Over),
        }
    }

    /// Sends what this reader lacks; with `greet` at least a heartbeat.
    async fn catch_up(&mut self, mut greet: bool) -> Result<(), Over> {
        loop {
            let cx = self.now();
            // While nothing can be called fresh nothing is said.
            let Ok((head, false)) = reader::last(&self.hub) else { return Ok(()) };
            if !greet && head.incarnation == self.incarnation && self.at == head.last {
                return Ok(());
            }
            let span = match reader::check(&head, &self.incarnation, self.at) {
                Ok(()) => reader::span(&cx, &self.hub, &head, self.at).await,
                Err(refused) => Err(refused),
            };
            let span = match span {
                Ok(span) => span,
                Err(Refused::SnapshotRequired(_)) => return self.snapshot_required().await,
                Err(_) => return Err(Over),
            };
            let frame = reader::sign(&cx, &self.hub, &head, None, &span).await;
            let Ok(frame) = frame else { return Err(Over) };
            self.at = span.to;
            greet = false;
            self.send(reader::event(&self.incarnation, span.to, &frame)).await?;
        }
    }

    async fn snapshot_required(&mut self) -> Result<(), Over> {
        let event = Bytes::from_static(b"event: snapshot_required\ndata: {}\n\n");
        self.send(event).await?;
        Err(Over)
    }

    async fn send(&self, event: Bytes) -> Result<(), Over> {
        match timeout(READ_WITHIN, self.out.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over),
            Err(_) => {
                tracing::info!(request_id = %self.cx.request.id, "a stream of the revocation feed was dropped: nobody reads it");
                Err(Over)
            }
        }
    }

    /// A stream ends with its token or certificate: then its reader comes with another, if it still may.
    async fn check(&self) -> Result<(), Over> {
        match access::check(&self.now(), &self.hub.pool_id, self.credential.as_ref()).await {
            // The database is away: until it is back nothing is said anyway.
            Ok(_) | Err(Refused::Other(_)) => Ok(()),
            Err(_) => Err(Over),
        }
    }

    fn now(&self) -> Cx {
        let mut cx = self.cx.clone();
        cx.now = cx.app.clock.now_ms();
        cx
    }
}

/// The events as a body.
struct Events(mpsc::Receiver<Bytes>);

impl HttpBody for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.0.poll_recv(context).map(|event| event.map(|event| Ok(Frame::data(event))))
    }
}
