//! Records become deliveries: one for everybody who is to be told. How far that has come is committed with the rows themselves, so that
//! a record is expanded once, by any number of servers, however they are killed.

use uuid::Uuid;

use super::{Kind, NewDelivery, State, page};
use crate::ambient::{Ms, SECOND};
use crate::cx::Cx;
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::ids;
use crate::store::Batch;
use crate::store::deliveries::{self, Delivery};
use crate::store::records::{self, Recorded};

/// Records of one round, and rows of one commit. A record that asks for more gets its next rows in the next round, and keeps no other
/// waiting.
const RECORDS: i64 = 64;
const ROWS: usize = 500;

/// Rounds of one run.
const ROUNDS: usize = 100;

/// What another server committed, or a worker that was killed left, is found this soon.
const EVERY_MS: Ms = SECOND / 4;

/// Expands what there is; due again a moment later.
pub async fn run_once(cx: Cx) -> Result<Ms> {
    for _ in 0..ROUNDS {
        if !round(&Cx::system(cx.app.clone())).await? {
            break;
        }
    }
    Ok(cx.app.clock.now_ms() + EVERY_MS)
}

/// One round over the oldest records; true where there is more to do at once. However many cannot be expanded, the next ones have their
/// turn.
pub async fn round(cx: &Cx) -> Result<bool> {
    let mut last: Option<Recorded> = None;
    loop {
        let records = records::unexpanded(cx.db(), last.as_ref(), RECORDS).await?;
        let is_last = (records.len() as i64) < RECORDS;
        last = records.last().cloned();
        let (advanced, goes_on) = advance(cx, records).await?;
        if advanced {
            return Ok(goes_on || !is_last);
        }
        if is_last {
            return Ok(false);
        }
    }
}

/// Expands some records. Whether anything came of it, and whether some of them go on.
async fn advance(cx: &Cx, records: Vec<Recorded>) -> Result<(bool, bool)> {
    let (mut goes_on, mut advanced) = (false, false);
    let mut together: Vec<Step> = Vec::new();
    let mut ids = Ids::default();
    for record in records {
        // One that cannot be expanded is tried now and then, like a receiver that fails.
        let key = name(&record);
        if matches!(cx.app.breakers.may(&key, true, cx.now), crate::breakers::May::Nothing) {
            continue;
        }
        let step = match step(cx, record).await {
            Ok(step) => step,
            Err(error) if error.kind == ErrorKind::ServiceUnavailable => return Err(error),
            Err(error) => {
                put_off(cx, &key, &error);
                continue;
            }
        };
        let rows: usize = together.iter().map(|step| step.rows.len()).sum();
        if rows + step.rows.len() > ROWS {
            advanced |= commit(cx, &mut ids, std::mem::take(&mut together)).await?;
        }
        goes_on |= step.cursor.is_some();
        together.push(step);
    }
    advanced |= commit(cx, &mut ids, together).await?;
    Ok((advanced, goes_on))
}

/// As the breakers and the log know a record.
fn name(record: &Recorded) -> String {
    format!("record {} {} {}", record.pool_id, record.signout_id, record.n)
}

fn put_off(cx: &Cx, record: &str, error: &Error) {
    tracing::error!(?error, record, "a sign-out cannot be made into deliveries");
    cx.app.breakers.failed(record, None, cx.now);
}

/// What the next commit writes for a record.
struct Step {
    record: Recorded,
    rows: Vec<NewDelivery>,
    /// Where it goes on; `None`: that was all.
    cursor: Option<String>,
}

