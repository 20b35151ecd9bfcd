//! The provider's key: one for tokens and for SAML, made anew at each start, with the certificate that its metadata shows.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use cenote_saml::Credential;
use rcgen::{CertificateParams, DnType, PKCS_RSA_SHA256, SerialNumber, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use serde_json::{Value, json};

use super::xml;
use crate::ambient::{DAY, Ms, Random};
use crate::error::{Error, Result};
use crate::keys::{self, Claims, SigningKey, VerifyingKey};

pub struct Keys {
    pair: KeyPair,
    kid: String,
    jwk: Value,
    verifying: VerifyingKey,
    credential: Credential,
}

impl Keys {
    pub fn generate(rng: &dyn Random, now: Ms) -> Result<Keys> {
        let (signing, pkcs8) = SigningKey::generate(rng)?;
        let der = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &PKCS_RSA_SHA256)
            .map_err(Error::internal)?;
        let mut certificate = CertificateParams::default();
        certificate
            .distinguished_name
            .push(DnType::CommonName, "Cenote demonstration provider (not for production)");
        let moment = |ms: Ms| date_time_ymd(1970, 1, 1) + Duration::from_millis(ms.unsigned_abs());
        certificate.not_before = moment(now - DAY);
        certificate.not_after = moment(now + 365 * DAY);
        let mut serial = [0; 16];
        rng.fill(&mut serial);
        certificate.serial_number = Some(SerialNumber::from_slice(&serial));
        let certificate = certificate.self_signed(&key).map_err(Error::internal)?;
        Ok(Keys {
            pair: KeyPair::from_pkcs8(&pkcs8).map_err(Error::internal)?,
            kid: signing.kid().to_owned(),
            jwk: signing.jwk(),
            verifying: signing.verifying_key()?,
            credential: Credential::new(&pkcs8, certificate.der()).map_err(Error::internal)?,
        })
    }

    pub fn jwks(&self) -> Value {
        json!({ "keys": [self.jwk] })
    }

    /// A JSON Web Token of some `typ`.
    pub fn token(&self, typ: &str, claims: &Value) -> Result<String> {
        let header = json!({ "kid": self.kid, "typ": typ, "alg": "RS256" }).to_string();
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(header);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(claims.to_string(), &mut token);
        let signature = self.rsa_sha256(token.as_bytes())?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    /// The claims of a token of ours, expired or not.
    pub fn own(&self, token: &str) -> Option<Claims> {
        keys::parse(token).ok()?.verify(&self.verifying).ok()
    }

    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// The certificate as metadata shows it.
    pub fn certificate(&self) -> String {
        BASE64_STANDARD.encode(self.credential.certificate())
    }

    /// Signs a canonical element that has a place for its signature.
    pub fn sign(&self, canonical: &str, id: &str) -> Result<String> {
        xml::sign(canonical, id, &self.certificate(), |bytes| self.rsa_sha256(bytes))
    }

    fn rsa_sha256(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign_digest(&RSA_PKCS1_SHA256, &digest(&SHA256, bytes), &mut signature)
            .map_err(|_| Error::internal("a signature of the demonstration provider failed"))?;
        Ok(signature)
    }
}
