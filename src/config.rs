//! What the operator decides. `Settings` is what the running server reads; the command line, the environment and the
//! configuration file that fill it are in `cli`.

use crate::ambient::{HOUR, Ms};

#[derive(Clone, Debug)]
pub struct Settings {
    /// `cenote dev`: everything on loopback, any credentials, a visible outbox.
    pub dev: bool,
    /// Scheme and authority of the JSON API and of issuers, without a trailing slash.
    pub public_url: String,
    /// Scheme and authority under which the hosted pages are offered in path form. In dev it is the TLS listener,
    /// because Amplify only opens `https` pages.
    pub pages_url: String,
    /// Whether hosted pages are served under `{public_url}/{pool}/`. Paths are no security boundary between pools.
    pub path_form: bool,
    /// The part of new pool ids before `_`.
    pub region: String,
    /// Twelve digits, in ARNs.
    pub account_id: String,
    /// How long a browser session lasts, and how long renewals can carry it from the last fresh authentication.
    pub browser_session_ms: Ms,
    pub browser_session_limit_ms: Ms,
    /// Addresses of proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<std::net::IpAddr>,
    /// How mail leaves; without it, whatever would send mail is refused. In dev nothing leaves, with or without it.
    pub mail: Option<Mail>,
}

/// The SMTP server that takes our mail.
#[derive(Clone)]
pub struct Mail {
    /// `smtps://user:password@host:465`, `smtp://user:password@host:587?tls=required`, or `smtp://localhost` without TLS.
    pub smtp_url: String,
    /// `Name <address>` or a bare address.
    pub from: String,
}

/// The URL may hold a password.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mail {{ smtp_url: [redacted], from: {:?} }}", self.from)
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            dev: true,
            public_url: "http://localhost:9229".to_owned(),
            pages_url: "https://localhost:9230".to_owned(),
            path_form: true,
            region: "us-east-1".to_owned(),
            account_id: "123456789012".to_owned(),
            browser_session_ms: HOUR,
            browser_session_limit_ms: 24 * HOUR,
            trusted_proxies: Vec::new(),
            mail: None,
        }
    }
}
