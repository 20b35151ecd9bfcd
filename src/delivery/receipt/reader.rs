//! Who may read a receipt: an access key that allows it on the pool, or the user concerned, by a token that came after the sign-out.

use axum::http::header;
use axum::http::request::Parts;

use crate::ambient::Ms;
use crate::cx::{Asked, Cx};
use crate::error::{Error, Kind, Result};
use crate::http;
use crate::limits::Limit;
use crate::sigv4;
use crate::store::records::Recorded;
use crate::tokens::verify;

/// What access keys must allow.
const ACTION: &str = "cenote:GetSignOut";

pub enum Reader {
    /// Holds an access key; in dev, everybody who sends no token.
    Operator,
    /// Holds a living access token of the pool, from a sign-in of that time.
    User {
        sub: String,
        birth_ms: Ms,
    },
    Nobody,
}

/// Who asks. What is wrong with a signature or a token is for the log: the caller learns no more than that nothing is here.
pub async fn of(cx: &Cx, parts: &Parts, pool_id: &str) -> Result<Reader> {
    let reader = match http::bearer(&parts.headers) {
        Some(_) if parts.headers.get_all(header::AUTHORIZATION).iter().count() > 1 => {
            return Ok(Reader::Nobody);
        }
        Some(token) => user(cx, token, pool_id).await,
        None => operator(cx, parts, pool_id).await,
    };
    reader.or_else(|error| match error.kind {
        Kind::ServiceUnavailable | Kind::Internal | Kind::TooManyRequests | Kind::Forbidden => {
            Err(error)
        }
        _ => {
            tracing::info!(request_id = %cx.request.id, reason = &*error.message, "a receipt is not shown");
            Ok(Reader::Nobody)
        }
    })
}

async fn user(cx: &Cx, token: &str, pool_id: &str) -> Result<Reader> {
    let access = verify::access(cx, token).await?;
    if access.pool.id != pool_id {
        return Err(Error::not_authorized("The access token is of another pool."));
    }
    Ok(Reader::User { sub: access.user.sub, birth_ms: access.session.birth_ms })
}

async fn operator(cx: &Cx, parts: &Parts, pool_id: &str) -> Result<Reader> {
    http::refuse_foreign_origin(cx, &parts.headers)?;
    if let Some(caller) = http::caller(cx, parts, b"", sigv4::CENOTE).await? {
        caller.check(cx, ACTION, Some(pool_id))?;
    }
    let category = Limit::UserResourceRead;
    cx.admit(&Asked { category, pool: pool_id, client: None, user: None, costly: false })?;
    Ok(Reader::Operator)
}

impl Reader {
    /// Whether this reader may see the sign-out of these records. One that concerns others, too, is not for a user.
    pub fn may_see(&self, records: &[Recorded]) -> bool {
        !records.is_empty()
            && match self {
                Reader::Operator => true,
                Reader::User { sub, birth_ms } => records.iter().all(|record| {
                    record.sub.as_deref() == Some(sub) && is_after(*birth_ms, record)
                }),
                Reader::Nobody => false,
            }
    }
}

/// Whether a session of that birth came after the sign-out. A user's own boundary says so exactly, whatever clocks say.
fn is_after(birth_ms: Ms, record: &Recorded) -> bool {
    match record.not_before_ms {
        0 => birth_ms > record.committed_ms,
        boundary => birth_ms >= boundary,
    }
}
