//! The keys of a pool for SAML: one for each use, on every node the same, with a new certificate every year; and our metadata.

use axum::body::Body;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cenote::ambient::DAY;
use cenote::cx::Cx;
use cenote::federation::certificates;
use serde_json::json;

use crate::house::{Answer, House, houses, houses_alone, merge, together};
use crate::provider_details::provider;
use crate::providers::creates;

/// The modulus in a certificate for an RSA-2048 key.
fn key(certificate: &[u8]) -> &[u8] {
    let integer = [0x02, 0x82, 0x01, 0x01, 0x00];
    let at = certificate.windows(5).position(|window| window == integer).unwrap();
    &certificate[at + 5..at + 5 + 256]
}

/// The two times of a certificate, as `YYMMDD`.
fn validity(certificate: &[u8]) -> [String; 2] {
    let utc_time = [0x17, 0x0d];
    let starts = certificate.windows(2).enumerate().filter(|(_, window)| *window == utc_time);
    let times: Vec<String> = starts
        .map(|(at, _)| String::from_utf8_lossy(&certificate[at + 2..at + 8]).into_owned())
        .collect();
    [times[0].clone(), times[1].clone()]
}

async fn signing_certificate(house: &House, pool: &str) -> Vec<u8> {
    let answer = house.ok("GetSigningCertificate", json!({ "UserPoolId": pool })).await;
    BASE64_STANDARD.decode(answer["Certificate"].as_str().unwrap()).unwrap()
}

async fn all_signing(house: &House, pool: &str) -> Vec<Vec<u8>> {
    let row = house.app.directory.pool(&house.app.db, pool).await.unwrap().unwrap();
    certificates::signing_certificates(&Cx::system(house.app.clone()), &row).await.unwrap()
}

