//! Everything that signs somebody out writes a record, and the record reaches everyone: it has its number in the feed, the app client
//! that took part is sent a logout token, the webhook an event, and the receipt says so. One test for each trigger of
//! `docs/sign-out.md`; those that end a whole pool are in `triggers_everybody`, those of identity providers in `triggers_inward`.

use axum::body::Body;
use axum::http::Request;
use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::delivery::sequencer;
use cenote::pool::Target;
use cenote::pool::target::{Doc, WebhookDoc, WebhookSecret};
use cenote::store::{Batch, feed, records, targets};
use cenote::targets as secrets;
use serde_json::{Value, json};

use crate::browser::{BYE, Browser, CHALLENGE, code_client, parameter};
use crate::house::{Answer, House, PASSWORD, houses_alone, merge};
use crate::provider::{Behaviour, Provider};
use crate::relying_party::{claims, extend};

/// A pool with a client that is told of sign-outs, and a webhook; both are one server of the test's own.
pub struct Scene {
    pub house: House,
    pub receiver: Provider,
    pub pool: String,
    pub client: String,
}

pub async fn scenes(name: &str) -> Vec<Scene> {
    let mut scenes = Vec::new();
    for house in houses_alone(&format!("trigger_{name}")).await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, code_client()).await;
        house.user(&pool, "ann").await;
        scenes.push(Scene::of(house, pool, client).await);
    }
    scenes
}

impl Scene {
    pub async fn of(house: House, pool: String, client: String) -> Scene {
        let receiver = Provider::start().await;
        receiver.does("/bc", Behaviour::Status(200));
        receiver.does("/hook", Behaviour::Status(204));
        extend(&house, &client, json!({ "BackchannelLogoutUri": format!("{}/bc", receiver.url) }))
            .await;
        let cx = Cx::system(house.app.clone());
        let id = format!("wh{}", &pool[pool.len() - 9..]);
        let secret = WebhookSecret::new(secrets::new_webhook_secret(cx.rng()));
        let target = Target {
            pool_id: pool.clone(),
            doc: Doc::Webhook(WebhookDoc {
                url: format!("{}/hook", receiver.url),
                description: String::new(),
                enabled: true,
            }),
            secret: Some(secrets::seal(&cx, &pool, &id, &secret).unwrap()),
            id,
            ver: 1,
            created_ms: cx.now,
            modified_ms: cx.now,
        };
        let mut batch = Batch::new();
        targets::insert(&mut batch, &target).unwrap();
        house.app.db.commit(batch).await.unwrap();
        Scene { house, receiver, pool, client }
    }

