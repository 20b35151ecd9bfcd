//! Backups: everything in a database as it was at one moment, in a SQLite file, whichever of the two databases it came from and
//! whichever it goes to. What is sealed stays sealed: a backup is worth nothing without the master key, which is not in it.

mod pg;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::{Batch, Db, Options, Rank, keys, migrate, schema, sqlite, startup};
use crate::error::{Error, Result};
use crate::params;

/// This row of `meta` says that a restored database is not yet fit to be served.
const UNFINISHED: &str = "restoring";

/// A table of the schema: its name, and its columns with their types, all as the schema writes them.
struct Table {
    name: String,
    columns: Vec<(String, String)>,
}

impl Table {
    fn select(&self) -> String {
        format!("SELECT {} FROM {}", self.names(), self.name)
    }

    fn insert(&self) -> String {
        let places: Vec<String> = (1..=self.columns.len()).map(|n| format!("?{n}")).collect();
        format!("INSERT INTO {} ({}) VALUES ({})", self.name, self.names(), places.join(", "))
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().map(|(name, _)| name.as_str()).collect();
        names.join(", ")
    }
}

/// Writes all that is committed now to a new file, beside a server that may go on. The file is whole, or it is not there.
pub async fn write(db: &Db, to: &Path) -> Result<()> {
    let part = Part::create(to)?;
    match db {
        Db::Sqlite(db) => {
            let (db, path) = (db.clone(), part.path.clone());
            let written = tokio::task::spawn_blocking(move || db.copy_to(&path)).await;
            written.map_err(Error::internal).flatten()?;
        }
        Db::Pg(db) => pg::write(db, &part.path).await?,
    }
    part.finish()
}

/// Fills an empty database from a backup. Until `finish` the database says of itself that it must not be served.
pub async fn read(from: &Path, url: &str, ca_file: Option<PathBuf>) -> Result<()> {
    let backup = open(from)?;
    check(&backup, from)?;
    let path = url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path));
    match path {
        Some(path) => into_file(from, Path::new(path)),
        None => {
            let options = Options { pool_size: 2, ca_file, ..Options::default() };
            let Db::Pg(db) = Db::open(url, options).await? else {
                return Err(Error::internal("a database of an unknown kind"));
            };
            pg::read(&backup, &db).await
        }
    }
}

/// By which the master key of a backup is known again.
pub fn canary(from: &Path) -> Result<Vec<u8>> {
    let backup = open(from)?;
    check(&backup, from)?;
    let sql = "SELECT value FROM meta WHERE key = 'canary'";
    backup.query_row(sql, [], |row| row.get(0)).map_err(|error| failed(&error))
}

/// Marks a database that was restored by other means, before anything else is done to it.
pub async fn begin(db: &Db) -> Result<()> {
    let mut batch = Batch::new();
    batch.any(
        Rank::Meta,
        "INSERT INTO meta (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        params![UNFINISHED, b"1".as_slice()],
    );
    db.commit(batch).await
}

/// The database may be served.
pub async fn finish(db: &Db) -> Result<()> {
    let mut batch = Batch::new();
    batch.any(Rank::Meta, "DELETE FROM meta WHERE key = ?1", params![UNFINISHED]);
    db.commit(batch).await
}

/// Refuses a database whose restoration did not come to its end.
pub async fn check_finished(db: &Db) -> Result<()> {
    if keys::meta(db, UNFINISHED).await?.is_none() {
        return Ok(());
    }
    Err(startup(
        "This database was restored, and the command that did it was interrupted. Run `cenote restore --in-place` with the same database \
         before it is served: sign-outs that the backup does not know would be forgotten otherwise.",
    ))
}

fn open(file: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(file, flags)
        .map_err(|error| startup(format!("Cannot open the backup {}: {error}.", file.display())))
}

