//! The hosted pages besides the login form: each page does what it says, and bad input is told where it was typed.

use serde_json::json;

use crate::browser::{Browser, CALLBACK, code_client, field, local, parameter, target};
use crate::house::{House, PASSWORD, houses};

const TEMPORARY: &str = "Temporary-horse-1";
const MINUTE: i64 = 60_000;

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
        let step = local(answer.header("location"));
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
        let step = local(answer.header("location"));
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
        let step = local(answer.header("location"));
        house.advance(5 * MINUTE - 1);
        assert_eq!(browser.get(&step).await.status, 200);
        house.advance(1);
        let page = browser.get(&step).await;
        assert_eq!(page.status, 400);
        let again = target(&page.body, "href", "/login");
        assert!(!again.contains("step="), "{again}");
        assert!(browser.get(&again).await.body.contains("name=\"password\""));
    }
}

#[tokio::test]
async fn a_step_opens_in_no_other_browser() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        invited(&house, &pool, "ann").await;
        let mut browser = Browser::new(&house, &pool, &client);
        let step = local(browser.signs_in("ann", TEMPORARY, "").await.header("location"));
        let mut other = Browser::new(&house, &pool, &client);
        for _ in 0..2 {
            let page = other.get(&step).await;
            assert_eq!(page.status, 400);
            assert!(page.body.contains("Start again") && !page.body.contains("new_password"));
            // The second time with a cookie of its own.
            other.opens("").await;
        }
        let (start, end) = step.split_at(step.len() - 20);
        let altered =
            format!("{start}{}{}", if end.starts_with('x') { 'y' } else { 'x' }, &end[1..]);
        assert_eq!(browser.get(&altered).await.status, 400);
        assert_eq!(browser.get(&step).await.status, 200);
    }
}

/// A pool whose users sign in with their email address, which is verified.
fn by_email() -> serde_json::Value {
    json!({ "UsernameAttributes": ["email"], "AutoVerifiedAttributes": ["email"] })
}

const ANN: &str = "ann@example.com";

fn ann() -> [(&'static str, &'static str); 3] {
    [("username", ANN), ("password", PASSWORD), ("password_again", PASSWORD)]
}

/// Signs up as Ann: the page that asks for the code.
async fn signs_up(browser: &mut Browser<'_>, more: &str) -> String {
    let path = format!("/signup?{}", browser.query(more));
    let answer = browser.fills(&path, &ann()).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    local(answer.header("location"))
}

