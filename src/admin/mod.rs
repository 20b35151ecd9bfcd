//! Pools, app clients and domains: creating, changing and deleting them. No wire formats; the doors say who may.

pub mod client_rules;
pub mod clients;
pub mod domains;
pub mod logo;
pub mod mfa;
pub mod pool_rules;
pub mod pools;
pub mod tags;
pub mod ui_customization;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The members that a request and the model have in common, under the same names: the interface keeps them equal, so no list
/// of members here can forget one.
fn in_common<M: DeserializeOwned>(request: &impl Serialize) -> Result<M> {
    serde_json::to_value(request).and_then(serde_json::from_value).map_err(Error::internal)
}
