//! What is revoked, by key: read by any number of threads without a lock, while one writer adds to it.
//!
//! The keys are hashes, so their first bits share them out evenly over shards. A shard is a sorted list that never changes: a change
//! makes a new list of one shard (some hundred entries at a million) and swaps a pointer. Where in its shard a key lies can be
//! reckoned from its next bits, so a look-up costs few steps at any size, and an entry takes 32 bytes, as in a snapshot.

use arc_swap::ArcSwap;

use crate::key::{Entry, Key16};

/// A power of two. At ten million entries a shard has 2,400, which is what a change copies.
const SHARDS: usize = 4_096;

pub struct Table {
    shards: Box<[ArcSwap<Vec<Entry>>]>,
}

impl Default for Table {
    fn default() -> Table {
        let none = std::sync::Arc::new(Vec::new());
        Table { shards: (0..SHARDS).map(|_| ArcSwap::new(none.clone())).collect() }
    }
}

impl Table {
    pub fn new() -> Table {
        Table::default()
    }

    /// The boundary under this key, if there is one.
    pub fn not_before(&self, key: &Key16) -> Option<u64> {
        let shard = self.shards.get(shard_of(key))?.load();
        find(&shard, key).map(|entry| entry.not_before_ms)
    }

    /// Adds records. Of one key the later boundary and the later end count, so their order does not matter.
    pub fn add(&self, entries: impl IntoIterator<Item = Entry>) {
        let mut entries: Vec<Entry> = entries.into_iter().collect();
        entries.sort_unstable_by_key(|entry| entry.key);
        self.add_sorted(entries.into_iter());
    }

    /// Adds what is sorted by key already, as a snapshot is. Nothing is forgotten: what is here and not there stays until its end.
    pub fn add_sorted(&self, entries: impl Iterator<Item = Entry>) {
        let mut entries = entries.peekable();
        while let Some(at) = entries.peek().map(|entry| shard_of(&entry.key)) {
            let mut new = Vec::new();
            while let Some(entry) = entries.next_if(|entry| shard_of(&entry.key) == at) {
                push(&mut new, entry);
            }
            if let Some(shard) = self.shards.get(at) {
                let old = shard.load();
                shard.store(merge(&old, new).into());
            }
        }
    }

    /// Removes what ended before `now_ms`.
    pub fn sweep(&self, now_ms: u64) {
        for shard in &self.shards {
            let old = shard.load();
            if old.iter().any(|entry| entry.drop_after_ms < now_ms) {
                let alive = old.iter().filter(|entry| entry.drop_after_ms >= now_ms);
                let mut kept = Vec::with_capacity(alive.clone().count());
                kept.extend(alive);
                shard.store(kept.into());
            }
        }
    }

    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.load().len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries in the order of their keys.
    pub fn entries(&self) -> Vec<Entry> {
        self.shards
            .iter()
            .flat_map(|shard| shard.load().iter().copied().collect::<Vec<_>>())
            .collect()
    }
}

fn shard_of(key: &Key16) -> usize {
    let [a, b, ..] = *key;
    usize::from(a) << 4 | usize::from(b >> 4)
}

/// Where a key lies within its shard: 32 of its bits, as a fraction.
fn fraction(key: &Key16) -> u64 {
    let [_, a, b, c, d, ..] = *key;
    u64::from(u32::from_be_bytes([a << 4 | b >> 4, b << 4 | c >> 4, c << 4 | d >> 4, d << 4]))
}

/// First a step to where the key should be, then strides that double away from it, then halving between the last two. Of evenly spread
/// keys that is a handful of neighbours; keys that are not cost no more than a binary search.
fn find<'a>(shard: &'a [Entry], key: &Key16) -> Option<&'a Entry> {
    let n = shard.len();
    let guess = usize::try_from((fraction(key) * n as u64) >> 32).ok()?;
    let is_less = |at: usize| shard.get(at).is_some_and(|entry| entry.key < *key);
    let (mut low, mut high) = (guess, guess);
    let mut stride = 4;
    if is_less(guess) {
        while is_less(high) {
            (low, high) = (high + 1, (high + stride).min(n));
            stride *= 2;
        }
    } else {
        while low > 0 && !is_less(low - 1) {
            (low, high) = (low.saturating_sub(stride), low);
            stride *= 2;
        }
    }
    let within = shard.get(low..high.min(n))?;
    let at = low + within.partition_point(|entry| entry.key < *key);
    shard.get(at).filter(|entry| entry.key == *key)
}

/// Of two sorted lists one, exactly as large as it has to be: it stays for an hour.
fn merge(old: &[Entry], new: Vec<Entry>) -> Vec<Entry> {
    if old.is_empty() {
        let mut new = new;
        new.shrink_to_fit();
        return new;
    }
    let mut merged = Vec::with_capacity(old.len() + new.len());
    let mut new = new.into_iter().peekable();
    for entry in old {
        while let Some(before) = new.next_if(|new| new.key < entry.key) {
            merged.push(before);
        }
        push(&mut merged, *entry);
        if let Some(same) = new.next_if(|new| new.key == entry.key) {
            push(&mut merged, same);
        }
    }
    merged.extend(new);
    merged.shrink_to_fit();
    merged
}

fn push(list: &mut Vec<Entry>, entry: Entry) {
    match list.last_mut() {
        Some(last) if last.key == entry.key => *last = last.join(entry),
        _ => list.push(entry),
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
    fn what_is_over_is_swept_and_what_is_not_stays() {
        let table = Table::new();
        table.add((0..100).map(entry));
        table.sweep(1_050);
        assert_eq!(table.len(), 50);
        assert_eq!(table.not_before(&entry(49).key), None);
        assert_eq!(table.not_before(&entry(50).key), Some(51));
    }
}
