//! `/logout` through the identity providers that a session came from: our own session is over first, and nobody is stranded.

use axum::http::Method;
use cenote_saml::{Binding, LogoutStatus};
use serde_json::json;

use crate::browser::{BYE, Browser, code_client, field, local, parameter};
use crate::corp::{Corp, given, impostor, told, works};
use crate::house::{Answer, House, houses, houses_alone, merge, together};
use crate::provider::Provider;
use crate::saml_provider::posts;
use crate::upstream_sign_out::{given_openid, signs_in_at};

const ANN: (&str, &str) = ("ann", "_session-1");
const WINDOW: [(&str, &str); 2] = [("sec-fetch-dest", "document"), ("sec-fetch-mode", "navigate")];

/// Signs ann in at a provider with these logout bindings; the pool, its client and her browser.
async fn signed_in<'a>(
    house: &'a House,
    corp: &Corp,
    bindings: &[&str],
) -> (String, String, Browser<'a>) {
    let (pool, client) = given(house, corp, bindings, json!({})).await;
    let mut browser = Browser::new(house, &pool, &client);
    corp.signs_in(house, &mut browser, &pool, "Corp", ANN).await;
    (pool, client, browser)
}

fn logout(client: &str, uri: &str) -> String {
    let uri: String = url::form_urlencoded::byte_serialize(uri.as_bytes()).collect();
    format!("/logout?client_id={client}&logout_uri={uri}")
}

/// The handle of a request that was sent to the provider, and the request's id.
fn sent(answer: &Answer, corp: &Corp) -> (String, String) {
    let location = answer.header("location");
    assert!(
        location.starts_with(&format!("{}?SAMLRequest=", corp.slo())),
        "{} {location} {}",
        answer.status,
        answer.body
    );
    assert_eq!(
        parameter(location, "SigAlg").as_deref(),
        Some("http://www.w3.org/2001/04/xmldsig-more#rsa-sha256")
    );
    assert!(parameter(location, "Signature").is_some());
    let handle = parameter(location, "RelayState").unwrap();
    assert!(handle.len() <= 80);
    (handle.clone(), format!("_{handle}"))
}

/// Where the page that says what happened leads on to, and what it says.
async fn what_happened(browser: &mut Browser<'_>, answer: &Answer) -> (String, String) {
    let location = answer.header("location");
    assert!(
        location.contains("/federation/logout?told="),
        "{} {location} {}",
        answer.status,
        answer.body
    );
    let page = browser.get(&local(location)).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.contains("You are signed out"), "{}", page.body);
    let link = page.body.split("class=\"act\"><a").nth(1).unwrap();
    (link.split("href=\"").nth(1).unwrap().split('"').next().unwrap().to_owned(), page.body)
}

#[tokio::test]
async fn our_session_is_over_before_the_browser_leaves_and_the_provider_leads_it_back() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) =
            signed_in(&house, &corp, &["HTTP-Redirect", "HTTP-POST", "SOAP"]).await;
        let answer = browser.get(&logout(&client, BYE)).await;
        assert_eq!(answer.status, 302);
        assert!(answer.headers.contains_key("x-cenote-signout"));
        assert!(!browser.cookies.contains_key("cognito"));
        let sql = "SELECT COUNT(*) FROM sso_sessions WHERE pool_id = ?1 AND ended_ms IS NULL";
        assert_eq!(house.rows(sql, &pool).await, 0);
        assert_eq!(told(&house, &pool).await[0].0, "browser");

        let (handle, id) = sent(&answer, &corp);
        let back = corp.answers(&pool, &id, Some(&handle), LogoutStatus::Success);
        let answer = browser.get(&back).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (302, BYE),
            "{}",
            answer.body
        );
        assert_eq!(
            told(&house, &pool).await,
            [("done".to_owned(), "signed out by the browser".to_owned())]
        );
        let sql = "SELECT COUNT(*) FROM upstream_sessions WHERE pool_id = ?1 AND ended_ms IS NULL";
        assert_eq!(house.rows(sql, &pool).await, 0);
        assert!(corp.asked().is_empty());
    }
}

