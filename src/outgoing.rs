//! The one client of every request that leaves this server: to identity providers, and to those who are told of sign-outs. It resolves a name
//! once and connects to that address, refuses addresses that are not public unless the operator allows them, follows no redirect,
//! and bounds bytes, time, and how many requests wait for one host.

mod addresses;
mod request;

use std::error::Error as StdError;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Response, header, redirect, retry};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use url::{Host, Url};

use self::addresses::is_public;
pub use self::request::{Answer, Failure, Method, Request};
use crate::config::{Allowed, Settings};
use crate::error::{Error, Result};
use crate::meters;

/// Requests at once, and those of them that one host may hold: a provider that hangs leaves room for the others.
const AT_ONCE: usize = 256;
const AT_ONCE_PER_HOST: usize = 32;

const CONNECT_WITHIN: Duration = Duration::from_secs(4);

pub struct Outgoing {
    allow: Arc<[Allowed]>,
    /// For hosts that the operator named: wherever they are.
    named: Client,
    /// For any host, over TLS: at public addresses and in the operator's networks.
    anywhere: Client,
    /// For any host, without TLS: in the operator's networks alone.
    inside: Client,
    places: Semaphore,
    hosts: Cache<String, Arc<Semaphore>>,
    meters: meters::Outgoing,
}

impl Outgoing {
    /// Errors are for the operator: the file of authorities cannot be used.
    pub fn new(settings: &Settings, meters: meters::Outgoing) -> Result<Outgoing> {
        let tls = tls(settings.outgoing_ca_file.as_deref())?;
        let allow: Arc<[Allowed]> = settings.outgoing_allow.clone().into();
        let client = |reach| client(tls.clone(), Resolver { reach, allow: allow.clone() });
        Ok(Outgoing {
            named: client(Reach::Everywhere)?,
            anywhere: client(Reach::PublicAndNetworks)?,
            inside: client(Reach::Networks)?,
            allow,
            places: Semaphore::new(AT_ONCE),
            hosts: Cache::new(1_000),
            meters,
        })
    }

    /// One exchange, whole: any status but a redirect is an answer.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
        let began = std::time::Instant::now();
        let outcome = tokio::time::timeout(request.timeout, self.exchange(&request)).await;
        let outcome = outcome.unwrap_or(Err(Failure::Timeout));
        let result = match &outcome {
            Ok(answer) if answer.is_success() => "ok",
            Ok(answer) if answer.status >= 500 => "5xx",
            Ok(_) => "4xx",
            Err(failure) => failure.name(),
        };
        #[allow(clippy::disallowed_methods, reason = "a duration that is only measured")]
        self.meters.observe(result, began.elapsed());
        outcome
    }

    /// Whether a request to this address would be refused by the rules that can be told before its name is resolved.
    pub fn check(&self, url: &str) -> Result<(), Failure> {
        self.client_for(&parse(url)?).map(drop)
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, Failure> {
        let url = parse(&request.url)?;
        let client = self.client_for(&url)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        // By port, too: behind one name there may be servers of many.
        let place = format!("{host}:{}", url.port_or_known_default().unwrap_or_default());
        let at_host = self.hosts.get_or_insert_with(&place, || {
            Ok::<_, Failure>(Arc::new(Semaphore::new(AT_ONCE_PER_HOST)))
        })?;
        // First the host's turn, then the house's: who waits for a slow host holds no place of others.
        let _turn = at_host.acquire().await.map_err(|_| unreachable(&host, "closed"))?;
        let _place = self.places.acquire().await.map_err(|_| unreachable(&host, "closed"))?;
        let mut builder = match request.method {
            Method::Get => client.get(url.clone()),
            Method::Post => client.post(url.clone()).body(request.body.clone()),
        };
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let response = builder.send().await.map_err(|error| explain(&host, error))?;
        if let Some(to) = redirects(&url, &response) {
            return Err(Failure::Redirect(to));
        }
        match request.status_only {
            true => Ok(status(response, request.max_bytes).await),
            false => read(&host, response, request.max_bytes).await,
        }
    }

    /// Which client may be used, by what is known before the name is resolved. Literal addresses are never resolved, so they are
    /// checked here.
    fn client_for(&self, url: &Url) -> Result<&Client, Failure> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        if self.allow.iter().any(|entry| entry.names(host, port)) {
            return Ok(&self.named);
        }
        let ip = match url.host() {
            Some(Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
            Some(Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        let inside = |ip| self.allow.iter().any(|entry| entry.holds(ip));
        let tls = url.scheme() == "https";
        match ip {
            Some(ip) if inside(ip) => Ok(&self.named),
            Some(ip) if !is_public(ip) => Err(Failure::Refused(not_public(host))),
            Some(_) if !tls => Err(Failure::Refused(not_tls(host))),
            // Of these entries none can apply, so that a name is not even asked for.
            None if !tls && !self.allow.iter().any(|e| matches!(e, Allowed::Network { .. })) => {
                Err(Failure::Refused(not_tls(host)))
            }
            None if !tls => Ok(&self.inside),
            _ => Ok(&self.anywhere),
        }
    }
}

fn parse(url: &str) -> Result<Url, Failure> {
    let refuse = |why: &str| Err(Failure::Refused(why.to_owned()));
    let Ok(url) = Url::parse(url) else { return refuse("The address is not a URL.") };
    if !matches!(url.scheme(), "https" | "http") {
        return refuse("The address is neither https nor http.");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("The address holds a user name or password, which would end up in logs.");
    }
    Ok(url)
}

fn not_public(host: &str) -> String {
    format!(
        "{host} is not at a public address. The operator of this server can allow it with the setting outgoing_allow."
    )
}

fn not_tls(host: &str) -> String {
    format!(
        "The address of {host} is not https. The operator of this server can allow plain http to it with the setting outgoing_allow."
    )
}

fn unreachable(host: &str, why: &str) -> Failure {
    Failure::Unreachable(format!("{host} cannot be reached: {why}."))
}

/// Where a redirect leads, without its query. 304 is none.
fn redirects(url: &Url, response: &Response) -> Option<String> {
    if !response.status().is_redirection() {
        return None;
    }
    let location = response.headers().get(header::LOCATION)?.to_str().ok()?;
    let to = match url.join(location) {
        Ok(to) => format!("{}{}", to.origin().ascii_serialization(), to.path()),
        Err(_) => "an address that is none".to_owned(),
    };
    Some(to.chars().take(200).collect())
}

fn head(response: &Response) -> Answer {
    let text = |name| response.headers().get(name)?.to_str().ok().map(str::to_owned);
    Answer {
        status: response.status().as_u16(),
        content_type: text(header::CONTENT_TYPE),
        cache_control: text(header::CACHE_CONTROL),
        retry_after: text(header::RETRY_AFTER),
        body: Vec::new(),
    }
}

/// How long the words of a refusal are waited for.
const REFUSAL_WITHIN: Duration = Duration::from_millis(500);

/// What was answered, without what does not matter.
async fn status(mut response: Response, max_bytes: usize) -> Answer {
    let mut answer = head(&response);
    if answer.is_success() {
        return answer;
    }
    let words = async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = max_bytes.saturating_sub(answer.body.len());
            answer.body.extend(chunk.iter().take(room));
            if chunk.len() > room {
                return;
            }
        }
    };
    // What has come by then is what there is.
    let _ = tokio::time::timeout(REFUSAL_WITHIN, words).await;
    answer
}

