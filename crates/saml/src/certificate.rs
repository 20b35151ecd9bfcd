//! Public keys of others: the one part of a certificate that SAML uses. Its dates, names and issuer do not matter, because metadata,
//! not a chain, is what makes a key trusted (SAML metadata interoperability profile, 2.5).

use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use crate::fault::{Excerpt, Fault};
use crate::names::RSA_SHA256;

/// A key that may have signed.
pub(crate) struct PublicKey {
    /// SubjectPublicKeyInfo, DER.
    spki: Vec<u8>,
    family: Family,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Rsa,
    Ec(Curve),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Curve {
    P256,
    P384,
    P521,
}

/// A signature algorithm that is accepted: RSA PKCS#1 1.5 and PSS, and ECDSA, with SHA-2 of at least 256 bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Algorithm {
    Rsa(Hash),
    Pss(Hash),
    Ecdsa(Hash),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// How an ECDSA signature is written: XML has the two numbers side by side, some senders of redirects have ASN.1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    Fixed,
    FixedOrAsn1,
}

impl Algorithm {
    pub(crate) fn of(uri: &str) -> Result<Algorithm, Fault> {
        use Hash::{Sha256, Sha384, Sha512};
        Ok(match uri {
            RSA_SHA256 => Algorithm::Rsa(Sha256),
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384" => Algorithm::Rsa(Sha384),
            "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512" => Algorithm::Rsa(Sha512),
            "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1" => Algorithm::Pss(Sha256),
            "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1" => Algorithm::Pss(Sha384),
            "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1" => Algorithm::Pss(Sha512),
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256" => Algorithm::Ecdsa(Sha256),
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384" => Algorithm::Ecdsa(Sha384),
            "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512" => Algorithm::Ecdsa(Sha512),
            _ => {
                return Err(Fault::Algorithm {
                    what: "signature algorithm",
                    found: Excerpt::of(uri),
                });
            }
        })
    }
}

impl Hash {
    pub(crate) fn of(uri: &str) -> Result<Hash, Fault> {
        Ok(match uri {
            "http://www.w3.org/2001/04/xmlenc#sha256" => Hash::Sha256,
            "http://www.w3.org/2001/04/xmldsig-more#sha384" => Hash::Sha384,
            "http://www.w3.org/2001/04/xmlenc#sha512" => Hash::Sha512,
            _ => {
                return Err(Fault::Algorithm { what: "digest algorithm", found: Excerpt::of(uri) });
            }
        })
    }

    pub(crate) fn digest(self, bytes: &[u8]) -> aws_lc_rs::digest::Digest {
        aws_lc_rs::digest::digest(
            match self {
                Hash::Sha256 => &aws_lc_rs::digest::SHA256,
                Hash::Sha384 => &aws_lc_rs::digest::SHA384,
                Hash::Sha512 => &aws_lc_rs::digest::SHA512,
            },
            bytes,
        )
    }
}

impl PublicKey {
    /// The key of a certificate (DER): RSA of 2048 to 8192 bits, or EC P-256, P-384, P-521.
    pub(crate) fn of_certificate(der: &[u8]) -> Result<PublicKey, Fault> {
        let spki = spki(der)
            .ok_or(Fault::Key("a certificate cannot be read: is it X.509, in DER or PEM?"))?;
        let family = family(spki)?;
        Ok(PublicKey { spki: spki.to_vec(), family })
    }

