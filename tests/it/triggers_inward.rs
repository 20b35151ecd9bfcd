//! What identity providers end reaches everyone, too: by a logout request of either protocol, by a security event, by Global Token
//! Revocation, and where an administrator parts a user from a provider.

use axum::http::Method;
use serde_json::json;

use crate::browser::{CHALLENGE, parameter};
use crate::corp::{self, Corp};
use crate::house::houses_alone;
use crate::inward_says::{backchannel, bearer, by_sub, logout_token, pushes, revokes, saying};
use crate::provider::Provider;
use crate::saml_provider::posts;
use crate::triggers::{PKCE, Scene};
use crate::upstream_sign_out::given_openid;

#[tokio::test]
async fn a_saml_providers_logout_request_reaches_everyone() {
    for house in houses_alone("trigger_saml").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = corp::given(&house, &corp, &["HTTP-POST"], json!({})).await;
        let scene = Scene::of(house, pool, client).await;
        let mut browser = scene.browser();
        corp.gets_tokens(&scene.house, &mut browser, &scene.pool, "Corp", ("ann", "_1")).await;
        let form = corp.ask(&scene.pool, "ann", Some("_1")).post(None, Some(&corp::key()));
        let answer = posts(&scene.house, &scene.pool, "/saml2/logout", form).await;
        scene.reaches_everyone(&answer, "saml_logout", &["S", "X"]).await;
    }
}

#[tokio::test]
async fn an_openid_providers_back_channel_logout_reaches_everyone() {
    for house in houses_alone("trigger_inward").await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let scene = Scene::of(house, pool, client).await;
        comes_from(&scene, &op).await;
        let token = logout_token(&op, json!({ "sub": "ann" }));
        let answer = backchannel(&scene.house, &scene.pool, "Open", &token).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        scene.reaches_everyone(&answer, "backchannel_logout", &["S", "X"]).await;
    }
}

#[tokio::test]
async fn an_openid_providers_front_channel_logout_reaches_everyone() {
    for house in houses_alone("trigger_front").await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let scene = Scene::of(house, pool, client).await;
        comes_from(&scene, &op).await;
        let answer = scene.browser().get("/federation/Open/frontchannel-logout?sid=sid-ann").await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        scene.reaches_everyone(&answer, "frontchannel_logout", &["S", "X"]).await;
    }
}

/// ann signs in through the provider and gets tokens.
async fn comes_from(scene: &Scene, op: &Provider) {
    let mut browser = scene.browser();
    let more = format!("&identity_provider=Open&code_challenge={CHALLENGE}{PKCE}");
    let away = browser.visits("/oauth2/authorize", &more).await;
    let back = op.authorize(away.header("location"), "ann");
    let answer = browser.send(Method::GET, &crate::browser::local(&back), None, &[]).await;
    let code = parameter(answer.header("location"), "code").unwrap();
    assert_eq!(browser.redeems(&code).await.status, 200);
}

#[tokio::test]
async fn admin_disable_provider_for_user_reaches_everyone() {
    for house in houses_alone("trigger_link").await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        house.user(&pool, "ann").await;
        let scene = Scene::of(house, pool, client).await;
        let link = json!({ "UserPoolId": scene.pool,
            "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "ann" },
            "SourceUser": { "ProviderName": "Open", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "ann" } });
        scene.calls("AdminLinkProviderForUser", link).await;
        comes_from(&scene, &op).await;
        let input = json!({ "UserPoolId": scene.pool,
            "User": { "ProviderName": "Open", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "ann" } });
        let answer = scene.calls("AdminDisableProviderForUser", input).await;
        scene.reaches_everyone(&answer, "provider_disabled", &["U"]).await;
    }
}

#[tokio::test]
async fn a_security_event_of_a_provider_reaches_everyone() {
    for house in houses_alone("trigger_event").await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let scene = Scene::of(house, pool, client).await;
        for (event, reason) in [
            ("caep/event-type/session-revoked", "caep_session_revoked"),
            ("risc/event-type/account-disabled", "risc_account_disabled"),
        ] {
            comes_from(&scene, &op).await;
            let uri = format!("https://schemas.openid.net/secevent/{event}");
            let set = saying(&op, json!({ uri: {} }), json!({}));
            let answer = pushes(&scene.house, &scene.pool, "Open", &set).await;
            assert_eq!(answer.status, 202, "{}", answer.body);
            scene.reaches_everyone(&answer, reason, &["S", "X"]).await;
        }
    }
}

#[tokio::test]
async fn a_global_token_revocation_of_a_provider_reaches_everyone() {
    for house in houses_alone("trigger_gtr").await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let scene = Scene::of(house, pool, client).await;
        comes_from(&scene, &op).await;
        let token = bearer(&op, &scene.pool, json!({}));
        let answer = revokes(&scene.house, &scene.pool, &token, &by_sub(&op, "ann")).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        scene.reaches_everyone(&answer, "global_token_revocation", &["S", "X"]).await;
    }
}
