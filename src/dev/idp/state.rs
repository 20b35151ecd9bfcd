//! What the provider remembers, in memory and bounded: who is signed in, what they were about to do, codes and access tokens.

use std::collections::HashMap;

use super::people::Person;
use super::sign_in::Ask;
use super::sign_out::Leaving;
use crate::ambient::{HOUR, MINUTE, Ms};

const SESSION: Ms = 8 * HOUR;
const ASKED: Ms = 10 * MINUTE;
const CODE: Ms = MINUTE;
pub const TOKEN: Ms = HOUR;
/// Of one session; who has more pools than this does not need a demonstration.
const APPLICATIONS: usize = 20;

#[derive(Default)]
pub struct State {
    /// By the value of the browser's cookie.
    pub sessions: Shelf<Session>,
    /// What a browser that has to sign in first came for.
    pub asked: Shelf<Ask>,
    pub codes: Shelf<Grant>,
    /// Access tokens.
    pub tokens: Shelf<Access>,
    /// Sign-outs that go from one application to the next in a browser.
    pub leaving: Shelf<Leaving>,
}

impl State {
    pub fn keep_session(&mut self, now: Ms, cookie: String, session: Session) {
        self.sessions.put(now, SESSION, cookie, session);
    }

    pub fn keep_ask(&mut self, now: Ms, handle: String, ask: Ask) {
        self.asked.put(now, ASKED, handle, ask);
    }

    pub fn keep_code(&mut self, now: Ms, code: String, grant: Grant) {
        self.codes.put(now, CODE, code, grant);
    }

    pub fn keep_token(&mut self, now: Ms, token: String, access: Access) {
        self.tokens.put(now, TOKEN, token, access);
    }

    pub fn keep_leaving(&mut self, now: Ms, handle: String, leaving: Leaving) {
        self.leaving.put(now, ASKED, handle, leaving);
    }

    /// Adds an application to the session of this cookie.
    pub fn join(&mut self, now: Ms, cookie: &str, application: Application) -> Option<Session> {
        let session = self.sessions.get_mut(now, cookie)?;
        session.join(application);
        Some(session.clone())
    }

    /// Ends the first session that this says yes to, with its tokens.
    pub fn end(&mut self, now: Ms, which: impl Fn(&str, &Session) -> bool) -> Option<Session> {
        let cookie = self.sessions.find(now, which)?;
        let session = self.sessions.take(now, &cookie)?;
        self.tokens.retain(|access| access.sid != session.sid);
        self.codes.retain(|grant| grant.sid != session.sid);
        Some(session)
    }
}

/// Somebody signed in with one browser.
#[derive(Clone, Debug)]
pub struct Session {
    /// OpenID Connect's `sid` and SAML's SessionIndex.
    pub sid: String,
    pub person: Person,
    pub auth_ms: Ms,
    /// Where they went from here.
    pub applications: Vec<Application>,
}

impl Session {
    /// Adds an application, once.
    pub fn join(&mut self, application: Application) {
        if self.applications.len() < APPLICATIONS && !self.applications.contains(&application) {
            self.applications.push(application);
        }
    }
}

/// A pool of a Cenote that somebody signed in to, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    pub protocol: Protocol,
    /// Where the pool's pages are, as the browser knows them.
    pub base: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Oidc,
    Saml,
}

impl Application {
    pub fn label(&self) -> String {
        let protocol = match self.protocol {
            Protocol::Oidc => "OpenID Connect",
            Protocol::Saml => "SAML",
        };
        format!("{} by {protocol}", self.pool())
    }

    pub fn pool(&self) -> &str {
        self.base.rsplit('/').next().unwrap_or_default()
    }
}

/// What a code stands for.
#[derive(Clone, Debug)]
pub struct Grant {
    pub sid: String,
    pub person: Person,
    pub auth_ms: Ms,
    pub redirect_uri: String,
    pub scope: String,
    pub nonce: Option<String>,
    /// The S256 challenge of PKCE.
    pub challenge: Option<String>,
}

/// What an access token stands for.
#[derive(Clone, Debug)]
pub struct Access {
    pub sid: String,
    pub person: Person,
    pub scope: String,
}

/// A map that forgets: what is over, and what ends first where there is too much.
pub struct Shelf<T>(HashMap<String, (Ms, T)>);

impl<T> Default for Shelf<T> {
    fn default() -> Shelf<T> {
        Shelf(HashMap::new())
    }
}

impl<T> Shelf<T> {
    const ROOM: usize = 1_000;

    pub fn put(&mut self, now: Ms, life: Ms, key: String, value: T) {
        if self.0.len() >= Self::ROOM {
            self.0.retain(|_, (until, _)| *until > now);
        }
        if self.0.len() >= Self::ROOM
            && let Some(first) =
                self.0.iter().min_by_key(|(_, (until, _))| *until).map(|(key, _)| key.clone())
        {
            self.0.remove(&first);
        }
        self.0.insert(key, (now + life, value));
    }

    pub fn get(&self, now: Ms, key: &str) -> Option<&T> {
        self.0.get(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    pub fn get_mut(&mut self, now: Ms, key: &str) -> Option<&mut T> {
        self.0.get_mut(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    /// Gives it away, so that nobody else gets it.
    pub fn take(&mut self, now: Ms, key: &str) -> Option<T> {
        self.0.remove(key).filter(|(until, _)| *until > now).map(|(_, value)| value)
    }

    fn find(&self, now: Ms, which: impl Fn(&str, &T) -> bool) -> Option<String> {
        let mut living = self.0.iter().filter(|(_, (until, _))| *until > now);
        living.find(|(key, (_, value))| which(key, value)).map(|(key, _)| key.clone())
    }

    fn retain(&mut self, keep: impl Fn(&T) -> bool) {
        self.0.retain(|_, (_, value)| keep(value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shelf_gives_away_once_forgets_what_is_over_and_never_overflows() {
        let mut shelf = Shelf::default();
        shelf.put(0, 10, "a".to_owned(), 1);
        assert_eq!((shelf.get(9, "a"), shelf.get(10, "a")), (Some(&1), None));
        assert_eq!((shelf.take(9, "a"), shelf.take(9, "a")), (Some(1), None));
        for n in 0..2_000 {
            shelf.put(0, 10 + n, n.to_string(), n);
        }
        assert_eq!(shelf.0.len(), 1_000);
        assert_eq!((shelf.get(0, "0"), shelf.get(0, "1999")), (None, Some(&1_999)));
    }
}
