//! The verifier: is this token genuine, unexpired, and has nothing ended it? Made once per process, cloned freely.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use crate::builder::Builder;
use crate::client;
use crate::feed::Freshness;
use crate::guard::SessionGuard;
use crate::policy::Policy;
use crate::seen;
use crate::shared::{Config, Shared};
use crate::token::{MAX_TOKEN, Refusal, Token, TokenUse};

/// The background work ends with the last clone.
struct Tasks([tokio::task::AbortHandle; 2]);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(tokio::task::AbortHandle::abort);
    }
}

/// Which tokens get in, of those that are alive.
pub(crate) struct Accepts {
    pub token_use: Option<TokenUse>,
    pub clients: Vec<String>,
}

/// Verifies the tokens of one pool.
#[derive(Clone)]
pub struct Verifier {
    shared: Arc<Shared>,
    accepts: Arc<Accepts>,
    policy: Policy,
    _tasks: Arc<Tasks>,
}

impl Verifier {
    /// `issuer` is the pool's, as in its tokens; `consumer` is this process' name in the receipts of sign-outs, its own in each process.
    pub fn builder(issuer: impl Into<String>, consumer: impl Into<String>) -> Builder {
        Builder::new(issuer.into(), consumer.into())
    }

    pub(crate) fn begin(
        shared: Shared,
        accepts: Accepts,
        policy: Policy,
        runtime: &tokio::runtime::Handle,
    ) -> Verifier {
        let shared = Arc::new(shared);
        let tasks = Tasks([
            runtime.spawn(client::follow(shared.clone())).abort_handle(),
            runtime.spawn(client::keep_house(shared.clone())).abort_handle(),
        ]);
        Verifier { shared, accepts: Arc::new(accepts), policy, _tasks: Arc::new(tasks) }
    }

    /// Waits until the feed is fresh and the keys are there. A service need not: until then its policy decides.
    pub async fn ready(&self) {
        let mut told = self.shared.told.subscribe();
        while self.freshness() != Freshness::Fresh || self.shared.token_keys.now().is_empty() {
            tokio::select! {
                _ = told.changed() => {}
                () = crate::clock::pause(Duration::from_millis(50)) => {}
            }
        }
    }

    pub async fn verify(&self, token: &str) -> Result<Token, Refusal> {
        self.verify_by(token, self.policy).await
    }

    /// With a policy of this route's own. A layer tells the server of one that is weaker than the verifier's as soon as it is made; here
    /// receipts count on it only from its first use on, so rather give the verifier the weakest.
    pub async fn verify_by(&self, text: &str, policy: Policy) -> Result<Token, Refusal> {
        if text.len() > MAX_TOKEN {
            return Err(Refusal::Malformed);
        }
        let shared = &*self.shared;
        let hash = seen::hash(text);
        // A key that is gone takes along what it signed.
        let known =
            shared.seen.get(&hash).filter(|own| shared.token_keys.now().find(own.kid()).is_some());
        let token = match known {
            Some(token) => token,
            None => {
                let token = self.open(text).await?;
                shared.seen.remember(hash, text.len(), &token);
                token
            }
        };
        self.admit(&token)?;
        // First: what came in between these two looks would be vouched for, and not looked up.
        let freshness = self.freshness();
        if shared.feed.is_revoked(&token) {
            return Err(Refusal::Revoked);
        }
        if policy != self.policy {
            shared.may_use(policy);
        }
        if freshness == Freshness::Expired {
            self.decide(&token, text, hash, policy).await?;
        }
        Ok(token)
    }

    /// What does not change while the token lives, and its expiry.
    fn admit(&self, token: &Token) -> Result<(), Refusal> {
        let Config { issuer, also, .. } = &self.shared.config;
        if token.issuer() != issuer && !also.iter().any(|issuer| token.issuer() == issuer) {
            return Err(Refusal::Issuer);
        }
        let Accepts { token_use, clients } = &*self.accepts;
        if token_use.is_some_and(|wanted| token.token_use() != wanted) {
            return Err(Refusal::TokenUse);
        }
        if !clients.is_empty() && !clients.iter().any(|client| token.client_id() == client) {
            return Err(Refusal::Client);
        }
        match token.is_expired(self.shared.feed.now_for_expiry_ms()) {
            true => Err(Refusal::Expired),
            false => Ok(()),
        }
    }

