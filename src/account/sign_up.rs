//! Signing up: SignUp, ConfirmSignUp, ResendConfirmationCode.

use cenote_interface::types::CodeDeliveryDetailsType;

use super::admin::{cannot_be_confirmed, name_as_attribute, write_pairs};
use super::codes::{self, Guess, Purpose};
use super::existence::Named;
use super::{Via, address, existence};
use crate::audit::{self, Actor};
use crate::auth::claims;
use crate::auth::credential;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::notify;
use crate::pool::attributes::{self, Writer};
use crate::pool::names::{self, Chosen};
use crate::pool::realm::triggers;
use crate::pool::{Pool, Status, User, UserDoc, password};
use crate::store::{Batch, users};
use crate::tokens;

/// Creates an unconfirmed user, and sends a code where the pool verifies an address that the user has. Without one the user waits for
/// AdminConfirmSignUp.
pub async fn sign_up(
    cx: &Cx,
    via: Via<'_>,
    name: &str,
    new_password: &str,
    pairs: &[(String, String)],
) -> Result<(User, Option<CodeDeliveryDetailsType>)> {
    let sub = ids::uuid_v4(cx.rng()).to_string();
    sign_up_as(cx, via, sub, name, new_password, pairs).await
}

/// The same with a `sub` that the caller has chosen, by which it knows the user again.
pub async fn sign_up_as(
    cx: &Cx,
    via: Via<'_>,
    sub: String,
    name: &str,
    new_password: &str,
    pairs: &[(String, String)],
) -> Result<(User, Option<CodeDeliveryDetailsType>)> {
    let pool = via.pool;
    if pool.only_administrators_create_users() {
        return Err(Error::not_authorized("SignUp is not permitted for this user pool"));
    }
    pool.refuse_unbuilt_triggers(triggers::SIGN_UP)?;
    let mut pairs = pairs.to_vec();
    attributes::check(pool, Writer::Client(via.client), false, &pairs)?;
    let username = match names::choose(pool, name)? {
        Chosen::Name(name) => {
            not_of_a_provider(cx, pool, name).await?;
            name.to_owned()
        }
        Chosen::Attribute(attribute, value) => {
            name_as_attribute(&mut pairs, attribute, value)?;
            sub.clone()
        }
    };
    attributes::check_required(pool, &pairs)?;
    password::conforms(&pool.password_policy(), new_password)?;

    let mut doc = UserDoc::default();
    write_pairs(&mut doc, &pairs);
    for attribute in address::ATTRIBUTES {
        if doc.get(attribute).is_some() {
            doc.set(&format!("{attribute}_verified"), "false");
        }
    }
    let mut user = User::new(&pool.id, sub, username, Status::Unconfirmed, doc, cx.now);
    let mut batch = Batch::new();
    claims::claim(cx, &mut batch, pool, None, &user, false, |kind| match kind {
        "email" | "phone_number" => Error::new(
            Kind::UsernameExists,
            format!("An account with the given {kind} already exists."),
        ),
        "preferred_username" => claims::alias_exists(kind),
        _ => Error::new(Kind::UsernameExists, "User already exists"),
    })
    .await?;
    // Only now: the arithmetic is for accounts that can be.
    user.password =
        Some(credential::make(cx, pool, &user.sub, &user.username, new_password).await?);
    users::insert(&mut batch, pool, &user, &Error::conflict())?;
    let details = match address::for_sign_up(pool, &user, |to| notify::can_send(cx, to)) {
        Some(to) => {
            let birth = tokens::tick_for(cx, pool, &user);
            let sent = codes::issue(cx, &mut batch, pool, &user, birth, Purpose::SignUp, &to)?;
            codes::charge_openly(cx, &mut batch, pool, &to).await?;
            Some(sent)
        }
        None => None,
    };
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Anybody,
        "SignUp",
        &user.sub,
        "ok",
        &via.client.id,
    );
    cx.db().commit(batch).await?;
    Ok((user, details))
}

/// Who took the name of somebody who has yet to come from an identity provider would keep them out.
async fn not_of_a_provider(cx: &Cx, pool: &Pool, name: &str) -> Result<()> {
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let name = names::fold(pool, name);
    let owner = providers
        .all()
        .iter()
        .find(|provider| name.starts_with(&names::fold(pool, &format!("{}_", provider.name))));
    match owner {
        Some(provider) => Err(Error::invalid(format!(
            "Username cannot begin with {}_: such names are of users who sign in through that identity provider.",
            provider.name
        ))),
        None => Ok(()),
    }
}

