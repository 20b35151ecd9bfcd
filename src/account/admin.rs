//! What administrators do to users: create and invite, confirm, enable, disable, delete. A user's deletion of itself is here, too.

use super::groups;
use crate::audit::{self, Actor};
use crate::auth::claims;
use crate::auth::credential;
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::notify::{self, Address, Text};
use crate::pool::attributes::{self, Writer};
use crate::pool::names::{self, Chosen};
use crate::pool::realm::triggers;
use crate::pool::{Group, Pool, Status, User, UserDoc, password};
use crate::signout::{self, End, Why};
use crate::store::{Batch, users};
use crate::tokens::verify::Access;

/// A user to create: AdminCreateUser.
pub struct NewUser<'a> {
    pub name: &'a str,
    pub attributes: &'a [(String, String)],
    pub temporary_password: Option<&'a str>,
    /// SMS and EMAIL as Cognito names them; `None` where the request said nothing.
    pub mediums: Option<&'a [String]>,
    /// ForceAliasCreation.
    pub force_alias: bool,
    /// MessageAction SUPPRESS: no invitation.
    pub silent: bool,
}

/// What a seed file may choose, and nobody else.
#[derive(Default)]
pub struct Seeded<'a> {
    pub sub: Option<&'a str>,
    /// Permanent: the user is confirmed.
    pub password: Option<&'a str>,
    pub groups: &'a [Group],
}

/// Creates a user who must choose a password at the first sign-in, and sends the invitation.
pub async fn create(cx: &Cx, pool: &Pool, new: NewUser<'_>) -> Result<User> {
    create_as(cx, pool, new, Seeded::default()).await
}

pub async fn create_as(cx: &Cx, pool: &Pool, new: NewUser<'_>, seeded: Seeded<'_>) -> Result<User> {
    pool.refuse_unbuilt_triggers(if new.silent { &["PreSignUp"] } else { triggers::SIGN_UP })?;
    let mut pairs = new.attributes.to_vec();
    let sub = seeded.sub.map_or_else(|| ids::uuid_v4(cx.rng()).to_string(), str::to_owned);
    let username = match names::choose(pool, new.name)? {
        Chosen::Name(name) => name.to_owned(),
        Chosen::Attribute(attribute, value) => {
            name_as_attribute(&mut pairs, attribute, value)?;
            sub.clone()
        }
    };
    attributes::check(pool, Writer::Administrator, false, &pairs)?;
    let mut doc = UserDoc::default();
    write_pairs(&mut doc, &pairs);
    check_verified_flags(&doc)?;
    let password = temporary_password(cx, pool, seeded.password.or(new.temporary_password))?;
    let status =
        if seeded.password.is_some() { Status::Confirmed } else { Status::ForceChangePassword };
    if status == Status::ForceChangePassword {
        doc.temporary_until_ms = Some(cx.now + pool.temporary_password_ms());
    }

    let sealed = credential::make(cx, pool, &sub, &username, &password).await?;
    let mut user = User::new(&pool.id, sub, username, status, doc, cx.now);
    user.password = Some(sealed);
    let mut batch = Batch::new();
    claims::claim(cx, &mut batch, pool, None, &user, new.force_alias, |kind| match kind {
        "username" => Error::new(Kind::UsernameExists, "User account already exists"),
        kind if pool.signs_in_with(kind) => {
            Error::new(Kind::UsernameExists, "User account already exists")
        }
        kind => claims::alias_exists(kind),
    })
    .await?;
    users::insert(&mut batch, pool, &user, &Error::conflict())?;
    groups::join(cx, &mut batch, &user.sub, seeded.groups)?;
    if !new.silent {
        invite(cx, &mut batch, pool, &user, new.name, &password, new.mediums)?;
    }
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Administrator,
        "AdminCreateUser",
        &user.sub,
        "ok",
        "",
    );
    cx.db().commit(batch).await?;
    Ok(user)
}

