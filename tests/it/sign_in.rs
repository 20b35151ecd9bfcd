//! Signing in at the JSON door: passwords, SRP, challenges, secrets, lock-out, and what is told to whom.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cenote_srp::client::Client as Srp;
use serde_json::{Value, json};

use crate::hosted::claims;
use crate::house::{House, PASSWORD, houses, together};

async fn given(house: &House, client: Value) -> (String, String) {
    let pool = house.pool(json!({})).await;
    let client = house.client(&pool, client).await;
    house.user(&pool, "ann").await;
    (pool, client)
}

fn password(client: &str, name: &str, password: &str) -> Value {
    json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": name, "PASSWORD": password } })
}

/// A whole SRP sign-in, by a client side that knows nothing of the server.
struct Handshake {
    srp: Srp,
    parameters: Value,
}

impl Handshake {
    async fn begin(house: &House, client: &str, name: &str) -> Handshake {
        let mut a = [0; 128];
        a[96..].copy_from_slice(&[7; 32]);
        let srp = Srp::new(a);
        let input = json!({ "AuthFlow": "USER_SRP_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": name, "SRP_A": srp.public_hex() } });
        let answer = house.ok("InitiateAuth", input).await;
        assert_eq!(answer["ChallengeName"], "PASSWORD_VERIFIER");
        Handshake { srp, parameters: answer["ChallengeParameters"].clone() }
    }

    fn answer(&self, pool: &str, client: &str, password: &str) -> Value {
        let get = |name: &str| self.parameters[name].as_str().unwrap();
        let (user, block) = (get("USER_ID_FOR_SRP"), STANDARD.decode(get("SECRET_BLOCK")).unwrap());
        let timestamp = "Sun Nov 2 05:04:03 UTC 2026";
        let name = pool.split_once('_').unwrap().1;
        let key = self.srp.key(name, user, password, get("SALT"), get("SRP_B")).unwrap();
        let signature = STANDARD.encode(key.claim(name, user, &block, timestamp));
        json!({ "ClientId": client, "ChallengeName": "PASSWORD_VERIFIER", "ChallengeResponses": {
            "USERNAME": user, "PASSWORD_CLAIM_SECRET_BLOCK": get("SECRET_BLOCK"), "TIMESTAMP": timestamp, "PASSWORD_CLAIM_SIGNATURE": signature } })
    }
}

#[tokio::test]
async fn a_password_gives_three_tokens_with_cognitos_claims() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let answer = house.ok("InitiateAuth", password(&client, "ann", PASSWORD)).await;
        assert_eq!(answer["ChallengeParameters"], json!({}));
        let result = &answer["AuthenticationResult"];
        assert_eq!(
            (result["TokenType"].as_str(), result["ExpiresIn"].as_i64()),
            (Some("Bearer"), Some(3600))
        );
        assert_eq!(result["RefreshToken"].as_str().unwrap().split('.').count(), 5);

        let access = claims(result["AccessToken"].as_str().unwrap());
        let names: Vec<&str> = access.as_object().unwrap().keys().map(String::as_str).collect();
        let expected = [
            "sub",
            "iss",
            "client_id",
            "origin_jti",
            "event_id",
            "token_use",
            "scope",
            "auth_time",
            "exp",
            "iat",
            "jti",
            "username",
        ];
        assert_eq!(names, expected);
        assert_eq!(access["scope"], "aws.cognito.signin.user.admin");
        assert_eq!(access["iss"], format!("http://localhost:9229/{pool}"));
        assert_eq!(access["exp"].as_i64().unwrap() - access["iat"].as_i64().unwrap(), 3600);
        let birth = cenote::ids::uuid_v7_ms(
            &uuid::Uuid::parse_str(access["origin_jti"].as_str().unwrap()).unwrap(),
        );
        assert_eq!(birth, Some(crate::house::NOW), "origin_jti holds the birth");

        let id = claims(result["IdToken"].as_str().unwrap());
        assert_eq!(
            (id["cognito:username"].as_str(), id["token_use"].as_str()),
            (Some("ann"), Some("id"))
        );
        assert!(id.get("at_hash").is_none() && id.get("version").is_none());
        assert_ne!(id["jti"], access["jti"]);

        let quiet = house.client(&pool, json!({ "EnableTokenRevocation": false })).await;
        let result = house.signs_in(&quiet, "ann").await;
        let access = claims(result["AccessToken"].as_str().unwrap());
        assert!(
            access.get("origin_jti").is_none()
                && access.get("jti").is_none()
                && access.get("event_id").is_some()
        );
    }
}

