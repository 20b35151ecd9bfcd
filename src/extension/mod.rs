//! `/_cenote/v1`: what Cognito's API has no words for, as JSON over HTTP, authorised like the signed operations. One table has every
//! route; the router, the OpenAPI document and the actions of access keys follow from it.

mod call;
mod deliveries;
mod openapi;
mod patch;
mod route;
mod schemas;
mod settings;
mod sign_outs;
mod targets;
mod wire;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

pub use self::openapi::document;
pub use self::route::{Gives, Route, Takes, Verb};
use self::route::{NO_CONTENT, created, plain, tagged};
use crate::cx::App;
use crate::limits::Limit;
use crate::pool::target::Kind;

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
        path: "/pools/{pool}/clients/{client}/revoke-tokens",
        action: "RevokeClientTokens",
        summary: "A secret of an app client may be in other hands: end every token that the client was given",
        limit: Limit::UserPoolClientUpdate,
        takes: Takes::Nothing,
        gives: plain(200, "SignOut").signs_out(),
        run: |call| Box::pin(sign_outs::client(call)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/deliveries",
        action: "ListDeliveries",
        summary: "What was to be told to whom because of sign-outs, the newest first",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Query(&["kind", "limit", "next_token", "signout_id", "state", "target"]),
        gives: plain(200, "Deliveries"),
        run: |call| Box::pin(deliveries::list(call)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/deliveries/{id}",
        action: "GetDelivery",
        summary: "One delivery",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Nothing,
        gives: plain(200, "Delivery"),
        run: |call| Box::pin(deliveries::get(call)),
    },
    Route {
        verb: Verb::Post,
        path: "/pools/{pool}/deliveries/{id}/replay",
        action: "ReplayDelivery",
        summary: "Tell again, at once, what was given up",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::Nothing,
        gives: plain(200, "Delivery"),
        run: |call| Box::pin(deliveries::replay(call)),
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
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/streams",
        action: "ListStreams",
        summary: "The event streams of a user pool",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Query(&["limit", "next_token"]),
        gives: plain(200, "Streams"),
        run: |call| Box::pin(targets::list(call, Kind::Stream)),
    },
    Route {
        verb: Verb::Post,
        path: "/pools/{pool}/streams",
        action: "CreateStream",
        summary: "Make an event stream",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::New("NewStream"),
        gives: created("Stream"),
        run: |call| Box::pin(targets::create(call, Kind::Stream)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/streams/{id}",
        action: "GetStream",
        summary: "One of the event streams",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Nothing,
        gives: tagged("Stream"),
        run: |call| Box::pin(targets::get(call, Kind::Stream)),
    },
    Route {
        verb: Verb::Patch,
        path: "/pools/{pool}/streams/{id}",
        action: "PatchStream",
        summary: "Change an event stream",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::Patch("StreamPatch"),
        gives: tagged("Stream"),
        run: |call| Box::pin(targets::change(call, Kind::Stream)),
    },
    Route {
        verb: Verb::Delete,
        path: "/pools/{pool}/streams/{id}",
        action: "DeleteStream",
        summary: "Delete an event stream",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::Condition,
        gives: NO_CONTENT,
        run: |call| Box::pin(targets::delete(call, Kind::Stream)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/token-revocations",
        action: "ListTokenRevocations",
        summary: "The token revocation endpoints of a user pool",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Query(&["limit", "next_token"]),
        gives: plain(200, "TokenRevocations"),
        run: |call| Box::pin(targets::list(call, Kind::TokenRevocation)),
    },
    Route {
        verb: Verb::Post,
        path: "/pools/{pool}/token-revocations",
        action: "CreateTokenRevocation",
        summary: "Make a token revocation endpoint",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::New("NewTokenRevocation"),
        gives: created("TokenRevocation"),
        run: |call| Box::pin(targets::create(call, Kind::TokenRevocation)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/token-revocations/{id}",
        action: "GetTokenRevocation",
        summary: "One token revocation endpoint",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Nothing,
        gives: tagged("TokenRevocation"),
        run: |call| Box::pin(targets::get(call, Kind::TokenRevocation)),
    },
    Route {
        verb: Verb::Patch,
        path: "/pools/{pool}/token-revocations/{id}",
        action: "PatchTokenRevocation",
        summary: "Change a token revocation endpoint",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::Patch("TokenRevocationPatch"),
        gives: tagged("TokenRevocation"),
        run: |call| Box::pin(targets::change(call, Kind::TokenRevocation)),
    },
    Route {
        verb: Verb::Delete,
        path: "/pools/{pool}/token-revocations/{id}",
        action: "DeleteTokenRevocation",
        summary: "Delete a token revocation endpoint",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::Condition,
        gives: NO_CONTENT,
        run: |call| Box::pin(targets::delete(call, Kind::TokenRevocation)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/webhooks",
        action: "ListWebhooks",
        summary: "The webhooks of a user pool",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Query(&["limit", "next_token"]),
        gives: plain(200, "Webhooks"),
        run: |call| Box::pin(targets::list(call, Kind::Webhook)),
    },
    Route {
        verb: Verb::Post,
        path: "/pools/{pool}/webhooks",
        action: "CreateWebhook",
        summary: "Make a webhook",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::New("NewWebhook"),
        gives: created("Webhook"),
        run: |call| Box::pin(targets::create(call, Kind::Webhook)),
    },
    Route {
        verb: Verb::Get,
        path: "/pools/{pool}/webhooks/{id}",
        action: "GetWebhook",
        summary: "One webhook",
        limit: Limit::UserPoolResourceRead,
        takes: Takes::Nothing,
        gives: tagged("Webhook"),
        run: |call| Box::pin(targets::get(call, Kind::Webhook)),
    },
    Route {
        verb: Verb::Patch,
        path: "/pools/{pool}/webhooks/{id}",
        action: "PatchWebhook",
        summary: "Change a webhook",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::Patch("WebhookPatch"),
        gives: tagged("Webhook"),
        run: |call| Box::pin(targets::change(call, Kind::Webhook)),
    },
    Route {
        verb: Verb::Delete,
        path: "/pools/{pool}/webhooks/{id}",
        action: "DeleteWebhook",
        summary: "Delete a webhook",
        limit: Limit::UserPoolResourceUpdate,
        takes: Takes::Condition,
        gives: NO_CONTENT,
        run: |call| Box::pin(targets::delete(call, Kind::Webhook)),
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
