//! Verifies the enveloped signature of one element: the element that will be read is the argument, so what a signature's reference
//! names is compared with it and never searched for. SAML core 5.4, XML signature 3.2.
//!
//! The one accepted form is the one that SAML prescribes. Everything else that XML signatures can say (other places, several
//! references, XPath, XSLT, external data, objects, keys inside) is refused before anything is computed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bergshamra_c14n::{C14nMode, canonicalize_doc};
use bergshamra_xml::nodeset::NodeSet;
use uppsala::{Document, NodeId, NodeKind};

use crate::certificate::{Algorithm, Hash, PublicKey, Written};
use crate::fault::{Excerpt, Fault};
use crate::names::{DSIG, ENVELOPED, EXC_C14N};
use crate::xml;

/// Prefixes that canonicalisation writes out though nobody uses them: each costs at every element.
const PREFIX_LIST_LIMIT: usize = 20;

/// Whether `node` is signed, by one of `keys` over `node` and all that is in it. A signature that does not hold is an error, and so is
/// a second one: only the absence of any is `false`.
pub(crate) fn verify(
    document: &Document<'_>,
    node: NodeId,
    keys: &[PublicKey],
    what: &'static str,
) -> Result<bool, Fault> {
    let signature = match xml::all(document, node, DSIG, "Signature").as_slice() {
        [] => return Ok(false),
        [one] => *one,
        _ => return Err(Fault::SignatureShape("it is not the only one of its element")),
    };
    let form = Form::of(document, node, signature)?;

    // First whether a key of the provider made it: nobody else makes us digest what can be large.
    let signed_info = NodeSet::tree_without_comments(form.signed_info, document);
    let signed_info = form.signed_info_form.apply(document, &signed_info)?;
    if !keys
        .iter()
        .any(|key| key.verifies(form.algorithm, &signed_info, &form.value, Written::Fixed))
    {
        return Err(Fault::SignatureMismatch { what, tried: keys.len() });
    }

    let mut covered = NodeSet::tree_without_comments(node, document);
    covered.remove_id(signature);
    for inside in xml::descendants(document, signature) {
        covered.remove_id(inside);
    }
    if form.hash.digest(&form.reference.apply(document, &covered)?).as_ref() != form.digest {
        return Err(Fault::DigestMismatch { what });
    }
    Ok(true)
}

/// Refuses signatures anywhere but directly in `places`: each that stands elsewhere is either meaningless or meant to mislead.
pub(crate) fn only_in(document: &Document<'_>, places: &[NodeId]) -> Result<(), Fault> {
    for node in xml::descendants(document, document.root()) {
        if xml::is(document, node, DSIG, "Signature")
            && !document.parent(node).is_some_and(|parent| places.contains(&parent))
        {
            return Err(Fault::SignatureShape("it stands where none belongs"));
        }
    }
    Ok(())
}

/// A signature of the one accepted form, taken apart.
struct Form {
    signed_info: NodeId,
    signed_info_form: Canonical,
    algorithm: Algorithm,
    reference: Canonical,
    hash: Hash,
    digest: Vec<u8>,
    value: Vec<u8>,
}

impl Form {
    fn of(document: &Document<'_>, node: NodeId, signature: NodeId) -> Result<Form, Fault> {
        // Comments do not survive canonicalisation, and there is no honest reason for one in here.
        if xml::descendants(document, signature)
            .iter()
            .any(|n| matches!(document.node_kind(*n), Some(NodeKind::Comment(_))))
        {
            return Err(Fault::SignatureShape("it has a comment in it"));
        }
        let (signed_info, value) = match xml::elements(document, signature).as_slice() {
            [signed_info, value] => (*signed_info, *value),
            // KeyInfo is a hint, and we need none: only the provider's known keys are tried.
            [signed_info, value, key_info] if xml::is(document, *key_info, DSIG, "KeyInfo") => {
                (*signed_info, *value)
            }
            _ => {
                return Err(Fault::SignatureShape(
                    "it is not SignedInfo, SignatureValue and at most KeyInfo",
                ));
            }
        };
        expect(document, signed_info, "SignedInfo")?;
        expect(document, value, "SignatureValue")?;
        only_elements(document, signature)?;

        let [method, algorithm, reference] =
            children(document, signed_info, "SignedInfo does not hold exactly one reference")?;
        expect(document, method, "CanonicalizationMethod")?;
        expect(document, algorithm, "SignatureMethod")?;
        expect(document, reference, "Reference")?;
        if !xml::elements(document, algorithm).is_empty() {
            return Err(Fault::SignatureShape("SignatureMethod has parameters"));
        }
        let id = xml::id(document, node, "the signed element")?;
        if xml::attribute(document, reference, "URI").and_then(|uri| uri.strip_prefix('#'))
            != Some(id)
        {
            return Err(Fault::SignatureShape(
                "its reference does not name the element that it stands in",
            ));
        }

        let [transforms, hash, digest] = children(
            document,
            reference,
            "Reference is not Transforms, DigestMethod and DigestValue",
        )?;
        expect(document, transforms, "Transforms")?;
        expect(document, hash, "DigestMethod")?;
        expect(document, digest, "DigestValue")?;
        if !xml::elements(document, hash).is_empty() {
            return Err(Fault::SignatureShape("DigestMethod has parameters"));
        }
        let transforms_of = xml::elements(document, transforms);
        only_elements(document, transforms)?;
        for transform in &transforms_of {
            expect(document, *transform, "Transform")?;
        }
        let reference = match transforms_of.as_slice() {
            [enveloped] if is_enveloped(document, *enveloped) => Canonical::default(),
            [enveloped, canonical] if is_enveloped(document, *enveloped) => {
                Canonical::of(document, *canonical)?
            }
            _ => {
                return Err(Fault::SignatureShape(
                    "its transforms are not enveloped-signature and at most a canonicalisation",
                ));
            }
        };

        Ok(Form {
            signed_info,
            signed_info_form: Canonical::of(document, method)?,
            algorithm: Algorithm::of(xml::required_attribute(
                document,
                algorithm,
                "Algorithm",
                "SignatureMethod",
            )?)?,
            reference,
            hash: Hash::of(xml::required_attribute(document, hash, "Algorithm", "DigestMethod")?)?,
            digest: base64(
                &xml::text(document, digest, "DigestValue")?,
                "DigestValue is not base64",
            )?,
            value: base64(
                &xml::text(document, value, "SignatureValue")?,
                "SignatureValue is not base64",
            )?,
        })
    }
}

