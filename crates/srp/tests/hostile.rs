//! Input that nobody wrote in good faith: whatever the bytes are, parsing answers and never panics.
#![cfg(test)]

use cenote_srp::client::Client;
use cenote_srp::{ClientPublic, Server, Verifier};
use proptest::prelude::*;

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in ".*") {
        reads_back(&text)?;
    }

    #[test]
    fn any_digits_are_read_or_refused(text in "0{0,9}[0-9a-fA-F]{0,800}") {
        reads_back(&text)?;
    }

    #[test]
    fn a_public_value_with_bytes_changed_is_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..5),
        length in 0..900_usize,
    ) {
        let mut bytes = "f3".repeat(384).into_bytes();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        bytes.resize(length, b'f');
        reads_back(&String::from_utf8_lossy(&bytes))?;
    }

    #[test]
    fn any_bytes_are_a_verifier_or_not(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Some(verifier) = Verifier::from_bytes(&bytes) {
            let skipped = bytes.iter().take_while(|byte| **byte == 0).count();
            let digits = bytes.len() - skipped;
            prop_assert_eq!(&verifier.as_bytes()[384 - digits..], &bytes[skipped..]);
        }
        let _ = Server::from_parts([1; 32], &bytes);
    }

    #[test]
    fn a_client_survives_any_challenge(salt in ".{0,40}", b in "[0-9a-g]{0,20}|.{0,9}") {
        let mut a = [0; 128];
        a[127] = 9;
        let _ = Client::new(a).key("pool", "user", "password", &salt, &b);
    }
}

/// Whatever is accepted is the integer that was written.
fn reads_back(text: &str) -> Result<(), TestCaseError> {
    if let Ok(public) = ClientPublic::parse(text) {
        prop_assert_eq!(public.to_hex(), text.trim_start_matches('0').to_lowercase());
        prop_assert_eq!(ClientPublic::parse(&public.to_hex()), Ok(public));
    }
    Ok(())
}
