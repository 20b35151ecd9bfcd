//! User pools: what is given is given back, what is refused says why, and nothing of a deleted one remains.

use cenote::store::{jobs, records};
use serde_json::{Value, json};

use crate::house::{House, NOW, PASSWORD, houses, merge, together};

/// Every member of CreateUserPool.
fn everything() -> Value {
    let lambda = |name: &str| format!("arn:aws:lambda:us-east-1:123456789012:function:{name}");
    json!({
        "PoolName": "everything",
        "Policies": {
            "PasswordPolicy": { "MinimumLength": 12, "RequireUppercase": true, "RequireLowercase": false, "RequireNumbers": true,
                "RequireSymbols": false, "PasswordHistorySize": 3, "TemporaryPasswordValidityDays": 5 },
            "SignInPolicy": { "AllowedFirstAuthFactors": ["PASSWORD", "EMAIL_OTP"] },
        },
        "DeletionProtection": "ACTIVE",
        "LambdaConfig": {
            "PreSignUp": lambda("a"), "CustomMessage": lambda("b"), "PreTokenGeneration": lambda("c"),
            "PreTokenGenerationConfig": { "LambdaVersion": "V2_0", "LambdaArn": lambda("c") },
            "CustomEmailSender": { "LambdaVersion": "V1_0", "LambdaArn": lambda("d") },
            "KMSKeyID": "arn:aws:kms:us-east-1:123456789012:key/1",
        },
        "AutoVerifiedAttributes": ["email"],
        "AliasAttributes": ["email", "preferred_username"],
        "SmsVerificationMessage": "Your code is {####}",
        "EmailVerificationMessage": "Your code is {####}.",
        "EmailVerificationSubject": "Your code",
        "VerificationMessageTemplate": { "SmsMessage": "Your code is {####}", "EmailMessage": "Your code is {####}.",
            "EmailSubject": "Your code", "EmailMessageByLink": "Click {##here##}", "EmailSubjectByLink": "A link",
            "DefaultEmailOption": "CONFIRM_WITH_LINK" },
        "SmsAuthenticationMessage": "Sign in with {####}",
        "MfaConfiguration": "OPTIONAL",
        "UserAttributeUpdateSettings": { "AttributesRequireVerificationBeforeUpdate": ["email"] },
        "DeviceConfiguration": { "ChallengeRequiredOnNewDevice": true, "DeviceOnlyRememberedOnUserPrompt": false },
        "EmailConfiguration": { "SourceArn": "arn:aws:ses:us-east-1:123456789012:identity/a@example.com",
            "ReplyToEmailAddress": "b@example.com", "EmailSendingAccount": "DEVELOPER", "From": "A <a@example.com>",
            "ConfigurationSet": "set" },
        "SmsConfiguration": { "SnsCallerArn": "arn:aws:iam::123456789012:role/sms", "ExternalId": "x", "SnsRegion": "us-east-1" },
        "UserPoolTags": { "team": "a", "cost center": "7" },
        "AdminCreateUserConfig": { "AllowAdminCreateUserOnly": true, "UnusedAccountValidityDays": 5,
            "InviteMessageTemplate": { "SMSMessage": "{username} {####}", "EmailMessage": "{username} {####}!", "EmailSubject": "Hello" } },
        "UserPoolAddOns": { "AdvancedSecurityMode": "AUDIT", "AdvancedSecurityAdditionalFlows": { "CustomAuthMode": "AUDIT" } },
        "DcrConfiguration": { "EnableStatus": "Enabled", "OpenDcrEnabled": false, "AuthenticatedGrantTypes": ["code"],
            "AllowedScopes": ["openid"] },
        "UsernameConfiguration": { "CaseSensitive": false },
        "AccountRecoverySetting": { "RecoveryMechanisms": [{ "Priority": 1, "Name": "verified_email" }, { "Priority": 2, "Name": "verified_phone_number" }] },
        "UserPoolTier": "PLUS",
        "KeyConfiguration": { "KeyType": "CUSTOMER_MANAGED_KEY", "KmsKeyArn": "arn:aws:kms:us-east-1:123456789012:key/2" },
        "IssuerConfiguration": { "Type": "UPDATED" },
        "AcrConfiguration": { "Level1": { "AcrValue": "low" }, "Level4": { "AcrValue": "high" } },
    })
}

async fn describe(house: &House, pool: &str) -> Value {
    house.ok("DescribeUserPool", json!({ "UserPoolId": pool })).await["UserPool"].clone()
}

/// Every member of `part` stands in `whole`.
fn holds(whole: &Value, part: &Value) {
    for (key, value) in part.as_object().unwrap() {
        assert_eq!(&whole[key], value, "{key}");
    }
}