#[tokio::test]
async fn who_signs_up_and_confirms_in_the_same_browser_is_signed_in() {
    for house in houses().await {
        let (pool, client) = given(&house, by_email()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let login = browser.opens("&state=s").await;
        let signup = target(&login.body, "href", "/signup");
        assert_eq!(parameter(&signup, "state").as_deref(), Some("s"));
        let page = browser.get(&signup).await;
        assert!(page.body.contains("type=\"email\" autocomplete=\"username\""), "{}", page.body);
        assert!(page.body.contains("autocomplete=\"new-password\""));

        let answer = browser.fills(&signup, &ann()).await;
        let confirm = local(answer.header("location"));
        assert!(confirm.starts_with("/confirmUser?"), "{confirm}");
        let page = browser.get(&confirm).await;
        assert!(page.body.contains("We sent a code to ann@example.com."), "{}", page.body);
        assert!(page.body.contains("autocomplete=\"one-time-code\""));
        assert!(!page.body.contains("name=\"username\""), "nobody is asked again who they are");

        let code = house.code(&pool, ANN).await;
        let spaced = format!(" {} {} ", &code[..3], &code[3..]);
        let done = browser.fills(&confirm, &[("code", &spaced)]).await;
        assert!(done.header("location").starts_with(&format!("{CALLBACK}?code=")), "{}", done.body);
        assert_eq!(parameter(done.header("location"), "state").as_deref(), Some("s"));
        assert!(browser.opens("").await.body.contains("Sign in as ann@example.com"));
        assert_eq!(house.status(&pool, ANN).await, "CONFIRMED");
    }
}

#[tokio::test]
async fn who_confirms_elsewhere_is_asked_to_sign_in() {
    for house in houses().await {
        let (pool, client) = given(&house, by_email()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let confirm = signs_up(&mut browser, "").await;
        let code = house.code(&pool, ANN).await;

        let mut other = Browser::new(&house, &pool, &client);
        assert_eq!(other.get(&confirm).await.status, 400, "the page itself is this browser's");
        let alone = format!("/confirmUser?{}", other.query(""));
        let done = other.fills(&alone, &[("username", ANN), ("code", &code)]).await;
        let login = local(done.header("location"));
        assert!(login.starts_with("/login?"), "{login}");
        assert!(!other.cookies.contains_key("cognito"));
        let page = other.get(&login).await;
        assert!(page.body.contains("Your account is confirmed."), "{}", page.body);
        assert!(page.body.contains(&format!("value=\"{ANN}\"")));
        let done = other.fills(&login, &[("username", ANN), ("password", PASSWORD)]).await;
        assert!(done.header("location").starts_with(CALLBACK), "{}", done.body);

        // The browser that signed up learns that it is done, and is not signed in by a code that was used.
        let late = browser.fills(&confirm, &[("code", &code)]).await;
        assert_eq!(late.status, 200);
        assert!(late.body.contains("already confirmed"), "{}", late.body);
        assert!(!browser.cookies.contains_key("cognito"));
    }
}

#[tokio::test]
async fn confirming_does_not_pass_what_happened_to_the_account_meanwhile() {
    for house in houses().await {
        for what in ["disabled", "password", "signed out"] {
            let (pool, client) = given(&house, by_email()).await;
            let mut browser = Browser::new(&house, &pool, &client);
            let confirm = signs_up(&mut browser, "").await;
            let code = house.code(&pool, ANN).await;
            let user = json!({ "UserPoolId": pool, "Username": ANN });
            match what {
                "disabled" => {
                    house.ok("AdminDisableUser", user.clone()).await;
                    house.ok("AdminEnableUser", user).await;
                }
                "password" => {
                    let mut input = user;
                    crate::house::merge(
                        &mut input,
                        json!({ "Password": "Another-horse-9", "Permanent": false }),
                    );
                    house.ok("AdminSetUserPassword", input).await;
                }
                _ => {
                    house.ok("AdminUserGlobalSignOut", user).await;
                }
            }
            let answer = browser.fills(&confirm, &[("code", &code)]).await;
            assert!(!answer.header("location").starts_with(CALLBACK), "{what}");
            assert!(!browser.cookies.contains_key("cognito"), "{what}");
        }
    }
}

#[tokio::test]
async fn a_link_from_a_mail_confirms_nothing_by_being_opened() {
    for house in houses().await {
        let (pool, client) = given(&house, by_email()).await;
        signs_up(&mut Browser::new(&house, &pool, &client), "").await;
        let code = house.code(&pool, ANN).await;
        let link =
            format!("/confirmUser?client_id={client}&user_name={ANN}&confirmation_code={code}");
        let mut other = Browser::new(&house, &pool, &client);
        let page = other.get(&link).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(page.body.contains(&format!("value=\"{ANN}\"")) && page.body.contains(&code));
        assert_eq!(house.status(&pool, ANN).await, "UNCONFIRMED");
        let done = other.fills(&link, &[("username", ANN), ("code", &code)]).await;
        assert!(done.body.contains("Your account is confirmed"), "{}", done.body);
        assert_eq!(house.status(&pool, ANN).await, "CONFIRMED");
    }
}

#[tokio::test]
async fn a_new_code_takes_the_place_of_the_old_one() {
    for house in houses().await {
        let (pool, client) = given(&house, by_email()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let confirm = signs_up(&mut browser, "").await;
        let old = house.code(&pool, ANN).await;
        let page = browser.get(&confirm).await;
        let resend = target(&page.body, "action", "/resendcode");
        house.advance(1_000);
        let answer = browser.post(&resend, &[("_csrf", &field(&page.body, "_csrf"))]).await;
        let confirm = local(answer.header("location"));
        let page = browser.get(&confirm).await;
        assert!(page.body.contains("We sent a new code to ann@example.com."), "{}", page.body);
        let new = house.code(&pool, ANN).await;
        if old != new {
            let wrong = browser.fills(&confirm, &[("code", &old)]).await;
            assert!(wrong.body.contains("id=\"code-error\""), "{}", wrong.body);
        }
        let done = browser.fills(&confirm, &[("code", &new)]).await;
        assert!(done.header("location").starts_with(CALLBACK), "still signed in: {}", done.body);

        // Six in an hour are too many.
        let alone = format!("/resendcode?{}", browser.query(""));
        signs_up_as(&mut browser, "bob@example.com").await;
        for turn in 0..6 {
            let answer = browser.fills(&alone, &[("username", "bob@example.com")]).await;
            match turn {
                5 => assert!(answer.body.contains("Too many attempts"), "{}", answer.body),
                _ => assert_eq!(answer.status, 303, "{}", answer.body),
            }
        }
    }
}

async fn signs_up_as(browser: &mut Browser<'_>, name: &str) {
    let path = format!("/signup?{}", browser.query(""));
    let answer = browser.fills(&path, &[("username", name), ("password", PASSWORD)]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
}

#[tokio::test]
async fn who_signs_in_before_confirming_is_led_to_the_code() {
    for house in houses().await {
        let (pool, client) = given(&house, by_email()).await;
        signs_up(&mut Browser::new(&house, &pool, &client), "").await;
        let mut other = Browser::new(&house, &pool, &client);
        let wrong = other.signs_in(ANN, "Wrong-horse-9", "").await;
        assert_eq!(wrong.status, 200, "only who knows the password learns that");
        let answer = other.signs_in(ANN, PASSWORD, "").await;
        let confirm = local(answer.header("location"));
        let page = other.get(&confirm).await;
        assert!(page.body.contains("Your account is not confirmed yet."), "{}", page.body);
        let done = other.fills(&confirm, &[("code", &house.code(&pool, ANN).await)]).await;
        assert!(local(done.header("location")).starts_with("/login?"), "{}", done.body);
    }
}

#[tokio::test]
async fn a_forgotten_password_is_replaced_by_a_code() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({ "AliasAttributes": ["email"] })).await;
        house.user(&pool, "ann").await;
        let mut browser = Browser::new(&house, &pool, &client);
        let login = browser.opens("&state=s").await;
        let forgot = target(&login.body, "href", "/forgotPassword");
        let answer = browser.fills(&forgot, &[("username", "ann")]).await;
        let reset = local(answer.header("location"));
        assert!(reset.starts_with("/confirmForgotPassword?"), "{reset}");
        let page = browser.get(&reset).await;
        assert!(page.body.contains("a***@e***"), "{}", page.body);

        let code = house.code(&pool, ANN).await;
        let wrong = crate::house::another_code(&code);
        let new = "Another-horse-9";
        let with = |code: &str, password: &str| {
            vec![("code", code.to_owned()), ("new_password", password.to_owned())]
        };
        for (form, id) in [
            (with(&wrong, new), "code-error"),
            (with("", new), "code-error"),
            (with(&code, "short"), "new_password-error"),
        ] {
            let form: Vec<(&str, &str)> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
            let again = browser.fills(&reset, &form).await;
            assert!(again.body.contains(&format!("id=\"{id}\"")), "{}", again.body);
        }
        let done = browser.fills(&reset, &[("code", &code), ("new_password", new)]).await;
        let login = local(done.header("location"));
        assert!(login.starts_with("/login?") && login.contains("state=s"), "{login}");
        let page = browser.get(&login).await;
        assert!(page.body.contains("Your new password is saved."), "{}", page.body);
        let done = browser.fills(&login, &[("username", "ann"), ("password", new)]).await;
        assert_eq!(parameter(done.header("location"), "state").as_deref(), Some("s"));
    }
}

#[tokio::test]
async fn a_reset_by_an_administrator_leads_to_the_code_at_the_next_sign_in() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        house.user(&pool, "ann").await;
        let input = json!({ "UserPoolId": pool, "Username": "ann" });
        house.ok("AdminResetUserPassword", input).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let answer = browser.signs_in("ann", PASSWORD, "").await;
        let reset = local(answer.header("location"));
        let page = browser.get(&reset).await;
        assert!(page.body.contains("You need to choose a new password"), "{}", page.body);
        let code = house.code(&pool, ANN).await;
        let done =
            browser.fills(&reset, &[("code", &code), ("new_password", "Another-horse-9")]).await;
        assert!(local(done.header("location")).starts_with("/login?"), "{}", done.body);
        assert_eq!(house.status(&pool, "ann").await, "CONFIRMED");
    }
}

