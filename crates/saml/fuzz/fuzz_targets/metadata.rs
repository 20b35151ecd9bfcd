//! Metadata of any bytes is read or refused; what is read can be used.
#![no_main]

use cenote_saml::IdpMetadata;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(idp) = IdpMetadata::parse(text, 0, None, None) {
        assert!(!idp.entity_id.is_empty() && !idp.signing.is_empty() && !idp.sso.is_empty());
        assert!(idp.sso.iter().chain(&idp.slo).all(|endpoint| endpoint.location.starts_with(['h', 'H'])));
    }
    let _ = cenote_saml::check_certificate(text.as_bytes());
});
