//! MfaConfiguration ON: who has no factor sets one up, and who can do neither stays out.

use cenote::account::admin::{self, NewUser, Seeded};
use cenote::config::Settings;
use cenote::cx::Cx;
use cenote::pool::{Client, ClientDoc, Pool, PoolDoc, schema};
use cenote::store::{Batch, pools};
use serde_json::{Value, json};

use crate::house::{House, NOW, PASSWORD, houses, refusal, together};
use crate::mfa::{
    PHONE, begins, code, given, on, parameter, password, prefers, reply, sent, signed_in,
};
use crate::totp::{Phone, demands, sets_up, wrong};

#[tokio::test]
async fn on_asks_everybody_and_lets_who_has_no_factor_set_one_up() {
    for house in houses().await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (pool, client) = given(&house, "ON", only_token).await;
        let challenge = begins(&house, &client).await;
        assert_eq!(challenge["ChallengeName"], "MFA_SETUP");
        assert!(challenge.get("AuthenticationResult").is_none());
        assert_eq!(parameter(&challenge, "MFAS_CAN_SETUP"), r#"["SOFTWARE_TOKEN_MFA"]"#);

        // Not before a token is verified.
        let setup = |session: &Value| json!({ "ClientId": client, "ChallengeName": "MFA_SETUP", "Session": session, "ChallengeResponses": { "USERNAME": "ann" } });
        let early = house.refused("RespondToAuthChallenge", setup(&challenge["Session"])).await;
        assert_eq!(early, refusal("InvalidParameter", "User has not verified software token mfa"));
        let input = json!({ "Session": challenge["Session"], "UserCode": "123456" });
        let early = house.refused("VerifySoftwareToken", input).await;
        assert_eq!(early.0, "SoftwareTokenMFANotFoundException");

        let associated =
            house.ok("AssociateSoftwareToken", json!({ "Session": challenge["Session"] })).await;
        let phone = Phone::new(associated["SecretCode"].as_str().unwrap());
        let again = house
            .refused("AssociateSoftwareToken", json!({ "Session": challenge["Session"] }))
            .await;
        assert_eq!(again.1, "Invalid session for the user, session can only be used once.");
        let verify = |code: String| json!({ "Session": associated["Session"], "UserCode": code, "FriendlyDeviceName": "Pixel" });
        let refused = house.refused("VerifySoftwareToken", verify(wrong(&phone, &house))).await;
        assert_eq!(refused, refusal("EnableSoftwareTokenMFA", "Code mismatch"));
        let verified = house.ok("VerifySoftwareToken", verify(phone.next(&house))).await;
        assert_eq!(verified["Status"], "SUCCESS");
        let done = house.ok("RespondToAuthChallenge", setup(&verified["Session"])).await;
        assert!(signed_in(&done));
        let refused = house.refused("RespondToAuthChallenge", setup(&verified["Session"])).await;
        assert_eq!(refused.1, "Invalid session for the user, session can only be used once.");

        let challenge = begins(&house, &client).await;
        assert_eq!(challenge["ChallengeName"], "SOFTWARE_TOKEN_MFA");
        assert_eq!(parameter(&challenge, "FRIENDLY_DEVICE_NAME"), "Pixel");
        let input = json!({ "UserPoolId": pool, "Username": "ann" });
        let user = house.ok("AdminGetUser", input.clone()).await;
        assert_eq!(user["UserMFASettingList"], json!(["SOFTWARE_TOKEN_MFA"]));
        // Refreshing never asks.
        let token = &done["AuthenticationResult"]["RefreshToken"];
        let refresh = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client, "AuthParameters": { "REFRESH_TOKEN": token } });
        assert!(signed_in(&house.ok("InitiateAuth", refresh).await));
        // A lost phone: set up another.
        house.ok("AdminDeleteSoftwareToken", input).await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "MFA_SETUP");
    }
}

