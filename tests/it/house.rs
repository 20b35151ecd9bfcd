//! A whole server in process, behind its real router: on SQLite, and on PostgreSQL where the suite was given one.
//! A test owns a pool, not a database. Time stands still until a test moves it; keys are fixtures.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use cenote::ambient::{Ms, SystemRandom, TestClock};
use cenote::app::{self, Parts};
use cenote::config::Settings;
use cenote::cx::App;
use cenote::dev::idp::Idp;
use cenote::keys::{KeySource, MasterKey, Vault};
use cenote::store::{Db, Options};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

pub const NOW: Ms = 1_790_000_000_000;
pub const PASSWORD: &str = "Correct-horse-9";
/// What a file with the master key of every house holds.
pub const MASTER_KEY: &[u8] = b"4f1c9a7e02d85b36c1e47f90a8d35e6b7c20f91d84ea5b63079c1d2e6fb8a045";

pub struct House {
    pub app: Arc<App>,
    pub clock: Arc<TestClock>,
    pub url: String,
    router: Router,
    directory: Option<std::path::PathBuf>,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.body))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The value of the cookie that this answer sets, without its attributes.
    pub fn cookie(&self, name: &str) -> Option<String> {
        self.headers.get_all("set-cookie").iter().find_map(|line| {
            let (key, rest) = line.to_str().unwrap().split_once('=')?;
            (key == name).then(|| rest.split(';').next().unwrap_or_default().to_owned())
        })
    }
}

/// One house on each database.
pub async fn houses() -> Vec<House> {
    houses_with(Settings::default()).await
}

pub async fn houses_with(settings: Settings) -> Vec<House> {
    let mut houses = vec![House::on_sqlite(settings.clone()).await];
    match std::env::var("CENOTE_TEST_PG") {
        Ok(url) => houses.push(House::open(&url, settings, None).await),
        Err(_) => assert!(
            std::env::var("CENOTE_TEST_REQUIRE_PG").is_err(),
            "CENOTE_TEST_REQUIRE_PG is set, but CENOTE_TEST_PG names no database"
        ),
    }
    houses
}

