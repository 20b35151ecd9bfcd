//! What the operator decides. `Settings` is what the running server reads; `Config` is how the operator says it: each field is a
//! flag, an environment variable and a key of the configuration file. Its comments are the reference (`docs/configuration.md`).

mod addresses;
mod outgoing;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use self::addresses::{database_url, mail_from, public_url, smtp_url};
pub use self::outgoing::Allowed;
use crate::ambient::{HOUR, Ms};
use crate::error::{Error, Result};
use crate::limits::{Given, Rates};

#[derive(Clone, Debug)]
pub struct Settings {
    /// `cenote dev`: everything on loopback, any credentials, a visible outbox.
    pub dev: bool,
    /// Scheme and authority of the JSON API and of issuers, without a trailing slash.
    pub public_url: String,
    /// Scheme and authority under which the hosted pages are offered in path form. In dev it is the TLS listener,
    /// because Amplify only opens `https` pages.
    pub pages_url: String,
    /// Whether hosted pages are served under `{public_url}/{pool}/`. Paths are no security boundary between pools.
    pub path_form: bool,
    /// The part of new pool ids before `_`.
    pub region: String,
    /// Twelve digits, in ARNs.
    pub account_id: String,
    /// How long a browser session lasts, and how long renewals can carry it from the last fresh authentication.
    pub browser_session_ms: Ms,
    pub browser_session_limit_ms: Ms,
    /// Addresses of proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Files that replace built-in ones of the hosted pages.
    pub templates_dir: Option<PathBuf>,
    /// How many requests are too many. Off in dev: tests make as many as they can.
    pub rate_limits: Rates,
    /// How mail leaves; without it, whatever would send mail is refused. In dev nothing leaves, with or without it.
    pub mail: Option<Mail>,
    /// Where outgoing requests may go besides public addresses.
    pub outgoing_allow: Vec<Allowed>,
    /// Authorities, besides the public ones, that may vouch for the servers that outgoing requests go to.
    pub outgoing_ca_file: Option<PathBuf>,
}

/// The SMTP server that takes our mail.
#[derive(Clone)]
pub struct Mail {
    /// `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`, or `smtp://localhost` without TLS.
    pub smtp_url: String,
    /// `Name <address>` or a bare address.
    pub from: String,
}

/// The URL may hold a password.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mail {{ smtp_url: [redacted], from: {:?} }}", self.from)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            dev: true,
            public_url: "http://localhost:9229".to_owned(),
            pages_url: "https://localhost:9230".to_owned(),
            path_form: true,
            region: "us-east-1".to_owned(),
            account_id: "123456789012".to_owned(),
            browser_session_ms: HOUR,
            browser_session_limit_ms: 24 * HOUR,
            trusted_proxies: Vec::new(),
            templates_dir: None,
            rate_limits: Rates::off(),
            mail: None,
            outgoing_allow: Allowed::loopback(),
            outgoing_ca_file: None,
        }
    }
}

