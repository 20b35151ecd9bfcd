//! The worker that sends due mail by SMTP. Of several workers one gets a message, for as long as its lease; a message that was
//! handed over or given up keeps nothing of its text. Text messages wait for a gateway: they are refused when they are asked for.

use std::time::Duration;

use lettre::message::{Mailbox, header::ContentType};
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};

use super::body;
use crate::ambient::{HOUR, MINUTE, Ms, SECOND};
use crate::config::Mail;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::store::Batch;
use crate::store::jobs::{self, Message};

/// How many go out in one turn.
const TURN: i64 = 20;

/// A server that takes longer than this for one step does not answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// When an attempt is followed by the next: five within about an hour. Each is also the lease of the attempt before it.
const RETRIES: [Ms; 5] = [MINUTE, 4 * MINUTE, 15 * MINUTE, 40 * MINUTE, 5 * MINUTE];

/// Sends what is due, and says when to come again. In dev nothing leaves.
pub async fn run_once(cx: Cx) -> Result<Ms> {
    match &cx.app.settings.mail {
        Some(mail) if !cx.app.settings.dev => send_due(&cx, mail).await,
        _ => Ok(cx.now + HOUR),
    }
}

/// The work of `run_once` for one sender.
pub async fn send_due(cx: &Cx, mail: &Mail) -> Result<Ms> {
    let due = jobs::due_messages(cx.db(), cx.now, TURN).await?;
    if due.is_empty() {
        return Ok(cx.now + SECOND);
    }
    let transport = transport(mail)?;
    let mut failures = 0;
    for message in &due {
        let attempt = usize::try_from(message.attempts).unwrap_or(0);
        let Some(lease) = RETRIES.get(attempt).filter(|_| message.channel == "email") else {
            finish(cx, message, "failed").await?;
            continue;
        };
        let mut batch = Batch::new();
        // A turn takes time, so the lease counts from now and not from its beginning.
        jobs::lease_message(&mut batch, message, cx.app.clock.now_ms() + lease);
        match cx.db().commit(batch).await {
            Err(error) if error.is_conflict() => continue,
            taken => taken?,
        }
        match send(cx, &transport, mail, message).await {
            Ok(()) => finish(cx, message, "sent").await?,
            Err(Failure::Final(cause)) => {
                tracing::error!(
                    pool = message.pool_id,
                    id = message.id,
                    cause,
                    "a mail was refused and is given up"
                );
                finish(cx, message, "failed").await?;
            }
            Err(Failure::Passing(cause)) => {
                tracing::warn!(
                    pool = message.pool_id,
                    id = message.id,
                    attempt,
                    cause,
                    "a mail was not taken"
                );
                if attempt + 1 == RETRIES.len() {
                    finish(cx, message, "failed").await?;
                } else {
                    cx.app.meters.message("email", "deferred");
                }
                failures += 1;
                if failures == 3 {
                    // Probably the server is away: the others would fail alike.
                    return Ok(cx.app.clock.now_ms() + 5 * SECOND);
                }
            }
        }
    }
    Ok(cx.app.clock.now_ms())
}

enum Failure {
    /// The server said never.
    Final(String),
    /// It may work later.
    Passing(String),
}

async fn send(
    cx: &Cx,
    transport: &AsyncSmtpTransport<Tokio1Executor>,
    mail: &Mail,
    message: &Message,
) -> Result<(), Failure> {
    let never = |error: &dyn std::fmt::Display| Failure::Final(error.to_string());
    let body = body(cx, message)
        .map_err(|error| never(&error))?
        .ok_or_else(|| never(&"its text is gone"))?;
    let from: Mailbox = mail.from.parse().map_err(|error: lettre::address::AddressError| {
        Failure::Passing(format!("from: {error}"))
    })?;
    let to: lettre::Address =
        message.address.parse().map_err(|error: lettre::address::AddressError| never(&error))?;
    let letter = lettre::Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(message.subject.as_str())
        .header(if body.html { ContentType::TEXT_HTML } else { ContentType::TEXT_PLAIN })
        .body(body.text)
        .map_err(|error| never(&error))?;
    match transport.send(letter).await {
        Ok(_) => Ok(()),
        Err(error) if SmtpError::is_permanent(&error) => Err(never(&error)),
        Err(error) => Err(Failure::Passing(error.to_string())),
    }
}

async fn finish(cx: &Cx, message: &Message, state: &'static str) -> Result<()> {
    let mut batch = Batch::new();
    jobs::finish_message(&mut batch, message, state);
    cx.db().commit(batch).await?;
    cx.app.meters.message(if message.channel == "email" { "email" } else { "sms" }, state);
    Ok(())
}

fn transport(mail: &Mail) -> Result<AsyncSmtpTransport<Tokio1Executor>> {
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&mail.smtp_url)
        .map_err(|error| Error::internal("the SMTP URL cannot be used").because(error))?;
    Ok(builder.timeout(Some(PATIENCE)).build())
}
