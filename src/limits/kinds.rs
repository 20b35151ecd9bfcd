//! What is limited: Cognito's categories of operations (`cognito-behaviour`, 8.6), two of our own, and who asks. Every operation and
//! every endpoint of the pages and of OAuth has its category here.

macro_rules! limits {
    ($($limit:ident, $name:literal, $built_in:literal, $what:literal;)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Limit { $($limit),* }

        impl Limit {
            pub const ALL: [Limit; [$($name),*].len()] = [$(Limit::$limit),*];

            /// As in the settings and in metrics.
            pub fn name(self) -> &'static str { match self { $(Limit::$limit => $name),* } }

            /// What holds where the operator says nothing.
            pub fn built_in(self) -> u32 { match self { $(Limit::$limit => $built_in),* } }

            /// What it counts, for the reference.
            pub fn what(self) -> &'static str { match self { $(Limit::$limit => $what),* } }
        }
    };
}

limits! {
    // Categories, for each pool: ten times what an account of Cognito gets for all its pools.
    UserAuthentication, "UserAuthentication", 1_200, "sign-ins and refreshes, at every door; answers to challenges get three times as many of their own";
    ChallengeResponses, "ChallengeResponses", 3_600, "answers to challenges";
    UserCreation, "UserCreation", 500, "sign-ups, and users made by administrators";
    UserFederation, "UserFederation", 250, "sign-ins that come back from other identity providers";
    UserAccountRecovery, "UserAccountRecovery", 300, "forgotten, changed and reset passwords, and codes sent again";
    UserRead, "UserRead", 1_200, "GetUser, AdminGetUser, userInfo";
    UserUpdate, "UserUpdate", 250, "attributes, status, groups and global sign-outs of users";
    UserToken, "UserToken", 1_200, "revocation and introspection of tokens";
    UserResourceRead, "UserResourceRead", 500, "reading what belongs to a user: sessions, groups, devices";
    UserResourceUpdate, "UserResourceUpdate", 250, "changing what belongs to a user: sessions, second factors, devices, codes for addresses";
    UserList, "UserList", 300, "ListUsers, ListUsersInGroup";
    UserPoolRead, "UserPoolRead", 150, "reading pools";
    UserPoolUpdate, "UserPoolUpdate", 150, "making, changing and deleting pools";
    UserPoolResourceRead, "UserPoolResourceRead", 200, "reading what belongs to a pool: groups, domains, resource servers, settings";
    UserPoolResourceUpdate, "UserPoolResourceUpdate", 150, "changing what belongs to a pool";
    UserPoolClientRead, "UserPoolClientRead", 150, "reading app clients";
    UserPoolClientUpdate, "UserPoolClientUpdate", 150, "making, changing and deleting app clients";
    ClientAuthentication, "ClientAuthentication", 1_500, "tokens for clients themselves (client credentials)";
    // Categories that Cognito counts elsewhere.
    ManagedLogin, "ManagedLogin", 5_000, "hosted pages that are only shown, authorize and logout";
    Discovery, "Discovery", 50_000, "JWKS and discovery, for the whole server";
    Feed, "Feed", 20_000, "requests of the revocation feed: deltas, snapshots, streams that are opened";
    // Who asks.
    PerAddress, "per_address", 300, "all requests of one IPv4 address or one IPv6 network (/64), this machine and configured proxies excepted";
    PerAddressSignIn, "per_address_sign_in", 50, "of these, unsigned sign-ins, sign-ups and recoveries, which cost arithmetic or a message";
    PerClient, "per_client", 3_000, "unsigned requests that name one app client";
    PerUser, "per_user", 100, "requests of one category that concern one user, or one name that nobody has";
    PerConsumer, "per_consumer", 1_000, "requests of one consumer of a revocation feed; snapshots have no consumer's name, so those of one app client or certificate count together";
    MessagesPerAddress, "messages_per_address", 20, "in an hour: messages to one mail address or phone number that other people than administrators cause";
}

impl Limit {
    /// Whether the operator gives its number; one follows another.
    pub fn is_set(self) -> bool {
        self != Limit::ChallengeResponses
    }

    /// Whether a request of this category ends in signatures.
    pub fn signs(self) -> bool {
        matches!(
            self,
            Limit::UserAuthentication | Limit::ChallengeResponses | Limit::ClientAuthentication
        )
    }

    /// Whether anybody can make such a request again and again, at the cost of arithmetic or a message.
    pub fn is_costly(self) -> bool {
        matches!(self, Limit::UserAuthentication | Limit::UserCreation | Limit::UserAccountRecovery)
    }

