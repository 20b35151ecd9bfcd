//! What identity providers say when somebody is signed out there: security events, Global Token Revocation, logout tokens; who came from
//! them, and who of those is still signed in here.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::browser::{Browser, CHALLENGE, code_client, local, parameter};
use crate::house::{Answer, House, NOW, merge, together};
use crate::provider::{CLIENT_ID, Key, Provider};
use crate::upstream_sign_out::given_openid;

pub const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

pub const AUDITED: &str =
    "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'SignOutByProvider'";

pub async fn is_alive(house: &House, tokens: &Value) -> bool {
    house.call("GetUser", json!({ "AccessToken": tokens["access_token"] })).await.status == 200
}

/// Whether the browser's session lives.
pub async fn is_known(browser: &mut Browser<'_>) -> bool {
    browser.opens("").await.body.contains("Sign in as")
}

/// Somebody's browser and tokens, through the provider `name`.
pub async fn arrives<'a>(
    house: &'a House,
    op: &Provider,
    (pool, client, name): (&str, &str, &str),
    sub: &str,
) -> (Browser<'a>, Value) {
    let mut browser = Browser::new(house, pool, client);
    let code = code_at(op, &mut browser, name, sub).await;
    let answer = browser.redeems(&code).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let tokens = answer.json();
    (browser, tokens)
}

pub async fn code_at(op: &Provider, browser: &mut Browser<'_>, name: &str, sub: &str) -> String {
    let scope = "scope=openid+aws.cognito.signin.user.admin";
    let more = format!(
        "&identity_provider={name}&{scope}&code_challenge={CHALLENGE}&code_challenge_method=S256"
    );
    let away = browser.visits("/oauth2/authorize", &more).await;
    let back = op.authorize(away.header("location"), sub);
    let answer = browser.get(&local(&back)).await;
    parameter(answer.header("location"), "code").unwrap_or_else(|| panic!("{}", answer.body))
}

/// The claims of a good event, changed; a null takes a member away.
pub fn claims(op: &Provider, more: Value) -> Value {
    let mut claims = json!({
        "iss": op.url, "aud": CLIENT_ID, "iat": NOW / 1_000,
        "jti": cenote::ids::handle(&cenote::ambient::SystemRandom),
        "sub_id": { "format": "iss_sub", "iss": op.url, "sub": "ann" },
        "events": { SESSION_REVOKED: { "event_timestamp": NOW / 1_000 } },
    });
    // Of the subject single members may change, too.
    let mut more = more;
    if let Some(subject) = more.get_mut("sub_id").filter(|subject| subject.is_object()) {
        let changes = subject.take();
        let mut whole = claims["sub_id"].clone();
        merge(&mut whole, changes);
        *subject = whole;
    }
    merge(&mut claims, more);
    claims
}

/// Signs with this `typ`, and goes on as before.
pub fn typed(op: &Provider, typ: Value, claims: &Value) -> String {
    op.set(|state| state.header = json!({ "typ": typ }));
    let token = op.sign(claims);
    op.set(|state| state.header = json!({}));
    token
}

pub fn set(op: &Provider, more: Value) -> String {
    typed(op, json!("secevent+jwt"), &claims(op, more))
}

/// A set with exactly these events.
pub fn saying(op: &Provider, events: Value, more: Value) -> String {
    let mut claims = claims(op, more);
    claims["events"] = events;
    typed(op, json!("secevent+jwt"), &claims)
}

pub async fn pushes(house: &House, pool: &str, provider: &str, token: &str) -> Answer {
    pushes_as(house, pool, provider, token, "application/secevent+jwt").await
}

pub async fn pushes_as(
    house: &House,
    pool: &str,
    provider: &str,
    token: &str,
    kind: &str,
) -> Answer {
    let request = Request::post(format!("/{pool}/federation/{provider}/set"))
        .header("host", "localhost:9230")
        .header("content-type", kind)
        .header("accept", "application/json")
        .body(Body::from(token.to_owned()))
        .unwrap();
    house.send(request).await
}

