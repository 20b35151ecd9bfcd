//! Who comes from an identity provider: whom an answer of one means, the user as the mapping makes it, and what such a user may do.
//! The providers themselves are elsewhere; here their verified answers arrive.

use cenote::auth::federated::{self, Arrival};
use cenote::auth::{At, Door};
use cenote::cx::Cx;
use cenote::error::{Error, Kind as Fault};
use cenote::params;
use cenote::pool::provider::{Kind, ProviderDoc};
use cenote::pool::session::Flow;
use cenote::pool::{Identity, Provider};
use cenote::store::{Batch, Rank, jobs, pools, providers};
use cenote::tokens::{mint, open};
use serde_json::{Value, json};

use crate::browser::code_client;
use crate::hosted::claims;
use crate::house::{House, NOW, PASSWORD, houses, merge, refusal, together};

const HR: &str = "Hr";

/// A pool with a provider `Hr`, and an app client.
pub struct Place {
    pub pool: String,
    pub client: String,
}

pub async fn place(house: &House, kind: Kind, pool: Value, mapping: &[(&str, &str)]) -> Place {
    let pool = house.pool(pool).await;
    provider(house, &pool, HR, kind, mapping).await;
    let client = house.client(&pool, client()).await;
    Place { pool, client }
}

pub fn client() -> Value {
    let mut client = code_client();
    merge(&mut client, json!({ "ReadAttributes": null }));
    client
}

/// Adds a provider, with its group.
pub async fn provider(
    house: &House,
    pool_id: &str,
    name: &str,
    kind: Kind,
    mapping: &[(&str, &str)],
) {
    let mapping = mapping.iter().map(|(name, claim)| ((*name).to_owned(), (*claim).to_owned()));
    let provider = Provider {
        pool_id: pool_id.to_owned(),
        name: name.to_owned(),
        kind,
        doc: ProviderDoc { mapping: mapping.collect(), ..ProviderDoc::default() },
        secret: None,
        ver: 1,
        created_ms: NOW,
        modified_ms: NOW,
    };
    let db = &house.app.db;
    let mut pool = (*house.app.directory.pool(db, pool_id).await.unwrap().unwrap()).clone();
    pool.doc.has_providers = true;
    let mut batch = Batch::new();
    pools::update(&mut batch, &pool, NOW).unwrap();
    providers::insert(&mut batch, &provider, Error::conflict(), &Error::conflict()).unwrap();
    db.commit(batch).await.unwrap();
    let group = json!({ "UserPoolId": pool_id, "GroupName": provider.group() });
    house.ok("CreateGroup", group).await;
}

pub fn says(provider: &str, kind: Kind, subject: &str, claims: &[(&str, &[&str])]) -> Identity {
    let claims = claims.iter().map(|(name, values)| {
        ((*name).to_owned(), values.iter().map(|value| (*value).to_owned()).collect())
    });
    Identity {
        provider: provider.to_owned(),
        kind,
        subject: subject.to_owned(),
        issuer: None,
        claims: claims.collect(),
        auth_ms: None,
        upstream: Default::default(),
    }
}

/// What `Hr`, an OpenID provider, says.
pub fn hr(subject: &str, claims: &[(&str, &[&str])]) -> Identity {
    says(HR, Kind::Oidc, subject, claims)
}

/// What becomes of an answer of a provider: the tokens of the sign-in, or `None` where the provider must ask again.
pub async fn arrives(
    house: &House,
    place: &Place,
    identity: &Identity,
    forced: bool,
) -> Result<Option<Value>, Error> {
    Cx::system(house.app.clone())
        .retrying(async |cx: Cx| {
            let (pool, client) =
                cx.app.directory.client(cx.db(), &place.client).await?.expect("there is a client");
            let at = At { pool: &pool, client: &client, door: Door::Hosted };
            let proven = match federated::arrive(&cx, at, identity, forced).await? {
                Arrival::Proven(proven) => *proven,
                Arrival::AuthenticateAgain => return Ok(None),
            };
            let mut batch = proven.batch;
            let new = open::New {
                pool: &pool,
                client: &client,
                user: &proven.user,
                birth: proven.birth,
                auth_ms: cx.now,
                flow: Flow::Hosted,
                scope: "openid aws.cognito.signin.user.admin",
                nonce: None,
                resource: None,
                sso_id: None,
                session_id: None,
            };
            let opened = open::open(&cx, &mut batch, new).await?;
            cx.db().commit(batch).await?;
            let (session, refresh) = (&opened.session, opened.refresh_token);
            let issued = mint::issue(&cx, &pool, &client, &proven.user, session, refresh).await?;
            Ok(Some(serde_json::to_value(issued.into_result()).unwrap()))
        })
        .await
}

