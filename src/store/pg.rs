//! PostgreSQL: reads and batches on one pool of connections to the primary. A batch is BEGIN and its statements in one
//! round trip, the counts compared here, and COMMIT in a second one.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime,
    Timeouts,
};
use tokio::time::timeout;
use tokio_postgres::Statement;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;

use super::batch::Entry;
use super::value::{Row, Val};
use super::{Options, migrate, pg_tls, startup};
use crate::error::{Error, Result};
use crate::meters;

/// How long a request waits for a connection, and a connection for the server.
const POOL_WAIT: Duration = Duration::from_secs(5);

/// Longer than the server's own limits below: this one is for a server or a network that is silent.
const SILENCE: Duration = Duration::from_secs(40);

/// Set on each connection. `synchronous_commit` may be stricter than `on`, but an answer must never be less than durable.
/// Read-only by default: the statements of a batch leave with their BEGIN, and if that alone failed they would run outside of
/// any transaction and stay done; like this they are refused.
const SESSION: &str = "SET statement_timeout = '30s'; SET lock_timeout = '5s'; SET idle_in_transaction_session_timeout = '30s';
    SET default_transaction_read_only = on;
    SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local')";

pub(super) const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";

#[derive(Clone)]
pub struct Pg(Arc<Shared>);

struct Shared {
    pool: Pool,
    /// Statements rewritten for PostgreSQL, by the address and length of the original.
    texts: RwLock<HashMap<(usize, usize), Arc<str>>>,
    meters: meters::Store,
}

impl Pg {
    pub async fn open(url: &str, options: &Options) -> Result<Pg> {
        let invalid = |error: &dyn std::fmt::Display| {
            startup(format!("The database URL is not valid: {error}"))
        };
        // We verify certificates whenever we use TLS, so the stricter modes of libpq are what `require` does here.
        let url = url
            .replace("sslmode=verify-full", "sslmode=require")
            .replace("sslmode=verify-ca", "sslmode=require");
        let mut config: tokio_postgres::Config =
            url.parse().map_err(|error| invalid(&chain(&error)))?;
        config
            .connect_timeout(POOL_WAIT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("cenote");
        }
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match pg_tls::connector(&mut config, options.ca_file.as_deref())? {
            Some(tls) => Manager::from_config(config, tls, recycling),
            None => Manager::from_config(config, tokio_postgres::NoTls, recycling),
        };
        let waits =
            Timeouts { wait: Some(POOL_WAIT), create: Some(POOL_WAIT), recycle: Some(POOL_WAIT) };
        let session = Hook::async_fn(|client, _| {
            Box::pin(async move { client.batch_execute(SESSION).await.map_err(HookError::Backend) })
        });
        let pool = Pool::builder(manager)
            .max_size(options.pool_size)
            .timeouts(waits)
            .runtime(Runtime::Tokio1)
            .post_create(session)
            .build()
            .map_err(|error| invalid(&error))?;
        let this = Pg(Arc::new(Shared {
            pool,
            texts: RwLock::default(),
            meters: meters::Store::default(),
        }));
        this.check_encoding().await?;
        Ok(this)
    }

    async fn check_encoding(&self) -> Result<()> {
        let client = self.0.pool.get().await;
        let client = client
            .map_err(|error| startup(format!("Cannot connect to PostgreSQL: {}", chain(&error))))?;
        let row =
            client.query_one("SHOW server_encoding", &[]).await.map_err(|error| failure(&error))?;
        match row.try_get(0).map_err(|error| failure(&error))? {
            "UTF8" => Ok(()),
            other => Err(startup(format!(
                "The PostgreSQL database has the encoding {other}; create it with ENCODING 'UTF8'."
            ))),
        }
    }

    pub async fn migrate(&self, migrations: &[&str]) -> Result<()> {
        let client = self.client().await?;
        let migrated = migrate::pg(&client, migrations).await;
        if migrated.is_err() {
            drop(Object::take(client));
        }
        migrated
    }

