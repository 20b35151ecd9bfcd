//! Which identities at providers a user signs in by: AdminLinkProviderForUser, AdminDisableProviderForUser (`cognito-behaviour`, 3).

use crate::audit::{self, Actor};
use crate::auth::federated::{link_key, username};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::identity::{Linked, SUBJECT};
use crate::pool::{Pool, Provider, Status, User, attributes, provider};
use crate::signout::{self, End, Why};
use crate::store::identities::{self, Key};
use crate::store::{Batch, user_lists, users};

/// The pool itself, where the name of a provider is asked for.
const NATIVE: &str = "Cognito";

/// Cognito's quota.
const MAX_IDENTITIES: usize = 5;

/// As long as an attribute's value can be.
const MAX_VALUE: usize = 2_048;

/// A user as administrators name one here: ProviderName, ProviderAttributeName, ProviderAttributeValue.
#[derive(Clone, Copy)]
pub struct Named<'a> {
    pub provider: &'a str,
    pub attribute: &'a str,
    pub value: &'a str,
}

/// From now on `source`, who has not signed in yet, signs in as `destination`.
pub async fn link(cx: &Cx, pool: &Pool, destination: Named<'_>, source: Named<'_>) -> Result<()> {
    let user = find_destination(cx, pool, destination).await?;
    cx.is_about(&pool.id, Some(&user.sub));
    if source.provider == NATIVE {
        return Err(native_source());
    }
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    let provider = providers.get(source.provider).ok_or_else(|| {
        Error::not_found(format!("Identity provider {} does not exist.", source.provider))
    })?;
    let attribute = attribute_of(provider, source.attribute)?;
    if source.value.chars().count() > MAX_VALUE {
        return Err(Error::invalid(format!(
            "SourceUser.ProviderAttributeValue must be no longer than {MAX_VALUE} characters"
        )));
    }
    let value_key = link_key(pool, &attribute, source.value);
    let key = Key { provider: &provider.name, attribute: &attribute, value_key: &value_key };
    match identities::find(cx.db(), &pool.id, key).await? {
        Some(owner) if owner.sub == user.sub => {
            return Err(Error::invalid("SourceUser is already linked to DestinationUser"));
        }
        Some(owner) if owner.doc.is_federated() && attribute == SUBJECT => return Err(merging()),
        Some(_) => {
            return Err(Error::new(
                Kind::AliasExists,
                "SourceUser is already linked to another user",
            ));
        }
        None => refuse_signed_up(cx, pool, provider, &attribute, source.value).await?,
    }
    check_destination(pool, &user)?;

    let mut changed = user.clone();
    changed.doc.identities.push(Linked {
        provider: provider.name.clone(),
        kind: provider.kind,
        attribute: attribute.clone(),
        value: source.value.to_owned(),
        issuer: None,
        primary: false,
        created_ms: cx.now,
    });
    let mut batch = Batch::new();
    users::update(&mut batch, pool, &user, &changed, cx.now, &Error::conflict())?;
    identities::insert(&mut batch, &user, key, cx.now);
    note(cx, &mut batch, pool, "AdminLinkProviderForUser", &user, &provider.name);
    cx.db().commit(batch).await
}

/// Takes a link away, or the password of a user of the pool itself. Either way the user no longer signs in so, and is signed
/// out: which of the sessions came of it need not be guessed.
pub async fn disable(cx: &Cx, pool: &Pool, named: Named<'_>) -> Result<()> {
    let mut batch = Batch::new();
    let user = if named.provider == NATIVE {
        remove_password(cx, &mut batch, pool, named).await?
    } else {
        unlink(cx, &mut batch, pool, named).await?
    };
    let end = End::User { user: &user, browsers: true };
    signout::end(cx, &mut batch, pool, &[end], Why::admin("provider_disabled"));
    note(cx, &mut batch, pool, "AdminDisableProviderForUser", &user, named.provider);
    cx.db().commit(batch).await
}

/// What is left is the status of somebody who has no password here; AdminSetUserPassword gives one again.
async fn remove_password(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    named: Named<'_>,
) -> Result<User> {
    if named.attribute != SUBJECT {
        return Err(Error::invalid(format!(
            "ProviderAttributeName must be {SUBJECT} where ProviderName is {NATIVE}"
        )));
    }
    let user = users::by_login(cx.db(), pool, named.value).await?.ok_or_else(missing)?;
    cx.is_about(&pool.id, Some(&user.sub));
    let mut changed = user.clone();
    changed.status = Status::ExternalProvider;
    changed.doc.temporary_until_ms = None;
    users::update(batch, pool, &user, &changed, cx.now, &Error::conflict())?;
    users::remove_password(batch, &user);
    Ok(user)
}

