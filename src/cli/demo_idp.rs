//! The demonstration provider in the ready pool: while `--with-idp` is given, the pool's clients offer `DemoOIDC` and `DemoSAML`.
//! Without it they do not; the providers and their users stay for the next time.

use std::collections::BTreeMap;
use std::sync::Arc;

use cenote_interface::types::{CreateIdentityProviderRequest, UpdateIdentityProviderRequest};

use crate::admin::{clients, providers};
use crate::cx::Cx;
use crate::dev::idp::{CLIENT_ID, CLIENT_SECRET, OIDC_NAME, PATH, SAML_NAME};
use crate::error::{Error, Result};
use crate::pool::Pool;

const NAMES: [&str; 2] = [OIDC_NAME, SAML_NAME];

/// Where the provider is.
pub fn url(cx: &Cx) -> String {
    format!("{}{PATH}", cx.app.settings.public_url)
}

/// Makes both providers, or tells them where the provider is now and with which key: each start has its own. The server must be
/// listening: it asks itself for metadata.
pub async fn offer(cx: &Cx, pool_id: &str, client_ids: &[String]) -> Result<()> {
    let oidc = [
        ("client_id", CLIENT_ID.to_owned()),
        ("client_secret", CLIENT_SECRET.to_owned()),
        ("authorize_scopes", "openid profile email".to_owned()),
        ("attributes_request_method", "GET".to_owned()),
        ("oidc_issuer", url(cx)),
    ];
    let saml =
        [("MetadataURL", format!("{}/saml/metadata", url(cx))), ("IDPSignout", "true".to_owned())];
    set(cx, pool_id, OIDC_NAME, "OIDC", map(oidc)).await?;
    set(cx, pool_id, SAML_NAME, "SAML", map(saml)).await?;
    offered(cx, client_ids, true).await
}

/// Takes them from the sign-in page: nobody would answer.
pub async fn withdraw(cx: &Cx, client_ids: &[String]) -> Result<()> {
    offered(cx, client_ids, false).await
}

fn map<const N: usize>(details: [(&str, String); N]) -> BTreeMap<String, String> {
    details.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

async fn set(
    cx: &Cx,
    pool_id: &str,
    name: &str,
    kind: &str,
    details: BTreeMap<String, String>,
) -> Result<()> {
    cx.retrying(|cx| {
        let details = details.clone();
        async move {
            let pool = pool(&cx, pool_id).await?;
            let known = cx.app.directory.providers(cx.db(), &pool).await?;
            if known.get(name).is_some() {
                // The mapping may be the developer's own by now.
                let request = UpdateIdentityProviderRequest {
                    user_pool_id: pool_id.to_owned(),
                    provider_name: name.to_owned(),
                    provider_details: Some(details),
                    ..UpdateIdentityProviderRequest::default()
                };
                return providers::update(&cx, &pool, &request).await.map(drop);
            }
            let claims = ["email", "email_verified", "name", "given_name", "family_name"];
            let mapping = claims.map(|claim| (claim, claim.to_owned()));
            let request = CreateIdentityProviderRequest {
                user_pool_id: pool_id.to_owned(),
                provider_name: name.to_owned(),
                provider_type: kind.to_owned(),
                provider_details: details,
                attribute_mapping: Some(map(mapping)),
                ..CreateIdentityProviderRequest::default()
            };
            providers::create(&cx, &pool, &request).await.map(drop)
        }
    })
    .await
}

async fn pool(cx: &Cx, id: &str) -> Result<Arc<Pool>> {
    let pool = cx.app.directory.pool(cx.db(), id).await?;
    pool.ok_or_else(|| Error::not_found(format!("User pool {id} does not exist.")))
}

async fn offered(cx: &Cx, client_ids: &[String], offered: bool) -> Result<()> {
    for id in client_ids {
        cx.retrying(|cx| async move {
            match cx.app.directory.client(cx.db(), id).await? {
                Some((pool, client)) => clients::offer(&cx, &pool, &client, &NAMES, offered).await,
                None => Ok(()),
            }
        })
        .await?;
    }
    Ok(())
}
