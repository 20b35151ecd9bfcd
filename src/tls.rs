//! TLS: the server's configuration from PEM files, and the certificates that `cenote dev` makes for itself.
//! Accepting connections is for `app`.

mod clients;

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose,
    GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints, SanType, SerialNumber,
    date_time_ymd,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, ServerConfig};

pub use self::clients::{Client, client};
use crate::ambient::{DAY, Ms, Random};
use crate::error::{Error, Result};
use crate::files::{create_private_dir, write_private};

/// The configuration of a TLS listener: TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN. `certificates` holds the
/// server's own certificate first, then the intermediates; `key` is PKCS #8, PKCS #1 or SEC1, unencrypted.
/// `clients` holds authorities: clients are asked for a certificate of theirs, and may have none.
/// Messages are for the operator, name the file and say what is wrong with it.
pub fn server_config(
    certificates: &Path,
    key: &Path,
    clients: Option<&Path>,
) -> Result<ServerConfig> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificates)
        .and_then(Iterator::collect)
        .map_err(|e| unreadable("certificate", certificates, &e))?;
    if chain.is_empty() {
        return Err(unreadable("certificate", certificates, &PemError::NoItemsFound));
    }
    let private =
        PrivateKeyDer::from_pem_file(key).map_err(|e| unreadable("private key", key, &e))?;
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    let config = match clients {
        Some(file) => config.with_client_cert_verifier(clients::verifier(file)?),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_single_cert(chain, private).map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => Error::invalid(format!(
            "The private key in {} does not belong to the first certificate in {}. \
             The server's own certificate must come first, before those that signed it.",
            key.display(),
            certificates.display()
        )),
        other => Error::invalid(format!(
            "The certificate in {} with the private key in {} cannot be used: {other}.",
            certificates.display(),
            key.display()
        )),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn unreadable(what: &str, path: &Path, error: &PemError) -> Error {
    let path = path.display();
    let encrypted =
        || fs::read_to_string(path.to_string()).is_ok_and(|text| text.contains("ENCRYPTED"));
    match error {
        PemError::NoItemsFound if encrypted() => Error::invalid(format!(
            "The {what} in {path} is encrypted. Store it decrypted, readable by the server only: openssl pkey -in FILE -out NEW"
        )),
        PemError::NoItemsFound => {
            Error::invalid(format!("The {what} file {path} holds no {what} in PEM form."))
        }
        PemError::Io(e) => Error::invalid(format!("The {what} file {path} cannot be read: {e}.")),
        other => Error::invalid(format!("The {what} file {path} is not valid PEM: {other:?}.")),
    }
}

/// Named explicitly everywhere: with two providers in the build, rustls' default would be a panic.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// The certificate files of `cenote dev`, for `server_config` and for `ca_file` of the ready file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevCertificates {
    /// What a developer trusts.
    pub ca: PathBuf,
    pub leaf: PathBuf,
    pub leaf_key: PathBuf,
}

/// Certificates that expire sooner than this are replaced at start.
const RENEW_BEFORE: Ms = 30 * DAY;
/// The most that Apple's platforms accept from a certificate of a private CA.
const LEAF_LIFE: Ms = 825 * DAY;
const CA_LIFE: Ms = 3650 * DAY;

/// A development CA and a certificate for localhost, 127.0.0.1, ::1 and *.localhost in `DIR/tls`, made when missing,
/// damaged or near their end. The leaf alone is replaced as long as the CA lasts, so a developer trusts it once. (Most
/// clients refuse `*.localhost`, like `*.com`; those that take it are served.) Keys come from the library's own generator, serial
/// numbers from `rng`. Messages are for the operator.
pub fn dev_certificates(directory: &Path, now: Ms, rng: &dyn Random) -> Result<DevCertificates> {
    let tls = directory.join("tls");
    let files = DevCertificates {
        ca: tls.join("ca.pem"),
        leaf: tls.join("leaf.pem"),
        leaf_key: tls.join("leaf.key"),
    };
    let ca_key_file = tls.join("ca.key");
    let ca = CertificateDer::from_pem_file(&files.ca).ok();
    if let Some(ca) = &ca
        && check(ca, &files, now).is_ok()
        && ca_lasts(ca, now, RENEW_BEFORE)
    {
        return Ok(files);
    }
    create_private_dir(&tls).map_err(|e| unwritable(&tls, &e))?;
    if let Some(ca) = &ca
        && ca_lasts(ca, now, LEAF_LIFE)
        && let Some(key) =
            fs::read_to_string(&ca_key_file).ok().and_then(|pem| KeyPair::from_pem(&pem).ok())
    {
        write_leaf(&files, key, now, rng)?;
        // Not so if ca.key is not the key of ca.pem; then both are made anew.
        if check(ca, &files, now).is_ok() {
            return Ok(files);
        }
    }
    let key = KeyPair::generate().map_err(Error::internal)?;
    let ca = ca_params(now, rng).self_signed(&key).map_err(Error::internal)?;
    write(&ca_key_file, &key.serialize_pem())?;
    write(&files.ca, &ca.pem())?;
    write_leaf(&files, key, now, rng)?;
    check(ca.der(), &files, now)?;
    Ok(files)
}

