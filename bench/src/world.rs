//! What the server finds in its database: a pool with its clients, users by the million, sessions, codes and tokens. Made through the
//! server's own library, beside the running server: rows in batches of a thousand, which takes seconds where the API would take hours.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use cenote::access::{self, Grant};
use cenote::admin::resource_servers;
use cenote::ambient::{HOUR, MINUTE, SystemClock, SystemRandom};
use cenote::app::Parts;
use cenote::auth::credential;
use cenote::config::{Allowed, Config, Hidden, Settings};
use cenote::cx::{App, Cx};
use cenote::keys::{self, KeySource, MasterKey, Vault};
use cenote::pool::group::GroupClaims;
use cenote::pool::session::Flow;
use cenote::pool::user::UserDoc;
use cenote::pool::{Client, Pool, SsoSession, Status, TokenSession, User};
use cenote::store::codes::{self, AuthorizationCode, CodeDoc};
use cenote::store::{Batch, Db, Options, browsers, sessions, users};
use cenote::tokens::claims::{self, ADMIN_SCOPE};
use cenote::tokens::ring;
use cenote::{error, files, ids, seed};
use cenote_interface::types::ResourceServerScopeType;
use serde_json::{Value, json};

use crate::{Args, Failed, Result, Sizes};

/// What the server is told its address is. Its port is not part of it: hosts are compared without.
pub const PUBLIC_URL: &str = "http://localhost";
pub const POOL: &str = "us-east-1_BenchPool";
/// A public client: a single-page or a mobile app.
pub const CLIENT: &str = "benchclient000000000000001";
/// A client with a secret whose users sign in: a web server, which also introspects its tokens.
pub const WEB: &str = "benchclient000000000000002";
/// A client that acts for itself.
pub const MACHINE: &str = "benchclient000000000000003";
/// A client that is told of sign-outs, and that nobody else signs in at.
pub const TOLD: &str = "benchclient000000000000004";
pub const SECRET: &str = "s3cret0fthebenchclients0000000000000000000000000001x";
pub const API: &str = "https://api.example.com";
/// The pool's pages and OAuth endpoints, by `Host`, as in production.
pub const DOMAIN_HOST: &str = "bench.localhost";
pub const CALLBACK: &str = "https://app.example.com/callback";
pub const PASSWORD: &str = "Correct-horse-9";
pub const SCOPE: &str = "openid email profile";

/// Rows in one commit.
const BATCH: usize = 1_000;

pub struct World {
    pub directory: Scratch,
    pub database_url: String,
    pub master_key_file: PathBuf,
    pub app: Arc<App>,
    pub pool: Arc<Pool>,
    pub client: Arc<Client>,
    pub web: Arc<Client>,
    /// The access key that signs an administrator's requests: id and secret.
    pub access_key: (String, String),
    /// The first users, of whom some have a password.
    pub first: Vec<User>,
    /// Users from all over the pool, once it was grown.
    pub spread: Vec<User>,
    pub users: usize,
    /// Where the client `TOLD` is told of sign-outs, once somebody listens.
    pub receiver: SocketAddr,
}

/// A session with the refresh token that belongs to it.
pub struct Opened {
    pub user: User,
    pub session: TokenSession,
    pub refresh_token: String,
}

