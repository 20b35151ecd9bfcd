//! Signing in through identity providers at the hosted pages: who is sent where, what comes back by OpenID Connect, and what the login
//! page offers.

use axum::http::Method;
use serde_json::json;
use url::{Url, form_urlencoded};

use crate::browser::{
    BYE, Browser, CALLBACK, CHALLENGE, code_client, field, local, parameter, target,
};
use crate::hosted::claims;
use crate::house::{Answer, House, PASSWORD, houses, merge, together};
use crate::provider::{Behaviour, Provider};
use crate::provider_details::provider;
use crate::saml_provider::posts;

const BACK: &str = "/oauth2/idpresponse";

struct Given {
    pool: String,
    client: String,
    upstream: Provider,
}

/// A pool with the OpenID provider `Upstream`, and a client that has these.
async fn given(house: &House, providers: &[&str]) -> Given {
    let pool = house.pool(json!({ "AutoVerifiedAttributes": ["email"] })).await;
    let upstream = Provider::start().await;
    let more =
        json!({ "ProviderDetails": upstream.details(), "AttributeMapping": { "email": "email" } });
    house.ok("CreateIdentityProvider", provider(&pool, "OIDC", "Upstream", more)).await;
    Given { client: client(house, &pool, providers).await, pool, upstream }
}

async fn client(house: &House, pool: &str, providers: &[&str]) -> String {
    let mut client = code_client();
    merge(&mut client, json!({ "SupportedIdentityProviders": providers }));
    house.client(pool, client).await
}

async fn joins(house: &House, pool: &str, kind: &str, name: &str, identifiers: &[&str]) {
    let more = json!({ "IdpIdentifiers": identifiers });
    house.ok("CreateIdentityProvider", provider(pool, kind, name, more)).await;
}

impl Given {
    fn browser<'a>(&self, house: &'a House) -> Browser<'a> {
        Browser::new(house, &self.pool, &self.client)
    }

    /// Where the browser is sent: an address of the provider.
    async fn goes(&self, browser: &mut Browser<'_>, more: &str) -> String {
        let answer = browser
            .visits("/oauth2/authorize", &format!("&identity_provider=Upstream&state=s{more}"))
            .await;
        let location = answer.header("location");
        assert!(location.starts_with(&self.upstream.url), "{} {location}", answer.status);
        location.to_owned()
    }

    /// There and back as `sub`.
    async fn signs_in(&self, browser: &mut Browser<'_>, sub: &str, more: &str) -> Answer {
        let away = self.goes(browser, more).await;
        browser.get(&local(&self.upstream.authorize(&away, sub))).await
    }

    async fn users(&self, house: &House) -> i64 {
        house.rows("SELECT COUNT(*) FROM users WHERE pool_id = ?1", &self.pool).await
    }
}

/// What the app is told: code and description of an error that came with its state.
fn told(answer: &Answer) -> (String, String) {
    let location = answer.header("location");
    assert!(location.starts_with(CALLBACK), "{} {location} {}", answer.status, answer.body);
    assert_eq!(parameter(location, "state").as_deref(), Some("s"), "{location}");
    let said = |name: &str| parameter(location, name).unwrap_or_default();
    (said("error"), said("error_description"))
}

fn code(answer: &Answer) -> String {
    let location = answer.header("location");
    parameter(location, "code")
        .unwrap_or_else(|| panic!("{} {location} {}", answer.status, answer.body))
}

/// The same address with another value of a parameter, or without it.
fn with(url: &str, name: &str, value: Option<&str>) -> String {
    let mut url = Url::parse(url).unwrap();
    let kept: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(key, _)| key != name).collect();
    url.query_pairs_mut().clear().extend_pairs(kept);
    if let Some(value) = value {
        url.query_pairs_mut().append_pair(name, value);
    }
    url.into()
}

