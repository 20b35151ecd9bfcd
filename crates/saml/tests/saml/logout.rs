//! Logout messages that arrive, by POST, Redirect and SOAP.

use std::io::Write as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{
    Binding, ExpectLogout, Fault, InboundLogout, Incoming, Kind, LogoutAnswer, StatusCode,
    consume_logout_request, consume_logout_response, decode_post, decode_redirect, decode_soap,
};

use crate::support::*;

const LOGOUT_REQUEST: &str = r#"<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_logout1" Version="2.0" IssueInstant="2026-11-22T12:00:00Z" Destination="https://auth.example/saml2/logout" NotOnOrAfter="2026-11-22T12:05:00Z"><saml:Issuer>https://idp.example/metadata</saml:Issuer><saml:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">alice</saml:NameID><samlp:SessionIndex>_session1</samlp:SessionIndex><samlp:SessionIndex>_session2</samlp:SessionIndex></samlp:LogoutRequest>"#;
const LOGOUT_RESPONSE: &str = r#"<samlp:LogoutResponse xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_logout2" Version="2.0" IssueInstant="2026-11-22T12:00:00Z" Destination="https://auth.example/saml2/logout" InResponseTo="_ours2"><saml:Issuer>https://idp.example/metadata</saml:Issuer><samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/></samlp:Status></samlp:LogoutResponse>"#;

fn expect() -> ExpectLogout<'static> {
    ExpectLogout {
        idp_entity_id: IDP,
        trusted: &TRUSTED,
        destination: SLO,
        now_ms: NOW,
        skew_ms: 60_000,
        max_age_ms: 300_000,
        decrypt: &[],
    }
}

fn signed(xml: &str) -> String {
    sign(xml, if xml.contains("_logout1") { "_logout1" } else { "_logout2" }, &Signing::default())
}

fn by_post(xml: &str) -> Incoming {
    decode_post(&STANDARD.encode(xml)).unwrap()
}

fn by_soap(xml: &str) -> Incoming {
    decode_soap(envelope(xml).as_bytes()).unwrap()
}

fn envelope(xml: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Header/><soap:Body>{xml}</soap:Body></soap:Envelope>"#
    )
}

/// A query signed by openssl.
fn query(
    parameter: &str,
    xml: &str,
    relay_state: Option<&str>,
    key: &str,
    digest: &str,
    algorithm: &str,
) -> String {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(xml.as_bytes()).unwrap();
    // In the way of a sender that writes hexadecimal digits in lower case.
    let encoded = STANDARD
        .encode(deflate.finish().unwrap())
        .replace('+', "%2b")
        .replace('/', "%2f")
        .replace('=', "%3d");
    let mut query = format!("{parameter}={encoded}");
    if let Some(relay_state) = relay_state {
        query.push_str(&format!("&RelayState={relay_state}"));
    }
    query.push_str(&format!(
        "&SigAlg={}",
        algorithm.replace(':', "%3a").replace('/', "%2f").replace('#', "%23")
    ));
    let signature = Command::new("openssl")
        .args(["dgst", digest, "-sign"])
        .arg(path(&format!("keys/{key}.key")))
        .arg(scratch(query.as_bytes()))
        .output();
    let signature = signature.expect("openssl must be installed").stdout;
    format!(
        "{query}&Signature={}",
        STANDARD.encode(signature).replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")
    )
}

fn signed_query(xml: &str, relay_state: Option<&str>) -> String {
    query(
        if xml.contains("LogoutRequest") { "SAMLRequest" } else { "SAMLResponse" },
        xml,
        relay_state,
        "idp",
        "-sha256",
        RSA_SHA256,
    )
}

fn by_redirect(xml: &str) -> Incoming {
    decode_redirect(&signed_query(xml, Some("a%20b"))).unwrap()
}

/// The message by each binding, signed in the way of the binding.
fn by_each(xml: &str) -> [Incoming; 3] {
    [by_post(&signed(xml)), by_redirect(xml), by_soap(&signed(xml))]
}

fn request(message: &Incoming) -> Result<InboundLogout, Fault> {
    consume_logout_request(message, &expect())
}

fn answer(message: &Incoming) -> Result<LogoutAnswer, Fault> {
    consume_logout_response(message, &expect(), "_ours2")
}