#[tokio::test]
async fn the_request_says_exactly_whom_the_provider_named_and_in_which_session() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-POST"]).await;
        let page = browser.get(&logout(&client, BYE)).await;
        assert_eq!(page.status, 200);
        assert!(page.body.contains(&format!("action=\"{}\"", corp.slo())), "{}", page.body);
        let incoming = cenote_saml::decode_post(&field(&page.body, "SAMLRequest")).unwrap();
        assert_eq!(incoming.binding(), Binding::Post);
        let xml = String::from_utf8(
            base64::Engine::decode(
                &base64::engine::general_purpose::STANDARD,
                field(&page.body, "SAMLRequest"),
            )
            .unwrap(),
        )
        .unwrap();
        for part in [
            "Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">ann</saml:NameID>",
            "<samlp:SessionIndex>_session-1</samlp:SessionIndex>",
            &format!("<saml:Issuer>urn:amazon:cognito:sp:{pool}</saml:Issuer>"),
            "SignatureValue>",
        ] {
            assert!(xml.contains(part), "{part} in {xml}");
        }
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("form-action 'self' http:;") && policy.contains("script-src 'nonce-"),
            "{policy}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_posted_from_the_providers_site_needs_no_cookie() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        let (handle, id) = sent(&browser.get(&logout(&client, BYE)).await, &corp);
        let form = corp.posts(&pool, &id, &handle, LogoutStatus::Success);
        let answer = posts(&house, &pool, "/saml2/logout", form).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, BYE),
            "{}",
            answer.body
        );
    }
}

#[tokio::test]
async fn an_answer_without_relay_state_finds_its_way_by_the_request_that_it_names() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        let (_, id) = sent(&browser.get(&logout(&client, BYE)).await, &corp);
        for lost in [None, Some("something else")] {
            let answer = browser.get(&corp.answers(&pool, &id, lost, LogoutStatus::Success)).await;
            match lost {
                None => assert_eq!(answer.header("location"), BYE),
                // The same answer again.
                Some(_) => assert_eq!(what_happened(&mut browser, &answer).await.0, BYE),
            }
        }
    }
}

#[tokio::test]
async fn a_window_waits_for_half_a_minute_on_a_page_that_then_goes_on() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        let page = browser.send(Method::GET, &logout(&client, BYE), None, &WINDOW).await;
        assert_eq!(page.status, 200, "{}", page.header("location"));
        assert!(
            page.body.contains("Signing you out of Corp") && page.body.contains("30000"),
            "{}",
            page.body
        );
        assert!(page.body.contains(&corp.slo()), "{}", page.body);
        assert!(page.header("content-security-policy").contains("script-src 'nonce-"));
        let after = page.body.split("id=\"after\" href=\"").nth(1).unwrap();
        let after = local(after.split('"').next().unwrap());
        assert!(after.starts_with("/federation/logout?state="), "{after}");
        house.advance(30_000);
        let answer = browser.get(&after).await;
        let (link, says) = what_happened(&mut browser, &answer).await;
        assert_eq!(link, BYE);
        assert!(says.contains("Corp did not answer in time"), "{says}");
        assert_eq!(told(&house, &pool).await[0].0, "pending", "the worker's now");
        // Again, or the provider's own answer at last: the same.
        let again = browser.get(&after).await;
        assert_eq!(what_happened(&mut browser, &again).await.0, BYE);
        let handle = parameter(&after, "state").unwrap();
        let late = browser
            .get(&corp.answers(&pool, &format!("_{handle}"), Some(&handle), LogoutStatus::Success))
            .await;
        assert_eq!(what_happened(&mut browser, &late).await.0, BYE);
    }
}

#[tokio::test]
async fn an_older_browser_waits_on_the_page_too_and_what_is_no_window_is_redirected() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        for (header, status) in [
            (("accept", "text/html,application/xhtml+xml,*/*;q=0.8"), 200),
            (("accept", "*/*"), 302),
            (("sec-fetch-dest", "iframe"), 302),
        ] {
            let (_, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
            let answer = browser.send(Method::GET, &logout(&client, BYE), None, &[header]).await;
            assert_eq!(answer.status, status, "{header:?}");
            // Where no script runs, the page goes on by itself, too.
            let on =
                format!("<noscript><meta http-equiv=\"refresh\" content=\"0;url={}?", corp.slo());
            assert_eq!(answer.body.contains(&on), status == 200, "{}", answer.body);
        }
    }
}

#[tokio::test]
async fn an_answer_that_the_worker_did_not_wait_for_still_counts() {
    for house in houses_alone("late_answer").await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        let (handle, id) = sent(&browser.get(&logout(&client, BYE)).await, &corp);
        house.advance(120_000);
        works(&house).await;
        assert_eq!(told(&house, &pool).await[0].0, "fresh");
        let back = corp.answers(&pool, &id, Some(&handle), LogoutStatus::Success);
        assert_eq!(browser.get(&back).await.header("location"), BYE);
        assert_eq!(told(&house, &pool).await[0].0, "done", "{}", house.url);
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_gone_to() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        corp.goes_away().await;
        let answer = browser.get(&logout(&client, BYE)).await;
        assert!(!browser.cookies.contains_key("cognito"));
        let (link, says) = what_happened(&mut browser, &answer).await;
        assert_eq!(link, BYE);
        assert!(says.contains("Corp cannot be reached") && says.contains("Continue"), "{says}");
        assert_eq!(told(&house, &pool).await[0].0, "pending");
    }
}

