//! Groups: the operations on them, who is in them, and what tokens say of it.

use cenote::params;
use cenote::store::{Batch, Rank, jobs};
use serde_json::{Value, json};

use crate::browser::{Browser, CHALLENGE, code_client, parameter};
use crate::hosted::claims;
use crate::house::{House, PASSWORD, houses, houses_alone, merge, refusal, together};

const ADMIN: &str = "arn:aws:iam::123456789012:role/admin";
const READER: &str = "arn:aws:iam::123456789012:role/reader";

async fn group(house: &House, pool: &str, name: &str, more: Value) -> Value {
    let mut input = json!({ "UserPoolId": pool, "GroupName": name });
    merge(&mut input, more);
    house.ok("CreateGroup", input).await["Group"].clone()
}

fn named(pool: &str, name: &str) -> Value {
    json!({ "UserPoolId": pool, "GroupName": name })
}

fn member(pool: &str, user: &str, group: &str) -> Value {
    json!({ "UserPoolId": pool, "Username": user, "GroupName": group })
}

async fn joins(house: &House, pool: &str, user: &str, group: &str) {
    house.ok("AdminAddUserToGroup", member(pool, user, group)).await;
}

/// The texts that `member` has in each item of a list.
fn texts(list: &Value, member: &str) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item[member].as_str().unwrap().to_owned()).collect()
}

async fn groups_of(house: &House, pool: &str, user: &str) -> Vec<String> {
    let input = json!({ "UserPoolId": pool, "Username": user });
    texts(&house.ok("AdminListGroupsForUser", input).await["Groups"], "GroupName")
}

async fn users_in(house: &House, pool: &str, group: &str) -> Vec<String> {
    let answer = house.ok("ListUsersInGroup", named(pool, group)).await;
    let mut users = texts(&answer["Users"], "Username");
    users.sort();
    users
}

/// Rows of members, whether or not their group and user are there.
async fn memberships(house: &House, pool: &str) -> i64 {
    house.rows("SELECT COUNT(*) FROM group_members WHERE pool_id = ?1", pool).await
}

/// What the access token and the ID token of a sign-in say.
fn tokens(answer: &Value) -> (Value, Value) {
    let read = |name: &str| claims(answer[name].as_str().unwrap());
    (read("AccessToken"), read("IdToken"))
}

fn group_not_found() -> (String, String) {
    refusal("ResourceNotFound", "Group not found.")
}

#[tokio::test]
async fn a_group_is_made_read_changed_and_deleted() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let all = json!({ "Description": "May do all", "RoleArn": ADMIN, "Precedence": 0 });
        let made = group(&house, &pool, "admins", all).await;
        let now = crate::house::NOW as f64 / 1000.0;
        let wanted = json!({ "GroupName": "admins", "UserPoolId": pool, "Description": "May do all", "RoleArn": ADMIN,
            "Precedence": 0, "CreationDate": now, "LastModifiedDate": now });
        assert_eq!(made, wanted);
        assert_eq!(house.ok("GetGroup", named(&pool, "admins")).await["Group"], wanted);
        let bare = group(&house, &pool, "bare", json!({ "Description": "" })).await;
        assert_eq!(bare.as_object().unwrap().len(), 4, "{bare}");

        assert_eq!(house.call("DeleteGroup", named(&pool, "admins")).await.body, "{}");
        assert_eq!(house.refused("GetGroup", named(&pool, "admins")).await, group_not_found());
        assert_eq!(
            texts(
                &house.ok("ListGroups", json!({ "UserPoolId": pool })).await["Groups"],
                "GroupName"
            ),
            ["bare"]
        );
    }
}