#[test]
fn a_signed_request_is_read_by_each_binding() {
    for message in by_each(LOGOUT_REQUEST) {
        let logout = request(&message).unwrap();
        assert_eq!(logout.id, "_logout1");
        assert_eq!(logout.issuer, IDP);
        assert_eq!(logout.name_id.value, "alice");
        assert_eq!(
            logout.name_id.format.as_deref(),
            Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent")
        );
        assert_eq!(logout.session_indexes, ["_session1", "_session2"]);
        assert_eq!(logout.issue_instant_ms, NOW);
        assert_eq!(logout.not_on_or_after_ms, Some(NOW + 300_000));
        assert_eq!(logout.replay_until_ms, NOW + 360_000);
        let peek = message.peek().unwrap();
        assert_eq!(
            (peek.kind, peek.id.as_str(), peek.issuer.as_deref()),
            (Kind::LogoutRequest, "_logout1", Some(IDP))
        );
    }
    assert_eq!(by_redirect(LOGOUT_REQUEST).relay_state(), Some("a b"));
    assert_eq!(by_redirect(LOGOUT_REQUEST).binding(), Binding::Redirect);
}

#[test]
fn a_signed_answer_is_read_by_each_binding_whatever_its_status() {
    for message in by_each(LOGOUT_RESPONSE) {
        let answer = answer(&message).unwrap();
        assert_eq!((answer.id.as_str(), answer.in_response_to.as_str()), ("_logout2", "_ours2"));
        assert_eq!(answer.status.code, StatusCode::Success);
        assert_eq!(message.peek().unwrap().in_response_to.as_deref(), Some("_ours2"));
    }
    let partial = LOGOUT_RESPONSE.replace(r#"Success"/>"#, r#"Success"><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:PartialLogout"/></samlp:StatusCode>"#);
    let status = answer(&by_post(&signed(&partial))).unwrap().status;
    assert_eq!(status.to_string(), "Success, \"urn:oasis:names:tc:SAML:2.0:status:PartialLogout\"");
    let failed = LOGOUT_RESPONSE.replace("Success", "Responder");
    assert_eq!(answer(&by_post(&signed(&failed))).unwrap().status.code, StatusCode::Responder);
    let top = LOGOUT_RESPONSE.replace("Success", "PartialLogout");
    assert_eq!(answer(&by_post(&signed(&top))).unwrap().status.code, StatusCode::PartialLogout);
}

#[test]
fn unsigned_is_refused_by_each_binding() {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(LOGOUT_REQUEST.as_bytes()).unwrap();
    let encoded = STANDARD
        .encode(deflate.finish().unwrap())
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let redirect = decode_redirect(&format!("SAMLRequest={encoded}")).unwrap();
    for message in [by_post(LOGOUT_REQUEST), by_soap(LOGOUT_REQUEST), redirect] {
        assert!(matches!(request(&message), Err(Fault::Unsigned { .. })));
    }
    for message in [by_post(LOGOUT_RESPONSE), by_soap(LOGOUT_RESPONSE)] {
        assert!(matches!(answer(&message), Err(Fault::Unsigned { .. })));
    }
}

#[test]
fn strangers_and_changes_are_refused_by_each_binding() {
    let stranger =
        sign(LOGOUT_REQUEST, "_logout1", &Signing { key: "attacker", ..Signing::default() });
    let query_of_a_stranger =
        query("SAMLRequest", LOGOUT_REQUEST, None, "attacker", "-sha256", RSA_SHA256);
    for message in
        [by_post(&stranger), by_soap(&stranger), decode_redirect(&query_of_a_stranger).unwrap()]
    {
        assert!(matches!(request(&message), Err(Fault::SignatureMismatch { .. })));
    }
    let changed = changed(&signed(LOGOUT_REQUEST), "alice", "bob");
    for message in [by_post(&changed), by_soap(&changed)] {
        assert!(matches!(request(&message), Err(Fault::DigestMismatch { .. })));
    }
    // Signed in another place than on the message.
    let outside = envelope(LOGOUT_REQUEST).replace(
        "<soap:Header/>",
        &format!("<soap:Header>{}</soap:Header>", element(&signed(LOGOUT_REQUEST), "ds:Signature")),
    );
    assert!(matches!(
        request(&decode_soap(outside.as_bytes()).unwrap()),
        Err(Fault::SignatureShape(_))
    ));
}

#[test]
fn the_signature_of_a_query_covers_its_octets_and_nothing_else_is_taken() {
    let good = signed_query(LOGOUT_REQUEST, Some("state"));
    assert!(request(&decode_redirect(&good).unwrap()).is_ok());
    // In any order, because the octets are put together in the order of the binding.
    let mut reversed: Vec<&str> = good.split('&').collect();
    reversed.reverse();
    assert!(request(&decode_redirect(&reversed.join("&")).unwrap()).is_ok());
    // With parameters of somebody else.
    assert!(request(&decode_redirect(&format!("utm=x&{good}&y")).unwrap()).is_ok());

    for (from, to) in [
        ("RelayState=state", "RelayState=other"),
        ("RelayState=state&", ""),
        ("%2b", "%2B"),
        ("SigAlg=http%3a", "SigAlg=http%3A"),
        ("RelayState=state", "RelayState=%73tate"),
    ] {
        if good.contains(from) {
            let read =
                decode_redirect(&good.replacen(from, to, 1)).and_then(|message| request(&message));
            assert!(
                matches!(read, Err(Fault::SignatureMismatch { what: "the query", .. })),
                "{from}: {read:?}"
            );
        }
    }
    let refused = [
        good.replace("SigAlg=", "X="),
        good.replace("Signature=", "X="),
        format!("{good}&RelayState=other"),
        format!("{good}&SAMLRequest=x"),
        format!("{good}&SAMLResponse=x"),
        format!("{good}&%53AMLRequest=x"),
        good.replace("SAMLRequest=", "%53AMLRequest="),
        good.replace("RelayState=state", "RelayState=%zz"),
        good.replace("RelayState=state", "RelayState=%ff"),
        format!("{good}&SAMLEncoding=urn%3Ax"),
        "SAMLRequest=".to_owned(),
        "SAMLRequest=AAAA".to_owned(),
        "SAMLRequest=%".to_owned(),
        String::new(),
    ];
    for query in refused {
        let read = decode_redirect(&query).and_then(|message| request(&message));
        assert!(
            matches!(
                read,
                Err(Fault::Encoding(_) | Fault::SignatureShape(_) | Fault::Algorithm { .. })
            ),
            "{query}: {read:?}"
        );
    }
    // A signature inside of the message is none for a redirect: it does not cover the relay state.
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    deflate.write_all(signed(LOGOUT_REQUEST).as_bytes()).unwrap();
    let encoded = STANDARD
        .encode(deflate.finish().unwrap())
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    let message = decode_redirect(&format!("SAMLRequest={encoded}&RelayState=x")).unwrap();
    assert!(matches!(request(&message), Err(Fault::Unsigned { .. })));
}

#[test]
fn queries_are_signed_by_good_algorithms_only() {
    for (digest, algorithm) in [
        ("-sha1", "http://www.w3.org/2000/09/xmldsig#rsa-sha1"),
        ("-sha256", "http://www.w3.org/2001/04/xmldsig-more#hmac-sha256"),
        ("-sha256", ""),
    ] {
        let query = query("SAMLRequest", LOGOUT_REQUEST, None, "idp", digest, algorithm);
        assert!(
            matches!(request(&decode_redirect(&query).unwrap()), Err(Fault::Algorithm { .. })),
            "{algorithm}"
        );
    }
    let sha512 = query(
        "SAMLRequest",
        LOGOUT_REQUEST,
        None,
        "idp",
        "-sha512",
        "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
    );
    assert!(request(&decode_redirect(&sha512).unwrap()).is_ok());
    // openssl writes ECDSA in ASN.1, as some providers do in queries.
    let ecdsa = query(
        "SAMLRequest",
        LOGOUT_REQUEST,
        None,
        "p256",
        "-sha256",
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    );
    let trusted = [certificate("p256")];
    assert!(
        consume_logout_request(
            &decode_redirect(&ecdsa).unwrap(),
            &ExpectLogout { trusted: &trusted, ..expect() }
        )
        .is_ok()
    );
}

#[test]
fn a_few_bytes_do_not_inflate_to_gigabytes() {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..50 {
        deflate.write_all(&[b' '; 1_000_000]).unwrap();
    }
    let bomb = STANDARD
        .encode(deflate.finish().unwrap())
        .replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D");
    assert!(bomb.len() < 100_000);
    assert!(matches!(
        decode_redirect(&format!("SAMLRequest={bomb}")),
        Err(Fault::TooLarge { limit: 100_000, .. })
    ));
    assert!(matches!(decode_redirect(&"x".repeat(100_001)), Err(Fault::TooLarge { .. })));
    assert!(matches!(decode_soap(&[b' '; 100_001]), Err(Fault::TooLarge { .. })));
}

#[test]
fn each_rule_of_a_request_is_held() {
    type Right = fn(&Fault) -> bool;
    let cases: &[(&str, &str, Right)] = &[
        (
            "<saml:Issuer>https://idp.example/metadata</saml:Issuer>",
            "<saml:Issuer>https://other.example</saml:Issuer>",
            |f| matches!(f, Fault::Issuer { .. }),
        ),
        (
            r#"Destination="https://auth.example/saml2/logout""#,
            r#"Destination="https://other.example/saml2/logout""#,
            |f| matches!(f, Fault::Destination { .. }),
        ),
        (r#"NotOnOrAfter="2026-11-22T12:05:00Z""#, r#"NotOnOrAfter="2026-11-22T11:59:00Z""#, |f| {
            matches!(f, Fault::Late { .. })
        }),
        (r#" NotOnOrAfter="2026-11-22T12:05:00Z""#, r#" NotOnOrAfter="never""#, |f| {
            matches!(f, Fault::Invalid { .. })
        }),
        (r#"IssueInstant="2026-11-22T12:00:00Z""#, r#"IssueInstant="2026-11-22T12:01:01Z""#, |f| {
            matches!(f, Fault::Early { .. })
        }),
        (r#"IssueInstant="2026-11-22T12:00:00Z" "#, "", |f| {
            matches!(f, Fault::Missing { what: "IssueInstant", .. })
        }),
        (r#"Version="2.0""#, r#"Version="2.1""#, |f| {
            matches!(f, Fault::Invalid { what: "Version", .. })
        }),
        ("saml:NameID", "saml:BaseID", |f| matches!(f, Fault::Missing { what: "NameID", .. })),
        ("</saml:NameID>", "</saml:NameID><saml:NameID>bob</saml:NameID>", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
        ("samlp:LogoutRequest", "samlp:ManageNameIDRequest", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
        ("urn:oasis:names:tc:SAML:2.0:protocol", "urn:evil", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
    ];
    for (from, to, right) in cases {
        let changed = changed(LOGOUT_REQUEST, from, to);
        let messages = if changed.contains("samlp:LogoutRequest") && !changed.contains("urn:evil") {
            by_each(&changed).to_vec()
        } else {
            vec![by_redirect(&changed)]
        };
        for message in messages {
            let fault = request(&message).expect_err(to);
            assert!(right(&fault), "{from} -> {to}: {fault}");
        }
    }
    let without_issuer =
        LOGOUT_REQUEST.replace("<saml:Issuer>https://idp.example/metadata</saml:Issuer>", "");
    assert!(matches!(
        request(&by_redirect(&without_issuer)),
        Err(Fault::Missing { what: "Issuer", .. })
    ));
    let many = changed(
        LOGOUT_REQUEST,
        "</samlp:LogoutRequest>",
        &format!(
            "{}</samlp:LogoutRequest>",
            "<samlp:SessionIndex>x</samlp:SessionIndex>".repeat(99)
        ),
    );
    assert!(matches!(request(&by_redirect(&many)), Err(Fault::TooLarge { .. })));
}

#[test]
fn a_destination_may_be_missing_only_in_soap() {
    for xml in [LOGOUT_REQUEST, LOGOUT_RESPONSE] {
        let without = changed(xml, r#" Destination="https://auth.example/saml2/logout""#, "");
        let [post, redirect, soap] = by_each(&without).map(|message| {
            if xml == LOGOUT_REQUEST {
                request(&message).map(|_| ())
            } else {
                answer(&message).map(|_| ())
            }
        });
        assert!(matches!(post, Err(Fault::Missing { what: "Destination", .. })));
        assert!(matches!(redirect, Err(Fault::Missing { what: "Destination", .. })));
        assert_eq!(soap, Ok(()));
    }
}

#[test]
fn a_request_without_an_end_is_good_for_a_while() {
    let message =
        by_post(&signed(&changed(LOGOUT_REQUEST, r#" NotOnOrAfter="2026-11-22T12:05:00Z""#, "")));
    let at =
        |ms: i64| consume_logout_request(&message, &ExpectLogout { now_ms: NOW + ms, ..expect() });
    assert_eq!(
        at(0).map(|logout| (logout.not_on_or_after_ms, logout.replay_until_ms)),
        Ok((None, NOW + 360_000))
    );
    assert!(at(359_999).is_ok());
    assert!(matches!(at(360_000), Err(Fault::Late { .. })));
}

#[test]
fn an_answer_is_to_our_request_and_not_old() {
    let message = by_post(&signed(LOGOUT_RESPONSE));
    assert!(matches!(
        consume_logout_response(&message, &expect(), "_other"),
        Err(Fault::InResponseTo { .. })
    ));
    let without = by_post(&signed(&changed(LOGOUT_RESPONSE, r#" InResponseTo="_ours2""#, "")));
    assert!(matches!(answer(&without), Err(Fault::InResponseTo { found: None, .. })));
    let late = consume_logout_response(
        &message,
        &ExpectLogout { now_ms: NOW + 360_000, ..expect() },
        "_ours2",
    );
    assert!(matches!(late, Err(Fault::Late { .. })));
    // One is not the other.
    assert!(matches!(answer(&by_post(&signed(LOGOUT_REQUEST))), Err(Fault::Unexpected { .. })));
    assert!(matches!(request(&message), Err(Fault::Unexpected { .. })));
}

#[test]
fn soap_holds_exactly_one_message_or_a_fault() {
    let fault = r#"<soap:Fault><faultcode>soap:Server</faultcode><faultstring>Out of order</faultstring></soap:Fault>"#;
    assert_eq!(
        answer(&by_soap(fault)),
        Err(Fault::SoapFault(cenote_saml::Excerpt::of("soap:ServerOut of order")))
    );
    let message = signed(LOGOUT_REQUEST);
    for body in [
        String::new(),
        format!("{message}{}", message.replace("_logout1", "_logout9")),
        format!("<x>{message}</x>"),
    ] {
        assert!(request(&by_soap(&body)).is_err(), "{body}");
    }
    assert!(matches!(
        request(&decode_soap(message.as_bytes()).unwrap()),
        Err(Fault::Unexpected { .. })
    ));
    let soap12 = envelope(&message).replace(
        "http://schemas.xmlsoap.org/soap/envelope/",
        "http://www.w3.org/2003/05/soap-envelope",
    );
    assert!(matches!(
        request(&decode_soap(soap12.as_bytes()).unwrap()),
        Err(Fault::Unexpected { .. })
    ));
    let two_bodies = envelope(&message).replace("</soap:Body>", "</soap:Body><soap:Body/>");
    assert!(matches!(
        request(&decode_soap(two_bodies.as_bytes()).unwrap()),
        Err(Fault::Unexpected { .. })
    ));
    assert!(matches!(decode_soap(b"\xff"), Err(Fault::Encoding(_))));
}

#[test]
fn an_encrypted_name_is_opened() {
    for (session_key, cipher) in [
        ("aes-128", "http://www.w3.org/2001/04/xmlenc#aes128-cbc"),
        ("aes-256", "http://www.w3.org/2009/xmlenc11#aes256-gcm"),
    ] {
        let wrapped = LOGOUT_REQUEST
            .replace("<saml:NameID ", "<saml:EncryptedID><saml:NameID ")
            .replace("</saml:NameID>", "</saml:NameID></saml:EncryptedID>");
        let encrypted = encrypt(
            &wrapped,
            "NameID",
            &Encryption { session_key, cipher, ..Encryption::default() },
        );
        assert!(!encrypted.contains("alice"));
        let keys = [&*OURS];
        let expect = ExpectLogout { decrypt: &keys, ..expect() };
        for message in by_each(&encrypted) {
            let logout = consume_logout_request(&message, &expect).unwrap();
            assert_eq!(
                (logout.name_id.value.as_str(), logout.session_indexes.len()),
                ("alice", 2),
                "{cipher}"
            );
            assert!(matches!(request(&message), Err(Fault::Key(_))));
        }
    }
}
