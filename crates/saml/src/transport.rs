//! The bindings: how a message travels, and its way in. SAML bindings 3.2 (SOAP), 3.4 (Redirect), 3.5 (POST).

use crate::fault::Fault;

/// How a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Binding {
    Redirect,
    Post,
    Soap,
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
#[derive(Debug, Clone)]
pub struct Incoming {
    pub(crate) binding: Binding,
    pub(crate) xml: String,
    pub(crate) relay_state: Option<String>,
    pub(crate) query: Option<QuerySignature>,
}

/// The signature of the Redirect binding, over the octets of the query as they came.
#[derive(Debug, Clone)]
pub(crate) struct QuerySignature {
    pub algorithm: String,
    pub signed: Vec<u8>,
    pub signature: Vec<u8>,
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
        Err(Fault::Metadata("not built yet"))
    }
}

/// The form field `SAMLResponse` or `SAMLRequest` of the POST binding: base64, at most 100,000 characters.
pub fn decode_post(_field: &str) -> Result<Incoming, Fault> {
    Err(Fault::Metadata("not built yet"))
}

/// The raw query (without `?`) of the Redirect binding: DEFLATE, with the signature over its octets kept as they came.
pub fn decode_redirect(_raw_query: &str) -> Result<Incoming, Fault> {
    Err(Fault::Metadata("not built yet"))
}

/// A SOAP envelope: a request that arrived, or the body of an answer to a request of ours.
pub fn decode_soap(_body: &[u8]) -> Result<Incoming, Fault> {
    Err(Fault::Metadata("not built yet"))
}
