//! AdminCreateUser and what administrators do to a user's account.

use cenote::store::{jobs, records};
use serde_json::{Value, json};

use crate::house::{House, PASSWORD, houses, merge, refusal};

async fn open(house: &House, pool: Value) -> (String, String) {
    let pool = house.pool(pool).await;
    let client = house.client(&pool, json!({})).await;
    (pool, client)
}

fn create(pool: &str, name: &str, attributes: &[(&str, &str)], more: Value) -> Value {
    let attributes: Vec<Value> =
        attributes.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    let mut input = json!({ "UserPoolId": pool, "Username": name, "UserAttributes": attributes });
    merge(&mut input, more);
    input
}

fn sign_in(client: &str, name: &str, password: &str) -> Value {
    json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": name, "PASSWORD": password } })
}

#[tokio::test]
async fn an_invited_user_gets_a_password_and_chooses_another() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({})).await;
        let answer = house
            .ok("AdminCreateUser", create(&pool, "ann", &[("email", "ann@example.com")], json!({})))
            .await;
        let user = &answer["User"];
        assert_eq!(
            (user["Username"].as_str(), user["UserStatus"].as_str(), user["Enabled"].as_bool()),
            (Some("ann"), Some("FORCE_CHANGE_PASSWORD"), Some(true))
        );
        assert_eq!(user["Attributes"][0]["Name"], "sub");
        assert_eq!(user["UserCreateDate"].as_f64(), Some(crate::house::NOW as f64 / 1000.0));

        let message = house.outbox(&pool, "ann@example.com").await.remove(0);
        let password = message["code"].as_str().unwrap();
        assert_eq!(message["subject"], "Your temporary password");
        assert_eq!(
            message["body"],
            format!("Your username is ann and temporary password is {password}.")
        );
        let challenge = house.ok("InitiateAuth", sign_in(&client, "ann", password)).await;
        assert_eq!(challenge["ChallengeName"], "NEW_PASSWORD_REQUIRED");
        let respond = json!({ "ChallengeName": "NEW_PASSWORD_REQUIRED", "ClientId": client, "Session": challenge["Session"],
            "ChallengeResponses": { "USERNAME": "ann", "NEW_PASSWORD": PASSWORD } });
        house.ok("RespondToAuthChallenge", respond).await;
        assert_eq!(house.status(&pool, "ann").await, "CONFIRMED");
        house.signs_in(&client, "ann").await;
    }
}