#[tokio::test]
async fn an_update_keeps_what_it_does_not_name() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let all = json!({ "Description": "May do all", "RoleArn": ADMIN, "Precedence": 5 });
        let made = group(&house, &pool, "admins", all).await;
        let update = async |more: Value| {
            let mut input = named(&pool, "admins");
            merge(&mut input, more);
            house.ok("UpdateGroup", input).await["Group"].clone()
        };
        house.advance(5_000);
        assert_eq!(update(json!({})).await, made, "nothing is named, so nothing is modified");

        let later = crate::house::NOW as f64 / 1000.0 + 5.0;
        let mut wanted = made.clone();
        merge(&mut wanted, json!({ "Precedence": 0, "LastModifiedDate": later }));
        assert_eq!(update(json!({ "Precedence": 0 })).await, wanted);
        wanted["RoleArn"] = json!(READER);
        assert_eq!(update(json!({ "RoleArn": READER })).await, wanted);
        merge(&mut wanted, json!({ "Description": null }));
        assert_eq!(update(json!({ "Description": "" })).await, wanted);
        assert_eq!(house.ok("GetGroup", named(&pool, "admins")).await["Group"], wanted);
    }
}

#[tokio::test]
async fn what_exists_is_not_made_again_and_what_is_missing_is_named() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        group(&house, &pool, "admins", json!({})).await;
        let exists = refusal("GroupExists", "A group with the name already exists.");
        assert_eq!(house.refused("CreateGroup", named(&pool, "admins")).await, exists);

        for operation in ["GetGroup", "UpdateGroup", "DeleteGroup", "ListUsersInGroup"] {
            let refused = house.refused(operation, named(&pool, "nobodies")).await;
            assert_eq!(refused, group_not_found(), "{operation}");
        }
        for operation in ["AdminAddUserToGroup", "AdminRemoveUserFromGroup"] {
            let refused = house.refused(operation, member(&pool, "ann", "nobodies")).await;
            assert_eq!(refused, group_not_found(), "{operation}");
            let refused = house.refused(operation, member(&pool, "bob", "nobodies")).await;
            assert_eq!(refused, refusal("UserNotFound", "User does not exist."), "{operation}");
        }
        let nobody = json!({ "UserPoolId": pool, "Username": "bob" });
        assert_eq!(
            house.refused("AdminListGroupsForUser", nobody).await,
            refusal("UserNotFound", "User does not exist.")
        );
        let nowhere = "us-east-1_Nowhere00";
        for operation in ["CreateGroup", "GetGroup", "ListUsersInGroup"] {
            assert_eq!(
                house.refused(operation, named(nowhere, "admins")).await,
                refusal("ResourceNotFound", &format!("User pool {nowhere} does not exist."))
            );
        }
        // A group of another pool is none of this one.
        let other = house.pool(json!({})).await;
        assert_eq!(house.refused("GetGroup", named(&other, "admins")).await, group_not_found());
    }
}

#[tokio::test]
async fn what_cannot_be_a_group_is_refused_and_nothing_is_made() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        for (more, part) in [
            (json!({ "GroupName": "" }), "'groupName' failed to satisfy constraint"),
            (json!({ "GroupName": "two words" }), "'groupName' failed to satisfy constraint"),
            (json!({ "GroupName": "tab\t" }), "'groupName' failed to satisfy constraint"),
            (json!({ "GroupName": "bidi\u{202e}" }), "'groupName' failed to satisfy constraint"),
            (json!({ "GroupName": "x".repeat(129) }), "'groupName' failed to satisfy constraint"),
            (json!({ "Description": "x".repeat(2_049) }), "'description' failed to satisfy"),
            (json!({ "RoleArn": "admin" }), "'roleArn' failed to satisfy constraint"),
            (json!({ "RoleArn": "arn:aws:iam::role/without-account" }), "'roleArn' failed"),
            (json!({ "Precedence": -1 }), "'precedence' failed to satisfy constraint"),
            (json!({ "Precedence": 2_147_483_648_i64 }), "Precedence can be at most 2147483647."),
            (json!({ "Description": "nul\0" }), "NUL"),
        ] {
            let mut input = named(&pool, "admins");
            merge(&mut input, more.clone());
            let (kind, message) = house.refused("CreateGroup", input).await;
            assert_eq!(kind, "InvalidParameterException", "{more}: {message}");
            assert!(message.contains(part), "{more}: {message}");
        }
        let (kind, _) = house
            .refused(
                "CreateGroup",
                json!({ "UserPoolId": pool, "GroupName": "a", "Precedence": "1" }),
            )
            .await;
        assert_eq!(kind, "SerializationException");
        assert_eq!(
            house.ok("ListGroups", json!({ "UserPoolId": pool })).await["Groups"],
            json!([])
        );

        let widest = json!({ "Precedence": 2_147_483_647 });
        assert_eq!(group(&house, &pool, "日本語-🦀<b>", widest).await["Precedence"], 2_147_483_647);
        assert_eq!(
            house.ok("GetGroup", named(&pool, "日本語-🦀<b>")).await["Group"]["GroupName"],
            "日本語-🦀<b>"
        );
    }
}

