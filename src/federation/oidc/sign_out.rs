//! Signing out at a provider that speaks OAuth, and being told by it that somebody signed out.

use crate::ambient::Ms;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::federation::Trouble;
use crate::pool::Provider;
use crate::pool::identity::UpstreamDoc;

/// A request to an `end_session_endpoint`: an address for a redirect, or a form for one that is too long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSession {
    /// The endpoint.
    pub url: String,
    pub fields: Vec<(String, String)>,
}

/// A verified logout token (OpenID Connect Back-Channel Logout 1.0). At least one of `sub` and `sid` is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutToken {
    pub sub: Option<String>,
    pub sid: Option<String>,
    pub jti: String,
    /// Until when its `jti` must be remembered.
    pub expires_ms: Ms,
}

impl EndSession {
    /// The endpoint with the fields in its query.
    pub fn redirect(&self) -> String {
        String::new()
    }
}

/// `None`: the provider has no such endpoint.
pub async fn end_session_url(
    _cx: &Cx,
    provider: &Provider,
    _upstream: &UpstreamDoc,
    _post_logout_redirect_uri: &str,
    _state: &str,
) -> Result<Option<EndSession>, Trouble> {
    Err(Error::internal(format!("signing out at {} is not built yet", provider.name)).into())
}

/// Revokes the provider's tokens (RFC 7009). `false`: it offers no way to, or we hold none.
pub async fn revoke(
    _cx: &Cx,
    provider: &Provider,
    _upstream: &UpstreamDoc,
) -> Result<bool, Trouble> {
    Err(Error::internal(format!("revoking tokens of {} is not built yet", provider.name)).into())
}

/// Verifies a logout token. The caller refuses a `jti` that it has seen. `TroubleKind::Unreachable`: it cannot be told now, and the
/// provider should try again.
pub async fn logout_token(
    _cx: &Cx,
    provider: &Provider,
    _token: &str,
) -> Result<LogoutToken, Trouble> {
    Err(Error::internal(format!("logout tokens of {} are not built yet", provider.name)).into())
}
