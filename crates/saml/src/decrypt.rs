//! What is encrypted for us: an assertion or a name. XML encryption 1.1, SAML core 2.2.4, 2.3.4.
//!
//! RSA-OAEP and AES only. RSA PKCS#1 1.5 and triple DES are refused: both are broken by whoever can watch us decrypt.

use std::collections::BTreeMap;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{self, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
    OaepAlgorithm,
};
use uppsala::{Document, NodeId};
use zeroize::Zeroizing;

use crate::Credential;
use crate::fault::{Excerpt, Fault};
use crate::names::{DSIG, XENC, XENC11};
use crate::signature::base64;
use crate::xml;

/// Wrapped keys of one element that are tried: one for each of our certificates that a provider may know.
const KEYS_LIMIT: usize = 4;

/// What was in an `EncryptedAssertion` or `EncryptedID`: a document whose root is a wrapper of ours, which declares the namespaces that
/// were in scope, around one element. Not trusted: anybody can encrypt for us.
pub(crate) struct Plain {
    pub xml: Zeroizing<String>,
    /// Whether a change of the ciphertext would have been noticed (GCM). Where not (CBC), telling apart why a changed ciphertext was
    /// refused would decrypt it, question by question.
    pub authenticated: bool,
}

/// The one element inside of the wrapper.
pub(crate) fn content(document: &Document<'_>, what: &'static str) -> Result<NodeId, Fault> {
    let wrapper = xml::root(document)?;
    match xml::elements(document, wrapper).as_slice() {
        [one] if xml::has_only_elements(document, wrapper) => Ok(*one),
        _ => Err(Fault::Undecryptable { what }),
    }
}

/// Decrypts `EncryptedAssertion`, `EncryptedID`, whose children are one `EncryptedData` and the keys that are not inside of it.
pub(crate) fn decrypt(
    document: &Document<'_>,
    encrypted: NodeId,
    credentials: &[&Credential],
    what: &'static str,
) -> Result<Plain, Fault> {
    if credentials.is_empty() {
        return Err(Fault::Key(
            "the provider encrypts, and this provider was given no certificate to encrypt with",
        ));
    }
    let data = xml::required(document, encrypted, XENC, "EncryptedData", what)?;
    if xml::attribute(document, data, "Type")
        .is_some_and(|kind| kind != "http://www.w3.org/2001/04/xmlenc#Element")
    {
        return Err(Fault::Invalid {
            what: "Type of EncryptedData",
            found: Excerpt::of(xml::attribute(document, data, "Type").unwrap_or_default()),
        });
    }
    let method = xml::required(document, data, XENC, "EncryptionMethod", "EncryptedData")?;
    let cipher =
        Cipher::of(xml::required_attribute(document, method, "Algorithm", "EncryptionMethod")?)?;
    let ciphertext = cipher_value(document, data)?;

    let mut keys = xml::all(document, encrypted, XENC, "EncryptedKey");
    if let Some(info) = xml::optional(document, data, DSIG, "KeyInfo")? {
        keys.extend(xml::all(document, info, XENC, "EncryptedKey"));
    }
    if keys.is_empty() || keys.len() > KEYS_LIMIT {
        return Err(Fault::Unexpected {
            expected: "one to four of EncryptedKey",
            found: Excerpt::of(&keys.len().to_string()),
        });
    }
    let wrapped: Vec<Wrapped> =
        keys.into_iter().map(|key| Wrapped::of(document, key)).collect::<Result<_, _>>()?;

    let plain = wrapped
        .iter()
        .flat_map(|wrapped| credentials.iter().filter_map(|credential| wrapped.open(credential)))
        .find_map(|key| cipher.decrypt(&key, &ciphertext))
        .and_then(|plain| String::from_utf8(plain.to_vec()).ok().map(Zeroizing::new))
        .ok_or(Fault::Undecryptable { what })?;
    Ok(Plain { xml: in_scope(document, data, &plain), authenticated: cipher.mode == Mode::Gcm })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Cbc,
    Gcm,
}

#[derive(Clone, Copy)]
struct Cipher {
    mode: Mode,
    key_bytes: usize,
}

