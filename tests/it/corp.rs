//! A SAML provider of the tests' own, on a loopback port, as far as single logout goes: it answers by SOAP as it is told to, and signs
//! what a browser or its server brings to us. Signing in there is `saml_provider`'s.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cenote::ambient::{Clock, TestClock};
use cenote_saml::{Credential, LogoutRequest, LogoutResponse, LogoutStatus, NameId};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::form_urlencoded;

use crate::browser::{Browser, CHALLENGE, code_client, local, parameter};
use crate::house::{Answer, House, merge};
use crate::saml_provider::{Asked, ENTITY, SSO, SamlProvider, Says, posts};

pub const PERSISTENT: &str = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent";

/// How it answers a LogoutRequest by SOAP.
#[derive(Clone, Copy)]
pub enum Soap {
    Answers(LogoutStatus),
    Unsigned,
    /// Signed by another key.
    Forged,
    Nonsense,
    Status(u16),
}

pub struct Corp {
    pub url: String,
    pub provider: SamlProvider,
    clock: Arc<TestClock>,
    state: Arc<Mutex<(Soap, Vec<String>)>>,
    server: JoinHandle<()>,
}

/// A LogoutRequest as the provider sends it; made by `Corp::ask`, then changed by the test.
pub struct Ask {
    pub id: String,
    pub issuer: String,
    pub name_id: NameId,
    pub session_index: Option<String>,
    pub destination: String,
    pub issued_ms: i64,
    pub until_ms: i64,
}

