//! Messages that pysaml2 made (`tests/vectors/pysaml2/make.py`), with its habits: prefixes of its own, formats on issuers, its key order.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{
    Expect, ExpectLogout, Fault, Incoming, StatusCode, consume_logout_request,
    consume_logout_response, decode_post, decode_redirect, decode_soap,
};

use crate::support::*;

fn read(name: &str) -> String {
    vector(&format!("pysaml2/{name}")).trim().to_owned()
}

/// When the vectors were made, a second later: they were made one after the other.
fn made_ms() -> i64 {
    let xml = read("logout-response-soap.xml");
    let at = xml.find("IssueInstant=\"").unwrap() + "IssueInstant=\"".len();
    // Days since 1970 of the date by a calendar that is not the crate's, and seconds of its clock.
    let (date, clock) = (&xml[at..at + 10], &xml[at + 11..at + 19]);
    let days = std::process::Command::new("date")
        .args(["-u", "+%s", "-d", &format!("{date} {clock}")])
        .output()
        .unwrap();
    (String::from_utf8(days.stdout).unwrap().trim().parse::<i64>().unwrap() + 1) * 1000
}

fn response(
    name: &str,
    change: impl FnOnce(&mut Expect<'_>),
) -> Result<cenote_saml::Assertion, Fault> {
    let keys = [&*OURS];
    let mut expect = Expect { now_ms: made_ms(), decrypt: &keys, ..expect() };
    change(&mut expect);
    arrives(&read(name), &expect)
}

#[test]
fn responses_of_every_form_are_read() {
    for name in [
        "response-signed.xml",
        "assertion-signed.xml",
        "both-signed.xml",
        "encrypted.xml",
        "encrypted-in-signed.xml",
        "encrypted-both-signed.xml",
    ] {
        let assertion = response(name, |_| ()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert_eq!(assertion.name_id.value, "alice", "{name}");
        assert_eq!(assertion.name_id.name_qualifier.as_deref(), Some(IDP));
        assert_eq!(assertion.name_id.sp_name_qualifier.as_deref(), Some(SP));
        assert!(assertion.session_index.is_some());
        let mail = assertion
            .attributes
            .iter()
            .find(|a| a.friendly_name.as_deref() == Some("mail"))
            .expect("mail");
        assert_eq!(
            (mail.name.as_str(), mail.values.as_slice()),
            ("urn:oid:0.9.2342.19200300.100.1.3", &["alice@example.com".to_owned()][..])
        );
        let groups = assertion
            .attributes
            .iter()
            .find(|a| a.friendly_name.as_deref() == Some("eduPersonAffiliation"))
            .expect("groups");
        assert_eq!(groups.values, ["staff", "member"]);
    }
    let unsolicited = response("unsolicited.xml", |expect| expect.in_response_to = None);
    assert_eq!(unsolicited.map(|a| a.name_id.value), Ok("alice".to_owned()));
    for name in ["encrypted.xml", "encrypted-in-signed.xml", "encrypted-both-signed.xml"] {
        assert!(response(name, |expect| expect.require_encrypted = true).is_ok(), "{name}");
    }
}

#[test]
fn triple_des_is_refused_by_its_name() {
    let fault = response("encrypted-3des.xml", |_| ()).expect_err("refused");
    assert_eq!(
        fault.to_string(),
        "encryption algorithm \"http://www.w3.org/2001/04/xmlenc#tripledes-cbc\" is not accepted"
    );
}

#[test]
fn its_messages_are_as_old_as_they_are() {
    assert!(matches!(
        response("assertion-signed.xml", |expect| expect.now_ms += 3_600_000),
        Err(Fault::Late { .. })
    ));
    assert!(matches!(
        response("assertion-signed.xml", |expect| expect.now_ms -= 3_600_000),
        Err(Fault::Early { .. })
    ));
    assert!(matches!(
        response("assertion-signed.xml", |expect| expect.in_response_to = None),
        Err(Fault::InResponseTo { .. })
    ));
}

fn logout(kind: &str) -> [Incoming; 3] {
    [
        decode_post(&STANDARD.encode(read(&format!("{kind}-post.xml")))).unwrap(),
        decode_redirect(&read(&format!("{kind}-redirect.txt"))).unwrap(),
        decode_soap(read(&format!("{kind}-soap.xml")).as_bytes()).unwrap(),
    ]
}

#[test]
fn logout_messages_of_every_binding_are_read() {
    let expect = ExpectLogout {
        idp_entity_id: IDP,
        trusted: &TRUSTED,
        destination: SLO,
        now_ms: made_ms(),
        skew_ms: 60_000,
        max_age_ms: 300_000,
        decrypt: &[],
    };
    for message in logout("logout-request") {
        let request = consume_logout_request(&message, &expect)
            .unwrap_or_else(|fault| panic!("{:?}: {fault}", message.binding()));
        assert_eq!(
            (request.name_id.value.as_str(), request.session_indexes.as_slice()),
            ("alice", &["_session1".to_owned()][..])
        );
    }
    for message in logout("logout-response") {
        let answer = consume_logout_response(&message, &expect, "_ours2")
            .unwrap_or_else(|fault| panic!("{:?}: {fault}", message.binding()));
        assert_eq!(answer.status.code, StatusCode::Success);
    }
    assert_eq!(logout("logout-request")[1].relay_state(), Some("state / 1"));
}
