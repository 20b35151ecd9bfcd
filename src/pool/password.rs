//! The password policy, in Cognito's words.

use cenote_interface::types::PasswordPolicyType;

use crate::error::{Error, Kind, Result};

/// The characters that count as symbols (`cognito-behaviour`, 8.4). A space counts inside a password.
const SYMBOLS: &str = "^$*.[]{}()?\"!@#%&/\\,><':;|_~`=+-";

/// Refuses a password that does not conform, naming the first rule that it breaks.
pub fn conforms(policy: &PasswordPolicyType, password: &str) -> Result<()> {
    check(policy, password, "Password did not conform with policy")
}

/// The same at ConfirmForgotPassword and at NEW_PASSWORD_REQUIRED, where Cognito words it otherwise.
pub fn conforms_at_reset(policy: &PasswordPolicyType, password: &str) -> Result<()> {
    check(policy, password, "Password does not conform to policy")
}

fn check(policy: &PasswordPolicyType, password: &str, refusal: &str) -> Result<()> {
    let short = (password.chars().count() as i64) < policy.minimum_length.unwrap_or(6);
    let lacks = |rule: Option<bool>, test: fn(char) -> bool| {
        rule.unwrap_or(false) && !password.chars().any(test)
    };

    let broken = if short {
        "Password not long enough"
    } else if lacks(policy.require_uppercase, |c| c.is_uppercase()) {
        "Password must have uppercase characters"
    } else if lacks(policy.require_lowercase, |c| c.is_lowercase()) {
        "Password must have lowercase characters"
    } else if lacks(policy.require_numbers, |c| c.is_ascii_digit()) {
        "Password must have numeric characters"
    } else if lacks(policy.require_symbols, |c| SYMBOLS.contains(c)) {
        "Password must have symbol characters"
    } else if password.chars().count() > 256 {
        "Password too long"
    } else if password.starts_with(char::is_whitespace) || password.ends_with(char::is_whitespace) {
        "Password must not begin or end with a space"
    } else if password.chars().any(char::is_control) {
        "Password must not have control characters"
    } else {
        return Ok(());
    };
    Err(Error::new(Kind::InvalidPassword, format!("{refusal}: {broken}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::realm::default_password_policy;

    #[test]
    fn each_rule_is_named_in_cognitos_words() {
        let policy = default_password_policy();
        let refusal =
            |password| conforms(&policy, password).map_err(|error| error.message.to_string());
        assert_eq!(
            refusal("Ab1!"),
            Err("Password did not conform with policy: Password not long enough".into())
        );
        assert_eq!(
            refusal("abcdefg1!"),
            Err("Password did not conform with policy: Password must have uppercase characters"
                .into())
        );
        assert_eq!(
            refusal("ABCDEFG1!"),
            Err("Password did not conform with policy: Password must have lowercase characters"
                .into())
        );
        assert_eq!(
            refusal("Abcdefgh!"),
            Err("Password did not conform with policy: Password must have numeric characters"
                .into())
        );
        assert_eq!(
            refusal("Abcdefgh1"),
            Err("Password did not conform with policy: Password must have symbol characters".into())
        );
        assert_eq!(refusal("Abcdefg1!"), Ok(()));
    }
}
