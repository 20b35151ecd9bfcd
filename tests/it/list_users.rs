//! ListUsers: filters, attributes, pages.

use serde_json::{Value, json};

use crate::house::{House, houses, merge};

async fn open(house: &House) -> String {
    let pool = house.pool(json!({ "UsernameConfiguration": { "CaseSensitive": false } })).await;
    for (name, given, phone) in [
        ("ann", "Ann", "+12065550001"),
        ("anna", "Anna", "+12065550002"),
        ("bob", "Bob \"B\"", "+49301234567"),
    ] {
        let attributes = json!([{ "Name": "email", "Value": format!("{name}@example.com") }, { "Name": "given_name", "Value": given },
            { "Name": "phone_number", "Value": phone }]);
        house.ok("AdminCreateUser", json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS", "UserAttributes": attributes })).await;
    }
    house.ok("AdminSetUserPassword", json!({ "UserPoolId": pool, "Username": "bob", "Password": crate::house::PASSWORD, "Permanent": true })).await;
    house.ok("AdminDisableUser", json!({ "UserPoolId": pool, "Username": "anna" })).await;
    pool
}

fn names(answer: &Value) -> Vec<String> {
    let users = answer["Users"].as_array().unwrap();
    let mut names: Vec<String> =
        users.iter().map(|user| user["Username"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

async fn found(house: &House, pool: &str, filter: &str) -> Vec<String> {
    names(&house.ok("ListUsers", json!({ "UserPoolId": pool, "Filter": filter })).await)
}

#[tokio::test]
async fn every_filter_finds_its_users() {
    for house in houses().await {
        let pool = open(&house).await;
        let sub = house.attribute(&pool, "bob", "sub").await.unwrap();
        for (filter, wanted) in [
            ("", vec!["ann", "anna", "bob"]),
            (r#"username = "ann""#, vec!["ann"]),
            (r#"username ^= "ann""#, vec!["ann", "anna"]),
            (r#"username ^= "ANN""#, vec!["ann", "anna"]),
            (r#"email="anna@example.com""#, vec!["anna"]),
            (r#"phone_number ^= "+1206""#, vec!["ann", "anna"]),
            (r#"given_name = "Bob \"B\"""#, vec!["bob"]),
            (r#"family_name = "x""#, vec![]),
            (r#"cognito:user_status = "CONFIRMED""#, vec!["bob"]),
            (r#"cognito:user_status ^= "force""#, vec!["ann", "anna"]),
            (r#"status = "Enabled""#, vec!["ann", "bob"]),
            (r#"status = "Disabled""#, vec!["anna"]),
            (r#"status ^= """#, vec!["ann", "anna", "bob"]),
            (r#"username = "an%""#, vec![]),
        ] {
            assert_eq!(found(&house, &pool, filter).await, wanted, "{filter}");
        }
        assert_eq!(found(&house, &pool, &format!("sub = \"{sub}\"")).await, ["bob"]);
        assert_eq!(found(&house, &pool, &format!("sub ^= \"{}\"", &sub[..20])).await, ["bob"]);
    }
}

#[tokio::test]
async fn pages_go_on_where_the_last_one_ended() {
    for house in houses().await {
        let pool = open(&house).await;
        for filter in
            ["", r#"email ^= "a""#, r#"status = "Enabled""#, r#"cognito:user_status ^= """#]
        {
            let mut seen = Vec::new();
            let mut input = json!({ "UserPoolId": pool, "Filter": filter, "Limit": 1 });
            loop {
                let page = house.ok("ListUsers", input.clone()).await;
                assert_eq!(page["Users"].as_array().unwrap().len(), 1, "{filter}");
                seen.extend(names(&page));
                match page.get("PaginationToken") {
                    Some(token) => merge(&mut input, json!({ "PaginationToken": token })),
                    None => break,
                }
            }
            seen.sort();
            assert_eq!(seen, found(&house, &pool, filter).await, "{filter}");
        }
        let all = house.ok("ListUsers", json!({ "UserPoolId": pool, "Limit": 0 })).await;
        assert_eq!(names(&all).len(), 3);
        assert_eq!(all.get("PaginationToken"), None);
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_own_list_only() {
    for house in houses().await {
        let (pool, other) = (open(&house).await, open(&house).await);
        let first = house.ok("ListUsers", json!({ "UserPoolId": pool, "Limit": 1 })).await;
        let token = first["PaginationToken"].as_str().unwrap();
        for input in [
            json!({ "UserPoolId": other, "PaginationToken": token }),
            json!({ "UserPoolId": pool, "PaginationToken": token, "Filter": "username ^= \"a\"" }),
            json!({ "UserPoolId": pool, "PaginationToken": format!("{token}AA") }),
            json!({ "UserPoolId": pool, "PaginationToken": "nonsense" }),
        ] {
            assert_eq!(house.refused("ListUsers", input).await.0, "InvalidParameterException");
        }
    }
}

#[tokio::test]
async fn only_the_attributes_that_were_asked_for_are_shown() {
    for house in houses().await {
        let pool = open(&house).await;
        let answer = house.ok("ListUsers", json!({ "UserPoolId": pool, "Filter": "username = \"bob\"", "AttributesToGet": ["email"] })).await;
        assert_eq!(
            answer["Users"][0]["Attributes"],
            json!([{ "Name": "email", "Value": "bob@example.com" }])
        );
        assert_eq!(answer["Users"][0]["UserStatus"], "CONFIRMED");
        let unknown = json!({ "UserPoolId": pool, "AttributesToGet": ["custom:none"] });
        assert_eq!(house.refused("ListUsers", unknown).await.0, "InvalidParameterException");
    }
}

#[tokio::test]
async fn a_filter_that_does_not_parse_is_refused() {
    for house in houses().await {
        let pool = open(&house).await;
        for filter in
            ["username", "username = ann", "username > \"a\"", "username = \"a", "email = \"a\" or"]
        {
            let (kind, message) =
                house.refused("ListUsers", json!({ "UserPoolId": pool, "Filter": filter })).await;
            assert_eq!(kind, "InvalidParameterException", "{filter}");
            assert_eq!(message, "Error while parsing filter.");
        }
        let custom = json!({ "UserPoolId": pool, "Filter": "custom:x = \"a\"" });
        assert_eq!(
            house.refused("ListUsers", custom).await.1,
            "Invalid search attribute: custom:x"
        );
        let many = json!({ "UserPoolId": pool, "Limit": 61 });
        assert_eq!(house.refused("ListUsers", many).await.0, "InvalidParameterException");
    }
}

#[tokio::test]
async fn a_filter_follows_a_change_of_the_attribute() {
    for house in houses().await {
        let pool = open(&house).await;
        let change = json!({ "UserPoolId": pool, "Username": "bob", "UserAttributes": [{ "Name": "given_name", "Value": "Robert" }] });
        house.ok("AdminUpdateUserAttributes", change).await;
        assert_eq!(found(&house, &pool, "given_name ^= \"Bob\"").await, Vec::<String>::new());
        assert_eq!(found(&house, &pool, "given_name ^= \"Rob\"").await, ["bob"]);
        house.ok("AdminDeleteUser", json!({ "UserPoolId": pool, "Username": "bob" })).await;
        assert_eq!(found(&house, &pool, "given_name ^= \"Rob\"").await, Vec::<String>::new());
    }
}
