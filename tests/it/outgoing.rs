//! The one client of outgoing requests: where it goes, what it reads, and what it says when it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cenote::ambient::{Clock as _, SystemClock, SystemRandom};
use cenote::config::Settings;
use cenote::meters;
use cenote::outgoing::{Answer, Failure, Outgoing, Request};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::cli::Scratch;
use crate::provider::{Behaviour, Provider};

/// A client for which these entries are `outgoing_allow`.
fn client(allow: &[&str]) -> Outgoing {
    let outgoing_allow = allow.iter().map(|entry| entry.parse().unwrap()).collect();
    let settings = Settings { outgoing_allow, ..Settings::default() };
    Outgoing::new(&settings, meters::Outgoing::default()).unwrap()
}

fn here() -> Outgoing {
    Outgoing::new(&Settings::default(), meters::Outgoing::default()).unwrap()
}

async fn refusal(client: &Outgoing, url: &str) -> String {
    match client.send(Request::get(url)).await {
        Err(Failure::Refused(why)) => why,
        other => panic!("{url}: {other:?}"),
    }
}

/// A server that says these bytes to whoever connects, and counts them.
async fn says(bytes: &'static [u8]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, count) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counter = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(bytes).await;
                hold(stream).await;
            });
        }
    });
    (port, count)
}

/// Keeps a connection open until the other side closes it.
async fn hold(mut stream: TcpStream) {
    let mut rest = [0; 1_024];
    while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
}

#[tokio::test]
async fn an_answer_comes_whole_with_what_says_how_to_read_it() {
    let provider = Provider::start().await;
    let answer: Answer = here().send(Request::get(format!("{}/jwks", provider.url))).await.unwrap();
    assert_eq!(answer.status, 200);
    assert_eq!(answer.content_type.as_deref(), Some("application/json"));
    assert_eq!(answer.cache_control.as_deref(), Some("no-store"));
    assert!(answer.body.starts_with(b"{\"keys\":["));
    let missing = here().send(Request::get(format!("{}/nothing", provider.url))).await.unwrap();
    assert_eq!((missing.status, missing.is_success()), (404, false));
    let agent = &provider.asked("/jwks")[0].headers["user-agent"];
    assert_eq!(agent, concat!("cenote/", env!("CARGO_PKG_VERSION")));
}

