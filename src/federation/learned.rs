//! What providers say of themselves: SAML metadata, OpenID Connect discovery, key sets. Fetched within limits, checked, kept with the
//! last good copy, refreshed by a worker. Whatever comes of a refresh, a copy that was good is used until a better one is there.

mod check;
mod endpoints;
mod refresh;

use std::any::Any;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cenote_saml::IdpMetadata;
use tokio::sync::Mutex;

pub use self::check::certificate;
use self::check::{Checked, fetch, parse};
pub use self::endpoints::{Discovery, Endpoints};
pub use self::refresh::refresh;
use super::{Trouble, TroubleKind};
use crate::ambient::{MINUTE, Ms, SECOND};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::foreign::Jwks;
use crate::pool::Provider;
use crate::pool::provider::Kind;
pub use crate::store::learned::Document as Learned;
use crate::store::learned::{self, Known};

/// After a fetch, how long until an unknown key id or signature, or a document that is not there, is reason for another one.
const AGAIN_MS: Ms = 10 * SECOND;

/// The member of ProviderDetails that says where the keys for events are.
const EVENT_JWKS: &str = "ssf_jwks_uri";

/// A kind of document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    SamlMetadata,
    Discovery,
    Jwks,
    /// Those of `ssf_jwks_uri`, which sign security events.
    EventJwks,
}

impl What {
    pub const ALL: [What; 4] = [What::SamlMetadata, What::Discovery, What::Jwks, What::EventJwks];

    pub fn name(self) -> &'static str {
        match self {
            What::SamlMetadata => "saml_metadata",
            What::Discovery => "discovery",
            What::Jwks => "jwks",
            What::EventJwks => "event_jwks",
        }
    }

    /// In sentences.
    pub fn title(self) -> &'static str {
        match self {
            What::SamlMetadata => "SAML metadata",
            What::Discovery => "discovery document",
            What::Jwks => "key set",
            What::EventJwks => "key set for events",
        }
    }
}

/// The metadata of a SAML provider, from its MetadataURL or its MetadataFile.
pub async fn saml_metadata(cx: &Cx, provider: &Provider) -> Result<Arc<IdpMetadata>, Trouble> {
    let metadata = match provider.detail("MetadataURL") {
        Some(url) => copy(cx, provider, What::SamlMetadata, url).await?,
        None => from_file(cx, provider)?,
    };
    // It was in time when it was parsed.
    match metadata.valid_until_ms {
        Some(until) if until + MINUTE <= cx.now => Err(Trouble::refused(format!(
            "The SAML metadata of {} is not valid any more (validUntil). Load its current metadata.",
            provider.name
        ))),
        _ => Ok(metadata),
    }
}

/// The metadata fetched anew, because a signature by a key that it does not name may be the provider's new key. `None`: what there is
/// is as new as it gets.
pub async fn saml_metadata_anew(
    cx: &Cx,
    provider: &Provider,
) -> Result<Option<Arc<IdpMetadata>>, Trouble> {
    let Some(url) = provider.detail("MetadataURL") else { return Ok(None) };
    anew(cx, provider, What::SamlMetadata, url).await
}

/// Where a provider that speaks OAuth listens.
pub async fn discovery(cx: &Cx, provider: &Provider) -> Result<Arc<Endpoints>, Trouble> {
    let found = match (provider.kind, discovery_url(provider)) {
        // Tried when the provider was made or changed: no sign-in waits for what may not exist.
        (Kind::Oidc, Some(url)) if endpoints::is_explicit(provider) => {
            let known = known(cx, provider, What::Discovery, &url).await?;
            match &known {
                Some(known) => {
                    Some(recall::<Discovery>(cx, provider, What::Discovery, known).await?)
                }
                None => None,
            }
        }
        (Kind::Oidc, Some(url)) => {
            Some(copy::<Discovery>(cx, provider, What::Discovery, &url).await?)
        }
        _ => None,
    };
    Endpoints::of(provider, found.as_deref()).map(Arc::new).ok_or_else(|| {
        Trouble::refused(format!(
            "{} names no authorization or token endpoint, neither in ProviderDetails nor by discovery.",
            provider.name
        ))
    })
}

/// The provider's keys.
pub async fn jwks(cx: &Cx, provider: &Provider) -> Result<Arc<Jwks>, Trouble> {
    copy(cx, provider, What::Jwks, &jwks_uri(cx, provider).await?).await
}

/// The provider's keys fetched anew, because those that there are do not explain a signature. `None`: they are as new as it gets.
pub async fn jwks_anew(cx: &Cx, provider: &Provider) -> Result<Option<Arc<Jwks>>, Trouble> {
    anew(cx, provider, What::Jwks, &jwks_uri(cx, provider).await?).await
}

