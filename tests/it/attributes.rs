//! UpdateUserAttributes, DeleteUserAttributes, verification codes, their Admin forms, GetUser, DeleteUser.

use cenote::ambient::{HOUR, SECOND};
use cenote::store::records;
use serde_json::{Value, json};

use crate::house::{House, another_code, houses, refusal, together};

async fn open(house: &House, pool: Value, client: Value) -> (String, Value) {
    let pool = house.pool(pool).await;
    let client = house.client(&pool, client).await;
    house.user(&pool, "ann").await;
    let token = house.signs_in(&client, "ann").await["AccessToken"].clone();
    (pool, token)
}

fn update(token: &Value, name: &str, value: &str) -> Value {
    json!({ "AccessToken": token, "UserAttributes": [{ "Name": name, "Value": value }] })
}

fn admin_update(pool: &str, pairs: &[(&str, &str)]) -> Value {
    let pairs: Vec<Value> =
        pairs.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    json!({ "UserPoolId": pool, "Username": "ann", "UserAttributes": pairs })
}

fn verify(token: &Value, name: &str, code: &str) -> Value {
    json!({ "AccessToken": token, "AttributeName": name, "Code": code })
}

#[tokio::test]
async fn get_user_shows_what_the_client_may_read_with_sub_first() {
    for house in houses().await {
        let (_, token) = open(&house, json!({}), json!({ "ReadAttributes": ["email"] })).await;
        let user = house.ok("GetUser", json!({ "AccessToken": token })).await;
        assert_eq!(user["Username"], "ann");
        let names: Vec<&str> = user["UserAttributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["sub", "email"]);
    }
}

#[tokio::test]
async fn a_new_address_is_unverified_until_its_code_is_confirmed() {
    for house in houses().await {
        let (pool, token) =
            open(&house, json!({ "AutoVerifiedAttributes": ["email"] }), json!({})).await;
        let answer =
            house.ok("UpdateUserAttributes", update(&token, "email", "new@example.com")).await;
        let details = json!([{ "Destination": "n***@e***", "DeliveryMedium": "EMAIL", "AttributeName": "email" }]);
        assert_eq!(answer["CodeDeliveryDetailsList"], details);
        assert_eq!(
            house.attribute(&pool, "ann", "email").await.as_deref(),
            Some("new@example.com")
        );
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("false"));
        let code = house.code(&pool, "new@example.com").await;
        house.ok("VerifyUserAttribute", verify(&token, "email", &code)).await;
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("true"));
        let again = house.refused("VerifyUserAttribute", verify(&token, "email", &code)).await;
        assert_eq!(
            again,
            refusal("ExpiredCode", "Invalid code provided, please request a code again.")
        );
    }
}

#[tokio::test]
async fn where_the_pool_asks_for_it_the_old_address_stays_until_the_new_one_is_verified() {
    for house in houses().await {
        let settings = json!({ "AutoVerifiedAttributes": ["email"],
            "UserAttributeUpdateSettings": { "AttributesRequireVerificationBeforeUpdate": ["email"] } });
        let (pool, token) = open(&house, settings, json!({})).await;
        house.ok("UpdateUserAttributes", update(&token, "email", "new@example.com")).await;
        assert_eq!(
            house.attribute(&pool, "ann", "email").await.as_deref(),
            Some("ann@example.com")
        );
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("true"));
        house.advance(SECOND);
        // Asking again sends to the value that waits.
        let again = json!({ "AccessToken": token, "AttributeName": "email" });
        let answer = house.ok("GetUserAttributeVerificationCode", again).await;
        assert_eq!(answer["CodeDeliveryDetails"]["Destination"], "n***@e***");
        let code = house.code(&pool, "new@example.com").await;
        house.ok("VerifyUserAttribute", verify(&token, "email", &code)).await;
        assert_eq!(
            house.attribute(&pool, "ann", "email").await.as_deref(),
            Some("new@example.com")
        );
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("true"));
    }
}

#[tokio::test]
async fn a_code_for_one_address_does_not_verify_another() {
    for house in houses().await {
        let (pool, token) =
            open(&house, json!({ "AutoVerifiedAttributes": ["email"] }), json!({})).await;
        house.ok("UpdateUserAttributes", update(&token, "email", "mine@example.com")).await;
        let code = house.code(&pool, "mine@example.com").await;
        house
            .ok(
                "AdminUpdateUserAttributes",
                json!({ "UserPoolId": pool, "Username": "ann",
            "UserAttributes": [{ "Name": "email", "Value": "" }] }),
            )
            .await;
        house.ok("UpdateUserAttributes", update(&token, "phone_number", "+12065551234")).await;
        let none = house.refused("VerifyUserAttribute", verify(&token, "email", &code)).await;
        assert_eq!(none.0, "CodeMismatchException");
    }
}

