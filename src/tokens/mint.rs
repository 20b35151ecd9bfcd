//! Signing tokens for an open session: always after the commit, so that losers of a race cost nothing.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cenote_interface::types::AuthenticationResultType;

use super::{Birth, claims, ring, scopes};
use crate::ambient::SECOND;
use crate::cx::Cx;
use crate::error::Result;
use crate::pool::group::GroupClaims;
use crate::pool::{Client, Pool, TokenSession, User};
use crate::store::groups;

/// Signed tokens, in neither door's form yet.
pub struct Issued {
    pub access_token: String,
    /// With an API sign-in, or the scope `openid`.
    pub id_token: Option<String>,
    /// New, or the rotated one; `None` where the caller keeps what it has.
    pub refresh_token: Option<String>,
    pub expires_in_secs: i64,
}

/// Tokens of a user's session.
pub async fn issue(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    user: &User,
    session: &TokenSession,
    refresh_token: Option<String>,
) -> Result<Issued> {
    let session = &scopes::still_granted(cx, pool, client, session).await?;
    let ring = ring::of(cx, pool).await?;
    // Read at every minting: a refresh tells of the groups that the user is in by then.
    let groups = GroupClaims::of(groups::docs_of_user(cx.db(), user).await?);
    let access_key = ring.access().ok_or_else(|| ring::missing(pool))?;
    let access_token =
        access_key.sign_jwt(&claims::access(cx, pool, client, user, session, &groups))?;

    let hosted = session.flow.is_hosted();
    let id_token = if !hosted || session.scope.split(' ').any(|scope| scope == "openid") {
        let id_key = ring.id().ok_or_else(|| ring::missing(pool))?;
        let at_hash = hosted.then(|| at_hash(&access_token));
        Some(id_key.sign_jwt(&claims::id(cx, pool, client, user, session, &groups, at_hash))?)
    } else {
        None
    };
    Ok(Issued {
        access_token,
        id_token,
        refresh_token,
        expires_in_secs: claims::validity(session, client.access_ms(), cx.now) / SECOND,
    })
}

/// A token that the client gets for itself: one signature, and nothing in the database.
pub async fn issue_machine(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    scope: &str,
    birth: Birth,
) -> Result<Issued> {
    let ring = ring::of(cx, pool).await?;
    let key = ring.access().ok_or_else(|| ring::missing(pool))?;
    Ok(Issued {
        access_token: key.sign_jwt(&claims::machine(cx, pool, client, scope, birth))?,
        id_token: None,
        refresh_token: None,
        expires_in_secs: client.access_ms() / SECOND,
    })
}

impl Issued {
    /// The form of the JSON door.
    pub fn into_result(self) -> AuthenticationResultType {
        AuthenticationResultType {
            access_token: Some(self.access_token),
            expires_in: Some(self.expires_in_secs),
            token_type: Some("Bearer".to_owned()),
            refresh_token: self.refresh_token,
            id_token: self.id_token,
            new_device_metadata: None,
        }
    }
}

/// OIDC Core, 3.1.3.6: the left half of the hash of the access token.
fn at_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_ref().split_at(16).0)
}
