//! What every operation gets: the shared state of the process, the time (read once), randomness, and who is asking.

mod admit;
pub mod page;

use std::any::Any;
use std::sync::{Arc, Mutex};

use quick_cache::sync::Cache;

pub use admit::Asked;

use crate::ambient::{Clock, Ms, Random};
use crate::breakers::Breakers;
use crate::compute::Compute;
use crate::config::Settings;
use crate::error::{Error, Kind, Result};
use crate::feeds::Feeds;
use crate::keys::saml::SamlKey;
use crate::keys::{KeySource, Ring, SeenTokens, Vault};
use crate::limits::{Limit, Limits};
use crate::meters::Meters;
use crate::outgoing::Outgoing;
use crate::store::Db;
use crate::store::pools::Directory;
use crate::templates::Templates;
use crate::turns::Turns;
use crate::wakes::Wakes;

/// The state that all requests share.
pub struct App {
    pub settings: Settings,
    pub db: Db,
    pub directory: Directory,
    /// Signing keys by (pool id, pool version).
    pub rings: Cache<(String, i64), Arc<Ring>>,
    /// Keys for SAML by (pool id and use, pool version).
    pub saml_keys: Cache<(String, i64), Arc<SamlKey>>,
    /// Tokens whose signature need not be checked again.
    pub seen: SeenTokens,
    pub vault: Vault,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub keygen: KeySource,
    pub compute: Compute,
    pub lanes: Lanes,
    pub turns: Turns,
    pub breakers: Breakers,
    pub wakes: Wakes,
    /// Those who follow revocation feeds.
    pub feeds: Feeds,
    pub limits: Limits,
    pub meters: Meters,
    pub templates: Templates,
    /// The way to identity providers.
    pub outgoing: Outgoing,
    /// Parsed documents of providers, by pool, provider, what it is, its address, and which copy. Their types are `federation`'s.
    pub learned: Cache<LearnedKey, Arc<dyn Any + Send + Sync>>,
}

pub type LearnedKey = (String, String, &'static str, String, Ms);

/// Where operations wait that lost a race for the same row.
#[derive(Default)]
pub struct Lanes([tokio::sync::Mutex<()>; 32]);

impl Lanes {
    async fn enter(&self, what: &str) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        let hash = what
            .bytes()
            .fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(usize::from(byte)));
        match self.0.get(hash % self.0.len()) {
            Some(lane) => Some(lane.lock().await),
            None => None,
        }
    }
}

/// One request.
#[derive(Clone)]
pub struct Cx {
    pub app: Arc<App>,
    /// Epoch milliseconds, read once.
    pub now: Ms,
    pub request: Arc<Request>,
    reply: Arc<Mutex<Reply>>,
    /// Counted against its limits when the token has told whose request it is.
    category: Option<Limit>,
    /// This is another run of a request that was counted.
    again: bool,
}

/// Who asks, from where. `id` is returned as `x-amzn-RequestId`.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: String,
    pub ip: String,
    /// The parsed user agent, as a session shows it.
    pub device: String,
    /// The access key that signed the request, where one did.
    pub access_key: Option<String>,
    /// The scheme and authority under which the client reached this server, for links back to it.
    pub origin: String,
}

/// What an operation adds to the headers of its answer.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// `x-cenote-signout`.
    pub signout: Option<String>,
    /// The operation has audited its own refusal.
    pub refusal_audited: bool,
    /// What the request turned out to be about, for the audit of a refusal: found in the database, never taken from
    /// its text alone.
    pub about: About,
}

/// A pool, what in it, and the user whose token came along.
#[derive(Clone, Debug, Default)]
pub struct About {
    pub pool_id: String,
    pub target: String,
    pub user: Option<String>,
}

impl Cx {
    pub fn new(app: Arc<App>, request: Request) -> Cx {
        let now = app.clock.now_ms();
        Cx {
            app,
            now,
            request: Arc::new(request),
            reply: Arc::default(),
            category: None,
            again: false,
        }
    }

