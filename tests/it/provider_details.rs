//! ProviderDetails of each kind: what is given is given back, what Cognito fills in is filled in, and what is refused says why.

use serde_json::{Value, json};

use crate::house::{House, houses, merge};

/// A key as Apple hands it out, made for these tests.
pub const EC_KEY: &str = "\
    -----BEGIN PRIVATE KEY-----\n\
    MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgDXDOUlzBwURuGx7q\n\
    2Cr14ke44u9O8Wy6CBt0UtrERAGhRANCAARMsGwDCvY8Yv7ojapFwCcLxxkiXHiD\n\
    Y3RdBSxFJ7S1q9NPpDs5g3Lck5/n2W8cgfSJUAFLYiz/V9R6IJNK/yfh\n\
    -----END PRIVATE KEY-----\n\
    ";

/// Metadata of a provider that nobody runs.
pub const METADATA: &str = include_str!("../fixtures/idp-metadata.xml");

/// ProviderDetails that are enough for a provider of this kind.
pub fn enough(kind: &str) -> Value {
    match kind {
        "SAML" => json!({ "MetadataFile": METADATA }),
        "OIDC" => json!({
            "client_id": "ours", "client_secret": "between us", "authorize_scopes": "openid email",
            "attributes_request_method": "GET", "oidc_issuer": "https://127.0.0.1:9",
            "authorize_url": "https://127.0.0.1:9/authorize", "token_url": "https://127.0.0.1:9/token",
            "attributes_url": "https://127.0.0.1:9/userinfo", "jwks_uri": "https://127.0.0.1:9/jwks",
        }),
        "SignInWithApple" => {
            json!({ "client_id": "ours", "team_id": "TEAM123456", "key_id": "KEY1234567",
            "private_key": EC_KEY, "authorize_scopes": "email name" })
        }
        _ => {
            json!({ "client_id": "ours", "client_secret": "between us", "authorize_scopes": "email" })
        }
    }
}

/// The input of CreateIdentityProvider; a social provider is called as its kind.
pub fn provider(pool: &str, kind: &str, name: &str, more: Value) -> Value {
    let mut input = json!({ "UserPoolId": pool, "ProviderName": name, "ProviderType": kind,
        "ProviderDetails": enough(kind) });
    merge(&mut input, more);
    input
}

async fn made(house: &House, pool: &str, kind: &str, details: Value) -> Value {
    let name = if matches!(kind, "SAML" | "OIDC") { "Upstream" } else { kind };
    let mut input = provider(pool, kind, name, json!({}));
    merge(&mut input["ProviderDetails"], details);
    let made = house.ok("CreateIdentityProvider", input).await["IdentityProvider"].clone();
    let named = json!({ "UserPoolId": pool, "ProviderName": name });
    let read = house.ok("DescribeIdentityProvider", named).await["IdentityProvider"].clone();
    assert_eq!(made, read);
    read
}

