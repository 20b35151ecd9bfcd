//! What can be wrong with a message, in words that an operator can act on. Nothing that a sender wrote is echoed unbounded.

use std::fmt;

use crate::status::Status;

/// Why a message, a document or a key was refused. `Display` is one sentence for a log or an `error_description`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// More bytes, elements or items than the crate reads.
    TooLarge { what: &'static str, limit: usize },
    /// The transport's wrapping (base64, DEFLATE, UTF-8, form encoding) does not hold a message.
    Encoding(&'static str),
    /// Not well-formed XML, with the parser's position.
    NotXml(Excerpt),
    /// Well-formed XML with something that no SAML message needs and attacks use: a DOCTYPE, a processing instruction, two equal ids.
    Forbidden(&'static str),
    /// Another element than the one that belongs here.
    Unexpected { expected: &'static str, found: Excerpt },
    /// A required element or attribute is missing.
    Missing { what: &'static str, of: &'static str },
    /// A value that breaks its own rules: a time that is no time, a URL that is not http(s), a version that is not 2.0.
    Invalid { what: &'static str, found: Excerpt },
    /// Not exactly one assertion; zero or several.
    Assertions { found: usize },
    /// Nothing that is read is covered by a signature.
    Unsigned { what: &'static str },
    /// A signature of a shape that SAML does not allow: see the words.
    SignatureShape(&'static str),
    /// An algorithm that is not accepted for this purpose.
    Algorithm { what: &'static str, found: Excerpt },
    /// The signed content was changed after it was signed.
    DigestMismatch { what: &'static str },
    /// No trusted certificate made this signature.
    SignatureMismatch { what: &'static str, tried: usize },
    /// A certificate or key that cannot be used: see the words.
    Key(&'static str),
    /// The message comes from another party than the one it must come from.
    Issuer { expected: Excerpt, found: Excerpt },
    /// Addressed to another URL.
    Destination { expected: Excerpt, found: Excerpt },
    /// The assertion is for another service provider.
    Audience { expected: Excerpt, found: Excerpt },
    /// No bearer confirmation of the subject holds; the words of the first that was tried.
    Confirmation(&'static str),
    /// An answer to another request than ours, or to none.
    InResponseTo { expected: Option<Excerpt>, found: Option<Excerpt> },
    /// Not valid yet. Both times in milliseconds since 1970.
    Early { what: &'static str, at_ms: i64, now_ms: i64 },
    /// Not valid any more. Both times in milliseconds since 1970.
    Late { what: &'static str, at_ms: i64, now_ms: i64 },
    /// The provider answers that it did not do what was asked.
    Refused(Status),
    /// Encrypted assertions are demanded and this one is not.
    NotEncrypted,
    /// Could not be decrypted to something that a trusted certificate signed. Deliberately without detail: detail would help whoever
    /// changes a ciphertext and watches the answers.
    Undecryptable { what: &'static str },
    /// A SOAP fault in place of a message, with its `faultstring`.
    SoapFault(Excerpt),
    /// Metadata that does not describe exactly the identity provider that is wanted: see the words.
    Metadata(&'static str),
    /// Metadata describes several identity providers and none was named, or not the one that was named.
    NoSuchEntity { wanted: Option<Excerpt>, found: Excerpt },
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::TooLarge { what, limit } => {
                write!(f, "{what} is larger than the {limit} that are read")
            }
            Fault::Encoding(what) => f.write_str(what),
            Fault::NotXml(why) => write!(f, "not well-formed XML: {why}"),
            Fault::Forbidden(what) => write!(f, "{what} is not allowed in SAML"),
            Fault::Unexpected { expected, found } => {
                write!(f, "expected {expected}, found {found}")
            }
            Fault::Missing { what, of } => write!(f, "{of} has no {what}"),
            Fault::Invalid { what, found } => write!(f, "{what} is not valid: {found}"),
            Fault::Assertions { found } => {
                write!(f, "a response must hold exactly one assertion, and this one holds {found}")
            }
            Fault::Unsigned { what } => {
                write!(
                    f,
                    "{what} is not signed: let the provider sign the response or the assertion, and logout messages"
                )
            }
            Fault::SignatureShape(why) => {
                write!(f, "the signature has a form that is not accepted: {why}")
            }
            Fault::Algorithm { what, found } => write!(f, "{what} {found} is not accepted"),
            Fault::DigestMismatch { what } => write!(f, "{what} was changed after it was signed"),
            Fault::SignatureMismatch { what, tried } => write!(
                f,
                "the signature of {what} was made by none of the {tried} certificates in the provider's metadata: load its current metadata"
            ),
            Fault::Key(why) => f.write_str(why),
            Fault::Issuer { expected, found } => {
                write!(f, "the issuer is {found}, and must be {expected}")
            }
            Fault::Destination { expected, found } => {
                write!(f, "the message is for {found}, and arrived at {expected}")
            }
            Fault::Audience { expected, found } => {
                write!(f, "the assertion's audience is {found}, and must be {expected}")
            }
            Fault::Confirmation(why) => {
                write!(f, "no bearer confirmation of the subject holds: {why}")
            }
            Fault::InResponseTo { expected: Some(expected), found: Some(found) } => {
                write!(f, "this answers request {found}, and must answer {expected}")
            }
            Fault::InResponseTo { expected: Some(expected), found: None } => {
                write!(f, "this does not say that it answers request {expected}")
            }
            Fault::InResponseTo { found: Some(found), .. } => {
                write!(f, "this answers request {found}, which is not open")
            }
            Fault::InResponseTo { .. } => {
                f.write_str("this must answer a request and answers none")
            }
            Fault::Early { what, at_ms, now_ms } => {
                write!(
                    f,
                    "{what} is {} s in the future: compare the clocks of the provider and of this server",
                    (at_ms - now_ms) / 1000
                )
            }
            Fault::Late { what, at_ms, now_ms } => {
                write!(f, "{what} was {} s ago", (now_ms - at_ms) / 1000)
            }
            Fault::Refused(status) => write!(f, "the provider answers {status}"),
            Fault::NotEncrypted => {
                f.write_str("the assertion is not encrypted, and this provider's must be")
            }
            Fault::Undecryptable { what } => write!(
                f,
                "{what} cannot be decrypted to something that the provider signed: does it have our current encryption certificate?"
            ),
            Fault::SoapFault(why) => write!(f, "the provider answers with a SOAP fault: {why}"),
            Fault::Metadata(why) => write!(f, "the metadata {why}"),
            Fault::NoSuchEntity { wanted: Some(wanted), found } => {
                write!(
                    f,
                    "the metadata does not describe an identity provider {wanted}; it describes {found}"
                )
            }
            Fault::NoSuchEntity { wanted: None, found } => {
                write!(
                    f,
                    "the metadata describes several identity providers, and one must be named: {found}"
                )
            }
        }
    }
}

/// A few characters of what a sender wrote: at most 120, without control characters, quoted when shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Excerpt(String);

impl Excerpt {
    const LIMIT: usize = 120;

    #[must_use]
    pub fn of(text: &str) -> Excerpt {
        let mut short: String =
            text.chars().take(Self::LIMIT).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.chars().nth(Self::LIMIT).is_some() {
            short.push('…');
        }
        Excerpt(short)
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
