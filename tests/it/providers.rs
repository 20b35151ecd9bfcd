//! Identity providers: what is written is read, on every node; what is refused says why; and what becomes of one that is deleted.

use serde_json::{Value, json};

use crate::house::{House, houses, merge, refusal, together};
use crate::provider_details::{enough, provider};

const INVALID: &str = "InvalidParameterException";

pub async fn creates(house: &House, pool: &str, kind: &str, name: &str, more: Value) -> Value {
    house.ok("CreateIdentityProvider", provider(pool, kind, name, more)).await["IdentityProvider"]
        .clone()
}

fn named(pool: &str, name: &str) -> Value {
    json!({ "UserPoolId": pool, "ProviderName": name })
}

async fn names(house: &House, pool: &str) -> Vec<String> {
    let listed = house.ok("ListIdentityProviders", json!({ "UserPoolId": pool })).await;
    let listed = listed["Providers"].as_array().unwrap();
    listed.iter().map(|one| one["ProviderName"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_provider_is_made_read_changed_listed_and_deleted() {
    for house in houses().await {
        let pool = house.pool(json!({ "Schema": [{ "Name": "team", "AttributeDataType": "String", "Mutable": true }] })).await;
        let more = json!({
            "AttributeMapping": { "email": "mail", "custom:team": "department" },
            "IdpIdentifiers": ["example.com", "Example Inc."],
            "AcrMapping": { "Level2": "urn:example:mfa" },
        });
        let made = creates(&house, &pool, "OIDC", "Upstream", more).await;
        assert_eq!(
            made["AttributeMapping"],
            json!({ "custom:team": "department", "email": "mail", "username": "sub" })
        );
        assert_eq!(made["IdpIdentifiers"], json!(["example.com", "Example Inc."]));
        assert_eq!(made["AcrMapping"], json!({ "Level2": "urn:example:mfa" }));
        assert_eq!(made["CreationDate"], made["LastModifiedDate"]);

        house.clock.advance(5_000);
        // What is not named stays; what is named is replaced whole.
        let mut input = named(&pool, "Upstream");
        input["AttributeMapping"] = json!({ "name": "cn" });
        let changed = house.ok("UpdateIdentityProvider", input).await["IdentityProvider"].clone();
        assert_eq!(changed["AttributeMapping"], json!({ "name": "cn", "username": "sub" }));
        for member in ["ProviderDetails", "IdpIdentifiers", "AcrMapping", "CreationDate"] {
            assert_eq!(changed[member], made[member], "{member}");
        }
        assert_ne!(changed["LastModifiedDate"], made["LastModifiedDate"]);

        let mut input = named(&pool, "Upstream");
        let mut details = enough("OIDC");
        merge(&mut details, json!({ "authorize_scopes": "openid", "attributes_url": null }));
        input["ProviderDetails"] = details.clone();
        input["IdpIdentifiers"] = json!([]);
        input["AcrMapping"] = json!({});
        let changed = house.ok("UpdateIdentityProvider", input).await["IdentityProvider"].clone();
        details["attributes_url_add_attributes"] = json!("false");
        assert_eq!(changed["ProviderDetails"], details);
        assert_eq!((&changed["IdpIdentifiers"], changed.get("AcrMapping")), (&json!([]), None));
        let read = house.ok("DescribeIdentityProvider", named(&pool, "Upstream")).await;
        assert_eq!(read["IdentityProvider"], changed);
        let listed = house.ok("ListIdentityProviders", json!({ "UserPoolId": pool })).await;
        assert_eq!(
            listed["Providers"],
            json!([{ "ProviderName": "Upstream", "ProviderType": "OIDC",
                "LastModifiedDate": changed["LastModifiedDate"], "CreationDate": changed["CreationDate"] }])
        );

        let answer = house.call("DeleteIdentityProvider", named(&pool, "Upstream")).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "{}"));
        for operation in
            ["DescribeIdentityProvider", "UpdateIdentityProvider", "DeleteIdentityProvider"]
        {
            assert_eq!(
                house.refused(operation, named(&pool, "Upstream")).await,
                refusal("ResourceNotFound", "Identity provider Upstream does not exist."),
                "{operation}"
            );
        }
        assert_eq!(names(&house, &pool).await, [""; 0]);
    }
}

#[tokio::test]
async fn lists_of_providers_are_paged_and_hold_one_pools() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        for name in ["ccc", "aaa", "bbb"] {
            creates(&house, &pool, "OIDC", name, json!({})).await;
        }
        creates(&house, &other, "OIDC", "aaa", json!({})).await;
        let page = json!({ "UserPoolId": pool, "MaxResults": 2 });
        let first = house.ok("ListIdentityProviders", page.clone()).await;
        let mut next = page;
        next["NextToken"] = first["NextToken"].clone();
        let second = house.ok("ListIdentityProviders", next.clone()).await;
        let name = |page: &Value, n: usize| page["Providers"][n]["ProviderName"].clone();
        assert_eq!((name(&first, 0), name(&first, 1)), (json!("aaa"), json!("bbb")));
        assert_eq!((name(&second, 0), name(&second, 1)), (json!("ccc"), Value::Null));
        assert_eq!(second.get("NextToken"), None);
        next["UserPoolId"] = json!(other);
        assert_eq!(house.refused("ListIdentityProviders", next).await.0, INVALID);
        assert_eq!(names(&house, &other).await, ["aaa"]);
    }
}