/// Redeems a code at the moment in which something ends what it came through: whichever is first, nobody is left signed in.
pub async fn redeems_while(
    house: &House,
    (pool, client): (&str, &str),
    code: &str,
    ends: impl Future<Output = ()> + Send,
) {
    let ends = async {
        ends.await;
        None
    };
    let redeem = async { Some(Browser::new(house, pool, client).redeems(code).await) };
    let racers: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Answer>> + Send>>> =
        vec![Box::pin(ends), Box::pin(redeem)];
    let redeemed = together(racers).await.into_iter().flatten().next().unwrap();
    if redeemed.status == 200 {
        assert!(!is_alive(house, &redeemed.json()).await, "{}", house.url);
    } else {
        assert_eq!(redeemed.json()["error"], "invalid_grant");
    }
}

/// A provider with a key of its own.
pub async fn another_party() -> Provider {
    let party = Provider::start().await;
    party.set(|state| {
        let key = Key::rsa("k1", 4);
        state.keys = vec![key.clone()];
        state.signer = key;
    });
    party
}

/// A pool with two providers that are two parties, and a client that has both.
pub async fn given_two(house: &House, one: &Provider, other: &Provider) -> (String, String) {
    let (pool, _) = given_openid(house, one, json!({})).await;
    let input = json!({ "UserPoolId": pool, "ProviderName": "Other", "ProviderType": "OIDC", "ProviderDetails": other.details() });
    house.ok("CreateIdentityProvider", input).await;
    let mut settings = code_client();
    merge(&mut settings, json!({ "SupportedIdentityProviders": ["Open", "Other"] }));
    let client = house.client(&pool, settings).await;
    (pool, client)
}

// Global Token Revocation

pub fn endpoint(pool: &str) -> String {
    format!("http://localhost:9230/{pool}/global-token-revocation")
}

pub fn bearer(op: &Provider, pool: &str, more: Value) -> String {
    let now = NOW / 1_000;
    let mut claims = json!({ "iss": op.url, "sub": op.url, "aud": endpoint(pool), "iat": now, "exp": now + 300,
        "jti": cenote::ids::handle(&cenote::ambient::SystemRandom) });
    merge(&mut claims, more);
    typed(op, json!("global-token-revocation+jwt"), &claims)
}

pub async fn revokes(house: &House, pool: &str, token: &str, body: &Value) -> Answer {
    revokes_as(house, pool, token, body.to_string(), "application/json").await
}

pub async fn revokes_as(
    house: &House,
    pool: &str,
    token: &str,
    body: String,
    kind: &str,
) -> Answer {
    let mut request = Request::post(format!("/{pool}/global-token-revocation"))
        .header("host", "localhost:9230")
        .header("content-type", kind);
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    house.send(request.body(Body::from(body)).unwrap()).await
}

pub fn by_sub(op: &Provider, sub: &str) -> Value {
    json!({ "sub_id": { "format": "iss_sub", "iss": op.url, "sub": sub } })
}

// Logout tokens

pub fn logout_token(op: &Provider, more: Value) -> String {
    let now = NOW / 1_000;
    let mut claims = json!({
        "iss": op.url, "aud": CLIENT_ID, "iat": now, "exp": now + 120,
        "jti": cenote::ids::handle(&cenote::ambient::SystemRandom),
        "events": { "http://schemas.openid.net/event/backchannel-logout": {} },
    });
    merge(&mut claims, more);
    op.sign(&claims)
}

pub async fn backchannel(house: &House, pool: &str, provider: &str, token: &str) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("logout_token", token)
        .finish();
    let request = Request::post(format!("/{pool}/federation/{provider}/backchannel-logout"))
        .header("host", "localhost:9230")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(body))
        .unwrap();
    house.send(request).await
}
