//! User pools: making, changing, deleting and describing them. What a pool may say is in `pool_rules`.

use cenote_interface::types::{
    CreateUserPoolRequest, SchemaAttributeType, UpdateUserPoolRequest, UserPoolType,
};

use super::{domains, first_version, in_common, pool_rules};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::pool::{Pool, PoolDoc, schema};
use crate::signout::{self, End, Why};
use crate::store::{Batch, pools, purge};
use crate::tokens::ring;

/// A generous bound, so that a runaway script meets an error and not a full disk.
const MAX_POOLS: i64 = 10_000;

/// Makes a pool with its two signing keys.
pub async fn create(cx: &Cx, request: &CreateUserPoolRequest) -> Result<Pool> {
    create_as(cx, ids::pool_id(&cx.app.settings.region, cx.rng()), PoolDoc::default(), request)
        .await
}

/// The same with what a seed file may choose beside the request: the id, and what Cenote adds to the model.
pub async fn create_as(
    cx: &Cx,
    id: String,
    doc: PoolDoc,
    request: &CreateUserPoolRequest,
) -> Result<Pool> {
    if pools::count(cx.db()).await? >= MAX_POOLS {
        return Err(Error::new(Kind::LimitExceeded, "Account has too many user pools."));
    }
    if pools::is_buried(cx.db(), &id).await? {
        if !cx.app.settings.dev {
            return Err(Error::invalid(format!(
                "A pool {id} was deleted less than a day ago; its id can be used again after that."
            )));
        }
        // A developer's seed wants its pool again at once.
        while !purge::grave(cx.db(), &id).await? {}
        purge::close_grave(cx.db(), &id).await?;
    }
    let mut model: UserPoolType = in_common(request)?;
    model.name = Some(request.pool_name.clone());
    model.schema_attributes = Some(schema::build(request.schema.as_deref().unwrap_or_default())?);
    pool_rules::check_sign_in_names(&model)?;
    pool_rules::complete(&mut model)?;

    let pool = Pool {
        id,
        doc: PoolDoc { model, ..doc },
        ver: first_version(cx),
        epoch_ms: 0,
        longest_token_ms: 0,
        created_ms: cx.now,
        modified_ms: cx.now,
    };
    let mut batch = Batch::new();
    pools::insert(&mut batch, &pool)?;
    ring::create(cx, &mut batch, &pool.id).await?;
    note(&mut batch, cx, &pool, "CreateUserPool");
    cx.db().commit(batch).await?;
    Ok(pool)
}

/// Changes a pool. As in Cognito, every member that can change and is not named goes back to its default; only the name stays.
pub async fn update(cx: &Cx, pool: &Pool, request: &UpdateUserPoolRequest) -> Result<()> {
    let mut model: UserPoolType = in_common(request)?;
    let old = pool.model();
    model.name = request.pool_name.clone().or_else(|| old.name.clone());
    // These cannot change once a pool exists.
    model.schema_attributes = old.schema_attributes.clone();
    model.alias_attributes = old.alias_attributes.clone();
    model.username_attributes = old.username_attributes.clone();
    model.username_configuration = old.username_configuration.clone();
    pool_rules::complete(&mut model)?;

    let mut changed = pool.clone();
    changed.doc.model = model;
    store(cx, &changed, "UpdateUserPool").await
}

pub async fn add_custom_attributes(
    cx: &Cx,
    pool: &Pool,
    custom: &[SchemaAttributeType],
) -> Result<()> {
    let mut changed = pool.clone();
    schema::add(changed.doc.model.schema_attributes.get_or_insert_default(), custom)?;
    store(cx, &changed, "AddCustomAttributes").await
}

/// Deletes a pool with all that belongs to it; its tokens die with it.
pub async fn delete(cx: &Cx, pool: &Pool) -> Result<()> {
    if pool.model().deletion_protection.as_deref() == Some("ACTIVE") {
        return Err(Error::invalid(
            "The user pool cannot be deleted because deletion protection is activated. Deletion protection must be inactivated first.",
        ));
    }
    if !pools::domains_of(cx.db(), &pool.id).await?.is_empty() {
        return Err(Error::invalid(
            "User pool cannot be deleted. It has a domain configured that should be deleted first.",
        ));
    }
    let mut batch = Batch::new();
    // Guarded by the pool's version, which a new domain or client changes: none can slip in between.
    pools::delete(&mut batch, pool, cx.now);
    signout::end(cx, &mut batch, pool, &[End::Pool], Why::admin("pool_deleted"));
    note(&mut batch, cx, pool, "DeleteUserPool");
    cx.db().commit(batch).await?;
    // The grave is durable; whether it is emptied now or by the next run of the purge is all the same.
    let (db, pool_id) = (cx.db().clone(), pool.id.clone());
    tokio::spawn(async move {
        if let Err(error) = purge::grave(&db, &pool_id).await {
            tracing::warn!(?error, "a deleted pool could not be cleared away at once");
        }
    });
    Ok(())
}

/// Writes a changed pool, if nobody else changed it meanwhile.
pub(super) async fn store(cx: &Cx, changed: &Pool, action: &str) -> Result<()> {
    let mut batch = Batch::new();
    pools::update(&mut batch, changed, cx.now)?;
    note(&mut batch, cx, changed, action);
    cx.db().commit(batch).await
}

/// What DescribeUserPool answers: the model, and what follows from other rows and from this server's settings.
pub async fn describe(cx: &Cx, pool: &Pool) -> Result<UserPoolType> {
    let mut model = pool.model().clone();
    for domain in pools::domains_of(cx.db(), &pool.id).await? {
        let place =
            if domains::is_custom(&domain) { &mut model.custom_domain } else { &mut model.domain };
        *place = Some(domain.domain);
    }
    model.arn = Some(arn(cx, &pool.id));
    model.id = Some(pool.id.clone());
    model.estimated_number_of_users = Some(pools::count_users(cx.db(), &pool.id).await?);
    model.creation_date = Some(pool.created_ms as f64 / 1000.0);
    model.last_modified_date = Some(pool.modified_ms as f64 / 1000.0);
    Ok(model)
}

pub fn arn(cx: &Cx, pool_id: &str) -> String {
    let region = pool_id.split_once('_').map_or("", |(region, _)| region);
    format!("arn:aws:cognito-idp:{region}:{}:userpool/{pool_id}", cx.app.settings.account_id)
}

fn note(batch: &mut Batch, cx: &Cx, pool: &Pool, action: &str) {
    audit::note(batch, cx, &pool.id, &Actor::Administrator, action, &pool.id, "ok", "");
}
