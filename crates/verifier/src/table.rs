//! What is revoked, by key: read by any number of threads without a lock. Those who write wait for each other: one task adds what the
//! feed says, another sweeps.
//!
//! The keys are hashes, so their first bits share them out evenly over shards. A shard never changes: a change makes a new one (some
//! hundred entries at a million) with the two lists of pointers that lead to it, and swaps one pointer. So a sign-out costs little
//! whatever is known already, and nothing is ever rebuilt as a whole.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use crate::key::{Entry, Key16};

/// 4,096 shards in 64 groups. At ten million entries a change copies 2,400 of them.
const WIDTH: usize = 64;

type Shard = Arc<HashMap<Key16, Times, Ready>>;
type Group = Arc<[Shard]>;

#[derive(Clone, Copy)]
struct Times {
    not_before_ms: u64,
    drop_after_ms: u64,
}

#[derive(Clone)]
struct Root(Vec<Group>);

pub struct Table(ArcSwap<Root>, Mutex<()>);

impl Default for Table {
    fn default() -> Table {
        let none = Shard::default();
        let group: Group = (0..WIDTH).map(|_| none.clone()).collect();
        let root = Root((0..WIDTH).map(|_| group.clone()).collect());
        Table(ArcSwap::from_pointee(root), Mutex::default())
    }
}

/// The table at one moment.
pub struct View(Guard<Arc<Root>>);

impl View {
    /// The boundary under this key, if there is one.
    pub fn not_before(&self, key: &Key16) -> Option<u64> {
        let (group, at) = place(key);
        self.0.0.get(group)?.get(at)?.get(key).map(|times| times.not_before_ms)
    }
}

impl Table {
    pub fn new() -> Table {
        Table::default()
    }

    /// For several look-ups at once.
    pub fn view(&self) -> View {
        View(self.0.load())
    }

    pub fn not_before(&self, key: &Key16) -> Option<u64> {
        self.view().not_before(key)
    }

    /// Adds records. Of one key the later boundary and the later end count, so their order does not matter.
    pub fn add(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_unstable_by_key(|entry| entry.key);
        self.add_sorted(entries.iter().copied());
    }

    /// Adds what is sorted by key already, as a snapshot is. Nothing is forgotten: what is here and not there stays until its end.
    pub fn add_sorted(&self, entries: impl Iterator<Item = Entry> + Clone) {
        let mut entries = entries.peekable();
        if entries.peek().is_none() {
            return;
        }
        let _alone = self.writing();
        let mut root = Root::clone(&self.0.load());
        while let Some(here) = entries.peek().map(|entry| place(&entry.key)) {
            let these = entries.clone().take_while(|entry| place(&entry.key) == here).count();
            let Some(shard) = root.shard(here) else { return };
            // Exactly as large as it has to be, and taken apart by nobody who reads the old one.
            let mut changed = HashMap::with_capacity_and_hasher(shard.len() + these, Ready);
            changed.extend(shard.iter().map(|(key, times)| (*key, *times)));
            for entry in entries.by_ref().take(these) {
                let Entry { key, not_before_ms, drop_after_ms } = entry;
                let times = changed.entry(key).or_insert(Times { not_before_ms, drop_after_ms });
                times.not_before_ms = times.not_before_ms.max(not_before_ms);
                times.drop_after_ms = times.drop_after_ms.max(drop_after_ms);
            }
            *shard = changed.into();
        }
        self.0.store(root.into());
    }

    /// Removes what ended before `now_ms`.
    pub fn sweep(&self, now_ms: u64) {
        let _alone = self.writing();
        let old = self.0.load();
        let mut root = Root::clone(&old);
        for (here, shard) in old.shards() {
            let alive = shard.iter().filter(|(_, times)| times.drop_after_ms >= now_ms);
            let left = alive.clone().count();
            if left < shard.len()
                && let Some(place) = root.shard(here)
            {
                let mut kept = HashMap::with_capacity_and_hasher(left, Ready);
                kept.extend(alive.map(|(key, times)| (*key, *times)));
                *place = kept.into();
            }
        }
        self.0.store(root.into());
    }

