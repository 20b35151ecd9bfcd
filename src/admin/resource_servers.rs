//! Resource servers: the APIs that a pool guards, and the scopes that its app clients can be given. A client keeps in its list what
//! is deleted here, as in Cognito, but no token gets it any more (`tokens::scopes`).

use cenote_interface::types::ResourceServerScopeType;

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::Pool;
use crate::pool::scopes::{self, ResourceServer, ResourceServerDoc};
use crate::store::{Batch, pools, resource_servers as store};

const MAX_SERVERS: i64 = 25;

pub async fn create(
    cx: &Cx,
    pool: &Pool,
    identifier: &str,
    name: &str,
    scopes: Option<Vec<ResourceServerScopeType>>,
) -> Result<ResourceServer> {
    let server = ResourceServer {
        pool_id: pool.id.clone(),
        identifier: identifier.to_owned(),
        doc: doc(name, scopes)?,
        ver: 1,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    let exists =
        || Error::invalid(format!("{identifier} already exists in user pool {}.", pool.id));
    if store::find(cx.db(), &pool.id, identifier).await?.is_some() {
        return Err(exists());
    }
    if store::count(cx.db(), &pool.id).await? >= MAX_SERVERS {
        return Err(Error::new(
            Kind::LimitExceeded,
            format!("A user pool can have at most {MAX_SERVERS} resource servers."),
        ));
    }
    let mut batch = Batch::new();
    // The count holds only while the pool's version does.
    pools::hold(&mut batch, pool);
    store::insert(&mut batch, &server, exists())?;
    note(&mut batch, cx, &server, "CreateResourceServer");
    cx.db().commit(batch).await?;
    Ok(server)
}

/// As in Cognito, scopes that are not named are gone.
pub async fn update(
    cx: &Cx,
    pool: &Pool,
    identifier: &str,
    name: &str,
    scopes: Option<Vec<ResourceServerScopeType>>,
) -> Result<ResourceServer> {
    let mut server = find(cx, pool, identifier).await?;
    server.doc = doc(name, scopes)?;
    let mut batch = Batch::new();
    pools::touch(&mut batch, &pool.id);
    store::update(&mut batch, &server, cx.now)?;
    note(&mut batch, cx, &server, "UpdateResourceServer");
    cx.db().commit(batch).await?;
    Ok(server)
}

pub async fn delete(cx: &Cx, pool: &Pool, identifier: &str) -> Result<()> {
    let server = find(cx, pool, identifier).await?;
    let mut batch = Batch::new();
    pools::touch(&mut batch, &pool.id);
    store::delete(&mut batch, &server);
    note(&mut batch, cx, &server, "DeleteResourceServer");
    cx.db().commit(batch).await
}

pub async fn find(cx: &Cx, pool: &Pool, identifier: &str) -> Result<ResourceServer> {
    let found = store::find(cx.db(), &pool.id, identifier).await?;
    found.ok_or_else(|| Error::not_found(format!("Resource server {identifier} does not exist.")))
}

fn doc(name: &str, scopes: Option<Vec<ResourceServerScopeType>>) -> Result<ResourceServerDoc> {
    let scopes = scopes.unwrap_or_default();
    match scopes::repeated(scopes.iter().map(|scope| scope.scope_name.as_str())) {
        Some(name) => Err(Error::invalid(format!("The scope {name} is named more than once."))),
        None => Ok(ResourceServerDoc { name: name.to_owned(), scopes }),
    }
}

fn note(batch: &mut Batch, cx: &Cx, server: &ResourceServer, action: &str) {
    audit::note(
        batch,
        cx,
        &server.pool_id,
        &Actor::Administrator,
        action,
        &server.identifier,
        "ok",
        "",
    );
}
