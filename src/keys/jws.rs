//! RS256 JSON Web Tokens (RFC 7515, RFC 7519), composed by hand on aws-lc-rs: a general library parses the private
//! key at every signature, which costs more than the signature. What claims mean, and expiry, is for `tokens`.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256,
};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::ambient::Random;
use crate::error::{Error, Result};

/// The longest token that is looked at: room for a user in a hundred groups whose names are as long as names can be.
pub const MAX_TOKEN_LEN: usize = 64 * 1024;

/// A private RSA key with its key id, parsed once and kept.
pub struct SigningKey {
    kid: String,
    pair: KeyPair,
    /// The base64url of `{"kid":"..","alg":"RS256"}` and the dot after it: the same for every token of this key.
    header: String,
}

impl SigningKey {
    /// An RSA-2048 key with a fresh key id, and its PKCS #8 form for sealing. Takes some 100 ms of CPU: call it on
    /// a blocking thread. The key itself comes from the library's own generator; only the key id is taken from `rng`.
    pub fn generate(rng: &dyn Random) -> Result<(SigningKey, Zeroizing<Vec<u8>>)> {
        let pair = KeyPair::generate(KeySize::Rsa2048)
            .map_err(|_| Error::internal("making an RSA key failed"))?;
        let der: Pkcs8V1Der<'static> =
            pair.as_der().map_err(|_| Error::internal("writing an RSA key as PKCS #8 failed"))?;
        let pkcs8 = Zeroizing::new(der.as_ref().to_vec());
        Ok((SigningKey::with_pair(kid(rng), pair), pkcs8))
    }

    /// From the PKCS #8 DER that `generate` gave.
    pub fn from_pkcs8(kid: impl Into<String>, pkcs8: &[u8]) -> Result<SigningKey> {
        let kid = kid.into();
        let pair = KeyPair::from_pkcs8(pkcs8).map_err(|e| {
            Error::internal(format!("the private key of key id {kid} was refused: {e}"))
        })?;
        Ok(SigningKey::with_pair(kid, pair))
    }

    fn with_pair(kid: String, pair: KeyPair) -> SigningKey {
        let header = json!({ "kid": kid, "alg": "RS256" }).to_string();
        let header = BASE64_URL_SAFE_NO_PAD.encode(header) + ".";
        SigningKey { kid, pair, header }
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The compact form. One signature: about 0.5 ms of CPU.
    pub fn sign_jwt(&self, claims: &impl Serialize) -> Result<String> {
        self.sign_under(&self.header, claims)
    }

    /// The same with a `typ` in the header: a token of one purpose is then none of another (RFC 8725, 3.11).
    pub fn sign_typed(&self, typ: &str, claims: &impl Serialize) -> Result<String> {
        let header = json!({ "typ": typ, "kid": self.kid, "alg": "RS256" }).to_string();
        self.sign_under(&(BASE64_URL_SAFE_NO_PAD.encode(header) + "."), claims)
    }

    fn sign_under(&self, header: &str, claims: &impl Serialize) -> Result<String> {
        let claims = serde_json::to_vec(claims).map_err(Error::internal)?;
        let mut signature = vec![0; self.pair.public_modulus_len()];
        // Header, payload and signature, at four characters for three bytes.
        let mut token =
            String::with_capacity(header.len() + (claims.len() + signature.len()) * 4 / 3 + 8);
        token.push_str(header);
        BASE64_URL_SAFE_NO_PAD.encode_string(claims, &mut token);
        self.pair
            .sign_digest(&RSA_PKCS1_SHA256, &digest(&SHA256, token.as_bytes()), &mut signature)
            .map_err(|_| Error::internal(format!("signing with key id {} failed", self.kid)))?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The public half as a member of jwks.json: `{"alg":"RS256","e":"AQAB","kid":"..","kty":"RSA","n":"..","use":"sig"}`.
    pub fn jwk(&self) -> Value {
        let public = self.pair.public_key();
        json!({
            "alg": "RS256",
            "e": BASE64_URL_SAFE_NO_PAD.encode(public.exponent().big_endian_without_leading_zero()),
            "kid": self.kid,
            "kty": "RSA",
            "n": BASE64_URL_SAFE_NO_PAD.encode(public.modulus().big_endian_without_leading_zero()),
            "use": "sig",
        })
    }

    pub fn verifying_key(&self) -> Result<VerifyingKey> {
        let public = self.pair.public_key();
        VerifyingKey::from_components(
            self.kid.clone(),
            public.modulus().big_endian_without_leading_zero(),
            public.exponent().big_endian_without_leading_zero(),
        )
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({}, [redacted])", self.kid)
    }
}

/// A key id as Cognito's look: the base64 of 32 random bytes, which ends in `=`.
pub fn kid(rng: &dyn Random) -> String {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    BASE64_STANDARD.encode(bytes)
}

/// A public RSA key of 2048 to 8192 bits with its key id, parsed once and kept.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    kid: String,
    key: ParsedPublicKey,
}

impl VerifyingKey {
    /// From the members of a JWK (RFC 7517) with `kty` RSA; `use` and `alg`, if there, must be `sig` and `RS256`.
    pub fn from_jwk(jwk: &Value) -> Result<VerifyingKey> {
        let member = |name: &str| jwk.get(name).and_then(Value::as_str);
        let refused = |why: &str| Error::internal(format!("a JWK was refused: {why}"));
        if member("kty") != Some("RSA") {
            return Err(refused("its kty is not RSA"));
        }
        if jwk.get("use").is_some_and(|u| u != "sig")
            || jwk.get("alg").is_some_and(|a| a != "RS256")
        {
            return Err(refused("it is not for RS256 signatures"));
        }
        let decode = |name: &str| {
            let text = member(name).ok_or_else(|| refused("a member is missing"))?;
            BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| refused("a number is not base64url"))
        };
        let kid = member("kid").ok_or_else(|| refused("its kid is missing"))?;
        VerifyingKey::from_components(kid.into(), &decode("n")?, &decode("e")?)
    }

