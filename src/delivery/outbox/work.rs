//! Telling receivers. Each target has a turn of its own, in which it is told what is due, oldest first; one that hangs, or for which
//! 100,000 things wait, keeps no other waiting. A server that dies with something in hand leaves it to the next by its lease.

use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinHandle;

use super::{Blame, Delivery, Kind, Outcome, State, attempt};
use crate::ambient::{DAY, HOUR, MINUTE, Ms, SECOND};
use crate::audit::{self, Actor};
use crate::breakers::May;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::store::Batch;
use crate::store::deliveries::{self as rows, Tried};

/// What another server wrote, and what was put off, is found this soon.
const EVERY_MS: Ms = SECOND / 4;

/// Lanes of one look.
const LANES: i64 = 1_000;

/// What a turn takes in hand at once, and for how long. Nothing is begun that may not end before the lease does.
const IN_HAND: i64 = 32;
const LEASE_MS: Ms = 15 * SECOND;
const ATTEMPT_MS: Ms = 6 * SECOND;

/// What a target is told side by side once it has taken something, where more waits than a turn takes in hand: so a backlog does not wait
/// for its round trips one by one.
const SIDE_BY_SIDE: usize = 8;

/// An outcome waits this long to be committed together with others.
const UNWRITTEN_MS: Ms = SECOND / 4;

/// How long after the nth attempt that failed the next one is made, if the target takes other things meanwhile; the last again and
/// again. One that takes nothing is tried every five seconds (`breakers`).
fn pause(attempts: i64) -> Ms {
    match attempts {
        ..=0 => SECOND / 4,
        1 => SECOND,
        2 => 5 * SECOND,
        3 => 15 * SECOND,
        4 => 30 * SECOND,
        5..=14 => MINUTE,
        15 => 10 * MINUTE,
        _ => HOUR,
    }
}

/// Then it is a dead letter.
const GIVE_UP_MS: Ms = DAY;

/// What was waiting so long is given up by so many.
const AT_ONCE: i64 = 100;

/// Begins a turn for every target for which something is due; due again a moment later.
pub async fn run_once(cx: Cx) -> Result<Ms> {
    begin(&cx).await?;
    Ok(cx.now + EVERY_MS)
}

/// The turns that this began: at those who answered, then at those who may not, as far as there are places for these.
pub async fn begin(cx: &Cx) -> Result<Vec<JoinHandle<()>>> {
    let (mut begun, mut after) = (Vec::new(), String::new());
    let (mut strangers, mut away) = (Vec::new(), Vec::new());
    loop {
        let lanes = rows::lanes(cx.db(), &after, LANES).await?;
        let is_last = (lanes.len() as i64) < LANES;
        for lane in lanes {
            after.clone_from(&lane.text);
            match cx.app.breakers.may(&lane.text, lane.due_ms <= cx.now, cx.now) {
                May::Nothing => {}
                May::All => begun.extend(begin_one(cx, lane.text, false, None)),
                // A server that ran before found it away.
                May::Meet if lane.failed => away.push((0, lane)),
                May::Meet => strangers.push(lane),
                May::Probe { tried_ms } => away.push((tried_ms, lane)),
            }
        }
        if is_last {
            break;
        }
    }
    // Where there are not places for all, those come first that waited for longest.
    strangers.sort_by_key(|lane| lane.due_ms);
    for lane in strangers {
        let Some(place) = cx.app.breakers.meet() else { break };
        begun.extend(begin_one(cx, lane.text, false, Some(place)));
    }
    away.sort_by_key(|(tried_ms, _)| *tried_ms);
    for (_, lane) in away {
        let Some(place) = cx.app.breakers.probe() else { break };
        begun.extend(begin_one(cx, lane.text, true, Some(place)));
    }
    Ok(begun)
}

/// `None`: its last turn is still under way, or there are too many. `place` is given back once it has answered.
fn begin_one(
    cx: &Cx,
    lane: String,
    is_probe: bool,
    place: Option<OwnedSemaphorePermit>,
) -> Option<JoinHandle<()>> {
    cx.app.turns.take(format!("delivery {lane}"), || {
        let cx = cx.clone();
        async move {
            if let Err(error) = turn(&cx, &lane, is_probe, place).await {
                cx.app.breakers.forget(&lane);
                tracing::error!(?error, lane, "a receiver's turn failed");
            }
        }
    })
}

