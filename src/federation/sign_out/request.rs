//! A LogoutRequest of a SAML provider, by whichever binding: who sent it, whether it may, and the signed answer (SAML core 3.7,
//! profiles 4.4.3).

use std::sync::Arc;

use cenote_saml::{
    Binding, Credential, Fault, IdpMetadata, InboundLogout, Incoming, LogoutResponse, LogoutStatus,
};

use super::browser::Hop;
use super::inward::Named;
use super::saml;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::federation::saml::entity_id;
use crate::federation::{Trouble, TroubleKind, certificates, learned};
use crate::ids;
use crate::pool::identity::NameId;
use crate::pool::provider::Kind;
use crate::pool::{Pool, Provider};

/// A verified request.
pub struct Asked {
    /// Under every name that the party which signed it has in this pool.
    pub providers: Vec<Provider>,
    pub request: InboundLogout,
    metadata: Arc<IdpMetadata>,
}

impl Asked {
    pub fn named(&self) -> Named {
        let name = &self.request.name_id;
        Named {
            subject: Some(name.value.clone()),
            name_id: Some(NameId {
                value: name.value.clone(),
                format: name.format.clone(),
                name_qualifier: name.name_qualifier.clone(),
                sp_name_qualifier: name.sp_name_qualifier.clone(),
            }),
            sessions: self.request.session_indexes.clone(),
            signed_until_ms: None,
        }
    }
}

/// Verifies a request that arrived at `destination`. It must be signed by a provider of this pool.
pub async fn verify(
    cx: &Cx,
    pool: &Pool,
    incoming: &Incoming,
    destination: &str,
) -> Result<Asked, Trouble> {
    let peek = incoming.peek().map_err(refused)?;
    let issuer = peek.issuer.ok_or_else(|| Trouble::refused("The message names no Issuer."))?;
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let mut asked: Option<Asked> = None;
    let mut trouble = Trouble::refused(format!(
        "No SAML provider of this user pool has the entity id {}.",
        cenote_saml::Excerpt::of(&issuer)
    ));
    for provider in providers.all().iter().filter(|provider| provider.kind == Kind::Saml) {
        match verify_by(cx, pool, provider, incoming, destination, &issuer).await {
            Ok(None) => {}
            Ok(Some((request, metadata))) => match &mut asked {
                Some(asked) => asked.providers.push(provider.clone()),
                None => {
                    asked = Some(Asked { providers: vec![provider.clone()], request, metadata })
                }
            },
            // What could not be looked at outweighs what was and is no good: the sender should try again.
            Err(other) if trouble.kind != TroubleKind::Unreachable => trouble = other,
            Err(_) => {}
        }
    }
    asked.ok_or(trouble)
}

/// `None`: another party's.
async fn verify_by(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    incoming: &Incoming,
    destination: &str,
    issuer: &str,
) -> Result<Option<(InboundLogout, Arc<IdpMetadata>)>, Trouble> {
    let metadata = learned::saml_metadata(cx, provider).await?;
    if metadata.entity_id != issuer {
        return Ok(None);
    }
    let key = certificates::decryption(cx, pool, &provider.name).await?;
    let keys: [&Credential; 1] = [&key];
    let check = |metadata: &IdpMetadata| {
        let expect = saml::expect(cx, metadata, destination, &keys);
        cenote_saml::consume_logout_request(incoming, &expect)
    };
    match check(&metadata) {
        Ok(request) => Ok(Some((request, metadata))),
        Err(fault @ Fault::SignatureMismatch { .. }) => {
            // It may have changed its key since.
            match learned::saml_metadata_anew(cx, provider).await? {
                Some(metadata) => match check(&metadata) {
                    Ok(request) => Ok(Some((request, metadata))),
                    Err(fault) => Err(refused(fault)),
                },
                None => Err(refused(fault)),
            }
        }
        Err(fault) => Err(refused(fault)),
    }
}

fn refused(fault: Fault) -> Trouble {
    Trouble::refused(format!("The logout message was refused: {fault}."))
}

/// The answer in a SOAP envelope.
pub async fn answer_by_soap(
    cx: &Cx,
    pool: &Pool,
    asked: &Asked,
    status: LogoutStatus,
) -> Result<String> {
    // Nobody is addressed: it goes back where the request came from.
    let answer = Answer::new(cx, pool, asked, "", status);
    answer.sign(cx, pool, |response, key| response.soap(key)).await
}

/// The answer as a browser takes it back: by the request's own binding if the provider takes answers by it. `None`: it takes none.
pub async fn answer_by_browser(
    cx: &Cx,
    pool: &Pool,
    asked: &Asked,
    binding: Binding,
    relay_state: Option<&str>,
    status: LogoutStatus,
) -> Result<Option<Hop>> {
    let at = |binding| saml::endpoint(&asked.metadata, binding);
    let other = match binding {
        Binding::Post => Binding::Redirect,
        _ => Binding::Post,
    };
    let Some(endpoint) = at(binding).or_else(|| at(other)) else { return Ok(None) };
    let to = endpoint.for_responses();
    let answer = Answer::new(cx, pool, asked, to, status);
    let relay_state = relay_state.map(str::to_owned);
    Ok(Some(match endpoint.binding {
        Binding::Post => {
            let post = move |response: &LogoutResponse<'_>, key: &Credential| {
                response.post(relay_state.as_deref(), Some(key))
            };
            let fields = answer.sign(cx, pool, post).await?;
            let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            Hop::Post { url: to.to_owned(), fields }
        }
        _ => {
            let redirect = move |response: &LogoutResponse<'_>, key: &Credential| {
                response.redirect(relay_state.as_deref(), Some(key))
            };
            Hop::Redirect(answer.sign(cx, pool, redirect).await?)
        }
    }))
}

/// A LogoutResponse that owns its parts, so that it can be signed on another thread.
struct Answer {
    id: String,
    in_response_to: String,
    issuer: String,
    destination: String,
    now: i64,
    status: LogoutStatus,
}

impl Answer {
    fn new(cx: &Cx, pool: &Pool, asked: &Asked, to: &str, status: LogoutStatus) -> Answer {
        Answer {
            id: format!("_{}", ids::handle(cx.rng())),
            in_response_to: asked.request.id.clone(),
            issuer: entity_id(pool),
            destination: to.to_owned(),
            now: cx.now,
            status,
        }
    }

    async fn sign<T: Send + 'static>(
        self,
        cx: &Cx,
        pool: &Pool,
        write: impl FnOnce(&LogoutResponse<'_>, &Credential) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T> {
        let key = certificates::signing(cx, pool).await?;
        let signed = cx.app.compute.sign(move || {
            let response = LogoutResponse {
                id: &self.id,
                in_response_to: &self.in_response_to,
                issuer: &self.issuer,
                destination: &self.destination,
                issue_instant_ms: self.now,
                status: self.status,
            };
            write(&response, &key)
        });
        signed.await?.map_err(Error::internal)
    }
}
