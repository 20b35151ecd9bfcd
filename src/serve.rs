//! Listening: sockets, TLS, HTTP/1.1 and HTTP/2, limits on what a connection may cost, and stopping without losing a request.
//! What is served is the router's business.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, StatusCode, header};
use axum::response::IntoResponse as _;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::app;
use crate::cx::App;
use crate::error::{Error, Result};
use crate::http::{ClientCertificate, OverTls};
use crate::meters::Gauge;
use crate::tls;

/// How long a client may take for the TLS handshake, and for the head of a request, which also bounds an idle connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
const REQUEST_HEAD: Duration = Duration::from_secs(30);
/// Connections of all public listeners together. Each costs some 50 KiB with TLS, and a file descriptor (`docs/configuration.md`).
const MAX_CONNECTIONS: usize = 10_000;
/// Connections of the operator's listener, which must answer when the others are full.
const MAX_OPERATOR_CONNECTIONS: usize = 64;
/// Requests at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 100;
const MAX_HEAD_BYTES: u32 = 64 << 10;
/// How often an idle HTTP/2 connection is asked whether its client still lives.
const PING: Duration = Duration::from_secs(30);
/// How long requests that have begun may take once the server was told to stop.
const DRAIN: Duration = Duration::from_secs(20);
/// The same for the operator's, which are answered from memory and last.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// One socket and what it serves.
pub struct Door {
    pub listener: TcpListener,
    pub tls: Option<Arc<ServerConfig>>,
    pub router: Router,
    /// For the operator alone: it has connections of its own, and stays until everything else has ended.
    pub operator: bool,
}

/// SIGTERM and SIGINT, caught from the moment this is made: from then on they end the server in good order.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub fn catch() -> Result<Signals> {
        let catch = |kind| {
            signal(kind)
                .map_err(|error| Error::internal(format!("signals cannot be caught: {error}")))
        };
        Ok(Signals {
            terminate: catch(SignalKind::terminate())?,
            interrupt: catch(SignalKind::interrupt())?,
        })
    }

    pub async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Serves until a signal comes, then finishes what was begun and closes the database. A second signal ends the waiting.
pub async fn run(app: Arc<App>, doors: Vec<Door>, mut signals: Signals) {
    let (operators, public): (Vec<_>, Vec<_>) = doors.into_iter().partition(|door| door.operator);
    let public = Doors::open(public, MAX_CONNECTIONS, app.meters.connections("public"));
    let operators =
        Doors::open(operators, MAX_OPERATOR_CONNECTIONS, app.meters.connections("operator"));
    let workers = app::workers(&app, public.stop.subscribe());

    signals.next().await;
    tracing::info!("stopping: requests that have begun are finished");
    // From here on `/readyz` says so, on a listener that is still there.
    app.meters.drain();
    tokio::select! {
        drained = timeout(DRAIN, public.close()) => if drained.is_err() {
            tracing::warn!("some requests did not end in time; their connections are closed");
        },
        () = signals.next() => tracing::warn!("a second signal: open connections are closed"),
    }
    if timeout(DRAIN, workers.join_all()).await.is_err() {
        tracing::warn!("a worker did not end in time");
    }
    let _ = timeout(LAST_WORDS, operators.close()).await;
    app.db.close().await;
    tracing::info!("stopped");
}

/// Doors that share a limit and are closed together.
pub struct Doors {
    stop: watch::Sender<bool>,
    graceful: Arc<GracefulShutdown>,
    loops: JoinSet<()>,
}

impl Doors {
    pub fn open(doors: Vec<Door>, limit: usize, open: Gauge) -> Doors {
        let stop = watch::Sender::new(false);
        let graceful = Arc::new(GracefulShutdown::new());
        let slots = Arc::new(Slots { free: Arc::new(Semaphore::new(limit)), limit, open });
        let mut loops = JoinSet::new();
        for door in doors {
            loops.spawn(accept(door, graceful.clone(), slots.clone(), stop.subscribe()));
        }
        Doors { stop, graceful, loops }
    }

    /// The loops end and drop their listeners, so that new connections are refused; then those that exist end.
    pub async fn close(self) {
        self.stop.send_replace(true);
        self.loops.join_all().await;
        if let Ok(graceful) = Arc::try_unwrap(self.graceful) {
            graceful.shutdown().await;
        }
    }
}

/// How many connections there may be. Beyond that they wait in the kernel's queue.
struct Slots {
    free: Arc<Semaphore>,
    limit: usize,
    open: Gauge,
}