#[tokio::test]
async fn create_user_pool_gives_back_every_member_that_it_was_given() {
    for house in houses().await {
        let mut given = everything();
        given["Schema"] = json!([
            { "Name": "email", "Required": true, "Mutable": true, "AttributeDataType": "String" },
            { "Name": "shoe", "AttributeDataType": "Number", "NumberAttributeConstraints": { "MinValue": "20", "MaxValue": "50" } },
        ]);
        let made = house.ok("CreateUserPool", given).await["UserPool"].clone();
        let id = made["Id"].as_str().unwrap();
        let read = describe(&house, id).await;
        assert_eq!(made, read);

        let mut kept = everything();
        merge(&mut kept, json!({ "PoolName": null, "Name": "everything" }));
        holds(&read, &kept);
        assert_eq!(
            read["Arn"],
            format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{id}")
        );
        assert_eq!(read["CreationDate"], 1_790_000_000.0);
        assert_eq!(read["EstimatedNumberOfUsers"], 0);
        let schema = read["SchemaAttributes"].as_array().unwrap();
        let find =
            |name: &str| schema.iter().find(|attribute| attribute["Name"] == name).unwrap().clone();
        assert_eq!(find("email")["Required"], true);
        assert_eq!(
            find("custom:shoe")["NumberAttributeConstraints"],
            json!({ "MinValue": "20", "MaxValue": "50" })
        );
        assert_eq!(find("sub")["Mutable"], false);
    }
}

/// What a pool is whose creator only named it.
fn defaults() -> Value {
    json!({
        "Policies": {
            "PasswordPolicy": { "MinimumLength": 8, "RequireUppercase": true, "RequireLowercase": true, "RequireNumbers": true,
                "RequireSymbols": true, "TemporaryPasswordValidityDays": 7 },
            "SignInPolicy": { "AllowedFirstAuthFactors": ["PASSWORD"] },
        },
        "DeletionProtection": "INACTIVE",
        "LambdaConfig": {},
        "MfaConfiguration": "OFF",
        "VerificationMessageTemplate": { "DefaultEmailOption": "CONFIRM_WITH_CODE" },
        "EmailConfiguration": { "EmailSendingAccount": "COGNITO_DEFAULT" },
        "AdminCreateUserConfig": { "AllowAdminCreateUserOnly": false, "UnusedAccountValidityDays": 7 },
        "UserPoolTags": {},
        "UserPoolTier": "ESSENTIALS",
    })
}

#[tokio::test]
async fn a_pool_that_is_only_named_has_cognitos_defaults_and_nothing_else() {
    for house in houses().await {
        let id = house.pool(json!({})).await;
        let read = describe(&house, &id).await;
        holds(&read, &defaults());
        let mut members: Vec<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
        members.sort_unstable();
        assert_eq!(
            members,
            [
                "AdminCreateUserConfig",
                "Arn",
                "CreationDate",
                "DeletionProtection",
                "EmailConfiguration",
                "EstimatedNumberOfUsers",
                "Id",
                "LambdaConfig",
                "LastModifiedDate",
                "MfaConfiguration",
                "Name",
                "Policies",
                "SchemaAttributes",
                "UserPoolTags",
                "UserPoolTier",
                "VerificationMessageTemplate",
            ]
        );
    }
}

#[tokio::test]
async fn update_user_pool_resets_what_it_does_not_name_and_keeps_what_cannot_change() {
    for house in houses().await {
        let mut given = everything();
        given["Schema"] = json!([{ "Name": "shoe", "AttributeDataType": "String" }]);
        let id = house.pool(given).await;
        let before = describe(&house, &id).await;
        house.advance(1_500);
        house.ok("UpdateUserPool", json!({ "UserPoolId": id })).await;
        let after = describe(&house, &id).await;
        holds(&after, &defaults());
        assert_eq!(after["Name"], "everything");
        for kept in [
            "SchemaAttributes",
            "AliasAttributes",
            "UsernameConfiguration",
            "CreationDate",
            "Id",
            "Arn",
        ] {
            assert_eq!(after[kept], before[kept], "{kept}");
        }
        for gone in [
            "SmsConfiguration",
            "AccountRecoverySetting",
            "AcrConfiguration",
            "DeviceConfiguration",
            "AutoVerifiedAttributes",
        ] {
            assert_eq!(after[gone], Value::Null, "{gone}");
        }
        assert_eq!(after["LastModifiedDate"], 1_790_000_001.5);

        let mut all = everything();
        merge(
            &mut all,
            json!({ "PoolName": "renamed", "UserPoolId": id, "AliasAttributes": null, "UsernameConfiguration": null }),
        );
        house.ok("UpdateUserPool", all).await;
        let again = describe(&house, &id).await;
        assert_eq!(again["Name"], "renamed");
        assert_eq!(again["AcrConfiguration"], before["AcrConfiguration"]);
    }
}

