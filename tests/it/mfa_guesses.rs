//! Guessing at a second factor, and half-done sign-ins: what locks, what is counted, what dies.

use serde_json::{Value, json};

use crate::house::{PASSWORD, another_code, houses, refusal, together};
use crate::mfa::{PHONE, begins, code, given, on, password, prefers, reply, sent, signed_in};
use crate::totp::{activates, wrong};

#[tokio::test]
async fn wrong_codes_lock_the_account_across_challenges_and_a_password_does_not_unlock_it() {
    for house in houses().await {
        let (_, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = &begins(&house, &client).await["AuthenticationResult"]["AccessToken"];
        let phone = activates(&house, token).await;
        let bad = wrong(&phone, &house);
        for _ in 0..4 {
            let challenge = begins(&house, &client).await;
            let refused =
                house.refused("RespondToAuthChallenge", code(&client, &challenge, &bad)).await;
            assert_eq!(refused.0, "CodeMismatchException");
        }
        let challenge = begins(&house, &client).await;
        house.refused("RespondToAuthChallenge", code(&client, &challenge, &bad)).await;
        // Locked: neither a right code nor the password is looked at.
        let right = phone.code_at(crate::totp::step(&house) + 1);
        let refused =
            house.refused("RespondToAuthChallenge", code(&client, &challenge, &right)).await;
        assert_eq!(refused, refusal("NotAuthorized", "Code attempts exceeded"));
        let refused = house.refused("InitiateAuth", password(&client)).await;
        assert_eq!(refused.1, "Password attempts exceeded");
        house.advance(1_000);
        // The sixth failure locks for two seconds.
        house.refused("RespondToAuthChallenge", code(&client, &challenge, &bad)).await;
        house.advance(1_999);
        let refused =
            house.refused("RespondToAuthChallenge", code(&client, &challenge, &right)).await;
        assert_eq!(refused.1, "Code attempts exceeded");
        house.advance(1);
        assert!(signed_in(
            &house.ok("RespondToAuthChallenge", code(&client, &challenge, &right)).await
        ));
        // All proved: the count starts again.
        let challenge = begins(&house, &client).await;
        let refused =
            house.refused("RespondToAuthChallenge", code(&client, &challenge, &bad)).await;
        assert_eq!(refused.0, "CodeMismatchException");
    }
}

#[tokio::test]
async fn racing_guesses_are_counted_one_by_one() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        prefers(&house, &pool, json!({ "EmailMfaSettings": on(true) })).await;
        let challenge = begins(&house, &client).await;
        let right = sent(&house, &pool, "ann@example.com").await;
        let bad = another_code(&right);
        let answers = together(
            (0..32).map(|_| house.call("RespondToAuthChallenge", code(&client, &challenge, &bad))),
        )
        .await;
        let looked = answers.iter().filter(|answer| answer.body.contains("CodeMismatch")).count();
        assert!(looked <= 5, "{looked} guesses were looked at");
        let sql = "SELECT failures FROM users WHERE pool_id = ?1";
        assert_eq!(house.rows(sql, &pool).await, 5, "{}", house.url);
    }
}