#[tokio::test]
async fn an_answer_that_proves_nothing_leads_to_the_page_that_says_so_and_nowhere_else() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        for (case, words) in [
            ("refused", "Corp did not sign you out"),
            ("partly", "Other apps that you use with it"),
            ("unsigned", "could not be verified"),
            ("forged", "could not be verified"),
            ("another request", "could not be verified"),
            ("not XML", "could not be verified"),
        ] {
            let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
            let (handle, id) = sent(&browser.get(&logout(&client, BYE)).await, &corp);
            let relay = Some(handle.as_str());
            let path = match case {
                "refused" => corp.answers(&pool, &id, relay, LogoutStatus::Responder),
                "partly" => corp.answers(&pool, &id, relay, LogoutStatus::PartialLogout),
                "unsigned" => {
                    let whole = corp.answers(&pool, &id, relay, LogoutStatus::Success);
                    whole.split("&SigAlg=").next().unwrap().to_owned()
                }
                "forged" => corp.answers_as(&impostor(), &pool, &id, relay, LogoutStatus::Success),
                "another request" => corp.answers(&pool, "_another", relay, LogoutStatus::Success),
                _ => format!("/saml2/logout?SAMLResponse=q1YqSy0qzszPAwA%3D&RelayState={handle}"),
            };
            let answer = browser.get(&path).await;
            let (link, says) = what_happened(&mut browser, &answer).await;
            assert_eq!(link, BYE, "{case}");
            assert!(says.contains(words), "{case}: {says}");
            let state = &told(&house, &pool).await[0].0;
            assert_eq!(state, if case == "partly" { "done" } else { "pending" }, "{case}");
        }
    }
}

#[tokio::test]
async fn an_answer_to_no_sign_out_of_this_pool_goes_nowhere() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        let (handle, id) = sent(&browser.get(&logout(&client, BYE)).await, &corp);
        let (other, other_client) = given(&house, &corp, &["HTTP-Redirect"], json!({})).await;
        let mut elsewhere = Browser::new(&house, &other, &other_client);
        for path in [
            corp.answers(&other, &id, Some(&handle), LogoutStatus::Success),
            corp.answers(&other, "_unknown", Some("unknown"), LogoutStatus::Success),
            format!("/oauth2/idplogout?state={handle}"),
            "/oauth2/idplogout".to_owned(),
            "/federation/logout?told=AAAA".to_owned(),
            "/federation/logout".to_owned(),
        ] {
            let answer = elsewhere.get(&path).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{path}");
            assert!(answer.body.contains("This sign-out is over"), "{}", answer.body);
            assert!(!answer.body.contains("app.example.com"));
        }
        // What a SAML provider has to sign, nobody can say by a redirect.
        let answer = browser.get(&format!("/oauth2/idplogout?state={handle}")).await;
        let (_, says) = what_happened(&mut browser, &answer).await;
        assert!(says.contains("could not be verified"), "{says}");
        assert_eq!(told(&house, &pool).await[0].0, "pending");
    }
}

#[tokio::test]
async fn of_an_answer_that_comes_many_times_at_once_one_is_taken_and_no_other_strands_anybody() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        let (handle, id) = sent(&browser.get(&logout(&client, BYE)).await, &corp);
        let path = corp.answers(&pool, &id, Some(&handle), LogoutStatus::Success);
        let answers = together((0..8).map(|_| {
            let (house, path, pool) = (&house, &path, &pool);
            async move { Browser::new(house, pool, "").get(path).await }
        }))
        .await;
        let ended = answers.iter().filter(|answer| answer.header("location") == BYE).count();
        assert_eq!(ended, 1);
        assert!(answers.iter().all(|answer| answer.status == 302), "{answers:?}");
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'SignOutAtProvider'";
        assert_eq!(house.rows(sql, &pool).await, 1);
    }
}

#[tokio::test]
async fn an_address_that_is_refused_still_leads_through_the_provider_and_ends_at_our_page() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client, mut browser) = signed_in(&house, &corp, &["HTTP-Redirect"]).await;
        let answer = browser.get(&logout(&client, "https://evil.example/")).await;
        let (handle, id) = sent(&answer, &corp);
        let answer =
            browser.get(&corp.answers(&pool, &id, Some(&handle), LogoutStatus::Success)).await;
        let location = answer.header("location");
        assert!(
            location.starts_with(&format!("http://localhost:9230/{pool}/error?")),
            "{location}"
        );
    }
}

#[tokio::test]
async fn single_logout_that_is_not_asked_for_costs_no_hop() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) =
            given(&house, &corp, &["HTTP-Redirect"], json!({ "IDPSignout": "false" })).await;
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        let answer = browser.send(Method::GET, &logout(&client, BYE), None, &WINDOW).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));
        assert_eq!(told(&house, &pool).await[0].0, "left");
        // Nor does a session that came from no provider.
        house.user(&pool, "bob").await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("bob", crate::house::PASSWORD, "").await;
        let answer = browser.send(Method::GET, &logout(&client, BYE), None, &WINDOW).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));
    }
}

