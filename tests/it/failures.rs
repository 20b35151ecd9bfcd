//! Failures that are real: a process killed under load, a database that goes away and comes back, a disk that is full,
//! a client that hangs up.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cenote::config::Settings;
use cenote::store::Options;
use serde_json::{Value, json};

use crate::house::{House, PASSWORD, houses, together};
use crate::process::{self, Process, pause};

/// What the server acknowledged before it was killed.
#[derive(Default)]
struct Acknowledged {
    users: Vec<String>,
    ended: Vec<Value>,
    alive: Vec<Value>,
}

#[test]
fn kill_9_under_load_loses_nothing_acknowledged() {
    let directory = process::directory();
    for _ in 0..2 {
        let mut server = Process::start(&directory, &[]);
        let (pool, client) =
            (server.get("user_pool_id").to_owned(), server.get("client_id").to_owned());
        let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
        let stop = Arc::new(AtomicBool::new(false));
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let port = server.port();
        let load: Vec<_> = (0..6)
            .map(|_| {
                let (pool, client, acknowledged, stop) = (pool.clone(), client.clone(), acknowledged.clone(), stop.clone());
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let name = format!("user{}", NEXT.fetch_add(1, Ordering::Relaxed));
                        let create = json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS" });
                        let Some((200, _)) = process::call(port, "AdminCreateUser", &create) else { continue };
                        acknowledged.lock().unwrap().users.push(name.clone());
                        let set = json!({ "UserPoolId": pool, "Username": name, "Password": PASSWORD, "Permanent": true });
                        let Some((200, _)) = process::call(port, "AdminSetUserPassword", &set) else { continue };
                        let sign_in = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
                            "AuthParameters": { "USERNAME": name, "PASSWORD": PASSWORD } });
                        let Some((200, one)) = process::call(port, "InitiateAuth", &sign_in) else { continue };
                        let one = one["AuthenticationResult"].clone();
                        if name.ends_with(['0', '1', '2']) {
                            acknowledged.lock().unwrap().alive.push(one);
                            continue;
                        }
                        let out = json!({ "AccessToken": one["AccessToken"] });
                        if let Some((200, _)) = process::call(port, "GlobalSignOut", &out) {
                            acknowledged.lock().unwrap().ended.push(one);
                        }
                    }
                })
            })
            .collect();
        for _ in 0..100 {
            pause(100);
            let seen = acknowledged.lock().unwrap();
            if seen.ended.len() >= 10 && seen.alive.len() >= 5 {
                break;
            }
        }
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for thread in load {
            thread.join().unwrap();
        }
        let acknowledged = acknowledged.lock().unwrap();
        assert!(acknowledged.ended.len() >= 10, "too little load: {}", acknowledged.ended.len());

        let server = Process::start_on(&directory, port, &[]);
        for name in &acknowledged.users {
            let (status, _) = server
                .call("AdminGetUser", &json!({ "UserPoolId": pool, "Username": name }))
                .unwrap();
            assert_eq!(status, 200, "{name} was acknowledged and is lost");
        }
        for token in &acknowledged.ended {
            let (status, body) =
                server.call("GetUser", &json!({ "AccessToken": token["AccessToken"] })).unwrap();
            assert_eq!(
                (status, body["message"].as_str()),
                (400, Some("Access Token has been revoked")),
                "a sign-out was lost"
            );
        }
        for token in &acknowledged.alive {
            // The issuer names the port, which differs: the session itself is asked for by its refresh token.
            let refresh = json!({ "ClientId": client, "RefreshToken": token["RefreshToken"] });
            let (status, body) = server.call("GetTokensFromRefreshToken", &refresh).unwrap();
            assert_eq!(status, 200, "a session was lost: {body}");
        }
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_answers_503_and_loses_nothing() {
    let directory = process::directory();
    let url = format!("sqlite://{}/cenote.db", directory.join("data").display());
    let options = Options { max_page_count: Some(260), ..Options::default() };
    let house = House::open_with(&url, Settings::default(), None, options).await;
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, json!({})).await;
    house.user(&pool, "ann").await;
    let before = house.signs_in(&client, "ann").await;
    let mut made = Vec::new();
    let refused = loop {
        let name = format!("user{}", made.len());
        let input = json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS",
            "UserAttributes": [{ "Name": "profile", "Value": "x".repeat(2_000) }] });
        let answer = house.call("AdminCreateUser", input).await;
        if answer.status != 200 {
            break answer;
        }
        made.push(name);
        assert!(made.len() < 2_000, "the disk never filled");
    };
    assert_eq!(
        (refused.status.as_u16(), refused.json()["__type"].as_str().unwrap().to_owned()),
        (503, "ServiceUnavailableException".to_owned())
    );
    assert_eq!(refused.header("retry-after"), "1");
    house.ok("GetUser", json!({ "AccessToken": before["AccessToken"] })).await;
    for name in &made {
        house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": name })).await;
    }
    house.app.db.close().await;
    drop(house);
    // There is room again: what was acknowledged is there, and writes work.
    let house = House::open(&url, Settings::default(), None).await;
    for name in &made {
        house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": name })).await;
    }
    house.ok("GlobalSignOut", json!({ "AccessToken": before["AccessToken"] })).await;
    house.app.db.close().await;
    drop(house);
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_goes_away_answers_503_at_both_doors_and_works_again_without_a_restart() {
    let Ok(url) = std::env::var("CENOTE_TEST_PG") else {
        assert!(std::env::var("CENOTE_TEST_REQUIRE_PG").is_err());
        return;
    };
    let (front, wire) = Wire::to(&url).await;
    let house = House::open(&front, Settings::default(), None).await;
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, crate::browser::code_client()).await;
    house.user(&pool, "ann").await;
    let token = house.signs_in(&client, "ann").await;

    wire.cut();
    let sign_in = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
    for (operation, input) in
        [("GetUser", json!({ "AccessToken": token["AccessToken"] })), ("InitiateAuth", sign_in)]
    {
        let answer = house.call(operation, input).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["__type"].as_str().unwrap()),
            (503, "ServiceUnavailableException"),
            "{}",
            answer.body
        );
    }
    let mut browser = crate::browser::Browser::new(&house, &pool, &client);
    let refresh = token["RefreshToken"].as_str().unwrap().to_owned();
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", client.as_str()),
        ("refresh_token", refresh.as_str()),
    ];
    let answer = browser.token(&fields).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"].as_str().unwrap()),
        (503, "temporarily_unavailable")
    );
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(browser.opens("").await.status, 503);

    wire.mend();
    house.ok("GetUser", json!({ "AccessToken": token["AccessToken"] })).await;
    house.ok("GlobalSignOut", json!({ "AccessToken": token["AccessToken"] })).await;
    assert_eq!(browser.opens("").await.status, 200);
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_nothing_half_done() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        for polls in 1..12 {
            let token = house.signs_in(&client, "ann").await;
            let mut call = Box::pin(
                house.call("GlobalSignOut", json!({ "AccessToken": token["AccessToken"] })),
            );
            for _ in 0..polls {
                if std::future::poll_fn(|context| {
                    std::task::Poll::Ready(call.as_mut().poll(context).is_ready())
                })
                .await
                {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(call);
            // Whatever became of it, the user can sign in, and tokens and records agree.
            let new = house.signs_in(&client, "ann").await;
            house.ok("GetUser", json!({ "AccessToken": new["AccessToken"] })).await;
        }
        let ends =
            together((0..2).map(|_| cenote::store::records::all(&house.app.db, &pool))).await;
        assert_eq!(ends[0].as_ref().unwrap(), ends[1].as_ref().unwrap());
    }
}

