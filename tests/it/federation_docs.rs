//! `docs/federation.md`: somebody will set up providers from that page alone, so its commands must do what they say. Every provider in it is
//! made here, with the demonstration provider in place of the addresses of others.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::cli::Scratch;
use crate::process::Process;

const PAGE: &str = include_str!("../../docs/federation.md");

/// The blocks for a shell, with the names of their files.
fn blocks() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in PAGE.lines() {
        match (line.trim_start().strip_prefix("```"), inside) {
            (Some(head), false) => {
                let name = head.strip_prefix("sh file=");
                let name = name.unwrap_or_else(|| panic!("a block without a file's name: {line}"));
                found.push((name.to_owned(), String::new()));
                inside = true;
            }
            (Some(_), true) => inside = false,
            (None, true) => {
                let text = &mut found.last_mut().unwrap().1;
                text.push_str(line);
                text.push('\n');
            }
            (None, false) => {}
        }
    }
    found
}

/// The words of a command, as a shell reads quotes and continued lines. Variables are none.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.replace("\\\n", " ").chars() {
        match (quote, c) {
            (Some(own), c) if c == own => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// What follows an option.
fn option(words: &[String], name: &str) -> Option<String> {
    let position = words.iter().position(|word| word == name)?;
    words.get(position + 1).cloned()
}

/// What a block's jq makes: its program is JSON whose names have no quotes, with one variable for a file.
fn made_by_jq(words: &[String], file: &str) -> Value {
    let program = words.iter().find(|word| word.starts_with('{')).unwrap();
    let mut json = String::new();
    for (n, part) in program.split('"').enumerate() {
        if n > 0 {
            json.push('"');
        }
        // Between quotes are texts; outside of them names and the variable.
        if n % 2 == 1 {
            json.push_str(part);
            continue;
        }
        for piece in part.split_inclusive([' ', ',', '{', '}', '\n']) {
            let name = piece.trim_end_matches([' ', ',', '{', '}', '\n']);
            let rest = &piece[name.len()..];
            let text = match (name.strip_suffix(':'), name.strip_prefix('$')) {
                (Some(name), _) => format!("\"{name}\":"),
                (_, Some(_)) => json!(file).to_string(),
                _ => name.to_owned(),
            };
            json.push_str(&text);
            json.push_str(rest);
        }
    }
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn fetch(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nhost: localhost:{port}\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(" 200 "), "{path}: {head}");
    body.to_owned()
}

/// A private key as Apple gives them out.
fn ec_key() -> String {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap().serialize_pem()
}

#[test]
fn every_provider_of_the_page_can_be_made_as_it_says() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &["--with-idp"]);
    let idp = server.get("idp_url");
    let metadata = fetch(server.port(), "/dev/idp/saml/metadata");
    let mut made = Vec::new();
    for (file, text) in blocks() {
        let all = words(&text);
        if !all.iter().any(|word| word == "create-identity-provider") {
            continue;
        }
        let details = option(&all, "--provider-details").unwrap();
        let mut details: Value = match details.as_str() {
            "file://details.json" if file == "apple.sh" => made_by_jq(&all, &ec_key()),
            "file://details.json" => made_by_jq(&all, &metadata),
            details => {
                serde_json::from_str(details).unwrap_or_else(|error| panic!("{file}: {error}"))
            }
        };
        // Nothing leaves this machine.
        for (name, address) in
            [("MetadataURL", format!("{idp}/saml/metadata")), ("oidc_issuer", idp.to_owned())]
        {
            if let Some(given) = details.get_mut(name) {
                assert!(given.as_str().unwrap().starts_with("https://"), "{file}");
                *given = address.into();
            }
        }
        let kind = option(&all, "--provider-type").unwrap();
        let name = option(&all, "--provider-name").unwrap();
        let mut input = json!({ "UserPoolId": server.get("user_pool_id"), "ProviderName": name, "ProviderType": kind, "ProviderDetails": details });
        if let Some(mapping) = option(&all, "--attribute-mapping") {
            input["AttributeMapping"] = serde_json::from_str(&mapping).unwrap();
        }
        if let Some(identifier) = option(&all, "--idp-identifiers") {
            input["IdpIdentifiers"] = json!([identifier]);
        }
        let (status, answer) = server.call("CreateIdentityProvider", &input).unwrap();
        assert_eq!(status, 200, "{file}: {answer}");
        made.push(kind);
    }
    for (kind, number) in [
        ("SAML", 5),
        ("OIDC", 4),
        ("Google", 1),
        ("Facebook", 1),
        ("LoginWithAmazon", 1),
        ("SignInWithApple", 1),
    ] {
        assert_eq!(made.iter().filter(|own| *own == kind).count(), number, "{kind}");
    }

    // The app client that offers them, the link, and the certificate.
    let (pool, client) = (server.get("user_pool_id"), server.get("client_id"));
    let input = json!({ "UserPoolId": pool, "ClientId": client, "SupportedIdentityProviders": ["COGNITO", "Keycloak"],
        "AllowedOAuthFlowsUserPoolClient": true, "AllowedOAuthFlows": ["code"], "AllowedOAuthScopes": ["openid", "email", "profile"],
        "CallbackURLs": ["https://app.example.com/callback"], "LogoutURLs": ["https://app.example.com/"] });
    assert_eq!(server.call("UpdateUserPoolClient", &input).unwrap().0, 200);
    let input = json!({ "UserPoolId": pool, "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "ann" },
        "SourceUser": { "ProviderName": "Corporate", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "8f0c2f4e" } });
    let (status, answer) = server.call("AdminLinkProviderForUser", &input).unwrap();
    assert_eq!(status, 200, "{answer}");
    let (_, answer) = server.call("GetSigningCertificate", &json!({ "UserPoolId": pool })).unwrap();
    let certificate = answer["Certificate"].as_str().unwrap();

    // What goes where is what our own metadata says. The address at which it was read comes first, and alone for signing out.
    let own = fetch(server.port(), &format!("/{pool}/saml2/metadata"));
    let domain = server.get("domain_url");
    for value in [
        format!("entityID=\"urn:amazon:cognito:sp:{pool}\""),
        format!("Location=\"{domain}/saml2/idpresponse\""),
        format!("Location=\"{}/{pool}/saml2/idpresponse\"", server.get("endpoint")),
        format!("Location=\"{}/{pool}/saml2/logout\"", server.get("endpoint")),
        certificate.to_owned(),
    ] {
        assert!(own.contains(&value), "{value} is not in {own}");
    }
}

