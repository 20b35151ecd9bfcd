//! Fetching one document and deciding whether it is good: nothing that is not is kept.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use cenote_saml::IdpMetadata;

use super::{Discovery, Learned, What};
use crate::ambient::{HOUR, Ms, SECOND};
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::{Trouble, TroubleKind};
use crate::keys::foreign::Jwks;
use crate::outgoing::{Answer, Failure, Request};
use crate::pool::Provider;

/// What is read of a document. Metadata of a federation with all its members is larger; that of one provider never is.
const METADATA_BYTES: usize = 1024 * 1024;
const JSON_BYTES: usize = 256 * 1024;

const FETCH_WITHIN: Duration = Duration::from_secs(8);

/// When a document is fetched again: by its own word, within these; and where it says nothing.
const SOONEST: Ms = HOUR;
const LATEST: Ms = 24 * HOUR;
const USUAL: Ms = 6 * HOUR;

/// A document that is good.
pub enum Checked {
    SamlMetadata(IdpMetadata),
    Discovery(Discovery),
    Jwks(Jwks),
}

impl Checked {
    pub fn into_any(self) -> Arc<dyn Any + Send + Sync> {
        match self {
            Checked::SamlMetadata(metadata) => Arc::new(metadata),
            Checked::Discovery(discovery) => Arc::new(discovery),
            Checked::Jwks(keys) => Arc::new(keys),
        }
    }
}

/// Fetches and checks. `old` is the copy that is there: the new one must be of the same party.
pub async fn fetch(
    cx: &Cx,
    provider: &Provider,
    what: What,
    url: &str,
    old: Option<&Checked>,
) -> Result<(Learned, Checked), Trouble> {
    let bytes = if what == What::SamlMetadata { METADATA_BYTES } else { JSON_BYTES };
    let accept = match what {
        What::SamlMetadata => {
            "application/samlmetadata+xml, application/xml;q=0.9, text/xml;q=0.9, */*;q=0.5"
        }
        What::Discovery => "application/json",
        What::Jwks => "application/jwk-set+json, application/json",
    };
    let request = Request::get(url).max_bytes(bytes).timeout(FETCH_WITHIN).header("accept", accept);
    let answer = match cx.app.outgoing.send(request).await {
        Ok(answer) if answer.is_success() => answer,
        Ok(answer) => {
            return Err(unreachable(
                provider,
                what,
                &format!("Its address answers {}.", answer.status),
            ));
        }
        Err(Failure::Timeout) if what == What::Jwks => {
            // As Cognito words it (`cognito-behaviour`, 4.1).
            return Err(Trouble::unreachable("Timeout in calling jwks uri"));
        }
        Err(failure @ (Failure::Unreachable(_) | Failure::Timeout)) => {
            return Err(unreachable(provider, what, &failure.message()));
        }
        Err(failure) => return Err(refused(provider, what, &failure.message())),
    };
    let Ok(body) = String::from_utf8(answer.body.clone()) else {
        return Err(refused(provider, what, "It is not UTF-8 text."));
    };
    let body = body.trim_start_matches('\u{feff}').to_owned();
    let checked = parse(cx, provider, what, &body, old)?;
    let due_ms = cx.now + lifetime(cx, &answer, &checked).clamp(SOONEST, LATEST);
    let document = Learned {
        what: what.name().to_owned(),
        url: url.to_owned(),
        body,
        fetched_ms: cx.now,
        due_ms,
    };
    Ok((document, checked))
}

/// Parses a document and holds it against the provider's settings and the copy that is there.
pub fn parse(
    cx: &Cx,
    provider: &Provider,
    what: What,
    body: &str,
    old: Option<&Checked>,
) -> Result<Checked, Trouble> {
    // PostgreSQL stores no U+0000, and none of these documents has one.
    if body.contains('\0') {
        return Err(refused(provider, what, "It holds a character that is none."));
    }
    match what {
        What::SamlMetadata => {
            let entity_id = match old {
                Some(Checked::SamlMetadata(old)) => Some(old.entity_id.as_str()),
                _ => None,
            };
            metadata(cx.now, provider, body, entity_id).map(Checked::SamlMetadata)
        }
        What::Discovery => discovery(cx, provider, body).map(Checked::Discovery),
        What::Jwks => match Jwks::parse(body) {
            Ok(keys) if keys.is_empty() => {
                Err(refused(provider, what, "It holds no key that can verify."))
            }
            Ok(keys) => Ok(Checked::Jwks(keys)),
            Err(malformed) => Err(refused(provider, what, &format!("{malformed}."))),
        },
    }
}