#[test]
fn clients_that_hang_up_or_dawdle_do_not_hurt_others() {
    let directory = process::directory();
    let server = Process::start(&directory, &[]);
    for rubbish in [
        "",
        "POST",
        "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n{",
        "\x16\x03\x01",
        "GET / HTTP/1.1\r\n",
    ] {
        let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.write_all(rubbish.as_bytes()).unwrap();
        drop(stream);
    }
    let held: Vec<TcpStream> =
        (0..50).map(|_| TcpStream::connect(("127.0.0.1", server.port())).unwrap()).collect();
    let (status, _) = server.call("ListUserPools", &json!({ "MaxResults": 1 })).unwrap();
    assert_eq!(status, 200);
    drop(held);
    drop(server);
    std::fs::remove_dir_all(directory).unwrap();
}

/// A piece of wire between the server and PostgreSQL that can be cut.
struct Wire {
    is_cut: tokio::sync::watch::Sender<bool>,
}

impl Wire {
    /// The URL of the near end.
    async fn to(url: &str) -> (String, Wire) {
        let authority = url.split_once("://").unwrap().1.split('/').next().unwrap();
        let far = authority.rsplit('@').next().unwrap().to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = listener.local_addr().unwrap().to_string();
        let (is_cut, state) = tokio::sync::watch::channel(false);
        let target = far.clone();
        tokio::spawn(async move {
            loop {
                let Ok((mut inbound, _)) = listener.accept().await else { return };
                let (mut state, target) = (state.clone(), target.clone());
                tokio::spawn(async move {
                    if *state.borrow() {
                        return;
                    }
                    let Ok(mut outbound) = tokio::net::TcpStream::connect(&target).await else {
                        return;
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut inbound, &mut outbound) => {}
                        _ = state.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        (url.replace(&far, &near), Wire { is_cut })
    }

    fn cut(&self) {
        self.is_cut.send(true).unwrap();
    }

    fn mend(&self) {
        self.is_cut.send(false).unwrap();
    }
}
