//! SAML providers sign their users out: a LogoutRequest by every binding. What must not be believed ends nothing.

use axum::body::Body;
use axum::http::Request;
use cenote_saml::{Credential, ExpectLogout};
use serde_json::{Value, json};

use crate::browser::{BYE, Browser, code_client, field, parameter};
use crate::corp::{self, Corp, given, impostor, our_slo, told};
use crate::house::{Answer, House, houses, houses_alone, merge};
use crate::inward_says::{is_alive, is_known, redeems_while};
use crate::provider::Provider;
use crate::saml_provider::posts;
use crate::upstream_sign_out::signs_in_at;

const ALL: [&str; 3] = ["HTTP-Redirect", "HTTP-POST", "SOAP"];
const OUR_KEY: &str = "urn:amazon:cognito:sp:";

async fn soap(house: &House, pool: &str, kind: &str, body: String) -> Answer {
    let request = Request::post(format!("/{pool}/saml2/logout"))
        .header("host", "localhost:9230")
        .header("content-type", kind)
        .body(Body::from(body))
        .unwrap();
    house.send(request).await
}

/// What our LogoutResponse says: its status, and that it is signed by the pool's own key.
async fn response(
    house: &House,
    pool: &str,
    incoming: &cenote_saml::Incoming,
    to: &str,
    request: &str,
) -> String {
    let certificate = house.ok("GetSigningCertificate", json!({ "UserPoolId": pool })).await;
    let certificate: String =
        certificate["Certificate"].as_str().unwrap().split_whitespace().collect();
    let der =
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, certificate).unwrap();
    let expect = ExpectLogout {
        idp_entity_id: &format!("{OUR_KEY}{pool}"),
        trusted: &[der],
        destination: to,
        now_ms: house.app.clock.now_ms(),
        skew_ms: 0,
        max_age_ms: 60_000,
        decrypt: &[],
    };
    let answer = cenote_saml::consume_logout_response(incoming, &expect, request);
    answer.unwrap_or_else(|fault| panic!("{fault}")).status.to_string()
}

/// ann's browser and her tokens, in the provider's session `session`.
async fn ann<'a>(
    house: &'a House,
    corp: &Corp,
    pool: &str,
    client: &str,
    session: &str,
) -> (Browser<'a>, Value) {
    let mut browser = Browser::new(house, pool, client);
    let tokens = corp.gets_tokens(house, &mut browser, pool, "Corp", ("ann", session)).await;
    (browser, tokens)
}

