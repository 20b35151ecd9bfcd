//! The conformance suite of the storage layer: each test runs on SQLite and, where there is one, on PostgreSQL.

pub mod bed;
mod model;

use cenote::error::Kind;
use cenote::params;
use cenote::store::{Batch, Db, Options, Rank, Val};

use bed::{Bed, INSERT, TABLES, beds, miss, pause, pg, sqlite, submitted_and_dropped, together};

#[tokio::test(flavor = "multi_thread")]
async fn every_value_comes_back_as_it_went_in() {
    let texts = ["", "ann", "O'Hara -- ?1 $1", "é e\u{301} ß 𝄞", &"x".repeat(1 << 20)];
    let blobs = [vec![], vec![0], (0..=255).collect(), vec![7; 1 << 20]];
    let integers = [0, 1, -1, i64::MIN, i64::MAX, 1_700_000_000_000];
    let numbers = [0.0, 0.1, -1.5, 1.0, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY];
    for bed in beds("values").await {
        for n in 0..8 {
            let (text, blob) = (texts.get(n).copied(), blobs.get(n).cloned());
            let (integer, number) = (integers.get(n).copied(), numbers.get(n).copied());
            let insert = "INSERT INTO vals (id, t, b, i, f) VALUES (?1, ?2, ?3, ?4, ?5)";
            bed.run(insert, params![n as i64, text, blob.clone(), integer, number]).await.unwrap();
            let row = bed
                .db
                .one("SELECT t, b, i, f FROM vals WHERE id = ?1", &params![n as i64])
                .await
                .unwrap()
                .unwrap();
            assert_eq!(row.opt_text(0).unwrap(), text);
            assert_eq!(row.opt_string(0).unwrap().as_deref(), text);
            assert_eq!(row.opt_blob(1).unwrap(), blob.as_deref());
            assert_eq!(row.opt_i64(2).unwrap(), integer);
            assert_eq!(row.opt_f64(3).unwrap(), number);
        }
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_type_or_an_unexpected_null_names_its_column() {
    for bed in beds("types").await {
        bed.run("INSERT INTO vals (id, t) VALUES (2, 'x')", params![]).await.unwrap();
        let row = bed.db.one("SELECT id, t, b FROM vals", &[]).await.unwrap().unwrap();
        for (error, column) in [
            (row.text(0).unwrap_err(), "column 0"),
            (row.i64(1).unwrap_err(), "column 1"),
            (row.blob(2).unwrap_err(), "column 2"),
            (row.bool(0).unwrap_err(), "column 0"),
            (row.i64(9).unwrap_err(), "column 9"),
        ] {
            assert_eq!(error.kind, Kind::Internal);
            assert!(error.cause().unwrap().contains(column), "{error:?}");
        }
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_one_database_cannot_hold_is_refused_by_both() {
    for bed in beds("refused").await {
        let nul = bed.run(INSERT, params!["a\0b", 1]).await.unwrap_err();
        assert_eq!(nul.kind, Kind::InvalidParameter);
        let nul =
            bed.db.one("SELECT n FROM items WHERE id = ?1", &params!["a\0b"]).await.unwrap_err();
        assert_eq!(nul.kind, Kind::InvalidParameter);
        let nan = bed
            .run("INSERT INTO vals (id, f) VALUES (1, ?1)", params![f64::NAN])
            .await
            .unwrap_err();
        assert_eq!(nan.kind, Kind::Internal);
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_numbered_not_counted() {
    for bed in beds("numbered").await {
        let sql = "INSERT INTO vals (id, t, i) VALUES (?10, ?2 || ?1 || ?9 || ?2, CAST(?11 AS BIGINT) + ?3 + ?4 + ?5 + ?6 + ?7 + ?8)";
        bed.run(sql, params!["one", "two", 1, 1, 1, 1, 1, 1, "nine", 10, 100]).await.unwrap();
        let row = bed.db.one("SELECT id, t, i FROM vals", &[]).await.unwrap().unwrap();
        assert_eq!(
            (row.i64(0).unwrap(), row.text(1).unwrap(), row.i64(2).unwrap()),
            (10, "twooneninetwo", 106)
        );
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_32_redeemers_exactly_one_wins() {
    for bed in beds("redeem").await {
        bed.insert("code", 0).await;
        let redeem = "UPDATE items SET n = ?2 WHERE id = ?1 AND n = 0";
        let racers = (1..=32).map(|racer| {
            let db = bed.db.clone();
            tokio::spawn(async move {
                let mut batch = Batch::new();
                batch.one(Rank::Code, redeem, params!["code", racer], miss());
                batch.one(Rank::Record, INSERT, params![format!("session {racer}"), racer], miss());
                db.commit(batch).await.map(|()| racer)
            })
        });
        let outcomes = together(racers.collect::<Vec<_>>()).await;
        let (won, lost): (Vec<_>, Vec<_>) =
            outcomes.into_iter().map(Result::unwrap).partition(Result::is_ok);
        assert!(
            lost.iter().all(|outcome| outcome.as_ref().unwrap_err().kind == Kind::CodeMismatch)
        );
        let winner = *won[0].as_ref().unwrap();
        assert_eq!(won.len(), 1);
        assert_eq!(
            bed.items().await,
            [("code".into(), winner.into()), (format!("session {winner}"), winner.into())]
        );
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_fails_does_not_spoil_its_neighbours() {
    for bed in beds("neighbours").await {
        bed.insert("taken", 0).await;
        let db = &bed.db;
        let outcomes = together((0..64).map(|n| async move {
            let mut batch = Batch::new();
            batch.one(Rank::User, INSERT, params![format!("{n:02}"), n], miss());
            match n % 4 {
                0 => batch.one(
                    Rank::Record,
                    "UPDATE items SET n = 1 WHERE id = ?1",
                    params!["nobody"],
                    miss(),
                ),
                1 => batch.one(Rank::Record, INSERT, params!["taken", 1], miss()),
                2 => batch.any(
                    Rank::Record,
                    "UPDATE items SET tag = NULL WHERE id = ?1",
                    params![format!("{n:02}")],
                ),
                _ => {}
            }
            db.commit(batch).await.map_err(|error| error.kind)
        }))
        .await;
        for (n, outcome) in outcomes.into_iter().enumerate() {
            let expected =
                [Err(Kind::CodeMismatch), Err(Kind::CodeMismatch), Err(Kind::Internal), Ok(())];
            assert_eq!(outcome, expected[n % 4], "batch {n}");
        }
        let stored: Vec<_> = bed.items().await.into_iter().map(|(id, _)| id).collect();
        let expected: Vec<_> =
            (0..16).map(|n| format!("{:02}", n * 4 + 3)).chain(["taken".into()]).collect();
        assert_eq!(stored, expected);
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_violation_is_the_miss_of_its_statement() {
    for bed in beds("unique").await {
        bed.insert("ann", 1).await;
        assert_eq!(bed.run(INSERT, params!["ann", 2]).await.unwrap_err().kind, Kind::CodeMismatch);
        let mut unguarded = Batch::new();
        unguarded.any(Rank::User, INSERT, params!["ann", 2]);
        assert_eq!(bed.db.commit(unguarded).await.unwrap_err().kind, Kind::Internal);
        let null = bed.run(INSERT, params!["bob", Val::Null]).await.unwrap_err();
        assert_eq!(null.kind, Kind::Internal);
        assert_eq!(bed.items().await, [("ann".into(), 1)]);
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_rows_are_a_miss_as_well_and_are_undone() {
    for bed in beds("count").await {
        bed.insert("a", 1).await;
        bed.insert("b", 1).await;
        assert_eq!(
            bed.run("UPDATE items SET n = 9", params![]).await.unwrap_err().kind,
            Kind::CodeMismatch
        );
        assert_eq!(bed.items().await, [("a".into(), 1), ("b".into(), 1)]);
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_run_in_rank_order_however_they_were_added() {
    for bed in beds("ranks").await {
        bed.insert("a", 1).await;
        let mut batch = Batch::new();
        batch.one(Rank::Job, "UPDATE items SET n = n * 10 WHERE n = 9", params![], miss());
        batch.one(Rank::User, "UPDATE items SET n = n + 1 WHERE n = 1", params![], miss());
        let mut more = Batch::new();
        more.one(Rank::Code, "UPDATE items SET n = n * 3 WHERE n = 3", params![], miss());
        more.one(Rank::User, "UPDATE items SET n = n + 1 WHERE n = 2", params![], miss());
        batch.append(more);
        bed.db.commit(batch).await.unwrap();
        assert_eq!(bed.items().await, [("a".into(), 90)]);
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_runs_to_its_end_when_the_caller_goes_away() {
    for bed in beds("dropped").await {
        let mut batch = Batch::new();
        for n in 0..50 {
            batch.one(Rank::Record, INSERT, params![format!("{n:02}"), n], miss());
        }
        submitted_and_dropped(bed.db.commit(batch)).await;
        loop {
            match bed.items().await.len() {
                0 => pause().await,
                50 => break,
                part => panic!("{part} of 50 rows are visible"),
            }
        }
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_go_by_bytes_on_both_databases() {
    let mut names = [
        "b", "B", "a", "Z", "z", "_", "~", "10", "9", "é", "e\u{301}", "ß", "ss", "\u{ffff}", "𝄞",
        "a b", "a-b", "ab",
    ];
    for bed in beds("pages").await {
        for name in names {
            bed.insert(name, 0).await;
        }
        let mut seen = vec![];
        let mut after = String::new();
        loop {
            let page = "SELECT id FROM items WHERE (id, n) > (?1, ?2) ORDER BY id, n LIMIT ?3";
            let rows = bed.db.scan(page, params![&after, 0, 5]).await.unwrap();
            let Some(last) = rows.last() else { break };
            after = last.string(0).unwrap();
            seen.extend(rows.iter().map(|row| row.string(0).unwrap()));
        }
        names.sort_unstable();
        assert_eq!(seen, names);
        let prefix = bed
            .db
            .scan("SELECT id FROM items WHERE id >= ?1 AND id < ?2", params!["a", "b"])
            .await
            .unwrap();
        assert_eq!(prefix.len(), 4);
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_answers_and_knows_the_time() {
    for bed in beds("ping").await {
        bed.db.ping().await.unwrap();
        let time = bed.db.clock_ms().await.unwrap();
        assert!(time > 1_700_000_000_000 && time < 10_000_000_000_000, "{time}");
        bed.db.commit(Batch::new()).await.unwrap();
        let db = bed.db.clone();
        bed.end().await;
        assert_eq!(db.ping().await.unwrap_err().kind, Kind::ServiceUnavailable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_503_until_there_is_room_again() {
    let bed = sqlite("full", Options { max_page_count: Some(60), ..Options::default() }).await;
    bed.db.migrate(TABLES).await.unwrap();
    let insert = "INSERT INTO vals (id, b) VALUES (?1, ?2)";
    let db = &bed.db;
    // Groups of commits: those of a group that SQLite undid must all say so.
    let outcomes = together((0..200_i64).map(|n| async move {
        let mut batch = Batch::new();
        batch.one(Rank::Record, insert, params![n, vec![0; 2_000]], miss());
        (n, db.commit(batch).await)
    }))
    .await;
    let mut done = vec![];
    for (n, outcome) in outcomes {
        match outcome {
            Ok(()) => done.push(n),
            Err(error) => assert_eq!(error.kind, Kind::ServiceUnavailable, "{error:?}"),
        }
    }
    assert!(done.len() < 200);
    let big = params![1_000, vec![0; 300_000]];
    assert_eq!(bed.run(insert, big.clone()).await.unwrap_err().kind, Kind::ServiceUnavailable);
    let rows = bed.db.query("SELECT id FROM vals ORDER BY id", &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.i64(0).unwrap()).collect::<Vec<_>>(), done);
    let mut room = Batch::new();
    room.any(Rank::Record, "DELETE FROM vals", params![]);
    bed.db.commit(room).await.unwrap();
    bed.run(insert, params![1_001, vec![0; 20_000]]).await.unwrap();
    assert_eq!(bed.run(insert, big).await.unwrap_err().kind, Kind::ServiceUnavailable);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_write_queue_is_a_503_at_once_and_loses_nothing_else() {
    let bed = sqlite("queue", Options::default()).await;
    bed.db.migrate(TABLES).await.unwrap();
    // Another process writes, so the writer waits and the queue fills.
    let other = rusqlite::Connection::open(bed.url.trim_start_matches("sqlite://")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (db, other) = (&bed, &other);
    let outcomes = together((0..1_500_i64).map(|n| async move {
        if n == 1_499 {
            other.execute_batch("COMMIT").unwrap();
        }
        db.run(INSERT, params![format!("{n:04}"), n]).await
    }))
    .await;
    let (done, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
    assert!(
        done.len() >= 1_024 && !refused.is_empty(),
        "{} done, {} refused",
        done.len(),
        refused.len()
    );
    assert!(
        refused.into_iter().all(|outcome| outcome.unwrap_err().kind == Kind::ServiceUnavailable)
    );
    assert_eq!(bed.items().await.len(), done.len());
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_file_is_refused() {
    let bed = sqlite("second", Options::default()).await;
    let refused = Db::open(&bed.url, Options::default()).await.err().unwrap();
    assert!(
        refused.message.contains("cenote.db.lock") && refused.message.contains("Another server"),
        "{refused}"
    );
    // An operator's command shares the file.
    let command = Db::open(&bed.url, Options { lock: false, ..Options::default() }).await.unwrap();
    command.migrate(TABLES).await.unwrap();
    bed.insert("ann", 1).await;
    assert_eq!(command.query("SELECT id FROM items", &[]).await.unwrap().len(), 1);
    command.close().await;
    bed.db.close().await;
    Db::open(&bed.url, Options::default()).await.unwrap().close().await;
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_file_belongs_to_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let bed = sqlite("mode", Options::default()).await;
    bed.db.migrate(TABLES).await.unwrap();
    bed.insert("ann", 1).await;
    let file = std::path::Path::new(bed.url.trim_start_matches("sqlite://"));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(file.parent().unwrap()), 0o700);
    assert_eq!((mode(file), mode(&file.with_extension("db-wal"))), (0o600, 0o600));
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_once_however_many_start_together() {
    for bed in [Some(sqlite("together", Options::default()).await), pg("together").await]
        .into_iter()
        .flatten()
    {
        let nodes = together((0..4).map(|_| async {
            Db::open(&bed.url, Options { lock: false, pool_size: 2, ..Options::default() })
                .await
                .unwrap()
        }))
        .await;
        let runs = nodes
            .iter()
            .cloned()
            .map(|node| tokio::spawn(async move { node.migrate(TABLES).await }));
        for outcome in together(runs.collect::<Vec<_>>()).await {
            outcome.unwrap().unwrap();
        }
        for node in nodes {
            node.close().await;
        }
        bed.insert("ann", 1).await;
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_release_refuses_a_newer_schema() {
    let newer = [TABLES[0], "ALTER TABLE items ADD COLUMN extra TEXT"];
    for bed in beds("older").await {
        bed.insert("ann", 1).await;
        bed.db.migrate(&newer).await.unwrap();
        bed.db.migrate(&newer).await.unwrap();
        let refused = bed.db.migrate(TABLES).await.unwrap_err();
        assert!(
            refused.message.contains("schema version 2")
                && refused.message.contains("newer release"),
            "{refused}"
        );
        assert_eq!(bed.items().await, [("ann".into(), 1)]);
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_changes_nothing() {
    for bed in beds("broken").await {
        let broken = [TABLES[0], "CREATE TABLE half (id TEXT); CREATE TABLE half (id TEXT)"];
        let refused = bed.db.migrate(&broken).await.unwrap_err();
        assert!(refused.message.contains("Migration 2"), "{refused}");
        assert!(bed.db.query("SELECT id FROM half", &[]).await.is_err());
        bed.db.migrate(&[TABLES[0], "CREATE TABLE half (id TEXT)"]).await.unwrap();
        bed.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_that_makes_no_sense_is_explained() {
    for (url, word) in [
        ("mysql://x", "sqlite: or postgres"),
        ("sqlite::memory:", "must name a file"),
        ("sqlite:", "must name a file"),
        ("postgres://ann:secret@localhost:1/x?sslmode=sometimes", "sslmode"),
        ("postgres://ann:secret@127.0.0.1:1/x", "Cannot connect"),
    ] {
        let refused = Db::open(url, Options::default()).await.err().unwrap();
        assert!(refused.message.contains(word), "{refused}");
        assert!(!format!("{refused:?}").contains("secret"), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_lost_in_the_middle_is_a_503_and_the_next_one_works() {
    let Some(bed) = pg("lost").await else { return };
    bed.db.migrate(TABLES).await.unwrap();
    bed.insert("ann", 1).await;
    let (holder, killer) = (bed.outside().await, bed.outside().await);
    holder.run("BEGIN; UPDATE items SET n = 2 WHERE id = 'ann'").await;
    let db = bed.db.clone();
    let stuck = tokio::spawn(async move {
        let mut batch = Batch::new();
        batch.one(Rank::User, INSERT, params!["bob", 1], miss());
        batch.one(Rank::Record, "UPDATE items SET n = 3 WHERE id = ?1", params!["ann"], miss());
        db.commit(batch).await
    });
    killer.waiting(&bed, 1).await;
    killer.terminate(&bed).await;
    assert_eq!(stuck.await.unwrap().unwrap_err().kind, Kind::ServiceUnavailable);
    holder.run("COMMIT").await;
    bed.insert("cid", 4).await;
    assert_eq!(bed.items().await, [("ann".into(), 2), ("cid".into(), 4)]);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_connections_of_a_restarted_server_fail_nobody() {
    let Some(bed) = pg("stale").await else { return };
    bed.db.migrate(TABLES).await.unwrap();
    let killer = bed.outside().await;
    for round in 0..10 {
        // Fill the pool, so that one bad connection is not the only one.
        for rows in
            together((0..16).map(|_| bed.db.query("SELECT pg_sleep(0.01)::text", &[]))).await
        {
            rows.unwrap();
        }
        killer.terminate(&bed).await;
        if round % 2 == 0 {
            for rows in together((0..16).map(|_| bed.db.query("SELECT 1", &[]))).await {
                rows.unwrap();
            }
        } else {
            bed.insert(&format!("{round}"), round).await;
        }
    }
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_a_conflict() {
    let Some(bed) = pg("deadlock").await else { return };
    bed.db.migrate(TABLES).await.unwrap();
    bed.insert("a", 1).await;
    bed.insert("b", 1).await;
    let (other, watcher) = (bed.outside().await, bed.outside().await);
    // The other side is patient, so that the batch is the victim.
    other.run("SET deadlock_timeout = '1min'; BEGIN; UPDATE items SET n = 2 WHERE id = 'b'").await;
    let db = bed.db.clone();
    let batch = tokio::spawn(async move {
        let mut batch = Batch::new();
        batch.one(Rank::User, "UPDATE items SET n = 3 WHERE id = ?1", params!["a"], miss());
        batch.one(Rank::User, "UPDATE items SET n = 3 WHERE id = ?1", params!["b"], miss());
        db.commit(batch).await
    });
    watcher.waiting(&bed, 1).await;
    other.run("UPDATE items SET n = 2 WHERE id = 'a'; COMMIT").await;
    assert!(batch.await.unwrap().unwrap_err().is_conflict());
    assert_eq!(bed.items().await, [("a".into(), 2), ("b".into(), 2)]);
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_outside_of_a_transaction_cannot_write() {
    let Some(bed) = pg("readonly").await else { return };
    bed.db.migrate(TABLES).await.unwrap();
    // What would happen to the statements of a batch if its BEGIN alone failed.
    assert!(
        bed.db
            .query("INSERT INTO items (id, n, tag) VALUES ('a', 1, 1) RETURNING id", &[])
            .await
            .is_err()
    );
    assert!(bed.items().await.is_empty());
    bed.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_and_lists_cannot_write_on_sqlite() {
    let bed: Bed = sqlite("query_only", Options::default()).await;
    bed.db.migrate(TABLES).await.unwrap();
    assert!(
        bed.db
            .query("INSERT INTO items (id, n, tag) VALUES ('a', 1, 1) RETURNING id", &[])
            .await
            .is_err()
    );
    bed.end().await;
}
