//! An identity provider of the tests' own, on a loopback port: OpenID Connect, and what the social ones have besides. It does what it
//! should, or what a test tells it to: other claims, keys, algorithms, errors, silence.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _,
};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cenote::keys::SigningKey;
use http_body_util::BodyExt as _;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use url::Url;

use crate::house::{NOW, merge};

pub const CLIENT_ID: &str = "cenote:client";
pub const CLIENT_SECRET: &str = "s3cret of the client, +/%";

#[derive(Clone)]
pub struct Provider {
    /// The issuer, without a slash at the end.
    pub url: String,
    state: Arc<Mutex<State>>,
}

pub struct State {
    /// The key set, in its order.
    pub keys: Vec<Key>,
    /// What signs, by its own algorithm or another one.
    pub signer: Key,
    pub alg: Option<Algorithm>,
    /// What the header of a token says besides `alg` and the signer's `kid`; a null takes a member away.
    pub header: Value,
    /// These three replace or, where null, take away members.
    pub id_token: Value,
    pub userinfo: Value,
    pub discovery: Value,
    pub token_answer: Value,
    /// Served at /metadata.
    pub metadata: String,
    /// Seconds since 1970, in tokens.
    pub now: i64,
    pub cache_control: Option<&'static str>,
    behaviours: HashMap<String, Behaviour>,
    asked: Vec<Asked>,
    codes: BTreeMap<String, Code>,
}

#[derive(Clone)]
pub enum Behaviour {
    Status(u16),
    /// Takes the request and never answers.
    Silence,
    Redirect(String),
    /// 8 MiB.
    Huge,
    /// Another body than its own, with this content type.
    Body(&'static str, String),
}

/// A request that came in.
#[derive(Clone, Debug)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: BTreeMap<String, String>,
    pub headers: HeaderMap,
    pub form: BTreeMap<String, String>,
    pub body: String,
}

#[derive(Clone)]
struct Code {
    sub: String,
    nonce: Option<String>,
    redirect_uri: String,
    challenge: Option<String>,
}

#[derive(Clone)]
pub struct Key {
    pub kid: String,
    pub jwk: Value,
    encoding: EncodingKey,
    alg: Algorithm,
}

impl Key {
    /// One of the fixtures, 1 to 4.
    pub fn rsa(kid: &str, which: usize) -> Key {
        let der: &[u8] = match which {
            1 => include_bytes!("../fixtures/rsa-1.pkcs8.der"),
            2 => include_bytes!("../fixtures/rsa-2.pkcs8.der"),
            3 => include_bytes!("../fixtures/rsa-3.pkcs8.der"),
            _ => include_bytes!("../fixtures/rsa-4.pkcs8.der"),
        };
        let mut jwk = SigningKey::from_pkcs8(kid, der).unwrap().jwk();
        jwk.as_object_mut().unwrap().remove("alg");
        // The library wants PKCS #1, which is what follows the 26 bytes of PKCS #8's wrapping.
        let encoding = EncodingKey::from_rsa_der(&der[26..]);
        Key { kid: kid.to_owned(), jwk, encoding, alg: Algorithm::RS256 }
    }

    pub fn p256(kid: &str) -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Key::ec(kid, &pair, "P-256", Algorithm::ES256)
    }

    pub fn p384(kid: &str) -> Key {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Key::ec(kid, &pair, "P-384", Algorithm::ES384)
    }

    fn ec(kid: &str, pair: &EcdsaKeyPair, curve: &str, alg: Algorithm) -> Key {
        let (x, y) = pair.public_key().as_ref()[1..].split_at(pair.public_key().as_ref().len() / 2);
        let jwk = json!({ "kid": kid, "kty": "EC", "crv": curve, "use": "sig",
            "x": BASE64_URL_SAFE_NO_PAD.encode(x), "y": BASE64_URL_SAFE_NO_PAD.encode(y) });
        let encoding = EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref());
        Key { kid: kid.to_owned(), jwk, encoding, alg }
    }

    pub fn ed25519(kid: &str) -> Key {
        let pair = Ed25519KeyPair::generate().unwrap();
        let jwk = json!({ "kid": kid, "kty": "OKP", "crv": "Ed25519",
            "x": BASE64_URL_SAFE_NO_PAD.encode(pair.public_key().as_ref()) });
        let encoding = EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref());
        Key { kid: kid.to_owned(), jwk, encoding, alg: Algorithm::EdDSA }
    }

    /// Not a key pair: whoever knows the text can sign.
    pub fn secret(kid: &str, secret: &[u8]) -> Key {
        let encoding = EncodingKey::from_secret(secret);
        Key { kid: kid.to_owned(), jwk: Value::Null, encoding, alg: Algorithm::HS256 }
    }
}