    async fn open(&self, text: &str) -> Result<Token, Refusal> {
        let shared = &*self.shared;
        let open = || {
            shared.meters.signatures.fetch_add(1, Relaxed);
            Token::open(text, &shared.token_keys.now(), &shared.feed.pool)
        };
        let opened =
            if shared.token_keys.now().is_empty() { Err(Refusal::UnknownKey) } else { open() };
        if opened != Err(Refusal::UnknownKey) {
            return opened;
        }
        // Of a key that was revoked we know why we do not have it, and need not ask.
        let kid = Token::kid_of(text).ok_or(Refusal::Malformed)?;
        if shared.feed.is_revoked_key(&kid) {
            return Err(Refusal::Revoked);
        }
        let endpoints = shared.endpoints().await.map_err(|_| Refusal::Unavailable)?;
        match shared.token_keys.renew(&shared.http, &endpoints.jwks, &shared.feed).await {
            client::Renewal::Current => open(),
            client::Renewal::Failed => Err(Refusal::Unavailable),
        }
    }

    async fn decide(
        &self,
        token: &Token,
        text: &str,
        hash: seen::Hash,
        policy: Policy,
    ) -> Result<(), Refusal> {
        let open = match policy {
            Policy::FailOpen => return Ok(()),
            Policy::FailClosed => return Err(Refusal::Unavailable),
            Policy::Introspect => false,
            Policy::IntrospectElseOpen => true,
        };
        let shared = &*self.shared;
        let active = match shared.known_endpoints() {
            // Introspection knows access tokens only: to it an ID token is nothing, which says nothing of its session.
            Some(endpoints) if token.token_use() == TokenUse::Access => {
                let clock = &*shared.feed.clock;
                shared.introspection.is_active(&shared.http, &endpoints, clock, text, hash).await
            }
            _ => None,
        };
        match active {
            Some(true) => Ok(()),
            Some(false) => Err(Refusal::Revoked),
            None if open => Ok(()),
            None => Err(Refusal::Unavailable),
        }
    }

    /// Writes what is known to disk now, if there is a file for it: for an orderly end. It is also done every ten seconds.
    pub async fn save(&self) {
        self.shared.write_to_disk().await;
    }

    /// Watches the token's session for as long as a socket or stream is open.
    pub fn guard(&self, token: &Token) -> SessionGuard {
        SessionGuard::new(self.shared.feed.clone(), token.clone(), None)
    }

    /// The same, but it also lets go when the feed is too old to tell: for sockets that would rather close than go on blindly.
    pub fn strict_guard(&self, token: &Token) -> SessionGuard {
        let limit = self.shared.config.max_staleness_ms;
        SessionGuard::new(self.shared.feed.clone(), token.clone(), Some(limit))
    }

    pub fn freshness(&self) -> Freshness {
        self.shared.feed.freshness(self.shared.config.max_staleness_ms)
    }

    /// For metrics and health checks.
    pub fn status(&self) -> Status {
        let Shared { feed, meters, token_keys, .. } = &*self.shared;
        Status {
            freshness: self.freshness(),
            age_ms: feed.age_ms(),
            seq: feed.position().map(|position| position.seq),
            entries: feed.table.len(),
            guards: feed.guards.len(),
            frames: meters.frames.load(Relaxed),
            records: meters.records.load(Relaxed),
            refused: meters.refused.load(Relaxed),
            snapshots: meters.snapshots.load(Relaxed),
            failures: meters.failures.load(Relaxed),
            signature_checks: meters.signatures.load(Relaxed),
            key_fetches: token_keys.fetches.load(Relaxed),
        }
    }

    /// Tells the server beforehand that some route will use this policy.
    #[cfg(feature = "tower")]
    pub(crate) fn will_use(&self, policy: Policy) {
        self.shared.may_use(policy);
    }

    #[cfg(feature = "tower")]
    pub(crate) fn policy(&self) -> Policy {
        self.policy
    }
}

/// What a verifier knows and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Status {
    pub freshness: Freshness,
    /// Since the question whose answer was last accepted; `None` before the first.
    pub age_ms: Option<u64>,
    /// The number of the last record that is known.
    pub seq: Option<u64>,
    pub entries: usize,
    /// Sessions that are watched.
    pub guards: usize,
    pub frames: u64,
    pub records: u64,
    /// Frames and snapshots that were not what they should be.
    pub refused: u64,
    pub snapshots: u64,
    /// Attempts to follow the feed that failed, the refused ones included.
    pub failures: u64,
    pub signature_checks: u64,
    pub key_fetches: u64,
}
