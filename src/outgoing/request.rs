//! What is asked, what came back, and why nothing did.

use std::fmt;
use std::time::Duration;

use url::form_urlencoded::Serializer;

/// What an answer may have if the request does not say otherwise.
const MAX_BYTES: usize = 256 * 1024;

/// How long an exchange may take, from the resolution of the name to the last byte, if the request does not say otherwise.
const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
}

/// A request to somebody else's server.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    pub max_bytes: usize,
    pub timeout: Duration,
    /// Only the status matters: see `told`.
    pub status_only: bool,
}

impl Request {
    pub fn get(url: impl Into<String>) -> Request {
        Request {
            method: Method::Get,
            url: url.into(),
            headers: Vec::new(),
            body: Vec::new(),
            max_bytes: MAX_BYTES,
            timeout: TIMEOUT,
            status_only: false,
        }
    }

    /// A POST of `application/x-www-form-urlencoded`.
    pub fn form(url: impl Into<String>, pairs: &[(&str, &str)]) -> Request {
        let body = Serializer::new(String::new()).extend_pairs(pairs).finish();
        Request::post(url, "application/x-www-form-urlencoded", body)
    }

    /// A SOAP 1.1 call, as SAML's SOAP binding wants it (bindings 3.2.3).
    pub fn soap(url: impl Into<String>, xml: impl Into<String>) -> Request {
        Request::post(url, "text/xml; charset=utf-8", xml.into().into_bytes())
            .header("soapaction", "\"http://www.oasis-open.org/committees/security\"")
    }

    pub fn post(url: impl Into<String>, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
        let request = Request { method: Method::Post, body: body.into(), ..Request::get(url) };
        request.header("content-type", content_type)
    }

    /// Adds a header; the name in lower case.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Request {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// For telling somebody something. A success counts once its status is there, whatever would follow it; of anything else the beginning
    /// is read, as far as it comes.
    pub fn status_only(self) -> Request {
        Request { status_only: true, max_bytes: 4 * 1024, ..self }
    }

    pub fn max_bytes(self, max_bytes: usize) -> Request {
        Request { max_bytes, ..self }
    }

    pub fn timeout(self, timeout: Duration) -> Request {
        Request { timeout, ..self }
    }
}

/// Headers, body and query may hold secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.method, self.url.split(['?', '#']).next().unwrap_or_default())
    }
}

/// An answer of whatever status but a redirect, whole.
#[derive(Clone)]
pub struct Answer {
    pub status: u16,
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub retry_after: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// Bodies may hold tokens.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.status, self.body.len())
    }
}

/// Why there is no answer. Texts name hosts at most: addresses may hold secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// By our own rules: nothing was sent.
    Refused(String),
    /// No connection, or one that broke: the name, the network, TLS.
    Unreachable(String),
    /// Not within the request's time.
    Timeout,
    /// More than the request's bytes.
    TooLarge,
    /// It points elsewhere, which is not followed.
    Redirect(String),
}

impl Failure {
    /// One sentence that says what to do.
    pub fn message(&self) -> String {
        match self {
            Failure::Refused(why) | Failure::Unreachable(why) => why.clone(),
            Failure::Timeout => "It did not answer in time.".to_owned(),
            Failure::TooLarge => "Its answer is larger than what is read of it.".to_owned(),
            Failure::Redirect(to) => {
                format!("It redirects to {to}, which is not followed: give the final address.")
            }
        }
    }

    /// Whether the host itself says that nothing listens there.
    pub fn is_nobody_there(&self) -> bool {
        matches!(self, Failure::Unreachable(why) if why.contains("Connection refused"))
    }

    /// For the counters.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Failure::Refused(_) => "refused",
            Failure::Unreachable(_) => "unreachable",
            Failure::Timeout => "timeout",
            Failure::TooLarge => "too_large",
            Failure::Redirect(_) => "redirect",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message())
    }
}

impl std::error::Error for Failure {}
