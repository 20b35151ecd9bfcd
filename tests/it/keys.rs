//! Sealing, tokens and identifiers: what holds for honest input and for every mutation of it.

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use aws_lc_rs::{hkdf, hmac};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD as B64};
use cenote::ambient::{Random, SeededRandom};
use cenote::ids::{self, SessionKind};
use cenote::keys::{
    BadSignature, MasterKey, Place, SigningKey, Vault, VerifyingKey, hash, parse, refresh_token,
    same,
};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

const PLACE: Place<'static> =
    Place { table: "clients", pool: "us-east-1_Ab3dEf9Gh", row: "client", column: "secret" };

fn vault(seed: u64) -> Vault {
    Vault::new(&MasterKey::generate(&SeededRandom::new(seed)))
}

fn fixture(number: u8) -> SigningKey {
    let path = format!("{}/tests/fixtures/rsa-{number}.pkcs8.der", env!("CARGO_MANIFEST_DIR"));
    SigningKey::from_pkcs8(format!("key-{number}="), &fs::read(path).unwrap()).unwrap()
}

fn scratch(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("cenote-keys-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn a_sealed_value_opens_in_its_place_and_nowhere_else() {
    let (vault, rng) = (vault(1), SeededRandom::new(2));
    let sealed = vault.seal(&rng, &PLACE, b"secret").unwrap().0;
    assert_eq!(**vault.open(&PLACE, &sealed).unwrap(), *b"secret");
    assert_eq!(sealed.len(), 8 + 12 + 6 + 16);

    let elsewhere = [
        Place { table: "pools", ..PLACE },
        Place { pool: "us-east-1_Ab3dEf9Gi", ..PLACE },
        Place { row: "client2", ..PLACE },
        Place { column: "verifier", ..PLACE },
        // The same letters, cut at another point.
        Place { row: "clientsecret", column: "", ..PLACE },
        Place { row: "clien", column: "tsecret", ..PLACE },
    ];
    for place in elsewhere {
        let error = vault.open(&place, &sealed).unwrap_err();
        assert!(error.cause().unwrap().contains("copied there from another place"), "{error:?}");
        assert!(!error.message.contains("client"), "{error}");
    }
}

#[test]
fn a_sealed_value_with_any_bit_changed_or_missing_does_not_open() {
    let (vault, rng) = (vault(1), SeededRandom::new(2));
    let sealed = vault.seal(&rng, &PLACE, b"secret").unwrap().0;
    for at in 0..sealed.len() {
        for bit in 0..8 {
            let mut altered = sealed.clone();
            altered[at] ^= 1 << bit;
            assert!(vault.open(&PLACE, &altered).is_err(), "byte {at}, bit {bit}");
        }
        assert!(vault.open(&PLACE, &sealed[..at]).is_err(), "cut at {at}");
    }
    let longer = [&sealed[..], b"\0"].concat();
    assert!(vault.open(&PLACE, &longer).is_err());
}

#[test]
fn sealing_twice_gives_different_bytes_and_an_empty_value_can_be_sealed() {
    let (vault, rng) = (vault(1), SeededRandom::new(2));
    assert_ne!(
        vault.seal(&rng, &PLACE, b"secret").unwrap(),
        vault.seal(&rng, &PLACE, b"secret").unwrap()
    );
    let empty = vault.seal(&rng, &PLACE, b"").unwrap().0;
    assert!(vault.open(&PLACE, &empty).unwrap().is_empty());
}

#[test]
fn another_master_key_opens_nothing_and_the_canary_says_so() {
    let (ours, theirs, rng) = (vault(1), vault(2), SeededRandom::new(3));
    let sealed = ours.seal(&rng, &PLACE, b"secret").unwrap().0;
    let error = theirs.open(&PLACE, &sealed).unwrap_err();
    assert!(error.cause().unwrap().contains("sealed under master key"), "{error:?}");
    // Nor with the key id forged.
    let forged = [&theirs.key_id()[..], &sealed[8..]].concat();
    assert!(theirs.open(&PLACE, &forged).is_err());

    let canary = ours.canary(&rng).unwrap();
    ours.check_canary(&canary).unwrap();
    let error = theirs.check_canary(&canary).unwrap_err();
    assert!(error.message.starts_with("The master key does not match this database: "), "{error}");
    assert!(ours.check_canary(b"").is_err());
    assert!(ours.check_canary(&sealed).is_err());
}

#[test]
fn keyed_hashes_differ_by_pool_purpose_data_and_master_key() {
    let ours = vault(1);
    let mac = ours.mac("pool", "code", b"123456");
    assert!(ours.mac_matches("pool", "code", b"123456", &mac));
    assert!(!ours.mac_matches("pool", "code", b"123457", &mac));
    assert!(!ours.mac_matches("pool", "csrf", b"123456", &mac));
    assert!(!ours.mac_matches("poolc", "ode", b"123456", &mac));
    assert!(!ours.mac_matches("pool", "code", b"123456", &mac[..31]));
    assert!(!vault(2).mac_matches("pool", "code", b"123456", &mac));
}

#[test]
fn derived_keys_are_hkdf_sha256() {
    let rng = SeededRandom::new(1);
    let master = MasterKey::generate(&rng);
    let mut bytes = [0; 32];
    SeededRandom::new(1).fill(&mut bytes);
    let mut info = Vec::new();
    for part in ["mac", "pool", "code"] {
        info.extend((part.len() as u64).to_be_bytes());
        info.extend(part.as_bytes());
    }
    let info = [info.as_slice()];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"cenote vault 1").extract(&bytes);
    let mut key = [0; 32];
    prk.expand(&info, hkdf::HKDF_SHA256).unwrap().fill(&mut key).unwrap();
    let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), b"123456");
    assert_eq!(Vault::new(&master).mac("pool", "code", b"123456"), expected.as_ref());
}

