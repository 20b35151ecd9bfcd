//! Client certificates: which authorities may vouch for them, and what is read of one that was verified.

use std::fmt::Display;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConnection};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::provider;
use crate::ambient::Ms;
use crate::error::{Error, Result};

/// Asks clients for a certificate of one of the authorities in this file. Who sends none is let in as before; who sends one that
/// does not verify is not.
pub(super) fn verifier(file: &Path) -> Result<Arc<dyn ClientCertVerifier>> {
    let unusable = |error: &dyn Display| {
        Error::invalid(format!("feed_client_ca_file = {} cannot be used: {error}.", file.display()))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unusable(&error))? {
        let certificate = certificate.map_err(|error| unusable(&error))?;
        roots.add(certificate).map_err(|error| unusable(&error))?;
    }
    if roots.is_empty() {
        return Err(unusable(&"it holds no certificate in PEM form"));
    }
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider())
        .allow_unauthenticated()
        .build()
        .map(|verifier| verifier as Arc<dyn ClientCertVerifier>)
        .map_err(|error| unusable(&error))
}

/// A client with a certificate that was verified when its session began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// SHA-256 of the certificate, in hexadecimal digits.
    pub fingerprint: String,
    /// Its last moment. A connection, or a session that is resumed, may outlive it.
    pub not_after: Ms,
}

/// The client of a connection after the handshake, if it has shown a certificate.
pub fn client(connection: &ServerConnection) -> Result<Option<Client>> {
    let Some(leaf) = connection.peer_certificates().and_then(<[_]>::first) else {
        return Ok(None);
    };
    let certificate = Certificate::from_der(leaf).map_err(|error| {
        Error::invalid(format!("The client certificate cannot be read: {error}."))
    })?;
    // The last second counts whole (RFC 5280, section 4.1.2.5).
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration().as_millis();
    let not_after = Ms::try_from(end).unwrap_or(Ms::MAX).saturating_add(999);
    let mut fingerprint = String::with_capacity(64);
    for byte in digest(&SHA256, leaf).as_ref() {
        let _ = write!(fingerprint, "{byte:02x}");
    }
    Ok(Some(Client { fingerprint, not_after }))
}