/// Goes on where the record's cursor says, through as many kinds as fit into one commit. A cursor is a kind, and where that kind is.
async fn step(cx: &Cx, record: Recorded) -> Result<Step> {
    let pool = cx.app.directory.pool(cx.db(), &record.pool_id).await?;
    let (from, mut after) = match record.expand_cursor.as_deref() {
        None => (Kind::ALL.first().copied(), None),
        Some(cursor) => {
            let (kind, after) = cursor.split_once(' ').unwrap_or((cursor, ""));
            let after = (!after.is_empty()).then(|| after.to_owned());
            (Kind::parse(kind), after)
        }
    };
    let from = from.ok_or_else(|| Error::internal("a record's cursor names no kind"))?;
    let mut rows = Vec::new();
    for kind in Kind::ALL.into_iter().skip_while(|kind| *kind != from) {
        if rows.len() >= ROWS {
            return Ok(Step { record, rows, cursor: Some(kind.as_str().to_owned()) });
        }
        let page = page(cx, pool.as_deref(), kind, &record, after.take().as_deref()).await?;
        rows.extend(page.rows);
        if let Some(next) = page.next {
            let cursor = format!("{} {next}", kind.as_str());
            return Ok(Step { record, rows, cursor: Some(cursor) });
        }
    }
    Ok(Step { record, rows, cursor: None })
}

/// All in one, or, where another server was quicker with one of them, or one cannot be written, each by itself. True where any was.
async fn commit(cx: &Cx, ids: &mut Ids, steps: Vec<Step>) -> Result<bool> {
    if steps.is_empty() {
        return Ok(false);
    }
    match cx.db().commit(batch(cx, ids, &steps)).await {
        Ok(()) => return Ok(true),
        Err(error) if error.kind == ErrorKind::ServiceUnavailable => return Err(error),
        Err(_) => {}
    }
    let mut advanced = false;
    for step in steps {
        let key = name(&step.record);
        match cx.db().commit(batch(cx, ids, &[step])).await {
            Ok(()) => advanced = true,
            // It has advanced elsewhere.
            Err(error) if error.is_conflict() => advanced = true,
            Err(error) if error.kind == ErrorKind::ServiceUnavailable => return Err(error),
            Err(error) => put_off(cx, &key, &error),
        }
    }
    Ok(advanced)
}

fn batch(cx: &Cx, ids: &mut Ids, steps: &[Step]) -> Batch {
    let mut batch = Batch::new();
    let (mut pending, mut held, mut not_possible) = (false, Vec::new(), Vec::new());
    for step in steps {
        records::expanded(&mut batch, &step.record, step.cursor.as_deref(), cx.now);
        for row in &step.rows {
            let delivery = delivery(cx, &step.record, row, ids.next(cx));
            deliveries::insert(&mut batch, &delivery);
            match row.state {
                State::Pending => pending = true,
                State::Held => held.push(delivery.lane()),
                State::NotPossible => not_possible.push(row.kind),
                State::Done | State::Dead => {}
            }
        }
    }
    let app = cx.app.clone();
    batch.then(move || {
        for kind in not_possible {
            app.meters.delivery(kind.as_str(), State::NotPossible.as_str());
        }
        if pending {
            app.wakes.deliver.notify_one();
        }
        held.iter().for_each(|lane| app.wakes.held.tell(lane));
    });
    batch
}

/// Ids of one moment are random; these grow, so that they say the order of the records.
#[derive(Default)]
struct Ids(Uuid);

impl Ids {
    fn next(&mut self, cx: &Cx) -> String {
        let id = ids::uuid_v7(cx.now, cx.rng());
        self.0 = if id > self.0 { id } else { Uuid::from_u128(self.0.as_u128() + 1) };
        self.0.to_string()
    }
}

fn delivery(cx: &Cx, record: &Recorded, row: &NewDelivery, id: String) -> Delivery {
    Delivery {
        pool_id: record.pool_id.clone(),
        id,
        signout_id: record.signout_id.clone(),
        n: record.n,
        kind: row.kind,
        target: row.target.clone(),
        sid: row.sid.clone(),
        sub: row.sub.clone(),
        doc: row.doc.clone(),
        state: row.state,
        attempts: 0,
        due_ms: cx.now,
        lease_ms: 0,
        since_ms: cx.now,
        status: None,
        detail: row.detail.clone(),
        created_ms: cx.now,
        first_ms: None,
        done_ms: row.state.is_over().then_some(cx.now),
    }
}
