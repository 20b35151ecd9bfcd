//! An app client: Cognito's model as it is given back, its secrets (sealed), and what follows from them.

use cenote_interface::types::UserPoolClientType;
use serde::{Deserialize, Serialize};

use super::urls::{self, Told};
use crate::ambient::{DAY, HOUR, MINUTE, Ms, SECOND};
use crate::error::{Error, Result};

/// An app client as one read gave it. Cached by (`id`, `ver`): every change of the row changes `ver`.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub pool_id: String,
    pub doc: ClientDoc,
    pub ver: i64,
    pub epoch_ms: Ms,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClientDoc {
    /// What DescribeUserPoolClient answers, without the secret and the dates.
    pub model: UserPoolClientType,
    pub secrets: Vec<ClientSecret>,
    /// SetUserPoolClientSessionConfiguration; `None` where it was never set.
    pub sso_minutes: Option<i64>,
    pub extensions: ClientExtensions,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientSecret {
    /// `<client id>--<epoch milliseconds>`.
    pub id: String,
    /// Sealed, base64.
    pub sealed: String,
    pub created_ms: Ms,
}

/// What Cognito has no place for: how a relying party wants to learn of sign-outs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct ClientExtensions {
    /// Where this server posts logout tokens (OIDC Back-Channel Logout 1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_uri: Option<String>,
    /// False: one logout token for all sessions of a user who is signed out everywhere. Else one for each, since some find
    /// sessions by `sid` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backchannel_logout_session_required: Option<bool>,
    /// What a browser that signs out loads in a frame (OIDC Front-Channel Logout 1.0).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frontchannel_logout_uri: Option<String>,
}

impl ClientExtensions {
    /// What can be said of it without knowing where this server may connect to.
    pub fn check(&self) -> Result<()> {
        if let Some(uri) = &self.backchannel_logout_uri {
            urls::check_told("BackchannelLogoutUri", uri, Told::ByServer)?;
        }
        if let Some(uri) = &self.frontchannel_logout_uri {
            urls::check_told("FrontchannelLogoutUri", uri, Told::ByBrowser)?;
        }
        Ok(())
    }
}

/// Refresh-token rotation, where it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub grace_ms: Ms,
}

impl Client {
    pub fn model(&self) -> &UserPoolClientType {
        &self.doc.model
    }

    /// Whether it names an address at which it wants to learn of sign-outs.
    pub fn hears_of_sign_outs(&self) -> bool {
        let extensions = &self.doc.extensions;
        extensions.backchannel_logout_uri.is_some() || extensions.frontchannel_logout_uri.is_some()
    }

    pub fn is_public(&self) -> bool {
        self.doc.secrets.is_empty()
    }

    /// Whether one of these flows is enabled: an `ALLOW_*` name or its legacy form.
    pub fn allows_flow(&self, names: &[&str]) -> bool {
        let flows = self.model().explicit_auth_flows.as_deref().filter(|flows| !flows.is_empty());
        flows
            .unwrap_or(DEFAULT_FLOWS_OWNED.as_slice())
            .iter()
            .any(|flow| names.contains(&flow.as_str()))
    }

    /// The names before `ALLOW_*` only ever added to SRP and refresh.
    pub fn uses_legacy_flows(&self) -> bool {
        let flows = self.model().explicit_auth_flows.as_deref().unwrap_or_default();
        !flows.is_empty()
            && flows.iter().all(|flow| !flow.starts_with("ALLOW_"))
            && !flows.iter().any(|flow| flow == "CUSTOM_AUTH_FLOW_ONLY")
    }

    /// Whether refresh tokens of this client can be used; with rotation the flow itself must be off.
    pub fn allows_refresh(&self) -> bool {
        self.rotation().is_some()
            || self.allows_flow(&["ALLOW_REFRESH_TOKEN_AUTH"])
            || self.uses_legacy_flows()
    }

    pub fn hides_user_existence(&self) -> bool {
        self.model().prevent_user_existence_errors.as_deref() == Some("ENABLED")
    }

    pub fn revocation_enabled(&self) -> bool {
        self.model().enable_token_revocation.unwrap_or(true)
    }

    pub fn access_ms(&self) -> Ms {
        validity(
            self.model().access_token_validity,
            self.unit(|units| units.access_token.as_deref()),
            HOUR,
            HOUR,
        )
    }

    pub fn id_ms(&self) -> Ms {
        validity(
            self.model().id_token_validity,
            self.unit(|units| units.id_token.as_deref()),
            HOUR,
            HOUR,
        )
    }

    pub fn refresh_ms(&self) -> Ms {
        validity(
            self.model().refresh_token_validity,
            self.unit(|units| units.refresh_token.as_deref()),
            DAY,
            30 * DAY,
        )
    }

