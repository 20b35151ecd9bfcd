//! Bad input on the hosted pages: a clear answer on a page of ours, and nothing is lost.

use axum::http::Method;
use cenote::config::Settings;
use cenote::limits::Rates;
use serde_json::json;
use url::form_urlencoded;

use crate::browser::{Browser, CALLBACK, code_client, field, local, target};
use crate::house::{Answer, House, PASSWORD, another_code, houses, houses_with, together};

const TEMPORARY: &str = "Temporary-horse-1";

async fn given(house: &House) -> (String, String) {
    let required = json!({ "Name": "given_name", "AttributeDataType": "String", "Required": true });
    let pool =
        house.pool(json!({ "AutoVerifiedAttributes": ["email"], "Schema": [required] })).await;
    let client = house.client(&pool, code_client()).await;
    (pool, client)
}

async fn invited(house: &House, pool: &str, name: &str) {
    let input = json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS", "TemporaryPassword": TEMPORARY,
        "UserAttributes": [{ "Name": "given_name", "Value": "X" }] });
    house.ok("AdminCreateUser", input).await;
}

fn sign_up_form(name: &'static str, email: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("username", name),
        ("given_name", "Ann"),
        ("email", email),
        ("password", PASSWORD),
        ("password_again", PASSWORD),
    ]
}

/// Every page with a form, with its fields filled in well enough.
async fn pages(
    house: &House,
    pool: &str,
    browser: &mut Browser<'_>,
) -> Vec<(String, Vec<(&'static str, &'static str)>)> {
    invited(house, pool, "eve").await;
    let step = local(browser.signs_in("eve", TEMPORARY, "").await.header("location"));
    let query = browser.query("");
    vec![
        (format!("/login?{query}"), vec![("username", "ann"), ("password", "Wrong-horse-9")]),
        (format!("/signup?{query}"), sign_up_form("ann", "ann@example.com")),
        (format!("/confirmUser?{query}"), vec![("username", "ann"), ("code", "123456")]),
        (format!("/resendcode?{query}"), vec![("username", "ann")]),
        (format!("/forgotPassword?{query}"), vec![("username", "ann")]),
        (
            format!("/confirmForgotPassword?{query}"),
            vec![("username", "ann"), ("code", "123456"), ("new_password", PASSWORD)],
        ),
        (step, vec![("new_password", PASSWORD), ("new_password_again", PASSWORD)]),
    ]
}

fn is_a_clear_answer(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 200, "{what}: {}", answer.body);
    assert!(answer.body.contains("errorMessage-customizable"), "{what}: {}", answer.body);
    assert!(answer.body.contains("role=\"alert\""), "{what}: {}", answer.body);
    assert!(!answer.body.contains("<script"), "{what}: {}", answer.body);
    assert_eq!(answer.body.matches("<h1").count(), 1, "{what}");
}

#[tokio::test]
async fn every_field_of_every_page_empty_too_long_or_with_characters_that_hide_is_told_beside_it() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let long = "x".repeat(3_000);
        for (path, good) in pages(&house, &pool, &mut browser).await {
            for (wrong, _) in &good {
                for bad in ["", "  ", &long, "a\u{7}b", "a\u{202e}b", "a\u{200b}b"] {
                    let secret = wrong.contains("password");
                    // A password may hold anything that can be typed.
                    if secret && !bad.is_empty() && bad.len() < 100 {
                        continue;
                    }
                    let form: Vec<(&str, &str)> = good
                        .iter()
                        .map(|(name, value)| (*name, if name == wrong { bad } else { *value }))
                        .collect();
                    let answer = browser.fills(&path, &form).await;
                    let what = format!("{wrong} of {path} as {:?}", &bad[..bad.len().min(20)]);
                    is_a_clear_answer(&answer, &what);
                    let error = format!("id=\"{wrong}-error\"");
                    assert!(answer.body.contains(&error), "{what}: {}", answer.body);
                    let described =
                        format!("aria-invalid=\"true\" aria-describedby=\"{wrong}-error");
                    assert!(answer.body.contains(&described), "{what}: {}", answer.body);
                    assert!(!answer.body.contains('\u{202e}') && !answer.body.contains('\u{7}'));
                    // What was right stays; passwords never do.
                    for (name, value) in good.iter().filter(|(name, _)| name != wrong) {
                        let kept = answer.body.contains(&format!(" value=\"{value}\""));
                        assert_eq!(kept, !name.contains("password"), "{name} after {what}");
                    }
                }
            }
        }
        let users = house.ok("ListUsers", json!({ "UserPoolId": pool })).await;
        assert_eq!(users["Users"].as_array().unwrap().len(), 1, "nobody but eve");
    }
}