    /// The category of an operation of the JSON door; `None` for what is no operation.
    pub fn of_operation(name: &str) -> Option<Limit> {
        Some(match name {
            "AdminInitiateAuth"
            | "GetDerivedToken"
            | "GetTokensFromRefreshToken"
            | "InitiateAuth" => Limit::UserAuthentication,
            "AdminRespondToAuthChallenge" | "RespondToAuthChallenge" => Limit::ChallengeResponses,
            "AdminConfirmSignUp" | "AdminCreateUser" | "ConfirmSignUp" | "SignUp" => {
                Limit::UserCreation
            }
            "AdminResetUserPassword"
            | "AdminSetUserPassword"
            | "ChangePassword"
            | "ConfirmForgotPassword"
            | "ForgotPassword"
            | "ResendConfirmationCode" => Limit::UserAccountRecovery,
            "AdminGetUser" | "AdminGetUserAuthFactors" | "GetUser" | "GetUserAuthFactors" => {
                Limit::UserRead
            }
            "AdminAddUserToGroup"
            | "AdminDeleteUser"
            | "AdminDeleteUserAttributes"
            | "AdminDisableProviderForUser"
            | "AdminDisableUser"
            | "AdminEnableUser"
            | "AdminLinkProviderForUser"
            | "AdminRemoveUserFromGroup"
            | "AdminUpdateUserAttributes"
            | "AdminUserGlobalSignOut"
            | "DeleteUser"
            | "DeleteUserAttributes"
            | "GlobalSignOut"
            | "UpdateUserAttributes"
            | "VerifyUserAttribute" => Limit::UserUpdate,
            "RevokeToken" => Limit::UserToken,
            "AdminGetDevice"
            | "AdminListDevices"
            | "AdminListGroupsForUser"
            | "AdminListUserAuthEvents"
            | "AdminListUserSessions"
            | "GetDevice"
            | "ListDevices"
            | "ListUserSessions"
            | "ListWebAuthnCredentials" => Limit::UserResourceRead,
            "AdminDeleteSoftwareToken"
            | "AdminForgetDevice"
            | "AdminRevokeUserSession"
            | "AdminSetUserMFAPreference"
            | "AdminSetUserSettings"
            | "AdminUpdateAuthEventFeedback"
            | "AdminUpdateDeviceStatus"
            | "AssociateSoftwareToken"
            | "CompleteWebAuthnRegistration"
            | "ConfirmDevice"
            | "DeleteWebAuthnCredential"
            | "ForgetDevice"
            | "GetUserAttributeVerificationCode"
            | "RevokeUserSession"
            | "SetUserMFAPreference"
            | "SetUserSettings"
            | "StartWebAuthnRegistration"
            | "UpdateAuthEventFeedback"
            | "UpdateDeviceStatus"
            | "VerifySoftwareToken" => Limit::UserResourceUpdate,
            "ListUsers" | "ListUsersInGroup" => Limit::UserList,
            "DescribeUserPool" | "ListUserPools" => Limit::UserPoolRead,
            "CreateUserPool" | "DeleteUserPool" | "UpdateUserPool" => Limit::UserPoolUpdate,
            "DescribeIdentityProvider"
            | "DescribeManagedLoginBranding"
            | "DescribeManagedLoginBrandingByClient"
            | "DescribeResourceServer"
            | "DescribeRiskConfiguration"
            | "DescribeTerms"
            | "DescribeTermsByClient"
            | "DescribeUserImportJob"
            | "DescribeUserPoolDomain"
            | "GetCSVHeader"
            | "GetGroup"
            | "GetIdentityProviderByIdentifier"
            | "GetLogDeliveryConfiguration"
            | "GetProvisionedLimit"
            | "GetSigningCertificate"
            | "GetUICustomization"
            | "GetUserPoolMfaConfig"
            | "GetUserPoolSessionConfiguration"
            | "ListGroups"
            | "ListIdentityProviders"
            | "ListResourceServers"
            | "ListTagsForResource"
            | "ListTerms"
            | "ListUserImportJobs"
            | "ListUserPoolReplicas" => Limit::UserPoolResourceRead,
            "AddCustomAttributes"
            | "CreateGroup"
            | "CreateIdentityProvider"
            | "CreateManagedLoginBranding"
            | "CreateResourceServer"
            | "CreateTerms"
            | "CreateUserImportJob"
            | "CreateUserPoolDomain"
            | "CreateUserPoolReplica"
            | "DeleteGroup"
            | "DeleteIdentityProvider"
            | "DeleteManagedLoginBranding"
            | "DeleteResourceServer"
            | "DeleteTerms"
            | "DeleteUserPoolDomain"
            | "DeleteUserPoolReplica"
            | "SetLogDeliveryConfiguration"
            | "SetRiskConfiguration"
            | "SetUICustomization"
            | "SetUserPoolMfaConfig"
            | "SetUserPoolSessionConfiguration"
            | "StartUserImportJob"
            | "StopUserImportJob"
            | "TagResource"
            | "UntagResource"
            | "UpdateGroup"
            | "UpdateIdentityProvider"
            | "UpdateManagedLoginBranding"
            | "UpdateProvisionedLimit"
            | "UpdateResourceServer"
            | "UpdateTerms"
            | "UpdateUserPoolDomain"
            | "UpdateUserPoolReplica" => Limit::UserPoolResourceUpdate,
            "DescribeUserPoolClient"
            | "GetUserPoolClientSessionConfiguration"
            | "ListUserPoolClientSecrets"
            | "ListUserPoolClients" => Limit::UserPoolClientRead,
            "AddUserPoolClientSecret"
            | "CreateUserPoolClient"
            | "DeleteUserPoolClient"
            | "DeleteUserPoolClientSecret"
            | "SetUserPoolClientSessionConfiguration"
            | "UpdateUserPoolClient" => Limit::UserPoolClientUpdate,
            "GetClientToken" => Limit::ClientAuthentication,
            _ => return None,
        })
    }

