//! Seed files: chosen ids, the API's rules, nothing changed twice, and mistakes that are told where they are.

use cenote::cx::Cx;
use cenote::error::Result;
use cenote::seed;
use serde_json::{Value, json};

use crate::house::{House, PASSWORD, houses};

const SUB: &str = "8f0c2f4e-52a4-4e62-9a55-0b2f7c1d0a01";

async fn sow(house: &House, file: &Value) -> Result<[usize; 3]> {
    seed::apply(&Cx::system(house.app.clone()), &seed::parse(&file.to_string())?).await
}

/// Ids of this test's own: the suites share a database.
fn file(name: &str) -> Value {
    json!({ "pools": [{
        "Id": format!("eu-west-1_{name}"),
        "PoolName": "seeded",
        "Domain": format!("seeded-{}", name.to_lowercase()),
        "Issuer": format!("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_{name}"),
        "Policies": { "PasswordPolicy": { "MinimumLength": 10 } },
        "Extensions": { "LogoutEndsTokenSessions": true },
        "Clients": [{
            "ClientId": format!("client{name}"),
            "ClientSecret": "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghij",
            "ClientName": "app",
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
            "Extensions": { "BackchannelLogoutUri": "https://app.example.com/logout" },
        }, { "ClientId": format!("public{name}"), "ClientName": "web", "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] }],
        "Users": [
            { "Username": "ann", "Sub": SUB, "Password": PASSWORD, "UserAttributes": { "email": "ann@example.com", "email_verified": "true" }, "Groups": [] },
            { "Username": "bob", "UserAttributes": [{ "Name": "email", "Value": "bob@example.com" }] },
        ],
    }] })
}

#[tokio::test]
async fn a_seed_makes_pools_clients_and_users_with_the_ids_that_it_names() {
    for house in houses().await {
        let (pool, public) = ("eu-west-1_SeedA", "publicSeedA");
        assert_eq!(sow(&house, &file("SeedA")).await.unwrap(), [1, 2, 2]);

        let model =
            house.ok("DescribeUserPool", json!({ "UserPoolId": pool })).await["UserPool"].clone();
        assert_eq!((&model["Name"], &model["Domain"]), (&json!("seeded"), &json!("seeded-seeda")));
        assert_eq!(model["Policies"]["PasswordPolicy"]["MinimumLength"], 10);
        let client = house
            .ok("DescribeUserPoolClient", json!({ "UserPoolId": pool, "ClientId": "clientSeedA" }))
            .await;
        assert_eq!(
            client["UserPoolClient"]["ClientSecret"],
            "0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghij"
        );
        let (row, client) =
            house.app.directory.client(&house.app.db, "clientSeedA").await.unwrap().unwrap();
        assert!(
            row.doc.extensions.logout_ends_token_sessions
                && row.doc.extensions.password_reset_ends_sessions
        );
        assert_eq!(
            client.doc.extensions.backchannel_logout_uri.as_deref(),
            Some("https://app.example.com/logout")
        );

        let ann = house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(ann["UserStatus"], "CONFIRMED");
        assert_eq!(ann["UserAttributes"][0], json!({ "Name": "sub", "Value": SUB }));
        let bob = house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "bob" })).await;
        assert_eq!(bob["UserStatus"], "FORCE_CHANGE_PASSWORD");

        let signed_in = house.signs_in(public, "ann").await;
        let claims =
            signed_in["AccessToken"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        use base64::Engine as _;
        let claims: Value = serde_json::from_slice(
            &base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(claims).unwrap(),
        )
        .unwrap();
        assert_eq!(claims["iss"], "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_SeedA");
        assert_eq!(claims["sub"], SUB);
    }
}

