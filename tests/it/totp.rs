//! Software tokens: set up with an access token or a Session, a code for each time step and once, lost phones.

use std::cell::Cell;

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::house::{House, houses, refusal, together};

/// An authenticator app, by somebody who has read the RFCs and nothing of the server.
pub struct Phone {
    secret: Vec<u8>,
    shown: Cell<i64>,
}

impl Phone {
    pub fn new(secret: &str) -> Phone {
        let bits: String = secret
            .bytes()
            .map(|byte| format!("{:05b}", if byte < b'A' { byte - b'2' + 26 } else { byte - b'A' }))
            .collect();
        let bytes = bits.as_bytes().chunks_exact(8);
        let secret = bytes.map(|byte| byte.iter().fold(0, |n, bit| (n << 1) | (bit - b'0')));
        Phone { secret: secret.collect(), shown: Cell::new(0) }
    }

    pub fn code_at(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.secret);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let at = usize::from(tag.as_ref()[19] & 15);
        let number = u32::from_be_bytes(tag.as_ref()[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
        format!("{:06}", number % 1_000_000)
    }

    /// The code on the screen now.
    pub fn code(&self, house: &House) -> String {
        self.code_at(step(house))
    }

    /// Waits for a code that was not shown before.
    pub fn next(&self, house: &House) -> String {
        while step(house) <= self.shown.get() {
            house.advance(30_000);
        }
        self.shown.set(step(house));
        self.code(house)
    }
}

pub fn step(house: &House) -> i64 {
    house.app.clock.now_ms() / 30_000
}

/// What `code` is not, at any step near now.
pub fn wrong(phone: &Phone, house: &House) -> String {
    let near: Vec<String> = (-3..=3).map(|by| phone.code_at(step(house) + by)).collect();
    (0..1_000_000).map(|n| format!("{n:06}")).find(|code| !near.contains(code)).unwrap()
}

/// SetUserPoolMfaConfig with all three factors.
pub async fn demands(house: &House, pool: &str, mode: &str, more: Value) {
    let mut input = json!({ "UserPoolId": pool, "MfaConfiguration": mode,
        "SoftwareTokenMfaConfiguration": { "Enabled": true },
        "EmailMfaConfiguration": { "Message": "Mail code {####}", "Subject": "Your code" },
        "SmsMfaConfiguration": { "SmsAuthenticationMessage": "Text code {####}", "SmsConfiguration": { "SnsCallerArn": "arn:aws:iam::123456789012:role/sms" } } });
    crate::house::merge(&mut input, more);
    house.ok("SetUserPoolMfaConfig", input).await;
}

/// A pool where factors are optional, a client, and the user ann.
async fn given(house: &House) -> (String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, json!({})).await;
    demands(house, &pool, "OPTIONAL", json!({})).await;
    house.user(&pool, "ann").await;
    (pool, client)
}

/// Sets up an app with an access token; does not activate it.
pub async fn sets_up(house: &House, token: &Value) -> Phone {
    let answer = house.ok("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
    let phone = Phone::new(answer["SecretCode"].as_str().unwrap());
    let code = phone.next(house);
    let input = json!({ "AccessToken": token, "UserCode": code, "FriendlyDeviceName": "Pixel" });
    assert_eq!(house.ok("VerifySoftwareToken", input).await, json!({ "Status": "SUCCESS" }));
    phone
}

/// Sets up an app and activates it.
pub async fn activates(house: &House, token: &Value) -> Phone {
    let phone = sets_up(house, token).await;
    let input = json!({ "AccessToken": token, "SoftwareTokenMfaSettings": { "Enabled": true, "PreferredMfa": true } });
    house.ok("SetUserMFAPreference", input).await;
    phone
}

async fn token(house: &House, client: &str) -> Value {
    house.signs_in(client, "ann").await["AccessToken"].clone()
}

/// Proves the password: the challenge.
async fn begins(house: &House, client: &str) -> Value {
    let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
        "AuthParameters": { "USERNAME": "ann", "PASSWORD": crate::house::PASSWORD } });
    house.ok("InitiateAuth", input).await
}

