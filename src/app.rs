//! The only place where routes and worker loops are listed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use quick_cache::sync::Cache;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::ambient::{Clock, MINUTE, Ms, Random, SECOND};
use crate::compute::Compute;
use crate::config::Settings;
use crate::cx::{App, Cx};
use crate::dev::idp::Idp;
use crate::error::{Error, Result};
use crate::keys::{KeySource, SeenTokens, Vault};
use crate::limits::Limits;
use crate::meters::{self, Meters};
use crate::notify::smtp;
use crate::outgoing::Outgoing;
use crate::store::{Batch, Db, keys, purge, schema};
use crate::templates::Templates;
use crate::{cognito, delivery, dev, extension, federation, health, hosted, http, oauth};

/// By then every client has given up. What was submitted to the database still runs to its end.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What a server is made of.
pub struct Parts {
    pub settings: Settings,
    pub db: Db,
    pub vault: Vault,
    pub clock: Arc<dyn Clock>,
    pub random: Arc<dyn Random>,
    pub keygen: KeySource,
}

impl App {
    /// Refuses a database that belongs to another master key or the other mode, migrates it, and assembles the state.
    pub async fn open(parts: Parts) -> Result<Arc<App>> {
        let Parts { settings, db, vault, clock, random, keygen } = parts;
        let templates = Templates::open(settings.templates_dir.as_deref(), settings.dev)?;
        // Before anything is changed: the wrong program or key must not bring somebody else's database to another version.
        if db.schema_version().await? > 0 {
            belongs(&db, &vault, settings.dev).await?;
        }
        db.migrate(schema::MIGRATIONS).await?;
        claim(&db, &vault, &*random, settings.dev).await?;
        let cores = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let counted = meters::Compute::default();
        let sent = meters::Outgoing::default();
        Ok(Arc::new(App {
            meters: Meters::new(&counted, db.meters(), &sent),
            limits: Limits::new(settings.rate_limits.clone()),
            outgoing: Outgoing::new(&settings, sent)?,
            settings,
            db,
            directory: Default::default(),
            rings: Cache::new(1_000),
            saml_keys: Cache::new(1_000),
            seen: SeenTokens::default(),
            vault,
            clock,
            random,
            keygen,
            compute: Compute::start(cores, counted)?,
            lanes: Default::default(),
            turns: Default::default(),
            breakers: Default::default(),
            wakes: Default::default(),
            feeds: Default::default(),
            learned: Cache::new(1_000),
            templates,
        }))
    }
}

/// Every route of the house.
pub fn router(app: Arc<App>) -> Router {
    router_with(app, None)
}

/// The same with the demonstration provider, which only a developer's server may have.
pub fn router_with(app: Arc<App>, idp: Option<Arc<Idp>>) -> Router {
    let mut router = Router::new()
        .route("/", post(cognito::post).options(cognito::options))
        // The issuer.
        .route("/{pool}/.well-known/openid-configuration", get(oauth::openid_configuration).options(oauth::preflight))
        .route("/{pool}/.well-known/oauth-authorization-server", get(oauth::openid_configuration).options(oauth::preflight))
        .route("/.well-known/oauth-authorization-server/{pool}", get(oauth::openid_configuration).options(oauth::preflight))
        .route("/{pool}/.well-known/jwks.json", get(oauth::jwks).options(oauth::preflight))
        // A pool's pages and OAuth endpoints, on its domain and in path form.
        .merge(pages(""))
        .merge(pages("/{pool}"))
        .merge(delivery::routes())
        .merge(extension::routes());
    if app.settings.dev {
        router = router
            .merge(health::routes())
            .route("/dev/outbox", get(dev::outbox::get))
            .route("/sample", get(dev::sample::page))
            .route("/sample/{file}", get(dev::sample::file));
        if let Some(idp) = idp {
            router = router.merge(dev::idp::routes(idp));
        }
    }
    // Every layer costs each request a few allocations.
    router = router
        .fallback(|| async { (StatusCode::NOT_FOUND, "Nothing is served at this address.\n") })
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, ANSWER_WITHIN))
        .layer(CatchPanicLayer::new());
    if app.settings.dev {
        router = router.layer(middleware::from_fn_with_state(app.clone(), only_dev_hosts));
    }
    router.layer(middleware::from_fn_with_state(app.clone(), around)).with_state(app)
}