#[tokio::test]
async fn admin_get_user_tells_all_of_a_user() {
    for house in houses().await {
        let (pool, _) = open(&house, json!({})).await;
        house
            .ok(
                "AdminCreateUser",
                create(&pool, "ann", &[("email", "ann@example.com"), ("name", "Ann")], json!({})),
            )
            .await;
        house.advance(5_000);
        house.ok("AdminDisableUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let user = house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let now = crate::house::NOW as f64 / 1000.0;
        assert_eq!(
            (user["UserCreateDate"].as_f64(), user["UserLastModifiedDate"].as_f64()),
            (Some(now), Some(now + 5.0))
        );
        assert_eq!(user["Enabled"], false);
        let names: Vec<&str> = user["UserAttributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["sub", "email", "name"]);
        let sub = user["UserAttributes"][0]["Value"].as_str().unwrap();
        assert_eq!(
            house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": sub })).await["Username"],
            "ann"
        );
        assert_eq!(
            house.refused("AdminGetUser", json!({ "UserPoolId": pool, "Username": "no" })).await,
            refusal("UserNotFound", "User does not exist.")
        );
        let nowhere = house
            .refused(
                "AdminGetUser",
                json!({ "UserPoolId": "us-east-1_Nowhere00", "Username": "ann" }),
            )
            .await;
        assert_eq!(
            nowhere,
            refusal("ResourceNotFound", "User pool us-east-1_Nowhere00 does not exist.")
        );
    }
}

#[tokio::test]
async fn invitations_go_where_they_are_asked_to_go() {
    for house in houses().await {
        let (pool, _) = open(&house, json!({})).await;
        let both = [("email", "b@example.com"), ("phone_number", "+12065550001")];
        let count = async |to: &str| house.outbox(&pool, to).await.len();
        house.ok("AdminCreateUser", create(&pool, "one", &both, json!({}))).await;
        assert_eq!((count("b@example.com").await, count("+12065550001").await), (0, 1));
        house
            .ok(
                "AdminCreateUser",
                create(&pool, "two", &both, json!({ "DesiredDeliveryMediums": ["EMAIL"] })),
            )
            .await;
        assert_eq!((count("b@example.com").await, count("+12065550001").await), (1, 1));
        house
            .ok(
                "AdminCreateUser",
                create(
                    &pool,
                    "three",
                    &both,
                    json!({ "DesiredDeliveryMediums": ["EMAIL", "SMS"] }),
                ),
            )
            .await;
        assert_eq!((count("b@example.com").await, count("+12065550001").await), (2, 2));
        house
            .ok(
                "AdminCreateUser",
                create(&pool, "four", &both, json!({ "MessageAction": "SUPPRESS" })),
            )
            .await;
        assert_eq!((count("b@example.com").await, count("+12065550001").await), (2, 2));
        // Nobody to write to is no fault, unless it was asked for.
        house.ok("AdminCreateUser", create(&pool, "five", &[], json!({}))).await;
        let asked = create(&pool, "six", &[], json!({ "DesiredDeliveryMediums": ["EMAIL"] }));
        assert_eq!(house.refused("AdminCreateUser", asked).await.0, "InvalidParameterException");
        assert_eq!(
            house.refused("AdminGetUser", json!({ "UserPoolId": pool, "Username": "six" })).await.0,
            "UserNotFoundException"
        );
    }
}

#[tokio::test]
async fn an_invitation_is_repeated_with_another_password_while_the_first_was_not_used() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({})).await;
        house
            .ok("AdminCreateUser", create(&pool, "ann", &[("email", "ann@example.com")], json!({})))
            .await;
        let first = house.code(&pool, "ann@example.com").await;
        house.advance(1_000);
        let again = create(&pool, "ann", &[], json!({ "MessageAction": "RESEND" }));
        house.ok("AdminCreateUser", again.clone()).await;
        let second = house.code(&pool, "ann@example.com").await;
        assert_ne!(first, second);
        assert_eq!(
            house.refused("InitiateAuth", sign_in(&client, "ann", &first)).await.0,
            "NotAuthorizedException"
        );
        assert_eq!(
            house.ok("InitiateAuth", sign_in(&client, "ann", &second)).await["ChallengeName"],
            "NEW_PASSWORD_REQUIRED"
        );

        let password = json!({ "UserPoolId": pool, "Username": "ann", "Password": PASSWORD, "Permanent": true });
        house.ok("AdminSetUserPassword", password).await;
        let late = house.refused("AdminCreateUser", again).await;
        assert_eq!(
            late,
            refusal(
                "UnsupportedUserState",
                "Resend not possible. ann status is not FORCE_CHANGE_PASSWORD"
            )
        );
        let nobody = create(&pool, "nobody", &[], json!({ "MessageAction": "RESEND" }));
        assert_eq!(
            house.refused("AdminCreateUser", nobody).await,
            refusal("UserNotFound", "User does not exist.")
        );
    }
}

#[tokio::test]
async fn a_given_temporary_password_must_conform_and_works() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({})).await;
        let weak = create(&pool, "ann", &[], json!({ "TemporaryPassword": "lowercase-1" }));
        assert_eq!(house.refused("AdminCreateUser", weak).await.0, "InvalidPasswordException");
        house
            .ok(
                "AdminCreateUser",
                create(&pool, "ann", &[], json!({ "TemporaryPassword": PASSWORD })),
            )
            .await;
        assert_eq!(
            house.ok("InitiateAuth", sign_in(&client, "ann", PASSWORD)).await["ChallengeName"],
            "NEW_PASSWORD_REQUIRED"
        );
    }
}