/// One target's turn: until nothing is due for it, or it fails.
async fn turn(
    cx: &Cx,
    lane: &str,
    mut is_probe: bool,
    mut place: Option<OwnedSemaphorePermit>,
) -> Result<()> {
    let mut took = false;
    loop {
        let cx = Cx::system(cx.app.clone());
        let due = match is_probe {
            true => rows::next(cx.db(), lane, cx.now).await?.into_iter().collect(),
            false => rows::due(cx.db(), lane, cx.now, IN_HAND).await?,
        };
        if due.is_empty() {
            return Ok(());
        }
        let Some(mut hand) = Hand::take(&cx, lane, &due).await? else { return Ok(()) };
        hand.took = took;
        if !hand.tell(&cx, &due).await? {
            return give_up(lane, cx).await;
        }
        // It is there, and the rest is due.
        (is_probe, took) = (false, true);
        drop(place.take());
    }
}

/// What waited for a day behind one that is not taken will not be taken either; it would never have its turn where more comes in than
/// one attempt every five seconds tells.
async fn give_up(lane: &str, cx: Cx) -> Result<()> {
    let cx = Cx::system(cx.app.clone());
    let waited = rows::waited(cx.db(), lane, cx.now - GIVE_UP_MS, cx.now, AT_ONCE).await?;
    if waited.is_empty() {
        return Ok(());
    }
    let Some(mut hand) = Hand::take(&cx, lane, &waited).await? else { return Ok(()) };
    for delivery in &waited {
        hand.bury(&cx, delivery, None, "Given up after a day in which its receiver took nothing.");
    }
    cx.db().commit(hand.unwritten).await
}

/// One attempt at each, side by side.
async fn attempts(cx: &Cx, told: &[Delivery]) -> Result<Vec<Outcome>> {
    let begun: Vec<JoinHandle<Result<Outcome>>> = told
        .iter()
        .map(|delivery| {
            let (cx, delivery) = (Cx::system(cx.app.clone()), delivery.clone());
            tokio::spawn(async move {
                let pool = cx.app.directory.pool(cx.db(), &delivery.pool_id).await?;
                Ok(attempt(&cx, pool.as_deref(), &delivery).await)
            })
        })
        .collect();
    let mut outcomes = Vec::with_capacity(begun.len());
    for attempt in begun {
        outcomes.push(attempt.await.map_err(Error::internal)??);
    }
    Ok(outcomes)
}

/// What a turn has in hand: leased, told, and written together.
struct Hand<'a> {
    lane: &'a str,
    lease_ms: Ms,
    unwritten: Batch,
    written_ms: Ms,
    /// The target has taken something in this turn.
    took: bool,
    /// It was looked whether dead letters can be sent again.
    replayed: bool,
}