#[tokio::test]
async fn an_openid_provider_is_asked_to_end_its_session_and_sends_the_browser_back() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        signs_in_at(&op, &mut browser, "ann").await;
        let answer = browser.get(&logout(&client, BYE)).await;
        let location = answer.header("location").to_owned();
        assert!(
            location.starts_with(&format!("{}/end_session?", op.url)),
            "{} {location} {}",
            answer.status,
            answer.body
        );
        assert!(parameter(&location, "id_token_hint").unwrap().starts_with("ey"));
        assert_eq!(parameter(&location, "client_id").as_deref(), Some(crate::provider::CLIENT_ID));
        let back = parameter(&location, "post_logout_redirect_uri").unwrap();
        assert_eq!(back, format!("http://localhost:9230/{pool}/oauth2/idplogout"));
        let state = parameter(&location, "state").unwrap();
        let answer = browser.get(&format!("/oauth2/idplogout?state={state}")).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));
        assert_eq!(told(&house, &pool).await[0].0, "done");
        let again = browser.get(&format!("/oauth2/idplogout?state={state}")).await;
        assert_eq!(what_happened(&mut browser, &again).await.0, BYE);
    }
}

#[tokio::test]
async fn an_openid_provider_that_cannot_end_a_session_is_left_to_the_worker() {
    for house in houses().await {
        let op = Provider::start().await;
        op.set(|state| state.discovery = json!({ "end_session_endpoint": null }));
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        signs_in_at(&op, &mut browser, "ann").await;
        let answer = browser.get(&logout(&client, BYE)).await;
        assert_eq!((answer.status.as_u16(), answer.header("location")), (302, BYE));
        assert_eq!(told(&house, &pool).await[0].0, "pending");
    }
}

#[tokio::test]
async fn a_hint_that_is_too_long_for_an_address_travels_in_a_form() {
    for house in houses().await {
        let op = Provider::start().await;
        op.set(|state| state.id_token = json!({ "picture": "x".repeat(3_000) }));
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        signs_in_at(&op, &mut browser, "ann").await;
        let page = browser.get(&logout(&client, BYE)).await;
        assert_eq!(page.status, 200, "{}", page.header("location"));
        assert!(page.body.contains(&format!("action=\"{}/end_session\"", op.url)), "{}", page.body);
        assert!(field(&page.body, "id_token_hint").len() > 2_048);
        let state = field(&page.body, "state");
        let answer = browser.get(&format!("/oauth2/idplogout?state={state}")).await;
        assert_eq!(answer.header("location"), BYE);
        assert_eq!(told(&house, &pool).await[0].0, "done");
    }
}

#[tokio::test]
async fn a_session_that_came_from_two_providers_leads_through_both_once_each() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let op = Provider::start().await;
        let (pool, _) = given(&house, &corp, &["HTTP-Redirect"], json!({})).await;
        let input = json!({ "UserPoolId": pool, "ProviderName": "Open", "ProviderType": "OIDC", "ProviderDetails": op.details() });
        house.ok("CreateIdentityProvider", input).await;
        let mut settings = code_client();
        merge(&mut settings, json!({ "SupportedIdentityProviders": ["Corp", "Open"] }));
        let client = house.client(&pool, settings).await;
        house.user(&pool, "ann").await;
        for (provider, value) in [("Corp", "ann"), ("Open", "ann")] {
            let link = json!({ "UserPoolId": pool,
                "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "ann" },
                "SourceUser": { "ProviderName": provider, "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": value } });
            house.ok("AdminLinkProviderForUser", link).await;
        }
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        house.advance(10);
        // Twice in the same session of the provider.
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        house.advance(10);
        signs_in_at(&op, &mut browser, "ann").await;

        let answer = browser.get(&logout(&client, BYE)).await;
        assert!(
            answer.header("location").starts_with(&format!("{}/end_session?", op.url)),
            "{}",
            answer.header("location")
        );
        let state = parameter(answer.header("location"), "state").unwrap();
        let answer = browser.get(&format!("/oauth2/idplogout?state={state}")).await;
        let (handle, id) = sent(&answer, &corp);
        assert_ne!(handle, state);
        let answer =
            browser.get(&corp.answers(&pool, &id, Some(&handle), LogoutStatus::Success)).await;
        assert_eq!(answer.header("location"), BYE);
        let told = told(&house, &pool).await;
        assert_eq!(told.len(), 3);
        assert!(told.iter().all(|(state, _)| state == "done"), "{told:?}");
    }
}
