//! Whether a user exists is told only where the app client asks for that (PreventUserExistenceErrors LEGACY). Elsewhere a name that
//! nobody has gets an invented user, always the same for that name: with a `sub` under which codes, guesses and allowances
//! are kept as for anybody, and an address that looks like one. So the answers and the work are the same.

use super::{Via, address};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::notify::{self, Address};
use crate::pool::{User, attributes, names};
use crate::store::users;

/// Whom a name means.
pub struct Named {
    pub user: Option<User>,
    /// The user's, or an invented one.
    pub sub: String,
}

/// Finds whom a name means. A name that nobody has is an error only where the client may learn that; there, a disabled user
/// is named as such, too.
pub async fn find(cx: &Cx, via: Via<'_>, name: &str) -> Result<Named> {
    let user = users::by_login(cx.db(), via.pool, name).await?;
    let invented = invented_sub(cx, via, name);
    if via.client.hides_user_existence() {
        let user = user.filter(|user| user.enabled);
        let sub = user.as_ref().map_or(invented, |user| user.sub.clone());
        return Ok(Named { user, sub });
    }
    let missing = || Error::new(Kind::UserNotFound, "Username/client id combination not found.");
    let user = user.ok_or_else(missing)?;
    if !user.enabled {
        return Err(Error::not_authorized("User is disabled."));
    }
    Ok(Named { sub: user.sub.clone(), user: Some(user) })
}

/// An address for a user who does not exist or has none: the name itself if it is an address, else one made up, of the kind that
/// the pool would write to.
pub fn invented_address(cx: &Cx, via: Via<'_>, name: &str, order: &[&'static str]) -> Address {
    if attributes::is_email(name) {
        return Address { attribute: "email", value: names::fold(via.pool, name) };
    }
    // Like a real user's code, it goes where this server can send to.
    let sendable = |attribute: &'static str| {
        notify::can_send(cx, &Address { attribute, value: String::new() })
    };
    let by_mail = order.contains(&"email") && sendable("email");
    if attributes::is_phone(name) && (sendable("phone_number") || !by_mail) {
        return Address { attribute: "phone_number", value: name.to_owned() };
    }
    let mac =
        cx.app.vault.mac(&via.pool.id, "invented address", names::fold(via.pool, name).as_bytes());
    let mut letters = mac.iter().map(|byte| char::from(b'a' + byte % 26));
    let verifies = |attribute: &&'static str| via.pool.auto_verifies(attribute);
    let verified = order
        .iter()
        .copied()
        .filter(verifies)
        .find(|attribute| sendable(attribute))
        .or_else(|| order.iter().copied().find(|attribute| sendable(attribute)))
        .or_else(|| order.iter().copied().find(verifies));
    match verified
        .or(address::attribute("email").filter(|email| order.contains(email)))
        .unwrap_or("phone_number")
    {
        "phone_number" => {
            let digits: String =
                mac.iter().take(10).map(|byte| char::from(b'0' + byte % 10)).collect();
            Address { attribute: "phone_number", value: format!("+1{digits}") }
        }
        _ => {
            let (local, domain) = (letters.next().unwrap_or('a'), letters.next().unwrap_or('e'));
            Address { attribute: "email", value: format!("{local}@{domain}.invalid") }
        }
    }
}

fn invented_sub(cx: &Cx, via: Via<'_>, name: &str) -> String {
    let mac =
        cx.app.vault.mac(&via.pool.id, "invented sub", names::fold(via.pool, name).as_bytes());
    let hex: String = mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("unknown:{hex}")
}