/// The keys that sign the provider's security events: its own, unless it is told that others do.
pub async fn event_jwks(cx: &Cx, provider: &Provider) -> Result<Arc<Jwks>, Trouble> {
    match provider.detail(EVENT_JWKS) {
        Some(url) => copy(cx, provider, What::EventJwks, url).await,
        None => jwks(cx, provider).await,
    }
}

/// The same fetched anew. `None`: they are as new as it gets.
pub async fn event_jwks_anew(cx: &Cx, provider: &Provider) -> Result<Option<Arc<Jwks>>, Trouble> {
    match provider.detail(EVENT_JWKS) {
        Some(url) => anew(cx, provider, What::EventJwks, url).await,
        None => jwks_anew(cx, provider).await,
    }
}

async fn jwks_uri(cx: &Cx, provider: &Provider) -> Result<String, Trouble> {
    let endpoints = discovery(cx, provider).await?;
    endpoints
        .jwks
        .clone()
        .ok_or_else(|| Trouble::refused(format!("{} has no jwks_uri.", provider.name)))
}

/// Fetches what a provider that is made or changed says of itself. Whoever commits the provider adds `store::learned::replace` to
/// the same batch. Errors are for the administrator.
pub async fn learn(cx: &Cx, provider: &Provider) -> Result<Vec<Learned>> {
    let told = |trouble: Trouble| Error::invalid(trouble.text);
    match (provider.kind, provider.detail("MetadataURL"), discovery_url(provider)) {
        (Kind::Saml, Some(url), _) => {
            let (document, _) =
                fetch(cx, provider, What::SamlMetadata, url, None).await.map_err(told)?;
            Ok(vec![document])
        }
        (Kind::Saml, None, _) => {
            from_file(cx, provider).map_err(told)?;
            Ok(Vec::new())
        }
        (Kind::Oidc, _, Some(url)) => {
            let (mut documents, mut found) = (Vec::new(), None);
            let discovered = match fetch(cx, provider, What::Discovery, &url, None).await {
                Err(trouble) if !endpoints::is_explicit(provider) => return Err(told(trouble)),
                Err(_) => kept(cx, provider, What::Discovery, &url).await?,
                Ok(fetched) => Some(fetched),
            };
            if let Some((document, Checked::Discovery(discovery))) = discovered {
                found = Some(discovery);
                documents.push(document);
            }
            // The keys are fetched again when they are needed; a provider that is making its own now is no reason to refuse it.
            let endpoints = Endpoints::of(provider, found.as_ref());
            if let Some(url) = endpoints.and_then(|endpoints| endpoints.jwks) {
                let keys = match fetch(cx, provider, What::Jwks, &url, None).await {
                    Err(_) => kept(cx, provider, What::Jwks, &url).await?,
                    Ok(fetched) => Some(fetched),
                };
                documents.extend(keys.map(|(document, _)| document));
            }
            Ok(documents)
        }
        _ => Ok(Vec::new()),
    }
}

/// The copy that is there of a document from this address, where there cannot be a newer one now: a change of the provider must not
/// lose it.
async fn kept(
    cx: &Cx,
    provider: &Provider,
    what: What,
    url: &str,
) -> Result<Option<(Learned, Checked)>> {
    let found = learned::find(cx.db(), &provider.pool_id, &provider.name, what.name()).await?;
    Ok(found.filter(|document| document.url == url).and_then(|document| {
        let checked = parse(cx, provider, what, &document.body, None).ok()?;
        Some((document, checked))
    }))
}

fn discovery_url(provider: &Provider) -> Option<String> {
    let issuer = provider.detail("oidc_issuer")?.trim_end_matches('/');
    Some(format!("{issuer}/.well-known/openid-configuration"))
}

/// Metadata that came with the provider. It changes with the provider alone.
fn from_file(cx: &Cx, provider: &Provider) -> Result<Arc<IdpMetadata>, Trouble> {
    let detail = |name| provider.detail(name).unwrap_or_default();
    let file = detail("MetadataFile");
    // By what it holds: a provider that is being changed has its old version yet, and one that is deleted may come again by its name.
    let all = [file, detail("MetadataSigningCertificate"), detail("MetadataEntityID")].join("\0");
    let key = (BASE64_STANDARD.encode(crate::keys::hash(all.as_bytes())), 0);
    remembered(cx, provider, What::SamlMetadata, key, || {
        parse(cx, provider, What::SamlMetadata, file, None).map(Checked::into_any)
    })
}

/// Which copy there is of a document from this address.
async fn known(
    cx: &Cx,
    provider: &Provider,
    what: What,
    url: &str,
) -> Result<Option<Known>, Trouble> {
    let known = learned::known(cx.db(), &provider.pool_id, &provider.name, what.name()).await?;
    Ok(known.filter(|known| known.url == url))
}

