//! App clients and their secrets: what is given is given back, what is refused says why, and a deleted one is dead.

use cenote::store::{jobs, records};
use serde_json::{Value, json};

use crate::house::{House, NOW, houses, merge, together};

/// Every member of CreateUserPoolClient that a client with a secret can have.
fn everything(pool: &str) -> Value {
    json!({
        "UserPoolId": pool,
        "ClientName": "everything",
        "GenerateSecret": true,
        "RefreshTokenValidity": 20,
        "AccessTokenValidity": 30,
        "IdTokenValidity": 3600,
        "TokenValidityUnits": { "AccessToken": "minutes", "IdToken": "seconds", "RefreshToken": "hours" },
        "ReadAttributes": ["email", "email_verified", "custom:shoe"],
        "WriteAttributes": ["email", "custom:shoe"],
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH"],
        "SupportedIdentityProviders": ["COGNITO"],
        "CallbackURLs": ["https://app.example.com/cb", "http://localhost:3000/cb", "myapp://cb"],
        "LogoutURLs": ["https://app.example.com/out"],
        "DefaultRedirectURI": "https://app.example.com/cb",
        "AllowedOAuthFlows": ["code", "implicit"],
        "AllowedOAuthScopes": ["openid", "email", "aws.cognito.signin.user.admin"],
        "AllowedOAuthFlowsUserPoolClient": true,
        "AnalyticsConfiguration": { "ApplicationArn": "arn:aws:mobiletargeting:us-east-1:123456789012:apps/1", "UserDataShared": true },
        "PreventUserExistenceErrors": "ENABLED",
        "EnableTokenRevocation": false,
        "EnablePropagateAdditionalUserContextData": true,
        "AuthSessionValidity": 7,
        "RefreshTokenRotation": { "Feature": "ENABLED", "RetryGracePeriodSeconds": 30 },
    })
}

/// What a client has that was only named.
fn defaults() -> Value {
    json!({
        "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH"],
        "RefreshTokenValidity": 30,
        "TokenValidityUnits": {},
        "AuthSessionValidity": 3,
        "EnableTokenRevocation": true,
        "EnablePropagateAdditionalUserContextData": false,
        "AllowedOAuthFlowsUserPoolClient": false,
    })
}

async fn pool(house: &House) -> String {
    house.pool(json!({ "Schema": [{ "Name": "shoe", "AttributeDataType": "String" }] })).await
}

async fn create(house: &House, pool: &str, more: Value) -> Value {
    let mut input = json!({ "UserPoolId": pool, "ClientName": "plain" });
    merge(&mut input, more);
    house.ok("CreateUserPoolClient", input).await["UserPoolClient"].clone()
}

fn names(client: &Value) -> Value {
    json!({ "UserPoolId": client["UserPoolId"], "ClientId": client["ClientId"] })
}

async fn describe(house: &House, client: &Value) -> Value {
    house.ok("DescribeUserPoolClient", names(client)).await["UserPoolClient"].clone()
}

/// The members of `client` that are not its identity.
fn settings(client: &Value) -> Value {
    let mut settings = client.clone();
    merge(
        &mut settings,
        json!({ "UserPoolId": null, "ClientId": null, "ClientName": null, "CreationDate": null, "LastModifiedDate": null, "ClientSecret": null }),
    );
    settings
}

#[tokio::test]
async fn create_user_pool_client_gives_back_every_member_that_it_was_given() {
    for house in houses().await {
        let pool = pool(&house).await;
        let made = create(&house, &pool, everything(&pool)).await;
        assert_eq!(made, describe(&house, &made).await);
        let mut given = everything(&pool);
        merge(
            &mut given,
            json!({ "GenerateSecret": null, "ClientName": null, "UserPoolId": null }),
        );
        assert_eq!(settings(&made), given);
        assert_eq!(made["ClientName"], "everything");
        assert_eq!(made["ClientSecret"].as_str().unwrap().len(), 52);
    }
}

#[tokio::test]
async fn a_client_that_is_only_named_has_cognitos_defaults_and_nothing_else() {
    for house in houses().await {
        let pool = pool(&house).await;
        let made = create(&house, &pool, json!({})).await;
        assert_eq!(settings(&made), defaults());
        assert_eq!(made["ClientSecret"], Value::Null);

        let rotating =
            create(&house, &pool, json!({ "RefreshTokenRotation": { "Feature": "ENABLED" } }))
                .await;
        assert_eq!(
            rotating["ExplicitAuthFlows"],
            json!(["ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH"])
        );
        assert_eq!(rotating["RefreshTokenRotation"], json!({ "Feature": "ENABLED" }));
        let minutes = create(&house, &pool, json!({ "RefreshTokenValidity": 0, "TokenValidityUnits": { "RefreshToken": "minutes" } })).await;
        assert_eq!(minutes["RefreshTokenValidity"], 43_200);
    }
}

