//! User pools: what is given is given back, what is refused says why, and nothing of a deleted one remains.

use serde_json::{Value, json};

use crate::house::{House, houses, merge};

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
        assert_eq!(read["Arn"], format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{id}"));
        assert_eq!(read["CreationDate"], 1_790_000_000.0);
        assert_eq!(read["EstimatedNumberOfUsers"], 0);
        let schema = read["SchemaAttributes"].as_array().unwrap();
        let find = |name: &str| schema.iter().find(|attribute| attribute["Name"] == name).unwrap().clone();
        assert_eq!(find("email")["Required"], true);
        assert_eq!(find("custom:shoe")["NumberAttributeConstraints"], json!({ "MinValue": "20", "MaxValue": "50" }));
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
                "AdminCreateUserConfig", "Arn", "CreationDate", "DeletionProtection", "EmailConfiguration", "EstimatedNumberOfUsers",
                "Id", "LambdaConfig", "LastModifiedDate", "MfaConfiguration", "Name", "Policies", "SchemaAttributes",
                "UserPoolTags", "UserPoolTier", "VerificationMessageTemplate",
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
        for kept in ["SchemaAttributes", "AliasAttributes", "UsernameConfiguration", "CreationDate", "Id", "Arn"] {
            assert_eq!(after[kept], before[kept], "{kept}");
        }
        for gone in ["SmsConfiguration", "AccountRecoverySetting", "AcrConfiguration", "DeviceConfiguration", "AutoVerifiedAttributes"] {
            assert_eq!(after[gone], Value::Null, "{gone}");
        }
        assert_eq!(after["LastModifiedDate"], 1_790_000_001.5);

        let mut all = everything();
        merge(&mut all, json!({ "PoolName": "renamed", "UserPoolId": id, "AliasAttributes": null, "UsernameConfiguration": null }));
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
            (json!({ "UserPoolTags": { "aws:x": "y" } }), "The tag key aws:x begins with aws:, which is reserved for system use."),
            (json!({ "MfaConfiguration": "MAYBE" }), "1 validation error detected: Value 'MAYBE' at 'mfaConfiguration' failed to satisfy constraint: Member must satisfy enum value set: [OFF, ON, OPTIONAL]"),
        ];
        for (more, message) in refusals {
            let mut input = json!({ "PoolName": "bad" });
            merge(&mut input, more);
            assert_eq!(house.refused("CreateUserPool", input).await, ("InvalidParameterException".into(), message.into()));
        }
        for operation in ["DescribeUserPool", "UpdateUserPool", "DeleteUserPool", "ListUserPoolClients", "GetUserPoolMfaConfig"] {
            let refused = house.refused(operation, json!({ "UserPoolId": "us-east-1_nowhere12" })).await;
            assert_eq!(refused, ("ResourceNotFoundException".into(), "User pool us-east-1_nowhere12 does not exist.".into()), "{operation}");
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
