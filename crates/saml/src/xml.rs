//! The one tree that is verified and read: parsing within limits, and readers that cannot be fooled by prefixes, comments or
//! attributes of other namespaces.

use std::borrow::Cow;
use std::collections::HashSet;

use uppsala::{Document, NodeId, NodeKind, Parser};

use crate::fault::{Excerpt, Fault};
use crate::names::XML;

/// Characters of a message, as in Cognito's quota for a SAML response.
pub(crate) const MESSAGE_LIMIT: usize = 100_000;
/// Characters of a metadata document. Aggregates of whole federations are larger; they offer single entities by query.
pub(crate) const METADATA_LIMIT: usize = 2_000_000;
const DEPTH_LIMIT: u32 = 64;
/// What costs more than its length: the parser compares each attribute with each of its element, and canonicalisation looks at every
/// prefix in scope for every element. No honest message comes near.
const ATTRIBUTES_LIMIT: usize = 64;
const PREFIXES_LIMIT: usize = 64;
/// Characters of a document for which one element is allowed; the shortest that SAML has are longer.
const CHARACTERS_PER_ELEMENT: usize = 20;
const ID_LIMIT: usize = 256;

/// Parses a message or metadata. Refused: a DOCTYPE (and so every entity), processing instructions within the document's element, two
/// equal ids, a declared encoding that is not the one the text came in, and more parts than an honest sender needs.
pub(crate) fn parse(xml: &str, limit: usize) -> Result<Document<'_>, Fault> {
    if xml.len() > limit {
        return Err(Fault::TooLarge { what: "the XML document", limit });
    }
    // The parser refuses it too; this names it. A CDATA section that holds these characters is not worth an exception.
    if xml.contains("<!DOCTYPE") {
        return Err(Fault::Forbidden("a DOCTYPE"));
    }
    few_attributes(xml)?;
    let document = Parser::new()
        .with_max_depth(DEPTH_LIMIT)
        .with_forbid_dtd(true)
        .with_forbid_entities(true)
        .parse(xml.strip_prefix('\u{feff}').unwrap_or(xml))
        .map_err(|why| Fault::NotXml(Excerpt::of(&why.to_string())))?;
    if let Some(declaration) = &document.xml_declaration {
        // Readers of XML 1.1 see other line ends and other characters.
        if declaration.version != "1.0" {
            return Err(Fault::Invalid {
                what: "the version of XML",
                found: Excerpt::of(&declaration.version),
            });
        }
        let utf8 = declaration
            .encoding
            .as_ref()
            .is_none_or(|encoding| encoding.eq_ignore_ascii_case("utf-8"));
        if !utf8 && !xml.is_ascii() {
            return Err(Fault::Encoding("the XML document declares an encoding that is not UTF-8"));
        }
    }
    let (mut ids, mut prefixes, mut elements) = (HashSet::new(), HashSet::new(), 0);
    for node in descendants(&document, document.root()) {
        match document.node_kind(node) {
            Some(NodeKind::ProcessingInstruction(_))
                if document.parent(node) != Some(document.root()) =>
            {
                return Err(Fault::Forbidden("a processing instruction"));
            }
            Some(NodeKind::Element(element)) => {
                elements += 1;
                for (prefix, uri) in &element.namespace_declarations {
                    // Namespaces in XML 1.1 unbinds prefixes so, which other readers take as an error.
                    if uri.is_empty() && !prefix.is_empty() {
                        return Err(Fault::Forbidden("a prefix that is bound to nothing"));
                    }
                    prefixes.insert(prefix.to_string());
                }
                for attribute in &element.attributes {
                    let is_id = match attribute.name.namespace_uri.as_deref() {
                        None => {
                            ["ID", "Id", "id", "AssertionID"].contains(&&*attribute.name.local_name)
                        }
                        Some(namespace) => namespace == XML && &*attribute.name.local_name == "id",
                    };
                    if is_id && !ids.insert(attribute.value.to_string()) {
                        return Err(Fault::Forbidden("an id that two elements carry"));
                    }
                }
            }
            _ => {}
        }
    }
    if elements > limit / CHARACTERS_PER_ELEMENT {
        return Err(Fault::TooLarge {
            what: "the number of elements",
            limit: limit / CHARACTERS_PER_ELEMENT,
        });
    }
    if prefixes.len() > PREFIXES_LIMIT {
        return Err(Fault::TooLarge {
            what: "the number of namespace prefixes",
            limit: PREFIXES_LIMIT,
        });
    }
    Ok(document)
}