#[tokio::test]
async fn each_kind_answers_what_it_was_told_and_what_cognito_fills_in() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let told = json!({ "client_id": "ours", "client_secret": "between us", "authorize_scopes": "email" });
        for (kind, subject, filled) in [
            (
                "Google",
                "sub",
                json!({
                    "attributes_url": "https://people.googleapis.com/v1/people/me?personFields=",
                    "attributes_url_add_attributes": "true",
                    "authorize_url": "https://accounts.google.com/o/oauth2/v2/auth",
                    "oidc_issuer": "https://accounts.google.com",
                    "token_request_method": "POST",
                    "token_url": "https://www.googleapis.com/oauth2/v4/token",
                }),
            ),
            (
                "Facebook",
                "id",
                json!({
                    "attributes_url": "https://graph.facebook.com/v17.0/me?fields=",
                    "attributes_url_add_attributes": "true",
                    "authorize_url": "https://www.facebook.com/v17.0/dialog/oauth",
                    "token_request_method": "GET",
                    "token_url": "https://graph.facebook.com/v17.0/oauth/access_token",
                }),
            ),
            (
                "LoginWithAmazon",
                "user_id",
                json!({
                    "attributes_url": "https://api.amazon.com/user/profile",
                    "attributes_url_add_attributes": "false",
                    "authorize_url": "https://www.amazon.com/ap/oa",
                    "token_request_method": "POST",
                    "token_url": "https://api.amazon.com/auth/o2/token",
                }),
            ),
        ] {
            let read = made(&house, &pool, kind, json!({})).await;
            let mut expected = told.clone();
            merge(&mut expected, filled);
            assert_eq!(read["ProviderDetails"], expected, "{kind}");
            assert_eq!(read["AttributeMapping"], json!({ "username": subject }));
            assert_eq!((&read["ProviderType"], &read["UserPoolId"]), (&json!(kind), &json!(pool)));
        }
        let apple = made(&house, &pool, "SignInWithApple", json!({})).await;
        assert_eq!(
            apple["ProviderDetails"],
            json!({
                "attributes_url_add_attributes": "false",
                "authorize_scopes": "email name",
                "authorize_url": "https://appleid.apple.com/auth/authorize",
                "client_id": "ours",
                "key_id": "KEY1234567",
                "oidc_issuer": "https://appleid.apple.com",
                "team_id": "TEAM123456",
                "token_request_method": "POST",
                "token_url": "https://appleid.apple.com/auth/token",
            }),
            "and no private key"
        );
        let oidc = made(&house, &pool, "OIDC", json!({ "attributes_request_method": null })).await;
        let mut expected = enough("OIDC");
        expected["attributes_url_add_attributes"] = json!("false");
        assert_eq!(oidc["ProviderDetails"], expected);
        assert_eq!(oidc["AttributeMapping"], json!({ "username": "sub" }));
    }
}

#[tokio::test]
async fn what_infrastructure_tools_send_back_is_taken_and_wins() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let own = json!({
            "attributes_url": "https://people.googleapis.com/v1/people/me?personFields=photos",
            "attributes_url_add_attributes": "true",
            "authorize_url": "https://accounts.google.com/o/oauth2/v2/auth",
            "oidc_issuer": "https://accounts.google.com",
            "token_request_method": "POST",
            "token_url": "https://www.googleapis.com/oauth2/v4/token",
        });
        let google = made(&house, &pool, "Google", own.clone()).await;
        for (name, value) in own.as_object().unwrap() {
            assert_eq!(&google["ProviderDetails"][name], value);
        }
        let facebook = made(&house, &pool, "Facebook", json!({ "api_version": "v21.0" })).await;
        let details = &facebook["ProviderDetails"];
        assert_eq!(details["api_version"], "v21.0");
        assert_eq!(details["token_url"], "https://graph.facebook.com/v21.0/oauth/access_token");
        // Nothing is the same as empty, and the addresses of SAML follow from the metadata.
        let more = json!({ "IDPSignout": "", "IDPInit": "true", "SLORedirectBindingURI": "ignored",
            "SSORedirectBindingURI": "ignored", "RequestSigningAlgorithm": "rsa-sha256" });
        let saml = made(&house, &pool, "SAML", more).await;
        let details = &saml["ProviderDetails"];
        assert_eq!(details.get("IDPSignout"), None);
        assert_eq!(
            (&details["IDPInit"], &details["MetadataFile"]),
            (&json!("true"), &json!(METADATA))
        );
        assert_eq!(details["SSORedirectBindingURI"], "https://idp.example.com/sso");
        assert_eq!(details["SLORedirectBindingURI"], "https://idp.example.com/slo");
    }
}

