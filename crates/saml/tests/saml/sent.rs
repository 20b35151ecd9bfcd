//! What we send: every message verified by xmlsec1, every query by openssl, each with its parts where the schemas want them.

use std::io::Read as _;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{
    AuthnRequest, Binding, Credential, Endpoint, Fault, LogoutReason, LogoutRequest,
    LogoutResponse, LogoutStatus, NameId, SpMetadata,
};

use crate::support::*;

const SSO: &str = "https://idp.example/sso?tenant=a&b=c";
const IDP_SLO: &str = "https://idp.example/slo";

fn authn_request() -> AuthnRequest<'static> {
    AuthnRequest {
        id: "_ours1",
        issuer: SP,
        destination: SSO,
        acs_url: ACS,
        issue_instant_ms: NOW,
        force_authn: false,
        name_id_format: None,
        requested_authn_context: &[],
        login_hint: None,
    }
}

fn name_id() -> NameId {
    NameId {
        value: "alice <&>\"' \u{1f600}\u{1}".into(),
        format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into()),
        name_qualifier: Some(IDP.into()),
        sp_name_qualifier: Some(SP.into()),
    }
}

fn logout_request(name_id: &NameId) -> LogoutRequest<'_> {
    LogoutRequest {
        id: "_ours2",
        issuer: SP,
        destination: IDP_SLO,
        issue_instant_ms: NOW,
        not_on_or_after_ms: NOW + 300_000,
        name_id,
        session_index: Some("_s<1>"),
        reason: Some(LogoutReason::User),
    }
}

fn logout_response(status: LogoutStatus) -> LogoutResponse<'static> {
    LogoutResponse {
        id: "_ours3",
        in_response_to: "_theirs1",
        issuer: SP,
        destination: IDP_SLO,
        issue_instant_ms: NOW,
        status,
    }
}

fn posted(fields: &[(&'static str, String)], name: &str) -> String {
    assert_eq!(fields[0].0, name);
    String::from_utf8(STANDARD.decode(&fields[0].1).unwrap()).unwrap()
}

/// The parameters of a URL, in order, raw.
fn parameters(url: &str) -> Vec<(String, String)> {
    let query = url.split_once('?').expect("a query").1;
    query
        .split('&')
        .map(|pair| pair.split_once('=').expect("a pair"))
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .collect()
}

fn percent_decoded(raw: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(if byte == b'%' {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        } else {
            byte
        });
    }
    bytes
}

fn inflated(raw: &str) -> String {
    let deflated = STANDARD.decode(percent_decoded(raw)).unwrap();
    let mut xml = String::new();
    flate2::read::DeflateDecoder::new(&deflated[..]).read_to_string(&mut xml).unwrap();
    xml
}

/// Whether openssl finds the signature of the query valid: over the octets from the message to the algorithm.
fn openssl_verifies(url: &str, key: &str) -> bool {
    let start = url.find("SAMLRe").expect("a message");
    let end = url.find("&Signature=").expect("a signature");
    let signature = STANDARD.decode(percent_decoded(&url[end + "&Signature=".len()..])).unwrap();
    let public = Command::new("openssl")
        .args(["x509", "-pubkey", "-noout", "-in"])
        .arg(path(&format!("keys/{key}.crt")))
        .output();
    let public = scratch(&public.expect("openssl must be installed").stdout);
    let (signature, data) = (scratch(&signature), scratch(&url.as_bytes()[start..end]));
    let verified = Command::new("openssl")
        .args(["dgst", "-sha256", "-verify"])
        .arg(public)
        .arg("-signature")
        .arg(signature)
        .arg(data)
        .output();
    verified.expect("openssl must be installed").status.success()
}

#[test]
fn xmlsec1_verifies_every_message_that_we_sign() {
    let name_id = name_id();
    let everything = AuthnRequest {
        force_authn: true,
        name_id_format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"),
        requested_authn_context: &[
            "urn:oasis:names:tc:SAML:2.0:ac:classes:Password",
            "https://refeds.org/profile/mfa",
        ],
        login_hint: Some("alice@example.com"),
        ..authn_request()
    };
    let mut messages = vec![
        (posted(&authn_request().post(None, Some(&OURS)).unwrap(), "SAMLRequest"), "_ours1"),
        (posted(&everything.post(None, Some(&OURS)).unwrap(), "SAMLRequest"), "_ours1"),
        (
            posted(&logout_request(&name_id).post(None, Some(&OURS)).unwrap(), "SAMLRequest"),
            "_ours2",
        ),
        (logout_request(&name_id).soap(&OURS).unwrap(), "_ours2"),
    ];
    for status in [
        LogoutStatus::Success,
        LogoutStatus::PartialLogout,
        LogoutStatus::Requester,
        LogoutStatus::Responder,
    ] {
        messages.push((
            posted(&logout_response(status).post(Some("x"), Some(&OURS)).unwrap(), "SAMLResponse"),
            "_ours3",
        ));
        messages.push((logout_response(status).soap(&OURS).unwrap(), "_ours3"));
        let back = LogoutResponse { destination: "", ..logout_response(status) };
        let unaddressed = back.soap(&OURS).unwrap();
        assert!(!unaddressed.contains("Destination"));
        messages.push((unaddressed, "_ours3"));
        assert!(matches!(back.redirect(None, None), Err(Fault::Invalid { .. })));
        assert!(matches!(back.post(None, None), Err(Fault::Invalid { .. })));
    }
    messages.push((metadata().xml(Some(&OURS)).unwrap(), "_metadata1"));
    for (xml, id) in messages {
        assert!(xmlsec1_verifies(&xml, id, "sp"), "{xml}");
        assert!(!xmlsec1_verifies(&xml, id, "attacker"));
        assert!(!xmlsec1_verifies(&xml.replace("amazon:cognito", "amazon:c0gnito"), id, "sp"));
        // The schemas allow a signature right after the issuer, and first in metadata.
        let signature = xml.find("<ds:Signature").unwrap();
        assert!(
            xml[..signature].ends_with("</saml:Issuer>")
                || xml[..signature]
                    .ends_with("entityID=\"urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI\">")
        );
    }
}

#[test]
fn openssl_verifies_every_query_that_we_sign() {
    let name_id = name_id();
    let relay_state = "a/b+c=d e&f";
    let urls = [
        authn_request().redirect(Some(relay_state), Some(&OURS)).unwrap(),
        authn_request().redirect(None, Some(&OURS)).unwrap(),
        logout_request(&name_id).redirect(Some(relay_state), Some(&OURS)).unwrap(),
        logout_response(LogoutStatus::Success).redirect(Some(relay_state), Some(&OURS)).unwrap(),
    ];
    for url in &urls {
        assert!(openssl_verifies(url, "sp"), "{url}");
        assert!(!openssl_verifies(url, "attacker"));
        assert!(url.is_ascii());
    }
    assert!(urls[0].starts_with("https://idp.example/sso?tenant=a&b=c&SAMLRequest="));
    assert!(urls[2].starts_with("https://idp.example/slo?SAMLRequest="));
    let names: Vec<String> = parameters(&urls[3]).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["SAMLResponse", "RelayState", "SigAlg", "Signature"]);
    assert_eq!(percent_decoded(&parameters(&urls[3])[1].1), relay_state.as_bytes());
    assert_eq!(percent_decoded(&parameters(&urls[3])[2].1), RSA_SHA256.as_bytes());
}