#[tokio::test]
async fn a_user_of_an_openid_provider_lands_in_the_app_with_cognitos_tokens() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut browser = given.browser(&house);
        let pkce =
            format!("&code_challenge={CHALLENGE}&code_challenge_method=S256&scope=openid+email");
        let away = given.goes(&mut browser, &pkce).await;
        let state = parameter(&away, "state").unwrap();
        assert_eq!(state.len(), 43);
        let back = parameter(&away, "redirect_uri").unwrap();
        assert!(back.ends_with(&format!("/{}{BACK}", given.pool)), "{back}");
        assert!(
            parameter(&away, "nonce").is_some() && parameter(&away, "code_challenge").is_some()
        );

        let answer = browser.get(&local(&given.upstream.authorize(&away, "ann"))).await;
        assert_eq!(parameter(answer.header("location"), "state").as_deref(), Some("s"));
        let tokens = browser.redeems(&code(&answer)).await.json();
        let id = claims(tokens["id_token"].as_str().unwrap());
        assert_eq!(id["cognito:username"], "Upstream_ann");
        assert_eq!(id["email"], "ann@example.com");
        assert_eq!(id["identities"][0]["providerType"], "OIDC");
        assert_eq!(house.status(&given.pool, "Upstream_ann").await, "EXTERNAL_PROVIDER");
        let kept =
            "SELECT COUNT(*) FROM upstream_sessions WHERE pool_id = ?1 AND session_key IS NOT NULL";
        assert_eq!(house.rows(kept, &given.pool).await, 1);

        // Signed out here, somebody is asked again.
        browser.get(&format!("/logout?client_id={}&logout_uri={BYE}", given.client)).await;
        let location = browser.visits("/login", "").await.header("location").to_owned();
        assert!(location.starts_with(&given.upstream.url), "{location}");
    }
}

#[tokio::test]
async fn a_state_belongs_to_one_browser_one_pool_five_minutes_and_one_answer() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut browser = given.browser(&house);
        let away = given.goes(&mut browser, "").await;
        let back = given.upstream.authorize(&away, "ann");

        // Login CSRF: an attacker's answer in the victim's browser.
        let mut victim = given.browser(&house);
        let page = victim.get(&local(&back)).await;
        assert!(
            page.status == 403 && page.body.contains("did not send the cookie"),
            "{}",
            page.body
        );
        given.goes(&mut victim, "").await;
        let page = victim.get(&local(&back)).await;
        assert!(
            page.status == 400 && page.body.contains("begun in another browser"),
            "{}",
            page.body
        );
        assert!(given.upstream.asked("/token").is_empty());

        for state in [None, Some("forged"), Some(&*"A".repeat(43))] {
            let page = browser.get(&local(&with(&back, "state", state))).await;
            assert!(page.status == 400 && page.cookie("cognito").is_none(), "{state:?}");
        }
        let other = self::given(&house, &["Upstream"]).await;
        let mut tab = other.browser(&house);
        tab.cookies = browser.cookies.clone();
        assert_eq!(tab.get(&local(&back)).await.status, 400);

        code(&browser.get(&local(&back)).await);
        let page = browser.get(&local(&back)).await;
        assert!(
            page.status == 400 && page.body.contains("already been completed"),
            "{}",
            page.body
        );
        assert_eq!(given.upstream.asked("/token").len(), 1);

        let away = given.goes(&mut browser, "").await;
        house.advance(5 * 60_000);
        let page = browser.get(&local(&given.upstream.authorize(&away, "ann"))).await;
        assert!(page.status == 400 && page.body.contains("Something went wrong"), "{}", page.body);
        let again = browser.get(&target(&page.body, "href", "/login?")).await;
        let again = browser.get(&local(again.header("location"))).await;
        assert!(again.header("location").starts_with(&given.upstream.url), "{}", again.body);
    }
}

#[tokio::test]
async fn an_answer_that_names_another_issuer_is_refused_good_or_bad() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut browser = given.browser(&house);
        for iss in [Some("https://other.example.com"), None] {
            let away = given.goes(&mut browser, "").await;
            let back = with(&given.upstream.authorize(&away, "ann"), "iss", iss);
            assert_eq!(told(&browser.get(&local(&back)).await).0, "invalid_request", "{iss:?}");
            let away = given.goes(&mut browser, "").await;
            let back = with(&given.upstream.authorize(&away, "ann"), "iss", iss);
            let back = with(&with(&back, "code", None), "error", Some("access_denied"));
            assert_eq!(told(&browser.get(&local(&back)).await).0, "invalid_request", "{iss:?}");
        }
        assert!(given.upstream.asked("/token").is_empty(), "no code was given to anybody");
    }
}

