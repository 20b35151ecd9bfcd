//! Compact JSON Web Signatures and key sets, as far as a pool makes them: EdDSA on Ed25519 for the feed, RS256 for tokens.
//! A key is for one algorithm only, and no header can ask for another.

use aws_lc_rs::signature::{
    ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

/// Keys of one set that are looked at.
const MAX_KEYS: usize = 100;

/// Of a header: room for a key id as long as any.
const MAX_HEADER: usize = 2_048;

/// A JWS taken apart. Nothing of it is verified yet.
pub struct Unverified<'a> {
    pub header: Header,
    payload: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
}

#[derive(Deserialize)]
pub struct Header {
    pub alg: String,
    #[serde(default)]
    pub kid: String,
    #[serde(default)]
    pub typ: String,
    /// Extensions that must be understood (RFC 7515, 4.1.11). None is.
    #[serde(default)]
    crit: Option<Value>,
}

/// `None` for anything that is no compact JWS.
pub fn split(text: &str) -> Option<Unverified<'_>> {
    let (signed, signature) = text.rsplit_once('.')?;
    let (header, payload) = signed.split_once('.')?;
    if payload.contains('.') || header.len() > MAX_HEADER {
        return None;
    }
    let header: Header = serde_json::from_slice(&decode(header)?).ok()?;
    if header.crit.is_some() {
        return None;
    }
    Some(Unverified { header, payload, signed, signature: decode(signature)? })
}

impl Unverified<'_> {
    /// The payload, if this key made the signature.
    pub fn verify(&self, key: &PublicKey) -> Option<Vec<u8>> {
        let signed = self.signed.as_bytes();
        let good = match key {
            PublicKey::Ed25519(x) if self.header.alg == "EdDSA" => {
                UnparsedPublicKey::new(&ED25519, x).verify(signed, &self.signature).is_ok()
            }
            PublicKey::Rsa(key) if self.header.alg == "RS256" => {
                key.verify_sig(signed, &self.signature).is_ok()
            }
            _ => false,
        };
        if good { decode(self.payload) } else { None }
    }
}

/// Parsed once: parsing an RSA key costs as much as a check with it.
#[derive(Clone, Debug)]
pub enum PublicKey {
    Ed25519(Vec<u8>),
    Rsa(std::sync::Arc<ParsedPublicKey>),
}

/// A JWK set (RFC 7517). Keys that are of no use here, or have no id, are left out: a set may hold any.
#[derive(Clone, Debug, Default)]
pub struct Jwks(Vec<(String, PublicKey)>);

impl Jwks {
    /// `None` if it is no key set at all.
    pub fn parse(text: &[u8]) -> Option<Jwks> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(text).ok()?;
        Some(Jwks(set.keys.iter().take(MAX_KEYS).filter_map(jwk).collect()))
    }

    pub fn find(&self, kid: &str) -> Option<&PublicKey> {
        self.0.iter().find(|(own, _)| own == kid).map(|(_, key)| key)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those whose key id passes.
    pub fn filter(&self, keep: impl Fn(&str) -> bool) -> Jwks {
        Jwks(self.0.iter().filter(|(kid, _)| keep(kid)).cloned().collect())
    }
}

fn jwk(jwk: &Value) -> Option<(String, PublicKey)> {
    let text = |name: &str| jwk.get(name).and_then(Value::as_str);
    let bytes = |name: &str| decode(text(name)?);
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let is_for = |own: &str| text("alg").is_none_or(|alg| alg == own);
    let key = match text("kty")? {
        "OKP" if text("crv") == Some("Ed25519") && is_for("EdDSA") => {
            PublicKey::Ed25519(bytes("x").filter(|x| x.len() == 32)?)
        }
        "RSA" if is_for("RS256") => {
            // The library looks at the size only when it verifies; a small key is refused where it comes in.
            let n = bytes("n").filter(|n| (256..=1024).contains(&n.len()))?;
            let key = RsaPublicKeyComponents { n, e: bytes("e")? };
            PublicKey::Rsa(std::sync::Arc::new(
                key.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok()?,
            ))
        }
        _ => return None,
    };
    Some((text("kid")?.to_owned(), key))
}

/// Base64url without padding; `None` for anything else.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(text).ok()
}

pub fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}
