//! The bindings: how a message travels, and its way in. SAML bindings 3.2 (SOAP), 3.4 (Redirect), 3.5 (POST).

use std::borrow::Cow;
use std::fmt;
use std::io::Read as _;

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use flate2::read::DeflateDecoder;
use uppsala::{Document, NodeId};

use crate::certificate::{Algorithm, PublicKey, Written};
use crate::fault::{Excerpt, Fault};
use crate::names::{self, ASSERTION, PROTOCOL, SOAP};
use crate::xml::{self, MESSAGE_LIMIT};

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binding {
    Redirect,
    Post,
    Soap,
}

impl Binding {
    pub(crate) fn of(uri: &str) -> Option<Binding> {
        match uri {
            names::BINDING_REDIRECT => Some(Binding::Redirect),
            names::BINDING_POST => Some(Binding::Post),
            names::BINDING_SOAP => Some(Binding::Soap),
            _ => None,
        }
    }

    pub(crate) fn uri(self) -> &'static str {
        match self {
            Binding::Redirect => names::BINDING_REDIRECT,
            Binding::Post => names::BINDING_POST,
            Binding::Soap => names::BINDING_SOAP,
        }
    }
}

/// An address of a party, as metadata describes it. `location` and `response_location` are http(s) URLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    pub binding: Binding,
    pub location: String,
    /// Where answers go, if elsewhere than requests.
    pub response_location: Option<String>,
}

impl Endpoint {
    /// Where a LogoutResponse goes.
    #[must_use]
    pub fn for_responses(&self) -> &str {
        self.response_location.as_deref().unwrap_or(&self.location)
    }
}

/// A message that arrived, unwrapped from its transport. Not verified, not read.
#[derive(Clone)]
pub struct Incoming {
    binding: Binding,
    xml: String,
    relay_state: Option<String>,
    query: Option<QuerySignature>,
}

/// The signature of the Redirect binding, over the octets of the query as they came.
#[derive(Clone)]
struct QuerySignature {
    algorithm: String,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// What kind of message it says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Response,
    LogoutRequest,
    LogoutResponse,
}

/// What a message says of itself before anything is verified: enough to find whose it might be, and nothing more may be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peek {
    pub kind: Kind,
    pub id: String,
    pub issuer: Option<String>,
    pub in_response_to: Option<String>,
}

impl Incoming {
    #[must_use]
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// The RelayState of a redirect, which its signature covers. That of a POST is another form field, which the caller has.
    #[must_use]
    pub fn relay_state(&self) -> Option<&str> {
        self.relay_state.as_deref()
    }

    /// Reads kind, id, issuer and InResponseTo, unverified.
    pub fn peek(&self) -> Result<Peek, Fault> {
        let (document, message) = self.open()?;
        let kind = [
            ("Response", Kind::Response),
            ("LogoutRequest", Kind::LogoutRequest),
            ("LogoutResponse", Kind::LogoutResponse),
        ]
        .into_iter()
        .find(|(name, _)| xml::is(&document, message, PROTOCOL, name))
        .map(|(_, kind)| kind)
        .ok_or_else(|| Fault::Unexpected {
            expected: "Response, LogoutRequest or LogoutResponse",
            found: Excerpt::of(xml::name(&document, message)),
        })?;
        let issuer = match xml::optional(&document, message, ASSERTION, "Issuer")? {
            Some(issuer) => Some(xml::text(&document, issuer, "Issuer")?),
            None => None,
        };
        Ok(Peek {
            kind,
            id: xml::id(&document, message, "the message")?.to_owned(),
            issuer,
            in_response_to: xml::attribute(&document, message, "InResponseTo").map(str::to_owned),
        })
    }

    /// The whole tree, and the message in it: its root, or the one element of a SOAP body.
    pub(crate) fn open(&self) -> Result<(Document<'_>, NodeId), Fault> {
        let document = xml::parse(&self.xml, MESSAGE_LIMIT)?;
        let root = xml::root(&document)?;
        if self.binding != Binding::Soap {
            return Ok((document, root));
        }
        if !xml::is(&document, root, SOAP, "Envelope") {
            return Err(Fault::Unexpected {
                expected: "a SOAP 1.1 Envelope",
                found: Excerpt::of(xml::name(&document, root)),
            });
        }
        let body = xml::required(&document, root, SOAP, "Body", "the SOAP envelope")?;
        let message = match xml::elements(&document, body).as_slice() {
            [one] => *one,
            _ => return Err(Fault::Missing { what: "single message", of: "the SOAP body" }),
        };
        if xml::is(&document, message, SOAP, "Fault") {
            return Err(Fault::SoapFault(Excerpt::of(&xml::deep_text(&document, message))));
        }
        Ok((document, message))
    }

    /// Whether the query that brought the message is signed, by one of `keys`. A signature that does not hold is an error.
    pub(crate) fn query_is_signed(&self, keys: &[PublicKey]) -> Result<bool, Fault> {
        let Some(query) = &self.query else { return Ok(false) };
        let algorithm = Algorithm::of(&query.algorithm)?;
        if keys.iter().any(|key| {
            key.verifies(algorithm, &query.signed, &query.signature, Written::FixedOrAsn1)
        }) {
            Ok(true)
        } else {
            Err(Fault::SignatureMismatch { what: "the query", tried: keys.len() })
        }
    }
}

/// Without the message, which is about a person.
impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("binding", &self.binding)
            .field("bytes", &self.xml.len())
            .finish_non_exhaustive()
    }
}

