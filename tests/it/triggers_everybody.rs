//! Triggers of the extension API that sign everybody of a pool out reach everyone, too.

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
