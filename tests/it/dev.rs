//! `cenote dev` in real processes: the ready file, what survives a restart, TLS with the local authority, and who is refused.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use serde_json::{Value, json};

use crate::cli::{Scratch, cenote, complaint};
use crate::process::{Process, pause};

const MEMBERS: [&str; 13] = [
    "endpoint",
    "tls_endpoint",
    "ca_file",
    "region",
    "user_pool_id",
    "issuer",
    "domain_url",
    "client_id",
    "confidential_client_id",
    "confidential_client_secret",
    "username",
    "password",
    "sample_url",
];

#[test]
fn the_ready_file_says_what_scripts_depend_on() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &[]);
    let members: Vec<&str> = server.ready.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, MEMBERS);
    let mode = std::fs::metadata(scratch.0.join("ready.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let pool = server.get("user_pool_id");
    assert_eq!(server.get("endpoint"), format!("http://localhost:{}", server.port()));
    assert_eq!(server.get("issuer"), format!("{}/{pool}", server.get("endpoint")));
    assert_eq!(server.get("domain_url"), format!("{}/{pool}", server.get("tls_endpoint")));
    assert_eq!(pool.split_once('_').unwrap().0, server.get("region"));

    // And it is true.
    let sessions =
        server.call("GetUserPoolSessionConfiguration", &json!({ "UserPoolId": pool })).unwrap().1;
    assert_eq!(
        (&sessions["UserSessionTracking"], &sessions["TokenSession"]["MaxPerUser"]),
        (&json!("ENABLED"), &json!(100))
    );
    assert!(signs_in(&server, server.get("client_id")));
    let client = json!({ "UserPoolId": pool, "ClientId": server.get("confidential_client_id") });
    let client = server.call("DescribeUserPoolClient", &client).unwrap().1;
    assert_eq!(client["UserPoolClient"]["ClientSecret"], server.get("confidential_client_secret"));
}

#[test]
fn all_values_survive_a_restart_and_what_was_changed_stays_changed() {
    let scratch = Scratch::new();
    let first = Process::start(&scratch.0, &[]);
    let changed = json!({ "UserPoolId": first.get("user_pool_id"), "Username": first.get("username"),
        "UserAttributes": [{ "Name": "name", "Value": "Ann the Second" }] });
    assert_eq!(first.call("AdminUpdateUserAttributes", &changed).unwrap().0, 200);
    let before = first.ready.clone();
    drop(first);
    let again = Process::start(&scratch.0, &[]);
    assert_eq!(before, again.ready);
    assert!(signs_in(&again, again.get("client_id")));
    let user =
        json!({ "UserPoolId": again.get("user_pool_id"), "Username": again.get("username") });
    assert!(again.call("AdminGetUser", &user).unwrap().1.to_string().contains("Ann the Second"));
}

#[test]
fn ephemeral_data_goes_with_the_server() {
    let scratch = Scratch::new();
    let file = scratch.path("ready.json");
    let mut child =
        cenote(&["dev", "--ephemeral", "--port", "0", "--tls-port", "0", "--ready-file", &file])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
    let ready = (0..600).find_map(|_| {
        pause(50);
        std::fs::read_to_string(&file).ok()
    });
    let terminated = std::process::Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(terminated.success());
    let ready: Value = serde_json::from_str(&ready.unwrap()).unwrap();
    let ca = std::path::Path::new(ready["ca_file"].as_str().unwrap());
    assert!(!ca.parent().unwrap().parent().unwrap().exists());
}

#[test]
fn the_tls_listener_is_trusted_through_the_ca_file() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &[]);
    let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
    for name in ["localhost", "127.0.0.1", "::1"].into_iter().filter(|name| ipv6 || *name != "::1")
    {
        let answer = over_tls(
            &server,
            name,
            &format!("GET /{}/.well-known/jwks.json", server.get("user_pool_id")),
            "localhost",
        );
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"kty\":\"RSA\""),
            "{name}: {answer}"
        );
    }
}

