//! Tags of pools, by ARN.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{pool_rules, pools};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::Pool;

/// The pool that an ARN names.
pub async fn pool_of(cx: &Cx, arn: &str) -> Result<Arc<Pool>> {
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let pool_id = match parts.as_slice() {
        ["arn", _, "cognito-idp", _, _, resource] => resource.strip_prefix("userpool/"),
        _ => None,
    };
    let Some(pool_id) = pool_id.filter(|id| id.contains('_')) else {
        return Err(Error::invalid(format!("{arn} is not the ARN of a user pool.")));
    };
    let missing = || Error::not_found(format!("User pool {pool_id} does not exist."));
    let pool = cx.app.directory.pool(cx.db(), pool_id).await?.ok_or_else(missing)?;
    // The pool of the same name in another region or account is another pool.
    let own = pools::arn(cx, pool_id);
    let place = |arn: &str| arn.splitn(3, ':').nth(2).map(str::to_owned);
    if place(&own) == place(arn) { Ok(pool) } else { Err(missing()) }
}

pub async fn add(cx: &Cx, pool: &Pool, tags: &BTreeMap<String, String>) -> Result<()> {
    let mut changed = pool.clone();
    let mine = changed.doc.model.user_pool_tags.get_or_insert_default();
    mine.extend(tags.iter().map(|(key, value)| (key.clone(), value.clone())));
    pool_rules::check_tags(&changed.doc.model)?;
    pools::store(cx, &changed, "TagResource").await
}

pub async fn remove(cx: &Cx, pool: &Pool, keys: &[String]) -> Result<()> {
    let mut changed = pool.clone();
    changed.doc.model.user_pool_tags.get_or_insert_default().retain(|key, _| !keys.contains(key));
    pools::store(cx, &changed, "UntagResource").await
}
