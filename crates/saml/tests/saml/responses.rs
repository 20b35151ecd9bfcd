//! What a good response says, and each rule that makes one bad.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{Expect, Fault, NameId, StatusCode};

use crate::support::*;

#[test]
fn a_signed_assertion_is_read_whole() {
    let assertion = accepted(&SIGNED_ASSERTION);
    assert_eq!(assertion.id, "_assertion1");
    assert_eq!(assertion.response_id, "_response1");
    assert_eq!(assertion.issuer, IDP);
    assert_eq!(
        assertion.name_id,
        NameId {
            value: "alice".into(),
            format: Some("urn:oasis:names:tc:SAML:2.0:nameid-format:persistent".into()),
            name_qualifier: None,
            sp_name_qualifier: Some(SP.into()),
        }
    );
    assert_eq!(assertion.session_index.as_deref(), Some("_session1"));
    assert_eq!(assertion.authn_instant_ms, NOW - 120_000);
    assert_eq!(
        assertion.authn_context.as_deref(),
        Some("urn:oasis:names:tc:SAML:2.0:ac:classes:PasswordProtectedTransport")
    );
    assert_eq!(assertion.session_not_on_or_after_ms, Some(NOW + 8 * 3_600_000));
    assert_eq!(assertion.replay_until_ms, NOW + 360_000);
    let attributes: Vec<(&str, Option<&str>, Vec<&str>)> = assertion
        .attributes
        .iter()
        .map(|a| {
            (
                a.name.as_str(),
                a.friendly_name.as_deref(),
                a.values.iter().map(String::as_str).collect(),
            )
        })
        .collect();
    assert_eq!(
        attributes,
        [
            ("mail", Some("E-mail"), vec!["alice@example.com"]),
            ("groups", None, vec!["staff", "admins & friends"])
        ]
    );
}

#[test]
fn a_signed_response_makes_its_assertion_good() {
    assert_eq!(accepted(&SIGNED_RESPONSE).name_id.value, "alice");
}

#[test]
fn both_may_be_signed_and_then_both_must_hold() {
    let both = sign(&SIGNED_ASSERTION, "_response1", &Signing::default());
    assert_eq!(accepted(&both).name_id.value, "alice");

    let outer_by_a_stranger =
        sign(&SIGNED_ASSERTION, "_response1", &Signing { key: "attacker", ..Signing::default() });
    assert!(matches!(
        refused(&outer_by_a_stranger),
        Fault::SignatureMismatch { what: "the response", tried: 1 }
    ));

    let inner_by_a_stranger =
        sign(RESPONSE, "_assertion1", &Signing { key: "attacker", ..Signing::default() });
    let inner_by_a_stranger = sign(&inner_by_a_stranger, "_response1", &Signing::default());
    assert!(matches!(
        refused(&inner_by_a_stranger),
        Fault::SignatureMismatch { what: "the assertion", tried: 1 }
    ));
}

#[test]
fn any_of_the_providers_certificates_may_have_signed() {
    let trusted =
        [certificate("idp-next"), certificate("weak"), certificate("p256"), certificate("idp")];
    assert!(arrives(&SIGNED_ASSERTION, &Expect { trusted: &trusted, ..expect() }).is_ok());
}

#[test]
fn every_accepted_algorithm_is_verified() {
    for bits in ["384", "512"] {
        let method = format!("http://www.w3.org/2001/04/xmldsig-more#rsa-sha{bits}");
        let xml = sign(RESPONSE, "_assertion1", &Signing { method: &method, ..Signing::default() });
        assert_eq!(accepted(&xml).name_id.value, "alice", "{method}");
    }
    for key in ["p256", "p384", "p521"] {
        for bits in ["256", "384", "512"] {
            let method = format!("http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha{bits}");
            let xml = sign(
                RESPONSE,
                "_assertion1",
                &Signing { key, method: &method, ..Signing::default() },
            );
            let trusted = [certificate(key)];
            let assertion = arrives(&xml, &Expect { trusted: &trusted, ..expect() });
            assert_eq!(
                assertion.map(|a| a.name_id.value),
                Ok("alice".to_owned()),
                "{key} {method}"
            );
        }
    }
    for digest in
        ["http://www.w3.org/2001/04/xmldsig-more#sha384", "http://www.w3.org/2001/04/xmlenc#sha512"]
    {
        assert_eq!(
            accepted(&sign(RESPONSE, "_assertion1", &Signing { digest, ..Signing::default() }))
                .name_id
                .value,
            "alice"
        );
    }
}

