//! Signing out on purpose: everywhere, one refresh token, one session; and what a user's sessions are. The ends themselves
//! are `signout::end`'s.

use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::keys;
use crate::pool::{Client, Pool, SsoSession, TokenSession, User};
use crate::signout::{self, End, Why};
use crate::store::{Batch, browsers, sessions};
use crate::tokens::verify::Access;

/// GlobalSignOut: every token of the caller. Browser sessions live on, as in Cognito, unless the pool says otherwise.
pub async fn sign_out_everywhere(cx: &Cx, access: &Access) -> Result<()> {
    let mut batch = Batch::new();
    access.guard(&mut batch);
    end_user(cx, &mut batch, &access.pool, &access.user, Why::user("global_sign_out"));
    audit::note(
        &mut batch,
        cx,
        &access.pool.id,
        &Actor::User(&access.user.sub),
        "GlobalSignOut",
        &access.user.sub,
        "ok",
        "",
    );
    cx.db().commit(batch).await
}

/// AdminUserGlobalSignOut.
pub async fn sign_out_user(cx: &Cx, pool: &Pool, user: &User) -> Result<()> {
    let mut batch = Batch::new();
    end_user(cx, &mut batch, pool, user, Why::admin("admin_global_sign_out"));
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::Administrator,
        "AdminUserGlobalSignOut",
        &user.sub,
        "ok",
        "",
    );
    cx.db().commit(batch).await
}

fn end_user(cx: &Cx, batch: &mut Batch, pool: &Pool, user: &User, why: Why<'_>) {
    let browsers = pool.doc.extensions.global_sign_out_ends_browser_sessions;
    signout::end(cx, batch, pool, &[End::User { user, browsers }], why);
}

/// Why a token was not revoked; the doors word it differently.
#[derive(Debug)]
pub enum Unrevoked {
    /// EnableTokenRevocation is off for the client.
    NotEnabled,
    /// An access or ID token.
    NotARefreshToken,
    /// Another client's token.
    OtherClient,
    Failed(Error),
}

impl From<Error> for Unrevoked {
    fn from(error: Error) -> Unrevoked {
        Unrevoked::Failed(error)
    }
}

/// RevokeToken and `/oauth2/revoke`: ends the family of one refresh token. A token that is unknown, ended or expired is
/// revoked already (RFC 7009, section 2.2).
pub async fn revoke_token(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    token: &str,
    linked: bool,
) -> Result<(), Unrevoked> {
    if !client.revocation_enabled() {
        return Err(Unrevoked::NotEnabled);
    }
    if keys::parse(token).is_ok() {
        return Err(Unrevoked::NotARefreshToken);
    }
    let hash = keys::hash(token);
    let found = sessions::refresh_token(cx.db(), &cx.app.directory, &pool.id, &hash).await?;
    let Some((_, Some(held))) = found else { return Ok(()) };
    if held.client.id != client.id {
        return Err(Unrevoked::OtherClient);
    }
    if held.session.ended_ms.is_some() {
        return Ok(());
    }
    let mut batch = Batch::new();
    let parent = if linked && pool.doc.sessions.tracking {
        parent(cx, pool, &held.session).await?
    } else {
        None
    };
    let mut ends = vec![End::Tokens(&held.session)];
    ends.extend(parent.iter().map(End::Browser));
    signout::end(cx, &mut batch, pool, &ends, Why::user("token_revoked"));
    audit::note(
        &mut batch,
        cx,
        &pool.id,
        &Actor::User(&held.user.sub),
        "RevokeToken",
        &held.session.id,
        "ok",
        "",
    );
    cx.db().commit(batch).await?;
    Ok(())
}