impl Slots {
    async fn take(&self, full: &mut bool) -> Option<OwnedSemaphorePermit> {
        if let Ok(slot) = self.free.clone().try_acquire_owned() {
            // Told anew only after it was over: at the limit this is asked for every connection.
            *full &= self.free.available_permits() < self.limit / 10;
            return Some(slot);
        }
        if !*full {
            *full = true;
            tracing::warn!(limit = self.limit, "all connections are taken; new ones wait");
        }
        self.free.clone().acquire_owned().await.ok()
    }
}

async fn accept(
    door: Door,
    graceful: Arc<GracefulShutdown>,
    slots: Arc<Slots>,
    mut stopped: watch::Receiver<bool>,
) {
    let Door { listener, tls, router, .. } = door;
    let tls = tls.map(TlsAcceptor::from);
    let mut full = false;
    loop {
        let accepted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            accepted = async {
                let slot = slots.take(&mut full).await;
                (listener.accept().await, slot)
            } => accepted,
        };
        let ((stream, peer), slot) = match accepted {
            (Ok(accepted), Some(slot)) => (accepted, slot),
            (Err(error), _) => {
                refused(&error).await;
                continue;
            }
            (_, None) => return,
        };
        let watcher = graceful.watcher();
        let (tls, router, stopped) = (tls.clone(), router.clone(), stopped.clone());
        let counted = Counted::one(&slots.open);
        tokio::spawn(async move {
            connection(stream, peer, tls, router, watcher, stopped).await;
            drop((slot, counted));
        });
    }
}

/// An open connection in its gauge, however it ends.
struct Counted(Gauge);

impl Counted {
    fn one(gauge: &Gauge) -> Counted {
        gauge.inc();
        Counted(gauge.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A client that went away before it was accepted is its own business; running out of files is ours, and passes.
async fn refused(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return;
    }
    tracing::error!(%error, "a connection could not be accepted");
    #[allow(
        clippy::disallowed_methods,
        reason = "without a pause the loop would spin until files are free again"
    )]
    tokio::time::sleep(Duration::from_millis(200)).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    watcher: Watcher,
    mut stopped: watch::Receiver<bool>,
) {
    // An answer is small; waiting to fill a packet would only delay it.
    let _ = stream.set_nodelay(true);
    let Some(acceptor) = tls else {
        return http(stream, peer, Over::Plain, router, watcher, REQUEST_HEAD).await;
    };
    let shaken = tokio::select! {
        _ = stopped.wait_for(|stop| *stop) => return,
        shaken = timeout(HANDSHAKE, acceptor.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => match tls::client(stream.get_ref().1) {
            Ok(client) => {
                let client = client.map(|client| ClientCertificate {
                    fingerprint: client.fingerprint.into(),
                    not_after: client.not_after,
                });
                http(stream, peer, Over::Tls(client), router, watcher, REQUEST_HEAD).await;
            }
            Err(error) => tracing::info!(%peer, %error, "a client was turned away"),
        },
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS handshake"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

/// How a request came.
enum Over {
    Plain,
    Tls(Option<ClientCertificate>),
}

async fn http<S>(
    stream: S,
    peer: SocketAddr,
    over: Over,
    router: Router,
    watcher: Watcher,
    patience: Duration,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let begun = Arc::new(Notify::new());
    let begins = begun.clone();
    let (tls, client) = match over {
        Over::Plain => (OverTls(false), None),
        Over::Tls(client) => (OverTls(true), client),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        begins.notify_one();
        let (router, client) = (router.clone(), client.clone());
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(tls);
            if let Some(client) = client {
                request.extensions_mut().insert(client);
            }
            match name_host(&mut request) {
                Ok(()) => router.oneshot(request).await,
                Err(why) => Ok((StatusCode::BAD_REQUEST, why).into_response()),
            }
        }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .max_buf_size(MAX_HEAD_BYTES as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEAD_BYTES)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    // The builder's own timeouts begin once it knows the version of HTTP, for which it waits without end.
    let silent = async {
        if timeout(patience, begun.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = watcher.watch(connection) => if let Err(error) = ended {
            tracing::debug!(%peer, %error, "a connection broke");
        },
        () = silent => tracing::debug!(%peer, "a connection without a request is closed"),
    }
}

/// The host of a request stands in `Host`, once. HTTP/2 and absolute targets carry it as the authority, which then wins
/// (RFC 9113, section 8.3.1; RFC 9112, section 3.2.2). Two hosts, or one with a user name, would be read differently by different readers.
fn name_host(request: &mut Request<Body>) -> Result<(), &'static str> {
    if let Some(authority) = request.uri().authority() {
        let authority =
            HeaderValue::from_str(authority.as_str()).map_err(|_| "The host is malformed.\n")?;
        request.headers_mut().insert(header::HOST, authority);
    }
    let mut hosts = request.headers().get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if host.as_bytes().contains(&b'@') => Err("The host is malformed.\n"),
        (Some(_), Some(_)) => Err("The request names two hosts.\n"),
        _ => Ok(()),
    }
}

/// Sockets on 127.0.0.1 and [::1] with the same port; 0 takes a free one. Without IPv6, IPv4 has to do.
pub async fn bind_loopback(port: u16) -> Result<(Vec<TcpListener>, u16)> {
    // A free IPv4 port may be taken on IPv6.
    for _ in 0..16 {
        let v4 = bind((Ipv4Addr::LOCALHOST, port).into()).await?;
        let bound = v4.local_addr().map_err(Error::internal)?.port();
        match TcpListener::bind((Ipv6Addr::LOCALHOST, bound)).await {
            Ok(v6) => return Ok((vec![v4, v6], bound)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port == 0 => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(taken(([0, 0, 0, 0, 0, 0, 0, 1], port).into(), &error));
            }
            Err(error) => {
                tracing::warn!(%error, "[::1] cannot be bound; only 127.0.0.1 is served");
                return Ok((vec![v4], bound));
            }
        }
    }
    Err(Error::internal("no port is free on 127.0.0.1 and [::1] at once"))
}

pub async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| taken(address, &error))
}

