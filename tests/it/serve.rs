//! `cenote serve` in real processes, on loopback: what it refuses to start with, and how it stops.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use cenote::ambient::{SystemClock, SystemRandom};
use cenote::config::Config;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::Value;

use crate::cli::{Scratch, cenote, complaint};
use crate::house::houses;
use crate::process::{Process, pause};

const MASTER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A server on ports of its own choosing, which it tells in its log.
struct Server {
    child: Child,
    listen: String,
    health: String,
}

impl Server {
    fn start(scratch: &Scratch, more: &[&str]) -> Server {
        let key = scratch.write("master.key", MASTER);
        let url = format!("sqlite://{}", scratch.path("cenote.db"));
        let mut command = cenote(&[
            "serve",
            "--public-url",
            "http://localhost",
            "--database-url",
            &url,
            "--master-key-file",
            &key,
        ]);
        command.args(["--listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"]).args(more);
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        // From here on it is ended whatever happens.
        let mut server = Server { child, listen: String::new(), health: String::new() };
        let mut log = BufReader::new(server.child.stderr.take().unwrap());
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the server ended at once: {seen}");
            seen += &line;
            let Ok(entry) = serde_json::from_str::<Value>(&line) else { continue };
            if entry["message"] == "cenote serves" {
                let text = |name: &str| entry[name].as_str().unwrap().to_owned();
                // Whatever it logs from now on must not fill the pipe.
                std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                (server.listen, server.health) = (text("listen"), text("health"));
                return server;
            }
        }
    }

    fn terminate(&self) {
        let status = std::process::Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    /// The exit code, once it has ended.
    fn ended(mut self) -> Option<i32> {
        for _ in 0..600 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            pause(50);
        }
        panic!("the server did not end within 30 seconds");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_stop_finishes_what_was_begun_and_exits_with_0() {
    let scratch = Scratch::new();
    let server = Server::start(&scratch, &[]);
    let body = r#"{"AccessToken":"x"}"#;
    let mut begun = TcpStream::connect(&server.listen).unwrap();
    begun.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost\r\nx-amz-target: AWSCognitoIdentityProviderService.GetUser\r\ncontent-length: {}\r\n\r\n{}",
        body.len(),
        &body[..10]
    );
    begun.write_all(head.as_bytes()).unwrap();
    // The request has begun once the server has read its head, of which it gives no sign.
    pause(300);
    server.terminate();
    for _ in 0..200 {
        if TcpStream::connect(&server.listen).is_err() {
            break;
        }
        pause(20);
    }
    assert!(TcpStream::connect(&server.listen).is_err(), "a stopping server takes no connections");
    // Meanwhile the operator's listener answers, and says what is going on.
    let ready = get(&server.health, "/readyz");
    assert!(ready.starts_with("HTTP/1.1 503 ") && ready.contains("stopping"), "{ready}");
    begun.write_all(&body.as_bytes()[10..]).unwrap();
    let mut answer = String::new();
    begun.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.contains("NotAuthorizedException"),
        "{answer}"
    );
    assert_eq!(server.ended(), Some(0));
    // The lock is free again.
    drop(Server::start(&scratch, &[]));
}

