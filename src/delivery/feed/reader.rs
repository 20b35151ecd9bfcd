//! Reading a pool's head for all who follow it here: at once when somebody comes or something was numbered, and every 50 to 200 ms for
//! what other servers did. Streams get their frames from here, each signed once.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use tokio::time::{Instant, timeout};

use super::answer::Refused;
use super::{frame, keys};
use crate::ambient::Ms;
use crate::cx::{App, Cx};
use crate::error::{Error, Result};
use crate::feeds::{Full, How, Hub, Place, Reader, Round, Span, Told, What};
use crate::ids;
use crate::pool::feed::{Chain, genesis};
use crate::store::Batch;
use crate::store::feed::{self, Head};

/// A record that has no number for so long: nothing is called fresh until it has.
const LATE: Duration = Duration::from_millis(250);
const LATE_MS: Ms = 250;
/// The database has so long to answer.
const READ_WITHIN: Duration = Duration::from_secs(2);
/// How long somebody waits for a read that began after the request.
const FRESH_WITHIN: Duration = Duration::from_secs(3);
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// A place among those who follow, with somebody who reads for them.
pub fn follow(
    app: &Arc<App>,
    hub: &Arc<Hub>,
    how: How,
    owner: &str,
    consumer: &str,
) -> Result<Place, Refused> {
    let start = |reader| {
        tokio::spawn(read(app.clone(), reader));
    };
    let who = (owner.to_owned(), consumer.to_owned());
    hub.enter(how, who, start).map_err(|full| {
        Refused::TooMany(match (full, how) {
            (Full::Pool, How::Waiting) => "Too many requests wait for this feed at this server.",
            (Full::Pool, How::Streaming) => {
                "Too many streams of this feed are open at this server. Use delta, or another server."
            }
            (Full::Consumer, How::Waiting) => {
                "Too many requests of this consumer wait. One at a time is enough; give each process a name of its own."
            }
            (Full::Consumer, How::Streaming) => {
                "Too many streams of this consumer are open. One is enough; give each process a name of its own."
            }
        })
    })
}

/// What a read said that began after this call.
pub async fn fresh(hub: &Hub) -> Result<(Arc<Head>, bool), Refused> {
    let before = hub.begun();
    let mut rounds = hub.rounds();
    hub.look();
    match timeout(FRESH_WITHIN, rounds.wait_for(|round| round.n > before)).await {
        Ok(Ok(round)) => seen(&round),
        _ => Err(away()),
    }
}

/// What the last read said.
pub fn last(hub: &Hub) -> Result<(Arc<Head>, bool), Refused> {
    seen(&hub.rounds().borrow())
}

fn seen(round: &Round) -> Result<(Arc<Head>, bool), Refused> {
    match &round.what {
        What::Seen { head, late } => Ok((head.clone(), *late)),
        What::Failed => Err(away()),
        What::Stopping => Err(Refused::Again("This server stops. Ask again: another one answers.")),
    }
}

fn away() -> Refused {
    Refused::Away("The database does not answer, so nothing can be said that is fresh.")
}

pub fn late() -> Refused {
    Refused::Again(
        "A record of a sign-out waits for its number, so nothing can be said that is fresh.",
    )
}

/// The head of a pool's feed, made where there is none.
pub async fn head(cx: &Cx, pool_id: &str) -> Result<Head> {
    if let Some(head) = feed::head(cx.db(), pool_id).await? {
        return Ok(head);
    }
    let mut batch = Batch::new();
    let head = Head::new(pool_id, ids::incarnation(cx.rng()));
    feed::insert_head(&mut batch, pool_id, &head, cx.now);
    match cx.db().commit(batch).await {
        Err(error) if error.is_conflict() => {
            feed::head(cx.db(), pool_id).await?.ok_or_else(Error::conflict)
        }
        done => done.map(|()| head),
    }
}

/// The records after `since`, at most as many as a frame holds. All who are at `since` share it.
pub async fn span(cx: &Cx, hub: &Hub, head: &Head, since: i64) -> Result<Arc<Span>, Refused> {
    check(head, &head.incarnation, since)?;
    let upto = head.last.min(since + frame::MOST);
    let name = (head.chain, since, upto);
    hub.spans.get_or_insert_async(&name, load(cx, hub, head, since, upto)).await
}

