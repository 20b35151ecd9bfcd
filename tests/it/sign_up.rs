//! SignUp, ConfirmSignUp, ResendConfirmationCode.

use cenote::ambient::{HOUR, SECOND};
use serde_json::{Value, json};

use crate::house::{House, PASSWORD, another_code, houses, merge, refusal, together};

const MISMATCH: &str = "Invalid verification code provided, please try again.";
const EXPIRED: &str = "Invalid code provided, please request a code again.";
const LIMIT: &str = "Attempt limit exceeded, please try after some time.";

/// A pool that verifies email addresses, and a client of it.
async fn open(house: &House, pool: Value, client: Value) -> (String, String) {
    let mut settings = json!({ "AutoVerifiedAttributes": ["email"] });
    merge(&mut settings, pool);
    let pool = house.pool(settings).await;
    let client = house.client(&pool, client).await;
    (pool, client)
}

fn sign_up(client: &str, name: &str, attributes: &[(&str, &str)]) -> Value {
    let attributes: Vec<Value> =
        attributes.iter().map(|(name, value)| json!({ "Name": name, "Value": value })).collect();
    json!({ "ClientId": client, "Username": name, "Password": PASSWORD, "UserAttributes": attributes })
}

fn confirm(client: &str, name: &str, code: &str) -> Value {
    json!({ "ClientId": client, "Username": name, "ConfirmationCode": code })
}

#[tokio::test]
async fn a_new_user_confirms_with_the_code_and_signs_in() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({}), json!({})).await;
        let answer =
            house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        assert_eq!(answer["UserConfirmed"], false);
        let details = json!({ "Destination": "a***@e***", "DeliveryMedium": "EMAIL", "AttributeName": "email" });
        assert_eq!(answer["CodeDeliveryDetails"], details);
        assert_eq!(house.status(&pool, "ann").await, "UNCONFIRMED");
        assert_eq!(
            house.attribute(&pool, "ann", "sub").await.unwrap(),
            answer["UserSub"].as_str().unwrap()
        );

        let message = house.outbox(&pool, "ann@example.com").await.remove(0);
        let code = message["code"].as_str().unwrap();
        assert_eq!(message["body"], format!("Your confirmation code is {code}"));
        house.ok("ConfirmSignUp", confirm(&client, "ann", code)).await;
        assert_eq!(house.status(&pool, "ann").await, "CONFIRMED");
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("true"));
        house.signs_in(&client, "ann").await;

        let again = house.refused("ConfirmSignUp", confirm(&client, "ann", code)).await;
        assert_eq!(
            again,
            refusal("NotAuthorized", "User cannot be confirmed. Current status is CONFIRMED")
        );
    }
}

#[tokio::test]
async fn of_two_addresses_the_phone_number_gets_the_code_and_is_verified() {
    for house in houses().await {
        let (pool, client) =
            open(&house, json!({ "AutoVerifiedAttributes": ["email", "phone_number"] }), json!({}))
                .await;
        let both = [("email", "ann@example.com"), ("phone_number", "+12065551234")];
        let answer = house.ok("SignUp", sign_up(&client, "ann", &both)).await;
        let details = json!({ "Destination": "+*******1234", "DeliveryMedium": "SMS", "AttributeName": "phone_number" });
        assert_eq!(answer["CodeDeliveryDetails"], details);
        let code = house.code(&pool, "+12065551234").await;
        house.ok("ConfirmSignUp", confirm(&client, "ann", &code)).await;
        assert_eq!(
            house.attribute(&pool, "ann", "phone_number_verified").await.as_deref(),
            Some("true")
        );
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("false"));
    }
}