#[tokio::test]
async fn a_request_by_each_binding_ends_browser_and_tokens_and_is_answered_signed_by_the_same() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        for binding in ["redirect", "post", "soap", "soap 1.2"] {
            let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
            let (mut browser, tokens) = ann(&house, &corp, &pool, &client, "_1").await;
            assert!(is_known(&mut browser).await && is_alive(&house, &tokens).await);
            let ask = corp.ask(&pool, "ann", Some("_1"));
            let key = corp::key();
            let (answer, message) = match binding {
                "redirect" => {
                    let mut stranger = Browser::new(&house, &pool, &client);
                    let answer =
                        stranger.get(&ask.redirect(Some("relay & state"), Some(&key))).await;
                    let location = answer.header("location").to_owned();
                    assert!(
                        location.starts_with(&format!("{}?", corp.slo())),
                        "{location} {}",
                        answer.body
                    );
                    assert_eq!(
                        parameter(&location, "RelayState").as_deref(),
                        Some("relay & state")
                    );
                    let message =
                        cenote_saml::decode_redirect(location.split_once('?').unwrap().1).unwrap();
                    (answer, message)
                }
                "post" => {
                    let form = ask.post(Some("relay"), Some(&key));
                    let answer = posts(&house, &pool, "/saml2/logout", form).await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    assert!(answer.body.contains(&format!("action=\"{}\"", corp.slo())));
                    assert_eq!(field(&answer.body, "RelayState"), "relay");
                    assert!(
                        answer
                            .header("content-security-policy")
                            .contains("form-action 'self' http:;")
                    );
                    // It may ask all its applications at once, each in a frame.
                    let origin = corp.slo();
                    let origin = &origin[..origin.rfind("/").unwrap()];
                    let policy = answer.header("content-security-policy");
                    assert!(policy.contains(&format!("frame-ancestors {origin};")), "{policy}");
                    assert!(!answer.headers.contains_key("x-frame-options"));
                    let message =
                        cenote_saml::decode_post(&field(&answer.body, "SAMLResponse")).unwrap();
                    (answer, message)
                }
                kind => {
                    let kind = if kind == "soap" {
                        "text/xml; charset=utf-8"
                    } else {
                        "application/soap+xml"
                    };
                    let answer = soap(&house, &pool, kind, ask.soap(&key)).await;
                    assert_eq!(answer.status, 200, "{}", answer.body);
                    assert!(answer.header("content-type").starts_with("text/xml"));
                    let message = cenote_saml::decode_soap(answer.body.as_bytes()).unwrap();
                    (answer, message)
                }
            };
            assert_eq!(
                response(&house, &pool, &message, &corp.slo(), &ask.id).await,
                "Success",
                "{binding}"
            );
            assert!(answer.headers.contains_key("x-cenote-signout"), "{binding}");
            assert!(
                !is_known(&mut browser).await && !is_alive(&house, &tokens).await,
                "{binding} {}",
                house.url
            );
            let records = cenote::store::records::all(&house.app.db, &pool).await.unwrap();
            let mut records: Vec<_> = records
                .iter()
                .map(|r| (r.kind.as_str(), r.reason.as_str(), r.initiator.as_str()))
                .collect();
            records.sort_unstable();
            assert_eq!(
                records,
                [("S", "saml_logout", "upstream"), ("X", "saml_logout", "upstream")]
            );
            assert!(told(&house, &pool).await.is_empty(), "nothing goes back to whom it came from");
        }
    }
}

#[tokio::test]
async fn a_session_index_ends_that_session_and_none_ends_all_of_that_name() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        let (mut first, first_tokens) = ann(&house, &corp, &pool, &client, "_1").await;
        let (mut second, second_tokens) = ann(&house, &corp, &pool, &client, "_2").await;
        let (mut third, _) = ann(&house, &corp, &pool, &client, "_3").await;
        let mut bob = Browser::new(&house, &pool, &client);
        let bob_tokens = corp.gets_tokens(&house, &mut bob, &pool, "Corp", ("bob", "_1")).await;

        let one = corp.ask(&pool, "ann", Some("_1")).soap(&corp::key());
        assert_eq!(soap(&house, &pool, "text/xml", one).await.status, 200);
        assert!(!is_known(&mut first).await && !is_alive(&house, &first_tokens).await);
        assert!(is_known(&mut second).await && is_alive(&house, &second_tokens).await);
        // Another's session of the same index, or her name at another index, is not meant.
        assert!(is_known(&mut bob).await && is_alive(&house, &bob_tokens).await);

        let unknown = corp.ask(&pool, "ann", Some("_9"));
        let answer = soap(&house, &pool, "text/xml", unknown.soap(&corp::key())).await;
        let message = cenote_saml::decode_soap(answer.body.as_bytes()).unwrap();
        assert_eq!(response(&house, &pool, &message, "", &unknown.id).await, "Success");
        assert!(is_known(&mut second).await);

        let all = corp.ask(&pool, "ann", None).soap(&corp::key());
        assert_eq!(soap(&house, &pool, "text/xml", all).await.status, 200);
        assert!(
            !is_known(&mut second).await
                && !is_known(&mut third).await
                && !is_alive(&house, &second_tokens).await
        );
        assert!(is_known(&mut bob).await && is_alive(&house, &bob_tokens).await);
    }
}

