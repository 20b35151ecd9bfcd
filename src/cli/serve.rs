//! `cenote serve`: production. What it needs to know is in `config`.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ambient::{SystemClock, SystemRandom};
use crate::app::{self, Parts};
use crate::config::{Config, LogFormat};
use crate::cx::App;
use crate::error::Result;
use crate::keys::{KeySource, MasterKey, Vault};
use crate::serve::{self, Door, Signals};
use crate::store::{Db, Options, backup};
use crate::tls;

/// Start a server for production. Every setting is a flag, an environment variable or a key of the configuration file, and wins in
/// this order
#[derive(clap::Args)]
pub struct Args {
    /// A TOML file with settings: each flag below without its dashes, as in public_url = "https://id.example.com"
    #[arg(long, env = "CENOTE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Config,
}

impl Args {
    fn merged(self) -> Result<Config> {
        Ok(match &self.config {
            Some(file) => self.settings.or(Config::read(file)?),
            None => self.settings,
        })
    }
}

pub async fn run(args: Args) -> Result<()> {
    let config = args.merged()?;
    super::out::log(config.log_format.unwrap_or(LogFormat::Json) == LogFormat::Json);
    let options = Options { ca_file: config.database_ca_file.clone(), ..Options::default() };
    let config = config.check()?;
    let signals = Signals::catch()?;
    // Everything that may be wrong is found before the first connection is taken.
    let clients = config.feed_client_ca_file.as_deref();
    let tls = config.tls.map(|(cert, key)| tls::server_config(&cert, &key, clients)).transpose()?;
    let tls = tls.map(Arc::new);
    let vault = Vault::new(&MasterKey::from_file(&config.master_key_file)?);
    let db = Db::open(&config.database_url.0, options).await?;
    let parts = Parts {
        settings: config.settings,
        db,
        vault,
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        keygen: KeySource::Generate,
    };
    let app = App::open(parts).await?;
    backup::check_finished(&app.db).await?;
    let public = serve::bind(config.listen).await?;
    let health = serve::bind(config.health_listen).await?;

    if app.settings.mail.is_none() {
        tracing::warn!("smtp_url is not set: whatever would send mail is refused");
    }
    let scheme = if tls.is_some() { "https" } else { "http" };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        listen = %serve::address(&public),
        scheme,
        health = %serve::address(&health),
        public_url = app.settings.public_url,
        "cenote serves"
    );
    let doors = vec![
        Door { listener: public, tls, router: app::router(app.clone()), operator: false },
        Door {
            listener: health,
            tls: None,
            router: app::operator_router(app.clone()),
            operator: true,
        },
    ];
    serve::run(app, doors, signals).await;
    Ok(())
}
