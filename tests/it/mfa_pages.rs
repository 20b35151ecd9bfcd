//! The second factor at the hosted pages: the page of each challenge, and what happens to whoever strays.

use serde_json::{Value, json};

use crate::browser::{Browser, CALLBACK, code_client, field, parameter};
use crate::house::{Answer, House, PASSWORD, another_code, houses};
use crate::totp::{Phone, activates, demands, wrong};

const MINUTE: i64 = 60_000;

/// A pool in this mode, a client of the pages and the API, and the user ann.
async fn given(house: &House, mode: &str, more: Value) -> (String, String) {
    let pool = house.pool(json!({ "PoolName": "My pool = 1" })).await;
    let client = house.client(&pool, code_client()).await;
    house.user(&pool, "ann").await;
    demands(house, &pool, mode, more).await;
    (pool, client)
}

async fn prefers(house: &House, pool: &str, settings: Value) {
    let mut input = json!({ "UserPoolId": pool, "Username": "ann" });
    crate::house::merge(&mut input, settings);
    house.ok("AdminSetUserMFAPreference", input).await;
}

fn on() -> Value {
    json!({ "Enabled": true })
}

/// The path and query of a redirect to a page of the same pool.
fn path(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let after = answer.header("location").split_once("://").unwrap().1;
    let page = after.split_once('/').unwrap().1;
    format!("/{}", page.split_once('/').unwrap().1)
}

/// Proves the password: the path of the next page, and the page.
async fn begins(browser: &mut Browser<'_>, more: &str) -> (String, Answer) {
    let answer = browser.signs_in("ann", PASSWORD, more).await;
    let step = path(&answer);
    assert!(step.starts_with("/challenge?"), "{step}");
    let page = browser.get(&step).await;
    assert_eq!(page.status, 200, "{}", page.body);
    (step, page)
}

/// Posts one field of a page.
async fn posts(
    browser: &mut Browser<'_>,
    step: &str,
    page: &Answer,
    name: &str,
    value: &str,
) -> Answer {
    let csrf = field(&page.body, "_csrf");
    browser.post(step, &[("_csrf", &csrf), (name, value)]).await
}

fn is_back(answer: &Answer) -> bool {
    answer.header("location").starts_with(&format!("{CALLBACK}?code="))
}

#[tokio::test]
async fn the_code_of_an_app_is_asked_after_the_password_and_the_whole_query_comes_along() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = house.signs_in(&client, "ann").await["AccessToken"].clone();
        let phone = activates(&house, &token).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let (step, page) = begins(&mut browser, "&state=s%201").await;
        assert!(page.body.contains("autocomplete=\"one-time-code\""));
        assert!(page.body.contains("inputmode=\"numeric\""));
        assert!(page.body.contains("your authenticator app shows (Pixel)"), "{}", page.body);

        for bad in ["", "12345678901234567", "<b>123</b>", "\u{202e}123456"] {
            let again = posts(&mut browser, &step, &page, "code", bad).await;
            assert_eq!(again.status, 200, "{bad:?}");
            assert!(again.body.contains("id=\"code-error\""), "{bad:?}: {}", again.body);
            assert!(!again.body.contains("<b>123"));
        }
        let again = posts(&mut browser, &step, &page, "code", &wrong(&phone, &house)).await;
        assert!(again.body.contains("This code is not right."), "{}", again.body);
        assert!(again.body.contains("aria-describedby=\"code-error\""));

        // As people type it.
        let code = phone.next(&house);
        let typed = format!(" {} {}", &code[..3], &code[3..]);
        let done = posts(&mut browser, &step, &page, "code", &typed).await;
        assert!(is_back(&done), "{}", done.body);
        assert_eq!(parameter(done.header("location"), "state").as_deref(), Some("s 1"));
        // Posted twice, and the back button.
        assert_eq!(posts(&mut browser, &step, &page, "code", &code).await.status, 403);
        assert_eq!(browser.get(&step).await.status, 400);
    }
}

#[tokio::test]
async fn a_used_code_and_a_lock_are_told_beside_the_field() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let token = house.signs_in(&client, "ann").await["AccessToken"].clone();
        let phone = activates(&house, &token).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let (step, page) = begins(&mut browser, "").await;
        let again = posts(&mut browser, &step, &page, "code", &phone.code(&house)).await;
        assert!(again.body.contains("This code has already been used."), "{}", again.body);
        let bad = wrong(&phone, &house);
        for _ in 0..5 {
            posts(&mut browser, &step, &page, "code", &bad).await;
        }
        let locked = posts(&mut browser, &step, &page, "code", &bad).await;
        assert!(locked.body.contains("Too many failed attempts."), "{}", locked.body);
        assert!(locked.body.contains("id=\"code-error\""));
        house.advance(30_000);
        let code = phone.next(&house);
        assert!(is_back(&posts(&mut browser, &step, &page, "code", &code).await));
    }
}

