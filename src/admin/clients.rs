//! App clients and their secrets: making, changing and deleting them. What a client may say is in `client_rules`.

use cenote_interface::types::{
    CreateUserPoolClientRequest, UpdateUserPoolClientRequest, UserPoolClientType,
};

use super::client_rules::{self, Known, Verb};
use super::{first_version, in_common};
use crate::ambient::Ms;
use crate::audit::{self, Actor};
use crate::auth::secret_hash;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::pool::client::{ClientDoc, ClientExtensions, ClientSecret};
use crate::pool::{Client, Pool, scopes, urls};
use crate::signout::{self, End, Why};
use crate::store::{Batch, pools, ui_customizations};

const MAX_CLIENTS: i64 = 1_000;
const MAX_SECRETS: usize = 2;
/// What the model allows CallbackURLs and LogoutURLs to hold.
const MAX_ADDRESSES: usize = 100;

pub async fn create(cx: &Cx, pool: &Pool, request: &CreateUserPoolClientRequest) -> Result<Client> {
    create_as(cx, pool, ids::client_id(cx.rng()), ClientExtensions::default(), request).await
}

/// The same with what a seed file may choose beside the request: the id, and what Cenote adds to the model.
pub async fn create_as(
    cx: &Cx,
    pool: &Pool,
    id: String,
    extensions: ClientExtensions,
    request: &CreateUserPoolClientRequest,
) -> Result<Client> {
    let generate = request.generate_secret.unwrap_or(false);
    if generate && request.client_secret.is_some() {
        return Err(Error::invalid("Only one of GenerateSecret and ClientSecret can be set."));
    }
    if pools::count_clients(cx.db(), &pool.id).await? >= MAX_CLIENTS {
        return Err(Error::new(
            Kind::LimitExceeded,
            format!("A user pool can have at most {MAX_CLIENTS} app clients."),
        ));
    }
    check_extensions(cx, &extensions)?;
    let mut model: UserPoolClientType = in_common(request)?;
    model.client_name = Some(request.client_name.clone());
    let mut client = Client {
        id,
        pool_id: pool.id.clone(),
        doc: ClientDoc { extensions, ..ClientDoc::default() },
        ver: first_version(cx),
        epoch_ms: cx.now,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    match (request.client_secret.as_deref(), generate) {
        (Some(secret), _) => drop(push_secret(cx, &mut client, secret)?),
        (None, true) => drop(push_secret(cx, &mut client, &ids::client_secret(cx.rng()))?),
        (None, false) => {}
    }
    let known = known(cx, pool).await?;
    set_model(pool, &mut client, model, &known, Verb::Creating)?;

    let mut batch = Batch::new();
    hold_named(&mut batch, pool, &client);
    pools::insert_client(&mut batch, &client)?;
    note(&mut batch, cx, &client, "CreateUserPoolClient");
    cx.db().commit(batch).await?;
    Ok(client)
}

/// Whether a client can be told of sign-outs as it says.
pub fn check_extensions(cx: &Cx, extensions: &ClientExtensions) -> Result<()> {
    extensions.check()?;
    if let Some(uri) = &extensions.backchannel_logout_uri {
        let refuse =
            |why| Error::invalid(format!("BackchannelLogoutUri {uri} cannot be used. {why}"));
        cx.app.outgoing.check(uri).map_err(|failure| refuse(failure.message()))?;
    }
    Ok(())
}

/// Changes a client. As in Cognito, whatever is not named goes back to its default; only the name and the secrets stay.
pub async fn update(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    request: &UpdateUserPoolClientRequest,
) -> Result<Client> {
    let mut model: UserPoolClientType = in_common(request)?;
    model.client_name = request.client_name.clone().or_else(|| client.model().client_name.clone());
    let mut changed = client.clone();
    changed.modified_ms = cx.now;
    let known = known(cx, pool).await?;
    set_model(pool, &mut changed, model, &known, Verb::Updating)?;
    let mut batch = Batch::new();
    hold_named(&mut batch, pool, &changed);
    store(cx, batch, &changed, "UpdateUserPoolClient").await?;
    Ok(changed)
}

/// Lets sign-ins and sign-outs of a client come back to one more address. Unlike an update it leaves everything else alone.
pub async fn allow_address(cx: &Cx, client: &Client, url: &str) -> Result<()> {
    urls::check(url)?;
    let mut changed = client.clone();
    let model = &mut changed.doc.model;
    let mut missing = false;
    for list in [&mut model.callback_urls, &mut model.logout_urls] {
        let list = list.get_or_insert_default();
        if list.iter().any(|known| known == url) {
            continue;
        }
        if list.len() >= MAX_ADDRESSES {
            return Err(Error::new(
                Kind::LimitExceeded,
                format!(
                    "The client {} has {MAX_ADDRESSES} addresses, and {url} would be one more.",
                    client.id
                ),
            ));
        }
        list.push(url.to_owned());
        missing = true;
    }
    if !missing {
        return Ok(());
    }
    store(cx, Batch::new(), &changed, "UpdateUserPoolClient").await
}

/// Adds providers of the pool to those that a client offers, or takes them away.
pub async fn offer(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    providers: &[&str],
    offered: bool,
) -> Result<()> {
    let mut changed = client.clone();
    let list = changed.doc.model.supported_identity_providers.get_or_insert_default();
    list.retain(|name| offered || !providers.contains(&name.as_str()));
    for name in providers.iter().filter(|_| offered) {
        if !list.iter().any(|known| known == name) {
            list.push((*name).to_owned());
        }
    }
    if changed.model().supported_identity_providers == client.model().supported_identity_providers {
        return Ok(());
    }
    let mut batch = Batch::new();
    hold_named(&mut batch, pool, &changed);
    store(cx, batch, &changed, "UpdateUserPoolClient").await
}

/// Deletes a client. Tokens whose client is gone are dead everywhere; a record tells those who cannot look.
pub async fn delete(cx: &Cx, pool: &Pool, client: &Client) -> Result<()> {
    let mut batch = Batch::new();
    super::targets::delete_streams_of(cx, &mut batch, client).await?;
    pools::delete_client(&mut batch, client);
    ui_customizations::delete(&mut batch, &client.pool_id, &client.id);
    signout::end(cx, &mut batch, pool, &[End::Client(client)], Why::admin("client_deleted"));
    note(&mut batch, cx, client, "DeleteUserPoolClient");
    cx.db().commit(batch).await
}

/// What DescribeUserPoolClient answers. Lists must not: it holds a secret.
pub fn describe(cx: &Cx, client: &Client) -> Result<UserPoolClientType> {
    let mut model = client.model().clone();
    model.user_pool_id = Some(client.pool_id.clone());
    model.client_id = Some(client.id.clone());
    model.client_secret =
        secret_hash::secrets(cx, client)?.first().map(|secret| secret.as_str().to_owned());
    model.creation_date = Some(client.created_ms as f64 / 1000.0);
    model.last_modified_date = Some(client.modified_ms as f64 / 1000.0);
    Ok(model)
}

// Secrets

/// A secret that was just added, and its text where the server made it up: it is never shown again.
pub struct Added {
    pub id: String,
    pub created_ms: Ms,
    pub generated: Option<String>,
}

/// Adds a second secret, so that an application can move to it before the first one is deleted.
pub async fn add_secret(cx: &Cx, client: &Client, given: Option<&str>) -> Result<Added> {
    if client.is_public() {
        return Err(Error::invalid(format!(
            "Client {} has no secret; a secret cannot be added to a public client.",
            client.id
        )));
    }
    if client.doc.secrets.len() >= MAX_SECRETS {
        return Err(Error::new(
            Kind::LimitExceeded,
            format!("An app client can have at most {MAX_SECRETS} active secrets."),
        ));
    }
    let mut changed = client.clone();
    let generated = given.is_none().then(|| ids::client_secret(cx.rng()));
    let Some(secret) = given.or(generated.as_deref()) else {
        return Err(Error::internal("no secret was made"));
    };
    let (id, created_ms) = push_secret(cx, &mut changed, secret)?;
    store(cx, Batch::new(), &changed, "AddUserPoolClientSecret").await?;
    Ok(Added { id, created_ms, generated })
}

pub async fn delete_secret(cx: &Cx, client: &Client, id: &str) -> Result<()> {
    let mut changed = client.clone();
    changed.doc.secrets.retain(|secret| secret.id != id);
    if changed.doc.secrets.len() == client.doc.secrets.len() {
        return Err(Error::not_found(format!("Client secret {id} does not exist.")));
    }
    if changed.doc.secrets.is_empty() {
        return Err(Error::invalid("The last client secret of an app client cannot be deleted."));
    }
    store(cx, Batch::new(), &changed, "DeleteUserPoolClientSecret").await
}

/// Seals a secret into the client's document, under the next free id.
fn push_secret(cx: &Cx, client: &mut Client, secret: &str) -> Result<(String, Ms)> {
    let last = client.doc.secrets.iter().map(|secret| secret.created_ms + 1).max();
    let created_ms = last.unwrap_or(0).max(cx.now);
    let id = format!("{}--{created_ms}", client.id);
    let sealed = secret_hash::seal(cx, client, &id, secret)?;
    client.doc.secrets.push(ClientSecret { id: id.clone(), sealed, created_ms });
    Ok((id, created_ms))
}

fn set_model(
    pool: &Pool,
    client: &mut Client,
    mut model: UserPoolClientType,
    known: &Known,
    verb: Verb,
) -> Result<()> {
    // The request may have brought a secret; documents hold secrets only sealed.
    model.client_secret = None;
    client.doc.model = model;
    client_rules::complete(client);
    client_rules::check(pool, client, known, verb)
}

async fn known(cx: &Cx, pool: &Pool) -> Result<Known> {
    Ok(Known {
        scopes: cx.app.directory.scopes(cx.db(), pool).await?,
        providers: cx.app.directory.providers(cx.db(), pool).await?,
    })
}

/// The scopes and the providers that the client is given still exist when that commits.
fn hold_named(batch: &mut Batch, pool: &Pool, client: &Client) {
    let named = client.model().supported_identity_providers.iter().flatten();
    if client.scopes().iter().any(|scope| scopes::is_custom(scope))
        || named.into_iter().any(|name| name != "COGNITO")
    {
        pools::hold(batch, pool);
    }
}

async fn store(cx: &Cx, mut batch: Batch, changed: &Client, action: &str) -> Result<()> {
    pools::update_client(&mut batch, changed, cx.now)?;
    note(&mut batch, cx, changed, action);
    cx.db().commit(batch).await
}

fn note(batch: &mut Batch, cx: &Cx, client: &Client, action: &str) {
    audit::note(batch, cx, &client.pool_id, &Actor::Administrator, action, &client.id, "ok", "");
}
