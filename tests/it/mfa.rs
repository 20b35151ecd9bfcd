//! Second factors at sign-in: which one is asked, in the pool's modes OFF, OPTIONAL and ON; codes that are sent; setting a factor up
//! on the way; what ends a half-done sign-in; guesses.

use serde_json::{Value, json};

use crate::house::{House, PASSWORD, houses, refusal};
use crate::totp::{Phone, activates, demands, sets_up};

pub const PHONE: &str = "+12065550100";

/// A pool in this mode with all factors, a client, and the user ann with a phone number and an email address.
pub async fn given(house: &House, mode: &str, more: Value) -> (String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, json!({})).await;
    house.user(&pool, "ann").await;
    let attributes = json!([{ "Name": "phone_number", "Value": PHONE }, { "Name": "phone_number_verified", "Value": "true" }]);
    let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributes": attributes });
    house.ok("AdminUpdateUserAttributes", input).await;
    if mode != "OFF" {
        demands(house, &pool, mode, more).await;
    }
    (pool, client)
}

pub fn password(client: &str) -> Value {
    json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
        "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } })
}

pub async fn begins(house: &House, client: &str) -> Value {
    house.ok("InitiateAuth", password(client)).await
}

/// An answer to a challenge.
pub fn reply(client: &str, challenge: &Value, name: &str, value: &str) -> Value {
    json!({ "ClientId": client, "ChallengeName": challenge["ChallengeName"], "Session": challenge["Session"],
        "ChallengeResponses": { "USERNAME": "ann", name: value } })
}

pub fn code(client: &str, challenge: &Value, value: &str) -> Value {
    let name = format!("{}_CODE", challenge["ChallengeName"].as_str().unwrap());
    reply(client, challenge, &name, value)
}

/// AdminSetUserMFAPreference: factors by Cognito's names of their settings.
pub async fn prefers(house: &House, pool: &str, settings: Value) {
    let mut input = json!({ "UserPoolId": pool, "Username": "ann" });
    crate::house::merge(&mut input, settings);
    house.ok("AdminSetUserMFAPreference", input).await;
}

pub fn on(preferred: bool) -> Value {
    json!({ "Enabled": true, "PreferredMfa": preferred })
}

pub fn signed_in(answer: &Value) -> bool {
    answer["AuthenticationResult"]["AccessToken"].is_string()
}

pub fn parameter<'a>(challenge: &'a Value, name: &str) -> &'a str {
    challenge["ChallengeParameters"][name].as_str().unwrap_or_default()
}

/// The newest code to an address.
pub async fn sent(house: &House, pool: &str, to: &str) -> String {
    house.code(pool, to).await
}

#[tokio::test]
async fn optional_asks_whom_a_factor_was_activated_for_and_off_asks_nobody() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let answer = begins(&house, &client).await;
        assert!(signed_in(&answer), "no factor, no question: {answer}");
        let token = &answer["AuthenticationResult"]["AccessToken"];
        sets_up(&house, token).await;
        assert!(signed_in(&begins(&house, &client).await), "verified is not activated");

        prefers(&house, &pool, json!({ "SoftwareTokenMfaSettings": on(false) })).await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "SOFTWARE_TOKEN_MFA");
        // Withdrawn from the pool, it goes on for those who have it.
        demands(&house, &pool, "OPTIONAL", json!({ "SoftwareTokenMfaConfiguration": null })).await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "SOFTWARE_TOKEN_MFA");

        let off = json!({ "UserPoolId": pool, "MfaConfiguration": "OFF" });
        house.ok("SetUserPoolMfaConfig", off).await;
        assert!(signed_in(&begins(&house, &client).await));
        let input = json!({ "UserPoolId": pool, "Username": "ann" });
        let user = house.ok("AdminGetUser", input).await;
        assert_eq!(
            user["UserMFASettingList"],
            json!(["SOFTWARE_TOKEN_MFA"]),
            "it is not forgotten"
        );
    }
}