impl Corp {
    pub async fn start(house: &House) -> Corp {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new((Soap::Answers(LogoutStatus::Success), Vec::new())));
        let (clock, shared) = (house.clock.clone(), state.clone());
        let app = Router::new().fallback(move |request: Request<Body>| {
            let (clock, state) = (clock.clone(), shared.clone());
            async move { serve(&clock, &state, request).await }
        });
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        let provider = SamlProvider::new();
        Corp { url, provider, clock: house.clock.clone(), state, server }
    }

    /// Nobody listens there any more.
    pub async fn goes_away(&self) {
        self.server.abort();
        while !self.server.is_finished() {
            tokio::task::yield_now().await;
        }
    }

    pub fn does(&self, soap: Soap) {
        self.state.lock().unwrap().0 = soap;
    }

    /// The LogoutRequests that came by SOAP so far.
    pub fn asked(&self) -> Vec<String> {
        self.state.lock().unwrap().1.clone()
    }

    pub fn slo(&self) -> String {
        format!("{}/slo", self.url)
    }

    /// `bindings` are `HTTP-Redirect`, `HTTP-POST` and `SOAP`.
    pub fn metadata(&self, bindings: &[&str]) -> String {
        let services: String = bindings
            .iter()
            .map(|binding| {
                format!(
                    "<md:SingleLogoutService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:{binding}\" Location=\"{}\"/>",
                    self.slo()
                )
            })
            .collect();
        format!(
            "<md:EntityDescriptor xmlns:md=\"urn:oasis:names:tc:SAML:2.0:metadata\" entityID=\"{ENTITY}\">\
             <md:IDPSSODescriptor protocolSupportEnumeration=\"urn:oasis:names:tc:SAML:2.0:protocol\"><md:KeyDescriptor use=\"signing\">\
             <ds:KeyInfo xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate>\
             </ds:X509Data></ds:KeyInfo></md:KeyDescriptor>{services}\
             <md:SingleSignOnService Binding=\"urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect\" Location=\"{SSO}\"/>\
             </md:IDPSSODescriptor></md:EntityDescriptor>",
            body(CERTIFICATE)
        )
    }

    /// Makes it a provider of the pool that single logout is asked of, and an app client that has it.
    pub async fn joins(
        &self,
        house: &House,
        pool: &str,
        name: &str,
        bindings: &[&str],
        more: Value,
    ) {
        let mut details = json!({ "MetadataFile": self.metadata(bindings), "IDPSignout": "true" });
        merge(&mut details, more);
        let input = json!({ "UserPoolId": pool, "ProviderName": name, "ProviderType": "SAML", "ProviderDetails": details });
        house.ok("CreateIdentityProvider", input).await;
    }

    /// The whole way through the provider `name`: the answer that leads to the app.
    pub async fn signs_in(
        &self,
        house: &House,
        browser: &mut Browser<'_>,
        pool: &str,
        name: &str,
        (subject, session_index): (&str, &str),
    ) -> Answer {
        let more = format!(
            "&identity_provider={name}&scope=openid+aws.cognito.signin.user.admin&code_challenge={CHALLENGE}&code_challenge_method=S256"
        );
        let asked = Asked::by(&browser.visits("/oauth2/authorize", &more).await);
        let mut says = Says::of(&asked, self.clock.now_ms());
        says.subject = subject.to_owned();
        says.session_index = session_index.to_owned();
        says.attributes.clear();
        let form = self.provider.form(&says, &asked.relay_state);
        let answer = posts(house, pool, "/saml2/idpresponse", form).await;
        let answer = browser.get(&local(answer.header("location"))).await;
        assert!(
            parameter(answer.header("location"), "code").is_some(),
            "{} {}",
            answer.header("location"),
            answer.body
        );
        answer
    }

    /// The same, and the tokens.
    pub async fn gets_tokens(
        &self,
        house: &House,
        browser: &mut Browser<'_>,
        pool: &str,
        name: &str,
        who: (&str, &str),
    ) -> Value {
        let answer = self.signs_in(house, browser, pool, name, who).await;
        let code = parameter(answer.header("location"), "code").unwrap();
        let answer = browser.redeems(&code).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// "Sign out ann": all of her sessions, or one.
    pub fn ask(&self, pool: &str, subject: &str, session_index: Option<&str>) -> Ask {
        let now = self.clock.now_ms();
        Ask {
            id: format!("_{}", cenote::ids::handle(&cenote::ambient::SystemRandom)),
            issuer: ENTITY.to_owned(),
            name_id: NameId {
                value: subject.to_owned(),
                format: Some(PERSISTENT.to_owned()),
                ..NameId::default()
            },
            session_index: session_index.map(str::to_owned),
            destination: our_slo(pool),
            issued_ms: now,
            until_ms: now + 60_000,
        }
    }

    /// Its answer to a request of ours, as a browser brings it by Redirect: the path and query within the pool.
    pub fn answers(
        &self,
        pool: &str,
        in_response_to: &str,
        relay_state: Option<&str>,
        status: LogoutStatus,
    ) -> String {
        self.answers_as(&key(), pool, in_response_to, relay_state, status)
    }

    pub fn answers_as(
        &self,
        key: &Credential,
        pool: &str,
        in_response_to: &str,
        relay_state: Option<&str>,
        status: LogoutStatus,
    ) -> String {
        let destination = our_slo(pool);
        let response = self.response(in_response_to, &destination, status);
        local(&response.redirect(relay_state, Some(key)).unwrap())
    }

    /// The same as the form that it makes a browser post.
    pub fn posts(
        &self,
        pool: &str,
        in_response_to: &str,
        relay_state: &str,
        status: LogoutStatus,
    ) -> String {
        let destination = our_slo(pool);
        let response = self.response(in_response_to, &destination, status);
        form(&response.post(Some(relay_state), Some(&key())).unwrap())
    }

    fn response<'a>(
        &self,
        in_response_to: &'a str,
        destination: &'a str,
        status: LogoutStatus,
    ) -> LogoutResponse<'a> {
        LogoutResponse {
            id: "_response",
            in_response_to,
            issuer: ENTITY,
            destination,
            issue_instant_ms: self.clock.now_ms(),
            status,
        }
    }
}

impl Drop for Corp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Ask {
    fn request(&self) -> LogoutRequest<'_> {
        LogoutRequest {
            id: &self.id,
            issuer: &self.issuer,
            destination: &self.destination,
            issue_instant_ms: self.issued_ms,
            not_on_or_after_ms: self.until_ms,
            name_id: &self.name_id,
            session_index: self.session_index.as_deref(),
            reason: None,
        }
    }

    /// By Redirect: path and query within the pool.
    pub fn redirect(&self, relay_state: Option<&str>, key: Option<&Credential>) -> String {
        let url = self.request().redirect(relay_state, key).unwrap();
        format!("/saml2/logout?{}", url.split_once('?').unwrap().1)
    }

    pub fn post(&self, relay_state: Option<&str>, key: Option<&Credential>) -> String {
        form(&self.request().post(relay_state, key).unwrap())
    }

    pub fn soap(&self, key: &Credential) -> String {
        self.request().soap(key).unwrap()
    }
}