#[tokio::test]
async fn what_the_provider_refuses_is_told_to_the_app() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut browser = given.browser(&house);
        for (error, description, wanted) in [
            ("access_denied", Some("The user said no"), ("access_denied", "The user said no")),
            ("access_denied", None, ("access_denied", "Upstream Error - access_denied")),
            ("login_required", None, ("login_required", "Upstream Error - login_required")),
            (
                "server_error",
                Some("oops"),
                ("invalid_request", "Upstream Error - server_error oops"),
            ),
            ("x\u{202e}y", Some("a\nb"), ("invalid_request", "Upstream Error - xy ab")),
        ] {
            let away = given.goes(&mut browser, "").await;
            let back = with(&given.upstream.authorize(&away, "ann"), "code", None);
            let back = with(&with(&back, "error", Some(error)), "error_description", description);
            let (code, text) = told(&browser.get(&local(&back)).await);
            assert_eq!((&*code, &*text), wanted);
        }
        let away = given.goes(&mut browser, "").await;
        let back = with(&given.upstream.authorize(&away, "ann"), "code", None);
        let (error, text) = told(&browser.get(&local(&back)).await);
        assert!(
            error == "invalid_request" && text.contains("neither a code nor an error"),
            "{text}"
        );

        given.upstream.does("/token", Behaviour::Status(500));
        let (error, text) = told(&given.signs_in(&mut browser, "ann", "").await);
        assert!(error == "invalid_request" && text.starts_with("Upstream Error - 500"), "{text}");
        given.upstream.does("/token", None);
        given.upstream.set(|state| state.id_token = json!({ "nonce": "another" }));
        assert_eq!(told(&given.signs_in(&mut browser, "ann", "").await).0, "invalid_request");
        assert_eq!(given.users(&house).await, 0);
    }
}

#[tokio::test]
async fn an_answer_by_post_goes_on_in_the_browser_that_began() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut browser = given.browser(&house);
        let away = given.goes(&mut browser, "").await;
        let back = Url::parse(&given.upstream.authorize(&away, "ann")).unwrap();
        let form = back.query().unwrap().to_owned();
        let posted = posts(&house, &given.pool, BACK, form.clone()).await;
        assert_eq!(posted.status, 303, "{}", posted.body);
        let path = local(posted.header("location"));
        assert!(!path.contains("code="), "{path}");
        let mut victim = given.browser(&house);
        given.goes(&mut victim, "").await;
        assert_eq!(victim.get(&path).await.status, 400);
        assert!(given.upstream.asked("/token").is_empty());
        code(&browser.get(&path).await);
        assert_eq!(browser.get(&path).await.status, 400);
        assert_eq!(posts(&house, &given.pool, BACK, form).await.status, 400);
    }
}

#[tokio::test]
async fn many_first_sign_ins_of_one_person_all_succeed_and_each_code_is_redeemed_once() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut tabs = Vec::new();
        for _ in 0..6 {
            let mut browser = given.browser(&house);
            let away = given.goes(&mut browser, "").await;
            tabs.push((browser, local(&given.upstream.authorize(&away, "ann"))));
        }
        let racers = tabs.into_iter().map(|(mut browser, path)| async move {
            let answer = browser.get(&path).await;
            (answer.header("location").contains("code="), answer.header("location").to_owned())
        });
        let answers = together(racers).await;
        assert!(answers.iter().all(|(got_in, _)| *got_in), "{answers:?}");
        assert_eq!(given.upstream.asked("/token").len(), 6);
        assert_eq!(given.users(&house).await, 1);

        // One answer that comes back 32 times.
        let mut browser = given.browser(&house);
        let away = given.goes(&mut browser, "").await;
        let path = local(&given.upstream.authorize(&away, "ann"));
        let racers = (0..32).map(|_| {
            let mut tab = given.browser(&house);
            tab.cookies = browser.cookies.clone();
            let path = path.clone();
            async move { tab.get(&path).await.header("location").contains("code=") }
        });
        let codes = together(racers).await;
        assert_eq!(codes.iter().filter(|code| **code).count(), 1);
        assert_eq!(given.upstream.asked("/token").len(), 7);
    }
}

