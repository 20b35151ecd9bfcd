//! One who is told of sign-outs, on a loopback port: a webhook's address, or another endpoint of deliveries. It takes what it is told, or
//! does what a test tells it to.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse, Response};
use cenote::cx::Cx;
use cenote::delivery::outbox;
use cenote::pool::Target;
use cenote::pool::target::{Doc, WebhookDoc, WebhookSecret};
use cenote::store::deliveries::{self, Delivery, Filter};
use cenote::store::{Batch, targets};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::house::House;

pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

#[derive(Clone)]
pub struct Receiver {
    pub url: String,
    state: Arc<Mutex<State>>,
}

struct State {
    told: Vec<Told>,
    does: Does,
}

#[derive(Clone)]
pub enum Does {
    Status(u16),
    /// With the words of a refusal.
    Says(u16, &'static str),
    /// 429, with this Retry-After.
    Later(&'static str),
    Redirect(&'static str),
    /// Takes the request and never answers.
    Silence,
    /// 200, a second later.
    Slowly,
    /// 200, and then more bytes than anybody reads.
    Gigabytes,
    /// By what it is told.
    By(fn(&Told) -> u16),
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Told {
    pub headers: HeaderMap,
    pub text: String,
}

impl Told {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Receiver {
    pub async fn start() -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/told", listener.local_addr().unwrap());
        let state = State { told: Vec::new(), does: Does::Status(200) };
        let receiver = Receiver { url, state: Arc::new(Mutex::new(state)) };
        let served = receiver.clone();
        let router = Router::new().fallback(move |request: Request<Body>| {
            let receiver = served.clone();
            async move { receiver.serve(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        receiver
    }

    pub fn does(&self, does: Does) {
        self.state.lock().unwrap().does = does;
    }

    /// Everything that came in, what was refused included.
    pub fn told(&self) -> Vec<Told> {
        self.state.lock().unwrap().told.clone()
    }

    /// The bodies of what came in.
    pub fn bodies(&self) -> Vec<Value> {
        self.told().iter().map(Told::json).collect()
    }

    pub fn forget(&self) {
        self.state.lock().unwrap().told.clear();
    }

    async fn serve(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let told = Told { headers: parts.headers, text };
        let does = {
            let mut state = self.state.lock().unwrap();
            state.told.push(told.clone());
            state.does.clone()
        };
        let status = |status: u16| axum::http::StatusCode::from_u16(status).unwrap();
        match does {
            Does::Status(code) => status(code).into_response(),
            Does::Says(code, words) => (status(code), words).into_response(),
            Does::Later(when) => (status(429), [("retry-after", when)]).into_response(),
            Does::Redirect(to) => (status(302), [("location", to)]).into_response(),
            Does::Silence => std::future::pending().await,
            Does::Slowly => {
                for _ in 0..100 {
                    crate::house::pause().await;
                }
                status(200).into_response()
            }
            Does::Gigabytes => vec![b'x'; 64 << 20].into_response(),
            Does::By(decide) => status(decide(&told)).into_response(),
        }
    }
}

/// The address of one that says these bytes to whoever connects, and then nothing.
pub async fn says(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(bytes).await;
                while stream.read(&mut request).await.is_ok_and(|read| read > 0) {}
            });
        }
    });
    url
}

/// The address of one that begins to answer so, and goes on in pieces of that size without an end.
pub async fn pours(head: &'static str, piece: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(&vec![b'x'; piece]).await.is_ok() {
                    crate::house::pause().await;
                }
            });
        }
    });
    url
}

/// Registers a target as the extension API does.
pub async fn target(house: &House, pool: &str, doc: Doc, secret: Option<&WebhookSecret>) -> String {
    let cx = Cx::system(house.app.clone());
    let id = cenote::ids::uuid_v7(cx.now, cx.rng()).to_string();
    let secret = secret.map(|secret| cenote::targets::seal(&cx, pool, &id, secret).unwrap());
    let target = Target {
        pool_id: pool.to_owned(),
        id: id.clone(),
        doc,
        secret,
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    let mut batch = Batch::new();
    targets::insert(&mut batch, &target).unwrap();
    cx.db().commit(batch).await.unwrap();
    id
}

pub async fn webhook(house: &House, pool: &str, url: &str) -> String {
    let doc = WebhookDoc { url: url.to_owned(), description: String::new(), enabled: true };
    target(house, pool, Doc::Webhook(doc), Some(&WebhookSecret::new(SECRET.to_owned()))).await
}

/// Changes a target.
pub async fn change(house: &House, pool: &str, id: &str, change: impl FnOnce(&mut Target)) {
    let cx = Cx::system(house.app.clone());
    let mut target = targets::find(cx.db(), pool, id).await.unwrap().unwrap();
    change(&mut target);
    let mut batch = Batch::new();
    let changed = cenote::error::Error::conflict();
    targets::update(&mut batch, &target, cx.now, changed).unwrap();
    cx.db().commit(batch).await.unwrap();
}

pub async fn delete(house: &House, pool: &str, id: &str) {
    let target = targets::find(&house.app.db, pool, id).await.unwrap().unwrap();
    let mut batch = Batch::new();
    targets::delete(&mut batch, &target, cenote::error::Error::conflict());
    house.app.db.commit(batch).await.unwrap();
}

/// The workers, until there is nothing that they would do now.
pub async fn works(house: &House) {
    for _ in 0..50 {
        outbox::expand::run_once(Cx::system(house.app.clone())).await.unwrap();
        let begun = outbox::work::begin(&Cx::system(house.app.clone())).await.unwrap();
        if begun.is_empty() {
            return;
        }
        for turn in begun {
            turn.await.unwrap();
        }
    }
    panic!("the workers find no end");
}

/// All deliveries of a pool, oldest first.
pub async fn rows(house: &House, pool: &str) -> Vec<Delivery> {
    let mut rows =
        deliveries::list(&house.app.db, pool, Filter::default(), None, 100_000).await.unwrap();
    rows.reverse();
    rows
}

/// Their states.
pub async fn states(house: &House, pool: &str) -> Vec<&'static str> {
    rows(house, pool).await.iter().map(|row| row.state.as_str()).collect()
}

pub async fn sign_out(house: &House, pool: &str, name: &str) {
    house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": name })).await;
}