impl House {
    pub async fn on_sqlite(settings: Settings) -> House {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name =
            format!("cenote-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        let url = format!("sqlite://{}/cenote.db", directory.display());
        House::open(&url, settings, Some(directory)).await
    }

    pub async fn open(
        url: &str,
        settings: Settings,
        directory: Option<std::path::PathBuf>,
    ) -> House {
        House::open_with(url, settings, directory, Options { pool_size: 4, ..Options::default() })
            .await
    }

    pub async fn open_with(
        url: &str,
        settings: Settings,
        directory: Option<std::path::PathBuf>,
        options: Options,
    ) -> House {
        let db = Db::open(url, options).await.unwrap();
        let clock = Arc::new(TestClock::new(NOW));
        let parts = Parts {
            settings,
            db,
            vault: vault(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            keygen: fixtures(),
        };
        let app = App::open(parts).await.unwrap_or_else(|error| panic!("{error:?}"));
        House { router: app::router(app.clone()), app, clock, url: url.to_owned(), directory }
    }

    /// Another node on the same database, whose clock differs.
    pub async fn another_node(&self, skew: Ms) -> House {
        let clock = Arc::new(TestClock::new(NOW + skew));
        let parts = Parts {
            settings: self.app.settings.clone(),
            db: self.app.db.clone(),
            vault: vault(),
            clock: clock.clone(),
            random: Arc::new(SystemRandom),
            keygen: fixtures(),
        };
        let app = App::open(parts).await.unwrap();
        House {
            router: app::router(app.clone()),
            app,
            clock,
            url: self.url.clone(),
            directory: None,
        }
    }

    /// The same with the demonstration provider of `cenote dev --with-idp`.
    pub fn with_idp(mut self) -> House {
        let idp = Idp::new(self.app.clone()).unwrap();
        self.router = app::router_with(self.app.clone(), Some(idp));
        self
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.respond(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    /// The answer as it comes, its body unread.
    pub async fn respond(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Calls an operation of the JSON door.
    pub async fn call(&self, operation: &str, input: Value) -> Answer {
        let request = Request::post("/")
            .header("host", "localhost:9229")
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{operation}"))
            .body(Body::from(input.to_string()))
            .unwrap();
        self.send(request).await
    }

    /// Calls an operation that must succeed.
    pub async fn ok(&self, operation: &str, input: Value) -> Value {
        let answer = self.call(operation, input).await;
        assert_eq!(answer.status, 200, "{operation} on {}: {}", self.url, answer.body);
        answer.json()
    }

    /// Calls an operation that must be refused: the error's type and message.
    pub async fn refused(&self, operation: &str, input: Value) -> (String, String) {
        let answer = self.call(operation, input).await;
        assert_ne!(
            answer.status, 200,
            "{operation} on {} was not refused: {}",
            self.url, answer.body
        );
        let body = answer.json();
        (
            body["__type"].as_str().unwrap().to_owned(),
            body["message"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// A pool made by CreateUserPool, and its id. Policy: none of the character classes is required.
    pub async fn pool(&self, more: Value) -> String {
        let mut input = json!({ "PoolName": "test" });
        merge(&mut input, more);
        self.ok("CreateUserPool", input).await["UserPool"]["Id"].as_str().unwrap().to_owned()
    }

    /// A client made by CreateUserPoolClient with every password flow, and its id.
    pub async fn client(&self, pool: &str, more: Value) -> String {
        let mut input = json!({
            "UserPoolId": pool,
            "ClientName": "app",
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_ADMIN_USER_PASSWORD_AUTH"],
        });
        merge(&mut input, more);
        self.ok("CreateUserPoolClient", input).await["UserPoolClient"]["ClientId"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A confirmed user with `PASSWORD`.
    pub async fn user(&self, pool: &str, name: &str) -> String {
        let input = json!({ "UserPoolId": pool, "Username": name, "MessageAction": "SUPPRESS",
            "UserAttributes": [{ "Name": "email", "Value": format!("{name}@example.com") }, { "Name": "email_verified", "Value": "true" }] });
        let user = self.ok("AdminCreateUser", input).await;
        let input = json!({ "UserPoolId": pool, "Username": name, "Password": PASSWORD, "Permanent": true });
        self.ok("AdminSetUserPassword", input).await;
        let attributes = user["User"]["Attributes"].as_array().unwrap().clone();
        let sub = attributes.into_iter().find(|attribute| attribute["Name"] == "sub").unwrap();
        sub["Value"].as_str().unwrap().to_owned()
    }

    /// Signs in with `PASSWORD`: the AuthenticationResult.
    pub async fn signs_in(&self, client: &str, name: &str) -> Value {
        let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client,
            "AuthParameters": { "USERNAME": name, "PASSWORD": PASSWORD } });
        self.ok("InitiateAuth", input).await["AuthenticationResult"].clone()
    }

    /// The messages to an address that this pool sent, newest first.
    pub async fn outbox(&self, pool: &str, to: &str) -> Vec<Value> {
        let query: String = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("to", to)
            .append_pair("pool", pool)
            .finish();
        let request = Request::get(format!("/dev/outbox?{query}"))
            .header("host", "localhost:9229")
            .header("accept", "application/json")
            .body(Body::empty())
            .unwrap();
        let mut answer = self.send(request).await.json();
        let messages = std::mem::take(answer["messages"].as_array_mut().unwrap());
        assert!(messages.iter().all(|message| message["pool"] == pool));
        messages
    }

    /// The last code that this pool sent to an address.
    pub async fn code(&self, pool: &str, to: &str) -> String {
        let messages = self.outbox(pool, to).await;
        messages.first().unwrap_or_else(|| panic!("no message to {to}"))["code"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// What AdminGetUser says of an attribute.
    pub async fn attribute(&self, pool: &str, name: &str, attribute: &str) -> Option<String> {
        let user = self.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": name })).await;
        let attributes = user["UserAttributes"].as_array().unwrap().clone();
        attributes
            .iter()
            .find(|item| item["Name"] == attribute)
            .map(|item| item["Value"].as_str().unwrap().to_owned())
    }

    /// The user's UserStatus.
    pub async fn status(&self, pool: &str, name: &str) -> String {
        let user = self.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": name })).await;
        user["UserStatus"].as_str().unwrap().to_owned()
    }

    /// The number that a counting statement gives for a pool.
    pub async fn rows(&self, sql: &'static str, pool: &str) -> i64 {
        self.app.db.one(sql, &cenote::params![pool]).await.unwrap().unwrap().i64(0).unwrap()
    }

    pub fn advance(&self, by: Ms) {
        self.clock.advance(by);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        if let Some(directory) = &self.directory {
            let _ = std::fs::remove_dir_all(directory);
        }
    }
}

/// Members of `more` replace those of `into`; a null takes one away.
pub fn merge(into: &mut Value, more: Value) {
    for (key, value) in more.as_object().unwrap() {
        if value.is_null() {
            into.as_object_mut().unwrap().remove(key);
        } else {
            into[key] = value.clone();
        }
    }
}

/// The suites of one run share the PostgreSQL database, and so its master key: a fixed one.
fn vault() -> Vault {
    static MASTER: OnceLock<MasterKey> = OnceLock::new();
    Vault::new(MASTER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("cenote-it-{}.key", std::process::id()));
        cenote::files::write_private(&path, MASTER_KEY).unwrap();
        let key = MasterKey::from_file(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        key
    }))
}

/// Six digits that are not these.
pub fn another_code(code: &str) -> String {
    format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000)
}

/// A refusal as `House::refused` gives it.
pub fn refusal(kind: &str, message: &str) -> (String, String) {
    (format!("{kind}Exception"), message.to_owned())
}

fn fixtures() -> KeySource {
    let keys = [
        include_bytes!("../fixtures/rsa-1.pkcs8.der").to_vec(),
        include_bytes!("../fixtures/rsa-2.pkcs8.der").to_vec(),
        include_bytes!("../fixtures/rsa-3.pkcs8.der").to_vec(),
        include_bytes!("../fixtures/rsa-4.pkcs8.der").to_vec(),
    ];
    KeySource::Fixtures(Arc::new(keys.to_vec()), Arc::new(AtomicUsize::new(0)))
}

/// Houses that share their database with nobody: for tests of what touches all pools.
pub async fn houses_alone(name: &str) -> Vec<House> {
    houses_alone_with(name, Settings::default).await
}

/// The same, each with settings of its own.
pub async fn houses_alone_with(name: &str, mut settings: impl FnMut() -> Settings) -> Vec<House> {
    let mut houses = vec![House::on_sqlite(settings()).await];
    if let Ok(url) = std::env::var("CENOTE_TEST_PG") {
        houses.push(House::open(&own_schema(&url, name).await, settings(), None).await);
    }
    houses
}

/// The address of a part of this PostgreSQL database that nobody else uses.
pub async fn own_schema(url: &str, name: &str) -> String {
    let schema = format!("alone_{}_{name}", std::process::id());
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
    let join = if url.contains('?') { '&' } else { '?' };
    format!("{url}{join}options=-csearch_path%3D{schema}")
}

/// The same under a name that nobody else has.
pub async fn houses_apart() -> Vec<House> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    houses_alone(&format!("apart_{}", NEXT.fetch_add(1, Ordering::Relaxed))).await
}

/// Runs them all at once, from one starting line.
pub async fn together<T: Send>(
    racers: impl IntoIterator<Item = impl Future<Output = T>>,
) -> Vec<T> {
    let mut racers: Vec<_> = racers.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<T>> = racers.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut waiting = false;
        for (racer, result) in racers.iter_mut().zip(&mut results) {
            if result.is_none() {
                match racer.as_mut().poll(context) {
                    std::task::Poll::Ready(value) => *result = Some(value),
                    std::task::Poll::Pending => waiting = true,
                }
            }
        }
        if waiting { std::task::Poll::Pending } else { std::task::Poll::Ready(()) }
    })
    .await;
    results.into_iter().flatten().collect()
}

/// For what happens after an answer: a moment of real time.
#[allow(clippy::disallowed_methods, reason = "a background task is waited for in real time")]
pub async fn pause() {
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;
}