#[tokio::test]
async fn a_seed_makes_groups_and_puts_its_users_into_them() {
    for house in houses().await {
        let pool = "eu-west-1_SeedG";
        let mut file = file("SeedG");
        file["pools"][0]["Groups"] =
            json!([{ "GroupName": "admins", "Description": "May do all", "Precedence": 1 }]);
        file["pools"][0]["Users"][0]["Groups"] = json!(["admins", "readers", "admins"]);
        assert_eq!(sow(&house, &file).await.unwrap(), [1, 2, 2]);
        let of = async |name: &str| {
            let input = json!({ "UserPoolId": pool, "Username": name });
            house.ok("AdminListGroupsForUser", input).await["Groups"].clone()
        };
        let groups = of("ann").await;
        let told = |n: usize, member: &str| groups[n][member].clone();
        assert_eq!(groups.as_array().unwrap().len(), 2);
        assert_eq!((told(0, "GroupName"), told(0, "Precedence")), (json!("admins"), json!(1)));
        assert_eq!((told(1, "GroupName"), told(1, "Precedence")), (json!("readers"), Value::Null));
        assert_eq!(of("bob").await, json!([]));

        // Again: what was changed since stays changed, and what is new is made.
        let input = json!({ "UserPoolId": pool, "GroupName": "admins", "Precedence": 7 });
        house.ok("UpdateGroup", input).await;
        let input = json!({ "UserPoolId": pool, "Username": "ann", "GroupName": "readers" });
        house.ok("AdminRemoveUserFromGroup", input).await;
        let listed = file["pools"][0]["Groups"].as_array_mut().unwrap();
        listed.push(json!({ "GroupName": "writers" }));
        assert_eq!(sow(&house, &file).await.unwrap(), [0, 0, 0]);
        assert_eq!(of("ann").await.as_array().unwrap().len(), 1);
        assert_eq!(of("ann").await[0]["Precedence"], 7);
        house.ok("GetGroup", json!({ "UserPoolId": pool, "GroupName": "writers" })).await;

        let many: Vec<String> = (0..101).map(|n| format!("g{n}")).collect();
        file["pools"][0]["Users"][1] = json!({ "Username": "cleo", "Groups": many });
        let error = sow(&house, &file).await.unwrap_err();
        let at = "pools[0] (eu-west-1_SeedG).Users[1] (cleo)";
        assert_eq!(error.message, format!("{at}: A user can belong to at most 100 groups."));
        let cleo = json!({ "UserPoolId": pool, "Username": "cleo" });
        assert_eq!(house.refused("AdminGetUser", cleo).await.0, "UserNotFoundException");
    }
}

#[tokio::test]
async fn a_seed_makes_identity_providers_before_the_clients_that_name_them() {
    for house in houses().await {
        let pool = "eu-west-1_SeedI";
        let mut file = file("SeedI");
        let details = crate::provider_details::enough("OIDC");
        file["pools"][0]["IdentityProviders"] = json!([
            { "ProviderName": "Upstream", "ProviderType": "OIDC", "ProviderDetails": details,
                "AttributeMapping": { "email": "mail" }, "IdpIdentifiers": ["example.com"] },
            { "ProviderName": "Google", "ProviderType": "Google", "ProviderDetails": crate::provider_details::enough("Google") },
        ]);
        file["pools"][0]["Clients"][0]["SupportedIdentityProviders"] =
            json!(["COGNITO", "Upstream"]);
        assert_eq!(sow(&house, &file).await.unwrap(), [1, 2, 2]);
        let named = json!({ "UserPoolId": pool, "ProviderName": "Upstream" });
        let read =
            house.ok("DescribeIdentityProvider", named.clone()).await["IdentityProvider"].clone();
        assert_eq!(read["AttributeMapping"], json!({ "email": "mail", "username": "sub" }));
        assert_eq!(read["IdpIdentifiers"], json!(["example.com"]));
        assert_eq!(read["ProviderDetails"]["client_secret"], "between us");

        // Again: what was changed since stays changed, and what is new is made.
        let mut input = named.clone();
        input["IdpIdentifiers"] = json!([]);
        house.ok("UpdateIdentityProvider", input).await;
        let more = json!({ "ProviderName": "Facebook", "ProviderType": "Facebook", "ProviderDetails": crate::provider_details::enough("Facebook") });
        file["pools"][0]["IdentityProviders"].as_array_mut().unwrap().push(more);
        assert_eq!(sow(&house, &file).await.unwrap(), [0, 0, 0]);
        let read = house.ok("DescribeIdentityProvider", named).await["IdentityProvider"].clone();
        assert_eq!(read["IdpIdentifiers"], json!([]));
        house
            .ok(
                "DescribeIdentityProvider",
                json!({ "UserPoolId": pool, "ProviderName": "Facebook" }),
            )
            .await;

        let at = format!("pools[0] ({pool}).IdentityProviders[0] (Upstream)");
        for (member, value, message) in [
            ("Colour", json!("red"), format!("{at} has an unknown member \"Colour\".")),
            ("UserPoolId", json!(pool), format!("{at} has a UserPoolId")),
            (
                "ProviderDetails",
                json!({ "colour": "red" }),
                format!("{at}: colour is not a valid key for OIDC identity provider details."),
            ),
            (
                "ProviderDetails",
                json!({}),
                format!("{at}: client_id, authorize_scopes and oidc_issuer are all required"),
            ),
        ] {
            let mut wrong = file.clone();
            wrong["pools"][0]["IdentityProviders"][0][member] = value;
            let error = seed::parse(&wrong.to_string()).err().unwrap();
            assert!(error.message.starts_with(&message), "{}", error.message);
        }
        let mut taken = file.clone();
        taken["pools"][0]["IdentityProviders"][0]["ProviderName"] = json!("UPSTREAM");
        let error = sow(&house, &taken).await.unwrap_err();
        let at = format!("pools[0] ({pool}).IdentityProviders[0] (UPSTREAM)");
        assert_eq!(error.message, format!("{at}: Upstream already exists in user pool {pool}."));
    }
}

