//! The gate alone.

use std::process::Command;

use cenote_verifier::format::Kind;

use crate::fake::{Fake, SUB, wall_ms};
use crate::{Process, ask, free_port, gate, until_status};

#[tokio::test]
async fn it_lets_the_living_through_with_what_the_application_needs_and_nobody_else() {
    let (fake, port) = (Fake::start().await, free_port());
    let _gate = gate(&fake, port, &[]);
    until_status(port, "/healthz", &[], 200).await;
    let bearer = format!("Bearer {}", fake.signs_in());
    let authorization = ("authorization", bearer.as_str());
    for path in
        ["/check", "/check/", "/check/orders/1?x=y", "/check?scope=orders/read&scope=openid"]
    {
        let passed = until_status(port, path, &[authorization], 204).await;
        assert_eq!(passed.header("x-cenote-sub"), SUB);
        assert_eq!(passed.header("x-cenote-scope"), "openid orders/read");
        assert_eq!(passed.header("x-cenote-username"), "ann");
        assert_eq!(passed.header("cache-control"), "no-store");
    }
    let refused = ask(port, "/check?scope=orders/pay", &[authorization]).await.unwrap();
    assert_eq!(refused.status, 403);
    let nobody = ask(port, "/check", &[]).await.unwrap();
    assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, "Bearer"));
    fake.ends(Kind::User, SUB, wall_ms() + 1);
    let revoked = until_status(port, "/check", &[authorization], 401).await;
    assert!(revoked.header("www-authenticate").ends_with("max_age=0"));
    assert_eq!(revoked.header("x-cenote-sub"), "");
    let metrics = ask(port, "/metrics", &[]).await.unwrap().body;
    for line in [
        "cenote_gate_checks_total{answer=\"scope\"} 1",
        "cenote_gate_checks_total{answer=\"missing\"} 1",
        "cenote_gate_feed_sequence 1",
        "cenote_gate_signature_checks_total 1",
    ] {
        assert!(metrics.contains(&format!("{line}\n")), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn before_it_knows_anything_it_answers_503_and_a_policy_with_a_typing_error_opens_nothing() {
    let (fake, port) = (Fake::start().await, free_port());
    fake.inside().feed_away = true;
    fake.inside().introspects = false;
    let _gate = gate(&fake, port, &["--policy", "open"]);
    let bearer = format!("Bearer {}", fake.signs_in());
    let authorization = ("authorization", bearer.as_str());
    until_status(port, "/healthz", &[], 503).await;
    until_status(port, "/check", &[authorization], 204).await;
    for path in ["/check?policy=closed", "/check?policy=opne", "/check?policy=introspect"] {
        let asked = ask(port, path, &[authorization]).await.unwrap();
        assert_eq!((asked.status, asked.header("retry-after")), (503, "1"), "{path}");
    }
}

/// Caddy's `forward_auth` and Envoy's `ext_authz` pass on the query of the request.
#[tokio::test]
async fn nobody_talks_it_into_a_weaker_policy_than_its_own() {
    let (fake, port) = (Fake::start().await, free_port());
    fake.inside().feed_away = true;
    fake.inside().introspects = false;
    let _gate = gate(&fake, port, &["--policy", "closed"]);
    let bearer = format!("Bearer {}", fake.signs_in());
    let authorization = ("authorization", bearer.as_str());
    until_status(port, "/healthz", &[], 503).await;
    for path in [
        "/check",
        "/check?policy=open",
        "/check/orders?policy=open",
        "/check?policy=closed&policy=open",
    ] {
        let asked = until_status(port, path, &[authorization], 503).await;
        assert_eq!(asked.header("retry-after"), "1", "{path}");
    }
}

#[tokio::test]
async fn it_answers_on_a_unix_socket_and_leaves_none_behind() {
    use std::io::{Read as _, Write as _};
    let (fake, port) = (Fake::start().await, free_port());
    let path = std::env::temp_dir().join(format!("cenote-gate-{}.sock", std::process::id()));
    let mut gate = gate(&fake, port, &["--socket", path.to_str().unwrap()]);
    until_status(port, "/healthz", &[], 200).await;
    let at = path.clone();
    let answer = tokio::task::spawn_blocking(move || {
        let mut socket = std::os::unix::net::UnixStream::connect(at).unwrap();
        socket
            .write_all(b"GET /check HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer
    });
    assert!(answer.await.unwrap().starts_with("HTTP/1.1 401 "));
    Command::new("kill").args(["-TERM", &gate.pid().to_string()]).status().unwrap();
    for _ in 0..200 {
        if gate.ended().is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(gate.ended().unwrap().success());
    assert!(!path.exists());
}

#[test]
fn a_setup_that_cannot_work_ends_with_a_word_about_it() {
    let refused = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_cenote-gate"))
            .args(["--consumer", "gate-1", "--listen", "127.0.0.1:0"])
            .args(arguments)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let issuer = ["--issuer", "https://id.example.com/p_1"];
    assert!(refused(&issuer).contains("--client-id"));
    assert!(refused(&[&issuer[..], &["--client-id", "x"]].concat()).contains("has no secret"));
    assert!(refused(&[&issuer[..], &["--policy", "maybe"]].concat()).contains("is no policy"));
    let missing = [&issuer[..], &["--client-id", "x", "--client-secret-file", "/nonexistent"]];
    assert!(refused(&missing.concat()).contains("/nonexistent"));
    let _: fn(&mut Command) -> Process = Process::start;
}
