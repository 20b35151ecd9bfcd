//! Seeded random batches against a serial oracle: the same answers and the same rows, on both databases.

use std::collections::BTreeMap;

use cenote::ambient::{Random, SeededRandom};
use cenote::error::{Error, Kind};
use cenote::params;
use cenote::store::{Batch, Rank};

use super::bed::{Bed, INSERT, beds, together};

#[tokio::test(flavor = "multi_thread")]
async fn random_batches_one_by_one_agree_with_the_oracle() {
    for bed in beds("model_serial").await {
        for seed in 0..4 {
            let mut dice = Dice::new(seed);
            let mut oracle = Oracle::default();
            bed.db.commit(clear()).await.unwrap();
            for step in 0..100 {
                let plan = plan(&mut dice);
                let expected = oracle.apply(&plan);
                assert_eq!(
                    answer(bed.db.commit(batch(&plan)).await),
                    expected,
                    "seed {seed} step {step}: {plan:?}"
                );
                assert_eq!(stored(&bed).await, oracle.rows, "seed {seed} step {step}: {plan:?}");
            }
        }
        bed.end().await;
    }
}

/// On SQLite batches that are submitted in order commit in order, whatever groups they fall into.
#[tokio::test(flavor = "multi_thread")]
async fn random_batches_in_groups_agree_with_the_oracle() {
    for bed in beds("model_groups").await {
        if bed.db.is_sqlite() {
            let mut dice = Dice::new(99);
            let mut oracle = Oracle::default();
            for step in 0..40 {
                let plans: Vec<_> = (0..50).map(|_| plan(&mut dice)).collect();
                let expected: Vec<_> = plans.iter().map(|plan| oracle.apply(plan)).collect();
                let answers = together(plans.iter().map(|plan| bed.db.commit(batch(plan)))).await;
                assert_eq!(
                    answers.into_iter().map(answer).collect::<Vec<_>>(),
                    expected,
                    "step {step}"
                );
                assert_eq!(stored(&bed).await, oracle.rows, "step {step}");
            }
        }
        bed.end().await;
    }
}

/// Concurrent transfers have no fixed order, but no order of them makes or loses money or overdraws an account.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_transfers_keep_the_sum_and_never_overdraw() {
    for bed in beds("transfers").await {
        for id in ["a", "b", "c", "d"] {
            bed.insert(id, 20).await;
        }
        let mut dice = Dice::new(7);
        let transfers = (0..300).map(|_| {
            let (from, to, amount) = (dice.id(4), dice.id(4), dice.roll(15) + 1);
            let db = bed.db.clone();
            tokio::spawn(async move {
                let mut lines = [(from, -amount), (to, amount)];
                // Rows of one rank are locked in the order of their keys.
                lines.sort();
                let mut batch = Batch::new();
                for (id, change) in lines {
                    let guarded = "UPDATE items SET n = n + ?2 WHERE id = ?1 AND n >= 0 - ?2";
                    batch.one(Rank::User, guarded, params![id, change], miss(0));
                }
                db.commit(batch).await
            })
        });
        let outcomes = together(transfers.collect::<Vec<_>>()).await;
        let done = outcomes
            .into_iter()
            .map(|outcome| answer(outcome.unwrap()))
            .filter(Result::is_ok)
            .count();
        assert!(done > 0 && done < 300, "{done} of 300 went through");
        let items = bed.items().await;
        assert_eq!(items.iter().map(|(_, n)| n).sum::<i64>(), 80);
        assert!(items.iter().all(|(_, n)| *n >= 0), "{items:?}");
        bed.end().await;
    }
}

type Rows = BTreeMap<String, (i64, i64)>;

#[derive(Clone, Debug)]
enum Step {
    Insert(String, i64),
    InsertUnlessThere(String, i64),
    Take(String, i64),
    Delete(String),
    TagExactly(i64, u64),
    TagAny(i64),
}

type Plan = Vec<(Rank, Step)>;

fn plan(dice: &mut Dice) -> Plan {
    let ranks = [Rank::Pool, Rank::User, Rank::Record];
    (0..dice.roll(4) + 1)
        .map(|_| {
            let rank = ranks[dice.roll(3) as usize];
            let step = match dice.roll(8) {
                0..=1 => Step::Insert(dice.id(6), dice.roll(10)),
                2 => Step::InsertUnlessThere(dice.id(6), dice.roll(10)),
                3..=4 => Step::Take(dice.id(6), dice.roll(6) - 2),
                5 => Step::Delete(dice.id(6)),
                6 => Step::TagExactly(dice.roll(8), dice.roll(4) as u64),
                _ => Step::TagAny(dice.roll(8)),
            };
            (rank, step)
        })
        .collect()
}

