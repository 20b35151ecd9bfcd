//! The cases of tokens: claims, a state of the feed, and what a verifier says.

use cenote_verifier::format::Kind;
use serde_json::{Value, json};

use crate::feed::T0;
use crate::signer::{About, FORGED, ISSUER, POOL, STOLEN, TOKENS, TokenKey, UNKNOWN, uuid7};

pub const SUB: &str = "b3f1c0de-0000-4000-8000-000000000001";
pub const CLIENT: &str = "1h57kf5cpq17m0eml12example";

/// The session of most tokens, born at `T0`.
pub fn session() -> String {
    uuid7(T0, 1)
}

/// Of these states a verifier knows all records and nothing else.
fn given() -> Vec<(&'static str, Vec<About>)> {
    let about = |kind, id: &str, after: u64| About {
        kind,
        id: id.to_owned().leak(),
        not_before_ms: T0 + after,
        drop_after_ms: T0 + after + 86_400_000,
    };
    vec![
        ("nobody", vec![]),
        ("the user, at the birth", vec![about(Kind::User, SUB, 0)]),
        ("the user, a millisecond later", vec![about(Kind::User, SUB, 1)]),
        ("another user", vec![about(Kind::User, "b3f1c0de-0000-4000-8000-000000000002", 1)]),
        ("the session", vec![about(Kind::Session, &session(), 500)]),
        ("another session", vec![about(Kind::Session, &uuid7(T0, 2), 500)]),
        ("a browser session", vec![about(Kind::Browser, &session(), 500)]),
        ("the client", vec![about(Kind::Client, CLIENT, 60_000)]),
        ("another client", vec![about(Kind::Client, "2h57kf5cpq17m0eml12example", 60_000)]),
        ("the pool", vec![about(Kind::Pool, POOL, 60_000)]),
        ("the signing key", vec![about(Kind::SigningKey, STOLEN.kid, 0)]),
    ]
}

pub fn states() -> Value {
    let states = given().into_iter().map(|(name, records)| {
        (name.to_owned(), records.iter().map(About::line).collect::<Value>())
    });
    Value::Object(states.collect())
}

fn access(session: &str, iat_ms: u64) -> Value {
    json!({
        "sub": SUB, "iss": ISSUER, "client_id": CLIENT, "origin_jti": session, "event_id": session,
        "token_use": "access", "scope": "openid orders/read", "auth_time": T0 / 1_000, "exp": iat_ms / 1_000 + 3_600,
        "iat": iat_ms / 1_000, "jti": "5c8d6c1e-4b1f-4f0e-9a55-3d2f0a6c7b11", "username": "ann",
    })
}

fn id() -> Value {
    json!({
        "sub": SUB, "iss": ISSUER, "cognito:username": "ann", "origin_jti": session(), "event_id": session(),
        "aud": CLIENT, "token_use": "id", "auth_time": T0 / 1_000, "exp": T0 / 1_000 + 3_600, "iat": T0 / 1_000,
        "jti": "7a1d6c1e-4b1f-4f0e-9a55-3d2f0a6c7b22", "email": "ann@example.com",
    })
}

fn machine(birth_ms: u64) -> Value {
    json!({
        "sub": CLIENT, "token_use": "access", "scope": "orders/read", "auth_time": T0 / 1_000, "iss": ISSUER,
        "exp": T0 / 1_000 + 3_600, "iat": T0 / 1_000, "version": 2, "jti": uuid7(birth_ms, 9), "client_id": CLIENT,
    })
}