#[tokio::test]
async fn seeding_again_changes_nothing() {
    for house in houses().await {
        let mut file = file("SeedB");
        sow(&house, &file).await.unwrap();
        let pool = json!({ "UserPoolId": "eu-west-1_SeedB" });
        house
            .ok(
                "UpdateUserPool",
                json!({ "UserPoolId": "eu-west-1_SeedB", "MfaConfiguration": "OFF" }),
            )
            .await;
        let before = house.ok("DescribeUserPool", pool.clone()).await;
        let other = "Another-horse-10";
        house.ok("AdminSetUserPassword", json!({ "UserPoolId": "eu-west-1_SeedB", "Username": "ann", "Password": other, "Permanent": true })).await;

        file["pools"][0]["PoolName"] = json!("renamed");
        file["pools"][0]["Clients"][1]["ClientName"] = json!("renamed");
        assert_eq!(sow(&house, &file).await.unwrap(), [0, 0, 0]);
        assert_eq!(house.ok("DescribeUserPool", pool).await, before);
        let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": "publicSeedB", "AuthParameters": { "USERNAME": "ann", "PASSWORD": other } });
        house.ok("InitiateAuth", input).await;

        // What is new beside it is made.
        file["pools"][0]["Users"][1]["Username"] = json!("cleo");
        assert_eq!(sow(&house, &file).await.unwrap(), [0, 0, 1]);
    }
}

