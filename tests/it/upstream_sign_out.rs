//! What a sign-out owes the identity providers that sessions came from, and how the worker pays it without a browser.

use std::collections::BTreeMap;

use cenote::store::upstream::{self, State};
use cenote::store::{Batch, Rank};
use cenote_saml::LogoutStatus;
use serde_json::{Value, json};

use crate::browser::{Browser, CALLBACK, code_client, local, parameter};
use crate::corp::{Corp, Soap, given, told, works};
use crate::house::{House, PASSWORD, houses, houses_alone, merge};
use crate::provider::{Behaviour, Provider};

const ANN: (&str, &str) = ("ann", "_session-1");

fn row(state: &str, detail: &str) -> (String, String) {
    (state.to_owned(), detail.to_owned())
}

/// The states alone.
async fn states(house: &House, pool: &str) -> Vec<String> {
    told(house, pool).await.into_iter().map(|(state, _)| state).collect()
}

async fn sign_out(house: &House, pool: &str, name: &str) {
    house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": name })).await;
}

/// A pool with an OpenID provider as `Op`, and a client that has it.
pub async fn given_openid(house: &House, op: &Provider, details: Value) -> (String, String) {
    let pool = house.pool(json!({})).await;
    let mut all = op.details();
    merge(&mut all, details);
    let input = json!({ "UserPoolId": pool, "ProviderName": "Open", "ProviderType": "OIDC", "ProviderDetails": all });
    house.ok("CreateIdentityProvider", input).await;
    let mut client = code_client();
    merge(&mut client, json!({ "SupportedIdentityProviders": ["Open"] }));
    (pool.clone(), house.client(&pool, client).await)
}

/// Signs in at the OpenID provider.
pub async fn signs_in_at(op: &Provider, browser: &mut Browser<'_>, sub: &str) {
    let away = browser.visits("/oauth2/authorize", "&identity_provider=Open").await;
    let back = op.authorize(away.header("location"), sub);
    let answer = browser.get(&local(&back)).await;
    assert!(
        answer.header("location").starts_with(CALLBACK),
        "{} {}",
        answer.header("location"),
        answer.body
    );
    assert!(
        parameter(answer.header("location"), "code").is_some(),
        "{}",
        answer.header("location")
    );
}

#[tokio::test]
async fn each_way_to_sign_a_user_out_owes_the_provider_and_what_ends_no_browser_does_not() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        for (operation, owes) in [
            ("AdminUserGlobalSignOut", true),
            ("GlobalSignOut", true),
            ("AdminDisableUser", true),
            ("AdminDeleteUser", true),
            ("DeleteUser", true),
            ("AdminRevokeUserSession", true),
            ("RevokeToken", false),
            ("AdminUpdateUserAttributes", false),
        ] {
            let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
            let tracking = json!({ "UserPoolId": pool, "UserSessionTracking": "ENABLED", "TokenSession": { "MaxPerUser": 20 } });
            house.ok("SetUserPoolSessionConfiguration", tracking).await;
            let mut browser = Browser::new(&house, &pool, &client);
            let tokens = corp.gets_tokens(&house, &mut browser, &pool, "Corp", ANN).await;
            let user = json!({ "UserPoolId": pool, "Username": "Corp_ann" });
            let input = match operation {
                "GlobalSignOut" | "DeleteUser" => json!({ "AccessToken": tokens["access_token"] }),
                "RevokeToken" => json!({ "ClientId": client, "Token": tokens["refresh_token"] }),
                "AdminRevokeUserSession" => {
                    let sql = "SELECT session_id FROM sso_sessions WHERE pool_id = ?1";
                    let row = house.app.db.one(sql, &cenote::params![pool.as_str()]).await.unwrap();
                    let id = row.unwrap().string(0).unwrap();
                    json!({ "UserPoolId": pool, "Username": "Corp_ann", "SessionId": id })
                }
                "AdminUpdateUserAttributes" => {
                    let mut input = user;
                    input["UserAttributes"] = json!([{ "Name": "nickname", "Value": "ann" }]);
                    input
                }
                _ => user,
            };
            house.ok(operation, input).await;
            let owed: &[(String, String)] = &[row("pending", "")];
            assert_eq!(
                told(&house, &pool).await,
                if owes { owed } else { &[] },
                "{operation} {}",
                house.url
            );
        }
    }
}

