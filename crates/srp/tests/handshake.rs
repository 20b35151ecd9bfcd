//! Whole handshakes between this crate's client and its server, and what the server refuses.
#![cfg(test)]

use cenote_srp::client::Client;
use cenote_srp::{
    ClientPublic, Refused, Server, SessionKey, Verifier, password_matches, salt_hex, verifier,
};
use num_bigint::BigUint;

const POOL: &str = "AbCdEfGhI";
const USER: &str = "8f3c2d1e-5a6b-4c7d-8e9f-0a1b2c3d4e5f";
const SALT: [u8; 16] = [0x5a; 16];

#[test]
fn both_sides_arrive_at_the_same_key_across_two_requests() {
    let stored = verifier(POOL, USER, "correct horse", &SALT);
    let client = Client::new([0xa3; 128]);

    let first = Server::new(&stored, [0xb7; 32]);
    let second = Server::from_parts(*first.secret(), first.public_bytes()).unwrap();
    assert_eq!(second.public_hex(), first.public_hex());

    let a = ClientPublic::parse(&client.public_hex()).unwrap();
    let server_key = second.key(&stored, &a).unwrap();
    let client_key =
        client.key(POOL, USER, "correct horse", &salt_hex(&SALT), &first.public_hex()).unwrap();
    let signature = claim(&client_key);
    assert!(server_key.verify(POOL, USER, b"block", "now", &signature));

    // The signature covers each of its parts, and a shortened one does not pass.
    assert!(!server_key.verify("Other", USER, b"block", "now", &signature));
    assert!(!server_key.verify(POOL, "other", b"block", "now", &signature));
    assert!(!server_key.verify(POOL, USER, b"other", "now", &signature));
    assert!(!server_key.verify(POOL, USER, b"block", "later", &signature));
    assert!(!server_key.verify(POOL, USER, b"block", "now", &signature[..31]));
    assert!(!server_key.verify(POOL, USER, b"block", "now", &[]));
}

#[test]
fn another_password_user_pool_or_salt_is_not_accepted() {
    let right = (POOL, USER, "correct horse", SALT);
    let mut salt = SALT;
    salt[15] ^= 1;
    assert!(signs_in(right, right));
    for wrong in [
        (POOL, USER, "correct horsf", SALT),
        (POOL, USER, "", SALT),
        (POOL, "somebody-else", "correct horse", SALT),
        ("Other", USER, "correct horse", SALT),
        (POOL, USER, "correct horse", salt),
    ] {
        assert!(!signs_in(right, wrong), "{wrong:?}");
    }
}

#[test]
fn a_plain_password_is_held_against_the_verifier() {
    let stored = verifier(POOL, USER, "пароль", &SALT);
    assert!(password_matches(&stored, POOL, USER, "пароль", &SALT));
    assert!(!password_matches(&stored, POOL, USER, "парол", &SALT));
    assert!(!password_matches(&stored, POOL, USER, "пароль", &[0x5b; 16]));
}

#[test]
fn zero_and_every_multiple_of_n_is_refused_as_a_public_value() {
    let (once, twice) = (n().to_str_radix(16), (n() * 2_u8).to_str_radix(16));
    assert_eq!(refusal(""), Refused::Empty);
    assert_eq!(refusal("0"), Refused::Zero);
    assert_eq!(refusal(&"0".repeat(768)), Refused::Zero);
    assert_eq!(refusal(&once), Refused::OutOfRange);
    assert_eq!(refusal(&format!("000{once}")), Refused::OutOfRange);
    assert_eq!(refusal(&"f".repeat(768)), Refused::OutOfRange);
    assert_eq!(refusal(&twice), Refused::TooLong);
    assert_eq!(refusal(&"1".repeat(769)), Refused::TooLong);
    for text in ["xyz", "-1", "+1", "0x12", "12 ", "1\0", "é"] {
        assert_eq!(refusal(text), Refused::NotHex, "{text:?}");
    }
}

#[test]
fn the_largest_public_value_is_accepted_and_written_without_leading_zeros() {
    let largest = (n() - 1_u8).to_str_radix(16);
    assert_eq!(ClientPublic::parse(&largest.to_uppercase()).unwrap().to_hex(), largest);
    assert_eq!(ClientPublic::parse("0000A0b").unwrap().to_hex(), "a0b");
}

