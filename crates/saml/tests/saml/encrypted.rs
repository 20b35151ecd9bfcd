//! Encrypted assertions, made by xmlsec1: what is accepted, what is refused, and what an attacker learns from it.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{Credential, Expect, Fault};

use crate::support::*;

const CIPHERS: [(&str, &str); 4] = [
    ("aes-128", "http://www.w3.org/2001/04/xmlenc#aes128-cbc"),
    ("aes-256", "http://www.w3.org/2001/04/xmlenc#aes256-cbc"),
    ("aes-128", "http://www.w3.org/2009/xmlenc11#aes128-gcm"),
    ("aes-256", "http://www.w3.org/2009/xmlenc11#aes256-gcm"),
];

fn opening<'a>(keys: &'a [&'a Credential]) -> Expect<'a> {
    Expect { decrypt: keys, ..expect() }
}

/// The response with its assertion in the wrapper that encryption fills.
fn wrapped(xml: &str) -> String {
    xml.replace("<saml:Assertion ", "<saml:EncryptedAssertion><saml:Assertion ")
        .replace("</saml:Assertion>", "</saml:Assertion></saml:EncryptedAssertion>")
}

/// The assertion signed, then encrypted.
fn sealed(encryption: &Encryption<'_>) -> String {
    encrypt(&wrapped(&SIGNED_ASSERTION), "Assertion", encryption)
}

fn name(xml: &str) -> Result<String, Fault> {
    arrives(xml, &opening(&[&OURS])).map(|assertion| assertion.name_id.value)
}

#[test]
fn a_signed_assertion_may_be_encrypted_by_each_cipher() {
    for (session_key, cipher) in CIPHERS {
        let xml = sealed(&Encryption { session_key, cipher, ..Encryption::default() });
        assert!(!xml.contains("alice"));
        assert_eq!(name(&xml), Ok("alice".to_owned()), "{cipher}");
        let keys = [&*OURS];
        assert!(arrives(&xml, &Expect { require_encrypted: true, ..opening(&keys) }).is_ok());
    }
}

#[test]
fn a_response_may_be_signed_around_an_encrypted_assertion() {
    for (session_key, cipher) in CIPHERS {
        // The assertion itself unsigned, and signed: the response covers its ciphertext.
        for inner in [RESPONSE, &SIGNED_ASSERTION] {
            let xml = encrypt(
                &wrapped(inner),
                "Assertion",
                &Encryption { session_key, cipher, ..Encryption::default() },
            );
            let xml = sign(&xml, "_response1", &Signing::default());
            assert_eq!(name(&xml), Ok("alice".to_owned()), "{cipher}");
            // Any change of the ciphertext breaks the signature before anything is decrypted.
            let changed = xml.replacen("<xenc:CipherValue>", "<xenc:CipherValue>AAAA", 1);
            assert_ne!(changed, xml);
            assert!(
                matches!(name(&changed), Err(Fault::DigestMismatch { what: "the response" })),
                "{cipher}"
            );
        }
        // A signed response does not make a false signature inside of it good.
        let stranger =
            sign(RESPONSE, "_assertion1", &Signing { key: "attacker", ..Signing::default() });
        let xml = encrypt(
            &wrapped(&stranger),
            "Assertion",
            &Encryption { session_key, cipher, ..Encryption::default() },
        );
        let xml = sign(&xml, "_response1", &Signing::default());
        assert!(
            matches!(name(&xml), Err(Fault::SignatureMismatch { what: "the assertion", .. })),
            "{cipher}"
        );
    }
}

#[test]
fn a_key_beside_the_data_and_oaep_with_sha_256_are_read() {
    // Written here, because the xmlsec1 of Debian 12 does not know xmlenc11#rsa-oaep. Shibboleth and Keycloak place keys like this.
    let plain = element(&SIGNED_ASSERTION, "saml:Assertion").replace("<saml:Assertion ", r#"<?xml version="1.0" encoding="UTF-8"?><saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" "#);
    let content_key = [7; 32];
    let mut sealed = plain.into_bytes();
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &content_key).unwrap())
        .seal_in_place_append_tag(Nonce::assume_unique_for_key([9; 12]), Aad::empty(), &mut sealed)
        .unwrap();
    let sealed = STANDARD.encode([&[9; 12], sealed.as_slice()].concat());
    let public = std::process::Command::new("openssl")
        .args(["x509", "-pubkey", "-noout", "-in"])
        .arg(path("keys/sp.crt"))
        .output()
        .unwrap();
    let public = OaepPublicEncryptingKey::new(
        PublicEncryptingKey::from_der(&der(&String::from_utf8(public.stdout).unwrap())).unwrap(),
    )
    .unwrap();
    let mut room = vec![0; public.ciphertext_size()];
    let wrapped = STANDARD
        .encode(public.encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, &mut room, None).unwrap());
    let method = r#"<e:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#rsa-oaep"><ds:DigestMethod Algorithm="http://www.w3.org/2001/04/xmlenc#sha256"/><f:MGF xmlns:f="http://www.w3.org/2009/xmlenc11#" Algorithm="http://www.w3.org/2009/xmlenc11#mgf1sha256"/></e:EncryptionMethod>"#;
    let key = |method: &str, value: &str, id: &str| {
        format!(
            r#"<e:EncryptedKey Id="{id}" Recipient="x">{method}<e:CipherData><e:CipherValue>{value}</e:CipherValue></e:CipherData></e:EncryptedKey>"#
        )
    };
    let whole = |keys: &str| {
        let encrypted = format!(
            r##"<saml:EncryptedAssertion xmlns:e="http://www.w3.org/2001/04/xmlenc#" xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><e:EncryptedData Type="http://www.w3.org/2001/04/xmlenc#Element"><e:EncryptionMethod Algorithm="http://www.w3.org/2009/xmlenc11#aes256-gcm"/><ds:KeyInfo><ds:RetrievalMethod Type="http://www.w3.org/2001/04/xmlenc#EncryptedKey" URI="#_key1"/></ds:KeyInfo><e:CipherData><e:CipherValue>{sealed}</e:CipherValue></e:CipherData></e:EncryptedData>{keys}</saml:EncryptedAssertion>"##
        );
        RESPONSE.replace(element(RESPONSE, "saml:Assertion"), &encrypted)
    };
    assert_eq!(name(&whole(&key(method, &wrapped, "_key1"))), Ok("alice".to_owned()));
    // Of several keys, for several recipients, ours is found; there is an end to it.
    let foreign = STANDARD.encode([1; 256]);
    let several = format!(
        "{}{}{}",
        key(method, &foreign, "_k1"),
        key(method, "AAAA", "_k2"),
        key(method, &wrapped, "_key1")
    );
    assert_eq!(name(&whole(&several)), Ok("alice".to_owned()));
    let too_many: String = (0..5).map(|n| key(method, &wrapped, &format!("_k{n}"))).collect();
    assert!(matches!(name(&whole(&too_many)), Err(Fault::Unexpected { .. })));
    assert!(matches!(name(&whole("")), Err(Fault::Unexpected { .. })));
    // Hashes that differ, unknown ones, and a label that is not there.
    for (from, to) in [
        ("mgf1sha256", "mgf1sha1"),
        ("xmlenc#sha256", "xmlenc#sha3"),
        ("xmlenc11#rsa-oaep", "xmlenc11#rsa-kem"),
    ] {
        assert!(
            matches!(
                name(&whole(&key(&changed(method, from, to), &wrapped, "_key1"))),
                Err(Fault::Algorithm { what: "key transport", .. })
            ),
            "{to}"
        );
    }
    let labelled =
        changed(method, "<ds:DigestMethod", "<e:OAEPparams>AAAA</e:OAEPparams><ds:DigestMethod");
    assert!(matches!(
        name(&whole(&key(&labelled, &wrapped, "_key1"))),
        Err(Fault::Undecryptable { .. })
    ));
}