#[tokio::test]
async fn thirty_two_verifications_with_the_right_code_make_one() {
    for house in houses().await {
        let (pool, token) =
            open(&house, json!({ "AutoVerifiedAttributes": ["email"] }), json!({})).await;
        house.ok("UpdateUserAttributes", update(&token, "email", "new@example.com")).await;
        let code = house.code(&pool, "new@example.com").await;
        let answers = together(
            (0..32).map(|_| house.call("VerifyUserAttribute", verify(&token, "email", &code))),
        )
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    }
}

#[tokio::test]
async fn codes_for_attributes_are_limited_and_so_are_guesses() {
    for house in houses().await {
        let (pool, token) = open(&house, json!({}), json!({})).await;
        let ask = json!({ "AccessToken": token, "AttributeName": "email" });
        let limit = refusal("LimitExceeded", "Attempt limit exceeded, please try after some time.");
        for _ in 0..5 {
            house.ok("GetUserAttributeVerificationCode", ask.clone()).await;
            house.advance(SECOND);
        }
        assert_eq!(house.refused("GetUserAttributeVerificationCode", ask.clone()).await, limit);
        let code = house.code(&pool, "ann@example.com").await;
        for _ in 0..5 {
            let wrong = house
                .refused("VerifyUserAttribute", verify(&token, "email", &another_code(&code)))
                .await;
            assert_eq!(
                wrong,
                refusal("CodeMismatch", "Invalid verification code provided, please try again.")
            );
        }
        assert_eq!(
            house.refused("VerifyUserAttribute", verify(&token, "email", &code)).await,
            limit
        );
        for name in ["name", "sub", "custom:x"] {
            let ask = json!({ "AccessToken": token, "AttributeName": name });
            assert_eq!(
                house.refused("GetUserAttributeVerificationCode", ask).await.0,
                "InvalidParameterException",
                "{name}"
            );
        }
        let missing = json!({ "AccessToken": token, "AttributeName": "phone_number" });
        assert_eq!(
            house.refused("GetUserAttributeVerificationCode", missing).await.0,
            "InvalidParameterException"
        );
        house.advance(HOUR / 2);
    }
}

#[tokio::test]
async fn an_alias_that_somebody_has_cannot_be_verified_by_another() {
    for house in houses().await {
        let settings = json!({ "AliasAttributes": ["email"], "AutoVerifiedAttributes": ["email"] });
        let (pool, token) = open(&house, settings, json!({})).await;
        house.user(&pool, "bob").await;
        house.ok("UpdateUserAttributes", update(&token, "email", "bob@example.com")).await;
        let code = house.code(&pool, "bob@example.com").await;
        let taken = house.refused("VerifyUserAttribute", verify(&token, "email", &code)).await;
        assert_eq!(taken, refusal("AliasExists", "An account with the email already exists."));
        assert_eq!(
            house.attribute(&pool, "bob@example.com", "sub").await,
            house.attribute(&pool, "bob", "sub").await
        );
        let taken =
            admin_update(&pool, &[("email", "bob@example.com"), ("email_verified", "true")]);
        assert_eq!(
            house.refused("AdminUpdateUserAttributes", taken).await.0,
            "AliasExistsException"
        );
    }
}

#[tokio::test]
async fn a_preferred_username_is_an_alias_at_once_and_belongs_to_one() {
    for house in houses().await {
        let (pool, token) =
            open(&house, json!({ "AliasAttributes": ["preferred_username"] }), json!({})).await;
        house.user(&pool, "bob").await;
        house.ok("UpdateUserAttributes", update(&token, "preferred_username", "annie")).await;
        assert_eq!(
            house.attribute(&pool, "annie", "sub").await,
            house.attribute(&pool, "ann", "sub").await
        );
        let mut bob = admin_update(&pool, &[("preferred_username", "annie")]);
        bob["Username"] = json!("bob");
        let taken = house.refused("AdminUpdateUserAttributes", bob).await;
        assert_eq!(
            taken,
            refusal("AliasExists", "An account with the preferred_username already exists.")
        );
        assert_eq!(
            house
                .refused("UpdateUserAttributes", update(&token, "preferred_username", "bob"))
                .await
                .0,
            "AliasExistsException"
        );
        // A name that was given up is free.
        house.ok("UpdateUserAttributes", update(&token, "preferred_username", "anna")).await;
        assert_eq!(
            house
                .refused("AdminGetUser", json!({ "UserPoolId": pool, "Username": "annie" }))
                .await
                .0,
            "UserNotFoundException"
        );
    }
}

#[tokio::test]
async fn an_administrator_vouches_for_an_address_or_leaves_it_to_a_code() {
    for house in houses().await {
        let (pool, _) =
            open(&house, json!({ "AutoVerifiedAttributes": ["email"] }), json!({})).await;
        house
            .ok(
                "AdminUpdateUserAttributes",
                admin_update(&pool, &[("email", "a@example.com"), ("email_verified", "true")]),
            )
            .await;
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("true"));
        assert!(house.outbox(&pool, "a@example.com").await.is_empty());
        house
            .ok("AdminUpdateUserAttributes", admin_update(&pool, &[("email", "b@example.com")]))
            .await;
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("false"));
        assert_eq!(house.outbox(&pool, "b@example.com").await.len(), 1);
        let none = house
            .refused(
                "AdminUpdateUserAttributes",
                admin_update(&pool, &[("phone_number_verified", "true")]),
            )
            .await;
        assert_eq!(
            none,
            refusal(
                "InvalidParameter",
                "Phone Number is required to verify/un-verify a phone number"
            )
        );
    }
}

