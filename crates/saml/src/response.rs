//! A provider's answer to "who is this?": SAML core 2 and 3.2.2, and the rules of the Web Browser SSO profile (SAML profiles 4.1.4).

use uppsala::{Document, NodeId};

use crate::certificate::PublicKey;
use crate::checks::{self, Clock};
use crate::fault::{Excerpt, Fault};
use crate::names::{ASSERTION, BEARER, DSIG, PROTOCOL, XSI};
use crate::status::StatusCode;
use crate::{Binding, Credential, Incoming, decrypt, signature, xml};

/// What a response must be to be believed.
#[derive(Debug, Clone)]
pub struct Expect<'a> {
    /// The provider that must have issued response and assertion.
    pub idp_entity_id: &'a str,
    /// Its signing certificates (DER), from its metadata. No other key is ever used.
    pub trusted: &'a [Vec<u8>],
    /// Our entity id.
    pub audience: &'a str,
    /// The address at which the response arrived: `Destination` and `Recipient` must be equal to it.
    pub acs_url: &'a str,
    pub now_ms: i64,
    /// How much clocks may differ; 60,000 is usual.
    pub skew_ms: i64,
    /// The id of our request. `None`: unsolicited (IdP-initiated), which must name no request.
    pub in_response_to: Option<&'a str>,
    /// How old an unsolicited assertion may be; Cognito allows 360,000.
    pub max_age_ms: i64,
    /// Refuse an assertion that is not encrypted.
    pub require_encrypted: bool,
    /// Our decryption keys; each is tried.
    pub decrypt: &'a [&'a Credential],
}

/// What a provider said of somebody, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assertion {
    /// To be remembered until `replay_until_ms`, and refused if it was seen before.
    pub id: String,
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

/// Verifies a response of the POST binding and reads its one assertion.
pub fn consume_response(message: &Incoming, expect: &Expect<'_>) -> Result<Assertion, Fault> {
    if message.binding() != Binding::Post {
        return Err(Fault::Encoding("a sign-in response must arrive by the POST binding"));
    }
    let keys = checks::keys(expect.trusted)?;
    let (document, response) = message.open()?;
    let response_id = checks::message(&document, response, PROTOCOL, "Response")?.to_owned();
    let status = checks::status(&document, response)?;
    if status.code != StatusCode::Success {
        return Err(Fault::Refused(status));
    }
    let enclosed = the_assertion(&document, response)?;

    // Signed as a whole, then whatever it holds is the provider's word. Not signed as a whole, then only the assertion can be, and
    // what stands around it is compared with what is expected but believed for nothing.
    let response_signed = signature::verify(&document, response, &keys, "the response")?;
    answers(
        &document,
        response,
        response_signed,
        matches!(enclosed, Enclosed::Encrypted(_)),
        expect,
    )?;

    match enclosed {
        Enclosed::Clear(_) if expect.require_encrypted => Err(Fault::NotEncrypted),
        Enclosed::Clear(assertion) => {
            signature::only_in(&document, &[response, assertion])?;
            let assertion_signed = signature::verify(&document, assertion, &keys, "the assertion")?;
            if !response_signed && !assertion_signed {
                return Err(Fault::Unsigned { what: "the assertion" });
            }
            read(&document, assertion, response_id, response_signed, expect)
        }
        Enclosed::Encrypted(encrypted) => {
            signature::only_in(&document, &[response])?;
            let plain =
                decrypt::decrypt(&document, encrypted, expect.decrypt, "EncryptedAssertion")?;
            let opened = xml::parse(&plain.xml, xml::MESSAGE_LIMIT).and_then(|document| {
                opened(&document, &keys, response_signed).map(|assertion| (document, assertion))
            });
            // Whoever changes a ciphertext and sends it learns nothing but that it was refused, until somebody we trust has signed
            // either the ciphertext or what was in it.
            let (document, assertion) = match opened {
                Err(_) if !response_signed && !plain.authenticated => {
                    return Err(Fault::Undecryptable { what: "EncryptedAssertion" });
                }
                opened => opened?,
            };
            read(&document, assertion, response_id, response_signed, expect)
        }
    }
}

enum Enclosed {
    Clear(NodeId),
    Encrypted(NodeId),
}

