//! ChangePassword, AdminSetUserPassword, temporary passwords.

use cenote::ambient::{DAY, HOUR};
use cenote::store::records;
use serde_json::{Value, json};

use crate::browser::{Browser, code_client};
use crate::house::{House, PASSWORD, houses, merge, refusal, together};

const NEW: &str = "Another-horse-10";

async fn open(house: &House) -> (String, String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, code_client()).await;
    let sub = house.user(&pool, "ann").await;
    (pool, client, sub)
}

fn change(token: &Value, previous: &str, proposed: &str) -> Value {
    json!({ "AccessToken": token["AccessToken"], "PreviousPassword": previous, "ProposedPassword": proposed })
}

fn sign_in(client: &str, password: &str) -> Value {
    json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann", "PASSWORD": password } })
}

#[tokio::test]
async fn a_changed_password_replaces_the_old_one_and_tokens_live_on() {
    for house in houses().await {
        let (_, client, _) = open(&house).await;
        let token = house.signs_in(&client, "ann").await;
        house.ok("ChangePassword", change(&token, PASSWORD, NEW)).await;
        house.ok("GetUser", json!({ "AccessToken": token["AccessToken"] })).await;
        house.ok("InitiateAuth", sign_in(&client, NEW)).await;
        assert_eq!(
            house.refused("InitiateAuth", sign_in(&client, PASSWORD)).await,
            refusal("NotAuthorized", "Incorrect username or password.")
        );
    }
}

#[tokio::test]
async fn a_change_records_every_browser_session_that_it_ends() {
    for house in houses().await {
        let (pool, client, _) = open(&house).await;
        let (mut one, mut other) =
            (Browser::new(&house, &pool, &client), Browser::new(&house, &pool, &client));
        one.signs_in("ann", PASSWORD, "").await;
        other.signs_in("ann", PASSWORD, "").await;
        let token = house.signs_in(&client, "ann").await;
        house.ok("ChangePassword", change(&token, PASSWORD, NEW)).await;
        let records = records::all(&house.app.db, &pool).await.unwrap();
        let told: Vec<_> = records
            .iter()
            .map(|record| (record.kind.as_str(), record.reason.as_str(), record.initiator.as_str()))
            .collect();
        assert_eq!(told, [("X", "password_changed", "user"); 2]);
    }
}

#[tokio::test]
async fn a_wrong_previous_password_is_refused_and_five_attempts_an_hour_are_all() {
    for house in houses().await {
        let (_, client, _) = open(&house).await;
        let token = house.signs_in(&client, "ann").await;
        for _ in 0..5 {
            let wrong = house.refused("ChangePassword", change(&token, "Wrong-horse-9", NEW)).await;
            assert_eq!(wrong, refusal("NotAuthorized", "Incorrect username or password."));
        }
        let over = refusal("LimitExceeded", "Attempt limit exceeded, please try after some time.");
        assert_eq!(house.refused("ChangePassword", change(&token, PASSWORD, NEW)).await, over);
        house.ok("InitiateAuth", sign_in(&client, PASSWORD)).await;
    }
}

#[tokio::test]
async fn racing_changes_leave_one_password() {
    for house in houses().await {
        let (_, client, _) = open(&house).await;
        let token = house.signs_in(&client, "ann").await;
        let racers = (0..4).map(|n| {
            let (house, input) = (&house, change(&token, PASSWORD, &format!("{NEW}{n}")));
            async move { house.call("ChangePassword", input).await }
        });
        let won: Vec<bool> =
            together(racers).await.iter().map(|answer| answer.status == 200).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        let winner = won.iter().position(|won| *won).unwrap();
        house.ok("InitiateAuth", sign_in(&client, &format!("{NEW}{winner}"))).await;
    }
}