/// MessageAction RESEND: another invitation with another temporary password.
pub async fn invite_again(cx: &Cx, pool: &Pool, user: User, new: NewUser<'_>) -> Result<User> {
    pool.refuse_unbuilt_triggers(triggers::SEND)?;
    if user.status != Status::ForceChangePassword {
        return Err(Error::new(
            Kind::UnsupportedUserState,
            format!("Resend not possible. {} status is not FORCE_CHANGE_PASSWORD", new.name),
        ));
    }
    let temporary = temporary_password(cx, pool, new.temporary_password)?;
    let mut changed = user.clone();
    changed.doc.temporary_until_ms = Some(cx.now + pool.temporary_password_ms());
    let sealed = credential::make(cx, pool, &user.sub, &user.username, &temporary).await?;
    let mut batch = Batch::new();
    users::update(&mut batch, pool, &user, &changed, cx.now, &Error::conflict())?;
    users::set_password(&mut batch, &user, sealed, pool.password_history());
    invite(cx, &mut batch, pool, &changed, new.name, &temporary, new.mediums)?;
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Administrator,
        "AdminCreateUser",
        &user.sub,
        "ok",
        "RESEND",
    );
    cx.db().commit(batch).await?;
    changed.modified_ms = cx.now;
    Ok(changed)
}

/// AdminConfirmSignUp: without a code, so no address is verified.
pub async fn confirm(cx: &Cx, pool: &Pool, user: &User) -> Result<()> {
    pool.refuse_unbuilt_triggers(triggers::CONFIRM)?;
    if user.status != Status::Unconfirmed {
        return Err(cannot_be_confirmed(user));
    }
    let mut changed = user.clone();
    changed.status = Status::Confirmed;
    change(cx, pool, user, &changed, "AdminConfirmSignUp", None).await
}

/// `User cannot be confirmed. Current status is CONFIRMED`
pub(super) fn cannot_be_confirmed(user: &User) -> Error {
    Error::not_authorized(format!(
        "User cannot be confirmed. Current status is {}",
        user.status.as_str()
    ))
}

/// AdminEnableUser. What ended when the user was disabled stays ended.
pub async fn enable(cx: &Cx, pool: &Pool, user: &User) -> Result<()> {
    let mut changed = user.clone();
    changed.enabled = true;
    change(cx, pool, user, &changed, "AdminEnableUser", None).await
}

/// AdminDisableUser: everything ends.
pub async fn disable(cx: &Cx, pool: &Pool, user: &User) -> Result<()> {
    let mut changed = user.clone();
    changed.enabled = false;
    // Of a disabled user nothing is alive, and nothing comes to life.
    let end =
        user.enabled.then_some((End::User { user, browsers: true }, Why::admin("user_disabled")));
    change(cx, pool, user, &changed, "AdminDisableUser", end).await
}

/// AdminDeleteUser.
pub async fn delete(cx: &Cx, pool: &Pool, user: &User) -> Result<()> {
    let mut batch = Batch::new();
    users::delete(&mut batch, user);
    signout::end(cx, &mut batch, pool, &[End::Deletion { user }], Why::admin("user_deleted"));
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Administrator,
        "AdminDeleteUser",
        &user.sub,
        "ok",
        "",
    );
    cx.db().commit(batch).await
}

/// DeleteUser: by the user, with an access token.
pub async fn delete_self(cx: &Cx, access: &Access) -> Result<()> {
    let (pool, user) = (&*access.pool, &access.user);
    let mut batch = Batch::new();
    access.guard(&mut batch);
    users::delete(&mut batch, user);
    signout::end(cx, &mut batch, pool, &[End::Deletion { user }], Why::user("user_deleted"));
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&user.sub),
        "DeleteUser",
        &user.sub,
        "ok",
        "",
    );
    cx.db().commit(batch).await
}