#[test]
fn health_is_told_on_a_listener_of_its_own() {
    let scratch = Scratch::new();
    let server = Server::start(&scratch, &[]);
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert!(get(&server.health, path).starts_with("HTTP/1.1 200 "), "{path}");
        assert!(get(&server.listen, path).starts_with("HTTP/1.1 404 "), "{path}");
    }
    assert!(get(&server.listen, "/dev/outbox").starts_with("HTTP/1.1 404 "));
    assert!(get(&server.health, "/metrics").contains("cenote_build_info"));
    assert!(get(&server.health, "/").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_database_that_is_not_this_servers_is_refused() {
    let scratch = Scratch::new();
    let key = scratch.write("master.key", MASTER);
    let serve = |database: &str, key: &str| {
        let url = format!("sqlite://{database}");
        complaint(&[
            "serve",
            "--public-url",
            "http://localhost",
            "--listen",
            "127.0.0.1:0",
            "--database-url",
            &url,
            "--master-key-file",
            key,
        ])
    };

    let server = Server::start(&scratch, &[]);
    let text = serve(&scratch.path("cenote.db"), &key);
    assert!(
        text.contains("Another server uses the database") && text.contains("Stop it first"),
        "{text}"
    );
    drop(server);

    let other = scratch.write("other.key", &"fedcba9876543210".repeat(4));
    let text = serve(&scratch.path("cenote.db"), &other);
    assert!(text.contains("The master key does not match this database"), "{text}");

    let dev = |database: &str| {
        let (data, url) = (scratch.path("d"), format!("sqlite://{database}"));
        let ports = ["dev", "--port", "0", "--tls-port", "0"];
        complaint(&[&ports[..], &["--data", &data, "--database-url", &url]].concat())
    };
    drop(Process::start(&scratch.0, &[]));
    let text = dev(&scratch.path("data/cenote.db"));
    assert!(
        text.contains("The master key does not match this database")
            && text.contains("use an empty database"),
        "{text}"
    );

    // What the database is for is told first, whatever the key.
    for key in [&key, &scratch.path("data/master.key")] {
        let text = serve(&scratch.path("data/cenote.db"), key);
        assert!(text.contains("This database was made by `cenote dev`"), "{text}");
    }
    let text = dev(&scratch.path("cenote.db"));
    assert!(text.contains("This database belongs to `cenote serve`"), "{text}");

    let connection = rusqlite::Connection::open(scratch.0.join("cenote.db")).unwrap();
    connection.execute("INSERT INTO schema_version (version) VALUES (999)", []).unwrap();
    drop(connection);
    // Even the version of somebody else's database is not looked at before the key fits.
    let text = serve(&scratch.path("cenote.db"), &other);
    assert!(text.contains("The master key does not match this database"), "{text}");
    let text = serve(&scratch.path("cenote.db"), &key);
    assert!(
        text.contains("schema version 999") && text.contains("A newer release has migrated it"),
        "{text}"
    );
}

fn config(toml: &str) -> Config {
    toml::from_str(toml).unwrap()
}

const GOOD: &str = r#"
public_url = "https://id.example.com/"
database_url = "sqlite:///var/lib/cenote/cenote.db"
master_key_file = "/etc/cenote/master.key"
"#;

#[test]
fn a_complete_configuration_is_accepted_and_its_defaults_are_safe() {
    let checked = config(GOOD).check().unwrap();
    assert_eq!(checked.settings.public_url, "https://id.example.com");
    assert!(
        !checked.settings.dev
            && !checked.settings.path_form
            && checked.settings.trusted_proxies.is_empty()
    );
    assert!(
        checked.listen.ip().is_loopback()
            && checked.health_listen.ip().is_loopback()
            && checked.tls.is_none()
    );
    for more in [
        "listen = \"0.0.0.0:443\"\ntls_cert = \"c\"\ntls_key = \"k\"",
        "tls_cert = \"c\"\ntls_key = \"k\"\nfeed_client_ca_file = \"ca.pem\"",
        "listen = \"0.0.0.0:80\"\ntrusted_proxies = [\"10.0.0.1\"]",
        "smtp_url = \"smtps://u:p@mail.example.com\"\nmail_from = \"no-reply@example.com\"",
        "smtp_url = \"smtp://localhost\"\nmail_from = \"Example <no-reply@example.com>\"",
    ] {
        assert!(config(&format!("{GOOD}{more}")).check().is_ok(), "{more}");
    }
    for more in [
        "postgres://u:p@db.example.com/c?sslmode=require",
        "postgres://u:p@db.example.com/c?connect_timeout=3&sslmode=disable",
        "postgres://u@127.0.0.2/c",
        "postgres:///c?host=/run/postgresql",
    ] {
        let toml = GOOD.replace("sqlite:///var/lib/cenote/cenote.db", more);
        assert!(config(&toml).check().is_ok(), "{more}");
    }
    let remote = GOOD.replace("sqlite:///var/lib/cenote/cenote.db", "postgres://u@10.0.0.1/c");
    for more in ["allow_plain_http = true", "database_ca_file = \"ca.pem\""] {
        assert!(config(&format!("{remote}{more}")).check().is_ok(), "{more}");
    }
}

#[test]
fn an_incomplete_or_unsafe_configuration_is_refused_with_what_to_change() {
    let without = |name: &str| {
        GOOD.lines().filter(|line| !line.starts_with(name)).collect::<Vec<_>>().join("\n")
    };
    let with = |more: &str| format!("{}\n{more}", without(more.split(' ').next().unwrap()));
    for (toml, message) in [
        (
            without("public_url"),
            "public_url is not set. Give --public-url, the variable CENOTE_PUBLIC_URL or the key public_url",
        ),
        (without("database_url"), "database_url is not set"),
        (without("master_key_file"), "master_key_file is not set"),
        (with("public_url = \"http://id.example.com\""), "is not https"),
        (with("public_url = \"id.example.com\""), "is not a URL"),
        (with("public_url = \"https://id.example.com/auth\""), "scheme and host only"),
        (with("public_url = \"https://u:secret@id.example.com\""), "holds a user name or password"),
        (with("public_url = \"https://u:secret@id:port\""), "holds a user name or password"),
        (with("database_url = \"sqlite:cenote.db\""), "Write an absolute path"),
        (with("database_url = \"sqlite://cenote.db\""), "Write an absolute path"),
        (with("database_url = \"postgres://u:secret@db.example.com/c\""), "Add ?sslmode=require"),
        (
            with("database_url = \"postgres://u:secret@localhost,10.0.0.1/c\""),
            "Add ?sslmode=require",
        ),
        (
            with("smtp_url = \"smtps://mail.example.com\"\nmail_from = \"nobody\""),
            "mail_from = \"nobody\" is not a sender",
        ),
        (
            with("smtp_url = \"smtp://u:secret@localhost?tls=maybe\"\nmail_from = \"a@b.c\""),
            "smtp_url cannot be used",
        ),
        (with("tls_cert = \"c\""), "tls_cert is set without tls_key"),
        (with("tls_key = \"k\""), "tls_key is set without tls_cert"),
        (
            with("feed_client_ca_file = \"ca.pem\""),
            "feed_client_ca_file is set without tls_cert and tls_key",
        ),
        (with("listen = \"0.0.0.0:80\""), "would take passwords in plain HTTP from other machines"),
        (with("health_listen = \"127.0.0.1:9229\""), "are both 127.0.0.1:9229"),
        (with("region = \"local\""), "is not of the form us-east-1"),
        (with("account_id = \"1\""), "is not twelve digits"),
        (with("smtp_url = \"smtps://mail.example.com\""), "without mail_from"),
        (
            with("smtp_url = \"smtp://u:secret@mail.example.com\"\nmail_from = \"a@b.c\""),
            "?tls=required",
        ),
        (
            with(
                "smtp_url = \"smtp://u:secret@mail.example.com?tls=opportunistic&tls=required\"\nmail_from = \"a@b.c\"",
            ),
            "?tls=required",
        ),
        (
            with("smtp_url = \"http://mail.example.com\"\nmail_from = \"a@b.c\""),
            "must start with smtps://",
        ),
    ] {
        let error = config(&toml).check().unwrap_err();
        assert!(
            error.message.contains(message) && !error.message.contains("secret"),
            "{toml}: {}",
            error.message
        );
    }
}

#[test]
fn a_flag_wins_over_a_variable_and_a_variable_over_the_file() {
    let scratch = Scratch::new();
    let file = scratch.write("cenote.toml", "public_url = \"http://file.example\"\n");
    let said = |flag: Option<&str>, variable: Option<&str>| {
        let mut command = cenote(&["serve", "--config", &file]);
        command.args(flag.map(|url| format!("--public-url={url}")));
        command.envs(variable.map(|url| ("CENOTE_PUBLIC_URL", url)));
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    assert!(said(None, None).contains("\"http://file.example\" is not https"));
    assert!(said(None, Some("http://env.example")).contains("\"http://env.example\" is not https"));
    assert!(
        said(Some("http://flag.example"), Some("http://env.example"))
            .contains("\"http://flag.example\" is not https")
    );
}

#[test]
fn a_configuration_file_with_a_mistake_is_told_by_line_and_without_its_secrets() {
    let scratch = Scratch::new();
    for (text, message) in [
        (
            "public_url = \"https://x.example\"\ncolour = \"red\"\n",
            "is not valid in line 2: unknown field `colour`",
        ),
        ("database_url = \"postgres://u:hunter2@h/d\n", "is not valid in line 1: "),
        ("listen = \"nowhere\"\n", "is not valid in line 1: "),
        (
            "region = \"us-east-1\"\nallow_plain_http = \"hunter2\"\n",
            "is not valid in line 2: allow_plain_http: expected a boolean.",
        ),
        (
            "log_format = \"hunter2\"\n",
            "is not valid in line 1: log_format: expected `json` or `text`.",
        ),
        ("master_key_file = [\"hunter2\"]\n", "is not valid in line 1: "),
    ] {
        let complaint = complaint(&["serve", "--config", &scratch.write("cenote.toml", text)]);
        assert!(complaint.contains(message) && !complaint.contains("hunter2"), "{complaint}");
    }
    assert!(
        complaint(&["serve", "--config", &scratch.path("none.toml")]).contains("cannot be read")
    );
}

#[tokio::test]
async fn a_node_whose_clock_is_not_the_databases_is_not_ready() {
    // The house's clock stands still in the past. SQLite has no clock but this machine's.
    for house in houses().await {
        let request = axum::http::Request::get("/readyz").body(axum::body::Body::empty()).unwrap();
        let answer = house.send(request).await;
        if house.app.db.is_sqlite() {
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "ok\n"));
        } else {
            assert_eq!(answer.status, 503);
            assert!(answer.body.contains("s apart"), "{}", answer.body);
        }
    }
}

