//! Signatures of others, against the examples of the RFCs and keys that do not fit.

use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::prelude::BASE64_STANDARD;
use serde_json::json;

use super::*;

fn keys(all: &[Value]) -> Jwks {
    Jwks::parse(&json!({ "keys": all }).to_string()).unwrap()
}

/// RFC 7515, appendix A.3.
const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
                     DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

fn p256() -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" })
}

#[test]
fn the_examples_of_the_rfcs_verify() {
    let claims = parse(ES256).unwrap().verify(&keys(&[p256()])).unwrap();
    assert_eq!(claims["iss"], "joe");
    // RFC 8037, appendix A.4: a text, so the signature is right and the claims are not.
    let signed = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
                  hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    assert_eq!(parse(signed).unwrap().verify(&keys(&[key])), Err(Disbelief::Claims));
    // RFC 7515, appendix A.1.
    let mac = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\
               eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.\
               dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let secret =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let secret = BASE64_URL_SAFE_NO_PAD.decode(secret).unwrap();
    assert_eq!(parse(mac).unwrap().verify_mac(&secret).unwrap()["iss"], "joe");
    assert_eq!(parse(mac).unwrap().verify_mac(b"another").unwrap_err(), Disbelief::Signature);
    assert_eq!(parse(mac).unwrap().verify_mac(b"").unwrap_err(), Disbelief::NoKey);
    assert_eq!(parse(mac).unwrap().verify(&keys(&[p256()])).unwrap_err(), Disbelief::NoKey);
}

#[test]
fn an_rsa_key_may_be_written_with_a_sign_byte_and_padding() {
    let pkcs8 = include_bytes!("../../../tests/fixtures/rsa-1.pkcs8.der");
    let token = PrivateKey::parse(&BASE64_STANDARD.encode(pkcs8)).unwrap();
    let token = token.sign(Some("a"), &json!({ "sub": "ann" })).unwrap();
    let mut jwk = crate::keys::SigningKey::from_pkcs8("a", pkcs8).unwrap().jwk();
    let n = BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for n in [n.clone(), [&[0], n.as_slice()].concat()] {
        jwk["n"] = json!(base64::prelude::BASE64_URL_SAFE.encode(n));
        let claims = parse(&token).unwrap().verify(&keys(std::slice::from_ref(&jwk))).unwrap();
        assert_eq!(claims["sub"], "ann");
    }
    jwk["n"] = json!("AAAA");
    assert!(keys(&[jwk]).is_empty());
}

#[test]
fn the_longest_curve_verifies_too() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(66);
    let part = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(br#"{"alg":"ES512","kid":"a"}"#), part(b"{}"));
    #[allow(clippy::disallowed_methods, reason = "a signature needs randomness")]
    let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", part(signature.as_ref()));
    let jwk = json!({ "kid": "a", "kty": "EC", "crv": "P-521", "x": part(x), "y": part(y) });
    assert!(parse(&token).unwrap().verify(&keys(&[jwk])).is_ok());
}

#[test]
fn keys_for_something_else_are_not_used() {
    let with = |name: &str, value: Value| {
        let mut key = p256();
        key[name] = value;
        key
    };
    for key in [
        with("use", json!("enc")),
        with("key_ops", json!(["sign"])),
        with("alg", json!("ES384")),
        with("alg", json!("ECDH-ES")),
        with("crv", json!("P-384")),
        with("kty", json!("oct")),
        with("x", json!("f83O")),
        with("x", json!(7)),
    ] {
        let refused = parse(ES256).unwrap().verify(&keys(std::slice::from_ref(&key)));
        assert_eq!(refused, Err(Disbelief::NoKey), "{key}");
    }
    for key in
        [with("use", json!("sig")), with("key_ops", json!(["verify"])), with("alg", json!("ES256"))]
    {
        assert!(parse(ES256).unwrap().verify(&keys(std::slice::from_ref(&key))).is_ok(), "{key}");
    }
    // Without a key id nobody can tell which of two is meant.
    assert_eq!(parse(ES256).unwrap().verify(&keys(&[p256(), p256()])), Err(Disbelief::NoKey));
}

#[test]
fn what_is_no_token_or_no_key_set_is_refused() {
    for token in ["", "a", "a.b.c", "a.b.c.d", "e30.e30.", "eyJhbGciOiJub25lIn0.e30.", "W10.e30.AA"]
    {
        assert!(parse(token).is_err(), "{token}");
    }
    assert!(parse(&"a".repeat(MAX_TOKEN_LEN + 1)).is_err());
    let mut other = ES256.to_owned();
    // Another spelling of the same bytes: the last character has two bits to spare.
    other.replace_range(other.len() - 1.., "R");
    assert!(parse(&other).is_err());
    for set in ["", "[]", "{}", r#"{"keys":7}"#] {
        assert!(Jwks::parse(set).is_err(), "{set}");
    }
    assert!(
        Jwks::parse(r#"{"keys":[7,null,{"kty":"RSA"},{"kty":"EC","crv":"P-256"}]}"#)
            .unwrap()
            .is_empty()
    );
}

#[test]
fn no_change_of_one_character_leaves_a_token_good() {
    let keys = keys(&[p256()]);
    for at in 0..ES256.len() {
        for by in ["A", "b", "7", "_", ".", "=", " ", "é", ""] {
            let mut changed = ES256.to_owned();
            changed.replace_range(at..=at, by);
            if changed != ES256 {
                let verified = parse(&changed).map(|token| token.verify(&keys));
                assert!(!matches!(verified, Ok(Ok(_))), "{at} {by}");
            }
        }
    }
}

#[test]
fn a_private_key_is_told_what_is_wrong_with_it() {
    let rsa = BASE64_STANDARD.encode(include_bytes!("../../../tests/fixtures/rsa-1.pkcs8.der"));
    for text in
        [rsa.clone(), format!("-----BEGIN PRIVATE KEY-----\n{rsa}\n-----END PRIVATE KEY-----")]
    {
        let key = PrivateKey::parse(&text).unwrap();
        let token = key.sign(Some("k"), &json!({ "a": 1 })).unwrap();
        let parsed = parse(&token).unwrap();
        assert_eq!((parsed.alg, parsed.kid.as_deref()), (Alg::Rs256, Some("k")));
    }
    for (text, why) in [
        ("", "PKCS #8"),
        ("not base64!", "PKCS #8"),
        ("-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "openssl pkcs8"),
        ("AAAA", "neither"),
    ] {
        let error = PrivateKey::parse(text).unwrap_err();
        assert!(error.message.contains(why), "{text}: {error}");
    }
}
