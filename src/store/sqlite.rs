//! SQLite: point reads inline on pooled connections, lists on the blocking pool, commits through the writer thread
//! (`writer.rs`). WAL with synchronous=FULL: what was answered survives a loss of power.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, params_from_iter};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::batch::Entry;
use super::value::{Row, Val};
use super::writer::Writer;
use super::{Options, migrate, startup};
use crate::error::{Error, Result};
use crate::meters;

/// How long a connection waits for another process (an operator's command) to finish its transaction.
const BUSY: Duration = Duration::from_secs(5);

/// How long a list waits for a free place on the blocking pool.
const SCAN_WAIT: Duration = Duration::from_secs(5);

/// Statements kept prepared on each connection; the house has fewer.
const STATEMENTS: usize = 256;

#[derive(Clone)]
pub struct Sqlite(Arc<Shared>);

struct Shared {
    path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    idle_readers: usize,
    scans: Semaphore,
    writer: Writer,
    closed: AtomicBool,
    meters: meters::Store,
}

impl Sqlite {
    pub fn open(path: &str, options: &Options) -> Result<Sqlite> {
        if path.is_empty() || path.contains([':', '?']) {
            return Err(startup(
                "The database URL must name a file, as in sqlite:///var/lib/cenote/cenote.db.",
            ));
        }
        let path = PathBuf::from(path);
        let failed = |error: &dyn std::fmt::Display| {
            startup(format!("Cannot open the database {}: {error}", path.display()))
        };
        create(&path).map_err(|error| failed(&error))?;
        let lock = if options.lock { Some(lock(&path)?) } else { None };
        let connection = connect(&path, options.max_page_count).map_err(|error| failed(&error))?;
        // A file system without shared memory (some network mounts) keeps another mode, where readers block the writer.
        let mode: String = connection
            .pragma_query_value(None, "journal_mode", |row| row.get(0))
            .map_err(|error| failed(&error))?;
        if mode != "wal" {
            return Err(failed(&"its file system does not support WAL; use a local disk"));
        }
        let meters = meters::Store::default();
        let writer =
            Writer::start(connection, lock, meters.clone()).map_err(|error| failed(&error))?;
        Ok(Sqlite(Arc::new(Shared {
            readers: Mutex::default(),
            idle_readers: options.pool_size,
            scans: Semaphore::new(options.pool_size),
            writer,
            closed: AtomicBool::new(false),
            meters,
            path,
        })))
    }

    pub fn migrate(&self, migrations: &[&str]) -> Result<()> {
        let mut connection = connect(&self.0.path, None).map_err(|error| failure(&error))?;
        migrate::sqlite(&mut connection, migrations)
    }

    /// All that is committed now, in an empty file, as one read of this database sees it.
    pub(super) fn copy_to(&self, to: &Path) -> Result<()> {
        let to = to.to_str().ok_or_else(|| startup("The backup's name must be UTF-8."))?;
        let connection = connect(&self.0.path, None).map_err(|error| failure(&error))?;
        connection.execute("VACUUM INTO ?1", [to]).map(drop).map_err(|error| failure(&error))
    }

    pub fn query(&self, sql: &str, params: &[Val]) -> Result<Vec<Row>> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::unavailable("the database is closed"));
        }
        let idle = self.readers().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.reader().map_err(|error| failure(&error))?,
        };
        let rows = rows(&connection, sql, params);
        let mut readers = self.readers();
        // A connection that saw the disk fail may have stale caches.
        if readers.len() < self.0.idle_readers && !rows.as_ref().is_err_and(lost) {
            readers.push(connection);
        }
        drop(readers);
        rows.map_err(|error| failure(&error))
    }

    pub async fn scan(&self, sql: &'static str, params: Vec<Val>) -> Result<Vec<Row>> {
        let Ok(Ok(_place)) = timeout(SCAN_WAIT, self.0.scans.acquire()).await else {
            return Err(Error::unavailable("too many lists at once"));
        };
        let this = self.clone();
        let rows = tokio::task::spawn_blocking(move || this.query(sql, &params)).await;
        rows.unwrap_or_else(|error| Err(Error::unavailable(error)))
    }

    pub(super) async fn commit(&self, entries: Vec<Entry>) -> Result<()> {
        self.0.writer.commit(entries).await
    }

    pub fn meters(&self) -> &meters::Store {
        &self.0.meters
    }

    pub async fn ping(&self) -> Result<()> {
        self.query("SELECT 1", &[])?;
        self.commit(Vec::new()).await
    }

    pub async fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
        self.readers().clear();
        let this = self.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || this.0.writer.stop()).await {
            tracing::warn!(%error, "the database was not closed");
        }
    }

    fn readers(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.0.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> rusqlite::Result<Connection> {
        let connection = connect(&self.0.path, None)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }
}

fn rows(connection: &Connection, sql: &str, params: &[Val]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    let columns = statement.column_count();
    let rows = statement.query_map(params_from_iter(params), |row| {
        (0..columns).map(|column| row.get(column)).collect::<rusqlite::Result<Vec<Val>>>().map(Row)
    })?;
    rows.collect()
}

/// Whether SQLite failed rather than the statement. It may have undone the whole transaction, so nothing of it can be trusted.
pub(super) fn lost(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::ReadOnly
                | ErrorCode::CannotOpen
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::PermissionDenied
        )
    )
}

pub(super) fn failure(error: &rusqlite::Error) -> Error {
    if lost(error) { Error::unavailable(error) } else { Error::internal(error) }
}

fn connect(path: &Path, max_page_count: Option<u32>) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", false)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // Plans depend on the statement alone. Otherwise SQLite plans a join or a LIMIT anew whenever another value is bound to it,
    // which costs several times what the read itself does.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    // After a burst the log is cut back to this.
    connection.pragma_update_and_check(None, "journal_size_limit", 64 << 20, |_| Ok(()))?;
    if let Some(pages) = max_page_count {
        connection.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
    }
    Ok(connection)
}

/// Makes the file before SQLite does, readable for its owner only; SQLite gives the log the same mode.
fn create(path: &Path) -> std::io::Result<()> {
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
    private(path)?;
    // The new name itself must survive a loss of power.
    File::open(parent)?.sync_all()
}

fn lock(path: &Path) -> Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = PathBuf::from(name);
    let held =
        private(&file).map_err(TryLockError::Error).and_then(|held| held.try_lock().map(|()| held));
    held.map_err(|error| {
        startup(match error {
            TryLockError::WouldBlock => format!(
                "Another server uses the database {}: it holds {}. Stop it first; several servers need PostgreSQL.",
                path.display(),
                file.display()
            ),
            TryLockError::Error(error) => format!("Cannot lock {}: {error}", file.display()),
        })
    })
}

fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}
