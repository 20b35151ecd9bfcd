//! The same handshake in num-bigint, which shares no code with the library: every value that leaves it must agree.
//! num-bigint's signed bytes are two's complement, as Java's are, so the padding rule is checked as well.
#![cfg(test)]

use aws_lc_rs::{digest, hmac};
use cenote_srp::client::Client;
use cenote_srp::{ClientPublic, Server, Verifier, salt_hex, verifier};
use num_bigint::{BigInt, BigUint};

const POOL: &str = "AbCdEfGhI";
const USER: &str = "user";
const PASSWORD: &str = "correct horse";

#[test]
fn extreme_and_ordinary_secrets_give_the_same_values_as_num_bigint() {
    let one = |index: usize, bit: u8| {
        let mut b = [0; 32];
        b[index] = bit;
        b
    };
    // The corners of the comb (first and last bit of rows and blocks), all bits, and patterns in between.
    let secrets = [
        one(31, 1),
        one(0, 0x80),
        one(7, 1),
        one(8, 0x80),
        one(29, 1),
        one(30, 0x80),
        [0xff; 32],
        [0x55; 32],
        std::array::from_fn(|i| (i * 37 + 11) as u8),
    ];
    for (round, b) in secrets.into_iter().enumerate() {
        let salt: [u8; 16] = std::array::from_fn(|i| (i * round * 29) as u8);
        let mut a = [0; 128];
        a[round * 14..].fill(0x9d);
        agree(&salt, a, b);
    }
}

#[test]
fn extreme_public_values_give_the_same_key_as_num_bigint() {
    let n = n();
    let extremes = [BigUint::from(1_u8), BigUint::from(2_u8), &n - 2_u8, &n - 1_u8];
    for v in &extremes {
        for a in &extremes {
            let stored = Verifier::from_bytes(&v.to_bytes_be()).unwrap();
            let server = Server::new(&stored, [0xb7; 32]);
            let b = BigUint::from_bytes_be(&[0xb7; 32]);
            let public = (k() * v + BigUint::from(2_u8).modpow(&b, &n)) % &n;
            assert_eq!(server.public_hex(), public.to_str_radix(16));

            let u = hash(&[&pad(a), &pad(&public)]);
            let shared = (a * v.modpow(&u, &n)).modpow(&b, &n);
            let key = server.key(&stored, &ClientPublic::parse(&a.to_str_radix(16)).unwrap());
            assert_eq!(key.unwrap().claim("", "", b"message", ""), claim(&shared, &u));
        }
    }
}

fn agree(salt: &[u8], a: [u8; 128], b: [u8; 32]) {
    let (n, g) = (n(), BigUint::from(2_u8));
    let identity = hash_bytes(&[format!("{POOL}{USER}:{PASSWORD}").as_bytes()]);
    let x = hash(&[&pad(&BigUint::from_bytes_be(salt)), &identity]);
    let v = g.modpow(&x, &n);
    let stored = verifier(POOL, USER, PASSWORD, salt);
    assert_eq!(BigUint::from_bytes_be(stored.as_bytes()), v);

    let client = Client::new(a);
    let a_public = g.modpow(&BigUint::from_bytes_be(&a), &n);
    assert_eq!(client.public_hex(), a_public.to_str_radix(16));

    let server = Server::new(&stored, b);
    let b = BigUint::from_bytes_be(&b);
    let b_public = (k() * &v + g.modpow(&b, &n)) % &n;
    assert_eq!(server.public_hex(), b_public.to_str_radix(16));

    let u = hash(&[&pad(&a_public), &pad(&b_public)]);
    let expected = claim(&(a_public * v.modpow(&u, &n)).modpow(&b, &n), &u);
    let server_key =
        server.key(&stored, &ClientPublic::parse(&client.public_hex()).unwrap()).unwrap();
    let client_key =
        client.key(POOL, USER, PASSWORD, &salt_hex(salt), &server.public_hex()).unwrap();
    assert_eq!(server_key.claim("", "", b"message", ""), expected);
    assert_eq!(client_key.claim("", "", b"message", ""), expected);
}

fn claim(shared: &BigUint, u: &BigUint) -> [u8; 32] {
    let extracted = mac(&pad(u), &pad(shared));
    let expanded = mac(&extracted, b"Caldera Derived Key\x01");
    mac(&expanded[..16], b"message")
}

fn n() -> BigUint {
    let digits = include_str!("data/rfc3526_15.txt").replace('\n', "");
    BigUint::parse_bytes(digits.as_bytes(), 16).unwrap()
}

fn k() -> BigUint {
    hash(&[&pad(&n()), &[2]])
}

fn pad(integer: &BigUint) -> Vec<u8> {
    BigInt::from(integer.clone()).to_signed_bytes_be()
}

fn hash(parts: &[&[u8]]) -> BigUint {
    BigUint::from_bytes_be(&hash_bytes(parts))
}

fn hash_bytes(parts: &[&[u8]]) -> Vec<u8> {
    digest::digest(&digest::SHA256, &parts.concat()).as_ref().to_vec()
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().try_into().unwrap()
}