/// Signed by openssl, because the xmlsec1 of Debian 12 does not know RSA-PSS.
#[test]
fn rsa_pss_is_verified() {
    for bits in ["256", "384", "512"] {
        let method = format!("http://www.w3.org/2007/05/xmldsig-more#sha{bits}-rsa-MGF1");
        let xml = changed(&SIGNED_ASSERTION, RSA_SHA256, &method);
        let signed_info = element(&xml, "ds:SignedInfo").replacen(
            "<ds:SignedInfo>",
            "<ds:SignedInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\">",
            1,
        );
        // The canonical form has no empty tags.
        let mut canonical = signed_info;
        while let Some(end) = canonical.find("/>") {
            let name = canonical[canonical[..end].rfind('<').unwrap() + 1..end]
                .split(' ')
                .next()
                .unwrap()
                .to_owned();
            canonical.replace_range(end..end + 2, &format!("></{name}>"));
        }
        for (salt, good) in [("digest", true), ("0", false)] {
            let arguments = [
                "dgst",
                &format!("-sha{bits}"),
                "-sigopt",
                "rsa_padding_mode:pss",
                "-sigopt",
                &format!("rsa_pss_saltlen:{salt}"),
                "-sign",
            ];
            let signature = std::process::Command::new("openssl")
                .args(arguments)
                .arg(path("keys/idp.key"))
                .arg(scratch(canonical.as_bytes()))
                .output();
            let signature = STANDARD.encode(signature.expect("openssl must be installed").stdout);
            let value = element(&xml, "ds:SignatureValue").to_owned();
            let xml =
                xml.replace(&value, &format!("<ds:SignatureValue>{signature}</ds:SignatureValue>"));
            let read = arrives(&xml, &expect()).map(|assertion| assertion.name_id.value);
            assert_eq!(read.is_ok(), good, "{method} {salt}: {read:?}");
        }
    }
}

