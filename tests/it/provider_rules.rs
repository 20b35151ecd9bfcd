//! What a provider may be called, what it may be mapped to, which clients may name it, and where its metadata may come from: every
//! refusal of CreateIdentityProvider and UpdateIdentityProvider besides those of ProviderDetails.

use std::sync::{Arc, Mutex};

use cenote::config::Settings;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::house::{houses, houses_with, refusal};
use crate::provider_details::{METADATA, enough, provider};
use crate::providers::{INVALID, creates, named, names};

#[tokio::test]
async fn names_are_cognitos_and_lead_to_one_provider() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        creates(&house, &pool, "OIDC", "Okta", json!({})).await;
        creates(&house, &pool, "Google", "Google", json!({})).await;
        let duplicate = |name: &str| {
            refusal("DuplicateProvider", &format!("{name} already exists in user pool {pool}."))
        };
        let invalid = |message: &str| refusal("InvalidParameter", message);
        for (kind, name, expected) in [
            ("OIDC", "Okta", Some(duplicate("Okta"))),
            // In a pool that ignores case their users would have the same names.
            ("SAML", "OKTA", Some(duplicate("Okta"))),
            ("Google", "Google", Some(duplicate("Google"))),
            ("Google", "MyGoogle", Some(invalid("Provider MyGoogle cannot be of type Google."))),
            ("OIDC", "Facebook", Some(invalid("Provider Facebook cannot be of type OIDC."))),
            (
                "OIDC",
                "Cognito",
                Some(invalid(
                    "Provider Cognito cannot be created: COGNITO names the user pool itself.",
                )),
            ),
            ("OIDC", "ab", None),
            ("OIDC", "_abc", None),
            ("OIDC", "a bc d", None),
            ("OIDC", "abc_d", None),
            ("OIDC", &"a".repeat(33), None),
            ("LDAP", "Directory", None),
        ] {
            let mut input = provider(&pool, kind, name, json!({}));
            if kind == "LDAP" {
                input["ProviderDetails"] = enough("OIDC");
            }
            let refused = house.refused("CreateIdentityProvider", input).await;
            match expected {
                Some(expected) => assert_eq!(refused, expected),
                None => assert_eq!(refused.0, INVALID, "{kind} {name}"),
            }
        }
        assert_eq!(names(&house, &pool).await, ["Google", "Okta"]);
        let nowhere = provider("us-east-1_Nowhere99", "OIDC", "Okta", json!({}));
        let refused = house.refused("CreateIdentityProvider", nowhere).await;
        assert_eq!(refused.0, "ResourceNotFoundException");
    }
}

#[tokio::test]
async fn an_identifier_leads_to_one_provider_of_its_pool_whatever_its_case() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        let with = |list: Value| json!({ "IdpIdentifiers": list });
        creates(&house, &pool, "OIDC", "One", with(json!(["Example.com", "one"]))).await;
        creates(&house, &other, "OIDC", "Elsewhere", with(json!(["example.com"]))).await;
        let by = async |pool: &str, identifier: &str| {
            let input = json!({ "UserPoolId": pool, "IdpIdentifier": identifier });
            let found = house.call("GetIdentityProviderByIdentifier", input).await.json();
            found["IdentityProvider"]["ProviderName"].as_str().map(str::to_owned)
        };
        assert_eq!(by(&pool, "EXAMPLE.COM").await.as_deref(), Some("One"));
        assert_eq!(by(&other, "example.com").await.as_deref(), Some("Elsewhere"));
        let input = json!({ "UserPoolId": pool, "IdpIdentifier": "nobody.example" });
        assert_eq!(
            house.refused("GetIdentityProviderByIdentifier", input).await,
            refusal(
                "ResourceNotFound",
                "Identity provider with identifier nobody.example does not exist."
            )
        );
        let taken = "The identifier EXAMPLE.com already belongs to the provider One; an identifier leads to one provider.";
        let many: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        for (list, message) in [
            (json!(["two", "EXAMPLE.com"]), Some(taken)),
            (json!(["two", "TWO"]), Some("IdpIdentifiers names TWO more than once.")),
            (json!(many), None),
            (json!(["a".repeat(41)]), None),
            (json!(["a/b"]), None),
            (json!([""]), None),
        ] {
            let input = provider(&pool, "OIDC", "Two", with(list.clone()));
            let refused = house.refused("CreateIdentityProvider", input).await;
            assert_eq!(refused.0, INVALID, "{list}");
            assert!(message.is_none_or(|message| message == refused.1), "{}", refused.1);
        }
        creates(&house, &pool, "OIDC", "Two", with(json!(["two"]))).await;
        let mut input = named(&pool, "Two");
        input["IdpIdentifiers"] = json!(["EXAMPLE.com"]);
        assert_eq!(house.refused("UpdateIdentityProvider", input.clone()).await.1, taken);
        // What a provider gives up, and what a deleted one had, is free.
        let mut given_up = named(&pool, "One");
        given_up["IdpIdentifiers"] = json!(["one"]);
        house.ok("UpdateIdentityProvider", given_up).await;
        house.ok("UpdateIdentityProvider", input).await;
        house.ok("DeleteIdentityProvider", named(&pool, "One")).await;
        let mut more = named(&pool, "Two");
        more["IdpIdentifiers"] = json!(["ONE", "Example.com"]);
        house.ok("UpdateIdentityProvider", more).await;
        assert_eq!(by(&pool, "one").await.as_deref(), Some("Two"));
    }
}

