//! Numbers records after their commit: each pool's from 1 without a gap, chained, whichever server does it. So whoever has number n has
//! everything up to it. A sign-out waits for nothing here.

use crate::ambient::{Ms, SECOND};
use crate::cx::Cx;
use crate::error::Result;
use crate::ids;
use crate::pool::feed::Entry;
use crate::signout;
use crate::store::Batch;
use crate::store::feed::{self, Head};

/// Records of one batch: those who write deliveries of the same records, and whoever signs out, wait for its commit.
const BATCH: i64 = 64;
/// How often a server looks by itself for what another has left: one that was killed between the commit and the numbering.
const IDLE_MS: Ms = SECOND;
/// After a pass in which others were quicker everywhere.
const LOST_MS: Ms = 10;
/// After a failure, which may be the database's.
const FAILED_MS: Ms = SECOND / 4;

/// Numbers everything that waits. A worker; due again at once where others are at it, else in a second unless it is woken.
pub async fn run_once(cx: Cx) -> Result<Ms> {
    loop {
        match pass(&cx).await {
            Ok(Pass::Nothing) => return Ok(cx.app.clock.now_ms() + IDLE_MS),
            Ok(Pass::Numbered) => {}
            Ok(Pass::Lost) => return Ok(cx.app.clock.now_ms() + LOST_MS),
            Err(error) => {
                // Not a minute later, as other workers: until then no verifier would learn of anything.
                tracing::error!(?error, "records of sign-outs could not be numbered");
                cx.app.meters.worked("sequencer", "failed");
                return Ok(cx.app.clock.now_ms() + FAILED_MS);
            }
        }
    }
}

enum Pass {
    Nothing,
    Numbered,
    Lost,
}

/// One batch of each pool that has something. A pool that fails keeps none of the others waiting.
async fn pass(cx: &Cx) -> Result<Pass> {
    let (mut after, mut outcome, mut failure) = (String::new(), Pass::Nothing, None);
    while let Some(pool_id) = feed::next_unnumbered(cx.db(), &after).await? {
        match number(cx, &pool_id).await {
            Ok(()) => outcome = Pass::Numbered,
            Err(error) if error.is_conflict() => {
                if matches!(outcome, Pass::Nothing) {
                    outcome = Pass::Lost;
                }
            }
            Err(error) => failure = Some(error),
        }
        after = pool_id;
    }
    match failure {
        Some(error) => Err(error),
        None => Ok(outcome),
    }
}

/// Of servers that number the same records one moves the head; the others lose the batch.
async fn number(cx: &Cx, pool_id: &str) -> Result<()> {
    let seen = feed::head(cx.db(), pool_id).await?;
    let waiting = feed::unnumbered(cx.db(), pool_id, BATCH).await?;
    if waiting.is_empty() {
        return Ok(());
    }
    let mut head = seen.clone().unwrap_or_else(|| Head::new(pool_id, ids::incarnation(cx.rng())));
    let mut numbers = Batch::new();
    for record in &waiting {
        let entry = Entry {
            kind: record.kind.as_bytes().first().copied().unwrap_or_default(),
            // Once more: what an older release recorded had another key.
            key16: signout::key16(&record.kind, pool_id, &record.subject),
            not_before_ms: record.not_before_ms,
            drop_after_ms: record.drop_after_ms,
        };
        head.last += 1;
        head.chain = entry.after(&head.chain);
        feed::number(&mut numbers, pool_id, record, head.last, &entry.key16, &head.chain);
    }
    let mut batch = Batch::new();
    match &seen {
        Some(seen) => feed::advance(&mut batch, pool_id, seen, head.last, &head.chain),
        None => feed::insert_head(&mut batch, pool_id, &head, cx.now),
    }
    batch.append(numbers);
    let (app, of) = (cx.app.clone(), pool_id.to_owned());
    batch.then(move || {
        app.feeds.moved(&of);
        let now = app.clock.now_ms();
        waiting.iter().for_each(|record| app.meters.numbered(now - record.committed_ms));
    });
    cx.db().commit(batch).await
}
