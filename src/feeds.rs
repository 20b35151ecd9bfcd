//! What this process keeps for those who follow revocation feeds: who waits, what the last read said, what they acknowledged, snapshots,
//! keys. Nothing that cannot be read again. How it is used is in `delivery::feed`.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::Bytes;
use quick_cache::sync::Cache;
use tokio::sync::{Notify, broadcast, watch};

use crate::ambient::Ms;
use crate::keys::FeedKey;
use crate::pool::feed::Chain;
use crate::store::feed::{Consumer, Head, MAX_CONSUMERS};

/// Requests of one pool that wait at once, and streams that are open.
const MAX_WAITING: usize = 5_000;
const MAX_STREAMING: usize = 2_000;
/// Frames that a stream may be behind before it reads by itself.
const FRAMES: usize = 64;
/// Pools that are remembered although nobody follows them.
const MAX_IDLE: usize = 1_000;

pub struct Feeds {
    hubs: Mutex<HashMap<String, Arc<Hub>>>,
    /// By pool and key id.
    pub signers: Cache<(String, String), Arc<Signer>>,
    /// The last snapshot of each pool; who makes another holds it.
    pub snapshots: Cache<String, Arc<tokio::sync::Mutex<Option<Arc<Snapshot>>>>>,
}

/// A key that signs, with its age.
pub struct Signer {
    pub key: FeedKey,
    pub created_ms: Ms,
}

pub struct Snapshot {
    pub incarnation: String,
    pub seq: i64,
    /// At `seq`.
    pub chain: Chain,
    pub made_ms: Ms,
    /// How many records it holds.
    pub n: usize,
    pub body: Bytes,
    /// The same, packed, once somebody wants it so.
    pub gzip: OnceLock<Bytes>,
}

impl Default for Feeds {
    fn default() -> Feeds {
        Feeds { hubs: Mutex::default(), signers: Cache::new(1_000), snapshots: Cache::new(100) }
    }
}

impl Feeds {
    pub fn hub(&self, pool_id: &str) -> Arc<Hub> {
        let mut hubs = lock(&self.hubs);
        if let Some(hub) = hubs.get(pool_id) {
            return hub.clone();
        }
        if hubs.len() >= MAX_IDLE {
            hubs.retain(|_, hub| Arc::strong_count(hub) > 1);
        }
        let hub = Arc::new(Hub::new(pool_id));
        hubs.insert(pool_id.to_owned(), hub.clone());
        hub
    }

    /// There is something new in a pool's feed: who waits here need not wait for the next look.
    pub fn moved(&self, pool_id: &str) {
        if let Some(hub) = lock(&self.hubs).get(pool_id) {
            hub.look();
        }
    }

    /// How many requests wait and how many streams are open, over all pools.
    pub fn crowd(&self) -> (usize, usize) {
        let hubs = lock(&self.hubs);
        hubs.values().map(|hub| lock(&hub.crowd)).fold((0, 0), |(waiting, streaming), crowd| {
            (waiting + crowd.waiting, streaming + crowd.streaming)
        })
    }

    /// Pools that somebody follows here.
    pub fn followed(&self) -> usize {
        lock(&self.hubs).values().filter(|hub| lock(&hub.crowd).at_work).count()
    }
}

/// One pool's.
pub struct Hub {
    pub pool_id: String,
    /// Reads that have begun, counted: one that begins after a request has a higher number than there was.
    begun: AtomicU64,
    rounds: watch::Sender<Round>,
    /// Only what those who wait must know: it does not change with every round.
    moves: watch::Sender<Option<(String, i64, bool)>>,
    wanted: Notify,
    frames: broadcast::Sender<Told>,
    crowd: Mutex<Crowd>,
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
struct Crowd {
    waiting: usize,
    streaming: usize,
    /// A task reads for them.
    at_work: bool,
}

#[derive(Default)]
struct Said {
    known: HashSet<(String, String)>,
    unwritten: HashMap<(String, String), Consumer>,
    writing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Waiting,
    Streaming,
}

impl Hub {
    fn new(pool_id: &str) -> Hub {
        Hub {
            pool_id: pool_id.to_owned(),
            begun: AtomicU64::new(0),
            rounds: watch::Sender::new(Round::default()),
            moves: watch::Sender::new(None),
            wanted: Notify::new(),
            frames: broadcast::Sender::new(FRAMES),
            crowd: Mutex::default(),
            spans: Cache::new(32),
            said: Mutex::default(),
        }
    }