#[tokio::test]
async fn a_half_done_sign_in_dies_with_what_it_stands_on() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = begins(&house, &client).await["AuthenticationResult"]["AccessToken"].clone();
        let phone = activates(&house, &token).await;
        let user = json!({ "UserPoolId": pool, "Username": "ann" });
        let other = house.client(&pool, json!({})).await;
        let dead = |refused: (String, String)| {
            assert_eq!(refused, refusal("NotAuthorized", "Invalid session for the user."));
        };
        let respond = async |challenge: &Value| {
            let code = code(&client, challenge, &phone.next(&house));
            house.refused("RespondToAuthChallenge", code).await
        };

        // Another client, another user, another kind of challenge.
        let challenge = begins(&house, &client).await;
        let right = phone.next(&house);
        dead(house.refused("RespondToAuthChallenge", code(&other, &challenge, &right)).await);
        house.user(&pool, "bob").await;
        let mut input = code(&client, &challenge, &right);
        input["ChallengeResponses"]["USERNAME"] = json!("bob");
        dead(house.refused("RespondToAuthChallenge", input).await);
        let mut input = reply(&client, &challenge, "NEW_PASSWORD", PASSWORD);
        input["ChallengeName"] = json!("NEW_PASSWORD_REQUIRED");
        dead(house.refused("RespondToAuthChallenge", input).await);
        let mut input = reply(&client, &challenge, "ANSWER", "SMS_MFA");
        input["ChallengeName"] = json!("SELECT_MFA_TYPE");
        dead(house.refused("RespondToAuthChallenge", input).await);
        let mut input = reply(&client, &challenge, "SMS_MFA_CODE", "123456");
        input["ChallengeName"] = json!("SMS_MFA");
        let refused = house.refused("RespondToAuthChallenge", input).await;
        assert_eq!(refused, refusal("CodeMismatch", "Invalid code or auth state for the user."));
        assert!(signed_in(
            &house.ok("RespondToAuthChallenge", code(&client, &challenge, &right)).await
        ));

        // Time.
        let challenge = begins(&house, &client).await;
        house.advance(3 * 60_000);
        let late = respond(&challenge).await;
        assert_eq!(late.1, "Invalid session for the user, session is expired.");

        // Sign-out everywhere, a new password, a disabled and a deleted user.
        let challenge = begins(&house, &client).await;
        house.ok("AdminUserGlobalSignOut", user.clone()).await;
        dead(respond(&challenge).await);
        let challenge = begins(&house, &client).await;
        let input = json!({ "UserPoolId": pool, "Username": "ann", "Password": PASSWORD, "Permanent": true });
        house.ok("AdminSetUserPassword", input).await;
        dead(respond(&challenge).await);
        let challenge = begins(&house, &client).await;
        house.ok("AdminResetUserPassword", user.clone()).await;
        dead(respond(&challenge).await);
        let input = json!({ "UserPoolId": pool, "Username": "ann", "Password": PASSWORD, "Permanent": true });
        house.ok("AdminSetUserPassword", input).await;
        let challenge = begins(&house, &client).await;
        house.ok("AdminDisableUser", user.clone()).await;
        dead(respond(&challenge).await);
        house.ok("AdminEnableUser", user.clone()).await;
        dead(respond(&challenge).await);
        let challenge = begins(&house, &client).await;
        house.ok("AdminDeleteUser", user).await;
        dead(respond(&challenge).await);
    }
}

#[tokio::test]
async fn a_factor_that_was_switched_off_proves_nothing_in_a_sign_in_that_began_before() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = &begins(&house, &client).await["AuthenticationResult"]["AccessToken"];
        let _phone = activates(&house, token).await;
        prefers(&house, &pool, json!({ "SMSMfaSettings": on(true) })).await;
        // The telephone is stolen.
        let challenge = begins(&house, &client).await;
        let right = sent(&house, &pool, PHONE).await;
        prefers(&house, &pool, json!({ "SMSMfaSettings": { "Enabled": false } })).await;
        let refused =
            house.refused("RespondToAuthChallenge", code(&client, &challenge, &right)).await;
        assert_eq!(refused, refusal("NotAuthorized", "Invalid session for the user."));

        // A code proves the number that it went to.
        prefers(&house, &pool, json!({ "SMSMfaSettings": on(true) })).await;
        let challenge = begins(&house, &client).await;
        let right = sent(&house, &pool, PHONE).await;
        let attributes = json!([{ "Name": "phone_number", "Value": "+12065550199" }]);
        let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributes": attributes });
        house.ok("AdminUpdateUserAttributes", input).await;
        let refused =
            house.refused("RespondToAuthChallenge", code(&client, &challenge, &right)).await;
        assert_eq!(refused, refusal("NotAuthorized", "Invalid session for the user."));
    }
}
