//! Setting and changing passwords: AdminSetUserPassword, ChangePassword. Getting a forgotten one back is in `recovery`.

use crate::audit::{self, Actor};
use crate::auth::credential;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::pool::{Pool, Status, User, password};
use crate::signout::{self, End, Why};
use crate::store::{Batch, users};

/// AdminSetUserPassword. A permanent password makes the user CONFIRMED, a temporary one asks for a new one at the next sign-in.
pub async fn set(cx: &Cx, pool: &Pool, user: &User, new_password: &str, permanent: bool) -> Result<()> {
    password::conforms(&pool.password_policy(), new_password)?;
    let mut changed = user.clone();
    if permanent {
        changed.status = Status::Confirmed;
        changed.doc.temporary_until_ms = None;
    } else {
        changed.status = Status::ForceChangePassword;
        changed.doc.temporary_until_ms = Some(cx.now + pool.temporary_password_ms());
    }
    let sealed = credential::make(cx, pool, &user.sub, &user.username, new_password).await?;
    let mut batch = Batch::new();
    users::update(&mut batch, pool, user, &changed, cx.now, &Error::conflict())?;
    users::set_password(&mut batch, user, sealed);
    end_by_reset(cx, &mut batch, pool, user, Why::admin("password_reset"));
    let kind = if permanent { "permanent" } else { "temporary" };
    audit::note(&mut batch, cx, &pool.id, &Actor::Administrator, "AdminSetUserPassword", &user.sub, "ok", kind);
    cx.db().commit(batch).await
}

/// What ends when a password is reset, by whomever: everything, or, where the pool wants Cognito's way, only what is half done.
pub(super) fn end_by_reset(cx: &Cx, batch: &mut Batch, pool: &Pool, user: &User, why: Why) {
    let end = if pool.doc.extensions.password_reset_ends_sessions {
        End::User { user, browsers: true }
    } else {
        End::Codes { user }
    };
    signout::end(cx, batch, pool, &[end], why);
}
