//! The configuration of a stream as receivers read and write it (SSF 1.0, 8.1.1).

use serde_json::{Map, Value, json};

use super::answer::{Refused, add};
use crate::cx::Cx;
use crate::pool::target::stream::{EVENTS, Method};
use crate::pool::target::{StreamDoc, StreamSecret};
use crate::pool::{Pool, Target};
use crate::tokens::claims;

/// How often a receiver may ask for a verification.
pub const VERIFY_SECS: i64 = 60;

pub fn shown(cx: &Cx, pool: &Pool, target: &Target, about: &StreamDoc) -> Value {
    let here = format!("{}/{}", cx.app.settings.public_url, pool.id);
    let endpoint = match about.method {
        Method::Push => about.endpoint_url.clone().unwrap_or_default(),
        Method::Poll => format!("{here}/ssf/poll/{}", target.id),
    };
    let mut shown = json!({
        "stream_id": target.id,
        "iss": claims::issuer(&cx.app.settings, pool),
        "aud": about.audience(),
        "delivery": { "method": about.method.urn(), "endpoint_url": endpoint },
        "events_supported": EVENTS,
        "events_delivered": about.delivered().collect::<Vec<_>>(),
        "min_verification_interval": VERIFY_SECS,
        "inactivity_timeout": super::INACTIVE_MS / crate::ambient::SECOND,
    });
    // One that asked for all sends back what it read, and goes on asking for all.
    if !about.events.is_empty() {
        add(&mut shown, "events_requested", json!(about.events));
    }
    if !about.description.is_empty() {
        add(&mut shown, "description", json!(about.description));
    }
    shown
}

/// What a request writes into a stream's configuration. `whole`: what is left out goes back to its default. Returns the new secret, where
/// one was given; what the transmitter says must be as it is, where it is given.
pub fn read(
    cx: &Cx,
    body: &Map<String, Value>,
    about: &mut StreamDoc,
    secret: &mut Option<StreamSecret>,
    shown: Option<&Value>,
    whole: bool,
) -> Result<(), Refused> {
    if let Some(shown) = shown {
        for name in ["iss", "aud", "events_supported", "min_verification_interval"] {
            if body.get(name).is_some_and(|said| Some(said) != shown.get(name)) {
                return Err(Refused::invalid(format!(
                    "{name} is the transmitter's to say; leave it out."
                )));
            }
        }
    }
    match body.get("delivery") {
        Some(delivery) => read_delivery(cx, delivery, about, secret)?,
        None if whole => {
            (about.method, about.endpoint_url, *secret) = (Method::Poll, None, None);
        }
        None => {}
    }
    match body.get("events_requested") {
        Some(Value::Array(events)) => {
            let texts: Option<Vec<String>> =
                events.iter().map(|event| event.as_str().map(str::to_owned)).collect();
            about.events = texts
                .ok_or_else(|| Refused::invalid("events_requested must be an array of URIs."))?;
            if about.events.is_empty() {
                return Err(Refused::invalid(
                    "events_requested must name an event; leave it out to be told of all.",
                ));
            }
        }
        Some(_) => return Err(Refused::invalid("events_requested must be an array of URIs.")),
        None if whole => about.events = Vec::new(),
        None => {}
    }
    match body.get("description") {
        Some(Value::String(text)) => about.description = text.clone(),
        Some(_) => return Err(Refused::invalid("description must be a text.")),
        None if whole => about.description = String::new(),
        None => {}
    }
    about.check()?;
    Ok(())
}

fn read_delivery(
    cx: &Cx,
    delivery: &Value,
    about: &mut StreamDoc,
    secret: &mut Option<StreamSecret>,
) -> Result<(), Refused> {
    let text = |name: &str| delivery.get(name).and_then(Value::as_str);
    let method = text("method").and_then(Method::of_urn).ok_or_else(|| {
        Refused::invalid(
            "delivery.method must be urn:ietf:rfc:8935 (push) or urn:ietf:rfc:8936 (poll).",
        )
    })?;
    if method == Method::Push && text("endpoint_url").is_none() {
        return Err(Refused::invalid(
            "delivery.endpoint_url is required where events are pushed (urn:ietf:rfc:8935).",
        ));
    }
    let moved = method == Method::Push && about.endpoint_url.as_deref() != text("endpoint_url");
    about.method = method;
    // Of a stream that is polled the address is ours, and comes back with what was read.
    about.endpoint_url = match method {
        Method::Push => text("endpoint_url").map(str::to_owned),
        Method::Poll => None,
    };
    match delivery.get("authorization_header") {
        Some(Value::String(header)) if method == Method::Push => {
            let given = StreamSecret { authorization_header: header.clone() };
            given.check()?;
            *secret = Some(given);
        }
        Some(_) => {
            return Err(Refused::invalid(
                "delivery.authorization_header is a text, for push alone.",
            ));
        }
        // A secret goes to no other address than the one that it was given for.
        None if moved || method == Method::Poll => *secret = None,
        None => {}
    }
    if let Some(url) = &about.endpoint_url {
        crate::pool::target::check_url("delivery.endpoint_url", url)?;
        cx.app.outgoing.check(url).map_err(|failure| {
            Refused::invalid(format!("delivery.endpoint_url cannot be used. {}", failure.message()))
        })?;
    }
    Ok(())
}