#[tokio::test]
async fn what_is_beyond_cognito_is_given_back_too() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let more = json!({ "token_endpoint_auth_method": "private_key_jwt", "private_key": EC_KEY,
            "token_endpoint_auth_signing_alg": "ES256", "key_id": "k1", "pkce": "true",
            "end_session_url": "https://127.0.0.1:9/logout", "revocation_url": "https://127.0.0.1:9/revoke",
            "id_token_signed_response_alg": "ES256", "client_secret": null });
        let oidc = made(&house, &pool, "OIDC", more.clone()).await;
        let details = &oidc["ProviderDetails"];
        for (name, value) in more.as_object().unwrap() {
            match name.as_str() {
                "private_key" | "client_secret" => assert_eq!(details.get(name), None),
                name => assert_eq!(&details[name], value),
            }
        }
    }
}

#[tokio::test]
async fn bad_details_are_refused_and_say_why() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let required =
            "client_id, client_secret and authorize_scopes are all required idp details.";
        for (kind, details, message) in [
            ("Google", json!({ "client_secret": null }), format!("{required} Missing: client_secret.")),
            ("Google", json!({ "client_id": "", "authorize_scopes": null }), format!("{required} Missing: client_id, authorize_scopes.")),
            ("SignInWithApple", json!({ "team_id": null }), "client_id, team_id, key_id, private_key and authorize_scopes are all required idp details. Missing: team_id.".into()),
            ("OIDC", json!({ "client_secret": null }), "client_id, client_secret, authorize_scopes and oidc_issuer are all required idp details. Missing: client_secret.".into()),
            ("OIDC", json!({ "token_endpoint_auth_method": "private_key_jwt" }), "client_id, private_key, authorize_scopes and oidc_issuer are all required idp details. Missing: private_key.".into()),
            ("OIDC", json!({ "authorize_scopes": "email" }), "authorize_scopes of an OIDC identity provider must contain openid: without it there is no ID token.".into()),
            ("OIDC", json!({ "authorize_url": "issuer.example.com" }), "authorize_url must be an absolute https URL.".into()),
            ("OIDC", json!({ "oidc_issuer": "ftp://issuer.example.com" }), "oidc_issuer must be an absolute https URL.".into()),
            ("OIDC", json!({ "jwks_uri": "https://user@issuer.example.com" }), "jwks_uri must not hold a user name or a password.".into()),
            ("OIDC", json!({ "token_url": "https://127.0.0.1:9/#x" }), "token_url must not have a fragment.".into()),
            ("OIDC", json!({ "token_url": "https://127.0.0.1:9/ x" }), "token_url must not contain spaces.".into()),
            ("OIDC", json!({ "client_id": "a\nb" }), "client_id must not contain control characters.".into()),
            ("OIDC", json!({ "client_id": "a".repeat(4097) }), "client_id must have at most 4096 characters.".into()),
            ("OIDC", json!({ "attributes_request_method": "PUT" }), "attributes_request_method must be one of GET, POST.".into()),
            ("OIDC", json!({ "pkce": "yes" }), "pkce must be true or false.".into()),
            ("OIDC", json!({ "token_endpoint_auth_method": "none" }), "token_endpoint_auth_method must be one of client_secret_post, client_secret_basic, private_key_jwt.".into()),
            ("Facebook", json!({ "api_version": "17" }), "api_version must look like v17.0.".into()),
            ("Facebook", json!({ "key_id": "x" }), "key_id is not a valid key for Facebook identity provider details. Valid keys are api_version, attributes_url, attributes_url_add_attributes, authorize_scopes, authorize_url, client_id, client_secret, revocation_url, token_request_method, token_url.".into()),
            ("SAML", json!({ "ActiveEncryptionCertificate": "MII" }), "ActiveEncryptionCertificate is not a valid key for SAML identity provider details. It is made by the server; leave it out.".into()),
            ("SAML", json!({ "MetadataFile": null }), "At least one of the MetadataURL or MetadataFile should be provided.".into()),
            ("SAML", json!({ "MetadataURL": "https://idp.example.com" }), "MetadataURL and MetadataFile cannot both be provided: the provider has one metadata document, which is either fetched or given.".into()),
            ("SAML", json!({ "IDPSignout": "maybe" }), "IDPSignout must be true or false.".into()),
            ("SAML", json!({ "RequestSigningAlgorithm": "rsa-sha1" }), "RequestSigningAlgorithm must be one of rsa-sha256.".into()),
        ] {
            let name = if matches!(kind, "SAML" | "OIDC") { "Upstream" } else { kind };
            let mut input = provider(&pool, kind, name, json!({}));
            merge(&mut input["ProviderDetails"], details.clone());
            let refused = house.refused("CreateIdentityProvider", input).await;
            assert_eq!(refused, ("InvalidParameterException".to_owned(), message), "{kind} {details}");
        }
        let listed = house.ok("ListIdentityProviders", json!({ "UserPoolId": pool })).await;
        assert_eq!(listed["Providers"], json!([]), "nothing of what was refused is there");
    }
}

