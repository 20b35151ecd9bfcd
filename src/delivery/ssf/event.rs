//! What a record of a sign-out is in the words of CAEP 1.0 and RISC 1.0: claims of Security Event Tokens (RFC 8417) but for `jti`,
//! which is the delivery's own, and `aud`, which is the stream's.

use serde_json::{Value, json};

use super::answer::add;
use crate::ambient::{Ms, SECOND};
use crate::cx::Cx;
use crate::ids;
use crate::pool::Pool;
use crate::pool::target::stream::{
    ACCOUNT_DISABLED, ACCOUNT_PURGED, CREDENTIAL_CHANGE, SESSION_REVOKED,
};
use crate::store::records::Recorded;
use crate::tokens::claims;

/// The status of a stream, and the proof that it works (SSF 1.0, 8.1.4 and 8.1.5).
pub const STREAM_UPDATED: &str =
    "https://schemas.openid.net/secevent/ssf/event-type/stream-updated";
pub const VERIFICATION: &str = "https://schemas.openid.net/secevent/ssf/event-type/verification";

/// One event, for any stream.
pub struct Event {
    pub uri: &'static str,
    /// What tells it from another event of the same record.
    pub name: &'static str,
    iss: String,
    iat_ms: Ms,
    txn: String,
    sub_id: Value,
    payload: Value,
}

impl Event {
    pub fn claims(&self, audience: &str) -> Value {
        claims_of(
            &self.iss,
            audience,
            self.iat_ms,
            &self.txn,
            &self.sub_id,
            self.uri,
            &self.payload,
        )
    }
}

fn claims_of(
    iss: &str,
    audience: &str,
    iat_ms: Ms,
    txn: &str,
    sub_id: &Value,
    uri: &str,
    payload: &Value,
) -> Value {
    let mut claims = json!({
        "iss": iss,
        "aud": audience,
        "iat": iat_ms / SECOND,
        "sub_id": sub_id,
        "events": { uri: payload },
    });
    if !txn.is_empty() {
        add(&mut claims, "txn", json!(txn));
    }
    claims
}

/// An event about a stream itself, which its subject names.
pub fn of_stream(
    cx: &Cx,
    pool: &Pool,
    stream: &str,
    audience: &str,
    uri: &str,
    payload: &Value,
) -> Value {
    let iss = claims::issuer(&cx.app.settings, pool);
    let sub_id = json!({ "format": "opaque", "id": stream });
    claims_of(&iss, audience, cx.now, "", &sub_id, uri, payload)
}

/// What a record says; nothing where it is about no person.
pub fn of(cx: &Cx, pool: &Pool, record: &Recorded) -> Vec<Event> {
    let iss = claims::issuer(&cx.app.settings, pool);
    let of = |uri, name, sub_id, payload| Event {
        uri,
        name,
        iss: iss.clone(),
        iat_ms: record.committed_ms,
        txn: record.txn.clone(),
        sub_id,
        payload,
    };
    let user =
        record.sub.as_ref().map(|sub| json!({ "format": "iss_sub", "iss": iss, "sub": sub }));
    let seconds = record.committed_ms / SECOND;
    // CAEP knows no initiator upstream.
    let who = match record.initiator.as_str() {
        "upstream" => "system",
        known => known,
    };
    let told = json!({
        "event_timestamp": seconds,
        "initiating_entity": who,
        "reason_admin": { "en": record.reason },
    });
    let revoked = |sub_id: Value| of(SESSION_REVOKED, "", sub_id, told.clone());
    match (record.kind.as_str(), user) {
        ("U", Some(user)) => {
            let mut events = vec![revoked(json!({ "format": "complex", "user": user }))];
            let changed = |kind: &str| {
                let mut payload = told.clone();
                add(&mut payload, "credential_type", json!("password"));
                add(&mut payload, "change_type", json!(kind));
                payload
            };
            match record.reason.as_str() {
                "password_changed" | "password_reset" => {
                    events.push(of(
                        CREDENTIAL_CHANGE,
                        "credential-change",
                        user,
                        changed("update"),
                    ));
                }
                "user_disabled" => {
                    events.push(of(ACCOUNT_DISABLED, "account-disabled", user, json!({})));
                }
                "user_deleted" => {
                    events.push(of(ACCOUNT_PURGED, "account-purged", user, json!({})));
                }
                _ => {}
            }
            events
        }
        ("S" | "X", Some(user)) => {
            let session = json!({ "format": "opaque", "id": session(record) });
            let mut events =
                vec![revoked(json!({ "format": "complex", "session": session, "user": user }))];
            // A changed password ends the other browsers one by one; the first of them tells it.
            if record.reason == "password_changed" && record.n == 0 {
                let mut payload = told.clone();
                add(&mut payload, "credential_type", json!("password"));
                add(&mut payload, "change_type", json!("update"));
                events.push(of(CREDENTIAL_CHANGE, "credential-change", user, payload));
            }
            events
        }
        ("P", _) => {
            let tenant = json!({ "format": "opaque", "id": record.subject });
            vec![revoked(json!({ "format": "complex", "tenant": tenant }))]
        }
        _ => Vec::new(),
    }
}

/// A token session as tokens name it (`origin_jti`), a browser session by its id.
fn session(record: &Recorded) -> String {
    match (record.kind.as_str(), ids::session_uuid(&record.subject)) {
        ("S", Some(uuid)) => uuid.to_string(),
        _ => record.subject.clone(),
    }
}
