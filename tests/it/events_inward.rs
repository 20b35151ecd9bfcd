//! Security events of providers (RFC 8417 by RFC 8935; CAEP, RISC), and Global Token Revocation: what they end, whom they do not reach,
//! and every mark without which they are not believed.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::browser::{Browser, CHALLENGE, code_client, local, parameter};
use crate::house::{Answer, House, NOW, houses, merge, together};
use crate::provider::{Behaviour, CLIENT_ID, Key, Provider};
use crate::upstream_sign_out::given_openid;

const SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const DISABLED: &str = "https://schemas.openid.net/secevent/risc/event-type/account-disabled";

async fn is_alive(house: &House, tokens: &Value) -> bool {
    house.call("GetUser", json!({ "AccessToken": tokens["access_token"] })).await.status == 200
}

/// Whether the browser's session lives.
async fn is_known(browser: &mut Browser<'_>) -> bool {
    browser.opens("").await.body.contains("Sign in as")
}

/// Somebody's browser and tokens, through the provider `name`.
async fn arrives<'a>(
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

async fn code_at(op: &Provider, browser: &mut Browser<'_>, name: &str, sub: &str) -> String {
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
fn claims(op: &Provider, more: Value) -> Value {
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
fn typed(op: &Provider, typ: Value, claims: &Value) -> String {
    op.set(|state| state.header = json!({ "typ": typ }));
    let token = op.sign(claims);
    op.set(|state| state.header = json!({}));
    token
}

fn set(op: &Provider, more: Value) -> String {
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

async fn pushes_as(house: &House, pool: &str, provider: &str, token: &str, kind: &str) -> Answer {
    let request = Request::post(format!("/{pool}/federation/{provider}/set"))
        .header("host", "localhost:9230")
        .header("content-type", kind)
        .header("accept", "application/json")
        .body(Body::from(token.to_owned()))
        .unwrap();
    house.send(request).await
}

fn refused(answer: &Answer, err: &str, words: &str) {
    assert_eq!(answer.status, 400, "{words}: {}", answer.body);
    assert_eq!(answer.json()["err"], err, "{words}: {}", answer.body);
    let said = answer.json()["description"].as_str().unwrap().to_owned();
    assert!(said.contains(words), "{words}: {said}");
    assert!(answer.header("cache-control").contains("no-store"));
    assert!(answer.header("content-type").starts_with("application/json"));
}

const AUDITED: &str =
    "SELECT COUNT(*) FROM audit WHERE pool_id = ?1 AND action = 'SignOutByProvider'";

#[tokio::test]
async fn each_event_about_an_account_ends_the_browser_and_the_tokens_and_says_why() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        for (uri, reason) in [
            (
                "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
                "caep_session_revoked",
            ),
            (
                "https://schemas.openid.net/secevent/caep/event-type/credential-change",
                "caep_credential_change",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
                "risc_account_disabled",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/account-purged",
                "risc_account_purged",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/account-credential-change-required",
                "risc_credential_change_required",
            ),
            (
                "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
                "risc_sessions_revoked",
            ),
            (
                "https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked",
                "oauth_tokens_revoked",
            ),
        ] {
            let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut bob, bobs) = arrives(&house, &op, (&pool, &client, "Open"), "bob").await;
            assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
            let payload = json!({ "change_type": "update", "credential_type": "password" });
            let answer =
                pushes(&house, &pool, "Open", &saying(&op, json!({ uri: payload }), json!({})))
                    .await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""), "{uri}");
            assert!(answer.headers.contains_key("x-cenote-signout"), "{uri}");
            assert!(!is_known(&mut ann).await && !is_alive(&house, &tokens).await, "{uri}");
            assert!(is_known(&mut bob).await && is_alive(&house, &bobs).await, "{uri}");
            let records = cenote::store::records::all(&house.app.db, &pool).await.unwrap();
            let mut kinds: Vec<_> = records
                .iter()
                .filter(|record| record.reason == reason && record.initiator == "upstream")
                .map(|record| record.kind.as_str())
                .collect();
            kinds.sort_unstable();
            assert_eq!(kinds, ["S", "X"], "{uri}");
        }
    }
}