#[tokio::test]
async fn a_mistake_is_told_with_its_place_before_anything_is_made() {
    for house in houses().await {
        let at = "pools[0] (eu-west-1_SeedC)";
        let client = format!("{at}.Clients[0] (clientSeedC)");
        for (pointer, value, message) in [
            ("/pools/0/Colour", json!("red"), format!("{at} has an unknown member \"Colour\".")),
            (
                "/pools/0/Policies/PasswordPolicy/Minimum",
                json!(8),
                format!("{at} has an unknown member \"Policies.PasswordPolicy.Minimum\"."),
            ),
            ("/pools/0/Colour", Value::Null, format!("{at} has an unknown member \"Colour\".")),
            (
                "/pools/0/Policies/PasswordPolicy/Minimum",
                Value::Null,
                format!("{at} has an unknown member \"Policies.PasswordPolicy.Minimum\"."),
            ),
            (
                "/pools/0/Users/0/Email",
                Value::Null,
                format!("{at}.Users[0] (ann) has an unknown member \"Email\"."),
            ),
            (
                "/pools/0/Clients/0/UserPoolId",
                json!("eu-west-1_SeedC"),
                format!("{client} has a UserPoolId"),
            ),
            (
                "/pools/0/Clients/0/Extensions/BackchannelLogoutUri",
                json!("https://app.example.com/logout#a"),
                format!(
                    "{client}.Extensions: BackchannelLogoutUri https://app.example.com/logout#a must not have a fragment"
                ),
            ),
            (
                "/pools/0/Clients/0/Extensions/BackchannelLogoutUri",
                json!("http://10.1.2.3/logout"),
                format!(
                    "{client}.Extensions: BackchannelLogoutUri http://10.1.2.3/logout cannot be used. 10.1.2.3 is not at a public address"
                ),
            ),
            (
                "/pools/0/Clients/0/Extensions/FrontchannelLogoutUri",
                json!("http://app.example.com/logout"),
                format!(
                    "{client}.Extensions: FrontchannelLogoutUri http://app.example.com/logout must use https"
                ),
            ),
            (
                "/pools/0/Clients/0/Extensions/FrontchannelLogoutUri",
                json!("javascript:alert(1)"),
                format!(
                    "{client}.Extensions: FrontchannelLogoutUri javascript:alert(1) must begin with https"
                ),
            ),
            (
                "/pools/0/Clients/0/Callbacks",
                json!([]),
                format!("{client} has an unknown member \"Callbacks\"."),
            ),
            (
                "/pools/0/Users/0/Email",
                json!("a@b.c"),
                format!("{at}.Users[0] (ann) has an unknown member \"Email\"."),
            ),
            (
                "/pools/0/Extensions/Colour",
                json!(true),
                format!("{at}.Extensions: unknown field `Colour`"),
            ),
            (
                "/pools/0/Clients/0/Extensions/Colour",
                json!(true),
                format!("{client}.Extensions: unknown field `Colour`"),
            ),
            ("/users", json!([]), "the file has an unknown member \"users\".".to_owned()),
            (
                "/pools/0/Id",
                json!("pool"),
                "pools[0] has the Id \"pool\", which is not of the form".to_owned(),
            ),
            ("/pools/0/Id", Value::Null, "pools[0] has no member \"Id\".".to_owned()),
            (
                "/pools/0/Issuer",
                json!("https://issuer.example.com/"),
                format!("{at} has the Issuer \"https://issuer.example.com/\""),
            ),
            (
                "/pools/0/MfaConfiguration",
                json!("MAYBE"),
                format!("{at}: 1 validation error detected: Value 'MAYBE' at 'mfaConfiguration'"),
            ),
            (
                "/pools/0/Clients/0/ClientName",
                Value::Null,
                format!("{client}: 1 validation error detected: Value"),
            ),
            (
                "/pools/0/Clients/1/ClientId",
                json!("a b"),
                format!("{at}.Clients[1] has the ClientId \"a b\""),
            ),
            ("/pools/0/Users/0/Sub", json!("1"), format!("{at}.Users[0] (ann) has the Sub \"1\"")),
            (
                "/pools/0/Users/0/Groups",
                json!([{ "GroupName": "admins" }]),
                format!("{at}.Users[0] (ann) has Groups that are not a list of names."),
            ),
            (
                "/pools/0/Users/0/Groups",
                json!(["two words"]),
                format!("{at}.Users[0] (ann).Groups: 1 validation error detected: Value"),
            ),
            (
                "/pools/0/Groups",
                json!([{ "GroupName": "admins", "Role": "x" }]),
                format!("{at}.Groups[0] (admins) has an unknown member \"Role\"."),
            ),
            (
                "/pools/0/Groups",
                json!([{ "Description": "nameless" }]),
                format!("{at}.Groups[0]: 1 validation error detected: Value"),
            ),
            (
                "/pools/0/Groups",
                json!([{ "GroupName": "admins", "UserPoolId": "eu-west-1_SeedC" }]),
                format!("{at}.Groups[0] (admins) has a UserPoolId"),
            ),
            (
                "/pools/0/Users/0/UserAttributes",
                json!({ "email": 1 }),
                format!("{at}.Users[0] (ann) has UserAttributes"),
            ),
        ] {
            let mut wrong = file("SeedC");
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            wrong.pointer_mut(parent).unwrap()[name] = value;
            let error = sow(&house, &wrong).await.unwrap_err();
            assert!(error.message.starts_with(&message), "{pointer}: {}", error.message);
            let pool = house.app.directory.pool(&house.app.db, "eu-west-1_SeedC").await.unwrap();
            assert!(pool.is_none(), "{pointer} left a pool behind");
        }
        assert!(
            seed::parse("{ pools: [] }")
                .is_err_and(|error| error.message.contains("line 1 column 3"))
        );
        let twice = file("SeedC").to_string().replace("\"seeded\"", "\"one\",\"PoolName\":\"two\"");
        let error = seed::parse(&twice).err().unwrap();
        assert!(error.message.contains("\"PoolName\" stands twice at line 1"), "{}", error.message);
    }
}