#[tokio::test]
async fn without_auto_verification_a_user_waits_for_an_administrator() {
    for house in houses().await {
        let (pool, client) =
            open(&house, json!({ "AutoVerifiedAttributes": null }), json!({})).await;
        let answer =
            house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        assert_eq!(answer.get("CodeDeliveryDetails"), None);
        let resend = house
            .refused("ResendConfirmationCode", json!({ "ClientId": client, "Username": "ann" }))
            .await;
        assert_eq!(
            resend,
            refusal("InvalidParameter", "Cannot resend codes. Auto verification not turned on.")
        );
        house.ok("AdminConfirmSignUp", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        house.signs_in(&client, "ann").await;
        let again = house
            .refused("AdminConfirmSignUp", json!({ "UserPoolId": pool, "Username": "ann" }))
            .await;
        assert_eq!(
            again,
            refusal("NotAuthorized", "User cannot be confirmed. Current status is CONFIRMED")
        );
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_in_any_case_where_case_does_not_count() {
    for house in houses().await {
        let (_, client) =
            open(&house, json!({ "UsernameConfiguration": { "CaseSensitive": false } }), json!({}))
                .await;
        house.ok("SignUp", sign_up(&client, "ann", &[])).await;
        let refused = house.refused("SignUp", sign_up(&client, "ANN", &[])).await;
        assert_eq!(refused, refusal("UsernameExists", "User already exists"));

        let (_, client) =
            open(&house, json!({ "UsernameConfiguration": { "CaseSensitive": true } }), json!({}))
                .await;
        house.ok("SignUp", sign_up(&client, "ann", &[])).await;
        house.ok("SignUp", sign_up(&client, "ANN", &[])).await;
    }
}

#[tokio::test]
async fn nobody_takes_another_users_sub_for_a_name() {
    for house in houses().await {
        let (_, client) = open(&house, json!({}), json!({})).await;
        let sub = house.ok("SignUp", sign_up(&client, "ann", &[])).await["UserSub"]
            .as_str()
            .unwrap()
            .to_owned();
        let refused = house.refused("SignUp", sign_up(&client, &sub, &[])).await;
        assert_eq!(refused, refusal("UsernameExists", "User already exists"));
    }
}

#[tokio::test]
async fn where_addresses_are_names_the_username_is_the_sub() {
    for house in houses().await {
        let (pool, client) =
            open(&house, json!({ "UsernameAttributes": ["email"] }), json!({})).await;
        let answer = house.ok("SignUp", sign_up(&client, "ann@example.com", &[])).await;
        let user = house
            .ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann@example.com" }))
            .await;
        assert_eq!(user["Username"], answer["UserSub"]);
        assert_eq!(
            house.attribute(&pool, "ann@example.com", "email").await.as_deref(),
            Some("ann@example.com")
        );
        let taken = house.refused("SignUp", sign_up(&client, "ann@example.com", &[])).await;
        assert_eq!(
            taken,
            refusal("UsernameExists", "An account with the given email already exists.")
        );
        let named = house.refused("SignUp", sign_up(&client, "ann", &[])).await;
        assert_eq!(named, refusal("InvalidParameter", "Username should be an email."));
        let two = house
            .refused("SignUp", sign_up(&client, "bob@example.com", &[("email", "eve@example.com")]))
            .await;
        assert_eq!(two.0, "InvalidParameterException");
        let code = house.code(&pool, "ann@example.com").await;
        house.ok("ConfirmSignUp", confirm(&client, "ann@example.com", &code)).await;
        house.signs_in(&client, "ann@example.com").await;
    }
}

#[tokio::test]
async fn a_verified_alias_is_claimed_once_unless_it_is_forced() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({ "AliasAttributes": ["email"] }), json!({})).await;
        for name in ["ann", "bob"] {
            house.ok("SignUp", sign_up(&client, name, &[("email", "shared@example.com")])).await;
            house.advance(SECOND);
        }
        let messages = house.outbox(&pool, "shared@example.com").await;
        let (bobs, anns) =
            (messages[0]["code"].as_str().unwrap(), messages[1]["code"].as_str().unwrap());
        house.ok("ConfirmSignUp", confirm(&client, "ann", anns)).await;
        house.signs_in(&client, "shared@example.com").await;
        let refused = house.refused("ConfirmSignUp", confirm(&client, "bob", bobs)).await;
        assert_eq!(refused, refusal("AliasExists", "An account with the email already exists."));
        assert_eq!(house.status(&pool, "bob").await, "UNCONFIRMED");

        let mut forced = confirm(&client, "bob", bobs);
        merge(&mut forced, json!({ "ForceAliasCreation": true }));
        house.ok("ConfirmSignUp", forced).await;
        let user = house
            .ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "shared@example.com" }))
            .await;
        assert_eq!(user["Username"], "bob");
        house.signs_in(&client, "ann").await;
    }
}

