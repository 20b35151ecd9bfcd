//! The requests of each path, as programs send them.

use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use cenote::ambient::{DAY, HOUR, Ms};
use cenote_srp::client::Client as Srp;
use cenote_verifier::format::Position;
use serde_json::{Value, json};

use crate::http::request;
use crate::world::{CALLBACK, CLIENT, DOMAIN_HOST, MACHINE, PASSWORD, POOL, SECRET, TOLD, WEB};
use crate::{Failed, Result};

/// The host of the JSON API.
const API_HOST: &str = "localhost";
/// The secret behind the `code_challenge` of every code (RFC 7636).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const TARGET: &str = "AWSCognitoIdentityProviderService";
const JSON: (&str, &str) = ("Content-Type", "application/x-amz-json-1.1");

pub fn challenge() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, VERIFIER.as_bytes()))
}

/// An operation of the JSON door.
fn operation(name: &str, input: &Value) -> Vec<u8> {
    let target = format!("{TARGET}.{name}");
    request("POST", API_HOST, "/", &[JSON, ("X-Amz-Target", &target)], &input.to_string())
}

/// A form to an endpoint on the pool's domain.
fn form(path: &str, more: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    headers.extend(more);
    request("POST", DOMAIN_HOST, path, &headers, body)
}

pub fn refresh(token: &str) -> Vec<u8> {
    operation("GetTokensFromRefreshToken", &json!({ "ClientId": CLIENT, "RefreshToken": token }))
}

pub fn code_exchange(code: &str) -> Vec<u8> {
    let body = format!(
        "grant_type=authorization_code&client_id={CLIENT}&code={code}&code_verifier={VERIFIER}&redirect_uri={}",
        CALLBACK.replace(':', "%3A").replace('/', "%2F")
    );
    form("/oauth2/token", &[], &body)
}

pub fn password(username: &str) -> Vec<u8> {
    let parameters = json!({ "USERNAME": username, "PASSWORD": PASSWORD });
    let input = json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": CLIENT, "AuthParameters": parameters });
    operation("InitiateAuth", &input)
}

/// The client's id and secret as `client_secret_basic`.
fn basic(client: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{client}:{SECRET}")))
}

pub fn client_credentials() -> Vec<u8> {
    form("/oauth2/token", &[("Authorization", &basic(MACHINE))], "grant_type=client_credentials")
}

pub fn introspect(token: &str) -> Vec<u8> {
    form("/oauth2/introspect", &[("Authorization", &basic(WEB))], &format!("token={token}"))
}

pub fn get_user(token: &str) -> Vec<u8> {
    operation("GetUser", &json!({ "AccessToken": token }))
}

pub fn global_sign_out(token: &str) -> Vec<u8> {
    operation("GlobalSignOut", &json!({ "AccessToken": token }))
}

/// ListUsers by an indexed attribute, signed.
pub fn list_users(email: &str, key: &(String, String), now: Ms) -> Vec<u8> {
    let input =
        json!({ "UserPoolId": POOL, "Filter": format!("email = \"{email}\""), "Limit": 10 });
    signed("ListUsers", &input, key, now)
}

/// One side of an SRP sign-in; the secret exponent is short and always the same, which spares the load and not the server.
pub struct Handshake(Srp);

impl Handshake {
    pub fn new() -> Handshake {
        let mut a = [0; 128];
        if let Some(low) = a.last_chunk_mut::<32>() {
            *low = [7; 32];
        }
        Handshake(Srp::new(a))
    }

    pub fn begin(&self, username: &str) -> Vec<u8> {
        let parameters = json!({ "USERNAME": username, "SRP_A": self.0.public_hex() });
        let input = json!({ "AuthFlow": "USER_SRP_AUTH", "ClientId": CLIENT, "AuthParameters": parameters });
        operation("InitiateAuth", &input)
    }

