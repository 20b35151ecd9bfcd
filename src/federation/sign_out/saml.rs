//! Single logout as SAML's service provider: the LogoutRequest that we sign, by SOAP or for a browser to carry, and what its answer
//! says (SAML core 3.7, profiles 4.4).

use std::sync::Arc;

use cenote_saml::{
    Binding, Credential, Endpoint, ExpectLogout, Fault, IdpMetadata, Incoming, LogoutRequest,
    Status, StatusCode,
};

use super::Told;
use crate::ambient::{MINUTE, Ms};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::federation::saml::{SKEW, entity_id};
use crate::federation::{Trouble, certificates, learned};
use crate::ids;
use crate::outgoing::{Failure, Request};
use crate::pool::identity::{NameId, UpstreamDoc};
use crate::pool::{Pool, Provider};
use crate::store::upstream::State;

/// How old a message may be that does not say when it ends; and how long ours are good.
pub const MAX_AGE: Ms = 5 * MINUTE;

/// A provider that is asked by SOAP asks others before it answers.
const SOAP_WITHIN: std::time::Duration = std::time::Duration::from_secs(15);

/// Whether the provider is to be told at all (`cognito-behaviour`, 2.6).
pub fn is_asked(provider: &Provider) -> bool {
    provider.is("IDPSignout")
}

/// Tells the provider without a browser.
pub async fn by_soap(cx: &Cx, pool: &Pool, provider: &Provider, doc: &UpstreamDoc) -> Result<Told> {
    let settled = |state, detail: &str| Ok(Told::Settled(state, detail.to_owned()));
    if !is_asked(provider) {
        return settled(State::Left, "IDPSignout is not set");
    }
    let Some(name_id) = &doc.name_id else {
        return settled(State::Fresh, "it gave no NameID");
    };
    let metadata = match learned::saml_metadata(cx, provider).await {
        Ok(metadata) => metadata,
        Err(trouble) => return Ok(Told::Later(trouble.text)),
    };
    let Some(endpoint) = endpoint(&metadata, Binding::Soap) else {
        return settled(State::Fresh, "its metadata offers no single logout by SOAP");
    };
    let id = format!("_{}", ids::handle(cx.rng()));
    let message = Message::new(cx, pool, &id, &endpoint.location, name_id, doc);
    let xml = message.sign(cx, pool, |request, key| request.soap(key)).await?;
    let send = Request::soap(&endpoint.location, xml).timeout(SOAP_WITHIN);
    let answer = match cx.app.outgoing.send(send).await {
        Ok(answer) => answer,
        Err(failure @ Failure::Refused(_)) => return settled(State::Failed, &failure.message()),
        Err(failure) => return Ok(Told::Later(failure.message())),
    };
    // A SOAP fault comes with status 500; what it says is of more use than the number.
    let status = match cenote_saml::decode_soap(&answer.body) {
        Ok(incoming) => match verified(cx, provider, &metadata, &incoming, "", &id).await {
            Ok(status) => status,
            Err(trouble) => return Ok(Told::Later(trouble.text)),
        },
        Err(fault) => Err(fault),
    };
    Ok(match status {
        Ok(status) if is_over(&status) => {
            Told::Settled(State::Done, "signed out by SOAP".to_owned())
        }
        Ok(status) => Told::Settled(State::Failed, format!("it answers {status}")),
        // It will not be signed the next time either.
        Err(fault @ Fault::Unsigned { .. }) => Told::Settled(State::Failed, fault.to_string()),
        Err(fault) if answer.is_success() => Told::Later(fault.to_string()),
        Err(fault) => Told::Later(format!("it answers {}: {fault}", answer.status)),
    })
}

/// How a browser takes a LogoutRequest there. `None`: not at all.
pub async fn for_browser(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    doc: &UpstreamDoc,
    handle: &str,
) -> Result<Option<super::browser::Hop>, Trouble> {
    use super::browser::Hop;
    let Some(name_id) = &doc.name_id else { return Ok(None) };
    let metadata = learned::saml_metadata(cx, provider).await?;
    // Redirect first, as Cognito does.
    let at = |binding| endpoint(&metadata, binding);
    let Some(endpoint) = at(Binding::Redirect).or_else(|| at(Binding::Post)) else {
        return Ok(None);
    };
    let (id, relay_state) = (request_id(handle), handle.to_owned());
    let message = Message::new(cx, pool, &id, &endpoint.location, name_id, doc);
    Ok(Some(match endpoint.binding {
        Binding::Post => {
            let post = move |request: &LogoutRequest<'_>, key: &Credential| {
                request.post(Some(&relay_state), Some(key))
            };
            let fields = message.sign(cx, pool, post).await?;
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Hop::Post { url: endpoint.location.clone(), fields }
        }
        _ => {
            let redirect = move |request: &LogoutRequest<'_>, key: &Credential| {
                request.redirect(Some(&relay_state), Some(key))
            };
            Hop::Redirect(message.sign(cx, pool, redirect).await?)
        }
    }))
}

