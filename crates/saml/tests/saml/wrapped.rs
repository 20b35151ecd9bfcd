//! Signature wrapping: XSW1 to XSW8 by the names of Somorovsky and others ("On Breaking SAML", 2012), and their relatives. In each a
//! signature of the provider stays whole and valid, and a reader that looks elsewhere than its verifier believes the forgery beside it.

use cenote_saml::Fault;

use crate::support::*;

const SIGNATURE: &str = "ds:Signature";

/// The assertion as the attacker wants it: another name, no signature, another id.
fn forged_assertion(signed: &str) -> String {
    let assertion = element(signed, "saml:Assertion");
    assertion
        .replace(element(assertion, SIGNATURE), "")
        .replace("alice", "admin")
        .replace("_assertion1", "_evil")
}

/// The response as the attacker wants it, with its signature as it was.
fn forged_response(signed: &str) -> String {
    signed.replace("alice", "admin").replace("\"_response1\"", "\"_evil\"")
}

/// The signed response without its signature: what the digest was made of.
fn original_response(signed: &str) -> String {
    signed.replace(element(signed, SIGNATURE), "")
}

fn original_assertion(signed: &str) -> String {
    let assertion = element(signed, "saml:Assertion");
    assertion.replace(element(assertion, SIGNATURE), "")
}

/// Refused, and not because the material is broken: xmlsec1 still finds the provider's signature in it, or it is no signature of xmlsec1's
/// idea of the document any more.
fn is_refused(attack: &str) -> Fault {
    assert_ne!(attack, SIGNED_ASSERTION.as_str());
    assert_ne!(attack, SIGNED_RESPONSE.as_str());
    refused(attack)
}

#[test]
fn xsw1_the_original_response_inside_of_the_signature_of_a_forged_one() {
    let evil = forged_response(&SIGNED_RESPONSE);
    let attack = evil.replace(
        "</ds:Signature>",
        &format!("{}</ds:Signature>", original_response(&SIGNED_RESPONSE)),
    );
    is_refused(&attack);
    let inside_of_an_object = evil.replace(
        "</ds:Signature>",
        &format!("<ds:Object>{}</ds:Object></ds:Signature>", original_response(&SIGNED_RESPONSE)),
    );
    is_refused(&inside_of_an_object);
}

#[test]
fn xsw2_the_original_response_before_the_signature_of_a_forged_one() {
    let evil = forged_response(&SIGNED_RESPONSE);
    let attack = evil.replace(
        "<ds:Signature ",
        &format!("{}<ds:Signature ", original_response(&SIGNED_RESPONSE)),
    );
    is_refused(&attack);
}

#[test]
fn xsw3_a_forged_assertion_before_the_original() {
    let attack = SIGNED_ASSERTION.replace(
        "<saml:Assertion ",
        &format!("{}<saml:Assertion ", forged_assertion(&SIGNED_ASSERTION)),
    );
    assert!(xmlsec1_verifies(&attack, "_assertion1", "idp"));
    assert_eq!(is_refused(&attack), Fault::Assertions { found: 2 });
    let after = SIGNED_ASSERTION.replace(
        "</samlp:Response>",
        &format!("{}</samlp:Response>", forged_assertion(&SIGNED_ASSERTION)),
    );
    assert_eq!(is_refused(&after), Fault::Assertions { found: 2 });
}

#[test]
fn xsw4_a_forged_assertion_around_the_original() {
    let original = element(&SIGNED_ASSERTION, "saml:Assertion");
    let evil = forged_assertion(&SIGNED_ASSERTION)
        .replace("</saml:Assertion>", &format!("{original}</saml:Assertion>"));
    let attack = SIGNED_ASSERTION.replace(original, &evil);
    assert!(xmlsec1_verifies(&attack, "_assertion1", "idp"));
    assert_eq!(is_refused(&attack), Fault::Assertions { found: 2 });
}

#[test]
fn xsw5_the_signature_in_a_forged_assertion_and_the_original_at_the_end() {
    let signed = element(&SIGNED_ASSERTION, "saml:Assertion");
    let evil = signed.replace("alice", "admin").replace("ID=\"_assertion1\"", "ID=\"_evil\"");
    let attack = SIGNED_ASSERTION.replace(signed, &evil).replace(
        "</samlp:Response>",
        &format!("{}</samlp:Response>", original_assertion(&SIGNED_ASSERTION)),
    );
    assert!(xmlsec1_verifies(&attack, "_evil", "idp"));
    assert_eq!(is_refused(&attack), Fault::Assertions { found: 2 });
}