#[tokio::test]
async fn a_name_must_not_look_like_an_alias() {
    for house in houses().await {
        let (_, client) =
            open(&house, json!({ "AliasAttributes": ["email", "phone_number"] }), json!({})).await;
        let refused = house.refused("SignUp", sign_up(&client, "ann@example.com", &[])).await;
        let message =
            "Username cannot be of email format, since user pool is configured for email alias.";
        assert_eq!(refused, refusal("InvalidParameter", message));
        assert_eq!(
            house.refused("SignUp", sign_up(&client, "+12065551234", &[])).await.0,
            "InvalidParameterException"
        );
    }
}

#[tokio::test]
async fn thirty_two_confirmations_with_the_right_code_make_one() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({}), json!({})).await;
        house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        let code = house.code(&pool, "ann@example.com").await;
        let answers =
            together((0..32).map(|_| house.call("ConfirmSignUp", confirm(&client, "ann", &code))))
                .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    }
}

#[tokio::test]
async fn five_wrong_guesses_kill_a_code_and_a_new_one_works() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({}), json!({})).await;
        house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        let code = house.code(&pool, "ann@example.com").await;
        for _ in 0..5 {
            let wrong =
                house.refused("ConfirmSignUp", confirm(&client, "ann", &another_code(&code))).await;
            assert_eq!(wrong, refusal("CodeMismatch", MISMATCH));
        }
        let dead = house.refused("ConfirmSignUp", confirm(&client, "ann", &code)).await;
        assert_eq!(dead, refusal("LimitExceeded", LIMIT));

        house.advance(SECOND);
        let answer = house
            .ok("ResendConfirmationCode", json!({ "ClientId": client, "Username": "ann" }))
            .await;
        assert_eq!(answer["CodeDeliveryDetails"]["Destination"], "a***@e***");
        let code = house.code(&pool, "ann@example.com").await;
        house.ok("ConfirmSignUp", confirm(&client, "ann", &code)).await;
        let resend = house
            .refused("ResendConfirmationCode", json!({ "ClientId": client, "Username": "ann" }))
            .await;
        assert_eq!(resend, refusal("InvalidParameter", "User is already confirmed."));
    }
}

#[tokio::test]
async fn a_code_lives_for_a_day_and_not_beyond_its_successor() {
    for house in houses().await {
        let (pool, client) = open(&house, json!({}), json!({})).await;
        house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        let first = house.code(&pool, "ann@example.com").await;
        house.advance(24 * HOUR);
        let late = house.refused("ConfirmSignUp", confirm(&client, "ann", &first)).await;
        assert_eq!(late, refusal("ExpiredCode", EXPIRED));
        house.ok("ResendConfirmationCode", json!({ "ClientId": client, "Username": "ann" })).await;
        let second = house.code(&pool, "ann@example.com").await;
        if first != second {
            let old = house.refused("ConfirmSignUp", confirm(&client, "ann", &first)).await;
            assert_eq!(old, refusal("CodeMismatch", MISMATCH));
        }
        house.ok("ConfirmSignUp", confirm(&client, "ann", &second)).await;
    }
}

#[tokio::test]
async fn codes_are_sent_again_five_times_an_hour() {
    for house in houses().await {
        let (_, client) = open(&house, json!({}), json!({})).await;
        house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        let resend = json!({ "ClientId": client, "Username": "ann" });
        for _ in 0..5 {
            house.ok("ResendConfirmationCode", resend.clone()).await;
        }
        assert_eq!(
            house.refused("ResendConfirmationCode", resend.clone()).await,
            refusal("LimitExceeded", LIMIT)
        );
        house.advance(HOUR);
        house.ok("ResendConfirmationCode", resend).await;
    }
}

