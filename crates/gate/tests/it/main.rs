//! The gate as a process, alone and behind the proxies of Debian with the configurations of `docs/verifiers.md`.
#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "tests wait")]

mod envoy;
#[path = "../../../verifier/tests/it/fake.rs"]
mod fake;
mod gate;
mod proxies;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fake::{CLIENT, Fake, SECRET};

/// Ends with the test.
pub struct Process(Child);

impl Process {
    pub fn start(command: &mut Command) -> Process {
        Process(command.stdin(Stdio::null()).spawn().unwrap())
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    pub fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.0.try_wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

pub fn gate(fake: &Fake, port: u16, more: &[&str]) -> Process {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cenote-gate"));
    command
        .args(["--issuer", &fake.issuer(), "--consumer", "gate-1", "--client-id", CLIENT])
        .args(["--listen", &format!("127.0.0.1:{port}")])
        .args(more)
        .env("CENOTE_GATE_CLIENT_SECRET", SECRET)
        .env("CENOTE_GATE_LOG", "warn");
    Process::start(&mut command)
}

pub struct Asked {
    pub status: u16,
    pub headers: reqwest::header::HeaderMap,
    pub body: String,
}

impl Asked {
    /// One, or none.
    pub fn header(&self, name: &str) -> &str {
        assert!(self.headers.get_all(name).iter().count() < 2, "{:?}", self.headers);
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// `None` while nobody listens.
pub async fn ask(port: u16, path: &str, headers: &[(&str, &str)]) -> Option<Asked> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client =
        reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build().unwrap();
    let mut request = client.get(format!("http://127.0.0.1:{port}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.ok()?;
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    Some(Asked { status, headers, body: answer.text().await.unwrap() })
}

pub async fn until_status(port: u16, path: &str, headers: &[(&str, &str)], status: u16) -> Asked {
    let mut last = None;
    for _ in 0..500 {
        let asked = ask(port, path, headers).await;
        if let Some(asked) = asked {
            if asked.status == status {
                return asked;
            }
            last = Some(asked.status);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{path} never answered {status}, at last {last:?}");
}