    /// How long a challenge may be answered: 3 to 15 minutes.
    pub fn challenge_ms(&self) -> Ms {
        self.model().auth_session_validity.unwrap_or(3) * MINUTE
    }

    pub fn rotation(&self) -> Option<Rotation> {
        let rotation = self.model().refresh_token_rotation.as_ref()?;
        (rotation.feature == "ENABLED").then(|| Rotation {
            grace_ms: rotation.retry_grace_period_seconds.unwrap_or(0) * SECOND,
        })
    }

    /// How long this client re-uses a browser session without asking, from its last fresh authentication.
    pub fn sso_silent_ms(&self) -> Ms {
        self.doc.sso_minutes.unwrap_or(60) * MINUTE
    }

    pub fn may_read(&self, attribute: &str) -> bool {
        allowed(self.model().read_attributes.as_deref(), attribute)
    }

    pub fn may_write(&self, attribute: &str) -> bool {
        allowed(self.model().write_attributes.as_deref(), attribute)
    }

    pub fn scopes(&self) -> &[String] {
        self.model().allowed_oauth_scopes.as_deref().unwrap_or_default()
    }

    /// Whether this OAuth flow (`code`, `implicit`, `client_credentials`) is enabled.
    pub fn allows_oauth(&self, flow: &str) -> bool {
        self.model().allowed_oauth_flows_user_pool_client.unwrap_or(false)
            && self
                .model()
                .allowed_oauth_flows
                .as_ref()
                .is_some_and(|flows| flows.iter().any(|item| item == flow))
    }

    /// Exact, as Cognito matches: no folding of case, slash or port.
    pub fn is_callback(&self, uri: &str) -> bool {
        self.model().callback_urls.as_ref().is_some_and(|urls| urls.iter().any(|url| url == uri))
    }

    pub fn is_logout_url(&self, uri: &str) -> bool {
        self.model().logout_urls.as_ref().is_some_and(|urls| urls.iter().any(|url| url == uri))
    }

    /// Whether users of the pool itself (and not only of an identity provider) may sign in.
    /// A client that names no provider at all serves the pool's own users.
    pub fn supports_cognito(&self) -> bool {
        let providers = self.model().supported_identity_providers.as_deref().unwrap_or_default();
        providers.is_empty() || providers.iter().any(|provider| provider == "COGNITO")
    }

    fn unit(
        &self,
        pick: fn(&cenote_interface::types::TokenValidityUnitsType) -> Option<&str>,
    ) -> Option<&str> {
        self.model().token_validity_units.as_ref().and_then(pick)
    }

    /// The limits of `cognito-behaviour` 5.6: 5 minutes to 24 hours, 60 minutes to 10 years.
    pub fn check_validities(&self) -> Result<()> {
        for (name, ms) in [("Access", self.access_ms()), ("ID", self.id_ms())] {
            if !(5 * MINUTE..=24 * HOUR).contains(&ms) {
                return Err(Error::invalid(format!(
                    "Invalid range for token validity. {name} token validity must be between 5 minutes and 24 hours."
                )));
            }
        }
        if !(60 * MINUTE..=3_650 * DAY).contains(&self.refresh_ms()) {
            return Err(Error::invalid(
                "Invalid range for token validity. Refresh token validity must be between 60 minutes and 3650 days.",
            ));
        }
        if self.refresh_ms() < self.access_ms().max(self.id_ms()) {
            return Err(Error::invalid(
                "Invalid range for token validity. Refresh token validity must not be shorter than that of the access and ID tokens.",
            ));
        }
        Ok(())
    }
}

/// What CreateUserPoolClient gives a client that names no flows.
pub const DEFAULT_FLOWS: &[&str] =
    &["ALLOW_REFRESH_TOKEN_AUTH", "ALLOW_USER_SRP_AUTH", "ALLOW_CUSTOM_AUTH"];

static DEFAULT_FLOWS_OWNED: std::sync::LazyLock<Vec<String>> =
    std::sync::LazyLock::new(|| DEFAULT_FLOWS.iter().map(|flow| (*flow).to_owned()).collect());

fn validity(value: Option<i64>, unit: Option<&str>, default_unit: Ms, default: Ms) -> Ms {
    match value {
        None | Some(0) => default,
        Some(n) => n.saturating_mul(match unit {
            Some("seconds") => SECOND,
            Some("minutes") => MINUTE,
            Some("hours") => HOUR,
            Some("days") => DAY,
            _ => default_unit,
        }),
    }
}

/// A client without a list may read and write every attribute but the developer-only ones; `sub` can always
/// be read. With a list, `email` does not imply `email_verified`.
fn allowed(list: Option<&[String]>, attribute: &str) -> bool {
    match list {
        Some(list) if !list.is_empty() => {
            attribute == "sub" || list.iter().any(|item| item == attribute)
        }
        _ => !attribute.starts_with("dev:"),
    }
}