#[tokio::test]
async fn html_in_any_field_stays_text() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let html = "\"><script>alert(1)</script>";
        for (path, good) in pages(&house, &pool, &mut browser).await {
            let form: Vec<(&str, &str)> = good.iter().map(|(name, _)| (*name, html)).collect();
            let answer = browser.fills(&path, &form).await;
            assert!(answer.status.as_u16() < 400, "{path}: {}", answer.body);
            assert!(!answer.body.contains("<script"), "{path}: {}", answer.body);
        }
        for page in ["/login", "/signup", "/forgotPassword", "/confirmUser", "/error"] {
            let html: String = form_urlencoded::byte_serialize(html.as_bytes()).collect();
            let more = format!(
                "&login_hint={html}&user_name={html}&confirmation_code={html}&state={html}&error={html}"
            );
            let answer = browser.visits(page, &more).await;
            assert!(!answer.body.contains("<script"), "{page}: {}", answer.body);
        }
    }
}

#[tokio::test]
async fn a_sign_up_form_posted_twice_makes_one_user_and_one_mail() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        let page = browser.get(&path).await;
        let (csrf, id) = (field(&page.body, "_csrf"), field(&page.body, "form"));
        let mut form = vec![("_csrf", csrf.as_str()), ("form", id.as_str())];
        form.extend(sign_up_form("ann", "ann@example.com"));
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(&form).finish();
        let racers = (0..8).map(|_| {
            let mut racer = Browser::new(&house, &pool, &client);
            racer.cookies = browser.cookies.clone();
            let (path, body) = (path.clone(), body.clone());
            async move { racer.send(Method::POST, &path, Some(body), &[]).await }
        });
        let mut steps = Vec::new();
        for answer in together(racers).await {
            assert_eq!(answer.status, 303, "{}", answer.body);
            steps.push(local(answer.header("location")));
        }
        assert_eq!(house.outbox(&pool, "ann@example.com").await.len(), 1);
        let code = house.code(&pool, "ann@example.com").await;
        let done = browser.fills(steps.last().unwrap(), &[("code", &code)]).await;
        assert!(done.header("location").starts_with(CALLBACK), "{}", done.body);

        // Another form with the same name is another sign-up, and so is the same form with another password.
        let mut other = Browser::new(&house, &pool, &client);
        let again = other.fills(&path, &sign_up_form("ann", "ann@example.com")).await;
        is_a_clear_answer(&again, "a name that is taken");
        assert!(again.body.contains("This name is already taken."), "{}", again.body);
    }
}

#[tokio::test]
async fn a_confirmation_posted_twice_signs_in_once_and_says_so() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        let answer = browser.fills(&path, &sign_up_form("ann", "ann@example.com")).await;
        let confirm = local(answer.header("location"));
        let csrf = field(&browser.get(&confirm).await.body, "_csrf");
        let code = house.code(&pool, "ann@example.com").await;
        let form = [("_csrf", csrf.as_str()), ("code", code.as_str())];
        let before = browser.cookies.clone();
        let first = browser.post(&confirm, &form).await;
        assert!(first.header("location").starts_with(CALLBACK), "{}", first.body);
        let second = browser.post(&confirm, &form).await;
        assert_eq!(second.status, 403);
        assert!(second.body.contains("Start again"), "{}", second.body);
        // A second press before the first answer came.
        let mut early = Browser::new(&house, &pool, &client);
        early.cookies = before;
        let second = early.post(&confirm, &form).await;
        assert!(second.body.contains("already confirmed"), "{}", second.body);
        assert!(!early.cookies.contains_key("cognito"));
    }
}

/// The form that a browser shows again is the same one, but what is typed into it need not be.
#[tokio::test]
async fn who_goes_back_and_corrects_their_address_is_not_told_that_the_old_one_got_the_code() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        let page = browser.get(&path).await;
        let id = field(&page.body, "form");
        let mut form = sign_up_form("ann", "ann@exmaple.com");
        form.push(("form", id.as_str()));
        assert_eq!(browser.fills(&path, &form).await.status, 303);
        let mut form = sign_up_form("ann", "ann@example.com");
        form.push(("form", id.as_str()));
        let corrected = browser.fills(&path, &form).await;
        assert_eq!(corrected.status, 200, "{}", corrected.body);
        assert!(corrected.body.contains("This name is already taken."), "{}", corrected.body);
        assert!(corrected.body.contains("value=\"ann@example.com\""), "what was typed stays");
    }
}