#[test]
fn every_member_of_provider_details_is_explained() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &[]);
    for kind in ["SAML", "OIDC"] {
        let input = json!({ "UserPoolId": server.get("user_pool_id"), "ProviderName": "Example", "ProviderType": kind,
            "ProviderDetails": { "Unknown": "x" } });
        let (status, answer) = server.call("CreateIdentityProvider", &input).unwrap();
        let message = answer["message"].as_str().unwrap();
        let (_, names) =
            message.split_once("Valid keys are ").unwrap_or_else(|| panic!("{message}"));
        assert_eq!(status, 400);
        for name in names.trim_end_matches('.').split(", ") {
            // Answered, and taken back from tools that repeat what was answered.
            let answered =
                ["SSORedirectBindingURI", "SLORedirectBindingURI", "attributes_url_add_attributes"];
            assert!(
                answered.contains(&name) || PAGE.contains(&format!("`{name}`")),
                "{name} is not in docs/federation.md"
            );
        }
    }
}

#[test]
fn the_page_names_every_block_and_leads_to_headings_that_are_there() {
    let files: Vec<String> = blocks().into_iter().map(|(file, _)| file).collect();
    let mut unique = files.clone();
    unique.sort();
    unique.dedup();
    assert_eq!(unique.len(), files.len());
    let anchor = |heading: &str| -> String {
        heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-'))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    let anchors: Vec<String> =
        PAGE.lines().filter_map(|line| line.strip_prefix("## ")).map(anchor).collect();
    for link in PAGE.split("](#").skip(1) {
        let link = link.split(')').next().unwrap();
        assert!(anchors.iter().any(|anchor| anchor == link), "#{link} is not in {anchors:?}");
    }
}
