//! The demonstration provider of `cenote dev --with-idp`: what OpenID Connect and SAML ask of a provider, and that it is nowhere else.
//! What Cenote makes of it is tested in a browser, in `tests/clients/browser/federation.test.js`.

use std::collections::BTreeMap;
use std::io::Write as _;

use axum::body::Body;
use axum::http::{Method, Request};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use cenote::config::Settings;
use cenote::dev::idp::{CLIENT_ID, CLIENT_SECRET};
use flate2::Compression;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use url::form_urlencoded::{Serializer, parse};

use crate::browser::{CHALLENGE, VERIFIER};
use crate::cli::Scratch;
use crate::house::{Answer, House};
use crate::process::Process;

const IDP: &str = "http://localhost:9229/dev/idp";
const CALLBACK: &str = "http://localhost:9229/us-east-1_Demo00001/oauth2/idpresponse";
const GOODBYE: &str = "http://localhost:9229/us-east-1_Demo00001/oauth2/idplogout";
const ACS: &str = "http://localhost:9229/us-east-1_Demo00001/saml2/idpresponse";

async fn house() -> House {
    House::on_sqlite(Settings::default()).await.with_idp()
}

/// A browser at the provider alone: one cookie, forms posted when told.
struct Visitor<'a> {
    house: &'a House,
    cookie: Option<String>,
}

impl<'a> Visitor<'a> {
    fn new(house: &'a House) -> Visitor<'a> {
        Visitor { house, cookie: None }
    }

    async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, String::new(), &[]).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let form = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.send(Method::POST, path, form, &[]).await
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        form: String,
        more: &[(&str, &str)],
    ) -> Answer {
        let path = path.strip_prefix(IDP).unwrap_or(path);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/dev/idp{path}"))
            .header("host", "localhost:9229")
            .header("content-type", "application/x-www-form-urlencoded");
        if let Some(cookie) = &self.cookie {
            request = request.header("cookie", format!("demo-idp={cookie}"));
        }
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        let answer = self.house.send(request.body(Body::from(form)).unwrap()).await;
        if let Some(cookie) = answer.cookie("demo-idp") {
            self.cookie = Some(cookie);
        }
        answer
    }

    /// Chooses a person on the page that is shown.
    async fn chooses(&mut self, page: &Answer, person: &str) -> Answer {
        assert_eq!(page.status, 200, "{}", page.body);
        let fields = [
            ("csrf", hidden(page, "csrf")),
            ("request", hidden(page, "request")),
            ("person", person.to_owned()),
        ];
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.post("/sign-in", &fields).await
    }

    /// Comes with an authentication request and signs in: the tokens.
    async fn signs_in(&mut self, person: &str) -> Value {
        let page = self.get(&authorize("")).await;
        let answer = self.chooses(&page, person).await;
        let answer = redeem(self.house, &back(&answer)["code"], VERIFIER).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }
}

fn hidden(page: &Answer, name: &str) -> String {
    let mark = format!("name=\"{name}\" value=\"");
    let (_, rest) =
        page.body.split_once(&mark).unwrap_or_else(|| panic!("no {name}: {}", page.body));
    rest.split('"').next().unwrap().to_owned()
}