/// Text that holds a password: it is never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl From<String> for Hidden {
    fn from(text: String) -> Hidden {
        Hidden(text)
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The settings of `cenote serve`.
#[derive(Clone, Debug, Default, clap::Args, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port of the API and the hosted pages. Default: 127.0.0.1:9229
    #[arg(long, env = "CENOTE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Scheme and host under which clients reach this server, as in https://id.example.com. It is the beginning of every issuer, so
    /// it must not change later. Required
    #[arg(long, env = "CENOTE_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,
    /// The database: sqlite:///absolute/path for one server, postgres://user:password@host/name?sslmode=require for one or several.
    /// Required
    #[arg(long, env = "CENOTE_DATABASE_URL", value_name = "URL", hide_env_values = true)]
    pub database_url: Option<Hidden>,
    /// PEM file of the authorities that may vouch for PostgreSQL's certificate. Default: the public ones
    #[arg(long, env = "CENOTE_DATABASE_CA_FILE", value_name = "FILE")]
    pub database_ca_file: Option<PathBuf>,
    /// File with the key under which secrets in the database are sealed: 64 hexadecimal digits, readable by the server only. Whoever
    /// loses it loses every password and signing key. Required
    #[arg(long, env = "CENOTE_MASTER_KEY_FILE", value_name = "FILE")]
    pub master_key_file: Option<PathBuf>,
    /// PEM file with the certificate of the TLS listener, the server's own first. Without it the server speaks plain HTTP, for a
    /// proxy on the same machine or one of `trusted_proxies`
    #[arg(long, env = "CENOTE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of that certificate
    #[arg(long, env = "CENOTE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// PEM file of the authorities whose client certificates may follow the revocation feed of every pool (docs/revocation-feed.md), and
    /// nothing else. The TLS listener then asks every client for a certificate and takes those without one as before; browsers that hold one
    /// of these authorities may ask their user about it. It needs tls_cert and tls_key. Default: no client is asked
    #[arg(long, env = "CENOTE_FEED_CLIENT_CA_FILE", value_name = "FILE")]
    pub feed_client_ca_file: Option<PathBuf>,
    /// Addresses of the proxies whose X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host headers are believed. Default: none
    #[arg(long, env = "CENOTE_TRUSTED_PROXIES", value_name = "ADDRESS", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<IpAddr>>,
    /// Accept an http public_url, plain HTTP from other machines, and SMTP and PostgreSQL without TLS. Passwords and tokens can then be
    /// read on the way. Default: false
    #[arg(long, env = "CENOTE_ALLOW_PLAIN_HTTP", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub allow_plain_http: Option<bool>,
    /// Address and port of /healthz, /readyz and /metrics, which are for the operator only. Default: 127.0.0.1:9231
    #[arg(long, env = "CENOTE_HEALTH_LISTEN", value_name = "ADDRESS")]
    pub health_listen: Option<SocketAddr>,
    /// Serve hosted pages under PUBLIC_URL/POOL too, not only on the pools' domains. All pools then share one origin, which keeps their
    /// cookies apart but not their pages. Default: false
    #[arg(long, env = "CENOTE_PATH_FORM", value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub path_form: Option<bool>,
    /// The part of new pool ids before the underscore. Clients take it for an AWS region. Default: us-east-1
    #[arg(long, env = "CENOTE_REGION", value_name = "REGION")]
    pub region: Option<String>,
    /// The account of ARNs, twelve digits. Default: 123456789012
    #[arg(long, env = "CENOTE_ACCOUNT_ID", value_name = "ID")]
    pub account_id: Option<String>,
    /// Folder with templates, texts and styles that replace built-in ones of the hosted pages, one by one (docs/customizing.md). It is
    /// read at start, and refused if a page would not work
    #[arg(long, env = "CENOTE_TEMPLATES_DIR", value_name = "DIR")]
    pub templates_dir: Option<PathBuf>,
    /// Where mail is handed over: smtps://user:password@host:465, smtp://user:password@host:587?tls=required (STARTTLS), or
    /// smtp://localhost. Without it, whatever would send mail is refused
    #[arg(long, env = "CENOTE_SMTP_URL", value_name = "URL", hide_env_values = true)]
    pub smtp_url: Option<Hidden>,
    /// The sender of mail, as in "Example <no-reply@example.com>". Required with smtp_url
    #[arg(long, env = "CENOTE_MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
    /// Identity providers, and receivers of sign-outs (webhooks, back-channel logout, event streams, token revocation), that are not at
    /// public addresses: hosts (idp.internal), hosts with their port (idp.internal:8443), addresses and networks (10.0.0.0/8). They may be
    /// reached there, and by plain http. Default: none, so that nobody who configures one can make this server ask its neighbours
    #[arg(long, env = "CENOTE_OUTGOING_ALLOW", value_name = "HOST", value_delimiter = ',')]
    pub outgoing_allow: Option<Vec<Allowed>>,
    /// PEM file of authorities that may vouch for the certificates of identity providers and receivers, besides the public ones
    #[arg(long, env = "CENOTE_OUTGOING_CA_FILE", value_name = "FILE")]
    pub outgoing_ca_file: Option<PathBuf>,
    /// Limits that differ from those in the list below: as a flag or variable Name=number pairs with commas, as in
    /// UserAuthentication=500,per_address=0, where 0 is no limit; in the file also a table [rate_limits]; "off" takes all away. Default: the
    /// list below
    #[arg(long, env = "CENOTE_RATE_LIMITS", value_name = "LIMITS")]
    pub rate_limits: Option<Given>,
    /// How logs are written: json or text. RUST_LOG says how much. Default: json
    #[arg(long, env = "CENOTE_LOG_FORMAT", value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Json,
    Text,
}