#[tokio::test]
async fn of_several_factors_the_preferred_one_is_asked_or_else_the_user() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = &begins(&house, &client).await["AuthenticationResult"]["AccessToken"];
        let phone = activates(&house, token).await;
        prefers(
            &house,
            &pool,
            json!({ "SMSMfaSettings": on(false), "EmailMfaSettings": on(false) }),
        )
        .await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "SOFTWARE_TOKEN_MFA");
        prefers(&house, &pool, json!({ "EmailMfaSettings": on(true) })).await;
        let shown = house.ok("GetUser", json!({ "AccessToken": token })).await;
        assert_eq!(shown["PreferredMfaSetting"], "EMAIL_OTP");
        assert_eq!(
            shown["UserMFASettingList"],
            json!(["SOFTWARE_TOKEN_MFA", "SMS_MFA", "EMAIL_OTP"])
        );
        assert_eq!(
            shown["MFAOptions"],
            json!([{ "DeliveryMedium": "SMS", "AttributeName": "phone_number" }])
        );
        assert_eq!(begins(&house, &client).await["ChallengeName"], "EMAIL_OTP");
        prefers(&house, &pool, json!({ "EmailMfaSettings": on(false) })).await;

        let choice = begins(&house, &client).await;
        assert_eq!(choice["ChallengeName"], "SELECT_MFA_TYPE");
        assert_eq!(
            parameter(&choice, "MFAS_CAN_CHOOSE"),
            r#"["SMS_MFA","SOFTWARE_TOKEN_MFA","EMAIL_OTP"]"#
        );
        assert_eq!(parameter(&choice, "USER_ID_FOR_SRP"), "ann");
        for bad in ["PASSKEY", "sms_mfa", "SMS_MFA,EMAIL_OTP"] {
            let refused = house
                .refused("RespondToAuthChallenge", reply(&client, &choice, "ANSWER", bad))
                .await;
            assert_eq!(refused.0, "InvalidParameterException", "{bad}");
        }
        let asked = house
            .ok("RespondToAuthChallenge", reply(&client, &choice, "ANSWER", "SOFTWARE_TOKEN_MFA"))
            .await;
        assert_eq!(asked["ChallengeName"], "SOFTWARE_TOKEN_MFA");
        assert_ne!(asked["Session"], choice["Session"]);
        let right = phone.next(&house);
        assert!(signed_in(
            &house.ok("RespondToAuthChallenge", code(&client, &asked, &right)).await
        ));
        let refused = house
            .refused("RespondToAuthChallenge", reply(&client, &choice, "ANSWER", "SMS_MFA"))
            .await;
        assert_eq!(refused.1, "Invalid session for the user, session can only be used once.");

        // The guide's name of EMAIL_OTP.
        let choice = begins(&house, &client).await;
        let asked = house
            .ok("RespondToAuthChallenge", reply(&client, &choice, "ANSWER", "EMAIL_MFA"))
            .await;
        assert_eq!(asked["ChallengeName"], "EMAIL_OTP");
        let right = sent(&house, &pool, "ann@example.com").await;
        assert!(signed_in(
            &house.ok("RespondToAuthChallenge", code(&client, &asked, &right)).await
        ));
    }
}

#[tokio::test]
async fn a_sent_code_says_where_it_went_and_works_once_and_only_in_its_challenge() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        for (settings, name, medium, masked, to, text) in [
            ("SMSMfaSettings", "SMS_MFA", "SMS", "+*******0100", PHONE, "Text code "),
            (
                "EmailMfaSettings",
                "EMAIL_OTP",
                "EMAIL",
                "a***@e***",
                "ann@example.com",
                "Mail code ",
            ),
        ] {
            prefers(&house, &pool, json!({ settings: on(true) })).await;
            let first = begins(&house, &client).await;
            assert_eq!(first["ChallengeName"], name);
            assert_eq!(
                first["ChallengeParameters"],
                json!({ "CODE_DELIVERY_DELIVERY_MEDIUM": medium, "CODE_DELIVERY_DESTINATION": masked, "USER_ID_FOR_SRP": "ann" })
            );
            let old = sent(&house, &pool, to).await;
            let message = &house.outbox(&pool, to).await[0];
            assert_eq!(message["body"], format!("{text}{old}"));
            house.advance(1);
            let second = begins(&house, &client).await;
            let new = sent(&house, &pool, to).await;
            if old != new {
                let refused =
                    house.refused("RespondToAuthChallenge", code(&client, &second, &old)).await;
                let other = "Invalid code or auth state for the user.";
                assert_eq!(refused, refusal("CodeMismatch", other));
            }
            // A wrong code leaves the challenge open.
            assert!(signed_in(
                &house.ok("RespondToAuthChallenge", code(&client, &second, &new)).await
            ));
            assert!(signed_in(
                &house.ok("RespondToAuthChallenge", code(&client, &first, &old)).await
            ));
            let refused =
                house.refused("RespondToAuthChallenge", code(&client, &first, &old)).await;
            assert_eq!(refused.1, "Invalid session for the user, session can only be used once.");
        }
    }
}

