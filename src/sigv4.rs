//! Verifying AWS Signature Version 4 in its header form, as SDKs sign the JSON API. Pure: whose secret it is and what
//! that caller may do is decided elsewhere. The sentences are those of AWS' front end (cognito-behaviour, section 10).

use aws_lc_rs::{digest, hmac};
use zeroize::Zeroize as _;

use crate::ambient::{MINUTE, Ms, SECOND};
use crate::error::{Error, Kind, Result};
use crate::keys::same;
use crate::sigv4::text::{collapse_spaces, encode, hex, normalized_path, parse_date, show_date};

#[cfg(test)]
mod tests;
mod text;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const MAX_SKEW: Ms = 15 * MINUTE;
const MAX_AUTHORIZATION_LEN: usize = 4096;
const MAX_SIGNED_HEADERS: usize = 64;

/// The service that requests of Cognito's API are signed for.
pub const COGNITO: &[&str] = &["cognito-idp"];
/// Those that requests to our own addresses may be signed for.
pub const CENOTE: &[&str] = &["cenote", "cognito-idp"];

/// A request as it came in. Path and query are the raw text of the request line; header names are lower case, in order of
/// arrival, and over HTTP/2 `:authority` stands in the list as `host`. The caller has bounded the body and the headers.
#[derive(Clone, Copy)]
pub struct SignedRequest<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

/// What the Authorization header says: nothing of it is true before `verify`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization<'a> {
    pub access_key_id: &'a str,
    /// The day of the credential's scope, `YYYYMMDD`.
    pub date: &'a str,
    /// Taken as given: the caller's region is part of what it signed, and this server has no other.
    pub region: &'a str,
    pub service: &'a str,
    pub signed_headers: Vec<&'a str>,
    pub signature: &'a str,
}

/// Takes the Authorization header apart: `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request,
/// SignedHeaders=a;b, Signature=HEX`. `None` or an empty header is a `MissingAuthenticationTokenException`.
pub fn parse(header: Option<&str>) -> Result<Authorization<'_>> {
    let header = header.map(str::trim).filter(|header| !header.is_empty()).ok_or_else(|| {
        Error::new(Kind::MissingAuthenticationToken, "Missing Authentication Token")
    })?;
    if header.len() > MAX_AUTHORIZATION_LEN {
        return Err(incomplete(format!(
            "Authorization header is longer than {MAX_AUTHORIZATION_LEN} bytes."
        )));
    }
    let (algorithm, parameters) = header.split_once(' ').unwrap_or((header, ""));
    if algorithm != ALGORITHM {
        return Err(incomplete(format!(
            "Unsupported AWS 'algorithm'. Authorization header requires '{ALGORITHM}'. {}",
            hashed(header)
        )));
    }
    let (mut credential, mut signed_headers, mut signature) = (None, None, None);
    for parameter in parameters.split(',').map(str::trim).filter(|parameter| !parameter.is_empty())
    {
        let slot = match parameter.split_once('=') {
            Some(("Credential", value)) => credential.replace(value),
            Some(("SignedHeaders", value)) => signed_headers.replace(value),
            Some(("Signature", value)) => signature.replace(value),
            Some(_) => None,
            None => {
                return Err(incomplete(format!(
                    "Authorization header has a part that is no key=value pair (missing equal-sign). {}",
                    hashed(header)
                )));
            }
        };
        // Two values for one name: whoever reads the other one would be deceived.
        if slot.is_some() {
            return Err(incomplete(format!(
                "Authorization header has a parameter twice. {}",
                hashed(header)
            )));
        }
    }
    let given = |value: Option<&'_ str>| value.is_some_and(|value| !value.is_empty());
    let missing: String = [
        ("Credential", given(credential)),
        ("Signature", given(signature)),
        ("SignedHeaders", given(signed_headers)),
    ]
    .into_iter()
    .filter(|(_, given)| !given)
    .map(|(name, _)| format!("Authorization header requires '{name}' parameter. "))
    .collect();
    let (Some(credential), Some(signed_headers), Some(signature), "") =
        (credential, signed_headers, signature, missing.as_str())
    else {
        return Err(incomplete(missing + &hashed(header)));
    };
    let elements: Vec<&str> = credential.split('/').collect();
    let [access_key_id, date, region, service, terminator] = elements.as_slice() else {
        return Err(incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term".to_owned(),
        ));
    };
    if *terminator != TERMINATOR {
        return Err(invalid(format!(
            "Credential should be scoped with a valid terminator: '{TERMINATOR}'."
        )));
    }
    if access_key_id.is_empty()
        || region.is_empty()
        || date.len() != 8
        || !date.bytes().all(|c| c.is_ascii_digit())
    {
        return Err(incomplete(
            "Credential has an empty access key id or region, or no date of the form YYYYMMDD."
                .to_owned(),
        ));
    }
    let signed_headers: Vec<&str> = signed_headers.split(';').collect();
    // In order and without repetition, as every signer writes them: one request has one signature.
    let ordered = signed_headers.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    let named = signed_headers.iter().all(|name| {
        !name.is_empty()
            && name.bytes().all(|c| c.is_ascii_graphic() && !c.is_ascii_uppercase() && c != b':')
    });
    if !ordered || !named || signed_headers.len() > MAX_SIGNED_HEADERS {
        return Err(incomplete(
            "'SignedHeaders' must be a sorted list of lower-case header names, each once, with ';' between them.".to_owned(),
        ));
    }
    Ok(Authorization { access_key_id, date, region, service, signed_headers, signature })
}