#[test]
fn xsw6_the_original_inside_of_the_signature_of_a_forged_assertion() {
    let signed = element(&SIGNED_ASSERTION, "saml:Assertion");
    let evil = signed.replace("alice", "admin").replace("ID=\"_assertion1\"", "ID=\"_evil\"");
    let evil = evil.replace(
        "</ds:Signature>",
        &format!("{}</ds:Signature>", original_assertion(&SIGNED_ASSERTION)),
    );
    let attack = SIGNED_ASSERTION.replace(signed, &evil);
    assert_eq!(is_refused(&attack), Fault::Assertions { found: 2 });
}

#[test]
fn xsw7_a_forged_assertion_in_extensions() {
    let attack = SIGNED_ASSERTION.replace(
        "<samlp:Status>",
        &format!(
            "<samlp:Extensions>{}</samlp:Extensions><samlp:Status>",
            forged_assertion(&SIGNED_ASSERTION)
        ),
    );
    assert!(xmlsec1_verifies(&attack, "_assertion1", "idp"));
    assert_eq!(is_refused(&attack), Fault::Assertions { found: 2 });
    // And the other way round: the signed one hides, the forged one stands where an assertion stands.
    let original = element(&SIGNED_ASSERTION, "saml:Assertion");
    let swapped = SIGNED_ASSERTION.replace(original, &forged_assertion(&SIGNED_ASSERTION));
    let swapped = swapped.replace(
        "<samlp:Status>",
        &format!("<samlp:Extensions>{original}</samlp:Extensions><samlp:Status>"),
    );
    assert!(xmlsec1_verifies(&swapped, "_assertion1", "idp"));
    assert_eq!(is_refused(&swapped), Fault::Assertions { found: 2 });
}

#[test]
fn xsw8_the_original_in_an_object_of_the_signature_of_a_forged_assertion() {
    let signed = element(&SIGNED_ASSERTION, "saml:Assertion");
    let evil = signed.replace("alice", "admin").replace("ID=\"_assertion1\"", "ID=\"_evil\"");
    let evil = evil.replace(
        "</ds:Signature>",
        &format!("<ds:Object>{}</ds:Object></ds:Signature>", original_assertion(&SIGNED_ASSERTION)),
    );
    let attack = SIGNED_ASSERTION.replace(signed, &evil);
    assert_eq!(is_refused(&attack), Fault::Assertions { found: 2 });
}

#[test]
fn a_second_assertion_counts_wherever_it_hides_and_whatever_its_namespace() {
    let other_namespaces = [
        forged_assertion(&SIGNED_ASSERTION),
        r#"<Assertion xmlns="urn:oasis:names:tc:SAML:1.0:assertion"/>"#.to_owned(),
        "<Assertion/>".to_owned(),
        r#"<saml:EncryptedAssertion/>"#.to_owned(),
    ];
    for second in &other_namespaces {
        for place in [
            "<saml:AttributeValue>staff",
            "<saml:Conditions ",
            "</saml:Subject>",
            "</saml:Assertion>",
            "<samlp:StatusCode",
            "<ds:X509Data>",
        ] {
            let attack = SIGNED_ASSERTION.replacen(place, &format!("{second}{place}"), 1);
            if attack != *SIGNED_ASSERTION {
                assert_eq!(is_refused(&attack), Fault::Assertions { found: 2 }, "{place}");
            }
        }
    }
    // Signed by the provider itself, as evidence in an Advice: still two.
    let evidence = changed(
        RESPONSE,
        "<saml:AuthnStatement ",
        &format!(
            "<saml:Advice>{}</saml:Advice><saml:AuthnStatement ",
            forged_assertion(&SIGNED_ASSERTION)
        ),
    );
    assert_eq!(
        refused(&sign(&evidence, "_assertion1", &Signing::default())),
        Fault::Assertions { found: 2 }
    );
}

#[test]
fn an_assertion_of_another_namespace_is_none() {
    for namespace in
        ["urn:oasis:names:tc:SAML:1.0:assertion", "urn:oasis:names:tc:SAML:2.0:assertio", "urn:x"]
    {
        // The provider signs the whole response, so that only the namespace is wrong.
        let other = RESPONSE
            .replace("<saml:Assertion ", &format!("<evil:Assertion xmlns:evil=\"{namespace}\" "));
        let attack = sign(
            &other.replace("</saml:Assertion>", "</evil:Assertion>"),
            "_response1",
            &Signing::default(),
        );
        assert!(matches!(refused(&attack), Fault::Unexpected { .. }), "{namespace}");
    }
    assert!(matches!(
        refused(
            &sign(RESPONSE, "_response1", &Signing::default())
                .replace("samlp:Response", "samlp:ArtifactResponse")
        ),
        Fault::Unexpected { .. }
    ));
}