#[tokio::test]
async fn what_ends_nothing_is_accepted_and_fills_no_trail() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        for uri in [
            "https://schemas.openid.net/secevent/ssf/event-type/verification",
            "https://schemas.openid.net/secevent/risc/event-type/verification",
            "https://schemas.openid.net/secevent/ssf/event-type/stream-updated",
            "https://schemas.openid.net/secevent/risc/event-type/account-enabled",
            "https://schemas.openid.net/secevent/caep/event-type/token-claims-change",
            "https://example.com/an-event-of-tomorrow",
        ] {
            let nobody = json!({ "sub_id": { "format": "opaque", "id": "stream" } });
            let token = saying(&op, json!({ uri: { "state": "abc" } }), nobody);
            let answer = pushes(&house, &pool, "Open", &token).await;
            assert_eq!(answer.status, 202, "{uri} {}", answer.body);
            assert!(!answer.headers.contains_key("x-cenote-signout"), "{uri}");
        }
        // One more passkey takes none away.
        let uri = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
        let more = json!({ uri: { "change_type": "create", "credential_type": "fido2-roaming" } });
        assert_eq!(pushes(&house, &pool, "Open", &saying(&op, more, json!({}))).await.status, 202);
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        assert_eq!(house.rows(AUDITED, &pool).await, 0);
    }
}

#[tokio::test]
async fn each_way_to_name_somebody_finds_her_and_no_other() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let update = json!({ "UserPoolId": pool, "ProviderName": "Open", "AttributeMapping": { "email": "email" } });
        house.ok("UpdateIdentityProvider", update).await;
        let ann = json!({ "format": "iss_sub", "iss": op.url, "sub": "ann" });
        let slash = format!("{}/", op.url);
        let sid = |id: &str| json!({ "format": "opaque", "id": id });
        let mail = |email: &str| json!({ "format": "email", "email": email });
        let complex = |user: &Value, session: &Value| json!({ "format": "complex", "user": user, "session": session });
        for (subject, ends) in [
            (ann.clone(), true),
            (json!({ "format": "iss_sub", "iss": slash, "sub": "ann" }), true),
            (sid("ann"), true),
            (sid("sid-ann"), true),
            (mail("ann@example.com"), true),
            (json!({ "format": "aliases", "identifiers": [mail("x@y.z"), ann] }), true),
            (complex(&ann, &sid("sid-ann")), true),
            (json!({ "format": "complex", "session": sid("sid-ann") }), true),
            (json!({ "format": "complex", "user": ann }), true),
            (
                json!({ "format": "complex", "user": mail("ann@example.com"), "session": sid("sid-ann") }),
                true,
            ),
            (json!({ "user": ann, "session": sid("sid-ann") }), true),
            (
                json!({ "format": "iss_sub", "iss": "https://other.example.com", "sub": "ann" }),
                false,
            ),
            (json!({ "format": "iss_sub", "iss": op.url, "sub": "carol" }), false),
            (sid("nobody"), false),
            (mail("ann@example.org"), false),
            (mail("ann@example.com.evil.example"), false),
            (json!({ "format": "phone_number", "phone_number": "+12065550100" }), false),
            (json!({ "format": "complex", "tenant": sid("ann") }), false),
            (complex(&ann, &sid("another")), false),
            (complex(&ann, &json!({ "format": "jwt_id", "iss": op.url, "jti": "sid-ann" })), false),
            (complex(&sid("bob"), &sid("sid-ann")), false),
        ] {
            let (mut browser, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut bob, _) = arrives(&house, &op, (&pool, &client, "Open"), "bob").await;
            let mut claims = claims(&op, json!({}));
            claims["sub_id"] = subject.clone();
            let token = typed(&op, json!("secevent+jwt"), &claims);
            let answer = pushes(&house, &pool, "Open", &token).await;
            assert_eq!(answer.status, 202, "{subject} {}", answer.body);
            assert_eq!(is_known(&mut browser).await, !ends, "{subject} {}", house.url);
            assert_eq!(is_alive(&house, &tokens).await, !ends, "{subject}");
            assert!(is_known(&mut bob).await, "{subject}");
        }
    }
}