#[test]
fn every_accepted_canonical_form_is_verified() {
    let enveloped =
        r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>"#;
    let forms = [
        (EXCLUSIVE, format!(r#"{enveloped}<ds:Transform Algorithm="{EXCLUSIVE}WithComments"/>"#)),
        (INCLUSIVE, format!(r#"{enveloped}<ds:Transform Algorithm="{INCLUSIVE}"/>"#)),
        ("http://www.w3.org/2001/10/xml-exc-c14n#WithComments", enveloped.to_owned()),
        (
            "http://www.w3.org/2006/12/xml-c14n11",
            format!(
                r#"{enveloped}<ds:Transform Algorithm="http://www.w3.org/2006/12/xml-c14n11"/>"#
            ),
        ),
        (
            EXCLUSIVE,
            format!(
                r#"{enveloped}<ds:Transform Algorithm="{EXCLUSIVE}"><ec:InclusiveNamespaces xmlns:ec="{EXCLUSIVE}" PrefixList="xs xsi #default"/></ds:Transform>"#
            ),
        ),
    ];
    // White space, comments, entities of every kind, characters that are escaped in their own ways, prefixes bound twice.
    let odd = RESPONSE
        .replace("<saml:Subject>", "\r\n  <!-- a comment -->\t<saml:Subject>")
        .replace("admins &amp; friends", "a&#13;d&#x9;m<![CDATA[<i>&amp;]]>ns &gt; \u{1f600} ü &quot;&apos;")
        .replace("FriendlyName=\"E-mail\"", "FriendlyName=\"E&#10;mail &lt;&amp;&quot;'  x\"")
        .replace("<saml:AttributeValue>staff", "<saml:AttributeValue xmlns:saml2=\"urn:x\" xmlns=\"urn:y\" xmlns:a=\"urn:a\" a:z='1' a:b='2'>staff");
    for id in ["_assertion1", "_response1"] {
        for (canonical, transforms) in &forms {
            let xml = sign(&odd, id, &Signing { canonical, transforms, ..Signing::default() });
            let assertion = accepted(&xml);
            assert_eq!(
                assertion.attributes[1].values[1], "a\rd\tm<i>&amp;ns > \u{1f600} ü \"'",
                "{canonical} {transforms}"
            );
        }
    }
}

#[test]
fn prefixes_do_not_matter() {
    let xml = RESPONSE
        .replace("saml:", "")
        .replace("xmlns:saml=", "xmlns=")
        .replace("samlp:", "urn-p:")
        .replace("xmlns:samlp=", "xmlns:urn-p=");
    assert_eq!(accepted(&sign(&xml, "_assertion1", &Signing::default())).name_id.value, "alice");
    assert_eq!(accepted(&sign(&xml, "_response1", &Signing::default())).name_id.value, "alice");
}

#[test]
fn attributes_of_one_name_are_joined_and_null_values_left_out() {
    let assertion = accepted(&signed_after(
        r#"<saml:Attribute Name="groups">"#,
        r#"<saml:Attribute Name="groups"><saml:AttributeValue xsi:nil="true"/></saml:Attribute><saml:Attribute Name="mail"><saml:AttributeValue/><saml:AttributeValue> <saml:NameID>deep</saml:NameID> </saml:AttributeValue></saml:Attribute><saml:Attribute Name="groups">"#,
    ));
    let values: Vec<(&str, &[String])> =
        assertion.attributes.iter().map(|a| (a.name.as_str(), a.values.as_slice())).collect();
    assert_eq!(
        values[0],
        ("mail", &["alice@example.com".to_owned(), String::new(), "deep".to_owned()][..])
    );
    assert_eq!(values[1], ("groups", &["staff".to_owned(), "admins & friends".to_owned()][..]));
    assert_eq!(values.len(), 2);
}

#[test]
fn a_refusal_is_told_with_its_codes() {
    let failed = changed(
        RESPONSE,
        r#"<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Success"/>"#,
        r#"<samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:Responder"><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:AuthnFailed"/></samlp:StatusCode><samlp:StatusMessage>No such user</samlp:StatusMessage>"#,
    );
    let Fault::Refused(status) = refused(&failed) else { panic!("not refused") };
    assert_eq!(status.code, StatusCode::Responder);
    assert_eq!(
        Fault::Refused(status).to_string(),
        "the provider answers Responder, \"urn:oasis:names:tc:SAML:2.0:status:AuthnFailed\", \"No such user\""
    );
}

#[test]
fn everything_must_be_on_time_within_the_skew() {
    let at = |offset_ms: i64| {
        arrives(&SIGNED_ASSERTION, &Expect { now_ms: NOW + offset_ms, ..expect() })
    };
    assert!(at(0).is_ok());
    // IssueInstant and NotBefore
    assert!(at(-60_000).is_ok());
    assert!(matches!(at(-60_001), Err(Fault::Early { .. })));
    // NotOnOrAfter of conditions and of the confirmation
    assert!(at(359_999).is_ok());
    assert!(matches!(at(360_000), Err(Fault::Late { .. })));

    for (what, from, to) in [
        (
            "the session has ended",
            r#"SessionNotOnOrAfter="2026-11-22T20:00:00Z""#,
            r#"SessionNotOnOrAfter="2026-11-22T11:58:59Z""#,
        ),
        (
            "the conditions have ended",
            r#"NotOnOrAfter="2026-11-22T12:05:00Z"><saml:Aud"#,
            r#"NotOnOrAfter="2026-11-22T11:59:00Z"><saml:Aud"#,
        ),
        (
            "the confirmation has ended",
            r#"NotOnOrAfter="2026-11-22T12:05:00Z" InResponseTo"#,
            r#"NotOnOrAfter="2026-11-22T11:59:00Z" InResponseTo"#,
        ),
    ] {
        assert!(matches!(refused(&signed_after(from, to)), Fault::Late { .. }), "{what}");
    }
    for (what, from, to) in [
        (
            "the user will be authenticated",
            r#"AuthnInstant="2026-11-22T11:58:00Z""#,
            r#"AuthnInstant="2026-11-22T12:01:01Z""#,
        ),
        (
            "the conditions begin later",
            r#"NotBefore="2026-11-22T11:59:00Z""#,
            r#"NotBefore="2026-11-22T12:01:01Z""#,
        ),
        (
            "the assertion is issued later",
            r#"ID="_assertion1" Version="2.0" IssueInstant="2026-11-22T12:00:00Z""#,
            r#"ID="_assertion1" Version="2.0" IssueInstant="2026-11-22T12:01:01Z""#,
        ),
        (
            "the response is issued later",
            r#"ID="_response1" Version="2.0" IssueInstant="2026-11-22T12:00:00Z""#,
            r#"ID="_response1" Version="2.0" IssueInstant="2026-11-22T12:01:01Z""#,
        ),
    ] {
        assert!(matches!(refused(&signed_after(from, to)), Fault::Early { .. }), "{what}");
    }
}

#[test]
fn each_missing_or_wrong_part_is_refused() {
    type Right = fn(&Fault) -> bool;
    let cases: &[(&str, &str, Right)] = &[
        // From whom.
        (
            "<saml:Issuer>https://idp.example/metadata</saml:Issuer><saml:Subject>",
            "<saml:Subject>",
            |f| matches!(f, Fault::Missing { what: "Issuer", of: "Assertion" }),
        ),
        (
            "https://idp.example/metadata</saml:Issuer><saml:Subject>",
            "https://other.example</saml:Issuer><saml:Subject>",
            |f| matches!(f, Fault::Issuer { .. }),
        ),
        (
            "https://idp.example/metadata</saml:Issuer><samlp:Status>",
            "https://other.example</saml:Issuer><samlp:Status>",
            |f| matches!(f, Fault::Issuer { .. }),
        ),
        (
            "<saml:Issuer>https://idp.example/metadata</saml:Issuer><saml:Subject>",
            r#"<saml:Issuer Format="urn:x">https://idp.example/metadata</saml:Issuer><saml:Subject>"#,
            |f| matches!(f, Fault::Invalid { what: "Format of Issuer", .. }),
        ),
        // For whom.
        (
            "<saml:Audience>urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI",
            "<saml:Audience>urn:amazon:cognito:sp:eu-west-1_Another",
            |f| matches!(f, Fault::Audience { .. }),
        ),
        (
            "<saml:Audience>urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI",
            "<saml:Audience>URN:amazon:cognito:sp:eu-west-1_AbCdEfGhI",
            |f| matches!(f, Fault::Audience { .. }),
        ),
        (
            "</saml:AudienceRestriction>",
            "</saml:AudienceRestriction><saml:AudienceRestriction><saml:Audience>urn:another</saml:Audience></saml:AudienceRestriction>",
            |f| matches!(f, Fault::Audience { .. }),
        ),
        (
            "<saml:AudienceRestriction><saml:Audience>urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI</saml:Audience></saml:AudienceRestriction>",
            "",
            |f| matches!(f, Fault::Missing { what: "AudienceRestriction", .. }),
        ),
        ("</saml:AudienceRestriction>", "</saml:AudienceRestriction><saml:Condition/>", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
        (
            r#"Destination="https://auth.example/saml2/idpresponse""#,
            r#"Destination="https://other.example/saml2/idpresponse""#,
            |f| matches!(f, Fault::Destination { .. }),
        ),
        (r#"Destination="https://auth.example/saml2/idpresponse""#, r#"Destination="""#, |f| {
            matches!(f, Fault::Destination { .. })
        }),
        (
            r#"Recipient="https://auth.example/saml2/idpresponse""#,
            r#"Recipient="https://other.example/saml2/idpresponse""#,
            |f| matches!(f, Fault::Destination { .. }),
        ),
        (
            r#"Recipient="https://auth.example/saml2/idpresponse""#,
            r#"Recipient="https://auth.example/saml2/idpresponse/""#,
            |f| matches!(f, Fault::Destination { .. }),
        ),
        (r#" Recipient="https://auth.example/saml2/idpresponse""#, "", |f| {
            matches!(f, Fault::Confirmation(_))
        }),
        // To what.
        (r#"InResponseTo="_request1"><saml:Issuer>"#, "><saml:Issuer>", |f| {
            matches!(f, Fault::InResponseTo { .. })
        }),
        (
            r#"InResponseTo="_request1"><saml:Issuer>"#,
            r#"InResponseTo="_request2"><saml:Issuer>"#,
            |f| matches!(f, Fault::InResponseTo { .. }),
        ),
        (r#" InResponseTo="_request1"/>"#, "/>", |f| matches!(f, Fault::InResponseTo { .. })),
        (r#" InResponseTo="_request1"/>"#, r#" InResponseTo="_request2"/>"#, |f| {
            matches!(f, Fault::InResponseTo { .. })
        }),
        // How it is confirmed.
        (
            "urn:oasis:names:tc:SAML:2.0:cm:bearer",
            "urn:oasis:names:tc:SAML:2.0:cm:sender-vouches",
            |f| matches!(f, Fault::Confirmation("there is none")),
        ),
        (r#" NotOnOrAfter="2026-11-22T12:05:00Z" InResponseTo"#, " InResponseTo", |f| {
            matches!(f, Fault::Confirmation(_))
        }),
        (
            r#" InResponseTo="_request1"/>"#,
            r#" InResponseTo="_request1" NotBefore="2026-11-22T11:00:00Z"/>"#,
            |f| matches!(f, Fault::Confirmation(_)),
        ),
        // Whom it is about.
        ("alice</saml:NameID>", "</saml:NameID>", |f| {
            matches!(f, Fault::Missing { of: "NameID", .. })
        }),
        ("alice</saml:NameID>", "ali<b>ce</b></saml:NameID>", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
        ("</saml:NameID>", "</saml:NameID><saml:NameID>bob</saml:NameID>", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
        ("saml:NameID", "saml:BaseID", |f| matches!(f, Fault::Missing { what: "NameID", .. })),
        ("saml:Subject>", "saml:Advice>", |f| matches!(f, Fault::Missing { what: "Subject", .. })),
        // What it says.
        ("saml:AuthnStatement", "saml:AuthzStatement", |f| {
            matches!(f, Fault::Missing { what: "AuthnStatement", .. })
        }),
        (r#"AuthnInstant="2026-11-22T11:58:00Z""#, r#"AuthnInstant="yesterday""#, |f| {
            matches!(f, Fault::Invalid { what: "AuthnInstant", .. })
        }),
        ("saml:Conditions", "saml:Advice", |f| {
            matches!(f, Fault::Missing { what: "Conditions", .. })
        }),
        (r#"ID="_assertion1" Version="2.0""#, r#"ID="_assertion1" Version="1.1""#, |f| {
            matches!(f, Fault::Invalid { what: "Version", .. })
        }),
        (r#"ID="_response1" Version="2.0""#, r#"ID="_response1""#, |f| {
            matches!(f, Fault::Missing { what: "Version", .. })
        }),
        ("<saml:AttributeStatement>", "<saml:AttributeStatement><saml:EncryptedAttribute/>", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
        (r#"<saml:Attribute Name="groups">"#, "<saml:Attribute>", |f| {
            matches!(f, Fault::Missing { what: "Name", .. })
        }),
        ("<samlp:Status>", "<samlp:Extra/><samlp:Status>", |f| {
            matches!(f, Fault::Unexpected { .. })
        }),
    ];
    for (from, to, right) in cases {
        let fault = refused(&signed_after(from, to));
        assert!(right(&fault), "{from} -> {to}: {fault}");
    }
}