fn authorize(more: &str) -> String {
    let query = Serializer::new(String::new())
        .extend_pairs([
            ("client_id", CLIENT_ID),
            ("redirect_uri", CALLBACK),
            ("response_type", "code"),
            ("scope", "openid email profile"),
            ("state", "st&te"),
            ("nonce", "n0nce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    format!("/authorize?{query}{more}")
}

/// The query with which the browser is sent back to the callback.
fn back(answer: &Answer) -> BTreeMap<String, String> {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let (address, query) = answer.header("location").split_once('?').unwrap();
    assert_eq!(address, CALLBACK);
    parse(query.as_bytes()).into_owned().collect()
}

async fn redeem(house: &House, code: &str, verifier: &str) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("redirect_uri", CALLBACK),
        ("code", code),
        ("code_verifier", verifier),
    ];
    Visitor::new(house).post("/token", &fields).await
}

async fn userinfo(house: &House, token: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    Visitor::new(house)
        .send(Method::GET, "/userinfo", String::new(), &[("authorization", &bearer)])
        .await
}

fn claims(token: &str) -> Value {
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    serde_json::from_slice(&payload).unwrap()
}

fn authn_request(more: &str, acs: &str) -> String {
    format!(
        "<samlp:AuthnRequest xmlns:samlp=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"_r1\" Version=\"2.0\" IssueInstant=\"2026-11-22T00:00:00Z\" \
         AssertionConsumerServiceURL=\"{acs}\"{more}><saml:Issuer xmlns:saml=\"urn:oasis:names:tc:SAML:2.0:assertion\">\
         urn:amazon:cognito:sp:us-east-1_Demo00001</saml:Issuer></samlp:AuthnRequest>"
    )
}

fn redirect(message: &str) -> String {
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    packed.write_all(message.as_bytes()).unwrap();
    let message = BASE64_STANDARD.encode(packed.finish().unwrap());
    let query = Serializer::new(String::new())
        .extend_pairs([("SAMLRequest", message.as_str()), ("RelayState", "r&lay")])
        .finish();
    format!("/saml/sso?{query}")
}

#[tokio::test]
async fn a_code_of_the_provider_becomes_tokens_that_say_who_signed_in() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    let page = visitor.get(&authorize("")).await;
    assert!(page.body.contains("us-east-1_Demo00001 by OpenID Connect"), "{}", page.body);
    let answer = visitor.chooses(&page, "emil").await;
    let query = back(&answer);
    assert_eq!((&*query["state"], &*query["iss"]), ("st&te", IDP));
    let tokens = redeem(&house, &query["code"], VERIFIER).await.json();
    let id = claims(tokens["id_token"].as_str().unwrap());
    for (name, value) in [
        ("iss", IDP),
        ("aud", CLIENT_ID),
        ("sub", "emil"),
        ("nonce", "n0nce"),
        ("name", "Emil Åström"),
    ] {
        assert_eq!(id[name], value, "{name}");
    }
    assert_eq!(id["auth_time"], house.app.clock.now_ms() / 1000);
    let info = userinfo(&house, tokens["access_token"].as_str().unwrap()).await.json();
    assert_eq!(
        (&info["sub"], &info["email"], &info["groups"][0]),
        (&id["sub"], &"emil@partner.example".into(), &"staff".into())
    );
}

#[tokio::test]
async fn a_code_works_once_for_its_client_with_its_verifier_and_for_a_minute() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    let page = visitor.get(&authorize("")).await;
    let mut code = back(&visitor.chooses(&page, "dana").await)["code"].clone();
    let wrong = redeem(&house, &code, "another-verifier-that-is-long-enough-for-the-rules").await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.json()["error"].as_str()),
        (400, Some("invalid_grant"))
    );
    // What was shown with a wrong verifier is gone.
    assert_eq!(redeem(&house, &code, VERIFIER).await.status, 400);

    code = back(&visitor.get(&authorize("")).await)["code"].clone();
    assert_eq!(redeem(&house, &code, VERIFIER).await.status, 200);
    assert_eq!(redeem(&house, &code, VERIFIER).await.status, 400);
    code = back(&visitor.get(&authorize("")).await)["code"].clone();
    house.clock.advance(61_000);
    assert_eq!(redeem(&house, &code, VERIFIER).await.status, 400);

    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", CLIENT_ID),
        ("client_secret", "guess"),
        ("code", &code),
    ];
    let answer = visitor.post("/token", &fields).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["error"].as_str()),
        (401, Some("invalid_client"))
    );
}

#[tokio::test]
async fn a_session_answers_by_itself_unless_the_application_wants_the_person() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    let refused = back(&visitor.get(&authorize("&prompt=none")).await);
    assert_eq!((&*refused["error"], &*refused["state"]), ("login_required", "st&te"));

    let first = claims(visitor.signs_in("dana").await["id_token"].as_str().unwrap());
    for more in ["", "&prompt=none", "&max_age=60"] {
        assert!(back(&visitor.get(&authorize(more)).await).contains_key("code"), "{more}");
    }
    house.clock.advance(61_000);
    let page = visitor.get(&authorize("&max_age=60")).await;
    assert!(page.body.contains("Dana Holt is signed in here"), "{}", page.body);
    let page = visitor.get(&authorize("&prompt=login&login_hint=dana%40partner.example")).await;
    assert!(page.body.contains("value=\"dana\" class=\"main\""), "{}", page.body);
    let query = back(&visitor.chooses(&page, "dana").await);
    let again = redeem(&house, &query["code"], VERIFIER).await.json();
    let again = claims(again["id_token"].as_str().unwrap());
    assert_eq!(again["sid"], first["sid"]);
    assert_eq!(again["auth_time"].as_i64(), first["auth_time"].as_i64().map(|time| time + 61));
}

