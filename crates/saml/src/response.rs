//! A provider's answer to "who is this?": SAML core 2 and 3.2.2, and the rules of the Web Browser SSO profile (SAML profiles 4.1.4) for the
//! response. `assertion.rs` has those for what is in it.

use uppsala::{Document, NodeId};

use crate::certificate::PublicKey;
use crate::checks::{self, Clock};
use crate::fault::{Excerpt, Fault};
use crate::names::{ASSERTION, DSIG, PROTOCOL};
use crate::status::StatusCode;
use crate::{Assertion, Binding, Credential, Incoming, assertion, decrypt, signature, xml};

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

/// Verifies a response of the POST binding and reads its one assertion.
///
/// # Errors
/// [`Fault::Refused`] is the only one that a provider's honest answer can be, and it is not verified: anybody can say that a sign-in failed.
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
            assertion::read(&document, assertion, response_id, response_signed, expect)
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
            assertion::read(&document, assertion, response_id, response_signed, expect)
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

pub(crate) fn in_response_to(
    found: Option<&str>,
    expect: &Expect<'_>,
    required: bool,
) -> Result<(), Fault> {
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

impl Expect<'_> {
    pub(crate) fn clock(&self) -> Clock {
        Clock { now_ms: self.now_ms, skew_ms: self.skew_ms }
    }
}
