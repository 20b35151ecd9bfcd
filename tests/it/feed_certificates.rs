//! The revocation feed for those who show a client certificate, on a TLS listener as `cenote serve` opens it.

#![allow(clippy::disallowed_methods, reason = "TLS looks at this machine's clock")]

use std::sync::Arc;
use std::time::Duration;

use cenote::ambient::{Clock as _, DAY, HOUR, Ms, SystemClock, SystemRandom};
use cenote::app;
use cenote::config::Settings;
use cenote::serve::{self, Door, Doors};
use cenote::store::feed;
use cenote::tls::{dev_certificates, server_config};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use reqwest::{Client, Response};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::cli::Scratch;
use crate::feed::{Verifier, awake, signs_out};
use crate::house::{House, NOW, houses, houses_alone, houses_with, pause};
use crate::sequencer::sha256;

/// An authority that vouches for clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Two of them differ in nothing but their keys.
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "Verifiers of Example");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    fn vouches(&self, until: Ms, usage: ExtendedKeyUsagePurpose) -> Shown {
        let mut params = CertificateParams::new(["orders.example.com".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "orders");
        params.extended_key_usages = vec![usage];
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_millis(until as u64);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Shown {
            pem: (certificate.pem(), key.serialize_pem()),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
            until: until / 1_000 * 1_000 + 999,
        }
    }

    /// Good for an hour, by this machine's clock and by the house's.
    pub fn client(&self) -> Shown {
        let until = SystemClock.now_ms().max(NOW) + HOUR;
        self.vouches(until, ExtendedKeyUsagePurpose::ClientAuth)
    }
}

/// What a client shows.
pub struct Shown {
    /// The certificate and its key.
    pub pem: (String, String),
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
    /// Its last millisecond.
    until: Ms,
}

