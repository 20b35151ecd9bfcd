//! Brings a schema forward, never back. Table `schema_version` has one row per migration that ran; what is missing runs in
//! one transaction, so an upgrade that fails leaves the database as it was.

use rusqlite::{Connection, TransactionBehavior};
use tokio_postgres::Client;

use super::{pg, sqlite, startup};
use crate::error::{Error, Result};

/// Both databases take this as it is.
const TABLE: &str = "CREATE TABLE schema_version (version BIGINT NOT NULL PRIMARY KEY)";
pub(super) const VERSION: &str = "SELECT COALESCE(MAX(version), 0) FROM schema_version";

/// Any number will do, as long as every release uses the same.
const ADVISORY_LOCK: &str = "SELECT pg_advisory_xact_lock(7164033820531203221)";

pub fn sqlite(connection: &mut Connection, migrations: &[&str]) -> Result<()> {
    let failed = |error: rusqlite::Error| sqlite::failure(&error);
    // IMMEDIATE takes the write lock before the version is read: of two processes the second waits here, and finds nothing to do.
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    // Not `table_exists`: that asks this connection's copy of the schema, which may be older than the transaction.
    let exists = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_version')";
    if !transaction.query_row(exists, [], |row| row.get::<_, bool>(0)).map_err(failed)? {
        transaction.execute_batch(TABLE).map_err(failed)?;
    }
    let version = transaction.query_row(VERSION, [], |row| row.get(0)).map_err(failed)?;
    for (number, script) in missing(version, migrations)? {
        transaction.execute_batch(script).map_err(|error| broken(number, &error))?;
        transaction
            .execute("INSERT INTO schema_version (version) VALUES (?1)", [number])
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// The caller discards the connection if this fails, which rolls back.
pub async fn pg(client: &Client, migrations: &[&str]) -> Result<()> {
    let failed = |error: tokio_postgres::Error| pg::failure(&error);
    // Building an index takes as long as it takes.
    client.batch_execute(pg::BEGIN).await.map_err(failed)?;
    let limits = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0";
    client.batch_execute(limits).await.map_err(failed)?;
    client.batch_execute(ADVISORY_LOCK).await.map_err(failed)?;
    // Not IF NOT EXISTS: that asks for the right to create tables even where there is nothing to create.
    let exists = client
        .query_one("SELECT to_regclass('schema_version') IS NOT NULL", &[])
        .await
        .map_err(failed)?;
    if !exists.try_get::<_, bool>(0).map_err(failed)? {
        client.batch_execute(TABLE).await.map_err(failed)?;
    }
    let version =
        client.query_one(VERSION, &[]).await.map_err(failed)?.try_get(0).map_err(failed)?;
    for (number, script) in missing(version, migrations)? {
        let ran = client.batch_execute(&bytewise(script)).await;
        ran.map_err(|error| broken(number, &pg::chain(&error)))?;
        let recorded =
            client.execute("INSERT INTO schema_version (version) VALUES ($1)", &[&number]).await;
        recorded.map_err(failed)?;
    }
    client.batch_execute("COMMIT").await.map_err(failed)
}

fn missing<'a>(
    version: i64,
    migrations: &'a [&'a str],
) -> Result<impl Iterator<Item = (i64, &'a str)>> {
    let known = migrations.len();
    match usize::try_from(version) {
        Ok(done) if done <= known => Ok((1..).zip(migrations.iter().copied()).skip(done)),
        _ => Err(startup(format!(
            "The database has schema version {version}, and this release knows only {known}. \
             A newer release has migrated it: run that release, or restore a backup."
        ))),
    }
}

fn broken(number: i64, error: &dyn std::fmt::Display) -> Error {
    startup(format!("Migration {number} failed and nothing was changed: {error}"))
}

/// Turns the type TEXT into `TEXT COLLATE "C"`: PostgreSQL's default order depends on the machine's locale, and paging and
/// prefix searches must go by bytes, as on SQLite. Literals, comments and `CAST(.. AS TEXT)` stay.
fn bytewise(script: &str) -> String {
    let mut out = String::with_capacity(script.len() + script.len() / 4);
    let mut rest = script;
    let mut previous = "";
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("--") {
            rest.find('\n')
        } else if first == '\'' {
            rest.get(1..).and_then(|rest| rest.find('\'')).map(|end| end + 2)
        } else if is_word(first) {
            rest.find(|c| !is_word(c))
        } else {
            Some(first.len_utf8())
        };
        let (token, tail) = rest.split_at(length.unwrap_or(rest.len()));
        out.push_str(token);
        if token.eq_ignore_ascii_case("TEXT") && !previous.eq_ignore_ascii_case("AS") {
            out.push_str(" COLLATE \"C\"");
        }
        if is_word(first) {
            previous = token;
        }
        rest = tail;
    }
    out
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

#[cfg(test)]
mod tests {
    use super::bytewise;

    #[test]
    fn only_the_type_text_gets_a_collation() {
        let script = "CREATE TABLE t (a TEXT, text_b TEXT NOT NULL DEFAULT 'a TEXT', -- it's TEXT\n c BYTEA, d TEXT);
            UPDATE t SET d = CAST(c AS TEXT) || 'é TEXT'";
        assert_eq!(
            bytewise(script),
            "CREATE TABLE t (a TEXT COLLATE \"C\", text_b TEXT COLLATE \"C\" NOT NULL DEFAULT 'a TEXT', -- it's TEXT\n c BYTEA, d TEXT COLLATE \"C\");
            UPDATE t SET d = CAST(c AS TEXT) || 'é TEXT'"
        );
    }
}
