//! Setting and changing passwords: AdminSetUserPassword, ChangePassword. Getting a forgotten one back is in `recovery`.

use super::codes;
use crate::audit::{self, Actor};
use crate::auth::credential;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Pool, Status, User, password};
use crate::signout::{self, End, Why};
use crate::store::{Batch, browsers, sessions, users};
use crate::tokens::verify::Access;

/// ChangePassword, with an access token and the previous password. Token sessions live on, as in Cognito; browser sessions end, but
/// the one that the token came through; codes and challenges end.
pub async fn change(
    cx: &Cx,
    access: &Access,
    previous: Option<&str>,
    proposed: &str,
) -> Result<()> {
    let (pool, user) = (&*access.pool, &access.user);
    password::conforms(&pool.password_policy(), proposed)?;
    let previous =
        previous.ok_or_else(|| Error::invalid("Missing required parameter PreviousPassword"))?;
    // Right or wrong: whoever stole a token gets five guesses an hour, and none beside them.
    codes::spend(cx, pool, &user.sub, "ChangePassword", 5).await?;
    let credential = credential::of(cx, pool, Some(user), &user.username)?;
    let right = credential::matches(cx, pool, credential, &user.username, previous).await?
        && user.password.is_some();

    let mut batch = Batch::new();
    access.guard(&mut batch);
    let actor = Actor::User(&user.sub);
    if !right {
        let error = Error::not_authorized("Incorrect username or password.");
        audit::note(
            &mut batch,
            cx,
            &pool.id,
            &actor,
            "ChangePassword",
            &user.sub,
            error.kind.cognito(),
            "",
        );
        cx.db().commit(batch).await?;
        cx.note_refusal_audited();
        return Err(error);
    }
    credential::change(cx, &mut batch, pool, user, proposed).await?;
    let all = browsers::sso_sessions_of(cx.db(), user, cx.now).await?;
    let end = End::Browsers { user, all: &all, spare: access.session.sso_id.as_deref() };
    signout::end(cx, &mut batch, pool, &[end], Why::user("password_changed"));
    audit::note(&mut batch, cx, &pool.id, &actor, "ChangePassword", &user.sub, "ok", "");
    cx.db().commit(batch).await
}

/// AdminSetUserPassword. A permanent password makes the user CONFIRMED, a temporary one asks for a new one at the next sign-in.
pub async fn set(
    cx: &Cx,
    pool: &Pool,
    user: &User,
    new_password: &str,
    permanent: bool,
) -> Result<()> {
    password::conforms(&pool.password_policy(), new_password)?;
    let mut changed = user.clone();
    if permanent {
        changed.status = Status::Confirmed;
        changed.doc.temporary_until_ms = None;
    } else {
        changed.status = Status::ForceChangePassword;
        changed.doc.temporary_until_ms = Some(cx.now + pool.temporary_password_ms());
    }
    let mut batch = Batch::new();
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    credential::change(cx, &mut batch, pool, user, new_password).await?;
    if may_have_begun(cx, user).await? {
        end_by_reset(cx, &mut batch, pool, user, Why::admin("password_reset"));
    }
    let kind = if permanent { "permanent" } else { "temporary" };
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Administrator,
        "AdminSetUserPassword",
        &user.sub,
        "ok",
        kind,
    );
    cx.db().commit(batch).await
}

/// Whether there may be anything to end. Whom an administrator has just made has no session, and gets none while this is decided: to
/// sign in changes the status, and so `ver`, which the batch guards, except through an identity provider. The challenges of such
/// a user die with the old password.
async fn may_have_begun(cx: &Cx, user: &User) -> Result<bool> {
    if user.status != Status::ForceChangePassword || !user.doc.identities.is_empty() {
        return Ok(true);
    }
    let tokens = sessions::token_sessions_of(cx.db(), user, cx.now).await?;
    Ok(!tokens.is_empty() || !browsers::sso_sessions_of(cx.db(), user, cx.now).await?.is_empty())
}

/// What ends when a password is reset, by whomever: everything, or, where the pool wants Cognito's way, only what is half done.
pub(super) fn end_by_reset(cx: &Cx, batch: &mut Batch, pool: &Pool, user: &User, why: Why<'_>) {
    let end = if pool.doc.extensions.password_reset_ends_sessions {
        End::User { user, browsers: true }
    } else {
        End::Codes { user }
    };
    signout::end(cx, batch, pool, &[end], why);
}
