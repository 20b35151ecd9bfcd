//! `/logout` asks the browser to tell app clients that want it so (OIDC Front-Channel Logout 1.0).

use axum::http::Method;
use serde_json::json;

use crate::backchannel::{sid, signs_in_again};
use crate::browser::{BYE, Browser, code_client, parameter};
use crate::house::{Answer, PASSWORD, houses_apart as houses};
use crate::provider::Provider;
use crate::relying_party::{RelyingParty, deliver, deliveries_of, extend};
use crate::upstream_sign_out::{given_openid, signs_in_at};

const WINDOW: [(&str, &str); 2] = [("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")];

fn logout(client: &str) -> String {
    let uri: String = url::form_urlencoded::byte_serialize(BYE.as_bytes()).collect();
    format!("/logout?client_id={client}&logout_uri={uri}")
}

/// The addresses that the page loads.
fn frames(page: &Answer) -> Vec<String> {
    let without_scripts = page.body.split("<noscript><iframe").nth(1);
    assert!(without_scripts.is_some(), "{}", page.body);
    let parties = page.body.split("id=\"parties\"").nth(1).unwrap().split("</div>").next().unwrap();
    parties
        .split("<a href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().replace("&amp;", "&"))
        .collect()
}

#[tokio::test]
async fn the_browser_loads_the_address_of_each_client_of_its_session_and_goes_on() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let (one, two) =
            (house.client(&pool, code_client()).await, house.client(&pool, code_client()).await);
        let silent = house.client(&pool, code_client()).await;
        extend(
            &house,
            &one,
            json!({ "FrontchannelLogoutUri": "https://one.example/out?tenant=1" }),
        )
        .await;
        extend(&house, &two, json!({ "FrontchannelLogoutUri": "http://localhost:7/a;b" })).await;
        let mut browser = Browser::new(&house, &pool, &one);
        let first = sid(&browser.gets_tokens("ann", PASSWORD).await);
        let mut there = Browser::new(&house, &pool, &two);
        there.cookies = browser.cookies.clone();
        let second = sid(&signs_in_again(&mut there).await);
        let mut quiet = Browser::new(&house, &pool, &silent);
        quiet.cookies = there.cookies.clone();
        signs_in_again(&mut quiet).await;
        let cookie = quiet.cookies["cognito"].clone();

        let page = quiet.send(Method::GET, &logout(&silent), None, &WINDOW).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(!page.header("x-cenote-signout").is_empty());
        assert_eq!(page.cookie("cognito").as_deref(), Some(""));
        let frames = frames(&page);
        assert_eq!(frames.len(), 2, "{frames:?}");
        let iss = format!("{}/{pool}", house.app.settings.public_url);
        for (start, sid) in [
            ("http://localhost:7/a;b?iss=", second),
            ("https://one.example/out?tenant=1&iss=", first),
        ] {
            let frame = frames.iter().find(|frame| frame.starts_with(start)).unwrap();
            assert_eq!(parameter(frame, "iss").as_deref(), Some(iss.as_str()));
            assert_eq!(parameter(frame, "sid"), Some(sid));
        }
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains(" frame-src http://localhost:7/a%3Bb https://one.example/out;"),
            "{policy}"
        );
        // It goes on by itself, after two seconds at the latest, and without scripts, too.
        assert!(page.body.contains(&format!("data-next=\"{BYE}\"")), "{}", page.body);
        assert!(page.body.contains("setTimeout(on,2000)"));
        assert_eq!(page.header("refresh"), format!("2;url={BYE}"));
        assert!(page.body.contains(&format!("href=\"{BYE}\"")));

        // The session was over before.
        quiet.cookies.insert("cognito".into(), cookie);
        assert!(quiet.opens("").await.body.contains("name=\"password\""));
        let again = quiet.send(Method::GET, &logout(&silent), None, &WINDOW).await;
        assert_eq!((again.status.as_u16(), again.header("location")), (302, BYE));
    }
}

#[tokio::test]
async fn without_such_clients_and_where_no_page_is_shown_it_redirects_as_ever() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let client = house.client(&pool, code_client()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.gets_tokens("ann", PASSWORD).await;
        let answer = browser.send(Method::GET, &logout(&client), None, &WINDOW).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));

        RelyingParty::of(&house, &client, json!({})).await;
        browser.gets_tokens("ann", PASSWORD).await;
        let answer = browser.send(Method::GET, &logout(&client), None, &WINDOW).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));

        extend(&house, &client, json!({ "FrontchannelLogoutUri": "https://rp.example/out" })).await;
        browser.gets_tokens("ann", PASSWORD).await;
        let answer = browser.get(&logout(&client)).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));
    }
}

#[tokio::test]
async fn a_refused_address_still_tells_the_clients_first() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let client = house.client(&pool, code_client()).await;
        extend(&house, &client, json!({ "FrontchannelLogoutUri": "https://rp.example/out" })).await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.gets_tokens("ann", PASSWORD).await;
        let path = format!("/logout?client_id={client}&logout_uri=https%3A%2F%2Fevil.example");
        let page = browser.send(Method::GET, &path, None, &WINDOW).await;
        assert_eq!(page.status, 200);
        assert_eq!(frames(&page).len(), 1);
        assert!(page.body.contains("/error?"), "{}", page.body);
        assert!(!page.body.contains("href=\"https://evil.example"));
    }
}

#[tokio::test]
async fn a_browser_that_is_led_through_a_provider_tells_the_clients_on_its_way() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        extend(&house, &client, json!({ "FrontchannelLogoutUri": "https://rp.example/out" })).await;
        let mut browser = Browser::new(&house, &pool, &client);
        signs_in_at(&op, &mut browser, "ann").await;
        // The app redeems a code, and so takes part.
        let sid = sid(&signs_in_again(&mut browser).await);
        let page = browser.send(Method::GET, &logout(&client), None, &WINDOW).await;
        assert_eq!(page.status, 200, "{}", page.header("location"));
        assert!(page.body.contains("id=\"go\""), "{}", page.body);
        let frames = frames(&page);
        assert_eq!(parameter(&frames[0], "sid"), Some(sid));
        assert!(
            page.header("content-security-policy").contains(" frame-src https://rp.example/out;")
        );
        assert!(page.body.contains("setTimeout(on,2000)"));
        assert_eq!(page.header("refresh"), "", "it goes to the provider");
    }
}

#[tokio::test]
async fn a_client_that_only_a_browser_can_tell_is_named_in_the_receipt() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let client = house.client(&pool, code_client()).await;
        extend(&house, &client, json!({ "FrontchannelLogoutUri": "https://rp.example/out" })).await;
        deliver(&house, &pool).await;
        house.signs_in(&client, "ann").await;
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        deliver(&house, &pool).await;
        let all = deliveries_of(&house, &pool).await;
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].state.as_str(), "not_possible");
        assert!(all[0].detail.contains("BackchannelLogoutUri"), "{}", all[0].detail);
    }
}

#[tokio::test]
async fn discovery_says_what_is_supported() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let mut browser = Browser::new(&house, &pool, "x");
        let document = browser.get("/.well-known/openid-configuration").await.json();
        for member in [
            "backchannel_logout_supported",
            "backchannel_logout_session_supported",
            "frontchannel_logout_supported",
            "frontchannel_logout_session_supported",
        ] {
            assert_eq!(document[member], true, "{member}");
        }
        assert!(document["claims_supported"].as_array().unwrap().contains(&json!("sid")));
    }
}