#[tokio::test]
async fn on_takes_a_verified_token_or_else_the_addresses_that_the_user_has() {
    for house in houses().await {
        let (pool, client) = given(&house, "ON", json!({})).await;
        let choice = begins(&house, &client).await;
        assert_eq!(parameter(&choice, "MFAS_CAN_CHOOSE"), r#"["SMS_MFA","EMAIL_OTP"]"#);
        demands(&house, &pool, "ON", json!({ "SmsMfaConfiguration": null })).await;
        let asked = begins(&house, &client).await;
        assert_eq!(asked["ChallengeName"], "EMAIL_OTP");
        let right = sent(&house, &pool, "ann@example.com").await;
        let done = house.ok("RespondToAuthChallenge", code(&client, &asked, &right)).await;
        // A verified token is enough, and switching it off means nothing where a factor is required.
        let token = &done["AuthenticationResult"]["AccessToken"];
        let phone = sets_up(&house, token).await;
        let input =
            json!({ "AccessToken": token, "SoftwareTokenMfaSettings": { "Enabled": false } });
        house.ok("SetUserMFAPreference", input).await;
        let asked = begins(&house, &client).await;
        assert_eq!(asked["ChallengeName"], "SOFTWARE_TOKEN_MFA");
        let right = phone.next(&house);
        assert!(signed_in(
            &house.ok("RespondToAuthChallenge", code(&client, &asked, &right)).await
        ));
    }
}

#[tokio::test]
async fn an_address_can_be_set_up_by_its_code() {
    for house in houses().await {
        let (pool, client) = given(&house, "ON", json!({ "SmsMfaConfiguration": null })).await;
        let names = json!(["email", "phone_number"]);
        let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": names });
        house.ok("AdminDeleteUserAttributes", input).await;
        let challenge = begins(&house, &client).await;
        assert_eq!(
            parameter(&challenge, "MFAS_CAN_SETUP"),
            r#"["SOFTWARE_TOKEN_MFA","EMAIL_OTP"]"#
        );
        let refused = house
            .refused("RespondToAuthChallenge", reply(&client, &challenge, "EMAIL", "no address"))
            .await;
        assert_eq!(refused.0, "InvalidParameterException");
        let asked = house
            .ok(
                "RespondToAuthChallenge",
                reply(&client, &challenge, "EMAIL", "ann@new.example.com"),
            )
            .await;
        assert_eq!(asked["ChallengeName"], "EMAIL_OTP");
        assert_eq!(parameter(&asked, "CODE_DELIVERY_DESTINATION"), "a***@n***");
        assert_eq!(house.attribute(&pool, "ann", "email").await, None, "not before it is proved");
        let right = sent(&house, &pool, "ann@new.example.com").await;
        assert!(signed_in(
            &house.ok("RespondToAuthChallenge", code(&client, &asked, &right)).await
        ));
        assert_eq!(
            house.attribute(&pool, "ann", "email").await.as_deref(),
            Some("ann@new.example.com")
        );
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("true"));
        assert_eq!(begins(&house, &client).await["ChallengeName"], "EMAIL_OTP");
    }
}

#[tokio::test]
async fn who_begins_to_set_up_a_factor_cannot_replace_one_that_came_first() {
    for house in houses().await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (_, client) = given(&house, "ON", only_token).await;
        let begin = async || {
            let challenge = begins(&house, &client).await;
            house.ok("AssociateSoftwareToken", json!({ "Session": challenge["Session"] })).await
        };
        let (thief, owner) = (begin().await, begin().await);
        let verify = |associated: &Value| {
            let phone = Phone::new(associated["SecretCode"].as_str().unwrap());
            json!({ "Session": associated["Session"], "UserCode": phone.code(&house) })
        };
        house.ok("VerifySoftwareToken", verify(&owner)).await;
        let late = house.refused("VerifySoftwareToken", verify(&thief)).await;
        assert_eq!(late, refusal("NotAuthorized", "Invalid session for the user."));
        let late = json!({ "Session": thief["Session"] });
        let late = house.refused("AssociateSoftwareToken", late).await;
        assert_eq!(late, refusal("NotAuthorized", "Invalid session for the user."));
    }
}

#[tokio::test]
async fn of_many_who_set_up_a_factor_at_once_one_does() {
    for house in houses().await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (_, client) = given(&house, "ON", only_token).await;
        let mut inputs = Vec::new();
        for _ in 0..8 {
            let challenge = begins(&house, &client).await;
            let input = json!({ "Session": challenge["Session"] });
            let associated = house.ok("AssociateSoftwareToken", input).await;
            let phone = Phone::new(associated["SecretCode"].as_str().unwrap());
            inputs
                .push(json!({ "Session": associated["Session"], "UserCode": phone.code(&house) }));
        }
        let answers =
            together(inputs.into_iter().map(|input| house.call("VerifySoftwareToken", input)))
                .await;
        assert_eq!(
            answers.iter().filter(|answer| answer.status == 200).count(),
            1,
            "{}",
            house.url
        );
    }
}