    /// The claim that answers a PASSWORD_VERIFIER challenge.
    pub fn answer(&self, challenge: &[u8]) -> Result<Vec<u8>> {
        let challenge: Value = serde_json::from_slice(challenge)?;
        let get = |name: &str| {
            let value =
                challenge.pointer(&format!("/ChallengeParameters/{name}")).and_then(Value::as_str);
            value.ok_or_else(|| Failed(format!("the challenge has no {name}: {challenge}")))
        };
        let (user, block) = (get("USER_ID_FOR_SRP")?, get("SECRET_BLOCK")?);
        let pool = POOL.split_once('_').map_or(POOL, |(_, name)| name);
        let key = self.0.key(pool, user, PASSWORD, get("SALT")?, get("SRP_B")?)?;
        let timestamp = "Sun Nov 22 05:04:03 UTC 2026";
        let claim = key.claim(pool, user, &BASE64_STANDARD.decode(block)?, timestamp);
        let responses = json!({
            "USERNAME": user,
            "PASSWORD_CLAIM_SECRET_BLOCK": block,
            "TIMESTAMP": timestamp,
            "PASSWORD_CLAIM_SIGNATURE": BASE64_STANDARD.encode(claim),
        });
        let input = json!({ "ChallengeName": "PASSWORD_VERIFIER", "ClientId": CLIENT, "ChallengeResponses": responses });
        Ok(operation("RespondToAuthChallenge", &input))
    }
}

/// A token for the revocation feed.
pub fn feed_token() -> Vec<u8> {
    let body = "grant_type=client_credentials&scope=revocations%2Fread";
    form("/oauth2/token", &[("Authorization", &basic(MACHINE))], body)
}

pub fn feed_keys() -> Vec<u8> {
    request("GET", API_HOST, &format!("/{POOL}/.well-known/revocation-jwks.json"), &[], "")
}

pub fn feed_snapshot(token: &str) -> Vec<u8> {
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    let request = request("GET", API_HOST, &format!("/{POOL}/revocations/snapshot"), &headers, "");
    // As it is: nothing here unpacks.
    String::from_utf8_lossy(&request).replace("Accept-Encoding: gzip, deflate\r\n", "").into_bytes()
}

/// Waits for what comes after a position.
pub fn feed_delta(token: &str, consumer: usize, at: &Position, nonce: &str) -> Vec<u8> {
    let path = format!(
        "/{POOL}/revocations/delta?since={}&incarnation={}&consumer=bench-{consumer}&nonce={nonce}&wait=2",
        at.seq, at.incarnation
    );
    let authorization = format!("Bearer {token}");
    request("GET", API_HOST, &path, &[("Authorization", authorization.as_str())], "")
}

/// A sign-in at the client that is told of sign-outs by back-channel.
pub fn password_at_told(username: &str) -> Vec<u8> {
    let hash = secret_hash(username);
    let parameters = json!({ "USERNAME": username, "PASSWORD": PASSWORD, "SECRET_HASH": hash });
    let input =
        json!({ "AuthFlow": "USER_PASSWORD_AUTH", "ClientId": TOLD, "AuthParameters": parameters });
    operation("InitiateAuth", &input)
}

fn secret_hash(username: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    BASE64_STANDARD.encode(hmac::sign(&key, format!("{username}{TOLD}").as_bytes()))
}

/// An operation signed with AWS Signature Version 4. The signature has no nonce: the same request may be sent for some minutes.
fn signed(name: &str, input: &Value, (id, secret): &(String, String), now: Ms) -> Vec<u8> {
    let (stamp, target, body) = (stamp(now), format!("{TARGET}.{name}"), input.to_string());
    let day = stamp.split('T').next().unwrap_or_default();
    let headers = format!("host:{API_HOST}\nx-amz-date:{stamp}\nx-amz-target:{target}\n");
    let names = "host;x-amz-date;x-amz-target";
    let canonical = format!("POST\n/\n\n{headers}\n{names}\n{}", sha256(&body));
    let scope = format!("{day}/us-east-1/cognito-idp/aws4_request");
    let text = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256(&canonical));
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in [day, "us-east-1", "cognito-idp", "aws4_request", &text] {
        key =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
    }
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={}",
        hex(&key)
    );
    let headers = [
        JSON,
        ("X-Amz-Target", &target),
        ("X-Amz-Date", &stamp),
        ("Authorization", &authorization),
    ];
    request("POST", API_HOST, "/", &headers, &body)
}

fn sha256(text: &str) -> String {
    hex(digest::digest(&digest::SHA256, text.as_bytes()).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `20261122T050403Z`.
fn stamp(ms: Ms) -> String {
    let seconds = ms.rem_euclid(DAY) / 1_000;
    // Days to a civil date: in years that begin in March, the leap day is the last of its year.
    let days = ms.div_euclid(DAY) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let hour = ms.rem_euclid(DAY) / HOUR;
    format!("{year:04}{month:02}{day:02}T{hour:02}{:02}{:02}Z", seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_civil_dates() {
        assert_eq!(stamp(0), "19700101T000000Z");
        assert_eq!(stamp(1_709_210_096_000), "20240229T123456Z");
        assert_eq!(stamp(1_798_761_599_999), "20261231T235959Z");
    }
}
