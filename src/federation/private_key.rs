//! Private keys that an administrator gives us to sign with towards a provider: Apple's, and that of `private_key_jwt`.

use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::pool::provider::Kind;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// The key as PKCS #8 in PEM, checked. It may come without its first and last line, and with `\n` written out, as keys that went
/// through the settings of other programs often do. `algorithm` is what it is to sign with, if that was said.
pub fn read(kind: Kind, text: &str, algorithm: Option<&str>) -> Result<String> {
    let text = Zeroizing::new(text.replace("\\n", "\n"));
    let body = text.trim();
    let body = body.strip_prefix(BEGIN).unwrap_or(body);
    let body = body.strip_suffix(END).unwrap_or(body);
    let base64: Zeroizing<String> =
        Zeroizing::new(body.chars().filter(|c| !c.is_whitespace()).collect());
    let der = BASE64_STANDARD.decode(base64.as_bytes()).map(Zeroizing::new).map_err(|_| {
        Error::invalid(
            "private_key is not PKCS #8 in PEM form. Convert it with: openssl pkcs8 -topk8 -nocrypt -in KEY",
        )
    })?;
    let allowed = algorithms(&der);
    let wanted = match kind {
        Kind::SignInWithApple => Some("ES256"),
        _ => algorithm,
    };
    match wanted {
        _ if allowed.is_empty() => Err(Error::invalid(
            "private_key must be an unencrypted RSA key of 2048 bits or more, or an EC key of the curve P-256 or P-384, as PKCS #8. \
             Convert it with: openssl pkcs8 -topk8 -nocrypt -in KEY",
        )),
        Some(wanted) if !allowed.contains(&wanted) => Err(Error::invalid(format!(
            "private_key cannot sign with {wanted}; a key of this type signs with {}.",
            allowed.join(" or ")
        ))),
        _ => Ok(pem(&der)),
    }
}

/// What a key can sign with, the usual one first; nothing for what is no usable key.
fn algorithms(der: &[u8]) -> &'static [&'static str] {
    let is = |curve: &'static EcdsaSigningAlgorithm| EcdsaKeyPair::from_pkcs8(curve, der).is_ok();
    match rsa::KeyPair::from_pkcs8(der) {
        Ok(key) if key.public_modulus_len() >= 256 => &["RS256", "PS256"],
        Ok(_) => &[],
        Err(_) if is(&ECDSA_P256_SHA256_FIXED_SIGNING) => &["ES256"],
        Err(_) if is(&ECDSA_P384_SHA384_FIXED_SIGNING) => &["ES384"],
        Err(_) => &[],
    }
}

fn pem(der: &[u8]) -> String {
    let base64 = Zeroizing::new(BASE64_STANDARD.encode(der));
    let mut pem = format!("{BEGIN}\n");
    let mut rest = base64.as_str();
    while let Some((line, more)) = rest.split_at_checked(64) {
        pem.push_str(line);
        pem.push('\n');
        rest = more;
    }
    if !rest.is_empty() {
        pem.push_str(rest);
        pem.push('\n');
    }
    pem.push_str(END);
    pem.push('\n');
    pem
}
