//! A user's second factors outside a sign-in: setting up a software token with an access token, deleting it, and which factors are
//! activated and preferred. None of it ends a session, as in Cognito; all of it is audited.

use zeroize::Zeroizing;

use super::attributes::By;
use crate::audit;
use crate::auth::software_token;
use crate::auth::totp::Secret;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Factor, Pool, User};
use crate::store::{factors, users};
use crate::tokens::verify::Access;

/// AssociateSoftwareToken: a new secret, which waits for its first code. A verified one works until then.
pub async fn associate(cx: &Cx, access: &Access) -> Result<Zeroizing<String>> {
    let (pool, user) = (&*access.pool, &access.user);
    software_token::check_offered(pool)?;
    let secret = Secret::new(cx.rng());
    let mut batch = By::User(access).batch();
    let sealed = software_token::seal(cx, pool, user, &secret)?;
    factors::propose_token(&mut batch, user, sealed, cx.now);
    let actor = By::User(access).actor();
    let action = "AssociateSoftwareToken";
    audit::note(&mut batch, cx, &pool.id, &actor, action, &user.sub, "ok", "");
    cx.db().commit(batch).await?;
    Ok(secret.text())
}

/// VerifySoftwareToken: the first code makes the secret that waits the user's. It is not activated by that.
pub async fn verify(cx: &Cx, access: &Access, code: &str, device_name: &str) -> Result<()> {
    let (pool, user) = (&*access.pool, &access.user);
    software_token::check_offered(pool)?;
    let row = factors::software_token(cx.db(), user).await?;
    let pending = row.and_then(|row| row.pending).ok_or_else(software_token::missing)?;
    let secret = software_token::open(cx, pool, user, &pending)?;
    let step = software_token::first_code(cx, pool, user, &secret, code).await?;
    let mut changed = user.clone();
    changed.doc.factors.token = true;
    let mut batch = By::User(access).batch();
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    factors::adopt_token(&mut batch, user, &pending, device_name, step, cx.now);
    let actor = By::User(access).actor();
    let action = "VerifySoftwareToken";
    audit::note(&mut batch, cx, &pool.id, &actor, action, &user.sub, "ok", "");
    cx.db().commit(batch).await
}

/// AdminDeleteSoftwareToken: for a lost phone. Where a factor is required the next sign-in sets up another.
pub async fn delete_token(cx: &Cx, pool: &Pool, user: &User) -> Result<()> {
    let mut changed = user.clone();
    changed.doc.factors.token = false;
    changed.doc.factors.disable(Factor::SoftwareToken);
    let by = By::Administrator;
    let mut batch = by.batch();
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    factors::delete_token(&mut batch, user);
    let action = "AdminDeleteSoftwareToken";
    audit::note(&mut batch, cx, &pool.id, &by.actor(), action, &user.sub, "ok", "");
    cx.db().commit(batch).await
}

/// One member of SetUserMFAPreference: `None` leaves the factor as it is.
#[derive(Clone, Copy, Debug)]
pub struct Preference {
    pub factor: Factor,
    pub enabled: bool,
    pub preferred: bool,
}

/// SetUserMFAPreference and its Admin form.
pub async fn prefer(
    cx: &Cx,
    pool: &Pool,
    user: &User,
    by: By<'_>,
    preferences: &[Preference],
) -> Result<()> {
    let action = match by {
        By::User(_) => "SetUserMFAPreference",
        By::Administrator => "AdminSetUserMFAPreference",
    };
    if preferences.iter().filter(|preference| preference.preferred).count() > 1 {
        return Err(Error::invalid("Only one MFA method can be preferred"));
    }
    let mut changed = user.clone();
    for Preference { factor, enabled, preferred } in preferences {
        if !enabled {
            if *preferred {
                return Err(Error::invalid(format!(
                    "{} cannot be preferred without being enabled",
                    factor.as_str()
                )));
            }
            changed.doc.factors.disable(*factor);
            continue;
        }
        check_usable(cx, pool, user, *factor).await?;
        changed.doc.factors.enable(*factor);
        if *preferred {
            changed.doc.factors.preferred = Some(*factor);
        } else if changed.doc.factors.preferred == Some(*factor) {
            changed.doc.factors.preferred = None;
        }
    }
    let mut batch = by.batch();
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    let factors = &changed.doc.factors;
    let names: Vec<&str> = factors.enabled.iter().map(|factor| factor.as_str()).collect();
    let detail = match factors.preferred {
        Some(preferred) => format!("{}; {}", names.join(" "), preferred.as_str()),
        None => names.join(" "),
    };
    audit::note(&mut batch, cx, &pool.id, &by.actor(), action, &user.sub, "ok", &detail);
    cx.db().commit(batch).await
}

/// A factor can be activated where the user has what it needs, and the pool offers it or the user has it already.
async fn check_usable(cx: &Cx, pool: &Pool, user: &User, factor: Factor) -> Result<()> {
    let no_config = || {
        Error::invalid(format!(
            "User does not have delivery config set to turn on {}",
            factor.as_str()
        ))
    };
    match factor.attribute() {
        None if user.doc.factors.token => Ok(()),
        None => {
            let row = factors::software_token(cx.db(), user).await?;
            Err(match row.and_then(|row| row.pending) {
                Some(_) => Error::invalid("User has not verified software token mfa"),
                None => no_config(),
            })
        }
        Some(attribute) => {
            let has = user.doc.get(attribute).is_some_and(|value| !value.is_empty());
            let offered = pool.offers(factor) || user.doc.factors.enabled.contains(&factor);
            if has && offered { Ok(()) } else { Err(no_config()) }
        }
    }
}
