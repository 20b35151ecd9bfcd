//! What tokens and userInfo say about a user (`cognito-behaviour`, 4.3, 5.2 and 5.3).

use serde_json::{Map, Value, json};

use super::Birth;
use crate::ambient::{Ms, SECOND};
use crate::config::Settings;
use crate::cx::Cx;
use crate::ids;
use crate::pool::group::GroupClaims;
use crate::pool::identity;
use crate::pool::{Client, Pool, TokenSession, User};

/// The only scope of tokens from an API sign-in, and what token-authorised operations ask for.
pub const ADMIN_SCOPE: &str = "aws.cognito.signin.user.admin";

/// The standard claims of the OIDC `profile` scope, and all custom attributes (Cognito's reading of it).
const PROFILE: &[&str] = &[
    "name",
    "given_name",
    "family_name",
    "middle_name",
    "nickname",
    "preferred_username",
    "profile",
    "picture",
    "website",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
    "address",
    "updated_at",
];

/// `{public_url}/{pool}`, or the issuer that the pool was given for a migration.
pub fn issuer(settings: &Settings, pool: &Pool) -> String {
    match &pool.doc.issuer {
        Some(issuer) => issuer.clone(),
        None => format!("{}/{}", settings.public_url, pool.id),
    }
}

/// The access token's claims.
pub fn access(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    user: &User,
    session: &TokenSession,
    groups: &GroupClaims,
) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".into(), json!(user.sub));
    member_of(&mut claims, groups);
    claims.insert("iss".into(), json!(issuer(&cx.app.settings, pool)));
    if session.flow.is_hosted() {
        claims.insert("version".into(), json!(2));
    }
    claims.insert("client_id".into(), json!(client.id));
    if let Some(resource) = &session.resource {
        claims.insert("aud".into(), json!(resource));
    }
    origin(&mut claims, client, session);
    claims.insert("token_use".into(), json!("access"));
    claims.insert("scope".into(), json!(session.scope));
    times(&mut claims, session, cx.now, validity(session, client.access_ms(), cx.now));
    jti(&mut claims, cx, client);
    claims.insert("username".into(), json!(user.username));
    claims
}

/// The claims of a token that a client got for itself (`cognito-behaviour`, 5.4). It has no session: its own id holds its birth.
pub fn machine(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    scope: &str,
    birth: Birth,
) -> Map<String, Value> {
    let iat = cx.now / SECOND;
    let mut claims = Map::new();
    claims.insert("sub".into(), json!(client.id));
    claims.insert("token_use".into(), json!("access"));
    claims.insert("scope".into(), json!(scope));
    claims.insert("auth_time".into(), json!(iat));
    claims.insert("iss".into(), json!(issuer(&cx.app.settings, pool)));
    claims.insert("exp".into(), json!(iat + client.access_ms() / SECOND));
    claims.insert("iat".into(), json!(iat));
    claims.insert("version".into(), json!(2));
    claims.insert("jti".into(), json!(ids::uuid_v7(birth.ms(), cx.rng()).to_string()));
    claims.insert("client_id".into(), json!(client.id));
    claims
}

/// The ID token's claims. With a hosted sign-in `mint` adds `at_hash`, which binds it to the access token that it came with.
pub fn id(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    user: &User,
    session: &TokenSession,
    groups: &GroupClaims,
) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".into(), json!(user.sub));
    member_of(&mut claims, groups);
    if !groups.roles.is_empty() {
        claims.insert("cognito:roles".into(), json!(groups.roles));
    }
    if let Some(role) = &groups.preferred_role {
        claims.insert("cognito:preferred_role".into(), json!(role));
    }
    if !user.doc.identities.is_empty() && client.may_read("identities") {
        claims.insert("identities".into(), identity::claim(&user.doc.identities));
    }
    for (name, value) in readable(client, user, &session.scope) {
        claims.insert(name.to_owned(), typed(pool, name, value));
    }
    claims.insert("iss".into(), json!(issuer(&cx.app.settings, pool)));
    claims.insert("cognito:username".into(), json!(user.username));
    if let Some(nonce) = &session.nonce {
        claims.insert("nonce".into(), json!(nonce));
    }
    if let Some(sid) = &session.sid {
        claims.insert("sid".into(), json!(sid));
    }
    origin(&mut claims, client, session);
    claims.insert("aud".into(), json!(client.id));
    claims.insert("token_use".into(), json!("id"));
    times(&mut claims, session, cx.now, validity(session, client.id_ms(), cx.now));
    jti(&mut claims, cx, client);
    claims
}