#[tokio::test]
async fn a_changed_password_owes_the_providers_of_the_other_browsers_only() {
    for house in houses().await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
        house.user(&pool, "bob").await;
        let link = json!({ "UserPoolId": pool,
            "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "bob" },
            "SourceUser": { "ProviderName": "Corp", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "bob@corp" } });
        house.ok("AdminLinkProviderForUser", link).await;
        let mut here = Browser::new(&house, &pool, &client);
        let tokens =
            corp.gets_tokens(&house, &mut here, &pool, "Corp", ("bob@corp", "_here")).await;
        house.advance(5);
        let mut there = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut there, &pool, "Corp", ("bob@corp", "_there")).await;
        let input = json!({ "AccessToken": tokens["access_token"], "PreviousPassword": PASSWORD, "ProposedPassword": "Another-horse-9" });
        house.ok("ChangePassword", input).await;
        let owed = upstream::due(&house.app.db, i64::MAX, 10_000).await.unwrap();
        let owed: Vec<_> = owed.iter().filter(|row| row.pool_id == pool).collect();
        assert_eq!(owed.len(), 1, "{}", house.url);
        let session =
            upstream::by_id(&house.app.db, &pool, &owed[0].upstream_id).await.unwrap().unwrap();
        assert_eq!(session.session_key, Some(cenote::keys::hash("_there")));
    }
}

