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
use crate::feeds::{How, Hub};
use crate::http;
use crate::store::feed::{self, Head};

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
    let asked = Asked::parse(parts.uri.query().unwrap_or_default(), None);
    let consumer = asked.as_ref().map_or("", |asked| &asked.consumer);
    let credential = Credential::of(cx, parts);
    let owner = match access::admit(cx, pool_id, credential.as_ref(), consumer).await {
        Err(Refused::NoPool) => return farewell(cx, pool_id, asked).await,
        admitted => admitted?,
    };
    let asked = asked?;
    let nonce = asked.nonce()?;
    let hub = cx.app.feeds.hub(pool_id);
    let is_new = super::acknowledge::admit(cx, &hub, &owner, &asked.consumer).await?;
    let _place = reader::follow(&cx.app, &hub, How::Waiting, &owner, &asked.consumer)?;
    #[allow(clippy::disallowed_methods, reason = "how long the caller wants to wait")]
    let patience = tokio::time::sleep(Duration::from_millis(asked.wait_ms));
    tokio::pin!(patience);

    let mut moves = hub.moves();
    let (mut head, mut late) = reader::fresh(&hub).await?;
    reader::check(&head, &asked.incarnation, asked.since)?;
    acknowledge(cx, &hub, asked.said(owner, cx.now), is_new).await?;
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
    frame(cx, &hub, &head, asked.since, nonce).await
}

async fn frame(
    cx: &Cx,
    hub: &Hub,
    head: &Head,
    since: i64,
    nonce: &str,
) -> Result<Response, Refused> {
    // The moment of the answer.
    let mut cx = cx.clone();
    cx.now = cx.app.clock.now_ms();
    let span = reader::span(&cx, hub, head, since).await?;
    let frame = reader::sign(&cx, hub, head, Some(nonce), &span).await?;
    Ok(answer::ok("application/revfeed+jwt", "no-store", Body::from(frame)))
}

/// Of a pool that is gone no token can be shown any more: its app clients went with it. But its feed ends with the record that ends all
/// of its tokens, and whoever followed until then must learn of it. Such a one names the incarnation, 16 random bytes that were told
/// only to those who were let in.
async fn farewell(
    cx: &Cx,
    pool_id: &str,
    asked: Result<Asked, Refused>,
) -> Result<Response, Refused> {
    cx.admit_consumer(pool_id, "", "")?;
    let Some((head, waiting)) = feed::look(cx.db(), pool_id).await? else {
        return Err(Refused::NoPool);
    };
    let asked = asked?;
    let nonce = asked.nonce()?;
    if head.incarnation != asked.incarnation || asked.since < head.base {
        return Err(Refused::NoPool);
    }
    if waiting.is_some() {
        cx.app.wakes.sequence.notify_one();
        return Err(reader::late());
    }
    // Who knows how it ended need not ask again.
    if asked.since >= head.last {
        return Err(Refused::NoPool);
    }
    frame(cx, &cx.app.feeds.hub(pool_id), &head, asked.since, nonce).await
}
