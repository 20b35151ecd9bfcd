//! The storage layer: point reads, lists and guarded batches on SQLite or PostgreSQL, chosen once, here. The SQL of each
//! noun lives in its own file beside this one and is one text for both databases, written with `?1`.

pub mod backup;
mod batch;
pub mod browsers;
pub mod certificates;
pub mod clocks;
pub mod codes;
pub mod deliveries;
pub mod factors;
pub mod feed;
pub mod fresh;
pub mod groups;
pub mod handshakes;
pub mod identities;
pub mod jobs;
pub mod keys;
pub mod learned;
mod migrate;
pub mod participations;
mod pg;
mod pg_tls;
pub mod pools;
pub mod providers;
pub mod purge;
pub mod receipts;
pub mod records;
pub mod resource_servers;
pub mod schema;
pub mod seen_messages;
pub mod sessions;
mod sqlite;
pub mod targets;
pub mod ui_customizations;
pub mod upstream;
pub mod user_lists;
pub mod users;
mod value;
mod writer;

use std::path::PathBuf;

pub use batch::{Batch, Rank};
pub use value::{Row, Val};

use crate::ambient::Ms;
use crate::error::{Error, Kind, Result};
use crate::meters;

/// An open database; cloning shares it.
#[derive(Clone)]
pub enum Db {
    Sqlite(sqlite::Sqlite),
    Pg(pg::Pg),
}

#[derive(Clone, Debug)]
pub struct Options {
    /// SQLite: hold `<path>.lock`, so that a second server is refused. Operator's commands pass false and share the file.
    pub lock: bool,
    /// SQLite: the file never grows beyond this many pages; tests provoke a full disk with it.
    pub max_page_count: Option<u32>,
    /// PostgreSQL: connections. SQLite: idle readers that are kept, and lists that run at once.
    pub pool_size: usize,
    /// PostgreSQL: trust only the certificates of this PEM file, instead of the public authorities.
    pub ca_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options { lock: true, max_page_count: None, pool_size: 16, ca_file: None }
    }
}

impl Db {
    /// `sqlite:///absolute/path`, `sqlite:relative/path`, or a `postgres://` URL. Errors say what the operator can do.
    pub async fn open(url: &str, options: Options) -> Result<Db> {
        if let Some(path) = url.strip_prefix("sqlite:") {
            Ok(Db::Sqlite(sqlite::Sqlite::open(path.strip_prefix("//").unwrap_or(path), &options)?))
        } else if url.starts_with("postgres:") || url.starts_with("postgresql:") {
            Ok(Db::Pg(pg::Pg::open(url, &options).await?))
        } else {
            // The URL may hold a password, so it is not repeated.
            Err(startup("The database URL must start with sqlite: or postgres://."))
        }
    }

    /// Brings the schema up to the last of `migrations`; version n is the state after the first n of them. A database that
    /// is ahead, because a newer release migrated it, is refused.
    pub async fn migrate(&self, migrations: &[&str]) -> Result<()> {
        match self {
            Db::Sqlite(db) => db.migrate(migrations),
            Db::Pg(db) => db.migrate(migrations).await,
        }
    }

    /// The version that the last `migrate` left; 0 for a database that never saw one.
    pub async fn schema_version(&self) -> Result<i64> {
        let exists = match self {
            Db::Sqlite(_) => {
                "SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version'"
            }
            Db::Pg(_) => "SELECT COUNT(*) FROM pg_class WHERE oid = to_regclass('schema_version')",
        };
        match self.one(exists, &[]).await?.map(|row| row.i64(0)).transpose()? {
            Some(1) => {
                let row = self.one(migrate::VERSION, &[]).await?;
                row.map_or(Ok(0), |row| row.i64(0))
            }
            _ => Ok(0),
        }
    }

    /// A point read: a few rows by key. On SQLite it runs inline (5 us; handing it to another thread costs four times that).
    pub async fn query(&self, sql: &'static str, params: &[Val]) -> Result<Vec<Row>> {
        value::check(params)?;
        match self {
            Db::Sqlite(db) => db.query(sql, params),
            Db::Pg(db) => db.query(sql, params).await,
        }
    }

    /// The first row of a point read.
    pub async fn one(&self, sql: &'static str, params: &[Val]) -> Result<Option<Row>> {
        Ok(self.query(sql, params).await?.into_iter().next())
    }

    /// A list or a filter, which may read many rows: on SQLite it runs on the blocking pool.
    pub async fn scan(&self, sql: &'static str, params: Vec<Val>) -> Result<Vec<Row>> {
        value::check(&params)?;
        match self {
            Db::Sqlite(db) => db.scan(sql, params).await,
            Db::Pg(db) => db.query(sql, &params).await,
        }
    }

    /// Commits all of the batch or nothing; after `Ok` it is durable. Once first polled it runs to its end, even if the caller
    /// goes away. `ServiceUnavailable` can mean that the outcome is unknown, so nothing is ever retried after it.
    pub async fn commit(&self, mut batch: Batch) -> Result<()> {
        if batch.is_empty() {
            return Ok(());
        }
        let then = batch.take_then();
        let entries = batch.into_entries()?;
        #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
        let began = std::time::Instant::now();
        let outcome = match self {
            Db::Sqlite(db) => db.commit(entries).await,
            Db::Pg(db) => db.commit(entries).await,
        };
        let result = match outcome.as_ref().map_err(|error| error.kind) {
            Ok(()) => "ok",
            Err(Kind::Conflict) => "conflict",
            Err(Kind::ServiceUnavailable | Kind::Internal) => "failed",
            Err(_) => "refused",
        };
        #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
        self.meters().committed(result, began.elapsed());
        if outcome.is_ok() {
            then.into_iter().for_each(|act| act());
        }
        outcome
    }

    /// What is counted here, and stays with this database however many servers share it.
    pub fn meters(&self) -> &meters::Store {
        match self {
            Db::Sqlite(db) => db.meters(),
            Db::Pg(db) => db.meters(),
        }
    }

    /// Brings up to date what is only known when somebody asks.
    pub fn observe(&self) {
        if let Db::Pg(db) = self {
            db.observe();
        }
    }

    /// Whether the database answers: a read and, on SQLite, a turn of the writer.
    pub async fn ping(&self) -> Result<()> {
        match self {
            Db::Sqlite(db) => db.ping().await,
            Db::Pg(db) => db.query("SELECT 1", &[]).await.map(drop),
        }
    }

    /// The database's clock, in epoch milliseconds; for SQLite it is this machine's.
    pub async fn clock_ms(&self) -> Result<Ms> {
        let sql = match self {
            Db::Sqlite(_) => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Db::Pg(_) => "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)",
        };
        let row = self.one(sql, &[]).await?;
        row.ok_or_else(|| Error::internal("the database told no time"))?.i64(0)
    }

    pub fn is_sqlite(&self) -> bool {
        matches!(self, Db::Sqlite(_))
    }

    /// Finishes what was submitted, then lets go of files, locks and connections.
    pub async fn close(&self) {
        match self {
            Db::Sqlite(db) => db.close().await,
            Db::Pg(db) => db.close(),
        }
    }
}

/// An error for the operator at start: the message is the text to show.
fn startup(message: impl Into<String>) -> Error {
    Error::new(Kind::Internal, message.into())
}