#[tokio::test]
async fn a_mapping_names_attributes_that_can_be_written_at_every_sign_in() {
    for house in houses().await {
        let pool = house
            .pool(json!({ "Schema": [
                { "Name": "fixed", "AttributeDataType": "String", "Mutable": false },
                { "Name": "team", "AttributeDataType": "String", "Mutable": true },
                { "Name": "birthdate", "AttributeDataType": "String", "Mutable": false },
            ] }))
            .await;
        let none = format!("User pool {pool} has no such attribute.");
        let fixed = "The attribute is not mutable, and would be written at every sign-in.";
        for (kind, mapping, attribute, why) in [
            ("OIDC", json!({ "custom:none": "x" }), "custom:none", none.as_str()),
            ("OIDC", json!({ "team": "x" }), "team", &none),
            ("OIDC", json!({ "identities": "x" }), "identities", &none),
            ("OIDC", json!({ "custom:fixed": "x" }), "custom:fixed", fixed),
            ("OIDC", json!({ "birthdate": "x" }), "birthdate", fixed),
            ("OIDC", json!({ "sub": "x" }), "sub", fixed),
            (
                "OIDC",
                json!({ "email": " " }),
                "email",
                "The provider's attribute must have 1 to 2048 characters.",
            ),
            (
                "OIDC",
                json!({ "username": "email" }),
                "username",
                "The username of a user of OIDC is made from sub, and from nothing else.",
            ),
            (
                "Facebook",
                json!({ "username": "sub" }),
                "username",
                "The username of a user of Facebook is made from id, and from nothing else.",
            ),
            (
                "SAML",
                json!({ "username": "uid" }),
                "username",
                "The username of a SAML user is made from the NameID, and from nothing else.",
            ),
        ] {
            let name = if kind == "Facebook" { kind } else { "Upstream" };
            let input = provider(&pool, kind, name, json!({ "AttributeMapping": mapping }));
            let message =
                format!("AttributeMapping contains invalid mapping: [{attribute}]. {why}");
            assert_eq!(
                house.refused("CreateIdentityProvider", input).await,
                refusal("InvalidParameter", &message)
            );
        }
        let more = json!({ "AttributeMapping": { "custom:team": "t", "email": "mail", "email_verified": "v" } });
        let made = creates(&house, &pool, "SAML", "Upstream", more.clone()).await;
        assert_eq!(
            made["AttributeMapping"], more["AttributeMapping"],
            "SAML has no username to map"
        );
        let mut input = named(&pool, "Upstream");
        input["AttributeMapping"] = json!({ "custom:none": "x" });
        assert_eq!(house.refused("UpdateIdentityProvider", input).await.0, INVALID);
        for (kind, acr) in [("SAML", json!({ "Level1": "x" })), ("OIDC", json!({ "Level5": "x" }))]
        {
            let input = provider(&pool, kind, "Another", json!({ "AcrMapping": acr }));
            assert_eq!(house.refused("CreateIdentityProvider", input).await.0, INVALID);
        }
    }
}

