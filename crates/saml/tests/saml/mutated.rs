//! Good messages with some bytes changed: never a panic, and never another content than the provider signed.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{
    Assertion, Expect, ExpectLogout, IdpMetadata, consume_logout_request, consume_logout_response,
    decode_post, decode_redirect, decode_soap,
};
use proptest::prelude::*;

use crate::support::*;

/// What somebody on the way does to a message.
#[derive(Debug, Clone)]
enum Change {
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, String),
    Repeat(prop::sample::Index, prop::sample::Index, usize),
    Swap(prop::sample::Index, prop::sample::Index, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let index = any::<prop::sample::Index>;
    let pieces = prop::sample::select(vec![
        "<!-- -->",
        "<?x?>",
        "<![CDATA[x]]>",
        "&#x41;",
        "&lt;",
        " ",
        "\n",
        "\"",
        "'",
        "<",
        ">",
        "</saml:NameID>",
        "<saml:NameID>",
        "admin",
        "<saml:Assertion ID=\"_x\">",
        "</saml:Assertion>",
        "xmlns:saml=\"urn:evil\"",
        "xmlns=\"\"",
        " ID=\"_assertion1\"",
        "\u{0}",
        "\u{feff}",
        "\u{1f600}",
        "<!DOCTYPE x>",
    ]);
    let change = prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (index(), 1usize..60).prop_map(|(at, length)| Change::Remove(at, length)),
        4 => (index(), pieces).prop_map(|(at, piece)| Change::Insert(at, piece.to_owned())),
        1 => (index(), index(), 1usize..2000).prop_map(|(from, to, length)| Change::Repeat(from, to, length)),
        1 => (index(), index(), 1usize..200).prop_map(|(a, b, length)| Change::Swap(a, b, length)),
    ];
    prop::collection::vec(change, 1..4)
}

fn apply(good: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for change in changes {
        if bytes.is_empty() {
            break;
        }
        let length = bytes.len();
        match change {
            Change::Set(at, byte) => bytes[at.index(length)] = *byte,
            Change::Remove(at, count) => {
                let at = at.index(length);
                bytes.drain(at..(at + count).min(length));
            }
            Change::Insert(at, piece) => {
                let at = at.index(length);
                bytes.splice(at..at, piece.bytes());
            }
            Change::Repeat(from, to, count) => {
                let from = from.index(length);
                let piece = bytes[from..(from + count).min(length)].to_vec();
                let to = to.index(length);
                bytes.splice(to..to, piece);
            }
            Change::Swap(a, b, count) => {
                let (a, b) = (a.index(length), b.index(length));
                for offset in 0..*count {
                    if a.max(b) + offset < length {
                        bytes.swap(a + offset, b + offset);
                    }
                }
            }
        }
    }
    bytes
}

fn read(xml: &[u8]) -> Option<Assertion> {
    let keys = [&*OURS];
    decode_post(&STANDARD.encode(xml)).ok().and_then(|message| {
        cenote_saml::consume_response(&message, &Expect { decrypt: &keys, ..expect() }).ok()
    })
}

/// What the signature of an assertion vouches for; the response around it is only compared with what is expected.
fn vouched(assertion: Assertion) -> Assertion {
    Assertion { response_id: String::new(), ..assertion }
}

static ENCRYPTED: LazyLock<String> = LazyLock::new(|| {
    let wrapped = SIGNED_ASSERTION
        .replace("<saml:Assertion ", "<saml:EncryptedAssertion><saml:Assertion ")
        .replace("</saml:Assertion>", "</saml:Assertion></saml:EncryptedAssertion>");
    encrypt(
        &wrapped,
        "Assertion",
        &Encryption {
            session_key: "aes-128",
            cipher: "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
            ..Encryption::default()
        },
    )
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_response_says_what_was_signed_or_nothing(changes in changes(), which in 0usize..3) {
        let good = [SIGNED_ASSERTION.as_str(), &SIGNED_RESPONSE, &ENCRYPTED][which];
        let original = vouched(read(good.as_bytes()).expect("good"));
        if let Some(assertion) = read(&apply(good.as_bytes(), &changes)) {
            prop_assert_eq!(vouched(assertion), original);
        }
    }

    #[test]
    fn a_changed_logout_message_says_what_was_signed_or_nothing(changes in changes(), which in 0usize..6) {
        let name = ["logout-request-post.xml", "logout-request-soap.xml", "logout-request-redirect.txt", "logout-response-post.xml", "logout-response-soap.xml", "logout-response-redirect.txt"][which];
        let good = vector(&format!("pysaml2/{name}"));
        let read = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes);
            let message = match which % 3 {
                0 => decode_post(&STANDARD.encode(bytes)),
                1 => decode_soap(bytes),
                _ => decode_redirect(text.trim()),
            };
            let expect = ExpectLogout { idp_entity_id: IDP, trusted: &TRUSTED, destination: SLO, now_ms: 1_795_360_200_000, skew_ms: 86_400_000_000, max_age_ms: 300_000, decrypt: &[] };
            let _ = message.as_ref().map(|message| message.peek());
            let request = message.as_ref().ok().and_then(|message| consume_logout_request(message, &expect).ok());
            (request, message.ok().and_then(|message| consume_logout_response(&message, &expect, "_ours2").ok()))
        };
        let original = read(good.as_bytes());
        prop_assert!(original.0.is_some() || original.1.is_some());
        let changed = read(&apply(good.as_bytes(), &changes));
        if changed != (None, None) {
            prop_assert_eq!(changed, original);
        }
    }

    #[test]
    fn changed_metadata_is_read_or_refused(changes in changes()) {
        let good = format!(
            r#"<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" xmlns:ds="http://www.w3.org/2000/09/xmldsig#" entityID="x" cacheDuration="P1D"><md:IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol"><md:KeyDescriptor><ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor><md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example/"/></md:IDPSSODescriptor></md:EntityDescriptor>"#,
            STANDARD.encode(certificate("p256"))
        );
        prop_assert!(IdpMetadata::parse(&good, NOW, None, None).is_ok());
        if let Ok(text) = String::from_utf8(apply(good.as_bytes(), &changes))
            && let Ok(read) = IdpMetadata::parse(&text, NOW, None, None)
        {
            prop_assert!(!read.signing.is_empty() && !read.sso.is_empty());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,400}") {
        let _ = decode_post(&text);
        let _ = decode_redirect(&text);
        let _ = decode_soap(text.as_bytes()).map(|message| message.peek());
        let _ = IdpMetadata::parse(&text, NOW, None, None);
        let _ = cenote_saml::check_certificate(text.as_bytes());
    }
}