/// The id of the request that a browser carries: its answer finds the way back even if the provider loses RelayState.
pub fn request_id(handle: &str) -> String {
    format!("_{handle}")
}

/// The handle in such an id.
pub fn handle_of(request_id: &str) -> Option<&str> {
    request_id.strip_prefix('_')
}

/// What the provider answers to the request that this handle was made for, verified.
pub async fn answer(
    cx: &Cx,
    provider: &Provider,
    incoming: &Incoming,
    destination: &str,
    handle: &str,
) -> Result<Status, Trouble> {
    let metadata = learned::saml_metadata(cx, provider).await?;
    let id = request_id(handle);
    let status = verified(cx, provider, &metadata, incoming, destination, &id).await?;
    status.map_err(|fault| Trouble::refused(fault.to_string()))
}

/// The status of an answer. The provider may have changed its key since its metadata was read.
async fn verified(
    cx: &Cx,
    provider: &Provider,
    metadata: &IdpMetadata,
    incoming: &Incoming,
    destination: &str,
    request_id: &str,
) -> Result<Result<Status, Fault>, Trouble> {
    match check(cx, metadata, incoming, destination, request_id) {
        Err(fault @ (Fault::SignatureMismatch { .. } | Fault::Issuer { .. })) => {
            let anew = learned::saml_metadata_anew(cx, provider).await?;
            Ok(match anew {
                Some(metadata) => check(cx, &metadata, incoming, destination, request_id),
                None => Err(fault),
            })
        }
        checked => Ok(checked),
    }
}

/// Whether the provider's own session is over; those of other parties may not be.
pub fn is_over(status: &Status) -> bool {
    matches!(status.code, StatusCode::Success | StatusCode::PartialLogout)
}

/// Whether the provider says that another party did not sign the user out.
pub fn is_partial(status: &Status) -> bool {
    let below =
        status.detail.as_ref().is_some_and(|detail| detail.to_string().contains(":PartialLogout"));
    below || status.code == StatusCode::PartialLogout
}

fn check(
    cx: &Cx,
    metadata: &IdpMetadata,
    incoming: &Incoming,
    destination: &str,
    request_id: &str,
) -> Result<Status, Fault> {
    let expect = expect(cx, metadata, destination, &[]);
    Ok(cenote_saml::consume_logout_response(incoming, &expect, request_id)?.status)
}

/// What a logout message of this provider must be.
pub fn expect<'a>(
    cx: &Cx,
    metadata: &'a IdpMetadata,
    destination: &'a str,
    decrypt: &'a [&'a Credential],
) -> ExpectLogout<'a> {
    ExpectLogout {
        idp_entity_id: &metadata.entity_id,
        trusted: &metadata.signing,
        destination,
        now_ms: cx.now,
        skew_ms: SKEW,
        max_age_ms: MAX_AGE,
        decrypt,
    }
}

/// The first single logout service by this binding.
pub fn endpoint(metadata: &IdpMetadata, binding: Binding) -> Option<&Endpoint> {
    metadata.slo.iter().find(|endpoint| endpoint.binding == binding)
}

/// A LogoutRequest that owns its parts, so that it can be signed on another thread.
struct Message {
    id: String,
    issuer: String,
    destination: String,
    now: Ms,
    name_id: cenote_saml::NameId,
    session_index: Option<String>,
}

impl Message {
    fn new(
        cx: &Cx,
        pool: &Pool,
        id: &str,
        destination: &str,
        name_id: &NameId,
        doc: &UpstreamDoc,
    ) -> Message {
        Message {
            id: id.to_owned(),
            issuer: entity_id(pool),
            destination: destination.to_owned(),
            now: cx.now,
            name_id: exact(name_id),
            session_index: doc.session_index.clone(),
        }
    }

    async fn sign<T: Send + 'static>(
        self,
        cx: &Cx,
        pool: &Pool,
        write: impl FnOnce(&LogoutRequest<'_>, &Credential) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let key: Arc<Credential> = certificates::signing(cx, pool).await?;
        let signed = cx.app.compute.sign(move || {
            let request = LogoutRequest {
                id: &self.id,
                issuer: &self.issuer,
                destination: &self.destination,
                issue_instant_ms: self.now,
                not_on_or_after_ms: self.now + MAX_AGE,
                name_id: &self.name_id,
                session_index: self.session_index.as_deref(),
                reason: None,
            };
            write(&request, &key)
        });
        signed.await?.map_err(Error::internal)
    }
}

/// Whom a request means must be said as the provider said it.
fn exact(name_id: &NameId) -> cenote_saml::NameId {
    cenote_saml::NameId {
        value: name_id.value.clone(),
        format: name_id.format.clone(),
        name_qualifier: name_id.name_qualifier.clone(),
        sp_name_qualifier: name_id.sp_name_qualifier.clone(),
    }
}