impl World {
    pub async fn make(args: &Args, sizes: &Sizes) -> Result<World> {
        let parent = match &args.data {
            Some(directory) => directory.clone(),
            // target/release/cenote-bench
            None => {
                std::env::current_exe()?.ancestors().nth(2).map(PathBuf::from).unwrap_or_default()
            }
        };
        let directory = Scratch(parent.join(format!("bench-{}", std::process::id())));
        files::create_private_dir(&directory.0)?;
        let random = Arc::new(SystemRandom);
        let master_key_file = directory.0.join("master.key");
        let master = MasterKey::generate(&*random);
        files::write_private(&master_key_file, master.to_hex().as_bytes())?;
        let database_url = match &args.database_url {
            Some(url) => url.clone(),
            None => format!("sqlite://{}", directory.0.join("cenote.db").display()),
        };
        // Without the lock, as the operator's commands: the server holds it.
        let options = Options { lock: false, pool_size: 4, ..Options::default() };
        let db = Db::open(&database_url, options).await?;
        if db.schema_version().await? > 0 {
            return Err(Failed(
                "the database of --database-url is in use: give an empty one, which is left filled"
                    .to_owned(),
            ));
        }
        let parts = Parts {
            settings: settings(&database_url, &master_key_file)?,
            db,
            vault: Vault::new(&master),
            clock: Arc::new(SystemClock),
            random,
            keygen: KeySource::Generate,
        };
        let app = App::open(parts).await?;
        let receiver = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let cx = Cx::system(app.clone());
        seed::apply(&cx, &seed::parse(&seed_file(Vec::new()))?).await?;
        let pool = app.directory.pool(&app.db, POOL).await?.ok_or_else(|| missing("pool"))?;
        let scope = |name: &str| ResourceServerScopeType {
            scope_name: name.to_owned(),
            scope_description: "A scope".to_owned(),
        };
        resource_servers::create(&cx, &pool, API, "API", Some(vec![scope("read"), scope("write")]))
            .await?;
        seed::apply(
            &cx,
            &seed::parse(&seed_file(vec![
                public_client(),
                web_client(),
                machine_client(),
                told_client(receiver),
            ]))?,
        )
        .await?;
        let grant = Grant::new(&[], &[], "bench")?;
        let (id, secret) = access::create(&cx, &grant).await?;
        let found = app.directory.client(&app.db, CLIENT).await?;
        let (pool, client) = found.ok_or_else(|| missing("client"))?;
        let found = app.directory.client(&app.db, WEB).await?;
        let (_, web) = found.ok_or_else(|| missing("client"))?;
        let mut world = World {
            directory,
            database_url,
            master_key_file,
            app,
            pool,
            client,
            web,
            access_key: (id, secret.to_string()),
            first: Vec::new(),
            spread: Vec::new(),
            users: 0,
            receiver,
        };
        world.grow(sizes.users, sizes.people).await?;
        Ok(world)
    }

    /// A context with the present time.
    pub fn cx(&self) -> Cx {
        Cx::system(self.app.clone())
    }

    /// Adds users until there are `total`; the first of all get a password. The `sub`s of one call are in order, which makes the
    /// indexes grow at their ends.
    pub async fn grow(&mut self, total: usize, with_password: usize) -> Result<()> {
        let cx = self.cx();
        let count = total.saturating_sub(self.users);
        let mut subs: Vec<String> =
            (0..count).map(|_| ids::uuid_v4(cx.rng()).to_string()).collect();
        subs.sort_unstable();
        let step = (count / 10_000).max(1);
        let mut batch = Batch::new();
        for (n, sub) in subs.into_iter().enumerate() {
            let mut user = self.user(&cx, self.users + n, sub);
            if self.users == 0 && n < with_password {
                let (sub, name) = (user.sub.clone(), user.username.clone());
                user.password =
                    Some(credential::make(&cx, &self.pool, &sub, &name, PASSWORD).await?);
            }
            users::insert(
                &mut batch,
                &self.pool,
                &user,
                &error::Error::internal("a user is there already"),
            )?;
            if self.users == 0 {
                self.first.push(user);
            } else if n % step == 0 {
                self.spread.push(user);
            }
            if (n + 1) % BATCH == 0 {
                cx.db().commit(std::mem::take(&mut batch)).await?;
            }
        }
        cx.db().commit(batch).await?;
        self.users = self.users.max(total);
        Ok(())
    }

    fn user(&self, cx: &Cx, n: usize, sub: String) -> User {
        let attributes = [("email", email(n)), ("email_verified", "true".to_owned())];
        let attributes = attributes.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let doc = UserDoc { attributes, ..UserDoc::default() };
        User::new(&self.pool.id, sub, format!("user{n:07}"), Status::Confirmed, doc, cx.now)
    }