#[tokio::test]
async fn names_are_cognitos_and_lead_to_one_provider() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        creates(&house, &pool, "OIDC", "Okta", json!({})).await;
        creates(&house, &pool, "Google", "Google", json!({})).await;
        let duplicate = |name: &str| {
            refusal("DuplicateProvider", &format!("{name} already exists in user pool {pool}."))
        };
        let invalid = |message: &str| refusal("InvalidParameter", message);
        for (kind, name, expected) in [
            ("OIDC", "Okta", Some(duplicate("Okta"))),
            // In a pool that ignores case their users would have the same names.
            ("SAML", "OKTA", Some(duplicate("Okta"))),
            ("Google", "Google", Some(duplicate("Google"))),
            ("Google", "MyGoogle", Some(invalid("Provider MyGoogle cannot be of type Google."))),
            ("OIDC", "Facebook", Some(invalid("Provider Facebook cannot be of type OIDC."))),
            (
                "OIDC",
                "Cognito",
                Some(invalid(
                    "Provider Cognito cannot be created: COGNITO names the user pool itself.",
                )),
            ),
            ("OIDC", "ab", None),
            ("OIDC", "_abc", None),
            ("OIDC", "a bc d", None),
            ("OIDC", "abc_d", None),
            ("OIDC", &"a".repeat(33), None),
            ("LDAP", "Directory", None),
        ] {
            let mut input = provider(&pool, kind, name, json!({}));
            if kind == "LDAP" {
                input["ProviderDetails"] = enough("OIDC");
            }
            let refused = house.refused("CreateIdentityProvider", input).await;
            match expected {
                Some(expected) => assert_eq!(refused, expected),
                None => assert_eq!(refused.0, INVALID, "{kind} {name}"),
            }
        }
        assert_eq!(names(&house, &pool).await, ["Google", "Okta"]);
        let nowhere = provider("us-east-1_Nowhere99", "OIDC", "Okta", json!({}));
        let refused = house.refused("CreateIdentityProvider", nowhere).await;
        assert_eq!(refused.0, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn an_identifier_leads_to_one_provider_of_its_pool_whatever_its_case() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        let with = |list: Value| json!({ "IdpIdentifiers": list });
        creates(&house, &pool, "OIDC", "One", with(json!(["Example.com", "one"]))).await;
        creates(&house, &other, "OIDC", "Elsewhere", with(json!(["example.com"]))).await;
        let by = async |pool: &str, identifier: &str| {
            let input = json!({ "UserPoolId": pool, "IdpIdentifier": identifier });
            let found = house.call("GetIdentityProviderByIdentifier", input).await.json();
            found["IdentityProvider"]["ProviderName"].as_str().map(str::to_owned)
        };
        assert_eq!(by(&pool, "EXAMPLE.COM").await.as_deref(), Some("One"));
        assert_eq!(by(&other, "example.com").await.as_deref(), Some("Elsewhere"));
        let input = json!({ "UserPoolId": pool, "IdpIdentifier": "nobody.example" });
        assert_eq!(
            house.refused("GetIdentityProviderByIdentifier", input).await,
            refusal(
                "ResourceNotFound",
                "Identity provider with identifier nobody.example does not exist."
            )
        );
        let taken = "The identifier EXAMPLE.com already belongs to the provider One; an identifier leads to one provider.";
        let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        for (list, message) in [
            (json!(["two", "EXAMPLE.com"]), Some(taken)),
            (json!(["two", "TWO"]), Some("IdpIdentifiers names TWO more than once.")),
            (json!(many), None),
            (json!(["a".repeat(41)]), None),
            (json!(["a/b"]), None),
            (json!([""]), None),
        ] {
            let input = provider(&pool, "OIDC", "Two", with(list.clone()));
            let refused = house.refused("CreateIdentityProvider", input).await;
            assert_eq!(refused.0, INVALID, "{list}");
            assert!(message.is_none_or(|message| message == refused.1), "{}", refused.1);
        }
        creates(&house, &pool, "OIDC", "Two", with(json!(["two"]))).await;
        let mut input = named(&pool, "Two");
        input["IdpIdentifiers"] = json!(["EXAMPLE.com"]);
        assert_eq!(house.refused("UpdateIdentityProvider", input.clone()).await.1, taken);
        // What a provider gives up, and what a deleted one had, is free.
        let mut given_up = named(&pool, "One");
        given_up["IdpIdentifiers"] = json!(["one"]);
        house.ok("UpdateIdentityProvider", given_up).await;
        house.ok("UpdateIdentityProvider", input).await;
        house.ok("DeleteIdentityProvider", named(&pool, "One")).await;
        let mut more = named(&pool, "Two");
        more["IdpIdentifiers"] = json!(["ONE", "Example.com"]);
        house.ok("UpdateIdentityProvider", more).await;
        assert_eq!(by(&pool, "one").await.as_deref(), Some("Two"));
    }
}

