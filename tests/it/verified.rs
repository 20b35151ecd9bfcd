//! `cenote-verifier` and `cenote-gate` against this server, over TLS: what a resource server's users notice of a sign-out.

#![allow(clippy::disallowed_methods, reason = "what is promised here is promised in real time")]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cenote::ambient::{Clock as _, SystemClock, TestClock};
use cenote::config::Settings;
use cenote::store::feed;
use cenote_verifier::{Builder, Clock, Credentials, Policy, Refusal, Verifier};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::cli::Scratch;
use crate::feed::{Awake, awake, signs_out};
use crate::feed_certificates::{Authority, Open, Shown};
use crate::house::{House, houses_alone_with};
use crate::oauth_machine::machine;

/// A house that is reached over TLS at the address that it calls its own.
struct Street {
    house: House,
    open: Open,
    authority: Authority,
    _awake: Awake,
}

fn at(url: String) -> Settings {
    Settings { public_url: url.clone(), pages_url: url, ..Settings::default() }
}

/// Addresses are handed out before there are houses, which must know them.
async fn streets(name: &str) -> Vec<Street> {
    let mut addresses = Vec::new();
    let houses = houses_alone_with(name, || {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let public_url = format!("https://{}", listener.local_addr().unwrap());
        addresses.push(listener);
        at(public_url)
    });
    let houses = houses.await;
    let mut streets = Vec::new();
    for (house, listener) in houses.into_iter().zip(addresses) {
        listener.set_nonblocking(true).unwrap();
        let listener = TcpListener::from_std(listener).unwrap();
        let authority = Authority::new();
        let open = Open::on(listener, &house, &authority);
        streets.push(Street { _awake: awake(&house), house, open, authority });
    }
    streets
}

/// A resource server's clocks, on the same wall as the house's.
struct Wall(Arc<TestClock>);

impl Clock for Wall {
    fn monotonic_ms(&self) -> u64 {
        cenote_verifier::SystemClock.monotonic_ms()
    }

    fn wall_ms(&self) -> u64 {
        self.0.now_ms().try_into().unwrap()
    }
}

impl Street {
    fn verifier(&self, pool: &str, consumer: &str) -> Builder {
        Verifier::builder(format!("{}/{pool}", self.house.app.settings.public_url), consumer)
            .ca(self.open.ca.clone())
            .clock(Arc::new(Wall(self.house.clock.clone())))
    }

    async fn verifier_of_client(&self, pool: &str, consumer: &str) -> Builder {
        let (id, secret) = machine(&self.house, pool, &["revocations/read"]).await;
        self.verifier(pool, consumer).client(id, secret)
    }

    /// Tokens of somebody who signs in.
    async fn signs_in(&self, client: &str, name: &str) -> (String, Value) {
        let tokens = self.house.signs_in(client, name).await;
        (tokens["AccessToken"].as_str().unwrap().to_owned(), tokens)
    }
}

fn certificate(shown: &Shown) -> Credentials {
    let (chain, key) = shown.pem.clone();
    Credentials::Certificate { chain: chain.into(), key: key.into() }
}

async fn ready(builder: Builder) -> Verifier {
    let verifier = builder.start().unwrap();
    timeout(Duration::from_secs(10), verifier.ready()).await.expect("it becomes fresh");
    verifier
}

/// How long it takes until a verifier refuses a token as that of somebody who was signed out.
async fn refuses(verifier: &Verifier, token: &str) -> Duration {
    let began = Instant::now();
    let refused = async {
        while verifier.verify(token).await != Err(Refusal::Revoked) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(15), refused).await.expect("it learns of the sign-out");
    began.elapsed()
}

#[tokio::test]
async fn a_verifier_with_a_client_certificate_refuses_who_was_signed_out() {
    for street in streets("verified_certificate").await {
        let house = &street.house;
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let shown = street.authority.client();
        let builder = street.verifier(&pool, "orders-1").policy(Policy::FailClosed);
        let verifier = ready(builder.credentials(certificate(&shown))).await;
        let consumers = feed::consumers(&house.app.db, &pool).await.unwrap();
        let owners: Vec<&str> = consumers.iter().map(|said| said.owner.as_str()).collect();
        assert_eq!(owners, [shown.owner()], "it stands in receipts from its first answer on");
        let (token, _) = street.signs_in(&client, "ann").await;
        assert!(verifier.verify(&token).await.is_ok());
        signs_out(house, &pool, "ann").await;
        let took = refuses(&verifier, &token).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        // One that this server does not know gets nowhere.
        let stranger = certificate(&Authority::new().client());
        let stranger = street.verifier(&pool, "orders-2").credentials(stranger).start().unwrap();
        assert!(timeout(Duration::from_secs(1), stranger.ready()).await.is_err());
    }
}