/// Whether `secret` signed this request for one of these services within fifteen minutes of `now`. The body is always part of what is
/// signed.
pub fn verify(
    request: &SignedRequest<'_>,
    authorization: &Authorization<'_>,
    services: &[&str],
    secret: &str,
    now: Ms,
) -> Result<()> {
    if !services.contains(&authorization.service) {
        return Err(invalid(format!(
            "Credential should be scoped to correct service: '{}'.",
            services.join("' or '")
        )));
    }
    check_signed_headers(request, authorization)?;
    let stamp = request_stamp(request)?;
    if !stamp.starts_with(authorization.date) {
        return Err(invalid(format!(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: \
             '{}' != '{}', from '{stamp}'.",
            authorization.date,
            stamp.get(..8).unwrap_or_default()
        )));
    }
    check_skew(&stamp, now)?;
    let payload = sha256_hex(request.body);
    // Also refuses UNSIGNED-PAYLOAD: a signature that does not cover the body would let it be exchanged.
    for (_, announced) in request.headers.iter().filter(|(name, _)| name == "x-amz-content-sha256")
    {
        if !same(announced.trim().as_bytes(), payload.as_bytes()) {
            return Err(invalid(
                "The provided 'x-amz-content-sha256' header does not match what was computed."
                    .to_owned(),
            ));
        }
    }
    let signature = signature(request, authorization, &stamp, &payload, secret)?;
    if same(signature.as_bytes(), authorization.signature.as_bytes()) {
        Ok(())
    } else {
        Err(mismatch())
    }
}

/// The caller's access key id is not known.
pub fn unrecognized() -> Error {
    Error::new(Kind::UnrecognizedClient, "The security token included in the request is invalid.")
}

fn mismatch() -> Error {
    Error::new(
        Kind::InvalidSignature,
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
         and signing method. Consult the service documentation for details.",
    )
}

fn invalid(message: String) -> Error {
    Error::new(Kind::InvalidSignature, message)
}

fn incomplete(message: String) -> Error {
    Error::new(Kind::IncompleteSignature, message)
}

/// The end of AWS' sentence, by which a caller finds its own request again. Hashed, since it may hold another service's
/// password or token, and answers are logged.
fn hashed(header: &str) -> String {
    use base64::Engine as _;
    let hash = digest::digest(&digest::SHA256, header.as_bytes());
    let hash = base64::prelude::BASE64_STANDARD.encode(hash);
    format!("(Hashed with SHA-256 and encoded with Base64) Authorization={hash}")
}