#[tokio::test]
async fn a_hidden_name_is_answered_like_an_unconfirmed_one() {
    for house in houses().await {
        let (_, client) =
            open(&house, json!({}), json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        let mut answers = Vec::new();
        for name in ["ann", "nobody"] {
            let resend = json!({ "ClientId": client, "Username": name });
            let one = house.ok("ResendConfirmationCode", resend.clone()).await;
            let two = house.ok("ResendConfirmationCode", resend.clone()).await;
            assert_eq!(one, two, "stable for {name}");
            let shown = one["CodeDeliveryDetails"]["Destination"].as_str().unwrap().to_owned();
            assert!(shown.len() == 9 && shown.contains("***@"), "{shown}");
            let mut seen =
                vec![(one["CodeDeliveryDetails"]["DeliveryMedium"].to_string(), String::new())];
            for _ in 0..6 {
                seen.push(house.refused("ConfirmSignUp", confirm(&client, name, "000000x")).await);
            }
            for _ in 0..4 {
                let answer = house.call("ResendConfirmationCode", resend.clone()).await;
                seen.push((
                    answer.status.to_string(),
                    answer.header("x-amzn-errortype").to_owned(),
                ));
            }
            answers.push(seen);
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0][1], refusal("CodeMismatch", MISMATCH));
        let never_asked =
            house.refused("ConfirmSignUp", confirm(&client, "somebody", "123456")).await;
        assert_eq!(never_asked, refusal("ExpiredCode", EXPIRED));
    }
}

#[tokio::test]
async fn an_open_client_says_who_does_not_exist() {
    for house in houses().await {
        let (_, client) =
            open(&house, json!({}), json!({ "PreventUserExistenceErrors": "LEGACY" })).await;
        let missing = refusal("UserNotFound", "Username/client id combination not found.");
        assert_eq!(
            house.refused("ConfirmSignUp", confirm(&client, "nobody", "123456")).await,
            missing
        );
        assert_eq!(
            house
                .refused(
                    "ResendConfirmationCode",
                    json!({ "ClientId": client, "Username": "nobody" })
                )
                .await,
            missing
        );
    }
}

#[tokio::test]
async fn what_cannot_be_a_sign_up_is_refused() {
    for house in houses().await {
        let schema = json!([{ "Name": "name", "Required": true, "AttributeDataType": "String" }, { "Name": "role", "AttributeDataType": "String" }]);
        let (_, client) = open(
            &house,
            json!({ "Schema": schema }),
            json!({ "WriteAttributes": ["name", "email"] }),
        )
        .await;
        let ann = |more: Value| {
            let mut input = sign_up(&client, "ann", &[("name", "Ann")]);
            merge(&mut input, more);
            input
        };
        let short = house.refused("SignUp", ann(json!({ "Password": "Ab1!xyz" }))).await;
        assert_eq!(
            short,
            refusal(
                "InvalidPassword",
                "Password did not conform with policy: Password not long enough"
            )
        );
        let lacking = house.refused("SignUp", ann(json!({ "UserAttributes": [] }))).await;
        assert_eq!(
            lacking,
            refusal(
                "InvalidParameter",
                "Attributes did not conform to the schema: name: The attribute is required\n"
            )
        );
        let mail = json!([{ "Name": "name", "Value": "Ann" }, { "Name": "email", "Value": "ann" }]);
        let mail = house.refused("SignUp", ann(json!({ "UserAttributes": mail }))).await;
        assert_eq!(mail, refusal("InvalidParameter", "Invalid email address format."));
        for name in ["custom:role", "email_verified", "phone_number"] {
            let attributes =
                json!([{ "Name": "name", "Value": "Ann" }, { "Name": name, "Value": "true" }]);
            let unwritable =
                house.refused("SignUp", ann(json!({ "UserAttributes": attributes }))).await;
            assert_eq!(
                unwritable,
                refusal("NotAuthorized", "A client attempted to write unauthorized attribute"),
                "{name}"
            );
        }
        let unknown = json!([{ "Name": "custom:none", "Value": "x" }]);
        assert_eq!(
            house.refused("SignUp", ann(json!({ "UserAttributes": unknown }))).await.0,
            "InvalidParameterException"
        );
        assert_eq!(
            house.refused("SignUp", ann(json!({ "Password": null }))).await.0,
            "InvalidParameterException"
        );
        assert_eq!(
            house.refused("SignUp", ann(json!({ "ClientId": "nobodysclient" }))).await.0,
            "ResourceNotFoundException"
        );
        let secret = house.refused("SignUp", ann(json!({ "SecretHash": "eA==" }))).await;
        assert_eq!(
            secret,
            refusal("NotAuthorized", &format!("Unable to verify secret hash for client {client}"))
        );
        house.ok("SignUp", ann(json!({}))).await;
    }
}

