//! The one error of the house and the one table that says how each kind looks at each door:
//! Cognito's `__type`, the OAuth 2.0 code, the HTTP status. Doors write it; nobody else does.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that carries its wire form. `message` is shown to the caller and never holds a secret;
/// `cause` is logged with the request id and never serialised.
#[derive(Clone)]
pub struct Error {
    pub kind: Kind,
    pub message: Cow<'static, str>,
    cause: Option<Arc<str>>,
}

macro_rules! kinds {
    ($($kind:ident, $cognito:literal, $oauth:literal, $status:literal;)*) => {
        /// What went wrong, in Cognito's terms where Cognito has one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($kind),* }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$kind),*];

            /// The `__type` at the JSON door.
            pub fn cognito(self) -> &'static str { match self { $(Kind::$kind => $cognito),* } }

            /// The `error` at the OAuth endpoints (RFC 6749, section 5.2).
            pub fn oauth(self) -> &'static str { match self { $(Kind::$kind => $oauth),* } }

            /// The HTTP status at the JSON door.
            pub fn status(self) -> u16 { match self { $(Kind::$kind => $status),* } }
        }
    };
}

kinds! {
    // kind                   __type                                     OAuth code                 status
    AccessDenied,             "AccessDeniedException",                   "access_denied",           400;
    AliasExists,              "AliasExistsException",                    "invalid_request",         400;
    CodeDeliveryFailure,      "CodeDeliveryFailureException",            "server_error",            400;
    CodeMismatch,             "CodeMismatchException",                   "invalid_grant",           400;
    ConcurrentModification,   "ConcurrentModificationException",         "temporarily_unavailable", 400;
    DuplicateProvider,        "DuplicateProviderException",              "invalid_request",         400;
    EnableSoftwareTokenMfa,   "EnableSoftwareTokenMFAException",         "invalid_grant",           400;
    ExpiredCode,              "ExpiredCodeException",                    "invalid_grant",           400;
    Forbidden,                "ForbiddenException",                      "access_denied",           400;
    GroupExists,              "GroupExistsException",                    "invalid_request",         400;
    IncompleteSignature,      "IncompleteSignatureException",            "invalid_client",          400;
    Internal,                 "InternalErrorException",                  "server_error",            500;
    InvalidOAuthFlow,         "InvalidOAuthFlowException",               "invalid_request",         400;
    InvalidParameter,         "InvalidParameterException",               "invalid_request",         400;
    InvalidPassword,          "InvalidPasswordException",                "invalid_request",         400;
    InvalidSignature,         "InvalidSignatureException",               "invalid_client",          400;
    InvalidUserPoolConfiguration, "InvalidUserPoolConfigurationException", "invalid_request",       400;
    LimitExceeded,            "LimitExceededException",                  "temporarily_unavailable", 400;
    MfaMethodNotFound,        "MFAMethodNotFoundException",              "invalid_grant",           400;
    MissingAuthenticationToken, "MissingAuthenticationTokenException",   "invalid_client",          400;
    NotAuthorized,            "NotAuthorizedException",                  "invalid_grant",           400;
    OperationNotEnabled,      "OperationNotEnabledException",            "invalid_request",         400;
    PasswordHistoryPolicyViolation, "PasswordHistoryPolicyViolationException", "invalid_request",   400;
    PasswordResetRequired,    "PasswordResetRequiredException",          "invalid_grant",           400;
    RefreshTokenReuse,        "RefreshTokenReuseException",              "invalid_grant",           400;
    RequestEntityTooLarge,    "RequestEntityTooLargeException",          "invalid_request",         413;
    ResourceNotFound,         "ResourceNotFoundException",               "invalid_client",          400;
    ScopeDoesNotExist,        "ScopeDoesNotExistException",              "invalid_scope",           400;
    Serialization,            "SerializationException",                  "invalid_request",         400;
    ServiceUnavailable,       "ServiceUnavailableException",             "temporarily_unavailable", 503;
    SoftwareTokenMfaNotFound, "SoftwareTokenMFANotFoundException",       "invalid_grant",           400;
    TooManyFailedAttempts,    "TooManyFailedAttemptsException",          "temporarily_unavailable", 400;
    TooManyRequests,          "TooManyRequestsException",                "temporarily_unavailable", 400;
    Unauthorized,             "UnauthorizedException",                   "invalid_client",          400;
    UnexpectedLambda,         "UnexpectedLambdaException",               "server_error",            400;
    UnknownOperation,         "UnknownOperationException",               "invalid_request",         400;
    UnrecognizedClient,       "UnrecognizedClientException",             "invalid_client",          400;
    UnsupportedOperation,     "UnsupportedOperationException",           "invalid_request",         400;
    UnsupportedTokenType,     "UnsupportedTokenTypeException",           "unsupported_token_type",  400;
    UnsupportedUserState,     "UnsupportedUserStateException",           "invalid_request",         400;
    UserNotConfirmed,         "UserNotConfirmedException",               "invalid_grant",           400;
    UserNotFound,             "UserNotFoundException",                   "invalid_grant",           400;
    UsernameExists,           "UsernameExistsException",                 "invalid_request",         400;
    // Internal to the house: a guard lost a race; the operation is run again, at most three times.
    Conflict,                 "TooManyRequestsException",                "temporarily_unavailable", 400;
    // Codes that only the OAuth endpoints use.
    OauthInvalidClient,       "NotAuthorizedException",                  "invalid_client",          401;
    OauthInvalidGrant,        "NotAuthorizedException",                  "invalid_grant",           400;
    OauthInvalidRequest,      "InvalidParameterException",               "invalid_request",         400;
    OauthInvalidScope,        "InvalidParameterException",               "invalid_scope",           400;
    OauthInvalidTarget,       "InvalidParameterException",               "invalid_target",          400;
    OauthUnauthorizedClient,  "InvalidParameterException",               "unauthorized_client",     400;
    OauthUnsupportedGrantType, "InvalidParameterException",              "unsupported_grant_type",  400;
    OauthUnsupportedResponseType, "InvalidParameterException",           "unsupported_response_type", 400;
    OauthLoginRequired,       "NotAuthorizedException",                  "login_required",          400;
}

impl Error {
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Error {
        Error { kind, message: message.into(), cause: None }
    }

    /// The same error, remembering for the log what caused it.
    pub fn because(mut self, cause: impl fmt::Display) -> Error {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Something that should not happen. The caller learns nothing but that; the log has the cause.
    pub fn internal(cause: impl fmt::Display) -> Error {
        Error::new(
            Kind::Internal,
            "An internal error occurred. The server's log has the cause under this request id.",
        )
        .because(cause)
    }

    /// The database did not answer, or its answer is unknown. Nothing is retried here; clients retry a 503.
    pub fn unavailable(cause: impl fmt::Display) -> Error {
        Error::new(
            Kind::ServiceUnavailable,
            "The service is temporarily unavailable. Try again shortly.",
        )
        .because(cause)
    }

    /// A guard lost a race; see `Kind::Conflict`.
    pub fn conflict() -> Error {
        Error::new(Kind::Conflict, "Too many concurrent changes. Try again shortly.")
    }

    pub fn invalid(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(Kind::InvalidParameter, message)
    }

    pub fn not_authorized(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(Kind::NotAuthorized, message)
    }

    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(Kind::ResourceNotFound, message)
    }

    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    pub fn is_conflict(&self) -> bool {
        self.kind == Kind::Conflict
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.cognito(), self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.message)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}