/// `host` and, where it is there, `x-amz-target` must be signed: otherwise a captured request could be sent to another
/// server, or made to do another operation. Other `x-amz-*` headers may come from proxies and mean nothing here.
fn check_signed_headers(
    request: &SignedRequest<'_>,
    authorization: &Authorization<'_>,
) -> Result<()> {
    let signed = |name: &str| authorization.signed_headers.contains(&name);
    if !signed("host") {
        return Err(invalid(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    if !signed("x-amz-target") && values(request, "x-amz-target").next().is_some() {
        return Err(invalid(
            "'X-Amz-Target' must be a 'SignedHeader' in the AWS Authorization.".to_owned(),
        ));
    }
    Ok(())
}

/// The moment of signing as `YYYYMMDDTHHMMSSZ`, from X-Amz-Date or else Date. It is part of the signed text,
/// so it need not be a signed header.
fn request_stamp(request: &SignedRequest<'_>) -> Result<String> {
    let mut given = values(request, "x-amz-date").peekable();
    let mut given: Box<dyn Iterator<Item = &str>> =
        if given.peek().is_some() { Box::new(given) } else { Box::new(values(request, "date")) };
    let Some(stamp) = given.next() else {
        return Err(incomplete(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
                .to_owned(),
        ));
    };
    if given.next().is_some() {
        return Err(incomplete("The request has more than one date.".to_owned()));
    }
    let seconds = parse_date(stamp.trim()).ok_or_else(|| {
        incomplete(
            "Date must be in ISO-8601 'basic format'. See http://en.wikipedia.org/wiki/ISO_8601"
                .to_owned(),
        )
    })?;
    Ok(show_date(seconds))
}

fn check_skew(stamp: &str, now: Ms) -> Result<()> {
    let Some(signed_at) = parse_date(stamp) else { return Err(mismatch()) };
    let now = now.div_euclid(SECOND);
    let skew = MAX_SKEW / SECOND;
    let shown = show_date(now);
    if signed_at < now - skew {
        return Err(invalid(format!(
            "Signature expired: {stamp} is now earlier than {} ({shown} - 15 min.)",
            show_date(now - skew)
        )));
    }
    if signed_at > now + skew {
        return Err(invalid(format!(
            "Signature not yet current: {stamp} is still later than {} ({shown} + 15 min.)",
            show_date(now + skew)
        )));
    }
    Ok(())
}

/// The signature that the owner of `secret` gives this request.
fn signature(
    request: &SignedRequest<'_>,
    authorization: &Authorization<'_>,
    stamp: &str,
    payload: &str,
    secret: &str,
) -> Result<String> {
    let scope = [authorization.date, authorization.region, authorization.service, TERMINATOR];
    let canonical = canonical_request(request, &authorization.signed_headers, payload)?;
    let to_sign =
        format!("{ALGORITHM}\n{stamp}\n{}\n{}", scope.join("/"), sha256_hex(canonical.as_bytes()));
    // AWS4 + secret, then one HMAC for each part of the scope, then the text itself.
    let mut key = format!("AWS4{secret}").into_bytes();
    for part in scope.into_iter().chain([to_sign.as_str()]) {
        let next =
            hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
        key.zeroize();
        key = next;
    }
    Ok(hex(&key))
}

/// The text whose hash is signed (AWS General Reference, "Create a canonical request").
fn canonical_request(
    request: &SignedRequest<'_>,
    signed_headers: &[&str],
    payload: &str,
) -> Result<String> {
    let mut text = format!(
        "{}\n{}\n{}\n",
        request.method,
        encode(&normalized_path(request.path), b"/"),
        canonical_query(request.query)
    );
    for name in signed_headers {
        let mut present = values(request, name).map(collapse_spaces).peekable();
        // A signer may sign the absence of a header only by our consent, which nobody needs.
        if present.peek().is_none() {
            return Err(
                mismatch().because(format!("the signed header {name} is not in the request"))
            );
        }
        text.push_str(name);
        text.push(':');
        text.push_str(&present.collect::<Vec<_>>().join(","));
        text.push('\n');
    }
    Ok(format!("{text}\n{}\n{payload}", signed_headers.join(";")))
}

/// Name and value as they came, `%` left alone, everything else that must be escaped escaped; sorted by name, then value.
fn canonical_query(query: &str) -> String {
    let mut pairs: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (encode(name, b"%"), encode(value, b"%")))
        .collect();
    pairs.sort();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

fn values<'a>(request: &SignedRequest<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    request
        .headers
        .iter()
        .filter(move |(header, _)| header == name)
        .map(|(_, value)| value.as_str())
}

fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}