impl Cipher {
    fn of(uri: &str) -> Result<Cipher, Fault> {
        let (mode, key_bytes) = match uri {
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => (Mode::Cbc, 16),
            "http://www.w3.org/2001/04/xmlenc#aes192-cbc" => (Mode::Cbc, 24),
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => (Mode::Cbc, 32),
            "http://www.w3.org/2009/xmlenc11#aes128-gcm" => (Mode::Gcm, 16),
            "http://www.w3.org/2009/xmlenc11#aes192-gcm" => (Mode::Gcm, 24),
            "http://www.w3.org/2009/xmlenc11#aes256-gcm" => (Mode::Gcm, 32),
            _ => {
                return Err(Fault::Algorithm {
                    what: "encryption algorithm",
                    found: Excerpt::of(uri),
                });
            }
        };
        Ok(Cipher { mode, key_bytes })
    }

    fn decrypt(self, key: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if key.len() != self.key_bytes {
            return None;
        }
        match self.mode {
            Mode::Gcm => {
                let algorithm = match self.key_bytes {
                    16 => &aead::AES_128_GCM,
                    24 => &aead::AES_192_GCM,
                    _ => &aead::AES_256_GCM,
                };
                let (nonce, sealed) = ciphertext.split_at_checked(aead::NONCE_LEN)?;
                let key = LessSafeKey::new(UnboundKey::new(algorithm, key).ok()?);
                let mut plain = Zeroizing::new(sealed.to_vec());
                let length = key
                    .open_in_place(
                        Nonce::try_assume_unique_for_key(nonce).ok()?,
                        Aad::empty(),
                        &mut plain,
                    )
                    .ok()?
                    .len();
                plain.truncate(length);
                Some(plain)
            }
            Mode::Cbc => {
                let algorithm = match self.key_bytes {
                    16 => &cipher::AES_128,
                    24 => &cipher::AES_192,
                    _ => &cipher::AES_256,
                };
                let (iv, sealed) = ciphertext.split_at_checked(16)?;
                let iv: [u8; 16] = iv.try_into().ok()?;
                let key = DecryptingKey::cbc(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
                let mut plain = Zeroizing::new(sealed.to_vec());
                key.decrypt(&mut plain, DecryptionContext::Iv128(iv.into())).ok()?;
                // The last byte counts the padding, and the bytes before it may be anything (XML encryption 5.2.1).
                let padding = usize::from(*plain.last()?);
                if !(1..=16).contains(&padding) {
                    return None;
                }
                let length = plain.len().checked_sub(padding)?;
                plain.truncate(length);
                Some(plain)
            }
        }
    }
}

/// A content key that was encrypted with RSA-OAEP.
struct Wrapped {
    oaep: &'static OaepAlgorithm,
    label: Option<Vec<u8>>,
    value: Vec<u8>,
}

impl Wrapped {
    fn of(document: &Document<'_>, key: NodeId) -> Result<Wrapped, Fault> {
        let method = xml::required(document, key, XENC, "EncryptionMethod", "EncryptedKey")?;
        let uri = xml::required_attribute(document, method, "Algorithm", "EncryptionMethod")?;
        let digest = algorithm_of(document, method, DSIG, "DigestMethod")?;
        let mask = algorithm_of(document, method, XENC11, "MGF")?;
        let oaep = oaep(uri, digest, mask)?;
        let label = match xml::optional(document, method, XENC, "OAEPparams")? {
            Some(node) => {
                Some(base64(&xml::text(document, node, "OAEPparams")?, "OAEPparams is not base64")?)
            }
            None => None,
        };
        Ok(Wrapped { oaep, label, value: cipher_value(document, key)? })
    }

    fn open(&self, credential: &Credential) -> Option<Zeroizing<Vec<u8>>> {
        credential.unwrap(self.oaep, self.label.as_deref(), &self.value)
    }
}

fn algorithm_of<'d>(
    document: &'d Document<'_>,
    method: NodeId,
    namespace: &str,
    name: &'static str,
) -> Result<Option<&'d str>, Fault> {
    match xml::optional(document, method, namespace, name)? {
        Some(node) => xml::required_attribute(document, node, "Algorithm", name).map(Some),
        None => Ok(None),
    }
}