#[tokio::test]
async fn a_second_factor_is_asked_after_a_new_password() {
    for house in houses().await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (pool, client) = given(&house, "ON", only_token).await;
        let input =
            json!({ "UserPoolId": pool, "Username": "ann", "Password": "Temporary-horse-9" });
        house.ok("AdminSetUserPassword", input).await;
        let mut begin = password(&client);
        begin["AuthParameters"]["PASSWORD"] = json!("Temporary-horse-9");
        let first = house.ok("InitiateAuth", begin).await;
        assert_eq!(first["ChallengeName"], "NEW_PASSWORD_REQUIRED");
        let second = house
            .ok("RespondToAuthChallenge", reply(&client, &first, "NEW_PASSWORD", PASSWORD))
            .await;
        assert_eq!(second["ChallengeName"], "MFA_SETUP");
        assert_eq!(house.status(&pool, "ann").await, "CONFIRMED");
        let input = json!({ "Session": second["Session"] });
        let associated = house.ok("AssociateSoftwareToken", input).await;
        let phone = Phone::new(associated["SecretCode"].as_str().unwrap());
        let input = json!({ "Session": associated["Session"], "UserCode": phone.next(&house) });
        let verified = house.ok("VerifySoftwareToken", input).await;
        let input = json!({ "ClientId": client, "ChallengeName": "MFA_SETUP", "Session": verified["Session"], "ChallengeResponses": { "USERNAME": "ann" } });
        assert!(signed_in(&house.ok("RespondToAuthChallenge", input).await));
    }
}

#[tokio::test]
async fn administrators_flows_ask_too() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = &begins(&house, &client).await["AuthenticationResult"]["AccessToken"];
        let phone = activates(&house, token).await;
        let mut begin = password(&client);
        begin["UserPoolId"] = json!(pool);
        begin["AuthFlow"] = json!("ADMIN_USER_PASSWORD_AUTH");
        let challenge = house.ok("AdminInitiateAuth", begin).await;
        assert_eq!(challenge["ChallengeName"], "SOFTWARE_TOKEN_MFA");
        let mut input = code(&client, &challenge, &phone.next(&house));
        input["UserPoolId"] = json!(pool);
        assert!(signed_in(&house.ok("AdminRespondToAuthChallenge", input).await));
    }
}

#[tokio::test]
async fn preferences_need_what_they_prefer_and_contradictions_are_refused() {
    for house in houses().await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (pool, client) = given(&house, "OPTIONAL", only_token).await;
        let answer = begins(&house, &client).await;
        let token = &answer["AuthenticationResult"]["AccessToken"];
        let set = async |settings: Value| {
            let mut input = json!({ "AccessToken": token });
            crate::house::merge(&mut input, settings);
            house.refused("SetUserMFAPreference", input).await
        };
        let software = json!({ "SoftwareTokenMfaSettings": on(true) });
        let missing = |name: &str| {
            let message = format!("User does not have delivery config set to turn on {name}");
            refusal("InvalidParameter", &message)
        };
        assert_eq!(set(software.clone()).await, missing("SOFTWARE_TOKEN_MFA"));
        assert_eq!(set(json!({ "SMSMfaSettings": on(true) })).await, missing("SMS_MFA"));
        assert_eq!(set(json!({ "EmailMfaSettings": on(true) })).await, missing("EMAIL_OTP"));
        house.ok("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
        assert_eq!(
            set(software.clone()).await,
            refusal("InvalidParameter", "User has not verified software token mfa")
        );
        let phone = sets_up(&house, token).await;
        demands(&house, &pool, "OPTIONAL", json!({})).await;
        let two = json!({ "SoftwareTokenMfaSettings": on(true), "SMSMfaSettings": on(true) });
        assert_eq!(set(two).await.0, "InvalidParameterException");
        let off = json!({ "SMSMfaSettings": { "Enabled": false, "PreferredMfa": true } });
        assert_eq!(set(off).await.0, "InvalidParameterException");
        assert_eq!(
            set(json!({ "WebAuthnMfaSettings": { "Enabled": true } })).await.0,
            "InvalidParameterException"
        );
        let user = house.ok("GetUser", json!({ "AccessToken": token })).await;
        assert!(user.get("UserMFASettingList").is_none(), "nothing was kept: {user}");

        let mut input = json!({ "AccessToken": token });
        crate::house::merge(&mut input, software);
        house.ok("SetUserMFAPreference", input).await;
        // Sessions live on.
        house.ok("GetUser", json!({ "AccessToken": token })).await;
        let challenge = begins(&house, &client).await;
        let right = phone.next(&house);
        house.ok("RespondToAuthChallenge", code(&client, &challenge, &right)).await;
        house.ok("GlobalSignOut", json!({ "AccessToken": token })).await;
        assert_eq!(set(json!({})).await, refusal("NotAuthorized", "Access Token has been revoked"));
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'SetUserMFAPreference' AND result = 'ok'";
        assert_eq!(house.rows(sql, &pool).await, 1);
    }
}