/// SAML metadata as it was good at a time: for reading who an old copy is of.
pub fn metadata(
    now: Ms,
    provider: &Provider,
    body: &str,
    entity_id: Option<&str>,
) -> Result<IdpMetadata, Trouble> {
    let refuse = |why: &str| refused(provider, What::SamlMetadata, why);
    let entity_id = entity_id.or_else(|| provider.detail("MetadataEntityID"));
    let trusted = match provider.detail("MetadataSigningCertificate") {
        Some(text) => Some(vec![certificate(text).ok_or_else(|| {
            refuse("MetadataSigningCertificate is not a certificate in PEM form or base64.")
        })?]),
        None => None,
    };
    let metadata = IdpMetadata::parse(body, now, trusted.as_deref(), entity_id)
        .map_err(|fault| refuse(&format!("{fault}.")))?;
    match entity_id {
        Some(entity_id) if metadata.entity_id != entity_id => Err(refuse(
            "It is of another entity id than before. Update the provider if that is right.",
        )),
        _ => Ok(metadata),
    }
}

/// The certificate between PEM's lines, or without them.
pub fn certificate(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let base64: String = text
        .lines()
        .filter(|line| !line.contains("-----"))
        .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
        .collect();
    let der = base64::prelude::BASE64_STANDARD.decode(base64).ok()?;
    (!der.is_empty()).then_some(der)
}

fn discovery(cx: &Cx, provider: &Provider, body: &str) -> Result<Discovery, Trouble> {
    let refuse = |why: &str| Err(refused(provider, What::Discovery, why));
    let found: Discovery = match serde_json::from_str(body) {
        Ok(found) => found,
        Err(_) => {
            return refuse("It is not a JSON object with the members of OpenID Connect Discovery.");
        }
    };
    // The same, but for a slash at the end, which Cognito's setting does not take and some providers' tokens have.
    let wanted = provider.detail("oidc_issuer").unwrap_or_default();
    if found.issuer.trim_end_matches('/') != wanted.trim_end_matches('/') {
        let short: String = found.issuer.chars().filter(|c| !c.is_control()).take(200).collect();
        return refuse(&format!("Its issuer is \"{short}\", and oidc_issuer is \"{wanted}\"."));
    }
    let needed = [
        ("authorization_endpoint", &found.authorization_endpoint, "authorize_url"),
        ("token_endpoint", &found.token_endpoint, "token_url"),
        ("jwks_uri", &found.jwks_uri, "jwks_uri"),
    ];
    for (name, url, detail) in needed {
        if url.is_none() && provider.detail(detail).is_none() {
            return refuse(&format!("It names no {name}."));
        }
    }
    let all = [
        &found.authorization_endpoint,
        &found.token_endpoint,
        &found.jwks_uri,
        &found.userinfo_endpoint,
        &found.end_session_endpoint,
        &found.revocation_endpoint,
    ];
    for url in all.into_iter().flatten() {
        if !url.starts_with("https://") && cx.app.outgoing.check(url).is_err() {
            return refuse("One of its endpoints is not an https address.");
        }
    }
    Ok(found)
}

/// How long a document is good by its own word.
fn lifetime(cx: &Cx, answer: &Answer, checked: &Checked) -> Ms {
    let stated = max_age(answer);
    match checked {
        Checked::SamlMetadata(metadata) => {
            let cache = metadata.cache_ms.or(stated).unwrap_or(USUAL);
            // An hour before it ends there should be another one.
            metadata.valid_until_ms.map_or(cache, |until| cache.min(until - cx.now - HOUR))
        }
        _ => stated.unwrap_or(USUAL),
    }
}

/// `Cache-Control: max-age` (RFC 9111, 5.2.2.1).
fn max_age(answer: &Answer) -> Option<Ms> {
    let directives = answer.cache_control.as_deref()?.split(',');
    let seconds = directives
        .filter_map(|directive| directive.trim().split_once('='))
        .find(|(name, _)| name.eq_ignore_ascii_case("max-age"))?;
    let seconds: Ms = seconds.1.trim_matches('"').parse().ok()?;
    Some(seconds.saturating_mul(SECOND))
}

fn refused(provider: &Provider, what: What, why: &str) -> Trouble {
    told(provider, what, why, TroubleKind::Refused)
}

fn unreachable(provider: &Provider, what: What, why: &str) -> Trouble {
    told(provider, what, why, TroubleKind::Unreachable)
}

fn told(provider: &Provider, what: What, why: &str, kind: TroubleKind) -> Trouble {
    let text =
        format!("The {} of {} cannot be used. {}", what.title(), provider.name, sentence(why));
    Trouble { kind, text }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(cache_control: &str) -> Answer {
        let cache_control = Some(cache_control.to_owned());
        Answer {
            status: 200,
            content_type: None,
            cache_control,
            retry_after: None,
            body: Vec::new(),
        }
    }

    #[test]
    fn max_age_is_read_from_among_other_directives() {
        assert_eq!(max_age(&answer("public, Max-Age=7200, must-revalidate")), Some(7_200_000));
        assert_eq!(max_age(&answer("no-store")), None);
        assert_eq!(max_age(&answer("max-age=99999999999999999999")), None);
    }

    #[test]
    fn a_certificate_is_read_with_and_without_pem_lines() {
        assert_eq!(
            certificate("-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----"),
            Some(vec![1, 2, 3])
        );
        assert_eq!(certificate("AQ ID"), Some(vec![1, 2, 3]));
        assert_eq!(certificate("not base64!"), None);
        assert_eq!(certificate(""), None);
    }
}