#[tokio::test]
async fn update_user_pool_client_resets_what_it_does_not_name_and_keeps_name_and_secret() {
    for house in houses().await {
        let pool = pool(&house).await;
        let made = create(&house, &pool, everything(&pool)).await;
        house.advance(250);
        let changed =
            house.ok("UpdateUserPoolClient", names(&made)).await["UserPoolClient"].clone();
        assert_eq!(changed, describe(&house, &made).await);
        assert_eq!(settings(&changed), defaults());
        for kept in ["ClientName", "ClientSecret", "ClientId", "CreationDate"] {
            assert_eq!(changed[kept], made[kept], "{kept}");
        }
        assert_eq!(changed["LastModifiedDate"], 1_790_000_000.25);

        let mut back = made.clone();
        merge(&mut back, json!({ "ClientName": "renamed" }));
        let again = house.ok("UpdateUserPoolClient", back).await["UserPoolClient"].clone();
        assert_eq!(settings(&again), settings(&made));
        assert_eq!(again["ClientName"], "renamed");
    }
}

#[tokio::test]
async fn bad_clients_are_refused_in_cognitos_words() {
    for house in houses().await {
        let pool = house.pool(json!({ "Schema": [{ "Name": "email", "Required": true }] })).await;
        let code = json!({ "AllowedOAuthFlowsUserPoolClient": true, "AllowedOAuthFlows": ["code"], "AllowedOAuthScopes": ["openid"],
            "CallbackURLs": ["https://a.example.com/"] });
        let with = |more: Value| {
            let mut input = code.clone();
            merge(&mut input, more);
            input
        };
        let invalid = "InvalidParameterException";
        let refusals = [
            (json!({ "GenerateSecret": true, "ClientSecret": "abcdefghijklmnopqrstuvwx" }), invalid, "Only one of GenerateSecret and ClientSecret can be set.".to_owned()),
            (with(json!({ "CallbackURLs": null })), "InvalidOAuthFlowException", "CallbackUrls can not be empty when code flow or implicit flow is selected.".into()),
            (with(json!({ "AllowedOAuthFlows": ["client_credentials"] })), "InvalidOAuthFlowException", "client_credentials flow can not be selected if client does not have a client secret.".into()),
            (with(json!({ "AllowedOAuthFlows": ["client_credentials", "code"], "GenerateSecret": true })), "InvalidOAuthFlowException", "client_credentials flow can not be selected along with code flow or implicit flow.".into()),
            (with(json!({ "AllowedOAuthScopes": null })), invalid, "AllowedOAuthFlows and AllowedOAuthScopes are required if user pool client is allowed to use OAuth flows.".into()),
            (with(json!({ "AllowedOAuthScopes": ["openid", "api/read"] })), "ScopeDoesNotExistException", "Invalid scope requested: api/read".into()),
            (with(json!({ "DefaultRedirectURI": "https://a.example.com" })), invalid, "DefaultRedirectURI must be in CallbackURLs.".into()),
            (with(json!({ "LogoutURLs": ["http://a.example.com/"] })), invalid, "http://a.example.com/ cannot use the HTTP protocol.".into()),
            (json!({ "SupportedIdentityProviders": ["COGNITO", "Google"] }), invalid, format!("The provider Google does not exist for User Pool {pool}.")),
            (json!({ "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH", "USER_PASSWORD_AUTH"] }), invalid, "ExplicitAuthFlows are invalid: values that start with ALLOW_ cannot be used together with ADMIN_NO_SRP_AUTH, CUSTOM_AUTH_FLOW_ONLY or USER_PASSWORD_AUTH.".into()),
            (json!({ "ExplicitAuthFlows": ["ALLOW_REFRESH_TOKEN_AUTH"], "RefreshTokenRotation": { "Feature": "ENABLED" } }), invalid, "Refresh token rotation cannot be enabled together with ALLOW_REFRESH_TOKEN_AUTH in ExplicitAuthFlows.".into()),
            (json!({ "ReadAttributes": ["custom:none"] }), invalid, "Invalid read attributes specified while creating a client".into()),
            (json!({ "WriteAttributes": ["email", "email_verified"] }), invalid, "Invalid write attributes specified while creating a client".into()),
            (json!({ "WriteAttributes": ["name"] }), invalid, "Invalid write attributes specified while creating a client".into()),
            (json!({ "AccessTokenValidity": 4, "TokenValidityUnits": { "AccessToken": "minutes" } }), invalid, "Invalid range for token validity. Access token validity must be between 5 minutes and 24 hours.".into()),
            (json!({ "RefreshTokenValidity": 59, "TokenValidityUnits": { "RefreshToken": "minutes" } }), invalid, "Invalid range for token validity. Refresh token validity must be between 60 minutes and 3650 days.".into()),
            (json!({ "RefreshTokenValidity": 3651 }), invalid, "Invalid range for token validity. Refresh token validity must be between 60 minutes and 3650 days.".into()),
            (json!({ "AuthSessionValidity": 2 }), invalid, "1 validation error detected: Value '2' at 'authSessionValidity' failed to satisfy constraint: Member must have value greater than or equal to 3".into()),
            (json!({ "EnablePropagateAdditionalUserContextData": true }), invalid, "EnablePropagateAdditionalUserContextData can only be activated in an app client that has a client secret.".into()),
        ];
        for (more, kind, message) in refusals {
            let mut input = json!({ "UserPoolId": pool, "ClientName": "bad" });
            merge(&mut input, more);
            assert_eq!(
                house.refused("CreateUserPoolClient", input.clone()).await,
                (kind.into(), message),
                "{input}"
            );
        }
        for scheme in [
            "javascript:alert(1)",
            "data:text/html,x",
            "vbscript:x",
            "file:///etc/passwd",
            "blob:https://a.example.com/1",
        ] {
            for list in ["CallbackURLs", "LogoutURLs"] {
                let (kind, message) = house
                    .refused(
                        "CreateUserPoolClient",
                        json!({ "UserPoolId": pool, "ClientName": "bad", list: [scheme] }),
                    )
                    .await;
                assert_eq!(
                    (kind.as_str(), message),
                    (invalid, format!("{scheme} uses a scheme that is not allowed."))
                );
            }
        }
        let client = create(&house, &pool, json!({})).await;
        let mut input = names(&client);
        merge(&mut input, json!({ "WriteAttributes": ["name"] }));
        let refused = house.refused("UpdateUserPoolClient", input).await;
        assert_eq!(refused.1, "Invalid write attributes specified while updating a client");
        let other = house.pool(json!({})).await;
        let refused = house
            .refused(
                "DescribeUserPoolClient",
                json!({ "UserPoolId": other, "ClientId": client["ClientId"] }),
            )
            .await;
        assert_eq!(refused.0, "ResourceNotFoundException", "another pool's client");
    }
}

