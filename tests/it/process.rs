//! A real `cenote dev` process, spoken to over its socket. It is ended by its id, and its directory goes with it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

pub struct Process {
    child: Child,
    pub ready: Value,
    port: u16,
}

/// A directory of its own for one test's server; removed by whoever made it.
pub fn directory() -> PathBuf {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name =
        format!("cenote-process-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let path = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&path).unwrap();
    path
}

impl Process {
    /// Starts a server on the data in `directory` and waits until it is ready.
    pub fn start(directory: &std::path::Path, more: &[&str]) -> Process {
        Process::start_on(directory, 0, more)
    }

    /// Issuers name the port, so a server that is started again for its tokens must get the same one.
    pub fn start_on(directory: &std::path::Path, port: u16, more: &[&str]) -> Process {
        let file = directory.join("ready.json");
        let _ = std::fs::remove_file(&file);
        let data = directory.join("data");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cenote"));
        command
            .args(["dev", "--port", &port.to_string(), "--tls-port", "0", "--data"])
            .arg(&data)
            .arg("--ready-file")
            .arg(&file)
            .args(more);
        command
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        for _ in 0..600 {
            if let Ok(text) = std::fs::read_to_string(&file) {
                let ready: Value = serde_json::from_str(&text).unwrap();
                let port = ready["endpoint"]
                    .as_str()
                    .unwrap()
                    .rsplit(':')
                    .next()
                    .unwrap()
                    .parse()
                    .unwrap();
                return Process { child, ready, port };
            }
            if let Some(status) = child.try_wait().unwrap() {
                panic!("the server ended at once: {status}");
            }
            pause(50);
        }
        child.kill().unwrap();
        panic!("the server was not ready after 30 seconds");
    }

    /// `kill -9`: no goodbye, no flush.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn get(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// One operation on a connection of its own. `None` where no whole answer came.
    pub fn call(&self, operation: &str, input: &Value) -> Option<(u16, Value)> {
        call(self.port, operation, input)
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn call(port: u16, operation: &str, input: &Value) -> Option<(u16, Value)> {
    let body = input.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-type: application/x-amz-json-1.1\r\n\
         x-amz-target: AWSCognitoIdentityProviderService.{operation}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).ok()?;
    stream.write_all(body.as_bytes()).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let status = line.split(' ').nth(1)?.parse().ok()?;
    let mut length = None;
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        let header = line.split_once(':');
        if let Some((_, value)) =
            header.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            length = value.trim().parse::<usize>().ok();
        }
    }
    let mut body = vec![0; length?];
    reader.read_exact(&mut body).ok()?;
    Some((status, serde_json::from_slice(&body).ok()?))
}

#[allow(clippy::disallowed_methods, reason = "another process is waited for in real time")]
pub fn pause(ms: u64) {
    std::thread::sleep(Duration::from_millis(ms));
}
