//! Signing in through a SAML provider: the request, its answer, and every answer that must not be believed.

use serde_json::{Value, json};

use crate::browser::{Browser, CALLBACK, CHALLENGE, code_client, local, parameter};
use crate::hosted::claims;
use crate::house::{Answer, House, houses, merge, together};
use crate::saml_provider::{Asked, SamlProvider, Says, posts};

const ACS: &str = "/saml2/idpresponse";
const UNRELATED: &str = "Invalid samlResponse or relayState from identity provider";

pub struct Given {
    pub pool: String,
    pub client: String,
    pub provider: SamlProvider,
}

/// A pool with the provider `Corp`, and a client that has it and nothing else.
pub async fn given(house: &House, details: Value) -> Given {
    let pool = house.pool(json!({})).await;
    let provider = SamlProvider::new();
    provider.joins(house, &pool, "Corp", details).await;
    let mut client = code_client();
    merge(&mut client, json!({ "SupportedIdentityProviders": ["Corp"] }));
    Given { client: house.client(&pool, client).await, pool, provider }
}

impl Given {
    fn browser<'a>(&self, house: &'a House) -> Browser<'a> {
        Browser::new(house, &self.pool, &self.client)
    }

    /// What the provider is asked when the browser goes there.
    async fn asks(&self, browser: &mut Browser<'_>, more: &str) -> Asked {
        Asked::by(
            &browser.visits("/oauth2/authorize", &format!("&identity_provider=Corp{more}")).await,
        )
    }

    /// Posts the provider's answer, and lets the browser follow to our own page.
    async fn comes_back(&self, house: &House, browser: &mut Browser<'_>, form: String) -> Answer {
        let answer = posts(house, &self.pool, ACS, form).await;
        follow(browser, &answer).await
    }

    /// The whole way, with the state `s`.
    async fn signs_in(
        &self,
        house: &House,
        browser: &mut Browser<'_>,
        says: impl FnOnce(&mut Says),
    ) -> Answer {
        let asked = self.asks(browser, "&state=s").await;
        let mut answer = Says::of(&asked, house.app.clock.now_ms());
        says(&mut answer);
        self.comes_back(house, browser, self.provider.form(&answer, &asked.relay_state)).await
    }

    /// What the app is told: code and description of an error that came with its state.
    fn told(answer: &Answer) -> (String, String) {
        let location = answer.header("location");
        assert!(location.starts_with(CALLBACK), "{} {location} {}", answer.status, answer.body);
        assert_eq!(parameter(location, "state").as_deref(), Some("s"), "{location}");
        let said = |name: &str| parameter(location, name).unwrap_or_default();
        (said("error"), said("error_description"))
    }

    async fn users(&self, house: &House) -> i64 {
        house.rows("SELECT COUNT(*) FROM users WHERE pool_id = ?1", &self.pool).await
    }
}

async fn follow(browser: &mut Browser<'_>, answer: &Answer) -> Answer {
    assert_eq!(answer.status, 303, "{}", answer.body);
    let path = local(answer.header("location"));
    assert!(path.starts_with("/federation/continue?handle="), "{path}");
    browser.get(&path).await
}

fn signed_in(answer: &Answer) -> String {
    let location = answer.header("location");
    parameter(location, "code")
        .unwrap_or_else(|| panic!("{} {location} {}", answer.status, answer.body))
}

#[tokio::test]
async fn a_user_of_a_saml_provider_lands_in_the_app_with_cognitos_tokens() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        let pkce = format!(
            "&state=s&code_challenge={CHALLENGE}&code_challenge_method=S256&scope=openid+email"
        );
        let asked = given.asks(&mut browser, &pkce).await;
        assert_eq!(asked.issuer, format!("urn:amazon:cognito:sp:{}", given.pool));
        assert!(asked.acs.ends_with(&format!("/{}{ACS}", given.pool)), "{}", asked.acs);
        assert_eq!((asked.relay_state.len(), asked.forced, asked.signed), (43, false, false));

        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        let posted = posts(&house, &given.pool, ACS, form).await;
        assert_eq!(posted.cookie("cognito"), None, "whose browser that is, nobody knows yet");
        let answer = follow(&mut browser, &posted).await;
        assert_eq!(parameter(answer.header("location"), "state").as_deref(), Some("s"));
        let tokens = browser.redeems(&signed_in(&answer)).await.json();
        let id = claims(tokens["id_token"].as_str().unwrap());
        assert_eq!(id["cognito:username"], "Corp_ann");
        assert_eq!(id["email"], "ann@corp.example");
        assert_eq!(id["identities"][0]["providerName"], "Corp");
        assert_eq!(id["identities"][0]["userId"], "ann");
        assert_eq!(id["cognito:groups"], json!([format!("{}_Corp", given.pool)]));
        assert_eq!(house.status(&given.pool, "Corp_ann").await, "EXTERNAL_PROVIDER");
        let kept = "SELECT COUNT(*) FROM upstream_sessions WHERE pool_id = ?1 AND provider = 'Corp' AND session_key IS NOT NULL";
        assert_eq!(house.rows(kept, &given.pool).await, 1);
    }
}