#[test]
fn hashes_are_sha_256_and_comparison_is_by_content() {
    let expected = [0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea];
    assert_eq!(hash("abc")[..8], expected);
    assert!(
        same(b"abc", b"abc") && !same(b"abc", b"abd") && !same(b"abc", b"ab") && same(b"", b"")
    );
}

#[test]
#[cfg(unix)]
fn a_master_key_file_is_hex_or_base64_private_and_random() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = scratch("master");
    let path = directory.join("master.key");
    let write = |text: &str, mode: u32| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        MasterKey::from_file(&path)
    };
    let key = MasterKey::generate(&SeededRandom::new(1));
    let hex = key.to_hex();
    let mut bytes = [0; 32];
    SeededRandom::new(1).fill(&mut bytes);
    let canary = Vault::new(&key).canary(&SeededRandom::new(2)).unwrap();
    for text in [
        hex.to_string(),
        format!("{}\n", hex.to_uppercase()),
        format!("{}\r\n", BASE64_STANDARD.encode(bytes)),
    ] {
        Vault::new(&write(&text, 0o600).unwrap()).check_canary(&canary).unwrap();
    }
    write(&hex, 0o440).unwrap();

    for mode in [0o604, 0o644, 0o602] {
        let error = write(&hex, mode).unwrap_err();
        assert!(
            error.message.contains("chmod 600") && error.message.contains("master.key"),
            "{error}"
        );
    }
    let (short, zeros) = (&hex[1..], "0".repeat(64));
    let wrong =
        ["", "hello", short, &format!("{}g", short), &format!("{}\n{}", *hex, *hex), &zeros, "äöü"];
    for text in wrong {
        let error = write(text, 0o600).unwrap_err();
        assert!(error.message.contains("openssl rand -hex 32"), "{error}");
        assert!(!error.message.contains(short), "{error}");
    }
    let error = MasterKey::from_file(&directory.join("none.key")).unwrap_err();
    assert!(error.message.contains("none.key cannot be read"), "{error}");
    assert!(MasterKey::from_file(&directory).is_err());
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn secrets_print_as_redacted() {
    let key = MasterKey::generate(&SeededRandom::new(1));
    assert_eq!(format!("{key:?}"), "MasterKey([redacted])");
    assert!(format!("{:?}", Vault::new(&key)).contains("[redacted]"));
    assert_eq!(format!("{:?}", fixture(1)), "SigningKey(key-1=, [redacted])");
}

