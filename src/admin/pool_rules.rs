//! What a pool's settings may say together, and what they are where nobody said anything
//! (CreateUserPool, UpdateUserPool; the limits of single members are in the interface).

use cenote_interface::types::{
    EmailConfigurationType, PasswordPolicyType, SignInPolicyType, UserPoolPolicyType, UserPoolType,
};

use crate::error::{Error, Result};
use crate::pool::realm::default_password_policy;

/// AWS allows as many tags on a resource.
pub const MAX_TAGS: usize = 50;

pub fn check_sign_in_names(model: &UserPoolType) -> Result<()> {
    let given = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    if given(&model.alias_attributes) && given(&model.username_attributes) {
        return Err(Error::invalid(
            "Only one of the aliasAttributes or usernameAttributes can be set in a user pool.",
        ));
    }
    Ok(())
}

/// Refuses what contradicts itself and gives every member that Cognito always answers its default.
pub fn complete(model: &mut UserPoolType) -> Result<()> {
    let text = |text: &str| text.to_owned();
    passwords(model)?;
    triggers(model)?;
    levels(model)?;
    check_tags(model)?;
    verification_messages(model);
    model.deletion_protection.get_or_insert_with(|| text("INACTIVE"));
    model.mfa_configuration.get_or_insert_with(|| text("OFF"));
    model.user_pool_tier.get_or_insert_with(|| text("ESSENTIALS"));
    model.lambda_config.get_or_insert_default();
    model.user_pool_tags.get_or_insert_default();
    let EmailConfigurationType { email_sending_account, .. } =
        model.email_configuration.get_or_insert_default();
    email_sending_account.get_or_insert_with(|| text("COGNITO_DEFAULT"));
    Ok(())
}

pub fn check_tags(model: &UserPoolType) -> Result<()> {
    let Some(tags) = &model.user_pool_tags else { return Ok(()) };
    if tags.len() > MAX_TAGS {
        return Err(Error::invalid(format!("A user pool can have at most {MAX_TAGS} tags.")));
    }
    match tags.keys().find(|key| key.to_lowercase().starts_with("aws:")) {
        Some(key) => Err(Error::invalid(format!(
            "The tag key {key} begins with aws:, which is reserved for system use."
        ))),
        None => Ok(()),
    }
}

/// The policy, and the two members that say how long a temporary password works: they mean the same and stay equal.
fn passwords(model: &mut UserPoolType) -> Result<()> {
    let UserPoolPolicyType { password_policy, sign_in_policy } =
        model.policies.get_or_insert_default();
    sign_in_policy.get_or_insert_with(|| SignInPolicyType {
        allowed_first_auth_factors: Some(vec!["PASSWORD".to_owned()]),
    });

    let invitations = model.admin_create_user_config.get_or_insert_default();
    invitations.allow_admin_create_user_only.get_or_insert(false);
    let in_policy =
        password_policy.as_ref().and_then(|policy| policy.temporary_password_validity_days);
    let days = match (in_policy, invitations.unused_account_validity_days) {
        (Some(policy), Some(unused)) if policy != unused => {
            return Err(Error::invalid(
                "Please use TemporaryPasswordValidityDays in PasswordPolicy instead of UnusedAccountValidityDays",
            ));
        }
        (policy, unused) => policy.or(unused).unwrap_or(7),
    };
    invitations.unused_account_validity_days = Some(days);

    let defaults = default_password_policy();
    let policy = password_policy.get_or_insert_with(|| defaults.clone());
    // A policy that is given asks for what it names and nothing else.
    *policy = PasswordPolicyType {
        minimum_length: policy.minimum_length.or(defaults.minimum_length),
        require_uppercase: Some(policy.require_uppercase.unwrap_or(false)),
        require_lowercase: Some(policy.require_lowercase.unwrap_or(false)),
        require_numbers: Some(policy.require_numbers.unwrap_or(false)),
        require_symbols: Some(policy.require_symbols.unwrap_or(false)),
        password_history_size: policy.password_history_size,
        temporary_password_validity_days: Some(days),
    };
    Ok(())
}

/// PreTokenGeneration is the older name of the first version of PreTokenGenerationConfig.
fn triggers(model: &UserPoolType) -> Result<()> {
    let Some(lambda) = &model.lambda_config else { return Ok(()) };
    match (&lambda.pre_token_generation, &lambda.pre_token_generation_config) {
        (Some(arn), Some(config)) if *arn != config.lambda_arn => Err(Error::invalid(
            "PreTokenGeneration and PreTokenGenerationConfig must have the same ARN if both are set.",
        )),
        _ => Ok(()),
    }
}

fn levels(model: &UserPoolType) -> Result<()> {
    let mut seen = Vec::new();
    for level in model.acr_configuration.iter().flat_map(|levels| levels.values()) {
        if seen.contains(&&level.acr_value) {
            return Err(Error::invalid(format!(
                "AcrConfiguration names the value {} twice; values must be unique.",
                level.acr_value
            )));
        }
        seen.push(&level.acr_value);
    }
    Ok(())
}

/// Three messages have two names each. Where one is given, both answer it; where both are, each keeps its own.
fn verification_messages(model: &mut UserPoolType) {
    let template = model.verification_message_template.get_or_insert_default();
    template.default_email_option.get_or_insert_with(|| "CONFIRM_WITH_CODE".to_owned());
    for (old, new) in [
        (&mut model.sms_verification_message, &mut template.sms_message),
        (&mut model.email_verification_message, &mut template.email_message),
        (&mut model.email_verification_subject, &mut template.email_subject),
    ] {
        match (&old, &new) {
            (Some(text), None) => *new = Some(text.clone()),
            (None, Some(text)) => *old = Some(text.clone()),
            _ => {}
        }
    }
}
