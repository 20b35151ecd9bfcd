//! What a provider said of somebody: SAML core 2, and the rules of the Web Browser SSO profile for assertions (SAML profiles 4.1.4).

use uppsala::{Document, NodeId};

use crate::checks;
use crate::fault::{Excerpt, Fault};
use crate::names::{ASSERTION, BEARER, XSI};
use crate::response::{Expect, in_response_to};
use crate::xml;

/// What a provider said of somebody, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// To be remembered until `replay_until_ms`, and refused if it was seen before.
    pub id: String,
    /// For a log: where only the assertion is signed, nobody vouches for it.
    pub response_id: String,
    /// Always [`Expect::idp_entity_id`].
    pub issuer: String,
    pub name_id: NameId,
    /// Of the first AuthnStatement: single logout needs it.
    pub session_index: Option<String>,
    /// When the provider authenticated the user.
    pub authn_instant_ms: i64,
    /// How the provider authenticated the user: a class reference.
    pub authn_context: Option<String>,
    /// When the provider's session ends.
    pub session_not_on_or_after_ms: Option<i64>,
    /// In the document's order; attributes of the same name are joined.
    pub attributes: Vec<Attribute>,
    /// After this the assertion would be refused for its age.
    pub replay_until_ms: i64,
}

/// How a provider names somebody. All four together are the name; compare them byte by byte.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NameId {
    pub value: String,
    pub format: Option<String>,
    pub name_qualifier: Option<String>,
    pub sp_name_qualifier: Option<String>,
}

/// An attribute with its values as text; a value that is null (`xsi:nil`) is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    pub name: String,
    pub friendly_name: Option<String>,
    pub values: Vec<String>,
}

/// Reads an assertion whose signature holds. Everything that is read lies below it.
pub(crate) fn read(
    document: &Document<'_>,
    assertion: NodeId,
    response_id: String,
    response_signed: bool,
    expect: &Expect<'_>,
) -> Result<Assertion, Fault> {
    let id = checks::message(document, assertion, ASSERTION, "Assertion")?.to_owned();
    checks::required_issuer(document, assertion, expect.idp_entity_id, "Assertion")?;
    let issued_ms = checks::instant(document, assertion, "IssueInstant", "Assertion")?;
    expect.clock().not_before(issued_ms, "the assertion's IssueInstant")?;
    if expect.in_response_to.is_none() {
        expect.clock().not_on_or_after(
            issued_ms.saturating_add(expect.max_age_ms),
            "the end of the time for an unsolicited assertion",
        )?;
    }
    conditions(document, assertion, expect)?;
    let subject = xml::required(document, assertion, ASSERTION, "Subject", "Assertion")?;
    let confirmed_until_ms = confirmation(document, subject, response_signed, expect)?;
    let name_id = checks::name_id(document, subject, expect.decrypt, "Subject")?;
    let session = session(document, assertion, expect)?;
    let replay_until_ms = match expect.in_response_to {
        Some(_) => confirmed_until_ms,
        None => confirmed_until_ms.min(issued_ms.saturating_add(expect.max_age_ms)),
    };
    Ok(Assertion {
        id,
        response_id,
        issuer: expect.idp_entity_id.to_owned(),
        name_id,
        session_index: session.index,
        authn_instant_ms: session.authn_instant_ms,
        authn_context: session.context,
        session_not_on_or_after_ms: session.not_on_or_after_ms,
        attributes: attributes(document, assertion)?,
        replay_until_ms: replay_until_ms.saturating_add(expect.skew_ms),
    })
}

/// The time window and the audience. A condition that we do not know makes an assertion worthless: SAML core 2.5.1.
fn conditions(
    document: &Document<'_>,
    assertion: NodeId,
    expect: &Expect<'_>,
) -> Result<(), Fault> {
    let conditions = xml::required(document, assertion, ASSERTION, "Conditions", "Assertion")?;
    if let Some(at_ms) = checks::optional_instant(document, conditions, "NotBefore")? {
        expect.clock().not_before(at_ms, "the beginning of the assertion's validity")?;
    }
    if let Some(at_ms) = checks::optional_instant(document, conditions, "NotOnOrAfter")? {
        expect.clock().not_on_or_after(at_ms, "the end of the assertion's validity")?;
    }
    let mut restricted = false;
    for condition in xml::elements(document, conditions) {
        if xml::is(document, condition, ASSERTION, "AudienceRestriction") {
            let audiences = xml::all(document, condition, ASSERTION, "Audience");
            let audiences: Vec<String> = audiences
                .into_iter()
                .map(|audience| xml::text(document, audience, "Audience"))
                .collect::<Result<_, _>>()?;
            if !audiences.iter().any(|audience| audience == expect.audience) {
                let found = Excerpt::of(&audiences.join(", "));
                return Err(Fault::Audience { expected: Excerpt::of(expect.audience), found });
            }
            restricted = true;
        } else if !xml::is(document, condition, ASSERTION, "OneTimeUse")
            && !xml::is(document, condition, ASSERTION, "ProxyRestriction")
        {
            return Err(Fault::Unexpected {
                expected: "a known condition",
                found: Excerpt::of(xml::name(document, condition)),
            });
        }
    }
    if restricted {
        Ok(())
    } else {
        Err(Fault::Missing { what: "AudienceRestriction", of: "Conditions" })
    }
}