#[tokio::test]
async fn a_pool_read_and_written_back_is_unchanged() {
    for house in houses().await {
        for given in [json!({}), everything()] {
            let id = house.pool(given).await;
            let before = describe(&house, &id).await;
            let mut back = before.clone();
            merge(&mut back, json!({ "UserPoolId": id }));
            house.ok("UpdateUserPool", back).await;
            assert_eq!(describe(&house, &id).await, before);
        }
    }
}

#[tokio::test]
async fn bad_pools_are_refused_in_cognitos_words() {
    for house in houses().await {
        let refusals = [
            (
                json!({ "AliasAttributes": ["email"], "UsernameAttributes": ["email"] }),
                "Only one of the aliasAttributes or usernameAttributes can be set in a user pool.",
            ),
            (
                json!({ "Policies": { "PasswordPolicy": { "TemporaryPasswordValidityDays": 3 } }, "AdminCreateUserConfig": { "UnusedAccountValidityDays": 4 } }),
                "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays",
            ),
            (
                json!({ "Policies": { "PasswordPolicy": { "MinimumLength": 5 } } }),
                "1 validation error detected: Value '5' at 'policies.passwordPolicy.minimumLength' failed to satisfy constraint: Member must have value greater than or equal to 6",
            ),
            (
                json!({ "Schema": [{ "Name": "x", "AttributeDataType": "String", "Required": true }] }),
                "Required custom attributes are not supported currently.",
            ),
            (
                json!({ "AcrConfiguration": { "Level1": { "AcrValue": "a" }, "Level2": { "AcrValue": "a" } } }),
                "AcrConfiguration names the value a twice; values must be unique.",
            ),
            (
                json!({ "UserPoolTags": { "aws:x": "y" } }),
                "The tag key aws:x begins with aws:, which is reserved for system use.",
            ),
            (
                json!({ "MfaConfiguration": "MAYBE" }),
                "1 validation error detected: Value 'MAYBE' at 'mfaConfiguration' failed to satisfy constraint: Member must satisfy enum value set: [OFF, ON, OPTIONAL]",
            ),
        ];
        for (more, message) in refusals {
            let mut input = json!({ "PoolName": "bad" });
            merge(&mut input, more);
            assert_eq!(
                house.refused("CreateUserPool", input).await,
                ("InvalidParameterException".into(), message.into())
            );
        }
        for operation in [
            "DescribeUserPool",
            "UpdateUserPool",
            "DeleteUserPool",
            "ListUserPoolClients",
            "GetUserPoolMfaConfig",
        ] {
            let refused =
                house.refused(operation, json!({ "UserPoolId": "us-east-1_nowhere12" })).await;
            assert_eq!(
                refused,
                (
                    "ResourceNotFoundException".into(),
                    "User pool us-east-1_nowhere12 does not exist.".into()
                ),
                "{operation}"
            );
        }
    }
}

#[tokio::test]
async fn a_message_with_two_names_is_answered_under_both() {
    for house in houses().await {
        let id = house.pool(json!({ "EmailVerificationMessage": "old {####}", "VerificationMessageTemplate": { "EmailSubject": "new" } })).await;
        let read = describe(&house, &id).await;
        assert_eq!(read["VerificationMessageTemplate"]["EmailMessage"], "old {####}");
        assert_eq!(read["EmailVerificationSubject"], "new");
        let id = house
            .pool(json!({ "EmailVerificationMessage": "one {####}", "VerificationMessageTemplate": { "EmailMessage": "two {####}" } }))
            .await;
        let read = describe(&house, &id).await;
        assert_eq!(read["EmailVerificationMessage"], "one {####}");
        assert_eq!(read["VerificationMessageTemplate"]["EmailMessage"], "two {####}");
    }
}

