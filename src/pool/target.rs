//! Whom a pool tells of its sign-outs besides its app clients: webhooks, event streams, and servers that revoke tokens when they are asked to.
//! What they are and what they may say; nothing here reads a database.

pub mod stream;

use std::fmt;

use serde::{Deserialize, Serialize};
use url::Url;

pub use self::stream::{StreamDoc, StreamSecret};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::pool::urls::{self, Told};

/// The most that a pool may have of one kind: each sign-out is told to all of them.
pub const MAX_OF_A_KIND: i64 = 100;

/// A target as one read gave it.
#[derive(Clone, Debug)]
pub struct Target {
    pub pool_id: String,
    pub id: String,
    pub doc: Doc,
    /// A `WebhookSecret`, or what a stream has to hide, sealed (`crate::targets`); `None` where there is nothing.
    pub secret: Option<Vec<u8>>,
    /// Every change makes it larger.
    pub ver: i64,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Webhook,
    /// Of the Shared Signals Framework.
    Stream,
    /// A Global Token Revocation endpoint.
    TokenRevocation,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Webhook, Kind::Stream, Kind::TokenRevocation];

    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Webhook => "webhook",
            Kind::Stream => "stream",
            Kind::TokenRevocation => "token_revocation",
        }
    }

    pub fn parse(text: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// What a target is, by its kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Doc {
    Webhook(WebhookDoc),
    Stream(StreamDoc),
    TokenRevocation(TokenRevocationDoc),
}

impl Doc {
    pub fn kind(&self) -> Kind {
        match self {
            Doc::Webhook(_) => Kind::Webhook,
            Doc::Stream(_) => Kind::Stream,
            Doc::TokenRevocation(_) => Kind::TokenRevocation,
        }
    }
}

/// An address that is told of every sign-out of the pool (`docs/webhooks.md`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct WebhookDoc {
    pub url: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// One that is not enabled is told nothing, and not later either.
    #[serde(default = "yes")]
    pub enabled: bool,
}

/// A server that ends what a user has there when it is asked to (draft-parecki-oauth-global-token-revocation).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct TokenRevocationDoc {
    /// Its `global_token_revocation_endpoint`.
    pub url: String,
    #[serde(default)]
    pub description: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// How it knows users.
    #[serde(default)]
    pub subject: SubjectFormat,
    /// `aud` of the token that authorises the request; `None` means the address itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audience: Option<String>,
}

/// A subject identifier of RFC 9493.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectFormat {
    /// By the pool's issuer and the user's `sub`.
    #[default]
    IssSub,
    /// By the verified address; users without one cannot be named.
    Email,
}

fn yes() -> bool {
    true
}

impl WebhookDoc {
    pub fn check(&self) -> Result<()> {
        check_url("Url", &self.url)?;
        check_text("Description", &self.description, 256)
    }
}

impl TokenRevocationDoc {
    pub fn check(&self) -> Result<()> {
        check_url("Url", &self.url)?;
        check_text("Description", &self.description, 256)?;
        check_text("Audience", self.audience.as_deref().unwrap_or_default(), 2_048)?;
        match self.audience.as_deref() {
            Some("") => {
                Err(Error::invalid("Audience must not be empty: leave it out to mean Url."))
            }
            Some(text) if !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) => {
                Err(Error::invalid("Audience must be printable ASCII."))
            }
            _ => Ok(()),
        }
    }
}

/// What signs a webhook's requests: the text that its receiver was given, `whsec_` and 24 to 64 bytes in base64.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecret {
    pub current: String,
    /// The one before, and until when it signs, too: a receiver has a day to learn the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<(String, Ms)>,
}

impl WebhookSecret {
    pub fn new(current: String) -> WebhookSecret {
        WebhookSecret { current, previous: None }
    }

    /// The next one; the current one signs until then, too.
    pub fn rotated(self, next: String, until_ms: Ms) -> WebhookSecret {
        WebhookSecret { current: next, previous: Some((self.current, until_ms)) }
    }

    /// What signs at that moment, the current one first.
    pub fn signing(&self, now: Ms) -> impl Iterator<Item = &str> {
        let previous = self.previous.as_ref().filter(|(_, until_ms)| now < *until_ms);
        std::iter::once(self.current.as_str()).chain(previous.map(|(text, _)| text.as_str()))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// An address that this server will post to. Whether it may be reached is `outgoing`'s to say.
pub fn check_url(member: &str, text: &str) -> Result<()> {
    let refuse = |why: &str| Err(Error::invalid(format!("{member} {why}")));
    if text.is_empty() || text.len() > 2_048 {
        return refuse("must have 1 to 2048 characters.");
    }
    if !text.chars().all(|c| c.is_ascii_graphic()) || text.contains(['\\', '"', '<', '>']) {
        return refuse("has characters that a URL cannot have.");
    }
    let Ok(url) = Url::parse(text) else { return refuse("is not an absolute URL.") };
    if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none() {
        return refuse("must be an https URL.");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("must not hold a user name or password, which would end up in logs.");
    }
    if text.contains('#') {
        return refuse("must not have a fragment.");
    }
    match urls::is_plain(text, Told::ByServer) {
        true => Ok(()),
        false => refuse(urls::PLAINLY),
    }
}

pub(super) fn check_text(member: &str, text: &str, most: usize) -> Result<()> {
    if text.chars().count() > most {
        return Err(Error::invalid(format!("{member} must have at most {most} characters.")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::invalid(format!("{member} must not have control characters.")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_to_post_to_is_a_plain_http_url() {
        for good in
            ["https://hooks.example/x?y=1", "http://127.0.0.1:8080/", "https://[2001:db8::1]/"]
        {
            assert!(check_url("Url", good).is_ok(), "{good}");
        }
        let long = format!("https://a.example/{}", "x".repeat(2_048));
        for bad in [
            "",
            "/hook",
            "ftp://a.example/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "https://u:p@a.example/",
            "https://a.example/#f",
            "https://a.example/a b",
            "https://a.example/\u{e9}",
            "https://",
            long.as_str(),
        ] {
            let error = check_url("Url", bad).unwrap_err();
            assert!(error.message.starts_with("Url "), "{bad}: {error}");
        }
    }

    #[test]
    fn an_old_secret_signs_until_its_day_is_over() {
        let secret = WebhookSecret::new("a".into()).rotated("b".into(), 100);
        assert_eq!(secret.signing(99).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(secret.signing(100).collect::<Vec<_>>(), ["b"]);
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }

    #[test]
    fn documents_say_what_they_do_not_know() {
        let doc: WebhookDoc = serde_json::from_str(r#"{"Url":"https://a.example/"}"#).unwrap();
        assert!(doc.enabled && doc.check().is_ok());
        assert!(
            serde_json::from_str::<WebhookDoc>(r#"{"Url":"https://a.example/","Uri":1}"#).is_err()
        );
        let doc: TokenRevocationDoc =
            serde_json::from_str(r#"{"Url":"https://a.example/","Subject":"email","Audience":""}"#)
                .unwrap();
        assert_eq!(doc.subject, SubjectFormat::Email);
        assert!(doc.check().is_err());
    }
}