    pub fn kid(&self) -> &str {
        &self.kid
    }

    fn from_components(kid: String, n: &[u8], e: &[u8]) -> Result<VerifyingKey> {
        // The library checks the key's size only at each verification; a small key should be refused where it comes in.
        if !(256..=1024).contains(&n.len()) {
            return Err(Error::internal(format!("the public key of key id {kid} has a bad size")));
        }
        let key = PublicKeyComponents { n, e }
            .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
            .map_err(|e| {
                Error::internal(format!("the public key of key id {kid} was refused: {e}"))
            })?;
        Ok(VerifyingKey { kid, key })
    }
}

/// Takes a compact JWS apart without trusting it. Only RS256 is accepted: `none` and HMAC under the public
/// key's bytes are the classic forgeries. Members that name a key (`jwk`, `jku`, `x5u`) are ignored: keys come from the
/// server's own list. Base64 is strict, so that one token has one spelling.
pub fn parse(token: &str) -> Result<Unverified<'_>, Malformed> {
    if token.len() > MAX_TOKEN_LEN {
        return Err(Malformed("the token is too long"));
    }
    let (signed, signature) =
        token.rsplit_once('.').ok_or(Malformed("the token has no signature part"))?;
    let (header, payload) =
        signed.split_once('.').ok_or(Malformed("the token has no payload part"))?;
    if payload.contains('.') {
        return Err(Malformed("the token has more than three parts"));
    }
    let decode = |part: &str| {
        BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| Malformed("a part is not base64url"))
    };
    let header = decode(header)?;
    // A derived struct would also take an array.
    if header.first() != Some(&b'{') {
        return Err(Malformed("the header is not a JSON object"));
    }
    let header: Header =
        serde_json::from_slice(&header).map_err(|_| Malformed("the header lacks alg or kid"))?;
    if header.alg != "RS256" {
        return Err(Malformed("the algorithm is not RS256"));
    }
    if header.crit.0 {
        return Err(Malformed("the header has critical extensions"));
    }
    Ok(Unverified {
        kid: header.kid,
        signed,
        payload: decode(payload)?,
        signature: decode(signature)?,
    })
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    #[serde(default)]
    crit: Present,
}

/// Whether a member is there at all, whatever its value.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Present, D::Error> {
        IgnoredAny::deserialize(from).map(|_| Present(true))
    }
}

/// A token whose form is right and whose signature nobody has checked.
pub struct Unverified<'a> {
    kid: String,
    signed: &'a str,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Unverified<'_> {
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The claims that anyone may have written: for choosing the pool whose key is asked, and for nothing else.
    pub fn peek_unverified(&self) -> Result<Map<String, Value>, Malformed> {
        serde_json::from_slice(&self.payload)
            .map_err(|_| Malformed("the payload is not a JSON object"))
    }

    /// The claims, if this very key signed them. Expiry and revocation are not checked here.
    pub fn verify(self, key: &VerifyingKey) -> Result<Claims, BadSignature> {
        if self.kid != key.kid {
            return Err(BadSignature);
        }
        key.key.verify_sig(self.signed.as_bytes(), &self.signature).map_err(|_| BadSignature)?;
        let members = serde_json::from_slice(&self.payload).map_err(|_| BadSignature)?;
        Ok(Claims { kid: self.kid, members, length: self.payload.len() })
    }
}

impl fmt::Debug for Unverified<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Unverified({}, [redacted])", self.kid)
    }
}

/// Claims whose signature was verified. There is no other way to make one than `Unverified::verify`.
#[derive(Clone, PartialEq)]
pub struct Claims {
    kid: String,
    members: Map<String, Value>,
    length: usize,
}

impl Claims {
    /// The key that signed them.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How many bytes they were as JSON.
    pub fn length(&self) -> usize {
        self.length
    }

    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }

    pub fn str(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub fn int(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_i64()
    }

    pub fn as_map(&self) -> &Map<String, Value> {
        &self.members
    }

    pub fn into_map(self) -> Map<String, Value> {
        self.members
    }
}

impl fmt::Debug for Claims {
    /// Names only: the values are personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.members.keys()).finish()
    }
}

/// Why a token is no RS256 token at all. The text is for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Malformed {}

/// The token was not signed by the key it was held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the token's signature does not verify")
    }
}

impl std::error::Error for BadSignature {}

/// A refresh token: opaque, in the shape of Cognito's (a compact JWE with its usual header), 788 characters of
/// `[A-Za-z0-9-_.]`. Everything after the header is random; the server stores `keys::hash` of the whole.
pub fn refresh_token(rng: &dyn Random) -> String {
    let mut token =
        BASE64_URL_SAFE_NO_PAD.encode(r#"{"cty":"JWT","enc":"A256GCM","alg":"RSA-OAEP"}"#);
    // An RSA-2048 block, a nonce, a ciphertext and a tag of the usual lengths.
    let mut random = [0; 256];
    for length in [256, 12, 256, 16] {
        rng.fill(&mut random);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(random.get(..length).unwrap_or(&random), &mut token);
    }
    token
}