#[tokio::test]
async fn pages_do_not_tell_who_exists() {
    for house in houses().await {
        let pool = house.pool(by_email()).await;
        let mut settings = code_client();
        crate::house::merge(&mut settings, json!({ "PreventUserExistenceErrors": "ENABLED" }));
        let client = house.client(&pool, settings).await;
        house.ok("AdminCreateUser", json!({ "UserPoolId": pool, "Username": ANN, "MessageAction": "SUPPRESS",
            "UserAttributes": [{ "Name": "email", "Value": ANN }, { "Name": "email_verified", "Value": "true" }] })).await;
        let password =
            json!({ "UserPoolId": pool, "Username": ANN, "Password": PASSWORD, "Permanent": true });
        house.ok("AdminSetUserPassword", password).await;

        let mut seen: Vec<Vec<String>> = Vec::new();
        for name in [ANN, "zoe@example.com"] {
            let mut browser = Browser::new(&house, &pool, &client);
            let mut said = Vec::new();
            let forgot = format!("/forgotPassword?{}", browser.query(""));
            let answer = browser.fills(&forgot, &[("username", name)]).await;
            assert_eq!(answer.status, 303, "{name}: {}", answer.body);
            let reset = local(answer.header("location"));
            said.push(browser.get(&reset).await.body);
            let wrong = [("code", "000000"), ("new_password", "Another-horse-9")];
            said.push(browser.fills(&reset, &wrong).await.body);
            let resend = format!("/resendcode?{}", browser.query(""));
            let answer = browser.fills(&resend, &[("username", name)]).await;
            said.push(browser.get(&local(answer.header("location"))).await.body);
            let confirm = format!("/confirmUser?{}", browser.query(""));
            let wrong = [("username", name), ("code", "000000")];
            said.push(browser.fills(&confirm, &wrong).await.body);
            said.push(browser.signs_in(name, "Wrong-horse-9", "").await.body);
            seen.push(said.iter().map(|page| visible(page, name)).collect());
        }
        assert_eq!(seen[0], seen[1]);
    }
}