#[test]
fn algorithms_that_are_broken_are_refused_though_the_key_is_ours() {
    let rsa15 = sealed(&Encryption {
        transport: "http://www.w3.org/2001/04/xmlenc#rsa-1_5",
        ..Encryption::default()
    });
    assert!(matches!(name(&rsa15), Err(Fault::Algorithm { what: "key transport", .. })));
    let triple_des = sealed(&Encryption {
        session_key: "des-192",
        cipher: "http://www.w3.org/2001/04/xmlenc#tripledes-cbc",
        ..Encryption::default()
    });
    assert!(matches!(
        name(&triple_des),
        Err(Fault::Algorithm { what: "encryption algorithm", .. })
    ));
}

#[test]
fn a_name_inside_of_an_assertion_may_be_encrypted_by_itself() {
    let wrapped = RESPONSE
        .replace("<saml:NameID ", "<saml:EncryptedID><saml:NameID ")
        .replace("</saml:NameID>", "</saml:NameID></saml:EncryptedID>");
    let xml = encrypt(&wrapped, "NameID", &Encryption::default());
    let xml = sign(&xml, "_assertion1", &Signing::default());
    assert!(!xml.contains("alice<"));
    assert_eq!(name(&xml), Ok("alice".to_owned()));
    assert!(matches!(refused(&xml), Fault::Key(_)));
    let both = changed(
        &wrapped,
        "<saml:EncryptedID>",
        "<saml:NameID>admin</saml:NameID><saml:EncryptedID>",
    );
    assert!(matches!(
        name(&sign(&both, "_assertion1", &Signing::default())),
        Err(Fault::Unexpected { .. })
    ));
}

