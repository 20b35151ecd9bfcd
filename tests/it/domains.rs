//! Domains, tags and MFA configuration of pools.

use serde_json::{Value, json};

use crate::house::{House, houses, merge, together};

/// A name that no other run of the suite took on a shared database: in hexadecimal, no reserved word comes about by chance.
fn fresh(name: &str, pool: &str) -> String {
    let digits: String = pool.bytes().rev().take(9).map(|byte| format!("{byte:02x}")).collect();
    format!("{name}-{digits}")
}

async fn describe(house: &House, domain: &str) -> Value {
    house.ok("DescribeUserPoolDomain", json!({ "Domain": domain })).await["DomainDescription"]
        .clone()
}

fn invalid(message: &str) -> (String, String) {
    ("InvalidParameterException".to_owned(), message.to_owned())
}

#[tokio::test]
async fn a_pool_has_a_prefix_domain_and_a_custom_one_and_says_so() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let prefix = fresh("shop", &pool);
        let made =
            house.ok("CreateUserPoolDomain", json!({ "UserPoolId": pool, "Domain": prefix })).await;
        assert_eq!(made, json!({ "ManagedLoginVersion": 1 }));
        let read = describe(&house, &prefix).await;
        assert_eq!(
            (&read["Status"], &read["UserPoolId"], &read["Domain"]),
            (&json!("ACTIVE"), &json!(pool), &json!(prefix))
        );
        assert_eq!(
            (&read["AWSAccountId"], &read["ManagedLoginVersion"]),
            (&json!("123456789012"), &json!(1))
        );

        let host = format!("{}.example.com", fresh("auth", &pool));
        let certificate = |n: u8| json!({ "CertificateArn": format!("arn:aws:acm:us-east-1:123456789012:certificate/{n}") });
        let input = json!({ "UserPoolId": pool, "Domain": host, "ManagedLoginVersion": 2, "CustomDomainConfig": certificate(1) });
        let made = house.ok("CreateUserPoolDomain", input).await;
        assert_eq!(made, json!({ "ManagedLoginVersion": 2, "CloudFrontDomain": "localhost" }));
        let shown =
            house.ok("DescribeUserPool", json!({ "UserPoolId": pool })).await["UserPool"].clone();
        assert_eq!((&shown["Domain"], &shown["CustomDomain"]), (&json!(prefix), &json!(host)));

        house
            .ok(
                "UpdateUserPoolDomain",
                json!({ "UserPoolId": pool, "Domain": host, "CustomDomainConfig": certificate(2) }),
            )
            .await;
        let read = describe(&house, &host).await;
        assert_eq!(
            (&read["CustomDomainConfig"], &read["ManagedLoginVersion"]),
            (&certificate(2), &json!(2))
        );

        let refused = house.refused("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        assert_eq!(
            refused,
            invalid(
                "User pool cannot be deleted. It has a domain configured that should be deleted first."
            )
        );
        for domain in [&prefix, &host] {
            house.ok("DeleteUserPoolDomain", json!({ "UserPoolId": pool, "Domain": domain })).await;
            assert_eq!(describe(&house, domain).await, json!({}));
        }
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
    }
}

