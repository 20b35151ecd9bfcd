//! `cenote dev`: everything on loopback, nothing to configure.

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::ready;
use crate::ambient::{Clock as _, Random, SystemClock, SystemRandom};
use crate::app::{self, Parts};
use crate::config::{Allowed, Settings};
use crate::cx::{App, Cx};
use crate::dev::idp::Idp;
use crate::error::{Error, Kind, Result};
use crate::files;
use crate::ids;
use crate::keys::{KeySource, MasterKey, Vault};
use crate::limits::{Given, Rates};
use crate::seed;
use crate::serve::{self, Door, Signals};
use crate::store::{Db, Options, backup};
use crate::tls;

/// Start a server for development: on loopback only, with a pool to try, accepting any AWS credentials
#[derive(clap::Args)]
pub struct Args {
    /// The port of the API and of issuers, in plain HTTP; 0 takes a free one
    #[arg(long, default_value_t = 9229)]
    port: u16,
    /// The port of the same over TLS, with a certificate of a local authority; 0 takes a free one
    #[arg(long, default_value_t = 9230)]
    tls_port: u16,
    /// Where the database, the keys and the certificates are kept
    #[arg(long, value_name = "DIR", default_value = ".cenote")]
    data: PathBuf,
    /// Write addresses, ids and credentials of the ready pool to this file, as JSON, once the server listens
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Pools, app clients and users to make, as JSON; those that exist stay as they are
    #[arg(long, value_name = "FILE")]
    seed: Option<PathBuf>,
    /// Folder with templates, texts and styles that replace built-in ones of the hosted pages; a change shows at the next reload
    #[arg(long, value_name = "DIR")]
    templates_dir: Option<PathBuf>,
    /// Keep everything in a temporary directory that is removed at the end
    #[arg(long, conflicts_with = "data")]
    ephemeral: bool,
    /// Limit requests as `cenote serve` would: Name=number pairs with commas, as `cenote serve --rate-limits` takes them. Default: no limits
    #[arg(long, value_name = "LIMITS")]
    rate_limits: Option<Given>,
    /// Identity providers, and receivers of sign-outs, that are neither on this machine nor at public addresses: hosts, host:port, addresses
    /// or networks, with commas
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    outgoing_allow: Vec<Allowed>,
    /// PEM file of authorities that may vouch for the certificates of identity providers and receivers, besides the public ones
    #[arg(long, value_name = "FILE")]
    outgoing_ca_file: Option<PathBuf>,
    /// Serve an identity provider for demonstration at /dev/idp, and offer it on the sign-in page by OpenID Connect and by SAML
    #[arg(long)]
    with_idp: bool,
    /// Use this database instead of the embedded one: postgres://.. or sqlite:///path
    // No environment variable: a production address that happens to be set must not end up here.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

pub async fn run(args: Args) -> Result<()> {
    super::out::log(false);
    let signals = Signals::catch()?;
    let (random, clock) = (Arc::new(SystemRandom), Arc::new(SystemClock));
    let data = Data::open(&args, &*random)?;
    let url = args
        .database_url
        .clone()
        .unwrap_or_else(|| format!("sqlite://{}", data.path.join("cenote.db").display()));
    // This takes the lock. Until it is held and the ports are, another server may live here, and its files are left alone.
    let db = Db::open(&url, Options::default()).await?;
    let (plain, port) = data.bind("port", args.port).await?;
    let (over_tls, tls_port) = data.bind("tls-port", args.tls_port).await?;
    if let Some(file) = &args.ready_file {
        // An old one would speak of a server that has ended.
        let _ = std::fs::remove_file(file);
    }
    for (name, given, bound) in [("port", args.port, port), ("tls-port", args.tls_port, tls_port)] {
        data.remember(name, given, bound)?;
    }

    let certificates = tls::dev_certificates(&data.path, clock.now_ms(), &*random)?;
    let tls = Arc::new(tls::server_config(&certificates.leaf, &certificates.leaf_key, None)?);
    let settings = Settings {
        public_url: format!("http://localhost:{port}"),
        pages_url: format!("https://localhost:{tls_port}"),
        templates_dir: args.templates_dir.clone(),
        rate_limits: Rates::off().with(&args.rate_limits.clone().unwrap_or_default()),
        outgoing_allow: [Allowed::loopback(), args.outgoing_allow.clone()].concat(),
        outgoing_ca_file: args.outgoing_ca_file.clone(),
        ..Settings::default()
    };
    let vault = Vault::new(&data.master_key(&*random)?);
    let app =
        App::open(Parts { settings, db, vault, clock, random, keygen: KeySource::Generate }).await;
    let app = app.map_err(|error| data.explain(error, args.database_url.is_some()))?;

    backup::check_finished(&app.db).await?;
    let cx = Cx::system(app.clone());
    ready::prepare(&cx).await?;
    if let Some(file) = &args.seed {
        sow(&cx, file).await?;
    }
    let idp = match args.with_idp {
        true => Some(Idp::new(app.clone())?),
        false => None,
    };
    let router = app::router_with(app.clone(), idp);
    let doors = plain.into_iter().map(|listener| (listener, None));
    let doors = doors.chain(over_tls.into_iter().map(|listener| (listener, Some(tls.clone()))));
    let doors = doors
        .map(|(listener, tls)| Door { listener, tls, router: router.clone(), operator: false })
        .collect();
    let mut serving = pin!(serve::run(app, doors, signals));
    tokio::select! {
        announced = announce(&cx, &args, &certificates.ca) => {
            announced?;
            serving.await;
        }
        () = &mut serving => {}
    }
    Ok(())
}

/// Says that everything is ready. By then the server listens: the demonstration provider is asked for its metadata as any other is.
async fn announce(cx: &Cx, args: &Args, ca: &Path) -> Result<()> {
    let offered = ready::offer_idp(cx, args.with_idp).await;
    if let Err(error) = &offered {
        tracing::warn!(
            error = &*error.message,
            "the demonstration provider is not what the sign-in page offers"
        );
    }
    let ready = ready::describe(cx, ca, args.with_idp && offered.is_ok()).await?;
    if let Some(file) = &args.ready_file {
        ready::write(file, &ready)?;
    }
    super::out::say(&ready::greeting(&ready));
    Ok(())
}

async fn sow(cx: &Cx, file: &Path) -> Result<()> {
    let wrong = |error: Error| {
        Error::invalid(format!("The seed file {}: {}", file.display(), error.message))
            .because(format!("{error:?}"))
    };
    let text = std::fs::read_to_string(file)
        .map_err(|error| wrong(Error::invalid(format!("it cannot be read: {error}."))))?;
    let seed = seed::parse(&text).map_err(wrong)?;
    let [pools, clients, users] = seed::apply(cx, &seed).await.map_err(wrong)?;
    tracing::info!(pools, clients, users, "seeded; what existed stayed as it was");
    Ok(())
}

/// The directory of everything that a developer's server keeps.
struct Data {
    path: PathBuf,
    ephemeral: bool,
}

impl Data {
    fn open(args: &Args, random: &dyn Random) -> Result<Data> {
        let path = if args.ephemeral {
            std::env::temp_dir().join(format!("cenote-{}", ids::uuid_v4(random).simple()))
        } else {
            args.data.clone()
        };
        let unusable = |error: std::io::Error| {
            Error::invalid(format!("The directory {} cannot be used: {error}.", path.display()))
        };
        let made = !path.exists();
        files::create_private_dir(&path).map_err(unusable)?;
        // Other programs read `ca_file` from directories of their own.
        let path = path.canonicalize().map_err(unusable)?;
        let data = Data { path, ephemeral: args.ephemeral };
        // Keys must not end up in somebody's repository; but what is in a directory that was there is not ours to hide.
        if made {
            data.write_once(".gitignore", "*\n")?;
        }
        Ok(data)
    }

