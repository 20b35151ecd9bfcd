//! What is learned of providers: metadata and discovery are fetched, checked and kept; a refresh that fails, or brings nonsense, loses
//! nothing.

use cenote::ambient::{HOUR, MINUTE, Ms, SECOND};
use cenote::federation::{TroubleKind, learned};
use cenote::pool::Provider;
use cenote::pool::provider::Kind;
use cenote::store::learned::{self as rows, Known};
use cenote::store::{Batch, jobs, providers};
use serde_json::{Value, json};

use crate::house::{House, NOW, houses, houses_alone, merge, together};
use crate::provider::{self as upstream, Behaviour};
use crate::upstream_oidc::{cx, put};

const IDP: &str = include_str!("../../crates/saml/tests/vectors/keys/idp.crt");
const NEXT: &str = include_str!("../../crates/saml/tests/vectors/keys/idp-next.crt");
const ENTITY: &str = "https://idp.example/metadata";

/// An identity provider's metadata; `root` is more for its root element.
fn metadata(entity_id: &str, certificates: &[&str], root: &str) -> String {
    let keys: String = certificates
        .iter()
        .map(|pem| {
            let base64: String = pem.lines().filter(|line| !line.contains("-----")).collect();
            format!(
                r#"<KeyDescriptor use="signing"><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{base64}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></KeyDescriptor>"#
            )
        })
        .collect();
    format!(
        r#"<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="{entity_id}" {root}>
<IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">{keys}
<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="https://idp.example/sso"/>
</IDPSSODescriptor></EntityDescriptor>"#
    )
}

async fn saml(house: &House, idp: &upstream::Provider, more: Value) -> Provider {
    let mut details = json!({ "MetadataURL": format!("{}/metadata", idp.url) });
    merge(&mut details, more);
    put(house, Kind::Saml, details, &[]).await
}

async fn oidc(house: &House, idp: &upstream::Provider, more: Value) -> Provider {
    let mut details = idp.details();
    merge(&mut details, more);
    put(house, Kind::Oidc, details, &[]).await
}

async fn known(house: &House, provider: &Provider, what: &str) -> Known {
    rows::known(&house.app.db, &provider.pool_id, &provider.name, what).await.unwrap().unwrap()
}

async fn certificates(house: &House, provider: &Provider) -> usize {
    learned::saml_metadata(&cx(house), provider).await.unwrap().signing.len()
}

/// What is learned, also where the machine is so busy that the seconds of a fetch are over before it began.
async fn learns(house: &House, provider: &Provider) -> Vec<learned::Learned> {
    loop {
        match learned::learn(&cx(house), provider).await {
            Err(error) if error.message.contains("did not answer in time") => {}
            learned => return learned.unwrap(),
        }
    }
}

/// One turn of the worker.
async fn refresh(house: &House) -> Ms {
    learned::refresh(cx(house)).await.unwrap()
}

#[tokio::test]
async fn metadata_is_fetched_once_and_known_on_every_node() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        idp.set(|idp| idp.metadata = format!("\u{feff}{}", metadata(ENTITY, &[IDP], "")));
        let provider = saml(&house, &idp, json!({})).await;
        let first = learned::saml_metadata(&cx(&house), &provider).await.unwrap();
        assert_eq!(first.entity_id, ENTITY);
        let other = house.another_node(SECOND).await;
        assert_eq!(learned::saml_metadata(&cx(&other), &provider).await.unwrap().entity_id, ENTITY);
        assert_eq!(idp.asked("/metadata").len(), 1);
        let known = known(&house, &provider, "saml_metadata").await;
        assert_eq!((known.fetched_ms, known.due_ms), (NOW, NOW + 6 * HOUR));
    }
}

#[tokio::test]
async fn of_many_who_need_a_document_at_once_one_fetches_it() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = oidc(&house, &idp, json!({})).await;
        let racers = (0..20).map(|_| {
            let (cx, provider) = (cx(&house), provider.clone());
            async move { learned::jwks(&cx, &provider).await }
        });
        for outcome in together(racers).await {
            assert!(!outcome.unwrap().is_empty());
        }
        assert_eq!(idp.asked("/.well-known/openid-configuration").len(), 1);
        assert_eq!(idp.asked("/jwks").len(), 1);
    }
}