pub async fn signs_in(house: &House, place: &Place, identity: &Identity) -> Value {
    arrives(house, place, identity, false)
        .await
        .unwrap_or_else(|error| panic!("{error:?} on {}", house.url))
        .expect("nothing is owed to the provider")
}

/// The text that the app is told.
pub async fn refused(house: &House, place: &Place, identity: &Identity) -> String {
    let error = arrives(house, place, identity, false).await.unwrap_err();
    let trouble = federated::trouble(error).unwrap();
    assert_eq!(trouble.error(), "invalid_request");
    trouble.text
}

/// The user's name, as the ID token has it.
pub fn name_in(tokens: &Value) -> String {
    claims(tokens["IdToken"].as_str().unwrap())["cognito:username"].as_str().unwrap().to_owned()
}

pub async fn sub_of(house: &House, pool: &str, name: &str) -> String {
    house.attribute(pool, name, "sub").await.unwrap()
}

/// The attribute `identities`, read.
pub async fn identities(house: &House, pool: &str, name: &str) -> Value {
    match house.attribute(pool, name, "identities").await {
        Some(text) => serde_json::from_str(&text).unwrap(),
        None => json!([]),
    }
}

pub async fn count(house: &House, pool: &str) -> i64 {
    house.rows("SELECT COUNT(*) FROM users WHERE pool_id = ?1", pool).await
}

pub async fn trail(house: &House, pool: &str) -> Vec<jobs::Entry> {
    let all = jobs::audit(&house.app.db, 0, i64::MAX, (0, ""), 100_000).await.unwrap();
    all.into_iter().filter(|entry| entry.pool_id == pool).collect()
}

#[tokio::test]
async fn the_first_sign_in_makes_a_user_of_the_provider() {
    for house in houses().await {
        let mapping = [("email", "mail"), ("given_name", "first"), ("username", "sub")];
        let place = place(&house, Kind::Oidc, json!({}), &mapping).await;
        let mut ann = hr("Ann-1", &[("mail", &["ann@example.com"]), ("other", &["x"])]);
        ann.issuer = Some("https://hr.example.com".into());
        let tokens = signs_in(&house, &place, &ann).await;

        let input = json!({ "UserPoolId": place.pool, "Username": "Hr_Ann-1" });
        let user = house.ok("AdminGetUser", input.clone()).await;
        assert_eq!(
            (user["Username"].as_str(), user["UserStatus"].as_str(), user["Enabled"].as_bool()),
            (Some("Hr_Ann-1"), Some("EXTERNAL_PROVIDER"), Some(true))
        );
        let names: Vec<&str> = user["UserAttributes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["Name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["sub", "identities", "email", "email_verified"]);
        assert_eq!(
            identities(&house, &place.pool, "Hr_Ann-1").await,
            json!([{ "userId": "Ann-1", "providerName": "Hr", "providerType": "OIDC",
                "issuer": "https://hr.example.com", "primary": true, "dateCreated": NOW }])
        );

        let group = format!("{}_Hr", place.pool);
        let groups = house.ok("AdminListGroupsForUser", input).await;
        assert_eq!(groups["Groups"][0]["GroupName"], group.as_str());
        let id = claims(tokens["IdToken"].as_str().unwrap());
        assert_eq!(id["cognito:groups"], json!([group]));
        assert_eq!(
            id["identities"],
            json!([{ "userId": "Ann-1", "providerName": "Hr", "providerType": "OIDC",
                "issuer": "https://hr.example.com", "primary": "true", "dateCreated": NOW.to_string() }])
        );
        assert_eq!(
            (&id["email"], &id["email_verified"]),
            (&json!("ann@example.com"), &json!(false))
        );
        assert_eq!(id["cognito:username"], "Hr_Ann-1");
        let access = claims(tokens["AccessToken"].as_str().unwrap());
        assert_eq!(access["username"], "Hr_Ann-1");
        assert_eq!(access.get("identities"), None);

        // Again it is the same user, and so after a refresh.
        assert_eq!(
            claims(signs_in(&house, &place, &ann).await["IdToken"].as_str().unwrap())["sub"],
            id["sub"]
        );
        let refresh = json!({ "ClientId": place.client, "RefreshToken": tokens["RefreshToken"] });
        let again = house.ok("GetTokensFromRefreshToken", refresh).await;
        let again = claims(again["AuthenticationResult"]["IdToken"].as_str().unwrap());
        assert_eq!(again["identities"], id["identities"]);
        assert_eq!(count(&house, &place.pool).await, 1);
    }
}