#[tokio::test]
async fn several_session_indexes_end_each_of_them() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        let (mut first, _) = ann(&house, &corp, &pool, &client, "_1").await;
        let (mut second, _) = ann(&house, &corp, &pool, &client, "_2").await;
        let (mut third, _) = ann(&house, &corp, &pool, &client, "_3").await;
        // In canonical form, so that the digest of the text is that of the element.
        let head = format!(
            "<samlp:LogoutRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" Destination=\"{}\" ID=\"_many\" \
             IssueInstant=\"2026-09-21T14:13:20Z\" Version=\"2.0\"><saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">\
             https://idp.example.com/metadata</saml:Issuer>",
            our_slo(&pool)
        );
        let tail = "<saml:NameID xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">ann</saml:NameID>\
                    <samlp:SessionIndex>_1</samlp:SessionIndex><samlp:SessionIndex>_3</samlp:SessionIndex></samlp:LogoutRequest>";
        let signature = corp.provider.signature("_many", &format!("{head}{tail}"));
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair(
                "SAMLRequest",
                &base64::Engine::encode(
                    &base64::engine::general_purpose::STANDARD,
                    format!("{head}{signature}{tail}"),
                ),
            )
            .finish();
        assert_eq!(house.app.clock.now_ms(), 1_790_000_000_000);
        let answer = posts(&house, &pool, "/saml2/logout", form).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(
            !is_known(&mut first).await
                && is_known(&mut second).await
                && !is_known(&mut third).await
        );
    }
}

#[tokio::test]
async fn format_and_qualifiers_must_not_contradict_the_name() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        let (mut browser, _) = ann(&house, &corp, &pool, &client, "_1").await;
        let mut other = corp.ask(&pool, "ann", None);
        other.name_id.format =
            Some("urn:oasis:names:tc:SAML:1.1:nameid-format:emailAddress".to_owned());
        assert_eq!(soap(&house, &pool, "text/xml", other.soap(&corp::key())).await.status, 200);
        assert!(is_known(&mut browser).await, "another kind of name");
        let mut vague = corp.ask(&pool, "ann", None);
        vague.name_id.format =
            Some("urn:oasis:names:tc:SAML:1.1:nameid-format:unspecified".to_owned());
        vague.name_id.name_qualifier = Some("https://idp.example.com".to_owned());
        assert_eq!(soap(&house, &pool, "text/xml", vague.soap(&corp::key())).await.status, 200);
        assert!(!is_known(&mut browser).await, "what one side leaves out contradicts nothing");
    }
}

#[tokio::test]
async fn tokens_end_also_when_the_browser_session_is_long_over() {
    for house in houses_alone("inward_late").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        let (mut browser, tokens) = ann(&house, &corp, &pool, &client, "_1").await;
        house.advance(3 * 86_400_000);
        cenote::store::purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
        assert_eq!(
            house.rows("SELECT COUNT(*) FROM sso_sessions WHERE pool_id = ?1", &pool).await,
            0
        );
        let refresh = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client, "AuthParameters": { "REFRESH_TOKEN": tokens["refresh_token"] } });
        house.ok("InitiateAuth", refresh.clone()).await;
        assert!(!is_known(&mut browser).await);
        let ask = corp.ask(&pool, "ann", Some("_1"));
        assert_eq!(soap(&house, &pool, "text/xml", ask.soap(&corp::key())).await.status, 200);
        assert_eq!(
            house.refused("InitiateAuth", refresh).await.1,
            "Refresh Token has been revoked"
        );
    }
}

