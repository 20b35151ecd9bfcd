//! Refreshing: what a refresh token still gives, rotation, and reuse (`cognito-behaviour`, 5.6).

use std::sync::Arc;

use super::mint::{self, Issued};
use super::verify::is_alive;
use crate::ambient::{MINUTE, Ms, SECOND};
use crate::audit::{self, Actor};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::keys;
use crate::pool::client::Rotation;
use crate::pool::{Client, Pool};
use crate::signout::{self, End, Why};
use crate::store::sessions::{self, Held, RefreshToken};
use crate::store::{Batch, clocks};

/// A living refresh token of this client, found.
pub struct Presented {
    pub held: Held,
    row: RefreshToken,
    hash: [u8; 32],
}

impl Presented {
    /// Whether presenting it now would give tokens: it was not exchanged for its successor, or that was within the grace period.
    pub fn is_usable(&self, cx: &Cx) -> bool {
        self.row.rotated_ms.is_none_or(|rotated_ms| {
            let grace = self.held.client.rotation().map_or(0, |rotation| rotation.grace_ms);
            (cx.now - rotated_ms).max(0) < grace
        })
    }

    pub fn created_ms(&self) -> Ms {
        self.row.created_ms
    }

    pub fn expires_ms(&self) -> Ms {
        self.row.expires_ms.min(self.held.session.expires_ms)
    }
}

/// Finds a refresh token, and says in Cognito's words why it is none.
pub async fn find(cx: &Cx, pool: &Pool, client: &Client, token: &str) -> Result<Presented> {
    let hash = keys::hash(token);
    let found = sessions::refresh_token(cx.db(), &cx.app.directory, &pool.id, &hash).await?;
    let (row, held) = found.ok_or_else(invalid)?;
    let held = held.ok_or_else(revoked)?;
    if held.client.id != client.id {
        return Err(invalid());
    }
    if !is_alive(&held) {
        return Err(revoked());
    }
    if row.expires_ms <= cx.now || held.session.expires_ms <= cx.now {
        return Err(Error::not_authorized("Refresh Token has expired"));
    }
    Ok(Presented { held, row, hash })
}

/// New access and ID tokens of the same session: they keep its birth, so a sign-out that overtakes this call kills them too.
pub async fn refresh(cx: &Cx, presented: Presented) -> Result<Issued> {
    let Held { pool, client, .. } = &presented.held;
    pool.refuse_unbuilt_triggers(crate::pool::realm::triggers::TOKENS)?;
    let issued = match client.rotation() {
        Some(rotation) => rotate(cx, presented, rotation).await,
        // Rotation was turned off after this one was exchanged: its successor is the family's token now.
        None if presented.row.rotated_ms.is_some() => Err(reused()),
        None => {
            let Held { session, user, client, pool } = presented.held;
            let issued = mint::issue(cx, &pool, &client, &user, &session, None).await?;
            if session.active_ms + MINUTE <= cx.now {
                note_activity(cx, pool, session.id);
            }
            Ok(issued)
        }
    };
    if issued.is_ok() {
        cx.app.meters.issued("refresh_token");
    }
    issued
}

/// Exchanges the token for its successor. Within the grace period every presentation gives another successor; after it, a
/// second presentation means that two parties hold the token, and the family ends. For two seconds after the rotation a
/// repeat is refused without ending anything: a client that raced with itself is not a thief.
async fn rotate(cx: &Cx, presented: Presented, rotation: Rotation) -> Result<Issued> {
    let Presented { held: Held { session, user, client, pool }, row, hash } = presented;
    let mut batch = Batch::new();
    if let Some(rotated_ms) = row.rotated_ms {
        // A node whose clock is behind sees a rotation of the future; that is no time at all.
        let since = (cx.now - rotated_ms).max(0);
        if since >= rotation.grace_ms {
            if since >= rotation.grace_ms.max(2 * SECOND) {
                signout::end(
                    cx,
                    &mut batch,
                    &pool,
                    &[End::Tokens(&session)],
                    Why::policy("refresh_token_reuse"),
                );
                audit::note(
                    &mut batch,
                    cx,
                    &pool.id,
                    &Actor::Anybody,
                    "RefreshTokenReuse",
                    &session.id,
                    "ended",
                    &user.sub,
                );
                cx.db().commit(batch).await?;
            }
            return Err(reused());
        }
    } else {
        sessions::rotate_refresh_token(&mut batch, &pool.id, &hash, cx.now);
    }
    let successor = keys::refresh_token(cx.rng());
    clocks::guard(&mut batch, &user, session.birth_ms, revoked());
    sessions::refresh_session(
        &mut batch,
        &pool.id,
        &session.id,
        &cx.request.ip,
        &cx.request.device,
        cx.now,
        revoked(),
    );
    sessions::insert_refresh_token(
        &mut batch,
        &pool.id,
        &keys::hash(&successor),
        &session.id,
        cx.now,
        session.expires_ms,
    );
    cx.db().commit(batch).await?;
    mint::issue(cx, &pool, &client, &user, &session, Some(successor)).await
}

/// LastActiveDate, at most once a minute and after the answer: a list of sessions may lag, a refresh must not wait for it.
fn note_activity(cx: &Cx, pool: Arc<Pool>, session_id: String) {
    let cx = cx.clone();
    tokio::spawn(async move {
        let mut batch = Batch::new();
        sessions::refresh_session(
            &mut batch,
            &pool.id,
            &session_id,
            &cx.request.ip,
            &cx.request.device,
            cx.now,
            revoked(),
        );
        if let Err(error) = cx.db().commit(batch).await {
            tracing::debug!(request_id = %cx.request.id, ?error, "the last activity of a session was not noted");
        }
    });
}

fn invalid() -> Error {
    Error::not_authorized("Invalid Refresh Token.")
}

fn revoked() -> Error {
    Error::not_authorized("Refresh Token has been revoked")
}

fn reused() -> Error {
    Error::new(Kind::RefreshTokenReuse, "Refresh token has already been used.")
}