#[tokio::test]
async fn identities_are_shown_wherever_attributes_are_and_to_whom_may_read_them() {
    for house in houses().await {
        let place = place(&house, Kind::Google, json!({}), &[("email", "email")]).await;
        let google = says(HR, Kind::Google, "7", &[("email", &["ann@example.com"])]);
        let tokens = signs_in(&house, &place, &google).await;
        let shown = json!([{ "userId": "7", "providerName": "Hr", "providerType": "Google", "issuer": null,
            "primary": true, "dateCreated": NOW }]);
        let find = |list: &Value| {
            let list = list.as_array().unwrap().clone();
            let item = list.into_iter().find(|item| item["Name"] == "identities")?;
            Some(serde_json::from_str::<Value>(item["Value"].as_str().unwrap()).unwrap())
        };
        let own = house.ok("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        assert_eq!(find(&own["UserAttributes"]), Some(shown.clone()));
        let list = json!({ "UserPoolId": place.pool, "Filter": "username ^= \"Hr_\"",
            "AttributesToGet": ["identities"] });
        let list = house.ok("ListUsers", list).await;
        assert_eq!(list["Users"][0]["UserStatus"], "EXTERNAL_PROVIDER");
        assert_eq!(list["Users"][0]["Attributes"].as_array().unwrap().len(), 1);
        assert_eq!(find(&list["Users"][0]["Attributes"]), Some(shown.clone()));
        let status = json!({ "UserPoolId": place.pool,
            "Filter": "cognito:user_status = \"EXTERNAL_PROVIDER\"" });
        assert_eq!(house.ok("ListUsers", status).await["Users"].as_array().unwrap().len(), 1);

        let info = async |tokens: &Value| {
            let request = axum::http::Request::get(format!("/{}/oauth2/userInfo", place.pool))
                .header("host", "localhost:9230")
                .header(
                    "authorization",
                    format!("Bearer {}", tokens["AccessToken"].as_str().unwrap()),
                )
                .body(axum::body::Body::empty())
                .unwrap();
            let answer = house.send(request).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            answer.json()
        };
        let told = info(&tokens).await;
        assert_eq!(
            serde_json::from_str::<Value>(told["identities"].as_str().unwrap()).unwrap(),
            shown
        );
        assert_eq!(told["username"], "Hr_7");

        // A client that reads only the e-mail.
        let mut narrow = client();
        merge(&mut narrow, json!({ "ReadAttributes": ["email"] }));
        let narrow =
            Place { pool: place.pool.clone(), client: house.client(&place.pool, narrow).await };
        let tokens = signs_in(&house, &narrow, &google).await;
        assert_eq!(claims(tokens["IdToken"].as_str().unwrap()).get("identities"), None);
        assert_eq!(info(&tokens).await.get("identities"), None);
        let own = house.ok("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        assert_eq!(find(&own["UserAttributes"]), None);
        let mut wide = client();
        merge(&mut wide, json!({ "ReadAttributes": ["email", "identities"] }));
        let wide =
            Place { pool: place.pool.clone(), client: house.client(&place.pool, wide).await };
        let tokens = signs_in(&house, &wide, &google).await;
        assert!(claims(tokens["IdToken"].as_str().unwrap()).get("identities").is_some());
    }
}

#[tokio::test]
async fn subjects_are_compared_to_the_letter_and_names_as_the_pool_does() {
    for house in houses().await {
        let folding = json!({ "UsernameConfiguration": { "CaseSensitive": false } });
        let place = place(&house, Kind::Saml, folding, &[]).await;
        let saml = |subject| says(HR, Kind::Saml, subject, &[]);
        assert_eq!(name_in(&signs_in(&house, &place, &saml("Ann")).await), "hr_ann");
        assert_eq!(name_in(&signs_in(&house, &place, &saml("Ann")).await), "hr_ann");
        assert_eq!(
            refused(&house, &place, &saml("ANN")).await,
            "Already found an entry for username hr_ann"
        );
        assert_eq!(identities(&house, &place.pool, "HR_Ann").await[0]["userId"], "Ann");
        let groups = json!({ "UserPoolId": place.pool, "Username": "hr_ann" });
        assert_eq!(
            house.ok("AdminListGroupsForUser", groups).await["Groups"].as_array().unwrap().len(),
            1
        );

        let exact = super::federated_users::place(&house, Kind::Saml, json!({}), &[]).await;
        for subject in ["Ann", "ANN"] {
            assert_eq!(
                name_in(&signs_in(&house, &exact, &saml(subject)).await),
                format!("Hr_{subject}")
            );
        }
    }
}

#[tokio::test]
async fn nobody_of_the_pool_is_taken_over_by_a_name_or_an_address() {
    for house in houses().await {
        // A user who is called as one of the provider's would be.
        let place = place(&house, Kind::Oidc, json!({}), &[("email", "mail")]).await;
        house.user(&place.pool, "Hr_1").await;
        assert_eq!(
            refused(&house, &place, &hr("1", &[])).await,
            "Already found an entry for username Hr_1"
        );
        assert_eq!(house.status(&place.pool, "Hr_1").await, "CONFIRMED");

        // The same address, as an alias and in place of a name.
        for setting in ["AliasAttributes", "UsernameAttributes"] {
            let pool = json!({ setting: ["email"] });
            let mapping = [("email", "mail"), ("email_verified", "ok")];
            let place = super::federated_users::place(&house, Kind::Oidc, pool, &mapping).await;
            let by_name = setting == "AliasAttributes";
            let name = if by_name { "ann" } else { "ann@example.com" };
            let create = json!({ "UserPoolId": place.pool, "Username": name, "MessageAction": "SUPPRESS",
                "UserAttributes": [{ "Name": "email", "Value": "ann@example.com" }, { "Name": "email_verified", "Value": "true" }] });
            house.ok("AdminCreateUser", create).await;
            let password = json!({ "UserPoolId": place.pool, "Username": name, "Password": PASSWORD, "Permanent": true });
            house.ok("AdminSetUserPassword", password).await;
            let native = sub_of(&house, &place.pool, "ann@example.com").await;

            let claims: &[(&str, &[&str])] = &[("mail", &["ann@example.com"]), ("ok", &["true"])];
            for subject in ["1", "2"] {
                let tokens = signs_in(&house, &place, &hr(subject, claims)).await;
                assert_eq!(name_in(&tokens), format!("Hr_{subject}"));
            }
            assert_eq!(count(&house, &place.pool).await, 3, "each is a user of its own");
            assert_eq!(sub_of(&house, &place.pool, "ann@example.com").await, native);
            house.signs_in(&place.client, "ann@example.com").await;
            let filter =
                json!({ "UserPoolId": place.pool, "Filter": "email = \"ann@example.com\"" });
            assert_eq!(house.ok("ListUsers", filter).await["Users"].as_array().unwrap().len(), 3);
        }
    }
}

#[tokio::test]
async fn an_address_that_a_provider_named_first_is_not_kept_from_its_owner() {
    for house in houses().await {
        let pool = json!({ "UsernameAttributes": ["email"], "AutoVerifiedAttributes": ["email"] });
        let mapping = [("email", "mail"), ("email_verified", "ok")];
        let place = place(&house, Kind::Oidc, pool, &mapping).await;
        signs_in(&house, &place, &hr("1", &[("mail", &["ann@example.com"]), ("ok", &["true"])]))
            .await;
        let sign_up = json!({ "ClientId": place.client, "Username": "ann@example.com", "Password": PASSWORD });
        house.ok("SignUp", sign_up).await;
        let code = house.code(&place.pool, "ann@example.com").await;
        let confirm = json!({ "ClientId": place.client, "Username": "ann@example.com", "ConfirmationCode": code });
        house.ok("ConfirmSignUp", confirm).await;
        house.signs_in(&place.client, "ann@example.com").await;
    }
}

#[tokio::test]
async fn a_subject_that_no_username_can_hold_is_refused_with_the_reason() {
    for house in houses().await {
        let place = place(&house, Kind::Saml, json!({}), &[]).await;
        let saml = |subject: &str| says(HR, Kind::Saml, subject, &[]);
        for subject in ["CN=Ann Lee", &"x".repeat(126), "\u{202e}nna"] {
            let text = refused(&house, &place, &saml(subject)).await;
            assert!(text.contains("at most 128 letters"), "{subject:?}: {text}");
        }
        for subject in ["", "a\nb", "a\0b", &"x".repeat(2_049)] {
            let text = refused(&house, &place, &saml(subject)).await;
            assert!(text.starts_with("Hr did not say who the user is"), "{subject:?}: {text}");
        }
        assert_eq!(count(&house, &place.pool).await, 0);
        for subject in
            ["x".repeat(125), "CORP\\ann".into(), "a/b+c==".into(), "\u{e9}\u{4e2d}".into()]
        {
            assert_eq!(
                name_in(&signs_in(&house, &place, &saml(&subject)).await),
                format!("Hr_{subject}")
            );
        }
    }
}

#[tokio::test]
async fn of_many_first_sign_ins_at_once_all_succeed_and_one_makes_the_user() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[("email", "mail")]).await;
        let node = house.another_node(5_000).await;
        let ann = hr("1", &[("mail", &["ann@example.com"])]);
        let racers = (0..16).map(|n| {
            let (house, place, ann) = (if n % 2 == 0 { &house } else { &node }, &place, &ann);
            async move { signs_in(house, place, ann).await }
        });
        let tokens = together(racers).await;
        let subs: std::collections::BTreeSet<String> = tokens
            .iter()
            .map(|tokens| {
                claims(tokens["IdToken"].as_str().unwrap())["sub"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!((tokens.len(), subs.len()), (16, 1));
        assert_eq!(count(&house, &place.pool).await, 1);
        for tokens in tokens {
            house.ok("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
        }
    }
}

#[tokio::test]
async fn subjects_that_differ_by_case_race_for_one_name_and_one_gets_it() {
    for house in houses().await {
        let folding = json!({ "UsernameConfiguration": { "CaseSensitive": false } });
        let place = place(&house, Kind::Oidc, folding, &[]).await;
        let identities: Vec<Identity> =
            ["ann", "Ann", "aNn", "ANN"].map(|subject| hr(subject, &[])).into();
        let racers = identities.iter().map(|identity| arrives(&house, &place, identity, false));
        let answers = together(racers).await;
        let won = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!((won, count(&house, &place.pool).await), (1, 1));
        for error in answers.into_iter().filter_map(Result::err) {
            assert_eq!(error.message, "Already found an entry for username hr_ann");
        }
    }
}

#[tokio::test]
async fn a_deletion_that_races_with_sign_ins_leaves_nothing_of_the_deleted_user() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let ann = hr("1", &[]);
        signs_in(&house, &place, &ann).await;
        let old = sub_of(&house, &place.pool, "Hr_1").await;
        let delete = json!({ "UserPoolId": place.pool, "Username": old });
        let racers: Vec<std::pin::Pin<Box<dyn Future<Output = bool> + Send>>> = vec![
            Box::pin(async { arrives(&house, &place, &ann, false).await.is_ok() }),
            Box::pin(async { house.call("AdminDeleteUser", delete.clone()).await.status == 200 }),
            Box::pin(async { arrives(&house, &place, &ann, false).await.is_ok() }),
        ];
        assert!(together(racers).await.into_iter().all(|ok| ok));
        let rows = "SELECT COUNT(*) FROM identities i LEFT JOIN users u ON u.pool_id = i.pool_id AND u.sub = i.sub \
                    WHERE i.pool_id = ?1 AND u.sub IS NULL";
        assert_eq!(house.rows(rows, &place.pool).await, 0);
        let tokens = signs_in(&house, &place, &ann).await;
        assert_ne!(claims(tokens["IdToken"].as_str().unwrap())["sub"], old.as_str());
        assert_eq!(count(&house, &place.pool).await, 1);
    }
}

#[tokio::test]
async fn a_sign_in_whose_user_is_disabled_in_between_gives_nothing() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let ann = hr("1", &[]);
        signs_in(&house, &place, &ann).await;
        let user = json!({ "UserPoolId": place.pool, "Username": "Hr_1" });
        let racers: Vec<std::pin::Pin<Box<dyn Future<Output = Option<Value>> + Send>>> = vec![
            Box::pin(async { arrives(&house, &place, &ann, false).await.ok().flatten() }),
            Box::pin(async {
                house.ok("AdminDisableUser", user.clone()).await;
                None
            }),
            Box::pin(async { arrives(&house, &place, &ann, false).await.ok().flatten() }),
        ];
        for tokens in together(racers).await.into_iter().flatten() {
            let dead = house.call("GetUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
            assert_ne!(dead.status, 200, "{}", dead.body);
        }
        assert_eq!(refused(&house, &place, &ann).await, "User is not enabled");
        house.ok("AdminEnableUser", user).await;
        signs_in(&house, &place, &ann).await;
    }
}

