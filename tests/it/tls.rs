//! Certificates of `cenote dev` and the TLS configuration, held against a real rustls client and broken files.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cenote::ambient::{Clock as _, DAY, Ms, SeededRandom, SystemClock};
use cenote::tls::{DevCertificates, dev_certificates, server_config};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection, Stream};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let directory =
            std::env::temp_dir().join(format!("cenote-tls-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).unwrap();
        Scratch(directory)
    }

    fn made(&self, now: Ms) -> (DevCertificates, [Vec<u8>; 4]) {
        let files = dev_certificates(&self.0, now, &SeededRandom::new(1)).unwrap();
        (
            files,
            ["ca.pem", "ca.key", "leaf.pem", "leaf.key"]
                .map(|name| fs::read(self.0.join("tls").join(name)).unwrap()),
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join("tls").join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Handshakes over a real socket and says which protocol was chosen.
fn connects(files: &DevCertificates, ca: &Path, name: &str) -> Result<Option<Vec<u8>>, String> {
    let server =
        Arc::new(server_config(&files.leaf, &files.leaf_key, None).map_err(|e| e.to_string())?);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut connection = ServerConnection::new(server).unwrap();
        let _ = Stream::new(&mut connection, &mut socket).write_all(b"hello");
    });
    let mut socket = TcpStream::connect(address).unwrap();
    let mut connection =
        ClientConnection::new(Arc::new(client), ServerName::try_from(name.to_owned()).unwrap())
            .unwrap();
    let mut greeting = [0; 5];
    let read = Stream::new(&mut connection, &mut socket).read_exact(&mut greeting);
    drop(socket);
    serving.join().unwrap();
    read.map(|()| connection.alpn_protocol().map(<[u8]>::to_vec)).map_err(|e| e.to_string())
}

#[test]
fn a_client_that_trusts_the_ca_connects_to_every_loopback_name() {
    let scratch = Scratch::new("connects");
    let (files, _) = scratch.made(SystemClock.now_ms());
    for name in ["localhost", "127.0.0.1", "::1"] {
        assert_eq!(connects(&files, &files.ca, name), Ok(Some(b"h2".to_vec())), "{name}");
    }
    for name in ["example.com", "127.0.0.2", "localhost.example.com"] {
        assert!(
            connects(&files, &files.ca, name).unwrap_err().contains("not valid for name"),
            "{name}"
        );
    }
}

#[test]
fn the_ca_cannot_speak_for_other_addresses() {
    let scratch = Scratch::new("constraints");
    let (files, [_, ca_key, ..]) = scratch.made(SystemClock.now_ms());
    // Whoever has ca.key signs a leaf under the same issuer's name.
    let mut issuer = CertificateParams::default();
    issuer
        .distinguished_name
        .push(rcgen::DnType::CommonName, "Cenote development CA (this machine only)");
    let issuer =
        rcgen::Issuer::new(issuer, KeyPair::from_pem(&String::from_utf8(ca_key).unwrap()).unwrap());
    for (name, accepted) in [("127.8.9.10", true), ("10.0.0.1", false), ("::2", false)] {
        let key = KeyPair::generate().unwrap();
        let forged =
            CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        fs::write(&files.leaf, forged.pem()).unwrap();
        fs::write(&files.leaf_key, key.serialize_pem()).unwrap();
        let result = connects(&files, &files.ca, name);
        assert_eq!(result.is_ok(), accepted, "{name}: {result:?}");
    }
}

#[test]
#[cfg(unix)]
fn certificate_files_are_private_to_their_owner() {
    use std::os::unix::fs::PermissionsExt as _;
    let scratch = Scratch::new("modes");
    scratch.made(SystemClock.now_ms());
    for name in ["ca.pem", "ca.key", "leaf.pem", "leaf.key"] {
        assert_eq!(
            fs::metadata(scratch.file(name)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
    }
    assert_eq!(fs::metadata(scratch.0.join("tls")).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(scratch.0.join("tls")).unwrap().count(), 4, "temporary files are left");
}

#[test]
fn certificates_are_kept_until_thirty_days_before_their_end_and_the_ca_longer() {
    let scratch = Scratch::new("renewal");
    let now = SystemClock.now_ms();
    let (_, first) = scratch.made(now);
    assert_eq!(scratch.made(now + 793 * DAY).1, first, "kept while it lasts");

    let (_, second) = scratch.made(now + 800 * DAY);
    assert_eq!(second[..2], first[..2], "the CA that a developer trusts stays");
    assert_ne!(second[2], first[2]);
    assert_ne!(second[3], first[3]);
    assert_eq!(scratch.made(now + 801 * DAY).1, second);

    let (_, third) = scratch.made(now + 3640 * DAY);
    assert_ne!(third[0], second[0], "a CA near its end is replaced too");
    assert_eq!(scratch.made(now + 3641 * DAY).1, third);
    // A clock that was wrong: certificates of the future do not serve now.
    let (_, fourth) = scratch.made(now);
    assert_ne!(fourth[0], third[0]);
}

#[test]
fn damaged_certificate_files_are_made_anew() {
    let now = SystemClock.now_ms();
    for (name, ca_stays) in [("ca.pem", false), ("leaf.pem", true), ("leaf.key", true)] {
        let scratch = Scratch::new(&format!("damaged-{name}"));
        let (_, before) = scratch.made(now);
        for damage in
            ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        {
            fs::write(scratch.file(name), damage).unwrap();
            let (files, after) = scratch.made(now);
            assert_eq!(after[0] == before[0], ca_stays, "{name} {damage}");
            connects(&files, &files.ca, "localhost").unwrap();
        }
        fs::remove_file(scratch.file(name)).unwrap();
        connects(&scratch.made(now).0, &scratch.file("ca.pem"), "localhost").unwrap();
    }
    // Without its key, or with another one, the CA cannot sign the next leaf.
    let scratch = Scratch::new("damaged-key");
    let (_, before) = scratch.made(now);
    fs::write(scratch.file("ca.key"), KeyPair::generate().unwrap().serialize_pem()).unwrap();
    assert_eq!(scratch.made(now).1[0], before[0], "not needed yet");
    let (_, after) = scratch.made(now + 800 * DAY);
    assert_ne!(after[0], before[0]);
}

#[test]
fn what_is_wrong_with_a_certificate_or_key_file_is_said() {
    let scratch = Scratch::new("errors");
    let (files, [_, _, _, key]) = scratch.made(SystemClock.now_ms());
    let refusal = |certificate: &Path, key: &Path| {
        server_config(certificate, key, None).unwrap_err().message.into_owned()
    };
    let none = scratch.file("none.pem");
    let (junk, encrypted, binary) =
        (scratch.file("junk.pem"), scratch.file("encrypted.key"), scratch.file("der"));
    fs::write(&junk, "hello").unwrap();
    fs::write(
        &encrypted,
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    )
    .unwrap();
    fs::write(&binary, [0x30, 0x82, 0xff, 0xfe]).unwrap();

    assert!(refusal(&none, &files.leaf_key).contains("none.pem cannot be read"));
    assert!(
        refusal(&files.leaf, &none).contains("private key file")
            && refusal(&files.leaf, &none).contains("cannot be read")
    );
    assert!(refusal(&junk, &files.leaf_key).contains("holds no certificate in PEM form"));
    assert!(refusal(&files.leaf, &junk).contains("holds no private key in PEM form"));
    assert!(refusal(&files.leaf, &files.leaf).contains("holds no private key in PEM form"));
    assert!(refusal(&files.leaf_key, &files.leaf_key).contains("holds no certificate in PEM form"));
    assert!(refusal(&files.leaf, &encrypted).contains("is encrypted"));
    assert!(
        !refusal(&files.leaf, &binary).is_empty() && !refusal(&binary, &files.leaf_key).is_empty()
    );
    assert!(
        refusal(&files.leaf, &scratch.file("ca.key"))
            .contains("does not belong to the first certificate")
    );

    let clients = |file: &Path| {
        server_config(&files.leaf, &files.leaf_key, Some(file)).unwrap_err().message.into_owned()
    };
    for (file, why) in [
        (&none, "none.pem cannot be used: "),
        (&junk, "it holds no certificate in PEM form"),
        (&files.leaf_key, "it holds no certificate in PEM form"),
    ] {
        let said = clients(file);
        assert!(said.starts_with("feed_client_ca_file = ") && said.contains(why), "{said}");
    }

    // One file with both, as some tools write it, is fine.
    let both = scratch.file("both.pem");
    fs::write(&both, [fs::read(&files.leaf).unwrap(), key].concat()).unwrap();
    server_config(&both, &both, None).unwrap();
}