    /// The category of an endpoint, by its path without the pool; `None` for a path that is none.
    pub fn of_endpoint(path: &str, post: bool) -> Option<Limit> {
        // Of a logo's and a receipt's path only the beginning is ours; of a provider's, all but its name.
        let path = match path.strip_prefix("/federation/").and_then(|rest| rest.split_once('/')) {
            Some((_, "backchannel-logout")) => "/federation/backchannel-logout",
            Some((_, "frontchannel-logout")) => "/federation/frontchannel-logout",
            Some((_, "set")) => "/federation/set",
            _ if path.starts_with("/logo/") => "/logo",
            _ if path.starts_with("/sign-outs/") => "/sign-outs",
            _ => path,
        };
        let (_, get, form) = ENDPOINTS.iter().find(|(known, ..)| *known == path)?;
        Some(if post { *form } else { *get })
    }
}

/// Paths of the pages and of the OAuth endpoints: what they count as, and what a form that is posted there counts as.
pub const ENDPOINTS: &[(&str, Limit, Limit)] = &[
    ("/.well-known/jwks.json", Limit::Discovery, Limit::Discovery),
    ("/.well-known/openid-configuration", Limit::Discovery, Limit::Discovery),
    ("/.well-known/revocation-jwks.json", Limit::Discovery, Limit::Discovery),
    ("/authorize", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/challenge", Limit::ManagedLogin, Limit::ChallengeResponses),
    ("/confirmForgotPassword", Limit::ManagedLogin, Limit::UserAccountRecovery),
    ("/confirmUser", Limit::ManagedLogin, Limit::UserCreation),
    ("/error", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/federation/backchannel-logout", Limit::UserToken, Limit::UserToken),
    ("/federation/continue", Limit::UserFederation, Limit::UserFederation),
    ("/federation/frontchannel-logout", Limit::UserToken, Limit::UserToken),
    ("/federation/logout", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/federation/set", Limit::UserToken, Limit::UserToken),
    ("/forgotPassword", Limit::ManagedLogin, Limit::UserAccountRecovery),
    ("/global-token-revocation", Limit::UserToken, Limit::UserToken),
    ("/login", Limit::ManagedLogin, Limit::UserAuthentication),
    ("/logo", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/logout", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/oauth2/authorize", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/oauth2/idplogout", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/oauth2/idpresponse", Limit::UserFederation, Limit::UserFederation),
    ("/oauth2/introspect", Limit::UserToken, Limit::UserToken),
    ("/oauth2/revoke", Limit::UserToken, Limit::UserToken),
    // With client credentials it is ClientAuthentication.
    ("/oauth2/token", Limit::UserAuthentication, Limit::UserAuthentication),
    ("/oauth2/userInfo", Limit::UserRead, Limit::UserRead),
    ("/resendcode", Limit::ManagedLogin, Limit::UserAccountRecovery),
    ("/revocations/delta", Limit::Feed, Limit::Feed),
    ("/revocations/snapshot", Limit::Feed, Limit::Feed),
    ("/revocations/stream", Limit::Feed, Limit::Feed),
    ("/saml2/idpresponse", Limit::UserFederation, Limit::UserFederation),
    // What a provider ends counts as revoking a token does.
    ("/saml2/logout", Limit::ManagedLogin, Limit::UserToken),
    ("/saml2/metadata", Limit::ManagedLogin, Limit::ManagedLogin),
    ("/sign-outs", Limit::UserResourceRead, Limit::UserResourceRead),
    ("/signup", Limit::ManagedLogin, Limit::UserCreation),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_has_a_category() {
        assert_eq!(cenote_interface::operations().len(), 141);
        for operation in cenote_interface::operations() {
            assert!(Limit::of_operation(operation.name).is_some(), "{} has none", operation.name);
        }
        assert_eq!(Limit::of_operation("NoOperation"), None);
    }

    #[test]
    fn a_limit_is_found_under_its_own_number() {
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place, "{}", limit.name());
        }
    }
}
