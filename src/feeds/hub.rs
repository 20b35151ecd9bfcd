//! One pool's: the one task that reads for all who follow it here, what it told them, and what they say they have.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use quick_cache::sync::Cache;
use tokio::sync::{Notify, broadcast, watch};

use super::crowd::{Crowd, Full, How, Place, Who};
use crate::pool::feed::Chain;
use crate::store::feed::{Consumer, Head, MAX_CONSUMERS};

/// Frames that a stream may be behind before it reads by itself.
const FRAMES: usize = 64;

pub struct Hub {
    pub pool_id: String,
    /// Reads that have begun, counted: one that begins after a request has a higher number than there was.
    begun: AtomicU64,
    rounds: watch::Sender<Round>,
    /// Only what those who wait must know: it does not change with every round.
    moves: watch::Sender<Option<(String, i64, bool)>>,
    wanted: Notify,
    frames: broadcast::Sender<Told>,
    pub(super) crowd: Mutex<Crowd>,
    /// Of all pools, those that have a reader.
    followed: Arc<AtomicUsize>,
    /// Parts of the feed as they are signed, by the chain at its head, which stands for everything before it, first and last number.
    pub spans: Cache<(Chain, i64, i64), Arc<Span>>,
    said: Mutex<Said>,
}

/// What a read of the primary database said.
#[derive(Clone, Default)]
pub struct Round {
    /// Its number among the reads that have begun.
    pub n: u64,
    pub what: What,
}

#[derive(Clone, Default)]
pub enum What {
    /// The database does not answer.
    #[default]
    Failed,
    /// This server stops.
    Stopping,
    /// `late`: a record has waited for its number so long that nothing should be called fresh.
    Seen { head: Arc<Head>, late: bool },
}

/// What every stream of the pool is told.
#[derive(Clone)]
pub enum Told {
    Frame { incarnation: Arc<str>, from: i64, to: i64, event: Bytes },
    Stopping,
}

/// Records `from`+1 to `to`, as a frame holds them.
pub struct Span {
    pub from: i64,
    pub to: i64,
    pub h_before: String,
    pub h_after: String,
    /// The JSON array.
    pub e: String,
}

#[derive(Default)]
struct Said {
    known: HashSet<Who>,
    unwritten: HashMap<Who, Consumer>,
    writing: bool,
}

impl Hub {
    pub(super) fn new(pool_id: &str, followed: Arc<AtomicUsize>) -> Hub {
        Hub {
            pool_id: pool_id.to_owned(),
            begun: AtomicU64::new(0),
            rounds: watch::Sender::new(Round::default()),
            moves: watch::Sender::new(None),
            wanted: Notify::new(),
            frames: broadcast::Sender::new(FRAMES),
            crowd: Mutex::default(),
            followed,
            spans: Cache::new(32),
            said: Mutex::default(),
        }
    }

    /// A place among those who follow. `start` is called if nobody reads for them yet.
    pub fn enter(
        self: &Arc<Hub>,
        how: How,
        who: Who,
        start: impl FnOnce(Reader),
    ) -> Result<Place, Full> {
        let idle = {
            let mut crowd = lock(&self.crowd);
            crowd.enter(how, &who)?;
            !std::mem::replace(&mut crowd.at_work, true)
        };
        if idle {
            self.followed.fetch_add(1, Ordering::Relaxed);
            start(Reader { hub: self.clone(), left: false });
        }
        Ok(Place { hub: self.clone(), how, who })
    }

    /// How many wait, and how many stream.
    pub fn count(&self) -> (usize, usize) {
        lock(&self.crowd).count()
    }

