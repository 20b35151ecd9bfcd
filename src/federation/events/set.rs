//! A Security Event Token: every mark that RFC 8417 and the Shared Signals Framework 1.0 ask for, and what its events mean here.

use serde_json::{Map, Value};

use super::subject::Subject;
use super::{Code, Ending, Refused, Transmitter, audiences, signed};
use crate::ambient::{DAY, MINUTE, Ms};
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::oidc::id_token::{SKEW, id, moment};
use crate::federation::sign_out::inward::Named;
use crate::keys::foreign;
use crate::pool::provider::Kind;
use crate::pool::{Pool, Provider};

/// How old an event may be when it comes: a transmitter sends again what it could not deliver. As long its `jti` is remembered.
const OLDEST: Ms = 30 * DAY;

/// A provider that signs an ID token so much later than an event knew of the event. Until then its own servers may not have.
const KNOWN_WITHIN: Ms = 5 * MINUTE;

/// Different things that one SET may say of one event.
const MAX_EVENTS: usize = 8;

/// How far an event reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// The session that it names, or all of the person where it names none.
    Session,
    /// Everything of the person.
    Person,
    /// Everything of the person, unless the credential is only one more.
    Credential,
}

/// What ends something; the reason is for the records. Everything else is accepted and does nothing. Google's names are those of RISC's
/// drafts.
const EVENTS: &[(&str, Reach, &str)] = &[
    (
        "https://schemas.openid.net/secevent/caep/event-type/session-revoked",
        Reach::Session,
        "caep_session_revoked",
    ),
    (
        "https://schemas.openid.net/secevent/caep/event-type/credential-change",
        Reach::Credential,
        "caep_credential_change",
    ),
    (
        "https://schemas.openid.net/secevent/risc/event-type/account-disabled",
        Reach::Person,
        "risc_account_disabled",
    ),
    (
        "https://schemas.openid.net/secevent/risc/event-type/account-purged",
        Reach::Person,
        "risc_account_purged",
    ),
    (
        "https://schemas.openid.net/secevent/risc/event-type/account-credential-change-required",
        Reach::Person,
        "risc_credential_change_required",
    ),
    (
        "https://schemas.openid.net/secevent/risc/event-type/credential-compromise",
        Reach::Person,
        "risc_credential_compromise",
    ),
    (
        "https://schemas.openid.net/secevent/risc/event-type/sessions-revoked",
        Reach::Person,
        "risc_sessions_revoked",
    ),
    (
        "https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked",
        Reach::Person,
        "oauth_tokens_revoked",
    ),
];

/// A SET that is to be believed.
#[derive(Debug)]
pub struct Event {
    pub jti: String,
    /// Until when its `jti` must be remembered.
    pub until_ms: Ms,
    /// What it says that ends something: why, of whom, and whether a session that is named narrows it.
    says: Vec<(&'static str, Subject, bool)>,
    /// Whose `sub` a subject may be.
    issuers: Vec<String>,
    /// What the provider signed after this moment, of its own clock, is not meant. `None`: all is.
    signed_until_ms: Option<Ms>,
}

/// Verifies a SET of this provider.
pub async fn believe(cx: &Cx, provider: &Provider, token: &str) -> Result<Event, Refused> {
    let transmitter = Transmitter::of(cx, provider).await?;
    let parsed =
        foreign::parse(token).map_err(|malformed| Code::Request.because(malformed.to_string()))?;
    if !is_typed(provider.kind, parsed.typ.as_deref()) {
        return Err(Code::Request.because("its typ is not secevent+jwt"));
    }
    let claims = signed(cx, provider, &parsed).await?;
    let iss = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
    if !transmitter.may_send(provider, iss) {
        return Err(Code::Issuer.because(
            "its iss is not the issuer of this provider, nor what ssf_issuer of ProviderDetails says",
        ));
    }
    if !audiences(&claims)
        .iter()
        .any(|aud| transmitter.audiences.iter().any(|own| own.as_str() == *aud))
    {
        return Err(Code::Audience.because(
            "its aud is not the client_id of this provider, nor what ssf_audience of ProviderDetails says",
        ));
    }
    let (jti, issued_ms) = in_time(&claims, cx.now)?;
    // An event that comes late ends what it would have ended in time. What comes from another transmitter has another clock, which may
    // be slow, so that is not asked.
    let one_clock = ["ssf_issuer", "ssf_jwks_uri"].iter().all(|own| provider.detail(own).is_none());
    Ok(Event {
        jti,
        until_ms: issued_ms.saturating_add(OLDEST),
        says: read(&claims)?,
        issuers: transmitter.issuers,
        signed_until_ms: one_clock.then(|| issued_ms.saturating_add(KNOWN_WITHIN)),
    })
}

/// The type tells it from an ID token or an access token of the same issuer (RFC 8417, 2.3 and 4.5). Google does not promise one: of its
/// tokens no other kind has `events`.
fn is_typed(kind: Kind, typ: Option<&str>) -> bool {
    match typ.map(str::to_ascii_lowercase).as_deref() {
        Some("secevent+jwt" | "application/secevent+jwt") => true,
        None | Some("jwt") => kind == Kind::Google,
        Some(_) => false,
    }
}

impl Event {
    /// Whether it says anything that ends something.
    pub fn is_silent(&self) -> bool {
        self.says.is_empty()
    }