/// Counts the quoted values of each tag before the parser sees them.
fn few_attributes(xml: &str) -> Result<(), Fault> {
    let mut rest = xml;
    while let Some((_, markup)) = rest.split_once('<') {
        let skipped = [("!--", "-->"), ("![CDATA[", "]]>"), ("?", "?>")].into_iter().find_map(
            |(open, close)| {
                markup
                    .strip_prefix(open)
                    .map(|inside| inside.split_once(close).map_or("", |(_, after)| after))
            },
        );
        if let Some(after) = skipped {
            rest = after;
            continue;
        }
        let (mut quote, mut values) = (None, 0);
        let end = markup.bytes().position(|byte| {
            match (quote, byte) {
                (None, b'"' | b'\'') => {
                    quote = Some(byte);
                    values += 1;
                }
                (Some(open), byte) if open == byte => quote = None,
                _ => {}
            }
            values > ATTRIBUTES_LIMIT || (quote.is_none() && byte == b'>')
        });
        if values > ATTRIBUTES_LIMIT {
            return Err(Fault::TooLarge {
                what: "the number of attributes of an element",
                limit: ATTRIBUTES_LIMIT,
            });
        }
        // `>` and quotes are ASCII, so that this is a boundary.
        rest = end.and_then(|end| markup.get(end..)).unwrap_or_default();
    }
    Ok(())
}

/// All nodes below `top`, in the document's order. Not recursive.
pub(crate) fn descendants(document: &Document<'_>, top: NodeId) -> Vec<NodeId> {
    let mut found = Vec::new();
    let mut open: Vec<NodeId> = document.children(top).into_iter().rev().collect();
    while let Some(node) = open.pop() {
        found.push(node);
        open.extend(document.children(node).into_iter().rev());
    }
    found
}

pub(crate) fn root(document: &Document<'_>) -> Result<NodeId, Fault> {
    document.document_element().ok_or(Fault::Encoding("the XML document has no element"))
}

/// Whether the node is this element of this namespace, whatever its prefix.
pub(crate) fn is(document: &Document<'_>, node: NodeId, namespace: &str, name: &str) -> bool {
    document.element(node).is_some_and(|element| element.matches_name_ns(namespace, name))
}

/// The local name of an element.
pub(crate) fn name<'d>(document: &'d Document<'_>, node: NodeId) -> &'d str {
    document.element(node).map_or("", |element| &*element.name.local_name)
}

/// Child elements of any name.
pub(crate) fn elements(document: &Document<'_>, node: NodeId) -> Vec<NodeId> {
    document.children_iter(node).filter(|child| document.element(*child).is_some()).collect()
}

/// Child elements of one name.
pub(crate) fn all(
    document: &Document<'_>,
    node: NodeId,
    namespace: &str,
    name: &str,
) -> Vec<NodeId> {
    document.children_iter(node).filter(|child| is(document, *child, namespace, name)).collect()
}

/// The child of this name, of which there may be one.
pub(crate) fn optional(
    document: &Document<'_>,
    node: NodeId,
    namespace: &str,
    name: &'static str,
) -> Result<Option<NodeId>, Fault> {
    match all(document, node, namespace, name).as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        [_, second, ..] => Err(Fault::Unexpected {
            expected: name,
            found: Excerpt::of(&format!(
                "two of it, the second in line {}",
                document.node_line(*second)
            )),
        }),
    }
}

/// The child of this name, of which there must be one.
pub(crate) fn required(
    document: &Document<'_>,
    node: NodeId,
    namespace: &str,
    name: &'static str,
    of: &'static str,
) -> Result<NodeId, Fault> {
    optional(document, node, namespace, name)?.ok_or(Fault::Missing { what: name, of })
}