/// What is for the operator alone; in production on a listener of its own.
pub fn operator_router(app: Arc<App>) -> Router {
    health::routes().with_state(app)
}

fn pages(prefix: &str) -> Router<Arc<App>> {
    let at = |path: &str| format!("{prefix}{path}");
    Router::new()
        .route(&at("/oauth2/authorize"), get(hosted::authorize))
        .route(&at("/authorize"), get(hosted::authorize))
        .route(&at("/challenge"), get(hosted::challenge).post(hosted::challenge))
        .route(
            &at("/confirmForgotPassword"),
            get(hosted::confirm_forgot_password).post(hosted::confirm_forgot_password),
        )
        .route(&at("/confirmUser"), get(hosted::confirm_user).post(hosted::confirm_user))
        .route(&at("/federation/continue"), get(hosted::federation_continue))
        .route(&at("/federation/logout"), get(hosted::federation_logout))
        .route(&at("/federation/{provider}/backchannel-logout"), post(hosted::backchannel))
        .route(&at("/federation/{provider}/frontchannel-logout"), get(hosted::frontchannel))
        .route(&at("/federation/{provider}/set"), post(hosted::security_event))
        .route(&at("/forgotPassword"), get(hosted::forgot_password).post(hosted::forgot_password))
        .route(&at("/global-token-revocation"), post(hosted::global_token_revocation))
        .route(&at("/login"), get(hosted::login).post(hosted::login))
        .route(&at("/resendcode"), get(hosted::resend_code).post(hosted::resend_code))
        .route(&at("/signup"), get(hosted::signup).post(hosted::signup))
        .route(&at("/saml2/idpresponse"), get(hosted::saml_response).post(hosted::saml_response))
        .route(&at("/saml2/logout"), get(hosted::saml_logout).post(hosted::saml_logout))
        .route(&at("/logout"), get(hosted::logout).post(hosted::logout))
        .route(&at("/error"), get(hosted::error))
        .route(&at("/logo/{client}/{file}"), get(hosted::logo))
        .route(&at("/saml2/metadata"), get(hosted::saml_metadata))
        .route(&at("/oauth2/token"), post(oauth::token).options(oauth::preflight))
        .route(&at("/oauth2/revoke"), post(oauth::revoke).options(oauth::preflight))
        .route(&at("/oauth2/idplogout"), get(hosted::oauth_logged_out))
        .route(&at("/oauth2/idpresponse"), get(hosted::oauth_response).post(hosted::oauth_response))
        .route(&at("/oauth2/introspect"), post(oauth::introspect))
        .route(
            &at("/oauth2/userInfo"),
            get(oauth::userinfo).post(oauth::userinfo).options(oauth::preflight),
        )
}

/// Every loop of the house. They end when `stopped` turns true.
pub fn workers(app: &Arc<App>, stopped: watch::Receiver<bool>) -> JoinSet<()> {
    let mut loops = JoinSet::new();
    let worker = |name, wake| Worker { app: app.clone(), stopped: stopped.clone(), name, wake };
    loops.spawn(worker("mail", None).repeat(smtp::run_once));
    loops.spawn(worker("certificates", None).repeat(federation::certificates::renew));
    loops.spawn(worker("providers", None).repeat(federation::learned::refresh));
    let wake: Wake = |app| &app.wakes.providers;
    loops.spawn(worker("sign_out", Some(wake)).repeat(federation::sign_out::run_once));
    let wake: Wake = |app| &app.wakes.expand;
    loops.spawn(worker("expand", Some(wake)).repeat(delivery::outbox::expand::run_once));
    let wake: Wake = |app| &app.wakes.deliver;
    loops.spawn(worker("deliver", Some(wake)).repeat(delivery::outbox::work::run_once));
    let wake: Wake = |app| &app.wakes.sequence;
    loops.spawn(worker("sequencer", Some(wake)).repeat(delivery::sequencer::run_once));
    loops.spawn(worker("streams", None).repeat(delivery::ssf::tend));
    loops.spawn(worker("purge", None).repeat(purge));
    loops
}

/// What wakes a worker before it is due.
type Wake = fn(&App) -> &Notify;