    /// The first reason, for a message that means nobody.
    pub fn reason(&self) -> &'static str {
        self.says.first().map_or("security_event", |(reason, ..)| reason)
    }

    /// Whom it means among those who came from this provider.
    pub async fn endings(&self, cx: &Cx, pool: &Pool, provider: &Provider) -> Result<Vec<Ending>> {
        let mut endings = Vec::new();
        for (reason, subject, narrow) in &self.says {
            let named = subject.named(cx, pool, provider, &self.issuers, *narrow).await?;
            endings.extend(named.into_iter().map(|named| Ending {
                reason,
                named: Named { signed_until_ms: self.signed_until_ms, ..named },
            }));
        }
        Ok(endings)
    }
}

/// `jti` and `iat`; and, where it is there against the advice of RFC 8417, `exp`.
fn in_time(claims: &Map<String, Value>, now: Ms) -> Result<(String, Ms), Refused> {
    let refuse = |why: &'static str| Code::Request.because(why);
    let jti = id(claims, "jti").ok_or_else(|| refuse("its jti is missing, empty or too long"))?;
    let issued = moment(claims, "iat").ok_or_else(|| refuse("it has no iat"))?;
    if issued > now.saturating_add(SKEW) {
        return Err(refuse("its iat is in the future: compare the clocks"));
    }
    if issued.saturating_add(OLDEST) <= now {
        return Err(refuse("it is older than 30 days"));
    }
    if claims.contains_key("exp") {
        let expires = moment(claims, "exp").ok_or_else(|| refuse("its exp is no time"))?;
        if expires.saturating_add(SKEW) <= now {
            return Err(refuse("it has expired"));
        }
    }
    Ok((jti, issued))
}