async fn load(
    cx: &Cx,
    hub: &Hub,
    head: &Head,
    since: i64,
    upto: i64,
) -> Result<Arc<Span>, Refused> {
    let before = chain_at(cx, &hub.pool_id, head, since).await?;
    let records = feed::after(cx.db(), &hub.pool_id, since, upto, frame::MOST).await?;
    let whole = records.iter().map(|(seq, ..)| *seq).eq(since + 1..=upto);
    let before = before.filter(|_| whole).ok_or(Refused::SnapshotRequired(
        "The records after this number are forgotten, because nothing that they concern lives. Fetch the snapshot.",
    ))?;
    let records: Vec<_> = records.into_iter().map(|(_, entry, chain)| (entry, chain)).collect();
    Ok(Arc::new(frame::span(since, &before, &records)))
}

/// The chain at a number; `None` if the feed has no such number, or has forgotten it.
pub async fn chain_at(cx: &Cx, pool_id: &str, head: &Head, seq: i64) -> Result<Option<Chain>> {
    if seq == head.last {
        Ok(Some(head.chain))
    } else if seq == head.base {
        Ok(Some(genesis(pool_id, &head.incarnation)))
    } else if seq > head.last {
        Ok(None)
    } else {
        feed::chain_at(cx.db(), pool_id, seq).await
    }
}

/// Whether somebody who is at `since` of this incarnation can go on from there.
pub fn check(head: &Head, incarnation: &str, since: i64) -> Result<(), Refused> {
    if head.incarnation != incarnation {
        return Err(Refused::SnapshotRequired(
            "This feed began anew, as after a restore of the database. Fetch the snapshot and keep what you have.",
        ));
    }
    if since > head.last || since < head.base {
        return Err(Refused::SnapshotRequired(
            "This feed has no such number. Fetch the snapshot and keep what you have.",
        ));
    }
    Ok(())
}

/// A frame, signed.
pub async fn sign(
    cx: &Cx,
    hub: &Hub,
    head: &Head,
    nonce: Option<&str>,
    span: &Span,
) -> Result<String> {
    let signer = keys::signer(cx, &hub.pool_id, head).await?;
    let payload = frame::payload(&hub.pool_id, &head.incarnation, cx.now, nonce, span);
    cx.app.meters.framed(match (nonce, span.from == span.to) {
        (Some(_), false) => "delta",
        (Some(_), true) => "heartbeat",
        (None, false) => "stream",
        (None, true) => "stream_heartbeat",
    });
    Ok(signer.key.sign(frame::FRAME, &payload))
}

/// A frame as an event of a stream.
pub fn event(incarnation: &str, to: i64, frame: &str) -> Bytes {
    format!("id: {incarnation}.{to}\nevent: frame\ndata: {frame}\n\n").into()
}

/// Reads as long as anybody follows.
async fn read(app: Arc<App>, mut reader: Reader) {
    let hub = reader.hub.clone();
    let mut longest = Longest::default();
    let mut streams = Streams::default();
    while let Some(streaming) = reader.goes_on() {
        let cx = Cx::system(app.clone());
        let n = reader.begin();
        let what = match timeout(READ_WITHIN, look(&cx, &hub.pool_id, &mut longest)).await {
            _ if app.meters.is_draining() => What::Stopping,
            Ok(Ok(what)) => what,
            Ok(Err(error)) => {
                tracing::warn!(
                    ?error,
                    pool_id = hub.pool_id,
                    "the head of a revocation feed was not read"
                );
                What::Failed
            }
            Err(_) => What::Failed,
        };
        reader.publish(Round { n, what: what.clone() });
        if streaming > 0
            && let Err(error) = streams.tell(&cx, &reader, &what).await
        {
            tracing::warn!(?error, pool_id = hub.pool_id, "a frame for streams was not made");
        }
        // Fewer looks at each of many pools: a second holds at most some thousands.
        let pause = u64::try_from(app.feeds.followed()).unwrap_or(u64::MAX).clamp(50, 200);
        #[allow(clippy::disallowed_methods, reason = "the time between two looks at the database")]
        let pause = tokio::time::sleep(Duration::from_millis(pause));
        tokio::select! {
            () = reader.wanted() => {}
            () = pause => {}
        }
    }
}

