//! What every door needs of HTTP: the context of a request, who may talk to a developer's loopback, logging.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Once};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use url::form_urlencoded;

use crate::access::caller::{self, Caller};
use crate::ambient::Ms;
use crate::cx::{self, App, Cx};
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::sigv4::SignedRequest;

/// Whether a request came over our own TLS listener; put into the extensions of the request by the listener.
#[derive(Clone, Copy, Debug)]
pub struct OverTls(pub bool);

/// A client certificate that our own TLS listener verified, put into the extensions of the request by the listener. For the revocation
/// feed only.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// SHA-256, in hexadecimal digits.
    pub fingerprint: Arc<str>,
    /// Whoever lets in by it looks at this each time: a connection may outlive it.
    pub not_after: Ms,
}

/// The certificate of the caller itself: one that a trusted proxy shows is the proxy's, whoever it speaks for.
pub fn client_certificate<'a>(cx: &Cx, parts: &'a Parts) -> Option<&'a ClientCertificate> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip().to_canonical();
    let proxies = &cx.app.settings.trusted_proxies;
    parts
        .extensions
        .get::<ClientCertificate>()
        .filter(|_| !proxies.iter().any(|proxy| proxy.to_canonical() == peer))
}

/// Reads the clock once and says who is asking.
pub fn cx(app: Arc<App>, parts: &Parts) -> Cx {
    let settings = &app.settings;
    let is_proxy =
        |ip: IpAddr| settings.trusted_proxies.iter().any(|proxy| proxy.to_canonical() == ip);
    let peer =
        parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    let text = |name: HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let trusted = peer.is_some_and(is_proxy);
    if !trusted && !settings.dev && parts.headers.contains_key("x-forwarded-for") {
        tell_of_a_proxy(peer);
    }
    // A proxy may add a line of its own below the client's: the last word is the proxy's.
    let forwarded = |name: &'static str| {
        let lines = parts.headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        lines
            .filter(|_| trusted)
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .collect::<Vec<_>>()
    };
    let last = |name: &'static str| forwarded(name).last().copied().map(str::to_owned);

    // From the right: what trusted proxies say of each other, up to the first address that is none of them.
    let ip = forwarded("x-forwarded-for")
        .iter()
        .rev()
        .map_while(|item| {
            // Some proxies write an IPv6 address in brackets, with or without a port.
            let inner = item.strip_prefix('[').and_then(|item| item.strip_suffix(']'));
            let bare = inner.unwrap_or(item).parse::<IpAddr>().ok();
            bare.or_else(|| item.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
                .map(|ip| ip.to_canonical())
        })
        .find(|ip| !is_proxy(*ip))
        .or(peer);
    let tls = parts.extensions.get::<OverTls>().is_some_and(|tls| tls.0);
    let proto = last("x-forwarded-proto");
    let scheme = match proto.as_deref() {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        Some(proto) if proto.eq_ignore_ascii_case("http") => "http",
        _ if tls => "https",
        _ => "http",
    };
    let forwarded_host = last("x-forwarded-host");
    let host = forwarded_host
        .as_deref()
        .or_else(|| text(header::HOST))
        .or_else(|| parts.uri.authority().map(|authority| authority.as_str()))
        .unwrap_or_default();
    let agent: String = text(header::USER_AGENT).unwrap_or_default().chars().take(512).collect();

    let request = cx::Request {
        id: ids::uuid_v4(&*app.random).to_string(),
        ip: ip.map(|ip| ip.to_string()).unwrap_or_default(),
        device: cx::device(&agent),
        access_key: None,
        origin: format!("{scheme}://{}", host.to_ascii_lowercase()),
    };
    Cx::new(app, request)
}

/// Once: a proxy that was forgotten in the configuration is one address for all who come through it, and nothing else would say so. Any
/// client can send the header, too.
fn tell_of_a_proxy(peer: Option<IpAddr>) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        let peer = peer.map(|ip| ip.to_string()).unwrap_or_default();
        tracing::warn!(
            peer,
            "X-Forwarded-For is not believed from this address. If it is a proxy of yours, add it to trusted_proxies: until then all who \
             come through it count as one address, in logs, sessions and rate limits"
        );
    });
}

/// The access key that signed the request for one of these services; `None` in dev, where nothing is verified.
pub async fn caller(
    cx: &Cx,
    parts: &Parts,
    body: &[u8],
    services: &[&str],
) -> Result<Option<Caller>> {
    let headers = signed_headers(cx, parts);
    let request = SignedRequest {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &headers,
        body,
    };
    caller::find(cx, &request, services).await
}

/// The headers as the client signed them. A proxy that we trust may have put its own `Host` in place of the client's.
fn signed_headers(cx: &Cx, parts: &Parts) -> Vec<(String, String)> {
    let asked = cx.request.origin.split_once("://").map_or("", |(_, authority)| authority);
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        let forwarded = name == header::HOST && !value.eq_ignore_ascii_case(asked);
        (name.as_str().to_owned(), if forwarded { asked.to_owned() } else { value.into_owned() })
    });
    headers.collect()
}

