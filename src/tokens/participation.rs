//! Under which name a relying party knows a session: the claim `sid` (OIDC Back-Channel Logout 1.0, 2.1). One for each browser session
//! and client, the same in every token of it; a sign-in by the API is a session of its own. Clients that name no address for
//! sign-outs have none, and cost nothing here.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::ambient::DAY;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::{Client, Pool, TokenSession, User};
use crate::store::Batch;
use crate::store::participations::{self, Participation};

/// The 22 characters of base64url hold 132 bits.
const CHARS: usize = 22;

/// The `sid` of a session that is about to be opened.
///
/// It follows from the browser session and the client, so that racing sign-ins say the same. It also follows from what has ended there:
/// a relying party may remember for days that a `sid` is signed out (express-openid-connect, issue 646), and would turn the user
/// away who signs in again through the same browser session.
pub async fn sid(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    user: &User,
    session: &TokenSession,
) -> Result<Option<String>> {
    if !client.hears_of_sign_outs() {
        return Ok(None);
    }
    let epoch = user.epoch_ms.max(client.epoch_ms).max(pool.epoch_ms);
    let (anchor, round) = match &session.sso_id {
        Some(sso_id) => {
            let rounds =
                participations::rounds(cx.db(), &pool.id, sso_id, &client.id, epoch).await?;
            (sso_id, rounds)
        }
        None => (&session.id, 0),
    };
    let text =
        ["sid", &pool.id, anchor, &client.id, &epoch.to_string(), &round.to_string()].join("\0");
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    let mut sid = URL_SAFE_NO_PAD.encode(hash);
    sid.truncate(CHARS);
    Ok(Some(sid))
}

/// Writes down that the client takes part in this session. The row outlives session and tokens, because the relying party's own session does.
pub fn join(cx: &Cx, batch: &mut Batch, pool: &Pool, client: &Client, session: &TokenSession) {
    let Some(sid) = &session.sid else { return };
    let lives_ms = (session.expires_ms - cx.now).max(client.sso_silent_ms()).max(DAY) + DAY;
    let party = Participation {
        sid: sid.clone(),
        sso_id: session.sso_id.clone(),
        client_id: client.id.clone(),
        sub: session.sub.clone(),
        birth_ms: session.birth_ms,
        created_ms: cx.now,
        expires_ms: cx.now + lives_ms,
        ended_ms: None,
    };
    participations::join(batch, &pool.id, &party);
}