/// A configuration that is safe to start with.
#[derive(Debug)]
pub struct Checked {
    pub settings: Settings,
    pub listen: SocketAddr,
    pub health_listen: SocketAddr,
    /// Certificate and key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Whose client certificates its TLS listener asks for.
    pub feed_client_ca_file: Option<PathBuf>,
    pub database_url: Hidden,
    pub master_key_file: PathBuf,
}

impl Config {
    /// Reads a configuration file. An unknown key is an error: it would be a setting that silently does nothing.
    pub fn read(file: &Path) -> Result<Config> {
        let shown = file.display();
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::invalid(format!("The configuration file {shown} cannot be read: {error}."))
        })?;
        toml::from_str(&text).map_err(|error| {
            Error::invalid(format!(
                "The configuration file {shown} is not valid{}",
                whats_wrong(&error, &text)
            ))
        })
    }

    /// What is given here, and where nothing is, what `file` says.
    pub fn or(self, file: Config) -> Config {
        Config {
            listen: self.listen.or(file.listen),
            public_url: self.public_url.or(file.public_url),
            database_url: self.database_url.or(file.database_url),
            database_ca_file: self.database_ca_file.or(file.database_ca_file),
            master_key_file: self.master_key_file.or(file.master_key_file),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            feed_client_ca_file: self.feed_client_ca_file.or(file.feed_client_ca_file),
            trusted_proxies: self.trusted_proxies.or(file.trusted_proxies),
            allow_plain_http: self.allow_plain_http.or(file.allow_plain_http),
            health_listen: self.health_listen.or(file.health_listen),
            path_form: self.path_form.or(file.path_form),
            region: self.region.or(file.region),
            account_id: self.account_id.or(file.account_id),
            templates_dir: self.templates_dir.or(file.templates_dir),
            smtp_url: self.smtp_url.or(file.smtp_url),
            mail_from: self.mail_from.or(file.mail_from),
            outgoing_allow: self.outgoing_allow.or(file.outgoing_allow),
            outgoing_ca_file: self.outgoing_ca_file.or(file.outgoing_ca_file),
            // Limit by limit: a flag for one of them leaves the others of the file.
            rate_limits: match (self.rate_limits, file.rate_limits) {
                (Some(given), Some(file)) => Some(given.over(file)),
                (given, file) => given.or(file),
            },
            log_format: self.log_format.or(file.log_format),
        }
    }

    /// Refuses what is incomplete or unsafe; each message says what to change.
    pub fn check(self) -> Result<Checked> {
        let plain = self.allow_plain_http.unwrap_or(false);
        let listen = self.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9229)));
        let proxies = self.trusted_proxies.unwrap_or_default();
        let public_url = public_url(
            self.public_url
                .as_deref()
                .ok_or_else(|| missing("public_url", "https://id.example.com"))?,
            plain,
        )?;
        let tls = match (self.tls_cert, self.tls_key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => {
                return refuse(
                    "tls_cert is set without tls_key. Set both, or neither behind a proxy that speaks TLS.",
                );
            }
            (None, Some(_)) => {
                return refuse(
                    "tls_key is set without tls_cert. Set both, or neither behind a proxy that speaks TLS.",
                );
            }
        };
        if tls.is_none() && self.feed_client_ca_file.is_some() {
            return refuse(
                "feed_client_ca_file is set without tls_cert and tls_key. Only a TLS connection that ends here shows a client certificate: set \
                 both, or leave it out behind a proxy that speaks TLS and let verifiers use the scope revocations/read.",
            );
        }
        if tls.is_none() && !listen.ip().is_loopback() && proxies.is_empty() && !plain {
            return refuse(format!(
                "listen = {listen} would take passwords in plain HTTP from other machines. Set tls_cert and tls_key, or listen on 127.0.0.1 \
                 behind a proxy, or name the proxies in trusted_proxies. (allow_plain_http permits it for a network that nobody else is in.)"
            ));
        }
        let health_listen = self.health_listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9231)));
        if health_listen == listen && listen.port() != 0 {
            return refuse(format!(
                "listen and health_listen are both {listen}. /metrics is not for the public: choose another port."
            ));
        }
        let region = self.region.unwrap_or_else(|| Settings::default().region);
        if !is_region(&region) {
            return refuse(format!(
                "region = {region:?} is not of the form us-east-1. Clients take pool ids apart by it and refuse others."
            ));
        }
        let account_id = self.account_id.unwrap_or_else(|| Settings::default().account_id);
        if account_id.len() != 12 || !account_id.bytes().all(|c| c.is_ascii_digit()) {
            return refuse(format!("account_id = {account_id:?} is not twelve digits."));
        }
        let mail = match (self.smtp_url, self.mail_from) {
            (None, _) => None,
            (Some(_), None) => {
                return refuse(
                    "smtp_url is set without mail_from. Set mail_from to the sender, as in \"Example <no-reply@example.com>\".",
                );
            }
            (Some(Hidden(url)), Some(from)) => {
                Some(Mail { smtp_url: smtp_url(url, plain)?, from: mail_from(from)? })
            }
        };
        let database = self
            .database_url
            .ok_or_else(|| missing("database_url", "sqlite:///var/lib/cenote/cenote.db"))?;
        Ok(Checked {
            settings: Settings {
                dev: false,
                pages_url: public_url.clone(),
                public_url,
                path_form: self.path_form.unwrap_or(false),
                region,
                account_id,
                trusted_proxies: proxies,
                templates_dir: self.templates_dir,
                rate_limits: Rates::built_in().with(&self.rate_limits.unwrap_or_default()),
                mail,
                outgoing_allow: self.outgoing_allow.unwrap_or_default(),
                outgoing_ca_file: self.outgoing_ca_file,
                ..Settings::default()
            },
            listen,
            health_listen,
            tls,
            feed_client_ca_file: self.feed_client_ca_file,
            database_url: database_url(database, self.database_ca_file.as_deref(), plain)?,
            master_key_file: self.master_key_file.ok_or_else(|| missing_key("master_key_file"))?,
        })
    }
}