/// The host that the request names, without its port.
pub fn host(cx: &Cx) -> &str {
    host_of(&cx.request.origin)
}

/// The host of an origin, without its port or an IPv6 address's brackets.
pub fn host_of(origin: &str) -> &str {
    let authority = origin.split_once("://").map_or("", |(_, authority)| authority);
    match authority.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or(rest, |(ip, _)| ip),
        None => authority.rsplit_once(':').map_or(authority, |(host, _)| host),
    }
}

/// Any web page can reach a developer's loopback, and nothing is verified there: an unsigned-in page's scripts are told
/// apart by the `Origin` that browsers always send across origins.
pub fn refuse_foreign_origin(cx: &Cx, headers: &HeaderMap) -> Result<()> {
    if !cx.app.settings.dev {
        return Ok(());
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or_default();
    // The request's own origin comes from its Host, which a page that rebinds its name chooses.
    let own = is_dev_host(cx) && origin == cx.request.origin;
    if own || origin == cx.app.settings.public_url || origin == cx.app.settings.pages_url {
        return Ok(());
    }
    Err(Error::new(
        Kind::Forbidden,
        "cenote dev refuses this operation from web pages of other origins: it accepts any credentials, and every page could call it.",
    ))
}

/// In dev only loopback names are served, so that a page cannot reach this server under a name of its own (DNS rebinding).
/// Every browser names a host; what names none is no browser.
pub fn is_dev_host(cx: &Cx) -> bool {
    let host = host(cx);
    matches!(host, "" | "localhost" | "127.0.0.1" | "::1")
        || host.ends_with(".localhost")
        || host == host_of(&cx.app.settings.public_url)
}

/// One line per request, and one more in its counter. Nothing from its body.
pub fn log(cx: &Cx, door: &'static str, what: &str, error: Option<&Error>) {
    let request_id = &cx.request.id;
    let what: &str = &what.chars().take(64).collect::<String>();
    // At the JSON door the name is whatever the client wrote.
    let known = door != "cognito" || cenote_interface::operation(what).is_some();
    cx.app.meters.count(
        door,
        if known { what } else { "unknown" },
        error.map_or("ok", |error| error.kind.cognito()),
    );
    match error {
        None => tracing::info!(%request_id, door, what, ip = %cx.request.ip, "ok"),
        Some(error) if matches!(error.kind, Kind::Internal | Kind::ServiceUnavailable) => {
            tracing::error!(%request_id, door, what, ip = %cx.request.ip, error = error.kind.cognito(), cause = error.cause(), "failed");
        }
        Some(error) => {
            tracing::info!(%request_id, door, what, ip = %cx.request.ip, error = error.kind.cognito(), reason = &*error.message, "refused");
        }
    }
}

/// Inserts a header if its text can be one; control and non-ASCII characters are dropped.
pub fn insert(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    let clean: String = text.chars().filter(|c| (' '..='~').contains(c)).collect();
    if let Ok(value) = HeaderValue::from_str(&clean) {
        headers.insert(name, value);
    }
}

/// `Authorization: Basic`, decoded; user and password form-decoded as RFC 6749, 2.3.1 asks.
pub fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || encoded.len() > 4_096 {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    let decode = |text: &str| {
        form_urlencoded::parse(format!("x={text}").as_bytes())
            .next()
            .map(|(_, value)| value.into_owned())
    };
    // A `+` in a secret that was not form-encoded must stay one.
    let plain = |text: &str| if text.contains('%') { decode(text) } else { Some(text.to_owned()) };
    Some((plain(user)?, plain(password)?))
}

/// `Authorization: Bearer`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// How long a client may take to send its body. The clock is read after that: a request is judged by the time at which it is
/// complete.
const BODY: std::time::Duration = std::time::Duration::from_secs(15);

/// A body of at most `limit` bytes.
pub async fn read(body: Body, limit: usize) -> Result<axum::body::Bytes> {
    let collected = tokio::time::timeout(BODY, Limited::new(body, limit).collect()).await;
    match collected {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Error::new(
            Kind::RequestEntityTooLarge,
            format!("The request body is larger than {limit} bytes."),
        )),
        Ok(Err(error)) => {
            Err(Error::new(Kind::Serialization, "The request body could not be read.")
                .because(error))
        }
        Err(_) => Err(Error::new(
            Kind::Serialization,
            "The request body did not arrive within 15 seconds.",
        )),
    }
}

/// A form body of at most `limit` bytes.
pub async fn form(headers: &HeaderMap, body: Body, limit: usize) -> Result<String> {
    let kind =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !kind.to_ascii_lowercase().starts_with("application/x-www-form-urlencoded") {
        return Err(Error::invalid("The Content-Type must be application/x-www-form-urlencoded."));
    }
    String::from_utf8(read(body, limit).await?.to_vec())
        .map_err(|_| Error::invalid("The form is not UTF-8."))
}