#[tokio::test]
async fn google_and_the_drafts_name_the_subject_in_the_event() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let subject =
            json!({ "subject_type": "iss-sub", "iss": format!("{}/", op.url), "sub": "ann" });
        let events = json!({ DISABLED: { "subject": subject, "reason": "hijacking" } });
        let several = json!({ "sub_id": null, "aud": ["another app", CLIENT_ID], "iss": format!("{}/", op.url) });
        let answer = pushes(&house, &pool, "Open", &saying(&op, events, several)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(!is_known(&mut ann).await);
    }
}

#[tokio::test]
async fn an_address_that_nobody_has_proved_names_nobody() {
    for house in houses().await {
        let op = Provider::start().await;
        // Nothing is mapped: the address is the user's own word.
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let event = |op: &Provider| {
            set(
                op,
                json!({ "sub_id": { "format": "email", "email": "ann@own.example", "iss": null, "sub": null } }),
            )
        };
        for (verified, ends) in [("false", false), ("true", true)] {
            let input = json!({ "UserPoolId": pool, "Username": "Open_ann", "UserAttributes": [
                { "Name": "email", "Value": "ann@own.example" }, { "Name": "email_verified", "Value": verified } ] });
            house.ok("AdminUpdateUserAttributes", input).await;
            assert_eq!(pushes(&house, &pool, "Open", &event(&op)).await.status, 202);
            assert_eq!(is_known(&mut ann).await, !ends, "{verified}");
        }
    }
}

