//! `/_cenote/v1`: what Cognito's API has no words for, as JSON over HTTP, authorised like the signed operations. One table has every
//! route; the router, the OpenAPI document and the actions of access keys follow from it.

mod call;
mod openapi;
mod patch;
mod route;
mod schemas;
mod settings;
mod sign_outs;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub use self::openapi::document;
pub use self::route::{Gives, Route, Takes, Verb};
use self::route::{plain, tagged};
use crate::cx::App;
use crate::limits::Limit;

const BASE: &str = "/_cenote/v1";

/// Every operation, by path.
pub static ROUTES: &[Route] = &[
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}",
        action: "GetPool",
        summary: "What Cenote adds to a user pool",
        limit: Limit::UserPoolRead,
        takes: Takes::Nothing,
        gives: tagged("Pool"),
        run: |call| Box::pin(settings::get_pool(call)),
    },
    Route {
        verb: Verb::Patch,
        path: "/pools/{pool}",
        action: "PatchPool",
        summary: "Change what Cenote adds to a user pool",
        limit: Limit::UserPoolUpdate,
        takes: Takes::Patch("PoolPatch"),
        gives: tagged("Pool"),
        run: |call| Box::pin(settings::patch_pool(call)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/clients/{client}",
        action: "GetClient",
        summary: "What Cenote adds to an app client",
        limit: Limit::UserPoolClientRead,
        takes: Takes::Nothing,
        gives: tagged("Client"),
        run: |call| Box::pin(settings::get_client(call)),
    },
    Route {
        verb: Verb::Patch,
        path: "/pools/{pool}/clients/{client}",
        action: "PatchClient",
        summary: "Change what Cenote adds to an app client",
        limit: Limit::UserPoolClientUpdate,
        takes: Takes::Patch("ClientPatch"),
        gives: tagged("Client"),
        run: |call| Box::pin(settings::patch_client(call)),
    },
    Route {
        verb: Verb::Post,
        path: "/pools/{pool}/keys/{kid}/revoke",
        action: "RevokeSigningKey",
        summary: "A signing key may be in other hands: refuse all that it signed, and sign everybody out",
        limit: Limit::UserPoolUpdate,
        takes: Takes::Nothing,
        gives: plain(200, "RevokedKey").signs_out(),
        run: |call| Box::pin(sign_outs::revoke_key(call)),
    },
    Route {
        verb: Verb::Post,
        path: "/pools/{pool}/sign-out-all",
        action: "SignOutAll",
        summary: "Sign everybody of a user pool out",
        limit: Limit::UserPoolUpdate,
        takes: Takes::Nothing,
        gives: plain(200, "SignOut").signs_out(),
        run: |call| Box::pin(sign_outs::everybody(call)),
    },
];

pub fn routes() -> Router<Arc<App>> {
    let mut router = Router::new()
        .route(&format!("{BASE}/openapi.json"), get(wire::openapi).fallback(wire::only_get))
        .route("/_cenote", axum::routing::any(wire::nothing))
        .route("/_cenote/{*rest}", axum::routing::any(wire::nothing));
    let mut paths: Vec<&str> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    for path in paths {
        router = router.route(&format!("{BASE}{path}"), wire::at(path));
    }
    router
}