#[tokio::test]
async fn a_provider_in_trouble_is_asked_again_after_some_seconds() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = saml(&house, &idp, json!({})).await;
        idp.does("/metadata", Behaviour::Status(500));
        for _ in 0..3 {
            let trouble = learned::saml_metadata(&cx(&house), &provider).await.unwrap_err();
            assert_eq!(trouble.kind, TroubleKind::Unreachable);
            assert!(trouble.text.contains("answers 500"), "{trouble:?}");
        }
        assert_eq!(idp.asked("/metadata").len(), 1);
        idp.does("/metadata", None);
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP], ""));
        house.advance(11 * SECOND);
        assert_eq!(certificates(&house, &provider).await, 1);
    }
}

#[tokio::test]
async fn documents_are_fetched_again_when_they_say_so_within_an_hour_and_a_day() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        for (root, cache_control, hours) in [
            ("", None, 6),
            (r#"cacheDuration="PT2H""#, Some("max-age=18000"), 2),
            ("", Some("public, max-age=18000"), 5),
            (r#"cacheDuration="PT1S""#, None, 1),
            (r#"cacheDuration="P1Y""#, None, 24),
            // Nine hours away: an hour before that.
            (r#"validUntil="2026-09-21T23:13:20Z" cacheDuration="P1D""#, None, 8),
            (r#"validUntil="2026-09-21T15:00:00Z""#, None, 1),
        ] {
            idp.set(|idp| {
                idp.metadata = metadata(ENTITY, &[IDP], root);
                idp.cache_control = cache_control;
            });
            let provider = saml(&house, &idp, json!({})).await;
            let documents = learns(&house, &provider).await;
            assert_eq!(documents.len(), 1);
            assert_eq!(documents[0].due_ms, NOW + hours * HOUR, "{root} {cache_control:?}");
        }
    }
}

#[tokio::test]
async fn a_provider_that_changes_its_certificate_is_followed_and_the_trail_says_so() {
    for house in houses_alone("learned_followed").await {
        let idp = upstream::Provider::start().await;
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP], ""));
        let provider = saml(&house, &idp, json!({})).await;
        let before = learned::saml_metadata(&cx(&house), &provider).await.unwrap();
        house.advance(6 * HOUR - MINUTE);
        assert_eq!(refresh(&house).await, NOW + 6 * HOUR);
        assert_eq!(idp.asked("/metadata").len(), 1, "it was not due");
        house.advance(MINUTE);
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[NEXT], ""));
        refresh(&house).await;
        let other = house.another_node(6 * HOUR).await;
        for house in [&house, &other] {
            let after = learned::saml_metadata(&cx(house), &provider).await.unwrap();
            assert_ne!(before.signing, after.signing);
        }
        assert_eq!(idp.asked("/metadata").len(), 2);
        let trail = jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await.unwrap();
        let entry = trail.iter().find(|entry| entry.action == "RefreshIdentityProvider").unwrap();
        assert_eq!((entry.target.as_str(), entry.actor.as_str()), ("SAML", "operator"));
        assert!(entry.detail.contains('+') && entry.detail.contains('-'), "{}", entry.detail);
        // The same again is no change.
        house.advance(6 * HOUR);
        refresh(&house).await;
        let trail = jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await.unwrap();
        let entries = trail.iter().filter(|entry| entry.action == "RefreshIdentityProvider");
        assert_eq!(entries.count(), 1);
    }
}