#[test]
fn only_loopback_names_are_served_and_foreign_pages_cannot_administer() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &[]);
    let port = server.port();
    for host in ["localhost", "127.0.0.1", "[::1]", "pool.localhost"] {
        assert!(
            exchange(
                port,
                &format!(
                    "GET /healthz HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n"
                )
            )
            .starts_with("HTTP/1.1 200 "),
            "{host}"
        );
    }
    for host in ["evil.example", "localhost.evil.example", "evil.example:9229", "0.0.0.0"] {
        for line in ["GET /healthz", "OPTIONS /", "POST /"] {
            let answer = exchange(
                port,
                &format!(
                    "{line} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                ),
            );
            assert!(
                answer.starts_with("HTTP/1.1 421 ") && answer.contains("cenote serve"),
                "{host}: {answer}"
            );
        }
    }
    for head in ["host: localhost\r\nhost: evil.example", "host: evil@localhost"] {
        let answer = exchange(
            port,
            &format!("GET /healthz HTTP/1.1\r\n{head}\r\nconnection: close\r\n\r\n"),
        );
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    // An absolute target is what counts, whatever the header says.
    let answer = exchange(
        port,
        "GET http://evil.example/healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 421 "), "{answer}");

    let list = |more: &str| {
        let body = r#"{"MaxResults":1}"#;
        let length = body.len();
        let head = "x-amz-target: AWSCognitoIdentityProviderService.ListUserPools\r\ncontent-type: application/x-amz-json-1.1";
        exchange(
            port,
            &format!(
                "POST / HTTP/1.1\r\nhost: localhost:{port}\r\n{head}\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
            ),
        )
    };
    let refused = list("origin: https://evil.example\r\n");
    assert!(
        refused.starts_with("HTTP/1.1 400 ")
            && refused.contains("ForbiddenException")
            && !refused.contains("access-control-allow-origin"),
        "{refused}"
    );
    let allowed = list(&format!("origin: http://localhost:{port}\r\n"));
    assert!(
        allowed.starts_with("HTTP/1.1 200 ") && !allowed.contains("access-control-allow-origin"),
        "{allowed}"
    );
}

#[test]
fn a_seed_file_is_applied_and_a_wrong_one_ends_the_server_with_its_place() {
    let scratch = Scratch::new();
    let seed = json!({ "pools": [{ "Id": "us-east-1_Seeded", "PoolName": "seeded", "Users": [{ "Username": "cleo", "Password": "Correct-horse-7" }] }] });
    let file = scratch.write("seed.json", &seed.to_string());
    let server = Process::start(&scratch.0, &["--seed", &file]);
    let user = server
        .call("AdminGetUser", &json!({ "UserPoolId": "us-east-1_Seeded", "Username": "cleo" }))
        .unwrap()
        .1;
    assert_eq!(user["UserStatus"], "CONFIRMED");
    drop(server);

    let wrong = scratch.write("wrong.json", &seed.to_string().replace("PoolName", "Name"));
    let text = complaint(&[
        "dev",
        "--port",
        "0",
        "--tls-port",
        "0",
        "--data",
        &scratch.path("other"),
        "--seed",
        &wrong,
    ]);
    assert!(text.contains("wrong.json: pools[0] (us-east-1_Seeded)"), "{text}");
}

#[test]
fn a_second_server_on_the_same_data_leaves_the_first_ones_files_alone() {
    let scratch = Scratch::new();
    let server = Process::start(&scratch.0, &[]);
    let files = ["ready.json", "data/port", "data/tls-port"];
    let read = || files.map(|name| std::fs::read_to_string(scratch.0.join(name)).unwrap());
    let before = read();
    let (data, ready) = (scratch.path("data"), scratch.path("ready.json"));
    let ports = ["dev", "--port", "0", "--tls-port", "0"];
    let text = complaint(&[&ports[..], &["--data", &data, "--ready-file", &ready]].concat());
    assert!(text.contains("Another server uses the database"), "{text}");
    // Nor does one that has data of its own and finds no port.
    let (port, other) = (server.port().to_string(), scratch.path("other"));
    let own = ["dev", "--port", &port, "--tls-port", "0", "--data", &other];
    let text = complaint(&[&own[..], &["--ready-file", &ready]].concat());
    assert!(text.contains("Cannot listen on"), "{text}");
    assert_eq!(read(), before);
    assert!(scratch.0.join("data/.gitignore").exists());
}

#[test]
fn a_directory_that_was_there_is_not_hidden_from_git() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.0.join("data")).unwrap();
    drop(Process::start(&scratch.0, &[]));
    assert!(!scratch.0.join("data/.gitignore").exists());
}

#[test]
fn a_taken_port_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let text = complaint(&["dev", "--ephemeral", "--port", &port, "--tls-port", "0"]);
    assert!(
        text.contains(&format!("Cannot listen on 127.0.0.1:{port}"))
            && text.contains("choose another port"),
        "{text}"
    );
}

fn signs_in(server: &Process, client: &str) -> bool {
    let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
        "AuthParameters": { "USERNAME": server.get("username"), "PASSWORD": server.get("password") } });
    server.call("InitiateAuth", &input).unwrap().0 == 200
}

fn exchange(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// One request as a client that trusts nobody but the CA of the ready file.
fn over_tls(server: &Process, name: &str, line: &str, host: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(server.get("ca_file")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let port: u16 = server.get("tls_endpoint").rsplit(':').next().unwrap().parse().unwrap();
    let address = if name == "::1" { "::1" } else { "127.0.0.1" };
    let mut socket = TcpStream::connect((address, port)).unwrap();
    let mut connection =
        ClientConnection::new(Arc::new(config), ServerName::try_from(name.to_owned()).unwrap())
            .unwrap();
    let mut stream = Stream::new(&mut connection, &mut socket);
    write!(stream, "{line} HTTP/1.1\r\nhost: {host}:{port}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
