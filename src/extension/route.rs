//! What a row of the table says of an operation.

use std::future::Future;
use std::pin::Pin;

use super::call::{Call, Reply};
use crate::error::Result;
use crate::limits::Limit;

pub struct Route {
    pub verb: Verb,
    /// Below `/_cenote/v1`.
    pub path: &'static str,
    /// What an access key must allow, as `cenote:` and this; also `operationId`, and what the audit trail calls it.
    pub action: &'static str,
    pub summary: &'static str,
    pub limit: Limit,
    pub takes: Takes,
    pub gives: Gives,
    pub(super) run: fn(Call) -> Answer,
}

pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Get,
    Post,
    Patch,
    Delete,
}

impl Verb {
    pub fn as_str(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Post => "POST",
            Verb::Patch => "PATCH",
            Verb::Delete => "DELETE",
        }
    }
}

/// What comes along, by the name of its schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Nothing,
    /// The whole of something new.
    New(&'static str),
    /// A JSON merge patch (RFC 7396), under `If-Match` where the caller wants that.
    Patch(&'static str),
    /// `If-Match` alone.
    Condition,
    /// A page of a list, of those with these members.
    Query(&'static [&'static str]),
}

/// What an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gives {
    pub status: u16,
    pub schema: Option<&'static str>,
    /// With an `ETag`.
    pub tagged: bool,
    /// With `x-cenote-signout`.
    pub signs_out: bool,
}

/// 200 with an `ETag`.
pub(super) const fn tagged(schema: &'static str) -> Gives {
    Gives { tagged: true, ..plain(200, schema) }
}

/// 201 with an `ETag`.
pub(super) const fn created(schema: &'static str) -> Gives {
    Gives { status: 201, ..tagged(schema) }
}

pub(super) const NO_CONTENT: Gives =
    Gives { status: 204, schema: None, tagged: false, signs_out: false };

pub(super) const fn plain(status: u16, schema: &'static str) -> Gives {
    Gives { status, schema: Some(schema), tagged: false, signs_out: false }
}

impl Gives {
    pub(super) const fn signs_out(self) -> Gives {
        Gives { signs_out: true, ..self }
    }
}