#[test]
fn a_token_verifies_under_its_key_and_has_cognitos_header() {
    let key = fixture(1);
    let token = key.sign_jwt(&json!({ "sub": "ann", "exp": 5, "groups": ["a"] })).unwrap();
    let header = B64.decode(token.split('.').next().unwrap()).unwrap();
    assert_eq!(header, br#"{"kid":"key-1=","alg":"RS256"}"#);

    let unverified = parse(&token).unwrap();
    assert_eq!(unverified.kid(), "key-1=");
    assert_eq!(unverified.peek_unverified().unwrap()["sub"], "ann");
    let claims = unverified.verify(&key.verifying_key().unwrap()).unwrap();
    assert_eq!(
        (claims.str("sub"), claims.int("exp"), claims.get("none")),
        (Some("ann"), Some(5), None)
    );
    assert!(!format!("{claims:?}").contains("ann"));

    let jwk = key.jwk();
    let members: Vec<_> = jwk.as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["alg", "e", "kid", "kty", "n", "use"]);
    assert_eq!(jwk["e"], "AQAB");
    parse(&token).unwrap().verify(&VerifyingKey::from_jwk(&jwk).unwrap()).unwrap();
}

#[test]
fn a_token_of_another_key_is_refused_even_under_the_same_key_id() {
    let token = fixture(1).sign_jwt(&json!({})).unwrap();
    let mut jwk = fixture(2).jwk();
    assert_eq!(
        parse(&token).unwrap().verify(&VerifyingKey::from_jwk(&jwk).unwrap()),
        Err(BadSignature)
    );
    jwk["kid"] = json!("key-1=");
    assert_eq!(
        parse(&token).unwrap().verify(&VerifyingKey::from_jwk(&jwk).unwrap()),
        Err(BadSignature)
    );
    let mut renamed = fixture(1).jwk();
    renamed["kid"] = json!("key-2=");
    assert_eq!(
        parse(&token).unwrap().verify(&VerifyingKey::from_jwk(&renamed).unwrap()),
        Err(BadSignature)
    );
}

#[test]
fn keys_that_are_no_rs256_keys_are_refused() {
    let good = fixture(1).jwk();
    let with = |name: &str, value: Value| {
        let mut jwk = good.clone();
        jwk[name] = value;
        VerifyingKey::from_jwk(&jwk)
    };
    VerifyingKey::from_jwk(&good).unwrap();
    let small = B64.encode([0xff; 128]);
    let changes = [
        ("kty", json!("oct")),
        ("use", json!("enc")),
        ("alg", json!("RS512")),
        ("kid", json!(7)),
        ("n", json!("AQ=")),
        ("n", json!(small)),
        ("n", json!("")),
        ("e", json!("AA")),
        ("e", json!(null)),
    ];
    for (name, value) in changes {
        assert!(with(name, value.clone()).is_err(), "{name} {value}");
    }
    assert!(SigningKey::from_pkcs8("kid", b"no key").is_err());
}

/// A token with this header, signed as RS256 by the fixture: only the header can be a reason to refuse it.
fn with_header(header: &str) -> String {
    let token = fixture(1).sign_jwt(&json!({ "sub": "ann" })).unwrap();
    let (_, rest) = token.split_once('.').unwrap();
    format!("{}.{rest}", B64.encode(header))
}

