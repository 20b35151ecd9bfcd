//! How integers become bytes and text on Cognito's wire, and the hash over them. No arithmetic.
//!
//! Every rule here works on the integer, not on the bytes somebody stored: clients read `SALT`, `SRP_B` and
//! `SRP_A` into a big integer and write it out again, so leading zeros never survive the journey.

use aws_lc_rs::digest;

use crate::refused::Refused;

/// Digits of N, and so the most that any value on the wire may have.
const MAX_DIGITS: usize = 768;

/// The big-endian integer as Java's `BigInteger.toByteArray()` writes it, in two parts to be hashed one after
/// the other: a zero byte if the top bit would otherwise read as a sign, then the bytes without leading zeros.
///
/// How long the result is shows in the time that hashing takes. For S that tells, once in 256 handshakes, that the
/// top byte of a value used only once was zero; the protocol fixes this, no server can hide it.
pub(crate) fn pad(integer: &[u8]) -> [&[u8]; 2] {
    let digits = strip_zeros(integer);
    match digits.first() {
        Some(top) if *top < 0x80 => [&[], digits],
        // Zero itself is one zero byte.
        _ => [&[0], digits],
    }
}

pub(crate) fn strip_zeros(mut integer: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = integer {
        integer = rest;
    }
    integer
}

/// Lower-case hexadecimal without leading zeros; zero is `0`.
pub(crate) fn to_hex(integer: &[u8]) -> String {
    let digits: String = integer
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|nibble| char::from_digit(nibble.into(), 16))
        .skip_while(|digit| *digit == '0')
        .collect();
    if digits.is_empty() { "0".to_owned() } else { digits }
}

/// `SALT` as it must be sent: lower-case hexadecimal of the integer, without leading zeros.
///
/// Clients disagree on zeros that are there. amazon-cognito-identity-js reads an integer and loses them; pycognito
/// hashes the text and keeps them. Sent without, both arrive at the x that [`verifier`](crate::verifier()) computes;
/// sent with, one user in 256 could never sign in from Python.
pub fn salt_hex(salt: &[u8]) -> String {
    to_hex(salt)
}

/// Big-endian bytes without leading zeros, from hexadecimal of either case and of any number of digits that N has.
pub(crate) fn from_hex(hex: &str) -> Result<Vec<u8>, Refused> {
    if hex.is_empty() {
        return Err(Refused::Empty);
    }
    let digits = hex.trim_start_matches('0').as_bytes();
    if digits.len() > MAX_DIGITS {
        return Err(Refused::TooLong);
    }
    // From the right, because an odd number of digits leaves the half byte on the left.
    let mut bytes = digits
        .rchunks(2)
        .map(|pair| {
            pair.iter().try_fold(0_u8, |byte, digit| match digit {
                b'0'..=b'9' => Ok(byte << 4 | (digit - b'0')),
                b'a'..=b'f' => Ok(byte << 4 | (digit - b'a' + 10)),
                b'A'..=b'F' => Ok(byte << 4 | (digit - b'A' + 10)),
                _ => Err(Refused::NotHex),
            })
        })
        .collect::<Result<Vec<u8>, _>>()?;
    bytes.reverse();
    Ok(bytes)
}

/// SHA-256 over the parts, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    first(context.finish().as_ref())
}

/// The first `N` bytes; the callers' sources are never shorter.
pub(crate) fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pad_writes_integers_as_java_does() {
        // The examples in the comment of amazon-cognito-identity-js' padHex, and zero.
        assert_eq!(pad(&[0x14]).concat(), [0x14]);
        assert_eq!(pad(&[0xec]).concat(), [0x00, 0xec]);
        assert_eq!(pad(&[0, 0, 0xc8]).concat(), [0x00, 0xc8]);
        assert_eq!(pad(&[0, 0, 0x38, 0]).concat(), [0x38, 0]);
        assert_eq!(pad(&[0x7f]).concat(), [0x7f]);
        assert_eq!(pad(&[0x80]).concat(), [0x00, 0x80]);
        assert_eq!(pad(&[0, 0]).concat(), [0]);
        assert_eq!(pad(&[]).concat(), [0]);
    }

    #[test]
    fn hex_keeps_the_integer_and_drops_leading_zeros() {
        assert_eq!(from_hex("00fAb"), Ok(vec![0x0f, 0xab]));
        assert_eq!(from_hex("000"), Ok(vec![]));
        assert_eq!(to_hex(&[0, 0x0f, 0xab]), "fab");
        assert_eq!(to_hex(&[0, 0]), "0");
    }
}
