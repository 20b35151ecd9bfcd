//! Everything that happens to a user besides signing in. The doors call these; each commits one batch.

pub mod address;
pub mod admin;
pub mod attributes;
pub mod codes;
pub mod existence;
pub mod groups;
pub mod linking;
pub mod list;
pub mod mfa;
pub mod password;
pub mod recovery;
pub mod sessions;
pub mod sign_up;

use crate::pool::{Client, Pool};

/// Where somebody acts who has no token yet: an app client and its pool.
#[derive(Clone, Copy)]
pub struct Via<'a> {
    pub pool: &'a Pool,
    pub client: &'a Client,
}