    /// From reading what there is to putting another in its place: who came between would be overwritten.
    fn writing(&self) -> MutexGuard<'_, ()> {
        self.1.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.0.load().shards().map(|(_, shard)| shard.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries in the order of their keys.
    pub fn entries(&self) -> Vec<Entry> {
        let root = self.0.load();
        let all = root.shards().flat_map(|(_, shard)| shard.iter());
        let mut all: Vec<Entry> = all
            .map(|(key, Times { not_before_ms, drop_after_ms })| Entry {
                key: *key,
                not_before_ms: *not_before_ms,
                drop_after_ms: *drop_after_ms,
            })
            .collect();
        all.sort_unstable_by_key(|entry| entry.key);
        all
    }
}

impl Root {
    fn shards(&self) -> impl Iterator<Item = ((usize, usize), &Shard)> {
        self.0.iter().enumerate().flat_map(|(group, shards)| {
            shards.iter().enumerate().map(move |(at, shard)| ((group, at), shard))
        })
    }

    /// To be replaced. The group's pointers are copied when the first of them is; what others read stays as it is.
    fn shard(&mut self, (group, at): (usize, usize)) -> Option<&mut Shard> {
        Arc::make_mut(self.0.get_mut(group)?).get_mut(at)
    }
}

fn place(key: &Key16) -> (usize, usize) {
    let [a, b, ..] = *key;
    (usize::from(a >> 2), usize::from((a & 3) << 4 | b >> 4))
}

/// The keys are hashes already, of ids that no stranger chooses: their last bytes will do.
#[derive(Clone, Copy, Default)]
struct Ready;

struct LastBytes(u64);

impl BuildHasher for Ready {
    type Hasher = LastBytes;

    fn build_hasher(&self) -> LastBytes {
        LastBytes(0)
    }
}

impl Hasher for LastBytes {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(last) = bytes.last_chunk::<8>() {
            self.0 = u64::from_be_bytes(*last);
        }
    }

    /// The length, which is always the same.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn entry(n: u64) -> Entry {
        let key = Kind::User.key16("p_1", &n.to_string());
        Entry { key, not_before_ms: n + 1, drop_after_ms: 1_000 + n }
    }

    #[test]
    fn every_key_is_found_and_no_other() {
        for size in [0, 1, 2, 3, 100, 20_000, 100_000] {
            let table = Table::new();
            (0..size)
                .step_by(777)
                .for_each(|from| table.add((from..size.min(from + 777)).map(entry)));
            assert_eq!(table.len() as u64, size);
            for n in 0..size {
                assert_eq!(table.not_before(&entry(n).key), Some(n + 1));
            }
            for n in size..size + 1_000 {
                assert_eq!(table.not_before(&entry(n).key), None);
            }
        }
    }

    #[test]
    fn keys_that_are_not_evenly_spread_are_found_too() {
        let table = Table::new();
        let key = |n: u64| {
            let mut key = [0; 16];
            key[8..].copy_from_slice(&n.to_be_bytes());
            key
        };
        table.add((1..1_000).map(|n| Entry { key: key(n), not_before_ms: n, drop_after_ms: 0 }));
        for n in 1..1_000 {
            assert_eq!(table.not_before(&key(n)), Some(n));
        }
        assert_eq!(table.not_before(&key(0)), None);
        assert_eq!(table.not_before(&key(1_000)), None);
        assert_eq!(table.not_before(&[255; 16]), None);
    }

    #[test]
    fn of_two_records_of_one_key_the_later_boundary_and_the_later_end_count_in_any_order() {
        let (a, b) = (entry(1), Entry { not_before_ms: 50, drop_after_ms: 7, ..entry(1) });
        for order in [vec![a, b], vec![b, a]] {
            let (together, apart) = (Table::new(), Table::new());
            together.add(order.clone());
            order.into_iter().for_each(|entry| apart.add([entry]));
            for table in [together, apart] {
                let joined = Entry { key: a.key, not_before_ms: 50, drop_after_ms: 1_001 };
                assert_eq!(table.entries(), [joined]);
            }
        }
    }

    #[test]
    fn what_is_added_while_another_thread_sweeps_is_not_lost() {
        let table = Table::new();
        table.add((0..5_000).map(entry));
        let added = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                let mut now = 1_000;
                while !added.load(std::sync::atomic::Ordering::SeqCst) {
                    table.sweep(now);
                    now += 1;
                }
            });
            let late = |n| Entry { drop_after_ms: u64::MAX, ..entry(n) };
            (10_000..13_000).for_each(|n| table.add([late(n)]));
            added.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        for n in 10_000..13_000 {
            assert_eq!(table.not_before(&entry(n).key), Some(n + 1));
        }
    }

    #[test]
    fn what_is_over_is_swept_and_what_is_not_stays() {
        let table = Table::new();
        table.add((0..100).map(entry));
        table.sweep(1_050);
        assert_eq!(table.len(), 50);
        assert_eq!(table.not_before(&entry(49).key), None);
        assert_eq!(table.not_before(&entry(50).key), Some(51));
    }
}