fn answer(client: &str, session: &Value, code: &str) -> Value {
    json!({ "ClientId": client, "ChallengeName": "SOFTWARE_TOKEN_MFA", "Session": session,
        "ChallengeResponses": { "USERNAME": "ann", "SOFTWARE_TOKEN_MFA_CODE": code } })
}

#[tokio::test]
async fn a_secret_is_160_bits_in_base32_and_lies_sealed() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let token = token(&house, &client).await;
        let first = house.ok("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
        let secret = first["SecretCode"].as_str().unwrap();
        assert_eq!(secret.len(), 32);
        assert!(
            secret.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
        );
        assert!(first.get("Session").is_none());
        let again = house.ok("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
        assert_ne!(again["SecretCode"], first["SecretCode"]);

        let sql = "SELECT pending FROM software_tokens WHERE pool_id = ?1";
        let row = house.app.db.one(sql, &cenote::params![pool]).await.unwrap().unwrap();
        let plain = Phone::new(again["SecretCode"].as_str().unwrap()).secret;
        assert!(!row.blob(0).unwrap().windows(plain.len()).any(|bytes| bytes == plain));
    }
}

#[tokio::test]
async fn a_token_works_from_its_first_code_until_another_is_verified() {
    for house in houses().await {
        let (_, client) = given(&house).await;
        let token = token(&house, &client).await;
        let old = activates(&house, &token).await;

        // Another secret is given out: the old phone goes on.
        let pending = house.ok("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
        let new = Phone::new(pending["SecretCode"].as_str().unwrap());
        let challenge = begins(&house, &client).await;
        assert_eq!(challenge["ChallengeName"], "SOFTWARE_TOKEN_MFA");
        assert_eq!(
            challenge["ChallengeParameters"],
            json!({ "FRIENDLY_DEVICE_NAME": "Pixel", "USER_ID_FOR_SRP": "ann" })
        );
        let refused = house
            .refused(
                "RespondToAuthChallenge",
                answer(&client, &challenge["Session"], &new.code(&house)),
            )
            .await;
        assert_eq!(refused, refusal("CodeMismatch", "Invalid code received for user"));
        let code = old.next(&house);
        let result =
            house.ok("RespondToAuthChallenge", answer(&client, &challenge["Session"], &code)).await;
        assert!(result["AuthenticationResult"]["AccessToken"].is_string());

        // Its first code makes it the user's, and the old one nobody's.
        let code = new.next(&house);
        house.ok("VerifySoftwareToken", json!({ "AccessToken": token, "UserCode": code })).await;
        let challenge = begins(&house, &client).await;
        let code = old.next(&house);
        let refused = house
            .refused("RespondToAuthChallenge", answer(&client, &challenge["Session"], &code))
            .await;
        assert_eq!(refused.0, "CodeMismatchException");
        let code = new.next(&house);
        house.ok("RespondToAuthChallenge", answer(&client, &challenge["Session"], &code)).await;
    }
}

#[tokio::test]
async fn a_code_is_taken_a_step_early_or_late_and_no_further() {
    for house in houses().await {
        let (_, client) = given(&house).await;
        let token = token(&house, &client).await;
        let phone = activates(&house, &token).await;
        house.advance(10 * 60_000);
        let now = step(&house);
        for (by, taken) in [(-2, false), (2, false), (-1, true), (1, true)] {
            let challenge = begins(&house, &client).await;
            let input = answer(&client, &challenge["Session"], &phone.code_at(now + by));
            let status = house.call("RespondToAuthChallenge", input).await.status;
            assert_eq!(status == 200, taken, "{by} steps away");
        }
    }
}

#[tokio::test]
async fn a_code_is_used_once_even_if_32_send_it_at_once() {
    for house in houses().await {
        let (_, client) = given(&house).await;
        let token = token(&house, &client).await;
        let phone = activates(&house, &token).await;
        let mut sessions = Vec::new();
        for _ in 0..32 {
            sessions.push(begins(&house, &client).await["Session"].clone());
        }
        let code = phone.next(&house);
        let answers =
            together(sessions.iter().map(|session| {
                house.call("RespondToAuthChallenge", answer(&client, session, &code))
            }))
            .await;
        assert_eq!(
            answers.iter().filter(|answer| answer.status == 200).count(),
            1,
            "{}",
            house.url
        );
        // Nobody else got in later either, and to have been right is no failure.
        let used = refusal("ExpiredCode", "Your software token has already been used once.");
        let session = &begins(&house, &client).await["Session"];
        assert_eq!(
            house.refused("RespondToAuthChallenge", answer(&client, session, &code)).await,
            used
        );
        // Nor is a code of an earlier step worth anything.
        let earlier = phone.code_at(step(&house) - 1);
        assert_eq!(
            house.refused("RespondToAuthChallenge", answer(&client, session, &earlier)).await,
            used
        );
        let code = phone.next(&house);
        house.ok("RespondToAuthChallenge", answer(&client, session, &code)).await;
        let refused =
            house.refused("RespondToAuthChallenge", answer(&client, session, &code)).await;
        assert_eq!(refused.1, "Invalid session for the user, session can only be used once.");
    }
}

#[tokio::test]
async fn the_code_that_verified_a_token_signs_nobody_in() {
    for house in houses().await {
        let (_, client) = given(&house).await;
        let token = token(&house, &client).await;
        let phone = activates(&house, &token).await;
        let session = &begins(&house, &client).await["Session"];
        let refused = house
            .refused("RespondToAuthChallenge", answer(&client, session, &phone.code(&house)))
            .await;
        assert_eq!(refused.0, "ExpiredCodeException");
    }
}

#[tokio::test]
async fn of_32_who_verify_one_token_one_succeeds() {
    for house in houses().await {
        let (_, client) = given(&house).await;
        let token = token(&house, &client).await;
        let secret = house.ok("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
        let code = Phone::new(secret["SecretCode"].as_str().unwrap()).code(&house);
        let input = json!({ "AccessToken": token, "UserCode": code });
        let answers =
            together((0..32).map(|_| house.call("VerifySoftwareToken", input.clone()))).await;
        assert_eq!(
            answers.iter().filter(|answer| answer.status == 200).count(),
            1,
            "{}",
            house.url
        );
    }
}

#[tokio::test]
async fn a_wrong_first_code_verifies_nothing_and_tries_are_bounded() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let token = token(&house, &client).await;
        let secret = house.ok("AssociateSoftwareToken", json!({ "AccessToken": token })).await;
        let phone = Phone::new(secret["SecretCode"].as_str().unwrap());
        let input = json!({ "AccessToken": token, "UserCode": wrong(&phone, &house) });
        for _ in 0..15 {
            let refused = house.refused("VerifySoftwareToken", input.clone()).await;
            assert_eq!(refused, refusal("EnableSoftwareTokenMFA", "Code mismatch"));
        }
        let right = json!({ "AccessToken": token, "UserCode": phone.code(&house) });
        let refused = house.refused("VerifySoftwareToken", right.clone()).await;
        assert_eq!(refused.0, "TooManyRequestsException");
        let verified =
            "SELECT COUNT(*) FROM software_tokens WHERE pool_id = ?1 AND secret IS NOT NULL";
        assert_eq!(house.rows(verified, &pool).await, 0);
        house.advance(3_600_000 - 1);
        let token = self::token(&house, &client).await;
        house.advance(1);
        let right = json!({ "AccessToken": token, "UserCode": phone.code(&house) });
        house.ok("VerifySoftwareToken", right).await;
    }
}

