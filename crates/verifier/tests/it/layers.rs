//! Before a service: the layer, and the extractor.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use axum::routing::get;
use cenote_verifier::format::Kind;
use cenote_verifier::{Policy, RequireToken, Verified, Verifier};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::fake::{Fake, SUB, wall_ms};
use crate::{moved, ready, setup, started, until};

async fn who(Verified(token): Verified) -> String {
    token.sub().to_owned()
}

fn routes(verifier: &Verifier) -> Router {
    let reading = RequireToken::new(verifier.clone()).scope("orders/read");
    let paying = RequireToken::new(verifier.clone()).scope("orders/pay").policy(Policy::FailClosed);
    // As `docs/verifiers.md` has it: a layer of the whole router would hold the routes before it to the scope, too.
    let guarded =
        Router::new().route("/read", get(who).layer(reading)).route("/pay", get(who).layer(paying));
    let closed = Router::new()
        .route("/closed", get(who))
        .layer(RequireToken::new(verifier.clone()).policy(Policy::FailClosed));
    guarded.merge(closed).route("/extracted", get(who)).with_state(verifier.clone())
}

async fn ask(routes: &Router, path: &str, authorization: &[&str]) -> Response<Body> {
    let mut request = Request::get(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn challenge(response: &Response<Body>) -> &str {
    response.headers().get("www-authenticate").map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_living_token_gets_through_and_a_dead_one_is_sent_to_sign_in() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let routes = routes(&verifier);
    let bearer = format!("Bearer {}", fake.signs_in());
    for path in ["/read", "/extracted", "/closed"] {
        let response = ask(&routes, path, &[&bearer]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), SUB);
    }
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    until(async || ask(&routes, "/read", &[&bearer]).await.status() == StatusCode::UNAUTHORIZED)
        .await;
    for path in ["/read", "/extracted"] {
        let response = ask(&routes, path, &[&bearer]).await;
        assert_eq!(
            challenge(&response),
            r#"Bearer error="invalid_token", error_description="session revoked", max_age=0"#
        );
        assert_eq!(response.headers()["cache-control"], "no-store");
    }
}

#[tokio::test]
async fn who_brings_no_token_or_two_learns_only_that_one_is_needed() {
    let fake = Fake::start().await;
    let verifier = started(&fake).await;
    let routes = routes(&verifier);
    let bearer = format!("Bearer {}", fake.signs_in());
    for authorization in [&[][..], &["Basic YTpi"], &["Bearer"], &[&bearer, &bearer]] {
        for path in ["/read", "/extracted"] {
            let response = ask(&routes, path, authorization).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert_eq!(challenge(&response), "Bearer");
        }
    }
    let lower = bearer.replace("Bearer", "bearer");
    assert_eq!(ask(&routes, "/read", &[&lower]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_scope_that_is_missing_is_403() {
    let fake = Fake::start().await;
    let routes = routes(&started(&fake).await);
    let response = ask(&routes, "/pay", &[&format!("Bearer {}", fake.signs_in())]).await;
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert!(challenge(&response).contains(r#"error="insufficient_scope""#));
}

#[tokio::test]
async fn each_route_has_its_policy() {
    let (fake, clock) = (Fake::start().await, moved());
    let verifier = ready(setup(&fake).policy(Policy::FailOpen).clock(clock.clone())).await;
    let routes = routes(&verifier);
    let bearer = format!("Bearer {}", fake.signs_in());
    fake.inside().feed_away = true;
    clock.pass(31_000);
    assert_eq!(ask(&routes, "/read", &[&bearer]).await.status(), StatusCode::OK);
    let response = ask(&routes, "/closed", &[&bearer]).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()["retry-after"], "1");
}