/// RevokeUserSession and its Admin form. With `linked`, a token session takes its parent along, and a browser session the
/// token sessions that came through it.
pub async fn revoke_session(
    cx: &Cx,
    pool: &Pool,
    user: &User,
    session_id: &str,
    linked: bool,
    by: By<'_>,
) -> Result<()> {
    require_tracking(pool)?;
    let missing = || Error::not_found("Session does not exist.");
    if matches!(by, By::User(access) if access.session.id == session_id) {
        return Err(Error::invalid(
            "The current session cannot be revoked. Use GlobalSignOut or RevokeToken instead.",
        ));
    }
    let mut batch = Batch::new();
    if let By::User(access) = by {
        access.guard(&mut batch);
    }
    let (mut tokens, mut browsers): (Vec<TokenSession>, Vec<SsoSession>) = (Vec::new(), Vec::new());
    let mut through: Vec<TokenSession> = Vec::new();
    if session_id.starts_with("tkn") {
        let session = sessions::token_session_by_id(cx.db(), &pool.id, session_id).await?;
        let session =
            session.filter(|session| is_living(cx, pool, user, session)).ok_or_else(missing)?;
        if linked {
            browsers.extend(parent(cx, pool, &session).await?);
        }
        tokens.push(session);
    } else {
        let session = browsers::sso_session_by_id(cx.db(), &pool.id, session_id).await?;
        let session = session
            .filter(|session| is_living_browser(cx, pool, user, session))
            .ok_or_else(missing)?;
        if linked {
            through =
                sessions::token_sessions_through(cx.db(), &pool.id, &session.id, cx.now).await?;
        }
        browsers.push(session);
    }
    let (why, actor, action) = match by {
        By::User(_) => (Why::user("session_revoked"), Actor::User(&user.sub), "RevokeUserSession"),
        By::Administrator => {
            (Why::admin("session_revoked"), Actor::Administrator, "AdminRevokeUserSession")
        }
    };
    let mut ends: Vec<End<'_>> =
        browsers.iter().map(End::Browser).chain(tokens.iter().map(End::Tokens)).collect();
    if let (true, true, Some(sso)) = (linked, tokens.is_empty(), browsers.first()) {
        ends.push(End::Through { sso_id: &sso.id, tokens: &through });
    }
    signout::end(cx, &mut batch, pool, &ends, why);
    audit::note(&mut batch, cx, &pool.id, &actor, action, session_id, "ok", &user.sub);
    cx.db().commit(batch).await
}

/// Who revokes a session.
#[derive(Clone, Copy)]
pub enum By<'a> {
    User(&'a Access),
    Administrator,
}

/// A user's living sessions of both kinds, most recently active first; at most Cognito's 125.
pub async fn list(
    cx: &Cx,
    pool: &Pool,
    user: &User,
) -> Result<(Vec<SsoSession>, Vec<TokenSession>)> {
    require_tracking(pool)?;
    let mut tokens = sessions::token_sessions_of(cx.db(), user, cx.now).await?;
    tokens.retain(|session| session.birth_ms >= pool.epoch_ms);
    let mut browsers = browsers::sso_sessions_of(cx.db(), user, cx.now).await?;
    browsers.retain(|session| session.birth_ms >= pool.epoch_ms);
    tokens.truncate(100);
    browsers.truncate(25);
    Ok((browsers, tokens))
}

/// Session operations exist only in a pool that tracks sessions.
pub fn require_tracking(pool: &Pool) -> Result<()> {
    if pool.doc.sessions.tracking {
        return Ok(());
    }
    Err(Error::new(
        Kind::OperationNotEnabled,
        "User session tracking is not enabled for this user pool. Enable it with SetUserPoolSessionConfiguration.",
    ))
}

fn is_living(cx: &Cx, pool: &Pool, user: &User, session: &TokenSession) -> bool {
    let epoch = user.epoch_ms.max(pool.epoch_ms);
    session.sub == user.sub
        && session.ended_ms.is_none()
        && session.expires_ms > cx.now
        && session.birth_ms >= epoch
}

fn is_living_browser(cx: &Cx, pool: &Pool, user: &User, session: &SsoSession) -> bool {
    let epoch = user.sso_epoch_ms.max(pool.epoch_ms);
    session.sub == user.sub
        && session.ended_ms.is_none()
        && session.expires_ms > cx.now
        && session.birth_ms >= epoch
}

async fn parent(cx: &Cx, pool: &Pool, session: &TokenSession) -> Result<Option<SsoSession>> {
    let Some(sso_id) = &session.sso_id else { return Ok(None) };
    let parent = browsers::sso_session_by_id(cx.db(), &pool.id, sso_id).await?;
    Ok(parent.filter(|parent| parent.ended_ms.is_none()))
}