/// The hash of OAEP and of its mask, which are the same in all that is accepted. `rsa-oaep-mgf1p` masks with SHA-1, whatever its digest.
fn oaep(
    uri: &str,
    digest: Option<&str>,
    mask: Option<&str>,
) -> Result<&'static OaepAlgorithm, Fault> {
    let hash = |uri: Option<&str>| match uri {
        None | Some("http://www.w3.org/2000/09/xmldsig#sha1") => Some(1),
        Some("http://www.w3.org/2001/04/xmlenc#sha256") => Some(256),
        Some(
            "http://www.w3.org/2001/04/xmldsig-more#sha384"
            | "http://www.w3.org/2001/04/xmlenc#sha384",
        ) => Some(384),
        Some("http://www.w3.org/2001/04/xmlenc#sha512") => Some(512),
        Some(_) => None,
    };
    let masked = |uri: Option<&str>| match uri {
        None | Some("http://www.w3.org/2009/xmlenc11#mgf1sha1") => Some(1),
        Some("http://www.w3.org/2009/xmlenc11#mgf1sha256") => Some(256),
        Some("http://www.w3.org/2009/xmlenc11#mgf1sha384") => Some(384),
        Some("http://www.w3.org/2009/xmlenc11#mgf1sha512") => Some(512),
        Some(_) => None,
    };
    let known = match uri {
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p"
        | "http://www.w3.org/2009/xmlenc11#rsa-oaep" => hash(digest).zip(masked(mask)),
        _ => None,
    };
    match known {
        Some((1, 1)) => Ok(&OAEP_SHA1_MGF1SHA1),
        Some((256, 256)) => Ok(&OAEP_SHA256_MGF1SHA256),
        Some((384, 384)) => Ok(&OAEP_SHA384_MGF1SHA384),
        Some((512, 512)) => Ok(&OAEP_SHA512_MGF1SHA512),
        _ => {
            let found =
                [Some(uri), digest, mask].into_iter().flatten().collect::<Vec<_>>().join(" with ");
            Err(Fault::Algorithm { what: "key transport", found: Excerpt::of(&found) })
        }
    }
}

fn cipher_value(document: &Document<'_>, of: NodeId) -> Result<Vec<u8>, Fault> {
    let data = xml::required(document, of, XENC, "CipherData", "encrypted data or key")?;
    let value = xml::required(document, data, XENC, "CipherValue", "CipherData")?;
    base64(&xml::text(document, value, "CipherValue")?, "CipherValue is not base64")
}

/// Wraps decrypted text so that prefixes mean what they meant where it stood. Text that closes the wrapper makes a document with two
/// elements, which no parser takes.
fn in_scope(document: &Document<'_>, node: NodeId, plain: &str) -> Zeroizing<String> {
    let mut scope: BTreeMap<&str, &str> = BTreeMap::new();
    let mut above = Some(node);
    while let Some(node) = above {
        if let Some(element) = document.element(node) {
            for (prefix, uri) in &element.namespace_declarations {
                scope.entry(prefix).or_insert(uri);
            }
        }
        above = document.parent(node);
    }
    let mut wrapped = Zeroizing::new(String::with_capacity(plain.len() + 1024));
    wrapped.push_str("<decrypted");
    for (prefix, uri) in scope {
        if prefix != "xml" {
            let colon = if prefix.is_empty() { "" } else { ":" };
            wrapped.push_str(&format!(" xmlns{colon}{prefix}=\"{}\"", xml::escape(uri)));
        }
    }
    wrapped.push('>');
    wrapped.push_str(without_declaration(plain));
    wrapped.push_str("</decrypted>");
    wrapped
}

/// Some libraries encrypt a whole document.
fn without_declaration(plain: &str) -> &str {
    let plain = plain.trim_start_matches('\u{feff}');
    match plain.strip_prefix("<?xml ").and_then(|rest| rest.split_once("?>")) {
        Some((_, rest)) => rest,
        None => plain,
    }
}