#[tokio::test]
async fn names_of_groups_compare_as_the_pool_compares_names() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        group(&house, &pool, "Admins", json!({})).await;
        group(&house, &pool, "admins", json!({})).await;

        let folding = json!({ "UsernameConfiguration": { "CaseSensitive": false } });
        let pool = house.pool(folding).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        group(&house, &pool, "Admins", json!({})).await;
        assert_eq!(
            house.refused("CreateGroup", named(&pool, "ADMINS")).await.0,
            "GroupExistsException"
        );
        joins(&house, &pool, "Ann", "admins").await;
        assert_eq!(groups_of(&house, &pool, "ann").await, ["Admins"]);
        let (access, _) = tokens(&house.signs_in(&client, "ann").await);
        assert_eq!(access["cognito:groups"], json!(["Admins"]), "as it was written");
    }
}

#[tokio::test]
async fn users_come_into_groups_and_leave_them() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let sub = house.user(&pool, "ann").await;
        house.user(&pool, "bob").await;
        for name in ["admins", "readers"] {
            group(&house, &pool, name, json!({})).await;
        }
        joins(&house, &pool, "ann", "readers").await;
        joins(&house, &pool, &sub, "admins").await;
        joins(&house, &pool, "bob", "readers").await;
        assert_eq!(groups_of(&house, &pool, "ann").await, ["admins", "readers"]);
        assert_eq!(users_in(&house, &pool, "readers").await, ["ann", "bob"]);
        let listed = house.ok("ListUsersInGroup", named(&pool, "admins")).await;
        let ann = &house
            .ok("ListUsers", json!({ "UserPoolId": pool, "Filter": "username = \"ann\"" }))
            .await["Users"][0];
        assert_eq!(&listed["Users"][0], ann);

        // Again is no fault, and changes nothing.
        joins(&house, &pool, "ann", "readers").await;
        assert_eq!(memberships(&house, &pool).await, 3);
        for _ in 0..2 {
            let left = member(&pool, "ann", "readers");
            assert_eq!(house.call("AdminRemoveUserFromGroup", left).await.body, "{}");
        }
        assert_eq!(groups_of(&house, &pool, "ann").await, ["admins"]);
        assert_eq!(users_in(&house, &pool, "readers").await, ["bob"]);
    }
}

