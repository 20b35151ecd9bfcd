//! How quickly a sign-out reaches those who must know of it: verifiers that follow the revocation feed, relying parties by back-channel
//! logout; and what those who cannot be reached cost whoever signs out.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use cenote::pool::target::{Doc, Target, WebhookDoc, WebhookSecret};
use cenote::store::{Batch, records, targets as rows};
use cenote::{ids, targets};
use cenote_verifier::format::{Entry, Frame, Jwks, Kind, Position, Snapshot, Table};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::LocalSet;
use tokio::time::timeout;

use crate::http::Connection;
use crate::load::{How, Load, Window, run};
use crate::report::{progress, say};
use crate::server::Server;
use crate::world::{CLIENT, POOL, World};
use crate::{Failed, Result, Sizes, requests};

/// Those of many consumers that verify what they read; the load has one thread, and theirs would be what is measured.
const VERIFYING: usize = 10;
/// Whoever does not learn in this time is broken.
const NEVER: Duration = Duration::from_secs(20);
/// After a burst of sign-outs.
const CATCH_UP: Duration = Duration::from_secs(120);

/// Prints all of it.
pub async fn print(server: &Server, world: &World, sizes: &Sizes) -> Result<()> {
    let sign_outs = sizes.sign_outs;
    let behind = caught_up(world).await?;
    say(&format!("deliveries of the sign-outs so far are written {:.0} ms later", behind));
    for consumers in [1, VERIFYING, sizes.consumers] {
        progress(&format!("the revocation feed with {consumers} consumers .."));
        let waits = feed(server, world, consumers, sign_outs).await?;
        let who = match consumers {
            1 => "1 verifier".to_owned(),
            VERIFYING => format!("{VERIFYING} verifiers"),
            n => format!("{n} consumers, of whom {VERIFYING} verify"),
        };
        told(&format!("sign-out to {who}"), &waits);
    }
    progress("back-channel logout ..");
    let waits = backchannel(server, world, sign_outs).await?;
    told("sign-out to a back-channel receiver", &waits);
    let alone = sign_out_waits(server, world, sizes).await?;
    add_dead_receivers(world).await?;
    let with = sign_out_waits(server, world, sizes).await?;
    say(&format!(
        "a sign-out takes p50 {:.2} ms, p99 {:.2} ms ({:.0} us CPU); with {DEAD} webhooks that are down: p50 {:.2} ms, p99 {:.2} ms ({:.0} us CPU)",
        alone.percentile_ms(0.5),
        alone.percentile_ms(0.99),
        alone.cpu_us(),
        with.percentile_ms(0.5),
        with.percentile_ms(0.99),
        with.cpu_us(),
    ));
    look_ups(sizes.entries);
    Ok(())
}

