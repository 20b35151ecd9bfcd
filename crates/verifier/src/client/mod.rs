//! How the server is asked: one HTTP client whose answers are bounded in bytes and in time, and who we are to it.

mod discovery;
mod disk;
mod follow;
mod introspect;
mod keys;

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::clock::Clock;

pub(crate) use discovery::Endpoints;
pub(crate) use disk::Disk;
pub(crate) use follow::{follow, keep_house};
pub(crate) use introspect::Introspection;
pub(crate) use keys::{Keys, Renewal};

const CONNECT_WITHIN: Duration = Duration::from_secs(2);
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(4);
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_WITHIN: Duration = Duration::from_secs(2);
/// The longest wait that a server may ask for.
const MAX_RETRY_AFTER_SECS: u64 = 5;
const MAX_DOCUMENT: usize = 256 * 1024;

/// Who we are to the feed.
#[derive(Clone)]
pub enum Credentials {
    /// An app client with the grant `client_credentials` and the scope `revocations/read`. Also what introspection needs.
    Client { id: String, secret: String },
    /// An access token that somebody else renews.
    Token(String),
    /// A client certificate, as PEM: the certificate chain, and its private key.
    Certificate { chain: Vec<u8>, key: Vec<u8> },
    /// None: only for a server that asks for none.
    None,
}

/// What went wrong at the server's end or on the way, in words for the operator.
#[derive(Debug)]
pub(crate) enum Failure {
    /// An answer, but not the one that was hoped for. What it says of itself, and how long it asks us to wait.
    Status(StatusCode, String, Duration),
    Unreachable(String),
    Malformed(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Status(status, why, _) if why.is_empty() => write!(f, "it answered {status}"),
            Failure::Status(status, why, _) => write!(f, "it answered {status}: {why}"),
            Failure::Unreachable(why) | Failure::Malformed(why) => f.write_str(why),
        }
    }
}

impl Failure {
    /// Somewhere else than where the question was to go.
    fn at(mut self, url: &str) -> Failure {
        let (Failure::Status(_, why, ..) | Failure::Unreachable(why) | Failure::Malformed(why)) =
            &mut self;
        *why = format!("{url}: {why}");
        self
    }
}

pub(crate) struct Http {
    client: Client,
    credentials: Credentials,
    clock: Arc<dyn Clock>,
    token: Mutex<Option<(String, u64)>>,
}