#[tokio::test]
async fn a_private_key_that_an_update_does_not_name_stays_and_a_client_secret_must_be_named() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let apple = creates(&house, &pool, "SignInWithApple", "SignInWithApple", json!({})).await;
        let mut input = named(&pool, "SignInWithApple");
        input["ProviderDetails"] = apple["ProviderDetails"].clone();
        input["ProviderDetails"]["team_id"] = json!("TEAM999999");
        let changed = house.ok("UpdateIdentityProvider", input).await["IdentityProvider"].clone();
        assert_eq!(changed["ProviderDetails"]["team_id"], "TEAM999999");
        let row = house.app.directory.pool(&house.app.db, &pool).await.unwrap().unwrap();
        let all = house.app.directory.providers(&house.app.db, &row).await.unwrap();
        let cx = cenote::cx::Cx::system(house.app.clone());
        let kept = cenote::federation::secrets(&cx, &all.all()[0]).unwrap();
        assert!(kept.private_key.unwrap().contains("BEGIN PRIVATE KEY"));

        creates(&house, &pool, "Google", "Google", json!({})).await;
        let mut input = named(&pool, "Google");
        input["ProviderDetails"] = json!({ "client_id": "new", "authorize_scopes": "email" });
        assert_eq!(house.refused("UpdateIdentityProvider", input.clone()).await.0, INVALID);
        input["ProviderDetails"]["client_secret"] = json!("new");
        let changed = house.ok("UpdateIdentityProvider", input).await["IdentityProvider"].clone();
        assert_eq!(changed["ProviderDetails"]["client_secret"], "new");
    }
}

#[tokio::test]
async fn a_client_names_the_providers_that_are_there_and_keeps_those_that_are_deleted() {
    for house in houses().await {
        let (pool, other) = (house.pool(json!({})).await, house.pool(json!({})).await);
        creates(&house, &pool, "OIDC", "Upstream", json!({})).await;
        creates(&house, &other, "OIDC", "Elsewhere", json!({})).await;
        let client = |list: Value| json!({ "UserPoolId": pool, "ClientName": "app", "SupportedIdentityProviders": list });
        for unknown in ["Elsewhere", "upstream", "Google"] {
            let refused =
                house.refused("CreateUserPoolClient", client(json!(["COGNITO", unknown]))).await;
            let message = format!("The provider {unknown} does not exist for User Pool {pool}.");
            assert_eq!(refused, refusal("InvalidParameter", &message));
        }
        let made = house.ok("CreateUserPoolClient", client(json!(["COGNITO", "Upstream"]))).await;
        let id = made["UserPoolClient"]["ClientId"].clone();
        house.ok("DeleteIdentityProvider", named(&pool, "Upstream")).await;
        let input = json!({ "UserPoolId": pool, "ClientId": id });
        let read = house.ok("DescribeUserPoolClient", input.clone()).await;
        assert_eq!(
            read["UserPoolClient"]["SupportedIdentityProviders"],
            json!(["COGNITO", "Upstream"])
        );
        let mut again = input;
        again["SupportedIdentityProviders"] = json!(["COGNITO", "Upstream"]);
        let refused = house.refused("UpdateUserPoolClient", again.clone()).await;
        assert_eq!(
            refused.1,
            format!("The provider Upstream does not exist for User Pool {pool}.")
        );
        again["SupportedIdentityProviders"] = json!(["COGNITO"]);
        house.ok("UpdateUserPoolClient", again).await;
    }
}

