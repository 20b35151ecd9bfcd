//! nginx, Caddy and HAProxy as Debian has them, and Envoy, with the configurations of `docs/verifiers.md`. `./test gateways` installs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::http::HeaderMap;
use cenote_verifier::format::Kind;

use crate::fake::{Fake, SUB, wall_ms};
use crate::{Process, ask, free_port, gate, until_status};

/// The code block of this language in the guide, with the ports of this test.
fn block(language: &str, ports: &[(&str, u16)]) -> String {
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verifiers.md");
    let guide = std::fs::read_to_string(guide).unwrap();
    let (_, rest) = guide.split_once(&format!("```{language}\n")).unwrap();
    let (block, _) = rest.split_once("```").unwrap();
    ports.iter().fold(block.to_owned(), |block, (from, to)| {
        assert!(
            block.contains(from) || language == "lua" || *from == ":9233",
            "{from} in {language}"
        );
        block.replace(from, &format!(":{to}"))
    })
}

struct House {
    fake: Fake,
    _gate: Process,
    grpc: u16,
    front: u16,
    directory: PathBuf,
    ports: [(&'static str, u16); 3],
}

/// A feed, a gate, and an application that says who it was told is there.
async fn house(name: &str) -> House {
    let (fake, gate_port, front) = (Fake::start().await, free_port(), free_port());
    let grpc = free_port();
    let listen = format!("127.0.0.1:{grpc}");
    let more = ["--policy", "closed", "--max-staleness", "4", "--grpc-listen", &listen];
    let gate = gate(&fake, gate_port, &more);
    until_status(gate_port, "/healthz", &[], 200).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let back = listener.local_addr().unwrap().port();
    let application = Router::new().fallback(async |headers: HeaderMap| {
        let one = |name: &str| {
            let all: Vec<&str> =
                headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect();
            all.join(",")
        };
        let ours = |name: &str| name.replace('_', "-").starts_with("x-cenote-");
        let count = headers.keys().filter(|name| ours(name.as_str())).count();
        format!(
            "{}|{}|{}|{count}",
            one("x-cenote-sub"),
            one("x-cenote-scope"),
            one("x-cenote-session")
        )
    });
    tokio::spawn(async move { axum::serve(listener, application).await.unwrap() });
    let directory = std::env::temp_dir().join(format!("cenote-gate-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let ports = [(":9233", gate_port), (":8080", back), (":8000", front)];
    House { fake, _gate: gate, grpc, front, directory, ports }
}

impl House {
    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// What every proxy has to do.
    async fn holds(&self) {
        let session = self.fake.session(wall_ms());
        let bearer = format!("Bearer {}", self.fake.token(&session, |_| {}));
        let authorization = ("authorization", bearer.as_str());
        let forged = [authorization, ("x-cenote-sub", "admin"), ("x-cenote-session", "forged")];
        let passed = until_status(self.front, "/orders?x=1", &forged, 200).await;
        let told: Vec<&str> = passed.body.split('|').collect();
        assert_eq!(told[..2], [SUB, "openid orders/read"]);
        // The guide's Envoy also tells the session, of which the others only remove what a client made up.
        assert!(["", session.as_str()].contains(&told[2]), "{told:?}");
        let nobody = ask(self.front, "/orders", &[]).await.unwrap();
        assert_eq!((nobody.status, nobody.header("www-authenticate")), (401, "Bearer"));
        let twice = ask(self.front, "/orders", &[authorization, authorization]).await.unwrap();
        assert!([400, 401].contains(&twice.status), "{}", twice.status);
        let wrong = ask(self.front, "/orders", &[("authorization", "Bearer x")]).await.unwrap();
        assert!(wrong.status == 401 && wrong.header("www-authenticate").contains("invalid_token"));
        let began = wall_ms();
        self.fake.ends(Kind::User, SUB, wall_ms() + 1);
        let revoked = until_status(self.front, "/orders", &[authorization], 401).await;
        assert!(wall_ms() - began < 2_000);
        assert_eq!(
            revoked.header("www-authenticate"),
            r#"Bearer error="invalid_token", error_description="session revoked", max_age=0"#
        );
        let again =
            format!("Bearer {}", self.fake.token(&self.fake.session(wall_ms() + 1_000), |_| {}));
        let again = [("authorization", again.as_str())];
        until_status(self.front, "/orders", &again, 200).await;
        self.fake.inside().feed_away = true;
        until_status(self.front, "/orders", &again, 503).await;
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test]
#[ignore = "needs nginx: ./test gateways"]
async fn nginx_lets_only_the_living_through() {
    let house = house("nginx").await;
    let text = block("nginx", &house.ports);
    let file = house.file("nginx.conf", &text);
    let at = |name: &str| house.directory.join(name).display().to_string();
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path"));
    // Where a process without rights may write; the guide's text has no business with that.
    let temporary =
        paths.map(|path| format!("{path} {}/{path};", house.directory.display())).concat();
    house.file(
        "nginx.conf",
        &text.replace("http {", &format!("http {{ access_log off; {temporary}")),
    );
    let global = format!("daemon off; master_process off; pid {}; error_log stderr;", at("pid"));
    let mut command = Command::new("nginx");
    command.arg("-c").arg(&file).arg("-g").arg(global).arg("-p").arg(&house.directory);
    let _nginx = Process::start(&mut command);
    house.holds().await;
}

#[tokio::test]
#[ignore = "needs Caddy: ./test gateways"]
async fn caddy_lets_only_the_living_through() {
    let house = house("caddy").await;
    let file = house.file("Caddyfile", &block("caddy", &house.ports));
    let mut command = Command::new("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(&file);
    command.env("HOME", &house.directory).env("XDG_DATA_HOME", &house.directory);
    let _caddy = Process::start(&mut command);
    house.holds().await;
}

#[tokio::test]
#[ignore = "needs HAProxy: ./test gateways"]
async fn haproxy_lets_only_the_living_through() {
    let house = house("haproxy").await;
    let lua = house.file("cenote.lua", &block("lua", &house.ports));
    let text = block("haproxy", &house.ports);
    let text = text.replace("/etc/haproxy/cenote.lua", &lua.display().to_string());
    let file = house.file("haproxy.cfg", &text);
    let _haproxy = Process::start(Command::new("haproxy").args(["-db", "-f"]).arg(&file));
    house.holds().await;
}

#[tokio::test]
#[ignore = "needs Envoy: ./test gateways"]
async fn envoy_lets_only_the_living_through() {
    let house = house("envoy").await;
    let [_, (_, back), (_, front)] = house.ports;
    let ports = [("8000", front), ("8080", back), ("9234", house.grpc)];
    let text = ports.iter().fold(block("yaml", &[]), |text, (from, to)| {
        let from = format!("port_value: {from} ");
        assert!(text.contains(&from), "{from}");
        text.replace(&from, &format!("port_value: {to} "))
    });
    let file = house.file("envoy.yaml", &text);
    let mut command = Command::new("envoy");
    command.args(["--use-dynamic-base-id", "--concurrency", "1", "-l", "warn", "-c"]).arg(&file);
    let _envoy = Process::start(&mut command);
    let session = house.fake.session(wall_ms());
    let bearer = format!("Bearer {}", house.fake.token(&session, |_| {}));
    let forged = [
        ("authorization", bearer.as_str()),
        ("x-cenote-sub", "admin"),
        ("x-cenote-sub", "root"),
        ("x_cenote_sub", "admin"),
        ("x-cenote-role", "admin"),
    ];
    let told = until_status(house.front, "/orders", &forged, 200).await.body;
    assert_eq!(told, format!("{SUB}|openid orders/read|{session}|5"));
    let pay = ask(house.front, "/pay", &forged).await.unwrap();
    assert_eq!(pay.status, 403);
    assert!(pay.header("www-authenticate").contains("insufficient_scope"));
    house.holds().await;
}