#[tokio::test]
async fn lists_come_in_pages_whose_tokens_cannot_be_made_up_or_used_elsewhere() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        for n in 0..5 {
            group(&house, &pool, &format!("g{n}"), json!({})).await;
            joins(&house, &pool, &house.user(&pool, &format!("user{n}")).await, "g0").await;
        }
        for n in 1..5 {
            joins(&house, &pool, "user0", &format!("g{n}")).await;
        }
        let lists = [
            ("ListGroups", json!({ "UserPoolId": pool }), "Groups", "GroupName"),
            ("ListUsersInGroup", named(&pool, "g0"), "Users", "Username"),
            (
                "AdminListGroupsForUser",
                json!({ "UserPoolId": pool, "Username": "user0" }),
                "Groups",
                "GroupName",
            ),
        ];
        let mut given = Vec::new();
        for (operation, input, list, member) in &lists {
            let (mut seen, mut next, mut sizes) = (Vec::new(), Value::Null, Vec::new());
            loop {
                let mut page = input.clone();
                merge(&mut page, json!({ "Limit": 2, "NextToken": next }));
                let answer = house.ok(operation, page).await;
                let shown = texts(&answer[*list], member);
                sizes.push(shown.len());
                seen.extend(shown);
                next = answer["NextToken"].clone();
                if next.is_null() {
                    break;
                }
                given.push((*operation, next.clone()));
            }
            seen.sort();
            assert_eq!((seen.len(), sizes), (5, vec![2, 2, 1]), "{operation}");
            seen.dedup();
            assert_eq!(seen.len(), 5, "{operation} showed something twice");
            // A page that is just full is the last one; no limit and zero mean a whole page.
            for limit in [json!(5), json!(0), Value::Null] {
                let mut page = input.clone();
                merge(&mut page, json!({ "Limit": limit }));
                let answer = house.ok(operation, page).await;
                assert_eq!(answer[*list].as_array().unwrap().len(), 5, "{operation}");
                assert_eq!(answer["NextToken"], Value::Null, "{operation}");
            }
            let mut over = input.clone();
            merge(&mut over, json!({ "Limit": 61 }));
            assert_eq!(house.refused(operation, over).await.0, "InvalidParameterException");
        }
        let other = house.pool(json!({})).await;
        group(&house, &other, "g0", json!({})).await;
        let elsewhere = [
            ("ListGroups", json!({ "UserPoolId": other })),
            ("ListUsersInGroup", named(&other, "g0")),
            ("ListUsersInGroup", named(&pool, "g1")),
            ("AdminListGroupsForUser", json!({ "UserPoolId": pool, "Username": "user1" })),
        ];
        given.push(("nowhere", json!("Z3JvdXBz")));
        for (from, token) in given {
            let own = lists.iter().filter(|(operation, ..)| *operation != from);
            let own = own.map(|(operation, input, ..)| (*operation, input.clone()));
            for (operation, mut input) in own.chain(elsewhere.iter().cloned()) {
                input["NextToken"] = token.clone();
                let (kind, message) = house.refused(operation, input).await;
                assert_eq!(kind, "InvalidParameterException");
                assert!(message.starts_with("Invalid pagination token"), "{message}");
            }
        }
    }
}

#[tokio::test]
async fn tokens_say_the_groups_and_roles_of_the_moment() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let nothing = house.signs_in(&client, "ann").await;
        let (access, id) = tokens(&nothing);
        for claim in ["cognito:groups", "cognito:roles", "cognito:preferred_role"] {
            assert!(access.get(claim).is_none() && id.get(claim).is_none(), "{claim}");
        }
        group(&house, &pool, "zeroth", json!({ "Precedence": 0, "RoleArn": ADMIN })).await;
        group(&house, &pool, "alike", json!({ "Precedence": 7 })).await;
        group(&house, &pool, "also", json!({ "Precedence": 7, "RoleArn": READER })).await;
        group(&house, &pool, "anything", json!({})).await;
        for name in ["anything", "also", "alike", "zeroth"] {
            joins(&house, &pool, "ann", name).await;
        }
        let refresh = json!({ "ClientId": client, "AuthFlow": "REFRESH_TOKEN_AUTH",
            "AuthParameters": { "REFRESH_TOKEN": nothing["RefreshToken"] } });
        let refreshed = house.ok("InitiateAuth", refresh.clone()).await;
        for answer in [&refreshed["AuthenticationResult"], &house.signs_in(&client, "ann").await] {
            let (access, id) = tokens(answer);
            let groups = json!(["zeroth", "alike", "also", "anything"]);
            assert_eq!((&access["cognito:groups"], &id["cognito:groups"]), (&groups, &groups));
            assert_eq!(id["cognito:roles"], json!([ADMIN, READER]));
            assert_eq!(id["cognito:preferred_role"], ADMIN);
            assert!(access.get("cognito:roles").is_none());
            assert!(access.get("cognito:preferred_role").is_none());
        }
        house.ok("AdminRemoveUserFromGroup", member(&pool, "ann", "also")).await;
        house.ok("DeleteGroup", named(&pool, "zeroth")).await;
        let refreshed = house.ok("InitiateAuth", refresh).await;
        let (access, id) = tokens(&refreshed["AuthenticationResult"]);
        assert_eq!(access["cognito:groups"], json!(["alike", "anything"]));
        assert!(id.get("cognito:roles").is_none() && id.get("cognito:preferred_role").is_none());
    }
}