#[tokio::test]
async fn somebody_else_gives_a_name_and_an_address() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    let page = visitor.get(&authorize("&login_hint=nia%40example.com")).await;
    assert!(page.body.contains("value=\"nia@example.com\""), "{}", page.body);
    let (csrf, request) = (hidden(&page, "csrf"), hidden(&page, "request"));
    let other = |email: &'static str| {
        [
            ("csrf", csrf.clone()),
            ("request", request.clone()),
            ("person", String::new()),
            ("name", "<b>Nia</b> Park".to_owned()),
            ("email", email.to_owned()),
        ]
    };
    let form =
        |fields: [(&str, String); 5]| Serializer::new(String::new()).extend_pairs(fields).finish();
    let again = visitor.send(Method::POST, "/sign-in", form(other("nobody")), &[]).await;
    assert!(
        again.body.contains("The e-mail address is not one.")
            && again.body.contains("&lt;b&gt;Nia&lt;"),
        "{}",
        again.body
    );
    let answer = visitor.send(Method::POST, "/sign-in", form(other("nia@example.com")), &[]).await;
    let tokens = redeem(&house, &back(&answer)["code"], VERIFIER).await.json();
    let id = claims(tokens["id_token"].as_str().unwrap());
    assert_eq!(
        (&id["name"], &id["email"], &id["email_verified"]),
        (&"<b>Nia</b> Park".into(), &"nia@example.com".into(), &false.into())
    );
    assert!(id["sub"].as_str().unwrap().starts_with("guest-"));
}

#[tokio::test]
async fn a_sign_out_with_the_id_token_ends_the_session_and_its_tokens_without_a_question() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    let tokens = visitor.signs_in("dana").await;
    let (id, access) =
        (tokens["id_token"].as_str().unwrap(), tokens["access_token"].as_str().unwrap());
    let query = Serializer::new(String::new())
        .extend_pairs([
            ("id_token_hint", id),
            ("post_logout_redirect_uri", GOODBYE),
            ("state", "a&b"),
        ])
        .finish();
    let answer = visitor.get(&format!("/end_session?{query}")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, &*format!("{GOODBYE}?state=a%26b"))
    );
    assert_eq!(userinfo(&house, access).await.status, 401);
    assert_eq!(back(&visitor.get(&authorize("&prompt=none")).await)["error"], "login_required");
    // Again, with nobody signed in: it is over either way.
    assert_eq!(visitor.get(&format!("/end_session?{query}")).await.status, 303);
}

#[tokio::test]
async fn a_sign_out_that_names_nobody_is_asked_about() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    visitor.signs_in("dana").await;
    let query = Serializer::new(String::new())
        .extend_pairs([("client_id", CLIENT_ID), ("post_logout_redirect_uri", GOODBYE)])
        .finish();
    let path = format!("/end_session?{query}");
    let page = visitor.get(&path).await;
    assert!(page.body.contains("Sign out Dana Holt here?"), "{}", page.body);
    let fields = |page: &Answer| (hidden(page, "csrf"), hidden(page, "request"));
    let (csrf, request) = fields(&page);
    let answer =
        visitor.post("/sign-out", &[("csrf", &csrf), ("request", &request), ("how", "stay")]).await;
    assert_eq!(answer.header("location"), GOODBYE);
    assert!(back(&visitor.get(&authorize("&prompt=none")).await).contains_key("code"));

    let (csrf, request) = fields(&visitor.get(&path).await);
    let answer = visitor
        .post("/sign-out", &[("csrf", &csrf), ("request", &request), ("how", "server")])
        .await;
    assert_eq!(answer.header("location"), GOODBYE);
    assert_eq!(back(&visitor.get(&authorize("&prompt=none")).await)["error"], "login_required");
    // A form of another site brings no cookie: the question is asked after a redirect that does.
    let answer = Visitor::new(&house).post("/end_session", &[("client_id", CLIENT_ID)]).await;
    assert_eq!(answer.header("location"), format!("{IDP}/end_session?client_id={CLIENT_ID}"));
}