/// The gate, ended with the test.
struct Gate(Child);

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Cargo builds it with the whole workspace, but not for this test alone.
fn gate_program() -> PathBuf {
    let path = PathBuf::from(env!("CARGO_BIN_EXE_cenote")).with_file_name("cenote-gate");
    if !path.exists() {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--locked", "--package", "cenote-gate"]);
        assert!(cargo.status().unwrap().success(), "cenote-gate could not be built");
    }
    path
}

#[tokio::test]
async fn a_gate_with_a_client_certificate_turns_away_who_was_signed_out() {
    let program = gate_program();
    for street in streets("verified_gate").await {
        let house = &street.house;
        // The gate looks at this machine's clock.
        house.clock.set(SystemClock.now_ms());
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let (shown, scratch) = (street.authority.client(), Scratch::new());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut gate = Command::new(&program);
        gate.args(["--issuer", &format!("{}/{pool}", house.app.settings.public_url)])
            .args(["--consumer", "gate-1", "--policy", "closed"])
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .arg("--certificate")
            .arg(scratch.write("gate.pem", &shown.pem.0))
            .arg("--certificate-key")
            .arg(scratch.write("gate.key", &shown.pem.1))
            .arg("--ca-file")
            .arg(scratch.write("ca.pem", std::str::from_utf8(&street.open.ca).unwrap()))
            .env("CENOTE_GATE_LOG", "warn")
            .stdin(Stdio::null());
        let _gate = Gate(gate.spawn().unwrap());
        let browser = street.open.client(None, &[b"http/1.1"]);
        let (token, _) = street.signs_in(&client, "ann").await;
        let becomes = async |status: u16| {
            let began = Instant::now();
            loop {
                let asked = browser.get(format!("http://127.0.0.1:{port}/check"));
                if let Ok(answer) = asked.bearer_auth(&token).send().await
                    && answer.status() == status
                {
                    return began.elapsed();
                }
                assert!(began.elapsed() < Duration::from_secs(20), "it never answered {status}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        becomes(204).await;
        signs_out(house, &pool, "ann").await;
        let took = becomes(401).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
        let consumers = feed::consumers(&house.app.db, &pool).await.unwrap();
        assert_eq!((consumers.len(), &consumers[0].owner), (1, &shown.owner()));
    }
}

/// A resource server with a WebSocket that says again what it hears, until the session of its token ends.
async fn echoes(verifier: Verifier) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let verifier = verifier.clone();
            tokio::spawn(async move {
                let mut token = String::new();
                #[allow(clippy::result_large_err, reason = "the library's signature")]
                let look = |request: &Request, response: Response| {
                    token = cenote_verifier::bearer(request.headers()).unwrap().to_owned();
                    Ok(response)
                };
                let mut socket = tokio_tungstenite::accept_hdr_async(stream, look).await.unwrap();
                let token = verifier.verify(&token).await.expect("the token lives");
                let guard = verifier.guard(&token);
                loop {
                    tokio::select! {
                        heard = socket.next() => match heard {
                            Some(Ok(message)) if message.is_text() => socket.send(message).await.unwrap(),
                            _ => return,
                        },
                        _ = guard.revoked() => {
                            let reason = "session revoked".into();
                            let _ = socket.close(Some(CloseFrame { code: 4001.into(), reason })).await;
                            return;
                        }
                    }
                }
            });
        }
    });
    url
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<TcpStream>>;

async fn connects(url: &str, token: &str) -> Socket {
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    tokio_tungstenite::connect_async(request).await.unwrap().0
}

