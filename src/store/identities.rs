//! Who signs in by which identity of which provider. A row names the user by the `sub`, and goes with the user; what is shown of it
//! is in the user's document. The value is kept as a hash: it may be long, and is compared to the letter.

use super::users::{columns, user};
use super::{Batch, Db, Rank};
use crate::ambient::Ms;
use crate::error::{Error, Result};
use crate::params;
use crate::pool::User;

/// What identifies somebody at a provider: the subject, or an attribute by which an administrator has linked them.
#[derive(Clone, Copy)]
pub struct Key<'a> {
    pub provider: &'a str,
    pub attribute: &'a str,
    pub value_key: &'a [u8; 32],
}

/// Whom an identity means: one read.
pub async fn find(db: &Db, pool_id: &str, key: Key<'_>) -> Result<Option<User>> {
    const SQL: &str = concat!(
        "SELECT ",
        columns!("u."),
        " FROM identities i JOIN users u ON u.pool_id = i.pool_id AND u.sub = i.sub \
         WHERE i.pool_id = ?1 AND i.provider = ?2 AND i.attribute = ?3 AND i.value_key = ?4"
    );
    let params = params![pool_id, key.provider, key.attribute, key.value_key.as_slice()];
    db.one(SQL, &params).await?.map(|row| user(&row)).transpose()
}

/// Of several who claim one identity at once, one gets it. Belongs into a batch that makes the user or changes its version.
pub fn insert(batch: &mut Batch, user: &User, key: Key<'_>, now: Ms) {
    batch.one(
        Rank::Login,
        "INSERT INTO identities (pool_id, provider, attribute, value_key, sub, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
         ON CONFLICT DO NOTHING",
        params![
            user.pool_id.as_str(),
            key.provider,
            key.attribute,
            key.value_key.as_slice(),
            user.sub.as_str(),
            now
        ],
        Error::conflict().because(&user.username),
    );
}

pub fn delete(batch: &mut Batch, user: &User, key: Key<'_>) {
    batch.one(
        Rank::Login,
        "DELETE FROM identities WHERE pool_id = ?1 AND provider = ?2 AND attribute = ?3 AND value_key = ?4 AND sub = ?5",
        params![
            user.pool_id.as_str(),
            key.provider,
            key.attribute,
            key.value_key.as_slice(),
            user.sub.as_str()
        ],
        Error::conflict().because(&user.sub),
    );
}