#[tokio::test]
async fn a_second_sign_in_is_the_same_user_and_the_browsers_other_user_is_signed_out() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        signed_in(&given.signs_in(&house, &mut browser, |_| {}).await);
        signed_in(&given.signs_in(&house, &mut browser, |_| {}).await);
        assert_eq!(given.users(&house).await, 1);
        let open = "SELECT COUNT(*) FROM sso_sessions WHERE pool_id = ?1 AND ended_ms IS NULL";
        assert_eq!(house.rows(open, &given.pool).await, 1);

        let bob = given.signs_in(&house, &mut browser, |says| {
            says.subject = "bob".into();
            says.attributes = vec![("mail", "bob@corp.example".into())];
        });
        signed_in(&bob.await);
        assert_eq!(given.users(&house).await, 2);
        assert_eq!(house.rows(open, &given.pool).await, 1);
        assert!(browser.opens("").await.body.contains("Sign in as bob@corp.example"));
    }
}

#[tokio::test]
async fn requests_are_signed_where_the_settings_or_the_metadata_ask_for_it() {
    for house in houses().await {
        let algorithm = json!({ "RequestSigningAlgorithm": "rsa-sha256" });
        let wants = SamlProvider::new().metadata("Redirect", "WantAuthnRequestsSigned=\"true\"");
        for details in [algorithm, json!({ "MetadataFile": wants })] {
            let given = given(&house, details).await;
            assert!(given.asks(&mut given.browser(&house), "").await.signed);
        }
    }
}

#[tokio::test]
async fn a_provider_that_takes_only_posts_gets_a_form_that_needs_no_script() {
    for house in houses().await {
        let metadata = SamlProvider::new().metadata("POST", "");
        let given = given(
            &house,
            json!({ "MetadataFile": metadata, "RequestSigningAlgorithm": "rsa-sha256" }),
        )
        .await;
        let mut browser = given.browser(&house);
        let page = browser.visits("/oauth2/authorize", "&identity_provider=Corp&state=s").await;
        let asked = Asked::by(&page);
        assert!(asked.signed, "{}", asked.xml);
        assert!(page.body.contains("action=\"https://idp.example.com/sso\""), "{}", page.body);
        assert!(page.body.contains("<button") && page.body.contains("Corp"));
        assert!(!page.body.contains("_csrf"), "no token of ours is the provider's to know");
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("script-src 'nonce-") && policy.contains("form-action 'self' https:;"),
            "{policy}"
        );

        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        signed_in(&given.comes_back(&house, &mut browser, form).await);
    }
}

#[tokio::test]
async fn only_the_browser_that_began_gets_the_session() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut attacker = given.browser(&house);
        let asked = given.asks(&mut attacker, "").await;
        let says = Says::of(&asked, house.app.clock.now_ms());
        let posted =
            posts(&house, &given.pool, ACS, given.provider.form(&says, &asked.relay_state)).await;

        // The victim's browser is made to follow: without cookies, and with its own.
        let mut victim = given.browser(&house);
        let page = follow(&mut victim, &posted).await;
        assert_eq!(page.status, 403);
        assert!(page.body.contains("did not send the cookie"), "{}", page.body);
        given.asks(&mut victim, "").await;
        let page = follow(&mut victim, &posted).await;
        assert_eq!(page.status, 400);
        assert!(page.body.contains("begun in another browser"), "{}", page.body);
        assert!(!page.body.contains("Start again") && page.cookie("cognito").is_none());
        assert_eq!(given.users(&house).await, 0);

        // It is still there for the browser that began, once.
        signed_in(&follow(&mut attacker, &posted).await);
        assert_eq!(follow(&mut attacker, &posted).await.status, 400);
    }
}

