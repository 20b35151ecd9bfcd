//! How the hosted pages of a client look, or of all clients that have nothing of their own: CSS and a logo, set together as in Cognito.

use super::logo;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys;
use crate::pool::{Client, Pool, css};
use crate::store::ui_customizations::{self, ALL, Logo, UiCustomization};
use crate::store::{Batch, pools};

/// Sets both CSS and logo: what is not given is removed, and with neither, the row is, so that a client has the looks of all clients
/// again (`None`). Only what can be shown is stored.
pub async fn set(
    cx: &Cx,
    pool: &Pool,
    client: Option<&Client>,
    css: &str,
    file: Option<Vec<u8>>,
) -> Result<Option<UiCustomization>> {
    css::compile(css).map_err(|fault| Error::invalid(format!("CSS is not valid in {fault}.")))?;
    let drawn = match file {
        None => None,
        Some(file) => Some(cx.app.compute.run(move || logo::draw(&file)).await??),
    };
    let client_id = client.map_or(ALL, |client| client.id.as_str());
    let mut batch = Batch::new();
    // The pool and the client are still there when this commits.
    pools::hold(&mut batch, pool);
    if let Some(client) = client {
        pools::hold_client(&mut batch, client);
    }
    let bytes = drawn.as_ref().map_or(0, |drawn| drawn.png.len());
    let detail = format!("CSS of {} characters, logo of {bytes} bytes", css.chars().count());
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Administrator,
        "SetUICustomization",
        client_id,
        "ok",
        &detail,
    );
    if css.is_empty() && drawn.is_none() {
        ui_customizations::delete(&mut batch, &pool.id, client_id);
        cx.db().commit(batch).await?;
        return Ok(None);
    }
    let before = ui_customizations::of(cx.db(), &pool.id, client_id).await?;
    let before = before.filter(|before| before.client_id == client_id);
    let same_css = before.as_ref().filter(|before| before.css == css);
    let (logo, file) = drawn.map(|drawn| (describe(&drawn), drawn.png)).unzip();
    let row = UiCustomization {
        client_id: client_id.to_owned(),
        css: css.to_owned(),
        css_version: same_css
            .map_or_else(|| cx.now.to_string(), |before| before.css_version.clone()),
        logo,
        created_ms: before.as_ref().map_or(cx.now, |before| before.created_ms),
        modified_ms: cx.now,
    };
    ui_customizations::put(&mut batch, &pool.id, &row, file);
    cx.db().commit(batch).await?;
    Ok(Some(row))
}

fn describe(drawn: &logo::Drawn) -> Logo {
    let hash: String =
        keys::hash(&drawn.png).iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Logo { hash, width: drawn.width.into(), height: drawn.height.into() }
}