/// userInfo's answer: booleans and `identities` are strings, and the name is called `username`.
pub fn user_info(client: &Client, user: &User, scope: &str) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("sub".into(), json!(user.sub));
    if let Some(identities) = user.identities().filter(|_| client.may_read("identities")) {
        claims.insert("identities".into(), json!(identities));
    }
    for (name, value) in readable(client, user, scope) {
        claims.insert(name.to_owned(), json!(value));
    }
    claims.insert("username".into(), json!(user.username));
    claims
}

/// The attributes that this client may read and these scopes ask for. Without one of `profile`, `email` and `phone`,
/// `openid` (and an API sign-in) means all of them.
fn readable<'a>(
    client: &'a Client,
    user: &'a User,
    scope: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let has = |name: &str| scope.split(' ').any(|item| item == name);
    let (profile, email, phone) = (has("profile"), has("email"), has("phone"));
    let all = !(profile || email || phone);
    user.doc.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str())).filter(
        move |(name, value)| {
            let asked = match *name {
                "email" | "email_verified" => email,
                "phone_number" | "phone_number_verified" => phone,
                name => profile && (PROFILE.contains(&name) || name.starts_with("custom:")),
            };
            (all || asked) && client.may_read(name) && !value.is_empty()
        },
    )
}

/// Custom attributes are always strings; a few standard ones have types of their own (OIDC Core, 5.1).
fn typed(_pool: &Pool, name: &str, value: &str) -> Value {
    match name {
        "email_verified" | "phone_number_verified" => json!(value.eq_ignore_ascii_case("true")),
        "address" => json!({ "formatted": value }),
        "updated_at" => value.parse::<i64>().map_or_else(|_| json!(value), |number| json!(number)),
        _ => json!(value),
    }
}

/// Absent for a user without groups, as in Cognito.
fn member_of(claims: &mut Map<String, Value>, groups: &GroupClaims) {
    if !groups.groups.is_empty() {
        claims.insert("cognito:groups".into(), json!(groups.groups));
    }
}

/// `event_id` always names the session; `origin_jti` and `jti` are there where the client can revoke.
fn origin(claims: &mut Map<String, Value>, client: &Client, session: &TokenSession) {
    let uuid = ids::session_uuid(&session.id).map(|uuid| uuid.to_string()).unwrap_or_default();
    if client.revocation_enabled() {
        claims.insert("origin_jti".into(), json!(uuid));
    }
    claims.insert("event_id".into(), json!(uuid));
}

fn jti(claims: &mut Map<String, Value>, cx: &Cx, client: &Client) {
    if client.revocation_enabled() {
        claims.insert("jti".into(), json!(ids::uuid_v4(cx.rng()).to_string()));
    }
}

/// No token outlives its session: what lists and ends sessions need not look beyond their expiry.
pub fn validity(session: &TokenSession, configured: Ms, now: Ms) -> Ms {
    configured.min(session.expires_ms - now)
}

fn times(claims: &mut Map<String, Value>, session: &TokenSession, now: Ms, validity: Ms) {
    let iat = now / SECOND;
    claims.insert("auth_time".into(), json!(session.auth_ms / SECOND));
    claims.insert("exp".into(), json!(iat + validity / SECOND));
    claims.insert("iat".into(), json!(iat));
}