#[tokio::test]
async fn two_groups_of_one_precedence_and_different_roles_leave_no_preferred_role() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        for (name, role) in [("a", ADMIN), ("b", READER)] {
            group(&house, &pool, name, json!({ "Precedence": 1, "RoleArn": role })).await;
            joins(&house, &pool, "ann", name).await;
        }
        let (_, id) = tokens(&house.signs_in(&client, "ann").await);
        assert_eq!(id["cognito:roles"], json!([ADMIN, READER]));
        assert!(id.get("cognito:preferred_role").is_none());
        let same = json!({ "UserPoolId": pool, "GroupName": "b", "RoleArn": ADMIN });
        house.ok("UpdateGroup", same).await;
        let (_, id) = tokens(&house.signs_in(&client, "ann").await);
        assert_eq!(id["cognito:roles"], json!([ADMIN]));
        assert_eq!(id["cognito:preferred_role"], ADMIN);
    }
}

#[tokio::test]
async fn a_code_gives_tokens_with_the_groups_of_its_exchange() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, code_client()).await;
        house.user(&pool, "ann").await;
        group(&house, &pool, "admins", json!({ "RoleArn": ADMIN })).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let more = format!("&scope=openid&code_challenge={CHALLENGE}&code_challenge_method=S256");
        let answer = browser.signs_in("ann", PASSWORD, &more).await;
        joins(&house, &pool, "ann", "admins").await;
        let code = parameter(answer.header("location"), "code").unwrap();
        let answer = browser.redeems(&code).await.json();
        let read = |name: &str| claims(answer[name].as_str().unwrap());
        assert_eq!(read("access_token")["cognito:groups"], json!(["admins"]));
        assert_eq!(read("id_token")["cognito:groups"], json!(["admins"]));
        assert_eq!(read("id_token")["cognito:preferred_role"], ADMIN);
    }
}

#[tokio::test]
async fn memberships_go_with_the_group_and_with_the_user() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        for name in ["ann", "bob", "cleo"] {
            house.user(&pool, name).await;
        }
        for name in ["a", "b"] {
            group(&house, &pool, name, json!({})).await;
            for user in ["ann", "bob", "cleo"] {
                joins(&house, &pool, user, name).await;
            }
        }
        house.ok("AdminDeleteUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let bob = house.signs_in(&client, "bob").await;
        house.ok("DeleteUser", json!({ "AccessToken": bob["AccessToken"] })).await;
        assert_eq!(memberships(&house, &pool).await, 2);
        house.ok("DeleteGroup", named(&pool, "a")).await;
        assert_eq!(memberships(&house, &pool).await, 1);
        // A group of the same name begins empty.
        group(&house, &pool, "a", json!({})).await;
        assert_eq!(users_in(&house, &pool, "a").await, [""; 0]);
        assert_eq!(groups_of(&house, &pool, "cleo").await, ["b"]);
    }
}

#[tokio::test]
async fn a_deleted_pool_leaves_no_groups() {
    for house in houses_alone("groups").await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        group(&house, &pool, "a", json!({})).await;
        joins(&house, &pool, "ann", "a").await;
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        cenote::store::purge::grave(&house.app.db, &pool).await.unwrap();
        assert_eq!(memberships(&house, &pool).await, 0);
        assert_eq!(house.rows("SELECT COUNT(*) FROM groups WHERE pool_id = ?1", &pool).await, 0);
    }
}