#[test]
fn algorithm_none_and_hmac_under_the_public_key_are_refused() {
    let key = fixture(1);
    let payload = B64.encode(r#"{"sub":"admin"}"#);
    for alg in ["none", "None", "NONE", "nOnE", "", "RS512", "PS256", "ES256", "rs256", "RS256 "] {
        let header = B64.encode(json!({ "kid": key.kid(), "alg": alg }).to_string());
        assert!(parse(&format!("{header}.{payload}.")).is_err(), "{alg}");
        assert!(
            parse(&with_header(&json!({ "kid": key.kid(), "alg": alg }).to_string())).is_err(),
            "{alg}"
        );
    }
    let n = B64.decode(key.jwk()["n"].as_str().unwrap()).unwrap();
    for secret in [
        n.as_slice(),
        key.jwk()["n"].as_str().unwrap().as_bytes(),
        key.jwk().to_string().as_bytes(),
    ] {
        for alg in ["HS256", "RS256"] {
            let header = B64.encode(json!({ "kid": key.kid(), "alg": alg }).to_string());
            let signed = format!("{header}.{payload}");
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            let token = format!("{signed}.{}", B64.encode(tag));
            let accepted = parse(&token)
                .is_ok_and(|token| token.verify(&key.verifying_key().unwrap()).is_ok());
            assert!(!accepted, "{alg}");
        }
    }
}

#[test]
fn headers_with_extensions_doubles_or_another_shape_are_refused() {
    let refused = [
        r#"{"alg":"RS256"}"#,
        r#"{"kid":"key-1="}"#,
        r#"{"kid":7,"alg":"RS256"}"#,
        r#"{"kid":"key-1=","alg":["RS256"]}"#,
        r#"{"kid":"key-1=","alg":"none","alg":"RS256"}"#,
        r#"{"kid":"key-1=","alg":"RS256","crit":["b64"],"b64":false}"#,
        r#"{"kid":"key-1=","alg":"RS256","crit":[]}"#,
        r#"{"kid":"key-1=","alg":"RS256","crit":null}"#,
        r#"["RS256","key-1="]"#,
        r#""RS256""#,
        "",
        "{",
    ];
    for header in refused {
        assert!(parse(&with_header(header)).is_err(), "{header}");
    }
    // A key that the token brings along is not looked at.
    let embedded =
        json!({ "kid": "key-1=", "alg": "RS256", "jwk": fixture(2).jwk(), "typ": "JWT" });
    let token = with_header(&embedded.to_string());
    assert!(parse(&token).unwrap().verify(&fixture(2).verifying_key().unwrap()).is_err());
    assert!(parse(&token).unwrap().verify(&fixture(1).verifying_key().unwrap()).is_err());
}

#[test]
fn a_token_cut_short_padded_extended_or_too_long_is_refused() {
    let key = fixture(1).verifying_key().unwrap();
    let token = fixture(1).sign_jwt(&json!({ "sub": "ann" })).unwrap();
    let verifies = |token: &str| parse(token).is_ok_and(|token| token.verify(&key).is_ok());
    assert!(verifies(&token));
    for end in 0..token.len() {
        assert!(!verifies(&token[..end]), "cut at {end}");
    }
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let variants = [
        format!("{token}="),
        format!("{token}=="),
        format!("{token}A"),
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{signature}"),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{signed}."),
        format!("{signed}..{signature}"),
        token.replace('.', "..").clone(),
        token.replace('_', "/").replace('-', "+"),
        "..".into(),
        String::new(),
        "a".repeat(1 << 20),
    ];
    for variant in variants {
        assert!(!verifies(&variant), "{variant:.40}");
    }
    // A signature's last character has spare bits: only one spelling of them is accepted.
    let last = signed.len() + 1 + signature.len() - 1;
    let spellings = (b'A'..=b'Z').chain(b'a'..=b'z').chain(b'0'..=b'9').chain(*b"-_");
    let accepted =
        spellings.filter(|&c| verifies(&format!("{}{}", &token[..last], char::from(c)))).count();
    assert_eq!(accepted, 1);

    let long = fixture(1)
        .sign_jwt(&json!({ "sub": "a".repeat(cenote::keys::jws::MAX_TOKEN_LEN) }))
        .unwrap();
    assert!(parse(&long).is_err());
}

