//! The looks of the hosted pages.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cenote_interface::types::*;

use super::lookup;
use crate::admin::ui_customization as admin;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::{Client, Pool};
use crate::site;
use crate::store::ui_customizations::{self, ALL, UiCustomization};

pub async fn get_ui_customization(
    cx: Cx,
    input: GetUICustomizationRequest,
) -> Result<GetUICustomizationResponse> {
    let about = About::find(&cx, &input.user_pool_id, input.client_id.as_deref()).await?;
    let client_id = about.client.as_ref().map_or(ALL, |client| &client.id);
    let found = ui_customizations::of(cx.db(), &about.pool.id, client_id).await?;
    // Nothing set is an empty shape: Terraform takes anything else for something.
    let ui_customization = found.map(|row| about.describe(row)).unwrap_or_default();
    Ok(GetUICustomizationResponse { ui_customization })
}

pub async fn set_ui_customization(
    cx: Cx,
    input: SetUICustomizationRequest,
) -> Result<SetUICustomizationResponse> {
    let about = About::find(&cx, &input.user_pool_id, input.client_id.as_deref()).await?;
    let file = input.image_file.as_deref().filter(|file| !file.is_empty());
    let file = file.map(|file| STANDARD.decode(file)).transpose().map_err(|error| {
        Error::new(Kind::Serialization, "ImageFile is not base64.").because(error.to_string())
    })?;
    let css = input.css.as_deref().unwrap_or_default();
    let set = admin::set(&cx, &about.pool, about.client.as_deref(), css, file).await?;
    let ui_customization = match set {
        Some(row) => about.describe(row),
        None => UICustomizationType {
            user_pool_id: Some(about.pool.id.clone()),
            client_id: Some(about.client.as_ref().map_or(ALL, |client| &client.id).to_owned()),
            ..UICustomizationType::default()
        },
    };
    Ok(SetUICustomizationResponse { ui_customization })
}

/// What both operations are about.
struct About {
    pool: Arc<Pool>,
    /// `None` for all.
    client: Option<Arc<Client>>,
    /// Where the pool's pages are.
    base: String,
}

impl About {
    /// As in Cognito, both refuse a pool that has no pages.
    async fn find(cx: &Cx, pool_id: &str, client_id: Option<&str>) -> Result<About> {
        let (pool, client) = match client_id.filter(|id| *id != ALL) {
            None => (lookup::pool(cx, pool_id).await?, None),
            Some(id) => {
                let (pool, client) = lookup::client_of(cx, pool_id, id).await?;
                (pool, Some(client))
            }
        };
        let base = site::base(cx, &pool).await?.ok_or_else(|| {
            Error::invalid("There has to be an existing domain associated with this user pool")
        })?;
        Ok(About { pool, client, base })
    }

    fn describe(&self, row: UiCustomization) -> UICustomizationType {
        let image_url = row
            .logo
            .as_ref()
            .map(|logo| format!("{}/logo/{}/{}.png", self.base, row.client_id, logo.hash));
        UICustomizationType {
            user_pool_id: Some(self.pool.id.clone()),
            image_url,
            css: Some(row.css).filter(|css| !css.is_empty()),
            css_version: Some(row.css_version),
            last_modified_date: Some(row.modified_ms as f64 / 1000.0),
            creation_date: Some(row.created_ms as f64 / 1000.0),
            client_id: Some(row.client_id),
        }
    }
}
