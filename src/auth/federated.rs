//! Signing in through an identity provider: whom its verified answer means, the user as the mapping makes it, and whether what was
//! signed out there since asks for more. `federation` has spoken with the provider before.

use aws_lc_rs::digest;

use super::lockout::Lock;
use super::machine::{Event, Facts, Step, next};
use super::{At, Proven, claims};
use crate::ambient::{MINUTE, Ms};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::federation::Trouble;
use crate::ids;
use crate::pool::identity::{Linked, SUBJECT};
use crate::pool::{Identity, Pool, Provider, Status, User, mapping, names};
use crate::store::fresh::{self, Owed};
use crate::store::identities::{self, Key};
use crate::store::{Batch, clocks, groups, users};
use crate::tokens;

/// What an answer of a provider led to.
pub enum Arrival {
    Proven(Box<Proven>),
    /// The user signed out since the provider last asked for credentials: send the browser there again, and ask for them.
    AuthenticateAgain,
}

/// Whom `identity` means: a user who signed in so before, one whom an administrator linked, or else a new one. `forced` says that the
/// provider was asked for a fresh authentication. Errors are for `trouble`.
pub async fn arrive(cx: &Cx, at: At<'_>, identity: &Identity, forced: bool) -> Result<Arrival> {
    let providers = cx.app.directory.providers(cx.db(), at.pool).await?;
    let provider = providers.get(&identity.provider).ok_or_else(|| {
        Error::invalid(format!("Identity provider {} does not exist.", identity.provider))
    })?;
    let arrived = Arrived { cx, at, provider, identity, subject: key(&identity.subject) };
    if !is_subject(&identity.subject) {
        return arrived.deny(None, nobody(provider)).await;
    }
    match arrived.find().await? {
        Some(found) => arrived.known(found, forced).await,
        None => arrived.first().await,
    }
}

/// Long enough for every name that SAML has, and short enough for a document.
fn is_subject(subject: &str) -> bool {
    (1..=2_048).contains(&subject.chars().count()) && !subject.chars().any(char::is_control)
}

/// What the app is told of an error of `arrive`; what it is not told comes back.
pub fn trouble(error: Error) -> Result<Trouble> {
    match error.kind {
        Kind::Conflict | Kind::Internal | Kind::ServiceUnavailable | Kind::TooManyRequests => {
            Err(error)
        }
        _ => Ok(Trouble::refused(error.message.trim_end())),
    }
}

/// SHA-256 of a subject, or of a value by which somebody was linked: exact, whatever the pool makes of case.
pub fn key(value: &str) -> [u8; 32] {
    let mut key = [0; 32];
    for (to, from) in key.iter_mut().zip(digest::digest(&digest::SHA256, value.as_bytes()).as_ref())
    {
        *to = *from;
    }
    key
}

/// The key of an attribute's value. Addresses of mail are the same where the pool takes them for the same.
pub fn link_key(pool: &Pool, attribute: &str, value: &str) -> [u8; 32] {
    if attribute == "email" { key(&names::fold(pool, value)) } else { key(value) }
}

/// `Provider_subject`, folded as the pool folds names.
pub fn username(pool: &Pool, provider: &str, subject: &str) -> String {
    names::fold(pool, &format!("{provider}_{subject}"))
}

struct Arrived<'a> {
    cx: &'a Cx,
    at: At<'a>,
    provider: &'a Provider,
    identity: &'a Identity,
    subject: [u8; 32],
}

struct Found {
    user: User,
    /// The link by an attribute that brought them here for the first time: the name, and the key of its value.
    link: Option<(String, [u8; 32])>,
}