fn write_leaf(files: &DevCertificates, ca_key: KeyPair, now: Ms, rng: &dyn Random) -> Result<()> {
    let key = KeyPair::generate().map_err(Error::internal)?;
    let issuer = Issuer::new(ca_params(now, rng), ca_key);
    let leaf = leaf_params(now, rng)?.signed_by(&key, &issuer).map_err(Error::internal)?;
    // A crash between the two leaves a pair that does not match, which the next start notices and replaces.
    write(&files.leaf_key, &key.serialize_pem())?;
    write(&files.leaf, &leaf.pem())
}

fn ca_params(now: Ms, rng: &dyn Random) -> CertificateParams {
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, "Cenote development CA (this machine only)");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    // Addresses only. Names cannot be constrained as long as the leaf carries `*.localhost`: rustls and Firefox hold a wildcard
    // directly above the root for malformed, which they ignore, unless a constraint makes them look at it.
    ca.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![
            GeneralSubtree::IpAddress(CidrSubnet::from_v4_prefix([127, 0, 0, 0], 8)),
            GeneralSubtree::IpAddress(CidrSubnet::from_v6_prefix(
                Ipv6Addr::LOCALHOST.octets(),
                128,
            )),
        ],
        excluded_subtrees: Vec::new(),
    });
    valid_for(&mut ca, now, CA_LIFE, rng);
    ca
}

fn leaf_params(now: Ms, rng: &dyn Random) -> Result<CertificateParams> {
    let mut leaf = CertificateParams::new(["localhost".to_owned(), "*.localhost".to_owned()])
        .map_err(Error::internal)?;
    leaf.distinguished_name.push(DnType::CommonName, "localhost");
    leaf.subject_alt_names.push(SanType::IpAddress(Ipv4Addr::LOCALHOST.into()));
    leaf.subject_alt_names.push(SanType::IpAddress(Ipv6Addr::LOCALHOST.into()));
    leaf.is_ca = IsCa::ExplicitNoCa;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    valid_for(&mut leaf, now, LEAF_LIFE, rng);
    Ok(leaf)
}

/// From yesterday, because the clocks of a developer's virtual machines disagree.
fn valid_for(params: &mut CertificateParams, now: Ms, life: Ms, rng: &dyn Random) {
    let from = now.saturating_sub(DAY).max(0);
    let moment = |ms: Ms| date_time_ymd(1970, 1, 1) + Duration::from_millis(ms.unsigned_abs());
    params.not_before = moment(from);
    // Both ends count (RFC 5280, section 4.1.2.5), so the last second is left out.
    params.not_after = moment(from + life - 1_000);
    let mut serial = [0; 16];
    rng.fill(&mut serial);
    params.serial_number = Some(SerialNumber::from_slice(&serial));
}

/// Whether the leaf in the files has its key, chains to this CA for every name it should have, and still will
/// when it is time to renew. rustls is asked, as its clients would.
fn check(ca: &CertificateDer<'_>, files: &DevCertificates, now: Ms) -> Result<()> {
    server_config(&files.leaf, &files.leaf_key, None)?;
    let leaf = CertificateDer::from_pem_file(&files.leaf)
        .map_err(|e| unreadable("certificate", &files.leaf, &e))?;
    for name in ["localhost", "127.0.0.1", "::1"] {
        for at in [now, now.saturating_add(RENEW_BEFORE)] {
            verify(ca, &leaf, name, at)
                .map_err(|e| Error::internal(format!("{name} at {at}: {e}")))?;
        }
    }
    Ok(())
}

/// Whether the CA's certificate is valid now and after that time. As a leaf it is refused in any case, but its
/// validity is looked at first.
fn ca_lasts(ca: &CertificateDer<'_>, now: Ms, how_long: Ms) -> bool {
    use CertificateError::{BadEncoding, Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    [now, now.saturating_add(how_long)].into_iter().all(|at| {
        !matches!(
            verify(ca, ca, "localhost", at),
            Err(rustls::Error::InvalidCertificate(
                BadEncoding
                    | Expired
                    | ExpiredContext { .. }
                    | NotValidYet
                    | NotValidYetContext { .. }
            ))
        )
    })
}

fn verify(
    ca: &CertificateDer<'_>,
    leaf: &CertificateDer<'_>,
    name: &str,
    at: Ms,
) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(ca.clone().into_owned())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider())
        .build()
        .map_err(|e| rustls::Error::General(e.to_string()))?;
    let name = ServerName::try_from(name).map_err(|e| rustls::Error::General(e.to_string()))?;
    let at = UnixTime::since_unix_epoch(Duration::from_millis(u64::try_from(at).unwrap_or(0)));
    verifier.verify_server_cert(leaf, &[], &name, &[], at).map(|_| ())
}

fn write(path: &Path, text: &str) -> Result<()> {
    write_private(path, text.as_bytes()).map_err(|e| unwritable(path, &e))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be written: {error}.", path.display()))
}