#[tokio::test]
async fn a_pool_has_one_signing_key_however_many_ask_for_it_first() {
    for house in houses().await {
        let node = house.another_node(0).await;
        let pool = house.pool(json!({})).await;
        let racers =
            (0..8).map(|n| signing_certificate(if n % 2 == 0 { &house } else { &node }, &pool));
        let seen = together(racers).await;
        assert!(seen.iter().all(|certificate| *certificate == seen[0]));
        assert_eq!(signing_certificate(&node, &pool).await, seen[0]);
        cenote_saml::check_certificate(&seen[0]).unwrap();
        // The clock of the house stands at 2026-09-21.
        assert_eq!(validity(&seen[0]), ["260920", "360918"]);
        let sql = "SELECT secret FROM saml_certificates WHERE pool_id = ?1";
        let rows = house.app.db.scan(sql, vec![pool.as_str().into()]).await.unwrap();
        assert_eq!(rows.len(), 1);
        let another = house.pool(json!({})).await;
        assert_ne!(signing_certificate(&house, &another).await, seen[0]);
        let nowhere = json!({ "UserPoolId": "us-east-1_Nowhere99" });
        let refused = house.refused("GetSigningCertificate", nowhere).await;
        assert_eq!(refused.0, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn a_year_later_there_is_a_new_certificate_of_the_same_key_and_the_old_one_still_holds() {
    for house in houses_alone("certificates").await {
        let node = house.another_node(0).await;
        let pool = house.pool(json!({})).await;
        creates(&house, &pool, "SAML", "Upstream", json!({})).await;
        let named = json!({ "UserPoolId": pool, "ProviderName": "Upstream" });
        let encryption = async |house: &House| {
            let read = house.ok("DescribeIdentityProvider", named.clone()).await;
            read["IdentityProvider"]["ProviderDetails"]["ActiveEncryptionCertificate"].clone()
        };
        let (first, first_encryption) =
            (signing_certificate(&house, &pool).await, encryption(&house).await);

        let day = Cx::system(house.app.clone()).now + DAY;
        assert_eq!(certificates::renew(Cx::system(house.app.clone())).await.unwrap(), day);
        assert_eq!(all_signing(&house, &pool).await, std::slice::from_ref(&first));

        for of in [&house, &node] {
            of.clock.advance(366 * DAY);
        }
        let racers = [&house, &node].map(|of| certificates::renew(Cx::system(of.app.clone())));
        for outcome in together(racers).await {
            outcome.unwrap();
        }
        let trail = cenote::store::jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 10_000).await;
        let trail = trail.unwrap();
        let renewed = trail.iter().filter(|entry| entry.action == "RenewCertificate");
        let mut renewed: Vec<&str> = renewed.map(|entry| entry.target.as_str()).collect();
        renewed.sort_unstable();
        assert_eq!(renewed, ["encryption:Upstream", "signing"], "each once");
        let second = signing_certificate(&node, &pool).await;
        assert_eq!(key(&first), key(&second), "the key stays");
        assert_eq!(validity(&second)[1], "370919");
        assert_eq!(all_signing(&house, &pool).await, [second.clone(), first.clone()]);
        assert_eq!(all_signing(&node, &pool).await, [second, first]);
        assert_ne!(encryption(&house).await, first_encryption);
        assert_eq!(encryption(&node).await, encryption(&house).await);

        // Ten years: what has expired is named no more.
        for of in [&house, &node] {
            of.clock.advance(3_650 * DAY);
        }
        certificates::renew(Cx::system(house.app.clone())).await.unwrap();
        assert_eq!(all_signing(&node, &pool).await.len(), 1);
    }
}

#[tokio::test]
async fn each_provider_has_an_encryption_key_of_its_own_and_a_new_one_with_a_new_life() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let certificate = |read: serde_json::Value| {
            read["ProviderDetails"]["ActiveEncryptionCertificate"].as_str().unwrap().to_owned()
        };
        let one = certificate(creates(&house, &pool, "SAML", "One", json!({})).await);
        let two = certificate(creates(&house, &pool, "SAML", "Two", json!({})).await);
        assert_ne!(one, two);
        cenote_saml::check_certificate(&BASE64_STANDARD.decode(&one).unwrap()).unwrap();
        let row = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let cx = Cx::system(house.app.clone());
        let credential = certificates::decryption(&cx, &row, "One").await.unwrap();
        assert_eq!(BASE64_STANDARD.encode(credential.certificate()), one);
        let named = json!({ "UserPoolId": pool, "ProviderName": "One" });
        house.ok("DeleteIdentityProvider", named).await;
        assert_ne!(certificate(creates(&house, &pool, "SAML", "One", json!({})).await), one);
    }
}

#[tokio::test]
async fn keys_for_saml_are_sealed_in_the_database() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let certificate = signing_certificate(&house, &pool).await;
        let sql = "SELECT secret FROM saml_certificates WHERE pool_id = ?1";
        let rows = house.app.db.scan(sql, vec![pool.as_str().into()]).await.unwrap();
        let secret = rows[0].blob(0).unwrap();
        let modulus = key(&certificate);
        assert!(secret.len() > 1_000 && !secret.windows(256).any(|window| window == modulus));
    }
}

async fn get(house: &House, host: &str, path: &str) -> Answer {
    let request = Request::get(path).header("host", host).body(Body::empty()).unwrap();
    house.send(request).await
}

/// The values of an attribute, in the order of the document.
fn all<'a>(document: &'a str, before: &str) -> Vec<&'a str> {
    document.split(before).skip(1).map(|rest| rest.split(['"', '<']).next().unwrap()).collect()
}

