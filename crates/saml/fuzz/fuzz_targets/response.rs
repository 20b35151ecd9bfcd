//! Whatever a response is changed to, nobody but the one whom the provider signed is let in.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{Credential, Expect, consume_response, decode_post};
use libfuzzer_sys::fuzz_target;

static TRUSTED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| vec![der(include_str!("../../tests/vectors/keys/idp.crt"))]);
static OURS: LazyLock<Credential> = LazyLock::new(|| {
    let (key, certificate) = (include_str!("../../tests/vectors/keys/sp.key"), include_str!("../../tests/vectors/keys/sp.crt"));
    Credential::new(&der(key), &der(certificate)).unwrap()
});

fn der(pem: &str) -> Vec<u8> {
    STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()
}

fuzz_target!(|xml: &[u8]| {
    let Ok(message) = decode_post(&STANDARD.encode(xml)) else { return };
    let keys = [&*OURS];
    for in_response_to in [Some("_request1"), None] {
        let expect = Expect {
            idp_entity_id: "https://idp.example/metadata",
            trusted: &TRUSTED,
            audience: "urn:amazon:cognito:sp:eu-west-1_AbCdEfGhI",
            acs_url: "https://auth.example/saml2/idpresponse",
            now_ms: 1_795_360_200_000,
            // The vectors are as old as they are.
            skew_ms: 100 * 365 * 86_400_000,
            in_response_to,
            max_age_ms: 360_000,
            require_encrypted: false,
            decrypt: &keys,
        };
        if let Ok(assertion) = consume_response(&message, &expect) {
            assert_eq!(assertion.name_id.value, "alice");
        }
    }
});