#[tokio::test]
async fn bad_domains_are_refused_in_cognitos_words() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        let mine = fresh("mine", &pool);
        house.ok("CreateUserPoolDomain", json!({ "UserPoolId": pool, "Domain": mine })).await;
        let refusals = [
            (json!({ "Domain": mine }), "Domain already associated with another user pool."),
            (json!({ "Domain": "my-cognito" }), "Domain cannot contain reserved word: cognito"),
            (json!({ "Domain": "awsome" }), "Domain cannot contain reserved word: aws"),
            (json!({ "Domain": "an-amazon" }), "Domain cannot contain reserved word: amazon"),
            (
                json!({ "Domain": "a.example.com" }),
                r"1 validation error detected: Value 'a.example.com' at 'domain' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?$",
            ),
            (
                json!({ "Domain": "plain", "CustomDomainConfig": { "CertificateArn": "arn:aws:acm:us-east-1:123456789012:certificate/1" } }),
                "Custom domain is not a valid subdomain: it must be a fully qualified host name in lower case.",
            ),
            (
                json!({ "Domain": "v", "ManagedLoginVersion": 3 }),
                "ManagedLoginVersion must be 1 (the classic pages) or 2 (managed login).",
            ),
        ];
        for (more, message) in refusals {
            let mut input = json!({ "UserPoolId": other });
            merge(&mut input, more);
            assert_eq!(house.refused("CreateUserPoolDomain", input).await, invalid(message));
        }
        let refused = house
            .refused(
                "CreateUserPoolDomain",
                json!({ "UserPoolId": pool, "Domain": fresh("second", &pool) }),
            )
            .await;
        assert_eq!(refused, invalid("User pool already has a domain configured."));
        for operation in ["UpdateUserPoolDomain", "DeleteUserPoolDomain"] {
            let refused =
                house.refused(operation, json!({ "UserPoolId": other, "Domain": mine })).await;
            assert_eq!(
                refused,
                invalid("No such domain or user pool exists."),
                "another pool's domain"
            );
        }
        assert_eq!(describe(&house, &mine).await["UserPoolId"], json!(pool));
    }
}

#[tokio::test]
async fn of_two_pools_that_want_a_domain_at_once_one_gets_it() {
    for house in houses().await {
        let pools = [house.pool(json!({})).await, house.pool(json!({})).await];
        let name = fresh("wanted", &pools[0]);
        let calls = pools.iter().map(|pool| {
            house.call("CreateUserPoolDomain", json!({ "UserPoolId": pool, "Domain": name }))
        });
        let answers = together(calls).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let loser = answers.iter().find(|answer| answer.status != 200).unwrap().json();
        assert_eq!(loser["message"], "Domain already associated with another user pool.");
    }
}

#[tokio::test]
async fn of_two_domains_that_one_pool_wants_at_once_it_gets_one() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let calls = ["one", "two"].map(|name| {
            house.call(
                "CreateUserPoolDomain",
                json!({ "UserPoolId": pool, "Domain": fresh(name, &pool) }),
            )
        });
        let answers = together(calls).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let loser = answers.iter().find(|answer| answer.status != 200).unwrap().json();
        assert_eq!(loser["message"], "User pool already has a domain configured.");
    }
}