#[test]
fn what_must_be_encrypted_is_and_what_is_encrypted_needs_a_key() {
    let keys = [&*OURS];
    let strict = Expect { require_encrypted: true, ..opening(&keys) };
    assert_eq!(refused_by(&SIGNED_ASSERTION, &strict), Fault::NotEncrypted);
    assert_eq!(refused_by(&SIGNED_RESPONSE, &strict), Fault::NotEncrypted);
    assert!(matches!(refused(&sealed(&Encryption::default())), Fault::Key(_)));
    let for_another = sealed(&Encryption { recipient: "attacker", ..Encryption::default() });
    assert!(matches!(name(&for_another), Err(Fault::Undecryptable { .. })));
}

#[test]
fn anybody_can_encrypt_for_us_and_is_not_believed() {
    for (session_key, cipher) in CIPHERS {
        let encryption = Encryption { session_key, cipher, ..Encryption::default() };
        let stranger = sign(
            &RESPONSE.replace("alice", "admin"),
            "_assertion1",
            &Signing { key: "attacker", ..Signing::default() },
        );
        for inner in [RESPONSE.replace("alice", "admin"), stranger] {
            assert!(
                name(&encrypt(&wrapped(&inner), "Assertion", &encryption)).is_err(),
                "{cipher}"
            );
        }
    }
}