async fn echoed(socket: &mut Socket) -> bool {
    socket.send(Message::text("hello")).await.unwrap();
    let heard = timeout(Duration::from_secs(5), socket.next()).await.expect("an echo");
    heard.unwrap().unwrap() == Message::text("hello")
}

#[tokio::test]
async fn a_websocket_closes_within_a_second_of_the_sign_out_and_a_refresh_does_not_close_it() {
    for street in streets("verified_socket").await {
        let house = &street.house;
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        house.user(&pool, "bob").await;
        let verifier = ready(street.verifier_of_client(&pool, "sockets-1").await).await;
        let url = echoes(verifier).await;
        let mut bob = connects(&url, &street.signs_in(&client, "bob").await.0).await;
        let mut took = Vec::new();
        for _ in 0..10 {
            let (token, tokens) = street.signs_in(&client, "ann").await;
            let mut ann = connects(&url, &token).await;
            let parameters = json!({ "REFRESH_TOKEN": tokens["RefreshToken"] });
            let refresh = json!({ "ClientId": client, "AuthFlow": "REFRESH_TOKEN_AUTH", "AuthParameters": parameters });
            house.ok("InitiateAuth", refresh).await;
            assert!(echoed(&mut ann).await);
            // From the request on, which is longer than from its answer.
            let began = Instant::now();
            signs_out(house, &pool, "ann").await;
            let last = timeout(Duration::from_secs(5), ann.next()).await.expect("it closes");
            took.push(began.elapsed());
            let Some(Ok(Message::Close(Some(close)))) = last else { panic!("{last:?}") };
            assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, "session revoked"));
        }
        took.sort();
        println!("sign-out to closed WebSocket, {}: {took:?}", house.url);
        assert!(took[9] < Duration::from_secs(1), "{took:?}");
        assert!(echoed(&mut bob).await, "somebody else's stays open");
    }
}

#[tokio::test]
async fn who_asks_for_the_first_time_after_its_pool_was_deleted_learns_that_its_tokens_are_dead() {
    for street in streets("verified_gone").await {
        let house = &street.house;
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let scratch = Scratch::new();
        let (id, secret) = machine(house, &pool, &["revocations/read"]).await;
        let builder = || {
            let builder = street.verifier(&pool, "orders-1").policy(Policy::FailOpen);
            builder.client(&id, &secret).disk(scratch.0.join("known"))
        };
        let verifier = ready(builder()).await;
        let (token, _) = street.signs_in(&client, "ann").await;
        assert!(verifier.verify(&token).await.is_ok());
        verifier.save().await;
        drop(verifier);
        house.ok("DeleteUserPool", json!({ "UserPoolId": pool })).await;
        // It has no token for the feed, and nobody gives it one any more.
        let verifier = builder().start().unwrap();
        refuses(&verifier, &token).await;
        assert_eq!(verifier.status().seq, Some(1));
    }
}

/// Carries connections to a server. Those that are there when it is cut fall silent, and neither end learns of it.
async fn wire(listener: TcpListener, to: String, cut: watch::Receiver<()>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let (to, mut cut) = (to.clone(), cut.clone());
        cut.borrow_and_update();
        tokio::spawn(async move {
            let mut far = TcpStream::connect(to).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = cut.changed() => std::future::pending().await,
            }
        });
    }
}

#[tokio::test]
async fn a_connection_that_died_unnoticed_keeps_no_verifier_from_learning() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public_url = format!("https://{}", listener.local_addr().unwrap());
    let house = houses_alone_with("verified_wire", || at(public_url.clone())).await.remove(0);
    let authority = Authority::new();
    let behind = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let open = Open::on(behind, &house, &authority);
    let (cut, of) = watch::channel(());
    tokio::spawn(wire(listener, open.base.replace("https://", ""), of));
    let street = Street { _awake: awake(&house), house, open, authority };

    let house = &street.house;
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, json!({})).await;
    house.user(&pool, "ann").await;
    let verifier = ready(street.verifier_of_client(&pool, "orders-1").await).await;
    let (token, _) = street.signs_in(&client, "ann").await;
    cut.send(()).unwrap();
    signs_out(house, &pool, "ann").await;
    let took = refuses(&verifier, &token).await;
    println!("learned over another connection after {took:?}");
    assert!(took < Duration::from_secs(8), "{took:?}");
}