#[tokio::test]
async fn answers_go_to_a_cenote_on_this_machine_and_nowhere_else() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    for uri in [
        "https://evil.example/x/oauth2/idpresponse",
        "http://localhost.evil.example/oauth2/idpresponse",
        "http://localhost:9229/x/other",
        "http://user@evil.example/oauth2/idpresponse",
        "javascript:alert(1)//oauth2/idpresponse",
        "",
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(uri.as_bytes()).collect();
        let answer = visitor.get(&format!("/authorize?client_id={CLIENT_ID}&redirect_uri={encoded}&response_type=code&scope=openid")).await;
        assert_eq!(answer.status, 400, "{uri}");
        assert!(answer.body.contains("redirect_uri must be on localhost"), "{}", answer.body);
        let answer =
            visitor.get(&redirect(&authn_request("", &uri.replace("oauth2", "saml2")))).await;
        assert_eq!(answer.status, 400, "{uri}");
        let answer = visitor
            .get(&format!("/end_session?client_id={CLIENT_ID}&post_logout_redirect_uri=x{encoded}"))
            .await;
        assert_eq!(answer.status, 400, "{uri}");
    }
    let answer = visitor.get("/authorize?client_id=other").await;
    assert!(
        answer.status == 400 && answer.body.contains("The only client here is"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn an_assertion_that_it_signs_is_believed_by_our_service_provider() {
    let house = house().await;
    let now = house.app.clock.now_ms();
    let metadata = Visitor::new(&house).get("/saml/metadata").await;
    let metadata = cenote_saml::IdpMetadata::parse(&metadata.body, now, None, None).unwrap();
    assert_eq!(metadata.entity_id, format!("{IDP}/saml/metadata"));
    assert_eq!((metadata.sso.len(), metadata.slo.len()), (2, 3));
    let mut visitor = Visitor::new(&house);
    let page = visitor.get(&redirect(&authn_request("", ACS))).await;
    assert!(page.body.contains("us-east-1_Demo00001 by SAML"), "{}", page.body);
    let answer = visitor.chooses(&page, "emil").await;
    assert!(
        answer.body.contains(&format!("action=\"{}\"", ACS.replace('/', "&#x2f;"))),
        "{}",
        answer.body
    );
    assert_eq!(hidden(&answer, "RelayState"), "r&amp;lay");
    let message = cenote_saml::decode_post(&hidden(&answer, "SAMLResponse")).unwrap();
    let assertion = cenote_saml::consume_response(&message, &expect(&metadata, now)).unwrap();
    assert_eq!((&*assertion.name_id.value, assertion.authn_instant_ms), ("emil", now));
    let attribute = |name: &str| {
        assertion.attributes.iter().find(|own| own.name == name).unwrap().values.clone()
    };
    assert_eq!(
        (attribute("name"), attribute("groups")),
        (vec!["Emil Åström".to_owned()], vec!["staff".to_owned()])
    );

    // By POST the cookie comes with the next request only; ForceAuthn asks although there is a session.
    for (more, asks) in [("", false), (" ForceAuthn=\"true\"", true)] {
        let posted = BASE64_STANDARD.encode(authn_request(more, ACS));
        let answer = Visitor::new(&house).post("/saml/sso", &[("SAMLRequest", &posted)]).await;
        let page = visitor.get(answer.header("location")).await;
        assert_eq!(page.body.contains("Who are you today?"), asks, "{}", page.body);
        assert_eq!(page.body.contains("SAMLResponse"), !asks);
    }
    let answer =
        Visitor::new(&house).get(&redirect(&authn_request(" IsPassive=\"true\"", ACS))).await;
    let message = cenote_saml::decode_post(&hidden(&answer, "SAMLResponse")).unwrap();
    let refused = cenote_saml::consume_response(&message, &expect(&metadata, now)).unwrap_err();
    assert!(refused.to_string().contains("NoPassive"), "{refused}");
}

fn expect(metadata: &cenote_saml::IdpMetadata, now_ms: i64) -> cenote_saml::Expect<'_> {
    cenote_saml::Expect {
        idp_entity_id: &metadata.entity_id,
        trusted: &metadata.signing,
        audience: "urn:amazon:cognito:sp:us-east-1_Demo00001",
        acs_url: ACS,
        now_ms,
        skew_ms: 60_000,
        in_response_to: Some("_r1"),
        max_age_ms: 360_000,
        require_encrypted: false,
        decrypt: &[],
    }
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_page() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    let bomb = "a".repeat(200_000);
    for message in [
        "",
        "<x/>",
        "not xml",
        &bomb,
        &authn_request("", ACS)
            .replace("<samlp:AuthnRequest ", "<!DOCTYPE x [<!ENTITY e 'e'>]><samlp:AuthnRequest "),
        &authn_request("", ACS).replace("AssertionConsumerServiceURL", "Other"),
    ] {
        let answer = visitor.get(&redirect(message)).await;
        assert_eq!(answer.status, 400, "{}", &message[..message.len().min(80)]);
        assert!(answer.body.contains("does not hold an AuthnRequest"), "{}", answer.body);
    }
    for path in [
        "/saml/sso",
        "/saml/sso?SAMLRequest=%21",
        "/saml/sso?request=x",
        "/saml/slo",
        "/saml/slo?SAMLRequest=x",
    ] {
        assert_eq!(visitor.get(path).await.status, 400, "{path}");
    }
    let answer = visitor
        .send(Method::POST, "/saml/soap", "<x/>".to_owned(), &[("content-type", "text/xml")])
        .await;
    assert_eq!(answer.status, 500);
    assert!(answer.body.contains("faultstring"), "{}", answer.body);
}

#[tokio::test]
async fn forms_of_other_sites_and_of_other_browsers_do_nothing() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    visitor.signs_in("dana").await;
    let home = visitor.get("").await;
    let csrf = hidden(&home, "csrf");
    for fields in [vec![], vec![("csrf", "x")], vec![("csrf", "")]] {
        assert_eq!(visitor.post("/sign-out", &fields).await.status, 400);
        assert_eq!(visitor.post("/sign-in", &fields).await.status, 400);
    }
    let foreign = visitor
        .send(
            Method::POST,
            "/sign-out",
            format!("csrf={csrf}"),
            &[("origin", "https://evil.example")],
        )
        .await;
    assert_eq!(foreign.status, 403);
    let other = Visitor::new(&house).post("/sign-out", &[("csrf", &csrf)]).await;
    assert_eq!(other.status, 400);
    assert!(visitor.get("").await.body.contains("Dana Holt is signed in here"));
    // The cookie of before a sign-in is worth nothing after it.
    let old = visitor.cookie.clone();
    let page = visitor.get(&authorize("&prompt=login")).await;
    visitor.chooses(&page, "dana").await;
    assert_ne!(visitor.cookie, old);
    assert!(
        !Visitor { house: &house, cookie: old }
            .get("")
            .await
            .body
            .contains("Dana Holt is signed in here")
    );
}

