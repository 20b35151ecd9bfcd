//! Resource servers and their scopes: what is written is read, what clients may name, and what becomes of a scope that is gone.

use serde_json::{Value, json};

use crate::house::{House, houses, merge, refusal, together};
use crate::oauth_machine::{claims, machine, token};

const API: &str = "https://api.example.com";

fn scope(name: &str) -> Value {
    json!({ "ScopeName": name, "ScopeDescription": format!("may {name}") })
}

pub async fn server(house: &House, pool: &str, identifier: &str, scopes: &[&str]) {
    let scopes: Vec<Value> = scopes.iter().map(|name| scope(name)).collect();
    house
        .ok(
            "CreateResourceServer",
            json!({ "UserPoolId": pool, "Identifier": identifier, "Name": "An API", "Scopes": scopes }),
        )
        .await;
}

#[tokio::test]
async fn a_resource_server_is_made_read_changed_listed_and_deleted() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let named = json!({ "UserPoolId": pool, "Identifier": API });
        let with = |more: Value| {
            let mut input = named.clone();
            merge(&mut input, more);
            input
        };
        let made = house
            .ok(
                "CreateResourceServer",
                with(json!({ "Name": "Photos", "Scopes": [scope("read"), scope("write")] })),
            )
            .await;
        let expected = json!({ "ResourceServer": { "UserPoolId": pool, "Identifier": API, "Name": "Photos",
            "Scopes": [scope("read"), scope("write")] } });
        assert_eq!(made, expected);
        assert_eq!(house.ok("DescribeResourceServer", named.clone()).await, expected);

        let changed = house
            .ok(
                "UpdateResourceServer",
                with(json!({ "Name": "Pictures", "Scopes": [scope("read")] })),
            )
            .await;
        assert_eq!(changed["ResourceServer"]["Name"], "Pictures");
        assert_eq!(changed["ResourceServer"]["Scopes"], json!([scope("read")]));
        let emptied = house.ok("UpdateResourceServer", with(json!({ "Name": "Pictures" }))).await;
        assert_eq!(emptied["ResourceServer"]["Scopes"], json!([]), "what is not named is gone");

        house.ok("DeleteResourceServer", named.clone()).await;
        for operation in ["DescribeResourceServer", "DeleteResourceServer"] {
            assert_eq!(
                house.refused(operation, named.clone()).await,
                refusal(
                    "ResourceNotFound",
                    "Resource server https://api.example.com does not exist."
                )
            );
        }
        let refused = house.refused("UpdateResourceServer", with(json!({ "Name": "x" }))).await;
        assert_eq!(refused.0, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn lists_of_resource_servers_are_paged_and_hold_one_pools() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        for name in ["c", "a", "b"] {
            server(&house, &pool, name, &[]).await;
        }
        server(&house, &other, "x", &[]).await;
        let first =
            house.ok("ListResourceServers", json!({ "UserPoolId": pool, "MaxResults": 2 })).await;
        let names = |page: &Value| -> Vec<String> {
            let servers = page["ResourceServers"].as_array().unwrap();
            servers.iter().map(|server| server["Identifier"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(names(&first), ["a", "b"]);
        let second = house
            .ok(
                "ListResourceServers",
                json!({ "UserPoolId": pool, "MaxResults": 2, "NextToken": first["NextToken"] }),
            )
            .await;
        assert_eq!(names(&second), ["c"]);
        assert_eq!(second.get("NextToken"), None);
        let stolen = house
            .refused(
                "ListResourceServers",
                json!({ "UserPoolId": other, "NextToken": first["NextToken"] }),
            )
            .await;
        assert_eq!(stolen.0, "InvalidParameterException");
    }
}

#[tokio::test]
async fn bad_resource_servers_are_refused() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        server(&house, &pool, API, &["read"]).await;
        let input = |more: Value| {
            let mut input = json!({ "UserPoolId": pool, "Identifier": "new", "Name": "New" });
            merge(&mut input, more);
            input
        };
        let taken = format!("{API} already exists in user pool {pool}.");
        for (more, message) in [
            (json!({ "Identifier": API }), Some(taken.as_str())),
            (
                json!({ "Scopes": [scope("read"), scope("read")] }),
                Some("The scope read is named more than once."),
            ),
            (json!({ "Scopes": [scope("a/b")] }), None),
            (json!({ "Scopes": [scope("a b")] }), None),
            (json!({ "Identifier": "with space" }), None),
            (json!({ "Identifier": "a".repeat(257) }), None),
            (json!({ "Name": "<script>" }), None),
            (
                json!({ "Scopes": (0..101).map(|n| scope(&n.to_string())).collect::<Vec<_>>() }),
                None,
            ),
        ] {
            let refused = house.refused("CreateResourceServer", input(more.clone())).await;
            assert_eq!(refused.0, "InvalidParameterException", "{more}");
            if let Some(message) = message {
                assert_eq!(refused.1, message);
            }
        }
        let nowhere =
            json!({ "UserPoolId": "us-east-1_Nowhere99", "Identifier": "x", "Name": "x" });
        assert_eq!(
            house.refused("CreateResourceServer", nowhere).await.0,
            "ResourceNotFoundException"
        );
    }
}