#[tokio::test]
async fn forms_and_soap_calls_are_posted_as_their_bindings_want() {
    let provider = Provider::start().await;
    let url = format!("{}/revoke", provider.url);
    here().send(Request::form(&url, &[("token", "a+b &c"), ("x", "é")])).await.unwrap();
    here().send(Request::soap(&url, "<Envelope/>").header("x-more", "1")).await.unwrap();
    let asked = provider.asked("/revoke");
    assert_eq!(asked[0].form["token"], "a+b &c");
    assert_eq!(asked[0].form["x"], "é");
    assert_eq!(asked[0].headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!((asked[1].method.as_str(), asked[1].body.as_str()), ("POST", "<Envelope/>"));
    assert_eq!(asked[1].headers["content-type"], "text/xml; charset=utf-8");
    assert!(asked[1].headers.contains_key("soapaction"));
    assert_eq!(asked[1].headers["x-more"], "1");
}

#[tokio::test]
async fn addresses_that_are_not_public_are_refused_without_a_connection() {
    let (port, count) = says(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let client = client(&[]);
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "0.0.0.0",
        "[::ffff:127.0.0.1]",
        // Other spellings of 127.0.0.1.
        "2130706433",
        "0x7f.1",
        "017700000001",
        "127.1",
        "10.0.0.1",
        "169.254.169.254",
        "100.100.100.200",
        "[fd00:ec2::254]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        for scheme in ["http", "https"] {
            let why = refusal(&client, &format!("{scheme}://{host}:{port}/latest/meta-data")).await;
            assert!(why.contains("outgoing_allow"), "{host}: {why}");
        }
    }
    assert_eq!(count.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_the_operator_allows_is_reached_and_its_neighbours_are_not() {
    let (port, _) = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let (other, _) = says(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nno").await;
    let at_port = format!("localhost:{port}");
    for allow in ["127.0.0.0/8", "localhost", at_port.as_str()] {
        let client = client(&[allow]);
        let answer = client.send(Request::get(format!("http://localhost:{port}/"))).await;
        assert_eq!(answer.unwrap().body, b"ok", "{allow}");
    }
    let client = client(&[&at_port]);
    refusal(&client, &format!("http://localhost:{other}/")).await;
    // A name is allowed, and not its address under every name.
    refusal(&client, &format!("http://127.0.0.1:{port}/")).await;
}

#[tokio::test]
async fn plain_http_to_the_internet_is_refused() {
    for allow in [&[][..], &["10.0.0.0/8"]] {
        let why = refusal(&client(allow), "http://8.8.8.8/").await;
        assert!(why.contains("not https"), "{why}");
    }
    let why = refusal(&client(&[]), "http://idp.example/").await;
    assert!(why.contains("not https"), "{why}");
    // With a network, a name must be resolved to be told; one that leads elsewhere is still refused.
    let why = refusal(&client(&["10.0.0.0/8"]), "http://localhost/").await;
    assert!(why.contains("outgoing_allow"), "{why}");
}

#[tokio::test]
async fn only_http_is_spoken_and_passwords_stay_out_of_addresses() {
    for url in
        ["file:///etc/passwd", "ftp://example.com/", "gopher://example.com/", "not a url", ""]
    {
        refusal(&here(), url).await;
    }
    let why = refusal(&here(), "https://ann:secret@example.com/").await;
    assert!(why.contains("password") && !why.contains("secret"), "{why}");
}

#[tokio::test]
async fn redirects_are_told_and_not_followed() {
    let provider = Provider::start().await;
    provider.does("/metadata", Behaviour::Redirect("/elsewhere?secret=1".into()));
    let failure = here().send(Request::get(format!("{}/metadata", provider.url))).await;
    assert_eq!(failure.unwrap_err(), Failure::Redirect(format!("{}/elsewhere", provider.url)));
    let inside = "http://169.254.169.254/latest/meta-data";
    provider.does("/metadata", Behaviour::Redirect(inside.into()));
    let failure = here().send(Request::get(format!("{}/metadata", provider.url))).await;
    assert_eq!(failure.unwrap_err(), Failure::Redirect(inside.into()));
    assert!(provider.asked("/elsewhere").is_empty());
}

#[tokio::test]
async fn no_more_is_read_than_was_asked_for() {
    let provider = Provider::start().await;
    provider.does("/metadata", Behaviour::Huge);
    let request = Request::get(format!("{}/metadata", provider.url));
    assert_eq!(here().send(request).await.unwrap_err(), Failure::TooLarge);
    // A length that is not told, and one that is a lie.
    let (port, _) = says(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n8\r\n12345678\r\n8\r\n12345678\r\n8\r\n12345678\r\n",
    )
    .await;
    let request = Request::get(format!("http://127.0.0.1:{port}/")).max_bytes(20);
    assert_eq!(here().send(request).await.unwrap_err(), Failure::TooLarge);
    let (port, _) = says(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n1").await;
    let request = Request::get(format!("http://127.0.0.1:{port}/"));
    assert_eq!(here().send(request).await.unwrap_err(), Failure::TooLarge);
}

#[tokio::test]
async fn silence_and_dripping_end_when_the_time_is_over() {
    let provider = Provider::start().await;
    provider.does("/jwks", Behaviour::Silence);
    let (port, _) = says(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
    for url in [format!("{}/jwks", provider.url), format!("http://127.0.0.1:{port}/")] {
        let request = Request::get(url).timeout(Duration::from_millis(100));
        assert_eq!(here().send(request).await.unwrap_err(), Failure::Timeout);
    }
}

#[tokio::test]
async fn what_cannot_be_reached_is_named_without_its_path() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let failure = here().send(Request::get(format!("http://127.0.0.1:{port}/?code=s3cret"))).await;
    let failure = failure.unwrap_err();
    assert!(
        matches!(&failure, Failure::Unreachable(why) if why.contains("127.0.0.1")),
        "{failure:?}"
    );
    assert!(!failure.message().contains("s3cret"));
    let (port, _) = says(b"220 mail.example ESMTP\r\n").await;
    let failure = here().send(Request::get(format!("http://127.0.0.1:{port}/?code=s3cret"))).await;
    assert!(matches!(failure.as_ref().unwrap_err(), Failure::Unreachable(_)), "{failure:?}");
    assert!(!failure.unwrap_err().message().contains("s3cret"));
}

#[tokio::test]
async fn requests_to_a_host_that_hangs_leave_room_for_others() {
    let hanging = Provider::start().await;
    hanging.does("/jwks", Behaviour::Silence);
    let (port, _) =
        says(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok").await;
    let client = Arc::new(client(&["127.0.0.0/8", "localhost"]));
    let mut waiting = tokio::task::JoinSet::new();
    for _ in 0..400 {
        let (client, url) = (client.clone(), format!("{}/jwks", hanging.url));
        let request = Request::get(url).timeout(Duration::from_secs(3));
        waiting.spawn(async move { client.send(request).await });
    }
    // Another name, so another host.
    let request = Request::get(format!("http://localhost:{port}/")).timeout(Duration::from_secs(2));
    assert_eq!(client.send(request).await.unwrap().body, b"ok");
    assert!((1..=32).contains(&hanging.asked("/jwks").len()));
    while let Some(outcome) = waiting.join_next().await {
        assert_eq!(outcome.unwrap().unwrap_err(), Failure::Timeout);
    }
}

#[tokio::test]
async fn certificates_are_checked_against_public_authorities_and_those_of_the_file() {
    let scratch = Scratch::new();
    let files =
        cenote::tls::dev_certificates(&scratch.0, SystemClock.now_ms(), &SystemRandom).unwrap();
    let mut config = cenote::tls::server_config(&files.leaf, &files.leaf_key, None).unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
            });
        }
    });
    let request = |host: &str| Request::get(format!("https://{host}:{port}/"));
    let refused = |outcome: Result<Answer, Failure>| match outcome {
        Err(Failure::Unreachable(why)) => assert!(why.contains("certificate"), "{why}"),
        other => panic!("{other:?}"),
    };
    refused(here().send(request("127.0.0.1")).await);
    let settings = Settings { outgoing_ca_file: Some(files.ca.clone()), ..Settings::default() };
    let client = Outgoing::new(&settings, meters::Outgoing::default()).unwrap();
    assert_eq!(client.send(request("127.0.0.1")).await.unwrap().body, b"ok");
    // The authority is trusted, and the certificate is not for this name.
    refused(client.send(request("127.0.0.2")).await);
}

#[tokio::test]
async fn a_file_of_authorities_that_is_none_is_refused_at_the_start() {
    let scratch = Scratch::new();
    let file = scratch.path("ca.pem");
    for (text, why) in [(None, "ca.pem"), (Some("hello"), "holds no certificate")] {
        if let Some(text) = text {
            scratch.write("ca.pem", text);
        }
        let settings =
            Settings { outgoing_ca_file: Some(file.clone().into()), ..Settings::default() };
        let error = Outgoing::new(&settings, meters::Outgoing::default()).err().unwrap();
        assert!(error.message.contains("outgoing_ca_file"), "{error}");
        assert!(error.message.contains(why), "{error}");
    }
}