#[tokio::test]
async fn a_deleted_pool_leaves_nothing_but_its_records_and_its_audit_trail() {
    for house in houses().await {
        let id = house.pool(json!({})).await;
        let client = house.client(&id, json!({ "GenerateSecret": true })).await;
        let open = house.client(&id, json!({})).await;
        house.user(&id, "ann").await;
        let tokens = house.signs_in(&open, "ann").await;
        let answer = house.call("DeleteUserPool", json!({ "UserPoolId": id })).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "{}"));

        for (operation, input) in [
            ("DescribeUserPool", json!({ "UserPoolId": id })),
            ("DescribeUserPoolClient", json!({ "UserPoolId": id, "ClientId": client })),
            (
                "InitiateAuth",
                json!({ "ClientId": open, "AuthFlow": "USER_PASSWORD_AUTH", "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } }),
            ),
        ] {
            assert_eq!(
                house.refused(operation, input).await.0,
                "ResourceNotFoundException",
                "{operation}"
            );
        }
        assert_eq!(
            house.refused("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await.0,
            "NotAuthorizedException"
        );
        cenote::store::purge::graves(&house.app.db, NOW).await.unwrap();
        for sql in [
            "SELECT COUNT(*) FROM pools WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM clients WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM users WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM logins WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM user_attributes WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM token_sessions WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM refresh_tokens WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM signing_keys WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM messages WHERE pool_id = ?1",
        ] {
            let row = house.app.db.one(sql, &[id.as_str().into()]).await.unwrap().unwrap();
            assert_eq!(row.i64(0).unwrap(), 0, "{sql}");
        }
        let records = records::all(&house.app.db, &id).await.unwrap();
        let record = records.iter().find(|record| record.kind == "P").unwrap();
        assert_eq!((&record.subject, record.not_before_ms), (&id, NOW + 60_000));
        assert_eq!(record.signout_id, answer.header("x-cenote-signout"));
        let trail = jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await.unwrap();
        assert!(trail.iter().any(|entry| entry.pool_id == id && entry.action == "DeleteUserPool"));
    }
}

#[tokio::test]
async fn deletion_protection_stands_until_it_is_taken_away() {
    for house in houses().await {
        let id = house.pool(json!({ "DeletionProtection": "ACTIVE" })).await;
        let refused = house.refused("DeleteUserPool", json!({ "UserPoolId": id })).await;
        assert_eq!(
            refused.1,
            "The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first."
        );
        house
            .ok("UpdateUserPool", json!({ "UserPoolId": id, "DeletionProtection": "INACTIVE" }))
            .await;
        house.ok("DeleteUserPool", json!({ "UserPoolId": id })).await;
    }
}

#[tokio::test]
async fn custom_attributes_are_added_up_to_fifty_and_never_twice() {
    for house in houses().await {
        let id = house.pool(json!({})).await;
        let add = |names: Vec<String>| {
            let attributes: Vec<Value> = names
                .iter()
                .map(|name| json!({ "Name": name, "AttributeDataType": "String" }))
                .collect();
            json!({ "UserPoolId": id, "CustomAttributes": attributes })
        };
        for from in [0, 25] {
            house
                .ok(
                    "AddCustomAttributes",
                    add((from..from + 25).map(|n| format!("a{n}")).collect()),
                )
                .await;
        }
        for (names, message) in [
            (vec!["a50".to_owned()], "A user pool can have at most 50 custom attributes."),
            (vec!["a7".to_owned()], "custom:a7: Existing attribute already has name custom:a7."),
        ] {
            assert_eq!(
                house.refused("AddCustomAttributes", add(names)).await,
                ("InvalidParameterException".into(), message.into())
            );
        }
        let schema = describe(&house, &id).await["SchemaAttributes"].as_array().unwrap().clone();
        assert_eq!(
            schema
                .iter()
                .filter(|attribute| attribute["Name"].as_str().unwrap().starts_with("custom:"))
                .count(),
            50
        );
    }
}

#[tokio::test]
async fn updates_that_race_are_all_made_or_told_to_retry_and_none_is_lost() {
    for house in houses().await {
        let id = house.pool(json!({})).await;
        let names: Vec<String> = (0..4).map(|n| format!("a{n}")).collect();
        let calls = names.iter().map(|name| {
            house.call("AddCustomAttributes", json!({ "UserPoolId": id, "CustomAttributes": [{ "Name": name, "AttributeDataType": "String" }] }))
        });
        let answers = together(calls).await;
        let schema = describe(&house, &id).await["SchemaAttributes"].to_string();
        for (name, answer) in names.iter().zip(answers) {
            let made = answer.status == 200;
            assert!(
                made || answer.json()["__type"] == "TooManyRequestsException",
                "{}",
                answer.body
            );
            assert_eq!(schema.contains(&format!("custom:{name}")), made);
        }
    }
}

#[tokio::test]
async fn the_list_of_pools_is_paged_to_its_end() {
    let house = House::on_sqlite(Default::default()).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(house.pool(json!({})).await);
    }
    let mut seen = Vec::new();
    let mut input = json!({ "MaxResults": 2 });
    loop {
        let page = house.ok("ListUserPools", input.clone()).await;
        seen.extend(
            page["UserPools"]
                .as_array()
                .unwrap()
                .iter()
                .map(|pool| pool["Id"].as_str().unwrap().to_owned()),
        );
        let Some(token) = page.get("NextToken") else { break };
        input["NextToken"] = token.clone();
    }
    made.sort();
    assert_eq!(seen, made);
    let refused =
        house.refused("ListUserPools", json!({ "MaxResults": 2, "NextToken": "forged" })).await;
    assert_eq!(
        refused,
        (
            "InvalidParameterException".into(),
            "Invalid pagination token: it was not given out for this list.".into()
        )
    );
}