#[tokio::test]
async fn the_older_settings_switch_text_messages() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = &begins(&house, &client).await["AuthenticationResult"]["AccessToken"];
        let sms = json!([{ "DeliveryMedium": "SMS", "AttributeName": "phone_number" }]);
        house.ok("SetUserSettings", json!({ "AccessToken": token, "MFAOptions": sms })).await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "SMS_MFA");
        let users = house.ok("ListUsers", json!({ "UserPoolId": pool })).await;
        assert_eq!(users["Users"][0]["MFAOptions"], sms);
        let input = json!({ "UserPoolId": pool, "Username": "ann", "MFAOptions": [] });
        house.ok("AdminSetUserSettings", input).await;
        assert!(signed_in(&begins(&house, &client).await));
        let bad = json!([{ "DeliveryMedium": "EMAIL", "AttributeName": "email" }]);
        let input = json!({ "UserPoolId": pool, "Username": "ann", "MFAOptions": bad });
        let refused = house.refused("AdminSetUserSettings", input).await;
        assert_eq!(refused.0, "InvalidParameterException");
    }
}

#[tokio::test]
async fn an_address_that_is_a_factor_gets_no_code_for_a_new_password() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        prefers(&house, &pool, json!({ "SMSMfaSettings": on(true) })).await;
        let input = json!({ "ClientId": client, "Username": "ann" });
        let sent = house.ok("ForgotPassword", input.clone()).await;
        assert_eq!(sent["CodeDeliveryDetails"]["AttributeName"], "email");
        prefers(&house, &pool, json!({ "EmailMfaSettings": on(false) })).await;
        let refused = house.refused("ForgotPassword", input).await;
        assert_eq!(refused.0, "InvalidParameterException");
        // Where a factor is required, what was not activated is one all the same.
        let (pool, client) = given(&house, "ON", json!({ "EmailMfaConfiguration": null })).await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "SMS_MFA");
        let input = json!({ "ClientId": client, "Username": "ann" });
        let sent = house.ok("ForgotPassword", input.clone()).await;
        assert_eq!(sent["CodeDeliveryDetails"]["AttributeName"], "email");
        demands(&house, &pool, "ON", json!({})).await;
        assert_eq!(house.refused("ForgotPassword", input).await.0, "InvalidParameterException");
    }
}

#[tokio::test]
async fn where_a_factor_is_required_one_that_was_activated_is_not_replaced_by_another_address() {
    for house in houses().await {
        let (pool, client) = given(&house, "ON", json!({})).await;
        prefers(&house, &pool, json!({ "SMSMfaSettings": on(true) })).await;
        let names = json!(["phone_number"]);
        let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": names });
        house.ok("AdminDeleteUserAttributes", input).await;
        let refused = house.refused("InitiateAuth", password(&client)).await;
        assert_eq!(refused.0, "MFAMethodNotFoundException");
        prefers(&house, &pool, json!({ "SMSMfaSettings": { "Enabled": false } })).await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "EMAIL_OTP");
    }
}

