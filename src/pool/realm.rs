//! A user pool: Cognito's model as it is given back, plus what Cenote adds to it.

use cenote_interface::types::{PasswordPolicyType, SetUserPoolMfaConfigResponse, UserPoolType};
use serde::{Deserialize, Serialize};

use crate::ambient::{DAY, Ms};
use crate::error::{Error, Kind, Result};

/// A pool as one read gave it. Cached by (`id`, `ver`): every change of the row changes `ver`.
#[derive(Clone, Debug)]
pub struct Pool {
    pub id: String,
    pub doc: PoolDoc,
    pub ver: i64,
    /// Everything born below this is dead ("sign everybody out").
    pub epoch_ms: Ms,
    /// The longest access or ID token validity that any client of the pool ever had.
    pub longest_token_ms: Ms,
    pub created_ms: Ms,
    pub modified_ms: Ms,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolDoc {
    /// What DescribeUserPool answers, without the members that are derived when it is asked.
    pub model: UserPoolType,
    pub mfa: SetUserPoolMfaConfigResponse,
    pub sessions: SessionRules,
    pub extensions: Extensions,
    /// The issuer that tokens name instead of `{public_url}/{pool}`, for migrations.
    pub issuer: Option<String>,
    /// Whether it ever had an identity provider: what need not be looked for in a pool without one.
    #[serde(default)]
    pub has_providers: bool,
}

/// SetUserPoolSessionConfiguration.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionRules {
    pub tracking: bool,
    pub max_per_user: i64,
    /// The longest MaxValidityMinutes that any client of the pool was ever given.
    #[serde(default = "an_hour")]
    pub longest_minutes: i64,
}

fn an_hour() -> i64 {
    60
}

impl Default for SessionRules {
    fn default() -> SessionRules {
        SessionRules { tracking: false, max_per_user: 20, longest_minutes: an_hour() }
    }
}

/// Where Cenote can go beyond Cognito, and where an operator can have Cognito's way back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default, deny_unknown_fields)]
pub struct Extensions {
    /// `/logout` also ends the token sessions that came through the browser session.
    pub logout_ends_token_sessions: bool,
    /// GlobalSignOut also ends every browser session of the user.
    pub global_sign_out_ends_browser_sessions: bool,
    /// A password reset ends every session. Cognito documents nothing; `false` leaves them alive.
    pub password_reset_ends_sessions: bool,
}

impl Default for Extensions {
    fn default() -> Extensions {
        Extensions {
            logout_ends_token_sessions: false,
            global_sign_out_ends_browser_sessions: false,
            password_reset_ends_sessions: true,
        }
    }
}

impl Pool {
    /// The part after `_`: SRP's name of the pool.
    pub fn srp_name(&self) -> &str {
        self.id.split_once('_').map_or("", |(_, name)| name)
    }

    pub fn region(&self) -> &str {
        self.id.split_once('_').map_or("", |(region, _)| region)
    }

    pub fn model(&self) -> &UserPoolType {
        &self.doc.model
    }

    pub fn password_policy(&self) -> PasswordPolicyType {
        let policy =
            self.model().policies.as_ref().and_then(|policies| policies.password_policy.clone());
        policy.unwrap_or_else(default_password_policy)
    }

    /// How long a temporary password works. 0 means the default of 7 days.
    pub fn temporary_password_ms(&self) -> Ms {
        let days = self.password_policy().temporary_password_validity_days.unwrap_or(0);
        if days == 0 { 7 * DAY } else { days * DAY }
    }

    pub fn case_sensitive(&self) -> bool {
        self.model()
            .username_configuration
            .as_ref()
            .is_none_or(|configuration| configuration.case_sensitive)
    }

    /// Whether users sign in with this attribute in place of a username.
    pub fn signs_in_with(&self, attribute: &str) -> bool {
        contains(self.model().username_attributes.as_deref(), attribute)
    }

    /// Whether a user's name is an email address or a phone number.
    pub fn names_are_attributes(&self) -> bool {
        self.model().username_attributes.as_ref().is_some_and(|names| !names.is_empty())
    }

    pub fn aliases(&self, attribute: &str) -> bool {
        contains(self.model().alias_attributes.as_deref(), attribute)
    }

    pub fn auto_verifies(&self, attribute: &str) -> bool {
        contains(self.model().auto_verified_attributes.as_deref(), attribute)
    }

    /// Whether a new value of this attribute only takes effect when its code is confirmed.
    pub fn verifies_before_update(&self, attribute: &str) -> bool {
        let settings = self.model().user_attribute_update_settings.as_ref();
        contains(
            settings.and_then(|settings| {
                settings.attributes_require_verification_before_update.as_deref()
            }),
            attribute,
        )
    }

