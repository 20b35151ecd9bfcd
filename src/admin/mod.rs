//! Pools, app clients, groups, resource servers, identity providers and domains: creating, changing and deleting them. No wire formats; the doors say
//! who may.

pub mod client_rules;
pub mod clients;
pub mod domains;
pub mod everybody;
pub mod extensions;
pub mod groups;
pub mod logo;
pub mod mfa;
pub mod pool_rules;
pub mod pools;
pub mod providers;
pub mod resource_servers;
pub mod tags;
pub mod targets;
pub mod ui_customization;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cx::Cx;
use crate::error::{Error, Result};

/// Versions begin at the time: where an operator gives a deleted pool's or client's id to a new one, no node takes the new one for
/// what it remembers of the old.
fn first_version(cx: &Cx) -> i64 {
    cx.now
}

/// The members that a request and the model have in common, under the same names: the interface keeps them equal, so no list
/// of members here can forget one.
fn in_common<M: DeserializeOwned>(request: &impl Serialize) -> Result<M> {
    serde_json::to_value(request).and_then(serde_json::from_value).map_err(Error::internal)
}