/// A backup of a release that is not newer than this one, whole, and of a database that was not itself half restored.
fn check(backup: &Connection, file: &Path) -> Result<()> {
    let refuse = |why: String| Err(startup(format!("{} {why}", file.display())));
    let version = match backup.query_row(migrate::VERSION, [], |row| row.get::<_, i64>(0)) {
        Ok(version) if version > 0 => version,
        _ => return refuse("is no backup of Cenote.".to_owned()),
    };
    let known = schema::MIGRATIONS.len() as i64;
    if version > known {
        return refuse(format!(
            "was made by a newer release: its schema has version {version}, and this release knows {known}."
        ));
    }
    let sound = backup.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    match sound.as_deref() {
        Ok("ok") => {}
        Ok(fault) => return refuse(format!("is damaged: {fault}.")),
        Err(error) => return refuse(format!("is damaged: {error}.")),
    }
    let unfinished = "SELECT COUNT(*) FROM meta WHERE key = 'restoring'";
    match backup.query_row(unfinished, [], |row| row.get::<_, i64>(0)) {
        Ok(0) => Ok(()),
        Ok(_) => refuse("was taken in the middle of a restoration.".to_owned()),
        Err(error) => refuse(format!("is damaged: {error}.")),
    }
}

fn into_file(from: &Path, to: &Path) -> Result<()> {
    let mut wal = to.as_os_str().to_owned();
    wal.push("-wal");
    if to.exists() || Path::new(&wal).exists() {
        return Err(startup(format!(
            "There is a database {} already. Move it away, with its -wal and -shm files, or name another one.",
            to.display()
        )));
    }
    let part = Part::create(to)?;
    let failed = |error: &dyn std::fmt::Display| {
        startup(format!("Cannot write {}: {error}.", part.path.display()))
    };
    // Not `fs::copy`: whoever may read the backup need not be let into the database.
    let copied = File::open(from).and_then(|mut from| {
        let mut to = OpenOptions::new().write(true).open(&part.path)?;
        std::io::copy(&mut from, &mut to)
    });
    copied.map_err(|error| failed(&error))?;
    let mut connection = Connection::open(&part.path).map_err(|error| failed(&error))?;
    migrate::sqlite(&mut connection, schema::MIGRATIONS)?;
    connection
        .execute("INSERT INTO meta (key, value) VALUES ('restoring', x'31')", [])
        .map_err(|error| failed(&error))?;
    connection.close().map_err(|(_, error)| failed(&error))?;
    part.finish()
}

/// The tables of a database, without the one that says its version.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<Table>> {
    let mut tables = Vec::new();
    let mut names = connection.prepare(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'schema_version' ORDER BY name",
    )?;
    for name in names.query_map([], |row| row.get::<_, String>(0))? {
        let name = name?;
        let mut of =
            connection.prepare("SELECT name, type FROM pragma_table_info(?1) ORDER BY cid")?;
        let columns = of.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?;
        tables.push(Table { columns: columns.collect::<rusqlite::Result<_>>()?, name });
    }
    Ok(tables)
}

/// A file that gets its name once it is whole.
struct Part {
    path: PathBuf,
    to: PathBuf,
    done: bool,
}

impl Part {
    fn create(to: &Path) -> Result<Part> {
        let refuse = |why: &dyn std::fmt::Display| {
            Err(startup(format!("Cannot write {}: {why}.", to.display())))
        };
        if to.exists() {
            return refuse(&"it exists already");
        }
        let mut path = to.as_os_str().to_owned();
        path.push(".part");
        let path = PathBuf::from(path);
        // Only its owner may read it. What an earlier attempt left behind is worth nothing, and its journal would be played back into this.
        discard(&path);
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
            Ok(_) => Ok(Part { path, to: to.to_owned(), done: false }),
            Err(error) => refuse(&error),
        }
    }

    /// On disk, name and all.
    fn finish(mut self) -> Result<()> {
        let failed = |error: std::io::Error| {
            startup(format!("Cannot write {}: {error}.", self.to.display()))
        };
        File::open(&self.path).and_then(|file| file.sync_all()).map_err(failed)?;
        // Not `rename`: that would replace a file that somebody else made meanwhile.
        std::fs::hard_link(&self.path, &self.to).map_err(failed)?;
        let _ = std::fs::remove_file(&self.path);
        let parent = self.to.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(failed)?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.done {
            discard(&self.path);
        }
    }
}

/// Removes a database file, if it is there, with those that SQLite may have left beside it.
fn discard(database: &Path) {
    for beside in ["", "-journal", "-wal", "-shm"] {
        let mut path = database.as_os_str().to_owned();
        path.push(beside);
        let _ = std::fs::remove_file(path);
    }
}

fn failed(error: &rusqlite::Error) -> Error {
    sqlite::failure(error)
}