/// A canonical form of XML. Comments never count: references by id leave them out whatever the algorithm says, and a signature with a
/// comment in it is refused, so that the variants with and without comments are the same here.
struct Canonical {
    mode: C14nMode,
    inclusive_prefixes: Vec<String>,
}

impl Default for Canonical {
    fn default() -> Canonical {
        Canonical { mode: C14nMode::Inclusive, inclusive_prefixes: Vec::new() }
    }
}

impl Canonical {
    fn of(document: &Document<'_>, method: NodeId) -> Result<Canonical, Fault> {
        let uri = xml::required_attribute(
            document,
            method,
            "Algorithm",
            "canonicalisation or transform",
        )?;
        let mode = match C14nMode::from_uri(uri) {
            Some(C14nMode::Inclusive | C14nMode::InclusiveWithComments) => C14nMode::Inclusive,
            Some(C14nMode::Inclusive11 | C14nMode::Inclusive11WithComments) => {
                C14nMode::Inclusive11
            }
            Some(C14nMode::Exclusive | C14nMode::ExclusiveWithComments) => C14nMode::Exclusive,
            None => {
                return Err(Fault::Algorithm {
                    what: "canonicalisation or transform",
                    found: Excerpt::of(uri),
                });
            }
        };
        only_elements(document, method)?;
        let inclusive_prefixes = match xml::elements(document, method).as_slice() {
            [] => Vec::new(),
            [list]
                if mode.is_exclusive()
                    && xml::is(document, *list, EXC_C14N, "InclusiveNamespaces") =>
            {
                let list = xml::attribute(document, *list, "PrefixList").unwrap_or_default();
                let prefixes = list.split(xml::is_space).filter(|prefix| !prefix.is_empty());
                let prefixes: Vec<String> = prefixes.map(str::to_owned).collect();
                if prefixes.len() > PREFIX_LIST_LIMIT {
                    return Err(Fault::TooLarge { what: "PrefixList", limit: PREFIX_LIST_LIMIT });
                }
                prefixes
            }
            _ => return Err(Fault::SignatureShape("a canonicalisation has parameters")),
        };
        Ok(Canonical { mode, inclusive_prefixes })
    }

    fn apply(&self, document: &Document<'_>, nodes: &NodeSet) -> Result<Vec<u8>, Fault> {
        canonicalize_doc(document, self.mode, Some(nodes), &self.inclusive_prefixes)
            .map_err(|_| Fault::SignatureShape("what it covers has no canonical form"))
    }
}

/// The exclusive canonical form of a whole document that we made ourselves.
pub(crate) fn canonical(xml: &str) -> Result<Vec<u8>, Fault> {
    let document = xml::parse(xml, xml::METADATA_LIMIT)?;
    let root = xml::root(&document)?;
    let canonical = Canonical { mode: C14nMode::Exclusive, inclusive_prefixes: Vec::new() };
    canonical.apply(&document, &NodeSet::tree_without_comments(root, &document))
}

fn is_enveloped(document: &Document<'_>, transform: NodeId) -> bool {
    xml::attribute(document, transform, "Algorithm") == Some(ENVELOPED)
        && xml::elements(document, transform).is_empty()
}

fn expect(document: &Document<'_>, node: NodeId, name: &'static str) -> Result<(), Fault> {
    if xml::is(document, node, DSIG, name) {
        Ok(())
    } else {
        Err(Fault::Unexpected { expected: name, found: Excerpt::of(xml::name(document, node)) })
    }
}

fn children<const N: usize>(
    document: &Document<'_>,
    node: NodeId,
    otherwise: &'static str,
) -> Result<[NodeId; N], Fault> {
    only_elements(document, node)?;
    xml::elements(document, node).try_into().map_err(|_| Fault::SignatureShape(otherwise))
}

fn only_elements(document: &Document<'_>, node: NodeId) -> Result<(), Fault> {
    if xml::has_only_elements(document, node) {
        Ok(())
    } else {
        Err(Fault::SignatureShape("it has text between its elements"))
    }
}

/// Base64 as XML writes it, with white space anywhere.
pub(crate) fn base64(text: &str, otherwise: &'static str) -> Result<Vec<u8>, Fault> {
    let compact: String = text.chars().filter(|c| !xml::is_space(*c)).collect();
    STANDARD.decode(compact).map_err(|_| Fault::Encoding(otherwise))
}