#[tokio::test]
async fn srp_proves_the_password_without_sending_it_and_once() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let handshake = Handshake::begin(&house, &client, "ann").await;
        let answer = handshake.answer(&pool, &client, PASSWORD);
        let result = house.ok("RespondToAuthChallenge", answer.clone()).await;
        house
            .ok("GetUser", json!({ "AccessToken": result["AuthenticationResult"]["AccessToken"] }))
            .await;
        let refused = house.refused("RespondToAuthChallenge", answer).await;
        assert_eq!(refused.1, "Invalid session for the user, session can only be used once.");

        let handshake = Handshake::begin(&house, &client, "ann").await;
        let refused = house
            .refused("RespondToAuthChallenge", handshake.answer(&pool, &client, "Wrong-horse-9"))
            .await;
        assert_eq!(
            (refused.0.as_str(), refused.1.as_str()),
            ("NotAuthorizedException", "Incorrect username or password.")
        );
        let refused = house
            .refused("RespondToAuthChallenge", handshake.answer(&pool, &client, PASSWORD))
            .await;
        assert_eq!(refused.1, "Invalid session for the user, session can only be used once.");

        let handshake = Handshake::begin(&house, &client, "ann").await;
        house.advance(3 * 60_000);
        let refused = house
            .refused("RespondToAuthChallenge", handshake.answer(&pool, &client, PASSWORD))
            .await;
        assert_eq!(refused.1, "Invalid session for the user, session is expired.");

        let n = "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7DB3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200CBBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF";
        for bad in ["0", "00", n, "xyz", &"f".repeat(800)] {
            let input = json!({ "AuthFlow": "USER_SRP_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann", "SRP_A": bad } });
            assert_eq!(
                house.refused("InitiateAuth", input).await.0,
                "InvalidParameterException",
                "{bad}"
            );
        }
    }
}

#[tokio::test]
async fn a_half_done_sign_in_dies_with_a_sign_out() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let handshake = Handshake::begin(&house, &client, "ann").await;
        house.ok("AdminUserGlobalSignOut", json!({ "UserPoolId": pool, "Username": "ann" })).await;
        let refused = house
            .refused("RespondToAuthChallenge", handshake.answer(&pool, &client, PASSWORD))
            .await;
        assert_eq!(
            (refused.0.as_str(), refused.1.as_str()),
            ("NotAuthorizedException", "Invalid session for the user.")
        );
    }
}

#[tokio::test]
async fn of_32_answers_to_one_challenge_exactly_one_signs_in() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let handshake = Handshake::begin(&house, &client, "ann").await;
        let answer = handshake.answer(&pool, &client, PASSWORD);
        let racers = (0..32).map(|_| house.call("RespondToAuthChallenge", answer.clone()));
        let won = together(racers).await.into_iter().filter(|answer| answer.status == 200).count();
        assert_eq!(won, 1);
    }
}

#[tokio::test]
async fn a_user_made_by_an_administrator_chooses_a_password_first() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let input = json!({ "UserPoolId": pool, "Username": "bob", "TemporaryPassword": PASSWORD, "MessageAction": "SUPPRESS" });
        house.ok("AdminCreateUser", input).await;
        let challenged = house.ok("InitiateAuth", password(&client, "bob", PASSWORD)).await;
        assert_eq!(challenged["ChallengeName"], "NEW_PASSWORD_REQUIRED");
        assert_eq!(challenged["ChallengeParameters"]["USER_ID_FOR_SRP"], "bob");
        assert_eq!(challenged["ChallengeParameters"]["requiredAttributes"], "[]");
        let respond = |new: &str| {
            json!({ "ClientId": client, "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": challenged["Session"],
                "ChallengeResponses": { "USERNAME": "bob", "NEW_PASSWORD": new, "userAttributes.name": "Bob" } })
        };
        let refused = house.refused("RespondToAuthChallenge", respond("short")).await;
        assert_eq!(refused.0, "InvalidPasswordException");
        let result = house.ok("RespondToAuthChallenge", respond("Another-horse-9")).await;
        let user = house
            .ok("GetUser", json!({ "AccessToken": result["AuthenticationResult"]["AccessToken"] }))
            .await;
        assert!(
            user["UserAttributes"]
                .as_array()
                .unwrap()
                .contains(&json!({ "Name": "name", "Value": "Bob" }))
        );
        let refused = house.refused("RespondToAuthChallenge", respond("Third-horse-9")).await;
        assert_eq!(refused.1, "Invalid session for the user, session can only be used once.");
        house.ok("InitiateAuth", password(&client, "bob", "Another-horse-9")).await;

        let input = json!({ "UserPoolId": pool, "Username": "late", "TemporaryPassword": PASSWORD, "MessageAction": "SUPPRESS" });
        house.ok("AdminCreateUser", input).await;
        house.advance(7 * 86_400_000);
        let refused = house.refused("InitiateAuth", password(&client, "late", PASSWORD)).await;
        assert_eq!(
            refused.1,
            "Temporary password has expired and must be reset by an administrator."
        );
    }
}

