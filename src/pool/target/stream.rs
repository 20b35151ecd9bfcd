//! An event stream of the Shared Signals Framework 1.0: who receives it, how, and of what. No I/O.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{check_text, check_url};
use crate::ambient::Ms;
use crate::error::{Error, Result};

pub const SESSION_REVOKED: &str =
    "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
pub const CREDENTIAL_CHANGE: &str =
    "https://schemas.openid.net/secevent/caep/event-type/credential-change";
pub const ACCOUNT_DISABLED: &str =
    "https://schemas.openid.net/secevent/risc/event-type/account-disabled";
pub const ACCOUNT_PURGED: &str =
    "https://schemas.openid.net/secevent/risc/event-type/account-purged";

/// What a stream can be told, besides its own verification and status.
pub const EVENTS: &[&str] = &[SESSION_REVOKED, CREDENTIAL_CHANGE, ACCOUNT_DISABLED, ACCOUNT_PURGED];

/// Users of whom a stream is not told.
pub const MAX_WITHOUT: usize = 1_000;

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct StreamDoc {
    /// For people.
    pub description: String,
    pub method: Method,
    /// Where it is pushed to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint_url: Option<String>,
    /// The app client that manages it and polls it; without one it is the operator's alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// `aud` of its events; the client, or the address, where it is not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
    /// The types of events that were asked for; none means all.
    pub events: Vec<String>,
    pub status: Status,
    /// Why it is not enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The users (`sub`) of whom it is not told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// When its receiver last asked for a verification.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_ms: Option<Ms>,
    /// When its receiver was last seen to poll or read it, to the hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen_ms: Option<Ms>,
}

/// What is nobody's to write or read: members that remember how a stream is used.
pub const OWN: [&str; 2] = ["VerifiedMs", "SeenMs"];

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// RFC 8935.
    Push,
    /// RFC 8936.
    #[default]
    Poll,
}

impl Method {
    pub fn urn(self) -> &'static str {
        match self {
            Method::Push => "urn:ietf:rfc:8935",
            Method::Poll => "urn:ietf:rfc:8936",
        }
    }

    pub fn of_urn(text: &str) -> Option<Method> {
        [Method::Push, Method::Poll].into_iter().find(|method| method.urn() == text)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    #[default]
    Enabled,
    /// What happens is kept until it is enabled again.
    Paused,
    /// What happens is not told, and not later either.
    Disabled,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Enabled => "enabled",
            Status::Paused => "paused",
            Status::Disabled => "disabled",
        }
    }

    pub fn parse(text: &str) -> Option<Status> {
        [Status::Enabled, Status::Paused, Status::Disabled]
            .into_iter()
            .find(|status| status.as_str() == text)
    }
}

/// What is sealed of a stream.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamSecret {
    /// The value of the header `Authorization` with which events are pushed.
    pub authorization_header: String,
}

impl fmt::Debug for StreamSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl StreamSecret {
    pub fn check(&self) -> Result<()> {
        let text = &self.authorization_header;
        let fine =
            (1..=4_096).contains(&text.len()) && text.chars().all(|c| (' '..='~').contains(&c));
        match fine {
            true => Ok(()),
            false => Err(Error::invalid(
                "The authorization header must have 1 to 4096 printable ASCII characters.",
            )),
        }
    }
}

impl StreamDoc {
    pub fn check(&self) -> Result<()> {
        check_text("Description", &self.description, 256)?;
        match (self.method, &self.endpoint_url) {
            (Method::Push, None) => {
                return Err(Error::invalid("EndpointUrl is required where events are pushed."));
            }
            (Method::Poll, Some(_)) => {
                return Err(Error::invalid(
                    "EndpointUrl is only for streams that are pushed; one that is polled has an address of ours.",
                ));
            }
            (Method::Push, Some(url)) => check_url("EndpointUrl", url)?,
            (Method::Poll, None) => {}
        }
        if self.method == Method::Poll && self.client_id.is_none() {
            return Err(Error::invalid(
                "ClientId is required where events are polled: it is the app client that polls.",
            ));
        }
        check_text("ClientId", self.client_id.as_deref().unwrap_or_default(), 128)?;
        check_text("Audience", self.audience.as_deref().unwrap_or_default(), 2_048)?;
        check_text("Reason", self.reason.as_deref().unwrap_or_default(), 256)?;
        if self.audience.as_deref() == Some("") {
            return Err(Error::invalid(
                "Audience must not be empty: leave it out to mean the client.",
            ));
        }
        if self.events.len() > 100 {
            return Err(Error::invalid("Events must have at most 100 types."));
        }
        for event in &self.events {
            check_text("Events", event, 512)?;
        }
        if self.without.len() > MAX_WITHOUT {
            return Err(Error::invalid(format!("At most {MAX_WITHOUT} users can be left out.")));
        }
        self.without.iter().try_for_each(|sub| check_text("Without", sub, 128))
    }

    /// The types of events that it is told.
    pub fn delivered(&self) -> impl Iterator<Item = &'static str> {
        let wanted =
            |event: &&str| self.events.is_empty() || self.events.iter().any(|asked| asked == event);
        EVENTS.iter().copied().filter(wanted)
    }

    pub fn is_told(&self, event: &str) -> bool {
        self.delivered().any(|own| own == event)
    }

    pub fn audience(&self) -> &str {
        self.audience
            .as_deref()
            .or(self.client_id.as_deref())
            .or(self.endpoint_url.as_deref())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> StreamDoc {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_stream_says_what_it_needs_and_no_more() {
        for good in [
            r#"{"Method":"poll","ClientId":"c"}"#,
            r#"{"Method":"push","EndpointUrl":"https://a.example/"}"#,
            r#"{"Method":"push","EndpointUrl":"https://a.example/","Status":"paused","Events":["x"]}"#,
        ] {
            assert!(read(good).check().is_ok(), "{good}");
        }
        for bad in [
            r#"{"Method":"push"}"#,
            r#"{"Method":"poll"}"#,
            r#"{"Method":"poll","ClientId":"c","EndpointUrl":"https://a.example/"}"#,
            r#"{"Method":"push","EndpointUrl":"file:///etc/passwd"}"#,
            r#"{"Method":"push","EndpointUrl":"https://a.example/","Audience":""}"#,
        ] {
            assert!(read(bad).check().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<StreamDoc>(r#"{"Url":"https://a.example/"}"#).is_err());
    }

    #[test]
    fn it_is_told_what_it_asked_for_of_what_there_is() {
        assert_eq!(read("{}").delivered().count(), EVENTS.len());
        let one = format!(r#"{{"Events":["https://x.example/e","{SESSION_REVOKED}"]}}"#);
        assert_eq!(read(&one).delivered().collect::<Vec<_>>(), [SESSION_REVOKED]);
        let none = read(r#"{"Events":["https://x.example/e"]}"#);
        assert_eq!(none.delivered().count(), 0);
    }
}