#[tokio::test]
async fn a_client_with_a_secret_must_prove_it() {
    for house in houses().await {
        let (_, client) = open(&house, json!({}), json!({ "GenerateSecret": true })).await;
        let missing =
            format!("Client {client} is configured with secret but SECRET_HASH was not received");
        for (operation, more) in [
            ("SignUp", json!({ "Password": PASSWORD })),
            ("ConfirmSignUp", json!({ "ConfirmationCode": "123456" })),
            ("ResendConfirmationCode", json!({})),
            ("ForgotPassword", json!({})),
            (
                "ConfirmForgotPassword",
                json!({ "ConfirmationCode": "123456", "Password": PASSWORD }),
            ),
        ] {
            let mut input = json!({ "ClientId": client, "Username": "ann" });
            merge(&mut input, more);
            assert_eq!(
                house.refused(operation, input).await,
                refusal("NotAuthorized", &missing),
                "{operation}"
            );
        }
    }
}

#[tokio::test]
async fn only_administrators_sign_users_up_where_the_pool_says_so() {
    for house in houses().await {
        let config = json!({ "AdminCreateUserConfig": { "AllowAdminCreateUserOnly": true } });
        let (_, client) = open(&house, config, json!({})).await;
        let refused = house.refused("SignUp", sign_up(&client, "ann", &[])).await;
        assert_eq!(refused, refusal("NotAuthorized", "SignUp is not permitted for this user pool"));
    }
}

#[tokio::test]
async fn a_trigger_that_cannot_be_called_stops_the_flow() {
    for house in houses().await {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
        let (_, client) =
            open(&house, json!({ "LambdaConfig": { "PreSignUp": arn } }), json!({})).await;
        assert_eq!(
            house.refused("SignUp", sign_up(&client, "ann", &[])).await.0,
            "UnexpectedLambdaException"
        );
    }
}

#[tokio::test]
async fn the_pools_own_words_are_sent() {
    for house in houses().await {
        let template = json!({ "VerificationMessageTemplate": { "EmailMessage": "<b>{####}</b> is yours", "EmailSubject": "Hello" } });
        let (pool, client) = open(&house, template, json!({})).await;
        house.ok("SignUp", sign_up(&client, "ann", &[("email", "ann@example.com")])).await;
        let message = house.outbox(&pool, "ann@example.com").await.remove(0);
        assert_eq!(message["subject"], "Hello");
        assert_eq!(
            message["body"],
            format!("<b>{}</b> is yours", message["code"].as_str().unwrap())
        );
    }
}

#[tokio::test]
async fn of_thirty_two_who_want_the_same_name_one_gets_it() {
    for house in houses().await {
        let (_, client) = open(&house, json!({ "UsernameAttributes": ["email"] }), json!({})).await;
        let answers = together(
            (0..32).map(|_| house.call("SignUp", sign_up(&client, "ann@example.com", &[]))),
        )
        .await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let taken = answers
            .iter()
            .filter(|answer| {
                answer.body.contains("An account with the given email already exists.")
            })
            .count();
        assert_eq!(taken, 31);
    }
}

#[tokio::test]
async fn where_existence_is_hidden_a_confirmed_user_looks_like_nobody() {
    for house in houses().await {
        let (pool, client) =
            open(&house, json!({}), json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        house.user(&pool, "ann").await;
        let mut answers = Vec::new();
        for name in ["ann", "nobody"] {
            let guess = house.refused("ConfirmSignUp", confirm(&client, name, "123456")).await;
            let input = json!({ "ClientId": client, "Username": name });
            let resent = house.ok("ResendConfirmationCode", input).await;
            let medium = resent["CodeDeliveryDetails"]["DeliveryMedium"].clone();
            answers.push((guess, medium));
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(answers[0].0, refusal("ExpiredCode", EXPIRED));
    }
}