/// The copy of a document, parsed; fetched where there is none from this address.
async fn copy<T: Any + Send + Sync>(
    cx: &Cx,
    provider: &Provider,
    what: What,
    url: &str,
) -> Result<Arc<T>, Trouble> {
    match known(cx, provider, what, url).await? {
        Some(known) => recall(cx, provider, what, &known).await,
        None => renewed(cx, provider, what, url, None).await,
    }
}

/// A newer copy than the one that is known; `None` if it was fetched a moment ago.
async fn anew<T: Any + Send + Sync>(
    cx: &Cx,
    provider: &Provider,
    what: What,
    url: &str,
) -> Result<Option<Arc<T>>, Trouble> {
    let known = learned::known(cx.db(), &provider.pool_id, &provider.name, what.name()).await?;
    if known.as_ref().is_some_and(|known| known.fetched_ms + AGAIN_MS > cx.now) {
        return Ok(None);
    }
    renewed(cx, provider, what, url, known).await.map(Some)
}

/// Fetches and keeps a document. Of those who want it at once one fetches and the others get what it got; who comes in the next
/// seconds does, too, so that a provider in trouble is not asked by everybody.
async fn renewed<T: Any + Send + Sync>(
    cx: &Cx,
    provider: &Provider,
    what: What,
    url: &str,
    seen: Option<Known>,
) -> Result<Arc<T>, Trouble> {
    let gate = gate(cx, provider, what, url)?;
    let mut last = gate.lock().await;
    let known = learned::known(cx.db(), &provider.pool_id, &provider.name, what.name()).await?;
    let newer = |known: &&Known| {
        known.url == url && seen.as_ref().is_none_or(|seen| seen.fetched_ms < known.fetched_ms)
    };
    if let Some(known) = known.as_ref().filter(newer) {
        return recall(cx, provider, what, known).await;
    }
    if let Some((when, trouble)) = &*last
        && when + AGAIN_MS > cx.now
    {
        return Err(trouble.clone());
    }
    let outcome = refresh::fetch_and_keep(cx, provider, what, url, known.as_ref()).await;
    // What failed on our side says nothing of the provider.
    let theirs = |trouble: &&Trouble| trouble.kind != TroubleKind::Internal;
    *last = outcome.as_ref().err().filter(theirs).map(|trouble| (cx.now, trouble.clone()));
    outcome?;
    match learned::known(cx.db(), &provider.pool_id, &provider.name, what.name()).await? {
        Some(known) => recall(cx, provider, what, &known).await,
        None => Err(Error::conflict().into()),
    }
}

/// When a document's fetch failed last, and how. Held while one is fetched.
type Gate = Mutex<Option<(Ms, Trouble)>>;

fn gate(cx: &Cx, provider: &Provider, what: What, url: &str) -> Result<Arc<Gate>, Trouble> {
    remembered(cx, provider, what, (format!("gate {url}"), 0), || {
        Ok(Arc::new(Gate::default()) as Arc<dyn Any + Send + Sync>)
    })
}

/// A copy, parsed, from memory where it was parsed before.
async fn recall<T: Any + Send + Sync>(
    cx: &Cx,
    provider: &Provider,
    what: What,
    known: &Known,
) -> Result<Arc<T>, Trouble> {
    let key = (known.url.clone(), known.fetched_ms);
    if let Some(value) = cx.app.learned.get(&full(provider, what, &key)) {
        return typed(value);
    }
    let found = learned::find(cx.db(), &provider.pool_id, &provider.name, what.name()).await?;
    let document = found.ok_or_else(|| Trouble::from(Error::conflict()))?;
    // A newer one may have come in between: it is remembered as what it is.
    let key = (document.url.clone(), document.fetched_ms);
    remembered(cx, provider, what, key, || {
        parse(cx, provider, what, &document.body, None).map(Checked::into_any)
    })
}

fn remembered<T: Any + Send + Sync>(
    cx: &Cx,
    provider: &Provider,
    what: What,
    key: (String, Ms),
    make: impl FnOnce() -> Result<Arc<dyn Any + Send + Sync>, Trouble>,
) -> Result<Arc<T>, Trouble> {
    let key = full(provider, what, &key);
    typed(cx.app.learned.get_or_insert_with(&key, make)?)
}

fn full(provider: &Provider, what: What, key: &(String, Ms)) -> crate::cx::LearnedKey {
    (provider.pool_id.clone(), provider.name.clone(), what.name(), key.0.clone(), key.1)
}

fn typed<T: Any + Send + Sync>(value: Arc<dyn Any + Send + Sync>) -> Result<Arc<T>, Trouble> {
    value
        .downcast()
        .map_err(|_| Error::internal("a document of a provider has another type").into())
}
