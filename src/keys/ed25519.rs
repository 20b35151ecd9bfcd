//! Ed25519 keys of the revocation feed, and what they sign: compact JWS (RFC 7515, RFC 8037). They sign nothing else, and no token.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// Characters of a signature in base64url.
const SIGNATURE_LEN: usize = 86;

pub struct FeedKey {
    kid: String,
    pair: Ed25519KeyPair,
}

impl FeedKey {
    /// The key of 32 random bytes.
    pub fn from_seed(seed: &[u8]) -> Result<FeedKey> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed)
            .map_err(|_| Error::internal("the seed of a feed key was refused"))?;
        Ok(FeedKey { kid: thumbprint(pair.public_key().as_ref()), pair })
    }

    /// The same under another name, as the vectors of the format have it.
    #[cfg(test)]
    pub fn named(self, kid: &str) -> FeedKey {
        FeedKey { kid: kid.to_owned(), ..self }
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// 32 bytes.
    pub fn public_key(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The compact form. One signature: some 50 µs of CPU.
    pub fn sign(&self, typ: &str, payload: &str) -> String {
        let mut text = self.header(typ);
        text.reserve(1 + payload.len() * 4 / 3 + 3 + SIGNATURE_LEN);
        text.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(payload, &mut text);
        let signature = self.pair.sign(text.as_bytes());
        text.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut text);
        text
    }

    /// How long `sign` makes a payload of so many bytes.
    pub fn signed_len(&self, typ: &str, payload: usize) -> usize {
        // Without padding: the last group has as many characters as it needs.
        self.header(typ).len() + 1 + (payload * 4).div_ceil(3) + 1 + SIGNATURE_LEN
    }

    fn header(&self, typ: &str) -> String {
        let header = json!({ "alg": "EdDSA", "kid": self.kid, "typ": typ }).to_string();
        BASE64_URL_SAFE_NO_PAD.encode(header)
    }
}

impl fmt::Debug for FeedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FeedKey({}, [redacted])", self.kid)
    }
}

/// A public key as a member of a key set.
pub fn jwk(kid: &str, public_key: &[u8]) -> Value {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public_key);
    json!({ "alg": "EdDSA", "crv": "Ed25519", "kid": kid, "kty": "OKP", "use": "sig", "x": x })
}

/// RFC 7638: one key, one name, also after a restore that brings older ones back.
fn thumbprint(public_key: &[u8]) -> String {
    let x = BASE64_URL_SAFE_NO_PAD.encode(public_key);
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key, the thumbprint and the signature of RFC 8037, appendix A.
    #[test]
    fn the_example_of_rfc_8037_comes_out() {
        let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).unwrap();
        let key =
            FeedKey::from_seed(&decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")).unwrap();
        assert_eq!(key.public_key(), decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"));
        assert_eq!(key.kid(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
        let signature = BASE64_URL_SAFE_NO_PAD.encode(key.pair.sign(text.as_bytes()));
        assert_eq!(
            signature,
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
        );
    }

    #[test]
    fn the_length_of_what_is_signed_is_known_before() {
        let key = FeedKey::from_seed(&[7; 32]).unwrap();
        for payload in ["", "a", "ab", "abc", "abcd"] {
            let text = key.sign("revsnap+jwt", payload);
            assert_eq!(text.len(), key.signed_len("revsnap+jwt", payload.len()));
        }
    }
}
