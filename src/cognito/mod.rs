//! The JSON door: `POST /` with `X-Amz-Target` (`cognito-behaviour`, section 10). One table names every operation that is built;
//! there are no stubs. One file per family of operations.

mod admin_users;
mod auth;
mod client_token;
mod clients;
mod domains;
mod groups;
mod linking;
mod list_users;
mod lookup;
mod mfa;
mod pools;
mod providers;
mod resource_servers;
mod scope;
mod secrets;
mod sessions;
mod tags;
mod ui_customization;
mod users;
mod wire;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use wire::{options, post};

use crate::cx::{Cx, page};
use crate::error::{Error, Kind, Result};

macro_rules! operations {
    ($($name:literal => $function:path,)*) => {
        /// The operations that are built, sorted by name.
        pub const BUILT: &[&str] = &[$($name),*];

        /// The answer as JSON.
        async fn call(name: &str, cx: Cx, input: Value) -> Result<String> {
            match name {
                $($name => Box::pin(run(cx, input, $function)).await,)*
                name => Err(unknown(name)),
            }
        }
    };
}

operations! {
    "AddCustomAttributes" => pools::add_custom_attributes,
    "AddUserPoolClientSecret" => secrets::add_user_pool_client_secret,
    "AdminAddUserToGroup" => groups::admin_add_user_to_group,
    "AdminConfirmSignUp" => admin_users::admin_confirm_sign_up,
    "AdminCreateUser" => admin_users::admin_create_user,
    "AdminDeleteSoftwareToken" => mfa::admin_delete_software_token,
    "AdminDeleteUser" => admin_users::admin_delete_user,
    "AdminDeleteUserAttributes" => admin_users::admin_delete_user_attributes,
    "AdminDisableProviderForUser" => linking::admin_disable_provider_for_user,
    "AdminDisableUser" => admin_users::admin_disable_user,
    "AdminEnableUser" => admin_users::admin_enable_user,
    "AdminGetUser" => admin_users::admin_get_user,
    "AdminInitiateAuth" => auth::admin_initiate_auth,
    "AdminLinkProviderForUser" => linking::admin_link_provider_for_user,
    "AdminListGroupsForUser" => groups::admin_list_groups_for_user,
    "AdminListUserSessions" => sessions::admin_list_user_sessions,
    "AdminRemoveUserFromGroup" => groups::admin_remove_user_from_group,
    "AdminResetUserPassword" => admin_users::admin_reset_user_password,
    "AdminRespondToAuthChallenge" => auth::admin_respond_to_auth_challenge,
    "AdminRevokeUserSession" => sessions::admin_revoke_user_session,
    "AdminSetUserMFAPreference" => mfa::admin_set_user_mfa_preference,
    "AdminSetUserPassword" => admin_users::admin_set_user_password,
    "AdminSetUserSettings" => mfa::admin_set_user_settings,
    "AdminUpdateUserAttributes" => admin_users::admin_update_user_attributes,
    "AdminUserGlobalSignOut" => sessions::admin_user_global_sign_out,
    "AssociateSoftwareToken" => mfa::associate_software_token,
    "ChangePassword" => users::change_password,
    "ConfirmForgotPassword" => users::confirm_forgot_password,
    "ConfirmSignUp" => users::confirm_sign_up,
    "CreateGroup" => groups::create_group,
    "CreateIdentityProvider" => providers::create_identity_provider,
    "CreateResourceServer" => resource_servers::create_resource_server,
    "CreateUserPool" => pools::create_user_pool,
    "CreateUserPoolClient" => clients::create_user_pool_client,
    "CreateUserPoolDomain" => domains::create_user_pool_domain,
    "DeleteGroup" => groups::delete_group,
    "DeleteIdentityProvider" => providers::delete_identity_provider,
    "DeleteResourceServer" => resource_servers::delete_resource_server,
    "DeleteUser" => users::delete_user,
    "DeleteUserAttributes" => users::delete_user_attributes,
    "DeleteUserPool" => pools::delete_user_pool,
    "DeleteUserPoolClient" => clients::delete_user_pool_client,
    "DeleteUserPoolClientSecret" => secrets::delete_user_pool_client_secret,
    "DeleteUserPoolDomain" => domains::delete_user_pool_domain,
    "DescribeIdentityProvider" => providers::describe_identity_provider,
    "DescribeResourceServer" => resource_servers::describe_resource_server,
    "DescribeUserPool" => pools::describe_user_pool,
    "DescribeUserPoolClient" => clients::describe_user_pool_client,
    "DescribeUserPoolDomain" => domains::describe_user_pool_domain,
    "ForgotPassword" => users::forgot_password,
    "GetClientToken" => client_token::get_client_token,
    "GetGroup" => groups::get_group,
    "GetIdentityProviderByIdentifier" => providers::get_identity_provider_by_identifier,
    "GetSigningCertificate" => providers::get_signing_certificate,
    "GetTokensFromRefreshToken" => auth::get_tokens_from_refresh_token,
    "GetUICustomization" => ui_customization::get_ui_customization,
    "GetUser" => users::get_user,
    "GetUserAttributeVerificationCode" => users::get_user_attribute_verification_code,
    "GetUserPoolClientSessionConfiguration" => sessions::get_user_pool_client_session_configuration,
    "GetUserPoolMfaConfig" => mfa::get_user_pool_mfa_config,
    "GetUserPoolSessionConfiguration" => sessions::get_user_pool_session_configuration,
    "GlobalSignOut" => sessions::global_sign_out,
    "InitiateAuth" => auth::initiate_auth,
    "ListGroups" => groups::list_groups,
    "ListIdentityProviders" => providers::list_identity_providers,
    "ListResourceServers" => resource_servers::list_resource_servers,
    "ListTagsForResource" => tags::list_tags_for_resource,
    "ListUserPoolClientSecrets" => secrets::list_user_pool_client_secrets,
    "ListUserPoolClients" => clients::list_user_pool_clients,
    "ListUserPools" => pools::list_user_pools,
    "ListUserSessions" => sessions::list_user_sessions,
    "ListUsers" => list_users::list_users,
    "ListUsersInGroup" => groups::list_users_in_group,
    "ResendConfirmationCode" => users::resend_confirmation_code,
    "RespondToAuthChallenge" => auth::respond_to_auth_challenge,
    "RevokeToken" => sessions::revoke_token,
    "RevokeUserSession" => sessions::revoke_user_session,
    "SetUICustomization" => ui_customization::set_ui_customization,
    "SetUserMFAPreference" => mfa::set_user_mfa_preference,
    "SetUserPoolClientSessionConfiguration" => sessions::set_user_pool_client_session_configuration,
    "SetUserPoolMfaConfig" => mfa::set_user_pool_mfa_config,
    "SetUserPoolSessionConfiguration" => sessions::set_user_pool_session_configuration,
    "SetUserSettings" => mfa::set_user_settings,
    "SignUp" => users::sign_up,
    "TagResource" => tags::tag_resource,
    "UntagResource" => tags::untag_resource,
    "UpdateGroup" => groups::update_group,
    "UpdateIdentityProvider" => providers::update_identity_provider,
    "UpdateResourceServer" => resource_servers::update_resource_server,
    "UpdateUserAttributes" => users::update_user_attributes,
    "UpdateUserPool" => pools::update_user_pool,
    "UpdateUserPoolClient" => clients::update_user_pool_client,
    "UpdateUserPoolDomain" => domains::update_user_pool_domain,
    "VerifySoftwareToken" => mfa::verify_software_token,
    "VerifyUserAttribute" => users::verify_user_attribute,
}

/// An operation's answer where the model has none: an empty object.
#[derive(Serialize)]
pub struct Empty {}

/// Decodes, runs (again, if a guard lost a race), encodes.
async fn run<I, O, F>(cx: Cx, input: Value, operation: impl Fn(Cx, I) -> F) -> Result<String>
where
    I: DeserializeOwned + Clone,
    O: Serialize,
    F: Future<Output = Result<O>>,
{
    let input: I = serde_json::from_value(input)
        .map_err(|error| Error::new(Kind::Serialization, error.to_string()))?;
    let output = cx.retrying(|cx| operation(cx, input.clone())).await?;
    serde_json::to_string(&output).map_err(Error::internal)
}

fn unknown(name: &str) -> Error {
    let known = cenote_interface::operation(name).is_some();
    let message = if known {
        format!(
            "The operation {name} is not built in this version of Cenote; docs/compatibility.md lists those that are."
        )
    } else {
        format!(
            "{} is not an operation of Amazon Cognito user pools.",
            name.chars().take(128).collect::<String>()
        )
    };
    Error::new(Kind::UnknownOperation, message)
}