/// Also where the client hides who exists: this browser has made the account.
#[tokio::test]
async fn a_second_press_of_confirm_learns_that_it_is_done_where_existence_is_hidden() {
    for house in houses().await {
        let (pool, _) = given(&house).await;
        let mut settings = code_client();
        settings["PreventUserExistenceErrors"] = json!("ENABLED");
        let client = house.client(&pool, settings).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        let answer = browser.fills(&path, &sign_up_form("ann", "ann@example.com")).await;
        let confirm = local(answer.header("location"));
        let csrf = field(&browser.get(&confirm).await.body, "_csrf");
        let code = house.code(&pool, "ann@example.com").await;
        let form = [("_csrf", csrf.as_str()), ("code", code.as_str())];
        let mut early = Browser::new(&house, &pool, &client);
        early.cookies = browser.cookies.clone();
        let first = browser.post(&confirm, &form).await;
        assert!(first.header("location").starts_with(CALLBACK), "{}", first.body);
        let second = early.post(&confirm, &form).await;
        assert_eq!(second.status, 303, "{}", second.body);
        let login = early.get(&local(second.header("location"))).await;
        assert!(login.body.contains("Your account is confirmed."), "{}", login.body);
        assert!(!early.cookies.contains_key("cognito"));

        // Another browser that names the user learns nothing.
        let mut other = Browser::new(&house, &pool, &client);
        let alone = format!("/confirmUser?{}", other.query(""));
        let told = other.fills(&alone, &[("username", "ann"), ("code", &code)]).await;
        let nobody = other.fills(&alone, &[("username", "bob"), ("code", &code)]).await;
        assert_eq!(told.status, nobody.status);
        assert_eq!(told.status, 200);
        assert!(!told.body.contains("confirmed."), "{}", told.body);
    }
}

#[tokio::test]
async fn two_tabs_in_different_steps_do_not_disturb_each_other_until_one_signs_in() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        invited(&house, &pool, "ann").await;
        invited(&house, &pool, "bob").await;
        let mut browser = Browser::new(&house, &pool, &client);
        let one = local(browser.signs_in("ann", TEMPORARY, "&state=1").await.header("location"));
        let two = local(browser.signs_in("bob", TEMPORARY, "&state=2").await.header("location"));
        let signup = browser.visits("/signup", "&state=3").await;
        assert_eq!(signup.status, 200);
        for (step, name) in [(&one, "ann"), (&two, "bob")] {
            let page = browser.get(step).await;
            assert!(page.body.contains(&format!("value=\"{name}\"")), "{}", page.body);
        }
        let csrf = field(&browser.get(&one).await.body, "_csrf");
        let done = browser.fills(&two, &[("new_password", PASSWORD)]).await;
        assert!(done.header("location").contains("state=2"), "{}", done.body);
        let late = browser.post(&one, &[("_csrf", &csrf), ("new_password", PASSWORD)]).await;
        assert_eq!(late.status, 403);
        let again = target(&late.body, "href", "/login");
        assert!(browser.get(&again).await.body.contains("Sign in as bob"));
        assert_eq!(house.status(&pool, "ann").await, "FORCE_CHANGE_PASSWORD");
    }
}

#[tokio::test]
async fn without_cookies_a_page_says_that_they_are_needed() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        for (path, fields) in pages(&house, &pool, &mut browser).await {
            let page = browser.get(&path).await;
            let csrf = field(&page.body, "_csrf");
            let mut bare = Browser::new(&house, &pool, &client);
            let mut form = vec![("_csrf", csrf.as_str())];
            form.extend(fields);
            let answer = bare.post(&path, &form).await;
            assert_eq!(answer.status, 403, "{path}");
            assert!(answer.body.contains("Please allow cookies for this site"), "{}", answer.body);
            assert!(answer.body.contains("Start again"), "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn who_came_to_sign_up_without_a_sign_in_starts_again_there() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let alone = format!("/signup?client_id={client}");
        let form = sign_up_form("ann", "ann@example.com");
        let refused = browser.post(&alone, &form).await;
        assert_eq!(refused.status, 403);
        let again = target(&refused.body, "href", "/signup");
        assert_eq!(browser.get(&again).await.status, 200);
    }
}