/// What a page says, without what differs from visit to visit and from name to name.
fn visible(page: &str, name: &str) -> String {
    let main = page.split_once("<main").unwrap().1;
    let mut text = String::new();
    for part in main.split('<') {
        let (tag, words) = part.split_once('>').unwrap_or(("", part));
        if tag.starts_with("input") && !tag.contains("hidden") {
            text.push_str(tag);
        }
        text.push_str(words);
    }
    let first = &name[..1];
    text.replace(name, "NAME").replace(&format!("{first}***@e***"), "MASKED")
}

#[tokio::test]
async fn where_only_administrators_make_users_nobody_signs_up() {
    for house in houses().await {
        let closed = json!({ "AdminCreateUserConfig": { "AllowAdminCreateUserOnly": true } });
        let (pool, client) = given(&house, closed).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let login = browser.opens("").await;
        assert!(!login.body.contains("/signup"), "{}", login.body);
        let page = browser.visits("/signup", "").await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("You cannot create an account here yourself."), "{}", page.body);
        let path = format!("/signup?{}", browser.query(""));
        let csrf = field(&login.body, "_csrf");
        let form = [("_csrf", &*csrf), ("username", "ann"), ("password", PASSWORD)];
        assert_eq!(browser.post(&path, &form).await.status, 403);
        let filter = json!({ "UserPoolId": pool });
        assert_eq!(house.ok("ListUsers", filter).await["Users"], json!([]));
    }
}

#[tokio::test]
async fn where_only_administrators_reset_passwords_the_page_says_so() {
    for house in houses().await {
        let setting = json!({ "AccountRecoverySetting": { "RecoveryMechanisms": [{ "Name": "admin_only", "Priority": 1 }] } });
        let (pool, client) = given(&house, setting).await;
        let mut browser = Browser::new(&house, &pool, &client);
        assert!(!browser.opens("").await.body.contains("/forgotPassword"));
        let page = browser.visits("/forgotPassword", "").await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("by an administrator"), "{}", page.body);
    }
}

