//! JSON Web Signatures of others (RFC 7515, 7517, 7518, 8037): tokens that identity providers signed, and assertions that we sign for
//! them with a key that an administrator gave. What claims mean, and time, is for `federation`.

use std::fmt;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeyPair as RsaKeyPair;
use aws_lc_rs::signature::{
    self as sig, EcdsaKeyPair, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::jws::{MAX_TOKEN_LEN, Malformed};
use crate::error::{Error, Result};

/// Keys of one set that are looked at.
const MAX_KEYS: usize = 100;

/// The algorithms that are accepted; `none` is not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alg {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
    Hs256,
    Hs384,
    Hs512,
}

impl Alg {
    pub fn parse(name: &str) -> Option<Alg> {
        Some(match name {
            "RS256" => Alg::Rs256,
            "RS384" => Alg::Rs384,
            "RS512" => Alg::Rs512,
            "PS256" => Alg::Ps256,
            "PS384" => Alg::Ps384,
            "PS512" => Alg::Ps512,
            "ES256" => Alg::Es256,
            "ES384" => Alg::Es384,
            "ES512" => Alg::Es512,
            "EdDSA" | "Ed25519" => Alg::EdDsa,
            "HS256" => Alg::Hs256,
            "HS384" => Alg::Hs384,
            "HS512" => Alg::Hs512,
            _ => return None,
        })
    }

    /// Made with a secret that both sides know, and not with a key of a set.
    pub fn is_mac(self) -> bool {
        matches!(self, Alg::Hs256 | Alg::Hs384 | Alg::Hs512)
    }

    fn rsa(self) -> Option<&'static RsaParameters> {
        Some(match self {
            Alg::Rs256 => &sig::RSA_PKCS1_2048_8192_SHA256,
            Alg::Rs384 => &sig::RSA_PKCS1_2048_8192_SHA384,
            Alg::Rs512 => &sig::RSA_PKCS1_2048_8192_SHA512,
            Alg::Ps256 => &sig::RSA_PSS_2048_8192_SHA256,
            Alg::Ps384 => &sig::RSA_PSS_2048_8192_SHA384,
            Alg::Ps512 => &sig::RSA_PSS_2048_8192_SHA512,
            _ => return None,
        })
    }

    /// With the curve, and the length of a coordinate.
    fn curve(self) -> Option<(&'static dyn VerificationAlgorithm, &'static str, usize)> {
        Some(match self {
            Alg::Es256 => (&sig::ECDSA_P256_SHA256_FIXED, "P-256", 32),
            Alg::Es384 => (&sig::ECDSA_P384_SHA384_FIXED, "P-384", 48),
            Alg::Es512 => (&sig::ECDSA_P521_SHA512_FIXED, "P-521", 66),
            _ => return None,
        })
    }

    fn mac(self) -> Option<hmac::Algorithm> {
        Some(match self {
            Alg::Hs256 => hmac::HMAC_SHA256,
            Alg::Hs384 => hmac::HMAC_SHA384,
            Alg::Hs512 => hmac::HMAC_SHA512,
            _ => return None,
        })
    }
}

/// A provider's key set. Keys that are of no use to us are left out: a set may hold any.
#[derive(Clone, Debug, Default)]
pub struct Jwks(Vec<Jwk>);

#[derive(Clone, Debug)]
struct Jwk {
    kid: Option<String>,
    /// The one algorithm that it is for, as the set says it.
    alg: Option<String>,
    key: Public,
}

#[derive(Clone, Debug)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { curve: String, point: Vec<u8> },
    Ed25519(Vec<u8>),
}

impl Jwks {
    pub fn parse(text: &str) -> Result<Jwks, Malformed> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_str(text)
            .map_err(|_| Malformed("it is not a JSON object with a list of keys"))?;
        Ok(Jwks(set.keys.iter().take(MAX_KEYS).filter_map(Jwk::read).collect()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a key has this id.
    pub fn knows(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid.as_deref() == Some(kid))
    }
}

impl Jwk {
    fn read(jwk: &Value) -> Option<Jwk> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        let bytes =
            |name: &str| BASE64_URL_SAFE_NO_PAD.decode(member(name)?.trim_end_matches('=')).ok();
        // Some providers write the sign byte of their own language, which RFC 7518 (6.3.1.1) forbids and the library does not take.
        let number = |name: &str| {
            let bytes = bytes(name)?;
            let first = bytes.iter().position(|byte| *byte != 0)?;
            bytes.get(first..).map(<[u8]>::to_vec)
        };
        if member("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(Value::Array(purposes)) = jwk.get("key_ops")
            && !purposes.iter().any(|purpose| purpose == "verify")
        {
            return None;
        }
        let key = match (member("kty")?, member("crv")) {
            ("RSA", _) => Public::Rsa { n: number("n")?, e: number("e")? },
            ("EC", Some(curve)) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                Public::Ec { curve: curve.to_owned(), point: [&[4], x.as_slice(), &y].concat() }
            }
            ("OKP", Some("Ed25519")) => Public::Ed25519(bytes("x")?),
            _ => return None,
        };
        let text = |name: &str| member(name).map(str::to_owned);
        Some(Jwk { kid: text("kid"), alg: text("alg"), key })
    }

