//! How a page looks for the client that it is about: what SetUICustomization stored for it, or for all.

use minijinja::{Value, context};

use crate::error::Result;
use crate::pool::css;
use crate::pool::logo::{SHOWN, fitted};
use crate::site::Visit;
use crate::store::ui_customizations::{self, ALL};

pub struct Looks {
    /// Rules written by `css::compile`, for the end of the page's style element.
    pub css: String,
    /// `src`, `width`, `height` and `alt`, or none.
    pub logo: Value,
}

pub async fn of(visit: &Visit) -> Result<Looks> {
    let pool = &visit.site.pool;
    let client_id = visit.query.get("client_id").unwrap_or(ALL);
    let found = ui_customizations::of(visit.cx.db(), &pool.id, client_id).await?;
    let Some(row) = found else { return Ok(Looks { css: String::new(), logo: Value::from(()) }) };
    // It was checked when it was set; a release that takes less shows the page without it.
    let css = css::compile(&row.css).unwrap_or_else(|fault| {
        tracing::warn!(pool = pool.id, client = row.client_id, %fault, "the CSS of a client is no longer valid and is left out");
        String::new()
    });
    let logo = match row.logo {
        None => Value::from(()),
        Some(logo) => {
            let side = |side: i64| u32::try_from(side).unwrap_or(1);
            // The page has its room before it has come.
            let (width, height) = fitted((side(logo.width), side(logo.height)), SHOWN);
            let src = format!("{}/logo/{}/{}.png", visit.site.base, row.client_id, logo.hash);
            context! { src, width, height, alt => name(visit, client_id).await? }
        }
    };
    Ok(Looks { css, logo })
}

/// What the logo stands for: the app, or the pool where no app of it is named.
async fn name(visit: &Visit, client_id: &str) -> Result<String> {
    let pool = &visit.site.pool;
    let client = visit.cx.app.directory.client(visit.cx.db(), client_id).await?;
    let client = client.filter(|(of, _)| of.id == pool.id).map(|(_, client)| client);
    let name = client.and_then(|client| client.model().client_name.clone());
    Ok(name.or_else(|| pool.model().name.clone()).unwrap_or_default())
}