/// The next sign-in of that identity makes a user of its own.
async fn unlink(cx: &Cx, batch: &mut Batch, pool: &Pool, named: Named<'_>) -> Result<User> {
    let providers = cx.app.directory.providers(cx.db(), pool).await?;
    // Links outlive their provider: one that came again under its name would bring them back.
    let attribute = match providers.get(named.provider) {
        Some(provider) => attribute_of(provider, named.attribute)?,
        None => named.attribute.to_owned(),
    };
    let value_key = link_key(pool, &attribute, named.value);
    let key = Key { provider: named.provider, attribute: &attribute, value_key: &value_key };
    let user = identities::find(cx.db(), &pool.id, key).await?.ok_or_else(missing)?;
    cx.is_about(&pool.id, Some(&user.sub));
    let mut changed = user.clone();
    let is_it = |linked: &Linked| {
        linked.provider == named.provider
            && linked.attribute == attribute
            && link_key(pool, &attribute, &linked.value) == value_key
    };
    if user.doc.identities.iter().any(|linked| linked.primary && is_it(linked)) {
        return Err(Error::invalid(
            "Account is not linked to anyone: it is this user's own. Use AdminDisableUser or AdminDeleteUser.",
        ));
    }
    changed.doc.identities.retain(|linked| !is_it(linked));
    users::update(batch, pool, &user, &changed, cx.now, &Error::conflict())?;
    identities::delete(batch, &user, key);
    Ok(user)
}

/// A user of the pool itself by name, one of a provider by the subject; the attribute's name is ignored.
async fn find_destination(cx: &Cx, pool: &Pool, named: Named<'_>) -> Result<User> {
    let user = if named.provider == NATIVE {
        users::by_login(cx.db(), pool, named.value).await?
    } else {
        let value_key = link_key(pool, SUBJECT, named.value);
        let key = Key { provider: named.provider, attribute: SUBJECT, value_key: &value_key };
        identities::find(cx.db(), &pool.id, key).await?
    };
    user.ok_or_else(missing)
}

/// Every sign-in writes what is mapped, so nothing that the user has may be immutable.
fn check_destination(pool: &Pool, user: &User) -> Result<()> {
    let immutable = user.doc.attributes.iter().map(|(name, _)| name).find(|name| {
        attributes::find(pool, name).is_some_and(|schema| schema.mutable == Some(false))
    });
    if let Some(name) = immutable {
        return Err(Error::invalid(format!(
            "user.{name}: Attribute cannot be updated. All attributes of the DestinationUser must be mutable."
        )));
    }
    if user.doc.identities.len() >= MAX_IDENTITIES {
        return Err(Error::new(
            Kind::LimitExceeded,
            format!("A user can have at most {MAX_IDENTITIES} linked identities."),
        ));
    }
    Ok(())
}

/// Under which name the link is kept: the subject, or an attribute of the pool that the provider's mapping gives.
fn attribute_of(provider: &Provider, given: &str) -> Result<String> {
    let social = !matches!(provider.kind, provider::Kind::Saml | provider::Kind::Oidc);
    let mapping = &provider.doc.mapping;
    let by_claim = || mapping.iter().find(|(_, claim)| *claim == given).map(|(name, _)| name);
    match given {
        SUBJECT => Ok(SUBJECT.to_owned()),
        _ if social => Err(Error::invalid(format!(
            "ProviderAttributeName must be {SUBJECT} for the social identity provider {}",
            provider.name
        ))),
        given => match mapping.get_key_value(given).map(|(name, _)| name).or_else(by_claim) {
            // The username is made of the subject.
            Some(name) if name == "username" => Ok(SUBJECT.to_owned()),
            Some(name) => Ok(name.clone()),
            None => Err(Error::invalid(format!(
                "ProviderAttributeName must be {SUBJECT} or an attribute that the AttributeMapping of {} maps; it maps {}.",
                provider.name,
                mapping.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            ))),
        },
    }
}

/// Refuses a source whom the pool has as a user already: two users are not made one.
async fn refuse_signed_up(
    cx: &Cx,
    pool: &Pool,
    provider: &Provider,
    attribute: &str,
    value: &str,
) -> Result<()> {
    if attribute == SUBJECT {
        let name = username(pool, &provider.name, value);
        return match users::by_login(cx.db(), pool, &name).await? {
            Some(user) if !user.doc.is_federated() => Err(native_source()),
            _ => Ok(()),
        };
    }
    if !users::FILTERS.contains(&attribute) {
        return Ok(());
    }
    let from = users::indexed(pool, value);
    let to = format!("{from}\u{1}");
    let found =
        user_lists::list_by_attribute(cx.db(), &pool.id, attribute, (&from, &to), ("", ""), 60)
            .await?;
    let came_from_there = |user: &User| {
        user.doc.identities.iter().any(|linked| linked.primary && linked.provider == provider.name)
    };
    let is_it = |user: &User| {
        let own = user.doc.get(attribute);
        own.is_some_and(|own| link_key(pool, attribute, own) == link_key(pool, attribute, value))
    };
    if found.iter().any(|(_, user)| came_from_there(user) && is_it(user)) {
        return Err(merging());
    }
    Ok(())
}

fn missing() -> Error {
    Error::new(Kind::UserNotFound, "User does not exist.")
}

fn merging() -> Error {
    Error::invalid(
        "Merging is not currently supported, provide a SourceUser that has not been signed up in order to link",
    )
}

fn native_source() -> Error {
    Error::invalid(
        "Invalid SourceUser: Cognito users with a username/password may not be passed in as a SourceUser, only as a DestinationUser",
    )
}

fn note(cx: &Cx, batch: &mut Batch, pool: &Pool, action: &str, user: &User, provider: &str) {
    audit::note(batch, cx, &pool.id, &Actor::Administrator, action, &user.sub, "ok", provider);
}