#[tokio::test]
async fn settings_that_are_not_built_stop_a_federated_sign_in_too() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let known = hr("1", &[]);
        signs_in(&house, &place, &known).await;
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:f";
        for (trigger, both) in [
            ("PreSignUp", false),
            ("PostConfirmation", false),
            ("PreAuthentication", true),
            ("PostAuthentication", true),
            ("PreTokenGeneration", true),
        ] {
            let update = json!({ "UserPoolId": place.pool, "LambdaConfig": { trigger: arn } });
            house.ok("UpdateUserPool", update).await;
            let text = refused(&house, &place, &hr("2", &[])).await;
            assert!(text.starts_with(&format!("LambdaConfig.{trigger} is set")), "{text}");
            assert_eq!(arrives(&house, &place, &known, false).await.is_err(), both, "{trigger}");
        }
        let update = json!({ "UserPoolId": place.pool, "UserPoolAddOns": { "AdvancedSecurityMode": "ENFORCED" } });
        house.ok("UpdateUserPool", update).await;
        let text = refused(&house, &place, &known).await;
        assert!(text.contains("AdvancedSecurityMode is ENFORCED"), "{text}");
        assert_eq!(count(&house, &place.pool).await, 1);
    }
}

#[tokio::test]
async fn no_second_factor_of_the_pool_is_asked_of_who_comes_from_a_provider() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let mfa = json!({ "UserPoolId": place.pool, "MfaConfiguration": "ON",
            "SoftwareTokenMfaConfiguration": { "Enabled": true } });
        house.ok("SetUserPoolMfaConfig", mfa).await;
        signs_in(&house, &place, &hr("1", &[])).await;
    }
}