#[tokio::test]
async fn every_page_says_that_it_is_a_demonstration_and_loads_nothing_of_others() {
    let house = house().await;
    let mut visitor = Visitor::new(&house);
    let sign_in = visitor.get(&authorize("")).await;
    let page = visitor.get(&redirect(&authn_request("", ACS))).await;
    let form = visitor.chooses(&page, "dana").await;
    let home = visitor.get("").await;
    let ask = visitor.get("/end_session").await;
    let problem = visitor.get("/authorize").await;
    let gone =
        visitor.post("/sign-out", &[("csrf", &hidden(&home, "csrf")), ("how", "none")]).await;
    for page in [sign_in, form, home, ask, problem, gone] {
        assert!(
            page.body.contains("A stand-in for a company’s identity provider."),
            "{}",
            page.body
        );
        assert!(
            page.body.contains("<title>") && page.body.contains("Demonstration provider</title>")
        );
        let policy = page.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'")
                && !policy.contains("unsafe"),
            "{policy}"
        );
        assert_eq!(page.header("cache-control"), "no-store");
        for mark in ["<style", "style=", "onclick", "<script>"] {
            assert!(!page.body.contains(mark), "{mark} in {}", page.body);
        }
    }
    for (file, kind) in
        [("style.css", "text/css"), ("post.js", "text/javascript"), ("icon.svg", "image/svg+xml")]
    {
        let answer = visitor.get(&format!("/{file}")).await;
        assert!(answer.status == 200 && answer.header("content-type").starts_with(kind), "{file}");
    }
    assert!(
        visitor
            .get("/saml/metadata")
            .await
            .body
            .contains("not for production</OrganizationDisplayName>")
    );
}