#[tokio::test]
async fn a_large_group_is_deleted_to_its_last_member() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        group(&house, &pool, "large", json!({})).await;
        let mut batch = Batch::new();
        batch.any(
            Rank::Member,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500) \
             INSERT INTO group_members (pool_id, name, sub, joined_ms) SELECT ?1, 'large', CAST(i AS TEXT), 0 FROM n",
            params![pool.as_str()],
        );
        house.app.db.commit(batch).await.unwrap();
        assert_eq!(memberships(&house, &pool).await, 2_500);
        house.ok("DeleteGroup", named(&pool, "large")).await;
        assert_eq!(memberships(&house, &pool).await, 0);
        assert_eq!(house.refused("GetGroup", named(&pool, "large")).await, group_not_found());
    }
}

#[tokio::test]
async fn a_pool_has_at_most_ten_thousand_groups() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let mut batch = Batch::new();
        batch.any(
            Rank::Group,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) \
             INSERT INTO groups (pool_id, name, doc, ver, created_ms, modified_ms) \
             SELECT ?1, 'g' || CAST(i AS TEXT), '{}', 1, 0, 0 FROM n",
            params![pool.as_str()],
        );
        house.app.db.commit(batch).await.unwrap();
        let racers = ["one", "other"].map(|name| house.call("CreateGroup", named(&pool, name)));
        let answers = together(racers).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
        let refused = house.refused("CreateGroup", named(&pool, "more")).await;
        assert_eq!(refused, refusal("LimitExceeded", "A user pool can have at most 10000 groups."));
        assert_eq!(
            house.refused("CreateGroup", named(&pool, "g1")).await.0,
            "GroupExistsException"
        );
    }
}

#[tokio::test]
async fn a_user_is_in_at_most_a_hundred_groups_and_the_longest_names_still_make_a_working_token() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        // Of what a name may have 128 of, these take the most bytes.
        let name = |n: i32| format!("{n:0>4}{}", "語".repeat(124));
        for n in 0..102 {
            group(&house, &pool, &name(n), json!({})).await;
        }
        for n in 0..99 {
            joins(&house, &pool, "ann", &name(n)).await;
        }
        let racers = [99, 100, 101]
            .map(|n| house.call("AdminAddUserToGroup", member(&pool, "ann", &name(n))));
        let answers = together(racers).await;
        let refused: Vec<_> = answers.iter().filter(|answer| answer.status != 200).collect();
        assert_eq!(refused.len(), 2);
        for answer in refused {
            assert_eq!(answer.json()["__type"], "InvalidParameterException");
            assert_eq!(answer.json()["message"], "A user can belong to at most 100 groups.");
        }
        assert_eq!(memberships(&house, &pool).await, 100);
        // Who is in a group already is not over the limit.
        joins(&house, &pool, "ann", &name(7)).await;

        let signed_in = house.signs_in(&client, "ann").await;
        let (access, _) = tokens(&signed_in);
        assert_eq!(access["cognito:groups"].as_array().unwrap().len(), 100);
        let user = house.ok("GetUser", json!({ "AccessToken": signed_in["AccessToken"] })).await;
        assert_eq!(user["Username"], "ann");
    }
}

#[tokio::test]
async fn of_many_who_add_one_user_at_once_all_succeed_and_it_is_in_the_group_once() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        for n in 0..8 {
            group(&house, &pool, &format!("g{n}"), json!({})).await;
        }
        let racers = (0..32).map(|n| {
            house.call("AdminAddUserToGroup", member(&pool, "ann", &format!("g{}", n % 8)))
        });
        for answer in together(racers).await {
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        assert_eq!(groups_of(&house, &pool, "ann").await.len(), 8);
        assert_eq!(memberships(&house, &pool).await, 8);
    }
}

