//! The hosted pages besides the login form: each page does what it says, and bad input is told where it was typed.

use serde_json::json;

use crate::browser::{Browser, CALLBACK, code_client, field, parameter};
use crate::house::{House, PASSWORD, houses};

const TEMPORARY: &str = "Temporary-horse-1";
const MINUTE: i64 = 60_000;

/// The path and query of a redirect to a page of the same pool.
fn path(location: &str) -> String {
    let after = location.split_once("://").unwrap().1;
    let page = after.split_once('/').unwrap().1;
    format!("/{}", page.split_once('/').unwrap().1)
}

async fn given(house: &House, pool: serde_json::Value) -> (String, String) {
    let pool = house.pool(pool).await;
    let client = house.client(&pool, code_client()).await;
    (pool, client)
}

async fn invited(house: &House, pool: &str, name: &str) {
    let input = json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS", "TemporaryPassword": TEMPORARY });
    house.ok("AdminCreateUser", input).await;
}

#[tokio::test]
async fn whom_an_administrator_made_chooses_a_password_and_is_signed_in() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        invited(&house, &pool, "ann").await;
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser.signs_in("ann", TEMPORARY, "&state=s%201").await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let step = path(answer.header("location"));
        assert!(step.starts_with("/challenge?"), "{step}");
        assert_eq!(
            parameter(&step, "state").as_deref(),
            Some("s 1"),
            "the whole query comes along"
        );

        let page = browser.get(&step).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains("autocomplete=\"new-password\""));
        assert!(page.body.contains("At least 8 characters"), "{}", page.body);
        let csrf = field(&page.body, "_csrf");

        let weak = [("_csrf", &*csrf), ("new_password", "short"), ("new_password_again", "short")];
        let again = browser.post(&step, &weak).await;
        assert_eq!(again.status, 200);
        assert!(again.body.contains("id=\"new_password-error\""), "{}", again.body);
        assert!(again.body.contains("aria-describedby=\"new_password-error new_password-hint\""));
        assert!(!again.body.contains("value=\"short\""), "passwords are never shown again");

        let differ = [
            ("_csrf", &*csrf),
            ("new_password", PASSWORD),
            ("new_password_again", "Other-horse-9"),
        ];
        let again = browser.post(&step, &differ).await;
        assert!(again.body.contains("The two passwords are not the same."), "{}", again.body);

        let good =
            [("_csrf", &*csrf), ("new_password", PASSWORD), ("new_password_again", PASSWORD)];
        let done = browser.post(&step, &good).await;
        assert!(done.header("location").starts_with(&format!("{CALLBACK}?code=")), "{}", done.body);
        assert_eq!(parameter(done.header("location"), "state").as_deref(), Some("s 1"));
        assert_eq!(house.status(&pool, "ann").await, "CONFIRMED");

        // The back button, and a second press of the button.
        let back = browser.get(&step).await;
        assert_eq!(back.status, 400);
        assert!(back.body.contains("Start again"), "{}", back.body);
        assert_eq!(browser.post(&step, &good).await.status, 403);
    }
}

#[tokio::test]
async fn attributes_that_the_pool_requires_are_asked_with_the_new_password() {
    for house in houses().await {
        let required =
            |name: &str| json!({ "Name": name, "AttributeDataType": "String", "Required": true });
        let schema = json!({ "Schema": [required("email"), required("birthdate")] });
        let (pool, client) = given(&house, schema).await;
        invited(&house, &pool, "ann").await;
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser.signs_in("ann", TEMPORARY, "").await;
        let step = path(answer.header("location"));
        let page = browser.get(&step).await;
        assert!(page.body.contains("type=\"email\" autocomplete=\"email\""), "{}", page.body);
        assert!(page.body.contains("type=\"date\" autocomplete=\"bday\""), "{}", page.body);
        let csrf = field(&page.body, "_csrf");
        let with = |email: &'static str, birthdate: &'static str| {
            vec![("new_password", PASSWORD), ("email", email), ("birthdate", birthdate)]
        };
        for (fields, wrong) in [
            (with("not an address", "2000-01-01"), "email-error"),
            (with("", "2000-01-01"), "email-error"),
            (with("ann@example.com", "x"), "birthdate-error"),
        ] {
            let mut form = vec![("_csrf", csrf.as_str())];
            form.extend(fields);
            let again = browser.post(&step, &form).await;
            assert!(again.body.contains(&format!("id=\"{wrong}\"")), "{}", again.body);
        }
        let mut form = vec![("_csrf", csrf.as_str())];
        form.extend(with("ann@example.com", "2000-01-01"));
        let done = browser.post(&step, &form).await;
        assert!(done.header("location").starts_with(CALLBACK), "{}", done.body);
        let email = house.attribute(&pool, "ann", "email").await;
        assert_eq!(email.as_deref(), Some("ann@example.com"));
    }
}

#[tokio::test]
async fn a_step_expires_after_five_minutes_and_lets_one_start_again() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        invited(&house, &pool, "ann").await;
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser.signs_in("ann", TEMPORARY, "&state=s").await;
        let step = path(answer.header("location"));
        house.advance(5 * MINUTE - 1);
        assert_eq!(browser.get(&step).await.status, 200);
        house.advance(1);
        let page = browser.get(&step).await;
        assert_eq!(page.status, 400);
        let again = page.body.split_once("href=\"").unwrap().1.split('"').next().unwrap();
        let again = path(&again.replace("&amp;", "&"));
        assert!(again.starts_with("/login?") && !again.contains("step="), "{again}");
        assert!(browser.get(&again).await.body.contains("name=\"password\""));
    }
}

#[tokio::test]
async fn a_step_opens_in_no_other_browser() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        invited(&house, &pool, "ann").await;
        let mut browser = Browser::new(&house, &pool, &client);
        let step = path(browser.signs_in("ann", TEMPORARY, "").await.header("location"));
        let mut other = Browser::new(&house, &pool, &client);
        for _ in 0..2 {
            let page = other.get(&step).await;
            assert_eq!(page.status, 400);
            assert!(page.body.contains("Start again") && !page.body.contains("new_password"));
            // The second time with a cookie of its own.
            other.opens("").await;
        }
        let altered = format!("{}A", &step[..step.len() - 1]);
        assert_eq!(browser.get(&altered).await.status, 400);
        assert_eq!(browser.get(&step).await.status, 200);
    }
}