#[tokio::test]
async fn each_mark_of_an_event_is_checked_and_its_lack_told_in_words() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let now = NOW / 1_000;
        for (more, err, words) in [
            (
                json!({ "iss": "https://other.example.com" }),
                "invalid_issuer",
                "its iss is not the issuer",
            ),
            (json!({ "iss": null }), "invalid_issuer", "its iss is not the issuer"),
            (json!({ "aud": "another app" }), "invalid_audience", "its aud is not the client_id"),
            (json!({ "aud": null }), "invalid_audience", "its aud is not the client_id"),
            (json!({ "aud": [] }), "invalid_audience", "its aud is not the client_id"),
            (json!({ "jti": null }), "invalid_request", "its jti is missing"),
            (json!({ "iat": null }), "invalid_request", "it has no iat"),
            (json!({ "iat": now + 61 }), "invalid_request", "its iat is in the future"),
            (json!({ "iat": now - 31 * 86_400 }), "invalid_request", "older than 30 days"),
            (json!({ "exp": now - 61 }), "invalid_request", "it has expired"),
            (json!({ "events": null }), "invalid_request", "its events are not an object"),
            (json!({ "sub_id": null }), "invalid_request", "sub_id is missing"),
            (json!({ "sub_id": { "sub": null } }), "invalid_request", "its subject has no sub"),
            (
                json!({ "sub_id": { "format": null } }),
                "invalid_request",
                "its subject has no format",
            ),
        ] {
            refused(&pushes(&house, &pool, "Open", &set(&op, more)).await, err, words);
        }
        for events in [json!({}), json!([SESSION_REVOKED]), json!("x")] {
            let token = saying(&op, events, json!({}));
            refused(
                &pushes(&house, &pool, "Open", &token).await,
                "invalid_request",
                "its events are not",
            );
        }
        let token = saying(&op, json!({ SESSION_REVOKED: true }), json!({}));
        refused(&pushes(&house, &pool, "Open", &token).await, "invalid_request", "is no object");
        // Another kind of token of the same issuer for the same audience.
        for typ in [json!("JWT"), json!(null), json!("logout+jwt"), json!("at+jwt"), json!("")] {
            let token = typed(&op, typ, &claims(&op, json!({})));
            refused(
                &pushes(&house, &pool, "Open", &token).await,
                "invalid_request",
                "its typ is not secevent+jwt",
            );
        }
        let good = set(&op, json!({}));
        for (text, words) in [
            (String::new(), "three parts"),
            ("not a token".to_owned(), "three parts"),
            (good[..good.len() - 5].replace('.', ""), "three parts"),
            (format!("{}.", good.rsplit_once('.').unwrap().0), "signature does not verify"),
        ] {
            let answer = pushes(&house, &pool, "Open", &text).await;
            let err = if words.starts_with("sig") { "invalid_key" } else { "invalid_request" };
            refused(&answer, err, words);
        }
        // Unsigned, and signed with what everybody can know.
        let unsigned = {
            let part = |value: Value| {
                base64::Engine::encode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, value.to_string())
            };
            let header = json!({ "alg": "none", "typ": "secevent+jwt" });
            format!("{}.{}.", part(header), part(claims(&op, json!({}))))
        };
        refused(
            &pushes(&house, &pool, "Open", &unsigned).await,
            "invalid_request",
            "algorithm is not accepted",
        );
        for (signer, words) in [
            (Key::rsa("k1", 2), "signature does not verify"),
            (Key::rsa("unknown", 2), "no key of the provider's key set"),
            (Key::secret("k1", crate::provider::CLIENT_SECRET.as_bytes()), "HMAC"),
        ] {
            op.set(|state| state.signer = signer);
            let forged = set(&op, json!({}));
            op.set(|state| state.signer = Key::rsa("k1", 3));
            refused(&pushes(&house, &pool, "Open", &forged).await, "invalid_key", words);
        }
        let form =
            pushes_as(&house, &pool, "Open", &good, "application/x-www-form-urlencoded").await;
        refused(&form, "invalid_request", "application/secevent+jwt");
        let huge = pushes(&house, &pool, "Open", &"x".repeat(70_000)).await;
        assert_eq!(
            (huge.status.as_u16(), huge.json()["err"].as_str()),
            (413, Some("invalid_request"))
        );
        assert_eq!(pushes(&house, &pool, "Nobody", &good).await.status, 404);
        assert_eq!(pushes(&house, "us-east-1_nothing", "Open", &good).await.status, 404);
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        assert_eq!(house.rows(AUDITED, &pool).await, 0, "what is not believed fills no trail");
        assert_eq!(pushes(&house, &pool, "Open", &good).await.status, 202, "it was good");
    }
}

#[tokio::test]
async fn an_event_that_comes_again_is_accepted_and_ends_nothing() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut before, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let token = set(&op, json!({}));
        assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
        assert!(!is_known(&mut before).await);
        let (mut after, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let another = house.another_node(0).await;
        for house in [&house, &another] {
            let answer = pushes(house, &pool, "Open", &token).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (202, ""));
            assert!(!answer.headers.contains_key("x-cenote-signout"));
        }
        assert!(is_known(&mut after).await);
        // Nor does one that meant nobody when it came.
        let early = set(&op, json!({ "sub_id": { "sub": "carol" } }));
        assert_eq!(pushes(&house, &pool, "Open", &early).await.status, 202);
        let (mut carol, _) = arrives(&house, &op, (&pool, &client, "Open"), "carol").await;
        assert_eq!(pushes(&house, &pool, "Open", &early).await.status, 202);
        assert!(is_known(&mut carol).await);
    }
}

#[tokio::test]
async fn a_replay_ends_nothing_either_where_an_event_may_mean_several_things() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut before, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        // It may be the name of a person, or of a session.
        let mut claims = claims(&op, json!({}));
        claims["sub_id"] = json!({ "format": "opaque", "id": "ann" });
        let token = typed(&op, json!("secevent+jwt"), &claims);
        assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
        assert!(!is_known(&mut before).await);
        let (mut after, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let answer = pushes(&house, &pool, "Open", &token).await;
        assert_eq!(answer.status, 202);
        assert!(!answer.headers.contains_key("x-cenote-signout"));
        assert!(is_known(&mut after).await && is_alive(&house, &tokens).await, "{}", house.url);
    }
}