#[tokio::test]
async fn without_a_password_there_is_none_to_get_back_or_to_change() {
    for house in houses().await {
        let mapping = [("email", "mail"), ("email_verified", "ok")];
        let place = place(&house, Kind::Oidc, json!({}), &mapping).await;
        let ann = hr("1", &[("mail", &["ann@example.com"]), ("ok", &["true"])]);
        let tokens = signs_in(&house, &place, &ann).await;
        let state = "User password cannot be reset in the current state.";
        let forgot = json!({ "ClientId": place.client, "Username": "Hr_1" });
        assert_eq!(house.refused("ForgotPassword", forgot).await, refusal("NotAuthorized", state));
        let user = json!({ "UserPoolId": place.pool, "Username": "Hr_1" });
        assert_eq!(
            house.refused("AdminResetUserPassword", user.clone()).await,
            refusal("NotAuthorized", state)
        );
        let change = json!({ "AccessToken": tokens["AccessToken"], "PreviousPassword": PASSWORD,
            "ProposedPassword": "Correct-horse-10" });
        let incorrect = refusal("NotAuthorized", "Incorrect username or password.");
        assert_eq!(house.refused("ChangePassword", change).await, incorrect);
        let begin = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": place.client,
            "AuthParameters": { "USERNAME": "Hr_1", "PASSWORD": PASSWORD } });
        assert_eq!(house.refused("InitiateAuth", begin).await, incorrect);
        let confirm = house.refused("AdminConfirmSignUp", user.clone()).await;
        assert_eq!(confirm.1, "User cannot be confirmed. Current status is EXTERNAL_PROVIDER");

        // An administrator can give one: then both ways lead in.
        let mut set = user;
        merge(&mut set, json!({ "Password": PASSWORD, "Permanent": true }));
        house.ok("AdminSetUserPassword", set).await;
        assert_eq!(house.status(&place.pool, "Hr_1").await, "CONFIRMED");
        let native = house.signs_in(&place.client, "Hr_1").await;
        assert_eq!(name_in(&native), "Hr_1");
        assert_eq!(name_in(&signs_in(&house, &place, &ann).await), "Hr_1");
    }
}

