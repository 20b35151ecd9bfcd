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

/// One thing that a policy asks of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Length(i64),
    Uppercase,
    Lowercase,
    Number,
    Symbol,
}

/// What the policy asks for, in the order in which it is checked.
pub fn rules(policy: &PasswordPolicyType) -> Vec<Rule> {
    let asks = |rule: Option<bool>| rule.unwrap_or(false);
    let mut rules = vec![Rule::Length(policy.minimum_length.unwrap_or(6))];
    rules.extend(asks(policy.require_uppercase).then_some(Rule::Uppercase));
    rules.extend(asks(policy.require_lowercase).then_some(Rule::Lowercase));
    rules.extend(asks(policy.require_numbers).then_some(Rule::Number));
    rules.extend(asks(policy.require_symbols).then_some(Rule::Symbol));
    rules
}

impl Rule {
    pub fn holds(self, password: &str) -> bool {
        match self {
            Rule::Length(least) => password.chars().count() as i64 >= least,
            Rule::Uppercase => password.chars().any(char::is_uppercase),
            Rule::Lowercase => password.chars().any(char::is_lowercase),
            Rule::Number => password.chars().any(|c| c.is_ascii_digit()),
            Rule::Symbol => password.chars().any(|c| SYMBOLS.contains(c)),
        }
    }

    fn broken(self) -> &'static str {
        match self {
            Rule::Length(_) => "Password not long enough",
            Rule::Uppercase => "Password must have uppercase characters",
            Rule::Lowercase => "Password must have lowercase characters",
            Rule::Number => "Password must have numeric characters",
            Rule::Symbol => "Password must have symbol characters",
        }
    }
}

fn check(policy: &PasswordPolicyType, password: &str, refusal: &str) -> Result<()> {
    let broken = if let Some(rule) = rules(policy).into_iter().find(|rule| !rule.holds(password)) {
        rule.broken()
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