/// The record that waits longest for its number, as far as this reader has watched it.
#[derive(Default)]
struct Longest(Option<Watched>);

struct Watched {
    /// What tells it from the next one.
    committed_ms: Ms,
    since: Instant,
}

async fn look(cx: &Cx, pool_id: &str, longest: &mut Longest) -> Result<What> {
    let Some((head, waiting)) = feed::look(cx.db(), pool_id).await? else {
        let head = Arc::new(head(cx, pool_id).await?);
        return Ok(What::Seen { head, late: false });
    };
    if waiting.is_some() {
        cx.app.wakes.sequence.notify_one();
    }
    #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
    let late = longest.waits_too_long(waiting, cx.now, Instant::now());
    Ok(What::Seen { head: Arc::new(head), late })
}

impl Longest {
    /// `waiting`: when the record that waits longest was committed, by the clock of the server that did it. That clock may be ahead of
    /// ours, so a record is late also when this reader has seen it wait for so long.
    fn waits_too_long(&mut self, waiting: Option<Ms>, now: Ms, here: Instant) -> bool {
        let Some(committed_ms) = waiting else {
            self.0 = None;
            return false;
        };
        let watched = match self.0.take() {
            Some(watched) if watched.committed_ms == committed_ms => watched,
            _ => Watched { committed_ms, since: here },
        };
        let seen = here.duration_since(watched.since);
        self.0 = Some(watched);
        seen >= LATE || now - committed_ms > LATE_MS
    }
}

/// How far the streams were told.
#[derive(Default)]
struct Streams {
    at: Option<(String, i64)>,
    told: Option<Instant>,
}

impl Streams {
    async fn tell(&mut self, cx: &Cx, reader: &Reader, what: &What) -> Result<()> {
        let (head, late) = match what {
            What::Seen { head, late } => (head, *late),
            What::Failed => return Ok(()),
            What::Stopping => {
                reader.tell(Told::Stopping);
                return Ok(());
            }
        };
        if late {
            return Ok(());
        }
        #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
        let now = Instant::now();
        // What is new here begins where the feed is now: who is further back reads by itself.
        let mut from = match &self.at {
            Some((incarnation, at)) if *incarnation == head.incarnation => *at,
            _ => head.last,
        };
        let silent = self.told.is_none_or(|told| now.duration_since(told) >= HEARTBEAT);
        if from == head.last && !silent {
            return Ok(());
        }
        loop {
            let span = match span(cx, &reader.hub, head, from).await {
                Ok(span) => span,
                Err(Refused::Other(error)) => return Err(error),
                // Forgotten meanwhile: streams find that out by themselves.
                Err(_) => {
                    self.at = None;
                    return Ok(());
                }
            };
            let frame = sign(cx, &reader.hub, head, None, &span).await?;
            let event = event(&head.incarnation, span.to, &frame);
            let incarnation: Arc<str> = head.incarnation.as_str().into();
            reader.tell(Told::Frame { incarnation, from, to: span.to, event });
            from = span.to;
            self.at = Some((head.incarnation.clone(), from));
            self.told = Some(now);
            if from >= head.last {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_waits_too_long_by_either_clock_and_the_next_one_begins_anew() {
        const NOW: Ms = 1_790_000_000_000;
        #[allow(clippy::disallowed_methods, reason = "where the test begins")]
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut longest = Longest::default();
        let mut is_late = |waiting, now, ms| longest.waits_too_long(waiting, now, at(ms));
        assert!(!is_late(None, NOW, 0));
        assert!(!is_late(Some(NOW - LATE_MS), NOW, 0));
        assert!(is_late(Some(NOW - LATE_MS - 1), NOW, 1), "by the clock, at the first look");
        // Committed by a server whose clock is an hour ahead.
        let ahead = NOW + 3_600_000;
        assert!(!is_late(Some(ahead), NOW, 10));
        assert!(!is_late(Some(ahead), NOW + 200, 210));
        assert!(is_late(Some(ahead), NOW + 250, 260), "watched for so long");
        assert!(!is_late(Some(ahead + 1), NOW + 260, 270), "another record");
        assert!(!is_late(None, NOW + 600, 610));
        assert!(!is_late(Some(ahead + 1), NOW + 600, 611));
    }
}