    /// A context for what the process does by itself: workers and operator's commands.
    pub fn system(app: Arc<App>) -> Cx {
        let id = crate::ids::uuid_v7(app.clock.now_ms(), &*app.random).to_string();
        let request = Request {
            id,
            ip: String::new(),
            device: String::new(),
            access_key: None,
            origin: app.settings.public_url.clone(),
        };
        Cx::new(app, request)
    }

    /// The same request by whoever signed it.
    pub fn signed_by(mut self, access_key: String) -> Cx {
        let mut request = (*self.request).clone();
        request.access_key = Some(access_key);
        self.request = Arc::new(request);
        self
    }

    pub fn db(&self) -> &Db {
        &self.app.db
    }

    pub fn rng(&self) -> &dyn Random {
        &*self.app.random
    }

    pub fn set_signout(&self, id: &str) {
        if let Ok(mut reply) = self.reply.lock() {
            reply.signout = Some(id.to_owned());
        }
    }

    /// The refusal that follows was committed to the audit trail; the door need not do it again.
    pub fn note_refusal_audited(&self) {
        if let Ok(mut reply) = self.reply.lock() {
            reply.refusal_audited = true;
        }
    }

    /// Remembers what this request is about; what is found later is nearer to the point.
    pub fn is_about(&self, pool_id: &str, target: Option<&str>) {
        if let Ok(mut reply) = self.reply.lock() {
            reply.about.pool_id = pool_id.to_owned();
            if let Some(target) = target {
                reply.about.target = target.to_owned();
            }
        }
    }

    /// Remembers the user whose token authorises this request.
    pub fn is_by(&self, pool_id: &str, sub: &str) {
        self.is_about(pool_id, Some(sub));
        if let Ok(mut reply) = self.reply.lock() {
            reply.about.user = Some(sub.to_owned());
        }
    }

    pub fn reply(&self) -> Reply {
        self.reply.lock().map(|reply| reply.clone()).unwrap_or_default()
    }

    /// Runs an operation again, whole, when a guard lost a race: at most three times, then the caller is told to retry.
    /// Re-runs that lost the same race queue up in one lane, so that many parallel sign-ins of one user all succeed.
    pub async fn retrying<T, F>(&self, mut operation: impl FnMut(Cx) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let mut lane = None;
        for run in 0..4 {
            if let Ok(mut reply) = self.reply.lock() {
                *reply = Reply::default();
            }
            let mut cx = self.clone();
            if run > 0 {
                cx.again = true;
                self.app.meters.rerun();
            }
            match operation(cx).await {
                Err(error) if error.is_conflict() => {
                    if lane.is_none() {
                        lane = Some(self.app.lanes.enter(error.cause().unwrap_or_default()).await);
                    }
                }
                answer => return answer,
            }
        }
        Err(Error::new(
            Kind::TooManyRequests,
            "Too many concurrent changes to the same user or resource. Try again shortly.",
        ))
    }
}

/// A short name for the browser or SDK behind a user agent, for people who look at their list of sessions.
pub fn device(user_agent: &str) -> String {
    let first = |names: &[(&'static str, &'static str)]| {
        names.iter().find(|(mark, _)| user_agent.contains(mark)).map(|(_, name)| *name)
    };
    let program = first(&[
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Firefox/", "Firefox"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("aws-cli/", "AWS CLI"),
        ("Boto3/", "boto3"),
        ("Botocore/", "botocore"),
        ("aws-sdk-js/", "AWS SDK for JavaScript"),
        ("aws-sdk-rust/", "AWS SDK for Rust"),
        ("aws-sdk-java/", "AWS SDK for Java"),
        ("aws-sdk-go", "AWS SDK for Go"),
        ("aws-amplify/", "Amplify"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
        ("linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(name), None) | (None, Some(name)) => name.to_owned(),
        (None, None) => "unknown".to_owned(),
    }
}