#[tokio::test]
async fn a_value_that_the_rules_refuse_is_told_with_its_place() {
    for house in houses().await {
        for (n, (pointer, value, message)) in [
            ("/pools/0/Users/0/Password", json!("short"), ".Users[0] (ann): "),
            (
                "/pools/0/Users/0/Password",
                json!("alllowercase"),
                ".Users[0] (ann): Password did not conform",
            ),
            ("/pools/0/Users/1/UserAttributes", json!({ "shoe": "42" }), ".Users[1] (bob): "),
            (
                "/pools/0/Clients/1/CallbackURLs",
                json!(["javascript:alert(1)"]),
                ".Clients[1] (publicSeedD3): ",
            ),
        ]
        .into_iter()
        .enumerate()
        {
            let mut wrong = file(&format!("SeedD{n}"));
            wrong["pools"][0]["Policies"]["PasswordPolicy"]["RequireUppercase"] = json!(true);
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            wrong.pointer_mut(parent).unwrap()[name] = value;
            let error = sow(&house, &wrong).await.unwrap_err();
            assert!(
                error.message.starts_with(&format!("pools[0] (eu-west-1_SeedD{n}){message}")),
                "{pointer}: {}",
                error.message
            );
        }
    }
}

#[tokio::test]
async fn a_seeds_clients_may_name_the_scopes_of_its_resource_servers() {
    for house in houses().await {
        let seed = |pool: &str, scope: &str| {
            json!({ "pools": [{
                "Id": format!("eu-west-1_{pool}"), "PoolName": "seeded",
                "ResourceServers": [{ "Identifier": "api", "Name": "An API",
                    "Scopes": [{ "ScopeName": "read", "ScopeDescription": "may read" }] }],
                "Clients": [{ "ClientId": format!("machine{pool}"), "ClientName": "program", "GenerateSecret": true,
                    "AllowedOAuthFlows": ["client_credentials"], "AllowedOAuthScopes": [scope],
                    "AllowedOAuthFlowsUserPoolClient": true }],
            }] })
        };
        assert_eq!(sow(&house, &seed("SeedScopes", "api/read")).await.unwrap(), [1, 1, 0]);
        assert_eq!(sow(&house, &seed("SeedScopes", "api/read")).await.unwrap(), [0, 0, 0]);
        let servers =
            house.ok("ListResourceServers", json!({ "UserPoolId": "eu-west-1_SeedScopes" })).await;
        assert_eq!(servers["ResourceServers"][0]["Scopes"][0]["ScopeName"], "read");

        let unknown = sow(&house, &seed("SeedNoScope", "api/write")).await.unwrap_err();
        assert_eq!(
            unknown.message,
            "pools[0] (eu-west-1_SeedNoScope).Clients[0] (machineSeedNoScope): Invalid scope requested: api/write"
        );
        let mut wrong = seed("SeedWrong", "api/read");
        wrong["pools"][0]["ResourceServers"][0]["UserPoolId"] = json!("eu-west-1_Other");
        let told = sow(&house, &wrong).await.unwrap_err();
        assert!(
            told.message.contains("ResourceServers[0] (api) has a UserPoolId"),
            "{}",
            told.message
        );
    }
}