    pub fn browser(&self) -> Browser<'_> {
        Browser::new(&self.house, &self.pool, &self.client)
    }

    fn ann(&self) -> Value {
        json!({ "UserPoolId": self.pool, "Username": "ann" })
    }

    pub async fn signs_in(&self) -> Value {
        self.house.signs_in(&self.client, "ann").await
    }

    async fn tracks(&self, most: i64) {
        let input = json!({ "UserPoolId": self.pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": most } });
        self.house.ok("SetUserPoolSessionConfiguration", input).await;
    }

    /// What the workers of a server do.
    async fn works(&self) {
        let app = &self.house.app;
        sequencer::run_once(Cx::system(app.clone())).await.unwrap();
        expand::run_once(Cx::system(app.clone())).await.unwrap();
        for turn in work::begin(&Cx::system(app.clone())).await.unwrap() {
            turn.await.unwrap();
        }
    }

    /// The sign-out of this answer reached everyone who is to know of it.
    pub async fn reaches_everyone(&self, answer: &Answer, reason: &str, kinds: &[&str]) {
        let receipt = self.reaches(answer, reason, kinds).await;
        let told: Vec<Value> = self
            .receiver
            .asked("/bc")
            .iter()
            .map(|asked| claims(&json!(asked.form["logout_token"])))
            .filter(|token| token["aud"] == self.client)
            .collect();
        assert!(!told.is_empty(), "{reason}: the app client was not told: {receipt}");
        for token in &told {
            assert!(
                token["events"]["http://schemas.openid.net/event/backchannel-logout"].is_object()
            );
            assert!(token["sid"].is_string() || token["sub"].is_string(), "{token}");
        }
        // What an identity provider is still owed (its worker does not run here) keeps the receipt open, and is no exposure.
        let owed = !list(&receipt["upstream"]).is_empty();
        assert_eq!(receipt["complete"], !owed, "{receipt}");
        assert_eq!(receipt["registered_exposure_until"], receipt["committed_at"]);
        let kinds: Vec<&str> = list(&receipt["deliveries"])
            .iter()
            .map(|item| item["kind"].as_str().unwrap())
            .collect();
        assert!(kinds.contains(&"backchannel") && kinds.contains(&"webhook"), "{receipt}");
        for item in list(&receipt["deliveries"]) {
            assert_eq!(
                (&item["state"], &item["attempts"]),
                (&json!("done"), &json!(1)),
                "{receipt}"
            );
        }
    }

    /// Its records have their numbers in the feed, the webhook heard of each, and so says the receipt, which is given back.
    pub async fn reaches(&self, answer: &Answer, reason: &str, kinds: &[&str]) -> Value {
        let signout = answer.header("x-cenote-signout");
        let (status, body) = (answer.status, &answer.body);
        assert!(!signout.is_empty(), "{reason}: {status} {body} names no sign-out");
        self.is_told(signout, reason, kinds).await
    }

    /// The same of a sign-out that no answer names.
    pub async fn is_told(&self, signout: &str, reason: &str, kinds: &[&str]) -> Value {
        self.works().await;
        let db = &self.house.app.db;
        let records = records::of_signout(db, &self.pool, signout).await.unwrap();
        let mut found: Vec<&str> = records.iter().map(|record| record.kind.as_str()).collect();
        found.sort_unstable();
        assert_eq!(found, kinds, "{reason}");
        let head = feed::head(db, &self.pool).await.unwrap().unwrap();
        let fed = feed::after(db, &self.pool, 0, head.last, 1_000).await.unwrap();
        for record in &records {
            assert_eq!(record.reason, reason);
            let entry = fed.iter().find(|(seq, ..)| Some(*seq) == record.seq);
            let (_, entry, _) = entry.unwrap_or_else(|| panic!("{reason}: not in the feed"));
            assert_eq!(entry.key16, record.key16);
            let heard = self.receiver.asked("/hook").iter().any(|asked| {
                let event: Value = serde_json::from_str(&asked.body).unwrap();
                event["signout_id"] == signout
                    && event["kind"] == record.kind
                    && event["reason"] == reason
            });
            assert!(heard, "{reason}: the webhook was not told of {}", record.kind);
        }
        let request = Request::get(format!("/{}/sign-outs/{signout}", self.pool))
            .header("host", "localhost:9229")
            .body(Body::empty())
            .unwrap();
        let answer = self.house.send(request).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let receipt = answer.json();
        assert_eq!(receipt["reason"], reason);
        assert_eq!(list(&receipt["records"]).len(), records.len());
        for record in list(&receipt["records"]) {
            assert!(record["seq"].is_i64(), "{receipt}");
        }
        receipt
    }

    pub async fn calls(&self, operation: &str, input: Value) -> Answer {
        let answer = self.house.call(operation, input).await;
        assert_eq!(answer.status, 200, "{operation}: {}", answer.body);
        answer
    }
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

pub const PKCE: &str = "&code_challenge_method=S256&scope=openid+aws.cognito.signin.user.admin";

#[tokio::test]
async fn logout_reaches_everyone_whether_it_redirects_or_shows_a_page() {
    for scene in scenes("logout").await {
        let uri: String = url::form_urlencoded::byte_serialize(BYE.as_bytes()).collect();
        for query in [format!("client_id={}&logout_uri={uri}", scene.client), String::new()] {
            let mut browser = scene.browser();
            browser.gets_tokens("ann", PASSWORD).await;
            let answer = browser.get(&format!("/logout?{query}")).await;
            scene.reaches_everyone(&answer, "logout", &["X"]).await;
        }
    }
}

#[tokio::test]
async fn global_sign_out_reaches_everyone() {
    for scene in scenes("global").await {
        let tokens = scene.signs_in().await;
        let input = json!({ "AccessToken": tokens["AccessToken"] });
        let answer = scene.calls("GlobalSignOut", input).await;
        scene.reaches_everyone(&answer, "global_sign_out", &["U"]).await;
    }
}

#[tokio::test]
async fn admin_user_global_sign_out_reaches_everyone() {
    for scene in scenes("admin_global").await {
        scene.signs_in().await;
        let answer = scene.calls("AdminUserGlobalSignOut", scene.ann()).await;
        scene.reaches_everyone(&answer, "admin_global_sign_out", &["U"]).await;
    }
}

#[tokio::test]
async fn revoke_token_reaches_everyone() {
    for scene in scenes("revoke_token").await {
        let tokens = scene.signs_in().await;
        let input = json!({ "ClientId": scene.client, "Token": tokens["RefreshToken"] });
        let answer = scene.calls("RevokeToken", input).await;
        scene.reaches_everyone(&answer, "token_revoked", &["S"]).await;
    }
}

#[tokio::test]
async fn oauth2_revoke_reaches_everyone() {
    for scene in scenes("oauth_revoke").await {
        let tokens = scene.signs_in().await;
        let token = tokens["RefreshToken"].as_str().unwrap();
        let answer = scene
            .browser()
            .post("/oauth2/revoke", &[("client_id", &scene.client), ("token", token)])
            .await;
        assert_eq!(answer.status, 200);
        assert!(answer.header("access-control-expose-headers").contains("x-cenote-signout"));
        scene.reaches_everyone(&answer, "token_revoked", &["S"]).await;
    }
}

#[tokio::test]
async fn revoke_user_session_reaches_everyone() {
    for scene in scenes("revoke_session").await {
        scene.tracks(20).await;
        let (mine, other) = (scene.signs_in().await, scene.signs_in().await);
        let id = cenote::ids::token_session_of(
            claims(&other["AccessToken"])["origin_jti"].as_str().unwrap(),
        );
        let input = json!({ "AccessToken": mine["AccessToken"], "SessionId": id });
        let answer = scene.calls("RevokeUserSession", input).await;
        scene.reaches_everyone(&answer, "session_revoked", &["S"]).await;
    }
}

#[tokio::test]
async fn admin_revoke_user_session_of_a_browser_and_what_came_through_it_reaches_everyone() {
    for scene in scenes("admin_revoke").await {
        scene.tracks(20).await;
        let mut browser = scene.browser();
        browser.gets_tokens("ann", PASSWORD).await;
        let sessions = scene.calls("AdminListUserSessions", scene.ann()).await.json();
        let sso =
            list(&sessions["Sessions"]).iter().find(|one| one["SessionType"] == "SSO").unwrap();
        let mut input = scene.ann();
        merge(
            &mut input,
            json!({ "SessionId": sso["SessionId"], "RevokeAssociatedSessions": "LINKED" }),
        );
        let answer = scene.calls("AdminRevokeUserSession", input).await;
        scene.reaches_everyone(&answer, "session_revoked", &["S", "X"]).await;
    }
}

#[tokio::test]
async fn a_session_beyond_max_per_user_that_ends_reaches_everyone() {
    for scene in scenes("most").await {
        scene.tracks(1).await;
        scene.signs_in().await;
        scene.house.advance(1_000);
        let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": scene.client,
            "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
        let answer = scene.calls("InitiateAuth", input).await;
        scene.reaches_everyone(&answer, "max_sessions_per_user", &["S"]).await;
    }
}

#[tokio::test]
async fn admin_disable_user_reaches_everyone() {
    for scene in scenes("disable").await {
        scene.signs_in().await;
        let answer = scene.calls("AdminDisableUser", scene.ann()).await;
        scene.reaches_everyone(&answer, "user_disabled", &["U"]).await;
    }
}

#[tokio::test]
async fn admin_delete_user_reaches_everyone() {
    for scene in scenes("admin_delete").await {
        scene.signs_in().await;
        let answer = scene.calls("AdminDeleteUser", scene.ann()).await;
        scene.reaches_everyone(&answer, "user_deleted", &["U"]).await;
    }
}

#[tokio::test]
async fn delete_user_reaches_everyone() {
    for scene in scenes("delete").await {
        let tokens = scene.signs_in().await;
        let answer =
            scene.calls("DeleteUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        scene.reaches_everyone(&answer, "user_deleted", &["U"]).await;
    }
}

#[tokio::test]
async fn change_password_reaches_everyone_whose_browser_session_it_ends() {
    for scene in scenes("change_password").await {
        let (mut mine, mut other) = (scene.browser(), scene.browser());
        let tokens = mine.gets_tokens("ann", PASSWORD).await;
        other.gets_tokens("ann", PASSWORD).await;
        let input = json!({ "AccessToken": tokens["access_token"], "PreviousPassword": PASSWORD, "ProposedPassword": "Another-horse-9" });
        let answer = scene.calls("ChangePassword", input).await;
        scene.reaches_everyone(&answer, "password_changed", &["X"]).await;
    }
}

#[tokio::test]
async fn a_password_that_an_administrator_sets_or_resets_reaches_everyone() {
    for scene in scenes("set_password").await {
        scene.signs_in().await;
        let mut input = scene.ann();
        merge(&mut input, json!({ "Password": PASSWORD, "Permanent": true }));
        let answer = scene.calls("AdminSetUserPassword", input).await;
        scene.reaches_everyone(&answer, "password_reset", &["U"]).await;

        scene.signs_in().await;
        let answer = scene.calls("AdminResetUserPassword", scene.ann()).await;
        scene.reaches_everyone(&answer, "password_reset", &["U"]).await;
    }
}

#[tokio::test]
async fn confirm_forgot_password_reaches_everyone() {
    for scene in scenes("forgot").await {
        scene.signs_in().await;
        scene.calls("ForgotPassword", json!({ "ClientId": scene.client, "Username": "ann" })).await;
        let code = scene.house.code(&scene.pool, "ann@example.com").await;
        let input = json!({ "ClientId": scene.client, "Username": "ann", "ConfirmationCode": code, "Password": "Another-horse-9" });
        let answer = scene.calls("ConfirmForgotPassword", input).await;
        scene.reaches_everyone(&answer, "password_reset", &["U"]).await;
    }
}

#[tokio::test]
async fn a_refresh_token_that_is_used_again_reaches_everyone_though_the_answer_is_a_refusal() {
    for scene in scenes("reuse").await {
        let input = json!({ "UserPoolId": scene.pool, "ClientId": scene.client,
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH"],
            "RefreshTokenRotation": { "Feature": "ENABLED", "RetryGracePeriodSeconds": 0 } });
        let mut whole = code_client();
        merge(&mut whole, input);
        scene.calls("UpdateUserPoolClient", whole).await;
        let tokens = scene.signs_in().await;
        let input = json!({ "ClientId": scene.client, "RefreshToken": tokens["RefreshToken"] });
        scene.calls("GetTokensFromRefreshToken", input.clone()).await;
        scene.house.advance(3_000);
        let answer = scene.house.call("GetTokensFromRefreshToken", input).await;
        assert_eq!(answer.json()["__type"], "RefreshTokenReuseException");
        scene.reaches_everyone(&answer, "refresh_token_reuse", &["S"]).await;
    }
}

#[tokio::test]
async fn a_code_that_is_redeemed_twice_reaches_everyone_though_the_answer_is_a_refusal() {
    for scene in scenes("twice").await {
        let mut browser = scene.browser();
        let answer =
            browser.signs_in("ann", PASSWORD, &format!("&code_challenge={CHALLENGE}{PKCE}")).await;
        let code = parameter(answer.header("location"), "code").unwrap();
        assert_eq!(browser.redeems(&code).await.status, 200);
        let answer = browser.redeems(&code).await;
        assert_eq!(answer.json()["error"], "invalid_grant");
        scene.reaches_everyone(&answer, "code_redeemed_twice", &["S"]).await;
    }
}

#[tokio::test]
async fn another_user_in_the_same_browser_ends_the_session_of_the_one_before_and_reaches_everyone()
{
    for scene in scenes("taken_over").await {
        scene.house.user(&scene.pool, "bob").await;
        let mut browser = scene.browser();
        browser.gets_tokens("ann", PASSWORD).await;
        let more = "&prompt=login";
        let path = format!("/login?{}", browser.query(more));
        let page = browser.get(&path).await;
        let csrf = crate::browser::field(&page.body, "_csrf");
        let form = [("_csrf", csrf.as_str()), ("username", "bob"), ("password", PASSWORD)];
        let answer = browser.post(&path, &form).await;
        assert!(answer.header("location").contains("code="), "{} {}", answer.status, answer.body);
        scene.reaches_everyone(&answer, "browser_taken_over", &["X"]).await;
    }
}

#[tokio::test]
async fn a_deleted_app_client_is_told_to_the_feed_and_webhooks_and_the_receipt_says_why_not_to_itself()
 {
    for scene in scenes("client").await {
        scene.signs_in().await;
        let input = json!({ "UserPoolId": scene.pool, "ClientId": scene.client });
        let answer = scene.calls("DeleteUserPoolClient", input).await;
        let receipt = scene.reaches(&answer, "client_deleted", &["C"]).await;
        let itself =
            list(&receipt["deliveries"]).iter().find(|item| item["kind"] == "backchannel").unwrap();
        assert_eq!(
            (&itself["target"], &itself["state"]),
            (&json!(scene.client), &json!("not_possible"))
        );
        assert!(itself["detail"].as_str().unwrap().contains("deleted"), "{receipt}");
        assert_eq!(receipt["complete"], false);
        assert_eq!(receipt["registered_exposure_until"], receipt["exposure_until"]);
    }
}

#[tokio::test]
async fn a_deleted_pool_is_told_to_the_feed_and_webhooks() {
    for scene in scenes("pool").await {
        scene.signs_in().await;
        let answer = scene.calls("DeleteUserPool", json!({ "UserPoolId": scene.pool })).await;
        let receipt = scene.reaches(&answer, "pool_deleted", &["P"]).await;
        assert_eq!(receipt["delivery_counts"]["done"], 1, "{receipt}");
    }
}