/// One bearer confirmation must hold (profiles 4.1.4.2). Returns until when the last bearer confirmation could.
fn confirmation(
    document: &Document<'_>,
    subject: NodeId,
    response_signed: bool,
    expect: &Expect<'_>,
) -> Result<i64, Fault> {
    const LIMIT: usize = 10;
    let bearers: Vec<NodeId> = xml::all(document, subject, ASSERTION, "SubjectConfirmation")
        .into_iter()
        .filter(|confirmation| xml::attribute(document, *confirmation, "Method") == Some(BEARER))
        .collect();
    if bearers.len() > LIMIT {
        return Err(Fault::TooLarge { what: "the list of subject confirmations", limit: LIMIT });
    }
    let (mut until_ms, mut holds, mut fault) = (i64::MIN, false, None);
    for bearer in bearers {
        match bears(document, bearer, response_signed, expect) {
            Ok(end_ms) => {
                until_ms = until_ms.max(end_ms);
                holds = true;
            }
            Err(why) => fault = fault.or(Some(why)),
        }
    }
    if holds { Ok(until_ms) } else { Err(fault.unwrap_or(Fault::Confirmation("there is none"))) }
}

fn bears(
    document: &Document<'_>,
    bearer: NodeId,
    response_signed: bool,
    expect: &Expect<'_>,
) -> Result<i64, Fault> {
    let data = xml::optional(document, bearer, ASSERTION, "SubjectConfirmationData")?
        .ok_or(Fault::Confirmation("it has no SubjectConfirmationData"))?;
    match xml::attribute(document, data, "Recipient") {
        Some(recipient) if recipient == expect.acs_url => {}
        Some(recipient) => {
            return Err(Fault::Destination {
                expected: Excerpt::of(expect.acs_url),
                found: Excerpt::of(recipient),
            });
        }
        None => return Err(Fault::Confirmation("it names no Recipient")),
    }
    if xml::attribute(document, data, "NotBefore").is_some() {
        return Err(Fault::Confirmation("it has a NotBefore, which SAML forbids here"));
    }
    let until_ms = checks::optional_instant(document, data, "NotOnOrAfter")?
        .ok_or(Fault::Confirmation("it does not say until when (NotOnOrAfter)"))?;
    expect.clock().not_on_or_after(until_ms, "the end of the subject's confirmation")?;
    // A response that is signed as a whole has already said what it answers.
    in_response_to(xml::attribute(document, data, "InResponseTo"), expect, !response_signed)?;
    Ok(until_ms)
}

struct Session {
    index: Option<String>,
    authn_instant_ms: i64,
    context: Option<String>,
    not_on_or_after_ms: Option<i64>,
}

/// The first AuthnStatement, as Cognito reads it; one that has ended anywhere ends all.
fn session(
    document: &Document<'_>,
    assertion: NodeId,
    expect: &Expect<'_>,
) -> Result<Session, Fault> {
    let mut sessions = Vec::new();
    for statement in xml::all(document, assertion, ASSERTION, "AuthnStatement") {
        let authn_instant_ms =
            checks::instant(document, statement, "AuthnInstant", "AuthnStatement")?;
        expect.clock().not_before(authn_instant_ms, "AuthnInstant")?;
        let not_on_or_after_ms =
            checks::optional_instant(document, statement, "SessionNotOnOrAfter")?;
        if let Some(at_ms) = not_on_or_after_ms {
            expect.clock().not_on_or_after(at_ms, "the end of the provider's session")?;
        }
        let context = match xml::optional(document, statement, ASSERTION, "AuthnContext")? {
            Some(context) => xml::optional(document, context, ASSERTION, "AuthnContextClassRef")?,
            None => None,
        };
        sessions.push(Session {
            index: xml::attribute(document, statement, "SessionIndex")
                .filter(|index| !index.is_empty())
                .map(str::to_owned),
            authn_instant_ms,
            context: context
                .map(|class| xml::text(document, class, "AuthnContextClassRef"))
                .transpose()?,
            not_on_or_after_ms,
        });
    }
    sessions.into_iter().next().ok_or(Fault::Missing { what: "AuthnStatement", of: "Assertion" })
}

fn attributes(document: &Document<'_>, assertion: NodeId) -> Result<Vec<Attribute>, Fault> {
    const LIMIT: usize = 200;
    let mut attributes: Vec<Attribute> = Vec::new();
    for statement in xml::all(document, assertion, ASSERTION, "AttributeStatement") {
        for node in xml::elements(document, statement) {
            if !xml::is(document, node, ASSERTION, "Attribute") {
                return Err(Fault::Unexpected {
                    expected: "Attribute (single attributes cannot be encrypted: encrypt the assertion)",
                    found: Excerpt::of(xml::name(document, node)),
                });
            }
            let name = xml::required_attribute(document, node, "Name", "Attribute")?;
            let values = xml::all(document, node, ASSERTION, "AttributeValue")
                .into_iter()
                .filter(|value| !is_nil(document, *value));
            let values: Vec<String> = values.map(|value| xml::deep_text(document, value)).collect();
            if let Some(known) = attributes.iter_mut().find(|known| known.name == name) {
                known.values.extend(values);
                continue;
            }
            if attributes.len() == LIMIT {
                return Err(Fault::TooLarge { what: "the list of attributes", limit: LIMIT });
            }
            attributes.push(Attribute {
                name: name.to_owned(),
                friendly_name: xml::attribute(document, node, "FriendlyName").map(str::to_owned),
                values,
            });
        }
    }
    Ok(attributes)
}

fn is_nil(document: &Document<'_>, value: NodeId) -> bool {
    document.get_attribute_ns(value, XSI, "nil").is_some_and(|nil| matches!(nil, "true" | "1"))
}