#[tokio::test]
async fn keys_that_cannot_be_had_lose_no_event() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        house.advance(60_000);
        op.set(|state| {
            let key = Key::rsa("k2", 4);
            state.keys = vec![key.clone()];
            state.signer = key;
        });
        op.does("/jwks", Behaviour::Status(500));
        let token = set(&op, json!({}));
        let answer = pushes(&house, &pool, "Open", &token).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("retry-after")),
            (503, "1"),
            "{}",
            answer.body
        );
        assert!(is_known(&mut ann).await);
        op.does("/jwks", None);
        house.advance(11_000);
        assert_eq!(pushes(&house, &pool, "Open", &token).await.status, 202);
        assert!(!is_known(&mut ann).await);
    }
}

/// A provider with a key of its own.
async fn another_party() -> Provider {
    let party = Provider::start().await;
    party.set(|state| {
        let key = Key::rsa("k1", 4);
        state.keys = vec![key.clone()];
        state.signer = key;
    });
    party
}

/// A pool with two providers that are two parties, and a client that has both.
async fn given_two(house: &House, one: &Provider, other: &Provider) -> (String, String) {
    let (pool, _) = given_openid(house, one, json!({})).await;
    let input = json!({ "UserPoolId": pool, "ProviderName": "Other", "ProviderType": "OIDC", "ProviderDetails": other.details() });
    house.ok("CreateIdentityProvider", input).await;
    let mut settings = code_client();
    merge(&mut settings, json!({ "SupportedIdentityProviders": ["Open", "Other"] }));
    let client = house.client(&pool, settings).await;
    (pool, client)
}

#[tokio::test]
async fn a_provider_reaches_nobody_of_another_provider_or_pool() {
    for house in houses().await {
        let (op, evil) = (Provider::start().await, another_party().await);
        let (pool, client) = given_two(&house, &op, &evil).await;
        let (elsewhere, their_client) = given_openid(&house, &op, json!({})).await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let (mut far, _) = arrives(&house, &op, (&elsewhere, &their_client, "Open"), "ann").await;
        // What the other one says of its own people with the same names, and of those who are not its own.
        for more in [json!({}), json!({ "sub_id": { "iss": op.url } })] {
            assert_eq!(pushes(&house, &pool, "Other", &set(&evil, more)).await.status, 202);
        }
        let opaque =
            json!({ "sub_id": { "format": "opaque", "id": "sid-ann", "iss": null, "sub": null } });
        assert_eq!(pushes(&house, &pool, "Other", &set(&evil, opaque)).await.status, 202);
        // Its own event at the other's address, and under the other's name.
        refused(
            &pushes(&house, &pool, "Open", &set(&evil, json!({}))).await,
            "invalid_key",
            "signature",
        );
        refused(
            &pushes(&house, &pool, "Open", &set(&evil, json!({ "iss": op.url }))).await,
            "invalid_key",
            "signature",
        );
        refused(
            &pushes(&house, &pool, "Other", &set(&evil, json!({ "iss": op.url }))).await,
            "invalid_issuer",
            "its iss",
        );
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        assert_eq!(pushes(&house, &pool, "Open", &set(&op, json!({}))).await.status, 202);
        assert!(!is_known(&mut ann).await);
        assert!(is_known(&mut far).await, "the same provider in another pool");
    }
}