/// The form field `SAMLResponse` or `SAMLRequest` of the POST binding: base64, at most 100,000 characters.
pub fn decode_post(field: &str) -> Result<Incoming, Fault> {
    if field.len() > MESSAGE_LIMIT {
        return Err(Fault::TooLarge { what: "the SAML message", limit: MESSAGE_LIMIT });
    }
    let xml = utf8(base64(field)?)?;
    Ok(Incoming { binding: Binding::Post, xml, relay_state: None, query: None })
}

/// The raw query (without `?`) of the Redirect binding: DEFLATE, with the signature over its octets kept as they came.
pub fn decode_redirect(raw_query: &str) -> Result<Incoming, Fault> {
    if raw_query.len() > MESSAGE_LIMIT {
        return Err(Fault::TooLarge { what: "the query", limit: MESSAGE_LIMIT });
    }
    let message =
        match (parameter(raw_query, "SAMLRequest")?, parameter(raw_query, "SAMLResponse")?) {
            (Some(request), None) => ("SAMLRequest", request),
            (None, Some(response)) => ("SAMLResponse", response),
            _ => {
                return Err(Fault::Encoding(
                    "the query must hold one of SAMLRequest and SAMLResponse",
                ));
            }
        };
    if let Some(encoding) = parameter(raw_query, "SAMLEncoding")? {
        let encoding = percent_decoded(encoding)?;
        if encoding != names::DEFLATE {
            return Err(Fault::Algorithm { what: "SAMLEncoding", found: Excerpt::of(&encoding) });
        }
    }
    let relay_state = parameter(raw_query, "RelayState")?;
    let query = match (parameter(raw_query, "SigAlg")?, parameter(raw_query, "Signature")?) {
        (Some(algorithm), Some(signature)) => {
            // Put together in the order that the binding prescribes, each value as it came: 3.4.4.1.
            let mut signed = format!("{}={}", message.0, message.1);
            if let Some(relay_state) = relay_state {
                signed.push_str("&RelayState=");
                signed.push_str(relay_state);
            }
            signed.push_str("&SigAlg=");
            signed.push_str(algorithm);
            Some(QuerySignature {
                algorithm: percent_decoded(algorithm)?.into_owned(),
                signed: signed.into_bytes(),
                signature: base64(&percent_decoded(signature)?)?,
            })
        }
        (None, None) => None,
        _ => {
            return Err(Fault::SignatureShape(
                "the query has one of SigAlg and Signature, and needs both",
            ));
        }
    };
    let xml = utf8(inflated(&base64(&percent_decoded(message.1)?)?)?)?;
    let relay_state =
        relay_state.map(|raw| percent_decoded(raw).map(Cow::into_owned)).transpose()?;
    Ok(Incoming { binding: Binding::Redirect, xml, relay_state, query })
}

/// A SOAP envelope: a request that arrived, or the body of an answer to a request of ours.
pub fn decode_soap(body: &[u8]) -> Result<Incoming, Fault> {
    if body.len() > MESSAGE_LIMIT {
        return Err(Fault::TooLarge { what: "the SOAP envelope", limit: MESSAGE_LIMIT });
    }
    Ok(Incoming {
        binding: Binding::Soap,
        xml: utf8(body.to_vec())?,
        relay_state: None,
        query: None,
    })
}

/// The raw value of a parameter that may be there once: of two, a reader before us may have taken the other one.
fn parameter<'q>(raw_query: &'q str, name: &str) -> Result<Option<&'q str>, Fault> {
    let mut values = raw_query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (percent_decoded(key).is_ok_and(|key| key == name)).then_some((key, value))
    });
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        // A name in another spelling (`%53AMLRequest`) would not be the octets that were signed.
        (Some((key, value)), None) if key == name => Ok(Some(value)),
        _ => Err(Fault::Encoding("the query names a parameter twice, or in an unusual spelling")),
    }
}

fn percent_decoded(raw: &str) -> Result<Cow<'_, str>, Fault> {
    if !raw.contains(['%', '+']) {
        return Ok(Cow::Borrowed(raw));
    }
    const BAD: Fault = Fault::Encoding(
        "the query is not well-formed: a % must be followed by two hexadecimal digits",
    );
    let mut bytes = Vec::with_capacity(raw.len());
    let mut rest = raw.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    rest.next()
                        .and_then(|byte| char::from(byte).to_digit(16))
                        .and_then(|n| u8::try_from(n).ok())
                };
                let (high, low) = (digit().ok_or(BAD)?, digit().ok_or(BAD)?);
                high << 4 | low
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| Fault::Encoding("the query is not UTF-8"))
}

/// At most as much as a message may have: a few bytes can inflate to gigabytes.
fn inflated(deflated: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    DeflateDecoder::new(deflated)
        .take(MESSAGE_LIMIT as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| Fault::Encoding("the message is not compressed with DEFLATE"))?;
    if bytes.len() > MESSAGE_LIMIT {
        return Err(Fault::TooLarge { what: "the SAML message", limit: MESSAGE_LIMIT });
    }
    Ok(bytes)
}

/// Lines, missing padding, and spaces that were a `+` before somebody decoded them once too often.
fn base64(text: &str) -> Result<Vec<u8>, Fault> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &ALPHABET,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let compact: String = text
        .trim_matches(xml::is_space)
        .chars()
        .filter(|c| !matches!(c, '\r' | '\n' | '\t'))
        .map(|c| if c == ' ' { '+' } else { c })
        .collect();
    LENIENT.decode(compact).map_err(|_| Fault::Encoding("the message is not base64"))
}

fn utf8(bytes: Vec<u8>) -> Result<String, Fault> {
    String::from_utf8(bytes).map_err(|_| Fault::Encoding("the message is not UTF-8"))
}