    /// Whether this key made the signature. A key of another family than the algorithm's made none: an RSA key is never an HMAC secret.
    pub(crate) fn verifies(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
        written: Written,
    ) -> bool {
        match (algorithm, self.family) {
            (Algorithm::Rsa(hash), Family::Rsa) => {
                let with: &'static dyn VerificationAlgorithm = match hash {
                    Hash::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
                    Hash::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
                    Hash::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
                };
                UnparsedPublicKey::new(with, &self.spki).verify(message, signature).is_ok()
            }
            (Algorithm::Pss(hash), Family::Rsa) => {
                let with: &'static dyn VerificationAlgorithm = match hash {
                    Hash::Sha256 => &signature::RSA_PSS_2048_8192_SHA256,
                    Hash::Sha384 => &signature::RSA_PSS_2048_8192_SHA384,
                    Hash::Sha512 => &signature::RSA_PSS_2048_8192_SHA512,
                };
                UnparsedPublicKey::new(with, &self.spki).verify(message, signature).is_ok()
            }
            (Algorithm::Ecdsa(hash), Family::Ec(curve)) => {
                let with: &'static dyn VerificationAlgorithm = match (curve, hash) {
                    (Curve::P256, Hash::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
                    (Curve::P256, Hash::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
                    (Curve::P256, Hash::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
                    (Curve::P384, Hash::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
                    (Curve::P384, Hash::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
                    (Curve::P384, Hash::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
                    (Curve::P521, Hash::Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
                    (Curve::P521, Hash::Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
                    (Curve::P521, Hash::Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
                };
                let width = match curve {
                    Curve::P256 => 32,
                    Curve::P384 => 48,
                    Curve::P521 => 66,
                };
                let asn1 = match asn1_of_fixed(signature, width) {
                    Some(asn1) => asn1,
                    None if written == Written::FixedOrAsn1 => signature.to_vec(),
                    None => return false,
                };
                UnparsedPublicKey::new(with, &self.spki).verify(message, &asn1).is_ok()
            }
            _ => false,
        }
    }
}

fn family(spki: &[u8]) -> Result<Family, Fault> {
    // AlgorithmIdentifier and curve, as DER has exactly one way to write them.
    const EC: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
    const CURVES: [(&[u8], Curve); 3] = [
        (&[0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07], Curve::P256),
        (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22], Curve::P384),
        (&[0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23], Curve::P521),
    ];
    const UNUSABLE: Fault = Fault::Key(
        "a certificate's key is neither RSA of 2048 to 8192 bits nor EC P-256, P-384 or P-521",
    );
    let (identifier, _) = der(spki, 0x30).and_then(|(body, _)| der(body, 0x30)).ok_or(UNUSABLE)?;
    if let Some(parameters) = identifier.strip_prefix(&EC) {
        return CURVES
            .iter()
            .find(|(oid, _)| *oid == parameters)
            .map(|(_, curve)| Family::Ec(*curve))
            .ok_or(UNUSABLE);
    }
    match PublicEncryptingKey::from_der(spki) {
        Ok(key) if (2048..=8192).contains(&key.key_size_bits()) => Ok(Family::Rsa),
        _ => Err(UNUSABLE),
    }
}

/// SubjectPublicKeyInfo of a certificate: RFC 5280, 4.1.
fn spki(certificate: &[u8]) -> Option<&[u8]> {
    let (body, []) = der(certificate, 0x30)? else { return None };
    let (mut rest, _) = der(body, 0x30)?;
    if let Some((_version, after)) = der(rest, 0xa0) {
        rest = after;
    }
    // serialNumber, signature, issuer, validity, subject
    for tag in [0x02, 0x30, 0x30, 0x30, 0x30] {
        (_, rest) = der(rest, tag)?;
    }
    let (_, after) = der(rest, 0x30)?;
    rest.get(..rest.len() - after.len())
}

/// The contents of the DER element with this tag at the beginning, and what follows it.
fn der(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = bytes.split_first()?;
    let (&length, mut rest) = rest.split_first()?;
    let mut length = usize::from(length);
    if length > 0x7f {
        let of_length;
        (of_length, rest) = rest.split_at_checked(length & 0x7f)?;
        if of_length.is_empty() || of_length.len() > 3 {
            return None;
        }
        length = of_length.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    }
    if found == tag { rest.split_at_checked(length) } else { None }
}

/// `r` and `s` side by side (RFC 4050, XML signature 6.4.3) as the ASN.1 that the verifier takes.
fn asn1_of_fixed(signature: &[u8], width: usize) -> Option<Vec<u8>> {
    if signature.len() != 2 * width {
        return None;
    }
    let (r, s) = signature.split_at_checked(width)?;
    let mut numbers = Vec::with_capacity(2 * width + 8);
    for number in [r, s] {
        let zeros = number.iter().take_while(|byte| **byte == 0).count().min(width - 1);
        let number = number.get(zeros..)?;
        let pad = number.first().is_some_and(|byte| byte & 0x80 != 0);
        numbers.extend([0x02, u8::try_from(number.len() + usize::from(pad)).ok()?]);
        numbers.extend(pad.then_some(0));
        numbers.extend(number);
    }
    let mut asn1 = vec![0x30];
    if numbers.len() > 0x7f {
        asn1.push(0x81);
    }
    asn1.push(u8::try_from(numbers.len()).ok()?);
    asn1.extend(numbers);
    Some(asn1)
}
