//! Where the conformance suite runs: a fresh SQLite file, and a fresh schema on the PostgreSQL of `CENOTE_TEST_PG`
//! (`postgres://user@host:port/db`). With `CENOTE_TEST_REQUIRE_PG=1` a missing PostgreSQL is a failure.

use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use cenote::error::{Error, Kind};
use cenote::params;
use cenote::store::{Batch, Db, Options, Rank, Val};

pub const TABLES: &[&str] = &["
    CREATE TABLE items (id TEXT PRIMARY KEY, n BIGINT NOT NULL, tag BIGINT NOT NULL);
    CREATE TABLE vals (id BIGINT PRIMARY KEY, t TEXT, b BYTEA, i BIGINT, f DOUBLE PRECISION);
"];

pub const INSERT: &str = "INSERT INTO items (id, n, tag) VALUES (?1, ?2, 0)";

pub struct Bed {
    pub db: Db,
    pub url: String,
    /// On PostgreSQL: the schema, which is also the `application_name` of the bed's connections.
    pub name: String,
    /// On SQLite: removed with the bed.
    dir: Option<PathBuf>,
}

/// One bed per database, migrated to `TABLES`.
pub async fn beds(test: &str) -> Vec<Bed> {
    let mut beds = vec![sqlite(test, Options::default()).await];
    beds.extend(pg(test).await);
    for bed in &beds {
        bed.db.migrate(TABLES).await.unwrap();
    }
    beds
}

pub async fn sqlite(test: &str, options: Options) -> Bed {
    let name = format!("cenote_{}_{test}", std::process::id());
    let dir = std::env::temp_dir().join(&name);
    let _ = std::fs::remove_dir_all(&dir);
    let url = format!("sqlite://{}/made/cenote.db", dir.display());
    Bed { db: Db::open(&url, options).await.unwrap(), url, name, dir: Some(dir) }
}

pub async fn pg(test: &str) -> Option<Bed> {
    let Ok(base) = std::env::var("CENOTE_TEST_PG") else {
        assert!(std::env::var("CENOTE_TEST_REQUIRE_PG").is_err(), "CENOTE_TEST_PG is not set");
        return None;
    };
    let name = format!("cenote_{}_{test}", std::process::id());
    let outside = Outside::connect(&base).await;
    outside.run(&format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")).await;
    let join = if base.contains('?') { '&' } else { '?' };
    let url = format!("{base}{join}application_name={name}&options=-csearch_path%3D{name}");
    Some(Bed { db: Db::open(&url, Options::default()).await.unwrap(), url, name, dir: None })
}

impl Bed {
    /// A connection of the test's own, past the storage layer.
    pub async fn outside(&self) -> Outside {
        // Under another name, so that `terminate` and `waiting` mean only the layer's connections.
        Outside::connect(&self.url.replace("application_name=", "application_name=outside_")).await
    }

    pub async fn insert(&self, id: &str, n: i64) {
        self.run(INSERT, params![id, n]).await.unwrap();
    }

    /// A batch of one statement; touching no row, or several, is a `CodeMismatch`.
    pub async fn run(&self, sql: &'static str, params: Vec<Val>) -> Result<(), Error> {
        let mut batch = Batch::new();
        batch.one(Rank::Record, sql, params, miss());
        self.db.commit(batch).await
    }

    /// The rows of `items` as (id, n).
    pub async fn items(&self) -> Vec<(String, i64)> {
        let rows = self.db.query("SELECT id, n FROM items ORDER BY id", &[]).await.unwrap();
        rows.iter().map(|row| (row.string(0).unwrap(), row.i64(1).unwrap())).collect()
    }

    pub async fn end(self) {
        if !self.db.is_sqlite() {
            self.outside().await.run(&format!("DROP SCHEMA {} CASCADE", self.name)).await;
        }
        self.db.close().await;
        if let Some(dir) = self.dir {
            std::fs::remove_dir_all(dir).unwrap();
        }
    }
}

pub struct Outside(tokio_postgres::Client);

impl Outside {
    async fn connect(url: &str) -> Outside {
        let (client, connection) =
            tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        Outside(client)
    }

    pub async fn run(&self, sql: &str) {
        self.0.batch_execute(sql).await.unwrap();
    }

    /// Waits until `count` connections of the bed wait for a lock.
    pub async fn waiting(&self, bed: &Bed, count: i64) {
        let sql = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = $1 AND wait_event_type = 'Lock'";
        loop {
            let row = self.0.query_one(sql, &[&bed.name]).await.unwrap();
            if row.get::<_, i64>(0) >= count {
                return;
            }
            pause().await;
        }
    }

    /// Ends all connections of the bed, as a restart of the server does; returns when they are gone.
    pub async fn terminate(&self, bed: &Bed) {
        let end =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1";
        assert!(!self.0.query(end, &[&bed.name]).await.unwrap().is_empty());
        let left = "SELECT 1 FROM pg_stat_activity WHERE application_name = $1";
        while !self.0.query(left, &[&bed.name]).await.unwrap().is_empty() {
            pause().await;
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "the suite polls a real server")]
pub async fn pause() {
    tokio::time::sleep(Duration::from_millis(2)).await;
}

pub fn miss() -> Error {
    Error::new(Kind::CodeMismatch, "missed")
}

/// Runs all at once. Each is first polled in order, which is when a commit is submitted.
pub async fn together<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (future, output) in
            futures.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none())
        {
            match future.as_mut().poll(cx) {
                Poll::Ready(value) => *output = Some(value),
                Poll::Pending => pending = true,
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

/// Polls a future once and drops it, as a server does when its caller hangs up.
pub async fn submitted_and_dropped(future: impl Future) {
    let mut future = Box::pin(future);
    poll_fn(|cx| {
        let _ = Pin::as_mut(&mut future).poll(cx);
        Poll::Ready(())
    })
    .await;
}
