//! Webhooks: an address of the operator's is told of every sign-out of a pool, signed as Standard Webhooks says
//! (`docs/webhooks.md`).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};

use super::outbox::{Delivery, Kind, NewDelivery, Outcome, State, judge};
use crate::ambient::{Ms, SECOND, rfc3339};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::outgoing::Request;
use crate::pool::target::{Doc, Target, WebhookSecret};
use crate::store::records::Recorded;
use crate::targets;

/// A row for each of the pool's webhooks that is enabled.
pub fn expand(targets: &[Target], record: &Recorded) -> Vec<NewDelivery> {
    let enabled = |target: &&Target| matches!(&target.doc, Doc::Webhook(about) if about.enabled);
    let mut webhooks = targets.iter().filter(enabled).peekable();
    if webhooks.peek().is_none() {
        return Vec::new();
    }
    let doc = event(record).to_string();
    webhooks
        .map(|webhook| NewDelivery {
            kind: Kind::Webhook,
            target: webhook.id.clone(),
            sid: String::new(),
            sub: record.sub.clone().unwrap_or_default(),
            doc: doc.clone(),
            state: State::Pending,
            detail: String::new(),
        })
        .collect()
}

/// What a webhook is told, but for the delivery's id.
fn event(record: &Recorded) -> Value {
    let session = matches!(record.kind.as_str(), "S" | "X").then_some(&record.subject);
    json!({
        "type": "sign_out",
        "pool_id": record.pool_id,
        "signout_id": record.signout_id,
        "record": record.n,
        "kind": record.kind,
        "sub": record.sub,
        "session": session,
        "client_id": record.client_id,
        "key_id": (record.kind == "K").then_some(&record.subject),
        "reason": record.reason,
        "initiator": record.initiator,
        "committed_at": rfc3339(record.committed_ms),
        // A session's or key's end has no boundary: it is dead whatever was born when.
        "not_before": (record.not_before_ms > 0).then(|| rfc3339(record.not_before_ms)),
    })
}

pub async fn attempt(cx: &Cx, delivery: &Delivery) -> Outcome {
    match request(cx, delivery).await {
        Ok(Ok(request)) => judge(&cx.app.outgoing.send(request).await, cx.now),
        Ok(Err(why)) => Outcome::dead(why),
        Err(error) => {
            tracing::error!(?error, delivery = delivery.id, "a webhook cannot be told");
            Outcome::ours(&error)
        }
    }
}

/// `Err` of the inner: why there is nothing to send.
async fn request(cx: &Cx, delivery: &Delivery) -> Result<Result<Request, &'static str>> {
    let webhook = crate::store::targets::find(cx.db(), &delivery.pool_id, &delivery.target).await?;
    let Some(webhook) = webhook else { return Ok(Err("The webhook was deleted.")) };
    let Doc::Webhook(about) = &webhook.doc else { return Ok(Err("The target is no webhook.")) };
    if !about.enabled {
        return Ok(Err("The webhook is not enabled. Enable it, and replay this delivery."));
    }
    let Some(secret) = targets::open::<WebhookSecret>(cx, &webhook)? else {
        return Ok(Err("The webhook has no secret to sign with."));
    };
    let mut body: Map<String, Value> =
        serde_json::from_str(&delivery.doc).map_err(Error::internal)?;
    body.insert("id".to_owned(), json!(delivery.id));
    let body = Value::Object(body).to_string();
    let Some(signature) = sign(&secret, cx.now, &delivery.id, &body) else {
        return Ok(Err("The webhook's secret is none."));
    };
    Ok(Ok(Request::post(&about.url, "application/json", body)
        .header("webhook-id", &delivery.id)
        .header("webhook-timestamp", (cx.now / SECOND).to_string())
        .header("webhook-signature", signature)
        .status_only()))
}

/// `v1,` and an HMAC-SHA256 of id, time and body for each secret that signs now, the current one first.
fn sign(secret: &WebhookSecret, now: Ms, id: &str, body: &str) -> Option<String> {
    let signed = format!("{id}.{}.{body}", now / SECOND);
    let signatures: Option<Vec<String>> = secret
        .signing(now)
        .map(|text| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &targets::webhook_key(text)?);
            let tag = hmac::sign(&key, signed.as_bytes());
            Some(format!("v1,{}", BASE64_STANDARD.encode(tag)))
        })
        .collect();
    signatures.map(|all| all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification's reference implementations.
    #[test]
    fn a_signature_is_that_of_standard_webhooks() {
        let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        let body = r#"{"test": 2432232314}"#;
        let signed = sign(&secret, 1_614_265_330_000, "msg_p5jXN8AQM9LWM0D4loKWxJek", body);
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        let both = secret.rotated("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into(), i64::MAX);
        let signed = sign(&both, 1_614_265_330_000, "msg_p5jXN8AQM9LWM0D4loKWxJek", body).unwrap();
        let (current, previous) = signed.split_once(' ').unwrap();
        assert!(current.starts_with("v1,") && current != previous);
        assert_eq!(previous, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