#[test]
fn a_request_says_what_was_asked() {
    let plain = authn_request().redirect(None, None).unwrap();
    let names: Vec<String> = parameters(&plain).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["tenant", "b", "SAMLRequest"]);
    assert_eq!(
        inflated(&parameters(&plain)[2].1),
        r#"<samlp:AuthnRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol" xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_ours1" Version="2.0" IssueInstant="2026-11-22T12:00:00Z" Destination="https://idp.example/sso?tenant=a&amp;b=c" ProtocolBinding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" AssertionConsumerServiceURL="https://auth.example/saml2/idpresponse"><saml:Issuer>urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI</saml:Issuer></samlp:AuthnRequest>"#
    );
    let full = AuthnRequest {
        force_authn: true,
        name_id_format: Some("urn:x"),
        requested_authn_context: &["urn:a", "urn:b"],
        login_hint: Some("a&b"),
        ..authn_request()
    };
    let full = posted(&full.post(None, None).unwrap(), "SAMLRequest");
    assert!(full.contains(r#" ForceAuthn="true" "#));
    assert!(full.ends_with(r#"</saml:Issuer><saml:Subject><saml:NameID>a&amp;b</saml:NameID></saml:Subject><samlp:NameIDPolicy Format="urn:x" AllowCreate="true"/><samlp:RequestedAuthnContext Comparison="exact"><saml:AuthnContextClassRef>urn:a</saml:AuthnContextClassRef><saml:AuthnContextClassRef>urn:b</saml:AuthnContextClassRef></samlp:RequestedAuthnContext></samlp:AuthnRequest>"#));

    let name_id = name_id();
    let logout =
        posted(&logout_request(&name_id).post(Some("state"), None).unwrap(), "SAMLRequest");
    assert!(logout.contains(
        r#" NotOnOrAfter="2026-11-22T12:05:00Z" Reason="urn:oasis:names:tc:SAML:2.0:logout:user">"#
    ));
    assert!(logout.ends_with("Format=\"urn:oasis:names:tc:SAML:2.0:nameid-format:persistent\">alice &lt;&amp;&gt;&quot;' \u{1f600}\u{fffd}</saml:NameID><samlp:SessionIndex>_s&lt;1&gt;</samlp:SessionIndex></samlp:LogoutRequest>"));
    assert_eq!(
        logout_request(&name_id).post(Some("state"), None).unwrap()[1],
        ("RelayState", "state".to_owned())
    );
}

#[test]
fn the_same_message_is_the_same_bytes() {
    assert_eq!(
        authn_request().post(None, Some(&OURS)).unwrap(),
        authn_request().post(None, Some(&OURS)).unwrap()
    );
    assert_eq!(
        authn_request().redirect(Some("x"), Some(&OURS)).unwrap(),
        authn_request().redirect(Some("x"), Some(&OURS)).unwrap()
    );
}

#[test]
fn ids_and_addresses_that_would_break_a_message_are_refused() {
    for id in ["", "1a", "a b", "a\"", "-a", "a:b", "\u{e9}", &"a".repeat(300)] {
        assert!(
            matches!(
                AuthnRequest { id, ..authn_request() }.redirect(None, None),
                Err(Fault::Invalid { what: "id", .. })
            ),
            "{id}"
        );
    }
    for destination in [
        "",
        "idp.example",
        "javascript:alert(1)",
        "https://",
        "https:///x",
        "https://a\nb/",
        "https://a b/",
        "https://user@host/",
        "https://idp.example/#x",
        "ftp://idp.example/",
        "https://\u{e9}.example/",
    ] {
        let request = AuthnRequest { destination, ..authn_request() };
        assert!(
            matches!(request.redirect(None, None), Err(Fault::Invalid { what: "destination", .. })),
            "{destination}"
        );
        let request = AuthnRequest { acs_url: destination, ..authn_request() };
        assert!(matches!(request.post(None, None), Err(Fault::Invalid { .. })), "{destination}");
    }
}

#[test]
fn a_credential_is_one_rsa_pair_and_never_printed() {
    assert_eq!(format!("{:?}", *OURS), "Credential([redacted])");
    assert_eq!(OURS.certificate(), certificate("sp"));
    assert!(matches!(Credential::new(&private_key("sp"), &certificate("idp")), Err(Fault::Key(_))));
    assert!(matches!(
        Credential::new(&private_key("weak"), &certificate("weak")),
        Err(Fault::Key(_))
    ));
    assert!(matches!(
        Credential::new(&private_key("p256"), &certificate("p256")),
        Err(Fault::Key(_))
    ));
    assert!(matches!(Credential::new(b"", &certificate("sp")), Err(Fault::Key(_))));
    assert!(matches!(Credential::new(&private_key("sp"), b"0\x82"), Err(Fault::Key(_))));
}

fn metadata() -> SpMetadata<'static> {
    static SLO_ENDPOINTS: std::sync::LazyLock<Vec<Endpoint>> = std::sync::LazyLock::new(|| {
        [Binding::Redirect, Binding::Post, Binding::Soap]
            .map(|binding| Endpoint { binding, location: SLO.into(), response_location: None })
            .to_vec()
    });
    static CERTIFICATE: std::sync::LazyLock<Vec<u8>> =
        std::sync::LazyLock::new(|| certificate("sp"));
    static CERTIFICATES: std::sync::LazyLock<[&[u8]; 1]> =
        std::sync::LazyLock::new(|| [CERTIFICATE.as_slice()]);
    SpMetadata {
        id: "_metadata1",
        entity_id: SP,
        acs: &[ACS, "https://login.example/saml2/idpresponse"],
        slo: &SLO_ENDPOINTS,
        signing: &*CERTIFICATES,
        encryption: &*CERTIFICATES,
        authn_requests_signed: true,
        want_assertions_signed: true,
        name_id_formats: &["urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"],
        valid_until_ms: None,
    }
}

#[test]
fn our_metadata_names_everything_a_provider_needs() {
    let xml = metadata().xml(None).unwrap();
    let certificate = STANDARD.encode(certificate("sp"));
    assert!(xml.starts_with(r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" ID="_metadata1" entityID="urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI"><md:SPSSODescriptor AuthnRequestsSigned="true" WantAssertionsSigned="true" protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">"#));
    assert_eq!(xml.matches(&certificate).count(), 2);
    assert!(
        xml.contains(r#"<md:KeyDescriptor use="signing">"#)
            && xml.contains(r#"<md:KeyDescriptor use="encryption">"#)
    );
    assert!(xml.contains(r#"<md:SingleLogoutService Binding="urn:oasis:names:tc:SAML:2.0:bindings:SOAP" Location="https://auth.example/saml2/logout"/>"#));
    assert!(xml.contains(r#"<md:AssertionConsumerService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://auth.example/saml2/idpresponse" index="0" isDefault="true"/>"#));
    assert!(xml.contains(r#"Location="https://login.example/saml2/idpresponse" index="1"/>"#));
    // In the order of the schema.
    let order =
        ["KeyDescriptor", "SingleLogoutService", "NameIDFormat", "AssertionConsumerService"]
            .map(|name| xml.find(&format!("<md:{name}")).unwrap());
    assert!(order.is_sorted());
    let until = SpMetadata { valid_until_ms: Some(NOW), ..metadata() };
    assert!(until.xml(None).unwrap().contains(r#" validUntil="2026-11-22T12:00:00Z">"#));
    assert!(matches!(
        SpMetadata { acs: &["javascript:x"], ..metadata() }.xml(None),
        Err(Fault::Invalid { .. })
    ));
}