#[tokio::test]
async fn a_temporary_password_does_not_choose_where_the_codes_of_a_factor_go() {
    for house in houses().await {
        for (mode, settings, gone) in [
            ("OPTIONAL", json!({ "SMSMfaSettings": on(true) }), false),
            ("OPTIONAL", json!({ "SMSMfaSettings": on(true) }), true),
            ("ON", json!({}), false),
        ] {
            let (pool, client) = given(&house, mode, json!({})).await;
            if settings != json!({}) {
                prefers(&house, &pool, settings).await;
            }
            if gone {
                let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["phone_number"] });
                house.ok("AdminDeleteUserAttributes", input).await;
            }
            let temporary = "Temporary-horse-9";
            let input = json!({ "UserPoolId": pool, "Username": "ann", "Password": temporary });
            house.ok("AdminSetUserPassword", input).await;
            let mut begin = password(&client);
            begin["AuthParameters"]["PASSWORD"] = json!(temporary);
            let first = house.ok("InitiateAuth", begin).await;
            for value in ["+12065550999", ""] {
                let mut input = reply(&client, &first, "NEW_PASSWORD", PASSWORD);
                input["ChallengeResponses"]["userAttributes.phone_number"] = json!(value);
                if gone && value.is_empty() {
                    continue;
                }
                let refused = house.refused("RespondToAuthChallenge", input).await;
                let message = "user.phone_number: Attribute cannot be updated before the second factor is proved.\n";
                assert_eq!(refused, refusal("InvalidParameter", message), "{mode} {gone}");
            }
            // The same address again is no change, and the challenge is still open.
            let mut input = reply(&client, &first, "NEW_PASSWORD", PASSWORD);
            if !gone {
                input["ChallengeResponses"]["userAttributes.phone_number"] = json!(PHONE);
            }
            let answer = house.call("RespondToAuthChallenge", input).await.json();
            match (mode, gone) {
                (_, true) => assert_eq!(answer["__type"], "MFAMethodNotFoundException"),
                ("ON", _) => assert_eq!(answer["ChallengeName"], "SELECT_MFA_TYPE"),
                _ => assert_eq!(answer["ChallengeName"], "SMS_MFA"),
            }
        }
        // What is added beside a proved address gets no codes.
        let (pool, client) = given(&house, "ON", json!({})).await;
        let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["phone_number"] });
        house.ok("AdminDeleteUserAttributes", input).await;
        let input =
            json!({ "UserPoolId": pool, "Username": "ann", "Password": "Temporary-horse-9" });
        house.ok("AdminSetUserPassword", input).await;
        let mut begin = password(&client);
        begin["AuthParameters"]["PASSWORD"] = json!("Temporary-horse-9");
        let first = house.ok("InitiateAuth", begin).await;
        let mut input = reply(&client, &first, "NEW_PASSWORD", PASSWORD);
        input["ChallengeResponses"]["userAttributes.phone_number"] = json!("+12065550999");
        let asked = house.ok("RespondToAuthChallenge", input).await;
        assert_eq!(asked["ChallengeName"], "EMAIL_OTP");
        assert_eq!(begins(&house, &client).await["ChallengeName"], "EMAIL_OTP");

        // Who has no factor yet names the first.
        let (pool, client) = given(&house, "ON", json!({ "EmailMfaConfiguration": null })).await;
        let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["phone_number"] });
        house.ok("AdminDeleteUserAttributes", input).await;
        let input =
            json!({ "UserPoolId": pool, "Username": "ann", "Password": "Temporary-horse-9" });
        house.ok("AdminSetUserPassword", input).await;
        let mut begin = password(&client);
        begin["AuthParameters"]["PASSWORD"] = json!("Temporary-horse-9");
        let first = house.ok("InitiateAuth", begin).await;
        let mut input = reply(&client, &first, "NEW_PASSWORD", PASSWORD);
        input["ChallengeResponses"]["userAttributes.phone_number"] = json!(PHONE);
        assert_eq!(house.ok("RespondToAuthChallenge", input).await["ChallengeName"], "SMS_MFA");
    }
}

#[tokio::test]
async fn codes_that_are_sent_to_one_user_are_bounded() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        prefers(&house, &pool, json!({ "EmailMfaSettings": on(true) })).await;
        for _ in 0..30 {
            begins(&house, &client).await;
        }
        let refused = house.refused("InitiateAuth", password(&client)).await;
        assert_eq!(refused.0, "TooManyRequestsException");
        house.advance(3_600_000);
        assert_eq!(begins(&house, &client).await["ChallengeName"], "EMAIL_OTP");
    }
}
