//! How the operator's commands reach a database: beside a running server, and without changing its schema under it.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ambient::{SystemClock, SystemRandom};
use crate::app::Parts;
use crate::config::{self, Config, Hidden, Settings};
use crate::cx::{App, Cx};
use crate::error::{Error, Kind, Result};
use crate::keys::{KeySource, MasterKey, Vault};
use crate::store::{Db, Options, keys, schema};

#[derive(clap::Args)]
pub struct Access {
    /// A configuration file of `cenote serve`, which says the rest
    #[arg(long, env = "CENOTE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data directory of a `cenote dev`, which says the rest, whatever variables say
    // Its conflicts with other flags are in `super::check_data`: clap's own would count variables too.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The database: sqlite:///absolute/path or postgres://..
    #[arg(long, env = "CENOTE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    database_url: Option<Hidden>,
    /// PEM file of the authorities that may vouch for PostgreSQL's certificate
    #[arg(long, env = "CENOTE_DATABASE_CA_FILE", value_name = "FILE")]
    database_ca_file: Option<PathBuf>,
    /// File with the key under which secrets in the database are sealed
    #[arg(long, env = "CENOTE_MASTER_KEY_FILE", value_name = "FILE")]
    master_key_file: Option<PathBuf>,
}

impl Access {
    fn merged(&self) -> Result<Config> {
        if let Some(data) = &self.data {
            return Ok(Config {
                database_url: Some(Hidden(format!("sqlite:{}", data.join("cenote.db").display()))),
                master_key_file: Some(data.join("master.key")),
                ..Config::default()
            });
        }
        let given = Config {
            database_url: self.database_url.clone(),
            database_ca_file: self.database_ca_file.clone(),
            master_key_file: self.master_key_file.clone(),
            ..Config::default()
        };
        Ok(match &self.config {
            Some(file) => given.or(Config::read(file)?),
            None => given,
        })
    }

    /// The database alone, for what needs no secret. It must exist and have the schema of this release.
    pub async fn database(&self) -> Result<Db> {
        let config = self.merged()?;
        let url = config
            .database_url
            .ok_or_else(|| config::missing("database_url", "sqlite:///var/lib/cenote/cenote.db"))?
            .0;
        if let Some(path) =
            url.strip_prefix("sqlite:").map(|path| path.strip_prefix("//").unwrap_or(path))
            && !std::path::Path::new(path).exists()
        {
            return Err(Error::invalid(format!(
                "There is no database {path}. Start the server once, which makes it, or correct the address."
            )));
        }
        let db = Db::open(
            &url,
            Options {
                lock: false,
                pool_size: 2,
                ca_file: config.database_ca_file,
                ..Options::default()
            },
        )
        .await?;
        let (found, known) = (db.schema_version().await?, schema::MIGRATIONS.len() as i64);
        if found == 0 {
            return Err(Error::invalid(
                "The database is empty. Start the server once, which prepares it.",
            ));
        }
        if found != known {
            return Err(Error::invalid(format!(
                "The database has schema version {found} and this release works with {known}. Use the release that the server runs; \
                 starting a newer server once brings the database up to date."
            )));
        }
        Ok(db)
    }

    /// Where a database is to be made from the backup whose canary this is; its key is checked first.
    pub fn empty_database(&self, canary: &[u8]) -> Result<(String, Option<PathBuf>)> {
        let config = self.merged()?;
        let key = config.master_key_file.ok_or_else(|| config::missing_key("master_key_file"))?;
        Vault::new(&MasterKey::from_file(&key)?).check_canary(canary)?;
        let url = config
            .database_url
            .ok_or_else(|| config::missing("database_url", "sqlite:///var/lib/cenote/cenote.db"))?;
        Ok((url.0, config.database_ca_file))
    }

    /// A context in which secrets can be sealed and opened. Whoever holds the master key is the operator.
    pub async fn context(&self) -> Result<Cx> {
        let config = self.merged()?;
        let master = MasterKey::from_file(
            &config.master_key_file.ok_or_else(|| config::missing_key("master_key_file"))?,
        )?;
        let db = self.database().await?;
        let dev = keys::meta(&db, "mode").await?.is_some_and(|mode| mode == b"dev");
        let parts = Parts {
            settings: Settings { dev, ..Settings::default() },
            db,
            vault: Vault::new(&master),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            keygen: KeySource::Generate,
        };
        Ok(Cx::system(App::open(parts).await?))
    }
}

/// Runs an act again, whole, when the server changed the same rows in between.
pub async fn retrying<T, F: Future<Output = Result<T>>>(act: impl Fn() -> F) -> Result<T> {
    for _ in 0..5 {
        match act().await {
            Err(error) if error.is_conflict() => {}
            answer => return answer,
        }
    }
    Err(Error::new(Kind::TooManyRequests, "The server keeps changing the same data. Try again."))
}