impl Provider {
    pub async fn start() -> Provider {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = Key::rsa("k1", 3);
        let state = State {
            keys: vec![key.clone()],
            signer: key,
            alg: None,
            header: json!({}),
            id_token: json!({}),
            userinfo: json!({}),
            discovery: json!({}),
            token_answer: json!({}),
            metadata: String::new(),
            now: NOW / 1_000,
            cache_control: None,
            behaviours: HashMap::new(),
            asked: Vec::new(),
            codes: BTreeMap::new(),
        };
        let provider = Provider { url, state: Arc::new(Mutex::new(state)) };
        let served = provider.clone();
        let router = Router::new().fallback(move |request: Request<Body>| {
            let provider = served.clone();
            async move { provider.serve(request).await }
        });
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        provider
    }

    /// Changes what it is and does.
    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// From now on this path (or, with `None` before, its own way) is answered so.
    pub fn does(&self, path: &str, behaviour: impl Into<Option<Behaviour>>) {
        self.set(|state| {
            match behaviour.into() {
                Some(behaviour) => state.behaviours.insert(path.to_owned(), behaviour),
                None => state.behaviours.remove(path),
            };
        });
    }

    /// The requests for a path so far.
    pub fn asked(&self, path: &str) -> Vec<Asked> {
        let state = self.state.lock().unwrap();
        state.asked.iter().filter(|asked| asked.path == path).cloned().collect()
    }

    /// ProviderDetails of an OIDC provider, for CreateIdentityProvider.
    pub fn details(&self) -> Value {
        json!({
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "authorize_scopes": "openid email profile",
            "attributes_request_method": "GET", "oidc_issuer": self.url,
        })
    }

    /// What happens when a browser comes to this address of /authorize and `sub` signs in: the address that it is sent back to.
    pub fn authorize(&self, url: &str, sub: &str) -> String {
        let url = Url::parse(url).unwrap();
        assert_eq!(
            format!("{}/authorize", self.url),
            format!("{}{}", url.origin().ascii_serialization(), url.path())
        );
        let query: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        let code = self.code_for(&query, sub);
        let back = [("code", code.as_str()), ("state", &query["state"]), ("iss", &self.url)];
        Url::parse_with_params(&query["redirect_uri"], back).unwrap().into()
    }

    /// A code for an authorization request with this query.
    pub fn code_for(&self, query: &BTreeMap<String, String>, sub: &str) -> String {
        let mut state = self.state.lock().unwrap();
        let code = format!("code-{}", state.codes.len());
        state.codes.insert(
            code.clone(),
            Code {
                sub: sub.to_owned(),
                nonce: query.get("nonce").cloned(),
                redirect_uri: query["redirect_uri"].clone(),
                challenge: query.get("code_challenge").cloned(),
            },
        );
        code
    }

    /// A token with exactly these claims.
    pub fn sign(&self, claims: &Value) -> String {
        self.state.lock().unwrap().sign(claims)
    }

    async fn serve(&self, request: Request<Body>) -> Response {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let pairs = |bytes: &[u8]| url::form_urlencoded::parse(bytes).into_owned().collect();
        let asked = Asked {
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            query: pairs(parts.uri.query().unwrap_or_default().as_bytes()),
            headers: parts.headers,
            form: pairs(&body),
            body: String::from_utf8_lossy(&body).into_owned(),
        };
        let behaviour = {
            let mut state = self.state.lock().unwrap();
            state.asked.push(asked.clone());
            state.behaviours.get(&asked.path).cloned()
        };
        match behaviour {
            None => self.answer(&asked),
            Some(Behaviour::Status(status)) => {
                let status = axum::http::StatusCode::from_u16(status).unwrap();
                (status, json!({ "error": "told_to" }).to_string()).into_response()
            }
            Some(Behaviour::Silence) => std::future::pending().await,
            Some(Behaviour::Redirect(to)) => axum::response::Redirect::to(&to).into_response(),
            Some(Behaviour::Huge) => vec![b' '; 8 << 20].into_response(),
            Some(Behaviour::Body(kind, text)) => ([("content-type", kind)], text).into_response(),
        }
    }

