//! Global Token Revocation, outward: other authorization servers are asked to end what a user has there
//! (draft-parecki-oauth-global-token-revocation).

use serde_json::{Value, json};

use super::outbox::{Delivery, Kind, NewDelivery, Outcome, State, judge};
use crate::ambient::SECOND;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::ids;
use crate::outgoing::Request;
use crate::pool::target::{Doc, SubjectFormat, Target, TokenRevocationDoc};
use crate::pool::{Pool, User};
use crate::store::records::Recorded;
use crate::store::{targets, users};
use crate::tokens::{claims, mint};

/// How long the token lives that authorises a request.
const TOKEN_SECS: i64 = 120;

/// A row for each of the pool's endpoints that is enabled, where everything of a user ended.
pub async fn expand(
    cx: &Cx,
    pool: &Pool,
    targets: &[Target],
    record: &Recorded,
) -> Result<Vec<NewDelivery>> {
    let Some(sub) = record.sub.as_deref().filter(|_| record.kind == "U") else {
        return Ok(Vec::new());
    };
    let endpoints = targets.iter().filter_map(|target| match &target.doc {
        Doc::TokenRevocation(about) if about.enabled => Some((target, about)),
        _ => None,
    });
    let endpoints: Vec<_> = endpoints.collect();
    // Who was deleted has no address any more.
    let user = match endpoints.iter().any(|(_, about)| about.subject == SubjectFormat::Email) {
        true => users::find(cx.db(), &pool.id, sub).await?,
        false => None,
    };
    let rows = endpoints
        .iter()
        .map(|(target, about)| row(&target.id, sub, subject(cx, pool, about, sub, user.as_ref())));
    Ok(rows.collect())
}

fn row(target: &str, sub: &str, subject: Option<Value>) -> NewDelivery {
    let (state, detail) = match subject {
        Some(_) => (State::Pending, ""),
        None => {
            (State::NotPossible, "The user has no verified email address by which to be named.")
        }
    };
    NewDelivery {
        kind: Kind::TokenRevocation,
        target: target.to_owned(),
        sid: String::new(),
        sub: sub.to_owned(),
        doc: subject.map(|subject| subject.to_string()).unwrap_or_default(),
        state,
        detail: detail.to_owned(),
    }
}

/// The subject identifier (RFC 9493), written down now: by the time the endpoint is reached the user may be gone.
fn subject(
    cx: &Cx,
    pool: &Pool,
    about: &TokenRevocationDoc,
    sub: &str,
    user: Option<&User>,
) -> Option<Value> {
    match about.subject {
        SubjectFormat::IssSub => {
            let iss = claims::issuer(&cx.app.settings, pool);
            Some(json!({ "format": "iss_sub", "iss": iss, "sub": sub }))
        }
        SubjectFormat::Email => {
            let doc = &user?.doc;
            let email = doc.get("email").filter(|_| doc.is_verified("email"))?;
            Some(json!({ "format": "email", "email": email }))
        }
    }
}

pub async fn attempt(cx: &Cx, pool: &Pool, delivery: &Delivery) -> Outcome {
    match request(cx, pool, delivery).await {
        Ok(Ok(request)) => judge(&cx.app.outgoing.send(request).await, cx.now),
        Ok(Err(why)) => Outcome::dead(why),
        Err(error) => {
            tracing::error!(
                ?error,
                delivery = delivery.id,
                "a revocation endpoint cannot be asked"
            );
            Outcome::ours(&error)
        }
    }
}

/// `Err` of the inner: why there is nothing to send.
async fn request(
    cx: &Cx,
    pool: &Pool,
    delivery: &Delivery,
) -> Result<Result<Request, &'static str>> {
    let Some(endpoint) = targets::find(cx.db(), &pool.id, &delivery.target).await? else {
        return Ok(Err("The endpoint was deleted."));
    };
    let Doc::TokenRevocation(about) = endpoint.doc else {
        return Ok(Err("The target is no revocation endpoint."));
    };
    if !about.enabled {
        return Ok(Err("The endpoint is not enabled. Enable it, and replay this delivery."));
    }
    let subject: Value = serde_json::from_str(&delivery.doc).map_err(Error::internal)?;
    let token = token(cx, pool, about.audience.as_deref().unwrap_or(&about.url)).await?;
    let body = json!({ "sub_id": subject }).to_string();
    Ok(Ok(Request::post(&about.url, "application/json", body).bearer(&token).status_only()))
}

/// A new one for each request: it says who we are, to this endpoint alone.
async fn token(cx: &Cx, pool: &Pool, audience: &str) -> Result<String> {
    let iss = claims::issuer(&cx.app.settings, pool);
    let now = cx.now / SECOND;
    let claims = json!({
        "iss": iss,
        "sub": iss,
        "aud": audience,
        "jti": ids::uuid_v4(cx.rng()).to_string(),
        "iat": now,
        "nbf": now,
        "exp": now + TOKEN_SECS,
    });
    mint::sign(cx, pool, move |keys| keys.id()?.sign_typed("global-token-revocation+jwt", &claims))
        .await
}