#[tokio::test]
async fn a_mapping_names_attributes_that_can_be_written_at_every_sign_in() {
    for house in houses().await {
        let pool = house
            .pool(json!({ "Schema": [
                { "Name": "fixed", "AttributeDataType": "String", "Mutable": false },
                { "Name": "team", "AttributeDataType": "String", "Mutable": true },
                { "Name": "birthdate", "AttributeDataType": "String", "Mutable": false },
            ] }))
            .await;
        let none = format!("User pool {pool} has no such attribute.");
        let fixed = "The attribute is not mutable, and would be written at every sign-in.";
        for (kind, mapping, attribute, why) in [
            ("OIDC", json!({ "custom:none": "x" }), "custom:none", none.as_str()),
            ("OIDC", json!({ "team": "x" }), "team", &none),
            ("OIDC", json!({ "identities": "x" }), "identities", &none),
            ("OIDC", json!({ "custom:fixed": "x" }), "custom:fixed", fixed),
            ("OIDC", json!({ "birthdate": "x" }), "birthdate", fixed),
            ("OIDC", json!({ "sub": "x" }), "sub", fixed),
            (
                "OIDC",
                json!({ "email": " " }),
                "email",
                "The provider's attribute must have 1 to 2048 characters.",
            ),
            (
                "OIDC",
                json!({ "username": "email" }),
                "username",
                "The username of a user of OIDC is made from sub, and from nothing else.",
            ),
            (
                "Facebook",
                json!({ "username": "sub" }),
                "username",
                "The username of a user of Facebook is made from id, and from nothing else.",
            ),
            (
                "SAML",
                json!({ "username": "uid" }),
                "username",
                "The username of a SAML user is made from the NameID, and from nothing else.",
            ),
        ] {
            let name = if kind == "Facebook" { kind } else { "Upstream" };
            let input = provider(&pool, kind, name, json!({ "AttributeMapping": mapping }));
            let message =
                format!("AttributeMapping contains invalid mapping: [{attribute}]. {why}");
            assert_eq!(
                house.refused("CreateIdentityProvider", input).await,
                refusal("InvalidParameter", &message)
            );
        }
        let more = json!({ "AttributeMapping": { "custom:team": "t", "email": "mail", "email_verified": "v" } });
        let made = creates(&house, &pool, "SAML", "Upstream", more.clone()).await;
        assert_eq!(
            made["AttributeMapping"], more["AttributeMapping"],
            "SAML has no username to map"
        );
        let mut input = named(&pool, "Upstream");
        input["AttributeMapping"] = json!({ "custom:none": "x" });
        assert_eq!(house.refused("UpdateIdentityProvider", input).await.0, INVALID);
        for (kind, acr) in [("SAML", json!({ "Level1": "x" })), ("OIDC", json!({ "Level5": "x" }))]
        {
            let input = provider(&pool, kind, "Another", json!({ "AcrMapping": acr }));
            assert_eq!(house.refused("CreateIdentityProvider", input).await.0, INVALID);
        }
    }
}

