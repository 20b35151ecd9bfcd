//! `GET /{pool}/revocations/delta`: the records after a number as soon as there are any, else a heartbeat; signed for this very request.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::response::Response;

use super::access::Credential;
use super::acknowledge::acknowledge;
use super::answer::Refused;
use super::asked::Asked;
use super::{access, answer, reader};
use crate::cx::{App, Cx};
use crate::feeds::How;
use crate::http;

pub async fn get(
    State(app): State<Arc<App>>,
    Path(pool_id): Path<String>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let cx = http::cx(app, &parts);
    let answer = delta(&cx, &pool_id, &parts).await;
    answer::write(&cx, "delta", answer)
}

async fn delta(cx: &Cx, pool_id: &str, parts: &Parts) -> Result<Response, Refused> {
    let owner = access::admit(cx, pool_id, Credential::of(cx, parts).as_ref()).await?;
    let asked = Asked::parse(parts.uri.query().unwrap_or_default(), None)?;
    let nonce = asked.nonce()?;
    let hub = cx.app.feeds.hub(pool_id);
    super::acknowledge::admit(cx, &hub, &owner, &asked.consumer).await?;
    let _place = reader::follow(&cx.app, &hub, How::Waiting)?;
    #[allow(clippy::disallowed_methods, reason = "how long the caller wants to wait")]
    let patience = tokio::time::sleep(Duration::from_millis(asked.wait_ms));
    tokio::pin!(patience);

    let mut moves = hub.moves();
    let (mut head, mut late) = reader::fresh(&hub).await?;
    reader::check(&head, &asked.incarnation, asked.since)?;
    acknowledge(&cx.app, &hub, asked.said(owner, cx.now));
    while late || head.last == asked.since {
        tokio::select! {
            _ = moves.changed() => {}
            () = &mut patience => break,
        }
        (head, late) = reader::last(&hub)?;
        reader::check(&head, &asked.incarnation, asked.since)?;
    }
    if late {
        return Err(reader::late());
    }
    // The moment of the answer.
    let mut cx = cx.clone();
    cx.now = cx.app.clock.now_ms();
    let span = reader::span(&cx, &hub, &head, asked.since).await?;
    let frame = reader::sign(&cx, &hub, &head, Some(nonce), &span).await?;
    Ok(answer::ok("application/revfeed+jwt", "no-store", Body::from(frame)))
}
