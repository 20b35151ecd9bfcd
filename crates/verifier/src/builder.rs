//! How a verifier is set up, and what cannot be.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::client::{Credentials, Http};
use crate::clock::{Clock, SystemClock};
use crate::feed::Feed;
use crate::policy::Policy;
use crate::shared::{Config, Shared};
use crate::token::TokenUse;
use crate::verifier::{Accepts, Verifier};

/// What a question to the feed can say (`docs/revocation-feed.md`).
const MAX_STALENESS: Duration = Duration::from_secs(86_400);

/// How a verifier is set up.
pub struct Builder {
    issuer: String,
    pool: Option<String>,
    also: Vec<String>,
    consumer: String,
    credentials: Credentials,
    ca: Option<Vec<u8>>,
    policy: Policy,
    token_use: Option<TokenUse>,
    clients: Vec<String>,
    max_staleness: Duration,
    max_entries: usize,
    seen: usize,
    disk: Option<PathBuf>,
    clock: Arc<dyn Clock>,
}

/// Why a verifier cannot be set up like that, in words.
#[derive(Debug)]
pub struct BadSetup(String);

impl std::fmt::Display for BadSetup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadSetup {}

impl Builder {
    pub(crate) fn new(issuer: String, consumer: String) -> Builder {
        Builder {
            issuer,
            pool: None,
            also: Vec::new(),
            consumer,
            credentials: Credentials::None,
            ca: None,
            policy: Policy::default(),
            token_use: Some(TokenUse::Access),
            clients: Vec::new(),
            max_staleness: Duration::from_secs(30),
            max_entries: 16 << 20,
            seen: 8_192,
            disk: None,
            clock: Arc::new(SystemClock),
        }
    }

    /// The pool, where its id is not the last part of the issuer's path (an issuer override).
    pub fn pool(self, id: impl Into<String>) -> Builder {
        Builder { pool: Some(id.into()), ..self }
    }

    /// Another issuer of the same pool, whose tokens still live after a change of address.
    pub fn also_accept(mut self, issuer: impl Into<String>) -> Builder {
        self.also.push(issuer.into());
        self
    }

    /// An app client with the grant `client_credentials` and the scope `revocations/read`.
    pub fn client(self, id: impl Into<String>, secret: impl Into<String>) -> Builder {
        self.credentials(Credentials::Client { id: id.into(), secret: secret.into() })
    }

    pub fn credentials(self, credentials: Credentials) -> Builder {
        Builder { credentials, ..self }
    }

    /// Root certificates as PEM, beside those of the web.
    pub fn ca(self, pem: impl Into<Vec<u8>>) -> Builder {
        Builder { ca: Some(pem.into()), ..self }
    }

    /// What to do while the feed is too old to tell; a layer may have its own. By default `Policy::Introspect`.
    pub fn policy(self, policy: Policy) -> Builder {
        Builder { policy, ..self }
    }

    /// By default only access tokens are accepted.
    pub fn accept(self, token_use: TokenUse) -> Builder {
        Builder { token_use: Some(token_use), ..self }
    }

    /// Accepts access tokens and ID tokens.
    pub fn accept_both(self) -> Builder {
        Builder { token_use: None, ..self }
    }

    /// Accepts only tokens of this app client (and of others named like that). By default of all of the pool.
    pub fn only_client(mut self, id: impl Into<String>) -> Builder {
        self.clients.push(id.into());
        self
    }

    /// How old the state of the feed may be: 30 s, at least 4, and at most a day.
    pub fn max_staleness(self, time: Duration) -> Builder {
        Builder { max_staleness: time, ..self }
    }

    /// The most entries that a snapshot may have: 16 million, which take half a gigabyte.
    pub fn max_entries(self, entries: usize) -> Builder {
        Builder { max_entries: entries, ..self }
    }

    /// How many verified tokens are remembered: 8,192.
    pub fn remembered_tokens(self, tokens: usize) -> Builder {
        Builder { seen: tokens, ..self }
    }

    /// A file in which what is known survives a restart.
    pub fn disk(self, path: impl Into<PathBuf>) -> Builder {
        Builder { disk: Some(path.into()), ..self }
    }

    pub fn clock(self, clock: Arc<dyn Clock>) -> Builder {
        Builder { clock, ..self }
    }

    /// Starts to follow the feed, on the Tokio runtime that this is called in. It does not wait for the server:
    /// [`Verifier::ready`] does.
    pub fn start(self) -> Result<Verifier, BadSetup> {
        let issuer = self.issuer.trim_end_matches('/').to_owned();
        let url =
            url::Url::parse(&issuer).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let url = url.ok_or_else(|| BadSetup(format!("the issuer {issuer} is no http address")))?;
        let last = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
        let pool = self.pool.unwrap_or_else(|| last.to_owned());
        if pool.is_empty() {
            return Err(BadSetup(format!(
                "the issuer {issuer} does not end in the pool's id: name the pool"
            )));
        }
        let named = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
        if !(1..=64).contains(&self.consumer.len()) || !self.consumer.bytes().all(named) {
            return Err(BadSetup(
                "a consumer's name is 1 to 64 of A-Z, a-z, 0-9, '.', '_' and '-'".into(),
            ));
        }
        if self.max_staleness < Duration::from_millis(crate::feed::FRESH_MS) {
            return Err(BadSetup(
                "max_staleness is at least 4 s: what is younger is always fresh".into(),
            ));
        }
        if self.max_staleness > MAX_STALENESS {
            return Err(BadSetup(
                "max_staleness is at most a day: the server takes no more".into(),
            ));
        }
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| BadSetup("a verifier is started within a Tokio runtime".into()))?;
        let http = Http::new(self.credentials, self.ca.as_deref(), self.clock.clone())
            .map_err(BadSetup)?;
        let config = Config {
            issuer,
            also: self.also,
            consumer: self.consumer,
            max_staleness_ms: u64::try_from(self.max_staleness.as_millis()).unwrap_or(u64::MAX),
            max_entries: self.max_entries,
            disk: self.disk,
        };
        let feed = Feed::new(pool, self.clock);
        let shared = Shared::new(config, feed, http, self.seen, self.policy);
        let accepts = Accepts { token_use: self.token_use, clients: self.clients };
        Ok(Verifier::begin(shared, accepts, self.policy, &runtime))
    }
}