#[tokio::test]
async fn a_private_key_that_an_update_does_not_name_stays_and_a_client_secret_must_be_named() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let apple = creates(&house, &pool, "SignInWithApple", "SignInWithApple", json!({})).await;
        let mut input = named(&pool, "SignInWithApple");
        input["ProviderDetails"] = apple["ProviderDetails"].clone();
        input["ProviderDetails"]["team_id"] = json!("TEAM999999");
        let changed = house.ok("UpdateIdentityProvider", input).await["IdentityProvider"].clone();
        assert_eq!(changed["ProviderDetails"]["team_id"], "TEAM999999");
        let row = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let all = house.app.directory.providers(&house.app.db, &row).await.unwrap();
        let cx = cenote::cx::Cx::system(house.app.clone());
        let kept = cenote::federation::secrets(&cx, &all.all()[0]).unwrap();
        assert!(kept.private_key.unwrap().contains("BEGIN PRIVATE KEY"));

        creates(&house, &pool, "Google", "Google", json!({})).await;
        let mut input = named(&pool, "Google");
        input["ProviderDetails"] = json!({ "client_id": "new", "authorize_scopes": "email" });
        assert_eq!(house.refused("UpdateIdentityProvider", input.clone()).await.0, INVALID);
        input["ProviderDetails"]["client_secret"] = json!("new");
        let changed = house.ok("UpdateIdentityProvider", input).await["IdentityProvider"].clone();
        assert_eq!(changed["ProviderDetails"]["client_secret"], "new");
    }
}

#[tokio::test]
async fn a_client_names_the_providers_that_are_there_and_keeps_those_that_are_deleted() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        creates(&house, &pool, "OIDC", "Upstream", json!({})).await;
        creates(&house, &other, "OIDC", "Elsewhere", json!({})).await;
        let client = |list: Value| json!({ "UserPoolId": pool, "ClientName": "app", "SupportedIdentityProviders": list });
        for unknown in ["Elsewhere", "upstream", "Google"] {
            let refused =
                house.refused("CreateUserPoolClient", client(json!(["COGNITO", unknown]))).await;
            let message = format!("The provider {unknown} does not exist for User Pool {pool}.");
            assert_eq!(refused, refusal("InvalidParameter", &message));
        }
        let made = house.ok("CreateUserPoolClient", client(json!(["COGNITO", "Upstream"]))).await;
        let id = made["UserPoolClient"]["ClientId"].clone();
        house.ok("DeleteIdentityProvider", named(&pool, "Upstream")).await;
        let input = json!({ "UserPoolId": pool, "ClientId": id });
        let read = house.ok("DescribeUserPoolClient", input.clone()).await;
        assert_eq!(
            read["UserPoolClient"]["SupportedIdentityProviders"],
            json!(["COGNITO", "Upstream"])
        );
        let mut again = input;
        again["SupportedIdentityProviders"] = json!(["COGNITO", "Upstream"]);
        let refused = house.refused("UpdateUserPoolClient", again.clone()).await;
        assert_eq!(
            refused.1,
            format!("The provider Upstream does not exist for User Pool {pool}.")
        );
        again["SupportedIdentityProviders"] = json!(["COGNITO"]);
        house.ok("UpdateUserPoolClient", again).await;
    }
}