#[tokio::test]
async fn a_private_key_is_taken_as_people_have_it_and_a_wrong_one_is_refused() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let bare: String = EC_KEY.lines().filter(|line| !line.starts_with("--")).collect();
        let named = json!({ "UserPoolId": pool, "ProviderName": "SignInWithApple" });
        for key in
            [EC_KEY.to_owned(), bare, EC_KEY.replace('\n', "\\n"), EC_KEY.replace('\n', "\r\n")]
        {
            made(&house, &pool, "SignInWithApple", json!({ "private_key": key })).await;
            house.ok("DeleteIdentityProvider", named.clone()).await;
        }
        use base64::Engine as _;
        let rsa =
            base64::prelude::BASE64_STANDARD.encode(include_bytes!("../fixtures/rsa-1.pkcs8.der"));
        for (key, why) in [
            ("hunter2!", "it is not a PKCS #8 private key in PEM form"),
            ("aGVsbG8=", "it is neither an RSA key of 2048 bits or more nor one of P-256"),
            (rsa.as_str(), "it must sign with ES256, and a key of its type signs with RS256"),
        ] {
            let mut input = provider(&pool, "SignInWithApple", "SignInWithApple", json!({}));
            input["ProviderDetails"]["private_key"] = json!(key);
            let refused = house.refused("CreateIdentityProvider", input).await;
            assert_eq!(refused.0, "InvalidParameterException");
            assert!(refused.1.contains(why) && !refused.1.contains(key), "{}", refused.1);
        }
    }
}

#[tokio::test]
async fn what_is_refused_by_its_form_does_not_repeat_the_secrets_beside_it() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let mut input = provider(&pool, "Google", "Google", json!({}));
        input["ProviderDetails"]["client_secret"] = json!("Sesame-open-yourself");
        input["ProviderDetails"]["authorize_scopes"] = json!("x".repeat(131_073));
        let (kind, message) = house.refused("CreateIdentityProvider", input).await;
        assert_eq!(kind, "InvalidParameterException");
        assert!(message.contains("at 'providerDetails' failed to satisfy"), "{message}");
        assert!(!message.contains("Sesame"), "{message}");
    }
}

#[tokio::test]
async fn secrets_are_sealed_in_the_database() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        made(&house, &pool, "Google", json!({ "client_secret": "Sesame-open-yourself" })).await;
        made(&house, &pool, "SignInWithApple", json!({})).await;
        let sql = "SELECT doc, secret FROM identity_providers WHERE pool_id = ?1";
        let rows = house.app.db.scan(sql, vec![pool.as_str().into()]).await.unwrap();
        assert_eq!(rows.len(), 2);
        let key = EC_KEY.lines().nth(1).unwrap();
        for row in &rows {
            let sealed = String::from_utf8_lossy(row.blob(1).unwrap()).into_owned();
            for text in [row.text(0).unwrap(), sealed.as_str()] {
                assert!(!text.contains("Sesame") && !text.contains(key), "{text}");
            }
        }
    }
}