#[tokio::test]
async fn a_saml_provider_is_told_by_soap_whom_it_named_and_which_session() {
    for house in houses_alone("soap").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["HTTP-Redirect", "SOAP"], json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        sign_out(&house, &pool, "Corp_ann").await;
        works(&house).await;

        let asked = corp.asked();
        assert_eq!(asked.len(), 1);
        let (asked, issuer) = (&asked[0], format!(">urn:amazon:cognito:sp:{pool}</saml:Issuer>"));
        for part in [
            issuer.as_str(),
            "Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">ann</saml:NameID>",
            "<samlp:SessionIndex>_session-1</samlp:SessionIndex>",
            &format!("Destination=\"{}\"", corp.slo()),
            "SignatureValue>",
        ] {
            assert!(asked.contains(part), "{part} in {asked}");
        }
        assert_eq!(told(&house, &pool).await, [row("done", "signed out by SOAP")]);
        let sql =
            "SELECT COUNT(*) FROM upstream_sessions WHERE pool_id = ?1 AND ended_ms IS NOT NULL";
        assert_eq!(house.rows(sql, &pool).await, 1, "its session is over");
        let sql = "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'SignOutAtProvider' AND result = 'done'";
        assert_eq!(house.rows(sql, &pool).await, 1);
        // Once.
        sign_out(&house, &pool, "Corp_ann").await;
        works(&house).await;
        assert_eq!(corp.asked().len(), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_done_without_a_browser_is_said() {
    for house in houses_alone("soapless").await {
        let corp = Corp::start(&house).await;
        for (bindings, details, state, detail) in [
            (["HTTP-Redirect"], json!({}), "fresh", "its metadata offers no single logout by SOAP"),
            (["SOAP"], json!({ "IDPSignout": "false" }), "left", "IDPSignout is not set"),
        ] {
            let (pool, client) = given(&house, &corp, &bindings, details).await;
            let mut browser = Browser::new(&house, &pool, &client);
            corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
            sign_out(&house, &pool, "Corp_ann").await;
            works(&house).await;
            assert_eq!(told(&house, &pool).await, [row(state, detail)]);
        }
        assert!(corp.asked().is_empty());
    }
}

#[tokio::test]
async fn an_answer_that_is_no_proof_never_counts_as_one() {
    for house in houses_alone("soap_answers").await {
        let corp = Corp::start(&house).await;
        for (soap, state, words) in [
            (Soap::Answers(LogoutStatus::PartialLogout), "done", "signed out by SOAP"),
            (Soap::Answers(LogoutStatus::Responder), "failed", "it answers Responder"),
            (Soap::Unsigned, "failed", "is not signed"),
            (Soap::Forged, "pending", "was made by none of the"),
            (Soap::Nonsense, "pending", "expected"),
            (Soap::Status(503), "pending", "it answers 503"),
        ] {
            corp.does(soap);
            let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
            let mut browser = Browser::new(&house, &pool, &client);
            corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
            sign_out(&house, &pool, "Corp_ann").await;
            works(&house).await;
            let told = told(&house, &pool).await;
            assert_eq!(told[0].0, state, "{told:?}");
            assert!(told[0].1.contains(words), "{told:?}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_when_it_is_back_and_given_up_after_a_day() {
    for house in houses_alone("soap_away").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
        corp.does(Soap::Status(500));
        for session in ["_1", "_2", "_3"] {
            let mut browser = Browser::new(&house, &pool, &client);
            corp.signs_in(&house, &mut browser, &pool, "Corp", ("ann", session)).await;
            house.advance(1);
        }
        sign_out(&house, &pool, "Corp_ann").await;
        works(&house).await;
        assert_eq!(corp.asked().len(), 1, "one attempt tells that the provider is away");
        assert_eq!(states(&house, &pool).await, ["pending", "pending", "pending"]);
        works(&house).await;
        assert_eq!(corp.asked().len(), 1, "nothing is due");
        house.advance(30_001);
        corp.does(Soap::Answers(LogoutStatus::Success));
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done", "done", "done"]);
        assert_eq!(corp.asked().len(), 4);

        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ("ann", "_4")).await;
        house.advance(1);
        sign_out(&house, &pool, "Corp_ann").await;
        corp.goes_away().await;
        works(&house).await;
        house.advance(86_400_000);
        works(&house).await;
        let told = told(&house, &pool).await;
        assert_eq!(told[3].0, "failed", "{told:?}");
        assert!(told[3].1.contains("cannot be reached"), "{told:?}");
    }
}

#[tokio::test]
async fn one_provider_that_is_away_keeps_no_other_from_being_told() {
    for house in houses_alone("soap_others").await {
        let (dead, living) = (Corp::start(&house).await, Corp::start(&house).await);
        let (pool, client) = given(&house, &dead, &["SOAP"], json!({})).await;
        living.joins(&house, &pool, "Other", &["SOAP"], json!({})).await;
        let input = json!({ "UserPoolId": pool, "ClientId": client, "SupportedIdentityProviders": ["Corp", "Other"] });
        let mut update = code_client();
        merge(&mut update, input);
        house.ok("UpdateUserPoolClient", update).await;
        for (corp, name) in [(&dead, "Corp"), (&living, "Other")] {
            let mut browser = Browser::new(&house, &pool, &client);
            corp.signs_in(&house, &mut browser, &pool, name, ANN).await;
            sign_out(&house, &pool, &format!("{name}_ann")).await;
            house.advance(1);
        }
        dead.goes_away().await;
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["pending", "done"]);
    }
}

#[tokio::test]
async fn however_much_a_dead_provider_is_owed_the_others_are_told_at_once_and_all_of_it_is_given_up()
 {
    for house in houses_alone("soap_many").await {
        let (dead, living) = (Corp::start(&house).await, Corp::start(&house).await);
        let (pool, client) = given(&house, &dead, &["SOAP"], json!({})).await;
        living.joins(&house, &pool, "Other", &["SOAP"], json!({})).await;
        let input = json!({ "UserPoolId": pool, "ClientId": client, "SupportedIdentityProviders": ["Corp", "Other"] });
        let mut update = code_client();
        merge(&mut update, input);
        house.ok("UpdateUserPoolClient", update).await;
        let mut browser = Browser::new(&house, &pool, &client);
        dead.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        sign_out(&house, &pool, "Corp_ann").await;
        let mut batch = Batch::new();
        batch.any(
            Rank::Job,
            "INSERT INTO upstream_signouts SELECT pool_id, signout_id || '-' || i, upstream_id, provider, sub, state, detail, attempts, due_ms, \
             created_ms, done_ms, satisfied_ms FROM upstream_signouts, (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n \
             WHERE i < 450) SELECT i FROM n) numbers WHERE pool_id = ?1",
            cenote::params![pool.as_str()],
        );
        house.app.db.commit(batch).await.unwrap();
        house.advance(1);
        let mut browser = Browser::new(&house, &pool, &client);
        living.signs_in(&house, &mut browser, &pool, "Other", ANN).await;
        sign_out(&house, &pool, "Other_ann").await;
        dead.goes_away().await;
        works(&house).await;
        works(&house).await;
        let done = "SELECT COUNT(*) FROM upstream_signouts WHERE pool_id = ?1 AND state = 'done'";
        assert_eq!(house.rows(done, &pool).await, 1, "{}", house.url);
        house.advance(86_400_000);
        works(&house).await;
        let failed =
            "SELECT COUNT(*) FROM upstream_signouts WHERE pool_id = ?1 AND state = 'failed'";
        assert_eq!(house.rows(failed, &pool).await, 200, "with one attempt");
    }
}

#[tokio::test]
async fn a_session_there_that_is_over_still_says_what_the_browser_came_through() {
    for house in houses_alone("upstream_origin").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
        let own = house.client(&pool, code_client()).await;
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        // As in Cognito, this leaves the browser's session alone.
        sign_out(&house, &pool, "Corp_ann").await;
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done"]);
        cenote::store::purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
        for (client, offered) in [(&client, true), (&own, false)] {
            let mut same = Browser::new(&house, &pool, client);
            same.cookies.clone_from(&browser.cookies);
            let page = same.opens("").await.body;
            assert_eq!(page.contains("Sign in as"), offered, "{}", house.url);
        }
    }
}

#[tokio::test]
async fn a_server_that_dies_before_it_sends_leaves_the_sign_out_to_another() {
    for house in houses_alone("soap_died").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        sign_out(&house, &pool, "Corp_ann").await;
        // This server takes it, and is gone.
        let owed = upstream::due(&house.app.db, house.app.clock.now_ms(), 10).await.unwrap();
        let mut batch = Batch::new();
        upstream::lease(&mut batch, &owed[0], house.app.clock.now_ms() + 30_000);
        house.app.db.commit(batch).await.unwrap();

        let another = house.another_node(0).await;
        works(&another).await;
        assert!(corp.asked().is_empty(), "somebody has it");
        another.advance(30_001);
        works(&another).await;
        assert_eq!((corp.asked().len(), states(&house, &pool).await), (1, vec!["done".to_owned()]));
    }
}