#[tokio::test]
async fn nobody_signs_up_under_a_name_that_is_a_providers_to_give() {
    for house in houses().await {
        let folding = json!({ "UsernameConfiguration": { "CaseSensitive": false } });
        let place = place(&house, Kind::Oidc, folding, &[]).await;
        let sign_up = |name: &str| json!({ "ClientId": place.client, "Username": name, "Password": PASSWORD });
        for name in ["Hr_1", "hr_anything"] {
            let (kind, text) = house.refused("SignUp", sign_up(name)).await;
            assert_eq!(kind, "InvalidParameterException");
            assert!(text.starts_with("Username cannot begin with Hr_"), "{text}");
        }
        house.ok("SignUp", sign_up("hrx")).await;
        signs_in(&house, &place, &hr("1", &[])).await;
    }
}

#[tokio::test]
async fn a_deleted_user_comes_again_as_another() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let ann = hr("1", &[]);
        let rows = "SELECT COUNT(*) FROM identities WHERE pool_id = ?1";
        let mut subs = Vec::new();
        for round in 0..3 {
            let tokens = signs_in(&house, &place, &ann).await;
            subs.push(sub_of(&house, &place.pool, "Hr_1").await);
            if round == 0 {
                house.ok("DeleteUser", json!({ "AccessToken": tokens["AccessToken"] })).await;
            } else {
                house
                    .ok("AdminDeleteUser", json!({ "UserPoolId": place.pool, "Username": "Hr_1" }))
                    .await;
            }
            assert_eq!(house.rows(rows, &place.pool).await, 0);
        }
        subs.dedup();
        assert_eq!(subs.len(), 3);
    }
}