#[tokio::test]
async fn our_metadata_says_who_we_are_where_we_listen_and_what_signs() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let answer = get(&house, "localhost:9230", &format!("/{pool}/saml2/metadata")).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(answer.header("content-type"), "application/samlmetadata+xml");
        assert_eq!(answer.header("cache-control"), "public, max-age=3600");
        let document = &answer.body;
        assert_eq!(all(document, "entityID=\""), [format!("urn:amazon:cognito:sp:{pool}")]);
        // Asked for under one address, offered on the TLS listener: both are ours, and the reader reaches the first.
        let base = format!("http://localhost:9230/{pool}");
        let locations = all(document, " Location=\"");
        let slo = format!("{base}/saml2/logout");
        assert_eq!(locations[..3], [&slo, &slo, &slo]);
        assert_eq!(locations[3], format!("{base}/saml2/idpresponse"));
        assert_eq!(locations[4], format!("https://localhost:9230/{pool}/saml2/idpresponse"));
        let bindings = all(document, "Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:");
        assert_eq!(bindings, ["HTTP-Redirect", "HTTP-POST", "SOAP", "HTTP-POST", "HTTP-POST"]);
        assert_eq!(all(document, "KeyDescriptor use=\""), ["signing"]);
        let certificate = BASE64_STANDARD.encode(signing_certificate(&house, &pool).await);
        assert_eq!(all(document, "<ds:X509Certificate>"), [certificate]);
        assert_eq!(all(document, "AuthnRequestsSigned=\""), ["false"]);
        assert_eq!(all(document, "WantAssertionsSigned=\""), ["true"]);
        let again = get(&house, "localhost:9230", &format!("/{pool}/saml2/metadata")).await;
        assert_eq!(again.body, answer.body);
    }
}

#[tokio::test]
async fn a_provider_that_is_named_learns_what_to_encrypt_with_and_what_its_settings_ask_for() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let mut input = provider(&pool, "SAML", "Up&Stream", json!({}));
        merge(
            &mut input["ProviderDetails"],
            json!({ "RequestSigningAlgorithm": "rsa-sha256",
            "NameIDFormat": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient" }),
        );
        let made = house.ok("CreateIdentityProvider", input).await["IdentityProvider"].clone();
        creates(&house, &pool, "OIDC", "Other", json!({})).await;
        let named = |name: &str| format!("/{pool}/saml2/metadata?provider={name}");
        let answer = get(&house, "localhost:9230", &named("Up%26Stream")).await;
        let document = &answer.body;
        assert_eq!(all(document, "KeyDescriptor use=\""), ["signing", "encryption"]);
        let active = made["ProviderDetails"]["ActiveEncryptionCertificate"].as_str().unwrap();
        assert_eq!(all(document, "<ds:X509Certificate>")[1], active);
        assert_eq!(all(document, "AuthnRequestsSigned=\""), ["true"]);
        assert_eq!(
            all(document, "<md:NameIDFormat>"),
            ["urn:oasis:names:tc:SAML:2.0:nameid-format:transient"]
        );
        for nobody in ["Nobody", "Other", "up%26stream"] {
            let answer = get(&house, "localhost:9230", &named(nobody)).await;
            assert_eq!(answer.status, 404, "{nobody}");
            assert!(!answer.body.contains("EntityDescriptor"));
        }
    }
}

#[tokio::test]
async fn our_metadata_is_on_a_pools_domain_and_on_the_bare_address_only_for_a_client() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let digits: String = pool.bytes().rev().take(9).map(|byte| format!("{byte:02x}")).collect();
        let prefix = format!("saml-{digits}");
        house.ok("CreateUserPoolDomain", json!({ "UserPoolId": pool, "Domain": prefix })).await;
        let host = format!("{prefix}.localhost:9230");
        let answer = get(&house, &host, "/saml2/metadata").await;
        assert_eq!(answer.status, 200);
        assert!(
            all(&answer.body, " Location=\"")
                .iter()
                .any(|at| *at == format!("http://{host}/saml2/idpresponse"))
        );
        assert_eq!(all(&answer.body, "entityID=\""), [format!("urn:amazon:cognito:sp:{pool}")]);

        let client = house.client(&pool, json!({})).await;
        assert_eq!(get(&house, "localhost:9229", "/saml2/metadata").await.status, 404);
        let answer =
            get(&house, "localhost:9229", &format!("/saml2/metadata?client_id={client}")).await;
        assert!(answer.status.is_redirection());
        assert!(answer.header("location").contains(&format!("/{pool}/saml2/metadata")));
        let nowhere = get(&house, "localhost:9229", "/us-east-1_Nowhere99/saml2/metadata").await;
        assert_eq!(nowhere.status, 404);
    }
}
