//! The client of the load: HTTP/1.1 on a connection that is kept, with requests that were written beforehand. As little as it takes,
//! because what it costs is missing to the server.

use std::fmt::Write as _;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Failed, Result};

/// A request as it goes over the wire, with what a program's HTTP library sends along.
pub fn request(
    method: &str,
    host: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Vec<u8> {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: cenote-bench/1.0 (Linux x86_64)\r\nAccept: */*\r\n\
         Accept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n"
    );
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if method != "GET" {
        let _ = write!(text, "Content-Length: {}\r\n", body.len());
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Where the body of the last answer begins in the buffer.
    body: usize,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(16 << 10), body: 0 })
    }

    /// Sends a request and reads the whole answer: its status.
    pub async fn send(&mut self, request: &[u8]) -> Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let mut expected = None;
        loop {
            if expected.is_none()
                && let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n")
            {
                self.body = end + 4;
                expected = Some(self.body + length(self.buffer.get(..end).unwrap_or_default())?);
            }
            if expected.is_some_and(|expected| self.buffer.len() >= expected) {
                return self.status();
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Failed("the server closed the connection".to_owned()));
            }
        }
    }

    pub fn body(&self) -> &[u8] {
        self.buffer.get(self.body..).unwrap_or_default()
    }

    fn status(&self) -> Result<u16> {
        let digits = self.buffer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        digits
            .and_then(|digits| digits.parse().ok())
            .ok_or_else(|| Failed("the answer is not HTTP".to_owned()))
    }
}

fn length(head: &[u8]) -> Result<usize> {
    let head = std::str::from_utf8(head)?;
    let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let length = headers.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    match length {
        Some((_, length)) => Ok(length.trim().parse()?),
        None => Err(Failed(format!("an answer without Content-Length: {head}"))),
    }
}