#[test]
fn a_signed_response_must_name_issuer_and_destination() {
    let without = changed(
        RESPONSE,
        "<saml:Issuer>https://idp.example/metadata</saml:Issuer><samlp:Status>",
        "<samlp:Status>",
    );
    let without = without.replace("<samlp:Status>", "@<samlp:Status>");
    let signed = fill(
        &without.replace('@', &template("_response1", &Signing::default())),
        "_response1",
        "idp",
    );
    assert!(matches!(refused(&signed), Fault::Missing { what: "Issuer", of: "Response" }));
    let without = changed(RESPONSE, r#" Destination="https://auth.example/saml2/idpresponse""#, "");
    let signed = sign(&without, "_response1", &Signing::default());
    assert!(matches!(refused(&signed), Fault::Missing { what: "Destination", of: "Response" }));
    // Where only the assertion is signed, it says both.
    assert_eq!(
        accepted(&sign(&without, "_assertion1", &Signing::default())).name_id.value,
        "alice"
    );
}

#[test]
fn one_good_bearer_confirmation_is_enough() {
    let xml = signed_after(
        "<saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">",
        "<saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:holder-of-key\"/><saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"><saml:SubjectConfirmationData Recipient=\"https://other.example\" NotOnOrAfter=\"2026-11-22T12:30:00Z\"/></saml:SubjectConfirmation><saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">",
    );
    assert_eq!(accepted(&xml).replay_until_ms, NOW + 360_000);
}

#[test]
fn an_unsolicited_response_answers_nothing_and_is_young() {
    let unsolicited = RESPONSE.replace(r#" InResponseTo="_request1""#, "");
    let xml = sign(&unsolicited, "_assertion1", &Signing::default());
    let idp_initiated = Expect { in_response_to: None, ..expect() };
    assert_eq!(arrives(&xml, &idp_initiated).map(|a| a.name_id.value), Ok("alice".to_owned()));
    assert!(matches!(refused(&xml), Fault::InResponseTo { .. }));

    // An answer to some request is not unsolicited, wherever it says so.
    assert!(matches!(refused_by(&SIGNED_ASSERTION, &idp_initiated), Fault::InResponseTo { .. }));
    for place in [r#" InResponseTo="_request1"><saml:Issuer>"#, r#" InResponseTo="_request1"/>"#] {
        let other = if place.ends_with("/>") { "/>" } else { "><saml:Issuer>" };
        let xml = sign(&RESPONSE.replace(place, other), "_assertion1", &Signing::default());
        assert!(matches!(refused_by(&xml, &idp_initiated), Fault::InResponseTo { .. }));
    }

    let late = unsolicited.replace("2026-11-22T12:05:00Z", "2026-11-22T13:00:00Z");
    let late = sign(&late, "_assertion1", &Signing::default());
    assert!(arrives(&late, &Expect { now_ms: NOW + 419_999, ..idp_initiated.clone() }).is_ok());
    let fault = refused_by(&late, &Expect { now_ms: NOW + 420_000, ..idp_initiated.clone() });
    assert!(matches!(fault, Fault::Late { .. }));
    // It needs to be remembered no longer than it can be used.
    assert_eq!(arrives(&late, &idp_initiated).map(|a| a.replay_until_ms), Ok(NOW + 420_000));
}

#[test]
fn what_a_stranger_wrote_is_cut_short_in_the_words() {
    let long = "x".repeat(5000);
    let fault = refused(&signed_after(
        "<saml:Audience>urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI",
        &format!("<saml:Audience>{long}&#10;"),
    ));
    assert!(fault.to_string().len() < 400, "{fault}");
    assert!(!fault.to_string().contains('\n'));
}

#[test]
fn a_certificate_of_any_age_may_be_trusted_but_not_any_key() {
    for key in ["weak", "ed25519", "k256"] {
        assert!(
            matches!(cenote_saml::check_certificate(&certificate(key)), Err(Fault::Key(_))),
            "{key}"
        );
        let trusted = [certificate(key)];
        assert!(
            matches!(
                refused_by(&SIGNED_ASSERTION, &Expect { trusted: &trusted, ..expect() }),
                Fault::Key(_)
            ),
            "{key}"
        );
    }
    for key in ["idp", "p256", "p384", "p521"] {
        assert_eq!(cenote_saml::check_certificate(&certificate(key)), Ok(()), "{key}");
    }
    let weak = sign(RESPONSE, "_assertion1", &Signing { key: "weak", ..Signing::default() });
    let trusted = [certificate("weak"), certificate("idp")];
    assert!(matches!(
        refused_by(&weak, &Expect { trusted: &trusted, ..expect() }),
        Fault::SignatureMismatch { tried: 1, .. }
    ));
}
