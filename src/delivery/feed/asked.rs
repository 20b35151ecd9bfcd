//! What a request to follow says, checked.

use super::answer::Refused;
use crate::ambient::{Ms, SECOND};
use crate::site::Params;
use crate::store::feed::Consumer;

const MAX_QUERY: usize = 4 << 10;
/// What a verifier does that says nothing.
const STALENESS_MS: Ms = 30 * SECOND;
const MAX_STALENESS_SECS: i64 = 86_400;
const MAX_WAIT_SECS: i64 = 2;

pub struct Asked {
    pub incarnation: String,
    pub since: i64,
    pub consumer: String,
    /// Empty where it does not say.
    pub policy: String,
    pub max_staleness_ms: Ms,
    /// Of a delta.
    pub nonce: Option<String>,
    pub wait_ms: u64,
}

impl Asked {
    /// `resume`: a stream's `Last-Event-ID`, which is later than what its address says.
    pub fn parse(query: &str, resume: Option<&str>) -> Result<Asked, Refused> {
        if query.len() > MAX_QUERY {
            return Err(invalid("The query is too long."));
        }
        let query = Params::parse(query)?;
        let (incarnation, since) = match resume {
            Some(resume) => resume.rsplit_once('.').ok_or_else(|| {
                invalid("Last-Event-ID is not one of this stream: incarnation, a dot and a number.")
            })?,
            None => (required(&query, "incarnation")?, required(&query, "since")?),
        };
        if !is_text(incarnation, 22, 22, b"-_") {
            return Err(invalid(
                "incarnation must be the 22 characters that the snapshot or the last frame had.",
            ));
        }
        let digits = !since.is_empty() && since.bytes().all(|c| c.is_ascii_digit());
        let since = since.parse().ok().filter(|since: &i64| digits && *since < 1 << 53);
        let since = since.ok_or_else(|| {
            invalid("since must be a whole number from 0: the number of the last record that was applied.")
        })?;
        let consumer = required(&query, "consumer")?;
        if !is_text(consumer, 1, 64, b"._-") {
            return Err(invalid("consumer must be 1 to 64 of A-Z a-z 0-9 . _ -"));
        }
        let policy = query.get("policy").unwrap_or_default();
        if !matches!(policy, "" | "introspect" | "closed" | "open") {
            return Err(invalid("policy must be introspect, closed or open."));
        }
        let staleness = number(&query, "max_staleness", 1, MAX_STALENESS_SECS)?;
        let wait = number(&query, "wait", 0, MAX_WAIT_SECS)?.unwrap_or(MAX_WAIT_SECS);
        Ok(Asked {
            incarnation: incarnation.to_owned(),
            since,
            consumer: consumer.to_owned(),
            policy: policy.to_owned(),
            max_staleness_ms: staleness.map_or(STALENESS_MS, |secs| secs * SECOND),
            nonce: query.get("nonce").map(str::to_owned),
            wait_ms: u64::try_from(wait * SECOND).unwrap_or(0),
        })
    }

    /// A delta's nonce: what makes its answer one to this very request.
    pub fn nonce(&self) -> Result<&str, Refused> {
        let nonce = self.nonce.as_deref().ok_or_else(|| missing("nonce"))?;
        if !is_text(nonce, 16, 64, b"-_") {
            return Err(invalid(
                "nonce must be 16 to 64 of A-Z a-z 0-9 - _, another in each request.",
            ));
        }
        Ok(nonce)
    }

    /// What this request acknowledges.
    pub fn said(&self, owner: String, now: Ms) -> Consumer {
        Consumer {
            owner,
            consumer: self.consumer.clone(),
            incarnation: self.incarnation.clone(),
            since: self.since,
            policy: self.policy.clone(),
            max_staleness_ms: self.max_staleness_ms,
            seen_ms: now,
        }
    }
}

fn required<'a>(query: &'a Params, name: &str) -> Result<&'a str, Refused> {
    query.get(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> Refused {
    invalid(format!(
        "{name} is missing. Begin with the snapshot, which gives incarnation and since."
    ))
}

fn number(query: &Params, name: &str, least: i64, most: i64) -> Result<Option<i64>, Refused> {
    let Some(text) = query.get(name) else { return Ok(None) };
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    let number = number.filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
    number.map(Some).ok_or_else(|| {
        invalid(format!("{name} must be a whole number of seconds from {least} to {most}."))
    })
}

fn is_text(text: &str, least: usize, most: usize, also: &[u8]) -> bool {
    (least..=most).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || also.contains(&c))
}

fn invalid(why: impl Into<String>) -> Refused {
    Refused::Invalid(why.into())
}