#[tokio::test]
async fn of_many_servers_one_tells_the_provider() {
    for house in houses_alone("soap_race").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        sign_out(&house, &pool, "Corp_ann").await;
        let mut nodes = Vec::new();
        for _ in 0..6 {
            nodes.push(house.another_node(0).await);
        }
        crate::house::together(nodes.iter().map(works)).await;
        assert_eq!((corp.asked().len(), states(&house, &pool).await), (1, vec!["done".to_owned()]));
    }
}

#[tokio::test]
async fn the_tokens_of_an_oauth_provider_are_revoked() {
    for house in houses_alone("revoked").await {
        for (revocation, behaviour, state) in [
            (true, None, "revoked"),
            (false, None, "fresh"),
            (true, Some(Behaviour::Status(400)), "failed"),
            (true, Some(Behaviour::Status(503)), "pending"),
        ] {
            let op = Provider::start().await;
            if !revocation {
                op.set(|state| state.discovery = json!({ "revocation_endpoint": null }));
            }
            let (pool, client) = given_openid(&house, &op, json!({})).await;
            op.does("/revoke", behaviour);
            let mut browser = Browser::new(&house, &pool, &client);
            signs_in_at(&op, &mut browser, "ann").await;
            sign_out(&house, &pool, "Open_ann").await;
            works(&house).await;
            assert_eq!(states(&house, &pool).await, [state]);
            let asked: Vec<BTreeMap<String, String>> =
                op.asked("/revoke").into_iter().map(|asked| asked.form).collect();
            if revocation {
                assert_eq!(
                    (asked[0]["token"].as_str(), asked[0]["token_type_hint"].as_str()),
                    ("rt.ann", "refresh_token")
                );
            } else {
                assert!(asked.is_empty());
            }
        }
    }
}