#[tokio::test]
async fn a_refresh_that_fails_or_brings_nonsense_leaves_the_good_copy() {
    for house in houses_alone("learned_kept").await {
        let idp = upstream::Provider::start().await;
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP, NEXT], ""));
        let provider = saml(&house, &idp, json!({})).await;
        assert_eq!(certificates(&house, &provider).await, 2);
        house.advance(6 * HOUR);
        let since = NOW + 6 * HOUR;
        let xml = |text: String| Behaviour::Body("application/samlmetadata+xml", text);
        let good = metadata(ENTITY, &[IDP], "");
        let doctype = format!("<!DOCTYPE x [<!ENTITY a \"b\">]>{good}");
        for (behaviour, why) in [
            (Behaviour::Status(500), "answers 500"),
            (Behaviour::Status(404), "answers 404"),
            (
                Behaviour::Redirect("http://169.254.169.254/latest".into()),
                "redirects to http://169.254.169.254/latest",
            ),
            (Behaviour::Huge, "larger"),
            (xml(String::new()), "cannot be used"),
            (xml("<html>hello</html>".into()), "cannot be used"),
            (xml(good[..good.len() - 9].to_owned()), "cannot be used"),
            (xml(doctype), "DOCTYPE"),
            (xml(metadata("https://evil.example", &[IDP], "")), "evil.example"),
            (xml(metadata(ENTITY, &[], "")), "cannot be used"),
            (
                xml(metadata(ENTITY, &[IDP], r#"validUntil="2020-01-01T00:00:00Z""#)),
                "cannot be used",
            ),
        ] {
            idp.does("/metadata", behaviour);
            refresh(&house).await;
            assert_eq!(certificates(&house, &provider).await, 2, "{why}");
            let known = known(&house, &provider, "saml_metadata").await;
            assert_eq!((known.fetched_ms, known.failed_ms), (NOW, Some(since)));
            assert!(known.failure.contains(why), "{:?} does not say: {why}", known.failure);
            house.advance(15 * MINUTE);
        }
        idp.does("/metadata", None);
        idp.set(|idp| idp.metadata = good.clone());
        refresh(&house).await;
        assert_eq!(certificates(&house, &provider).await, 1);
        let known = known(&house, &provider, "saml_metadata").await;
        assert_eq!((known.failed_ms, known.failure.as_str()), (None, ""));
    }
}

#[tokio::test]
async fn of_several_servers_one_refreshes() {
    for house in houses_alone("learned_one").await {
        let idp = upstream::Provider::start().await;
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP], ""));
        let provider = saml(&house, &idp, json!({})).await;
        certificates(&house, &provider).await;
        house.advance(6 * HOUR);
        let mut nodes = Vec::new();
        for n in 0..4 {
            nodes.push(house.another_node(6 * HOUR + n).await);
        }
        let racers = nodes.iter().map(|node| learned::refresh(cx(node)));
        for outcome in together(racers).await {
            outcome.unwrap();
        }
        assert_eq!(idp.asked("/metadata").len(), 2);
    }
}

#[tokio::test]
async fn metadata_that_is_not_valid_any_more_is_not_used() {
    for house in houses_alone("learned_valid").await {
        let idp = upstream::Provider::start().await;
        let until = r#"validUntil="2026-09-21T15:00:00Z""#;
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP], until));
        let by_url = saml(&house, &idp, json!({})).await;
        let file = json!({ "MetadataURL": null, "MetadataFile": metadata(ENTITY, &[IDP], until) });
        let by_file = saml(&house, &idp, file).await;
        for provider in [&by_url, &by_file] {
            assert_eq!(certificates(&house, provider).await, 1);
        }
        idp.does("/metadata", Behaviour::Status(500));
        house.advance(3 * HOUR);
        refresh(&house).await;
        let other = house.another_node(3 * HOUR).await;
        for house in [&house, &other] {
            for provider in [&by_url, &by_file] {
                let trouble = learned::saml_metadata(&cx(house), provider).await.unwrap_err();
                assert_eq!(trouble.kind, TroubleKind::Refused);
                assert!(trouble.text.contains("validUntil"), "{trouble:?}");
            }
        }
        assert_eq!(idp.asked("/metadata").len(), 2, "a file is never fetched");
    }
}

