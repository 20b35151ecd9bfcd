//! ForgotPassword, ConfirmForgotPassword, AdminResetUserPassword.

use cenote::ambient::{HOUR, SECOND};
use cenote::store::records;
use serde_json::{Value, json};

use crate::house::{House, another_code, houses, refusal, together};

const NEW: &str = "Another-horse-10";
const MISMATCH: &str = "Invalid verification code provided, please try again.";
const EXPIRED: &str = "Invalid code provided, please request a code again.";
const LIMIT: &str = "Attempt limit exceeded, please try after some time.";
const NO_ADDRESS: &str =
    "Cannot reset password for the user as there is no registered/verified email or phone_number";
const STATE: &str = "User password cannot be reset in the current state.";

fn forgot(client: &str, name: &str) -> Value {
    json!({ "ClientId": client, "Username": name })
}

fn confirm(client: &str, name: &str, code: &str) -> Value {
    json!({ "ClientId": client, "Username": name, "ConfirmationCode": code, "Password": NEW })
}

/// A pool, a client of it, and ann with a verified address.
async fn open(house: &House, pool: Value, client: Value) -> (String, String, String) {
    let pool = house.pool(pool).await;
    let client = house.client(&pool, client).await;
    let sub = house.user(&pool, "ann").await;
    (pool, client, sub)
}