#[tokio::test]
async fn a_user_who_exists_is_not_created_again() {
    for house in houses().await {
        let (pool, _) = open(&house, json!({})).await;
        house.ok("AdminCreateUser", create(&pool, "ann", &[], json!({}))).await;
        let exists = refusal("UsernameExists", "User account already exists");
        assert_eq!(
            house.refused("AdminCreateUser", create(&pool, "ann", &[], json!({}))).await,
            exists
        );

        let (pool, _) =
            open(&house, json!({ "UsernameAttributes": ["email", "phone_number"] })).await;
        house.ok("AdminCreateUser", create(&pool, "ann@example.com", &[], json!({}))).await;
        assert_eq!(
            house
                .refused("AdminCreateUser", create(&pool, "ann@example.com", &[], json!({})))
                .await,
            exists
        );
        let other = house.refused("AdminCreateUser", create(&pool, "ann", &[], json!({}))).await;
        assert_eq!(
            other,
            refusal("InvalidParameter", "Username should be either an email or a phone number.")
        );
    }
}

#[tokio::test]
async fn a_verified_alias_is_taken_over_only_by_force_and_never_from_a_username() {
    for house in houses().await {
        let (pool, _) =
            open(&house, json!({ "AliasAttributes": ["email", "preferred_username"] })).await;
        house.user(&pool, "ann").await;
        let verified = [("email", "ann@example.com"), ("email_verified", "true")];
        let plain = create(&pool, "bob", &verified, json!({ "MessageAction": "SUPPRESS" }));
        assert_eq!(
            house.refused("AdminCreateUser", plain).await,
            refusal("AliasExists", "An account with the email already exists.")
        );
        let forced = create(
            &pool,
            "bob",
            &verified,
            json!({ "MessageAction": "SUPPRESS", "ForceAliasCreation": true }),
        );
        house.ok("AdminCreateUser", forced).await;
        let owner = house
            .ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann@example.com" }))
            .await;
        assert_eq!(owner["Username"], "bob");
        let username = create(
            &pool,
            "eve",
            &[("preferred_username", "ann")],
            json!({ "ForceAliasCreation": true }),
        );
        assert_eq!(house.refused("AdminCreateUser", username).await.0, "AliasExistsException");
    }
}

#[tokio::test]
async fn an_address_that_is_a_name_is_not_taken_over_by_force() {
    for house in houses().await {
        let (pool, _) = open(&house, json!({ "UsernameAttributes": ["email"] })).await;
        house.ok("AdminCreateUser", create(&pool, "ann@example.com", &[], json!({}))).await;
        let forced = create(&pool, "ann@example.com", &[], json!({ "ForceAliasCreation": true }));
        assert_eq!(house.refused("AdminCreateUser", forced).await.0, "UsernameExistsException");
    }
}

#[tokio::test]
async fn attributes_of_a_new_user_are_checked() {
    for house in houses().await {
        let (pool, _) = open(&house, json!({})).await;
        for (name, value) in
            [("email", "no"), ("phone_number", "12"), ("custom:none", "x"), ("sub", "x")]
        {
            let refused = house
                .refused("AdminCreateUser", create(&pool, "ann", &[(name, value)], json!({})))
                .await;
            assert_eq!(refused.0, "InvalidParameterException", "{name}");
        }
        let unverifiable = house
            .refused(
                "AdminCreateUser",
                create(&pool, "ann", &[("email_verified", "true")], json!({})),
            )
            .await;
        assert_eq!(
            unverifiable,
            refusal("InvalidParameter", "Email is required to verify/un-verify an email")
        );
    }
}