#[tokio::test]
async fn metadata_that_must_be_signed_and_is_not_is_refused() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP], ""));
        for certificate in [IDP, "MIIB"] {
            let signed = json!({ "MetadataSigningCertificate": certificate });
            let provider = saml(&house, &idp, signed).await;
            let error = learned::learn(&cx(&house), &provider).await.unwrap_err();
            assert!(error.message.contains("SAML metadata of SAML cannot be used"), "{error}");
            learned::saml_metadata(&cx(&house), &provider).await.unwrap_err();
        }
    }
}

#[tokio::test]
async fn a_signature_by_a_new_key_is_reason_to_look_once() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP], ""));
        let provider = saml(&house, &idp, json!({})).await;
        certificates(&house, &provider).await;
        assert_eq!(learned::saml_metadata_anew(&cx(&house), &provider).await.unwrap(), None);
        idp.set(|idp| idp.metadata = metadata(ENTITY, &[IDP, NEXT], ""));
        house.advance(11 * SECOND);
        let anew = learned::saml_metadata_anew(&cx(&house), &provider).await.unwrap().unwrap();
        assert_eq!(anew.signing.len(), 2);
        assert_eq!(certificates(&house, &provider).await, 2);
        assert_eq!(idp.asked("/metadata").len(), 2);
        let file = json!({ "MetadataURL": null, "MetadataFile": metadata(ENTITY, &[IDP], "") });
        let by_file = saml(&house, &idp, file).await;
        assert_eq!(learned::saml_metadata_anew(&cx(&house), &by_file).await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_discovery_document_that_is_no_good_is_refused_with_what_is_wrong() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let provider = oidc(&house, &idp, json!({})).await;
        let learn = || async {
            let error = learned::learn(&cx(&house), &provider).await.unwrap_err();
            assert_eq!(error.kind, cenote::error::Kind::InvalidParameter);
            error.message.into_owned()
        };
        for (document, why) in [
            (json!({ "issuer": "https://evil.example" }), "Its issuer is \"https://evil.example\""),
            (json!({ "issuer": null }), "Its issuer is \"\""),
            (json!({ "authorization_endpoint": null }), "authorization_endpoint"),
            (json!({ "token_endpoint": null }), "token_endpoint"),
            (json!({ "jwks_uri": null }), "jwks_uri"),
            (json!({ "token_endpoint": 7 }), "not a JSON object"),
            (json!({ "token_endpoint": "http://169.254.169.254/token" }), "not an https address"),
            (json!({ "end_session_endpoint": "javascript:alert(1)" }), "not an https address"),
        ] {
            idp.set(|idp| idp.discovery = document);
            let told = learn().await;
            assert!(told.contains(why), "{told:?} does not say: {why}");
        }
        let path = "/.well-known/openid-configuration";
        for (behaviour, why) in [
            (Behaviour::Status(404), "answers 404"),
            (Behaviour::Huge, "larger"),
            (Behaviour::Redirect("http://10.0.0.1/".into()), "redirects to http://10.0.0.1/"),
            (Behaviour::Body("text/html", "<html>".into()), "not a JSON object"),
        ] {
            idp.does(path, behaviour);
            let told = learn().await;
            assert!(told.contains(why), "{told:?} does not say: {why}");
        }
        // Nothing of it was kept.
        let rows = "SELECT COUNT(*) FROM provider_learned WHERE pool_id = ?1";
        assert_eq!(house.rows(rows, &provider.pool_id).await, 0);
        let nowhere = json!({ "oidc_issuer": "https://169.254.169.254" });
        let nowhere = oidc(&house, &idp, nowhere).await;
        let error = learned::learn(&cx(&house), &nowhere).await.unwrap_err();
        assert!(error.message.contains("outgoing_allow"), "{error}");
    }
}

