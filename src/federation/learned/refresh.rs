//! Documents fetched anew: by the worker when they are due, and when one is needed that is not there. Of several servers one fetches.

use aws_lc_rs::digest::{SHA256, digest};

use super::check::{Checked, fetch, metadata, parse};
use super::{EVENT_JWKS, What, discovery, discovery_url};
use crate::ambient::{MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::Trouble;
use crate::pool::Provider;
use crate::store::Batch;
use crate::store::learned::{self, Due, Known};

/// How many are fetched in one turn.
const TURN: i64 = 20;

/// How long a fetch is one server's, and when one that failed is tried again.
const LEASE: Ms = 2 * MINUTE;
const RETRY: Ms = 15 * MINUTE;

/// Fetches what is due, and says when to come again.
pub async fn refresh(cx: Cx) -> Result<Ms> {
    let due = learned::due(cx.db(), cx.now, TURN).await?;
    for due in &due {
        let mut batch = Batch::new();
        learned::lease(&mut batch, due, cx.now + LEASE);
        match cx.db().commit(batch).await {
            // Another server's.
            Err(error) if error.is_conflict() => continue,
            taken => taken?,
        }
        refresh_one(&cx, due).await?;
    }
    Ok(if due.is_empty() { cx.now + MINUTE } else { cx.app.clock.now_ms() })
}

async fn refresh_one(cx: &Cx, due: &Due) -> Result<()> {
    let provider = match cx.app.directory.pool(cx.db(), &due.pool_id).await? {
        Some(pool) => {
            let providers = cx.app.directory.providers(cx.db(), &pool).await?;
            providers.get(&due.name).cloned()
        }
        None => None,
    };
    let what = What::ALL.into_iter().find(|what| what.name() == due.what);
    let known = learned::known(cx.db(), &due.pool_id, &due.name, &due.what).await?;
    let (Some(provider), Some(what), Some(known)) = (provider, what, known) else {
        return forget(cx, due).await;
    };
    let outcome = match address(cx, &provider, what).await {
        Ok(Some(url)) => fetch_and_keep(cx, &provider, what, &url, Some(&known)).await,
        Ok(None) => return forget(cx, due).await,
        // Where the document is cannot be told now: that is no reason to lose the copy.
        Err(trouble) => Err(trouble),
    };
    let Err(trouble) = outcome else { return Ok(()) };
    let mut batch = Batch::new();
    learned::fail(&mut batch, due, cx.now, cx.now + RETRY, &trouble.text);
    cx.db().commit(batch).await
}

/// Where the document is by the provider's settings of now; `None` if it has no such document any more.
async fn address(cx: &Cx, provider: &Provider, what: What) -> Result<Option<String>, Trouble> {
    Ok(match what {
        What::SamlMetadata => provider.detail("MetadataURL").map(str::to_owned),
        What::Discovery => discovery_url(provider),
        What::Jwks => discovery(cx, provider).await?.jwks.clone(),
        What::EventJwks => provider.detail(EVENT_JWKS).map(str::to_owned),
    })
}

async fn forget(cx: &Cx, due: &Due) -> Result<()> {
    let mut batch = Batch::new();
    learned::forget(&mut batch, due);
    cx.db().commit(batch).await
}

/// Fetches a document, checks it, and commits it in place of the copy that is `known`. A copy that somebody else committed meanwhile
/// is as good.
pub async fn fetch_and_keep(
    cx: &Cx,
    provider: &Provider,
    what: What,
    url: &str,
    known: Option<&Known>,
) -> Result<(), Trouble> {
    let old = match known {
        Some(known) if known.url == url => old_copy(cx, provider, what).await?,
        _ => None,
    };
    let fetched = fetch(cx, provider, what, url, old.as_ref().map(|(_, checked)| checked)).await;
    let (document, new) = match fetched {
        Ok(fetched) => fetched,
        Err(trouble) => {
            cx.app.meters.learned(what.name(), "failed");
            tracing::warn!(
                pool = provider.pool_id,
                provider = provider.name,
                what = what.name(),
                cause = trouble.text,
                "a document of an identity provider could not be fetched"
            );
            return Err(trouble);
        }
    };
    let mut batch = Batch::new();
    match known {
        Some(known) => {
            learned::renew(&mut batch, &provider.pool_id, &provider.name, known, &document)
        }
        None => learned::insert(&mut batch, &provider.pool_id, &provider.name, &document),
    }
    let mut changed = old.as_ref().is_some_and(|(body, _)| *body != document.body);
    if let (Some((_, Checked::SamlMetadata(old))), Checked::SamlMetadata(new)) = (&old, &new) {
        changed = old.signing != new.signing;
        if changed {
            let certificates = certificates(&old.signing, &new.signing);
            tracing::info!(
                pool = provider.pool_id,
                provider = provider.name,
                certificates,
                "an identity provider changed its signing certificates"
            );
            audit::note(
                &mut batch,
                cx,
                &provider.pool_id,
                &Actor::Operator,
                "RefreshIdentityProvider",
                &provider.name,
                "ok",
                &format!("signing certificates: {certificates}"),
            );
        }
    }
    match cx.db().commit(batch).await {
        Err(error) if !error.is_conflict() => return Err(error.into()),
        _ => {}
    }
    cx.app.meters.learned(what.name(), if changed { "changed" } else { "ok" });
    Ok(())
}

/// The copy that is there, as it was good when it was fetched.
async fn old_copy(
    cx: &Cx,
    provider: &Provider,
    what: What,
) -> Result<Option<(String, Checked)>, Trouble> {
    let found = learned::find(cx.db(), &provider.pool_id, &provider.name, what.name()).await?;
    let Some(found) = found else { return Ok(None) };
    let checked = match what {
        What::SamlMetadata => {
            metadata(found.fetched_ms, provider, &found.body, None).map(Checked::SamlMetadata)
        }
        _ => parse(cx, provider, what, &found.body, None),
    };
    // What a stricter release would not take any more is no measure for a new copy.
    Ok(checked.ok().map(|checked| (found.body, checked)))
}

/// Which came and which went, by the beginnings of their SHA-256.
fn certificates(old: &[Vec<u8>], new: &[Vec<u8>]) -> String {
    let name = |sign: char, der: &Vec<u8>| {
        let hash = digest(&SHA256, der);
        let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("{sign}{hash}")
    };
    let came = new.iter().filter(|der| !old.contains(der)).map(|der| name('+', der));
    let went = old.iter().filter(|der| !new.contains(der)).map(|der| name('-', der));
    came.chain(went).collect::<Vec<_>>().join(" ")
}