/// `us-east-1`, `us-gov-west-1`: what `aws-jwt-verify` and Terraform accept.
fn is_region(region: &str) -> bool {
    let parts: Vec<&str> = region.split('-').collect();
    let letters = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_lowercase());
    let (place, number) = match parts.as_slice() {
        [area, place, number] if area.len() == 2 && letters(area) => (place, number),
        [area, "gov", place, number] if area.len() == 2 && letters(area) => (place, number),
        _ => return false,
    };
    letters(place) && matches!(number.as_bytes(), [b'0'..=b'9'])
}

/// A setting without which nothing works.
pub fn missing(name: &str, example: &str) -> Error {
    let flag = name.replace('_', "-");
    let variable = name.to_uppercase();
    Error::invalid(format!(
        "{name} is not set. Give --{flag}, the variable CENOTE_{variable} or the key {name} of the configuration file, as in {example}"
    ))
}

pub fn missing_key(name: &str) -> Error {
    missing(
        name,
        "/etc/cenote/master.key. Make one with: (umask 077; openssl rand -hex 32 > master.key)",
    )
}

fn refuse<T>(message: impl Into<std::borrow::Cow<'static, str>>) -> Result<T> {
    Err(Error::invalid(message))
}

/// Where and what, without the line itself, which the parser would show, and without the value: it may hold a password.
fn whats_wrong(error: &toml::de::Error, text: &str) -> String {
    let start = error.span().map(|span| span.start);
    let before = start.and_then(|start| text.get(..start));
    let line = before.map(|before| format!(" in line {}", before.matches('\n').count() + 1));
    let message = error.message().lines().next().unwrap_or_default();
    let names_value =
        ["invalid type", "invalid value", "unknown variant"].iter().any(|p| message.starts_with(p));
    let what = match message.rsplit_once(", expected ") {
        Some((_, expected)) if names_value => {
            let key = before.and_then(|before| key_of(before.lines().next_back()?));
            format!("{}expected {expected}", key.map(|key| format!("{key}: ")).unwrap_or_default())
        }
        _ => message.to_owned(),
    };
    format!("{}: {what}.", line.unwrap_or_default())
}

/// The key of a line of which the part before the value is known.
fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    key.bytes().all(|c| c.is_ascii_lowercase() || c == b'_').then_some(key)
}