#[tokio::test]
async fn a_client_whose_provider_begins_sign_ins_has_saml_providers_only() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let mut begins = provider(&pool, "SAML", "Begins", json!({}));
        begins["ProviderDetails"]["IDPInit"] = json!("true");
        house.ok("CreateIdentityProvider", begins.clone()).await;
        creates(&house, &pool, "SAML", "Waits", json!({})).await;
        creates(&house, &pool, "OIDC", "Other", json!({})).await;
        let client = |list: Value| json!({ "UserPoolId": pool, "ClientName": "app", "SupportedIdentityProviders": list });
        for other in ["COGNITO", "Other"] {
            let refused =
                house.refused("CreateUserPoolClient", client(json!([other, "Begins"]))).await;
            let message = format!(
                "The provider Begins has IDPInit true, so an app client that supports it can support only SAML providers, and not {other}."
            );
            assert_eq!(refused, refusal("InvalidParameter", &message));
        }
        house.ok("CreateUserPoolClient", client(json!(["Begins", "Waits"]))).await;
        let mixed = house.ok("CreateUserPoolClient", client(json!(["COGNITO", "Waits"]))).await;
        let id = mixed["UserPoolClient"]["ClientId"].as_str().unwrap().to_owned();
        // And the other way round: the provider changes under its clients.
        let mut input = named(&pool, "Waits");
        input["ProviderDetails"] = begins["ProviderDetails"].clone();
        let refused = house.refused("UpdateIdentityProvider", input.clone()).await;
        assert_eq!(refused.0, INVALID);
        assert!(
            refused.1.starts_with(&format!("App client {id}: The provider Waits has IDPInit true")),
            "{}",
            refused.1
        );
        house.ok("DeleteUserPoolClient", json!({ "UserPoolId": pool, "ClientId": id })).await;
        house.ok("UpdateIdentityProvider", input).await;
    }
}

/// What an address answers now: status line and body.
type Says = Arc<Mutex<(&'static str, String)>>;

/// An address on this machine that answers every request with what it is told to, and what it was told.
async fn address() -> (String, Says) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/metadata", listener.local_addr().unwrap());
    let says: Says = Arc::new(Mutex::new(("200 OK", METADATA.to_owned())));
    let told = says.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (status, body) = told.lock().unwrap().clone();
            let mut request = vec![0; 4096];
            let _ = socket.read(&mut request).await;
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nlocation: /elsewhere\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = socket.write_all(format!("{head}{body}").as_bytes()).await;
        }
    });
    (url, says)
}

#[tokio::test]
async fn metadata_is_read_from_its_address_before_a_provider_is_made_or_changed() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let (url, says) = address().await;
        let mut input = provider(&pool, "SAML", "Upstream", json!({}));
        input["ProviderDetails"] = json!({ "MetadataURL": url });
        let entities = METADATA.replace("md:EntityDescriptor", "md:EntitiesDescriptor");
        for (status, body, why) in [
            ("404 Not Found", String::new(), "Its address answers 404."),
            ("500 Oops", METADATA.to_owned(), "Its address answers 500."),
            ("302 Found", String::new(), "redirect"),
            ("200 OK", "<html>Sign in".to_owned(), "The SAML metadata of Upstream cannot be used."),
            (
                "200 OK",
                format!("<!DOCTYPE x>{METADATA}"),
                "The SAML metadata of Upstream cannot be used.",
            ),
            ("200 OK", entities, "The SAML metadata of Upstream cannot be used."),
            ("200 OK", "x".repeat(3 << 20), "The SAML metadata of Upstream cannot be used."),
        ] {
            *says.lock().unwrap() = (status, body);
            let refused = house.refused("CreateIdentityProvider", input.clone()).await;
            assert_eq!(refused.0, INVALID, "{status}");
            assert!(refused.1.contains(why), "{status}: {}", refused.1);
        }
        assert_eq!(names(&house, &pool).await, [""; 0]);

        *says.lock().unwrap() = ("200 OK", METADATA.to_owned());
        let made = house.ok("CreateIdentityProvider", input).await["IdentityProvider"].clone();
        let details = &made["ProviderDetails"];
        assert_eq!((&details["MetadataURL"], details.get("MetadataFile")), (&json!(url), None));
        assert_eq!(details["SSORedirectBindingURI"], "https://idp.example.com/sso");

        // What was good stays when an update is not, and the provider need not be there to be read.
        *says.lock().unwrap() = ("500 Oops", String::new());
        let mut update = named(&pool, "Upstream");
        update["ProviderDetails"] = json!({ "MetadataURL": url, "IDPSignout": "true" });
        assert_eq!(house.refused("UpdateIdentityProvider", update.clone()).await.0, INVALID);
        let read = house.ok("DescribeIdentityProvider", named(&pool, "Upstream")).await;
        assert_eq!(read["IdentityProvider"], made);
        let moved =
            METADATA.replace("https://idp.example.com/sso\"", "https://new.example.com/sso\"");
        *says.lock().unwrap() = ("200 OK", moved.clone());
        let changed =
            house.ok("UpdateIdentityProvider", update.clone()).await["IdentityProvider"].clone();
        assert_eq!(
            changed["ProviderDetails"]["SSORedirectBindingURI"],
            "https://new.example.com/sso"
        );
        // From an address to a file, which is read anew however often it changes.
        update["ProviderDetails"] = json!({ "MetadataFile": METADATA });
        house.ok("UpdateIdentityProvider", update.clone()).await;
        update["ProviderDetails"] = json!({ "MetadataFile": moved });
        let changed =
            house.ok("UpdateIdentityProvider", update.clone()).await["IdentityProvider"].clone();
        assert_eq!(
            changed["ProviderDetails"]["SSORedirectBindingURI"],
            "https://new.example.com/sso"
        );
        update["ProviderDetails"] = json!({ "MetadataFile": "<nothing/>" });
        assert_eq!(house.refused("UpdateIdentityProvider", update).await.0, INVALID);
    }
}