async fn change(
    cx: &Cx,
    pool: &Pool,
    old: &User,
    new: &User,
    action: &str,
    end: Option<(End<'_>, Why<'_>)>,
) -> Result<()> {
    let mut batch = Batch::new();
    users::update(&mut batch, pool, old, new, cx.now, &Error::conflict())?;
    if let Some((end, why)) = end {
        signout::end(cx, &mut batch, pool, &[end], why);
    }
    audit::note(&mut batch, cx, &pool.id, &Actor::Administrator, action, &old.sub, "ok", "");
    cx.db().commit(batch).await
}

/// In a pool whose names are addresses, the name becomes that attribute.
pub(super) fn name_as_attribute(
    pairs: &mut Vec<(String, String)>,
    attribute: &str,
    value: &str,
) -> Result<()> {
    match pairs.iter().find(|(name, _)| name == attribute) {
        Some((_, given)) if given != value => Err(Error::invalid(format!(
            "The attribute {attribute} must be the same as the Username."
        ))),
        Some(_) => Ok(()),
        None => {
            pairs.push((attribute.to_owned(), value.to_owned()));
            Ok(())
        }
    }
}

/// Writes what was asked for; an empty value takes the attribute away, as in Cognito.
pub(super) fn write_pairs(doc: &mut UserDoc, pairs: &[(String, String)]) {
    for (name, value) in pairs {
        let flag = name == "email_verified" || name == "phone_number_verified";
        match value.as_str() {
            "" => doc.remove(name),
            value if flag => doc.set(
                name,
                if matches!(value, "true" | "True" | "TRUE" | "1") { "true" } else { "false" },
            ),
            value => doc.set(name, value),
        }
    }
}

/// An address that does not exist cannot be verified.
pub(super) fn check_verified_flags(doc: &UserDoc) -> Result<()> {
    if doc.is_verified("email") && doc.get("email").is_none() {
        return Err(Error::invalid("Email is required to verify/un-verify an email"));
    }
    if doc.is_verified("phone_number") && doc.get("phone_number").is_none() {
        return Err(Error::invalid("Phone Number is required to verify/un-verify a phone number"));
    }
    Ok(())
}

fn temporary_password(cx: &Cx, pool: &Pool, given: Option<&str>) -> Result<String> {
    let policy = pool.password_policy();
    match given {
        Some(given) => {
            password::conforms(&policy, given)?;
            Ok(given.to_owned())
        }
        None => Ok(ids::temporary_password(
            usize::try_from(policy.minimum_length.unwrap_or(0)).unwrap_or(0),
            cx.rng(),
        )),
    }
}

/// By the mediums that were asked for. Where the request says nothing, Cognito means SMS; a user who has no phone number but an
/// email address gets mail, and one who has neither gets nothing.
fn invite(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    user: &User,
    name: &str,
    temporary: &str,
    mediums: Option<&[String]>,
) -> Result<()> {
    let address = |attribute: &'static str| {
        let value = user.doc.get(attribute).filter(|value| !value.is_empty())?;
        Some(Address { attribute, value: value.to_owned() })
    };
    let wanted: Vec<Address> = match mediums {
        Some(mediums) if !mediums.is_empty() => {
            let mut wanted = Vec::new();
            for medium in mediums {
                let attribute = if medium == "SMS" { "phone_number" } else { "email" };
                wanted.push(address(attribute));
            }
            let wanted: Vec<Address> = wanted.into_iter().flatten().collect();
            if wanted.is_empty() {
                return Err(Error::invalid(format!(
                    "User does not have delivery medium: {}",
                    mediums.join(", ")
                )));
            }
            wanted
        }
        _ => address("phone_number").or_else(|| address("email")).into_iter().collect(),
    };
    for to in &wanted {
        notify::send(
            cx,
            batch,
            pool,
            to,
            &Text::Invitation { username: name, password: temporary },
        )?;
    }
    Ok(())
}