#[tokio::test]
async fn a_sign_in_that_takes_five_minutes_is_over() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        let asked = given.asks(&mut browser, "").await;
        house.advance(5 * 60_000);
        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        let page = posts(&house, &given.pool, ACS, form).await;
        assert_eq!(page.status, 400);
        assert!(page.body.contains("Something went wrong"), "{}", page.body);

        // So is one that does not come on from the provider's POST.
        let asked = given.asks(&mut browser, "").await;
        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        let posted = posts(&house, &given.pool, ACS, form).await;
        house.advance(60_000);
        let page = follow(&mut browser, &posted).await;
        assert!(page.status == 400 && page.body.contains("Something went wrong"), "{}", page.body);
        assert_eq!(given.users(&house).await, 0);
    }
}

#[tokio::test]
async fn a_response_is_taken_once_on_all_nodes() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let other = house.another_node(2_000).await;
        let mut browser = given.browser(&house);
        let asked = given.asks(&mut browser, "").await;
        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        signed_in(&given.comes_back(&house, &mut browser, form.clone()).await);
        for node in [&house, &other] {
            let page = posts(node, &given.pool, ACS, form.clone()).await;
            assert_eq!(page.status, 400);
            assert!(page.body.contains("already been completed"), "{}", page.body);
        }
        // Under the RelayState of another sign-in it is the answer to another request.
        let asked = given.asks(&mut browser, "&state=s").await;
        let page = given
            .comes_back(&house, &mut browser, given.provider.form(&says, &asked.relay_state))
            .await;
        let (error, text) = Given::told(&page);
        assert!(error == "invalid_request" && text.starts_with(UNRELATED), "{text}");
    }
}

#[tokio::test]
async fn of_32_posts_of_one_response_exactly_one_goes_on() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        let asked = given.asks(&mut browser, "").await;
        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        let racers = (0..32).map(|_| posts(&house, &given.pool, ACS, form.clone()));
        let answers = together(racers).await;
        let won: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 303).collect();
        assert_eq!(won.len(), 1);

        let path = local(won[0].header("location"));
        let racers = (0..32).map(|_| {
            let mut tab = given.browser(&house);
            tab.cookies = browser.cookies.clone();
            let path = path.clone();
            async move { tab.get(&path).await.header("location").contains("code=") }
        });
        let codes = together(racers).await;
        assert_eq!(codes.iter().filter(|code| **code).count(), 1);
        assert_eq!(given.users(&house).await, 1);
    }
}

/// What is changed of an answer, and what the app is told of it.
type Wrong = (fn(&mut Says), &'static str);

const INVALID: &str = "Invalid SAML response received: ";
const SIGNATURE: &str = "Error in SAML response processing: SAML Assertion signature is invalid";

#[tokio::test]
async fn a_response_that_is_wrong_in_any_way_is_told_to_the_app_and_makes_nobody() {
    let wrong: &[Wrong] = &[
        (|says| says.signed = false, SIGNATURE),
        (|says| says.issuer = "https://other.example.com/metadata".into(), INVALID),
        (|says| says.audience = "urn:amazon:cognito:sp:us-east-1_Another99".into(), INVALID),
        (|says| says.recipient = "https://auth.example.com/saml2/idpresponse".into(), INVALID),
        (|says| says.in_response_to = Some("_another".into()), UNRELATED),
        (|says| says.in_response_to = None, UNRELATED),
        // Its five minutes and the minute's skew are over; or it comes from a clock that is ahead.
        (|says| says.issued_ms -= 361_000, INVALID),
        (|says| says.issued_ms += 62_000, INVALID),
        (|says| says.subject = String::new(), INVALID),
    ];
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        for (n, (change, told)) in wrong.iter().enumerate() {
            let answer = given.signs_in(&house, &mut browser, change).await;
            let (error, text) = Given::told(&answer);
            assert_eq!(error, "invalid_request", "{n}: {text}");
            assert!(text.starts_with(told), "{n}: {text}");
        }
        let asked = given.asks(&mut browser, "&state=s").await;
        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = SamlProvider::impostor().form(&says, &asked.relay_state);
        let (_, text) = Given::told(&given.comes_back(&house, &mut browser, form).await);
        assert!(text.starts_with(SIGNATURE), "{text}");
        for response in ["", "%%%", "PHhtbD4=", "bm8geG1s", &"A".repeat(100_001)] {
            let asked = given.asks(&mut browser, "&state=s").await;
            let form = url::form_urlencoded::Serializer::new(String::new())
                .append_pair("SAMLResponse", response)
                .append_pair("RelayState", &asked.relay_state)
                .finish();
            let answer = posts(&house, &given.pool, ACS, form).await;
            if response.is_empty() {
                assert!(answer.status == 400 && answer.body.contains(UNRELATED), "{}", answer.body);
                continue;
            }
            let (error, text) = Given::told(&follow(&mut browser, &answer).await);
            assert!(error == "invalid_request" && text.starts_with(INVALID), "{text}");
        }
        assert_eq!(given.users(&house).await, 0);
        signed_in(&given.signs_in(&house, &mut browser, |_| {}).await);
    }
}