#[tokio::test]
async fn a_key_set_without_a_usable_key_is_refused_and_the_old_one_stays() {
    for house in houses_alone("learned_jwks").await {
        let idp = upstream::Provider::start().await;
        let provider = oidc(&house, &idp, json!({})).await;
        assert!(learned::jwks(&cx(&house), &provider).await.unwrap().knows("k1"));
        house.advance(6 * HOUR);
        for body in [
            "",
            "{}",
            "[]",
            r#"{"keys":{}}"#,
            r#"{"keys":[]}"#,
            r#"{"keys":[{"kty":"oct","k":"AA"}]}"#,
        ] {
            idp.does("/jwks", Behaviour::Body("application/json", body.into()));
            refresh(&house).await;
            assert!(learned::jwks(&cx(&house), &provider).await.unwrap().knows("k1"), "{body}");
            assert!(known(&house, &provider, "jwks").await.failed_ms.is_some(), "{body}");
            house.advance(15 * MINUTE);
        }
    }
}

#[tokio::test]
async fn a_change_while_the_provider_is_away_loses_nothing() {
    for house in houses().await {
        let idp = upstream::Provider::start().await;
        let at = |path: &str| format!("{}{path}", idp.url);
        let explicit = json!({ "authorize_url": at("/authorize"), "token_url": at("/token"), "jwks_uri": at("/jwks") });
        let provider = oidc(&house, &idp, explicit).await;
        let before = learns(&house, &provider).await;
        assert_eq!(before.len(), 2);
        let mut batch = Batch::new();
        rows::replace(&mut batch, &provider.pool_id, &provider.name, &before);
        house.app.db.commit(batch).await.unwrap();
        for path in ["/.well-known/openid-configuration", "/jwks"] {
            idp.does(path, Behaviour::Status(503));
        }
        assert_eq!(learns(&house, &provider).await, before);
        // Another address is another party: nothing that was known holds for it.
        let mut moved = provider.clone();
        moved.doc.details.insert("oidc_issuer".into(), format!("{}/moved", idp.url));
        moved.doc.details.insert("jwks_uri".into(), at("/moved/jwks"));
        for path in ["/moved/.well-known/openid-configuration", "/moved/jwks"] {
            idp.does(path, Behaviour::Status(503));
        }
        assert_eq!(learns(&house, &moved).await, []);
    }
}

#[tokio::test]
async fn keys_whose_address_cannot_be_told_now_are_kept() {
    for house in houses_alone("learned_address").await {
        let idp = upstream::Provider::start().await;
        let provider = oidc(&house, &idp, json!({})).await;
        assert!(learned::jwks(&cx(&house), &provider).await.unwrap().knows("k1"));
        let mut batch = Batch::new();
        let lost = "DELETE FROM provider_learned WHERE pool_id = ?1 AND what = 'discovery'";
        batch.any(cenote::store::Rank::Domain, lost, vec![provider.pool_id.as_str().into()]);
        house.app.db.commit(batch).await.unwrap();
        idp.does("/.well-known/openid-configuration", Behaviour::Status(503));
        house.advance(6 * HOUR);
        refresh(&house).await;
        assert!(known(&house, &provider, "jwks").await.failed_ms.is_some());
        idp.does("/.well-known/openid-configuration", None);
        house.advance(15 * MINUTE);
        refresh(&house).await;
        assert_eq!(known(&house, &provider, "jwks").await.failed_ms, None);
    }
}

#[tokio::test]
async fn what_was_learned_goes_with_the_provider_and_does_not_come_back() {
    for house in houses_alone("learned_gone").await {
        let idp = upstream::Provider::start().await;
        let provider = oidc(&house, &idp, json!({})).await;
        learned::jwks(&cx(&house), &provider).await.unwrap();
        let rows = "SELECT COUNT(*) FROM provider_learned WHERE pool_id = ?1";
        assert_eq!(house.rows(rows, &provider.pool_id).await, 2);
        let mut batch = Batch::new();
        providers::delete(&mut batch, &provider);
        house.app.db.commit(batch).await.unwrap();
        assert_eq!(house.rows(rows, &provider.pool_id).await, 0);
        // Somebody who read the provider before it was deleted.
        learned::jwks(&cx(&house), &provider).await.unwrap_err();
        assert_eq!(house.rows(rows, &provider.pool_id).await, 0);
    }
}