pub fn cases() -> Value {
    let now = T0 + 10_000;
    let case = |name: &str,
                key: &TokenKey,
                claims: Value,
                state: &str,
                now: u64,
                expect: &str,
                reason: &str| {
        let mut case = json!({
            "name": name, "token": key.sign(&claims), "claims": claims, "state": state, "now_ms": now, "expect": expect,
        });
        if !reason.is_empty() {
            case["reason"] = json!(reason);
        }
        case
    };
    let lives =
        |name: &str, claims, state: &str| case(name, &TOKENS, claims, state, now, "alive", "");
    let dead =
        |name: &str, claims, state: &str| case(name, &TOKENS, claims, state, now, "revoked", "");
    let invalid = |name: &str, key: &TokenKey, claims, reason: &str| {
        case(name, key, claims, "nobody", now, "invalid", reason)
    };
    let but = |change: &dyn Fn(&mut Value)| {
        let mut claims = access(&session(), T0);
        change(&mut claims);
        claims
    };
    let without = |names: &[&str]| {
        but(&|claims| {
            for name in names {
                claims.as_object_mut().unwrap().shift_remove(*name);
            }
        })
    };
    let again = uuid7(T0 + 1, 3);
    let upper = but(&|claims| claims["origin_jti"] = json!(session().to_uppercase()));
    let v4 = "5c8d6c1e-4b1f-4f0e-9a55-3d2f0a6c7b11";
    json!([
        lives("an access token, and nobody was signed out", access(&session(), T0), "nobody"),
        lives(
            "an access token, and another user was signed out",
            access(&session(), T0),
            "another user"
        ),
        lives(
            "an access token, and another session ended",
            access(&session(), T0),
            "another session"
        ),
        lives(
            "an access token, and another client was deleted",
            access(&session(), T0),
            "another client"
        ),
        lives(
            "an access token, and a record of a browser session has its session's id",
            access(&session(), T0),
            "a browser session"
        ),
        lives(
            "an access token born at the user's boundary",
            access(&session(), T0),
            "the user, at the birth"
        ),
        dead(
            "an access token born a millisecond before the user's boundary",
            access(&session(), T0),
            "the user, a millisecond later"
        ),
        dead(
            "a refreshed token, issued after the sign-out, with the birth of its session",
            access(&session(), T0 + 5_000),
            "the user, a millisecond later"
        ),
        lives(
            "the next sign-in, in the same millisecond as the sign-out",
            access(&again, T0),
            "the user, a millisecond later"
        ),
        dead("an access token of a session that ended", access(&session(), T0), "the session"),
        dead("the same, with its id in capitals", upper, "the session"),
        lives("the next session of the same user", access(&again, T0), "the session"),
        dead("an access token of a client that was deleted", access(&session(), T0), "the client"),
        dead("an access token, and everybody was signed out", access(&session(), T0), "the pool"),
        lives(
            "a sign-in after everybody was signed out",
            access(&uuid7(T0 + 60_000, 4), T0),
            "the pool"
        ),
        case(
            "a token of a key that was revoked",
            &STOLEN,
            access(&session(), T0),
            "the signing key",
            now,
            "revoked",
            ""
        ),
        case(
            "the same, born long after",
            &STOLEN,
            access(&uuid7(T0 + 9_000, 5), T0),
            "the signing key",
            now,
            "revoked",
            ""
        ),
        lives("a token of another key", access(&session(), T0), "the signing key"),
        lives(
            "a token of a client without revocation: only event_id",
            without(&["origin_jti", "jti"]),
            "nobody"
        ),
        dead(
            "the same, and its user was signed out",
            without(&["origin_jti", "jti"]),
            "the user, a millisecond later"
        ),
        dead("the same, and its session ended", without(&["origin_jti", "jti"]), "the session"),
        lives("an ID token", id(), "nobody"),
        dead("an ID token, and its user was signed out", id(), "the user, a millisecond later"),
        dead("an ID token, and its session ended", id(), "the session"),
        dead("an ID token, whose aud is a client that was deleted", id(), "the client"),
        lives("a client's own token", machine(T0), "nobody"),
        dead("a client's own token, and the client was deleted", machine(T0), "the client"),
        dead("a client's own token, and everybody was signed out", machine(T0), "the pool"),
        lives(
            "a client's own token, made after everybody was signed out",
            machine(T0 + 60_000),
            "the pool"
        ),
        lives(
            "an access token whose aud is a resource",
            but(&|c| c["aud"] = json!("https://api.example.com")),
            "another client"
        ),
        case(
            "expired to the second",
            &TOKENS,
            access(&session(), T0),
            "nobody",
            T0 + 3_600_000,
            "invalid",
            "expired"
        ),
        case(
            "a millisecond before its expiry",
            &TOKENS,
            access(&session(), T0),
            "nobody",
            T0 + 3_599_999,
            "alive",
            ""
        ),
        invalid(
            "no UUID at all",
            &TOKENS,
            without(&["origin_jti", "event_id", "jti"]),
            "malformed"
        ),
        invalid(
            "only a jti, of version 4: no birth",
            &TOKENS,
            without(&["origin_jti", "event_id"]),
            "malformed"
        ),
        invalid(
            "an origin_jti of version 4",
            &TOKENS,
            but(&|c| c["origin_jti"] = json!(v4)),
            "malformed"
        ),
        invalid(
            "an origin_jti that is no UUID",
            &TOKENS,
            but(&|c| c["origin_jti"] = json!("tkn0000000000000000000000000")),
            "malformed"
        ),
        invalid(
            "another token_use",
            &TOKENS,
            but(&|c| c["token_use"] = json!("refresh")),
            "malformed"
        ),
        invalid("no sub", &TOKENS, without(&["sub"]), "malformed"),
        invalid("no exp", &TOKENS, without(&["exp"]), "malformed"),
        invalid("no client_id", &TOKENS, without(&["client_id"]), "malformed"),
        invalid(
            "another issuer",
            &TOKENS,
            but(&|c| c["iss"] = json!("https://id.example.com/eu-west-1_Zz9yXw8Vu")),
            "issuer"
        ),
        invalid(
            "a key that the pool does not have",
            &UNKNOWN,
            access(&session(), T0),
            "unknown_key"
        ),
        invalid("a forged signature", &FORGED, access(&session(), T0), "signature"),
    ])
}