#[tokio::test]
async fn who_can_neither_answer_nor_set_up_stays_out() {
    for house in houses().await {
        let only_sms =
            json!({ "EmailMfaConfiguration": null, "SoftwareTokenMfaConfiguration": null });
        let (pool, client) = given(&house, "ON", only_sms.clone()).await;
        assert_eq!(begins(&house, &client).await["ChallengeName"], "SMS_MFA");
        let without = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["phone_number"] });
        house.ok("AdminDeleteUserAttributes", without.clone()).await;
        let no_method = refusal("MFAMethodNotFound", "No MFA mechanism registered in the account.");
        assert_eq!(house.refused("InitiateAuth", password(&client)).await, no_method);

        // Nor does a factor that the user activated fall away with its address.
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        prefers(&house, &pool, json!({ "SMSMfaSettings": on(true) })).await;
        let without = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["phone_number"] });
        house.ok("AdminDeleteUserAttributes", without).await;
        assert_eq!(house.refused("InitiateAuth", password(&client)).await, no_method);
        prefers(&house, &pool, json!({ "SMSMfaSettings": { "Enabled": false } })).await;
        assert!(signed_in(&begins(&house, &client).await));
    }
}

#[tokio::test]
async fn a_pool_made_with_on_and_no_factor_lets_nobody_in() {
    for house in houses().await {
        let pool = house.pool(json!({ "MfaConfiguration": "ON" })).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let refused = house.refused("InitiateAuth", password(&client)).await;
        assert_eq!(refused.0, "MFAMethodNotFoundException");
    }
}

#[tokio::test]
async fn where_a_text_message_cannot_be_sent_nobody_is_let_in_without_it() {
    let house = House::on_sqlite(Settings { dev: false, ..Settings::default() }).await;
    let mut pool = Pool {
        id: "us-east-1_Serve0001".into(),
        doc: PoolDoc::default(),
        ver: 1,
        epoch_ms: 0,
        longest_token_ms: 0,
        created_ms: NOW,
        modified_ms: NOW,
    };
    pool.doc.model.schema_attributes = Some(schema::build(&[]).unwrap());
    pool.doc.model.mfa_configuration = Some("ON".into());
    pool.doc.mfa.sms_mfa_configuration = Some(Default::default());
    let mut client = Client {
        id: "serveclient".into(),
        pool_id: pool.id.clone(),
        doc: ClientDoc::default(),
        ver: 1,
        epoch_ms: 0,
        created_ms: NOW,
        modified_ms: NOW,
    };
    client.doc.model.explicit_auth_flows = Some(vec!["ALLOW_USER_PASSWORD_AUTH".into()]);
    let mut batch = Batch::new();
    pools::insert(&mut batch, &pool).unwrap();
    pools::insert_client(&mut batch, &client).unwrap();
    house.app.db.commit(batch).await.unwrap();
    let attributes = [("phone_number".to_owned(), PHONE.to_owned())];
    let new = NewUser {
        name: "ann",
        attributes: &attributes,
        temporary_password: None,
        mediums: None,
        force_alias: false,
        silent: true,
    };
    let seeded = Seeded { password: Some(PASSWORD), ..Seeded::default() };
    admin::create_as(&Cx::system(house.app.clone()), &pool, new, seeded).await.unwrap();

    let refused = house.refused("InitiateAuth", password(&client.id)).await;
    assert_eq!(refused.0, "CodeDeliveryFailureException");
    assert!(refused.1.contains("SMS"), "{refused:?}");
    assert_eq!(house.rows("SELECT COUNT(*) FROM challenges WHERE pool_id = ?1", &pool.id).await, 0);
    // Only whoever knows the password learns of it.
    let mut wrong = password(&client.id);
    wrong["AuthParameters"]["PASSWORD"] = json!("Wrong-horse-9");
    assert_eq!(house.refused("InitiateAuth", wrong).await.0, "NotAuthorizedException");
}