async fn serve(
    clock: &TestClock,
    state: &Mutex<(Soap, Vec<String>)>,
    request: Request<Body>,
) -> Response {
    if request.method() != Method::POST {
        return "it lives".into_response();
    }
    let asked = request.into_body().collect().await.unwrap().to_bytes();
    let asked = String::from_utf8(asked.to_vec()).unwrap();
    let id = asked.split_once(" ID=\"").unwrap().1.split('"').next().unwrap().to_owned();
    let soap = {
        let mut state = state.lock().unwrap();
        state.1.push(asked);
        state.0
    };
    let answer = |status, key: &Credential| {
        let response = LogoutResponse {
            id: "_soap",
            in_response_to: &id,
            issuer: ENTITY,
            destination: "https://sp.example.com/somewhere",
            issue_instant_ms: clock.now_ms(),
            status,
        };
        response.soap(key).unwrap()
    };
    let xml = match soap {
        Soap::Answers(status) => answer(status, &key()),
        Soap::Forged => answer(LogoutStatus::Success, &impostor()),
        Soap::Unsigned => unsigned(&answer(LogoutStatus::Success, &key())),
        Soap::Nonsense => "<html>It works!</html>".to_owned(),
        Soap::Status(status) => return StatusCode::from_u16(status).unwrap().into_response(),
    };
    ([("content-type", "text/xml")], xml).into_response()
}

/// A message without its signature.
pub fn unsigned(xml: &str) -> String {
    let (before, rest) = xml.split_once("<ds:Signature ").unwrap();
    format!("{before}{}", rest.split_once("</ds:Signature>").unwrap().1)
}

pub fn our_slo(pool: &str) -> String {
    format!("http://localhost:9230/{pool}/saml2/logout")
}

fn form(fields: &[(&'static str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

const KEY: &str = include_str!("../../crates/saml/tests/vectors/keys/idp.key");
const CERTIFICATE: &str = include_str!("../../crates/saml/tests/vectors/keys/idp.crt");

/// The provider's key.
pub fn key() -> Credential {
    credential(KEY, CERTIFICATE)
}

pub fn impostor() -> Credential {
    credential(
        include_str!("../../crates/saml/tests/vectors/keys/attacker.key"),
        include_str!("../../crates/saml/tests/vectors/keys/attacker.crt"),
    )
}

fn credential(key: &str, certificate: &str) -> Credential {
    let der = |pem: &str| STANDARD.decode(body(pem)).unwrap();
    Credential::new(&der(key), &der(certificate)).unwrap()
}

fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// A pool with this provider as `Corp`, and a client that has it.
pub async fn given(
    house: &House,
    corp: &Corp,
    bindings: &[&str],
    details: Value,
) -> (String, String) {
    let pool = house.pool(json!({})).await;
    corp.joins(house, &pool, "Corp", bindings, details).await;
    let mut client = code_client();
    merge(&mut client, json!({ "SupportedIdentityProviders": ["COGNITO", "Corp"] }));
    (pool.clone(), house.client(&pool, client).await)
}

/// How far the providers have been told: state and detail of each row, by its time.
pub async fn told(house: &House, pool: &str) -> Vec<(String, String)> {
    let sql = "SELECT state, detail FROM upstream_signouts WHERE pool_id = ?1 ORDER BY created_ms, upstream_id";
    let rows = house.app.db.query(sql, &cenote::params![pool]).await.unwrap();
    rows.iter().map(|row| (row.string(0).unwrap(), row.string(1).unwrap())).collect()
}

/// One turn of the worker.
pub async fn works(house: &House) {
    let cx = cenote::cx::Cx::system(house.app.clone());
    for turn in cenote::federation::sign_out::begin(&cx).await.unwrap() {
        turn.await.unwrap();
    }
}
