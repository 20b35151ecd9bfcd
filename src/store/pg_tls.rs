//! TLS to PostgreSQL: when it is used, and whom it trusts.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::startup;
use crate::error::{Error, Result};

/// `sslmode=require` is TLS with a verified certificate, `disable` none. Where the URL does not say (libpq's `prefer`), TLS is
/// required if a CA is configured; without one a server's own certificate could not be verified, and many have such. `config` asks
/// `cenote serve` to say so for a server on another machine.
pub fn connector(config: &mut Config, ca_file: Option<&Path>) -> Result<Option<MakeRustlsConnect>> {
    let wanted = match config.get_ssl_mode() {
        SslMode::Disable => false,
        // A socket of this machine speaks no TLS.
        SslMode::Prefer => {
            ca_file.is_some()
                && !config.get_hosts().iter().all(|host| matches!(host, Host::Unix(_)))
        }
        _ => true,
    };
    if !wanted {
        if config.get_hosts().iter().any(is_remote) {
            tracing::warn!(
                "the connection to PostgreSQL is not encrypted; sslmode=require in the database URL does that"
            );
        }
        return Ok(None);
    }
    // `prefer` would go on without TLS when somebody on the way says that the server has none.
    config.ssl_mode(SslMode::Require);
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            let unusable = |error: &dyn std::fmt::Display| {
                startup(format!("Cannot use the CA file {}: {error}", path.display()))
            };
            for certificate in
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))?
            {
                let certificate = certificate.map_err(|error| unusable(&error))?;
                roots.add(certificate).map_err(|error| unusable(&error))?;
            }
            if roots.is_empty() {
                return Err(unusable(&"it holds no certificate"));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config =
        config.map_err(Error::internal)?.with_root_certificates(roots).with_no_client_auth();
    Ok(Some(MakeRustlsConnect::new(config)))
}

fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name != "localhost" && !name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        }
        Host::Unix(_) => false,
    }
}