#[tokio::test]
async fn tags_are_added_listed_and_taken_away_by_arn() {
    for house in houses().await {
        let pool = house.pool(json!({ "UserPoolTags": { "a": "1" } })).await;
        let arn = format!("arn:aws:cognito-idp:us-east-1:123456789012:userpool/{pool}");
        house.ok("TagResource", json!({ "ResourceArn": arn, "Tags": { "a": "2", "b": "" } })).await;
        let tags = house.ok("ListTagsForResource", json!({ "ResourceArn": arn })).await;
        assert_eq!(tags, json!({ "Tags": { "a": "2", "b": "" } }));
        house.ok("UntagResource", json!({ "ResourceArn": arn, "TagKeys": ["a", "never"] })).await;
        let read = house.ok("DescribeUserPool", json!({ "UserPoolId": pool })).await;
        assert_eq!(read["UserPool"]["UserPoolTags"], json!({ "b": "" }));

        let many: Value = (0..50)
            .map(|n| (format!("k{n}"), json!("v")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let refused =
            house.refused("TagResource", json!({ "ResourceArn": arn, "Tags": many })).await;
        assert_eq!(refused, invalid("A user pool can have at most 50 tags."));
        let wrong = "arn:aws:cognito-identity:us-east-1:123456789012:identitypool/x";
        assert_eq!(
            house.refused("ListTagsForResource", json!({ "ResourceArn": wrong })).await.0,
            "InvalidParameterException"
        );
        for wrong in [
            "us-east-1:123456789012:userpool/us-east-1_nowhere12",
            &format!("eu-west-1:123456789012:userpool/{pool}"),
            &format!("us-east-1:210987654321:userpool/{pool}"),
        ] {
            let refused = house
                .refused(
                    "ListTagsForResource",
                    json!({ "ResourceArn": format!("arn:aws:cognito-idp:{wrong}") }),
                )
                .await;
            assert_eq!(refused.0, "ResourceNotFoundException", "{wrong}");
        }
    }
}

#[tokio::test]
async fn mfa_configuration_is_kept_and_shown_by_both_descriptions() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let get = || house.ok("GetUserPoolMfaConfig", json!({ "UserPoolId": pool }));
        assert_eq!(get().await, json!({ "MfaConfiguration": "OFF" }));

        let config = json!({
            "SmsMfaConfiguration": { "SmsAuthenticationMessage": "Code {####}", "SmsConfiguration": { "SnsCallerArn": "arn:aws:iam::123456789012:role/sms" } },
            "SoftwareTokenMfaConfiguration": { "Enabled": true },
            "EmailMfaConfiguration": { "Message": "Code {####}", "Subject": "Code" },
            "MfaConfiguration": "ON",
            "WebAuthnConfiguration": { "RelyingPartyId": "example.com", "UserVerification": "required" },
        });
        let mut input = config.clone();
        input["UserPoolId"] = json!(pool);
        assert_eq!(house.ok("SetUserPoolMfaConfig", input).await, config);
        assert_eq!(get().await, config);
        let shown =
            house.ok("DescribeUserPool", json!({ "UserPoolId": pool })).await["UserPool"].clone();
        assert_eq!(shown["MfaConfiguration"], "ON");
        assert_eq!(shown["SmsConfiguration"], config["SmsMfaConfiguration"]["SmsConfiguration"]);
        assert_eq!(shown["SmsAuthenticationMessage"], "Code {####}");

        house.ok("UpdateUserPool", json!({ "UserPoolId": pool })).await;
        let mut reset = config.clone();
        reset["MfaConfiguration"] = json!("OFF");
        assert_eq!(get().await, reset, "UpdateUserPool resets the mode and keeps the factors");

        house
            .ok("SetUserPoolMfaConfig", json!({ "UserPoolId": pool, "MfaConfiguration": "OFF" }))
            .await;
        assert_eq!(
            get().await,
            json!({ "MfaConfiguration": "OFF", "WebAuthnConfiguration": config["WebAuthnConfiguration"] })
        );
    }
}

#[tokio::test]
async fn contradictory_mfa_configuration_is_refused_in_cognitos_words() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let none = "Invalid MFA Configuration given. SMS MFA, Email MFA, or Software Token MFA must be enabled.";
        let both =
            "Invalid MFA configuration given, can't turn off MFA and configure an MFA together.";
        for (input, message) in [
            (json!({ "MfaConfiguration": "ON" }), none),
            (
                json!({ "MfaConfiguration": "OPTIONAL", "SoftwareTokenMfaConfiguration": { "Enabled": false } }),
                none,
            ),
            (
                json!({ "MfaConfiguration": "OPTIONAL", "WebAuthnConfiguration": { "UserVerification": "preferred" } }),
                none,
            ),
            (
                json!({ "MfaConfiguration": "OFF", "SoftwareTokenMfaConfiguration": { "Enabled": true } }),
                both,
            ),
            (json!({ "EmailMfaConfiguration": { "Subject": "Code" } }), both),
        ] {
            let mut input = input;
            input["UserPoolId"] = json!(pool);
            assert_eq!(house.refused("SetUserPoolMfaConfig", input).await, invalid(message));
        }
        let read = house.ok("GetUserPoolMfaConfig", json!({ "UserPoolId": pool })).await;
        assert_eq!(read, json!({ "MfaConfiguration": "OFF" }));
    }
}