    /// A read whose connection turns out to be lost runs once more, on a new one.
    pub async fn query(&self, sql: &'static str, params: &[Val]) -> Result<Vec<Row>> {
        let text = self.text(sql);
        let mut again = true;
        loop {
            let client = self.client().await?;
            let error = match timeout(SILENCE, rows(&client, &text, params)).await {
                Ok(Ok(rows)) => return Ok(rows),
                Ok(Err(error)) => error,
                Err(_) => {
                    drop(Object::take(client));
                    return Err(Error::unavailable("PostgreSQL did not answer a read"));
                }
            };
            // A plan that another node's migration made stale goes away with its connection, too.
            let stale = lost(&error) || error.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED);
            if stale {
                self.discard(client);
            }
            if !(stale && again) {
                return Err(failure(&error));
            }
            again = false;
        }
    }

    pub(super) async fn commit(&self, entries: Vec<Entry>) -> Result<()> {
        let this = self.clone();
        // A task of its own: a caller that goes away must not leave a transaction half-way.
        let outcome = tokio::spawn(async move { this.run(&entries).await }).await;
        outcome.unwrap_or_else(|error| Err(Error::unavailable(error)))
    }

    pub fn close(&self) {
        self.0.pool.close();
    }

    pub fn meters(&self) -> &meters::Store {
        &self.0.meters
    }

    pub fn observe(&self) {
        let status = self.0.pool.status();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        let (size, idle) = (count(status.size), count(status.available));
        self.0.meters.postgres((size - idle).max(0), idle, count(status.waiting));
    }

    async fn run(&self, entries: &[Entry]) -> Result<()> {
        let mut again = true;
        loop {
            let client = self.client().await?;
            match timeout(SILENCE, execute(&client, entries, |sql| self.text(sql))).await {
                Ok(Ok(())) => {
                    return match timeout(SILENCE, client.batch_execute("COMMIT")).await {
                        Ok(Ok(())) => Ok(()),
                        Ok(Err(error)) if conflict(&error) => {
                            self.discard(client);
                            Err(Error::conflict().because(chain(&error)))
                        }
                        Ok(Err(error)) => {
                            self.discard(client);
                            Err(Error::unavailable(format!(
                                "COMMIT failed, outcome unknown: {}",
                                chain(&error)
                            )))
                        }
                        Err(_) => {
                            self.discard(client);
                            Err(Error::unavailable(
                                "PostgreSQL did not answer COMMIT: outcome unknown",
                            ))
                        }
                    };
                }
                Ok(Err(Refusal::Answer(answer))) => {
                    if !matches!(
                        timeout(SILENCE, client.batch_execute("ROLLBACK")).await,
                        Ok(Ok(()))
                    ) {
                        self.discard(client);
                    }
                    return Err(answer);
                }
                // An idle connection that the server had closed: nothing has happened, so the batch takes another one.
                Ok(Err(Refusal::NotBegun(_))) if again => {
                    self.discard(client);
                    again = false;
                }
                Ok(Err(Refusal::NotBegun(error) | Refusal::Lost(error))) => {
                    self.discard(client);
                    return Err(failure(&error));
                }
                Err(_) => {
                    self.discard(client);
                    return Err(Error::unavailable("PostgreSQL did not answer a batch"));
                }
            }
        }
    }

    pub(super) async fn client(&self) -> Result<Object> {
        self.0.pool.get().await.map_err(|error| match &error {
            PoolError::Timeout(kind) => {
                Error::unavailable(format!("no connection to PostgreSQL in time ({kind:?})"))
            }
            _ => Error::unavailable(chain(&error)),
        })
    }

    /// Closes the connection, and with it the idle ones: what ended it (a restart, a failover) has probably ended them.
    fn discard(&self, client: Object) {
        drop(Object::take(client));
        self.0.pool.retain(|_, _| false);
    }

    fn text(&self, sql: &'static str) -> Arc<str> {
        let key = (sql.as_ptr().addr(), sql.len());
        if let Some(text) = self.0.texts.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return text.clone();
        }
        let mut texts = self.0.texts.write().unwrap_or_else(PoisonError::into_inner);
        texts.entry(key).or_insert_with(|| sql.replace('?', "$").into()).clone()
    }
}

async fn rows(
    client: &Object,
    sql: &str,
    params: &[Val],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let statement = client.prepare_cached(sql).await?;
    let params: Vec<&(dyn ToSql + Sync)> = params.iter().map(|param| param as _).collect();
    let rows = client.query(&statement, &params).await?;
    let columns = statement.columns().len();
    rows.iter()
        .map(|row| {
            (0..columns).map(|column| row.try_get(column)).collect::<Result<_, _>>().map(Row)
        })
        .collect()
}