#[tokio::test]
async fn hints_and_prompts_are_the_providers_to_know_and_prompt_none_goes_nowhere() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut browser = given.browser(&house);
        let away =
            given.goes(&mut browser, "&login_hint=ann%40example.com&prompt=login&max_age=60").await;
        assert_eq!(parameter(&away, "login_hint").as_deref(), Some("ann@example.com"));
        assert!(parameter(&away, "prompt").unwrap().contains("login"));
        let away = given.goes(&mut browser, "&prompt=consent").await;
        assert_eq!(parameter(&away, "prompt").as_deref(), Some("consent"));
        let none = browser
            .visits("/oauth2/authorize", "&identity_provider=Upstream&state=s&prompt=none")
            .await;
        assert_eq!(told(&none).0, "login_required");
        let unknown =
            browser.visits("/oauth2/authorize", "&identity_provider=No&state=s&prompt=none").await;
        assert_eq!(told(&unknown).0, "invalid_request");

        // A provider that does not say when, or says it was long ago, did not do what the app asked for.
        given.upstream.set(|state| state.id_token = json!({ "auth_time": state.now - 3_600 }));
        let (error, text) = told(&given.signs_in(&mut browser, "ann", "&prompt=login").await);
        assert!(error == "invalid_request" && text.contains("an earlier authentication"), "{text}");
    }
}

#[tokio::test]
async fn a_provider_is_named_by_its_name_an_identifier_or_the_domain_of_an_address() {
    for house in houses().await {
        let given = given(&house, &["COGNITO", "Upstream"]).await;
        joins(&house, &given.pool, "SAML", "Corp", &["corp.example", "Corp Inc."]).await;
        let all = client(&house, &given.pool, &["COGNITO", "Upstream", "Corp"]).await;
        let mut browser = Browser::new(&house, &given.pool, &all);
        for named in [
            "identity_provider=Corp",
            "idp_identifier=corp.example",
            "idp_identifier=CORP.example",
            "idp_identifier=Corp+Inc.",
            "idp_identifier=ann%40corp.example",
            "identity_provider=Corp&idp_identifier=nonsense",
        ] {
            for path in ["/oauth2/authorize", "/login"] {
                let mut answer = browser.visits(path, &format!("&{named}")).await;
                if path == "/login" {
                    answer = browser.get(&local(answer.header("location"))).await;
                }
                assert!(
                    answer.header("location").contains("SAMLRequest="),
                    "{path} {named} {}",
                    answer.body
                );
            }
        }
        // What there is not, what this client does not have, and what is spelled differently.
        let mut browser = given.browser(&house);
        for named in [
            "identity_provider=Corp",
            "identity_provider=upstream",
            "idp_identifier=corp.example",
            "identity_provider=%3Cb%3E",
        ] {
            let answer = browser.visits("/oauth2/authorize", &format!("&{named}")).await;
            let page = browser.get(&local(answer.header("location"))).await;
            assert_eq!(page.status, 200);
            assert!(
                page.body.contains("Login option is not available. Please try another one"),
                "{named}"
            );
            let link = target(&page.body, "href", "/oauth2/authorize?");
            assert!(
                !link.contains("idp_identifier") && link.contains("identity_provider=Upstream"),
                "{link}"
            );
        }
    }
}

