//! Logout messages that arrive, by all three bindings: SAML core 3.7, SAML profiles 4.4.

use uppsala::{Document, NodeId};

use crate::checks::{self, Clock};
use crate::fault::{Excerpt, Fault};
use crate::names::PROTOCOL;
use crate::{Binding, Credential, Incoming, NameId, Status, signature, xml};

/// What a logout message must be to be believed. It must be signed, whatever its binding.
#[derive(Debug, Clone)]
pub struct ExpectLogout<'a> {
    pub idp_entity_id: &'a str,
    /// The provider's signing certificates (DER), from its metadata. No other key is ever used.
    pub trusted: &'a [Vec<u8>],
    /// The address at which the message arrived. `Destination` must be equal to it; by SOAP it may be absent, and an answer by SOAP
    /// arrives nowhere.
    pub destination: &'a str,
    pub now_ms: i64,
    pub skew_ms: i64,
    /// How old a message may be that does not say when it ends.
    pub max_age_ms: i64,
    /// Our decryption keys, for a name that is encrypted.
    pub decrypt: &'a [&'a Credential],
}

/// A provider ends sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundLogout {
    /// To be remembered until `replay_until_ms`, and to be answered to.
    pub id: String,
    pub issuer: String,
    pub name_id: NameId,
    /// Which sessions; empty means all of that user at this provider.
    pub session_indexes: Vec<String>,
    pub issue_instant_ms: i64,
    pub not_on_or_after_ms: Option<i64>,
    /// After this the request would be refused for its age.
    pub replay_until_ms: i64,
}

/// A provider's answer to our LogoutRequest. Any status is an answer: look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutAnswer {
    pub id: String,
    pub issuer: String,
    pub in_response_to: String,
    pub status: Status,
    pub issue_instant_ms: i64,
}

/// Verifies and reads a LogoutRequest.
pub fn consume_logout_request(
    message: &Incoming,
    expect: &ExpectLogout<'_>,
) -> Result<InboundLogout, Fault> {
    const LIMIT: usize = 100;
    let (document, request) = message.open()?;
    let (id, issue_instant_ms) = verified(&document, request, "LogoutRequest", message, expect)?;
    let not_on_or_after_ms = checks::optional_instant(&document, request, "NotOnOrAfter")?;
    let until_ms =
        not_on_or_after_ms.unwrap_or_else(|| issue_instant_ms.saturating_add(expect.max_age_ms));
    expect.clock().not_on_or_after(until_ms, "the end of the logout request's validity")?;
    let indexes = xml::all(&document, request, PROTOCOL, "SessionIndex");
    if indexes.len() > LIMIT {
        return Err(Fault::TooLarge { what: "the list of session indexes", limit: LIMIT });
    }
    Ok(InboundLogout {
        id,
        issuer: expect.idp_entity_id.to_owned(),
        name_id: checks::name_id(&document, request, expect.decrypt, "LogoutRequest")?,
        session_indexes: indexes
            .into_iter()
            .map(|index| xml::text(&document, index, "SessionIndex"))
            .collect::<Result<_, _>>()?,
        issue_instant_ms,
        not_on_or_after_ms,
        replay_until_ms: until_ms.saturating_add(expect.skew_ms),
    })
}

/// Verifies and reads the answer to our request `in_response_to`.
pub fn consume_logout_response(
    message: &Incoming,
    expect: &ExpectLogout<'_>,
    in_response_to: &str,
) -> Result<LogoutAnswer, Fault> {
    let (document, response) = message.open()?;
    let (id, issue_instant_ms) = verified(&document, response, "LogoutResponse", message, expect)?;
    expect.clock().not_on_or_after(
        issue_instant_ms.saturating_add(expect.max_age_ms),
        "the end of the time for the logout response",
    )?;
    let found = xml::attribute(&document, response, "InResponseTo");
    if found != Some(in_response_to) {
        return Err(Fault::InResponseTo {
            expected: Some(Excerpt::of(in_response_to)),
            found: found.map(Excerpt::of),
        });
    }
    Ok(LogoutAnswer {
        id,
        issuer: expect.idp_entity_id.to_owned(),
        in_response_to: in_response_to.to_owned(),
        status: checks::status(&document, response)?,
        issue_instant_ms,
    })
}

/// The checks that requests and responses share: whose it is, for whom, signed over everything, not from the future.
fn verified(
    document: &Document<'_>,
    node: NodeId,
    name: &'static str,
    message: &Incoming,
    expect: &ExpectLogout<'_>,
) -> Result<(String, i64), Fault> {
    let keys = checks::keys(expect.trusted)?;
    let id = checks::message(document, node, PROTOCOL, name)?.to_owned();
    signature::only_in(document, &[node])?;
    let query_signed = message.query_is_signed(&keys)?;
    let signed = signature::verify(document, node, &keys, "the logout message")?;
    // A redirect is signed by its query (bindings 3.4.4.1), which covers the RelayState too.
    if !(if message.binding() == Binding::Redirect { query_signed } else { signed }) {
        return Err(Fault::Unsigned { what: "the logout message" });
    }
    checks::required_issuer(document, node, expect.idp_entity_id, name)?;
    // An answer by SOAP comes over the connection that we opened: there is no address that it arrived at.
    let asked = message.binding() == Binding::Soap && name == "LogoutResponse";
    if !asked
        && !checks::destination(document, node, expect.destination)?
        && message.binding() != Binding::Soap
    {
        return Err(Fault::Missing { what: "Destination", of: name });
    }
    let issue_instant_ms = checks::instant(document, node, "IssueInstant", name)?;
    expect.clock().not_before(issue_instant_ms, "the message's IssueInstant")?;
    Ok((id, issue_instant_ms))
}

impl ExpectLogout<'_> {
    fn clock(&self) -> Clock {
        Clock { now_ms: self.now_ms, skew_ms: self.skew_ms }
    }
}