    /// New sessions of the JSON door for each of these users, as a sign-in makes them.
    pub async fn sessions(
        &self,
        client: &Client,
        users: &[User],
        each: usize,
    ) -> Result<Vec<Opened>> {
        let cx = self.cx();
        let mut opened = Vec::with_capacity(users.len() * each);
        let mut batch = Batch::new();
        for user in users {
            for _ in 0..each {
                let session = TokenSession {
                    id: ids::token_session(cx.now, cx.rng()),
                    sub: user.sub.clone(),
                    client_id: client.id.clone(),
                    sso_id: None,
                    flow: Flow::Api,
                    scope: ADMIN_SCOPE.to_owned(),
                    nonce: None,
                    birth_ms: cx.now,
                    auth_ms: cx.now,
                    created_ms: cx.now,
                    active_ms: cx.now,
                    expires_ms: cx.now + client.refresh_ms(),
                    ended_ms: None,
                    ip: "127.0.0.1".to_owned(),
                    device: "Linux".to_owned(),
                    resource: None,
                    sid: None,
                };
                let refresh_token = keys::refresh_token(cx.rng());
                sessions::insert_token_session(&mut batch, &self.pool.id, &session);
                let hash = keys::hash(&refresh_token);
                sessions::insert_refresh_token(
                    &mut batch,
                    &self.pool.id,
                    &hash,
                    &session.id,
                    cx.now,
                    session.expires_ms,
                );
                opened.push(Opened { user: user.clone(), session, refresh_token });
                if opened.len() % BATCH == 0 {
                    cx.db().commit(std::mem::take(&mut batch)).await?;
                }
            }
        }
        cx.db().commit(batch).await?;
        Ok(opened)
    }