#[tokio::test]
async fn among_several_factors_the_user_chooses_on_a_page() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        let attributes = json!([{ "Name": "phone_number", "Value": "+12065550100" }]);
        let input = json!({ "UserPoolId": pool, "Username": "ann", "UserAttributes": attributes });
        house.ok("AdminUpdateUserAttributes", input).await;
        prefers(&house, &pool, json!({ "SMSMfaSettings": on(), "EmailMfaSettings": on() })).await;
        for (factor, shown, to) in [
            ("SMS_MFA", "+*******0100", "+12065550100"),
            ("EMAIL_OTP", "a***@e***", "ann@example.com"),
        ] {
            let mut browser = Browser::new(&house, &pool, &client);
            let (step, page) = begins(&mut browser, "").await;
            assert!(
                page.body.contains("value=\"SMS_MFA\"")
                    && page.body.contains("value=\"EMAIL_OTP\"")
            );
            assert!(!page.body.contains("value=\"SOFTWARE_TOKEN_MFA\""));
            for bad in ["SOFTWARE_TOKEN_MFA", "", "<script>"] {
                let again = posts(&mut browser, &step, &page, "factor", bad).await;
                assert_eq!(again.status, 200, "the choice is asked again: {}", again.body);
            }
            let next = path(&posts(&mut browser, &step, &page, "factor", factor).await);
            let page = browser.get(&next).await;
            assert!(page.body.contains(shown), "{}", page.body);
            let code = house.code(&pool, to).await;
            let again = posts(&mut browser, &next, &page, "code", &another_code(&code)).await;
            assert!(again.body.contains("This code is not right."), "{}", again.body);
            assert!(is_back(&posts(&mut browser, &next, &page, "code", &code).await));
        }
    }
}

#[tokio::test]
async fn who_has_no_factor_where_one_is_required_sets_up_an_app_with_a_picture() {
    for house in houses().await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (pool, client) = given(&house, "ON", only_token).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let (step, page) = begins(&mut browser, "&state=x").await;
        assert!(page.body.contains("<svg class=\"qr\" role=\"img\" aria-label="), "{}", page.body);
        let address = after(&page.body, "href=\"otpauth://totp/My%20pool%20%3D%201:ann?secret=");
        let secret = address.split("&amp;").next().unwrap().to_owned();
        assert!(address.contains("&amp;issuer=My%20pool%20%3D%201\""), "{address}");
        let shown = after(&page.body, "<code class=\"key\" translate=\"no\">");
        assert_eq!(shown.split('<').next().unwrap().replace(' ', ""), secret);
        assert!(page.header("content-security-policy").contains("default-src 'none'"));
        assert!(page.header("cache-control").contains("no-store"));

        // The same secret when the page is shown again, and after a wrong code.
        let phone = Phone::new(&secret);
        let again = posts(&mut browser, &step, &page, "code", &wrong(&phone, &house)).await;
        assert!(again.body.contains("id=\"code-error\"") && again.body.contains(&secret));
        assert!(browser.get(&step).await.body.contains(&secret));

        let done = posts(&mut browser, &step, &page, "code", &phone.next(&house)).await;
        assert!(is_back(&done), "{}", done.body);
        assert_eq!(parameter(done.header("location"), "state").as_deref(), Some("x"));
        let code = parameter(done.header("location"), "code").unwrap();
        let tokens = browser
            .token(&[
                ("grant_type", "authorization_code"),
                ("client_id", &client),
                ("code", &code),
                ("redirect_uri", CALLBACK),
            ])
            .await;
        assert_eq!(tokens.status, 200, "{}", tokens.body);
        let user = house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        assert_eq!(user["UserMFASettingList"], json!(["SOFTWARE_TOKEN_MFA"]));

        // From now on it asks.
        let mut other = Browser::new(&house, &pool, &client);
        let (step, page) = begins(&mut other, "").await;
        assert!(!page.body.contains("<svg"));
        let code = phone.next(&house);
        assert!(is_back(&posts(&mut other, &step, &page, "code", &code).await));
    }
}

fn after<'a>(page: &'a str, mark: &str) -> &'a str {
    page.split_once(mark).unwrap_or_else(|| panic!("no {mark} in {page}")).1
}

