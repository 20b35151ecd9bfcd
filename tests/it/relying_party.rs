//! A relying party that wants to learn of sign-outs: what it is told is verified by another implementation than ours, and strictly.

use std::collections::HashSet;

use axum::body::Body;
use axum::http::Request;
use cenote::cx::Cx;
use cenote::delivery::outbox::{expand, work};
use cenote::pool::client::ClientExtensions;
use cenote::store::deliveries::{self, Delivery};
use cenote::store::{Batch, pools};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Value, json};

use crate::house::{House, pause};
use crate::provider::{Asked, Behaviour, Provider};

/// Where it wants logout tokens.
const PATH: &str = "/backchannel-logout";

/// A relying party on a loopback port, which is one app client.
pub struct RelyingParty {
    pub provider: Provider,
    pub client: String,
}

impl RelyingParty {
    /// Makes this client one that is told.
    pub async fn of(house: &House, client: &str, more: Value) -> RelyingParty {
        let provider = Provider::start().await;
        provider.does(PATH, Behaviour::Status(200));
        let mut extensions = json!({ "BackchannelLogoutUri": format!("{}{PATH}", provider.url) });
        crate::house::merge(&mut extensions, more);
        extend(house, client, extensions).await;
        RelyingParty { provider, client: client.to_owned() }
    }

    pub fn answers(&self, status: u16) {
        self.provider.does(PATH, Behaviour::Status(status));
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.provider.asked(PATH)
    }

    /// The claims of all logout tokens so far, each verified as the specification asks (Back-Channel Logout 1.0, 2.6), by a library that
    /// knows nothing of us.
    pub async fn told(&self, house: &House, pool: &str) -> Vec<Value> {
        let jwks = house
            .send(
                Request::get(format!("/{pool}/.well-known/jwks.json"))
                    .header("host", "localhost:9230")
                    .body(Body::empty())
                    .unwrap(),
            )
            .await;
        let jwks: JwkSet = serde_json::from_str(&jwks.body).unwrap();
        let mut jtis = HashSet::new();
        let mut told = Vec::new();
        for asked in self.asked() {
            assert_eq!(asked.method, "POST");
            assert_eq!(asked.headers["content-type"], "application/x-www-form-urlencoded");
            assert_eq!(asked.form.keys().collect::<Vec<_>>(), ["logout_token"]);
            let claims = verified(house, pool, &self.client, &jwks, &asked.form["logout_token"]);
            assert!(jtis.insert(claims["jti"].as_str().unwrap().to_owned()), "a token came twice");
            told.push(claims);
        }
        told
    }

    /// The `sid` of all that it was told, in alphabetical order; those that named a user alone are empty.
    pub async fn sids(&self, house: &House, pool: &str) -> Vec<String> {
        let told = self.told(house, pool).await;
        let mut sids: Vec<String> = told
            .iter()
            .map(|claims| claims["sid"].as_str().unwrap_or_default().to_owned())
            .collect();
        sids.sort();
        sids
    }
}

fn verified(house: &House, pool: &str, client: &str, jwks: &JwkSet, token: &str) -> Value {
    let header = decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some("logout+jwt"));
    assert_eq!(header.alg, Algorithm::RS256);
    let key = jwks.find(header.kid.as_deref().unwrap()).expect("the key is in the pool's key set");
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[client]);
    validation.set_issuer(&[format!("{}/{pool}", house.app.settings.public_url)]);
    validation.set_required_spec_claims(&["iss", "aud", "exp"]);
    // By the house's clock, below.
    validation.validate_exp = false;
    let claims: Value =
        decode(token, &DecodingKey::from_jwk(key).unwrap(), &validation).unwrap().claims;
    assert!(claims["aud"].is_string(), "one audience, as text: {claims}");
    let (iat, exp) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
    assert!(iat <= house.app.clock.now_ms() / 1_000 && exp - iat == 120, "{claims}");
    assert_eq!(
        claims["events"],
        json!({ "http://schemas.openid.net/event/backchannel-logout": {} })
    );
    assert!(claims.get("nonce").is_none());
    assert!(claims["sub"].is_string() || claims["sid"].is_string(), "it names nothing: {claims}");
    claims
}

/// Runs the workers until they have done what is due in this pool.
pub async fn deliver(house: &House, pool: &str) {
    let sql = "SELECT COUNT(*) FROM records WHERE pool_id = ?1 AND expanded_ms IS NULL";
    let due = "SELECT COUNT(*) FROM deliveries WHERE pool_id = ?1 AND state = 'pending' AND (due_ms <= ?2 OR lease_ms > ?2)";
    for _ in 0..3_000 {
        let cx = Cx::system(house.app.clone());
        let _ = expand::round(&cx).await;
        let _ = work::begin(&cx).await;
        let left = house.app.db.one(due, &cenote::params![pool, cx.now]).await.unwrap().unwrap();
        if house.rows(sql, pool).await == 0 && left.i64(0).unwrap() == 0 {
            return;
        }
        pause().await;
    }
    let states = states(house, pool).await;
    panic!("deliveries of {pool} do not end: {:?}", &states[states.len().saturating_sub(5)..]);
}

/// The pool's deliveries to relying parties, oldest first.
pub async fn deliveries_of(house: &House, pool: &str) -> Vec<Delivery> {
    let filter =
        deliveries::Filter { kind: Some(deliveries::Kind::Backchannel), ..Default::default() };
    let mut all = deliveries::list(&house.app.db, pool, filter, None, 1_000).await.unwrap();
    all.reverse();
    all
}

/// Their states and last statuses.
pub async fn states(house: &House, pool: &str) -> Vec<(&'static str, Option<i64>)> {
    let all = deliveries_of(house, pool).await;
    all.iter().map(|delivery| (delivery.state.as_str(), delivery.status)).collect()
}

/// Gives a client extensions, as an operator would.
pub async fn extend(house: &House, client: &str, extensions: Value) {
    let extensions: ClientExtensions = serde_json::from_value(extensions).unwrap();
    let directory = &house.app.directory;
    let (_, found) = directory.client(&house.app.db, client).await.unwrap().unwrap();
    let mut changed = (*found).clone();
    changed.doc.extensions = extensions;
    let mut batch = Batch::new();
    pools::update_client(&mut batch, &changed, house.app.clock.now_ms()).unwrap();
    house.app.db.commit(batch).await.unwrap();
}

/// Makes `/logout` end the token sessions of its browser, too, as an operator would.
pub async fn logout_ends_tokens(house: &House, pool: &str) {
    let found = house.app.directory.pool(&house.app.db, pool).await.unwrap().unwrap();
    let mut changed = (*found).clone();
    changed.doc.extensions.logout_ends_token_sessions = true;
    let mut batch = Batch::new();
    pools::update(&mut batch, &changed, house.app.clock.now_ms()).unwrap();
    house.app.db.commit(batch).await.unwrap();
}

/// What the payload of a token says, unverified.
pub fn claims(token: &Value) -> Value {
    use base64::Engine as _;
    let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
    let bytes = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice(&bytes).unwrap()
}

/// The participations of a pool: (client, sid, whether it is over).
pub async fn parties(house: &House, pool: &str) -> Vec<(String, String, bool)> {
    let sql = "SELECT client_id, sid, ended_ms FROM participations WHERE pool_id = ?1 ORDER BY created_ms, sid";
    let rows = house.app.db.query(sql, &cenote::params![pool]).await.unwrap();
    rows.iter()
        .map(|row| {
            (row.string(0).unwrap(), row.string(1).unwrap(), row.opt_i64(2).unwrap().is_some())
        })
        .collect()
}