#[test]
fn wrapping_inside_of_an_encrypted_assertion_is_refused() {
    let signed = element(&SIGNED_ASSERTION, "saml:Assertion").to_owned();
    let forged = signed
        .replace(element(&signed, "ds:Signature"), "")
        .replace("alice", "admin")
        .replace("_assertion1", "_evil");
    let around = forged.replace("</saml:Assertion>", &format!("{signed}</saml:Assertion>"));
    let in_advice = forged.replace(
        "<saml:AuthnStatement ",
        &format!("<saml:Advice>{signed}</saml:Advice><saml:AuthnStatement "),
    );
    for evil in [around, in_advice] {
        let xml = SIGNED_ASSERTION.replace(
            &signed,
            &format!("<saml:EncryptedAssertion>{evil}</saml:EncryptedAssertion>"),
        );
        assert_eq!(
            name(&encrypt(&xml, "Assertion", &Encryption::default())),
            Err(Fault::Assertions { found: 2 })
        );
    }
    // A second one in the clear, before and after the encrypted one.
    let encrypted = sealed(&Encryption::default());
    for (from, to) in [
        ("<saml:EncryptedAssertion>", format!("{forged}<saml:EncryptedAssertion>")),
        ("</saml:EncryptedAssertion>", format!("</saml:EncryptedAssertion>{forged}")),
    ] {
        assert_eq!(name(&changed(&encrypted, from, &to)), Err(Fault::Assertions { found: 2 }));
    }
    // Two encrypted ones.
    let twice = element(&encrypted, "saml:EncryptedAssertion").repeat(2);
    assert_eq!(
        name(&encrypted.replace(element(&encrypted, "saml:EncryptedAssertion"), &twice)),
        Err(Fault::Assertions { found: 2 })
    );
}

#[test]
fn text_that_breaks_out_of_its_wrapper_is_no_document() {
    // Encrypted as text, so that the plaintext is not one element.
    let signed = element(&SIGNED_ASSERTION, "saml:Assertion").to_owned();
    let forged = signed
        .replace(element(&signed, "ds:Signature"), "")
        .replace("alice", "admin")
        .replace("_assertion1", "_evil");
    for plain in [
        format!("</decrypted>{forged}<decrypted>{signed}"),
        format!("{forged}{signed}"),
        format!("{signed}{forged}"),
        format!("text{signed}"),
        format!("<!DOCTYPE x [<!ENTITY a 'b'>]>{signed}"),
        format!("<?pi x?>{signed}"),
        String::new(),
        "text".to_owned(),
        "<x/>".to_owned(),
        "\u{0}".to_owned(),
    ] {
        for gcm in [true, false] {
            let fault = name(&sealed_text(plain.as_bytes(), gcm)).expect_err(&plain);
            assert!(gcm || matches!(fault, Fault::Undecryptable { .. }), "{plain}: {fault}");
        }
    }
    let declared = signed.replace(
        "<saml:Assertion ",
        r#"<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" "#,
    );
    for gcm in [true, false] {
        assert_eq!(
            name(&sealed_text(declared.as_bytes(), gcm)),
            Ok("alice".to_owned()),
            "the harness itself"
        );
        assert!(matches!(name(&sealed_text(b"\xff\xfe", gcm)), Err(Fault::Undecryptable { .. })));
    }
}

/// Any bytes, encrypted for us with AES-256-GCM or AES-128-CBC by openssl's own hands.
fn sealed_text(plain: &[u8], gcm: bool) -> String {
    let public = std::process::Command::new("openssl")
        .args(["x509", "-pubkey", "-noout", "-in"])
        .arg(path("keys/sp.crt"))
        .output()
        .unwrap();
    let public = OaepPublicEncryptingKey::new(
        PublicEncryptingKey::from_der(&der(&String::from_utf8(public.stdout).unwrap())).unwrap(),
    )
    .unwrap();
    let key = if gcm { vec![7; 32] } else { vec![7; 16] };
    let ciphertext = if gcm {
        let mut sealed = plain.to_vec();
        LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap())
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key([9; 12]),
                Aad::empty(),
                &mut sealed,
            )
            .unwrap();
        [&[9; 12], sealed.as_slice()].concat()
    } else {
        let hex = "07".repeat(16);
        let output = std::process::Command::new("openssl")
            .args(["enc", "-aes-128-cbc", "-K", &hex, "-iv", &"09".repeat(16), "-in"])
            .arg(scratch(plain))
            .output();
        [&[9; 16], output.expect("openssl must be installed").stdout.as_slice()].concat()
    };
    let mut room = vec![0; public.ciphertext_size()];
    let wrapped = STANDARD.encode(
        public.encrypt(&aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1, &key, &mut room, None).unwrap(),
    );
    let cipher = if gcm {
        "http://www.w3.org/2009/xmlenc11#aes256-gcm"
    } else {
        "http://www.w3.org/2001/04/xmlenc#aes128-cbc"
    };
    let encrypted = format!(
        r#"<saml:EncryptedAssertion><e:EncryptedData xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptionMethod Algorithm="{cipher}"/><ds:KeyInfo xmlns:ds="http://www.w3.org/2000/09/xmldsig#"><e:EncryptedKey><e:EncryptionMethod Algorithm="http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"/><e:CipherData><e:CipherValue>{wrapped}</e:CipherValue></e:CipherData></e:EncryptedKey></ds:KeyInfo><e:CipherData><e:CipherValue>{}</e:CipherValue></e:CipherData></e:EncryptedData></saml:EncryptedAssertion>"#,
        STANDARD.encode(ciphertext)
    );
    RESPONSE.replace(element(RESPONSE, "saml:Assertion"), &encrypted)
}