#[tokio::test]
async fn disabling_and_deleting_are_recorded_once() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({})).await;
        let sub = house.user(&pool, "ann").await;
        let token = house.signs_in(&client, "ann").await;
        let ann = json!({ "UserPoolId": pool, "Username": "ann" });
        house.ok("AdminDisableUser", ann.clone()).await;
        house.ok("AdminDisableUser", ann.clone()).await;
        let dead = house.refused("GetUser", json!({ "AccessToken": token["AccessToken"] })).await;
        assert_eq!(dead, refusal("NotAuthorized", "Access Token has been revoked"));
        house.ok("AdminEnableUser", ann.clone()).await;
        assert_ne!(
            house.call("GetUser", json!({ "AccessToken": token["AccessToken"] })).await.status,
            200
        );
        house.signs_in(&client, "ann").await;
        house.ok("AdminDeleteUser", ann.clone()).await;
        assert_eq!(house.refused("AdminDeleteUser", ann).await.0, "UserNotFoundException");
        let mut told: Vec<(String, String, String)> = records::all(&house.app.db, &pool)
            .await
            .unwrap()
            .into_iter()
            .map(|record| (record.subject, record.reason, record.initiator))
            .collect();
        told.sort();
        let record = |reason: &str| (sub.clone(), reason.to_owned(), "admin".to_owned());
        assert_eq!(told, [record("user_deleted"), record("user_disabled")]);
    }
}

#[tokio::test]
async fn every_change_is_in_the_audit_trail_without_secrets() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({})).await;
        house.user(&pool, "ann").await;
        let token = house.signs_in(&client, "ann").await;
        let name = json!({ "AccessToken": token["AccessToken"], "UserAttributes": [{ "Name": "name", "Value": "Secret Name" }] });
        house.ok("UpdateUserAttributes", name).await;
        house.refused("ConfirmForgotPassword", json!({ "ClientId": client, "Username": "ann", "ConfirmationCode": "123456", "Password": PASSWORD })).await;
        let trail = jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await.unwrap();
        let trail: Vec<_> = trail.into_iter().filter(|entry| entry.pool_id == pool).collect();
        for action in ["AdminCreateUser", "AdminSetUserPassword", "SignIn", "UpdateUserAttributes"]
        {
            assert!(
                trail.iter().any(|entry| entry.action == action && entry.result == "ok"),
                "{action}"
            );
        }
        assert!(trail.iter().any(|entry| entry.action == "ConfirmForgotPassword"
            && entry.result == "ExpiredCodeException"));
        let text = format!("{trail:?}");
        assert!(
            !text.contains("Secret Name") && !text.contains(PASSWORD) && !text.contains("123456")
        );
    }
}

#[tokio::test]
async fn aliases_taken_by_force_are_no_longer_their_old_owners() {
    for house in houses().await {
        let pool = house.pool(json!({ "AliasAttributes": ["email", "phone_number"] })).await;
        let both = json!([
            { "Name": "email", "Value": "shared@example.com" }, { "Name": "email_verified", "Value": "true" },
            { "Name": "phone_number", "Value": "+15550001111" }, { "Name": "phone_number_verified", "Value": "true" },
        ]);
        let create = |name: &str, force: bool| {
            json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS",
            "UserAttributes": both, "ForceAliasCreation": force })
        };
        house.ok("AdminCreateUser", create("old", false)).await;
        assert_eq!(
            house.refused("AdminCreateUser", create("new", false)).await.0,
            "AliasExistsException"
        );
        house.ok("AdminCreateUser", create("new", true)).await;
        for alias in ["shared@example.com", "+15550001111"] {
            let found =
                house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": alias })).await;
            assert_eq!(found["Username"], "new");
        }
        assert_eq!(house.attribute(&pool, "old", "email_verified").await.as_deref(), Some("false"));
        assert_eq!(
            house.attribute(&pool, "old", "phone_number_verified").await.as_deref(),
            Some("false")
        );
    }
}