/// A client that notes whether it was asked for a certificate, and shows none.
#[derive(Debug, Default)]
struct Asked(std::sync::atomic::AtomicBool);

impl rustls::client::ResolvesClientCert for Asked {
    fn resolve(
        &self,
        _: &[&[u8]],
        _: &[rustls::SignatureScheme],
    ) -> Option<std::sync::Arc<rustls::sign::CertifiedKey>> {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[test]
fn clients_are_asked_for_a_certificate_only_if_the_operator_says_so() {
    use std::sync::Arc;
    let scratch = Scratch::new();
    let now = cenote::ambient::Clock::now_ms(&SystemClock);
    let files = cenote::tls::dev_certificates(&scratch.0, now, &SystemRandom).unwrap();
    let [ca, leaf, key] =
        [&files.ca, &files.leaf, &files.leaf_key].map(|file| file.to_str().unwrap());
    let tls = ["--tls-cert", leaf, "--tls-key", key];
    for (asks, more) in [(false, [].as_slice()), (true, &["--feed-client-ca-file", ca])] {
        let server = Server::start(&scratch, &[&tls, more].concat());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&files.ca).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let asked = Arc::new(Asked::default());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_cert_resolver(asked.clone());
        let name = "localhost".try_into().unwrap();
        let mut connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(&server.listen).unwrap();
        let mut stream = rustls::Stream::new(&mut connection, &mut socket);
        stream
            .write_all(b"GET /none HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 404");
        assert_eq!(asked.0.load(std::sync::atomic::Ordering::SeqCst), asks);
        server.terminate();
        server.ended();
    }
}