impl Shown {
    pub fn owner(&self) -> String {
        let hash = sha256(&self.certificate);
        format!("cert:{}", hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

/// A house with a door to the street.
pub struct Open {
    pub base: String,
    /// The authority of the server's certificate, as PEM.
    pub ca: Vec<u8>,
    server_ca: CertificateDer<'static>,
    _doors: Doors,
    _scratch: Scratch,
}

impl Open {
    async fn of(house: &House, clients: &Authority) -> Open {
        let listener = serve::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
        Open::on(listener, house, clients)
    }

    pub fn on(listener: TcpListener, house: &House, clients: &Authority) -> Open {
        let scratch = Scratch::new();
        let files = dev_certificates(&scratch.0, SystemClock.now_ms(), &SystemRandom).unwrap();
        let ca_file = scratch.write("clients.pem", &clients.pem);
        let tls = server_config(&files.leaf, &files.leaf_key, Some(ca_file.as_ref())).unwrap();
        let base = format!("https://{}", serve::address(&listener));
        let router = app::router(house.app.clone());
        let door = Door { listener, tls: Some(Arc::new(tls)), router, operator: false };
        let doors = Doors::open(vec![door], 100, house.app.meters.connections("public"));
        let server_ca = CertificateDer::from_pem_file(&files.ca).unwrap();
        let ca = std::fs::read(&files.ca).unwrap();
        Open { base, ca, server_ca, _doors: doors, _scratch: scratch }
    }

    pub fn client(&self, shows: Option<&Shown>, alpn: &[&[u8]]) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(self.server_ca.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shows {
            Some(shown) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(shown.key.clone()));
                config.with_client_auth_cert(vec![shown.certificate.clone()], key).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Client::builder().tls_backend_preconfigured(config).no_proxy().build().unwrap()
    }

    async fn asks(&self, shows: Option<&Shown>, path: &str) -> reqwest::Result<Response> {
        self.client(shows, &[b"h2", b"http/1.1"]).get(format!("{}{path}", self.base)).send().await
    }

    /// Who is refused by the feed, and how: status and code.
    async fn refused(&self, shows: Option<&Shown>, path: &str) -> (u16, String) {
        refusal(self.asks(shows, path).await.unwrap()).await
    }
}

async fn refusal(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert!(body["error_description"].as_str().is_some_and(|text| text.len() > 20), "{body}");
    (status, body["error"].as_str().unwrap().to_owned())
}

fn bad_token() -> (u16, String) {
    (401, "invalid_token".to_owned())
}

const NONCE: &str = "nonce-of-the-test";

fn delta(verifier: &Verifier, wait: u32) -> String {
    verifier.path(&format!("&nonce={NONCE}&wait={wait}"))
}

#[tokio::test]
async fn a_verified_certificate_follows_the_feed_of_every_pool_under_its_fingerprint() {
    for house in houses_alone("certificate_follows").await {
        let _awake = awake(&house);
        let authority = Authority::new();
        let open = Open::of(&house, &authority).await;
        let shown = authority.client();
        for alpn in [b"h2".as_slice(), b"http/1.1"] {
            let client = open.client(Some(&shown), &[alpn]);
            let pool = house.pool(json!({})).await;
            house.user(&pool, "ann").await;
            let mut verifier = Verifier::of(&house, &pool).await;
            let snapshot = format!("{}/{pool}/revocations/snapshot", open.base);
            assert_eq!(client.get(snapshot).send().await.unwrap().status(), 200);
            let waiting = client.get(format!("{}{}", open.base, delta(&verifier, 2))).send();
            let (answer, ()) = tokio::join!(waiting, async {
                pause().await;
                signs_out(&house, &pool, "ann").await;
            });
            let answer = answer.unwrap();
            assert_eq!(answer.status(), 200);
            let frame = answer.text().await.unwrap();
            assert_eq!(verifier.applies(&house, &frame, Some(NONCE)).await.len(), 1);
            for _ in 0..40 {
                pause().await;
            }
            let consumers = feed::consumers(&house.app.db, &pool).await.unwrap();
            let owners: Vec<&str> = consumers.iter().map(|said| said.owner.as_str()).collect();
            assert_eq!(owners, [shown.owner()]);
        }
        assert_eq!(
            open.refused(Some(&shown), "/us-east-1_none/revocations/snapshot").await,
            (404, "not_found".to_owned())
        );
    }
}

#[tokio::test]
async fn a_stream_lives_by_a_certificate_and_ends_with_it() {
    for house in houses_alone("certificate_stream").await {
        let _awake = awake(&house);
        let authority = Authority::new();
        let open = Open::of(&house, &authority).await;
        let shown = authority.client();
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let mut verifier = Verifier::of(&house, &pool).await;
        let path = delta(&verifier, 0).replace("/delta?", "/stream?");
        let mut stream = open.asks(Some(&shown), &path).await.unwrap();
        assert_eq!(stream.status(), 200);
        signs_out(&house, &pool, "ann").await;
        let mut text = String::new();
        while verifier.seq == 0 {
            let chunk = tokio::time::timeout(Duration::from_secs(8), stream.chunk()).await;
            let chunk = chunk.expect("an event").unwrap().expect("the stream goes on");
            text.push_str(std::str::from_utf8(&chunk).unwrap());
            while let Some((event, rest)) = text.clone().split_once("\n\n") {
                text = rest.to_owned();
                let data = event.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                verifier.applies(&house, data, None).await;
            }
        }
        house.clock.advance(shown.until - NOW + 1);
        let ends = async { while let Ok(Some(_)) = stream.chunk().await {} };
        tokio::time::timeout(Duration::from_secs(40), ends).await.expect("it ends");
        assert_eq!(open.refused(Some(&shown), &path).await, bad_token());
    }
}

#[tokio::test]
async fn a_certificate_that_ends_while_its_connection_lives_is_refused_from_then_on() {
    for house in houses_alone("certificate_ends").await {
        let authority = Authority::new();
        let open = Open::of(&house, &authority).await;
        let shown = authority.client();
        let pool = house.pool(json!({})).await;
        let client = open.client(Some(&shown), &[b"h2"]);
        let url = format!("{}/{pool}/revocations/snapshot", open.base);
        house.clock.advance(shown.until - NOW);
        assert_eq!(client.get(&url).send().await.unwrap().status(), 200, "its last millisecond");
        house.clock.advance(1);
        assert_eq!(refusal(client.get(&url).send().await.unwrap()).await, bad_token());
    }
}

#[tokio::test]
async fn a_certificate_that_does_not_verify_gets_no_connection() {
    for house in houses().await {
        let authority = Authority::new();
        let open = Open::of(&house, &authority).await;
        let pool = house.pool(json!({})).await;
        let path = format!("/{pool}/revocations/snapshot");
        let (good, now) = (authority.client(), SystemClock.now_ms());
        let wrong = [
            ("another authority", Authority::new().client()),
            ("expired", authority.vouches(now - DAY, ExtendedKeyUsagePurpose::ClientAuth)),
            ("a server's", authority.vouches(good.until, ExtendedKeyUsagePurpose::ServerAuth)),
        ];
        for (what, shown) in &wrong {
            let error = open.asks(Some(shown), &path).await.expect_err(what);
            assert!(error.status().is_none(), "{what}: {error:?}");
            // Not even what is public.
            let jwks = format!("/{pool}/.well-known/jwks.json");
            assert!(open.asks(Some(shown), &jwks).await.is_err(), "{what}");
        }
        assert_eq!(open.asks(Some(&good), &path).await.unwrap().status(), 200);
    }
}

#[tokio::test]
async fn without_a_certificate_everything_is_as_before_and_a_token_counts_more_than_one() {
    for house in houses().await {
        let authority = Authority::new();
        let open = Open::of(&house, &authority).await;
        let pool = house.pool(json!({})).await;
        let verifier = Verifier::of(&house, &pool).await;
        let path = format!("/{pool}/revocations/snapshot");
        assert_eq!(open.refused(None, &path).await, bad_token());
        let jwks = format!("/{pool}/.well-known/jwks.json");
        assert_eq!(open.asks(None, &jwks).await.unwrap().status(), 200);
        let shown = authority.client();
        for shows in [None, Some(&shown)] {
            let client = open.client(shows, &[b"http/1.1"]);
            let ask = |token: &str| client.get(format!("{}{path}", open.base)).bearer_auth(token);
            assert_eq!(ask(&verifier.token).send().await.unwrap().status(), 200);
            assert_eq!(refusal(ask("not-a-token").send().await.unwrap()).await, bad_token());
        }
    }
}

#[tokio::test]
async fn no_header_stands_for_a_certificate_and_a_proxys_own_is_nobodys() {
    let loopback = vec!["127.0.0.1".parse().unwrap()];
    let trusting = Settings { trusted_proxies: loopback, ..Settings::default() };
    for (trusts, settings) in [(false, Settings::default()), (true, trusting)] {
        for house in houses_with(settings.clone()).await {
            let authority = Authority::new();
            let open = Open::of(&house, &authority).await;
            let pool = house.pool(json!({})).await;
            let path = format!("/{pool}/revocations/snapshot");
            let shown = authority.client();
            let client = open.client(None, &[b"http/1.1"]);
            let fingerprint = shown.owner().replace("cert:", "");
            let answer = client
                .get(format!("{}{path}", open.base))
                .header("x-forwarded-for", "192.0.2.7")
                .header("x-forwarded-proto", "https")
                .header("x-forwarded-client-cert", format!("Hash={fingerprint}"))
                .header("x-ssl-client-verify", "SUCCESS")
                .header("x-client-cert-fingerprint", &fingerprint)
                .header("client-cert", ":AAAA:");
            assert_eq!(refusal(answer.send().await.unwrap()).await, bad_token());
            let answer = open.asks(Some(&shown), &path).await.unwrap();
            assert_eq!(answer.status(), if trusts { 401 } else { 200 });
        }
    }
}

#[tokio::test]
async fn a_certificate_opens_nothing_but_the_feed() {
    for house in houses().await {
        let authority = Authority::new();
        let open = Open::of(&house, &authority).await;
        let pool = house.pool(json!({})).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let token = house.signs_in(&client, "ann").await["AccessToken"].clone();
        let shown = authority.client();
        let base = format!("{}/{pool}", open.base);
        let introspected = format!("token={}&client_id={client}", token.as_str().unwrap());
        for (path, form) in [
            ("/oauth2/introspect", Some(introspected)),
            ("/oauth2/token", Some(format!("grant_type=client_credentials&client_id={client}"))),
            ("/oauth2/userInfo", None),
        ] {
            let mut answers = Vec::new();
            for shows in [None, Some(&shown)] {
                let client = open.client(shows, &[b"http/1.1"]);
                let url = format!("{base}{path}");
                let request = match &form {
                    Some(form) => client
                        .post(url)
                        .header("content-type", "application/x-www-form-urlencoded")
                        .body(form.clone()),
                    None => client.get(url),
                };
                let answer = request.send().await.unwrap();
                answers.push((answer.status().as_u16(), answer.text().await.unwrap()));
            }
            assert_eq!(answers[0], answers[1], "{path}");
            assert!((400..500).contains(&answers[0].0), "{path}: {answers:?}");
        }
    }
}
