//! Providers that speak OAuth: OpenID Connect, Google, Facebook, Amazon, Apple. Where to send people, what the answer means, and how to
//! sign out there. No routes.

mod authorize;
mod sign_out;

pub use self::authorize::{AskOidc, authorize_url};
pub use self::sign_out::{EndSession, LogoutToken, end_session_url, logout_token, revoke};
use super::Trouble;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Identity, Provider};

/// What came back to `/oauth2/idpresponse`, and what was remembered of the request that it answers.
pub struct Callback<'a> {
    pub code: &'a str,
    /// The parameter `iss` (RFC 9207).
    pub iss: Option<&'a str>,
    /// Apple's form field `user`, with the name that it tells only once.
    pub user: Option<&'a str>,
    /// As it was in the request.
    pub redirect_uri: &'a str,
    /// PKCE's, whose challenge was offered to `authorize_url`.
    pub verifier: &'a str,
    pub nonce: &'a str,
}

/// Redeems a code and finds out whom it means.
pub async fn redeem(
    _cx: &Cx,
    provider: &Provider,
    _callback: &Callback<'_>,
) -> Result<Identity, Trouble> {
    Err(Error::internal(format!("redeeming a code of {} is not built yet", provider.name)).into())
}

/// Whether an answer of the authorization endpoint, good or bad, may come from this provider (RFC 9207): against mix-up.
pub async fn check_issuer(
    _cx: &Cx,
    provider: &Provider,
    _iss: Option<&str>,
) -> Result<(), Trouble> {
    Err(Error::internal(format!("checking the issuer of {} is not built yet", provider.name))
        .into())
}