#[tokio::test]
async fn without_the_providers_group_users_come_in_all_the_same() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let group = json!({ "UserPoolId": place.pool, "GroupName": format!("{}_Hr", place.pool) });
        house.ok("DeleteGroup", group).await;
        let tokens = signs_in(&house, &place, &hr("1", &[])).await;
        assert_eq!(claims(tokens["IdToken"].as_str().unwrap()).get("cognito:groups"), None);
    }
}

#[tokio::test]
async fn an_answer_of_a_provider_that_is_gone_signs_nobody_in() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let text = refused(&house, &place, &says("Gone", Kind::Oidc, "1", &[])).await;
        assert_eq!(text, "Identity provider Gone does not exist.");
        // The same subject of another provider is somebody else.
        provider(&house, &place.pool, "Corp", Kind::Saml, &[]).await;
        signs_in(&house, &place, &hr("1", &[])).await;
        signs_in(&house, &place, &says("Corp", Kind::Saml, "1", &[])).await;
        assert_eq!(count(&house, &place.pool).await, 2);
    }
}

/// What a sign-out left to be done at `Hr`.
async fn owes(house: &House, place: &Place, id: &str, state: &str, at: i64) {
    let sub = sub_of(house, &place.pool, "Hr_1").await;
    let done_ms = (!matches!(state, "pending" | "browser")).then_some(at);
    let mut batch = Batch::new();
    batch.any(
        Rank::Job,
        "INSERT INTO upstream_signouts (pool_id, signout_id, upstream_id, provider, sub, state, detail, attempts, due_ms, created_ms, \
         done_ms) VALUES (?1, ?2, ?2, 'Hr', ?3, ?4, '', 0, ?5, ?5, ?6)",
        params![place.pool.as_str(), id, sub, state, at, done_ms],
    );
    house.app.db.commit(batch).await.unwrap();
}