#[tokio::test]
async fn what_is_not_signed_late_early_elsewhere_or_said_twice_is_refused_and_ends_nothing() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        let (mut browser, tokens) = ann(&house, &corp, &pool, &client, "_1").await;
        let key = corp::key();
        type Change = fn(&mut corp::Ask);
        let changes: [(&str, Change, &str); 5] = [
            (
                "expired",
                |ask| ask.until_ms = ask.issued_ms - 60_001,
                "the end of the logout request",
            ),
            ("early", |ask| ask.issued_ms += 61_000, "in the future"),
            (
                "elsewhere",
                |ask| ask.destination = "https://sp.example.com/slo".to_owned(),
                "the message is for",
            ),
            (
                "of another pool",
                |ask| ask.destination = our_slo("us-east-1_other"),
                "the message is for",
            ),
            (
                "of nobody",
                |ask| ask.issuer = "https://other.example.com".to_owned(),
                "has the entity id",
            ),
        ];
        for (case, change, words) in changes {
            let mut ask = corp.ask(&pool, "ann", Some("_1"));
            change(&mut ask);
            for (binding, answer) in [
                ("redirect", browser.get(&ask.redirect(None, Some(&key))).await),
                ("post", posts(&house, &pool, "/saml2/logout", ask.post(None, Some(&key))).await),
                ("soap", soap(&house, &pool, "text/xml", ask.soap(&key)).await),
            ] {
                assert_eq!(answer.status, 400, "{case} {binding} {}", answer.header("location"));
                let said = answer.body.replace("&#39;", "'").replace("&quot;", "\"");
                assert!(said.contains(words), "{case} {binding}: {said}");
            }
        }
        let ask = corp.ask(&pool, "ann", Some("_1"));
        let forged: &Credential = &impostor();
        for (case, answer) in [
            ("unsigned redirect", browser.get(&ask.redirect(None, None)).await),
            ("unsigned post", posts(&house, &pool, "/saml2/logout", ask.post(None, None)).await),
            (
                "unsigned soap",
                soap(&house, &pool, "text/xml", corp::unsigned(&ask.soap(&key))).await,
            ),
            ("forged redirect", browser.get(&ask.redirect(None, Some(forged))).await),
            (
                "forged post",
                posts(&house, &pool, "/saml2/logout", ask.post(None, Some(forged))).await,
            ),
            ("forged soap", soap(&house, &pool, "text/xml", ask.soap(forged)).await),
            (
                "changed",
                browser.get(&format!("{}&RelayState=x", ask.redirect(None, Some(&key)))).await,
            ),
            ("no message", soap(&house, &pool, "text/xml", "<a/>".to_owned()).await),
            (
                "a DOCTYPE",
                soap(
                    &house,
                    &pool,
                    "text/xml",
                    format!("<!DOCTYPE a [<!ENTITY b 'c'>]>{}", ask.soap(&key)),
                )
                .await,
            ),
            ("neither", browser.get("/saml2/logout").await),
            ("both", browser.get("/saml2/logout?SAMLRequest=a&SAMLResponse=b").await),
            ("too much", soap(&house, &pool, "text/xml", "x".repeat(200_000)).await),
            (
                "a long RelayState",
                browser.get(&ask.redirect(Some(&"x".repeat(2_049)), Some(&key))).await,
            ),
        ] {
            assert!(
                matches!(answer.status.as_u16(), 400 | 413),
                "{case}: {} {}",
                answer.status,
                answer.header("location")
            );
            if case.contains("soap") {
                assert!(
                    answer.body.contains("<faultcode>soap:Client</faultcode>"),
                    "{case}: {}",
                    answer.body
                );
            }
        }
        assert!(is_known(&mut browser).await && is_alive(&house, &tokens).await);

        // Taken once, on whichever server.
        let form = ask.post(None, Some(&key));
        assert_eq!(posts(&house, &pool, "/saml2/logout", form.clone()).await.status, 200);
        assert!(!is_known(&mut browser).await);
        let (mut browser, _) = ann(&house, &corp, &pool, &client, "_1").await;
        let another = house.another_node(0).await;
        for house in [&house, &another] {
            let answer = posts(house, &pool, "/saml2/logout", form.clone()).await;
            assert_eq!(answer.status, 400, "{}", answer.body);
            assert!(answer.body.contains("was received before"), "{}", answer.body);
        }
        assert!(is_known(&mut browser).await);
    }
}

#[tokio::test]
async fn a_provider_reaches_only_those_who_came_from_it() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        let (mut browser, _) = ann(&house, &corp, &pool, &client, "_1").await;
        // Another provider, which names the same person and session.
        let other = corp
            .metadata(&ALL)
            .replace("https://idp.example.com/metadata", "https://other.example.com/metadata");
        let input = json!({ "UserPoolId": pool, "ProviderName": "Other", "ProviderType": "SAML",
            "ProviderDetails": { "MetadataFile": other, "IDPSignout": "true" } });
        house.ok("CreateIdentityProvider", input).await;
        let mut ask = corp.ask(&pool, "ann", Some("_1"));
        ask.issuer = "https://other.example.com/metadata".to_owned();
        assert_eq!(soap(&house, &pool, "text/xml", ask.soap(&corp::key())).await.status, 200);
        assert!(is_known(&mut browser).await);
        // And the same provider in another pool.
        let (elsewhere, _) = given(&house, &corp, &ALL, json!({})).await;
        let ask = corp.ask(&elsewhere, "ann", Some("_1"));
        assert_eq!(soap(&house, &elsewhere, "text/xml", ask.soap(&corp::key())).await.status, 200);
        assert!(is_known(&mut browser).await);
    }
}

