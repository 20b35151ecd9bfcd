//! The heart: the one way to end anything. `end` adds to the batch of an operation both the end itself and the records
//! that say so; every notification is a projection of those records, made by workers. So no endpoint can forget to notify,
//! and no slow receiver can delay or fail a sign-out.
//!
//! Nothing else in the house writes an epoch or an end. What lives where: the clocks and epochs are columns of the user row
//! (`store::users`), the ends are columns of the sessions (`store::sessions`), the records are `store::records`.

use aws_lc_rs::digest;

use crate::ambient::{DAY, MINUTE, Ms, SECOND};
use crate::cx::Cx;
use crate::error::Error;
use crate::ids;
use crate::pool::{Client, Pool, SsoSession, TokenSession, User};
use crate::store::clocks::Reach;
use crate::store::records::{self, Record};
use crate::store::upstream::{self, Debt, Whose};
use crate::store::{Batch, browsers, clocks, codes, participations, pools, sessions};

/// What ends.
pub enum End<'a> {
    /// One token session.
    Tokens(&'a TokenSession),
    /// One browser session, with the codes that came through it.
    Browser(&'a SsoSession),
    /// The token sessions that came through a browser session, which may be gone. `tokens` must be exactly those that live: one that
    /// a racing redemption adds makes the operation run again.
    Through { sso_id: &'a str, tokens: &'a [TokenSession] },
    /// Every token session of a user, with codes and challenges; with `browsers`, the browser sessions too.
    User { user: &'a User, browsers: bool },
    /// Every browser session of a user but one, with all codes and challenges; token sessions live on.
    Browsers { user: &'a User, all: &'a [SsoSession], spare: Option<&'a str> },
    /// Only codes and challenges: what a password reset ends where the pool leaves sessions alive. Nobody holds them, so
    /// nobody is told: no record.
    Codes { user: &'a User },
    /// The user itself goes, and everything with it.
    Deletion { user: &'a User },
    /// An app client goes, and every token that it was given.
    Client(&'a Client),
    /// Every token that an app client was given so far; the client lives on. No clock of its pool is later than `latest_ms`.
    ClientTokens { client: &'a Client, latest_ms: Ms },
    /// The pool itself goes, and everything in it.
    Pool,
    /// Everything that was born in the pool so far; the pool lives on. No clock of it is later than `latest_ms`.
    Everybody { latest_ms: Ms },
    /// A signing key of the pool is not trusted any more. Whoever has it can sign any birth, so that no boundary reaches what it signed.
    Key { kid: &'a str },
}

/// Why, in terms that a receipt shows.
#[derive(Clone, Copy, Debug)]
pub struct Why<'a> {
    pub reason: &'static str,
    pub initiator: &'static str,
    pub upstream: Upstream<'a>,
}

/// What the identity providers that sessions came from learn of a sign-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream<'a> {
    /// A worker tells them (`federation::sign_out`).
    Tell,
    /// The browser that signs out is led through them; what it has not done in these two minutes is the worker's.
    Browser,
    /// This one said it. It is not told again, the others are.
    From(&'a str),
}

/// How long a browser has for all the providers that it is led through.
const BROWSER_MS: Ms = 2 * MINUTE;

/// Whoever has a key signs tokens that expire when he likes. After this time nobody's copy of the key set names the key.
const KEPT_KEY_MS: Ms = 3_650 * DAY;

impl<'a> Why<'a> {
    pub const fn user(reason: &'static str) -> Why<'a> {
        Why { reason, initiator: "user", upstream: Upstream::Tell }
    }

    pub const fn admin(reason: &'static str) -> Why<'a> {
        Why { reason, initiator: "admin", upstream: Upstream::Tell }
    }

    pub const fn policy(reason: &'static str) -> Why<'a> {
        Why { reason, initiator: "policy", upstream: Upstream::Tell }
    }

    /// An identity provider signed somebody out.
    pub const fn upstream(reason: &'static str, provider: &'a str) -> Why<'a> {
        Why { reason, initiator: "upstream", upstream: Upstream::From(provider) }
    }

    /// The browser itself will be led through the providers.
    pub const fn by_browser(self) -> Why<'a> {
        Why { upstream: Upstream::Browser, ..self }
    }
}

/// Ends all of `what` in this batch, as one sign-out, and names that sign-out in the answer's headers once it is committed.
/// Returns the sign-out's id, a UUIDv7.
pub fn end(cx: &Cx, batch: &mut Batch, pool: &Pool, what: &[End<'_>], why: Why<'_>) -> String {
    let signout_id = ids::uuid_v7(cx.now, cx.rng()).to_string();
    let mut ending = Records { cx, pool, why, signout_id: &signout_id, n: 0, kinds: Vec::new() };
    for end in what {
        match end {
            End::Tokens(session) => ending.token_session(batch, session),
            End::Browser(session) => {
                ending.browser_session(batch, session);
                ending.owe(batch, Whose::Browser(&session.id));
            }
            End::Through { sso_id, tokens } => {
                sessions::end_sessions_through(
                    batch,
                    &pool.id,
                    sso_id,
                    cx.now,
                    tokens.len() as u64,
                );
                for session in *tokens {
                    ending.add(batch, session);
                }
            }
            End::User { user, browsers } => {
                let reach = Reach { tokens: true, browsers: *browsers };
                clocks::end_all(batch, &pool.id, &user.sub, cx.now, reach, gone());
                let record = ending.next("U", &user.sub, Some(&user.sub), None);
                records::insert_for_user(batch, &record);
                ending.owe(batch, Whose::User { sub: &user.sub, spare: None });
            }
            End::Browsers { user, all, spare } => {
                let reach = Reach { tokens: false, browsers: true };
                clocks::end_all(batch, &pool.id, &user.sub, cx.now, reach, gone());
                for session in all.iter().filter(|session| Some(session.id.as_str()) != *spare) {
                    ending.browser_session(batch, session);
                }
                ending.owe(batch, Whose::User { sub: &user.sub, spare: *spare });
                if let Some(spare) = spare {
                    // One that the pool's boundary had ended stays dead, too.
                    let epoch_ms = user.sso_epoch_ms.max(pool.epoch_ms);
                    browsers::spare_sso_session(batch, &pool.id, spare, epoch_ms);
                }
            }
            End::Codes { user } => {
                let reach = Reach { tokens: false, browsers: false };
                clocks::end_all(batch, &pool.id, &user.sub, cx.now, reach, gone());
            }
            End::Deletion { user } => {
                let record = ending.next("U", &user.sub, Some(&user.sub), None);
                let record = ending.lasts(record, user.clock_ms);
                // A `sub` never comes back, so a boundary ahead of every clock kills whatever raced with the deletion.
                records::insert(batch, &record, cx.now.max(user.clock_ms) + DAY);
                ending.owe(batch, Whose::User { sub: &user.sub, spare: None });
            }
            // Their rows are gone, and what refers to a row that is gone is dead; the records tell those who cannot look.
            End::Client(client) => {
                let record = ending.next("C", &client.id, None, Some(&client.id));
                let known_ms = client.epoch_ms.max(pool.epoch_ms);
                records::insert(batch, &record, ahead(known_ms, cx.now));
            }
            End::ClientTokens { client, latest_ms } => {
                let known_ms = client.epoch_ms.max(pool.epoch_ms);
                let epoch_ms = ahead(known_ms, cx.now.max(*latest_ms));
                pools::raise_client_epoch(batch, client, epoch_ms);
                let record = ending.next("C", &client.id, None, Some(&client.id));
                records::insert(batch, &ending.lasts(record, *latest_ms), epoch_ms);
            }
            End::Pool => {
                let record = ending.next("P", &pool.id, None, None);
                records::insert(batch, &record, ahead(pool.epoch_ms, cx.now));
            }
            End::Everybody { latest_ms } => {
                let epoch_ms = ahead(pool.epoch_ms, cx.now.max(*latest_ms));
                pools::raise_epoch(batch, pool, epoch_ms);
                let record = ending.next("P", &pool.id, None, None);
                records::insert(batch, &ending.lasts(record, *latest_ms), epoch_ms);
                ending.owe(batch, Whose::Everybody);
            }
            End::Key { kid } => {
                let record = ending.next("K", kid, None, None);
                let record = Record { drop_after_ms: cx.now + KEPT_KEY_MS, ..record };
                records::insert(batch, &record, 0);
            }
        }
    }
    let ended = std::mem::take(&mut ending.kinds);
    if !ended.is_empty() {
        let (cx, id, owed) = (cx.clone(), signout_id.clone(), pool.doc.has_providers);
        batch.then(move || {
            // Only now: an answer that names a sign-out, be it a refusal, names one that happened.
            cx.set_signout(&id);
            ended.into_iter().for_each(|kind| cx.app.meters.signed_out(kind, why.reason));
            cx.app.wakes.signed_out(owed);
        });
    }
    signout_id
}

struct Records<'a> {
    cx: &'a Cx,
    pool: &'a Pool,
    why: Why<'a>,
    signout_id: &'a str,
    n: i64,
    kinds: Vec<&'static str>,
}

impl Records<'_> {
    fn token_session(&mut self, batch: &mut Batch, session: &TokenSession) {
        sessions::end_token_session(batch, &self.pool.id, &session.id, self.cx.now);
        self.add(batch, session);
    }

    fn add(&mut self, batch: &mut Batch, session: &TokenSession) {
        if let Some(sid) = &session.sid {
            participations::end(batch, &self.pool.id, sid, &session.id, self.cx.now);
        }
        let record = self.next("S", &session.id, Some(&session.sub), Some(&session.client_id));
        records::insert(batch, &self.lasts(record, session.birth_ms), 0);
    }

    fn browser_session(&mut self, batch: &mut Batch, session: &SsoSession) {
        browsers::end_sso_session(batch, &self.pool.id, &session.id, self.cx.now);
        codes::end_codes_through(batch, &self.pool.id, &session.id, self.cx.now);
        let record = self.next("X", &session.id, Some(&session.sub), None);
        records::insert(batch, &record, 0);
    }

    /// What this sign-out owes the providers that these sessions came from. One statement finds them when it is committed, so none
    /// that a racing sign-in adds is missed.
    fn owe(&self, batch: &mut Batch, whose: Whose<'_>) {
        if !self.pool.doc.has_providers {
            return;
        }
        let (state, due_ms, not) = match self.why.upstream {
            Upstream::Tell => (upstream::State::Pending, self.cx.now, None),
            Upstream::Browser => (upstream::State::Browser, self.cx.now + BROWSER_MS, None),
            Upstream::From(provider) => (upstream::State::Pending, self.cx.now, Some(provider)),
        };
        let debt = Debt { pool_id: &self.pool.id, signout_id: self.signout_id, state, due_ms, not };
        upstream::owe(batch, &debt, whose, self.cx.now);
    }

    /// What was born by a clock that was ahead expires by that clock, too.
    fn lasts(&self, record: Record, born_ms: Ms) -> Record {
        let ahead_ms = born_ms - self.cx.now;
        let more = if ahead_ms > records::SKEW_MS { ahead_ms } else { 0 };
        Record { drop_after_ms: record.drop_after_ms + more, ..record }
    }

    fn next(
        &mut self,
        kind: &'static str,
        subject: &str,
        sub: Option<&str>,
        client_id: Option<&str>,
    ) -> Record {
        let record = Record {
            pool_id: self.pool.id.clone(),
            signout_id: self.signout_id.to_owned(),
            n: self.n,
            kind,
            subject: subject.to_owned(),
            key16: key16(kind, &self.pool.id, subject),
            sub: sub.map(str::to_owned),
            client_id: client_id.map(str::to_owned),
            drop_after_ms: drop_after(self.pool, self.cx.now),
            longest_ms: self.pool.longest_token_ms,
            reason: self.why.reason,
            initiator: self.why.initiator,
            origin: match self.why.upstream {
                Upstream::From(provider) => provider.to_owned(),
                _ => self.cx.request.access_key.clone().unwrap_or_default(),
            },
            txn: self.signout_id.to_owned(),
            committed_ms: self.cx.now,
        };
        self.n += 1;
        self.kinds.push(kind);
        record
    }
}

/// The key under which a verifier finds a record without learning whom it is about:
/// SHA-256(kind 0x00 pool 0x00 id), cut to 16 bytes. A token names its session by a UUID, so that is its id here.
pub fn key16(kind: &str, pool_id: &str, subject: &str) -> [u8; 16] {
    let uuid = ids::session_uuid(subject).filter(|_| kind == "S").map(|uuid| uuid.to_string());
    let id = uuid.as_deref().unwrap_or(subject);
    let hash = digest::digest(&digest::SHA256, [kind, pool_id, id].join("\0").as_bytes());
    let mut key = [0; 16];
    for (to, from) in key.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    key
}

/// A record may be forgotten when the last token that it kills has expired.
fn drop_after(pool: &Pool, now: Ms) -> Ms {
    now + pool.longest_token_ms + records::CLOCKS_MS
}

/// The boundary of a client or a pool. No row orders the births under it, so it lies ahead of every server's clock; `now` is the latest
/// clock that is known.
fn ahead(epoch_ms: Ms, now: Ms) -> Ms {
    (epoch_ms + 1).max(now + 60 * SECOND)
}

fn gone() -> Error {
    Error::new(crate::error::Kind::UserNotFound, "User does not exist.")
}
