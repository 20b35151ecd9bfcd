//! `Webhooks`, `Streams` and `TokenRevocations` of a pool: whom it tells of its sign-outs.

use serde::de::DeserializeOwned;

use super::{Object, each, located};
use crate::admin::targets::{self as admin, Secret};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::Pool;
use crate::pool::target::Doc;
use crate::pool::target::stream::OWN;
use crate::store::targets as store;

pub(super) struct TargetSeed {
    pub at: String,
    id: String,
    doc: Doc,
    /// A webhook's secret, or the header that a stream is pushed with.
    secret: Option<String>,
}

/// Reads them out of a pool.
pub(super) fn of_pool(pool: &mut Object) -> Result<Vec<TargetSeed>> {
    let mut all = Vec::new();
    for (list, read) in [
        ("Webhooks", webhook as fn(Object) -> Result<TargetSeed>),
        ("Streams", stream),
        ("TokenRevocations", token_revocation),
    ] {
        let found = pool.list(list)?.unwrap_or_default();
        all.extend(each(&format!("{}.{list}", pool.at), found, read)?);
    }
    Ok(all)
}

fn webhook(mut object: Object) -> Result<TargetSeed> {
    let id = id(&mut object)?;
    let Some(secret) = object.text("Secret")? else {
        return Err(object.wrong(
            "has no member \"Secret\": whsec_ and 24 to 64 random bytes in base64, which its receiver checks signatures with",
        ));
    };
    finish(object, id, Some(secret), Doc::Webhook)
}

fn stream(mut object: Object) -> Result<TargetSeed> {
    let id = id(&mut object)?;
    let header = object.text("AuthorizationHeader")?;
    if let Some(own) = OWN.iter().find(|own| object.members.contains_key(**own)) {
        return Err(object.wrong(&format!("has an unknown member {own:?}")));
    }
    finish(object, id, header, Doc::Stream)
}

fn token_revocation(mut object: Object) -> Result<TargetSeed> {
    let id = id(&mut object)?;
    finish(object, id, None, Doc::TokenRevocation)
}

/// Chosen by the file, so that seeding it again finds what is there.
fn id(object: &mut Object) -> Result<String> {
    let id = object.required("Id")?;
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if id.is_empty() || id.len() > 64 || !id.bytes().all(plain) {
        return Err(object
            .wrong(&format!("has the Id {id:?}, which is not 1 to 64 letters, digits, - and _")));
    }
    object.at = format!("{} ({id})", object.at);
    Ok(id)
}

fn finish<T: DeserializeOwned>(
    object: Object,
    id: String,
    secret: Option<String>,
    kind: fn(T) -> Doc,
) -> Result<TargetSeed> {
    let Object { at, members } = object;
    let doc = serde_json::from_value(members.into())
        .map_err(|error| Error::invalid(format!("{at}: {error}.")))?;
    let doc = kind(doc);
    admin::check_form(&doc).map_err(|error| located(&at, error))?;
    Ok(TargetSeed { at, id, doc, secret })
}

/// Makes one that is not there yet.
pub(super) async fn apply(cx: &Cx, pool: &Pool, seed: &TargetSeed) -> Result<()> {
    if let Some(there) = store::find(cx.db(), &pool.id, &seed.id).await? {
        return match there.doc.kind() == seed.doc.kind() {
            true => Ok(()),
            false => Err(Error::invalid("Something of another kind has this Id.")),
        };
    }
    let secret = seed.secret.clone().map_or(Secret::Fresh, Secret::Given);
    admin::create(cx, pool, Some(seed.id.clone()), seed.doc.clone(), secret).await.map(drop)
}