#[test]
fn a_verifier_from_outside_may_be_short_or_signed_but_never_zero_or_n() {
    let largest = (n() - 1_u8).to_bytes_be();
    assert_eq!(Verifier::from_bytes(&[7]).unwrap().as_bytes()[383], 7);
    assert_eq!(Verifier::from_bytes(&largest).unwrap().as_bytes(), &*largest);
    // As a client writes it that prefixes a sign byte.
    assert_eq!(Verifier::from_bytes(&[&[0], &*largest].concat()).unwrap().as_bytes(), &*largest);

    for refused in [vec![], vec![0], vec![0; 384], n().to_bytes_be(), vec![1; 385], vec![0xff; 384]]
    {
        assert!(Verifier::from_bytes(&refused).is_none(), "{refused:?}");
    }
}

#[test]
fn a_handshake_that_was_never_written_is_not_taken_up_again() {
    let server = Server::new(&verifier(POOL, USER, "correct horse", &SALT), [0xb7; 32]);
    assert!(Server::from_parts([0; 32], server.public_bytes()).is_none());
    assert!(Server::from_parts([0xb7; 32], &[0; 384]).is_none());
    assert!(Server::from_parts([0xb7; 32], &[0xff; 384]).is_none());
    assert!(Server::from_parts([0xb7; 32], &[]).is_none());
}

#[test]
fn secrets_are_not_written_to_logs() {
    let stored = verifier(POOL, USER, "correct horse", &SALT);
    let server = Server::new(&stored, [0xb7; 32]);
    let client = Client::new([0xa3; 128]);
    let key = server.key(&stored, &ClientPublic::parse(&client.public_hex()).unwrap()).unwrap();
    assert_eq!(
        format!("{stored:?} {server:?} {client:?} {key:?}"),
        "[redacted] [redacted] [redacted] [redacted]"
    );
}

#[test]
fn random_handshakes_succeed_whatever_leading_zeros_they_meet() {
    // Every combination of a short salt, a short A (a below 3072 makes A = 2^a) and a short b, with the rest random.
    // At this count u and S meet a leading zero byte of their own about once each.
    let mut random = Random(0x5eed);
    for round in 0..400 {
        let mut salt: [u8; 16] = random.bytes();
        if round & 1 == 1 {
            salt[..round % 16].fill(0);
        }
        let mut a = [0; 128];
        if round & 2 == 2 {
            let [high, low] = random.bytes();
            a[126..].copy_from_slice(&[high % 12, low]);
        } else {
            a[96..].copy_from_slice(&random.bytes::<32>());
        }
        let mut b: [u8; 32] = random.bytes();
        if round & 4 == 4 {
            b[..round % 32].fill(0);
        }
        let password = format!("pässword {round}");
        let given = (POOL, USER, &*password, salt);
        assert!(handshake(given, given, a, b), "round {round}");
    }
}

type Identity<'a> = (&'a str, &'a str, &'a str, [u8; 16]);

fn signs_in(stored: Identity<'_>, given: Identity<'_>) -> bool {
    handshake(stored, given, [0xa3; 128], [0xb7; 32])
}

fn handshake(stored: Identity<'_>, given: Identity<'_>, a: [u8; 128], b: [u8; 32]) -> bool {
    let (pool, user, password, salt) = stored;
    let stored = verifier(pool, user, password, &salt);
    let (server, client) = (Server::new(&stored, b), Client::new(a));
    let public = ClientPublic::parse(&client.public_hex()).unwrap();
    let server_key = server.key(&stored, &public).unwrap();

    let (pool, user, password, salt) = given;
    let client_key =
        client.key(pool, user, password, &salt_hex(&salt), &server.public_hex()).unwrap();
    server_key.verify(POOL, USER, b"block", "now", &claim(&client_key))
}

fn claim(key: &SessionKey) -> [u8; 32] {
    key.claim(POOL, USER, b"block", "now")
}

fn refusal(hex: &str) -> Refused {
    ClientPublic::parse(hex).unwrap_err()
}

fn n() -> BigUint {
    let digits = include_str!("data/rfc3526_15.txt").replace('\n', "");
    BigUint::parse_bytes(digits.as_bytes(), 16).unwrap()
}

/// SplitMix64: the same handshakes in every run.
struct Random(u64);

impl Random {
    fn bytes<const LEN: usize>(&mut self) -> [u8; LEN] {
        std::array::from_fn(|_| {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 56) as u8
        })
    }
}