/// What its events say.
fn read(claims: &Map<String, Value>) -> Result<Vec<(&'static str, Subject, bool)>, Refused> {
    let refuse = |why: &'static str| Code::Request.because(why);
    let events = claims.get("events").and_then(Value::as_object);
    let events = events.filter(|events| !events.is_empty()).ok_or_else(|| {
        refuse("its events are not an object with the type of an event as a member")
    })?;
    if events.len() > MAX_EVENTS {
        return Err(refuse("it has more than 8 events"));
    }
    let mut says = Vec::new();
    for (uri, payload) in events {
        let payload =
            payload.as_object().ok_or_else(|| refuse("the payload of an event is no object"))?;
        let Some((_, reach, reason)) = EVENTS.iter().find(|(known, ..)| known == uri) else {
            continue;
        };
        let change = payload.get("change_type").and_then(Value::as_str);
        if *reach == Reach::Credential && change == Some("create") {
            continue;
        }
        // Google, and drafts of CAEP, name the subject in the event.
        let subject = claims
            .get("sub_id")
            .or_else(|| payload.get("subject"))
            .ok_or_else(|| refuse("it names nobody: sub_id is missing"))?;
        let subject = Subject::parse(subject).map_err(|why| Code::Request.because(why))?;
        says.push((*reason, subject, *reach == Reach::Session));
    }
    Ok(says)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ambient::SECOND;

    const NOW: Ms = 1_790_000_000_000;
    const REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn an_event_may_be_old_but_not_older_than_what_is_remembered() {
        let at = |seconds: i64| NOW / SECOND + seconds;
        let check = |value| in_time(&map(value), NOW).map(|(_, issued)| issued);
        assert_eq!(check(json!({ "jti": "1", "iat": at(0) })), Ok(NOW));
        assert_eq!(check(json!({ "jti": "1", "iat": at(-86_400), "exp": at(5) })), Ok(NOW - DAY));
        for wrong in [
            json!({ "iat": at(0) }),
            json!({ "jti": "", "iat": at(0) }),
            json!({ "jti": 7, "iat": at(0) }),
            json!({ "jti": "a".repeat(256), "iat": at(0) }),
            json!({ "jti": "1" }),
            json!({ "jti": "1", "iat": "now" }),
            json!({ "jti": "1", "iat": at(61) }),
            json!({ "jti": "1", "iat": at(-30 * 86_400) }),
            json!({ "jti": "1", "iat": at(-600), "exp": at(-60) }),
            json!({ "jti": "1", "iat": at(0), "exp": "soon" }),
        ] {
            assert_eq!(check(wrong.clone()).map_err(|no| no.code), Err(Code::Request), "{wrong}");
        }
    }

    #[test]
    fn only_google_may_leave_out_the_type() {
        for typ in ["secevent+jwt", "application/secevent+jwt", "SecEvent+JWT"] {
            assert!(is_typed(Kind::Oidc, Some(typ)) && is_typed(Kind::Google, Some(typ)), "{typ}");
        }
        for typ in [None, Some("JWT")] {
            assert!(!is_typed(Kind::Oidc, typ) && is_typed(Kind::Google, typ), "{typ:?}");
        }
        for typ in ["logout+jwt", "at+jwt", "", "secevent"] {
            assert!(
                !is_typed(Kind::Oidc, Some(typ)) && !is_typed(Kind::Google, Some(typ)),
                "{typ}"
            );
        }
    }

    #[test]
    fn events_are_an_object_of_objects_and_name_somebody() {
        let ann = json!({ "format": "opaque", "id": "ann" });
        let said = |value| read(&map(value)).map(|says| says.len()).map_err(|no| no.code);
        assert_eq!(said(json!({ "sub_id": ann, "events": { REVOKED: {} } })), Ok(1));
        let inside = json!({ "subject": { "subject_type": "iss-sub", "iss": "i", "sub": "s" } });
        assert_eq!(said(json!({ "events": { REVOKED: inside } })), Ok(1));
        assert_eq!(said(json!({ "events": { "https://example.com/other": {} } })), Ok(0));
        let uri = "https://schemas.openid.net/secevent/caep/event-type/credential-change";
        for (change, ends) in [("create", 0), ("update", 1), ("revoke", 1), ("delete", 1)] {
            let payload = json!({ "credential_type": "password", "change_type": change });
            assert_eq!(said(json!({ "sub_id": ann, "events": { uri: payload } })), Ok(ends));
        }
        let many: Map<String, Value> =
            (0..9).map(|n| (format!("https://e.example/{n}"), json!({}))).collect();
        for wrong in [
            json!({ "sub_id": ann }),
            json!({ "sub_id": ann, "events": {} }),
            json!({ "sub_id": ann, "events": [REVOKED] }),
            json!({ "sub_id": ann, "events": { REVOKED: true } }),
            json!({ "events": { REVOKED: {} } }),
            json!({ "sub_id": "ann", "events": { REVOKED: {} } }),
            json!({ "sub_id": { "id": "ann" }, "events": { REVOKED: {} } }),
            json!({ "events": many }),
        ] {
            assert_eq!(said(wrong.clone()), Err(Code::Request), "{wrong}");
        }
    }
}