#[tokio::test]
async fn a_long_response_fits_and_an_endless_one_does_not() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        // 64 KiB are too little for people with many groups.
        let long = given.signs_in(&house, &mut browser, |says| {
            says.attributes.push(("groups", "g".repeat(60_000)));
        });
        signed_in(&long.await);
        let form = format!("SAMLResponse={}&RelayState=x", "A".repeat(400 << 10));
        assert_eq!(posts(&house, &given.pool, ACS, form).await.status, 413);
    }
}

#[tokio::test]
async fn a_relay_state_that_nobody_was_given_leads_nowhere() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        let asked = given.asks(&mut browser, "").await;
        let mut says = Says::of(&asked, house.app.clock.now_ms());
        for (relay_state, to) in [
            ("", Some(asked.id.clone())),
            (&*"A".repeat(43), Some(asked.id.clone())),
            (&*"x".repeat(20_000), None),
            ("client_id=nobody", None),
        ] {
            says.in_response_to = to;
            let form = given.provider.form(&says, relay_state);
            let page = posts(&house, &given.pool, ACS, form).await;
            assert!(matches!(page.status.as_u16(), 302 | 400), "{}", page.status);
            if page.status == 302 {
                assert!(page.header("location").contains("/error?"), "{}", page.header("location"));
            } else {
                assert!(page.body.contains(UNRELATED), "{}", page.body);
            }
        }
        // Another pool's, at its own address.
        let other = self::given(&house, json!({})).await;
        says.in_response_to = Some(asked.id.clone());
        let form = given.provider.form(&says, &asked.relay_state);
        let page = posts(&house, &other.pool, ACS, form).await;
        assert!(page.status == 400 && page.body.contains(UNRELATED), "{}", page.body);
        assert_eq!(given.users(&house).await + other.users(&house).await, 0);
    }
}

/// The query that a provider sends as RelayState when it begins.
fn beginning(given: &Given, more: &str) -> String {
    let uri: String = url::form_urlencoded::byte_serialize(CALLBACK.as_bytes()).collect();
    format!(
        "identity_provider=Corp&client_id={}&redirect_uri={uri}&response_type=code&scope=openid+email{more}",
        given.client
    )
}

fn unasked(house: &House, given: &Given) -> Says {
    let asked = Asked {
        id: String::new(),
        acs: format!("http://localhost:9230/{}{ACS}", given.pool),
        issuer: format!("urn:amazon:cognito:sp:{}", given.pool),
        relay_state: String::new(),
        forced: false,
        signed: false,
        xml: String::new(),
    };
    Says { in_response_to: None, ..Says::of(&asked, house.app.clock.now_ms()) }
}

#[tokio::test]
async fn a_provider_may_begin_a_sign_in_only_where_its_settings_say_so() {
    for house in houses().await {
        let given = given(&house, json!({ "IDPInit": "true" })).await;
        let says = unasked(&house, &given);
        let form = given.provider.form(&says, &beginning(&given, "&state=s"));
        let posted = posts(&house, &given.pool, ACS, form.clone()).await;
        // Whatever the browser was doing here before.
        let mut browser = given.browser(&house);
        let answer = follow(&mut browser, &posted).await;
        assert_eq!(parameter(answer.header("location"), "state").as_deref(), Some("s"));
        signed_in(&answer);
        assert!(browser.cookies.contains_key("cognito"));

        // Once, on whichever node, and within six minutes.
        let other = house.another_node(0).await;
        let again = posts(&other, &given.pool, ACS, form).await;
        assert!(again.status == 400 && again.body.contains("was used before"), "{}", again.body);
        let mut old = unasked(&house, &given);
        old.issued_ms -= 400_000;
        let mut solicited = unasked(&house, &given);
        solicited.in_response_to = Some("_request".into());
        for says in [old, solicited] {
            let form = given.provider.form(&says, &beginning(&given, "&state=s"));
            let answer = given.comes_back(&house, &mut browser, form).await;
            assert_eq!(Given::told(&answer).0, "invalid_request");
        }

        let off = json!({ "UserPoolId": given.pool, "ProviderName": "Corp",
            "ProviderDetails": { "MetadataFile": given.provider.metadata("Redirect", "") } });
        house.ok("UpdateIdentityProvider", off).await;
        let form = given.provider.form(&unasked(&house, &given), &beginning(&given, ""));
        let refused = posts(&house, &given.pool, ACS, form).await;
        assert!(refused.status == 400 && refused.body.contains(UNRELATED), "{}", refused.body);
        assert!(refused.body.contains("IDPInit"), "{}", refused.body);
        assert_eq!(given.users(&house).await, 1);
    }
}