#[tokio::test]
async fn what_cannot_be_a_change_is_refused() {
    for house in houses().await {
        let (_, client, _) = open(&house).await;
        let token = house.signs_in(&client, "ann").await;
        let weak =
            house.refused("ChangePassword", change(&token, PASSWORD, "all-lowercase-1")).await;
        assert_eq!(
            weak,
            refusal(
                "InvalidPassword",
                "Password did not conform with policy: Password must have uppercase characters"
            )
        );
        let mut without = change(&token, PASSWORD, NEW);
        merge(&mut without, json!({ "PreviousPassword": null }));
        assert_eq!(house.refused("ChangePassword", without).await.0, "InvalidParameterException");
        let id_token = json!({ "AccessToken": token["IdToken"] });
        assert_eq!(
            house.refused("ChangePassword", change(&id_token, PASSWORD, NEW)).await.0,
            "NotAuthorizedException"
        );
        house.ok("GlobalSignOut", json!({ "AccessToken": token["AccessToken"] })).await;
        let dead = house.refused("ChangePassword", change(&token, PASSWORD, NEW)).await;
        assert_eq!(dead, refusal("NotAuthorized", "Access Token has been revoked"));
    }
}

#[tokio::test]
async fn a_temporary_password_asks_for_a_new_one_and_ends_after_its_days() {
    for house in houses().await {
        let (pool, client, _) = open(&house).await;
        let set =
            json!({ "UserPoolId": pool, "Username": "ann", "Password": NEW, "Permanent": false });
        house.ok("AdminSetUserPassword", set.clone()).await;
        assert_eq!(house.status(&pool, "ann").await, "FORCE_CHANGE_PASSWORD");
        assert_eq!(
            house.ok("InitiateAuth", sign_in(&client, NEW)).await["ChallengeName"],
            "NEW_PASSWORD_REQUIRED"
        );
        house.advance(7 * DAY);
        let over = "Temporary password has expired and must be reset by an administrator.";
        assert_eq!(
            house.refused("InitiateAuth", sign_in(&client, NEW)).await,
            refusal("NotAuthorized", over)
        );
        house.ok("AdminSetUserPassword", set).await;
        assert_eq!(
            house.ok("InitiateAuth", sign_in(&client, NEW)).await["ChallengeName"],
            "NEW_PASSWORD_REQUIRED"
        );
    }
}

#[tokio::test]
async fn an_administrators_password_ends_all_and_is_recorded_if_there_was_anything_to_end() {
    for house in houses().await {
        let (pool, client, sub) = open(&house).await;
        // Making the user set a password, too, but there was nothing to end.
        assert!(records::all(&house.app.db, &pool).await.unwrap().is_empty());
        let token = house.signs_in(&client, "ann").await;
        let set =
            json!({ "UserPoolId": pool, "Username": "ann", "Password": NEW, "Permanent": true });
        let answer = house.call("AdminSetUserPassword", set).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "{}"));
        let records = records::all(&house.app.db, &pool).await.unwrap();
        assert_eq!(records.len(), 1);
        assert_eq!(answer.header("x-cenote-signout"), records[0].signout_id);
        assert_eq!(
            (records[0].subject.as_str(), records[0].reason.as_str()),
            (sub.as_str(), "password_reset")
        );
        let dead = house.refused("GetUser", json!({ "AccessToken": token["AccessToken"] })).await;
        assert_eq!(dead, refusal("NotAuthorized", "Access Token has been revoked"));
    }
}

#[tokio::test]
async fn a_pool_can_have_cognitos_way_that_a_reset_leaves_sessions_alive() {
    for house in houses().await {
        let (pool, client, _) = open(&house).await;
        let mut row =
            (*house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap()).clone();
        row.doc.extensions.password_reset_ends_sessions = false;
        let mut batch = cenote::store::Batch::new();
        cenote::store::pools::update(&mut batch, &row, row.modified_ms).unwrap();
        house.app.db.commit(batch).await.unwrap();

        let token = house.signs_in(&client, "ann").await;
        house.ok("ForgotPassword", json!({ "ClientId": client, "Username": "ann" })).await;
        let code = house.code(&pool, "ann@example.com").await;
        house.ok("AdminSetUserPassword", json!({ "UserPoolId": pool, "Username": "ann", "Password": NEW, "Permanent": true })).await;
        house.ok("GetUser", json!({ "AccessToken": token["AccessToken"] })).await;
        assert!(records::all(&house.app.db, &pool).await.unwrap().is_empty());
        let dead = json!({ "ClientId": client, "Username": "ann", "ConfirmationCode": code, "Password": NEW });
        assert_eq!(house.refused("ConfirmForgotPassword", dead).await.0, "ExpiredCodeException");
    }
}

