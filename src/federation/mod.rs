//! Identity providers of others: what they say, what is asked of them, and signing out there. No routes: the pages that browsers
//! visit on the way are in `hosted`.

pub mod certificates;
pub mod events;
pub mod handshake;
pub mod learned;
pub mod oidc;
pub mod saml;
pub mod seen;
pub mod sign_out;
pub mod sp_metadata;
pub mod upstream;

use cenote_saml::{Binding, Endpoint};

use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::keys::Place;
use crate::pool::Provider;
use crate::pool::provider::ProviderSecret;

/// Something went wrong with a provider. `text` is for the app's `error_description`: it names the provider and what
/// it did, and nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub kind: TroubleKind,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TroubleKind {
    /// It answered, and the answer is no good or is a refusal.
    Refused,
    /// It did not answer, or not in time.
    Unreachable,
    /// Ours.
    Internal,
}

impl Trouble {
    pub fn refused(text: impl Into<String>) -> Trouble {
        Trouble { kind: TroubleKind::Refused, text: text.into() }
    }

    pub fn unreachable(text: impl Into<String>) -> Trouble {
        Trouble { kind: TroubleKind::Unreachable, text: text.into() }
    }

    /// The OAuth error code that tells the app (`cognito-behaviour`, 4.1: also a provider that is away is `invalid_request`).
    pub fn error(&self) -> &'static str {
        match self.kind {
            TroubleKind::Refused | TroubleKind::Unreachable => "invalid_request",
            TroubleKind::Internal => "server_error",
        }
    }

    /// What it counts as among the sign-ins of `/metrics`.
    pub fn outcome(&self) -> &'static str {
        match self.kind {
            TroubleKind::Refused => "ProviderRefused",
            TroubleKind::Unreachable => "ProviderUnreachable",
            TroubleKind::Internal => "InternalErrorException",
        }
    }
}

/// Something of ours in the middle of a conversation with a provider. The cause is logged here: what is told has no place for it.
impl From<Error> for Trouble {
    fn from(error: Error) -> Trouble {
        tracing::error!(?error, "speaking with an identity provider failed");
        Trouble { kind: TroubleKind::Internal, text: error.message.to_string() }
    }
}

/// At a door that has no better words for it.
impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Error {
        match trouble.kind {
            TroubleKind::Refused => Error::invalid(trouble.text),
            TroubleKind::Unreachable => Error::new(Kind::ServiceUnavailable, trouble.text),
            TroubleKind::Internal => Error::internal(trouble.text),
        }
    }
}

/// Where a SAML provider takes redirects, for signing in and for signing out.
pub async fn redirect_addresses(
    cx: &Cx,
    provider: &Provider,
) -> Result<(Option<String>, Option<String>), Trouble> {
    let metadata = learned::saml_metadata(cx, provider).await?;
    let redirect = |endpoints: &[Endpoint]| {
        let found = endpoints.iter().find(|endpoint| endpoint.binding == Binding::Redirect);
        found.map(|endpoint| endpoint.location.clone())
    };
    Ok((redirect(&metadata.sso), redirect(&metadata.slo)))
}

/// A provider's secrets, opened.
pub fn secrets(cx: &Cx, provider: &Provider) -> Result<ProviderSecret> {
    let Some(sealed) = &provider.secret else { return Ok(ProviderSecret::default()) };
    let plain = cx.app.vault.open(&place(&provider.pool_id, &provider.name), sealed)?;
    serde_json::from_slice(&plain).map_err(Error::internal)
}

/// The same, sealed for its row.
pub fn seal(cx: &Cx, pool_id: &str, name: &str, secret: &ProviderSecret) -> Result<Vec<u8>> {
    let plain = serde_json::to_vec(secret).map_err(Error::internal)?;
    Ok(cx.app.vault.seal(cx.rng(), &place(pool_id, name), &plain)?.0)
}

fn place<'a>(pool_id: &'a str, name: &'a str) -> Place<'a> {
    Place { table: "identity_providers", pool: pool_id, row: name, column: "secret" }
}
