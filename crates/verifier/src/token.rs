//! A token of the pool: what its signature, its times and the feed say of it. Pure: keys, clock and table are given.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::jws::{self, Jwks};
use crate::key::{Key16, Kind};
use crate::table::Table;

/// The longest token that is looked at: room for a user in a hundred groups whose names are as long as names can be.
pub const MAX_TOKEN: usize = 64 * 1024;

/// What the token is for: the claim `token_use`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenUse {
    Access,
    Id,
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The request has no token, or several.
    Missing,
    /// No JWT that this pool makes.
    Malformed,
    /// The key set has no such key.
    UnknownKey,
    Signature,
    /// Of another issuer.
    Issuer,
    /// No access token where one is wanted, or no ID token.
    TokenUse,
    /// For another client.
    Client,
    Expired,
    /// Its holder was signed out, or its key is no longer trusted.
    Revoked,
    /// The feed is too old to tell, or keys could not be fetched, and the route would rather refuse.
    Unavailable,
    /// The token lives, but lacks a scope that the route asks for.
    Scope,
}

impl Refusal {
    /// As it stands in the vectors and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Refusal::Missing => "missing",
            Refusal::Malformed => "malformed",
            Refusal::UnknownKey => "unknown_key",
            Refusal::Signature => "signature",
            Refusal::Issuer => "issuer",
            Refusal::TokenUse => "token_use",
            Refusal::Client => "client",
            Refusal::Expired => "expired",
            Refusal::Revoked => "revoked",
            Refusal::Unavailable => "unavailable",
            Refusal::Scope => "scope",
        }
    }
}

/// A token that a key of the pool signed. That it was alive is true of the moment at which a verifier said so: ask it again, or hold a
/// [`SessionGuard`](crate::SessionGuard).
#[derive(Clone, Debug, PartialEq)]
pub struct Token(Arc<Inner>);

#[derive(Debug, PartialEq)]
struct Inner {
    kid: String,
    claims: Map<String, Value>,
    token_use: TokenUse,
    issuer: String,
    sub: String,
    client_id: String,
    session: String,
    birth_ms: u64,
    exp_secs: u64,
    keys: Keys,
}

/// The keys under which the feed may name this token, computed once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub signing_key: Key16,
    pub pool: Key16,
    pub client: Key16,
    pub user: Key16,
    pub session: Key16,
}

impl Token {
    /// Checks the signature, and reads what every token of a pool says. Says nothing of its times and its life.
    pub fn open(text: &str, keys: &Jwks, pool: &str) -> Result<Token, Refusal> {
        if text.len() > MAX_TOKEN {
            return Err(Refusal::Malformed);
        }
        let jws = jws::split(text).ok_or(Refusal::Malformed)?;
        let key = keys.find(&jws.header.kid).ok_or(Refusal::UnknownKey)?;
        let claims = jws.verify(key).ok_or(Refusal::Signature)?;
        let claims: Map<String, Value> =
            serde_json::from_slice(&claims).map_err(|_| Refusal::Malformed)?;
        read(jws.header.kid, claims, pool).ok_or(Refusal::Malformed)
    }

    /// The key id of a token whose signature nobody has looked at yet.
    pub(crate) fn kid_of(text: &str) -> Option<String> {
        Some(jws::split(text).filter(|_| text.len() <= MAX_TOKEN)?.header.kid)
    }

    /// Whether the feed knows of an end of it.
    pub fn is_revoked(&self, table: &Table) -> bool {
        let Inner { keys, birth_ms, .. } = &*self.0;
        let table = table.view();
        let is_ended = |key| table.not_before(key).is_some_and(|boundary| *birth_ms < boundary);
        table.not_before(&keys.signing_key).is_some()
            || is_ended(&keys.pool)
            || is_ended(&keys.client)
            || is_ended(&keys.user)
            || table.not_before(&keys.session).is_some()
    }

    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.0.exp_secs.saturating_mul(1_000) <= now_ms
    }

    pub fn claims(&self) -> &Map<String, Value> {
        &self.0.claims
    }

    pub fn claim(&self, name: &str) -> Option<&str> {
        self.0.claims.get(name)?.as_str()
    }

    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    pub fn issuer(&self) -> &str {
        &self.0.issuer
    }

    pub fn token_use(&self) -> TokenUse {
        self.0.token_use
    }

    /// The user, or for a token that a client got for itself, the client.
    pub fn sub(&self) -> &str {
        &self.0.sub
    }

    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// The UUID of the session, the same through all refreshes.
    pub fn session(&self) -> &str {
        &self.0.session
    }

    /// When the session began, in milliseconds: what a sign-out's boundary is held against.
    pub fn birth_ms(&self) -> u64 {
        self.0.birth_ms
    }

    pub fn exp_secs(&self) -> u64 {
        self.0.exp_secs
    }

    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        self.claim("scope").unwrap_or_default().split(' ').filter(|scope| !scope.is_empty())
    }

    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes().any(|own| own == scope)
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }
}

fn read(kid: String, claims: Map<String, Value>, pool: &str) -> Option<Token> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let token_use = match text("token_use")? {
        "access" => TokenUse::Access,
        "id" => TokenUse::Id,
        _ => return None,
    };
    // An access token's `aud` is a resource; only an ID token's names its client.
    let client_id = match token_use {
        TokenUse::Access => text("client_id")?,
        TokenUse::Id => text("aud")?,
    };
    // The first that is there decides. An id that holds no moment is not of our making: such a token could outlive any sign-out.
    let session = text("origin_jti").or_else(|| text("event_id")).or_else(|| text("jti"))?;
    let session = uuid::Uuid::try_parse(session).ok().filter(|_| session.len() == 36)?;
    if session.get_version_num() != 7 {
        return None;
    }
    let session_text = session.hyphenated().to_string();
    let sub = text("sub")?.to_owned();
    let keys = Keys {
        signing_key: Kind::SigningKey.key16(pool, &kid),
        pool: Kind::Pool.key16(pool, pool),
        client: Kind::Client.key16(pool, client_id),
        user: Kind::User.key16(pool, &sub),
        session: Kind::Session.key16(pool, &session_text),
    };
    Some(Token(Arc::new(Inner {
        kid,
        token_use,
        issuer: text("iss")?.to_owned(),
        sub,
        client_id: client_id.to_owned(),
        session: session_text,
        birth_ms: u64::try_from(session.as_u128() >> 80).ok()?,
        exp_secs: claims.get("exp")?.as_u64()?,
        keys,
        claims,
    })))
}
