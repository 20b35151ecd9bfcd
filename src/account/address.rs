//! Which address a code goes to. Pure.

use crate::error::{Error, Result};
use crate::notify::Address;
use crate::pool::{Pool, User, factors};

/// The two attributes that codes are sent to, in Cognito's order of preference.
pub const ATTRIBUTES: [&str; 2] = ["phone_number", "email"];

/// `email` or `phone_number`; nothing else can be verified.
pub fn attribute(name: &str) -> Option<&'static str> {
    ATTRIBUTES.into_iter().find(|attribute| *attribute == name)
}

/// All addresses of a user.
pub fn all(user: &User) -> Vec<Address> {
    ATTRIBUTES.into_iter().filter_map(|attribute| of(user, attribute)).collect()
}

/// Whether this is what is shown of an address (`Address::masked`).
pub fn is_mask_of(masked: Option<&str>, address: &str) -> bool {
    ATTRIBUTES.into_iter().any(|attribute| {
        masked == Some(&*Address { attribute, value: address.to_owned() }.masked())
    })
}

pub fn of(user: &User, attribute: &'static str) -> Option<Address> {
    let value = user.doc.get(attribute).filter(|value| !value.is_empty())?;
    Some(Address { attribute, value: value.to_owned() })
}

/// Where a sign-up is confirmed: among the AutoVerifiedAttributes that the user has, the phone number first.
pub fn for_sign_up(
    pool: &Pool,
    user: &User,
    can_send: impl Fn(&Address) -> bool,
) -> Option<Address> {
    let verified = ATTRIBUTES.into_iter().filter(|attribute| pool.auto_verifies(attribute));
    let has: Vec<Address> = verified.filter_map(|attribute| of(user, attribute)).collect();
    has.iter().find(|to| can_send(to)).or_else(|| has.first()).cloned()
}

/// Where a forgotten password is got back: the first verified address in the order of AccountRecoverySetting.
/// Where nothing can be sent over the first one's channel, the next is as good; if over none, the first, so that the error says so.
/// Never one that also gets the codes of the user's second factor: whoever reads it would need nothing else.
pub fn for_recovery(
    pool: &Pool,
    user: &User,
    can_send: impl Fn(&Address) -> bool,
) -> Result<Address> {
    let order = recovery_order(pool)?.into_iter();
    let verified: Vec<Address> = order
        .filter(|attribute| {
            user.doc.is_verified(attribute) && !factors::go_to(pool, user, attribute)
        })
        .filter_map(|attribute| of(user, attribute))
        .collect();
    let found = verified.iter().find(|to| can_send(to)).or_else(|| verified.first());
    found.cloned().ok_or_else(no_address)
}

/// `verified_phone_number`, then `verified_email`, where the pool says nothing.
pub fn recovery_order(pool: &Pool) -> Result<Vec<&'static str>> {
    let setting = pool.model().account_recovery_setting.as_ref();
    let mut mechanisms =
        setting.and_then(|setting| setting.recovery_mechanisms.clone()).unwrap_or_default();
    if mechanisms.is_empty() {
        return Ok(ATTRIBUTES.to_vec());
    }
    mechanisms.sort_by_key(|mechanism| mechanism.priority);
    if mechanisms.iter().any(|mechanism| mechanism.name == "admin_only") {
        return Err(Error::not_authorized("Contact administrator to reset password."));
    }
    Ok(mechanisms
        .iter()
        .filter_map(|mechanism| attribute(mechanism.name.strip_prefix("verified_")?))
        .collect())
}

pub fn no_address() -> Error {
    Error::invalid(
        "Cannot reset password for the user as there is no registered/verified email or phone_number",
    )
}
