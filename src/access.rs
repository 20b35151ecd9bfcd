//! Access keys: who may call the signed operations of a production server, which of them, and on which pools.

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::ids;
use crate::keys::Place;
use crate::store::Batch;
use crate::store::keys::{self, AccessKeyRow};

const PREFIX: &str = "cognito-idp:";

/// What a key allows. Nothing is allowed that no entry names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// `cognito-idp:AdminGetUser`, `cognito-idp:Admin*`, or `*` for all.
    pub actions: Vec<String>,
    /// Pool ids, or `*` for all and for what belongs to no pool.
    pub pools: Vec<String>,
    /// What the operator wrote to remember it by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Grant {
    /// Takes what the operator wrote: the prefix of actions may be left out. A name that matches no signed operation is refused:
    /// it would be a permission that silently is none.
    pub fn new(actions: &[String], pools: &[String], note: &str) -> Result<Grant> {
        let actions =
            actions.iter().map(|action| action_pattern(action)).collect::<Result<Vec<_>>>()?;
        for pool in pools {
            if pool != "*" && !ids::is_pool_id(pool) {
                return Err(Error::invalid(format!(
                    "{pool:?} is not a pool id such as us-east-1_Ab3dEf9Gh, nor * for all pools."
                )));
            }
        }
        Ok(Grant { actions: or_all(actions), pools: or_all(pools.to_vec()), note: note.to_owned() })
    }

    /// Whether this operation is allowed on this pool; `None` is an operation that belongs to no pool, or to all.
    pub fn allows(&self, operation: &str, pool_id: Option<&str>) -> bool {
        let action = format!("{PREFIX}{operation}");
        let pool = self.pools.iter().any(|pool| pool == "*" || Some(pool.as_str()) == pool_id);
        pool && self.actions.iter().any(|pattern| matches(pattern, &action))
    }
}

fn or_all(list: Vec<String>) -> Vec<String> {
    if list.is_empty() { vec!["*".to_owned()] } else { list }
}

fn action_pattern(given: &str) -> Result<String> {
    let pattern = match given {
        "*" => given.to_owned(),
        _ if given.starts_with(PREFIX) => given.to_owned(),
        _ => format!("{PREFIX}{given}"),
    };
    let mut signed = cenote_interface::operations().iter().filter(|operation| !operation.unsigned);
    if signed.any(|operation| matches(&pattern, &format!("{PREFIX}{}", operation.name))) {
        return Ok(pattern);
    }
    Err(Error::invalid(
        match cenote_interface::operation(pattern.strip_prefix(PREFIX).unwrap_or(given)) {
            Some(operation) => format!(
                "{} needs no access key: its caller proves itself by a token, a session or a password.",
                operation.name
            ),
            None => format!(
                "{given:?} matches no operation that access keys sign. Write cognito-idp:AdminGetUser, cognito-idp:Admin* or *."
            ),
        },
    ))
}

/// A `*` at the end stands for anything; elsewhere it means nothing.
fn matches(pattern: &str, action: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => action.starts_with(beginning),
        None => action == pattern,
    }
}

/// A new key: its id and its secret, which is shown now and never again.
pub async fn create(cx: &Cx, grant: &Grant) -> Result<(String, Zeroizing<String>)> {
    let id = ids::access_key_id(cx.rng());
    let secret = Zeroizing::new(ids::access_key_secret(cx.rng()));
    let row = AccessKeyRow {
        id: id.clone(),
        secret: cx.app.vault.seal(cx.rng(), &place(&id), secret.as_bytes())?.0,
        doc: serde_json::to_string(grant).map_err(Error::internal)?,
        created_ms: cx.now,
    };
    let mut batch = Batch::new();
    keys::insert_access_key(&mut batch, &row);
    let detail = format!("actions {} pools {}", grant.actions.join(" "), grant.pools.join(" "));
    audit::note(&mut batch, cx, "", &Actor::Operator, "CreateAccessKey", &id, "ok", &detail);
    cx.db().commit(batch).await?;
    Ok((id, secret))
}

/// From now on the key is unknown: every request reads it anew.
pub async fn delete(cx: &Cx, id: &str) -> Result<()> {
    let mut batch = Batch::new();
    let missing = Error::invalid(format!(
        "There is no access key {id}. `cenote access-key list` shows those that exist."
    ));
    keys::delete_access_key(&mut batch, id, missing);
    audit::note(&mut batch, cx, "", &Actor::Operator, "DeleteAccessKey", id, "ok", "");
    cx.db().commit(batch).await
}

/// The secret and the grant of a key, if it exists.
pub async fn find(cx: &Cx, id: &str) -> Result<Option<(Zeroizing<String>, Grant)>> {
    let Some(row) = keys::access_key(cx.db(), id).await? else { return Ok(None) };
    let secret = cx.app.vault.open(&place(&row.id), &row.secret)?;
    let secret = std::str::from_utf8(&secret).map_err(Error::internal)?;
    Ok(Some((Zeroizing::new(secret.to_owned()), grant(&row)?)))
}

/// What a stored key allows.
pub fn grant(row: &AccessKeyRow) -> Result<Grant> {
    serde_json::from_str(&row.doc).map_err(|error| {
        Error::internal(format!("the access key {} does not parse: {error}", row.id))
    })
}

fn place(id: &str) -> Place<'_> {
    Place { table: "access_keys", pool: "", row: id, column: "secret" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(actions: &[&str], pools: &[&str]) -> Result<Grant> {
        let own = |list: &[&str]| list.iter().map(|item| (*item).to_owned()).collect::<Vec<_>>();
        Grant::new(&own(actions), &own(pools), "")
    }

    #[test]
    fn a_grant_allows_what_it_names_and_nothing_else() {
        let some = grant(&["AdminGetUser", "cognito-idp:List*"], &["us-east-1_a"]).unwrap();
        assert!(some.allows("AdminGetUser", Some("us-east-1_a")));
        assert!(some.allows("ListUsers", Some("us-east-1_a")));
        for (operation, pool) in [
            ("AdminGetUser", Some("us-east-1_b")),
            ("AdminGetUser", Some("")),
            ("AdminGetUser", None),
            ("ListUserPools", None),
            ("AdminGetUserX", Some("us-east-1_a")),
            ("AdminDeleteUser", Some("us-east-1_a")),
        ] {
            assert!(!some.allows(operation, pool), "{operation} {pool:?}");
        }
        let all = grant(&[], &[]).unwrap();
        assert!(
            all.allows("CreateUserPool", None) && all.allows("AdminGetUser", Some("us-east-1_b"))
        );
    }

    #[test]
    fn a_grant_that_would_silently_allow_nothing_is_refused() {
        for (actions, pools) in [
            (&["AdminGetUsr"][..], &[][..]),
            (&["cognito-idp:*User"], &[]),
            (&["s3:*"], &[]),
            (&["GetUser"], &[]),
            (&[""], &[]),
            (&[], &["all"]),
        ] {
            assert!(grant(actions, pools).is_err(), "{actions:?} {pools:?}");
        }
    }
}
