//! Records become deliveries: one for everybody who is to be told. How far that has come is committed with the rows themselves, so that
//! a record is expanded once, by any number of servers, however they are killed.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::task::JoinHandle;
use uuid::Uuid;

use super::{NewDelivery, State};
use crate::ambient::{Ms, SECOND};
use crate::cx::Cx;
use crate::delivery::backchannel::{self, Page};
use crate::delivery::{ssf, token_revocation, webhook};
use crate::error::{Error, Kind as ErrorKind, Result};
use crate::ids;
use crate::pool::{Pool, Target};
use crate::store::Batch;
use crate::store::deliveries::{self, Delivery};
use crate::store::records::{self, Recorded};
use crate::store::targets;

/// Records of one round. One that asks for more than a page gets its next rows in the next round, and keeps no other waiting.
const RECORDS: i64 = 256;

/// Rows that one commit writes, so that no sign-out waits long behind it; more where a single record asks for more.
const ROWS: usize = 64;

/// Records whose app clients are looked for at once.
const AT_ONCE: usize = 8;

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
    // One that cannot be expanded is tried now and then, like a receiver that fails.
    let may = |record: &Recorded| {
        !matches!(cx.app.breakers.may(&name(record), true, cx.now), crate::breakers::May::Nothing)
    };
    let records: Vec<Recorded> = records.into_iter().filter(may).collect();
    let (mut goes_on, mut advanced) = (false, false);
    let (mut ids, mut audiences) = (Ids::default(), Audiences::default());
    let mut together: Vec<Step> = Vec::new();
    for records in records.chunks(AT_ONCE) {
        let mut steps = Vec::new();
        for record in records {
            steps.push(begin(cx, &mut audiences, record).await);
        }
        for (record, step) in records.iter().zip(steps) {
            let step = match finish(cx, record, step).await {
                Ok(step) => step,
                Err(error) if error.kind == ErrorKind::ServiceUnavailable => return Err(error),
                Err(error) => {
                    put_off(cx, &name(record), &error);
                    continue;
                }
            };
            let rows: usize = together.iter().map(Step::rows).sum();
            if rows + step.rows() > ROWS {
                advanced |= commit(cx, &mut ids, std::mem::take(&mut together)).await?;
            }
            goes_on |= step.page.goes_on;
            together.push(step);
        }
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

/// Whom each pool tells besides its app clients, read once for a round.
#[derive(Default)]
struct Audiences(HashMap<String, Audience>);

#[derive(Clone)]
struct Audience {
    /// `None` where it was deleted; its webhooks are still told.
    pool: Option<Arc<Pool>>,
    targets: Arc<Vec<Target>>,
}

impl Audiences {
    async fn of(&mut self, cx: &Cx, pool_id: &str) -> Result<Audience> {
        if let Some(known) = self.0.get(pool_id) {
            return Ok(known.clone());
        }
        let audience = Audience {
            pool: cx.app.directory.pool(cx.db(), pool_id).await?,
            targets: Arc::new(targets::all(cx.db(), pool_id).await?),
        };
        self.0.insert(pool_id.to_owned(), audience.clone());
        Ok(audience)
    }
}

/// What the next commit writes for a record.
struct Step {
    record: Recorded,
    rows: Vec<NewDelivery>,
    page: Page,
}

impl Step {
    /// The record's own row is one.
    fn rows(&self) -> usize {
        self.rows.len() + 1
    }

    fn cursor(&self) -> Option<&str> {
        self.page.last.as_deref().filter(|_| self.page.goes_on)
    }
}

/// A step of which the app clients are being looked for.
struct Begun {
    audience: Audience,
    page: Option<JoinHandle<Result<Page>>>,
}

async fn begin(cx: &Cx, audiences: &mut Audiences, record: &Recorded) -> Result<Begun> {
    let audience = audiences.of(cx, &record.pool_id).await?;
    let page = audience.pool.clone().map(|pool| {
        let (cx, record) = (cx.clone(), record.clone());
        tokio::spawn(async move { backchannel::expand(&cx, &pool, &record).await })
    });
    Ok(Begun { audience, page })
}

/// Those first of whom there are few, once: a pool's end may be told to a million sessions at app clients, to which a cursor belongs.
async fn finish(cx: &Cx, record: &Recorded, begun: Result<Begun>) -> Result<Step> {
    let Begun { audience, page } = begun?;
    let mut rows = Vec::new();
    if record.expand_cursor.is_none() {
        rows.extend(webhook::expand(&audience.targets, record));
        // The keys of others went with a pool that was deleted, so nothing can be signed.
        if let Some(pool) = audience.pool.as_deref() {
            rows.extend(ssf::expand(cx, pool, &audience.targets, record).await?);
            rows.extend(token_revocation::expand(cx, pool, &audience.targets, record).await?);
        }
    }
    let mut page = match page {
        Some(page) => page.await.map_err(Error::internal)??,
        None => Page::default(),
    };
    rows.append(&mut page.rows);
    Ok(Step { record: record.clone(), rows, page })
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
    for step in &steps {
        match cx.db().commit(batch(cx, ids, std::slice::from_ref(step))).await {
            Ok(()) => advanced = true,
            // It has advanced elsewhere.
            Err(error) if error.is_conflict() => advanced = true,
            Err(error) if error.kind == ErrorKind::ServiceUnavailable => return Err(error),
            Err(error) => put_off(cx, &name(&step.record), &error),
        }
    }
    Ok(advanced)
}

fn batch(cx: &Cx, ids: &mut Ids, steps: &[Step]) -> Batch {
    let mut batch = Batch::new();
    let (mut pending, mut held, mut not_possible) = (false, Vec::new(), Vec::new());
    for step in steps {
        records::expanded(&mut batch, &step.record, step.cursor(), cx.now);
        backchannel::over(&mut batch, &step.record, &step.page, cx.now);
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