#[tokio::test]
async fn the_login_page_offers_what_the_client_has() {
    for house in houses().await {
        let given = given(&house, &["COGNITO", "Upstream"]).await;
        let pool = &given.pool;
        joins(&house, pool, "Google", "Google", &[]).await;
        joins(&house, pool, "LoginWithAmazon", "LoginWithAmazon", &[]).await;
        joins(&house, pool, "SAML", "Corp", &["corp.example"]).await;
        joins(&house, pool, "SAML", "Firm", &["firm.example"]).await;
        joins(&house, pool, "SAML", "Club", &[]).await;
        let page = |providers: &'static [&'static str], more: &'static str| {
            let house = &house;
            async move {
                let client = client(house, pool, providers).await;
                let mut browser = Browser::new(house, pool, &client);
                (browser.opens(more).await, browser)
            }
        };
        let has_form = |page: &Answer| page.body.contains("name=\"password\"");

        let (all, mut browser) =
            page(&["Google", "COGNITO", "Upstream", "LoginWithAmazon", "Corp"], "&state=s").await;
        assert!(
            has_form(&all)
                && all.body.contains("Forgot your password?")
                && all.body.contains("Sign up")
        );
        for name in ["Google", "Amazon", "Upstream", "Corp"] {
            assert!(all.body.contains(&format!("Continue with {name}<")), "{name}: {}", all.body);
        }
        assert!(
            !all.body.contains("Continue with LoginWithAmazon")
                && !all.body.contains("corporate_email")
        );
        let corp =
            all.body.split("href=\"").find(|rest| rest.contains("identity_provider=Corp")).unwrap();
        let link = corp.split('"').next().unwrap().replace("&amp;", "&");
        let answer = browser.get(&local(&link)).await;
        assert!(answer.header("location").contains("SAMLRequest="), "{}", answer.body);

        let (own, _) = page(&["COGNITO", "Google"], "&identity_provider=COGNITO").await;
        assert!(has_form(&own) && !own.body.contains("Continue with"));
        let (two, _) = page(&["Upstream", "Google"], "").await;
        assert!(!has_form(&two) && two.body.contains("Continue with Upstream"));
        assert!(!two.body.contains("Forgot your password?") && !two.body.contains("Sign up<"));
        let (list, _) = page(&["Corp", "Firm", "Club"], "").await;
        assert!(list.body.contains("Continue with Firm") && !list.body.contains("corporate_email"));
        let (alone, _) = page(&["Upstream"], "").await;
        assert!(alone.header("location").starts_with(&given.upstream.url), "{}", alone.body);

        // Companies that go by their domains are not told of each other.
        let (boxed, mut browser) = page(&["Corp", "Firm"], "&state=s").await;
        assert!(boxed.body.contains("name=\"corporate_email\"") && !boxed.body.contains("Firm"));
        let policy = boxed.header("content-security-policy");
        assert!(policy.contains("form-action 'self' https:"), "{policy}");
        let path = format!("/login?{}", browser.query("&state=s"));
        let csrf = field(&boxed.body, "_csrf");
        let typed = [("_csrf", &*csrf), ("corporate_email", "ann@nowhere.example")];
        let again = browser.post(&path, &typed).await;
        assert!(
            again.body.contains("No organization signs in with this address"),
            "{}",
            again.body
        );
        assert!(again.body.contains("value=\"ann@nowhere.example\""));
        let typed = [("_csrf", &*csrf), ("corporate_email", " Ann@FIRM.example ")];
        let answer = browser.post(&path, &typed).await;
        assert_eq!(answer.status, 303, "{}", answer.body);
        let answer = browser.get(&local(answer.header("location"))).await;
        assert!(answer.header("location").contains("SAMLRequest="), "{}", answer.body);
        let forged = browser.post(&path, &[("corporate_email", "ann@firm.example")]).await;
        assert_eq!(forged.status, 403);
    }
}

#[tokio::test]
async fn a_client_without_cognito_lets_nobody_in_by_password() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        house.user(&given.pool, "ann").await;
        let mut browser = given.browser(&house);
        given.goes(&mut browser, "").await;
        let csrf = browser.cookies["XSRF-TOKEN"].clone();
        let fields = [("_csrf", csrf.as_str()), ("username", "ann"), ("password", PASSWORD)];
        for page in [
            "/login",
            "/signup",
            "/forgotPassword",
            "/confirmForgotPassword",
            "/confirmUser",
            "/resendcode",
            "/challenge",
        ] {
            let path = format!("{page}?{}", browser.query("&state=s"));
            let (error, _) = told(&browser.post(&path, &fields).await);
            assert_eq!(error, "invalid_request", "{page}");
            if page != "/login" {
                assert_eq!(told(&browser.get(&path).await).0, "invalid_request", "{page}");
            }
        }
        // Nor is there another way in than its own, whatever the session of this browser came from.
        let native = client(&house, &given.pool, &["COGNITO"]).await;
        let mut both = Browser::new(&house, &given.pool, &native);
        both.signs_in("ann", PASSWORD, "").await;
        assert!(both.opens("").await.body.contains("Sign in as ann"));
        browser.cookies = both.cookies.clone();
        let location = browser.opens("").await.header("location").to_owned();
        assert!(location.starts_with(&given.upstream.url), "{location}");
        code(&given.signs_in(&mut browser, "bob", "").await);
        both.cookies = browser.cookies.clone();
        assert!(
            !both.opens("").await.body.contains("Sign in as"),
            "bob is no user of the pool's own"
        );
    }
}