#[tokio::test]
async fn of_two_names_of_one_provider_both_are_reached_and_with_two_keys_the_one_that_signed() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        corp.joins(&house, &pool, "Twin", &ALL, json!({})).await;
        let mut settings = code_client();
        merge(
            &mut settings,
            json!({ "UserPoolId": pool, "ClientId": client, "SupportedIdentityProviders": ["Corp", "Twin"] }),
        );
        house.ok("UpdateUserPoolClient", settings).await;
        let (mut one, _) = ann(&house, &corp, &pool, &client, "_1").await;
        let mut two = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut two, &pool, "Twin", ("ann", "_1")).await;
        let ask = corp.ask(&pool, "ann", Some("_1"));
        assert_eq!(soap(&house, &pool, "text/xml", ask.soap(&corp::key())).await.status, 200);
        assert!(!is_known(&mut one).await && !is_known(&mut two).await);
        assert!(told(&house, &pool).await.is_empty());
    }
}

#[tokio::test]
async fn no_code_that_is_redeemed_at_that_moment_outlives_a_logout() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &ALL, json!({})).await;
        for round in 0..6 {
            let session = format!("_{round}");
            let mut browser = Browser::new(&house, &pool, &client);
            let answer =
                corp.signs_in(&house, &mut browser, &pool, "Corp", ("ann", &session)).await;
            let code = parameter(answer.header("location"), "code").unwrap();
            let ask = corp.ask(&pool, "ann", Some(&session)).soap(&corp::key());
            let logout = async {
                let answer = soap(&house, &pool, "text/xml", ask).await;
                assert_eq!(answer.status, 200, "{}", answer.body);
            };
            redeems_while(&house, (&pool, &client), &code, logout).await;
        }
    }
}

#[tokio::test]
async fn what_one_provider_ends_the_others_are_told() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let op = Provider::start().await;
        let (pool, _) = given(&house, &corp, &ALL, json!({})).await;
        let input = json!({ "UserPoolId": pool, "ProviderName": "Open", "ProviderType": "OIDC", "ProviderDetails": op.details() });
        house.ok("CreateIdentityProvider", input).await;
        let mut settings = code_client();
        merge(
            &mut settings,
            json!({ "SupportedIdentityProviders": ["Corp", "Open"], "LogoutURLs": [BYE] }),
        );
        let client = house.client(&pool, settings).await;
        house.user(&pool, "ann").await;
        for provider in ["Corp", "Open"] {
            let link = json!({ "UserPoolId": pool,
                "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "ann" },
                "SourceUser": { "ProviderName": provider, "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "ann" } });
            house.ok("AdminLinkProviderForUser", link).await;
        }
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ("ann", "_1")).await;
        signs_in_at(&op, &mut browser, "ann").await;
        let ask = corp.ask(&pool, "ann", Some("_1"));
        assert_eq!(soap(&house, &pool, "text/xml", ask.soap(&corp::key())).await.status, 200);
        let owed = cenote::store::upstream::due(&house.app.db, i64::MAX, 10_000).await.unwrap();
        let owed: Vec<_> = owed
            .iter()
            .filter(|row| row.pool_id == pool)
            .map(|row| row.provider.as_str())
            .collect();
        assert_eq!(owed, ["Open"]);
        // Nothing is left for the browser to do.
        let answer = browser
            .get(&format!(
                "/logout?client_id={client}&logout_uri=https%3A%2F%2Fapp.example.com%2Fbye"
            ))
            .await;
        assert_eq!(answer.header("location"), BYE);
    }
}
