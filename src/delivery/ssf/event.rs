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
        json!({
            "iss": self.iss,
            "aud": audience,
            "iat": self.iat_ms / SECOND,
            "txn": self.txn,
            "sub_id": self.sub_id,
            "events": { self.uri: self.payload },
        })
    }
}

/// What a record says; nothing where nobody's session ends by it: the record of a signing key has that of its pool beside it.
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
    let password_changed = |user: Value| {
        let mut payload = told.clone();
        add(&mut payload, "credential_type", json!("password"));
        add(&mut payload, "change_type", json!("update"));
        of(CREDENTIAL_CHANGE, "credential-change", user, payload)
    };
    let of_itself = json!({ "format": "opaque", "id": record.subject });
    match (record.kind.as_str(), user) {
        ("U", Some(user)) => {
            let mut events = vec![revoked(json!({ "format": "complex", "user": user }))];
            match record.reason.as_str() {
                "password_changed" | "password_reset" => events.push(password_changed(user)),
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
                events.push(password_changed(user));
            }
            events
        }
        ("C", _) => vec![revoked(json!({ "format": "complex", "application": of_itself }))],
        ("P", _) => vec![revoked(json!({ "format": "complex", "tenant": of_itself }))],
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