impl<'a> Hand<'a> {
    /// `None`: another server has some of it.
    async fn take(cx: &Cx, lane: &'a str, due: &[Delivery]) -> Result<Option<Hand<'a>>> {
        let lease_ms = cx.now + LEASE_MS;
        let mut batch = Batch::new();
        due.iter().for_each(|delivery| rows::lease(&mut batch, delivery, cx.now, lease_ms));
        match cx.db().commit(batch).await {
            Err(error) if error.is_conflict() => return Ok(None),
            taken => taken?,
        }
        Ok(Some(Hand {
            lane,
            lease_ms,
            unwritten: Batch::new(),
            written_ms: cx.now,
            took: false,
            replayed: false,
        }))
    }

    /// True: the target takes what it is told.
    async fn tell(mut self, cx: &Cx, due: &[Delivery]) -> Result<bool> {
        let (mut left, mut takes) = (due, true);
        let is_backlog = due.len() as i64 >= IN_HAND;
        while takes && !left.is_empty() {
            // Events of a stream are told in their order, whatever waits.
            let beside = match left {
                [next, ..] if self.took && is_backlog && next.kind != Kind::Ssf => {
                    cx.app.turns.beside(left.len().min(SIDE_BY_SIDE) - 1)
                }
                _ => None,
            };
            let n = 1 + beside.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
            let (told, rest) = left.split_at(n);
            left = rest;
            let outcomes = attempts(cx, told).await?;
            drop(beside);
            // What follows happened after the attempts.
            let cx = Cx::system(cx.app.clone());
            for (delivery, outcome) in told.iter().zip(outcomes) {
                self.took |= matches!(outcome, Outcome::Done { .. });
                takes &= self.settle(&cx, delivery, outcome).await?;
            }
            if cx.now - self.written_ms >= UNWRITTEN_MS {
                cx.db().commit(std::mem::take(&mut self.unwritten)).await?;
                self.written_ms = cx.now;
            }
            if cx.now + ATTEMPT_MS > self.lease_ms {
                break;
            }
        }
        left.iter()
            .for_each(|delivery| rows::release(&mut self.unwritten, delivery, self.lease_ms));
        cx.db().commit(self.unwritten).await?;
        Ok(takes)
    }

    /// Adds what came of an attempt to what is to be written; false where the target had better be left alone for a while.
    async fn settle(&mut self, cx: &Cx, delivery: &Delivery, outcome: Outcome) -> Result<bool> {
        let breakers = &cx.app.breakers;
        match outcome {
            Outcome::Done { status } => {
                self.write(cx, delivery, State::Done, Some(status), "", cx.now);
                if breakers.answered(self.lane, cx.now) {
                    rows::hurry(&mut self.unwritten, self.lane, cx.now);
                }
                if !std::mem::replace(&mut self.replayed, true)
                    && rows::has_young_dead(cx.db(), delivery, cx.now).await?
                {
                    rows::replay_young(&mut self.unwritten, delivery, cx.now);
                }
                Ok(true)
            }
            Outcome::Held => {
                self.write(cx, delivery, State::Held, None, "", cx.now);
                Ok(true)
            }
            Outcome::Dead { status, why } => {
                // It refused this one, but it is back.
                if status.is_some() && breakers.answered(self.lane, cx.now) {
                    rows::hurry(&mut self.unwritten, self.lane, cx.now);
                }
                self.bury(cx, delivery, status, &why);
                Ok(true)
            }
            Outcome::NotPossible { status, why } => {
                if status.is_some() && breakers.answered(self.lane, cx.now) {
                    rows::hurry(&mut self.unwritten, self.lane, cx.now);
                }
                self.write(cx, delivery, State::NotPossible, status, &why, cx.now);
                Ok(true)
            }
            Outcome::Retry { status, after_ms, why, blame } => {
                let not_before_ms = after_ms.map(|after_ms| cx.now + after_ms);
                match blame {
                    Blame::Ours => {}
                    Blame::Failed => breakers.failed(self.lane, not_before_ms, cx.now),
                    Blame::Hung => breakers.hung(self.lane, cx.now),
                }
                if delivery.since_ms + GIVE_UP_MS <= cx.now {
                    self.bury(cx, delivery, status, &format!("Given up after a day. {why}"));
                } else {
                    let due_ms =
                        cx.now + jittered(cx, pause(delivery.attempts)).max(after_ms.unwrap_or(0));
                    self.write(cx, delivery, State::Pending, status, &why, due_ms);
                }
                Ok(blame == Blame::Ours || breakers.may(self.lane, true, cx.now) == May::All)
            }
        }
    }

    fn bury(&mut self, cx: &Cx, delivery: &Delivery, status: Option<u16>, why: &str) {
        self.write(cx, delivery, State::Dead, status, why, cx.now);
        tracing::warn!(
            pool = delivery.pool_id,
            kind = delivery.kind.as_str(),
            target_id = delivery.target,
            delivery = delivery.id,
            why,
            "a sign-out could not be delivered"
        );
        audit::note(
            &mut self.unwritten,
            cx,
            &delivery.pool_id,
            &Actor::Operator,
            "DeadLetter",
            &delivery.target,
            State::Dead.as_str(),
            &format!("{} {}: {why}", delivery.kind.as_str(), delivery.id),
        );
    }

    fn write(
        &mut self,
        cx: &Cx,
        delivery: &Delivery,
        state: State,
        status: Option<u16>,
        detail: &str,
        due_ms: Ms,
    ) {
        let lease_ms = self.lease_ms;
        let tried = Tried { delivery, lease_ms, state, status, detail, due_ms };
        rows::tried(&mut self.unwritten, &tried, cx.now);
        let (app, kind, took) =
            (cx.app.clone(), delivery.kind.as_str(), cx.now - delivery.created_ms);
        self.unwritten.then(move || match state {
            State::Pending => app.meters.delivery(kind, "deferred"),
            State::Done => app.meters.delivered(kind, took),
            _ => app.meters.delivery(kind, state.as_str()),
        });
    }
}

/// Plus or minus a fifth, so that what failed together is not repeated together.
fn jittered(cx: &Cx, pause: Ms) -> Ms {
    let mut bytes = [0; 2];
    cx.rng().fill(&mut bytes);
    let of_1000 = Ms::from(u16::from_be_bytes(bytes)) % 401;
    pause * (800 + of_1000) / 1_000
}