#[test]
fn a_signed_payload_that_is_no_object_is_refused() {
    for payload in [json!([1]), json!("text"), json!(null), json!(1)] {
        let token = fixture(1).sign_jwt(&payload).unwrap();
        assert!(parse(&token).unwrap().peek_unverified().is_err());
        assert_eq!(
            parse(&token).unwrap().verify(&fixture(1).verifying_key().unwrap()),
            Err(BadSignature)
        );
    }
}

#[test]
fn a_generated_key_has_cognitos_key_id_and_survives_its_pkcs8_form() {
    let (key, pkcs8) = SigningKey::generate(&SeededRandom::new(1)).unwrap();
    assert!(key.kid().len() == 44 && key.kid().ends_with('='));
    assert_eq!(BASE64_STANDARD.decode(key.kid()).unwrap().len(), 32);
    let again = SigningKey::from_pkcs8(key.kid(), &pkcs8).unwrap();
    assert_eq!(key.jwk(), again.jwk());
    assert_eq!(B64.decode(key.jwk()["n"].as_str().unwrap()).unwrap().len(), 256);
    let token = again.sign_jwt(&json!({})).unwrap();
    parse(&token).unwrap().verify(&key.verifying_key().unwrap()).unwrap();
}

#[test]
fn a_refresh_token_has_the_shape_of_a_jwe_and_never_repeats() {
    let rng = SeededRandom::new(1);
    let tokens: HashSet<String> = (0..100).map(|_| refresh_token(&rng)).collect();
    assert_eq!(tokens.len(), 100);
    for token in tokens {
        assert!(token.starts_with("eyJjdHkiOiJKV1Qi") && token.len() <= 1100, "{}", token.len());
        let parts: Vec<_> = token.split('.').map(|part| B64.decode(part).unwrap()).collect();
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [46, 256, 12, 256, 16]);
        assert_eq!(parts[0], br#"{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}"#);
        assert!(parse(&token).is_err());
    }
}

#[test]
fn ids_have_the_shapes_that_clients_expect() {
    let rng = SeededRandom::new(1);
    let is = |pattern: &str, text: &str| {
        assert!(regex::Regex::new(pattern).unwrap().is_match(text), "{text} is not {pattern}");
    };
    let v4 = "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
    let v7 = "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$";
    for _ in 0..200 {
        is("^us-east-1_[A-Za-z0-9]{9}$", &ids::pool_id("us-east-1", &rng));
        is("^[a-z0-9]{26}$", &ids::client_id(&rng));
        is("^[a-z0-9]{51,52}$", &ids::client_secret(&rng));
        is("^[A-Za-z0-9_-]{43}$", &ids::handle(&rng));
        is("^[0-9]{6}$", &ids::confirmation_code(&rng));
        is(v4, &ids::uuid_v4(&rng).to_string());
        is(v7, &ids::uuid_v7(1_795_334_400_000, &rng).to_string());
        is("^tkn[a-z0-9]{25}$", &ids::token_session(1_795_334_400_000, &rng));
    }
}

#[test]
fn a_temporary_password_satisfies_every_policy() {
    let rng = SeededRandom::new(1);
    for minimum in [0, 6, 8, 16, 17, 99, 256] {
        for _ in 0..50 {
            let password = ids::temporary_password(minimum, &rng);
            assert_eq!(password.len(), minimum.max(16));
            for class in ["[A-Z]", "[a-z]", "[0-9]", r"[!@#%*+\-=?_]", r"^[^\s0O1lI]+$"] {
                assert!(
                    regex::Regex::new(class).unwrap().is_match(&password),
                    "{password} lacks {class}"
                );
            }
        }
    }
}

#[test]
fn random_characters_are_evenly_spread() {
    let rng = SeededRandom::new(1);
    let mut counts = [0; 10];
    for _ in 0..2_000 {
        for digit in ids::confirmation_code(&rng).bytes() {
            counts[usize::from(digit - b'0')] += 1;
        }
    }
    assert!(counts.iter().all(|count| (1_080..1_320).contains(count)), "{counts:?}");
}