    /// Nobody reads any more.
    fn rests(&self, crowd: &mut Crowd) {
        crowd.at_work = false;
        self.followed.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many reads have begun.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Asks for a read at once.
    pub fn look(&self) {
        self.wanted.notify_one();
    }

    pub fn rounds(&self) -> watch::Receiver<Round> {
        self.rounds.subscribe()
    }

    pub fn moves(&self) -> watch::Receiver<Option<(String, i64, bool)>> {
        self.moves.subscribe()
    }

    pub fn frames(&self) -> broadcast::Receiver<Told> {
        self.frames.subscribe()
    }

    /// Whether what this consumer said stands written, or soon will.
    pub fn knows(&self, owner: &str, consumer: &str) -> bool {
        lock(&self.said).known.contains(&(owner.to_owned(), consumer.to_owned()))
    }

    /// What this consumer said was written down.
    pub fn meet(&self, said: &Consumer) {
        lock(&self.said).meet(said);
    }

    /// Keeps what a consumer says until it is written down. True: somebody must see to that.
    pub fn say(&self, said: Consumer) -> bool {
        let mut all = lock(&self.said);
        let name = all.meet(&said);
        match all.unwritten.get_mut(&name) {
            Some(before) => {
                let since = match before.incarnation == said.incarnation {
                    true => before.since.max(said.since),
                    false => said.since,
                };
                *before = Consumer { since, seen_ms: before.seen_ms.max(said.seen_ms), ..said };
            }
            None => {
                all.unwritten.insert(name, said);
            }
        }
        !std::mem::replace(&mut all.writing, true)
    }

    /// What is to be written down now, in the order of names, so that servers that do the same do not wait for each other.
    pub fn said(&self) -> Vec<Consumer> {
        let mut all = lock(&self.said);
        all.writing = false;
        let mut said: Vec<Consumer> = std::mem::take(&mut all.unwritten).into_values().collect();
        said.sort_by(|a, b| (&a.owner, &a.consumer).cmp(&(&b.owner, &b.consumer)));
        said
    }
}

impl Said {
    fn meet(&mut self, said: &Consumer) -> Who {
        let name = (said.owner.clone(), said.consumer.clone());
        if i64::try_from(self.known.len()).unwrap_or(i64::MAX) >= MAX_CONSUMERS {
            self.known.clear();
        }
        self.known.insert(name.clone());
        name
    }
}

/// The task that reads for all who follow a pool here; there is one as long as somebody does.
pub struct Reader {
    pub hub: Arc<Hub>,
    /// Nobody was there any more, and there may be another reader by now.
    left: bool,
}

impl Reader {
    /// Whether anybody is left, and how many of them are streams. Without anybody this reader is the last of its kind.
    pub fn goes_on(&mut self) -> Option<usize> {
        let mut crowd = lock(&self.hub.crowd);
        if !crowd.is_empty() {
            return Some(crowd.count().1);
        }
        self.left = true;
        self.hub.rests(&mut crowd);
        None
    }

    /// The number of the read that begins now.
    pub fn begin(&self) -> u64 {
        self.hub.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub fn publish(&self, round: Round) {
        let moved = match &round.what {
            What::Seen { head, late } => Some((head.incarnation.clone(), head.last, *late)),
            What::Failed | What::Stopping => None,
        };
        self.hub.rounds.send_replace(round);
        self.hub.moves.send_if_modified(|before| {
            let differs = *before != moved;
            *before = moved;
            differs
        });
    }

    pub fn tell(&self, told: Told) {
        // Nobody may be there to hear it.
        let _ = self.hub.frames.send(told);
    }

    /// Until somebody wants a read.
    pub async fn wanted(&self) {
        self.hub.wanted.notified().await;
    }
}

impl Drop for Reader {
    /// If it panicked, the next who follows starts another.
    fn drop(&mut self) {
        if !self.left {
            self.hub.rests(&mut lock(&self.hub.crowd));
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::Ms;
    use crate::feeds::Feeds;

    fn said(consumer: &str, incarnation: &str, since: i64, seen_ms: Ms) -> Consumer {
        Consumer {
            owner: "a".into(),
            consumer: consumer.into(),
            incarnation: incarnation.into(),
            since,
            policy: String::new(),
            max_staleness_ms: 30_000,
            seen_ms,
        }
    }

    fn who() -> Who {
        ("a".to_owned(), "b".to_owned())
    }

    #[test]
    fn one_reader_is_there_while_anybody_follows_and_another_after_it_is_gone() {
        let feeds = Feeds::default();
        let hub = feeds.hub("p");
        let (mut first, mut second) = (None, None);
        let place = hub.enter(How::Waiting, who(), |reader| first = Some(reader)).unwrap();
        drop(hub.enter(How::Waiting, who(), |_| panic!("there is one")));
        assert_eq!(feeds.followed(), 1);
        let mut reader = first.take().unwrap();
        assert_eq!(reader.goes_on(), Some(0));
        drop(place);
        assert_eq!(reader.goes_on(), None);
        assert_eq!(feeds.followed(), 0);
        let _place = hub.enter(How::Streaming, who(), |reader| second = Some(reader)).unwrap();
        drop(reader);
        assert_eq!(second.as_mut().unwrap().goes_on(), Some(1), "the old one took nothing along");
        // One that panics is followed by another.
        drop(second);
        let mut third = None;
        let _other = hub.enter(How::Waiting, who(), |reader| third = Some(reader)).unwrap();
        assert!(third.is_some());
        assert_eq!(feeds.followed(), 1);
    }

    #[test]
    fn what_consumers_say_overtaken_by_what_they_said_before_is_not_less() {
        let hub = Feeds::default().hub("p");
        assert!(
            hub.say(said("x", "i", 7, 10)),
            "the first to say something sees that it is written"
        );
        assert!(!hub.say(said("x", "i", 5, 9)));
        assert!(!hub.say(said("b", "i", 1, 9)));
        assert_eq!(hub.said(), [said("b", "i", 1, 9), said("x", "i", 7, 10)]);
        assert!(hub.say(said("x", "j", 2, 11)));
        assert_eq!(hub.said(), [said("x", "j", 2, 11)]);
    }
}