#[tokio::test]
async fn what_cannot_be_set_up_says_why() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let token = token(&house, &client).await;
        let code = |code: &str| json!({ "AccessToken": token, "UserCode": code });
        assert_eq!(
            house.refused("VerifySoftwareToken", code("123456")).await,
            refusal("SoftwareTokenMFANotFound", "Software Token MFA does not exist for the user.")
        );
        for short in ["", "12345", "1234567", "12345a"] {
            let refused = house.refused("VerifySoftwareToken", code(short)).await;
            assert_eq!(refused.0, "InvalidParameterException", "{short:?}");
        }
        for operation in ["AssociateSoftwareToken", "VerifySoftwareToken"] {
            let refused = house.refused(operation, json!({ "UserCode": "123456" })).await;
            let neither = "Either AccessToken or Session must be provided.";
            assert_eq!(refused, refusal("InvalidParameter", neither));
            for session in ["no-session-of-ours-at-all", "nobody.0123456789012345678901234567"] {
                let input = json!({ "Session": session, "UserCode": "123456" });
                let refused = house.refused(operation, input).await;
                assert_eq!(refused, refusal("NotAuthorized", "Invalid session for the user."));
            }
        }
        let name = "x".repeat(129);
        let input =
            json!({ "AccessToken": token, "UserCode": "123456", "FriendlyDeviceName": name });
        assert_eq!(
            house.refused("VerifySoftwareToken", input).await.0,
            "InvalidParameterException"
        );

        demands(&house, &pool, "OPTIONAL", json!({ "SoftwareTokenMfaConfiguration": null })).await;
        let off = refusal(
            "SoftwareTokenMFANotFound",
            "Software Token MFA has not been enabled by the userPool",
        );
        let input = json!({ "AccessToken": token });
        assert_eq!(house.refused("AssociateSoftwareToken", input).await, off);
        assert_eq!(house.refused("VerifySoftwareToken", code("123456")).await, off);

        house.ok("GlobalSignOut", json!({ "AccessToken": token })).await;
        let input = json!({ "AccessToken": token });
        let refused = house.refused("AssociateSoftwareToken", input).await;
        assert_eq!(refused, refusal("NotAuthorized", "Access Token has been revoked"));
    }
}