#[tokio::test]
async fn a_client_with_a_secret_wants_its_hash() {
    for house in houses().await {
        let pool = house.pool(json!({})).await;
        house.user(&pool, "ann").await;
        let made = house
            .ok(
                "CreateUserPoolClient",
                json!({ "UserPoolId": pool, "ClientName": "secret", "GenerateSecret": true,
            "ExplicitAuthFlows": ["ALLOW_USER_PASSWORD_AUTH", "ALLOW_REFRESH_TOKEN_AUTH"] }),
            )
            .await["UserPoolClient"]
            .clone();
        let (client, secret) =
            (made["ClientId"].as_str().unwrap(), made["ClientSecret"].as_str().unwrap());
        let refused = house.refused("InitiateAuth", password(client, "ann", PASSWORD)).await;
        assert_eq!(
            refused.1,
            format!("Client {client} is configured with secret but SECRET_HASH was not received")
        );
        let mut input = password(client, "ann", PASSWORD);
        input["AuthParameters"]["SECRET_HASH"] = json!("wrong");
        assert_eq!(
            house.refused("InitiateAuth", input.clone()).await.1,
            format!("Unable to verify secret hash for client {client}")
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let hash = STANDARD.encode(hmac::sign(&key, format!("ann{client}").as_bytes()));
        input["AuthParameters"]["SECRET_HASH"] = json!(hash);
        let token = house.ok("InitiateAuth", input).await["AuthenticationResult"].clone();
        let refresh = json!({ "AuthFlow": "REFRESH_TOKEN_AUTH", "ClientId": client, "AuthParameters": { "REFRESH_TOKEN": token["RefreshToken"], "SECRET_HASH": hash } });
        house.ok("InitiateAuth", refresh).await;
        house
            .refused(
                "GetTokensFromRefreshToken",
                json!({ "ClientId": client, "RefreshToken": token["RefreshToken"] }),
            )
            .await;
        house.ok("GetTokensFromRefreshToken", json!({ "ClientId": client, "ClientSecret": secret, "RefreshToken": token["RefreshToken"] })).await;
    }
}

#[tokio::test]
async fn five_wrong_passwords_lock_and_the_lock_doubles() {
    for house in houses().await {
        let (_, client) = given(&house, json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        for name in ["ann", "nobody"] {
            for _ in 0..5 {
                assert_eq!(
                    house.refused("InitiateAuth", password(&client, name, "Wrong-horse-9")).await.1,
                    "Incorrect username or password."
                );
            }
            assert_eq!(
                house.refused("InitiateAuth", password(&client, name, PASSWORD)).await.1,
                "Password attempts exceeded",
                "{name}"
            );
            house.advance(1_000);
            assert_eq!(
                house.refused("InitiateAuth", password(&client, name, "Wrong-horse-9")).await.1,
                "Incorrect username or password."
            );
            house.advance(1_999);
            assert_eq!(
                house.refused("InitiateAuth", password(&client, name, PASSWORD)).await.1,
                "Password attempts exceeded"
            );
            house.advance(1);
        }
        house.advance(1_000);
        house.ok("InitiateAuth", password(&client, "ann", PASSWORD)).await;
        assert_eq!(
            house.refused("InitiateAuth", password(&client, "ann", "Wrong-horse-9")).await.1,
            "Incorrect username or password."
        );
        house.ok("InitiateAuth", password(&client, "ann", PASSWORD)).await;
    }
}

#[tokio::test]
async fn racing_guesses_are_counted_one_by_one() {
    for house in houses().await {
        let (_, client) = given(&house, json!({})).await;
        let racers =
            (0..64).map(|_| house.call("InitiateAuth", password(&client, "ann", "Wrong-horse-9")));
        let answers = together(racers).await;
        let judged = answers.iter().filter(|answer| answer.body.contains("Incorrect")).count();
        assert!(judged <= 5, "{judged} guesses were judged before the lock");
        let locked = answers
            .iter()
            .filter(|answer| answer.body.contains("Password attempts exceeded"))
            .count();
        assert!(
            judged == 5 || locked == 0,
            "{judged} were judged, and {locked} were refused by a lock"
        );
    }
}

#[tokio::test]
async fn whether_a_user_exists_is_told_only_where_the_client_asked_for_it() {
    for house in houses().await {
        let (pool, open) = given(&house, json!({})).await;
        let hidden = house.client(&pool, json!({ "PreventUserExistenceErrors": "ENABLED" })).await;
        let refused = house.refused("InitiateAuth", password(&open, "nobody", PASSWORD)).await;
        assert_eq!(
            (refused.0.as_str(), refused.1.as_str()),
            ("UserNotFoundException", "User does not exist.")
        );
        let known = house.call("InitiateAuth", password(&hidden, "ann", "Wrong-horse-9")).await;
        let unknown =
            house.call("InitiateAuth", password(&hidden, "nobody", "Wrong-horse-9")).await;
        assert_eq!(known.body, unknown.body);

        let one = Handshake::begin(&house, &hidden, "nobody").await;
        let two = Handshake::begin(&house, &hidden, "nobody").await;
        assert_eq!(one.parameters["SALT"], two.parameters["SALT"], "an invented salt is stable");
        assert_eq!(one.parameters["USER_ID_FOR_SRP"], "nobody");
        let refused =
            house.refused("RespondToAuthChallenge", one.answer(&pool, &hidden, PASSWORD)).await;
        assert_eq!(refused.1, "Incorrect username or password.");
        let input = json!({ "AuthFlow": "USER_SRP_AUTH", "ClientId": open, "AuthParameters": { "USERNAME": "nobody", "SRP_A": "ff" } });
        assert_eq!(house.refused("InitiateAuth", input).await.0, "UserNotFoundException");
    }
}

#[tokio::test]
async fn flows_are_gated_by_client_and_door() {
    for house in houses().await {
        let (pool, _) = given(&house, json!({})).await;
        let srp_only =
            house.client(&pool, json!({ "ExplicitAuthFlows": ["ALLOW_USER_SRP_AUTH"] })).await;
        let refused = house.refused("InitiateAuth", password(&srp_only, "ann", PASSWORD)).await;
        assert_eq!(
            (refused.0.as_str(), refused.1.as_str()),
            ("InvalidParameterException", "USER_PASSWORD_AUTH flow not enabled for this client")
        );
        let admin = json!({ "UserPoolId": pool, "ClientId": srp_only, "AuthFlow": "ADMIN_USER_PASSWORD_AUTH", "AuthParameters": { "USERNAME": "ann", "PASSWORD": PASSWORD } });
        assert_eq!(
            house.refused("AdminInitiateAuth", admin.clone()).await.1,
            "Auth flow not enabled for this client"
        );
        let client = house.client(&pool, json!({})).await;
        for flow in ["ADMIN_USER_PASSWORD_AUTH", "ADMIN_NO_SRP_AUTH"] {
            let mut input = admin.clone();
            input["ClientId"] = json!(client);
            input["AuthFlow"] = json!(flow);
            house.ok("AdminInitiateAuth", input).await;
        }
        let mut user = password(&client, "ann", PASSWORD);
        user["AuthFlow"] = json!("ADMIN_USER_PASSWORD_AUTH");
        assert_eq!(house.refused("InitiateAuth", user).await.0, "InvalidParameterException");
        let other = house.pool(json!({})).await;
        let mut input = admin.clone();
        input["UserPoolId"] = json!(other);
        assert_eq!(house.refused("AdminInitiateAuth", input).await.0, "ResourceNotFoundException");
        let missing = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": client, "AuthParameters": { "USERNAME": "ann" } });
        assert_eq!(
            house.refused("InitiateAuth", missing).await.1,
            "Missing required parameter PASSWORD"
        );
    }
}

#[tokio::test]
async fn settings_that_are_not_built_stop_a_sign_in_and_name_themselves() {
    for house in houses().await {
        let arn = "arn:aws:lambda:us-east-1:123456789012:function:x";
        let pool = house.pool(json!({ "LambdaConfig": { "PreAuthentication": arn } })).await;
        let client = house.client(&pool, json!({})).await;
        house.user(&pool, "ann").await;
        let refused = house.refused("InitiateAuth", password(&client, "ann", PASSWORD)).await;
        assert_eq!(refused.0, "UnexpectedLambdaException");
        assert!(refused.1.contains("PreAuthentication"), "{}", refused.1);
    }
}

#[tokio::test]
async fn forged_and_foreign_tokens_are_nobody() {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for house in houses().await {
        let (_, client) = given(&house, json!({})).await;
        let token = house.signs_in(&client, "ann").await;
        let (access, id) =
            (token["AccessToken"].as_str().unwrap(), token["IdToken"].as_str().unwrap());
        let parts: Vec<&str> = access.split('.').collect();
        let none = URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let kid = claims_header(access)["kid"].as_str().unwrap().to_owned();
        let hs = URL_SAFE_NO_PAD.encode(json!({ "kid": kid, "alg": "HS256" }).to_string());
        let mut longer = claims(access);
        longer["exp"] = json!(9_999_999_999_i64);
        let tampered = URL_SAFE_NO_PAD.encode(longer.to_string());
        for bad in [
            id.to_owned(),
            format!("{none}.{}.", parts[1]),
            format!("{none}.{}.{}", parts[1], parts[2]),
            format!("{hs}.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[0], parts[1]),
            format!("{access}.x"),
            "a.b.c".to_owned(),
            "rubbish".to_owned(),
        ] {
            let refused = house.refused("GetUser", json!({ "AccessToken": bad })).await;
            assert_eq!(
                (refused.0.as_str(), refused.1.as_str()),
                ("NotAuthorizedException", "Invalid Access Token"),
                "{bad}"
            );
        }
        for bad in [
            format!("{}.{tampered}.{}", parts[0], parts[2]),
            format!("{}.{}.{}{}", parts[0], parts[1], "AAAA", &parts[2][4..]),
        ] {
            let refused = house.refused("GetUser", json!({ "AccessToken": bad })).await;
            assert_eq!(refused.1, "Could not verify signature for Access Token");
        }
        house.advance(3_600_000);
        assert_eq!(
            house.refused("GetUser", json!({ "AccessToken": access })).await.1,
            "Access Token has expired"
        );
    }
}

fn claims_header(token: &str) -> Value {
    let part = token.split('.').next().unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).unwrap())
        .unwrap()
}

#[tokio::test]
async fn refresh_tokens_say_why_they_no_longer_work() {
    for house in houses().await {
        let (pool, client) = given(&house, json!({})).await;
        let other = house.client(&pool, json!({})).await;
        let token = house.signs_in(&client, "ann").await;
        let refresh = |client: &str, token: &Value| json!({ "AuthFlow": "REFRESH_TOKEN", "ClientId": client, "AuthParameters": { "REFRESH_TOKEN": token } });
        let again = house.ok("InitiateAuth", refresh(&client, &token["RefreshToken"])).await["AuthenticationResult"].clone();
        assert!(again.get("RefreshToken").is_none());
        let (old, new) = (
            claims(token["AccessToken"].as_str().unwrap()),
            claims(again["AccessToken"].as_str().unwrap()),
        );
        assert_eq!(
            (&old["origin_jti"], &old["auth_time"]),
            (&new["origin_jti"], &new["auth_time"])
        );
        assert_ne!(old["jti"], new["jti"]);
        assert_eq!(
            house.refused("InitiateAuth", refresh(&other, &token["RefreshToken"])).await.1,
            "Invalid Refresh Token."
        );
        assert_eq!(
            house.refused("InitiateAuth", refresh(&client, &json!("never.was.a.token.x"))).await.1,
            "Invalid Refresh Token."
        );
        house.advance(30 * 86_400_000);
        assert_eq!(
            house.refused("InitiateAuth", refresh(&client, &token["RefreshToken"])).await.1,
            "Refresh Token has expired"
        );
    }
}

#[tokio::test]
async fn nobody_can_call_themselves_by_another_users_sub() {
    for house in houses().await {
        let pool = house.pool(json!({ "AliasAttributes": ["preferred_username"] })).await;
        let client = house.client(&pool, json!({})).await;
        let victim = house.user(&pool, "ann").await;
        let input = json!({ "UserPoolId": pool, "Username": "mallory", "TemporaryPassword": PASSWORD, "MessageAction": "SUPPRESS" });
        house.ok("AdminCreateUser", input).await;
        let challenged = house.ok("InitiateAuth", password(&client, "mallory", PASSWORD)).await;
        let answer = json!({ "ClientId": client, "ChallengeName": "NEW_PASSWORD_REQUIRED", "Session": challenged["Session"],
            "ChallengeResponses": { "USERNAME": "mallory", "NEW_PASSWORD": "Another-horse-9", "userAttributes.preferred_username": victim } });
        assert_eq!(house.refused("RespondToAuthChallenge", answer).await.0, "AliasExistsException");
        let found =
            house.ok("AdminGetUser", json!({ "UserPoolId": pool, "Username": victim })).await;
        assert_eq!(found["Username"], "ann");
    }
}
