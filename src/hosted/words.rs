//! What errors are called to users' faces: the one table from an error of the house to a text of theirs.

use super::texts::Texts;
use crate::error::{Error, Kind};

/// An error in the visitor's language.
pub fn say(texts: &Texts, error: &Error) -> String {
    texts.say(key(error), &[])
}

/// Kinds first; where Cognito gives several refusals one kind, its message tells them apart.
/// The key of its text.
pub fn key(error: &Error) -> &'static str {
    let says = |text: &str| error.message.contains(text);
    match error.kind {
        Kind::NotAuthorized if says("attempts exceeded") => "error_locked",
        Kind::NotAuthorized if says("is disabled") => "error_disabled",
        Kind::NotAuthorized if says("Temporary password has expired") => "error_temporary_expired",
        Kind::NotAuthorized if says("Incorrect username") => "error_credentials",
        Kind::NotAuthorized if says("unauthorized attribute") => "error_not_writable",
        Kind::NotAuthorized if says("SignUp is not permitted") => "error_no_sign_up",
        Kind::NotAuthorized if says("Contact administrator") => "error_admin_only",
        Kind::NotAuthorized if says("cannot be reset") => "error_no_reset",
        Kind::NotAuthorized if says("cannot be confirmed") => "error_confirmed_already",
        Kind::UserNotFound => "error_no_user",
        Kind::UserNotConfirmed => "error_not_confirmed",
        Kind::PasswordResetRequired => "error_reset_required",
        Kind::UsernameExists if says("given email") => "error_email_taken",
        Kind::UsernameExists if says("given phone_number") => "error_phone_taken",
        Kind::UsernameExists => "error_name_taken",
        Kind::AliasExists if says("email") => "error_email_taken",
        Kind::AliasExists if says("phone_number") => "error_phone_taken",
        Kind::AliasExists => "error_name_taken",
        Kind::CodeMismatch | Kind::EnableSoftwareTokenMfa => "error_code",
        Kind::MfaMethodNotFound => "error_no_factor",
        Kind::ExpiredCode if says("already been used") => "error_code_used",
        Kind::ExpiredCode => "error_code_expired",
        Kind::CodeDeliveryFailure => "error_delivery",
        Kind::LimitExceeded | Kind::TooManyFailedAttempts => "error_limit",
        Kind::TooManyRequests | Kind::Conflict => "error_busy",
        Kind::ServiceUnavailable => "error_unavailable",
        Kind::PasswordHistoryPolicyViolation => "error_password_history",
        Kind::InvalidPassword if says("begin or end with a space") => "error_password_space",
        Kind::InvalidPassword if says("control characters") => "error_characters",
        Kind::InvalidPassword if says("too long") => "error_password_long",
        Kind::InvalidPassword => "error_password_policy",
        Kind::InvalidParameter if says("Username must have") => "error_name_characters",
        Kind::InvalidParameter if says("Invalid email") => "error_email",
        Kind::InvalidParameter if says("Invalid phone") => "error_phone",
        Kind::InvalidParameter if says("either an email or a phone") => "error_email_or_phone",
        Kind::InvalidParameter if says("should be an email") => "error_email",
        Kind::InvalidParameter if says("should be a phone") => "error_phone",
        Kind::InvalidParameter if says("of email format") => "error_name_is_email",
        Kind::InvalidParameter if says("of phone number format") => "error_name_is_phone",
        Kind::InvalidParameter if says("no registered/verified email") => "error_no_address",
        Kind::InvalidParameter if says("already confirmed") => "error_confirmed_already",
        Kind::InvalidParameter if says("Auto verification") => "error_no_verification",
        Kind::InvalidParameter => "error_value",
        _ => "error_other",
    }
}