#[tokio::test]
async fn a_deleted_token_is_no_factor_any_more_not_even_of_a_half_done_sign_in() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let token = token(&house, &client).await;
        let phone = activates(&house, &token).await;
        let user = json!({ "UserPoolId": pool, "Username": "ann" });
        let shown = house.ok("AdminGetUser", user.clone()).await;
        assert_eq!(shown["UserMFASettingList"], json!(["SOFTWARE_TOKEN_MFA"]));
        assert_eq!(shown["PreferredMfaSetting"], "SOFTWARE_TOKEN_MFA");
        let session = &begins(&house, &client).await["Session"];

        house.ok("AdminDeleteSoftwareToken", user.clone()).await;
        let code = phone.next(&house);
        let refused =
            house.refused("RespondToAuthChallenge", answer(&client, session, &code)).await;
        assert_eq!(
            refused,
            refusal("SoftwareTokenMFANotFound", "Software Token MFA does not exist for the user.")
        );
        let shown = house.ok("AdminGetUser", user.clone()).await;
        assert!(
            shown.get("UserMFASettingList").is_none() && shown.get("PreferredMfaSetting").is_none()
        );
        // Optional again, and no session has ended.
        house.signs_in(&client, "ann").await;
        house.ok("GetUser", json!({ "AccessToken": token })).await;
        // There is nothing to delete twice, and nobody to delete it of.
        house.ok("AdminDeleteSoftwareToken", user).await;
        let nobody = json!({ "UserPoolId": pool, "Username": "bob" });
        let refused = house.refused("AdminDeleteSoftwareToken", nobody).await;
        assert_eq!(refused.0, "UserNotFoundException");
        assert_eq!(
            house.rows("SELECT COUNT(*) FROM software_tokens WHERE pool_id = ?1", &pool).await,
            0
        );
    }
}

#[tokio::test]
async fn a_deleted_user_leaves_no_secret() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        activates(&house, &token(&house, &client).await).await;
        let count = "SELECT COUNT(*) FROM software_tokens WHERE pool_id = ?1";
        assert_eq!(house.rows(count, &pool).await, 1);
        house.ok("AdminDeleteUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(house.rows(count, &pool).await, 0);
    }
}
