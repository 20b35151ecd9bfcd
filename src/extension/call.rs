//! One request, read and checked as far as its route tells, and its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::Pool;
use crate::{ids, keys};

/// As in Cognito's lists.
pub(super) const MAX_PAGE: i64 = 60;

#[derive(Clone)]
pub(super) struct Call {
    pub cx: Cx,
    given: Arc<Given>,
}

/// What a request says.
#[derive(Default)]
pub(super) struct Given {
    pub path: BTreeMap<String, String>,
    pub query: BTreeMap<String, String>,
    pub body: Map<String, Value>,
    pub if_match: Vec<String>,
}

/// What it is answered.
pub(super) struct Reply {
    pub status: StatusCode,
    pub body: Option<Value>,
    pub etag: Option<String>,
    /// Below `/_cenote/v1`.
    pub location: Option<String>,
}

impl Reply {
    pub fn ok(body: Value) -> Reply {
        Reply { status: StatusCode::OK, body: Some(body), etag: None, location: None }
    }

    /// What can be changed under `If-Match`.
    pub fn tagged(body: Value) -> Reply {
        Reply { etag: Some(etag(&body)), ..Reply::ok(body) }
    }
}

/// What a resource says now: equal tags mean equal content.
pub(super) fn etag(body: &Value) -> String {
    let hash = keys::hash(body.to_string());
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(hash.get(..15).unwrap_or_default()))
}

impl Call {
    pub fn new(cx: Cx, given: Arc<Given>) -> Call {
        Call { cx, given }
    }

    pub fn path(&self, name: &str) -> &str {
        self.given.path.get(name).map_or("", String::as_str)
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.given.query.get(name).map(String::as_str)
    }

    /// Where the page before ended; empty text is the beginning, too.
    pub fn next_token(&self) -> Option<&str> {
        self.query("next_token").filter(|token| !token.is_empty())
    }

    /// How many a page of a list holds.
    pub fn limit(&self) -> Result<i64> {
        let Some(given) = self.query("limit") else { return Ok(60) };
        let limit = given.parse().ok().filter(|limit| (1..=MAX_PAGE).contains(limit));
        limit.ok_or_else(|| Error::invalid(format!("limit must be a number from 1 to {MAX_PAGE}.")))
    }

    pub fn body(&self) -> &Map<String, Value> {
        &self.given.body
    }

    /// The pool that the path names. What cannot be an id is not looked for.
    pub async fn pool(&self) -> Result<Arc<Pool>> {
        let id = self.path("pool");
        let found = match ids::is_pool_id(id) {
            true => self.cx.app.directory.pool(self.cx.db(), id).await?,
            false => None,
        };
        let pool = found.ok_or_else(|| missing("user pool", id))?;
        self.cx.is_about(&pool.id, Some(&pool.id));
        Ok(pool)
    }

    /// `If-Match` (RFC 9110, 13.1.1), where it came along: `now` is what the resource says. Of two who read the same and change it, one
    /// is refused.
    pub fn if_match(&self, now: &Value) -> Result<()> {
        let given = &self.given.if_match;
        let etag = etag(now);
        if given.is_empty() || given.iter().any(|tag| tag == "*" || *tag == etag) {
            return Ok(());
        }
        Err(Error::new(
            Kind::ConcurrentModification,
            format!(
                "It was changed since: it has the ETag {etag} now, and If-Match has {}. Read it again.",
                given.join(", ")
            ),
        ))
    }
}

pub(super) fn missing(what: &str, id: &str) -> Error {
    Error::not_found(format!("There is no {what} {:?}.", id.chars().take(128).collect::<String>()))
}

/// Whether a text can be the id of anything; what cannot is not looked for.
pub(super) fn is_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'+'))
}