    /// Whether a key of this type, for this purpose, can have made a signature of this algorithm. The header of a token says which
    /// algorithm it wants; the key says which it is for.
    fn fits(&self, alg: Alg) -> bool {
        if self.alg.as_deref().is_some_and(|own| Alg::parse(own) != Some(alg)) {
            return false;
        }
        match &self.key {
            Public::Rsa { .. } => alg.rsa().is_some(),
            Public::Ec { curve, point } => alg
                .curve()
                .is_some_and(|(_, own, length)| own == curve && point.len() == 1 + 2 * length),
            Public::Ed25519(_) => alg == Alg::EdDsa,
        }
    }

    fn verifies(&self, alg: Alg, signed: &[u8], signature: &[u8]) -> bool {
        match &self.key {
            Public::Rsa { n, e } => alg.rsa().is_some_and(|parameters| {
                RsaPublicKeyComponents { n, e }.verify(parameters, signed, signature).is_ok()
            }),
            Public::Ec { point, .. } => alg.curve().is_some_and(|(algorithm, ..)| {
                UnparsedPublicKey::new(algorithm, point).verify(signed, signature).is_ok()
            }),
            Public::Ed25519(x) => {
                UnparsedPublicKey::new(&sig::ED25519, x).verify(signed, signature).is_ok()
            }
        }
    }
}

/// A token whose form is right and whose signature nobody has checked.
pub struct Foreign<'a> {
    pub alg: Alg,
    pub kid: Option<String>,
    pub typ: Option<String>,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a signature is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disbelief {
    /// No key of the set has the token's key id and can be used with its algorithm, or, without an id, not exactly one can.
    NoKey,
    Signature,
    /// It verifies, and is not a JSON object.
    Claims,
}

impl fmt::Display for Disbelief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Disbelief::NoKey => "no key of the provider's key set fits its key id and algorithm",
            Disbelief::Signature => "its signature does not verify",
            Disbelief::Claims => "its payload is not a JSON object",
        })
    }
}

/// Takes a compact JWS apart without trusting it. Members of the header that bring a key (`jwk`, `jku`, `x5c`) are ignored.
pub fn parse(token: &str) -> Result<Foreign<'_>, Malformed> {
    if token.len() > MAX_TOKEN_LEN {
        return Err(Malformed("it is too long"));
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Malformed("it does not have three parts"));
    };
    let decode = |part: &str| {
        BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed("a part is not base64url"))
    };
    let members: Map<String, Value> = serde_json::from_slice(&decode(header)?)
        .map_err(|_| Malformed("its header is not a JSON object"))?;
    if members.contains_key("crit") {
        return Err(Malformed("its header has critical extensions"));
    }
    let text = |name: &str| members.get(name).and_then(Value::as_str);
    let alg = text("alg").ok_or(Malformed("its header names no algorithm"))?;
    let (payload, signature) = (decode(payload)?, decode(signature)?);
    Ok(Foreign {
        alg: Alg::parse(alg).ok_or(Malformed("its algorithm is not accepted"))?,
        kid: text("kid").map(str::to_owned),
        typ: text("typ").map(str::to_owned),
        signed: token.rsplit_once('.').map_or("", |(signed, _)| signed),
        payload,
        signature,
    })
}

