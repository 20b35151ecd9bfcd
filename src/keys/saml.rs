//! The parsed keys of one pool for SAML, and the certificates that carry them. SAML trusts the key that metadata names; a certificate
//! is only its envelope, so ours are signed by themselves.

use std::sync::Arc;
use std::time::Duration;

use cenote_saml::Credential;
use rcgen::{
    CertificateParams, DnType, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::PrivatePkcs8KeyDer;

use crate::ambient::Ms;
use crate::error::{Error, Result};

/// A key of ours with its certificates.
pub struct SamlKey {
    /// With the newest certificate.
    pub credential: Arc<Credential>,
    /// DER, and when each expires; the newest first.
    pub certificates: Vec<(Ms, Vec<u8>)>,
}

/// What a key is for, as its certificate says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    Signing,
    Encryption,
}

/// What a new certificate says.
pub struct Envelope {
    pub name: String,
    pub serial: [u8; 16],
    pub from: Ms,
    pub until: Ms,
    pub purpose: Purpose,
}

/// A certificate (DER) for an RSA key in PKCS #8. One signature: call it off the event loop.
pub fn self_signed(pkcs8: &[u8], envelope: &Envelope) -> Result<Vec<u8>> {
    let key = PrivatePkcs8KeyDer::from(pkcs8);
    let key = KeyPair::from_pkcs8_der_and_sign_algo(&key, &PKCS_RSA_SHA256)
        .map_err(|_| Error::internal("a key for SAML was refused"))?;
    let moment = |ms: Ms| date_time_ymd(1970, 1, 1) + Duration::from_millis(ms.unsigned_abs());
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, envelope.name.as_str());
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![match envelope.purpose {
        Purpose::Signing => KeyUsagePurpose::DigitalSignature,
        Purpose::Encryption => KeyUsagePurpose::KeyEncipherment,
    }];
    params.not_before = moment(envelope.from);
    params.not_after = moment(envelope.until);
    params.serial_number = Some(SerialNumber::from_slice(&envelope.serial));
    let certificate = params.self_signed(&key).map_err(Error::internal)?;
    Ok(certificate.der().to_vec())
}