    /// A place among those who follow; `None` if there is none left. `start` is called if nobody reads for them yet.
    pub fn enter(self: &Arc<Hub>, how: How, start: impl FnOnce(Reader)) -> Option<Place> {
        let idle = {
            let mut crowd = lock(&self.crowd);
            let (count, most) = crowd.of(how);
            if *count >= most {
                return None;
            }
            *count += 1;
            !std::mem::replace(&mut crowd.at_work, true)
        };
        if idle {
            start(Reader { hub: self.clone(), left: false });
        }
        Some(Place { hub: self.clone(), how })
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

    /// Whether this consumer was let in before.
    pub fn knows(&self, owner: &str, consumer: &str) -> bool {
        lock(&self.said).known.contains(&(owner.to_owned(), consumer.to_owned()))
    }

    /// Keeps what a consumer says until it is written down. True: somebody must see to that.
    pub fn say(&self, said: Consumer) -> bool {
        let mut all = lock(&self.said);
        let name = (said.owner.clone(), said.consumer.clone());
        if i64::try_from(all.known.len()).unwrap_or(i64::MAX) >= MAX_CONSUMERS {
            all.known.clear();
        }
        all.known.insert(name.clone());
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

impl Crowd {
    fn of(&mut self, how: How) -> (&mut usize, usize) {
        match how {
            How::Waiting => (&mut self.waiting, MAX_WAITING),
            How::Streaming => (&mut self.streaming, MAX_STREAMING),
        }
    }
}

/// Held by whoever follows.
pub struct Place {
    hub: Arc<Hub>,
    how: How,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut crowd = lock(&self.hub.crowd);
        let (count, _) = crowd.of(self.how);
        *count = count.saturating_sub(1);
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
        crowd.at_work = crowd.waiting + crowd.streaming > 0;
        self.left = !crowd.at_work;
        crowd.at_work.then_some(crowd.streaming)
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
            lock(&self.hub.crowd).at_work = false;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_pool_has_places_for_so_many_and_a_place_that_is_left_is_free() {
        let feeds = Feeds::default();
        let hub = feeds.hub("p");
        let mut places: Vec<Place> =
            (0..MAX_STREAMING).map(|_| hub.enter(How::Streaming, |_| ()).unwrap()).collect();
        assert!(hub.enter(How::Streaming, |_| ()).is_none());
        assert!(
            hub.enter(How::Waiting, |_| ()).is_some(),
            "those who wait have places of their own"
        );
        assert_eq!(feeds.crowd(), (0, MAX_STREAMING));
        places.pop();
        assert!(hub.enter(How::Streaming, |_| ()).is_some());
    }

    #[test]
    fn one_reader_is_there_while_anybody_follows_and_another_after_it_is_gone() {
        let hub = Feeds::default().hub("p");
        let (mut first, mut second) = (None, None);
        let place = hub.enter(How::Waiting, |reader| first = Some(reader));
        hub.enter(How::Waiting, |_| panic!("there is one"));
        let mut reader = first.take().unwrap();
        assert_eq!(reader.goes_on(), Some(0));
        drop(place);
        assert_eq!(reader.goes_on(), None);
        let _place = hub.enter(How::Streaming, |reader| second = Some(reader)).unwrap();
        drop(reader);
        assert_eq!(second.as_mut().unwrap().goes_on(), Some(1), "the old one took nothing along");
        // One that panics is followed by another.
        drop(second);
        let mut third = None;
        let _other = hub.enter(How::Waiting, |reader| third = Some(reader)).unwrap();
        assert!(third.is_some());
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