#[tokio::test]
async fn a_client_whose_provider_begins_sign_ins_has_saml_providers_only() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let mut begins = provider(&pool, "SAML", "Begins", json!({}));
        begins["ProviderDetails"]["IDPInit"] = json!("true");
        house.ok("CreateIdentityProvider", begins.clone()).await;
        creates(&house, &pool, "SAML", "Waits", json!({})).await;
        creates(&house, &pool, "OIDC", "Other", json!({})).await;
        let client = |list: Value| json!({ "UserPoolId": pool, "ClientName": "app", "SupportedIdentityProviders": list });
        for other in ["COGNITO", "Other"] {
            let refused =
                house.refused("CreateUserPoolClient", client(json!([other, "Begins"]))).await;
            let message = format!(
                "The provider Begins has IDPInit true, so an app client that supports it can support only SAML providers, and not {other}."
            );
            assert_eq!(refused, refusal("InvalidParameter", &message));
        }
        house.ok("CreateUserPoolClient", client(json!(["Begins", "Waits"]))).await;
        let mixed = house.ok("CreateUserPoolClient", client(json!(["COGNITO", "Waits"]))).await;
        let id = mixed["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned();
        // And the other way round: the provider changes under its clients.
        let mut input = named(&pool, "Waits");
        input["ProviderDetails"] = begins["ProviderDetails"].clone();
        let refused = house.refused("UpdateIdentityProvider", input.clone()).await;
        assert_eq!(refused.0, INVALID);
        assert!(
            refused.1.starts_with(&format!("App client {id}: The provider Waits has IDPInit true")),
            "{}",
            refused.1
        );
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": id })).await;
        house.ok("UpdateIdentityProvider", input).await;
    }
}

#[tokio::test]
async fn a_provider_has_a_group_which_outlives_it() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        for _ in 0..2 {
            creates(&house, &pool, "OIDC", "Upstream", json!({})).await;
            let input = json!({ "UserPoolId": pool, "GroupName": format!("{pool}_Upstream") });
            let group = house.ok("GetGroup", input).await["Group"].clone();
            assert_eq!(
                group["Description"],
                "Autogenerated group for users who sign in using Upstream"
            );
            assert_eq!(group.get("Precedence"), None);
            house.ok("DeleteIdentityProvider", named(&pool, "Upstream")).await;
        }
        let groups = house.ok("ListGroups", json!({ "UserPoolId": pool })).await;
        assert_eq!(groups["Groups"].as_array().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn every_node_sees_a_provider_as_soon_as_it_is_made_changed_or_deleted() {
    for house in houses().await {
        let node = house.another_node(0).await;
        let pool = house.pool(json!({})).await;
        assert_eq!(names(&node, &pool).await, [""; 0]);
        creates(&house, &pool, "OIDC", "Upstream", json!({})).await;
        assert_eq!(names(&node, &pool).await, ["Upstream"]);
        let mut input = named(&pool, "Upstream");
        input["AttributeMapping"] = json!({ "email": "mail" });
        node.ok("UpdateIdentityProvider", input).await;
        let read = house.ok("DescribeIdentityProvider", named(&pool, "Upstream")).await;
        assert_eq!(read["IdentityProvider"]["AttributeMapping"]["email"], "mail");
        node.ok("DeleteIdentityProvider", named(&pool, "Upstream")).await;
        assert_eq!(names(&house, &pool).await, [""; 0]);
    }
}

#[tokio::test]
async fn of_providers_that_are_made_at_once_with_one_identifier_or_name_one_wins() {
    for house in houses().await {
        let node = house.another_node(0).await;
        let pool = house.pool(json!({})).await;
        let racers = (0..4).map(|n| {
            let on = if n % 2 == 0 { &house } else { &node };
            let more = json!({ "IdpIdentifiers": ["example.com"] });
            on.call("CreateIdentityProvider", provider(&pool, "OIDC", &format!("Racer{n}"), more))
        });
        let won: Vec<u16> = together(racers).await.iter().map(|a| a.status.as_u16()).collect();
        assert_eq!(won.iter().filter(|status| **status == 200).count(), 1, "{won:?}");
        let names_now = names(&house, &pool).await;
        assert_eq!(names_now.len(), 1);

        let racers = ["Same", "SAME", "same"].map(|name| {
            house.call("CreateIdentityProvider", provider(&pool, "OIDC", name, json!({})))
        });
        let answers = together(racers).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(answer.json()["__type"], "DuplicateProviderException");
        }
    }
}