fn batch(plan: &Plan) -> Batch {
    let mut batch = Batch::new();
    for (index, (rank, step)) in plan.iter().enumerate() {
        let (rank, miss) = (*rank, miss(index));
        match step {
            Step::Insert(id, n) => batch.one(rank, INSERT, params![id, *n], miss),
            Step::InsertUnlessThere(id, n) => {
                let sql =
                    "INSERT INTO items (id, n, tag) VALUES (?1, ?2, 1) ON CONFLICT (id) DO NOTHING";
                batch.one(rank, sql, params![id, *n], miss);
            }
            Step::Take(id, n) => {
                batch.one(
                    rank,
                    "UPDATE items SET n = n - ?2 WHERE id = ?1 AND n >= ?2",
                    params![id, *n],
                    miss,
                );
            }
            Step::Delete(id) => {
                batch.one(rank, "DELETE FROM items WHERE id = ?1", params![id], miss)
            }
            Step::TagExactly(n, rows) => {
                batch.exactly(
                    rank,
                    *rows,
                    "UPDATE items SET tag = tag + 1 WHERE n > ?1",
                    params![*n],
                    miss,
                );
            }
            Step::TagAny(n) => {
                batch.any(rank, "UPDATE items SET tag = tag + 1 WHERE n > ?1", params![*n])
            }
        }
    }
    batch
}

#[derive(Default)]
struct Oracle {
    rows: Rows,
}

impl Oracle {
    /// The index of the statement that missed, or all of the plan done.
    fn apply(&mut self, plan: &Plan) -> Result<(), String> {
        let mut ordered: Vec<_> = plan.iter().enumerate().collect();
        ordered.sort_by_key(|(_, (rank, _))| *rank);
        let mut rows = self.rows.clone();
        for (index, (_, step)) in ordered {
            let hit = match step {
                Step::Insert(id, n) => {
                    !rows.contains_key(id) && rows.insert(id.clone(), (*n, 0)).is_none()
                }
                Step::InsertUnlessThere(id, n) => {
                    !rows.contains_key(id) && rows.insert(id.clone(), (*n, 1)).is_none()
                }
                Step::Take(id, n) => match rows.get_mut(id) {
                    Some(row) if row.0 >= *n => {
                        row.0 -= n;
                        true
                    }
                    _ => false,
                },
                Step::Delete(id) => rows.remove(id).is_some(),
                Step::TagExactly(n, count) => tag(&mut rows, *n) == *count,
                Step::TagAny(n) => {
                    tag(&mut rows, *n);
                    true
                }
            };
            if !hit {
                return Err(index.to_string());
            }
        }
        self.rows = rows;
        Ok(())
    }
}

fn tag(rows: &mut Rows, n: i64) -> u64 {
    let mut count = 0;
    for row in rows.values_mut().filter(|row| row.0 > n) {
        row.1 += 1;
        count += 1;
    }
    count
}

fn miss(index: usize) -> Error {
    Error::new(Kind::CodeMismatch, index.to_string())
}

fn answer(outcome: Result<(), Error>) -> Result<(), String> {
    outcome.map_err(|error| {
        assert_eq!(error.kind, Kind::CodeMismatch, "{error:?}");
        error.message.to_string()
    })
}

fn clear() -> Batch {
    let mut batch = Batch::new();
    batch.any(Rank::Record, "DELETE FROM items", params![]);
    batch
}

async fn stored(bed: &Bed) -> Rows {
    let rows = bed.db.query("SELECT id, n, tag FROM items", &[]).await.unwrap();
    rows.iter()
        .map(|row| (row.string(0).unwrap(), (row.i64(1).unwrap(), row.i64(2).unwrap())))
        .collect()
}

struct Dice(SeededRandom);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(SeededRandom::new(seed))
    }

    fn roll(&mut self, sides: i64) -> i64 {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        i64::from(u32::from_be_bytes(bytes)) % sides
    }

    fn id(&mut self, of: i64) -> String {
        char::from(b'a' + self.roll(of) as u8).to_string()
    }
}
