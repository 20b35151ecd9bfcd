//! Access keys: who may call the signed operations of a production server, which of them, and on which pools.

pub mod actions;
pub mod caller;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::ids;
use crate::keys::Place;
use crate::store::Batch;
use crate::store::keys::{self, AccessKeyRow};

/// What a key allows. Nothing is allowed that no entry names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// `cognito-idp:AdminGetUser`, `cognito-idp:Admin*`, `cenote:GetSignOut`, or `*` for all.
    pub actions: Vec<String>,
    /// Pool ids, or `*` for all and for what belongs to no pool.
    pub pools: Vec<String>,
    /// What the operator wrote to remember it by.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Grant {
    /// Takes what the operator wrote: the prefix of Cognito's actions may be left out.
    pub fn new(actions: &[String], pools: &[String], note: &str) -> Result<Grant> {
        let actions =
            actions.iter().map(|action| actions::pattern(action)).collect::<Result<Vec<_>>>()?;
        for pool in pools {
            if pool != "*" && !ids::is_pool_id(pool) {
                return Err(Error::invalid(format!(
                    "{pool:?} is not a pool id such as us-east-1_Ab3dEf9Gh, nor * for all pools."
                )));
            }
        }
        Ok(Grant { actions: or_all(actions), pools: or_all(pools.to_vec()), note: note.to_owned() })
    }

    /// Whether this action (`cognito-idp:AdminGetUser`) is allowed on this pool; `None` is one that belongs to no pool, or to all.
    pub fn allows(&self, action: &str, pool_id: Option<&str>) -> bool {
        let pool = self.pools.iter().any(|pool| pool == "*" || Some(pool.as_str()) == pool_id);
        pool && self.actions.iter().any(|pattern| actions::matches(pattern, action))
    }
}

fn or_all(list: Vec<String>) -> Vec<String> {
    if list.is_empty() { vec!["*".to_owned()] } else { list }
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
        let pools = &["us-east-1_a"];
        let some =
            grant(&["AdminGetUser", "cognito-idp:List*", "cenote:GetSignOut"], pools).unwrap();
        for action in ["cognito-idp:AdminGetUser", "cognito-idp:ListUsers", "cenote:GetSignOut"] {
            assert!(some.allows(action, Some("us-east-1_a")), "{action}");
        }
        for (action, pool) in [
            ("cognito-idp:AdminGetUser", Some("us-east-1_b")),
            ("cognito-idp:AdminGetUser", Some("")),
            ("cognito-idp:AdminGetUser", None),
            ("cognito-idp:ListUserPools", None),
            ("cognito-idp:AdminGetUserX", Some("us-east-1_a")),
            ("cognito-idp:AdminDeleteUser", Some("us-east-1_a")),
            ("cenote:AdminGetUser", Some("us-east-1_a")),
            ("cognito-idp:GetSignOut", Some("us-east-1_a")),
            ("cenote:GetSignOut", Some("us-east-1_b")),
        ] {
            assert!(!some.allows(action, pool), "{action} {pool:?}");
        }
        let all = grant(&[], &[]).unwrap();
        for (action, pool) in [
            ("cognito-idp:CreateUserPool", None),
            ("cognito-idp:AdminGetUser", Some("us-east-1_b")),
            ("cenote:GetSignOut", Some("us-east-1_b")),
        ] {
            assert!(all.allows(action, pool), "{action} {pool:?}");
        }
        let own = grant(&["cenote:*"], &[]).unwrap();
        assert!(own.allows("cenote:GetSignOut", Some("us-east-1_a")));
        assert!(!own.allows("cognito-idp:AdminGetUser", Some("us-east-1_a")));
        assert!(!grant(&["cognito-idp:*"], &[]).unwrap().allows("cenote:GetSignOut", None));
    }

    #[test]
    fn a_grant_that_would_silently_allow_nothing_is_refused() {
        for (actions, pools) in [
            (&["AdminGetUsr"][..], &[][..]),
            (&["cognito-idp:*User"], &[]),
            (&["s3:*"], &[]),
            (&["GetUser"], &[]),
            (&["GetSignOut"], &[]),
            (&["cenote:AdminGetUser"], &[]),
            (&["cenote:"], &[]),
            (&[""], &[]),
            (&[], &["all"]),
        ] {
            assert!(grant(actions, pools).is_err(), "{actions:?} {pools:?}");
        }
    }
}