/// Why a batch does not get to its COMMIT.
enum Refusal {
    /// The connection was found lost before the server took BEGIN.
    NotBegun(tokio_postgres::Error),
    Lost(tokio_postgres::Error),
    Answer(Error),
}

async fn execute(
    client: &Object,
    entries: &[Entry],
    text: impl Fn(&'static str) -> Arc<str>,
) -> Result<(), Refusal> {
    let mut statements = Vec::with_capacity(entries.len());
    for entry in entries {
        let statement = client.prepare_cached(&text(entry.sql)).await;
        statements.push(statement.map_err(not_begun)?);
    }
    let mut requests: Vec<Request<'_>> = Vec::with_capacity(entries.len() + 1);
    requests.push(Box::pin(async { client.batch_execute(BEGIN).await.map(|()| 0) }));
    for (entry, statement) in entries.iter().zip(&statements) {
        requests.push(Box::pin(statement_of(client, statement, &entry.params)));
    }
    let mut answers = pipelined(requests).await.into_iter();
    if let Some(Err(error)) = answers.next() {
        return Err(not_begun(error));
    }
    // The first failure is the real one: after it, the server only says that the transaction is aborted.
    for (entry, answer) in entries.iter().zip(answers) {
        let rows = answer.map_err(|error| refused(error, entry))?;
        if let Some(miss) = entry.miss(rows) {
            return Err(Refusal::Answer(miss));
        }
    }
    Ok(())
}

async fn statement_of(
    client: &Object,
    statement: &Statement,
    params: &[Val],
) -> Result<u64, tokio_postgres::Error> {
    client.execute_raw(statement, params).await
}

type Request<'a> = Pin<Box<dyn Future<Output = Result<u64, tokio_postgres::Error>> + Send + 'a>>;

/// Polls all in order, each to its end: a request leaves at its first poll, so they go out together and in order.
async fn pipelined(mut requests: Vec<Request<'_>>) -> Vec<Result<u64, tokio_postgres::Error>> {
    let mut answers: Vec<Option<_>> = requests.iter().map(|_| None).collect();
    poll_fn(|cx| {
        let mut pending = false;
        for (request, answer) in requests.iter_mut().zip(&mut answers) {
            if answer.is_none() {
                match request.as_mut().poll(cx) {
                    Poll::Ready(result) => *answer = Some(result),
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    answers.into_iter().flatten().collect()
}

fn not_begun(error: tokio_postgres::Error) -> Refusal {
    if lost(&error) { Refusal::NotBegun(error) } else { Refusal::Answer(failure(&error)) }
}

fn refused(error: tokio_postgres::Error, entry: &Entry) -> Refusal {
    if lost(&error) {
        Refusal::Lost(error)
    } else if error.code() == Some(&SqlState::UNIQUE_VIOLATION) {
        Refusal::Answer(entry.duplicate(chain(&error)))
    } else {
        Refusal::Answer(failure(&error))
    }
}

pub(super) fn failure(error: &tokio_postgres::Error) -> Error {
    if conflict(error) {
        Error::conflict().because(chain(error))
    } else if lost(error) || unavailable(error) {
        Error::unavailable(chain(error))
    } else {
        Error::internal(chain(error))
    }
}

fn conflict(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_SERIALIZATION_FAILURE | &SqlState::T_R_DEADLOCK_DETECTED)
    )
}

/// Whether the connection is of no more use: closed, broken, ended by the server (57P0x, 25P03), or to a primary that has
/// become a standby (25006).
fn lost(error: &tokio_postgres::Error) -> bool {
    let network = error.source().is_some_and(|source| source.is::<std::io::Error>());
    error.is_closed() || network || has_class(error, &["08", "57P0", "25P03", "25006"])
}

/// Whether the server, rather than the statement, is the reason: its resources (53), a limit or an operator (57), its system
/// (58), or a lock that was not had in time (55P03).
fn unavailable(error: &tokio_postgres::Error) -> bool {
    has_class(error, &["53", "57", "58", "55P03"])
}

fn has_class(error: &tokio_postgres::Error, classes: &[&str]) -> bool {
    error.code().is_some_and(|code| classes.iter().any(|class| code.code().starts_with(class)))
}

/// The error with its causes; `tokio_postgres` shows only the outermost.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        // Some of the crates in between repeat their cause in their own message.
        if !text.ends_with(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}