/// The one assertion directly in the response. Every element of such a name counts wherever it hides, because a second assertion is
/// how signatures are wrapped.
fn the_assertion(document: &Document<'_>, response: NodeId) -> Result<Enclosed, Fault> {
    let named: Vec<NodeId> = xml::descendants(document, response)
        .into_iter()
        .filter(|node| matches!(xml::name(document, *node), "Assertion" | "EncryptedAssertion"))
        .collect();
    let [one] = named.as_slice() else { return Err(Fault::Assertions { found: named.len() }) };
    for child in xml::elements(document, response) {
        let known = xml::is(document, child, ASSERTION, "Issuer")
            || xml::is(document, child, DSIG, "Signature")
            || xml::is(document, child, PROTOCOL, "Extensions")
            || xml::is(document, child, PROTOCOL, "Status")
            || child == *one;
        if !known {
            return Err(Fault::Unexpected {
                expected: "an element of Response",
                found: Excerpt::of(xml::name(document, child)),
            });
        }
    }
    if document.parent(*one) != Some(response) {
        return Err(Fault::Assertions { found: 0 });
    }
    if xml::is(document, *one, ASSERTION, "Assertion") {
        Ok(Enclosed::Clear(*one))
    } else if xml::is(document, *one, ASSERTION, "EncryptedAssertion") {
        Ok(Enclosed::Encrypted(*one))
    } else {
        Err(Fault::Unexpected {
            expected: "an assertion of SAML 2.0",
            found: Excerpt::of("one of another namespace"),
        })
    }
}

/// A decrypted assertion that somebody we trust has signed: itself, or the ciphertext that it was in.
fn opened(
    document: &Document<'_>,
    keys: &[PublicKey],
    response_signed: bool,
) -> Result<NodeId, Fault> {
    let assertion = decrypt::content(document, "EncryptedAssertion")?;
    let named = xml::descendants(document, document.root());
    let named = named
        .into_iter()
        .filter(|node| matches!(xml::name(document, *node), "Assertion" | "EncryptedAssertion"))
        .count();
    if named != 1 || !xml::is(document, assertion, ASSERTION, "Assertion") {
        return Err(Fault::Assertions { found: named });
    }
    signature::only_in(document, &[assertion])?;
    let assertion_signed = signature::verify(document, assertion, keys, "the assertion")?;
    if response_signed || assertion_signed {
        Ok(assertion)
    } else {
        Err(Fault::Unsigned { what: "the assertion" })
    }
}

/// Whether the response is from whom, for whom and to what it must be.
fn answers(
    document: &Document<'_>,
    response: NodeId,
    signed: bool,
    encrypted: bool,
    expect: &Expect<'_>,
) -> Result<(), Fault> {
    // Profiles 4.1.4.2: the issuer may be left out only where the assertion itself says it, signed.
    if !checks::issuer(document, response, expect.idp_entity_id)? && (signed || encrypted) {
        return Err(Fault::Missing { what: "Issuer", of: "Response" });
    }
    // Bindings 3.5.5.2: a signed message says where it goes.
    if !checks::destination(document, response, expect.acs_url)? && signed {
        return Err(Fault::Missing { what: "Destination", of: "Response" });
    }
    in_response_to(xml::attribute(document, response, "InResponseTo"), expect, true)?;
    expect.clock().not_before(
        checks::instant(document, response, "IssueInstant", "Response")?,
        "the response's IssueInstant",
    )
}

fn in_response_to(found: Option<&str>, expect: &Expect<'_>, required: bool) -> Result<(), Fault> {
    match (expect.in_response_to, found) {
        (Some(expected), Some(found)) if expected == found => Ok(()),
        (Some(_), None) if !required => Ok(()),
        (None, None) => Ok(()),
        (expected, found) => Err(Fault::InResponseTo {
            expected: expected.map(Excerpt::of),
            found: found.map(Excerpt::of),
        }),
    }
}

/// Reads an assertion whose signature holds. Everything that is read lies below it.
fn read(
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

impl Expect<'_> {
    fn clock(&self) -> Clock {
        Clock { now_ms: self.now_ms, skew_ms: self.skew_ms }
    }
}