    /// Access tokens of these sessions, signed here on every core with the pool's own key: the same bytes that the server would send.
    pub async fn access_tokens(&self, client: &Client, opened: &[Opened]) -> Result<Vec<String>> {
        let cx = self.cx();
        let ring = ring::of(&cx, &self.pool).await?;
        let groups = GroupClaims::of(Vec::new());
        let sign = |part: &[Opened]| -> error::Result<Vec<String>> {
            let key = ring
                .access()
                .ok_or_else(|| error::Error::internal("the pool has no signing key"))?;
            let sign = |one: &Opened| {
                key.sign_jwt(&claims::access(
                    &cx,
                    &self.pool,
                    client,
                    &one.user,
                    &one.session,
                    &groups,
                ))
            };
            part.iter().map(sign).collect()
        };
        let cores = crate::floors::cores();
        let mut tokens = Vec::with_capacity(opened.len());
        let parts: Vec<_> = std::thread::scope(|scope| {
            let parts = opened.chunks(opened.len().div_ceil(cores).max(1));
            let threads: Vec<_> = parts.map(|part| scope.spawn(|| sign(part))).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        for part in parts {
            tokens.extend(part.map_err(|_| Failed("signing tokens failed".to_owned()))??);
        }
        Ok(tokens)
    }

    /// Authorization codes, each with PKCE's challenge of [`VERIFIER`](crate::requests::VERIFIER), as the hosted pages give them.
    pub async fn codes(&self, count: usize, challenge: &str) -> Result<Vec<String>> {
        let cx = self.cx();
        let mut made = Vec::with_capacity(count);
        let mut batch = Batch::new();
        let mut sso = Vec::new();
        for user in self.first.iter().take(BATCH) {
            let session = self.browser(&cx, user);
            let handle = keys::hash(ids::handle(cx.rng()));
            browsers::insert_sso_session(&mut batch, &self.pool.id, &session, &handle);
            sso.push(session);
        }
        for n in 0..count {
            let Some(sso) = sso.get(n % sso.len().max(1)) else { break };
            let code = ids::handle(cx.rng());
            let row = AuthorizationCode {
                sub: sso.sub.clone(),
                client_id: self.client.id.clone(),
                sso_id: sso.id.clone(),
                session_id: ids::token_session(cx.now, cx.rng()),
                birth_ms: cx.now,
                doc: CodeDoc {
                    redirect_uri: CALLBACK.to_owned(),
                    scope: SCOPE.to_owned(),
                    nonce: Some("nonce".to_owned()),
                    code_challenge: Some(challenge.to_owned()),
                    auth_ms: cx.now,
                    resource: None,
                },
                expires_ms: cx.now + 5 * MINUTE,
                consumed_ms: None,
            };
            codes::insert_authorization_code(&mut batch, &self.pool.id, &keys::hash(&code), &row)?;
            made.push(code);
            if made.len() % BATCH == 0 {
                cx.db().commit(std::mem::take(&mut batch)).await?;
            }
        }
        cx.db().commit(batch).await?;
        Ok(made)
    }

    fn browser(&self, cx: &Cx, user: &User) -> SsoSession {
        SsoSession {
            id: ids::sso_session(cx.now, cx.rng()),
            sub: user.sub.clone(),
            client_id: self.client.id.clone(),
            birth_ms: cx.now,
            auth_ms: cx.now,
            created_ms: cx.now,
            active_ms: cx.now,
            expires_ms: cx.now + HOUR,
            ended_ms: None,
            ip: "127.0.0.1".to_owned(),
            device: "Chrome on Linux".to_owned(),
        }
    }
}

pub fn email(n: usize) -> String {
    format!("user{n:07}@example.com")
}

/// The settings that the server gets by its flags: issuers must be the same.
fn settings(database_url: &str, master_key_file: &std::path::Path) -> Result<Settings> {
    let config = Config {
        public_url: Some(PUBLIC_URL.to_owned()),
        database_url: Some(Hidden(database_url.to_owned())),
        master_key_file: Some(master_key_file.to_owned()),
        allow_plain_http: Some(true),
        outgoing_allow: Some(Allowed::loopback()),
        ..Config::default()
    };
    Ok(config.check()?.settings)
}

fn missing(what: &str) -> Failed {
    Failed(format!("the bench's {what} is missing"))
}

/// A pool as an application of today has it: default settings.
fn seed_file(clients: Vec<Value>) -> String {
    json!({ "pools": [{ "Id": POOL, "PoolName": "bench", "Domain": "bench", "Clients": clients }] })
        .to_string()
}

fn public_client() -> Value {
    let flows = ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"];
    json!({
        "ClientId": CLIENT,
        "ClientName": "app",
        "ExplicitAuthFlows": flows,
        "PreventUserExistenceErrors": "ENABLED",
        "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": ["openid", "email", "profile", ADMIN_SCOPE],
        "CallbackURLs": [CALLBACK],
        "SupportedIdentityProviders": ["COGNITO"],
    })
}

fn web_client() -> Value {
    json!({
        "ClientId": WEB,
        "ClientName": "web",
        "ClientSecret": SECRET,
        "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthFlows": ["code"],
        "AllowedOAuthScopes": ["openid", "email", "profile"],
        "CallbackURLs": [CALLBACK],
        "SupportedIdentityProviders": ["COGNITO"],
    })
}

/// A relying party that is told of sign-outs by back-channel.
fn told_client(receiver: SocketAddr) -> Value {
    json!({
        "ClientId": TOLD,
        "ClientName": "told",
        "ClientSecret": SECRET,
        "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"],
        "Extensions": { "BackchannelLogoutUri": format!("http://{receiver}/backchannel-logout") },
    })
}

fn machine_client() -> Value {
    json!({
        "ClientId": MACHINE,
        "ClientName": "machine",
        "ClientSecret": SECRET,
        "AllowedOAuthFlowsUserPoolClient": true,
        "AllowedOAuthFlows": ["client_credentials"],
        "AllowedOAuthScopes": [format!("{API}/read"), format!("{API}/write"), "revocations/read"],
    })
}

/// A directory that goes with whoever holds it.
pub struct Scratch(pub PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
