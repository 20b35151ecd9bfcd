//! XML that is written in its exclusive canonical form at once, so that what is hashed is what is sent, and the few readers that the
//! provider needs.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use uppsala::{Document, NodeId, Parser};

use crate::ambient::{DAY, Ms};
use crate::error::Result;

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const EXC_C14N: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
const SHA256_URI: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

/// Where the signature stands in what `sign` gets.
pub const SIGNATURE: &str = "<!signature>";

/// An enveloped signature over a canonical element of this id. `sign` makes RSA with SHA-256.
pub fn sign(
    canonical: &str,
    id: &str,
    certificate: &str,
    sign: impl FnOnce(&[u8]) -> Result<Vec<u8>>,
) -> Result<String> {
    let hash = digest(&SHA256, canonical.replacen(SIGNATURE, "", 1).as_bytes());
    let hash = BASE64_STANDARD.encode(hash);
    // Empty elements are written with both tags, as the canonical form has them.
    let info = format!(
        "<ds:CanonicalizationMethod Algorithm=\"{EXC_C14N}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"></ds:SignatureMethod>\
         <ds:Reference URI=\"#{id}\"><ds:Transforms><ds:Transform Algorithm=\"{ENVELOPED}\"></ds:Transform>\
         <ds:Transform Algorithm=\"{EXC_C14N}\"></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"{SHA256_URI}\"></ds:DigestMethod><ds:DigestValue>{hash}</ds:DigestValue></ds:Reference>"
    );
    // Taken out of the message, the element declares its prefix itself.
    let value =
        sign(format!("<ds:SignedInfo xmlns:ds=\"{DSIG}\">{info}</ds:SignedInfo>").as_bytes())?;
    let signature = format!(
        "<ds:Signature xmlns:ds=\"{DSIG}\"><ds:SignedInfo>{info}</ds:SignedInfo>\
         <ds:SignatureValue>{}</ds:SignatureValue><ds:KeyInfo><ds:X509Data>\
         <ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>",
        BASE64_STANDARD.encode(value)
    );
    Ok(canonical.replacen(SIGNATURE, &signature, 1))
}

/// Text between tags, as the canonical form writes it.
pub fn text(text: &str) -> String {
    sound(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('\r', "&#xD;")
}

/// Text of an attribute, as the canonical form writes it.
pub fn attribute(text: &str) -> String {
    sound(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('"', "&quot;")
        .replace('\t', "&#x9;")
        .replace('\n', "&#xA;")
        .replace('\r', "&#xD;")
}

/// Without what XML cannot carry.
fn sound(text: &str) -> String {
    let carried = |c: &char| {
        !matches!(c, '\u{fffe}' | '\u{ffff}') && (*c >= ' ' || matches!(c, '\t' | '\n' | '\r'))
    };
    text.chars().filter(carried).collect()
}

/// `xs:dateTime` in UTC, to the second.
pub fn instant(ms: Ms) -> String {
    let (days, secs) = (ms.div_euclid(DAY), ms.rem_euclid(DAY) / 1000);
    // Years begin in March, so that the leap day is their last (Hinnant, "chrono-compatible low-level date algorithms").
    let z = days + 719_468;
    let (era, of_era) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let of_400 = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_400 + of_400 / 4 - of_400 / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (date, month) = (
        of_year - (153 * shifted + 2) / 5 + 1,
        if shifted < 10 { shifted + 3 } else { shifted - 9 },
    );
    let year = of_400 + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z",
        secs / 3600,
        secs / 60 % 60,
        secs % 60
    )
}

/// A document without a DOCTYPE.
pub fn parse(xml: &str) -> Option<Document<'_>> {
    Parser::new()
        .with_max_depth(32)
        .with_forbid_dtd(true)
        .with_forbid_entities(true)
        .parse(xml)
        .ok()
}

/// Whether the node is this element, whatever its prefix.
pub fn is(document: &Document<'_>, node: NodeId, namespace: &str, name: &str) -> bool {
    document.element(node).is_some_and(|element| element.matches_name_ns(namespace, name))
}

/// The first child of this name.
pub fn child(document: &Document<'_>, node: NodeId, namespace: &str, name: &str) -> Option<NodeId> {
    document.children_iter(node).find(|child| is(document, *child, namespace, name))
}

/// All elements of this name below a node.
pub fn below(document: &Document<'_>, node: NodeId, namespace: &str, name: &str) -> Vec<NodeId> {
    let (mut found, mut open) = (Vec::new(), document.children(node));
    while let Some(node) = open.pop() {
        if is(document, node, namespace, name) {
            found.push(node);
        }
        open.extend(document.children(node));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_790_000_000_999, "2026-09-21T14:13:20Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59Z"),
        ] {
            assert_eq!(instant(ms), text);
        }
    }

    #[test]
    fn what_is_written_is_canonical() {
        assert_eq!(text("a<b>\"c\" & \u{1}d\r"), "a&lt;b&gt;\"c\" &amp; d&#xD;");
        assert_eq!(attribute("a<b>\"c\"\n"), "a&lt;b>&quot;c&quot;&#xA;");
    }
}