async fn signs_in_with(house: &House, client: &str, password: &str) -> bool {
    let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann", "PASSWORD": password } });
    house.call("InitiateAuth", input).await.status == 200
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_and_everything_ends() {
    for house in houses().await {
        let (pool, client, sub) = open(&house, json!({}), json!({})).await;
        let tokens = house.signs_in(&client, "ann").await;
        let answer = house.ok("ForgotPassword", forgot(&client, "ann")).await;
        let details = json!({ "Destination": "a***@e***", "DeliveryMedium": "EMAIL", "AttributeName": "email" });
        assert_eq!(answer["CodeDeliveryDetails"], details);
        // Asking changes nothing yet.
        house.ok("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;

        let code = house.code(&pool, "ann@example.com").await;
        house.ok("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
        assert!(signs_in_with(&house, &client, NEW).await);
        let dead = house.refused("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        assert_eq!(dead, refusal("NotAuthorized", "Access Token has been revoked"));
        let record = records::all(&house.app.db, &pool)
            .await
            .unwrap()
            .into_iter()
            .find(|record| record.initiator == "user")
            .unwrap();
        assert_eq!(
            (record.kind.as_str(), record.subject.as_str(), record.reason.as_str()),
            ("U", sub.as_str(), "password_reset")
        );

        let again = house.refused("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
        assert_eq!(again, refusal("ExpiredCode", EXPIRED));
    }
}

#[tokio::test]
async fn a_code_is_for_an_hour_and_for_fewer_than_six_guesses() {
    for house in houses().await {
        let (pool, client, _) = open(&house, json!({}), json!({})).await;
        house.ok("ForgotPassword", forgot(&client, "ann")).await;
        let code = house.code(&pool, "ann@example.com").await;
        house.advance(HOUR);
        let late = house.refused("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
        assert_eq!(late, refusal("ExpiredCode", EXPIRED));

        house.ok("ForgotPassword", forgot(&client, "ann")).await;
        let code = house.code(&pool, "ann@example.com").await;
        for _ in 0..5 {
            let wrong = house
                .refused("ConfirmForgotPassword", confirm(&client, "ann", &another_code(&code)))
                .await;
            assert_eq!(wrong, refusal("CodeMismatch", MISMATCH));
        }
        let dead = house.refused("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
        assert_eq!(dead, refusal("LimitExceeded", LIMIT));
    }
}

#[tokio::test]
async fn thirty_two_resets_with_the_right_code_make_one() {
    for house in houses().await {
        let (pool, client, _) = open(&house, json!({}), json!({})).await;
        house.ok("ForgotPassword", forgot(&client, "ann")).await;
        let code = house.code(&pool, "ann@example.com").await;
        let answers = together(
            (0..32).map(|_| house.call("ConfirmForgotPassword", confirm(&client, "ann", &code))),
        )
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    }
}

#[tokio::test]
async fn five_codes_an_hour_are_sent() {
    for house in houses().await {
        let (_, client, _) = open(&house, json!({}), json!({})).await;
        for _ in 0..5 {
            house.ok("ForgotPassword", forgot(&client, "ann")).await;
        }
        assert_eq!(
            house.refused("ForgotPassword", forgot(&client, "ann")).await,
            refusal("LimitExceeded", LIMIT)
        );
    }
}

#[tokio::test]
async fn a_new_password_must_conform_and_costs_no_guess() {
    for house in houses().await {
        let (pool, client, _) = open(&house, json!({}), json!({})).await;
        house.ok("ForgotPassword", forgot(&client, "ann")).await;
        let code = house.code(&pool, "ann@example.com").await;
        let mut weak = confirm(&client, "ann", &code);
        weak["Password"] = json!("lowercase-1");
        let refused = house.refused("ConfirmForgotPassword", weak).await;
        assert_eq!(
            refused,
            refusal(
                "InvalidPassword",
                "Password does not conform to policy: Password must have uppercase characters"
            )
        );
        house.ok("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
    }
}

#[tokio::test]
async fn who_cannot_get_a_password_back_is_told_so_by_an_open_client() {
    for house in houses().await {
        let (pool, client, _) = open(&house, json!({}), json!({})).await;
        let create = |name: &str| json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS" });
        house.ok("AdminCreateUser", create("invited")).await;
        assert_eq!(
            house.refused("ForgotPassword", forgot(&client, "invited")).await,
            refusal("NotAuthorized", STATE)
        );
        house.ok("AdminCreateUser", create("bare")).await;
        let password =
            json!({ "UserPoolId": pool, "Username": "bare", "Password": NEW, "Permanent": true });
        house.ok("AdminSetUserPassword", password).await;
        assert_eq!(
            house.refused("ForgotPassword", forgot(&client, "bare")).await,
            refusal("InvalidParameter", NO_ADDRESS)
        );
        assert_eq!(
            house.refused("ForgotPassword", forgot(&client, "nobody")).await,
            refusal("UserNotFound", "Username/client id combination not found.")
        );
        let missing =
            house.refused("ConfirmForgotPassword", confirm(&client, "nobody", "123456")).await;
        assert_eq!(missing, refusal("UserNotFound", "Username/client id combination not found."));
        house.ok("AdminDisableUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(
            house.refused("ForgotPassword", forgot(&client, "ann")).await,
            refusal("NotAuthorized", "User is disabled.")
        );
    }
}

#[tokio::test]
async fn a_hiding_client_answers_alike_whoever_is_named() {
    for house in houses().await {
        let (pool, client, _) = open(
            &house,
            json!({ "AutoVerifiedAttributes": ["email"] }),
            json!({ "PreventUserExistenceErrors": "ENABLED" }),
        )
        .await;
        for name in ["invited", "bare"] {
            house
                .ok(
                    "AdminCreateUser",
                    json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS" }),
                )
                .await;
        }
        house.ok("AdminSetUserPassword", json!({ "UserPoolId": pool, "Username": "bare", "Password": NEW, "Permanent": true })).await;
        house.user(&pool, "gone").await;
        house.ok("AdminDisableUser", json!({ "UserPoolId": pool, "Username": "gone" })).await;

        let mut answers = Vec::new();
        for name in ["ann", "nobody", "invited", "bare", "gone"] {
            let mut seen = vec![
                house.refused("ConfirmForgotPassword", confirm(&client, name, "000000x")).await,
            ];
            let one = house.ok("ForgotPassword", forgot(&client, name)).await;
            assert_eq!(
                one,
                house.ok("ForgotPassword", forgot(&client, name)).await,
                "stable for {name}"
            );
            let mut details = one["CodeDeliveryDetails"].clone();
            assert!(details["Destination"].as_str().unwrap().contains("***@"), "{details}");
            details["Destination"] = json!("masked");
            seen.push((details.to_string(), String::new()));
            for _ in 0..6 {
                seen.push(
                    house.refused("ConfirmForgotPassword", confirm(&client, name, "000000x")).await,
                );
            }
            for _ in 0..4 {
                let answer = house.call("ForgotPassword", forgot(&client, name)).await;
                seen.push((
                    answer.status.to_string(),
                    answer.header("x-amzn-errormessage").to_owned(),
                ));
            }
            answers.push((name, seen));
        }
        assert_eq!(answers[0].1[0], refusal("ExpiredCode", EXPIRED));
        assert_eq!(answers[0].1[2], refusal("CodeMismatch", MISMATCH));
        for (name, seen) in &answers {
            assert_eq!(*seen, answers[0].1, "{name}");
        }
        // Nothing was sent to anybody but ann.
        assert!(house.outbox(&pool, "gone@example.com").await.is_empty());
    }
}

#[tokio::test]
async fn a_hidden_address_is_masked_as_it_was_typed() {
    for house in houses().await {
        let (_, client, _) =
            open(&house, json!({}), json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        let mail = house.ok("ForgotPassword", forgot(&client, "who@there.example")).await;
        assert_eq!(mail["CodeDeliveryDetails"]["Destination"], "w***@t***");
        let phone = house.ok("ForgotPassword", forgot(&client, "+12065550000")).await;
        assert_eq!(phone["CodeDeliveryDetails"]["Destination"], "+*******0000");
    }
}

#[tokio::test]
async fn the_recovery_setting_decides_where_the_code_goes() {
    for house in houses().await {
        let both = |pool: &str| {
            json!({ "UserPoolId": pool, "Username": "ann", "UserAttributes": [
                { "Name": "phone_number", "Value": "+12065551234" }, { "Name": "phone_number_verified", "Value": "true" }] })
        };
        let medium = async |setting: Value| {
            let (pool, client, _) = open(&house, setting, json!({})).await;
            house.ok("AdminUpdateUserAttributes", both(&pool)).await;
            let answer = house.call("ForgotPassword", forgot(&client, "ann")).await.json();
            answer["CodeDeliveryDetails"]["DeliveryMedium"].as_str().unwrap_or_default().to_owned()
        };
        let setting = |names: &[&str]| {
            let list: Vec<Value> = names
                .iter()
                .zip(1..)
                .map(|(name, priority)| json!({ "Name": name, "Priority": priority }))
                .collect();
            json!({ "AccountRecoverySetting": { "RecoveryMechanisms": list } })
        };
        assert_eq!(medium(json!({})).await, "SMS");
        assert_eq!(medium(setting(&["verified_email", "verified_phone_number"])).await, "EMAIL");
        assert_eq!(medium(setting(&["verified_phone_number"])).await, "SMS");
        let (_, client, _) = open(&house, setting(&["admin_only"]), json!({})).await;
        assert_eq!(
            house.refused("ForgotPassword", forgot(&client, "ann")).await.0,
            "NotAuthorizedException"
        );
    }
}

#[tokio::test]
async fn an_administrators_reset_ends_everything_and_sends_a_code() {
    for house in houses().await {
        let (pool, client, sub) = open(&house, json!({}), json!({})).await;
        let tokens = house.signs_in(&client, "ann").await;
        // An older code dies with the rest.
        house.ok("ForgotPassword", forgot(&client, "ann")).await;
        house.advance(SECOND);
        house.ok("AdminResetUserPassword", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(house.status(&pool, "ann").await, "RESET_REQUIRED");
        let dead = house.refused("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        assert_eq!(dead, refusal("NotAuthorized", "Access Token has been revoked"));
        let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
            "AuthParameters": { "USERNAME": "ann", "PASSWORD": crate::house::PASSWORD } });
        assert_eq!(
            house.refused("InitiateAuth", input).await,
            refusal("PasswordResetRequired", "Password reset required for the user")
        );
        let records = records::all(&house.app.db, &pool).await.unwrap();
        let last = records.last().unwrap();
        assert_eq!(
            (last.subject.as_str(), last.reason.as_str(), last.initiator.as_str()),
            (sub.as_str(), "password_reset", "admin")
        );

        let code = house.code(&pool, "ann@example.com").await;
        house.ok("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
        assert_eq!(house.status(&pool, "ann").await, "CONFIRMED");
        assert!(signs_in_with(&house, &client, NEW).await);
    }
}

#[tokio::test]
async fn an_administrators_reset_needs_a_verified_address_and_a_password_to_reset() {
    for house in houses().await {
        let (pool, _, _) = open(&house, json!({}), json!({})).await;
        let named = |name: &str| json!({ "UserPoolId": pool, "Username": name });
        house
            .ok(
                "AdminCreateUser",
                json!({ "UserPoolId": pool, "Username": "bare", "MessageAction": "SUPPRESS" }),
            )
            .await;
        assert_eq!(
            house.refused("AdminResetUserPassword", named("bare")).await,
            refusal("NotAuthorized", STATE)
        );
        house.ok("AdminSetUserPassword", json!({ "UserPoolId": pool, "Username": "bare", "Password": NEW, "Permanent": true })).await;
        assert_eq!(
            house.refused("AdminResetUserPassword", named("bare")).await,
            refusal("InvalidParameter", NO_ADDRESS)
        );
        assert_eq!(
            house.refused("AdminResetUserPassword", named("nobody")).await,
            refusal("UserNotFound", "User does not exist.")
        );
    }
}

#[tokio::test]
async fn a_global_sign_out_kills_a_code_that_is_under_way() {
    for house in houses().await {
        let (pool, client, _) = open(&house, json!({}), json!({})).await;
        house.ok("ForgotPassword", forgot(&client, "ann")).await;
        let code = house.code(&pool, "ann@example.com").await;
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let dead = house.refused("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
        assert_eq!(dead, refusal("ExpiredCode", EXPIRED));
    }
}

#[tokio::test]
async fn a_code_proves_the_address_that_it_went_to_and_no_other() {
    for house in houses().await {
        let (pool, client, _) = open(&house, json!({}), json!({})).await;
        house.ok("ForgotPassword", forgot(&client, "ann")).await;
        let code = house.code(&pool, "ann@example.com").await;
        let moved = json!([{ "Name": "email", "Value": "new@example.com" }, { "Name": "email_verified", "Value": "true" }]);
        house
            .ok(
                "AdminUpdateUserAttributes",
                json!({ "UserPoolId": pool, "Username": "ann", "UserAttributes": moved }),
            )
            .await;
        let stale = house.refused("ConfirmForgotPassword", confirm(&client, "ann", &code)).await;
        assert_eq!(stale, refusal("CodeMismatch", MISMATCH));
    }
}

#[tokio::test]
async fn a_hidden_name_makes_the_same_rows_as_a_known_one() {
    for house in houses().await {
        let (pool, client, _) =
            open(&house, json!({}), json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        let count = async || {
            let mut rows = Vec::new();
            for sql in [
                "SELECT COUNT(*) FROM user_codes WHERE pool_id = ?1",
                "SELECT COUNT(*) FROM allowances WHERE pool_id = ?1",
                "SELECT COUNT(*) FROM messages WHERE pool_id = ?1",
                "SELECT COUNT(*) FROM audit WHERE pool_id = ?1",
            ] {
                let found = house.app.db.query(sql, &cenote::params![pool.as_str()]).await.unwrap();
                rows.push(found[0].i64(0).unwrap());
            }
            rows
        };
        let mut made = Vec::new();
        for name in ["ann", "nobody"] {
            let before = count().await;
            house.ok("ForgotPassword", forgot(&client, name)).await;
            house.refused("ConfirmForgotPassword", confirm(&client, name, "000000x")).await;
            let after = count().await;
            made.push(
                before.iter().zip(after).map(|(before, after)| after - before).collect::<Vec<_>>(),
            );
        }
        assert_eq!(made[0], [1, 2, 1, 2]);
        assert_eq!(made[0], made[1]);
    }
}
