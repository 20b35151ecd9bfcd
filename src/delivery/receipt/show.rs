//! A receipt as JSON (`docs/receipt.md`). Nothing in it names another user.

use serde_json::{Map, Value, json};

use super::exposure;
use super::gather::Gathered;
use super::reader::Reader;
use crate::ambient::{Ms, rfc3339};
use crate::store::receipts::{Consumer, Delivered, Upstream};
use crate::store::records::Recorded;

/// So many consumers that are behind, and so many records, a receipt names.
const SHOWN: usize = 500;

pub fn receipt(gathered: &Gathered, reader: &Reader, now: Ms) -> Value {
    let first = gathered.records.first();
    let committed = exposure::committed(&gathered.records);
    let behind: Vec<&Consumer> = gathered.behind().collect();
    let records: Vec<Value> = gathered
        .records
        .iter()
        .take(SHOWN)
        .map(|record| json!({ "kind": record.kind, "seq": record.seq }))
        .collect();
    let mut counts: Map<String, Value> = ["done", "pending", "dead", "not_possible"]
        .map(|state| (state.to_owned(), json!(0)))
        .into_iter()
        .collect();
    for (state, count) in &gathered.counts {
        // What waits for its receiver to fetch it is pending for whoever reads this.
        let shown = if state == "held" { "pending" } else { state };
        let so_far = counts.get(shown).and_then(Value::as_i64).unwrap_or(0);
        counts.insert(shown.to_owned(), json!(so_far + count));
    }
    json!({
        "signout_id": first.map(|record| &record.signout_id),
        "pool_id": gathered.pool_id,
        "reason": first.map(|record| &record.reason),
        "initiator": first.map(|record| &record.initiator),
        "committed_at": committed.map(rfc3339),
        "records": records,
        "feed": {
            "seq": gathered.seq,
            "consumers": gathered.consumers.len(),
            "caught_up": gathered.consumers.len() - behind.len(),
            "behind": behind.iter().take(SHOWN).map(|consumer| lagging(consumer, &gathered.records, now)).collect::<Vec<_>>(),
        },
        "deliveries": gathered.deliveries.iter().map(|item| delivery(item, reader, committed)).collect::<Vec<_>>(),
        "delivery_counts": counts,
        "upstream": gathered.upstream.iter().map(|item| provider(item, reader)).collect::<Vec<_>>(),
        "exposure_until": gathered.exposure_until().map(rfc3339),
        "registered_exposure_until": gathered.registered_exposure_until().map(rfc3339),
        "complete": gathered.is_complete(),
    })
}

fn lagging(consumer: &Consumer, records: &[Recorded], now: Ms) -> Value {
    json!({
        "id": consumer.id,
        "since": consumer.since,
        "state": exposure::state(consumer, now),
        "seen": rfc3339(consumer.seen_ms),
        "policy": if consumer.policy.is_empty() { "unknown" } else { &consumer.policy },
        "exposure_until": exposure::of_consumer(consumer, records).map(rfc3339),
    })
}

fn delivery(item: &Delivered, reader: &Reader, committed: Option<Ms>) -> Value {
    let state = if item.state == "held" { "pending" } else { &item.state };
    let mut members = Map::from_iter([
        ("id".to_owned(), json!(item.id)),
        ("kind".to_owned(), json!(item.kind)),
        ("target".to_owned(), json!(item.target)),
        ("state".to_owned(), json!(state)),
        ("attempts".to_owned(), json!(item.attempts)),
        ("at".to_owned(), json!(item.done_ms.map(rfc3339))),
        ("ms".to_owned(), json!(took(item, committed))),
    ]);
    if !item.sid.is_empty() {
        members.insert("sid".to_owned(), json!(item.sid));
    }
    // What a receiver answered can tell of addresses that are no user's business. Why nothing was possible is said in our own words.
    if matches!(reader, Reader::Operator) {
        members.insert("status".to_owned(), json!(item.status));
    }
    if matches!(reader, Reader::Operator) || item.state == "not_possible" {
        members.insert("detail".to_owned(), json!(item.detail));
    }
    Value::Object(members)
}

/// From the commit until it had arrived.
fn took(item: &Delivered, committed: Option<Ms>) -> Option<Ms> {
    let done = item.done_ms.filter(|_| item.state == "done")?;
    Some((done - committed?).max(0))
}

fn provider(item: &Upstream, reader: &Reader) -> Value {
    let mut members = Map::from_iter([
        ("provider".to_owned(), json!(item.provider)),
        ("state".to_owned(), json!(item.state)),
        ("at".to_owned(), json!(item.done_ms.map(rfc3339))),
    ]);
    if matches!(reader, Reader::Operator) {
        members.insert("detail".to_owned(), json!(item.detail));
    }
    Value::Object(members)
}