#[tokio::test]
async fn an_administrators_password_must_conform() {
    for house in houses().await {
        let (pool, _, _) = open(&house).await;
        let set = json!({ "UserPoolId": pool, "Username": "ann", "Password": "short", "Permanent": true });
        assert_eq!(house.refused("AdminSetUserPassword", set).await.0, "InvalidPasswordException");
        let nobody =
            json!({ "UserPoolId": pool, "Username": "nobody", "Password": NEW, "Permanent": true });
        assert_eq!(
            house.refused("AdminSetUserPassword", nobody).await,
            refusal("UserNotFound", "User does not exist.")
        );
    }
}

#[tokio::test]
async fn the_hour_of_an_allowance_begins_with_its_first_use() {
    for house in houses().await {
        let (_, client, _) = open(&house).await;
        let token = house.signs_in(&client, "ann").await;
        for _ in 0..5 {
            house.refused("ChangePassword", change(&token, "Wrong-horse-9", NEW)).await;
            house.advance(HOUR / 8);
        }
        assert_eq!(
            house.refused("ChangePassword", change(&token, PASSWORD, NEW)).await.0,
            "LimitExceededException"
        );
        house.advance(3 * HOUR / 8 - 1);
        let token = house.signs_in(&client, "ann").await;
        assert_eq!(
            house.refused("ChangePassword", change(&token, PASSWORD, NEW)).await.0,
            "LimitExceededException"
        );
        house.advance(1);
        house.ok("ChangePassword", change(&token, PASSWORD, NEW)).await;
    }
}

#[tokio::test]
async fn a_password_that_the_history_remembers_is_not_taken_again() {
    for house in houses().await {
        let policy = json!({ "PasswordPolicy": { "MinimumLength": 8, "PasswordHistorySize": 2 } });
        let pool = house.pool(json!({ "Policies": policy })).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let set = |password: &str| json!({ "UserPoolId": pool, "Username": "ann", "Password": password, "Permanent": true });
        let refused = house.refused("AdminSetUserPassword", set(PASSWORD)).await;
        assert_eq!(refused.0, "PasswordHistoryPolicyViolationException");
        house.ok("AdminSetUserPassword", set("second-password")).await;
        assert_eq!(
            house.refused("AdminSetUserPassword", set(PASSWORD)).await.0,
            "PasswordHistoryPolicyViolationException"
        );
        house.ok("AdminSetUserPassword", set("third-password")).await;
        house.ok("AdminSetUserPassword", set(PASSWORD)).await;
        let token = house.signs_in(&client, "ann").await;
        let change = json!({ "AccessToken": token["AccessToken"], "PreviousPassword": PASSWORD, "ProposedPassword": "third-password" });
        assert_eq!(
            house.refused("ChangePassword", change).await.0,
            "PasswordHistoryPolicyViolationException"
        );
    }
}

#[tokio::test]
async fn spaces_may_stand_inside_a_password_and_not_around_it() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let set = |password: &str| json!({ "UserPoolId": pool, "Username": "ann", "Password": password, "Permanent": true });
        house.ok("AdminSetUserPassword", set("Pass phrase 1!")).await;
        for bad in [" Passphrase1!", "Passphrase1! "] {
            assert_eq!(
                house.refused("AdminSetUserPassword", set(bad)).await.0,
                "InvalidParameterException"
            );
        }
    }
}