#[test]
fn a_changed_ciphertext_is_answered_with_one_word_whatever_was_hit() {
    // Bleichenbacher, Manger, Vaudenay and Jager: all of them need answers that differ.
    for (session_key, cipher) in CIPHERS {
        let xml = sealed(&Encryption { session_key, cipher, ..Encryption::default() });
        let values: Vec<usize> =
            xml.match_indices("<xenc:CipherValue>").map(|(at, tag)| at + tag.len()).collect();
        let ends: Vec<usize> = xml.match_indices("</xenc:CipherValue>").map(|(at, _)| at).collect();
        let mut faults = Vec::new();
        for (start, end) in values.into_iter().zip(ends) {
            let bytes = STANDARD.decode(xml[start..end].replace('\n', "")).unwrap();
            for at in (0..bytes.len())
                .step_by(bytes.len() / 24 + 1)
                .chain([bytes.len() - 1, bytes.len() - 17])
            {
                for flip in [1, 0x80] {
                    let mut changed = bytes.clone();
                    changed[at] ^= flip;
                    let attack =
                        format!("{}{}{}", &xml[..start], STANDARD.encode(changed), &xml[end..]);
                    faults.push(name(&attack).expect_err("changed").to_string());
                }
            }
            for length in [0, 1, 15, 16, 17, 31, 32, bytes.len() - 1, bytes.len() - 16] {
                let attack = format!(
                    "{}{}{}",
                    &xml[..start],
                    STANDARD.encode(&bytes[..length]),
                    &xml[end..]
                );
                faults.push(name(&attack).expect_err("cut").to_string());
            }
        }
        faults.sort();
        faults.dedup();
        assert_eq!(faults.len(), 1, "{cipher}: {faults:?}");
        // The same ciphertext under the name of another cipher.
        if cipher.ends_with("gcm") {
            let renamed = changed(
                &xml,
                cipher,
                &cipher.replace("2009/xmlenc11", "2001/04/xmlenc").replace("gcm", "cbc"),
            );
            assert!(matches!(name(&renamed), Err(Fault::Undecryptable { .. })));
        }
    }
}

#[test]
fn references_out_of_the_message_are_not_followed() {
    let xml = sealed(&Encryption::default());
    let value =
        element(&xml[xml.rfind("<xenc:CipherData>").unwrap()..], "xenc:CipherValue").to_owned();
    let attack = xml.replace(&value, r#"<xenc:CipherReference URI="file:///etc/passwd"/>"#);
    assert!(matches!(name(&attack), Err(Fault::Missing { what: "CipherValue", .. })));
    let content = changed(&xml, "xmlenc#Element\"", "xmlenc#Content\"");
    assert!(matches!(name(&content), Err(Fault::Invalid { .. })));
}