#[tokio::test]
async fn a_list_of_clients_is_paged_to_its_end_and_a_forged_token_is_refused() {
    for house in houses().await {
        let pool = pool(&house).await;
        let mut made = Vec::new();
        for _ in 0..5 {
            made.push(
                create(&house, &pool, json!({ "GenerateSecret": true })).await["ClientId"].clone(),
            );
        }
        let mut seen = Vec::new();
        let mut input = json!({ "UserPoolId": pool, "MaxResults": 2 });
        let mut tokens = Vec::new();
        loop {
            let page = house.ok("ListUserPoolClients", input.clone()).await;
            assert!(!page.to_string().contains("Secret"), "{page}");
            seen.extend(
                page["UserPoolClients"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|client| client["ClientId"].clone()),
            );
            let Some(token) = page.get("NextToken") else { break };
            tokens.push(token.clone());
            input["NextToken"] = token.clone();
        }
        made.sort_by_key(|id| id.to_string());
        assert_eq!(seen, made);
        assert_eq!(tokens.len(), 2);

        let other = house.pool(json!({})).await;
        let forged = format!("{}A", tokens[0].as_str().unwrap());
        for (pool, token) in
            [(&pool, "x"), (&pool, forged.as_str()), (&other, tokens[0].as_str().unwrap())]
        {
            let refused = house
                .refused("ListUserPoolClients", json!({ "UserPoolId": pool, "NextToken": token }))
                .await;
            assert_eq!(refused.0, "InvalidParameterException");
            assert!(refused.1.starts_with("Invalid pagination token: "), "{}", refused.1);
        }
        let refused = house
            .refused("ListUserPools", json!({ "MaxResults": 1, "NextToken": tokens[0] }))
            .await;
        assert!(refused.1.starts_with("Invalid pagination token: "), "another list's token");
    }
}