impl Foreign<'_> {
    /// Who it says that it is from, unverified: for choosing whose keys to try, and nothing else.
    pub fn claimed_issuer(&self) -> Option<String> {
        let claims: Map<String, Value> = serde_json::from_slice(&self.payload).ok()?;
        claims.get("iss")?.as_str().map(str::to_owned)
    }

    /// The claims, if a key of this set signed them. Never for a MAC: a public key is no secret.
    pub fn verify(&self, keys: &Jwks) -> Result<Map<String, Value>, Disbelief> {
        let mut fitting = keys.0.iter().filter(|key| key.fits(self.alg));
        match &self.kid {
            Some(kid) => {
                let mut named =
                    fitting.filter(|key| key.kid.as_deref() == Some(kid.as_str())).peekable();
                named.peek().ok_or(Disbelief::NoKey)?;
                let signed = self.signed.as_bytes();
                if !named.any(|key| key.verifies(self.alg, signed, &self.signature)) {
                    return Err(Disbelief::Signature);
                }
            }
            None => {
                let (Some(only), None) = (fitting.next(), fitting.next()) else {
                    return Err(Disbelief::NoKey);
                };
                if !only.verifies(self.alg, self.signed.as_bytes(), &self.signature) {
                    return Err(Disbelief::Signature);
                }
            }
        }
        self.claims()
    }

    /// The claims, if somebody who knows this secret made them.
    pub fn verify_mac(&self, secret: &[u8]) -> Result<Map<String, Value>, Disbelief> {
        let algorithm = self.alg.mac().ok_or(Disbelief::NoKey)?;
        if secret.is_empty() {
            return Err(Disbelief::NoKey);
        }
        let key = hmac::Key::new(algorithm, secret);
        hmac::verify(&key, self.signed.as_bytes(), &self.signature)
            .map_err(|_| Disbelief::Signature)?;
        self.claims()
    }

    fn claims(&self) -> Result<Map<String, Value>, Disbelief> {
        serde_json::from_slice(&self.payload).map_err(|_| Disbelief::Claims)
    }
}

/// The left half of the hash of a value, as `at_hash` holds it (OIDC Core, 3.1.3.6).
pub fn half_hash(alg: Alg, value: &str) -> String {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
    let algorithm = match alg {
        Alg::Rs256 | Alg::Ps256 | Alg::Es256 | Alg::Hs256 => &SHA256,
        Alg::Rs384 | Alg::Ps384 | Alg::Es384 | Alg::Hs384 => &SHA384,
        Alg::Rs512 | Alg::Ps512 | Alg::Es512 | Alg::Hs512 | Alg::EdDsa => &SHA512,
    };
    let hash = digest(algorithm, value.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(hash.as_ref().get(..hash.as_ref().len() / 2).unwrap_or_default())
}

/// A private key that an administrator gave: RSA of at least 2048 bits, or P-256.
pub enum PrivateKey {
    Rsa(RsaKeyPair),
    P256(EcdsaKeyPair),
}

/// What stands before the claims.
#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

impl PrivateKey {
    /// PKCS #8: PEM, or the base64 between its lines, as Apple's console and Cognito's both take it. The message is for an administrator.
    pub fn parse(text: &str) -> Result<PrivateKey> {
        let unusable =
            |why: &str| Error::invalid(format!("The private_key cannot be used: {why}."));
        let pem = match text.contains("-----BEGIN") {
            true => text.to_owned(),
            false => {
                format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", text.trim())
            }
        };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| {
            unusable(
                "it is not a PKCS #8 private key in PEM form (BEGIN PRIVATE KEY). Convert others with: openssl pkcs8 -topk8 -nocrypt",
            )
        })?;
        let der = der.secret_pkcs8_der();
        if let Ok(pair) = EcdsaKeyPair::from_pkcs8(&sig::ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            return Ok(PrivateKey::P256(pair));
        }
        let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| {
            unusable(
                "it is neither an RSA key of 2048 bits or more nor one of P-256, in PKCS #8 form",
            )
        })?;
        if pair.public_modulus_len() < 256 {
            return Err(unusable("an RSA key must have 2048 bits or more"));
        }
        Ok(PrivateKey::Rsa(pair))
    }

    /// The algorithm that it signs with.
    pub fn alg(&self) -> &'static str {
        match self {
            PrivateKey::Rsa(_) => "RS256",
            PrivateKey::P256(_) => "ES256",
        }
    }

    /// A signed JWT.
    pub fn sign(&self, kid: Option<&str>, claims: &Value) -> Result<String> {
        let header = Header { alg: self.alg(), typ: "JWT", kid };
        let header = serde_json::to_vec(&header).map_err(Error::internal)?;
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        #[allow(clippy::disallowed_methods, reason = "a nonce or a blinding of the library's own")]
        let random = SystemRandom::new();
        let failed = |_| Error::internal("signing an assertion for a provider failed");
        let signature = match self {
            PrivateKey::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&sig::RSA_PKCS1_SHA256, &random, token.as_bytes(), &mut signature)
                    .map_err(failed)?;
                signature
            }
            PrivateKey::P256(pair) => {
                pair.sign(&random, token.as_bytes()).map_err(failed)?.as_ref().to_vec()
            }
        };
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests;