struct Worker {
    app: Arc<App>,
    stopped: watch::Receiver<bool>,
    name: &'static str,
    wake: Option<Wake>,
}

impl Worker {
    /// Runs a worker whenever it is due, or woken. One that fails is asked again a minute later, or a second where somebody may wait for it.
    async fn repeat<F>(self, run_once: fn(Cx) -> F)
    where
        F: Future<Output = Result<Ms>> + Send,
    {
        let Worker { app, mut stopped, name, wake } = self;
        loop {
            let cx = Cx::system(app.clone());
            let now = cx.now;
            let due = run_once(cx).await;
            app.meters.worked(name, if due.is_ok() { "ok" } else { "failed" });
            let due = due.unwrap_or_else(|error| {
                tracing::error!(?error, worker = name, "a worker failed");
                now + if wake.is_some() { SECOND } else { MINUTE }
            });
            let pause = u64::try_from(due - app.clock.now_ms()).unwrap_or(0).max(10);
            #[allow(
                clippy::disallowed_methods,
                reason = "this is the one place where workers wait"
            )]
            let pause = tokio::time::sleep(Duration::from_millis(pause));
            let woken = async {
                match wake {
                    Some(wake) => wake(&app).notified().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                () = pause => {}
                () = woken => {}
            }
        }
    }
}

/// Deletes what nothing can refer to any more; due again in ten minutes, or sooner where there is much.
async fn purge(cx: Cx) -> Result<Ms> {
    let left = purge::run(cx.db(), cx.now).await?;
    Ok(cx.now + if left { MINUTE } else { 10 * MINUTE })
}

/// `cenote dev` believes everybody, so it must not be reachable under a name that somebody else's page can have.
async fn only_dev_hosts(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let cx = http::cx(app, &parts);
    if !http::is_dev_host(&cx) {
        let refusal = format!(
            "cenote dev accepts any credentials, so it answers only to localhost, 127.0.0.1, [::1] and *.localhost, and this request names \
             another host. Open {} instead; to serve other names, use `cenote serve`.\n",
            cx.app.settings.public_url
        );
        return (StatusCode::MISDIRECTED_REQUEST, refusal).into_response();
    }
    next.run(Request::from_parts(parts, body)).await
}

/// Measures every answer, and gives it the header that all of the domain carry (`cognito-behaviour`, section 4).
async fn around(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
    let began = std::time::Instant::now();
    let mut response = next.run(request).await;
    #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
    app.meters.observe(route.as_ref().map_or("none", MatchedPath::as_str), began.elapsed());
    let headers = response.headers_mut();
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    response
}

/// A database belongs to one master key, and a developer's database never becomes a production one. `false`: it belongs to nobody.
async fn belongs(db: &Db, vault: &Vault, dev: bool) -> Result<bool> {
    let (canary, mode) = (keys::meta(db, "canary").await?, keys::meta(db, "mode").await?);
    let (Some(canary), Some(mode)) = (canary, mode) else { return Ok(false) };
    // The mode first: who took the wrong program also has the wrong key, and is not helped by another key.
    match (dev, mode.as_slice()) {
        (false, b"dev") => Err(Error::invalid(
            "This database was made by `cenote dev`, which accepts any credentials. Use another database for `cenote serve`.",
        )),
        (true, b"serve") => Err(Error::invalid(
            "This database belongs to `cenote serve`. `cenote dev` accepts any credentials; give it a database of its own.",
        )),
        _ => vault.check_canary(&canary).map(|()| true),
    }
}

async fn claim(db: &Db, vault: &Vault, random: &dyn Random, dev: bool) -> Result<()> {
    for _ in 0..2 {
        if belongs(db, vault, dev).await? {
            return Ok(());
        }
        let mut batch = Batch::new();
        keys::set_meta_once(&mut batch, "canary", vault.canary(random)?, Error::conflict());
        let mode: &[u8] = if dev { b"dev" } else { b"serve" };
        keys::set_meta_once(&mut batch, "mode", mode.to_vec(), Error::conflict());
        match db.commit(batch).await {
            Err(error) if !error.is_conflict() => return Err(error),
            // Ours, or another node's that was quicker: read it.
            _ => {}
        }
    }
    Err(Error::internal("the database's canary can neither be read nor written"))
}