/// An attribute without a namespace: `evil:ID` is not `ID`.
pub(crate) fn attribute<'d>(
    document: &'d Document<'_>,
    node: NodeId,
    name: &str,
) -> Option<&'d str> {
    let attributes = &document.element(node)?.attributes;
    attributes.iter().find(|a| a.name.matches(None, name)).map(|a| &*a.value)
}

pub(crate) fn required_attribute<'d>(
    document: &'d Document<'_>,
    node: NodeId,
    name: &'static str,
    of: &'static str,
) -> Result<&'d str, Fault> {
    attribute(document, node, name).ok_or(Fault::Missing { what: name, of })
}

/// A flag: `xs:boolean`, false when absent.
pub(crate) fn flag(document: &Document<'_>, node: NodeId, name: &str) -> bool {
    matches!(
        attribute(document, node, name).map(|value| value.trim_matches(is_space)),
        Some("true" | "1")
    )
}

/// The whole text of an element that holds only text. Comments split text into several nodes, and a reader that takes the first one
/// reads `admin` of `admin<!-- -->.evil.example`: all of them are joined, as the signature's canonical form joins them.
pub(crate) fn text(
    document: &Document<'_>,
    node: NodeId,
    what: &'static str,
) -> Result<String, Fault> {
    if let Some(child) = elements(document, node).first() {
        return Err(Fault::Unexpected {
            expected: what,
            found: Excerpt::of(&format!("element {} in it", name(document, *child))),
        });
    }
    Ok(deep_text(document, node))
}

/// The whole text below an element, trimmed.
pub(crate) fn deep_text(document: &Document<'_>, node: NodeId) -> String {
    let mut text = String::new();
    for node in descendants(document, node) {
        if let Some(NodeKind::Text(piece) | NodeKind::CData(piece)) = document.node_kind(node) {
            text.push_str(piece);
        }
    }
    text.trim_matches(is_space).to_owned()
}

/// Whether an element has no text but white space of its own.
pub(crate) fn has_only_elements(document: &Document<'_>, node: NodeId) -> bool {
    document
        .children_iter(node)
        .all(|child| document.text_content(child).is_none_or(|text| text.chars().all(is_space)))
}

/// An id that a signature's reference can name without being read in another way: no pointer syntax, no white space, no controls.
pub(crate) fn id<'d>(
    document: &'d Document<'_>,
    node: NodeId,
    of: &'static str,
) -> Result<&'d str, Fault> {
    let id = required_attribute(document, node, "ID", of)?;
    if is_id(id) { Ok(id) } else { Err(Fault::Invalid { what: "ID", found: Excerpt::of(id) }) }
}

pub(crate) fn is_id(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= ID_LIMIT
        && id.chars().all(|c| c.is_alphanumeric() || "_-.:".contains(c))
}

/// White space as XML has it: no-break spaces and the like are characters of a name.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// Text for an element or an attribute in double quotes. Characters that XML cannot carry at all become U+FFFD.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    let plain = |c: char| !matches!(c, '&' | '<' | '>' | '"' | '\u{fffe}' | '\u{ffff}') && c >= ' ';
    if text.chars().all(plain) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\t' => escaped.push_str("&#9;"),
            '\n' => escaped.push_str("&#10;"),
            '\r' => escaped.push_str("&#13;"),
            c if plain(c) => escaped.push(c),
            _ => escaped.push('\u{fffd}'),
        }
    }
    Cow::Owned(escaped)
}

/// An http(s) URL that may stand in a redirect: printable ASCII, a host, no fragment.
pub(crate) fn is_http_url(url: &str) -> bool {
    let rest = ["https://", "http://"].iter().find_map(|scheme| {
        url.get(..scheme.len())
            .filter(|start| start.eq_ignore_ascii_case(scheme))
            .and_then(|_| url.get(scheme.len()..))
    });
    let Some(rest) = rest else { return false };
    let host = rest.split(['/', '?']).next().unwrap_or_default();
    !host.is_empty()
        && !host.contains('@')
        && url.len() <= 2048
        && url.bytes().all(|b| b.is_ascii_graphic() && !br#""<>#\^`{|}"#.contains(&b))
}