#[tokio::test]
async fn what_the_mapping_needs_and_the_provider_does_not_say_is_named() {
    for house in houses().await {
        let schema = json!({ "Schema": [{ "Name": "email", "Required": true, "Mutable": true }] });
        let pool = house.pool(schema).await;
        let provider = SamlProvider::new();
        provider.joins(&house, &pool, "Corp", json!({})).await;
        let mut client = code_client();
        merge(&mut client, json!({ "SupportedIdentityProviders": ["Corp"] }));
        let given = Given { client: house.client(&pool, client).await, pool, provider };
        let mut browser = given.browser(&house);
        let answer = given.signs_in(&house, &mut browser, |says| says.attributes.clear()).await;
        let (error, text) = Given::told(&answer);
        let wanted = "Invalid SAML response received: Invalid user attributes: email: The attribute is required";
        assert_eq!((&*error, text.trim()), ("invalid_request", wanted));
        assert_eq!(given.users(&house).await, 0);
    }
}

#[tokio::test]
async fn a_user_who_is_disabled_and_a_provider_that_is_deleted_let_nobody_in() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        signed_in(&given.signs_in(&house, &mut browser, |_| {}).await);
        let ann = json!({ "UserPoolId": given.pool, "Username": "Corp_ann" });
        house.ok("AdminDisableUser", ann).await;
        let (error, text) = Given::told(&given.signs_in(&house, &mut browser, |_| {}).await);
        assert_eq!((&*error, &*text), ("invalid_request", "User is not enabled"));

        let asked = given.asks(&mut browser, "&state=s").await;
        let gone = json!({ "UserPoolId": given.pool, "ProviderName": "Corp" });
        house.ok("DeleteIdentityProvider", gone).await;
        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        let (error, _) = Given::told(&given.comes_back(&house, &mut browser, form).await);
        assert_eq!(error, "invalid_request");
    }
}

#[tokio::test]
async fn prompt_and_max_age_ask_the_provider_for_a_fresh_authentication() {
    for house in houses().await {
        let given = given(&house, json!({})).await;
        let mut browser = given.browser(&house);
        let now = house.app.clock.now_ms();
        let asked = given.asks(&mut browser, "&state=s&prompt=login").await;
        assert!(asked.forced);
        let mut says = Says::of(&asked, now);
        says.authenticated_ms = now - 3_600_000;
        let answer = given
            .comes_back(&house, &mut browser, given.provider.form(&says, &asked.relay_state))
            .await;
        let (error, text) = Given::told(&answer);
        assert!(error == "invalid_request" && text.contains("an earlier authentication"), "{text}");

        let asked = given.asks(&mut browser, "&state=s&max_age=600").await;
        assert!(!asked.forced);
        let mut says = Says::of(&asked, now);
        says.authenticated_ms = now - 3_600_000;
        let again = given
            .comes_back(&house, &mut browser, given.provider.form(&says, &asked.relay_state))
            .await;
        let asked = Asked::by(&again);
        assert!(asked.forced, "too long ago: the provider is asked again");
        let says = Says::of(&asked, now);
        let form = given.provider.form(&says, &asked.relay_state);
        signed_in(&given.comes_back(&house, &mut browser, form).await);
    }
}

#[tokio::test]
async fn after_an_administrator_signed_the_user_out_the_provider_must_ask_for_credentials() {
    for house in houses().await {
        let given = given(&house, json!({ "IDPSignout": "true" })).await;
        let mut browser = given.browser(&house);
        signed_in(&given.signs_in(&house, &mut browser, |_| {}).await);
        house.advance(120_000);
        let ann = json!({ "UserPoolId": given.pool, "Username": "Corp_ann" });
        house.ok("AdminUserGlobalSignOut", ann).await;
        house.advance(1_000);
        let again =
            given.signs_in(&house, &mut browser, |says| says.authenticated_ms -= 130_000).await;
        let asked = Asked::by(&again);
        assert!(asked.forced);
        let says = Says::of(&asked, house.app.clock.now_ms());
        let form = given.provider.form(&says, &asked.relay_state);
        signed_in(&given.comes_back(&house, &mut browser, form).await);
        // It did, and need not again.
        signed_in(&given.signs_in(&house, &mut browser, |_| {}).await);
    }
}
