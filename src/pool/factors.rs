//! Second factors: which there are, which a pool offers, which a user has, and which of them a sign-in must ask for. Pure.

use serde::{Deserialize, Serialize};

use super::{Pool, User};

/// A second factor by Cognito's name of its challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Factor {
    #[serde(rename = "SMS_MFA")]
    Sms,
    #[serde(rename = "SOFTWARE_TOKEN_MFA")]
    SoftwareToken,
    #[serde(rename = "EMAIL_OTP")]
    Email,
}

impl Factor {
    /// In the order in which users are offered them.
    pub const ALL: [Factor; 3] = [Factor::Sms, Factor::SoftwareToken, Factor::Email];

    pub fn as_str(self) -> &'static str {
        match self {
            Factor::Sms => "SMS_MFA",
            Factor::SoftwareToken => "SOFTWARE_TOKEN_MFA",
            Factor::Email => "EMAIL_OTP",
        }
    }

    /// Cognito's guide calls EMAIL_OTP also EMAIL_MFA.
    pub fn parse(text: &str) -> Option<Factor> {
        let text = if text == "EMAIL_MFA" { "EMAIL_OTP" } else { text };
        Factor::ALL.into_iter().find(|factor| factor.as_str() == text)
    }

    /// The attribute whose address gets the codes of this factor.
    pub fn attribute(self) -> Option<&'static str> {
        match self {
            Factor::Sms => Some("phone_number"),
            Factor::Email => Some("email"),
            Factor::SoftwareToken => None,
        }
    }
}

/// The factors of one user.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Factors {
    /// UserMFASettingList.
    pub enabled: Vec<Factor>,
    /// PreferredMfaSetting.
    pub preferred: Option<Factor>,
    /// Whether a software token is verified. Its secret is in a row of its own, which changes in the same batches.
    pub token: bool,
}

impl Factors {
    pub fn is_empty(&self) -> bool {
        *self == Factors::default()
    }

    pub fn enable(&mut self, factor: Factor) {
        if !self.enabled.contains(&factor) {
            self.enabled.push(factor);
        }
    }

    /// What is off is not preferred.
    pub fn disable(&mut self, factor: Factor) {
        self.enabled.retain(|enabled| *enabled != factor);
        if self.preferred == Some(factor) {
            self.preferred = None;
        }
    }
}

/// MfaConfiguration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Off,
    /// Who has a factor is asked for it.
    Optional,
    /// Nobody signs in without one.
    On,
}

impl Pool {
    pub fn mfa_mode(&self) -> Mode {
        match self.model().mfa_configuration.as_deref() {
            Some("ON") => Mode::On,
            Some("OPTIONAL") => Mode::Optional,
            _ => Mode::Off,
        }
    }

    /// Whether users may begin to use this factor. CreateUserPool knows text messages alone: its MfaConfiguration with an
    /// SmsConfiguration offers them, until SetUserPoolMfaConfig says more.
    pub fn offers(&self, factor: Factor) -> bool {
        let mfa = &self.doc.mfa;
        let token = mfa
            .software_token_mfa_configuration
            .as_ref()
            .is_some_and(|token| token.enabled.unwrap_or(false));
        let email = mfa.email_mfa_configuration.is_some();
        match factor {
            Factor::SoftwareToken => token,
            Factor::Email => email,
            Factor::Sms => {
                mfa.sms_mfa_configuration.is_some()
                    || (!token && !email && self.model().sms_configuration.is_some())
            }
        }
    }
}

/// What a sign-in asks for after the password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    Nothing,
    One(Factor),
    /// Several, none of them preferred.
    Which(Vec<Factor>),
    /// The user has none and must set up one of these; of none, where the pool offers nothing that can be set up so.
    SetUp(Vec<Factor>),
    /// The user has activated factors, and none of them works any more.
    Unusable,
}

pub fn asked(pool: &Pool, user: &User) -> Asked {
    let factors = &user.doc.factors;
    let mode = pool.mfa_mode();
    let usable = usable(pool, user);
    match (usable.as_slice(), mode) {
        (_, Mode::Off) => Asked::Nothing,
        // A factor that was asked for is never skipped, nor replaced by one that whoever knows the password sets up.
        ([], _) if !factors.enabled.is_empty() => Asked::Unusable,
        ([], Mode::Optional) => Asked::Nothing,
        ([], Mode::On) => Asked::SetUp(can_set_up(pool, user)),
        ([one], _) => Asked::One(*one),
        (several, _) => match factors.preferred.filter(|factor| several.contains(factor)) {
            Some(preferred) => Asked::One(preferred),
            None => Asked::Which(usable),
        },
    }
}

/// The factors that this user can answer with: those that were activated, whether or not the pool still offers them. Where a
/// factor is required and none of them works, a verified token; where none was activated, the addresses.
pub fn usable(pool: &Pool, user: &User) -> Vec<Factor> {
    let factors = &user.doc.factors;
    let activated: Vec<Factor> = Factor::ALL
        .into_iter()
        .filter(|factor| factors.enabled.contains(factor) && has(user, *factor))
        .collect();
    match pool.mfa_mode() {
        Mode::Off => Vec::new(),
        Mode::On if activated.is_empty() && factors.token => vec![Factor::SoftwareToken],
        Mode::On if factors.enabled.is_empty() => addresses(pool, user),
        Mode::On | Mode::Optional => activated,
    }
}

/// The addresses that the pool offers to use. Beside one that was proved, one that anybody may have written there does not count.
fn addresses(pool: &Pool, user: &User) -> Vec<Factor> {
    let all = Factor::ALL.into_iter().filter(|one| pool.offers(*one) && has(user, *one));
    let proved = |one: &Factor| one.attribute().is_some_and(|name| user.doc.is_verified(name));
    let (proved, unproved): (Vec<_>, Vec<_>) = all.partition(proved);
    if proved.is_empty() { unproved } else { proved }
}

/// Whether the codes of the user's second factor go to this attribute: whoever reads them needs nothing else for a new password.
pub fn go_to(pool: &Pool, user: &User, attribute: &str) -> bool {
    let usable = usable(pool, user);
    let is_asked = |factor: &Factor| {
        pool.mfa_mode() != Mode::Off && user.doc.factors.enabled.contains(factor)
            || usable.contains(factor)
    };
    Factor::ALL.iter().any(|factor| factor.attribute() == Some(attribute) && is_asked(factor))
}

/// The address that a user may not change before the second factor is proved: whoever knows the password alone would choose where
/// its codes go. Who has no factor yet may name one.
pub fn moved(pool: &Pool, old: &User, new: &User) -> Option<&'static str> {
    let (before, after) = (usable(pool, old), usable(pool, new));
    if before.is_empty() && old.doc.factors.enabled.is_empty() {
        return None;
    }
    let asked = Factor::ALL.iter().filter(|one| before.contains(one) || after.contains(one));
    asked
        .filter_map(|factor| factor.attribute())
        .find(|attribute| old.doc.get(attribute) != new.doc.get(attribute))
}

fn has(user: &User, factor: Factor) -> bool {
    match factor.attribute() {
        Some(attribute) => user.doc.get(attribute).is_some_and(|value| !value.is_empty()),
        None => user.doc.factors.token,
    }
}

/// In the middle of a sign-in a user can set up a token, or an email address if there is none.
fn can_set_up(pool: &Pool, user: &User) -> Vec<Factor> {
    [Factor::SoftwareToken, Factor::Email]
        .into_iter()
        .filter(|factor| pool.offers(*factor) && !has(user, *factor))
        .collect()
}
