//! Making what a seed file names and what does not exist yet, by the rules of the API.

use cenote_interface::types::{
    CreateResourceServerRequest, CreateUserPoolDomainRequest, CustomDomainConfigType,
};

use super::{
    ClientSeed, PoolSeed, ProviderSeed, Seed, ServerSeed, UserSeed, groups, located, targets,
};
use crate::account::admin::{self as accounts, NewUser, Seeded};
use crate::admin::{clients, domains, pools, providers, resource_servers};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Pool, PoolDoc};
use crate::store::{self, users};

/// How many pools, clients and users were made.
pub async fn apply(cx: &Cx, seed: &Seed) -> Result<[usize; 3]> {
    for client in seed.pools.iter().flat_map(|pool| &pool.clients) {
        clients::check_extensions(cx, &client.extensions)
            .map_err(|error| located(&format!("{}.Extensions", client.at), error))?;
    }
    let mut made = [0; 3];
    let [pools, clients, users] = &mut made;
    for pool in &seed.pools {
        *pools +=
            usize::from(apply_pool(cx, pool).await.map_err(|error| located(&pool.at, error))?);
        // Before the clients, which name their scopes, and the providers.
        for server in &pool.resource_servers {
            apply_server(cx, pool, server).await.map_err(|error| located(&server.at, error))?;
        }
        for provider in &pool.providers {
            let applied = apply_provider(cx, pool, provider).await;
            applied.map_err(|error| located(&provider.at, error))?;
        }
        for client in &pool.clients {
            *clients += usize::from(
                apply_client(cx, pool, client).await.map_err(|error| located(&client.at, error))?,
            );
        }
        // After the clients, which streams name.
        for target in &pool.targets {
            let found = find(cx, &pool.id).await?;
            let applied = targets::apply(cx, &found, target).await;
            applied.map_err(|error| located(&target.at, error))?;
        }
        for group in &pool.groups {
            let applied = groups::apply(cx, &pool.id, group).await;
            applied.map_err(|error| located(&group.at, error))?;
        }
        for user in &pool.users {
            *users += usize::from(
                apply_user(cx, pool, user).await.map_err(|error| located(&user.at, error))?,
            );
        }
    }
    Ok(made)
}

async fn apply_pool(cx: &Cx, seed: &PoolSeed) -> Result<bool> {
    let existing = cx.app.directory.pool(cx.db(), &seed.id).await?;
    let made = existing.is_none();
    if made {
        let doc = PoolDoc {
            sessions: seed.sessions.clone(),
            extensions: seed.extensions.clone(),
            issuer: seed.issuer.clone(),
            has_providers: false,
            ..PoolDoc::default()
        };
        pools::create_as(cx, seed.id.clone(), doc, &seed.request).await?;
    }
    // Also for a pool that a crash left without its domain.
    if let Some(domain) = &seed.domain {
        let pool = find(cx, &seed.id).await?;
        let has = store::pools::domains_of(cx.db(), &pool.id).await?;
        if has.is_empty() {
            let request = CreateUserPoolDomainRequest {
                domain: domain.clone(),
                user_pool_id: pool.id.clone(),
                // A host name of the operator's own is told apart by this member. There is no certificate to name.
                custom_domain_config: domain.contains('.').then(CustomDomainConfigType::default),
                ..CreateUserPoolDomainRequest::default()
            };
            domains::create(cx, &pool, &request).await?;
        }
    }
    Ok(made)
}

async fn apply_server(cx: &Cx, pool: &PoolSeed, seed: &ServerSeed) -> Result<()> {
    let pool = find(cx, &pool.id).await?;
    let CreateResourceServerRequest { identifier, name, scopes, .. } = &seed.request;
    if store::resource_servers::find(cx.db(), &pool.id, identifier).await?.is_none() {
        resource_servers::create(cx, &pool, identifier, name, scopes.clone()).await?;
    }
    Ok(())
}

async fn apply_provider(cx: &Cx, pool: &PoolSeed, seed: &ProviderSeed) -> Result<()> {
    let pool = find(cx, &pool.id).await?;
    let known = cx.app.directory.providers(cx.db(), &pool).await?;
    if known.get(&seed.request.provider_name).is_none() {
        providers::create(cx, &pool, &seed.request).await?;
    }
    Ok(())
}

async fn apply_client(cx: &Cx, pool: &PoolSeed, seed: &ClientSeed) -> Result<bool> {
    if let Some((owner, _)) = cx.app.directory.client(cx.db(), &seed.id).await? {
        if owner.id != pool.id {
            return Err(Error::invalid(format!(
                "An app client with this ClientId exists in the pool {}.",
                owner.id
            )));
        }
        return Ok(false);
    }
    let pool = find(cx, &pool.id).await?;
    clients::create_as(cx, &pool, seed.id.clone(), seed.extensions.clone(), &seed.request).await?;
    Ok(true)
}

async fn apply_user(cx: &Cx, pool: &PoolSeed, seed: &UserSeed) -> Result<bool> {
    let pool = find(cx, &pool.id).await?;
    if users::by_login(cx.db(), &pool, &seed.name).await?.is_some() {
        return Ok(false);
    }
    if let Some(sub) = &seed.sub
        && users::by_login(cx.db(), &pool, sub).await?.is_some()
    {
        return Err(Error::invalid(format!("Another user of the pool has the Sub {sub}.")));
    }
    let new = NewUser {
        name: &seed.name,
        attributes: &seed.attributes,
        temporary_password: None,
        mediums: None,
        force_alias: false,
        silent: true,
    };
    let seeded = Seeded {
        sub: seed.sub.as_deref(),
        password: seed.password.as_deref(),
        groups: &groups::named(cx, &pool.id, &seed.groups).await?,
    };
    accounts::create_as(cx, &pool, new, seeded).await?;
    Ok(true)
}

pub async fn find(cx: &Cx, pool_id: &str) -> Result<std::sync::Arc<Pool>> {
    let pool = cx.app.directory.pool(cx.db(), pool_id).await?;
    pool.ok_or_else(|| {
        Error::internal(format!("the pool {pool_id} disappeared while it was seeded"))
    })
}