#[tokio::test]
async fn a_secret_is_shown_once_and_a_client_has_one_or_two_of_them() {
    for house in houses().await {
        let pool = pool(&house).await;
        let client = create(
            &house,
            &pool,
            json!({ "ClientSecret": "first-is-refused".replace('-', "_") + "_123456789" }),
        )
        .await;
        let first = client["ClientSecret"].as_str().unwrap();
        assert_eq!(first, "first_is_refused_123456789");
        let added =
            house.ok("AddUserPoolClientSecret", names(&client)).await["ClientSecretDescriptor"]
                .clone();
        let second = added["ClientSecretValue"].as_str().unwrap();
        let id = |ms: i64| format!("{}--{ms}", client["ClientId"].as_str().unwrap());
        assert_eq!(
            added["ClientSecretId"],
            id(NOW + 1),
            "in the same millisecond the next one is taken"
        );
        assert_eq!(describe(&house, &client).await["ClientSecret"], first);

        let listed = house.ok("ListUserPoolClientSecrets", names(&client)).await;
        assert_eq!(
            listed["ClientSecrets"],
            json!([
                { "ClientSecretId": id(NOW), "ClientSecretCreateDate": 1_790_000_000.0 },
                { "ClientSecretId": id(NOW + 1), "ClientSecretCreateDate": 1_790_000_000.001 },
            ])
        );
        let refused = house.refused("AddUserPoolClientSecret", names(&client)).await;
        assert_eq!(refused.0, "LimitExceededException");

        let delete = |ms: i64| {
            let mut input = names(&client);
            input["ClientSecretId"] = json!(id(ms));
            input
        };
        assert_eq!(
            house.refused("DeleteUserPoolClientSecret", delete(NOW + 7)).await.0,
            "ResourceNotFoundException"
        );
        house.ok("DeleteUserPoolClientSecret", delete(NOW)).await;
        assert_eq!(
            house.refused("DeleteUserPoolClientSecret", delete(NOW + 1)).await.0,
            "InvalidParameterException"
        );
        assert_eq!(describe(&house, &client).await["ClientSecret"], second);

        let mut own = names(&client);
        own["ClientSecret"] = json!("my_own_secret_of_24_chars_");
        let added =
            house.ok("AddUserPoolClientSecret", own).await["ClientSecretDescriptor"].clone();
        assert_eq!(added["ClientSecretValue"], Value::Null);

        let public = create(&house, &pool, json!({})).await;
        assert_eq!(
            house.refused("AddUserPoolClientSecret", names(&public)).await.0,
            "InvalidParameterException"
        );

        // None of it is told to the audit trail, and the rows hold it only sealed.
        let trail = jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await.unwrap();
        let mine: Vec<_> = trail.iter().filter(|entry| entry.pool_id == pool).collect();
        assert!(mine.iter().any(|entry| entry.action == "AddUserPoolClientSecret"));
        let row = house
            .app
            .db
            .one(
                "SELECT doc FROM clients WHERE client_id = ?1",
                &[client["ClientId"].as_str().unwrap().into()],
            )
            .await;
        let doc = row.unwrap().unwrap().string(0).unwrap();
        for secret in [first, second, "my_own_secret_of_24_chars_"] {
            assert!(!format!("{mine:?}{doc}").contains(secret));
        }
    }
}

#[tokio::test]
async fn of_many_secrets_added_at_once_one_is_kept() {
    for house in houses().await {
        let pool = pool(&house).await;
        let client = create(&house, &pool, json!({ "GenerateSecret": true })).await;
        let answers =
            together((0..8).map(|_| house.call("AddUserPoolClientSecret", names(&client)))).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let listed = house.ok("ListUserPoolClientSecrets", names(&client)).await;
        assert_eq!(listed["ClientSecrets"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_deleted_clients_tokens_are_dead_and_a_record_says_so() {
    for house in houses().await {
        let pool = pool(&house).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let tokens = house.signs_in(&client, "ann").await;
        let answer = house
            .call("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client }))
            .await;
        assert_eq!(answer.status, 200);
        let refused =
            house.refused("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        assert_eq!(refused.0, "NotAuthorizedException");

        let records = records::all(&house.app.db, &pool).await.unwrap();
        let record = records.iter().find(|record| record.kind == "C").unwrap();
        assert_eq!(record.subject, client);
        assert_eq!(record.not_before_ms, NOW + 60_000);
        assert_eq!(record.signout_id, answer.header("x-cenote-signout"));
        assert_eq!(
            house
                .refused("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": client }))
                .await
                .0,
            "ResourceNotFoundException"
        );
    }
}
