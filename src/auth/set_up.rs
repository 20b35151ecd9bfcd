//! Setting up a second factor in the middle of a sign-in: MFA_SETUP, where the pool requires one and the user has none. A secret
//! that was given out lies in the challenge, so that two half-done sign-ins do not share one.

use zeroize::Zeroizing;

use super::challenge::Ask;
use super::machine::{Event, invalid_session};
use super::second::{self, HalfDone};
use super::software_token;
use super::totp::Secret;
use super::{At, Outcome, claims};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::notify::Address;
use crate::pool::attributes::{self, Writer};
use crate::pool::{Factor, User};
use crate::store::{Batch, factors, users};

/// A new secret for an authenticator app, and the Session that remembers it.
pub struct Associated {
    pub secret: Zeroizing<String>,
    pub session: String,
    pub user: User,
}

/// AssociateSoftwareToken with a Session. Asked again, it gives another secret.
pub async fn associate(cx: &Cx, at: At<'_>, session: &str) -> Result<Associated> {
    let half = HalfDone::find(cx, at, session).await?;
    let Ask::SetUp { factors, .. } = half.ask()? else { return Err(invalid_session()) };
    software_token::check_offered(at.pool)?;
    half.next(cx, at, Event::SettingUp(Factor::SoftwareToken))?;
    let secret = Secret::new(cx.rng());
    let (birth, mut batch) = half.go_on(cx, at);
    let ask = Ask::SetUp { factors: factors.clone(), secret: Some(secret.as_bytes().to_vec()) };
    let session = second::insert(cx, &mut batch, at, &half.user, birth, ask)?;
    note(cx, &mut batch, at, &half.user, "AssociateSoftwareToken");
    cx.db().commit(batch).await?;
    Ok(Associated { secret: secret.text(), session, user: half.user })
}

/// The secret that a Session remembers, and whose it is: for a page that shows it again.
pub async fn associated(
    cx: &Cx,
    at: At<'_>,
    session: &str,
) -> Result<Option<(Zeroizing<String>, User)>> {
    let half = HalfDone::find(cx, at, session).await?;
    let secret = match half.ask()? {
        Ask::SetUp { secret, .. } => {
            secret.as_deref().map(|bytes| Secret::from_bytes(bytes).text())
        }
        _ => return Err(invalid_session()),
    };
    Ok(secret.map(|secret| (secret, half.user)))
}

/// VerifySoftwareToken with a Session: the token is the user's from now on. Gives the Session that answers MFA_SETUP.
pub async fn verify(
    cx: &Cx,
    at: At<'_>,
    session: &str,
    code: &str,
    device_name: &str,
) -> Result<String> {
    let half = HalfDone::find(cx, at, session).await?;
    let secret = match half.ask()? {
        Ask::SetUp { secret: Some(secret), .. } => Secret::from_bytes(secret),
        Ask::SetUp { secret: None, .. } => return Err(software_token::missing()),
        _ => return Err(invalid_session()),
    };
    software_token::check_offered(at.pool)?;
    half.next(cx, at, Event::SettingUp(Factor::SoftwareToken))?;
    let user = &half.user;
    let step = software_token::first_code(cx, at.pool, user, &secret, code).await?;

    let mut changed = user.clone();
    changed.doc.factors.token = true;
    changed.doc.factors.enable(Factor::SoftwareToken);
    let (birth, mut batch) = half.go_on(cx, at);
    users::update(&mut batch, at.pool, user, &changed, cx.now, &Error::conflict())?;
    let sealed = software_token::seal(cx, at.pool, user, &secret)?;
    factors::put_token(&mut batch, user, sealed, device_name, step, cx.now);
    let ask = Ask::IsSetUp { factor: Factor::SoftwareToken };
    let session = second::insert(cx, &mut batch, at, user, birth, ask)?;
    note(cx, &mut batch, at, user, "VerifySoftwareToken");
    cx.db().commit(batch).await?;
    Ok(session)
}

/// MFA_SETUP answered with an address: a code goes there, and whoever has it makes the address theirs.
pub(super) async fn email(cx: &Cx, at: At<'_>, half: HalfDone, address: &str) -> Result<Outcome> {
    let Ask::SetUp { .. } = half.ask()? else { return Err(invalid_session()) };
    half.next(cx, at, Event::SettingUp(Factor::Email))?;
    let pairs = [("email".to_owned(), address.to_owned())];
    attributes::check(at.pool, Writer::Client(at.client), false, &pairs)?;
    let (birth, mut batch) = half.go_on(cx, at);
    let to = Address { attribute: "email", value: address.to_owned() };
    let asking = second::send(cx, &mut batch, at, &half.user, Factor::Email, to, true).await?;
    asking.commit(cx, at, &half.user, birth, batch).await
}

/// The address that a code has proved becomes the user's, verified, and its factor.
pub(super) async fn adopt(
    cx: &Cx,
    batch: &mut Batch,
    at: At<'_>,
    user: &User,
    factor: Factor,
    to: &Address,
) -> Result<User> {
    let mut changed = user.clone();
    changed.doc.set(to.attribute, &to.value);
    changed.doc.set(&format!("{}_verified", to.attribute), "true");
    changed.doc.factors.enable(factor);
    claims::claim(cx, batch, at.pool, Some(user), &changed, false, claims::alias_exists).await?;
    users::update(batch, at.pool, user, &changed, cx.now, &Error::conflict())?;
    note(cx, batch, at, user, "SetUpEmailMfa");
    changed.ver += 1;
    Ok(changed)
}

fn note(cx: &Cx, batch: &mut Batch, at: At<'_>, user: &User, action: &str) {
    let (actor, door) = (Actor::User(&user.sub), at.door.as_str());
    audit::note(batch, cx, &at.pool.id, &actor, action, &user.sub, "ok", door);
}
