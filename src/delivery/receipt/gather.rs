//! Everything that a receipt says, as one look at the database found it.

use super::{Asked, exposure};
use crate::ambient::{DAY, HOUR, Ms};
use crate::cx::Cx;
use crate::error::Result;
use crate::store::receipts::{self, Consumer, Delivered, Upstream};
use crate::store::records::{self, CLOCKS_MS, Recorded};

/// So many deliveries and providers a receipt names, those first that have not learned. It counts them all.
const SHOWN: i64 = 500;

/// So many records are read: a sign-out has one, or one for each session that it ended.
const MOST_RECORDS: usize = 10_000;

/// Whoever has said nothing for so long before a sign-out follows the feed no more.
const FOLLOWS_MS: Ms = 2 * DAY;

/// After this time it begins to be forgotten who had not learned (`store::purge`). By then all but the tokens of a compromised key have
/// expired.
const REMEMBERED_MS: Ms = DAY + HOUR;

pub struct Gathered {
    pub pool_id: String,
    pub records: Vec<Recorded>,
    /// The number of the last record; `None` while one has no number.
    pub seq: Option<i64>,
    pub expanded: bool,
    pub consumers: Vec<Consumer>,
    pub deliveries: Vec<Delivered>,
    pub counts: Vec<(String, i64)>,
    pub upstream: Vec<Upstream>,
    /// Somebody who had not learned may be missing here.
    pub forgotten: bool,
}

pub async fn records(cx: &Cx, pool_id: &str, signout_id: &str) -> Result<Vec<Recorded>> {
    records::of_signout(cx.db(), pool_id, signout_id).await
}

impl Gathered {
    /// The records come first: what follows from them was written after them, so that nothing here is newer than what it is held against.
    pub async fn of(cx: &Cx, asked: &Asked, mut records: Vec<Recorded>) -> Result<Gathered> {
        let (db, pool_id, signout_id) = (cx.db(), &asked.pool_id, &asked.signout_id);
        // Until it has its number, a validity that was raised meanwhile may keep a record longer (`store::feed`).
        if records.iter().any(|record| record.seq.is_none())
            && let Some(pool) = cx.app.directory.pool(db, pool_id).await?
        {
            for record in &mut records {
                let end = record.committed_ms + pool.longest_token_ms + CLOCKS_MS;
                record.drop_after_ms = record.drop_after_ms.max(end);
            }
        }
        let whole = records.len() < MOST_RECORDS;
        let seq = records.iter().map(|record| record.seq).reduce(|a, b| Some(a?.max(b?)));
        let committed = exposure::committed(&records).unwrap_or(0);
        let consumers = receipts::consumers(db, pool_id, committed - FOLLOWS_MS).await?;
        Ok(Gathered {
            forgotten: cx.now > committed + REMEMBERED_MS || consumers.len() >= receipts::MANY,
            pool_id: pool_id.clone(),
            seq: seq.flatten().filter(|_| whole),
            expanded: whole && records.iter().all(|record| record.expanded_ms.is_some()),
            records,
            consumers,
            deliveries: receipts::deliveries(db, pool_id, signout_id, SHOWN).await?,
            counts: receipts::counts(db, pool_id, signout_id).await?,
            upstream: receipts::upstream(db, pool_id, signout_id, SHOWN).await?,
        })
    }

    pub fn behind(&self) -> impl Iterator<Item = &Consumer> {
        self.consumers.iter().filter(|consumer| !exposure::has_learned(consumer, self.seq))
    }

    pub fn exposure_until(&self) -> Option<Ms> {
        exposure::of_everyone(&self.records)
    }

    pub fn registered_exposure_until(&self) -> Option<Ms> {
        exposure::of_registered(&exposure::Known {
            records: &self.records,
            seq: self.seq,
            expanded: self.expanded,
            consumers: &self.consumers,
            undelivered: self.forgotten || self.counts.iter().any(|(state, _)| state != "done"),
        })
    }

    /// Whether everyone who is to learn of it has; `None` where nobody knows any more.
    pub fn is_complete(&self) -> Option<bool> {
        let all = self.seq.is_some()
            && self.expanded
            && self.behind().next().is_none()
            && self.counts.iter().all(|(state, _)| state == "done")
            && self.upstream.iter().all(|told| {
                !matches!(told.state.as_str(), "failed" | "fresh") && told.done_ms.is_some()
            });
        (!all || !self.forgotten).then_some(all)
    }

    /// Whoever can be expected to learn of it soon has: nobody need wait for those who are away, nor for what was given up.
    pub fn is_settled(&self, now: Ms) -> bool {
        self.seq.is_some()
            && self.expanded
            && self.behind().all(|consumer| exposure::state(consumer, now) == "EXPIRED")
            && self.counts.iter().all(|(state, _)| !matches!(state.as_str(), "pending" | "held"))
            && self.upstream.iter().all(|told| told.done_ms.is_some())
    }
}