#[tokio::test]
async fn with_version_2_a_session_that_came_from_the_provider_answers_for_it() {
    for house in houses().await {
        let given = given(&house, &["COGNITO", "Upstream"]).await;
        let domain = json!({ "UserPoolId": given.pool, "ManagedLoginVersion": 2,
            "Domain": format!("v2-{}", given.pool.split('_').next_back().unwrap().to_lowercase()) });
        house.ok("CreateUserPoolDomain", domain).await;
        house.user(&given.pool, "ann").await;
        let mut browser = given.browser(&house);
        let authorize = "/oauth2/authorize";
        browser.signs_in("ann", PASSWORD, "").await;
        code(&browser.visits(authorize, "").await);
        code(&browser.visits(authorize, "&identity_provider=COGNITO").await);
        given.goes(&mut browser, "").await;

        code(&given.signs_in(&mut browser, "ann", "").await);
        for more in ["", "&identity_provider=Upstream", "&identity_provider=Upstream&prompt=none"] {
            code(&browser.visits(authorize, more).await);
        }
        let login = browser.visits(authorize, "&identity_provider=COGNITO").await;
        assert!(local(login.header("location")).starts_with("/login?"));
        let again = browser.visits(authorize, "&identity_provider=Upstream&prompt=login").await;
        assert!(again.header("location").starts_with(&given.upstream.url));
        assert_eq!(given.upstream.asked("/token").len(), 1);
    }
}

#[tokio::test]
async fn a_client_whose_providers_are_gone_says_so_and_a_default_address_may_stay_unsaid() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut with_default = code_client();
        merge(
            &mut with_default,
            json!({ "SupportedIdentityProviders": ["Upstream"], "DefaultRedirectURI": CALLBACK }),
        );
        let with_default = house.client(&given.pool, with_default).await;
        let mut browser = Browser::new(&house, &given.pool, &with_default);
        let path = format!(
            "/oauth2/authorize?client_id={with_default}&response_type=code&identity_provider=Upstream"
        );
        let away = browser.get(&path).await.header("location").to_owned();
        code(&browser.get(&local(&given.upstream.authorize(&away, "ann"))).await);

        let gone = json!({ "UserPoolId": given.pool, "ProviderName": "Upstream" });
        house.ok("DeleteIdentityProvider", gone).await;
        let mut browser = given.browser(&house);
        let answer = browser.visits("/oauth2/authorize", "&state=s").await;
        let (error, text) = told(&answer);
        assert!(
            error == "invalid_request" && text.contains("SupportedIdentityProviders"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn the_ways_back_refuse_what_is_no_answer() {
    for house in houses().await {
        let given = given(&house, &["Upstream"]).await;
        let mut browser = given.browser(&house);
        for path in [
            "/federation/continue",
            "/federation/continue?handle=x",
            "/oauth2/idpresponse",
            "/saml2/idpresponse",
        ] {
            let page = browser.get(path).await;
            assert_eq!(page.status, 400, "{path}");
            assert!(
                page.header("content-security-policy").contains("default-src 'none'"),
                "{path}"
            );
        }
        let twice: String = form_urlencoded::Serializer::new(String::new())
            .append_pair("state", "a")
            .append_pair("state", "b")
            .finish();
        assert_eq!(posts(&house, &given.pool, BACK, twice).await.status, 400);
        let answer =
            browser.send(Method::POST, BACK, None, &[("content-type", "application/json")]).await;
        assert_eq!(answer.status, 400);
    }
}