#[tokio::test]
async fn a_client_that_is_made_while_its_provider_is_deleted_names_none_that_is_gone() {
    for house in houses().await {
        for _ in 0..5 {
            let pool = house.pool(json!({})).await;
            creates(&house, &pool, "OIDC", "Upstream", json!({})).await;
            let client = json!({ "UserPoolId": pool, "ClientName": "app", "SupportedIdentityProviders": ["Upstream"] });
            let node = house.another_node(0).await;
            let delete = node.call("DeleteIdentityProvider", named(&pool, "Upstream"));
            let answers = together([
                Box::pin(house.call("CreateUserPoolClient", client))
                    as std::pin::Pin<Box<dyn Future<Output = crate::house::Answer> + Send>>,
                Box::pin(delete),
            ])
            .await;
            assert_eq!(answers[1].status, 200);
            // It was first, or it was told: never both made and without its provider unnoticed.
            if answers[0].status != 200 {
                assert!(answers[0].body.contains("The provider Upstream does not exist"));
            }
        }
    }
}

#[tokio::test]
async fn a_pool_has_at_most_300_providers() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        creates(&house, &pool, "OIDC", "First", json!({})).await;
        // Rows beside the first: what the operation counts.
        let mut batch = cenote::store::Batch::new();
        let row = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let all = house.app.directory.providers(&house.app.db, &row).await.unwrap();
        for n in 0..298 {
            let mut copy = all.all()[0].clone();
            copy.name = format!("Copy{n}");
            let conflict = cenote::error::Error::conflict;
            cenote::store::providers::insert(&mut batch, &copy, conflict(), &conflict()).unwrap();
        }
        cenote::store::pools::touch(&mut batch, &pool);
        house.app.db.commit(batch).await.unwrap();
        creates(&house, &pool, "OIDC", "Last", json!({})).await;
        let refused = house
            .refused("CreateIdentityProvider", provider(&pool, "OIDC", "More", json!({})))
            .await;
        assert_eq!(
            refused,
            refusal("LimitExceeded", "A user pool can have at most 300 identity providers.")
        );
    }
}

#[tokio::test]
async fn a_deleted_pool_leaves_nothing_of_its_providers() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let more = json!({ "IdpIdentifiers": ["example.com"] });
        creates(&house, &pool, "SAML", "Upstream", more).await;
        house.ok("GetSigningCertificate", json!({ "UserPoolId": pool })).await;
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        cenote::store::purge::graves(&house.app.db, crate::house::NOW).await.unwrap();
        for sql in [
            "SELECT COUNT(*) FROM identity_providers WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM provider_identifiers WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM provider_learned WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM saml_certificates WHERE pool_id = ?1",
            "SELECT COUNT(*) FROM groups WHERE pool_id = ?1",
        ] {
            let row = house.app.db.one(sql, &[pool.as_str().into()]).await.unwrap().unwrap();
            assert_eq!(row.i64(0).unwrap(), 0, "{sql}");
        }
    }
}

#[tokio::test]
async fn changes_of_providers_are_audited() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        creates(&house, &pool, "OIDC", "Upstream", json!({})).await;
        let mut input = named(&pool, "Upstream");
        input["IdpIdentifiers"] = json!(["x"]);
        house.ok("UpdateIdentityProvider", input).await;
        house.ok("DeleteIdentityProvider", named(&pool, "Upstream")).await;
        let trail = cenote::store::jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await;
        let trail = trail.unwrap();
        let mine = trail.iter().filter(|entry| entry.pool_id == pool && entry.target == "Upstream");
        let acts: Vec<&str> = mine.map(|entry| entry.action.as_str()).collect();
        for act in ["CreateIdentityProvider", "UpdateIdentityProvider", "DeleteIdentityProvider"] {
            assert_eq!(acts.iter().filter(|one| **one == act).count(), 1, "{acts:?}");
        }
    }
}