#[tokio::test]
async fn an_address_can_be_set_up_on_a_page_of_its_own() {
    for house in houses().await {
        let (pool, client) = given(&house, "ON", json!({ "SmsMfaConfiguration": null })).await;
        let input =
            json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["email"] });
        house.ok("AdminDeleteUserAttributes", input).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let (step, page) = begins(&mut browser, "").await;
        assert!(page.body.contains("value=\"SOFTWARE_TOKEN_MFA\""), "{}", page.body);
        let next = path(&posts(&mut browser, &step, &page, "factor", "EMAIL_OTP").await);
        let page = browser.get(&next).await;
        let again = posts(&mut browser, &next, &page, "email", "no address").await;
        assert!(again.body.contains("id=\"email-error\""), "{}", again.body);
        let next = path(&posts(&mut browser, &next, &page, "email", "ann@new.example.com").await);
        let page = browser.get(&next).await;
        assert!(page.body.contains("a***@n***"), "{}", page.body);
        let code = house.code(&pool, "ann@new.example.com").await;
        assert!(is_back(&posts(&mut browser, &next, &page, "code", &code).await));
        assert_eq!(house.attribute(&pool, "ann", "email_verified").await.as_deref(), Some("true"));
        // The other way from the choice, in another tab, is over.
        let tab = posts(&mut browser, &step, &page, "factor", "SOFTWARE_TOKEN_MFA").await;
        assert_eq!(tab.status, 403, "{}", tab.body);
    }
}

#[tokio::test]
async fn a_new_password_is_followed_by_the_factor() {
    for house in houses().await {
        let only_token = json!({ "EmailMfaConfiguration": null, "SmsMfaConfiguration": null });
        let (pool, client) = given(&house, "ON", only_token).await;
        let input =
            json!({ "UserPoolId": pool, "Username": "ann", "Password": "Temporary-horse-9" });
        house.ok("AdminSetUserPassword", input).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let step = path(&browser.signs_in("ann", "Temporary-horse-9", "").await);
        let page = browser.get(&step).await;
        let csrf = field(&page.body, "_csrf");
        let fields =
            [("_csrf", &*csrf), ("new_password", PASSWORD), ("new_password_again", PASSWORD)];
        let next = path(&browser.post(&step, &fields).await);
        let page = browser.get(&next).await;
        assert!(page.body.contains("<svg class=\"qr\""), "{}", page.body);
        let address = after(&page.body, "?secret=");
        let phone = Phone::new(address.split("&amp;").next().unwrap());
        assert!(is_back(&posts(&mut browser, &next, &page, "code", &phone.next(&house)).await));
    }
}

#[tokio::test]
async fn a_step_is_over_after_its_time_in_another_browser_and_when_something_ended_it() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        prefers(&house, &pool, json!({ "EmailMfaSettings": on() })).await;
        let code = async || house.code(&pool, "ann@example.com").await;

        let mut browser = Browser::new(&house, &pool, &client);
        let (step, page) = begins(&mut browser, "").await;
        let mut stranger = Browser::new(&house, &pool, &client);
        stranger.opens("").await;
        assert_eq!(stranger.get(&step).await.status, 400);

        let right = code().await;
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let over = posts(&mut browser, &step, &page, "code", &right).await;
        assert_eq!(over.status, 400);
        assert!(over.body.contains("Start again"), "{}", over.body);

        for minutes in [5, 16] {
            let (step, page) = begins(&mut browser, "").await;
            let right = code().await;
            house.advance(minutes * MINUTE);
            let over = posts(&mut browser, &step, &page, "code", &right).await;
            assert_eq!(over.status, 400, "after {minutes} minutes: {}", over.body);
        }
    }
}

#[tokio::test]
async fn who_cannot_be_asked_is_told_so_at_the_login_page() {
    for house in houses().await {
        let (pool, client) = given(&house, "OPTIONAL", json!({})).await;
        prefers(&house, &pool, json!({ "EmailMfaSettings": on() })).await;
        let input =
            json!({ "UserPoolId": pool, "Username": "ann", "UserAttributeNames": ["email"] });
        house.ok("AdminDeleteUserAttributes", input).await;
        let mut browser = Browser::new(&house, &pool, &client);
        let page = browser.signs_in("ann", PASSWORD, "&lang=de").await;
        assert_eq!(page.status, 200);
        assert!(
            page.body.contains("Sie können Ihre Anmeldung nicht mehr bestätigen."),
            "{}",
            page.body
        );
    }
}
