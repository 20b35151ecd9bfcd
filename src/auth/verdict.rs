//! The end of an attempt that checked a password: ask the machine, and commit what it says. A denial commits too.

use super::challenge::{self, Doc};
use super::lockout::Lock;
use super::machine::{Event, Facts, Step, Verdict, next};
use super::{At, Challenged, Outcome, Proven, second};
use crate::ambient::Ms;
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{User, names};
use crate::store::{Batch, clocks, users};
use crate::tokens::{self, Birth};

/// The person behind a name, as far as lock-out and existence protection need it.
pub(super) struct Subject {
    pub user: Option<User>,
    /// The name as it was given, folded.
    pub login: String,
    pub lock: Lock,
}

impl Subject {
    /// Finds whom a name means. A name that nobody has keeps its failures elsewhere, and locks just the same.
    pub async fn find(cx: &Cx, at: At<'_>, name: &str) -> Result<Subject> {
        let user = users::by_login(cx.db(), at.pool, name).await?;
        Subject::of(cx, at, user, names::fold(at.pool, name)).await
    }

    /// A user who has come further than the password: nothing about them is a secret to this caller.
    pub fn known(user: User) -> Subject {
        let lock = Lock { failures: user.failures, failed_ms: user.failed_ms };
        Subject { login: user.username.clone(), user: Some(user), lock }
    }

    pub async fn of(cx: &Cx, at: At<'_>, user: Option<User>, login: String) -> Result<Subject> {
        // Where existence is hidden the read of a stranger's failures is made for users, too: equal work.
        let stranger = if user.is_none() || at.client.hides_user_existence() {
            clocks::stranger(cx.db(), &at.pool.id, &hidden(cx, at, &login)).await?
        } else {
            (0, 0)
        };
        let (failures, failed_ms) =
            user.as_ref().map_or(stranger, |user| (user.failures, user.failed_ms));
        Ok(Subject { user, login, lock: Lock { failures, failed_ms } })
    }

    pub fn facts<'a>(&'a self, at: At<'a>, now: Ms) -> Facts<'a> {
        Facts { pool: at.pool, client: at.client, user: self.user.as_ref(), lock: self.lock, now }
    }

    /// What the password arithmetic calls this user.
    pub fn srp_name(&self) -> &str {
        self.user.as_ref().map_or(&self.login, |user| &user.username)
    }
}

/// Acts on what the machine says after a password was checked. `batch` holds what the attempt consumed;
/// `proved` is the birth of the challenge that it answered, if it answered one.
pub(super) async fn after_password(
    cx: &Cx,
    at: At<'_>,
    subject: &Subject,
    verdict: Verdict,
    mut batch: Batch,
    proved: Option<Ms>,
) -> Result<Outcome> {
    match (next(&subject.facts(at, cx.now), Event::Password(verdict)), &subject.user) {
        (Step::Proven, Some(user)) => {
            let birth = tokens::tick(cx, at.pool, at.client, user);
            clocks::sign_in(&mut batch, user, birth.ms(), proved.unwrap_or(birth.ms()));
            Ok(proven(cx, at, user.clone(), birth, batch))
        }
        (Step::AskNewPassword, Some(user)) => {
            let doc = Doc::NewPassword { password_ver: user.password_ver };
            let birth = tokens::tick(cx, at.pool, at.client, user);
            clocks::go_on(&mut batch, user, birth.ms(), proved.unwrap_or(birth.ms()));
            let session = challenge::insert(cx, &mut batch, at, &user.sub, birth, &doc)?;
            let challenged = super::new_password::challenged(at, user, session);
            challenge_with(cx, at, user, challenged, batch).await
        }
        (step @ (Step::Ask(_) | Step::AskWhich(_) | Step::AskToSetUp(_)), Some(user)) => {
            let birth = tokens::tick(cx, at.pool, at.client, user);
            clocks::go_on(&mut batch, user, birth.ms(), proved.unwrap_or(birth.ms()));
            second::ask(cx, at, user, step, birth, batch).await
        }
        (Step::Deny { error, counts }, _) => deny(cx, at, subject, batch, error, counts).await,
        _ => Err(Error::internal("the sign-in machine took a step without a user")),
    }
}

/// All is proved; the door commits.
pub(super) fn proven(cx: &Cx, at: At<'_>, user: User, birth: Birth, mut batch: Batch) -> Outcome {
    let actor = Actor::User(&user.sub);
    let door = at.door.as_str();
    audit::note(&mut batch, cx, &at.pool.id, &actor, "SignIn", &at.client.id, "ok", door);
    let app = cx.app.clone();
    batch.then(move || app.meters.signed_in(door, "ok"));
    Outcome::Proven(Box::new(Proven { user, birth, batch }))
}

/// Commits a step that leads to a challenge.
pub(super) async fn challenge_with(
    cx: &Cx,
    at: At<'_>,
    user: &User,
    challenged: Challenged,
    mut batch: Batch,
) -> Result<Outcome> {
    audit::note(
        &mut batch,
        cx,
        &at.pool.id,
        &Actor::User(&user.sub),
        "SignIn",
        &at.client.id,
        "challenged",
        challenged.name,
    );
    cx.db().commit(batch).await?;
    cx.app.meters.signed_in(at.door.as_str(), "challenged");
    Ok(Outcome::Challenged(challenged))
}

/// Commits a denial: what was consumed, the failure, and the audit entry.
pub(super) async fn deny(
    cx: &Cx,
    at: At<'_>,
    subject: &Subject,
    mut batch: Batch,
    error: Error,
    counts: bool,
) -> Result<Outcome> {
    let next = subject.lock.next(cx.now);
    let target = match &subject.user {
        Some(user) => {
            if counts {
                clocks::fail(&mut batch, user, next.failures, next.failed_ms);
            }
            user.sub.clone()
        }
        None => {
            let login = hidden(cx, at, &subject.login);
            if counts {
                let seen = (subject.lock.failures, subject.lock.failed_ms);
                clocks::fail_stranger(
                    &mut batch,
                    &at.pool.id,
                    &login,
                    seen,
                    (next.failures, next.failed_ms),
                );
            }
            format!("unknown:{login}")
        }
    };
    audit::note(
        &mut batch,
        cx,
        &at.pool.id,
        &Actor::Anybody,
        "SignIn",
        &target,
        error.kind.cognito(),
        at.door.as_str(),
    );
    cx.db().commit(batch).await?;
    cx.app.meters.signed_in(at.door.as_str(), error.kind.cognito());
    cx.note_refusal_audited();
    Err(error)
}

/// A name that nobody has may be somebody's mistyped password: it is stored and logged only as a keyed hash.
fn hidden(cx: &Cx, at: At<'_>, login: &str) -> String {
    let mac = cx.app.vault.mac(&at.pool.id, "stranger", login.as_bytes());
    mac.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