/// A pool with one of each kind of target.
fn told(pool: &str) -> Value {
    json!({ "pools": [{
        "Id": format!("eu-west-1_{pool}"), "PoolName": "seeded",
        "Clients": [{ "ClientId": format!("poller{pool}"), "ClientName": "poller" }],
        "Webhooks": [{ "Id": "audit", "Url": "http://localhost:3000/hook", "Secret": format!("whsec_{}", "QUJD".repeat(8)) }],
        "Streams": [{ "Id": "partner", "Method": "poll", "ClientId": format!("poller{pool}"), "Events": [] },
            { "Id": "pushed", "Method": "push", "EndpointUrl": "http://localhost:3000/events", "AuthorizationHeader": "Bearer x" }],
        "TokenRevocations": [{ "Id": "app", "Url": "https://app.example.com/revoke", "Subject": "email" }],
    }] })
}

#[tokio::test]
async fn a_seed_names_whom_a_pool_tells_of_its_sign_outs() {
    for house in houses().await {
        let (file, path) = (told("SeedTold"), "/pools/eu-west-1_SeedTold");
        assert_eq!(sow(&house, &file).await.unwrap(), [1, 1, 0]);
        let hook = house.shows(&format!("{path}/webhooks/audit")).await.json();
        assert_eq!(hook["Url"], "http://localhost:3000/hook");
        assert!(hook.get("Secret").is_none());
        let streams = house.shows(&format!("{path}/streams")).await.json();
        assert_eq!(streams["Streams"].as_array().unwrap().len(), 2);
        assert!(!streams.to_string().contains("Bearer"));
        let revocation = house.shows(&format!("{path}/token-revocations/app")).await.json();
        assert_eq!(revocation["Subject"], "email");
        // What is there stays as it is, whoever changed it.
        let change = json!({ "Enabled": false });
        house.patches(&format!("{path}/webhooks/audit"), change).await;
        assert_eq!(sow(&house, &file).await.unwrap(), [0, 0, 0]);
        let hook = house.shows(&format!("{path}/webhooks/audit")).await.json();
        assert_eq!(hook["Enabled"], false);
    }
}

#[tokio::test]
async fn a_mistake_in_a_target_says_where_it_stands() {
    for house in houses().await {
        let at = "pools[0] (eu-west-1_SeedWrongTold)";
        for (pointer, value, message) in [
            (
                "/Webhooks/0/Secret",
                Value::Null,
                format!("{at}.Webhooks[0] (audit) has no member \"Secret\""),
            ),
            (
                "/Webhooks/0/Secret",
                json!("hunter2"),
                format!("{at}.Webhooks[0] (audit): Secret must be whsec_"),
            ),
            ("/Webhooks/0/Id", Value::Null, format!("{at}.Webhooks[0] has no member \"Id\"")),
            ("/Webhooks/0/Id", json!("a/b"), format!("{at}.Webhooks[0] has the Id \"a/b\"")),
            ("/Webhooks/0/Url", json!("ftp://a"), format!("{at}.Webhooks[0] (audit): Url must be")),
            (
                "/Webhooks/0/Url",
                json!("https://10.0.0.1/"),
                format!("{at}.Webhooks[0] (audit): Url: "),
            ),
            (
                "/Webhooks/0/Uri",
                json!("x"),
                format!("{at}.Webhooks[0] (audit): unknown field `Uri`"),
            ),
            (
                "/Streams/0/ClientId",
                json!("nobody"),
                format!("{at}.Streams[0] (partner): ClientId: "),
            ),
            (
                "/Streams/0/VerifiedMs",
                json!(1),
                format!("{at}.Streams[0] (partner) has an unknown member \"VerifiedMs\""),
            ),
            (
                "/Streams/0/AuthorizationHeader",
                json!("x"),
                format!("{at}.Streams[0] (partner): AuthorizationHeader is only"),
            ),
            (
                "/TokenRevocations/0/Subject",
                json!("phone"),
                format!("{at}.TokenRevocations[0] (app): unknown variant"),
            ),
            (
                "/TokenRevocations/0/Id",
                json!("audit"),
                format!("{at}.TokenRevocations[0] (audit): Something of another kind"),
            ),
        ] {
            let mut file = told("SeedWrongTold");
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            file["pools"][0].pointer_mut(parent).unwrap()[name] = value;
            let error = sow(&house, &file).await.unwrap_err();
            assert!(
                error.message.starts_with(&message),
                "{pointer}: {}, not {message}",
                error.message
            );
        }
    }
}