#[tokio::test]
async fn whoever_is_added_while_the_group_or_the_user_goes_leaves_nothing_behind() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let node = house.another_node(0).await;
        for round in 0..8 {
            let (gone, kept) = (format!("gone{round}"), format!("kept{round}"));
            let names: Vec<String> = (0..4).map(|n| format!("user{round}-{n}")).collect();
            for name in &names {
                house.user(&pool, name).await;
            }
            group(&house, &pool, &gone, json!({})).await;
            group(&house, &pool, &kept, json!({})).await;
            let mut racers = Vec::new();
            for (n, name) in names.iter().enumerate() {
                let by = if n % 2 == 0 { &house } else { &node };
                racers.push(by.call("AdminAddUserToGroup", member(&pool, name, &gone)));
                racers.push(by.call("AdminAddUserToGroup", member(&pool, name, &kept)));
                if n == 1 {
                    racers.push(node.call("DeleteGroup", named(&pool, &gone)));
                }
                if n < 2 {
                    let user = json!({ "UserPoolId": pool, "Username": name });
                    racers.push(house.call("AdminDeleteUser", user));
                }
            }
            let mut answers = Vec::new();
            for answer in together(racers).await {
                answers.push((answer.status.as_u16(), answer.body));
            }
            // Everybody was answered: done, or that the group or the user is not there.
            let known = |(status, body): &(u16, String)| {
                *status == 200
                    || body.contains("Group not found.")
                    || body.contains("User does not exist.")
            };
            assert!(answers.iter().all(known), "{answers:?}");
            assert_eq!(users_in(&house, &pool, &kept).await, names[2..]);
            let dangling = house
                .rows(
                    "SELECT COUNT(*) FROM group_members m WHERE m.pool_id = ?1 AND (\
                     NOT EXISTS (SELECT 1 FROM groups g WHERE g.pool_id = m.pool_id AND g.name = m.name) OR \
                     NOT EXISTS (SELECT 1 FROM users u WHERE u.pool_id = m.pool_id AND u.sub = m.sub))",
                    &pool,
                )
                .await;
            assert_eq!(dangling, 0, "round {round} on {}", house.url);
        }
    }
}

#[tokio::test]
async fn every_change_and_every_refused_change_is_in_the_audit_trail() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let sub = house.user(&pool, "ann").await;
        group(&house, &pool, "admins", json!({})).await;
        house.refused("CreateGroup", named(&pool, "admins")).await;
        let update = json!({ "UserPoolId": pool, "GroupName": "admins", "Precedence": 1 });
        house.ok("UpdateGroup", update).await;
        house.refused("AdminAddUserToGroup", member(&pool, "ann", "readers")).await;
        for _ in 0..2 {
            joins(&house, &pool, "ann", "admins").await;
        }
        for _ in 0..2 {
            house.ok("AdminRemoveUserFromGroup", member(&pool, "ann", "admins")).await;
        }
        house.ok("DeleteGroup", named(&pool, "admins")).await;
        house.refused("DeleteGroup", named(&pool, "admins")).await;

        let trail = jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await.unwrap();
        let told: Vec<[&str; 4]> = trail
            .iter()
            .filter(|entry| entry.pool_id == pool && entry.action.contains("Group"))
            .map(|entry| [&*entry.action, &*entry.target, &*entry.result, &*entry.detail])
            .collect();
        let mut wanted = vec![
            ["CreateGroup", "admins", "ok", ""],
            ["CreateGroup", "-", "GroupExistsException", ""],
            ["UpdateGroup", "admins", "ok", ""],
            ["AdminAddUserToGroup", &sub, "ResourceNotFoundException", ""],
            ["AdminAddUserToGroup", &sub, "ok", "admins"],
            ["AdminRemoveUserFromGroup", &sub, "ok", "admins"],
            ["DeleteGroup", "admins", "ok", ""],
            ["DeleteGroup", "-", "ResourceNotFoundException", ""],
        ];
        // Time stands still, so the order of entries says nothing.
        let mut told = told;
        told.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(told, wanted);
    }
}