#[tokio::test]
async fn attributes_are_deleted_by_name_or_by_an_empty_value() {
    for house in houses().await {
        let schema = json!([{ "Name": "email", "Required": true, "AttributeDataType": "String" }, { "Name": "role", "AttributeDataType": "String" }]);
        let (pool, token) = open(&house, json!({ "Schema": schema }), json!({})).await;
        for (name, value) in
            [("name", "Ann"), ("custom:role", "queen"), ("phone_number", "+12065551234")]
        {
            house.ok("UpdateUserAttributes", update(&token, name, value)).await;
        }
        house
            .ok(
                "DeleteUserAttributes",
                json!({ "AccessToken": token, "UserAttributeNames": ["name", "phone_number"] }),
            )
            .await;
        house.ok("UpdateUserAttributes", update(&token, "custom:role", "")).await;
        for name in ["name", "phone_number", "phone_number_verified", "custom:role"] {
            assert_eq!(house.attribute(&pool, "ann", name).await, None, "{name}");
        }
        let required = json!({ "AccessToken": token, "UserAttributeNames": ["email"] });
        assert_eq!(
            house.refused("DeleteUserAttributes", required).await.0,
            "InvalidParameterException"
        );
        let required =
            json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["email"] });
        assert_eq!(
            house.refused("AdminDeleteUserAttributes", required).await.0,
            "InvalidParameterException"
        );
        house.ok("AdminUpdateUserAttributes", admin_update(&pool, &[("nickname", "A")])).await;
        let nickname =
            json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["nickname"] });
        house.ok("AdminDeleteUserAttributes", nickname).await;
        assert_eq!(house.attribute(&pool, "ann", "nickname").await, None);
    }
}

#[tokio::test]
async fn what_a_client_may_not_write_is_refused() {
    for house in houses().await {
        let schema = json!([{ "Name": "fixed", "Mutable": false, "AttributeDataType": "String" }]);
        let client = json!({ "WriteAttributes": ["name", "custom:fixed", "email"] });
        let (_, token) = open(&house, json!({ "Schema": schema }), client).await;
        let forbidden =
            refusal("NotAuthorized", "A client attempted to write unauthorized attribute");
        assert_eq!(
            house.refused("UpdateUserAttributes", update(&token, "nickname", "A")).await,
            forbidden
        );
        assert_eq!(
            house.refused("UpdateUserAttributes", update(&token, "email_verified", "true")).await,
            forbidden
        );
        let nickname = json!({ "AccessToken": token, "UserAttributeNames": ["nickname"] });
        assert_eq!(house.refused("DeleteUserAttributes", nickname).await, forbidden);
        for (name, value) in [("custom:fixed", "x"), ("sub", "x"), ("custom:none", "x")] {
            assert_eq!(
                house.refused("UpdateUserAttributes", update(&token, name, value)).await.0,
                "InvalidParameterException",
                "{name}"
            );
        }
        let phone = house.refused("UpdateUserAttributes", update(&token, "email", "ann")).await;
        assert_eq!(phone, refusal("InvalidParameter", "Invalid email address format."));
    }
}

#[tokio::test]
async fn a_token_that_was_revoked_changes_nothing() {
    for house in houses().await {
        let (pool, token) = open(&house, json!({}), json!({})).await;
        house.ok("GlobalSignOut", json!({ "AccessToken": token })).await;
        let revoked = refusal("NotAuthorized", "Access Token has been revoked");
        assert_eq!(
            house.refused("UpdateUserAttributes", update(&token, "name", "Eve")).await,
            revoked
        );
        assert_eq!(house.refused("DeleteUser", json!({ "AccessToken": token })).await, revoked);
        assert_eq!(
            house.refused("VerifyUserAttribute", verify(&token, "email", "123456")).await,
            revoked
        );
        assert_eq!(house.attribute(&pool, "ann", "name").await, None);
    }
}

#[tokio::test]
async fn a_user_who_deletes_itself_is_gone_and_recorded() {
    for house in houses().await {
        let (pool, token) = open(&house, json!({}), json!({})).await;
        let sub = house.attribute(&pool, "ann", "sub").await.unwrap();
        house.ok("DeleteUser", json!({ "AccessToken": token })).await;
        assert_eq!(
            house.refused("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" })).await.0,
            "UserNotFoundException"
        );
        assert_eq!(
            house.refused("GetUser", json!({ "AccessToken": token })).await.0,
            "UserNotFoundException"
        );
        let records = records::all(&house.app.db, &pool).await.unwrap();
        let told: Vec<_> = records
            .iter()
            .map(|record| {
                (record.subject.as_str(), record.reason.as_str(), record.initiator.as_str())
            })
            .collect();
        assert_eq!(told, [(sub.as_str(), "user_deleted", "user")]);
    }
}