#[tokio::test]
async fn sign_up_asks_for_what_the_pool_requires_and_an_address_for_the_code() {
    for house in houses().await {
        let required =
            |name: &str| json!({ "Name": name, "AttributeDataType": "String", "Required": true });
        let pool = json!({ "AutoVerifiedAttributes": ["email"],
            "Schema": [required("given_name"), required("birthdate"), required("phone_number")] });
        let (pool, client) = given(&house, pool).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.visits("/signup", "").await;
        for token in ["username", "email", "given-name", "bday", "tel", "new-password"] {
            assert!(
                page.body.contains(&format!("autocomplete=\"{token}\"")),
                "{token}: {}",
                page.body
            );
        }
        let path = format!("/signup?{}", browser.query(""));
        let answer = browser
            .fills(
                &path,
                &[
                    ("username", "ann"),
                    ("email", ANN),
                    ("given_name", "Ann"),
                    ("birthdate", "2000-02-29"),
                    ("phone_number", "+49 (0)170 123-4567"),
                    ("password", PASSWORD),
                    ("password_again", PASSWORD),
                ],
            )
            .await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let phone = house.attribute(&pool, "ann", "phone_number").await;
        assert_eq!(phone.as_deref(), Some("+491701234567"), "as people write it");
        assert_eq!(house.attribute(&pool, "ann", "given_name").await.as_deref(), Some("Ann"));
    }
}

#[tokio::test]
async fn a_pool_that_verifies_nothing_says_who_confirms() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        let answer = browser.fills(&path, &[("username", "ann"), ("password", PASSWORD)]).await;
        let page = browser.get(&local(answer.header("location"))).await;
        assert!(
            page.body.contains("as soon as an administrator has confirmed it"),
            "{}",
            page.body
        );
    }
}

#[tokio::test]
async fn a_client_whose_users_do_not_sign_in_here_has_no_pages() {
    for house in houses().await {
        let pool = house.pool(by_email()).await;
        let backend = house.client(&pool, json!({ "GenerateSecret": true })).await;
        let mut browser = Browser::new(&house, &pool, &backend);
        for page in
            ["/signup", "/forgotPassword", "/confirmForgotPassword", "/confirmUser", "/resendcode"]
        {
            let answer = browser.get(&format!("{page}?client_id={backend}")).await;
            let location = answer.header("location");
            assert!(
                location.contains("/error?error=unauthorized_client"),
                "{page}: {}",
                answer.body
            );
            let nobody = browser.get(&format!("{page}?client_id=nobody")).await;
            assert!(nobody.header("location").contains("/error?error=invalid_client"));
        }
    }
}

#[tokio::test]
async fn select_account_offers_the_account_even_where_it_is_used_silently() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        house.user(&pool, "ann").await;
        let domain = format!("select-{}", pool.split_once('_').unwrap().1.to_lowercase());
        let input = json!({ "UserPoolId": pool, "Domain": domain, "ManagedLoginVersion": 2 });
        house.ok("CreateUserPoolDomain", input).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        let silent = browser.visits("/oauth2/authorize", "").await;
        assert!(silent.header("location").starts_with(CALLBACK), "{}", silent.body);
        let none = browser.visits("/oauth2/authorize", "&prompt=none").await;
        assert!(none.header("location").starts_with(&format!("{CALLBACK}?code=")));
        let select = browser.visits("/oauth2/authorize", "&prompt=select_account").await;
        let page = browser.get(&local(select.header("location"))).await;
        assert!(page.body.contains("Sign in as ann"), "{}", page.body);
        let login = browser.visits("/oauth2/authorize", "&prompt=login").await;
        let page = browser.get(&local(login.header("location"))).await;
        assert!(page.body.contains("name=\"password\""), "{}", page.body);
        house.advance(90_000);
        let old = browser.visits("/oauth2/authorize", "&max_age=60").await;
        let page = browser.get(&local(old.header("location"))).await;
        assert!(page.body.contains("name=\"password\""), "older than max_age: {}", page.body);
    }
}