impl Arrived<'_> {
    fn subject_key(&self) -> Key<'_> {
        Key { provider: &self.provider.name, attribute: SUBJECT, value_key: &self.subject }
    }

    async fn find(&self) -> Result<Option<Found>> {
        let (db, pool_id) = (self.cx.db(), &self.at.pool.id);
        if let Some(user) = identities::find(db, pool_id, self.subject_key()).await? {
            return Ok(Some(Found { user, link: None }));
        }
        let mut given = mapping::given(self.provider, self.identity);
        given.retain(|(_, value)| !value.is_empty());
        for (attribute, value) in given {
            let value_key = link_key(self.at.pool, &attribute, &value);
            let key =
                Key { provider: &self.provider.name, attribute: &attribute, value_key: &value_key };
            if let Some(user) = identities::find(db, pool_id, key).await? {
                return Ok(Some(Found { user, link: Some((attribute, value_key)) }));
            }
        }
        Ok(None)
    }

    /// Somebody whom the pool knows.
    async fn known(&self, found: Found, forced: bool) -> Result<Arrival> {
        let (cx, pool) = (self.cx, self.at.pool);
        let Found { user: old, link } = found;
        if let Step::Deny { error, .. } = next(&self.facts(Some(&old)), Event::Federated) {
            return self.deny(Some(&old), error).await;
        }
        let owed = fresh::owed(cx.db(), &old, &self.provider.name).await?;
        match freshness(self.identity.auth_ms, forced, owed.first()) {
            Freshness::Enough => {}
            Freshness::AskAgain => return Ok(Arrival::AuthenticateAgain),
            Freshness::Refused => return self.deny(Some(&old), stale(self.provider)).await,
        }

        let mut new = old.clone();
        match mapping::apply(pool, self.at.client, self.provider, self.identity, Some(&old.doc)) {
            Ok(doc) => new.doc = doc,
            Err(error) => return self.deny(Some(&old), error).await,
        }
        let mut batch = Batch::new();
        let birth = tokens::tick(cx, pool, self.at.client, &old);
        clocks::sign_in(&mut batch, &old, birth.ms(), birth.ms());
        if let Some((attribute, value_key)) = &link {
            let key = Key { provider: &self.provider.name, attribute, value_key };
            identities::delete(&mut batch, &old, key);
            identities::insert(&mut batch, &old, self.subject_key(), cx.now);
        }
        self.settle(&mut new, link.as_ref());
        if new.doc != old.doc {
            let claimed =
                claims::claim(cx, &mut batch, pool, Some(&old), &new, false, claims::alias_exists);
            if let Err(error) = claimed.await {
                return match error.kind {
                    Kind::AliasExists => self.deny(Some(&old), error).await,
                    _ => Err(error),
                };
            }
            users::update(&mut batch, pool, &old, &new, cx.now, &Error::conflict())?;
            new.ver += 1;
        }
        fresh::satisfy(&mut batch, &old, &owed, cx.now);
        Ok(self.proven(new, birth, batch))
    }

    /// What the user's document says of this identity, now that the provider has told who it is.
    fn settle(&self, user: &mut User, link: Option<&(String, [u8; 32])>) {
        let (attribute, value_key) =
            link.map_or((SUBJECT, &self.subject), |(attribute, key)| (attribute, key));
        let mine = user.doc.identities.iter_mut().find(|linked| {
            linked.provider == self.provider.name
                && linked.attribute == attribute
                && link_key(self.at.pool, attribute, &linked.value) == *value_key
        });
        if let Some(linked) = mine {
            linked.attribute = SUBJECT.to_owned();
            linked.value.clone_from(&self.identity.subject);
            linked.issuer.clone_from(&self.identity.issuer);
        }
    }

    /// Somebody whom the pool has never seen.
    async fn first(&self) -> Result<Arrival> {
        let (cx, pool) = (self.cx, self.at.pool);
        if let Step::Deny { error, .. } = next(&self.facts(None), Event::Federated) {
            return self.deny(None, error).await;
        }
        let user = match self.make() {
            Ok(user) => user,
            Err(error) => return self.deny(None, error).await,
        };
        let mut batch = Batch::new();
        // Neither a user of the pool who is called so, nor another subject whose name is the same but for case, is taken over.
        let taken = || {
            Error::new(
                Kind::UsernameExists,
                format!("Already found an entry for username {}", user.username),
            )
        };
        let claimed = claims::claim(cx, &mut batch, pool, None, &user, false, |_| taken()).await;
        if let Err(error) = claimed {
            return match error.kind {
                // Whoever took the name may be this very person, who came at once by another browser.
                Kind::UsernameExists if self.find().await?.is_some() => {
                    Err(Error::conflict().because(&user.username))
                }
                Kind::UsernameExists => self.deny(None, error).await,
                _ => Err(error),
            };
        }
        let lost = Error::conflict().because(&user.username);
        users::insert(&mut batch, pool, &user, &lost)?;
        identities::insert(&mut batch, &user, self.subject_key(), cx.now);
        let group = names::fold(pool, &self.provider.group());
        if let Some(group) = groups::find(cx.db(), &pool.id, &group).await? {
            groups::hold(&mut batch, &group);
            groups::insert_member(&mut batch, &group, &user.sub, cx.now);
        }
        let birth = tokens::tick(cx, pool, self.at.client, &user);
        clocks::sign_in(&mut batch, &user, birth.ms(), birth.ms());
        audit::note(
            &mut batch,
            cx,
            &pool.id,
            &Actor::User(&user.sub),
            "SignUp",
            &user.sub,
            "ok",
            &self.provider.name,
        );
        Ok(self.proven(user, birth, batch))
    }

    fn make(&self) -> Result<User> {
        let (cx, pool, identity) = (self.cx, self.at.pool, self.identity);
        let username = username(pool, &self.provider.name, &identity.subject);
        if !names::is_username(&username) {
            return Err(Error::invalid(format!(
                "{} named a user whom this user pool cannot name: {} and what the provider calls the user must be at most 128 letters, \
                 marks, symbols, numbers or punctuation characters together, without spaces. Let the provider send another identifier.",
                self.provider.name, self.provider.name
            )));
        }
        let mut doc = mapping::apply(pool, self.at.client, self.provider, identity, None)?;
        doc.identities.push(Linked {
            provider: self.provider.name.clone(),
            kind: self.provider.kind,
            attribute: SUBJECT.to_owned(),
            value: identity.subject.clone(),
            issuer: identity.issuer.clone(),
            primary: true,
            created_ms: cx.now,
        });
        let sub = ids::uuid_v4(cx.rng()).to_string();
        Ok(User::new(&pool.id, sub, username, Status::ExternalProvider, doc, cx.now))
    }

    fn facts<'f>(&'f self, user: Option<&'f User>) -> Facts<'f> {
        Facts {
            pool: self.at.pool,
            client: self.at.client,
            user,
            lock: Lock::default(),
            now: self.cx.now,
        }
    }

    fn detail(&self) -> String {
        format!("{} {}", self.at.door.as_str(), self.provider.name)
    }

    fn proven(&self, user: User, birth: tokens::Birth, mut batch: Batch) -> Arrival {
        let (cx, at) = (self.cx, self.at);
        audit::note(
            &mut batch,
            cx,
            &at.pool.id,
            &Actor::User(&user.sub),
            "SignIn",
            &at.client.id,
            "ok",
            &self.detail(),
        );
        let app = cx.app.clone();
        batch.then(move || app.meters.signed_in(at.door.as_str(), "ok"));
        Arrival::Proven(Box::new(Proven { user, birth, batch }))
    }

    async fn deny(&self, user: Option<&User>, error: Error) -> Result<Arrival> {
        let (cx, at) = (self.cx, self.at);
        let mut batch = Batch::new();
        audit::note(
            &mut batch,
            cx,
            &at.pool.id,
            &Actor::Anybody,
            "SignIn",
            user.map_or("", |user| &user.sub),
            error.kind.cognito(),
            &self.detail(),
        );
        cx.db().commit(batch).await?;
        cx.app.meters.signed_in(at.door.as_str(), error.kind.cognito());
        cx.note_refusal_audited();
        Err(error)
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Freshness {
    Enough,
    AskAgain,
    Refused,
}

/// How far a provider's clock may be behind ours.
const SKEW: Ms = MINUTE;

/// Whether the last authentication at the provider is later than the sign-out that asks for one. A provider that was asked for a
/// fresh one, and does not say when it was, is believed.
fn freshness(auth_ms: Option<Ms>, forced: bool, latest: Option<&Owed>) -> Freshness {
    match (latest, auth_ms) {
        (None, _) => Freshness::Enough,
        (Some(owed), Some(auth_ms)) if auth_ms >= owed.created_ms => Freshness::Enough,
        (Some(owed), Some(auth_ms)) if forced && auth_ms < owed.created_ms - SKEW => {
            Freshness::Refused
        }
        (Some(_), _) if forced => Freshness::Enough,
        (Some(_), _) => Freshness::AskAgain,
    }
}

fn nobody(provider: &Provider) -> Error {
    Error::invalid(format!(
        "{} did not say who the user is: the identifier is empty, has more than 2048 characters, or control characters.",
        provider.name
    ))
}

fn stale(provider: &Provider) -> Error {
    Error::not_authorized(format!(
        "{} was asked to authenticate the user anew after a sign-out, and answered with an earlier authentication.",
        provider.name
    ))
}