    fn answer(&self, asked: &Asked) -> Response {
        let mut state = self.state.lock().unwrap();
        let cache = state.cache_control.unwrap_or("no-store");
        let json = |value: Value| {
            let headers = [("cache-control", cache), ("content-type", "application/json")];
            (headers, value.to_string()).into_response()
        };
        match asked.path.as_str() {
            "/.well-known/openid-configuration" => json(state.discovery_document(&self.url)),
            "/jwks" => json(
                json!({ "keys": state.keys.iter().map(|key| key.jwk.clone()).collect::<Vec<_>>() }),
            ),
            "/token" => match state.redeem(&self.url, asked) {
                Ok(answer) => json(answer),
                Err(error) => {
                    let error = json!({ "error": error, "error_description": "no" });
                    (axum::http::StatusCode::BAD_REQUEST, error.to_string()).into_response()
                }
            },
            "/userinfo" | "/people" | "/me" | "/profile" => match state.person(asked) {
                Some(person) => json(person),
                None => axum::http::StatusCode::UNAUTHORIZED.into_response(),
            },
            "/metadata" => (
                [("content-type", "application/samlmetadata+xml"), ("cache-control", cache)],
                state.metadata.clone(),
            )
                .into_response(),
            "/revoke" | "/end_session" => "".into_response(),
            _ => axum::http::StatusCode::NOT_FOUND.into_response(),
        }
    }
}

impl State {
    fn discovery_document(&self, url: &str) -> Value {
        let at = |path: &str| format!("{url}{path}");
        let mut document = json!({
            "issuer": url, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "userinfo_endpoint": at("/userinfo"), "jwks_uri": at("/jwks"), "end_session_endpoint": at("/end_session"),
            "revocation_endpoint": at("/revoke"), "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true, "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
            "backchannel_logout_supported": true, "backchannel_logout_session_supported": true,
        });
        merge(&mut document, self.discovery.clone());
        document
    }

    /// The token endpoint, strict: the redirect address and PKCE must be those of the request.
    fn redeem(&mut self, url: &str, asked: &Asked) -> Result<Value, &'static str> {
        let form = if asked.method == "GET" { &asked.query } else { &asked.form };
        let get = |name: &str| form.get(name).map(String::as_str);
        let code = get("code").and_then(|code| self.codes.remove(code)).ok_or("invalid_grant")?;
        if get("grant_type") != Some("authorization_code")
            || get("redirect_uri") != Some(&code.redirect_uri)
        {
            return Err("invalid_grant");
        }
        let challenge = get("code_verifier").map(|verifier| {
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
            BASE64_URL_SAFE_NO_PAD.encode(hash)
        });
        if challenge != code.challenge {
            return Err("invalid_grant");
        }
        let mut claims = json!({
            "iss": url, "sub": code.sub, "aud": CLIENT_ID, "iat": self.now, "exp": self.now + 300, "auth_time": self.now,
            "sid": format!("sid-{}", code.sub), "email": format!("{}@example.com", code.sub), "email_verified": true,
        });
        if let Some(nonce) = code.nonce {
            claims["nonce"] = json!(nonce);
        }
        merge(&mut claims, self.id_token.clone());
        let mut answer = json!({
            "access_token": format!("at.{}", code.sub), "token_type": "Bearer", "expires_in": 300,
            "refresh_token": format!("rt.{}", code.sub), "id_token": self.sign(&claims),
        });
        merge(&mut answer, self.token_answer.clone());
        Ok(answer)
    }

    fn person(&self, asked: &Asked) -> Option<Value> {
        let bearer = asked.headers.get("authorization")?.to_str().ok()?;
        let sub = bearer.strip_prefix("Bearer at.")?;
        let mut person = match asked.path.as_str() {
            "/people" => json!({ "resourceName": format!("people/{sub}"), "etag": "x" }),
            "/me" => json!({ "id": sub, "name": "Ann of Facebook" }),
            "/profile" => json!({ "user_id": sub, "name": "Ann of Amazon", "postal_code": "1010" }),
            _ => json!({ "sub": sub, "name": "Ann Example", "locale": "en" }),
        };
        merge(&mut person, self.userinfo.clone());
        Some(person)
    }

    fn sign(&self, claims: &Value) -> String {
        let alg = self.alg.unwrap_or(self.signer.alg);
        let mut header = json!({ "alg": alg, "kid": self.signer.kid, "typ": "JWT" });
        merge(&mut header, self.header.clone());
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(claims));
        let signature =
            jsonwebtoken::crypto::sign(signed.as_bytes(), &self.signer.encoding, alg).unwrap();
        format!("{signed}.{signature}")
    }
}
