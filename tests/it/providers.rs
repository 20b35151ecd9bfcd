//! Identity providers: what is written is read, on every node; what is refused says why; and what becomes of one that is deleted.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cenote::federation::certificates;
use serde_json::{Value, json};

use crate::house::{House, houses, merge, refusal, together};
use crate::provider_details::{enough, provider};

pub const INVALID: &str = "InvalidParameterException";

pub async fn creates(house: &House, pool: &str, kind: &str, name: &str, more: Value) -> Value {
    house.ok("CreateIdentityProvider", provider(pool, kind, name, more)).await["IdentityProvider"]
        .clone()
}

pub fn named(pool: &str, name: &str) -> Value {
    json!({ "UserPoolId": pool, "ProviderName": name })
}

pub async fn names(house: &House, pool: &str) -> Vec<String> {
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
async fn a_key_that_was_made_for_a_deleted_provider_is_no_obstacle_for_the_next() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        creates(&house, &pool, "SAML", "Upstream", json!({})).await;
        house.ok("DeleteIdentityProvider", named(&pool, "Upstream")).await;
        // Whoever was describing it while it was deleted.
        let cx = cenote::cx::Cx::system(house.app.clone());
        let now = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let left = certificates::decryption(&cx, &now, "Upstream").await.unwrap();
        let made = creates(&house, &pool, "SAML", "Upstream", json!({})).await;
        let made = made["ProviderDetails"]["ActiveEncryptionCertificate"].as_str().unwrap();
        assert_ne!(BASE64_STANDARD.encode(left.certificate()), made);
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