    pub fn only_administrators_create_users(&self) -> bool {
        let configuration = self.model().admin_create_user_config.as_ref();
        configuration
            .and_then(|configuration| configuration.allow_admin_create_user_only)
            .unwrap_or(false)
    }

    /// Refuses to sign anybody in past a setting whose effect does not exist yet: a judgement of risks that is asked for
    /// must never be skipped.
    pub fn refuse_unbuilt_risk(&self) -> Result<()> {
        let add_ons = self.model().user_pool_add_ons.as_ref();
        if add_ons.is_some_and(|add_ons| add_ons.advanced_security_mode == "ENFORCED") {
            return Err(Error::new(
                Kind::InvalidUserPoolConfiguration,
                "UserPoolAddOns.AdvancedSecurityMode is ENFORCED, and this version of Cenote cannot judge risks yet. Set it to OFF or AUDIT to sign in.",
            ));
        }
        Ok(())
    }

    /// How many former passwords a new one must differ from, the present one among them.
    pub fn password_history(&self) -> i64 {
        self.password_policy().password_history_size.unwrap_or(0)
    }

    /// Refuses a flow whose trigger is configured: a trigger that may deny must never be skipped.
    pub fn refuse_unbuilt_triggers(&self, names: &[&str]) -> Result<()> {
        match names.iter().find(|name| self.trigger(name)) {
            Some(name) => Err(Error::new(
                Kind::UnexpectedLambda,
                format!(
                    "LambdaConfig.{name} is set, and this version of Cenote cannot call triggers yet. Remove it to use this flow."
                ),
            )),
            None => Ok(()),
        }
    }

    fn trigger(&self, name: &str) -> bool {
        let Some(lambda) = self.model().lambda_config.as_ref() else { return false };
        let set = |arn: &Option<String>| arn.as_ref().is_some_and(|arn| !arn.is_empty());
        match name {
            "PreSignUp" => set(&lambda.pre_sign_up),
            "CustomMessage" => set(&lambda.custom_message),
            "PostConfirmation" => set(&lambda.post_confirmation),
            "PreAuthentication" => set(&lambda.pre_authentication),
            "PostAuthentication" => set(&lambda.post_authentication),
            "DefineAuthChallenge" => set(&lambda.define_auth_challenge),
            "PreTokenGeneration" => set(&lambda.pre_token_generation),
            "PreTokenGenerationConfig" => lambda.pre_token_generation_config.is_some(),
            "UserMigration" => set(&lambda.user_migration),
            "InboundFederation" => lambda.inbound_federation.is_some(),
            "CustomSMSSender" => lambda.custom_sms_sender.is_some(),
            "CustomEmailSender" => lambda.custom_email_sender.is_some(),
            _ => false,
        }
    }
}

/// The triggers that stand in the way of each flow (`cognito-behaviour`, section 7).
pub mod triggers {
    pub const SIGN_UP: &[&str] =
        &["PreSignUp", "CustomMessage", "CustomEmailSender", "CustomSMSSender"];
    pub const CONFIRM: &[&str] = &["PostConfirmation"];
    pub const SEND: &[&str] = &["CustomMessage", "CustomEmailSender", "CustomSMSSender"];
    pub const FORGOT: &[&str] =
        &["UserMigration", "CustomMessage", "CustomEmailSender", "CustomSMSSender"];
    pub const SIGN_IN: &[&str] = &[
        "PreAuthentication",
        "PostAuthentication",
        "UserMigration",
        "PreTokenGeneration",
        "PreTokenGenerationConfig",
    ];
    /// A sign-in through an identity provider.
    pub const FEDERATED: &[&str] = &[
        "InboundFederation",
        "PreAuthentication",
        "PostAuthentication",
        "PreTokenGeneration",
        "PreTokenGenerationConfig",
    ];
    /// What the first one of a user calls, too.
    pub const FEDERATED_SIGN_UP: &[&str] = &["PreSignUp", "PostConfirmation"];
    pub const TOKENS: &[&str] = &["PreTokenGeneration", "PreTokenGenerationConfig"];
}

/// What a pool has whose creator said nothing (CreateUserPool, PasswordPolicyType).
pub fn default_password_policy() -> PasswordPolicyType {
    PasswordPolicyType {
        minimum_length: Some(8),
        require_uppercase: Some(true),
        require_lowercase: Some(true),
        require_numbers: Some(true),
        require_symbols: Some(true),
        password_history_size: None,
        temporary_password_validity_days: Some(7),
    }
}

fn contains(list: Option<&[String]>, name: &str) -> bool {
    list.is_some_and(|list| list.iter().any(|item| item == name))
}