/// Waits until nothing is owed for what was measured before: thousands of sign-outs a second, of which each may have to be told to somebody.
/// In milliseconds.
async fn caught_up(world: &World) -> Result<f64> {
    let began = Instant::now();
    while !records::unexpanded(&world.app.db, None, 1).await?.is_empty() {
        if began.elapsed() > CATCH_UP {
            return Err(Failed("the deliveries of sign-outs are not written".into()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(began.elapsed().as_secs_f64() * 1_000.0)
}

fn told(what: &str, waits: &Window) {
    say(&format!(
        "{what}: p50 {:.1} ms, p99 {:.1} ms from the request on ({} measured)",
        waits.percentile_ms(0.5),
        waits.percentile_ms(0.99),
        waits.waits.len()
    ));
}

// --- the feed ---

/// One who follows the feed: what it has, and when it got it.
struct Consumer {
    position: Position,
    at: Instant,
}

/// From the request of each sign-out until each consumer has it, in milliseconds.
async fn feed(
    server: &Server,
    world: &World,
    consumers: usize,
    sign_outs: usize,
) -> Result<Window> {
    let follower = Rc::new(Follower::begin(server).await?);
    let positions: Vec<_> = (0..consumers)
        .map(|_| {
            let start = Consumer { position: follower.start.clone(), at: Instant::now() };
            Rc::new(RefCell::new(start))
        })
        .collect();
    let tokens = tokens(world, sign_outs).await?;
    let mut waits = Vec::new();
    let tasks = LocalSet::new();
    for (n, position) in positions.iter().enumerate() {
        tasks.spawn_local(follow(follower.clone(), server.address, n, position.clone()));
    }
    tasks
        .run_until(async {
            // Everybody has asked once and waits.
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let mut connection = Connection::open(server.address).await?;
            for (last, token) in (follower.start.seq + 1..).zip(&tokens) {
                let began = Instant::now();
                signed_out(&mut connection, token).await?;
                let everybody = async {
                    while positions.iter().any(|one| one.borrow().position.seq < last) {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                };
                if timeout(NEVER, everybody).await.is_err() {
                    return Err(Failed(
                        "a consumer of the feed did not learn of a sign-out".into(),
                    ));
                }
                let of = |one: &Rc<RefCell<Consumer>>| {
                    one.borrow().at.saturating_duration_since(began).as_secs_f64() * 1_000.0
                };
                waits.extend(positions.iter().map(of));
            }
            Ok(())
        })
        .await?;
    Ok(Window { waits, ..Window::default() })
}

/// What all consumers share: the token, the keys, and where they start.
struct Follower {
    token: String,
    keys: Jwks,
    start: Position,
}

impl Follower {
    async fn begin(server: &Server) -> Result<Follower> {
        let mut connection = Connection::open(server.address).await?;
        expect(&mut connection, &requests::feed_token()).await?;
        let answer: Value = serde_json::from_slice(connection.body())?;
        let token = answer.get("access_token").and_then(Value::as_str).unwrap_or_default();
        expect(&mut connection, &requests::feed_keys()).await?;
        let keys = Jwks::parse(connection.body()).ok_or_else(|| Failed("no feed keys".into()))?;
        expect(&mut connection, &requests::feed_snapshot(token)).await?;
        let snapshot = Snapshot::open(connection.body(), &keys, POOL, 10_000_000)
            .map_err(|refused| Failed(format!("the snapshot: {}", refused.name())))?;
        let start = snapshot.position.clone();
        Ok(Follower { token: token.to_owned(), keys, start })
    }
}

/// Follows the feed for as long as it is asked to. The first verify every frame, as a verifier does; the others only read where it leads.
async fn follow(
    follower: Rc<Follower>,
    address: SocketAddr,
    n: usize,
    consumer: Rc<RefCell<Consumer>>,
) {
    let followed = async {
        let mut connection = Connection::open(address).await?;
        for question in 0_u64.. {
            let nonce = format!("bench-{n:06}-{question:010}");
            let position = consumer.borrow().position.clone();
            let request = requests::feed_delta(&follower.token, n, &position, &nonce);
            expect(&mut connection, &request).await?;
            let text = std::str::from_utf8(connection.body())?;
            let next = if n < VERIFYING {
                let frame = Frame::open(text, &follower.keys, POOL, Some(&nonce));
                frame
                    .and_then(|frame| position.after(&frame))
                    .map_err(|refused| Failed(format!("a frame was refused: {}", refused.name())))?
            } else {
                Position { seq: leads_to(text)?, ..position }
            };
            if next.seq > position_of(&consumer) {
                *consumer.borrow_mut() = Consumer { position: next, at: Instant::now() };
            }
        }
        Ok::<(), Failed>(())
    };
    if let Err(Failed(why)) = followed.await {
        say(&format!("consumer {n}: {why}"));
    }
}

fn position_of(consumer: &RefCell<Consumer>) -> u64 {
    consumer.borrow().position.seq
}

/// `to` of a frame that is not verified.
fn leads_to(text: &str) -> Result<u64> {
    let payload = text.split('.').nth(1).unwrap_or_default();
    let payload = cenote_verifier::format::decode(payload).unwrap_or_default();
    let payload: Value = serde_json::from_slice(&payload)?;
    payload.get("to").and_then(Value::as_u64).ok_or_else(|| Failed("a frame without `to`".into()))
}

async fn expect(connection: &mut Connection, request: &[u8]) -> Result<()> {
    match connection.send(request).await? {
        200 => Ok(()),
        status => Err(Failed(format!(
            "an answer with status {status}: {}",
            String::from_utf8_lossy(connection.body())
        ))),
    }
}

// --- back-channel logout ---

/// From the request of each sign-out until its logout token is at the receiver.
async fn backchannel(server: &Server, world: &World, sign_outs: usize) -> Result<Window> {
    let (told, mut telling) = mpsc::unbounded_channel();
    let listener = TcpListener::bind(world.receiver).await?;
    let tasks = LocalSet::new();
    tasks.spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::task::spawn_local(receive(stream, told.clone()));
        }
    });
    let mut waits = Vec::new();
    tasks
        .run_until(async {
            let mut connection = Connection::open(server.address).await?;
            for user in world.first.iter().take(sign_outs) {
                expect(&mut connection, &requests::password_at_told(&user.username)).await?;
                let answer: Value = serde_json::from_slice(connection.body())?;
                let token = answer.pointer("/AuthenticationResult/AccessToken");
                let token = token.and_then(Value::as_str).unwrap_or_default().to_owned();
                let began = Instant::now();
                signed_out(&mut connection, &token).await?;
                let Ok(Some(at)) = timeout(NEVER, telling.recv()).await else {
                    return Err(Failed("a back-channel receiver was not told".into()));
                };
                let at: Instant = at;
                waits.push(at.saturating_duration_since(began).as_secs_f64() * 1_000.0);
            }
            Ok(())
        })
        .await?;
    Ok(Window { waits, ..Window::default() })
}

/// A relying party that believes everything, and notes when it was told.
async fn receive(mut stream: tokio::net::TcpStream, told: mpsc::UnboundedSender<Instant>) {
    let mut buffer = Vec::new();
    while stream.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
        let text = String::from_utf8_lossy(&buffer);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().filter_map(|line| line.split_once(": "));
        let length = length.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let length: usize = length.filter_map(|(_, value)| value.parse().ok()).next().unwrap_or(0);
        if body.len() < length {
            continue;
        }
        let _ = told.send(Instant::now());
        buffer.clear();
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nCache-Control: no-store\r\n\r\n";
        if stream.write_all(answer).await.is_err() {
            return;
        }
    }
}

async fn signed_out(connection: &mut Connection, token: &str) -> Result<()> {
    expect(connection, &requests::global_sign_out(token)).await
}

// --- receivers that are down ---

const DEAD: usize = 50;

/// Webhooks at addresses where nobody listens, and at one where whoever connects waits for ever.
async fn add_dead_receivers(world: &World) -> Result<()> {
    let cx = world.cx();
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let closed = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let addresses = [silent.local_addr()?, closed.local_addr()?];
    drop(closed);
    // Held open to the end of the program: the kernel takes connections that nobody serves.
    std::mem::forget(silent);
    let mut batch = Batch::new();
    for (n, address) in addresses.iter().cycle().take(DEAD).enumerate() {
        let id = ids::uuid_v7(cx.now, cx.rng()).to_string();
        let secret = WebhookSecret::new(targets::new_webhook_secret(cx.rng()));
        let doc = WebhookDoc {
            url: format!("http://{address}/{n}"),
            description: String::new(),
            enabled: true,
        };
        let target = Target {
            secret: Some(targets::seal(&cx, POOL, &id, &secret)?),
            pool_id: POOL.to_owned(),
            id,
            doc: Doc::Webhook(doc),
            ver: 1,
            created_ms: cx.now,
            modified_ms: cx.now,
        };
        rows::insert(&mut batch, &target)?;
    }
    cx.db().commit(batch).await?;
    Ok(())
}

/// What each of some users waits who sign out one after the other, ten a second.
async fn sign_out_waits(server: &Server, world: &World, sizes: &Sizes) -> Result<Window> {
    progress("sign-outs ..");
    let tokens = tokens(world, sizes.sign_outs * 4).await?;
    let requests: Vec<_> = tokens.iter().map(|token| requests::global_sign_out(token)).collect();
    let rate = 40.0;
    let length = Duration::from_secs_f64(requests.len() as f64 / rate);
    let load = Load { requests: Rc::new(requests), connections: 4, how: How::Rate(rate, length) };
    run(server, load).await
}

/// A living access token of each of so many users.
async fn tokens(world: &World, users: usize) -> Result<Vec<String>> {
    let users = world.first.get(..users).unwrap_or(&world.first);
    let sessions = world.sessions(&world.client, users, 1).await?;
    world.access_tokens(&world.client, &sessions).await
}

// --- what a verifier pays ---

/// What a verifier pays for each token that nobody revoked: a look-up for its user and one for its session.
fn look_ups(sizes: &[usize]) {
    for entries in sizes {
        progress(&format!("a verifier with {entries} entries .."));
        let table = Table::new();
        let key = |n: usize| Kind::User.key16(POOL, &format!("{CLIENT}{n}"));
        let before = own_rss_kib();
        let all = (0..*entries).map(|n| Entry {
            key: key(n),
            not_before_ms: 1,
            drop_after_ms: u64::MAX >> 12,
        });
        table.add(all);
        let grown = own_rss_kib().saturating_sub(before);
        let keys: Vec<_> = (0..200_000).map(|n| key(entries * 2 + n)).collect();
        let began = Instant::now();
        let hits = keys.iter().filter(|key| table.not_before(key).is_some()).count();
        let each = began.elapsed().as_nanos() as f64 / keys.len() as f64;
        say(&format!(
            "a verifier with {entries} entries: {each:.0} ns for a look-up that finds nothing, {:.0} MB{}",
            grown as f64 / 1024.0,
            if hits == 0 { "" } else { " (and it found what is not there)" }
        ));
    }
}

fn own_rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}
