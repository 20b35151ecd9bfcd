//! The names of what access keys allow: Cognito's signed operations as `cognito-idp:..`, our own as `cenote:..`.

use crate::error::{Error, Result};

/// The prefix of Cognito's operations, which may be left out where an operator writes an action.
pub const COGNITO: &str = "cognito-idp:";

/// What Cognito has no words for, sorted.
pub const OWN: &[&str] = &[
    "cenote:CreateStream",
    "cenote:CreateTokenRevocation",
    "cenote:CreateWebhook",
    "cenote:DeleteStream",
    "cenote:DeleteTokenRevocation",
    "cenote:DeleteWebhook",
    "cenote:GetClient",
    "cenote:GetDelivery",
    "cenote:GetPool",
    "cenote:GetSignOut",
    "cenote:GetStream",
    "cenote:GetTokenRevocation",
    "cenote:GetWebhook",
    "cenote:ListDeliveries",
    "cenote:ListStreams",
    "cenote:ListTokenRevocations",
    "cenote:ListWebhooks",
    "cenote:PatchClient",
    "cenote:PatchPool",
    "cenote:PatchStream",
    "cenote:PatchTokenRevocation",
    "cenote:PatchWebhook",
    "cenote:ReplayDelivery",
    "cenote:RevokeClientTokens",
    "cenote:RevokeSigningKey",
    "cenote:SignOutAll",
];

/// An action as a grant keeps it, from what an operator wrote. What matches no action is refused: it would be a permission that
/// silently is none.
pub fn pattern(given: &str) -> Result<String> {
    let pattern = match given {
        "*" => given.to_owned(),
        _ if given.contains(':') => given.to_owned(),
        _ => format!("{COGNITO}{given}"),
    };
    let mut signed = cenote_interface::operations().iter().filter(|operation| !operation.unsigned);
    if OWN.iter().any(|action| matches(&pattern, action))
        || signed.any(|operation| matches(&pattern, &format!("{COGNITO}{}", operation.name)))
    {
        return Ok(pattern);
    }
    let name = pattern.strip_prefix(COGNITO).unwrap_or(given);
    let own = OWN.iter().find(|action| action.strip_prefix("cenote:") == Some(name));
    Err(Error::invalid(match (cenote_interface::operation(name), own) {
        (Some(operation), _) => format!(
            "{} needs no access key: its caller proves itself by a token, a session or a password.",
            operation.name
        ),
        (None, Some(action)) => format!("{given:?} is an action of Cenote's own: write {action}."),
        (None, None) => format!(
            "{given:?} matches no operation that access keys sign. Write cognito-idp:AdminGetUser, cognito-idp:Admin*, cenote:* or *; \
             Cenote's own actions are {}.",
            OWN.join(", ")
        ),
    }))
}

/// A `*` at the end stands for anything; elsewhere it means nothing.
pub fn matches(pattern: &str, action: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => action.starts_with(beginning),
        None => action == pattern,
    }
}