impl Http {
    /// `ca` are root certificates as PEM, beside those of the web.
    pub fn new(
        credentials: Credentials,
        ca: Option<&[u8]>,
        clock: Arc<dyn Clock>,
    ) -> Result<Http, String> {
        let client = Client::builder()
            .user_agent(concat!("cenote-verifier/", env!("CARGO_PKG_VERSION")))
            .tls_backend_preconfigured(tls(&credentials, ca)?)
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT_WITHIN)
            .timeout(ANSWER_WITHIN)
            // A connection that died unnoticed, as in a sleep of the machine, would swallow every question until TCP gives it up.
            .http2_keep_alive_interval(PING_EVERY)
            .http2_keep_alive_timeout(PING_WITHIN)
            .http2_keep_alive_while_idle(true)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Http { client, credentials, clock, token: Mutex::new(None) })
    }

    /// A document that anybody may read.
    pub async fn document(&self, url: &str) -> Result<Vec<u8>, Failure> {
        self.send(self.client.get(url), MAX_DOCUMENT).await
    }

    /// A GET as who we are.
    pub async fn get(
        &self,
        endpoints: &Endpoints,
        url: &str,
        query: &[(&str, &str)],
        within: Duration,
        max: usize,
    ) -> Result<Vec<u8>, Failure> {
        let mut url =
            url::Url::parse(url).map_err(|_| Failure::Malformed(format!("{url} is no address")))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.get(url).timeout(within);
        let token = match self.bearer(endpoints).await {
            // Who lets in nobody any more may still say goodbye: a pool that is gone ends its feed without asking who we are.
            Err(refused @ Failure::Status(..)) => {
                return self.send(request, max).await.map_err(|_| refused);
            }
            token => token?,
        };
        let answer = match token {
            Some(token) => self.send(request.bearer_auth(token), max).await,
            None => self.send(request, max).await,
        };
        if let Err(Failure::Status(StatusCode::UNAUTHORIZED, ..)) = answer {
            // Perhaps it was revoked: the next attempt gets a new one.
            *self.token.lock().await = None;
        }
        answer
    }

    /// A POST of a form by the app client that we are; `None` if we are none.
    pub async fn form(&self, url: &str, form: &[(&str, &str)]) -> Option<Result<Vec<u8>, Failure>> {
        let Credentials::Client { id, secret } = &self.credentials else { return None };
        // RFC 6749, 2.3.1: both are form-encoded before they go into the header.
        let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let (id, secret): (String, String) = (encode(id), encode(secret));
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.client.post(url).basic_auth(id, Some(secret));
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(body);
        Some(self.send(request, MAX_DOCUMENT).await)
    }

    async fn bearer(&self, endpoints: &Endpoints) -> Result<Option<String>, Failure> {
        #[derive(Deserialize)]
        struct Granted {
            access_token: String,
            #[serde(default)]
            expires_in: u64,
        }
        match &self.credentials {
            Credentials::Token(token) => return Ok(Some(token.clone())),
            Credentials::Certificate { .. } | Credentials::None => return Ok(None),
            Credentials::Client { .. } => {}
        }
        let mut held = self.token.lock().await;
        let now = self.clock.monotonic_ms();
        if let Some((token, until)) = &*held
            && now < *until
        {
            return Ok(Some(token.clone()));
        }
        let form = [("grant_type", "client_credentials"), ("scope", "revocations/read")];
        let Some(answer) = self.form(&endpoints.token, &form).await else { return Ok(None) };
        let answer = answer.map_err(|failure| failure.at(&endpoints.token))?;
        let granted: Granted = serde_json::from_slice(&answer)
            .map_err(|_| Failure::Malformed("the token endpoint gave no access token".into()))?;
        // Renewed well before it expires.
        let until = now + granted.expires_in.saturating_sub(60).clamp(10, 86_400) * 1_000;
        *held = Some((granted.access_token.clone(), until));
        Ok(Some(granted.access_token))
    }

    async fn send(&self, request: RequestBuilder, max: usize) -> Result<Vec<u8>, Failure> {
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let wait = retry_after(response.headers());
        let max = if status.is_success() { max } else { 4_096 };
        let told = response.content_length().unwrap_or(0);
        if status.is_success() && usize::try_from(told).unwrap_or(usize::MAX) > max {
            return Err(Failure::Malformed(format!("its answer has more than {max} bytes")));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > max {
                if status.is_success() {
                    return Err(Failure::Malformed(format!(
                        "its answer has more than {max} bytes"
                    )));
                }
                break;
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            return Err(Failure::Status(status, explained(&body), wait));
        }
        Ok(body)
    }
}

/// RFC 9110, 10.2.3, in seconds; a date is not understood.
fn retry_after(headers: &reqwest::header::HeaderMap) -> Duration {
    let value = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    Duration::from_secs(value.unwrap_or(0).min(MAX_RETRY_AFTER_SECS))
}

/// What an OAuth error says of itself, as far as a log line has room.
fn explained(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Said {
        error: String,
        #[serde(default)]
        error_description: String,
    }
    let Ok(said) = serde_json::from_slice::<Said>(body) else { return String::new() };
    let text = match said.error_description.as_str() {
        "" => said.error,
        more => format!("{} ({more})", said.error),
    };
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The innermost cause; the outer ones repeat the address.
fn unreachable(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    Failure::Unreachable(if error.is_timeout() {
        "no answer in time".into()
    } else {
        cause.to_string()
    })
}

fn tls(credentials: &Credentials, ca: Option<&[u8]>) -> Result<rustls::ClientConfig, String> {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};

    let certificates = |pem: &[u8]| {
        let read: Result<Vec<CertificateDer<'static>>, _> =
            CertificateDer::pem_slice_iter(pem).collect();
        match read {
            Ok(read) if read.is_empty() => {
                Err("there is no certificate in the PEM text".to_owned())
            }
            read => read.map_err(|error| format!("a certificate could not be read: {error}")),
        }
    };
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for certificate in ca.map(certificates).transpose()?.unwrap_or_default() {
        roots
            .add(certificate)
            .map_err(|error| format!("a root certificate was refused: {error}"))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots);
    let mut config = match credentials {
        Credentials::Certificate { chain, key } => {
            let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| {
                format!("the client certificate's key could not be read: {error}")
            })?;
            config
                .with_client_auth_cert(certificates(chain)?, key)
                .map_err(|error| format!("the client certificate was refused: {error}"))?
        }
        _ => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