#[test]
fn a_prefix_bound_anew_does_not_turn_one_element_into_another() {
    // `saml` means SAML where it was signed, and something else where it stands now.
    let inner = element(&SIGNED_ASSERTION, "saml:Assertion");
    let attack = SIGNED_ASSERTION
        .replace(inner, &inner.replace("<saml:Subject>", "<saml:Subject xmlns:saml=\"urn:evil\">"));
    assert!(matches!(is_refused(&attack), Fault::DigestMismatch { .. }));
    // A subject of another namespace before the signed one would be found by a reader that looks at local names only.
    let decoy = "<evil:Subject xmlns:evil=\"urn:evil\"><evil:NameID>admin</evil:NameID></evil:Subject><saml:Subject>";
    let attack =
        sign(&changed(RESPONSE, "<saml:Subject>", decoy), "_assertion1", &Signing::default());
    assert_eq!(accepted(&attack).name_id.value, "alice");
    let decoy = "<saml:NameID xmlns:saml=\"urn:evil\">admin</saml:NameID><saml:NameID ";
    let attack =
        sign(&changed(RESPONSE, "<saml:NameID ", decoy), "_assertion1", &Signing::default());
    assert_eq!(accepted(&attack).name_id.value, "alice");
}

#[test]
fn an_id_of_another_namespace_is_no_id() {
    // The signature's reference finds `evil:ID` for whoever compares local names.
    let signed = element(&SIGNED_ASSERTION, "saml:Assertion");
    let evil = signed.replace("alice", "admin").replace(
        "ID=\"_assertion1\"",
        "xmlns:evil=\"urn:evil\" evil:ID=\"_assertion1\" ID=\"_evil\"",
    );
    assert!(matches!(
        is_refused(&SIGNED_ASSERTION.replace(signed, &evil)),
        Fault::SignatureShape(_)
    ));
    let attack = SIGNED_ASSERTION
        .replace("ID=\"_assertion1\"", "xmlns:evil=\"urn:evil\" evil:ID=\"_assertion1\"");
    assert!(matches!(is_refused(&attack), Fault::Missing { what: "ID", .. }));
}

#[test]
fn two_equal_ids_are_refused_whatever_the_attribute_is_called() {
    for attribute in ["ID", "Id", "id", "AssertionID", "xml:id"] {
        let attack = SIGNED_ASSERTION.replace("<samlp:Status>", &format!("<samlp:Extensions><x {attribute}=\"_assertion1\"/></samlp:Extensions><samlp:Status>"));
        assert!(
            matches!(is_refused(&attack), Fault::Forbidden("an id that two elements carry")),
            "{attribute}"
        );
    }
    let same = RESPONSE.replace("_response1", "_assertion1");
    assert!(matches!(refused(&same), Fault::Forbidden(_)));
}

#[test]
fn a_signature_of_something_else_covers_nothing_here() {
    // The provider's signature of another message of its own, moved here whole.
    let other = sign(&RESPONSE.replace("_assertion1", "_other"), "_other", &Signing::default());
    let signature = element(&other, SIGNATURE);
    let attack = RESPONSE.replace("<saml:Subject>", &format!("{signature}<saml:Subject>"));
    assert!(matches!(refused(&attack), Fault::SignatureShape(_)));
    // With the same id, so that only the content differs.
    let other = sign(&RESPONSE.replace("alice", "bob"), "_assertion1", &Signing::default());
    let attack = RESPONSE
        .replace("<saml:Subject>", &format!("{}<saml:Subject>", element(&other, SIGNATURE)));
    assert!(matches!(refused(&attack), Fault::DigestMismatch { .. }));
    // A signature that covers the assertion but stands in the response, and the other way round.
    for (place, covered) in [("_response1", "#_assertion1"), ("_assertion1", "#_response1")] {
        let xml = sign(
            RESPONSE,
            place,
            &Signing {
                uri: Some(covered),
                transforms: &format!(
                    r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><ds:Transform Algorithm="{EXCLUSIVE}"/>"#
                ),
                ..Signing::default()
            },
        );
        assert!(matches!(refused(&xml), Fault::SignatureShape(_)), "{covered}");
    }
}

#[test]
fn signatures_stand_only_where_they_are_verified() {
    let signature = element(&SIGNED_ASSERTION, SIGNATURE).to_owned();
    for place in ["<samlp:StatusCode ", "<saml:NameID ", "<saml:AuthnContextClassRef>"] {
        let attack = SIGNED_ASSERTION.replace(place, &format!("{signature}{place}"));
        is_refused(&attack);
    }
    // Two in one place: which one is believed?
    let twice = SIGNED_ASSERTION.replace(&signature, &format!("{signature}{signature}"));
    assert!(matches!(is_refused(&twice), Fault::SignatureShape(_)));
    let elsewhere = sign(
        &changed(
            RESPONSE,
            "<saml:AttributeValue>staff",
            &format!("<saml:AttributeValue>{}staff", element(&SIGNED_RESPONSE, SIGNATURE)),
        ),
        "_assertion1",
        &Signing::default(),
    );
    assert!(matches!(refused(&elsewhere), Fault::SignatureShape("it stands where none belongs")));
}