#[tokio::test]
async fn another_name_of_this_machine_leads_to_the_providers_own() {
    let house = house().await;
    for host in ["127.0.0.1:9229", "[::1]:9229"] {
        let request = Request::get("/dev/idp/authorize?a=b")
            .header("host", host)
            .body(Body::empty())
            .unwrap();
        let answer = house.send(request).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("location")),
            (303, &*format!("{IDP}/authorize?a=b"))
        );
    }
    let request =
        Request::get("/dev/idp").header("host", "evil.example").body(Body::empty()).unwrap();
    assert_eq!(house.send(request).await.status, 421);
}

#[tokio::test]
async fn without_the_flag_and_in_production_there_is_no_such_provider() {
    for (settings, with) in
        [(Settings::default(), false), (Settings { dev: false, ..Settings::default() }, true)]
    {
        let mut house = House::on_sqlite(settings).await;
        if with {
            house = house.with_idp();
        }
        for path in
            ["", "/authorize", "/.well-known/openid-configuration", "/saml/metadata", "/style.css"]
        {
            let request = Request::get(format!("/dev/idp{path}"))
                .header("host", "localhost:9229")
                .body(Body::empty())
                .unwrap();
            assert_eq!(house.send(request).await.status, 404, "{path}");
        }
    }
}

#[test]
fn the_flag_offers_both_providers_in_the_ready_pool_and_its_absence_takes_them_away() {
    let scratch = Scratch::new();
    let offered = |server: &Process, client: &str| {
        let input =
            json!({ "UserPoolId": server.get("user_pool_id"), "ClientId": server.get(client) });
        let (status, answer) = server.call("DescribeUserPoolClient", &input).unwrap();
        assert_eq!(status, 200, "{answer}");
        answer["UserPoolClient"]["SupportedIdentityProviders"].clone()
    };
    let provider = |server: &Process, name: &str| {
        let input = json!({ "UserPoolId": server.get("user_pool_id"), "ProviderName": name });
        let (status, answer) = server.call("DescribeIdentityProvider", &input).unwrap();
        assert_eq!(status, 200, "{answer}");
        answer["IdentityProvider"].clone()
    };
    // Twice: what a start finds is brought up to date, since each has a key of its own.
    let mut made = Vec::new();
    for _ in 0..2 {
        let server = Process::start(&scratch.0, &["--with-idp"]);
        let idp = format!("{}/dev/idp", server.get("endpoint"));
        assert_eq!(server.get("idp_url"), idp);
        for client in ["client_id", "confidential_client_id"] {
            assert_eq!(offered(&server, client), json!(["COGNITO", "DemoOIDC", "DemoSAML"]));
        }
        let oidc = provider(&server, "DemoOIDC");
        assert_eq!(oidc["ProviderDetails"]["oidc_issuer"], idp);
        assert_eq!(oidc["AttributeMapping"]["username"], "sub");
        let saml = provider(&server, "DemoSAML");
        assert_eq!(saml["ProviderDetails"]["SLORedirectBindingURI"], format!("{idp}/saml/slo"));
        assert_eq!(saml["ProviderDetails"]["IDPSignout"], "true");
        made.push((oidc["CreationDate"].clone(), saml["CreationDate"].clone()));
    }
    assert_eq!(made[0], made[1]);
    let server = Process::start(&scratch.0, &[]);
    assert!(server.ready.get("idp_url").is_none());
    for client in ["client_id", "confidential_client_id"] {
        assert_eq!(offered(&server, client), json!(["COGNITO"]));
    }
    assert_eq!(provider(&server, "DemoSAML")["ProviderType"], "SAML");
}
