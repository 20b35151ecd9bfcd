//! Our own key pair with its certificate: what we sign with, and what is encrypted for us.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{OaepAlgorithm, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use zeroize::Zeroizing;

use crate::certificate::{Algorithm, Hash, PublicKey, Written};
use crate::fault::Fault;

/// An RSA key of ours (2048 bits or more) with its certificate: it signs what we send, or decrypts what is encrypted for us.
pub struct Credential {
    signing: RsaKeyPair,
    decrypting: OaepPrivateDecryptingKey,
    certificate: Vec<u8>,
}

impl Credential {
    /// Refuses a key that is not the certificate's.
    pub fn new(private_key_pkcs8_der: &[u8], certificate_der: &[u8]) -> Result<Credential, Fault> {
        const UNREADABLE: Fault =
            Fault::Key("the private key is no RSA key of 2048 bits or more in PKCS#8");
        let signing = RsaKeyPair::from_pkcs8(private_key_pkcs8_der).map_err(|_| UNREADABLE)?;
        let decrypting = PrivateDecryptingKey::from_pkcs8(private_key_pkcs8_der)
            .and_then(|key| OaepPrivateDecryptingKey::new(key).map_err(Into::into))
            .map_err(|_| UNREADABLE)?;
        let credential = Credential { signing, decrypting, certificate: certificate_der.to_vec() };
        let public = PublicKey::of_certificate(certificate_der)?;
        let proof = credential.sign(b"one pair")?;
        if !public.verifies(Algorithm::Rsa(Hash::Sha256), b"one pair", &proof, Written::Fixed) {
            return Err(Fault::Key("the private key is not the one of the certificate"));
        }
        Ok(credential)
    }

    /// The certificate, DER.
    #[must_use]
    pub fn certificate(&self) -> &[u8] {
        &self.certificate
    }

    /// RSA PKCS#1 1.5 with SHA-256: the same bytes give the same signature.
    #[allow(
        clippy::disallowed_methods,
        reason = "blinds the computation; the signature does not depend on it"
    )]
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Fault::Key("signing failed"))?;
        Ok(signature)
    }

    /// A key that was encrypted for us, or nothing: why not is nobody's business.
    pub(crate) fn unwrap(
        &self,
        oaep: &'static OaepAlgorithm,
        label: Option<&[u8]>,
        wrapped: &[u8],
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut room = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let length = self.decrypting.decrypt(oaep, wrapped, &mut room, label).ok()?.len();
        room.truncate(length);
        Some(room)
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential([redacted])")
    }
}

/// Whether a certificate (DER) holds a key that signatures may be verified with: RSA of 2048 to 8192 bits, or EC P-256, P-384, P-521.
/// Its dates and its issuer do not matter: metadata is what makes a key trusted.
pub fn check_certificate(der: &[u8]) -> Result<(), Fault> {
    PublicKey::of_certificate(der).map(|_| ())
}