#[test]
fn a_uuid_holds_its_moment_and_sorts_by_it() {
    let rng = SeededRandom::new(1);
    let latest = (1 << 48) - 1;
    for (given, held) in [
        (0, 0),
        (1_795_334_400_123, 1_795_334_400_123),
        (latest, latest),
        (-5, 0),
        (i64::MAX, latest),
    ] {
        assert_eq!(ids::uuid_v7_ms(&ids::uuid_v7(given, &rng)), Some(held));
    }
    assert_eq!(ids::uuid_v7_ms(&ids::uuid_v4(&rng)), None);
    assert!(ids::token_session(999, &rng) < ids::token_session(1_000, &rng));
}

#[test]
fn a_session_id_and_its_uuid_are_one_and_the_same() {
    let id = |number| ids::session_id(SessionKind::Sso, &Uuid::from_u128(number));
    assert_eq!(id(0), format!("sso{}", "0".repeat(25)));
    assert_eq!(id(35), format!("sso{}z", "0".repeat(24)));
    // 2^128 - 1 in base 36.
    assert_eq!(id(u128::MAX), "ssof5lxx1zz5pnorynqglhzmsp33");
    assert!(ids::parse_session_id("ssof5lxx1zz5pnorynqglhzmsp33").is_some());
    let refused = [
        "ssof5lxx1zz5pnorynqglhzmsp34",
        "ssozzzzzzzzzzzzzzzzzzzzzzzzz",
        "ssoF5LXX1ZZ5PNORYNQGLHZMSP33",
        "sso5lxx1zz5pnorynqglhzmsp33",
        "xxx0000000000000000000000000",
        "tkn00000000000000000000000-0",
        "tkn0000000000000000000000é0",
        "tké",
        "",
    ];
    for text in refused {
        assert_eq!(ids::parse_session_id(text), None, "{text}");
    }
    let born = ids::uuid_v7(1_795_334_400_000, &SeededRandom::new(1));
    let session = ids::session_id(SessionKind::Token, &born);
    assert_eq!(ids::token_session_of(&born.to_string()), Some(session.clone()));
    assert_eq!(ids::session_uuid(&session), Some(born));
    assert_eq!(ids::token_session_of(&ids::uuid_v4(&SeededRandom::new(1)).to_string()), None);
    assert_eq!(ids::token_session_of("no uuid"), None);
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: proptest::test_runner::RngSeed::Fixed(1), cases: 1_000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn every_number_has_one_session_id_and_every_text_at_most_one_number(number: u128, text in "(tkn|sso)[a-z0-9]{25}") {
        let uuid = Uuid::from_u128(number);
        let id = ids::session_id(SessionKind::Token, &uuid);
        prop_assert_eq!(ids::parse_session_id(&id), Some((SessionKind::Token, uuid)));
        if let Some((kind, uuid)) = ids::parse_session_id(&text) {
            prop_assert_eq!(ids::session_id(kind, &uuid), text);
        }
    }

    #[test]
    fn a_mutated_token_never_verifies(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..4)) {
        use std::sync::LazyLock;
        static TOKEN: LazyLock<(String, VerifyingKey)> = LazyLock::new(|| {
            let key = fixture(1);
            (key.sign_jwt(&json!({ "sub": "ann", "exp": 5 })).unwrap(), key.verifying_key().unwrap())
        });
        let (token, key) = &*TOKEN;
        let mutated = mutate(token, &changes);
        if mutated != *token && let Ok(unverified) = parse(&mutated) {
            let _ = unverified.peek_unverified();
            prop_assert_eq!(unverified.verify(key), Err(BadSignature));
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), parts in prop::collection::vec("[A-Za-z0-9_=-]{0,40}", 0..6)) {
        prop_assert!(parse(&text).is_err());
        let _ = parse(&parts.join("."));
    }
}

/// Replaces, removes or inserts bytes. What is no longer UTF-8 becomes it.
pub(crate) fn mutate(text: &str, changes: &[(prop::sample::Index, u8, u8)]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (at, byte, how) in changes {
        let at = at.index(bytes.len().max(1));
        match how {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.insert(at, *byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