#[tokio::test]
async fn a_pool_without_providers_owes_nobody() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, code_client()).await;
        house.user(&pool, "ann").await;
        let mut browser = Browser::new(&house, &pool, &client);
        browser.signs_in("ann", PASSWORD, "").await;
        sign_out(&house, &pool, "ann").await;
        assert!(told(&house, &pool).await.is_empty());
    }
}

#[tokio::test]
async fn a_session_at_a_provider_is_kept_as_long_as_the_provider_may_end_something_and_no_longer() {
    const HOUR: i64 = 3_600_000;
    for house in houses_alone("upstream_purge").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["SOAP"], json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        corp.gets_tokens(&house, &mut browser, &pool, "Corp", ANN).await;
        let mut other = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut other, &pool, "Corp", ("bob", "_bob")).await;
        let kept = async || {
            cenote::store::purge::run(&house.app.db, house.app.clock.now_ms()).await.unwrap();
            house.rows("SELECT COUNT(*) FROM upstream_sessions WHERE pool_id = ?1", &pool).await
        };
        assert_eq!(kept().await, 2);
        house.advance(30 * HOUR);
        assert_eq!(kept().await, 1, "bob's browser session is over, and he has no tokens; ann has");
        house.advance(20 * 24 * HOUR);
        assert_eq!(kept().await, 1, "refresh tokens live for thirty days");
        corp.does(Soap::Status(500));
        sign_out(&house, &pool, "Corp_ann").await;
        works(&house).await;
        house.advance(2 * HOUR);
        assert_eq!(kept().await, 1, "the provider is still to be told");
        corp.does(Soap::Answers(LogoutStatus::Success));
        works(&house).await;
        house.advance(1);
        assert_eq!(kept().await, 0);
        assert_eq!(states(&house, &pool).await, ["done"]);
    }
}

#[tokio::test]
async fn what_a_browser_began_and_did_not_finish_is_the_workers() {
    for house in houses_alone("abandoned").await {
        let corp = Corp::start(&house).await;
        let (pool, client) = given(&house, &corp, &["HTTP-Redirect", "SOAP"], json!({})).await;
        let mut browser = Browser::new(&house, &pool, &client);
        corp.signs_in(&house, &mut browser, &pool, "Corp", ANN).await;
        let path = format!("/logout?client_id={client}&logout_uri=https://app.example.com/bye");
        browser.get(&path).await;
        assert_eq!(states(&house, &pool).await, [State::Browser.as_str()]);
        works(&house).await;
        assert!(corp.asked().is_empty(), "the browser is on its way");
        house.advance(120_000);
        works(&house).await;
        assert_eq!(states(&house, &pool).await, ["done"]);
    }
}