#[tokio::test]
async fn a_pool_has_25_resource_servers_also_where_two_come_at_once() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        for n in 0..24 {
            server(&house, &pool, &format!("api-{n}"), &[]).await;
        }
        let racers = ["one", "two", "three"].map(|name| {
            house.call(
                "CreateResourceServer",
                json!({ "UserPoolId": pool, "Identifier": name, "Name": "x" }),
            )
        });
        let answers = together(racers).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        for loser in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(loser.json()["__type"], "LimitExceededException");
        }
    }
}

#[tokio::test]
async fn a_client_may_name_only_scopes_that_exist_in_its_pool_each_once() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        server(&house, &pool, API, &["read"]).await;
        server(&house, &other, "elsewhere", &["read"]).await;
        let read = format!("{API}/read");
        let client = house.client(&pool, json!({ "AllowedOAuthScopes": ["openid", read] })).await;
        for scope in ["elsewhere/read", &format!("{API}/write"), API, "read", "Openid"] {
            let missing =
                refusal("ScopeDoesNotExist", &format!("Invalid scope requested: {scope}"));
            let created = json!({ "UserPoolId": pool, "ClientName": "x", "AllowedOAuthScopes": [read, scope] });
            assert_eq!(house.refused("CreateUserPoolClient", created).await, missing);
            let updated =
                json!({ "UserPoolId": pool, "ClientId": client, "AllowedOAuthScopes": [scope] });
            assert_eq!(house.refused("UpdateUserPoolClient", updated).await, missing);
        }
        let twice = json!({ "UserPoolId": pool, "ClientName": "x", "AllowedOAuthScopes": [read, "openid", read] });
        assert_eq!(
            house.refused("CreateUserPoolClient", twice).await,
            refusal("InvalidParameter", &format!("AllowedOAuthScopes repeats the scope {read}."))
        );
    }
}

#[tokio::test]
async fn a_scope_that_is_deleted_stays_in_the_clients_list_and_in_no_new_token() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        server(&house, &pool, "api", &["read", "write"]).await;
        let (client, secret) = machine(&house, &pool, &["api/read", "api/write"]).await;
        let update = json!({ "UserPoolId": pool, "Identifier": "api", "Name": "An API", "Scopes": [scope("read")] });
        house.ok("UpdateResourceServer", update).await;
        let issued = token(&house, &pool, (&client, &secret), &[]).await;
        assert_eq!(claims(&issued.json()["access_token"])["scope"], "api/read");
        let asked = token(&house, &pool, (&client, &secret), &[("scope", "api/write")]).await;
        assert_eq!((asked.status.as_u16(), &asked.json()["error"]), (400, &json!("invalid_scope")));

        house.ok("DeleteResourceServer", json!({ "UserPoolId": pool, "Identifier": "api" })).await;
        let none = token(&house, &pool, (&client, &secret), &[]).await;
        assert_eq!(none.json()["error"], "invalid_scope");
        let named = json!({ "UserPoolId": pool, "ClientId": client });
        let kept = house.ok("DescribeUserPoolClient", named).await;
        assert_eq!(kept["UserPoolClient"]["AllowedOAuthScopes"], json!(["api/read", "api/write"]));
    }
}

#[tokio::test]
async fn a_deleted_pool_leaves_no_resource_server() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        server(&house, &pool, "api", &["read"]).await;
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        let left = "SELECT COUNT(*) FROM resource_servers WHERE pool_id = ?1";
        assert_eq!(house.rows(left, &pool).await, 0);
    }
}