#[tokio::test]
async fn metadata_of_many_is_read_for_the_one_that_is_named() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let one = METADATA.split_once("?>").unwrap().1;
        let two = one.replace("idp.example.com", "two.example.com");
        let many = format!(
            "<md:EntitiesDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\">{one}{two}</md:EntitiesDescriptor>"
        );
        let mut input = provider(&pool, "SAML", "Upstream", json!({}));
        input["ProviderDetails"] = json!({ "MetadataFile": many });
        let refused = house.refused("CreateIdentityProvider", input.clone()).await;
        assert!(refused.1.contains("several identity providers"), "{}", refused.1);
        input["ProviderDetails"]["MetadataEntityID"] = json!("https://two.example.com/metadata");
        let made = house.ok("CreateIdentityProvider", input).await["IdentityProvider"].clone();
        assert_eq!(made["ProviderDetails"]["SSORedirectBindingURI"], "https://two.example.com/sso");
    }
}

#[tokio::test]
async fn addresses_that_the_operator_does_not_allow_are_refused() {
    let settings = Settings { outgoing_allow: Vec::new(), ..Settings::default() };
    for house in houses_with(settings).await {
        let pool = house.pool(json!({})).await;
        for (kind, member, url, why) in [
            (
                "OIDC",
                "token_url",
                "http://issuer.example.com/token",
                "token_url: The address of issuer.example.com is not https",
            ),
            (
                "OIDC",
                "jwks_uri",
                "https://10.1.2.3/jwks",
                "jwks_uri: 10.1.2.3 is not at a public address",
            ),
            (
                "SAML",
                "MetadataURL",
                "http://169.254.169.254/latest",
                "MetadataURL: 169.254.169.254 is not at a public address",
            ),
            (
                "SAML",
                "MetadataURL",
                "https://[::1]:8443/metadata",
                "MetadataURL: [::1] is not at a public address",
            ),
        ] {
            let mut input = provider(&pool, kind, "Upstream", json!({}));
            input["ProviderDetails"] = match kind {
                "SAML" => json!({}),
                kind => {
                    let public =
                        enough(kind).to_string().replace("127.0.0.1:9", "issuer.example.com");
                    serde_json::from_str::<Value>(&public).unwrap()
                }
            };
            input["ProviderDetails"][member] = json!(url);
            let refused = house.refused("CreateIdentityProvider", input).await;
            assert_eq!(refused.0, INVALID, "{url}");
            assert!(refused.1.starts_with(why), "{}", refused.1);
        }
    }
}
