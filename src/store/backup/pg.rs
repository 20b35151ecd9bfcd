//! PostgreSQL's side of a backup: all tables in one snapshot, by a cursor; and back by COPY, in one transaction.

use std::path::Path;

use deadpool_postgres::Object;
use rusqlite::{Connection, params_from_iter};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use super::{Table, failed, tables};
use crate::error::{Error, Result};
use crate::store::pg::{self, Pg};
use crate::store::value::Val;
use crate::store::{Db, migrate, schema, startup};

/// Rows that are held in memory.
const ROWS: u32 = 1_000;

/// However long it takes; one moment for all tables.
const SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = 0; \
                        SET LOCAL idle_in_transaction_session_timeout = 0";

const FILL: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0; \
                    SET LOCAL idle_in_transaction_session_timeout = 0; LOCK TABLE meta IN EXCLUSIVE MODE";

pub async fn write(db: &Pg, to: &Path) -> Result<()> {
    let mut file = Connection::open(to).map_err(|error| failed(&error))?;
    migrate::sqlite(&mut file, schema::MIGRATIONS)?;
    file.execute_batch("BEGIN").map_err(|error| failed(&error))?;
    let client = db.client().await?;
    let copied = copy_out(&client, &file).await;
    // Not back into the pool: its transaction is open.
    drop(Object::take(client));
    copied?;
    file.execute_batch("COMMIT").map_err(|error| failed(&error))?;
    file.close().map_err(|(_, error)| failed(&error))
}

async fn copy_out(client: &Object, file: &Connection) -> Result<()> {
    let lost = |error: tokio_postgres::Error| pg::failure(&error);
    client.batch_execute(SNAPSHOT).await.map_err(lost)?;
    for table in tables(file).map_err(|error| failed(&error))? {
        let mut insert = file.prepare(&table.insert()).map_err(|error| failed(&error))?;
        let declare = format!("DECLARE backup NO SCROLL CURSOR FOR {}", table.select());
        client.batch_execute(&declare).await.map_err(lost)?;
        let fetch = client.prepare(&format!("FETCH {ROWS} FROM backup")).await.map_err(lost)?;
        loop {
            let rows = client.query(&fetch, &[]).await.map_err(lost)?;
            for row in &rows {
                let values: std::result::Result<Vec<Val>, _> =
                    (0..table.columns.len()).map(|column| row.try_get(column)).collect();
                let values = values.map_err(lost)?;
                insert.execute(params_from_iter(values)).map_err(|error| failed(&error))?;
            }
            if rows.is_empty() {
                break;
            }
        }
        client.batch_execute("CLOSE backup").await.map_err(lost)?;
    }
    Ok(())
}

/// All rows of the backup, or none.
pub async fn read(backup: &Connection, db: &Pg) -> Result<()> {
    // A backup of an older release fills the schema that it has; then the schema is brought forward.
    let version = backup.query_row(migrate::VERSION, [], |row| row.get::<_, i64>(0));
    let version = version.map_err(|error| failed(&error))?;
    let known = usize::try_from(version).unwrap_or(0).min(schema::MIGRATIONS.len());
    let then = schema::MIGRATIONS.get(..known).unwrap_or_default();
    let there = Db::Pg(db.clone()).schema_version().await?;
    if there > version {
        return Err(startup(format!(
            "The PostgreSQL database has tables already, of schema version {there}; the backup has version {version}. Restore into an empty \
             database."
        )));
    }
    db.migrate(then).await?;
    let client = db.client().await?;
    let copied = copy_in(&client, backup).await;
    drop(Object::take(client));
    copied?;
    db.migrate(schema::MIGRATIONS).await
}

async fn copy_in(client: &Object, backup: &Connection) -> Result<()> {
    let lost = |error: tokio_postgres::Error| pg::failure(&error);
    client.batch_execute(FILL).await.map_err(lost)?;
    let taken = client.query("SELECT 1 FROM meta LIMIT 1", &[]).await.map_err(lost)?;
    if !taken.is_empty() {
        return Err(startup(
            "The PostgreSQL database is in use: it belongs to a server already. Restore into an empty database.",
        ));
    }
    for table in tables(backup).map_err(|error| failed(&error))? {
        fill(client, backup, &table).await?;
    }
    client
        .execute("INSERT INTO meta (key, value) VALUES ('restoring', $1)", &[&b"1".as_slice()])
        .await
        .map_err(lost)?;
    client.batch_execute("COMMIT").await.map_err(lost)
}

async fn fill(client: &Object, backup: &Connection, table: &Table) -> Result<()> {
    let lost = |error: tokio_postgres::Error| pg::failure(&error);
    let types: Option<Vec<Type>> = table.columns.iter().map(|(_, kind)| of(kind)).collect();
    let types = types.ok_or_else(|| Error::internal(format!("a column of {}", table.name)))?;
    let copy = format!("COPY {} ({}) FROM STDIN BINARY", table.name, table.names());
    let sink = client.copy_in(&copy).await.map_err(lost)?;
    let writer = BinaryCopyInWriter::new(sink, &types);
    tokio::pin!(writer);
    let mut select = backup.prepare(&table.select()).map_err(|error| failed(&error))?;
    let mut rows = select.query([]).map_err(|error| failed(&error))?;
    while let Some(row) = rows.next().map_err(|error| failed(&error))? {
        let values: rusqlite::Result<Vec<Val>> =
            (0..table.columns.len()).map(|column| row.get(column)).collect();
        let values = values.map_err(|error| failed(&error))?;
        let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
        writer.as_mut().write(&values).await.map_err(lost)?;
    }
    writer.finish().await.map(drop).map_err(lost)
}

/// The four types of the schema.
fn of(kind: &str) -> Option<Type> {
    match kind {
        "TEXT" => Some(Type::TEXT),
        "BIGINT" => Some(Type::INT8),
        "BYTEA" => Some(Type::BYTEA),
        "DOUBLE PRECISION" => Some(Type::FLOAT8),
        _ => None,
    }
}