#[tokio::test]
async fn after_a_sign_out_that_the_provider_did_not_hear_of_it_must_ask_again() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        let at = |auth_ms: Option<i64>| Identity { auth_ms, ..hr("1", &[]) };
        signs_in(&house, &place, &at(None)).await;
        let again = async |auth_ms, forced| {
            arrives(&house, &place, &at(auth_ms), forced).await.map(|tokens| tokens.is_none())
        };
        for (n, state) in
            ["pending", "browser", "revoked", "fresh", "failed"].into_iter().enumerate()
        {
            let out = NOW + 1_000_000 * (n as i64 + 1);
            owes(&house, &place, state, state, out).await;
            assert!(again(None, false).await.unwrap(), "{state}: when it was is not known");
            assert!(again(Some(out - 1), false).await.unwrap(), "{state}: it was before");
            let stale = again(Some(out - 61_000), true).await.unwrap_err();
            assert_eq!(stale.kind, Fault::NotAuthorized);
            assert!(stale.message.contains("an earlier authentication"), "{}", stale.message);
            assert!(again(None, false).await.unwrap(), "{state}: a refusal satisfies nothing");
            // Later, or asked for and not known to be older.
            let (auth_ms, forced) =
                [(Some(out), false), (None, true), (Some(out - 30_000), true)][n % 3];
            assert!(!again(auth_ms, forced).await.unwrap(), "{state}");
            assert!(!again(None, false).await.unwrap(), "{state}: that was enough, once for all");
        }
        for state in ["done", "left", "satisfied"] {
            owes(&house, &place, state, state, NOW + 9_000_000).await;
            assert!(!again(None, false).await.unwrap(), "{state} owes nothing");
        }
        let states = |state| {
            let sql = match state {
                "satisfied" => {
                    "SELECT COUNT(*) FROM upstream_signouts WHERE pool_id = ?1 AND state = 'satisfied'"
                }
                _ => {
                    "SELECT COUNT(*) FROM upstream_signouts WHERE pool_id = ?1 AND done_ms IS NULL AND state <> 'satisfied'"
                }
            };
            house.rows(sql, &place.pool)
        };
        assert_eq!(states("satisfied").await, 4);
        assert_eq!(states("open").await, 2, "the provider is still told");
    }
}

#[tokio::test]
async fn what_is_owed_to_one_provider_or_user_is_not_asked_of_another() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        provider(&house, &place.pool, "Corp", Kind::Saml, &[]).await;
        signs_in(&house, &place, &hr("1", &[])).await;
        owes(&house, &place, "x", "fresh", NOW).await;
        signs_in(&house, &place, &hr("2", &[])).await;
        signs_in(&house, &place, &says("Corp", Kind::Saml, "1", &[])).await;
        assert!(arrives(&house, &place, &hr("1", &[]), false).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn sign_ins_through_providers_are_in_the_audit_trail() {
    for house in houses().await {
        let place = place(&house, Kind::Oidc, json!({}), &[]).await;
        signs_in(&house, &place, &hr("1", &[])).await;
        let sub = sub_of(&house, &place.pool, "Hr_1").await;
        let entries = trail(&house, &place.pool).await;
        let told: Vec<(&str, &str, &str, &str)> = entries
            .iter()
            .filter(|entry| entry.actor == format!("user:{sub}"))
            .map(|entry| (&*entry.action, &*entry.target, &*entry.result, &*entry.detail))
            .collect();
        assert_eq!(told.len(), 2);
        assert!(told.contains(&("SignUp", &sub, "ok", "Hr")));
        assert!(told.contains(&("SignIn", &place.client, "ok", "hosted Hr")));
    }
}