async fn read(host: &str, mut response: Response, max_bytes: usize) -> Result<Answer, Failure> {
    let mut answer = head(&response);
    let told = response.content_length().unwrap_or(0);
    if usize::try_from(told).unwrap_or(usize::MAX) > max_bytes {
        return Err(Failure::TooLarge);
    }
    while let Some(chunk) = response.chunk().await.map_err(|error| explain(host, error))? {
        if answer.body.len() + chunk.len() > max_bytes {
            return Err(Failure::TooLarge);
        }
        answer.body.extend_from_slice(&chunk);
    }
    Ok(answer)
}

/// What went wrong below, in words for the operator. The errors of the libraries would repeat the address, query and all.
fn explain(host: &str, error: reqwest::Error) -> Failure {
    let timeout = error.is_timeout();
    let error = error.without_url();
    let mut cause: &dyn StdError = &error;
    while let Some(next) = cause.source() {
        cause = next;
        if let Some(NotAllowed(why)) = cause.downcast_ref() {
            return Failure::Refused(why.clone());
        }
    }
    if timeout { Failure::Timeout } else { unreachable(host, &cause.to_string()) }
}

fn client(tls: ClientConfig, resolver: Resolver) -> Result<Client> {
    Client::builder()
        .user_agent(concat!("cenote/", env!("CARGO_PKG_VERSION")))
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .connect_timeout(CONNECT_WITHIN)
        .pool_idle_timeout(Duration::from_secs(60))
        .pool_max_idle_per_host(4)
        .http1_max_headers(100)
        .http2_max_header_list_size(64 * 1024)
        .build()
        .map_err(Error::internal)
}

/// The public authorities, and those of the operator's file.
fn tls(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = ca_file {
        let unusable = |error: &dyn fmt::Display| {
            Error::invalid(format!(
                "outgoing_ca_file = {} cannot be used: {error}.",
                path.display()
            ))
        };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unusable(&error))? {
            let certificate = certificate.map_err(|error| unusable(&error))?;
            roots.add(certificate).map_err(|error| unusable(&error))?;
        }
        if roots.len() == before {
            return Err(unusable(&"it holds no certificate in PEM form"));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// Where a client may connect to.
#[derive(Clone, Copy)]
enum Reach {
    Everywhere,
    PublicAndNetworks,
    Networks,
}

/// Names become addresses here and nowhere else: what is checked is what is connected to, so a name that changes its address
/// between the two gains nothing.
struct Resolver {
    reach: Reach,
    allow: Arc<[Allowed]>,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, allow) = (self.reach, self.allow.clone());
        Box::pin(async move {
            let host = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            let inside = |ip| allow.iter().any(|entry| entry.holds(ip));
            let reaches = |found: &SocketAddr| match reach {
                Reach::Everywhere => true,
                Reach::PublicAndNetworks => is_public(found.ip()) || inside(found.ip()),
                Reach::Networks => inside(found.ip()),
            };
            let reached: Vec<SocketAddr> = found.iter().copied().filter(reaches).collect();
            if reached.is_empty() && !found.is_empty() {
                let public = found.iter().any(|found| is_public(found.ip()));
                let why = if public { not_tls(host) } else { not_public(host) };
                return Err(NotAllowed(why).into());
            }
            Ok(Box::new(reached.into_iter()) as Addrs)
        })
    }
}

/// The resolver's refusal, found again in the error that comes out at the top.
#[derive(Debug)]
struct NotAllowed(String);

impl fmt::Display for NotAllowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for NotAllowed {}
