//! The token endpoint: how we prove who we are there (RFC 6749, 2.3; RFC 7523; Apple's client secret), and redeeming a code.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::Callback;
use crate::ambient::SECOND;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::federation::{Trouble, learned::Endpoints};
use crate::ids;
use crate::keys::foreign::PrivateKey;
use crate::outgoing::{Answer, Failure, Request};
use crate::pool::Provider;
use crate::pool::provider::{Kind, ProviderSecret};

/// How long an assertion of ours is good: the clocks of both sides may differ.
const ASSERTION_SECS: i64 = 5 * 60;

/// Whom Apple's client secret is for.
const APPLE: &str = "https://appleid.apple.com";

/// What a provider gave for a code.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct Tokens {
    pub access_token: Option<String>,
    pub id_token: Option<String>,
    pub refresh_token: Option<String>,
}

/// Redeems a code.
pub async fn redeem(
    cx: &Cx,
    provider: &Provider,
    endpoints: &Endpoints,
    secret: &ProviderSecret,
    callback: &Callback<'_>,
) -> Result<Tokens, Trouble> {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", callback.code),
        ("redirect_uri", callback.redirect_uri),
    ];
    if endpoints.pkce {
        fields.push(("code_verifier", callback.verifier));
    }
    let request = authenticated(cx, provider, &endpoints.token, &endpoints.token, secret, &fields)?;
    let answer = match cx.app.outgoing.send(request).await {
        Ok(answer) => answer,
        Err(Failure::Timeout) => {
            return Err(Trouble::unreachable("Timeout occurred in calling IdP token endpoint"));
        }
        Err(failure) => return Err(connection(cx, provider, "token endpoint", &failure)),
    };
    let tokens = if answer.is_success() {
        serde_json::from_slice::<Tokens>(&answer.body).ok()
    } else {
        None
    };
    tokens.filter(|tokens| tokens.access_token.is_some() || tokens.id_token.is_some()).ok_or_else(
        || {
            let (code, description) = oauth_error(&answer);
            tracing::warn!(
                pool = provider.pool_id,
                provider = provider.name,
                status = answer.status,
                code,
                description,
                request = cx.request.id,
                "an identity provider did not give tokens for a code"
            );
            let status = answer.status;
            Trouble::refused(match provider.kind {
                Kind::Google => format!("Google Error - {status} {code}"),
                _ => format!("{} Error - {status} error getting token", provider.name),
            })
        },
    )
}

/// A form for `endpoint` with the proof that it comes from us. `audience` is the token endpoint, also where another is asked.
pub fn authenticated(
    cx: &Cx,
    provider: &Provider,
    endpoint: &str,
    audience: &str,
    secret: &ProviderSecret,
    fields: &[(&str, &str)],
) -> Result<Request, Trouble> {
    let client_id = provider.detail("client_id").unwrap_or_default();
    let client_secret = secret.client_secret.as_deref().unwrap_or_default();
    let method = match provider.kind {
        Kind::Oidc => provider.detail("token_endpoint_auth_method").unwrap_or("client_secret_post"),
        Kind::SignInWithApple => "apple",
        _ => "client_secret_post",
    };
    let (assertion, apple);
    let mut fields = fields.to_vec();
    match method {
        "client_secret_basic" => {
            let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
            let pair = format!("{}:{}", encode(client_id), encode(client_secret));
            let basic = format!("Basic {}", BASE64_STANDARD.encode(pair));
            return Ok(Request::form(endpoint, &fields)
                .header("authorization", basic)
                .header("accept", "application/json"));
        }
        "private_key_jwt" => {
            let now = cx.now / SECOND;
            let jti = ids::uuid_v4(cx.rng()).to_string();
            let claims = json!({ "iss": client_id, "sub": client_id, "aud": audience, "jti": jti, "iat": now, "exp": now + ASSERTION_SECS });
            assertion = signed(provider, secret, &claims)?;
            fields.extend([
                ("client_id", client_id),
                ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
                ("client_assertion", assertion.as_str()),
            ]);
        }
        "apple" => {
            let now = cx.now / SECOND;
            let team = provider.detail("team_id").unwrap_or_default();
            let claims = json!({ "iss": team, "sub": client_id, "aud": APPLE, "iat": now, "exp": now + ASSERTION_SECS });
            apple = signed(provider, secret, &claims)?;
            fields.extend([("client_id", client_id), ("client_secret", apple.as_str())]);
        }
        _ => fields.extend([("client_id", client_id), ("client_secret", client_secret)]),
    }
    let by_get = provider.detail("token_request_method").unwrap_or(match provider.kind {
        Kind::Facebook => "GET",
        _ => "POST",
    });
    let request = if by_get.eq_ignore_ascii_case("GET") {
        let url = Url::parse_with_params(endpoint, &fields).map_err(Error::internal)?;
        Request::get(url)
    } else {
        Request::form(endpoint, &fields)
    };
    Ok(request.header("accept", "application/json"))
}

fn signed(provider: &Provider, secret: &ProviderSecret, claims: &Value) -> Result<String, Trouble> {
    let refuse = |why: String| Trouble::refused(format!("{}: {why}", provider.name));
    let text = secret.private_key.as_deref().unwrap_or_default();
    let key = PrivateKey::parse(text).map_err(|error| refuse(error.message.into_owned()))?;
    let wanted = match provider.kind {
        Kind::SignInWithApple => Some("ES256"),
        _ => provider.detail("token_endpoint_auth_signing_alg"),
    };
    if wanted.is_some_and(|wanted| wanted != key.alg()) {
        let (wanted, alg) = (wanted.unwrap_or_default(), key.alg());
        return Err(refuse(format!("the private_key signs with {alg}, and {wanted} is wanted.")));
    }
    Ok(key.sign(provider.detail("key_id"), claims)?)
}

/// A request that got no answer, for the app (`cognito-behaviour`, 4.1) and, with the cause, for the log.
pub fn connection(cx: &Cx, provider: &Provider, what: &str, failure: &Failure) -> Trouble {
    tracing::warn!(
        pool = provider.pool_id,
        provider = provider.name,
        request = cx.request.id,
        cause = failure.message(),
        "no answer from the {what} of an identity provider"
    );
    match failure {
        Failure::Timeout => Trouble::unreachable("Read timed out"),
        Failure::Unreachable(why) if ["reset", "closed"].iter().any(|word| why.contains(word)) => {
            Trouble::unreachable("Connection reset")
        }
        Failure::Unreachable(_) => {
            Trouble::unreachable(format!("{} cannot be reached", provider.name))
        }
        _ => Trouble::refused(format!(
            "The {what} of {} cannot be used. {}",
            provider.name,
            failure.message()
        )),
    }
}

/// `error` and `error_description` of an answer (RFC 6749, 5.2), or Facebook's object of that name; bounded, for the log.
pub fn oauth_error(answer: &Answer) -> (String, String) {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let short = |value: Option<&Value>| {
        let text = value.and_then(Value::as_str).unwrap_or_default();
        text.chars().filter(|c| !c.is_control()).take(200).collect::<String>()
    };
    match body.get("error") {
        Some(Value::Object(error)) => {
            (short(error.get("status").or(error.get("type"))), short(error.get("message")))
        }
        error => (short(error), short(body.get("error_description"))),
    }
}
