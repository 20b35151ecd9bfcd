//! The address that a browser is sent to, to sign in at a provider.

use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::federation::Trouble;
use crate::pool::{Pool, Provider};

/// What is asked of a provider.
pub struct AskOidc<'a> {
    pub redirect_uri: &'a str,
    pub state: &'a str,
    pub nonce: &'a str,
    /// Of a verifier that is kept; left out where the provider does not know PKCE.
    pub code_challenge: &'a str,
    pub login_hint: Option<&'a str>,
    /// As the app gave it.
    pub prompt: Option<&'a str>,
    pub max_age: Option<&'a str>,
    pub acr_values: Option<&'a str>,
    /// A fresh authentication, whatever the app asks for.
    pub forced: bool,
}

pub async fn authorize_url(
    _cx: &Cx,
    _pool: &Pool,
    provider: &Provider,
    _ask: &AskOidc<'_>,
) -> Result<String, Trouble> {
    Err(Error::internal(format!("the address of {} is not built yet", provider.name)).into())
}
