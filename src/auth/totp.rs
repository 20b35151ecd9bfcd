//! Time-based one-time passwords (RFC 6238) as authenticator apps make them: HMAC-SHA-1, six digits, steps of 30 seconds. Pure.

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::ambient::{Ms, Random, SECOND};
use crate::keys;

const STEP_MS: Ms = 30 * SECOND;
const DIGITS: u32 = 1_000_000;
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The shared secret: 160 bits, as long as the hash (RFC 4226, section 4, R6).
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    pub fn new(rng: &dyn Random) -> Secret {
        let mut bytes = Zeroizing::new(vec![0; 20]);
        rng.fill(&mut bytes);
        Secret(bytes)
    }

    pub fn from_bytes(bytes: &[u8]) -> Secret {
        Secret(Zeroizing::new(bytes.to_vec()))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Base32 (RFC 4648, section 6) without padding: what is typed into an app.
    pub fn text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(self.0.len().div_ceil(5) * 8));
        let (mut buffer, mut bits) = (0_u32, 0);
        for byte in self.0.iter() {
            buffer = (buffer << 8) | u32::from(*byte);
            bits += 8;
            while bits >= 5 {
                bits -= 5;
                text.push(letter(buffer >> bits));
            }
        }
        if bits > 0 {
            text.push(letter(buffer << (5 - bits)));
        }
        text
    }

    /// The time step that these six digits belong to: the present one, the one before, or the one after, because clocks differ
    /// (RFC 6238, section 5.2).
    pub fn step_of(&self, given: &str, now: Ms) -> Option<i64> {
        let present = now.div_euclid(STEP_MS);
        let mut found = None;
        // All are compared, so that the time tells nothing.
        for step in [present + 1, present - 1, present] {
            if keys::same(self.code(step).as_bytes(), given.as_bytes()) {
                found = Some(step);
            }
        }
        found
    }

    /// The six digits of a time step (RFC 4226, section 5.3).
    pub fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let offset = tag.as_ref().last().map_or(0, |last| usize::from(last & 0x0f));
        let number = tag
            .as_ref()
            .get(offset..offset + 4)
            .into_iter()
            .flatten()
            .fold(0_u32, |number, byte| (number << 8) | u32::from(*byte));
        format!("{:06}", (number & 0x7fff_ffff) % DIGITS)
    }
}

fn letter(bits: u32) -> char {
    ALPHABET.get(usize::try_from(bits & 31).unwrap_or(0)).copied().map_or('A', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, the SHA-1 rows; six digits are the last six of eight.
    #[test]
    fn the_vectors_of_rfc_6238() {
        let secret = Secret::from_bytes(b"12345678901234567890");
        for (seconds, code) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(secret.code(seconds / 30), code, "at {seconds}");
            assert_eq!(secret.step_of(code, seconds * SECOND), Some(seconds / 30));
        }
    }

    /// RFC 4226, appendix D.
    #[test]
    fn the_vectors_of_rfc_4226() {
        let secret = Secret::from_bytes(b"12345678901234567890");
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583",
            "399871", "520489",
        ];
        for (step, code) in codes.iter().enumerate() {
            assert_eq!(secret.code(i64::try_from(step).unwrap()), *code);
        }
    }

    #[test]
    fn a_code_is_taken_one_step_early_and_one_step_late_and_no_further() {
        let secret = Secret::from_bytes(b"12345678901234567890");
        let (step, at) = (41_152_263, 1_234_567_890 * SECOND);
        for distance in [-1, 0, 1] {
            let code = secret.code(step + distance);
            assert_eq!(secret.step_of(&code, at), Some(step + distance));
        }
        for distance in [-3, -2, 2, 3] {
            assert_eq!(secret.step_of(&secret.code(step + distance), at), None);
        }
        for wrong in ["", "00592", "0059240", "00592a", "٠٠٥٩٢٤"] {
            assert_eq!(secret.step_of(wrong, at), None, "{wrong}");
        }
    }

    /// RFC 4648, section 10, without the padding.
    #[test]
    fn the_vectors_of_base32() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(*Secret::from_bytes(bytes.as_bytes()).text(), text);
        }
        let secret = Secret::new(&crate::ambient::SystemRandom);
        assert_eq!(secret.text().len(), 32);
    }
}
