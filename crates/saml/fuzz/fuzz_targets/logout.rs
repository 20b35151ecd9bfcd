//! Whatever a logout message is changed to, nobody but the one whom the provider signed is signed out.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cenote_saml::{ExpectLogout, consume_logout_request, consume_logout_response, decode_post, decode_redirect, decode_soap};
use libfuzzer_sys::fuzz_target;

static TRUSTED: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let pem = include_str!("../../tests/vectors/keys/idp.crt");
    vec![STANDARD.decode(pem.lines().filter(|line| !line.starts_with('-')).collect::<String>()).unwrap()]
});

fuzz_target!(|bytes: &[u8]| {
    let redirect = std::str::from_utf8(bytes).ok().and_then(|query| decode_redirect(query.trim()).ok());
    let messages = [decode_post(&STANDARD.encode(bytes)).ok(), decode_soap(bytes).ok(), redirect];
    for message in messages.into_iter().flatten() {
        let expect = ExpectLogout {
            idp_entity_id: "https://idp.example/metadata",
            trusted: &TRUSTED,
            destination: "https://auth.example/saml2/logout",
            now_ms: 1_795_360_200_000,
            // The vectors are as old as they are.
            skew_ms: 100 * 365 * 86_400_000,
            max_age_ms: 300_000,
            decrypt: &[],
        };
        let _ = message.peek();
        if let Ok(logout) = consume_logout_request(&message, &expect) {
            assert_eq!((logout.name_id.value.as_str(), logout.session_indexes.len()), ("alice", 1));
        }
        if let Ok(answer) = consume_logout_response(&message, &expect, "_ours2") {
            assert_eq!(answer.status.to_string(), "Success");
        }
    }
});