    /// A free port is the one of last time, if it is free again: issuers name it, and tokens outlive a restart.
    async fn bind(&self, name: &str, port: u16) -> Result<(Vec<TcpListener>, u16)> {
        if port != 0 {
            return serve::bind_loopback(port).await;
        }
        let file = self.path.join(name);
        let last = std::fs::read_to_string(&file)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .filter(|last| *last != 0);
        if let Some(last) = last
            && let Ok(bound) = serve::bind_loopback(last).await
        {
            return Ok(bound);
        }
        serve::bind_loopback(0).await
    }

    fn remember(&self, name: &str, given: u16, bound: u16) -> Result<()> {
        let file = self.path.join(name);
        let text = format!("{bound}\n");
        if given != 0 || std::fs::read_to_string(&file).is_ok_and(|last| last == text) {
            return Ok(());
        }
        files::write_private(&file, text.as_bytes()).map_err(|error| unwritable(&file, &error))
    }

    fn master_key(&self, random: &dyn Random) -> Result<MasterKey> {
        let file = self.path.join("master.key");
        self.write_once("master.key", &MasterKey::generate(random).to_hex())?;
        MasterKey::from_file(&file)
    }

    /// A developer who lost the key has not chosen one, and has nothing to lose: say how to begin anew.
    fn explain(&self, error: Error, elsewhere: bool) -> Error {
        if error.kind != Kind::InvalidParameter || !error.message.starts_with("The master key") {
            return error;
        }
        let key = self.path.join("master.key");
        let anew = if elsewhere {
            "use an empty database".to_owned()
        } else {
            format!("remove {}", self.path.display())
        };
        let message = format!(
            "{} This server's key is in {}. To begin anew, {anew}.",
            error.message,
            key.display()
        );
        Error::invalid(message).because(error.cause().unwrap_or_default())
    }

    fn write_once(&self, name: &str, text: &str) -> Result<()> {
        let file = self.path.join(name);
        if file.exists() {
            return Ok(());
        }
        files::write_private(&file, text.as_bytes()).map_err(|error| unwritable(&file, &error))
    }
}

impl Drop for Data {
    fn drop(&mut self) {
        if self.ephemeral
            && let Err(error) = std::fs::remove_dir_all(&self.path)
        {
            tracing::warn!(%error, "{} was not removed", self.path.display());
        }
    }
}

fn unwritable(file: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be written: {error}.", file.display()))
}
