//! Checks that several kinds of message share.

use uppsala::{Document, NodeId};

use crate::certificate::PublicKey;
use crate::fault::{Excerpt, Fault};
use crate::names::{ASSERTION, FORMAT_ENTITY, PROTOCOL};
use crate::status::{Status, StatusCode};
use crate::{Credential, NameId, decrypt, time, xml};

/// A moment with the difference that clocks may have.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    pub now_ms: i64,
    pub skew_ms: i64,
}

impl Clock {
    pub(crate) fn not_before(self, at_ms: i64, what: &'static str) -> Result<(), Fault> {
        if self.now_ms.saturating_add(self.skew_ms) < at_ms {
            return Err(Fault::Early { what, at_ms, now_ms: self.now_ms });
        }
        Ok(())
    }

    pub(crate) fn not_on_or_after(self, at_ms: i64, what: &'static str) -> Result<(), Fault> {
        if self.now_ms.saturating_sub(self.skew_ms) >= at_ms {
            return Err(Fault::Late { what, at_ms, now_ms: self.now_ms });
        }
        Ok(())
    }
}

/// The provider's keys. One that cannot be used is no reason not to try the others.
pub(crate) fn keys(trusted: &[Vec<u8>]) -> Result<Vec<PublicKey>, Fault> {
    let keys: Vec<PublicKey> =
        trusted.iter().filter_map(|der| PublicKey::of_certificate(der).ok()).collect();
    if keys.is_empty() {
        return Err(Fault::Key(
            "none of the provider's certificates can be used: RSA of 2048 to 8192 bits or EC P-256, P-384, P-521 is needed",
        ));
    }
    Ok(keys)
}

/// The right element, version 2.0, and an id.
pub(crate) fn message<'d>(
    document: &'d Document<'_>,
    node: NodeId,
    namespace: &str,
    name: &'static str,
) -> Result<&'d str, Fault> {
    if !xml::is(document, node, namespace, name) {
        return Err(Fault::Unexpected {
            expected: name,
            found: Excerpt::of(xml::name(document, node)),
        });
    }
    let version = xml::required_attribute(document, node, "Version", name)?;
    if version != "2.0" {
        return Err(Fault::Invalid { what: "Version", found: Excerpt::of(version) });
    }
    xml::id(document, node, name)
}

pub(crate) fn instant(
    document: &Document<'_>,
    node: NodeId,
    name: &'static str,
    of: &'static str,
) -> Result<i64, Fault> {
    time::parse(xml::required_attribute(document, node, name, of)?, name)
}

pub(crate) fn optional_instant(
    document: &Document<'_>,
    node: NodeId,
    name: &'static str,
) -> Result<Option<i64>, Fault> {
    xml::attribute(document, node, name).map(|text| time::parse(text, name)).transpose()
}

/// Whether the issuer is there; if so it must be the provider.
pub(crate) fn issuer(document: &Document<'_>, node: NodeId, expected: &str) -> Result<bool, Fault> {
    let Some(issuer) = xml::optional(document, node, ASSERTION, "Issuer")? else {
        return Ok(false);
    };
    if let Some(format) =
        xml::attribute(document, issuer, "Format").filter(|format| *format != FORMAT_ENTITY)
    {
        return Err(Fault::Invalid { what: "Format of Issuer", found: Excerpt::of(format) });
    }
    let found = xml::text(document, issuer, "Issuer")?;
    if found != expected {
        return Err(Fault::Issuer { expected: Excerpt::of(expected), found: Excerpt::of(&found) });
    }
    Ok(true)
}

pub(crate) fn required_issuer(
    document: &Document<'_>,
    node: NodeId,
    expected: &str,
    of: &'static str,
) -> Result<(), Fault> {
    if issuer(document, node, expected)? {
        Ok(())
    } else {
        Err(Fault::Missing { what: "Issuer", of })
    }
}

/// Whether the destination is there; if so it must be the address at which the message arrived.
pub(crate) fn destination(
    document: &Document<'_>,
    node: NodeId,
    expected: &str,
) -> Result<bool, Fault> {
    match xml::attribute(document, node, "Destination") {
        None => Ok(false),
        Some(found) if found == expected => Ok(true),
        Some(found) => {
            Err(Fault::Destination { expected: Excerpt::of(expected), found: Excerpt::of(found) })
        }
    }
}

pub(crate) fn status(document: &Document<'_>, response: NodeId) -> Result<Status, Fault> {
    let status = xml::required(document, response, PROTOCOL, "Status", "the response")?;
    let code = xml::required(document, status, PROTOCOL, "StatusCode", "Status")?;
    let detail = match xml::optional(document, code, PROTOCOL, "StatusCode")? {
        Some(below) => Some(xml::required_attribute(document, below, "Value", "StatusCode")?),
        None => None,
    };
    let message = match xml::optional(document, status, PROTOCOL, "StatusMessage")? {
        Some(message) => Some(xml::text(document, message, "StatusMessage")?),
        None => None,
    };
    Ok(Status {
        code: StatusCode::of(xml::required_attribute(document, code, "Value", "StatusCode")?),
        detail: detail.map(Excerpt::of),
        message: message.filter(|text| !text.is_empty()).map(|text| Excerpt::of(&text)),
    })
}

/// The one `NameID` of a subject or a logout request, in the clear or encrypted.
pub(crate) fn name_id(
    document: &Document<'_>,
    of: NodeId,
    credentials: &[&Credential],
    what: &'static str,
) -> Result<NameId, Fault> {
    let clear = xml::optional(document, of, ASSERTION, "NameID")?;
    let encrypted = xml::optional(document, of, ASSERTION, "EncryptedID")?;
    match (clear, encrypted) {
        (Some(clear), None) => read_name_id(document, clear),
        (None, Some(encrypted)) => {
            let plain = decrypt::decrypt(document, encrypted, credentials, "EncryptedID")?;
            let document = xml::parse(&plain.xml, xml::MESSAGE_LIMIT)?;
            let content = decrypt::content(&document, "EncryptedID")?;
            if !xml::is(&document, content, ASSERTION, "NameID") {
                return Err(Fault::Unexpected {
                    expected: "NameID",
                    found: Excerpt::of(xml::name(&document, content)),
                });
            }
            read_name_id(&document, content)
        }
        (None, None) => Err(Fault::Missing { what: "NameID", of: what }),
        (Some(_), Some(_)) => Err(Fault::Unexpected {
            expected: "one name",
            found: Excerpt::of("NameID and EncryptedID"),
        }),
    }
}

fn read_name_id(document: &Document<'_>, node: NodeId) -> Result<NameId, Fault> {
    const LIMIT: usize = 1024;
    let value = xml::text(document, node, "NameID")?;
    if value.is_empty() {
        return Err(Fault::Missing { what: "text", of: "NameID" });
    }
    if value.len() > LIMIT {
        return Err(Fault::TooLarge { what: "NameID", limit: LIMIT });
    }
    let attribute = |name| {
        xml::attribute(document, node, name).filter(|value| !value.is_empty()).map(str::to_owned)
    };
    Ok(NameId {
        value,
        format: attribute("Format"),
        name_qualifier: attribute("NameQualifier"),
        sp_name_qualifier: attribute("SPNameQualifier"),
    })
}
