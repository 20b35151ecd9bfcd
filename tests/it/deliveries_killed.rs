//! Nothing is lost: a real server is killed again and again while sign-outs go out to a receiver that is down at times itself.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cenote::ambient::{SystemClock, SystemRandom};
use cenote::app::Parts;
use cenote::config::Settings;
use cenote::cx::{App, Cx};
use cenote::keys::{KeySource, MasterKey, Vault};
use cenote::pool::Target;
use cenote::pool::target::{Doc, WebhookDoc, WebhookSecret};
use cenote::store::{Batch, Db, Options, targets};
use serde_json::{Value, json};

use crate::process::{self, Process, pause};
use crate::receiver::SECRET;

#[test]
fn every_acknowledged_sign_out_reaches_a_webhook_however_often_either_is_killed() {
    killed(20, Duration::ZERO);
}

/// In real time, a quarter of an hour of it.
#[test]
#[ignore = "./test soak"]
fn soak_of_two_hundred_kills_and_an_outage_of_ten_minutes() {
    killed(200, Duration::from_secs(600));
}

/// Kills the server so often, while the receiver is down at times; then the receiver is away for an outage, and must be told of what
/// happened meanwhile within ten seconds of its return.
fn killed(kills: u32, outage: Duration) {
    let directory = process::directory();
    let mut server = Process::start(&directory, &[]);
    let (pool, port) = (server.get("user_pool_id").to_owned(), server.port());
    server.kill();
    let receiver = Receiver::start(0);
    let database = format!("sqlite:{}", directory.join("data/cenote.db").display());
    run(register(&directory, &database, &pool, &receiver));

    let mut random = Dice(0x9e37_79b9_7f4a_7c15);
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let mut next = 0;
    for _ in 0..kills {
        let mut server = Process::start_on(&directory, port, &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = (0..3)
            .map(|_| {
                next += 1;
                let (pool, acknowledged, stop) = (pool.clone(), acknowledged.clone(), stop.clone());
                let names = format!("user{next}");
                std::thread::spawn(move || signs_out(port, &pool, &names, &acknowledged, &stop))
            })
            .collect();
        let until = random.below(600) + 50;
        for _ in 0..until / 50 {
            receiver.is_down.store(random.below(3) == 0, Ordering::SeqCst);
            pause(50);
        }
        server.kill();
        stop.store(true, Ordering::SeqCst);
        load.into_iter().for_each(|thread| thread.join().unwrap());
    }

    receiver.is_down.store(false, Ordering::SeqCst);
    let server = Process::start_on(&directory, port, &[]);
    let first = acknowledged.lock().unwrap().clone();
    assert!(first.len() >= 40, "too little load: {}", first.len());
    // What the last server had in hand is taken up when its lease is over.
    let took = receiver.is_told(&first, Duration::from_secs(60));
    println!("{} sign-outs over {kills} kills; the last was told after {took:?}", first.len());

    if !outage.is_zero() {
        receiver.is_down.store(true, Ordering::SeqCst);
        let (stop, pool) = (Arc::new(AtomicBool::new(false)), pool.clone());
        let (all, stopped) = (acknowledged.clone(), stop.clone());
        let load = std::thread::spawn(move || signs_out(port, &pool, "outage", &all, &stopped));
        pause(2_000);
        stop.store(true, Ordering::SeqCst);
        load.join().unwrap();
        pause(u64::try_from(outage.as_millis()).unwrap());
        let all = acknowledged.lock().unwrap().clone();
        let missed = receiver.missed(&all);
        assert!(missed > 0, "it was told while it was away");
        receiver.is_down.store(false, Ordering::SeqCst);
        let took = receiver.is_told(&all, Duration::from_secs(10));
        println!("{missed} sign-outs in an outage of {outage:?}; all were told {took:?} after it");
    }
    receiver.is_over.store(true, Ordering::SeqCst);
    drop(server);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_a_server_has_in_hand_when_it_is_killed_another_on_the_same_database_delivers() {
    let Ok(url) = std::env::var("CENOTE_TEST_PG") else { return };
    let database = run(crate::house::own_schema(&url, "killed_beside"));
    let more = ["--database-url", database.as_str()];
    let (directory, other) = (process::directory(), process::directory());
    let mut server = Process::start(&directory, &more);
    let (pool, port) = (server.get("user_pool_id").to_owned(), server.port());
    server.kill();
    // Each request takes a moment, so that there is always something in hand.
    let receiver = Receiver::start(10);
    run(register(&directory, &database, &pool, &receiver));
    std::fs::create_dir(other.join("data")).unwrap();
    std::fs::copy(directory.join("data/master.key"), other.join("data/master.key")).unwrap();
    let beside = Process::start(&other, &more);

    let mut random = Dice(0x2545_f491_4f6c_dd1d);
    let acknowledged: Arc<Mutex<BTreeSet<String>>> = Arc::default();
    let mut in_hand = 0;
    for round in 0..6 {
        let mut server = Process::start_on(&directory, port, &more);
        let stop = Arc::new(AtomicBool::new(false));
        let load = {
            let (pool, acknowledged, stop) = (pool.clone(), acknowledged.clone(), stop.clone());
            let names = format!("user{round}");
            std::thread::spawn(move || signs_out(port, &pool, &names, &acknowledged, &stop))
        };
        pause(random.below(500) + 200);
        server.kill();
        stop.store(true, Ordering::SeqCst);
        load.join().unwrap();
        in_hand += run(leased(&database, &pool));
    }
    assert!(in_hand > 0, "nobody had anything in hand");
    let all = acknowledged.lock().unwrap().clone();
    assert!(all.len() >= 10, "too little load: {}", all.len());
    let took = receiver.is_told(&all, Duration::from_secs(60));
    println!(
        "{} sign-outs over 6 kills, {in_hand} in hand; the last was told after {took:?}",
        all.len()
    );
    receiver.is_over.store(true, Ordering::SeqCst);
    drop(beside);
    for directory in [directory, other] {
        std::fs::remove_dir_all(directory).unwrap();
    }
}

/// How many deliveries a worker has in hand.
async fn leased(database: &str, pool: &str) -> i64 {
    let db = Db::open(database, Options::default()).await.unwrap();
    let sql =
        "SELECT COUNT(*) FROM deliveries WHERE pool_id = ?1 AND state = 'pending' AND lease_ms > 0";
    let count = db.one(sql, &cenote::params![pool]).await.unwrap().unwrap().i64(0).unwrap();
    db.close().await;
    count
}

fn run<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Makes users and signs each of them out, until the server is gone.
fn signs_out(
    port: u16,
    pool: &str,
    names: &str,
    acknowledged: &Mutex<BTreeSet<String>>,
    stop: &AtomicBool,
) {
    for n in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let user = json!({ "UserPoolId": pool, "Username": format!("{names}x{n}"), "MessageAction": "SUPPRESS" });
        let Some((200, made)) = process::call(port, "AdminCreateUser", &user) else { continue };
        let attributes = made["User"]["Attributes"].as_array().unwrap();
        let sub = attributes.iter().find(|attribute| attribute["Name"] == "sub").unwrap();
        let out = json!({ "UserPoolId": pool, "Username": format!("{names}x{n}") });
        if let Some((200, _)) = process::call(port, "AdminUserGlobalSignOut", &out) {
            acknowledged.lock().unwrap().insert(sub["Value"].as_str().unwrap().to_owned());
        }
    }
}

/// Adds a webhook to a developer's database while nobody serves it.
async fn register(directory: &Path, database: &str, pool: &str, receiver: &Receiver) {
    let key = MasterKey::from_file(&directory.join("data/master.key")).unwrap();
    let app = App::open(Parts {
        settings: Settings::default(),
        db: Db::open(database, Options::default()).await.unwrap(),
        vault: Vault::new(&key),
        clock: Arc::new(SystemClock),
        random: Arc::new(SystemRandom),
        keygen: KeySource::Generate,
    });
    let cx = Cx::system(app.await.unwrap());
    let id = cenote::ids::uuid_v7(cx.now, cx.rng()).to_string();
    let url = format!("http://127.0.0.1:{}/", receiver.port);
    let doc = WebhookDoc { url, description: String::new(), enabled: true };
    let secret = WebhookSecret::new(SECRET.to_owned());
    let target = Target {
        pool_id: pool.to_owned(),
        secret: Some(cenote::targets::seal(&cx, pool, &id, &secret).unwrap()),
        id,
        doc: Doc::Webhook(doc),
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    let mut batch = Batch::new();
    targets::insert(&mut batch, &target).unwrap();
    cx.db().commit(batch).await.unwrap();
    cx.db().close().await;
}

/// A webhook's address on a thread of its own: while it is down, its port is closed, and what it had begun to read is dropped.
struct Receiver {
    port: u16,
    is_down: Arc<AtomicBool>,
    is_over: Arc<AtomicBool>,
    told: Arc<Mutex<BTreeSet<String>>>,
}

impl Receiver {
    /// It takes that many milliseconds for each request.
    fn start(slow_ms: u64) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let receiver = Receiver {
            port,
            is_down: Arc::default(),
            is_over: Arc::default(),
            told: Arc::default(),
        };
        let (is_down, is_over, told) =
            (receiver.is_down.clone(), receiver.is_over.clone(), receiver.told.clone());
        std::thread::spawn(move || {
            let mut listener = Some(listener);
            while !is_over.load(Ordering::SeqCst) {
                if is_down.load(Ordering::SeqCst) {
                    listener = None;
                } else if listener.is_none() {
                    listener = TcpListener::bind(("127.0.0.1", port)).ok();
                }
                let Some(open) = &listener else {
                    pause(5);
                    continue;
                };
                open.set_nonblocking(true).unwrap();
                match open.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).unwrap();
                        pause(slow_ms);
                        if let Some(sub) = takes(stream, &is_down) {
                            told.lock().unwrap().insert(sub);
                        }
                    }
                    Err(_) => pause(2),
                }
            }
        });
        receiver
    }

    /// How many of these it was not told of.
    fn missed(&self, signed_out: &BTreeSet<String>) -> usize {
        let told = self.told.lock().unwrap();
        signed_out.iter().filter(|sub| !told.contains(*sub)).count()
    }

    /// Waits until it was told of all of these, and says how long that took, to a tenth of a second.
    fn is_told(&self, signed_out: &BTreeSet<String>, within: Duration) -> Duration {
        let mut waited = Duration::ZERO;
        while self.missed(signed_out) > 0 {
            let missed = self.missed(signed_out);
            assert!(waited < within, "{missed} of {} sign-outs were not told", signed_out.len());
            pause(100);
            waited += Duration::from_millis(100);
        }
        waited
    }
}

/// Reads one request, and answers it if the receiver is still up by then: only what it answered counts as told.
fn takes(mut stream: TcpStream, is_down: &AtomicBool) -> Option<String> {
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    let mut text = Vec::new();
    let body = loop {
        let mut chunk = [0; 4_096];
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        text.extend_from_slice(&chunk[..read]);
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_slice::<Value>(&text[end + 4..]) {
            break body;
        }
    };
    if is_down.load(Ordering::SeqCst) {
        return None;
    }
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").ok()?;
    body["sub"].as_str().map(str::to_owned)
}

/// xorshift64: the same throws in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
