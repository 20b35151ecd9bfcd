//! `/dev/idp`: an identity provider made for demonstration, so that a newcomer sees federated sign-in and single logout without
//! installing anything. Only `cenote dev --with-idp` serves it. There are no passwords: anybody can be anybody. Everything is in memory.

mod keys;
mod oidc;
mod pages;
mod people;
mod saml;
mod sign_in;
mod sign_out;
mod sso;
mod state;
mod tell;
mod visit;
mod xml;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::response::Response;
use axum::routing::{get, post};

use self::keys::Keys;
use self::pages::Pages;
use self::state::State;
use self::visit::Visit;
use crate::cx::App;
use crate::error::Result;

/// Under the public URL of a developer's server.
pub const PATH: &str = "/dev/idp";
/// The one client that it knows. Its secret is no secret: it is the same on every machine.
pub const CLIENT_ID: &str = "cenote-demo";
pub const CLIENT_SECRET: &str = "demonstration-only-and-not-a-secret";
/// What the ready pool calls it. The back-channel address of a pool names the provider.
pub const OIDC_NAME: &str = "DemoOIDC";
pub const SAML_NAME: &str = "DemoSAML";

/// The provider: its key, its pages, and who is signed in.
pub struct Idp {
    app: Arc<App>,
    keys: Keys,
    pages: Pages,
    state: Mutex<State>,
}

impl Idp {
    /// Makes a new key, which takes a moment.
    pub fn new(app: Arc<App>) -> Result<Arc<Idp>> {
        let keys = Keys::generate(&*app.random, app.clock.now_ms())?;
        Ok(Arc::new(Idp { app, keys, pages: Pages::new()?, state: Mutex::default() }))
    }

    /// The issuer of its tokens, and where its own page is.
    pub fn url(&self) -> String {
        format!("{}{PATH}", self.app.settings.public_url)
    }

    /// Never held over an `await`.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every address of the provider.
pub fn routes(idp: Arc<Idp>) -> Router<Arc<App>> {
    let at = |path: &str| format!("{PATH}{path}");
    Router::new()
        .route(PATH, get(home))
        .route(&at("/{file}"), get(pages::file))
        .route(&at("/sign-in"), post(sign_in::post))
        .route(&at("/sign-out"), post(sign_out::post))
        .route(&at("/.well-known/openid-configuration"), get(oidc::discovery))
        .route(&at("/jwks"), get(oidc::jwks))
        .route(&at("/authorize"), get(oidc::authorize).post(oidc::authorize))
        .route(&at("/token"), post(oidc::token))
        .route(&at("/userinfo"), get(oidc::userinfo).post(oidc::userinfo))
        .route(&at("/revoke"), post(oidc::revoke))
        .route(&at("/end_session"), get(oidc::end_session).post(oidc::end_session))
        .route(&at("/saml/metadata"), get(sso::metadata))
        .route(&at("/saml/sso"), get(sso::sign_in).post(sso::sign_in))
        .route(&at("/saml/slo"), get(sso::sign_out).post(sso::sign_out))
        .route(&at("/saml/soap"), post(sso::soap))
        .with_state(idp)
}

/// The provider's own page: who is signed in here, and where they went from here.
async fn home(Shared(idp): Shared<Arc<Idp>>, request: Request) -> Response {
    visit::page(idp, request, "home", async |visit: Visit| match visit.session() {
        Some(session) => sign_out::own_page(&visit, &session),
        None => sign_in::own_page(&visit),
    })
    .await
}
