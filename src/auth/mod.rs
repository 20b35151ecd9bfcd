//! Signing in. `machine::next` is the rule, pure: what an attempt may do next, given the facts. The other files are its shell:
//! they gather the facts, check the evidence, ask `next`, and commit. The JSON door and the hosted pages are skins over this,
//! so lock-out, status, expiry and unbuilt factors hold at every door.
//!
//! Success gives `Proven`: the user, a birth, and a batch to which the door adds its own rows and which it commits once.

pub mod challenge;
pub mod claims;
pub mod credential;
pub mod federated;
pub mod lockout;
pub mod machine;
pub mod new_password;
pub mod password;
pub mod second;
pub mod secret_hash;
pub mod set_up;
pub mod signed_up;
pub mod software_token;
pub mod srp;
pub mod totp;
mod verdict;

use std::collections::BTreeMap;

use crate::pool::{Client, Pool, User};
use crate::store::Batch;
use crate::tokens::Birth;

/// Somebody proved to be this user; nothing is committed yet.
pub struct Proven {
    /// As it will be after the commit.
    pub user: User,
    pub birth: Birth,
    pub batch: Batch,
}

/// What an attempt led to.
pub enum Outcome {
    Proven(Box<Proven>),
    /// Committed: the caller must answer this next.
    Challenged(Challenged),
}

pub struct Challenged {
    /// Cognito's ChallengeName.
    pub name: &'static str,
    pub session: Option<String>,
    pub parameters: BTreeMap<String, String>,
}

/// Who signs in where.
#[derive(Clone, Copy)]
pub struct At<'a> {
    pub pool: &'a Pool,
    pub client: &'a Client,
    pub door: Door,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Door {
    /// InitiateAuth and RespondToAuthChallenge.
    Api,
    /// Their Admin forms.
    Admin,
    /// The hosted pages.
    Hosted,
    /// An identity provider of others, by way of them.
    Federation,
}

impl Door {
    pub fn as_str(self) -> &'static str {
        match self {
            Door::Api => "api",
            Door::Admin => "admin",
            Door::Hosted => "hosted",
            Door::Federation => "federation",
        }
    }
}