/// Confirms a user by the code, and verifies the address that it went to. The address becomes an alias where the pool has
/// such aliases; `force` takes it from whoever had it.
pub async fn confirm(cx: &Cx, via: Via<'_>, name: &str, code: &str, force: bool) -> Result<()> {
    let pool = via.pool;
    pool.refuse_unbuilt_triggers(triggers::CONFIRM)?;
    let named = existence::find(cx, via, name).await?;
    let hides = via.client.hides_user_existence();
    let settled = named.user.as_ref().filter(|user| user.status != Status::Unconfirmed);
    if let Some(user) = settled.filter(|_| !hides) {
        return Err(cannot_be_confirmed(user));
    }
    // Where existence is hidden, a user who has nothing to confirm looks like nobody.
    let named = if settled.is_some() { Named { user: None, ..named } } else { named };
    let addresses = named.user.as_ref().map(address::all).unwrap_or_default();
    codes::spend(cx, pool, &named.sub, "ConfirmSignUp", 15).await?;
    let guess =
        codes::guess(cx, pool, named.user.as_ref(), &named.sub, Purpose::SignUp, &addresses, code)
            .await?;
    let mut batch = Batch::new();
    let (Guess::Right(proof), Some(user)) = (&guess, &named.user) else {
        return codes::deny(cx, batch, pool, &named.sub, guess, Actor::Anybody, "ConfirmSignUp")
            .await;
    };

    let mut changed = user.clone();
    changed.status = Status::Confirmed;
    changed.doc.set(&format!("{}_verified", proof.address.attribute), "true");
    claims::claim(cx, &mut batch, pool, Some(user), &changed, force, claims::alias_exists).await?;
    proof.consume(cx, &mut batch, pool, user, tokens::tick_for(cx, pool, user));
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&user.sub),
        "ConfirmSignUp",
        &user.sub,
        "ok",
        &via.client.id,
    );
    cx.db().commit(batch).await
}

/// Sends another code. Names that nobody has get an answer that looks the same where the client hides them.
pub async fn resend(cx: &Cx, via: Via<'_>, name: &str) -> Result<CodeDeliveryDetailsType> {
    let pool = via.pool;
    pool.refuse_unbuilt_triggers(triggers::SEND)?;
    if address::ATTRIBUTES.iter().all(|attribute| !pool.auto_verifies(attribute)) {
        return Err(no_verification());
    }
    let hides = via.client.hides_user_existence();
    let named = existence::find(cx, via, name).await?;
    let mut batch = Batch::new();
    codes::allow(cx, &mut batch, pool, &named.sub, "ResendConfirmationCode", 5);
    let details = match &named.user {
        Some(user) if user.status != Status::Unconfirmed && !hides => {
            return Err(Error::invalid("User is already confirmed."));
        }
        user => {
            let unconfirmed = user.as_ref().filter(|user| user.status == Status::Unconfirmed);
            let known = unconfirmed.and_then(|user| {
                Some((user, address::for_sign_up(pool, user, |to| notify::can_send(cx, to))?))
            });
            let (unconfirmed, to) = match known {
                Some((user, to)) => (Some(user), to),
                None if hides => {
                    let mut order = address::ATTRIBUTES.to_vec();
                    order.retain(|attribute| pool.auto_verifies(attribute));
                    (None, existence::invented_address(cx, via, name, &order))
                }
                None => return Err(no_verification()),
            };
            let room = notify::charge(cx, &mut batch, pool, &to).await?;
            match (unconfirmed, room) {
                (Some(user), true) => {
                    let birth = tokens::tick_for(cx, pool, user);
                    codes::issue(cx, &mut batch, pool, user, birth, Purpose::SignUp, &to)?
                }
                (_, false) if !hides => return Err(codes::limit_exceeded()),
                // That an address has had enough messages would tell that there is one.
                _ => codes::pretend(
                    cx,
                    &mut batch,
                    pool,
                    user.as_ref(),
                    &named.sub,
                    Purpose::SignUp,
                    &to,
                )?,
            }
        }
    };
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Anybody,
        "ResendConfirmationCode",
        &named.sub,
        "ok",
        &via.client.id,
    );
    cx.db().commit(batch).await?;
    Ok(details)
}

fn no_verification() -> Error {
    Error::invalid("Cannot resend codes. Auto verification not turned on.")
}