/// Where a socket listens, for people to read.
pub fn address(listener: &TcpListener) -> String {
    listener.local_addr().map_or_else(|_| "unknown".to_owned(), |address| address.to_string())
}

fn taken(address: SocketAddr, error: &io::Error) -> Error {
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse => {
            " Another program listens there: end it, or choose another port."
        }
        io::ErrorKind::PermissionDenied => {
            " Ports below 1024 need a privilege: choose another port."
        }
        _ => "",
    };
    Error::invalid(format!("Cannot listen on {address}: {error}.{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host_of(uri: &str, hosts: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header("host", *host);
        }
        let mut request = request.body(Body::empty()).unwrap();
        name_host(&mut request).ok()?;
        request.headers().get("host").map(|host| host.to_str().unwrap().to_owned())
    }

    #[tokio::test]
    async fn a_connection_that_asks_for_nothing_is_closed_and_one_that_asked_may_wait() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let patience = Duration::from_millis(100);
        let graceful = GracefulShutdown::new();
        let connect = || {
            let (ours, theirs) = tokio::io::duplex(4096);
            let router = Router::new().route("/", axum::routing::get(|| async { "ok" }));
            let peer = (Ipv4Addr::LOCALHOST, 1).into();
            let watcher = graceful.watcher();
            tokio::spawn(http(theirs, peer, Over::Plain, router, watcher, patience));
            ours
        };
        // Half of the preface of HTTP/2 is not yet a version.
        for beginning in ["", "PRI", "GET"] {
            let mut stream = connect();
            stream.write_all(beginning.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
            assert!(ended.is_ok_and(|read| read.is_ok()) && answer.is_empty(), "{beginning}");
        }
        let mut stream = connect();
        let mut answer = [0; 12];
        stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        stream.read_exact(&mut answer).await.unwrap();
        let ended = async { while stream.read_u8().await.is_ok() {} };
        assert!(timeout(patience * 5, ended).await.is_err());
    }

    #[tokio::test]
    async fn who_finds_all_connections_taken_waits() {
        let slots = Slots { free: Arc::new(Semaphore::new(1)), limit: 1, open: Gauge::default() };
        let mut full = false;
        let first = slots.take(&mut full).await;
        assert!(first.is_some() && !full);
        assert!(timeout(Duration::from_millis(20), slots.take(&mut full)).await.is_err());
        assert!(full);
        drop(first);
        assert!(slots.take(&mut full).await.is_some());
    }

    #[test]
    fn the_authority_of_http_2_arrives_as_the_host() {
        assert_eq!(
            host_of("https://id.example.com:8443/", &[]).as_deref(),
            Some("id.example.com:8443")
        );
        assert_eq!(
            host_of("https://id.example.com/", &["other.example"]).as_deref(),
            Some("id.example.com")
        );
        assert_eq!(host_of("/", &["id.example.com"]).as_deref(), Some("id.example.com"));
        assert_eq!(host_of("/", &["id.example.com", "other.example"]), None);
        assert_eq!(host_of("https://user@id.example.com/", &[]), None);
    }
}
