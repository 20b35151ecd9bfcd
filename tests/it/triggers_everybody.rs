//! What signs everybody of a pool out, by the extension API or the operator's commands, reaches everyone, too.

use cenote::admin::everybody;
use cenote::audit::Actor;
use cenote::cx::Cx;
use cenote::store::records;
use serde_json::Value;

use crate::everybody::{in_path, kid};
use crate::triggers::scenes;

#[tokio::test]
async fn signing_everybody_out_reaches_everyone() {
    for scene in scenes("all").await {
        scene.signs_in().await;
        let path = format!("/pools/{}/sign-out-all", scene.pool);
        let answer = scene.house.ask("POST", &path, &[], "").await;
        scene.reaches_everyone(&answer, "sign_out_all", &["P"]).await;
    }
}

#[tokio::test]
async fn revoking_what_an_app_client_was_given_reaches_everyone() {
    for scene in scenes("client_tokens").await {
        scene.signs_in().await;
        let path = format!("/pools/{}/clients/{}/revoke-tokens", scene.pool, scene.client);
        let answer = scene.house.ask("POST", &path, &[], "").await;
        scene.reaches_everyone(&answer, "client_tokens_revoked", &["C"]).await;
    }
}

#[tokio::test]
async fn revoking_a_signing_key_reaches_everyone() {
    for scene in scenes("key").await {
        let stolen = kid(&scene.signs_in().await["AccessToken"]);
        let path = format!("/pools/{}/keys/{}/revoke", scene.pool, in_path(&stolen));
        let answer = scene.house.ask("POST", &path, &[], "").await;
        let receipt = scene.reaches(&answer, "signing_key_revoked", &["K", "P"]).await;
        let told = scene.receiver.asked("/bc");
        assert!(!told.is_empty(), "the app client was not told: {receipt}");
        // Whoever has the key signs what expires when he likes.
        assert_eq!(receipt["exposure_until"], Value::Null);
    }
}

#[tokio::test]
async fn revoking_a_signing_key_by_command_reaches_everyone() {
    for scene in scenes("key_command").await {
        let stolen = kid(&scene.signs_in().await["AccessToken"]);
        let app = &scene.house.app;
        let pool = app.directory.pool(&app.db, &scene.pool).await.unwrap().unwrap();
        let cx = Cx::system(app.clone());
        let revoked = everybody::revoke_key(&cx, &pool, &stolen, &Actor::Operator).await;
        let signout = revoked.unwrap().unwrap();
        scene.is_told(&signout, "signing_key_revoked", &["K", "P"]).await;
        assert!(!scene.receiver.asked("/bc").is_empty());
    }
}

#[tokio::test]
async fn a_restore_reaches_everyone_who_followed_the_backup() {
    for scene in scenes("restore").await {
        scene.signs_in().await;
        let app = &scene.house.app;
        let pool = app.directory.pool(&app.db, &scene.pool).await.unwrap().unwrap();
        everybody::restored(&Cx::system(app.clone()), &pool).await.unwrap();
        let records = records::all(&app.db, &scene.pool).await.unwrap();
        let signout = records.last().unwrap().signout_id.clone();
        let receipt = scene.is_told(&signout, "restored", &["K", "K", "P"]).await;
        assert!(!scene.receiver.asked("/bc").is_empty(), "the app client was not told: {receipt}");
        assert_eq!(receipt["exposure_until"], Value::Null);
    }
}
