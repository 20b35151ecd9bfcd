//! Mail and text messages: what they say (`compose`), the row that one becomes in the batch of the act that causes it, and how
//! mail leaves (`smtp`). Which address a message goes to is the caller's decision.
//!
//! A message is a row beside the code that it carries, so it exists exactly when the code does. In dev it stays visible
//! (`dev::outbox`); in `serve` a worker sends it and wipes its text.

mod allowance;
mod compose;
pub mod smtp;

use cenote_interface::types::CodeDeliveryDetailsType;
use serde::{Deserialize, Serialize};

pub use allowance::charge;
pub use compose::{Text, escape};

use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::keys::Place;
use crate::pool::Pool;
use crate::store::Batch;
use crate::store::jobs::{self, Message};

/// Where a message goes: the attribute that holds the address (`email` or `phone_number`), and the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    pub attribute: &'static str,
    pub value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    Email,
    Sms,
}

impl Channel {
    pub fn as_str(self) -> &'static str {
        match self {
            Channel::Email => "email",
            Channel::Sms => "sms",
        }
    }
}

impl Address {
    pub fn channel(&self) -> Channel {
        if self.attribute == "phone_number" { Channel::Sms } else { Channel::Email }
    }

    /// What a caller may see of it: `a***@e***`, `+*******1234`.
    pub fn masked(&self) -> String {
        match self.channel() {
            Channel::Email => {
                let (local, domain) = self.value.split_once('@').unwrap_or((&self.value, ""));
                let first = |text: &str| text.chars().next().map(String::from).unwrap_or_default();
                format!("{}***@{}***", first(local), first(domain))
            }
            Channel::Sms => {
                let digits = self.value.trim_start_matches('+');
                let hidden = digits.chars().count().saturating_sub(4);
                let shown: String = digits.chars().skip(hidden).collect();
                format!("+{}{shown}", "*".repeat(hidden))
            }
        }
    }

    pub fn details(&self) -> CodeDeliveryDetailsType {
        let medium = match self.channel() {
            Channel::Email => "EMAIL",
            Channel::Sms => "SMS",
        };
        CodeDeliveryDetailsType {
            destination: Some(self.masked()),
            delivery_medium: Some(medium.to_owned()),
            attribute_name: Some(self.attribute.to_owned()),
        }
    }
}

/// Adds a message to the batch. Refused at once where there is nothing to send it with: the caller must not wait for a
/// message that never comes.
pub fn send(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    to: &Address,
    text: &Text<'_>,
) -> Result<CodeDeliveryDetailsType> {
    check_sender(cx, to.channel())?;
    jobs::insert_message(batch, &message(cx, pool, to, text)?);
    Ok(to.details())
}

/// The same work for somebody who does not exist: a row of the same size that is never sent.
pub fn pretend(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    to: &Address,
    text: &Text<'_>,
) -> Result<CodeDeliveryDetailsType> {
    check_sender(cx, to.channel())?;
    jobs::insert_decoy(batch, &message(cx, pool, to, text)?);
    Ok(to.details())
}

/// The text of a message as it lies sealed in its row.
#[derive(Serialize, Deserialize)]
pub struct Body {
    pub text: String,
    /// The code or temporary password in it.
    pub code: String,
    /// Whether `text` is HTML.
    #[serde(default)]
    pub html: bool,
}

/// Opens a message's text; `None` once it was wiped.
pub fn body(cx: &Cx, message: &Message) -> Result<Option<Body>> {
    if message.body.is_empty() {
        return Ok(None);
    }
    let plain = cx.app.vault.open(&place(&message.pool_id, &message.id), &message.body)?;
    serde_json::from_slice(&plain).map(Some).map_err(Error::internal)
}

fn message(cx: &Cx, pool: &Pool, to: &Address, text: &Text<'_>) -> Result<Message> {
    let id = ids::uuid_v7(cx.now, cx.rng()).to_string();
    let (subject, body) = compose::compose(pool, to.channel(), text);
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(&body).map_err(Error::internal)?);
    let sealed = cx.app.vault.seal(cx.rng(), &place(&pool.id, &id), &plain)?;
    Ok(Message {
        pool_id: pool.id.clone(),
        id,
        channel: to.channel().as_str().to_owned(),
        address: to.value.clone(),
        subject,
        body: sealed.0,
        created_ms: cx.now,
        attempts: 0,
    })
}

/// Whether this server can write to such an address at all.
pub fn can_send(cx: &Cx, to: &Address) -> bool {
    check_sender(cx, to.channel()).is_ok()
}

fn check_sender(cx: &Cx, channel: Channel) -> Result<()> {
    let failure = |message: &'static str| Err(Error::new(Kind::CodeDeliveryFailure, message));
    match channel {
        _ if cx.app.settings.dev => Ok(()),
        Channel::Sms => {
            failure("No SMS sender is configured: this server cannot send text messages.")
        }
        Channel::Email if cx.app.settings.mail.is_none() => failure(
            "No mail sender is configured: set the SMTP URL and the sender's address of this server.",
        ),
        Channel::Email => Ok(()),
    }
}

fn place<'a>(pool_id: &'a str, id: &'a str) -> Place<'a> {
    Place { table: "messages", pool: pool_id, row: id, column: "body" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_masked_as_cognito_masks_them() {
        let masked =
            |attribute, value: &str| Address { attribute, value: value.to_owned() }.masked();
        assert_eq!(masked("email", "ann@example.com"), "a***@e***");
        assert_eq!(masked("phone_number", "+12065551234"), "+*******1234");
        assert_eq!(masked("phone_number", "+123"), "+123");
    }
}
