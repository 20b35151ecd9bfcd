//! SAML sign-in, between a provider as it is configured and the protocol in `cenote_saml`: the request that sends a browser there, and
//! what the answer says of somebody.

use cenote_saml::{
    AuthnRequest, Binding, Credential, Endpoint, Expect, Fault, IdpMetadata, Incoming,
    consume_response,
};

use super::{Trouble, TroubleKind, certificates, learned};
use crate::ambient::{MINUTE, Ms};
use crate::cx::Cx;
use crate::pool::identity::{NameId, UpstreamDoc};
use crate::pool::{Identity, Pool, Provider};

/// How far the clock of a provider may be from ours.
pub const SKEW: Ms = MINUTE;

/// How old an assertion may be that nobody asked for (`cognito-behaviour`, 2.3).
const UNSOLICITED: Ms = 6 * MINUTE;

/// How a browser takes a message to a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToProvider {
    Redirect(String),
    Post { url: String, fields: Vec<(&'static str, String)> },
}

/// What is asked of the provider.
pub struct Ask<'a> {
    /// Where the answer is to be posted.
    pub acs_url: &'a str,
    pub request_id: &'a str,
    pub relay_state: &'a str,
    /// Ask for credentials whatever session there is.
    pub forced: bool,
}

/// An assertion that must not be taken twice.
pub struct Seen {
    pub id: String,
    pub until_ms: Ms,
}

/// What we are called by SAML providers (`cognito-behaviour`, 2.1).
pub fn entity_id(pool: &Pool) -> String {
    format!("urn:amazon:cognito:sp:{}", pool.id)
}

/// The request, by Redirect if the provider takes that. Signed where the provider's settings or its metadata ask for it.
pub async fn authn_request(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    ask: &Ask<'_>,
) -> Result<ToProvider, Trouble> {
    let metadata = learned::saml_metadata(cx, provider).await?;
    let at = |binding: Binding| metadata.sso.iter().find(|at| at.binding == binding);
    let Some(Endpoint { binding, location, .. }) =
        at(Binding::Redirect).or_else(|| at(Binding::Post))
    else {
        return Err(Trouble::refused(format!(
            "The metadata of {} has no SingleSignOnService by HTTP-Redirect or HTTP-POST",
            provider.name
        )));
    };
    let signs = provider.detail("RequestSigningAlgorithm").is_some();
    let credential = match signs || metadata.wants_signed_requests {
        true => Some(certificates::signing(cx, pool).await?),
        false => None,
    };
    let contexts: Vec<&str> =
        provider.detail("RequestedAuthnContext").unwrap_or_default().split_whitespace().collect();
    let request = AuthnRequest {
        id: ask.request_id,
        issuer: &entity_id(pool),
        destination: location,
        acs_url: ask.acs_url,
        issue_instant_ms: cx.now,
        force_authn: ask.forced,
        name_id_format: provider.detail("NameIDFormat"),
        requested_authn_context: &contexts,
        // Cognito tells a SAML provider nothing of whom it expects (`cognito-behaviour`, 3).
        login_hint: None,
    };
    let (relay_state, credential) = (Some(ask.relay_state), credential.as_deref());
    Ok(match binding {
        Binding::Post => ToProvider::Post {
            url: location.clone(),
            fields: request.post(relay_state, credential).map_err(ours)?,
        },
        _ => ToProvider::Redirect(request.redirect(relay_state, credential).map_err(ours)?),
    })
}

/// What a response says, verified. `request_id` is that of our request; `None` where the provider began.
pub async fn response(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    message: &Incoming,
    acs_url: &str,
    request_id: Option<&str>,
) -> Result<(Identity, Seen), Trouble> {
    let metadata = learned::saml_metadata(cx, provider).await?;
    let key = certificates::decryption(cx, pool, &provider.name).await?;
    let keys: [&Credential; 1] = [&key];
    let read = |metadata: &IdpMetadata| {
        let expect = Expect {
            idp_entity_id: &metadata.entity_id,
            trusted: &metadata.signing,
            audience: &entity_id(pool),
            acs_url,
            now_ms: cx.now,
            skew_ms: SKEW,
            in_response_to: request_id,
            max_age_ms: UNSOLICITED,
            require_encrypted: provider.is("EncryptedResponses"),
            decrypt: &keys,
        };
        consume_response(message, &expect)
    };
    let mut said = read(&metadata);
    // The provider may have a new key, which its metadata tells before we read it again by ourselves.
    if let Err(Fault::SignatureMismatch { .. }) = said
        && let Some(metadata) = learned::saml_metadata_anew(cx, provider).await?
    {
        said = read(&metadata);
    }
    let assertion = said.map_err(|fault| refused(&fault))?;
    let seen = Seen { id: assertion.id, until_ms: assertion.replay_until_ms };
    let name_id = assertion.name_id;
    let identity = Identity {
        provider: provider.name.clone(),
        kind: provider.kind,
        subject: name_id.value.clone(),
        issuer: Some(assertion.issuer),
        claims: assertion.attributes.into_iter().map(|own| (own.name, own.values)).collect(),
        auth_ms: Some(assertion.authn_instant_ms),
        upstream: UpstreamDoc {
            name_id: Some(NameId {
                value: name_id.value,
                format: name_id.format,
                name_qualifier: name_id.name_qualifier,
                sp_name_qualifier: name_id.sp_name_qualifier,
            }),
            session_index: assertion.session_index,
            until_ms: assertion.session_not_on_or_after_ms,
            ..UpstreamDoc::default()
        },
    };
    Ok((identity, seen))
}

/// Cognito's words for what is wrong with a response, and the fault itself (`cognito-behaviour`, 2.7).
pub fn refused(fault: &Fault) -> Trouble {
    let said = match fault {
        Fault::Unsigned { .. }
        | Fault::SignatureShape(_)
        | Fault::Algorithm { .. }
        | Fault::DigestMismatch { .. }
        | Fault::SignatureMismatch { .. } => {
            "Error in SAML response processing: SAML Assertion signature is invalid"
        }
        Fault::InResponseTo { .. } => UNRELATED,
        _ => "Invalid SAML response received",
    };
    Trouble::refused(format!("{said}: {fault}"))
}

/// A response that belongs to nothing that was asked here.
pub const UNRELATED: &str = "Invalid samlResponse or relayState from identity provider";

/// We could not write our own message.
fn ours(fault: Fault) -> Trouble {
    tracing::error!(%fault, "a SAML request could not be written");
    Trouble { kind: TroubleKind::Internal, text: "The request could not be written".to_owned() }
}