#[tokio::test]
async fn what_a_request_says_is_shown_without_characters_that_hide_and_never_cut_short() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.get("/login?%E2%80%AEevil=1&%E2%80%AEevil=2").await;
        assert_eq!(page.status, 400);
        assert!(page.body.contains("evil") && !page.body.contains('\u{202e}'), "{}", page.body);

        let nonce = format!("&nonce={}", "n".repeat(1_025));
        let refused = browser.opens(&nonce).await;
        let location = refused.header("location");
        assert!(location.starts_with(&format!("{CALLBACK}?error=invalid_request")), "{location}");
        assert_eq!(browser.opens(nonce.trim_end_matches('n')).await.status, 200);
    }
}

#[tokio::test]
async fn a_code_for_another_user_is_wrong() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        browser.fills(&path, &sign_up_form("ann", "ann@example.com")).await;
        let answer = browser.fills(&path, &sign_up_form("bob", "bob@example.com")).await;
        let confirm = local(answer.header("location"));
        let (anns, bobs) = (
            house.code(&pool, "ann@example.com").await,
            house.code(&pool, "bob@example.com").await,
        );
        let foreign = if anns == bobs { another_code(&bobs) } else { anns };
        let answer = browser.fills(&confirm, &[("code", &foreign)]).await;
        assert!(answer.body.contains("This code is not right."), "{}", answer.body);
        assert!(answer.body.contains("id=\"code-error\""));
        assert_eq!(house.status(&pool, "bob").await, "UNCONFIRMED");
        let done = browser.fills(&confirm, &[("code", &bobs)]).await;
        assert!(done.header("location").starts_with(CALLBACK), "{}", done.body);
    }
}

#[tokio::test]
async fn a_page_that_waits_for_a_code_expires_and_the_code_can_still_be_entered() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        let answer = browser.fills(&path, &sign_up_form("ann", "ann@example.com")).await;
        let confirm = local(answer.header("location"));
        house.advance(5 * 60_000);
        let page = browser.get(&confirm).await;
        assert_eq!(page.status, 400);
        let again = target(&page.body, "href", "/confirmUser");
        let code = house.code(&pool, "ann@example.com").await;
        let done = browser.fills(&again, &[("username", "ann"), ("code", &code)]).await;
        assert!(local(done.header("location")).starts_with("/login?"), "{}", done.body);
    }
}

#[tokio::test]
async fn nobody_is_flooded_with_codes_by_sign_ups_under_many_names() {
    // As in `cenote serve`; in dev there is no such limit.
    let settings = Settings {
        rate_limits: Rates::off().with(&"messages_per_address=20".parse().unwrap()),
        ..Settings::default()
    };
    for house in houses_with(settings).await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let path = format!("/signup?{}", browser.query(""));
        for turn in 0..21 {
            let name = format!("ann{turn}");
            let mut form = sign_up_form("", "ann@example.com");
            let form: Vec<(&str, &str)> = form
                .drain(..)
                .map(|(key, value)| (key, if key == "username" { name.as_str() } else { value }))
                .collect();
            let answer = browser.fills(&path, &form).await;
            match turn {
                20 => assert!(answer.body.contains("Too many attempts"), "{}", answer.body),
                _ => assert_eq!(answer.status, 303, "{turn}: {}", answer.body),
            }
        }
        assert_eq!(house.outbox(&pool, "ann@example.com").await.len(), 20);
        house.advance(60 * 60_000);
        let answer = browser.fills(&path, &sign_up_form("late", "ann@example.com")).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
    }
}

#[tokio::test]
async fn errors_are_told_in_the_language_of_the_page() {
    for house in houses().await {
        let (pool, client) = given(&house).await;
        let mut browser = Browser::new(&house, &pool, &client);
        for (path, good) in pages(&house, &pool, &mut browser).await {
            let path = format!("{path}&lang=de");
            let page = browser.get(&path).await;
            assert!(page.body.contains("<html lang=\"de\">"), "{}", page.body);
            let empty: Vec<(&str, &str)> = good.iter().map(|(name, _)| (*name, "")).collect();
            let answer = browser.fills(&path, &empty).await;
            assert!(answer.body.contains("Bitte füllen Sie dieses Feld aus."), "{}", answer.body);
            let refused = browser.fills(&path, &good).await;
            for english in ["Incorrect", "User ", "Password ", "Invalid ", "Attempt"] {
                assert!(!refused.body.contains(english), "{path}: {}", refused.body);
            }
        }
        let error = browser.visits("/error", "&error=redirect_mismatch&lang=de").await;
        assert!(error.body.contains("nicht in den CallbackURLs"), "{}", error.body);
    }
}