#[tokio::test]
async fn a_transmitter_of_its_own_sends_in_the_providers_stead() {
    for house in houses().await {
        let (op, ssf) = (Provider::start().await, Provider::start().await);
        ssf.set(|state| {
            let key = Key::p256("events");
            state.keys = vec![key.clone()];
            state.signer = key;
        });
        let details = json!({ "ssf_issuer": "https://events.example.com/tenant",
            "ssf_jwks_uri": format!("{}/jwks", ssf.url), "ssf_audience": "urn:our:receiver" });
        let (pool, client) = given_openid(&house, &op, details).await;
        let (mut ann, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let theirs = json!({ "iss": "https://events.example.com/tenant", "aud": "urn:our:receiver",
            "sub_id": { "iss": op.url } });
        refused(
            &pushes(&house, &pool, "Open", &set(&op, theirs.clone())).await,
            "invalid_key",
            "no key",
        );
        let mut wrong = theirs.clone();
        wrong["iss"] = json!(op.url);
        refused(
            &pushes(&house, &pool, "Open", &set(&ssf, wrong)).await,
            "invalid_issuer",
            "ssf_issuer",
        );
        assert!(is_known(&mut ann).await);
        let answer = pushes(&house, &pool, "Open", &set(&ssf, theirs)).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        assert!(!is_known(&mut ann).await);
        for (details, words) in [
            (
                json!({ "ssf_jwks_uri": "ftp://events.example.com/keys" }),
                "ssf_jwks_uri must be an absolute https URL",
            ),
            (json!({ "ssf_audience": "two words" }), "ssf_audience must not contain spaces"),
            (json!({ "ssf_issuer": "two words" }), "ssf_issuer must not contain spaces"),
        ] {
            let mut all = op.details();
            merge(&mut all, details);
            let input =
                json!({ "UserPoolId": pool, "ProviderName": "Open", "ProviderDetails": all });
            let (_, said) = house.refused("UpdateIdentityProvider", input).await;
            assert!(said.contains(words), "{said}");
        }
    }
}

#[tokio::test]
async fn a_sign_in_with_the_pools_own_password_is_not_the_providers_to_end() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        house.user(&pool, "ann").await;
        let link = json!({ "UserPoolId": pool,
            "DestinationUser": { "ProviderName": "Cognito", "ProviderAttributeValue": "ann" },
            "SourceUser": { "ProviderName": "Open", "ProviderAttributeName": "Cognito_Subject", "ProviderAttributeValue": "ann" } });
        house.ok("AdminLinkProviderForUser", link).await;
        let (mut browser, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let password = house.client(&pool, json!({ "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] })).await;
        let own = house.signs_in(&password, "ann").await;
        let own = json!({ "access_token": own["AccessToken"] });
        assert!(is_alive(&house, &own).await);
        assert_eq!(pushes(&house, &pool, "Open", &set(&op, json!({}))).await.status, 202);
        assert!(!is_known(&mut browser).await && !is_alive(&house, &tokens).await);
        assert!(is_alive(&house, &own).await);
    }
}

#[tokio::test]
async fn no_code_that_is_redeemed_at_that_moment_outlives_an_event() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        for round in 0..6 {
            let mut browser = Browser::new(&house, &pool, &client);
            let code = code_at(&op, &mut browser, "Open", "ann").await;
            let token = set(&op, json!({}));
            let (house, pool, client, code) =
                (&house, pool.as_str(), client.as_str(), code.as_str());
            let event = async {
                assert_eq!(pushes(house, pool, "Open", &token).await.status, 202);
                None
            };
            let redeem = async { Some(Browser::new(house, pool, client).redeems(code).await) };
            let racers: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Answer>> + Send>>> =
                vec![Box::pin(event), Box::pin(redeem)];
            let redeemed = together(racers).await.into_iter().flatten().next().unwrap();
            if redeemed.status == 200 {
                assert!(!is_alive(house, &redeemed.json()).await, "round {round} {}", house.url);
            } else {
                assert_eq!(redeemed.json()["error"], "invalid_grant");
            }
        }
    }
}

// Global Token Revocation

fn endpoint(pool: &str) -> String {
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

async fn revokes_as(house: &House, pool: &str, token: &str, body: String, kind: &str) -> Answer {
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

#[tokio::test]
async fn a_provider_revokes_all_of_a_person_by_each_of_her_names() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_openid(&house, &op, json!({})).await;
        let update = json!({ "UserPoolId": pool, "ProviderName": "Open", "AttributeMapping": { "email": "email" } });
        house.ok("UpdateIdentityProvider", update).await;
        for body in [
            by_sub(&op, "ann"),
            json!({ "sub_id": { "format": "opaque", "id": "ann" } }),
            json!({ "sub_id": { "format": "email", "email": "ann@example.com" } }),
            json!({ "subject": { "format": "email", "email": "ann@example.com" } }),
        ] {
            let (mut here, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut there, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
            let (mut bob, _) = arrives(&house, &op, (&pool, &client, "Open"), "bob").await;
            let answer = revokes(&house, &pool, &bearer(&op, &pool, json!({})), &body).await;
            assert_eq!((answer.status.as_u16(), answer.body.as_str()), (204, ""), "{body}");
            assert!(answer.headers.contains_key("x-cenote-signout"));
            assert!(!is_known(&mut here).await && !is_known(&mut there).await, "{body}");
            assert!(!is_alive(&house, &tokens).await && is_known(&mut bob).await, "{body}");
        }
        let records = cenote::store::records::all(&house.app.db, &pool).await.unwrap();
        assert!(records.iter().all(|record| record.reason == "global_token_revocation"));
        // Known, with nothing left to end; and unknown.
        let answer =
            revokes(&house, &pool, &bearer(&op, &pool, json!({})), &by_sub(&op, "ann")).await;
        assert_eq!(answer.status, 204);
        for body in [
            by_sub(&op, "carol"),
            json!({ "sub_id": { "format": "email", "email": "carol@example.com" } }),
            json!({ "sub_id": { "format": "iss_sub", "iss": "https://other.example.com", "sub": "ann" } }),
        ] {
            let answer = revokes(&house, &pool, &bearer(&op, &pool, json!({})), &body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["error"].as_str()),
                (404, Some("not_found")),
                "{body}"
            );
        }
    }
}

#[tokio::test]
async fn a_revocation_without_its_marks_is_refused_and_ends_nothing() {
    for house in houses().await {
        let (op, evil) = (Provider::start().await, another_party().await);
        let (pool, client) = given_two(&house, &op, &evil).await;
        let (elsewhere, _) = given_openid(&house, &op, json!({})).await;
        let stranger = another_party().await;
        let (mut ann, tokens) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let now = NOW / 1_000;
        let good = bearer(&op, &pool, json!({}));
        op.set(|state| state.signer = Key::rsa("k1", 2));
        let forged = bearer(&op, &pool, json!({}));
        op.set(|state| state.signer = Key::rsa("k1", 3));
        let claims = json!({ "iss": op.url, "aud": endpoint(&pool), "iat": now, "exp": now + 300, "jti": "j" });
        for (token, words) in [
            (String::new(), "it is missing"),
            ("nonsense".to_owned(), "three parts"),
            (forged, "signature does not verify"),
            (bearer(&stranger, &pool, json!({})), "not the issuer of a provider"),
            (bearer(&op, &pool, json!({ "iss": null })), "it has no iss"),
            (bearer(&evil, &pool, json!({ "iss": op.url })), "signature does not verify"),
            (bearer(&op, &pool, json!({ "aud": CLIENT_ID })), "its aud is not"),
            (bearer(&op, &elsewhere, json!({})), "its aud is not"),
            (bearer(&op, &pool, json!({ "exp": now - 61 })), "it has expired"),
            (bearer(&op, &pool, json!({ "exp": null })), "it has no exp"),
            (bearer(&op, &pool, json!({ "exp": now + 2 * 86_400 })), "more than a day away"),
            (bearer(&op, &pool, json!({ "iat": now + 61 })), "in the future"),
            (bearer(&op, &pool, json!({ "jti": null })), "its jti is missing"),
            (typed(&op, json!("secevent+jwt"), &claims), "its typ is not"),
            (typed(&op, json!("logout+jwt"), &claims), "its typ is not"),
        ] {
            let answer = revokes(&house, &pool, &token, &by_sub(&op, "ann")).await;
            assert_eq!(answer.status, 401, "{words} {}", answer.body);
            assert_eq!(answer.json()["error"], "invalid_token");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{words}");
            assert!(answer.body.contains(words), "{words}: {}", answer.body);
        }
        for (body, words) in [
            ("".to_owned(), "not a JSON object"),
            ("[]".to_owned(), "no member sub_id"),
            ("{}".to_owned(), "no member sub_id"),
            (json!({ "sub_id": "ann" }).to_string(), "no object"),
            (json!({ "sub_id": { "format": "opaque" } }).to_string(), "has no id"),
            (
                json!({ "sub_id": { "format": "phone_number", "phone_number": "+1" } }).to_string(),
                "none of iss_sub",
            ),
            (
                json!({ "sub_id": { "format": "email", "email": "ann" } }).to_string(),
                "has no email",
            ),
        ] {
            let answer = revokes_as(&house, &pool, &good, body.clone(), "application/json").await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()["error"].as_str()),
                (400, Some("invalid_request")),
                "{body}"
            );
            assert!(answer.body.contains(words), "{body}: {}", answer.body);
        }
        let form =
            revokes_as(&house, &pool, &good, by_sub(&op, "ann").to_string(), "text/plain").await;
        assert_eq!(form.status, 400);
        assert_eq!(
            revokes_as(&house, &pool, &good, "x".repeat(20_000), "application/json").await.status,
            413
        );
        // The other provider, for a person of the same name, and one who is not its own.
        for body in [
            by_sub(&evil, "ann"),
            by_sub(&op, "ann"),
            json!({ "sub_id": { "format": "opaque", "id": "ann" } }),
        ] {
            assert_eq!(
                revokes(&house, &pool, &bearer(&evil, &pool, json!({})), &body).await.status,
                404,
                "{body}"
            );
        }
        assert!(is_known(&mut ann).await && is_alive(&house, &tokens).await);
        // Taken once.
        assert_eq!(revokes(&house, &pool, &good, &by_sub(&op, "ann")).await.status, 204);
        let (mut after, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let another = house.another_node(0).await;
        let again = revokes(&another, &pool, &good, &by_sub(&op, "ann")).await;
        assert_eq!(again.status, 401);
        assert!(again.body.contains("received before"), "{}", again.body);
        assert!(is_known(&mut after).await);
        // Whoever cannot be asked for keys now is asked again.
        house.advance(60_000);
        op.set(|state| state.signer = Key::rsa("k9", 4));
        op.does("/jwks", Behaviour::Status(500));
        let away =
            revokes(&house, &pool, &bearer(&op, &pool, json!({})), &by_sub(&op, "ann")).await;
        assert_eq!((away.status.as_u16(), away.header("retry-after")), (503, "1"), "{}", away.body);
    }
}

#[tokio::test]
async fn one_party_under_two_names_is_reached_under_both() {
    for house in houses().await {
        let op = Provider::start().await;
        let (pool, client) = given_two(&house, &op, &op).await;
        let (mut one, _) = arrives(&house, &op, (&pool, &client, "Open"), "ann").await;
        let (mut two, _) = arrives(&house, &op, (&pool, &client, "Other"), "ann").await;
        let answer =
            revokes(&house, &pool, &bearer(&op, &pool, json!({})), &by_sub(&op, "ann")).await;
        assert_eq!(answer.status, 204, "{}", answer.body);
        assert!(!is_known(&mut one).await && !is_known(&mut two).await);
        let document = Request::get(format!("/{pool}/.well-known/openid-configuration"))
            .header("host", "localhost:9230")
            .body(Body::empty())
            .unwrap();
        let said = house.send(document).await.json();
        assert!(
            said["global_token_revocation_endpoint"]
                .as_str()
                .unwrap()
                .ends_with("/global-token-revocation")
        );
    }
}
